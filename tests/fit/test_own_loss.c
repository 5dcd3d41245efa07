/* A loss of the caller's own: the library's losses written as one give their gradients; closed forms; what is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "fit/problem.h"
#include "fit/problems.h"
#include "model/models.h"
#include "model/spectrum.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(own_loss, .init = setup, .fini = teardown);

/* ---- the library's losses, as a stranger would write them ------------------------------------------------------- */

typedef struct twin {
    const lg_problem *problem; /* its data; a copy of the job from before the loss was set: */
    lg_job job;
    int calls;
} twin;

/* S = sum (X - X_ref)^2; L = S, its mean, or its logarithm. */
static int state_loss(const lg_recorded *s, double *loss, float *adjoint, void *user)
{
    twin *t = user;
    const lg_job *job = &t->job;
    const size_t bytes = lg_job_state_bytes(job);
    const double entries = (double)s->replicates * (double)bytes;
    double S = 0.0;
    t->calls++;
    for (int pass = 0; pass < 2; pass++) {
        const double slope = pass ? lg_state_loss_slope(job->loss, S, entries) : 0.0;
        for (size_t r = 0; r < (size_t)s->replicates; r++) {
            const uint8_t *x = s->lattice + r * bytes;
            const uint8_t *ref = job->target + (job->task == LG_TASK_transition ? s->row[r] * bytes : 0);
            for (size_t i = 0; i < bytes; i++) {
                const double d = (double)x[i] - (double)ref[i];
                if (pass && adjoint) adjoint[r * bytes + i] = (float)(2.0 * slope * d);
                if (!pass) S += d * d;
            }
        }
    }
    *loss = lg_state_loss(job->loss, S, entries);
    return 0;
}

static void lattice_statistics(const lg_job *job, const lg_spectrum *spectrum, lg_complex *work, const uint8_t *x,
                               double *out)
{
    if (job->task == LG_TASK_formation) lg_formation_statistics(spectrum, x, work, out);
    else lg_model_statistics(job->model, x, lg_job_sites(job), out);
}

static void lattice_adjoint(const lg_job *job, const lg_spectrum *spectrum, lg_complex *work, const uint8_t *x,
                            const double *a, float *out)
{
    const size_t sites = lg_job_sites(job);
    double mean[64];
    if (job->task == LG_TASK_formation) {
        for (int i = 0; i < 2; i++) lg_formation_adjoint(spectrum, x, i, a, work, out + (size_t)i * sites, job->width);
        return;
    }
    lg_model_statistics(job->model, x, sites, mean);
    const int species = job->model->species; /* SI: the fraction; MK: means and variances of A and B */
    for (int i = 0; i < species; i++)
        for (size_t j = 0; j < sites; j++) {
            const double centred = (double)x[(size_t)i * sites + j] - mean[i];
            const double slope = species == 2 ? 2.0 * a[2 + i] * centred : 0.0;
            out[(size_t)i * sites + j] = (float)((a[i] + slope) / (double)sites);
        }
}

/* L = sum_k w_k (s_k - target_k)^2 of the mean statistics. */
static int statistic_loss(const lg_recorded *s, double *loss, float *adjoint, void *user)
{
    const twin *t = user;
    const lg_job *job = &t->job;
    const size_t S = lg_job_kinds(job), K = (size_t)s->records, bytes = lg_job_state_bytes(job);
    double mean[256] = {0}, one[64], a[256];
    lg_spectrum spectrum = {0};
    lg_complex *work = NULL;
    cr_assert_leq(K * S, 256);
    if (job->task == LG_TASK_formation) {
        cr_assert(lg_spectrum_open(&spectrum, job->height, job->width));
        work = malloc(lg_spectrum_work(&spectrum) * sizeof *work);
    }
    for (size_t r = 0; r < (size_t)s->replicates; r++)
        for (size_t k = 0; k < K; k++) {
            lattice_statistics(job, &spectrum, work, s->lattice + (r * K + k) * bytes, one);
            for (size_t i = 0; i < S; i++) mean[k * S + i] += one[i] / (double)s->replicates;
        }
    *loss = 0.0;
    for (size_t i = 0; i < K * S; i++) {
        const double d = mean[i] - job->target_stat[i];
        *loss += job->weight_stat[i] * d * d;
        a[i] = 2.0 * job->weight_stat[i] * d / (double)s->replicates;
    }
    for (size_t r = 0; adjoint && r < (size_t)s->replicates; r++)
        for (size_t k = 0; k < K; k++)
            lattice_adjoint(job, &spectrum, work, s->lattice + (r * K + k) * bytes, a + k * S,
                            adjoint + (r * K + k) * bytes);
    free(work);
    lg_spectrum_close(&spectrum);
    return 0;
}

