/* The MK kernels: all instruction sets give the same bytes, any split into bands too, and the backward pass walks back to
 * the exact start. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "cpu/isa_tables.h"

typedef struct sheet {
    uint32_t H, W, N;
    size_t sites, padded;
    uint8_t *n, *m, *ea, *eb, *tape;
    uint32_t *words;
    float *pad[6];
    double (*row_sums)[LG_MK_PARAMS];
} sheet;

static uint32_t lcg(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static sheet new_sheet(uint32_t H, uint32_t W, uint32_t N, uint32_t steps, uint32_t seed)
{
    sheet s = {.H = H, .W = W, .N = N, .sites = (size_t)H * W, .padded = (size_t)H * (W + 2)};
    s.n = malloc(s.sites);
    s.m = malloc(s.sites);
    s.ea = malloc(s.padded);
    s.eb = malloc(s.padded);
    s.tape = malloc(s.sites * steps);
    s.words = malloc(s.sites * sizeof *s.words);
    s.row_sums = calloc(H, sizeof *s.row_sums);
    for (int i = 0; i < 6; i++) s.pad[i] = calloc(s.padded, sizeof(float));
    for (size_t i = 0; i < s.sites; i++) {
        const uint32_t kind = lcg(&seed) % 8; /* full and empty sites are common */
        s.n[i] = (uint8_t)(kind == 0 ? 0 : (kind == 1 ? N : lcg(&seed) % (N + 1)));
        s.m[i] = (uint8_t)(kind == 2 ? 0 : (kind == 3 ? N : lcg(&seed) % (N + 1)));
    }
    for (size_t i = 0; i < s.padded; i++) {
        s.pad[0][i] = (float)((int)(lcg(&seed) % 200) - 100);
        s.pad[1][i] = (float)((int)(lcg(&seed) % 200) - 100) * 0.1f;
    }
    return s;
}

static void free_sheet(sheet *s)
{
    void *const owned[] = {s->n, s->m, s->ea, s->eb, s->tape, s->words, s->row_sums};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    for (int i = 0; i < 6; i++) free(s->pad[i]);
}

static void run(const lg_mk_kernels *k, sheet *s, const lg_mk_fit *fit, lg_estimator estimator, lg_noise_id id,
                uint32_t steps, int bands)
{
    const uint32_t height = (s->H / (uint32_t)bands + 1) & ~1u, H = s->H, W = s->W;
    for (uint32_t t = 0; t < steps; t++) {
        const int qa = lg_mk_draw_direction(fit, id.key, id.fit, id.replicate, t, 0);
        const int qb = lg_mk_draw_direction(fit, id.key, id.fit, id.replicate, t, 1);
        for (uint32_t r = 0; r < H; r += height)
            k->excite(fit, id, t, H, W, r, r + height < H ? r + height : H, s->n, s->m, s->ea, s->eb, s->words);
        for (uint32_t r = 0; r < H; r += height)
            k->react(fit, qa, qb, H, W, r, r + height < H ? r + height : H, s->n, s->m, s->ea, s->eb, s->words,
                     s->tape + t * s->sites);
    }
    (void)estimator;
}

static void run_back(const lg_mk_kernels *k, sheet *s, const lg_mk_fit *fit, lg_estimator estimator, lg_noise_id id,
                     uint32_t steps, int bands)
{
    const uint32_t height = (s->H / (uint32_t)bands + 1) & ~1u, H = s->H, W = s->W;
    for (uint32_t t = steps; t-- > 0;) {
        for (uint32_t r = 0; r < H; r += height)
            k->unreact(fit, estimator, id, t, H, W, r, r + height < H ? r + height : H, s->n, s->m,
                       s->tape + t * s->sites, s->pad[0], s->pad[1], s->pad[2], s->pad[3], s->row_sums);
        for (int sp = 0; sp < 2; sp++) {
            float w[LG_MK_DIRECTIONS];
            const lg_mk_direction_draw d = lg_mk_draw_direction_soft(fit, id.key, id.fit, id.replicate, t, sp);
            lg_mk_direction_weights(fit, sp, &d, w);
            for (uint32_t r = 0; r < H; r += height)
                k->unmove(sp, d.q, w, fit->capacity, H, W, r, r + height < H ? r + height : H, sp ? s->m : s->n,
                          s->pad[sp], s->pad[2 + sp], s->pad[4 + sp], s->row_sums);
            float *swap = s->pad[sp];
            s->pad[sp] = s->pad[4 + sp];
            s->pad[4 + sp] = swap;
        }
    }
}

