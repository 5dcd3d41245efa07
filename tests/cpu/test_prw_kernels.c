/* The PRW kernels of every instruction set this machine runs, against one walker at a time (bench/naive.c). */
#include <criterion/criterion.h>

#include "backend/cpu/cpu.h"

#include "../../bench/naive.c"

#include <math.h>

enum { ISAS = 3, CHUNK = 64 };

static const char *const isa_names[ISAS] = {"base", "avx2", "avx512"};

static int all_tables(const lg_prw_kernels *tables[ISAS])
{
    int count = 0;
    for (int i = 0; i < ISAS; i++) {
        setenv("LATGRAD_ISA", isa_names[i], 1);
        const lg_cpu_isa *isa = lg_cpu_select_isa();
        if (strcmp(isa->name, isa_names[i]) == 0) tables[count++] = isa->prw;
    }
    unsetenv("LATGRAD_ISA");
    return count;
}

static const uint32_t shapes[][2] = {{1, 1},  {1, 40},  {2, 3},   {31, 5},   {32, 5},
                                     {33, 5}, {64, 10}, {65, 10}, {257, 12}, {1500, 10}};
static const double params[][2] =
    {{0.3, 0.6}, {0.0, 0.0}, {1.0, 1.0}, {0.0, 1.0}, {1.0, 0.0}, {1e-9, 1e-9}, {1.0 - 1e-9, 1.0 - 1e-9}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], PARAMS = sizeof params / sizeof params[0] };

static const lg_noise_id id = {{{77, 88}}, 9, 0};

typedef struct walk {
    int32_t *state;
    int64_t *msd, *naive_msd;
    double *jacobian, *naive_jacobian, *scale;
} walk;

static walk walk_new(uint32_t walkers, uint32_t steps)
{
    walk w = {calloc(4 * (size_t)walkers, sizeof *w.state),
              calloc(steps, sizeof *w.msd),
              calloc(steps, sizeof *w.msd),
              calloc(2 * (size_t)steps, sizeof *w.jacobian),
              calloc(2 * (size_t)steps, sizeof *w.jacobian),
              calloc(2 * (size_t)steps, sizeof *w.scale)};
    return w;
}

static void walk_free(walk *w)
{
    free(w->state);
    free(w->msd);
    free(w->naive_msd);
    free(w->jacobian);
    free(w->naive_jacobian);
    free(w->scale);
}

static void all_chunks(const lg_prw_kernels *k, const lg_prw_fit *fit, uint32_t walkers, uint32_t steps, bool v0_const,
                       uint32_t chunk, walk *w)
{
    for (uint32_t first = 0; first < walkers; first += chunk) {
        const uint32_t count = walkers - first < chunk ? walkers - first : chunk;
        k->forward(fit, id, first, count, 0, steps, w->state, walkers, w->msd);
        k->jacobian(fit, id, first, count, steps, v0_const, w->jacobian);
    }
}

/* Sum of the walkers' absolute contributions. */
static void scales(const lg_prw_fit *fit, uint32_t walkers, uint32_t steps, bool v0_const, walk *w)
{
    for (uint32_t i = 0; i < walkers; i++) {
        memset(w->naive_jacobian, 0, 2 * (size_t)steps * sizeof *w->naive_jacobian);
        prw_walk(fit, id, i, steps, v0_const, w->naive_msd, w->naive_jacobian);
        for (uint32_t t = 0; t < 2 * steps; t++) w->scale[t] += fabs(w->naive_jacobian[t]);
    }
    naive_prw_forward_gradient(fit, id, walkers, steps, v0_const, w->naive_msd, w->naive_jacobian);
}

static void check_walk(const walk *w, uint32_t walkers, uint32_t steps)
{
    for (uint32_t t = 0; t < steps; t++)
        cr_assert_eq(w->msd[t], w->naive_msd[t], "%u walkers, step %u", walkers, t + 1);
    for (uint32_t t = 0; t < 2 * steps; t++)
        cr_assert(isfinite(w->jacobian[t]) && fabs(w->jacobian[t] - w->naive_jacobian[t]) <= 1e-6 * w->scale[t],
                  "%u walkers, step %u: %.9g, naive %.9g", walkers, t / 2 + 1, w->jacobian[t], w->naive_jacobian[t]);
}

