/* Neighbour counts of packed SI lattices, for the SI kernels. A count is four words n[0..3]: bit j of n[k] is bit k
 * of the number of aware neighbours of site j; bits past the last site are 0. */
#ifndef LG_BACKEND_CPU_KERNEL_SI_H
#define LG_BACKEND_CPU_KERNEL_SI_H

#include "backend/cpu/cpu.h"

#include <string.h>

/* ---- one row ----------------------------------------------------------------------------------------------------- */

/* Sites of word w of a row. */
static inline uint64_t lg_si_sites_mask(uint32_t W, uint32_t w)
{
    const uint32_t sites = W - 64 * w;
    return sites >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << sites) - 1;
}

/* Word w of a periodic row moved by one site: bit j is site j - 1, or site j + 1. */
static inline uint64_t lg_si_left(const uint64_t *row, uint32_t W, uint32_t w)
{
    const uint64_t in = w ? row[w - 1] >> 63 : row[(W - 1) / 64] >> (W - 1) % 64;
    return (row[w] << 1 | in) & lg_si_sites_mask(W, w);
}

static inline uint64_t lg_si_right(const uint64_t *row, uint32_t W, uint32_t w)
{
    const uint32_t last = (W - 1) / 64;
    return row[w] >> 1 | (w < last ? row[w + 1] << 63 : (row[0] & 1u) << (W - 1) % 64);
}

static inline lg_si_sliced lg_si_count_word(uint32_t H, uint32_t W, uint32_t i, uint32_t w, const uint64_t *x)
{
    const size_t words = lg_si_words(W);
    const uint64_t *own = x + i * words, *above = i ? own - words : x + (H - 1) * words,
                   *below = i + 1 < H ? own + words : x;
    return lg_si_count(lg_si_left(above, W, w), above[w], lg_si_right(above, W, w), lg_si_left(own, W, w),
                       lg_si_right(own, W, w), lg_si_left(below, W, w), below[w], lg_si_right(below, W, w));
}

/* m[n]: the sites whose count is n. Includes bits past the last site in m[0]. */
static inline void lg_si_masks(lg_si_sliced c, uint64_t m[LG_SI_NEIGHBOURS + 1])
{
    const uint64_t low = ~c.n2 & ~c.n3, high = c.n2;
    const uint64_t is0 = ~c.n0 & ~c.n1, is1 = c.n0 & ~c.n1, is2 = ~c.n0 & c.n1, is3 = c.n0 & c.n1;
    m[0] = is0 & low;
    m[1] = is1 & low;
    m[2] = is2 & low;
    m[3] = is3 & low;
    m[4] = is0 & high;
    m[5] = is1 & high;
    m[6] = is2 & high;
    m[7] = is3 & high;
    m[8] = c.n3;
}

/* ---- several rows at once ---------------------------------------------------------------------------------------- */

/* Rows in the scratch memory: the lattice's own words and the shifted ones with a row above and below, then the
 * counts at unaware sites and where they are not 0. Flat loops over a tile run in full vectors even where a row is
 * one word. */
typedef struct lg_si_tile {
    uint32_t rows;                /* at most */
    uint64_t *own, *left, *right; /* [rows + 2][words] */
    uint64_t *n[4], *any;         /* [rows][words]; 0 at aware sites; any = n[0] | n[1] | n[2] | n[3] */
} lg_si_tile;

enum { LG_SI_TILE_WORDS = 128, LG_SI_TILE_PLANES = 5 };

static inline uint32_t lg_si_tile_rows(uint32_t W)
{
    const uint32_t words = lg_si_words(W);
    return words < LG_SI_TILE_WORDS ? LG_SI_TILE_WORDS / words : 1;
}

static inline size_t lg_si_tile_words(uint32_t W)
{
    const size_t rows = lg_si_tile_rows(W);
    return (3 * (rows + 2) + LG_SI_TILE_PLANES * rows) * lg_si_words(W);
}

static inline lg_si_tile lg_si_tile_in(void *scratch, uint32_t W)
{
    const size_t rows = lg_si_tile_rows(W), words = lg_si_words(W);
    uint64_t *at = scratch;
    lg_si_tile t = {.rows = (uint32_t)rows,
                    .own = at,
                    .left = at + (rows + 2) * words,
                    .right = at + 2 * (rows + 2) * words};
    at += 3 * (rows + 2) * words;
    for (size_t k = 0; k < 4; k++) t.n[k] = at + k * rows * words;
    t.any = at + 4 * rows * words;
    return t;
}

