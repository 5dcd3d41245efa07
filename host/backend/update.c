/* Optimiser updates on the host, for the backends that make them there. */
#include "backend/backend.h"

void lg_update_fits(const lg_job *job, const double *loss, const double *gradient, const double *jacobian,
                    lg_fit_state *state, double *params, double *rows)
{
    const int P = job->model->params, K = (int)lg_job_statistics(job);
    for (uint32_t f = 0; f < job->fits; f++) {
        const size_t at = (size_t)f * (size_t)P;
        double normal[LG_OPT_MAX_PARAMS * LG_OPT_MAX_PARAMS];
        if (jacobian)
            lg_normal_equations(K, P, jacobian + at * (size_t)K, job->weight_stat + lg_job_statistic_offset(job, f),
                                NULL, normal, NULL);
        lg_optimizer_update(lg_job_optimizer(job, f), &state[f], loss[f], gradient + at, jacobian ? normal : NULL,
                            params + at, rows + (size_t)f * (size_t)(P + 3));
    }
}
