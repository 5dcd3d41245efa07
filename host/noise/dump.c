/* Writes one evaluation of a backend as a noise folder: inputs and noise from the generator's rules, states, loss
 * and gradient from the backend itself, stepped one step at a time through its function table. */
#include "noise/noise.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything of one dump. job: fit 0 of the caller's job at the parameters asked for. */
typedef struct dump {
    lg_job job;
    lg_noise inputs, results;
    char loss_name[48], gradient_name[48];
} dump;

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* uint8 states of all replicates after step t into states [T+1, ...] int32. */
static void keep_lattices(const lg_job *job, uint32_t t, const uint8_t *from, int32_t *states)
{
    const size_t count = job->replicates * lg_job_state_bytes(job);
    for (size_t i = 0; i < count; i++) states[t * count + i] = from[i];
}

/* int32 [n][4] = x, y, vx, vy after step t into [2, T+1, n]. Before the first step there is no velocity on the
 * device: it is the one of the inputs. */
static void keep_walkers(const dump *d, uint32_t t, const int32_t *from, double *positions, double *velocities)
{
    const size_t n = d->job.replicates, rows = d->job.steps + 1;
    const double *v0 = lg_noise_reals(&d->inputs, "v0");
    for (size_t axis = 0; axis < 2; axis++)
        for (size_t i = 0; i < n; i++) {
            positions[(axis * rows + t) * n + i] = from[4 * i + axis];
            velocities[(axis * rows + t) * n + i] = t == 0 ? v0[axis * n + i] : from[4 * i + 2 + axis];
        }
}

static lg_status add_state_arrays(lg_context *ctx, dump *d, void **states, void **velocities)
{
    const lg_job *job = &d->job;
    const size_t T1 = (size_t)job->steps + 1, B = job->replicates, H = job->height, W = job->width;
    *velocities = NULL;
    if (job->model->species == 0) {
        const lg_status status =
            lg_noise_add(ctx, &d->results, "positions", LG_F64, 3, (const size_t[]){2, T1, B}, states);
        return status ? status
                      : lg_noise_add(ctx, &d->results, "velocities", LG_F64, 3, (const size_t[]){2, T1, B}, velocities);
    }
    if (job->model->species == 1)
        return lg_noise_add(ctx, &d->results, "states", LG_I32, 4, (const size_t[]){T1, B, H, W}, states);
    return lg_noise_add(ctx, &d->results, "states", LG_I32, 5,
                        (const size_t[]){T1, B, (size_t)job->model->species, H, W}, states);
}

/* The next state of a single SI step under its golden name too: ste_Y or gs_Y, [B,H,W]. */
static lg_status add_si_next(lg_context *ctx, dump *d, const int32_t *states)
{
    const lg_job *job = &d->job;
    const size_t slice = job->replicates * lg_job_sites(job);
    void *next;
    const lg_status status = lg_noise_add(ctx, &d->results, job->binary == LG_ESTIMATOR_gs ? "gs_Y" : "ste_Y", LG_F64,
                                          3, (const size_t[]){job->replicates, job->height, job->width}, &next);
    for (size_t i = 0; !status && i < slice; i++) ((double *)next)[i] = states[slice + i];
    return status;
}

static lg_status run_states(lg_context *ctx, dump *d, const lg_backend *backend, lg_dbatch *batch, uint64_t iteration)
{
    const lg_job *job = &d->job;
    void *states, *velocities;
    lg_status status = add_state_arrays(ctx, d, &states, &velocities);
    if (status) return status;
    void *now = malloc(job->replicates * lg_job_state_bytes(job));
    if (!now) return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for the states of %u replicates", job->replicates);
    status = backend->reset(ctx, batch, iteration);
    for (uint32_t t = 0; t <= job->steps && !status; t++) {
        if (t > 0) status = backend->forward(ctx, batch, 1, false);
        if (!status) status = backend->get_states(ctx, batch, 0, 0, job->replicates, now);
        if (status) break;
        if (velocities) keep_walkers(d, t, now, states, velocities);
        else keep_lattices(job, t, now, states);
    }
    if (!status && job->model->id == LG_MODEL_SI && job->steps == 1) status = add_si_next(ctx, d, states);
    free(now);
    return status;
}

/* ---- loss and gradient ------------------------------------------------------------------------------------------- */

static const char *loss_text(const lg_job *job)
{
    static const char *const names[] = {
#define LG_LOSS_NAME(name, text) #name,
        LG_LOSS_LIST(LG_LOSS_NAME)
#undef LG_LOSS_NAME
    };
    if (job->target_stat) return "stat";
    return job->loss == LG_LOSS_count ? "sumstat" : names[job->loss];
}

