/* SI lattices of any size, many blocks per lattice: forward steps, losses, one-step pairs of any size (pointwise, with no
 * adjoint stored), and the launchers that choose between this file and si.cu. The mathematics, streams and layout are
 * those of si.cu; si_tile.cuh has the tiles, si_large_back.cu their backward pass.
 *
 * Forward: up to four steps a launch. Tape, checkpoints and the aware sites of recorded steps are written on the way, for the
 * tile alone, so a launch ends nowhere early; the last states go to the other buffer, so that no block reads what another one
 * writes in the same launch. In groups of four sites, step s computes (32 + 2 d) (32 + 2 ceil(d / 4)) of them with
 * d = S - s - 1, against 32 x 32: 6 % more than needed with S = 2, 15 % with S = 4, 32 % with S = 8. A launch costs some
 * microseconds, a step of 2^22 sites at 3e11 sites/s lasts 14: up to there four steps a launch, beyond it one, where
 * nothing is computed twice and reading and writing a third of a byte a site is a fiftieth of the time.
 * Method score: each warp has the same rows of its tile in every launch; it adds a step's scores by a fixed tree and the steps one
 * after the other into its own slot of v.part, whatever the steps a launch.
 * Determinism: sums of integers; a block of the pairs adds its sites by a fixed tree into its own slot of v.part. */
#include "si_tile.cuh"

enum { SI_ITEMS = 1024 /* groups of four sites a block of the pointwise kernels */ };

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* Steps step .. step + steps - 1. from NULL: the pool's start states. slot: of the first step in the tape. SCORE: adds up the
 * scores of the tile's draws. */
template <bool SCORE>
static __global__ void LG_THREADS(SI_THREADS)
    si_tile_forward(lg_view v, uint32_t step, uint32_t steps, uint32_t slot, const uint32_t *from, uint32_t *to,
                    uint32_t *tape, uint32_t *checkpoint)
{
    LG_SHARED_MEMORY(memory);
    si_tile_head *head = (si_tile_head *)memory;
    uint32_t *planes = (uint32_t *)(memory + sizeof(si_tile_head));
    double *table = (double *)(planes + SI_TILE_PLANES);
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const size_t words = (size_t)v.H * t.row_words, all = (size_t)v.F * v.R * words, own = t.fr * words;
    const uint32_t lane = threadIdx.x % 32u, q = SI_TILE_HALO + lane / 8u;
    const bool inside = lane / 8u < t.words;
    double *part = v.part + (size_t)blockIdx.x * SI_TILE_WARPS + threadIdx.x / 32u;
    double score = SCORE && step > 0 ? *part : 0.0;
    si_tile_begin(v, t, head);
    if (SCORE) si_fill_scores(v.params[t.f], threadIdx.x, table);
    __syncthreads();
    si_tile_load(t, head, steps,
                 from ? from + own : (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * words,
                 planes);
    __syncthreads();
    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t far = steps - s - 1u;
        const uint32_t *x = planes + (s & 1u) * (SI_TILE_REGION * SI_TILE_STRIDE);
        uint32_t *y = planes + (~s & 1u) * (SI_TILE_REGION * SI_TILE_STRIDE), aware = 0;
        const bool saved = checkpoint && step + s > 0 && (step + s) % v.segment == 0;
        double step_score = 0.0;
        for (int i = si_tile_first_row(far); i < (int)(t.rows + far); i += SI_TILE_WARPS) {
            const uint32_t at = (uint32_t)(i + SI_TILE_RING) * SI_TILE_STRIDE + q;
            uint32_t bits = 0;
            if (inside) {
                const si_group g = si_tile_group(head, x, v.W, (uint32_t)(i + SI_TILE_RING), q, lane % 8u);
                bits = si_new_bits(&head->fit, key, t.fit_id, t.replicate, step + s, v.W, g);
                if (SCORE && i >= 0 && i < (int)t.rows) si_add_scores(table, g, bits, &step_score);
            }
            bits = si_join(bits);
            if (!inside || lane % 8u != 0) continue;
            const uint32_t before = x[at], after = before | bits;
            y[at] = after;
            if (i < 0 || i >= (int)t.rows) continue;
            const size_t place = own + (size_t)(t.i0 + (uint32_t)i) * t.row_words + t.w0 + lane / 8u;
            if (tape) tape[(slot + s) * all + place] = before;
            if (saved) checkpoint[((step + s) / v.segment - 1u) * all + place] = before;
            if (far == 0) to[place] = after;
            aware += (uint32_t)__popc(after);
        }
        for (uint32_t item = threadIdx.x; far > 0 && item < (t.rows + 2u * far) * 2u * t.halo; item += SI_THREADS) {
            uint32_t r, bits = 0;
            const uint32_t side = si_tile_beside(t, far, item, &r), at = r * SI_TILE_STRIDE + side;
            for (uint32_t group = 0; group < 8u; group++)
                if (si_tile_near(t, head, v.W, side, group, far))
                    bits |= si_new_bits(&head->fit, key, t.fit_id, t.replicate, step + s, v.W,
                                        si_tile_group(head, x, v.W, r, side, group));
            y[at] = x[at] | bits;
        }
        if (v.records > 0) {
            aware += __shfl_xor_sync(0xffffffffu, aware, 16);
            aware += __shfl_xor_sync(0xffffffffu, aware, 8);
            if (lane == 0) atomicAdd(&head->aware[s], aware);
        }
        for (uint32_t lanes = 16; SCORE && lanes > 0; lanes /= 2)
            step_score += __shfl_xor_sync(0xffffffffu, step_score, lanes);
        score += step_score;
        __syncthreads();
    }
    if (SCORE && lane == 0) *part = score;
    if (threadIdx.x >= steps) return;
    const uint32_t after = step + threadIdx.x + 1u, record = lg_view_record(v, after);
    if (record < v.records && v.record[record] == after)
        atomicAdd(&v.sums[(size_t)t.fr * v.records + record], (lg_u64)head->aware[threadIdx.x]);
}

