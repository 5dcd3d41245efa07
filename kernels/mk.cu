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
 * Threads: a thread has a column j and PAIRS of its block's pairs of rows 2p, 2p + 1, one below the other: two rows share a
 * random block, so a pair costs one block a step. Counts, reaction words and adjoints of a thread's own sites stay in
 * registers for the whole launch; shared memory holds only what neighbours read: the excitations (a word a pair,
 * mk_pair.cuh) and, backward, the adjoints to be moved. Its planes are columns with one row more above and below, which the
 * threads at the ends write; columns wrap where they are read. The nine excitations around a site enter dL/dD by three
 * patterns of three bits, one a row, through a table of what each pattern adds.
 * Barriers: one a step, since planes alternate between two buffers (backward two barriers and one buffer where shared
 * memory is short). The directions of 32 steps are drawn at once by as many threads.
 *
 * Memory: 2 bytes a site of state; the tape is a byte a site and step, stored as one 16-bit word a pair.
 * Estimators: mk_backward<.., MK_AVERAGE> averages over several draws of the Gumbel noise (gr), mk_forward<.., SCORE> adds up the
 * scores of the reactions (method score: estimator.cu). The instances for ste and gs contain neither.
 * Randomness: streams MK_SITE (pair), MK_DIRECTION (species), MK_GUMBEL (pair; estimators gs, gr), counters as in
 * rules/mk.h. Determinism: a thread adds its own sites in index order, in float within a step and in double over
 * steps, and its sums go from one segment of a tape to the one before; the threads are added once at the end by a fixed
 * tree, blocks of a cluster by rank. No atomics on floating point numbers. */
#include "mk_pair.cuh"

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

/* Words of a block's plane of excitations, with its halo: room for all pairs that its threads have. */
static uint32_t mk_words(uint32_t W, const mk_shape *s)
{
    return lg_mk_pitch(s->rows * s->pairs) * W;
}

/* What a thread needs to address a block's planes, backward. */
struct mk_planes {
    uint32_t pitch, sites_pitch; /* from one column to the next, in words of excitations and in adjoints */
    uint32_t words, sites;       /* of one plane */
    uint32_t buffers;
};

static mk_planes mk_planes_of(uint32_t W, const mk_shape *s)
{
    const uint32_t pairs = s->rows * s->pairs, pitch = lg_mk_pitch(pairs), sites_pitch = lg_mk_pitch(2 * pairs);
    return {pitch, sites_pitch, pitch * W, sites_pitch * W, s->buffers};
}

static size_t mk_backward_shared(uint32_t W, const mk_shape *s)
{
    const mk_planes p = mk_planes_of(W, s);
    const size_t planes = p.buffers * (p.sites * 2 * sizeof(float) + p.words * sizeof(uint32_t)),
                 scratch = (size_t)s->rows * W * sizeof(double);
    return sizeof(mk_backward_head) + mk_aligned(planes > scratch ? planes : scratch);
}

