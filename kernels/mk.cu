/* Malevanets-Kapral lattices that fit one thread block (4,096 sites, a few less for awkward widths) or a cluster of them
 * (8 times as many): all steps in one launch, forward, and one launch, backward.
 * (mk_large.cu: larger lattices. rules/mk.h: the arithmetic of one site, shared with the cpu backend.)
 *
 * Forward, per step:   E = H(n - N u);  n <- n - E + T(E), T one direction for the plane;  then one of six reactions a
 * site. Backward, per step, lam = dL/d(state after the step), sites walked back by the tape:
 *   reaction   l = sign lam_S weight;  dL/dk += l dp/dk;  lam_n += l dp/dn;  lam_m += l dp/dm
 *   diffusion  dL/dD += lam(i,j) sum_q w_q E(i+r-1, j+c-1), w the nine weights of the step's direction draw;
 *              lam(i,j) <- lam at the site the excited plane moved (i,j) to where 0 < n < N, else it stays
 *
 * Blocks: one per (fit, replicate) where there are many replicates, since that costs no exchange. With MK_FEW or fewer,
 * one block each would leave most of the GPU idle: there a cluster of up to 8 blocks shares the rows of a lattice, and
 * each writes its first and last row into the shared memory of the blocks above and below (compute capability 9.0 on).
 * Lattices too large for a block take the smallest cluster that holds them. The choice looks at replicates, never at the
 * number of fits: gradients add in another order in a cluster, and a fit gives the same bytes alone and among others.
 *
 * Threads: a thread has a column j and of its block's pairs of rows 2p, 2p + 1 those with p = y, y + TY, ... (PAIRS of
 * them): two rows share a random block, so a pair costs one block a step. Counts, reaction words and adjoints of a
 * thread's own sites stay in registers for the whole launch; shared memory holds only what neighbours read: the
 * excitations (one byte a site, bit 0 for A, bit 1 for B) and, backward, the adjoints to be moved. Planes in shared
 * memory have a halo of one site, written by the threads that own the edges, so that a move is a constant offset.
 * Barriers: one a step, since planes alternate between two buffers (backward two barriers and one buffer where shared
 * memory is short). The directions of 32 steps are drawn at once by as many threads.
 *
 * Memory: 2 bytes a site of state; the tape is a byte a site and step, stored as one 16-bit word a pair.
 * Estimators: mk_backward<.., AVERAGE> averages over several draws of the Gumbel noise (gr), mk_forward<.., SCORE> adds up the
 * scores of the reactions (method score: estimator.cu). The instances for ste and gs contain neither.
 * Randomness: streams MK_SITE (pair), MK_DIRECTION (species), MK_GUMBEL (pair; estimators gs, gr), counters as in
 * rules/mk.h. Determinism: a thread adds its own sites in index order, in float within a step and in double over
 * steps; the threads are added once at the end by a fixed tree, blocks of a cluster by rank. No atomics on floating point
 * numbers. */
#include "mk.cuh"

enum {
    MK_THREADS = 512,
    MK_MAX_PAIRS = 4,
    MK_CLUSTER_PAIRS = 2, /* four and the edges of a cluster's blocks together do not fit the registers of sm_90 */
    MK_BATCH = 32,
    MK_MOST_BLOCKS = 8, /* what every GPU with clusters can run */
    MK_FEW = 16,        /* replicates up to which a lattice gets more blocks than it needs: 128 blocks in all */
    MK_LEAST = 64       /* pairs a block at least, or the exchange costs more than it brings */
};

/* ---- the blocks' shape ------------------------------------------------------------------------------------------ */

struct mk_shape {
    uint32_t blocks;  /* per lattice; 0: it does not fit */
    uint32_t rows;    /* thread rows TY */
    uint32_t pairs;   /* pairs a thread, rounded up to 1, 2 or 4 */
    uint32_t buffers; /* of planes, backward */
    size_t shared;
};

