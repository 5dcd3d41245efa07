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

lg_status lg_data_statistics(lg_context *ctx, const lg_job *job, const uint8_t *states, uint32_t runs, uint32_t record,
                             double *values)
{
    const size_t S = lg_job_kinds(job), K = lg_job_statistics(job), bytes = lg_job_state_bytes(job);
    lg_spectrum spectrum = {0};
    lg_complex *work = NULL;
    bool good = true;
    if (job->task == LG_TASK_formation) {
        good = lg_spectrum_open(&spectrum, job->height, job->width) &&
               (work = malloc(lg_spectrum_work(&spectrum) * sizeof *work));
    }
    for (uint32_t r = 0; good && r < runs; r++)
        state_statistics(job, &spectrum, work, states + r * bytes, values + r * K + record * S);
    free(work);
    lg_spectrum_close(&spectrum);
    return good ? LG_OK : lg_data_no_memory(ctx);
}

/* Statistics of all runs, [runs][records][kinds], and their means as targets. */
static lg_status measure(lg_context *ctx, lg_problem *p, const lg_frames *frames, double *values)
{
    const lg_job *job = &p->job;
    const size_t K = lg_job_statistics(job), bytes = lg_frames_state_bytes(frames);
    uint8_t *states = malloc(frames->runs * bytes);
    lg_status status = states ? LG_OK : lg_data_no_memory(ctx);
    for (uint32_t k = 0; !status && k < job->records; k++) {
        for (uint32_t r = 0; r < frames->runs; r++) memcpy(states + r * bytes, lg_frames_at(frames, r, k + 1), bytes);
        status = lg_data_statistics(ctx, job, states, frames->runs, k, values);
    }
    free(states);
    for (size_t k = 0; !status && k < K; k++)
        for (uint32_t r = 0; r < frames->runs; r++) p->target_stat[k] += values[r * K + k] / frames->runs;
    return status;
}

static lg_status use_runs(lg_context *ctx, const lg_config *c, lg_problem *p, const lg_frames *frames, uint32_t every)
{
    lg_job *job = &p->job;
    const char *weights;
    uint32_t records = 0;
    lg_status status = choose_records(ctx, c, p, frames, every, &records);
    if (!status) status = lg_config_text(ctx, c, "data.weights", &weights);
    if (status) return status;
    const bool by_sem = strcmp(weights, "sem") == 0, by_model = strcmp(weights, "model") == 0;
    if (by_model && job->method != LG_GRADIENT_fd)
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "%s: data.weights model needs estimator.method fd: the other gradients take statistics one by one",
            lg_config_origin(c, "data.weights"));
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
    if (!status && lg_data_keeps(p, frames->runs, K) &&
        !(status = lg_sample_open(ctx, &p->sample, frames->runs, K, false)))
        memcpy(p->sample.sum, values, frames->runs * K * sizeof *values);
    if (!status && by_sem) lg_data_weigh_sem(ctx, p, values, frames->runs);
    if (!status && by_model) status = lg_data_combine(ctx, c, p, frames->runs);
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