static size_t mk_forward_shared(uint32_t W, const mk_shape *s)
{
    const size_t planes = 2 * sizeof(uint32_t) * mk_words(W, s), scratch = (size_t)s->rows * W * sizeof(double);
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
    s.rows = (band + s.pairs - 1) / s.pairs;
    if (s.pairs > (blocks > 1 ? MK_CLUSTER_PAIRS : MK_MAX_PAIRS)) return none;
    s.shared = backward ? mk_backward_shared(W, &s) : mk_forward_shared(W, &s);
    if (backward && s.shared > limit) {
        s.buffers = 1;
        s.shared = mk_backward_shared(W, &s);
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

size_t lg_mk_carry_bytes(const lg_job *job, const lg_device *device)
{
    const mk_shape s = mk_shape_of(job, device, true);
    return (size_t)job->fits * job->replicates * s.blocks * s.rows * job->width * LG_MK_PARAMS * sizeof(double);
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

/* from: states to start from, NULL: the pool's. tape and checkpoint may be NULL. plane, pitch: bytes of a plane, words from
 * one of its columns to the next. SCORE: adds up the scores of the reactions (rules/score.h). */
template <int PAIRS, bool CLUSTER, bool SCORE>
static __global__ void LG_THREADS(MK_THREADS, 1)
    mk_forward(lg_view v, uint32_t blocks, uint32_t plane, uint32_t pitch, uint32_t step0, uint32_t steps,
               const uint8_t *from, uint8_t *to, uint16_t *tape, uint8_t *checkpoint)
{
    LG_SHARED_MEMORY(memory);
    mk_forward_head *head = (mk_forward_head *)memory;
    const mk_band band = lg_mk_band<CLUSTER>(v.H, blocks, memory);
    const uint32_t W = v.W, H = v.H, sites = H * W, pair_rows = (H + 1u) >> 1;
    const uint32_t fr = CLUSTER ? blockIdx.x / blocks : blockIdx.x, f = fr / v.R, replicate = fr % v.R,
                   fit_id = lg_view_noise_fit(v, f);
    const uint32_t j = threadIdx.x, y = threadIdx.y, TY = blockDim.y, thread = y * W + j, threads = W * TY,
                   column = j * pitch, above_pairs = (band.above_rows + 1u) >> 1;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const uint8_t *source =
        from ? from + (size_t)fr * 2u * sites : v.start + (size_t)lg_view_pool(v, f, replicate) * 2u * sites;
    uint32_t record = lg_view_record(v, step0 + 1u);
    const mk_mine mine = lg_mk_mine(band, W, PAIRS);
    const uint32_t first = band.first + mine.first; /* the thread's first pair of rows */

    lg_mk_copy_fit(&head->fit, v.mk + f, thread, threads);
    if (thread < LG_MK_CHANNELS) lg_mk_tabulate(v.mk + f, thread, &head->channel[thread], &head->effect[thread]);
    const uint32_t N = v.capacity;
    const bool certain = lg_mk_may_be_certain(v.mk + f);
    uint32_t counts[PAIRS], excited[PAIRS], word0[PAIRS], word1[PAIRS], arrivals[PAIRS];
    mk_noise_pair noise[PAIRS];
    double score[3] = {0.0, 0.0, 0.0};
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        excited[k] = word0[k] = word1[k] = 0u;
        counts[k] = k < mine.pairs ? lg_mk_load(source, H, W, first + (uint32_t)k, j) : 0u;
        noise[k] = lg_mk_noise_pair(key, fit_id, replicate, (first + (uint32_t)k) * W + j);
    }
    if (CLUSTER) lg_blocks_sync(); /* all blocks have started */
    else __syncthreads();

    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t step = step0 + s;
        if (LG_SELDOM(checkpoint && step > 0 && step % v.segment == 0)) {
            uint8_t *save = checkpoint + ((size_t)(step / v.segment - 1u) * v.F * v.R + fr) * 2u * sites;
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (k < mine.pairs) lg_mk_store(save, H, W, first + (uint32_t)k, j, counts[k]);
        }
        /* Two buffers by parity of the batch: a thread still in the previous step reads the other one. */
        const uint32_t batch = s / MK_BATCH & 1u, slot = s % MK_BATCH;
        if (LG_SELDOM(slot == 0))
            for (uint32_t i = thread; i < 2u * MK_BATCH; i += threads) {
                const int q = lg_mk_draw_direction(&head->fit, key, fit_id, replicate, step + i / 2u, (int)(i % 2u));
                head->jump[batch][i / 2u][i % 2u] = lg_mk_jump(lg_mk_row_offset(q), lg_mk_column_offset(q));
            }
        const uint32_t e = (uint32_t)sizeof(mk_forward_head) + (s & 1u) * plane;
        uint32_t *const own = (uint32_t *)(memory + e) + column + mine.first + 1u;
        const mk_noise_step now = lg_mk_noise_step(key, replicate, step);
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            if (k >= mine.pairs) continue;
            const lg_block b = lg_mk_draw(key, noise[k], now);
            excited[k] = lg_mk_excite(N, b, counts[k]);
            word0[k] = b.w[1];
            word1[k] = b.w[3];
            own[k] = excited[k];
        }
        if (mine.edge) {
            if (mine.first == 0) ((uint32_t *)(band.above + e))[column + above_pairs + 1u] = excited[0];
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (k == mine.last)
                    ((uint32_t *)(band.below + e))[column] = k == mine.odd ? excited[k] << 16 : excited[k];
        }
        if (CLUSTER) lg_blocks_sync();
        else __syncthreads();
        lg_mk_arrivals<PAIRS>(mine, own, pitch, head->jump[batch][slot][0], head->jump[batch][slot][1], arrivals);
        uint16_t *codes = tape + ((size_t)fr * v.segment + s) * (pair_rows * W) + first * W + j;
        float k_sum[3] = {0.0f, 0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            const uint32_t moved = counts[k] + arrivals[k] - excited[k];
            uint32_t code = lg_mk_tape_excited(excited[k]);
            counts[k] = moved;
            if (LG_SELDOM(certain)) {
                lg_mk_react_certain(&head->fit, word0[k], moved, 0u, &counts[k], &code);
                lg_mk_react_certain(&head->fit, word1[k], moved, 1u, &counts[k], &code);
            } else {
                lg_mk_react(head, word0[k], moved, 0u, &counts[k], &code);
                lg_mk_react(head, word1[k], moved, 1u, &counts[k], &code);
            }
            if (tape && k < mine.pairs) codes[(uint32_t)k * W] = (uint16_t)code;
            if (SCORE && k < mine.pairs) lg_mk_add_score(&head->fit, code & 255u, 0u, counts[k], k_sum);
            if (SCORE && k < mine.pairs && k != mine.odd) lg_mk_add_score(&head->fit, code >> 8, 16u, counts[k], k_sum);
        }
        for (int i = 0; SCORE && i < 3; i++) score[i] += (double)k_sum[i];
        if (LG_SELDOM(record < v.records && v.record[record] == step + 1u)) {
            uint32_t sum[4] = {0, 0, 0, 0};
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++)
                if (k < mine.pairs) lg_mk_add_counts(k == mine.odd ? counts[k] & 0xffffu : counts[k], sum);
            mk_record<CLUSTER>(band, blocks, sum, thread, head, sites,
                               v.replicate_stat + ((size_t)fr * v.records + record) * 4u);
            record++;
        }
    }
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++)
        if (k < mine.pairs) lg_mk_store(to + (size_t)fr * 2u * sites, H, W, first + (uint32_t)k, j, counts[k]);
    if (SCORE)
        lg_mk_write_score(v, (size_t)fr * v.grad_parts + band.rank, step0 == 0, score,
                          (double *)(memory + sizeof(mk_forward_head)), thread, threads);
    if (CLUSTER) lg_blocks_sync(); /* until here others write into this block's memory */
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* Writes a thread's excitations and adjoints, and what above and below mirrors them. Bands that end in half a pair lie above
 * the seam of the torus: their last row is row 1 of the halo above the first band. */
