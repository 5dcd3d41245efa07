/* Ensembles: which fits there are, that slices are parts of the whole to the byte, and that more fits leave the others alone. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "fit/problem.h"
#include "fit/problems.h"
#include "fit/result.h"
#include "lg_build.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(ensemble_slices, .init = setup, .fini = teardown);

#define WALK                                                                                                          \
    "model=prw", "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.6", "data.generate.runs=60", \
        "params.p_center.start=0.5", "params.p_resample.start=0.5", "replicates=70", "steps=5", "iterations=12",      \
        "device=cpu"
#define NEWS                                                                                                          \
    "model=si", "data.generate.params.beta=0.3", "data.generate.runs=5", "data.generate.steps=6", "lattice.height=9", \
        "lattice.width=8", "params.beta.start=0.5", "optimizer.lr=1e-4", "replicates=7", "iterations=12", "device=cpu"
#define REACTION                                                                                       \
    "model=mk", "task=trajectory", "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4",     \
        "data.generate.params.k1=0.98", "data.generate.params.k2=0.1", "data.generate.params.k3=0.2",  \
        "data.generate.runs=4", "data.generate.steps=12", "data.record_every=4", "lattice.height=8",   \
        "lattice.width=8", "params.k1.start=0.5", "params.D_A=0.1", "params.D_B=0.4", "params.k2=0.1", \
        "params.k3=0.2", "replicates=3", "optimizer.lr=1e-3", "iterations=6", "device=cpu"

static lg_result *fit_settings(const char *const *base, const char *const *more)
{
    const char *all[48];
    size_t n = 0;
    lg_result *r;
    for (; *base; base++) all[n++] = *base;
    for (; *more; more++) all[n++] = *more;
    all[n] = NULL;
    lg_problem *p = make_problem(ctx, all);
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_free(p);
    return r;
}

/* Everything but times: start, end, trace, statistics, place on the axes. */
static void expect_same_fit(const lg_result *a, int fa, const lg_result *b, int fb)
{
    const lg_fit_record *x = &a->fit[fa], *y = &b->fit[fb];
    const size_t P = (size_t)a->model->params, K = (size_t)a->statistics;
    cr_assert_eq(x->iterations, y->iterations);
    cr_assert_eq(x->status, y->status);
    cr_assert_eq(memcmp(x->start, y->start, sizeof x->start), 0, "start of fit %d", fa);
    cr_assert_eq(memcmp(x->params, y->params, sizeof x->params), 0, "end of fit %d", fa);
    cr_assert_eq(memcmp(x->trace, y->trace, (size_t)x->iterations * (P + 3) * sizeof(double)), 0, "trace of fit %d",
                 fa);
    if (K)
        cr_assert_eq(memcmp(a->last_statistics + (size_t)fa * K, b->last_statistics + (size_t)fb * K,
                            K * sizeof(double)),
                     0);
}

static void check_slices(const char *const *base, const char *const *ensemble, int size)
{
    lg_result *whole = fit_settings(base, ensemble);
    cr_assert_eq(whole->fits, size);
    const int cut[] = {0, 1, size / 2, size};
    for (int i = 0; i < 3; i++) {
        char first[32], fits[32];
        const char *more[16];
        size_t n = 0;
        snprintf(first, sizeof first, "first_fit=%d", cut[i]);
        snprintf(fits, sizeof fits, "fits=%d", cut[i + 1] - cut[i]);
        for (; ensemble[n]; n++) more[n] = ensemble[n];
        more[n++] = first;
        more[n++] = fits;
        more[n++] = i % 2 ? "threads=1" : "threads=2";
        more[n] = NULL;
        lg_result *part = fit_settings(base, more);
        cr_assert_eq(part->fits, cut[i + 1] - cut[i]);
        for (int f = 0; f < part->fits; f++) {
            expect_same_fit(part, f, whole, cut[i] + f);
            cr_assert_eq(memcmp(part->fit[f].coordinate, whole->fit[cut[i] + f].coordinate,
                                sizeof part->fit[f].coordinate),
                         0);
        }
        if (part->target)
            cr_assert_eq(memcmp(part->target, whole->target, (size_t)whole->statistics * sizeof(double)), 0);
        lg_result_free(part);
    }
    /* fits differ: nothing above would notice if all were one */
    for (int f = 1; f < size; f++) {
        const size_t bytes = (size_t)whole->fit[0].iterations * ((size_t)whole->model->params + 3) * sizeof(double);
        cr_assert_neq(memcmp(whole->fit[f].trace, whole->fit[f - 1].trace, bytes), 0, "fits %d and %d are the same",
                      f - 1, f);
    }
    lg_result_free(whole);
}

