/* Data of random walks: MSD curves from tables, from tracks and of generated walkers. */
#include <stdlib.h>
#include <string.h>

#include "data/tracks.h"
#include "fit/problem_data.h"

/* MSD of generated walkers: per step the mean of x^2 + y^2, from the states. */
static lg_status generate_msd(lg_context *ctx, const lg_config *c, lg_problem *p, lg_generator *g)
{
    lg_status status = lg_generator_open(ctx, c, p, p->job.steps, g);
    if (status) return status;
    int32_t *walkers = malloc((size_t)g->job.replicates * 4 * sizeof *walkers);
    if (!walkers || !lg_data_allocate_targets(p, p->job.steps)) status = lg_data_no_memory(ctx);
    if (!status && lg_data_keeps(p, g->job.replicates, p->job.steps))
        status = lg_sample_open(ctx, &p->sample, g->job.replicates, p->job.steps, false);
    for (uint32_t t = 0; !status && t < p->job.steps; t++) {
        status = p->backend->forward(ctx, g->batch, 1, false);
        if (!status) status = p->backend->get_states(ctx, g->batch, 0, 0, g->job.replicates, walkers);
        int64_t sum = 0;
        for (size_t i = 0; !status && i < g->job.replicates; i++) {
            const int64_t square =
                (int64_t)walkers[4 * i] * walkers[4 * i] + (int64_t)walkers[4 * i + 1] * walkers[4 * i + 1];
            sum += square;
            if (p->sample.sum) p->sample.sum[i * p->job.steps + t] = (double)square;
        }
        p->target_stat[t] = (double)sum / g->job.replicates;
        p->record[t] = t + 1;
    }
    free(walkers);
    return status;
}

/* The tracks' parts of every lag. */
static lg_status keep_tracks(lg_context *ctx, lg_problem *p, const lg_tracks *tracks, lg_msd_variant variant,
                             const lg_msd *msd)
{
    const lg_status status = lg_sample_open(ctx, &p->sample, lg_tracks_count(tracks), msd->rows, true);
    if (!status) lg_tracks_parts(tracks, variant, msd->row[0].time_s, msd->rows, p->sample.sum, p->sample.count);
    return status;
}

/* The standard errors of a table, in lattice units; the parts of tracks were kept before. */
static lg_status keep_errors(lg_context *ctx, lg_problem *p, const lg_msd *msd, double spacing2, bool by_sem)
{
    p->sample.scale = 1.0 / spacing2;
    p->sample.by_sem = by_sem;
    if (p->sample.clusters) return LG_OK;
    p->sample.values = p->job.steps;
    p->sample.sem = malloc((p->job.steps + 1) * sizeof *p->sample.sem);
    if (!p->sample.sem) return lg_data_no_memory(ctx);
    for (uint32_t k = 0; k < p->job.steps; k++) p->sample.sem[k] = msd->row[k].sem / spacing2;
    return LG_OK;
}

static lg_status read_msd(lg_context *ctx, const lg_config *c, lg_problem *p, lg_msd *msd)
{
    const bool table = lg_config_is_set(c, "data.msd");
    char *path = lg_config_path(c, table ? "data.msd" : "data.tracks");
    if (!path) return lg_data_no_memory(ctx);
    lg_status status = LG_OK;
    if (table) {
        status = lg_msd_read(ctx, path, msd);
    } else {
        static const char *const variants[] = {"time", "index", "nonoverlap", "start"};
        lg_tracks *tracks = NULL;
        const char *variant = NULL;
        double interval = 0.0;
        int v = 0;
        status = lg_tracks_read(ctx, path, &tracks);
        if (!status) status = lg_config_text(ctx, c, "data.variant", &variant);
        if (!status) status = lg_config_real(ctx, c, "data.interval", &interval);
        while (!status && v < 3 && strcmp(variant, variants[v]) != 0) v++;
        if (!status) status = lg_tracks_msd(ctx, tracks, (lg_msd_variant)v, interval, 0, msd);
        if (!status && lg_data_keeps(p, lg_tracks_count(tracks), msd->rows))
            status = keep_tracks(ctx, p, tracks, (lg_msd_variant)v, msd);
        lg_tracks_free(tracks);
    }
    free(path);
    return status;
}

/* target = msd / spacing^2; weights 1, or 1 / sem^2 in lattice units. */
static lg_status use_msd(lg_context *ctx, const lg_config *c, lg_problem *p, const lg_msd *msd)
{
    double spacing2 = 1.0;
    const char *weights;
    lg_status status = lg_config_real(ctx, c, "data.spacing2", &spacing2);
    if (!status) status = lg_config_text(ctx, c, "data.weights", &weights);
    if (status) return status;
    const bool by_sem = strcmp(weights, "sem") == 0;
    if (lg_config_is_set(c, "steps") && p->job.steps > msd->rows)
        return lg_fail(ctx, LG_ERR_DATA, "%s: steps is %u, and the MSD curve has %zu lags",
                       lg_config_origin(c, "steps"), p->job.steps, msd->rows);
    if (!lg_config_is_set(c, "steps") && p->job.steps > msd->rows) p->job.steps = (uint32_t)msd->rows;
    if (!lg_data_allocate_targets(p, p->job.steps)) return lg_data_no_memory(ctx);
    for (uint32_t k = 0; k < p->job.steps; k++) {
        p->record[k] = k + 1;
        p->target_stat[k] = msd->row[k].msd / spacing2;
        const double sem = msd->row[k].sem / spacing2;
        if (by_sem && !(sem > 0.0))
            return lg_fail(ctx, LG_ERR_DATA,
                           "data.weights is sem, and lag %u has no positive standard error: use data.weights none",
                           k + 1);
        if (by_sem) p->weight_stat[k] = 1.0 / (sem * sem);
    }
    if ((status = keep_errors(ctx, p, msd, spacing2, by_sem))) return status;
    if (p->target_stat[0] > 2.0)
        lg_log(ctx, LG_LOG_WARNING,
               "the first MSD is %.3g in lattice units, and the model reaches at most 2 (one site per axis and step): "
               "the first lags "
               "cannot be matched; a larger data.spacing2 would help",
               p->target_stat[0]);
    return LG_OK;
}

lg_status lg_data_load_walks(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    const char *weights;
    lg_status given = lg_config_text(ctx, c, "data.weights", &weights);
    if (given) return given;
    if (strcmp(weights, "model") == 0)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "%s: data.weights model is for lattice runs: set none or sem",
                       lg_config_origin(c, "data.weights"));
    p->job.pool = 1;
    if (lg_config_is_set(c, "data.msd") && lg_config_is_set(c, "data.tracks"))
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: data.msd and data.tracks are both set: keep one",
                       lg_config_origin(c, "data.tracks"));
    if (lg_config_is_set(c, "data.msd") || lg_config_is_set(c, "data.tracks")) {
        lg_msd msd = {0};
        lg_status status = read_msd(ctx, c, p, &msd);
        if (!status) status = use_msd(ctx, c, p, &msd);
        lg_msd_clear(&msd);
        return status;
    }
    lg_generator g = {0};
    bool generates = false;
    lg_status status = lg_generate_params(ctx, c, &p->job, g.params, &generates);
    if (status) return status;
    if (!generates) return lg_data_require(ctx, &p->job, "data.msd or data.tracks");
    status = generate_msd(ctx, c, p, &g);
    lg_generator_close(p, &g);
    return status;
}
