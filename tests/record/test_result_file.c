/* Result files: what is written is read back, other programs read it too, and nothing is lost when writing fails. */
#include "record/sample.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lg_build.h"

static lg_context *ctx;
static char folder[64], path[128];

static void setup(void)
{
    if (!LG_HAVE_HDF5) cr_skip_test("this build has no HDF5");
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    sample_folder(folder);
    sample_path(folder, "result.h5", path);
}

static void teardown(void)
{
    sample_remove(folder);
    lg_context_free(ctx);
}

TestSuite(result_file, .init = setup, .fini = teardown);

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void expect_same_fit(const lg_fit_record *a, const lg_fit_record *b)
{
    cr_expect_eq(a->status, b->status);
    cr_expect_str_eq(a->reason, b->reason);
    cr_expect_eq(a->iterations, b->iterations);
    cr_expect(same(a->loss, b->loss));
    for (int p = 0; p < SAMPLE_PARAMS; p++) {
        cr_expect(same(a->start[p], b->start[p]));
        cr_expect(same(a->params[p], b->params[p]));
    }
    for (int64_t i = 0; i < a->iterations * (SAMPLE_PARAMS + 3); i++) {
        cr_expect(same(a->trace[i], b->trace[i]), "trace element %d: %g and %g", (int)i, a->trace[i], b->trace[i]);
    }
}

static void expect_same(const lg_result *a, const lg_result *b)
{
    cr_assert_eq(a->model, b->model);
    cr_assert_eq(a->fits, b->fits);
    cr_expect_str_eq(a->task, b->task);
    cr_expect_str_eq(a->loss, b->loss);
    cr_expect_str_eq(a->device, b->device);
    cr_expect_str_eq(a->host, b->host);
    cr_expect_str_eq(a->started, b->started);
    cr_expect_str_eq(a->resumed, b->resumed);
    cr_expect_str_eq(a->finished, b->finished);
    cr_expect_str_eq(a->config_yaml, b->config_yaml);
    cr_expect_eq(a->seed, b->seed);
    cr_expect(same(a->seconds, b->seconds));
    for (int p = 0; p < SAMPLE_PARAMS; p++) cr_expect_eq(a->fitted[p], b->fitted[p]);
    for (int f = 0; f < a->fits; f++) expect_same_fit(&a->fit[f], &b->fit[f]);
    cr_assert_eq(a->statistics, b->statistics);
    cr_expect_eq(!a->target, !b->target);
    for (int k = 0; a->target && k < a->statistics; k++) {
        cr_expect(same(a->target[k], b->target[k]));
        cr_expect(same(a->weight[k], b->weight[k]));
    }
    for (int k = 0; a->target && k < a->fits * a->statistics; k++) {
        cr_expect(same(a->last_statistics[k], b->last_statistics[k]));
    }
}

Test(result_file, round_trip)
{
    lg_result *written = sample_result(SAMPLE_FITS), *read = NULL;
    cr_assert_eq(lg_result_write(ctx, written, path, false), LG_OK, "%s", lg_context_message(ctx));
    cr_expect_eq(sample_count_files(folder), 1, "the temporary file is gone");
    cr_assert_eq(lg_result_read(ctx, path, &read), LG_OK, "%s", lg_context_message(ctx));
    expect_same(written, read);
    lg_result_info info;
    lg_result_describe(read, &info);
    cr_expect_str_eq(info.model, "prw");
    cr_expect_str_eq(info.config, written->config_yaml);
    cr_expect_eq(info.params, SAMPLE_PARAMS);
    cr_expect_eq(info.fits, SAMPLE_FITS);
    cr_expect_eq(info.statistic_count, 1);
    cr_expect_str_eq(info.statistic_names[0], "msd");
    cr_expect_eq(lg_result_statistics(read, 2)[1], written->last_statistics[2 * SAMPLE_LAGS + 1]);
    cr_expect_eq(lg_result_target(read)[3], 6.0);
    cr_expect_eq(lg_result_weight(read)[3], 4.0);
    lg_result_free(read);
    lg_result_free(written);
}

/* A state loss has no statistics; a fit that stopped at once has no trace. */
Test(result_file, round_trip_without_statistics_and_iterations)
{
    lg_result *written = sample_result(1), *read = NULL;
    written->fit[0].iterations = 0;
    written->statistics = 0;
    free(written->target);
    free(written->weight);
    free(written->last_statistics);
    written->target = written->weight = written->last_statistics = NULL;
    cr_assert_eq(lg_result_write(ctx, written, path, false), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_read(ctx, path, &read), LG_OK, "%s", lg_context_message(ctx));
    expect_same(written, read);
    cr_expect_null(lg_result_target(read));
    cr_expect_null(lg_result_statistics(read, 0));
    lg_result_free(read);
    lg_result_free(written);
}

