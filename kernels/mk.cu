/* Malevanets-Kapral lattices that fit one thread block (4,096 sites, a few less for awkward widths): all steps in one
 * launch, forward, and one launch, backward.
 * (mk_large.cu: larger lattices, a launch a step. rules/mk.h: the arithmetic of one site, shared with the cpu backend.)
 *
 * Forward, per step:   E = H(n - N u);  n <- n - E + T(E), T one direction for the plane;  then one of six reactions a
 * site. Backward, per step, lam = dL/d(state after the step), sites walked back by the tape:
 *   reaction   l = sign lam_S weight;  dL/dk += l dp/dk;  lam_n += l dp/dn;  lam_m += l dp/dm
 *   diffusion  dL/dD += lam(i,j) sum_q w_q E(i+r-1, j+c-1), w the nine weights of the step's direction draw;
 *              lam(i,j) <- lam at the site the excited plane moved (i,j) to where 0 < n < N, else it stays
 *
 * Threads: one block per (fit, replicate). A thread has a column j and the rows 2p, 2p + 1 of the pairs p = y, y + TY,
 * ... (PAIRS of them): two rows share a random block, so a pair costs one block a step. Counts, reaction words and
 * adjoints of a thread's own sites stay in registers for the whole launch; shared memory holds only what neighbours
 * read: the excitations (one byte a site, bit 0 for A, bit 1 for B) and, backward, the adjoints to be moved. Planes in
 * shared memory have a halo of one site, written by the threads that own the edges, so that a move is a constant
 * offset. Barriers: one a step forward (the excitation plane alternates between two buffers), two a step backward.
 * The directions of 32 steps are drawn at once by as many threads.
 *
 * Memory: 2 bytes a site of state; the tape is a byte a site and step, stored as one 16-bit word a pair.
 * Randomness: streams MK_SITE (pair), MK_DIRECTION (species), MK_GUMBEL (pair; estimator gs), counters as in
 * rules/mk.h. Determinism: a thread adds its own sites in index order, in float within a step and in double over
 * steps; the threads are added once at the end by a fixed tree. No atomics on floating point numbers. */
#include "mk.cuh"

enum { MK_THREADS = 512, MK_MAX_PAIRS = 4, MK_BATCH = 32 };

/* ---- the block's shape ------------------------------------------------------------------------------------------ */

struct mk_shape {
    uint32_t rows;  /* thread rows TY; 0: the lattice does not fit a block */
    uint32_t pairs; /* pairs a thread, rounded up to 1, 2 or 4 */
};

static mk_shape mk_block_shape(uint32_t H, uint32_t W)
{
    mk_shape s = {0, 0};
    const uint32_t pair_rows = (H + 1) / 2;
    if (W > MK_THREADS) return s;
    const uint32_t rows = MK_THREADS / W < pair_rows ? MK_THREADS / W : pair_rows;
    uint32_t pairs = 1;
    while (pairs * rows < pair_rows) pairs *= 2;
    if (pairs > MK_MAX_PAIRS) return s;
    s.rows = rows;
    s.pairs = pairs;
    return s;
}

static size_t mk_padded(uint32_t H, uint32_t W)
{
    return (size_t)(H + 2) * (W + 2);
}

