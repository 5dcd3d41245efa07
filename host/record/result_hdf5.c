/* Results as HDF5 files. Format 1; F fits, I = the most iterations a fit made, P parameters, S records of K statistics:
 *
 *   attributes of /     format "latgrad result", format_version, version, commit, build (of the library that wrote it),
 *                       model, task, loss, device, host, seed (uint64), started, finished (ISO 8601, UTC), seconds,
 *                       resumed ("TIME HOST iteration N; ..." for each time the fit went on from a checkpoint)
 *   /config             string: the complete effective configuration, YAML
 *   /parameters         [P] strings, names
 *   /fitted             [P] uint8, 1: fitted, 0: held fixed
 *   /fit/status         [F] strings: done, plateau, time, stopped, not_finite (see lg_fit_status)
 *   /fit/reason         [F] strings, a sentence
 *   /fit/iterations     [F] int64
 *   /fit/start, final   [F][P]
 *   /fit/loss           [F] of the last iteration
 *   /trace/loss, learning_rate, gradient_norm   [F][I]
 *   /trace/params       [F][I][P], before the update of that iteration
 *   /statistics/names   [K] strings                        } where the loss compares statistics
 *   /statistics/target, weight  [S][K]                     }
 *   /statistics/fitted  [F][S][K], of the last evaluated state
 *   /ensemble           where the configuration has one:
 *     names [C] strings, coordinates [F][C]   what distinguishes the fits, see lg_result_coordinates
 *     start, steps, status                    the same as /fit/start, iterations, status
 *     end [F][P], loss [F]                    means over the last tenth of a fit's iterates
 *     limits [2][P], bound, distance          lower and upper bounds of the parameters; of the summary, NaN: none
 *
 * Numbers are doubles where nothing else is said. Rows of a trace past the fit's own iterations are NaN. Strings are
 * UTF-8 of variable length, which h5py, R (rhdf5, hdf5r) and Julia read as they are. */
#include "fit/result.h"

#include "base/error.h"
#include "base/file.h"
#include "lg_build.h"

#if LG_HAVE_HDF5

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

enum { CHUNK = 8192, DEFLATE = 4 };

/* Once a call has failed the others do nothing; `why` is HDF5's reason for the first failure. */
typedef struct writer {
    hid_t file, text;
    bool failed;
    char why[200];
} writer;

static herr_t keep_reason(unsigned n, const H5E_error2_t *error, void *user)
{
    writer *w = user;
    if (n == 0 && error->desc) snprintf(w->why, sizeof w->why, "%s", error->desc);
    return 0;
}

