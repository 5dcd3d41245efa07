/* A context and the cpu backend's device on two threads, for test suites whose .init and .fini are these. */
#ifndef TESTS_BASE_DEVICE_H
#define TESTS_BASE_DEVICE_H

#include <criterion/criterion.h>

#include "backend/backend.h"

static lg_context *ctx;
static lg_device *device;

static inline void open_device(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    cr_assert_eq(lg_backend_cpu.open(ctx, 0, 2, &device), LG_OK);
}

static inline void close_device(void)
{
    lg_backend_cpu.close(device);
    lg_context_free(ctx);
}

#endif
