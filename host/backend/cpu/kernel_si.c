/* SI on the CPU: 64 sites a word, neighbour counts in bit slices, noise only where a draw can matter: blocks of
 * four sites with an unaware site next to an aware one are gathered into a list, and the list goes through the
 * generator in lanes. See rules/si.h for the equations and the noise. Compiled once per instruction set. */
#include "backend/cpu/kernel_si.h"
#include "backend/cpu/philox_lanes.h"

/* ---- bytes and bits ---------------------------------------------------------------------------------------------- */

/* Eight sites at once: byte k of a little-endian word is bit k of the result, and back. */
static uint64_t eight_bits(const uint8_t *bytes)
{
    uint64_t v = 0;
    for (int k = 0; k < 8; k++) v |= (uint64_t)(bytes[k] & 1u) << 8 * k;
    return v * 0x0102040810204080u >> 56;
}

static void eight_bytes(uint64_t bits, uint8_t *bytes)
{
    const uint64_t spread = (bits & 0xffu) * 0x0101010101010101u & 0x8040201008040201u;
    const uint64_t v = (spread + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
    for (int k = 0; k < 8; k++) bytes[k] = (uint8_t)(v >> 8 * k);
}

static void pack(const uint8_t *bytes, uint32_t H, uint32_t W, uint64_t *bits)
{
    const size_t words = lg_si_words(W);
    memset(bits, 0, H * words * sizeof *bits);
    for (uint32_t i = 0; i < H; i++) {
        const uint8_t *row = bytes + (size_t)i * W;
        uint64_t *out = bits + i * words;
        uint32_t j = 0;
        for (; j + 8 <= W; j += 8) out[j / 64] |= eight_bits(row + j) << j % 64;
        for (; j < W; j++) out[j / 64] |= (uint64_t)(row[j] & 1u) << j % 64;
    }
}

static void unpack(const uint64_t *bits, uint32_t H, uint32_t W, uint8_t *bytes)
{
    const size_t words = lg_si_words(W);
    for (uint32_t i = 0; i < H; i++) {
        const uint64_t *row = bits + i * words;
        uint8_t *out = bytes + (size_t)i * W;
        uint32_t j = 0;
        for (; j + 8 <= W; j += 8) eight_bytes(row[j / 64] >> j % 64, out + j);
        for (; j < W; j++) out[j] = (uint8_t)(row[j / 64] >> j % 64 & 1u);
    }
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

enum { LIST = 512 }; /* a multiple of LG_PHILOX_LANES */

/* Blocks of four sites that need noise. planes: bits 4 k .. 4 k + 3 are bit k of the four sites' N, 0 where a site
 * is aware already. at: which four bits of the packed lattice the sites are. */
typedef struct block_list {
    uint32_t size;
    uint32_t block[LIST], planes[LIST], at[LIST], fired[LIST];
} block_list;

/* Which of four sites fire. N -> p is increasing, so site k fires where N exceeds the number of thresholds at or
 * below u: no table is looked up. below[n] = threshold[n] - 1, so that signed comparisons do. */
static void fire(const int32_t *restrict below, const lg_lane_blocks *restrict noise, const uint32_t *restrict planes,
                 uint32_t *restrict fired)
{
    uint32_t out[LG_PHILOX_LANES] = {0};
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        for (int l = 0; l < LG_PHILOX_LANES; l++) {
            const int32_t u = (int32_t)lg_u31(noise->w[k][l]);
            uint32_t level = 0;
#pragma GCC unroll 8
            for (int n = 1; n <= LG_SI_NEIGHBOURS; n++) level += u > below[n];
            const uint32_t p = planes[l] >> k;
            const uint32_t N = (p & 1u) | (p >> 3 & 2u) | (p >> 6 & 4u) | (p >> 9 & 8u);
            out[l] |= (uint32_t)(N > level) << k;
        }
    memcpy(fired, out, sizeof out);
}

/* Draws for the whole list, sets the sites that fire in y, and empties the list. Returns the number of fired sites. */
static uint64_t flush(block_list *list, const lg_si_fit *fit, lg_noise_id id, uint32_t step, uint64_t *y)
{
    uint32_t replicate[LG_PHILOX_LANES];
    int32_t below[LG_SI_NEIGHBOURS + 1];
    uint64_t count = 0;
    lg_lane_blocks noise;
    for (int n = 0; n <= LG_SI_NEIGHBOURS; n++) below[n] = (int32_t)(fit->threshold[n] - 1u);
    for (int l = 0; l < LG_PHILOX_LANES; l++) replicate[l] = id.replicate;
    for (uint32_t i = list->size; i % LG_PHILOX_LANES; i++) list->block[i] = list->planes[i] = 0;
    for (uint32_t i = 0; i < list->size; i += LG_PHILOX_LANES) {
        lg_draw_lanes(id.key, LG_STREAM_SI_SITE, id.fit, replicate, step, list->block + i, &noise);
        fire(below, &noise, list->planes + i, list->fired + i);
    }
    for (uint32_t i = 0; i < list->size; i++) {
        const uint64_t f = list->fired[i];
        y[list->at[i] >> 4] |= f << 4 * (list->at[i] & 15u);
        count += (uint64_t)__builtin_popcountll(f);
    }
    list->size = 0;
    return count;
}

/* Swaps the bit groups at odd places of a with those at even places of b. */
static inline void swap_groups(uint64_t *a, uint64_t *b, int shift, uint64_t mask)
{
    const uint64_t d = (*a >> shift ^ *b) & mask;
    *a ^= d << shift;
    *b ^= d;
}

/* Turns a tile's site counts into block counts, in place: any[t] gets bit 4 k set where block k of the word needs
 * noise, and the four planes of block k become 16-bit number k / 4 of n[k % 4][t] (4 x 4 transpositions of groups
 * of four bits). */
static void group_blocks(size_t count, uint64_t *restrict any, uint64_t *restrict n0, uint64_t *restrict n1,
                         uint64_t *restrict n2, uint64_t *restrict n3)
{
    for (size_t t = 0; t < count; t++) {
        const uint64_t pairs = any[t] | any[t] >> 1;
        uint64_t a = n0[t], b = n1[t], c = n2[t], d = n3[t];
        any[t] = (pairs | pairs >> 2) & 0x1111111111111111u;
        swap_groups(&a, &b, 4, 0x0f0f0f0f0f0f0f0fu);
        swap_groups(&c, &d, 4, 0x0f0f0f0f0f0f0f0fu);
        swap_groups(&a, &c, 8, 0x00ff00ff00ff00ffu);
        swap_groups(&b, &d, 8, 0x00ff00ff00ff00ffu);
        n0[t] = a;
        n1[t] = b;
        n2[t] = c;
        n3[t] = d;
    }
}

/* Adds the blocks of word t that need noise. block, at: those of the word's first four sites. */
static void list_word(block_list *list, const lg_si_tile *tile, size_t t, uint32_t block, uint32_t at)
{
    uint32_t size = list->size;
    for (uint64_t left = tile->any[t]; left; left &= left - 1) {
        const uint32_t s = (uint32_t)__builtin_ctzll(left), k = s >> 2;
        list->block[size] = block + k;
        list->at[size] = at + k;
        list->planes[size] = (uint16_t)(tile->n[k & 3u][t] >> (s & 48u));
        size++;
    }
    list->size = size;
}

static uint64_t step(const lg_si_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, uint32_t r0,
                     uint32_t r1, const uint64_t *x, uint64_t *y, void *scratch)
{
    const uint32_t words = lg_si_words(W);
    const lg_si_tile tile = lg_si_tile_in(scratch, W);
    uint64_t count = 0;
    block_list list;
    list.size = 0;
    memcpy(y + (size_t)r0 * words, x + (size_t)r0 * words, (size_t)(r1 - r0) * words * sizeof *y);
    for (uint32_t row = r0; row < r1; row += tile.rows) {
        const uint32_t rows = r1 - row < tile.rows ? r1 - row : tile.rows;
        if (!lg_si_count_tile(&tile, H, W, row, rows, x)) continue;
        group_blocks((size_t)rows * words, tile.any, tile.n[0], tile.n[1], tile.n[2], tile.n[3]);
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t w = 0; w < words; w++) {
                const size_t t = (size_t)i * words + w;
                if (!tile.any[t]) continue;
                if (list.size > LIST - 16) count += flush(&list, fit, id, step, y);
                list_word(&list, &tile, t, lg_si_block(row + i, 64 * w, W), (uint32_t)((row * (size_t)words + t) * 16));
            }
    }
    return count + flush(&list, fit, id, step, y);
}

/* ---- losses of pairs --------------------------------------------------------------------------------------------- */

/* Adds one word's sites. any: the unaware ones with N > 0, n: their counts. */
static void count_pairs(lg_si_sliced n, uint64_t any, uint64_t unaware, uint64_t observed, uint64_t counts[2][9])
{
    uint64_t m[LG_SI_NEIGHBOURS + 1];
    counts[0][0] += (uint64_t)__builtin_popcountll(unaware & ~any & ~observed);
    counts[1][0] += (uint64_t)__builtin_popcountll(unaware & ~any & observed);
    if (!any) return;
    lg_si_masks(n, m);
    for (int k = 1; k <= LG_SI_NEIGHBOURS; k++) {
        counts[0][k] += (uint64_t)__builtin_popcountll(m[k] & any & ~observed);
        counts[1][k] += (uint64_t)__builtin_popcountll(m[k] & any & observed);
    }
}

enum { WIDEST = 64 * LG_SI_TILE_WORDS, STACK_TILE = (3 + LG_SI_TILE_PLANES) * LG_SI_TILE_WORDS + 6 * LG_SI_TILE_WORDS };

static void pair_counts(uint32_t H, uint32_t W, uint32_t r0, uint32_t r1, const uint64_t *x, const uint64_t *observed,
                        uint64_t counts[2][9])
{
    const uint32_t words = lg_si_words(W);
    uint64_t scratch[STACK_TILE]; /* enough up to W = WIDEST */
    const lg_si_tile tile = lg_si_tile_in(scratch, W <= WIDEST ? W : 1);
    for (uint32_t row = r0; row < r1; row += W <= WIDEST ? tile.rows : 1) {
        const uint32_t rows = W > WIDEST ? 1 : (r1 - row < tile.rows ? r1 - row : tile.rows);
        const bool counted = W <= WIDEST && lg_si_count_tile(&tile, H, W, row, rows, x);
        for (size_t t = 0; t < (size_t)rows * words; t++) {
            const size_t at = (size_t)row * words + t;
            const uint64_t unaware = ~x[at] & lg_si_sites_mask(W, (uint32_t)(at % words));
            if (!unaware) continue;
            lg_si_sliced n = {0, 0, 0, 0};
            if (counted) n = lg_si_tile_count(&tile, t);
            else if (W > WIDEST) n = lg_si_count_word(H, W, row, (uint32_t)t, x);
            count_pairs(n, (n.n0 | n.n1 | n.n2 | n.n3) & unaware, unaware, observed[at], counts);
        }
    }
}

static uint64_t differ(const uint64_t *a, const uint64_t *b, size_t words)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < words; i++) sum += (uint64_t)__builtin_popcountll(a[i] ^ b[i]);
    return sum;
}

extern const lg_si_kernels LG_ISA_NAME(lg_si_table);
const lg_si_kernels LG_ISA_NAME(lg_si_table) = {
    .pack = pack,
    .unpack = unpack,
    .step = step,
    .pair_gradient = LG_ISA_NAME(lg_si_pair_gradient),
    .pair_counts = pair_counts,
    .differ = differ,
    .backward = LG_ISA_NAME(lg_si_backward),
};
