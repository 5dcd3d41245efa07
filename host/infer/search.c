/* One search from its batch to its result, and what the methods share. */
#include "infer/infer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fit/loop.h"

/* ---- candidates -------------------------------------------------------------------------------------------------- */

bool lg_search_left(const lg_search *s)
{
    return (int64_t)(s->batches + 1) * s->plan->population <= s->plan->simulations;
}

void lg_search_put(lg_search *s, uint32_t candidate, const double *theta)
{
    for (int d = 0; d < s->dims; d++)
        s->params[(size_t)candidate * (size_t)s->job.model->params + (size_t)s->index[d]] =
            fmin(fmax(theta[d], s->lower[d]), s->upper[d]);
}

void lg_search_get(const lg_search *s, uint32_t candidate, double *theta)
{
    for (int d = 0; d < s->dims; d++)
        theta[d] = s->params[(size_t)candidate * (size_t)s->job.model->params + (size_t)s->index[d]];
}

lg_status lg_search_evaluate(lg_search *s, uint64_t iteration)
{
    const lg_backend *backend = s->problem->backend;
    lg_status status = backend->set_params(s->ctx, s->batch, s->params);
    if (!status) status = backend->reset(s->ctx, s->batch, iteration);
    if (!status) status = backend->forward(s->ctx, s->batch, s->job.steps, s->keep);
    if (!status) status = backend->loss(s->ctx, s->batch);
    if (!status) status = backend->get_loss(s->ctx, s->batch, s->loss);
    for (uint32_t c = 0; !status && c < s->job.fits; c++)
        if (!isfinite(s->loss[c])) s->loss[c] = INFINITY; /* no candidate to go on from */
    s->batches++;
    return status;
}

double lg_search_uniform(const lg_search *s, uint32_t stream, uint64_t batch, uint32_t candidate, uint32_t attempt,
                         uint32_t k)
{
    const lg_block b =
        lg_draw(lg_iteration_key(s->job.seed, batch), stream, s->job.first_fit, candidate, attempt, k / 4);
    return lg_u31_real(b.w[k % 4]);
}

double lg_search_normal(const lg_search *s, uint32_t stream, uint64_t batch, uint32_t candidate, uint32_t attempt,
                        uint32_t k)
{
    const double u = lg_search_uniform(s, stream, batch, candidate, attempt, 2 * k);
    const double v = lg_search_uniform(s, stream, batch, candidate, attempt, 2 * k + 1);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v); /* Box and Muller 1958 */
}

void lg_search_prior(lg_search *s, uint32_t candidate)
{
    double theta[LG_MAX_PARAMS];
    for (int d = 0; d < s->dims; d++) {
        const double u = lg_search_uniform(s, LG_STREAM_PROPOSAL, s->batches, candidate, 0, (uint32_t)d);
        theta[d] = s->lower[d] + u * (s->upper[d] - s->lower[d]);
    }
    lg_search_put(s, candidate, theta);
}

size_t lg_search_best(const double *loss, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (loss[i] < loss[best]) best = i;
    return best;
}

/* ---- the record -------------------------------------------------------------------------------------------------- */

void lg_search_end(lg_search *s, const char *format, ...)
{
    lg_fit_record *fit = &s->result->fit[0];
    va_list list;
    va_start(list, format);
    vsnprintf(fit->reason, sizeof fit->reason, format, list);
    va_end(list);
    fit->status = LG_FIT_DONE;
}

static void stop(lg_search *s, lg_fit_status status, const char *reason)
{
    lg_search_end(s, "%s", reason);
    s->result->fit[0].status = status;
    s->ended = true;
}

static void report(lg_search *s)
{
    lg_fit_record *fit = &s->result->fit[0];
    const double seconds = lg_loop_clock() - s->began;
    if (s->progress) {
        const int64_t done = (int64_t)s->batches, all = s->problem->iterations;
        const lg_progress info = {.iteration = done,
                                  .iterations = all,
                                  .seconds = seconds,
                                  .seconds_left = seconds * (double)(all - done) / (double)done,
                                  .fits = 1,
                                  .params = s->job.model->params,
                                  .running = 1,
                                  .loss = &fit->loss,
                                  .values = fit->params,
                                  .checkpoint = -1};
        const int action = s->progress(&info, s->user);
        if (action != LG_GO_ON && action != LG_CHECKPOINT) stop(s, LG_FIT_STOPPED, "stopped by the caller");
    }
    if (!s->ended && s->problem->stop_seconds > 0.0 && seconds >= s->problem->stop_seconds)
        stop(s, LG_FIT_TIME, "the time limit stop.time was reached");
}

void lg_search_record(lg_search *s, double loss, const double *theta, double acceptance, double effective)
{
    lg_fit_record *fit = &s->result->fit[0];
    const size_t P = (size_t)s->job.model->params;
    double *row = fit->trace + (size_t)fit->iterations * (P + 3);
    double *generation = s->result->generation + (size_t)fit->iterations * LG_GENERATION_COLUMNS;
    for (int d = 0; d < s->dims; d++) fit->params[s->index[d]] = theta[d];
    fit->loss = row[0] = loss;
    memcpy(row + 1, fit->params, P * sizeof *row);
    row[P + 1] = row[P + 2] = NAN; /* there is no learning rate and no gradient */
    generation[0] = loss;
    generation[1] = (double)s->batches * s->plan->population;
    generation[2] = acceptance;
    generation[3] = effective;
    fit->iterations++;
    report(s);
}

