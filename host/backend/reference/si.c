/* SI in double precision. See kernels/rules/si.h for the equations. */
#include "backend/reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Index of neighbour k = 0..8 (row-major, 4 is the site itself) of (i, j) on the torus. */
static size_t neighbour(const lg_ref_si *in, size_t i, size_t j, size_t k)
{
    const size_t H = in->height, W = in->width;
    return (i + H + k / 3 - 1) % H * W + (j + W + k % 3 - 1) % W;
}

/* p = 1 - (1 - beta)^N, dp/dbeta = N (1 - beta)^(N-1) (0^0 = 1), dp/dN = -(1 - beta)^N log(1 - beta). */
static double probability(const lg_ref_si *in, int N)
{
    return 1.0 - pow(1.0 - in->beta, N);
}
static double dp_dbeta(const lg_ref_si *in, int N)
{
    return N == 0 ? 0.0 : N * pow(1.0 - in->beta, N - 1);
}
static double dp_dn(const lg_ref_si *in, int N)
{
    const double q = 1.0 - in->beta;
    return q > 0.0 ? -pow(q, N) * log(q) : 0.0;
}

static void count_neighbours(const lg_ref_si *in, const int32_t *x, int32_t *count)
{
    for (size_t i = 0; i < in->height; i++)
        for (size_t j = 0; j < in->width; j++) {
            int32_t sum = 0;
            for (size_t k = 0; k < 9; k++)
                if (k != 4) sum += x[neighbour(in, i, j, k)];
            count[i * in->width + j] = sum;
        }
}

lg_status lg_ref_si_forward(lg_context *ctx, const lg_ref_si *in, lg_ref_si_run *run)
{
    const size_t sites = in->height * in->width, slice = in->batch * sites, all = in->steps * slice;
    memset(run, 0, sizeof *run);
    run->states = calloc(all + slice, sizeof *run->states);
    run->neighbours = calloc(all, sizeof *run->neighbours);
    run->fired = calloc(all, sizeof *run->fired);
    run->p = calloc(all, sizeof *run->p);
    run->soft = calloc(all, sizeof *run->soft);
    run->weight = calloc(all, sizeof *run->weight);
    if (!run->states || !run->neighbours || !run->fired || !run->p || !run->soft || !run->weight) {
        lg_ref_si_free(run);
        return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for a reference run of %zu SI site steps", all);
    }
    for (size_t e = 0; e < slice; e++) run->states[e] = (int32_t)in->X[e];
    for (size_t lattice = 0; lattice < in->steps * in->batch; lattice++)
        for (size_t e = lattice * sites; e < (lattice + 1) * sites; e++) {
            if (e == lattice * sites) count_neighbours(in, run->states + e, run->neighbours + e);
            run->p[e] = probability(in, run->neighbours[e]);
            const lg_ref_event event = lg_ref_binary(in->binary, run->p[e], in->u ? in->u[e] : 0.0,
                                                     in->gumbel ? in->gumbel + 2 * e : NULL, in->tau);
            run->fired[e] = event.fired;
            run->soft[e] = event.soft;
            run->weight[e] = lg_ref_mean_weight(&event, run->p[e], &in->more, 2 * e, in->tau);
            run->states[e + slice] = run->states[e] + event.fired * (1 - run->states[e]);
        }
    return LG_OK;
}

/* One lattice, one step: a = dL/dX' enters, dL/dX is added to `before`. at: index of the lattice's first site. */
static void backward_lattice(const lg_ref_si *in, const lg_ref_si_run *run, size_t at, const double *a, double *before,
                             lg_ref_gradient *gradient)
{
    for (size_t i = 0; i < in->height; i++)
        for (size_t j = 0; j < in->width; j++) {
            const size_t s = i * in->width + j, e = at + s;
            const double ap = a[s] * (1 - run->states[e]) * run->weight[e]; /* dL/dp */
            const double term = ap * dp_dbeta(in, run->neighbours[e]);
            gradient->grad[0] += term;
            gradient->abs[0] += fabs(term);
            before[s] += a[s] * (1 - run->fired[e]);
            for (size_t k = 0; k < 9; k++)
                if (k != 4) before[neighbour(in, i, j, k)] += ap * dp_dn(in, run->neighbours[e]);
        }
}

void lg_ref_si_backward(const lg_ref_si *in, const lg_ref_si_run *run, double *adj, lg_ref_gradient *gradient)
{
    const size_t sites = in->height * in->width, slice = in->batch * sites;
    memset(gradient, 0, sizeof *gradient);
    for (size_t lattice = in->steps * in->batch; lattice-- > 0;)
        backward_lattice(in, run, lattice * sites, adj + lattice * sites + slice, adj + lattice * sites, gradient);
}

void lg_ref_si_score(const lg_ref_si *in, const lg_ref_si_run *run, double *score)
{
    const size_t sites = in->height * in->width, slice = in->batch * sites;
    memset(score, 0, in->batch * sizeof *score);
    for (size_t e = 0; e < in->steps * slice; e++) {
        const int N = run->neighbours[e];
        if (run->states[e] || N == 0) continue; /* no draw */
        score[e % slice / sites] += run->fired[e] ? dp_dbeta(in, N) / run->p[e] : -dp_dbeta(in, N) / (1.0 - run->p[e]);
    }
}

void lg_ref_si_free(lg_ref_si_run *run)
{
    free(run->states);
    free(run->neighbours);
    free(run->fired);
    free(run->p);
    free(run->soft);
    free(run->weight);
    memset(run, 0, sizeof *run);
}

/* Unaware sites with N aware neighbours turn aware with probability p(N): -log p, else -N log(1 - beta). */
double lg_ref_si_nll(const lg_ref_si *in, const double *observed, lg_ref_gradient *gradient)
{
    const size_t sites = in->height * in->width;
    double nll = 0.0;
    memset(gradient, 0, sizeof *gradient);
    for (size_t e = 0; e < in->batch * sites; e++) {
        if (in->X[e] > 0.5) continue;
        const double *x = in->X + e / sites * sites;
        int N = 0;
        for (size_t k = 0; k < 9; k++)
            if (k != 4 && x[neighbour(in, e % sites / in->width, e % in->width, k)] > 0.5) N++;
        const int aware = observed[e] > 0.5;
        if (N == 0 && !aware) continue;
        const double term = aware ? -dp_dbeta(in, N) / probability(in, N) : N / (1.0 - in->beta);
        nll += aware ? -log(probability(in, N)) : -N * log(1.0 - in->beta);
        gradient->grad[0] += term;
        gradient->abs[0] += fabs(term);
    }
    return nll;
}
