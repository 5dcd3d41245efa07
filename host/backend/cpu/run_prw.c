/* PRW on the cpu: walkers in chunks of WALKERS, whose sums are added in order. No tape: the backward pass walks again with
 * the same noise and accumulates the derivative of the MSD curve (rules/prw.h). */
#include "backend/cpu/batch.h"
#include "rules/score.h"

#include <stdlib.h>
#include <string.h>

enum { STATE_WORDS = 4 };

/* About what a step of a walker takes, for lg_cpu_team: a step, a step of the jacobian. */
static const double STEP_NS = 1.6, BACK_NS = 9.0;

/* Chunks are the parts of a batch. */
static size_t chunks_of(const lg_job *job)
{
    return lg_job_parts(job);
}

/* Threads for a loop over the chunks of this process. */
static int team(const lg_dbatch *b, uint32_t steps, double ns)
{
    return lg_cpu_team(b, (double)lg_cpu_lattices(b->job) * LG_PART_WALKERS * steps * ns);
}

static void plan(const lg_job *job, int threads, bool gradients, size_t limit, lg_plan *out)
{
    (void)threads;
    (void)gradients;
    (void)limit;
    out->segment = job->steps;
    out->state_bytes = (size_t)job->fits * job->replicates * STATE_WORDS * sizeof(int32_t);
    out->total_bytes = out->state_bytes + job->fits * chunks_of(job) * 3 * job->steps * sizeof(double);
}

/* Parts of a chunk: msd sums [steps] (exact integers held as int64), then the jacobian [steps][2], or for the method score the
 * sums [steps][4] of the score kernel. */
static bool allocate(lg_dbatch *b)
{
    const lg_job *job = b->job;
    b->prw = calloc(job->fits, sizeof *b->prw);
    b->walk = calloc((size_t)job->fits * STATE_WORDS * job->replicates, sizeof *b->walk);
    b->partial_size = (lg_cpu_scores(b) ? 5 : 3) * (size_t)job->steps;
    if (lg_cpu_scores(b) && !(b->axis_mean = calloc((size_t)job->fits * job->steps, sizeof *b->axis_mean)))
        return false;
    b->partial = calloc(job->fits * chunks_of(job) * b->partial_size + 1, sizeof *b->partial);
    return b->prw && b->walk && b->partial;
}

static void prepare(lg_dbatch *b)
{
    const lg_job *job = b->job;
    for (size_t f = 0; f < job->fits; f++) {
        lg_prw_prepare(b->params[f * LG_PRW_PARAMS], b->params[f * LG_PRW_PARAMS + 1], job->binary, b->tau, &b->prw[f]);
        lg_prw_estimators(job->binary, job->categorical, job->draws, &b->prw[f]);
    }
}

static void reset(lg_dbatch *b)
{
    memset(b->walk, 0, (size_t)b->job->fits * STATE_WORDS * b->job->replicates * sizeof *b->walk);
}

static void chunk_range(const lg_job *job, size_t chunk, uint32_t *first, uint32_t *count)
{
    *first = (uint32_t)chunk * LG_PART_WALKERS;
    *count = job->replicates - *first < LG_PART_WALKERS ? job->replicates - *first : LG_PART_WALKERS;
}

static void walk(lg_dbatch *b, size_t f, size_t chunk, uint32_t from, uint32_t steps)
{
    const lg_job *job = b->job;
    uint32_t first, count;
    chunk_range(job, chunk, &first, &count);
    int64_t *msd = NULL;
    if (from + steps <= job->steps) { /* beyond the steps of the job nothing is recorded */
        msd = (int64_t *)(void *)(b->partial + (f * chunks_of(job) + chunk) * b->partial_size) + from;
        memset(msd, 0, steps * sizeof *msd);
    }
    b->device->isa->prw->forward(&b->prw[f], lg_cpu_noise(b, (uint32_t)f, 0), first, count, from, steps,
                                 b->walk + f * STATE_WORDS * job->replicates, job->replicates, msd);
}

/* Positions of a chunk for a loss of the caller's own. */
static void record(const lg_dbatch *b, uint32_t f, size_t chunk, uint32_t k)
{
    const lg_job *job = b->job;
    const size_t R = job->replicates;
    const int32_t *from = b->walk + f * STATE_WORDS * R;
    uint32_t first, count;
    chunk_range(job, chunk, &first, &count);
    for (uint32_t r = first; r < first + count; r++) {
        int32_t *to = (int32_t *)b->recording.states + lg_own_at(job, f, r, k);
        to[0] = from[r];
        to[1] = from[R + r];
    }
}

