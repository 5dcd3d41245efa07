/* Golden vectors: reading the arrays of a case, and comparing with them. */
#ifndef LG_TESTS_GOLDEN_H
#define LG_TESTS_GOLDEN_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "latgrad.h"

enum { GOLDEN_PATH = 4096 };

/* The folder of a case: the copy in tests/data, or else the shared folder; skips the test where it is in neither. */
static inline void golden_folder(const char *name, char *folder)
{
    snprintf(folder, GOLDEN_PATH, "%s/golden/%s", LG_TEST_DATA, name);
    if (access(folder, R_OK) == 0) return;
    snprintf(folder, GOLDEN_PATH, "%s/golden/%s", LG_SHARED, name);
    if (access(folder, R_OK) != 0) cr_skip_test("golden case %s is not here", name);
}

static inline lg_array golden_read(const char *folder, const char *name)
{
    char path[GOLDEN_PATH + 64];
    lg_context *ctx;
    lg_array array;
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    cr_assert_eq(lg_array_read(ctx, path, &array), LG_OK, "%s", lg_context_message(ctx));
    lg_context_free(ctx);
    return array;
}

static inline void golden_equals_ints(const char *folder, const char *name, const int32_t *values, size_t count)
{
    lg_array a = golden_read(folder, name);
    cr_assert_eq(lg_array_size(&a), count, "%s/%s has %zu elements, not %zu", folder, name, lg_array_size(&a), count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq((double)values[i], lg_array_get(&a, i), "%s/%s[%zu]: %d, golden %g", folder, name, i, values[i],
                     lg_array_get(&a, i));
    lg_array_clear(&a);
}

/* Relative to the largest element of the array: 1e-9 is what the golden vectors promise of any double-precision
 * code. */
static inline void golden_equals(const char *folder, const char *name, const double *values, size_t count)
{
    lg_array a = golden_read(folder, name);
    double scale = 0.0;
    cr_assert_eq(lg_array_size(&a), count, "%s/%s has %zu elements, not %zu", folder, name, lg_array_size(&a), count);
    for (size_t i = 0; i < count; i++) scale = fmax(scale, fabs(lg_array_get(&a, i)));
    for (size_t i = 0; i < count; i++) {
        const double d = fabs(values[i] - lg_array_get(&a, i));
        cr_assert(d <= 1e-9 * scale, "%s/%s[%zu]: %.17g, golden %.17g", folder, name, i, values[i],
                  lg_array_get(&a, i));
    }
    lg_array_clear(&a);
}

#endif
