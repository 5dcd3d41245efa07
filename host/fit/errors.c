/* Standard errors of where a fit of statistics ended.
 *
 * Such a fit ends at a root of psi(x) = S^T W (s(x) - t), half of the expected gradient it follows: s(x) are the expected
 * statistics, t those of the data, W the weights, and S is the Jacobian that its gradients contain. With finite differences,
 * closed forms and scores that is J = ds/dx; the pathwise estimators of the walker have a biased one. Data t + dt have their
 * root at x + dx, to first order
 *     dx = A^-1 S^T W dt,   A = S^T W J,   hence   Cov x = A^-1 S^T W Cov(t) W S A^-T,
 * the sandwich of M-estimation (Huber, Proc. 5th Berkeley Symp. 1, 1967; for moments that are simulated Duffie and Singleton,
 * Econometrica 61, 1993). Cov(t) is the scatter of what the data are made of, tracks, walkers or runs; a table of MSDs has
 * standard errors alone, and its lags are taken to be correlated as those of the model's walkers are (errors_walks.c).
 *
 * J of a lattice model is measured with noise, and the noise of one measurement squared would count as information: with a hundred
 * noisy statistics the errors would come out too small, the smaller the worse J is known. So S and J come from different
 * evaluations: A = S^T W J then has the right mean, and the noise of S makes the error larger, as it would that of a fit that
 * followed S. More evaluations make both better.
 *
 * The end itself is a little off the root, since it was found with noise and in finite time. psi at the end, from the mean
 * statistics of errors.evaluations evaluations with noise that the fit has not seen, says how far: delta = A^-1 psi. delta^2 is
 * added to the variance, so that the error of a fit that has not converged is as large as its distance from the optimum.
 *
 * Intervals are 95 %: x -+ t error in the optimiser's coordinate, t Student's quantile with one degree of freedom less than
 * there are clusters. */
#include "fit/errors.h"

#include "backend/hosted.h"
#include "model/models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct measured {
    size_t K, P;
    double *end;         /* [F][P] */
    double *truth;       /* [F][K][P], J */
    double *own;         /* [F][K][P], S */
    double *mean;        /* [F][K], s at the end */
    double *correlation; /* [F][K][K] of the lags of a table, or NULL */
} measured;

