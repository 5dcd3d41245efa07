/* Inside of a configuration: a list of settings, each with where it came from. */
#ifndef LG_CONFIG_STORE_H
#define LG_CONFIG_STORE_H

#include "config/config.h"
#include "config/options.h"

/* value NULL marks a section that a file opened ("generate: {}"). folder is what a relative path is relative to ("" for
 * the working directory). load numbers the file, 0 for --set: one file may not set a key twice. */
typedef struct lg_setting {
    char *key, *value, *origin, *folder;
    int load;
} lg_setting;

struct lg_config {
    lg_setting *setting;
    size_t count, capacity;
    int loads;
};

/* Where a setting comes from; file NULL: --set. */
typedef struct lg_source {
    const char *file;
    unsigned long line;
    const char *folder;
    int load;
} lg_source;

/* The setting with this key and a value, or NULL. */
const lg_setting *lg_config_find(const lg_config *config, const char *key);
/* Checks a value and stores it. */
lg_status lg_config_store(lg_context *ctx, lg_config *config, const lg_source *source, const char *key,
                          const char *value);
/* Notes that a section was opened. */
lg_status lg_config_open_section(lg_context *ctx, lg_config *config, const lg_source *source, const char *key);
/* "fit.yaml:12: optimizer.lr", or "--set optimizer.lr": the beginning of a message. */
void lg_source_where(const lg_source *source, const char *key, char *text, size_t size);
/* The model's descriptor; an error where model is not set. */
lg_status lg_config_model(lg_context *ctx, const lg_config *config, const lg_model_desc **out);
/* Checks the names and ranges of all parameters, once the model is known. */
lg_status lg_config_check_params(lg_context *ctx, const lg_config *config);
/* Reads a YAML file into the configuration; what was stored before an error stays. */
lg_status lg_yaml_read(lg_context *ctx, lg_config *config, const char *path);

#endif
