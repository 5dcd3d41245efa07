/* Reads a result file back; the layout is at the top of result_hdf5.c. */
#include "fit/result.h"

#include "base/error.h"
#include "lg_build.h"

#if LG_HAVE_HDF5

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hdf5.h>

/* Once something has failed the other calls do nothing and the message in ctx stands. */
typedef struct reader {
    lg_context *ctx;
    const char *path;
    hid_t file, text;
    lg_status status;
} reader;

static void damaged(reader *r, const char *where, const char *expected)
{
    if (r->status != LG_OK) return;
    r->status = lg_fail(r->ctx, LG_ERR_DATA, "'%s' is damaged or no result of latgrad: %s should be %s", r->path, where,
                        expected);
}

static void *allocate(reader *r, size_t count, size_t size)
{
    if (r->status != LG_OK) return NULL;
    void *memory = calloc(count ? count : 1, size);
    if (!memory) r->status = lg_fail(r->ctx, LG_ERR_MEMORY, "cannot read '%s': not enough memory", r->path);
    return memory;
}

/* A scalar attribute of number type. */
static void get_attribute(reader *r, const char *name, hid_t memory, void *value)
{
    if (r->status != LG_OK) return;
    hid_t attribute = H5Aopen(r->file, name, H5P_DEFAULT);
    bool good = attribute >= 0;
    if (good) {
        hid_t space = H5Aget_space(attribute);
        good = H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, memory, value) >= 0;
        H5Sclose(space);
        H5Aclose(attribute);
    }
    if (!good) damaged(r, name, "an attribute with one number");
}

static bool is_text(hid_t type)
{
    return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0;
}

static void get_text_attribute(reader *r, const char *name, char *text, size_t size)
{
    if (r->status != LG_OK) return;
    hid_t attribute = H5Aopen(r->file, name, H5P_DEFAULT);
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : -1;
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    char *value = NULL;
    bool good = type >= 0 && is_text(type) && H5Sget_simple_extent_npoints(space) == 1 &&
                H5Aread(attribute, r->text, &value) >= 0;
    if (good) {
        snprintf(text, size, "%s", value ? value : "");
        H5Dvlen_reclaim(r->text, space, H5P_DEFAULT, &value);
    } else {
        damaged(r, name, "an attribute with a text");
    }
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
}

/* Opens a data set and checks its shape; -1 after a failure. */
static hid_t open_set(reader *r, const char *path, int rank, const hsize_t *shape)
{
    if (r->status != LG_OK) return -1;
    hid_t set = H5Dopen2(r->file, path, H5P_DEFAULT);
    if (set < 0) {
        damaged(r, path, "a data set");
        return -1;
    }
    hsize_t found[H5S_MAX_RANK];
    hid_t space = H5Dget_space(set);
    bool good = H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, found, NULL) == rank;
    for (int d = 0; good && d < rank; d++) good = found[d] == shape[d];
    H5Sclose(space);
    if (good) return set;
    damaged(r, path, "a data set of the shape the others ask for");
    H5Dclose(set);
    return -1;
}

static void get_set(reader *r, const char *path, hid_t memory, int rank, const hsize_t *shape, void *data)
{
    hid_t set = open_set(r, path, rank, shape);
    if (set < 0) return;
    if (H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) damaged(r, path, "readable numbers");
    H5Dclose(set);
}

