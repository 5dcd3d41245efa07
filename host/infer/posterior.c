/* Moments and quantiles of weighted samples. */
#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>

typedef struct weighted {
    double value, weight;
} weighted;

static int by_value(const void *a, const void *b)
{
    const double x = ((const weighted *)a)->value, y = ((const weighted *)b)->value;
    return x < y ? -1 : x > y;
}

/* The smallest value with at least q of the weight at or below it. */
static double weighted_quantile(const weighted *all, size_t n, double q)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += all[i].weight;
        if (sum >= q) return all[i].value;
    }
    return all[n - 1].value;
}

static void describe(const lg_result *r, size_t p, weighted *all, lg_posterior *out)
{
    const size_t n = (size_t)r->samples, P = (size_t)r->model->params;
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < n; i++) {
        all[i] = (weighted){r->sample[i * P + p], r->sample_weight[i]};
        mean += all[i].weight * all[i].value;
    }
    for (size_t i = 0; i < n; i++) square += all[i].weight * (all[i].value - mean) * (all[i].value - mean);
    qsort(all, n, sizeof *all, by_value);
    out->mean[p] = mean;
    out->sd[p] = sqrt(square);
    out->low[p] = weighted_quantile(all, n, 0.025);
    out->high[p] = weighted_quantile(all, n, 0.975);
}

bool lg_result_posterior(const lg_result *r, lg_posterior *out)
{
    *out = (lg_posterior){.generations = (int)r->fit[0].iterations,
                          .samples = r->samples,
                          .generation = r->generation,
                          .sample = r->sample,
                          .weight = r->sample_weight,
                          .distance = r->sample_distance,
                          .effective = NAN};
    for (int p = 0; p < LG_POSTERIOR_PARAMS; p++) out->mean[p] = out->sd[p] = out->low[p] = out->high[p] = NAN;
    if (!r->generation) return false;
    if (r->samples == 0) return true;
    weighted *all = malloc((size_t)r->samples * sizeof *all);
    if (!all) return false;
    double square = 0.0;
    for (int i = 0; i < r->samples; i++) square += r->sample_weight[i] * r->sample_weight[i];
    out->effective = 1.0 / square;
    for (size_t p = 0; p < (size_t)r->model->params; p++) describe(r, p, all, out);
    free(all);
    return true;
}
