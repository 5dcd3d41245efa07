/* The optimiser lm on every case whose loss is one of statistics: from the backend's own Jacobian where it has one, and from
 * finite differences placed before it (backend/fd.c). The same fit twice and resumed, and each fit alone, give the same bytes;
 * another backend gives the same parameters but for rounding. */
#include "conformance/conformance.h"
#include "conformance/tester.h"

#include "backend/hosted.h"

#include <stdlib.h>
#include <string.h>

enum {
#ifdef LG_UNDER_SANITIZERS
    ITERATIONS = 4,
#else
    ITERATIONS = 18, /* a graph of 16 and two by themselves */
#endif
    FD_ITERATIONS = 2,
    MANY = 16,     /* fits: fewer repeats from here on */
    FITS_ALONE = 4 /* of a case with many: the first, the last, and those at the border of a cuBLAS call */
};

/* Jacobians are sums in single precision, each backend's in its own order: within 1e-5 of the sum of absolute contributions.
 * Steps of a fit add such differences up. Finite differences of the same integers are equal but for the last division. */
static const double own_tolerance = 2e-4, fd_tolerance = 1e-9;

static lg_job lm_job(const lg_job *job, lg_gradient_method method)
{
    lg_job lm = *job;
    lm.method = method;
    lm.fd_step = 0.1;
    lm.memory_limit = 0;
    lm.fit_optimizer = NULL;
    lm.optimizer.kind = LG_OPTIMIZER_lm;
    lm.optimizer.damping = 0.01;
    for (int p = 0; p < lm.optimizer.params; p++) { /* room for a difference on both sides */
        lm.optimizer.lower[p] = 0.01;
        lm.optimizer.upper[p] = 0.99;
    }
    return lm;
}

/* The method is placed before the tester's device for as long as the batch lives; the device itself stays open. */
typedef struct placed {
    const lg_backend *backend;
    lg_device *device;
    lg_dbatch *batch;
} placed;

static bool place(tester *t, const lg_job *job, placed *p)
{
    *p = (placed){.backend = t->backend, .device = t->device};
    return good(t, lg_method_open(&t->ctx, job, &p->backend, &p->device), "placing the method") &&
           good(t, p->backend->create(&t->ctx, p->device, job, true, &p->batch), "create for lm");
}

static void displace(const tester *t, placed *p)
{
    if (p->batch) p->backend->destroy(p->batch);
    if (p->device != t->device) free(p->device); /* without closing the device behind */
}

/* `count` iterations of a fresh batch, stopped and resumed half-way where asked; rows [count][F][P + 3]. */
static bool run(tester *t, const lg_job *job, uint32_t count, bool resume, double *rows)
{
    const size_t row = job->fits * ((size_t)job->model->params + 3);
    const uint32_t half = resume ? count / 2 : 0;
    lg_fit_state *state = malloc(job->fits * sizeof *state);
    placed p;
    if (!state) abort();
    bool ok = place(t, job, &p);
    if (ok && half)
        ok = good(t, p.backend->advance(&t->ctx, p.batch, 0, half, rows), "advance with lm") &&
             good(t, p.backend->get_fit_state(&t->ctx, p.batch, state), "get_fit_state") &&
             good(t, p.backend->set_params(&t->ctx, p.batch, job->params), "set_params") &&
             good(t, p.backend->set_fit_state(&t->ctx, p.batch, state), "set_fit_state");
    ok = ok && good(t, p.backend->advance(&t->ctx, p.batch, half, count - half, rows + half * row), "advance with lm");
    displace(t, &p);
    free(state);
    return ok;
}

static void check_alone(tester *t, const lg_job *job, uint32_t count, const double *rows)
{
    const size_t width = (size_t)job->model->params + 3;
    const uint32_t F = job->fits, some[FITS_ALONE] = {0, F - 1, 255, 256};
    double *own = malloc(count * width * sizeof *own);
    if (!own) abort();
    for (uint32_t i = 0; i < (F > FITS_ALONE ? FITS_ALONE : F) && F > 1; i++) {
        const uint32_t f = F > FITS_ALONE ? some[i] : i;
        const lg_job one = lg_case_one(job, f);
        if (run(t, &one, count, false, own))
            for (size_t k = 0; k < count; k++)
                same_bytes(t, own + k * width, rows + (k * F + f) * width, width * sizeof *own, "lm, a fit alone");
    }
    free(own);
}

/* Loss and parameters of each iteration. */
static void check_close(tester *t, const lg_job *job, uint32_t count, const double *rows, const double *other,
                        double tolerance)
{
    const size_t P = (size_t)job->model->params, width = P + 3;
    for (size_t i = 0; i < count * job->fits; i++)
        for (size_t p = 0; p <= P; p++) {
            const double a = rows[i * width + p], b = other[i * width + p];
            if (fabs(a - b) <= tolerance * (p ? 1.0 : fabs(b))) continue;
            fail(t, "lm, iteration %zu of fit %zu: %s is %.12g, the other backend has %.12g", i / job->fits,
                 i % job->fits, p ? job->model->param[p - 1].name : "the loss", a, b);
            return;
        }
}

