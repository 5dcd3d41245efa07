#include "conformance/conformance.h"

#include "conformance/oracle.h"
#include "conformance/tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUARD = 64,
    GUARD_BYTE = 0xa7,
    ITERATION = 3,
    FIT_ITERATIONS = 19,
#ifdef LG_UNDER_SANITIZERS /* they look at memory, which two points use as well as 200 do, many times slower */
    IMPOSED = 2,
    IMPOSED_SMALL = 2,
#else
    IMPOSED = 8,
    IMPOSED_SMALL = 200,
#endif
    SMALL = 1500
};
static const double tolerance = 1e-5; /* of the sum of absolute contributions */

/* What one evaluation gives; arrays end in guard bytes that nobody may touch. */
typedef struct outcome {
    uint8_t *states;
    double *loss, *statistics, *gradient;
    size_t state_bytes, loss_bytes, statistic_bytes, gradient_bytes;
} outcome;

void (*lg_conformance_failed)(const char *name);

void lg_record_add(lg_record *record, const void *bytes, size_t size)
{
    while (record->size + size > record->room) record->room = 2 * record->room + size + 1024;
    record->bytes = realloc(record->bytes, record->room);
    if (!record->bytes) abort();
    memcpy(record->bytes + record->size, bytes, size);
    record->size += size;
}

void lg_record_clear(lg_record *record)
{
    free(record->bytes);
    memset(record, 0, sizeof *record);
}

/* ---- evaluation with guards ---------------------------------------------------------------------------------------
 * */

static void *guarded(size_t bytes)
{
    uint8_t *p = malloc(bytes + GUARD);
    if (!p) abort();
    memset(p, 0xee, bytes);
    memset(p + bytes, GUARD_BYTE, GUARD);
    return p;
}

static void check_guard(tester *t, const void *p, size_t bytes, const char *what)
{
    for (size_t i = 0; i < GUARD; i++)
        if (((const uint8_t *)p)[bytes + i] != GUARD_BYTE) {
            fail(t, "%s: byte %zu behind the output was overwritten", what, i);
            return;
        }
}

static outcome make_outcome(const lg_job *job)
{
    outcome o = {0};
    o.state_bytes = (size_t)job->fits * job->replicates * lg_job_state_bytes(job);
    o.loss_bytes = job->fits * sizeof(double);
    o.statistic_bytes = job->fits * lg_job_statistics(job) * sizeof(double);
    o.gradient_bytes = job->fits * (size_t)job->model->params * sizeof(double);
    o.states = guarded(o.state_bytes);
    o.loss = guarded(o.loss_bytes);
    o.statistics = guarded(o.statistic_bytes);
    o.gradient = guarded(o.gradient_bytes);
    return o;
}

static void free_outcome(outcome *o)
{
    free(o->states);
    free(o->loss);
    free(o->statistics);
    free(o->gradient);
}

static bool evaluate(tester *t, lg_dbatch *batch, const lg_job *job, uint64_t iteration, outcome *o)
{
    const lg_backend *b = t->backend;
    bool ok = good(t, b->reset(&t->ctx, batch, iteration), "reset") &&
              good(t, b->forward(&t->ctx, batch, job->steps, true), "forward") &&
              good(t, b->loss(&t->ctx, batch), "loss") && good(t, b->backward(&t->ctx, batch), "backward") &&
              good(t, b->get_loss(&t->ctx, batch, o->loss), "get_loss") &&
              good(t, b->get_statistics(&t->ctx, batch, o->statistics), "get_statistics") &&
              good(t, b->get_gradient(&t->ctx, batch, o->gradient), "get_gradient");
    const size_t per_fit = o->state_bytes / job->fits;
    for (uint32_t f = 0; f < job->fits && ok; f++)
        ok = good(t, b->get_states(&t->ctx, batch, f, 0, job->replicates, o->states + f * per_fit), "get_states");
    check_guard(t, o->states, o->state_bytes, "states");
    check_guard(t, o->loss, o->loss_bytes, "loss");
    check_guard(t, o->statistics, o->statistic_bytes, "statistics");
    check_guard(t, o->gradient, o->gradient_bytes, "gradient");
    return ok;
}

static lg_dbatch *create(tester *t, const lg_job *job)
{
    lg_dbatch *batch = NULL;
    return good(t, t->backend->create(&t->ctx, t->device, job, true, &batch), "create") ? batch : NULL;
}

