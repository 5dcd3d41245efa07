#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *lg_status_name(lg_status status)
{
    switch (status) {
#define LG_STATUS_CASE(name, exit_status, text) \
    case name: return #name;
        LG_STATUS_LIST(LG_STATUS_CASE)
#undef LG_STATUS_CASE
    }
    return "LG_UNKNOWN";
}

const char *lg_status_text(lg_status status)
{
    switch (status) {
#define LG_STATUS_CASE(name, exit_status, text) \
    case name: return text;
        LG_STATUS_LIST(LG_STATUS_CASE)
#undef LG_STATUS_CASE
    }
    return "unknown status";
}

int lg_status_exit(lg_status status)
{
    switch (status) {
#define LG_STATUS_CASE(name, exit_status, text) \
    case name: return exit_status;
        LG_STATUS_LIST(LG_STATUS_CASE)
#undef LG_STATUS_CASE
    }
    return 1;
}

lg_status lg_context_create(lg_context **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? LG_OK : LG_ERR_MEMORY;
}

void lg_context_free(lg_context *ctx)
{
    free(ctx);
}

const char *lg_context_message(const lg_context *ctx)
{
    return ctx ? ctx->message : "";
}

void lg_context_set_log(lg_context *ctx, lg_log_fn log, void *user)
{
    ctx->log = log;
    ctx->log_user = user;
}

void lg_free(void *memory)
{
    free(memory);
}

lg_status lg_fail(lg_context *ctx, lg_status status, const char *format, ...)
{
    if (ctx) {
        va_list args;
        va_start(args, format);
        vsnprintf(ctx->message, sizeof ctx->message, format, args);
        va_end(args);
    }
    return status;
}

lg_status lg_fail_in(lg_context *ctx, lg_status status, const char *format, ...)
{
    if (ctx) {
        char before[LG_MESSAGE_SIZE];
        va_list args;
        va_start(args, format);
        vsnprintf(before, sizeof before, format, args);
        va_end(args);
        const size_t used = strlen(before) + 2, old = strlen(ctx->message);
        if (used < sizeof ctx->message) {
            const size_t kept = old < sizeof ctx->message - 1 - used ? old : sizeof ctx->message - 1 - used;
            memmove(ctx->message + used, ctx->message, kept);
            memcpy(ctx->message, before, used - 2);
            memcpy(ctx->message + used - 2, ": ", 2);
            ctx->message[used + kept] = '\0';
        }
    }
    return status;
}

void lg_log(lg_context *ctx, lg_log_level level, const char *format, ...)
{
    if (!ctx || !ctx->log) return;
    char line[LG_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ctx->log(level, line, ctx->log_user);
}
