/* cuBLAS on the CPU, for tests: the functions that kernels/cublas.cuh lists, as their manual describes them. What it checks:
 *   - a handle is created outside of captures and makes its first call there, which on a device loads code and may allocate;
 *   - it has a stream, and a workspace of its own that was set after the stream (setting a stream takes the workspace away);
 *   - matrices lie in allocations of the device, leading dimensions and strides are large enough, results do not overlap.
 * It adds in another order for another number of matrices, as the library may: a result that must not depend on that number
 * betrays itself. */
#ifndef LG_TESTS_CUBLAS_ON_CPU_H
#define LG_TESTS_CUBLAS_ON_CPU_H

#include "cuda_on_cpu.h"

typedef struct cublasContext *cublasHandle_t;
enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_ARCH_MISMATCH = 8,
    CUBLAS_STATUS_EXECUTION_FAILED = 13
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasMath_t { CUBLAS_DEFAULT_MATH = 0, CUBLAS_PEDANTIC_MATH = 2 };
enum cublasAtomicsMode_t { CUBLAS_ATOMICS_NOT_ALLOWED = 0, CUBLAS_ATOMICS_ALLOWED = 1 };

cublasStatus_t cublasCreate(cublasHandle_t *handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode);
const char *cublasGetStatusName(cublasStatus_t status);
const char *cublasGetStatusString(cublasStatus_t status);
/* C_i = alpha op(A_i) op(B_i) + beta C_i for i = 0 ... count - 1; all matrices by columns. */
cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const double *alpha, const double *A, int lda,
                                         long long stride_a, const double *B, int ldb, long long stride_b,
                                         const double *beta, double *C, int ldc, long long stride_c, int count);

/* For tests: what the `calls`-th product from now on returns, 1 = the next; CUBLAS_STATUS_SUCCESS ends it. */
void lg_emu_fail_blas(cublasStatus_t status, int calls);
size_t lg_emu_blas_handles(void); /* that were not destroyed */

#endif
