/* The generator's noise as arrays, fed to the reference, must give the states that the integer rules give directly.
 * The steps below are written from the rule functions alone, site by site. */
#include "noise/job.h"
#include "noise/noise.h"
#include "rules/mk.h"
#include "rules/permute.h"
#include "rules/prw.h"
#include "rules/si.h"

static const lg_model_desc si = {.id = LG_MODEL_SI, .name = "si", .params = 1, .species = 1, .statistics = 1};
static const lg_model_desc mk =
    {.id = LG_MODEL_MK, .name = "mk", .params = 5, .species = 2, .has_capacity = true, .statistics = 4};
static const lg_model_desc prw = {.id = LG_MODEL_PRW, .name = "prw", .params = 2, .state_words = 4, .statistics = 1};

/* ---- MK ---------------------------------------------------------------------------------------------------------- */

static uint32_t mk_site_word(const lg_job *job, lg_key key, uint32_t r, uint32_t t, uint32_t i, uint32_t j, uint32_t k)
{
    const lg_block b = lg_draw(key, LG_STREAM_MK_SITE, job->first_fit, r, t, i / 2 * job->width + j);
    return b.w[2 * (i % 2) + k];
}

static void mk_rule_step(const lg_job *job, const lg_mk_fit *fit, lg_key key, uint32_t r, uint32_t t, uint8_t *x)
{
    const uint32_t H = job->height, W = job->width, S = H * W, N = job->capacity;
    uint8_t *e = malloc(2 * S);
    for (uint32_t s = 0; s < 2; s++) {
        const int q = lg_mk_draw_direction(fit, key, job->first_fit, r, t, (int)s);
        for (uint32_t k = 0; k < S; k++)
            e[s * S + k] = (uint8_t)lg_mk_excited(mk_site_word(job, key, r, t, k / W, k % W, 0) >> (16 * s) & 0xffff,
                                                  x[s * S + k], N);
        for (uint32_t k = 0; k < S; k++) {
            const uint32_t i = (uint32_t)((int)(k / W + H) + lg_mk_row_offset(q)) % H;
            const uint32_t j = (uint32_t)((int)(k % W + W) + lg_mk_column_offset(q)) % W;
            x[s * S + k] = (uint8_t)(x[s * S + k] - e[s * S + k] + e[s * S + i * W + j]);
        }
    }
    for (uint32_t k = 0; k < S; k++) {
        const uint32_t word = mk_site_word(job, key, r, t, k / W, k % W, 1), c = lg_mk_channel(word);
        if (lg_mk_fires(fit, c, lg_mk_u31(word), lg_mk_count(c, x[k], x[S + k], N)))
            x[c < 4 ? k : S + k] = (uint8_t)(x[c < 4 ? k : S + k] + lg_mk_sign(c));
    }
    free(e);
}

/* Steps every replicate by the rules and compares with the reference after each step; returns how often reactions
 * fired with p above 1. */
static size_t mk_compare(const test_job *t)
{
    const lg_job *job = &t->job;
    const uint32_t B = job->replicates;
    const size_t slice = 2 * lg_job_sites(job);
    const lg_key key = lg_iteration_key(job->seed, 5);
    lg_context *ctx;
    lg_noise noise;
    lg_ref_mk in;
    lg_ref_mk_run run;
    lg_mk_fit fit;
    lg_context_create(&ctx);
    cr_assert_eq(lg_noise_generate(ctx, job, 5, t->params, &noise), LG_OK, "%s", lg_context_message(ctx));
    lg_noise_bind_mk(&noise, job->binary, 0.0, &in);
    cr_assert_eq(lg_ref_mk_forward(ctx, &in, &run), LG_OK);
    lg_mk_prepare(t->params, job->gamma, (int)job->capacity, job->tau, &fit);
    uint8_t *x = malloc(slice);
    for (uint32_t r = 0; r < B; r++) {
        memcpy(x, t->start + r % job->pool * slice, slice);
        for (uint32_t step = 0; step <= job->steps; step++) {
            if (step > 0) mk_rule_step(job, &fit, key, r, step - 1, x);
            for (size_t i = 0; i < slice; i++)
                cr_assert_eq(x[i], run.states[(step * B + r) * slice + i],
                             "N %u gamma %g D %g: replicate %u step %u entry %zu: rules %d, reference %d",
                             job->capacity, job->gamma, t->params[0], r, step, i, x[i],
                             run.states[(step * B + r) * slice + i]);
        }
    }
    size_t certain = 0;
    for (size_t i = 0; i < in.steps * in.batch * in.height * in.width; i++) certain += run.p_chosen[i] > 1.0;
    free(x);
    lg_ref_mk_free(&run);
    lg_noise_clear(&noise);
    lg_context_free(ctx);
    return certain;
}

