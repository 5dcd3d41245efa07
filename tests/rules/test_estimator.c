/* Drawing the class first and the Gumbel noise given the class has the joint law of argmax sampling: the same class
 * probabilities, and the same law of the soft outputs within each class (two-sample Kolmogorov-Smirnov, false alarm
 * 1e-6 each). */
#include "rules/mk.h"
#include "rules/prw.h"
#include "rules/statistics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { DRAWS = 60000, MAX_CLASSES = 9 };

static const lg_key key = {{77, 1}};

/* argmax sampling in double precision: soft outputs y and the class. Uses its own stream of words. */
static int direct(int classes, const double *p, double tau, uint32_t i, double *y)
{
    double z[MAX_CLASSES], sum = 0.0;
    int best = 0;
    for (int k = 0; k < classes; k++) {
        const lg_block b = lg_philox(i, (uint32_t)k, 1000, 0, key);
        z[k] = log(p[k]) - log(-log(lg_u31_real(b.w[0])));
        if (z[k] > z[best]) best = k;
    }
    for (int k = 0; k < classes; k++) sum += y[k] = exp((z[k] - z[best]) / tau);
    for (int k = 0; k < classes; k++) y[k] /= sum;
    return best;
}

/* Two samples of a number, sorted into the classes they came with. */
typedef struct samples {
    double *value[MAX_CLASSES];
    size_t count[MAX_CLASSES];
} samples;

static samples new_samples(void)
{
    samples s = {{0}, {0}};
    for (int k = 0; k < MAX_CLASSES; k++) s.value[k] = malloc(DRAWS * sizeof(double));
    return s;
}

static void add(samples *s, int class, double value)
{
    s->value[class][s->count[class]++] = value;
}

static void compare(int classes, samples *a, samples *b, const char *what)
{
    for (int k = 0; k < classes; k++) {
        const double n = (double)a->count[k], m = (double)b->count[k];
        cr_assert_leq(fabs(n - m), 4.9 * sqrt(n + m), "%s: class %d came %g and %g times", what, k, n, m);
        cr_assert_gt(n, 50);
        const double distance = kolmogorov_smirnov(a->value[k], a->count[k], b->value[k], b->count[k]);
        cr_assert_lt(distance, ks_limit, "%s: class %d, distance %g", what, k, distance);
    }
    for (int k = 0; k < MAX_CLASSES; k++) {
        free(a->value[k]);
        free(b->value[k]);
    }
}

static void check_binary(double p, double tau)
{
    const double law[2] = {1.0 - p, p};
    samples a = new_samples(), b = new_samples();
    for (uint32_t i = 0; i < DRAWS; i++) {
        double y[2];
        const int class = direct(2, law, tau, i, y);
        add(&a, class, y[1] * y[0] / (tau * p * (1.0 - p)));
        const lg_block w = lg_philox(i, 0, 2000, 0, key);
        const int fired = lg_u31(w.w[0]) < lg_threshold31(p);
        add(&b, fired,
            (double)lg_gs_weight((float)p, (float)(1.0 - p), fired, lg_exponential(w.w[1]), lg_exponential(w.w[2]),
                                 (float)(1.0 / tau)));
    }
    compare(2, &a, &b, "binary");
}

Test(estimator, binary_law)
{
    check_binary(0.5, 1.0);
    check_binary(0.02, 1.0);
    check_binary(0.9, 0.5);
    check_binary(0.3, 3.0);
}

/* The soft output 1 is 1 - soft output 0, and the weight is 0 where the probability is clamped. */
Test(estimator, binary_edges)
{
    for (int fired = 0; fired < 2; fired++) {
        const float y = lg_gs_soft1(0.3f, 0.7f, fired, 0.7f, 1.1f, 1.0f),
                    other = lg_gs_soft1(0.7f, 0.3f, !fired, 1.1f, 0.7f, 1.0f);
        cr_assert_float_eq(y + other, 1.0f, 1e-6);
        cr_assert_eq(y > 0.5f, fired);
        cr_assert_eq(lg_gs_weight(0.0f, 1.0f, fired, 0.7f, 1.1f, 1.0f), 0.0f);
        cr_assert_eq(lg_gs_weight(1.0f, 0.0f, fired, 0.7f, 1.1f, 1.0f), 0.0f);
        cr_assert_eq(lg_gs_weight(NAN, NAN, fired, 0.7f, 1.1f, 1.0f), 0.0f);
        cr_assert_eq(lg_gs_weight(3.0f, -2.0f, fired, 0.7f, 1.1f, 1.0f), 0.0f);
        for (int i = 0; i < 4; i++) { /* the extreme exponentials at extreme probabilities */
            const float e0 = lg_exponential(i & 1 ? 0u : 0xffffffffu), e1 = lg_exponential(i & 2 ? 0u : 0xffffffffu);
            cr_assert(isfinite(lg_gs_weight(1e-11f, 1.0f, fired, e0, e1, 1.0f)));
            cr_assert(isfinite(lg_gs_weight(1.0f - 6e-8f, 6e-8f, fired, e0, e1, 1.0f)));
            cr_assert(isfinite(lg_gs_weight(1e-11f, 1.0f, fired, e0, e1, 4.0f)));
        }
    }
}

