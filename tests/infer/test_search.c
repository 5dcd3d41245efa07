/* Searches without gradients on problems whose answers are known. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

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

TestSuite(search, .init = setup, .fini = teardown);

/* The likelihood of all pairs: replicates = pairs, so that the loss has no noise. */
#define SI                                                                                                     \
    "model=si", "loss=nll", "data.generate.params.beta=0.2", "data.generate.runs=4", "data.generate.steps=10", \
        "lattice.height=32", "lattice.width=32", "replicates=40", "params.beta.start=0.5", "device=cpu"
/* The closed form fitted to walks: without noise as well. */
#define PRW                                                                                                            \
    "model=prw", "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.4", "estimator.method=exact", \
        "data.generate.runs=20000", "params.p_center.start=0.7", "params.p_resample.start=0.7", "device=cpu",          \
        "params.p_center.bounds=[0.05, 0.95]", "params.p_resample.bounds=[0.05, 0.95]"

static lg_result *search_in(lg_problem *p)
{
    lg_result *r = NULL;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    return r;
}

static lg_result *search(const char *const *settings)
{
    lg_problem *p = make_problem(ctx, settings);
    lg_result *r = search_in(p);
    lg_problem_free(p);
    return r;
}

static double loss_at(lg_problem *p, const double *params)
{
    double loss;
    cr_assert_eq(lg_evaluate(ctx, p, 0, params, &loss, NULL), LG_OK, "%s", lg_context_message(ctx));
    return loss;
}

/* Where a convex loss of one parameter is smallest, by golden sections. */
static double minimum(lg_problem *p, double low, double high)
{
    const double g = 0.6180339887498949;
    while (high - low > 1e-9) {
        const double a = high - g * (high - low), b = low + g * (high - low);
        if (loss_at(p, &a) < loss_at(p, &b)) high = b;
        else low = a;
    }
    return 0.5 * (low + high);
}

/* Where it is `level`, between a point below and one above. */
static double crossing(lg_problem *p, double inside, double outside, double level)
{
    for (int i = 0; i < 60; i++) {
        const double middle = 0.5 * (inside + outside);
        if (loss_at(p, &middle) <= level) inside = middle;
        else outside = middle;
    }
    return inside;
}

static void si_optimum(const char *const *settings, double precision)
{
    lg_problem *p = make_problem(ctx, settings);
    const double best = minimum(p, 0.05, 0.6);
    lg_result *r = search_in(p);
    cr_assert_float_eq(lg_result_params(r, 0)[0], best, precision, "%.9g and %.9g: %s", lg_result_params(r, 0)[0], best,
                       lg_result_reason(r, 0));
    lg_result_free(r);
    lg_problem_free(p);
}

Test(search, cma_es_finds_the_likelihood_optimum)
{
    si_optimum(SETTINGS(SI, "method.name=cma_es", "method.simulations=2000", "method.tolerance=1e-8"), 1e-5);
}

/* Uniform draws: none of 2000 within 0.01 of the optimum has a probability of exp(-40). */
Test(search, random_search_comes_close)
{
    si_optimum(SETTINGS(SI, "method.name=random", "method.simulations=2048"), 0.01);
}

static void prw_optimum(const char *const *settings, double precision)
{
    static const char *const reference[] = {PRW, "optimizer.lr=0.05", "iterations=6000", NULL};
    lg_problem *p = make_problem(ctx, reference);
    lg_result *gradient = search_in(p), *r = search(settings);
    for (int i = 0; i < 2; i++)
        cr_assert_float_eq(lg_result_params(r, 0)[i], lg_result_params(gradient, 0)[i], precision, "%d: %.9g and %.9g",
                           i, lg_result_params(r, 0)[i], lg_result_params(gradient, 0)[i]);
    cr_assert_leq(lg_result_loss(r, 0), loss_at(p, lg_result_params(gradient, 0)) * (1.0 + 1e-3));
    lg_result_free(r);
    lg_result_free(gradient);
    lg_problem_free(p);
}

Test(search, cma_es_finds_the_least_squares_optimum)
{
    prw_optimum(SETTINGS(PRW, "method.name=cma_es", "method.simulations=6000", "method.tolerance=1e-9"), 1e-3);
}

Test(search, nlopt_finds_both_optima)
{
    static const char *const si[] = {SI, "method.name=nlopt", "method.simulations=500", NULL};
    static const char *const algorithms[] = {"method.algorithm=sbplx", "method.algorithm=neldermead",
                                             "method.algorithm=bobyqa"};
    lg_problem *p = make_problem(ctx, si);
    lg_result *r = NULL;
    const lg_status status = lg_fit(ctx, p, NULL, NULL, &r);
    lg_result_free(r);
    lg_problem_free(p);
    if (status == LG_ERR_LIBRARY) cr_skip_test("this build has no NLopt");
    si_optimum(si, 1e-4);
    for (int i = 0; i < 3; i++)
        prw_optimum(SETTINGS(PRW, "method.name=nlopt", "method.tolerance=1e-8", algorithms[i]), 1e-3);
}

