/* The cpu backend: OpenMP over fits x replicates, or over rows where there are few lattices and they are large.
 *
 * Sums over replicates are added in index order from per-replicate parts, sums over rows from per-row parts: the result does
 * not depend on the number of threads. */
#include "backend/cpu/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#define LG_NAME_ROW(name, text) #name,
static const char *const method_names[] = {LG_GRADIENT_LIST(LG_NAME_ROW)};
#undef LG_NAME_ROW

/* ---- device ----------------------------------------------------------------------------------------------------- */

static lg_status cpu_open(lg_context *ctx, int index, int threads, lg_device **out)
{
    if (index != 0) return lg_fail(ctx, LG_ERR_DEVICE, "device cpu:%d: there is one cpu device, cpu", index);
    lg_device *d = calloc(1, sizeof *d);
    if (!d) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory while opening the cpu");
#ifdef _OPENMP
    d->threads = threads > 0 ? threads : omp_get_num_procs();
#else
    d->threads = 1;
    if (threads > 1) lg_log(ctx, LG_LOG_WARNING, "this build has no OpenMP: threads %d is taken as 1", threads);
#endif
    d->isa = lg_cpu_select_isa();
    *out = d;
    return LG_OK;
}

static void cpu_close(lg_device *device)
{
    free(device);
}

static void cpu_describe(const lg_device *device, char *text, size_t size)
{
    snprintf(text, size, "cpu (%s, %d thread%s)", device->isa->name, device->threads, device->threads == 1 ? "" : "s");
}

/* ---- shared by the runners -------------------------------------------------------------------------------------- */

int lg_cpu_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* A thread that is given less than this costs more than it saves; where more threads want to run than there are cores, far
 * more. The sums do not depend on the number. */
enum { LEAST_NANOSECONDS = 20000 };

int lg_cpu_team(const lg_dbatch *b, double nanoseconds)
{
    const double most = nanoseconds / LEAST_NANOSECONDS;
    return most >= b->device->threads ? b->device->threads : most > 1.0 ? (int)most : 1;
}

bool lg_cpu_by_rows(const lg_dbatch *b)
{
    const size_t lattices = lg_cpu_lattices(b->job);
    return b->device->threads > 1 && lattices < (size_t)b->device->threads && lg_job_sites(b->job) >= 256 * 256;
}

/* The same for all fits, unless they have resampled pools. */
static void choose_starts(lg_dbatch *b)
{
    const uint32_t R = b->job->replicates;
    for (uint32_t f = 0; f < (b->job->resample ? b->job->fits : 1); f++)
        for (uint32_t r = 0; r < R; r++) b->pool_index[(size_t)f * R + r] = lg_job_pool_row(b->job, b->iteration, f, r);
}

static int find_step(const uint32_t *record, uint32_t records, uint32_t step)
{
    uint32_t low = 0, high = records;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (record[mid] < step) low = mid + 1;
        else high = mid;
    }
    return low < records && record[low] == step ? (int)low : -1;
}

int lg_cpu_record_index(const lg_job *job, uint32_t step)
{
    return find_step(job->record, job->records, step);
}

int lg_cpu_own_index(const lg_job *job, uint32_t step)
{
    return find_step(job->own.record, job->own.records, step);
}

void lg_cpu_reduce(const lg_dbatch *b, uint32_t fit, size_t parts, size_t offset, size_t count, double scale,
                   double *out)
{
    for (size_t k = 0; k < count; k++) out[k] = 0.0;
    const double *part = b->partial + (size_t)fit * parts * b->partial_size + offset;
    for (size_t r = 0; r < parts; r++, part += b->partial_size)
        for (size_t k = 0; k < count; k++) out[k] += part[k];
    for (size_t k = 0; k < count; k++) out[k] *= scale;
}

void lg_cpu_statistic_loss(lg_dbatch *b, uint32_t fit)
{
    const size_t count = lg_job_statistics(b->job);
    const double *s = b->statistics + fit * count;
    const double *target = b->job->target_stat + lg_job_statistic_offset(b->job, fit);
    const double *weight = b->job->weight_stat + lg_job_statistic_offset(b->job, fit);
    double *adjoint = b->stat_adjoint + fit * count, sum = 0.0;
    for (size_t k = 0; k < count; k++) {
        const double d = s[k] - target[k];
        sum += weight[k] * d * d;
        adjoint[k] = 2.0 * weight[k] * d;
    }
    b->loss[fit] = sum;
}

