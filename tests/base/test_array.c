#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/scratch.h"

enum { FILE_SIZE = 4096 };

/* An .npy file in memory, as numpy would write it. */
typedef struct npy {
    unsigned char bytes[FILE_SIZE];
    size_t size, data_at;
} npy;

static npy make_npy(int version, const char *header, const void *data, size_t size)
{
    npy file = {.bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0}};
    size_t start = version == 1 ? 10 : 12, length = strlen(header);
    file.bytes[8] = (unsigned char)(length & 255);
    file.bytes[9] = (unsigned char)(length >> 8);
    memcpy(file.bytes + start, header, length);
    file.data_at = start + length;
    if (size) memcpy(file.bytes + file.data_at, data, size);
    file.size = file.data_at + size;
    return file;
}

static lg_status read_npy(scratch *s, const npy *file, lg_array *out)
{
    return lg_array_read(s->ctx, scratch_bytes(s, "in.npy", file->bytes, file->size), out);
}

static lg_status read_header(scratch *s, const char *header, const void *data, size_t size, lg_array *out)
{
    npy file = make_npy(1, header, data, size);
    return read_npy(s, &file, out);
}

/* Reads two elements of one type and checks what they become. */
static void expect_type(const char *descr, const void *data, size_t size, lg_dtype dtype, double first, double second)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    char header[200];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n", descr);
    for (int version = 1; version <= 2; version++) {
        npy file = make_npy(version, header, data, size);
        expect_ok(&s, read_npy(&s, &file, &array));
        cr_expect_eq(array.dtype, dtype, "%s", descr);
        cr_expect(array.ndim == 1 && array.shape[0] == 2);
        cr_expect_eq(lg_array_get(&array, 0), first, "%s", descr);
        cr_expect_eq(lg_array_get(&array, 1), second, "%s", descr);
        lg_array_clear(&array);
    }
    scratch_end(&s);
}

Test(array, every_type_is_read)
{
    expect_type("|b1", (const uint8_t[]){0, 1}, 2, LG_U8, 0, 1);
    expect_type("|u1", (const uint8_t[]){0, 255}, 2, LG_U8, 0, 255);
    expect_type("|i1", (const int8_t[]){0, 127}, 2, LG_U8, 0, 127);
    expect_type("<i2", (const int16_t[]){-32768, 32767}, 4, LG_I64, -32768, 32767);
    expect_type("<u2", (const uint16_t[]){1, 65535}, 4, LG_I64, 1, 65535);
    expect_type("<i4", (const int32_t[]){INT32_MIN, 5}, 8, LG_I32, INT32_MIN, 5);
    expect_type("<u4", (const uint32_t[]){1, UINT32_MAX}, 8, LG_I64, 1, UINT32_MAX);
    expect_type("<i8", (const int64_t[]){-5, 1LL << 50}, 16, LG_I64, -5, 0x1p50);
    expect_type("<u8", (const uint64_t[]){5, 1ULL << 50}, 16, LG_I64, 5, 0x1p50);
    expect_type("<f4", (const float[]){-0.5f, 3.25f}, 8, LG_F32, -0.5, 3.25);
    expect_type("<f8", (const double[]){-1e300, 0.1}, 16, LG_F64, -1e300, 0.1);
}

Test(array, values_that_do_not_fit_are_refused)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    expect_failure(&s,
                   read_header(&s, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", "\x01\xff\x02", 3,
                               &array),
                   LG_ERR_DATA, "in.npy: int8 element 1 is -1");
    cr_expect_null(array.data);
    expect_failure(&s,
                   read_header(&s, "{'descr': '<u8', 'fortran_order': False, 'shape': (), }",
                               "\xff\xff\xff\xff\xff\xff\xff\xff", 8, &array),
                   LG_ERR_DATA, "uint64 element 0 is 18446744073709551615");
    scratch_end(&s);
}

Test(array, headers_in_any_order_and_spacing)
{
    static const char *const headers[] = {
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2), }          \n",
        "{\"shape\":(1L,2L),\"descr\":\"<i4\",\"fortran_order\":False}",
        "  { 'fortran_order' : False , 'shape' : ( 1 , 2 ) , 'descr' : '<i4' }\n",
    };
    scratch s;
    scratch_begin(&s);
    lg_array array;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        expect_ok(&s, read_header(&s, headers[i], (const int32_t[]){7, -8}, 8, &array));
        cr_expect(array.ndim == 2 && array.shape[0] == 1 && array.shape[1] == 2);
        cr_expect_eq(lg_array_get(&array, 1), -8);
        lg_array_clear(&array);
    }
    expect_ok(&s, read_header(&s, "{'descr': '<i4', 'fortran_order': True, 'shape': (2,), }", (const int32_t[]){7, -8},
                              8, &array));
    lg_array_clear(&array);
    expect_ok(&s, read_header(&s, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", (const double[]){2.5}, 8,
                              &array));
    cr_expect(array.ndim == 0 && lg_array_size(&array) == 1 && lg_array_get(&array, 0) == 2.5);
    lg_array_clear(&array);
    expect_ok(&s, read_header(&s, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }", "", 0, &array));
    cr_expect_eq(lg_array_size(&array), 0);
    lg_array_clear(&array);
    scratch_end(&s);
}

