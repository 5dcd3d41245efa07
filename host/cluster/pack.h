/* A result as bytes, to be sent to another process of the same program. */
#ifndef LG_CLUSTER_PACK_H
#define LG_CLUSTER_PACK_H

#include "fit/result.h"

/* *data is the caller's to free(). */
lg_status lg_result_pack(lg_context *ctx, const lg_result *result, char **data, size_t *size);
lg_status lg_result_unpack(lg_context *ctx, const char *data, size_t size, lg_result **out);

#endif
