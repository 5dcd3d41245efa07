/* PRW on the cpu: walkers in chunks of WALKERS, whose sums are added in order. No tape: the backward pass walks again with
 * the same noise and accumulates the derivative of the MSD curve (rules/prw.h). */
#include "backend/cpu/batch.h"

#include <stdlib.h>
#include <string.h>

enum { WALKERS = 64, STATE_WORDS = 4 };

static size_t chunks_of(const lg_job *job)
{
    return ((size_t)job->replicates + WALKERS - 1) / WALKERS;
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

/* Parts of a chunk: msd sums [steps] (exact integers held as int64), then the jacobian [steps][2]. */
static bool allocate(lg_dbatch *b)
{
    const lg_job *job = b->job;
    b->prw = calloc(job->fits, sizeof *b->prw);
    b->walk = calloc((size_t)job->fits * STATE_WORDS * job->replicates, sizeof *b->walk);
    b->partial_size = 3 * (size_t)job->steps;
    b->partial = calloc(job->fits * chunks_of(job) * b->partial_size + 1, sizeof *b->partial);
    return b->prw && b->walk && b->partial;
}

static void prepare(lg_dbatch *b)
{
    for (size_t f = 0; f < b->job->fits; f++)
        lg_prw_prepare(b->params[f * LG_PRW_PARAMS], b->params[f * LG_PRW_PARAMS + 1], b->job->binary, b->job->tau,
                       &b->prw[f]);
}

static void reset(lg_dbatch *b)
{
    memset(b->walk, 0, (size_t)b->job->fits * STATE_WORDS * b->job->replicates * sizeof *b->walk);
}

static void chunk_range(const lg_job *job, size_t chunk, uint32_t *first, uint32_t *count)
{
    *first = (uint32_t)chunk * WALKERS;
    *count = job->replicates - *first < WALKERS ? job->replicates - *first : WALKERS;
}

static void forward_chunk(lg_dbatch *b, size_t f, size_t chunk, uint32_t steps)
{
    const lg_job *job = b->job;
    uint32_t first, count;
    chunk_range(job, chunk, &first, &count);
    int64_t *msd = NULL;
    if (b->step + steps <= job->steps) { /* beyond the steps of the job nothing is recorded */
        msd = (int64_t *)(void *)(b->partial + (f * chunks_of(job) + chunk) * b->partial_size) + b->step;
        memset(msd, 0, steps * sizeof *msd);
    }
    b->device->isa->prw->forward(&b->prw[f], lg_cpu_noise(b, (uint32_t)f, 0), first, count, b->step, steps,
                                 b->walk + f * STATE_WORDS * job->replicates, job->replicates, msd);
}

static void forward(lg_dbatch *b, uint32_t steps, bool keep)
{
    const size_t chunks = chunks_of(b->job);
    const long total = (long)(b->job->fits * chunks);
    (void)keep;
#pragma omp parallel for schedule(static) num_threads(b->device->threads)
    for (long i = 0; i < total; i++)
        if (!lg_cpu_skips(b, (uint32_t)((size_t)i / chunks)))
            forward_chunk(b, (size_t)i / chunks, (size_t)i % chunks, steps);
}

/* MSD_t = sum over walkers / walkers; the integer sums make the order irrelevant. */
static void loss(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t chunks = chunks_of(job);
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

static void backward(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t chunks = chunks_of(job);
    const long total = (long)(job->fits * chunks);
#pragma omp parallel for schedule(static) num_threads(b->device->threads)
    for (long i = 0; i < total; i++) {
        const size_t f = (size_t)i / chunks;
        if (lg_cpu_skips(b, (uint32_t)f)) continue;
        uint32_t first, count;
        chunk_range(job, (size_t)i % chunks, &first, &count);
        double *jacobian = b->partial + (size_t)i * b->partial_size + job->steps;
        memset(jacobian, 0, 2 * (size_t)job->steps * sizeof *jacobian);
        b->device->isa->prw->jacobian(&b->prw[f], lg_cpu_noise(b, (uint32_t)f, 0), first, count, job->steps,
                                      job->v0_const, jacobian);
    }
    for (size_t f = 0; f < job->fits; f++) {
        if (lg_cpu_skips(b, (uint32_t)f)) continue;
        double *g = b->gradient + f * LG_PRW_PARAMS;
        g[0] = g[1] = 0.0;
        for (size_t c = 0; c < chunks; c++) {
            const double *jacobian = b->partial + (f * chunks + c) * b->partial_size + job->steps;
            for (uint32_t k = 0; k < job->records; k++)
                for (int p = 0; p < LG_PRW_PARAMS; p++)
                    g[p] += b->stat_adjoint[f * job->records + k] * jacobian[2 * (job->record[k] - 1) + (uint32_t)p] /
                            job->replicates;
        }
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

const lg_cpu_model lg_cpu_prw = {plan, allocate, prepare, reset, forward, loss, backward, get_states};
