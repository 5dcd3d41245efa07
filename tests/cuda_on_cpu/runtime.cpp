/* CUDA on the CPU: the runtime. Memory with guards, streams, graphs, and the errors that a test asks for. */
#include "machine.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <vector>

using namespace lg_emu;

static struct {
    std::map<uintptr_t, size_t> memory; /* allocations: start and bytes */
    size_t used, total;
    std::set<cudaStream_t> streams;
    unsigned captures;      /* streams that are being captured */
    cudaError_t fail, last; /* what a test asks for; what cudaGetLastError gives */
} device;

struct lg_emu_graph {
    std::vector<std::function<void()>> nodes;
};
struct lg_emu_graph_exec {
    std::vector<std::function<void()>> nodes;
};
struct lg_emu_stream {
    lg_emu_graph *capture;
};

static cudaError_t note(cudaError_t error)
{
    if (error != cudaSuccess) device.last = error;
    return error;
}

void lg_emu::submit(cudaStream_t stream, const std::function<void()> &work)
{
    if (stream && stream->capture) stream->capture->nodes.push_back(work);
    else work();
}

void lg_emu_submit(const lg_emu_kernel &kernel, cudaStream_t stream)
{
    if (device.fail == cudaErrorNoKernelImageForDevice) {
        note(device.fail);
        return;
    }
    submit(stream, [kernel]() { run_kernel(kernel); });
}

void lg_emu::check_range(const void *pointer, size_t bytes, const char *what)
{
    const uintptr_t p = reinterpret_cast<uintptr_t>(pointer);
    auto block = device.memory.upper_bound(p);
    if (block == device.memory.begin()) violation("%s: %p is not device memory", what, pointer);
    --block;
    if (p - block->first > block->second || bytes > block->second - (p - block->first))
        violation("%s: %zu bytes at offset %zu of an allocation of %zu", what, bytes, p - block->first, block->second);
}

static void check_host(const void *pointer, const char *what)
{
    const uintptr_t p = reinterpret_cast<uintptr_t>(pointer);
    auto block = device.memory.upper_bound(p);
    if (block == device.memory.begin()) return;
    --block;
    if (p - block->first < block->second) violation("%s: device memory where host memory is meant", what);
}

bool lg_emu::capturing()
{
    return device.captures > 0;
}

bool lg_emu::is_stream(cudaStream_t stream)
{
    return device.streams.count(stream) > 0;
}

/* ---- control ---------------------------------------------------------------------------------------------------- */

void lg_emu_fail_with(cudaError_t error)
{
    device.fail = error;
}

void lg_emu_set_memory(size_t bytes)
{
    device.total = bytes;
}

size_t lg_emu_allocated(void)
{
    return device.used;
}

/* ---- devices and errors ----------------------------------------------------------------------------------------- */

static cudaError_t device_state()
{
    return device.fail == cudaErrorNoDevice || device.fail == cudaErrorInsufficientDriver ? note(device.fail)
                                                                                          : cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    const cudaError_t state = device_state();
    *count = state ? 0 : 1;
    return state;
}

cudaError_t cudaSetDevice(int device)
{
    if (device != 0) return note(cudaErrorInvalidDevice);
    return device_state();
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "CUDA on the CPU");
    properties->major = the_device.major;
    properties->multiProcessorCount = 4;
    properties->sharedMemPerBlockOptin = SHARED_MAX;
    properties->totalGlobalMem = device.total ? device.total : static_cast<size_t>(1) << 30;
    return device_state();
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = device.fail == cudaErrorInsufficientDriver ? 11040 : 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    *total = device.total ? device.total : static_cast<size_t>(1) << 30;
    *free_bytes = *total > device.used ? *total - device.used : 0;
    return cudaSuccess;
}

cudaError_t cudaGetLastError()
{
    const cudaError_t error = device.last;
    device.last = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError()
{
    return device.last;
}

const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaSuccess ? "cudaSuccess" : "cudaError";
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    default: return "error";
    }
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    size_t available, total;
    if (capturing()) violation("cudaMalloc during the capture of a graph");
    cudaMemGetInfo(&available, &total);
    if (bytes > available || device.fail == cudaErrorMemoryAllocation) return note(cudaErrorMemoryAllocation);
    void *room = NULL;
    if (posix_memalign(&room, 256, bytes + SLACK)) return note(cudaErrorMemoryAllocation);
    unsigned char *p = static_cast<unsigned char *>(room);
    memset(p, GARBAGE, bytes);
    memset(p + bytes, SENTINEL_BYTE, SLACK);
    device.memory[reinterpret_cast<uintptr_t>(p)] = bytes;
    device.used += bytes;
    *pointer = p;
    return cudaSuccess;
}

cudaError_t cudaFree(void *pointer)
{
    if (!pointer) return cudaSuccess;
    const auto block = device.memory.find(reinterpret_cast<uintptr_t>(pointer));
    if (block == device.memory.end()) violation("cudaFree of %p, which cudaMalloc did not give", pointer);
    const unsigned char *end = static_cast<unsigned char *>(pointer) + block->second;
    for (int i = 0; i < SLACK; i++)
        if (end[i] != SENTINEL_BYTE)
            violation("something wrote %d bytes behind an allocation of %zu", i, block->second);
    device.used -= block->second;
    device.memory.erase(block);
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    submit(stream, [=]() {
        if (kind == cudaMemcpyDeviceToHost) check_host(to, "copy to host");
        else check_range(to, bytes, "copy to device");
        if (kind == cudaMemcpyHostToDevice) check_host(from, "copy from host");
        else check_range(from, bytes, "copy from device");
        memcpy(to, from, bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    submit(stream, [=]() {
        check_range(to, bytes, "fill");
        memset(to, value, bytes);
    });
    return cudaSuccess;
}

/* ---- streams and graphs ----------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    *stream = new lg_emu_stream{nullptr};
    device.streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    device.streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (stream && stream->capture) violation("synchronisation inside a graph capture");
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    stream->capture = new lg_emu_graph;
    device.captures++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = stream->capture;
    stream->capture = nullptr;
    device.captures--;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new lg_emu_graph_exec{graph->nodes};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
    for (const auto &node : exec->nodes) node();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t lg_emu_allow_shared(const void *kernel, int bytes)
{
    if (bytes > SHARED_MAX) return cudaErrorInvalidValue;
    the_device.allowed[kernel] = bytes;
    return cudaSuccess;
}
