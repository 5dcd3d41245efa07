/* The .npy format of numpy, versions 1 and 2:
 *   "\x93NUMPY", major, minor, length of the header (little endian, 2 bytes in version 1, 4 in 2), header, data.
 * The header is the text of a Python dictionary, {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }, and a
 * newline. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are read and written as they lie in memory");

enum { PREFIX = 8, MAX_HEADER = 1 << 16, MAX_DESCR = 32 };

typedef struct header {
    char descr[MAX_DESCR];
    bool fortran;
    int ndim;
    size_t shape[LG_MAX_DIM];
    bool has_descr, has_order, has_shape;
} header;

typedef enum kind { BOOL, INT, UINT, FLOAT } kind;

/* --------------------------------------------------------------------------------------------- header */

static const char *skip_space(const char *at)
{
    while (isspace((unsigned char)*at)) at++;
    return at;
}

/* A quoted string into text[size]; NULL where there is none or it is too long. */
static const char *parse_string(const char *at, char *text, size_t size)
{
    char quote = *at;
    if (quote != '\'' && quote != '"') return NULL;
    const char *end = strchr(at + 1, quote);
    if (!end || (size_t)(end - at - 1) >= size) return NULL;
    memcpy(text, at + 1, (size_t)(end - at - 1));
    text[end - at - 1] = '\0';
    return end + 1;
}

static const char *parse_order(const char *at, header *h)
{
    h->has_order = true;
    h->fortran = strncmp(at, "True", 4) == 0;
    if (h->fortran) return at + 4;
    return strncmp(at, "False", 5) == 0 ? at + 5 : NULL;
}

/* "()", "(3,)", "(3, 4)"; dimensions past LG_MAX_DIM are counted, not stored. */
static const char *parse_shape(const char *at, header *h)
{
    if (*at++ != '(') return NULL;
    h->has_shape = true;
    h->ndim = 0;
    at = skip_space(at);
    while (*at != ')') {
        char *end;
        if (!isdigit((unsigned char)*at)) return NULL;
        errno = 0;
        unsigned long long size = strtoull(at, &end, 10);
        if (errno) return NULL;
        if (h->ndim < LG_MAX_DIM) h->shape[h->ndim] = size;
        h->ndim++;
        at = skip_space(*end == 'L' ? end + 1 : end); /* Python 2 wrote 3L */
        if (*at == ',') {
            at = skip_space(at + 1);
        } else if (*at != ')') {
            return NULL;
        }
    }
    return at + 1;
}

static bool parse_header(const char *at, header *h)
{
    at = skip_space(at);
    if (*at++ != '{') return false;
    at = skip_space(at);
    while (*at != '}') {
        char key[MAX_DESCR];
        at = parse_string(at, key, sizeof key);
        if (!at) return false;
        at = skip_space(at);
        if (*at++ != ':') return false;
        at = skip_space(at);
        if (strcmp(key, "descr") == 0) {
            h->has_descr = true;
            at = parse_string(at, h->descr, sizeof h->descr);
        } else if (strcmp(key, "fortran_order") == 0) {
            at = parse_order(at, h);
        } else if (strcmp(key, "shape") == 0) {
            at = parse_shape(at, h);
        } else {
            return false;
        }
        if (!at) return false;
        at = skip_space(at);
        if (*at == ',') {
            at = skip_space(at + 1);
        } else if (*at != '}') {
            return false;
        }
    }
    return h->has_descr && h->has_order && h->has_shape;
}

/* What a type like '<f8' is, and what it becomes. */
static lg_status parse_type(lg_context *ctx, const char *path, const char *descr, kind *from, size_t *item,
                            lg_dtype *to)
{
    const char *letter = strlen(descr) > 1 && strchr("buif", descr[1]) ? descr + 1 : NULL;
    int64_t size = 0;
    bool known = letter && strchr("<>|=", descr[0]) && lg_parse_int(letter + 1, &size);
    if (known && descr[0] == '>' && size > 1) {
        return lg_fail(ctx, LG_ERR_DATA,
                       "%s: the data are big endian ('%s'); save them little endian, "
                       "a.astype(a.dtype.newbyteorder('<')) in numpy",
                       path, descr);
    }
    *from = known ? (*letter == 'b' ? BOOL : *letter == 'i' ? INT : *letter == 'u' ? UINT : FLOAT) : BOOL;
    *item = (size_t)size;
    if (*from == FLOAT) {
        known = known && (size == 4 || size == 8);
        *to = size == 4 ? LG_F32 : LG_F64;
    } else {
        known = known && (size == 1 || (*from != BOOL && (size == 2 || size == 4 || size == 8)));
        *to = size == 1 ? LG_U8 : *from == INT && size == 4 ? LG_I32 : LG_I64;
    }
    if (known) return LG_OK;
    return lg_fail(ctx, LG_ERR_DATA,
                   "%s: type '%s' is not supported; expected bool, an integer, float32 or float64, "
                   "a.astype('<f8') in numpy",
                   path, descr);
}

