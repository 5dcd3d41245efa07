/* Between array.c (memory, choice of the format) and the formats npy.c and array_hdf5.c. */
#ifndef LG_BASE_ARRAY_H
#define LG_BASE_ARRAY_H

#include "base/error.h"

enum { LG_SHAPE_TEXT = 160 };

/* "(3, 64, 64)" into text[LG_SHAPE_TEXT]; returns text. */
const char *lg_shape_text(const size_t *shape, int ndim, char *text);
const char *lg_dtype_name(lg_dtype dtype); /* "uint8", ... */

/* Product of the shape, and bytes of such an array; false where that overflows. */
bool lg_shape_bytes(const size_t *shape, int ndim, size_t item, size_t *count, size_t *bytes);

/* int8 and uint64 are read bit for bit into uint8 and int64. This fails, naming the first one, where an element has its
 * top bit set, so that no value changes silently. field: what the array is called in the message. */
lg_status lg_array_check_top_bit(lg_context *ctx, const char *field, bool is_signed, const lg_array *array);

lg_status lg_npy_read(lg_context *ctx, const char *path, lg_array *out);
/* LG_ERR_LIBRARY in a build without HDF5. */
lg_status lg_hdf5_array_read(lg_context *ctx, const char *file, const char *dataset, lg_array *out);

#endif
