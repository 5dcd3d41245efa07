/* Site steps and gradients a second of a backend, through its table of functions, as CSV: one line a case.
 *
 *   throughput DEVICE [--quick] [--seconds S] [--only TEXT]       DEVICE: cpu, cuda, cuda:1
 *
 * Columns: device,model,work,fits,replicates,seconds,rate,unit. seconds: median of the repeats of one call. A case gets S
 * seconds (default 5; --quick, which has fewer and smaller cases: 1). Its first call warms up and is not counted, unless it took
 * that long; a fit that would take over four times as long, judged by its first iterations, is left out and named. */
#include "backend/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPEATS = 7, CHUNK = 1024 /* iterations between two looks at a fit */ };

typedef struct bench {
    lg_context ctx;
    const lg_backend *backend;
    lg_device *device;
    const char *name;
    const char *only; /* NULL: every case */
    double budget;    /* seconds a case may take */
} bench;

typedef struct problem {
    lg_job job;
    const char *label;
    uint8_t *start, *target;
    uint32_t *record;
    double *target_stat, *weight_stat, *params;
} problem;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *zeros(size_t count, size_t size)
{
    void *p = calloc(count + 1, size);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(3);
    }
    return p;
}

static void release(problem *p)
{
    free(p->start);
    free(p->target);
    free(p->record);
    free(p->target_stat);
    free(p->weight_stat);
    free(p->params);
}

/* Random states (MK: about half full; SI: 5 % aware), a random reference, and an optimiser for fits. */
static problem make(lg_model_id id, lg_task task, lg_loss loss, uint32_t side, uint32_t fits, uint32_t replicates,
                    uint32_t steps)
{
    static const double mk[] = {0.1, 0.4, 0.98, 0.1, 0.2}, si[] = {0.2}, prw[] = {0.3, 0.5};
    const lg_model_desc *model = lg_model_at((int)id);
    const double *values = id == LG_MODEL_MK ? mk : (id == LG_MODEL_SI ? si : prw);
    problem p = {.label = model->name};
    p.job = (lg_job){.model = model,
                     .task = task,
                     .loss = loss,
                     .fits = fits,
                     .replicates = replicates,
                     .steps = steps,
                     .height = side,
                     .width = side,
                     .capacity = id == LG_MODEL_MK ? 50 : 1,
                     .gamma = 0.005,
                     .binary = LG_ESTIMATOR_ste,
                     .tau = 1.0,
                     .seed = 1,
                     .pool = model->species ? (task == LG_TASK_transition ? replicates : 1) : 1};
    p.job.optimizer = (lg_optimizer){.kind = LG_OPTIMIZER_adam,
                                     .lr = 0.001,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .epsilon = 1e-8,
                                     .decay = 1.0,
                                     .period = 1.0,
                                     .params = model->params};
    p.params = zeros(fits * (size_t)model->params, sizeof(double));
    for (int i = 0; i < model->params; i++) {
        p.job.optimizer.fitted[i] = true;
        p.job.optimizer.grad_of_logit[i] = model->param[i].grad_of_logit;
        p.job.optimizer.transform[i] = id == LG_MODEL_PRW ? LG_TRANSFORM_logit : LG_TRANSFORM_none;
        p.job.optimizer.upper[i] = 1.0;
        for (uint32_t f = 0; f < fits; f++) p.params[f * (size_t)model->params + (size_t)i] = values[i];
    }
    p.job.params = p.params;
    const size_t bytes = (size_t)model->species * side * side, pool = p.job.pool * bytes;
    p.start = zeros(pool, 1);
    p.target = zeros(pool, 1);
    for (size_t i = 0; i < pool; i++) {
        const uint32_t r = (uint32_t)rand();
        p.start[i] = id == LG_MODEL_MK ? (uint8_t)(15 + (r >> 8) % 20) : (uint8_t)((r >> 8) % 20 == 0);
        p.target[i] = id == LG_MODEL_MK ? 25 : (uint8_t)(p.start[i] || (r >> 20) % 4 == 0);
    }
    p.job.start = p.start;
    if (task != LG_TASK_trajectory) {
        p.job.target = p.target;
        return p;
    }
    p.record = zeros(steps, sizeof(uint32_t));
    p.target_stat = zeros(steps, sizeof(double));
    p.weight_stat = zeros(steps, sizeof(double));
    for (uint32_t t = 0; t < steps; t++) {
        p.record[t] = t + 1;
        p.target_stat[t] = 1.5 * (t + 1);
        p.weight_stat[t] = 1.0;
    }
    p.job.records = steps;
    p.job.record = p.record;
    p.job.target_stat = p.target_stat;
    p.job.weight_stat = p.weight_stat;
    return p;
}

