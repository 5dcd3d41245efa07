/* The configuration: a list of checked settings over the defaults of the option table. */
#include "base/file.h"
#include "base/text.h"
#include "config/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SETTINGS = 1024 }; /* far more than there are keys */

static void free_setting(lg_setting *setting)
{
    free(setting->key);
    free(setting->value);
    free(setting->origin);
    free(setting->folder);
}

static lg_status no_memory(lg_context *ctx)
{
    return lg_fail(ctx, LG_ERR_MEMORY, "no memory for the configuration");
}

lg_status lg_config_create(lg_context *ctx, lg_config **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? LG_OK : no_memory(ctx);
}

void lg_config_free(lg_config *config)
{
    if (!config) return;
    for (size_t i = 0; i < config->count; i++) free_setting(&config->setting[i]);
    free(config->setting);
    free(config);
}

/* Appends a setting made of copies; value may be NULL. */
static bool append(lg_config *config, const char *key, const char *value, const char *origin, const char *folder,
                   int load)
{
    if (config->count == config->capacity) {
        const size_t capacity = config->capacity ? 2 * config->capacity : 32;
        lg_setting *grown = realloc(config->setting, capacity * sizeof *grown);
        if (!grown) return false;
        config->setting = grown;
        config->capacity = capacity;
    }
    lg_setting s = {strdup(key), value ? strdup(value) : NULL, strdup(origin), strdup(folder), load};
    if (!s.key || (value && !s.value) || !s.origin || !s.folder) {
        free_setting(&s);
        return false;
    }
    config->setting[config->count++] = s;
    return true;
}

lg_config *lg_config_copy(const lg_config *config)
{
    lg_config *copy = calloc(1, sizeof *copy);
    if (!copy) return NULL;
    copy->loads = config->loads;
    for (size_t i = 0; i < config->count; i++) {
        const lg_setting *s = &config->setting[i];
        if (!append(copy, s->key, s->value, s->origin, s->folder, s->load)) {
            lg_config_free(copy);
            return NULL;
        }
    }
    return copy;
}

static void remove_at(lg_config *config, size_t i)
{
    free_setting(&config->setting[i]);
    config->count--;
    memmove(&config->setting[i], &config->setting[i + 1], (config->count - i) * sizeof *config->setting);
}

static bool is_below(const char *key, const char *section)
{
    const size_t length = strlen(section);
    return strncmp(key, section, length) == 0 && key[length] == '.';
}

/* The setting or section mark with exactly this key. */
static lg_setting *find(const lg_config *config, const char *key)
{
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->setting[i].key, key) == 0) return &config->setting[i];
    }
    return NULL;
}

const lg_setting *lg_config_find(const lg_config *config, const char *key)
{
    const lg_setting *s = find(config, key);
    return s && s->value ? s : NULL;
}

void lg_source_where(const lg_source *source, const char *key, char *text, size_t size)
{
    if (source->file) snprintf(text, size, "%.400s:%lu: %s", source->file, source->line, key);
    else snprintf(text, size, "--set %s", key);
}

/* ---- setting -------------------------------------------------------------------------------------------------- */

static lg_status twice(lg_context *ctx, const char *where, const lg_setting *first)
{
    return lg_fail(ctx, LG_ERR_CONFIG, "%s: set twice in one file, first at %s", where, first->origin);
}

static bool same_file(const lg_setting *s, const lg_source *source)
{
    return source->load > 0 && s->load == source->load;
}

/* "params.k1" (held fixed) and "params.k1.start" (fitted) exclude each other, the later one counts. A number that is
 * given bounds or a transform later becomes the start value. */
