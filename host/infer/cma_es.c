/* CMA-ES: the (mu/mu_w, lambda) evolution strategy with rank-one and rank-mu updates, equations and constants of Hansen, The CMA
 * evolution strategy: a tutorial, arXiv:1604.00772 (2016), with positive weights alone.
 *
 * It moves in u in [0, 1], the share of the box, as the prior of the other methods does and whatever params.NAME.transform is: in
 * logit p nearly all of a box that reaches to 1e-6 is a plateau of the loss, where noise alone ranks the candidates. A candidate
 * outside is mirrored at the bounds, and the mirrored one is what the updates see. The estimate is the mean of the distribution, not the
 * best candidate, which under noise is the luckiest. */
#include "infer/infer.h"

#include "fit/problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef double square_matrix[LG_MAX_PARAMS][LG_MAX_PARAMS];

typedef struct cma {
    lg_search *s;
    int n;
    uint32_t lambda, mu;
    double mueff, cc, cs, c1, cmu, damps, chi;
    double sigma, mean[LG_MAX_PARAMS], ps[LG_MAX_PARAMS], pc[LG_MAX_PARAMS], d[LG_MAX_PARAMS];
    square_matrix c, b; /* C = B D^2 B^T */
    double *weight, *u; /* [mu]; [lambda][n] */
    uint32_t *order;    /* [lambda] */
} cma;

static void to_theta(const cma *m, const double *u, double *theta)
{
    for (int i = 0; i < m->n; i++) theta[i] = m->s->lower[i] + u[i] * (m->s->upper[i] - m->s->lower[i]);
}

static void set_constants(cma *m)
{
    const double n = m->n;
    double sum = 0.0, square = 0.0;
    for (uint32_t i = 0; i < m->mu; i++) {
        m->weight[i] = log((m->lambda + 1.0) / 2.0) - log(i + 1.0);
        sum += m->weight[i];
    }
    for (uint32_t i = 0; i < m->mu; i++) {
        m->weight[i] /= sum;
        square += m->weight[i] * m->weight[i];
    }
    m->mueff = 1.0 / square;
    m->cc = (4.0 + m->mueff / n) / (n + 4.0 + 2.0 * m->mueff / n);
    m->cs = (m->mueff + 2.0) / (n + m->mueff + 5.0);
    m->c1 = 2.0 / ((n + 1.3) * (n + 1.3) + m->mueff);
    m->cmu = fmin(1.0 - m->c1, 2.0 * (m->mueff - 2.0 + 1.0 / m->mueff) / ((n + 2.0) * (n + 2.0) + m->mueff));
    m->damps = 1.0 + 2.0 * fmax(0.0, sqrt((m->mueff - 1.0) / (n + 1.0)) - 1.0) + m->cs;
    m->chi = sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)); /* E |N(0, I)| */
}

static void start(cma *m)
{
    const lg_search *s = m->s;
    for (int i = 0; i < m->n; i++) {
        m->mean[i] = (s->problem->params[s->index[i]] - s->lower[i]) / (s->upper[i] - s->lower[i]);
        m->c[i][i] = m->b[i][i] = m->d[i] = 1.0;
    }
    m->sigma = m->s->plan->sigma;
    set_constants(m);
}

/* u folded into [0, 1]: a triangle wave. */
static double mirrored(double u)
{
    const double t = fmod(fabs(u), 2.0);
    return t > 1.0 ? 2.0 - t : t;
}

static void sample(cma *m)
{
    double z[LG_MAX_PARAMS], theta[LG_MAX_PARAMS];
    for (uint32_t k = 0; k < m->lambda; k++) {
        double *u = m->u + (size_t)k * (size_t)m->n;
        for (int i = 0; i < m->n; i++)
            z[i] = m->d[i] * lg_search_normal(m->s, LG_STREAM_PROPOSAL, m->s->batches, k, 0, (uint32_t)i);
        for (int i = 0; i < m->n; i++) {
            double y = 0.0;
            for (int j = 0; j < m->n; j++) y += m->b[i][j] * z[j];
            u[i] = mirrored(m->mean[i] + m->sigma * y);
        }
        to_theta(m, u, theta);
        lg_search_put(m->s, k, theta);
    }
}

/* Stable, so that equal losses keep the order of their candidates. */
static void rank(cma *m)
{
    for (uint32_t k = 0; k < m->lambda; k++) {
        uint32_t place = k;
        for (; place > 0 && m->s->loss[m->order[place - 1]] > m->s->loss[k]; place--)
            m->order[place] = m->order[place - 1];
        m->order[place] = k;
    }
}

