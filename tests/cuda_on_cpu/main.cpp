/* The conformance table on the kernels as the CPU runs them: every case in full with threads in index order, then its
 * bytes with threads and blocks in reverse and in random orders. A result that depends on the order has a barrier
 * missing. Lattices too large for a block also run as on a GPU without clusters. Last, the messages for what can be wrong
 * with a GPU. */
#include "cuda_on_cpu.h"

#include "device.cuh"

#include <time.h>

extern "C" {
#include "conformance/conformance.h"
}

/* For `--first`. */
static void stop(const char *name)
{
    printf("FAIL %s, its first failure\n", name);
    exit(1);
}

int lg_check_messages(void); /* messages.cpp */

static int check_orders(lg_device *device, const lg_case *c)
{
#ifdef LG_UNDER_SANITIZERS
    static const lg_emu_order orders[] = {LG_EMU_FORWARD, LG_EMU_RANDOM};
    static const char *const names[] = {"forward", "random"};
#else
    static const lg_emu_order orders[] = {LG_EMU_FORWARD, LG_EMU_REVERSE, LG_EMU_RANDOM, LG_EMU_RANDOM};
    static const char *const names[] = {"forward", "reverse", "random", "another random"};
#endif
    lg_record first = {}, other = {};
    int failures = 0;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        lg_emu_set_order(orders[i], 11u + i);
        lg_record *record = i ? &other : &first;
        if (!lg_conformance_record(&lg_backend_cuda, device, c, record)) failures++;
        else if (i && (first.size != other.size || memcmp(first.bytes, other.bytes, first.size) != 0)) {
            printf("%s: results differ with threads in %s order\n", c->name, names[i]);
            failures++;
            if (lg_conformance_failed) lg_conformance_failed(c->name);
        }
        lg_record_clear(&other);
    }
    lg_record_clear(&first);
    lg_emu_set_order(LG_EMU_FORWARD, 1);
    return failures;
}

/* What the plan of a case says about its kernels on a device of this compute capability. */
static int check_plan(int major, const char *name, const char *wanted)
{
    lg_context ctx = {};
    lg_device *device = NULL;
    lg_case_job cj;
    lg_plan plan = {};
    size_t i = 0;
    while (i < lg_case_count && strcmp(lg_cases[i].name, name) != 0) i++;
    lg_emu_set_capability(major);
    if (i == lg_case_count || !lg_case_build(&lg_cases[i], &cj) || lg_backend_cuda.open(&ctx, 0, 0, &device)) abort();
    const lg_status status = lg_backend_cuda.plan(&ctx, device, &cj.job, true, &plan);
    const int failed = status || strcmp(plan.kernels, wanted) != 0;
    if (failed) printf("plan of %s: expected '%s', got '%s' %s\n", name, wanted, plan.kernels, ctx.message);
    lg_case_clear(&cj);
    lg_backend_cuda.close(device);
    return failed;
}

static int check_plans(void)
{
    return check_plan(9, "mk-64", "forward: 8 blocks a lattice, a cluster; backward: 8, a cluster") +
           check_plan(8, "mk-64", "forward: 1 block a lattice; backward: 1") +
           check_plan(9, "mk-many", "forward: 1 block a lattice; backward: 1") +
           check_plan(8, "mk-large", "forward: 9 blocks a lattice, tiles; backward: 9, tiles") +
           check_plan(9, "score-mk-cluster", "forward: 2 blocks a lattice, a cluster; no backward pass") +
           check_plan(9, "si-pairs", "");
}

/* ---- a loss of the caller's own ----------------------------------------------------------------------------------- */

/* L = sum c x^2 / 1000 with c = 1 ... 7 by place. */
static int own_loss(const lg_recorded *s, double *loss, float *adjoint, void *calls)
{
    const size_t values = (size_t)s->replicates * s->records * s->species * s->height * s->width;
    ++*(int *)calls;
    *loss = 0.0;
    for (size_t i = 0; i < values; i++) {
        const double c = (double)(1 + (i + s->row[0]) % 7) / 1000.0, x = s->lattice[i];
        *loss += c * x * x;
        if (adjoint) adjoint[i] = (float)(2.0 * c * x);
    }
    return 0;
}

struct own_run {
    double loss[16], gradient[16 * LG_MK_PARAMS], rows[2 * 16 * (LG_MK_PARAMS + 3)], again[2 * 16 * (LG_MK_PARAMS + 3)];
};

/* One evaluation; then two iterations at once, and from the same start one by one. */
static lg_status run_own(const lg_backend *backend, lg_device *device, const lg_job *job, own_run *r)
{
    lg_context ctx = {};
    lg_dbatch *b = NULL;
    const size_t row = job->fits * (LG_MK_PARAMS + 3u);
    lg_status status = backend->create(&ctx, device, job, true, &b);
    if (!status) status = backend->reset(&ctx, b, 5);
    if (!status) status = backend->forward(&ctx, b, job->steps, true);
    if (!status) status = backend->loss(&ctx, b);
    if (!status) status = backend->backward(&ctx, b);
    if (!status) status = backend->get_loss(&ctx, b, r->loss);
    if (!status) status = backend->get_gradient(&ctx, b, r->gradient);
    if (!status) status = backend->advance(&ctx, b, 5, 2, r->rows);
    if (!status) status = backend->set_params(&ctx, b, job->params);
    for (uint32_t i = 0; i < 2 && !status; i++) status = backend->advance(&ctx, b, 5 + i, 1, r->again + i * row);
    if (b) backend->destroy(b);
    if (status) printf("%s: %s\n", backend->name, ctx.message);
    return status;
}

