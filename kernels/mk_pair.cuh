/* The packed arithmetic of mk.cu: a step of a pair of sites, one above the other, in few instructions. Each function says
 * which rule of rules/mk.h it equals; states are the same bits. A pair's counts are one register, n, m of row 2p in bytes 0,
 * 1 and those of row 2p + 1 in bytes 2, 3. Its excitations E are a word of the same layout with bytes 0 or 1, so that a move
 * of the whole pair is one addition: counts - E + (what arrives), linear in the word, and no byte leaves 0..N.
 *
 * Byte and dot-product instructions do most of the selecting: __byte_perm picks four bytes out of eight, __dp2a_lo adds
 * 16-bit halves times bytes. */
#ifndef LG_KERNELS_MK_PAIR_CUH
#define LG_KERNELS_MK_PAIR_CUH

#include "mk.cuh"

/* ---- noise ------------------------------------------------------------------------------------------------------ */

/* lg_draw of a pair in every step. The counter is (block, step, replicate, stream | fit), so most of its first three
 * rounds is the same in every step or for every pair. With rounds c -> d -> e -> f and b the block:
 *   d = (hi(M1 replicate) ^ step ^ k0,  lo(M1 replicate),  hi(M0 b) ^ stream ^ k1,  lo(M0 b))
 *   e = (hi(M1 d2) ^ d1 ^ k0',          lo(M1 d2),         hi(M0 d0) ^ d3 ^ k1',    lo(M0 d0))
 *   f = (hi(M1 e2) ^ e1 ^ k0'',         lo(M1 e2),         hi(M0 e0) ^ e3 ^ k1'',   lo(M0 e0))
 * d2, d3, e0, e1 and M0 e0 belong to the pair, d0, d1 and e3 to the step; e2 is the first word that mixes them. */
struct mk_noise_pair {
    uint32_t d3, e1, f2, f3; /* d3; e1 ^ k0''; hi(M0 e0); lo(M0 e0) */
};
struct mk_noise_step {
    uint32_t e2, e3; /* hi(M0 d0) ^ k1'; e3 ^ k1'' */
};

static __device__ inline mk_noise_pair lg_mk_noise_pair(lg_key key, uint32_t fit, uint32_t replicate, uint32_t b)
{
    const lg_block c = {{b, 0, replicate, (uint32_t)LG_STREAM_MK_SITE << 24 | fit}};
    const lg_block d = lg_philox_round(c, key), e = lg_philox_round(d, lg_philox_key(key, 1));
    const uint64_t product = lg_philox_product0(e.w[0]);
    return {d.w[3], e.w[1] ^ lg_philox_key(key, 2).k[0], (uint32_t)(product >> 32), (uint32_t)product};
}

static __device__ inline mk_noise_step lg_mk_noise_step(lg_key key, uint32_t replicate, uint32_t step)
{
    const lg_block c = {{0, step, replicate, 0}};
    const uint64_t product = lg_philox_product0(lg_philox_round(c, key).w[0]);
    return {(uint32_t)(product >> 32) ^ lg_philox_key(key, 1).k[1], (uint32_t)product ^ lg_philox_key(key, 2).k[1]};
}

/* Words 0 and 2 come complemented, which lg_mk_excite wants and which costs nothing in the last round's key. */
static __device__ inline lg_block lg_mk_draw(lg_key key, mk_noise_pair pair, mk_noise_step step)
{
    const uint64_t product = lg_philox_product1(step.e2 ^ pair.d3);
    lg_block b = {{(uint32_t)(product >> 32) ^ pair.e1, (uint32_t)product, pair.f2 ^ step.e3, pair.f3}};
    LG_UNROLL
    for (uint32_t round = 3; round + 1u < LG_PHILOX_ROUNDS; round++) b = lg_philox_round(b, lg_philox_key(key, round));
    const lg_key last = lg_philox_key(key, LG_PHILOX_ROUNDS - 1), complement = {{~last.k[0], ~last.k[1]}};
    return lg_philox_round(b, complement);
}

/* ---- excitation ------------------------------------------------------------------------------------------------- */

/* lg_mk_excited of all four counts, from a block of lg_mk_draw. N (2 h + 1) < n 2^17, with h = 65535 - g, is N 2^16 <= v, v = N g + (N + 1) / 2 - 1 + n 2^16
 * (all integers; N / 2 may be rounded up because the other side of N g + N / 2 > (N - n) 2^16 is an integer). As v < 2^25,
 * that is bit 8 of v / 2^16 + 256 - N. */
