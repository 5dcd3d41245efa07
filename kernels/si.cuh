/* What si.cu (a block per lattice) and si_large.cu (many blocks per lattice) share: the arithmetic of a group of four
 * sites that read one random block. A lattice is one bit a site, rows of 32-bit words; eight neighbouring threads have
 * a word. */
#ifndef LG_KERNELS_SI_CUH
#define LG_KERNELS_SI_CUH

#include "device.cuh"

enum {
    SI_THREADS = 256,
    SI_BLOCK_SITES = 16384, /* at most so many for a block per lattice */
    SI_PAIR_WORDS = 4096    /* at most so many words of a pair that has a block: si_pair.cu */
};

bool lg_si_fits_block(const lg_job *job, const lg_device *device, bool backward);
void lg_si_forward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                         uint8_t *to, uint8_t *tape, uint8_t *checkpoint);
void lg_si_pair(lg_dbatch *b, const lg_view &v);
void lg_si_backward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *tape);

static __device__ inline void si_copy_fit(lg_si_fit *to, const lg_si_fit *from, uint32_t thread,
                                          uint32_t threads = SI_THREADS)
{
    static_assert(sizeof(lg_si_fit) == 46 * sizeof(uint32_t) + sizeof(double) + 2 * sizeof(uint32_t),
                  "copied by 32-bit words, each of which has a name");
    lg_copy_words(to, from, thread, threads);
}

/* ---- one group of four sites ------------------------------------------------------------------------------------ */

struct si_group {
    uint32_t i, j, shift; /* row; column of the first site; bit of the first site in its word */
    uint32_t own, valid;  /* the word, and which of its bits are sites */
    uint32_t n[4];        /* bit-sliced neighbour counts of the word */
};

/* A word c of a row with its left and right neighbours shifted onto it. first, last: its place in the row, a ring of W
 * sites; before, after: the words next to it on the ring. */
static __device__ inline void si_three(uint32_t before, uint32_t c, uint32_t after, bool first, bool last, uint32_t W,
                                       uint32_t *left, uint32_t *right)
{
    *left = c << 1 | (before >> (first ? (W - 1u) & 31u : 31u) & 1u);
    *right = c >> 1 | (after & 1u) << (last ? (W - 1u) & 31u : 31u);
}

/* A group of word w in row i of the lattice. rows: the words of row i - 1, i, i + 1 before, at and after the word. */
static __device__ inline si_group si_group_of(const uint32_t rows[3][3], uint32_t i, uint32_t w, uint32_t W,
                                              uint32_t shift)
{
    const uint32_t words = (W + 31u) >> 5;
    const bool first = w == 0, last = w + 1u == words;
    si_group g;
    g.i = i;
    g.shift = shift;
    g.j = 32u * w + shift;
    g.own = rows[1][1];
    g.valid = !last || (W & 31u) == 0 ? 0xffffffffu : (1u << (W & 31u)) - 1u;
    uint32_t al, ar, xl, xr, bl, br;
    si_three(rows[0][0], rows[0][1], rows[0][2], first, last, W, &al, &ar);
    si_three(rows[1][0], rows[1][1], rows[1][2], first, last, W, &xl, &xr);
    si_three(rows[2][0], rows[2][1], rows[2][2], first, last, W, &bl, &br);
    const lg_si_sliced s = lg_si_count(al, rows[0][1], ar, xl, xr, bl, rows[2][1], br);
    g.n[0] = (uint32_t)s.n0;
    g.n[1] = (uint32_t)s.n1;
    g.n[2] = (uint32_t)s.n2;
    g.n[3] = (uint32_t)s.n3;
    return g;
}

static __device__ inline si_group si_locate(const uint32_t *x, uint32_t H, uint32_t W, uint32_t item)
{
    const uint32_t words = (W + 31u) >> 5, word = item >> 3, w = word % words, i = word / words;
    const uint32_t before = w > 0 ? w - 1u : words - 1u, after = w + 1u < words ? w + 1u : 0u;
    const uint32_t *up = x + (size_t)lg_wrap(i, -1, H) * words, *own = x + (size_t)i * words,
                   *down = x + (size_t)lg_wrap(i, 1, H) * words;
    const uint32_t rows[3][3] = {{up[before], up[w], up[after]},
                                 {own[before], own[w], own[after]},
                                 {down[before], down[w], down[after]}};
    return si_group_of(rows, i, w, W, 4u * (item & 7u));
}

static __device__ inline uint32_t si_neighbours(const si_group &g, uint32_t site)
{
    const uint32_t bit = g.shift + site;
    return (g.n[0] >> bit & 1u) | (g.n[1] >> bit & 1u) << 1 | (g.n[2] >> bit & 1u) << 2 | (g.n[3] >> bit & 1u) << 3;
}

