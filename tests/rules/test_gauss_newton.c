/* The normal equations and the lm update of rules/, against problems whose answers are known. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "rules/optimizer.h"

/* Solved by hand: J = [[1, 0], [1, 1], [1, 2]], w = (1, 2, 1), r = (1, 0, 3). */
Test(rules_gauss_newton, normal_equations_by_hand)
{
    const double J[] = {1, 0, 1, 1, 1, 2}, w[] = {1, 2, 1}, r[] = {1, 0, 3};
    double A[4], g[2], d[2];
    lg_normal_equations(3, 2, J, w, r, A, g);
    const double expected[] = {4, 4, 4, 6};
    for (int i = 0; i < 4; i++) cr_assert_float_eq(A[i], expected[i], 1e-15);
    cr_assert_float_eq(g[0], 4, 1e-15);
    cr_assert_float_eq(g[1], 6, 1e-15);
    lg_gauss_newton_step(2, A, g, 0.0, d); /* d = -A^-1 g = -(0, 1) */
    cr_assert_float_eq(d[0], 0, 1e-14);
    cr_assert_float_eq(d[1], -1, 1e-14);
}

/* Up to 8 x 8: (A + lambda diag A) d + g vanishes. */
Test(rules_gauss_newton, step_solves_the_damped_system)
{
    for (int n = 1; n <= LG_GN_MAX; n++) {
        double J[3 * LG_GN_MAX * LG_GN_MAX], w[3 * LG_GN_MAX], A[LG_GN_MAX * LG_GN_MAX], work[LG_GN_MAX * LG_GN_MAX];
        double g[LG_GN_MAX], d[LG_GN_MAX];
        const int K = 3 * n;
        for (int k = 0; k < K; k++) {
            w[k] = 1.0 + 0.1 * k;
            for (int i = 0; i < n; i++) J[k * n + i] = sin(1.0 + 3.7 * k + 1.3 * i * i);
        }
        lg_normal_equations(K, n, J, w, w, A, g);
        memcpy(work, A, sizeof A);
        lg_gauss_newton_step(n, work, g, 0.3, d);
        for (int i = 0; i < n; i++) {
            double left = g[i] + 0.3 * A[i * n + i] * d[i];
            for (int j = 0; j < n; j++) left += A[i * n + j] * d[j];
            cr_assert_float_eq(left, 0, 1e-10 * fabs(g[i]) + 1e-10, "n %d, row %d: %g", n, i, left);
        }
    }
}

/* Statistics that do not depend on a coordinate, or on two only through their sum, move what they can and nothing else. */
Test(rules_gauss_newton, flat_directions_stay)
{
    double A[] = {4, 0, 0, 0}, twin[] = {1, 1, 1, 1}, d[2];
    const double g[] = {2, 0}, both[] = {1, 1};
    lg_gauss_newton_step(2, A, g, 0.0, d);
    cr_assert_float_eq(d[0], -0.5, 1e-15);
    cr_assert_eq(d[1], 0.0);
    lg_gauss_newton_step(2, twin, both, 0.0, d);
    cr_assert_float_eq(d[0], -1, 1e-15);
    cr_assert_eq(d[1], 0.0);
}

static lg_optimizer lm(int params)
{
    lg_optimizer o = {.kind = LG_OPTIMIZER_lm, .params = params};
    for (int i = 0; i < params; i++) {
        o.fitted[i] = true;
        o.lower[i] = -100;
        o.upper[i] = 100;
    }
    return o;
}

/* One number, s = p: an undamped step ends at the target, but no step is longer than a quarter of the interval. */
Test(rules_gauss_newton, a_linear_problem_takes_one_step)
{
    const lg_optimizer o = lm(1);
    lg_fit_state s;
    double p = 10, row[4];
    const double normal = 1;
    lg_optimizer_start(&o, &p, &s);
    double gradient = 2 * (p - 3);
    lg_optimizer_update(&o, &s, (p - 3) * (p - 3), &gradient, &normal, &p, row);
    cr_assert_float_eq(p, 3, 1e-15);
    cr_assert_eq(row[2], 1.0, "the gain is in the place of the learning rate");
    gradient = 2 * (p - 90);
    lg_optimizer_update(&o, &s, 1, &gradient, &normal, &p, row);
    cr_assert_float_eq(s.m[0], 1, 1e-15);
    cr_assert_float_eq(s.v[0], 1, 1e-15, "the second step pointed against the first");
    cr_assert_float_eq(p, 3 + 0.5 * 50, 1e-12, "a quarter of [-100, 100], times the gain 1 / 2");
}

