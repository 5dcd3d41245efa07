/* Estimator method fd: central finite differences with common random numbers, as a backend before another one.
 *
 * The batch behind has `points` fits for each fit of the job: the parameters themselves, then two displaced by +h and -h along
 * each fitted coordinate x of the optimiser (along all coordinates where none is fitted). All of them use the noise of their
 * fit, and run forward only. With points x+ and x-,
 *     dL/dx = (L(x+) - L(x-)) / (x+ - x-),
 * and likewise for each statistic. h = fd_step for x = logit p, and fd_step max(|x|, a tenth of the interval) for x = p. Next to
 * a bound h shrinks to the distance from it, but not below h / 20: from there on the point beyond the bound is put on it, and the
 * difference is a skew or one-sided one. Parameters that are not moved have the gradient NaN: not computed.
 *
 * For lm the displaced points share noise of their own, not that of the point itself: residuals and Jacobian are then
 * independent, E[J^T W r] = E[J]^T W E[r], and the fit ends where the expected residuals say, however noisy both are. */
#include "backend/hosted.h"

#include <stdlib.h>
#include <string.h>

enum { OTHER_NOISE = LG_MAX_FITS / 2 }; /* flips a bit of the number of a fit */

struct lg_dbatch {
    lg_hosted fits; /* first: hosted.h */
    const lg_behind *behind;
    lg_dbatch *inner;
    lg_job job; /* of the inner batch; its per-fit arrays are these: */
    uint32_t *noise_fit, *resample;
    double *target, *weight;
    uint32_t points, moved, axis[LG_OPT_MAX_PARAMS]; /* parameters that are moved */
    double *params, *loss, *statistics;              /* [F][points]... of the inner batch */
    double *width;                                   /* [F][moved] x+ - x- */
    double *jacobian;                                /* lm: [F][statistics][P] */
};

static uint32_t moved_axes(const lg_job *job, uint32_t *axis)
{
    uint32_t count = 0;
    for (int i = 0; i < job->optimizer.params; i++)
        if (job->optimizer.fitted[i]) axis[count++] = (uint32_t)i;
    if (count) return count;
    for (int i = 0; i < job->model->params; i++) axis[count++] = (uint32_t)i;
    return count;
}

/* ---- the inner job ---------------------------------------------------------------------------------------------- */

static void *repeat(const void *from, size_t fits, uint32_t points, size_t row)
{
    char *to = malloc(fits * points * row + 1);
    for (size_t f = 0; to && f < fits; f++)
        for (size_t k = 0; k < points; k++) memcpy(to + (f * points + k) * row, (const char *)from + f * row, row);
    return to;
}

static bool repeat_per_fit(const lg_job *job, lg_dbatch *b)
{
    const size_t F = job->fits, K = lg_job_statistics(job) * sizeof(double), row = job->pool * sizeof(uint32_t);
    b->noise_fit = malloc(F * b->points * sizeof *b->noise_fit);
    if (!b->noise_fit) return false;
    for (size_t i = 0; i < F * b->points; i++) {
        b->noise_fit[i] = lg_job_noise_fit(job, (uint32_t)(i / b->points));
        if (lg_job_needs_jacobian(job) && i % b->points) b->noise_fit[i] ^= OTHER_NOISE;
    }
    if (job->stat_per_fit) {
        b->target = repeat(job->target_stat, F, b->points, K);
        b->weight = repeat(job->weight_stat, F, b->points, K);
        if (!b->target || !b->weight) return false;
        b->job.target_stat = b->target;
        b->job.weight_stat = b->weight;
    }
    if (job->resample && !(b->resample = repeat(job->resample, F, b->points, row))) return false;
    b->job.resample = b->resample;
    b->job.noise_fit = b->noise_fit;
    return true;
}

static lg_job inner_job(const lg_job *job, uint32_t points)
{
    lg_job inner = *job;
    inner.method = LG_GRADIENT_pathwise;
    inner.fits = job->fits * points;
    inner.fit_optimizer = NULL; /* the inner batch makes no updates */
    inner.own.points = job->own.points * points;
    return inner;
}