typedef enum work { FORWARD, GRADIENT, FIT } work;

/* One call: a forward run, a gradient, or `count` optimiser iterations; the device is done when it returns. */
static lg_status call(bench *b, lg_dbatch *batch, const problem *p, work w, uint32_t count, double *rows,
                      uint64_t iteration)
{
    lg_status status = LG_OK;
    while (w == FIT && count > 0 && !status) {
        const uint32_t some = count < CHUNK ? count : CHUNK;
        status = b->backend->advance(&b->ctx, batch, iteration, some, rows);
        iteration += some;
        count -= some;
    }
    if (w == FIT) return status;
    status = b->backend->reset(&b->ctx, batch, iteration);
    if (!status) status = b->backend->forward(&b->ctx, batch, p->job.steps, w == GRADIENT);
    if (!status && w == GRADIENT) status = b->backend->loss(&b->ctx, batch);
    if (!status && w == GRADIENT) status = b->backend->backward(&b->ctx, batch);
    return status ? status : b->backend->get_loss(&b->ctx, batch, rows); /* waits */
}

/* Median seconds of a call; 0: left out. */
static double measure(bench *b, lg_dbatch *batch, const problem *p, work w, uint32_t count, double *rows,
                      lg_status *status)
{
    double seconds[REPEATS], start = now();
    if (w == FIT && count > 64) {
        *status = call(b, batch, p, w, 32, rows, 0); /* makes the graph */
        const double t = now();
        if (!*status) *status = call(b, batch, p, w, 32, rows, 32);
        const double whole = (now() - t) / 32.0 * count;
        if (!*status && whole > 4.0 * b->budget) {
            fprintf(stderr, "left out, would take %.0f s: ", whole);
            return 0.0;
        }
    }
    if (!*status) *status = call(b, batch, p, w, count, rows, 64);
    const double first = now() - start;
    if (first > b->budget) return first;
    int repeats = 0;
    for (; !*status && repeats < REPEATS && (repeats == 0 || now() - start < b->budget); repeats++) {
        const double t = now();
        *status = call(b, batch, p, w, count, rows, 64 + (uint64_t)count * (uint64_t)(repeats + 1));
        seconds[repeats] = now() - t;
    }
    if (*status) return 0.0;
    qsort(seconds, (size_t)repeats, sizeof *seconds, ascending);
    return seconds[repeats / 2];
}

static void run(bench *b, problem p, work w, uint32_t count, double units, const char *what, const char *unit)
{
    char title[128];
    snprintf(title, sizeof title, "%s %s F=%u R=%u", p.label, what, p.job.fits, p.job.replicates);
    if (b->only && !strstr(title, b->only)) {
        release(&p);
        return;
    }
    lg_dbatch *batch = NULL;
    const size_t rows_kept = (size_t)(count < CHUNK ? count : CHUNK) + 32u;
    double *rows = zeros(rows_kept * p.job.fits * ((size_t)p.job.model->params + 3), sizeof(double)), seconds = 0.0;
    lg_status status = b->backend->create(&b->ctx, b->device, &p.job, w != FORWARD, &batch);
    if (!status) seconds = measure(b, batch, &p, w, count, rows, &status);
    if (status || seconds <= 0.0) fprintf(stderr, "%s %s\n", title, status ? b->ctx.message : "");
    else
        printf("%s,%s,%s,%u,%u,%.6g,%.6g,%s\n", b->name, p.label, what, p.job.fits, p.job.replicates, seconds,
               units / seconds, unit);
    fflush(stdout);
    if (batch) b->backend->destroy(batch);
    free(rows);
    release(&p);
}