/* Aware sites to fractions, records first .. end - 1. */
static __global__ void LG_THREADS(SI_THREADS) si_tile_statistics(lg_view v, uint32_t first, uint32_t end)
{
    const size_t i = (size_t)blockIdx.x * SI_THREADS + threadIdx.x, fr = i / (end - first);
    const size_t at = fr * v.records + first + i % (end - first);
    if (fr < (size_t)v.F * v.R && !lg_view_skips(v, (uint32_t)(fr / v.R)))
        v.replicate_stat[at] = (double)v.sums[at] / (double)((size_t)v.H * v.W);
}

/* Which lattice and which of its groups a block of the pointwise kernels has. */
struct si_part {
    uint32_t fr, f, replicate, fit_id, words, first, end;
};

static __device__ si_part si_part_of(const lg_view &v)
{
    si_part t;
    t.fr = blockIdx.x / v.parts;
    t.f = t.fr / v.R;
    t.replicate = t.fr % v.R;
    t.fit_id = lg_view_noise_fit(v, t.f);
    t.words = v.H * ((v.W + 31u) >> 5);
    t.first = blockIdx.x % v.parts * SI_ITEMS;
    t.end = 8u * t.words - t.first < SI_ITEMS ? 8u * t.words : t.first + SI_ITEMS;
    return t;
}

