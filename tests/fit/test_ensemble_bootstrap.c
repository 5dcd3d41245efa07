/* The bootstrap: what is drawn, and that each fit is compared with its own data. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "fit/problem.h"
#include "fit/problems.h"

static lg_context *ctx;
static char folder[64], file[128];

static void setup(void)
{
    lg_context_create(&ctx);
    strcpy(folder, "/tmp/latgrad-ensemble-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/data.csv", folder);
}

static void teardown(void)
{
    remove(file);
    rmdir(folder);
    lg_context_free(ctx);
}

TestSuite(ensemble_bootstrap, .init = setup, .fini = teardown);

#define NEWS(task, runs)                                                                                            \
    "model=si", "task=" task, "data.generate.params.beta=0.3", "data.generate.runs=" runs, "data.generate.steps=6", \
        "lattice.height=9", "lattice.width=8", "params.beta.start=0.5", "replicates=5", "iterations=3", "device=cpu"

/* Runs of a transition set are drawn whole: rows stay in groups of a run, in its order; every run is drawn sometimes. */
Test(ensemble_bootstrap, transitions_draw_whole_runs)
{
    enum { RUNS = 5, LENGTH = 6, B = 40 };
    lg_problem *p = make_problem(ctx, SETTINGS(NEWS("transition", "5"), "ensemble.bootstrap=40"));
    const lg_job *job = &p->job;
    int drawn[RUNS] = {0}, repeated = 0;
    cr_assert_eq(job->fits, B + 1);
    cr_assert_eq(job->pool, RUNS * LENGTH);
    for (uint32_t i = 0; i < job->pool; i++) cr_assert_eq(job->resample[i], i, "resample 0 is the data");
    for (uint32_t f = 1; f < job->fits; f++) {
        const uint32_t *row = job->resample + f * job->pool;
        bool seen[RUNS] = {false};
        for (uint32_t r = 0; r < RUNS; r++) {
            const uint32_t run = row[r * LENGTH] / LENGTH;
            cr_assert_lt(run, RUNS);
            for (uint32_t t = 0; t < LENGTH; t++) cr_assert_eq(row[r * LENGTH + t], run * LENGTH + t);
            repeated += seen[run];
            seen[run] = true;
            drawn[run]++;
        }
    }
    for (int r = 0; r < RUNS; r++)
        cr_assert(drawn[r] > B / 2 && drawn[r] < 2 * B, "run %d was drawn %d times", r, drawn[r]);
    cr_assert_gt(repeated, B);
    lg_problem_free(p);
}

Test(ensemble_bootstrap, a_single_run_draws_pairs)
{
    lg_problem *p = make_problem(ctx, SETTINGS(NEWS("transition", "1"), "ensemble.bootstrap=30"));
    const lg_job *job = &p->job;
    int broken = 0;
    for (uint32_t f = 1; f < job->fits; f++)
        for (uint32_t i = 0; i < job->pool; i++) {
            cr_assert_lt(job->resample[f * job->pool + i], job->pool);
            if (i) broken += job->resample[f * job->pool + i] != job->resample[f * job->pool + i - 1] + 1;
        }
    cr_assert_gt(broken, 50);
    lg_problem_free(p);
}

/* The exact likelihood of a resample over all its pairs is the sum of the likelihoods of its pairs. */
Test(ensemble_bootstrap, loss_and_gradient_are_of_the_drawn_pairs)
{
    enum { POOL = 24, F = 4 };
    static const char *const model[] = {"model=si",
                                        "loss=nll",
                                        "data.generate.params.beta=0.3",
                                        "data.generate.runs=4",
                                        "data.generate.steps=6",
                                        "lattice.height=9",
                                        "lattice.width=8",
                                        "params.beta.start=0.5",
                                        "device=cpu",
                                        "replicates=24",
                                        NULL};
    const char *all[16] = {NULL};
    memcpy(all, model, sizeof model);
    all[10] = "ensemble.bootstrap=3";
    lg_problem *p = make_problem(ctx, all);
    double params[F], loss[F], grad[F], pair_loss[POOL], pair_grad[POOL], one[POOL];
    for (int f = 0; f < F; f++) params[f] = 0.4;
    cr_assert_eq(lg_evaluate(ctx, p, 0, params, loss, grad), LG_OK);

    /* the same pairs one by one: 24 fits of a pool made to hold one pair each */
    uint32_t rows[POOL * POOL];
    for (uint32_t i = 0; i < POOL * POOL; i++) rows[i] = i / POOL;
    all[10] = "fits=24";
    lg_problem *q = make_problem(ctx, all);
    q->job.resample = rows;
    for (int i = 0; i < POOL; i++) one[i] = 0.4;
    cr_assert_eq(lg_evaluate(ctx, q, 0, one, pair_loss, pair_grad), LG_OK);
    for (int f = 0; f < F; f++) {
        double sum = 0.0, slope = 0.0;
        for (int i = 0; i < POOL; i++) {
            sum += pair_loss[p->job.resample[f * POOL + i]] / POOL;
            slope += pair_grad[p->job.resample[f * POOL + i]] / POOL;
        }
        cr_assert_float_eq(loss[f], sum, 1e-10 * sum);
        cr_assert_float_eq(grad[f], slope, 1e-10 * fabs(slope) + 1e-12);
        if (f) cr_assert_neq(loss[f], loss[0]);
    }
    lg_problem_free(q);
    lg_problem_free(p);
}

