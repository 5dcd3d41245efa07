/* Building problems: every refusal has its message, and says where. */
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

TestSuite(problem, .init = setup, .fini = teardown);

typedef struct refusal {
    const char *settings[14];
    lg_status status;
    const char *message; /* part of it */
} refusal;

#define MK_DATA                                                                                    \
    "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4", "data.generate.params.k1=0.9", \
        "data.generate.params.k2=0.1", "data.generate.params.k3=0.2"

static const refusal refusals[] = {
    {{"task=simulate"}, LG_ERR_CONFIG, "model"},
    {{"model=prw", "task=transition"}, LG_ERR_UNSUPPORTED, "no task transition"},
    {{"model=prw", "task=stability"}, LG_ERR_UNSUPPORTED, "no task stability"},
    {{"model=prw"}, LG_ERR_CONFIG, "data.msd or data.tracks"},
    {{"model=si"}, LG_ERR_CONFIG, "data.frames"},
    {{"model=mk"}, LG_ERR_CONFIG, "data.reference"},
    {{"model=si", "loss=log_sse", "data.generate.params.beta=0.1"},
     LG_ERR_UNSUPPORTED,
     "expected sse, mse, count, nll"},
    {{"model=mk", "loss=nll", MK_DATA}, LG_ERR_UNSUPPORTED, "expected sse, mse, log_sse"},
    {{"model=si", "steps=2", "data.generate.params.beta=0.1"}, LG_ERR_UNSUPPORTED, "steps must be 1"},
    {{"model=mk", "data.generate.params.D_A=0.1"}, LG_ERR_CONFIG, "1 of the 5 parameters"},
    {{"model=mk", "params.k1=0.5", MK_DATA}, LG_ERR_CONFIG, "params.D_A"},
    {{"model=si", "params.beta=1.5"}, LG_ERR_RANGE, "beta"},
    {{"model=si", "params.beta.start=0.5", "params.beta.bounds=[0.6, 0.9]", "data.generate.params.beta=0.1"},
     LG_ERR_RANGE,
     "outside the bounds"},
    {{"model=si", "params.beta.start=0.5", "params.beta.bounds=[0.2, 1.4]", "data.generate.params.beta=0.1"},
     LG_ERR_RANGE,
     "bounds"},
    {{"model=si", "data.generate.params.beta=-0.1"}, LG_ERR_RANGE, "beta"},
    {{"model=si", "task=simulate", "data.start=center"}, LG_ERR_CONFIG, "centre"},
    {{"model=mk", "task=simulate", "data.start=centre"}, LG_ERR_CONFIG, "uniform|stripe"},
    {{"model=mk", "data.reference=/no/such/file.npy"}, LG_ERR_FILE, "/no/such/file.npy"},
    {{"model=prw", "data.msd=/no/such/file.csv"}, LG_ERR_FILE, "/no/such/file.csv"},
    {{"model=si", "task=simulate", "device=tpu"}, LG_ERR_USAGE, "device"},
    {{"model=si", "task=simulate", "device=cpu", "lattice.height=2"}, LG_ERR_RANGE, "lattice.height"},
    {{"model=mk", "memory_limit=1", "steps=100000", "replicates=1000", "device=cpu", MK_DATA, "data.generate.steps=1"},
     LG_ERR_MEMORY,
     "memory_limit"},
};

Test(problem, refusals)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        lg_problem *p;
        const lg_status status = try_problem(ctx, refusals[i].settings, &p);
        const char *message = lg_context_message(ctx);
        cr_assert_null(p);
        /* a bad value may be refused by the table of keys (range) or by the problem */
        cr_assert_eq(lg_status_exit(status), lg_status_exit(refusals[i].status), "case %zu: %s: %s", i,
                     lg_status_name(status), message);
        cr_assert_not_null(strstr(message, refusals[i].message), "case %zu: %s", i, message);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

