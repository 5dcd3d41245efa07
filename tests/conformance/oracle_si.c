#include "conformance/oracle.h"
#include "rules/si.h"

#include <stdlib.h>

typedef struct run {
    int *history; /* [T+1][sites] */
    double *adj;
} run;

static int neighbours(const lg_job *job, const int *x, size_t site)
{
    int sum = 0;
    for (int k = 0; k < 9; k++)
        if (k != 4) sum += x[lg_oracle_neighbour(job, site, k / 3 - 1, k % 3 - 1)];
    return sum;
}

static int draw(const lg_oracle_fit *fit, uint32_t replicate, uint32_t t, size_t site, int n)
{
    const lg_job *job = fit->job;
    const uint32_t i = (uint32_t)(site / job->width), j = (uint32_t)(site % job->width);
    const lg_block b =
        lg_draw(fit->key, LG_STREAM_SI_SITE, lg_oracle_noise(fit), replicate, t, i * ((job->width + 3) / 4) + j / 4);
    double q = 1.0;
    for (int k = 0; k < n; k++) q *= 1.0 - fit->params[0];
    return (b.w[j % 4] >> 1) < lg_threshold31(1.0 - q);
}

static double weight(const lg_oracle_fit *fit, uint32_t replicate, uint32_t t, size_t site, int n, int fired)
{
    const lg_job *job = fit->job;
    if (job->binary == LG_ESTIMATOR_ste) return 1.0;
    const uint32_t i = (uint32_t)(site / job->width), j = (uint32_t)(site % job->width);
    const double p = 1.0 - pow(1.0 - fit->params[0], n);
    const uint32_t draws = lg_oracle_draws(fit, job->binary);
    double sum = 0.0;
    for (uint32_t k = 0; k < draws; k++) {
        const lg_block b = lg_draw(lg_oracle_key(fit, k), LG_STREAM_SI_GUMBEL, lg_oracle_noise(fit), replicate, t,
                                   i * ((job->width + 1) / 2) + j / 2);
        sum += (double)lg_gs_weight((float)p, (float)(1.0 - p), fired, lg_exponential(b.w[2 * (j % 2)]),
                                    lg_exponential(b.w[2 * (j % 2) + 1]), (float)(1.0 / lg_oracle_tau(fit)));
    }
    return sum / draws;
}

static void step_back(const lg_oracle_fit *fit, uint32_t replicate, uint32_t t, const run *r)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job);
    const int *x = r->history + t * sites;
    const double *a = r->adj + (t + 1) * sites, q = 1.0 - fit->params[0];
    double *before = r->adj + t * sites;
    for (size_t s = 0; s < sites; s++) {
        const int n = neighbours(job, x, s), fired = draw(fit, replicate, t, s, n);
        const double ap = x[s] ? 0.0 : a[s] * weight(fit, replicate, t, s, n, fired);
        lg_oracle_add(fit, 0, n ? ap * n * pow(q, n - 1) : 0.0);
        before[s] += fired ? 0.0 : a[s];
        for (int k = 0; k < 9 && q > 0.0; k++)
            if (k != 4) before[lg_oracle_neighbour(job, s, k / 3 - 1, k % 3 - 1)] += ap * -pow(q, n) * log(q);
    }
}

static bool score(const lg_oracle_fit *fit, double S, double own, const int *history)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job);
    const double q = 1.0 - fit->params[0];
    double *weight = calloc(lg_oracle_moments(job), sizeof *weight);
    const bool good = weight && lg_oracle_score_weights(fit, S, own, history, weight);
    for (uint32_t t = 0; t < job->steps && good; t++)
        for (size_t s = 0; s < sites; s++) {
            const int *x = history + t * sites, n = neighbours(job, x, s), fired = x[sites + s];
            if (x[s] || n == 0) continue;
            const double p = 1.0 - pow(q, n), dp = n * pow(q, n - 1), of = fired ? p : 1.0 - p;
            lg_oracle_add_score(fit, 0, t, weight, of > 0.0 ? (fired ? dp : -dp) / of : 0.0);
        }
    free(weight);
    return good;
}

