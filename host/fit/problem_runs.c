/* Data of the tasks trajectory and formation: statistics of recorded lattice runs, averaged over the runs. */
#include "fit/problem_data.h"

#include <stdlib.h>
#include <string.h>

#include "model/spectrum.h"

/* Recorded steps: a file holds one frame every `every` steps, and of generated runs only those are kept. */
static lg_status choose_records(lg_context *ctx, const lg_config *c, lg_problem *p, const lg_frames *frames,
                                uint32_t every, uint32_t *records)
{
    const uint32_t last = frames->frames - 1, wanted = p->job.steps / every;
    const bool free_length = lg_config_is_set(c, "data.frames") && !lg_config_is_set(c, "steps");
    *records = wanted < last && !free_length ? wanted : last;
    if (*records >= 1) return LG_OK;
    return lg_fail(ctx, LG_ERR_DATA,
                   "a trajectory needs at least one recorded step after the first frame: there are %u frames, "
                   "record_every %u, steps %u",
                   frames->frames, every, p->job.steps);
}

static void state_statistics(const lg_job *job, const lg_spectrum *spectrum, lg_complex *work, const uint8_t *state,
                             double *out)
{
    if (job->task == LG_TASK_formation) lg_formation_statistics(spectrum, state, work, out);
    else lg_model_statistics(job->model, state, lg_job_sites(job), out);
}

/* Weights 1 / sem^2, sem^2 the variance over runs / runs. What is the same in all runs (bins that a small lattice does not
 * have) weighs nothing. */
static void weigh(lg_context *ctx, lg_problem *p, const double *values, uint32_t runs)
{
    const size_t K = lg_job_statistics(&p->job);
    size_t silent = 0;
    for (size_t k = 0; k < K; k++) {
        double squares = 0.0;
        for (uint32_t r = 0; r < runs; r++) {
            const double d = values[r * K + k] - p->target_stat[k];
            squares += d * d;
        }
        if (!(squares > 0.0)) silent++;
        p->weight_stat[k] = squares > 0.0 ? (double)runs * (runs - 1) / squares : 0.0;
    }
    p->sample.by_sem = true;
    if (silent) lg_log(ctx, LG_LOG_INFO, "%zu of %zu statistics are the same in all runs and get weight 0", silent, K);
}

/* Statistics of all runs, [runs][records][kinds], and their means as targets. */
static lg_status measure(lg_context *ctx, lg_problem *p, const lg_frames *frames, double *values)
{
    const lg_job *job = &p->job;
    const size_t S = lg_job_kinds(job), K = lg_job_statistics(job);
    lg_spectrum spectrum = {0};
    lg_complex *work = NULL;
    bool good = true;
    if (job->task == LG_TASK_formation) {
        good = lg_spectrum_open(&spectrum, job->height, job->width) &&
               (work = malloc(lg_spectrum_work(&spectrum) * sizeof *work));
    }
    for (uint32_t r = 0; good && r < frames->runs; r++)
        for (uint32_t k = 0; k < job->records; k++)
            state_statistics(job, &spectrum, work, lg_frames_at(frames, r, k + 1), values + r * K + k * S);
    free(work);
    lg_spectrum_close(&spectrum);
    if (!good) return lg_data_no_memory(ctx);
    for (size_t k = 0; k < K; k++)
        for (uint32_t r = 0; r < frames->runs; r++) p->target_stat[k] += values[r * K + k] / frames->runs;
    return LG_OK;
}

static lg_status use_runs(lg_context *ctx, const lg_config *c, lg_problem *p, const lg_frames *frames, uint32_t every)
{
    lg_job *job = &p->job;
    const char *weights;
    uint32_t records = 0;
    lg_status status = choose_records(ctx, c, p, frames, every, &records);
    if (!status) status = lg_config_text(ctx, c, "data.weights", &weights);
    if (status) return status;
    const bool by_sem = strcmp(weights, "sem") == 0;
    if (by_sem && frames->runs < 2)
        return lg_fail(ctx, LG_ERR_DATA,
                       "%s: data.weights is sem, and the data are one run: standard errors need two runs or more",
                       lg_config_origin(c, "data.weights"));
    const size_t bytes = lg_frames_state_bytes(frames);
    p->start = malloc(frames->runs * bytes);
    if (!p->start || !lg_data_allocate_targets(p, records)) return lg_data_no_memory(ctx);
    job->steps = records * every;
    job->pool = frames->runs;
    for (uint32_t k = 0; k < records; k++) p->record[k] = (k + 1) * every;
    for (uint32_t r = 0; r < frames->runs; r++) memcpy(p->start + r * bytes, lg_frames_at(frames, r, 0), bytes);

    const size_t K = lg_job_statistics(job);
    double *values = malloc(frames->runs * K * sizeof *values);
    status = values ? measure(ctx, p, frames, values) : lg_data_no_memory(ctx);
    if (!status && lg_data_bootstrap(p) && !(status = lg_sample_open(ctx, &p->sample, frames->runs, K, false)))
        memcpy(p->sample.sum, values, frames->runs * K * sizeof *values);
    if (!status && by_sem) weigh(ctx, p, values, frames->runs);
    free(values);
    return status;
}

lg_status lg_data_load_runs(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    lg_frames frames = {0};
    int64_t every = 1;
    lg_status status = lg_config_int(ctx, c, "data.record_every", &every);
    if (!status && (every < 1 || every > INT32_MAX))
        status = lg_fail(ctx, LG_ERR_RANGE, "%s: data.record_every is %lld: expected 1 to 2147483647",
                         lg_config_origin(c, "data.record_every"), (long long)every);
    if (!status) status = lg_data_load_frames(ctx, c, p, (uint32_t)every, &frames);
    if (!status) status = use_runs(ctx, c, p, &frames, (uint32_t)every);
    lg_frames_clear(&frames);
    return status;
}