static __device__ inline uint32_t lg_mk_excite(uint32_t N, lg_block b, uint32_t counts)
{
    const uint32_t half = (N + 1u) / 2u - 1u, bias = (256u - N) * 0x10001u, N_high = N << 8;
    const uint32_t n0 = __dp2a_lo(b.w[0], N, __byte_perm(counts, half, 0x5054)),
                   m0 = __dp2a_lo(b.w[0], N_high, __byte_perm(counts, half, 0x5154)),
                   n1 = __dp2a_lo(b.w[2], N, __byte_perm(counts, half, 0x5254)),
                   m1 = __dp2a_lo(b.w[2], N_high, __byte_perm(counts, half, 0x5354));
    return __byte_perm(__byte_perm(n0, m0, 0x7632) + bias, __byte_perm(n1, m1, 0x7632) + bias, 0x7531);
}

/* ---- a thread's pairs ------------------------------------------------------------------------------------------- */

/* A thread has PAIRS pairs of its band one below the other, less at the band's end. */
struct mk_mine {
    uint32_t first; /* of the band's pairs */
    int pairs;
    int last;        /* which of them is the band's last one, or none of 0 .. pairs - 1 */
    int odd;         /* which one lacks its second row, or -1 */
    bool edge;       /* the band's first or last pair is among them */
    int left, right; /* columns to those beside it on the torus */
};

static __device__ inline mk_mine lg_mk_mine(const mk_band &band, uint32_t W, int most)
{
    const uint32_t j = threadIdx.x, first = threadIdx.y * (uint32_t)most;
    const int left = (int)(band.end - band.first) - (int)first, pairs = left < most ? (left > 0 ? left : 0) : most;
    return {first,
            pairs,
            left - 1,
            (band.rows & 1u) && left <= most ? left - 1 : -1,
            pairs > 0 && (first == 0 || left <= most),
            j == 0 ? (int)W - 1 : -1,
            j + 1u == W ? 1 - (int)W : 1};
}

static __device__ inline int lg_mk_beside(const mk_mine &mine, int column)
{
    return column < 0 ? mine.left : (column > 0 ? mine.right : 0);
}

/* ---- planes of words -------------------------------------------------------------------------------------------- */

/* A band's excitations: columns of words, pairs -1 .. pairs, of which the first and last mirror the torus or the neighbouring
 * bands. Columns are an odd number of words apart, so that threads side by side use different banks while a thread's own
 * pairs, one below the other, are constant offsets. */
static __host__ __device__ inline uint32_t lg_mk_pitch(uint32_t rows)
{
    return (rows + 2u) | 1u;
}

/* A species' move. What it brings to a thread's pairs k = 0, 1, .. are the words w_k, w_k+1, one below the other, as one, w_k
 * lower, shifted right: for a move from above w_0 is the pair above and the shift 16 bits, since row 0 reads row 1 above it and
 * row 1 row 0 of its own pair; from below w_0 is its own pair. */
struct alignas(16) mk_jump {
    int row, column; /* T(E)(i, j) = E(i + row, j + column) */
    uint32_t shift, unused;
};

static __device__ inline mk_jump lg_mk_jump(int row, int column)
{
    return {row, column, row == 0 ? 0u : 16u, 0u};
}

template <int PAIRS>
static __device__ inline void lg_mk_arrivals(const mk_mine &mine, const uint32_t *own, uint32_t pitch, const mk_jump &a,
                                             const mk_jump &b, uint32_t *arrivals)
{
    const uint32_t *of_a = own + lg_mk_beside(mine, a.column) * (int)pitch - (a.row < 0 ? 1 : 0),
                   *of_b = own + lg_mk_beside(mine, b.column) * (int)pitch - (b.row < 0 ? 1 : 0);
    uint32_t from_a = of_a[0], from_b = of_b[0];
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        const uint32_t next_a = of_a[k + 1], next_b = of_b[k + 1];
        arrivals[k] = (__funnelshift_r(from_a, next_a, a.shift) & 0x00ff00ffu) |
                      (__funnelshift_r(from_b, next_b, b.shift) & 0xff00ff00u);
        from_a = next_a;
        from_b = next_b;
    }
    /* A lattice of odd height ends in half a pair: below its row 0 comes row 0 of the word below, and nothing in its row 1. */
    if (LG_SELDOM(mine.odd >= 0)) {
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            if (k != mine.odd) continue;
            uint32_t w = arrivals[k] & 0xffffu;
            if (a.row > 0) w = (w & 0xff00u) | (of_a[k + 1] & 0x00ffu);
            if (b.row > 0) w = (w & 0x00ffu) | (of_b[k + 1] & 0xff00u);
            arrivals[k] = w;
        }
    }
}

