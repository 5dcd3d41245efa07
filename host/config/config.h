/* Typed access to a configuration, for the problem builder. Every getter names the key in its message and gives the
 * default of the option table, which may depend on model and task. */
#ifndef LG_CONFIG_CONFIG_H
#define LG_CONFIG_CONFIG_H

#include "latgrad.h"

/* One parameter's setting. `k1: 0.98` fixes it, `k1: {start: 0.5, bounds: [0, 1], transform: logit}` fits it; a parameter
 * that is not mentioned is fitted from the model's default start where nothing at all is said about parameters,
 * and an error otherwise. */
typedef struct lg_param_setting {
    bool given, fitted;
    double start;
    bool has_bounds;
    double lower, upper;
    const char *transform; /* "none", "logit" or NULL: the model's default */
} lg_param_setting;

lg_status lg_config_text(lg_context *ctx, const lg_config *config, const char *key,
                         const char **out); /* NULL if unset */
lg_status lg_config_real(lg_context *ctx, const lg_config *config, const char *key, double *out);
lg_status lg_config_int(lg_context *ctx, const lg_config *config, const char *key, int64_t *out);
lg_status lg_config_bool(lg_context *ctx, const lg_config *config, const char *key, bool *out);
/* Did the user set this key (file or --set)? */
bool lg_config_is_set(const lg_config *config, const char *key);
lg_status lg_config_param(lg_context *ctx, const lg_config *config, const char *name, lg_param_setting *out);
/* data.generate.params.NAME; *given false where absent. */
lg_status lg_config_generate_param(lg_context *ctx, const lg_config *config, const char *name, bool *given,
                                   double *out);
/* Where a key was set, for messages of later checks: "fit.yaml:12" or "--set"; "default" otherwise. */
const char *lg_config_origin(const lg_config *config, const char *key);
/* A file path given in a config file is relative to that file; release with free(). NULL where the key is unset. */
char *lg_config_path(const lg_config *config, const char *key);
lg_config *lg_config_copy(const lg_config *config);

#endif
