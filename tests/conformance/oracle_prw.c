#include "conformance/oracle.h"
#include "rules/prw.h"

#include <stdlib.h>
#include <string.h>

typedef struct axis {
    int x, v;
    double dx[2], dv[2], score[2];
} axis;

static void start(const lg_oracle_fit *fit, const lg_prw_fit *prw, uint32_t walker, uint32_t a, axis *q)
{
    const lg_block b = lg_draw(fit->key, LG_STREAM_PRW_START, lg_oracle_noise(fit), walker, 0, a);
    memset(q, 0, sizeof *q);
    q->v = lg_prw_velocity(prw, b.w[0]);
    q->score[0] = fit->job->v0_const ? 0.0 : (q->v == 0) - fit->params[0];
    const uint32_t draws = fit->job->v0_const ? 0 : lg_oracle_draws(fit, fit->job->categorical);
    for (uint32_t k = 0; k < draws; k++) {
        const lg_block e = lg_draw(lg_oracle_key(fit, k), LG_STREAM_PRW_START, lg_oracle_noise(fit), walker, 0, a);
        q->dv[0] += (double)lg_prw_velocity_gradient(prw, q->v, lg_exponential(e.w[1]), lg_exponential(e.w[2]),
                                                     lg_exponential(e.w[3])) /
                    draws;
    }
}

/* dk1/dlogit p_resample and dw/dlogit p_center of a step. */
static void soft(const lg_oracle_fit *fit, const lg_prw_fit *prw, uint32_t walker, uint32_t t, uint32_t a,
                 int resampled, int w, double *dk, double *dw)
{
    const uint32_t keeps = lg_oracle_draws(fit, fit->job->binary),
                   velocities = lg_oracle_draws(fit, fit->job->categorical);
    *dk = *dw = 0.0;
    for (uint32_t k = 0; k < keeps || k < velocities; k++) {
        const uint32_t id = lg_oracle_noise(fit);
        const lg_block e = lg_draw(lg_oracle_key(fit, k), LG_STREAM_PRW_GUMBEL, id, walker, t, a),
                       third = lg_draw(lg_oracle_key(fit, k), LG_STREAM_PRW_GUMBEL, id, walker, t, 2);
        if (k < keeps)
            *dk += (double)lg_prw_keep_gradient(prw, resampled, lg_exponential(e.w[0]), lg_exponential(e.w[1])) / keeps;
        if (k < velocities)
            *dw += (double)lg_prw_velocity_gradient(prw, w, lg_exponential(e.w[2]), lg_exponential(e.w[3]),
                                                    lg_exponential(third.w[a])) /
                   velocities;
    }
}

static void step(const lg_oracle_fit *fit, const lg_prw_fit *prw, uint32_t walker, uint32_t t, uint32_t a, axis *q)
{
    const uint32_t id = lg_oracle_noise(fit);
    const lg_block b = lg_draw(fit->key, LG_STREAM_PRW_STEP, id, walker, t, 0);
    const int resampled = lg_prw_resamples(prw, b.w[2 * a]), w = lg_prw_velocity(prw, b.w[2 * a + 1]);
    double dk, dw;
    soft(fit, prw, walker, t, a, resampled, w, &dk, &dw);
    q->score[0] += resampled ? (w == 0) - fit->params[0] : 0.0;
    q->score[1] += resampled - fit->params[1];
    q->dv[1] = (1 - resampled) * q->dv[1] + (w - q->v) * dk;
    q->dv[0] = resampled ? dw : q->dv[0];
    q->v = resampled ? w : q->v;
    for (int p = 0; p < 2; p++) q->dx[p] += q->dv[p];
    q->x += q->v;
}

/* Method score, record k: an axis of a walker is a replicate of its own. */
static void add_scores(const lg_oracle_fit *fit, size_t k, const axis *path)
{
    const lg_job *job = fit->job;
    const size_t n = 2 * (size_t)job->replicates, t = job->record[k] - 1;
    const double m = fit->statistics[k], target = lg_oracle_target(fit, k);
    for (size_t i = 0; i < n; i++) {
        const axis *q = &path[(i / 2 * job->steps + t) * 2 + i % 2];
        const double rest = (m * (double)n - 2.0 * q->x * q->x) / ((double)n - 1.0);
        const double weight =
            lg_oracle_weight(fit, k) * ((m - target) * (m - target) - (rest - target) * (rest - target));
        for (int p = 0; p < 2; p++) lg_oracle_add(fit, p, weight * q->score[p]);
    }
}

bool lg_oracle_prw(const lg_oracle_fit *fit)
{
    const lg_job *job = fit->job;
    const size_t T = job->steps, R = job->replicates;
    lg_prw_fit prw;
    lg_prw_prepare(fit->params[0], fit->params[1], job->binary, lg_oracle_tau(fit), &prw);
    axis *path = calloc(R * T * 2, sizeof *path);
    double *msd = calloc(T, sizeof *msd);
    if (!path || !msd) {
        free(path);
        free(msd);
        return false;
    }
    for (uint32_t r = 0; r < R; r++)
        for (uint32_t a = 0; a < 2; a++) {
            axis q;
            start(fit, &prw, r, a, &q);
            for (uint32_t t = 1; t <= T; t++) {
                step(fit, &prw, r, t, a, &q);
                path[(r * T + t - 1) * 2 + a] = q;
                msd[t - 1] += (double)q.x * q.x / (double)R;
            }
            memcpy(fit->states + r * 16 + a * 4, &q.x, 4);
            memcpy(fit->states + r * 16 + 8 + a * 4, &q.v, 4);
        }
    for (size_t k = 0; k < job->records; k++) fit->statistics[k] = msd[job->record[k] - 1];
    lg_oracle_loss(fit, 0.0);
    for (size_t k = 0; k < job->records; k++) {
        if (job->method == LG_GRADIENT_score) {
            add_scores(fit, k, path);
            continue;
        }
        const double slope =
            2.0 * lg_oracle_weight(fit, k) * (fit->statistics[k] - lg_oracle_target(fit, k)) / (double)R;
        for (size_t i = 0; i < 2 * R; i++) {
            const axis *q = &path[(i / 2 * T + job->record[k] - 1) * 2 + i % 2];
            for (int p = 0; p < 2; p++) lg_oracle_add(fit, p, slope * 2.0 * q->x * q->dx[p]);
        }
    }
    free(path);
    free(msd);
    return true;
}
