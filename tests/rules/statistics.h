/* Tests of distributions at fixed seeds. Each bound is what a correct generator would break with probability 1e-6 if
 * the seed were free, so a failure means a wrong law (the fixed seeds make the tests deterministic). */
#ifndef LG_TESTS_STATISTICS_H
#define LG_TESTS_STATISTICS_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

/* Upper 1e-6 point of the chi-square law with k degrees of freedom (Wilson and Hilferty 1931). */
static inline double chi_square_limit(int k)
{
    const double z = 4.7534, a = 2.0 / (9.0 * k);
    const double root = 1.0 - a + z * sqrt(a);
    return k * root * root * root;
}

/* Pearson's statistic of counts against probabilities. A class of probability 0 must be empty (else infinity);
 * *freedom gets the number of classes of positive probability minus one. */
static inline double chi_square(int classes, const size_t *count, const double *p, size_t draws, int *freedom)
{
    double sum = 0.0;
    *freedom = -1;
    for (int k = 0; k < classes; k++) {
        const double expected = p[k] * (double)draws, d = (double)count[k] - expected;
        if (p[k] > 0.0) {
            sum += d * d / expected;
            ++*freedom;
        } else if (count[k] > 0) {
            return INFINITY;
        }
    }
    return sum;
}

static inline int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Two-sample Kolmogorov-Smirnov: distance of the empirical laws times sqrt(n m / (n + m)); sorts both. */
static inline double kolmogorov_smirnov(double *a, size_t n, double *b, size_t m)
{
    size_t i = 0, j = 0;
    double largest = 0.0;
    qsort(a, n, sizeof *a, compare_doubles);
    qsort(b, m, sizeof *b, compare_doubles);
    while (i < n && j < m) {
        const double x = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] <= x) i++;
        while (j < m && b[j] <= x) j++;
        largest = fmax(largest, fabs((double)i / (double)n - (double)j / (double)m));
    }
    return largest * sqrt((double)n * (double)m / (double)(n + m));
}

/* 2 exp(-2 x^2) = 1e-6 */
static const double ks_limit = 2.6933;

#endif
