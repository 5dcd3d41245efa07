/* The functions of cuBLAS that the kernels' host code calls. The library is half a gigabyte and only the optimiser lm on a GPU needs it, so
 * it is not linked but opened when a fit first asks for it: everything else starts at once and runs where it is absent. */
#ifndef LG_KERNELS_CUBLAS_CUH
#define LG_KERNELS_CUBLAS_CUH

#include "device.cuh"

#ifdef __CUDACC__
#include <cublas_v2.h>
#else
#include "cublas_on_cpu.h"
#endif

/* X(field, function, symbol): names of cublas_v2.h, and what the library calls them. */
#define LG_BLAS_LIST(X)                                            \
    X(create, cublasCreate, "cublasCreate_v2")                     \
    X(destroy, cublasDestroy, "cublasDestroy_v2")                  \
    X(set_stream, cublasSetStream, "cublasSetStream_v2")           \
    X(set_workspace, cublasSetWorkspace, "cublasSetWorkspace_v2")  \
    X(set_math, cublasSetMathMode, "cublasSetMathMode")            \
    X(set_atomics, cublasSetAtomicsMode, "cublasSetAtomicsMode")   \
    X(status_name, cublasGetStatusName, "cublasGetStatusName")     \
    X(status_text, cublasGetStatusString, "cublasGetStatusString") \
    X(gemm, cublasDgemmStridedBatched, "cublasDgemmStridedBatched")

struct lg_blas {
#define LG_BLAS_FIELD(field, function, symbol) decltype(&function) field;
    LG_BLAS_LIST(LG_BLAS_FIELD)
#undef LG_BLAS_FIELD
};

/* LG_ERR_LIBRARY with the remedy where the library or one of the functions is missing. */
lg_status lg_blas_open(lg_context *ctx, lg_blas *blas);
/* A status of the library as one of ours; LG_OK for CUBLAS_STATUS_SUCCESS. */
lg_status lg_blas_status(lg_context *ctx, const lg_blas *blas, cublasStatus_t status, const char *doing);

#endif
