/* Backward pass of large MK lattices: up to four steps a launch on tiles (mk_tile.cuh). The mathematics and the tape are those
 * of mk.cu.
 *
 * A pair of sites belongs to a thread, its counts and adjoints to the thread's registers. With d steps of the launch left, a
 * block undoes the reactions within d sites of its tile, which is pointwise, leaves excitations and adjoints in shared
 * memory, and undoes the move within d - 1 sites, which looks one site far. Only the tile's own sites count for the gradients,
 * so what surrounds it costs neither the sums over nine directions nor those over threads.
 * Work: (32 + 2 d) (64 + 2 d) sites against 32 x 64, in reactions 10 % more than needed with one step a launch, 15 % with two,
 * 25 % with four. Global memory, in bytes a site and step (10 of them counts and adjoints, 1 the tape): 22 with one step a
 * launch, 12 with two, 7 with four; reactions and moves in launches of their own move 42.
 * Determinism: each thread has the same sites of its tile in every launch. A warp adds a step's sites by a fixed tree and the
 * steps one after the other into its own slot of v.part, whatever the steps a launch and the segments of the tape; finish adds
 * the slots in order. */
#include "mk_tile.cuh"

struct alignas(16) mk_back_head {
    lg_mk_fit fit;
    mk_move move[TILE_STEPS][2]; /* by step and species */
};

/* Undoes the move of one site: its counts, which start at bit `shift`, its adjoint lam[2], and where d_sum is given dL/dD. e, a,
 * b point at the site in the planes of excitations and adjoints. */
static __device__ inline void mk_unmove(const mk_move *move, uint32_t capacity, const uint8_t *e, const float *a,
                                        const float *b, uint32_t shift, bool own, uint32_t *counts, float *lam,
                                        float *d_sum)
{
    const int to_a = move[0].row * TILE_STRIDE + move[0].column, to_b = move[1].row * TILE_STRIDE + move[1].column;
    if (own) {
        float sum[2] = {0.0f, 0.0f};
        LG_UNROLL
        for (int q = 0; q < LG_MK_DIRECTIONS; q++) {
            const uint32_t pattern = e[lg_mk_row_offset(q) * TILE_STRIDE + lg_mk_column_offset(q)];
            sum[0] += (pattern & 1u) ? move[0].w[q] : 0.0f;
            sum[1] += (pattern & 2u) ? move[1].w[q] : 0.0f;
        }
        d_sum[0] += lam[0] * sum[0];
        d_sum[1] += lam[1] * sum[1];
    }
    const uint32_t here = e[0];
    *counts += ((here & 1u) << shift) - ((e[to_a] & 1u) << shift);
    *counts += ((here >> 1) << (shift + 8u)) - ((uint32_t)(e[to_b] >> 1) << (shift + 8u));
    const uint32_t n = *counts >> shift & 255u, m = *counts >> (shift + 8u) & 255u;
    if (n > 0 && n < capacity) lam[0] = a[-to_a];
    if (m > 0 && m < capacity) lam[1] = b[-to_b];
}

/* Steps step + steps - 1 down to step, the first of which has slot `slot` in the tape. The adjoint goes from v.adjoint to
 * v.adjoint2; after the run's last step it comes from the loss. AVERAGE: estimator gr. */
