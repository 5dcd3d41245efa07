/* Normal equations of the optimiser lm for all fits of a batch, by cuBLAS.
 *
 * For a loss sum_k w_k r_k^2 a Gauss-Newton step needs J^T W J and J^T W r (rules/gauss_newton.h). Both are blocks of one product
 *
 *     M^T M,   M = [ W^1/2 J | W^1/2 r ],   [records][P + 1]:     M^T M = [ J^T W J   J^T W r ]
 *                                                                        [ r^T W J   r^T W r ]
 *
 * newton_rows, a block per fit, writes M in double precision; every entry is a sum over the blocks of walkers, in their order.
 * cublasDgemmStridedBatched forms the products of many fits in one call. It counts in columns, where M as it lies in memory is M^T:
 * C = A A^T with A = M^T, (P + 1) x records. fit_pass reads one triangle of C, so that no rounding can make it asymmetric.
 *
 * A fit gives the same bytes alone and among thousands. cuBLAS repeats its bytes for the same call on the same kind of GPU, but may
 * take another kernel, which adds in another order, for another number of matrices, and with its own workspace where several
 * streams are busy. So the call is always the same: NEWTON_FITS matrices at a time, the last ones zeros where fits are fewer, with a
 * workspace of the batch, on its stream, without atomics and in the precision that is asked for (no emulated doubles). The batch's
 * handle makes its first call when it is opened, since the first call loads the kernel and may allocate, which a capture of a graph
 * does not allow.
 *
 * Memory: M and C of all fits, and the workspace, are buffers of the plan. What cuBLAS keeps for a handle is its own. */
#include "cublas.cuh"

enum {
    NEWTON_THREADS = 128,
    NEWTON_FITS = 256,         /* matrices a call */
    NEWTON_WORKSPACE = 4 << 20 /* what cuBLAS takes by default on GPUs before Hopper; these products need little */
};

struct lg_newton {
    lg_blas blas;
    cublasHandle_t handle;
    cublasStatus_t status; /* of the first call that failed */
};

static __global__ void LG_THREADS(NEWTON_THREADS) newton_rows(lg_view v)
{
    const uint32_t f = blockIdx.x, width = v.P + 1u;
    if (lg_view_skips(v, f)) return;
    const double *sums = v.replicate_stat + (size_t)f * v.parts * v.steps * 3u;
    const double *target = v.target_stat + (size_t)f * v.stat_stride,
                 *weight = v.weight_stat + (size_t)f * v.stat_stride;
    double *rows = v.residual + (size_t)f * v.records * width;
    for (uint32_t i = threadIdx.x; i < v.records * width; i += NEWTON_THREADS) {
        const uint32_t k = i / width, p = i % width;
        const double value = p < v.P ? lg_prw_slope_sum(sums, v.parts, v.steps, v.record[k], p) / (double)v.R
                                     : v.stat[(size_t)f * v.records + k] - target[k];
        rows[i] = sqrt(weight[k]) * value;
    }
}

bool lg_cuda_has_jacobian(const lg_job *job)
{
    return job->model->id == LG_MODEL_PRW && job->target_stat && job->method == LG_GRADIENT_pathwise;
}

void lg_cuda_newton_layout(const lg_job *job, bool gradients, lg_layout *l)
{
    if (!gradients || !lg_job_needs_jacobian(job) || !lg_cuda_has_jacobian(job)) return;
    const size_t width = (size_t)job->model->params + 1;
    const size_t calls = (job->fits + NEWTON_FITS - 1) / NEWTON_FITS, matrices = calls * NEWTON_FITS;
    l->bytes[LG_BUF_RESIDUAL] = matrices * lg_job_statistics(job) * width * sizeof(double);
    l->bytes[LG_BUF_NORMAL] = matrices * width * width * sizeof(double);
    l->bytes[LG_BUF_BLAS] = NEWTON_WORKSPACE;
    l->launches += 1 + (uint32_t)calls;
}