/* Creates, evaluates, destroys. */
static bool evaluate_job(tester *t, const lg_job *job, outcome *o)
{
    *o = make_outcome(job);
    lg_dbatch *batch = create(t, job);
    const bool ok = batch && evaluate(t, batch, job, ITERATION, o);
    if (batch) t->backend->destroy(batch);
    return ok;
}

/* For segmented cases: too little memory for the whole tape. */
static bool limit_memory(tester *t, const lg_case *c, lg_job *job)
{
    lg_plan plan;
    if (!c->segmented) return true;
    if (!good(t, t->backend->plan(&t->ctx, t->device, job, true, &plan), "plan")) return false;
    const size_t whole = plan.total_bytes;
    job->memory_limit = whole - 1;
    if (!good(t, t->backend->plan(&t->ctx, t->device, job, true, &plan), "plan under a memory limit")) return false;
    if (plan.segment >= job->steps)
        fail(t, "a memory limit of %zu of %zu bytes left the tape whole", job->memory_limit, whole);
    if (plan.total_bytes > job->memory_limit)
        fail(t, "the plan takes %zu bytes, the limit is %zu", plan.total_bytes, job->memory_limit);
    return true;
}

/* ---- checks -------------------------------------------------------------------------------------------------------
 * */

static void same_outcome(tester *t, const outcome *a, const outcome *b, const char *what)
{
    char text[128];
    snprintf(text, sizeof text, "%s: states", what);
    same_bytes(t, a->states, b->states, b->state_bytes, text);
    snprintf(text, sizeof text, "%s: loss", what);
    same_bytes(t, a->loss, b->loss, b->loss_bytes, text);
    snprintf(text, sizeof text, "%s: statistics", what);
    same_bytes(t, a->statistics, b->statistics, b->statistic_bytes, text);
    snprintf(text, sizeof text, "%s: gradient", what);
    same_bytes(t, a->gradient, b->gradient, b->gradient_bytes, text);
}

static void close_numbers(tester *t, const double *a, const double *b, size_t count, double relative, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(a[i] - b[i]) <= relative * fabs(b[i]))) {
            fail(t, "%s %zu is %.17g, expected %.17g", what, i, a[i], b[i]);
            return;
        }
}

static void close_to_oracle(tester *t, const lg_job *job, const outcome *o, const lg_oracle *truth, const char *what)
{
    const size_t P = (size_t)job->model->params;
    char text[128];
    for (size_t i = 0; i < job->fits * P; i++) {
        const double error = fabs(o->gradient[i] - truth->gradient[i]);
        if (!(error <= tolerance * truth->absolute[i]))
            fail(t,
                 "%s: gradient of fit %zu, parameter %zu is %.9g, expected %.9g; off by %.2g of the absolute sum %.3g",
                 what, i / P, i % P, o->gradient[i], truth->gradient[i], error / truth->absolute[i],
                 truth->absolute[i]);
    }
    snprintf(text, sizeof text, "%s: loss", what);
    close_numbers(t, o->loss, truth->loss, job->fits, 1e-10, text);
    if (!job->target_stat) return;
    snprintf(text, sizeof text, "%s: statistic", what);
    close_numbers(t, o->statistics, truth->statistics, job->fits * lg_job_statistics(job), 1e-10, text);
}

/* Points of the imposed sequence: as many as an experiment takes where an evaluation is a few thousand site steps. */
static uint32_t sequence_length(const lg_job *job)
{
    const size_t sites = job->model->species ? lg_job_sites(job) : 1;
    return sites * job->fits * job->replicates * job->steps <= SMALL ? IMPOSED_SMALL : IMPOSED;
}

/* Gradients along an imposed sequence of parameters, a line from the start through the parameter space. */
static void check_sequence(tester *t, lg_dbatch *batch, lg_case_job *cj)
{
    const lg_job *job = &cj->job;
    const size_t P = job->fits * (size_t)job->model->params;
    double *params = malloc(P * sizeof *params);
    outcome o = make_outcome(job);
    const uint32_t points = sequence_length(job);
    for (uint32_t k = 0; params && k < points; k++) {
        const double along = (double)k / (points - 1);
        for (size_t i = 0; i < P; i++)
            params[i] = job->params[i] * (1.0 - 0.21 * along) + 0.14 * along * (double)(i % 3);
        for (size_t i = 0; i < P; i++) params[i] = params[i] > 1.0 ? 1.0 : params[i];
        lg_oracle truth = {0};
        if (!good(t, t->backend->set_params(&t->ctx, batch, params), "set_params") ||
            !evaluate(t, batch, job, 100 + k, &o))
            break;
        if (!lg_oracle_run(job, params, 100 + k, &truth)) break;
        if (job->loss != LG_LOSS_nll || job->target_stat)
            same_bytes(t, o.states, truth.states, o.state_bytes, "imposed parameters: states");
        close_to_oracle(t, job, &o, &truth, "imposed parameters");
        lg_oracle_clear(&truth);
    }
    free(params);
    free_outcome(&o);
    good(t, t->backend->set_params(&t->ctx, batch, job->params), "set_params");
}