/* lg_gs_weight in double precision. */
static double exact_weight(double p, int fired, double e0, double e1, double tau)
{
    const double a = fired ? e0 / ((1.0 - p) * e1) + 1.0 : e1 / (p * e0) + 1.0, s = pow(a, -1.0 / tau);
    return s / ((1.0 + s) * (1.0 + s)) / (tau * p * (1.0 - p));
}

/* Relative error at single precision for every p, next to 0 and 1 too, and every temperature. The power a^(-1/tau)
 * multiplies the error of the logarithm by its exponent. */
Test(estimator, binary_accuracy)
{
    static const float ps[] = {1e-9f, 1e-4f, 0.1f, 0.5f, 0.9f, 0.9999f, 0.999999f};
    static const double taus[] = {0.05, 0.5, 1.0, 5.0};
    for (int t = 0; t < 4; t++)
        for (int i = 0; i < 7; i++)
            for (uint32_t draw = 0; draw < 2000; draw++) {
                const lg_block w = lg_philox(draw, 0, 4000, 0, key);
                const float e0 = lg_exponential(w.w[0]), e1 = lg_exponential(w.w[1]);
                const int fired = (int)(w.w[2] & 1);
                const double exact = exact_weight((double)ps[i], fired, (double)e0, (double)e1, taus[t]);
                const double got =
                    (double)lg_gs_weight(ps[i], (float)(1.0 - (double)ps[i]), fired, e0, e1, (float)(1.0 / taus[t]));
                const double exponent = fabs(log(exact * taus[t] * (double)ps[i] * (1.0 - (double)ps[i])));
                if (exponent > 80.0) /* below the smallest number of lg_expf */
                    cr_assert_leq(got * taus[t] * (double)ps[i] * (1.0 - (double)ps[i]), 1e-34);
                else
                    cr_assert_leq(fabs(got - exact), (1e-6 + 4e-7 * exponent) * exact, "p %g tau %g: %.9g, exact %.9g",
                                  (double)ps[i], taus[t], got, exact);
            }
}

/* MK directions: w_4 = y_4 (1 - y_4) / tau and w_1 = -y_4 y_1 / tau, by class. */
static void check_directions(double D, double tau, int q)
{
    const double params[5] = {D, D, 1, 1, 1};
    double law[9];
    lg_mk_fit fit;
    lg_mk_prepare(params, 0.005, 50, tau, &fit);
    for (int k = 0; k < 9; k++) law[k] = lg_mk_direction_probability(D, k);
    samples a = new_samples(), b = new_samples();
    for (uint32_t i = 0; i < DRAWS; i++) {
        double y[9];
        float w[9];
        const int class = direct(9, law, tau, i, y);
        add(&a, class, y[4] * ((q == 4) - y[q]) / tau);
        const lg_mk_direction_draw d = lg_mk_draw_direction_soft(&fit, key, 0, i, 0, 1);
        lg_mk_direction_weights(&fit, 1, &d, w);
        add(&b, d.q, (double)w[q]);
    }
    compare(9, &a, &b, "direction");
}

Test(estimator, direction_law)
{
    check_directions(0.4, 1.0, 4);
    check_directions(0.9, 1.0, 1);
    check_directions(0.7, 0.5, 4);
}

/* The nine weights sum to zero: they are a row of the softmax Jacobian. For small D too, where y_4 is next to 1,
 * each keeps a relative accuracy of single precision. */
Test(estimator, direction_weights_sum_to_zero)
{
    static const double D[] = {0.001, 0.1, 0.5, 0.999, 0.4}, tau[] = {1.0, 1.0, 1.0, 1.0, 0.05};
    for (int c = 0; c < 5; c++) {
        const double params[5] = {D[c], D[c], 1, 1, 1};
        lg_mk_fit fit;
        lg_mk_prepare(params, 0.005, 50, tau[c], &fit);
        for (uint32_t i = 0; i < 2000; i++) {
            float w[9];
            double sum = 0.0, size = 0.0;
            const lg_mk_direction_draw d = lg_mk_draw_direction_soft(&fit, key, 0, i, 0, 0);
            lg_mk_direction_weights(&fit, 0, &d, w);
            for (int q = 0; q < 9; q++) {
                sum += w[q];
                size += fabs((double)w[q]);
            }
            cr_assert_leq(fabs(sum), 1e-6 * size, "D %g draw %u: sum %g of %g", D[c], i, sum, size);
        }
    }
}

