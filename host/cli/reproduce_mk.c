/* Schering et al. 2024, figure 4: MK, parameters that keep a pattern alive. 64 x 64, N 50, gamma 0.005, 500 steps per
 * gradient from the reference state (a stripe run of 50,000 steps at the standard parameters), gradient descent with
 * lr 0.05, log_sse.
 *   E1 all five parameters    E2 k1, k2, k3    E3 D_A, D_B
 * Each fit of the ensemble is judged like the first one: by runs of the model at its estimate. */
#include "cli/reproduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 64, SITES = SIDE * SIDE, CAPACITY = 50, PARAMS = 5, EXPERIMENTS = 3, MAX_TESTS = 2, MAX_RUNS = 16 };

static const char *const names[PARAMS] = {"D_A", "D_B", "k1", "k2", "k3"};
static const double standard[PARAMS] = {0.1, 0.4, 0.98, 0.1, 0.2};

/* Runs of the model from a start state. Before the fit at most `before` of them show a pattern and their median
 * variance is below 30; after it more than `after` of them show one. With the k of E3 a pattern that grows from the stripe
 * can die out again by chance, so what a single run shows at 20,000 steps is a matter of odds, before and after: E3 asks
 * for the odds, pooled over the fits of the ensemble. */
typedef struct pattern_test {
    const char *start;
    int64_t steps;
    int runs, quick_runs;
    double before, after;
    bool pooled; /* after: over all fits, else the first one's runs */
    int seed;    /* 0: 1 */
} pattern_test;

typedef struct mk_experiment {
    const char *name, *title;
    double value[PARAMS]; /* start, or the fixed value */
    bool fitted[PARAMS];
    int64_t iterations, quick_iterations;
    pattern_test test[MAX_TESTS];
    int tests;
    double ratio[2]; /* D_B / D_A after the fit; 0, 0: not asked */
    double quick_ratio[2];
} mk_experiment;

/* clang-format off */
static const mk_experiment experiments[EXPERIMENTS] = {
    {"E1", "E1: all parameters", {0.5, 0.2, 0.35, 0.91, 0.06},
     {true, true, true, true, true}, 6000, 600, {{"uniform", 50000, 8, 4, 0, 0.5, false, 0}}, 1, {2, INFINITY}, {1, INFINITY}},
    {"E2", "E2: k1, k2, k3", {0.1, 0.4, 0.35, 0.91, 0.06},
     {false, false, true, true, true}, 800, 400, {{"uniform", 50000, 8, 4, 0, 0.5, false, 0}, {"stripe", 50000, 8, 4, 0, 0.5, false, 0}}, 2, {0, 0}, {0, 0}},
    {"E3", "E3: D_A, D_B", {0.5, 0.2, 0.98, 0.1, 0.2},
     {true, true, false, false, false}, 4000, 1200, {{"stripe", 20000, 16, 16, 0.5, 0.5, true, 0}}, 1, {1.5, 3}, {1, INFINITY}},
};
/* clang-format on */

/* What the runs of one parameter set gave. */
typedef struct pattern {
    int runs, present;       /* a pattern: variance >= 50 and autocorrelation >= 0.7 */
    double variance, c2;     /* medians over the runs */
    uint8_t plane[2][SITES]; /* species A of the first run without a pattern, and of the first with one */
} pattern;

typedef struct mk_run {
    lg_repro *r;
    const mk_experiment *e;
    const char *reference; /* file */
    figure *fig;
    int row;
    pattern *before; /* [tests]: at the start parameters */
    char tag[16];    /* "mk E1" */
} mk_run;