static size_t mk_all_sizes(double gamma, double D_A, double D_B, lg_estimator binary)
{
    static const uint32_t sizes[3][2] = {{3, 3}, {5, 7}, {8, 8}}, capacities[3] = {3, 50, 255};
    size_t certain = 0;
    for (int s = 0; s < 3; s++)
        for (int c = 0; c < 3; c++) {
            test_job t;
            test_job_lattice(&t, &mk, sizes[s][0], sizes[s][1], capacities[c], 3, 20, 2);
            const double params[5] = {D_A, D_B, 0.98, 0.1, 0.2};
            memcpy(t.params, params, sizeof params);
            t.job.gamma = gamma;
            t.job.binary = binary;
            t.job.first_fit = 7;
            certain += mk_compare(&t);
            test_job_free(&t);
        }
    return certain;
}

Test(noise_rules, mk_slow)
{
    mk_all_sizes(0.005, 0.1, 0.4, LG_ESTIMATOR_ste);
    mk_all_sizes(0.005, 0.1, 0.4, LG_ESTIMATOR_gs);
}

Test(noise_rules, mk_fast_has_certain_events)
{
    cr_assert_gt(mk_all_sizes(0.5, 0.1, 0.4, LG_ESTIMATOR_ste), 0);
    cr_assert_gt(mk_all_sizes(0.5, 0.3, 0.9, LG_ESTIMATOR_gs), 0);
}

Test(noise_rules, mk_extreme_diffusion)
{
    mk_all_sizes(0.5, 0.0, 1.0, LG_ESTIMATOR_ste);
    mk_all_sizes(0.5, 1.0, 0.0, LG_ESTIMATOR_gs);
    mk_all_sizes(0.005, 0.001, 0.999, LG_ESTIMATOR_ste);
}

/* Rate constants of 0 and 1, and a gamma so large that nearly everything fires. */
Test(noise_rules, mk_extreme_rates)
{
    static const double sets[4][6] = {{0, 0, 0, 0.5}, {1, 1, 1, 1.0}, {1, 0, 1, 40.0}, {1e-12, 1e-7, 1e-4, 1e-3}};
    for (int i = 0; i < 4; i++) {
        test_job t;
        test_job_lattice(&t, &mk, 5, 6, 50, 2, 30, 1);
        const double params[5] = {0.2, 0.7, sets[i][0], sets[i][1], sets[i][2]};
        memcpy(t.params, params, sizeof params);
        t.job.gamma = sets[i][3];
        mk_compare(&t);
        test_job_free(&t);
    }
}

/* ---- SI ---------------------------------------------------------------------------------------------------------- */

static void si_rule_step(const lg_job *job, const lg_si_fit *fit, lg_key key, uint32_t r, uint32_t t, const uint8_t *x,
                         uint8_t *next)
{
    const int H = (int)job->height, W = (int)job->width;
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            uint32_t n = 0;
            for (int a = -1; a <= 1; a++)
                for (int b = -1; b <= 1; b++) n += a || b ? x[(i + a + H) % H * W + (j + b + W) % W] : 0u;
            const lg_block b = lg_draw(key, LG_STREAM_SI_SITE, job->first_fit, r, t,
                                       lg_si_block((uint32_t)i, (uint32_t)j, (uint32_t)W));
            next[i * W + j] = x[i * W + j] || lg_u31(b.w[j % 4]) < fit->threshold[n];
        }
}

static void si_compare(const test_job *t, lg_estimator binary)
{
    const lg_job *job = &t->job;
    const uint32_t B = job->replicates;
    const size_t S = lg_job_sites(job);
    const lg_key key = lg_iteration_key(job->seed, 3);
    lg_noise noise;
    lg_ref_si in;
    lg_ref_si_run run;
    lg_si_fit fit;
    cr_assert_eq(lg_noise_generate(NULL, job, 3, t->params, &noise), LG_OK);
    lg_noise_bind_si(&noise, binary, 0.0, &in);
    cr_assert_eq(lg_ref_si_forward(NULL, &in, &run), LG_OK);
    lg_si_prepare(t->params[0], log(1.0 - t->params[0]), job->tau, &fit);
    uint8_t *x = malloc(S), *next = malloc(S);
    for (uint32_t r = 0; r < B; r++) {
        const size_t first =
            job->task == LG_TASK_transition ? lg_pair_index(job->seed, 3, B, r, job->pool) : r % job->pool;
        memcpy(x, t->start + first * S, S);
        for (uint32_t step = 0; step <= job->steps; step++) {
            if (step > 0) {
                si_rule_step(job, &fit, key, r, step - 1, x, next);
                memcpy(x, next, S);
            }
            for (size_t i = 0; i < S; i++)
                cr_assert_eq(x[i], run.states[(step * B + r) * S + i], "beta %g replicate %u step %u site %zu",
                             t->params[0], r, step, i);
        }
    }
    free(x);
    free(next);
    lg_ref_si_free(&run);
    lg_noise_clear(&noise);
}