/* H(p - u) of those of the four sites that are asked for (a mask of four bits). */
static __device__ inline uint32_t si_draw(const lg_si_fit *fit, lg_key key, uint32_t fit_id, uint32_t replicate,
                                          uint32_t step, uint32_t W, const si_group &g, uint32_t asked)
{
    if (!asked) return 0;
    const lg_block b = lg_draw(key, LG_STREAM_SI_SITE, fit_id, replicate, step, lg_si_block(g.i, g.j, W));
    uint32_t fired = 0;
    LG_UNROLL
    for (uint32_t s = 0; s < 4u; s++) fired |= (uint32_t)(lg_u31(b.w[s]) < fit->threshold[si_neighbours(g, s)]) << s;
    return fired & asked;
}

static __device__ inline uint32_t si_with_neighbours(const si_group &g)
{
    return (g.n[0] | g.n[1] | g.n[2] | g.n[3]) & g.valid;
}

/* Newly aware sites of a group, as bits of its word. */
static __device__ inline uint32_t si_new_bits(const lg_si_fit *fit, lg_key key, uint32_t fit_id, uint32_t replicate,
                                              uint32_t step, uint32_t W, const si_group &g)
{
    return si_draw(fit, key, fit_id, replicate, step, W, g, (si_with_neighbours(g) & ~g.own) >> g.shift & 15u)
           << g.shift;
}

/* Joins the bits of eight neighbouring threads. */
static __device__ inline uint32_t si_join(uint32_t bits)
{
    bits |= __shfl_xor_sync(0xffffffffu, bits, 1);
    bits |= __shfl_xor_sync(0xffffffffu, bits, 2);
    return bits | __shfl_xor_sync(0xffffffffu, bits, 4);
}

/* Method score: the scores of staying and of turning aware with 0 .. 8 aware neighbours. */
enum { SI_SCORES = 2 * (LG_SI_NEIGHBOURS + 1) };

static __device__ inline void si_fill_scores(double beta, uint32_t thread, double *table)
{
    const int n = (int)thread % (LG_SI_NEIGHBOURS + 1), fired = (int)thread / (LG_SI_NEIGHBOURS + 1);
    if (thread < SI_SCORES) table[thread] = n > 0 ? lg_si_score(beta, n, fired) : 0.0;
}

/* Adds the scores of the draws of a group. bits: its newly aware sites. */
static __device__ inline void si_add_scores(const double *table, const si_group &g, uint32_t bits, double *score)
{
    const uint32_t asked = (si_with_neighbours(g) & ~g.own) >> g.shift & 15u, fired = bits >> g.shift;
    LG_UNROLL
    for (uint32_t s = 0; s < 4u; s++)
        if (asked >> s & 1u) *score += table[(fired >> s & 1u) * (LG_SI_NEIGHBOURS + 1) + si_neighbours(g, s)];
}

/* The word of eight neighbouring threads with its newly aware sites. table: adds the scores of the thread's draws to *score;
 * or NULL. */
static __device__ inline uint32_t si_step_word(const lg_si_fit *fit, lg_key key, uint32_t fit_id, uint32_t replicate,
                                               uint32_t step, const uint32_t *x, uint32_t H, uint32_t W, uint32_t item,
                                               bool inside, const double *table, double *score)
{
    uint32_t bits = 0, own = 0;
    if (inside) {
        const si_group g = si_locate(x, H, W, item);
        own = g.own;
        bits = si_new_bits(fit, key, fit_id, replicate, step, W, g);
        if (table) si_add_scores(table, g, bits, score);
    }
    return own | si_join(bits);
}

/* dy/dp of a site's draw under gs; two sites share a block of Gumbel noise. */
static __device__ inline float si_gs_weight(const lg_si_fit *fit, lg_key key, uint32_t fit_id, uint32_t replicate,
                                            uint32_t step, uint32_t i, uint32_t j, uint32_t W, uint32_t n, int fired)
{
    const lg_block b = lg_draw(key, LG_STREAM_SI_GUMBEL, fit_id, replicate, step, lg_si_gumbel_block(i, j, W));
    const uint32_t e0 = (j & 1u) ? b.w[2] : b.w[0], e1 = (j & 1u) ? b.w[3] : b.w[1];
    return lg_gs_weight(fit->p[n], fit->q[n], fired, lg_exponential(e0), lg_exponential(e1), fit->inv_tau);
}