/* ---- runs of the model ---------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static lg_status take_runs(lg_repro *r, lg_batch *batch, int fit, int runs, pattern *out)
{
    uint8_t both[2 * SITES];
    double variance[MAX_RUNS], c2[MAX_RUNS];
    *out = (pattern){.runs = runs};
    for (int i = 0; i < runs; i++) {
        const lg_status status = lg_batch_states(r->cli->ctx, batch, fit, i, 1, both);
        if (status) return status;
        lg_pattern(both, SIDE, SIDE, &variance[i], &c2[i]);
        const bool present = variance[i] >= 50 && c2[i] >= 0.7;
        if (present ? !out->present : i == out->present) memcpy(out->plane[present], both, SITES);
        out->present += present;
    }
    out->variance = median(variance, runs);
    out->c2 = median(c2, runs);
    return LG_OK;
}

/* In pieces, so that a signal is heard. */
static lg_status run_batch(lg_repro *r, lg_batch *batch, int64_t steps)
{
    enum { PIECE = 2000 };
    lg_status status = LG_OK;
    for (int64_t done = 0; done < steps && !status; done += PIECE) {
        status = lg_batch_run(r->cli->ctx, batch, steps - done < PIECE ? steps - done : PIECE);
        if (!status) status = lg_repro_go_on(r);
    }
    return status;
}

/* The test's runs for each parameter set: params [count][PARAMS], out [count]. state (NULL: not wanted): both species
 * of the first run. */
static lg_status run_patterns(lg_repro *r, const pattern_test *test, const double *params, int count, pattern *out,
                              uint8_t *state)
{
    lg_problem *problem = NULL;
    lg_batch *batch = NULL;
    lg_context *ctx = r->cli->ctx;
    const int runs = r->quick ? test->quick_runs : test->runs;
    lg_status status = lg_repro_problem(r, &problem,
                                        "model=mk\ntask=simulate\nlattice.height=64\nlattice.width=64\n"
                                        "lattice.capacity=50\nlattice.gamma=0.005\ndata.start=%s\nsteps=%lld\nfits=%d\n"
                                        "replicates=%d\nseed=%d\n",
                                        test->start, (long long)test->steps, count, runs, test->seed ? test->seed : 1);
    if (!status) status = lg_batch_create(ctx, problem, &batch);
    if (!status) status = lg_batch_set_params(ctx, batch, params);
    if (!status) status = lg_batch_reset(ctx, batch, 0);
    if (!status) status = run_batch(r, batch, test->steps);
    for (int f = 0; f < count && !status; f++) status = take_runs(r, batch, f, runs, &out[f]);
    if (!status && state) status = lg_batch_states(ctx, batch, 0, 0, 1, state);
    lg_batch_free(batch);
    lg_problem_free(problem);
    return status;
}

/* The reference state: a file the fits read. Over seeds its variance goes from about 180 to 330; this seed's is in the
 * middle. */
static lg_status write_reference(lg_repro *r, const char *path)
{
    static const pattern_test test = {"stripe", 50000, 1, 1, 0, 0, false, 2};
    const size_t shape[] = {2, SIDE, SIDE};
    pattern p;
    lg_array array = {0};
    lg_status status = lg_array_alloc(r->cli->ctx, LG_U8, 3, shape, &array);
    if (!status) status = run_patterns(r, &test, standard, 1, &p, array.data);
    if (!status) status = lg_array_write(r->cli->ctx, path, &array, r->cli->force);
    lg_array_clear(&array);
    if (status) return status;
    lg_repro_check(r, "mk", "reference state: stripe, 50,000 steps", "var >= 50, c2 >= 0.7", p.present > 0,
                   "var %.0f, c2 %.2f", p.variance, p.c2);
    return LG_OK;
}

/* ---- fits ----------------------------------------------------------------------------------------------------- */

/* fits: the lines that say which fits there are. */
static lg_status mk_problem(const mk_run *m, lg_problem **out, const char *fits)
{
    char params[512] = "";
    const double *value = m->e->value;
    const int64_t iterations = m->r->quick ? m->e->quick_iterations : m->e->iterations;
    for (int p = 0; p < PARAMS; p++) {
        const size_t n = strlen(params);
        if (m->e->fitted[p]) {
            snprintf(params + n, sizeof params - n, "params.%s.start=%g\nparams.%s.bounds=%s\n", names[p], value[p],
                     names[p], p < 2 ? "[0.001, 0.999]" : "[0, 1]");
        } else {
            snprintf(params + n, sizeof params - n, "params.%s=%g\n", names[p], value[p]);
        }
    }
    return lg_repro_problem(
        m->r, out,
        "model=mk\ntask=stability\nlattice.height=64\nlattice.width=64\nlattice.capacity=50\nlattice.gamma=0.005\n"
        "data.reference=%s\nsteps=500\nloss=log_sse\noptimizer.name=sgd\noptimizer.lr=0.05\n"
        "optimizer.schedule=constant\nestimator.method=pathwise\nestimator.binary=ste\nreplicates=1\n"
        "iterations=%lld\n%s%s",
        m->reference, (long long)iterations, params, fits);
}

