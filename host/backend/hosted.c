/* Parameters, results and optimiser state of fits whose updates are made on the host. */
#include "backend/hosted.h"

#include <stdlib.h>
#include <string.h>

lg_status lg_method_open(lg_context *ctx, const lg_job *job, const lg_backend **backend, lg_device **device)
{
    const bool closed_form = job->method == LG_GRADIENT_exact && job->model->id == LG_MODEL_PRW;
    if (job->method != LG_GRADIENT_fd && !closed_form) return LG_OK;
    lg_behind *behind = malloc(sizeof *behind);
    if (!behind) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    behind->backend = *backend;
    behind->device = *device;
    *backend = closed_form ? &lg_backend_exact : &lg_backend_fd;
    *device = (lg_device *)(void *)behind;
    return LG_OK;
}

lg_status lg_hosted_open_device(lg_context *ctx, int index, int threads, lg_device **out)
{
    (void)index, (void)threads, (void)out;
    return lg_fail(ctx, LG_ERR_INTERNAL, "a gradient method is not a device: it is placed before one");
}

void lg_hosted_close_device(lg_device *device)
{
    const lg_behind *behind = lg_behind_of(device);
    behind->backend->close(behind->device);
    free(device);
}

void lg_hosted_describe(const lg_device *device, char *text, size_t size)
{
    lg_behind_of(device)->backend->describe(lg_behind_of(device)->device, text, size);
}

lg_status lg_hosted_open(lg_context *ctx, const lg_job *job, lg_hosted *h)
{
    const size_t F = job->fits, P = (size_t)job->model->params;
    *h = (lg_hosted){.job = job};
    h->params = calloc(F * P, sizeof *h->params);
    h->gradient = calloc(F * P, sizeof *h->gradient);
    h->loss = calloc(F, sizeof *h->loss);
    h->statistics = calloc(F * lg_job_statistics(job) + 1, sizeof *h->statistics);
    h->state = calloc(F, sizeof *h->state);
    if (h->params && h->gradient && h->loss && h->statistics && h->state) {
        lg_hosted_take_params(h, job->params);
        return LG_OK;
    }
    lg_hosted_close(h);
    return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %u fits", job->fits);
}

void lg_hosted_close(lg_hosted *h)
{
    free(h->params);
    free(h->gradient);
    free(h->loss);
    free(h->statistics);
    free(h->state);
}

void lg_hosted_take_params(lg_hosted *h, const double *params)
{
    const size_t P = (size_t)h->job->model->params;
    memcpy(h->params, params, h->job->fits * P * sizeof *params);
    for (uint32_t f = 0; f < h->job->fits; f++)
        lg_optimizer_start(lg_job_optimizer(h->job, f), h->params + f * P, &h->state[f]);
}

void lg_hosted_update(lg_hosted *h, const double *jacobian, double *rows)
{
    lg_update_fits(h->job, h->loss, h->gradient, jacobian, h->state, h->params, rows);
}

bool lg_hosted_any_frozen(const lg_hosted *h)
{
    for (uint32_t f = 0; f < h->job->fits; f++)
        if (h->state[f].frozen) return true;
    return false;
}

bool lg_hosted_lm(const lg_job *job)
{
    return job->target_stat != NULL;
}

/* The inverse of lg_gradient_x. */
double lg_hosted_native(const lg_optimizer *o, int i, double p, double g)
{
    const double slope = p * (1.0 - p);
    if (o->transform[i] == LG_TRANSFORM_logit) return o->grad_of_logit[i] ? g : (slope > 0.0 ? g / slope : 0.0);
    return o->grad_of_logit[i] ? g * slope : g;
}

/* ---- reads ------------------------------------------------------------------------------------------------------ */

static const lg_hosted *of(const lg_dbatch *batch)
{
    return (const lg_hosted *)(const void *)batch;
}

static size_t numbers(const lg_hosted *h)
{
    return h->job->fits * (size_t)h->job->model->params;
}

lg_status lg_hosted_get_params(lg_context *ctx, lg_dbatch *b, double *params)
{
    (void)ctx;
    memcpy(params, of(b)->params, numbers(of(b)) * sizeof *params);
    return LG_OK;
}

lg_status lg_hosted_get_loss(lg_context *ctx, lg_dbatch *b, double *loss)
{
    (void)ctx;
    memcpy(loss, of(b)->loss, of(b)->job->fits * sizeof *loss);
    return LG_OK;
}

lg_status lg_hosted_get_gradient(lg_context *ctx, lg_dbatch *b, double *gradient)
{
    (void)ctx;
    memcpy(gradient, of(b)->gradient, numbers(of(b)) * sizeof *gradient);
    return LG_OK;
}

lg_status lg_hosted_get_statistics(lg_context *ctx, lg_dbatch *b, double *values)
{
    (void)ctx;
    memcpy(values, of(b)->statistics, of(b)->job->fits * lg_job_statistics(of(b)->job) * sizeof *values);
    return LG_OK;
}

lg_status lg_hosted_get_fit_state(lg_context *ctx, lg_dbatch *b, lg_fit_state *state)
{
    (void)ctx;
    memcpy(state, of(b)->state, of(b)->job->fits * sizeof *state);
    return LG_OK;
}
