/* latgrad simulate: forward runs. States go to a .npy file, statistics to a CSV file, the last state to a picture. */
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STATS = 5, TRACKS_SHOWN = 20 };

typedef struct stat_names {
    const char *model;
    int count;
    const char *name[MAX_STATS];
} stat_names;

static const stat_names names[] = {
    {"si", 2, {"aware_mean", "aware_sd"}},
    {"mk", 5, {"mean_A", "mean_B", "var_A", "var_B", "c2_A"}},
    {"prw", 2, {"msd", "msd_sem"}},
};

typedef struct simulation {
    lg_cli *cli;
    lg_problem *problem;
    lg_problem_info info;
    lg_batch *batch;
    const char *stats_path, *picture_path;
    int64_t every;
    size_t recorded, state_bytes; /* state_bytes: one replicate */
    uint8_t *state;               /* all replicates, now */
    lg_array states;              /* what --out keeps */
    double *statistic;            /* [recorded][names->count] */
    int64_t *step;                /* [recorded] */
    const stat_names *names;
} simulation;

/* ---- statistics ----------------------------------------------------------------------------------------------- */

static void plane_moments(const uint8_t *plane, size_t sites, double *mean, double *variance)
{
    double sum = 0, sum2 = 0;
    for (size_t i = 0; i < sites; i++) {
        sum += plane[i];
        sum2 += (double)plane[i] * plane[i];
    }
    *mean = sum / (double)sites;
    *variance = sum2 / (double)sites - *mean * *mean;
}

/* Mean and standard deviation over replicates of the aware fraction. */
static void si_statistics(const simulation *s, double *out)
{
    const size_t sites = (size_t)s->info.height * (size_t)s->info.width;
    const double n = (double)s->info.replicates;
    double sum = 0, sum2 = 0;
    for (int64_t r = 0; r < s->info.replicates; r++) {
        double mean, variance;
        plane_moments(s->state + (size_t)r * s->state_bytes, sites, &mean, &variance);
        sum += mean;
        sum2 += mean * mean;
    }
    out[0] = sum / n;
    out[1] = n > 1 ? sqrt(fmax(0, sum2 - sum * sum / n) / (n - 1)) : 0.0;
}

/* Means over replicates of mean and variance of A and B over sites, and of the autocorrelation of A at distance 2. */
static void mk_statistics(const simulation *s, double *out)
{
    const size_t sites = (size_t)s->info.height * (size_t)s->info.width;
    for (int k = 0; k < 5; k++) out[k] = 0;
    for (int64_t r = 0; r < s->info.replicates; r++) {
        const uint8_t *a = s->state + (size_t)r * s->state_bytes, *b = a + sites;
        double v[5], variance;
        plane_moments(a, sites, &v[0], &v[2]);
        plane_moments(b, sites, &v[1], &v[3]);
        lg_pattern(a, s->info.height, s->info.width, &variance, &v[4]);
        for (int k = 0; k < 5; k++) out[k] += v[k] / (double)s->info.replicates;
    }
}

/* Mean square displacement from the origin and its standard error. */
static void prw_statistics(const simulation *s, double *out)
{
    const double n = (double)s->info.replicates;
    double sum = 0, sum2 = 0;
    for (int64_t r = 0; r < s->info.replicates; r++) {
        int32_t w[4];
        memcpy(w, s->state + (size_t)r * s->state_bytes, sizeof w);
        const double d2 = (double)w[0] * w[0] + (double)w[1] * w[1];
        sum += d2;
        sum2 += d2 * d2;
    }
    out[0] = sum / n;
    out[1] = n > 1 ? sqrt(fmax(0, sum2 - sum * sum / n) / (n - 1) / n) : 0.0;
}

/* ---- running -------------------------------------------------------------------------------------------------- */

static void keep_states(simulation *s, size_t row)
{
    const size_t replicates = (size_t)s->info.replicates;
    if (s->info.species) {
        memcpy((uint8_t *)s->states.data + row * replicates * s->state_bytes, s->state, replicates * s->state_bytes);
        return;
    }
    int32_t *to = (int32_t *)s->states.data + row * replicates * 2;
    for (size_t r = 0; r < replicates; r++) memcpy(to + 2 * r, s->state + r * s->state_bytes, 2 * sizeof *to);
}

