/* Estimators gr and score of the cpu backend against the reference implementation in double precision: gr to 1e-5 of the sum of
 * the absolute contributions; score against scores of the reference and a baseline that is worked out by leaving each
 * replicate out in turn. */
#include "base/device.h"
#include "noise/job.h"
#include "noise/noise.h"

#include <math.h>

TestSuite(oracle, .init = open_device, .fini = close_device);

static void backend_gradient(const lg_job *job, uint64_t iteration, double *loss, double *gradient)
{
    lg_dbatch *batch;
    cr_assert_eq(lg_backend_cpu.create(ctx, device, job, true, &batch), LG_OK, "%s", lg_context_message(ctx));
    lg_backend_cpu.reset(ctx, batch, iteration);
    cr_assert_eq(lg_backend_cpu.forward(ctx, batch, job->steps, true), LG_OK, "%s", lg_context_message(ctx));
    lg_backend_cpu.loss(ctx, batch);
    lg_backend_cpu.backward(ctx, batch);
    lg_backend_cpu.get_loss(ctx, batch, loss);
    lg_backend_cpu.get_gradient(ctx, batch, gradient);
    lg_backend_cpu.destroy(batch);
}

static void record(test_job *t, uint32_t first, uint32_t second)
{
    const uint32_t kinds = (uint32_t)t->job.model->statistics;
    t->job.task = LG_TASK_trajectory;
    t->job.loss = t->job.model->species ? LG_LOSS_stat : LG_LOSS_sse;
    t->job.target = NULL;
    t->job.records = 2;
    t->record[0] = first;
    t->record[1] = second;
    for (uint32_t k = 0; k < 2 * kinds; k++) {
        t->target_stat[k] = 0.4 * t->job.capacity + 0.1 * k;
        t->weight_stat[k] = 1.0 / (1 + k % 3);
    }
    t->job.record = t->record;
    t->job.target_stat = t->target_stat;
    t->job.weight_stat = t->weight_stat;
}

static void make_mk(test_job *t, uint32_t H, uint32_t W, uint32_t replicates, uint32_t steps, double tau)
{
    test_job_lattice(t, lg_model_find("mk"), H, W, 50, replicates, steps, 2);
    memcpy(t->params, (const double[]){0.1, 0.4, 0.98, 0.1, 0.2}, 5 * sizeof(double));
    t->job.gamma = 0.05;
    t->job.tau = tau;
    t->job.first_fit = 3;
}

static void make_si(test_job *t, uint32_t H, uint32_t W, uint32_t replicates, uint32_t steps, double tau)
{
    test_job_lattice(t, lg_model_find("si"), H, W, 1, replicates, steps, 2);
    for (size_t i = 0; i < (size_t)2 * H * W; i++) {
        t->start[i] = t->start[i] && i % 7 == 0; /* mostly unaware */
        t->target[i] |= t->start[i];             /* who is aware stays aware */
    }
    t->params[0] = 0.2;
    t->job.tau = tau;
}

static void make_prw(test_job *t, uint32_t walkers, uint32_t steps, double tau)
{
    test_job_walk(t, lg_model_find("prw"), walkers, steps);
    t->params[0] = 0.3;
    t->params[1] = 0.2;
    t->job.tau = tau;
    record(t, 2, steps);
}

/* ---- gr --------------------------------------------------------------------------------------------------------- */

static void check_gr(test_job *t, lg_estimator binary, lg_estimator categorical, uint32_t draws)
{
    double loss, gradient[LG_MAX_PARAMS];
    lg_noise_result expected;
    lg_noise noise;
    t->job.binary = binary;
    t->job.categorical = categorical;
    t->job.draws = draws;
    backend_gradient(&t->job, 4, &loss, gradient);
    cr_assert_eq(lg_noise_generate(ctx, &t->job, 4, t->params, &noise), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_noise_reference(ctx, &noise, "memory", binary, t->job.loss, t->job.v0_const, 0.0, &expected), LG_OK,
                 "%s", lg_context_message(ctx));
    cr_assert(fabs(loss - expected.loss) <= 1e-6 * fabs(expected.loss), "loss %g, reference %g", loss, expected.loss);
    for (int i = 0; i < expected.params; i++)
        cr_assert(fabs(gradient[i] - expected.grad[i]) <= 1e-5 * expected.grad_abs[i],
                  "%s, %u draws: gradient %d is %.9g, reference %.9g of contributions %.9g", t->job.model->name, draws,
                  i, gradient[i], expected.grad[i], expected.grad_abs[i]);
    lg_noise_clear(&noise);
}

static void check_draws(test_job *t)
{
    check_gr(t, LG_ESTIMATOR_gr, LG_ESTIMATOR_gr, 1);
    check_gr(t, LG_ESTIMATOR_gr, LG_ESTIMATOR_gr, 5);
    check_gr(t, LG_ESTIMATOR_gr, LG_ESTIMATOR_gs, 2);
    check_gr(t, LG_ESTIMATOR_gs, LG_ESTIMATOR_gr, 3);
    check_gr(t, LG_ESTIMATOR_ste, LG_ESTIMATOR_gr, LG_MAX_REDRAWS);
}

