/* Opens cuBLAS and says what its errors mean. */
#include "cublas.cuh"

#ifdef __CUDACC__
#include <dlfcn.h>

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x
/* The library of the headers this was compiled with: another major version may have other types. */
#define LIBRARY "libcublas.so." TEXT_OF(CUBLAS_VER_MAJOR)

/* By its name, as any library; then where the toolkit of the build has it. */
static void *open_library(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
#ifdef LG_CUBLAS_DIR
    if (!library) library = dlopen(LG_CUBLAS_DIR "/" LIBRARY, RTLD_NOW | RTLD_LOCAL);
#endif
    return library;
}

lg_status lg_blas_open(lg_context *ctx, lg_blas *blas)
{
    void *library = open_library();
    const char *problem = library ? NULL : dlerror();
    memset(blas, 0, sizeof *blas);
#define FIND(field, function, symbol) \
    if (!problem && !(blas->field = (decltype(blas->field))dlsym(library, symbol))) problem = dlerror();
    LG_BLAS_LIST(FIND)
#undef FIND
    if (!problem) return LG_OK;
    return lg_fail(ctx, LG_ERR_LIBRARY,
                   "optimizer.name lm on a GPU needs cuBLAS, and %s cannot be used (%s): install it (Debian: libcublas "
                   "of the CUDA "
                   "toolkit %d) or put its folder into LD_LIBRARY_PATH, or use --device cpu or optimizer.name adam",
                   LIBRARY, problem, CUBLAS_VER_MAJOR);
}
#else
lg_status lg_blas_open(lg_context *, lg_blas *blas)
{
#define TAKE(field, function, symbol) blas->field = function;
    LG_BLAS_LIST(TAKE)
#undef TAKE
    return LG_OK;
}
#endif

lg_status lg_blas_status(lg_context *ctx, const lg_blas *blas, cublasStatus_t status, const char *doing)
{
    const char *remedy = "use --device cpu, or optimizer.name adam";
    if (status == CUBLAS_STATUS_SUCCESS) return LG_OK;
    if (status == CUBLAS_STATUS_NOT_INITIALIZED || status == CUBLAS_STATUS_ALLOC_FAILED)
        remedy = "the GPU may be out of memory: use fewer fits or replicates, or --device cpu";
    if (status == CUBLAS_STATUS_ARCH_MISMATCH)
        remedy = "this cuBLAS has no code for this GPU: install the one of a CUDA toolkit that knows it, or use "
                 "--device cpu";
    return lg_fail(ctx, LG_ERR_DEVICE, "%s: cuBLAS reports %s (%s); %s", doing, blas->status_name(status),
                   blas->status_text(status), remedy);
}
