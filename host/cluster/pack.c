/* Results as bytes: head, the structs as they lie in memory, then what their pointers point at. The head makes sure that
 * both ends are the same program. */
#include "cluster/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "lg_build.h"

typedef struct head {
    char build[96];
    size_t result_size, record_size, config_size;
    lg_model_id model;
    bool target, weight, last_statistics;
} head;

static head make_head(const lg_result *r)
{
    head h = {.result_size = sizeof *r,
              .record_size = sizeof *r->fit,
              .config_size = r->config_yaml ? strlen(r->config_yaml) : 0,
              .model = r->model->id,
              .target = r->target,
              .weight = r->weight,
              .last_statistics = r->last_statistics};
    snprintf(h.build, sizeof h.build, "%s %s", LG_BUILD_VERSION, LG_BUILD_COMMIT);
    return h;
}

static size_t trace_bytes(const lg_result *r, const lg_fit_record *fit)
{
    return (size_t)fit->iterations * ((size_t)r->model->params + 3) * sizeof *fit->trace;
}

/* ---- packing --------------------------------------------------------------------------------------------------- */

static void put(lg_text *out, const void *data, size_t size)
{
    if (data && size) lg_text_append(out, data, size);
}

lg_status lg_result_pack(lg_context *ctx, const lg_result *r, char **data, size_t *size)
{
    const head h = make_head(r);
    const size_t fits = (size_t)r->fits, reals = (size_t)r->statistics * sizeof(double);
    lg_text out = {0};
    put(&out, &h, sizeof h);
    put(&out, r, sizeof *r);
    put(&out, r->fit, fits * sizeof *r->fit);
    for (size_t f = 0; f < fits; f++) put(&out, r->fit[f].trace, trace_bytes(r, &r->fit[f]));
    put(&out, r->config_yaml, h.config_size);
    put(&out, r->target, reals);
    put(&out, r->weight, reals);
    put(&out, r->last_statistics, fits * reals);
    *size = out.size;
    *data = lg_text_take(&out);
    return *data ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory to send the result of %d fits", r->fits);
}

/* ---- unpacking ------------------------------------------------------------------------------------------------- */

typedef struct source {
    const char *at;
    size_t left;
    bool failed; /* too short, or no memory */
} source;

static void get(source *s, void *to, size_t size)
{
    if (s->failed || size > s->left) {
        s->failed = true;
        return;
    }
    memcpy(to, s->at, size);
    s->at += size;
    s->left -= size;
}

/* New memory with the next `size` bytes, and a zero after them. */
static void *get_new(source *s, size_t size)
{
    char *to = s->failed || size > s->left ? NULL : malloc(size + sizeof(double));
    if (!to) {
        s->failed = true;
        return NULL;
    }
    get(s, to, size);
    memset(to + size, 0, sizeof(double));
    return to;
}

static void get_result(source *s, const head *h, lg_result *r)
{
    get(s, r, sizeof *r);
    r->fit = NULL;
    r->config_yaml = NULL;
    r->target = r->weight = r->last_statistics = NULL;
    r->model = lg_model_at((int)h->model);
    if (s->failed || !r->model || r->fits < 0 || r->statistics < 0) {
        s->failed = true;
        r->fits = 0;
        return;
    }
    const size_t fits = (size_t)r->fits, reals = (size_t)r->statistics * sizeof(double);
    r->fit = get_new(s, fits * sizeof *r->fit);
    for (size_t f = 0; r->fit && f < fits; f++) r->fit[f].trace = NULL;
    for (size_t f = 0; r->fit && f < fits; f++) r->fit[f].trace = get_new(s, trace_bytes(r, &r->fit[f]));
    r->config_yaml = get_new(s, h->config_size);
    if (h->target) r->target = get_new(s, reals);
    if (h->weight) r->weight = get_new(s, reals);
    if (h->last_statistics) r->last_statistics = get_new(s, fits * reals);
}

lg_status lg_result_unpack(lg_context *ctx, const char *data, size_t size, lg_result **out)
{
    source s = {data, size, false};
    head h;
    *out = NULL;
    get(&s, &h, sizeof h);
    if (!s.failed) {
        char build[sizeof h.build];
        snprintf(build, sizeof build, "%s %s", LG_BUILD_VERSION, LG_BUILD_COMMIT);
        h.build[sizeof h.build - 1] = '\0';
        if (strcmp(build, h.build) != 0 || h.result_size != sizeof(lg_result) || h.record_size != sizeof(lg_fit_record))
            return lg_fail(ctx, LG_ERR_DATA,
                           "the processes of this job are not the same program: one is '%s', another '%s'", build,
                           h.build);
    }
    lg_result *r = calloc(1, sizeof *r);
    if (r) get_result(&s, &h, r);
    if (!r || s.failed || s.left) {
        lg_result_free(r);
        return lg_fail(ctx, LG_ERR_MEMORY, "a result of %zu bytes that another process sent cannot be taken over",
                       size);
    }
    *out = r;
    return LG_OK;
}
