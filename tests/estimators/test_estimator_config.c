/* estimator.* in configurations: what is refused, and that every method fits and leaves its name in the result. */
#include "base/error.h"
#include "fit/problem.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lg_context *ctx;

static void setup(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(estimator_config, .init = setup, .fini = teardown);

/* Settings "key=value", separated by spaces. */
static lg_status create(const char *settings, lg_problem **problem)
{
    char text[2000], *rest = text, *one;
    lg_config *config;
    lg_status status = LG_OK;
    snprintf(text, sizeof text, "threads=1 device=cpu %s", settings);
    cr_assert_eq(lg_config_create(ctx, &config), LG_OK);
    while (!status && (one = strtok_r(rest, " ", &rest))) {
        char *value = strchr(one, '=');
        *value++ = '\0';
        status = lg_config_set(ctx, config, one, value);
    }
    *problem = NULL;
    if (!status) status = lg_problem_create(ctx, config, problem);
    lg_config_free(config);
    return status;
}

static void refused(const char *settings, lg_status code, const char *part)
{
    lg_problem *problem;
    const lg_status status = create(settings, &problem);
    cr_assert_eq(status, code, "%s: %s, %s", settings, lg_status_name(status), lg_context_message(ctx));
    cr_assert(strstr(lg_context_message(ctx), part), "%s: %s", settings, lg_context_message(ctx));
}

#define SI                                                                                                \
    "model=si params.beta.start=0.3 data.generate.params.beta=0.2 data.generate.runs=2 lattice.height=9 " \
    "lattice.width=9 "
#define PRW                                                                                              \
    "model=prw params.p_center.start=0.5 params.p_resample.start=0.5 data.generate.params.p_center=0.2 " \
    "data.generate.params.p_resample=0.3 data.generate.runs=500 "
#define MK                                                                                                          \
    "model=mk lattice.height=8 lattice.width=8 steps=4 data.generate.steps=20 params.D_A.start=0.3 params.D_B=0.4 " \
    "params.k1=0.9 params.k2=0.1 params.k3=0.2 data.generate.params.D_A=0.1 data.generate.params.D_B=0.4 "          \
    "data.generate.params.k1=0.9 data.generate.params.k2=0.1 data.generate.params.k3=0.2 "

Test(estimator_config, refusals)
{
    refused(MK "estimator.method=score", LG_ERR_RANGE, "replicates is 1: set replicates to 2 or more");
    refused(MK "estimator.method=exact", LG_ERR_UNSUPPORTED, "for model si with loss nll, and for model prw");
    refused(SI "estimator.method=exact", LG_ERR_UNSUPPORTED, "model si with loss nll");
    refused(SI "estimator.method=score loss=nll", LG_ERR_UNSUPPORTED, "use method exact");
    refused(PRW "estimator.method=exact estimator.v0=const", LG_ERR_UNSUPPORTED, "stationary start");
    refused(SI "estimator.method=scores", LG_ERR_CONFIG, "score");
    refused(SI "estimator.binary=gumbel", LG_ERR_CONFIG, "gr");
    refused(PRW "estimator.categorical=ste", LG_ERR_CONFIG, "gs");
    refused(SI "estimator.draws=65", LG_ERR_RANGE, "[1, 64]");
    refused(SI "estimator.tau_end=-1", LG_ERR_RANGE, "[0, inf)");
    refused(SI "estimator.fd_step=0", LG_ERR_RANGE, "(0, inf)");
}

static void fits(const char *settings, const char *record, double truth, double within)
{
    lg_problem *problem;
    lg_result *result;
    lg_result_info info;
    double params[8], loss;
    cr_assert_eq(create(settings, &problem), LG_OK, "%s: %s", settings, lg_context_message(ctx));
    cr_assert_eq(lg_fit(ctx, problem, NULL, NULL, &result), LG_OK, "%s: %s", settings, lg_context_message(ctx));
    lg_result_describe(result, &info);
    cr_assert(strstr(info.config, record), "%s: no \"%s\" in\n%s", settings, record, info.config);
    lg_result_end(result, 0, params, &loss);
    cr_assert(fabs(params[0] - truth) < within, "%s: %g", settings, params[0]);
    lg_result_free(result);
    lg_problem_free(problem);
}

#define PRW_FIT PRW "replicates=1000 iterations=400 optimizer.name=adam optimizer.lr=0.05 seed=3 "
#define SI_FIT                                                                                          \
    SI "data.generate.runs=20 data.generate.steps=20 replicates=64 iterations=400 optimizer.name=adam " \
       "optimizer.lr=0.01 "

Test(estimator_config, every_method_fits_the_walk)
{
    fits(PRW_FIT "estimator.method=exact", "method: exact", 0.2, 0.1);
    fits(PRW_FIT "estimator.method=score", "method: score", 0.2, 0.1);
    fits(PRW_FIT "estimator.method=fd", "method: fd", 0.2, 0.1);
    fits(PRW_FIT "estimator.binary=gr estimator.categorical=gr estimator.draws=4", "binary: gr", 0.2, 0.1);
    fits(PRW_FIT "estimator.tau=2 estimator.tau_end=0.5", "tau_end: 0.5", 0.2, 0.1);
}

Test(estimator_config, methods_fit_the_news)
{
    fits(SI_FIT "loss=nll estimator.method=exact", "method: exact", 0.2, 0.03);
    fits(SI_FIT "loss=nll estimator.method=fd", "method: fd", 0.2, 0.03);
    fits(SI_FIT "loss=count estimator.method=score", "method: score", 0.2, 0.08);
    fits(SI_FIT "loss=count estimator.method=fd estimator.fd_step=0.2", "fd_step: 0.2", 0.2, 0.08);
}

/* fd moves the fitted parameters alone, stops at a bound, and gives the same bytes twice. */
Test(estimator_config, differences_of_reactions)
{
    lg_problem *problem;
    lg_result *result[2];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(create(MK "estimator.method=fd iterations=30 replicates=3 optimizer.lr=5", &problem), LG_OK, "%s",
                     lg_context_message(ctx));
        cr_assert_eq(lg_fit(ctx, problem, NULL, NULL, &result[i]), LG_OK, "%s", lg_context_message(ctx));
        lg_problem_free(problem);
    }
    double a[8], b[8], loss[2];
    lg_result_end(result[0], 0, a, &loss[0]);
    lg_result_end(result[1], 0, b, &loss[1]);
    cr_assert_arr_eq(a, b, 5 * sizeof *a);
    cr_assert_eq(loss[0], loss[1]);
    cr_assert_float_eq(a[1], 0.4, 1e-12); /* held fixed */
    cr_assert(a[0] >= 0.001 && a[0] <= 0.999 && a[0] != 0.3);
    lg_result_free(result[0]);
    lg_result_free(result[1]);
}

