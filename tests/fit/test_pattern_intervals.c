/* Do errors and intervals of patterns hold?  Data sets of small lattices, many of them: the combinations of statistics that data.weights
 * model learns (host/fit/problem_pilot.c), and the standard errors of fits to them (host/fit/errors.c). */
#include <math.h>
#include <stdio.h>

#include "fit/ends.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(fit_pattern_intervals, .init = setup, .fini = teardown);

/* At the truth each combination of the residuals of R replicates against n runs has the variance 1 + n / R and none is correlated with
 * another, so that the loss of five parameters is (1 + n / R) times a chi square of 5. Over 40 data sets its mean of 10 has a standard
 * deviation of 2 sqrt(10 / 40) = 1. */
Test(fit_pattern_intervals, combined_losses_have_their_mean)
{
    enum { SETS = 40 };
    double mean = 0;
    int varying = 0;
    for (int d = 0; d < SETS; d++) {
        char seed[48];
        double loss, params[8];
        snprintf(seed, sizeof seed, "data.generate.seed=%d", 100 + d);
        lg_problem *p = make_problem(ctx, SETTINGS(PATTERN_DATA, "params.D_A.start=0.1", "params.D_B.start=0.4",
                                                   "params.k1.start=0.98", "params.k2.start=0.1", "params.k3.start=0.2",
                                                   "data.weights=model", "data.pilot=200", "replicates=10", seed));
        lg_problem_start(p, 0, params);
        cr_assert_eq(lg_evaluate(ctx, p, (uint64_t)d, params, &loss, NULL), LG_OK, "%s", lg_context_message(ctx));
        mean += loss / SETS;
        lg_problem_info info;
        lg_problem_describe(p, &info);
        varying = 0;
        for (int k = 0; k < info.statistics; k++) varying += lg_problem_weight(p)[k] > 0;
        lg_problem_free(p);
    }
    cr_assert_eq(varying, 2 * (4 + 2 * 10), "%d", varying); /* 16 x 16 sites have 10 of the 12 rings */
    cr_assert_float_eq(mean, 10.0, 3.5, "mean loss %g", mean);
}

/* D_A and D_B of 40 patterns of ten runs, from starts 15 % off. Of 80 intervals of 95 % 76 contain the truth, with a standard deviation of
 * 1.9 (a little more, since the two are correlated): 68 or fewer by chance once in 10^4 tests. The scatter of 40 ends has
 * an error of 11 %. The statistics move much in the steps of fd: without unbiased derivatives, or with errors that leave out what the
 * pilot runs get wrong, intervals come out too short. */
Test(fit_pattern_intervals, intervals_of_patterns_cover_the_truth)
{
    enum { SETS = 40 };
    const double truth[2] = {0.1, 0.4};
    double square[2] = {0}, variance[2] = {0};
    int covered = 0;
    for (int d = 0; d < SETS; d++) {
        char seed[48];
        snprintf(seed, sizeof seed, "data.generate.seed=%d", 500 + d);
        const ends e = fit_ends(ctx, SETTINGS(PATTERN_DATA, "params.D_A.start=0.115", "params.D_B.start=0.34",
                                              "params.k1=0.98", "params.k2=0.1", "params.k3=0.2", "data.weights=model",
                                              "optimizer.name=lm", "iterations=6", "replicates=40", seed));
        cr_assert(e.any, "%s", e.note);
        for (int i = 0; i < 2; i++) {
            covered += e.low[i] <= truth[i] && truth[i] <= e.high[i];
            square[i] += (e.estimate[i] - truth[i]) * (e.estimate[i] - truth[i]) / SETS;
            variance[i] += e.error[i] * e.error[i] / SETS;
        }
    }
    cr_log_info("%d of 80, rms / error %g %g", covered, sqrt(square[0] / variance[0]), sqrt(square[1] / variance[1]));
    cr_assert_gt(covered, 68, "%d of 80", covered);
    for (int i = 0; i < 2; i++)
        cr_assert_float_eq(sqrt(square[i] / variance[i]), 1.0, 0.4, "parameter %d: %g", i,
                           sqrt(square[i] / variance[i]));
}