lg_status lg_search_samples(lg_search *s, size_t n, const double *theta, const double *weight, const double *distance)
{
    lg_result *r = s->result;
    const size_t P = (size_t)s->job.model->params;
    r->sample = malloc(n * P * sizeof *r->sample);
    r->sample_weight = malloc(n * sizeof *r->sample_weight);
    r->sample_distance = malloc(n * sizeof *r->sample_distance);
    if (!r->sample || !r->sample_weight || !r->sample_distance)
        return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: %zu samples", n);
    memcpy(r->sample_weight, weight, n * sizeof *weight);
    memcpy(r->sample_distance, distance, n * sizeof *distance);
    for (size_t i = 0; i < n; i++) {
        memcpy(r->sample + i * P, s->problem->params, P * sizeof *r->sample);
        for (int d = 0; d < s->dims; d++)
            r->sample[i * P + (size_t)s->index[d]] = theta[i * (size_t)s->dims + (size_t)d];
    }
    r->samples = (int)n;
    lg_posterior posterior;
    if (lg_result_posterior(r, &posterior)) memcpy(r->fit[0].params, posterior.mean, P * sizeof *posterior.mean);
    return LG_OK;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static lg_status check_options(lg_context *ctx, const lg_problem *p, const lg_fit_options *options)
{
    if (p->job.share)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "searches without gradients run in one process: start latgrad alone");
    if (options->resume)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "searches without gradients keep no checkpoints: run it again without --resume");
    if (options->time_limit > 0.0)
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "searches without gradients keep no checkpoints that run.time_limit could stop with: use stop.time, "
            "which ends them with a result");
    return LG_OK;
}

static lg_status open_search(lg_search *s)
{
    lg_problem *p = s->problem;
    const size_t P = (size_t)p->job.model->params, n = s->plan->population;
    for (int i = 0; i < p->job.model->params; i++) {
        if (!p->job.optimizer.fitted[i]) continue;
        s->lower[s->dims] = p->job.optimizer.lower[i];
        s->upper[s->dims] = p->job.optimizer.upper[i];
        s->index[s->dims++] = i;
    }
    s->result = lg_loop_result(p);
    if (s->result)
        s->result->generation = malloc((size_t)p->iterations * LG_GENERATION_COLUMNS * sizeof *s->result->generation);
    if (!s->result || !s->result->generation)
        return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: %lld batches of %zu", (long long)p->iterations, n);
    for (size_t c = 0; c < n; c++) memcpy(s->params + c * P, p->params, P * sizeof *s->params);
    s->job = lg_search_job(p, s->params, &s->keep);
    return p->backend->create(s->ctx, p->device, &s->job, s->keep, &s->batch);
}

/* Candidates that came after the last generation were run as well: those of a population that was dropped. */
static void count_all(lg_search *s)
{
    const int64_t made = s->result->fit[0].iterations;
    if (made > 0)
        s->result->generation[(made - 1) * LG_GENERATION_COLUMNS + 1] = (double)s->batches * s->plan->population;
}

/* One more batch, of the estimate alone and with noise that no search has seen: its mean loss is not the smallest of many, as
 * the best one of a search is. */
static lg_status finish(lg_search *s)
{
    lg_result *r = s->result;
    const size_t P = (size_t)s->job.model->params, K = (size_t)r->statistics;
    double sum = 0.0;
    for (uint32_t c = 0; c < s->job.fits; c++) memcpy(s->params + c * P, r->fit[0].params, P * sizeof *s->params);
    lg_status status = lg_search_evaluate(s, LG_ITERATION_FINAL);
    for (uint32_t c = 0; c < s->job.fits; c++) sum += s->loss[c];
    r->fit[0].loss = sum / s->job.fits;
    if (!isfinite(r->fit[0].loss)) {
        stop(s, LG_FIT_NOT_FINITE, "the loss at the estimate is not finite");
    }
    if (status || K == 0) return status;
    double *values = malloc(s->job.fits * K * sizeof *values);
    if (!values) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: statistics of %u candidates", s->job.fits);
    status = s->problem->backend->get_statistics(s->ctx, s->batch, values);
    memcpy(r->last_statistics, values, K * sizeof *values);
    free(values);
    return status;
}

lg_status lg_search_run(lg_context *ctx, lg_problem *problem, const lg_fit_options *options, lg_progress_fn progress,
                        void *user, lg_result **out)
{
#define LG_SEARCH_RUN(name, population, text) lg_search_by_##name,
    static lg_status (*const run[])(lg_search *) = {NULL, LG_SEARCH_LIST(LG_SEARCH_RUN)};
#undef LG_SEARCH_RUN
    lg_search s = {.ctx = ctx,
                   .problem = problem,
                   .plan = &problem->search,
                   .began = lg_loop_clock(),
                   .progress = progress,
                   .user = user};
    lg_status status = check_options(ctx, problem, options);
    if (status) return status;
    const size_t n = s.plan->population, P = (size_t)problem->job.model->params;
    double *room = malloc(n * (P + 1) * sizeof *room);
    if (!room) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory: %zu candidates", n);
    s.params = room;
    s.loss = room + n * P;
    status = open_search(&s);
    if (!status) status = run[s.plan->kind](&s);
    if (!status && s.result->fit[0].status == LG_FIT_RUNNING)
        lg_search_end(&s, "all %lld simulations done", (long long)s.batches * s.plan->population);
    if (!status) count_all(&s);
    if (!status) status = finish(&s);
    if (s.batch) problem->backend->destroy(s.batch);
    free(room);
    if (status) {
        lg_result_free(s.result);
        return status;
    }
    s.result->seconds = lg_loop_clock() - s.began;
    lg_loop_stamp(s.result->finished, sizeof s.result->finished);
    *out = s.result;
    return LG_OK;
}