double lg_student_95(double n)
{
    const double normal = 1.959963984540054;
    if (!(n > 0.0)) return normal;
    if (n < 1.5) return 12.706204736432095;
    if (n < 2.5) return 4.302652729696142;
    /* Hill, Algorithm 396, Comm. ACM 13 (1970), for the probability 0.05 */
    const double a = 1.0 / (n - 0.5), b = (48.0 / a) / a, x = normal;
    double c = ((20700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    const double d = ((94.5 / (b + c) - 3.0) / b + 1.0) * sqrt(a * 1.5707963267948966) * n;
    double y = pow(d * 0.05, 2.0 / n);
    if (y > 0.05 + a) {
        y = x * x;
        if (n < 5.0) c += 0.3 * (n - 4.5) * (x + 0.6);
        c = (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b + c;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = expm1(a * y * y);
    } else {
        y = ((1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) + 0.5 / (n + 4.0)) * y - 1.0) *
                (n + 1.0) / (n + 2.0) +
            1.0 / y;
    }
    return sqrt(n * y);
}

/* ---- the scatter of the data ------------------------------------------------------------------------------------ */

/* Linearised influence of cluster c on value k: scale (sum - count mean) / n, mean = total / n. See data/msd.c. */
static double influence(const lg_sample *s, uint32_t c, int k, const double *total, const double *n)
{
    const size_t at = c * s->values + (size_t)k;
    if (!(n[k] > 0.0)) return 0.0;
    return s->scale * (s->sum[at] - (s->count ? s->count[at] : 1.0) * total[k] / n[k]) / n[k];
}

static void cluster_covariance(const lg_sample *s, int K, int P, const double *direction, double *scratch, double *out)
{
    double *total = scratch, *n = scratch + K;
    memset(scratch, 0, 2 * (size_t)K * sizeof *scratch);
    for (uint32_t c = 0; c < s->clusters; c++)
        for (int k = 0; k < K; k++) {
            total[k] += s->sum[c * s->values + (size_t)k];
            n[k] += s->count ? s->count[c * s->values + (size_t)k] : 1.0;
        }
    for (uint32_t c = 0; c < s->clusters; c++) {
        double g[LG_MAX_PARAMS] = {0.0};
        for (int k = 0; k < K; k++) {
            const double u = influence(s, c, k, total, n);
            for (int i = 0; i < P; i++) g[i] += direction[k * P + i] * u;
        }
        for (int i = 0; i < P; i++)
            for (int j = 0; j < P; j++) out[i * P + j] += s->clusters / (s->clusters - 1.0) * g[i] * g[j];
    }
}

void lg_sample_covariance(const lg_sample *s, int K, int P, const double *direction, const double *correlation,
                          double *scratch, double *out)
{
    memset(out, 0, (size_t)(P * P) * sizeof *out);
    if (s->clusters) {
        cluster_covariance(s, K, P, direction, scratch, out);
        return;
    }
    for (int k = 0; k < K; k++)
        for (int l = 0; l < K; l++) {
            const double cov = s->sem[k] * s->sem[l] * correlation[k * K + l];
            for (int i = 0; i < P; i++)
                for (int j = 0; j < P; j++) out[i * P + j] += direction[k * P + i] * direction[l * P + j] * cov;
        }
}

/* ---- what there is to do ---------------------------------------------------------------------------------------- */

static bool table_has_errors(const lg_problem *p)
{
    for (uint32_t k = 0; k < lg_job_statistics(&p->job); k++)
        if (!(p->sample.sem && p->sample.sem[k] >= 0.0 && isfinite(p->sample.sem[k]))) return false;
    return true;
}

/* Why there are no standard errors; NULL: there are. */
static const char *why_none(const lg_problem *p)
{
    const lg_job *job = &p->job;
    const bool walk = job->model->id == LG_MODEL_PRW;
    if (p->error_evaluations == 0) return "errors.evaluations is 0";
    if (job->own.function) return "a loss of one's own has no statistics; repeat the fit with resampled data";
    if (!job->target_stat) return "the loss compares states; ensemble.bootstrap gives intervals";
    if (p->search.kind != LG_SEARCH_gradient) return "a search has no gradient";
    if (p->sample.clusters == 1) return "the data are one run or track, which shows no scatter";
    if (p->sample.clusters == 0 && !p->sample.sem)
        return "the data are too many to keep; ensemble.bootstrap gives intervals";
    if (p->sample.clusters == 0 && !table_has_errors(p)) return "the MSD table has no standard errors";
    if (!walk && job->method != LG_GRADIENT_fd)
        return "they need unbiased derivatives of the statistics: set estimator.method to fd";
    if (walk && job->method == LG_GRADIENT_pathwise && !p->backend->get_jacobian)
        return "this device gives no Jacobian: set estimator.method to exact, score or fd";
    return NULL;
}

static void describe(const lg_problem *p, lg_result *r)
{
    const char *clusters = p->job.model->species ? "runs" : (p->sample.count ? "tracks" : "walkers");
    if (p->sample.clusters)
        snprintf(r->errors, sizeof r->errors, "from the scatter of %u %s", p->sample.clusters, clusters);
    else
        snprintf(r->errors, sizeof r->errors,
                 "from the standard errors of the MSD table, lags correlated as in the model");
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

/* Statistics, and where the device has to give them Jacobians: means over the evaluations. Lattices: S from the even ones and J from
 * the odd ones, see above. */
static lg_status evaluate(lg_context *ctx, const lg_problem *p, lg_dbatch *batch, bool jacobian, double *values,
                          double *rows, measured *m)
{
    const lg_backend *backend = p->backend;
    const size_t F = p->job.fits, P = m->P;
    const bool halves = p->job.model->id != LG_MODEL_PRW;
    const int64_t least = halves ? 2 : 1, count = p->job.method == LG_GRADIENT_exact ? 1
                                                  : p->error_evaluations < least     ? least
                                                                                     : p->error_evaluations;
    lg_status status = backend->set_params(ctx, batch, m->end);
    for (int64_t e = 0; !status && e < count; e++) {
        status = backend->reset(ctx, batch, (uint64_t)(p->iterations + e));
        if (!status) status = backend->forward(ctx, batch, p->job.steps, true);
        if (!status) status = backend->loss(ctx, batch);
        if (!status) status = backend->get_statistics(ctx, batch, values);
        if (!status && jacobian) status = backend->backward(ctx, batch);
        if (!status && jacobian) status = backend->get_jacobian(ctx, batch, rows);
        for (size_t i = 0; !status && i < F * m->K; i++) m->mean[i] += values[i] / (double)count;
        double *to = halves && e % 2 ? m->truth : m->own;
        const double share = halves ? (double)(e % 2 ? count / 2 : (count + 1) / 2) : (double)count;
        for (size_t i = 0; !status && jacobian && i < F * m->K * P; i++) to[i] += rows[i] / share;
    }
    return status;
}

/* J of the walker, closed form, in logit p. */
static void walk_slopes(const lg_job *job, const measured *m, double *slopes)
{
    for (uint32_t f = 0; f < job->fits; f++) {
        const double *p = m->end + f * m->P;
        lg_prw_msd_slopes(p[0], p[1], job->steps, slopes);
        for (size_t k = 0; k < m->K; k++)
            memcpy(m->truth + (f * m->K + k) * m->P, slopes + (job->record[k] - 1) * m->P, m->P * sizeof *slopes);
    }
}

static lg_status measure(lg_context *ctx, const lg_problem *p, measured *m)
{
    const lg_job *job = &p->job;
    const bool walk = job->model->id == LG_MODEL_PRW, pathwise = job->method == LG_GRADIENT_pathwise;
    const bool jacobian = !walk || pathwise;
    const size_t rows = job->fits * m->K * m->P;
    lg_dbatch *batch = NULL;
    double *values = malloc((job->fits * m->K + job->steps * m->P + 1) * sizeof *values);
    double *row = malloc((rows + 1) * sizeof *row);
    lg_status status = values && row ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the standard errors");
    if (!status) status = p->backend->create(ctx, p->device, job, true, &batch);
    if (!status) status = evaluate(ctx, p, batch, jacobian, values, row, m);
    if (batch) p->backend->destroy(batch);
    if (!status && walk) walk_slopes(job, m, values);
    if (!status && !jacobian) memcpy(m->own, m->truth, rows * sizeof *row);
    if (!status && m->correlation) status = lg_walk_correlation(ctx, p, m->end, m->correlation);
    free(values);
    free(row);
    return status;
}

/* ---- one fit ---------------------------------------------------------------------------------------------------- */

/* x = A^-1 b for each of the columns of b, by Gaussian elimination with pivots; false: A is singular to rounding. */
static bool solve(int n, double *A, int columns, double *b)
{
    for (int i = 0; i < n; i++) {
        int pivot = i;
        double size = 0.0;
        for (int r = i; r < n; r++)
            if (fabs(A[r * n + i]) > fabs(A[pivot * n + i])) pivot = r;
        for (int c = 0; c < n; c++) size += fabs(A[pivot * n + c]);
        if (!(fabs(A[pivot * n + i]) > 1e-13 * size)) return false;
        for (int c = 0; c < n && pivot != i; c++) {
            const double swap = A[i * n + c];
            A[i * n + c] = A[pivot * n + c];
            A[pivot * n + c] = swap;
        }
        for (int c = 0; c < columns && pivot != i; c++) {
            const double swap = b[i * columns + c];
            b[i * columns + c] = b[pivot * columns + c];
            b[pivot * columns + c] = swap;
        }
        for (int r = 0; r < n; r++) {
            if (r == i) continue;
            const double factor = A[r * n + i] / A[i * n + i];
            for (int c = i; c < n; c++) A[r * n + c] -= factor * A[i * n + c];
            for (int c = 0; c < columns; c++) b[r * columns + c] -= factor * b[i * columns + c];
        }
    }
    for (int i = 0; i < n; i++)
        for (int c = 0; c < columns; c++) b[i * columns + c] /= A[i * n + i];
    return true;
}

/* direction[K][n] = W S; W = C^T C where the job combines statistics by C. */
static void weigh_rows(const lg_job *job, const double *weight, const double *own, int K, int P, const int *axis, int n,
                       double *direction)
{
    const double *C = job->combine;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < n; i++) direction[k * n + i] = C ? 0.0 : weight[k] * own[k * P + axis[i]];
    for (int i = 0; i < n; i++)
        for (uint32_t row = 0; C && row < job->combinations; row++) {
            double sum = 0.0;
            for (int k = 0; k < K; k++) sum += C[row * (size_t)K + (size_t)k] * own[k * P + axis[i]];
            for (int k = 0; k < K; k++) direction[k * n + i] += C[row * (size_t)K + (size_t)k] * sum;
        }
}

/* Variances of the parameters axis[n] in native coordinates. direction: room for [K][n], scratch for [2 K]. */
static bool variances(const lg_problem *p, const measured *m, uint32_t f, const int *axis, int n, double *direction,
                      double *scratch, double *variance)
{
    enum { MOST = LG_MAX_PARAMS };
    const int K = (int)m->K, P = (int)m->P;
    const size_t at = lg_job_statistic_offset(&p->job, f);
    const double *weight = p->job.weight_stat + at, *target = p->job.target_stat + at,
                 *mean = m->mean + (size_t)f * m->K;
    const double *truth = m->truth + (size_t)f * m->K * m->P, *own = m->own + (size_t)f * m->K * m->P;
    double A[MOST * MOST] = {0.0}, B[MOST * MOST], inverse[MOST * (MOST + 1)] = {0.0};
    weigh_rows(&p->job, weight, own, K, P, axis, n, direction);
    for (int k = 0; k < K; k++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) A[i * n + j] += direction[k * n + i] * truth[k * P + axis[j]];
    lg_sample_covariance(&p->sample, K, n, direction, m->correlation ? m->correlation + (size_t)f * m->K * m->K : NULL,
                         scratch, B);
    for (int i = 0; i < n; i++) { /* columns: A^-1, then delta */
        inverse[i * (n + 1) + i] = 1.0;
        for (int k = 0; k < K; k++) inverse[i * (n + 1) + n] += direction[k * n + i] * (mean[k] - target[k]);
    }
    if (!solve(n, A, n + 1, inverse)) return false;
    for (int i = 0; i < n; i++) {
        const double *row = inverse + i * (n + 1);
        variance[i] = row[n] * row[n];
        for (int j = 0; j < n; j++)
            for (int l = 0; l < n; l++) variance[i] += row[j] * B[j * n + l] * row[l];
    }
    return true;
}

/* Error in p and the interval, from the variance in the gradient's coordinate. */
static void set_interval(const lg_problem *p, uint32_t f, int i, double value, double variance, lg_fit_record *fit)
{
    const lg_optimizer *o = lg_job_optimizer(&p->job, f);
    const lg_param_info *info = &p->job.model->param[i];
    const double slope = value * (1.0 - value); /* dp / dlogit p */
    const double error = sqrt(variance) * (o->grad_of_logit[i] ? slope : 1.0);
    const double own = o->transform[i] == LG_TRANSFORM_logit ? error / slope : error;
    const double reach = own * lg_student_95(p->sample.clusters ? p->sample.clusters - 1.0 : 0.0);
    const double x = lg_to_x(o, i, value), low = lg_from_x(o, i, x - reach), high = lg_from_x(o, i, x + reach);
    if (!isfinite(error)) return;
    fit->error[i] = error;
    fit->low[i] = low > info->lower ? low : info->lower;
    fit->high[i] = high < info->upper ? high : info->upper;
}

/* Parameters on a bound are where they are for another reason: they count as fixed. */
static void set_errors(const lg_problem *p, const measured *m, uint32_t f, double *direction, double *scratch,
                       lg_fit_record *fit)
{
    const lg_optimizer *o = lg_job_optimizer(&p->job, f);
    const double *end = m->end + f * m->P;
    double variance[LG_MAX_PARAMS];
    int axis[LG_MAX_PARAMS], n = 0;
    for (int i = 0; i < (int)m->P; i++)
        if (o->fitted[i] && end[i] > o->lower[i] && end[i] < o->upper[i]) axis[n++] = i;
    if (n == 0 || !variances(p, m, f, axis, n, direction, scratch, variance)) return;
    for (int a = 0; a < n; a++) set_interval(p, f, axis[a], end[axis[a]], variance[a], fit);
}

/* ---- all fits --------------------------------------------------------------------------------------------------- */

static lg_status set_all(lg_context *ctx, lg_problem *p, lg_result *r, measured *m)
{
    double *scratch = malloc((m->K * (m->P + 2) + 1) * sizeof *scratch);
    if (!scratch) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the standard errors");
    const lg_status status = measure(ctx, p, m);
    for (uint32_t f = 0; !status && f < p->job.fits; f++)
        if (r->fit[f].status != LG_FIT_NOT_FINITE) set_errors(p, m, f, scratch + 2 * m->K, scratch, &r->fit[f]);
    free(scratch);
    return status;
}

lg_status lg_fit_errors(lg_context *ctx, lg_problem *p, lg_result *r)
{
    const size_t F = p->job.fits;
    const char *none = why_none(p);
    if (none) {
        snprintf(r->errors, sizeof r->errors, "none: %s", none);
        return LG_OK;
    }
    describe(p, r);
    measured m = {.K = lg_job_statistics(&p->job), .P = (size_t)p->job.model->params};
    const bool table = p->sample.clusters == 0;
    m.end = malloc(F * m.P * sizeof *m.end);
    m.truth = calloc(F * m.K * m.P + 1, sizeof *m.truth);
    m.own = calloc(F * m.K * m.P + 1, sizeof *m.own);
    m.mean = calloc(F * m.K + 1, sizeof *m.mean);
    if (table) m.correlation = malloc(F * m.K * m.K * sizeof *m.correlation);
    lg_status status = m.end && m.truth && m.own && m.mean && (m.correlation || !table)
                           ? LG_OK
                           : lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the standard errors of %zu fits", F);
    for (size_t f = 0; !status && f < F; f++) {
        double loss;
        lg_result_end(r, (int)f, m.end + f * m.P, &loss);
    }
    if (!status) status = set_all(ctx, p, r, &m);
    free(m.end);
    free(m.truth);
    free(m.own);
    free(m.mean);
    free(m.correlation);
    return status;
}
