/* The SI kernels of every instruction set this machine runs, against straight loops over sites (bench/naive.c). */
#include <criterion/criterion.h>

#include "backend/cpu/cpu.h"

#include "../../bench/naive.c"

#include <math.h>
#include <stdio.h>

enum { ISAS = 3 };

static const char *const isa_names[ISAS] = {"base", "avx2", "avx512"};

/* Tables this machine runs, the base one first. */
static int all_tables(const lg_si_kernels *tables[ISAS])
{
    int count = 0;
    for (int i = 0; i < ISAS; i++) {
        setenv("LATGRAD_ISA", isa_names[i], 1);
        const lg_cpu_isa *isa = lg_cpu_select_isa();
        if (strcmp(isa->name, isa_names[i]) == 0) tables[count++] = isa->si;
    }
    unsetenv("LATGRAD_ISA");
    return count;
}

static const uint32_t sizes[][2] = {{3, 3},   {3, 64},  {5, 7}, {64, 64},  {64, 65},   {33, 130},
                                    {3, 127}, {7, 129}, {8, 4}, {130, 63}, {128, 128}, {3, 8300}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };
static const double betas[] = {0.0, 0.2, 1.0}, densities[] = {0.0, 0.03, 0.4, 0.9, 1.0};

typedef struct lattice {
    uint32_t H, W;
    uint8_t *x, *y, *observed, *other;
    uint64_t *xb, *yb, *ob, *again;
    void *scratch;
    size_t sites, words;
} lattice;

static uint32_t random_word(uint32_t i, uint32_t purpose)
{
    const lg_key key = {{17, purpose}};
    return lg_philox(i, 0, 0, 0xff000000u, key).w[0];
}

static lattice lattice_new(uint32_t H, uint32_t W, double density)
{
    lattice l = {.H = H, .W = W, .sites = (size_t)H * W, .words = (size_t)H * lg_si_words(W)};
    uint8_t *bytes = calloc(4, l.sites);
    uint64_t *bits = calloc(4 * l.words, sizeof *bits);
    l.x = bytes;
    l.y = bytes + l.sites;
    l.observed = bytes + 2 * l.sites;
    l.other = bytes + 3 * l.sites;
    l.xb = bits;
    l.yb = bits + l.words;
    l.ob = bits + 2 * l.words;
    l.again = bits + 3 * l.words;
    l.scratch = malloc(lg_si_scratch_bytes(W));
    for (uint32_t i = 0; i < l.sites; i++) {
        l.x[i] = lg_u31(random_word(i, 1)) < lg_threshold31(density);
        l.observed[i] = l.x[i] | (lg_u31(random_word(i, 2)) < lg_threshold31(0.2));
    }
    if (density > 0.0) l.x[(H - 1) * W + W - 1] = l.observed[(H - 1) * W + W - 1] = 1; /* wraps in both directions */
    return l;
}

static void lattice_free(lattice *l)
{
    free(l->x);
    free(l->xb);
    free(l->scratch);
}

static lg_si_fit fit_at(double beta, double tau)
{
    lg_si_fit fit;
    lg_si_prepare(beta, log1p(-beta), tau, &fit);
    return fit;
}

static lg_noise_id id_of(uint32_t replicate)
{
    const lg_noise_id id = {{{0x1234u, 0x9876u}}, 5, replicate};
    return id;
}

Test(si_kernels, bits_round_trip)
{
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int s = 0; s < SIZES; s++)
        for (int t = 0; t < tables; t++) {
            lattice l = lattice_new(sizes[s][0], sizes[s][1], 0.5);
            memset(l.xb, 0xff, l.words * sizeof *l.xb);
            k[t]->pack(l.x, l.H, l.W, l.xb);
            k[t]->unpack(l.xb, l.H, l.W, l.other);
            cr_assert_eq(memcmp(l.x, l.other, l.sites), 0, "%u x %u", l.H, l.W);
            uint64_t ones = 0, sites = 0;
            for (size_t w = 0; w < l.words; w++) ones += (uint64_t)__builtin_popcountll(l.xb[w]);
            for (size_t i = 0; i < l.sites; i++) sites += l.x[i];
            cr_assert_eq(ones, sites, "bits past the last site are set at %u x %u", l.H, l.W);
            cr_assert_eq((l.xb[(l.W - 1) / 64] >> (l.W - 1) % 64 & 1u), l.x[l.W - 1]);
            lattice_free(&l);
        }
}