Test(ensemble_slices, slices_equal_the_whole)
{
    check_slices(SETTINGS(WALK),
                 SETTINGS("ensemble.starts=random", "ensemble.size=2", "ensemble.seeds=2", "ensemble.bootstrap=1",
                          "ensemble.sweep.optimizer.lr=[0.01, 0.1]"),
                 16);
    check_slices(SETTINGS(NEWS), SETTINGS("ensemble.starts=lhs", "ensemble.size=3", "ensemble.bootstrap=2"), 9);
    check_slices(SETTINGS(NEWS),
                 SETTINGS("loss=nll", "ensemble.starts=grid", "ensemble.size=4", "ensemble.bootstrap=1"), 8);
    check_slices(SETTINGS(REACTION), SETTINGS("ensemble.starts=[[0.2], [0.8]]", "ensemble.bootstrap=2"), 6);
}

/* The first fits of an ensemble stay as they are while its slowest axis grows. */
static void check_growth(const char *const *base, const char *const *small, const char *const *large)
{
    lg_result *a = fit_settings(base, small), *b = fit_settings(base, large);
    cr_assert_lt(a->fits, b->fits);
    for (int f = 0; f < a->fits; f++) expect_same_fit(a, f, b, f);
    lg_result_free(a);
    lg_result_free(b);
}

Test(ensemble_slices, more_fits_leave_the_earlier_ones)
{
    check_growth(SETTINGS(WALK), SETTINGS("ensemble.starts=random", "ensemble.size=2"),
                 SETTINGS("ensemble.starts=random", "ensemble.size=7"));
    check_growth(SETTINGS(WALK), SETTINGS("ensemble.seeds=2"), SETTINGS("ensemble.seeds=5"));
    check_growth(SETTINGS(WALK), SETTINGS("ensemble.seeds=2", "ensemble.bootstrap=1"),
                 SETTINGS("ensemble.seeds=2", "ensemble.bootstrap=3"));
    check_growth(SETTINGS(NEWS), SETTINGS("ensemble.starts=lhs", "ensemble.size=3"),
                 SETTINGS("ensemble.starts=lhs", "ensemble.size=3", "ensemble.bootstrap=1"));
    check_growth(SETTINGS(NEWS), SETTINGS("ensemble.bootstrap=1"), SETTINGS("ensemble.bootstrap=4"));
    check_growth(SETTINGS(REACTION), SETTINGS("ensemble.bootstrap=1"), SETTINGS("ensemble.bootstrap=2"));
}

/* A fixed start without further axes is the plain fit. */
Test(ensemble_slices, first_fit_is_the_plain_fit)
{
    lg_result *plain = fit_settings(SETTINGS(WALK), SETTINGS("fits=3")),
              *e = fit_settings(SETTINGS(WALK), SETTINGS("ensemble.seeds=3"));
    cr_assert_eq(e->fits, 3);
    for (int f = 0; f < 3; f++) expect_same_fit(plain, f, e, f);
    cr_assert(!plain->ensemble && e->ensemble);
    lg_result_free(plain);
    lg_result_free(e);
}

