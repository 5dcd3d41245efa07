/* A loss of the caller's own: memory for recorded states and adjoints, and the calls. */
#include "backend/own.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t lg_own_bytes(const lg_job *job, bool gradients)
{
    if (!job->own.function) return 0;
    const double values = (double)job->fits * job->replicates * job->own.records * (double)lg_own_values(job);
    const size_t each = lg_own_value_bytes(job) + (gradients ? sizeof(float) : 0);
    const double bytes = values * (double)each;
    return bytes > (double)(SIZE_MAX / 4) ? SIZE_MAX / 4 : (size_t)bytes;
}

bool lg_recording_open(const lg_job *job, bool gradients, lg_recording *r)
{
    *r = (lg_recording){.states = NULL};
    if (!job->own.function) return true;
    const size_t values = lg_own_at(job, job->fits, 0, 0);
    r->states = malloc(values * lg_own_value_bytes(job));
    r->row = malloc(job->replicates * sizeof *r->row);
    r->step = malloc(job->own.records * sizeof *r->step);
    if (gradients) r->adjoint = malloc(values * sizeof *r->adjoint);
    if (!r->states || !r->row || !r->step || (gradients && !r->adjoint)) return false;
    for (uint32_t k = 0; k < job->own.records; k++) r->step[k] = job->own.record[k];
    return true;
}

void lg_recording_close(lg_recording *r)
{
    free(r->states);
    free(r->adjoint);
    free(r->row);
    free(r->step);
    *r = (lg_recording){.states = NULL};
}

/* Which of a fit's adjoints is not finite. */
static lg_status check_adjoint(lg_context *ctx, const lg_job *job, const lg_recorded *states, const float *adjoint)
{
    const size_t values = lg_own_values(job), count = (size_t)job->replicates * job->own.records * values;
    size_t i = 0;
    while (i < count && isfinite(adjoint[i])) i++;
    if (i == count) return LG_OK;
    const size_t in = i % values, sites = lg_job_sites(job);
    const long long replicate = (long long)(i / values / job->own.records);
    const long long step = states->step[i / values % job->own.records];
    if (!job->model->species)
        return lg_fail(ctx, LG_ERR_NUMERIC,
                       "the loss function gave the adjoint %g for %c of walker %lld after step %lld (fit %d): expected "
                       "a finite number",
                       (double)adjoint[i], in ? 'y' : 'x', replicate, step, states->fit);
    return lg_fail(ctx, LG_ERR_NUMERIC,
                   "the loss function gave the adjoint %g for replicate %lld, step %lld, species %zu, row %zu, column "
                   "%zu (fit %d): expected a finite number",
                   (double)adjoint[i], replicate, step, in / sites, in % sites / job->width, in % job->width,
                   states->fit);
}

static lg_status ask(lg_context *ctx, const lg_job *job, uint64_t iteration, const lg_recording *r, uint32_t f,
                     double *loss)
{
    const size_t at = lg_own_at(job, f, 0, 0);
    float *adjoint = r->adjoint ? r->adjoint + at : NULL;
    for (uint32_t i = 0; i < job->replicates; i++) r->row[i] = lg_job_pool_row(job, iteration, f, i);
    const lg_recorded states = {.fit = (int)(f / job->own.points),
                                .iteration = iteration,
                                .replicates = job->replicates,
                                .records = (int)job->own.records,
                                .step = r->step,
                                .species = job->model->species,
                                .height = (int)job->height,
                                .width = (int)job->width,
                                .row = r->row,
                                .lattice = job->model->species ? (const uint8_t *)r->states + at : NULL,
                                .walk = job->model->species ? NULL : (const int32_t *)r->states + at};
    if (adjoint) memset(adjoint, 0, (lg_own_at(job, f + 1, 0, 0) - at) * sizeof *adjoint);
    *loss = NAN;
    const int answer = job->own.function(&states, loss, adjoint, job->own.user);
    if (answer)
        return lg_fail(ctx, LG_ERR_CHECK, "the loss function gave up with %d at fit %d, iteration %llu", answer,
                       states.fit, (unsigned long long)iteration);
    /* a loss that is not finite ends the fit, whatever its adjoints */
    return adjoint && isfinite(*loss) ? check_adjoint(ctx, job, &states, adjoint) : LG_OK;
}

lg_status lg_own_loss_run(lg_context *ctx, const lg_job *job, uint64_t iteration, const lg_recording *r,
                          const lg_fit_state *state, double *loss)
{
    lg_status status = LG_OK;
    for (uint32_t f = 0; !status && f < job->fits; f++)
        if (!state[f].frozen) status = ask(ctx, job, iteration, r, f, &loss[f]);
    return status;
}
