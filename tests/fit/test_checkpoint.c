/* Checkpoints: a continued fit is the uninterrupted one; a damaged file is never taken for a whole one. */
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc64.h"
#include "base/file.h"
#include "fit/checkpoint.h"
#include "fit/problems.h"

static lg_context *ctx;
static char folder[64], path[128], previous[160], last_warning[1024], last_info[1024];

static void keep_line(lg_log_level level, const char *line, void *user)
{
    (void)user;
    snprintf(level == LG_LOG_WARNING ? last_warning : last_info, sizeof last_info, "%s", line);
}

static void setup(void)
{
    lg_context_create(&ctx);
    lg_context_set_log(ctx, keep_line, NULL);
    strcpy(folder, "/tmp/latgrad-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fit.ckpt", folder);
    snprintf(previous, sizeof previous, "%s.1", path);
    last_warning[0] = last_info[0] = '\0';
}

static void teardown(void)
{
    lg_checkpoint_remove(ctx, path);
    cr_expect_eq(rmdir(folder), 0, "something was left in %s", folder);
    lg_context_free(ctx);
}

TestSuite(checkpoint, .init = setup, .fini = teardown);

#define WALK                                                                                                           \
    "model=prw", "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.6", "data.generate.runs=200", \
        "params.p_center.start=0.6", "params.p_resample.start=0.4", "replicates=50", "steps=4", "device=cpu"
#define SI                                                                                         \
    "model=si", "data.generate.params.beta=0.3", "data.generate.runs=4", "data.generate.steps=10", \
        "lattice.height=16", "lattice.width=16", "device=cpu", "params.beta.start=0.5", "replicates=8"

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

/* Asks for `action` once, at iteration `at` or the first report after it. */
typedef struct asking {
    int64_t at;
    int action;
    bool asked;
    int64_t checkpoint; /* what the last report said */
} asking;

static int ask(const lg_progress *progress, void *user)
{
    asking *a = user;
    a->checkpoint = progress->checkpoint;
    if (a->asked || progress->iteration < a->at) return LG_GO_ON;
    a->asked = true;
    return a->action;
}

static lg_status go(lg_problem *p, bool resume, asking *a, int64_t every, lg_result **out)
{
    const lg_fit_options options = {.checkpoint = path,
                                    .checkpoint_every = every,
                                    .checkpoint_seconds = 1e9,
                                    .resume = resume};
    *out = NULL;
    return lg_fit_run(ctx, p, &options, a ? ask : NULL, a, out);
}

static lg_result *finish(lg_problem *p, bool resume)
{
    lg_result *r;
    cr_assert_eq(go(p, resume, NULL, 0, &r), LG_OK, "%s", lg_context_message(ctx));
    return r;
}

/* Stops a new run of the problem with a checkpoint at iteration `at` or soon after it. */
static void stop_at(lg_problem *p, int64_t at, bool resume)
{
    lg_result *r;
    asking a = {.at = at, .action = LG_CHECKPOINT_STOP};
    cr_assert_eq(go(p, resume, &a, 1, &r), LG_ERR_STOPPED, "%s", lg_context_message(ctx));
    cr_assert_null(r);
    cr_assert_not_null(strstr(lg_context_message(ctx), path));
}

static void expect_same(const lg_result *a, const lg_result *b)
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
static void expect_resumable(const char *const *settings, const char *const *other_threads, const int64_t *stops)
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

static char *slurp(const char *name, size_t *size)
{
    char *data;
    cr_assert_eq(lg_file_read(ctx, name, &data, size), LG_OK, "%s", lg_context_message(ctx));
    return data;
}

static void spill(const char *name, const char *data, size_t size)
{
    cr_assert_eq(lg_file_write(ctx, name, data, size, true), LG_OK);
}

/* ---- the same result -------------------------------------------------------------------------------------------- */

