/* What latgrad bench measures. Each case is first run with the noise of the naive loop and compared with it:
 * discrete states exactly, losses and gradients to float accuracy. */
#include "cli/bench.h"
#include "cli/bench_naive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE = 64,
    SITES = SIDE * SIDE,
    MK_STEPS = 500,
    MK_LATTICES = 16,
    SI_STEPS = 50,
    SI_LATTICES = 256,
    SI_PAIRS = 50,
    SI_BATCH = 128,
    PRW_STEPS = 10,
    PRW_WALKERS = 1500,
    PRW_MANY = 60000,
    PRW_FIT = 200
};

static const double mk_params[] = {0.1, 0.4, 0.98, 0.1, 0.2};
static const double si_beta = 0.2, prw_center = 0.3, prw_resample = 0.5;
static const char mk_lines[] =
    "model=mk\nlattice.height=64\nlattice.width=64\ndata.start=stripe\nsteps=500\n"
    "params.D_A.start=0.1\nparams.D_B.start=0.4\nparams.k1.start=0.98\nparams.k2.start=0.1\nparams.k3.start=0.2\n";
static const char prw_lines[] = "model=prw\nsteps=10\nparams.p_center.start=0.3\nparams.p_resample.start=0.5\n"
                                "data.generate.params.p_center=0.2\ndata.generate.params.p_resample=0.1\n";

/* One job of the library: a batch run forward, gradients, or a fit of some iterations. */
typedef struct library_job {
    lg_bench *b;
    lg_problem *problem;
    lg_problem_info info;
    lg_batch *batch;
    double params[8], loss, grad[8];
    lg_result *result;
} library_job;

static void close_job(library_job *j)
{
    lg_result_free(j->result);
    lg_batch_free(j->batch);
    lg_problem_free(j->problem);
    *j = (library_job){0};
}

static lg_status open_job(library_job *j, bool forward)
{
    lg_problem_describe(j->problem, &j->info);
    lg_problem_start(j->problem, 0, j->params);
    return forward ? lg_batch_create(j->b->cli->ctx, j->problem, &j->batch) : LG_OK;
}

static lg_status run_forward(void *state)
{
    library_job *j = state;
    const lg_status status = lg_batch_reset(j->b->cli->ctx, j->batch, 0);
    return status ? status : lg_batch_run(j->b->cli->ctx, j->batch, j->info.steps);
}

static lg_status run_gradient(void *state)
{
    library_job *j = state;
    return lg_evaluate(j->b->cli->ctx, j->problem, 0, j->params, &j->loss, j->grad);
}

static lg_status run_fit(void *state)
{
    library_job *j = state;
    lg_result_free(j->result);
    j->result = NULL;
    return lg_fit(j->b->cli->ctx, j->problem, NULL, NULL, &j->result);
}

/* ---- the naive loops ------------------------------------------------------------------------------------------ */

typedef struct naive_job {
    lg_bench *b;
    uint64_t seed;
    uint8_t *start, *reference, *state, *frames;
    double target[PRW_STEPS], loss, grad[8];
    int64_t msd;
    uint32_t walkers;
} naive_job;

static lg_status naive_status(const naive_job *n, bool ok)
{
    return ok ? LG_OK : lg_cli_fail(n->b->cli, LG_ERR_MEMORY, "no memory for the naive loops");
}

static lg_status naive_mk_run(void *state)
{
    naive_job *n = state;
    memcpy(n->state, n->start, 2 * SITES);
    return naive_status(n, lg_naive_mk_forward(mk_params, n->seed, 0, SIDE, MK_STEPS, n->state));
}

static lg_status naive_mk_grad(void *state)
{
    naive_job *n = state;
    return naive_status(n, lg_naive_mk_gradient(mk_params, n->seed, SIDE, MK_STEPS, n->start, n->reference, &n->loss,
                                                n->grad));
}

static lg_status naive_si_run(void *state)
{
    naive_job *n = state;
    memset(n->state, 0, SITES);
    n->state[SITES / 2 + SIDE / 2] = 1;
    return naive_status(n, lg_naive_si_forward(si_beta, n->seed, 0, SIDE, SI_STEPS, n->state));
}

static lg_status naive_si_grad(void *state)
{
    naive_job *n = state;
    return naive_status(n,
                        lg_naive_si_gradient(si_beta, n->seed, SI_BATCH, SI_PAIRS, SIDE, n->frames, &n->loss, n->grad));
}

static lg_status naive_prw_run(void *state)
{
    naive_job *n = state;
    return naive_status(n, lg_naive_prw(prw_center, prw_resample, n->seed, n->walkers, PRW_STEPS, NULL, &n->msd, NULL,
                                        NULL));
}