/* A fit of an ensemble is the same alone, whatever the method and the number of threads. */
static void check_slice(const char *settings)
{
    char text[1000];
    lg_problem *problem;
    lg_result *all, *one;
    double a[8], b[8], loss[2];
    snprintf(text, sizeof text, "%s fits=4", settings);
    cr_assert_eq(create(text, &problem), LG_OK, "%s: %s", text, lg_context_message(ctx));
    cr_assert_eq(lg_fit(ctx, problem, NULL, NULL, &all), LG_OK);
    lg_problem_free(problem);
    snprintf(text, sizeof text, "%s fits=1 first_fit=2 threads=2", settings);
    cr_assert_eq(create(text, &problem), LG_OK, "%s: %s", text, lg_context_message(ctx));
    cr_assert_eq(lg_fit(ctx, problem, NULL, NULL, &one), LG_OK);
    lg_problem_free(problem);
    lg_result_end(all, 2, a, &loss[0]);
    lg_result_end(one, 0, b, &loss[1]);
    cr_assert_arr_eq(a, b, 2 * sizeof *a, "%s: %g %g", settings, a[0], b[0]);
    cr_assert_eq(loss[0], loss[1]);
    lg_result_free(all);
    lg_result_free(one);
}

Test(estimator_config, slices)
{
    static const char *const methods[] = {"method=score", "method=fd", "binary=gr", "tau_end=0.3"};
    static const char *const models[] = {PRW "replicates=300 iterations=20 optimizer.name=adam ensemble.starts=random "
                                             "ensemble.size=5 ensemble.sweep.optimizer.lr=[0.01,0.1] ",
                                         SI "replicates=6 iterations=20 optimizer.lr=1e-5 ensemble.bootstrap=5 ",
                                         MK "replicates=3 iterations=5 ensemble.seeds=5 estimator.draws=3 "};
    for (int m = 0; m < 3; m++)
        for (int i = 0; i < 4; i++) {
            char settings[900];
            snprintf(settings, sizeof settings, "%s estimator.%s", models[m], methods[i]);
            check_slice(settings);
        }
    check_slice(PRW "estimator.method=exact iterations=20 ensemble.starts=random ensemble.size=5");
}

static int stop_once(const lg_progress *progress, void *user)
{
    (void)user;
    return progress->iteration >= 3 && progress->iteration < 12 ? LG_CHECKPOINT_STOP : LG_GO_ON;
}

/* A stopped and continued fit ends with the bytes of an uninterrupted one. */
Test(estimator_config, continued_fits)
{
    static const char *const methods[] = {"method=score", "method=fd", "method=exact", "tau_end=0.3"};
    char file[] = "/tmp/latgrad-estimators-XXXXXX", settings[900];
    close(mkstemp(file));
    for (int i = 0; i < 4; i++) {
        lg_problem *problem;
        lg_result *whole, *continued = NULL;
        const lg_fit_options options = {.checkpoint = file, .checkpoint_seconds = 60, .force = true},
                             again = {.checkpoint = file, .checkpoint_seconds = 60, .resume = true};
        double a[8], b[8], loss[2];
        snprintf(settings, sizeof settings, PRW "iterations=30 replicates=200 optimizer.lr=0.1 estimator.%s",
                 methods[i]);
        cr_assert_eq(create(settings, &problem), LG_OK);
        cr_assert_eq(lg_fit(ctx, problem, NULL, NULL, &whole), LG_OK);
        const lg_status stopped = lg_fit_run(ctx, problem, &options, stop_once, NULL, &continued);
        cr_assert_eq(stopped, LG_ERR_STOPPED, "%s: %s", settings, lg_context_message(ctx));
        cr_assert_eq(lg_fit_run(ctx, problem, &again, NULL, NULL, &continued), LG_OK, "%s: %s", settings,
                     lg_context_message(ctx));
        lg_result_end(whole, 0, a, &loss[0]);
        lg_result_end(continued, 0, b, &loss[1]);
        cr_assert_arr_eq(a, b, 2 * sizeof *a, "%s: %.17g %.17g", settings, a[0], b[0]);
        cr_assert_eq(loss[0], loss[1]);
        lg_result_free(whole);
        lg_result_free(continued);
        lg_problem_free(problem);
        lg_checkpoint_remove(ctx, file);
    }
}