/* Strings of a data set; text[count] belong to HDF5 and go back through free_texts. */
static bool get_texts(reader *r, const char *path, int rank, const hsize_t *shape, char **text)
{
    hid_t set = open_set(r, path, rank, shape);
    if (set < 0) return false;
    hid_t type = H5Dget_type(set);
    bool good = is_text(type) && H5Dread(set, r->text, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0;
    if (!good) damaged(r, path, "readable texts");
    H5Tclose(type);
    H5Dclose(set);
    return good;
}

static void free_texts(const reader *r, int rank, const hsize_t *shape, char **text)
{
    hid_t space = rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
    H5Dvlen_reclaim(r->text, space, H5P_DEFAULT, text);
    H5Sclose(space);
}

static void get_attributes(reader *r, lg_result *result)
{
    char format[64] = "", model[64] = "";
    int version = 0;
    get_text_attribute(r, "format", format, sizeof format);
    if (r->status == LG_OK && strcmp(format, "latgrad result") != 0)
        damaged(r, "the attribute format", "'latgrad result'");
    get_attribute(r, "format_version", H5T_NATIVE_INT, &version);
    if (r->status == LG_OK && version != 1) {
        r->status = lg_fail(r->ctx, LG_ERR_DATA, "'%s' has format version %d; this latgrad (%s) reads version 1",
                            r->path, version, lg_version());
    }
    get_text_attribute(r, "model", model, sizeof model);
    if (r->status == LG_OK) {
        result->model = lg_model_find(model);
        if (!result->model) damaged(r, "the attribute model", "si, prw or mk");
    }
    get_text_attribute(r, "task", result->task, sizeof result->task);
    get_text_attribute(r, "loss", result->loss, sizeof result->loss);
    get_text_attribute(r, "device", result->device, sizeof result->device);
    get_text_attribute(r, "host", result->host, sizeof result->host);
    get_attribute(r, "seed", H5T_NATIVE_UINT64, &result->seed);
    get_text_attribute(r, "started", result->started, sizeof result->started);
    get_text_attribute(r, "finished", result->finished, sizeof result->finished);
    if (r->status == LG_OK && H5Aexists(r->file, "resumed") > 0) /* files of the first versions have none */
        get_text_attribute(r, "resumed", result->resumed, sizeof result->resumed);
    get_attribute(r, "seconds", H5T_NATIVE_DOUBLE, &result->seconds);
}

/* The names must be those of the model, in its order: the columns of the traces are taken by position. */
static void get_parameters(reader *r, lg_result *result)
{
    if (r->status != LG_OK) return;
    const hsize_t params = (hsize_t)result->model->params;
    char *names[LG_MAX_PARAMS] = {NULL};
    uint8_t fitted[LG_MAX_PARAMS] = {0};
    if (get_texts(r, "/parameters", 1, &params, names)) {
        for (hsize_t i = 0; i < params; i++) {
            if (!names[i] || strcmp(names[i], result->model->param[i].name) != 0) {
                damaged(r, "/parameters", "the names of the model's parameters");
            }
        }
        free_texts(r, 1, &params, names);
    }
    get_set(r, "/fitted", H5T_NATIVE_UINT8, 1, &params, fitted);
    for (hsize_t i = 0; i < params; i++) result->fitted[i] = fitted[i] != 0;
    char *config = NULL;
    if (get_texts(r, "/config", 0, NULL, &config)) {
        result->config_yaml = strdup(config ? config : "");
        if (!result->config_yaml)
            r->status = lg_fail(r->ctx, LG_ERR_MEMORY, "cannot read '%s': not enough memory", r->path);
        free_texts(r, 0, NULL, &config);
    }
}

/* The shape of /trace/loss says how many fits there are and how many iterations are kept. */
static void get_shape(reader *r, hsize_t shape[2])
{
    if (r->status != LG_OK) return;
    hid_t set = H5Dopen2(r->file, "/trace/loss", H5P_DEFAULT);
    hid_t space = set >= 0 ? H5Dget_space(set) : -1;
    bool good = space >= 0 && H5Sget_simple_extent_ndims(space) == 2 &&
                H5Sget_simple_extent_dims(space, shape, NULL) == 2 && shape[0] >= 1 && shape[0] <= INT32_MAX &&
                shape[1] <= INT64_MAX;
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    if (!good) damaged(r, "/trace/loss", "a table with a row for each fit");
}

static void get_status_texts(reader *r, lg_result *result)
{
    const hsize_t fits = (hsize_t)result->fits;
    char **text = allocate(r, fits, sizeof *text);
    if (text && get_texts(r, "/fit/status", 1, &fits, text)) {
        for (int f = 0; f < result->fits; f++) {
            lg_fit_status status = LG_FIT_RUNNING;
            while (status <= LG_FIT_NOT_FINITE && (!text[f] || strcmp(text[f], lg_fit_status_name(status)) != 0))
                status++;
            if (status > LG_FIT_NOT_FINITE) damaged(r, "/fit/status", "one of the states a fit can be in");
            result->fit[f].status = status;
        }
        free_texts(r, 1, &fits, text);
    }
    if (text && get_texts(r, "/fit/reason", 1, &fits, text)) {
        for (int f = 0; f < result->fits; f++) {
            snprintf(result->fit[f].reason, sizeof result->fit[f].reason, "%s", text[f] ? text[f] : "");
        }
        free_texts(r, 1, &fits, text);
    }
    free(text);
}

static void get_fits(reader *r, lg_result *result, hsize_t most)
{
    const hsize_t shape[2] = {(hsize_t)result->fits, result->model ? (hsize_t)result->model->params : 0};
    size_t fits = shape[0], params = shape[1];
    int64_t *iterations = allocate(r, fits, sizeof *iterations);
    double *loss = allocate(r, fits, sizeof *loss), *start = allocate(r, fits * params, sizeof *start);
    double *final = allocate(r, fits * params, sizeof *final);
    get_set(r, "/fit/iterations", H5T_NATIVE_INT64, 1, shape, iterations);
    get_set(r, "/fit/loss", H5T_NATIVE_DOUBLE, 1, shape, loss);
    get_set(r, "/fit/start", H5T_NATIVE_DOUBLE, 2, shape, start);
    get_set(r, "/fit/final", H5T_NATIVE_DOUBLE, 2, shape, final);
    for (size_t f = 0; r->status == LG_OK && f < fits; f++) {
        lg_fit_record *record = &result->fit[f];
        if (iterations[f] < 0 || (hsize_t)iterations[f] > most)
            damaged(r, "/fit/iterations", "at most the length of the traces");
        record->iterations = iterations[f];
        record->loss = loss[f];
        memcpy(record->start, start + f * params, params * sizeof *start);
        memcpy(record->params, final + f * params, params * sizeof *final);
    }
    free(final);
    free(start);
    free(loss);
    free(iterations);
}

static double *get_optional(reader *r, const char *path, int rank, const hsize_t *shape)
{
    if (r->status != LG_OK || H5Lexists(r->file, path, H5P_DEFAULT) <= 0) return NULL;
    size_t count = 1;
    for (int d = 0; d < rank; d++) count *= shape[d];
    double *data = allocate(r, count, sizeof *data);
    if (data) get_set(r, path, H5T_NATIVE_DOUBLE, rank, shape, data);
    return data;
}

/* Standard errors and intervals, which results of before they were made do not have. */
static void get_errors(reader *r, lg_result *result)
{
    const hsize_t params = (hsize_t)result->model->params, shape[2] = {(hsize_t)result->fits, params};
    static const char *const paths[] = {"/fit/standard_error", "/fit/interval_low", "/fit/interval_high"};
    if (r->status == LG_OK && H5Aexists(r->file, "errors") > 0)
        get_text_attribute(r, "errors", result->errors, sizeof result->errors);
    for (int k = 0; k < 3; k++) {
        double *value = get_optional(r, paths[k], 2, shape);
        for (size_t f = 0; r->status == LG_OK && f < shape[0]; f++) {
            lg_fit_record *record = &result->fit[f];
            double *to = k == 0 ? record->error : (k == 1 ? record->low : record->high);
            for (size_t i = 0; i < LG_MAX_PARAMS; i++) to[i] = value && i < params ? value[f * params + i] : NAN;
        }
        free(value);
    }
}

/* `columns` columns of every fit's trace from `first`; columns 0: one, without a dimension of its own in the file. */
static void get_trace(reader *r, const char *path, lg_result *result, hsize_t most, hsize_t first, hsize_t columns)
{
    if (r->status != LG_OK) return;
    const hsize_t width = (hsize_t)result->model->params + 3, shape[3] = {(hsize_t)result->fits, most, columns};
    hid_t set = open_set(r, path, columns ? 3 : 2, shape);
    if (set < 0) return;
    hid_t there = H5Dget_space(set);
    for (int f = 0; f < result->fits && r->status == LG_OK; f++) {
        const hsize_t rows = (hsize_t)result->fit[f].iterations;
        if (rows == 0) continue;
        const hsize_t table[2] = {rows, width}, corner[2] = {0, first}, part[2] = {rows, columns ? columns : 1};
        const hsize_t start[3] = {(hsize_t)f, 0, 0}, count[3] = {1, rows, columns};
        hid_t here = H5Screate_simple(2, table, NULL);
        bool good = H5Sselect_hyperslab(here, H5S_SELECT_SET, corner, NULL, part, NULL) >= 0 &&
                    H5Sselect_hyperslab(there, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                    H5Dread(set, H5T_NATIVE_DOUBLE, here, there, H5P_DEFAULT, result->fit[f].trace) >= 0;
        H5Sclose(here);
        if (!good) damaged(r, path, "readable numbers");
    }
    H5Sclose(there);
    H5Dclose(set);
}

static void get_traces(reader *r, lg_result *result, hsize_t most)
{
    if (r->status != LG_OK) return;
    const hsize_t params = (hsize_t)result->model->params;
    for (int f = 0; f < result->fits; f++) {
        result->fit[f].trace = allocate(r, (size_t)result->fit[f].iterations * (params + 3), sizeof(double));
    }
    get_trace(r, "/trace/loss", result, most, 0, 0);
    get_trace(r, "/trace/params", result, most, 1, params);
    get_trace(r, "/trace/learning_rate", result, most, params + 1, 0);
    get_trace(r, "/trace/gradient_norm", result, most, params + 2, 0);
}

static void get_statistics(reader *r, lg_result *result)
{
    if (r->status != LG_OK || H5Lexists(r->file, "/statistics", H5P_DEFAULT) <= 0) return;
    const hsize_t kinds = (hsize_t)lg_task_statistics(result->model, lg_task_find(result->task));
    hsize_t shape[3] = {(hsize_t)result->fits, 0, kinds}, found[2] = {0, 0};
    hid_t set = H5Dopen2(r->file, "/statistics/target", H5P_DEFAULT);
    hid_t space = set >= 0 ? H5Dget_space(set) : -1;
    bool good = space >= 0 && H5Sget_simple_extent_ndims(space) == 2 &&
                H5Sget_simple_extent_dims(space, found, NULL) == 2 && found[1] == shape[2] && found[0] >= 1 &&
                found[0] <= INT32_MAX / (found[1] ? found[1] : 1);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    if (!good) damaged(r, "/statistics/target", "a table with a row for each record");
    shape[1] = found[0];
    result->statistics = (int)(found[0] * found[1]);
    result->target = get_optional(r, "/statistics/target", 2, shape + 1);
    result->weight = get_optional(r, "/statistics/weight", 2, shape + 1);
    result->last_statistics = get_optional(r, "/statistics/fitted", 3, shape);
}

/* What is not found again from the rest; results without an ensemble have none of it. */
static void get_ensemble(reader *r, lg_result *result)
{
    if (r->status != LG_OK || H5Lexists(r->file, "/ensemble", H5P_DEFAULT) <= 0) return;
    const hsize_t params = (hsize_t)result->model->params, limits[2] = {2, params};
    double both[2 * LG_MAX_PARAMS] = {0};
    hsize_t axes = 0;
    result->ensemble = true;
    get_set(r, "/ensemble/bound", H5T_NATIVE_DOUBLE, 0, NULL, &result->bound);
    get_set(r, "/ensemble/distance", H5T_NATIVE_DOUBLE, 0, NULL, &result->distance);
    get_set(r, "/ensemble/limits", H5T_NATIVE_DOUBLE, 2, limits, both);
    memcpy(result->lower, both, params * sizeof *both);
    memcpy(result->upper, both + params, params * sizeof *both);
    hid_t set =
        H5Lexists(r->file, "/ensemble/names", H5P_DEFAULT) > 0 ? H5Dopen2(r->file, "/ensemble/names", H5P_DEFAULT) : -1;
    if (set < 0) return;
    hid_t space = H5Dget_space(set);
    const bool good = H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &axes, NULL) == 1;
    H5Sclose(space);
    H5Dclose(set);
    if (!good || axes < 1 || axes > LG_MAX_COORDINATES) {
        damaged(r, "/ensemble/names", "a list of a few names");
        return;
    }
    char *names[LG_MAX_COORDINATES] = {NULL};
    const hsize_t shape[2] = {(hsize_t)result->fits, axes};
    if (get_texts(r, "/ensemble/names", 1, &axes, names)) {
        for (hsize_t i = 0; i < axes; i++)
            snprintf(result->coordinate_name[i], sizeof result->coordinate_name[i], "%s", names[i] ? names[i] : "");
        free_texts(r, 1, &axes, names);
    }
    result->coordinates = (int)axes;
    double *place = allocate(r, (size_t)(shape[0] * axes), sizeof *place);
    get_set(r, "/ensemble/coordinates", H5T_NATIVE_DOUBLE, 2, shape, place);
    for (size_t f = 0; r->status == LG_OK && f < shape[0]; f++)
        memcpy(result->fit[f].coordinate, place + f * axes, axes * sizeof *place);
    free(place);
}

static void get_posterior(reader *r, lg_result *result)
{
    if (r->status != LG_OK || H5Lexists(r->file, "/posterior", H5P_DEFAULT) <= 0) return;
    const hsize_t table[2] = {(hsize_t)result->fit[0].iterations, 4};
    result->generation = get_optional(r, "/posterior/generations", 2, table);
    if (r->status != LG_OK || H5Lexists(r->file, "/posterior/weights", H5P_DEFAULT) <= 0) return;
    hsize_t n = 0;
    hid_t set = H5Dopen2(r->file, "/posterior/weights", H5P_DEFAULT), space = set >= 0 ? H5Dget_space(set) : -1;
    const bool good = space >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                      H5Sget_simple_extent_dims(space, &n, NULL) == 1 && n >= 1 && n <= INT32_MAX;
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    if (!good) {
        damaged(r, "/posterior/weights", "a list of numbers");
        return;
    }
    const hsize_t shape[2] = {n, (hsize_t)result->model->params};
    result->sample = get_optional(r, "/posterior/samples", 2, shape);
    result->sample_weight = get_optional(r, "/posterior/weights", 1, &n);
    result->sample_distance = get_optional(r, "/posterior/distances", 1, &n);
    if (r->status == LG_OK && (!result->sample || !result->sample_distance))
        damaged(r, "/posterior", "samples, weights and distances");
    if (r->status == LG_OK) result->samples = (int)n;
}

static void get_result(reader *r, lg_result *result)
{
    hsize_t shape[2] = {0, 0};
    get_attributes(r, result);
    get_parameters(r, result);
    get_shape(r, shape);
    result->fit = allocate(r, (size_t)shape[0], sizeof *result->fit);
    if (r->status != LG_OK) return;
    result->fits = (int)shape[0];
    get_status_texts(r, result);
    get_fits(r, result, shape[1]);
    get_errors(r, result);
    get_traces(r, result, shape[1]);
    get_statistics(r, result);
    get_ensemble(r, result);
    get_posterior(r, result);
}

/* Without a lock: many cluster file systems have none, and HDF5 then refuses to open the file. A result is complete
 * from the moment it has its name, so that none is needed. */
static lg_status read_file(reader *r, lg_result *result)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 12, 1) || (H5_VERS_MINOR == 10 && H5_VERS_RELEASE >= 7)
    H5Pset_file_locking(access, 0, 1);
