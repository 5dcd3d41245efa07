/* cuBLAS as a build by nvcc opens it; needs no GPU. Where the library is, all functions are found and a handle without a GPU fails
 * with a name; where it is not, the message has the remedy. */
#include "cublas.cuh"

int main()
{
    lg_context ctx = {};
    lg_blas blas;
    cublasHandle_t handle = NULL;
    const lg_status status = lg_blas_open(&ctx, &blas);
    if (status) {
        printf("%s\n", ctx.message);
        return status == LG_ERR_LIBRARY && strstr(ctx.message, "LD_LIBRARY_PATH") ? 0 : 1;
    }
    if (strcmp(blas.status_name(CUBLAS_STATUS_ALLOC_FAILED), "CUBLAS_STATUS_ALLOC_FAILED") != 0) return 1;
    const cublasStatus_t created = blas.create(&handle);
    if (created == CUBLAS_STATUS_SUCCESS) return blas.destroy(handle) != CUBLAS_STATUS_SUCCESS; /* a GPU */
    const lg_status failed = lg_blas_status(&ctx, &blas, created, "creating a handle");
    printf("%s\n", ctx.message);
    return failed == LG_ERR_DEVICE && strstr(ctx.message, "CUBLAS_STATUS_") && strstr(ctx.message, "use") ? 0 : 1;
}