/* Takes the result of an HDF5 call, negative for a failure; walking upwards, entry 0 is where it went wrong. */
static void check(writer *w, int64_t result)
{
    if (result >= 0 || w->failed) return;
    w->failed = true;
    snprintf(w->why, sizeof w->why, "HDF5 gave no reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, w);
}

static void put_attribute(writer *w, const char *name, hid_t stored, hid_t memory, const void *value)
{
    if (w->failed) return;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(w->file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    check(w, attribute);
    if (!w->failed) check(w, H5Awrite(attribute, memory, value));
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
}

static void put_text_attribute(writer *w, const char *name, const char *value)
{
    put_attribute(w, name, w->text, w->text, &value);
}

/* Large arrays are compressed, in chunks that hold a stretch of one fit. What is never written reads as NaN. */
static hid_t storage(hid_t stored, int rank, const hsize_t *shape)
{
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t size = 1, chunk[4], room = CHUNK;
    for (int d = rank - 1; d >= 0; d--) {
        size *= shape[d];
        chunk[d] = shape[d] < room ? shape[d] : room;
        room = chunk[d] ? room / chunk[d] : 1;
        if (room < 1) room = 1;
    }
    H5Pset_obj_track_times(plan, false); /* the same result gives the same bytes, whenever it is written */
    const double nothing = NAN;
    if (stored == H5T_IEEE_F64LE) H5Pset_fill_value(plan, H5T_NATIVE_DOUBLE, &nothing);
    if (size >= 1024 && H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0) {
        H5Pset_chunk(plan, rank, chunk);
        H5Pset_shuffle(plan);
        H5Pset_deflate(plan, DEFLATE);
    }
    return plan;
}

static hid_t make_set(writer *w, const char *path, hid_t stored, int rank, const hsize_t *shape)
{
    if (w->failed) return -1;
    hid_t space = rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
    hid_t plan = storage(stored, rank, shape), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t set = H5Dcreate2(w->file, path, stored, space, links, plan, H5P_DEFAULT);
    check(w, set);
    H5Pclose(links);
    H5Pclose(plan);
    H5Sclose(space);
    return set;
}

static void put_set(writer *w, const char *path, hid_t stored, hid_t memory, int rank, const hsize_t *shape,
                    const void *data)
{
    hid_t set = make_set(w, path, stored, rank, shape);
    if (set < 0) return;
    check(w, H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
    H5Dclose(set);
}

static void put_reals(writer *w, const char *path, int rank, const hsize_t *shape, const double *data)
{
    put_set(w, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, rank, shape, data);
}

/* One number or string of every fit, row by row, so that no table has to be gathered first. */
typedef const void *(*fit_field)(const lg_fit_record *record);

static void put_per_fit(writer *w, const char *path, const lg_result *r, hid_t stored, hid_t memory, hsize_t columns,
                        fit_field field)
{
    const hsize_t shape[2] = {(hsize_t)r->fits, columns}, count[2] = {1, columns};
    int rank = columns ? 2 : 1;
    hid_t set = make_set(w, path, stored, rank, shape);
    if (set < 0) return;
    hid_t here = H5Screate_simple(1, columns ? &columns : &count[0], NULL), there = H5Dget_space(set);
    for (int f = 0; f < r->fits && !w->failed; f++) {
        const hsize_t start[2] = {(hsize_t)f, 0};
        check(w, H5Sselect_hyperslab(there, H5S_SELECT_SET, start, NULL, count, NULL));
        if (!w->failed) check(w, H5Dwrite(set, memory, here, there, H5P_DEFAULT, field(&r->fit[f])));
    }
    H5Sclose(there);
    H5Sclose(here);
    H5Dclose(set);
}

static const void *iterations_of(const lg_fit_record *record)
{
    return &record->iterations;
}
static const void *start_of(const lg_fit_record *record)
{
    return record->start;
}
static const void *final_of(const lg_fit_record *record)
{
    return record->params;
}
static const void *loss_of(const lg_fit_record *record)
{
    return &record->loss;
}
static const void *error_of(const lg_fit_record *record)
{
    return record->error;
}
static const void *low_of(const lg_fit_record *record)
{
    return record->low;
}
static const void *high_of(const lg_fit_record *record)
{
    return record->high;
}

static hsize_t longest(const lg_result *r)
{
    int64_t most = 0;
    for (int f = 0; f < r->fits; f++) {
        if (r->fit[f].iterations > most) most = r->fit[f].iterations;
    }
    return (hsize_t)most;
}

/* `columns` columns of the trace from `first`; columns 0: one, without a dimension of its own. */
static void put_trace(writer *w, const char *path, const lg_result *r, hsize_t first, hsize_t columns)
{
    const hsize_t width = (hsize_t)r->model->params + 3;
    const hsize_t shape[3] = {(hsize_t)r->fits, longest(r), columns};
    hid_t set = make_set(w, path, H5T_IEEE_F64LE, columns ? 3 : 2, shape);
    if (set < 0) return;
    hid_t there = H5Dget_space(set);
    for (int f = 0; f < r->fits && !w->failed; f++) {
        const hsize_t rows = (hsize_t)r->fit[f].iterations;
        if (rows == 0) continue;
        const hsize_t table[2] = {rows, width}, corner[2] = {0, first}, part[2] = {rows, columns ? columns : 1};
        const hsize_t start[3] = {(hsize_t)f, 0, 0}, count[3] = {1, rows, columns};
        hid_t here = H5Screate_simple(2, table, NULL);
        check(w, H5Sselect_hyperslab(here, H5S_SELECT_SET, corner, NULL, part, NULL));
        check(w, H5Sselect_hyperslab(there, H5S_SELECT_SET, start, NULL, count, NULL));
        if (!w->failed) check(w, H5Dwrite(set, H5T_NATIVE_DOUBLE, here, there, H5P_DEFAULT, r->fit[f].trace));
        H5Sclose(here);
    }
    H5Sclose(there);
    H5Dclose(set);
}

static void put_attributes(writer *w, const lg_result *r)
{
    const int format = 1;
    put_text_attribute(w, "format", "latgrad result");
    put_attribute(w, "format_version", H5T_STD_I32LE, H5T_NATIVE_INT, &format);
    put_text_attribute(w, "version", lg_version());
    put_text_attribute(w, "commit", LG_BUILD_COMMIT);
    put_text_attribute(w, "build", lg_build_info());
    put_text_attribute(w, "model", r->model->name);
    put_text_attribute(w, "task", r->task);
    put_text_attribute(w, "loss", r->loss);
    put_text_attribute(w, "device", r->device);
    put_text_attribute(w, "host", r->host);
    put_attribute(w, "seed", H5T_STD_U64LE, H5T_NATIVE_UINT64, &r->seed);
    put_text_attribute(w, "started", r->started);
    put_text_attribute(w, "finished", r->finished);
    put_text_attribute(w, "resumed", r->resumed);
    put_text_attribute(w, "errors", r->errors);
    put_attribute(w, "seconds", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &r->seconds);
}

static void put_fits(writer *w, const lg_result *r)
{
    const hsize_t fits = (hsize_t)r->fits, params = (hsize_t)r->model->params;
    hid_t status = make_set(w, "/fit/status", w->text, 1, &fits),
          reason = make_set(w, "/fit/reason", w->text, 1, &fits);
    const hsize_t one = 1;
    hid_t here = H5Screate_simple(1, &one, NULL), there = H5Screate_simple(1, &fits, NULL);
    for (int f = 0; f < r->fits && !w->failed; f++) {
        const char *name = lg_fit_status_name(r->fit[f].status), *sentence = r->fit[f].reason;
        const hsize_t start = (hsize_t)f;
        check(w, H5Sselect_hyperslab(there, H5S_SELECT_SET, &start, NULL, &one, NULL));
        if (!w->failed) check(w, H5Dwrite(status, w->text, here, there, H5P_DEFAULT, &name));
        if (!w->failed) check(w, H5Dwrite(reason, w->text, here, there, H5P_DEFAULT, &sentence));
    }
    H5Sclose(there);
    H5Sclose(here);
    if (status >= 0) H5Dclose(status);
    if (reason >= 0) H5Dclose(reason);
    put_per_fit(w, "/fit/iterations", r, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, iterations_of);
    put_per_fit(w, "/fit/start", r, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, params, start_of);
    put_per_fit(w, "/fit/final", r, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, params, final_of);
    put_per_fit(w, "/fit/loss", r, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, loss_of);
    put_per_fit(w, "/fit/standard_error", r, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, params, error_of);
    put_per_fit(w, "/fit/interval_low", r, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, params, low_of);
    put_per_fit(w, "/fit/interval_high", r, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, params, high_of);
}

static void put_statistics(writer *w, const lg_result *r)
{
    if (r->statistics == 0) return;
    const lg_task task = lg_task_find(r->task);
    const hsize_t kinds = (hsize_t)lg_task_statistics(r->model, task),
                  shape[2] = {(hsize_t)r->statistics / kinds, kinds};
    const hsize_t whole[3] = {(hsize_t)r->fits, shape[0], kinds};
    put_set(w, "/statistics/names", w->text, w->text, 1, &kinds, lg_task_statistic_names(r->model, task));
    if (r->target) put_reals(w, "/statistics/target", 2, shape, r->target);
    if (r->weight) put_reals(w, "/statistics/weight", 2, shape, r->weight);
    if (r->last_statistics) put_reals(w, "/statistics/fitted", 3, whole, r->last_statistics);
}

static void put_link(writer *w, const char *name, const char *existing)
{
    if (!w->failed) check(w, H5Lcreate_hard(w->file, existing, w->file, name, H5P_DEFAULT, H5P_DEFAULT));
}

static void put_ensemble(writer *w, const lg_result *r)
{
    if (!r->ensemble) return;
    const hsize_t fits = (hsize_t)r->fits, params = (hsize_t)r->model->params, axes = (hsize_t)r->coordinates;
    const char *names[LG_MAX_COORDINATES];
    double *table = malloc((size_t)(fits * (params + axes + 1) + 1) * sizeof *table), limits[2 * LG_MAX_PARAMS];
    if (!table) {
        w->failed = true;
        snprintf(w->why, sizeof w->why, "not enough memory");
        return;
    }
    double *end = table, *loss = end + fits * params, *place = loss + fits;
    for (int f = 0; f < r->fits; f++) {
        lg_result_end(r, f, end + (hsize_t)f * params, &loss[f]);
        for (hsize_t i = 0; i < axes; i++) place[(hsize_t)f * axes + i] = r->fit[f].coordinate[i];
    }
    for (hsize_t i = 0; i < axes; i++) names[i] = r->coordinate_name[i];
    memcpy(limits, r->lower, params * sizeof *limits);
    memcpy(limits + params, r->upper, params * sizeof *limits);
    if (axes) put_set(w, "/ensemble/names", w->text, w->text, 1, &axes, names);
    if (axes) put_reals(w, "/ensemble/coordinates", 2, (const hsize_t[]){fits, axes}, place);
    put_reals(w, "/ensemble/end", 2, (const hsize_t[]){fits, params}, end);
    put_reals(w, "/ensemble/loss", 1, &fits, loss);
    put_reals(w, "/ensemble/limits", 2, (const hsize_t[]){2, params}, limits);
    put_reals(w, "/ensemble/bound", 0, NULL, &r->bound);
    put_reals(w, "/ensemble/distance", 0, NULL, &r->distance);
    put_link(w, "/ensemble/start", "/fit/start");
    put_link(w, "/ensemble/steps", "/fit/iterations");
    put_link(w, "/ensemble/status", "/fit/status");
    free(table);
}

/* Searches without gradients: see lg_posterior. */
static void put_posterior(writer *w, const lg_result *r)
{
    if (!r->generation) return;
    const hsize_t generations = (hsize_t)r->fit[0].iterations, n = (hsize_t)r->samples;
    const hsize_t table[2] = {generations, 4}, samples[2] = {n, (hsize_t)r->model->params};
    put_reals(w, "/posterior/generations", 2, table, r->generation);
    if (n == 0) return;
    put_reals(w, "/posterior/samples", 2, samples, r->sample);
    put_reals(w, "/posterior/weights", 1, &n, r->sample_weight);
    put_reals(w, "/posterior/distances", 1, &n, r->sample_distance);
}

static void put_result(writer *w, const lg_result *r)
{
    const hsize_t params = (hsize_t)r->model->params;
    const char *names[LG_MAX_PARAMS];
    uint8_t fitted[LG_MAX_PARAMS];
    for (int i = 0; i < r->model->params && i < LG_MAX_PARAMS; i++) {
        names[i] = r->model->param[i].name;
        fitted[i] = r->fitted[i];
    }
    put_attributes(w, r);
    const char *config = r->config_yaml ? r->config_yaml : "";
    put_set(w, "/config", w->text, w->text, 0, NULL, &config);
    put_set(w, "/parameters", w->text, w->text, 1, &params, names);
    put_set(w, "/fitted", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, &params, fitted);
    put_fits(w, r);
    put_trace(w, "/trace/loss", r, 0, 0);
    put_trace(w, "/trace/params", r, 1, params);
    put_trace(w, "/trace/learning_rate", r, params + 1, 0);
    put_trace(w, "/trace/gradient_norm", r, params + 2, 0);
    put_statistics(w, r);
    put_ensemble(w, r);
    put_posterior(w, r);
}

/* The file is built in memory: HDF5 cannot give up a file it failed to write (on a full disk, say) and would crash when
 * the program ends. It grows in steps of 4 MiB. */
static hid_t create_file(writer *w, const char *name)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18); /* readable by every HDF5 since 1.8 */
    check(w, H5Pset_fapl_core(access, (size_t)4 << 20, 0));
    hid_t file = H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    check(w, file);
    H5Pclose(access);
    return file;
}

static void *take_image(writer *w, size_t *size)
{
    if (w->failed) return NULL;
    check(w, H5Fflush(w->file, H5F_SCOPE_LOCAL));
    ssize_t length = w->failed ? -1 : H5Fget_file_image(w->file, NULL, 0);
    check(w, length);
    void *image = w->failed ? NULL : malloc((size_t)length);
    if (!image && !w->failed) {
        w->failed = true;
        snprintf(w->why, sizeof w->why, "not enough memory for %lld bytes", (long long)length);
    }
    if (image) check(w, H5Fget_file_image(w->file, image, (size_t)length));
    *size = (size_t)length;
    return image;
}

static void *build_image(writer *w, const lg_result *r, const char *name, size_t *size)
{
    w->text = H5Tcopy(H5T_C_S1);
    H5Tset_size(w->text, H5T_VARIABLE);
    H5Tset_cset(w->text, H5T_CSET_UTF8);
    w->file = create_file(w, name);
    if (!w->failed) put_result(w, r);
    void *image = take_image(w, size);
    if (w->file >= 0) check(w, H5Fclose(w->file));
    H5Tclose(w->text);
    return image;
}

lg_status lg_result_write(lg_context *ctx, const lg_result *result, const char *path, bool force)
{
    /* HDF5 would print its errors; they belong into our message. */
    H5E_auto2_t print = NULL;
    void *print_data = NULL;
    H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    writer w = {.file = -1};
    size_t size = 0;
    void *image = build_image(&w, result, path, &size);
    H5Eset_auto2(H5E_DEFAULT, print, print_data);
    lg_status status = w.failed ? lg_fail(ctx, LG_ERR_FILE, "cannot write the result '%s': %s", path, w.why)
                                : lg_file_write(ctx, path, image, size, force);
    free(image);
    return status;
}

#else

lg_status lg_result_write(lg_context *ctx, const lg_result *result, const char *path, bool force)
{
    (void)result;
    (void)force;
    return lg_fail(
        ctx, LG_ERR_LIBRARY,
        "cannot write the result '%s': this build has no HDF5; use output.trace (CSV) or --json, or build with "
        "LATGRAD_HDF5=ON (Debian: libhdf5-dev)",
        path);
}

#endif