/* ---- reaction --------------------------------------------------------------------------------------------------- */

/* A channel's constants. With bytes (n, m, N - n, N - m), selectors pick x and y of lg_mk_count, and count 2^shift is
 * x y (slope y + offset): slope and offset are 2^shift and -2^shift where the count has the factor y - 1, else 0 and 2^shift. */
struct alignas(16) mk_channel {
    uint32_t factor, slope, offset, y;
};
struct alignas(8) mk_effect {
    uint32_t x;     /* selector; in byte 2 the channel's place in the tape byte */
    uint32_t delta; /* of the first row's counts where it fires */
};

static __device__ inline uint32_t lg_mk_select_x(uint32_t channel)
{
    return (channel & 1u) ? 0u : 2u;
}
static __device__ inline uint32_t lg_mk_select_y(uint32_t channel)
{
    return 0x133120u >> 4u * channel & 7u;
}
static __device__ inline uint32_t lg_mk_delta(uint32_t channel)
{
    const uint32_t one = channel < 4u ? 1u : 256u;
    return (channel & 1u) ? 0u - one : one;
}

static __device__ inline void lg_mk_tabulate(const lg_mk_fit *fit, uint32_t c, mk_channel *channel, mk_effect *effect)
{
    const uint32_t scale = 1u << fit->shift[c >> 1];
    *channel = {fit->factor[c >> 1], c < 2u ? scale : 0u, c < 2u ? 0u - scale : scale, 0x4440u | lg_mk_select_y(c)};
    *effect = {0x4440u | lg_mk_select_x(c) | c << (16u + LG_MK_TAPE_CHANNEL), lg_mk_delta(c)};
}

struct alignas(16) mk_forward_head {
    lg_mk_fit fit;
    mk_channel channel[LG_MK_CHANNELS];
    mk_effect effect[LG_MK_CHANNELS];
    mk_jump jump[2][32][2]; /* by batch parity, step and species */
    lg_u64 total[4];
};

/* Whether a count can reach p >= 1; if not, the comparison of lg_mk_fires with `certain` is left out. (n - 1) n (N - n) is at
 * most (N - 1) N^2 / 4. */
static __device__ inline bool lg_mk_may_be_certain(const lg_mk_fit *fit)
{
    const uint32_t N = fit->capacity;
    return fit->certain[0] <= N * N * (N - 1u) / 4u || fit->certain[1] <= N * N || fit->certain[2] <= N * N;
}

/* The reactions of the site in row 0 or 1 of a pair whose counts are `before`: lg_mk_fires but for counts that make it
 * certain, and its effect; adds to the pair's tape word. */
static __device__ inline void lg_mk_react(const mk_forward_head *head, uint32_t word, uint32_t before, uint32_t row,
                                          uint32_t *counts, uint32_t *code)
{
    const uint32_t N = head->fit.capacity, bytes = __byte_perm(before, N * 0x01010101u - before, row ? 0x7632 : 0x5410);
    const uint64_t wide = (uint64_t)word * 6u; /* lg_mk_channel and, halved, lg_mk_u31 */
    const uint32_t c = (uint32_t)(wide >> 32), u31 = (uint32_t)wide >> 1;
    const mk_channel channel = head->channel[c];
    const mk_effect effect = head->effect[c];
    const uint32_t x = lg_select_bytes(bytes, 0u, effect.x), y = lg_select_bytes(bytes, 0u, channel.y);
    const uint32_t count = x * y * (channel.slope * y + channel.offset);
    const bool fired = u31 < (uint32_t)(((uint64_t)count * channel.factor + 0x80000000u) >> 32);
    if (fired) *counts += effect.delta << 16u * row;
    *code += (effect.x >> 16) << 8u * row;
    if (fired) *code += 32u << 8u * row;
}

/* The same for any counts, by the rules as they stand. */
static __device__ inline void lg_mk_react_certain(const lg_mk_fit *fit, uint32_t word, uint32_t before, uint32_t row,
                                                  uint32_t *counts, uint32_t *code)
{
    const uint32_t n = before >> 16u * row & 255u, m = before >> (16u * row + 8u) & 255u, c = lg_mk_channel(word),
                   fired = lg_mk_fires(fit, c, lg_mk_u31(word), lg_mk_count(c, n, m, fit->capacity));
    *counts += (fired ? lg_mk_delta(c) : 0u) << 16u * row;
    *code += (c << LG_MK_TAPE_CHANNEL | fired << 5) << 8u * row;
}