Test(prw_kernels, walks_and_jacobians_equal_the_naive_loop)
{
    static const double taus[] = {1.0, 0.5, 2.0};
    const lg_prw_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int s = 0; s < SHAPES; s++)
        for (int p = 0; p < PARAMS; p++)
            for (int c = 0; c < 6; c++) {
                const uint32_t walkers = shapes[s][0], steps = shapes[s][1];
                lg_prw_fit fit;
                lg_prw_prepare(params[p][0], params[p][1], LG_ESTIMATOR_gs, taus[c / 2], &fit);
                walk first = walk_new(walkers, steps);
                scales(&fit, walkers, steps, c & 1, &first);
                all_chunks(k[0], &fit, walkers, steps, c & 1, CHUNK, &first);
                check_walk(&first, walkers, steps);
                for (int t = 1; t < tables; t++) {
                    walk other = walk_new(walkers, steps);
                    all_chunks(k[t], &fit, walkers, steps, c & 1, CHUNK, &other);
                    cr_assert_eq(memcmp(first.state, other.state, 4 * (size_t)walkers * sizeof *first.state), 0);
                    cr_assert_eq(memcmp(first.msd, other.msd, steps * sizeof *first.msd), 0);
                    cr_assert_eq(memcmp(first.jacobian, other.jacobian, 2 * (size_t)steps * sizeof *first.jacobian), 0);
                    walk_free(&other);
                }
                walk_free(&first);
            }
}

Test(prw_kernels, chunks_do_not_matter)
{
    static const uint32_t chunks[] = {1, 7, 32, 50, 64};
    enum { WALKERS = 150, STEPS = 8 };
    const lg_prw_kernels *k[ISAS];
    const int tables = all_tables(k);
    lg_prw_fit fit;
    lg_prw_prepare(0.26, 0.62, LG_ESTIMATOR_gs, 1.0, &fit);
    for (int t = 0; t < tables; t++) {
        walk whole = walk_new(WALKERS, STEPS);
        scales(&fit, WALKERS, STEPS, false, &whole);
        all_chunks(k[t], &fit, WALKERS, STEPS, false, WALKERS, &whole);
        check_walk(&whole, WALKERS, STEPS);
        for (int c = 0; c < 5; c++) {
            walk parts = walk_new(WALKERS, STEPS);
            all_chunks(k[t], &fit, WALKERS, STEPS, false, chunks[c], &parts);
            cr_assert_eq(memcmp(whole.state, parts.state, 4 * WALKERS * sizeof *whole.state), 0, "chunks of %u",
                         chunks[c]);
            cr_assert_eq(memcmp(whole.msd, parts.msd, STEPS * sizeof *whole.msd), 0);
            for (int i = 0; i < 2 * STEPS; i++)
                cr_assert(fabs(whole.jacobian[i] - parts.jacobian[i]) <= 1e-6 * whole.scale[i], "chunks of %u",
                          chunks[c]);
            walk_free(&parts);
        }
        walk_free(&whole);
    }
}

Test(prw_kernels, steps_can_be_taken_in_parts)
{
    enum { WALKERS = 70, STEPS = 9, FIRST = 4 };
    const lg_prw_kernels *k[ISAS];
    const int tables = all_tables(k);
    lg_prw_fit fit;
    lg_prw_prepare(0.4, 0.3, LG_ESTIMATOR_gs, 1.0, &fit);
    for (int t = 0; t < tables; t++) {
        walk whole = walk_new(WALKERS, STEPS), parts = walk_new(WALKERS, STEPS);
        k[t]->forward(&fit, id, 0, WALKERS, 0, STEPS, whole.state, WALKERS, whole.msd);
        k[t]->forward(&fit, id, 0, WALKERS, 0, FIRST, parts.state, WALKERS, parts.msd);
        k[t]->forward(&fit, id, 0, WALKERS, FIRST, STEPS - FIRST, parts.state, WALKERS, parts.msd + FIRST);
        cr_assert_eq(memcmp(whole.state, parts.state, 4 * WALKERS * sizeof *whole.state), 0);
        cr_assert_eq(memcmp(whole.msd, parts.msd, STEPS * sizeof *whole.msd), 0);
        memset(parts.state, 0, 4 * WALKERS * sizeof *parts.state);
        k[t]->forward(&fit, id, 0, WALKERS, 0, STEPS, parts.state, WALKERS, NULL);
        cr_assert_eq(memcmp(whole.state, parts.state, 4 * WALKERS * sizeof *whole.state), 0, "without sums");
        walk_free(&whole);
        walk_free(&parts);
    }
}

/* The final positions give the last sum, and velocities stay in -1..1. */
Test(prw_kernels, states_and_sums_agree)
{
    enum { WALKERS = 100, STEPS = 30 };
    const lg_prw_kernels *k[ISAS];
    all_tables(k);
    lg_prw_fit fit;
    lg_prw_prepare(0.2, 0.1, LG_ESTIMATOR_gs, 1.0, &fit);
    walk w = walk_new(WALKERS, STEPS);
    k[0]->forward(&fit, id, 0, WALKERS, 0, STEPS, w.state, WALKERS, w.msd);
    int64_t sum = 0;
    for (int i = 0; i < 2 * WALKERS; i++) sum += (int64_t)w.state[i] * w.state[i];
    for (int i = 2 * WALKERS; i < 4 * WALKERS; i++) cr_assert(w.state[i] >= -1 && w.state[i] <= 1);
    cr_assert_eq(w.msd[STEPS - 1], sum);
    cr_assert_gt(sum, 0);
    walk_free(&w);
}

