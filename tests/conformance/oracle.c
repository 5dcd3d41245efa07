#include "conformance/oracle.h"

#include "rules/permute.h"

#include <stdlib.h>
#include <string.h>

uint32_t lg_oracle_pool(const lg_oracle_fit *fit, uint32_t replicate)
{
    const lg_job *job = fit->job;
    uint32_t row = replicate % job->pool;
    if (job->task == LG_TASK_transition)
        row = lg_pair_index(job->seed, fit->iteration, job->replicates, replicate, job->pool);
    return job->resample ? job->resample[fit->index * job->pool + row] : row;
}

uint32_t lg_oracle_noise(const lg_oracle_fit *fit)
{
    return fit->job->noise_fit ? fit->job->noise_fit[fit->index] : fit->job->first_fit + fit->index;
}

double lg_oracle_target(const lg_oracle_fit *fit, size_t k)
{
    return fit->job->target_stat[(fit->job->stat_per_fit ? fit->index * lg_job_statistics(fit->job) : 0) + k];
}

double lg_oracle_weight(const lg_oracle_fit *fit, size_t k)
{
    return fit->job->weight_stat[(fit->job->stat_per_fit ? fit->index * lg_job_statistics(fit->job) : 0) + k];
}

static size_t entries_of(const lg_job *job)
{
    return (size_t)job->model->species * lg_job_sites(job);
}

static const uint8_t *target_of(const lg_oracle_fit *fit, uint32_t replicate)
{
    const size_t row = fit->job->task == LG_TASK_transition ? lg_oracle_pool(fit, replicate) : 0;
    return fit->job->target + row * entries_of(fit->job);
}

double lg_oracle_squares(const lg_oracle_fit *fit, uint32_t replicate, const int *last)
{
    const uint8_t *target = target_of(fit, replicate);
    double sum = 0.0;
    for (size_t i = 0; i < entries_of(fit->job); i++) sum += (double)(last[i] - target[i]) * (last[i] - target[i]);
    return sum;
}

/* Mean and population variance of one species' plane. */
static void moments(const int *x, size_t sites, double *mean, double *variance)
{
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < sites; i++) sum += x[i];
    *mean = sum / (double)sites;
    for (size_t i = 0; i < sites; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *variance = squares / (double)sites;
}

void lg_oracle_add_statistics(const lg_oracle_fit *fit, const int *history)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job), species = (size_t)job->model->species, K = lg_job_kinds(job);
    if (job->task == LG_TASK_formation) {
        lg_oracle_formation_add(fit, history);
        return;
    }
    for (size_t k = 0; k < job->records; k++)
        for (size_t s = 0; s < species; s++) {
            double mean, variance;
            moments(history + job->record[k] * entries_of(job) + s * sites, sites, &mean, &variance);
            fit->statistics[k * K + s] += mean / job->replicates;
            if (K > species) fit->statistics[k * K + species + s] += variance / job->replicates;
        }
}

void lg_oracle_loss(const lg_oracle_fit *fit, double S)
{
    const lg_job *job = fit->job;
    if (!job->target_stat) {
        *fit->loss = lg_state_loss(job->loss, S, (double)entries_of(job) * job->replicates);
        return;
    }
    *fit->loss = 0.0;
    for (size_t k = 0; k < lg_job_statistics(job); k++) {
        const double d = fit->statistics[k] - lg_oracle_target(fit, k);
        *fit->loss += lg_oracle_weight(fit, k) * d * d;
    }
}

static void statistic_adjoint(const lg_oracle_fit *fit, const int *history, double *adj)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job), species = (size_t)job->model->species, K = lg_job_kinds(job);
    if (job->task == LG_TASK_formation) {
        lg_oracle_formation_adjoint(fit, history, adj);
        return;
    }
    const double scale = 1.0 / ((double)sites * job->replicates);
    for (size_t k = 0; k < job->records; k++)
        for (size_t s = 0; s < species; s++) {
            const size_t at = job->record[k] * entries_of(job) + s * sites;
            double mean, variance;
            moments(history + at, sites, &mean, &variance);
            const size_t i0 = k * K + s, i1 = i0 + species;
            const double dm = 2.0 * lg_oracle_weight(fit, i0) * (fit->statistics[i0] - lg_oracle_target(fit, i0));
            const double dv =
                K > species ? 2.0 * lg_oracle_weight(fit, i1) * (fit->statistics[i1] - lg_oracle_target(fit, i1)) : 0.0;
            for (size_t i = 0; i < sites; i++) adj[at + i] += scale * (dm + 2.0 * dv * (history[at + i] - mean));
        }
}

void lg_oracle_adjoint(const lg_oracle_fit *fit, uint32_t replicate, double S, double difference, const int *history,
                       double *adj)
{
    const lg_job *job = fit->job;
    const size_t n = entries_of(job), last = job->steps * n;
    memset(adj, 0, (last + n) * sizeof *adj);
    if (job->target_stat) {
        statistic_adjoint(fit, history, adj);
        return;
    }
    const double slope = 2.0 * lg_state_loss_slope(job->loss, S, (double)n * job->replicates);
    const uint8_t *target = target_of(fit, replicate);
    for (size_t i = 0; i < n; i++)
        adj[last + i] =
            job->loss == LG_LOSS_count ? 2.0 * difference / job->replicates : slope * (history[last + i] - target[i]);
}