Test(noise_rules, si)
{
    static const double betas[6] = {0.0, 1e-6, 0.05, 0.2, 0.8, 1.0};
    static const uint32_t sizes[4][2] = {{3, 3}, {5, 7}, {8, 8}, {4, 70}};
    for (int b = 0; b < 6; b++)
        for (int s = 0; s < 4; s++) {
            test_job t;
            test_job_lattice(&t, &si, sizes[s][0], sizes[s][1], 1, 3, 4, 2);
            for (size_t i = 0; i < 2 * lg_job_sites(&t.job); i++) t.start[i] = i % 5 == 0; /* room to spread */
            t.params[0] = betas[b];
            t.job.first_fit = 3;
            si_compare(&t, LG_ESTIMATOR_ste);
            si_compare(&t, LG_ESTIMATOR_gs);
            test_job_free(&t);
        }
}

Test(noise_rules, si_transition_pairs)
{
    test_job t;
    test_job_lattice(&t, &si, 6, 6, 1, 5, 1, 7);
    t.params[0] = 0.2;
    t.job.task = LG_TASK_transition;
    si_compare(&t, LG_ESTIMATOR_ste);
    lg_noise noise;
    cr_assert_eq(lg_noise_generate(NULL, &t.job, 3, t.params, &noise), LG_OK);
    const double *Y = lg_noise_reals(&noise, "Yobs");
    for (uint32_t r = 0; r < 5; r++) {
        const uint8_t *pair = t.target + lg_pair_index(1, 3, 5, r, 7) * 36;
        for (size_t i = 0; i < 36; i++) cr_assert_eq(Y[r * 36 + i], pair[i]);
    }
    lg_noise_clear(&noise);
    test_job_free(&t);
}

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

static void prw_compare(double p_center, double p_resample, uint32_t n, uint32_t T)
{
    test_job t;
    lg_noise noise;
    lg_ref_prw in;
    lg_ref_prw_run run;
    lg_prw_fit fit;
    test_job_walk(&t, &prw, n, T);
    t.params[0] = p_center;
    t.params[1] = p_resample;
    t.job.first_fit = 2;
    cr_assert_eq(lg_noise_generate(NULL, &t.job, 9, t.params, &noise), LG_OK);
    lg_noise_bind_prw(&noise, LG_ESTIMATOR_gs, false, 0.0, &in);
    cr_assert_eq(lg_ref_prw_forward(NULL, &in, &run), LG_OK);
    lg_prw_prepare(p_center, p_resample, LG_ESTIMATOR_gs, 1.0, &fit);
    const lg_key key = lg_iteration_key(1, 9);
    for (uint32_t w = 0; w < n; w++)
        for (uint32_t axis = 0; axis < 2; axis++) {
            int32_t v = lg_prw_velocity(&fit, lg_draw(key, LG_STREAM_PRW_START, 2, w, 0, axis).w[0]), x = 0;
            cr_assert_eq(run.velocities[axis * (T + 1) * n + w], v);
            for (uint32_t step = 1; step <= T; step++) {
                const lg_block b = lg_draw(key, LG_STREAM_PRW_STEP, 2, w, step, 0);
                if (lg_prw_resamples(&fit, b.w[2 * axis])) v = lg_prw_velocity(&fit, b.w[2 * axis + 1]);
                x += v;
                const size_t e = (axis * (T + 1) + step) * n + w;
                cr_assert_eq(run.velocities[e], v, "walker %u axis %u step %u", w, axis, step);
                cr_assert_eq(run.positions[e], x, "walker %u axis %u step %u", w, axis, step);
            }
        }
    lg_ref_prw_free(&run);
    lg_noise_clear(&noise);
}

Test(noise_rules, prw)
{
    static const double values[5] = {0.0, 0.01, 0.5, 0.9, 1.0};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) prw_compare(values[i], values[j], 37, 12);
    prw_compare(0.3, 0.6, 1, 1);
}

/* Conditional Gumbel noise is standard Gumbel noise: over many draws of all classes, mean 0.5772 and variance pi^2 /
 * 6. Bounds at five standard errors (the fourth central moment of the Gumbel law is 14.6): false alarm 6e-7 each if
 * the seed were free. */
Test(noise_rules, conditional_gumbel_noise_is_gumbel)
{
    test_job t;
    lg_noise noise;
    test_job_walk(&t, &prw, 2000, 20);
    t.params[0] = 0.2;
    t.params[1] = 0.3;
    cr_assert_eq(lg_noise_generate(NULL, &t.job, 0, t.params, &noise), LG_OK);
    const char *const names[2] = {"gumbel_keep", "gumbel_vel"};
    for (int k = 0; k < 2; k++) {
        const lg_array *a = lg_noise_find(&noise, names[k]);
        const size_t classes = a->shape[3], count = lg_array_size(a) / classes;
        for (size_t c = 0; c < classes; c++) {
            double sum = 0.0, sum2 = 0.0;
            for (size_t i = 0; i < count; i++) {
                const double g = lg_array_get(a, i * classes + c) - 0.57721566490153286;
                sum += g;
                sum2 += g * g;
            }
            cr_assert_lt(fabs(sum / (double)count), 5 * sqrt(1.6449341 / (double)count), "%s class %zu", names[k], c);
            cr_assert_lt(fabs(sum2 / (double)count - 1.6449341), 5 * sqrt((14.6 - 2.706) / (double)count),
                         "%s class %zu", names[k], c);
        }
    }
    lg_noise_clear(&noise);
}