Test(checkpoint, adam_with_a_schedule_and_clipping)
{
    const int64_t stops[] = {1, 7, 20, -1};
#define SETTING                                                                                              \
    WALK, "fits=3", "iterations=30", "optimizer.name=adam", "optimizer.lr=0.1", "optimizer.schedule=cosine", \
        "optimizer.clip=5"
    expect_resumable(SETTINGS(SETTING, "threads=1"), SETTINGS(SETTING, "threads=2"), stops);
#undef SETTING
}

/* lm: the last step and the count of its gain are kept. */
Test(checkpoint, gauss_newton_steps)
{
    const int64_t stops[] = {1, 7, 20, -1};
#define SETTING WALK, "fits=3", "iterations=30", "optimizer.name=lm"
    expect_resumable(SETTINGS(SETTING, "threads=1"), SETTINGS(SETTING, "threads=2"), stops);
#undef SETTING
}

Test(checkpoint, momentum_of_gradient_descent_on_pairs)
{
    const int64_t stops[] = {3, 11, -1};
#define SETTING SI, "iterations=20", "optimizer.momentum=0.9", "optimizer.lr=1e-4"
    expect_resumable(SETTINGS(SETTING, "threads=2"), SETTINGS(SETTING, "threads=1"), stops);
#undef SETTING
}

Test(checkpoint, reactions_on_a_lattice)
{
    const int64_t stops[] = {4, 9, -1};
#define SETTING                                                                                               \
    "model=mk", "lattice.height=8", "lattice.width=8", "steps=10", "data.generate.steps=20", "iterations=15", \
        "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",       \
        "data.generate.params.k2=0.1", "data.generate.params.k3=0.2", "params.D_A=0.1", "params.D_B=0.4",     \
        "params.k1.start=0.35", "params.k2.start=0.91", "params.k3.start=0.06", "device=cpu"
    expect_resumable(SETTINGS(SETTING, "threads=1"), SETTINGS(SETTING, "threads=2"), stops);
#undef SETTING
}

/* sigmoid(logit(p)) is a neighbour of p for both bounds and the start of p_center: p follows from what is kept. */
Test(checkpoint, parameters_at_their_bounds)
{
    const int64_t stops[] = {1, 2, 5, 9, -1};
#define SETTING                                                                                                       \
    WALK, "fits=2", "iterations=12", "optimizer.name=sgd", "optimizer.lr=1", "params.p_center.bounds=[0.248, 0.731]", \
        "params.p_resample.bounds=[0.241, 0.613]"
    lg_problem *p = make_problem(ctx, SETTINGS(SETTING));
    lg_result *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK);
    cr_assert_float_eq(r->fit[0].trace[5 * 1 + 1], 0.248, 1e-12, "not at its bound: the test needs other settings");
    lg_result_free(r);
    lg_problem_free(p);
    expect_resumable(SETTINGS(SETTING, "threads=1"), SETTINGS(SETTING, "threads=2"), stops);
#undef SETTING
}

/* A fit that never moved keeps its start value exactly. */
Test(checkpoint, a_restored_parameter_that_never_moved)
{
    const lg_optimizer o = {.params = 2, .fitted = {true, true}, .transform = {LG_TRANSFORM_logit, LG_TRANSFORM_logit}};
    lg_fit_state start, moved;
    double p[2] = {0.248, 0.248};
    cr_assert_neq(lg_sigmoid(lg_logit(0.248)), 0.248);
    lg_optimizer_start(&o, p, &start);
    moved = start;
    moved.x[1] += 0.125;
    lg_optimizer_restore(&o, &start, &moved, p);
    cr_assert_eq(p[0], 0.248);
    cr_assert_eq(p[1], lg_sigmoid(moved.x[1]));
}