/* Tape word of a pair, but for its reactions: bits 0, 8, 16, 24 of the excitations go to bits 0, 1, 8, 9. */
static __device__ inline uint32_t lg_mk_tape_excited(uint32_t word)
{
    return __byte_perm(word | word >> 7, 0u, 0x4420);
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* dy/dp of a draw in the backward kernels: 1 (ste); of one draw of the Gumbel noise (gs); the mean over several, of the reactions
 * or the directions or both (gr). */
enum mk_mode { MK_HARD, MK_SOFT, MK_AVERAGE };

/* A reaction's adjoint with x, y, z = y - 1 or 1 of lg_mk_count_gradient, I = x y z, s = +1 for even channels and -1 for odd:
 *   s dI/dn = -(y z - c x (y + z)), c = 1 where I has the factor y - 1, else 0;   s dI/dm = +x (channels 2, 3), -x (4, 5), 0
 * since x is N - n for even channels and n for odd ones. */
struct alignas(16) mk_slope {
    float rate;  /* -rate */
    float cross; /* rate, -rate or 0: of s dI/dm */
    float unit;  /* s d rate / d k */
    float cubic; /* c */
};
struct alignas(16) mk_pick {
    uint32_t x, y; /* selectors that make floats: 2^23 + a byte */
    uint32_t delta;
    float offset; /* z = c y + offset */
};

/* What each pattern of excitations of a row's three sites j - 1, j, j + 1 (bits 0, 1, 2) adds to sum_q w_q E_q of the site
 * in the row below it, in the row itself and in the row above it. */
struct alignas(16) mk_sums {
    float below, own, above, unused;
};

struct alignas(16) mk_back {
    mk_jump jump;
    union {
        mk_move move; /* on the way to: */
        mk_sums sums[8];
    };
};

struct alignas(16) mk_backward_head {
    lg_mk_fit fit;
    mk_slope slope[LG_MK_CHANNELS];
    mk_pick pick[LG_MK_CHANNELS];
    mk_back back[2][32][2]; /* by batch parity, step and species */
    double total[LG_MK_PARAMS];
};

static __device__ inline void lg_mk_tabulate_back(const lg_mk_fit *fit, uint32_t c, mk_slope *slope, mk_pick *pick)
{
    const float rate = fit->rate[c >> 1], unit = fit->unit_rate[c >> 1];
    *slope = {-rate, c < 2u ? 0.0f : (c < 4u ? rate : -rate), (c & 1u) ? -unit : unit, c < 2u ? 1.0f : 0.0f};
    *pick = {0x7440u | lg_mk_select_x(c), 0x7440u | lg_mk_select_y(c), lg_mk_delta(c), c < 2u ? -1.0f : 1.0f};
}

template <bool AVERAGE>
static __device__ inline void lg_mk_back(const lg_mk_fit *fit, lg_key key, uint32_t fit_id, uint32_t replicate,
                                         uint32_t step, int species, mk_back *back)
{
    lg_mk_weights<AVERAGE>(fit, key, fit_id, replicate, step, species, &back->move);
    back->jump = lg_mk_jump(back->move.row, back->move.column);
    float w[LG_MK_DIRECTIONS];
    LG_UNROLL
    for (int q = 0; q < LG_MK_DIRECTIONS; q++) w[q] = back->move.w[q];
    LG_UNROLL
    for (uint32_t p = 0; p < 8u; p++) {
        float t[3];
        LG_UNROLL
        for (int r = 0; r < 3; r++)
            t[r] = ((p & 1u) ? w[3 * r] : 0.0f) + ((p & 2u) ? w[3 * r + 1] : 0.0f) + ((p & 4u) ? w[3 * r + 2] : 0.0f);
        back->sums[p] = {t[0], t[1], t[2], 0.0f};
    }
}

/* The excitations of a tape word as a word of bytes: the inverse of lg_mk_tape_excited. */
static __device__ inline uint32_t lg_mk_excited_word(uint32_t codes)
{
    const uint32_t twice = __byte_perm(codes, 0u, 0x1100);
    return (twice & 0x00010001u) | (twice >> 1 & 0x01000100u);
}

/* A byte as a float, chosen by a selector of mk_pick: 0x4b0000bb is 2^23 + bb. */
static __device__ inline float lg_mk_byte_float(uint32_t bytes, uint32_t selector)
{
    return __uint_as_float(lg_select_bytes(bytes, 0x4b000000u, selector)) - 8388608.0f;
}

/* Undoes the reactions of a pair: the counts before them. */
static __device__ inline uint32_t lg_mk_unfire(const mk_backward_head *head, uint32_t codes, uint32_t counts)
{
    if (codes & 0x0020u) counts -= head->pick[codes >> 2 & 7u].delta;
    if (codes & 0x2000u) counts -= head->pick[codes >> 10 & 7u].delta << 16;
    return counts;
}

/* Weight of the reaction of the site in row 0 or 1 of a pair, `counts` before it (estimator gs; g0, g1: its Gumbel words). */
static __device__ inline float lg_mk_soft_weight(const lg_mk_fit *fit, uint32_t codes, uint32_t counts, uint32_t row,
                                                 uint32_t g0, uint32_t g1)
{
    const uint32_t c = codes >> (8u * row + LG_MK_TAPE_CHANNEL) & 7u, fired = codes >> (8u * row + 5u) & 1u,
                   count = lg_mk_count(c, counts >> 16u * row & 255u, counts >> (16u * row + 8u) & 255u, fit->capacity);
    const double p = fit->exact[c >> 1] * count;
    return lg_gs_weight((float)p, (float)(1.0 - p), (int)fired, lg_exponential(g0), lg_exponential(g1), fit->inv_tau);
}

/* That reaction's adjoint: adds to dL/dk and carries lam[2] (A, B) to the state before. */
static __device__ inline void lg_mk_adjoint(const mk_backward_head *head, uint32_t codes, uint32_t counts, uint32_t row,
                                            float weight, float *lam, float *k_sum)
{
    const uint32_t c = codes >> (8u * row + LG_MK_TAPE_CHANNEL) & 7u,
                   bytes = __byte_perm(counts, head->fit.capacity * 0x01010101u - counts, row ? 0x7632 : 0x5410);
    const mk_slope slope = head->slope[c];
    const mk_pick pick = head->pick[c];
    const float x = lg_mk_byte_float(bytes, pick.x), y = lg_mk_byte_float(bytes, pick.y),
                z = fmaf(slope.cubic, y, pick.offset), yz = y * z, count = x * yz,
                dn = fmaf(-slope.cubic * x, y + z, yz);
    const float l = (c > 3u ? lam[1] : lam[0]) * weight;
    const float dk = l * count * slope.unit;
    k_sum[0] += c < 2u ? dk : 0.0f;
    k_sum[1] += c >= 2u && c < 4u ? dk : 0.0f;
    k_sum[2] += c >= 4u ? dk : 0.0f;
    lam[0] = fmaf(l * slope.rate, dn, lam[0]);
    lam[1] = fmaf(l * slope.cross, x, lam[1]);
}

/* sum_q w_q E_q of both species at a thread's 2 PAIRS sites, times their adjoints, added to d_sum. */
template <int PAIRS>
static __device__ inline void lg_mk_direction_sums(const mk_mine &mine, const uint32_t *own, uint32_t pitch,
                                                   const mk_sums *a, const mk_sums *b, const float (*lam)[4],
                                                   float *d_sum)
{
    const uint32_t *left = own + mine.left * (int)pitch, *right = own + mine.right * (int)pitch;
    uint32_t
        patterns[PAIRS + 2]; /* of the pair above, the thread's own and the pair below; 16 times, to address a table */
    LG_UNROLL
    for (int k = 0; k < PAIRS + 2; k++) patterns[k] = left[k - 1] * 16u + own[k - 1] * 32u + right[k - 1] * 64u;
    if (LG_SELDOM(mine.odd >= 0)) { /* below half a pair's row 0 comes row 0 of the word below */
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++)
            if (k == mine.odd) patterns[k + 1] = (patterns[k + 1] & 0xffffu) | patterns[k + 2] << 16;
    }
    LG_UNROLL
    for (uint32_t species = 0; species < 2u; species++) {
        const unsigned char *table = (const unsigned char *)(species ? b : a);
        float from_above = ((const mk_sums *)(table + (patterns[0] >> (16u + 8u * species) & 255u)))->below;
        mk_sums here = *(const mk_sums *)(table + (patterns[1] >> 8u * species & 255u));
        LG_UNROLL
        for (int i = 0; i < 2 * PAIRS; i++) { /* rows */
            const uint32_t word = patterns[(i + 1) / 2 + 1], shift = (i % 2 ? 0u : 16u) + 8u * species;
            const mk_sums next = *(const mk_sums *)(table + (word >> shift & 255u));
            d_sum[species] =
                fmaf(lam[i / 2][2 * (i % 2) + (int)species], from_above + here.own + next.above, d_sum[species]);
            from_above = here.below;
            here = next;
        }
    }
}

#endif