/* Under a loss L without noise the posterior of tolerance e is the prior cut to L <= e: uniform between two points that bisection
 * finds. Whatever the proposals were, the weights have to restore that. Of n effective samples the mean has the error
 * width / sqrt(12 n) and the standard deviation the relative error sqrt(0.2 / n); 5 errors: false alarms 6e-7 each (the effective
 * size is not exactly the number of independent samples, hence not fewer). */
static void check_uniform(const char *const *settings)
{
    lg_problem *p = make_problem(ctx, settings);
    const double best = minimum(p, 0.05, 0.6), level = loss_at(p, &(double){best * 1.3});
    char text[64];
    snprintf(text, sizeof text, "method.distance=%.17g", level);
    lg_problem_free(p);
    const char *more[32];
    int n = 0;
    for (; settings[n]; n++) more[n] = settings[n];
    more[n] = text;
    more[n + 1] = NULL;
    p = make_problem(ctx, more);
    lg_result *r = search_in(p);
    const double low = crossing(p, best, 0.01, level), high = crossing(p, best, 0.9, level);
    const double sd = (high - low) / sqrt(12.0);
    lg_posterior posterior;
    cr_assert(lg_result_posterior(r, &posterior));
    cr_assert_geq(posterior.samples, 50);
    cr_assert_geq(posterior.effective, 25.0);
    cr_assert_float_eq(posterior.mean[0], 0.5 * (low + high), 5.0 * sd / sqrt(posterior.effective));
    cr_assert_float_eq(posterior.sd[0], sd, 5.0 * sd * sqrt(0.2 / posterior.effective));
    for (int i = 0; i < posterior.samples; i++) {
        cr_assert_geq(posterior.sample[i], low - 1e-12);
        cr_assert_leq(posterior.sample[i], high + 1e-12);
        cr_assert_leq(posterior.distance[i], level);
    }
    lg_result_free(r);
    lg_problem_free(p);
}

Test(search, abc_gives_the_cut_prior)
{
    check_uniform(SETTINGS(SI, "method.name=abc", "method.simulations=4096"));
}

Test(search, abc_smc_gives_the_cut_prior)
{
    check_uniform(SETTINGS(SI, "method.name=abc_smc", "method.population=3000", "method.simulations=100000"));
}

static void same(const lg_result *a, const lg_result *b)
{
    lg_posterior x, y;
    cr_assert(lg_result_posterior(a, &x) && lg_result_posterior(b, &y));
    cr_assert_eq(x.generations, y.generations);
    cr_assert_eq(x.samples, y.samples);
    cr_assert_eq(memcmp(x.generation, y.generation, (size_t)x.generations * 2 * sizeof(double)), 0);
    if (x.samples) cr_assert_eq(memcmp(x.weight, y.weight, (size_t)x.samples * sizeof(double)), 0);
    cr_assert_eq(memcmp(lg_result_params(a, 0), lg_result_params(b, 0), 2 * sizeof(double)), 0);
    cr_assert_eq(lg_result_loss(a, 0), lg_result_loss(b, 0));
}

/* Noisy losses, one thread and three: the same bytes. */
Test(search, threads_do_not_matter)
{
    static const char *const methods[] = {"method.name=random", "method.name=abc", "method.name=abc_smc",
                                          "method.name=cma_es"};
    for (int i = 0; i < 4; i++) {
        lg_result *r[2];
        for (int k = 0; k < 2; k++)
            r[k] = search(SETTINGS("model=prw", "data.generate.params.p_center=0.3",
                                   "data.generate.params.p_resample=0.4", "data.generate.runs=500", "replicates=200",
                                   "device=cpu", "method.simulations=1280", methods[i], k ? "threads=3" : "threads=1"));
        same(r[0], r[1]);
        lg_result_free(r[0]);
        lg_result_free(r[1]);
    }
}

static void refused(const char *const *settings, const char *word)
{
    lg_problem *p;
    cr_assert_neq(try_problem(ctx, settings, &p), LG_OK);
    cr_assert(strstr(lg_context_message(ctx), word), "%s", lg_context_message(ctx));
}

Test(search, errors_name_the_key)
{
    refused(SETTINGS(SI, "method.name=abc_cms"), "method.name");
    refused(SETTINGS(SI, "method.name=abc_smc", "method.simulations=100"), "method.simulations");
    refused(SETTINGS(SI, "method.name=cma_es", "method.population=2"), "method.population");
    refused(SETTINGS(SI, "method.name=random", "fits=2"), "fits");
    refused(SETTINGS(SI, "method.name=random", "ensemble.seeds=2"), "ensemble");
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "method.name=random"));
    lg_result *r = NULL;
    cr_assert_eq(lg_fit_run(ctx, p, &(lg_fit_options){.resume = true}, NULL, NULL, &r), LG_ERR_UNSUPPORTED);
    cr_assert(strstr(lg_context_message(ctx), "--resume"));
    cr_assert_eq(lg_fit_run(ctx, p, &(lg_fit_options){.time_limit = 10.0}, NULL, NULL, &r), LG_ERR_UNSUPPORTED);
    cr_assert(strstr(lg_context_message(ctx), "stop.time"));
    lg_problem_free(p);
}