/* Estimates of all fits [fits][PARAMS]: means of the last tenth of their iterates. */
static void estimates(const lg_result *result, int64_t fits, double *out)
{
    double sd[PARAMS];
    for (int f = 0; f < (int)fits; f++) {
        lg_result_tail(result, f, lg_result_iterations(result, f) / 10, out + f * PARAMS, sd);
    }
}

static bool ratio_asked(const mk_run *m)
{
    return m->e->ratio[1] > 0;
}

static bool ratio_passes(const mk_run *m, const double *params)
{
    const double *bounds = m->r->quick ? m->e->quick_ratio : m->e->ratio;
    const double ratio = params[1] / params[0];
    return !ratio_asked(m) || (ratio > bounds[0] && ratio < bounds[1]);
}

static bool shown(const mk_run *m, int test, const pattern *found)
{
    return found->present > m->e->test[test].after * found->runs;
}

/* Which fits pass: pattern after each test, and the ratio. first (NULL: not wanted): what the first fit gave,
 * [tests]. */
static lg_status judge(const mk_run *m, const double *params, int64_t fits, bool *pass, pattern *first)
{
    pattern *found = calloc((size_t)fits, sizeof *found);
    lg_status status =
        found ? LG_OK : lg_cli_fail(m->r->cli, LG_ERR_MEMORY, "no memory for %lld lattices", (long long)fits);
    for (int f = 0; f < (int)fits && !status; f++) pass[f] = ratio_passes(m, params + f * PARAMS);
    for (int t = 0; t < m->e->tests && !status; t++) {
        status = run_patterns(m->r, &m->e->test[t], params, (int)fits, found, NULL);
        for (int f = 0; f < (int)fits && !status; f++) pass[f] = pass[f] && shown(m, t, &found[f]);
        if (!status && first) first[t] = found[0];
        for (int f = 1; first && m->e->test[t].pooled && f < (int)fits && !status; f++) {
            first[t].present += found[f].present;
            first[t].runs += found[f].runs;
        }
    }
    free(found);
    return status;
}

/* ---- lines of the table --------------------------------------------------------------------------------------- */

static void format_runs(const pattern *found, char *text, size_t size)
{
    snprintf(text, size, "%d of %d runs, median var %.1f, c2 %.2f", found->present, found->runs, found->variance,
             found->c2);
}

static lg_status check_before(const mk_run *m)
{
    char what[96], asked[64], text[96];
    lg_status status = LG_OK;
    for (int t = 0; t < m->e->tests && !status; t++) {
        const pattern_test *test = &m->e->test[t];
        pattern *found = &m->before[t];
        status = run_patterns(m->r, test, m->e->value, 1, found, NULL);
        if (status) break;
        snprintf(what, sizeof what, "patterns before, %s, %lld steps", test->start, (long long)test->steps);
        if (test->before > 0) snprintf(asked, sizeof asked, "<= %.0f %% of runs, var < 30", 100 * test->before);
        else snprintf(asked, sizeof asked, "none, var < 30");
        format_runs(found, text, sizeof text);
        lg_repro_check(m->r, m->tag, what, asked, found->present <= test->before * found->runs && found->variance < 30,
                       "%s", text);
    }
    return status;
}