/* In one piece, or from one recorded step to the next. */
static void forward_chunk(lg_dbatch *b, uint32_t f, size_t chunk, uint32_t steps)
{
    const lg_own_loss *own = &b->job->own;
    uint32_t at = b->step, end = b->step + steps;
    for (uint32_t k = 0; k < own->records; k++) {
        if (own->record[k] <= at || own->record[k] > end) continue;
        walk(b, f, chunk, at, own->record[k] - at);
        at = own->record[k];
        record(b, f, chunk, k);
    }
    if (at < end) walk(b, f, chunk, at, end - at);
}

static void forward(lg_dbatch *b, uint32_t steps, bool keep)
{
    const lg_job *job = b->job;
    const long total = (long)lg_cpu_lattices(job);
    (void)keep;
#pragma omp parallel for schedule(static) num_threads(team(b, steps, STEP_NS))
    for (long i = 0; i < total; i++)
        if (!lg_cpu_skips(b, lg_cpu_fit(job, (size_t)i)))
            forward_chunk(b, lg_cpu_fit(job, (size_t)i), lg_cpu_replicate(job, (size_t)i), steps);
}

/* MSD_t = sum over walkers / walkers; the integer sums make the order irrelevant. */
static void loss(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t chunks = chunks_of(job);
    lg_cpu_exchange(b, 0, job->steps);
    for (uint32_t f = 0; f < job->fits; f++) {
        if (lg_cpu_skips(b, f)) continue;
        for (uint32_t k = 0; k < job->records; k++) {
            int64_t sum = 0;
            for (size_t c = 0; c < chunks; c++)
                sum += ((const int64_t *)(const void *)(b->partial +
                                                        (f * chunks + c) * b->partial_size))[job->record[k] - 1];
            b->statistics[(size_t)f * job->records + k] = (double)sum / job->replicates;
        }
        lg_cpu_statistic_loss(b, f);
    }
}

/* Method score: rules/score.h. */
static void score_gradient(lg_dbatch *b, uint32_t f)
{
    const lg_job *job = b->job;
    const double *weight = job->weight_stat + lg_job_statistic_offset(job, f);
    double *g = b->gradient + (size_t)f * LG_PRW_PARAMS;
    g[0] = g[1] = 0.0;
    for (uint32_t c = 0; c < chunks_of(job); c++) {
        const double *sums = lg_cpu_part(b, f, c) + job->steps;
        for (uint32_t k = 0; k < job->records; k++) {
            const double *at = sums + 4 * (size_t)(job->record[k] - 1);
            const double a = b->stat_adjoint[(size_t)f * job->records + k];
            for (int p = 0; p < LG_PRW_PARAMS; p++)
                g[p] += lg_score_walks(a, weight[k], at[p], at[2 + p], (double)job->replicates);
        }
    }
}

/* What a pass back does with one chunk of walkers. */
typedef void (*chunk_pass)(const lg_dbatch *b, uint32_t f, uint32_t chunk, uint32_t first, uint32_t count);

static void pass_chunks(const lg_dbatch *b, chunk_pass pass)
{
    const lg_job *job = b->job;
    const long total = (long)lg_cpu_lattices(job);
#pragma omp parallel for schedule(static) num_threads(team(b, job->steps, BACK_NS))
    for (long i = 0; i < total; i++) {
        const uint32_t f = lg_cpu_fit(job, (size_t)i), chunk = lg_cpu_replicate(job, (size_t)i);
        if (lg_cpu_skips(b, f)) continue;
        uint32_t first, count;
        chunk_range(job, chunk, &first, &count);
        pass(b, f, chunk, first, count);
    }
}

static void score_chunk(const lg_dbatch *b, uint32_t f, uint32_t chunk, uint32_t first, uint32_t count)
{
    const lg_job *job = b->job;
    double *sums = lg_cpu_part(b, f, chunk) + job->steps;
    memset(sums, 0, 4 * (size_t)job->steps * sizeof *sums);
    b->device->isa->prw->score(&b->prw[f], lg_cpu_noise(b, f, 0), first, count, job->steps, job->v0_const,
                               b->axis_mean + (size_t)f * job->steps, sums);
}

