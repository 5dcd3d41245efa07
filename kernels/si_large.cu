/* SI lattices of any size: many blocks per lattice, a launch a step forward and two backward; one-step pairs of any
 * size, pointwise, with no adjoint stored; and the launchers that choose between this file and si.cu. The mathematics,
 * streams and layout are those of si.cu.
 *
 * Forward steps go back and forth between two buffers, so that no block reads what another one writes in the same
 * launch. Backward: `back` is pointwise in the adjoints and writes what each site passes to its neighbours into a
 * second plane, from which `gather` adds the eight neighbours.
 * Determinism: a block adds its sites by a fixed tree into its own slot of v.part; finish adds the slots in order. */
#include "si.cuh"

enum { SI_ITEMS = 1024 /* groups of four sites a block */ };

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* Which lattice and which of its groups a block of the many-block kernels has. */
struct si_tile {
    uint32_t fr, f, replicate, fit_id, words, first, end;
};

static __device__ si_tile si_tile_of(const lg_view &v)
{
    si_tile t;
    t.fr = blockIdx.x / v.parts;
    t.f = t.fr / v.R;
    t.replicate = t.fr % v.R;
    t.fit_id = lg_view_noise_fit(v, t.f);
    t.words = v.H * ((v.W + 31u) >> 5);
    t.first = blockIdx.x % v.parts * SI_ITEMS;
    t.end = 8u * t.words - t.first < SI_ITEMS ? 8u * t.words : t.first + SI_ITEMS;
    return t;
}

