/* Problems whose ABC posterior is known at every tolerance: the only statistic is a binomial count.
 *
 * SI, one aware site on a lattice of 3 x 3 and one step: each of the 8 others turns aware with probability beta, so that R runs
 * have K ~ Bin(8 R, beta) new aware sites, and the loss is proportional to (K - k)^2. PRW, one step of stationary walks: each axis moves
 * with probability 1 - p_center, so that the mean square displacement of R walkers is K / R with K ~ Bin(2 R, 1 - p_center), whatever
 * p_resample is.
 *
 * Under a flat prior each count is as likely as any other, and the posterior given |K - k| <= d is the mixture of
 * Beta(j + 1, n - j + 1), j = k - d ... k + d, with equal weights; p_resample keeps its prior. */
#ifndef TESTS_INFER_EXACT_POSTERIOR_H
#define TESTS_INFER_EXACT_POSTERIOR_H

#include <math.h>
#include <stdio.h>

#include "fit/problems.h"

/* Counts low ... high of n. */
typedef struct binomial_posterior {
    int n, low, high;
} binomial_posterior;

/* P(Bin(n, x) > k). */
static inline double binomial_above(int n, double x, int k)
{
    double sum = 0.0;
    for (int j = k + 1; j <= n; j++)
        sum += exp(lgamma(n + 1.0) - lgamma(j + 1.0) - lgamma(n - j + 1.0) + j * log(x) + (n - j) * log1p(-x));
    return sum;
}

/* The distribution of Beta(j + 1, n - j + 1) at x is P(Bin(n + 1, x) > j). */
static inline double posterior_below(const binomial_posterior *b, double x)
{
    double sum = 0.0;
    for (int j = b->low; j <= b->high; j++) sum += binomial_above(b->n + 1, x, j);
    return sum / (b->high - b->low + 1);
}

static inline double posterior_quantile(const binomial_posterior *b, double q)
{
    double low = 0.0, high = 1.0;
    while (high - low > 1e-12) {
        const double middle = 0.5 * (low + high);
        if (posterior_below(b, middle) < q) low = middle;
        else high = middle;
    }
    return low;
}

static inline void posterior_moments(const binomial_posterior *b, double *mean, double *variance)
{
    double first = 0.0, second = 0.0;
    const double n = b->n, count = b->high - b->low + 1;
    for (int j = b->low; j <= b->high; j++) {
        first += (j + 1.0) / (n + 2.0) / count;
        second += (j + 1.0) * (j + 2.0) / ((n + 2.0) * (n + 3.0)) / count;
    }
    *mean = first;
    *variance = second - first * first;
}

/* A search on one of the problems: settings with data, the probability's parameter, and n of the count. */
typedef struct counting {
    const char *const *settings;
    int n;
    bool reversed; /* the probability is 1 - the first parameter */
} counting;

/* More settings behind the given ones; room for 32. */
static inline const char *const *with_settings(const char **room, const char *const *a, const char *const *b)
{
    int n = 0;
    for (; *a; a++) room[n++] = *a;
    for (; b && *b; b++) room[n++] = *b;
    room[n] = NULL;
    return room;
}

/* The count in the data and what method.distance has to be for counts up to d away: from the losses where none and where all
 * happen, sqrt(loss) = c k and c (n - k). */
static inline binomial_posterior counted(lg_context *ctx, const counting *problem, const char *const *more, int d,
                                         char *distance, size_t room)
{
    const char *list[32];
    lg_problem *p = make_problem(ctx, with_settings(list, problem->settings, more));
    double root[2];
    for (int i = 0; i < 2; i++) {
        double params[2] = {i ? 0.999999 : 1e-6, 0.5}, loss;
        if (problem->reversed) params[0] = 1.0 - params[0];
        cr_assert_eq(lg_evaluate(ctx, p, 0, params, &loss, NULL), LG_OK, "%s", lg_context_message(ctx));
        root[i] = sqrt(loss);
    }
    lg_problem_free(p);
    const double k = problem->n * root[0] / (root[0] + root[1]);
    const int count = (int)lround(k);
    cr_assert_float_eq(k, count, 1e-6, "the data have the count %.9g of %d", k, problem->n);
    snprintf(distance, room, "method.distance=%.17g", pow((d + 0.5) * (root[0] + root[1]) / problem->n, 2.0));
    return (binomial_posterior){problem->n, count > d ? count - d : 0, count + d < problem->n ? count + d : problem->n};
}

static inline lg_result *search_counts(lg_context *ctx, const counting *problem, const char *const *more,
                                       const char *distance)
{
    const char *list[32], *both[32];
    const char *const last[] = {distance, NULL};
    lg_problem *p = make_problem(ctx, with_settings(both, with_settings(list, problem->settings, more), last));
    lg_result *r = NULL;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_free(p);
    return r;
}

#endif
