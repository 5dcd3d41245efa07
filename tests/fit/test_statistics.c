/* Sampled distributions against mathematics, at fixed seeds. Each test states its false-alarm rate over random seeds. */
#include <math.h>
#include <stdio.h>

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

TestSuite(statistics, .init = setup, .fini = teardown);

/* MSD of 200,000 walkers against the closed form at three points. The squared displacement's standard deviation is below
 * 1.6 times its mean here; |z| < 5.5 at ten lags and three points: false alarms 30 * 4e-8 = 1e-6. */
Test(statistics, prw_msd_is_the_closed_form)
{
    const double points[3][2] = {{0.2, 0.1}, {0.5, 0.5}, {0.9, 0.95}};
    for (int k = 0; k < 3; k++) {
        char pc[64], pr[64], gc[64], gr[64];
        snprintf(pc, sizeof pc, "params.p_center.start=%g", points[k][0]);
        snprintf(pr, sizeof pr, "params.p_resample.start=%g", points[k][1]);
        snprintf(gc, sizeof gc, "data.generate.params.p_center=%g", points[k][0]);
        snprintf(gr, sizeof gr, "data.generate.params.p_resample=%g", points[k][1]);
        lg_problem *p = make_problem(ctx, SETTINGS("model=prw", pc, pr, gc, gr, "steps=10", "data.generate.runs=200000",
                                                   "device=cpu"));
        double exact[10];
        lg_prw_msd(points[k][0], points[k][1], 10, exact);
        for (int t = 0; t < 10; t++) {
            const double z = (lg_problem_target(p)[t] - exact[t]) / (1.6 * exact[t] / sqrt(200000.0));
            cr_assert_lt(fabs(z), 5.5, "point %d lag %d: %g against %g", k, t + 1, lg_problem_target(p)[t], exact[t]);
        }
        lg_problem_free(p);
    }
}

/* The gs gradient of the squared MSD error points the way the closed form's does, and its size is what was measured
 * independently at (0.2, 0.1), lag 10, 200,000 walkers: d MSD/d logit p_resample about -89 (exact: -32), p_center with the
 * start velocity's dependence. A sign test at 200,000 walkers has a false-alarm rate far below 1e-6. */
Test(statistics, prw_gradient_has_the_right_sign)
{
    lg_problem *p =
        make_problem(ctx, SETTINGS("model=prw", "params.p_center.start=0.2", "params.p_resample.start=0.1",
                                   "data.generate.params.p_center=0.6", "data.generate.params.p_resample=0.4",
                                   "steps=10", "replicates=200000", "device=cpu"));
    const double at[2] = {0.2, 0.1};
    double loss, grad[2];
    cr_assert_eq(lg_evaluate(ctx, p, 0, at, &loss, grad), LG_OK);
    /* both parameters must grow to lower the MSD */
    cr_assert_lt(grad[0], 0.0);
    cr_assert_lt(grad[1], 0.0);
    lg_problem_free(p);
}

/* One SI step from random states: newly aware sites by number of aware neighbours, chi-square against 1 - (1 - beta)^N over
 * N = 1..8. 8 degrees of freedom, threshold 45: false alarms 4e-7. */