void lg_cpu_state_loss(lg_dbatch *b, uint32_t fit, double S)
{
    const lg_job *job = b->job;
    const double entries = (double)job->replicates * job->model->species * (double)lg_job_sites(job);
    b->loss[fit] = lg_state_loss(job->loss, S, entries);
    b->slope[fit] = lg_state_loss_slope(job->loss, S, entries);
}

/* ---- batch ------------------------------------------------------------------------------------------------------ */

static const lg_cpu_model *runner(const lg_job *job)
{
    switch (job->model->id) {
    case LG_MODEL_SI: return &lg_cpu_si;
    case LG_MODEL_PRW: return &lg_cpu_prw;
    default: return &lg_cpu_mk;
    }
}

static size_t memory_limit(const lg_job *job)
{
    if (job->memory_limit) return job->memory_limit;
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && size > 0 ? (size_t)pages * (size_t)size / 2 : (size_t)1 << 30;
}

static lg_status cpu_plan(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_plan *plan)
{
    const size_t limit = memory_limit(job), own = lg_own_bytes(job, gradients);
    memset(plan, 0, sizeof *plan);
    runner(job)->plan(job, device->threads, gradients, limit > own ? limit - own : 0, plan);
    plan->total_bytes += own;
    if (plan->total_bytes <= limit) return LG_OK;
    if (own > limit / 2)
        return lg_fail(ctx, LG_ERR_MEMORY,
                       "the batch needs %.1f MiB, %.1f MiB of them for the recorded states and adjoints of the loss "
                       "function (%u fits x %u replicates x %u steps), and the limit is %.1f MiB: record fewer steps, "
                       "use fewer replicates or fits, or raise memory_limit",
                       (double)plan->total_bytes / 1048576.0, (double)own / 1048576.0, job->fits, job->replicates,
                       job->own.records, (double)limit / 1048576.0);
    return lg_fail(
        ctx, LG_ERR_MEMORY,
        "the batch needs %.1f MiB even with tape checkpoints every %u steps, and the limit is %.1f MiB: use fewer "
        "replicates, fits or steps, or raise memory_limit",
        (double)plan->total_bytes / 1048576.0, plan->segment, (double)limit / 1048576.0);
}

static void cpu_destroy(lg_dbatch *b)
{
    if (!b) return;
    for (int t = 0; b->scratch && t < b->device->threads; t++) {
        lg_scratch *s = &b->scratch[t];
        void *const owned[] = {s->ea,   s->eb, s->words, s->planes, s->tape, s->row_sums,
                               s->bits, s->si, s->adj,   s->work,   s->waves};
        for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
        for (int i = 0; i < 6; i++) free(s->pad[i]);
    }
    void *const owned[] = {b->pool_index, b->params,       b->loss,  b->gradient,   b->fit_state,  b->mk,
                           b->si,         b->prw,          b->state, b->bits,       b->start_bits, b->target_bits,
                           b->walk,       b->axis_mean,    b->tape,  b->checkpoint, b->states,     b->partial,
                           b->statistics, b->stat_adjoint, b->slope, b->scratch,    b->outbox,     b->inbox,
                           b->counts,     b->jacobian};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    lg_spectrum_close(&b->spectrum);
    lg_recording_close(&b->recording);
    free(b);
}

/* For lg_cpu_exchange. */
static bool allocate_boxes(lg_dbatch *b)
{
    const lg_job *job = b->job;
    if (!job->share) return true;
    const size_t row = job->fits * b->partial_size;
    b->outbox = malloc((row * lg_cpu_own(job) + 1) * sizeof *b->outbox);
    b->inbox = malloc(row * lg_job_parts(job) * sizeof *b->inbox);
    b->counts = malloc((size_t)job->share->size * sizeof *b->counts);
    return b->outbox && b->inbox && b->counts;
}

