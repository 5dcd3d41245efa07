/* The CUDA backend at work: passes over a batch, optimiser iterations (captured in a graph where launches are short), reads,
 * and the backend's table of functions. */
#include "device.cuh"

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* keep: the run of a gradient. */
static void launch_forward(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep)
{
    if (keep) lg_cuda_redraw(b, v);
    b->run->forward(b, v, step0, steps, keep);
}

static lg_status cuda_forward(lg_context *ctx, lg_dbatch *b, uint32_t steps, bool keep)
{
    if (keep && (!b->gradients || b->step != 0 || steps != b->job->steps))
        return lg_fail(ctx, LG_ERR_INTERNAL,
                       "a tape is kept only for a whole run from step 0 of a batch made for gradients");
    if (steps == 0) return LG_OK;
    cudaSetDevice(b->device->index);
    launch_forward(b, b->view, b->step, steps, keep);
    b->step += steps;
    b->kept = keep;
    return lg_cuda_status(ctx, cudaGetLastError(), "running simulation steps");
}

/* Loss parts of each replicate, where neither statistics are compared nor a forward pass that kept its tape has made them. */
static void launch_error(lg_dbatch *b, const lg_view &v, bool kept)
{
    if (!v.target_stat && !(v.pairs && kept)) b->run->error(b, v);
}

static lg_status cuda_loss(lg_context *ctx, lg_dbatch *b)
{
    if (b->job->own.function) {
        cudaSetDevice(b->device->index);
        return lg_cuda_own_loss(ctx, b, b->iteration);
    }
    if (!b->job->target && !b->job->target_stat)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "task simulate has nothing to compare with, so there is no loss");
    cudaSetDevice(b->device->index);
    launch_error(b, b->view, b->kept);
    lg_cuda_loss(b, b->view);
    return lg_cuda_status(ctx, cudaGetLastError(), "computing the loss");
}

static lg_status cuda_backward(lg_context *ctx, lg_dbatch *b)
{
    if (!b->kept) return lg_fail(ctx, LG_ERR_INTERNAL, "the backward pass needs a forward pass that kept its tape");
    cudaSetDevice(b->device->index);
    b->run->backward(b, b->view);
    lg_cuda_finish(b, b->view, false);
    return lg_cuda_status(ctx, cudaGetLastError(), "running the backward pass");
}

/* Is there nothing between loss and gradient? PRW: the forward pass has the Jacobian; SI: it has the gradient, or the exact
 * likelihood needs none. */
static bool gradient_is_there(const lg_view &v)
{
    return v.pairs || (v.prw && !v.scores && !v.normal) || (v.loss == LG_LOSS_nll && !v.target_stat);
}

/* Optimiser iteration `offset` after the clock's. */
static void launch_iteration(lg_dbatch *b, uint32_t offset)
{
    lg_view v = b->view;
    v.offset = offset;
    launch_forward(b, v, 0, v.steps, true);
    launch_error(b, v, true);
    if (gradient_is_there(v)) {
        lg_cuda_loss_and_update(b, v);
        return;
    }
    lg_cuda_loss(b, v);
    b->run->backward(b, v);
    if (v.normal) lg_cuda_newton(b, v);
    lg_cuda_finish(b, v, true);
}

/* LG_GRAPH_ITERATIONS iterations and the clock's advance, captured once. Runs of many launches gain nothing from it. */
static cudaError_t capture(lg_dbatch *b)
{
    cudaGraph_t graph = NULL;
    cudaError_t error = cudaStreamBeginCapture(b->stream, cudaStreamCaptureModeThreadLocal);
    if (error) return error;
    for (uint32_t i = 0; i < LG_GRAPH_ITERATIONS; i++) launch_iteration(b, i);
    lg_cuda_tick(b, LG_GRAPH_ITERATIONS);
    error = cudaStreamEndCapture(b->stream, &graph);
    if (!error) error = cudaGraphInstantiate(&b->graph, graph, 0);
    if (graph) cudaGraphDestroy(graph);
    return error;
}