static lg_status naive_prw_grad(void *state)
{
    naive_job *n = state;
    return naive_status(n, lg_naive_prw(prw_center, prw_resample, n->seed, n->walkers, PRW_STEPS, n->target, &n->msd,
                                        &n->loss, n->grad));
}

/* ---- measuring ------------------------------------------------------------------------------------------------ */

/* units: of work in one call; 0: the row gives milliseconds for one of `calls` parts of a call. */
typedef struct measure {
    const char *model, *work, *unit;
    double units, naive_units, calls;
    double naive_seconds; /* of a naive call */
} measure;

static lg_status measure_naive(lg_bench *b, measure *m, lg_bench_work work, naive_job *n)
{
    lg_bench_row row = {.threads = 1};
    const lg_status status = lg_bench_time(b, work, n, &m->naive_seconds);
    if (status) return status;
    snprintf(row.model, sizeof row.model, "%s", m->model);
    snprintf(row.work, sizeof row.work, "%s", m->work);
    snprintf(row.unit, sizeof row.unit, "%s", m->unit);
    snprintf(row.code, sizeof row.code, "naive");
    row.rate = m->naive_units > 0 ? m->naive_units / m->naive_seconds : 1e3 * m->naive_seconds;
    lg_bench_add(b, &row);
    return LG_OK;
}

static lg_status measure_library(lg_bench *b, const measure *m, lg_bench_work work, library_job *j, int threads)
{
    lg_bench_row row = {.threads = threads};
    double seconds;
    const lg_status status = lg_bench_time(b, work, j, &seconds);
    if (status) return status;
    snprintf(row.model, sizeof row.model, "%s", m->model);
    snprintf(row.work, sizeof row.work, "%s", m->work);
    snprintf(row.unit, sizeof row.unit, "%s", m->unit);
    snprintf(row.code, sizeof row.code, "%.*s", (int)strcspn(j->info.device, " "), j->info.device);
    if (m->units > 0) {
        row.rate = m->units / seconds;
        row.speedup = row.rate / (m->naive_units / m->naive_seconds);
    } else {
        row.rate = 1e3 * seconds / m->calls;
        row.speedup = m->naive_seconds / (seconds / m->calls);
    }
    lg_bench_add(b, &row);
    return LG_OK;
}

/* The library's side of a case on one thread and on all: lines of the problem, with the number of replicates. */
static lg_status measure_threads(lg_bench *b, const measure *m, lg_bench_work work, const char *lines)
{
    lg_status status = LG_OK;
    for (int threads = 1; threads <= b->threads && !status;
         threads = threads < b->threads ? b->threads : b->threads + 1) {
        library_job j = {.b = b};
        status = lg_bench_problem(b, &j.problem, threads, "%s", lines);
        if (!status) status = open_job(&j, work == run_forward);
        if (!status) status = measure_library(b, m, work, &j, threads);
        close_job(&j);
    }
    return status;
}

static lg_status differs(lg_bench *b, const char *what)
{
    return lg_cli_fail(b->cli, LG_ERR_CHECK, "bench: %s differs from the naive loop; nothing is timed", what);
}

/* Sums of many floats of both signs: compared on the scale of the largest component. */
static bool close_enough(const double *a, const double *b, int count)
{
    double scale = 0;
    for (int i = 0; i < count; i++) scale = fmax(scale, fabs(b[i]));
    for (int i = 0; i < count; i++) {
        if (!(fabs(a[i] - b[i]) <= 1e-3 * scale)) return false;
    }
    return true;
}

/* Compares the library's gradient of the job in `lines` with what the naive loop found. */
static lg_status validate_gradient(lg_bench *b, const char *lines, const naive_job *n, int params, const char *what)
{
    library_job j = {.b = b};
    lg_status status = lg_bench_problem(b, &j.problem, b->threads, "%s", lines);
    if (!status) status = open_job(&j, false);
    if (!status) status = run_gradient(&j);
    if (!status && (!(fabs(j.loss - n->loss) <= 1e-6 * fabs(n->loss)) || !close_enough(j.grad, n->grad, params))) {
        status = differs(b, what);
    }
    close_job(&j);
    return status;
}

/* State of the first replicate after the run of `lines`. */
static lg_status library_state(lg_bench *b, const char *lines, int64_t count, void *out)
{
    library_job j = {.b = b};
    lg_status status = lg_bench_problem(b, &j.problem, b->threads, "%s", lines);
    if (!status) status = open_job(&j, true);
    if (!status) status = run_forward(&j);
    if (!status) status = lg_batch_states(b->cli->ctx, j.batch, 0, 0, count, out);
    close_job(&j);
    return status;
}