static lg_status record(simulation *s, size_t row, int64_t step)
{
    const lg_status status = lg_batch_states(s->cli->ctx, s->batch, 0, 0, s->info.replicates, s->state);
    if (status) return status;
    double *out = s->statistic + row * (size_t)s->names->count;
    s->step[row] = step;
    if (strcmp(s->info.model, "si") == 0) si_statistics(s, out);
    else if (strcmp(s->info.model, "mk") == 0) mk_statistics(s, out);
    else prw_statistics(s, out);
    if (s->states.data) keep_states(s, row);
    return LG_OK;
}

/* Step of recorded row: the start and every k-th step, or the last one alone; the last one is always kept. */
static int64_t recorded_step(const simulation *s, size_t row)
{
    if (row + 1 == s->recorded) return s->info.steps;
    return (int64_t)row * s->every;
}

static lg_status run(simulation *s)
{
    lg_context *ctx = s->cli->ctx;
    lg_status status = lg_batch_create(ctx, s->problem, &s->batch);
    if (!status) status = lg_batch_reset(ctx, s->batch, 0);
    int64_t step = 0;
    for (size_t row = 0; row < s->recorded && !status; row++) {
        const int64_t next = recorded_step(s, row);
        if (next > step) status = lg_batch_run(ctx, s->batch, next - step);
        step = next;
        if (!status) status = record(s, row, step);
        if (!status && lg_cli_signal()) {
            return lg_cli_fail(s->cli, LG_ERR_CHECK, "stopped by a signal at step %lld; nothing was written",
                               (long long)step);
        }
    }
    return status;
}

static lg_status prepare(simulation *s)
{
    lg_problem_describe(s->problem, &s->info);
    if (s->info.fits != 1) {
        return lg_cli_fail(s->cli, LG_ERR_UNSUPPORTED,
                           "simulate: fits = %d, expected 1; `replicates` sets the number of runs", s->info.fits);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].model, s->info.model) == 0) s->names = &names[i];
    }
    if (!s->names)
        return lg_cli_fail(s->cli, LG_ERR_UNSUPPORTED, "simulate: model '%s' has no statistics", s->info.model);
    const size_t replicates = (size_t)s->info.replicates, H = (size_t)s->info.height, W = (size_t)s->info.width;
    s->recorded = s->every > 0 ? (size_t)((s->info.steps + s->every - 1) / s->every) + 1 : 1;
    s->state_bytes = s->info.species ? (size_t)s->info.species * H * W : 4 * sizeof(int32_t);
    s->state = calloc(replicates, s->state_bytes);
    s->statistic = calloc(s->recorded, (size_t)s->names->count * sizeof *s->statistic);
    s->step = calloc(s->recorded, sizeof *s->step);
    if (!s->state || !s->statistic || !s->step) {
        return lg_cli_fail(s->cli, LG_ERR_MEMORY, "no memory for %lld replicates", (long long)s->info.replicates);
    }
    if (!s->cli->out && (s->info.species || !s->picture_path)) return LG_OK;
    const size_t lattice[] = {s->recorded, replicates, (size_t)s->info.species, H, W},
                 walk[] = {s->recorded, replicates, 2};
    return s->info.species ? lg_array_alloc(s->cli->ctx, LG_U8, 5, lattice, &s->states)
                           : lg_array_alloc(s->cli->ctx, LG_I32, 3, walk, &s->states);
}

/* ---- output --------------------------------------------------------------------------------------------------- */

static void print_statistics(const simulation *s, FILE *out)
{
    fputs("step", out);
    for (int k = 0; k < s->names->count; k++) fprintf(out, ",%s", s->names->name[k]);
    fputc('\n', out);
    for (size_t row = 0; row < s->recorded; row++) {
        fprintf(out, "%lld", (long long)s->step[row]);
        for (int k = 0; k < s->names->count; k++)
            fprintf(out, ",%.10g", s->statistic[row * (size_t)s->names->count + (size_t)k]);
        fputc('\n', out);
    }
}

