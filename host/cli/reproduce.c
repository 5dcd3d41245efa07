/* latgrad reproduce: runs experiments, prints what was asked and what came out, keeps tables, traces and figures. */
#include "cli/reproduce.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the table ------------------------------------------------------------------------------------------------ */

static void add_row(lg_repro *r, const lg_repro_row *row)
{
    lg_repro_row *grown = realloc(r->row, (r->rows + 1) * sizeof *grown);
    if (grown) {
        r->row = grown;
        r->row[r->rows++] = *row;
    }
    if (strcmp(row->verdict, "FAIL") == 0) r->failed++;
    printf("%-4s  %-7s %-46s %-26s %s\n", row->verdict, row->experiment, row->what, row->asked, row->found);
    fflush(stdout);
}

void lg_repro_check(lg_repro *r, const char *experiment, const char *what, const char *asked, bool pass,
                    const char *format, ...)
{
    lg_repro_row row = {.verdict = "FAIL"};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(row.found, sizeof row.found, format, arguments);
    va_end(arguments);
    if (pass) strcpy(row.verdict, "PASS");
    snprintf(row.experiment, sizeof row.experiment, "%s", experiment);
    snprintf(row.what, sizeof row.what, "%s", what);
    snprintf(row.asked, sizeof row.asked, "%s", asked);
    add_row(r, &row);
}

void lg_repro_note(lg_repro *r, const char *experiment, const char *what, const char *format, ...)
{
    lg_repro_row row = {.verdict = ""};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(row.found, sizeof row.found, format, arguments);
    va_end(arguments);
    snprintf(row.experiment, sizeof row.experiment, "%s", experiment);
    snprintf(row.what, sizeof row.what, "%s", what);
    add_row(r, &row);
}

static void table_csv(const lg_repro *r, size_t first, FILE *out)
{
    fputs("experiment,quantity,asked,found,verdict\n", out);
    for (size_t i = first; i < r->rows; i++) {
        const lg_repro_row *row = &r->row[i];
        fprintf(out, "%s,\"%s\",\"%s\",\"%s\",%s\n", row->experiment, row->what, row->asked, row->found, row->verdict);
    }
}

static void table_markdown(const lg_repro *r, const char *name, size_t first, double seconds, FILE *out)
{
    fprintf(out, "# latgrad reproduce %s%s\n\nlatgrad %s (%s), %.0f s\n\n", name, r->quick ? " --quick" : "",
            lg_version(), lg_build_info(), seconds);
    fputs("| | experiment | quantity | asked | found |\n|---|---|---|---|---|\n", out);
    for (size_t i = first; i < r->rows; i++) {
        const lg_repro_row *row = &r->row[i];
        fprintf(out, "| %s | %s | %s | %s | %s |\n", row->verdict, row->experiment, row->what, row->asked, row->found);
    }
}

static lg_status write_table(lg_repro *r, const char *name, size_t first, double seconds, bool markdown)
{
    char file[64], path[LG_REPRO_PATH], *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out && markdown) table_markdown(r, name, first, seconds, out);
    else if (out) table_csv(r, first, out);
    const bool failed = !out || fclose(out) != 0;
    snprintf(file, sizeof file, "%s.%s", name, markdown ? "md" : "csv");
    lg_repro_path(r, file, path);
    const lg_status status = failed ? lg_cli_fail(r->cli, LG_ERR_MEMORY, "no memory for the table")
                                    : lg_cli_write_text(r->cli, path, text, size, r->cli->force);
    free(text);
    return status;
}

/* ---- problems and fits ---------------------------------------------------------------------------------------- */

lg_status lg_repro_problem(lg_repro *r, lg_problem **out, const char *format, ...)
{
    char lines[4096];
    lg_config *config = NULL;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(lines, sizeof lines, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof lines) return lg_cli_fail(r->cli, LG_ERR_INTERNAL, "too many settings");
    lg_status status = lg_config_create(r->cli->ctx, &config);
    if (!status) status = lg_cli_apply_lines(r->cli, config, lines);
    if (!status) status = lg_cli_apply_settings(r->cli, config);
    if (!status) status = lg_problem_create(r->cli->ctx, config, out);
    lg_config_free(config);
    if (!status && lg_cli_signal()) return lg_cli_fail(r->cli, LG_ERR_CHECK, "stopped by a signal");
    return status;
}