Test(problem, msd_table)
{
    char path[] = "/tmp/latgrad-msd-XXXXXX.csv", key[64];
    cr_assert_geq(mkstemps(path, 4), 0);
    write_file(path, "lag,time_s,msd_um2,sem_um2,n\n1,24,17.4,1.4,10\n2,48,39.9,2.8,9\n3,72,68.1,0,8\n");
    snprintf(key, sizeof key, "data.msd=%s", path);
    lg_problem *p = make_problem(ctx, SETTINGS("model=prw", key, "data.spacing2=10", "device=cpu"));
    lg_problem_info info;
    lg_problem_describe(p, &info);
    cr_assert_eq(info.steps, 3);
    cr_assert_eq(info.statistics, 3);
    cr_assert_float_eq(lg_problem_target(p)[1], 3.99, 1e-12);
    cr_assert_eq(lg_problem_weight(p)[1], 1.0);
    lg_problem_free(p);
    p = make_problem(ctx, SETTINGS("model=prw", key, "data.spacing2=10", "data.weights=sem", "steps=2", "device=cpu"));
    cr_assert_float_eq(lg_problem_weight(p)[1], 1.0 / (0.28 * 0.28), 1e-9);
    lg_problem_free(p);
    cr_assert_eq(try_problem(ctx, SETTINGS("model=prw", key, "data.weights=sem", "device=cpu"), &p), LG_ERR_DATA);
    cr_assert_not_null(strstr(lg_context_message(ctx), "lag 3"));
    cr_assert_eq(try_problem(ctx, SETTINGS("model=prw", key, "steps=4", "device=cpu"), &p), LG_ERR_DATA);
    cr_assert_eq(try_problem(ctx, SETTINGS("model=prw", key, "data.tracks=x.csv", "device=cpu"), &p), LG_ERR_CONFIG);
    remove(path);
}

/* Frames set the lattice size; a size that contradicts them is refused. */
Test(problem, frames)
{
    char path[] = "/tmp/latgrad-frames-XXXXXX.npy", key[64];
    uint8_t frames[3 * 5 * 4] = {0};
    frames[6] = frames[20 + 6] = frames[40 + 6] = frames[40 + 7] = 1;
    cr_assert_geq(mkstemps(path, 4), 0);
    const lg_array array = {.dtype = LG_U8, .ndim = 3, .shape = {3, 5, 4}, .data = frames};
    cr_assert_eq(lg_array_write(ctx, path, &array, true), LG_OK);
    snprintf(key, sizeof key, "data.frames=%s", path);
    lg_problem *p = make_problem(ctx, SETTINGS("model=si", key, "device=cpu"));
    lg_problem_info info;
    lg_problem_describe(p, &info);
    cr_assert(info.height == 5 && info.width == 4 && info.pool == 2);
    lg_problem_free(p);
    p = make_problem(ctx, SETTINGS("model=si", "task=trajectory", key, "data.record_every=4", "device=cpu"));
    lg_problem_describe(p, &info);
    cr_assert(info.steps == 8 && info.statistics == 2);
    cr_assert_float_eq(lg_problem_target(p)[0], 1.0 / 20, 1e-15);
    cr_assert_float_eq(lg_problem_target(p)[1], 2.0 / 20, 1e-15);
    lg_problem_free(p);
    cr_assert_eq(try_problem(ctx, SETTINGS("model=si", key, "lattice.width=64", "device=cpu"), &p), LG_ERR_DATA);
    cr_assert_not_null(strstr(lg_context_message(ctx), "5 x 4"));
    cr_assert_eq(try_problem(ctx, SETTINGS("model=si", "loss=nll", key, "device=cpu"), &p), LG_OK, "%s",
                 lg_context_message(ctx));
    lg_problem_free(p);
    frames[40 + 19] = 1; /* far from the aware site: possible for sse, impossible for the likelihood */
    cr_assert_eq(lg_array_write(ctx, path, &array, true), LG_OK);
    cr_assert_eq(try_problem(ctx, SETTINGS("model=si", key, "device=cpu"), &p), LG_OK);
    lg_problem_free(p);
    cr_assert_eq(try_problem(ctx, SETTINGS("model=si", "loss=nll", key, "device=cpu"), &p), LG_ERR_DATA);
    cr_assert_not_null(strstr(lg_context_message(ctx), "pair 1: the site at row 4, column 3"), "%s",
                       lg_context_message(ctx));
    frames[40 + 6] = 0; /* forgotten */
    cr_assert_eq(lg_array_write(ctx, path, &array, true), LG_OK);
    cr_assert_eq(try_problem(ctx, SETTINGS("model=si", key, "device=cpu"), &p), LG_ERR_DATA);
    cr_assert_not_null(strstr(lg_context_message(ctx), "stay aware"), "%s", lg_context_message(ctx));
    cr_assert_eq(try_problem(ctx, SETTINGS("model=si", "task=stability", "data.reference=x.npy", "device=cpu"), &p),
                 LG_ERR_FILE);
    remove(path);
}
