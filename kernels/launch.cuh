/* The one place where kernels meet the compiler: under nvcc this is CUDA; under a plain C++17 compiler the test header
 * cuda_on_cpu.h supplies the same names and runs the threads of a block on the CPU.
 *
 *   LG_LAUNCH(kernel, grid, block, shared bytes, stream, arguments...)
 *   LG_LAUNCH_CLUSTER(kernel, blocks, grid, ...)   the same in clusters of `blocks` blocks (compute capability 9.0 on)
 *   lg_blocks_rank(), lg_blocks_map(), lg_blocks_sync()   in such a kernel: the block's place in its cluster, the same address
 *                               in the shared memory of another of its blocks, the barrier of all their threads
 *   LG_SHARED_MEMORY(name)      unsigned char name[]: the dynamic shared memory of the block, 16-byte aligned
 *   LG_DEVICE_PASS              defined where tables of host functions have to be left out
 *   LG_THREADS(n[, blocks])     at most n threads a block (and `blocks` of them a multiprocessor at least): bounds the registers the
 *                               compiler may use */
#ifndef LG_KERNELS_LAUNCH_CUH
#define LG_KERNELS_LAUNCH_CUH

/* A condition that holds once in many steps: what it guards goes out of the way of the loop. */
#define LG_SELDOM(condition) __builtin_expect(!!(condition), 0)
#define LG_USUALLY(condition) __builtin_expect(!!(condition), 1)

#ifdef __CUDACC__
#ifdef __clang__ /* whose cooperative groups know no clusters; it has the functions below them instead */
#define LG_CLUSTER_RANK() __clusterRelativeBlockRank()
#define LG_CLUSTER_MAP(memory, rank) (unsigned char *)__cluster_map_shared_rank(memory, rank)
#define LG_CLUSTER_SYNC() (__cluster_barrier_arrive(), __cluster_barrier_wait())
#else
#include <cooperative_groups.h>
#define LG_CLUSTER_RANK() cooperative_groups::this_cluster().block_rank()
#define LG_CLUSTER_MAP(memory, rank) cooperative_groups::this_cluster().map_shared_rank(memory, (int)(rank))
#define LG_CLUSTER_SYNC() cooperative_groups::this_cluster().sync()
#endif
#include <cuda_runtime.h>
#if defined(__clang__) && defined(__CUDA_ARCH__)
#define LG_DEVICE_PASS /* clang would put tables of host functions into constant memory */
#endif
#define LG_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define LG_LAUNCH_CLUSTER(kernel, blocks, grid, block, shared, stream, ...) \
    lg_launch_cluster(kernel, blocks, grid, block, shared, stream, __VA_ARGS__)
#define LG_SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]
#define LG_THREADS(...) __launch_bounds__(__VA_ARGS__)
#define LG_UNROLL _Pragma("unroll")
#define LG_ROLLED _Pragma("unroll 1")

/* __byte_perm for a selector that is not known to the compiler, which would mask it; bit 3 of each nibble must be 0. */
static __device__ inline unsigned lg_select_bytes(unsigned x, unsigned y, unsigned selector)
{
    unsigned out;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(x), "r"(y), "r"(selector));
    return out;
}

/* Code for older GPUs has no clusters; the host does not launch such kernels there. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define LG_ON_CLUSTER(expression, otherwise) expression
#else
#define LG_ON_CLUSTER(expression, otherwise) otherwise
#endif
static __device__ inline unsigned lg_blocks_rank()
{
    return LG_ON_CLUSTER(LG_CLUSTER_RANK(), 0u);
}
static __device__ inline unsigned char *lg_blocks_map(unsigned char *memory, unsigned rank)
{
    return LG_ON_CLUSTER(LG_CLUSTER_MAP(memory, rank), memory + 0u * rank);
}
static __device__ inline void lg_blocks_sync()
{
    LG_ON_CLUSTER(LG_CLUSTER_SYNC(), (void)0);
}

template <class... P, class... A>
static inline void lg_launch_cluster(void (*kernel)(P...), unsigned blocks, dim3 grid, dim3 block, size_t shared,
                                     cudaStream_t stream, A &&...arguments)
{
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = blocks;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    config.attrs = &cluster;
    config.numAttrs = 1;
    cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...); /* cudaGetLastError has what goes wrong */
}
#else
#include "cuda_on_cpu.h"
#define LG_LAUNCH(kernel, grid, block, shared, stream, ...) \
    lg_emu_launch(#kernel, kernel, 1, grid, block, shared, stream, __VA_ARGS__)
#define LG_LAUNCH_CLUSTER(kernel, blocks, grid, block, shared, stream, ...) \
    lg_emu_launch(#kernel, kernel, blocks, grid, block, shared, stream, __VA_ARGS__)
#define lg_select_bytes(x, y, selector) __byte_perm(x, y, selector)
#define lg_blocks_rank() lg_emu_cluster_rank()
#define lg_blocks_map(memory, rank) lg_emu_map_shared(memory, rank)
#define lg_blocks_sync() lg_emu_synccluster(__FILE__, __LINE__)
#define LG_SHARED_MEMORY(name) unsigned char *const name = lg_emu_shared_memory()
#define LG_THREADS(...)
#define LG_UNROLL
#define LG_ROLLED
#endif

#endif
