/* The MK reference against the golden vectors: every array of every case. */
#include "noise/noise.h"
#include "reference/golden.h"

#include <stdlib.h>
#include <string.h>

static void check_forward(const char *folder, const lg_ref_mk *in, const lg_ref_mk_run *run)
{
    const size_t S = in->height * in->width, lattices = in->steps * in->batch;
    golden_equals_ints(folder, "states", run->states, (lattices + in->batch) * 2 * S);
    golden_equals_ints(folder, "after_diffusion", run->after_diffusion, lattices * 2 * S);
    golden_equals_ints(folder, "E", run->E, lattices * 2 * S);
    golden_equals_ints(folder, "kernel_index", run->kernel_index, lattices * 2);
    golden_equals_ints(folder, "fired", run->fired, lattices * S);
    golden_equals(folder, "ysoft", run->ysoft, lattices * 18);
    golden_equals(folder, "p_chosen", run->p_chosen, lattices * S);
}

static void check_backward(const char *folder, const lg_ref_mk *in, const lg_ref_mk_run *run, const double *target,
                           lg_loss kind, const char *name, int adjoints)
{
    const size_t slice = in->batch * 2 * in->height * in->width;
    double *adj = calloc((in->steps + 1) * slice, sizeof *adj), *after = calloc(in->steps * slice, sizeof *after);
    double rates[6];
    char array[64];
    lg_ref_gradient g;
    const double loss =
        lg_ref_state_loss(kind, slice, run->states + in->steps * slice, target, adj + in->steps * slice);
    lg_ref_mk_backward(in, run, adj, after, &g, rates);
    snprintf(array, sizeof array, "loss_%s", name);
    golden_equals(folder, array, &loss, 1);
    snprintf(array, sizeof array, "grad_params_%s", name);
    golden_equals(folder, array, g.grad, 5);
    snprintf(array, sizeof array, "grad_rates6_%s", name);
    golden_equals(folder, array, rates, 6);
    snprintf(array, sizeof array, "grad_X0_%s", name);
    golden_equals(folder, array, adj, slice);
    for (int i = 0; i < 5; i++) cr_assert(g.abs[i] >= fabs(g.grad[i]));
    if (adjoints) {
        snprintf(array, sizeof array, "adj_states_%s", name);
        golden_equals(folder, array, adj, (in->steps + 1) * slice);
        snprintf(array, sizeof array, "adj_after_diffusion_%s", name);
        golden_equals(folder, array, after, in->steps * slice);
    }
    free(adj);
    free(after);
}

static void check_case(const char *name, int adjoints)
{
    char folder[GOLDEN_PATH];
    lg_context *ctx;
    lg_noise noise;
    lg_ref_mk in;
    lg_ref_mk_run run;
    golden_folder(name, folder);
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_read(ctx, LG_MODEL_MK, folder, &noise), LG_OK, "%s", lg_context_message(ctx));
    lg_noise_bind_mk(&noise, LG_ESTIMATOR_ste, 0.0, &in);
    cr_assert_eq(lg_ref_mk_forward(ctx, &in, &run), LG_OK);
    check_forward(folder, &in, &run);
    const double *target = lg_noise_reals(&noise, "Xref");
    check_backward(folder, &in, &run, target, LG_LOSS_mse, "mse", adjoints);
    check_backward(folder, &in, &run, target, LG_LOSS_log_sse, "log_sse", adjoints);
    lg_ref_mk_free(&run);
    lg_noise_clear(&noise);
    lg_context_free(ctx);
}

Test(reference_mk, golden_8x8_slow)
{
    check_case("mk/8x8_tau3_gamma0.005", 1);
}

Test(reference_mk, golden_8x8_fast)
{
    check_case("mk/8x8_tau3_gamma0.5", 1);
}

Test(reference_mk, golden_16x16)
{
    check_case("mk/16x16_tau20_gamma0.5", 0);
}

