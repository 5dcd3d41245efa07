/* Configurations of the tests: from text in a temporary file, and what their messages say. */
#ifndef TESTS_CONFIG_HELPERS_H
#define TESTS_CONFIG_HELPERS_H

#include <criterion/criterion.h>

#include "base/error.h"
#include "config/config.h"
#include "lg_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct fixture {
    lg_context *ctx;
    lg_config *config;
    char folder[32], path[64];
} fixture;

static inline fixture begin(void)
{
    fixture f = {.folder = "/tmp/latgrad-config-XXXXXX"};
    cr_assert_not_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/fit.yaml", f.folder);
    cr_assert_eq(lg_context_create(&f.ctx), LG_OK);
    cr_assert_eq(lg_config_create(f.ctx, &f.config), LG_OK);
    return f;
}

static inline void end(fixture *f)
{
    unlink(f->path);
    rmdir(f->folder);
    lg_config_free(f->config);
    lg_context_free(f->ctx);
}

static inline lg_status load_bytes(fixture *f, const char *data, size_t size)
{
    FILE *file = fopen(f->path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    fclose(file);
    return lg_config_load(f->ctx, f->config, f->path);
}

static inline lg_status load(fixture *f, const char *yaml)
{
    return load_bytes(f, yaml, strlen(yaml));
}

static inline void load_ok(fixture *f, const char *yaml)
{
    cr_assert_eq(load(f, yaml), LG_OK, "%s\n%s", lg_context_message(f->ctx), yaml);
}

static inline void set_ok(fixture *f, const char *key, const char *value)
{
    cr_assert_eq(lg_config_set(f->ctx, f->config, key, value), LG_OK, "%s", lg_context_message(f->ctx));
}

static inline void expect_message(const fixture *f, const char *part)
{
    const char *message = lg_context_message(f->ctx);
    cr_assert_not_null(strstr(message, part), "the message was: %s\nand should contain: %s", message, part);
}

static inline void expect_value(const fixture *f, const char *key, const char *value)
{
    const char *got = lg_config_get(f->config, key);
    if (!value) cr_assert_null(got, "%s is %s and should have no value", key, got);
    else cr_assert(got && strcmp(got, value) == 0, "%s is %s and should be %s", key, got ? got : "unset", value);
}

#if LG_HAVE_YAML
#define NEEDS_YAML() ((void)0)
#else
#define NEEDS_YAML() cr_skip_test("built without libyaml")
#endif

#endif
