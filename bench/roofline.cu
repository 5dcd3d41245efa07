/* What bounds the kernels on this GPU: Philox blocks a second, drawn in a kernel or written to memory by cuRAND's host API, and bytes
 * a second of a device-to-device copy. Also shows that cuRAND's Philox4x32-10 gives the words of rules/philox.h, its block function
 * and its host API. CSV lines as of throughput.c; exit status 1 where words differ. */
#include <cuda_runtime.h>
#include <curand_kernel.h>
#include <curand.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "rules/philox.h"

enum { THREADS = 256, BLOCKS = 4096, ROUNDS = 256 };

static __global__ void philox_rate(uint32_t *out)
{
    const uint32_t thread = blockIdx.x * THREADS + threadIdx.x;
    const lg_key key = {{out[0], 0x9abcdefu}};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const lg_block b = lg_philox(i, thread, 3, 4, key);
        sum += b.w[0] ^ b.w[1] ^ b.w[2] ^ b.w[3];
    }
    if (sum == 0x12345678u) out[1] = sum; /* keeps the work */
}

/* Counter and key words from a thread's number, the same function in both generators. */
static __global__ void compare(unsigned long long *different)
{
    const uint32_t t = blockIdx.x * THREADS + threadIdx.x;
    const lg_key key = {{t * 2654435761u, ~t}};
    const lg_block ours = lg_philox(t, t ^ 0xa5a5a5a5u, 7u * t, 0xffffffffu - t, key);
    const uint4 theirs =
        curand_Philox4x32_10(make_uint4(t, t ^ 0xa5a5a5a5u, 7u * t, 0xffffffffu - t), make_uint2(key.k[0], key.k[1]));
    if (ours.w[0] != theirs.x || ours.w[1] != theirs.y || ours.w[2] != theirs.z || ours.w[3] != theirs.w)
        atomicAdd(different, 1ull);
}

/* Block n of the host API's order CURAND_ORDERING_PSEUDO_LEGACY: counter (n / 65536, 0, n mod 65536, 0). */
static __global__ void compare_bulk(const uint4 *theirs, lg_key key, unsigned long long *different)
{
    const uint32_t n = blockIdx.x * THREADS + threadIdx.x;
    const lg_block ours = lg_philox(n >> 16, 0, n & 0xffffu, 0, key);
    const uint4 w = theirs[n];
    if (ours.w[0] != w.x || ours.w[1] != w.y || ours.w[2] != w.z || ours.w[3] != w.w) atomicAdd(different, 1ull);
}

static bool good(curandStatus_t status, const char *doing)
{
    if (status != CURAND_STATUS_SUCCESS)
        fprintf(stderr, "%s: cuRAND reports status %d\n", doing, static_cast<int>(status));
    return status == CURAND_STATUS_SUCCESS;
}

static double median(std::vector<float> &ms)
{
    std::sort(ms.begin(), ms.end());
    return 1e-3 * static_cast<double>(ms[ms.size() / 2]);
}

template <class F> static double timed(F work)
{
    cudaEvent_t start, stop;
    cudaEventCreate(&start);
    cudaEventCreate(&stop);
    work();
    std::vector<float> ms(11);
    for (float &m : ms) {
        cudaEventRecord(start);
        work();
        cudaEventRecord(stop);
        cudaEventSynchronize(stop);
        cudaEventElapsedTime(&m, start, stop);
    }
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
    return median(ms);
}

/* Seconds for `bytes` of bulk words; the first blocks are compared with ours. Negative where cuRAND fails. */
static double bulk_rate(char *memory, size_t bytes, unsigned long long *different)
{
    const lg_key key = {{0x89abcdefu, 0x01234567u}};
    curandGenerator_t generator;
    if (!good(curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10), "creating a generator")) return -1.0;
    unsigned int *words = reinterpret_cast<unsigned int *>(memory);
    bool ok = good(curandSetGeneratorOrdering(generator, CURAND_ORDERING_PSEUDO_LEGACY), "setting its order") &&
              good(curandSetPseudoRandomGeneratorSeed(generator, 0x0123456789abcdefull), "setting its seed") &&
              good(curandGenerate(generator, words, bytes / 4), "drawing words");
    compare_bulk<<<BLOCKS, THREADS>>>(reinterpret_cast<const uint4 *>(memory), key, different);
    const double seconds =
        timed([&] { ok = ok && good(curandGenerate(generator, words, bytes / 4), "drawing words"); });
    curandDestroyGenerator(generator);
    return ok ? seconds : -1.0;
}

int main()
{
    const size_t bytes = static_cast<size_t>(1) << 30;
    char *from = nullptr, *to = nullptr;
    unsigned long long *different = nullptr, count = 0;
    if (cudaMalloc(&from, bytes) || cudaMalloc(&to, bytes) || cudaMalloc(&different, sizeof count)) {
        fprintf(stderr, "%s\n", cudaGetErrorString(cudaGetLastError()));
        return 77;
    }
    cudaMemset(from, 1, bytes);
    cudaMemset(different, 0, sizeof count);
    compare<<<BLOCKS, THREADS>>>(different);
    const double bulk = bulk_rate(to, bytes, different);
    cudaMemcpy(&count, different, sizeof count, cudaMemcpyDeviceToHost);
    const double philox = timed([&] { philox_rate<<<BLOCKS, THREADS>>>(reinterpret_cast<uint32_t *>(from)); });
    const double copy = timed([&] { cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice); });
    const cudaError_t error = cudaDeviceSynchronize();
    if (bulk < 0.0) return 1;
    if (error) {
        fprintf(stderr, "%s\n", cudaGetErrorString(error));
        return 1;
    }
    const double blocks = static_cast<double>(BLOCKS) * THREADS * ROUNDS;
    printf("cuda,roofline,philox blocks,1,1,%.6g,%.6g,blocks/s\n", philox, blocks / philox);
    printf("cuda,roofline,philox blocks of the host API,1,1,%.6g,%.6g,blocks/s\n", bulk,
           static_cast<double>(bytes) / 16.0 / bulk);
    printf("cuda,roofline,copy,1,1,%.6g,%.6g,bytes/s\n", copy, 2.0 * static_cast<double>(bytes) / copy);
    fprintf(stderr, "cuRAND's Philox4x32-10: %llu of %d blocks differ from rules/philox.h\n", count,
            2 * BLOCKS * THREADS);
    cudaFree(from);
    cudaFree(to);
    cudaFree(different);
    return count ? 1 : 0;
}
