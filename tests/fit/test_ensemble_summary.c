/* The summary of an ensemble on cases made by hand, failed fits, and configurations that are refused. */
#include <math.h>
#include <stdio.h>

#include "fit/problems.h"
#include "fit/result.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(ensemble_summary, .init = setup, .fini = teardown);

/* A result of SI fits that stood still: parameter, loss and data set of each. */
static lg_result *made(int fits, const double *beta, const double *loss, const int *resample)
{
    lg_result *r = calloc(1, sizeof *r);
    r->model = lg_model_find("si");
    r->fits = fits;
    r->fitted[0] = true;
    r->ensemble = true;
    r->lower[0] = 0.0;
    r->upper[0] = 1.0;
    r->bound = 5.0;
    r->distance = 0.05;
    r->fit = calloc((size_t)fits, sizeof *r->fit);
    if (resample) {
        r->coordinates = 1;
        strcpy(r->coordinate_name[0], "resample");
    }
    for (int f = 0; f < fits; f++) {
        lg_fit_record *fit = &r->fit[f];
        fit->status = LG_FIT_DONE;
        fit->iterations = 20;
        fit->trace = calloc(20 * 4, sizeof(double));
        for (int i = 0; i < 20; i++) { /* the last tenth, two rows, has the numbers as its mean */
            fit->trace[4 * i] = i < 18 ? 1000.0 : loss[f] + (i == 18 ? -1.0 : 1.0);
            fit->trace[4 * i + 1] = i < 18 ? 0.99 : beta[f] + (i == 18 ? 0.01 : -0.01);
        }
        fit->params[0] = beta[f];
        fit->loss = loss[f];
        if (resample) fit->coordinate[0] = resample[f];
    }
    return r;
}

Test(ensemble_summary, starts)
{
    static const double beta[] = {0.30, 0.70, 0.31, 0.28, 0.72, 0.50, 0.33},
                        loss[] = {2.0, 6.0, 1.0, 4.0, 7.0, NAN, 5.5};
    lg_result *r = made(7, beta, loss, NULL);
    lg_summary s;
    r->fit[5].status = LG_FIT_NOT_FINITE;
    r->fit[1].params[0] = 1.0; /* ended at a bound */
    cr_assert_eq(lg_result_summary(ctx, r, &s), LG_OK);
    cr_assert_eq(s.fits, 7);
    cr_assert_eq(s.failed, 1);
    cr_assert_eq(s.at_bound, 1);
    cr_assert_eq(s.data_fits, 7);
    cr_assert_eq(s.good, 6);
    cr_assert_eq(s.best, 2);
    cr_assert_float_eq(s.best_loss, 1.0, 1e-12);
    cr_assert_float_eq(s.best_params[0], 0.31, 1e-12);
    cr_assert_eq(s.below, 3);
    cr_assert(!s.bootstrap);
    cr_assert_eq(s.interval_fits, 6);
    cr_assert_float_eq(s.median[0], 0.32, 1e-12); /* of .28 .30 .31 .33 .70 .72 */
    cr_assert_float_eq(s.low[0], 0.28, 1e-12);
    cr_assert_float_eq(s.high[0], 0.72, 1e-12);
    cr_assert_eq(s.optima, 2);
    cr_assert_eq(s.optimum[0].fit, 2);
    cr_assert_eq(s.optimum[0].fits, 4);
    cr_assert_eq(s.optimum[1].fit, 1);
    cr_assert_eq(s.optimum[1].fits, 2);
    cr_assert_float_eq(s.optimum[1].params[0], 0.70, 1e-12);
    r->distance = 0.015;
    cr_assert_eq(lg_result_summary(ctx, r, &s), LG_OK);
    cr_assert_eq(s.optima, 5, "%d", s.optima); /* {.31 .30} {.28} {.33} {.70} {.72} */
    lg_result_free(r);
}

