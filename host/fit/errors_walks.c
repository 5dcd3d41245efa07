/* How the lags of an MSD are correlated, by the model: for tables, which do not tell. */
#include <math.h>
#include <stdlib.h>

#include "fit/errors.h"

enum { WALKERS = 2048 };

/* Squared displacements of a fit's walkers at the recorded lags, square[WALKERS][K], to their correlation. */
static void correlate(const double *square, size_t K, double *out)
{
    for (size_t k = 0; k < K; k++)
        for (size_t l = 0; l <= k; l++) {
            double a = 0.0, b = 0.0, ab = 0.0;
            for (size_t i = 0; i < WALKERS; i++) {
                a += square[i * K + k];
                b += square[i * K + l];
                ab += square[i * K + k] * square[i * K + l];
            }
            out[k * K + l] = out[l * K + k] = ab / WALKERS - (a / WALKERS) * (b / WALKERS);
        }
    for (size_t k = 0; k < K; k++) /* covariances below and above the diagonal to correlations, the diagonal last */
        for (size_t l = 0; l < k; l++) {
            const double scale = sqrt(out[k * K + k] * out[l * K + l]);
            out[k * K + l] = out[l * K + k] = scale > 0.0 ? out[k * K + l] / scale : 0.0;
        }
    for (size_t k = 0; k < K; k++) out[k * K + k] = 1.0;
}

/* Walks to the next recorded lag and takes the squares of fit f's walkers there. */
static lg_status take_squares(lg_context *ctx, const lg_backend *backend, lg_dbatch *batch, uint32_t fit, size_t K,
                              size_t k, int32_t *walkers, double *square)
{
    const lg_status status = backend->get_states(ctx, batch, fit, 0, WALKERS, walkers);
    for (size_t i = 0; !status && i < WALKERS; i++) {
        const double x = walkers[4 * i], y = walkers[4 * i + 1];
        square[i * K + k] = x * x + y * y;
    }
    return status;
}

static lg_status walk(lg_context *ctx, const lg_problem *p, lg_dbatch *batch, double *square, int32_t *walkers)
{
    const lg_backend *backend = p->backend;
    const size_t K = p->job.records;
    lg_status status = backend->reset(ctx, batch, LG_ITERATION_WALK);
    for (size_t k = 0; !status && k < K; k++) {
        status = backend->forward(ctx, batch, p->job.record[k] - (k ? p->job.record[k - 1] : 0), false);
        for (uint32_t f = 0; !status && f < p->job.fits; f++)
            status = take_squares(ctx, backend, batch, f, K, k, walkers, square + f * WALKERS * K);
    }
    return status;
}

lg_status lg_walk_correlation(lg_context *ctx, const lg_problem *p, const double *params, double *out)
{
    const size_t K = p->job.records, F = p->job.fits;
    const lg_job job = {.model = p->job.model,
                        .task = LG_TASK_simulate,
                        .fits = p->job.fits,
                        .first_fit = p->job.first_fit,
                        .replicates = WALKERS,
                        .steps = p->job.steps,
                        .tau = 1.0,
                        .seed = p->job.seed,
                        .pool = 1,
                        .params = params,
                        .memory_limit = p->job.memory_limit};
    lg_dbatch *batch = NULL;
    double *square = malloc(F * WALKERS * K * sizeof *square);
    int32_t *walkers = malloc(WALKERS * 4 * sizeof *walkers);
    lg_status status = square && walkers ? p->backend->create(ctx, p->device, &job, false, &batch)
                                         : lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the lags of %zu fits", F);
    if (!status) status = walk(ctx, p, batch, square, walkers);
    if (batch) p->backend->destroy(batch);
    for (size_t f = 0; !status && f < F; f++) correlate(square + f * WALKERS * K, K, out + f * K * K);
    free(square);
    free(walkers);
    return status;
}