/* Start states and mean statistics of a lattice trajectory come from the same drawn runs. */
Test(ensemble_bootstrap, trajectories_draw_runs)
{
    lg_problem *p = make_problem(ctx, SETTINGS(NEWS("trajectory", "4"), "ensemble.bootstrap=6", "steps=6"));
    const lg_job *job = &p->job;
    const size_t K = lg_job_statistics(job);
    cr_assert_eq(job->pool, 4);
    cr_assert(job->stat_per_fit);
    for (uint32_t f = 0; f < job->fits; f++)
        for (size_t k = 0; k < K; k++) {
            double mean = 0.0;
            for (int i = 0; i < 4; i++) mean += p->sample.sum[job->resample[f * 4 + (uint32_t)i] * K + k] / 4;
            cr_assert_float_eq(job->target_stat[f * K + k], mean, 1e-12);
            if (f == 0) cr_assert_eq(job->target_stat[k], lg_problem_target(p)[k]);
        }
    lg_problem_free(p);
}

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");
    cr_assert_not_null(out);
    fputs(text, out);
    fclose(out);
}

/* Three straight tracks with steps 1, 2, 3 along x: MSD(1) of a resample is the mean square of the drawn steps, MSD(2) four
 * times that, and the third track is too short for lag 2. */
Test(ensemble_bootstrap, tracks_are_drawn_whole)
{
    write_file("id,t,x,y\na,0,0,0\na,1,1,0\na,2,2,0\nb,0,0,0\nb,1,2,0\nb,2,4,0\nc,0,0,0\nc,1,3,0\n");
    char data[160];
    snprintf(data, sizeof data, "data.tracks=%s", file);
    lg_problem *p = make_problem(ctx, SETTINGS("model=prw", data, "data.spacing2=10", "data.weights=sem", "steps=2",
                                               "replicates=10", "params.p_center.start=0.5",
                                               "params.p_resample.start=0.5", "ensemble.bootstrap=60", "device=cpu"));
    const lg_job *job = &p->job;
    cr_assert_float_eq(job->target_stat[0], (2 * 1 + 2 * 4 + 9) / 5.0 / 10, 1e-12);
    cr_assert_float_eq(job->target_stat[1], (4 + 16) / 2.0 / 10, 1e-12);
    bool seen[64] = {false};
    int without_second = 0, kinds = 0;
    for (uint32_t f = 1; f < job->fits; f++) {
        /* which of the ten possible draws is it? */
        int found = -1, kind = 0;
        for (int a = 0; a <= 3; a++)
            for (int b = 0; a + b <= 3; b++, kind++) {
                const int c = 3 - a - b;
                const double first = (2.0 * a + 8.0 * b + 9.0 * c) / (2 * a + 2 * b + c) / 10;
                const double second = a + b ? (4.0 * a + 16.0 * b) / (a + b) / 10 : 0.0;
                if (fabs(job->target_stat[2 * f] - first) < 1e-12 &&
                    fabs(job->target_stat[2 * f + 1] - second) < 1e-12) {
                    found = kind;
                    if (a + b == 0) {
                        without_second++;
                        cr_assert_eq(job->weight_stat[2 * f + 1], 0.0, "a lag without pairs weighs nothing");
                    }
                }
            }
        cr_assert_geq(found, 0, "fit %u: %g, %g is no draw of three tracks", f, job->target_stat[2 * f],
                      job->target_stat[2 * f + 1]);
        kinds += !seen[found];
        seen[found] = true;
        cr_assert_gt(job->weight_stat[2 * f], 0.0);
    }
    cr_assert_gt(kinds, 6);
    cr_assert(without_second < 10);
    lg_problem_free(p);
}

