/* Do bootstrap 95 % intervals cover the truth? For each of many synthetic data sets an ensemble is fitted to the data and to
 * its resamples, as a user would do it, and the truth is looked for between the 2.5 and 97.5 % quantiles. The table it prints
 * is kept in docs/coverage.md. Not part of the usual tests: ctest -C coverage -L coverage --verbose */
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fit/walkers.h"

enum { DATA_SETS = 200, RESAMPLES = 100, MAX_PARAMS = 2 };

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(interval_coverage, .init = setup, .fini = teardown);

typedef struct tally {
    const char *model, *name[MAX_PARAMS], *data;
    double truth[MAX_PARAMS];
    int params, covered[MAX_PARAMS], below[MAX_PARAMS],
        above[MAX_PARAMS];                                           /* below: the interval lies below the truth */
    double width[MAX_PARAMS], error[MAX_PARAMS], square[MAX_PARAMS]; /* sums: of widths, of the fits to the data */
    clock_t began;
} tally;

/* One data set's ensemble. */
static void add(tally *t, const char *const *settings)
{
    lg_problem *p = make_problem(ctx, settings);
    lg_result *r;
    lg_summary s;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_summary(ctx, r, &s), LG_OK);
    cr_assert(s.bootstrap && s.interval_fits == RESAMPLES && s.failed == 0);
    for (int i = 0; i < t->params; i++) {
        const bool below = s.high[i]<t->truth[i], above = s.low[i]> t->truth[i];
        t->covered[i] += !below && !above;
        t->below[i] += below;
        t->above[i] += above;
        t->width[i] += s.high[i] - s.low[i];
        t->error[i] += s.best_params[i] - t->truth[i];
        t->square[i] += (s.best_params[i] - t->truth[i]) * (s.best_params[i] - t->truth[i]);
    }
    lg_result_free(r);
    lg_problem_free(p);
}

static void report(const tally *t)
{
    printf("| model | data | parameter | truth | data sets | resamples | covered | interval below, above | mean width "
           "| bias, rms error of the fit |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < t->params; i++)
        printf("| %s | %s | %s | %g | %d | %d | %.1f %% | %d, %d | %.4f | %+.4f, %.4f |\n", t->model, t->data,
               t->name[i], t->truth[i], DATA_SETS, RESAMPLES, 100.0 * t->covered[i] / DATA_SETS, t->below[i],
               t->above[i], t->width[i] / DATA_SETS, t->error[i] / DATA_SETS, sqrt(t->square[i] / DATA_SETS));
    printf("%.0f s of one core\n", (double)(clock() - t->began) / CLOCKS_PER_SEC);
    fflush(stdout);
    for (int i = 0; i < t->params; i++)
        cr_expect(t->covered[i] >= 0.9 * DATA_SETS && t->covered[i] <= 0.99 * DATA_SETS,
                  "%s %s: %d of %d intervals cover the truth", t->model, t->name[i], t->covered[i], DATA_SETS);
}

/* 30 runs on 16 x 16 sites; squared error of one-step transitions, straight-through gradient, Adam. */
Test(interval_coverage, si)
{
    tally t = {.model = "si",
               .name = {"beta"},
               .truth = {0.3},
               .params = 1,
               .data = "30 runs of 12 steps, 16 x 16",
               .began = clock()};
    for (int d = 0; d < DATA_SETS; d++) {
        char data[48], seed[32], resamples[32];
        snprintf(data, sizeof data, "data.generate.seed=%d", 1000 + d);
        snprintf(seed, sizeof seed, "seed=%d", 1 + d);
        snprintf(resamples, sizeof resamples, "ensemble.bootstrap=%d", RESAMPLES);
        add(&t, SETTINGS("model=si", "lattice.height=16", "lattice.width=16", "data.generate.runs=30",
                         "data.generate.steps=12", "data.generate.params.beta=0.3", data, seed, "params.beta.start=0.5",
                         "replicates=60", "iterations=150", "optimizer.name=adam", "optimizer.lr=0.05",
                         "optimizer.schedule=cosine", resamples, "device=cpu", "threads=1"));
    }
    report(&t);
}

enum { TRACKS = 50, FRAMES = 20 };

/* 50 tracks of 20 steps; the MSD at lags 1 to 8 from all pairs, weighted by its standard errors, Adam. */
Test(interval_coverage, prw)
{
    tally t = {.model = "prw",
               .name = {"p_center", "p_resample"},
               .truth = {0.3, 0.5},
               .params = 2,
               .data = "50 tracks of 20 steps, 8 lags",
               .began = clock()};
    char folder[] = "/tmp/latgrad-coverage-XXXXXX", path[64], data[80];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/tracks.csv", folder);
    snprintf(data, sizeof data, "data.tracks=%s", path);
    for (int d = 0; d < DATA_SETS; d++) {
        char seed[32], resamples[32];
        write_tracks(ctx, path, TRACKS, FRAMES, 1000 + d);
        snprintf(seed, sizeof seed, "seed=%d", 1 + d);
        snprintf(resamples, sizeof resamples, "ensemble.bootstrap=%d", RESAMPLES);
        add(&t, SETTINGS("model=prw", data, "data.weights=sem", "steps=8", seed, "params.p_center.start=0.5",
                         "params.p_resample.start=0.5", "replicates=256", "iterations=150", "optimizer.lr=0.1",
                         "optimizer.schedule=cosine", resamples, "device=cpu", "threads=1"));
    }
    remove(path);
    rmdir(folder);
    report(&t);
}
