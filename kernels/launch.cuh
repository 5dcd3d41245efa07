/* The one place where kernels meet the compiler: under nvcc this is CUDA; under a plain C++17 compiler the test header
 * cuda_on_cpu.h supplies the same names and runs the threads of a block on the CPU.
 *
 *   LG_LAUNCH(kernel, grid, block, shared bytes, stream, arguments...)
 *   LG_SHARED_MEMORY(name)      unsigned char name[]: the dynamic shared memory of the block, 16-byte aligned
 *   LG_THREADS(n)               at most n threads a block: bounds the registers the compiler may use */
#ifndef LG_KERNELS_LAUNCH_CUH
#define LG_KERNELS_LAUNCH_CUH

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define LG_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define LG_SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]
#define LG_THREADS(n) __launch_bounds__(n)
#define LG_UNROLL _Pragma("unroll")
#else
#include "cuda_on_cpu.h"
#define LG_LAUNCH(kernel, grid, block, shared, stream, ...) \
    lg_emu_launch(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)
#define LG_SHARED_MEMORY(name) unsigned char *const name = lg_emu_shared_memory()
#define LG_THREADS(n)
#define LG_UNROLL
#endif

#endif