static lg_status write_statistics(simulation *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out) print_statistics(s, out);
    const bool failed = !out || fclose(out) != 0;
    const lg_status status = failed ? lg_cli_fail(s->cli, LG_ERR_MEMORY, "no memory for the statistics")
                                    : lg_cli_write_text(s->cli, s->stats_path, text, size, s->cli->force);
    free(text);
    return status;
}

/* The planes of the first replicate side by side, one empty column between them. */
static lg_status lattice_picture(simulation *s)
{
    const size_t H = (size_t)s->info.height, W = (size_t)s->info.width, K = (size_t)s->info.species,
                 width = K * (W + 1) - 1;
    uint8_t *plane = calloc(H, width);
    if (!plane) return lg_cli_fail(s->cli, LG_ERR_MEMORY, "no memory for the picture");
    for (size_t k = 0; k < K; k++) {
        for (size_t i = 0; i < H; i++) memcpy(plane + i * width + k * (W + 1), s->state + (k * H + i) * W, W);
    }
    const int scale = H < 512 ? (int)(512 / H) : 1;
    const lg_status status = lg_png_write(s->cli->ctx, s->picture_path, plane, (int)H, (int)width,
                                          s->info.capacity ? s->info.capacity : 1, scale, s->cli->force);
    free(plane);
    return status;
}

/* The recorded positions of the first walkers as lines. */
static void track_script(const simulation *s, FILE *out)
{
    const size_t replicates = (size_t)s->info.replicates, shown = replicates < TRACKS_SHOWN ? replicates : TRACKS_SHOWN;
    const int32_t *position = s->states.data;
    fputs("set terminal pngcairo size 700,700\nset output output\nset size ratio -1\nset key off\n"
          "set xlabel 'x (sites)'\nset ylabel 'y (sites)'\n$tracks << EOD\n",
          out);
    for (size_t w = 0; w < shown; w++) {
        for (size_t row = 0; row < s->recorded; row++) {
            const int32_t *p = position + (row * replicates + w) * 2;
            fprintf(out, "%d %d %zu\n", p[0], p[1], w);
        }
        fputc('\n', out);
    }
    fputs("EOD\nplot $tracks using 1:2:3 with linespoints pt 7 ps 0.4 lc variable\n", out);
}

static lg_status track_picture(simulation *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out) track_script(s, out);
    const bool failed = !out || fclose(out) != 0;
    const lg_status status = failed ? lg_cli_fail(s->cli, LG_ERR_MEMORY, "no memory for the picture")
                                    : lg_gnuplot(s->cli->ctx, text, s->picture_path, s->cli->force);
    free(text);
    return status;
}

static lg_status write_files(simulation *s)
{
    lg_status status = LG_OK;
    if (s->cli->out) status = lg_array_write(s->cli->ctx, s->cli->out, &s->states, s->cli->force);
    if (!status && s->stats_path) status = write_statistics(s);
    if (!status && s->picture_path) status = s->info.species ? lattice_picture(s) : track_picture(s);
    return status;
}

static void print_json(const simulation *s, const double *params)
{
    printf("{\"model\": \"%s\", \"params\": {", s->info.model);
    for (int p = 0; p < s->info.params; p++) {
        printf("%s\"%s\": ", p ? ", " : "", lg_model_param(s->info.model_index, p)->name);
        lg_cli_json_number(stdout, params[p]);
    }
    printf("}, \"seed\": %llu, \"device\": ", (unsigned long long)s->info.seed);
    lg_cli_json_text(stdout, s->info.device);
    printf(", \"replicates\": %lld, \"steps\": %lld, \"statistics\": {", (long long)s->info.replicates,
           (long long)s->info.steps);
    const double *last = s->statistic + (s->recorded - 1) * (size_t)s->names->count;
    for (int k = 0; k < s->names->count; k++) {
        printf("%s\"%s\": ", k ? ", " : "", s->names->name[k]);
        lg_cli_json_number(stdout, last[k]);
    }
    puts("}}");
}