static void likelihood(const lg_oracle_fit *fit, uint32_t r, const int *x)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job);
    const uint8_t *observed = job->target + lg_oracle_pool(fit, r) * sites;
    const double q = 1.0 - fit->params[0];
    for (size_t s = 0; s < sites; s++) {
        const int n = neighbours(job, x, s);
        if (x[s] || (n == 0 && !observed[s])) continue;
        const double p = 1.0 - pow(q, n);
        *fit->loss -= observed[s] ? log(p) : n * log(q);
        lg_oracle_add(fit, 0, observed[s] ? -n * pow(q, n - 1) / p : n / q);
    }
}

static double count_difference(const lg_oracle_fit *fit, uint32_t r, const int *last)
{
    const lg_job *job = fit->job;
    double d = 0.0;
    for (size_t s = 0; s < lg_job_sites(job); s++)
        d += last[s] - job->target[lg_oracle_pool(fit, r) * lg_job_sites(job) + s];
    return d;
}

bool lg_oracle_si(const lg_oracle_fit *fit)
{
    const lg_job *job = fit->job;
    const size_t sites = lg_job_sites(job), R = job->replicates;
    run *runs = calloc(R, sizeof *runs);
    bool good = runs != NULL;
    double S = 0.0, counts = 0.0;
    for (uint32_t r = 0; r < R && good; r++) {
        runs[r].history = calloc((job->steps + 1) * sites, sizeof(int));
        runs[r].adj = calloc((job->steps + 1) * sites, sizeof(double));
        if (!(good = runs[r].history && runs[r].adj)) break;
        for (size_t s = 0; s < sites; s++) runs[r].history[s] = job->start[lg_oracle_pool(fit, r) * sites + s];
        for (uint32_t t = 0; t < job->steps; t++)
            for (size_t s = 0; s < sites; s++) {
                const int *x = runs[r].history + t * sites;
                runs[r].history[(t + 1) * sites + s] = x[s] || draw(fit, r, t, s, neighbours(job, x, s));
            }
        const int *last = runs[r].history + job->steps * sites;
        for (size_t s = 0; s < sites; s++) fit->states[r * sites + s] = (uint8_t)last[s];
        if (job->target_stat) lg_oracle_add_statistics(fit, runs[r].history);
        else if (job->loss == LG_LOSS_nll) likelihood(fit, r, runs[r].history);
        else if (job->loss == LG_LOSS_count) counts += pow(count_difference(fit, r, last), 2.0) / (double)R;
        else S += lg_oracle_squares(fit, r, last);
    }
    if (good && job->loss == LG_LOSS_count) *fit->loss = counts;
    else if (good && (job->loss != LG_LOSS_nll || job->target_stat)) lg_oracle_loss(fit, S);
    for (uint32_t r = 0; r < R && good && job->method == LG_GRADIENT_score; r++) {
        const int *last = runs[r].history + job->steps * sites;
        const bool counting = job->loss == LG_LOSS_count && !job->target_stat;
        double own = 0.0;
        if (!job->target_stat)
            own = counting ? pow(count_difference(fit, r, last), 2.0) : lg_oracle_squares(fit, r, last);
        good = score(fit, counting ? counts * (double)R : S, own, runs[r].history);
    }
    const bool walks_back = job->method == LG_GRADIENT_pathwise && (job->loss != LG_LOSS_nll || job->target_stat);
    for (uint32_t r = 0; r < R && good && walks_back; r++) {
        const double d =
            job->loss == LG_LOSS_count ? count_difference(fit, r, runs[r].history + job->steps * sites) : 0.0;
        lg_oracle_adjoint(fit, r, S, d, runs[r].history, runs[r].adj);
        for (uint32_t t = job->steps; t-- > 0;) step_back(fit, r, t, &runs[r]);
    }
    for (size_t r = 0; runs && r < R; r++) {
        free(runs[r].history);
        free(runs[r].adj);
    }
    free(runs);
    return good;
}