static size_t mk_aligned(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

static size_t mk_forward_shared(uint32_t H, uint32_t W)
{
    return sizeof(mk_forward_head) + mk_aligned(2 * mk_padded(H, W));
}

static size_t mk_backward_shared(uint32_t H, uint32_t W, uint32_t threads)
{
    const size_t planes = mk_padded(H, W) * (2 * sizeof(float) + 1), scratch = threads * sizeof(double);
    return sizeof(mk_backward_head) + mk_aligned(planes > scratch ? planes : scratch);
}

bool lg_mk_fits_block(const lg_job *job, const lg_device *device, bool backward)
{
    const mk_shape s = mk_block_shape(job->height, job->width);
    if (!s.rows) return false;
    const size_t bytes = backward ? mk_backward_shared(job->height, job->width, s.rows * job->width)
                                  : mk_forward_shared(job->height, job->width);
    return bytes <= (size_t)device->shared_limit;
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* Sums of n, n^2, m, m^2 over the lattice, exact integers, to mean A, mean B, var A, var B. */
static __device__ void mk_record(const uint32_t *sum, uint32_t thread, lg_u64 *total, uint32_t sites, double *out)
{
    if (thread < 4u) total[thread] = 0;
    __syncthreads();
    for (int i = 0; i < 4; i++) atomicAdd(&total[i], (lg_u64)sum[i]);
    __syncthreads();
    if (thread == 0) lg_mk_statistics(total, sites, out);
}

/* from: states to start from, NULL: the pool's. tape and checkpoint may be NULL. */
template <int PAIRS>
static __global__ void LG_THREADS(MK_THREADS) mk_forward(lg_view v, uint32_t step0, uint32_t steps, const uint8_t *from,
                                                         uint8_t *to, uint16_t *tape, uint8_t *checkpoint)
{
    LG_SHARED_MEMORY(memory);
    mk_forward_head *head = (mk_forward_head *)memory;
    uint8_t *planes = memory + sizeof(mk_forward_head);
    const uint32_t W = v.W, H = v.H, sites = H * W, pair_rows = (H + 1u) >> 1, stride = W + 2u;
    const uint32_t fr = blockIdx.x, f = fr / v.R, replicate = fr % v.R, fit_id = v.first_fit + f;
    const uint32_t j = threadIdx.x, y = threadIdx.y, TY = blockDim.y, thread = y * W + j, threads = W * TY;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const uint8_t *source =
        from ? from + (size_t)fr * 2u * sites : v.start + (size_t)lg_view_pool(v, replicate) * 2u * sites;
    uint32_t record = lg_view_record(v, step0 + 1u);
    const uint32_t first = y * W + j; /* the thread's first pair; its k-th is k TY W later */

    lg_mk_copy_fit(&head->fit, v.mk + f, thread, threads);
    uint32_t counts[PAIRS], word0[PAIRS], word1[PAIRS];
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        const uint32_t pair = y + (uint32_t)k * TY;
        counts[k] = pair < pair_rows ? lg_mk_load(source, H, W, pair, j) : 0u;
    }
    __syncthreads();

    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t step = step0 + s;
        if (checkpoint && step > 0 && step % v.segment == 0) {
            uint8_t *save = checkpoint + ((size_t)(step / v.segment - 1u) * gridDim.x + fr) * 2u * sites;
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (y + (uint32_t)k * TY < pair_rows) lg_mk_store(save, H, W, y + (uint32_t)k * TY, j, counts[k]);
        }
        /* Two buffers by parity of the batch: a thread still in the previous step reads the other one. */
        const uint32_t batch = s / MK_BATCH & 1u, slot = s % MK_BATCH;
        if (slot == 0)
            for (uint32_t i = thread; i < 2u * MK_BATCH; i += threads) {
                const int q = lg_mk_draw_direction(&head->fit, key, fit_id, replicate, step + i / 2u, (int)(i % 2u));
                head->offset[batch][i / 2u][i % 2u] = lg_mk_row_offset(q) * (int)stride + lg_mk_column_offset(q);
            }
        uint8_t *e = planes + (s & 1u) * (H + 2u) * stride;
        uint16_t *codes = tape + ((size_t)fr * v.segment + s) * (pair_rows * W) + first;
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = y + (uint32_t)k * TY;
            if (pair >= pair_rows) continue;
            const lg_block b = lg_draw(key, LG_STREAM_MK_SITE, fit_id, replicate, step, first + (uint32_t)k * TY * W);
            const uint32_t pattern = lg_mk_excite_pair(&head->fit, b, counts[k]);
            lg_mk_put(e, H, W, 2u * pair, j, (uint8_t)(pattern & 3u));
            if (2u * pair + 1u < H) lg_mk_put(e, H, W, 2u * pair + 1u, j, (uint8_t)(pattern >> 2));
            word0[k] = b.w[1];
            word1[k] = b.w[3];
        }
        __syncthreads();
        const int to_a = head->offset[batch][slot][0], to_b = head->offset[batch][slot][1];
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = y + (uint32_t)k * TY;
            if (pair >= pair_rows) continue;
            const uint8_t *own = e + (2u * pair + 1u) * stride + j + 1u;
            const uint32_t code0 = lg_mk_move_react(&head->fit, word0[k], own, to_a, to_b, 0u, &counts[k]);
            const uint32_t code1 =
                2u * pair + 1u < H ? lg_mk_move_react(&head->fit, word1[k], own + stride, to_a, to_b, 16u, &counts[k])
                                   : 0u;
            if (tape) codes[(uint32_t)k * TY * W] = (uint16_t)(code0 | code1 << 8);
        }
        if (record < v.records && v.record[record] == step + 1u) {
            uint32_t sum[4] = {0, 0, 0, 0};
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (y + (uint32_t)k * TY < pair_rows) lg_mk_add_counts(counts[k], sum);
            mk_record(sum, thread, head->total, sites, v.replicate_stat + ((size_t)fr * v.records + record) * 4u);
            record++;
        }
    }
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++)
        if (y + (uint32_t)k * TY < pair_rows)
            lg_mk_store(to + (size_t)fr * 2u * sites, H, W, y + (uint32_t)k * TY, j, counts[k]);
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* Steps step0 + steps - 1 down to step0. `state` is the state after the last of them. The adjoint comes from the loss
 * where the last step is the run's last one, else from v.adjoint, and goes back there where step0 > 0. */