static bool allocate(lg_dbatch *b)
{
    const size_t F = b->job->fits, P = (size_t)b->job->model->params, K = F * lg_job_statistics(b->job);
    b->pool_index = calloc((b->job->resample ? F : 1) * b->job->replicates, sizeof *b->pool_index);
    b->params = calloc(F * P, sizeof *b->params);
    b->gradient = calloc(F * P, sizeof *b->gradient);
    b->loss = calloc(F, sizeof *b->loss);
    b->slope = calloc(F, sizeof *b->slope);
    b->fit_state = calloc(F, sizeof *b->fit_state);
    b->statistics = calloc(K + 1, sizeof *b->statistics);
    b->stat_adjoint = calloc(K + 1, sizeof *b->stat_adjoint);
    b->scratch = calloc((size_t)b->device->threads, sizeof *b->scratch);
    if (lg_job_needs_jacobian(b->job) && !(b->jacobian = calloc(K * P + 1, sizeof *b->jacobian))) return false;
    if (!b->pool_index || !b->params || !b->gradient || !b->loss || !b->slope || !b->fit_state || !b->statistics ||
        !b->stat_adjoint || !b->scratch)
        return false;
    return b->run->allocate(b) && allocate_boxes(b) && lg_recording_open(b->job, b->gradients, &b->recording);
}

static lg_status cpu_set_params(lg_context *ctx, lg_dbatch *b, const double *params)
{
    (void)ctx;
    const size_t P = (size_t)b->job->model->params;
    memcpy(b->params, params, b->job->fits * P * sizeof *params);
    for (size_t f = 0; f < b->job->fits; f++)
        lg_optimizer_start(lg_job_optimizer(b->job, (uint32_t)f), b->params + f * P, &b->fit_state[f]);
    b->run->prepare(b);
    return LG_OK;
}

static lg_status cpu_reset(lg_context *ctx, lg_dbatch *b, uint64_t iteration)
{
    (void)ctx;
    b->iteration = iteration;
    b->key = lg_iteration_key(b->job->seed, iteration);
    b->step = 0;
    const double tau = lg_job_tau(b->job, iteration);
    if (tau != b->tau) {
        b->tau = tau;
        b->run->prepare(b);
    }
    choose_starts(b);
    b->run->reset(b);
    return LG_OK;
}

static lg_status cpu_create(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_dbatch **out)
{
    lg_plan plan;
    const lg_status status = cpu_plan(ctx, device, job, gradients, &plan);
    if (status) return status;
    lg_dbatch *b = calloc(1, sizeof *b);
    if (!b) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    b->job = job;
    b->device = device;
    b->run = runner(job);
    b->plan = plan;
    b->gradients = gradients;
    b->tau = lg_job_tau(job, 0);
    if (!allocate(b)) {
        cpu_destroy(b);
        return lg_fail(ctx, LG_ERR_MEMORY, "out of memory: the batch needs %.1f MiB",
                       (double)plan.total_bytes / 1048576.0);
    }
    cpu_set_params(ctx, b, job->params);
    cpu_reset(ctx, b, 0);
    *out = b;
    return LG_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static lg_status cpu_forward(lg_context *ctx, lg_dbatch *b, uint32_t steps, bool keep)
{
    if (keep && (!b->gradients || b->step != 0 || steps != b->job->steps))
        return lg_fail(ctx, LG_ERR_INTERNAL,
                       "a tape is kept only for a whole run from step 0 of a batch made for gradients");
    b->run->forward(b, steps, keep);
    b->step += steps;
    return LG_OK;
}

static lg_status cpu_loss(lg_context *ctx, lg_dbatch *b)
{
    if (b->job->own.function) return lg_own_loss_run(ctx, b->job, b->iteration, &b->recording, b->fit_state, b->loss);
    if (!b->job->target && !b->job->target_stat)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "task %s has nothing to compare with, so there is no loss", "simulate");
    b->run->loss(b);
    return b->status;
}

static lg_status cpu_backward(lg_context *ctx, lg_dbatch *b)
{
    (void)ctx;
    b->run->backward(b);
    return b->status;
}

/* Whose model has it, from pathwise gradients; the parts of method score are other numbers. */
static bool has_jacobian(const lg_job *job)
{
    return runner(job)->jacobian && job->target_stat && job->method == LG_GRADIENT_pathwise;
}

static bool has_own(const lg_job *job)
{
    return !job->share; /* the caller sees all replicates */
}

static lg_status cpu_get_jacobian(lg_context *ctx, lg_dbatch *b, double *jacobian)
{
    const lg_job *job = b->job;
    if (!has_jacobian(job))
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "the cpu has no Jacobian for model %s, task %s with estimator.method %s: use estimator.method fd",
            job->model->name, lg_task_name(job->task), method_names[job->method]);
    const size_t size = (size_t)lg_job_statistics(job) * (size_t)job->model->params;
    for (uint32_t f = 0; f < job->fits; f++) b->run->jacobian(b, f, jacobian + f * size);
    return LG_OK;
}