/* A walker that never resamples moves on a straight line: x_t = t v_0. */
Test(prw_kernels, without_resampling_the_walk_is_straight)
{
    enum { WALKERS = 40, STEPS = 7 };
    const lg_prw_kernels *k[ISAS];
    const int tables = all_tables(k);
    lg_prw_fit fit;
    lg_prw_prepare(0.3, 0.0, LG_ESTIMATOR_gs, 1.0, &fit);
    for (int t = 0; t < tables; t++) {
        walk w = walk_new(WALKERS, STEPS);
        k[t]->forward(&fit, id, 0, WALKERS, 0, STEPS, w.state, WALKERS, w.msd);
        for (int i = 0; i < 2 * WALKERS; i++) cr_assert_eq(w.state[i], STEPS * w.state[2 * WALKERS + i]);
        for (int i = 0; i < STEPS; i++) cr_assert_eq(w.msd[i], w.msd[0] * (i + 1) * (i + 1));
        walk_free(&w);
    }
}

/* With explicit arithmetic: the tangent of two walkers from the documented recursion, in double. */
Test(prw_kernels, jacobian_follows_the_recursion)
{
    enum { STEPS = 20 };
    const lg_prw_kernels *k[ISAS];
    const int tables = all_tables(k);
    const double pc = 0.35, pr = 0.45;
    lg_prw_fit fit;
    lg_prw_prepare(pc, pr, LG_ESTIMATOR_gs, 1.0, &fit);
    for (uint32_t walker = 0; walker < 40; walker += 13) {
        double expected[STEPS][2] = {{0}}, scale[STEPS] = {0};
        for (uint32_t a = 0; a < 2; a++) {
            const lg_block start = lg_draw(id.key, LG_STREAM_PRW_START, id.fit, walker, 0, a);
            double x = 0.0, v = lg_prw_velocity(&fit, start.w[0]), dx[2] = {0}, dv[2] = {0};
            dv[0] = (double)lg_prw_velocity_gradient(&fit, (int32_t)v, lg_exponential(start.w[1]),
                                                     lg_exponential(start.w[2]), lg_exponential(start.w[3]));
            for (uint32_t t = 1; t <= STEPS; t++) {
                const lg_block hard = lg_draw(id.key, LG_STREAM_PRW_STEP, id.fit, walker, t, 0);
                const lg_block soft = lg_draw(id.key, LG_STREAM_PRW_GUMBEL, id.fit, walker, t, a);
                const lg_block plus = lg_draw(id.key, LG_STREAM_PRW_GUMBEL, id.fit, walker, t, 2);
                const int32_t k1 = lg_prw_resamples(&fit, hard.w[2 * a]), w = lg_prw_velocity(&fit, hard.w[2 * a + 1]);
                const double dk1 =
                    (double)lg_prw_keep_gradient(&fit, k1, lg_exponential(soft.w[0]), lg_exponential(soft.w[1]));
                const double dw =
                    (double)lg_prw_velocity_gradient(&fit, w, lg_exponential(soft.w[2]), lg_exponential(soft.w[3]),
                                                     lg_exponential(plus.w[a]));
                dv[0] = (1 - k1) * dv[0] + k1 * dw;       /* p_center */
                dv[1] = (1 - k1) * dv[1] + (w - v) * dk1; /* p_resample: k0 has derivative -dk1 */
                v = (1 - k1) * v + k1 * w;
                x += v;
                for (int p = 0; p < 2; p++) {
                    dx[p] += dv[p];
                    expected[t - 1][p] += 2.0 * x * dx[p];
                    scale[t - 1] += fabs(2.0 * x * dx[p]);
                }
            }
        }
        for (int i = 0; i < tables; i++) {
            double jacobian[STEPS][2] = {{0}};
            k[i]->jacobian(&fit, id, walker, 1, STEPS, false, &jacobian[0][0]);
            for (int t = 0; t < STEPS; t++)
                for (int p = 0; p < 2; p++)
                    cr_assert(fabs(jacobian[t][p] - expected[t][p]) <= 1e-5 * scale[t],
                              "walker %u, step %d: %g, expected %g", walker, t + 1, jacobian[t][p], expected[t][p]);
        }
    }
}
