/* Gradient methods against closed forms. What is random is tested by means over independent iterations with their own noise at
 * a fixed seed: |mean - expected| < 5.5 standard errors of 60 iterations, a false alarm of about 1e-6 each. */
#include "backend/hosted.h"
#include "base/device.h"
#include "model/models.h"
#include "noise/job.h"

#include <math.h>

enum { ITERATIONS = 60 };

TestSuite(methods, .init = open_device, .fini = close_device);

typedef struct moments {
    double mean[LG_MAX_PARAMS], error[LG_MAX_PARAMS], variance[LG_MAX_PARAMS], loss;
} moments;

/* Gradients of `iterations` iterations from `first` on, by the job's method, or the statistic's Jacobian (K = 1). */
static moments estimate(const lg_job *job, uint64_t first, int iterations, bool jacobian)
{
    const lg_backend *backend = &lg_backend_cpu;
    lg_device *own = NULL;
    lg_dbatch *batch;
    const size_t P = (size_t)job->model->params;
    moments m = {{0}, {0}, {0}, 0.0};
    cr_assert_eq(lg_backend_cpu.open(ctx, 0, 1, &own), LG_OK);
    cr_assert_eq(lg_method_open(ctx, job, &backend, &own), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(backend->create(ctx, own, job, true, &batch), LG_OK, "%s", lg_context_message(ctx));
    for (int i = 0; i < iterations; i++) {
        double g[LG_MAX_PARAMS], loss;
        cr_assert_eq(backend->reset(ctx, batch, first + (uint64_t)i), LG_OK);
        cr_assert_eq(backend->forward(ctx, batch, job->steps, true), LG_OK);
        cr_assert_eq(backend->loss(ctx, batch), LG_OK);
        cr_assert_eq(backend->backward(ctx, batch), LG_OK);
        cr_assert_eq(backend->get_loss(ctx, batch, &loss), LG_OK);
        cr_assert_eq((jacobian ? backend->get_jacobian : backend->get_gradient)(ctx, batch, g), LG_OK, "%s",
                     lg_context_message(ctx));
        m.loss += loss / iterations;
        for (size_t p = 0; p < P; p++) {
            m.mean[p] += g[p];
            m.variance[p] += g[p] * g[p];
        }
    }
    for (size_t p = 0; p < P; p++) {
        m.mean[p] /= iterations;
        m.variance[p] = fmax(0.0, m.variance[p] / iterations - m.mean[p] * m.mean[p]) * iterations / (iterations - 1.0);
        m.error[p] = sqrt(m.variance[p] / iterations);
    }
    backend->destroy(batch);
    backend->close(own);
    return m;
}

static void agrees(const char *what, const moments *m, int p, double expected, double slack)
{
    cr_assert(fabs(m->mean[p] - expected) <= 5.5 * m->error[p] + slack * fabs(expected),
              "%s, parameter %d: %.6g +- %.2g, expected %.6g", what, p, m->mean[p], m->error[p], expected);
}

static void fit_all(lg_job *job)
{
    job->optimizer.params = job->model->params;
    job->fd_step = 0.05;
    for (int i = 0; i < job->model->params; i++) {
        job->optimizer.fitted[i] = true;
        job->optimizer.grad_of_logit[i] = job->model->param[i].grad_of_logit;
        job->optimizer.transform[i] = job->model->param[i].grad_of_logit ? LG_TRANSFORM_logit : LG_TRANSFORM_none;
        job->optimizer.lower[i] = job->model->fit_bounds[i][0];
        job->optimizer.upper[i] = job->model->fit_bounds[i][1];
    }
}

/* ---- PRW -------------------------------------------------------------------------------------------------------- */

static void make_walk(test_job *t, uint32_t walkers, double p_center, double p_resample, double target)
{
    test_job_walk(t, lg_model_find("prw"), walkers, 10);
    fit_all(&t->job);
    t->params[0] = p_center;
    t->params[1] = p_resample;
    t->record[0] = 10;
    t->target_stat[0] = target;
    t->weight_stat[0] = 1.0;
    t->job.records = 1;
    t->job.record = t->record;
    t->job.target_stat = t->target_stat;
    t->job.weight_stat = t->weight_stat;
}

/* The closed form's derivatives: central differences of the closed form, and the values worked out beforehand. */
Test(methods, closed_form_of_the_walk)
{
    static const double points[][2] = {{0.2, 0.1}, {0.7, 0.7}, {0.01, 0.99}, {0.999, 0.5}, {0.3, 1e-4}};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        double slopes[40], up[20], down[20];
        lg_prw_msd_slopes(points[i][0], points[i][1], 20, slopes);
        for (int p = 0; p < 2; p++) {
            double x[2] = {points[i][0], points[i][1]}, y[2] = {x[0], x[1]};
            const double h = 1e-4;
            x[p] = lg_sigmoid(lg_logit(x[p]) + h);
            y[p] = lg_sigmoid(lg_logit(y[p]) - h);
            lg_prw_msd(x[0], x[1], 20, up);
            lg_prw_msd(y[0], y[1], 20, down);
            for (int n = 0; n < 20; n++)
                cr_assert_float_eq(slopes[2 * n + p], (up[n] - down[n]) / (2 * h), 1e-6 * (1.0 + up[n]));
        }
    }
    double slopes[20];
    lg_prw_msd_slopes(0.2, 0.1, 10, slopes);
    cr_assert_float_eq(slopes[18], -23.3, 0.05);
    cr_assert_float_eq(slopes[19], -32.0, 0.05);
}