/* The golden names: loss_mse, ste_loss_mse, v0gs_loss, ... */
static void name_results(dump *d)
{
    const lg_job *job = &d->job;
    const char *estimator = job->binary == LG_ESTIMATOR_gs ? "gs" : "ste", *loss = loss_text(job);
    const char *v0 = job->v0_const ? "v0const" : "v0gs";
    const size_t size = sizeof d->loss_name;
    if (job->model->id == LG_MODEL_SI) {
        snprintf(d->loss_name, size, "%s_loss_%s", estimator, loss);
        snprintf(d->gradient_name, size, "%s_grad_beta_%s", estimator, loss);
    } else if (job->model->id == LG_MODEL_PRW) {
        snprintf(d->loss_name, size, "%s_loss", v0);
        snprintf(d->gradient_name, size, "%s_grad_logits", v0);
    } else {
        snprintf(d->loss_name, size, "loss_%s", loss);
        snprintf(d->gradient_name, size, "grad_params_%s", loss);
    }
}

static bool has_loss(const lg_job *job)
{
    return job->target || job->target_stat;
}

static lg_status run_gradient(lg_context *ctx, dump *d, const lg_backend *backend, lg_dbatch *batch, uint64_t iteration)
{
    void *loss, *gradient;
    const size_t params = (size_t)d->job.model->params;
    if (!has_loss(&d->job)) return LG_OK;
    lg_status status = lg_noise_add(ctx, &d->results, d->loss_name, LG_F64, 1, (const size_t[]){1}, &loss);
    if (!status) status = lg_noise_add(ctx, &d->results, d->gradient_name, LG_F64, 1, &params, &gradient);
    if (!status) status = backend->reset(ctx, batch, iteration);
    if (!status) status = backend->forward(ctx, batch, d->job.steps, true);
    if (!status) status = backend->loss(ctx, batch);
    if (!status) status = backend->backward(ctx, batch);
    if (!status) status = backend->get_loss(ctx, batch, loss);
    if (!status) status = backend->get_gradient(ctx, batch, gradient);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static lg_status file_path(lg_context *ctx, const char *directory, const char *name, char *path)
{
    if (snprintf(path, PATH_MAX, "%s/%s.npy", directory, name) < PATH_MAX) return LG_OK;
    return lg_fail(ctx, LG_ERR_FILE, "%s: the path of the folder is too long", directory);
}

/* Nothing is touched if one of the files is there already. */
static lg_status refuse_existing(lg_context *ctx, const lg_noise *set, const char *directory)
{
    char path[PATH_MAX];
    for (int i = 0; i < set->count; i++) {
        const lg_status status = file_path(ctx, directory, set->item[i].name, path);
        if (status) return status;
        if (lg_file_exists(path))
            return lg_fail(ctx, LG_ERR_EXISTS,
                           "%s exists already; choose another folder, or --force to replace its files", path);
    }
    return LG_OK;
}

static lg_status write_all(lg_context *ctx, const lg_noise *set, const char *directory, bool force)
{
    char path[PATH_MAX];
    lg_status status = LG_OK;
    for (int i = 0; i < set->count && !status; i++) {
        status = file_path(ctx, directory, set->item[i].name, path);
        if (!status) status = lg_array_write(ctx, path, &set->item[i].array, force);
    }
    return status;
}

static lg_status run_and_write(lg_context *ctx, dump *d, const lg_backend *backend, lg_device *device,
                               uint64_t iteration, const char *directory, bool force)
{
    lg_dbatch *batch = NULL;
    lg_status status = backend->create(ctx, device, &d->job, has_loss(&d->job), &batch);
    if (status) return status;
    status = run_states(ctx, d, backend, batch, iteration);
    if (!status) status = run_gradient(ctx, d, backend, batch, iteration);
    backend->destroy(batch);
    if (!status && !force) status = refuse_existing(ctx, &d->inputs, directory);
    if (!status && !force) status = refuse_existing(ctx, &d->results, directory);
    if (!status) status = lg_make_directory(ctx, directory);
    if (!status) status = write_all(ctx, &d->inputs, directory, force);
    if (!status) status = write_all(ctx, &d->results, directory, force);
    return status;
}

lg_status lg_noise_dump_job(lg_context *ctx, const lg_job *job, const lg_backend *backend, lg_device *device,
                            uint64_t iteration, const double *params, const char *directory, bool force)
{
    dump d = {.job = *job};
    d.job.fits = 1;
    d.job.first_fit = lg_job_noise_fit(job, 0);
    d.job.noise_fit = NULL;
    d.job.params = params;
    d.results.model = job->model->id;
    name_results(&d);
    lg_status status = lg_noise_generate(ctx, &d.job, iteration, params, &d.inputs);
    if (!status) status = run_and_write(ctx, &d, backend, device, iteration, directory, force);
    lg_noise_clear(&d.inputs);
    lg_noise_clear(&d.results);
    return status;
}
