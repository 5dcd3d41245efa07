/* Searches on losses with a known minimum: from several starts they end there, within a stated error. */
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

TestSuite(minima, .init = setup, .fini = teardown);

/* The closed form of the mean square displacement at p_center 0.3 and p_resample 0.4 as data, fitted by the closed form: the loss has
 * its minimum 0 there. */
enum { LAGS = 10 };
static const double truth[2] = {0.3, 0.4};

static double closed_form(int n)
{
    const double s = 1.0 - truth[0], r = 1.0 - truth[1];
    double sum = n;
    for (int k = 1; k < n; k++) sum += 2.0 * (n - k) * pow(r, k);
    return 2.0 * s * sum;
}

static void write_data(const char *path)
{
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fprintf(f, "lag,time_s,msd_um2,sem_um2,n_subtracks\n");
    for (int n = 1; n <= LAGS; n++) fprintf(f, "%d,%d,%.17g,1,100\n", n, n, closed_form(n));
    fclose(f);
}

static lg_result *search(const char *const *settings)
{
    lg_problem *p = make_problem(ctx, settings);
    lg_result *r = NULL;
    const lg_status status = lg_fit(ctx, p, NULL, NULL, &r);
    lg_problem_free(p);
    if (status == LG_ERR_LIBRARY) return NULL; /* a build without NLopt */
    cr_assert_eq(status, LG_OK, "%s", lg_context_message(ctx));
    return r;
}

static void check_starts(const char *method, const char *budget, double precision)
{
    static const char *const starts[][2] = {{"0.06", "0.06"},
                                            {"0.94", "0.06"},
                                            {"0.06", "0.94"},
                                            {"0.94", "0.94"},
                                            {"0.5", "0.5"}};
    char path[] = "/tmp/latgrad_minima_XXXXXX", data[64], center[64], resample[64];
    const int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    write_data(path);
    snprintf(data, sizeof data, "data.msd=%s", path);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        snprintf(center, sizeof center, "params.p_center.start=%s", starts[i][0]);
        snprintf(resample, sizeof resample, "params.p_resample.start=%s", starts[i][1]);
        lg_result *r =
            search(SETTINGS("model=prw", "estimator.method=exact", "data.spacing2=1", "steps=10", data, center,
                            resample, "params.p_center.bounds=[0.05, 0.95]", "params.p_resample.bounds=[0.05, 0.95]",
                            "device=cpu", method, budget, "method.tolerance=1e-8"));
        if (!r) {
            unlink(path);
            cr_skip_test("this build has no NLopt");
        }
        for (int k = 0; k < 2; k++)
            cr_assert_float_eq(lg_result_params(r, 0)[k], truth[k], precision, "%s from (%s, %s): %.9g, expected %g",
                               method, starts[i][0], starts[i][1], lg_result_params(r, 0)[k], truth[k]);
        lg_result_free(r);
    }
    unlink(path);
}

Test(minima, cma_es_from_five_starts)
{
    check_starts("method.name=cma_es", "method.simulations=6000", 1e-5);
}

Test(minima, nlopt_from_five_starts)
{
    check_starts("method.name=nlopt", "method.simulations=6000", 1e-5);
}

/* The likelihood of all pairs of an SI run from one aware site: with N aware neighbours a site turns aware with probability
 * 1 - (1 - beta)^N. On one step from one site N = 1 for 8 sites, so that K of 8 R give beta = K / 8 R exactly. */
static double si_count(const char *start)
{
    lg_problem *p = make_problem(ctx, SETTINGS("model=si", "loss=nll", "lattice.height=3", "lattice.width=3",
                                               "data.generate.runs=50", "data.generate.steps=1",
                                               "data.generate.params.beta=0.3", "replicates=50", start, "device=cpu"));
    const double n = 400.0;
    double loss[2];
    for (int i = 0; i < 2; i++) {
        const double beta = i ? 0.5 : 0.2;
        cr_assert_eq(lg_evaluate(ctx, p, 0, &beta, &loss[i], NULL), LG_OK, "%s", lg_context_message(ctx));
    }
    lg_problem_free(p);
    /* loss(beta) = -c (k log beta + (n - k) log(1 - beta)); the ratio of two of them gives k / n */
    const double a = log(0.2) - log(0.8), b = log(0.8), c = log(0.5) - log(0.5), d = log(0.5),
                 ratio = loss[0] / loss[1];
    const double share = (ratio * d - b) / (a - ratio * c), k = share * n;
    cr_assert_float_eq(k, round(k), 1e-3, "the count is %.9g", k);
    return round(k) / n;
}

static void check_si(const char *method, const char *budget, double precision)
{
    static const char *const starts[] = {"params.beta.start=0.02", "params.beta.start=0.5", "params.beta.start=0.98"};
    const double best = si_count(starts[1]);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        lg_result *r =
            search(SETTINGS("model=si", "loss=nll", "lattice.height=3", "lattice.width=3", "data.generate.runs=50",
                            "data.generate.steps=1", "data.generate.params.beta=0.3", "replicates=50", starts[i],
                            "device=cpu", method, budget, "method.tolerance=1e-7"));
        if (!r) cr_skip_test("this build has no NLopt");
        cr_assert_float_eq(lg_result_params(r, 0)[0], best, precision, "%s, %s: %.9g, expected %.9g", method, starts[i],
                           lg_result_params(r, 0)[0], best);
        lg_result_free(r);
    }
}

/* The likelihood is in single precision: to 1e-7 of its value it is flat within 1e-4 of the minimum. */
Test(minima, cma_es_gives_the_share_of_the_aware)
{
    check_si("method.name=cma_es", "method.simulations=3000", 2e-4);
}

Test(minima, nlopt_gives_the_share_of_the_aware)
{
    check_si("method.name=nlopt", "method.simulations=1000", 2e-4);
}

/* The best of 5000 uniform draws: none lies within 0.0014 of the minimum with probability (1 - 0.0028)^5000 = 8e-7. */
Test(minima, random_comes_as_close_as_its_draws)
{
    check_si("method.name=random", "method.simulations=5056", 0.0014 + 2e-4);
}
