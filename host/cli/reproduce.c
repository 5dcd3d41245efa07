/* latgrad reproduce: runs experiments, prints what was asked and what came out, keeps tables, traces and figures. */
#include "cli/reproduce.h"
#include "cli/resume.h"

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

static bool has_table(const lg_repro *r, const char *name, char path[LG_REPRO_PATH])
{
    char file[64];
    snprintf(file, sizeof file, "%s.md", name); /* the last thing that is written */
    lg_repro_path(r, file, path);
    return access(path, F_OK) == 0;
}

/* An earlier run in the folder, finished or not: refused before anything is computed. */
static lg_status check_folder(lg_repro *r, const char *name)
{
    char path[LG_REPRO_PATH];
    if (r->cli->force || r->resume) return LG_OK;
    if (lg_repro_interrupted(r, name))
        return lg_cli_fail(
            r->cli, LG_ERR_EXISTS,
            "--out: '%s' holds checkpoints of %s that was interrupted: --resume goes on from them, --force "
            "starts again",
            r->dir, name);
    if (!has_table(r, name, path)) return LG_OK;
    return lg_cli_fail(r->cli, LG_ERR_EXISTS, "--out: '%s' holds an earlier run; --force replaces it", path);
}

/* The folder of data as seen from the tool's own place, so that an installation can be moved; "" where that is unknown. */
static void installed_data(char *folder, size_t size)
{
    char tool[LG_REPRO_PATH];
    const ssize_t length = readlink("/proc/self/exe", tool, sizeof tool - 1);
    *folder = '\0';
    if (length <= 0) return;
    tool[length] = '\0';
    const int end = (int)(strrchr(tool, '/') - tool);
    if (snprintf(folder, size, "%.*s/%s", end, tool, LG_DATA_FROM_TOOL) >= (int)size) *folder = '\0';
}

/* The folder of msd_*.csv: --data, LATGRAD_DATA, where it was installed, ./data. */
static lg_status find_data(lg_repro *r, const char *given)
{
    char installed[LG_REPRO_PATH];
    installed_data(installed, sizeof installed);
    const char *places[4] = {given, getenv("LATGRAD_DATA"), installed, "data"};
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
    char path[LG_REPRO_PATH];
    const size_t first = r->rows;
    const double started = lg_cli_clock();
    const bool resumed = r->resume && lg_repro_interrupted(r, e->name);
    if (r->resume && !resumed && has_table(r, e->name, path)) {
        printf("%s was finished before: %s\n", e->name, path);
        return LG_OK;
    }
    r->experiment = e->name;
    r->fits = 0;
    lg_status status = r->resume ? LG_OK : lg_repro_forget(r, e->name);
    if (!status) status = e->run(r);
    if (status) return status;
    const double seconds = lg_cli_clock() - started;
    lg_repro_note(r, e->name, resumed ? "wall-clock time since it was resumed" : "wall-clock time", "%.1f s", seconds);
    status = write_table(r, e->name, first, seconds, false);
    if (!status) status = write_table(r, e->name, first, seconds, true);
    return status ? status : lg_repro_forget(r, e->name);
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
    cli->force = cli->force || r->resume; /* what an interrupted experiment left half done is replaced */
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

/* How to go on, after why it stopped. */
static void add_command(lg_cli *cli, int argc, char **argv)
{
    char command[400], why[500];
    snprintf(why, sizeof why, "%s", *cli->message ? cli->message : lg_context_message(cli->ctx));
    lg_cli_resume_command(argv, argc, command, sizeof command);
    lg_cli_fail(cli, LG_ERR_STOPPED, "%s; to go on: %s", why, command);
}

int lg_cmd_reproduce(int argc, char **argv)
{
    lg_cli cli;
    lg_repro r = {.cli = &cli, .ensemble = -1, .began = lg_cli_clock()};
    const char *data = NULL, *time_limit = NULL;
    int64_t ensemble = -1;
    const lg_cli_option options[] = {
        {"--quick", NULL, "a shortened protocol with looser bounds, under two minutes", LG_ARG_FLAG, &r.quick, 0},
        {"--out", "DIR", "folder for tables, traces and figures (default: reproduce, or reproduce-quick)", LG_ARG_TEXT,
         &cli.out, 'o'},
        {"--data", "DIR", "folder of msd_tcells.csv, msd_bcells.csv, msd_neutrophils.csv", LG_ARG_TEXT, &data, 0},
        {"--ensemble", "N", "starts of each experiment's ensemble (default 32; with --quick 0: none)", LG_ARG_INT,
         &ensemble, 0},
        {"--resume", NULL, "go on with an interrupted run in the same folder", LG_ARG_FLAG, &r.resume, 'r'},
        {"--time-limit", "TIME", "stop with checkpoints before TIME is over (s or HH:MM:SS)", LG_ARG_TEXT, &time_limit,
         0},
    };
    const lg_cli_usage usage = {"reproduce",
                                "si|prw|mk|all",
                                "Runs the experiments of Schering et al. 2024 and prints what was "
                                "asked and what came out; exit status 1 where a line fails.",
                                LG_USE_RUN | LG_USE_OUT | LG_USE_LOG,
                                options,
                                6,
                                1,
                                1,
                                false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    r.seeds = 4;
    r.ensemble = ensemble >= 0 ? ensemble : (r.quick ? 0 : 32);
    snprintf(r.dir, sizeof r.dir, "%s", cli.out ? cli.out : (r.quick ? "reproduce-quick" : "reproduce"));
    lg_status status = LG_OK;
    if (time_limit && !lg_parse_duration(time_limit, &r.time_limit))
        status =
            lg_cli_fail(&cli, LG_ERR_USAGE, "--time-limit: '%s': expected seconds, HH:MM:SS or D-HH:MM:SS", time_limit);
    if (!status) status = reproduce(&r, data);
    if (status == LG_ERR_STOPPED) add_command(&cli, argc, argv);
    free(r.row);
    return lg_cli_end(&cli, status);
}
