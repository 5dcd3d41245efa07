/* Weights of the statistics of lattice runs: 1 / sem^2 of the data, or the inverse of their covariance.
 *
 * The statistics of a pattern are strongly correlated: neighbouring rings, the two species, one time and the next. Weights 1 / sem^2
 * count the same news many times, and the weighting that gives estimates the smallest errors is W = Cov(t)^-1 (Hansen,
 * Econometrica 50, 1982). A few runs do not show the covariance of a hundred statistics, but the model makes as many runs as
 * one wants: data.weights model takes it from data.pilot runs at the start values, so that a second fit, from the end of a first,
 * has the right ones. Wrong weights cost precision, not truth: the end of the fit stays where the statistics agree.
 *
 * With K statistics of N runs the sample correlations R are shrunk towards none, lambda = sum Var(r_ij) / sum r_ij^2 over
 * i != j (Ledoit and Wolf, J. Empirical Finance 10, 2003; Schafer and Strimmer, Stat. Appl. Genet. Mol. Biol. 4, 2005), which
 * makes them positive definite whatever N is. Kept is U = L^-1 of Cov = L L^T, so that U Cov U^T = 1 and W = U^T U. */
#include "fit/problem_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void lg_data_weigh_sem(lg_context *ctx, lg_problem *p, const double *values, uint32_t runs)
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

/* ---- the pilot runs --------------------------------------------------------------------------------------------- */

/* Statistics of the pilot runs, values[N][K]. */
static lg_status run_pilot(lg_context *ctx, lg_problem *p, uint32_t runs, double *values)
{
    const size_t bytes = lg_job_state_bytes(&p->job);
    lg_job job = p->job;
    job.task = LG_TASK_simulate;
    job.fits = 1;
    job.replicates = runs;
    job.params = p->params;
    job.start = p->start;
    job.records = 0;
    job.record = NULL;
    job.target = NULL;
    job.target_stat = job.weight_stat = NULL;
    lg_dbatch *batch = NULL;
    uint8_t *states = malloc(runs * bytes);
    lg_status status = states ? p->backend->create(ctx, p->device, &job, false, &batch) : lg_data_no_memory(ctx);
    if (!status) status = p->backend->reset(ctx, batch, LG_ITERATION_PILOT);
    for (uint32_t k = 0; !status && k < p->job.records; k++) {
        status = p->backend->forward(ctx, batch, p->record[k] - (k ? p->record[k - 1] : 0), false);
        if (!status) status = p->backend->get_states(ctx, batch, 0, 0, runs, states);
        if (!status) status = lg_data_statistics(ctx, &p->job, states, runs, k, values);
    }
    if (batch) p->backend->destroy(batch);
    free(states);
    return status;
}

/* Without shrinkage, weights from N runs of K statistics make the variances of the parameters larger by 1 + K / (N - K) (Dodelson
 * and Schneider, Phys. Rev. D 88, 2013): errors of 1.15 times those of the right weights with four runs a statistic, of three times with N = 1.1 K. */
static lg_status pilot_runs(lg_context *ctx, const lg_config *c, size_t K, size_t *runs)
{
    enum { LEAST = 8, USUAL = 256, MOST = 65536 };
    int64_t value = 0;
    const lg_status status = lg_config_int(ctx, c, "data.pilot", &value);
    if (status) return status;
    if (value > 0 && value < LEAST)
        return lg_fail(ctx, LG_ERR_RANGE, "%s: data.pilot is %lld: expected 0 or %d to %d",
                       lg_config_origin(c, "data.pilot"), (long long)value, LEAST, MOST);
    *runs = value > 0 ? (size_t)value : 4 * K;
    if (value == 0 && *runs < USUAL) *runs = USUAL;
    if (*runs > MOST) *runs = MOST;
    if (*runs < 2 * K)
        lg_log(ctx, LG_LOG_WARNING,
               "data.pilot: %zu runs hardly show the covariance of %zu statistics; expected %zu or more", *runs, K,
               4 * K);
    return LG_OK;
}

/* ---- the covariance --------------------------------------------------------------------------------------------- */