template <int PAIRS>
static __device__ inline void mk_backward_put(const mk_band &band, const mk_mine &mine, const mk_planes &p, uint32_t e,
                                              uint32_t adjoint, uint32_t j, const uint32_t *codes,
                                              const float (*lam)[4])
{
    const uint32_t column = j * p.pitch, sites_column = j * p.sites_pitch;
    uint32_t *own = (uint32_t *)(band.memory + e) + column + mine.first + 1u;
    float *a = (float *)(band.memory + adjoint) + sites_column + 2u * mine.first + 1u, *b = a + p.sites;
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        if (k >= mine.pairs) continue;
        own[k] = lg_mk_excited_word(codes[k]);
        a[2 * k] = lam[k][0];
        b[2 * k] = lam[k][1];
        if (k == mine.odd) continue;
        a[2 * k + 1] = lam[k][2];
        b[2 * k + 1] = lam[k][3];
    }
    if (!mine.edge) return;
    if (mine.first == 0) {
        float *halo = (float *)(band.above + adjoint) + sites_column + band.above_rows + 1u;
        ((uint32_t *)(band.above + e))[column + ((band.above_rows + 1u) >> 1) + 1u] = lg_mk_excited_word(codes[0]);
        halo[0] = lam[0][0];
        halo[p.sites] = lam[0][1];
    }
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        if (k != mine.last) continue;
        const bool half = k == mine.odd;
        float *halo = (float *)(band.below + adjoint) + sites_column;
        ((uint32_t *)(band.below + e))[column] = lg_mk_excited_word(codes[k]) << (half ? 16 : 0);
        halo[0] = half ? lam[k][0] : lam[k][2];
        halo[p.sites] = half ? lam[k][1] : lam[k][3];
    }
}

