/* Which combinations of the statistics tell about the parameters: data.weights model, from pilot runs of the model.
 *
 * Of K statistics with covariance V and Jacobian J = ds/dx, the n = number of parameters combinations J^T V^-1 s are the best there are: a
 * fit to them has the errors (J^T V^-1 J)^-1, as if it weighed all K by V^-1 (optimal moments: Hansen, Econometrica 50, 1982; simulated
 * ones that are learned from runs are the semi-automatic summaries of Fearnhead and Prangle, J. R. Stat. Soc. B 74, 2012). A fit to all K
 * would have to measure J well everywhere, and its noise, K times that of one statistic, would swamp J^T V^-1 J; with n
 * combinations that are fixed beforehand, imperfect ones cost precision alone: the fit ends where s(x) = t in each of them,
 * its errors hold whatever they are (fit/errors.c), and derivatives are needed of n numbers, not of K.
 *
 * V and J come from the same N runs: they stand around the start values, and each statistic is regressed on where they stand.
 * A run tells something about every parameter at once, so that this takes n times fewer runs than to move one after the other. V is
 * the covariance of what the regression leaves. Runs come in pairs at x0 + d and x0 - d, which frees J from even terms in d.
 * Two rounds: in the first each parameter stands fd_step on one side or the other; the second has d = REACH L^-T z, z_i = +-1,
 * where L L^T = J^T V^-1 J of the first: REACH standard errors that one run would give, far along combinations that change
 * little and near along those that change much, but not beyond three steps of fd, where the model may be another one. The variances of a fit are then about 1 + K / (REACH^2 N) times those of the best
 * combinations because J has noise, times 1 + K / (N - K) because V has (Dodelson and Schneider, Phys. Rev. D 88, 2013). */
#include "backend/hosted.h"
#include "fit/problem_data.h"
#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 2 };
static const double REACH = 1.5, MOST_STEPS = 3.0;

typedef struct pilot {
    size_t N, K, P;
    int n, axis[LG_MAX_PARAMS];             /* the fitted parameters */
    double d[LG_MAX_PARAMS][LG_MAX_PARAMS]; /* displacement = d z, in the optimiser's coordinates */
    double *place;                          /* [N][n]: the displacements, within the bounds */
    double *params;                         /* [N][P] */
    double *values;                         /* [K][N] statistics of the runs */
    double *chunk;                          /* [N][K]: as the device gives them */
    double *slope, *white, *U, *scratch;    /* [K][n], [K][n], [K][K], [K][K] */
    double *sd;                             /* [K] */
} pilot;

/* ---- where the runs stand --------------------------------------------------------------------------------------- */

static double coordinate(const lg_optimizer *o, int i, double p)
{
    const bool logit = o->transform[i] == LG_TRANSFORM_logit; /* 0 and 1 are at infinity */
    return lg_to_x(o, i, logit ? fmin(fmax(p, 1e-6), 1.0 - 1e-6) : p);
}

static double fd_step(const lg_problem *p, int i)
{
    return lg_fd_step(&p->job.optimizer, i, p->job.fd_step, p->params[i]);
}

static void first_displacements(const lg_problem *p, pilot *s)
{
    for (int a = 0; a < s->n; a++)
        for (int b = 0; b < s->n; b++) s->d[a][b] = a == b ? fd_step(p, s->axis[a]) : 0.0;
}

/* d = REACH L^-T, information = L L^T; each column at most MOST_STEPS steps of fd long. */
static void next_displacements(const lg_problem *p, pilot *s, double L[LG_MAX_PARAMS][LG_MAX_PARAMS])
{
    for (int b = 0; b < s->n; b++) { /* L^T d = REACH, column by column */
        double shorten = 1.0;
        for (int a = s->n - 1; a >= 0; a--) {
            double sum = a == b ? REACH : 0.0;
            for (int k = a + 1; k < s->n; k++) sum -= L[k][a] * s->d[k][b];
            s->d[a][b] = sum / L[a][a];
            shorten = fmin(shorten, MOST_STEPS * fd_step(p, s->axis[a]) / fabs(s->d[a][b]));
        }
        for (int a = 0; a < s->n; a++) s->d[a][b] *= shorten;
    }
}