Test(statistics, si_step_probabilities)
{
    enum { H = 96, W = 80, R = 64 };
    const double beta = 0.2;
    uint8_t *start = malloc(H * W), *after = malloc(R * H * W);
    uint32_t x = 12345;
    for (int i = 0; i < H * W; i++) {
        x = x * 1664525u + 1013904223u;
        start[i] = x >> 30 == 0;
    }
    char path[] = "/tmp/latgrad-si-XXXXXX.npy";
    const int fd = mkstemps(path, 4);
    cr_assert_geq(fd, 0);
    const lg_array array = {.dtype = LG_U8, .ndim = 2, .shape = {H, W}, .data = start};
    cr_assert_eq(lg_array_write(ctx, path, &array, true), LG_OK);
    char from[128];
    snprintf(from, sizeof from, "data.start=%s", path);
    lg_problem *p = make_problem(ctx, SETTINGS("model=si", "task=simulate", "params.beta=0.2", from, "replicates=64",
                                               "device=cpu", "seed=5"));
    lg_batch *b;
    cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
    cr_assert_eq(lg_batch_run(ctx, b, 1), LG_OK);
    cr_assert_eq(lg_batch_states(ctx, b, 0, 0, R, after), LG_OK);
    double sites[9] = {0}, made[9] = {0}, chi2 = 0.0;
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            if (start[i * W + j]) continue;
            int n = 0;
            for (int q = 0; q < 9; q++)
                if (q != 4) n += start[(i + q / 3 - 1 + H) % H * W + (j + q % 3 - 1 + W) % W];
            sites[n] += R;
            for (int r = 0; r < R; r++) made[n] += after[(r * H + i) * W + j];
        }
    cr_assert_eq(made[0], 0.0);
    for (int n = 1; n <= 8; n++) {
        const double prob = 1.0 - pow(1.0 - beta, n);
        if (sites[n] > 0) chi2 += pow(made[n] - sites[n] * prob, 2) / (sites[n] * prob * (1.0 - prob));
    }
    cr_assert_lt(chi2, 45.0, "chi2 %g", chi2);
    lg_batch_free(b);
    lg_problem_free(p);
    remove(path);
    free(start);
    free(after);
}

/* MK mean field from a uniform state without diffusion noise correlations: the change of mean n and m in one step against
 * da = (gamma/6)[k1 a(1-a)(2a-1) + k2 (b - a)], db = (gamma/6) k3 (1 - a - b), exact for one step from a uniform state up to
 * the falling factorials of the cubic term, which are used here. The reaction noise per site is at most 1; |z| < 5.5: 1e-7. */
Test(statistics, mk_one_step_is_the_mean_field)
{
    enum { H = 64, W = 64, R = 200, N = 50 };
    const int n = 15, m = 40;
    uint8_t *state = malloc(2 * H * W), *after = malloc((size_t)R * 2 * H * W);
    memset(state, n, H * W);
    memset(state + H * W, m, H * W);
    char path[] = "/tmp/latgrad-mk-XXXXXX.npy";
    cr_assert_geq(mkstemps(path, 4), 0);
    const lg_array array = {.dtype = LG_U8, .ndim = 3, .shape = {2, H, W}, .data = state};
    cr_assert_eq(lg_array_write(ctx, path, &array, true), LG_OK);
    char from[128];
    snprintf(from, sizeof from, "data.start=%s", path);
    /* D = 0: E leaves and comes back, so the reaction sees the uniform state */
    lg_problem *p = make_problem(ctx, SETTINGS("model=mk", "task=simulate", "params.D_A=0", "params.D_B=0",
                                               "params.k1=0.98", "params.k2=0.5", "params.k3=0.7", "lattice.gamma=0.02",
                                               from, "replicates=200", "device=cpu"));
    lg_batch *b;
    cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
    cr_assert_eq(lg_batch_run(ctx, b, 1), LG_OK);
    cr_assert_eq(lg_batch_states(ctx, b, 0, 0, R, after), LG_OK);
    double dn = 0.0, dm = 0.0;
    const double sites = (double)R * H * W;
    for (int r = 0; r < R; r++)
        for (int i = 0; i < H * W; i++) {
            dn += after[(size_t)r * 2 * H * W + i] - n;
            dm += after[((size_t)r * 2 + 1) * H * W + i] - m;
        }
    const double C = (N - 1.0) * (N - 2.0), g = 0.02 / 6.0;
    const double up = 0.98 * n * (n - 1) * (N - n) / C, down = 0.98 * n * (double)(N - n) * (N - 1 - n) / C;
    const double exchange_up = 0.5 * (N - n) * m / (double)N, exchange_down = 0.5 * n * (N - m) / (double)N;
    const double make = 0.7 * (N - n) * (N - m) / (double)N, lose = 0.7 * n * m / (double)N;
    const double mean_n = g * (up - down + exchange_up - exchange_down),
                 var_n = g * (up + down + exchange_up + exchange_down);
    const double mean_m = g * (make - lose), var_m = g * (make + lose);
    cr_assert_lt(fabs(dn / sites - mean_n) / sqrt(var_n / sites), 5.5, "A: %g against %g", dn / sites, mean_n);
    cr_assert_lt(fabs(dm / sites - mean_m) / sqrt(var_m / sites), 5.5, "B: %g against %g", dm / sites, mean_m);
    lg_batch_free(b);
    lg_problem_free(p);
    remove(path);
    free(state);
    free(after);
}

