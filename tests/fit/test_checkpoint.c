/* Checkpoints: a continued fit is the uninterrupted one, and they are written when asked for. */
#include "fit/checkpoints.h"

TestSuite(checkpoint, .init = setup, .fini = teardown);

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