/* Each fit alone gives the bytes it gives among the others; half of the replicates give the same states. */
static void check_split(tester *t, const lg_job *job, const outcome *whole)
{
    const size_t P = (size_t)job->model->params, per_fit = whole->state_bytes / job->fits, K = lg_job_statistics(job);
    const uint32_t stride = job->fits > 16 ? 51 : 1; /* of many fits some */
    for (uint32_t f = 0; f < job->fits && job->fits > 1; f += stride) {
        const lg_job one = lg_case_one(job, f);
        outcome o, expected = {whole->states + f * per_fit, whole->loss + f,   whole->statistics + f * K,
                               whole->gradient + f * P,     per_fit,           sizeof(double),
                               K * sizeof(double),          P * sizeof(double)};
        if (evaluate_job(t, &one, &o)) same_outcome(t, &o, &expected, "a fit alone");
        free_outcome(&o);
    }
    if (job->replicates < 2 || job->task == LG_TASK_transition)
        return; /* a smaller minibatch is another set of pairs */
    lg_job half = *job;
    half.replicates = job->replicates / 2;
    half.memory_limit = 0;
    outcome o;
    if (evaluate_job(t, &half, &o)) {
        const size_t part = o.state_bytes / half.fits;
        for (uint32_t f = 0; f < job->fits; f++)
            same_bytes(t, o.states + f * part, whole->states + f * per_fit, part, "fewer replicates");
    }
    free_outcome(&o);
}

/* Stepping by hand ends in the states of one run. */
static void check_stepping(tester *t, const lg_job *job, const outcome *whole)
{
    lg_dbatch *batch = NULL;
    if (job->loss == LG_LOSS_nll ||
        !good(t, t->backend->create(&t->ctx, t->device, job, false, &batch), "create without gradients"))
        return;
    const uint32_t first = job->steps / 3, second = (job->steps - first) / 2, third = job->steps - first - second;
    const size_t per_fit = whole->state_bytes / job->fits;
    uint8_t *states = guarded(per_fit);
    bool ok = good(t, t->backend->reset(&t->ctx, batch, ITERATION), "reset") &&
              good(t, t->backend->get_states(&t->ctx, batch, 0, 0, 1, states), "get_states");
    if (ok && job->model->species && job->task != LG_TASK_transition) {
        const size_t bytes = lg_job_state_bytes(job), row = job->resample ? job->resample[0] : 0;
        same_bytes(t, states, job->start + row * bytes, bytes, "the start state");
    }
    const uint32_t parts[3] = {first, second, third};
    for (int i = 0; i < 3 && ok; i++)
        ok = parts[i] == 0 || good(t, t->backend->forward(&t->ctx, batch, parts[i], false), "forward");
    for (uint32_t f = 0; f < job->fits && ok; f++) {
        ok = good(t, t->backend->get_states(&t->ctx, batch, f, 0, job->replicates, states), "get_states");
        if (ok) same_bytes(t, states, whole->states + f * per_fit, per_fit, "steps by hand");
    }
    check_guard(t, states, per_fit, "states");
    free(states);
    t->backend->destroy(batch);
}

/* The first row of a fit is the evaluation, its second one has the parameters after the fit's own optimiser moved them. */
static void check_update(tester *t, lg_dbatch *batch, const lg_job *job, const double *rows)
{
    const size_t P = (size_t)job->model->params, width = P + 3;
    outcome o = make_outcome(job);
    if (good(t, t->backend->set_params(&t->ctx, batch, job->params), "set_params") && evaluate(t, batch, job, 0, &o))
        for (uint32_t f = 0; f < job->fits; f++) {
            const lg_optimizer *own = lg_job_optimizer(job, f);
            lg_fit_state state;
            double params[LG_OPT_MAX_PARAMS], row[LG_OPT_MAX_PARAMS + 3];
            memcpy(params, job->params + f * P, P * sizeof *params);
            lg_optimizer_start(own, params, &state);
            lg_optimizer_update(own, &state, o.loss[f], o.gradient + f * P, NULL, params, row);
            same_bytes(t, rows + f * width, &o.loss[f], sizeof *rows, "loss in the first row of a fit");
            close_numbers(t, rows + f * width + 1, row + 1, P + 1, 1e-9, "first row of a fit");
            close_numbers(t, rows + (job->fits + f) * width + 1, params, P, 1e-9, "parameters after the first update");
        }
    free_outcome(&o);
}

