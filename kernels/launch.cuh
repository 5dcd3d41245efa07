/* The one place where kernels meet the compiler: under nvcc this is CUDA; under a plain C++17 compiler the test header
 * cuda_on_cpu.h supplies the same names and runs the threads of a block on the CPU.
 *
 *   LG_LAUNCH(kernel, grid, block, shared bytes, stream, arguments...)
 *   LG_LAUNCH_CLUSTER(kernel, blocks, grid, ...)   the same in clusters of `blocks` blocks (compute capability 9.0 on)
 *   lg_blocks_rank(), lg_blocks_map(), lg_blocks_sync()   in such a kernel: the block's place in its cluster, the same address
 *                               in the shared memory of another of its blocks, the barrier of all their threads
 *   LG_SHARED_MEMORY(name)      unsigned char name[]: the dynamic shared memory of the block, 16-byte aligned
 *   LG_THREADS(n), LG_THREADS(n, 1)   at most n threads a block: bounds the registers the compiler may use; 1: it need not
 *                               leave room for a second block */
#ifndef LG_KERNELS_LAUNCH_CUH
#define LG_KERNELS_LAUNCH_CUH

#ifdef __CUDACC__
#include <cooperative_groups.h>
#include <cuda_runtime.h>
#define LG_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define LG_LAUNCH_CLUSTER(kernel, blocks, grid, block, shared, stream, ...) \
    lg_launch_cluster(kernel, blocks, grid, block, shared, stream, __VA_ARGS__)
#define LG_SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]
#define LG_THREADS(...) __launch_bounds__(__VA_ARGS__)
#define LG_UNROLL _Pragma("unroll")
#define LG_ROLLED _Pragma("unroll 1")

/* Code for older GPUs has no clusters; the host does not launch such kernels there. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define LG_ON_CLUSTER(expression, otherwise) expression
#else
#define LG_ON_CLUSTER(expression, otherwise) otherwise
#endif
static __device__ inline unsigned lg_blocks_rank()
{
    return LG_ON_CLUSTER(cooperative_groups::this_cluster().block_rank(), 0u);
}
static __device__ inline unsigned char *lg_blocks_map(unsigned char *memory, unsigned rank)
{
    return LG_ON_CLUSTER(cooperative_groups::this_cluster().map_shared_rank(memory, (int)rank), memory + 0u * rank);
}
static __device__ inline void lg_blocks_sync()
{
    LG_ON_CLUSTER(cooperative_groups::this_cluster().sync(), (void)0);
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
#define lg_blocks_rank() lg_emu_cluster_rank()
#define lg_blocks_map(memory, rank) lg_emu_map_shared(memory, rank)
#define lg_blocks_sync() lg_emu_synccluster(__FILE__, __LINE__)
#define LG_SHARED_MEMORY(name) unsigned char *const name = lg_emu_shared_memory()
#define LG_THREADS(...)
#define LG_UNROLL
#define LG_ROLLED
#endif

#endif