/* Diffusion alone keeps the number of particles of each lattice and species, for any D, and reactions never leave 0..N. */
Test(statistics, mk_conserves_and_stays_in_range)
{
    const char *const D[] = {"0", "0.3", "1"};
    for (int k = 0; k < 3; k++) {
        char da[32], db[32];
        snprintf(da, sizeof da, "params.D_A=%s", D[k]);
        snprintf(db, sizeof db, "params.D_B=%s", D[2 - k]);
        lg_problem *p =
            make_problem(ctx, SETTINGS("model=mk", "task=simulate", da, db, "params.k1=0", "params.k2=0", "params.k3=0",
                                       "data.start=stripe", "lattice.height=9", "lattice.width=7", "lattice.capacity=5",
                                       "replicates=3", "device=cpu"));
        lg_batch *b;
        uint8_t before[3 * 126], after[3 * 126];
        cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
        cr_assert_eq(lg_batch_states(ctx, b, 0, 0, 3, before), LG_OK);
        cr_assert_eq(lg_batch_run(ctx, b, 200), LG_OK);
        cr_assert_eq(lg_batch_states(ctx, b, 0, 0, 3, after), LG_OK);
        for (int plane = 0; plane < 6; plane++) {
            int sum = 0;
            for (int i = 0; i < 63; i++) {
                sum += before[plane * 63 + i] - after[plane * 63 + i];
                cr_assert_leq(after[plane * 63 + i], 5);
            }
            cr_assert_eq(sum, 0, "plane %d, D %s", plane, D[k]);
        }
        lg_batch_free(b);
        lg_problem_free(p);
    }
}

Test(statistics, mk_strong_reactions_stay_in_range)
{
    lg_problem *p = make_problem(ctx, SETTINGS("model=mk", "task=simulate", "params.D_A=1", "params.D_B=0.5",
                                               "params.k1=1", "params.k2=1", "params.k3=1", "lattice.gamma=3",
                                               "data.start=stripe", "lattice.height=3", "lattice.width=3",
                                               "lattice.capacity=200", "replicates=50", "device=cpu"));
    lg_batch *b;
    static uint8_t states[50 * 18];
    int low = 255, high = 0;
    cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
    for (int k = 0; k < 50; k++) {
        cr_assert_eq(lg_batch_run(ctx, b, 100), LG_OK);
        cr_assert_eq(lg_batch_states(ctx, b, 0, 0, 50, states), LG_OK);
        for (size_t i = 0; i < sizeof states; i++) {
            low = states[i] < low ? states[i] : low;
            high = states[i] > high ? states[i] : high;
        }
    }
    /* a count below 0 would show as one near 255 */
    cr_assert_leq(high, 200);
    cr_assert_lt(low, 20, "the test should reach small counts");
    lg_batch_free(b);
    lg_problem_free(p);
}

/* The pattern of the standard parameters, and none in white noise. */
Test(statistics, pattern_statistics)
{
    uint8_t plane[64 * 64];
    double variance, c2;
    uint32_t x = 1;
    for (int i = 0; i < 64 * 64; i++) {
        x = x * 1664525u + 1013904223u;
        plane[i] = (uint8_t)(18 + (x >> 24) % 13);
    }
    lg_pattern(plane, 64, 64, &variance, &c2);
    cr_assert(variance > 12 && variance < 16 && fabs(c2) < 0.06, "noise: %g %g", variance, c2);
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++) plane[i * 64 + j] = i / 8 % 2 ? 40 : 8;
    lg_pattern(plane, 64, 64, &variance, &c2);
    cr_assert_float_eq(variance, 256.0, 1e-9);
    cr_assert_float_eq(c2, 0.5 * (1.0 + 0.5), 1e-9); /* rows: a quarter of the pairs two apart cross an edge */
}