/* Long enough for several compressed chunks, and for fits of different lengths within them. */
Test(result_file, round_trip_of_long_traces)
{
    lg_result *written = sample_result(SAMPLE_FITS), *read = NULL;
    for (int f = 0; f < SAMPLE_FITS; f++) {
        lg_fit_record *record = &written->fit[f];
        record->iterations = 9000 + 5000 * f;
        free(record->trace);
        record->trace = calloc((size_t)record->iterations * (SAMPLE_PARAMS + 3), sizeof(double));
        for (int64_t i = 0; i < record->iterations * (SAMPLE_PARAMS + 3); i++)
            record->trace[i] = sin((double)i * (f + 1));
    }
    cr_assert_eq(lg_result_write(ctx, written, path, false), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_result_read(ctx, path, &read), LG_OK, "%s", lg_context_message(ctx));
    expect_same(written, read);
    lg_result_free(read);
    lg_result_free(written);
}

static const char h5py_script[] =
    "import sys, math, h5py, numpy as np\n"
    "f = h5py.File(sys.argv[1], 'r')\n"
    "a = f.attrs\n"
    "assert a['format'] == 'latgrad result' and a['format_version'] == 1\n"
    "assert a['model'] == 'prw' and a['task'] == 'trajectory' and a['loss'] == 'sse', dict(a)\n"
    "assert a['device'] == 'cpu (\"test\", 2 threads)' and a['host'] == 'node-17'\n"
    "assert int(a['seed']) == 2**64 - 1 and a['seconds'] == 61.0625\n"
    "assert a['started'] == '2024-05-06T07:08:09Z' and a['finished'] == '2024-05-06T07:09:10Z'\n"
    "assert len(a['version']) >= 5 and a['version'] in a['build'] and len(a['commit']) > 0\n"
    "assert f['config'].asstr()[()] == 'model: prw\\ntask: trajectory\\n'\n"
    "assert list(f['parameters'].asstr()) == ['p_center', 'p_resample']\n"
    "assert list(f['fitted']) == [0, 1]\n"
    "assert list(f['fit/status'].asstr()) == ['done', 'not_finite', 'stopped']\n"
    "assert f['fit/reason'].asstr()[1] == 'reason 1: \"\\u03c3\" \\\\ \\t of p_center\\n'\n"
    "assert list(f['fit/iterations']) == [3, 5, 0]\n"
    "assert f['fit/start'].shape == (3, 2) and f['fit/final'][2, 1] == 1 / 6\n"
    "assert f['fit/loss'][0] == 0.1 and math.isnan(f['fit/loss'][1])\n"
    "value = lambda fit, row, c: math.sin(1.0 + fit * 100 + row * 7 + c) / 3\n"
    "loss, params = f['trace/loss'][()], f['trace/params'][()]\n"
    "assert loss.shape == (3, 5) and params.shape == (3, 5, 2)\n"
    "assert np.isnan(loss[0, 3:]).all() and np.isnan(loss[1, 4]) and np.isnan(loss[2]).all()\n"
    "assert np.isnan(params[0, 3:]).all() and np.isnan(params[2]).all() and not np.isnan(params[1]).any()\n"
    "assert np.allclose(loss[1, :4], [value(1, r, 0) for r in range(4)], rtol=1e-15, atol=0)\n"
    "assert np.allclose(params[0, :3], [[value(0, r, c) for c in (1, 2)] for r in range(3)], rtol=1e-15, atol=0)\n"
    "assert np.allclose(f['trace/learning_rate'][1], [value(1, r, 3) for r in range(5)], rtol=1e-15, atol=0)\n"
    "assert np.allclose(f['trace/gradient_norm'][1], [value(1, r, 4) for r in range(5)], rtol=1e-15, atol=0)\n"
    "assert list(f['statistics/names'].asstr()) == ['msd']\n"
    "assert f['statistics/target'].shape == (4, 1) and f['statistics/target'][3, 0] == 6\n"
    "assert f['statistics/weight'][2, 0] == 3 and f['statistics/fitted'].shape == (3, 4, 1)\n";

Test(result_file, h5py_reads_it)
{
    lg_result *result = sample_result(SAMPLE_FITS);
    cr_assert_eq(lg_result_write(ctx, result, path, false), LG_OK);
    lg_result_free(result);
    cr_expect_eq(sample_python(folder, "h5py", h5py_script, path), 0);
}

