/* Standard errors of fits of statistics (host/fit/errors.c), and the combinations of correlated statistics (problem_pilot.c). */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "fit/ends.h"
#include "fit/errors.h"
#include "fit/walkers.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(fit_errors, .init = setup, .fini = teardown);

/* Quantiles from tables of Student's distribution. */
Test(fit_errors, student)
{
    const double expected[][2] = {{0, 1.959964}, {1, 12.706205}, {2, 4.302653},  {3, 3.182446},
                                  {5, 2.570582}, {9, 2.262157},  {29, 2.045230}, {1000, 1.962339}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_assert_float_eq(lg_student_95(expected[i][0]), expected[i][1], 2e-4 * expected[i][1], "%g: %g",
                           expected[i][0], lg_student_95(expected[i][0]));
}

#define WALK "model=prw", "device=cpu", "threads=1", "params.p_center.start=0.5", "params.p_resample.start=0.5"
#define TRUTH "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.5", "data.generate.runs=400"
#define EXACT "estimator.method=exact", "optimizer.name=lm", "iterations=60"

/* 400 data sets of 400 walkers: a 95 % interval covers the truth in 380 of them, standard deviation 4.4. Within 358 and 398,
 * missed by chance less than once in 10^4 of such tests; seeds are fixed. The errors are also the scatter of the estimates:
 * their ratio has a standard deviation of 1 / sqrt(800) = 3.5 %. */
Test(fit_errors, intervals_of_walkers_cover_the_truth)
{
    enum { SETS = 400 };
    const double truth[2] = {0.3, 0.5};
    int covered[2] = {0, 0};
    double sum[2] = {0}, square[2] = {0}, variance[2] = {0};
    for (int d = 0; d < SETS; d++) {
        char seed[48];
        snprintf(seed, sizeof seed, "data.generate.seed=%d", 100 + d);
        const ends e = fit_ends(ctx, SETTINGS(WALK, TRUTH, EXACT, seed));
        cr_assert(e.any, "%s", e.note);
        for (int i = 0; i < 2; i++) {
            covered[i] += e.low[i] <= truth[i] && truth[i] <= e.high[i];
            sum[i] += e.estimate[i];
            square[i] += e.estimate[i] * e.estimate[i];
            variance[i] += e.error[i] * e.error[i] / SETS;
        }
    }
    for (int i = 0; i < 2; i++) {
        const double scatter = sqrt((square[i] - sum[i] * sum[i] / SETS) / (SETS - 1));
        cr_assert(covered[i] >= 358 && covered[i] <= 398, "parameter %d: %d of %d covered", i, covered[i], SETS);
        cr_assert_float_eq(sqrt(variance[i]) / scatter, 1.0, 0.16, "parameter %d: %g of %g", i, sqrt(variance[i]),
                           scatter);
    }
}

/* The biased pathwise Jacobian of the walker: 60 data sets, the errors against the scatter (s.d. of the ratio 9 %). */
Test(fit_errors, pathwise_errors_are_the_scatter)
{
    enum { SETS = 60 };
    double sum[2] = {0}, square[2] = {0}, variance[2] = {0};
    for (int d = 0; d < SETS; d++) {
        char seed[48];
        snprintf(seed, sizeof seed, "data.generate.seed=%d", 100 + d);
        const ends e =
            fit_ends(ctx, SETTINGS(WALK, TRUTH, "optimizer.name=lm", "iterations=100", "replicates=2000", seed));
        for (int i = 0; i < 2; i++) {
            sum[i] += e.estimate[i];
            square[i] += e.estimate[i] * e.estimate[i];
            variance[i] += e.error[i] * e.error[i] / SETS;
        }
    }
    for (int i = 0; i < 2; i++) {
        const double scatter = sqrt((square[i] - sum[i] * sum[i] / SETS) / (SETS - 1));
        cr_assert_float_eq(sqrt(variance[i]) / scatter, 1.0, 0.36, "parameter %d: %g of %g", i, sqrt(variance[i]),
                           scatter);
    }
}

/* Walkers as tracks, and the table of their MSD: from start points the lags are correlated as in the model, so that both ways
 * give the same errors but for the sampling of the correlations. */
Test(fit_errors, table_and_tracks_agree)
{
    enum { TRACKS = 300, STEPS = 8 };
    char folder[] = "/tmp/latgrad-errors-XXXXXX", tracks[64], table[64], from_tracks[80], from_table[80];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(tracks, sizeof tracks, "%s/tracks.csv", folder);
    snprintf(table, sizeof table, "%s/msd.csv", folder);
    write_tracks(ctx, tracks, TRACKS, STEPS, 1);
    FILE *out;
    lg_tracks *read;
    lg_msd msd;
    cr_assert_eq(lg_tracks_read(ctx, tracks, &read), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_tracks_msd(ctx, read, LG_MSD_START, 1, STEPS, &msd), LG_OK, "%s", lg_context_message(ctx));
    out = fopen(table, "w");
    cr_assert_not_null(out);
    fputs("lag,time_s,msd_um2,sem_um2,n\n", out);
    for (size_t k = 0; k < msd.rows; k++)
        fprintf(out, "%zu,%zu,%.17g,%.17g,%d\n", k + 1, k + 1, msd.row[k].msd, msd.row[k].sem, TRACKS);
    fclose(out);
    lg_msd_clear(&msd);
    lg_tracks_free(read);
    snprintf(from_tracks, sizeof from_tracks, "data.tracks=%s", tracks);
    snprintf(from_table, sizeof from_table, "data.msd=%s", table);
    const ends a = fit_ends(ctx, SETTINGS(WALK, EXACT, from_tracks, "data.variant=start", "steps=8")),
               c = fit_ends(ctx, SETTINGS(WALK, EXACT, from_table, "steps=8"));
    remove(tracks);
    remove(table);
    rmdir(folder);
    for (int i = 0; i < 2; i++) {
        cr_assert_float_eq(a.estimate[i], c.estimate[i], 1e-9);
        cr_assert_float_eq(c.error[i] / a.error[i], 1.0, 0.2, "parameter %d: %g and %g", i, c.error[i], a.error[i]);
    }
}

/* A fit that was stopped on its way says so in its errors. */
Test(fit_errors, an_early_end_has_a_large_error)
{
    const ends early = fit_ends(ctx, SETTINGS(WALK, TRUTH, "estimator.method=exact", "optimizer.name=adam",
                                              "optimizer.lr=0.01", "iterations=5")),
               late = fit_ends(ctx, SETTINGS(WALK, TRUTH, EXACT));
    for (int i = 0; i < 2; i++)
        cr_assert_gt(early.error[i], 0.5 * fabs(early.estimate[i] - late.estimate[i]), "parameter %d: %g", i,
                     early.error[i]);
    cr_assert_gt(early.error[0], late.error[0]);
}

Test(fit_errors, none_with_a_reason)
{
    ends e = fit_ends(ctx, SETTINGS("model=si", "data.generate.params.beta=0.3", "data.generate.runs=2",
                                    "data.generate.steps=4", "lattice.height=8", "lattice.width=8", "iterations=2",
                                    "replicates=2", "device=cpu"));
    cr_assert(!e.any && strstr(e.note, "compares states"), "%s", e.note);
    e = fit_ends(ctx, SETTINGS(WALK, TRUTH, EXACT, "errors.evaluations=0"));
    cr_assert(!e.any && strstr(e.note, "errors.evaluations is 0"), "%s", e.note);
    e = fit_ends(ctx, SETTINGS("model=mk", "task=trajectory", "lattice.height=8", "lattice.width=8", "steps=3",
                               "data.generate.runs=3", "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4",
                               "data.generate.params.k1=0.9", "data.generate.params.k2=0.1",
                               "data.generate.params.k3=0.2", "data.generate.steps=3", "params.D_A=0.1",
                               "params.D_B=0.4", "params.k1=0.9", "params.k2.start=0.2", "params.k3=0.2",
                               "iterations=2", "device=cpu", "estimator.method=pathwise"));
    cr_assert(!e.any && strstr(e.note, "set estimator.method to fd"), "%s", e.note);
    e = fit_ends(ctx, SETTINGS(WALK, TRUTH, EXACT, "params.p_center=0.3"));
    cr_assert(e.any && isnan(e.error[0]) && isfinite(e.error[1]), "a fixed parameter has no error");
    cr_assert_lt(e.low[1], e.estimate[1]);
    cr_assert_lt(e.estimate[1], e.high[1]);
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

#define PATTERN \
    PATTERN_DATA, "params.D_A=0.1", "params.D_B=0.4", "params.k1=0.98", "params.k3=0.2", "params.k2.start=0.1"

/* k2 from ten runs: it comes back within its interval with both weightings, and the combination has the smaller error. */
Test(fit_errors, combinations_are_sharper)
{
    const ends diagonal = fit_ends(ctx, SETTINGS(PATTERN, "data.weights=sem", "optimizer.name=lm", "iterations=12",
                                                 "replicates=40", "estimator.fd_step=0.5")),
               full = fit_ends(ctx, SETTINGS(PATTERN, "data.weights=model", "optimizer.name=lm", "iterations=12",
                                             "replicates=40", "estimator.fd_step=0.5"));
    cr_assert(diagonal.any && full.any);
    cr_assert_float_eq(diagonal.estimate[3], 0.1, 4 * diagonal.error[3], "%g +- %g", diagonal.estimate[3],
                       diagonal.error[3]);
    cr_assert_float_eq(full.estimate[3], 0.1, 4 * full.error[3], "%g +- %g", full.estimate[3], full.error[3]);
    cr_assert_lt(full.error[3], diagonal.error[3]);
}

Test(fit_errors, weights_that_do_not_apply)
{
    lg_problem *p;
    cr_assert_eq(try_problem(ctx, SETTINGS(WALK, TRUTH, "data.weights=model"), &p), LG_ERR_UNSUPPORTED);
    cr_assert(strstr(lg_context_message(ctx), "data.weights"), "%s", lg_context_message(ctx));
    cr_assert_eq(try_problem(ctx, SETTINGS(PATTERN, "data.weights=model", "estimator.method=pathwise"), &p),
                 LG_ERR_UNSUPPORTED);
    cr_assert(strstr(lg_context_message(ctx), "needs estimator.method fd"), "%s", lg_context_message(ctx));
    cr_assert_eq(try_problem(ctx, SETTINGS(PATTERN, "data.weights=model", "data.pilot=7"), &p), LG_ERR_RANGE);
    cr_assert(strstr(lg_context_message(ctx), "expected 0 or 8 to 65536"), "%s", lg_context_message(ctx));
}

static void keep_log(lg_log_level level, const char *message, void *user)
{
    (void)level;
    strncat(user, message, 400);
}

/* 112 statistics: eight runs each by default, and a warning where there is less than two. */
Test(fit_errors, pilot_runs_grow_with_the_statistics)
{
    char log[4096] = "";
    lg_context_set_log(ctx, keep_log, log);
    lg_problem_free(make_problem(ctx, SETTINGS(PATTERN, "data.weights=model", "data.record_every=50")));
    cr_assert(
        strstr(log,
               "2 x 896 runs around the start values, for which combinations of 112 statistics tell about 1 parameter"),
        "%s", log);
    cr_assert_not(strstr(log, "hardly show"), "%s", log);
    lg_problem_free(
        make_problem(ctx, SETTINGS(PATTERN, "data.weights=model", "data.record_every=50", "data.pilot=200")));
    cr_assert(strstr(log, "200 runs hardly show the covariance of 112 statistics"), "%s", log);
}