/* The start of a file that is not .npy often tells what it is instead. */
static lg_status not_npy(lg_context *ctx, const char *path, const unsigned char *start, size_t got)
{
    if (got >= 4 && memcmp(start, "\x89HDF", 4) == 0) {
        return lg_fail(ctx, LG_ERR_DATA, "%s is an HDF5 file; name the data set in it, FILE.h5:/dataset", path);
    }
    if (got >= 4 && memcmp(start, "PK\3\4", 4) == 0) {
        return lg_fail(ctx, LG_ERR_DATA, "%s is an .npz or zip archive; save the one array with numpy.save", path);
    }
    if (got < PREFIX) return lg_fail(ctx, LG_ERR_DATA, "%s is not an .npy file: it has only %zu bytes", path, got);
    return lg_fail(ctx, LG_ERR_DATA, "%s is not an .npy file: it does not start with \\x93NUMPY", path);
}

/* Reads everything before the data; *data_at is where they start. */
static lg_status read_header(lg_context *ctx, const char *path, FILE *file, header *h, size_t *data_at)
{
    unsigned char start[PREFIX + 4] = {0};
    size_t got = fread(start, 1, PREFIX, file);
    if (got < PREFIX && ferror(file)) return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", path, strerror(errno));
    if (got < PREFIX || memcmp(start, "\x93NUMPY", 6) != 0) return not_npy(ctx, path, start, got);
    if (start[6] != 1 && start[6] != 2) {
        return lg_fail(ctx, LG_ERR_DATA, "%s: .npy version %d.%d; versions 1 and 2 can be read", path, start[6],
                       start[7]);
    }
    size_t width = start[6] == 1 ? 2 : 4;
    if (fread(start + PREFIX, 1, width, file) != width) {
        return lg_fail(ctx, LG_ERR_DATA, "%s: cut off in the header", path);
    }
    size_t length = start[PREFIX] | (size_t)start[PREFIX + 1] << 8 | (size_t)start[PREFIX + 2] << 16 |
                    (size_t)start[PREFIX + 3] << 24;
    if (length > MAX_HEADER) {
        return lg_fail(ctx, LG_ERR_DATA, "%s: the header claims %zu bytes; a valid one is far shorter", path, length);
    }
    char *text = calloc(length + 1, 1);
    if (!text) return lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the header", path);
    lg_status result = LG_OK;
    if (fread(text, 1, length, file) != length) {
        result = lg_fail(ctx, LG_ERR_DATA, "%s: cut off in the header", path);
    } else if (!parse_header(text, h)) {
        result = lg_fail(ctx, LG_ERR_DATA, "%s: the header is not that of a plain array: %.100s", path, text);
    }
    free(text);
    *data_at = PREFIX + width + length;
    return result;
}

/* ----------------------------------------------------------------------------------------------- data */

/* Bytes in the file must be exactly what header and shape say, checked before memory is asked for. */
static lg_status check_size(lg_context *ctx, const char *path, FILE *file, const header *h, size_t item, size_t data_at)
{
    char text[LG_SHAPE_TEXT];
    struct stat status;
    size_t count, bytes;
    if (!lg_shape_bytes(h->shape, h->ndim, item, &count, &bytes) || bytes > SIZE_MAX - data_at) {
        return lg_fail(ctx, LG_ERR_DATA, "%s: shape %s is larger than any file", path,
                       lg_shape_text(h->shape, h->ndim, text));
    }
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) return LG_OK; /* a pipe: seen while reading */
    size_t present = (size_t)status.st_size - data_at;
    if (present == bytes) return LG_OK;
    return lg_fail(ctx, LG_ERR_DATA, "%s: shape %s of '%s' needs %zu bytes of data, the file has %zu%s", path,
                   lg_shape_text(h->shape, h->ndim, text), h->descr, bytes, present,
                   present < bytes ? " (cut off?)" : "");
}