/* L = sum_k w_k (MSD_k - target_k)^2. */
static int msd_loss(const lg_recorded *s, double *loss, float *adjoint, void *user)
{
    const twin *t = user;
    const size_t K = (size_t)s->records, R = (size_t)s->replicates;
    *loss = 0.0;
    for (size_t k = 0; k < K; k++) {
        double msd = 0.0;
        for (size_t r = 0; r < R; r++) {
            const int32_t *x = s->walk + (r * K + k) * 2;
            msd += (double)(x[0] * x[0] + x[1] * x[1]) / (double)R;
        }
        const double d = msd - t->job.target_stat[k], w = t->job.weight_stat[k];
        *loss += w * d * d;
        for (size_t i = 0; adjoint && i < 2 * R; i++) {
            const size_t at = (i / 2 * K + k) * 2 + i % 2;
            adjoint[at] = (float)(2.0 * w * d * 2.0 * (double)s->walk[at] / (double)R);
        }
    }
    return 0;
}

/* Sets the library's own loss of the problem as one of the caller's. */
static void set_twin(lg_problem *p, twin *t)
{
    *t = (twin){.problem = p, .job = p->job};
    int64_t record[256];
    cr_assert_leq(p->job.records, 256);
    for (uint32_t k = 0; k < p->job.records; k++) record[k] = p->job.record[k];
    lg_loss_fn loss = !p->job.model->species ? msd_loss : p->job.target_stat ? statistic_loss : state_loss;
    cr_assert_eq(lg_problem_set_loss(ctx, p, loss, t, p->job.records ? record : NULL, (int)p->job.records), LG_OK, "%s",
                 lg_context_message(ctx));
}

/* ---- equality --------------------------------------------------------------------------------------------------- */

#define MK_PARAMS \
    "params.D_A.start=0.3", "params.D_B.start=0.5", "params.k1.start=0.8", "params.k2.start=0.15", "params.k3.start=0.3"
#define MK                                                                                                \
    "model=mk", "lattice.height=12", "lattice.width=10", "lattice.gamma=0.02", "replicates=3", MK_PARAMS, \
        "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",   \
        "data.generate.params.k2=0.1", "data.generate.params.k3=0.2"
#define SI                                                                                                  \
    "model=si", "lattice.height=13", "lattice.width=11", "params.beta.start=0.3", "replicates=5", "fits=2", \
        "data.generate.params.beta=0.2", "data.generate.runs=2"
#define WALK                                                                                              \
    "model=prw", "params.p_center.start=0.6", "params.p_resample.start=0.5", "steps=7", "replicates=150", \
        "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.6", "data.generate.runs=200"
#define MK_GR "estimator.binary=gr", "estimator.categorical=gr", "estimator.draws=3"

static const char *const *const pathwise[] = {
    SETTINGS(SI, "data.generate.steps=6"),
    SETTINGS(SI, "data.generate.steps=6", "loss=mse", "estimator.binary=gs"),
    SETTINGS(SI, "data.generate.steps=6", "estimator.binary=gr"),
    SETTINGS(SI, "task=stability", "steps=6", "data.generate.steps=6", "estimator.method=pathwise"),
    SETTINGS(SI, "task=stability", "steps=6", "loss=log_sse", "data.generate.steps=6", "estimator.binary=gs"),
    SETTINGS(SI, "task=stability", "steps=6", "loss=mse", "data.generate.steps=6", "estimator.binary=gr"),
    SETTINGS(SI, "task=trajectory", "data.generate.steps=6", "steps=6", "estimator.method=pathwise"),
    SETTINGS(SI, "task=trajectory", "data.generate.steps=6", "steps=6", "estimator.binary=gs", "data.record_every=2"),
    SETTINGS(MK, "task=transition", "data.generate.steps=5", "loss=sse"),
    SETTINGS(MK, "task=transition", "data.generate.steps=5", "loss=mse", MK_GR),
    SETTINGS(MK, "steps=9", "data.generate.steps=20"),
    SETTINGS(MK, "steps=9", "data.generate.steps=20", "loss=mse", "estimator.binary=gs"),
    SETTINGS(MK, "steps=9", "data.generate.steps=20", "loss=sse", MK_GR, "fits=2"),
    SETTINGS(MK, "task=trajectory", "data.generate.steps=8", "steps=8", "data.record_every=4",
             "estimator.method=pathwise"),
    SETTINGS(MK, "task=trajectory", "data.generate.steps=8", "steps=8", MK_GR),
    SETTINGS(MK, "task=formation", "data.generate.steps=8", "steps=8", "data.record_every=4",
             "estimator.method=pathwise"),
    SETTINGS(WALK),
    SETTINGS(WALK, "estimator.binary=ste", "fits=2"),
    SETTINGS(WALK, MK_GR, "estimator.v0=const"),
};