/* A drawn table is normal around the data with its errors: mean and standard deviation of 2,000 within five standard errors. */
Test(ensemble_bootstrap, tables_are_drawn_within_their_errors)
{
    enum { B = 2000 };
    write_file("lag,msd,sem\n1,10,0.5\n2,20,2\n3,25,0\n");
    char data[160];
    snprintf(data, sizeof data, "data.msd=%s", file);
    lg_problem *p = make_problem(ctx, SETTINGS("model=prw", data, "data.spacing2=10", "steps=3", "replicates=1",
                                               "params.p_center.start=0.5", "params.p_resample.start=0.5",
                                               "ensemble.bootstrap=2000", "device=cpu"));
    static const double mean[] = {1.0, 2.0, 2.5}, sem[] = {0.05, 0.2, 0.0};
    double sum[3] = {0}, square[3] = {0}, product = 0.0;
    for (uint32_t b = 1; b <= B; b++) {
        double d[3];
        for (int k = 0; k < 3; k++) {
            d[k] = p->job.target_stat[3 * b + (uint32_t)k] - mean[k];
            sum[k] += d[k];
            square[k] += d[k] * d[k];
        }
        product += d[0] * d[1];
    }
    for (int k = 0; k < 3; k++) {
        cr_assert_float_eq(sum[k] / B, 0.0, 5 * sem[k] / sqrt(B) + 1e-15, "lag %d: %g", k + 1, sum[k] / B);
        cr_assert_float_eq(sqrt(square[k] / B), sem[k], 5 * sem[k] / sqrt(2.0 * B) + 1e-15);
    }
    cr_assert_float_eq(product / B / (0.05 * 0.2), 0.0, 5 / sqrt(B), "lags are drawn independently");
    lg_problem_free(p);
}

/* The loss of each fit is that of its own target. */
Test(ensemble_bootstrap, each_fit_has_its_own_target)
{
    enum { F = 5, K = 4 };
    lg_problem *p = make_problem(ctx, SETTINGS("model=prw", "data.generate.params.p_center=0.3",
                                               "data.generate.params.p_resample=0.6", "data.generate.runs=30",
                                               "params.p_center.start=0.5", "params.p_resample.start=0.5", "steps=4",
                                               "replicates=50", "ensemble.bootstrap=4", "device=cpu"));
    double params[2 * F], loss[F], grad[2 * F], statistics[F * K];
    for (int i = 0; i < 2 * F; i++) params[i] = 0.4;
    cr_assert_eq(lg_evaluate(ctx, p, 7, params, loss, grad), LG_OK);
    cr_assert_eq(p->backend->get_statistics(ctx, p->batch, statistics), LG_OK);
    for (int f = 0; f < F; f++) {
        double expected = 0.0;
        for (int k = 0; k < K; k++) {
            const double d = statistics[f * K + k] - p->job.target_stat[f * K + k];
            expected += d * d;
        }
        cr_assert_float_eq(loss[f], expected, 1e-12 * expected);
        if (f) cr_assert_neq(p->job.target_stat[f * K + K - 1], p->job.target_stat[K - 1]);
    }
    lg_problem_free(p);
}

static void expect_refusal(const char *const *settings, lg_status expected, const char *text)
{
    lg_problem *p;
    cr_assert_eq(try_problem(ctx, settings, &p), expected, "%s", lg_context_message(ctx));
    cr_assert(strstr(lg_context_message(ctx), text), "%s", lg_context_message(ctx));
}

Test(ensemble_bootstrap, what_cannot_be_drawn)
{
    char data[160];
    write_file("lag,msd\n1,10\n2,20\n");
    snprintf(data, sizeof data, "data.msd=%s", file);
    expect_refusal(SETTINGS("model=prw", data, "ensemble.bootstrap=2"), LG_ERR_DATA, "lag 1 has none");
    write_file("id,t,x,y\na,0,0,0\na,1,1,0\na,2,2,0\n");
    snprintf(data, sizeof data, "data.tracks=%s", file);
    expect_refusal(SETTINGS("model=prw", data, "steps=2", "ensemble.bootstrap=2"), LG_ERR_DATA, "several tracks");
    expect_refusal(SETTINGS(NEWS("trajectory", "1"), "ensemble.bootstrap=2"), LG_ERR_DATA, "several runs");
    expect_refusal(SETTINGS(NEWS("stability", "1"), "ensemble.bootstrap=2"), LG_ERR_UNSUPPORTED, "one reference state");
}