Test(oracle, gumbel_rao_mk)
{
    test_job t;
    make_mk(&t, 6, 9, 2, 7, 1.0);
    check_draws(&t);
    record(&t, 3, 7);
    check_draws(&t);
    test_job_free(&t);
    make_mk(&t, 5, 5, 2, 4, 0.4);
    check_draws(&t);
    test_job_free(&t);
}

Test(oracle, gumbel_rao_si)
{
    test_job t;
    make_si(&t, 7, 70, 2, 3, 1.0);
    check_draws(&t);
    record(&t, 1, 3);
    check_draws(&t);
    test_job_free(&t);
    make_si(&t, 9, 65, 3, 1, 0.5);
    t.job.task = LG_TASK_transition;
    check_draws(&t);
    t.job.loss = LG_LOSS_count;
    check_draws(&t);
    test_job_free(&t);
}

Test(oracle, gumbel_rao_prw)
{
    test_job t;
    make_prw(&t, 100, 6, 1.0);
    check_draws(&t);
    make_prw(&t, 30, 4, 0.7);
    check_draws(&t);
    t.job.v0_const = true;
    check_draws(&t);
}

/* One draw is gs, bit for bit. */
Test(oracle, one_draw_is_gs)
{
    test_job t;
    double loss, gs[LG_MAX_PARAMS], gr[LG_MAX_PARAMS];
    make_mk(&t, 8, 8, 2, 5, 1.0);
    t.job.binary = t.job.categorical = LG_ESTIMATOR_gs;
    backend_gradient(&t.job, 1, &loss, gs);
    t.job.binary = t.job.categorical = LG_ESTIMATOR_gr;
    t.job.draws = 1;
    backend_gradient(&t.job, 1, &loss, gr);
    cr_assert_arr_eq(gs, gr, 5 * sizeof(double));
    test_job_free(&t);
}

/* ---- score ------------------------------------------------------------------------------------------------------ */

enum { REPLICATES = 40, RECORDS = 2 };

/* Values and scores of the replicates at the recorded steps (state losses: at the end). */
typedef struct walked {
    double value[RECORDS][REPLICATES][4], score[RECORDS][REPLICATES][LG_MAX_PARAMS];
    uint32_t moments, kinds;
} walked;

static double state_error(const lg_job *job, const int32_t *x, const double *reference)
{
    double sum = 0.0;
    const size_t entries = lg_job_state_bytes(job);
    for (size_t i = 0; i < entries; i++)
        sum += job->loss == LG_LOSS_count ? x[i] - reference[i] : (x[i] - reference[i]) * (x[i] - reference[i]);
    return job->loss == LG_LOSS_count ? sum * sum : sum;
}

static void take_states(const lg_job *job, const lg_noise *noise, const int32_t *states, uint32_t m, walked *w)
{
    const size_t entries = lg_job_state_bytes(job);
    const double *reference = lg_noise_reals(noise, job->model->species == 1 ? "Yobs" : "Xref");
    uint8_t *bytes = malloc(entries);
    for (uint32_t r = 0; r < job->replicates; r++) {
        const int32_t *x = states + r * entries;
        for (size_t i = 0; i < entries; i++) bytes[i] = (uint8_t)x[i];
        if (job->target_stat) lg_model_statistics(job->model, bytes, lg_job_sites(job), w->value[m][r]);
        else w->value[m][r][0] = state_error(job, x, reference + r * entries);
    }
    free(bytes);
}

static void walk_lattices(const lg_job *job, const lg_noise *noise, walked *w)
{
    const size_t slice = job->replicates * lg_job_state_bytes(job), P = (size_t)job->model->params;
    double score[REPLICATES * LG_MAX_PARAMS];
    w->moments = job->target_stat ? job->records : 1;
    w->kinds = job->target_stat ? (uint32_t)job->model->statistics : 1;
    for (uint32_t m = 0; m < w->moments; m++) {
        const uint32_t steps = job->target_stat ? job->record[m] : job->steps;
        if (job->model->id == LG_MODEL_SI) {
            lg_ref_si in;
            lg_ref_si_run run;
            lg_noise_bind_si(noise, LG_ESTIMATOR_ste, 0.0, &in);
            in.steps = steps;
            cr_assert_eq(lg_ref_si_forward(ctx, &in, &run), LG_OK);
            lg_ref_si_score(&in, &run, score);
            take_states(job, noise, run.states + steps * slice, m, w);
            lg_ref_si_free(&run);
        } else {
            lg_ref_mk in;
            lg_ref_mk_run run;
            lg_noise_bind_mk(noise, LG_ESTIMATOR_ste, 0.0, &in);
            in.steps = steps;
            cr_assert_eq(lg_ref_mk_forward(ctx, &in, &run), LG_OK);
            lg_ref_mk_score(&in, &run, score);
            take_states(job, noise, run.states + steps * slice, m, w);
            lg_ref_mk_free(&run);
        }
        for (size_t r = 0; r < job->replicates; r++) memcpy(w->score[m][r], score + r * P, P * sizeof *score);
    }
}