/* The tape words of a thread's pairs in step s of the segment. */
template <int PAIRS>
static __device__ inline void mk_codes(const mk_mine &mine, const uint16_t *tape, uint32_t W, uint32_t *codes)
{
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        codes[k] = k < mine.pairs ? tape[(uint32_t)k * W] : 0u;
        if (k == mine.odd) codes[k] &= 255u;
    }
}

/* A thread's sums so far, from the segment after to the one before. */
static __device__ inline void mk_carry(double *carry, uint32_t thread, uint32_t threads, bool store, double *total)
{
    double *own = carry + (size_t)blockIdx.x * LG_MK_PARAMS * threads + thread;
    LG_UNROLL
    for (int i = 0; i < LG_MK_PARAMS; i++) {
        if (store) own[(uint32_t)i * threads] = total[i];
        else total[i] = own[(uint32_t)i * threads];
    }
}

/* Steps step0 + steps - 1 down to step0. `state` is the state after the last of them. The adjoint comes from the loss
 * where the last step is the run's last one, else from v.adjoint, and goes back there where step0 > 0; a thread's sums do the
 * same by way of v.carry. */
template <int PAIRS, bool CLUSTER, int MODE>
static __global__ void LG_THREADS(MK_THREADS, 1)
    mk_backward(lg_view v, uint32_t blocks, mk_planes planes, uint32_t step0, uint32_t steps, const uint8_t *state,
                const uint16_t *tape)
{
    LG_SHARED_MEMORY(memory);
    mk_backward_head *head = (mk_backward_head *)memory;
    const mk_band band = lg_mk_band<CLUSTER>(v.H, blocks, memory);
    const uint32_t W = v.W, H = v.H, sites = H * W, pair_rows = (H + 1u) >> 1;
    const uint32_t fr = CLUSTER ? blockIdx.x / blocks : blockIdx.x, f = fr / v.R, replicate = fr % v.R,
                   fit_id = lg_view_noise_fit(v, f);
    const uint32_t j = threadIdx.x, thread = threadIdx.y * W + j, threads = W * blockDim.y;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const bool last_segment = step0 + steps == v.steps && !v.formation;
    uint32_t record = lg_view_record(v, step0 + steps + 1u); /* records below this one are still to be injected */
    const mk_mine mine = lg_mk_mine(band, W, PAIRS);
    const uint32_t first = band.first + mine.first, tape_step = pair_rows * W;
    const uint32_t adjoints = (uint32_t)sizeof(mk_backward_head),
                   words = adjoints + planes.buffers * planes.sites * 2u * (uint32_t)sizeof(float);

    lg_mk_copy_fit(&head->fit, v.mk + f, thread, threads);
    if (thread < LG_MK_CHANNELS) lg_mk_tabulate_back(v.mk + f, thread, &head->slope[thread], &head->pick[thread]);
    for (uint32_t i = thread; i < planes.buffers * planes.words; i += threads) ((uint32_t *)(memory + words))[i] = 0;
    uint32_t counts[PAIRS], codes[PAIRS];
    float lam[PAIRS][4]; /* row 0: A, B; row 1: A, B */
    double total[LG_MK_PARAMS] = {0.0, 0.0, 0.0, 0.0, 0.0};
    if (!last_segment) mk_carry(v.carry, thread, threads, false, total);
    LG_UNROLL
    for (int k = 0; k < PAIRS; k++) {
        const uint32_t pair = first + (uint32_t)k;
        counts[k] = k < mine.pairs ? lg_mk_load(state + (size_t)fr * 2u * sites, H, W, pair, j) : 0u;
        lam[k][0] = lam[k][1] = lam[k][2] = lam[k][3] = 0.0f;
        if (k < mine.pairs) lg_mk_seed(v, f, replicate, pair, j, last_segment, counts[k], lam[k]);
    }
    const uint16_t *row_codes = tape + ((size_t)fr * v.segment + steps) * tape_step + first * W + j;
    row_codes -= tape_step;
    if (MODE == MK_HARD) mk_codes<PAIRS>(mine, row_codes, W, codes);
    if (CLUSTER) lg_blocks_sync(); /* all blocks have started */
    else __syncthreads();

    for (uint32_t s = steps; s-- > 0;) {
        const uint32_t step = step0 + s, slot = s % MK_BATCH, batch = s / MK_BATCH & 1u;
        /* a thread still in the step before (s + 1) reads the other buffer */
        const uint32_t buffer = s & (planes.buffers - 1u);
        const uint32_t adjoint = adjoints + buffer * planes.sites * 2u * (uint32_t)sizeof(float),
                       e = words + buffer * planes.words * (uint32_t)sizeof(uint32_t);
        if (LG_SELDOM(slot == MK_BATCH - 1u || s + 1u == steps)) {
            for (uint32_t i = thread; i < 2u * (slot + 1u); i += threads)
                lg_mk_back<MODE == MK_AVERAGE>(&head->fit, key, fit_id, replicate, step - slot + i / 2u, (int)(i % 2u),
                                               &head->back[batch][i / 2u][i % 2u]);
        }
        if (LG_SELDOM(record > 0 && v.record[record - 1u] == step + 1u)) {
            record--;
            LG_UNROLL
            for (int k = 0; k < PAIRS; k++) {
                if (k < mine.pairs) lg_mk_inject(v, fr, f, record, counts[k], lam[k]);
                if (k == mine.odd) lam[k][2] = lam[k][3] = 0.0f;
            }
        }
        if (MODE != MK_HARD) mk_codes<PAIRS>(mine, row_codes, W, codes); /* no registers to have them a step ahead */
        uint32_t arrivals[PAIRS];
        float k_sum[3] = {0.0f, 0.0f, 0.0f}, d_sum[2] = {0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            if (k >= mine.pairs) continue;
            float weight[2] = {1.0f, 1.0f};
            if (MODE == MK_AVERAGE)
                lg_mk_mean_weights(v, &head->fit, fit_id, replicate, step, (first + (uint32_t)k) * W + j, codes[k],
                                   counts[k], weight);
            counts[k] = lg_mk_unfire(head, codes[k], counts[k]);
            if (MODE == MK_SOFT) {
                const lg_block g =
                    lg_draw(key, LG_STREAM_MK_GUMBEL, fit_id, replicate, step, (first + (uint32_t)k) * W + j);
                weight[0] = lg_mk_soft_weight(&head->fit, codes[k], counts[k], 0u, g.w[0], g.w[1]);
                weight[1] = lg_mk_soft_weight(&head->fit, codes[k], counts[k], 1u, g.w[2], g.w[3]);
            }
            lg_mk_adjoint(head, codes[k], counts[k], 0u, weight[0], &lam[k][0], k_sum);
            lg_mk_adjoint(head, codes[k], counts[k], 1u, weight[1], &lam[k][2], k_sum);
        }
        mk_backward_put<PAIRS>(band, mine, planes, e, adjoint, j, codes, lam);
        row_codes -= tape_step;
        if (MODE == MK_HARD && s > 0) mk_codes<PAIRS>(mine, row_codes, W, codes); /* on its way while the others work */
        if (CLUSTER) lg_blocks_sync();
        else __syncthreads();
        const mk_back *a = &head->back[batch][slot][0], *b = &head->back[batch][slot][1];
        const uint32_t *own = (const uint32_t *)(memory + e) + j * planes.pitch + mine.first + 1u;
        const float *site = (const float *)(memory + adjoint) + j * planes.sites_pitch + 2u * mine.first + 1u,
                    *from_a = site + lg_mk_beside(mine, -a->jump.column) * (int)planes.sites_pitch - a->jump.row,
                    *from_b = site + lg_mk_beside(mine, -b->jump.column) * (int)planes.sites_pitch - b->jump.row +
                              planes.sites;
        lg_mk_direction_sums<PAIRS>(mine, own, planes.pitch, a->sums, b->sums, lam, d_sum);
        for (int i = 0; i < 3; i++) total[LG_MK_K1 + i] += (double)k_sum[i];
        for (int i = 0; i < 2; i++) total[LG_MK_D_A + i] += (double)d_sum[i];
        lg_mk_arrivals<PAIRS>(mine, own, planes.pitch, a->jump, b->jump, arrivals);
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++) {
            if (k >= mine.pairs) continue;
            counts[k] += own[k] - arrivals[k];
            const uint32_t left = v.capacity * 0x01010101u - counts[k];
            LG_UNROLL
            for (uint32_t row = 0; row < 2u; row++) {
                const uint32_t of_a = 0xffu << 16u * row, of_b = of_a << 8;
                if ((counts[k] & of_a) && (left & of_a)) lam[k][2u * row] = from_a[2 * k + (int)row];
                if ((counts[k] & of_b) && (left & of_b)) lam[k][2u * row + 1u] = from_b[2 * k + (int)row];
            }
        }
        if (planes.buffers > 1u) continue;
        if (CLUSTER) lg_blocks_sync();
        else __syncthreads();
    }
    if (step0 > 0) {
        LG_UNROLL
        for (int k = 0; k < PAIRS; k++)
            if (k < mine.pairs) lg_mk_store_adjoint(v.adjoint, fr, H, W, first + (uint32_t)k, j, lam[k]);
        mk_carry(v.carry, thread, threads, true, total);
        if (CLUSTER) lg_blocks_sync(); /* until here others write into this block's memory */
        return;
    }
    LG_UNROLL
    for (int i = 0; i < LG_MK_PARAMS; i++) {
        const double sum = lg_block_sum(total[i], (double *)(memory + sizeof(mk_backward_head)), thread, threads);
        if (thread == 0) head->total[i] = sum;
    }
    if (CLUSTER) lg_blocks_sync();
    else __syncthreads();
    if (band.rank == 0 && thread < LG_MK_PARAMS) {
        double sum = head->total[thread];
        for (uint32_t r = 1; CLUSTER && r < blocks; r++)
            sum += ((const mk_backward_head *)lg_blocks_map(memory, r))->total[thread];
        v.part[(size_t)fr * LG_MK_PARAMS + thread] = sum;
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
    const uint32_t plane = mk_words(v.W, &s) * (uint32_t)sizeof(uint32_t), pitch = lg_mk_pitch(s.rows * s.pairs);
    if (s.pairs == 1)
        mk_launch(b, v, s, mk_forward<1, false, SCORE>, mk_forward<1, true, SCORE>, plane, pitch, arguments...);
    else if (s.pairs == 2)
        mk_launch(b, v, s, mk_forward<2, false, SCORE>, mk_forward<2, true, SCORE>, plane, pitch, arguments...);
    else mk_launch(b, v, s, mk_forward<4, false, SCORE>, mk_forward<4, false, SCORE>, plane, pitch, arguments...);
}

