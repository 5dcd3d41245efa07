/* Fits that set no optimiser: random starts converge, and a default never asks of a device what it does not have. */
#include <math.h>
#include <stdio.h>

#include "fit/problem.h"
#include "fit/problems.h"

static lg_context *ctx;

static void setup(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(defaults, .init = setup, .fini = teardown);

enum { STARTS = 40, ENOUGH = 38 };

/* Starts are uniform in the bounds. 38 of 40 have to end within the distances from `best`. All is fixed by the seed, so there
 * are no false alarms; with another seed, defaults that converge from 99.5 % of the starts would fail in 1 of 900 tests, and
 * such that converge from 80 % pass in 1 of 130. */
static void expect_convergence(const char *const *settings, const double *best, const double *within, int params)
{
    lg_problem *p = make_problem(ctx, settings);
    lg_result *r;
    int near = 0;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    for (int f = 0; f < STARTS; f++) {
        bool all = true;
        for (int i = 0; i < params; i++) all = all && fabs(lg_result_params(r, f)[i] - best[i]) < within[i];
        near += all;
    }
    cr_assert_geq(near, ENOUGH, "%s: %d of %d", settings[0], near, STARTS);
    lg_result_free(r);
    lg_problem_free(p);
}

#define RANDOM "ensemble.starts=random", "ensemble.size=40", "device=cpu"

#define NEWS(loss, beta, pairs)                                                                                    \
    SETTINGS("model=si", "loss=" loss, "lattice.height=16", "lattice.width=16", "data.generate.params.beta=" beta, \
             "params.beta.start=0.5", "replicates=" pairs, RANDOM)

/* beta within 6 %: 100 runs of 256 sites tell it to some 2 %, and a minibatch of so few pairs adds its noise. */
Test(defaults, news)
{
    expect_convergence(NEWS("sse", "0.05", "64"), (double[]){0.05}, (double[]){0.003}, 1);
    expect_convergence(NEWS("sse", "0.4", "16"), (double[]){0.4}, (double[]){0.024}, 1);
    expect_convergence(NEWS("mse", "0.2", "16"), (double[]){0.2}, (double[]){0.012}, 1);
    expect_convergence(NEWS("count", "0.4", "16"), (double[]){0.4}, (double[]){0.024}, 1);
    expect_convergence(NEWS("nll", "0.05", "64"), (double[]){0.05}, (double[]){0.003}, 1);
    expect_convergence(NEWS("nll", "0.8", "16"), (double[]){0.8}, (double[]){0.048}, 1);
}

Test(defaults, news_along_a_run)
{
    expect_convergence(SETTINGS("model=si", "task=trajectory", "lattice.height=20", "lattice.width=20", "steps=20",
                                "data.generate.steps=20", "data.generate.params.beta=0.2", "params.beta.start=0.5",
                                RANDOM),
                       (double[]){0.2}, (double[]){0.012}, 1);
}

#define WALK(...)                                                                                                    \
    SETTINGS("model=prw", "data.generate.params.p_center=0.2", "data.generate.params.p_resample=0.1",                \
             "params.p_center.start=0.5", "params.p_resample.start=0.5", "replicates=400", "iterations=100", RANDOM, \
             __VA_ARGS__)

/* The least-squares point of the closed form for these data is 0.2076, 0.0962. */
Test(defaults, walk)
{
    const double best[2] = {0.2076, 0.0962}, within[2] = {0.03, 0.03};
    expect_convergence(WALK("seed=1"), best, within, 2);
    expect_convergence(WALK("estimator.method=exact"), best, within, 2);
}

static lg_backend without_lm;

static const char *settled_name(const char *const *settings)
{
    static char name[16];
    lg_config *config, *own;
    lg_problem *p = make_problem(ctx, settings);
    const lg_backend *real = p->backend;
    cr_assert_eq(lg_config_create(ctx, &config), LG_OK);
    cr_assert_eq(set_all(ctx, config, settings), LG_OK);
    without_lm = *real;
    without_lm.lm = NULL;
    p->backend = &without_lm;
    cr_assert_eq(lg_problem_settle_optimizer(ctx, config, p, &own), LG_OK, "%s", lg_context_message(ctx));
    snprintf(name, sizeof name, "%s", lg_config_get(own ? own : config, "optimizer.name"));
    p->backend = real;
    lg_config_free(own);
    lg_config_free(config);
    lg_problem_free(p);
    return name;
}

/* On a device without the Jacobian of walks a default lm becomes adam; one that was asked for stays, and is refused later. */
Test(defaults, device_without_jacobian)
{
    cr_assert_str_eq(settled_name(WALK("seed=1")), "adam");
    cr_assert_str_eq(settled_name(WALK("optimizer.name=lm")), "lm");
    cr_assert_str_eq(settled_name(WALK("estimator.method=exact")), "lm");
    cr_assert_str_eq(settled_name(WALK("estimator.method=fd")), "lm");
    cr_assert_str_eq(settled_name(NEWS("sse", "0.2", "16")), "adam");
}

/* No rate is made up for sgd where none was published. */
Test(defaults, descent_without_a_rate)
{
    lg_problem *p;
    cr_assert_eq(try_problem(ctx, WALK("optimizer.name=sgd"), &p), LG_ERR_CONFIG);
    cr_assert(strstr(lg_context_message(ctx), "optimizer.name sgd needs optimizer.lr"), "%s", lg_context_message(ctx));
    p = make_problem(ctx, WALK("optimizer.name=sgd", "ensemble.sweep.optimizer.lr=[1e-6,1e-5]"));
    lg_problem_free(p);
    p = make_problem(ctx, WALK("optimizer.name=adam"));
    lg_problem_free(p);
}