/* One block of integers of 2 or 4 bytes to int64. */
static void widen(const unsigned char *from, size_t item, bool is_signed, size_t count, int64_t *to)
{
    for (size_t i = 0; i < count; i++) {
        if (item == 2) {
            uint16_t value;
            memcpy(&value, from + 2 * i, 2);
            to[i] = is_signed ? (int64_t)(int16_t)value : (int64_t)value;
        } else {
            uint32_t value;
            memcpy(&value, from + 4 * i, 4);
            to[i] = is_signed ? (int64_t)(int32_t)value : (int64_t)value;
        }
    }
}

static bool read_data(FILE *file, size_t item, bool is_signed, lg_array *out)
{
    size_t count = lg_array_size(out);
    if (item == lg_dtype_size(out->dtype)) return fread(out->data, item, count, file) == count;
    unsigned char block[1 << 14];
    for (size_t done = 0; done < count;) {
        size_t part = sizeof block / item < count - done ? sizeof block / item : count - done;
        if (fread(block, item, part, file) != part) return false;
        widen(block, item, is_signed, part, (int64_t *)out->data + done);
        done += part;
    }
    return true;
}

static lg_status read_open(lg_context *ctx, const char *path, FILE *file, lg_array *out)
{
    header h = {0};
    size_t data_at = 0, item = 0;
    lg_dtype dtype = LG_U8;
    kind from = BOOL;
    lg_status result = read_header(ctx, path, file, &h, &data_at);
    if (result != LG_OK) return result;
    result = parse_type(ctx, path, h.descr, &from, &item, &dtype);
    if (result != LG_OK) return result;
    if (h.ndim > LG_MAX_DIM) {
        return lg_fail(ctx, LG_ERR_DATA, "%s: the array has %d dimensions; at most %d are possible", path, h.ndim,
                       LG_MAX_DIM);
    }
    if (h.fortran && h.ndim > 1) {
        return lg_fail(ctx, LG_ERR_DATA,
                       "%s: the array is in Fortran order; save it in C order, numpy.ascontiguousarray(a)", path);
    }
    result = check_size(ctx, path, file, &h, item, data_at);
    if (result != LG_OK) return result;
    result = lg_array_alloc(ctx, dtype, h.ndim, h.shape, out);
    if (result != LG_OK) return lg_fail_in(ctx, result, "%s", path);
    if (!read_data(file, item, from == INT, out)) {
        if (ferror(file)) return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", path, strerror(errno));
        return lg_fail(ctx, LG_ERR_DATA, "%s: cut off in the data", path);
    }
    if (from == FLOAT || from == BOOL) return LG_OK;
    return lg_array_check_top_bit(ctx, path, from == INT, out);
}

lg_status lg_npy_read(lg_context *ctx, const char *path, lg_array *out)
{
    *out = (lg_array){0};
    FILE *file = fopen(path, "rb");
    if (!file) return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", path, strerror(errno));
    lg_status result = read_open(ctx, path, file, out);
    fclose(file);
    if (result != LG_OK) lg_array_clear(out);
    return result;
}

/* ------------------------------------------------------------------------------------------- writing */

lg_status lg_array_write(lg_context *ctx, const char *path, const lg_array *array, bool force)
{
    static const char *const descr[] = {"|u1", "<i4", "<i8", "<f4", "<f8"};
    size_t item = lg_dtype_size(array->dtype), count = lg_array_size(array);
    if (item == 0 || array->ndim < 0 || array->ndim > LG_MAX_DIM || (count > 0 && !array->data)) {
        return lg_fail(ctx, LG_ERR_USAGE, "cannot write '%s': the array was never filled", path);
    }
    char shape[LG_SHAPE_TEXT], text[LG_SHAPE_TEXT + 128];
    int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                        descr[array->dtype], lg_shape_text(array->shape, array->ndim, shape));
    /* The data start at a multiple of 64; the header is filled with spaces and ends in a newline. */
    size_t length = ((size_t)used + 1 + PREFIX + 2 + 63) / 64 * 64 - PREFIX - 2;
    const unsigned char start[] =
        {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(length & 255), (unsigned char)(length >> 8)};
    lg_atomic a;
    lg_status result = lg_atomic_open(ctx, path, force, &a);
    if (result != LG_OK) return result;
    char header_line[LG_SHAPE_TEXT + 256];
    snprintf(header_line, sizeof header_line, "%-*s\n", (int)length - 1, text);
    result = lg_atomic_write(ctx, &a, start, sizeof start);
    if (result == LG_OK) result = lg_atomic_write(ctx, &a, header_line, length);
    if (result == LG_OK) result = lg_atomic_write(ctx, &a, array->data, item * count);
    return result == LG_OK ? lg_atomic_commit(ctx, &a) : result;
}
