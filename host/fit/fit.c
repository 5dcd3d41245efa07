/* The fit loop: lets the backend advance by chunks of iterations, looks at the trace between them, and stops what is done. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fit/errors.h"
#include "fit/loop.h"

static size_t columns(const lg_problem *p)
{
    return (size_t)p->job.model->params + 3;
}

/* ---- result ----------------------------------------------------------------------------------------------------- */

static double *copy_reals(const double *from, size_t count)
{
    double *to = malloc((count + 1) * sizeof *to);
    if (to) memcpy(to, from, count * sizeof *to);
    return to;
}

lg_result *lg_loop_result(const lg_problem *p)
{
    const lg_job *job = &p->job;
    lg_problem_info info;
    lg_result *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    lg_problem_describe(p, &info);
    r->model = job->model;
    r->fits = (int)job->fits;
    r->seed = job->seed;
    snprintf(r->task, sizeof r->task, "%s", info.task);
    snprintf(r->loss, sizeof r->loss, "%s", info.loss);
    snprintf(r->device, sizeof r->device, "%.127s", info.device);
    lg_loop_stamp(r->started, sizeof r->started);
    if (gethostname(r->host, sizeof r->host - 1)) r->host[0] = '\0';
    r->config_yaml = strdup(p->config_yaml);
    r->fit = calloc(job->fits, sizeof *r->fit);
    if (!r->config_yaml || !r->fit) goto fail;
    for (int i = 0; i < job->model->params; i++) r->fitted[i] = job->optimizer.fitted[i];
    r->ensemble = p->ensemble.given;
    r->bound = p->ensemble.bound;
    r->distance = p->ensemble.distance;
    r->coordinates = p->ensemble.axes ? lg_ensemble_names(&p->ensemble, r->coordinate_name) : 0;
    memcpy(r->lower, job->optimizer.lower, sizeof r->lower);
    memcpy(r->upper, job->optimizer.upper, sizeof r->upper);
    for (size_t f = 0; f < job->fits; f++) {
        lg_problem_start(p, (int)f, r->fit[f].start);
        lg_problem_start(p, (int)f, r->fit[f].params);
        if (r->coordinates) lg_ensemble_coordinates(&p->ensemble, job->first_fit + (uint32_t)f, r->fit[f].coordinate);
        r->fit[f].loss = NAN;
        for (int i = 0; i < LG_MAX_PARAMS; i++) r->fit[f].error[i] = r->fit[f].low[i] = r->fit[f].high[i] = NAN;
        r->fit[f].trace = malloc(((size_t)p->iterations * columns(p) + 1) * sizeof(double));
        if (!r->fit[f].trace) goto fail;
    }
    if (job->target_stat) {
        const size_t K = lg_job_statistics(job);
        r->statistics = (int)K;
        r->target = copy_reals(p->target_stat, K);
        r->weight = copy_reals(p->weight_stat, K);
        r->last_statistics = calloc(job->fits * K + 1, sizeof(double));
        if (!r->target || !r->weight || !r->last_statistics) goto fail;
    }
    return r;
fail:
    lg_result_free(r);
    return NULL;
}

/* ---- stopping --------------------------------------------------------------------------------------------------- */

static double window_mean(const lg_fit_record *fit, size_t width, int64_t end, int64_t window)
{
    double sum = 0.0;
    for (int64_t i = end - window; i < end; i++) sum += fit->trace[(size_t)i * width];
    return sum / (double)window;
}

/* Plateau: the mean loss of the last window is not below the one before by more than tolerance times its size. */
static bool on_plateau(const lg_loop *l, const lg_fit_record *fit)
{
    const lg_problem *p = l->problem;
    if (p->stop_window < 1 || fit->iterations % p->stop_window || fit->iterations < 2 * p->stop_window) return false;
    const double before = window_mean(fit, columns(p), fit->iterations - p->stop_window, p->stop_window);
    const double after = window_mean(fit, columns(p), fit->iterations, p->stop_window);
    return before - after <= p->stop_tolerance * fabs(before);
}

static void end_not_finite(const lg_loop *l, size_t f)
{
    lg_fit_record *fit = &l->result->fit[f];
    const lg_fit_state *s = &l->state[f];
    const lg_model_desc *model = l->problem->job.model;
    fit->status = LG_FIT_NOT_FINITE;
    fit->iterations = (int64_t)s->updates + 1; /* the row that was not finite is kept */
    fit->loss = fit->trace[s->updates * columns(l->problem)];
    if (s->bad_param < 0)
        snprintf(fit->reason, sizeof fit->reason,
                 "the loss was %g at iteration %llu; parameters keep the values before it", fit->loss,
                 (unsigned long long)s->updates);
    else
        snprintf(fit->reason, sizeof fit->reason,
                 "the gradient of %s was not finite at iteration %llu (loss %g); parameters keep the values before it",
                 model->param[s->bad_param].name, (unsigned long long)s->updates, fit->loss);
}