static void all(bench *b, bool quick)
{
    static const uint32_t lattices[] = {1, 16, 132, 1024, 8192};
    const uint32_t tau = quick ? 50 : 500;
    for (size_t i = 0; i < (quick ? 3 : 5); i++) {
        const uint32_t R = lattices[i];
        const double sites = 64.0 * 64.0 * R * tau;
        run(b, make(LG_MODEL_MK, LG_TASK_stability, LG_LOSS_log_sse, 64, 1, R, tau), FORWARD, 1, sites, "64x64 forward",
            "site steps/s");
        run(b, make(LG_MODEL_MK, LG_TASK_stability, LG_LOSS_log_sse, 64, 1, R, tau), GRADIENT, 1, sites,
            "64x64 gradient", "site steps/s");
    }
    run(b, make(LG_MODEL_SI, LG_TASK_transition, LG_LOSS_sse, 64, 1, 128, 1), FIT, 1600, 1600, "64x64x128 minibatch",
        "gradients/s");
    run(b, make(LG_MODEL_SI, LG_TASK_stability, LG_LOSS_sse, 64, 1, 4096, 50), FORWARD, 1, 64.0 * 64 * 4096 * 50,
        "64x64 forward", "site steps/s");
    static const struct {
        lg_model_id model;
        uint32_t side, replicates, steps;
        const char *forward, *gradient;
    } large[] = {{LG_MODEL_MK, 512, 8, 50, "512x512 forward", "512x512 gradient"},
                 {LG_MODEL_SI, 512, 8, 50, "512x512 forward", "512x512 gradient"},
                 {LG_MODEL_SI, 8192, 1, 20, "8192x8192 forward", "8192x8192 gradient"}};
    for (size_t i = 0; i < (quick ? 2 : 3); i++) {
        const uint32_t side = large[i].side, R = large[i].replicates, steps = large[i].steps;
        const lg_loss loss = large[i].model == LG_MODEL_MK ? LG_LOSS_log_sse : LG_LOSS_sse;
        const double sites = (double)side * side * R * steps;
        run(b, make(large[i].model, LG_TASK_stability, loss, side, 1, R, steps), FORWARD, 1, sites, large[i].forward,
            "site steps/s");
        run(b, make(large[i].model, LG_TASK_stability, loss, side, 1, R, steps), GRADIENT, 1, sites, large[i].gradient,
            "site steps/s");
    }
    static const uint32_t fits[] = {1, 132, 4096};
    for (size_t i = 0; i < (quick ? 2 : 3); i++)
        run(b, make(LG_MODEL_PRW, LG_TASK_trajectory, LG_LOSS_sse, 0, fits[i], 1500, 10), FIT, 64, 64.0 * fits[i],
            "1500x10 fit iterations", "gradients/s");
    for (size_t i = 0; i < (quick ? 1 : 3); i += 2) /* one fit, then 4,096 together */
        run(b, make(LG_MODEL_PRW, LG_TASK_trajectory, LG_LOSS_sse, 0, fits[i], 1500, 10), FIT, 10000, 1e4 * fits[i],
            "1500x10 fit of 10000 iterations", "gradients/s");
}

int main(int argc, char **argv)
{
    bench b = {.name = argc > 1 ? argv[1] : "cuda", .budget = 0.0};
    bool quick = false;
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--quick")) quick = true;
        else if (!strcmp(argv[i], "--seconds") && i + 1 < argc) b.budget = atof(argv[++i]);
        else if (!strcmp(argv[i], "--only") && i + 1 < argc) b.only = argv[++i];
        else {
            fprintf(stderr, "usage: %s [DEVICE [--quick] [--seconds S] [--only TEXT]]\n", argv[0]);
            return 2;
        }
    }
    if (lg_backend_open(&b.ctx, b.name, 0, &b.backend, &b.device)) {
        fprintf(stderr, "%s\n", b.ctx.message);
        return 77;
    }
    if (!(b.budget > 0.0)) b.budget = quick ? 1.0 : 5.0;
    all(&b, quick);
    b.backend->close(b.device);
    return 0;
}