/* PRW: the derivative of the velocity along logit p_center, and of the keep event, by class. */
static void check_walk(double p_center, double p_resample, double tau)
{
    const double side = 0.5 * (1.0 - p_center), law[3] = {side, p_center, side},
                 keep[2] = {1.0 - p_resample, p_resample};
    samples a = new_samples(), b = new_samples(), c = new_samples(), d = new_samples();
    lg_prw_fit fit;
    lg_prw_prepare(p_center, p_resample, LG_ESTIMATOR_gs, tau, &fit);
    for (uint32_t i = 0; i < DRAWS; i++) {
        double y[3];
        int class = direct(3, law, tau, i, y);
        const double mean = y[1] * (1.0 - p_center) - (y[0] + y[2]) * p_center;
        add(&a, class, (y[2] * (-p_center - mean) - y[0] * (-p_center - mean)) / tau);
        class = direct(2, keep, tau, i + DRAWS, y);
        add(&c, class, y[0] * y[1] / tau);
        const lg_block w = lg_philox(i, 0, 3000, 0, key), w2 = lg_philox(i, 1, 3000, 0, key);
        const int32_t v = lg_prw_velocity(&fit, w.w[0]), resampled = lg_prw_resamples(&fit, w2.w[0]);
        add(&b, v + 1,
            (double)lg_prw_velocity_gradient(&fit, v, lg_exponential(w.w[1]), lg_exponential(w.w[2]),
                                             lg_exponential(w.w[3])));
        add(&d, resampled,
            (double)lg_prw_keep_gradient(&fit, resampled, lg_exponential(w2.w[1]), lg_exponential(w2.w[2])));
    }
    compare(3, &a, &b, "velocity");
    compare(2, &c, &d, "keep");
}

Test(estimator, walk_law)
{
    check_walk(0.26, 0.62, 1.0);
    check_walk(0.7, 0.1, 0.5);
}

/* dw of class v in double precision, from the soft weights (a_j / a_winner)^(-1/tau). */
static double exact_velocity(const lg_prw_fit *fit, int v, const float *e)
{
    const double p[3] = {(double)fit->p_side, (double)fit->p_center, (double)fit->p_side},
                 tau = 1.0 / (double)fit->inv_tau;
    double s[3];
    for (int j = 0; j < 3; j++)
        s[j] = j == v + 1 ? 1.0 : pow((double)e[j] / (p[j] * (double)e[v + 1]) + 1.0, -1.0 / tau);
    const double sum = s[0] + s[1] + s[2];
    return (s[0] - s[2]) * s[1] / (tau * sum * sum);
}

/* Single precision for every probability that a class may be drawn with and none at all, the extreme exponentials too. */
Test(estimator, walk_accuracy)
{
    static const double centers[] = {0.0, 0x1p-31, 1e-4, 0.3, 0.9999, 1.0 - 0x1p-30, 1.0};
    for (int c = 0; c < 7; c++)
        for (uint32_t draw = 0; draw < 4000; draw++) {
            const lg_block w = lg_philox(draw, (uint32_t)c, 5000, 0, key);
            float e[3];
            for (int j = 0; j < 3; j++)
                e[j] = lg_exponential(draw < 27 ? (uint32_t[]){0u, w.w[j], ~0u}[draw /
                                                                                (j == 0   ? 1
                                                                                 : j == 1 ? 3
                                                                                          : 9) %
                                                                                3]
                                                : w.w[j]);
            lg_prw_fit fit;
            lg_prw_prepare(centers[c], centers[c], LG_ESTIMATOR_gs, 1.0, &fit);
            for (int v = -1; v <= 1; v++) {
                if ((double)(v ? fit.p_side : fit.p_center) < 0x1p-33) continue; /* never drawn */
                const double exact = exact_velocity(&fit, v, e);
                const double got = (double)lg_prw_velocity_gradient(&fit, v, e[0], e[1], e[2]);
                cr_assert_leq(fabs(got - exact), 2e-6 * fabs(exact) + 1e-37, "p %g v %d: %.9g, exact %.9g", centers[c],
                              v, got, exact);
            }
            for (int resampled = 0; resampled < 2; resampled++) {
                if (!(resampled ? fit.resample > 0 : fit.resample < 0x80000000u)) continue;
                const double other = resampled ? (double)e[0] / ((double)fit.p_keep * (double)e[1]) + 1.0
                                               : (double)e[1] / ((double)fit.p_resample * (double)e[0]) + 1.0;
                const double exact = other / ((1.0 + other) * (1.0 + other));
                const double got = (double)lg_prw_keep_gradient(&fit, resampled, e[0], e[1]);
                if (isinf(other)) cr_assert_eq(got, 0.0);
                else cr_assert_leq(fabs(got - exact), 2e-6 * exact, "p %g: %.9g, exact %.9g", centers[c], got, exact);
            }
        }
}