/* SCORE: adds up the scores of the draws into the tile's slot of v.part. */
template <bool SCORE>
static __global__ void LG_THREADS(SI_THREADS) si_tile_step(lg_view v, uint32_t step, const uint32_t *from, uint32_t *to)
{
    LG_SHARED_MEMORY(memory);
    double *table = (double *)memory, score = 0.0;
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const uint32_t *x = from ? from + (size_t)t.fr * t.words
                             : (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * t.words;
    if (SCORE) {
        si_fill_scores(v.params[t.f], threadIdx.x, table);
        __syncthreads();
    }
    for (uint32_t item = t.first + threadIdx.x; item < t.first + SI_ITEMS; item += SI_THREADS) {
        const uint32_t word = si_step_word(v.si + t.f, key, t.fit_id, t.replicate, step, x, v.H, v.W, item,
                                           item < t.end, SCORE ? table : NULL, &score);
        if ((item & 7u) == 0 && item < t.end) to[(size_t)t.fr * t.words + (item >> 3)] = word;
    }
    if (!SCORE) return;
    score = lg_block_sum(score, table + SI_SCORES, threadIdx.x, SI_THREADS);
    if (threadIdx.x == 0) v.part[blockIdx.x] = step > 0 ? v.part[blockIdx.x] + score : score;
}

/* The pool's start states, as the first entry of a tape. */
static __global__ void LG_THREADS(SI_THREADS) si_tile_start(lg_view v, uint32_t *to)
{
    const si_tile t = si_tile_of(v);
    const uint32_t *x = (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * t.words;
    for (uint32_t w = t.first / 8u + threadIdx.x; w < t.end / 8u; w += SI_THREADS)
        to[(size_t)t.fr * t.words + w] = x[w];
}

/* Aware sites of every lattice, into v.sums. */
static __global__ void LG_THREADS(SI_THREADS) si_tile_sums(lg_view v, const uint32_t *state)
{
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    lg_u64 aware = 0;
    for (uint32_t w = t.first / 8u + threadIdx.x; w < t.end / 8u; w += SI_THREADS)
        aware += (lg_u64)__popc(state[(size_t)t.fr * t.words + w]);
    for (uint32_t lanes = 16; lanes > 0; lanes /= 2) aware += __shfl_xor_sync(0xffffffffu, aware, lanes);
    if (threadIdx.x % 32u == 0) atomicAdd(&v.sums[t.fr], aware);
}

static __global__ void LG_THREADS(SI_THREADS) si_tile_statistics(lg_view v, uint32_t record)
{
    const uint32_t fr = blockIdx.x * SI_THREADS + threadIdx.x;
    if (fr < v.F * v.R && !lg_view_skips(v, fr / v.R))
        v.replicate_stat[(size_t)fr * v.records + record] = (double)v.sums[fr] / (double)((size_t)v.H * v.W);
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

/* Sites that differ from the observed state; count: the difference in aware sites (sites aware before are aware in
 * both, so it is the difference in newly aware ones). */
static __global__ void LG_THREADS(SI_THREADS) si_tile_error(lg_view v)
{
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const uint32_t *x = (const uint32_t *)v.state + (size_t)t.fr * t.words,
                   *y = si_observed(v, t.f, t.replicate, t.words);
    lg_u64 sum = 0;
    for (uint32_t w = t.first / 8u + threadIdx.x; w < t.end / 8u; w += SI_THREADS)
        sum += v.loss == LG_LOSS_count ? (lg_u64)((long long)__popc(x[w]) - __popc(y[w])) : (lg_u64)__popc(x[w] ^ y[w]);
    for (uint32_t lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (threadIdx.x % 32u == 0) atomicAdd(&v.error[t.fr], sum);
}

/* Exact likelihood: unaware sites with n aware neighbours that stayed (0..8) or turned aware (9..17). */
static __global__ void LG_THREADS(SI_THREADS) si_tile_counts(lg_view v)
{
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const uint32_t *x = (const uint32_t *)v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * t.words;
    const uint32_t *y = si_observed(v, t.f, t.replicate, t.words);
    for (uint32_t item = t.first + threadIdx.x; item < t.end; item += SI_THREADS) {
        const si_group g = si_locate(x, v.H, v.W, item);
        const uint32_t made = y[item >> 3];
        for (uint32_t s = 0; s < 4u; s++) {
            const uint32_t bit = g.shift + s;
            if (!(g.valid >> bit & 1u) || (g.own >> bit & 1u)) continue;
            atomicAdd(&v.error[(size_t)t.fr * 18u + 9u * (made >> bit & 1u) + si_neighbours(g, s)], (lg_u64)1);
        }
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* One-step pairs: pointwise. */
template <bool AVERAGE> static __global__ void LG_THREADS(SI_THREADS, AVERAGE ? 1 : 0) si_tile_pair(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    const si_tile t = si_tile_of(v);
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

static __global__ void LG_THREADS(SI_THREADS) si_tile_seed(lg_view v)
{
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const uint32_t sites = v.H * v.W, first = t.first * 4u, end = first + 4u * SI_ITEMS;
    if (threadIdx.x == 0) v.part[blockIdx.x] = 0.0;
    si_seed_plane(v, t.f, t.fr, t.replicate, t.words, first + threadIdx.x, end < sites ? end : sites,
                  v.adjoint + (size_t)t.fr * sites);
}

/* record: of the statistic injected first, or -1. */
template <bool AVERAGE>
static __global__ void LG_THREADS(SI_THREADS, AVERAGE ? 1 : 0)
    si_tile_back(lg_view v, uint32_t step, int record, const uint32_t *states)
{
    LG_SHARED_MEMORY(memory);
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const uint32_t *x = states + (size_t)t.fr * t.words;
    float *adj = v.adjoint + (size_t)t.fr * v.H * v.W, *gain = v.adjoint2 + (size_t)t.fr * v.H * v.W;
    const float add = record >= 0 ? si_injection(v, t.f, (uint32_t)record) : 0.0f;
    double sum = 0.0;
    for (uint32_t item = t.first + threadIdx.x; item < t.end; item += SI_THREADS) {
        const si_group g = si_locate(x, v.H, v.W, item);
        float a[4];
        for (uint32_t k = 0; k < 4u; k++) a[k] = g.j + k < v.W ? adj[(size_t)g.i * v.W + g.j + k] + add : 0.0f;
        si_back_group<AVERAGE>(v, v.si + t.f, key, t.fit_id, t.replicate, step, g, a, adj, gain, &sum);
    }
    sum = lg_block_sum(sum, (double *)memory, threadIdx.x, SI_THREADS);
    if (threadIdx.x == 0) v.part[blockIdx.x] += sum;
}

static __global__ void LG_THREADS(SI_THREADS) si_tile_gather(lg_view v)
{
    const si_tile t = si_tile_of(v);
    if (lg_view_skips(v, t.f)) return;
    const uint32_t sites = v.H * v.W, end = 4u * (t.first + SI_ITEMS) < sites ? 4u * (t.first + SI_ITEMS) : sites;
    float *adj = v.adjoint + (size_t)t.fr * sites;
    for (uint32_t site = 4u * t.first + threadIdx.x; site < end; site += SI_THREADS)
        adj[site] += si_gather(v.adjoint2 + (size_t)t.fr * sites, v.H, v.W, site / v.W, site % v.W);
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

/* tape: states before each step, one after the other. */
static void si_run(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from, uint8_t *end,
                   uint8_t *tape, uint8_t *checkpoint)
{
    if (lg_si_fits_block(b->job, b->device, false)) {
        lg_si_forward_block(b, v, step0, steps, from, end, tape, checkpoint);
        return;
    }
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample;
    uint32_t record = 0;
    while (record < v.records && b->job->record[record] <= step0) record++;
    if (tape && !from) LG_LAUNCH(si_tile_start, si_grid(v), dim3(SI_THREADS), 0, b->stream, v, (uint32_t *)tape);
    else if (tape) cudaMemcpyAsync(tape, from, bytes, cudaMemcpyDeviceToDevice, b->stream);
    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t step = step0 + s;
        uint8_t *to = (steps - 1 - s) % 2 == 0 ? end : v.other;
        if (to == from) { /* an odd number of steps from `end` itself */
            cudaMemcpyAsync(v.other, from, bytes, cudaMemcpyDeviceToDevice, b->stream);
            from = v.other;
        }
        LG_LAUNCH((v.scores ? si_tile_step<true> : si_tile_step<false>), si_grid(v), dim3(SI_THREADS),
                  v.scores ? (SI_SCORES + SI_THREADS) * sizeof(double) : 0, b->stream, v, step, (const uint32_t *)from,
                  (uint32_t *)to);
        from = to;
        if (tape && s + 1 < steps)
            cudaMemcpyAsync(tape + (s + 1) * bytes, to, bytes, cudaMemcpyDeviceToDevice, b->stream);
        if (checkpoint && (step + 1) % v.segment == 0 && step + 1 < v.steps)
            cudaMemcpyAsync(checkpoint + ((step + 1) / v.segment - 1) * bytes, to, bytes, cudaMemcpyDeviceToDevice,
                            b->stream);
        if (record >= v.records || b->job->record[record] != step + 1) continue;
        cudaMemsetAsync(v.sums, 0, (size_t)v.F * v.R * sizeof(lg_u64), b->stream);
        LG_LAUNCH(si_tile_sums, si_grid(v), dim3(SI_THREADS), 0, b->stream, v, (const uint32_t *)to);
        LG_LAUNCH(si_tile_statistics, dim3((v.F * v.R + SI_THREADS - 1) / SI_THREADS), dim3(SI_THREADS), 0, b->stream,
                  v, record);
        record++;
    }
}

static void start(lg_dbatch *b, const lg_view &v)
{
    LG_LAUNCH(si_tile_start, si_grid(v), dim3(SI_THREADS), 0, b->stream, v, (uint32_t *)v.state);
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
    cudaMemsetAsync(v.error, 0, b->layout.bytes[LG_BUF_ERROR], b->stream);
    if (v.loss == LG_LOSS_nll) LG_LAUNCH(si_tile_counts, si_grid(v), dim3(SI_THREADS), 0, b->stream, v);
    else LG_LAUNCH(si_tile_error, si_grid(v), dim3(SI_THREADS), 0, b->stream, v);
}

static void backward(lg_dbatch *b, const lg_view &v)
{
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample, scratch = SI_THREADS * sizeof(double);
    if (v.loss == LG_LOSS_nll) return; /* the loss has the gradient already */
    if (v.scores) {
        lg_cuda_score_gradient(b, v);
        return;
    }
    if (si_is_pair(b->job)) {
        LG_LAUNCH((v.average ? si_tile_pair<true> : si_tile_pair<false>), si_grid(v), dim3(SI_THREADS), scratch,
                  b->stream, v);
        return;
    }
    const bool block = lg_si_fits_block(b->job, b->device, true);
    if (!block) LG_LAUNCH(si_tile_seed, si_grid(v), dim3(SI_THREADS), 0, b->stream, v);
    for (uint32_t segment = (v.steps + v.segment - 1) / v.segment; segment-- > 0;) {
        const uint32_t step0 = segment * v.segment, steps = v.steps - step0 < v.segment ? v.steps - step0 : v.segment;
        if (v.segment < v.steps)
            si_run(b, v, step0, steps, segment ? v.checkpoint + (segment - 1) * bytes : NULL, v.work, v.tape, NULL);
        if (block) {
            lg_si_backward_block(b, v, step0, steps, v.tape);
            continue;
        }
        uint32_t record = v.records;
        while (record > 0 && b->job->record[record - 1] > step0 + steps) record--;
        for (uint32_t s = steps; s-- > 0;) {
            const bool injected = record > 0 && b->job->record[record - 1] == step0 + s + 1;
            if (injected) record--;
            LG_LAUNCH((v.average ? si_tile_back<true> : si_tile_back<false>), si_grid(v), dim3(SI_THREADS), scratch,
                      b->stream, v, step0 + s, injected ? (int)record : -1, (const uint32_t *)(v.tape + s * bytes));
            LG_LAUNCH(si_tile_gather, si_grid(v), dim3(SI_THREADS), 0, b->stream, v);
        }
    }
}

static void layout(const lg_job *job, const lg_device *device, bool gradients, lg_layout *l)
{
    const size_t FR = (size_t)job->fits * job->replicates, sites = lg_job_sites(job),
                 words = job->height * (size_t)((job->width + 31u) / 32u);
    const uint32_t segments = (job->steps + l->segment - 1) / l->segment;
    const bool block = lg_si_fits_block(job, device, false), block_back = lg_si_fits_block(job, device, true),
               pair = si_is_pair(job);
    l->sample = words * sizeof(uint32_t);
    l->launches = 8 + 2 * segments + (block ? 0 : 2 * job->steps) + (block_back ? 0 : 2 * job->steps);
    l->parts = (uint32_t)((8 * words + SI_ITEMS - 1) / SI_ITEMS);
    l->grad_parts = !pair && block_back ? 1 : l->parts;
    const bool scores = lg_cuda_scores(job, gradients);
    if (scores) {
        l->grad_parts = block ? 1 : l->parts;
        l->launches = 8 + 2 * lg_cuda_moments(job) + (block ? 0 : 2 * job->steps);
    }
    l->bytes[LG_BUF_CONSTANTS] = job->fits * sizeof(lg_si_fit);
    l->bytes[LG_BUF_STATE] = FR * l->sample;
    l->bytes[LG_BUF_OTHER] = block ? 0 : FR * l->sample;
    l->bytes[LG_BUF_SUMS] = block ? 0 : FR * sizeof(lg_u64);
    l->bytes[LG_BUF_ERROR] = FR * (job->loss == LG_LOSS_nll ? 18 : 1) * sizeof(lg_u64);
    l->bytes[LG_BUF_REPLICATE_STAT] = FR * job->records * sizeof(double);
    if (!gradients) return;
    l->bytes[LG_BUF_PART] = FR * l->grad_parts * sizeof(double);
    l->bytes[LG_BUF_SCORE] = scores ? FR * lg_cuda_moments(job) * sizeof(double) : 0;
    if (pair || scores) return;
    l->bytes[LG_BUF_TAPE] = FR * l->sample * l->segment;
    l->bytes[LG_BUF_CHECKPOINT] = FR * l->sample * (segments - 1);
    l->bytes[LG_BUF_WORK] = segments > 1 ? FR * l->sample : 0;
    l->bytes[LG_BUF_ADJOINT] = segments > 1 || !block_back ? FR * sites * sizeof(float) : 0;
    l->bytes[LG_BUF_ADJOINT2] = block_back ? 0 : FR * sites * sizeof(float);
}

const lg_cuda_model lg_cuda_si = {layout, start, forward, error, backward};
