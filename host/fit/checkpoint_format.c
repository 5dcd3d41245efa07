/* The bytes of a checkpoint; the layout is at the top of checkpoint.h. */
#include "fit/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc64.h"
#include "base/file.h"

static const char magic[8] = {'L', 'G', 'C', 'K', 'P', 'T', '\r', '\n'}; /* a transfer as text would damage it */
enum { FRAME = 8 + 4 + 8 + 8 };                                          /* magic, version, size, checksum */

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Without a file bytes are counted alone: the size stands at the beginning. */
typedef struct sink {
    lg_context *ctx;
    lg_atomic *file;
    uint64_t size;
    lg_crc64 crc;
    lg_status status;
} sink;

static void put(sink *s, const void *data, size_t size)
{
    s->size += size;
    if (!s->file || s->status) return;
    lg_crc64_add(&s->crc, data, size);
    s->status = lg_atomic_write(s->ctx, s->file, data, size);
}

static void put_u64(sink *s, uint64_t value)
{
    unsigned char byte[8];
    for (int i = 0; i < 8; i++) byte[i] = (unsigned char)(value >> 8 * i);
    put(s, byte, sizeof byte);
}

static void put_u32(sink *s, uint32_t value)
{
    unsigned char byte[4];
    for (int i = 0; i < 4; i++) byte[i] = (unsigned char)(value >> 8 * i);
    put(s, byte, sizeof byte);
}

static void put_reals(sink *s, const double *value, size_t count)
{
    unsigned char block[512 * 8];
    while (count) {
        const size_t n = count < 512 ? count : 512;
        for (size_t i = 0; i < n; i++) {
            uint64_t bits;
            memcpy(&bits, &value[i], sizeof bits);
            for (int k = 0; k < 8; k++) block[8 * i + (size_t)k] = (unsigned char)(bits >> 8 * k);
        }
        put(s, block, 8 * n);
        value += n;
        count -= n;
    }
}

static void put_text(sink *s, const char *text)
{
    const size_t length = strlen(text);
    put_u32(s, (uint32_t)length);
    put(s, text, length);
}

static void put_fit(sink *s, const lg_checkpoint_file *file, const lg_checkpoint *c, size_t f)
{
    const lg_fit_record *fit = &c->result->fit[f];
    const lg_fit_state *state = &c->state[f];
    const size_t P = file->params, K = file->statistics;
    put_u32(s, (uint32_t)fit->status);
    put_u32(s, (uint32_t)state->frozen);
    put_u32(s, (uint32_t)state->bad_param);
    put_u64(s, state->updates);
    put_u64(s, (uint64_t)fit->iterations);
    put_reals(s, &fit->loss, 1);
    const double *const each[] = {fit->start, fit->params, state->x, state->m, state->v};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) put_reals(s, each[i], P);
    if (K) put_reals(s, c->result->last_statistics + f * K, K);
    put_text(s, fit->reason);
    put_reals(s, fit->trace, (size_t)fit->iterations * (P + 3));
}

static void put_all(sink *s, const lg_checkpoint_file *file, const lg_checkpoint *c, uint64_t size)
{
    put(s, magic, sizeof magic);
    put_u32(s, LG_CHECKPOINT_FORMAT);
    put_u64(s, size);
    put_u64(s, file->settings_hash);
    put_u64(s, file->data_hash);
    put_text(s, lg_version());
    put_text(s, file->settings);
    put_text(s, c->result->started);
    put_text(s, c->result->resumed);
    put_u32(s, file->first_fit);
    put_u32(s, file->fits);
    put_u32(s, file->params);
    put_u32(s, file->statistics);
    put_u64(s, (uint64_t)c->done);
    put_reals(s, &c->seconds, 1);
    for (size_t f = 0; f < file->fits; f++) put_fit(s, file, c, f);
    put_u64(s, lg_crc64_value(&s->crc));
}

