#include "base/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

size_t lg_dtype_size(lg_dtype dtype)
{
    switch (dtype) {
    case LG_U8: return 1;
    case LG_I32:
    case LG_F32: return 4;
    case LG_I64:
    case LG_F64: return 8;
    }
    return 0;
}

const char *lg_dtype_name(lg_dtype dtype)
{
    static const char *const names[] = {"uint8", "int32", "int64", "float32", "float64"};
    return dtype <= LG_F64 ? names[dtype] : "unknown";
}

size_t lg_array_size(const lg_array *array)
{
    size_t count = 1;
    for (int d = 0; d < array->ndim; d++) count *= array->shape[d];
    return count;
}

const char *lg_shape_text(const size_t *shape, int ndim, char *text)
{
    size_t used = (size_t)snprintf(text, LG_SHAPE_TEXT, "(");
    for (int d = 0; d < ndim && d < LG_MAX_DIM; d++) {
        used += (size_t)snprintf(text + used, LG_SHAPE_TEXT - used, d ? ", %zu" : "%zu", shape[d]);
    }
    snprintf(text + used, LG_SHAPE_TEXT - used, ndim == 1 ? ",)" : ")");
    return text;
}

bool lg_shape_bytes(const size_t *shape, int ndim, size_t item, size_t *count, size_t *bytes)
{
    bool empty = false;
    for (int d = 0; d < ndim; d++) empty = empty || shape[d] == 0;
    size_t product = empty ? 0 : 1;
    for (int d = 0; d < ndim && !empty; d++) {
        if (__builtin_mul_overflow(product, shape[d], &product)) return false;
    }
    *count = product;
    return !__builtin_mul_overflow(product, item, bytes);
}

lg_status lg_array_alloc(lg_context *ctx, lg_dtype dtype, int ndim, const size_t *shape, lg_array *out)
{
    char text[LG_SHAPE_TEXT];
    size_t count, bytes;
    *out = (lg_array){0};
    if (ndim < 0 || ndim > LG_MAX_DIM) {
        return lg_fail(ctx, LG_ERR_RANGE, "an array of %d dimensions was asked for; 0 to %d are possible", ndim,
                       LG_MAX_DIM);
    }
    if (lg_dtype_size(dtype) == 0) return lg_fail(ctx, LG_ERR_USAGE, "unknown array type %d", (int)dtype);
    if (!lg_shape_bytes(shape, ndim, lg_dtype_size(dtype), &count, &bytes)) {
        return lg_fail(ctx, LG_ERR_MEMORY, "an array of shape %s is larger than any memory",
                       lg_shape_text(shape, ndim, text));
    }
    void *data = calloc(bytes ? bytes : 1, 1);
    if (!data) {
        return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for a %s array of shape %s (%zu bytes)",
                       lg_dtype_name(dtype), lg_shape_text(shape, ndim, text), bytes);
    }
    out->dtype = dtype;
    out->ndim = ndim;
    for (int d = 0; d < ndim; d++) out->shape[d] = shape[d];
    out->data = data;
    return LG_OK;
}

void lg_array_clear(lg_array *array)
{
    if (!array) return;
    free(array->data);
    *array = (lg_array){0};
}

double lg_array_get(const lg_array *array, size_t i)
{
    switch (array->dtype) {
    case LG_U8: return ((const uint8_t *)array->data)[i];
    case LG_I32: return ((const int32_t *)array->data)[i];
    case LG_I64: return (double)((const int64_t *)array->data)[i];
    case LG_F32: return (double)((const float *)array->data)[i];
    case LG_F64: return ((const double *)array->data)[i];
    }
    return 0;
}

lg_status lg_array_check_top_bit(lg_context *ctx, const char *field, bool is_signed, const lg_array *array)
{
    size_t count = lg_array_size(array);
    for (size_t i = 0; i < count; i++) {
        if (array->dtype == LG_U8 && is_signed) {
            int value = ((const int8_t *)array->data)[i];
            if (value >= 0) continue;
            return lg_fail(ctx, LG_ERR_DATA,
                           "%s: int8 element %zu is %d; int8 is taken as unsigned, so save negative values as int32, "
                           "a.astype('<i4') in numpy",
                           field, i, value);
        }
        if (array->dtype == LG_I64 && !is_signed) {
            uint64_t value = ((const uint64_t *)array->data)[i];
            if (value <= INT64_MAX) continue;
            return lg_fail(ctx, LG_ERR_DATA, "%s: uint64 element %zu is %" PRIu64 ", more than an int64 can hold",
                           field, i, value);
        }
    }
    return LG_OK;
}

/* "FILE.h5:/dataset": the position of the colon, NULL where path is not of that form. */
static const char *dataset_colon(const char *path)
{
    static const char *const marks[] = {".h5:", ".hdf5:", ".hdf:"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *found = strstr(path, marks[i]);
        if (found) return found + strlen(marks[i]) - 1;
    }
    return NULL;
}

lg_status lg_array_read(lg_context *ctx, const char *path, lg_array *out)
{
    *out = (lg_array){0};
    const char *colon = dataset_colon(path);
    if (!colon || lg_file_exists(path)) return lg_npy_read(ctx, path, out);
    char *file = strndup(path, (size_t)(colon - path));
    if (!file) return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory to read '%s'", path);
    lg_status result = lg_hdf5_array_read(ctx, file, colon + 1, out);
    free(file);
    return result;
}
