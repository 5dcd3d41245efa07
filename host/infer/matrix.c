/* Small symmetric matrices. */
#include "infer/infer.h"

#include <math.h>

bool lg_cholesky(double a[LG_MAX_PARAMS][LG_MAX_PARAMS], int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (int k = 0; k < j; k++) sum -= a[i][k] * a[j][k];
            if (i == j && !(sum > 0.0)) return false;
            a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
        }
    return true;
}

/* Rotates rows and columns p and q so that a[p][q] becomes 0 (Golub and Van Loan, Matrix Computations, section 8.5). */
static void rotate(double a[LG_MAX_PARAMS][LG_MAX_PARAMS], double v[LG_MAX_PARAMS][LG_MAX_PARAMS], int n, int p, int q)
{
    const double theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    const double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    const double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    for (int k = 0; k < n; k++) {
        const double x = a[k][p], y = a[k][q];
        a[k][p] = c * x - s * y;
        a[k][q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        const double x = a[p][k], y = a[q][k];
        a[p][k] = c * x - s * y;
        a[q][k] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        const double x = v[k][p], y = v[k][q];
        v[k][p] = c * x - s * y;
        v[k][q] = s * x + c * y;
    }
}

void lg_eigen(double a[LG_MAX_PARAMS][LG_MAX_PARAMS], double v[LG_MAX_PARAMS][LG_MAX_PARAMS], int n)
{
    enum { SWEEPS = 30 }; /* convergence is quadratic: a few sweeps do for eight rows */
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        double off = 0.0, scale = 0.0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) *(i == j ? &scale : &off) += a[i][j] * a[i][j];
        if (off <= 1e-30 * scale) return;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++)
                if (a[p][q] != 0.0) rotate(a, v, n, p, q);
    }
}
