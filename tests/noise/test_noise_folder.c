/* Noise folders through the public function: values of the golden cases, and what is said about folders that are not
 * right. */
#include "noise/noise.h"
#include "reference/golden.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static lg_context *ctx;
static char scratch[64];

static void setup(void)
{
    strcpy(scratch, "/tmp/latgrad-noise-XXXXXX");
    cr_assert_not_null(mkdtemp(scratch));
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
}

static void remove_folder(const char *folder)
{
    char path[GOLDEN_PATH];
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

static void teardown(void)
{
    remove_folder(scratch);
    lg_context_free(ctx);
}

TestSuite(noise_folder, .init = setup, .fini = teardown);

/* Copies the arrays of a golden case into the scratch folder. */
static void copy_case(const char *name)
{
    char folder[GOLDEN_PATH], from[2 * GOLDEN_PATH], to[2 * GOLDEN_PATH];
    golden_folder(name, folder);
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));) {
        lg_array a;
        if (!strstr(e->d_name, ".npy")) continue;
        snprintf(from, sizeof from, "%s/%s", folder, e->d_name);
        snprintf(to, sizeof to, "%s/%s", scratch, e->d_name);
        cr_assert_eq(lg_array_read(ctx, from, &a), LG_OK);
        cr_assert_eq(lg_array_write(ctx, to, &a, true), LG_OK);
        lg_array_clear(&a);
    }
    closedir(dir);
}

static void replace(const char *name, lg_dtype dtype, int ndim, const size_t *shape, double value)
{
    char path[128];
    lg_array a;
    snprintf(path, sizeof path, "%s/%s.npy", scratch, name);
    cr_assert_eq(lg_array_alloc(ctx, dtype, ndim, shape, &a), LG_OK);
    for (size_t i = 0; i < lg_array_size(&a); i++) {
        if (dtype == LG_F64) ((double *)a.data)[i] = value;
        if (dtype == LG_F32) ((float *)a.data)[i] = (float)value;
        if (dtype == LG_I32) ((int32_t *)a.data)[i] = (int32_t)value;
    }
    cr_assert_eq(lg_array_write(ctx, path, &a, true), LG_OK, "%s", lg_context_message(ctx));
    lg_array_clear(&a);
}

static void set_element(const char *name, size_t i, double value)
{
    char path[128];
    lg_array a;
    snprintf(path, sizeof path, "%s/%s.npy", scratch, name);
    cr_assert_eq(lg_array_read(ctx, path, &a), LG_OK);
    if (a.dtype == LG_F64) ((double *)a.data)[i] = value;
    else ((int32_t *)a.data)[i] = (int32_t)value;
    cr_assert_eq(lg_array_write(ctx, path, &a, true), LG_OK);
    lg_array_clear(&a);
}

static void drop(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.npy", scratch, name);
    cr_assert_eq(unlink(path), 0);
}