/* d MSD(10) / d logit at (0.2, 0.1). The expected loss of R walkers is (MSD - target)^2 + variance / R; far from the target the
 * gradient over 2 (MSD - target) is the derivative of the MSD. */
Test(methods, walk_derivatives)
{
    double msd[10], slopes[20];
    test_job t;
    lg_prw_msd(0.2, 0.1, 10, msd);
    lg_prw_msd_slopes(0.2, 0.1, 10, slopes);
    make_walk(&t, 1000, 0.2, 0.1, msd[9] - 1e5);
    for (int method = LG_GRADIENT_score; method <= LG_GRADIENT_exact; method++) {
        t.job.method = (lg_gradient_method)method;
        moments m = estimate(&t.job, 1, method == LG_GRADIENT_exact ? 2 : ITERATIONS, false);
        for (int p = 0; p < 2; p++) {
            m.mean[p] /= 2e5;
            m.error[p] /= 2e5;
            agrees(method == LG_GRADIENT_score ? "score" : "fd or exact", &m, p, slopes[18 + p], 1e-3);
        }
        if (method == LG_GRADIENT_score) continue;
        m = estimate(&t.job, 1, method == LG_GRADIENT_exact ? 2 : ITERATIONS, true);
        for (int p = 0; p < 2; p++) agrees("jacobian", &m, p, slopes[18 + p], 1e-3);
    }
    /* the estimators of the draws are biased: the walk's gs figures worked out beforehand, -3.92 and -89.1 */
    static const double gs[2] = {-3.92, -89.1};
    t.job.method = LG_GRADIENT_pathwise;
    t.job.binary = t.job.categorical = LG_ESTIMATOR_gs;
    t.job.v0_const = true;
    moments m = estimate(&t.job, 1, ITERATIONS, false);
    for (int p = 0; p < 2; p++) {
        m.mean[p] /= 2e5;
        m.error[p] /= 2e5;
        agrees("gs", &m, p, gs[p], 5e-3);
    }
}

/* Also where the loss is far from linear in the mean, with few walkers: the score is unbiased for the expected loss of R walkers.
 * Its closed form needs Var(x^2 + y^2) of one step from the start: the squares of each axis are Bernoulli(s). */
Test(methods, score_is_unbiased_for_curved_losses)
{
    test_job t;
    make_walk(&t, 3, 0.3, 0.2, 1.0);
    t.job.steps = 1;
    t.record[0] = 1;
    t.job.method = LG_GRADIENT_score;
    const double s = 0.7, R = 3.0; /* L = (2 s - 1)^2 + 2 s (1 - s) / R, ds/dlogit = -s (1 - s) */
    const moments m = estimate(&t.job, 1, 8000, false);
    agrees("score", &m, 0, -s * (1 - s) * (4 * (2 * s - 1) + 2 * (1 - 2 * s) / R), 0.0);
    agrees("score", &m, 1, 0.0, 0.0);
}

/* ---- SI --------------------------------------------------------------------------------------------------------- */

