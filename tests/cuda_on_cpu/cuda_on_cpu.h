/* CUDA on the CPU, for tests: lets a C++17 compiler build the .cu files unchanged and run their kernels, one block (or
 * cluster of blocks) after the other, each thread on a stack of its own (a fiber). Only what the kernels use is here.
 *
 * What it checks while it runs:
 *   - the threads of a block run in the order chosen by lg_emu_set_order() between barriers, and so do the blocks: a
 *     result that depends on the order betrays a missing barrier or a race between blocks;
 *   - every thread of a block reaches the same barrier; no thread has left before. The same for the blocks of a cluster,
 *     each of which runs as far as the cluster's barriers allow; shared memory of a block that has not started or has
 *     left is garbage to the others;
 *   - limits of a launch: threads, grid, shared memory (above 48 KB only after cudaFuncSetAttribute);
 *   - copies and fills stay inside one allocation; allocations end in sentinels (and in the address sanitizer's red
 *     zones where it is on); shared and device memory start out as garbage, as on a device.
 * A violation prints a line and aborts. */
#ifndef LG_TESTS_CUDA_ON_CPU_H
#define LG_TESTS_CUDA_ON_CPU_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>
#include <type_traits>

/* ---- language --------------------------------------------------------------------------------------------------- */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) longlong2 {
    long long x, y;
};
static inline float2 make_float2(float x, float y)
{
    return {x, y};
}

/* Who the running thread is; set by the scheduler at each switch. */
struct lg_emu_place {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
};
extern lg_emu_place lg_emu_here;
#define threadIdx lg_emu_here.thread
#define blockIdx lg_emu_here.block
#define blockDim lg_emu_here.block_dim
#define gridDim lg_emu_here.grid_dim

unsigned char *lg_emu_shared_memory();
void lg_emu_syncthreads(const char *file, int line);
void lg_emu_syncwarp(unsigned mask, const char *file, int line);
/* Deposits a value, waits for the lanes of the mask, returns the value of lane `source` of the warp. */
uint64_t lg_emu_exchange(unsigned mask, uint64_t value, unsigned source, const char *file, int line);
unsigned lg_emu_ballot(unsigned mask, int predicate, const char *file, int line);
unsigned lg_emu_lane();
/* Clusters: the same address in the shared memory of block `rank`, the block's own rank, the cluster's barrier. */
unsigned char *lg_emu_map_shared(unsigned char *memory, unsigned rank);
unsigned lg_emu_cluster_rank();
void lg_emu_synccluster(const char *file, int line);

#define __syncthreads() lg_emu_syncthreads(__FILE__, __LINE__)
#define __syncwarp() lg_emu_syncwarp(0xffffffffu, __FILE__, __LINE__)
#define __ballot_sync(mask, predicate) lg_emu_ballot(mask, predicate, __FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, lanes) \
    lg_emu_shuffle(mask, value, lg_emu_lane() ^ (unsigned)(lanes), __FILE__, __LINE__)
#define __shfl_down_sync(mask, value, delta) \
    lg_emu_shuffle(mask, value, lg_emu_lane() + (unsigned)(delta), __FILE__, __LINE__)

template <class T> T lg_emu_shuffle(unsigned mask, T value, unsigned source, const char *file, int line)
{
    static_assert(sizeof(T) <= 8, "shuffles move at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = lg_emu_exchange(mask, bits, source, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T> T atomicAdd(T *address, T value)
{
    static_assert(std::is_integral<T>::value, "sums of floats must not depend on the order: integers only");
    const T old = *address;
    *address = old + value;
    return old;
}

static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

/* Bytes picked from y:x, byte i of the result by bits 4 i .. 4 i + 2 of the selector. */
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector)
{
    const uint64_t bytes = (uint64_t)y << 32 | x;
    unsigned out = 0;
    for (unsigned i = 0; i < 4; i++) out |= (unsigned)(bytes >> 8u * (selector >> 4u * i & 7u) & 255u) << 8u * i;
    return out;
}

/* Low word of hi:lo shifted right by up to 31 bits. */
static inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned shift)
{
    return (unsigned)(((uint64_t)hi << 32 | lo) >> (shift & 31u));
}

/* c + a's 16-bit halves times the low two bytes of b. */
static inline unsigned __dp2a_lo(unsigned a, unsigned b, unsigned c)
{
    return c + (a & 0xffffu) * (b & 255u) + (a >> 16) * (b >> 8 & 255u);
}

static inline float __uint_as_float(unsigned x)
{
    float f;
    memcpy(&f, &x, sizeof f);
    return f;
}

/* ---- runtime ---------------------------------------------------------------------------------------------------- */

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorUnsupportedPtxVersion = 222,
    cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};

struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
    size_t sharedMemPerBlockOptin, totalGlobalMem;
};

typedef struct lg_emu_stream *cudaStream_t;
typedef struct lg_emu_graph *cudaGraph_t;
typedef struct lg_emu_graph_exec *cudaGraphExec_t;

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char *cudaGetErrorString(cudaError_t error);
const char *cudaGetErrorName(cudaError_t error);
cudaError_t cudaMalloc(void **pointer, size_t bytes);
cudaError_t cudaFree(void *pointer);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t lg_emu_allow_shared(const void *kernel, int bytes);

template <class K> cudaError_t cudaFuncSetAttribute(K *kernel, cudaFuncAttribute, int bytes)
{
    return lg_emu_allow_shared(reinterpret_cast<const void *>(kernel), bytes);
}

/* ---- launches --------------------------------------------------------------------------------------------------- */

/* A launch, with its arguments bound by value, as a captured graph would keep it. */
struct lg_emu_kernel {
    const char *name;
    const void *address;
    dim3 grid, block;
    unsigned cluster; /* blocks a cluster */
    size_t shared;
    std::function<void()> run;
};
void lg_emu_submit(const lg_emu_kernel &kernel, cudaStream_t stream);

template <class... P, class... A>
void lg_emu_launch(const char *name, void (*kernel)(P...), unsigned cluster, dim3 grid, dim3 block, size_t shared,
                   cudaStream_t stream, A &&...arguments)
{
    std::tuple<typename std::decay<P>::type...> bound(std::forward<A>(arguments)...);
    lg_emu_kernel k = {name,   reinterpret_cast<const void *>(kernel),          grid, block, cluster,
                       shared, [kernel, bound]() { std::apply(kernel, bound); }};
    lg_emu_submit(k, stream);
}

/* ---- control, for tests ----------------------------------------------------------------------------------------- */

enum lg_emu_order { LG_EMU_FORWARD, LG_EMU_REVERSE, LG_EMU_RANDOM };
/* Order of blocks, and of the threads of a block between barriers. */
void lg_emu_set_order(lg_emu_order order, uint64_t seed);
/* From now on an illegal address in a kernel is a violation and not a plain crash (the address sanitizer has its own). */
void lg_emu_catch_faults(void);
/* From now on: what a missing device, an old driver or a missing kernel image looks like; cudaSuccess ends it. */
void lg_emu_fail_with(cudaError_t error);
/* Compute capability of devices opened from now on: clusters exist from 9 on. */
void lg_emu_set_capability(int major);
/* Device memory in all. */
void lg_emu_set_memory(size_t bytes);
uint64_t lg_emu_launches(void);
size_t lg_emu_allocated(void);

#endif
