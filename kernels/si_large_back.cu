/* Backward pass of large SI lattices: up to four steps a launch on tiles (si_tile.cuh). The mathematics is that of si.cu.
 *
 * With d steps of the launch left, a block turns the adjoints within d sites of its tile into what each site keeps and what
 * it gives to its neighbours, g, and adds the eight neighbours' g to those within d - 1. Adjoints and g lie in shared memory;
 * the states before each step are read from the tape. Only the tile's own sites count for dL/dbeta.
 * Work, in groups of four sites as in si_large.cu: 13 % more than needed with one step a launch, 16 % with two, 23 % with
 * four. Global memory, in bytes a site and step: 8.5 with one step a launch (8.3 of them adjoints), 4.5 with two, 2.6 with
 * four; a launch for each half of a step, as it would be without the region around the tile, moves 24. So: four steps where a
 * step is short (si_tile_steps), else two.
 * Determinism: each warp has the same rows of its tile in every launch. It adds a step's sites by a fixed tree and the steps
 * one after the other into its own slot of v.part, whatever the steps a launch and the segments of the tape; finish adds the
 * slots in order. */
#include "si_tile.cuh"

enum {
    SI_BACK_PAD = 8, /* columns kept beyond the tile: a group may begin 4 away and end 7 away */
    SI_BACK_STRIDE = 32 * SI_TILE_WORDS + 2 * SI_BACK_PAD,
    SI_BACK_PLANE = (SI_TILE_ROWS + 2 * SI_TILE_STEPS) * SI_BACK_STRIDE
};

/* Place in a plane of adjoints of row i and column j, counted from the tile's first site. */
static __device__ inline uint32_t si_back_at(int i, int j)
{
    return (uint32_t)(i + SI_TILE_STEPS) * SI_BACK_STRIDE + (uint32_t)(j + SI_BACK_PAD);
}

static __device__ inline uint32_t si_ring(int j, uint32_t W)
{
    while (j < 0) j += (int)W;
    while (j >= (int)W) j -= (int)W;
    return (uint32_t)j;
}

/* Steps step + steps - 1 down to step, the first of which has slot `slot` in states. first: of the launches of a backward
 * pass. AVERAGE: estimator gr. */
template <bool AVERAGE>
static __global__ void LG_THREADS(SI_THREADS, AVERAGE ? 1 : 0)
    si_tile_backward(lg_view v, uint32_t step, uint32_t steps, uint32_t slot, bool first, const uint32_t *states,
                     const float *from, float *to)
{
    LG_SHARED_MEMORY(memory);
    si_tile_head *head = (si_tile_head *)memory;
    uint32_t *x = (uint32_t *)(memory + sizeof(si_tile_head));
    float *adj = (float *)(x + SI_TILE_REGION * SI_TILE_STRIDE), *gain = adj + SI_BACK_PLANE;
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const size_t sites = (size_t)v.H * v.W, words = (size_t)v.H * t.row_words, all = (size_t)v.F * v.R * words;
    const uint32_t lane = threadIdx.x % 32u, W = v.W;
    double *part = v.part + (size_t)blockIdx.x * SI_TILE_WARPS + threadIdx.x / 32u;
    double total = first ? 0.0 : *part;
    uint32_t record = lg_view_record(v, step + steps + 1u); /* records below this one are still to be injected */
    const int rows = (int)t.rows, columns = (int)t.columns, j0 = 32 * (int)t.w0;
    from += t.fr * sites;
    states += t.fr * words;
    si_tile_begin(v, t, head);
    __syncthreads();
    for (int far = (int)steps, i = si_tile_first_row(steps); i < rows + far; i += SI_TILE_WARPS)
        for (int j = (int)lane - far; j < columns + far; j += 32)
            adj[si_back_at(i, j)] = from[(size_t)head->row[i + SI_TILE_RING] * W + si_ring(j0 + j, W)];
    si_tile_load(t, head, steps + 1u, states + (slot + steps - 1u) * all, x);
    __syncthreads();
    for (uint32_t left = steps; left > 0; left--) {
        const uint32_t now = step + left - 1u;
        float add = 0.0f;
        if (record > 0 && v.record[record - 1u] == now + 1u) add = si_injection(v, t.f, --record);
        double sum = 0.0;
        int i = si_tile_first_row(left);
        for (uint32_t item = threadIdx.x;;) { /* a group of a row of the tile; then the words left and right of it */
            uint32_t r = (uint32_t)(i + SI_TILE_RING), q = SI_TILE_HALO + lane / 8u, group = lane % 8u,
                     end = group + 1u;
            const bool own = i >= 0 && i < rows;
            if (i < rows + (int)left) {
                i += SI_TILE_WARPS;
                if (lane / 8u >= t.words) continue;
            } else if (item < (t.rows + 2u * left) * 2u * t.halo) {
                q = si_tile_beside(t, left, item, &r);
                group = 0;
                end = 8u;
                item += SI_THREADS;
            } else break;
            for (; group < end; group++) {
                if (!si_tile_near(t, head, W, q, group, left)) continue;
                const si_group g = si_tile_group(head, x, W, r, q, group);
                const uint32_t at = si_back_at((int)r - SI_TILE_RING, head->column[q] + 4 * (int)group);
                double part_sum = 0.0;
                float a[4];
                LG_UNROLL
                for (uint32_t k = 0; k < 4u; k++) a[k] = g.j + k < W ? adj[at + k] + add : 0.0f;
                si_back_group<AVERAGE>(v, &head->fit, key, t.fit_id, t.replicate, now, g, a, adj + at, gain + at,
                                       &part_sum);
                sum += own ? part_sum : 0.0;
            }
        }
        total += lg_warp_sum(sum);
        __syncthreads();
        const int far = (int)left - 1;
        for (int i = si_tile_first_row(left - 1u); i < rows + far; i += SI_TILE_WARPS)
            for (int j = (int)lane - far; j < columns + far; j += 32) {
                const uint32_t at = si_back_at(i, j);
                const float *own = gain + at;
                const float a =
                    adj[at] + si_add_neighbours(own - SI_BACK_STRIDE - 1, own - 1, own + SI_BACK_STRIDE - 1, 0, 1, 2);
                if (far > 0) adj[at] = a;
                else to[t.fr * sites + (size_t)(t.i0 + (uint32_t)i) * W + (uint32_t)(j0 + j)] = a;
            }
        if (far == 0) break;
        si_tile_load(t, head, left, states + (slot + left - 2u) * all, x);
        __syncthreads();
    }
    if (lane == 0) *part = total;
}

void lg_si_backward_tiles(lg_dbatch *b, lg_view *v, uint32_t step0, uint32_t steps, const uint8_t *states)
{
    const size_t shared =
        sizeof(si_tile_head) + SI_TILE_REGION * SI_TILE_STRIDE * sizeof(uint32_t) + 2 * SI_BACK_PLANE * sizeof(float);
    const uint32_t most = si_tile_steps(b->job, 2);
    auto *const kernel = v->average ? si_tile_backward<true> : si_tile_backward<false>;
    lg_cuda_shared(kernel, shared);
    for (uint32_t left = steps; left > 0;) {
        const uint32_t some = left < most ? left : most;
        left -= some;
        LG_LAUNCH(kernel, dim3(v->F * v->R * si_tiles(v->H, v->W)), dim3(SI_THREADS), shared, b->stream, *v,
                  step0 + left, some, left, step0 + left + some == v->steps, (const uint32_t *)states, v->adjoint,
                  v->adjoint2);
        float *swap = v->adjoint;
        v->adjoint = v->adjoint2;
        v->adjoint2 = swap;
    }
}
