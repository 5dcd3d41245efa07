/* The main equality test: a run of the cpu backend is dumped and evaluated again by the reference implementation.
 * States must be identical, the loss agree to 1e-6 relative, the gradient to 1e-5 of the sum of its absolute
 * contributions. */
#include "noise/dumps.h"
#include "noise/job.h"
#include "noise/noise.h"

TestSuite(equality, .init = setup, .fini = teardown);

static lg_array read_array(const char *name)
{
    char path[160];
    lg_array a;
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    cr_assert_eq(lg_array_read(ctx, path, &a), LG_OK, "%s", lg_context_message(ctx));
    return a;
}

static void describe(const lg_job *job, char *text, size_t size)
{
    snprintf(text, size, "%s %u x %u, N %u, %u steps, %u replicates, %s, tau %g, task %d, loss %d", job->model->name,
             job->height, job->width, job->capacity, job->steps, job->replicates,
             job->binary == LG_ESTIMATOR_gs ? "gs" : "ste", job->tau, (int)job->task, (int)job->loss);
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

static void check_ints(const char *what, const char *name, const int32_t *expected, size_t count)
{
    lg_array a = read_array(name);
    cr_assert_eq(lg_array_size(&a), count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq((int32_t)lg_array_get(&a, i), expected[i], "%s: %s[%zu] is %g, reference %d", what, name, i,
                     lg_array_get(&a, i), expected[i]);
    lg_array_clear(&a);
}

static void check_reals(const char *what, const char *name, const double *expected, size_t count)
{
    lg_array a = read_array(name);
    cr_assert_eq(lg_array_size(&a), count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(lg_array_get(&a, i), expected[i], "%s: %s[%zu] is %g, reference %g", what, name, i,
                     lg_array_get(&a, i), expected[i]);
    lg_array_clear(&a);
}

static void check_states(const char *what, const lg_job *job, const lg_noise *noise)
{
    if (job->model->id == LG_MODEL_SI) {
        lg_ref_si in;
        lg_ref_si_run run;
        lg_noise_bind_si(noise, job->binary, 0.0, &in);
        cr_assert_eq(lg_ref_si_forward(ctx, &in, &run), LG_OK);
        check_ints(what, "states", run.states, (in.steps + 1) * in.batch * in.height * in.width);
        lg_ref_si_free(&run);
    } else if (job->model->id == LG_MODEL_MK) {
        lg_ref_mk in;
        lg_ref_mk_run run;
        lg_noise_bind_mk(noise, job->binary, 0.0, &in);
        cr_assert_eq(lg_ref_mk_forward(ctx, &in, &run), LG_OK);
        check_ints(what, "states", run.states, (in.steps + 1) * in.batch * 2 * in.height * in.width);
        lg_ref_mk_free(&run);
    } else {
        lg_ref_prw in;
        lg_ref_prw_run run;
        lg_noise_bind_prw(noise, job->binary, job->v0_const, 0.0, &in);
        cr_assert_eq(lg_ref_prw_forward(ctx, &in, &run), LG_OK);
        check_reals(what, "positions", run.positions, 2 * (in.steps + 1) * in.walkers);
        check_reals(what, "velocities", run.velocities, 2 * (in.steps + 1) * in.walkers);
        lg_ref_prw_free(&run);
    }
}

/* ---- loss and gradient ------------------------------------------------------------------------------------------- */

/* Names of the result files of a job, as in the golden vectors. */
static void result_names(const lg_job *job, char *loss, char *gradient, size_t size)
{
    static const char *const names[] =
        {[LG_LOSS_sse] = "sse",       [LG_LOSS_mse] = "mse", [LG_LOSS_log_sse] = "log_sse",
         [LG_LOSS_count] = "sumstat", [LG_LOSS_nll] = "nll", [LG_LOSS_stat] = "stat"};
    const char *estimator = job->binary == LG_ESTIMATOR_gs ? "gs" : "ste", *v0 = job->v0_const ? "v0const" : "v0gs";
    if (job->model->id == LG_MODEL_SI) {
        snprintf(loss, size, "%s_loss_%s", estimator, names[job->loss]);
        snprintf(gradient, size, "%s_grad_beta_%s", estimator, names[job->loss]);
    } else if (job->model->id == LG_MODEL_MK) {
        snprintf(loss, size, "loss_%s", names[job->loss]);
        snprintf(gradient, size, "grad_params_%s", names[job->loss]);
    } else {
        snprintf(loss, size, "%s_loss", v0);
        snprintf(gradient, size, "%s_grad_logits", v0);
    }
}

static void check_gradient(const char *what, const lg_job *job, const lg_noise *noise)
{
    char loss_name[64], gradient_name[64];
    lg_noise_result expected;
    result_names(job, loss_name, gradient_name, sizeof loss_name);
    cr_assert_eq(lg_noise_reference(ctx, noise, folder, job->binary, job->loss, job->v0_const, 0.0, &expected), LG_OK,
                 "%s", lg_context_message(ctx));
    lg_array loss = read_array(loss_name), gradient = read_array(gradient_name);
    const double value = lg_array_get(&loss, 0);
    cr_assert(fabs(value - expected.loss) <= 1e-6 * fabs(expected.loss), "%s: loss %.9g, reference %.9g", what, value,
              expected.loss);
    for (int i = 0; i < expected.params; i++) {
        const double g = lg_array_get(&gradient, (size_t)i);
        cr_assert(fabs(g - expected.grad[i]) <= 1e-5 * expected.grad_abs[i],
                  "%s: gradient %d is %.9g, reference %.9g, contributions %.9g (off by %.2g of them)", what, i, g,
                  expected.grad[i], expected.grad_abs[i], fabs(g - expected.grad[i]) / expected.grad_abs[i]);
    }
    lg_array_clear(&loss);
    lg_array_clear(&gradient);
}

static void check(const test_job *t, uint64_t iteration)
{
    char what[200];
    lg_noise noise;
    describe(&t->job, what, sizeof what);
    cr_assert_eq(lg_noise_dump_job(ctx, &t->job, &lg_backend_cpu, device, iteration, t->params, folder, true), LG_OK,
                 "%s: %s", what, lg_context_message(ctx));
    cr_assert_eq(lg_noise_read(ctx, t->job.model->id, folder, &noise), LG_OK, "%s: %s", what, lg_context_message(ctx));
    check_states(what, &t->job, &noise);
    check_gradient(what, &t->job, &noise);
    lg_noise_clear(&noise);
    clear_folder();
}

/* Statistics recorded after three steps of the run, with targets off what the run gives. */
static void record_statistics(test_job *t)
{
    const uint32_t kinds = (uint32_t)t->job.model->statistics, T = t->job.steps;
    t->job.task = LG_TASK_trajectory;
    t->job.loss = LG_LOSS_stat;
    t->job.target = NULL;
    t->job.records = T >= 3 ? 3 : 1;
    for (uint32_t k = 0; k < t->job.records; k++) {
        t->record[k] = T >= 3 ? (k + 1) * T / 3 : T;
        for (uint32_t s = 0; s < kinds; s++) {
            t->target_stat[k * kinds + s] = 0.4 * t->job.capacity * (1 + 0.1 * k);
            t->weight_stat[k * kinds + s] = 1.0 / (1 + s);
        }
    }
    t->job.record = t->record;
    t->job.target_stat = t->target_stat;
    t->job.weight_stat = t->weight_stat;
}

/* ---- MK ---------------------------------------------------------------------------------------------------------- */

typedef struct mk_case {
    uint32_t H, W, N, T, B;
    double gamma, tau;
    double params[5];
} mk_case;

static const mk_case mk_cases[] = {
    {3, 3, 50, 5, 3, 0.5, 1.0, {0.1, 0.4, 0.98, 0.1, 0.2}},
    {8, 8, 50, 3, 2, 0.5, 1.0, {0.1, 0.4, 0.98, 0.1, 0.2}},
    {5, 7, 3, 12, 4, 0.5, 1.0, {0.3, 0.9, 0.6, 0.5, 0.4}},
    {16, 33, 255, 10, 2, 0.05, 1.0, {0.001, 0.999, 0.98, 0.1, 0.2}},
    {17, 64, 50, 40, 1, 0.005, 1.0, {0.1, 0.4, 0.98, 0.1, 0.2}},
    {4, 300, 50, 6, 1, 0.2, 0.5, {0.5, 0.5, 0.3, 0.3, 0.3}},
    {9, 10, 50, 8, 2, 0.05, 3.0, {0.7, 0.05, 0.3, 0.3, 0.3}},
    {9, 10, 50, 8, 2, 0.2, 3.0, {0.7, 0.05, 0.3, 0.3, 0.3}}, /* probabilities next to 1 */
    {6, 6, 100, 8, 3, 0.1, 1.0, {0.0, 1.0, 0.5, 0.0, 1.0}},
    {64, 64, 50, 20, 1, 0.005, 1.0, {0.1, 0.4, 0.98, 0.1, 0.2}},
};
enum { MK_CASES = sizeof mk_cases / sizeof *mk_cases };

static void make_mk(test_job *t, const mk_case *c, lg_estimator binary)
{
    test_job_lattice(t, lg_model_find("mk"), c->H, c->W, c->N, c->B, c->T, 2);
    memcpy(t->params, c->params, sizeof c->params);
    t->job.gamma = c->gamma;
    t->job.tau = c->tau;
    t->job.binary = binary;
    t->job.first_fit = 5;
    t->job.seed = 0x100000002ull + c->H;
}

static void check_mk(lg_estimator binary)
{
    static const lg_loss losses[] = {LG_LOSS_sse, LG_LOSS_mse, LG_LOSS_log_sse};
    for (int i = 0; i < MK_CASES; i++) {
        test_job t;
        make_mk(&t, &mk_cases[i], binary);
        t.job.loss = losses[i % 3];
        check(&t, 1);
        record_statistics(&t);
        check(&t, 2);
        test_job_free(&t);
    }
}

Test(equality, mk_ste)
{
    check_mk(LG_ESTIMATOR_ste);
}

Test(equality, mk_gs)
{
    check_mk(LG_ESTIMATOR_gs);
}

Test(equality, mk_transition)
{
    const mk_case c = {7, 9, 50, 1, 6, 0.3, 1.0, {0.1, 0.4, 0.98, 0.1, 0.2}};
    test_job t;
    make_mk(&t, &c, LG_ESTIMATOR_ste);
    t.job.task = LG_TASK_transition;
    check(&t, 1);
    check(&t, 1ull << 33);
    test_job_free(&t);
}

/* A tape that does not fit is made again in segments: the same states and gradients. */
Test(equality, mk_checkpoints)
{
    const mk_case c = {12, 20, 50, 60, 2, 0.1, 1.0, {0.1, 0.4, 0.98, 0.1, 0.2}};
    test_job t;
    lg_plan plan;
    make_mk(&t, &c, LG_ESTIMATOR_ste);
    cr_assert_eq(lg_backend_cpu.plan(ctx, device, &t.job, true, &plan), LG_OK);
    cr_assert_eq(plan.segment, 60);
    t.job.memory_limit = plan.total_bytes - 1;
    cr_assert_eq(lg_backend_cpu.plan(ctx, device, &t.job, true, &plan), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_lt(plan.segment, 60);
    check(&t, 1);
    record_statistics(&t);
    check(&t, 1);
    test_job_free(&t);
}

/* ---- SI ---------------------------------------------------------------------------------------------------------- */

static void make_si(test_job *t, uint32_t H, uint32_t W, double beta, uint32_t B, uint32_t T, lg_estimator binary)
{
    test_job_lattice(t, lg_model_find("si"), H, W, 1, B, T, 3);
    uint64_t seed = H + 1000 * W;
    for (size_t i = 0; i < 3 * (size_t)H * W; i++) {
        t->start[i] = test_number(&seed, 8) == 0;
        t->target[i] = t->start[i] || test_number(&seed, 3) == 0;
    }
    t->params[0] = beta;
    t->job.binary = binary;
    t->job.first_fit = 2;
}

static const uint32_t si_sizes[][2] = {{3, 3}, {5, 7}, {16, 16}, {6, 64}, {7, 65}, {4, 200}, {64, 64}};
enum { SI_SIZES = sizeof si_sizes / sizeof *si_sizes };

static void check_si_pairs(lg_estimator binary)
{
    static const lg_loss losses[] = {LG_LOSS_mse, LG_LOSS_sse, LG_LOSS_count, LG_LOSS_nll};
    static const double betas[] = {0.05, 0.2, 0.8, 0.97};
    for (int s = 0; s < SI_SIZES; s++)
        for (int b = 0; b < 4; b++)
            for (int l = 0; l < 4; l++) {
                test_job t;
                make_si(&t, si_sizes[s][0], si_sizes[s][1], betas[b], 3, 1, binary);
                t.job.task = LG_TASK_transition;
                t.job.loss = losses[l];
                t.job.tau = b == 1 && l == 1 ? 0.5 : 1.0;
                if (losses[l] == LG_LOSS_nll) /* an isolated site must not turn aware: its likelihood is 0 */
                    for (size_t i = 0; i < 3 * lg_job_sites(&t.job); i++) t.start[i] = t.start[i] || i % 2 == 0;
                if (losses[l] == LG_LOSS_nll)
                    for (size_t i = 0; i < 3 * lg_job_sites(&t.job); i++) t.target[i] = t.target[i] || t.start[i];
                check(&t, 6);
                test_job_free(&t);
            }
}

Test(equality, si_pairs_ste)
{
    check_si_pairs(LG_ESTIMATOR_ste);
}

Test(equality, si_pairs_gs)
{
    check_si_pairs(LG_ESTIMATOR_gs);
}

static void check_si_steps(lg_estimator binary)
{
    for (int s = 0; s < SI_SIZES; s++)
        for (uint32_t T = 1; T <= 6; T += 5) {
            test_job t;
            make_si(&t, si_sizes[s][0], si_sizes[s][1], 0.1, 2, T, binary);
            check(&t, 0);
            t.job.loss = LG_LOSS_mse;
            check(&t, 1);
            record_statistics(&t);
            check(&t, 2);
            test_job_free(&t);
        }
}

Test(equality, si_several_steps_ste)
{
    check_si_steps(LG_ESTIMATOR_ste);
}

Test(equality, si_several_steps_gs)
{
    check_si_steps(LG_ESTIMATOR_gs);
}

/* beta 0 and 1: nothing happens, or everything that can. */
Test(equality, si_edges)
{
    for (int estimator = 0; estimator < 2; estimator++)
        for (int beta = 0; beta < 2; beta++) {
            test_job t;
            make_si(&t, 6, 70, beta, 2, 1, (lg_estimator)estimator);
            t.job.task = LG_TASK_transition;
            t.job.loss = LG_LOSS_mse;
            check(&t, 0);
            t.job.task = LG_TASK_stability;
            t.job.steps = 4;
            check(&t, 0);
            test_job_free(&t);
        }
}

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

static void check_keep(lg_estimator keep, uint32_t n, uint32_t T, double p_center, double p_resample, double tau,
                       bool v0_const, uint32_t stride)
{
    test_job t;
    uint32_t record[64];
    test_job_walk(&t, lg_model_find("prw"), n, T);
    t.params[0] = p_center;
    t.params[1] = p_resample;
    t.job.binary = keep;
    t.job.tau = tau;
    t.job.v0_const = v0_const;
    t.job.first_fit = 1;
    t.job.records = T / stride;
    for (uint32_t k = 0; k < t.job.records; k++) {
        record[k] = (k + 1) * stride;
        t.target_stat[k] = 1.7 * record[k];
        t.weight_stat[k] = 1.0 / (1 + k);
    }
    t.job.record = record;
    t.job.target_stat = t.target_stat;
    t.job.weight_stat = t.weight_stat;
    check(&t, 3);
}

static void check_prw(uint32_t n, uint32_t T, double p_center, double p_resample, double tau, bool v0_const,
                      uint32_t stride)
{
    check_keep(LG_ESTIMATOR_gs, n, T, p_center, p_resample, tau, v0_const, stride);
    check_keep(LG_ESTIMATOR_ste, n, T, p_center, p_resample, tau, v0_const, stride);
}

Test(equality, prw)
{
    check_prw(64, 10, 0.2, 0.1, 1.0, false, 1);
    check_prw(64, 10, 0.2, 0.1, 1.0, true, 1);
    check_prw(1500, 10, 0.26, 0.62, 1.0, false, 1);
    check_prw(1, 1, 0.5, 0.5, 1.0, false, 1);
    check_prw(1, 7, 0.5, 0.5, 1.0, false, 1);
    check_prw(129, 50, 0.01, 0.99, 1.0, false, 1);
    check_prw(130, 30, 0.99, 0.01, 1.0, true, 3);
    check_prw(200, 12, 0.4, 0.3, 0.3, false, 1);
    check_prw(200, 12, 0.4, 0.3, 4.0, false, 2);
}