/* The plateau rule looks back over two windows: across the checkpoint. */
Test(checkpoint, a_plateau_after_the_checkpoint)
{
    const int64_t stops[] = {5, 13, 17, -1};
#define SETTING                                                                                            \
    SI, "loss=nll", "iterations=200", "params.beta.start=0.3", "optimizer.name=adam", "optimizer.lr=1e-6", \
        "stop.window=10", "stop.tolerance=0.5", "replicates=40"
    expect_resumable(SETTINGS(SETTING, "threads=1"), SETTINGS(SETTING, "threads=2"), stops);
#undef SETTING
}

/* Of several fits some end before the checkpoint and some after it; what ended keeps its statistics and its reason. */
Test(checkpoint, fits_that_ended_before_it)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "fits=6", "iterations=80", "optimizer.lr=0.02", "stop.window=10",
                                               "stop.tolerance=0.25"));
    lg_result *whole, *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &whole), LG_OK);
    int64_t least = 80, most = 0;
    for (int f = 0; f < 6; f++) {
        least = whole->fit[f].iterations < least ? whole->fit[f].iterations : least;
        most = whole->fit[f].iterations > most ? whole->fit[f].iterations : most;
    }
    cr_assert_lt(least, most, "the fits end at the same iteration: the test needs other settings");
    stop_at(p, least + 1, false);
    r = finish(p, true);
    expect_same(whole, r);
    lg_result_free(r);
    lg_result_free(whole);
    lg_problem_free(p);
}

Test(checkpoint, a_fit_that_is_not_finite)
{
    lg_problem *p = make_problem(ctx, SETTINGS(SI, "fits=2", "iterations=20"));
    lg_checkpoint_file file;
    lg_result *r = finish(p, false), *back = finish(p, false);
    lg_fit_state state[2], restored[2];
    memset(state, 0, sizeof state);
    r->fit[1].status = LG_FIT_NOT_FINITE;
    r->fit[1].loss = r->fit[1].trace[4 * 12] = NAN;
    r->fit[1].iterations = 13;
    r->fit[0].status = LG_FIT_RUNNING;
    strcpy(r->fit[1].reason, "the loss was nan");
    state[1] = (lg_fit_state){.x = {0.25}, .m = {-0.0}, .v = {INFINITY}, .updates = 12, .frozen = 2, .bad_param = -1};
    lg_checkpoint c = {.result = r, .state = state, .done = 20, .seconds = 2.5},
                  d = {.result = back, .state = restored};
    bool found;
    cr_assert_eq(lg_checkpoint_open(ctx, path, p, &file), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_checkpoint_read(ctx, &file, &d, &found), LG_OK);
    cr_assert_not(found);
    cr_assert_eq(lg_checkpoint_write(ctx, &file, &c), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_checkpoint_read(ctx, &file, &d, &found), LG_OK, "%s", lg_context_message(ctx));
    cr_assert(found);
    expect_same(r, back);
    cr_assert_eq(d.done, 20);
    cr_assert_eq(d.seconds, 2.5);
    cr_assert_eq(restored[1].frozen, 2);
    cr_assert_eq(restored[1].bad_param, -1);
    cr_assert_eq(restored[1].updates, 12);
    cr_assert_eq(restored[1].v[0], INFINITY);
    cr_assert(signbit(restored[1].m[0]));
    lg_checkpoint_close(&file);
    lg_result_free(r);
    lg_result_free(back);
    lg_problem_free(p);
}

/* A part of the fits goes on as those fits of the whole do: the number of a fit counts, not its place. */
Test(checkpoint, a_part_of_the_fits)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "fits=4", "first_fit=2", "iterations=12"));
    lg_problem *part = make_problem(ctx, SETTINGS(WALK, "fits=2", "first_fit=3", "iterations=12"));
    lg_problem *other = make_problem(ctx, SETTINGS(WALK, "fits=4", "first_fit=3", "iterations=12"));
    lg_result *whole, *r;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &whole), LG_OK);
    stop_at(p, 5, false);
    r = finish(part, true);
    for (int f = 0; f < 2; f++) cr_assert_arr_eq(r->fit[f].trace, whole->fit[f + 1].trace, 12 * 5 * sizeof(double));
    lg_result_free(r);
    cr_assert_eq(go(other, true, NULL, 0, &r), LG_ERR_CONFIG);
    cr_assert_not_null(strstr(lg_context_message(ctx), "holds fits 2 to 5"), "%s", lg_context_message(ctx));
    lg_result_free(whole);
    lg_problem_free(p);
    lg_problem_free(part);
    lg_problem_free(other);
}

