/* Reading noise folders: a table of arrays per model, and checks that name the file and what was expected. */
#include "noise/noise.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the values of an array must be. */
typedef enum domain { ANY, FINITE, BIT, UNIT, OPEN, COUNT, CHANNEL, VELOCITY } domain;

/* One array: shape is a letter or digit per dimension. A letter's size is taken from the first array that has it. A
 * leading 't' is T, but may be left out (T = 1). "1" also matches a 0-dimensional array. */
typedef struct spec {
    const char *name;
    lg_dtype dtype;
    const char *shape;
    bool optional;
    domain domain;
} spec;

static const spec si_spec[] = {
    {"X", LG_F64, "BHW", false, BIT},
    {"Yobs", LG_F64, "BHW", true, BIT},
    {"beta", LG_F64, "1", false, UNIT},
    {"u", LG_F64, "tBHW", false, OPEN},
    {"gumbel", LG_F64, "tBHW2", true, FINITE},
    {"tau", LG_F64, "1", true, FINITE},
    {"record", LG_I32, "K", true, ANY},
    {"target_stat", LG_F64, "K1", true, FINITE},
    {"weight_stat", LG_F64, "K1", true, FINITE},
    {NULL, LG_F64, NULL, false, ANY},
};

static const spec prw_spec[] = {
    {"logits", LG_F64, "2", false, ANY}, /* infinite at p = 0 and 1 */
    {"v0", LG_F64, "2n", false, VELOCITY},
    {"target", LG_F64, "T", false, FINITE},
    {"weight", LG_F64, "T", true, FINITE},
    {"gumbel_keep", LG_F64, "2Tn2", false, FINITE},
    {"gumbel_vel", LG_F64, "2Tn3", false, FINITE},
    {"gumbel_v0", LG_F64, "2n3", true, FINITE},
    {"tau", LG_F64, "1", true, FINITE},
    {NULL, LG_F64, NULL, false, ANY},
};

static const spec mk_spec[] = {
    {"consts", LG_F64, "3", false, FINITE},
    {"params", LG_F64, "5", false, UNIT},
    {"X0", LG_F64, "B2HW", false, COUNT},
    {"Xref", LG_F64, "B2HW", true, FINITE},
    {"xi", LG_F64, "TB2HW", false, OPEN},
    {"gumbel", LG_F64, "TB29", false, FINITE},
    {"channel", LG_I32, "TBHW", false, CHANNEL},
    {"thresholds", LG_F64, "TB6HW", false, OPEN},
    {"gumbel_reaction", LG_F64, "TBHW2", true, FINITE},
    {"record", LG_I32, "K", true, ANY},
    {"target_stat", LG_F64, "K4", true, FINITE},
    {"weight_stat", LG_F64, "K4", true, FINITE},
    {NULL, LG_F64, NULL, false, ANY},
};

static const spec *const specs[LG_MODEL_COUNT] =
    {[LG_MODEL_SI] = si_spec, [LG_MODEL_PRW] = prw_spec, [LG_MODEL_MK] = mk_spec};

void lg_noise_clear(lg_noise *noise)
{
    for (int i = 0; i < noise->count; i++) lg_array_clear(&noise->item[i].array);
    memset(noise, 0, sizeof *noise);
}

const lg_array *lg_noise_find(const lg_noise *noise, const char *name)
{
    for (int i = 0; i < noise->count; i++)
        if (strcmp(noise->item[i].name, name) == 0) return &noise->item[i].array;
    return NULL;
}

const double *lg_noise_reals(const lg_noise *noise, const char *name)
{
    const lg_array *a = lg_noise_find(noise, name);
    return a ? a->data : NULL;
}

const int32_t *lg_noise_ints(const lg_noise *noise, const char *name)
{
    const lg_array *a = lg_noise_find(noise, name);
    return a ? a->data : NULL;
}

