/* Closed forms of the expected loss, for gradient checks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fit/gradcheck.h"
#include "model/models.h"
#include "rules/prw.h"
#include "rules/si.h"

/* ---- SI transitions ---------------------------------------------------------------------------------------------- */

/* The draws of a pair are independent, y ~ Bernoulli(p), p = 1 - (1 - beta)^N, dp = N (1 - beta)^(N-1); o is the observation.
 *   sse    E = sum p (1 - o) + (1 - p) o, gradient sum dp (1 - 2 o); L(E y) = sum (p - o)^2, gradient sum 2 (p - o) dp
 *   count  E = (sum p - sum o)^2 + sum p (1 - p); L(E y) without the last sum
 *   nll    no draws */
typedef struct pair_sums {
    double single, single_mean;                /* sse: gradients of E L and of L(E y) */
    double count, slope, variance, likelihood; /* sum p - sum o, sum dp, sum (1 - 2 p) dp, d nll / dbeta */
} pair_sums;

static pair_sums add_pair(const lg_job *job, double beta, const uint8_t *x, const uint8_t *o)
{
    const size_t H = job->height, W = job->width;
    pair_sums s = {0};
    for (size_t i = 0; i < H * W; i++) {
        int N = 0;
        for (size_t k = 0; k < 9; k++)
            if (k != 4) N += x[(i / W + H + k / 3 - 1) % H * W + (i % W + W + k % 3 - 1) % W];
        if (x[i]) continue;
        const double p = 1.0 - pow(1.0 - beta, N), dp = N ? N * pow(1.0 - beta, N - 1) : 0.0;
        s.single += dp * (1.0 - 2.0 * o[i]);
        s.single_mean += 2.0 * (p - o[i]) * dp;
        s.count += p - o[i];
        s.slope += dp;
        s.variance += (1.0 - 2.0 * p) * dp;
        if (N) s.likelihood += o[i] ? -dp / p : dp / (1.0 - p);
    }
    return s;
}

static void si_closed(const lg_job *job, double beta, lg_reference *out)
{
    const size_t bytes = lg_job_state_bytes(job);
    const double R = job->replicates, entries = R * (double)lg_job_sites(job);
    for (uint32_t r = 0; r < job->replicates; r++) {
        const size_t row = lg_job_pool_row(job, 0, 0, r);
        const pair_sums s = add_pair(job, beta, job->start + row * bytes, job->target + row * bytes);
        switch (job->loss) {
        case LG_LOSS_nll: out->gradient[0] += s.likelihood; break;
        case LG_LOSS_count:
            out->outcome[0] += 2.0 * s.count * s.slope / R;
            out->gradient[0] += (2.0 * s.count * s.slope + s.variance) / R;
            break;
        default:
            out->outcome[0] += s.single_mean / (job->loss == LG_LOSS_mse ? entries : 1.0);
            out->gradient[0] += s.single / (job->loss == LG_LOSS_mse ? entries : 1.0);
        }
    }
    out->has_outcome = job->loss != LG_LOSS_nll;
}

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

/* The law of position and velocity of one axis, step by step: q[v][x]; x from -n to n. */
typedef struct axis_law {
    size_t width;
    double *q[3], *next[3];
} axis_law;

static void law_step(const axis_law *a, double keep, const double *velocity)
{
    for (size_t x = 0; x < a->width; x++) {
        const double all = a->q[0][x] + a->q[1][x] + a->q[2][x];
        for (size_t v = 0; v < 3; v++) {
            const double here = keep * a->q[v][x] + (1.0 - keep) * velocity[v] * all;
            if (here > 0.0) a->next[v][x + v - 1] += here; /* x + v - 1 is inside: width allows one step more */
        }
    }
    for (size_t v = 0; v < 3; v++) {
        memcpy(a->q[v], a->next[v], a->width * sizeof(double));
        memset(a->next[v], 0, a->width * sizeof(double));
    }
}

/* E L of R walkers: sum_k w_k ((m_k - target_k)^2 + 2 Var(x_k^2) / R), m_k = 2 E x_k^2; both axes have the same law. */
static double walk_loss(const lg_job *job, const axis_law *a, const double *logit)
{
    const double pc = lg_sigmoid(logit[0]), side = 0.5 * lg_sigmoid(-logit[0]), velocity[3] = {side, pc, side};
    const size_t centre = a->width / 2;
    double loss = 0.0;
    uint32_t k = 0;
    for (size_t v = 0; v < 3; v++) {
        memset(a->q[v], 0, a->width * sizeof(double));
        memset(a->next[v], 0, a->width * sizeof(double));
        a->q[v][centre] = velocity[v];
    }
    for (uint32_t t = 1; t <= job->steps && k < job->records; t++) {
        law_step(a, lg_sigmoid(-logit[1]), velocity);
        if (job->record[k] != t) continue;
        double second = 0.0, fourth = 0.0;
        for (size_t x = 0; x < a->width; x++) {
            const double q = a->q[0][x] + a->q[1][x] + a->q[2][x], d = (double)x - (double)centre, d2 = d * d;
            second += q * d2;
            fourth += q * d2 * d2;
        }
        const double off = 2.0 * second - job->target_stat[k];
        loss += job->weight_stat[k] * (off * off + 2.0 * (fourth - second * second) / job->replicates);
        k++;
    }
    return loss;
}

/* L at the expected MSD. */
static void walk_outcome(const lg_job *job, const double *params, double *memory, double *gradient)
{
    double *msd = memory, *slopes = memory + job->steps;
    lg_prw_msd(params[0], params[1], job->steps, msd);
    lg_prw_msd_slopes(params[0], params[1], job->steps, slopes);
    for (uint32_t k = 0; k < job->records; k++)
        for (size_t i = 0; i < LG_PRW_PARAMS; i++)
            gradient[i] += 2.0 * job->weight_stat[k] * (msd[job->record[k] - 1] - job->target_stat[k]) *
                           slopes[LG_PRW_PARAMS * (job->record[k] - 1) + i];
}

static bool prw_closed(const lg_job *job, const double *params, lg_reference *out)
{
    axis_law a = {.width = 2 * (size_t)job->steps + 5};
    double *memory = calloc(6 * a.width, sizeof *memory);
    if (!memory) return false;
    for (size_t v = 0; v < 3; v++) {
        a.q[v] = memory + v * a.width;
        a.next[v] = memory + (3 + v) * a.width;
    }
    for (int i = 0; i < LG_PRW_PARAMS; i++) {
        const double h = 1e-4;
        double up[2] = {lg_logit(params[0]), lg_logit(params[1])}, down[2] = {up[0], up[1]};
        up[i] += h;
        down[i] -= h;
        out->gradient[i] = (walk_loss(job, &a, up) - walk_loss(job, &a, down)) / (2.0 * h);
    }
    walk_outcome(job, params, memory, out->outcome);
    out->has_outcome = true;
    free(memory);
    return true;
}

bool lg_gradcheck_closed(lg_context *ctx, const lg_job *job, const double *params, lg_reference *out, lg_status *status)
{
    *status = LG_OK;
    memset(out, 0, sizeof *out);
    if (job->model->id == LG_MODEL_SI && job->task == LG_TASK_transition) {
        si_closed(job, params[0], out);
    } else if (job->model->id == LG_MODEL_PRW && params[0] > 0.0 && params[0] < 1.0 && params[1] > 0.0 &&
               params[1] < 1.0) {
        if (!prw_closed(job, params, out))
            *status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %u lags", job->steps);
    } else {
        return false;
    }
    out->closed_form = true;
    snprintf(out->how, sizeof out->how, "closed form of the expected loss");
    return true;
}
