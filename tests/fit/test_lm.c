/* The optimiser lm: which problems it takes, its answers, and random starts. */
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

TestSuite(fit_lm, .init = setup, .fini = teardown);

#define LM                                                                                                 \
    "model=prw", "data.generate.params.p_center=0.2", "data.generate.params.p_resample=0.1", "device=cpu", \
        "optimizer.name=lm", "params.p_center.start=0.7", "params.p_resample.start=0.7", "seed=1"

static lg_result *fit(lg_problem *p)
{
    lg_result *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    return r;
}

/* The least-squares point of the closed form: the gradient of the exact method vanishes there. */
static void least_squares(double *params)
{
    lg_problem *p = make_problem(ctx, SETTINGS(LM, "estimator.method=exact", "iterations=40"));
    lg_result *r = fit(p);
    double loss, gradient[2];
    memcpy(params, lg_result_params(r, 0), 2 * sizeof *params);
    cr_assert_eq(lg_evaluate(ctx, p, 0, params, &loss, gradient), LG_OK, "%s", lg_context_message(ctx));
    for (int i = 0; i < 2; i++) cr_assert_float_eq(gradient[i], 0, 1e-6, "gradient %d: %g", i, gradient[i]);
    lg_result_free(r);
    lg_problem_free(p);
}

/* 200 starts drawn from the unit square, of which 190 have to end within 0.06 of the least-squares point. (1,500 walkers and 100
 * iterations spread around it by 0.002; these are fewer, to be quick.) Everything is fixed by the seed: no false alarms. */
Test(fit_lm, random_starts_converge)
{
    double best[2];
    least_squares(best);
    lg_problem *p = make_problem(ctx, SETTINGS(LM, "ensemble.starts=random", "ensemble.size=200", "replicates=400",
                                               "iterations=40"));
    lg_result *r = fit(p);
    int near = 0;
    for (int f = 0; f < 200; f++) {
        const double *end = lg_result_params(r, f);
        near += fabs(end[0] - best[0]) < 0.06 && fabs(end[1] - best[1]) < 0.06;
    }
    cr_assert_geq(near, 190, "%d of 200", near);
    lg_result_free(r);
    lg_problem_free(p);
}

static void expect(lg_status status, const char *part, const char *const *settings)
{
    lg_problem *p;
    cr_assert_eq(try_problem(ctx, settings, &p), status, "%s", lg_context_message(ctx));
    cr_assert(strstr(lg_context_message(ctx), part), "%s", lg_context_message(ctx));
}

Test(fit_lm, refusals)
{
    expect(LG_ERR_UNSUPPORTED, "task transition with loss sse compares states",
           SETTINGS("model=si", "data.generate.params.beta=0.3", "optimizer.name=lm", "device=cpu"));
    expect(LG_ERR_UNSUPPORTED, "set estimator.method to fd",
           SETTINGS("model=si", "task=trajectory", "estimator.method=pathwise", "data.generate.params.beta=0.3",
                    "optimizer.name=lm", "device=cpu"));
    expect(LG_ERR_UNSUPPORTED, "needs the Jacobian", SETTINGS(LM, "estimator.method=score"));
}

/* SI trajectories by way of fd: beta comes back. */
Test(fit_lm, si_trajectory_with_fd)
{
    lg_problem *p =
        make_problem(ctx, SETTINGS("model=si", "task=trajectory", "data.generate.params.beta=0.3",
                                   "data.generate.runs=50", "data.generate.steps=15", "steps=15", "lattice.height=32",
                                   "lattice.width=32", "replicates=20", "params.beta.start=0.8", "optimizer.name=lm",
                                   "estimator.method=fd", "iterations=30", "device=cpu"));
    lg_result *r = fit(p);
    cr_assert_float_eq(lg_result_params(r, 0)[0], 0.3, 0.03, "beta %g", lg_result_params(r, 0)[0]);
    lg_result_free(r);
    lg_problem_free(p);
}

/* A fit has the same bytes alone and among others. */
Test(fit_lm, fits_alone_and_together)
{
    lg_problem *all = make_problem(ctx, SETTINGS(LM, "fits=3", "replicates=300", "iterations=20"));
    lg_result *together = fit(all);
    for (int f = 0; f < 3; f++) {
        char first[32];
        snprintf(first, sizeof first, "first_fit=%d", f);
        lg_problem *one = make_problem(ctx, SETTINGS(LM, first, "replicates=300", "iterations=20"));
        lg_result *alone = fit(one);
        cr_assert_eq(memcmp(lg_result_trace(alone, 0), lg_result_trace(together, f), 20 * 5 * sizeof(double)), 0);
        lg_result_free(alone);
        lg_problem_free(one);
    }
    lg_result_free(together);
    lg_problem_free(all);
}