static size_t mk_aligned(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

/* Sites of a block's planes, with their halo. */
static size_t mk_padded(uint32_t H, uint32_t W, uint32_t blocks)
{
    const uint32_t band = ((H + 1) / 2 + blocks - 1) / blocks;
    return (size_t)(blocks == 1 ? H + 2 : 2 * band + 2) * (W + 2);
}

static size_t mk_backward_shared(uint32_t H, uint32_t W, const mk_shape *s)
{
    const size_t planes = s->buffers * mk_padded(H, W, s->blocks) * (2 * sizeof(float) + 1),
                 scratch = (size_t)s->rows * W * sizeof(double);
    return sizeof(mk_backward_head) + mk_aligned(planes > scratch ? planes : scratch);
}

static size_t mk_forward_shared(uint32_t H, uint32_t W, const mk_shape *s)
{
    const size_t planes = 2 * mk_padded(H, W, s->blocks), scratch = (size_t)s->rows * W * sizeof(double);
    return sizeof(mk_forward_head) + mk_aligned(planes > scratch ? planes : scratch);
}

/* blocks is 0 where so many blocks do not hold the lattice. */
static mk_shape mk_block_shape(uint32_t H, uint32_t W, uint32_t blocks, size_t limit, bool backward)
{
    const mk_shape none = {0, 0, 0, 0, 0};
    mk_shape s = {blocks, 0, 1, 2, 0};
    const uint32_t pair_rows = (H + 1) / 2, band = (pair_rows + blocks - 1) / blocks;
    if (W > MK_THREADS || pair_rows < blocks) return none;
    s.rows = MK_THREADS / W < band ? MK_THREADS / W : band;
    while (s.pairs * s.rows < band) s.pairs *= 2;
    if (s.pairs > (blocks > 1 ? MK_CLUSTER_PAIRS : MK_MAX_PAIRS)) return none;
    s.shared = backward ? mk_backward_shared(H, W, &s) : mk_forward_shared(H, W, &s);
    if (backward && s.shared > limit) {
        s.buffers = 1;
        s.shared = mk_backward_shared(H, W, &s);
    }
    return s.shared <= limit ? s : none;
}

static mk_shape mk_shape_of(const lg_job *job, const lg_device *device, bool backward)
{
    const uint32_t pairs = (job->height + 1) / 2 * job->width, most = device->major >= 9 ? MK_MOST_BLOCKS : 1;
    mk_shape best = {0, 0, 0, 0, 0};
    for (uint32_t blocks = 1; blocks <= most; blocks *= 2) {
        if (best.blocks && (job->replicates > MK_FEW || pairs / blocks < MK_LEAST)) break;
        const mk_shape s = mk_block_shape(job->height, job->width, blocks, (size_t)device->shared_limit, backward);
        if (s.blocks) best = s;
    }
    return best;
}

uint32_t lg_mk_blocks(const lg_job *job, const lg_device *device, bool backward)
{
    return mk_shape_of(job, device, backward).blocks;
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* Sums of n, n^2, m, m^2 over the lattice, exact integers, to mean A, mean B, var A, var B. */
template <bool CLUSTER>
static __device__ void mk_record(const mk_band &band, uint32_t blocks, const uint32_t *sum, uint32_t thread,
                                 mk_forward_head *head, uint32_t sites, double *out)
{
    if (thread < 4u) head->total[thread] = 0;
    __syncthreads();
    for (int i = 0; i < 4; i++) atomicAdd(&head->total[i], (lg_u64)sum[i]);
    if (CLUSTER) lg_blocks_sync();
    else __syncthreads();
    if (thread > 0 || band.rank > 0) return;
    lg_u64 all[4] = {0, 0, 0, 0};
    for (uint32_t r = 0; r < blocks; r++) {
        const mk_forward_head *other = CLUSTER ? (const mk_forward_head *)lg_blocks_map(band.memory, r) : head;
        for (int i = 0; i < 4; i++) all[i] += other->total[i];
    }
    lg_mk_statistics(all, sites, out);
}

/* from: states to start from, NULL: the pool's. tape and checkpoint may be NULL. plane: bytes of one. SCORE: adds up the
 * scores of the reactions (rules/score.h). */
template <int PAIRS, bool CLUSTER, bool SCORE>
static __global__ void LG_THREADS(MK_THREADS)
    mk_forward(lg_view v, uint32_t blocks, uint32_t plane, uint32_t step0, uint32_t steps, const uint8_t *from,
               uint8_t *to, uint16_t *tape, uint8_t *checkpoint)
{
    LG_SHARED_MEMORY(memory);
    mk_forward_head *head = (mk_forward_head *)memory;
    const mk_band band = lg_mk_band<CLUSTER>(v.H, blocks, memory);
    const uint32_t W = v.W, H = v.H, sites = H * W, pair_rows = (H + 1u) >> 1, stride = W + 2u;
    const uint32_t fr = CLUSTER ? blockIdx.x / blocks : blockIdx.x, f = fr / v.R, replicate = fr % v.R,
                   fit_id = lg_view_noise_fit(v, f);
    const uint32_t j = threadIdx.x, y = threadIdx.y, TY = blockDim.y, thread = y * W + j, threads = W * TY;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const uint8_t *source =
        from ? from + (size_t)fr * 2u * sites : v.start + (size_t)lg_view_pool(v, f, replicate) * 2u * sites;
    uint32_t record = lg_view_record(v, step0 + 1u);
    const uint32_t first = (band.first + y) * W + j; /* the thread's first pair; its k-th is k TY W later */

    lg_mk_copy_fit(&head->fit, v.mk + f, thread, threads);
    uint32_t counts[PAIRS], word0[PAIRS], word1[PAIRS];
    double score[3] = {0.0, 0.0, 0.0};
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        const uint32_t pair = band.first + y + (uint32_t)k * TY;
        counts[k] = pair < band.end ? lg_mk_load(source, H, W, pair, j) : 0u;
    }
    if (CLUSTER) lg_blocks_sync(); /* all blocks have started */
    else __syncthreads();

    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t step = step0 + s;
        if (checkpoint && step > 0 && step % v.segment == 0) {
            uint8_t *save = checkpoint + ((size_t)(step / v.segment - 1u) * v.F * v.R + fr) * 2u * sites;
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (band.first + y + (uint32_t)k * TY < band.end)
                    lg_mk_store(save, H, W, band.first + y + (uint32_t)k * TY, j, counts[k]);
        }
        /* Two buffers by parity of the batch: a thread still in the previous step reads the other one. */
        const uint32_t batch = s / MK_BATCH & 1u, slot = s % MK_BATCH;
        if (slot == 0)
            for (uint32_t i = thread; i < 2u * MK_BATCH; i += threads) {
                const int q = lg_mk_draw_direction(&head->fit, key, fit_id, replicate, step + i / 2u, (int)(i % 2u));
                head->offset[batch][i / 2u][i % 2u] = lg_mk_row_offset(q) * (int)stride + lg_mk_column_offset(q);
            }
        const size_t e = sizeof(mk_forward_head) + (s & 1u) * plane;
        uint16_t *codes = tape + ((size_t)fr * v.segment + s) * (pair_rows * W) + first;
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = band.first + y + (uint32_t)k * TY;
            if (pair >= band.end) continue;
            const lg_block b = lg_draw(key, LG_STREAM_MK_SITE, fit_id, replicate, step, first + (uint32_t)k * TY * W);
            const uint32_t pattern = lg_mk_excite_pair(&head->fit, b, counts[k]);
            const uint32_t row = 2u * (pair - band.first);
            lg_mk_put(band, e, W, row, j, (uint8_t)(pattern & 3u));
            if (2u * pair + 1u < H) lg_mk_put(band, e, W, row + 1u, j, (uint8_t)(pattern >> 2));
            word0[k] = b.w[1];
            word1[k] = b.w[3];
        }
        if (CLUSTER) lg_blocks_sync();
        else __syncthreads();
        const int to_a = head->offset[batch][slot][0], to_b = head->offset[batch][slot][1];
        float k_sum[3] = {0.0f, 0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = band.first + y + (uint32_t)k * TY;
            if (pair >= band.end) continue;
            const uint8_t *own = memory + e + (2u * (pair - band.first) + 1u) * stride + j + 1u;
            const uint32_t code0 = lg_mk_move_react(&head->fit, word0[k], own, to_a, to_b, 0u, &counts[k]);
            const uint32_t code1 =
                2u * pair + 1u < H ? lg_mk_move_react(&head->fit, word1[k], own + stride, to_a, to_b, 16u, &counts[k])
                                   : 0u;
            if (tape) codes[(uint32_t)k * TY * W] = (uint16_t)(code0 | code1 << 8);
            if (SCORE) lg_mk_add_score(&head->fit, code0, 0u, counts[k], k_sum);
            if (SCORE && 2u * pair + 1u < H) lg_mk_add_score(&head->fit, code1, 16u, counts[k], k_sum);
        }
        for (int i = 0; SCORE && i < 3; i++) score[i] += (double)k_sum[i];
        if (record < v.records && v.record[record] == step + 1u) {
            uint32_t sum[4] = {0, 0, 0, 0};
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (band.first + y + (uint32_t)k * TY < band.end) lg_mk_add_counts(counts[k], sum);
            mk_record<CLUSTER>(band, blocks, sum, thread, head, sites,
                               v.replicate_stat + ((size_t)fr * v.records + record) * 4u);
            record++;
        }
    }
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++)
        if (band.first + y + (uint32_t)k * TY < band.end)
            lg_mk_store(to + (size_t)fr * 2u * sites, H, W, band.first + y + (uint32_t)k * TY, j, counts[k]);
    if (SCORE)
        lg_mk_write_score(v, (size_t)fr * v.grad_parts + band.rank, step0 == 0, score,
                          (double *)(memory + sizeof(mk_forward_head)), thread, threads);
    if (CLUSTER) lg_blocks_sync(); /* until here others write into this block's memory */
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* Steps step0 + steps - 1 down to step0. `state` is the state after the last of them. The adjoint comes from the loss
 * where the last step is the run's last one, else from v.adjoint, and goes back there where step0 > 0. AVERAGE: estimator
 * gr, the mean over several draws of the Gumbel noise in place of one. */
