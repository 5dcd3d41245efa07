/* Problems from lists of "key=value", for the tests of fit/. */
#ifndef TESTS_FIT_PROBLEMS_H
#define TESTS_FIT_PROBLEMS_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "latgrad.h"

static inline lg_status set_all(lg_context *ctx, lg_config *config, const char *const *settings)
{
    for (; *settings; settings++) {
        char key[128];
        const char *equals = strchr(*settings, '=');
        cr_assert(equals && equals - *settings < (long)sizeof key);
        memcpy(key, *settings, (size_t)(equals - *settings));
        key[equals - *settings] = '\0';
        const lg_status status = lg_config_set(ctx, config, key, equals + 1);
        if (status) return status;
    }
    return LG_OK;
}

/* The status of building a problem; *out is NULL where it failed. */
static inline lg_status try_problem(lg_context *ctx, const char *const *settings, lg_problem **out)
{
    lg_config *config;
    *out = NULL;
    cr_assert_eq(lg_config_create(ctx, &config), LG_OK);
    lg_status status = set_all(ctx, config, settings);
    if (!status) status = lg_problem_create(ctx, config, out);
    lg_config_free(config);
    return status;
}

static inline lg_problem *make_problem(lg_context *ctx, const char *const *settings)
{
    lg_problem *problem;
    const lg_status status = try_problem(ctx, settings, &problem);
    cr_assert_eq(status, LG_OK, "%s", lg_context_message(ctx));
    return problem;
}

#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