/* A Jacobian six times too small overshoots sixfold; the turns damp it until it converges. */
Test(rules_gauss_newton, a_biased_jacobian_converges)
{
    const lg_optimizer o = lm(1);
    lg_fit_state s;
    double p = 1, row[4];
    const double normal = 1.0 / 36;
    lg_optimizer_start(&o, &p, &s);
    for (int i = 0; i < 100; i++) {
        const double gradient = 2 * (p - 3) / 6;
        lg_optimizer_update(&o, &s, 0, &gradient, &normal, &p, row);
    }
    cr_assert_float_eq(p, 3, 1e-6);
}

/* An update that moves nothing may still round p, since p = p(x(p)) from then on; a resumed fit has the same p. */
Test(rules_gauss_newton, a_step_of_zero_survives_a_resume)
{
    lg_optimizer o = lm(1);
    o.transform[0] = LG_TRANSFORM_logit;
    o.lower[0] = 0;
    o.upper[0] = 1;
    int rounded = 0;
    for (int i = 1; i < 100; i++) {
        const double start = 0.01 * i, gradient = 0, normal = 1;
        lg_fit_state s, fresh;
        double p = start, resumed = start, row[4];
        lg_optimizer_start(&o, &p, &s);
        lg_optimizer_update(&o, &s, 1, &gradient, &normal, &p, row);
        rounded += p != start;
        lg_optimizer_start(&o, &resumed, &fresh);
        lg_optimizer_restore(&o, &fresh, &s, &resumed);
        cr_assert_eq(resumed, p, "start %.17g: %.17g, resumed %.17g", start, p, resumed);
    }
    cr_assert_gt(rounded, 0, "no start that shows it");
}

/* L = (p - t)^T A (p - t) with t = (1.5, 0) beyond the bound 1 of p[0]. Along the bound the smallest loss is at
 * p[1] = 0.9 (1.5 - 1): one step from p[0] = 1; the free optimum's p[1] = 0 would stay where it is. */
Test(rules_gauss_newton, on_a_bound_the_others_are_fitted)
{
    lg_optimizer o = lm(2);
    o.upper[0] = 1;
    lg_fit_state s;
    double p[] = {1, 0}, row[5];
    const double A[] = {1, 0.9, 0.9, 1};
    lg_optimizer_start(&o, p, &s);
    for (int i = 0; i < 3; i++) {
        const double gradient[] = {2 * ((p[0] - 1.5) + 0.9 * p[1]), 2 * (0.9 * (p[0] - 1.5) + p[1])};
        lg_optimizer_update(&o, &s, 1, gradient, A, p, row);
        cr_assert_eq(p[0], 1.0);
        cr_assert_float_eq(p[1], 0.45, 1e-14, "%g after %d updates", p[1], i + 1);
    }
    p[1] = -5; /* and a step that leads inwards is taken */
    const double inwards[] = {2 * (0.5 + 0.9 * p[1]), 2 * (0.9 * 0.5 + p[1])}; /* t = (0.5, 0) */
    lg_optimizer_start(&o, p, &s);
    lg_optimizer_update(&o, &s, 1, inwards, A, p, row);
    cr_assert_float_eq(p[0], 0.5, 1e-13);
    cr_assert_float_eq(p[1], 0.0, 1e-13);
}

/* Held parameters do not move, and their NaN (not computed) does no harm; a NaN of a fitted one freezes the fit. */
Test(rules_gauss_newton, held_and_frozen)
{
    lg_optimizer o = lm(2);
    o.fitted[0] = false;
    lg_fit_state s;
    double p[] = {5, 1}, row[5];
    const double gradient[] = {NAN, 2}, normal[] = {NAN, NAN, NAN, 1}, broken[] = {1, 0, 0, NAN};
    lg_optimizer_start(&o, p, &s);
    lg_optimizer_update(&o, &s, 1, gradient, normal, p, row);
    cr_assert_eq(s.frozen, 0);
    cr_assert_eq(p[0], 5.0);
    cr_assert_float_eq(p[1], 0, 1e-15);
    lg_optimizer_update(&o, &s, 1, gradient, broken, p, row);
    cr_assert_eq(s.frozen, 2);
    cr_assert_float_eq(p[1], 0, 1e-15, "nothing is applied");
}