void lg_mk_forward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                         uint8_t *to, uint16_t *tape, uint8_t *checkpoint)
{
    if (v.scores) mk_launch_forward<true>(b, v, step0, steps, from, to, tape, checkpoint);
    else mk_launch_forward<false>(b, v, step0, steps, from, to, tape, checkpoint);
}

template <int MODE>
static void mk_launch_backward(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *state,
                               const uint16_t *tape)
{
    const mk_shape s = mk_shape_of(b->job, b->device, true);
    const mk_planes p = mk_planes_of(v.W, &s);
    if (s.pairs == 1)
        mk_launch(b, v, s, mk_backward<1, false, MODE>, mk_backward<1, true, MODE>, p, step0, steps, state, tape);
    else if (s.pairs == 2)
        mk_launch(b, v, s, mk_backward<2, false, MODE>, mk_backward<2, true, MODE>, p, step0, steps, state, tape);
    else mk_launch(b, v, s, mk_backward<4, false, MODE>, mk_backward<4, false, MODE>, p, step0, steps, state, tape);
}

void lg_mk_backward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *state,
                          const uint16_t *tape)
{
    if (v.average) mk_launch_backward<MK_AVERAGE>(b, v, step0, steps, state, tape);
    else if (v.estimator == LG_ESTIMATOR_ste) mk_launch_backward<MK_HARD>(b, v, step0, steps, state, tape);
    else mk_launch_backward<MK_SOFT>(b, v, step0, steps, state, tape);
}
