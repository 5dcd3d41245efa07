/* The CUDA device: opening it, and what its errors mean. The backend's table of functions is at the end of run.cu. */
#include "device.cuh"

/* ---- errors ----------------------------------------------------------------------------------------------------- */

static lg_status driver_too_old(lg_context *ctx, const char *doing)
{
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (driver == 0)
        return lg_fail(ctx, LG_ERR_DEVICE,
                       "%s: no NVIDIA driver is installed on this machine; install one, or use --device cpu", doing);
    return lg_fail(
        ctx, LG_ERR_DEVICE,
        "%s: the NVIDIA driver serves CUDA up to %d.%d, this build needs %d.%d: update the driver, build with an older "
        "CUDA toolkit, or use --device cpu",
        doing, driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}

static lg_status no_kernel_image(lg_context *ctx, const char *doing)
{
    cudaDeviceProp p;
    memset(&p, 0, sizeof p);
    cudaGetDeviceProperties(&p, 0);
    return lg_fail(ctx, LG_ERR_DEVICE,
                   "%s: this build has no kernels for the GPU %s (compute capability %d.%d): configure with "
                   "-DCMAKE_CUDA_ARCHITECTURES=%d%d or native and build again, or use --device cpu",
                   doing, p.name, p.major, p.minor, p.major, p.minor);
}

lg_status lg_cuda_status(lg_context *ctx, cudaError_t error, const char *doing)
{
    if (error == cudaSuccess) return LG_OK;
    cudaGetLastError(); /* the error is reported once */
    switch (error) {
    case cudaErrorNoDevice:
        return lg_fail(ctx, LG_ERR_DEVICE, "%s: no NVIDIA GPU was found (does nvidia-smi list one?); use --device cpu",
                       doing);
    case cudaErrorInsufficientDriver: return driver_too_old(ctx, doing);
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion: return no_kernel_image(ctx, doing);
    case cudaErrorMemoryAllocation: {
        size_t available = 0, total = 0;
        cudaMemGetInfo(&available, &total);
        cudaGetLastError();
        return lg_fail(ctx, LG_ERR_MEMORY,
                       "%s: out of GPU memory, %.1f of %.1f MiB are free: use fewer replicates, fits or steps, or set "
                       "memory_limit "
                       "lower so that the tape is kept in segments",
                       doing, (double)available / 1048576.0, (double)total / 1048576.0);
    }
    default:
        return lg_fail(ctx, LG_ERR_DEVICE, "%s: CUDA reports %s (%s)", doing, cudaGetErrorName(error),
                       cudaGetErrorString(error));
    }
}

/* ---- device ----------------------------------------------------------------------------------------------------- */

extern "C" int lg_cuda_device_count(void)
{
    int count = 0;
    if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
    cudaGetLastError();
    return 0;
}

static __global__ void device_probe(int *out)
{
    *out = 1;
}

/* Runs a kernel of this build, so that a missing kernel image is found here and not in the middle of a fit. */
static cudaError_t probe(void)
{
    int *memory = NULL;
    cudaStream_t stream = NULL;
    cudaError_t error = cudaMalloc((void **)&memory, sizeof *memory);
    if (!error) error = cudaStreamCreate(&stream);
    if (!error) {
        LG_LAUNCH(device_probe, dim3(1), dim3(1), 0, stream, memory);
        error = cudaPeekAtLastError();
        const cudaError_t done = cudaStreamSynchronize(stream);
        if (!error) error = done;
        cudaStreamDestroy(stream);
    }
    cudaFree(memory);
    return error;
}

extern "C" void lg_cuda_device_describe(int index, lg_device_info *info)
{
    lg_context ctx;
    lg_device *device = NULL;
    memset(&ctx, 0, sizeof ctx);
    snprintf(info->name, sizeof info->name, "cuda:%d", index);
    info->usable = lg_cuda_open(&ctx, index, 0, &device) == LG_OK;
    snprintf(info->problem, sizeof info->problem, "%.255s", ctx.message);
    if (!device) return;
    info->memory_bytes = device->memory;
    snprintf(info->detail, sizeof info->detail, "%.200s, compute capability %d.%d, %d multiprocessors", device->name,
             device->major, device->minor, device->sms);
    lg_cuda_close(device);
}

lg_status lg_cuda_open(lg_context *ctx, int index, int, lg_device **out)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error || count == 0) return lg_cuda_status(ctx, error ? error : cudaErrorNoDevice, "opening a CUDA device");
    if (index < 0 || index >= count)
        return lg_fail(ctx, LG_ERR_DEVICE, "device cuda:%d: there %s %d CUDA device%s, cuda:0 to cuda:%d", index,
                       count == 1 ? "is" : "are", count, count == 1 ? "" : "s", count - 1);
    cudaDeviceProp p;
    error = cudaSetDevice(index);
    if (!error) error = cudaGetDeviceProperties(&p, index);
    if (!error) error = probe();
    if (error) return lg_cuda_status(ctx, error, "opening a CUDA device");
    lg_device *d = (lg_device *)calloc(1, sizeof *d);
    if (!d) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory while opening a CUDA device");
    d->index = index;
    d->sms = p.multiProcessorCount;
    d->shared_limit = (int)p.sharedMemPerBlockOptin;
    d->major = p.major;
    d->minor = p.minor;
    d->memory = p.totalGlobalMem;
    snprintf(d->name, sizeof d->name, "%s", p.name);
    *out = d;
    return LG_OK;
}

void lg_cuda_close(lg_device *device)
{
    free(device);
}

void lg_cuda_describe(const lg_device *device, char *text, size_t size)
{
    snprintf(text, size, "cuda:%d (%s, sm_%d%d, %d multiprocessors, %.0f GiB)", device->index, device->name,
             device->major, device->minor, device->sms, (double)device->memory / 1073741824.0);
}
