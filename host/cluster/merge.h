/* Results of slices of one job, joined. */
#ifndef LG_CLUSTER_MERGE_H
#define LG_CLUSTER_MERGE_H

#include "fit/result.h"

typedef struct lg_part {
    const char *name; /* for messages: a file, "rank 2" */
    lg_result *result;
    int64_t first; /* its first fit; set by lg_results_join */
} lg_part;

/* Joins parts into one result as the unsplit job would have it, and empties them: the caller still frees each part's
 * result. Parts may come in any order. fits > 0: exactly the fits first_fit ... first_fit + fits - 1 are expected.
 * Sorts the parts. */
lg_status lg_results_join(lg_context *ctx, lg_part *part, int count, int64_t first_fit, int64_t fits, lg_result **out);

#endif