static void check_steps(const lg_si_kernels *k, lattice *l, double beta, uint32_t steps)
{
    const lg_si_fit fit = fit_at(beta, 1.0);
    k->pack(l->x, l->H, l->W, l->xb);
    for (uint32_t t = 0; t < steps; t++) {
        const uint64_t naive = naive_si_step(&fit, id_of(t), t, l->H, l->W, l->x, l->y);
        memset(l->yb, 0xff, l->words * sizeof *l->yb);
        const uint64_t made = k->step(&fit, id_of(t), t, l->H, l->W, 0, l->H, l->xb, l->yb, l->scratch);
        k->unpack(l->yb, l->H, l->W, l->other);
        cr_assert_eq(memcmp(l->y, l->other, l->sites), 0, "%u x %u, beta %g, step %u", l->H, l->W, beta, t);
        cr_assert_eq(made, naive);
        k->pack(l->y, l->H, l->W, l->again);
        cr_assert_eq(memcmp(l->again, l->yb, l->words * sizeof *l->yb), 0, "unused bits are set at %u x %u", l->H,
                     l->W);
        memcpy(l->x, l->y, l->sites);
        memcpy(l->xb, l->yb, l->words * sizeof *l->xb);
    }
}

Test(si_kernels, steps_equal_the_naive_loop)
{
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int s = 0; s < SIZES; s++)
        for (int b = 0; b < 3; b++)
            for (int d = 0; d < 5; d++)
                for (int t = 0; t < tables; t++) {
                    lattice l = lattice_new(sizes[s][0], sizes[s][1], densities[d]);
                    check_steps(k[t], &l, betas[b], 3);
                    lattice_free(&l);
                }
}

Test(si_kernels, extreme_betas_are_certain)
{
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int t = 0; t < tables; t++) {
        lattice l = lattice_new(5, 70, 0.0);
        l.x[0] = 1;
        k[t]->pack(l.x, l.H, l.W, l.xb);
        const lg_si_fit never = fit_at(0.0, 1.0), always = fit_at(1.0, 1.0);
        cr_assert_eq(k[t]->step(&never, id_of(0), 0, l.H, l.W, 0, l.H, l.xb, l.yb, l.scratch), 0);
        cr_assert_eq(k[t]->step(&always, id_of(0), 0, l.H, l.W, 0, l.H, l.xb, l.yb, l.scratch), 8);
        k[t]->unpack(l.yb, l.H, l.W, l.y);
        cr_assert(l.y[4 * 70 + 69] && l.y[4 * 70] && l.y[69] && l.y[1] && l.y[70] && l.y[71] && l.y[70 + 69] &&
                  l.y[4 * 70 + 1]);
        lattice_free(&l);
    }
}

Test(si_kernels, row_ranges_make_the_same_step)
{
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    const lg_si_fit fit = fit_at(0.3, 1.0);
    for (int s = 0; s < SIZES; s++)
        for (int t = 0; t < tables; t++) {
            lattice l = lattice_new(sizes[s][0], sizes[s][1], 0.2);
            uint64_t made = 0;
            k[t]->pack(l.x, l.H, l.W, l.xb);
            const uint64_t whole = k[t]->step(&fit, id_of(2), 7, l.H, l.W, 0, l.H, l.xb, l.yb, l.scratch);
            for (uint32_t r = 0, next; r < l.H; r = next) {
                next = r + 1 + random_word(r, 3) % 5 < l.H ? r + 1 + random_word(r, 3) % 5 : l.H;
                made += k[t]->step(&fit, id_of(2), 7, l.H, l.W, r, next, l.xb, l.again, l.scratch);
            }
            cr_assert_eq(made, whole);
            cr_assert_eq(memcmp(l.yb, l.again, l.words * sizeof *l.yb), 0, "%u x %u", l.H, l.W);
            lattice_free(&l);
        }
}

/* ---- gradients of pairs ----------------------------------------------------------------------------------------- */