Test(ensemble_slices, order_of_the_axes)
{
    lg_result *r = fit_settings(SETTINGS(WALK),
                                SETTINGS("ensemble.starts=[[0.2, 0.3], [0.6, 0.7], [0.4, 0.5]]", "ensemble.seeds=2",
                                         "ensemble.bootstrap=1", "ensemble.sweep.optimizer.beta1=[0.5, 0.9]",
                                         "ensemble.sweep.optimizer.lr=[0.1, 0.2]"));
    static const double lists[3][2] = {{0.2, 0.3}, {0.6, 0.7}, {0.4, 0.5}};
    static const char *const names[] = {"start", "seed", "resample", "optimizer.lr", "optimizer.beta1"};
    cr_assert_eq(r->fits, 3 * 2 * 2 * 4);
    cr_assert_eq(lg_result_coordinates(r), 5);
    for (int i = 0; i < 5; i++) cr_assert_str_eq(lg_result_coordinate_name(r, i), names[i]);
    cr_assert_null(lg_result_coordinate_name(r, 5));
    for (int g = 0; g < r->fits; g++) {
        const double *at = lg_result_coordinate(r, g);
        cr_assert_eq(((at[2] * 3 + at[0]) * 2 + at[1]) * 4 + (at[3] > 0.15) * 2 + (at[4] > 0.7), g, "fit %d", g);
        cr_assert_eq(r->fit[g].start[0], lists[(int)at[0]][0]);
        cr_assert_eq(r->fit[g].start[1], lists[(int)at[0]][1]);
        cr_assert_eq(r->fit[g].trace[3], at[3], "the learning rate of fit %d is %g", g, r->fit[g].trace[3]);
    }
    lg_result_free(r);
}

/* ---- starts ----------------------------------------------------------------------------------------------------- */

static double start_of(const lg_problem *p, int fit, int param)
{
    double value[8];
    lg_problem_start(p, fit, value);
    return value[param];
}

/* Uniform within the bounds: the mean of 4,000 is within five standard errors, and they fill the interval. */
Test(ensemble_slices, random_starts_fill_the_bounds)
{
    enum { N = 4000 };
    lg_problem *p =
        make_problem(ctx, SETTINGS(WALK, "params.p_center.bounds=[0.2, 0.7]", "params.p_resample=0.5", "steps=1",
                                   "replicates=1", "ensemble.starts=random", "ensemble.size=4000"));
    double sum = 0.0, low = 1.0, high = 0.0;
    for (int f = 0; f < N; f++) {
        const double x = start_of(p, f, 0);
        cr_assert(x >= 0.2 && x <= 0.7);
        cr_assert_eq(start_of(p, f, 1), 0.5, "a fixed parameter was drawn");
        sum += x;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    cr_assert_float_eq(sum / N, 0.45, 5 * 0.5 / sqrt(12.0 * N));
    cr_assert(low < 0.202 && high > 0.698);
    lg_problem_free(p);
}

/* Each of N equal parts of each parameter's interval holds one start, and the parameters' orders differ. */
Test(ensemble_slices, latin_hypercube_stratifies)
{
    enum { N = 37 };
    int count[2][N] = {{0}}, same = 0;
    lg_problem *p =
        make_problem(ctx, SETTINGS(WALK, "params.p_center.bounds=[0.1, 0.9]", "params.p_resample.bounds=[0.3, 0.6]",
                                   "ensemble.starts=lhs", "ensemble.size=37"));
    for (int f = 0; f < N; f++) {
        const int a = (int)((start_of(p, f, 0) - 0.1) / 0.8 * N), b = (int)((start_of(p, f, 1) - 0.3) / 0.3 * N);
        cr_assert(a >= 0 && a < N && b >= 0 && b < N);
        count[0][a]++;
        count[1][b]++;
        same += a == b;
    }
    for (int i = 0; i < N; i++)
        cr_assert(count[0][i] == 1 && count[1][i] == 1, "part %d has %d and %d", i, count[0][i], count[1][i]);
    cr_assert_lt(same, N / 3);
    lg_problem_free(p);
}

Test(ensemble_slices, grid_points_are_cell_centres)
{
    lg_problem *p =
        make_problem(ctx, SETTINGS(WALK, "params.p_center.bounds=[0.1, 0.9]", "params.p_resample.start=0.3",
                                   "params.p_resample.bounds=[0.2, 0.4]", "ensemble.starts=grid", "ensemble.size=3"));
    lg_problem_info info;
    lg_problem_describe(p, &info);
    cr_assert_eq(info.fits, 9);
    for (int f = 0; f < 9; f++) {
        cr_assert_float_eq(start_of(p, f, 0), 0.1 + 0.8 * (f / 3 + 0.5) / 3, 1e-12);
        cr_assert_float_eq(start_of(p, f, 1), 0.2 + 0.2 * (f % 3 + 0.5) / 3, 1e-12);
    }
    lg_problem_free(p);
}

/* A configuration as it is printed with a result gives the same problem again. */
Test(ensemble_slices, effective_configuration_names_the_fits)
{
    lg_config *config;
    int64_t first = -1, fits = -1;
    cr_assert_eq(lg_config_create(ctx, &config), LG_OK);
    cr_assert_eq(set_all(ctx, config, SETTINGS(WALK, "ensemble.starts=grid", "ensemble.size=4", "ensemble.seeds=3")),
                 LG_OK);
    cr_assert_eq(lg_config_fits(ctx, config, &first, &fits), LG_OK);
    cr_assert(first == 0 && fits == 48);
    cr_assert_eq(lg_config_set(ctx, config, "first_fit", "40"), LG_OK);
    cr_assert_eq(lg_config_fits(ctx, config, &first, &fits), LG_OK);
    cr_assert(first == 40 && fits == 8);
    lg_config_free(config);
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "ensemble.starts=grid", "ensemble.size=4"));
    cr_assert(strstr(p->config_yaml, "\nfits: 16 "), "%s", p->config_yaml);
    cr_assert(strstr(p->config_yaml, "\n  starts: grid "));
    lg_problem_free(p);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static char *read_bytes(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    cr_assert_not_null(in, "%s", path);
    fseek(in, 0, SEEK_END);
    *size = (size_t)ftell(in);
    rewind(in);
    char *data = malloc(*size + 1);
    cr_assert_eq(fread(data, 1, *size, in), *size);
    fclose(in);
    return data;
}