/* Takes the rows of a chunk into the traces and decides which fits go on; true if the device's fit states changed. */
static bool take_rows(lg_loop *l, uint32_t count)
{
    const size_t F = l->problem->job.fits, width = columns(l->problem);
    bool changed = false;
    for (size_t f = 0; f < F; f++) {
        lg_fit_record *fit = &l->result->fit[f];
        if (fit->status != LG_FIT_RUNNING) continue;
        for (uint32_t i = 0; i < count; i++)
            memcpy(fit->trace + ((size_t)l->done + i) * width, l->rows + (i * F + f) * width, width * sizeof(double));
        fit->iterations = l->done + count;
        fit->loss = fit->trace[(size_t)(fit->iterations - 1) * width];
        if (l->state[f].frozen == 2) {
            end_not_finite(l, f);
        } else if (on_plateau(l, fit)) {
            fit->status = LG_FIT_PLATEAU;
            snprintf(fit->reason, sizeof fit->reason,
                     "the mean loss of %lld iterations improved by less than %g of itself",
                     (long long)l->problem->stop_window, l->problem->stop_tolerance);
            l->state[f].frozen = 1;
            changed = true;
        }
    }
    return changed;
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* Iterations until the host looks again: some tenth of a second's worth, never across a plateau window or the end. 0: the fit
 * is over. */
static uint32_t next_count(const lg_loop *l)
{
    int64_t count = lg_loop_running(l) > 0 ? l->chunk : 0, left = l->problem->iterations - l->done;
    if (count > left) count = left;
    if (l->problem->stop_window > 0) {
        const int64_t to_window = l->problem->stop_window - l->done % l->problem->stop_window;
        if (count > to_window) count = to_window;
    }
    if (l->file.path && l->options->checkpoint_every > 0) {
        const int64_t to_checkpoint = l->options->checkpoint_every - l->done % l->options->checkpoint_every;
        if (count > to_checkpoint) count = to_checkpoint;
    }
    return (uint32_t)count;
}

/* What the progress function asks for: an lg_action. */
static int report(lg_loop *l, lg_progress_fn progress, void *user)
{
    lg_problem *p = l->problem;
    double *loss = malloc(p->job.fits * sizeof *loss), *values = malloc(p->job.fits * LG_MAX_PARAMS * sizeof *values);
    const size_t P = (size_t)p->job.model->params;
    int action = LG_GO_ON;
    if (loss && values) {
        for (size_t f = 0; f < p->job.fits; f++) {
            loss[f] = l->result->fit[f].loss;
            memcpy(values + f * P, l->result->fit[f].params, P * sizeof *values);
        }
        const double seconds = lg_loop_clock() - l->began;
        const lg_progress info = {.iteration = l->done,
                                  .iterations = p->iterations,
                                  .seconds = seconds,
                                  .seconds_left =
                                      l->done > 0 ? seconds * (double)(p->iterations - l->done) / (double)l->done : 0.0,
                                  .fits = (int)p->job.fits,
                                  .params = (int)P,
                                  .running = lg_loop_running(l),
                                  .loss = loss,
                                  .values = values,
                                  .checkpoint = l->checkpointed};
        action = progress(&info, user);
    }
    free(loss);
    free(values);
    return action;
}

static lg_status read_params(lg_context *ctx, lg_loop *l, double *buffer)
{
    const size_t P = (size_t)l->problem->job.model->params;
    const lg_status status = l->problem->backend->get_params(ctx, l->batch, buffer);
    for (size_t f = 0; !status && f < l->problem->job.fits; f++)
        memcpy(l->result->fit[f].params, buffer + f * P, P * sizeof *buffer);
    return status;
}

static lg_status run_chunk(lg_context *ctx, lg_loop *l, uint32_t count, double *params)
{
    const lg_backend *backend = l->problem->backend;
    lg_status status = backend->advance(ctx, l->batch, (uint64_t)l->done, count, l->rows);
    if (!status) status = backend->get_fit_state(ctx, l->batch, l->state);
    if (status) return status;
    if (take_rows(l, count)) status = backend->set_fit_state(ctx, l->batch, l->state);
    l->done += count;
    return status ? status : read_params(ctx, l, params);
}

/* Between two chunks: what the caller, the clock and the checkpoints want. */
static lg_status look_up(lg_context *ctx, lg_loop *l, uint32_t count, double began, lg_progress_fn progress, void *user)
{
    const int action = progress ? report(l, progress, user) : LG_GO_ON;
    if (l->problem->job.share && l->problem->job.share->rank > 0) return LG_OK; /* rank 0 decides */
    const double stop_seconds = l->problem->stop_seconds;
    l->longest = fmax(l->longest, lg_loop_clock() - began);
    const lg_status status = lg_loop_between_chunks(ctx, l, action);
    if (!status && stop_seconds > 0.0 && lg_loop_clock() - l->began >= stop_seconds)
        lg_loop_end(l, LG_FIT_TIME, "the time limit stop.time was reached");
    if (lg_loop_clock() - began < 0.1 && count == l->chunk && l->chunk * 2 <= l->chunk_limit) l->chunk *= 2;
    return status;
}

/* Where processes share the replicates of a fit they have to do the same, though their clocks and signals differ: rank 0 says
 * how many iterations come next, or that the fit is over and why. */
static lg_status follow(lg_context *ctx, const lg_loop *l, lg_status status, uint32_t *count)
{
    const lg_share *share = l->problem->job.share;
    if (!share) return status;
    uint32_t word[2] = {(uint32_t)status, *count};
    const lg_status heard = share->lead(share->user, word, sizeof word);
    if (heard) return heard;
    *count = word[1];
    if (share->rank == 0 || word[0] == LG_OK) return status;
    return lg_fail(ctx, (lg_status)word[0], "stopped by rank 0");
}

/* All ranks are ready, and at the same iteration. From here on rank 0 writes the checkpoints. */
static lg_status start_together(lg_context *ctx, lg_loop *l, lg_status status)
{
    const lg_share *share = l->problem->job.share;
    int64_t done = l->done;
    status = share->agree(share->user, status);
    if (!status) status = share->lead(share->user, &done, sizeof done);
    if (!status && done != l->done)
        status = lg_fail(ctx, LG_ERR_FILE,
                         "the checkpoint '%s' is not the same for all processes: it has to be in a folder that all see",
                         l->options->checkpoint);
    status = share->agree(share->user, status);
    if (share->rank > 0) lg_checkpoint_close(&l->file);
    return status;
}

static lg_status run(lg_context *ctx, lg_loop *l, double *params, lg_progress_fn progress, void *user)
{
    lg_status status = LG_OK;
    for (;;) {
        const double began = lg_loop_clock();
        uint32_t count = status ? 0 : next_count(l);
        status = follow(ctx, l, status, &count);
        if (status || !count) break;
        status = run_chunk(ctx, l, count, params);
        if (status) return status;
        status = look_up(ctx, l, count, began, progress, user);
    }
    if (!status) lg_loop_end(l, LG_FIT_DONE, "all iterations done");
    return status;
}

static bool any_fitted(const lg_job *job)
{
    for (int i = 0; i < job->model->params; i++)
        if (job->optimizer.fitted[i]) return true;
    return false;
}

lg_status lg_fit(lg_context *ctx, lg_problem *problem, lg_progress_fn progress, void *user, lg_result **out)
{
    return lg_fit_run(ctx, problem, &(lg_fit_options){.checkpoint = NULL}, progress, user, out);
}

lg_status lg_fit_run(lg_context *ctx, lg_problem *problem, const lg_fit_options *options, lg_progress_fn progress,
                     void *user, lg_result **out)
{
    const lg_job *job = &problem->job;
    if (!lg_problem_has_loss(problem))
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "task simulate has no loss to fit: use task transition, trajectory or stability, or "
                       "lg_problem_set_loss");
    if (!any_fitted(job))
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "all parameters are held fixed: give at least one as {start: VALUE} to fit it");
    if (problem->search.kind != LG_SEARCH_gradient) return lg_search_run(ctx, problem, options, progress, user, out);
    lg_loop l = {.problem = problem, .chunk = 1, .began = lg_loop_clock(), .options = options, .checkpointed = -1};
    l.session = l.saved = l.began;
    /* rows of a chunk stay below some 16 MiB */
    const size_t row_bytes = job->fits * columns(problem) * sizeof(double);
    l.chunk_limit = row_bytes > (16u << 20) / 1024 ? (uint32_t)((16u << 20) / row_bytes + 1) : 1024;
    l.result = lg_loop_result(problem);
    l.state = malloc(job->fits * sizeof *l.state);
    l.rows = malloc(l.chunk_limit * row_bytes);
    double *params = malloc(job->fits * LG_MAX_PARAMS * sizeof *params);
    lg_status status = LG_OK;
    if (!l.result || !l.state || !l.rows || !params)
        status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory: the traces of %u fits over %lld iterations", job->fits,
                         (long long)problem->iterations);
    if (!status) status = lg_loop_open(ctx, &l);
    if (!status) status = problem->backend->create(ctx, problem->device, job, true, &l.batch);
    if (!status && options->resume) status = lg_loop_restore(ctx, &l, params);
    if (job->share) status = start_together(ctx, &l, status);
    if (!status) status = run(ctx, &l, params, progress, user);
    if (!status) status = lg_loop_statistics(ctx, &l);
    if (!status) lg_loop_keep(ctx, &l);
    if (l.batch) problem->backend->destroy(l.batch);
    if (!status) status = lg_fit_errors(ctx, problem, l.result);
    lg_checkpoint_close(&l.file);
    free(l.state);
    free(l.rows);
    free(params);
    if (status) {
        lg_result_free(l.result);
        return status;
    }
    l.result->seconds = lg_loop_clock() - l.began;
    lg_loop_stamp(l.result->finished, sizeof l.result->finished);
    *out = l.result;
    return LG_OK;
}