/* values[N][K] to z-scores in place; sd[K], 0 where all runs have the same value (z = 0 there). */
static void standardise(double *values, size_t N, size_t K, double *sd)
{
    for (size_t k = 0; k < K; k++) {
        double mean = 0.0, squares = 0.0;
        for (size_t n = 0; n < N; n++) mean += values[n * K + k] / (double)N;
        for (size_t n = 0; n < N; n++) squares += (values[n * K + k] - mean) * (values[n * K + k] - mean);
        sd[k] = sqrt(squares / (double)(N - 1));
        for (size_t n = 0; n < N; n++) values[n * K + k] = sd[k] > 0.0 ? (values[n * K + k] - mean) / sd[k] : 0.0;
    }
}

/* Shrunk correlations of z-scores into R[K][K]; returns lambda. */
static double correlations(const double *z, size_t N, size_t K, double *R)
{
    double variance = 0.0, square = 0.0;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < i; j++) {
            double sum = 0.0, spread = 0.0;
            for (size_t n = 0; n < N; n++) sum += z[n * K + i] * z[n * K + j];
            const double mean = sum / (double)N, r = sum / (double)(N - 1);
            for (size_t n = 0; n < N; n++) {
                const double d = z[n * K + i] * z[n * K + j] - mean;
                spread += d * d;
            }
            variance += spread * (double)N / pow((double)(N - 1), 3.0);
            square += r * r;
            R[i * K + j] = R[j * K + i] = r;
        }
    const double lambda = square > 0.0 ? fmin(1.0, variance / square) : 1.0;
    for (size_t i = 0; i < K * K; i++) R[i] *= 1.0 - lambda;
    for (size_t i = 0; i < K; i++) R[i * K + i] = 1.0;
    return lambda;
}

/* R = L L^T in place (lower triangle), then U = L^-1 diag(1 / sd) into U. Statistics with sd 0 get rows of zeros. */
static bool whitener(double *R, size_t K, const double *sd, double *U)
{
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = R[i * K + j];
            for (size_t k = 0; k < j; k++) sum -= R[i * K + k] * R[j * K + k];
            if (i == j && !(sum > 0.0)) return false;
            R[i * K + j] = i == j ? sqrt(sum) : sum / R[j * K + j];
        }
    memset(U, 0, K * K * sizeof *U);
    for (size_t c = 0; c < K; c++) /* column c of L^-1 by forward substitution */
        for (size_t i = c; i < K; i++) {
            double sum = i == c;
            for (size_t k = c; k < i; k++) sum -= R[i * K + k] * U[k * K + c];
            U[i * K + c] = sum / R[i * K + i];
        }
    for (size_t i = 0; i < K; i++)
        for (size_t c = 0; c <= i; c++) U[i * K + c] = sd[i] > 0.0 && sd[c] > 0.0 ? U[i * K + c] / sd[c] : 0.0;
    return true;
}

lg_status lg_data_weigh_model(lg_context *ctx, const lg_config *c, lg_problem *p, uint32_t runs)
{
    const size_t K = lg_job_statistics(&p->job);
    size_t N = 0;
    lg_status status = pilot_runs(ctx, c, K, &N);
    if (status) return status;
    double *values = malloc(N * K * sizeof *values), *sd = malloc(K * sizeof *sd), *R = malloc(K * K * sizeof *R);
    p->whiten = malloc(K * K * sizeof *p->whiten);
    status = values && sd && R && p->whiten ? run_pilot(ctx, p, (uint32_t)N, values) : lg_data_no_memory(ctx);
    if (!status) {
        standardise(values, N, K, sd);
        const double lambda = correlations(values, N, K, R);
        for (size_t k = 0; k < K; k++) {
            p->weight_stat[k] = sd[k] > 0.0 ? runs / (sd[k] * sd[k]) : 0.0;
            sd[k] /= sqrt((double)runs);
        }
        if (whitener(R, K, sd, p->whiten))
            lg_log(ctx, LG_LOG_INFO, "weights from %zu runs at the start values, correlations shrunk by %.2g", N,
                   lambda);
        else
            status = lg_fail(ctx, LG_ERR_NUMERIC,
                             "data.weights model: the covariance of %zu runs is singular; set data.pilot to more", N);
    }
    free(values);
    free(sd);
    free(R);
    return status;
}
