/* PRW in double precision. See kernels/rules/prw.h for the equations. The derivatives with respect to the two logits
 * are carried forward along each walk. */
#include "backend/reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Derivative of softmax(z / tau) with outcome y along dz: dy_k = y_k (dz_k - sum_m y_m dz_m) / tau. */
static void softmax_tangent(int classes, const double *y, const double *dz, double tau, double *dy)
{
    double mean = 0.0;
    for (int k = 0; k < classes; k++) mean += y[k] * dz[k];
    for (int k = 0; k < classes; k++) dy[k] = y[k] * (dz[k] - mean) / tau;
}

/* A draw with two or three classes: the class, and the derivative of its soft one-hot along the logit it depends on. */
static int draw(int classes, const double *p, const double *dlogp, const double *gumbel, double tau, double *dy)
{
    double z[3] = {0}, y[3];
    for (int k = 0; k < classes; k++) z[k] = log(p[k]) + gumbel[k];
    const int best = lg_ref_softmax(classes, z, tau, y);
    softmax_tangent(classes, y, dlogp, tau, dy);
    return best;
}

/* The derivatives averaged with those of further draws of the noise, whose first is at index `at`. */
static void mean_derivative(int classes, const double *p, const double *dlogp, const lg_ref_more *more, size_t at,
                            double tau, double *dy)
{
    for (size_t k = 0; k < more->count; k++) {
        double one[3];
        draw(classes, p, dlogp, more->noise + k * more->stride + at, tau, one);
        for (int c = 0; c < classes; c++) dy[c] += one[c];
    }
    for (int c = 0; c < classes; c++) dy[c] /= (double)(1 + more->count);
}

typedef struct laws {
    double keep[2], dkeep[2];         /* keep, resample; d log / dlogit(p_resample) */
    double velocity[3], dvelocity[3]; /* -1, 0, +1; d log / dlogit(p_center) */
} laws;

static laws make_laws(const lg_ref_prw *in)
{
    const double pc = 1.0 / (1.0 + exp(-in->logit[0])), side = 0.5 / (1.0 + exp(in->logit[0]));
    const double pr = 1.0 / (1.0 + exp(-in->logit[1])), keep = 1.0 / (1.0 + exp(in->logit[1]));
    const laws l = {{keep, pr}, {-pr, keep}, {side, pc, side}, {-pc, 2.0 * side, -pc}};
    return l;
}

/* One walker along one axis. `at` is its index in [2,T,n] arrays at step 1, `at0` in [2,T+1,n] at step 0. */
static void walk(const lg_ref_prw *in, const laws *l, lg_ref_prw_run *run, size_t axis, size_t walker)
{
    const size_t n = in->walkers, start = axis * n + walker;
    double x = 0.0, v = in->v0[start], dx[2] = {0.0, 0.0}, dv[2] = {0.0, 0.0}, dy[3];
    if (in->gumbel_v0) {
        draw(3, l->velocity, l->dvelocity, in->gumbel_v0 + 3 * start, in->tau, dy);
        mean_derivative(3, l->velocity, l->dvelocity, &in->more_v0, 3 * start, in->tau, dy);
        dv[0] = dy[2] - dy[0];
    }
    run->velocities[axis * (in->steps + 1) * n + walker] = v;
    for (size_t t = 0; t < in->steps; t++) {
        const size_t e = (axis * in->steps + t) * n + walker, after = (axis * (in->steps + 1) + t + 1) * n + walker;
        double dk[3], dc[3];
        const int k1 = draw(2, l->keep, l->dkeep, in->gumbel_keep + 2 * e, in->tau, dk);
        const int c = draw(3, l->velocity, l->dvelocity, in->gumbel_vel + 3 * e, in->tau, dc);
        mean_derivative(2, l->keep, l->dkeep, &in->more_keep, 2 * e, in->tau, dk);
        mean_derivative(3, l->velocity, l->dvelocity, &in->more_vel, 3 * e, in->tau, dc);
        if (in->keep == LG_ESTIMATOR_ste) dk[1] = l->keep[0] * l->keep[1]; /* dk1/dp := 1 */
        const double w = c - 1;
        dv[0] = k1 ? dc[2] - dc[0] : dv[0];           /* k0 dv + k1 dw */
        dv[1] = (k1 ? 0.0 : dv[1]) + dk[1] * (w - v); /* dk0 = -dk1 */
        v = k1 ? w : v;
        x += v;
        for (int i = 0; i < 2; i++) run->tangent[2 * e + i] = dx[i] += dv[i];
        run->positions[after] = x;
        run->velocities[after] = v;
        run->resampled[e] = k1;
        run->category[e] = c;
        run->msd[t] += x * x / (double)n;
        for (int i = 0; i < 2; i++) run->jacobian[2 * t + i] += 2.0 * x * dx[i] / (double)n;
    }
}

