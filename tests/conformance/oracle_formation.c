/* The oracle of the task formation: every wave vector of both half planes below the Nyquist frequencies, by the definition. */
#include "conformance/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 12, KINDS = 4 + 2 * BINS };

/* Bin of a wave vector by its length in units of 2 pi / shorter side, or -1. */
static int bin_of(const lg_job *job, int ky, int kx)
{
    const double H = job->height, W = job->width, r = fmin(H, W) * hypot(ky / H, kx / W);
    const int bin = (int)floor(r + 0.5) - 1;
    return bin >= 0 && bin < BINS ? bin : -1;
}

/* Of one plane: sums of |n_k|^2 / sites over the wave vectors of each bin, and how many they are. */
typedef struct plane_waves {
    double sum[BINS], count[BINS], mean, variance;
} plane_waves;

/* cos and sin of 2 pi t / HW: every k.x is such an angle, t = ky i W + kx j H. */
typedef struct wave_table {
    double *cos, *sin;
} wave_table;

static wave_table make_table(const lg_job *job)
{
    const size_t sites = lg_job_sites(job);
    wave_table t = {malloc(sites * sizeof(double)), malloc(sites * sizeof(double))};
    for (size_t i = 0; i < sites; i++) {
        t.cos[i] = cos(6.283185307179586 * (double)i / (double)sites);
        t.sin[i] = sin(6.283185307179586 * (double)i / (double)sites);
    }
    return t;
}

static void free_table(wave_table t)
{
    free(t.cos);
    free(t.sin);
}

static size_t turned(const lg_job *job, int64_t t)
{
    const int64_t sites = (int64_t)lg_job_sites(job), rest = t % sites;
    return (size_t)(rest < 0 ? rest + sites : rest);
}

/* Places in the table of the sites of row i are first, first + step, ... (mod HW). */
static size_t row_angle(const lg_job *job, int ky, size_t i)
{
    return turned(job, ky * (int64_t)i * job->width);
}

static size_t column_step(const lg_job *job, int kx)
{
    return turned(job, kx * (int64_t)job->height);
}

static size_t next_angle(size_t t, size_t step, size_t sites)
{
    return t + step < sites ? t + step : t + step - sites;
}

static void transform(const lg_job *job, wave_table t, const int *x, int ky, int kx, double *re, double *im)
{
    const size_t W = job->width, sites = lg_job_sites(job), step = column_step(job, kx);
    *re = *im = 0.0;
    for (size_t i = 0; i < job->height; i++)
        for (size_t j = 0, a = row_angle(job, ky, i); j < W; j++, a = next_angle(a, step, sites)) {
            *re += x[i * W + j] * t.cos[a];
            *im -= x[i * W + j] * t.sin[a];
        }
}

static void add_wave(const lg_job *job, wave_table t, double re, double im, int ky, int kx, double *out)
{
    const size_t W = job->width, sites = lg_job_sites(job), step = column_step(job, kx);
    for (size_t i = 0; i < job->height; i++)
        for (size_t j = 0, a = row_angle(job, ky, i); j < W; j++, a = next_angle(a, step, sites))
            out[i * W + j] += re * t.cos[a] - im * t.sin[a];
}

static plane_waves analyse(const lg_job *job, wave_table t, const int *x)
{
    const double sites = (double)lg_job_sites(job);
    const int top = ((int)job->height - 1) / 2, side = ((int)job->width - 1) / 2;
    plane_waves p = {0};
    for (size_t i = 0; i < lg_job_sites(job); i++) p.mean += x[i] / sites;
    for (size_t i = 0; i < lg_job_sites(job); i++) p.variance += (x[i] - p.mean) * (x[i] - p.mean) / sites;
    for (int ky = -top; ky <= top; ky++)
        for (int kx = -side; kx <= side; kx++) {
            const int bin = bin_of(job, ky, kx);
            double re, im;
            if (bin < 0) continue;
            transform(job, t, x, ky, kx, &re, &im);
            p.sum[bin] += (re * re + im * im) / sites;
            p.count[bin] += 1.0;
        }
    return p;
}

static double bin_mean(const plane_waves *p, int bin)
{
    return p->count[bin] > 0.0 ? p->sum[bin] / p->count[bin] : 0.0;
}

void lg_oracle_formation_add(const lg_oracle_fit *fit, const int *history)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job);
    const wave_table t = make_table(job);
    for (size_t k = 0; k < job->records; k++)
        for (size_t s = 0; s < 2; s++) {
            const plane_waves p = analyse(job, t, history + job->record[k] * 2 * sites + s * sites);
            double *out = fit->statistics + k * KINDS;
            out[s] += p.mean / job->replicates;
            out[2 + s] += log(1.0 + p.variance) / job->replicates;
            for (int b = 0; b < BINS; b++) out[4 + (int)s * BINS + b] += log(1.0 + bin_mean(&p, b)) / job->replicates;
        }
    free_table(t);
}

/* dL/dx of one plane: d|n_k|^2 / dn(x) = 2 Re(n_k exp(i k.x)). */
static void plane_adjoint(const lg_oracle_fit *fit, wave_table t, size_t record, size_t s, const int *x, double *adj)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job), at = record * KINDS;
    const int top = ((int)job->height - 1) / 2, side = ((int)job->width - 1) / 2;
    const plane_waves p = analyse(job, t, x);
    double slope[KINDS];
    for (size_t k = 0; k < KINDS; k++)
        slope[k] = 2.0 * lg_oracle_weight(fit, at + k) * (fit->statistics[at + k] - lg_oracle_target(fit, at + k)) /
                   job->replicates;
    for (size_t i = 0; i < sites; i++)
        adj[i] += (slope[s] + slope[2 + s] * 2.0 * (x[i] - p.mean) / (1.0 + p.variance)) / (double)sites;
    for (int ky = -top; ky <= top; ky++)
        for (int kx = -side; kx <= side; kx++) {
            const int bin = bin_of(job, ky, kx);
            double re, im;
            if (bin < 0) continue;
            transform(job, t, x, ky, kx, &re, &im);
            const double g =
                slope[4 + (int)s * BINS + bin] * 2.0 / ((1.0 + bin_mean(&p, bin)) * p.count[bin] * (double)sites);
            add_wave(job, t, g * re, g * im, ky, kx, adj);
        }
}

void lg_oracle_formation_adjoint(const lg_oracle_fit *fit, const int *history, double *adj)
{
    const size_t sites = lg_job_sites(fit->job);
    const wave_table t = make_table(fit->job);
    for (size_t k = 0; k < fit->job->records; k++)
        for (size_t s = 0; s < 2; s++) {
            const size_t at = fit->job->record[k] * 2 * sites + s * sites;
            plane_adjoint(fit, t, k, s, history + at, adj + at);
        }
    free_table(t);
}
