/* latgrad_conformance [--device NAME] [--brief] [--quiet] [CASE...]: runs the table of cases, or those named, on a backend,
 * against the oracle and against the cpu backend. --brief: one evaluation and a fit of two iterations each, compared with
 * nothing, for tools that watch them. Exit status 0 all passed, 1 failures, 2 wrong usage, 77 no such device. */
#include "conformance/conformance.h"

#include <stdio.h>
#include <string.h>

typedef struct runner {
    const lg_backend *backend;
    lg_device *device, *cpu;
    bool brief, quiet;
} runner;

static int run_case(const runner *r, const lg_case *c)
{
    const lg_backend *other = r->backend == &lg_backend_cpu ? NULL : &lg_backend_cpu;
    if (!r->brief)
        return lg_conformance_check(r->backend, r->device, other, r->cpu, c) +
               lg_conformance_lm(r->backend, r->device, other, r->cpu, c);
    lg_record record = {0};
    const bool ok = lg_conformance_record(r->backend, r->device, c, &record);
    lg_record_clear(&record);
    return !ok;
}

/* All cases, or those of the given names, each of which must exist. */
static int run(const runner *r, char *const *names, int count)
{
    int failures = lg_case_uncovered(), cases = 0;
    for (size_t i = 0; i < lg_case_count; i++) {
        bool wanted = count == 0;
        for (int k = 0; k < count; k++) wanted |= !strcmp(names[k], lg_cases[i].name);
        if (!wanted) continue;
        const int failed = run_case(r, &lg_cases[i]);
        if (!r->quiet) {
            printf("%-4s %s\n", failed ? "FAIL" : "ok", lg_cases[i].name);
            fflush(stdout);
        }
        failures += failed;
        cases++;
    }
    printf("%d cases, %d failures\n", cases, failures);
    if (count > 0 && cases != count) printf("%d names were given: there is no case of some of them\n", count);
    return failures || !cases || (count > 0 && cases != count) ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *name = "cuda";
    runner r = {0};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--device") && i + 1 < argc) name = argv[++i];
        else if (!strcmp(argv[i], "--quiet")) r.quiet = true;
        else if (!strcmp(argv[i], "--brief")) r.brief = true;
        else {
            fprintf(stderr, "usage: %s [--device cpu|cuda|cuda:i] [--brief] [--quiet] [CASE...]\n", argv[0]);
            return 2;
        }
    }
    lg_context ctx = {0};
    /* two threads: the memory plans of the cpu backend then do not depend on the machine */
    if (lg_backend_open(&ctx, name, 2, &r.backend, &r.device)) {
        printf("skipped: %s\n", ctx.message);
        return 77;
    }
    if (lg_backend_cpu.open(&ctx, 0, 2, &r.cpu)) {
        printf("%s\n", ctx.message);
        return 1;
    }
    char text[256];
    r.backend->describe(r.device, text, sizeof text);
    printf("device: %s\n", text);
    const int status = run(&r, argv + i, argc - i);
    r.backend->close(r.device);
    lg_backend_cpu.close(r.cpu);
    return status;
}