static lg_status run_fit(lg_repro *r, lg_problem *problem, const char *label, bool some_may_fail, lg_result **out)
{
    lg_cli_progress line;
    lg_cli_progress_begin(&line, r->cli, problem, label);
    lg_status status = lg_fit(r->cli->ctx, problem, lg_cli_progress_show, &line, out);
    lg_cli_progress_end(&line);
    if (status) return status;
    lg_problem_info info;
    lg_problem_describe(problem, &info);
    for (int f = 0; f < info.fits; f++) {
        const lg_fit_status s = lg_result_status(*out, f);
        if (s == LG_FIT_STOPPED) return lg_cli_fail(r->cli, LG_ERR_CHECK, "%s: stopped by a signal", label);
        if (s == LG_FIT_NOT_FINITE && !some_may_fail)
            return lg_cli_fail(r->cli, LG_ERR_NUMERIC, "%s: %s", label, lg_result_reason(*out, f));
    }
    return LG_OK;
}

lg_status lg_repro_fit(lg_repro *r, lg_problem *problem, const char *label, lg_result **out)
{
    return run_fit(r, problem, label, false, out);
}

lg_status lg_repro_ensemble(lg_repro *r, lg_problem *problem, const char *experiment, lg_result **out)
{
    char label[48];
    snprintf(label, sizeof label, "%s, ensemble", experiment);
    return run_fit(r, problem, label, true, out);
}

bool lg_repro_failed(const lg_result *result, int fit)
{
    return lg_result_status(result, fit) == LG_FIT_NOT_FINITE;
}

lg_status lg_repro_fraction(lg_repro *r, const char *experiment, const char *what, const lg_result *result,
                            const bool *pass)
{
    lg_summary s;
    const lg_status status = lg_result_summary(r->cli->ctx, result, &s);
    int passed = 0;
    for (int f = 0; f < s.fits && !status; f++) passed += pass[f];
    if (status) return status;
    lg_repro_note(r, experiment, what, "%d of %d (%.0f %%) pass; %d optim%s, %d failed", passed, s.fits,
                  100.0 * passed / s.fits, s.optima, s.optima == 1 ? "um" : "a", s.failed);
    return LG_OK;
}

void lg_repro_path(const lg_repro *r, const char *name, char path[LG_REPRO_PATH])
{
    snprintf(path, LG_REPRO_PATH, "%s/%s", r->dir, name);
}

lg_status lg_repro_write_trace(lg_repro *r, const lg_result *result, const char *name)
{
    char path[LG_REPRO_PATH];
    lg_repro_path(r, name, path);
    return lg_result_write_trace(r->cli->ctx, result, path, r->cli->force);
}

/* A missing gnuplot costs the figure, not the experiment. */
lg_status lg_repro_render(lg_repro *r, figure *fig, const char *name)
{
    char path[LG_REPRO_PATH];
    lg_repro_path(r, name, path);
    const lg_status status = figure_render(r->cli->ctx, fig, path, r->cli->force);
    if (status != LG_ERR_LIBRARY) return status;
    fprintf(stderr, "latgrad: no figure: %s\n", lg_context_message(r->cli->ctx));
    return LG_OK;
}

int64_t lg_repro_settled(const lg_result *result, int fit, int params, int param, int64_t block, double truth,
                         double tolerance)
{
    const double *trace = lg_result_trace(result, fit);
    const int64_t blocks = lg_result_iterations(result, fit) / block;
    for (int64_t b = blocks; b-- > 0;) {
        double mean = 0;
        for (int64_t i = b * block; i < (b + 1) * block; i++)
            mean += trace[i * (params + 3) + 1 + param] / (double)block;
        if (!(fabs(mean - truth) <= tolerance)) return b + 1 < blocks ? (b + 1) * block : -1;
    }
    return 0;
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

typedef struct experiment {
    const char *name;
    lg_status (*run)(lg_repro *r);
} experiment;

static const experiment experiments[] = {{"si", lg_reproduce_si}, {"prw", lg_reproduce_prw}, {"mk", lg_reproduce_mk}};
enum { EXPERIMENTS = sizeof experiments / sizeof experiments[0] };

/* Makes the folder and those above it. */
static lg_status make_folder(lg_repro *r)
{
    char path[LG_REPRO_PATH];
    snprintf(path, sizeof path, "%s", r->dir);
    for (char *c = path + 1;; c++) {
        if (*c != '/' && *c) continue;
        const char kept = *c;
        *c = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            return lg_cli_fail(r->cli, LG_ERR_FILE, "--out: folder '%s' cannot be made: %s", path, strerror(errno));
        }
        *c = kept;
        if (!kept) return LG_OK;
    }
}

/* An earlier run's table in the folder: refused before anything is computed. */
static lg_status check_folder(lg_repro *r, const char *name)
{
    char file[64], path[LG_REPRO_PATH];
    snprintf(file, sizeof file, "%s.csv", name);
    lg_repro_path(r, file, path);
    if (r->cli->force || access(path, F_OK) != 0) return LG_OK;
    return lg_cli_fail(r->cli, LG_ERR_EXISTS, "--out: '%s' holds an earlier run; --force replaces it", path);
}

