/* Loss and gradient at a point, and batches stepped by hand. */
#include <stdlib.h>

#include "fit/problem.h"
#include "noise/noise.h"

lg_status lg_evaluate(lg_context *ctx, lg_problem *p, uint64_t iteration, const double *params, double *loss,
                      double *grad)
{
    const lg_backend *backend = p->backend;
    lg_status status = LG_OK;
    if (!p->batch) status = backend->create(ctx, p->device, &p->job, lg_problem_has_loss(p), &p->batch);
    if (!status) status = backend->set_params(ctx, p->batch, params);
    if (!status) status = backend->reset(ctx, p->batch, iteration);
    if (!status) status = backend->forward(ctx, p->batch, p->job.steps, true);
    if (!status) status = backend->loss(ctx, p->batch);
    if (!status) status = backend->get_loss(ctx, p->batch, loss);
    if (status || !grad) return status;
    status = backend->backward(ctx, p->batch);
    return status ? status : backend->get_gradient(ctx, p->batch, grad);
}

struct lg_batch {
    lg_problem *problem; /* the caller's; must outlive the batch */
    lg_dbatch *device_batch;
};

lg_status lg_batch_create(lg_context *ctx, lg_problem *problem, lg_batch **out)
{
    lg_batch *b = calloc(1, sizeof *b);
    if (!b) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    b->problem = problem;
    const lg_status status = problem->backend->create(ctx, problem->device, &problem->job, false, &b->device_batch);
    if (status) {
        free(b);
        return status;
    }
    *out = b;
    return LG_OK;
}

void lg_batch_free(lg_batch *b)
{
    if (!b) return;
    b->problem->backend->destroy(b->device_batch);
    free(b);
}

lg_status lg_batch_set_params(lg_context *ctx, lg_batch *b, const double *params)
{
    return b->problem->backend->set_params(ctx, b->device_batch, params);
}

lg_status lg_batch_reset(lg_context *ctx, lg_batch *b, uint64_t iteration)
{
    return b->problem->backend->reset(ctx, b->device_batch, iteration);
}

lg_status lg_batch_run(lg_context *ctx, lg_batch *b, int64_t steps)
{
    if (steps < 0 || steps > INT32_MAX)
        return lg_fail(ctx, LG_ERR_RANGE, "a batch was asked to run %lld steps: expected 0 to 2147483647",
                       (long long)steps);
    return steps ? b->problem->backend->forward(ctx, b->device_batch, (uint32_t)steps, false) : LG_OK;
}

lg_status lg_batch_states(lg_context *ctx, lg_batch *b, int fit, int64_t first, int64_t count, void *out)
{
    if (fit < 0 || first < 0 || count < 0 || first > INT32_MAX || count > INT32_MAX)
        return lg_fail(ctx, LG_ERR_RANGE,
                       "states of fit %d, replicates %lld to %lld do not exist: the batch has %u fits of %u", fit,
                       (long long)first, (long long)(first + count), b->problem->job.fits, b->problem->job.replicates);
    return b->problem->backend->get_states(ctx, b->device_batch, (uint32_t)fit, (uint32_t)first, (uint32_t)count, out);
}

lg_status lg_noise_dump(lg_context *ctx, lg_problem *p, uint64_t iteration, const char *directory, bool force)
{
    if (p->job.task == LG_TASK_simulate)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "task simulate has no loss: noise is dumped for task transition, trajectory or stability");
    if (p->job.own.function)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "noise is dumped for the losses of the library alone");
    if (p->job.method != LG_GRADIENT_pathwise || p->job.binary == LG_ESTIMATOR_gr ||
        p->job.categorical == LG_ESTIMATOR_gr)
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "noise is dumped for estimator.method pathwise with estimators ste and gs alone, whose gradients "
            "another program can recompute from it: set estimator.method to pathwise");
    lg_job job = p->job; /* at the temperature of the iteration */
    job.tau = lg_job_tau(&p->job, iteration);
    job.tau_end = 0.0;
    return lg_noise_dump_job(ctx, &job, p->backend, p->device, iteration, p->params, directory, force);
}
