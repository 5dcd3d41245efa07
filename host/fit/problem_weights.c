/* Weights of the statistics of lattice runs: 1 / sem^2 of the data, or the inverse of their covariance.
 *
 * The statistics of a pattern are strongly correlated: neighbouring rings, the two species, one time and the next. Weights 1 / sem^2
 * count the same news many times, and the weighting that gives estimates the smallest errors is W = Cov(t)^-1 (Hansen,
 * Econometrica 50, 1982). A few runs do not show the covariance of a hundred statistics, but the model makes as many runs as
 * one wants: problem_pilot.c.
 *
 * With K statistics of N runs the sample correlations R are shrunk towards none, lambda = sum Var(r_ij) / sum r_ij^2 over
 * i != j (Ledoit and Wolf, J. Empirical Finance 10, 2003; Schafer and Strimmer, Stat. Appl. Genet. Mol. Biol. 4, 2005), which
 * makes them positive definite whatever N is. U = L^-1 of Cov = L L^T has U Cov U^T = 1 and U^T U = Cov^-1. */
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

/* ---- the covariance --------------------------------------------------------------------------------------------- */

/* values[K][N] to z-scores in place; sd[K], 0 where all runs have the same value (z = 0 there). */
static void standardise(double *values, size_t N, size_t K, double *sd)
{
    for (size_t k = 0; k < K; k++) {
        double *v = values + k * N, mean = 0.0, squares = 0.0;
        for (size_t n = 0; n < N; n++) mean += v[n] / (double)N;
        for (size_t n = 0; n < N; n++) squares += (v[n] - mean) * (v[n] - mean);
        sd[k] = sqrt(squares / (double)(N - 1));
        for (size_t n = 0; n < N; n++) v[n] = sd[k] > 0.0 ? (v[n] - mean) / sd[k] : 0.0;
    }
}

/* Sums of x y and of (x y)^2, in four parts that the compiler can add side by side. */
static void moments(const double *x, const double *y, size_t N, double *sum, double *squares)
{
    double s[4] = {0.0}, q[4] = {0.0};
    for (size_t n = 0; n < N; n++) {
        const double product = x[n] * y[n];
        s[n % 4] += product;
        q[n % 4] += product * product;
    }
    *sum = (s[0] + s[1]) + (s[2] + s[3]);
    *squares = (q[0] + q[1]) + (q[2] + q[3]);
}

/* Shrunk correlations of z-scores into R[K][K]; returns lambda. */
static double correlations(const double *z, size_t N, size_t K, double *R)
{
    const double n = (double)N;
    double variance = 0.0, square = 0.0;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < i; j++) {
            double sum, squares;
            moments(z + i * N, z + j * N, N, &sum, &squares);
            const double r = sum / (n - 1.0);
            variance += (squares - sum * sum / n) * n / pow(n - 1.0, 3.0);
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

bool lg_data_whitener(double *values, size_t N, size_t K, double *sd, double *scratch, double *U, double *lambda)
{
    standardise(values, N, K, sd);
    *lambda = correlations(values, N, K, scratch);
    return whitener(scratch, K, sd, U);
}
