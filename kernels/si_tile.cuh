/* What the forward and the backward pass of large SI lattices share (si_large.cu, si_large_back.cu): the tile of a block and
 * the region around it.
 *
 * A block owns a tile of 32 rows and 4 words (128 columns) of a lattice. A step looks one site far and noise is a function of
 * the site, so a block that also computes what is within S - s - 1 sites of its tile in step s = 0 ... S - 1 takes S steps
 * without hearing of its neighbours. The region is held in shared memory in words of the lattice itself, so that groups
 * of four sites keep their random blocks where the torus closes. One word beyond each side has enough columns, or two
 * where the last word of a row has only a few. */
#ifndef LG_KERNELS_SI_TILE_CUH
#define LG_KERNELS_SI_TILE_CUH

#include "si.cuh"

enum {
    SI_TILE_ROWS = 32,
    SI_TILE_WORDS = 4,
    SI_TILE_STEPS = 4,                /* of a launch, at most */
    SI_TILE_RING = SI_TILE_STEPS + 1, /* rows above and below a tile; the backward pass looks one further */
    SI_TILE_HALO = 2,                 /* words left and right of it, at most */
    SI_TILE_REGION = SI_TILE_ROWS + 2 * SI_TILE_RING,
    SI_TILE_STRIDE = SI_TILE_WORDS + 2 * SI_TILE_HALO,
    SI_TILE_PLANES = 2 * SI_TILE_REGION * SI_TILE_STRIDE, /* words of the forward pass' two */
    SI_TILE_WARPS = SI_THREADS / 32,
    SI_TILE_BUSY = 1 << 22 /* sites in flight whose step lasts some four launches */
};
static_assert(SI_TILE_STRIDE == 8 && SI_TILE_WORDS * 8 == 32,
              "a warp has a row of a tile; a region's row has eight words");

struct alignas(16) si_tile_head {
    lg_si_fit fit;
    uint32_t aware[SI_TILE_STEPS]; /* sites of the tile after each step */
    uint32_t row[SI_TILE_REGION];  /* of the lattice, of each row of the region */
    uint32_t word[SI_TILE_STRIDE]; /* likewise words */
    int column[SI_TILE_STRIDE];    /* of a word's first site, counted from the tile's */
};

/* Which tile of which lattice a block has. Row r and word q of the region are the tile's from SI_TILE_RING and SI_TILE_HALO
 * on. */
struct si_tile {
    uint32_t fr, f, replicate, fit_id;
    uint32_t i0, w0, rows, words; /* first row and word; how many, less at the lattice's end */
    uint32_t columns, row_words;  /* of the tile; words of a lattice's row */
    uint32_t halo;                /* words of the region on each side */
};

static __host__ __device__ inline uint32_t si_tiles(uint32_t H, uint32_t W)
{
    const uint32_t words = (W + 31u) / 32u;
    return (H + SI_TILE_ROWS - 1u) / SI_TILE_ROWS * ((words + SI_TILE_WORDS - 1u) / SI_TILE_WORDS);
}

static __device__ inline si_tile si_tile_of(const lg_view &v)
{
    si_tile t;
    t.row_words = (v.W + 31u) >> 5;
    const uint32_t tiles = si_tiles(v.H, v.W), across = (t.row_words + SI_TILE_WORDS - 1u) / SI_TILE_WORDS,
                   tile = blockIdx.x % tiles;
    t.fr = blockIdx.x / tiles;
    t.f = t.fr / v.R;
    t.replicate = t.fr % v.R;
    t.fit_id = lg_view_noise_fit(v, t.f);
    t.i0 = tile / across * SI_TILE_ROWS;
    t.w0 = tile % across * SI_TILE_WORDS;
    t.rows = v.H - t.i0 < SI_TILE_ROWS ? v.H - t.i0 : (uint32_t)SI_TILE_ROWS;
    t.words = t.row_words - t.w0 < SI_TILE_WORDS ? t.row_words - t.w0 : (uint32_t)SI_TILE_WORDS;
    t.columns = t.w0 + t.words == t.row_words ? v.W - 32u * t.w0 : 32u * t.words;
    const uint32_t ragged = v.W & 31u;
    t.halo = ragged == 0 || ragged >= SI_TILE_RING ? 1u : (uint32_t)SI_TILE_HALO;
    return t;
}

/* Sites of word w of a row. */
static __device__ inline uint32_t si_width(uint32_t w, uint32_t W)
{
    return W - 32u * w < 32u ? W - 32u * w : 32u;
}

