#include "conformance/oracle.h"
#include "rules/mk.h"

#include <stdlib.h>
#include <string.h>

/* One replicate: states [T+1][2][sites]; per step and site excitations, channel, fired; per step and species
 * directions. */
typedef struct run {
    int *history, *after; /* after: between diffusion and reaction, [T][2][sites] */
    uint8_t *e, *channel, *fired;
    double *adj;
} run;

static bool allocate(const lg_job *job, run *r)
{
    const size_t T = job->steps, n = lg_job_sites(job);
    r->history = calloc((T + 1) * 2 * n, sizeof *r->history);
    r->after = calloc(T * 2 * n, sizeof *r->after);
    r->e = calloc(T * 2 * n, 1);
    r->channel = calloc(T * n, 1);
    r->fired = calloc(T * n, 1);
    r->adj = calloc((T + 1) * 2 * n, sizeof *r->adj);
    return r->history && r->after && r->e && r->channel && r->fired && r->adj;
}

static void release(run *r)
{
    free(r->history);
    free(r->after);
    free(r->e);
    free(r->channel);
    free(r->fired);
    free(r->adj);
}

static lg_block site_block(const lg_oracle_fit *fit, lg_key key, uint32_t replicate, uint32_t stream, uint32_t step,
                           size_t site)
{
    const uint32_t W = fit->job->width, i = (uint32_t)(site / W), j = (uint32_t)(site % W);
    return lg_draw(key, stream, lg_oracle_noise(fit), replicate, step, i / 2 * W + j);
}

static void step_forward(const lg_oracle_fit *fit, const lg_mk_fit *mk, uint32_t replicate, uint32_t t, run *r)
{
    const lg_job *job = fit->job;
    const size_t n = lg_job_sites(job), W = job->width;
    const int *x = r->history + t * 2 * n;
    int *y = r->history + (t + 1) * 2 * n, *after = r->after + t * 2 * n;
    uint8_t *e = r->e + t * 2 * n;
    for (size_t s = 0; s < 2 * n; s++) {
        const size_t site = s % n;
        const uint32_t word = site_block(fit, fit->key, replicate, LG_STREAM_MK_SITE, t, site).w[site / W % 2 * 2];
        const double u = ((s < n ? word & 0xffffu : word >> 16) + 0.5) / 65536.0;
        e[s] = x[s] > (double)job->capacity * u;
    }
    for (int species = 0; species < 2; species++) {
        const int q = lg_mk_draw_direction(mk, fit->key, lg_oracle_noise(fit), replicate, t, species);
        const size_t base = (size_t)species * n;
        for (size_t s = 0; s < n; s++)
            after[base + s] = x[base + s] - e[base + s] + e[base + lg_oracle_neighbour(job, s, q / 3 - 1, q % 3 - 1)];
    }
    for (size_t s = 0; s < n; s++) {
        const uint32_t word = site_block(fit, fit->key, replicate, LG_STREAM_MK_SITE, t, s).w[s / W % 2 * 2 + 1];
        const uint32_t channel = lg_mk_channel(word);
        const uint32_t I = lg_mk_count(channel, (uint32_t)after[s], (uint32_t)after[n + s], job->capacity);
        r->channel[t * n + s] = (uint8_t)channel;
        r->fired[t * n + s] = (uint8_t)lg_mk_fires(mk, channel, lg_mk_u31(word), I);
        y[s] = after[s];
        y[n + s] = after[n + s];
        if (r->fired[t * n + s]) y[channel < 4 ? s : n + s] += lg_mk_sign(channel);
    }
}

/* p = unit k I, dp/dn and dp/dm from the table of the model, without the integers of the rules. */
static void probability(uint32_t c, double N, double n, double m, double *I, double *dn, double *dm)
{
    const double a = N - n, b = N - m;
    *dm = 0.0;
    switch (c) {
    case 0:
        *I = n * (n - 1) * a;
        *dn = (2 * n - 1) * a - n * (n - 1);
        break;
    case 1:
        *I = n * a * (a - 1);
        *dn = a * (a - 1) - n * (2 * a - 1);
        break;
    case 2:
        *I = a * m;
        *dn = -m;
        *dm = a;
        break;
    case 3:
        *I = n * b;
        *dn = b;
        *dm = -n;
        break;
    case 4:
        *I = a * b;
        *dn = -b;
        *dm = -a;
        break;
    default:
        *I = n * m;
        *dn = m;
        *dm = n;
    }
}