static lg_status write_array(lg_bench *b, const char *name, int ndim, const size_t *shape, const uint8_t *data)
{
    char path[128];
    lg_array array = {0};
    lg_status status = lg_array_alloc(b->cli->ctx, LG_U8, ndim, shape, &array);
    if (status) return status;
    memcpy(array.data, data, lg_array_size(&array));
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    status = lg_array_write(b->cli->ctx, path, &array, true);
    lg_array_clear(&array);
    return status;
}

/* ---- MK ------------------------------------------------------------------------------------------------------- */

static lg_status mk_states(lg_bench *b, naive_job *n)
{
    static const size_t shape[] = {2, SIDE, SIDE};
    char lines[1024];
    memset(n->start, 25, 2 * SITES);
    memset(n->start + 29 * SIDE, 40, 6 * SIDE); /* the stripe */
    snprintf(lines, sizeof lines, "%stask=simulate\nreplicates=1\n", mk_lines);
    lg_status status = library_state(b, lines, 1, n->reference);
    if (!status) status = naive_mk_run(n);
    if (!status && memcmp(n->state, n->reference, 2 * SITES) != 0) status = differs(b, "mk forward");
    /* a reference other than the state the run ends in: the same planes exchanged */
    memcpy(n->reference, n->state + SITES, SITES);
    memcpy(n->reference + SITES, n->state, SITES);
    return status ? status : write_array(b, "reference.npy", 3, shape, n->reference);
}

static lg_status bench_mk(lg_bench *b, naive_job *n)
{
    char lines[2048], one[2048];
    measure forward = {"mk",
                       "forward, 64 x 64",
                       "M site steps/s",
                       (double)SITES * MK_STEPS * MK_LATTICES,
                       (double)SITES * MK_STEPS,
                       1,
                       0};
    measure gradient = {"mk", "forward + backward, 64 x 64", "M site steps/s", forward.units, forward.naive_units, 1,
                        0};
    lg_status status = mk_states(b, n);
    if (!status) status = measure_naive(b, &forward, naive_mk_run, n);
    snprintf(lines, sizeof lines, "%stask=simulate\nreplicates=%d\n", mk_lines, MK_LATTICES);
    if (!status) status = measure_threads(b, &forward, run_forward, lines);

    snprintf(one, sizeof one, "%stask=stability\ndata.reference=%s/reference.npy\nreplicates=1\n", mk_lines, b->folder);
    if (!status) status = naive_mk_grad(n);
    if (!status) status = validate_gradient(b, one, n, 5, "the mk gradient");
    if (!status) status = measure_naive(b, &gradient, naive_mk_grad, n);
    snprintf(lines, sizeof lines, "%stask=stability\ndata.reference=%s/reference.npy\nreplicates=%d\n", mk_lines,
             b->folder, MK_LATTICES);
    if (!status) status = measure_threads(b, &gradient, run_gradient, lines);
    measure single = {"mk", "one gradient, 64 x 64 x 500", "ms", 0, 0, 1, gradient.naive_seconds};
    return status ? status : measure_threads(b, &single, run_gradient, one);
}

/* ---- SI ------------------------------------------------------------------------------------------------------- */

/* One naive run of SI_PAIRS steps as frames, which become the transition pairs. */
static lg_status si_frames(lg_bench *b, naive_job *n)
{
    static const size_t shape[] = {SI_PAIRS + 1, SIDE, SIDE};
    memset(n->frames, 0, SITES);
    n->frames[SITES / 2 + SIDE / 2] = 1;
    for (int t = 0; t < SI_PAIRS; t++) {
        uint8_t *next = n->frames + (size_t)(t + 1) * SITES;
        memcpy(next, next - SITES, SITES);
        if (!lg_naive_si_forward(si_beta, n->seed + 1 + (uint64_t)t, 0, SIDE, 1, next)) return naive_status(n, false);
    }
    return write_array(b, "frames.npy", 3, shape, n->frames);
}

