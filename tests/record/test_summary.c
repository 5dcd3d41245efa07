/* The JSON summary and the CSV trace. */
#include "record/sample.h"

#include "lg_build.h"

static lg_context *ctx;
static char folder[64], path[128];

static void setup(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    sample_folder(folder);
}

static void teardown(void)
{
    sample_remove(folder);
    lg_context_free(ctx);
}

TestSuite(summary, .init = setup, .fini = teardown);

/* Writes the JSON of a result of `fits` fits to a file and gives it to a Python script as j. */
static int check_json(int fits, const char *checks)
{
    lg_result *result = sample_result(fits);
    char *json = NULL, script[1500];
    cr_assert_eq(lg_result_json(ctx, result, &json), LG_OK);
    cr_expect_null(strchr(json, '\n'), "one line");
    FILE *file = fopen(sample_path(folder, "summary.json", path), "w");
    fputs(json, file);
    fclose(file);
    lg_free(json);
    lg_result_free(result);
    snprintf(script, sizeof script, "import sys, json\nj = json.load(open(sys.argv[1], encoding='utf8'))\n%s", checks);
    return sample_python(folder, "json", script, path);
}

Test(summary, json_of_one_fit)
{
    cr_expect_eq(check_json(1,
                            "assert j['model'] == 'prw' and j['task'] == 'trajectory' and j['loss_name'] == 'sse', j\n"
                            "assert j['seed'] == 2**64 - 1 and j['device'] == 'cpu (\"test\", 2 threads)'\n"
                            "assert j['fits'] == 1 and j['iterations'] == 3 and j['status'] == 'done'\n"
                            "assert j['reason'] == 'reason 0: \"\\u03c3\" \\\\ \\t of p_center\\n', j['reason']\n"
                            "assert j['loss'] == 0.1 and j['seconds'] == 61.0625\n"
                            "assert j['params'] == {'p_center': 1 / 3, 'p_resample': 1 / 4}\n"
                            "assert 'results' not in j\n"),
                 0);
}

Test(summary, json_of_several_fits)
{
    cr_expect_eq(check_json(3,
                            "assert j['fits'] == 3 and 'params' not in j\n"
                            "r = j['results']\n"
                            "assert [x['fit'] for x in r] == [0, 1, 2] and [x['iterations'] for x in r] == [3, 5, 0]\n"
                            "assert r[1]['loss'] is None and r[1]['status'] == 'not_finite'\n"
                            "assert r[2]['loss'] == 2.1 and r[2]['params']['p_resample'] == 1 / 6\n"),
                 0);
}

static FILE *write_trace(lg_result *result)
{
    sample_path(folder, "trace.csv", path);
    cr_assert_eq(lg_result_write_trace(ctx, result, path, false), LG_OK, "%s", lg_context_message(ctx));
    cr_expect_eq(sample_count_files(folder), 1);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    return file;
}

Test(summary, trace_as_csv)
{
    lg_result *result = sample_result(SAMPLE_FITS);
    FILE *file = write_trace(result);
    char line[200];
    cr_assert_not_null(fgets(line, sizeof line, file));
    cr_expect_str_eq(line, "fit,step,loss,p_center,p_resample,learning_rate,gradient_norm\n");
    int rows = 0;
    for (int f = 0; f < SAMPLE_FITS; f++) {
        for (int64_t i = 0; i < sample_iterations[f]; i++, rows++) {
            cr_assert_not_null(fgets(line, sizeof line, file));
            int fit, step, used;
            cr_assert_eq(sscanf(line, "%d,%d%n", &fit, &step, &used), 2);
            cr_expect_eq(fit, f);
            cr_expect_eq(step, i);
            char *at = line + used;
            for (int c = 0; c < SAMPLE_PARAMS + 3; c++) {
                cr_assert_eq(*at, ',');
                double expected = sample_value(f, i, c), value = strtod(at + 1, &at);
                cr_expect(isnan(expected) ? isnan(value) : fabs(value - expected) <= 5e-9 * fabs(expected), "%s", line);
            }
            cr_expect_str_eq(at, "\n");
        }
    }
    cr_expect_null(fgets(line, sizeof line, file));
    cr_expect_eq(rows, 8);
    fclose(file);
    lg_result_free(result);
}

Test(summary, trace_with_values_that_are_no_numbers)
{
    lg_result *result = sample_result(1);
    result->fit[0].trace[0] = INFINITY;
    result->fit[0].trace[1] = -INFINITY;
    result->fit[0].trace[2] = NAN;
    result->fit[0].trace[3] = 1e-300;
    result->fit[0].trace[4] = 1.0 / 3;
    FILE *file = write_trace(result);
    char line[200];
    cr_assert_not_null(fgets(line, sizeof line, file));
    cr_assert_not_null(fgets(line, sizeof line, file));
    cr_expect_str_eq(line, "0,0,Inf,-Inf,NaN,1e-300,0.333333333\n");
    fclose(file);
    cr_expect_eq(lg_result_write_trace(ctx, result, path, false), LG_ERR_EXISTS);
    cr_expect_eq(lg_result_write_trace(ctx, result, path, true), LG_OK);
    lg_result_free(result);
}

#if !LG_HAVE_HDF5
Test(summary, without_hdf5_the_alternatives_are_named)
{
    lg_result *result = sample_result(1), *read = NULL;
    sample_path(folder, "result.h5", path);
    cr_expect_eq(lg_result_write(ctx, result, path, false), LG_ERR_LIBRARY);
    cr_expect_not_null(strstr(lg_context_message(ctx), "output.trace"));
    cr_expect_eq(sample_count_files(folder), 0);
    cr_expect_eq(lg_result_read(ctx, path, &read), LG_ERR_LIBRARY);
    lg_result_free(result);
}
#endif