static void backward_score(lg_dbatch *b)
{
    const lg_job *job = b->job;
    for (uint32_t f = 0; f < job->fits; f++)
        for (uint32_t k = 0; k < job->records; k++)
            b->axis_mean[(size_t)f * job->steps + job->record[k] - 1] =
                0.5 * b->statistics[(size_t)f * job->records + k];
    pass_chunks(b, score_chunk);
    lg_cpu_exchange(b, job->steps, 4 * (size_t)job->steps);
    for (uint32_t f = 0; f < job->fits; f++)
        if (!lg_cpu_skips(b, f)) score_gradient(b, f);
}

/* A loss of the caller's own: its adjoints of the recorded positions, through the derivative of the walk. */
static void pull_chunk(const lg_dbatch *b, uint32_t f, uint32_t chunk, uint32_t first, uint32_t count)
{
    const lg_job *job = b->job;
    double *gradient = lg_cpu_part(b, f, chunk) + job->steps;
    gradient[0] = gradient[1] = 0.0;
    b->device->isa->prw->pull(&b->prw[f], lg_cpu_noise(b, f, 0), first, count, job->v0_const, job->own.record,
                              job->own.records, b->recording.adjoint + lg_own_at(job, f, first, 0), gradient);
}

static void backward_own(lg_dbatch *b)
{
    const lg_job *job = b->job;
    pass_chunks(b, pull_chunk);
    for (uint32_t f = 0; f < job->fits; f++)
        if (!lg_cpu_skips(b, f))
            lg_cpu_reduce(b, f, chunks_of(job), job->steps, LG_PRW_PARAMS, 1.0, b->gradient + f * LG_PRW_PARAMS);
}

static void jacobian_chunk(const lg_dbatch *b, uint32_t f, uint32_t chunk, uint32_t first, uint32_t count)
{
    const lg_job *job = b->job;
    double *sums = lg_cpu_part(b, f, chunk) + job->steps;
    memset(sums, 0, 2 * (size_t)job->steps * sizeof *sums);
    b->device->isa->prw->jacobian(&b->prw[f], lg_cpu_noise(b, f, 0), first, count, job->steps, job->v0_const, sums);
}

static void backward(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t chunks = chunks_of(job);
    if (job->own.function) {
        backward_own(b);
        return;
    }
    if (lg_cpu_scores(b)) {
        backward_score(b);
        return;
    }
    pass_chunks(b, jacobian_chunk);
    lg_cpu_exchange(b, job->steps, 2 * (size_t)job->steps);
    for (size_t f = 0; f < job->fits; f++) {
        if (lg_cpu_skips(b, (uint32_t)f)) continue;
        double *g = b->gradient + f * LG_PRW_PARAMS;
        g[0] = g[1] = 0.0;
        for (size_t c = 0; c < chunks; c++) {
            const double *sums = b->partial + (f * chunks + c) * b->partial_size + job->steps;
            for (uint32_t k = 0; k < job->records; k++)
                for (int p = 0; p < LG_PRW_PARAMS; p++)
                    g[p] += b->stat_adjoint[f * job->records + k] * sums[2 * (job->record[k] - 1) + (uint32_t)p] /
                            job->replicates;
        }
    }
}

/* dMSD_t/dlogit_p, the mean over walkers: the parts that backward() weighted, added in their order. */
static void jacobian(const lg_dbatch *b, uint32_t f, double *out)
{
    const lg_job *job = b->job;
    for (uint32_t k = 0; k < job->records; k++)
        for (uint32_t p = 0; p < LG_PRW_PARAMS; p++) {
            double sum = 0.0;
            for (uint32_t c = 0; c < chunks_of(job); c++)
                sum += lg_cpu_part(b, f, c)[job->steps + 2 * (job->record[k] - 1) + p];
            out[k * LG_PRW_PARAMS + p] = sum / job->replicates;
        }
}

/* [count][4] = x, y, vx, vy */
static void get_states(lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count, void *out)
{
    const size_t R = b->job->replicates;
    const int32_t *walk = b->walk + fit * STATE_WORDS * R;
    int32_t *to = out;
    for (uint32_t i = 0; i < count; i++)
        for (size_t c = 0; c < STATE_WORDS; c++) to[i * STATE_WORDS + c] = walk[c * R + first + i];
}

const lg_cpu_model lg_cpu_prw = {plan, allocate, prepare, reset, forward, loss, backward, get_states, jacobian};