static cublasStatus_t multiply(const lg_newton *n, const lg_view &v, size_t first)
{
    const int width = (int)v.P + 1, records = (int)v.records;
    const long long rows = (long long)width * records, square = (long long)width * width;
    const double one = 1.0, zero = 0.0, *A = v.residual + first * (size_t)rows;
    return n->blas.gemm(n->handle, CUBLAS_OP_N, CUBLAS_OP_T, width, width, records, &one, A, width, rows, A, width,
                        rows, &zero, v.normal + first * (size_t)square, width, square, NEWTON_FITS);
}

lg_status lg_cuda_newton_open(lg_context *ctx, lg_dbatch *b)
{
    lg_newton *n = (lg_newton *)calloc(1, sizeof *n);
    if (!n) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    b->newton = n;
    lg_status failed = lg_blas_open(ctx, &n->blas);
    if (failed) return failed;
    cublasStatus_t status = n->blas.create(&n->handle);
    if (!status) status = n->blas.set_stream(n->handle, b->stream); /* takes the workspace away, so it comes first */
    if (!status) status = n->blas.set_workspace(n->handle, b->memory[LG_BUF_BLAS], b->layout.bytes[LG_BUF_BLAS]);
    if (!status) status = n->blas.set_math(n->handle, CUBLAS_PEDANTIC_MATH);
    if (!status) status = n->blas.set_atomics(n->handle, CUBLAS_ATOMICS_NOT_ALLOWED);
    if (!status) status = multiply(n, b->view, 0);
    failed = lg_blas_status(ctx, &n->blas, status, "preparing the normal equations of optimizer.name lm");
    return failed ? failed : lg_cuda_wait(ctx, b, "preparing the normal equations of optimizer.name lm");
}

void lg_cuda_newton_close(lg_dbatch *b)
{
    if (b->newton && b->newton->handle) b->newton->blas.destroy(b->newton->handle);
    free(b->newton);
}

void lg_cuda_newton(lg_dbatch *b, const lg_view &v)
{
    lg_newton *n = b->newton;
    LG_LAUNCH(newton_rows, dim3(v.F), dim3(NEWTON_THREADS), 0, b->stream, v);
    for (size_t first = 0; first < v.F && !n->status; first += NEWTON_FITS) n->status = multiply(n, v, first);
}

lg_status lg_cuda_newton_status(lg_context *ctx, lg_dbatch *b)
{
    if (!b->newton) return LG_OK;
    const cublasStatus_t status = b->newton->status;
    b->newton->status = CUBLAS_STATUS_SUCCESS; /* reported once */
    return lg_blas_status(ctx, &b->newton->blas, status, "forming the normal equations of optimizer.name lm");
}

/* On the host, from the sums that newton_rows reads and in its order: for checks, not for fits. */
lg_status lg_cuda_get_jacobian(lg_context *ctx, lg_dbatch *b, double *jacobian)
{
    const lg_job *job = b->job;
    if (!lg_cuda_has_jacobian(job) || !b->kept)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "the GPU has a Jacobian for model prw with estimator.method pathwise, after a forward pass that "
                       "kept it: use "
                       "estimator.method fd");
    const size_t bytes = b->layout.bytes[LG_BUF_REPLICATE_STAT], P = (size_t)job->model->params;
    double *sums = (double *)malloc(bytes);
    if (!sums) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory while reading a Jacobian");
    cudaSetDevice(b->device->index);
    cudaError_t error = cudaMemcpyAsync(sums, b->view.replicate_stat, bytes, cudaMemcpyDeviceToHost, b->stream);
    const cudaError_t done = cudaStreamSynchronize(b->stream);
    const size_t stride = (size_t)b->view.parts * job->steps * 3;
    for (size_t f = 0; f < job->fits && !error && !done; f++)
        for (size_t k = 0; k < job->records; k++)
            for (size_t p = 0; p < P; p++)
                jacobian[(f * job->records + k) * P + p] =
                    lg_prw_slope_sum(sums + f * stride, b->view.parts, job->steps, job->record[k], (uint32_t)p) /
                    (double)job->replicates;
    free(sums);
    return lg_cuda_status(ctx, error ? error : done, "reading a Jacobian from the GPU");
}