template <int PAIRS>
static __global__ void LG_THREADS(MK_THREADS)
    mk_backward(lg_view v, uint32_t step0, uint32_t steps, const uint8_t *state, const uint16_t *tape)
{
    LG_SHARED_MEMORY(memory);
    mk_backward_head *head = (mk_backward_head *)memory;
    const uint32_t W = v.W, H = v.H, sites = H * W, pair_rows = (H + 1u) >> 1, stride = W + 2u,
                   padded = (H + 2u) * stride;
    float *move_a = (float *)(memory + sizeof(mk_backward_head)), *move_b = move_a + padded;
    uint8_t *e = (uint8_t *)(move_b + padded);
    const uint32_t fr = blockIdx.x, f = fr / v.R, replicate = fr % v.R, fit_id = v.first_fit + f;
    const uint32_t j = threadIdx.x, y = threadIdx.y, TY = blockDim.y, thread = y * W + j, threads = W * TY;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const bool last_segment = step0 + steps == v.steps;
    uint32_t record = lg_view_record(v, step0 + steps + 1u); /* records below this one are still to be injected */

    lg_mk_copy_fit(&head->fit, v.mk + f, thread, threads);
    uint32_t counts[PAIRS];
    float lam[PAIRS][4]; /* row 0: A, B; row 1: A, B */
    double total[LG_MK_PARAMS] = {0.0, 0.0, 0.0, 0.0, 0.0};
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        const uint32_t pair = y + (uint32_t)k * TY;
        counts[k] = pair < pair_rows ? lg_mk_load(state + (size_t)fr * 2u * sites, H, W, pair, j) : 0u;
        lam[k][0] = lam[k][1] = lam[k][2] = lam[k][3] = 0.0f;
        if (pair < pair_rows) lg_mk_seed(v, f, replicate, pair, j, last_segment, counts[k], lam[k]);
    }
    __syncthreads();

    for (uint32_t s = steps; s-- > 0;) {
        const uint32_t step = step0 + s, slot = s % MK_BATCH;
        if (slot == MK_BATCH - 1u || s + 1u == steps) {
            for (uint32_t i = thread; i < 2u * (slot + 1u); i += threads)
                lg_mk_weights(&head->fit, key, fit_id, replicate, step - slot + i / 2u, (int)(i % 2u),
                              &head->move[i / 2u][i % 2u]);
        }
        if (record > 0 && v.record[record - 1u] == step + 1u) {
            record--;
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++) lg_mk_inject(v, fr, f, record, counts[k], lam[k]);
        }
        const uint16_t *row_codes = tape + ((size_t)fr * v.segment + s) * (pair_rows * W) + thread;
        float k_sum[3] = {0.0f, 0.0f, 0.0f}, d_sum[2] = {0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = y + (uint32_t)k * TY;
            if (pair >= pair_rows) continue;
            const uint32_t codes = row_codes[(uint32_t)k * TY * W];
            lg_block gumbel = {{0, 0, 0, 0}};
            if (v.estimator == LG_ESTIMATOR_gs)
                gumbel = lg_draw(key, LG_STREAM_MK_GUMBEL, fit_id, replicate, step, pair * W + j);
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                if (2u * pair + row >= H) continue;
                const uint32_t code = codes >> 8u * row & 255u;
                lg_mk_unreact(&head->fit, v.estimator, gumbel.w[2u * row], gumbel.w[2u * row + 1u], code, 16u * row,
                              &counts[k], &lam[k][2u * row], k_sum);
                lg_mk_put(e, H, W, 2u * pair + row, j, (uint8_t)(code & 3u));
                lg_mk_put(move_a, H, W, 2u * pair + row, j, lam[k][2u * row]);
                lg_mk_put(move_b, H, W, 2u * pair + row, j, lam[k][2u * row + 1u]);
            }
        }
        __syncthreads();
        const mk_move *a = &head->move[slot][0], *b = &head->move[slot][1];
        const int from_a = a->row * (int)stride + a->column, from_b = b->row * (int)stride + b->column;
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t pair = y + (uint32_t)k * TY;
            if (pair >= pair_rows) continue;
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                if (2u * pair + row >= H) continue;
                const uint32_t at = (2u * pair + row + 1u) * stride + j + 1u, shift = 16u * row;
                float *own = &lam[k][2u * row], sum_a = 0.0f, sum_b = 0.0f;
                LG_UNROLL
                for (int q = 0; q < LG_MK_DIRECTIONS; q++) {
                    const uint32_t pattern = e[(int)at + lg_mk_row_offset(q) * (int)stride + lg_mk_column_offset(q)];
                    sum_a += (pattern & 1u) ? a->w[q] : 0.0f;
                    sum_b += (pattern & 2u) ? b->w[q] : 0.0f;
                }
                d_sum[0] += own[0] * sum_a;
                d_sum[1] += own[1] * sum_b;
                const uint32_t here = e[at];
                counts[k] += ((here & 1u) << shift) - ((e[(int)at + from_a] & 1u) << shift);
                counts[k] += ((here >> 1) << (shift + 8u)) - ((uint32_t)(e[(int)at + from_b] >> 1) << (shift + 8u));
                const uint32_t n = counts[k] >> shift & 255u, m = counts[k] >> (shift + 8u) & 255u;
                if (n > 0 && n < v.capacity) own[0] = move_a[(int)at - from_a];
                if (m > 0 && m < v.capacity) own[1] = move_b[(int)at - from_b];
            }
        }
        for (int i = 0; i < 3; i++) total[LG_MK_K1 + i] += (double)k_sum[i];
        for (int i = 0; i < 2; i++) total[LG_MK_D_A + i] += (double)d_sum[i];
        __syncthreads();
    }
    if (step0 > 0) {
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++)
            if (y + (uint32_t)k * TY < pair_rows)
                lg_mk_store_adjoint(v.adjoint, fr, H, W, y + (uint32_t)k * TY, j, lam[k]);
    }
    LG_UNROLL
    for (int i = 0; i < LG_MK_PARAMS; i++) {
        const double sum = lg_block_sum(total[i], (double *)move_a, thread, threads);
        double *part = v.part + (size_t)fr * LG_MK_PARAMS + i;
        if (thread == 0) *part = last_segment ? sum : *part + sum;
    }
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