lg_status lg_noise_add(lg_context *ctx, lg_noise *noise, const char *name, lg_dtype dtype, int ndim,
                       const size_t *shape, void **data)
{
    if (noise->count == LG_NOISE_ARRAYS)
        return lg_fail(ctx, LG_ERR_INTERNAL, "too many arrays in a noise folder: %s", name);
    lg_noise_array *item = &noise->item[noise->count];
    const lg_status status = lg_array_alloc(ctx, dtype, ndim, shape, &item->array);
    if (status) return status;
    item->name = name;
    noise->count++;
    memset(item->array.data, 0, lg_array_size(&item->array) * lg_dtype_size(dtype));
    *data = item->array.data;
    return LG_OK;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* Sizes of the letters met so far, 0 = not yet. */
typedef struct sizes {
    size_t of[128];
} sizes;

static void append(char *text, size_t size, const char *piece)
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", piece);
}

/* "float64 [T = 3, B = 2, 6, H, W]" */
static void describe_spec(const spec *s, const sizes *known, char *text, size_t size)
{
    snprintf(text, size, "%s [", s->dtype == LG_I32 ? "int32" : "float64");
    for (const char *c = s->shape; *c; c++) {
        char piece[48];
        const char letter = *c == 't' ? 'T' : *c;
        const size_t n = known->of[(int)letter];
        if (n && (letter < '0' || letter > '9'))
            snprintf(piece, sizeof piece, "%s%c = %zu", c > s->shape ? ", " : "", letter, n);
        else snprintf(piece, sizeof piece, "%s%c", c > s->shape ? ", " : "", letter);
        append(text, size, piece);
    }
    append(text, size, "]");
}

static void describe_array(const lg_array *a, char *text, size_t size)
{
    static const char *const names[] =
        {[LG_U8] = "uint8", [LG_I32] = "int32", [LG_I64] = "int64", [LG_F32] = "float32", [LG_F64] = "float64"};
    snprintf(text, size, "%s [", names[a->dtype]);
    for (int i = 0; i < a->ndim; i++) {
        char piece[32];
        snprintf(piece, sizeof piece, "%s%zu", i ? ", " : "", a->shape[i]);
        append(text, size, piece);
    }
    append(text, size, "]");
}

