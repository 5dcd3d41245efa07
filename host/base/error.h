/* The one way to fail: lg_fail() stores the sentence in the context and returns the code. */
#ifndef LG_BASE_ERROR_H
#define LG_BASE_ERROR_H

#include "latgrad.h"

enum { LG_MESSAGE_SIZE = 1024 };

struct lg_context {
    char message[LG_MESSAGE_SIZE];
    lg_log_fn log;
    void *log_user;
};

/* Stores the message and returns status, so that `return lg_fail(...)` reads as one statement. ctx may be NULL. */
lg_status lg_fail(lg_context *ctx, lg_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "text: " before the stored message (where it happened) and returns status unchanged. */
lg_status lg_fail_in(lg_context *ctx, lg_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void lg_log(lg_context *ctx, lg_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
