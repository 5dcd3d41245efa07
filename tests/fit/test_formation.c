/* Task formation of MK: the structure factor against a direct transform, its adjoint against finite differences, the task
 * end to end. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "model/models.h"
#include "model/spectrum.h"
#include "problems.h"

static const uint32_t shapes[][2] = {{3, 3}, {8, 8}, {5, 7}, {12, 30}, {33, 20}, {64, 64}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* A plane of counts below 51 with structure: waves and noise from a small generator. */
static void fill(uint8_t *x, uint32_t H, uint32_t W, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1u;
    for (uint32_t i = 0; i < H; i++)
        for (uint32_t j = 0; j < W; j++) {
            state = state * 1664525u + 1013904223u;
            x[i * W + j] = (uint8_t)(20.0 + 8.0 * sin(6.2831853 * 2 * i / H) +
                                     5.0 * cos(6.2831853 * (i + 3.0 * j) / W) + (state >> 24) % 8);
        }
}

/* |n_k|^2 / HW by the definition. */
static double direct(const double *x, uint32_t H, uint32_t W, int ky, int kx)
{
    double re = 0.0, im = 0.0;
    for (uint32_t i = 0; i < H; i++)
        for (uint32_t j = 0; j < W; j++) {
            const double angle = 2.0 * 3.14159265358979323846 * ((double)ky * i / H + (double)kx * j / W);
            re += x[i * W + j] * cos(angle);
            im -= x[i * W + j] * sin(angle);
        }
    return (re * re + im * im) / ((double)H * W);
}

/* All wave vectors of both half planes below Nyquist, binned by their rounded length. */
static void direct_bins(const double *x, uint32_t H, uint32_t W, double *bins)
{
    const double L = H < W ? H : W;
    double count[LG_SPECTRUM_BINS] = {0};
    memset(bins, 0, LG_SPECTRUM_BINS * sizeof *bins);
    for (int ky = -((int)H - 1) / 2; ky <= ((int)H - 1) / 2; ky++)
        for (int kx = -((int)W - 1) / 2; kx <= ((int)W - 1) / 2; kx++) {
            const double r = L * hypot((double)ky / H, (double)kx / W);
            const int b = (int)floor(r + 0.5) - 1;
            if (b < 0 || b >= LG_SPECTRUM_BINS) continue;
            bins[b] += direct(x, H, W, ky, kx);
            count[b] += 1.0;
        }
    for (int b = 0; b < LG_SPECTRUM_BINS; b++)
        if (count[b] > 0.0) bins[b] /= count[b];
}

/* Statistics of two planes of real numbers by the definition. */
static void direct_statistics(const double *x, uint32_t H, uint32_t W, double *out)
{
    const size_t sites = (size_t)H * W;
    for (int s = 0; s < 2; s++) {
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < sites; i++) sum += x[s * sites + i];
        for (size_t i = 0; i < sites; i++) squares += pow(x[s * sites + i] - sum / (double)sites, 2);
        out[s] = sum / (double)sites;
        out[2 + s] = log(1.0 + squares / (double)sites);
        direct_bins(x + s * sites, H, W, out + 4 + s * LG_SPECTRUM_BINS);
        for (int b = 0; b < LG_SPECTRUM_BINS; b++) {
            double *v = &out[4 + s * LG_SPECTRUM_BINS + b];
            *v = log(1.0 + *v);
        }
    }
}

Test(formation, statistics_by_definition)
{
    for (int k = 0; k < SHAPES; k++) {
        const uint32_t H = shapes[k][0], W = shapes[k][1];
        const size_t sites = (size_t)H * W;
        uint8_t *x = malloc(2 * sites);
        double *real = malloc(2 * sites * sizeof *real), out[LG_FORMATION_STATISTICS],
               expected[LG_FORMATION_STATISTICS];
        lg_spectrum spectrum;
        cr_assert(lg_spectrum_open(&spectrum, H, W));
        lg_complex *work = malloc(lg_spectrum_work(&spectrum) * sizeof *work);
        fill(x, H, W, 1);
        fill(x + sites, H, W, 2);
        for (size_t i = 0; i < 2 * sites; i++) real[i] = x[i];
        lg_formation_statistics(&spectrum, x, work, out);
        direct_statistics(real, H, W, expected);
        for (int i = 0; i < LG_FORMATION_STATISTICS; i++)
            cr_expect_float_eq(out[i], expected[i], 1e-9 * (1.0 + fabs(expected[i])),
                               "%u x %u, statistic %d: %g, expected %g", H, W, i, out[i], expected[i]);
        free(work);
        free(x);
        free(real);
        lg_spectrum_close(&spectrum);
    }
}

