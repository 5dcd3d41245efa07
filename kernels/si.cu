/* SI, the diffusive spread of a news item, on lattices that fit one thread block: forward, backward, launchers.
 *
 * Forward:   X' = X + (1 - X) H(p_N - u), N = aware Moore neighbours, p_N = 1 - (1 - beta)^N
 * Backward, a = dL/dX':   dL/dbeta += sum a (1 - X) weight N (1 - beta)^(N-1)
 *            dL/dX = a (1 - H(p - u)) + sum over the 8 neighbours j of g_j,   g_j = a_j (1 - X_j) weight_j dp_N/dN
 *
 * A lattice is one bit a site, rows of 32-bit words. A thread has a group of four sites, which share a random block;
 * eight neighbouring threads have a word, count its neighbours bit-sliced (30 logical operations for 32 sites) and
 * join their new bits by shuffles. Random blocks are drawn only where an unaware site has an aware neighbour.
 * Here: lattices up to SI_BLOCK_SITES, one block per (fit, replicate), all steps in one launch, two buffers in shared
 * memory and one barrier a step; backward with adjoints in shared memory and two barriers a step. si_large.cu: larger
 * lattices and one-step pairs of any size.
 *
 * Memory: an eighth of a byte a site of state, and as much a step for the states the backward pass walks through.
 * Randomness: streams SI_SITE (four sites a block) and SI_GUMBEL (two sites a block; estimators gs, gr), counters as in
 * rules/si.h. Determinism: double sums per thread in index order, then a fixed tree; integer atomics only. */
#include "si.cuh"

/* ---- forward ---------------------------------------------------------------------------------------------------- */

struct alignas(16) si_head {
    lg_si_fit fit;
    lg_u64 aware;
};

/* All steps of one lattice. from NULL: the pool's start states. tape: states before each step. SCORE: adds up the scores of the
 * draws (rules/score.h) into the lattice's slot of v.part. */
template <bool SCORE>
static __global__ void LG_THREADS(SI_THREADS)
    si_forward(lg_view v, uint32_t step0, uint32_t steps, const uint32_t *from, uint32_t *to, uint32_t *tape,
               uint32_t *checkpoint)
{
    LG_SHARED_MEMORY(memory);
    si_head *head = (si_head *)memory;
    uint32_t *planes = (uint32_t *)(memory + sizeof(si_head));
    const uint32_t fr = blockIdx.x, f = fr / v.R, replicate = fr % v.R, thread = threadIdx.x;
    if (lg_view_skips(v, f)) return;
    const uint32_t words = v.H * ((v.W + 31u) >> 5), items = 8u * words, padded = (items + 31u) & ~31u;
    const lg_key key = lg_view_key(v);
    const uint32_t fit_id = lg_view_noise_fit(v, f);
    const uint32_t *source =
        from ? from + (size_t)fr * words : (const uint32_t *)v.start + (size_t)lg_view_pool(v, f, replicate) * words;
    uint32_t record = lg_view_record(v, step0 + 1u);
    double *table = (double *)(planes + 2u * words), score = 0.0;
    si_copy_fit(&head->fit, v.si + f, thread);
    if (SCORE) si_fill_scores(v.params[f], thread, table);
    for (uint32_t w = thread; w < words; w += SI_THREADS) planes[w] = source[w];
    __syncthreads();
    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t *x = planes + (s & 1u) * words;
        uint32_t *y = planes + (~s & 1u) * words, step = step0 + s;
        const bool recorded = record < v.records && v.record[record] == step + 1u,
                   saved = checkpoint && step > 0 && step % v.segment == 0;
        for (uint32_t w = thread; w < words && (tape || saved); w += SI_THREADS) {
            if (tape) tape[((size_t)s * gridDim.x + fr) * words + w] = x[w];
            if (saved) checkpoint[((size_t)(step / v.segment - 1u) * gridDim.x + fr) * words + w] = x[w];
        }
        lg_u64 aware = 0;
        for (uint32_t item = thread; item < padded; item += SI_THREADS) {
            const uint32_t word = si_step_word(&head->fit, key, fit_id, replicate, step, x, v.H, v.W, item,
                                               item < items, SCORE ? table : NULL, &score);
            if ((item & 7u) != 0 || item >= items) continue;
            y[item >> 3] = word;
            aware += (lg_u64)__popc(word);
        }
        if (recorded && thread == 0) head->aware = 0;
        __syncthreads();
        if (!recorded) continue;
        atomicAdd(&head->aware, aware);
        __syncthreads();
        if (thread == 0)
            v.replicate_stat[(size_t)fr * v.records + record] = (double)head->aware / (double)((size_t)v.H * v.W);
        record++;
    }
    for (uint32_t w = thread; w < words; w += SI_THREADS) to[(size_t)fr * words + w] = planes[(steps & 1u) * words + w];
    if (!SCORE) return;
    score = lg_block_sum(score, table + SI_SCORES, thread, SI_THREADS);
    if (thread == 0) v.part[fr] = step0 > 0 ? v.part[fr] + score : score;
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* A thread's part of dL/dbeta between segments, behind the adjoints: the sum goes on as if the tape were whole. */
static __device__ double *si_kept_sum(const lg_view &v, uint32_t fr, uint32_t thread)
{
    const size_t floats = (size_t)v.F * v.R * v.H * v.W;
    return (double *)(v.adjoint + floats + floats % 2u) + (size_t)fr * SI_THREADS + thread;
}