/* Fills the head; a barrier has to follow. */
static __device__ inline void si_tile_begin(const lg_view &v, const si_tile &t, si_tile_head *head)
{
    const uint32_t thread = threadIdx.x;
    si_copy_fit(&head->fit, v.si + t.f, thread);
    if (thread < SI_TILE_STEPS) head->aware[thread] = 0;
    if (thread < SI_TILE_REGION) head->row[thread] = (t.i0 + SI_TILE_RING * (v.H - 1u) + thread) % v.H;
    if (thread >= SI_TILE_STRIDE) return;
    const uint32_t q = thread, base = t.w0 + SI_TILE_HALO * (t.row_words - 1u), end = SI_TILE_HALO + t.words;
    head->word[q] = (base + q) % t.row_words;
    int column = 32 * ((int)q - SI_TILE_HALO);
    if (q >= end) column = (int)t.columns;
    if (q == end + 1u) column += (int)si_width((base + end) % t.row_words, v.W);
    if (q < SI_TILE_HALO) column = -(int)si_width((base + SI_TILE_HALO - 1u) % t.row_words, v.W);
    if (q == 0) column -= (int)si_width(base % t.row_words, v.W);
    head->column[q] = column;
}

/* The words of a state within `far` rows of the tile, into a plane of the region. */
static __device__ inline void si_tile_load(const si_tile &t, const si_tile_head *head, uint32_t far,
                                           const uint32_t *state, uint32_t *plane)
{
    for (uint32_t i = threadIdx.x; i < (t.rows + 2u * far) * SI_TILE_STRIDE; i += SI_THREADS) {
        const uint32_t r = SI_TILE_RING - far + i / SI_TILE_STRIDE, q = i % SI_TILE_STRIDE;
        if (q >= SI_TILE_HALO - t.halo && q < SI_TILE_HALO + t.words + t.halo)
            plane[r * SI_TILE_STRIDE + q] = state[(size_t)head->row[r] * t.row_words + head->word[q]];
    }
}

static __device__ inline si_group si_tile_group(const si_tile_head *head, const uint32_t *plane, uint32_t W, uint32_t r,
                                                uint32_t q, uint32_t group)
{
    const uint32_t *own = plane + r * SI_TILE_STRIDE, *up = own - SI_TILE_STRIDE, *down = own + SI_TILE_STRIDE;
    const uint32_t before = q > 0 ? q - 1u : 0u, after = q + 1u < SI_TILE_STRIDE ? q + 1u : q;
    const uint32_t rows[3][3] = {{up[before], up[q], up[after]},
                                 {own[before], own[q], own[after]},
                                 {down[before], down[q], down[after]}};
    return si_group_of(rows, head->row[r], head->word[q], W, 4u * group);
}

/* A word of the region beyond the tile's columns, within `far` rows of it; item counts them. */
static __device__ inline uint32_t si_tile_beside(const si_tile &t, uint32_t far, uint32_t item, uint32_t *r)
{
    const uint32_t side = item % (2u * t.halo);
    *r = SI_TILE_RING - far + item / (2u * t.halo);
    return side < t.halo ? SI_TILE_HALO - 1u - side : SI_TILE_HALO + t.words + side - t.halo;
}

/* Whether a group of such a word has a site within `far` columns of the tile. */
static __device__ inline bool si_tile_near(const si_tile &t, const si_tile_head *head, uint32_t W, uint32_t q,
                                           uint32_t group, uint32_t far)
{
    const uint32_t width = si_width(head->word[q], W), first = 4u * group,
                   last = first + 3u < width ? first + 3u : width - 1u;
    if (first >= width) return false;
    if (q < SI_TILE_HALO) return -(head->column[q] + (int)last) <= (int)far;
    return head->column[q] + (int)first - (int)t.columns + 1 <= (int)far;
}

/* The row of the region, counted from the tile's first one, that a warp begins with: rows go to warps by their number, so
 * that a warp has the same rows of the tile however far its block has to reach. */
static __device__ inline int si_tile_first_row(uint32_t far)
{
    return (int)((threadIdx.x / 32u + far) % SI_TILE_WARPS) - (int)far;
}

/* Steps of a launch, `least` where a step of all lattices lasts much longer than a launch. */
static inline uint32_t si_tile_steps(const lg_job *job, uint32_t least)
{
    return (size_t)job->fits * job->replicates * lg_job_sites(job) <= SI_TILE_BUSY ? (uint32_t)SI_TILE_STEPS : least;
}

/* si_large_back.cu: steps step0 + steps - 1 down to step0 from the adjoint in v->adjoint, and back into it; states: before each
 * step. Swaps v->adjoint and v->adjoint2 as it goes. */
void lg_si_backward_tiles(lg_dbatch *b, lg_view *v, uint32_t step0, uint32_t steps, const uint8_t *states);

#endif
