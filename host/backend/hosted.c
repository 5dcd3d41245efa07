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
    const size_t K = lg_job_statistics(job) + 1;
    h->residual = calloc(K, sizeof *h->residual);
    h->combined = calloc(K, sizeof *h->combined);
    h->rows = calloc(K * P, sizeof *h->rows);
    if (h->params && h->gradient && h->loss && h->statistics && h->state && h->residual && h->combined && h->rows) {
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
    free(h->residual);
    free(h->combined);
    free(h->rows);
}

void lg_hosted_take_params(lg_hosted *h, const double *params)
{
    const size_t P = (size_t)h->job->model->params;
    memcpy(h->params, params, h->job->fits * P * sizeof *params);
    for (uint32_t f = 0; f < h->job->fits; f++)
        lg_optimizer_start(lg_job_optimizer(h->job, f), h->params + f * P, &h->state[f]);
}

/* ---- losses and updates ----------------------------------------------------------------------------------------- */

/* out[rows][columns] = combine in; or in[K][columns] as it is, where the job combines nothing. */
static const double *combined(const lg_job *job, size_t columns, const double *in, double *out)
{
    const size_t K = lg_job_statistics(job);
    if (!job->combine) return in;
    memset(out, 0, job->combinations * columns * sizeof *out);
    for (size_t k = 0; k < job->combinations; k++)
        for (size_t l = 0; l < K; l++)
            for (size_t c = 0; c < columns; c++) out[k * columns + c] += job->combine[k * K + l] * in[l * columns + c];
    return out;
}

/* Residuals of a fit. */
static int residual_count(const lg_job *job)
{
    return (int)(job->combine ? job->combinations : lg_job_statistics(job));
}

/* combine (s - target); the weights that go with them are *weight, NULL: 1. */
static const double *residuals(lg_hosted *h, uint32_t f, const double *s, const double **weight)
{
    const size_t K = lg_job_statistics(h->job), at = lg_job_statistic_offset(h->job, f);
    for (size_t k = 0; k < K; k++) h->residual[k] = s[k] - h->job->target_stat[at + k];
    *weight = h->job->combine ? NULL : h->job->weight_stat + at;
    return combined(h->job, 1, h->residual, h->combined);
}

double lg_hosted_stat_loss(lg_hosted *h, uint32_t f, const double *s)
{
    const double *weight, *r = residuals(h, f, s, &weight);
    double loss = 0.0;
    for (int k = 0; k < residual_count(h->job); k++) loss += (weight ? weight[k] : 1.0) * r[k] * r[k];
    return loss;
}

/* lm: J^T W J and, as half of the gradient, J^T W r with the residuals of the point itself. The difference of two losses has the
 * same mean but for d/dx of the residuals' own variance, which pulls towards parameters with quieter statistics; the
 * residuals here have noise of their own, nearly independent of the Jacobian's. */
static void update_by_normal_equations(lg_hosted *h, uint32_t f, const double *jacobian, double *row)
{
    const int P = h->job->model->params, K = (int)lg_job_statistics(h->job);
    const size_t at = (size_t)f * (size_t)P;
    double normal[LG_OPT_MAX_PARAMS * LG_OPT_MAX_PARAMS], rhs[LG_OPT_MAX_PARAMS];
    const double *weight, *r = residuals(h, f, h->statistics + (size_t)f * (size_t)K, &weight);
    const double *J = combined(h->job, (size_t)P, jacobian + at * (size_t)K, h->rows);
    lg_normal_equations(residual_count(h->job), P, J, weight, r, normal, rhs);
    for (int i = 0; i < P; i++) h->gradient[at + (size_t)i] = 2.0 * rhs[i];
    lg_optimizer_update(lg_job_optimizer(h->job, f), &h->state[f], h->loss[f], h->gradient + at, normal, h->params + at,
                        row);
}

void lg_hosted_update(lg_hosted *h, const double *jacobian, double *rows)
{
    if (!jacobian) {
        lg_update_fits(h->job, h->loss, h->gradient, NULL, h->state, h->params, rows);
        return;
    }
    for (uint32_t f = 0; f < h->job->fits; f++)
        update_by_normal_equations(h, f, jacobian, rows + (size_t)f * ((size_t)h->job->model->params + 3));
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