lg_status lg_ref_prw_forward(lg_context *ctx, const lg_ref_prw *in, lg_ref_prw_run *run)
{
    const size_t all = 2 * in->steps * in->walkers, states = all + 2 * in->walkers;
    memset(run, 0, sizeof *run);
    run->positions = calloc(states, sizeof *run->positions);
    run->velocities = calloc(states, sizeof *run->velocities);
    run->resampled = calloc(all, sizeof *run->resampled);
    run->category = calloc(all, sizeof *run->category);
    run->tangent = calloc(2 * all, sizeof *run->tangent);
    run->msd = calloc(in->steps, sizeof *run->msd);
    run->jacobian = calloc(2 * in->steps, sizeof *run->jacobian);
    if (!run->positions || !run->velocities || !run->resampled || !run->category || !run->tangent || !run->msd ||
        !run->jacobian) {
        lg_ref_prw_free(run);
        return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for a reference run of %zu walkers over %zu steps",
                       in->walkers, in->steps);
    }
    const laws l = make_laws(in);
    for (size_t axis = 0; axis < 2; axis++)
        for (size_t walker = 0; walker < in->walkers; walker++) walk(in, &l, run, axis, walker);
    return LG_OK;
}

double lg_ref_prw_loss(const lg_ref_prw *in, const lg_ref_prw_run *run, const double *target, const double *weight,
                       lg_ref_gradient *gradient)
{
    const size_t n = in->walkers, T = in->steps;
    double loss = 0.0;
    memset(gradient, 0, sizeof *gradient);
    for (size_t t = 0; t < T; t++) {
        const double d = run->msd[t] - target[t], w = weight ? weight[t] : 1.0;
        loss += w * d * d;
        for (size_t axis = 0; axis < 2; axis++)
            for (size_t i = 0; i < n; i++) {
                const double x = run->positions[(axis * (T + 1) + t + 1) * n + i];
                for (size_t p = 0; p < 2; p++) {
                    const double dx = run->tangent[2 * ((axis * T + t) * n + i) + p];
                    const double term = 2.0 * w * d * 2.0 * x * dx / (double)n;
                    gradient->grad[p] += term;
                    gradient->abs[p] += fabs(term);
                }
            }
    }
    return loss;
}

void lg_ref_prw_score(const lg_ref_prw *in, const lg_ref_prw_run *run, double *score)
{
    const size_t n = in->walkers, T = in->steps;
    const laws l = make_laws(in);
    for (size_t i = 0; i < 2 * n; i++) {
        const size_t axis = i / n, walker = i % n;
        double s[2] = {0.0, 0.0};
        if (in->gumbel_v0) s[0] = l.dvelocity[(int)in->v0[i] + 1];
        for (size_t t = 0; t < T; t++) {
            const size_t e = (axis * T + t) * n + walker;
            s[1] += l.dkeep[run->resampled[e]];
            if (run->resampled[e]) s[0] += l.dvelocity[run->category[e]];
            score[2 * e] = s[0];
            score[2 * e + 1] = s[1];
        }
    }
}

void lg_ref_prw_free(lg_ref_prw_run *run)
{
    free(run->positions);
    free(run->velocities);
    free(run->resampled);
    free(run->category);
    free(run->tangent);
    free(run->msd);
    free(run->jacobian);
    memset(run, 0, sizeof *run);
}