static void check_after(const mk_run *m, const double *params, const pattern *found)
{
    char what[96], asked[64], runs[96], text[96] = "";
    for (int p = 0; p < PARAMS; p++) {
        const size_t n = strlen(text);
        if (m->e->fitted[p]) snprintf(text + n, sizeof text - n, "%s%s %.3f", n ? ", " : "", names[p], params[p]);
    }
    lg_repro_note(m->r, m->tag, "estimate, mean of the last tenth", "%s", text);
    for (int t = 0; t < m->e->tests; t++) {
        const pattern_test *test = &m->e->test[t];
        snprintf(what, sizeof what, "patterns after, %s, %lld steps", test->start, (long long)test->steps);
        snprintf(asked, sizeof asked, "> %.0f %% of runs%s", 100 * test->after, test->pooled ? " of all fits" : "");
        format_runs(&found[t], runs, sizeof runs);
        lg_repro_check(m->r, m->tag, what, asked, shown(m, t, &found[t]), "%s", runs);
    }
    if (!ratio_asked(m)) return;
    const double *bounds = m->r->quick ? m->e->quick_ratio : m->e->ratio;
    if (isfinite(bounds[1])) snprintf(asked, sizeof asked, "between %g and %g", bounds[0], bounds[1]);
    else snprintf(asked, sizeof asked, "> %g", bounds[0]);
    lg_repro_check(m->r, m->tag, "D_B / D_A", asked, ratio_passes(m, params), "%.2f", params[1] / params[0]);
}

/* E2: when do patterns first come? Runs at the parameters the fit had after some of its steps. */
static lg_status report_onset(const mk_run *m, const lg_result *result)
{
    static const int at[] = {25, 50, 100, 200, 350, 500};
    enum { COUNT = sizeof at / sizeof at[0] };
    static const pattern_test test = {"uniform", 50000, 8, 4, 0, 0, false, 0};
    double params[COUNT * PARAMS];
    char what[96], text[96];
    int count = 0;
    while (count < COUNT && at[count] < lg_result_iterations(result, 0)) {
        memcpy(params + count * PARAMS, lg_result_trace(result, 0) + at[count] * (PARAMS + 3) + 1,
               PARAMS * sizeof *params);
        count++;
    }
    pattern *found = calloc(COUNT, sizeof *found);
    if (!found) return lg_cli_fail(m->r->cli, LG_ERR_MEMORY, "no memory for %d lattices", COUNT);
    const lg_status status = run_patterns(m->r, &test, params, count, found, NULL);
    for (int i = 0; i < count && !status; i++) {
        snprintf(what, sizeof what, "patterns after %d gradient steps, uniform", at[i]);
        format_runs(&found[i], text, sizeof text);
        lg_repro_note(m->r, m->tag, what, "%s", text);
    }
    free(found);
    return status;
}

/* ---- figure --------------------------------------------------------------------------------------------------- */

/* A run with a pattern, or one without, where there is one. */
static void draw_plane(const mk_run *m, int column, const char *when, const pattern *found, bool wanted)
{
    figure_panel *panel = &m->fig->panel[3 * m->row + column];
    const bool any = wanted ? found->present > 0 : found->present < found->runs;
    figure_text(panel->title, "%s, %s: %d of %d runs", when, m->e->test[0].start, found->present, found->runs);
    panel->no_colour_bar = !wanted;
    figure_text(panel->colour_label, "A, particles per site");
    figure_add_image(m->fig, panel, found->plane[any ? wanted : !wanted], SIDE, SIDE, CAPACITY);
}

static lg_status draw(const mk_run *m, const lg_result *result, const pattern *after)
{
    figure_panel *traces = &m->fig->panel[3 * m->row];
    static const figure_colour colours[PARAMS] = {FIGURE_BLUE, FIGURE_ORANGE, FIGURE_GREEN, FIGURE_PINK, FIGURE_BLACK};
    figure_text(traces->title, "%s", m->e->title);
    figure_text(traces->x_label, "gradient step");
    figure_text(traces->y_label, "parameter");
    traces->legend = "above";
    traces->y_range[1] = 1;
    traces->x_range[1] = (double)lg_result_iterations(result, 0);
    lg_status status = LG_OK;
    for (int p = 0; p < PARAMS && !status; p++) {
        if (!m->e->fitted[p]) continue;
        status =
            lg_figure_add_trace(m->r->cli, m->fig, traces, result, PARAMS, 0, 1 + p, FIGURE_LINE, colours[p], names[p]);
    }
    draw_plane(m, 1, "before", &m->before[0], false);
    draw_plane(m, 2, "after", after, true);
    return status;
}

