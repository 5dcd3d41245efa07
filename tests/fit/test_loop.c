/* The fit loop: updates, stopping rules, non-finite values, recovery of known parameters. */
#include <math.h>
#include <stdio.h>

#include "fit/problems.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(fit_loop, .init = setup, .fini = teardown);

#define SI                                                                                          \
    "model=si", "data.generate.params.beta=0.3", "data.generate.runs=10", "data.generate.steps=20", \
        "lattice.height=32", "lattice.width=32", "device=cpu"

static lg_result *fit(lg_problem *p)
{
    lg_result *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    return r;
}

/* The trace is what the optimiser's equations give from the recorded gradients: SGD p - lr g, and its momentum. */
Test(fit_loop, sgd_updates)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta.start=0.5", "optimizer.name=sgd", "optimizer.lr=1e-5",
                                               "iterations=20", "replicates=16"));
    lg_result *r = fit(p);
    const double *row = lg_result_trace(r, 0);
    for (int i = 0; i < 20; i++) {
        double loss, grad, beta = row[4 * i + 1];
        cr_assert_eq(lg_evaluate(ctx, p, (uint64_t)i, &beta, &loss, &grad), LG_OK);
        cr_assert_eq(loss, row[4 * i]);
        cr_assert_float_eq(fabs(grad), row[4 * i + 3], 1e-12 * fabs(grad));
        const double next = i < 19 ? row[4 * i + 5] : lg_result_params(r, 0)[0];
        cr_assert_float_eq(next, beta - 1e-5 * grad, 1e-15);
    }
    lg_result_free(r);
    lg_problem_free(p);
}

Test(fit_loop, adam_updates_with_schedule_and_clipping)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta.start=0.5", "optimizer.name=adam", "optimizer.lr=0.05",
                                               "optimizer.schedule=step", "optimizer.decay=0.5", "optimizer.period=4",
                                               "optimizer.clip=10", "iterations=12", "replicates=16"));
    lg_result *r = fit(p);
    const double *row = lg_result_trace(r, 0);
    double m = 0.0, v = 0.0, beta = 0.5;
    for (int i = 0; i < 12; i++) {
        double loss, grad;
        cr_assert_float_eq(row[4 * i + 1], beta, 1e-14);
        cr_assert_eq(lg_evaluate(ctx, p, (uint64_t)i, &beta, &loss, &grad), LG_OK);
        if (fabs(grad) > 10.0) grad *= 10.0 / fabs(grad);
        m = 0.9 * m + 0.1 * grad;
        v = 0.999 * v + 0.001 * grad * grad;
        const double lr = 0.05 * pow(0.5, i / 4);
        cr_assert_float_eq(row[4 * i + 2], lr, 1e-15);
        beta = row[4 * i + 1] - lr * (m / (1.0 - pow(0.9, i + 1))) / (sqrt(v / (1.0 - pow(0.999, i + 1))) + 1e-8);
    }
    lg_result_free(r);
    lg_problem_free(p);
}

/* PRW in logit space: theta moves by lr g, p = sigmoid(theta). */
Test(fit_loop, logit_transform)
{
    lg_problem *p =
        make_problem(ctx, SETTINGS("model=prw", "data.generate.params.p_center=0.3",
                                   "data.generate.params.p_resample=0.6", "data.generate.runs=1000",
                                   "params.p_center.start=0.6", "params.p_resample=0.4", "replicates=200",
                                   "optimizer.name=sgd", "optimizer.lr=1e-4", "iterations=2", "device=cpu"));
    lg_result *r = fit(p);
    const double *row = lg_result_trace(r, 0);
    double loss, grad[2];
    cr_assert_eq(lg_evaluate(ctx, p, 0, row + 1, &loss, grad), LG_OK);
    const double theta = log(0.6 / 0.4) - 1e-4 * grad[0];
    cr_assert_float_eq(row[5 + 1], 1.0 / (1.0 + exp(-theta)), 1e-14);
    cr_assert_eq(row[5 + 2], 0.4, "a fixed parameter moved");
    lg_result_free(r);
    lg_problem_free(p);
}

Test(fit_loop, bounds_hold)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta.start=0.5", "params.beta.bounds=[0.45, 0.55]",
                                               "optimizer.lr=1", "iterations=5", "replicates=8"));
    lg_result *r = fit(p);
    cr_assert(lg_result_params(r, 0)[0] == 0.45 || lg_result_params(r, 0)[0] == 0.55);
    lg_result_free(r);
    lg_problem_free(p);
}

/* The exact likelihood, by Adam, finds beta; 200 runs: within 3 % (the standard error is below 1 %). */
Test(fit_loop, likelihood_recovers_beta)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "loss=nll", "params.beta.start=0.7", "optimizer.name=adam",
                                               "optimizer.lr=0.02", "iterations=300", "replicates=200"));
    lg_result *r = fit(p);
    double mean, sd;
    lg_result_tail(r, 0, 50, &mean, &sd);
    cr_assert_float_eq(mean, 0.3, 0.01, "beta %g", mean);
    lg_result_free(r);
    lg_problem_free(p);
}