static inline lg_si_sliced lg_si_tile_count(const lg_si_tile *tile, size_t t)
{
    const lg_si_sliced n = {tile->n[0][t], tile->n[1][t], tile->n[2][t], tile->n[3][t]};
    return n;
}

static inline void lg_si_count_flat(size_t words, size_t count, const uint64_t *restrict own,
                                    const uint64_t *restrict left, const uint64_t *restrict right,
                                    uint64_t *restrict n0, uint64_t *restrict n1, uint64_t *restrict n2,
                                    uint64_t *restrict n3, uint64_t *restrict any)
{
    for (size_t t = 0; t < count; t++) {
        const size_t c = t + words, b = c + words;
        const lg_si_sliced s = lg_si_count(left[t], own[t], right[t], left[c], right[c], left[b], own[b], right[b]);
        n0[t] = s.n0 & ~own[c];
        n1[t] = s.n1 & ~own[c];
        n2[t] = s.n2 & ~own[c];
        n3[t] = s.n3 & ~own[c];
        any[t] = (s.n0 | s.n1 | s.n2 | s.n3) & ~own[c];
    }
}

/* Shifted copies of rows that are one word each. */
static inline void lg_si_shift_words(uint32_t W, size_t count, const uint64_t *restrict own, uint64_t *restrict left,
                                     uint64_t *restrict right)
{
    const uint64_t mask = lg_si_sites_mask(W, 0);
    for (size_t t = 0; t < count; t++) {
        left[t] = (own[t] << 1 | own[t] >> (W - 1)) & mask;
        right[t] = own[t] >> 1 | (own[t] & 1u) << (W - 1);
    }
}

/* Shifted copies of longer rows: as if all were one row, then the rows' ends. */
static inline void lg_si_shift_rows(uint32_t W, size_t rows, const uint64_t *restrict own, uint64_t *restrict left,
                                    uint64_t *restrict right)
{
    const size_t words = lg_si_words(W), count = rows * words;
    for (size_t t = 1; t < count; t++) left[t] = own[t] << 1 | own[t - 1] >> 63;
    for (size_t t = 0; t + 1 < count; t++) right[t] = own[t] >> 1 | own[t + 1] << 63;
    for (size_t first = 0; first < count; first += words) {
        const size_t last = first + words - 1;
        left[first] = lg_si_left(own + first, W, 0);
        left[last] = lg_si_left(own + first, W, (uint32_t)words - 1);
        right[last] = lg_si_right(own + first, W, (uint32_t)words - 1);
    }
}

/* Counts of `rows` rows from row0; false, and nothing counted, where no site in reach is aware. */
static inline bool lg_si_count_tile(const lg_si_tile *tile, uint32_t H, uint32_t W, uint32_t row0, uint32_t rows,
                                    const uint64_t *x)
{
    const size_t words = lg_si_words(W), above = row0 ? row0 - 1 : H - 1, below = row0 + rows < H ? row0 + rows : 0;
    uint64_t some = 0;
    memcpy(tile->own, x + above * words, words * sizeof *x);
    memcpy(tile->own + words, x + row0 * words, rows * words * sizeof *x);
    memcpy(tile->own + (rows + 1) * words, x + below * words, words * sizeof *x);
    for (size_t t = 0; t < (rows + 2) * words; t++) some |= tile->own[t];
    if (!some) return false;
    if (words == 1) lg_si_shift_words(W, rows + 2, tile->own, tile->left, tile->right);
    else lg_si_shift_rows(W, rows + 2, tile->own, tile->left, tile->right);
    lg_si_count_flat(words, rows * words, tile->own, tile->left, tile->right, tile->n[0], tile->n[1], tile->n[2],
                     tile->n[3], tile->any);
    return true;
}

/* ---- kernel_si_gradient.c ---------------------------------------------------------------------------------------- */

void LG_ISA_NAME(lg_si_pair_gradient)(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step,
                                      uint32_t H, uint32_t W, uint32_t r0, uint32_t r1, const uint64_t *x,
                                      const uint64_t *y, const uint64_t *observed, int kind, double scale,
                                      void *scratch, double *out);
void LG_ISA_NAME(lg_si_backward)(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step,
                                 uint32_t H, uint32_t W, const uint64_t *x, float *adj, float *work, double *grad);

#endif