/* Steps step0 + steps - 1 .. step0 of one lattice, adjoints in shared memory. */
template <bool AVERAGE>
static __global__ void LG_THREADS(SI_THREADS, AVERAGE ? 1 : 0)
    si_backward(lg_view v, uint32_t step0, uint32_t steps, const uint32_t *tape)
{
    LG_SHARED_MEMORY(memory);
    si_head *head = (si_head *)memory;
    const uint32_t fr = blockIdx.x, f = fr / v.R, replicate = fr % v.R, thread = threadIdx.x, sites = v.H * v.W;
    const uint32_t words = v.H * ((v.W + 31u) >> 5);
    float *adj = (float *)(memory + sizeof(si_head)), *gain = adj + sites, *saved = v.adjoint + (size_t)fr * sites;
    if (lg_view_skips(v, f)) return;
    const lg_key key = lg_view_key(v);
    const uint32_t fit_id = lg_view_noise_fit(v, f);
    const bool last_segment = step0 + steps == v.steps;
    uint32_t record = lg_view_record(v, step0 + steps + 1u);
    si_copy_fit(&head->fit, v.si + f, thread);
    if (last_segment) si_seed_plane(v, f, fr, replicate, words, thread, sites, adj);
    for (uint32_t site = thread; site < sites && !last_segment; site += SI_THREADS) adj[site] = saved[site];
    double *kept = si_kept_sum(v, fr, thread), sum = last_segment ? 0.0 : *kept;
    __syncthreads();
    for (uint32_t s = steps; s-- > 0;) {
        const uint32_t *x = tape + ((size_t)s * gridDim.x + fr) * words;
        float add = 0.0f;
        if (record > 0 && v.record[record - 1u] == step0 + s + 1u) add = si_injection(v, f, --record);
        for (uint32_t item = thread; item < 8u * words; item += SI_THREADS) {
            const si_group g = si_locate(x, v.H, v.W, item);
            const uint32_t at = g.i * v.W + g.j;
            float a[4];
            for (uint32_t k = 0; k < 4u; k++) a[k] = g.j + k < v.W ? adj[at + k] + add : 0.0f;
            si_back_group<AVERAGE>(v, &head->fit, key, fit_id, replicate, step0 + s, g, a, adj + at, gain + at, &sum);
        }
        __syncthreads();
        for (uint32_t site = thread; site < sites; site += SI_THREADS)
            adj[site] += si_gather(gain, v.H, v.W, site / v.W, site % v.W);
        __syncthreads();
    }
    for (uint32_t site = thread; site < sites && step0 > 0; site += SI_THREADS) saved[site] = adj[site];
    if (step0 > 0) {
        *kept = sum;
        return;
    }
    sum = lg_block_sum(sum, (double *)adj, thread, SI_THREADS);
    if (thread == 0) v.part[fr] = sum;
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

static size_t si_forward_shared(const lg_job *job)
{
    return sizeof(si_head) + 2 * sizeof(uint32_t) * job->height * ((job->width + 31u) / 32u);
}

static size_t si_backward_shared(const lg_job *job)
{
    const size_t planes = 2 * sizeof(float) * lg_job_sites(job), scratch = SI_THREADS * sizeof(double);
    return sizeof(si_head) + (planes > scratch ? planes : scratch);
}

bool lg_si_fits_block(const lg_job *job, const lg_device *device, bool backward)
{
    const size_t bytes = backward ? si_backward_shared(job) : si_forward_shared(job);
    return lg_job_sites(job) <= SI_BLOCK_SITES && bytes <= (size_t)device->shared_limit;
}

void lg_si_forward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                         uint8_t *to, uint8_t *tape, uint8_t *checkpoint)
{
    const size_t shared = si_forward_shared(b->job) + (v.scores ? (SI_SCORES + SI_THREADS) * sizeof(double) : 0);
    auto *const kernel = v.scores ? si_forward<true> : si_forward<false>;
    lg_cuda_shared(kernel, shared);
    LG_LAUNCH(kernel, dim3(v.F * v.R), dim3(SI_THREADS), shared, b->stream, v, step0, steps, (const uint32_t *)from,
              (uint32_t *)to, (uint32_t *)tape, (uint32_t *)checkpoint);
}

void lg_si_backward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *tape)
{
    const size_t shared = si_backward_shared(b->job);
    auto *const kernel = v.average ? si_backward<true> : si_backward<false>;
    lg_cuda_shared(kernel, shared);
    LG_LAUNCH(kernel, dim3(v.F * v.R), dim3(SI_THREADS), shared, b->stream, v, step0, steps, (const uint32_t *)tape);
}
