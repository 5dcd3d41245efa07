/* A checkpoint in a folder of its own, and problems that are stopped and continued, for the tests of checkpoints. */
#ifndef TESTS_FIT_CHECKPOINTS_H
#define TESTS_FIT_CHECKPOINTS_H

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fit/checkpoint.h"
#include "fit/problems.h"

static lg_context *ctx;
static char folder[64], path[128], previous[160], last_warning[1024], last_info[1024];

static inline void keep_line(lg_log_level level, const char *line, void *user)
{
    (void)user;
    snprintf(level == LG_LOG_WARNING ? last_warning : last_info, sizeof last_info, "%s", line);
}

static inline void setup(void)
{
    lg_context_create(&ctx);
    lg_context_set_log(ctx, keep_line, NULL);
    strcpy(folder, "/tmp/latgrad-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fit.ckpt", folder);
    snprintf(previous, sizeof previous, "%s.1", path);
    last_warning[0] = last_info[0] = '\0';
}

static inline void teardown(void)
{
    lg_checkpoint_remove(ctx, path);
    cr_expect_eq(rmdir(folder), 0, "something was left in %s", folder);
    lg_context_free(ctx);
}

#define WALK                                                                                                           \
    "model=prw", "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.6", "data.generate.runs=200", \
        "params.p_center.start=0.6", "params.p_resample.start=0.4", "replicates=50", "steps=4", "device=cpu"
#define SI                                                                                         \
    "model=si", "data.generate.params.beta=0.3", "data.generate.runs=4", "data.generate.steps=10", \
        "lattice.height=16", "lattice.width=16", "device=cpu", "params.beta.start=0.5", "replicates=8"

/* Asks for `action` once, at iteration `at` or the first report after it. */
typedef struct asking {
    int64_t at;
    int action;
    bool asked;
    int64_t checkpoint; /* what the last report said */
} asking;

static inline int ask(const lg_progress *progress, void *user)
{
    asking *a = user;
    a->checkpoint = progress->checkpoint;
    if (a->asked || progress->iteration < a->at) return LG_GO_ON;
    a->asked = true;
    return a->action;
}

static inline lg_status go(lg_problem *p, bool resume, asking *a, int64_t every, lg_result **out)
{
    const lg_fit_options options = {.checkpoint = path,
                                    .checkpoint_every = every,
                                    .checkpoint_seconds = 1e9,
                                    .resume = resume};
    *out = NULL;
    return lg_fit_run(ctx, p, &options, a ? ask : NULL, a, out);
}

static inline lg_result *finish(lg_problem *p, bool resume)
{
    lg_result *r;
    cr_assert_eq(go(p, resume, NULL, 0, &r), LG_OK, "%s", lg_context_message(ctx));
    return r;
}

/* Stops a new run of the problem with a checkpoint at iteration `at` or soon after it. */
static inline void stop_at(lg_problem *p, int64_t at, bool resume)
{
    lg_result *r;
    asking a = {.at = at, .action = LG_CHECKPOINT_STOP};
    cr_assert_eq(go(p, resume, &a, 1, &r), LG_ERR_STOPPED, "%s", lg_context_message(ctx));
    cr_assert_null(r);
    cr_assert_not_null(strstr(lg_context_message(ctx), path));
}

static inline void expect_same(const lg_result *a, const lg_result *b)
{
    const size_t P = (size_t)a->model->params;
    cr_assert_eq(a->fits, b->fits);
    for (int f = 0; f < a->fits; f++) {
        cr_assert_eq(a->fit[f].status, b->fit[f].status, "fit %d: %s, %s", f, a->fit[f].reason, b->fit[f].reason);
        cr_assert_str_eq(a->fit[f].reason, b->fit[f].reason);
        cr_assert_eq(a->fit[f].iterations, b->fit[f].iterations);
        cr_assert_arr_eq(&a->fit[f].loss, &b->fit[f].loss, sizeof(double));
        cr_assert_arr_eq(a->fit[f].start, b->fit[f].start, P * sizeof(double));
        cr_assert_arr_eq(a->fit[f].params, b->fit[f].params, P * sizeof(double));
        cr_assert_arr_eq(a->fit[f].trace, b->fit[f].trace, (size_t)a->fit[f].iterations * (P + 3) * sizeof(double));
    }
    if (a->last_statistics)
        cr_assert_arr_eq(a->last_statistics, b->last_statistics, (size_t)(a->fits * a->statistics) * sizeof(double));
}

/* Uninterrupted, and stopped at several iterations (once, and once more after it went on): the same result. The rest runs
 * with other threads. */
static inline void expect_resumable(const char *const *settings, const char *const *other_threads, const int64_t *stops)
{
    lg_problem *p = make_problem(ctx, settings), *q = make_problem(ctx, other_threads);
    lg_result *whole, *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &whole), LG_OK);
    for (int i = 0; stops[i] >= 0; i++) {
        stop_at(p, stops[i], false);
        if (stops[i + 1] >= 0) stop_at(q, stops[i + 1], true);
        r = finish(q, true);
        expect_same(whole, r);
        cr_assert_not_null(strstr(r->resumed, "iteration"));
        lg_result_free(r);
        cr_assert_eq(lg_checkpoint_remove(ctx, path), LG_OK);
    }
    lg_result_free(whole);
    lg_problem_free(p);
    lg_problem_free(q);
}

static inline char *slurp(const char *name, size_t *size)
{
    char *data;
    cr_assert_eq(lg_file_read(ctx, name, &data, size), LG_OK, "%s", lg_context_message(ctx));
    return data;
}

static inline void spill(const char *name, const char *data, size_t size)
{
    cr_assert_eq(lg_file_write(ctx, name, data, size, true), LG_OK);
}

#endif
