/* Approximate Bayesian computation by sequential Monte Carlo.
 *
 * Population 0 is N draws from the prior. The tolerance of population t is a quantile of the distances of population t - 1
 * (Drovandi and Pettitt 2011), or the largest one below the last tolerance where so many are equal (counts have few values) that
 * the quantile is no smaller. A proposal takes a particle by its weight and adds a normal deviate with twice the weighted
 * covariance of the population (Beaumont et al. 2009; Filippi et al. 2013), drawn again as a whole where it leaves the box; those
 * within the tolerance are taken, in their order, until there are N. Their importance weights are (Toni et al. 2009), with a flat
 * prior,
 *
 *     w_i  proportional to  1 / sum_j w'_j K(theta_i | theta'_j)
 *
 * Proposals are run in whole batches; those behind the N-th accepted one are dropped. A population that the budget does not
 * complete is dropped as well. */
#include "infer/infer.h"

#include "fit/problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REDRAWS = 100000 };

typedef struct particles {
    double *theta, *weight, *distance; /* [N][dims], [N], [N] */
} particles;

typedef struct smc {
    lg_search *s;
    size_t n, dims;
    particles now, next;
    double *sorted, *sum; /* [N] distances in order; [N] cumulative weights */
    double mean[LG_MAX_PARAMS], factor[LG_MAX_PARAMS][LG_MAX_PARAMS];
    double tolerance, acceptance;
} smc;

static void moments(smc *m)
{
    double cov[LG_MAX_PARAMS][LG_MAX_PARAMS] = {{0.0}};
    for (size_t a = 0; a < m->dims; a++) {
        m->mean[a] = 0.0;
        for (size_t i = 0; i < m->n; i++) m->mean[a] += m->now.weight[i] * m->now.theta[i * m->dims + a];
    }
    for (size_t i = 0; i < m->n; i++)
        for (size_t a = 0; a < m->dims; a++)
            for (size_t b = 0; b < m->dims; b++)
                cov[a][b] += m->now.weight[i] * (m->now.theta[i * m->dims + a] - m->mean[a]) *
                             (m->now.theta[i * m->dims + b] - m->mean[b]);
    /* a ridge far below any resolution of the box keeps a degenerate cloud's factor in existence */
    for (size_t a = 0; a < m->dims; a++) {
        const double width = m->s->upper[a] - m->s->lower[a];
        for (size_t b = 0; b < m->dims; b++) m->factor[a][b] = 2.0 * cov[a][b];
        m->factor[a][a] = m->factor[a][a] * (1.0 + 1e-9) + 1e-18 * width * width;
    }
}

static double effective_size(const smc *m)
{
    double square = 0.0;
    for (size_t i = 0; i < m->n; i++) square += m->now.weight[i] * m->now.weight[i];
    return 1.0 / square;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The quantile of the distances, or the largest distance below `limit` where the quantile is not. */
static double quantile_below(smc *m, double q, double limit)
{
    memcpy(m->sorted, m->now.distance, m->n * sizeof *m->sorted);
    qsort(m->sorted, m->n, sizeof *m->sorted, ascending);
    size_t i = (size_t)floor(q * (double)(m->n - 1));
    while (i > 0 && !(m->sorted[i] < limit)) i--;
    return m->sorted[i];
}

/* The first particle whose cumulative weight is above u. */
static size_t pick(const smc *m, double u)
{
    size_t low = 0, high = m->n - 1;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (m->sum[middle] > u * m->sum[m->n - 1]) high = middle;
        else low = middle + 1;
    }
    return low;
}

static bool propose(smc *m, uint32_t c)
{
    lg_search *s = m->s;
    double theta[LG_MAX_PARAMS], z[LG_MAX_PARAMS];
    for (uint32_t attempt = 0; attempt < REDRAWS; attempt++) {
        const double u = lg_search_uniform(s, LG_STREAM_RESAMPLE, s->batches, c, attempt, 0);
        const double *from = m->now.theta + pick(m, u) * m->dims;
        bool inside = true;
        for (size_t a = 0; a < m->dims; a++)
            z[a] = lg_search_normal(s, LG_STREAM_PROPOSAL, s->batches, c, attempt, (uint32_t)a);
        for (size_t a = 0; a < m->dims; a++) {
            theta[a] = from[a];
            for (size_t b = 0; b <= a; b++) theta[a] += m->factor[a][b] * z[b];
            inside = inside && theta[a] >= s->lower[a] && theta[a] <= s->upper[a];
        }
        if (!inside) continue;
        lg_search_put(s, c, theta);
        return true;
    }
    return false;
}

/* -1/2 |L^-1 (x - y)|^2; the kernel's constant factor is the same for all. */
static double log_kernel(const smc *m, const double *x, const double *y)
{
    double z[LG_MAX_PARAMS], square = 0.0;
    for (size_t a = 0; a < m->dims; a++) {
        z[a] = x[a] - y[a];
        for (size_t b = 0; b < a; b++) z[a] -= m->factor[a][b] * z[b];
        z[a] /= m->factor[a][a];
        square += z[a] * z[a];
    }
    return -0.5 * square;
}

