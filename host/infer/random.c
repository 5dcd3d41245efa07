/* Draws from the prior, batch by batch: random search keeps the best one, rejection ABC the closest part of all. */
#include "infer/infer.h"

#include "fit/problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

lg_status lg_search_by_random(lg_search *s)
{
    double best = INFINITY, theta[LG_MAX_PARAMS];
    for (int d = 0; d < s->dims; d++) theta[d] = s->problem->params[s->index[d]];
    while (!s->ended && lg_search_left(s)) {
        for (uint32_t c = 0; c < s->plan->population; c++) lg_search_prior(s, c);
        const lg_status status = lg_search_evaluate(s, s->batches);
        if (status) return status;
        const size_t c = lg_search_best(s->loss, s->plan->population);
        if (s->loss[c] < best) {
            best = s->loss[c];
            lg_search_get(s, (uint32_t)c, theta);
        }
        lg_search_record(s, best, theta, NAN, NAN);
    }
    return LG_OK;
}

typedef struct ranked {
    double distance;
    size_t place;
} ranked;

/* Equal distances keep the order in which they were drawn. */
static int by_distance(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static lg_status keep_closest(lg_search *s, const ranked *all, size_t n, const double *theta)
{
    const size_t dims = (size_t)s->dims;
    size_t kept = (size_t)ceil(s->plan->accept * (double)n);
    if (s->plan->distance > 0.0) {
        for (kept = 0; kept < n && all[kept].distance <= s->plan->distance;) kept++;
    }
    while (kept > 0 && !isfinite(all[kept - 1].distance)) kept--;
    if (kept == 0)
        return lg_fail(s->ctx, LG_ERR_NUMERIC,
                       "abc: none of %zu candidates came within the distance %g: the closest has %g", n,
                       s->plan->distance, all[0].distance);
    double *samples = calloc(kept, (dims + 2) * sizeof *samples);
    if (!samples) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: %zu samples", kept);
    double *weight = samples + kept * dims, *distance = weight + kept;
    for (size_t i = 0; i < kept; i++) {
        memcpy(samples + i * dims, theta + all[i].place * dims, dims * sizeof *samples);
        weight[i] = 1.0 / (double)kept;
        distance[i] = all[i].distance;
    }
    const lg_status status = lg_search_samples(s, kept, samples, weight, distance);
    free(samples);
    if (!status && !s->ended)
        lg_search_end(s, "%zu of %zu candidates kept, with distances up to %.6g", kept, n, all[kept - 1].distance);
    return status;
}

/* Rejection (Pritchard et al. 1999): the share method.accept with the smallest distances, or all within method.distance. */
lg_status lg_search_by_abc(lg_search *s)
{
    const size_t most = (size_t)s->plan->simulations, dims = (size_t)s->dims, width = s->plan->population;
    double *theta = malloc(most * dims * sizeof *theta);
    ranked *all = malloc(most * sizeof *all);
    lg_status status = LG_OK;
    size_t n = 0, best = 0;
    if (!theta || !all) status = lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: %zu candidates", most);
    while (!status && !s->ended && lg_search_left(s)) {
        for (uint32_t c = 0; c < width; c++) lg_search_prior(s, c);
        status = lg_search_evaluate(s, s->batches);
        for (uint32_t c = 0; !status && c < width; c++, n++) {
            lg_search_get(s, c, theta + n * dims);
            all[n] = (ranked){s->loss[c], n};
            if (s->loss[c] < all[best].distance) best = n;
        }
        if (!status) lg_search_record(s, all[best].distance, theta + best * dims, NAN, NAN);
    }
    if (!status) {
        qsort(all, n, sizeof *all, by_distance);
        status = keep_closest(s, all, n, theta);
    }
    free(theta);
    free(all);
    return status;
}