/* Evaluation fails with this status and says these words. */
static void expect_failure(const char *model, const lg_noise_options *options, lg_status status, const char *first,
                           const char *second)
{
    lg_noise_result r;
    const lg_status got = lg_noise_evaluate(ctx, model, scratch, options, &r);
    cr_assert_eq(got, status, "%s: %s", lg_status_name(got), lg_context_message(ctx));
    cr_assert_not_null(strstr(lg_context_message(ctx), first), "'%s' is not in: %s", first, lg_context_message(ctx));
    cr_assert_not_null(strstr(lg_context_message(ctx), second), "'%s' is not in: %s", second, lg_context_message(ctx));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void check_values(const char *model, const char *name, const lg_noise_options *options, const char *loss,
                         const char *gradient)
{
    char folder[GOLDEN_PATH];
    lg_noise_result r;
    golden_folder(name, folder);
    cr_assert_eq(lg_noise_evaluate(ctx, model, folder, options, &r), LG_OK, "%s", lg_context_message(ctx));
    golden_equals(folder, loss, &r.loss, 1);
    golden_equals(folder, gradient, r.grad, (size_t)r.params);
    for (int i = 0; i < r.params; i++) cr_assert(r.grad_abs[i] >= fabs(r.grad[i]));
}

Test(noise_folder, golden_values)
{
    const char *mk = "mk/8x8_tau3_gamma0.5", *si = "si/beta0.2", *prw = "prw/pc0.2_pr0.1";
    check_values("mk", mk, NULL, "loss_mse", "grad_params_mse");
    check_values("mk", mk, &(lg_noise_options){.loss = "log_sse", .estimator = "ste"}, "loss_log_sse",
                 "grad_params_log_sse");
    check_values("si", si, NULL, "ste_loss_mse", "ste_grad_beta_mse");
    check_values("si", si, &(lg_noise_options){.estimator = "gs"}, "gs_loss_mse", "gs_grad_beta_mse");
    check_values("si", si, &(lg_noise_options){.loss = "count"}, "ste_loss_sumstat", "ste_grad_beta_sumstat");
    check_values("si", si, &(lg_noise_options){.loss = "sumstat", .estimator = "gs"}, "gs_loss_sumstat",
                 "gs_grad_beta_sumstat");
    check_values("prw", prw, NULL, "v0gs_loss", "v0gs_grad_logits");
    check_values("prw", prw, &(lg_noise_options){.loss = "sse", .v0_const = true}, "v0const_loss",
                 "v0const_grad_logits");
}

/* A temperature of the caller's takes the place of the folder's. */
Test(noise_folder, temperature)
{
    char folder[GOLDEN_PATH];
    lg_noise_result one, two;
    copy_case("prw/pc0.2_pr0.1");
    golden_folder("prw/pc0.2_pr0.1", folder);
    cr_assert_eq(lg_noise_evaluate(ctx, "prw", folder, &(lg_noise_options){.tau = 0.5}, &one), LG_OK);
    replace("tau", LG_F64, 1, (const size_t[]){1}, 0.5);
    cr_assert_eq(lg_noise_evaluate(ctx, "prw", scratch, NULL, &two), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(one.grad[0], two.grad[0]);
    cr_assert_eq(lg_noise_evaluate(ctx, "prw", folder, NULL, &two), LG_OK);
    cr_assert_neq(one.grad[0], two.grad[0]);
    cr_assert_eq(one.loss, two.loss);
}

/* Loss `stat` from arrays in the folder, against its definition. */
Test(noise_folder, recorded_statistics)
{
    lg_noise_result r;
    copy_case("mk/8x8_tau3_gamma0.5");
    replace("target_stat", LG_F64, 2, (const size_t[]){2, 4}, 20.0);
    replace("weight_stat", LG_F64, 2, (const size_t[]){2, 4}, 0.5);
    replace("record", LG_I32, 1, (const size_t[]){2}, 1);
    set_element("record", 1, 3);
    cr_assert_eq(lg_noise_evaluate(ctx, "mk", scratch, &(lg_noise_options){.loss = "stat"}, &r), LG_OK, "%s",
                 lg_context_message(ctx));
    lg_array states = golden_read(scratch, "states");
    double expected = 0.0;
    for (size_t k = 1; k <= 3; k += 2)
        for (size_t s = 0; s < 2; s++) {
            double mean = 0.0, variance = 0.0;
            for (size_t b = 0; b < 2; b++) {
                const size_t at = ((k * 2 + b) * 2 + s) * 64;
                double sum = 0.0, sum2 = 0.0;
                for (size_t i = at; i < at + 64; i++) {
                    sum += lg_array_get(&states, i) / 64;
                    sum2 += lg_array_get(&states, i) * lg_array_get(&states, i) / 64;
                }
                mean += sum / 2;
                variance += (sum2 - sum * sum) / 2;
            }
            expected += 0.5 * ((mean - 20) * (mean - 20) + (variance - 20) * (variance - 20));
        }
    cr_assert_float_eq(r.loss, expected, 1e-9 * expected);
    for (int i = 0; i < 5; i++) cr_assert(r.grad_abs[i] > 0.0 && r.grad_abs[i] >= fabs(r.grad[i]));
    lg_array_clear(&states);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

Test(noise_folder, options_are_checked)
{
    copy_case("si/beta0.2");
    expect_failure("sir", NULL, LG_ERR_USAGE, "'sir'", "si, prw or mk");
    expect_failure("si", &(lg_noise_options){.estimator = "reinforce"}, LG_ERR_USAGE, "'reinforce'", "ste or gs");
    expect_failure("si", &(lg_noise_options){.loss = "mae"}, LG_ERR_USAGE, "'mae'", "count");
    expect_failure("mk", &(lg_noise_options){.loss = "count"}, LG_ERR_USAGE, "'count'", "log_sse");
    expect_failure("prw", &(lg_noise_options){.loss = "mse"}, LG_ERR_USAGE, "'mse'", "sse");
    expect_failure("si", &(lg_noise_options){.tau = -1.0}, LG_ERR_RANGE, "-1", "above 0");
    lg_noise_result r;
    cr_assert_eq(lg_noise_evaluate(ctx, "si", "/tmp/latgrad/no/such/folder", NULL, &r), LG_ERR_FILE);
    cr_assert_not_null(strstr(lg_context_message(ctx), "/tmp/latgrad/no/such/folder"));
}

Test(noise_folder, missing_files)
{
    copy_case("mk/8x8_tau3_gamma0.5");
    expect_failure("mk", &(lg_noise_options){.estimator = "gs"}, LG_ERR_DATA, "gumbel_reaction.npy", "gs");
    expect_failure("mk", &(lg_noise_options){.loss = "stat"}, LG_ERR_DATA, "record.npy", "stat");
    drop("Xref");
    expect_failure("mk", NULL, LG_ERR_DATA, "Xref.npy", "reference state");
    drop("xi");
    expect_failure("mk", NULL, LG_ERR_FILE, "xi.npy", "");
}

Test(noise_folder, missing_initial_velocity)
{
    lg_noise_result r;
    copy_case("prw/pc0.2_pr0.1");
    drop("gumbel_v0");
    expect_failure("prw", NULL, LG_ERR_DATA, "gumbel_v0.npy", "initial velocity");
    cr_assert_eq(lg_noise_evaluate(ctx, "prw", scratch, &(lg_noise_options){.v0_const = true}, &r), LG_OK);
}

Test(noise_folder, shapes_and_types)
{
    copy_case("mk/8x8_tau3_gamma0.5");
    replace("thresholds", LG_F64, 5, (const size_t[]){3, 2, 5, 8, 8}, 0.5);
    expect_failure("mk", NULL, LG_ERR_DATA, "thresholds.npy", "[T = 3, B = 2, 6, H = 8, W = 8]");
    replace("thresholds", LG_F32, 5, (const size_t[]){3, 2, 6, 8, 8}, 0.5);
    expect_failure("mk", NULL, LG_ERR_DATA, "thresholds.npy: float32", "expected float64");
    replace("channel", LG_F64, 4, (const size_t[]){3, 2, 8, 8}, 1);
    expect_failure("mk", NULL, LG_ERR_DATA, "channel.npy: float64", "expected int32");
    replace("channel", LG_I32, 4, (const size_t[]){4, 2, 8, 8}, 1);
    expect_failure("mk", NULL, LG_ERR_DATA, "channel.npy: int32 [4, 2, 8, 8]", "T = 3");
    replace("params", LG_F64, 1, (const size_t[]){4}, 0.5);
    expect_failure("mk", NULL, LG_ERR_DATA, "params.npy", "[5]");
}

Test(noise_folder, values_are_checked)
{
    copy_case("mk/8x8_tau3_gamma0.5");
    set_element("channel", 7, 6);
    expect_failure("mk", NULL, LG_ERR_DATA, "channel.npy: element 7 is 6", "0..5");
    set_element("xi", 3, 1.0);
    expect_failure("mk", NULL, LG_ERR_DATA, "xi.npy: element 3 is 1", "between 0 and 1");
    set_element("X0", 2, 51);
    expect_failure("mk", NULL, LG_ERR_DATA, "X0.npy: element 2 is 51", "capacity");
    set_element("params", 0, (double)NAN);
    expect_failure("mk", NULL, LG_ERR_DATA, "params.npy: element 0 is", "[0, 1]");
    set_element("consts", 2, 0.0);
    set_element("params", 0, 0.1);
    set_element("X0", 2, 50);
    set_element("xi", 3, 0.5);
    set_element("channel", 7, 5);
    expect_failure("mk", NULL, LG_ERR_DATA, "consts.npy", "temperature");
    set_element("consts", 2, 1.0);
    set_element("consts", 0, 50.5);
    expect_failure("mk", NULL, LG_ERR_DATA, "consts.npy", "capacity N = 50.5");
}

Test(noise_folder, initial_velocity_must_match_its_noise)
{
    copy_case("prw/pc0.2_pr0.1");
    lg_array v0 = golden_read(scratch, "v0");
    set_element("v0", 5, lg_array_get(&v0, 5) == 0.0 ? 1.0 : 0.0);
    lg_array_clear(&v0);
    expect_failure("prw", NULL, LG_ERR_DATA, "v0.npy: element 5", "gumbel_v0");
    set_element("v0", 5, 2.0);
    expect_failure("prw", NULL, LG_ERR_DATA, "v0.npy: element 5 is 2", "-1, 0 or 1");
}

Test(noise_folder, record_steps)
{
    copy_case("si/beta0.2");
    replace("record", LG_I32, 1, (const size_t[]){1}, 1);
    expect_failure("si", &(lg_noise_options){.loss = "stat"}, LG_ERR_DATA, "record.npy", "target_stat.npy");
    replace("target_stat", LG_F64, 2, (const size_t[]){1, 1}, 0.1);
    replace("weight_stat", LG_F64, 2, (const size_t[]){1, 1}, 1.0);
    lg_noise_result r;
    cr_assert_eq(lg_noise_evaluate(ctx, "si", scratch, &(lg_noise_options){.loss = "stat"}, &r), LG_OK);
    replace("record", LG_I32, 1, (const size_t[]){1}, 2);
    expect_failure("si", &(lg_noise_options){.loss = "stat"}, LG_ERR_DATA, "record.npy: element 0 is 2", "from 1 to 1");
}