/* With 99 resamples of two starts each, the interval is from the values at places 2.5 and 97.5 of the better fits. */
Test(ensemble_summary, bootstrap)
{
    enum { B = 99 };
    double beta[2 * B + 2], loss[2 * B + 2];
    int resample[2 * B + 2];
    for (int i = 0; i < 2 * B + 2; i++) {
        const int b = i / 2;
        resample[i] = b;
        loss[i] = i % 2 ? 1.0 : 2.0;
        /* the better fit of resample b has b / 1000, in an order that is not sorted; the worse one is far off */
        beta[i] = i % 2 ? (b ? (b * 37 % 100) / 1000.0 : 0.05) : 0.9;
    }
    lg_result *r = made(2 * B + 2, beta, loss, resample);
    lg_summary s;
    cr_assert_eq(lg_result_summary(ctx, r, &s), LG_OK);
    cr_assert(s.bootstrap);
    cr_assert_eq(s.interval_fits, B);
    cr_assert_eq(s.data_fits, 2);
    cr_assert_eq(s.best, 1);
    cr_assert_float_eq(s.median[0], 0.050, 1e-12);
    cr_assert_float_eq(s.low[0], 0.0025, 1e-12);
    cr_assert_float_eq(s.high[0], 0.0975, 1e-12);
    cr_assert_eq(s.optima, 2);
    lg_result_free(r);
}

Test(ensemble_summary, all_failed)
{
    static const double beta[] = {0.3, 0.4}, loss[] = {NAN, NAN};
    lg_result *r = made(2, beta, loss, NULL);
    lg_summary s;
    char *json = NULL;
    r->fit[0].status = r->fit[1].status = LG_FIT_NOT_FINITE;
    cr_assert_eq(lg_result_summary(ctx, r, &s), LG_OK);
    cr_assert(s.failed == 2 && s.good == 0 && s.best == -1 && s.optima == 0 && s.below == 0);
    cr_assert(isnan(s.median[0]) && isnan(s.best_loss));
    r->config_yaml = strdup("");
    cr_assert_eq(lg_result_json(ctx, r, &json), LG_OK);
    cr_assert(strstr(json, "\"failed\": 2") && strstr(json, "\"best\": -1"), "%s", json);
    lg_free(json);
    lg_result_free(r);
}

#define NEWS                                                                                                  \
    "model=si", "loss=nll", "data.generate.params.beta=0.3", "data.generate.runs=5", "data.generate.steps=6", \
        "lattice.height=9", "lattice.width=8", "params.beta.start=0.5", "replicates=30", "device=cpu"

/* A learning rate beyond all measure drives one fit to a bound where the likelihood is infinite: it stops there, the others
 * run to their end and give what they give without it. */
Test(ensemble_summary, a_failed_fit_is_frozen)
{
    lg_result *r, *alone;
    lg_problem *p = make_problem(ctx, SETTINGS(NEWS, "params.beta.bounds=[0, 1]", "iterations=40",
                                               "ensemble.sweep.optimizer.lr=[1e-4, 1e4, 2e-4]"));
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_free(p);
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_DONE);
    cr_assert_eq(lg_result_status(r, 1), LG_FIT_NOT_FINITE, "%s", lg_result_reason(r, 1));
    cr_assert_eq(lg_result_status(r, 2), LG_FIT_DONE);
    cr_assert_eq(lg_result_iterations(r, 2), 40);
    cr_assert_lt(lg_result_iterations(r, 1), 40);
    cr_assert(isfinite(lg_result_params(r, 1)[0]));
    lg_summary s;
    cr_assert_eq(lg_result_summary(ctx, r, &s), LG_OK);
    cr_assert(s.failed == 1 && s.good == 2 && s.interval_fits == 2);
    p = make_problem(ctx,
                     SETTINGS(NEWS, "params.beta.bounds=[0, 1]", "iterations=40", "first_fit=2", "optimizer.lr=2e-4"));
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &alone), LG_OK);
    cr_assert_eq(memcmp(lg_result_trace(alone, 0), lg_result_trace(r, 2), 40 * 4 * sizeof(double)), 0);
    lg_problem_free(p);
    lg_result_free(alone);
    lg_result_free(r);
}