static void check_pair(const lg_si_kernels *k, lattice *l, double beta, double tau, lg_estimator estimator, int kind,
                       double out[2])
{
    const lg_si_fit fit = fit_at(beta, tau);
    double naive[2] = {0.0, 0.0}, rows[2] = {0.0, 0.0};
    naive_si_step(&fit, id_of(3), 0, l->H, l->W, l->x, l->y);
    k->pack(l->x, l->H, l->W, l->xb);
    k->pack(l->y, l->H, l->W, l->yb);
    k->pack(l->observed, l->H, l->W, l->ob);
    out[0] = out[1] = 0.0;
    naive_si_pair_gradient(&fit, estimator, id_of(3), 0, l->H, l->W, l->x, l->y, l->observed, kind, -0.7, naive);
    k->pair_gradient(&fit, estimator, id_of(3), 0, l->H, l->W, 0, l->H, l->xb, l->yb, l->ob, kind, -0.7, l->scratch,
                     out);
    const uint32_t middle = l->H / 2;
    k->pair_gradient(&fit, estimator, id_of(3), 0, l->H, l->W, 0, middle, l->xb, l->yb, l->ob, kind, -0.7, l->scratch,
                     rows);
    k->pair_gradient(&fit, estimator, id_of(3), 0, l->H, l->W, middle, l->H, l->xb, l->yb, l->ob, kind, -0.7,
                     l->scratch, rows);
    for (int i = 0; i < 2; i++) {
        cr_assert(isfinite(out[i]));
        cr_assert(fabs(out[i] - naive[i]) <= 2e-7 * naive[1], "%u x %u, beta %g, %d, kind %d: %.9g, naive %.9g", l->H,
                  l->W, beta, (int)estimator, kind, out[i], naive[i]);
        cr_assert(fabs(rows[i] - naive[i]) <= 2e-7 * naive[1]);
    }
}

Test(si_kernels, pair_gradients_equal_the_naive_loop)
{
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int s = 0; s < SIZES; s++)
        for (int b = 0; b < 3; b++)
            for (int d = 0; d < 5; d++)
                for (int c = 0; c < 6; c++) { /* ste, gs at tau 1, gs at tau 0.5; both kinds of adjoint */
                    double first[2] = {0.0, 0.0}, other[2];
                    for (int t = 0; t < tables; t++) {
                        lattice l = lattice_new(sizes[s][0], sizes[s][1], densities[d]);
                        check_pair(k[t], &l, betas[b], c < 4 ? 1.0 : 0.5, c < 2 ? LG_ESTIMATOR_ste : LG_ESTIMATOR_gs,
                                   c & 1, t ? other : first);
                        cr_assert(t == 0 || memcmp(first, other, sizeof first) == 0, "instruction sets differ");
                        lattice_free(&l);
                    }
                }
}

Test(si_kernels, ste_pair_gradient_adds_to_its_result)
{
    const lg_si_kernels *k[ISAS];
    all_tables(k);
    lattice l = lattice_new(9, 9, 0.3);
    const lg_si_fit fit = fit_at(0.2, 1.0);
    double out[2] = {100.0, 200.0}, once[2] = {0.0, 0.0};
    k[0]->pack(l.x, l.H, l.W, l.xb);
    k[0]->pair_gradient(&fit, LG_ESTIMATOR_ste, id_of(0), 0, l.H, l.W, 0, l.H, l.xb, l.xb, l.xb, 1, 1.0, l.scratch,
                        once);
    k[0]->pair_gradient(&fit, LG_ESTIMATOR_ste, id_of(0), 0, l.H, l.W, 0, l.H, l.xb, l.xb, l.xb, 1, 1.0, l.scratch,
                        out);
    cr_assert_gt(once[0], 0.0);
    cr_assert_float_eq(out[0] - once[0], 100.0, 1e-9);
    cr_assert_float_eq(out[1] - once[1], 200.0, 1e-9);
    lattice_free(&l);
}

static void naive_counts(const lattice *l, uint64_t counts[2][9])
{
    for (uint32_t i = 0; i < l->H; i++)
        for (uint32_t j = 0; j < l->W; j++) {
            const uint8_t *up = l->x + (size_t)before(i, l->H) * l->W, *own = l->x + (size_t)i * l->W;
            const uint8_t *down = l->x + (size_t)after(i, l->H) * l->W;
            if (!own[j]) counts[l->observed[(size_t)i * l->W + j]][aware_neighbours(up, own, down, j, l->W)]++;
        }
}

Test(si_kernels, pair_counts_and_differences)
{
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int s = 0; s < SIZES; s++)
        for (int d = 0; d < 5; d++)
            for (int t = 0; t < tables; t++) {
                lattice l = lattice_new(sizes[s][0], sizes[s][1], densities[d]);
                uint64_t expected[2][9] = {{0}}, counts[2][9] = {{0}}, different = 0;
                naive_counts(&l, expected);
                for (size_t i = 0; i < l.sites; i++) different += l.x[i] != l.observed[i];
                k[t]->pack(l.x, l.H, l.W, l.xb);
                k[t]->pack(l.observed, l.H, l.W, l.ob);
                k[t]->pair_counts(l.H, l.W, 0, 1, l.xb, l.ob, counts);
                k[t]->pair_counts(l.H, l.W, 1, l.H, l.xb, l.ob, counts);
                cr_assert_eq(memcmp(expected, counts, sizeof counts), 0, "%u x %u, density %g", l.H, l.W, densities[d]);
                cr_assert_eq(k[t]->differ(l.xb, l.ob, l.words), different);
                lattice_free(&l);
            }
}