lg_status lg_checkpoint_encode(lg_context *ctx, lg_atomic *out, const lg_checkpoint_file *file, const lg_checkpoint *c)
{
    sink s = {.ctx = ctx};
    lg_crc64_begin(&s.crc);
    put_all(&s, file, c, 0);
    const uint64_t size = s.size;
    s.size = 0;
    s.file = out;
    put_all(&s, file, c, size);
    return s.status;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

typedef struct source {
    const unsigned char *at, *end;
    bool failed; /* something lay past the end, or is no possible value */
} source;

static const unsigned char *take(source *s, uint64_t size)
{
    if (s->failed || size > (uint64_t)(s->end - s->at)) {
        s->failed = true;
        return NULL;
    }
    const unsigned char *at = s->at;
    s->at += size;
    return at;
}

static uint64_t number(const unsigned char *byte, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | byte[i];
    return value;
}

static uint64_t take_u64(source *s)
{
    const unsigned char *byte = take(s, 8);
    return byte ? number(byte, 8) : 0;
}

static uint32_t take_u32(source *s)
{
    const unsigned char *byte = take(s, 4);
    return byte ? (uint32_t)number(byte, 4) : 0;
}

/* to NULL: passed over */
static void take_reals(source *s, double *to, uint64_t count)
{
    const unsigned char *byte = count <= UINT64_MAX / 8 ? take(s, 8 * count) : take(s, UINT64_MAX);
    for (uint64_t i = 0; byte && to && i < count; i++) {
        const uint64_t bits = number(byte + 8 * i, 8);
        memcpy(&to[i], &bits, sizeof bits);
    }
}

/* A copy; NULL after a failure. */
static char *take_text(source *s)
{
    const uint32_t length = take_u32(s);
    const unsigned char *byte = take(s, length);
    char *text = byte ? strndup((const char *)byte, length) : NULL;
    if (!text) s->failed = true;
    return text;
}

static void take_words(source *s, char *to, size_t size)
{
    char *text = take_text(s);
    if (text && to) snprintf(to, size, "%s", text);
    free(text);
}

/* f: its place among the fits that are continued, or -1. */
static void take_fit(source *s, const lg_checkpoint_file *file, lg_checkpoint *c, int64_t done, int64_t f)
{
    lg_fit_record aside = {.trace = NULL}, *fit = f >= 0 ? &c->result->fit[f] : &aside;
    lg_fit_state unused, *state = f >= 0 ? &c->state[f] : &unused;
    const uint64_t P = file->params, K = file->statistics;
    memset(state, 0, sizeof *state);
    const uint32_t status = take_u32(s);
    state->frozen = (int32_t)take_u32(s);
    state->bad_param = (int32_t)take_u32(s);
    state->updates = take_u64(s);
    const uint64_t rows = take_u64(s);
    if (status > LG_FIT_NOT_FINITE || rows > (uint64_t)done || done > file->iterations) s->failed = true;
    if (s->failed) return;
    fit->status = (lg_fit_status)status;
    fit->iterations = (int64_t)rows;
    take_reals(s, &fit->loss, 1);
    double start[LG_MAX_PARAMS];
    double *const each[] = {start, fit->params, state->x, state->m, state->v};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) take_reals(s, each[i], P);
    take_reals(s, f >= 0 && K ? c->result->last_statistics + (uint64_t)f * K : NULL, K);
    take_words(s, fit->reason, sizeof fit->reason);
    take_reals(s, fit->trace, rows * (P + 3));
    /* start values follow from the settings: others are a damage that the hashes cannot see */
    if (f >= 0 && !s->failed && memcmp(start, fit->start, P * sizeof *start) != 0) s->failed = true;
}

/* ---- does it fit? ----------------------------------------------------------------------------------------------- */

static lg_status refuse_settings(lg_context *ctx, const char *path, const char *now, const char *then)
{
    char key[160], value_now[200], value_then[200];
    if (!lg_checkpoint_difference(now, then, key, sizeof key, value_now, value_then, sizeof value_now))
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "'%s' is the checkpoint of another configuration: continue with the one it was made with, or "
                       "start again with --force instead of --resume",
                       path);
    return lg_fail(ctx, LG_ERR_CONFIG,
                   "'%s' is the checkpoint of another configuration: %s is %s now and was %s then; continue with the "
                   "configuration "
                   "it was made with, or start again with --force instead of --resume",
                   path, key, *value_now ? value_now : "not set", *value_then ? value_then : "not set");
}

