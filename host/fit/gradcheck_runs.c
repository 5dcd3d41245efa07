/* Runs of an estimator, and the reference by finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fit/gradcheck.h"
#include "fit/loop.h"

void lg_runs_free(lg_runs *r)
{
    free(r->gradient);
    free(r->loss);
    memset(r, 0, sizeof *r);
}

static lg_status set_number(lg_context *ctx, lg_config *c, const char *key, long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", value);
    return lg_config_set(ctx, c, key, text);
}

/* A copy of the configuration with `runs` fits from a number on, and with the settings "key=value", line by line. */
static lg_status with_settings(lg_context *ctx, const lg_config *config, const char *settings, int64_t first,
                               int64_t runs, lg_config **out)
{
    lg_status status = LG_OK;
    lg_config *c = *out = lg_config_copy(config);
    if (!c) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    for (const char *line = settings; !status && *line;) {
        char key[64], value[64];
        const size_t length = strcspn(line, "\n"), n = strcspn(line, "=");
        snprintf(key, sizeof key, "%.*s", (int)n, line);
        snprintf(value, sizeof value, "%.*s", (int)(length - n - 1), line + n + 1);
        status = lg_config_set(ctx, c, key, value);
        line += length + (line[length] == '\n');
    }
    if (!status) status = set_number(ctx, c, "fits", runs);
    if (!status) status = set_number(ctx, c, "first_fit", first);
    return status;
}

/* What a gradient costs: processor time on the cpu, which other programs leave alone, else the time on the clock. */
static double now(const lg_problem *problem)
{
    struct timespec t;
    if (strncmp(problem->device_text, "cpu", 3) != 0) return lg_loop_clock();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

lg_status lg_gradcheck_run(lg_context *ctx, const lg_config *config, const char *settings, int64_t first_run,
                           int64_t runs, lg_runs *out)
{
    lg_config *c = NULL;
    lg_problem *problem = NULL;
    double *point = NULL;
    memset(out, 0, sizeof *out);
    lg_status status = with_settings(ctx, config, settings, first_run, runs, &c);
    const lg_log_fn log = ctx->log;
    ctx->log = NULL; /* the same problem was made before, and has said what it has to say */
    if (!status) status = lg_problem_create(ctx, c, &problem);
    ctx->log = log;
    lg_config_free(c);
    if (status) return status;
    out->runs = runs;
    out->params = (size_t)problem->job.model->params;
    out->gradient = calloc((size_t)runs * out->params, sizeof *out->gradient);
    out->loss = calloc((size_t)runs, sizeof *out->loss);
    point = calloc((size_t)runs * out->params, sizeof *point);
    if (!out->gradient || !out->loss || !point)
        status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %lld runs", (long long)runs);
    for (int64_t r = 0; !status && r < runs; r++) lg_problem_start(problem, 0, point + (size_t)r * out->params);
    if (!status) /* made here and not by lg_evaluate, so that it is not timed */
        status = problem->backend->create(ctx, problem->device, &problem->job, problem->job.task != LG_TASK_simulate,
                                          &problem->batch);
    if (!status) {
        const double began = now(problem);
        status = lg_evaluate(ctx, problem, 0, point, out->loss, out->gradient);
        out->seconds = (now(problem) - began) / (double)runs;
    }
    free(point);
    lg_problem_free(problem);
    if (status) lg_runs_free(out);
    return status;
}

static void mean_of(const double *v, int64_t n, double *mean, double *error)
{
    double sum = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) sum += v[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) square += (v[i] - *mean) * (v[i] - *mean);
    *error = sqrt(square / (double)(n - 1) / (double)n);
}

/* A central difference at step h is g + c h^2 + O(h^4). With means G_h and G_2h of the same runs, d = G_2h - G_h estimates
 * 3 c h^2, so that G_h is off by d / 3, G_2h by 4 d / 3, and the extrapolation (4 G_h - G_2h) / 3 by neither. Of the three the
 * one with the smallest error, sampling and truncation, is taken. */
static int choose_step(const double *small, const double *large, int64_t runs, double *work, double *value,
                       double *error)
{
    double mean[3], own[3], total[3];
    mean_of(small, runs, &mean[0], &own[0]);
    mean_of(large, runs, &mean[1], &own[1]);
    for (int64_t r = 0; r < runs; r++) work[r] = (4.0 * small[r] - large[r]) / 3.0;
    mean_of(work, runs, &mean[2], &own[2]);
    const double off = (mean[1] - mean[0]) / 3.0;
    total[0] = hypot(own[0], off);
    total[1] = hypot(own[1], 4.0 * off);
    total[2] = own[2];
    int best = 2;
    for (int i = 0; i < 2; i++)
        if (total[i] < total[best]) best = i;
    *value = mean[best];
    *error = total[best];
    return best;
}

lg_status lg_gradcheck_differences(lg_context *ctx, const lg_config *config, int64_t first_run, int64_t runs,
                                   lg_reference *out)
{
    double step = 0.1;
    char settings[2][80];
    lg_runs r[2];
    memset(out, 0, sizeof *out);
    memset(r, 0, sizeof r);
    lg_status status = lg_config_real(ctx, config, "estimator.fd_step", &step);
    for (int i = 0; i < 2 && !status; i++) {
        snprintf(settings[i], sizeof settings[i], "estimator.method=fd\nestimator.fd_step=%.17g", step * (1 + i));
        status = lg_gradcheck_run(ctx, config, settings[i], first_run, runs, &r[i]);
    }
    const size_t P = r[0].params;
    double *work = calloc(3 * (size_t)runs, sizeof *work);
    if (!status && !work) status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %lld runs", (long long)runs);
    int chosen[3] = {0};
    for (size_t p = 0; p < P && !status; p++) {
        for (int64_t i = 0; i < runs; i++) {
            work[i] = r[0].gradient[(size_t)i * P + p];
            work[runs + i] = r[1].gradient[(size_t)i * P + p];
        }
        const int best = choose_step(work, work + runs, runs, work + 2 * runs, &out->gradient[p], &out->error[p]);
        if (isfinite(out->gradient[p])) chosen[best]++;
    }
    snprintf(out->how, sizeof out->how,
             "common-random-number differences, %lld runs; steps taken: %d x %g, %d x %g, %d extrapolated",
             (long long)runs, chosen[0], step, chosen[1], 2.0 * step, chosen[2]);
    free(work);
    lg_runs_free(&r[0]);
    lg_runs_free(&r[1]);
    return status;
}
