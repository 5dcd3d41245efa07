/* What the reference models share: discrete draws with their estimators, and the losses. */
#include "backend/reference/reference.h"

#include <math.h>

lg_ref_event lg_ref_binary(lg_estimator estimator, double p, double u, const double *gumbel, double tau)
{
    lg_ref_event event = {p > u, 0.0, 1.0};
    if (estimator == LG_ESTIMATOR_ste) return event;
    const double low = 1e-12, high = 1.0 - 1e-12;
    const double pc = p < low ? low : (p > high ? high : p);
    const double d = log(pc) + gumbel[1] - (log(1.0 - pc) + gumbel[0]);
    const double stay = 1.0 / (1.0 + exp(d / tau));
    event.fired = d > 0.0;
    event.soft = 1.0 / (1.0 + exp(-d / tau));
    event.weight = pc == p ? event.soft * stay / (tau * pc * (1.0 - pc)) : 0.0;
    return event;
}

double lg_ref_mean_weight(const lg_ref_event *event, double p, const lg_ref_more *more, size_t at, double tau)
{
    double sum = event->weight;
    for (size_t k = 0; k < more->count; k++)
        sum += lg_ref_binary(LG_ESTIMATOR_gs, p, 0.0, more->noise + k * more->stride + at, tau).weight;
    return sum / (double)(1 + more->count);
}

int lg_ref_softmax(int classes, const double *z, double tau, double *y)
{
    int best = 0;
    double sum = 0.0;
    for (int k = 1; k < classes; k++)
        if (z[k] > z[best]) best = k;
    for (int k = 0; k < classes; k++) {
        y[k] = exp((z[k] - z[best]) / tau);
        sum += y[k];
    }
    for (int k = 0; k < classes; k++) y[k] /= sum;
    return best;
}

double lg_ref_state_loss(lg_loss loss, size_t count, const int32_t *x, const double *target, double *adj)
{
    const double entries = (double)count;
    double S = 0.0;
    for (size_t i = 0; i < count; i++) S += (x[i] - target[i]) * (x[i] - target[i]);
    const double slope = lg_state_loss_slope(loss, S, entries);
    for (size_t i = 0; i < count; i++) adj[i] += slope * 2.0 * (x[i] - target[i]);
    return lg_state_loss(loss, S, entries);
}

double lg_ref_count_loss(size_t batch, size_t sites, const double *before, const int32_t *x, const double *target,
                         double *adj)
{
    double total = 0.0;
    for (size_t b = 0; b < batch; b++) {
        const size_t at = b * sites;
        double d = 0.0;
        for (size_t i = at; i < at + sites; i++) d += (1.0 - before[i]) * (x[i] - target[i]);
        total += d * d / (double)batch;
        for (size_t i = at; i < at + sites; i++) adj[i] += 2.0 * d / (double)batch * (1.0 - before[i]);
    }
    return total;
}

/* Mean over the batch of the mean (or the population variance) of one species' plane; with adj, adds slope times its
 * derivative: d mean / dx = 1 / (B sites), d var / dx = 2 (x - mean of the plane) / (B sites). */
static double plane_statistic(int variance, size_t species, size_t s, size_t batch, size_t sites, const int32_t *x,
                              double slope, double *adj)
{
    const double scale = 1.0 / (double)(batch * sites);
    double total = 0.0;
    for (size_t b = 0; b < batch; b++) {
        const size_t at = (b * species + s) * sites;
        double mean = 0.0;
        for (size_t i = at; i < at + sites; i++) mean += x[i] / (double)sites;
        for (size_t i = at; i < at + sites; i++) {
            total += scale * (variance ? (x[i] - mean) * (x[i] - mean) : x[i]);
            if (adj) adj[i] += slope * scale * (variance ? 2.0 * (x[i] - mean) : 1.0);
        }
    }
    return total;
}

double lg_ref_statistics_loss(const lg_ref_statistics *stat, size_t batch, size_t sites, const int32_t *states,
                              double *adj)
{
    const size_t species = stat->species, kinds = species == 1 ? 1 : 2, plane = batch * species * sites;
    double loss = 0.0;
    for (size_t k = 0; k < stat->records; k++) {
        const size_t at = (size_t)stat->record[k] * plane;
        for (size_t v = 0; v < kinds; v++) {
            for (size_t s = 0; s < species; s++) {
                const size_t e = k * kinds * species + v * species + s;
                const double value = plane_statistic((int)v, species, s, batch, sites, states + at, 0.0, NULL);
                const double d = value - stat->target[e];
                loss += stat->weight[e] * d * d;
                plane_statistic((int)v, species, s, batch, sites, states + at, 2.0 * stat->weight[e] * d, adj + at);
            }
        }
    }
    return loss;
}