static lg_status check_range(lg_context *ctx, const char *path, const lg_checkpoint_file *file, uint32_t first,
                             uint32_t fits)
{
    if (first <= file->first_fit && (uint64_t)file->first_fit + file->fits <= (uint64_t)first + fits) return LG_OK;
    return lg_fail(ctx, LG_ERR_CONFIG,
                   "'%s' holds fits %u to %llu, and the configuration (first_fit, fits) asks for %u to %llu: "
                   "set them as they were, or start again with --force instead of --resume",
                   path, first, (unsigned long long)first + fits - 1, file->first_fit,
                   (unsigned long long)file->first_fit + file->fits - 1);
}

/* Everything before the fits. A file of another version ends here, after its frame was found whole. */
static lg_status take_head(lg_context *ctx, const char *path, source *s, const lg_checkpoint_file *file,
                           lg_checkpoint *c, uint32_t *first, uint32_t *fits)
{
    const uint64_t settings_hash = take_u64(s), data_hash = take_u64(s);
    char *version = take_text(s), *settings = take_text(s);
    lg_status status = LG_OK;
    if (!s->failed && strcmp(version, lg_version()) != 0)
        status = lg_fail(ctx, LG_ERR_CONFIG,
                         "'%s' was written by latgrad %s, and this is %s, whose results may differ: continue with %s, "
                         "or start again with --force instead of --resume",
                         path, version, lg_version(), version);
    else if (!s->failed && (settings_hash != file->settings_hash || strcmp(settings, file->settings) != 0))
        status = refuse_settings(ctx, path, file->settings, settings);
    else if (!s->failed && data_hash != file->data_hash)
        status = lg_fail(
            ctx, LG_ERR_CONFIG,
            "'%s' is the checkpoint of a fit to other data: the files that the configuration names have changed since; "
            "put them back, or start again with --force instead of --resume",
            path);
    free(version);
    free(settings);
    if (status || s->failed) return status;
    take_words(s, c->result->started, sizeof c->result->started);
    take_words(s, c->result->resumed, sizeof c->result->resumed);
    *first = take_u32(s);
    *fits = take_u32(s);
    if (take_u32(s) != file->params || take_u32(s) != file->statistics) s->failed = true;
    c->done = (int64_t)take_u64(s);
    take_reals(s, &c->seconds, 1);
    if (c->done < 0 || !(c->seconds >= 0.0)) s->failed = true;
    return s->failed ? LG_OK : check_range(ctx, path, file, *first, *fits);
}

static lg_status damaged(lg_context *ctx, const char *path, const char *why, bool *whole)
{
    *whole = false;
    return lg_fail(ctx, LG_ERR_DATA, "the checkpoint '%s' is damaged: %s", path, why);
}

lg_status lg_checkpoint_decode(lg_context *ctx, const char *path, const char *data, size_t size,
                               const lg_checkpoint_file *file, lg_checkpoint *c, bool *whole)
{
    const unsigned char *byte = (const unsigned char *)data;
    lg_crc64 crc;
    *whole = true;
    if (size < FRAME || memcmp(data, magic, sizeof magic) != 0)
        return damaged(ctx, path, "it does not begin as a checkpoint", whole);
    if (number(byte + 12, 8) != size) return damaged(ctx, path, "its length is not the one it was written with", whole);
    lg_crc64_begin(&crc);
    lg_crc64_add(&crc, data, size - 8);
    if (number(byte + size - 8, 8) != lg_crc64_value(&crc))
        return damaged(ctx, path, "its checksum does not match", whole);
    const uint32_t format = (uint32_t)number(byte + 8, 4);
    if (format != LG_CHECKPOINT_FORMAT)
        return lg_fail(
            ctx, LG_ERR_CONFIG,
            "'%s' has checkpoint format %u, and latgrad %s reads format %d: continue with the latgrad that wrote it",
            path, format, lg_version(), LG_CHECKPOINT_FORMAT);
    source s = {.at = byte + 20, .end = byte + size - 8};
    uint32_t first = 0, fits = 0;
    const lg_status status = take_head(ctx, path, &s, file, c, &first, &fits);
    if (status) return status;
    for (uint32_t i = 0; i < fits && !s.failed; i++) {
        const uint64_t g = (uint64_t)first + i;
        const bool wanted = g >= file->first_fit && g - file->first_fit < file->fits;
        take_fit(&s, file, c, c->done, wanted ? (int64_t)(g - file->first_fit) : -1);
    }
    if (s.failed || s.at != s.end)
        return damaged(ctx, path, "its checksum matches, but its contents do not fit together", whole);
    return LG_OK;
}