template <int PAIRS, bool CLUSTER, bool AVERAGE>
static __global__ void LG_THREADS(MK_THREADS, AVERAGE ? 1 : 0)
    mk_backward(lg_view v, uint32_t blocks, uint32_t padded, uint32_t buffers, uint32_t step0, uint32_t steps,
                const uint8_t *state, const uint16_t *tape)
{
    LG_SHARED_MEMORY(memory);
    mk_backward_head *head = (mk_backward_head *)memory;
    const mk_band band = lg_mk_band<CLUSTER>(v.H, blocks, memory);
    const uint32_t W = v.W, H = v.H, sites = H * W, pair_rows = (H + 1u) >> 1, stride = W + 2u;
    const uint32_t fr = CLUSTER ? blockIdx.x / blocks : blockIdx.x, f = fr / v.R, replicate = fr % v.R,
                   fit_id = lg_view_noise_fit(v, f);
    const uint32_t j = threadIdx.x, y = threadIdx.y, TY = blockDim.y, thread = y * W + j, threads = W * TY;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const bool last_segment = step0 + steps == v.steps && !v.formation;
    uint32_t record = lg_view_record(v, step0 + steps + 1u); /* records below this one are still to be injected */

    lg_mk_copy_fit(&head->fit, v.mk + f, thread, threads);
    uint32_t counts[PAIRS];
    float lam[PAIRS][4]; /* row 0: A, B; row 1: A, B */
    double total[LG_MK_PARAMS] = {0.0, 0.0, 0.0, 0.0, 0.0};
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        const uint32_t pair = band.first + y + (uint32_t)k * TY;
        counts[k] = pair < band.end ? lg_mk_load(state + (size_t)fr * 2u * sites, H, W, pair, j) : 0u;
        lam[k][0] = lam[k][1] = lam[k][2] = lam[k][3] = 0.0f;
        if (pair < band.end) lg_mk_seed(v, f, replicate, pair, j, last_segment, counts[k], lam[k]);
    }
    if (CLUSTER) lg_blocks_sync(); /* all blocks have started */
    else __syncthreads();

    for (uint32_t s = steps; s-- > 0;) {
        const uint32_t step = step0 + s, slot = s % MK_BATCH, batch = s / MK_BATCH & 1u;
        /* a thread still in the step before (s + 1) reads the other buffer */
        const size_t move_a = sizeof(mk_backward_head) + (s & (buffers - 1u)) * padded * (2u * sizeof(float)),
                     move_b = move_a + padded * sizeof(float),
                     e = sizeof(mk_backward_head) + buffers * padded * (2u * sizeof(float)) +
                         (s & (buffers - 1u)) * padded;
        if (slot == MK_BATCH - 1u || s + 1u == steps) {
            for (uint32_t i = thread; i < 2u * (slot + 1u); i += threads)
                lg_mk_weights<AVERAGE>(&head->fit, key, fit_id, replicate, step - slot + i / 2u, (int)(i % 2u),
                                       &head->move[batch][i / 2u][i % 2u]);
        }
        if (record > 0 && v.record[record - 1u] == step + 1u) {
            record--;
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++) lg_mk_inject(v, fr, f, record, counts[k], lam[k]);
        }
        const uint16_t *row_codes = tape + ((size_t)fr * v.segment + s) * (pair_rows * W) + band.first * W + thread;
        float k_sum[3] = {0.0f, 0.0f, 0.0f}, d_sum[2] = {0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = band.first + y + (uint32_t)k * TY;
            if (pair >= band.end) continue;
            const uint32_t codes = row_codes[(uint32_t)k * TY * W];
            lg_block gumbel = {{0, 0, 0, 0}};
            float weight[2] = {1.0f, 1.0f};
            if (AVERAGE)
                lg_mk_mean_weights(v, &head->fit, fit_id, replicate, step, pair * W + j, codes, counts[k], weight);
            else if (v.estimator == LG_ESTIMATOR_gs)
                gumbel = lg_draw(key, LG_STREAM_MK_GUMBEL, fit_id, replicate, step, pair * W + j);
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                if (2u * pair + row >= H) continue;
                const uint32_t code = codes >> 8u * row & 255u;
                lg_mk_unreact(&head->fit, v.estimator, gumbel.w[2u * row], gumbel.w[2u * row + 1u],
                              AVERAGE ? &weight[row] : NULL, code, 16u * row, &counts[k], &lam[k][2u * row], k_sum);
                const uint32_t i = 2u * (pair - band.first) + row;
                lg_mk_put(band, e, W, i, j, (uint8_t)(code & 3u));
                lg_mk_put(band, move_a, W, i, j, lam[k][2u * row]);
                lg_mk_put(band, move_b, W, i, j, lam[k][2u * row + 1u]);
            }
        }
        if (CLUSTER) lg_blocks_sync();
        else __syncthreads();
        const mk_move *a = &head->move[batch][slot][0], *b = &head->move[batch][slot][1];
        const uint8_t *excited = memory + e;
        const float *moved_a = (const float *)(memory + move_a), *moved_b = (const float *)(memory + move_b);
        const int from_a = a->row * (int)stride + a->column, from_b = b->row * (int)stride + b->column;
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = band.first + y + (uint32_t)k * TY;
            if (pair >= band.end) continue;
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                if (2u * pair + row >= H) continue;
                const uint32_t at = (2u * (pair - band.first) + row + 1u) * stride + j + 1u, shift = 16u * row;
                float *own = &lam[k][2u * row], sum_a = 0.0f, sum_b = 0.0f;
                LG_UNROLL
                for (int q = 0; q < LG_MK_DIRECTIONS; q++) {
                    const uint32_t pattern =
                        excited[(int)at + lg_mk_row_offset(q) * (int)stride + lg_mk_column_offset(q)];
                    sum_a += (pattern & 1u) ? a->w[q] : 0.0f;
                    sum_b += (pattern & 2u) ? b->w[q] : 0.0f;
                }
                d_sum[0] += own[0] * sum_a;
                d_sum[1] += own[1] * sum_b;
                const uint32_t here = excited[at];
                counts[k] += ((here & 1u) << shift) - ((excited[(int)at + from_a] & 1u) << shift);
                counts[k] +=
                    ((here >> 1) << (shift + 8u)) - ((uint32_t)(excited[(int)at + from_b] >> 1) << (shift + 8u));
                const uint32_t n = counts[k] >> shift & 255u, m = counts[k] >> (shift + 8u) & 255u;
                if (n > 0 && n < v.capacity) own[0] = moved_a[(int)at - from_a];
                if (m > 0 && m < v.capacity) own[1] = moved_b[(int)at - from_b];
            }
        }
        for (int i = 0; i < 3; i++) total[LG_MK_K1 + i] += (double)k_sum[i];
        for (int i = 0; i < 2; i++) total[LG_MK_D_A + i] += (double)d_sum[i];
        if (buffers > 1u) continue;
        if (CLUSTER) lg_blocks_sync();
        else __syncthreads();
    }
    if (step0 > 0) {
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++)
            if (band.first + y + (uint32_t)k * TY < band.end)
                lg_mk_store_adjoint(v.adjoint, fr, H, W, band.first + y + (uint32_t)k * TY, j, lam[k]);
    }
    LG_UNROLL
    for (int i = 0; i < LG_MK_PARAMS; i++) {
        const double sum = lg_block_sum(total[i], (double *)(memory + sizeof(mk_backward_head)), thread, threads);
        if (thread == 0) head->total[i] = sum;
    }
    if (CLUSTER) lg_blocks_sync();
    else __syncthreads();
    if (band.rank == 0 && thread < LG_MK_PARAMS) {
        double sum = head->total[thread], *part = v.part + (size_t)fr * LG_MK_PARAMS + thread;
        for (uint32_t r = 1; CLUSTER && r < blocks; r++)
            sum += ((const mk_backward_head *)lg_blocks_map(memory, r))->total[thread];
        *part = last_segment ? sum : *part + sum;
    }
    if (CLUSTER) lg_blocks_sync(); /* block 0 has read the others' sums */
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

