/* Which backends this build has, and how a device name is turned into one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/cpu/cpu.h"
#include "lg_build.h"

#if LG_HAVE_CUDA
#include "backend/cuda.h"
#else
static const char NO_CUDA[] = "this build has no CUDA backend: build with the CUDA toolkit and -DLATGRAD_CUDA=ON";
#endif

static lg_status open_cuda(lg_context *ctx, int index, int threads, const lg_backend **backend, lg_device **out)
{
#if LG_HAVE_CUDA
    *backend = &lg_backend_cuda;
    return lg_backend_cuda.open(ctx, index, threads, out);
#else
    (void)index, (void)threads, (void)backend, (void)out;
    return lg_fail(ctx, LG_ERR_DEVICE, "device cuda: %s", NO_CUDA);
#endif
}

lg_status lg_backend_open(lg_context *ctx, const char *device, int threads, const lg_backend **backend, lg_device **out)
{
    if (strcmp(device, "auto") == 0) {
#if LG_HAVE_CUDA
        if (open_cuda(ctx, 0, threads, backend, out) == LG_OK) return LG_OK;
        lg_log(ctx, LG_LOG_INFO, "no usable GPU, running on the CPU: %s", ctx ? ctx->message : "");
#endif
        device = "cpu";
    }
    if (strcmp(device, "cpu") == 0) {
        *backend = &lg_backend_cpu;
        return lg_backend_cpu.open(ctx, 0, threads, out);
    }
    char *end = NULL;
    if (strcmp(device, "cuda") == 0) return open_cuda(ctx, 0, threads, backend, out);
    if (strncmp(device, "cuda:", 5) == 0) {
        const long index = strtol(device + 5, &end, 10);
        if (end != device + 5 && *end == '\0' && index >= 0 && index < 1024)
            return open_cuda(ctx, (int)index, threads, backend, out);
    }
    return lg_fail(ctx, LG_ERR_USAGE, "there is no device \"%s\": expected auto, cpu, cuda or cuda:N", device);
}

static void cpu_model(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
}

static void describe_cpu(lg_device_info *info)
{
    char model[128];
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE), cores = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_model(model, sizeof model);
    snprintf(info->name, sizeof info->name, "cpu");
    snprintf(info->detail, sizeof info->detail, "%s, %ld cores, kernels for %s", model, cores,
             lg_cpu_select_isa()->name);
    info->memory_bytes = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
    info->usable = true;
}

int lg_device_count(lg_context *ctx)
{
    (void)ctx;
#if LG_HAVE_CUDA
    const int count = lg_cuda_device_count();
    return 1 + (count > 0 ? count : 1);
#else
    return 2;
#endif
}

lg_status lg_device_describe(lg_context *ctx, int index, lg_device_info *info)
{
    memset(info, 0, sizeof *info);
    if (index < 0 || index >= lg_device_count(ctx))
        return lg_fail(ctx, LG_ERR_RANGE, "there is no device %d: this machine has %d, numbered from 0", index,
                       lg_device_count(ctx));
    if (index == 0) {
        describe_cpu(info);
        return LG_OK;
    }
#if LG_HAVE_CUDA
    lg_cuda_device_describe(index - 1, info);
#else
    snprintf(info->name, sizeof info->name, "cuda");
    snprintf(info->problem, sizeof info->problem, "%s", NO_CUDA);
#endif
    return LG_OK;
}
