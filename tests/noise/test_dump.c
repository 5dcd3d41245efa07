/* Dumping a run: which files, their shapes, that nothing is overwritten, and that the folder evaluates. */
#include "noise/dumps.h"
#include "noise/job.h"
#include "noise/noise.h"

TestSuite(dump, .init = setup, .fini = teardown);

static lg_status dump(const test_job *t, bool force)
{
    return lg_noise_dump_job(ctx, &t->job, &lg_backend_cpu, device, 4, t->params, folder, force);
}

/* The array is there with this type and shape; shape ends with 0. */
static void expect_array(const char *name, lg_dtype dtype, const size_t *shape)
{
    char path[160];
    lg_array a;
    int dims = 0;
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    cr_assert_eq(lg_array_read(ctx, path, &a), LG_OK, "%s", lg_context_message(ctx));
    while (shape[dims]) dims++;
    cr_assert_eq(a.dtype, dtype, "%s", name);
    cr_assert_eq(a.ndim, dims, "%s", name);
    for (int i = 0; i < dims; i++) cr_assert_eq(a.shape[i], shape[i], "%s", name);
    lg_array_clear(&a);
}

static int count_files(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (!dir) return 0;
    for (struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

#define SHAPE(...) ((const size_t[]){__VA_ARGS__, 0})

static void make_mk(test_job *t)
{
    const double params[5] = {0.1, 0.4, 0.98, 0.1, 0.2};
    test_job_lattice(t, lg_model_find("mk"), 5, 7, 50, 3, 4, 3);
    memcpy(t->params, params, sizeof params);
    t->job.gamma = 0.5;
    t->job.loss = LG_LOSS_log_sse;
}

Test(dump, mk_files)
{
    test_job t;
    make_mk(&t);
    t.job.binary = LG_ESTIMATOR_gs;
    cr_assert_eq(dump(&t, false), LG_OK, "%s", lg_context_message(ctx));
    expect_array("X0", LG_F64, SHAPE(3, 2, 5, 7));
    expect_array("Xref", LG_F64, SHAPE(3, 2, 5, 7));
    expect_array("params", LG_F64, SHAPE(5));
    expect_array("consts", LG_F64, SHAPE(3));
    expect_array("xi", LG_F64, SHAPE(4, 3, 2, 5, 7));
    expect_array("gumbel", LG_F64, SHAPE(4, 3, 2, 9));
    expect_array("channel", LG_I32, SHAPE(4, 3, 5, 7));
    expect_array("thresholds", LG_F64, SHAPE(4, 3, 6, 5, 7));
    expect_array("gumbel_reaction", LG_F64, SHAPE(4, 3, 5, 7, 2));
    expect_array("states", LG_I32, SHAPE(5, 3, 2, 5, 7));
    expect_array("loss_log_sse", LG_F64, SHAPE(1));
    expect_array("grad_params_log_sse", LG_F64, SHAPE(5));
    cr_assert_eq(count_files(), 12);
    test_job_free(&t);
}

Test(dump, si_files)
{
    test_job t;
    test_job_lattice(&t, lg_model_find("si"), 6, 9, 1, 4, 1, 5);
    t.params[0] = 0.2;
    t.job.task = LG_TASK_transition;
    t.job.loss = LG_LOSS_count;
    cr_assert_eq(dump(&t, false), LG_OK, "%s", lg_context_message(ctx));
    expect_array("X", LG_F64, SHAPE(4, 6, 9));
    expect_array("Yobs", LG_F64, SHAPE(4, 6, 9));
    expect_array("beta", LG_F64, SHAPE(1));
    expect_array("u", LG_F64, SHAPE(4, 6, 9));
    expect_array("gumbel", LG_F64, SHAPE(4, 6, 9, 2));
    expect_array("states", LG_I32, SHAPE(2, 4, 6, 9));
    expect_array("ste_Y", LG_F64, SHAPE(4, 6, 9));
    expect_array("ste_loss_sumstat", LG_F64, SHAPE(1));
    expect_array("ste_grad_beta_sumstat", LG_F64, SHAPE(1));
    cr_assert_eq(count_files(), 9);
    test_job_free(&t);
}

static void make_prw(test_job *t)
{
    test_job_walk(t, lg_model_find("prw"), 70, 3);
    t->params[0] = 0.3;
    t->params[1] = 0.6;
    t->job.records = 3;
    for (uint32_t k = 0; k < 3; k++) {
        t->record[k] = k + 1;
        t->target_stat[k] = 1.5 * (k + 1);
        t->weight_stat[k] = 1.0;
    }
    t->job.record = t->record;
    t->job.target_stat = t->target_stat;
    t->job.weight_stat = t->weight_stat;
}

Test(dump, prw_files)
{
    test_job t;
    make_prw(&t);
    t.job.tau = 0.5;
    cr_assert_eq(dump(&t, false), LG_OK, "%s", lg_context_message(ctx));
    expect_array("logits", LG_F64, SHAPE(2));
    expect_array("v0", LG_F64, SHAPE(2, 70));
    expect_array("target", LG_F64, SHAPE(3));
    expect_array("weight", LG_F64, SHAPE(3));
    expect_array("tau", LG_F64, SHAPE(1));
    expect_array("gumbel_keep", LG_F64, SHAPE(2, 3, 70, 2));
    expect_array("gumbel_vel", LG_F64, SHAPE(2, 3, 70, 3));
    expect_array("gumbel_v0", LG_F64, SHAPE(2, 70, 3));
    expect_array("positions", LG_F64, SHAPE(2, 4, 70));
    expect_array("velocities", LG_F64, SHAPE(2, 4, 70));
    expect_array("v0gs_loss", LG_F64, SHAPE(1));
    expect_array("v0gs_grad_logits", LG_F64, SHAPE(2));
    cr_assert_eq(count_files(), 12);
}

/* One file in the way stops everything before a byte is written; force replaces. */
Test(dump, existing_files_are_kept)
{
    test_job t;
    lg_array a;
    char path[160];
    make_mk(&t);
    cr_assert_eq(lg_array_alloc(ctx, LG_F64, 1, (const size_t[]){1}, &a), LG_OK);
    *(double *)a.data = 7.0;
    snprintf(path, sizeof path, "%s/channel.npy", folder);
    cr_assert_eq(dump(&t, false), LG_OK);
    cr_assert_eq(lg_array_write(ctx, path, &a, true), LG_OK);
    cr_assert_eq(dump(&t, false), LG_ERR_EXISTS);
    cr_assert_not_null(strstr(lg_context_message(ctx), folder));
    const char *const others[] = {"X0", "xi", "states", "params"};
    for (int i = 0; i < 4; i++) {
        char other[160];
        snprintf(other, sizeof other, "%s/%s.npy", folder, others[i]);
        unlink(other);
    }
    const int before = count_files();
    cr_assert_eq(dump(&t, false), LG_ERR_EXISTS);
    cr_assert_eq(count_files(), before);
    expect_array("channel", LG_F64, SHAPE(1));
    cr_assert_eq(dump(&t, true), LG_OK, "%s", lg_context_message(ctx));
    expect_array("channel", LG_I32, SHAPE(4, 3, 5, 7));
    lg_array_clear(&a);
    test_job_free(&t);
}

/* A job without a loss dumps inputs, noise and states. */
Test(dump, simulation_without_loss)
{
    test_job t;
    make_mk(&t);
    t.job.task = LG_TASK_simulate;
    t.job.target = NULL;
    cr_assert_eq(dump(&t, false), LG_OK, "%s", lg_context_message(ctx));
    expect_array("states", LG_I32, SHAPE(5, 3, 2, 5, 7));
    cr_assert_eq(count_files(), 8);
    test_job_free(&t);
}

/* The folder cannot be made: nothing is left behind. */
Test(dump, unwritable_folder)
{
    test_job t;
    make_mk(&t);
    const lg_status status =
        lg_noise_dump_job(ctx, &t.job, &lg_backend_cpu, device, 0, t.params, "/proc/latgrad/run", false);
    cr_assert_eq(status, LG_ERR_FILE, "%s", lg_context_message(ctx));
    cr_assert_not_null(strstr(lg_context_message(ctx), "/proc/latgrad"));
    test_job_free(&t);
}