/* Interior of the padded adjoints. */
static int same_adjoint(const sheet *a, const sheet *b)
{
    int same = 1;
    for (int sp = 0; sp < 2; sp++)
        for (size_t i = 0; i < a->H; i++)
            same &= memcmp(a->pad[sp] + i * (a->W + 2) + 1, b->pad[sp] + i * (a->W + 2) + 1, a->W * sizeof(float)) == 0;
    return same;
}

static const uint32_t sizes[][3] = {{3, 3, 3}, {5, 7, 50}, {8, 16, 255}, {9, 65, 50}, {16, 300, 17}};
enum { STEPS = 25 };

static void compare(const lg_mk_kernels *a, const lg_mk_kernels *b, int bands, const char *what)
{
    const double params[5] = {0.4, 0.9, 0.9, 0.3, 0.5};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int gs = 0; gs < 2; gs++) {
            lg_mk_fit fit;
            lg_mk_prepare(params, k == 1 ? 1.5 : 0.05, (int)sizes[k][2], 0.7, &fit); /* gamma 1.5: certain events */
            const lg_noise_id id = {lg_iteration_key(7, k), 3, 11};
            sheet x = new_sheet(sizes[k][0], sizes[k][1], sizes[k][2], STEPS, 99),
                  y = new_sheet(sizes[k][0], sizes[k][1], sizes[k][2], STEPS, 99);
            sheet start = new_sheet(sizes[k][0], sizes[k][1], sizes[k][2], STEPS, 99);
            run(a, &x, &fit, (lg_estimator)gs, id, STEPS, 1);
            run(b, &y, &fit, (lg_estimator)gs, id, STEPS, bands);
            cr_assert_eq(memcmp(x.n, y.n, x.sites), 0, "%s: A, size %zu", what, k);
            cr_assert_eq(memcmp(x.m, y.m, x.sites), 0, "%s: B, size %zu", what, k);
            cr_assert_eq(memcmp(x.tape, y.tape, x.sites * STEPS), 0, "%s: tape, size %zu", what, k);
            cr_assert_neq(memcmp(x.n, start.n, x.sites), 0);
            run_back(a, &x, &fit, (lg_estimator)gs, id, STEPS, 1);
            run_back(b, &y, &fit, (lg_estimator)gs, id, STEPS, bands);
            cr_assert_eq(memcmp(x.n, start.n, x.sites), 0, "%s: A walks back, size %zu", what, k);
            cr_assert_eq(memcmp(y.m, start.m, x.sites), 0, "%s: B walks back, size %zu", what, k);
            cr_assert_eq(memcmp(x.row_sums, y.row_sums, x.H * sizeof *x.row_sums), 0, "%s: sums, size %zu", what, k);
            cr_assert(same_adjoint(&x, &y), "%s: adjoint, size %zu", what, k);
            free_sheet(&x);
            free_sheet(&y);
            free_sheet(&start);
        }
}

Test(mk_kernels, instruction_sets_give_the_same_bytes)
{
    int compared = 0;
    for (int i = 1; i < TEST_ISAS; i++) {
        if (!test_isa_runs(i)) continue;
        compare(test_isa_mk(0), test_isa_mk(i), 1, test_isa_name(i));
        compared++;
    }
    cr_log_info("%d instruction sets beside the base one", compared);
}

Test(mk_kernels, bands_give_the_same_bytes)
{
    compare(lg_cpu_select_isa()->mk, lg_cpu_select_isa()->mk, 2, "2 bands");
    compare(lg_cpu_select_isa()->mk, lg_cpu_select_isa()->mk, 3, "3 bands");
}
