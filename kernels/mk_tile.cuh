/* What the forward and the backward pass of large MK lattices share (mk_large.cu, mk_large_back.cu): the tile of a block and
 * the region around it.
 *
 * A block owns a tile of 32 x 64 sites (16 x 64 pairs). A step moves counts and adjoints by one site at most and noise is a
 * function of the site, so a tile with S more sites all round can take S steps on its own.
 * Rows go in pairs, which an odd height breaks where the torus closes: there the two pairs of rows around a tile may
 * hold three rows, enough for S = 2. */
#ifndef LG_KERNELS_MK_TILE_CUH
#define LG_KERNELS_MK_TILE_CUH

#include "mk.cuh"

enum {
    TILE_COLUMNS = 64,
    TILE_ROWS = 32,
    TILE_THREAD_ROWS = 4,
    TILE_THREADS = TILE_COLUMNS * TILE_THREAD_ROWS,
    TILE_STEPS = 4, /* of a launch, at most */
    TILE_RING = 2,  /* pairs of rows above and below a tile */
    TILE_STRIDE = TILE_COLUMNS + 2 * TILE_STEPS,
    TILE_REGION = (TILE_ROWS / 2 + 2 * TILE_RING) * TILE_STRIDE, /* pairs of a tile and what surrounds it */
    TILE_PAIRS = (TILE_REGION + TILE_THREADS - 1) / TILE_THREADS,
    TILE_PLANE = 2 * TILE_REGION, /* sites */
    TILE_WARPS = TILE_THREADS / 32,
    TILE_FAR = 255
};

/* Which tile of which lattice a block has, and which of its sites a thread has. */
struct mk_tile {
    uint32_t fr, f, replicate, fit_id;
    uint32_t i0, j0, rows, columns; /* first site; size, less at the lattice's end */
    uint32_t column, thread_row, thread;
};

static __device__ inline mk_tile mk_locate(const lg_view &v)
{
    mk_tile t;
    const uint32_t across = (v.W + TILE_COLUMNS - 1u) / TILE_COLUMNS, tile = blockIdx.x % v.parts;
    t.fr = blockIdx.x / v.parts;
    t.f = t.fr / v.R;
    t.replicate = t.fr % v.R;
    t.fit_id = lg_view_noise_fit(v, t.f);
    t.i0 = tile / across * TILE_ROWS;
    t.j0 = tile % across * TILE_COLUMNS;
    t.rows = v.H - t.i0 < TILE_ROWS ? v.H - t.i0 : (uint32_t)TILE_ROWS;
    t.columns = v.W - t.j0 < TILE_COLUMNS ? v.W - t.j0 : (uint32_t)TILE_COLUMNS;
    t.column = threadIdx.x % TILE_COLUMNS;
    t.thread_row = threadIdx.x / TILE_COLUMNS;
    t.thread = threadIdx.x;
    return t;
}

/* A pair of the region around a tile. */
struct mk_place {
    uint32_t site; /* its random block: pair W + j */
    uint32_t pair, j;
    uint32_t at;    /* its first row's place in the region's plane */
    uint32_t far_0; /* how far its two rows are from the tile; TILE_FAR: there is none */
    uint32_t far_1;
};

static __device__ inline uint32_t mk_far(uint32_t i, uint32_t first, uint32_t count)
{
    return i < first ? first - i : (i < first + count ? 0u : i - (first + count) + 1u);
}

/* Pair `item` of the region that reaches `steps` columns and TILE_RING pairs of rows beyond the tile. Pair X of the rows,
 * counted on round the torus, begins in row H (X / pair_rows) + 2 (X % pair_rows). */
static __device__ inline mk_place mk_region(const lg_view &v, const mk_tile &t, uint32_t steps, uint32_t item)
{
    const uint32_t q = item / TILE_STRIDE, c = item % TILE_STRIDE, pair_rows = (v.H + 1u) >> 1;
    const uint32_t start = (t.i0 >> 1) + 2u * pair_rows - TILE_RING, X = start + q, own = start + TILE_RING;
    mk_place p = {0, 0, 0, 0, TILE_FAR, TILE_FAR};
    if (q >= ((t.rows + 1u) >> 1) + 2u * TILE_RING || c >= t.columns + 2u * steps) return p;
    const uint32_t zero = v.H * (start / pair_rows) + 2u * (start % pair_rows),
                   row = v.H * (X / pair_rows) + 2u * (X % pair_rows) - zero,
                   own_row = v.H * (own / pair_rows) + 2u * (own % pair_rows) - zero;
    const uint32_t across = mk_far(c, steps, t.columns), down = mk_far(row, own_row, t.rows),
                   below = mk_far(row + 1u, own_row, t.rows);
    p.pair = X % pair_rows;
    p.j = (t.j0 + c + v.W * (uint32_t)TILE_STEPS - steps) % v.W;
    p.site = p.pair * v.W + p.j;
    p.at = row * TILE_STRIDE + c;
    p.far_0 = across > down ? across : down;
    if (2u * p.pair + 1u < v.H) p.far_1 = across > below ? across : below;
    return p;
}

/* Steps a launch can take. */
static inline uint32_t mk_tile_most(uint32_t H)
{
    return H % 2u == 0 ? (uint32_t)TILE_STEPS : (uint32_t)TILE_RING;
}

static inline dim3 mk_tile_grid(const lg_view &v)
{
    return dim3(v.F * v.R * v.parts);
}

/* mk_large_back.cu: steps step0 + steps - 1 down to step0. *state: after the last of them; ends as that before the first, unless
 * that is the start. The adjoint is in v->adjoint before and after; it swaps with v->adjoint2 as they go, the state with
 * v->work and v->other. */
void lg_mk_backward_tiles(lg_dbatch *b, lg_view *v, uint32_t step0, uint32_t steps, const uint8_t **state,
                          const uint16_t *tape);

#endif
