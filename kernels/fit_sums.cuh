/* Sums over replicates, statistics or parts for fit.cu: several at a time, of a block of FIT_THREADS threads. */
#ifndef LG_KERNELS_FIT_SUMS_CUH
#define LG_KERNELS_FIT_SUMS_CUH

#include "device.cuh"

enum {
    FIT_THREADS = 256,
    FIT_WARPS = FIT_THREADS / 32,
    FIT_THREAD_ADDS = 16, /* up to so many values are added by one thread, */
    FIT_WARP_ADDS = 256,  /* up to so many by one warp, more by the block */
    FIT_BATCH = 32        /* sums of the block at a time */
};

/* `sums` sums of count values each, value(s, i) of sum s, in an order that depends on count alone; one thread each calls
 * done(s, sum). busy: so many warps have another sum already, the next ones begin. A barrier is the caller's. */
template <class V, class D>
static __device__ void fixed_sums(uint32_t sums, uint32_t count, uint32_t busy, double *scratch, V value, D done)
{
    const uint32_t lane = threadIdx.x % 32u, warp = threadIdx.x / 32u;
    if (count <= FIT_THREAD_ADDS) {
        for (uint32_t s = (threadIdx.x - 32u * busy) % FIT_THREADS; s < sums; s += FIT_THREADS) {
            double sum = 0.0;
            for (uint32_t i = 0; i < count; i++) sum += value(s, i);
            done(s, sum);
        }
        return;
    }
    if (count <= FIT_WARP_ADDS) {
        for (uint32_t s = (warp - busy) % FIT_WARPS; s < sums; s += FIT_WARPS) {
            double sum = 0.0;
            for (uint32_t i = lane; i < count; i += 32u) sum += value(s, i);
            sum = lg_warp_sum(sum);
            if (lane == 0) done(s, sum);
        }
        return;
    }
    for (uint32_t first = 0; first < sums; first += FIT_BATCH) {
        const uint32_t most = FIT_BATCH, some = sums - first < most ? sums - first : most;
        __syncthreads(); /* scratch is in nobody's use */
        for (uint32_t s = 0; s < some; s++) {
            double sum = 0.0;
            for (uint32_t i = threadIdx.x; i < count; i += FIT_THREADS) sum += value(first + s, i);
            sum = lg_warp_sum(sum);
            if (lane == 0) scratch[s * FIT_WARPS + warp] = sum;
        }
        __syncthreads();
        if (threadIdx.x >= some) continue;
        double sum = 0.0;
        for (uint32_t w = 0; w < FIT_WARPS; w++) sum += scratch[threadIdx.x * FIT_WARPS + w];
        done(first + threadIdx.x, sum);
    }
}

#endif