/* sse is mse times the number of entries, in value and gradient. */
Test(reference_mk, sse_is_a_multiple_of_mse)
{
    char folder[GOLDEN_PATH];
    lg_context *ctx;
    lg_noise_result mse, sse;
    golden_folder("mk/8x8_tau3_gamma0.5", folder);
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_evaluate(ctx, "mk", folder, &(lg_noise_options){.loss = "mse"}, &mse), LG_OK);
    cr_assert_eq(lg_noise_evaluate(ctx, "mk", folder, &(lg_noise_options){.loss = "sse"}, &sse), LG_OK);
    cr_assert_float_eq(sse.loss, mse.loss * 256, 1e-9 * sse.loss);
    for (int i = 0; i < 5; i++) cr_assert_float_eq(sse.grad[i], mse.grad[i] * 256, 1e-9 * sse.grad_abs[i]);
    lg_context_free(ctx);
}

/* The gradient of p by finite differences: with the threshold gone, y = p + (hard - p) has the derivative that ste
 * uses. Here the counts stay real, so d(p)/dk, d(p)/dn and d(p)/dm of every channel are checked through one step
 * without diffusion. */
static double smooth_step(int channel, double n, double m, const double *k, double N, double gamma)
{
    const double C = (N - 1) * (N - 2);
    const double p[6] = {k[0] / C * n * (n - 1) * (N - n), k[0] / C * n * (N - n) * (N - 1 - n), k[1] / N * (N - n) * m,
                         k[1] / N * n * (N - m),           k[2] / N * (N - n) * (N - m),         k[2] / N * n * m};
    return gamma * p[channel];
}

Test(reference_mk, reaction_derivatives)
{
    enum { S = 9 };
    const double N = 20, gamma = 0.3, h = 1e-5;
    for (int channel = 0; channel < 6; channel++) {
        double X0[2 * S], xi[2 * S], gumbel[18] = {0}, thresholds[6 * S], adj[4 * S] = {0}, after[2 * S];
        int32_t channels[S];
        lg_ref_mk_run run;
        lg_ref_gradient g;
        for (int i = 0; i < 2 * S; i++) X0[i] = 2 + i % 17, xi[i] = 0.999; /* nothing is excited */
        for (int i = 0; i < 6 * S; i++) thresholds[i] = 0.5;
        for (int i = 0; i < S; i++) channels[i] = channel;
        gumbel[4] = gumbel[13] = 50.0; /* stay */
        const lg_ref_mk in = {.steps = 1,
                              .batch = 1,
                              .height = 3,
                              .width = 3,
                              .capacity = N,
                              .gamma = gamma,
                              .tau = 1,
                              .params = {0.2, 0.3, 0.9, 0.4, 0.6},
                              .X0 = X0,
                              .xi = xi,
                              .gumbel = gumbel,
                              .channel = channels,
                              .thresholds = thresholds};
        cr_assert_eq(lg_ref_mk_forward(NULL, &in, &run), LG_OK);
        for (int i = 0; i < 2 * S; i++) adj[2 * S + i] = 1.0 + i; /* the loss sum_i (1 + i) X_i */
        lg_ref_mk_backward(&in, &run, adj, after, &g, NULL);
        double dk = 0.0;
        for (int i = 0; i < S; i++) {
            const double *k = in.params + 2, n = X0[i], m = X0[S + i];
            const double a = (channel % 2 ? -1 : 1) * (1.0 + i + (channel >= 4 ? S : 0));
            const double dn =
                (smooth_step(channel, n + h, m, k, N, gamma) - smooth_step(channel, n - h, m, k, N, gamma)) / (2 * h);
            const double dm =
                (smooth_step(channel, n, m + h, k, N, gamma) - smooth_step(channel, n, m - h, k, N, gamma)) / (2 * h);
            cr_assert_float_eq(adj[i], 1.0 + i + a * dn, 1e-7 * (1 + i), "channel %d site %d", channel, i);
            cr_assert_float_eq(adj[S + i], 1.0 + i + S + a * dm, 1e-7 * (1 + i + S), "channel %d site %d", channel, i);
            dk += a * smooth_step(channel, n, m, k, N, gamma) / k[channel / 2];
        }
        for (int i = 0; i < 3; i++) cr_assert_float_eq(g.grad[2 + i], i == channel / 2 ? dk : 0.0, 1e-9 * fabs(dk));
        lg_ref_mk_free(&run);
    }
}

/* Estimator gs of the reactions: the derivative of the soft probability 1 / (1 + exp(-(z1 - z0) / tau)), by
 * differences. */