static lg_status bench_si(lg_bench *b, naive_job *n)
{
    static const char base[] = "model=si\nlattice.height=64\nlattice.width=64\nparams.beta.start=0.2\n";
    char lines[1024];
    uint8_t state[SITES];
    measure forward = {"si",
                       "forward, 64 x 64, 50 steps",
                       "M site steps/s",
                       (double)SITES * SI_STEPS * SI_LATTICES,
                       (double)SITES * SI_STEPS,
                       1,
                       0};
    measure gradient = {"si", "minibatch gradient, 128 x 64 x 64", "ms", 0, 0, 1, 0};
    snprintf(lines, sizeof lines, "%stask=simulate\nsteps=%d\nreplicates=%d\n", base, SI_STEPS, SI_LATTICES);
    lg_status status = library_state(b, lines, 1, state);
    if (!status) status = naive_si_run(n);
    if (!status && memcmp(state, n->state, SITES) != 0) status = differs(b, "si forward");
    if (!status) status = measure_naive(b, &forward, naive_si_run, n);
    if (!status) status = measure_threads(b, &forward, run_forward, lines);

    snprintf(lines, sizeof lines, "%stask=transition\nloss=sse\ndata.frames=%s/frames.npy\nreplicates=%d\n", base,
             b->folder, SI_BATCH);
    if (!status) status = si_frames(b, n);
    if (!status) status = naive_si_grad(n);
    if (!status) status = validate_gradient(b, lines, n, 1, "the si gradient");
    if (!status) status = measure_naive(b, &gradient, naive_si_grad, n);
    return status ? status : measure_threads(b, &gradient, run_gradient, lines);
}

/* ---- PRW ------------------------------------------------------------------------------------------------------ */

/* MSD after the last step of 1,500 walkers, and the target the gradients use. */
static lg_status prw_validate(lg_bench *b, naive_job *n)
{
    char lines[1024];
    int32_t walker[PRW_WALKERS][4];
    int64_t sum = 0;
    library_job j = {.b = b};
    snprintf(lines, sizeof lines, "%stask=simulate\nreplicates=%d\n", prw_lines, PRW_WALKERS);
    lg_status status = library_state(b, lines, PRW_WALKERS, walker);
    for (int i = 0; i < PRW_WALKERS && !status; i++) {
        sum += (int64_t)walker[i][0] * walker[i][0] + (int64_t)walker[i][1] * walker[i][1];
    }
    if (!status) status = naive_prw_run(n);
    if (!status && sum != n->msd) status = differs(b, "prw forward");
    snprintf(lines, sizeof lines, "%stask=trajectory\nreplicates=%d\n", prw_lines, PRW_WALKERS);
    if (!status) status = lg_bench_problem(b, &j.problem, b->threads, "%s", lines);
    if (!status) memcpy(n->target, lg_problem_target(j.problem), sizeof n->target);
    close_job(&j);
    if (!status) status = naive_prw_grad(n);
    return status ? status : validate_gradient(b, lines, n, 2, "the prw gradient");
}

static lg_status bench_prw(lg_bench *b, naive_job *n)
{
    char lines[1024];
    const double units = (double)PRW_MANY * PRW_STEPS, naive = (double)PRW_WALKERS * PRW_STEPS;
    measure forward = {"prw", "forward, 10 steps", "M walker steps/s", units, naive, 1, 0};
    measure gradient = {"prw", "forward + gradient, 10 steps", "M walker steps/s", units, naive, 1, 0};
    n->walkers = PRW_WALKERS;
    lg_status status = prw_validate(b, n);
    if (!status) status = measure_naive(b, &forward, naive_prw_run, n);
    snprintf(lines, sizeof lines, "%stask=simulate\nreplicates=%d\n", prw_lines, PRW_MANY);
    if (!status) status = measure_threads(b, &forward, run_forward, lines);
    if (!status) status = measure_naive(b, &gradient, naive_prw_grad, n);
    snprintf(lines, sizeof lines, "%stask=trajectory\nreplicates=%d\n", prw_lines, PRW_MANY);
    if (!status) status = measure_threads(b, &gradient, run_gradient, lines);
    measure fit = {"prw", "one Adam step, 1,500 x 10", "ms", 0, 0, PRW_FIT, gradient.naive_seconds};
    snprintf(lines, sizeof lines, "%stask=trajectory\nreplicates=%d\niterations=%d\n", prw_lines, PRW_WALKERS, PRW_FIT);
    return status ? status : measure_threads(b, &fit, run_fit, lines);
}

lg_status lg_bench_cases(lg_bench *b)
{
    naive_job n = {.b = b};
    library_job probe = {.b = b};
    n.start = malloc(2 * SITES);
    n.reference = malloc(2 * SITES);
    n.state = malloc(2 * SITES);
    n.frames = malloc((SI_PAIRS + 1) * SITES);
    lg_status status = naive_status(&n, n.start && n.reference && n.state && n.frames);
    if (!status) status = lg_bench_problem(b, &probe.problem, 1, "%stask=simulate\n", prw_lines);
    if (!status) status = open_job(&probe, false);
    n.seed = probe.info.seed; /* --seed counts */
    close_job(&probe);
    if (!status) status = bench_mk(b, &n);
    if (!status) status = bench_si(b, &n);
    if (!status) status = bench_prw(b, &n);
    free(n.start);
    free(n.reference);
    free(n.state);
    free(n.frames);
    return status;
}