static lg_status fd_plan(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_plan *plan)
{
    uint32_t axis[LG_OPT_MAX_PARAMS];
    const uint32_t points = gradients ? 1 + 2 * moved_axes(job, axis) : 1;
    if (job->fits > LG_MAX_FITS / points)
        return lg_fail(ctx, LG_ERR_RANGE, "%u fits with estimator.method fd are %u simulations each: at most %u fits",
                       job->fits, points, LG_MAX_FITS / points);
    const lg_job inner = inner_job(job, points);
    return lg_behind_of(device)->backend->plan(ctx, lg_behind_of(device)->device, &inner, false, plan);
}

/* ---- points ----------------------------------------------------------------------------------------------------- */

static double clamp(double v, double low, double high)
{
    return v < low ? low : (v > high ? high : v);
}

double lg_fd_step(const lg_optimizer *o, int i, double step, double p)
{
    if (o->transform[i] == LG_TRANSFORM_logit) return step;
    return step * fmax(fabs(p), 0.1 * (o->upper[i] - o->lower[i]));
}

/* The two points along coordinate i from p, and their distance in x. */
static double displaced(const lg_optimizer *o, int i, double step, double p, double *plus, double *minus)
{
    const bool logit = o->transform[i] == LG_TRANSFORM_logit;
    double lower = o->lower[i] < p ? o->lower[i] : p, upper = o->upper[i] > p ? o->upper[i] : p;
    if (logit) { /* a coordinate at infinity has no neighbours */
        lower = clamp(lower, 1e-6, 1.0 - 1e-6);
        upper = clamp(upper, 1e-6, 1.0 - 1e-6);
    }
    const double low = lg_to_x(o, i, lower), high = lg_to_x(o, i, upper), x = lg_to_x(o, i, clamp(p, lower, upper));
    const double room = x - low < high - x ? x - low : high - x;
    double h = lg_fd_step(o, i, step, p);
    if (room < h && room >= 0.05 * h) h = room;
    const double above = clamp(x + h, low, high), below = clamp(x - h, low, high);
    *plus = lg_from_x(o, i, above);
    *minus = lg_from_x(o, i, below);
    return above - below;
}

static lg_status place_points(lg_context *ctx, lg_dbatch *b)
{
    const lg_job *job = b->fits.job;
    const lg_backend *backend = b->behind->backend;
    const size_t P = (size_t)job->model->params;
    for (uint32_t f = 0; f < job->fits; f++) {
        const double *p = b->fits.params + f * P;
        double *row = b->params + (size_t)f * b->points * P;
        for (uint32_t k = 0; k < b->points; k++) memcpy(row + k * P, p, P * sizeof *p);
        for (uint32_t k = 0; k < b->moved; k++) {
            const uint32_t i = b->axis[k];
            b->width[f * b->moved + k] = displaced(lg_job_optimizer(job, f), (int)i, job->fd_step, p[i],
                                                   &row[(1 + 2 * k) * P + i], &row[(2 + 2 * k) * P + i]);
        }
    }
    lg_status status = backend->set_params(ctx, b->inner, b->params);
    if (status || !lg_hosted_any_frozen(&b->fits)) return status;
    lg_fit_state *state = malloc(b->job.fits * sizeof *state); /* rare: fits that are done are not run again */
    if (!state) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the states of %u fits", b->job.fits);
    status = backend->get_fit_state(ctx, b->inner, state);
    for (size_t i = 0; i < b->job.fits; i++) state[i].frozen = b->fits.state[i / b->points].frozen;
    if (!status) status = backend->set_fit_state(ctx, b->inner, state);
    free(state);
    return status;
}

/* ---- batch ------------------------------------------------------------------------------------------------------ */

static void fd_destroy(lg_dbatch *b)
{
    if (!b) return;
    if (b->inner) b->behind->backend->destroy(b->inner);
    lg_hosted_close(&b->fits);
    void *const owned[] = {b->noise_fit,  b->resample, b->target, b->weight,  b->params,
                           b->statistics, b->loss,     b->width,  b->jacobian};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(b);
}