/* Where iterations differ by more than their noise, by their temperature: a later row of a fit, of an iteration that a captured
 * graph runs, is the evaluation at its parameters and its iteration. */
static void check_row(tester *t, lg_dbatch *batch, const lg_job *job, const double *rows, const lg_fit_state *state)
{
    enum { LATER = 7 };
    const size_t P = (size_t)job->model->params, width = P + 3;
    double *params = guarded(job->fits * P * sizeof *params);
    outcome o = make_outcome(job);
    rows += LATER * job->fits * width;
    for (uint32_t f = 0; f < job->fits; f++) memcpy(params + f * P, rows + f * width + 1, P * sizeof *params);
    if (good(t, t->backend->set_params(&t->ctx, batch, params), "set_params") && evaluate(t, batch, job, LATER, &o))
        for (uint32_t f = 0; f < job->fits; f++) {
            const lg_optimizer *own = lg_job_optimizer(job, f);
            lg_fit_state fresh;
            double row[LG_OPT_MAX_PARAMS + 3];
            lg_optimizer_start(own, params + f * P, &fresh);
            lg_optimizer_update(own, &fresh, o.loss[f], o.gradient + f * P, NULL, params + f * P, row);
            if (state[f].frozen) continue; /* repeats an earlier row */
            close_numbers(t, rows + f * width, row, 1, 1e-9, "loss in a later row of a fit");
            close_numbers(t, rows + f * width + P + 2, row + P + 2, 1, 1e-6, "gradient in a later row of a fit");
        }
    free(params);
    free_outcome(&o);
}

/* Each fit alone gives the trace it gives among the others. */
static void check_fit_alone(tester *t, const lg_job *job, const double *rows)
{
    const size_t width = (size_t)job->model->params + 3;
    double *own = guarded(FIT_ITERATIONS * width * sizeof *own);
    for (uint32_t f = 0; f < job->fits && job->fits > 1; f++) {
        const lg_job one = lg_case_one(job, f);
        lg_dbatch *batch = create(t, &one);
        if (batch && good(t, t->backend->advance(&t->ctx, batch, 0, FIT_ITERATIONS, own), "advance"))
            for (size_t i = 0; i < FIT_ITERATIONS; i++)
                same_bytes(t, own + i * width, rows + (i * job->fits + f) * width, width * sizeof *own,
                           "trace of a fit alone");
        if (batch) t->backend->destroy(batch);
    }
    free(own);
}

/* The same fit twice, and once resumed half-way, gives the same bytes. */
static void check_fit(tester *t, const lg_job *job)
{
    const size_t width = job->fits * ((size_t)job->model->params + 3), P = job->fits * (size_t)job->model->params;
    const uint32_t half = FIT_ITERATIONS / 2;
    double *rows = guarded(FIT_ITERATIONS * width * sizeof(double)),
           *again = guarded(FIT_ITERATIONS * width * sizeof(double));
    double *params = guarded(P * sizeof(double)), *end = guarded(P * sizeof(double));
    lg_fit_state *state = guarded(job->fits * sizeof *state);
    lg_dbatch *batch = create(t, job), *second = create(t, job);
    const lg_backend *b = t->backend;
    bool ok = batch && second && good(t, b->advance(&t->ctx, batch, 0, FIT_ITERATIONS, rows), "advance") &&
              good(t, b->get_params(&t->ctx, batch, end), "get_params");
    check_guard(t, rows, FIT_ITERATIONS * width * sizeof(double), "trace rows");
    ok = ok && good(t, b->advance(&t->ctx, second, 0, half, again), "advance") &&
         good(t, b->get_fit_state(&t->ctx, second, state), "get_fit_state") &&
         good(t, b->set_params(&t->ctx, second, job->params), "set_params") &&
         good(t, b->set_fit_state(&t->ctx, second, state), "set_fit_state") &&
         good(t, b->advance(&t->ctx, second, half, FIT_ITERATIONS - half, again + half * width), "advance") &&
         good(t, b->get_params(&t->ctx, second, params), "get_params");
    if (ok) {
        same_bytes(t, again, rows, FIT_ITERATIONS * width * sizeof(double), "the same fit twice, once resumed: trace");
        same_bytes(t, params, end, P * sizeof(double), "the same fit twice, once resumed: parameters");
        check_update(t, batch, job, rows);
        if (job->tau_end > 0.0) check_row(t, batch, job, rows, state);
        if (job->fit_optimizer) check_fit_alone(t, job, rows);
    }
    if (batch) b->destroy(batch);
    if (second) b->destroy(second);
    free(rows);
    free(again);
    free(params);
    free(end);
    free(state);
}

