/* Estimator method exact for PRW: loss and gradient from the closed-form mean square displacement, without walkers or noise.
 * (SI's likelihood, loss nll, is exact on every device and needs no backend of its own.) */
#include "backend/hosted.h"
#include "model/models.h"

#include <stdlib.h>
#include <string.h>

struct lg_dbatch {
    lg_hosted fits; /* first: hosted.h */
    const lg_behind *behind;
    lg_dbatch *walkers;   /* a batch without gradients: the device's own */
    double *msd, *slopes; /* [steps], [steps][P] of one fit */
    double *jacobian;     /* [F][records][P] */
};

static lg_status exact_plan(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_plan *plan)
{
    if (!gradients) return lg_behind_of(device)->backend->plan(ctx, lg_behind_of(device)->device, job, false, plan);
    memset(plan, 0, sizeof *plan);
    plan->segment = job->steps;
    plan->state_bytes = job->fits * (size_t)job->model->params * sizeof(double);
    plan->total_bytes = plan->state_bytes + job->fits * (size_t)lg_job_statistics(job) * 3 * sizeof(double);
    return LG_OK;
}

static void exact_destroy(lg_dbatch *b)
{
    if (!b) return;
    if (b->walkers) b->behind->backend->destroy(b->walkers);
    lg_hosted_close(&b->fits);
    free(b->msd);
    free(b->slopes);
    free(b->jacobian);
    free(b);
}

static lg_status exact_create(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_dbatch **out)
{
    lg_dbatch *b = calloc(1, sizeof *b);
    if (!b) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    const size_t P = (size_t)job->model->params;
    b->behind = lg_behind_of(device);
    lg_status status = lg_hosted_open(ctx, job, &b->fits);
    if (!status && !gradients) status = b->behind->backend->create(ctx, b->behind->device, job, false, &b->walkers);
    b->msd = calloc(job->steps, sizeof *b->msd);
    b->slopes = calloc(job->steps * P, sizeof *b->slopes);
    b->jacobian = calloc((size_t)job->fits * lg_job_statistics(job) * P + 1, sizeof *b->jacobian);
    if (!status && (!b->msd || !b->slopes || !b->jacobian))
        status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %u lags", job->steps);
    if (status) {
        exact_destroy(b);
        return status;
    }
    *out = b;
    return LG_OK;
}

static lg_status exact_set_params(lg_context *ctx, lg_dbatch *b, const double *params)
{
    lg_hosted_take_params(&b->fits, params);
    return b->walkers ? b->behind->backend->set_params(ctx, b->walkers, params) : LG_OK;
}

static lg_status exact_reset(lg_context *ctx, lg_dbatch *b, uint64_t iteration)
{
    return b->walkers ? b->behind->backend->reset(ctx, b->walkers, iteration) : LG_OK;
}

static lg_status exact_forward(lg_context *ctx, lg_dbatch *b, uint32_t steps, bool keep)
{
    return b->walkers ? b->behind->backend->forward(ctx, b->walkers, steps, keep) : LG_OK;
}

/* L = sum_k w_k (MSD_k - target_k)^2 and its gradient, of one fit. */
static void evaluate(lg_dbatch *b, uint32_t f)
{
    const lg_job *job = b->fits.job;
    const size_t P = (size_t)job->model->params, K = job->records, at = lg_job_statistic_offset(job, f);
    const double *p = b->fits.params + f * P;
    double *gradient = b->fits.gradient + f * P, *rows = b->jacobian + f * K * P, loss = 0.0;
    lg_prw_msd(p[0], p[1], job->steps, b->msd);
    lg_prw_msd_slopes(p[0], p[1], job->steps, b->slopes);
    for (size_t i = 0; i < P; i++) gradient[i] = 0.0;
    for (size_t k = 0; k < K; k++) {
        const size_t lag = job->record[k] - 1;
        const double d = b->msd[lag] - job->target_stat[at + k], w = job->weight_stat[at + k];
        b->fits.statistics[f * K + k] = b->msd[lag];
        loss += w * d * d;
        for (size_t i = 0; i < P; i++) {
            rows[k * P + i] = b->slopes[lag * P + i];
            gradient[i] += 2.0 * w * d * b->slopes[lag * P + i];
        }
    }
    b->fits.loss[f] = loss;
}

static lg_status exact_loss(lg_context *ctx, lg_dbatch *b)
{
    (void)ctx;
    for (uint32_t f = 0; f < b->fits.job->fits; f++)
        if (!b->fits.state[f].frozen) evaluate(b, f);
    return LG_OK;
}

static lg_status exact_backward(lg_context *ctx, lg_dbatch *b) /* exact_loss has the gradient */
{
    (void)ctx, (void)b;
    return LG_OK;
}

static lg_status exact_advance(lg_context *ctx, lg_dbatch *b, uint64_t iteration, uint32_t count, double *rows)
{
    const size_t row = b->fits.job->fits * ((size_t)b->fits.job->model->params + 3);
    (void)iteration;
    for (uint32_t i = 0; i < count; i++) {
        exact_loss(ctx, b);
        lg_hosted_update(&b->fits, lg_job_needs_jacobian(b->fits.job) ? b->jacobian : NULL, rows + i * row);
    }
    return LG_OK;
}

static lg_status exact_get_jacobian(lg_context *ctx, lg_dbatch *b, double *jacobian)
{
    (void)ctx;
    const lg_job *job = b->fits.job;
    memcpy(jacobian, b->jacobian,
           (size_t)job->fits * lg_job_statistics(job) * (size_t)job->model->params * sizeof *jacobian);
    return LG_OK;
}

static lg_status exact_get_states(lg_context *ctx, lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count,
                                  void *out)
{
    if (b->walkers) return b->behind->backend->get_states(ctx, b->walkers, fit, first, count, out);
    return lg_fail(ctx, LG_ERR_UNSUPPORTED, "estimator.method exact moves no walkers, so there are no states to read");
}

static lg_status exact_set_fit_state(lg_context *ctx, lg_dbatch *b, const lg_fit_state *state)
{
    (void)ctx;
    const lg_job *job = b->fits.job;
    const size_t P = (size_t)job->model->params;
    for (uint32_t f = 0; f < job->fits; f++)
        lg_optimizer_restore(lg_job_optimizer(job, f), &b->fits.state[f], &state[f], b->fits.params + f * P);
    memcpy(b->fits.state, state, job->fits * sizeof *state);
    return LG_OK;
}

const lg_backend lg_backend_exact = {
    .name = "exact",
    .open = lg_hosted_open_device,
    .close = lg_hosted_close_device,
    .describe = lg_hosted_describe,
    .plan = exact_plan,
    .create = exact_create,
    .destroy = exact_destroy,
    .set_params = exact_set_params,
    .reset = exact_reset,
    .forward = exact_forward,
    .loss = exact_loss,
    .backward = exact_backward,
    .advance = exact_advance,
    .get_params = lg_hosted_get_params,
    .get_loss = lg_hosted_get_loss,
    .get_gradient = lg_hosted_get_gradient,
    .get_statistics = lg_hosted_get_statistics,
    .get_jacobian = exact_get_jacobian,
    .get_states = exact_get_states,
    .get_fit_state = lg_hosted_get_fit_state,
    .set_fit_state = exact_set_fit_state,
    .lm = lg_hosted_lm,
};