/* The pool's start states. */
static __global__ void LG_THREADS(SI_THREADS) si_part_start(lg_view v, uint32_t *to)
{
    const si_part t = si_part_of(v);
    const uint32_t *x = (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * t.words;
    for (uint32_t w = t.first / 8u + threadIdx.x; w < t.end / 8u; w += SI_THREADS)
        to[(size_t)t.fr * t.words + w] = x[w];
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

/* Sites that differ from the observed state; count: the difference in aware sites (sites aware before are aware in
 * both, so it is the difference in newly aware ones). */
static __global__ void LG_THREADS(SI_THREADS) si_part_error(lg_view v)
{
    const si_part t = si_part_of(v);
    if (lg_view_skips(v, t.f)) return;
    const uint32_t *x = (const uint32_t *)v.state + (size_t)t.fr * t.words,
                   *y = si_observed(v, t.f, t.replicate, t.words);
    lg_u64 sum = 0;
    for (uint32_t w = t.first / 8u + threadIdx.x; w < t.end / 8u; w += SI_THREADS)
        sum += v.loss == LG_LOSS_count ? (lg_u64)((long long)__popc(x[w]) - __popc(y[w])) : (lg_u64)__popc(x[w] ^ y[w]);
    sum = lg_warp_sum(sum);
    if (threadIdx.x % 32u == 0) atomicAdd(&v.error[t.fr], sum);
}

/* Exact likelihood: unaware sites with n aware neighbours that stayed (0..8) or turned aware (9..17). A word a thread. */
static __global__ void LG_THREADS(SI_THREADS) si_part_counts(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    uint32_t *total = (uint32_t *)memory;
    const si_part t = si_part_of(v);
    const uint32_t N = LG_SI_NEIGHBOURS + 1u, lane = threadIdx.x % 32u;
    if (lg_view_skips(v, t.f)) return;
    const uint32_t *x = (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * t.words;
    const uint32_t *y = si_observed(v, t.f, t.replicate, t.words);
    if (threadIdx.x < 2u * N) total[threadIdx.x] = 0;
    __syncthreads();
    for (uint32_t first = t.first / 8u; first < t.end / 8u; first += SI_THREADS) {
        const uint32_t w = first + threadIdx.x;
        uint32_t made = 0, unaware = 0;
        si_group g = {};
        if (w < t.end / 8u) {
            made = y[w];
            g = si_locate(x, v.H, v.W, 8u * w);
            unaware = g.valid & ~g.own;
        }
        for (uint32_t n = 0; n < N; n++) {
            uint32_t sites = unaware;
            LG_UNROLL
            for (uint32_t bit = 0; bit < 4u; bit++) sites &= n >> bit & 1u ? g.n[bit] : ~g.n[bit];
            /* both counts of a warp, at most 1,024 each, in a word */
            const uint32_t both = lg_warp_sum((uint32_t)__popc(sites & ~made) | (uint32_t)__popc(sites & made) << 16);
            if (lane != 0) continue;
            atomicAdd(&total[n], both & 0xffffu);
            atomicAdd(&total[N + n], both >> 16);
        }
    }
    __syncthreads();
    if (threadIdx.x >= 2u * N) return;
    lg_u64 *to = &v.error[(size_t)t.fr * 2u * N + threadIdx.x];
    if (v.parts == 1) *to = total[threadIdx.x];
    else atomicAdd(to, (lg_u64)total[threadIdx.x]);
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* One-step pairs: pointwise. */
template <bool AVERAGE> static __global__ void LG_THREADS(SI_THREADS, AVERAGE ? 1 : 0) si_part_pair(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    const si_part t = si_part_of(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const uint32_t *x = (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * t.words;
    const uint32_t *y = (const uint32_t *)v.state + (size_t)t.fr * t.words,
                   *observed = si_observed(v, t.f, t.replicate, t.words);
    double sum = 0.0;
    for (uint32_t item = t.first + threadIdx.x; item < t.end; item += SI_THREADS) {
        const si_group g = si_locate(x, v.H, v.W, item);
        float a[4];
        for (uint32_t s = 0; s < 4u; s++) a[s] = si_seed(v, t.f, t.fr, y, observed, item >> 3, g.shift + s);
        si_back_group<AVERAGE>(v, v.si + t.f, key, t.fit_id, t.replicate, 0, g, a, NULL, NULL, &sum);
    }
    sum = lg_block_sum(sum, (double *)memory, threadIdx.x, SI_THREADS);
    if (threadIdx.x == 0) v.part[blockIdx.x] = sum;
}

static __global__ void LG_THREADS(SI_THREADS) si_part_seed(lg_view v)
{
    const si_part t = si_part_of(v);
    if (lg_view_skips(v, t.f)) return;
    const uint32_t sites = v.H * v.W, first = t.first * 4u, end = first + 4u * SI_ITEMS;
    si_seed_plane(v, t.f, t.fr, t.replicate, t.words, first + threadIdx.x, end < sites ? end : sites,
                  v.adjoint + (size_t)t.fr * sites);
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

static bool si_is_pair(const lg_job *job)
{
    return job->task == LG_TASK_transition && job->steps == 1;
}

static dim3 si_grid(const lg_view &v)
{
    return dim3(v.F * v.R * v.parts);
}

/* Steps step0 .. step0 + steps - 1, in the tiles from one buffer to the other so that the last launch ends in `end`. tape:
 * states before each step, one after the other. */
static void si_run(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from, uint8_t *end,
                   uint8_t *tape, uint8_t *checkpoint)
{
    if (lg_si_fits_block(b->job, b->device, false)) {
        lg_si_forward_block(b, v, step0, steps, from, end, tape, checkpoint);
        return;
    }
    const size_t shared =
        sizeof(si_tile_head) + SI_TILE_PLANES * sizeof(uint32_t) + (v.scores ? SI_SCORES * sizeof(double) : 0);
    const uint32_t most = si_tile_steps(b->job, 1);
    uint32_t first = 0, last = 0;
    while (first < v.records && b->job->record[first] <= step0) first++;
    for (last = first; last < v.records && b->job->record[last] <= step0 + steps;) last++;
    if (last > first) cudaMemsetAsync(v.sums, 0, b->layout.bytes[LG_BUF_SUMS], b->stream);
    for (uint32_t s = 0; s < steps;) {
        const uint32_t some = steps - s < most ? steps - s : most, launches_left = (steps - s - some + most - 1) / most;
        uint8_t *to = launches_left % 2 == 0 ? end : v.other;
        if (to == from) { /* an even number of launches away from `end` itself */
            cudaMemcpyAsync(v.other, from, (size_t)v.F * v.R * b->layout.sample, cudaMemcpyDeviceToDevice, b->stream);
            from = v.other;
        }
        LG_LAUNCH((v.scores ? si_tile_forward<true> : si_tile_forward<false>), dim3(v.F * v.R * si_tiles(v.H, v.W)),
                  dim3(SI_THREADS), shared, b->stream, v, step0 + s, some, s, (const uint32_t *)from, (uint32_t *)to,
                  (uint32_t *)tape, (uint32_t *)checkpoint);
        from = to;
        s += some;
    }
    const uint32_t blocks = (uint32_t)(((size_t)v.F * v.R * (last - first) + SI_THREADS - 1) / SI_THREADS);
    if (last > first) LG_LAUNCH(si_tile_statistics, dim3(blocks), dim3(SI_THREADS), 0, b->stream, v, first, last);
}

static void start(lg_dbatch *b, const lg_view &v)
{
    LG_LAUNCH(si_part_start, si_grid(v), dim3(SI_THREADS), 0, b->stream, v, (uint32_t *)v.state);
}

/* Method score: from moment to moment. */
static void score_run(lg_dbatch *b, const lg_view &v, uint32_t steps)
{
    uint32_t step = 0;
    for (uint32_t k = 0; k < lg_cuda_moments(b->job); k++) {
        const uint32_t end = v.target_stat ? b->job->record[k] : steps;
        si_run(b, v, step, end - step, step ? v.state : NULL, v.state, NULL, NULL);
        lg_cuda_score_moment(b, v, k, step, end);
        step = end;
    }
    if (step < steps) si_run(b, v, step, steps - step, step ? v.state : NULL, v.state, NULL, NULL);
}

static void forward(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep)
{
    if (v.loss == LG_LOSS_nll && keep) return; /* the likelihood needs no simulation */
    if (keep && v.pairs) {
        lg_si_pair(b, v);
        return;
    }
    const bool all = keep && v.segment == v.steps;
    if (keep && v.scores) {
        score_run(b, v, steps);
        return;
    }
    lg_view w = v;
    w.scores = false;
    si_run(b, w, step0, steps, step0 ? v.state : NULL, v.state, all ? v.tape : NULL,
           keep && !all ? v.checkpoint : NULL);
}

static void error(lg_dbatch *b, const lg_view &v)
{
    const size_t counts = 2 * (LG_SI_NEIGHBOURS + 1) * sizeof(uint32_t);
    if (v.loss != LG_LOSS_nll || v.parts > 1) cudaMemsetAsync(v.error, 0, b->layout.bytes[LG_BUF_ERROR], b->stream);
    if (v.loss == LG_LOSS_nll) LG_LAUNCH(si_part_counts, si_grid(v), dim3(SI_THREADS), counts, b->stream, v);
    else LG_LAUNCH(si_part_error, si_grid(v), dim3(SI_THREADS), 0, b->stream, v);
}

static void backward(lg_dbatch *b, const lg_view &v)
{
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample, scratch = SI_THREADS * sizeof(double);
    if (v.loss == LG_LOSS_nll || v.pairs) return; /* the loss has the gradient already, or the forward pass */
    if (v.scores) {
        lg_cuda_score_gradient(b, v);
        return;
    }
    if (si_is_pair(b->job)) {
        LG_LAUNCH((v.average ? si_part_pair<true> : si_part_pair<false>), si_grid(v), dim3(SI_THREADS), scratch,
                  b->stream, v);
        return;
    }
    const bool block = lg_si_fits_block(b->job, b->device, true);
    if (!block) LG_LAUNCH(si_part_seed, si_grid(v), dim3(SI_THREADS), 0, b->stream, v);
    lg_view again = v, walk = v;
    again.records = 0; /* recorded already */
    for (uint32_t segment = (v.steps + v.segment - 1) / v.segment; segment-- > 0;) {
        const uint32_t step0 = segment * v.segment, steps = v.steps - step0 < v.segment ? v.steps - step0 : v.segment;
        if (v.segment < v.steps)
            si_run(b, again, step0, steps, segment ? v.checkpoint + (segment - 1) * bytes : NULL, v.work, v.tape, NULL);
        if (block) lg_si_backward_block(b, v, step0, steps, v.tape);
        else lg_si_backward_tiles(b, &walk, step0, steps, v.tape);
    }
}

static void layout(const lg_job *job, const lg_device *device, bool gradients, lg_layout *l)
{
    const size_t FR = (size_t)job->fits * job->replicates, sites = lg_job_sites(job),
                 words = job->height * (size_t)((job->width + 31u) / 32u);
    const uint32_t segments = (job->steps + l->segment - 1) / l->segment;
    const bool block = lg_si_fits_block(job, device, false), block_back = lg_si_fits_block(job, device, true),
               pair = si_is_pair(job);
    const uint32_t tiles = si_tiles(job->height, job->width);
    l->sample = words * sizeof(uint32_t);
    l->launches = 8 + 2 * segments + (block ? 0 : job->steps / si_tile_steps(job, 1)) +
                  (block_back ? 0 : job->steps / si_tile_steps(job, 2));
    l->parts = (uint32_t)((8 * words + SI_ITEMS - 1) / SI_ITEMS);
    l->grad_parts = pair ? l->parts : (block_back ? 1 : tiles * SI_TILE_WARPS);
    const bool scores = lg_cuda_scores(job, gradients);
    l->pairs = pair && gradients && !scores && job->loss != LG_LOSS_nll && lg_job_sites(job) <= SI_BLOCK_SITES &&
               words <= SI_PAIR_WORDS;
    if (l->pairs) l->grad_parts = 1;
    if (scores) {
        l->grad_parts = block ? 1 : tiles * SI_TILE_WARPS;
        l->launches = 8 + 2 * lg_cuda_moments(job) + (block ? 0 : job->steps / si_tile_steps(job, 1));
    }
    l->bytes[LG_BUF_CONSTANTS] = job->fits * sizeof(lg_si_fit);
    l->bytes[LG_BUF_STATE] = FR * l->sample;
    l->bytes[LG_BUF_OTHER] = block ? 0 : FR * l->sample;
    l->bytes[LG_BUF_SUMS] = block ? 0 : FR * job->records * sizeof(lg_u64);
    l->bytes[LG_BUF_ERROR] = FR * (job->loss == LG_LOSS_nll ? 18 : 1) * sizeof(lg_u64);
    l->bytes[LG_BUF_REPLICATE_STAT] = FR * job->records * sizeof(double);
    if (!gradients) return;
    l->bytes[LG_BUF_PART] = FR * l->grad_parts * sizeof(double);
    l->bytes[LG_BUF_SCORE] = scores ? FR * lg_cuda_moments(job) * sizeof(double) : 0;
    if (pair || scores) return;
    l->bytes[LG_BUF_TAPE] = FR * l->sample * l->segment;
    l->bytes[LG_BUF_CHECKPOINT] = FR * l->sample * (segments - 1);
    l->bytes[LG_BUF_WORK] = segments > 1 ? FR * l->sample : 0;
    if (segments > 1 || !block_back) l->bytes[LG_BUF_ADJOINT] = FR * sites * sizeof(float);
    if (segments > 1 && block_back) /* and the threads' sums between segments */
        l->bytes[LG_BUF_ADJOINT] += FR * sites % 2 * sizeof(float) + FR * SI_THREADS * sizeof(double);
    l->bytes[LG_BUF_ADJOINT2] = block_back ? 0 : FR * sites * sizeof(float);
}

#ifndef LG_DEVICE_PASS
const lg_cuda_model lg_cuda_si = {layout, start, forward, error, backward};
#endif