/* A wave of five periods across 64 rows is in the fifth bin, with all of the variance. */
Test(formation, a_wave_is_in_its_bin)
{
    enum { L = 64 };
    uint8_t x[L * L];
    double bins[LG_SPECTRUM_BINS];
    lg_spectrum spectrum;
    for (int i = 0; i < L; i++) memset(x + i * L, (int)lround(25.0 + 20.0 * sin(6.283185307179586 * 5 * i / L)), L);
    cr_assert(lg_spectrum_open(&spectrum, L, L));
    lg_complex *work = malloc(lg_spectrum_work(&spectrum) * sizeof *work);
    lg_spectrum_bins(&spectrum, x, work, bins);
    for (int b = 0; b < LG_SPECTRUM_BINS; b++)
        if (b != 4) cr_expect_lt(bins[b], 0.01 * bins[4], "bin %d: %g", b, bins[b]);
    /* 2 of the wave vectors of the bin carry S = 20^2 HW / 4 */
    cr_expect_float_eq(bins[4] * 2 * spectrum.count[4], 2 * 400.0 * L * L / 4, 0.01 * 400 * L * L / 2);
    free(work);
    lg_spectrum_close(&spectrum);
}

Test(formation, adjoint_against_differences)
{
    for (int k = 0; k < 4; k++) {
        const uint32_t H = shapes[k][0], W = shapes[k][1];
        const size_t sites = (size_t)H * W, stride = W + 2;
        uint8_t *x = malloc(2 * sites);
        double *real = malloc(2 * sites * sizeof *real), adjoint[LG_FORMATION_STATISTICS];
        float *field = calloc(2 * H * stride, sizeof *field);
        lg_spectrum spectrum;
        cr_assert(lg_spectrum_open(&spectrum, H, W));
        lg_complex *work = malloc(lg_spectrum_work(&spectrum) * sizeof *work);
        fill(x, H, W, 3);
        fill(x + sites, H, W, 4);
        for (size_t i = 0; i < 2 * sites; i++) real[i] = x[i];
        for (int i = 0; i < LG_FORMATION_STATISTICS; i++) adjoint[i] = sin(1.0 + i);
        for (int s = 0; s < 2; s++)
            lg_formation_adjoint(&spectrum, x, s, adjoint, work, field + (size_t)s * H * stride, stride);
        for (size_t i = 0; i < 2 * sites; i++) {
            double high[LG_FORMATION_STATISTICS], low[LG_FORMATION_STATISTICS], slope = 0.0;
            const double h = 1e-4, kept = real[i];
            real[i] = kept + h;
            direct_statistics(real, H, W, high);
            real[i] = kept - h;
            direct_statistics(real, H, W, low);
            real[i] = kept;
            for (int j = 0; j < LG_FORMATION_STATISTICS; j++) slope += adjoint[j] * (high[j] - low[j]) / (2.0 * h);
            const size_t s = i / sites, row = i % sites / W, column = i % W;
            const double found = field[(s * H + row) * stride + (i % sites) % W];
            (void)column;
            cr_expect_float_eq(found, slope, 1e-6 + 1e-4 * fabs(slope), "%u x %u, place %zu: %g, expected %g", H, W, i,
                               found, slope);
        }
        free(work);
        free(x);
        free(real);
        free(field);
        lg_spectrum_close(&spectrum);
    }
}

/* ---- the backward pass ------------------------------------------------------------------------------------------ */

enum { SIDE = 8, STEPS = 9, RECORDS = 2, REPLICATES = 3 };
static const uint32_t record_steps[RECORDS] = {4, 9};

/* Statistics and gradient of MK with the given targets; weights 0 but for the first `weighted` statistics of a record. */
static void run(lg_task task, int weighted, const double *target, double *statistics, double *gradient)
{
    static uint8_t start[2 * SIDE * SIDE];
    static const double params[5] = {0.3, 0.4, 0.9, 0.2, 0.3};
    lg_context *ctx;
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    lg_device *device;
    lg_dbatch *batch;
    double weight[RECORDS * LG_FORMATION_STATISTICS] = {0};
    lg_job job = {.model = lg_model_find("mk"),
                  .task = task,
                  .loss = LG_LOSS_stat,
                  .fits = 1,
                  .replicates = REPLICATES,
                  .steps = STEPS,
                  .height = SIDE,
                  .width = SIDE,
                  .capacity = 50,
                  .gamma = 0.05,
                  .tau = 1.0,
                  .seed = 11,
                  .pool = 1,
                  .start = start,
                  .records = RECORDS,
                  .record = record_steps,
                  .target_stat = target,
                  .weight_stat = weight,
                  .params = params};
    fill(start, SIDE, SIDE, 5);
    fill(start + SIDE * SIDE, SIDE, SIDE, 6);
    job.optimizer.params = 5;
    for (int k = 0; k < RECORDS; k++)
        for (int i = 0; i < weighted; i++) weight[k * (int)lg_job_kinds(&job) + i] = 1.0;
    cr_assert_eq(lg_backend_cpu.open(ctx, 0, 1, &device), LG_OK);
    cr_assert_eq(lg_backend_cpu.create(ctx, device, &job, true, &batch), LG_OK);
    cr_assert_eq(lg_backend_cpu.forward(ctx, batch, STEPS, true), LG_OK);
    cr_assert_eq(lg_backend_cpu.loss(ctx, batch), LG_OK);
    cr_assert_eq(lg_backend_cpu.backward(ctx, batch), LG_OK);
    lg_backend_cpu.get_statistics(ctx, batch, statistics);
    lg_backend_cpu.get_gradient(ctx, batch, gradient);
    lg_backend_cpu.destroy(batch);
    lg_backend_cpu.close(device);
    lg_context_free(ctx);
}