void lg_mk_forward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                         uint8_t *to, uint16_t *tape, uint8_t *checkpoint)
{
    const mk_shape s = mk_block_shape(v.H, v.W);
    void (*kernel)(lg_view, uint32_t, uint32_t, const uint8_t *, uint8_t *, uint16_t *, uint8_t *) =
        s.pairs == 1 ? mk_forward<1> : (s.pairs == 2 ? mk_forward<2> : mk_forward<4>);
    const size_t bytes = mk_forward_shared(v.H, v.W);
    lg_cuda_shared(kernel, bytes);
    LG_LAUNCH(kernel, dim3(v.F * v.R), dim3(v.W, s.rows), bytes, b->stream, v, step0, steps, from, to, tape,
              checkpoint);
}

void lg_mk_backward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *state,
                          const uint16_t *tape)
{
    const mk_shape s = mk_block_shape(v.H, v.W);
    void (*kernel)(lg_view, uint32_t, uint32_t, const uint8_t *, const uint16_t *) =
        s.pairs == 1 ? mk_backward<1> : (s.pairs == 2 ? mk_backward<2> : mk_backward<4>);
    const size_t bytes = mk_backward_shared(v.H, v.W, s.rows * v.W);
    lg_cuda_shared(kernel, bytes);
    LG_LAUNCH(kernel, dim3(v.F * v.R), dim3(v.W, s.rows), bytes, b->stream, v, step0, steps, state, tape);
}
