/* CUDA on the CPU: cuBLAS. */
#include "cublas_on_cpu.h"
#include "machine.h"

using namespace lg_emu;

struct cublasContext {
    cudaStream_t stream;
    bool has_stream, warm;
    void *workspace;
    size_t bytes;
};

static struct {
    size_t handles;
    cublasStatus_t fail;
    int calls; /* until it fails */
} library;

void lg_emu_fail_blas(cublasStatus_t status, int calls)
{
    library.fail = status;
    library.calls = calls;
}

size_t lg_emu_blas_handles(void)
{
    return library.handles;
}

cublasStatus_t cublasCreate(cublasHandle_t *handle)
{
    if (capturing()) violation("cublasCreate during the capture of a graph");
    *handle = new cublasContext{};
    library.handles++;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    delete handle;
    library.handles--;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream)
{
    if (stream && !is_stream(stream)) violation("cublasSetStream: no such stream");
    handle->stream = stream;
    handle->has_stream = true;
    handle->workspace = nullptr;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes)
{
    if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
    check_range(workspace, bytes, "cublasSetWorkspace");
    handle->workspace = workspace;
    handle->bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t, cublasAtomicsMode_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    default: return "CUBLAS_STATUS_EXECUTION_FAILED";
    }
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? "success" : "an error";
}

/* An operand as it lies in memory: op_rows x op_columns after its operation. */
struct operand {
    const double *at;
    cublasOperation_t op;
    int ld;
    long long stride;
    double operator()(int matrix, int row, int column) const
    {
        const size_t r = static_cast<size_t>(op == CUBLAS_OP_N ? row : column),
                     c = static_cast<size_t>(op == CUBLAS_OP_N ? column : row);
        return at[static_cast<size_t>(matrix) * static_cast<size_t>(stride) + c * static_cast<size_t>(ld) + r];
    }
};

static void check_matrices(const void *at, int rows, int columns, int ld, long long stride, int count, const char *what)
{
    const size_t last = static_cast<size_t>(stride) * static_cast<size_t>(count - 1);
    const size_t one = static_cast<size_t>(ld) * static_cast<size_t>(columns - 1) + static_cast<size_t>(rows);
    check_range(at, (last + one) * sizeof(double), what);
}

static bool valid(const operand &x, int rows, int columns)
{
    return x.at && x.ld >= (x.op == CUBLAS_OP_N ? rows : columns) && x.stride >= 0;
}

struct product {
    operand a, b;
    int m, n, k, count;
    double alpha, beta;
    double *C;
    int ldc;
    long long stride;
};

static void multiply(const product &p)
{
    the_device.kernel = "cublasDgemmStridedBatched";
    check_matrices(p.a.at, p.a.op == CUBLAS_OP_N ? p.m : p.k, p.a.op == CUBLAS_OP_N ? p.k : p.m, p.a.ld, p.a.stride,
                   p.count, "A");
    check_matrices(p.b.at, p.b.op == CUBLAS_OP_N ? p.k : p.n, p.b.op == CUBLAS_OP_N ? p.n : p.k, p.b.ld, p.b.stride,
                   p.count, "B");
    check_matrices(p.C, p.m, p.n, p.ldc, p.stride, p.count, "C");
    const int first = p.count * 7 % p.k; /* where the sums begin */
    for (int i = 0; i < p.count; i++)
        for (int column = 0; column < p.n; column++)
            for (int row = 0; row < p.m; row++) {
                double sum = 0.0;
                for (int k = 0; k < p.k; k++)
                    sum = fma(p.a(i, row, (first + k) % p.k), p.b(i, (first + k) % p.k, column), sum);
                double *c = p.C + static_cast<size_t>(i) * static_cast<size_t>(p.stride) +
                            static_cast<size_t>(column) * static_cast<size_t>(p.ldc) + row;
                *c = p.beta == 0.0 ? p.alpha * sum : p.alpha * sum + p.beta * *c; /* beta 0: C is not read */
            }
    the_device.kernel = nullptr;
}

cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const double *alpha, const double *A, int lda,
                                         long long stride_a, const double *B, int ldb, long long stride_b,
                                         const double *beta, double *C, int ldc, long long stride_c, int count)
{
    if (library.fail && --library.calls == 0) return library.fail;
    if (!handle->has_stream || !handle->workspace)
        violation("a product on a handle without its own stream and workspace");
    if (capturing() && !handle->warm) violation("the first call of a handle during the capture of a graph");
    handle->warm = true;
    const product p =
        {{A, op_a, lda, stride_a}, {B, op_b, ldb, stride_b}, m, n, k, count, *alpha, *beta, C, ldc, stride_c};
    const bool apart = stride_c >= static_cast<long long>(ldc) * n || count == 1;
    if (m < 1 || n < 1 || k < 1 || count < 1 || !valid(p.a, m, k) || !valid(p.b, k, n) || !C || ldc < m || !apart)
        return CUBLAS_STATUS_INVALID_VALUE;
    check_range(handle->workspace, handle->bytes, "the workspace");
    submit(handle->stream, [p]() { multiply(p); });
    return CUBLAS_STATUS_SUCCESS;
}