/* Each fit of a sweep is the single fit with that setting. */
Test(ensemble_summary, swept_settings_are_those_of_single_fits)
{
    static const struct {
        const char *key, *first, *second, *name, *lr;
    } cases[] = {{"optimizer.momentum", "0", "0.5", "sgd", "1e-5"},  {"optimizer.beta1", "0.5", "0.95", "adam", "0.01"},
                 {"optimizer.beta2", "0.9", "0.99", "adam", "0.01"}, {"optimizer.epsilon", "0.01", "1", "adam", "0.01"},
                 {"optimizer.decay", "0.3", "0.7", "adam", "0.01"},  {"optimizer.period", "2", "4", "adam", "0.01"},
                 {"optimizer.clip", "0.1", "10", "sgd", "1e-3"},     {"optimizer.lr", "1e-5", "2e-5", "sgd", "1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sweep[96], single[64], name[32], lr[32];
        lg_result *both, *one;
        snprintf(sweep, sizeof sweep, "ensemble.sweep.%s=[%s, %s]", cases[i].key, cases[i].first, cases[i].second);
        snprintf(single, sizeof single, "%s=%s", cases[i].key, cases[i].second);
        snprintf(name, sizeof name, "optimizer.name=%s", cases[i].name);
        snprintf(lr, sizeof lr, "optimizer.lr=%s", cases[i].lr);
        lg_problem *p = make_problem(ctx, SETTINGS(NEWS, name, lr, "optimizer.schedule=step", "optimizer.period=3",
                                                   "iterations=10", sweep));
        lg_problem *q = make_problem(ctx, SETTINGS(NEWS, name, lr, "optimizer.schedule=step", "optimizer.period=3",
                                                   "iterations=10", "first_fit=1", single));
        cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &both), LG_OK);
        cr_assert_eq(lg_fit(ctx, q, NULL, NULL, &one), LG_OK);
        cr_assert_eq(memcmp(lg_result_trace(both, 1), lg_result_trace(one, 0), 10 * 4 * sizeof(double)), 0, "%s",
                     cases[i].key);
        cr_assert_neq(memcmp(lg_result_trace(both, 0), lg_result_trace(one, 0), 10 * 4 * sizeof(double)), 0, "%s",
                      cases[i].key);
        lg_result_free(both);
        lg_result_free(one);
        lg_problem_free(p);
        lg_problem_free(q);
    }
}

Test(ensemble_summary, refused_configurations)
{
    static const struct {
        const char *setting[3];
        lg_status status;
        const char *text;
    } cases[] = {
        {{"ensemble.starts=randm"}, LG_ERR_CONFIG, "fixed|random|lhs|grid"},
        {{"ensemble.starts=[[0.1, 0.2], [0.3]]"}, LG_ERR_CONFIG, "start vectors"},
        {{"ensemble.starts=[[0.1, 0.2]]"}, LG_ERR_CONFIG, "vectors of 2 numbers, and 1 parameter is fitted"},
        {{"ensemble.starts=[0.1, 2]"}, LG_ERR_RANGE, "start 1 has beta 2"},
        {{"ensemble.starts=[0.1, nan]"}, LG_ERR_CONFIG, "start vectors"},
        {{"ensemble.starts=random"}, LG_ERR_CONFIG, "ensemble.size"},
        {{"ensemble.size=3"}, LG_ERR_CONFIG, "ensemble.seeds"},
        {{"ensemble.sweep.steps=[1, 2]"}, LG_ERR_CONFIG, "steps cannot be swept"},
        {{"ensemble.sweep.replicates=[1, 2]"}, LG_ERR_CONFIG, "replicates cannot be swept"},
        {{"ensemble.sweep.optimizer.lr=[0.1, 0]"}, LG_ERR_RANGE, "got '0'"},
        {{"ensemble.sweep.optimizer.lr=[]"}, LG_ERR_CONFIG, "a list of numbers"},
        {{"ensemble.sweep.optimizer.lr=[[1, 2]]"}, LG_ERR_CONFIG, "a list of numbers"},
        {{"ensemble.sweep.optimizer.period=[1.5]"}, LG_ERR_RANGE, "a whole number"},
        {{"ensemble.sweep.optimizer.lrr=[1]"}, LG_ERR_CONFIG, "ensemble.sweep.optimizer.lr'"},
        {{"ensemble.seeds=3", "first_fit=3"}, LG_ERR_CONFIG, "the ensemble has 3"},
        {{"ensemble.seeds=3", "fits=4"}, LG_ERR_CONFIG, "the ensemble has 3"},
        {{"ensemble.seeds=5000", "ensemble.bootstrap=5000"}, LG_ERR_RANGE, "16777216"},
        {{"ensemble.distance=0"}, LG_ERR_RANGE, "(0, 1)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lg_problem *p;
        const char *last = cases[i].setting[1];
        cr_assert_eq(try_problem(ctx, SETTINGS(NEWS, cases[i].setting[0], last ? last : "iterations=1"), &p),
                     cases[i].status, "%s: %s", cases[i].setting[0], lg_context_message(ctx));
        cr_assert(strstr(lg_context_message(ctx), cases[i].text), "%s", lg_context_message(ctx));
    }
}