static void place_runs(const lg_problem *p, pilot *s, uint32_t round)
{
    const lg_optimizer *o = &p->job.optimizer;
    const lg_key key = lg_iteration_key(p->job.seed, LG_ITERATION_PILOT);
    for (size_t r = 0; r < s->N; r++) {
        const uint32_t signs = lg_draw(key, LG_STREAM_PILOT, 0, (uint32_t)(r / 2), round, 0).w[0] ^ (r % 2 ? ~0u : 0u);
        memcpy(s->params + r * s->P, p->params, s->P * sizeof *s->params);
        for (int a = 0; a < s->n; a++) {
            const int i = s->axis[a];
            const double x0 = coordinate(o, i, p->params[i]);
            double x = x0;
            for (int b = 0; b < s->n; b++) x += signs >> b & 1u ? s->d[a][b] : -s->d[a][b];
            x = fmin(fmax(x, coordinate(o, i, o->lower[i])), coordinate(o, i, o->upper[i]));
            s->place[r * (size_t)s->n + (size_t)a] = x - x0;
            s->params[r * s->P + (size_t)i] = lg_from_x(o, i, x);
        }
    }
}

/* ---- running them ----------------------------------------------------------------------------------------------- */

/* Runs first ... first + count - 1 of a round: fits of one replicate. Pairs start from the rows of the pool in turn. */
static lg_status run_some(lg_context *ctx, lg_problem *p, pilot *s, uint32_t round, size_t first, size_t count)
{
    const uint32_t pool = p->job.pool;
    uint32_t *rows = malloc(count * pool * sizeof *rows);
    if (!rows) return lg_data_no_memory(ctx);
    for (size_t r = 0; r < count; r++)
        for (uint32_t k = 0; k < pool; k++) rows[r * pool + k] = (uint32_t)((first + r) / 2 + k) % pool;
    lg_job job = p->job;
    job.fits = (uint32_t)count;
    job.first_fit = (uint32_t)(round * s->N + first);
    job.replicates = 1;
    job.share = NULL;
    job.start = p->start;
    job.resample = pool > 1 ? rows : NULL;
    job.target = NULL;
    job.record = p->record;
    job.target_stat = p->target_stat;
    job.weight_stat = p->weight_stat;
    job.params = s->params + first * s->P;
    lg_dbatch *batch = NULL;
    lg_status status = p->backend->create(ctx, p->device, &job, false, &batch);
    if (!status) status = p->backend->reset(ctx, batch, LG_ITERATION_PILOT);
    if (!status) status = p->backend->forward(ctx, batch, job.steps, false);
    if (!status) status = p->backend->loss(ctx, batch);
    if (!status) status = p->backend->get_statistics(ctx, batch, s->chunk);
    if (batch) p->backend->destroy(batch);
    free(rows);
    for (size_t r = 0; !status && r < count; r++)
        for (size_t k = 0; k < s->K; k++) s->values[k * s->N + first + r] = s->chunk[r * s->K + k];
    return status;
}

static lg_status run_all(lg_context *ctx, lg_problem *p, pilot *s, uint32_t round)
{
    const size_t states = ((size_t)1 << 28) / lg_job_state_bytes(&p->job), most = states > 2 ? states : 2;
    lg_status status = LG_OK;
    for (size_t first = 0; !status && first < s->N; first += most)
        status = run_some(ctx, p, s, round, first, s->N - first < most ? s->N - first : most);
    return status;
}

/* ---- what they say ---------------------------------------------------------------------------------------------- */