/* Where the tape is cut shows in no byte of a gradient, but that the cpu backend adds SI's parts segment by segment. */
static bool sums_go_on(const tester *t, const lg_job *job)
{
    return job->model->id == LG_MODEL_MK || !strcmp(t->backend->name, "cuda");
}

/* A tape kept in segments against a whole one. */
static void check_whole_tape(tester *t, const lg_job *job, const outcome *segmented)
{
    lg_job whole = *job;
    whole.memory_limit = 0;
    outcome o;
    if (evaluate_job(t, &whole, &o)) same_outcome(t, segmented, &o, "segments against a whole tape");
    free_outcome(&o);
}

int lg_conformance_check(const lg_backend *backend, lg_device *device, const lg_backend *other, lg_device *other_device,
                         const lg_case *c)
{
    tester t = {.name = c->name, .backend = backend, .device = device};
    lg_case_job cj;
    if (!lg_case_build(c, &cj)) abort();
    if (!limit_memory(&t, c, &cj.job)) {
        lg_case_clear(&cj);
        return t.failures;
    }
    lg_oracle truth = {0};
    if (!lg_oracle_run(&cj.job, cj.job.params, ITERATION, &truth)) abort();
    outcome o, o2 = make_outcome(&cj.job);
    if (evaluate_job(&t, &cj.job, &o)) {
        if (c->loss != LG_LOSS_nll || cj.job.target_stat)
            same_bytes(&t, o.states, truth.states, o.state_bytes, "states against the oracle");
        close_to_oracle(&t, &cj.job, &o, &truth, "oracle");
        if (other) {
            tester u = {.name = c->name, .backend = other, .device = other_device};
            lg_job job = cj.job;
            job.memory_limit = 0;
            outcome theirs;
            if (evaluate_job(&u, &job, &theirs)) {
                same_bytes(&t, o.states, theirs.states, o.state_bytes, "states between backends");
                close_to_oracle(&u, &job, &theirs, &truth, "the other backend");
            }
            t.failures += u.failures;
            free_outcome(&theirs);
        }
        lg_dbatch *batch = create(&t, &cj.job);
        if (batch) {
            check_sequence(&t, batch, &cj);
            if (evaluate(&t, batch, &cj.job, ITERATION, &o2)) same_outcome(&t, &o2, &o, "the same run twice");
            backend->destroy(batch);
        }
        if (c->segmented && sums_go_on(&t, &cj.job)) check_whole_tape(&t, &cj.job, &o);
        check_split(&t, &cj.job, &o);
        check_stepping(&t, &cj.job, &o);
        check_fit(&t, &cj.job);
    }
    free_outcome(&o);
    free_outcome(&o2);
    lg_oracle_clear(&truth);
    lg_case_clear(&cj);
    return t.failures;
}

bool lg_conformance_record(const lg_backend *backend, lg_device *device, const lg_case *c, lg_record *record)
{
    enum { COUNT = 2 };
    tester t = {.name = c->name, .backend = backend, .device = device};
    lg_case_job cj;
    if (!lg_case_build(c, &cj)) abort();
    outcome o = {0};
    bool ok = limit_memory(&t, c, &cj.job) && evaluate_job(&t, &cj.job, &o);
    if (ok) {
        lg_record_add(record, o.states, o.state_bytes);
        lg_record_add(record, o.loss, o.loss_bytes);
        lg_record_add(record, o.statistics, o.statistic_bytes);
        lg_record_add(record, o.gradient, o.gradient_bytes);
        const size_t width = cj.job.fits * ((size_t)cj.job.model->params + 3);
        double *rows = guarded(COUNT * width * sizeof(double));
        lg_dbatch *batch = create(&t, &cj.job);
        ok = batch && good(&t, backend->advance(&t.ctx, batch, 0, COUNT, rows), "advance");
        if (ok) lg_record_add(record, rows, COUNT * width * sizeof(double));
        if (batch) backend->destroy(batch);
        free(rows);
        ok = ok && lg_conformance_lm_record(backend, device, &cj, record);
    }
    free_outcome(&o);
    lg_case_clear(&cj);
    return ok;
}