static cudaError_t run_iterations(lg_dbatch *b, uint32_t count)
{
    cudaError_t error = cudaSuccess;
    if (!b->graph && count >= LG_GRAPH_ITERATIONS && b->layout.launches <= LG_GRAPH_LAUNCHES) error = capture(b);
    while (!error && b->graph && count >= LG_GRAPH_ITERATIONS) {
        error = cudaGraphLaunch(b->graph, b->stream);
        count -= LG_GRAPH_ITERATIONS;
    }
    for (uint32_t i = 0; i < count && !error; i++) {
        launch_iteration(b, 0);
        lg_cuda_tick(b, 1);
    }
    return error ? error : cudaGetLastError();
}

/* With a loss of the caller's own: one iteration after the other, each with its row. */
static lg_status advance_own(lg_context *ctx, lg_dbatch *b, uint64_t iteration, uint32_t count, double *rows)
{
    const size_t row = (size_t)b->job->fits * ((size_t)b->job->model->params + 3);
    lg_status status = LG_OK;
    for (uint32_t i = 0; !status && i < count; i++, rows += row) {
        status = lg_cuda_reset(ctx, b, iteration + i);
        if (status) return status;
        launch_forward(b, b->view, 0, b->view.steps, true);
        status = lg_cuda_own_loss(ctx, b, iteration + i);
        if (status) return status;
        b->run->backward(b, b->view);
        lg_cuda_finish(b, b->view, true);
        cudaError_t error = cudaMemcpyAsync(rows, b->view.rows, row * sizeof *rows, cudaMemcpyDeviceToHost, b->stream);
        const cudaError_t done = cudaStreamSynchronize(b->stream);
        status = lg_cuda_status(ctx, error ? error : done, "running optimiser iterations");
    }
    b->step = b->job->steps;
    b->kept = false;
    return status;
}

static lg_status cuda_advance(lg_context *ctx, lg_dbatch *b, uint64_t iteration, uint32_t count, double *rows)
{
    if (!b->gradients) return lg_fail(ctx, LG_ERR_INTERNAL, "a batch made without gradients cannot be fitted");
    cudaSetDevice(b->device->index);
    if (b->job->own.function) return advance_own(ctx, b, iteration, count, rows);
    if (!b->job->target && !b->job->target_stat) return cuda_loss(ctx, b);
    const size_t row = (size_t)b->job->fits * ((size_t)b->job->model->params + 3);
    const uint32_t most = (uint32_t)lg_cuda_rows(b->job);
    while (count > 0) {
        const uint32_t some = count < most ? count : most;
        cudaError_t error = lg_cuda_set_clock(b, iteration, some);
        if (!error) error = run_iterations(b, some);
        if (!error)
            error = cudaMemcpyAsync(rows, b->view.rows, some * row * sizeof *rows, cudaMemcpyDeviceToHost, b->stream);
        const cudaError_t done = cudaStreamSynchronize(b->stream);
        const lg_status status = lg_cuda_newton_status(ctx, b);
        if (status) return status;
        if (error || done) return lg_cuda_status(ctx, error ? error : done, "running optimiser iterations");
        rows += some * row;
        iteration += some;
        count -= some;
    }
    b->step = b->job->steps;
    b->kept = false;
    return LG_OK;
}

/* ---- reads ------------------------------------------------------------------------------------------------------ */

static lg_status get(lg_context *ctx, lg_dbatch *b, lg_buffer buffer, void *out)
{
    cudaSetDevice(b->device->index);
    cudaError_t error = cudaSuccess;
    if (b->layout.bytes[buffer])
        error = cudaMemcpyAsync(out, b->memory[buffer], b->layout.bytes[buffer], cudaMemcpyDeviceToHost, b->stream);
    const cudaError_t done = cudaStreamSynchronize(b->stream);
    return lg_cuda_status(ctx, error ? error : done, "reading results from the GPU");
}

static lg_status cuda_get_params(lg_context *ctx, lg_dbatch *b, double *params)
{
    return get(ctx, b, LG_BUF_PARAMS, params);
}

static lg_status cuda_get_loss(lg_context *ctx, lg_dbatch *b, double *loss)
{
    return get(ctx, b, LG_BUF_LOSS, loss);
}

static lg_status cuda_get_gradient(lg_context *ctx, lg_dbatch *b, double *gradient)
{
    return get(ctx, b, LG_BUF_GRADIENT, gradient);
}