/* Only the means weighted: the same question as the task trajectory asks, so the same gradient. */
Test(formation, means_as_in_trajectory)
{
    double target[RECORDS * LG_FORMATION_STATISTICS], s[RECORDS * LG_FORMATION_STATISTICS], a[5], b[5];
    for (int i = 0; i < RECORDS * 4; i++) target[i] = 20.0;
    run(LG_TASK_trajectory, 2, target, s, a);
    for (int i = 0; i < RECORDS * LG_FORMATION_STATISTICS; i++) target[i] = 20.0;
    run(LG_TASK_formation, 2, target, s, b);
    for (int p = 0; p < 5; p++) {
        cr_expect_neq(a[p], 0.0);
        cr_expect_float_eq(a[p], b[p], 1e-4 * fabs(a[p]), "parameter %d: %g and %g", p, a[p], b[p]);
    }
}

/* The gradient is linear in the residuals: with all statistics weighted and targets moved twice as far, twice as large. */
Test(formation, gradient_follows_the_residuals)
{
    double target[RECORDS * LG_FORMATION_STATISTICS] = {0}, s[RECORDS * LG_FORMATION_STATISTICS], a[5], b[5];
    run(LG_TASK_formation, LG_FORMATION_STATISTICS, target, s, a);
    for (int i = 0; i < RECORDS * LG_FORMATION_STATISTICS; i++) target[i] = s[i];
    double same[RECORDS * LG_FORMATION_STATISTICS];
    run(LG_TASK_formation, LG_FORMATION_STATISTICS, target, same, a);
    for (int p = 0; p < 5; p++) cr_expect_eq(a[p], 0.0, "at the target parameter %d has gradient %g", p, a[p]);
    for (int i = 0; i < RECORDS * LG_FORMATION_STATISTICS; i++) target[i] = s[i] - 0.1 * (1 + i % 3);
    run(LG_TASK_formation, LG_FORMATION_STATISTICS, target, same, a);
    for (int i = 0; i < RECORDS * LG_FORMATION_STATISTICS; i++) target[i] = s[i] - 0.2 * (1 + i % 3);
    run(LG_TASK_formation, LG_FORMATION_STATISTICS, target, same, b);
    for (int p = 0; p < 5; p++) cr_expect_float_eq(2.0 * a[p], b[p], 1e-3 * fabs(b[p]), "parameter %d", p);
}

Test(formation, end_to_end)
{
    lg_context *ctx;
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    lg_problem *p =
        make_problem(ctx, SETTINGS("model=mk", "task=formation", "lattice.height=16", "lattice.width=16", "steps=40",
                                   "data.record_every=20", "data.generate.runs=3", "data.generate.params.D_A=0.1",
                                   "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",
                                   "data.generate.params.k2=0.1", "data.generate.params.k3=0.2", "iterations=3",
                                   "replicates=2", "optimizer.lr=1e-6", "device=cpu"));
    lg_problem_info info;
    lg_problem_describe(p, &info);
    cr_expect_eq(info.statistics, 2 * LG_FORMATION_STATISTICS);
    cr_expect_str_eq(info.task, "formation");
    lg_result *result;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &result), LG_OK, "%s", lg_context_message(ctx));
    lg_result_info described;
    lg_result_describe(result, &described);
    cr_expect_eq(described.statistic_count, LG_FORMATION_STATISTICS);
    cr_expect_str_eq(described.statistic_names[4], "log_S1_A");
    cr_expect(isfinite(lg_result_loss(result, 0)) && lg_result_loss(result, 0) > 0.0);
    lg_result_free(result);
    lg_problem_free(p);
    lg_context_free(ctx);
}

Test(formation, weights_need_two_runs)
{
    lg_context *ctx;
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    lg_problem *p;
    cr_assert_eq(try_problem(ctx,
                             SETTINGS("model=mk", "task=formation", "lattice.height=8", "lattice.width=8", "steps=4",
                                      "data.record_every=2", "data.generate.runs=1", "data.generate.params.D_A=0.1",
                                      "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",
                                      "data.generate.params.k2=0.1", "data.generate.params.k3=0.2", "device=cpu"),
                             &p),
                 LG_ERR_DATA);
    cr_expect(strstr(lg_context_message(ctx), "standard errors need two runs"), "%s", lg_context_message(ctx));
    lg_context_free(ctx);
}