/* Loss and gradient of the library, then of its twin, at the start values. */
static void both(lg_problem *p, twin *t, double loss[2][4], double grad[2][20])
{
    lg_problem_info info;
    double params[20];
    lg_problem_describe(p, &info);
    cr_assert_leq(info.fits * info.params, 20);
    for (int f = 0; f < info.fits; f++) lg_problem_start(p, f, params + f * info.params);
    cr_assert_eq(lg_evaluate(ctx, p, 3, params, loss[0], grad[0]), LG_OK, "%s", lg_context_message(ctx));
    set_twin(p, t);
    cr_assert_eq(lg_evaluate(ctx, p, 3, params, loss[1], grad[1]), LG_OK, "%s", lg_context_message(ctx));
}

/* Where both round the same double to the float adjoint, the bytes are equal; elsewhere each differs by up to 2^-23 of itself, and
 * their sum cancels: measured, up to 1.3e-7 of the largest derivative. */
Test(own_loss, equals_the_built_in_ones)
{
    for (size_t c = 0; c < sizeof pathwise / sizeof *pathwise; c++) {
        lg_problem *p = make_problem(ctx, pathwise[c]);
        lg_problem_info info;
        twin t;
        double loss[2][4], grad[2][20], size = 0.0;
        both(p, &t, loss, grad);
        lg_problem_describe(p, &info);
        cr_assert_str_eq(info.loss, "own");
        for (int i = 0; i < info.fits * info.params; i++) size = fmax(size, fabs(grad[0][i]));
        for (int f = 0; f < info.fits; f++)
            cr_assert_float_eq(loss[1][f], loss[0][f], 1e-12 * fabs(loss[0][f]), "case %zu, fit %d: loss %.17g, %.17g",
                               c, f, loss[0][f], loss[1][f]);
        cr_assert_gt(size, 0.0, "case %zu", c);
        for (int i = 0; i < info.fits * info.params; i++)
            cr_assert_float_eq(grad[1][i], grad[0][i], 1e-6 * size, "case %zu, derivative %d: %.17g, %.17g (size %g)",
                               c, i, grad[0][i], grad[1][i], size);
        lg_problem_free(p);
    }
}

/* Finite differences ask for the loss at the displaced parameters, and so do searches: equal bytes. */
Test(own_loss, finite_differences_and_searches)
{
    const char *const *const settings[] = {
        SETTINGS(SI, "data.generate.steps=6", "estimator.method=fd"),
        SETTINGS(SI, "task=trajectory", "data.generate.steps=6", "steps=6", "estimator.method=fd",
                 "optimizer.name=adam"),
        SETTINGS(MK, "steps=9", "data.generate.steps=20", "loss=mse", "estimator.method=fd"),
        SETTINGS(WALK, "estimator.method=fd", "optimizer.name=adam"),
    };
    for (size_t c = 0; c < sizeof settings / sizeof *settings; c++) {
        lg_problem *p = make_problem(ctx, settings[c]);
        twin t;
        double loss[2][4], grad[2][20];
        const size_t numbers = p->job.fits * (size_t)p->job.model->params;
        both(p, &t, loss, grad);
        for (size_t i = 0; i < numbers; i++)
            cr_assert_float_eq(grad[1][i], grad[0][i], 1e-9 * fabs(grad[0][i]), "case %zu: %.17g, %.17g", c, grad[0][i],
                               grad[1][i]);
        lg_problem_free(p);
    }
    lg_result *result[2];
    twin t;
    for (int own = 0; own < 2; own++) {
        lg_problem *p = make_problem(ctx, SETTINGS(MK, "steps=9", "data.generate.steps=20", "loss=sse",
                                                   "method.name=cma_es", "method.simulations=80"));
        if (own) set_twin(p, &t);
        cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &result[own]), LG_OK, "%s", lg_context_message(ctx));
        lg_problem_free(p);
    }
    cr_assert_gt(t.calls, 60);
    cr_assert_eq(lg_result_loss(result[0], 0), lg_result_loss(result[1], 0));
    cr_assert_arr_eq(lg_result_params(result[0], 0), lg_result_params(result[1], 0), 5 * sizeof(double));
    lg_result_free(result[0]);
    lg_result_free(result[1]);
}