/* slope = ds/dx by least squares; of the values the residuals are left. false: a parameter did not move. */
static bool regress(pilot *s)
{
    const size_t n = (size_t)s->n;
    double G[LG_MAX_PARAMS][LG_MAX_PARAMS] = {{0.0}}, mean[LG_MAX_PARAMS] = {0.0};
    for (size_t r = 0; r < s->N; r++)
        for (size_t a = 0; a < n; a++) mean[a] += s->place[r * n + a] / (double)s->N;
    for (size_t r = 0; r < s->N; r++)
        for (size_t a = 0; a < n; a++) s->place[r * n + a] -= mean[a];
    for (size_t r = 0; r < s->N; r++)
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++) G[a][b] += s->place[r * n + a] * s->place[r * n + b];
    if (!lg_cholesky(G, s->n)) return false;
    for (size_t k = 0; k < s->K; k++) {
        double *v = s->values + k * s->N, *b = s->slope + k * n;
        for (size_t a = 0; a < n; a++) b[a] = 0.0;
        for (size_t r = 0; r < s->N; r++)
            for (size_t a = 0; a < n; a++) b[a] += s->place[r * n + a] * v[r];
        for (size_t a = 0; a < n; a++) { /* L y = b, L^T slope = y */
            for (size_t c = 0; c < a; c++) b[a] -= G[a][c] * b[c];
            b[a] /= G[a][a];
        }
        for (size_t a = n; a-- > 0;) {
            for (size_t c = a + 1; c < n; c++) b[a] -= G[c][a] * b[c];
            b[a] /= G[a][a];
        }
        for (size_t r = 0; r < s->N; r++)
            for (size_t a = 0; a < n; a++) v[r] -= s->place[r * n + a] * b[a];
    }
    return true;
}

/* white = U slope, and L of white^T white = L L^T. */
static bool information(pilot *s, double L[LG_MAX_PARAMS][LG_MAX_PARAMS])
{
    const size_t n = (size_t)s->n;
    memset(s->white, 0, s->K * n * sizeof *s->white);
    for (size_t k = 0; k < s->K; k++)
        for (size_t l = 0; l <= k; l++)
            for (size_t a = 0; a < n; a++) s->white[k * n + a] += s->U[k * s->K + l] * s->slope[l * n + a];
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++) {
            L[a][b] = 0.0;
            for (size_t k = 0; k < s->K; k++) L[a][b] += s->white[k * n + a] * s->white[k * n + b];
        }
    return lg_cholesky(L, s->n);
}

