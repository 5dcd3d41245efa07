/* The SI reference against the golden vectors, and its multi-step backward pass against finite differences. */
#include "noise/noise.h"
#include "reference/golden.h"

#include <stdlib.h>
#include <string.h>

static void check_loss(const char *folder, const char *estimator, const char *loss, const lg_ref_si *in,
                       const lg_ref_si_run *run, const double *observed)
{
    const size_t sites = in->height * in->width, slice = in->batch * sites;
    double *adj = calloc(2 * slice, sizeof *adj), value;
    char name[64];
    lg_ref_gradient g;
    if (strcmp(loss, "mse") == 0)
        value = lg_ref_state_loss(LG_LOSS_mse, slice, run->states + slice, observed, adj + slice);
    else value = lg_ref_count_loss(in->batch, sites, in->X, run->states + slice, observed, adj + slice);
    lg_ref_si_backward(in, run, adj, &g);
    snprintf(name, sizeof name, "%s_loss_%s", estimator, loss);
    golden_equals(folder, name, &value, 1);
    snprintf(name, sizeof name, "%s_grad_beta_%s", estimator, loss);
    golden_equals(folder, name, g.grad, 1);
    cr_assert(g.abs[0] >= fabs(g.grad[0]));
    free(adj);
}

static void check_estimator(const char *folder, const lg_noise *noise, lg_estimator binary)
{
    const char *estimator = binary == LG_ESTIMATOR_gs ? "gs" : "ste";
    char name[64];
    lg_ref_si in;
    lg_ref_si_run run;
    lg_noise_bind_si(noise, binary, 0.0, &in);
    const size_t slice = in.batch * in.height * in.width;
    cr_assert_eq(lg_ref_si_forward(NULL, &in, &run), LG_OK);
    golden_equals_ints(folder, "neighbours", run.neighbours, slice);
    golden_equals(folder, "p", run.p, slice);
    snprintf(name, sizeof name, "%s_Y", estimator);
    golden_equals_ints(folder, name, run.states + slice, slice);
    snprintf(name, sizeof name, "%s_fired", estimator);
    golden_equals_ints(folder, name, run.fired, slice);
    if (binary == LG_ESTIMATOR_gs) golden_equals(folder, "gs_ysoft1", run.soft, slice);
    check_loss(folder, estimator, "mse", &in, &run, lg_noise_reals(noise, "Yobs"));
    check_loss(folder, estimator, "sumstat", &in, &run, lg_noise_reals(noise, "Yobs"));
    lg_ref_si_free(&run);
}

static void check_case(const char *name)
{
    char folder[GOLDEN_PATH];
    lg_context *ctx;
    lg_noise noise;
    golden_folder(name, folder);
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_read(ctx, LG_MODEL_SI, folder, &noise), LG_OK, "%s", lg_context_message(ctx));
    check_estimator(folder, &noise, LG_ESTIMATOR_ste);
    check_estimator(folder, &noise, LG_ESTIMATOR_gs);
    lg_noise_clear(&noise);
    lg_context_free(ctx);
}

Test(reference_si, golden_beta_0_05)
{
    check_case("si/beta0.05");
}
Test(reference_si, golden_beta_0_2)
{
    check_case("si/beta0.2");
}
Test(reference_si, golden_beta_0_8)
{
    check_case("si/beta0.8");
}
Test(reference_si, golden_beta_1)
{
    check_case("si/beta1");
}

/* Two steps, one lattice of 4 x 5: dL/dX_0 and dL/dbeta from the formulas written out for single sites, with X
 * real-valued. */
static double p_of(double beta, double neighbours)
{
    return 1.0 - pow(1.0 - beta, neighbours);
}

static size_t around(size_t H, size_t W, size_t s, size_t k)
{
    return (s / W + H + k / 3 - 1) % H * W + (s % W + W + k % 3 - 1) % W;
}

/* Loss sum_i c_i X_2(i) where every draw is replaced by its hard value plus p(X, beta) minus p at the base point:
 * the smooth function whose gradient ste takes. */
