/* SI, one-step pairs of lattices that fit one thread block: forward step, error and gradient in one launch, so that an optimiser
 * iteration is this kernel and fit_pass of fit.cu.
 *
 *   X' = X + (1 - X) H(p_N - u),    dL/dbeta = sum a (1 - X) weight N (1 - beta)^(N-1),    a = dL/dX'
 *
 * State losses: a = slope 2 (X' - X_obs), and slope, the same for all, is known only once the errors of all replicates are: the
 * kernel adds up for a slope of 1, fit_pass multiplies. count: a = 2 E_r / R with the replicate's own difference in aware sites E_r,
 * which the block knows at its end.
 *
 * Threads: one block per (fit, replicate), a group of four sites a thread and turn; a random block of a group is drawn once
 * for both passes. Memory: start and observed state in shared memory, a quarter of a byte a site; what a block reads first
 * (clock, pair, words, constants) is asked for as early as it can be, since 128 pairs wait for it together.
 * Randomness: streams SI_SITE and SI_GUMBEL as in si.cuh. Determinism: double sums per thread in index order, then by shuffles
 * within the warps and over them; the number of threads follows from the lattice. */
#include "si.cuh"

enum { PAIR_THREADS = 512, PAIR_WARPS = PAIR_THREADS / 32 };

struct alignas(16) si_pair_head {
    double gradient[PAIR_WARPS];
    int error[PAIR_WARPS];
    lg_si_fit fit;
};

/* Sums of the block, by its first warp: all of its lanes get them. */
static __device__ inline void si_pair_sums(si_pair_head *head, uint32_t warps, int *error, double *gradient)
{
    const uint32_t lane = threadIdx.x % 32u;
    *error = lg_warp_sum(*error);
    *gradient = lg_warp_sum(*gradient);
    if (lane == 0) {
        head->error[threadIdx.x / 32u] = *error;
        head->gradient[threadIdx.x / 32u] = *gradient;
    }
    __syncthreads();
    if (threadIdx.x >= 32u) return;
    *error = lg_warp_sum(lane < warps ? head->error[lane] : 0);
    *gradient = lg_warp_sum(lane < warps ? head->gradient[lane] : 0.0);
}

template <bool AVERAGE>
static __global__ void LG_THREADS(PAIR_THREADS, AVERAGE ? 1 : 0) si_pair(lg_view v, uint32_t threads)
{
    LG_SHARED_MEMORY(memory);
    si_pair_head *head = (si_pair_head *)memory;
    const uint32_t fr = blockIdx.x, f = fr / v.R, replicate = fr % v.R, thread = threadIdx.x;
    const uint32_t words = v.H * ((v.W + 31u) >> 5), items = 8u * words, padded = (items + 31u) & ~31u;
    const bool count = v.loss == LG_LOSS_count, gs = AVERAGE || v.estimator == LG_ESTIMATOR_gs;
    const size_t row = (size_t)lg_view_pool(v, f, replicate) * words;
    uint32_t *x = (uint32_t *)(memory + sizeof(si_pair_head)), *observed = x + words;
    uint32_t *to = (uint32_t *)v.state + (size_t)fr * words;
    const lg_key key = lg_view_key(v);
    if (lg_view_skips(v, f)) return;
    si_copy_fit(&head->fit, v.si + f, thread, threads);
    for (uint32_t w = thread; w < words; w += threads) {
        x[w] = ((const uint32_t *)v.start)[row + w];
        observed[w] = ((const uint32_t *)v.target)[row + w];
    }
    const uint32_t fit_id = lg_view_noise_fit(v, f);
    double sum = 0.0;
    int error = 0;
    __syncthreads();
    for (uint32_t item = thread; item < padded; item += threads) {
        uint32_t bits = 0, own = 0;
        if (item < items) {
            const uint32_t wanted = observed[item >> 3];
            const si_group g = si_locate(x, v.H, v.W, item);
            own = g.own;
            bits = si_new_bits(&head->fit, key, fit_id, replicate, 0, v.W, g);
            const uint32_t after = (own | bits) >> g.shift & 15u, observed4 = wanted >> g.shift & 15u;
            error += count ? __popc(after) - __popc(observed4) : __popc(after ^ observed4);
            float a[4];
            LG_UNROLL
            for (uint32_t s = 0; s < 4u; s++)
                a[s] = count ? 1.0f : 2.0f * (float)((int)(after >> s & 1u) - (int)(observed4 >> s & 1u));
            si_back_sites<AVERAGE>(v, &head->fit, key, fit_id, replicate, 0, g, bits >> g.shift & 15u, gs, a, NULL,
                                   NULL, &sum);
        }
        bits = si_join(bits);
        if (item < items && (item & 7u) == 0) to[item >> 3] = own | bits;
    }
    si_pair_sums(head, threads / 32u, &error, &sum);
    if (thread != 0) return;
    v.error[fr] = (lg_u64)(long long)error;
    v.part[fr] = count ? 2.0 * (double)error / (double)v.R * sum : sum;
}

void lg_si_pair(lg_dbatch *b, const lg_view &v)
{
    const uint32_t words = v.H * ((v.W + 31u) / 32u), most = PAIR_THREADS, padded = (8u * words + 31u) & ~31u,
                   threads = padded < most ? padded : most;
    LG_LAUNCH((v.average ? si_pair<true> : si_pair<false>), dim3(v.F * v.R), dim3(threads),
              sizeof(si_pair_head) + 2 * words * sizeof(uint32_t), b->stream, v, threads);
}
