/* The lines of a configuration as lg_config_print() writes it: slices of one job are compared by them, and the keys in
 * which slices differ are exchanged in the joined one. */
#ifndef LG_CLUSTER_CONFIG_LINES_H
#define LG_CLUSTER_CONFIG_LINES_H

#include "base/error.h"
#include "config/options.h"

typedef struct lg_config_line {
    const char *text; /* without the line's end */
    size_t length;
    char key[LG_KEY_SIZE]; /* "optimizer.lr"; a section's own line has the section's name */
} lg_config_line;

/* Steps through a text: *cursor begins as the text, line as {0}. False at the end. */
bool lg_config_next_line(const char **cursor, lg_config_line *line);
/* A whole number from its line; `fallback` where there is no such line. */
int64_t lg_config_line_int(const char *yaml, const char *key, int64_t fallback);
/* Do two configurations describe the same job? What may differ between its slices is left out: first_fit, fits, where
 * and with what they run (device, threads, memory_limit, run), outputs and checkpoints. a_name, b_name: for the message. */
lg_status lg_config_same_job(lg_context *ctx, const char *a, const char *a_name, const char *b, const char *b_name);
/* Gives a key that has a line another value, in place of *yaml; without such a line nothing happens. model: the model
 * of the configuration. */
lg_status lg_config_set_line(lg_context *ctx, char **yaml, const char *model, const char *key, const char *value);
/* Takes the line of a key out, if there is one. */
lg_status lg_config_drop_line(lg_context *ctx, char **yaml, const char *key);

#endif