static void print_summary(const simulation *s)
{
    double params[16] = {0};
    lg_problem_start(s->problem, 0, params);
    if (s->cli->json) {
        print_json(s, params);
        return;
    }
    if (!s->cli->quiet) {
        printf("%s on %s: %lld replicates, %lld steps, seed %llu;", s->info.model, s->info.device,
               (long long)s->info.replicates, (long long)s->info.steps, (unsigned long long)s->info.seed);
        for (int p = 0; p < s->info.params; p++) {
            printf(" %s %.6g", lg_model_param(s->info.model_index, p)->name, params[p]);
        }
        putchar('\n');
    }
    if (!s->stats_path) print_statistics(s, stdout);
    const char *paths[] = {s->cli->out, s->stats_path, s->picture_path};
    for (int i = 0; i < 3 && !s->cli->quiet; i++) {
        if (paths[i]) printf("wrote %s\n", paths[i]);
    }
}

/* States are NumPy arrays; another ending would have other programs take the file for something else. */
static lg_status check_out(lg_cli *cli)
{
    const size_t length = cli->out ? strlen(cli->out) : 0;
    if (!cli->out || (length > 4 && strcmp(cli->out + length - 4, ".npy") == 0))
        return lg_cli_check_free(cli, "--out", cli->out);
    return lg_cli_fail(cli, LG_ERR_USAGE,
                       "simulate: --out is '%s': states are written as NumPy arrays, expected a name that ends in .npy",
                       cli->out);
}

static lg_status simulate(simulation *s)
{
    lg_cli *cli = s->cli;
    bool done;
    lg_status status = lg_cli_configure(cli, cli->arguments ? cli->argument[0] : NULL, "task=simulate");
    if (!status) status = lg_cli_plan(cli, NULL, &done);
    if (status || done) return status;
    status = check_out(cli);
    if (!status) status = lg_cli_check_free(cli, "--stats", s->stats_path);
    if (!status) status = lg_cli_check_free(cli, "--picture", s->picture_path);
    if (!status) status = lg_problem_create(cli->ctx, cli->config, &s->problem);
    if (!status) status = lg_cli_plan(cli, s->problem, &done);
    if (status || done) return status;
    lg_cli_catch_signals();
    status = prepare(s);
    if (!status) status = run(s);
    if (!status) status = write_files(s);
    if (!status) print_summary(s);
    return status;
}

int lg_cmd_simulate(int argc, char **argv)
{
    lg_cli cli;
    simulation s = {.cli = &cli};
    const lg_cli_option options[] = {
        {"--out", "FILE.npy",
         "states: uint8 [recorded][replicate][species][row][column], prw int32 [recorded][replicate][2]", LG_ARG_TEXT,
         &cli.out, 'o'},
        {"--steps-out", "K", "record the start, every K-th step and the last one (0: the last one alone)", LG_ARG_INT,
         &s.every, 0},
        {"--stats", "FILE.csv", "statistics of the recorded steps (default: printed)", LG_ARG_TEXT, &s.stats_path, 0},
        {"--picture", "FILE.png", "the last lattice of the first replicate; prw: tracks", LG_ARG_TEXT, &s.picture_path,
         0},
    };
    const lg_cli_usage usage =
        {"simulate",
         "MODEL|CONFIG.yaml",
         "Runs a model forward. Key `steps` is the length of a run, `replicates` the number of runs, "
         "params.NAME=VALUE sets parameters.",
         LG_USE_RUN | LG_USE_PLAN | LG_USE_OUT | LG_USE_JSON,
         options,
         4,
         1,
         1,
         false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    const lg_status status = simulate(&s);
    lg_batch_free(s.batch);
    lg_problem_free(s.problem);
    lg_array_clear(&s.states);
    free(s.state);
    free(s.statistic);
    free(s.step);
    return lg_cli_end(&cli, status);
}
