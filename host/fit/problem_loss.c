/* A loss of the caller's own in the place of the problem's. */
#include <stdlib.h>

#include "backend/hosted.h"
#include "fit/problem.h"

static lg_status check(lg_context *ctx, const lg_problem *p, lg_loss_fn function, const int64_t *record, int records)
{
    const lg_job *job = &p->job;
    if (!function || records < (record ? 1 : 0))
        return lg_fail(ctx, LG_ERR_USAGE, "lg_problem_set_loss: expected a function, and one recorded step or more");
    if (job->method == LG_GRADIENT_score || job->method == LG_GRADIENT_exact)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "a loss of one's own has no gradient by estimator.method %s: set it to pathwise or fd",
                       job->method == LG_GRADIENT_score ? "score" : "exact");
    if (job->optimizer.kind == LG_OPTIMIZER_lm && p->optimizer_given)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "optimizer.name lm takes the residuals of statistics, which a loss of one's own does not give: "
                       "set it to adam or sgd");
    for (int k = 0; record && k < records; k++)
        if (record[k] < (k ? record[k - 1] + 1 : 1) || record[k] > job->steps)
            return lg_fail(ctx, LG_ERR_RANGE,
                           "lg_problem_set_loss: recorded step %d is %lld: expected ascending steps from 1 to %u "
                           "(the key steps)",
                           k, (long long)record[k], job->steps);
    return LG_OK;
}

/* Task simulate has no gradient until now, and so its method is not placed before the device yet. */
static lg_status open_method(lg_context *ctx, lg_problem *p)
{
    lg_status status = LG_OK;
    const bool open = p->backend == &lg_backend_fd;
    if (p->job.task == LG_TASK_simulate && !open) status = lg_method_open(ctx, &p->job, &p->backend, &p->device);
    const lg_backend *device = p->backend == &lg_backend_fd ? lg_behind_of(p->device)->backend : p->backend;
    if (status) return status;
    if (!device->own || !device->own(&p->job))
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "a loss of one's own does not run on %s for model %s yet: set device to cpu", device->name,
                       p->job.model->name);
    return LG_OK;
}

lg_status lg_problem_set_loss(lg_context *ctx, lg_problem *p, lg_loss_fn loss, void *user, const int64_t *record,
                              int records)
{
    lg_status status = check(ctx, p, loss, record, records);
    if (!status) status = open_method(ctx, p);
    if (status) return status;
    const uint32_t count = record ? (uint32_t)records : 1;
    uint32_t *steps = malloc(count * sizeof *steps);
    if (!steps) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %u recorded steps", count);
    for (uint32_t k = 0; k < count; k++) steps[k] = record ? (uint32_t)record[k] : p->job.steps;

    const lg_job before = p->job;
    p->job.own = (lg_own_loss){.function = loss, .user = user, .records = count, .record = steps, .points = 1};
    p->job.loss = LG_LOSS_sse; /* what a loss means for the passes of a model (nll: no simulation) is over */
    p->job.records = 0;
    p->job.record = NULL;
    p->job.target = NULL;
    p->job.target_stat = p->job.weight_stat = p->job.combine = NULL;
    if (p->job.optimizer.kind == LG_OPTIMIZER_lm) { /* by default; it takes residuals */
        p->job.optimizer.kind = LG_OPTIMIZER_adam;
        p->job.optimizer.lr = 0.05;
        p->job.optimizer.schedule = LG_SCHEDULE_cosine;
    }
    status = lg_problem_plan(ctx, p);
    if (status) {
        p->job = before;
        free(steps);
        return status;
    }
    if (p->batch) p->backend->destroy(p->batch);
    p->batch = NULL;
    free(p->own_record);
    p->own_record = steps;
    return LG_OK;
}