static lg_status resolve_param(lg_context *ctx, lg_config *config, const lg_source *source, const char *where,
                               const char *key)
{
    if (lg_option_matches("params.NAME", key, false)) {
        for (size_t i = config->count; i-- > 0;) {
            lg_setting *s = &config->setting[i];
            if (!is_below(s->key, key) && (s->value || strcmp(s->key, key) != 0)) continue;
            if (same_file(s, source)) return twice(ctx, where, s);
            remove_at(config, i);
        }
        return LG_OK;
    }
    char name[LG_KEY_SIZE];
    snprintf(name, sizeof name, "%s", key);
    *strrchr(name, '.') = '\0';
    lg_setting *fixed = find(config, name);
    if (!lg_option_matches("params.NAME", name, false) || !fixed || !fixed->value) return LG_OK;
    if (same_file(fixed, source)) return twice(ctx, where, fixed);
    char *start = malloc(strlen(name) + sizeof ".start");
    if (!start) return no_memory(ctx);
    sprintf(start, "%s.start", name);
    free(fixed->key);
    fixed->key = start;
    return LG_OK;
}

static lg_status put(lg_context *ctx, lg_config *config, const lg_source *source, const char *where, const char *key,
                     const char *value)
{
    const lg_setting *old = find(config, key);
    if (old && same_file(old, source)) return twice(ctx, where, old);
    if (old) remove_at(config, (size_t)(old - config->setting));
    if (config->count >= MAX_SETTINGS)
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: more than the %d keys that a configuration can set", where,
                       MAX_SETTINGS);

    char origin[LG_MESSAGE_SIZE];
    if (source->file) snprintf(origin, sizeof origin, "%.400s:%lu", source->file, source->line);
    else snprintf(origin, sizeof origin, "--set");
    return append(config, key, value, origin, source->folder, source->load) ? LG_OK : no_memory(ctx);
}

lg_status lg_config_store(lg_context *ctx, lg_config *config, const lg_source *source, const char *key,
                          const char *value)
{
    char where[LG_MESSAGE_SIZE], *checked;
    lg_source_where(source, key, where, sizeof where);
    const lg_option_row *row = strlen(key) < LG_KEY_SIZE ? lg_option_find(key) : NULL;
    if (!row) return lg_option_unknown(ctx, where, key);
    lg_status status = lg_value_check(ctx, where, row, value, &checked);
    if (!status && strncmp(key, "params.", 7) == 0) status = resolve_param(ctx, config, source, where, key);
    if (!status) status = put(ctx, config, source, where, key, checked);
    free(checked);
    return status;
}

lg_status lg_config_open_section(lg_context *ctx, lg_config *config, const lg_source *source, const char *key)
{
    char where[LG_MESSAGE_SIZE], start[LG_KEY_SIZE + 8];
    lg_source_where(source, key, where, sizeof where);
    if (lg_option_matches("params.NAME", key, false)) { /* {} alone makes a parameter a fitted one */
        snprintf(start, sizeof start, "%s.bounds", key);
        const lg_status status = resolve_param(ctx, config, source, where, start);
        if (status) return status;
    }
    return put(ctx, config, source, where, key, NULL);
}

/* Takes over what was built in `next` if all went well, so that an error leaves the configuration as it was. */
static lg_status finish(lg_context *ctx, lg_config *config, lg_config *next, lg_status status)
{
    if (!status) status = lg_config_check_params(ctx, next);
    if (!status) {
        const lg_config old = *config;
        *config = *next;
        *next = old;
    }
    lg_config_free(next);
    return status;
}

lg_status lg_config_set(lg_context *ctx, lg_config *config, const char *key, const char *value)
{
    const lg_source source = {NULL, 0, "", 0};
    lg_config *next = lg_config_copy(config);
    if (!next) return no_memory(ctx);
    return finish(ctx, config, next, lg_config_store(ctx, next, &source, key, value));
}

lg_status lg_config_load(lg_context *ctx, lg_config *config, const char *path)
{
    lg_config *next = lg_config_copy(config);
    if (!next) return no_memory(ctx);
    next->loads++;
    return finish(ctx, config, next, lg_yaml_read(ctx, next, path));
}

/* ---- getting -------------------------------------------------------------------------------------------------- */

const char *lg_config_get(const lg_config *config, const char *key)
{
    const lg_setting *s = lg_config_find(config, key);
    if (s) return s->value;
    const lg_option_row *row = lg_option_find(key);
    if (!row || strcmp(key, "model") == 0) return NULL;
    const char *model = lg_config_get(config, "model");
    const char *task = strcmp(key, "task") == 0 ? NULL : lg_config_get(config, "task");
    const char *value = lg_option_default(row, model ? model : "", task ? task : "", config);
    return value && *value == '=' ? lg_config_get(config, value + 1) : value;
}