#endif
    r->file = H5Fopen(r->path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (r->file < 0) {
        return lg_fail(r->ctx, LG_ERR_DATA,
                       "'%s' is not a readable HDF5 file (a result that latgrad wrote is expected)", r->path);
    }
    r->text = H5Tcopy(H5T_C_S1);
    H5Tset_size(r->text, H5T_VARIABLE);
    H5Tset_cset(r->text, H5T_CSET_UTF8);
    get_result(r, result);
    H5Tclose(r->text);
    H5Fclose(r->file);
    return r->status;
}

lg_status lg_result_read(lg_context *ctx, const char *path, lg_result **out)
{
    *out = NULL;
    if (access(path, R_OK) != 0) return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", path, strerror(errno));
    lg_result *result = calloc(1, sizeof *result);
    if (!result) return lg_fail(ctx, LG_ERR_MEMORY, "cannot read '%s': not enough memory", path);
    H5E_auto2_t print = NULL;
    void *print_data = NULL;
    H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    reader r = {.ctx = ctx, .path = path, .status = LG_OK};
    lg_status status = read_file(&r, result);
    H5Eset_auto2(H5E_DEFAULT, print, print_data);
    if (status == LG_OK) {
        *out = result;
    } else {
        lg_result_free(result);
    }
    return status;
}

#else

lg_status lg_result_read(lg_context *ctx, const char *path, lg_result **out)
{
    *out = NULL;
    return lg_fail(ctx, LG_ERR_LIBRARY,
                   "cannot read the result '%s': this build has no HDF5; build with LATGRAD_HDF5=ON (Debian: "
                   "libhdf5-dev)",
                   path);
}

#endif
