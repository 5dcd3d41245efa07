/* The bootstrap: data sets drawn again from what the data are made of.
 *
 *   tracks, walkers      whole tracks are drawn with replacement; the MSD, and its weights, are those of the drawn tracks
 *   MSD table            each lag is drawn from a normal with its standard error (parametric). A table does not tell how
 *                        lags are correlated, so they are drawn independently; curves of tracks are strongly correlated, and
 *                        intervals from a table can be too narrow or too wide for that
 *   lattice transitions  whole runs are drawn where there are several: the pairs of a run are one history, and what was
 *                        sampled independently is the run. From a single run pairs are drawn: given the state before, the
 *                        draws of one step depend on nothing else
 *   lattice trajectories whole runs: their statistics and their start states
 *
 * Resample 0 is the data as they are. Resample b draws with the key of the seed, so it is the same in every ensemble of
 * that seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc64.h"
#include "fit/problem.h"

static lg_status no_memory(lg_context *ctx)
{
    return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the resampled data");
}

lg_status lg_sample_open(lg_context *ctx, lg_sample *s, size_t clusters, size_t values, bool counted)
{
    if (values && clusters > SIZE_MAX / sizeof(double) / values) return no_memory(ctx);
    s->clusters = (uint32_t)clusters;
    s->values = values;
    s->scale = 1.0;
    s->sum = calloc(clusters * values + 1, sizeof *s->sum);
    if (counted) s->count = calloc(clusters * values + 1, sizeof *s->count);
    return s->sum && (s->count || !counted) ? LG_OK : no_memory(ctx);
}

void lg_sample_close(lg_sample *s)
{
    free(s->sum);
    free(s->count);
    free(s->sem);
    *s = (lg_sample){.clusters = 0};
}

uint64_t lg_sample_hash(const lg_sample *s)
{
    const size_t size = s->clusters * s->values * sizeof(double);
    lg_crc64 crc;
    if (!s->sum && !s->sem) return 0;
    lg_crc64_begin(&crc);
    lg_crc64_add(&crc, &s->clusters, sizeof s->clusters);
    if (s->sum) lg_crc64_add(&crc, s->sum, size);
    if (s->count) lg_crc64_add(&crc, s->count, size);
    if (s->sem) lg_crc64_add(&crc, s->sem, s->values * sizeof(double));
    return lg_crc64_value(&crc);
}

/* ---- draws ------------------------------------------------------------------------------------------------------ */

/* Draw i of resample b: one of n, uniformly. */
static uint32_t draw_index(uint64_t seed, uint32_t b, uint32_t i, uint32_t n)
{
    const lg_block block = lg_draw(lg_seed_key(seed), LG_STREAM_BOOTSTRAP, b, 0, 0, i / 4);
    return (uint32_t)((uint64_t)block.w[i % 4] * n >> 32);
}

