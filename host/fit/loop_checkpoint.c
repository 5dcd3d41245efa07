/* The loop's side of checkpoints: when one is written, and how a fit goes on from it. */
#include "fit/loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double lg_loop_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void lg_loop_stamp(char *out, size_t size)
{
    const time_t t = time(NULL);
    struct tm utc;
    gmtime_r(&t, &utc);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void lg_loop_end(lg_loop *l, lg_fit_status status, const char *reason)
{
    for (int f = 0; f < l->result->fits; f++) {
        if (l->result->fit[f].status != LG_FIT_RUNNING) continue;
        l->result->fit[f].status = status;
        snprintf(l->result->fit[f].reason, sizeof l->result->fit[f].reason, "%s", reason);
    }
}

int lg_loop_running(const lg_loop *l)
{
    int count = 0;
    for (int f = 0; f < l->result->fits; f++) count += l->result->fit[f].status == LG_FIT_RUNNING;
    return count;
}

/* The statistics of the last evaluated states. The device has none of fits that ended before it was asked to go on: theirs
 * came with the checkpoint and stay. */
lg_status lg_loop_statistics(lg_context *ctx, lg_loop *l)
{
    lg_result *r = l->result;
    if (!r->last_statistics) return LG_OK;
    const size_t F = (size_t)r->fits, K = (size_t)r->statistics;
    double *values = malloc((F * K + 1) * sizeof *values);
    if (!values) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the statistics of %zu fits", F);
    const lg_status status = l->problem->backend->get_statistics(ctx, l->batch, values);
    for (size_t f = 0; !status && f < F; f++)
        if (r->fit[f].iterations > l->first) memcpy(r->last_statistics + f * K, values + f * K, K * sizeof *values);
    free(values);
    return status;
}

static lg_status save(lg_context *ctx, lg_loop *l)
{
    const double began = lg_loop_clock();
    lg_status status = lg_loop_statistics(ctx, l);
    if (status) return status;
    const lg_checkpoint c = {.result = l->result, .state = l->state, .done = l->done, .seconds = began - l->began};
    status = lg_checkpoint_write(ctx, &l->file, &c);
    l->saved = lg_loop_clock();
    l->saving = l->saved - began;
    if (!status) l->checkpointed = l->done;
    return status;
}

static bool is_due(const lg_loop *l)
{
    const lg_fit_options *o = l->options;
    if (o->checkpoint_every > 0) return l->done % o->checkpoint_every == 0;
    return lg_loop_clock() - l->saved >= fmax(o->checkpoint_seconds, 200.0 * l->saving);
}

/* Would another chunk and a checkpoint end after the time limit? */
static bool is_late(const lg_loop *l)
{
    const double margin = 2.0 * (l->longest + l->saving) + fmin(1.0, 0.01 * l->options->time_limit);
    return l->options->time_limit > 0.0 && lg_loop_clock() - l->session + margin >= l->options->time_limit;
}

/* Between two chunks: writes a checkpoint where one is due or asked for; LG_ERR_STOPPED where the run ends with it. */
lg_status lg_loop_between_chunks(lg_context *ctx, lg_loop *l, int action)
{
    if (l->done >= l->problem->iterations || lg_loop_running(l) == 0) return LG_OK; /* what is left is the result */
    const bool late = l->file.path && is_late(l);
    if (late) action = LG_CHECKPOINT_STOP;
    if (!l->file.path && action == LG_CHECKPOINT) action = LG_GO_ON;
    if (action != LG_GO_ON && action != LG_CHECKPOINT && (action != LG_CHECKPOINT_STOP || !l->file.path)) {
        lg_loop_end(l, LG_FIT_STOPPED, "stopped by request");
        return LG_OK;
    }
    if (!l->file.path || (action == LG_GO_ON && !is_due(l))) return LG_OK;
    const lg_status status = save(ctx, l);
    if (action == LG_CHECKPOINT_STOP) {
        if (status)
            return lg_fail_in(ctx, status, "stopped after %lld iterations without a new checkpoint",
                              (long long)l->done);
        return lg_fail(ctx, LG_ERR_STOPPED, "%s after %lld of %lld iterations; the checkpoint '%s' holds them",
                       late ? "the time limit was near" : "stopped", (long long)l->done,
                       (long long)l->problem->iterations, l->file.path);
    }
    /* a full disk may have room again when the next one is due */
    if (status)
        lg_log(ctx, LG_LOG_WARNING, "no checkpoint after %lld iterations: %s", (long long)l->done,
               lg_context_message(ctx));
    return LG_OK;
}

void lg_loop_keep(lg_context *ctx, lg_loop *l)
{
    if (!l->file.path || !l->options->checkpoint_end || l->checkpointed == l->done) return;
    if (save(ctx, l))
        lg_log(ctx, LG_LOG_WARNING, "no checkpoint after the last iteration: %s", lg_context_message(ctx));
}

/* "TIME HOST iteration N; " after those before it; the oldest ones give way. */
static void note_resumption(lg_loop *l)
{
    lg_result *r = l->result;
    char time[32], line[160];
    lg_loop_stamp(time, sizeof time);
    snprintf(line, sizeof line, "%s%s %s iteration %lld", *r->resumed ? "; " : "", time, r->host, (long long)l->done);
    while (*r->resumed && strlen(r->resumed) + strlen(line) >= sizeof r->resumed) {
        const char *next = strstr(r->resumed, "; ");
        memmove(r->resumed, next ? next + 2 : "", next ? strlen(next + 2) + 1 : 1);
    }
    strncat(r->resumed, line, sizeof r->resumed - strlen(r->resumed) - 1);
}

/* Puts the device where the checkpoint was taken. Parameters first: of a fit that never moved they are exact where the
 * optimiser's coordinate cannot say them, and set_fit_state leaves those whose coordinate agrees. */
lg_status lg_loop_restore(lg_context *ctx, lg_loop *l, double *params)
{
    const lg_backend *backend = l->problem->backend;
    const size_t P = (size_t)l->problem->job.model->params;
    lg_checkpoint c = {.result = l->result, .state = l->state};
    bool found = false;
    lg_status status = lg_checkpoint_read(ctx, &l->file, &c, &found);
    if (status) return status;
    if (!found) {
        lg_log(ctx, LG_LOG_INFO, "there is no checkpoint '%s': starting from the beginning", l->file.path);
        return LG_OK;
    }
    for (size_t f = 0; f < l->problem->job.fits; f++)
        memcpy(params + f * P, l->result->fit[f].params, P * sizeof *params);
    status = backend->set_params(ctx, l->batch, params);
    if (!status) status = backend->set_fit_state(ctx, l->batch, l->state);
    l->first = l->done = l->checkpointed = c.done;
    l->began -= c.seconds;
    note_resumption(l);
    lg_log(ctx, LG_LOG_INFO, "going on from the checkpoint '%s' after %lld of %lld iterations", l->file.path,
           (long long)l->done, (long long)l->problem->iterations);
    return status;
}

lg_status lg_loop_open(lg_context *ctx, lg_loop *l)
{
    const lg_fit_options *o = l->options;
    const bool named = o->checkpoint && *o->checkpoint;
    if (!named && o->resume)
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "nothing to resume: no checkpoint file is named; set output.file or checkpoint.file");
    if (!named && o->time_limit > 0.0)
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "the time limit stops with a checkpoint, and no checkpoint file is named: set output.file or "
                       "checkpoint.file");
    if (!named) return LG_OK;
    const lg_status status = lg_checkpoint_open(ctx, o->checkpoint, l->problem, &l->file);
    const bool leads = !l->problem->job.share || l->problem->job.share->rank == 0;
    if (status || o->resume || o->force || !leads || !lg_checkpoint_exists(&l->file)) return status;
    return lg_fail(
        ctx, LG_ERR_EXISTS,
        "there is a checkpoint '%s' of a fit that was interrupted: --resume goes on from it, --force starts again",
        o->checkpoint);
}
