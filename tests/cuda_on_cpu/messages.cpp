/* What the cuda backend says when something is wrong with the GPU or with cuBLAS: a status with exit status 3, the reason and the
 * remedy; and --device auto, which then takes the CPU and says so. */
#include "cublas_on_cpu.h"
#include "cuda_on_cpu.h"

#include "device.cuh"

extern "C" {
#include "conformance/conformance.h"
}

int lg_check_messages(void);

static int expect(lg_status got, lg_status wanted, const lg_context *ctx, const char *part)
{
    if (got == wanted && strstr(ctx->message, part) && lg_status_exit(got) == 3) return 0;
    printf("expected %s and a message with '%s', got %s: %s\n", lg_status_name(wanted), part, lg_status_name(got),
           ctx->message);
    return 1;
}

static void keep_line(lg_log_level, const char *line, void *user)
{
    snprintf(static_cast<char *>(user), LG_MESSAGE_SIZE, "%s", line);
}

/* A GPU in this state: cuda fails with these words, auto runs on the CPU with them in its message. */
static int check_device(cudaError_t state, lg_status wanted, const char *reason, const char *remedy)
{
    char line[LG_MESSAGE_SIZE] = "";
    lg_context ctx = {};
    const lg_backend *backend = NULL;
    lg_device *device = NULL;
    lg_emu_fail_with(state);
    int failures = expect(lg_backend_open(&ctx, "cuda", 1, &backend, &device), wanted, &ctx, reason) +
                   expect(wanted, wanted, &ctx, remedy);
    ctx.log = keep_line;
    ctx.log_user = line;
    if (lg_backend_open(&ctx, "auto", 1, &backend, &device) || backend != &lg_backend_cpu ||
        !strstr(line, "on the CPU") || !strstr(line, reason)) {
        printf("auto with '%s': got %s, log '%s'\n", reason, backend ? backend->name : "nothing", line);
        failures++;
    }
    if (device) backend->close(device);
    lg_emu_fail_with(cudaSuccess);
    return failures;
}

static int check_auto_takes_the_gpu(void)
{
    lg_context ctx = {};
    const lg_backend *backend = NULL;
    lg_device *device = NULL;
    if (lg_backend_open(&ctx, "auto", 1, &backend, &device)) return 1;
    const int failures = backend != &lg_backend_cuda;
    if (failures) printf("auto took %s where there is a GPU\n", backend->name);
    backend->close(device);
    return failures;
}

static bool build_case(const char *name, lg_case_job *cj)
{
    for (size_t i = 0; i < lg_case_count; i++)
        if (strcmp(lg_cases[i].name, name) == 0) return lg_case_build(&lg_cases[i], cj);
    return false;
}

static int check_memory(lg_device *device)
{
    lg_context ctx = {};
    lg_case_job cj;
    lg_dbatch *batch = NULL;
    if (!build_case("mk-64", &cj)) return 1;
    cj.job.memory_limit = 10000;
    int failures =
        expect(lg_backend_cuda.create(&ctx, device, &cj.job, true, &batch), LG_ERR_MEMORY, &ctx, "fewer replicates");
    cj.job.memory_limit = (size_t)1 << 40;
    lg_emu_set_memory(10000);
    failures +=
        expect(lg_backend_cuda.create(&ctx, device, &cj.job, true, &batch), LG_ERR_MEMORY, &ctx, "out of GPU memory");
    lg_emu_set_memory(0);
    lg_case_clear(&cj);
    return failures;
}

/* The `call`-th product of a batch fails: the first one is made at creation, the second is in a captured graph or not. */
static int check_blas(lg_device *device, cublasStatus_t status, int call, uint32_t iterations, const char *part)
{
    lg_context ctx = {};
    lg_case_job cj;
    lg_dbatch *batch = NULL;
    if (!build_case("prw-const", &cj)) return 1;
    cj.job.optimizer.kind = LG_OPTIMIZER_lm;
    double *rows = (double *)malloc(iterations * cj.job.fits * 5 * sizeof *rows);
    lg_emu_fail_blas(status, call);
    lg_status got = lg_backend_cuda.create(&ctx, device, &cj.job, true, &batch);
    int failures = (got != LG_OK) != (call == 1);
    if (!got) got = lg_backend_cuda.advance(&ctx, batch, 0, iterations, rows);
    failures += expect(got, LG_ERR_DEVICE, &ctx, part) + expect(got, LG_ERR_DEVICE, &ctx, "--device cpu") +
                expect(got, LG_ERR_DEVICE, &ctx, "optimizer.name lm");
    lg_emu_fail_blas(CUBLAS_STATUS_SUCCESS, 0);
    if (batch) lg_backend_cuda.destroy(batch);
    if (lg_emu_blas_handles() != 0) {
        printf("%zu handles of cuBLAS were not destroyed\n", lg_emu_blas_handles());
        failures++;
    }
    free(rows);
    lg_case_clear(&cj);
    return failures;
}

/* The plan of lm has its buffers: 256 products of 3 x 3, their factors, and the workspace. */
static int check_plan(lg_device *device)
{
    lg_context ctx = {};
    lg_case_job cj;
    lg_plan adam = {}, lm = {};
    if (!build_case("prw", &cj)) return 1;
    lg_status status = lg_backend_cuda.plan(&ctx, device, &cj.job, true, &adam);
    cj.job.optimizer.kind = LG_OPTIMIZER_lm;
    if (!status) status = lg_backend_cuda.plan(&ctx, device, &cj.job, true, &lm);
    const size_t more = 256 * sizeof(double) * (cj.job.records * 3 + 9) + ((size_t)4 << 20);
    const bool bad = status || lm.total_bytes - adam.total_bytes != more;
    if (bad) printf("lm plans %zu bytes more than adam, expected %zu\n", lm.total_bytes - adam.total_bytes, more);
    lg_case_clear(&cj);
    return bad;
}

int lg_check_messages(void)
{
    lg_context ctx = {};
    lg_device *device = NULL;
    int failures =
        check_device(cudaErrorNoDevice, LG_ERR_DEVICE, "no NVIDIA GPU was found", "use --device cpu") +
        check_device(cudaErrorInsufficientDriver, LG_ERR_DEVICE, "serves CUDA up to 11.4", "update the driver") +
        check_device(cudaErrorNoKernelImageForDevice, LG_ERR_DEVICE, "no kernels for the GPU",
                     "CMAKE_CUDA_ARCHITECTURES=90") +
        check_device(cudaErrorMemoryAllocation, LG_ERR_MEMORY, "out of GPU memory", "fewer replicates") +
        check_auto_takes_the_gpu();
    lg_emu_fail_with(cudaErrorNoDevice);
    failures += lg_cuda_device_count() != 0;
    lg_emu_fail_with(cudaSuccess);
    failures += expect(lg_backend_cuda.open(&ctx, 3, 0, &device), LG_ERR_DEVICE, &ctx, "cuda:3");
    if (lg_backend_cuda.open(&ctx, 0, 0, &device)) return failures + 1;
    failures += check_memory(device) + check_plan(device) +
                check_blas(device, CUBLAS_STATUS_ALLOC_FAILED, 1, 1, "CUBLAS_STATUS_ALLOC_FAILED") +
                check_blas(device, CUBLAS_STATUS_EXECUTION_FAILED, 2, 1, "CUBLAS_STATUS_EXECUTION_FAILED") +
                check_blas(device, CUBLAS_STATUS_ARCH_MISMATCH, 5, 16, "CUBLAS_STATUS_ARCH_MISMATCH");
    lg_backend_cuda.close(device);
    return failures;
}