/* Where and when a result was made is all that may differ. */
static void same_metadata(lg_result *to, const lg_result *from)
{
    memcpy(to->device, from->device, sizeof to->device);
    memcpy(to->host, from->host, sizeof to->host);
    memcpy(to->started, from->started, sizeof to->started);
    memcpy(to->finished, from->finished, sizeof to->finished);
    to->seconds = from->seconds;
}

/* Slices written, read, joined and written again are the file of the whole. */
Test(ensemble_slices, joined_files_equal_the_whole)
{
    if (!LG_HAVE_HDF5) cr_skip_test("this build has no HDF5");
    char folder[] = "/tmp/latgrad-ensemble-XXXXXX", path[4][64];
    cr_assert_not_null(mkdtemp(folder));
    const char *const ensemble[] = {"ensemble.starts=random", "ensemble.size=3", "ensemble.bootstrap=1",
                                    "ensemble.bound=3", "ensemble.sweep.optimizer.lr=[0.02, 0.2]"};
    const char *const slice[4][2] = {{"first_fit=0", "fits=12"},
                                     {"first_fit=7", "fits=5"},
                                     {"first_fit=0", "fits=2"},
                                     {"first_fit=2", "fits=5"}};
    for (int i = 0; i < 4; i++) {
        snprintf(path[i], sizeof path[i], "%s/%d.h5", folder, i);
        lg_result *r = fit_settings(SETTINGS(WALK), SETTINGS(ensemble[0], ensemble[1], ensemble[2], ensemble[3],
                                                             ensemble[4], slice[i][0], slice[i][1]));
        cr_assert_eq(lg_result_write(ctx, r, path[i], false), LG_OK, "%s", lg_context_message(ctx));
        lg_result_free(r);
    }
    lg_result *whole, *joined;
    const char *const parts[] = {path[1], path[2], path[3]};
    cr_assert_eq(lg_result_read(ctx, path[0], &whole), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_merge(ctx, parts, 3, 0, 12, NULL, &joined), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(whole->coordinates, 3);
    cr_assert_eq(whole->bound, 3.0);
    for (int f = 0; f < 12; f++) expect_same_fit(whole, f, joined, f);
    same_metadata(joined, whole);
    sleep(1); /* no clock may get into the bytes */
    cr_assert_eq(lg_result_write(ctx, joined, path[1], true), LG_OK);
    cr_assert_eq(lg_result_write(ctx, whole, path[2], true), LG_OK);
    size_t size[3];
    char *bytes[3];
    for (int i = 0; i < 3; i++) bytes[i] = read_bytes(path[i], &size[i]);
    cr_assert(size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0, "the joined file differs");
    cr_assert(size[0] == size[2] && memcmp(bytes[0], bytes[2], size[0]) == 0,
              "a file that was read and written differs");
    for (int i = 0; i < 3; i++) free(bytes[i]);
    for (int i = 0; i < 4; i++) remove(path[i]);
    rmdir(folder);
    lg_result_free(whole);
    lg_result_free(joined);
}