static void react_back(const lg_oracle_fit *fit, const lg_mk_fit *mk, uint32_t replicate, uint32_t t, const run *r,
                       double *lam)
{
    const lg_job *job = fit->job;
    const size_t n = lg_job_sites(job);
    const double N = job->capacity;
    for (size_t s = 0; s < n; s++) {
        const uint32_t c = r->channel[t * n + s], fired = r->fired[t * n + s];
        const double unit = c < 2 ? job->gamma / ((N - 1) * (N - 2)) : job->gamma / N,
                     k = fit->params[LG_MK_K1 + c / 2];
        double I, dn, dm, l = (c % 2 ? -1.0 : 1.0) * lam[c < 4 ? s : n + s];
        probability(c, N, r->after[t * 2 * n + s], r->after[t * 2 * n + n + s], &I, &dn, &dm);
        const uint32_t draws = lg_oracle_draws(fit, job->binary);
        double weight = 0.0;
        for (uint32_t d = 0; d < draws && job->binary != LG_ESTIMATOR_ste; d++) {
            const lg_block b = site_block(fit, lg_oracle_key(fit, d), replicate, LG_STREAM_MK_GUMBEL, t, s);
            const size_t w = s / job->width % 2 * 2;
            weight += (double)lg_gs_weight((float)(unit * k * I), (float)(1.0 - unit * k * I), (int)fired,
                                           lg_exponential(b.w[w]), lg_exponential(b.w[w + 1]), mk->inv_tau);
        }
        if (job->binary != LG_ESTIMATOR_ste) l *= weight / draws;
        lg_oracle_add(fit, LG_MK_K1 + (int)c / 2, l * unit * I);
        lam[s] += l * unit * k * dn;
        lam[n + s] += l * unit * k * dm;
    }
}

/* Means over the draws of the noise given the direction. */
static void direction_weights(const lg_oracle_fit *fit, const lg_mk_fit *mk, uint32_t replicate, uint32_t t,
                              int species, const lg_mk_direction_draw *taken, double *mean)
{
    const uint32_t draws = lg_oracle_draws(fit, fit->job->categorical);
    for (int q = 0; q < LG_MK_DIRECTIONS; q++) mean[q] = 0.0;
    for (uint32_t k = 0; k < draws; k++) {
        float w[LG_MK_DIRECTIONS];
        lg_mk_direction_draw d =
            lg_mk_draw_direction_soft(mk, lg_oracle_key(fit, k), lg_oracle_noise(fit), replicate, t, species);
        d.q = taken->q;
        lg_mk_direction_weights(mk, species, &d, w);
        for (int q = 0; q < LG_MK_DIRECTIONS; q++) mean[q] += (double)w[q] / draws;
    }
}

static void move_back(const lg_oracle_fit *fit, const lg_mk_fit *mk, uint32_t replicate, uint32_t t, const run *r,
                      const double *lam, double *before)
{
    const lg_job *job = fit->job;
    const size_t n = lg_job_sites(job);
    for (int species = 0; species < 2; species++) {
        const lg_mk_direction_draw d =
            lg_mk_draw_direction_soft(mk, fit->key, lg_oracle_noise(fit), replicate, t, species);
        double w[LG_MK_DIRECTIONS];
        direction_weights(fit, mk, replicate, t, species, &d, w);
        const size_t base = (size_t)species * n;
        const uint8_t *e = r->e + t * 2 * n + base;
        const double D = fit->params[LG_MK_D_A + species], slope = D * (1.0 - D);
        for (size_t s = 0; s < n; s++) {
            double sum = 0.0;
            for (int q = 0; q < LG_MK_DIRECTIONS; q++)
                sum += w[q] * e[lg_oracle_neighbour(job, s, q / 3 - 1, q % 3 - 1)];
            if (slope > 0.0) lg_oracle_add(fit, LG_MK_D_A + species, -lam[base + s] * sum / slope);
            const int x = r->history[t * 2 * n + base + s];
            const size_t moved = lg_oracle_neighbour(job, s, 1 - d.q / 3, 1 - d.q % 3);
            before[base + s] += x > 0 && x < (int)job->capacity ? lam[base + moved] : lam[base + s];
        }
    }
}