/* The loop, its bounds and its optimiser take the loss as they take the library's: the traces are the same bytes. */
Test(own_loss, fits_alike)
{
    lg_result *result[2];
    for (int own = 0; own < 2; own++) {
        twin t;
        lg_problem *p = make_problem(ctx, SETTINGS(MK, "steps=9", "data.generate.steps=20", "loss=log_sse",
                                                   "iterations=12", "fits=2", "optimizer.name=adam", "optimizer.lr=0.3",
                                                   "optimizer.clip=0", "params.k2.bounds=[0.14, 0.16]"));
        if (own) set_twin(p, &t);
        cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &result[own]), LG_OK, "%s", lg_context_message(ctx));
        cr_assert(!own || t.calls == 24);
        lg_problem_free(p);
    }
    for (int f = 0; f < 2; f++)
        cr_assert_arr_eq(lg_result_trace(result[0], f), lg_result_trace(result[1], f), 12 * 8 * sizeof(double));
    lg_result_info info;
    lg_result_describe(result[1], &info);
    cr_assert_str_eq(info.loss, "own");
    lg_result_free(result[0]);
    lg_result_free(result[1]);
}

/* ---- closed forms ----------------------------------------------------------------------------------------------- */

typedef struct weights {
    double
        at[3]; /* L = sum over records of at[k] times the mean over replicates of the aware sites (or of x^2 + y^2) */
    int calls, fits_seen;
    int64_t steps_seen;
} weights;

static int linear(const lg_recorded *s, double *loss, float *adjoint, void *user)
{
    weights *w = user;
    const size_t bytes = (size_t)s->species * (size_t)s->height * (size_t)s->width;
    w->calls++;
    w->fits_seen |= 1 << s->fit;
    w->steps_seen = s->step[s->records - 1];
    *loss = 0.0;
    for (size_t r = 0; r < (size_t)s->replicates; r++)
        for (size_t k = 0; k < (size_t)s->records; k++)
            for (size_t i = 0; i < bytes; i++) {
                const size_t at = (r * (size_t)s->records + k) * bytes + i;
                *loss += w->at[k] / (double)s->replicates * (double)s->lattice[at];
                if (adjoint) adjoint[at] = (float)(w->at[k] / (double)s->replicates);
            }
    return 0;
}

static double linear_gradient(lg_problem *p, weights w, const int64_t *record, int records)
{
    double loss, grad;
    cr_assert_eq(lg_problem_set_loss(ctx, p, linear, &w, record, records), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_evaluate(ctx, p, 0, (const double[]){0.25}, &loss, &grad), LG_OK, "%s", lg_context_message(ctx));
    return grad;
}

/* SI from one aware site, loss linear in the states. With ste the gradient of the first step is free of noise:
 * dL/dbeta = sum over sites of (1 - X) N (1 - beta)^(N-1) = 8. Gradients of sums are sums of gradients; later steps say
 * nothing about earlier ones. Task simulate: no data. */