Test(array, bad_headers)
{
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"{'descr': '<f8', 'fortran_order': True, 'shape': (1, 1), }", "Fortran order; save it in C order"},
        {"{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }", "big endian"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }", "type '<f2' is not supported"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "type '<c8' is not supported"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "type '|O' is not supported"},
        {"{'descr': '<f8x', 'fortran_order': False, 'shape': (1,), }", "type '<f8x' is not supported"},
        {"{'descr': '<i0', 'fortran_order': False, 'shape': (1,), }", "type '<i0' is not supported"},
        {"{'descr': '<b8', 'fortran_order': False, 'shape': (1,), }", "type '<b8' is not supported"},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", "type '' is not supported"},
        {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': 0, 'shape': (1,), }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': 1, }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1 1), }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, }", "not that of a plain array"},
        {"{'descr': '<f8', 'shape': (1,), }", "not that of a plain array"},
        {"{'descr': '<f8' 'fortran_order': False, 'shape': (1,), }", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'colour': 3}", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,", "not that of a plain array"},
        {"{'descr", "not that of a plain array"},
        {"", "not that of a plain array"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1), }", "7 dimensions; at most 6"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
         "needs 16 bytes of data, the file has 8 (cut off?)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "needs 4 bytes of data, the file has 8"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }", "needs 0 bytes of data, the file has 8"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "larger than any file"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,), }", "larger than any file"},
    };
    scratch s;
    scratch_begin(&s);
    lg_array array;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_failure(&s, read_header(&s, cases[i].header, (const double[]){1}, 8, &array), LG_ERR_DATA,
                       cases[i].message);
        expect_failure(&s, LG_ERR_DATA, LG_ERR_DATA, "in.npy");
        cr_expect_null(array.data);
    }
    scratch_end(&s);
}

Test(array, files_of_other_kinds)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    expect_failure(&s, lg_array_read(s.ctx, scratch_path(&s, "none.npy"), &array), LG_ERR_FILE, "none.npy': No such");
    expect_failure(&s, lg_array_read(s.ctx, s.directory, &array), LG_ERR_FILE, "directory");
    expect_failure(&s, lg_array_read(s.ctx, scratch_file(&s, "a", "1,2,3,4,5"), &array), LG_ERR_DATA,
                   "not an .npy file");
    expect_failure(&s, lg_array_read(s.ctx, scratch_file(&s, "a", "PK\3\4....."), &array), LG_ERR_DATA, "numpy.save");
    expect_failure(&s, lg_array_read(s.ctx, scratch_file(&s, "a", "\x89HDF\r\n\x1a\n"), &array), LG_ERR_DATA,
                   "FILE.h5:/dataset");
    npy file = make_npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "12345678", 8);
    file.bytes[6] = 3;
    expect_failure(&s, read_npy(&s, &file, &array), LG_ERR_DATA, "version 3.0");
    file = make_npy(2, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "12345678", 8);
    file.bytes[11] = 0x7f;
    expect_failure(&s, read_npy(&s, &file, &array), LG_ERR_DATA, "the header claims 21307");
    scratch_end(&s);
}

Test(array, every_truncation_is_an_error)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    int32_t data[6] = {1, 2, 3, 4, 5, 6};
    for (int version = 1; version <= 2; version++) {
        npy file =
            make_npy(version, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }\n", data, sizeof data);
        for (size_t size = 0; size < file.size; size++) {
            const char *path = scratch_bytes(&s, "cut.npy", file.bytes, size);
            cr_expect_eq(lg_array_read(s.ctx, path, &array), LG_ERR_DATA, "%zu of %zu bytes", size, file.size);
            cr_expect_null(array.data);
        }
        file.bytes[file.size] = 0;
        file.size++;
        cr_expect_eq(read_npy(&s, &file, &array), LG_ERR_DATA, "a byte too many");
    }
    scratch_end(&s);
}

