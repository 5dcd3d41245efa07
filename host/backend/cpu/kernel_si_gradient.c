/* Gradients of SI on the CPU. One-step pairs with ste need no noise: the derivative depends on N alone, so words of
 * sites are counted per N, exactly. gs draws its Gumbel noise at the sites that contribute. Fits over several steps
 * walk a plane of adjoints back. Compiled once per instruction set. */
#include "backend/cpu/kernel_si.h"
#include "backend/cpu/philox_lanes.h"

#include <math.h>

static double lane_sum(const float *acc)
{
    double s[LG_LANES];
    for (int l = 0; l < LG_LANES; l++) s[l] = (double)acc[l];
    for (int half = LG_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

/* Gumbel weights dy/dp of 32 sites. */
static void gs_weights(float inv_tau, const float *restrict p, const float *restrict q, const uint32_t *restrict fired,
                       const uint32_t *restrict stay, const uint32_t *restrict aware, float *restrict weight)
{
    float e0[LG_PHILOX_LANES], e1[LG_PHILOX_LANES];
    for (int l = 0; l < LG_PHILOX_LANES; l++) e0[l] = lg_exponential(stay[l]);
    for (int l = 0; l < LG_PHILOX_LANES; l++) e1[l] = lg_exponential(aware[l]);
    if (inv_tau == 1.0f) /* compiled without logarithms */
        for (int l = 0; l < LG_PHILOX_LANES; l++)
            weight[l] = lg_gs_weight(p[l], q[l], (int)fired[l], e0[l], e1[l], 1.0f);
    else
        for (int l = 0; l < LG_PHILOX_LANES; l++)
            weight[l] = lg_gs_weight(p[l], q[l], (int)fired[l], e0[l], e1[l], inv_tau);
}

/* The mean over draws 0 ... draws - 1, built up draw by draw. */
static void add_draw(const float *restrict one, uint32_t k, uint32_t draws, float *restrict weight)
{
    const float share = k + 1 == draws ? 1.0f / (float)draws : 1.0f;
    for (int l = 0; l < LG_PHILOX_LANES; l++) weight[l] = (k ? weight[l] + one[l] : one[l]) * share;
}

/* ---- one-step pairs ---------------------------------------------------------------------------------------------- */

/* Contributing sites with N aware neighbours, by the sign of y - observed (kind 0) or all as positive (kind 1). */
typedef struct site_counts {
    uint64_t positive[LG_SI_NEIGHBOURS + 1], negative[LG_SI_NEIGHBOURS + 1];
} site_counts;

static void count_sites(lg_si_sliced n, uint64_t positive, uint64_t negative, site_counts *c)
{
    uint64_t m[LG_SI_NEIGHBOURS + 1];
    lg_si_masks(n, m);
    for (int k = 1; k <= LG_SI_NEIGHBOURS; k++) {
        c->positive[k] += (uint64_t)__builtin_popcountll(m[k] & positive);
        c->negative[k] += (uint64_t)__builtin_popcountll(m[k] & negative);
    }
}

enum { SITES = 512 }; /* a multiple of LG_PHILOX_LANES */

/* Contributing sites of a gs gradient: Gumbel block, which half of it, p, +-dp/dbeta and whether the site fired. */
typedef struct site_list {
    uint32_t size;
    uint32_t block[SITES], odd[SITES], fired[SITES];
    float p[SITES], q[SITES], slope[SITES];
} site_list;

/* Weights of 32 entries from the i-th on: the mean over the draws of the Gumbel noise. */
static void list_weights(const site_list *list, uint32_t i, const lg_si_fit *fit, lg_noise_id id, uint32_t step,
                         float *restrict weight)
{
    uint32_t replicate[LG_PHILOX_LANES], stay[LG_PHILOX_LANES], aware[LG_PHILOX_LANES];
    float one[LG_PHILOX_LANES];
    lg_lane_blocks noise;
    for (int l = 0; l < LG_PHILOX_LANES; l++) replicate[l] = id.replicate;
    for (uint32_t k = 0; k < fit->draws; k++) {
        lg_draw_lanes(lg_redraw_key(id.key, k), LG_STREAM_SI_GUMBEL, id.fit, replicate, step, list->block + i, &noise);
        for (int l = 0; l < LG_PHILOX_LANES; l++) {
            const uint32_t odd = 0u - list->odd[i + l];
            stay[l] = lg_pick_bits(odd, noise.w[2][l], noise.w[0][l]);
            aware[l] = lg_pick_bits(odd, noise.w[3][l], noise.w[1][l]);
        }
        gs_weights(fit->inv_tau, list->p + i, list->q + i, list->fired + i, stay, aware, one);
        add_draw(one, k, fit->draws, weight);
    }
}

/* Adds the list's sum of slope * weight and its absolute sum to sum[0], sum[1], and empties it. */
static void flush_sites(site_list *list, const lg_si_fit *fit, lg_noise_id id, uint32_t step, double *sum)
{
    float acc[2][LG_LANES] = {{0}};
    float weight[LG_PHILOX_LANES];
    for (uint32_t i = list->size; i % LG_PHILOX_LANES; i++) {
        list->block[i] = list->odd[i] = list->fired[i] = 0;
        list->p[i] = list->q[i] = 0.5f;
        list->slope[i] = 0.0f;
    }
    for (uint32_t i = 0; i < list->size; i += LG_PHILOX_LANES) {
        list_weights(list, i, fit, id, step, weight);
        for (int half = 0; half < LG_PHILOX_LANES; half += LG_LANES)
            for (int l = 0; l < LG_LANES; l++) {
                const float c = list->slope[i + half + l] * weight[half + l];
                acc[0][l] += c;
                acc[1][l] += fabsf(c);
            }
    }
    sum[0] += lane_sum(acc[0]);
    sum[1] += lane_sum(acc[1]);
    list->size = 0;
}

/* Adds the sites of one word whose bit is set in `sites`. block: Gumbel block of the word's first two sites. */
static void list_sites(site_list *list, const lg_si_fit *fit, lg_si_sliced n, uint64_t sites, uint64_t negative,
                       uint64_t y, uint32_t block)
{
    for (uint64_t left = sites; left; left &= left - 1) {
        const uint32_t j = (uint32_t)__builtin_ctzll(left), i = list->size++;
        const uint32_t N =
            (uint32_t)((n.n0 >> j & 1u) | (n.n1 >> j & 1u) << 1 | (n.n2 >> j & 1u) << 2 | (n.n3 >> j & 1u) << 3);
        list->block[i] = block + (j >> 1);
        list->odd[i] = j & 1u;
        list->fired[i] = (uint32_t)(y >> j & 1u);
        list->p[i] = fit->p[N];
        list->q[i] = fit->q[N];
        list->slope[i] = (negative >> j & 1u) ? -fit->dp_dbeta[N] : fit->dp_dbeta[N];
    }
}

void LG_ISA_NAME(lg_si_pair_gradient)(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step,
                                      uint32_t H, uint32_t W, uint32_t r0, uint32_t r1, const uint64_t *x,
                                      const uint64_t *y, const uint64_t *observed, int kind, double scale,
                                      void *scratch, double *out)
{
    const uint32_t words = lg_si_words(W);
    const lg_si_tile tile = lg_si_tile_in(scratch, W);
    const double unit = kind == 0 ? 2.0 * scale : scale;
    double sum[2] = {0.0, 0.0};
    site_counts counts = {{0}, {0}};
    site_list list;
    list.size = 0;
    for (uint32_t row = r0; row < r1; row += tile.rows) {
        const uint32_t rows = r1 - row < tile.rows ? r1 - row : tile.rows;
        if (!lg_si_count_tile(&tile, H, W, row, rows, x)) continue;
        for (size_t t = 0; t < (size_t)rows * words; t++) {
            const size_t at = (size_t)row * words + t;
            const uint64_t site = tile.any[t];
            const uint64_t positive = kind == 0 ? site & y[at] & ~observed[at] : site;
            const uint64_t negative = kind == 0 ? site & ~y[at] & observed[at] : 0;
            if (!(positive | negative)) continue;
            const lg_si_sliced n = lg_si_tile_count(&tile, t);
            if (estimator == LG_ESTIMATOR_ste) {
                count_sites(n, positive, negative, &counts);
                continue;
            }
            if (list.size > SITES - 64) flush_sites(&list, fit, id, step, sum);
            list_sites(&list, fit, n, positive | negative, negative, y[at],
                       lg_si_gumbel_block(row + (uint32_t)(t / words), 64 * (uint32_t)(t % words), W));
        }
    }
    if (estimator != LG_ESTIMATOR_ste) flush_sites(&list, fit, id, step, sum);
    for (int k = 1; k <= LG_SI_NEIGHBOURS; k++) {
        const double up = (double)counts.positive[k], down = (double)counts.negative[k];
        sum[0] += (double)fit->dp_dbeta[k] * (up - down);
        sum[1] += (double)fit->dp_dbeta[k] * (up + down);
    }
    out[0] += unit * sum[0];
    out[1] += fabs(unit) * sum[1];
}

/* ---- several steps ----------------------------------------------------------------------------------------------- */

enum {
    CHUNK = 4 * LG_PHILOX_LANES,
    CHUNK_WORDS = CHUNK / 64
}; /* sites of a row worked on at a time: 32 blocks of noise */

/* 128 sites of a row, entries past the row's end are unaware sites without neighbours and without adjoint. */
typedef struct sites {
    uint32_t aware[CHUNK], n[CHUNK], fired[CHUNK];
    float p[CHUNK], q[CHUNK], dbeta[CHUNK], dn[CHUNK], weight[CHUNK], adj[CHUNK];
    bool any_neighbour, any_draw; /* somewhere N > 0; somewhere unaware with N > 0 */
} sites;

static void spread_bits(uint64_t word, uint32_t weight, uint32_t *restrict out)
{
    const uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);
    for (uint32_t j = 0; j < 32; j++) {
        out[j] += (low >> j & 1u) * weight;
        out[j + 32] += (high >> j & 1u) * weight;
    }
}

static void load_sites(uint32_t H, uint32_t W, uint32_t i, uint32_t j0, const uint64_t *x, sites *s)
{
    memset(s->aware, 0, sizeof s->aware);
    memset(s->n, 0, sizeof s->n);
    s->any_neighbour = s->any_draw = false;
    for (uint32_t c = 0; c < CHUNK_WORDS && j0 / 64 + c < lg_si_words(W); c++) {
        const uint32_t w = j0 / 64 + c;
        const uint64_t own = x[(size_t)i * lg_si_words(W) + w];
        const lg_si_sliced n = lg_si_count_word(H, W, i, w, x);
        const uint64_t some = n.n0 | n.n1 | n.n2 | n.n3;
        spread_bits(own, 1, s->aware + 64 * c);
        spread_bits(n.n0, 1, s->n + 64 * c);
        spread_bits(n.n1, 2, s->n + 64 * c);
        spread_bits(n.n2, 4, s->n + 64 * c);
        spread_bits(n.n3, 8, s->n + 64 * c);
        s->any_neighbour |= some != 0;
        s->any_draw |= (some & ~own) != 0;
    }
}

/* out[j] = table[n[j]], by selection: gathers are slow or missing. */
static void look_up(const float *restrict table, const uint32_t *restrict n, float *restrict out)
{
    float t[LG_SI_NEIGHBOURS + 1];
    memcpy(t, table, sizeof t);
    for (int j = 0; j < CHUNK; j++) {
        float v = t[0];
#pragma GCC unroll 8
        for (uint32_t k = 1; k <= LG_SI_NEIGHBOURS; k++) v = lg_pick(0u - (uint32_t)(n[j] == k), t[k], v);
        out[j] = v;
    }
}

/* H(p - u) of all sites, aware ones included. */
static void draw_sites(const lg_si_fit *fit, lg_noise_id id, uint32_t step, uint32_t block, sites *s)
{
    uint32_t replicate[LG_PHILOX_LANES], blocks[LG_PHILOX_LANES];
    lg_lane_blocks noise;
    memset(s->fired, 0, sizeof s->fired);
    if (!s->any_neighbour) return;
    for (uint32_t l = 0; l < LG_PHILOX_LANES; l++) {
        replicate[l] = id.replicate;
        blocks[l] = block + l;
    }
    lg_draw_lanes(id.key, LG_STREAM_SI_SITE, id.fit, replicate, step, blocks, &noise);
    for (int j = 0; j < CHUNK; j++) s->fired[j] = lg_u31(noise.w[j & 3][j >> 2]);
    for (int j = 0; j < CHUNK; j++) {
        uint32_t level = 0; /* thresholds at or below u: the site fires where N exceeds their number */
#pragma GCC unroll 8
        for (int k = 1; k <= LG_SI_NEIGHBOURS; k++) level += s->fired[j] >= fit->threshold[k];
        s->fired[j] = s->n[j] > level;
    }
}

/* Words of the exponentials of the sites of a chunk. */
static void draw_gumbel(lg_key key, lg_noise_id id, uint32_t step, uint32_t block, uint32_t *restrict stay,
                        uint32_t *restrict aware)
{
    uint32_t replicate[LG_PHILOX_LANES], blocks[LG_PHILOX_LANES];
    lg_lane_blocks noise;
    for (uint32_t half = 0; half < 2; half++) {
        for (uint32_t l = 0; l < LG_PHILOX_LANES; l++) {
            replicate[l] = id.replicate;
            blocks[l] = block + half * LG_PHILOX_LANES + l;
        }
        lg_draw_lanes(key, LG_STREAM_SI_GUMBEL, id.fit, replicate, step, blocks, &noise);
        for (uint32_t l = 0; l < LG_PHILOX_LANES; l++) {
            const uint32_t j = half * 2 * LG_PHILOX_LANES + 2 * l;
            stay[j] = noise.w[0][l];
            aware[j] = noise.w[1][l];
            stay[j + 1] = noise.w[2][l];
            aware[j + 1] = noise.w[3][l];
        }
    }
}

static void weigh_sites(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t block,
                        sites *s)
{
    uint32_t stay[CHUNK], aware[CHUNK];
    float one[LG_PHILOX_LANES];
    if (estimator == LG_ESTIMATOR_ste || !s->any_draw) {
        for (int j = 0; j < CHUNK; j++) s->weight[j] = estimator == LG_ESTIMATOR_ste ? 1.0f : 0.0f;
        return;
    }
    look_up(fit->p, s->n, s->p);
    look_up(fit->q, s->n, s->q);
    for (uint32_t k = 0; k < fit->draws; k++) {
        draw_gumbel(lg_redraw_key(id.key, k), id, step, block, stay, aware);
        for (int j = 0; j < CHUNK; j += LG_PHILOX_LANES) {
            gs_weights(fit->inv_tau, s->p + j, s->q + j, s->fired + j, stay + j, aware + j, one);
            add_draw(one, k, fit->draws, s->weight + j);
        }
    }
}

/* With g = a (1 - X) weight: sum of g dp/dbeta into the lanes; flow = g dp/dN goes to the neighbours; a (1 - H(p -
 * u)) stays. */
static void split_adjoint(sites *restrict s, float *restrict flow, float *restrict acc)
{
    for (int j = 0; j < CHUNK; j += LG_LANES)
        for (int l = 0; l < LG_LANES; l++) {
            const float a = s->adj[j + l];
            const float g = lg_pick(0u - s->aware[j + l], 0.0f, a * s->weight[j + l]);
            acc[l] += g * s->dbeta[j + l];
            flow[j + l] = g * s->dn[j + l];
            s->adj[j + l] = lg_pick(0u - s->fired[j + l], 0.0f, a);
        }
}

/* Adds the flows of the eight neighbours to a row of adjoints. */
static void gather_row(uint32_t W, const float *restrict up, const float *restrict own, const float *restrict down,
                       float *restrict adj)
{
    for (uint32_t j = 1; j + 1 < W; j++)
        adj[j] += (up[j - 1] + up[j] + up[j + 1]) + (own[j - 1] + own[j + 1]) + (down[j - 1] + down[j] + down[j + 1]);
    for (uint32_t j = 0; j < W; j += W - 1) {
        const uint32_t l = j ? j - 1 : W - 1, r = j + 1 < W ? j + 1 : 0;
        adj[j] += (up[l] + up[j] + up[r]) + (own[l] + own[r]) + (down[l] + down[j] + down[r]);
    }
}

void LG_ISA_NAME(lg_si_backward)(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step,
                                 uint32_t H, uint32_t W, const uint64_t *x, float *adj, float *work, double *grad)
{
    sites s;
    float flow[CHUNK];
    for (uint32_t i = 0; i < H; i++) {
        float acc[LG_LANES] = {0};
        for (uint32_t j = 0; j < W; j += CHUNK) {
            const size_t at = (size_t)i * W + j, count = W - j < CHUNK ? W - j : CHUNK;
            load_sites(H, W, i, j, x, &s);
            memset(s.adj, 0, sizeof s.adj);
            memcpy(s.adj, adj + at, count * sizeof *adj);
            draw_sites(fit, id, step, lg_si_block(i, j, W), &s);
            weigh_sites(fit, estimator, id, step, lg_si_gumbel_block(i, j, W), &s);
            look_up(fit->dp_dbeta, s.n, s.dbeta);
            look_up(fit->dp_dn, s.n, s.dn);
            split_adjoint(&s, flow, acc);
            memcpy(adj + at, s.adj, count * sizeof *adj);
            memcpy(work + at, flow, count * sizeof *work);
        }
        *grad += lane_sum(acc);
    }
    for (uint32_t i = 0; i < H; i++) {
        const uint32_t above = i ? i - 1 : H - 1, below = i + 1 < H ? i + 1 : 0;
        gather_row(W, work + (size_t)above * W, work + (size_t)i * W, work + (size_t)below * W, adj + (size_t)i * W);
    }
}