Test(own_loss, linear_losses)
{
    const char *const *const one = SETTINGS("model=si", "task=simulate", "lattice.height=16", "lattice.width=16",
                                            "replicates=4", "steps=1"),
                             *const *const three = SETTINGS("model=si", "task=simulate", "lattice.height=16",
                                                            "lattice.width=16", "replicates=4", "steps=3");
    lg_problem *p = make_problem(ctx, one), *q = make_problem(ctx, three);
    cr_assert_float_eq(linear_gradient(p, (weights){.at = {1.0}}, NULL, 0), 8.0, 1e-5);
    const int64_t first[] = {1}, ends[] = {1, 3};
    cr_assert_float_eq(linear_gradient(q, (weights){.at = {1.0}}, first, 1), 8.0, 1e-5);
    const double last = linear_gradient(q, (weights){.at = {1.0}}, NULL, 0);
    cr_assert_gt(last, 20.0); /* the news is a square of side 7 at most, and grows with beta */
    cr_assert_float_eq(linear_gradient(q, (weights){.at = {2.0, -0.5}}, ends, 2), 16.0 - 0.5 * last, 1e-5 * last);
    lg_problem_free(p);
    lg_problem_free(q);
    /* By finite differences, E[aware] = 1 + 8 beta after a step. With common noise each of the 8 sites differs between the two
     * points with probability h = 0.05: standard error sqrt(8 h / 4000) / h = 0.2. Six of them: false alarms below 1e-8. */
    lg_problem *d = make_problem(ctx, SETTINGS("model=si", "task=simulate", "lattice.height=16", "lattice.width=16",
                                               "replicates=4000", "steps=1", "estimator.method=fd", "fits=2"));
    weights w = {.at = {1.0}};
    double loss[2], grad[2];
    cr_assert_eq(lg_problem_set_loss(ctx, d, linear, &w, NULL, 0), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_evaluate(ctx, d, 0, (const double[]){0.25, 0.5}, loss, grad), LG_OK);
    cr_assert(w.calls == 6 && w.fits_seen == 3 && w.steps_seen == 1, "%d calls, fits %x", w.calls, w.fits_seen);
    cr_assert_float_eq(loss[0], 3.0, 0.12); /* six standard errors, sqrt(8 0.25 0.75 / 4000) */
    cr_assert_float_eq(grad[0], 8.0, 1.2);
    lg_problem_free(d);
}

/* ---- invariance ------------------------------------------------------------------------------------------------- */

/* Threads, and a tape that does not fit: the same bytes. */
Test(own_loss, thread_invariance)
{
    const char *const *const models[] = {
        SETTINGS("model=si", "task=simulate", "lattice.height=64", "lattice.width=64", "replicates=9", "steps=300"),
        SETTINGS("model=mk", "task=simulate", "lattice.height=64", "lattice.width=64", "replicates=9", "steps=300"),
    };
    for (int m = 0; m < 2; m++) {
        double loss[3], grad[3][5] = {{0}}, params[5];
        lg_problem_info info;
        for (int variant = 0; variant < 3; variant++) {
            const char *settings[16] = {NULL};
            int n = 0;
            for (; models[m][n]; n++) settings[n] = models[m][n];
            settings[n++] = variant == 1 ? "threads=3" : "threads=1";
            if (variant == 2) settings[n] = m ? "memory_limit=3" : "memory_limit=1";
            lg_problem *p = make_problem(ctx, settings);
            weights w = {.at = {1.0, -2.0}};
            const int64_t record[] = {7, 30};
            cr_assert_eq(lg_problem_set_loss(ctx, p, linear, &w, record, 2), LG_OK, "%s", lg_context_message(ctx));
            lg_problem_describe(p, &info);
            cr_assert(variant < 2 || info.checkpoint_interval > 1, "model %d: %zu bytes", m, info.total_bytes);
            lg_problem_start(p, 0, params);
            cr_assert_eq(lg_evaluate(ctx, p, 1, params, &loss[variant], grad[variant]), LG_OK);
            lg_problem_free(p);
            cr_assert_eq(loss[variant], loss[0]);
            cr_assert_arr_eq(grad[variant], grad[0], (size_t)info.params * sizeof(double));
        }
        cr_assert_neq(grad[0][0], 0.0);
    }
}

/* ---- what goes wrong -------------------------------------------------------------------------------------------- */

typedef struct fault {
    int answer;
    long bad; /* the adjoint that is not finite, or -1 */
    double loss;
} fault;

static int faulty(const lg_recorded *s, double *loss, float *adjoint, void *user)
{
    const fault *f = user;
    (void)s;
    *loss = f->loss;
    if (f->bad >= 0 && adjoint) adjoint[f->bad] = NAN;
    return f->answer;
}

static lg_status evaluate(lg_problem *p, double *loss)
{
    double params[10], grad[10];
    for (int f = 0; f < (int)p->job.fits; f++) lg_problem_start(p, f, params + f * p->job.model->params);
    return lg_evaluate(ctx, p, 0, params, loss, grad);
}