static void weigh(smc *m)
{
    double sum = 0.0;
    for (size_t i = 0; i < m->n; i++) {
        double density = 0.0;
        for (size_t j = 0; j < m->n; j++)
            density += m->now.weight[j] * exp(log_kernel(m, m->next.theta + i * m->dims, m->now.theta + j * m->dims));
        m->next.weight[i] = 1.0 / density;
        sum += m->next.weight[i];
    }
    for (size_t i = 0; i < m->n; i++) m->next.weight[i] /= sum;
}

/* Fills `next` up to N; *full: it was completed. */
static lg_status populate(smc *m, bool *full)
{
    lg_search *s = m->s;
    const uint32_t width = s->plan->population;
    size_t taken = 0, tried = 0;
    *full = false;
    for (size_t i = 0; i < m->n; i++) m->sum[i] = m->now.weight[i] + (i ? m->sum[i - 1] : 0.0);
    while (taken < m->n && lg_search_left(s)) {
        for (uint32_t c = 0; c < width; c++)
            if (!propose(m, c))
                return lg_fail(
                    s->ctx, LG_ERR_NUMERIC,
                    "abc_smc: %d proposals in a row left the bounds: widen those of the parameters that end at one",
                    REDRAWS);
        const lg_status status = lg_search_evaluate(s, s->batches);
        if (status) return status;
        for (uint32_t c = 0; c < width && taken < m->n; c++) {
            tried++;
            if (!(s->loss[c] <= m->tolerance)) continue;
            lg_search_get(s, c, m->next.theta + taken * m->dims);
            m->next.distance[taken++] = s->loss[c];
        }
        /* hopeless: even if all that is missing were accepted at once the rate would be too small */
        if ((double)m->n / (double)(tried + m->n - taken) < s->plan->least_acceptance) break;
    }
    m->acceptance = tried ? (double)taken / (double)tried : 0.0;
    *full = taken == m->n;
    return LG_OK;
}

static void record(smc *m)
{
    moments(m);
    lg_search_record(m->s, m->tolerance, m->mean, m->acceptance, effective_size(m));
}

static lg_status begin(smc *m)
{
    lg_search *s = m->s;
    for (uint32_t c = 0; c < s->plan->population; c++) lg_search_prior(s, c);
    const lg_status status = lg_search_evaluate(s, s->batches);
    if (status) return status;
    for (uint32_t c = 0; c < s->plan->population; c++) {
        lg_search_get(s, c, m->now.theta + c * m->dims);
        m->now.weight[c] = 1.0 / (double)m->n;
        m->now.distance[c] = s->loss[c];
    }
    m->tolerance = quantile_below(m, 1.0, INFINITY);
    m->acceptance = 1.0;
    record(m);
    return LG_OK;
}

/* The next tolerance; false where the distances leave none below the last one. */
static bool tighten(smc *m)
{
    const double target = m->s->plan->distance;
    const double wanted = fmax(quantile_below(m, m->s->plan->quantile, m->tolerance), target);
    if (!(wanted < m->tolerance)) {
        lg_search_end(m->s, "the tolerance %.6g cannot shrink further", m->tolerance);
        return false;
    }
    m->tolerance = wanted;
    return true;
}

static bool target_reached(smc *m)
{
    if (!(m->s->plan->distance > 0.0) || m->tolerance > m->s->plan->distance) return false;
    lg_search_end(m->s, "the tolerance method.distance = %g was reached", m->s->plan->distance);
    return true;
}

static lg_status iterate(smc *m)
{
    lg_search *s = m->s;
    lg_status status = begin(m);
    while (!status && !s->ended && lg_search_left(s)) {
        bool full = false;
        const double last = m->tolerance;
        if (target_reached(m) || !tighten(m)) break;
        if (!lg_cholesky(m->factor, s->dims))
            return lg_fail(s->ctx, LG_ERR_NUMERIC, "abc_smc: the covariance of the population is not positive");
        status = populate(m, &full);
        if (status || !full) {
            m->tolerance = last;
            if (!status && lg_search_left(s))
                lg_search_end(s, "less than %g of the proposals were accepted; the tolerance reached is %.6g",
                              s->plan->least_acceptance, last);
            break;
        }
        weigh(m);
        const particles old = m->now;
        m->now = m->next;
        m->next = old;
        record(m);
    }
    return status ? status : lg_search_samples(s, m->n, m->now.theta, m->now.weight, m->now.distance);
}

lg_status lg_search_by_abc_smc(lg_search *s)
{
    const size_t n = s->plan->population, dims = (size_t)s->dims;
    double *room = calloc(n * (2 * dims + 6), sizeof *room);
    if (!room) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: populations of %zu", n);
    smc m = {.s = s,
             .n = n,
             .dims = dims,
             .now = {room, room + n * dims, room + n * (dims + 1)},
             .next = {room + n * (dims + 2), room + n * (2 * dims + 2), room + n * (2 * dims + 3)},
             .sorted = room + n * (2 * dims + 4),
             .sum = room + n * (2 * dims + 5)};
    const lg_status status = iterate(&m);
    free(room);
    return status;
}