static int check_own(int major, lg_device *cpu, const char *name)
{
    lg_context ctx = {};
    lg_device *device = NULL;
    lg_case_job cj;
    own_run mine = {}, theirs = {};
    size_t i = 0;
    int calls = 0, failures = 0;
    while (i < lg_case_count && strcmp(lg_cases[i].name, name) != 0) i++;
    lg_emu_set_capability(major);
    if (i == lg_case_count || !lg_case_build(&lg_cases[i], &cj) || lg_backend_cuda.open(&ctx, 0, 0, &device)) abort();
    lg_job job = cj.job;
    const uint32_t record[2] = {(job.steps + 1) / 2, job.steps};
    job.own.function = own_loss;
    job.own.user = &calls;
    job.own.records = job.steps > 1 ? 2 : 1;
    job.own.record = job.steps > 1 ? record : record + 1;
    job.own.points = 1;
    job.target = NULL;
    job.target_stat = job.weight_stat = NULL;
    job.record = NULL;
    job.records = 0;
    if (job.memory_limit) job.memory_limit += lg_own_bytes(&job, true);
    if (run_own(&lg_backend_cuda, device, &job, &mine) || run_own(&lg_backend_cpu, cpu, &job, &theirs)) failures++;
    const size_t F = job.fits, P = LG_MK_PARAMS, rows = 2 * F * (P + 3) * sizeof(double);
    double size = 0.0;
    for (size_t k = 0; k < F * P; k++) size = fmax(size, fabs(theirs.gradient[k]));
    for (size_t k = 0; k < F * P; k++) failures += !(fabs(mine.gradient[k] - theirs.gradient[k]) <= 1e-5 * size);
    failures += size == 0.0 || memcmp(mine.loss, theirs.loss, F * sizeof(double)) != 0;
    failures += memcmp(mine.rows, mine.again, rows) != 0 || memcmp(mine.rows, theirs.rows, sizeof(double)) != 0;
    failures += calls != (int)(2 * 5 * F);
    printf("%-4s own loss of %s, compute capability %d\n", failures ? "FAIL" : "ok", name, major);
    lg_case_clear(&cj);
    lg_backend_cuda.close(device);
    return failures;
}

static int check_own_losses(lg_device *cpu)
{
    return check_own(9, cpu, "mk-odd") + check_own(9, cpu, "mk-segments") + check_own(9, cpu, "mk-pairs") +
           check_own(9, cpu, "mk-64") + check_own(8, cpu, "mk-large") + check_own(9, cpu, "gr-mk") +
           check_own(9, cpu, "gr-mk-large") + check_own(9, cpu, "tau-mk");
}

/* One case on a device of this compute capability. */
static int run(int major, lg_device *cpu, const lg_case *c)
{
    lg_context ctx = {};
    lg_device *device = NULL;
    const clock_t start = clock();
    lg_emu_set_capability(major);
    if (lg_backend_cuda.open(&ctx, 0, 0, &device)) {
        printf("%s\n", ctx.message);
        return 1;
    }
    const int failed = lg_conformance_check(&lg_backend_cuda, device, &lg_backend_cpu, cpu, c) +
                       lg_conformance_lm(&lg_backend_cuda, device, &lg_backend_cpu, cpu, c) + check_orders(device, c);
    lg_backend_cuda.close(device);
    printf("%-4s %s, compute capability %d, %.1f s\n", failed ? "FAIL" : "ok", c->name, major,
           (double)(clock() - start) / CLOCKS_PER_SEC);
    fflush(stdout);
    return failed;
}

/* cuda_on_cpu [--first] [CASE...]: the cases of these names, or all of them, the messages and the plans. --first: the first failure
 * ends it.
 * cuda_on_cpu --part K/N: every Nth case from the Kth on; the first part has the messages, the plans, and the losses of the
 * caller's own (case `own`). */
int main(int argc, char **argv)
{
    unsigned part = 0, parts = 1;
    if (argc == 3 && strcmp(argv[1], "--part") == 0) {
        if (sscanf(argv[2], "%u/%u", &part, &parts) != 2 || part < 1 || part > parts) {
            printf("--part %s: expected K/N, K from 1 to N\n", argv[2]);
            return 2;
        }
        part--;
        argc = 1;
    }
    if (argc > 1 && strcmp(argv[1], "--first") == 0) {
        lg_conformance_failed = stop;
        argc--;
        argv++;
    }
    lg_context ctx = {};
    lg_device *cpu = NULL;
    lg_emu_catch_faults();
    if (lg_backend_cpu.open(&ctx, 0, 1, &cpu)) {
        printf("%s\n", ctx.message);
        return 1;
    }
    int failures = lg_case_uncovered(), cases = 0;
    for (size_t i = 0; i < lg_case_count; i++) {
        const lg_case *c = &lg_cases[i];
        bool wanted = argc == 1 && i % parts == part;
        for (int k = 1; k < argc; k++) wanted |= strcmp(argv[k], c->name) == 0;
        if (!wanted) continue;
        failures += run(9, cpu, c);
        if (c->model == LG_MODEL_MK && c->height * c->width > 4096 && c->width <= 512) failures += run(8, cpu, c);
        cases++;
    }
    if (argc == 1 && part == 0) failures += lg_check_messages() + check_plans() + check_own_losses(cpu);
    for (int k = 1; k < argc; k++)
        if (strcmp(argv[k], "own") == 0) cases++, failures += check_own_losses(cpu);
    lg_backend_cpu.close(cpu);
    if (lg_emu_allocated() != 0) {
        printf("%zu bytes of device memory were not freed\n", lg_emu_allocated());
        failures++;
    }
    printf("%d cases, %d failures, %llu launches\n", cases, failures, (unsigned long long)lg_emu_launches());
    return failures || !cases ? 1 : 0;
}
