/* A made-up result of three random-walk fits for the tests of records, and a temporary folder. */
#ifndef TESTS_RECORD_SAMPLE_H
#define TESTS_RECORD_SAMPLE_H

#include <criterion/criterion.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fit/result.h"

enum { SAMPLE_FITS = 3, SAMPLE_PARAMS = 2, SAMPLE_LAGS = 4 };

static const int64_t sample_iterations[SAMPLE_FITS] = {3, 5, 0};

static inline double sample_value(int fit, int64_t row, int column)
{
    return fit == 1 && row == 4 && column == 0 ? NAN : sin(1.0 + fit * 100 + (double)row * 7 + column) / 3;
}

static inline lg_result *sample_result(int fits)
{
    lg_result *r = calloc(1, sizeof *r);
    r->model = lg_model_find("prw");
    cr_assert_not_null(r->model);
    strcpy(r->task, "trajectory");
    strcpy(r->loss, "sse");
    strcpy(r->device, "cpu (\"test\", 2 threads)");
    strcpy(r->host, "node-17");
    strcpy(r->errors, "from the scatter of 12 tracks");
    strcpy(r->started, "2024-05-06T07:08:09Z");
    strcpy(r->finished, "2024-05-06T07:09:10Z");
    strcpy(r->resumed, "2024-05-06T07:08:40Z node-18 iteration 2");
    r->config_yaml = strdup("model: prw\ntask: trajectory\n");
    r->seed = 18446744073709551615u;
    r->seconds = 61.0625;
    r->fits = fits;
    r->fitted[1] = true;
    r->fit = calloc((size_t)fits, sizeof *r->fit);
    for (int f = 0; f < fits; f++) {
        lg_fit_record *record = &r->fit[f];
        record->status = f == 0 ? LG_FIT_DONE : f == 1 ? LG_FIT_NOT_FINITE : LG_FIT_STOPPED;
        snprintf(record->reason, sizeof record->reason, "reason %d: \"σ\" \\ \t of p_center\n", f);
        record->iterations = sample_iterations[f];
        record->loss = f == 1 ? NAN : 0.1 + f;
        record->trace = calloc((size_t)record->iterations * (SAMPLE_PARAMS + 3) + 1, sizeof(double));
        for (int64_t i = 0; i < record->iterations; i++) {
            for (int c = 0; c < SAMPLE_PARAMS + 3; c++) {
                record->trace[i * (SAMPLE_PARAMS + 3) + c] = sample_value(f, i, c);
            }
        }
        for (int p = 0; p < SAMPLE_PARAMS; p++) {
            record->start[p] = 0.7 + p;
            record->params[p] = 1.0 / (3 + f + p);
            record->error[p] = f == 0 ? 0.01 * (1 + p) : NAN;
            record->low[p] = f == 0 ? 0.25 - 0.1 * p : NAN;
            record->high[p] = f == 0 ? 0.75 + 0.1 * p : NAN;
        }
    }
    r->statistics = SAMPLE_LAGS;
    r->target = calloc(SAMPLE_LAGS, sizeof(double));
    r->weight = calloc(SAMPLE_LAGS, sizeof(double));
    r->last_statistics = calloc((size_t)fits * SAMPLE_LAGS, sizeof(double));
    for (int k = 0; k < SAMPLE_LAGS; k++) {
        r->target[k] = 1.5 * (k + 1);
        r->weight[k] = 1 + k;
        for (int f = 0; f < fits; f++) r->last_statistics[f * SAMPLE_LAGS + k] = 1.4 * (k + 1) + f;
    }
    return r;
}

static inline void sample_folder(char path[64])
{
    strcpy(path, "/tmp/latgrad-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
}

static inline const char *sample_path(const char *folder, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

/* Files in a folder, hidden ones too. */
static inline int sample_count_files(const char *folder)
{
    DIR *directory = opendir(folder);
    cr_assert_not_null(directory);
    int count = 0;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    }
    closedir(directory);
    return count;
}

static inline void sample_remove(const char *folder)
{
    DIR *directory = opendir(folder);
    if (!directory) return;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) remove(path);
    }
    closedir(directory);
    rmdir(folder);
}

/* Runs a Python script with one argument and returns its exit status; skips the test where Python lacks the module. */
static inline int sample_python(const char *folder, const char *module, const char *script, const char *argument)
{
    char command[600], path[128];
    snprintf(command, sizeof command, "/usr/bin/python3 -c 'import %s' 2>/dev/null", module);
    if (system(command) != 0) {
        sample_remove(folder);
        cr_skip_test("/usr/bin/python3 with the module %s is not here", module);
    }
    FILE *file = fopen(sample_path(folder, "check.py", path), "w");
    cr_assert_not_null(file);
    fputs(script, file);
    fclose(file);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' '%s'", path, argument);
    return system(command);
}

#endif