static bool score(const lg_oracle_fit *fit, const lg_mk_fit *mk, uint32_t replicate, double S, double own, const run *r)
{
    const lg_job *job = fit->job;
    const size_t n = lg_job_sites(job);
    const double N = job->capacity;
    double *weight = calloc(lg_oracle_moments(job), sizeof *weight);
    const bool good = weight && lg_oracle_score_weights(fit, S, own, r->history, weight);
    for (uint32_t t = 0; t < job->steps && good; t++) {
        for (int species = 0; species < 2; species++) {
            const double D = fit->params[LG_MK_D_A + species];
            const bool stays =
                lg_mk_draw_direction(mk, fit->key, lg_oracle_noise(fit), replicate, t, species) == LG_MK_STAY;
            const double of = stays ? 1.0 - D : D;
            lg_oracle_add_score(fit, LG_MK_D_A + species, t, weight, of > 0.0 ? (stays ? -1.0 : 1.0) / of : 0.0);
        }
        for (size_t s = 0; s < n; s++) {
            const uint32_t c = r->channel[t * n + s];
            const double unit = c < 2 ? job->gamma / ((N - 1) * (N - 2)) : job->gamma / N,
                         k = fit->params[LG_MK_K1 + c / 2];
            double I, dn, dm;
            probability(c, N, r->after[t * 2 * n + s], r->after[t * 2 * n + n + s], &I, &dn, &dm);
            const double p = unit * k * I;
            if (p < 1.0)
                lg_oracle_add_score(fit, LG_MK_K1 + (int)c / 2, t, weight,
                                    r->fired[t * n + s] ? 1.0 / k : -unit * I / (1.0 - p));
        }
    }
    free(weight);
    return good;
}

bool lg_oracle_mk(const lg_oracle_fit *fit)
{
    const lg_job *job = fit->job;
    const size_t n = lg_job_sites(job), R = job->replicates;
    lg_mk_fit mk;
    lg_mk_prepare(fit->params, job->gamma, (int)job->capacity, lg_oracle_tau(fit), &mk);
    run *runs = calloc(R, sizeof *runs);
    bool good = runs != NULL;
    double S = 0.0;
    for (uint32_t r = 0; r < R && good; r++) {
        if (!(good = allocate(job, &runs[r]))) break;
        const uint8_t *start = job->start + lg_oracle_pool(fit, r) * 2 * n;
        for (size_t i = 0; i < 2 * n; i++) runs[r].history[i] = start[i];
        for (uint32_t t = 0; t < job->steps; t++) step_forward(fit, &mk, r, t, &runs[r]);
        const int *last = runs[r].history + job->steps * 2 * n;
        for (size_t i = 0; i < 2 * n; i++) fit->states[r * 2 * n + i] = (uint8_t)last[i];
        if (job->target_stat) lg_oracle_add_statistics(fit, runs[r].history);
        else S += lg_oracle_squares(fit, r, last);
    }
    if (good) lg_oracle_loss(fit, S);
    for (uint32_t r = 0; r < R && good && job->method == LG_GRADIENT_score; r++) {
        const double own = job->target_stat ? 0.0 : lg_oracle_squares(fit, r, runs[r].history + job->steps * 2 * n);
        good = score(fit, &mk, r, S, own, &runs[r]);
    }
    for (uint32_t r = 0; r < R && good && job->method == LG_GRADIENT_pathwise; r++) {
        lg_oracle_adjoint(fit, r, S, 0.0, runs[r].history, runs[r].adj);
        for (uint32_t t = job->steps; t-- > 0;) {
            double *lam = runs[r].adj + (t + 1) * 2 * n;
            react_back(fit, &mk, r, t, &runs[r], lam);
            move_back(fit, &mk, r, t, &runs[r], lam, lam - 2 * n);
        }
    }
    for (size_t r = 0; runs && r < R; r++) release(&runs[r]);
    free(runs);
    return good;
}