/* One pair, loss count: E (n - o)^2 = (E n - o)^2 + Var n with the n newly aware sites independent, p = 1 - (1 - beta)^N. */
static double count_gradient(const lg_job *job, double beta, double observed)
{
    const int H = (int)job->height, W = (int)job->width;
    double mean = 0.0, slope = 0.0, variance = 0.0;
    for (int i = 0; i < H * W; i++) {
        int N = 0;
        for (int k = 0; k < 9; k++)
            N += k != 4 && job->start[(i / W + H + k / 3 - 1) % H * W + (i % W + W + k % 3 - 1) % W];
        if (job->start[i] || N == 0) continue;
        const double p = 1.0 - pow(1.0 - beta, N), dp = N * pow(1.0 - beta, N - 1);
        mean += p;
        slope += dp;
        variance += (1.0 - 2.0 * p) * dp;
    }
    return 2.0 * (mean - observed) * slope + variance;
}

Test(methods, newly_aware_sites)
{
    test_job t;
    test_job_lattice(&t, lg_model_find("si"), 9, 9, 1, 400, 1, 1);
    fit_all(&t.job);
    double aware = 0.0, observed = 0.0;
    for (int i = 0; i < 81; i++) {
        t.start[i] = i % 11 == 0;
        t.target[i] = t.start[i] || i % 4 == 0;
        aware += t.start[i];
        observed += t.target[i];
    }
    t.params[0] = 0.2;
    t.job.task = LG_TASK_transition;
    t.job.loss = LG_LOSS_count;
    const double expected = count_gradient(&t.job, 0.2, observed - aware);
    t.job.method = LG_GRADIENT_score;
    const moments score = estimate(&t.job, 1, ITERATIONS, false);
    agrees("score", &score, 0, expected, 0.0);
    t.job.method = LG_GRADIENT_fd;
    const moments fd = estimate(&t.job, 1, ITERATIONS, false);
    agrees("fd", &fd, 0, expected, 1e-3);
    cr_assert_lt(fd.variance[0], score.variance[0]);
    test_job_free(&t);
}

/* The likelihood: fd without simulation is as good as its step. */
Test(methods, differences_of_the_likelihood)
{
    test_job t;
    test_job_lattice(&t, lg_model_find("si"), 8, 8, 1, 3, 1, 3);
    fit_all(&t.job);
    for (int i = 0; i < 3 * 64; i++) {
        t.start[i] = i % 3 == 0;
        t.target[i] = t.start[i] || i % 2;
    }
    t.params[0] = 0.4;
    t.job.task = LG_TASK_transition;
    t.job.loss = LG_LOSS_nll;
    const moments exact = estimate(&t.job, 1, 2, false);
    t.job.method = LG_GRADIENT_fd;
    t.job.fd_step = 1e-4;
    const moments fd = estimate(&t.job, 1, 2, false);
    cr_assert_float_eq(fd.mean[0], exact.mean[0], 1e-6 * fabs(exact.mean[0]));
    test_job_free(&t);
}

/* ---- Gumbel-Rao -------------------------------------------------------------------------------------------------- */

/* gr has the expectation of gs, and a smaller variance: the ratio of two equal variances from 600 normal numbers each falls below
 * 0.65, 5.3 standard errors of its logarithm, with a probability of 1e-7. */
static void check_rao(lg_job *job, const char *what)
{
    job->binary = job->categorical = LG_ESTIMATOR_gs;
    const moments gs = estimate(job, 1, 600, false);
    job->binary = job->categorical = LG_ESTIMATOR_gr;
    job->draws = 6;
    const moments gr = estimate(job, 1000, 600, false);
    for (int p = 0; p < job->model->params; p++) {
        const double error = sqrt(gs.error[p] * gs.error[p] + gr.error[p] * gr.error[p]);
        cr_assert_lt(fabs(gs.mean[p] - gr.mean[p]), 5.5 * error, "%s, parameter %d: gs %g, gr %g +- %g", what, p,
                     gs.mean[p], gr.mean[p], error);
        cr_assert_lt(gr.variance[p], 1.6 * gs.variance[p], "%s, parameter %d", what, p);
    }
    cr_assert_lt(gr.variance[0], 0.65 * gs.variance[0], "%s: %g, %g", what, gr.variance[0], gs.variance[0]);
}