static double smooth_loss(const lg_ref_si *in, const lg_ref_si_run *run, double beta, const double *X, const double *c)
{
    const size_t S = in->height * in->width;
    double x[32], next[32], loss = 0.0;
    memcpy(x, X, S * sizeof *x);
    for (size_t t = 0; t < in->steps; t++) {
        for (size_t s = 0; s < S; s++) {
            double N = 0.0;
            for (size_t k = 0; k < 9; k++)
                if (k != 4) N += x[around(in->height, in->width, s, k)];
            const double y = run->fired[t * S + s] + p_of(beta, N) - run->p[t * S + s];
            next[s] = x[s] + (1.0 - x[s]) * y;
        }
        memcpy(x, next, S * sizeof *x);
    }
    for (size_t s = 0; s < S; s++) loss += c[s] * x[s];
    return loss;
}

Test(reference_si, two_steps_by_differences)
{
    enum { S = 20 };
    const double h = 1e-5;
    double X[S] = {0}, u[2 * S], c[S], adj[3 * S] = {0};
    X[7] = X[8] = 1.0;
    for (int i = 0; i < 2 * S; i++) u[i] = ((11 * i) % 40 + 0.5) / 40;
    for (int i = 0; i < S; i++) adj[2 * S + i] = c[i] = (3 * i) % 7 - 2.0;
    const lg_ref_si in = {.steps = 2, .batch = 1, .height = 4, .width = 5, .beta = 0.3, .tau = 1, .X = X, .u = u};
    lg_ref_si_run run;
    lg_ref_gradient g;
    cr_assert_eq(lg_ref_si_forward(NULL, &in, &run), LG_OK);
    lg_ref_si_backward(&in, &run, adj, &g);
    const double numeric =
        (smooth_loss(&in, &run, in.beta + h, X, c) - smooth_loss(&in, &run, in.beta - h, X, c)) / (2 * h);
    cr_assert_float_eq(g.grad[0], numeric, 1e-6 * g.abs[0], "%g, %g", g.grad[0], numeric);
    cr_assert(g.abs[0] > 0.0);
    for (int i = 0; i < S; i++) {
        const double base = X[i];
        X[i] = base + h;
        const double up = smooth_loss(&in, &run, in.beta, X, c);
        X[i] = base - h;
        const double down = smooth_loss(&in, &run, in.beta, X, c);
        X[i] = base;
        cr_assert_float_eq(adj[i], (up - down) / (2 * h), 1e-6 * (1 + fabs(adj[i])), "site %d: %g, %g", i, adj[i],
                           (up - down) / (2 * h));
    }
    lg_ref_si_free(&run);
}

/* The likelihood of the observed states by its definition, and its derivative by differences. */
Test(reference_si, exact_likelihood)
{
    char folder[GOLDEN_PATH];
    lg_context *ctx;
    lg_noise noise;
    lg_ref_si in;
    lg_ref_gradient g, unused;
    golden_folder("si/beta0.2", folder);
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_read(ctx, LG_MODEL_SI, folder, &noise), LG_OK);
    lg_noise_bind_si(&noise, LG_ESTIMATOR_ste, 0.0, &in);
    const double *Y = lg_noise_reals(&noise, "Yobs");
    const size_t sites = in.height * in.width;
    double expected = 0.0;
    lg_array nb = golden_read(folder, "neighbours");
    const double nll = lg_ref_si_nll(&in, Y, &g);
    for (size_t e = 0; e < in.batch * sites; e++) {
        const double p = p_of(0.2, lg_array_get(&nb, e));
        if (in.X[e] == 0.0) expected -= Y[e] == 1.0 ? log(p) : log(1.0 - p);
    }
    cr_assert_float_eq(nll, expected, 1e-9 * expected);
    const double h = 1e-6;
    in.beta = 0.2 + h;
    const double up = lg_ref_si_nll(&in, Y, &unused);
    in.beta = 0.2 - h;
    const double down = lg_ref_si_nll(&in, Y, &unused);
    cr_assert_float_eq(g.grad[0], (up - down) / (2 * h), 1e-6 * g.abs[0]);
    lg_array_clear(&nb);
    lg_noise_clear(&noise);
    lg_context_free(ctx);
}