Test(result_file, an_existing_file_is_kept_unless_forced)
{
    lg_result *result = sample_result(1), *read = NULL;
    FILE *file = fopen(path, "w");
    fputs("precious", file);
    fclose(file);
    cr_expect_eq(lg_result_write(ctx, result, path, false), LG_ERR_EXISTS);
    char text[16] = "";
    file = fopen(path, "r");
    cr_expect_not_null(fgets(text, sizeof text, file));
    fclose(file);
    cr_expect_str_eq(text, "precious");
    cr_expect_eq(sample_count_files(folder), 1);
    cr_expect_eq(lg_result_write(ctx, result, path, true), LG_OK);
    cr_expect_eq(lg_result_read(ctx, path, &read), LG_OK);
    lg_result_free(read);
    lg_result_free(result);
}

Test(result_file, a_missing_folder_is_named)
{
    lg_result *result = sample_result(1);
    sample_path(folder, "nowhere/result.h5", path);
    cr_expect_eq(lg_result_write(ctx, result, path, false), LG_ERR_FILE);
    cr_expect_not_null(strstr(lg_context_message(ctx), "nowhere"));
    lg_result_free(result);
}

/* A full disk, as a limit on the size of files. */
Test(result_file, a_failed_write_leaves_the_old_file_and_nothing_else)
{
    lg_result *result = sample_result(1);
    lg_fit_record *record = &result->fit[0];
    record->iterations = 100000;
    free(record->trace);
    record->trace = calloc(100000 * (SAMPLE_PARAMS + 3), sizeof(double));
    for (int64_t i = 0; i < 100000 * (SAMPLE_PARAMS + 3); i++) record->trace[i] = sin((double)(i * i));
    FILE *file = fopen(path, "w");
    fputs("precious", file);
    fclose(file);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {20000, 20000};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(lg_result_write(ctx, result, path, true), LG_ERR_FILE);
    cr_expect_not_null(strstr(lg_context_message(ctx), path), "%s", lg_context_message(ctx));
    cr_expect_eq(sample_count_files(folder), 1);
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_size, 8);
    lg_result_free(result);
}

Test(result_file, what_is_no_result_is_refused)
{
    lg_result *read = NULL;
    cr_expect_eq(lg_result_read(ctx, path, &read), LG_ERR_FILE);
    FILE *file = fopen(path, "w");
    fputs("fit,step,loss\n0,0,1\n", file);
    fclose(file);
    cr_expect_eq(lg_result_read(ctx, path, &read), LG_ERR_DATA);
    cr_expect_null(read);
    cr_expect_not_null(strstr(lg_context_message(ctx), path), "%s", lg_context_message(ctx));
}

/* Each line damages a good file in one way; the message must name the part. */
static const char *const damages[][2] = {
    {"f.attrs['format'] = 'other'", "format"},
    {"f.attrs['format_version'] = 2", "version 2"},
    {"f.attrs['model'] = 'xyz'", "model"},
    {"del f.attrs['seed']", "seed"},
    {"f.attrs['seed'] = 'text'", "seed"},
    {"f.attrs['host'] = 3", "host"},
    {"f['parameters'][0] = 'p_centre'", "/parameters"},
    {"f['fit/status'][1] = 'great'", "/fit/status"},
    {"f['fit/iterations'][0] = 6", "/fit/iterations"},
    {"del f['fit/reason']", "/fit/reason"},
    {"del f['trace/params']; f['trace/params'] = [[[1.0]]]", "/trace/params"},
    {"del f['trace']", "/trace/loss"},
    {"del f['config']; f['config'] = 7", "/config"},
    {"del f['statistics/target']", "/statistics/target"},
    {"del f['statistics/weight']; f['statistics/weight'] = [1.0]", "/statistics/weight"},
};

Test(result_file, damaged_files_are_refused_by_name)
{
    lg_result *result = sample_result(SAMPLE_FITS);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        char script[300];
        lg_result *read = NULL;
        cr_assert_eq(lg_result_write(ctx, result, path, true), LG_OK);
        snprintf(script, sizeof script, "import sys, h5py\nf = h5py.File(sys.argv[1], 'r+')\n%s\nf.close()\n",
                 damages[i][0]);
        cr_assert_eq(sample_python(folder, "h5py", script, path), 0);
        cr_expect_eq(lg_result_read(ctx, path, &read), LG_ERR_DATA, "%s", damages[i][0]);
        cr_expect_null(read);
        cr_expect_not_null(strstr(lg_context_message(ctx), damages[i][1]), "%s: %s", damages[i][0],
                           lg_context_message(ctx));
    }
    lg_result_free(result);
}