/* ---- several steps ---------------------------------------------------------------------------------------------- */

typedef struct walk_back {
    float *adj, *work;
    double *naive, *flow;
} walk_back;

static void check_backward(const lg_si_kernels *k, const lattice *l, double beta, double tau, lg_estimator estimator,
                           walk_back *w, double *gradient)
{
    const lg_si_fit fit = fit_at(beta, tau);
    double naive = 0.0, scale = 1e-30;
    for (uint32_t i = 0; i < l->sites; i++) {
        w->naive[i] = (double)(random_word(i, 4) % 1024) / 512.0 - 1.0;
        w->adj[i] = (float)w->naive[i];
    }
    *gradient = 0.0;
    k->backward(&fit, estimator, id_of(1), 2, l->H, l->W, l->xb, w->adj, w->work, gradient);
    naive_si_backward(&fit, estimator, id_of(1), 2, l->H, l->W, l->x, w->naive, w->flow, &naive);
    for (size_t i = 0; i < l->sites; i++) scale += fabs(w->flow[i]) + fabs(w->naive[i]);
    for (size_t i = 0; i < l->sites; i++)
        cr_assert(fabs((double)w->adj[i] - w->naive[i]) <=
                      1e-5 * (1.0 + fabs(w->naive[i])) + 1e-6 * scale / (double)l->sites,
                  "%u x %u, beta %g, site %zu: %g, naive %g", l->H, l->W, beta, i, (double)w->adj[i], w->naive[i]);
    double absolute = 0.0;
    for (size_t i = 0; i < l->sites; i++) absolute += fabs(w->flow[i]);
    const double bound =
        beta > 0.0 && beta < 1.0 ? absolute * 8.0 / (1.0 - beta) / -log1p(-beta) : 8.0 * (double)l->sites;
    cr_assert(isfinite(*gradient) && fabs(*gradient - naive) <= 1e-6 * bound, "%u x %u, beta %g: %.9g, naive %.9g",
              l->H, l->W, beta, *gradient, naive);
}

Test(si_kernels, backward_equals_the_naive_loop)
{
    static const double backward_betas[] = {0.0, 0.2, 0.9, 1.0};
    const lg_si_kernels *k[ISAS];
    const int tables = all_tables(k);
    for (int s = 0; s < SIZES; s++)
        for (int b = 0; b < 4; b++)
            for (int c = 0; c < 9; c++) {
                lattice l = lattice_new(sizes[s][0], sizes[s][1], densities[1 + c / 3]);
                walk_back w[2];
                for (int i = 0; i < 2; i++) {
                    w[i].adj = malloc(2 * l.sites * sizeof(float));
                    w[i].work = w[i].adj + l.sites;
                    w[i].naive = malloc(2 * l.sites * sizeof(double));
                    w[i].flow = w[i].naive + l.sites;
                }
                k[0]->pack(l.x, l.H, l.W, l.xb);
                double gradient[2] = {0.0, 0.0};
                for (int t = 0; t < tables; t++) {
                    check_backward(k[t], &l, backward_betas[b], c % 3 == 2 ? 2.0 : 1.0,
                                   c % 3 ? LG_ESTIMATOR_gs : LG_ESTIMATOR_ste, &w[t > 0], &gradient[t > 0]);
                    cr_assert(t == 0 || memcmp(&gradient[0], &gradient[1], sizeof *gradient) == 0,
                              "instruction sets differ");
                    cr_assert(t == 0 || memcmp(w[0].adj, w[1].adj, l.sites * sizeof(float)) == 0,
                              "instruction sets differ");
                }
                for (int i = 0; i < 2; i++) {
                    free(w[i].adj);
                    free(w[i].naive);
                }
                lattice_free(&l);
            }
}

Test(isa, environment_narrows_the_choice)
{
    setenv("LATGRAD_ISA", "base", 1);
    cr_assert_str_eq(lg_cpu_select_isa()->name, "base");
    unsetenv("LATGRAD_ISA");
    const lg_cpu_isa *widest = lg_cpu_select_isa();
    setenv("LATGRAD_ISA", "nonsense", 1);
    cr_assert_eq(lg_cpu_select_isa(), widest);
    setenv("LATGRAD_ISA", "avx2", 1);
    cr_assert_str_neq(lg_cpu_select_isa()->name, "avx512");
    cr_assert(widest->si && widest->prw && widest->mk);
}
