/* Method score on the cpu, SI and MK: the forward pass adds up each lattice's score, and the gradient follows from the parts of
 * the replicates alone, without a backward pass or a tape. A part's scores are [records or 1][P]: up to each recorded step, or of
 * the whole run. */
#include "backend/cpu/batch.h"
#include "rules/score.h"

static size_t moments(const lg_job *job)
{
    return job->target_stat ? job->records : 1;
}

bool lg_cpu_scores(const lg_dbatch *b)
{
    return b->gradients && b->job->method == LG_GRADIENT_score;
}

size_t lg_cpu_score_size(const lg_job *job)
{
    return job->method == LG_GRADIENT_score ? moments(job) * (size_t)job->model->params : 0;
}

/* Statistic losses: the terms of replicate r at one recorded step. */
static double statistic_terms(const lg_dbatch *b, uint32_t fit, size_t record, const double *value)
{
    const lg_job *job = b->job;
    const size_t kinds = lg_job_kinds(job), at = (size_t)fit * lg_job_statistics(job) + record * kinds;
    const double *weight = job->weight_stat + lg_job_statistic_offset(job, fit) + record * kinds;
    double sum = 0.0;
    for (size_t k = 0; k < kinds; k++)
        sum += lg_score_statistic(b->stat_adjoint[at + k], weight[k], b->statistics[at + k], value[k],
                                  (double)job->replicates);
    return sum;
}

/* State losses: L - b_r. The loss count is a mean over pairs of the square of what its parts hold. */
static double state_term(const lg_job *job, double S, double part)
{
    const double R = job->replicates, entries = R * job->model->species * (double)lg_job_sites(job);
    if (job->loss == LG_LOSS_count) return lg_score_count(S, part * part, R);
    return lg_score_state(job->loss, S, part, entries, R);
}

void lg_cpu_score_gradient(lg_dbatch *b, uint32_t fit, size_t loss, size_t statistics)
{
    const lg_job *job = b->job;
    const size_t P = (size_t)job->model->params, kinds = lg_job_kinds(job);
    double *gradient = b->gradient + fit * P, S = 0.0;
    for (size_t p = 0; p < P; p++) gradient[p] = 0.0;
    for (uint32_t r = 0; r < job->replicates; r++) {
        const double part = lg_cpu_part(b, fit, r)[loss];
        S += job->loss == LG_LOSS_count ? part * part : part;
    }
    for (uint32_t r = 0; r < job->replicates; r++) {
        const double *part = lg_cpu_part(b, fit, r), *score = part + b->score_offset;
        for (size_t k = 0; k < moments(job); k++, score += P) {
            const double c = job->target_stat ? statistic_terms(b, fit, k, part + statistics + k * kinds)
                                              : state_term(job, S, part[loss]);
            for (size_t p = 0; p < P; p++) gradient[p] += c * score[p];
        }
    }
}