/* ---- when ------------------------------------------------------------------------------------------------------- */

Test(checkpoint, without_one_it_starts_from_the_beginning)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=10"));
    lg_result *r = finish(p, true), *whole;
    cr_assert_not_null(strstr(last_info, "starting from the beginning"), "%s", last_info);
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &whole), LG_OK);
    expect_same(whole, r);
    cr_assert_str_eq(r->resumed, "");
    lg_result_free(r);
    lg_result_free(whole);
    lg_problem_free(p);
}

Test(checkpoint, every_few_iterations_and_on_request)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=40"));
    lg_result *r;
    asking a = {.at = 41};
    cr_assert_eq(go(p, false, &a, 7, &r), LG_OK);
    cr_assert_eq(a.checkpoint, 35);
    cr_assert(lg_file_exists(path) && lg_file_exists(previous));
    cr_assert_eq(go(p, false, &a, 7, &(lg_result *){NULL}), LG_ERR_EXISTS);
    cr_assert_not_null(strstr(lg_context_message(ctx), "--resume"));
    cr_assert_eq(lg_checkpoint_remove(ctx, path), LG_OK);
    lg_result_free(r);
    a = (asking){.at = 10, .action = LG_CHECKPOINT};
    cr_assert_eq(go(p, false, &a, 0, &r), LG_OK);
    cr_assert_geq(a.checkpoint, 10);
    cr_assert_lt(a.checkpoint, 40);
    lg_result_free(r);
    lg_problem_free(p);
}

Test(checkpoint, the_time_limit)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=3000000"));
    lg_fit_options options = {.checkpoint = path, .checkpoint_seconds = 1e9, .time_limit = 0.3};
    lg_result *r;
    cr_assert_eq(lg_fit_run(ctx, p, &options, NULL, NULL, &r), LG_ERR_STOPPED);
    cr_assert_not_null(strstr(lg_context_message(ctx), "time limit"));
    cr_assert(lg_file_exists(path));
    options.checkpoint = NULL;
    cr_assert_eq(lg_fit_run(ctx, p, &options, NULL, NULL, &r), LG_ERR_CONFIG);
    options = (lg_fit_options){.resume = true};
    cr_assert_eq(lg_fit_run(ctx, p, &options, NULL, NULL, &r), LG_ERR_CONFIG);
    lg_problem_free(p);
}

Test(checkpoint, options_of_the_configuration)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"90", 90}, {"0.5", 0.5}, {"01:02:03", 3723}, {"2-00:00:01", 172801}, {"0", 0}};
    static const char *const bad[] = {"1:2:3", "01:60:00", "-5", "01:00", "1-2", "01:02:03x", "soon", "nan"};
    lg_problem *p;
    lg_fit_options o;
    char setting[64];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(setting, sizeof setting, "run.time_limit=%s", good[i].text);
        p = make_problem(ctx, SETTINGS(WALK, "output.file=here/out.h5", setting));
        lg_problem_fit_options(p, &o);
        cr_expect_eq(o.time_limit, good[i].seconds, "%s", good[i].text);
        cr_expect_str_eq(o.checkpoint, "here/out.h5.ckpt");
        cr_expect_eq(o.checkpoint_seconds, 60.0);
        cr_expect_eq(o.checkpoint_every, 0);
        lg_problem_free(p);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(setting, sizeof setting, "run.time_limit=%s", bad[i]);
        cr_expect_eq(try_problem(ctx, SETTINGS(WALK, "checkpoint.file=x.ckpt", setting), &p), LG_ERR_CONFIG, "%s",
                     bad[i]);
    }
    cr_expect_eq(try_problem(ctx, SETTINGS(WALK, "run.time_limit=10"), &p), LG_ERR_CONFIG);
    cr_expect_not_null(strstr(lg_context_message(ctx), "checkpoint.file"));
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

