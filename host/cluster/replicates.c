/* The replicates of each fit, shared out over ranks. */
#include "cluster/replicates.h"

#include <string.h>

#include "config/config.h"
#include "fit/problem.h"

/* ---- what the backend and the loop ask of the others ------------------------------------------------------------- */

typedef struct group {
    lg_context *ctx;
    lg_cluster *cluster;
} group;

static lg_status gather(void *user, const double *mine, const size_t *count, double *all)
{
    group *g = user;
    const lg_status status = lg_transport_gather(g->ctx, g->cluster, mine, count, all);
    if (status) g->cluster->broken = true; /* the others are in the middle of an iteration */
    return status;
}

static lg_status lead(void *user, void *word, size_t size)
{
    group *g = user;
    const lg_status status = lg_transport_broadcast(g->ctx, g->cluster, 0, word, size);
    if (status) g->cluster->broken = true;
    return status;
}

static lg_status agree(void *user, lg_status status)
{
    group *g = user;
    return lg_cluster_agree(g->ctx, g->cluster, status);
}

/* ---- the choice -------------------------------------------------------------------------------------------------- */

/* Parts of a fit that ranks could have. */
static lg_status count_parts(lg_context *ctx, const lg_config *config, int64_t *parts)
{
    const char *model;
    int64_t replicates = 0;
    lg_job job = {.share = NULL};
    lg_status status = lg_config_text(ctx, config, "model", &model);
    if (!status) status = lg_config_int(ctx, config, "replicates", &replicates);
    job.model = !status && model ? lg_model_find(model) : NULL;
    job.replicates = (uint32_t)replicates;
    *parts = job.model && replicates > 0 ? lg_job_parts(&job) : 1;
    return status;
}

/* auto: where more ranks get something to do. */
lg_status lg_replicates_wanted(lg_context *ctx, const lg_cluster *c, const lg_config *config, int64_t fits,
                               bool *wanted, bool *must)
{
    const char *spread = NULL;
    int64_t parts = 1;
    lg_status status = lg_config_text(ctx, config, "cluster.spread", &spread);
    if (!status) status = count_parts(ctx, config, &parts);
    *must = !status && spread && strcmp(spread, "replicates") == 0;
    *wanted = *must || (!status && spread && strcmp(spread, "auto") == 0 && fits < c->size && parts > fits);
    return status;
}

/* ---- the fit ----------------------------------------------------------------------------------------------------- */

/* Rank 0 says whether its backend can, which a user may have left open. */
static lg_status check_backend(lg_context *ctx, lg_cluster *cluster, const lg_config *config, const lg_problem *problem,
                               bool must, bool *able)
{
    const bool mine = problem->backend->share;
    *able = mine;
    lg_status status = lg_transport_broadcast(ctx, cluster, 0, able, sizeof *able);
    if (!status && !mine && (*able || must))
        status = lg_fail(ctx, LG_ERR_UNSUPPORTED,
                         "%s: cluster.spread is replicates, but %s runs whole fits alone: use device cpu and pathwise "
                         "gradients, or cluster.spread fits",
                         lg_config_origin(config, "cluster.spread"), problem->backend->name);
    return lg_cluster_agree(ctx, cluster, status);
}

lg_status lg_replicates_fit(lg_context *ctx, lg_cluster *cluster, const lg_config *config,
                            const lg_fit_options *options, bool must, lg_progress_fn progress, void *user,
                            lg_result **out)
{
    group g = {ctx, cluster};
    const lg_share share = {cluster->rank, cluster->size, gather, lead, agree, &g};
    lg_problem *problem = NULL;
    bool able = false;
    *out = NULL;
    lg_status status = lg_cluster_agree(ctx, cluster, lg_problem_create(ctx, config, &problem));
    if (!status) status = check_backend(ctx, cluster, config, problem, must, &able);
    if (!status && able) {
        lg_log(ctx, LG_LOG_INFO, "%u replicates of each fit are shared out over %d processes", problem->job.replicates,
               cluster->size);
        problem->job.share = &share;
        status = lg_fit_run(ctx, problem, options, progress, user, out);
    }
    lg_problem_free(problem);
    return status;
}
