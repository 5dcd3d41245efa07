#include "base/scratch.h"
#include "lg_build.h"

#if LG_HAVE_HDF5

#include <hdf5.h>

/* Adds a data set of two or, with rows > 1, rows x 2 elements; the type in the file and in memory may differ. */
static void add(hid_t file, const char *name, hid_t type, hid_t memory, hsize_t rows, const void *data)
{
    hsize_t extent[2] = {rows, 2};
    hid_t space = rows > 1 ? H5Screate_simple(2, extent, NULL) : H5Screate_simple(1, extent + 1, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(set >= 0);
    cr_assert(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* A bool as h5py stores it. */
static hid_t bool_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(type, "FALSE", (const int8_t[]){0});
    H5Tenum_insert(type, "TRUE", (const int8_t[]){1});
    return type;
}

static const char *make_file(scratch *s)
{
    const char *path = scratch_path(s, "in.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t group = H5Gcreate2(file, "run", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), logical = bool_type();
    cr_assert(file >= 0 && group >= 0);
    add(file, "u1", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, (const uint8_t[]){3, 255});
    add(file, "i1", H5T_STD_I8LE, H5T_NATIVE_INT8, 1, (const int8_t[]){3, 127});
    add(file, "i1_negative", H5T_STD_I8LE, H5T_NATIVE_INT8, 1, (const int8_t[]){3, -4});
    add(file, "i2", H5T_STD_I16LE, H5T_NATIVE_INT16, 1, (const int16_t[]){-300, 300});
    add(file, "i4_big", H5T_STD_I32BE, H5T_NATIVE_INT32, 1, (const int32_t[]){-70000, 70000});
    add(file, "u4", H5T_STD_U32LE, H5T_NATIVE_UINT32, 1, (const uint32_t[]){1, UINT32_MAX});
    add(file, "i8", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (const int64_t[]){-1, 1LL << 40});
    add(file, "u8_large", H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, (const uint64_t[]){0, UINT64_MAX});
    add(file, "f4", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, (const float[]){-0.5f, 1});
    add(file, "f8_big", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, 1, (const double[]){0.1, 1e-300});
    add(file, "bool", logical, logical, 1, (const int8_t[]){1, 0});
    add(group, "frames", H5T_STD_U8LE, H5T_NATIVE_UINT8, 3, (const uint8_t[]){0, 1, 2, 3, 4, 5});
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, 4);
    add(file, "text", text, text, 1, "abc\0def");
    H5Tclose(text);
    H5Tclose(logical);
    H5Gclose(group);
    H5Fclose(file);
    return path;
}

static lg_status read_set(scratch *s, const char *file, const char *set, lg_array *out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s:%s", file, set);
    return lg_array_read(s->ctx, path, out);
}

static void expect_pair(scratch *s, const char *file, const char *set, lg_dtype dtype, double first, double second)
{
    lg_array array;
    expect_ok(s, read_set(s, file, set, &array));
    cr_expect_eq(array.dtype, dtype, "%s", set);
    cr_expect(array.ndim == 1 && array.shape[0] == 2, "%s", set);
    cr_expect_eq(lg_array_get(&array, 0), first, "%s", set);
    cr_expect_eq(lg_array_get(&array, 1), second, "%s", set);
    lg_array_clear(&array);
}

Test(array_hdf5, types)
{
    scratch s;
    scratch_begin(&s);
    const char *file = make_file(&s);
    expect_pair(&s, file, "/u1", LG_U8, 3, 255);
    expect_pair(&s, file, "/i1", LG_U8, 3, 127);
    expect_pair(&s, file, "i2", LG_I64, -300, 300);
    expect_pair(&s, file, "/i4_big", LG_I32, -70000, 70000);
    expect_pair(&s, file, "/u4", LG_I64, 1, UINT32_MAX);
    expect_pair(&s, file, "/i8", LG_I64, -1, 0x1p40);
    expect_pair(&s, file, "/f4", LG_F32, -0.5, 1);
    expect_pair(&s, file, "/f8_big", LG_F64, 0.1, 1e-300);
    expect_pair(&s, file, "/bool", LG_U8, 1, 0);
    lg_array array;
    expect_ok(&s, read_set(&s, file, "/run/frames", &array));
    cr_expect(array.ndim == 2 && array.shape[0] == 3 && array.shape[1] == 2);
    for (size_t i = 0; i < 6; i++) cr_expect_eq(lg_array_get(&array, i), (double)i);
    lg_array_clear(&array);
    scratch_end(&s);
}

Test(array_hdf5, messages)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    const char *file = make_file(&s);
    expect_failure(&s, read_set(&s, file, "/run/frame", &array), LG_ERR_DATA, "did you mean '/run/frames'?");
    expect_failure(&s, read_set(&s, file, "/something else", &array), LG_ERR_DATA, "it has: /bool, /f4,");
    expect_failure(&s, read_set(&s, file, "/run", &array), LG_ERR_DATA, "no data set '/run'");
    expect_failure(&s, read_set(&s, file, "", &array), LG_ERR_DATA, "no data set ''");
    expect_failure(&s, read_set(&s, file, "/text", &array), LG_ERR_DATA, "in.h5:/text: type not supported");
    expect_failure(&s, read_set(&s, file, "/i1_negative", &array), LG_ERR_DATA, "int8 element 1 is -4");
    expect_failure(&s, read_set(&s, file, "/u8_large", &array), LG_ERR_DATA, "more than an int64 can hold");
    expect_failure(&s, lg_array_read(s.ctx, file, &array), LG_ERR_DATA, "FILE.h5:/dataset");
    expect_failure(&s, read_set(&s, scratch_path(&s, "none.h5"), "/a", &array), LG_ERR_FILE, "none.h5': No such file");
    expect_failure(&s, read_set(&s, scratch_file(&s, "not.h5", "plain text"), "/a", &array), LG_ERR_DATA,
                   "not a readable HDF5 file");
    cr_assert_eq(truncate(file, 1500), 0);
    expect_failure(&s, read_set(&s, file, "/u1", &array), LG_ERR_DATA, "not a readable HDF5 file");
    cr_expect_null(array.data);
    scratch_end(&s);
}

#else

Test(array_hdf5, the_remedy_is_named)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    expect_failure(&s, lg_array_read(s.ctx, "in.h5:/frames", &array), LG_ERR_LIBRARY, "LATGRAD_HDF5=ON");
    scratch_end(&s);
}

#endif