Test(checkpoint, another_configuration_is_refused_by_name)
{
    static const struct {
        const char *setting, *text;
    } other[] = {{"optimizer.lr=0.02", "optimizer.lr is 0.02 now and was 0.01 then"},
                 {"seed=2", "seed is 2 now"},
                 {"iterations=21", "iterations is 21 now and was 20 then"},
                 {"params.p_center.start=0.61", "params.p_center is {start: 0.61} now"},
                 {"data.generate.seed=5", "data.generate.seed"}};
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=20", "optimizer.lr=0.01")), *q;
    lg_result *r;
    stop_at(p, 5, false);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        q = make_problem(ctx, SETTINGS(WALK, "iterations=20", "optimizer.lr=0.01", other[i].setting));
        cr_expect_eq(go(q, true, NULL, 0, &r), LG_ERR_CONFIG);
        cr_expect_not_null(strstr(lg_context_message(ctx), other[i].text), "%s", lg_context_message(ctx));
        lg_problem_free(q);
    }
    q = make_problem(ctx, SETTINGS(WALK, "iterations=20", "optimizer.lr=0.01", "threads=1", "output.trace=t.csv",
                                   "checkpoint.seconds=5", "memory_limit=100", "stop.time=1000"));
    lg_result_free(finish(q, true));
    lg_problem_free(q);

    /* the same settings, other data */
    p->target_stat[0] *= 1.5;
    cr_assert_eq(go(p, true, NULL, 0, &r), LG_ERR_CONFIG);
    cr_assert_not_null(strstr(lg_context_message(ctx), "other data"));
    lg_problem_free(p);
}

static void seal(char *data, size_t size)
{
    lg_crc64 crc;
    lg_crc64_begin(&crc);
    lg_crc64_add(&crc, data, size - 8);
    const uint64_t sum = lg_crc64_value(&crc);
    for (int i = 0; i < 8; i++) data[size - 8 + (size_t)i] = (char)(sum >> 8 * i);
}

Test(checkpoint, another_version_is_refused)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=20"));
    lg_result *r;
    size_t size;
    stop_at(p, 5, false);
    char *data = slurp(path, &size);
    data[8] = LG_CHECKPOINT_FORMAT + 1;
    seal(data, size);
    spill(path, data, size);
    cr_expect_eq(go(p, true, NULL, 0, &r), LG_ERR_CONFIG);
    cr_expect_not_null(strstr(lg_context_message(ctx), "checkpoint format 2"), "%s", lg_context_message(ctx));
    data[8] = LG_CHECKPOINT_FORMAT;
    data[40]++; /* the first figure of the version of the library */
    seal(data, size);
    spill(path, data, size);
    cr_expect_eq(go(p, true, NULL, 0, &r), LG_ERR_CONFIG);
    cr_expect_not_null(strstr(lg_context_message(ctx), "written by latgrad 1"), "%s", lg_context_message(ctx));
    free(data);
    lg_problem_free(p);
}

/* ---- damage ----------------------------------------------------------------------------------------------------- */

Test(checkpoint, checksum)
{
    lg_crc64 crc;
    lg_crc64_begin(&crc);
    lg_crc64_add(&crc, "1234", 4);
    lg_crc64_add(&crc, "56789", 5);
    cr_expect_eq(lg_crc64_value(&crc), UINT64_C(0x995dc9bbdf1939fa));
    lg_crc64_begin(&crc);
    lg_crc64_add(&crc, "123456789", 9);
    cr_expect_eq(lg_crc64_value(&crc), UINT64_C(0x995dc9bbdf1939fa));
}