static lg_status fd_create(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_dbatch **out)
{
    lg_plan plan;
    lg_status status = fd_plan(ctx, device, job, gradients, &plan);
    if (status) return status;
    lg_dbatch *b = calloc(1, sizeof *b);
    if (!b) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    b->behind = lg_behind_of(device);
    b->moved = gradients ? moved_axes(job, b->axis) : 0;
    b->points = 1 + 2 * b->moved;
    b->job = inner_job(job, b->points);
    const size_t n = b->job.fits, P = (size_t)job->model->params;
    b->params = malloc(n * P * sizeof *b->params);
    b->loss = malloc(n * sizeof *b->loss);
    b->statistics = malloc((n * lg_job_statistics(job) + 1) * sizeof *b->statistics);
    b->width = malloc(((size_t)job->fits * b->moved + 1) * sizeof *b->width);
    if (lg_job_needs_jacobian(job))
        b->jacobian = malloc(((size_t)job->fits * lg_job_statistics(job) * P + 1) * sizeof *b->jacobian);
    if (!b->params || !b->loss || !b->statistics || !b->width || !repeat_per_fit(job, b) ||
        (lg_job_needs_jacobian(job) && !b->jacobian))
        status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %zu simulations", n);
    b->job.params = b->params;
    if (!status) status = lg_hosted_open(ctx, job, &b->fits);
    for (size_t i = 0; !status && i < n; i++)
        memcpy(b->params + i * P, job->params + i / b->points * P, P * sizeof *b->params);
    if (!status) status = b->behind->backend->create(ctx, b->behind->device, &b->job, false, &b->inner);
    if (!status) status = place_points(ctx, b);
    if (status) {
        fd_destroy(b);
        return status;
    }
    *out = b;
    return LG_OK;
}

static lg_status fd_set_params(lg_context *ctx, lg_dbatch *b, const double *params)
{
    lg_hosted_take_params(&b->fits, params);
    return place_points(ctx, b);
}

static lg_status fd_reset(lg_context *ctx, lg_dbatch *b, uint64_t iteration)
{
    return b->behind->backend->reset(ctx, b->inner, iteration);
}

static lg_status fd_forward(lg_context *ctx, lg_dbatch *b, uint32_t steps, bool keep)
{
    if (keep && b->job.loss == LG_LOSS_nll) return LG_OK; /* the likelihood needs no simulation */
    return b->behind->backend->forward(ctx, b->inner, steps, false);
}

static lg_status fd_loss(lg_context *ctx, lg_dbatch *b)
{
    const lg_backend *backend = b->behind->backend;
    const size_t K = lg_job_statistics(&b->job);
    lg_status status = backend->loss(ctx, b->inner);
    if (!status) status = backend->get_loss(ctx, b->inner, b->loss);
    if (!status && b->job.target_stat) status = backend->get_statistics(ctx, b->inner, b->statistics);
    for (size_t i = 0; !status && b->job.combine && i < b->job.fits; i++)
        b->loss[i] = lg_hosted_stat_loss(&b->fits, (uint32_t)(i / b->points), b->statistics + i * K);
    for (size_t f = 0; !status && f < b->fits.job->fits; f++) {
        if (b->fits.state[f].frozen) continue;
        b->fits.loss[f] = b->loss[f * b->points];
        memcpy(b->fits.statistics + f * K, b->statistics + f * b->points * K,
               (b->job.target_stat ? K : 0) * sizeof(double));
    }
    return status;
}

/* d/dp, in the model's coordinate, of what was v[0] at the plus and v[stride] at the minus point of moved axis k. */
static double difference(const lg_dbatch *b, uint32_t f, uint32_t k, const double *v, size_t stride)
{
    const int i = (int)b->axis[k];
    const double p = b->fits.params[(size_t)f * (size_t)b->job.model->params + (size_t)i];
    const double width = b->width[f * b->moved + k];
    return lg_hosted_native(lg_job_optimizer(b->fits.job, f), i, p, (v[0] - v[stride]) / width);
}

