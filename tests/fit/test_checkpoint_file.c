/* Files of checkpoints: those of another configuration or version are refused, a damaged one is never taken for a whole one. */
#include "base/crc64.h"
#include "fit/checkpoints.h"

TestSuite(checkpoint_file, .init = setup, .fini = teardown);

/* ---- refusals --------------------------------------------------------------------------------------------------- */

Test(checkpoint_file, another_configuration_is_refused_by_name)
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

Test(checkpoint_file, another_version_is_refused)
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

Test(checkpoint_file, checksum)
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

Test(checkpoint_file, every_truncation_is_seen)
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

Test(checkpoint_file, every_flipped_bit_is_seen)
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
Test(checkpoint_file, impossible_numbers_are_seen)
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
Test(checkpoint_file, the_previous_one_takes_over)
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

Test(checkpoint_file, no_folder)
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
Test(checkpoint_file, leftovers_go)
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

Test(checkpoint_file, settings_of_a_printed_configuration)
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