static lg_status cpu_advance(lg_context *ctx, lg_dbatch *b, uint64_t iteration, uint32_t count, double *rows)
{
    const size_t row = b->job->fits * ((size_t)b->job->model->params + 3);
    for (uint32_t i = 0; i < count; i++) {
        cpu_reset(ctx, b, iteration + i);
        lg_status status = cpu_forward(ctx, b, b->job->steps, true);
        if (!status) status = cpu_loss(ctx, b);
        if (!status) status = cpu_backward(ctx, b);
        if (!status && b->jacobian) status = cpu_get_jacobian(ctx, b, b->jacobian);
        if (status) return status;
        lg_update_fits(b->job, b->loss, b->gradient, b->jacobian, b->fit_state, b->params, rows + i * row);
        b->run->prepare(b);
    }
    return LG_OK;
}

/* ---- reads ------------------------------------------------------------------------------------------------------ */

static lg_status cpu_get_params(lg_context *ctx, lg_dbatch *b, double *params)
{
    (void)ctx;
    memcpy(params, b->params, (size_t)b->job->fits * (size_t)b->job->model->params * sizeof *params);
    return LG_OK;
}

static lg_status cpu_get_loss(lg_context *ctx, lg_dbatch *b, double *loss)
{
    (void)ctx;
    memcpy(loss, b->loss, b->job->fits * sizeof *loss);
    return LG_OK;
}

static lg_status cpu_get_gradient(lg_context *ctx, lg_dbatch *b, double *gradient)
{
    (void)ctx;
    memcpy(gradient, b->gradient, (size_t)b->job->fits * (size_t)b->job->model->params * sizeof *gradient);
    return LG_OK;
}

static lg_status cpu_get_statistics(lg_context *ctx, lg_dbatch *b, double *values)
{
    (void)ctx;
    memcpy(values, b->statistics, (size_t)b->job->fits * lg_job_statistics(b->job) * sizeof *values);
    return LG_OK;
}

static lg_status cpu_get_states(lg_context *ctx, lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count, void *out)
{
    if (b->job->share)
        return lg_fail(ctx, LG_ERR_INTERNAL, "states of a batch that is spread over processes cannot be read");
    if (fit >= b->job->fits || first > b->job->replicates || count > b->job->replicates - first)
        return lg_fail(ctx, LG_ERR_RANGE,
                       "states of fit %u, replicates %u to %u were asked for; the batch has %u fits of %u", fit, first,
                       first + count, b->job->fits, b->job->replicates);
    b->run->get_states(b, fit, first, count, out);
    return LG_OK;
}

static lg_status cpu_get_fit_state(lg_context *ctx, lg_dbatch *b, lg_fit_state *state)
{
    (void)ctx;
    memcpy(state, b->fit_state, b->job->fits * sizeof *state);
    return LG_OK;
}

static lg_status cpu_set_fit_state(lg_context *ctx, lg_dbatch *b, const lg_fit_state *state)
{
    (void)ctx;
    const size_t P = (size_t)b->job->model->params;
    for (size_t f = 0; f < b->job->fits; f++)
        lg_optimizer_restore(lg_job_optimizer(b->job, (uint32_t)f), &b->fit_state[f], &state[f], b->params + f * P);
    memcpy(b->fit_state, state, b->job->fits * sizeof *state);
    b->run->prepare(b);
    return LG_OK;
}

const lg_backend lg_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .plan = cpu_plan,
    .create = cpu_create,
    .destroy = cpu_destroy,
    .set_params = cpu_set_params,
    .reset = cpu_reset,
    .forward = cpu_forward,
    .loss = cpu_loss,
    .backward = cpu_backward,
    .advance = cpu_advance,
    .get_params = cpu_get_params,
    .get_loss = cpu_get_loss,
    .get_gradient = cpu_get_gradient,
    .get_statistics = cpu_get_statistics,
    .get_jacobian = cpu_get_jacobian,
    .get_states = cpu_get_states,
    .get_fit_state = cpu_get_fit_state,
    .set_fit_state = cpu_set_fit_state,
    .share = true,
    .lm = has_jacobian,
    .own = has_own,
};