/* Whatever a damaged byte makes of a file, the result is an error or an array that can be read through. */
Test(array, damaged_bytes_never_crash)
{
    scratch s;
    scratch_begin(&s);
    static const unsigned char values[] = {0, 1, ' ', '\'', '(', ')', ',', '0', '9', '{', '}', 0x7f, 0x80, 0xff};
    int16_t data[6] = {1, 2, 3, 4, 5, 6};
    npy file = make_npy(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\n", data, sizeof data);
    int errors = 0, total = 0;
    for (size_t at = 0; at < file.data_at; at++) {
        for (size_t v = 0; v < sizeof values; v++) {
            npy damaged = file;
            lg_array array;
            damaged.bytes[at] = values[v];
            total++;
            if (read_npy(&s, &damaged, &array) != LG_OK) {
                errors++;
                cr_expect_null(array.data);
                continue;
            }
            double sum = 0;
            for (size_t i = 0; i < lg_array_size(&array); i++) sum += lg_array_get(&array, i);
            cr_expect(isfinite(sum));
            lg_array_clear(&array);
        }
    }
    cr_expect(errors > total / 2 && errors < total, "%d of %d", errors, total);
    scratch_end(&s);
}

Test(array, what_is_written_is_read_again)
{
    scratch s;
    scratch_begin(&s);
    static const size_t shape[LG_MAX_DIM] = {2, 1, 3, 1, 2, 1};
    for (int type = LG_U8; type <= LG_F64; type++) {
        for (int ndim = 0; ndim <= LG_MAX_DIM; ndim++) {
            lg_array array, again;
            expect_ok(&s, lg_array_alloc(s.ctx, (lg_dtype)type, ndim, shape, &array));
            size_t bytes = lg_array_size(&array) * lg_dtype_size(array.dtype);
            for (size_t i = 0; i < bytes; i++) ((unsigned char *)array.data)[i] = (unsigned char)(3 * i + 1);
            const char *path = scratch_path(&s, "a.npy");
            expect_ok(&s, lg_array_write(s.ctx, path, &array, true));
            expect_ok(&s, lg_array_read(s.ctx, path, &again));
            cr_expect_eq(again.dtype, array.dtype);
            cr_expect_eq(again.ndim, ndim);
            cr_expect_eq(memcmp(again.shape, array.shape, sizeof array.shape), 0);
            cr_expect_eq(memcmp(again.data, array.data, bytes), 0);
            lg_array_clear(&array);
            lg_array_clear(&again);
        }
    }
    scratch_end(&s);
}

Test(array, the_written_bytes_are_those_of_numpy)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    unsigned char bytes[256];
    expect_ok(&s, lg_array_alloc(s.ctx, LG_I32, 1, (const size_t[]){3}, &array));
    memcpy(array.data, (const int32_t[]){1, 2, -1}, 12);
    const char *path = scratch_path(&s, "a.npy");
    expect_ok(&s, lg_array_write(s.ctx, path, &array, false));
    FILE *file = fopen(path, "rb");
    cr_assert_eq(fread(bytes, 1, sizeof bytes, file), 128 + 12);
    fclose(file);
    cr_expect_eq(memcmp(bytes, "\x93NUMPY\1\0\x76\0{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }  ", 69),
                 0);
    cr_expect_eq(bytes[127], '\n');
    cr_expect_eq(memcmp(bytes + 128, "\1\0\0\0\2\0\0\0\xff\xff\xff\xff", 12), 0);
    lg_array_clear(&array);
    scratch_end(&s);
}

Test(array, writing_does_not_overwrite)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    const char *path = scratch_file(&s, "kept.npy", "data");
    expect_ok(&s, lg_array_alloc(s.ctx, LG_F64, 1, (const size_t[]){10000}, &array));
    expect_failure(&s, lg_array_write(s.ctx, path, &array, false), LG_ERR_EXISTS, "kept.npy");
    cr_expect(scratch_holds(path, "data"));
    struct rlimit limit = {20000, 20000};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_failure(&s, lg_array_write(s.ctx, path, &array, true), LG_ERR_FILE, "File too large");
    cr_expect(scratch_holds(path, "data"));
    cr_expect_eq(scratch_count(&s), 1);
    expect_failure(&s, lg_array_write(s.ctx, scratch_path(&s, "kept.npy/a.npy"), &array, true), LG_ERR_FILE,
                   "Not a directory");
    lg_array_clear(&array);
    expect_failure(&s, lg_array_write(s.ctx, path, &(lg_array){.ndim = 1, .shape = {3}}, true), LG_ERR_USAGE,
                   "never filled");
    scratch_end(&s);
}

Test(array, memory)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    size_t most = SIZE_MAX;
    expect_failure(&s, lg_array_alloc(s.ctx, LG_U8, 7, NULL, &array), LG_ERR_RANGE, "7 dimensions");
    expect_failure(&s, lg_array_alloc(s.ctx, (lg_dtype)17, 0, NULL, &array), LG_ERR_USAGE, "unknown array type 17");
    expect_failure(&s, lg_array_alloc(s.ctx, LG_U8, 2, (const size_t[]){most, 2}, &array), LG_ERR_MEMORY, "any memory");
    expect_failure(&s, lg_array_alloc(s.ctx, LG_F64, 1, (const size_t[]){most / 4}, &array), LG_ERR_MEMORY,
                   "larger than any memory");
    cr_expect_null(array.data);
    expect_ok(&s, lg_array_alloc(s.ctx, LG_F32, 2, (const size_t[]){3, 5}, &array));
    cr_expect_eq(lg_array_size(&array), 15);
    for (size_t i = 0; i < 15; i++) cr_expect_eq(lg_array_get(&array, i), 0);
    lg_array_clear(&array);
    lg_array_clear(&array);
    lg_array_clear(NULL);
    cr_expect_null(array.data);
    cr_expect_eq(lg_dtype_size(LG_U8) + lg_dtype_size(LG_I32) + lg_dtype_size(LG_I64) + lg_dtype_size(LG_F32) +
                     lg_dtype_size(LG_F64),
                 1 + 4 + 8 + 4 + 8);
    scratch_end(&s);
}