static int64_t count_true(const bool *pass, int64_t count)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) sum += pass[i];
    return sum;
}

/* The published start with several seeds; the first fit is the experiment. */
static lg_status run_main(const mk_run *m, double *params, bool *pass, pattern *after)
{
    char file[32], fits[32];
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    snprintf(fits, sizeof fits, "fits=%lld\n", (long long)m->r->seeds);
    lg_status status = mk_problem(m, &problem, fits);
    if (!status) status = lg_repro_fit(m->r, problem, m->tag, &result);
    if (!status) {
        estimates(result, m->r->seeds, params);
        status = judge(m, params, m->r->seeds, pass, after);
    }
    if (!status) check_after(m, params, after);
    if (!status && m->r->seeds > 1) {
        lg_repro_note(m->r, m->tag, "seeds from this start", "%lld of %lld pass all of this",
                      (long long)count_true(pass, m->r->seeds), (long long)m->r->seeds);
    }
    if (!status && !m->r->quick && strcmp(m->e->name, "E2") == 0) status = report_onset(m, result);
    if (!status) status = draw(m, result, &after[0]);
    snprintf(file, sizeof file, "mk_%s.csv", m->e->name);
    if (!status) status = lg_repro_write_trace(m->r, result, file);
    lg_result_free(result);
    lg_problem_free(problem);
    return status;
}

/* Starts all over the bounds. */
static lg_status run_ensemble(const mk_run *m, double *params, bool *pass)
{
    char fits[64], what[96];
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    const int64_t count = m->r->ensemble;
    snprintf(fits, sizeof fits, "ensemble.starts=lhs\nensemble.size=%lld\n", (long long)count);
    lg_status status = mk_problem(m, &problem, fits);
    if (!status) status = lg_repro_ensemble(m->r, problem, m->tag, &result);
    if (!status) {
        estimates(result, count, params);
        status = judge(m, params, count, pass, NULL);
    }
    for (int f = 0; f < (int)count && !status; f++) pass[f] = pass[f] && !lg_repro_failed(result, f);
    snprintf(what, sizeof what, "ensemble of %lld starts: all of this", (long long)count);
    if (!status) status = lg_repro_fraction(m->r, m->tag, what, result, pass);
    lg_result_free(result);
    lg_problem_free(problem);
    return status;
}

static lg_status run_experiment(mk_run *m)
{
    const size_t fits = (size_t)(m->r->ensemble > m->r->seeds ? m->r->ensemble : m->r->seeds);
    pattern before[MAX_TESTS], after[MAX_TESTS];
    double *params = calloc(fits * PARAMS, sizeof *params);
    bool *pass = calloc(fits, sizeof *pass);
    lg_status status = params && pass ? LG_OK : lg_cli_fail(m->r->cli, LG_ERR_MEMORY, "no memory for %zu fits", fits);
    m->before = before;
    if (!status) status = check_before(m);
    if (!status) status = run_main(m, params, pass, after);
    if (!status && m->r->ensemble > 0) status = run_ensemble(m, params, pass);
    free(params);
    free(pass);
    return status;
}

lg_status lg_reproduce_mk(lg_repro *r)
{
    char reference[LG_REPRO_PATH];
    figure fig;
    lg_repro_path(r, "mk_reference.npy", reference);
    lg_status status = write_reference(r, reference);
    figure_init(&fig, EXPERIMENTS, 3);
    for (int i = 0; i < EXPERIMENTS && !status; i++) {
        mk_run m = {.r = r, .e = &experiments[i], .reference = reference, .fig = &fig, .row = i};
        snprintf(m.tag, sizeof m.tag, "mk %s", experiments[i].name);
        status = run_experiment(&m);
    }
    if (!status) status = lg_repro_render(r, &fig, "mk.png");
    figure_free(&fig);
    return status;
}