/* The nll gradient is the derivative of the nll: central differences over the whole pool. */
Test(fit_loop, likelihood_gradient)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "loss=nll", "params.beta.start=0.4", "replicates=200"));
    double up, down, loss, grad, unused;
    const double beta = 0.4, above = 0.4 + 1e-6, below = 0.4 - 1e-6;
    cr_assert_eq(lg_evaluate(ctx, p, 0, &beta, &loss, &grad), LG_OK);
    cr_assert_eq(lg_evaluate(ctx, p, 0, &above, &up, &unused), LG_OK);
    cr_assert_eq(lg_evaluate(ctx, p, 0, &below, &down, NULL), LG_OK);
    cr_assert_float_eq(grad, (up - down) / 2e-6, 1e-5 * fabs(grad));
    lg_problem_free(p);
}

/* PRW recovers the parameters its data were made with. */
Test(fit_loop, walk_recovers_its_parameters)
{
    lg_problem *p = make_problem(ctx, SETTINGS("model=prw", "data.generate.params.p_center=0.2",
                                               "data.generate.params.p_resample=0.1", "params.p_center.start=0.7",
                                               "params.p_resample.start=0.7", "iterations=1500", "device=cpu"));
    lg_result *r = fit(p);
    double mean[2], sd[2];
    lg_result_tail(r, 0, 300, mean, sd);
    cr_assert_float_eq(mean[0], 0.2, 0.02, "p_center %g", mean[0]);
    cr_assert_float_eq(mean[1], 0.1, 0.01, "p_resample %g", mean[1]);
    lg_result_free(r);
    lg_problem_free(p);
}

/* A loss of log 0: the fit stops before anything is applied, says where, and keeps the trace. */
Test(fit_loop, infinite_loss_never_reaches_a_parameter)
{
    lg_problem *p =
        make_problem(ctx, SETTINGS("model=mk", "data.generate.params.D_A=0", "data.generate.params.D_B=0",
                                   "data.generate.params.k1=0", "data.generate.params.k2=0",
                                   "data.generate.params.k3=0", "data.generate.steps=1", "params.D_A=0", "params.D_B=0",
                                   "params.k1.start=0", "params.k2=0", "params.k3=0", "steps=3", "lattice.height=8",
                                   "lattice.width=8", "iterations=50", "device=cpu"));
    lg_result *r = fit(p);
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_NOT_FINITE);
    cr_assert_eq(lg_result_iterations(r, 0), 1);
    cr_assert_eq(lg_result_params(r, 0)[2], 0.0);
    cr_assert(isinf(lg_result_loss(r, 0)));
    cr_assert_not_null(strstr(lg_result_reason(r, 0), "iteration 0"), "%s", lg_result_reason(r, 0));
    lg_result_free(r);
    lg_problem_free(p);
}

/* At the optimum with a tiny step the loss does not improve: the second window ends the fit. */
Test(fit_loop, plateau_stops_at_a_window)
{
    lg_problem *p =
        make_problem(ctx, SETTINGS(SI, "loss=nll", "params.beta.start=0.3", "optimizer.name=adam", "optimizer.lr=1e-6",
                                   "iterations=500", "replicates=200", "stop.window=20", "stop.tolerance=1e-3"));
    lg_result *r = fit(p);
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_PLATEAU);
    cr_assert_eq(lg_result_iterations(r, 0), 40);
    lg_result_free(r);
    lg_problem_free(p);
}

static int stop_at_once(const lg_progress *progress, void *user)
{
    *(int64_t *)user = progress->iteration;
    cr_assert_eq(progress->fits, 1);
    cr_assert_eq(progress->params, 1);
    cr_assert(isfinite(progress->loss[0]) && progress->values[0] > 0.0);
    return 1;
}

Test(fit_loop, the_callback_can_stop)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta.start=0.5", "iterations=100000"));
    lg_result *r;
    int64_t seen = 0;
    cr_assert_eq(lg_fit(ctx, p, stop_at_once, &seen, &r), LG_OK);
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_STOPPED);
    cr_assert_eq(lg_result_iterations(r, 0), seen);
    cr_assert_gt(seen, 0);
    lg_result_free(r);
    lg_problem_free(p);
}

Test(fit_loop, the_time_limit_stops)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta.start=0.5", "iterations=100000000", "stop.time=0.2"));
    /* traces of 1e8 iterations would take 3.2 GB: the request itself is legal, the memory is only touched as rows come */
    lg_result *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_TIME);
    lg_result_free(r);
    lg_problem_free(p);
}

Test(fit_loop, nothing_to_fit)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta=0.5"));
    lg_result *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_ERR_CONFIG);
    cr_assert_not_null(strstr(lg_context_message(ctx), "held fixed"));
    lg_problem_free(p);
    p = make_problem(ctx, SETTINGS("model=si", "task=simulate", "device=cpu"));
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_ERR_UNSUPPORTED);
    lg_problem_free(p);
}

/* Each epoch shows every pair once, in another order. */
Test(fit_loop, epochs_count_pairs)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "params.beta.start=0.5", "epochs=3", "replicates=64"));
    lg_problem_info info;
    lg_problem_describe(p, &info);
    cr_assert_eq(info.pool, 200);
    cr_assert_eq(info.iterations, (3 * 200 + 63) / 64);
    lg_problem_free(p);
}