/* Loss of moment m from all replicates but `without` (none is left out where it is no replicate). */
static double loss_without(const lg_job *job, const walked *w, uint32_t m, uint32_t without)
{
    const double R = job->replicates;
    double total = 0.0;
    for (uint32_t k = 0; k < w->kinds; k++) {
        double sum = 0.0, count = 0.0;
        for (uint32_t r = 0; r < job->replicates; r++)
            if (r != without) {
                sum += w->value[m][r][k];
                count += 1.0;
            }
        if (job->target_stat) {
            const double d = sum / count - job->target_stat[m * w->kinds + k];
            total += job->weight_stat[m * w->kinds + k] * d * d;
        } else if (job->loss == LG_LOSS_count) {
            total = sum / count;
        } else {
            total = lg_state_loss(job->loss, sum * (R / count), R * (double)lg_job_state_bytes(job));
        }
    }
    return total;
}

static void check_score(test_job *t)
{
    const lg_job *job = &t->job;
    double loss, gradient[LG_MAX_PARAMS];
    lg_noise noise;
    walked *w = malloc(sizeof *w);
    t->job.method = LG_GRADIENT_score;
    backend_gradient(job, 6, &loss, gradient);
    cr_assert_eq(lg_noise_generate(ctx, job, 6, t->params, &noise), LG_OK, "%s", lg_context_message(ctx));
    walk_lattices(job, &noise, w);
    for (int p = 0; p < job->model->params; p++) {
        double expected = 0.0, scale = 0.0;
        for (uint32_t m = 0; m < w->moments; m++)
            for (uint32_t r = 0; r < job->replicates; r++) {
                const double c = loss_without(job, w, m, job->replicates) - loss_without(job, w, m, r);
                expected += c * w->score[m][r][p];
                scale += fabs(c * w->score[m][r][p]);
            }
        cr_assert(fabs(gradient[p] - expected) <= 1e-5 * scale, "%s: parameter %d: %.9g, reference %.9g, terms %.3g",
                  job->model->name, p, gradient[p], expected, scale);
        cr_assert_gt(scale, 0.0);
    }
    lg_noise_clear(&noise);
    free(w);
}

Test(oracle, score_mk)
{
    static const lg_loss losses[] = {LG_LOSS_sse, LG_LOSS_mse, LG_LOSS_log_sse};
    test_job t;
    make_mk(&t, 6, 9, 5, 8, 1.0);
    for (int i = 0; i < 3; i++) {
        t.job.loss = losses[i];
        check_score(&t);
    }
    record(&t, 3, 8);
    check_score(&t);
    test_job_free(&t);
}

Test(oracle, score_si)
{
    test_job t;
    make_si(&t, 7, 70, 4, 5, 1.0);
    check_score(&t);
    record(&t, 2, 5);
    check_score(&t);
    test_job_free(&t);
    make_si(&t, 9, 65, 6, 1, 1.0);
    t.job.task = LG_TASK_transition;
    check_score(&t);
    t.job.loss = LG_LOSS_count;
    check_score(&t);
    test_job_free(&t);
}

/* The axes of a walker are replicates of their own. */
Test(oracle, score_prw)
{
    test_job t;
    lg_noise noise;
    lg_ref_prw in;
    lg_ref_prw_run run;
    make_prw(&t, REPLICATES, 6, 1.0);
    t.job.method = LG_GRADIENT_score;
    for (int constant = 0; constant < 2; constant++) {
        double loss, gradient[2];
        t.job.v0_const = constant;
        backend_gradient(&t.job, 2, &loss, gradient);
        cr_assert_eq(lg_noise_generate(ctx, &t.job, 2, t.params, &noise), LG_OK);
        lg_noise_bind_prw(&noise, LG_ESTIMATOR_gs, constant, 0.0, &in);
        cr_assert_eq(lg_ref_prw_forward(ctx, &in, &run), LG_OK);
        const size_t n = in.walkers, T = in.steps;
        double *score = calloc(4 * T * n, sizeof *score), expected[2] = {0, 0};
        lg_ref_prw_score(&in, &run, score);
        for (uint32_t k = 0; k < t.job.records; k++)
            for (size_t i = 0; i < 2 * n; i++) {
                double without = 0.0;
                for (size_t j = 0; j < 2 * n; j++) {
                    const double x = run.positions[(j / n * (T + 1) + t.record[k]) * n + j % n];
                    if (j != i) without += 2.0 * x * x / (double)(2 * n - 1);
                }
                const double a = run.msd[t.record[k] - 1] - t.target_stat[k], b = without - t.target_stat[k];
                for (int p = 0; p < 2; p++)
                    expected[p] += t.weight_stat[k] * (a * a - b * b) *
                                   score[2 * ((i / n * T + t.record[k] - 1) * n + i % n) + (size_t)p];
            }
        for (int p = 0; p < 2; p++)
            cr_assert_float_eq(gradient[p], expected[p], 1e-5 * fabs(expected[p]) + 1e-5, "%d %d: %g, %g", constant, p,
                               gradient[p], expected[p]);
        free(score);
        lg_ref_prw_free(&run);
        lg_noise_clear(&noise);
    }
}