typedef struct sample {
    lg_problem *problem;
    lg_checkpoint_file file;
    lg_checkpoint c;
    lg_result *result;
    lg_fit_state state[2];
    char *data;
    size_t size;
} sample;

static void make_sample(sample *s)
{
    *s = (sample){.problem = make_problem(ctx, SETTINGS(WALK, "iterations=4", "fits=2"))};
    s->result = finish(s->problem, false);
    s->c = (lg_checkpoint){.result = s->result, .state = s->state};
    stop_at(s->problem, 2, false);
    cr_assert_eq(lg_checkpoint_open(ctx, path, s->problem, &s->file), LG_OK);
    s->data = slurp(path, &s->size);
}

static void free_sample(sample *s)
{
    lg_checkpoint_close(&s->file);
    lg_result_free(s->result);
    lg_problem_free(s->problem);
    free(s->data);
}

/* Exactly `size` bytes of their own, so that tools which watch memory see every read behind them. */
static bool accepted(sample *s, const char *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    bool whole;
    memcpy(copy, data, size);
    const lg_status status = lg_checkpoint_decode(ctx, path, copy, size, &s->file, &s->c, &whole);
    cr_assert(status == LG_OK || !whole || size == s->size);
    free(copy);
    return status == LG_OK;
}

Test(checkpoint, every_truncation_is_seen)
{
    sample s;
    make_sample(&s);
    cr_assert(accepted(&s, s.data, s.size));
    for (size_t n = 0; n < s.size; n++)
        cr_assert_not(accepted(&s, s.data, n), "%zu of %zu bytes were accepted", n, s.size);
    char *longer = calloc(1, s.size + 8);
    memcpy(longer, s.data, s.size);
    cr_assert_not(accepted(&s, longer, s.size + 8));
    free(longer);
    free_sample(&s);
}

Test(checkpoint, every_flipped_bit_is_seen)
{
    sample s;
    make_sample(&s);
    for (size_t bit = 0; bit < 8 * s.size; bit++) {
        s.data[bit / 8] = (char)(s.data[bit / 8] ^ 1 << bit % 8);
        cr_assert_not(accepted(&s, s.data, s.size), "bit %zu of byte %zu", bit % 8, bit / 8);
        s.data[bit / 8] = (char)(s.data[bit / 8] ^ 1 << bit % 8);
    }
    free_sample(&s);
}

/* With a checksum that matches, lengths and counts are still not believed. */
Test(checkpoint, impossible_numbers_are_seen)
{
    sample s;
    make_sample(&s);
    char *data = malloc(s.size);
    for (size_t at = 20; at + 8 < s.size; at++) {
        memcpy(data, s.data, s.size);
        memset(data + at, 0xff, at + 12 < s.size ? 4 : 1);
        seal(data, s.size);
        accepted(&s, data, s.size); /* a number of the trace may be any; nothing may be read past the end */
    }
    free(data);
    free_sample(&s);
}