/* combine = sqrt(runs) L^-1 white^T U: at the truth the combinations of the data's means have the covariance 1. */
static void combine(const pilot *s, double L[LG_MAX_PARAMS][LG_MAX_PARAMS], uint32_t runs, double *rows)
{
    const size_t n = (size_t)s->n, K = s->K;
    memset(rows, 0, n * K * sizeof *rows);
    for (size_t a = 0; a < n; a++) {
        double *row = rows + a * K;
        for (size_t k = 0; k < K; k++)
            for (size_t l = 0; l <= k; l++) row[l] += sqrt(runs) * s->white[k * n + a] * s->U[k * K + l];
        for (size_t b = 0; b < a; b++)
            for (size_t k = 0; k < K; k++) row[k] -= L[a][b] * rows[b * K + k];
        for (size_t k = 0; k < K; k++) row[k] /= L[a][a];
    }
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static lg_status pilot_runs(lg_context *ctx, const lg_config *c, size_t K, size_t *runs)
{
    enum { LEAST = 8, EACH = 8, USUAL = 256, MOST = 65536 };
    int64_t value = 0;
    const lg_status status = lg_config_int(ctx, c, "data.pilot", &value);
    if (status) return status;
    if (value > 0 && value < LEAST)
        return lg_fail(ctx, LG_ERR_RANGE, "%s: data.pilot is %lld: expected 0 or %d to %d",
                       lg_config_origin(c, "data.pilot"), (long long)value, LEAST, MOST);
    *runs = value > 0 ? (size_t)value : EACH * K;
    if (value == 0 && *runs < USUAL) *runs = USUAL;
    if (*runs > MOST) *runs = MOST;
    if (*runs < 2 * K)
        lg_log(ctx, LG_LOG_WARNING,
               "data.pilot: %zu runs hardly show the covariance of %zu statistics; expected %zu or more", *runs, K,
               EACH * K);
    return LG_OK;
}

static void choose_axes(const lg_problem *p, pilot *s)
{
    for (int i = 0; i < (int)s->P; i++)
        if (p->job.optimizer.fitted[i]) s->axis[s->n++] = i;
    if (s->n) return;
    for (int i = 0; i < (int)s->P; i++) s->axis[s->n++] = i; /* a gradient is asked for, not a fit */
}

static bool allocate(pilot *s)
{
    const size_t n = (size_t)s->n;
    s->place = malloc(s->N * n * sizeof *s->place);
    s->params = malloc(s->N * s->P * sizeof *s->params);
    s->values = malloc(s->N * s->K * sizeof *s->values);
    s->chunk = malloc(s->N * s->K * sizeof *s->chunk);
    s->slope = malloc(s->K * n * sizeof *s->slope);
    s->white = malloc(s->K * n * sizeof *s->white);
    s->U = malloc(s->K * s->K * sizeof *s->U);
    s->scratch = malloc(s->K * s->K * sizeof *s->scratch);
    s->sd = malloc(s->K * sizeof *s->sd);
    return s->place && s->params && s->values && s->chunk && s->slope && s->white && s->U && s->scratch && s->sd;
}

static void release(pilot *s)
{
    double *const owned[] = {s->place, s->params, s->values, s->chunk, s->slope, s->white, s->U, s->scratch, s->sd};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}

static lg_status one_round(lg_context *ctx, lg_problem *p, pilot *s, uint32_t round,
                           double L[LG_MAX_PARAMS][LG_MAX_PARAMS], double *lambda)
{
    place_runs(p, s, round);
    const lg_status status = run_all(ctx, p, s, round);
    if (status) return status;
    if (regress(s) && lg_data_whitener(s->values, s->N, s->K, s->sd, s->scratch, s->U, lambda) && information(s, L))
        return LG_OK;
    return lg_fail(
        ctx, LG_ERR_NUMERIC,
        "data.weights model: from %zu runs around the start values nothing can be said about one of the parameters; "
        "set data.pilot to more, or start within the bounds",
        s->N);
}

lg_status lg_data_combine(lg_context *ctx, const lg_config *c, lg_problem *p, uint32_t runs)
{
    pilot s = {.K = lg_job_statistics(&p->job), .P = (size_t)p->job.model->params};
    double L[LG_MAX_PARAMS][LG_MAX_PARAMS], lambda = 0.0;
    lg_status status = pilot_runs(ctx, c, s.K, &s.N);
    if (status) return status;
    choose_axes(p, &s);
    p->combinations = (uint32_t)s.n;
    p->combine = malloc((size_t)s.n * s.K * sizeof *p->combine);
    if (!allocate(&s) || !p->combine) status = lg_data_no_memory(ctx);
    lg_log(ctx, LG_LOG_INFO,
           "%d x %zu runs around the start values, for which combinations of %zu statistics tell about %d parameter%s",
           ROUNDS, s.N, s.K, s.n, s.n == 1 ? "" : "s");
    for (uint32_t round = 0; !status && round < ROUNDS; round++) {
        if (round == 0) first_displacements(p, &s);
        else next_displacements(p, &s, L);
        status = one_round(ctx, p, &s, round, L, &lambda);
    }
    if (!status) {
        combine(&s, L, runs, p->combine);
        for (size_t k = 0; k < s.K; k++) p->weight_stat[k] = s.sd[k] > 0.0 ? runs / (s.sd[k] * s.sd[k]) : 0.0;
        lg_log(ctx, LG_LOG_INFO, "correlations of the %zu statistics shrunk by %.2g", s.K, lambda);
    }
    release(&s);
    return status;
}
