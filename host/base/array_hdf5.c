/* Arrays out of HDF5 files. The library converts byte orders, widths and compressed or chunked storage by itself. */
#include "base/array.h"
#include "lg_build.h"

#if LG_HAVE_HDF5

#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

/* Names of the data sets of a file, for messages. */
typedef struct names {
    char *name[64];
    size_t count;
} names;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    names *list = user;
    (void)info;
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    bool is_dataset = object >= 0 && H5Iget_type(object) == H5I_DATASET;
    if (object >= 0) H5Oclose(object);
    if (!is_dataset) return 0;
    if (list->count == sizeof list->name / sizeof *list->name) return 1;
    char *copy = lg_path_join("/", name);
    if (copy) list->name[list->count++] = copy;
    return 0;
}

static lg_status missing_dataset(lg_context *ctx, hid_t id, const char *file, const char *dataset)
{
    names list = {0};
    H5Lvisit(id, H5_INDEX_NAME, H5_ITER_INC, add_name, &list);
    const char *near = lg_nearest(dataset, (const char *const *)list.name, list.count);
    lg_text text = {0};
    for (size_t i = 0; i < list.count && i < 8; i++) lg_text_printf(&text, "%s%s", i ? ", " : "", list.name[i]);
    if (list.count > 8) lg_text_add(&text, ", ...");
    lg_status result;
    if (near) {
        result = lg_fail(ctx, LG_ERR_DATA, "%s has no data set '%s'; did you mean '%s'?", file, dataset, near);
    } else {
        result = lg_fail(ctx, LG_ERR_DATA, "%s has no data set '%s'; it has: %s", file, dataset,
                         list.count && text.data ? text.data : "none");
    }
    lg_text_clear(&text);
    for (size_t i = 0; i < list.count; i++) free(list.name[i]);
    return result;
}

/* How the file's type is read: its type in memory, and ours. Signed bytes and uint64 are checked afterwards. */
static bool choose_type(hid_t type, lg_dtype *dtype, hid_t *memory, bool *check, bool *is_signed)
{
    H5T_class_t class = H5Tget_class(type);
    size_t size = H5Tget_size(type);
    *check = false;
    *is_signed = false;
    if (class == H5T_FLOAT && size <= 8) {
        *dtype = size <= 4 ? LG_F32 : LG_F64;
        *memory = size <= 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
        return true;
    }
    if (class == H5T_ENUM && size == 1) { /* bool, as h5py writes it */
        *dtype = LG_U8;
        *memory = H5T_NATIVE_INT8;
        *check = *is_signed = true;
        return true;
    }
    if (class != H5T_INTEGER || size > 8) return false;
    *is_signed = H5Tget_sign(type) == H5T_SGN_2;
    *check = (size == 1 && *is_signed) || (size == 8 && !*is_signed);
    *dtype = size == 1 ? LG_U8 : size == 4 && *is_signed ? LG_I32 : LG_I64;
    *memory = size == 1             ? (*is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8)
              : *dtype == LG_I32    ? H5T_NATIVE_INT32
              : size == 8 && *check ? H5T_NATIVE_UINT64
                                    : H5T_NATIVE_INT64;
    return true;
}

static lg_status read_dataset(lg_context *ctx, hid_t set, const char *field, lg_array *out)
{
    hid_t type = H5Dget_type(set), space = H5Dget_space(set), memory = H5I_INVALID_HID;
    lg_dtype dtype = LG_U8;
    bool check = false, is_signed = false;
    bool known = type >= 0 && choose_type(type, &dtype, &memory, &check, &is_signed);
    int ndim = space >= 0 && H5Sis_simple(space) > 0 && H5Sget_simple_extent_type(space) != H5S_NULL
                   ? H5Sget_simple_extent_ndims(space)
                   : -1;
    hsize_t extent[LG_MAX_DIM] = {0};
    size_t shape[LG_MAX_DIM] = {0};
    if (ndim > 0 && ndim <= LG_MAX_DIM) H5Sget_simple_extent_dims(space, extent, NULL);
    for (int d = 0; d < LG_MAX_DIM; d++) shape[d] = (size_t)extent[d];

    lg_status result = LG_OK;
    if (!known) {
        result =
            lg_fail(ctx, LG_ERR_DATA, "%s: type not supported; expected bool, an integer, float32 or float64", field);
    } else if (ndim < 0 || ndim > LG_MAX_DIM) {
        result = lg_fail(ctx, LG_ERR_DATA, "%s: a data set of at most %d dimensions was expected", field, LG_MAX_DIM);
    } else {
        result = lg_array_alloc(ctx, dtype, ndim, shape, out);
        if (result != LG_OK) lg_fail_in(ctx, result, "%s", field);
    }
    if (result == LG_OK && H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out->data) < 0) {
        result =
            lg_fail(ctx, LG_ERR_DATA,
                    "%s cannot be read: the file is damaged, or compressed with a filter that is not installed", field);
    }
    if (result == LG_OK && check) result = lg_array_check_top_bit(ctx, field, is_signed, out);
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    return result;
}

static lg_status read_file(lg_context *ctx, const char *file, const char *dataset, lg_array *out)
{
    lg_text field = {0};
    lg_text_printf(&field, "%s:%s", file, dataset);
    if (field.failed) return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory to read '%s'", file);
    lg_status result;
    hid_t id = H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (id < 0) {
        result = lg_fail(ctx, LG_ERR_DATA, "%s is not a readable HDF5 file (damaged or cut off?)", file);
    } else if (!*dataset) {
        result = missing_dataset(ctx, id, file, dataset);
    } else {
        hid_t set = H5Dopen2(id, dataset, H5P_DEFAULT);
        result = set < 0 ? missing_dataset(ctx, id, file, dataset) : read_dataset(ctx, set, field.data, out);
        if (set >= 0) H5Dclose(set);
    }
    if (id >= 0) H5Fclose(id);
    lg_text_clear(&field);
    if (result != LG_OK) lg_array_clear(out);
    return result;
}

lg_status lg_hdf5_array_read(lg_context *ctx, const char *file, const char *dataset, lg_array *out)
{
    *out = (lg_array){0};
    if (access(file, R_OK) != 0) return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", file, strerror(errno));
    /* HDF5 would print its own stack of errors on stderr. */
    H5E_auto2_t print = NULL;
    void *print_data = NULL;
    H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    lg_status result = read_file(ctx, file, dataset, out);
    H5Eset_auto2(H5E_DEFAULT, print, print_data);
    return result;
}

#else

lg_status lg_hdf5_array_read(lg_context *ctx, const char *file, const char *dataset, lg_array *out)
{
    *out = (lg_array){0};
    return lg_fail(ctx, LG_ERR_LIBRARY,
                   "cannot read '%s:%s': this build has no HDF5; use an .npy file or build with LATGRAD_HDF5=ON", file,
                   dataset);
}

#endif