/* The newest damaged: the one before it, and the result is the same; at the next write the good one is not lost. */
Test(checkpoint, the_previous_one_takes_over)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "fits=2", "iterations=30"));
    lg_result *whole, *r;
    size_t size, before_size, after_size;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &whole), LG_OK);
    stop_at(p, 8, false);
    stop_at(p, 16, true);
    cr_assert(lg_file_exists(previous));
    char *data = slurp(path, &size), *before = slurp(previous, &before_size);
    data[size / 2] ^= 4;
    spill(path, data, size);
    stop_at(p, 9, true);
    cr_assert_not_null(strstr(last_warning, "its checksum does not match; going on from the one before it"), "%s",
                       last_warning);
    cr_assert_not_null(strstr(last_info, "going on from the checkpoint"), "%s", last_info);
    lg_checkpoint_remove(ctx, path);

    spill(path, data, size);
    spill(previous, before, before_size);
    asking a = {.at = 1, .action = LG_CHECKPOINT};
    const lg_fit_options options = {.checkpoint = path, .checkpoint_seconds = 1e9, .resume = true};
    cr_assert_eq(lg_fit_run(ctx, p, &options, ask, &a, &r), LG_OK, "%s", lg_context_message(ctx));
    expect_same(whole, r);
    char *after = slurp(previous, &after_size); /* the damaged one was replaced, the good one kept */
    cr_assert_eq(after_size, before_size);
    cr_assert_arr_eq(after, before, before_size);
    lg_result_free(r);
    free(after);

    /* killed between the two renames: the newest is missing */
    unlink(path);
    r = finish(p, true);
    expect_same(whole, r);
    lg_result_free(r);

    spill(path, data, size);
    spill(previous, before, before_size - 1);
    cr_assert_eq(go(p, true, NULL, 0, &r), LG_ERR_DATA);
    cr_assert_not_null(strstr(lg_context_message(ctx), "--force"), "%s", lg_context_message(ctx));
    free(data);
    free(before);
    lg_result_free(whole);
    lg_problem_free(p);
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

Test(checkpoint, no_folder)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=20"));
    char nowhere[160];
    lg_result *r;
    snprintf(nowhere, sizeof nowhere, "%s/none/fit.ckpt", folder);
    const lg_fit_options options = {.checkpoint = nowhere};
    cr_expect_eq(lg_fit_run(ctx, p, &options, NULL, NULL, &r), LG_ERR_FILE);
    cr_expect_not_null(strstr(lg_context_message(ctx), "no checkpoint can be kept"));
    lg_problem_free(p);
}

/* What a run left that was killed while writing goes; files of others with like names stay. */
Test(checkpoint, leftovers_go)
{
    lg_problem *p = make_problem(ctx, SETTINGS(WALK, "iterations=5"));
    static const char *const names[] = {".fit.ckpt.1234-0.ckpt", ".fit.ckpt.x.ckpt", ".fit.ckpt2.1234-0.ckpt",
                                        ".fit.ckpt.12"};
    char name[160];
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        spill(name, "x", 1);
    }
    lg_result_free(finish(p, false));
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        cr_expect_eq(lg_file_exists(name), i > 0, "%s", names[i]);
        unlink(name);
    }
    lg_problem_free(p);
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

Test(checkpoint, settings_of_a_printed_configuration)
{
    char *text = lg_checkpoint_settings("model: prw                    # model # to run\n"
                                        "# default unless the data say otherwise: steps: 10\n"
                                        "data:\n"
                                        "  msd: \"a # b.csv\"  # a file\n"
                                        "  generate:\n"
                                        "    runs: 5  # x\n"
                                        "params:\n"
                                        "  p_center: {start: 0.5, bounds: [0, 1]}  # p\n"
                                        "threads: 4  # n\n"
                                        "loss: \"s  # \\\"e\"  # l\n");
    cr_expect_str_eq(
        text, "model=prw\ndata.generate.runs=5\nparams.p_center={start: 0.5, bounds: [0, 1]}\nloss=\"s  # \\\"e\"\n");
    char key[32], a[32], b[32];
    cr_expect(lg_checkpoint_difference("x=1\ny=2\n", "x=1\n", key, sizeof key, a, b, sizeof a));
    cr_expect_str_eq(key, "y");
    cr_expect_str_eq(a, "2");
    cr_expect_str_eq(b, "");
    cr_expect(lg_checkpoint_difference("x=1\n", "x=1\ny=2\n", key, sizeof key, a, b, sizeof a));
    cr_expect_str_eq(a, "");
    cr_expect_str_eq(b, "2");
    cr_expect_not(lg_checkpoint_difference("x=1\ny=2\n", "y=2\nx=1\n", key, sizeof key, a, b, sizeof a));
    free(text);
}