template <bool AVERAGE>
static __global__ void LG_THREADS(TILE_THREADS, AVERAGE ? 1 : 0)
    mk_tile_backward(lg_view v, uint32_t step, uint32_t steps, uint32_t slot, const uint8_t *from, uint8_t *to,
                     const uint16_t *tape)
{
    LG_SHARED_MEMORY(memory);
    mk_back_head *head = (mk_back_head *)memory;
    float *a = (float *)(memory + sizeof(mk_back_head)), *b = a + TILE_PLANE;
    uint8_t *e = (uint8_t *)(b + TILE_PLANE);
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const size_t state = t.fr * 2u * (size_t)v.H * v.W, pair_sites = (size_t)((v.H + 1u) >> 1) * v.W;
    const bool last = step + steps == v.steps && !v.formation;
    uint32_t record = lg_view_record(v, step + steps + 1u); /* records below this one are still to be injected */
    lg_mk_copy_fit(&head->fit, v.mk + t.f, t.thread, TILE_THREADS);
    mk_place place[TILE_PAIRS];
    uint32_t counts[TILE_PAIRS];
    float lam[TILE_PAIRS][4];
    LG_UNROLL
    for (int k = 0; k < TILE_PAIRS; k++) {
        mk_place *p = &place[k];
        *p = mk_region(v, t, TILE_STEPS, t.thread + (uint32_t)k * TILE_THREADS);
        counts[k] = 0;
        lam[k][0] = lam[k][1] = lam[k][2] = lam[k][3] = 0.0f;
        if (p->far_0 > steps && p->far_1 > steps) continue;
        counts[k] = lg_mk_load(from + state, v.H, v.W, p->pair, p->j);
        lg_mk_seed(v, t.f, t.replicate, p->pair, p->j, last, counts[k], lam[k]);
    }
    double *part = v.part + ((size_t)blockIdx.x * TILE_WARPS + t.thread / 32u) * LG_MK_PARAMS, total[LG_MK_PARAMS];
    for (int i = 0; i < LG_MK_PARAMS; i++) total[i] = last ? 0.0 : part[i];
    __syncthreads();
    if (t.thread < 2u * steps)
        lg_mk_weights<AVERAGE>(&head->fit, key, t.fit_id, t.replicate, step + t.thread / 2u, (int)(t.thread % 2u),
                               &head->move[t.thread / 2u][t.thread % 2u]);
    for (uint32_t left = steps; left > 0; left--) {
        const uint32_t now = step + left - 1u;
        const uint16_t *row_codes = tape + ((size_t)t.fr * v.segment + slot + left - 1u) * pair_sites;
        const bool injected = record > 0 && v.record[record - 1u] == now + 1u;
        if (injected) record--;
        float sum[LG_MK_PARAMS] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < TILE_PAIRS; k++) {
            const mk_place p = place[k];
            if (p.far_0 > left && p.far_1 > left) continue;
            const uint32_t codes = row_codes[p.site];
            if (injected) lg_mk_inject(v, t.fr, t.f, record, counts[k], lam[k]);
            lg_block gumbel = {{0, 0, 0, 0}};
            float weight[2] = {1.0f, 1.0f};
            if (AVERAGE)
                lg_mk_mean_weights(v, &head->fit, t.fit_id, t.replicate, now, p.site, codes, counts[k], weight);
            else if (v.estimator == LG_ESTIMATOR_gs)
                gumbel = lg_draw(key, LG_STREAM_MK_GUMBEL, t.fit_id, t.replicate, now, p.site);
            float k_sum[3] = {0.0f, 0.0f, 0.0f};
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                if ((row ? p.far_1 : p.far_0) > left) continue;
                const uint32_t code = codes >> 8u * row & 255u, at = p.at + row * TILE_STRIDE;
                lg_mk_unreact(&head->fit, v.estimator, gumbel.w[2u * row], gumbel.w[2u * row + 1u],
                              AVERAGE ? &weight[row] : NULL, code, 16u * row, &counts[k], &lam[k][2u * row], k_sum);
                e[at] = (uint8_t)(code & 3u);
                a[at] = lam[k][2u * row];
                b[at] = lam[k][2u * row + 1u];
            }
            for (int i = 0; i < 3; i++) sum[LG_MK_K1 + i] += p.far_0 == 0 ? k_sum[i] : 0.0f;
        }
        __syncthreads();
        LG_UNROLL
        for (int k = 0; k < TILE_PAIRS; k++) {
            const mk_place p = place[k];
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                const uint32_t far = row ? p.far_1 : p.far_0, at = p.at + row * TILE_STRIDE;
                if (far < left)
                    mk_unmove(head->move[left - 1u], v.capacity, e + at, a + at, b + at, 16u * row, far == 0,
                              &counts[k], &lam[k][2u * row], &sum[LG_MK_D_A]);
            }
        }
        LG_UNROLL
        for (int i = 0; i < LG_MK_PARAMS; i++) {
            total[i] += lg_warp_sum((double)sum[i]);
        }
        __syncthreads();
    }
    if (t.thread % 32u == 0)
        for (int i = 0; i < LG_MK_PARAMS; i++) part[i] = total[i];
    LG_UNROLL
    for (int k = 0; k < TILE_PAIRS; k++) {
        const mk_place p = place[k];
        if (p.far_0 != 0 || step == 0) continue;
        lg_mk_store(to + state, v.H, v.W, p.pair, p.j, counts[k]);
        lg_mk_store_adjoint(v.adjoint2, t.fr, v.H, v.W, p.pair, p.j, lam[k]);
    }
}

void lg_mk_backward_tiles(lg_dbatch *b, lg_view *v, uint32_t step0, uint32_t steps, const uint8_t **state,
                          const uint16_t *tape)
{
    const size_t shared = sizeof(mk_back_head) + TILE_PLANE * (2 * sizeof(float) + 1);
    for (uint32_t left = steps; left > 0;) {
        const uint32_t most = mk_tile_most(v->H), some = left < most ? left : most;
        uint8_t *to = *state == v->work ? v->other : v->work;
        left -= some;
        LG_LAUNCH((v->average ? mk_tile_backward<true> : mk_tile_backward<false>), mk_tile_grid(*v), dim3(TILE_THREADS),
                  shared, b->stream, *v, step0 + left, some, left, *state, to, tape);
        *state = to;
        float *swap = v->adjoint;
        v->adjoint = v->adjoint2;
        v->adjoint2 = swap;
    }
}