/* True if the array has the spec's shape; learns the sizes of new letters. */
static bool shape_matches(const spec *s, const lg_array *a, sizes *known)
{
    const char *shape = s->shape;
    size_t expected_dims = strlen(shape);
    if (strcmp(shape, "1") == 0 && a->ndim == 0) return true;
    if (*shape == 't' && (size_t)a->ndim + 1 == expected_dims) {
        if (known->of['T'] > 1) return false;
        known->of['T'] = 1;
        shape++;
        expected_dims--;
    }
    if ((size_t)a->ndim != expected_dims) return false;
    for (int i = 0; i < a->ndim; i++) {
        const char letter = shape[i] == 't' ? 'T' : shape[i];
        size_t *n = &known->of[(int)letter];
        if (letter >= '0' && letter <= '9') {
            if (a->shape[i] != (size_t)(letter - '0')) return false;
        } else if (*n == 0) {
            if (a->shape[i] == 0) return false;
            *n = a->shape[i];
        } else if (*n != a->shape[i]) {
            return false;
        }
    }
    return true;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static bool in_domain(domain d, double v, double capacity)
{
    switch (d) {
    case ANY: return !isnan(v);
    case FINITE: return isfinite(v);
    case BIT: return v == 0.0 || v == 1.0;
    case UNIT: return v >= 0.0 && v <= 1.0;
    case OPEN: return v > 0.0 && v < 1.0;
    case COUNT: return v >= 0.0 && v <= capacity && v == floor(v);
    case CHANNEL: return v >= 0.0 && v <= 5.0;
    case VELOCITY: return v == -1.0 || v == 0.0 || v == 1.0;
    }
    return false;
}

static const char *domain_text(domain d)
{
    static const char *const text[] = {[ANY] = "a number",
                                       [FINITE] = "a finite number",
                                       [BIT] = "0 or 1",
                                       [UNIT] = "a number in [0, 1]",
                                       [OPEN] = "a number strictly between 0 and 1",
                                       [COUNT] = "an integer from 0 to the capacity consts[0]",
                                       [CHANNEL] = "a channel 0..5",
                                       [VELOCITY] = "-1, 0 or 1"};
    return text[d];
}

static lg_status check_values(lg_context *ctx, const char *path, const spec *s, const lg_array *a, double capacity)
{
    for (size_t i = 0; i < lg_array_size(a); i++) {
        const double v = lg_array_get(a, i);
        if (!in_domain(s->domain, v, capacity))
            return lg_fail(ctx, LG_ERR_DATA, "%s: element %zu is %g, expected %s", path, i, v, domain_text(s->domain));
    }
    return LG_OK;
}

/* Checks that need more than one array. */
static lg_status check_set(lg_context *ctx, const char *directory, const lg_noise *noise, const sizes *known)
{
    const double *consts = lg_noise_reals(noise, "consts"), *tau = lg_noise_reals(noise, "tau");
    if (consts && (!(consts[0] >= 3.0) || consts[0] > 255.0 || consts[0] != floor(consts[0])))
        return lg_fail(ctx, LG_ERR_DATA, "%s/consts.npy: the capacity N = %g is not an integer from 3 to 255",
                       directory, consts[0]);
    if (consts && !(consts[1] > 0.0))
        return lg_fail(ctx, LG_ERR_DATA, "%s/consts.npy: gamma = %g, expected a number above 0", directory, consts[1]);
    if ((consts && !(consts[2] > 0.0)) || (tau && !(*tau > 0.0)))
        return lg_fail(ctx, LG_ERR_DATA, "%s/%s.npy: the softmax temperature is %g, expected a number above 0",
                       directory, consts ? "consts" : "tau", consts ? consts[2] : *tau);
    if (known->of['H'] && (known->of['H'] < 3 || known->of['W'] < 3))
        return lg_fail(ctx, LG_ERR_DATA, "%s: a lattice of %zu x %zu sites, expected at least 3 x 3", directory,
                       known->of['H'], known->of['W']);
    const int32_t *record = lg_noise_ints(noise, "record");
    for (size_t k = 0; record && k < known->of['K']; k++)
        if (record[k] < 1 || (size_t)record[k] > known->of['T'])
            return lg_fail(ctx, LG_ERR_DATA, "%s/record.npy: element %zu is %d, expected a step from 1 to %zu",
                           directory, k, record[k], known->of['T']);
    if (record && (!lg_noise_find(noise, "target_stat") || !lg_noise_find(noise, "weight_stat")))
        return lg_fail(ctx, LG_ERR_DATA, "%s: record.npy needs target_stat.npy and weight_stat.npy beside it",
                       directory);
    return LG_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static lg_status read_one(lg_context *ctx, const char *directory, const spec *s, sizes *known, lg_noise *out)
{
    char path[PATH_MAX], expected[160], found[160];
    lg_noise_array *item = &out->item[out->count];
    if ((size_t)snprintf(path, sizeof path, "%s/%s.npy", directory, s->name) >= sizeof path)
        return lg_fail(ctx, LG_ERR_FILE, "%s: the path of the folder is too long", directory);
    if (s->optional && access(path, F_OK) != 0) return LG_OK;
    const lg_status status = lg_array_read(ctx, path, &item->array);
    if (status) return status;
    item->name = s->name;
    out->count++;
    describe_spec(s, known, expected, sizeof expected); /* before new letters are learnt */
    if (item->array.dtype != s->dtype || !shape_matches(s, &item->array, known)) {
        describe_array(&item->array, found, sizeof found);
        return lg_fail(ctx, LG_ERR_DATA, "%s: %s, expected %s", path, found, expected);
    }
    const double *consts = lg_noise_reals(out, "consts");
    return check_values(ctx, path, s, &item->array, consts ? consts[0] : 0.0);
}

lg_status lg_noise_read(lg_context *ctx, lg_model_id model, const char *directory, lg_noise *out)
{
    sizes known = {{0}};
    lg_status status = LG_OK;
    memset(out, 0, sizeof *out);
    out->model = model;
    if (access(directory, R_OK | X_OK) != 0)
        return lg_fail(ctx, LG_ERR_FILE, "%s: the noise folder cannot be read", directory);
    for (const spec *s = specs[model]; s->name && !status; s++) status = read_one(ctx, directory, s, &known, out);
    if (!status) status = check_set(ctx, directory, out, &known);
    if (status) lg_noise_clear(out);
    return status;
}
