/* Same bytes for any number of threads, any batch, any grouping of fits, any memory plan. */
#include "fit/problems.h"

#include <math.h>
#include <stdio.h>

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(thread_invariance, .init = setup, .fini = teardown);

/* Small problems of every model and task. */
static const char *const problems[][16] = {
    {"model=si", "data.generate.params.beta=0.3", "data.generate.runs=6", "data.generate.steps=8", "lattice.height=21",
     "lattice.width=70", "params.beta.start=0.5", "optimizer.lr=1e-5", "replicates=9", NULL},
    {"model=si", "loss=count", "estimator.binary=gs", "data.generate.params.beta=0.3", "data.generate.runs=3",
     "data.generate.steps=8", "lattice.height=16", "lattice.width=64", "params.beta.start=0.5", "optimizer.lr=1e-4",
     "replicates=9", NULL},
    {"model=si", "task=trajectory", "data.generate.params.beta=0.3", "data.generate.runs=4", "data.generate.steps=9",
     "lattice.height=20", "lattice.width=33", "params.beta.start=0.5", "optimizer.lr=0.01", "replicates=5", NULL},
    {"model=prw", "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.6", "data.generate.runs=500",
     "params.p_center.start=0.6", "params.p_resample.start=0.4", "replicates=333", NULL},
    {"model=mk", "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",
     "data.generate.params.k2=0.1", "data.generate.params.k3=0.2", "data.generate.steps=100", "lattice.height=13",
     "lattice.width=19", "params.D_A.start=0.5", "params.D_B.start=0.2", "params.k1.start=0.5", "params.k2=0.1",
     "params.k3.start=0.5", "steps=20", "replicates=5"},
    {"model=mk", "task=trajectory", "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4",
     "data.generate.params.k1=0.98", "data.generate.params.k2=0.1", "data.generate.params.k3=0.2",
     "data.generate.steps=24", "data.record_every=6", "lattice.height=12", "lattice.width=16", "params.k1.start=0.5",
     "params.k2=0.1", "params.k3.start=0.5", "params.D_A=0.1", "params.D_B.start=0.4"},
};
enum { PROBLEMS = sizeof problems / sizeof *problems, ITERATIONS = 12 };

/* Trace of fit `fit` of a problem with further settings; release with free(). */
static double *trace_of(int which, const char *const *extra, int fit, size_t *bytes)
{
    const char *all[32];
    size_t count = 0;
    for (size_t i = 0; i < 16 && problems[which][i]; i++) all[count++] = problems[which][i];
    all[count++] = "iterations=12";
    all[count++] = "device=cpu";
    for (; *extra; extra++) all[count++] = *extra;
    all[count] = NULL;
    lg_problem *p = make_problem(ctx, all);
    lg_problem_info info;
    lg_problem_describe(p, &info);
    lg_result *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_status(r, fit), LG_FIT_DONE, "%s", lg_result_reason(r, fit));
    *bytes = sizeof(double) * ITERATIONS * ((size_t)info.params + 3);
    double *copy = malloc(*bytes);
    memcpy(copy, lg_result_trace(r, fit), *bytes);
    lg_result_free(r);
    lg_problem_free(p);
    return copy;
}

static void expect_same(int which, const char *const *a, int fit_a, const char *const *b, int fit_b, const char *what)
{
    size_t na, nb;
    double *x = trace_of(which, a, fit_a, &na), *y = trace_of(which, b, fit_b, &nb);
    cr_assert_eq(na, nb);
    cr_assert_eq(memcmp(x, y, na), 0, "problem %d: %s", which, what);
    double first = x[1], moved = 0.0;
    for (size_t i = 0; i < na / sizeof *x; i++) moved += fabs(x[i] - first);
    cr_assert_gt(moved, 0.0);
    free(x);
    free(y);
}

Test(thread_invariance, threads)
{
    for (int i = 0; i < PROBLEMS; i++) {
        expect_same(i, SETTINGS("threads=1"), 0, SETTINGS("threads=2"), 0, "1 and 2 threads");
        expect_same(i, SETTINGS("threads=1"), 0, SETTINGS("threads=5"), 0, "1 and 5 threads");
    }
}

Test(thread_invariance, same_config_twice)
{
    for (int i = 0; i < PROBLEMS; i++) expect_same(i, SETTINGS("threads=2"), 0, SETTINGS("threads=2"), 0, "twice");
}

Test(thread_invariance, another_seed_differs)
{
    for (int i = 0; i < PROBLEMS; i++) {
        size_t n;
        double *x = trace_of(i, SETTINGS("seed=1"), 0, &n), *y = trace_of(i, SETTINGS("seed=2"), 0, &n);
        cr_assert_neq(memcmp(x, y, n), 0, "problem %d", i);
        free(x);
        free(y);
    }
}

Test(thread_invariance, fits_together_and_alone)
{
    for (int i = 0; i < PROBLEMS; i++)
        for (int f = 0; f < 3; f += 2) {
            char first[32];
            snprintf(first, sizeof first, "first_fit=%d", f);
            expect_same(i, SETTINGS("fits=3", "threads=2"), f, SETTINGS(first, "threads=1"), 0,
                        "three fits together, one alone");
        }
}

