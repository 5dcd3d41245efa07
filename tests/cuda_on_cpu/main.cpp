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
        }
        lg_record_clear(&other);
    }
    lg_record_clear(&first);
    lg_emu_set_order(LG_EMU_FORWARD, 1);
    return failures;
}

static int expect(lg_status got, lg_status wanted, const lg_context *ctx, const char *part)
{
    if (got == wanted && strstr(ctx->message, part)) return 0;
    printf("expected %s and a message with '%s', got %s: %s\n", lg_status_name(wanted), part, lg_status_name(got),
           ctx->message);
    return 1;
}

static int check_messages(void)
{
    lg_context ctx = {};
    lg_device *device = NULL;
    int failures = 0;
    lg_emu_fail_with(cudaErrorNoDevice);
    failures += expect(lg_backend_cuda.open(&ctx, 0, 0, &device), LG_ERR_DEVICE, &ctx, "--device cpu");
    failures += lg_cuda_device_count() != 0;
    lg_emu_fail_with(cudaErrorInsufficientDriver);
    failures += expect(lg_backend_cuda.open(&ctx, 0, 0, &device), LG_ERR_DEVICE, &ctx, "update the driver");
    lg_emu_fail_with(cudaErrorNoKernelImageForDevice);
    failures += expect(lg_backend_cuda.open(&ctx, 0, 0, &device), LG_ERR_DEVICE, &ctx, "CMAKE_CUDA_ARCHITECTURES=90");
    lg_emu_fail_with(cudaSuccess);
    failures += expect(lg_backend_cuda.open(&ctx, 3, 0, &device), LG_ERR_DEVICE, &ctx, "cuda:3");
    if (lg_backend_cuda.open(&ctx, 0, 0, &device)) return failures + 1;
    lg_case_job cj;
    if (!lg_case_build(&lg_cases[0], &cj)) abort();
    lg_dbatch *batch = NULL;
    cj.job.memory_limit = 10000;
    failures +=
        expect(lg_backend_cuda.create(&ctx, device, &cj.job, true, &batch), LG_ERR_MEMORY, &ctx, "fewer replicates");
    cj.job.memory_limit = (size_t)1 << 40;
    lg_emu_set_memory(10000);
    failures +=
        expect(lg_backend_cuda.create(&ctx, device, &cj.job, true, &batch), LG_ERR_MEMORY, &ctx, "out of GPU memory");
    lg_emu_set_memory(0);
    lg_case_clear(&cj);
    lg_backend_cuda.close(device);
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
    const int failed =
        lg_conformance_check(&lg_backend_cuda, device, &lg_backend_cpu, cpu, c) + check_orders(device, c);
    lg_backend_cuda.close(device);
    printf("%-4s %s, compute capability %d, %.1f s\n", failed ? "FAIL" : "ok", c->name, major,
           (double)(clock() - start) / CLOCKS_PER_SEC);
    fflush(stdout);
    return failed;
}

/* cuda_on_cpu [CASE...]: the cases of these names, or all of them, the messages and the plans.
 * cuda_on_cpu --part K/N: every Nth case from the Kth on; the first part has the messages and plans. */
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
    lg_backend_cpu.close(cpu);
    if (argc == 1 && part == 0) failures += check_messages() + check_plans();
    if (lg_emu_allocated() != 0) {
        printf("%zu bytes of device memory were not freed\n", lg_emu_allocated());
        failures++;
    }
    printf("%d cases, %d failures, %llu launches\n", cases, failures, (unsigned long long)lg_emu_launches());
    return failures || !cases ? 1 : 0;
}