Test(own_loss, faults_of_the_function)
{
    lg_problem *p = make_problem(ctx, SETTINGS("model=mk", "task=simulate", "lattice.height=6", "lattice.width=5",
                                               "replicates=2", "steps=4", "iterations=3"));
    const int64_t record[] = {2, 4};
    double loss;
    fault f = {.bad = ((1 * 2 + 1) * 2 + 1) * 30 + 3 * 5 + 2, .loss = 1.0}; /* [1][1][1][3][2] */
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, record, 2), LG_OK);
    cr_assert_eq(evaluate(p, &loss), LG_ERR_NUMERIC);
    cr_assert_not_null(strstr(lg_context_message(ctx), "replicate 1, step 4, species 1, row 3, column 2"), "%s",
                       lg_context_message(ctx));
    f = (fault){.answer = 7, .bad = -1, .loss = 1.0};
    cr_assert_eq(evaluate(p, &loss), LG_ERR_CHECK);
    cr_assert_not_null(strstr(lg_context_message(ctx), "gave up with 7"), "%s", lg_context_message(ctx));
    lg_result *r = NULL;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_ERR_CHECK);
    f = (fault){.bad = 0, .loss = INFINITY};
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_NOT_FINITE);
    lg_result_free(r);
    lg_problem_free(p);
    p = make_problem(ctx, SETTINGS(WALK));
    f = (fault){.bad = 2 * 70 + 1, .loss = 1.0};
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, NULL, 0), LG_OK);
    cr_assert_eq(evaluate(p, &loss), LG_ERR_NUMERIC);
    cr_assert_not_null(strstr(lg_context_message(ctx), "y of walker 70 after step 7"), "%s", lg_context_message(ctx));
    lg_problem_free(p);
}

Test(own_loss, refusals)
{
    fault f = {.bad = -1};
    lg_problem *p = make_problem(ctx, SETTINGS(WALK));
    const int64_t zero[] = {0}, beyond[] = {8}, twice[] = {3, 3};
    cr_assert_eq(lg_problem_set_loss(ctx, p, NULL, NULL, NULL, 0), LG_ERR_USAGE);
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, zero, 0), LG_ERR_USAGE);
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, zero, 1), LG_ERR_RANGE);
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, beyond, 1), LG_ERR_RANGE);
    cr_assert_not_null(strstr(lg_context_message(ctx), "is 8: expected ascending steps from 1 to 7"));
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, twice, 2), LG_ERR_RANGE);
    double loss;
    cr_assert_eq(evaluate(p, &loss), LG_OK); /* with the loss of the library, as before */
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, NULL, 0), LG_OK);
    cr_assert_eq(lg_noise_dump(ctx, p, 0, "/tmp", false), LG_ERR_UNSUPPORTED);
    lg_problem_free(p);

    const char *const *const unsupported[] = {
        SETTINGS(WALK, "estimator.method=score"),
        SETTINGS(WALK, "estimator.method=exact"),
        SETTINGS(SI, "data.generate.steps=6", "loss=nll", "estimator.method=exact"),
        SETTINGS(WALK, "optimizer.name=lm"),
    };
    for (size_t c = 0; c < sizeof unsupported / sizeof *unsupported; c++) {
        p = make_problem(ctx, unsupported[c]);
        cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, NULL, 0), LG_ERR_UNSUPPORTED);
        cr_assert_not_null(strstr(lg_context_message(ctx), c < 3 ? "pathwise or fd" : "adam or sgd"), "%s",
                           lg_context_message(ctx));
        lg_problem_free(p);
    }
    int64_t all[400];
    for (int k = 0; k < 400; k++) all[k] = k + 1;
    p = make_problem(ctx, SETTINGS("model=mk", "task=simulate", "lattice.height=64", "lattice.width=64", "replicates=8",
                                   "steps=400", "memory_limit=64"));
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, all, 400), LG_ERR_MEMORY);
    cr_assert_not_null(strstr(lg_context_message(ctx), "125.0 MiB of them for the recorded states and adjoints"), "%s",
                       lg_context_message(ctx));
    cr_assert_eq(lg_problem_set_loss(ctx, p, faulty, &f, all, 1), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_free(p);
}