/* Its mean over the draws of the noise (estimator gr). */
static __device__ inline float si_mean_weight(const lg_view &v, const lg_si_fit *fit, uint32_t fit_id,
                                              uint32_t replicate, uint32_t step, uint32_t i, uint32_t j, uint32_t n,
                                              int fired)
{
    float sum = 0.0f;
    LG_ROLLED
    for (uint32_t k = 0; k < fit->draws; k++)
        sum += si_gs_weight(fit, v.redraw[k], fit_id, replicate, step, i, j, v.W, n, fired);
    return sum / (float)fit->draws;
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

static __device__ inline const uint32_t *si_observed(const lg_view &v, uint32_t f, uint32_t replicate, uint32_t words)
{
    return (const uint32_t *)v.target + (v.transition ? (size_t)lg_view_pool(v, f, replicate) * words : 0u);
}

/* dL/dX of a state loss at a site. */
static __device__ inline float si_seed(const lg_view &v, uint32_t f, uint32_t fr, const uint32_t *state,
                                       const uint32_t *observed, uint32_t word, uint32_t bit)
{
    if (v.loss == LG_LOSS_count) return (float)(2.0 * (double)(long long)v.error[fr] / (double)v.R);
    return (float)(2.0 * v.slope[f] * (double)((int)(state[word] >> bit & 1u) - (int)(observed[word] >> bit & 1u)));
}

/* The four sites of a group: adds their part of dL/dbeta; where adj is given (more steps lie before) writes
 * a (1 - H(p - u)) there and g into gain, both of the four sites. a: their dL/dX'; fired: their H(p - u), where adj is given of
 * all with neighbours, else of the unaware ones, and of them for gs alone. AVERAGE: estimator gr. */
template <bool AVERAGE>
static __device__ inline void si_back_sites(const lg_view &v, const lg_si_fit *fit, lg_key key, uint32_t fit_id,
                                            uint32_t replicate, uint32_t step, const si_group &g, uint32_t fired,
                                            bool gs, const float *a, float *adj, float *gain, double *sum)
{
    LG_UNROLL
    for (uint32_t s = 0; s < 4u; s++) {
        if (!(g.valid >> (g.shift + s) & 1u)) continue;
        const uint32_t n = si_neighbours(g, s), aware = g.own >> (g.shift + s) & 1u, hit = fired >> s & 1u;
        float dp = aware ? 0.0f : a[s];
        if (AVERAGE && !aware)
            dp *= n ? si_mean_weight(v, fit, fit_id, replicate, step, g.i, g.j + s, n, (int)hit) : 0.0f;
        else if (gs && !aware)
            dp *= n ? si_gs_weight(fit, key, fit_id, replicate, step, g.i, g.j + s, v.W, n, (int)hit) : 0.0f;
        *sum += (double)(dp * fit->dp_dbeta[n]);
        if (!adj) continue;
        adj[s] = hit ? 0.0f : a[s];
        gain[s] = dp * fit->dp_dn[n];
    }
}

/* The same, with the draws made again. */
template <bool AVERAGE>
static __device__ inline void si_back_group(const lg_view &v, const lg_si_fit *fit, lg_key key, uint32_t fit_id,
                                            uint32_t replicate, uint32_t step, const si_group &g, const float *a,
                                            float *adj, float *gain, double *sum)
{
    const uint32_t with = si_with_neighbours(g) >> g.shift & 15u;
    const bool gs = AVERAGE || v.estimator == LG_ESTIMATOR_gs;
    const uint32_t fired = adj || gs ? si_draw(fit, key, fit_id, replicate, step, v.W, g, with) : 0u;
    si_back_sites<AVERAGE>(v, fit, key, fit_id, replicate, step, g, fired, gs, a, adj, gain, sum);
}

/* Sum over the neighbours of column j of the row `own`. */
static __device__ inline float si_add_neighbours(const float *up, const float *own, const float *down, uint32_t l,
                                                 uint32_t j, uint32_t r)
{
    return ((up[l] + up[j]) + (up[r] + own[l])) + ((own[r] + down[l]) + (down[j] + down[r]));
}

static __device__ inline float si_gather(const float *gain, uint32_t H, uint32_t W, uint32_t i, uint32_t j)
{
    return si_add_neighbours(gain + (size_t)lg_wrap(i, -1, H) * W, gain + (size_t)i * W,
                             gain + (size_t)lg_wrap(i, 1, H) * W, lg_wrap(j, -1, W), j, lg_wrap(j, 1, W));
}

/* Adjoint after the run's last step, everywhere. */
static __device__ inline void si_seed_plane(const lg_view &v, uint32_t f, uint32_t fr, uint32_t replicate,
                                            uint32_t words, uint32_t first, uint32_t end, float *adj)
{
    const uint32_t *state = (const uint32_t *)v.state + (size_t)fr * words;
    const uint32_t *observed = v.target ? si_observed(v, f, replicate, words) : state, row = (v.W + 31u) >> 5;
    for (uint32_t site = first; site < end; site += SI_THREADS) {
        const uint32_t i = site / v.W, j = site % v.W;
        adj[site] = v.target ? si_seed(v, f, fr, state, observed, i * row + (j >> 5), j & 31u) : 0.0f;
    }
}

static __device__ inline float si_injection(const lg_view &v, uint32_t f, uint32_t record)
{
    return (float)(v.stat_adjoint[(size_t)f * v.records + record] / ((double)((size_t)v.H * v.W) * (double)v.R));
}

#endif