/* Blocks of one lattice each, or clusters. */
template <class K, class... A>
static void mk_launch(lg_dbatch *b, const lg_view &v, const mk_shape &s, K *alone, K *cluster, A... arguments)
{
    K *kernel = s.blocks > 1 ? cluster : alone;
    const dim3 grid(v.F * v.R * s.blocks), block(v.W, s.rows);
    lg_cuda_shared(kernel, s.shared);
    if (s.blocks > 1) LG_LAUNCH_CLUSTER(kernel, s.blocks, grid, block, s.shared, b->stream, v, s.blocks, arguments...);
    else LG_LAUNCH(kernel, grid, block, s.shared, b->stream, v, s.blocks, arguments...);
}

template <bool SCORE, class... A> static void mk_launch_forward(lg_dbatch *b, const lg_view &v, A... arguments)
{
    const mk_shape s = mk_shape_of(b->job, b->device, false);
    const uint32_t plane = (uint32_t)mk_padded(v.H, v.W, s.blocks);
    if (s.pairs == 1) mk_launch(b, v, s, mk_forward<1, false, SCORE>, mk_forward<1, true, SCORE>, plane, arguments...);
    else if (s.pairs == 2)
        mk_launch(b, v, s, mk_forward<2, false, SCORE>, mk_forward<2, true, SCORE>, plane, arguments...);
    else mk_launch(b, v, s, mk_forward<4, false, SCORE>, mk_forward<4, false, SCORE>, plane, arguments...);
}

