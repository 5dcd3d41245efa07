/* The PRW reference against the golden vectors. */
#include "noise/noise.h"
#include "reference/golden.h"

#include <stdlib.h>
#include <string.h>

static void check(const char *folder, const lg_noise *noise, bool v0_const)
{
    char name[64];
    lg_ref_prw in;
    lg_ref_prw_run run;
    lg_ref_gradient g;
    lg_noise_bind_prw(noise, LG_ESTIMATOR_gs, v0_const, 0.0, &in);
    const size_t n = in.walkers, T = in.steps;
    const char *prefix = v0_const ? "v0const" : "v0gs";
    cr_assert_eq(lg_ref_prw_forward(NULL, &in, &run), LG_OK);
    golden_equals(folder, "positions", run.positions, 2 * (T + 1) * n);
    golden_equals(folder, "velocities", run.velocities, 2 * (T + 1) * n);
    golden_equals_ints(folder, "resampled", run.resampled, 2 * T * n);
    golden_equals_ints(folder, "category", run.category, 2 * T * n);
    golden_equals(folder, "msd", run.msd, T);
    const double loss = lg_ref_prw_loss(&in, &run, lg_noise_reals(noise, "target"), NULL, &g);
    snprintf(name, sizeof name, "%s_loss", prefix);
    golden_equals(folder, name, &loss, 1);
    snprintf(name, sizeof name, "%s_grad_logits", prefix);
    golden_equals(folder, name, g.grad, 2);
    snprintf(name, sizeof name, "%s_jac_msd", prefix);
    golden_equals(folder, name, run.jacobian, 2 * T);
    for (int i = 0; i < 2; i++) cr_assert(g.abs[i] >= fabs(g.grad[i]));
    lg_ref_prw_free(&run);
}

static void check_case(const char *name)
{
    char folder[GOLDEN_PATH];
    lg_context *ctx;
    lg_noise noise;
    golden_folder(name, folder);
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_read(ctx, LG_MODEL_PRW, folder, &noise), LG_OK, "%s", lg_context_message(ctx));
    check(folder, &noise, true);
    check(folder, &noise, false);
    lg_noise_clear(&noise);
    lg_context_free(ctx);
}

Test(reference_prw, golden_persistent)
{
    check_case("prw/pc0.2_pr0.1");
}
Test(reference_prw, golden_half)
{
    check_case("prw/pc0.5_pr0.5");
}

/* Weights: the gradient is linear in them, and a weight of 0 takes its term out. */
Test(reference_prw, weights)
{
    char folder[GOLDEN_PATH];
    lg_context *ctx;
    lg_noise noise;
    lg_ref_prw in;
    lg_ref_prw_run run;
    lg_ref_gradient all, part, term;
    golden_folder("prw/pc0.2_pr0.1", folder);
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_read(ctx, LG_MODEL_PRW, folder, &noise), LG_OK);
    lg_noise_bind_prw(&noise, LG_ESTIMATOR_gs, false, 0.0, &in);
    cr_assert_eq(lg_ref_prw_forward(ctx, &in, &run), LG_OK);
    const double *target = lg_noise_reals(&noise, "target");
    const double loss = lg_ref_prw_loss(&in, &run, target, NULL, &all);
    double sum = 0.0, grad[2] = {0.0, 0.0};
    for (size_t t = 0; t < in.steps; t++) {
        double weight[10] = {0.0};
        weight[t] = 0.5;
        const double d = run.msd[t] - target[t], value = lg_ref_prw_loss(&in, &run, target, weight, &term);
        cr_assert_float_eq(value, 0.5 * d * d, 1e-12 * (1 + d * d));
        for (int p = 0; p < 2; p++)
            cr_assert_float_eq(term.grad[p], d * run.jacobian[2 * t + (size_t)p], 1e-9 * (1 + term.abs[p]));
        sum += 2.0 * value;
        for (int p = 0; p < 2; p++) grad[p] += 2.0 * term.grad[p];
    }
    cr_assert_float_eq(sum, loss, 1e-9 * loss);
    for (int p = 0; p < 2; p++) cr_assert_float_eq(grad[p], all.grad[p], 1e-9 * all.abs[p]);
    const double two[10] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    cr_assert_float_eq(lg_ref_prw_loss(&in, &run, target, two, &part), 2 * loss, 1e-9 * loss);
    lg_ref_prw_free(&run);
    lg_noise_clear(&noise);
    lg_context_free(ctx);
}