bool lg_config_is_set(const lg_config *config, const char *key)
{
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->setting[i].key, key) == 0 || is_below(config->setting[i].key, key)) return true;
    }
    return false;
}

const char *lg_config_origin(const lg_config *config, const char *key)
{
    const lg_setting *s = find(config, key);
    for (size_t i = 0; !s && i < config->count; i++) {
        if (is_below(config->setting[i].key, key)) s = &config->setting[i];
    }
    return s ? s->origin : "default";
}

/* The value of a key for a typed getter; a missing one is the user's error, a wrong type the caller's. */
static lg_status value_of(lg_context *ctx, const lg_config *config, const char *key, unsigned types, const char **out)
{
    const lg_option_row *row = lg_option_find(key);
    if (!row || !(types & 1u << row->option.type)) {
        return lg_fail(ctx, LG_ERR_INTERNAL, "configuration key '%s' is unknown or of another type", key);
    }
    *out = lg_config_get(config, key);
    if (*out) return LG_OK;
    if (!lg_config_find(config, "model")) {
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s has no value: its default depends on model, which is not set; set model to si, prw or mk",
                       key);
    }
    return lg_fail(ctx, LG_ERR_CONFIG, "%s has no value: set it in the file or with --set %s=...", key, key);
}

lg_status lg_config_text(lg_context *ctx, const lg_config *config, const char *key, const char **out)
{
    *out = lg_config_get(config, key);
    if (*out || lg_option_find(key)) return LG_OK;
    return lg_fail(ctx, LG_ERR_INTERNAL, "configuration key '%s' is unknown", key);
}

lg_status lg_config_real(lg_context *ctx, const lg_config *config, const char *key, double *out)
{
    const char *text;
    const lg_status status = value_of(ctx, config, key, 1u << LG_OPT_REAL | 1u << LG_OPT_INT, &text);
    if (status) return status;
    return lg_parse_double(text, out) ? LG_OK : lg_fail(ctx, LG_ERR_INTERNAL, "%s: '%s' is not a number", key, text);
}

/* Values from 2^63 on (seeds) come back as the int64_t with the same bits: (uint64_t)*out is the value. */
lg_status lg_config_int(lg_context *ctx, const lg_config *config, const char *key, int64_t *out)
{
    const char *text;
    uint64_t bits;
    const lg_status status = value_of(ctx, config, key, 1u << LG_OPT_INT, &text);
    if (status) return status;
    if (lg_parse_int(text, out)) return LG_OK;
    if (!lg_parse_uint(text, &bits)) return lg_fail(ctx, LG_ERR_INTERNAL, "%s: '%s' is not a whole number", key, text);
    memcpy(out, &bits, sizeof bits);
    return LG_OK;
}

lg_status lg_config_bool(lg_context *ctx, const lg_config *config, const char *key, bool *out)
{
    const char *text;
    const lg_status status = value_of(ctx, config, key, 1u << LG_OPT_BOOL, &text);
    if (status) return status;
    *out = strcmp(text, "true") == 0;
    return LG_OK;
}

/* Is this the name of a start state of some model? */
static bool is_start_state(const char *name)
{
    const size_t length = strlen(name);
    for (int m = 0; m < lg_model_count(); m++) {
        const char *list = lg_model_at(m)->start_states;
        while (list && *list) {
            const size_t n = strcspn(list, "|");
            if (n == length && memcmp(list, name, n) == 0) return true;
            list += n + (list[n] == '|');
        }
    }
    return false;
}

char *lg_config_path(const lg_config *config, const char *key)
{
    const lg_option_row *row = lg_option_find(key);
    const char *value = lg_config_get(config, key);
    if (!row || !value || row->kind == LG_KIND_VALUE) return NULL;
    if (row->kind == LG_KIND_STATE && is_start_state(value)) return NULL;
    const lg_setting *s = lg_config_find(config, key);
    return lg_path_join(s ? s->folder : "", value);
}
