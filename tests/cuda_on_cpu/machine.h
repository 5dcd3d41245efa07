/* Inside CUDA on the CPU: what the scheduler (scheduler.cpp), the runtime (runtime.cpp) and the libraries (libraries.cpp)
 * share. */
#ifndef LG_TESTS_MACHINE_H
#define LG_TESTS_MACHINE_H

#include "cuda_on_cpu.h"

#include <map>

#if defined(__SANITIZE_ADDRESS__)
#define LG_EMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LG_EMU_ASAN 1
#endif
#endif

namespace lg_emu {

/* The device in common. */
struct board {
    const char *kernel; /* or function of a library that runs; NULL: none */
    int major = 9;
    std::map<const void *, int> allowed; /* shared memory of a kernel above the limit of all */
};
extern board the_device;

/* Behind an allocation: bytes that are checked, or nothing where the address sanitizer guards its end. */
#ifdef LG_EMU_ASAN
enum { SLACK = 0 };
#else
enum { SLACK = 64 };
#endif
enum { SENTINEL_BYTE = 0x5a, GARBAGE = 0xcd, SHARED_DEFAULT = 48 * 1024, SHARED_MAX = 227 * 1024 };

/* A rule of the device is broken: says so and aborts. */
[[noreturn]] void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
void run_kernel(const lg_emu_kernel &kernel);
/* Runs now, or is kept for the graph being captured. */
void submit(cudaStream_t stream, const std::function<void()> &work);
bool capturing(); /* some stream is */
bool is_stream(cudaStream_t stream);
/* Violations where the bytes are not all in one allocation of the device. */
void check_range(const void *pointer, size_t bytes, const char *what);

} // namespace lg_emu

#endif
