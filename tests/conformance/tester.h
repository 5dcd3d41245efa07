/* One case on one device, and what its checks report. */
#ifndef LG_TESTS_TESTER_H
#define LG_TESTS_TESTER_H

#include "backend/backend.h"
#include "conformance/conformance.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct tester {
    const char *name;
    lg_context ctx;
    const lg_backend *backend;
    lg_device *device;
    int failures;
} tester;

static inline void fail(tester *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void fail(tester *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s: ", t->name);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    t->failures++;
    if (lg_conformance_failed) lg_conformance_failed(t->name);
}

static inline bool good(tester *t, lg_status status, const char *what)
{
    if (status) fail(t, "%s: %s: %s", what, lg_status_name(status), t->ctx.message);
    return status == LG_OK;
}

static inline void same_bytes(tester *t, const void *a, const void *b, size_t bytes, const char *what)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i]) {
            fail(t, "%s: byte %zu of %zu differs (%u, %u)", what, i, bytes, ((const uint8_t *)a)[i],
                 ((const uint8_t *)b)[i]);
            return;
        }
}

#endif
