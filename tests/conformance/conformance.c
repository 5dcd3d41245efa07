/* latgrad_conformance [--device NAME] [--case NAME] [--quiet]: runs the table of cases on a backend, against the
 * oracle and against the cpu backend. Exit status 0 all passed, 1 failures, 2 wrong usage, 77 no such device. */
#include "conformance/conformance.h"

#include <stdio.h>
#include <string.h>

static int run(const lg_backend *backend, lg_device *device, const lg_backend *cpu, lg_device *cpu_device,
               const char *only, bool quiet)
{
    int failures = lg_case_uncovered(), cases = 0;
    for (size_t i = 0; i < lg_case_count; i++) {
        if (only && strcmp(only, lg_cases[i].name) != 0) continue;
        const lg_backend *other = backend == cpu ? NULL : cpu;
        const int failed = lg_conformance_check(backend, device, other, cpu_device, &lg_cases[i]) +
                           lg_conformance_lm(backend, device, other, cpu_device, &lg_cases[i]);
        if (!quiet) {
            printf("%-4s %s\n", failed ? "FAIL" : "ok", lg_cases[i].name);
            fflush(stdout);
        }
        failures += failed;
        cases++;
    }
    printf("%d cases, %d failures\n", cases, failures);
    return failures || !cases ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *name = "cuda", *only = NULL;
    bool quiet = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--device") && i + 1 < argc) name = argv[++i];
        else if (!strcmp(argv[i], "--case") && i + 1 < argc) only = argv[++i];
        else if (!strcmp(argv[i], "--quiet")) quiet = true;
        else {
            fprintf(stderr, "usage: %s [--device cpu|cuda|cuda:i] [--case NAME] [--quiet]\n", argv[0]);
            return 2;
        }
    }
    lg_context ctx = {0};
    const lg_backend *backend = NULL;
    lg_device *device = NULL, *cpu_device = NULL;
    /* two threads: the memory plans of the cpu backend then do not depend on the machine */
    if (lg_backend_open(&ctx, name, 2, &backend, &device)) {
        printf("skipped: %s\n", ctx.message);
        return 77;
    }
    if (lg_backend_cpu.open(&ctx, 0, 2, &cpu_device)) {
        printf("%s\n", ctx.message);
        return 1;
    }
    char text[256];
    backend->describe(device, text, sizeof text);
    printf("device: %s\n", text);
    const int status = run(backend, device, &lg_backend_cpu, cpu_device, only, quiet);
    backend->close(device);
    lg_backend_cpu.close(cpu_device);
    return status;
}