/* ps = (1 - cs) ps + sqrt(cs (2 - cs) mueff) C^-1/2 y; its norm. */
static double evolve_path(cma *m, const double *y)
{
    double z[LG_MAX_PARAMS], norm = 0.0;
    for (int j = 0; j < m->n; j++) {
        z[j] = 0.0;
        for (int i = 0; i < m->n; i++) z[j] += m->b[i][j] * y[i];
        z[j] /= m->d[j];
    }
    for (int i = 0; i < m->n; i++) {
        double w = 0.0;
        for (int j = 0; j < m->n; j++) w += m->b[i][j] * z[j];
        m->ps[i] = (1.0 - m->cs) * m->ps[i] + sqrt(m->cs * (2.0 - m->cs) * m->mueff) * w;
        norm += m->ps[i] * m->ps[i];
    }
    return sqrt(norm);
}

static void adapt(cma *m, const double *old, bool steady)
{
    const double lost = steady ? 0.0 : m->c1 * m->cc * (2.0 - m->cc);
    for (int i = 0; i < m->n; i++)
        for (int j = 0; j <= i; j++) {
            double rank_mu = 0.0;
            for (uint32_t k = 0; k < m->mu; k++) {
                const double *u = m->u + (size_t)m->order[k] * (size_t)m->n;
                rank_mu += m->weight[k] * (u[i] - old[i]) * (u[j] - old[j]) / (m->sigma * m->sigma);
            }
            m->c[i][j] = (1.0 - m->c1 - m->cmu + lost) * m->c[i][j] + m->c1 * m->pc[i] * m->pc[j] + m->cmu * rank_mu;
            m->c[j][i] = m->c[i][j];
        }
}

static void decompose(cma *m)
{
    square_matrix a;
    memcpy(a, m->c, sizeof a);
    lg_eigen(a, m->b, m->n);
    for (int i = 0; i < m->n; i++) m->d[i] = sqrt(fmax(a[i][i], 1e-20));
}

static void update(cma *m, int64_t generation)
{
    double old[LG_MAX_PARAMS], y[LG_MAX_PARAMS];
    memcpy(old, m->mean, sizeof old);
    for (int i = 0; i < m->n; i++) {
        m->mean[i] = 0.0;
        for (uint32_t k = 0; k < m->mu; k++)
            m->mean[i] += m->weight[k] * m->u[(size_t)m->order[k] * (size_t)m->n + (size_t)i];
        y[i] = (m->mean[i] - old[i]) / m->sigma;
    }
    const double norm = evolve_path(m, y), known = 1.0 - pow(1.0 - m->cs, 2.0 * (double)generation);
    const bool steady = norm / sqrt(known) < (1.4 + 2.0 / (m->n + 1.0)) * m->chi;
    for (int i = 0; i < m->n; i++)
        m->pc[i] = (1.0 - m->cc) * m->pc[i] + (steady ? sqrt(m->cc * (2.0 - m->cc) * m->mueff) * y[i] : 0.0);
    adapt(m, old, steady);
    decompose(m);
    m->sigma *= exp(fmin(1.0, m->cs / m->damps * (norm / m->chi - 1.0)));
}

/* The longest axis of the distribution, as a share of the box. */
static double extent(const cma *m)
{
    double longest = 0.0;
    for (int i = 0; i < m->n; i++) longest = fmax(longest, m->sigma * m->d[i]);
    return longest;
}

static lg_status iterate(cma *m)
{
    lg_search *s = m->s;
    double theta[LG_MAX_PARAMS];
    start(m);
    for (int64_t generation = 1; !s->ended && lg_search_left(s); generation++) {
        sample(m);
        const lg_status status = lg_search_evaluate(s, s->batches);
        if (status) return status;
        rank(m);
        if (!isfinite(s->loss[m->order[0]]))
            return lg_fail(s->ctx, LG_ERR_NUMERIC, "cma_es: no candidate of generation %lld has a finite loss",
                           (long long)generation);
        update(m, generation);
        to_theta(m, m->mean, theta);
        lg_search_record(s, s->loss[m->order[0]], theta, NAN, NAN);
        if (s->ended || extent(m) >= s->plan->tolerance) continue;
        lg_search_end(s, "the distribution is narrower than method.tolerance = %g of the bounds", s->plan->tolerance);
        break;
    }
    return LG_OK;
}

lg_status lg_search_by_cma_es(lg_search *s)
{
    const uint32_t lambda = s->plan->population;
    cma m = {.s = s, .n = s->dims, .lambda = lambda, .mu = lambda / 2};
    m.weight = calloc(m.mu, sizeof *m.weight);
    m.u = calloc((size_t)lambda * (size_t)m.n, sizeof *m.u);
    m.order = calloc(lambda, sizeof *m.order);
    const lg_status status = m.weight && m.u && m.order
                                 ? iterate(&m)
                                 : lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: %u candidates", lambda);
    free(m.weight);
    free(m.u);
    free(m.order);
    return status;
}