static lg_status cuda_get_statistics(lg_context *ctx, lg_dbatch *b, double *values)
{
    cudaSetDevice(b->device->index);
    lg_cuda_statistics(b, b->view);
    return get(ctx, b, LG_BUF_STAT, values);
}

static lg_status cuda_get_fit_state(lg_context *ctx, lg_dbatch *b, lg_fit_state *state)
{
    return get(ctx, b, LG_BUF_FIT_STATE, state);
}

static lg_status cuda_set_fit_state(lg_context *ctx, lg_dbatch *b, const lg_fit_state *state)
{
    cudaSetDevice(b->device->index);
    const lg_status status = lg_cuda_status(ctx, lg_cuda_put(b, LG_BUF_RESTORED, state), "restoring fits");
    if (status) return status;
    lg_cuda_restore_fits(b);
    lg_cuda_prepare(b);
    return lg_cuda_wait(ctx, b, "restoring fits");
}

/* PRW: [count][4] = x, y, vx, vy from [4][R]; SI: bytes from bits; MK: as it is. */
static void unpack(const lg_job *job, const void *raw, uint32_t first, uint32_t count, void *out)
{
    const size_t sites = lg_job_sites(job), words = (job->width + 31u) / 32u;
    if (job->model->id == LG_MODEL_PRW) {
        for (uint32_t i = 0; i < count; i++)
            for (size_t c = 0; c < 4; c++)
                ((int32_t *)out)[4 * (size_t)i + c] = ((const int32_t *)raw)[c * job->replicates + first + i];
        return;
    }
    for (size_t site = 0; site < count * sites; site++) {
        const size_t row = site / job->width, j = site % job->width;
        ((uint8_t *)out)[site] = (uint8_t)(((const uint32_t *)raw)[row * words + j / 32] >> j % 32 & 1u);
    }
}

static lg_status cuda_get_states(lg_context *ctx, lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count, void *out)
{
    const lg_job *job = b->job;
    if (fit >= job->fits || first > job->replicates || count > job->replicates - first)
        return lg_fail(ctx, LG_ERR_RANGE,
                       "states of fit %u, replicates %u to %u were asked for; the batch has %u fits of %u", fit, first,
                       first + count, job->fits, job->replicates);
    cudaSetDevice(b->device->index);
    const bool walk = job->model->id == LG_MODEL_PRW, direct = job->model->id == LG_MODEL_MK;
    const size_t sample = b->layout.sample, skip = (size_t)fit * job->replicates + (walk ? 0 : first);
    const size_t bytes = (walk ? job->replicates : count) * sample;
    void *raw = direct ? out : malloc(bytes + 1);
    if (!raw) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory while reading states");
    cudaError_t error = cudaSuccess;
    if (bytes) error = cudaMemcpyAsync(raw, b->view.state + skip * sample, bytes, cudaMemcpyDeviceToHost, b->stream);
    const cudaError_t done = cudaStreamSynchronize(b->stream);
    if (!error) error = done;
    if (!error && !direct) unpack(job, raw, first, count, out);
    if (!direct) free(raw);
    return lg_cuda_status(ctx, error, "reading states from the GPU");
}

/* Own losses: of the model whose passes stop at recorded steps. */
static bool cuda_own(const lg_job *job)
{
    return job->model->id == LG_MODEL_MK;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

#ifndef LG_DEVICE_PASS
const lg_backend lg_backend_cuda = {
    "cuda",
    lg_cuda_open,
    lg_cuda_close,
    lg_cuda_describe,
    lg_cuda_plan,
    lg_cuda_create,
    lg_cuda_destroy,
    lg_cuda_set_params,
    lg_cuda_reset,
    cuda_forward,
    cuda_loss,
    cuda_backward,
    cuda_advance,
    cuda_get_params,
    cuda_get_loss,
    cuda_get_gradient,
    cuda_get_statistics,
    lg_cuda_get_jacobian,
    cuda_get_states,
    cuda_get_fit_state,
    cuda_set_fit_state,
    lg_cuda_has_jacobian, /* lm */
    false,                /* share */
    cuda_own,
};
#endif
