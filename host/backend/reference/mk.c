/* MK in double precision. See kernels/rules/mk.h for the equations. */
#include "backend/reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STAY = 4 };

static size_t sites_of(const lg_ref_mk *in)
{
    return in->height * in->width;
}

/* Where T(E)(i, j) = E(i + r - 1, j + c - 1) reads, q = 3 r + c. Direction 8 - q is the way back. */
static size_t shifted(const lg_ref_mk *in, size_t s, size_t q)
{
    const size_t H = in->height, W = in->width, i = s / W, j = s % W;
    return (i + H + q / 3 - 1) % H * W + (j + W + q % 3 - 1) % W;
}

static double log_probability(double D, size_t q)
{
    const double sqrt2 = sqrt(2.0), f = sqrt2 - 1.0;
    return q == STAY ? log(1.0 - D) : (q % 2 ? log(D * f * sqrt2 / 4.0) : log(D * f / 4.0));
}

/* p of a channel for rate constant 1, and its derivatives by n and m. */
typedef struct propensity {
    double p, dn, dm;
} propensity;

static propensity unit_propensity(const lg_ref_mk *in, int channel, double n, double m)
{
    const double N = in->capacity, g = in->gamma / N, h = in->gamma / ((N - 1.0) * (N - 2.0));
    switch (channel) {
    case 0: return (propensity){h * n * (n - 1) * (N - n), h * ((2 * n - 1) * (N - n) - n * (n - 1)), 0};
    case 1:
        return (propensity){h * n * (N - n) * (N - 1 - n), h * ((N - n) * (N - 1 - n) - n * (N - 1 - n) - n * (N - n)),
                            0};
    case 2: return (propensity){g * (N - n) * m, -g * m, g * (N - n)};
    case 3: return (propensity){g * n * (N - m), g * (N - m), -g * n};
    case 4: return (propensity){g * (N - n) * (N - m), -g * (N - m), -g * (N - n)};
    default: return (propensity){g * n * m, g * m, g * n};
    }
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Species s of lattice `lattice` = t B + b: excite, choose a direction, move. */
static void diffuse(const lg_ref_mk *in, lg_ref_mk_run *run, size_t lattice, size_t s)
{
    const size_t S = sites_of(in), plane = 2 * lattice + s;
    const int32_t *X = run->states + plane * S;
    int32_t *E = run->E + plane * S, *Xd = run->after_diffusion + plane * S;
    double z[LG_REF_DIRECTIONS];
    for (size_t q = 0; q < LG_REF_DIRECTIONS; q++)
        z[q] = log_probability(in->params[s], q) + in->gumbel[plane * LG_REF_DIRECTIONS + q];
    const int q = lg_ref_softmax(LG_REF_DIRECTIONS, z, in->tau, run->ysoft + plane * LG_REF_DIRECTIONS);
    run->kernel_index[plane] = q;
    for (size_t i = 0; i < S; i++) {
        E[i] = X[i] - in->capacity * in->xi[plane * S + i] > 0.0;
        if (X[i] == 0) E[i] = 0;
        if (X[i] == (int32_t)in->capacity) E[i] = 1;
    }
    for (size_t i = 0; i < S; i++) Xd[i] = X[i] - E[i] + E[shifted(in, i, (size_t)q)];
}

static void react(const lg_ref_mk *in, lg_ref_mk_run *run, size_t lattice)
{
    const size_t S = sites_of(in), next = lattice + in->batch;
    const int32_t *n = run->after_diffusion + 2 * lattice * S, *m = n + S;
    int32_t *out = run->states + 2 * next * S;
    memcpy(out, n, 2 * S * sizeof *out);
    for (size_t i = 0; i < S; i++) {
        const size_t e = lattice * S + i;
        const int c = in->channel[e];
        const double p = in->params[2 + c / 2] * unit_propensity(in, c, n[i], m[i]).p;
        const double u = in->thresholds ? in->thresholds[(lattice * LG_REF_CHANNELS + (size_t)c) * S + i] : 0.0;
        const lg_ref_event event =
            lg_ref_binary(in->binary, p, u, in->gumbel_reaction ? in->gumbel_reaction + 2 * e : NULL, in->tau);
        run->p_chosen[e] = p;
        run->fired[e] = event.fired;
        run->weight[e] = lg_ref_mean_weight(&event, p, &in->more_reaction, 2 * e, in->tau);
        out[i + (c >= 4 ? S : 0)] += c % 2 ? -event.fired : event.fired;
    }
}

lg_status lg_ref_mk_forward(lg_context *ctx, const lg_ref_mk *in, lg_ref_mk_run *run)
{
    const size_t S = sites_of(in), lattices = in->steps * in->batch;
    memset(run, 0, sizeof *run);
    run->states = calloc((lattices + in->batch) * 2 * S, sizeof *run->states);
    run->after_diffusion = calloc(lattices * 2 * S, sizeof *run->after_diffusion);
    run->E = calloc(lattices * 2 * S, sizeof *run->E);
    run->kernel_index = calloc(lattices * 2, sizeof *run->kernel_index);
    run->ysoft = calloc(lattices * 2 * LG_REF_DIRECTIONS, sizeof *run->ysoft);
    run->fired = calloc(lattices * S, sizeof *run->fired);
    run->p_chosen = calloc(lattices * S, sizeof *run->p_chosen);
    run->weight = calloc(lattices * S, sizeof *run->weight);
    if (!run->states || !run->after_diffusion || !run->E || !run->kernel_index || !run->ysoft || !run->fired ||
        !run->p_chosen || !run->weight) {
        lg_ref_mk_free(run);
        return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for a reference run of %zu MK site steps", lattices * S);
    }
    for (size_t i = 0; i < in->batch * 2 * S; i++) run->states[i] = (int32_t)in->X0[i];
    for (size_t lattice = 0; lattice < lattices; lattice++) {
        diffuse(in, run, lattice, 0);
        diffuse(in, run, lattice, 1);
        react(in, run, lattice);
    }
    return LG_OK;
}

void lg_ref_mk_free(lg_ref_mk_run *run)
{
    free(run->states);
    free(run->after_diffusion);
    free(run->E);
    free(run->kernel_index);
    free(run->ysoft);
    free(run->fired);
    free(run->p_chosen);
    free(run->weight);
    memset(run, 0, sizeof *run);
}

/* ---- score ------------------------------------------------------------------------------------------------------- */

void lg_ref_mk_score(const lg_ref_mk *in, const lg_ref_mk_run *run, double *score)
{
    const size_t S = sites_of(in);
    memset(score, 0, in->batch * 5 * sizeof *score);
    for (size_t lattice = 0; lattice < in->steps * in->batch; lattice++) {
        double *own = score + lattice % in->batch * 5;
        for (size_t s = 0; s < 2; s++)
            own[s] += run->kernel_index[2 * lattice + s] == STAY ? -1.0 / (1.0 - in->params[s]) : 1.0 / in->params[s];
        for (size_t i = 0; i < S; i++) {
            const size_t e = lattice * S + i;
            const int32_t *n = run->after_diffusion + 2 * lattice * S;
            const int c = in->channel[e];
            const double p = run->p_chosen[e], unit = unit_propensity(in, c, n[i], n[S + i]).p;
            if (p < 1.0) own[2 + c / 2] += run->fired[e] ? unit / p : -unit / (1.0 - p);
        }
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* G: adjoint of the state after the reaction; Gd: of the state before it, both [2][sites]. */
static void unreact(const lg_ref_mk *in, const lg_ref_mk_run *run, size_t lattice, const double *G, double *Gd,
                    lg_ref_gradient *gradient, double *rates)
{
    const size_t S = sites_of(in);
    const int32_t *n = run->after_diffusion + 2 * lattice * S, *m = n + S;
    memcpy(Gd, G, 2 * S * sizeof *Gd);
    for (size_t i = 0; i < S; i++) {
        const size_t e = lattice * S + i;
        const int c = in->channel[e], k = 2 + c / 2;
        const propensity unit = unit_propensity(in, c, n[i], m[i]);
        const double h = (c % 2 ? -1.0 : 1.0) * G[i + (c >= 4 ? S : 0)] * run->weight[e];
        gradient->grad[k] += h * unit.p;
        gradient->abs[k] += fabs(h * unit.p);
        if (rates) rates[c] += h * unit.p;
        Gd[i] += h * in->params[k] * unit.dn;
        Gd[S + i] += h * in->params[k] * unit.dm;
    }
}

/* dL/dD of one plane: dL/dK_q = sum_i Gd(i) T_q(E)(i); dL/dz_4 = y_4 (dL/dK_4 - sum_q y_q dL/dK_q) / tau;
 * dL/dD = -dL/dz_4 / (D (1 - D)). Per site it is the same with w_q = y_4 (delta_q4 - y_q) / tau. */
static void direction_gradient(const lg_ref_mk *in, const int32_t *E, const double *y, const double *Gd, double D,
                               double share, double *grad, double *grad_abs)
{
    if (!(D > 0.0 && D < 1.0)) return;
    double others = 0.0; /* 1 - y_4 without cancellation */
    for (size_t q = 0; q < LG_REF_DIRECTIONS; q++) others += q == STAY ? 0.0 : y[q];
    for (size_t i = 0; i < sites_of(in); i++) {
        double sum = 0.0;
        for (size_t q = 0; q < LG_REF_DIRECTIONS; q++)
            sum += y[STAY] * (q == STAY ? others : -y[q]) / in->tau * E[shifted(in, i, q)];
        const double term = share * -Gd[i] * sum / (D * (1.0 - D));
        *grad += term;
        *grad_abs += fabs(term);
    }
}

/* The same, averaged over the draws of the direction's noise. */
static void mean_direction_gradient(const lg_ref_mk *in, const lg_ref_mk_run *run, size_t plane, const double *Gd,
                                    lg_ref_gradient *gradient)
{
    const size_t s = plane % 2;
    const int32_t *E = run->E + plane * sites_of(in);
    const double D = in->params[s], share = 1.0 / (double)(1 + in->more.count);
    direction_gradient(in, E, run->ysoft + plane * LG_REF_DIRECTIONS, Gd, D, share, &gradient->grad[s],
                       &gradient->abs[s]);
    for (size_t k = 0; k < in->more.count; k++) {
        const double *gumbel = in->more.noise + k * in->more.stride + plane * LG_REF_DIRECTIONS;
        double z[LG_REF_DIRECTIONS], y[LG_REF_DIRECTIONS];
        for (size_t q = 0; q < LG_REF_DIRECTIONS; q++) z[q] = log_probability(D, q) + gumbel[q];
        lg_ref_softmax(LG_REF_DIRECTIONS, z, in->tau, y);
        direction_gradient(in, E, y, Gd, D, share, &gradient->grad[s], &gradient->abs[s]);
    }
}

/* Adds to adj (of the state before the step) what Gd, one plane's adjoint after the diffusion, contributes. */
static void undiffuse(const lg_ref_mk *in, const lg_ref_mk_run *run, size_t plane, const double *Gd, double *adj)
{
    const size_t S = sites_of(in), back = (size_t)(8 - run->kernel_index[plane]);
    const int32_t *X = run->states + plane * S;
    for (size_t i = 0; i < S; i++) {
        const int inner = X[i] > 0 && X[i] < (int32_t)in->capacity;
        adj[i] += inner ? Gd[shifted(in, i, back)] : Gd[i];
    }
}

void lg_ref_mk_backward(const lg_ref_mk *in, const lg_ref_mk_run *run, double *adj, double *adj_after,
                        lg_ref_gradient *gradient, double *rates)
{
    const size_t S = sites_of(in);
    memset(gradient, 0, sizeof *gradient);
    if (rates) memset(rates, 0, LG_REF_CHANNELS * sizeof *rates);
    for (size_t lattice = in->steps * in->batch; lattice-- > 0;) {
        unreact(in, run, lattice, adj + 2 * (lattice + in->batch) * S, adj_after + 2 * lattice * S, gradient, rates);
        for (size_t s = 0; s < 2; s++) {
            const size_t plane = 2 * lattice + s;
            const double *Gd = adj_after + plane * S;
            mean_direction_gradient(in, run, plane, Gd, gradient);
            undiffuse(in, run, plane, Gd, adj + plane * S);
        }
    }
}