static int stop_at_third(const lg_progress *progress, void *user)
{
    (void)user;
    return progress->iteration < 3 ? LG_GO_ON : LG_STOP;
}

Test(search, stops_on_request_with_what_it_has)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "method.name=abc"));
    lg_result *r = NULL;
    lg_posterior posterior;
    cr_assert_eq(lg_fit(ctx, p, stop_at_third, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_status(r, 0), LG_FIT_STOPPED);
    cr_assert(lg_result_posterior(r, &posterior));
    cr_assert_eq(posterior.generations, 3);
    cr_assert_eq(posterior.generation[4 * 2 + 1], 3 * 64.0);
    cr_assert_eq(posterior.samples, 10); /* 5 % of 192, rounded up */
    lg_result_free(r);
    lg_problem_free(p);
}

/* What is written comes back; JSON names the interval. */
Test(search, results_are_kept)
{
    char path[] = "/tmp/latgrad_search_XXXXXX", *json = NULL;
    const int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    lg_result *r = search(SETTINGS(SI, "method.name=abc_smc", "method.simulations=1000")), *back = NULL;
    const lg_status status = lg_result_write(ctx, r, path, true);
    if (status != LG_ERR_LIBRARY) {
        cr_assert_eq(status, LG_OK, "%s", lg_context_message(ctx));
        cr_assert_eq(lg_result_read(ctx, path, &back), LG_OK, "%s", lg_context_message(ctx));
        lg_posterior a, b;
        cr_assert(lg_result_posterior(r, &a) && lg_result_posterior(back, &b));
        cr_assert_eq(memcmp(a.sample, b.sample, (size_t)a.samples * sizeof(double)), 0);
        cr_assert_eq(memcmp(a.distance, b.distance, (size_t)a.samples * sizeof(double)), 0);
        same(r, back);
        lg_result_free(back);
    }
    cr_assert_eq(lg_result_json(ctx, r, &json), LG_OK);
    cr_assert(strstr(json, "\"search\": {\"generations\": ") && strstr(json, "\"low\": {\"beta\": "), "%s", json);
    lg_free(json);
    lg_result_free(r);
    unlink(path);
}

/* Walks whose loss has much noise and a plateau at the bounds in logit p, from a start far away. Over ten other seeds the standard
 * deviation of p_center was 0.02 with cma_es and 0.04 with nlopt; five of them. */
Test(search, noise_and_plateaus_do_not_lead_astray)
{
    static const char *const methods[] = {"method.name=cma_es", "method.name=nlopt"};
    static const double precision[] = {0.1, 0.2};
    for (int i = 0; i < 2; i++) {
        lg_problem *p =
            make_problem(ctx, SETTINGS("model=prw", "data.generate.params.p_center=0.272",
                                       "data.generate.params.p_resample=0.616", "data.generate.runs=200000",
                                       "replicates=1500", "params.p_center.start=0.7", "params.p_resample.start=0.7",
                                       "params.p_center.transform=logit", "params.p_resample.transform=logit",
                                       "device=cpu", "method.simulations=1000", methods[i]));
        lg_result *r = NULL;
        const lg_status status = lg_fit(ctx, p, NULL, NULL, &r);
        if (status != LG_ERR_LIBRARY) { /* a build without NLopt */
            cr_assert_eq(status, LG_OK, "%s", lg_context_message(ctx));
            cr_assert_float_eq(lg_result_params(r, 0)[0], 0.272, precision[i], "%s: p_center %g", methods[i],
                               lg_result_params(r, 0)[0]);
        }
        lg_result_free(r);
        lg_problem_free(p);
    }
}

/* What was run for a population that the budget did not complete counts as well. */
Test(search, abc_smc_counts_all_simulations)
{
    lg_result *r = search(SETTINGS(SI, "method.name=abc_smc", "method.population=100", "method.simulations=1000"));
    lg_posterior posterior;
    cr_assert(lg_result_posterior(r, &posterior));
    cr_assert(strstr(lg_result_reason(r, 0), "all 1000 simulations"), "%s", lg_result_reason(r, 0));
    cr_assert_lt(posterior.generations, 10);
    cr_assert_eq(posterior.generation[4 * (posterior.generations - 1) + 1], 1000.0);
    lg_result_free(r);
}

/* Walks like those of the data, seed and all, with as many walkers: with the noise of the data their loss would be 0. */
Test(search, loss_at_the_estimate_is_not_that_of_the_data_themselves)
{
    lg_result *r = search(SETTINGS("model=prw", "seed=5", "data.generate.seed=5", "data.generate.runs=50",
                                   "replicates=50", "data.generate.params.p_center=0.3",
                                   "data.generate.params.p_resample=0.4", "params.p_center.start=0.3",
                                   "params.p_resample.start=0.4", "params.p_center.bounds=[0.29999999, 0.30000001]",
                                   "params.p_resample.bounds=[0.39999999, 0.40000001]", "method.name=random",
                                   "method.population=1", "method.simulations=8", "device=cpu"));
    cr_assert_gt(lg_result_loss(r, 0), 0.01);
    lg_result_free(r);
}
