/* Gauss-Newton steps for losses that are weighted sums of squared residuals of statistics,
 *     L(x) = sum_k w_k r_k^2,   r_k = s_k(x) - target_k,   J_ki = ds_k/dx_i.
 *
 * Linearised, r(x + d) = r + J d, and L is smallest where (J^T W J) d = -J^T W r (the normal equations). Marquardt's damping
 * (SIAM J. Appl. Math. 11, 1963) adds lambda times the diagonal: the step stays the same under any rescaling of a coordinate.
 * J^T W r is half of the loss's gradient, so that a backend has to supply J^T W J in addition, nothing else.
 *
 * The residuals are noisy and the noise is another one in each iteration: the comparison of two losses, by which Marquardt's
 * rule accepts a step, would mostly compare noise, and would take a second evaluation a step to do better. Steps are
 * therefore always taken, times a gain 1 / (1 + k), where k counts the steps so far that pointed against their predecessor
 * (Kesten, Ann. Math. Stat. 29, 1958; Delyon and Juditsky, SIAM J. Optim. 3, 1993). On the way to the optimum steps agree and
 * the gain stays; around it every other step turns back, and a gain like 1 / k averages the noise of all iterations, as
 * Robbins and Monro's does. A Jacobian that is biased to be too small overshoots, turns back and is damped the same way. */
#ifndef LG_RULES_GAUSS_NEWTON_H
#define LG_RULES_GAUSS_NEWTON_H

#include "rules/philox.h"

#include <math.h>
#include <stdbool.h>

enum { LG_GN_MAX = 8 };

/* normal[P][P] = J^T W J and, where rhs is not NULL, rhs[P] = J^T W r of one fit; jacobian [K][P]; weight NULL: 1.
 * Sums in order of k. */
LG_RULE void lg_normal_equations(int K, int P, const double *jacobian, const double *weight, const double *residual,
                                 double *normal, double *rhs)
{
    for (int i = 0; i < P; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = 0.0;
            for (int k = 0; k < K; k++) sum += (weight ? weight[k] : 1.0) * jacobian[k * P + i] * jacobian[k * P + j];
            normal[i * P + j] = normal[j * P + i] = sum;
        }
        if (!rhs) continue;
        rhs[i] = 0.0;
        for (int k = 0; k < K; k++) rhs[i] += (weight ? weight[k] : 1.0) * jacobian[k * P + i] * residual[k];
    }
}

/* d = -(A + lambda diag A)^-1 g by Cholesky's decomposition A = U^T U, in place; A is [n][n], symmetric, n <= LG_GN_MAX. A
 * coordinate on which the residuals do not depend, or depend as on those before it, has a pivot of 0 and is not moved. */
LG_RULE void lg_gauss_newton_step(int n, double *A, const double *g, double lambda, double *d)
{
    bool moves[LG_GN_MAX];
    for (int i = 0; i < n; i++) {
        const double own = A[i * n + i] * (1.0 + lambda);
        double pivot = own, y = -g[i];
        for (int k = 0; k < i; k++) {
            if (!moves[k]) continue;
            pivot -= A[k * n + i] * A[k * n + i];
            y -= A[k * n + i] * d[k];
        }
        moves[i] = pivot > 1e-14 * own;
        const double root = moves[i] ? sqrt(pivot) : 1.0;
        A[i * n + i] = root;
        d[i] = moves[i] ? y / root : 0.0;
        for (int j = i + 1; j < n && moves[i]; j++) {
            double sum = A[i * n + j];
            for (int k = 0; k < i; k++)
                if (moves[k]) sum -= A[k * n + i] * A[k * n + j];
            A[i * n + j] = sum / root;
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        if (!moves[i]) continue;
        for (int j = i + 1; j < n; j++)
            if (moves[j]) d[i] -= A[i * n + j] * d[j];
        d[i] /= A[i * n + i];
    }
}

#endif
