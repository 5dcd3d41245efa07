/* A loss of the caller's own (lg_problem_set_loss): what a backend records for it, and how it is asked.
 *
 * A backend that has it copies the states after the steps job->own.record[k] into `states`, in the forward pass; lg_own_loss_run
 * asks the caller for the loss and dL/dX of each fit; the backward pass adds the adjoints of a recorded step when it gets there. */
#ifndef LG_BACKEND_OWN_H
#define LG_BACKEND_OWN_H

#include "backend/backend.h"

typedef struct lg_recording {
    void *states;   /* [F][R][records][value], lg_own_values() of lg_own_type() */
    float *adjoint; /* the same shape; NULL in a batch without gradients */
    uint32_t *row;  /* [R] rows of the start pool, of the fit that is asked about */
    int64_t *step;  /* [records] */
} lg_recording;

/* Values of one recorded state: of all species and sites, or x and y of a walker; and the bytes of one. */
static inline size_t lg_own_values(const lg_job *job)
{
    return job->model->species ? lg_job_state_bytes(job) : 2;
}
static inline size_t lg_own_value_bytes(const lg_job *job)
{
    return job->model->species ? sizeof(uint8_t) : sizeof(int32_t);
}
/* First value of a replicate's recorded state k. */
static inline size_t lg_own_at(const lg_job *job, uint32_t fit, uint32_t replicate, uint32_t k)
{
    return (((size_t)fit * job->replicates + replicate) * job->own.records + k) * lg_own_values(job);
}
/* Memory of a recording; 0 for a job without a loss of its own. */
size_t lg_own_bytes(const lg_job *job, bool gradients);

/* false: out of memory; close what there is. Nothing for a job without a loss of its own. */
bool lg_recording_open(const lg_job *job, bool gradients, lg_recording *recording);
void lg_recording_close(lg_recording *recording);

/* Asks for the loss and the adjoints of every fit that is not frozen. */
lg_status lg_own_loss_run(lg_context *ctx, const lg_job *job, uint64_t iteration, const lg_recording *recording,
                          const lg_fit_state *state, double *loss);

#endif