/* The folder of msd_*.csv: --data, LATGRAD_DATA, where it was installed, ./data. */
static lg_status find_data(lg_repro *r, const char *given)
{
    const char *places[4] = {given, getenv("LATGRAD_DATA"), NULL, "data"};
#ifdef LG_DATA_DIR
    places[2] = LG_DATA_DIR;
#endif
    for (int i = 0; i < 4; i++) {
        char path[LG_REPRO_PATH];
        if (!places[i] || !*places[i]) continue;
        snprintf(r->data, sizeof r->data, "%s", places[i]);
        snprintf(path, sizeof path, "%s/msd_tcells.csv", r->data);
        if (access(path, R_OK) == 0) return LG_OK;
        if (i == 0) return lg_cli_fail(r->cli, LG_ERR_FILE, "--data: there is no '%s'", path);
    }
    return lg_cli_fail(r->cli, LG_ERR_FILE,
                       "the folder of msd_tcells.csv was not found; say where it is with --data DIR");
}

static lg_status run_one(lg_repro *r, const experiment *e)
{
    const size_t first = r->rows;
    const double started = lg_cli_clock();
    lg_status status = e->run(r);
    if (status) return status;
    const double seconds = lg_cli_clock() - started;
    lg_repro_note(r, e->name, "wall-clock time", "%.1f s", seconds);
    status = write_table(r, e->name, first, seconds, false);
    return status ? status : write_table(r, e->name, first, seconds, true);
}

static lg_status reproduce(lg_repro *r, const char *data)
{
    lg_cli *cli = r->cli;
    const char *name = cli->argument[0], *names[EXPERIMENTS + 1] = {"all"};
    const bool all = strcmp(name, "all") == 0;
    bool known = all;
    for (int i = 0; i < EXPERIMENTS; i++) {
        names[i + 1] = experiments[i].name;
        known = known || strcmp(name, experiments[i].name) == 0;
    }
    if (!known) {
        const char *nearest = lg_cli_nearest(name, names, EXPERIMENTS + 1);
        return lg_cli_fail(cli, LG_ERR_USAGE, "reproduce: unknown experiment '%s'; expected si, prw, mk or all%s%s%s",
                           name, nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    lg_status status = LG_OK;
    for (int i = 0; i < EXPERIMENTS && !status; i++) {
        if (all || strcmp(name, experiments[i].name) == 0) status = check_folder(r, experiments[i].name);
    }
    if (!status && (all || strcmp(name, "prw") == 0)) status = find_data(r, data);
    if (!status) status = make_folder(r);
    if (!status) lg_cli_catch_signals();
    if (!status) printf("%-4s  %-7s %-46s %-26s %s\n", "", "", "quantity", "asked", "found");
    for (int i = 0; i < EXPERIMENTS && !status; i++) {
        if (all || strcmp(name, experiments[i].name) == 0) status = run_one(r, &experiments[i]);
    }
    if (status) return status;
    if (!cli->quiet) printf("tables, traces and figures are in %s\n", r->dir);
    return r->failed
               ? lg_cli_fail(cli, LG_ERR_CHECK, "%zu line%s of the table failed", r->failed, r->failed == 1 ? "" : "s")
               : LG_OK;
}

int lg_cmd_reproduce(int argc, char **argv)
{
    lg_cli cli;
    lg_repro r = {.cli = &cli, .ensemble = -1};
    const char *data = NULL;
    int64_t ensemble = -1;
    const lg_cli_option options[] = {
        {"--quick", NULL, "a shortened protocol with looser bounds, under two minutes", LG_ARG_FLAG, &r.quick, 0},
        {"--out", "DIR", "folder for tables, traces and figures (default: reproduce, or reproduce-quick)", LG_ARG_TEXT,
         &cli.out, 'o'},
        {"--data", "DIR", "folder of msd_tcells.csv, msd_bcells.csv, msd_neutrophils.csv", LG_ARG_TEXT, &data, 0},
        {"--ensemble", "N", "starts of each experiment's ensemble (default 32; with --quick 0: none)", LG_ARG_INT,
         &ensemble, 0},
    };
    const lg_cli_usage usage = {"reproduce",
                                "si|prw|mk|all",
                                "Runs the experiments of Schering et al. 2024 and prints what was "
                                "asked and what came out; exit status 1 where a line fails.",
                                LG_USE_RUN | LG_USE_OUT,
                                options,
                                4,
                                1,
                                1,
                                false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    r.seeds = 4;
    r.ensemble = ensemble >= 0 ? ensemble : (r.quick ? 0 : 32);
    snprintf(r.dir, sizeof r.dir, "%s", cli.out ? cli.out : (r.quick ? "reproduce-quick" : "reproduce"));
    const lg_status status = reproduce(&r, data);
    free(r.row);
    return lg_cli_end(&cli, status);
}