/* The update that the first row led to is that of rules/ from the Jacobian and the loss that the backend gives out. */
static void check_first_update(tester *t, const lg_job *job, const double *rows)
{
    const size_t P = (size_t)job->model->params, F = job->fits, K = lg_job_statistics(job), width = P + 3;
    double *jacobian = malloc(F * K * P * sizeof *jacobian), *gradient = malloc(F * P * sizeof *gradient);
    double *loss = malloc(F * sizeof *loss), *params = malloc(F * P * sizeof *params),
           *row = malloc(F * width * sizeof *row);
    lg_fit_state *state = malloc(F * sizeof *state);
    lg_dbatch *batch = NULL;
    const lg_backend *b = t->backend;
    if (!jacobian || !gradient || !loss || !params || !row || !state) abort();
    bool ok = good(t, b->create(&t->ctx, t->device, job, true, &batch), "create") &&
              good(t, b->forward(&t->ctx, batch, job->steps, true), "forward") &&
              good(t, b->loss(&t->ctx, batch), "loss") && good(t, b->backward(&t->ctx, batch), "backward") &&
              good(t, b->get_loss(&t->ctx, batch, loss), "get_loss") &&
              good(t, b->get_gradient(&t->ctx, batch, gradient), "get_gradient") &&
              good(t, b->get_jacobian(&t->ctx, batch, jacobian), "get_jacobian");
    memcpy(params, job->params, F * P * sizeof *params);
    for (size_t f = 0; f < F; f++) lg_optimizer_start(lg_job_optimizer(job, (uint32_t)f), params + f * P, &state[f]);
    if (ok) lg_update_fits(job, loss, gradient, jacobian, state, params, row);
    for (size_t f = 0; f < F && ok; f++)
        for (size_t p = 0; p < P; p++) {
            const double got = rows[(F + f) * width + 1 + p], wanted = params[f * P + p];
            if (!(fabs(got - wanted) <= 1e-9))
                fail(t, "lm, first update of fit %zu: %s is %.12g, expected %.12g", f, job->model->param[p].name, got,
                     wanted);
        }
    if (batch) b->destroy(batch);
    free(jacobian);
    free(gradient);
    free(loss);
    free(params);
    free(row);
    free(state);
}

static void check(tester *t, tester *other, const lg_job *job, uint32_t count, double tolerance)
{
    const size_t bytes = count * job->fits * ((size_t)job->model->params + 3) * sizeof(double);
    double *rows = malloc(bytes), *again = malloc(bytes);
    if (!rows || !again) abort();
    if (run(t, job, count, false, rows)) {
        if (run(t, job, count, true, again)) same_bytes(t, again, rows, bytes, "lm twice, once resumed");
        check_alone(t, job, count, rows);
        lg_job small = *job; /* steps so small that none is cut to its largest length */
        small.optimizer.damping = 1000.0;
        if (job->method == LG_GRADIENT_pathwise && run(t, &small, 2, false, again))
            check_first_update(t, &small, again);
        if (other->backend && run(other, job, count, false, again)) check_close(t, job, count, rows, again, tolerance);
    }
    free(rows);
    free(again);
}

bool lg_conformance_lm_record(const lg_backend *backend, lg_device *device, const lg_case_job *cj, lg_record *record)
{
    enum { COUNT = 2 };
    tester t = {.name = "lm", .backend = backend, .device = device};
    const lg_job job = lm_job(&cj->job, LG_GRADIENT_pathwise);
    if (!cj->job.target_stat || !backend->lm || !backend->lm(&job)) return true;
    const size_t bytes = COUNT * job.fits * ((size_t)job.model->params + 3) * sizeof(double);
    double *rows = malloc(bytes);
    if (!rows) abort();
    const bool ok = run(&t, &job, COUNT, false, rows);
    if (ok) lg_record_add(record, rows, bytes);
    free(rows);
    return ok;
}

int lg_conformance_lm(const lg_backend *backend, lg_device *device, const lg_backend *other, lg_device *other_device,
                      const lg_case *c)
{
    tester t = {.name = c->name, .backend = backend, .device = device};
    tester u = {.name = c->name, .backend = other, .device = other_device};
    lg_case_job cj;
    if (!lg_case_build(c, &cj)) abort();
    if (cj.job.target_stat) {
        const lg_job own = lm_job(&cj.job, LG_GRADIENT_pathwise), fd = lm_job(&cj.job, LG_GRADIENT_fd);
        const bool many = own.fits > MANY;
        if (backend->lm && backend->lm(&own)) check(&t, &u, &own, many ? 3 : ITERATIONS, own_tolerance);
        if (!many) check(&t, &u, &fd, FD_ITERATIONS, fd_tolerance);
    }
    lg_case_clear(&cj);
    return t.failures + u.failures;
}
