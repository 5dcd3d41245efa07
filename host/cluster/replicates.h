/* One batch over all ranks, which share the replicates of every fit (lg_share, backend/backend.h): for few fits of many
 * replicates. The result and the checkpoint are those of one process, whatever the number of ranks. */
#ifndef LG_CLUSTER_REPLICATES_H
#define LG_CLUSTER_REPLICATES_H

#include "cluster/cluster.h"
#include "latgrad.h"

/* Are replicates to be shared rather than fits, and is that demanded or our choice? The same on all ranks. */
lg_status lg_replicates_wanted(lg_context *ctx, const lg_cluster *cluster, const lg_config *config, int64_t fits,
                               bool *wanted, bool *must);
/* Runs or continues the fits of a configuration; all ranks call it. *out NULL with LG_OK: the backend cannot, and it was not
 * demanded. options: rank 0's. The progress function is heard on every rank, and followed on rank 0. */
lg_status lg_replicates_fit(lg_context *ctx, lg_cluster *cluster, const lg_config *config,
                            const lg_fit_options *options, bool must, lg_progress_fn progress, void *user,
                            lg_result **out);

#endif
