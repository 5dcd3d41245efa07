/* Which fits a rank runs, and the checkpoints of slices.
 *
 * The fits are shared out evenly. A run that is resumed may have been cut otherwise, so that its checkpoints hold other
 * slices; then the borders of both cuts count, and every piece between two borders is run by itself, from a copy of the
 * checkpoint that holds it. */
#ifndef LG_CLUSTER_SLICES_H
#define LG_CLUSTER_SLICES_H

#include "base/error.h"

/* Fits begin ... end - 1, by their global numbers. */
typedef struct lg_slice {
    int64_t begin, end;
} lg_slice;

/* The even share of rank `rank` of `size`. */
lg_slice lg_slice_share(lg_slice whole, int rank, int size);
/* The pieces of `whole`, in order: cut at the shares of `size` ranks and at the borders of the stored slices. *pieces:
 * release with free(). */
lg_status lg_slice_cut(lg_context *ctx, lg_slice whole, int size, const lg_slice *stored, int count, lg_slice **pieces,
                       int *piece_count);
/* The smallest stored slice that holds all of a piece; -1: none. */
int lg_slice_source(lg_slice piece, const lg_slice *stored, int count);

/* "NAME.fitsA-B"; release with free(). */
char *lg_slice_checkpoint(const char *checkpoint, lg_slice slice);
/* The slices there are checkpoints of, NAME.fitsA-B or NAME.fitsA-B.1; *stored: release with free(). */
lg_status lg_slice_list(lg_context *ctx, const char *checkpoint, lg_slice **stored, int *count);
/* Gives a piece a checkpoint of its own: a copy of its source's, or of the whole's (source NULL) where there is one. */
lg_status lg_slice_copy(lg_context *ctx, const char *checkpoint, const lg_slice *source, lg_slice piece);

#endif