void lg_mk_forward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                         uint8_t *to, uint16_t *tape, uint8_t *checkpoint)
{
    if (v.scores) mk_launch_forward<true>(b, v, step0, steps, from, to, tape, checkpoint);
    else mk_launch_forward<false>(b, v, step0, steps, from, to, tape, checkpoint);
}

template <bool AVERAGE, class... A> static void mk_launch_backward(lg_dbatch *b, const lg_view &v, A... arguments)
{
    const mk_shape s = mk_shape_of(b->job, b->device, true);
    const uint32_t padded = (uint32_t)mk_padded(v.H, v.W, s.blocks);
    if (s.pairs == 1)
        mk_launch(b, v, s, mk_backward<1, false, AVERAGE>, mk_backward<1, true, AVERAGE>, padded, s.buffers,
                  arguments...);
    else if (s.pairs == 2)
        mk_launch(b, v, s, mk_backward<2, false, AVERAGE>, mk_backward<2, true, AVERAGE>, padded, s.buffers,
                  arguments...);
    else
        mk_launch(b, v, s, mk_backward<4, false, AVERAGE>, mk_backward<4, false, AVERAGE>, padded, s.buffers,
                  arguments...);
}

void lg_mk_backward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *state,
                          const uint16_t *tape)
{
    if (v.average) mk_launch_backward<true>(b, v, step0, steps, state, tape);
    else mk_launch_backward<false>(b, v, step0, steps, state, tape);
}