Test(methods, gumbel_rao_has_the_mean_of_gumbel_softmax)
{
    test_job t;
    make_walk(&t, 100, 0.4, 0.5, 1e4); /* far from the target: the noise is that of the Jacobian */
    check_rao(&t.job, "prw");
    test_job_lattice(&t, lg_model_find("mk"), 5, 5, 50, 2, 1, 1);
    memcpy(t.params, (const double[]){0.3, 0.4, 0.9, 0.5, 0.5}, 5 * sizeof(double));
    t.job.gamma = 0.01;
    check_rao(&t.job, "mk");
    test_job_free(&t);
}

/* ---- finite differences ------------------------------------------------------------------------------------------ */

/* A parameter that is held fixed is not moved, and one at its bound gets a one-sided difference. */
Test(methods, differences_at_bounds)
{
    test_job t;
    test_job_lattice(&t, lg_model_find("mk"), 8, 8, 50, 30, 5, 1);
    fit_all(&t.job);
    memcpy(t.params, (const double[]){0.001, 0.999, 0.0, 1.0, 0.5}, 5 * sizeof(double));
    t.job.gamma = 0.1;
    t.job.method = LG_GRADIENT_fd;
    t.job.fd_step = 0.1;
    t.job.optimizer.fitted[4] = false;
    const moments m = estimate(&t.job, 1, 1, false);
    for (int p = 0; p < 4; p++) cr_assert(isfinite(m.mean[p]) && m.mean[p] != 0.0, "parameter %d: %g", p, m.mean[p]);
    cr_assert(isnan(m.mean[4]));
    test_job_free(&t);
}

/* Common random numbers: a run's loss is that of the plain backend, and the differences are those of two plain runs. */
Test(methods, differences_share_their_noise)
{
    test_job t;
    double loss[3], gradient = 0.0;
    test_job_lattice(&t, lg_model_find("si"), 12, 12, 1, 5, 3, 1);
    for (int i = 0; i < 144; i++) t.start[i] = i == 40;
    fit_all(&t.job);
    for (int k = 0; k < 3; k++) {
        lg_dbatch *batch;
        t.params[0] = 0.3 * (1.0 + 0.05 * (k - 1));
        cr_assert_eq(lg_backend_cpu.create(ctx, device, &t.job, false, &batch), LG_OK);
        lg_backend_cpu.reset(ctx, batch, 9);
        lg_backend_cpu.forward(ctx, batch, 3, false);
        lg_backend_cpu.loss(ctx, batch);
        lg_backend_cpu.get_loss(ctx, batch, &loss[k]);
        lg_backend_cpu.destroy(batch);
    }
    gradient = (loss[2] - loss[0]) / 0.03;
    t.params[0] = 0.3;
    t.job.method = LG_GRADIENT_fd;
    const moments m = estimate(&t.job, 9, 1, false);
    cr_assert_float_eq(m.mean[0], gradient, 1e-9 * fabs(gradient));
    cr_assert_eq(m.loss, loss[1]);
    test_job_free(&t);
}

/* Temperature over the iterations. */
Test(methods, temperature_schedule)
{
    lg_job job = {.tau = 2.0, .tau_end = 0.5, .optimizer.iterations = 5};
    cr_assert_eq(lg_job_tau(&job, 0), 2.0);
    cr_assert_float_eq(lg_job_tau(&job, 2), 1.0, 1e-15);
    cr_assert_eq(lg_job_tau(&job, 4), 0.5);
    cr_assert_eq(lg_job_tau(&job, 400), 0.5);
    job.tau_end = 0.0;
    cr_assert_eq(lg_job_tau(&job, 4), 2.0);
    test_job t;
    make_walk(&t, 64, 0.4, 0.5, 5.0);
    t.job.binary = t.job.categorical = LG_ESTIMATOR_gs;
    t.job.optimizer.iterations = 5;
    t.job.tau = 2.0;
    t.job.tau_end = 0.5;
    const moments scheduled = estimate(&t.job, 2, 1, false);
    t.job.tau = 1.0;
    t.job.tau_end = 0.0;
    const moments constant = estimate(&t.job, 2, 1, false);
    for (int p = 0; p < 2; p++) cr_assert_float_eq(scheduled.mean[p], constant.mean[p], 1e-6 * fabs(constant.mean[p]));
}