void lg_oracle_add(const lg_oracle_fit *fit, int param, double term)
{
    fit->gradient[param] += term;
    fit->absolute[param] += fabs(term);
}

/* ---- estimators ------------------------------------------------------------------------------------------------- */

double lg_oracle_tau(const lg_oracle_fit *fit)
{
    const lg_job *job = fit->job;
    const double last = (double)job->optimizer.iterations - 1.0, now = (double)fit->iteration;
    if (!(job->tau_end > 0.0)) return job->tau;
    return exp(log(job->tau) + (log(job->tau_end) - log(job->tau)) * (now < last ? now / last : 1.0));
}

uint32_t lg_oracle_draws(const lg_oracle_fit *fit, lg_estimator estimator)
{
    return estimator == LG_ESTIMATOR_gr ? fit->job->draws : 1;
}

lg_key lg_oracle_key(const lg_oracle_fit *fit, uint32_t k)
{
    const lg_block b = lg_philox(k, 0, 0, (uint32_t)LG_STREAM_REDRAW << 24, fit->key);
    const lg_key key = {{b.w[0], b.w[1]}};
    return k ? key : fit->key;
}

size_t lg_oracle_moments(const lg_job *job)
{
    return job->target_stat ? job->records : 1;
}

static double state_loss(const lg_job *job, double S)
{
    const double R = job->replicates, entries = R * (double)entries_of(job);
    if (job->loss == LG_LOSS_log_sse) return log(S);
    return job->loss == LG_LOSS_sse ? S : S / (job->loss == LG_LOSS_count ? R : entries);
}

bool lg_oracle_score_weights(const lg_oracle_fit *fit, double S, double own, const int *history, double *weight)
{
    const lg_job *job = fit->job;
    const size_t kinds = lg_job_kinds(job);
    const double R = job->replicates, others = (S - own) * R / (R - 1.0);
    if (!job->target_stat) {
        const bool none = job->loss == LG_LOSS_log_sse && !(others > 0.0);
        weight[0] = state_loss(job, S) - (none ? 0.0 : state_loss(job, others));
        return true;
    }
    lg_oracle_fit alone = *fit;
    alone.statistics =
        calloc(lg_job_statistics(job), sizeof *alone.statistics); /* this replicate's share of the means */
    if (!alone.statistics) return false;
    lg_oracle_add_statistics(&alone, history);
    for (size_t k = 0; k < lg_job_statistics(job); k++) {
        const double rest = (fit->statistics[k] - alone.statistics[k]) * R / (R - 1.0);
        const double with = fit->statistics[k] - lg_oracle_target(fit, k), without = rest - lg_oracle_target(fit, k);
        if (k % kinds == 0) weight[k / kinds] = 0.0;
        weight[k / kinds] += lg_oracle_weight(fit, k) * (with * with - without * without);
    }
    free(alone.statistics);
    return true;
}

void lg_oracle_add_score(const lg_oracle_fit *fit, int param, uint32_t t, const double *weight, double score)
{
    const lg_job *job = fit->job;
    for (size_t k = 0; k < lg_oracle_moments(job); k++)
        if (!job->target_stat || job->record[k] > t) lg_oracle_add(fit, param, weight[k] * score);
}

size_t lg_oracle_neighbour(const lg_job *job, size_t site, int row, int column)
{
    const size_t H = job->height, W = job->width;
    return (site / W + H + (size_t)row) % H * W + (site % W + W + (size_t)column) % W;
}

void lg_oracle_clear(lg_oracle *o)
{
    free(o->states);
    free(o->loss);
    free(o->statistics);
    free(o->gradient);
    free(o->absolute);
    memset(o, 0, sizeof *o);
}

bool lg_oracle_run(const lg_job *job, const double *params, uint64_t iteration, lg_oracle *o)
{
    const size_t F = job->fits, P = (size_t)job->model->params, K = lg_job_statistics(job);
    o->state_bytes = lg_job_state_bytes(job);
    o->states = calloc(F * job->replicates, o->state_bytes);
    o->loss = calloc(F, sizeof *o->loss);
    o->statistics = calloc(F * K + 1, sizeof *o->statistics);
    o->gradient = calloc(F * P, sizeof *o->gradient);
    o->absolute = calloc(F * P, sizeof *o->absolute);
    bool good = o->states && o->loss && o->statistics && o->gradient && o->absolute;
    for (uint32_t f = 0; f < F && good; f++) {
        const lg_oracle_fit fit = {job,
                                   params + f * P,
                                   lg_iteration_key(job->seed, iteration),
                                   iteration,
                                   f,
                                   o->loss + f,
                                   o->statistics + f * K,
                                   o->gradient + f * P,
                                   o->absolute + f * P,
                                   o->states + f * job->replicates * o->state_bytes};
        if (job->model->id == LG_MODEL_MK) good = lg_oracle_mk(&fit);
        else if (job->model->id == LG_MODEL_SI) good = lg_oracle_si(&fit);
        else good = lg_oracle_prw(&fit);
    }
    if (!good) lg_oracle_clear(o);
    return good;
}