Test(reference_mk, binary_gs_is_the_derivative_of_the_soft_probability)
{
    const double gumbel[3][2] = {{0.3, 1.2}, {2.0, -0.7}, {-1.1, 0.4}}, taus[3] = {1.0, 0.5, 2.0};
    for (int i = 0; i < 3; i++)
        for (double p = 0.02; p < 1.0; p += 0.07) {
            const double h = 1e-6, tau = taus[i];
            const lg_ref_event e = lg_ref_binary(LG_ESTIMATOR_gs, p, 0.0, gumbel[i], tau);
            const double up = lg_ref_binary(LG_ESTIMATOR_gs, p + h, 0.0, gumbel[i], tau).soft;
            const double down = lg_ref_binary(LG_ESTIMATOR_gs, p - h, 0.0, gumbel[i], tau).soft;
            cr_assert_float_eq(e.weight, (up - down) / (2 * h), 1e-6 * (1 + e.weight));
            cr_assert_eq(e.fired, e.soft > 0.5);
        }
    cr_assert_eq(lg_ref_binary(LG_ESTIMATOR_gs, 0.0, 0.0, gumbel[0], 1.0).weight, 0.0);
    cr_assert_eq(lg_ref_binary(LG_ESTIMATOR_gs, 1.0, 0.0, gumbel[0], 1.0).weight, 0.0);
    cr_assert_eq(lg_ref_binary(LG_ESTIMATOR_gs, 1.7, 0.0, gumbel[0], 1.0).weight, 0.0);
}

/* dL/dD by differences of the soft direction probabilities: L = sum_q K_q y_q(D) is what the straight-through
 * gradient follows. */
Test(reference_mk, direction_derivative)
{
    enum { S = 15 };
    double X0[2 * S], xi[2 * S], gumbel[18], thresholds[6 * S], adj[4 * S] = {0}, after[2 * S];
    int32_t channel[S] = {0};
    for (int i = 0; i < 2 * S; i++) X0[i] = 3 + 2 * (i % 8), xi[i] = ((7 * i) % 30 + 0.5) / 30;
    for (int i = 0; i < 18; i++) gumbel[i] = ((5 * i) % 18) * 0.3 - 1.0;
    for (int i = 0; i < 6 * S; i++) thresholds[i] = 0.999;
    for (int i = 0; i < 2 * S; i++) adj[2 * S + i] = (3 * i) % 11 - 4.0;
    lg_ref_mk in = {.steps = 1,
                    .batch = 1,
                    .height = 3,
                    .width = 5,
                    .capacity = 20,
                    .gamma = 1e-9,
                    .tau = 0.7,
                    .params = {0.2, 0.55, 1, 1, 1},
                    .X0 = X0,
                    .xi = xi,
                    .gumbel = gumbel,
                    .channel = channel,
                    .thresholds = thresholds};
    lg_ref_mk_run run, up, down;
    lg_ref_gradient g;
    double lam[2 * S];
    memcpy(lam, adj + 2 * S, sizeof lam);
    cr_assert_eq(lg_ref_mk_forward(NULL, &in, &run), LG_OK);
    lg_ref_mk_backward(&in, &run, adj, after, &g, NULL);
    for (int s = 0; s < 2; s++) {
        const double h = 1e-6, D = in.params[s];
        double numeric = 0.0;
        in.params[s] = D + h;
        lg_ref_mk_forward(NULL, &in, &up);
        in.params[s] = D - h;
        lg_ref_mk_forward(NULL, &in, &down);
        in.params[s] = D;
        for (int q = 0; q < 9; q++) {
            double K = 0.0;
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 5; j++)
                    K +=
                        lam[s * S + 5 * i + j] * run.E[s * S + 5 * ((i + 3 + q / 3 - 1) % 3) + (j + 5 + q % 3 - 1) % 5];
            numeric += K * (up.ysoft[9 * s + q] - down.ysoft[9 * s + q]) / (2 * h);
        }
        cr_assert_float_eq(g.grad[s], numeric, 1e-6 * g.abs[s] + 1e-6, "species %d: %g, %g", s, g.grad[s], numeric);
        lg_ref_mk_free(&up);
        lg_ref_mk_free(&down);
    }
    lg_ref_mk_free(&run);
}