/* Adding replicates keeps the states of the first ones. */
Test(thread_invariance, replicates_together_and_alone)
{
    static uint8_t few[3 * 2 * 63], many[10 * 2 * 63];
    const char *const R[] = {"replicates=3", "replicates=10"};
    for (int k = 0; k < 2; k++) {
        lg_problem *p = make_problem(ctx, SETTINGS("model=mk", "task=simulate", "lattice.height=9", "lattice.width=7",
                                                   R[k], "device=cpu"));
        lg_batch *b;
        cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
        cr_assert_eq(lg_batch_run(ctx, b, 50), LG_OK);
        cr_assert_eq(lg_batch_states(ctx, b, 0, 0, k ? 10 : 3, k ? many : few), LG_OK);
        lg_batch_free(b);
        lg_problem_free(p);
    }
    cr_assert_eq(memcmp(few, many, sizeof few), 0);
    cr_assert_neq(memcmp(many, many + 126, 126), 0);
}

/* Running 30 steps at once or in pieces gives the same states. */
Test(thread_invariance, steps_in_pieces)
{
    static int32_t whole[40 * 4], pieces[40 * 4];
    for (int k = 0; k < 2; k++) {
        lg_problem *p =
            make_problem(ctx, SETTINGS("model=prw", "task=simulate", "steps=30", "replicates=40", "device=cpu"));
        lg_batch *b;
        cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
        for (int i = 0; i < (k ? 3 : 1); i++) cr_assert_eq(lg_batch_run(ctx, b, k ? 10 : 30), LG_OK);
        cr_assert_eq(lg_batch_states(ctx, b, 0, 0, 40, k ? pieces : whole), LG_OK);
        lg_batch_free(b);
        lg_problem_free(p);
    }
    cr_assert_eq(memcmp(whole, pieces, sizeof whole), 0);
}

/* One large lattice: rows over threads; and a tape that does not fit: checkpoints. The gradients are the same bytes. */
Test(thread_invariance, rows_and_checkpoints)
{
    const char *const variants[][3] = {{"threads=1", "memory_limit=0", NULL},
                                       {"threads=2", "memory_limit=0", NULL},
                                       {"threads=1", "memory_limit=5", NULL},
                                       {"threads=3", "memory_limit=9", NULL}};
    double first[6] = {0};
    for (int k = 0; k < 4; k++) {
        lg_problem *p =
            make_problem(ctx, SETTINGS("model=mk", "data.start=stripe", "data.generate.params.D_A=0.1",
                                       "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",
                                       "data.generate.params.k2=0.1", "data.generate.params.k3=0.2",
                                       "data.generate.steps=10", "lattice.height=257", "lattice.width=258", "steps=64",
                                       "params.D_A=0.3", "params.D_B=0.3", "params.k1=0.5", "params.k2=0.4",
                                       "params.k3=0.3", "device=cpu", variants[k][0], variants[k][1]));
        lg_problem_info info;
        double params[5], value[6];
        lg_problem_describe(p, &info);
        /* three threads need more memory of their own; a build without threads has the whole tape then */
        if (k < 3)
            cr_assert_eq(info.checkpoint_interval > 0, k == 2, "variant %d: interval %ld, %zu bytes", k,
                         (long)info.checkpoint_interval, info.total_bytes);
        lg_problem_start(p, 0, params);
        cr_assert_eq(lg_evaluate(ctx, p, 3, params, &value[5], value), LG_OK);
        if (k == 0) memcpy(first, value, sizeof first);
        cr_assert_eq(memcmp(first, value, sizeof first), 0, "variant %d: %.17g against %.17g", k, value[0], first[0]);
        for (int i = 0; i < 5; i++) cr_assert(isfinite(value[i]) && value[i] != 0.0);
        lg_problem_free(p);
    }
}

Test(thread_invariance, si_rows_and_checkpoints)
{
    const char *const variants[][3] = {{"threads=1", "memory_limit=0", NULL},
                                       {"threads=2", "memory_limit=0", NULL},
                                       {"threads=1", "memory_limit=4", NULL}};
    double first[2] = {0};
    for (int k = 0; k < 3; k++) {
        lg_problem *p =
            make_problem(ctx, SETTINGS("model=si", "task=stability", "estimator.method=pathwise",
                                       "data.generate.params.beta=0.4", "data.generate.runs=1",
                                       "data.generate.steps=30", "lattice.height=600", "lattice.width=600", "steps=30",
                                       "params.beta.start=0.3", "device=cpu", variants[k][0], variants[k][1]));
        lg_problem_info info;
        double beta = 0.3, value[2];
        lg_problem_describe(p, &info);
        cr_assert_eq(info.checkpoint_interval > 1, k == 2, "variant %d: interval %ld, %zu bytes", k,
                     (long)info.checkpoint_interval, info.total_bytes);
        cr_assert_eq(lg_evaluate(ctx, p, 3, &beta, &value[0], &value[1]), LG_OK);
        if (k == 0) memcpy(first, value, sizeof first);
        cr_assert_eq(memcmp(first, value, sizeof first), 0, "variant %d: %.17g against %.17g", k, value[1], first[1]);
        cr_assert(isfinite(value[1]) && value[1] != 0.0);
        lg_problem_free(p);
    }
}