/* Draw i of resample b from the standard normal (Box and Muller). */
static double draw_normal(uint64_t seed, uint32_t b, uint32_t i)
{
    const lg_block block = lg_draw(lg_seed_key(seed), LG_STREAM_BOOTSTRAP, b, 1, 0, i);
    const double u = lg_u31_real(block.w[0]), v = lg_u31_real(block.w[1]);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* ---- targets ---------------------------------------------------------------------------------------------------- */

/* Target k where cluster c was drawn times[c] times, and its weight: 1 / sem^2 with the sem of data/msd.c, kept as it was
 * where the drawn clusters have none. A value that none of them contributes to weighs nothing. */
static void combine(const lg_sample *s, const uint32_t *times, size_t k, double *target, double *weight)
{
    double total = 0.0, n = 0.0, squares = 0.0, clusters = 0.0;
    for (size_t c = 0; c < s->clusters; c++) {
        const double count = s->count ? s->count[c * s->values + k] : 1.0;
        total += times[c] * s->sum[c * s->values + k];
        n += times[c] * count;
        clusters += count > 0.0 ? times[c] : 0.0;
    }
    if (!(n > 0.0)) {
        *target = *weight = 0.0;
        return;
    }
    *target = s->scale * total / n;
    if (!s->by_sem) return;
    for (size_t c = 0; c < s->clusters; c++) {
        const double count = s->count ? s->count[c * s->values + k] : 1.0;
        const double residual = s->sum[c * s->values + k] - count * total / n;
        squares += times[c] * residual * residual;
    }
    const double variance =
        clusters > 1.0 ? clusters / (clusters - 1.0) * squares / (n * n) * s->scale * s->scale : 0.0;
    if (variance > 0.0) *weight = 1.0 / variance;
}

static void draw_targets(const lg_problem *p, uint32_t b, const uint32_t *times, double *target, double *weight)
{
    const lg_sample *s = &p->sample;
    const size_t K = lg_job_statistics(&p->job);
    memcpy(target, p->target_stat, K * sizeof *target);
    memcpy(weight, p->weight_stat, K * sizeof *weight);
    for (size_t k = 0; b > 0 && k < K; k++) {
        if (s->clusters) combine(s, times, k, &target[k], &weight[k]);
        else target[k] = fmax(0.0, target[k] + s->sem[k] * draw_normal(p->job.seed, b, (uint32_t)k));
    }
}

/* ---- pools ------------------------------------------------------------------------------------------------------ */

/* Rows of the pool: of each drawn run all its rows in order, or each row drawn by itself. */
static void draw_rows(const lg_problem *p, uint32_t b, uint32_t *row)
{
    const uint32_t pool = p->job.pool, units = p->sample.clusters > 1 ? p->sample.clusters : pool,
                   length = pool / units;
    for (uint32_t i = 0; i < units; i++) {
        const uint32_t chosen = b == 0 ? i : draw_index(p->job.seed, b, i, units);
        for (uint32_t t = 0; t < length; t++) row[i * length + t] = chosen * length + t;
    }
}

/* ---- all fits --------------------------------------------------------------------------------------------------- */

static lg_status check(lg_context *ctx, const lg_config *c, const lg_problem *p)
{
    const lg_sample *s = &p->sample;
    const char *where = lg_config_origin(c, "ensemble.bootstrap");
    if (p->job.task == LG_TASK_stability)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "%s: ensemble.bootstrap: task stability compares with one reference state, and nothing can be "
                       "drawn from one; "
                       "ensemble.seeds shows how far the noise alone carries",
                       where);
    if (p->job.task == LG_TASK_transition && p->job.pool > 1) return LG_OK;
    if (s->clusters > 1) return LG_OK;
    if (p->job.task == LG_TASK_trajectory && !p->job.model->species && s->clusters == 0) {
        for (uint32_t k = 0; k < lg_job_statistics(&p->job); k++)
            if (!(s->sem && isfinite(s->sem[k]) && s->sem[k] >= 0.0))
                return lg_fail(
                    ctx, LG_ERR_DATA,
                    "%s: ensemble.bootstrap draws within the standard errors of the MSD table, and lag %u has none: "
                    "add a column sem, or use data.tracks",
                    where, k + 1);
        return LG_OK;
    }
    return lg_fail(ctx, LG_ERR_DATA, "%s: ensemble.bootstrap draws from several %s, and the data have one", where,
                   p->job.model->species ? (p->job.task == LG_TASK_transition ? "transition pairs" : "runs")
                                         : "tracks");
}

static lg_status resample_targets(lg_context *ctx, lg_problem *p)
{
    const lg_sample *s = &p->sample;
    const size_t K = lg_job_statistics(&p->job), F = p->job.fits;
    p->fit_target = malloc((F * K + 1) * sizeof *p->fit_target);
    p->fit_weight = malloc((F * K + 1) * sizeof *p->fit_weight);
    uint32_t *times = malloc((s->clusters + 1) * sizeof *times);
    uint32_t last = UINT32_MAX;
    for (uint32_t f = 0; f < F && p->fit_target && p->fit_weight && times; f++) {
        const uint32_t b = lg_ensemble_member(&p->ensemble, p->job.first_fit + f).resample;
        double *target = p->fit_target + f * K, *weight = p->fit_weight + f * K;
        if (f > 0 && b == last) { /* fits of one data set follow one another */
            memcpy(target, target - K, K * sizeof *target);
            memcpy(weight, weight - K, K * sizeof *weight);
            continue;
        }
        last = b;
        memset(times, 0, s->clusters * sizeof *times);
        for (uint32_t i = 0; b > 0 && i < s->clusters; i++) times[draw_index(p->job.seed, b, i, s->clusters)]++;
        draw_targets(p, b, times, target, weight);
    }
    const bool good = p->fit_target && p->fit_weight && times;
    free(times);
    if (!good) return no_memory(ctx);
    p->job.stat_per_fit = true;
    p->job.target_stat = p->fit_target;
    p->job.weight_stat = p->fit_weight;
    return LG_OK;
}

static lg_status resample_rows(lg_context *ctx, lg_problem *p)
{
    const size_t pool = p->job.pool;
    p->resample = malloc(((size_t)p->job.fits * pool + 1) * sizeof *p->resample);
    if (!p->resample) return no_memory(ctx);
    for (uint32_t f = 0; f < p->job.fits; f++)
        draw_rows(p, lg_ensemble_member(&p->ensemble, p->job.first_fit + f).resample, p->resample + f * pool);
    p->job.resample = p->resample;
    return LG_OK;
}

lg_status lg_resample(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    if (p->ensemble.resamples < 2) return LG_OK;
    lg_status status = check(ctx, c, p);
    if (!status && p->job.target_stat) status = resample_targets(ctx, p);
    if (!status && p->job.model->species) status = resample_rows(ctx, p);
    return status;
}