static lg_status fd_backward(lg_context *ctx, lg_dbatch *b)
{
    (void)ctx;
    const size_t P = (size_t)b->job.model->params;
    for (uint32_t f = 0; f < b->fits.job->fits; f++) {
        if (b->fits.state[f].frozen) continue;
        for (size_t i = 0; i < P; i++) b->fits.gradient[f * P + i] = NAN;
        for (uint32_t k = 0; k < b->moved; k++)
            b->fits.gradient[f * P + b->axis[k]] =
                difference(b, f, k, b->loss + (size_t)f * b->points + 1 + 2 * (size_t)k, 1);
    }
    return LG_OK;
}

static lg_status fd_get_jacobian(lg_context *ctx, lg_dbatch *b, double *jacobian)
{
    const size_t P = (size_t)b->job.model->params, K = lg_job_statistics(&b->job);
    if (!b->job.target_stat)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "a loss against a reference state has no statistics to differentiate");
    for (uint32_t f = 0; f < b->fits.job->fits; f++)
        for (size_t s = 0; s < K; s++) {
            double *row = jacobian + (f * K + s) * P;
            for (size_t i = 0; i < P; i++) row[i] = NAN;
            for (uint32_t k = 0; k < b->moved; k++)
                row[b->axis[k]] =
                    difference(b, f, k, b->statistics + ((size_t)f * b->points + 1 + 2 * (size_t)k) * K + s, K);
        }
    return LG_OK;
}

static lg_status fd_advance(lg_context *ctx, lg_dbatch *b, uint64_t iteration, uint32_t count, double *rows)
{
    const size_t row = b->fits.job->fits * ((size_t)b->job.model->params + 3);
    lg_status status = LG_OK;
    for (uint32_t i = 0; !status && i < count; i++) {
        status = fd_reset(ctx, b, iteration + i);
        if (!status) status = fd_forward(ctx, b, b->job.steps, true);
        if (!status) status = fd_loss(ctx, b);
        if (!status) status = fd_backward(ctx, b);
        if (!status && b->jacobian) status = fd_get_jacobian(ctx, b, b->jacobian);
        if (status) return status;
        lg_hosted_update(&b->fits, b->jacobian, rows + i * row);
        status = place_points(ctx, b);
    }
    return status;
}

static lg_status fd_get_states(lg_context *ctx, lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count, void *out)
{
    return b->behind->backend->get_states(ctx, b->inner, fit * b->points, first, count, out);
}

static lg_status fd_set_fit_state(lg_context *ctx, lg_dbatch *b, const lg_fit_state *state)
{
    const lg_job *job = b->fits.job;
    const size_t P = (size_t)job->model->params;
    for (uint32_t f = 0; f < job->fits; f++)
        lg_optimizer_restore(lg_job_optimizer(job, f), &b->fits.state[f], &state[f], b->fits.params + f * P);
    memcpy(b->fits.state, state, job->fits * sizeof *state);
    return place_points(ctx, b);
}

const lg_backend lg_backend_fd = {
    .name = "fd",
    .open = lg_hosted_open_device,
    .close = lg_hosted_close_device,
    .describe = lg_hosted_describe,
    .plan = fd_plan,
    .create = fd_create,
    .destroy = fd_destroy,
    .set_params = fd_set_params,
    .reset = fd_reset,
    .forward = fd_forward,
    .loss = fd_loss,
    .backward = fd_backward,
    .advance = fd_advance,
    .get_params = lg_hosted_get_params,
    .get_loss = lg_hosted_get_loss,
    .get_gradient = lg_hosted_get_gradient,
    .get_statistics = lg_hosted_get_statistics,
    .get_jacobian = fd_get_jacobian,
    .get_states = fd_get_states,
    .get_fit_state = lg_hosted_get_fit_state,
    .set_fit_state = fd_set_fit_state,
    .lm = lg_hosted_lm,
};
