/* The functions over the table of keys. */
#include "config/options.h"
#include "base/text.h"
#include "config/config.h"
#include "config/option_table.h"

#include <stdio.h>
#include <string.h>

int lg_option_count(void)
{
    return lg_option_row_count;
}

const lg_option_row *lg_option_row_at(int index)
{
    return index >= 0 && index < lg_option_row_count ? &lg_option_rows[index] : NULL;
}

const lg_option *lg_option_at(int index)
{
    return index >= 0 && index < lg_option_row_count ? &lg_option_rows[index].option : NULL;
}

bool lg_option_matches(const char *pattern, const char *key, bool prefix)
{
    for (;;) {
        const size_t p = strcspn(pattern, "."), k = strcspn(key, ".");
        const bool name = p == 4 && memcmp(pattern, "NAME", 4) == 0;
        if (name ? k == 0 : (p != k || memcmp(pattern, key, p) != 0)) return false;
        pattern += p;
        key += k;
        if (!*key) return prefix ? *pattern == '.' : !*pattern;
        if (!*pattern) return false;
        pattern++;
        key++;
    }
}

const lg_option_row *lg_option_find(const char *key)
{
    for (int i = 0; i < lg_option_row_count; i++) {
        if (lg_option_matches(lg_option_rows[i].option.key, key, false)) return &lg_option_rows[i];
    }
    return NULL;
}

bool lg_option_is_section(const char *key)
{
    for (int i = 0; i < lg_option_row_count; i++) {
        if (lg_option_matches(lg_option_rows[i].option.key, key, true)) return true;
    }
    return false;
}

/* Do all conditions of a row of defaults hold? */
static bool holds(const char *when, const lg_config *config)
{
    if (*when && !config) return false;
    while (*when) {
        char key[LG_KEY_SIZE];
        const size_t length = strcspn(when, " "), name = strcspn(when, "= ");
        snprintf(key, sizeof key, "%.*s", (int)name, when);
        const char *value = name < length ? lg_config_get(config, key) : NULL, *wanted = when + name + 1;
        const size_t size = length - name - 1;
        if (name == length && !lg_config_is_set(config, key)) return false;
        if (name < length && !(value && strlen(value) == size && memcmp(value, wanted, size) == 0)) return false;
        when += length + (when[length] == ' ');
    }
    return true;
}

const char *lg_option_default(const lg_option_row *row, const char *model, const char *task, const lg_config *config)
{
    for (int i = 0; i < lg_option_default_count; i++) {
        const lg_option_default_row *d = &lg_option_defaults[i];
        if (strcmp(d->key, row->option.key) != 0) continue;
        if (*d->model && strcmp(d->model, model) != 0) continue;
        if (*d->task && strcmp(d->task, task) != 0) continue;
        if (holds(d->when, config)) return d->value;
    }
    return *row->option.fallback ? row->option.fallback : NULL;
}

/* Length of the shortest beginning of a key ("optimiser" of "optimiser.lr") that is neither a key nor a section. */
static size_t wrong_prefix(const char *key)
{
    char prefix[LG_KEY_SIZE];
    size_t length = 0;
    for (;;) {
        length += strcspn(key + length, ".");
        snprintf(prefix, sizeof prefix, "%.*s", (int)length, key);
        if (!key[length] || !(lg_option_find(prefix) || lg_option_is_section(prefix))) return length;
        length++;
    }
}

/* Names that may follow "parent." ("": names of the top level). */
static size_t children(const char *parent, char names[LG_OPTION_MAX][LG_KEY_SIZE])
{
    size_t count = 0, depth = *parent ? 1 : 0;
    for (const char *p = parent; *p; p++) depth += *p == '.';
    for (int i = 0; i < lg_option_row_count; i++) {
        if (*parent && !lg_option_matches(lg_option_rows[i].option.key, parent, true)) continue;
        const char *segment = lg_option_rows[i].option.key;
        for (size_t d = 0; d < depth; d++) segment = strchr(segment, '.') + 1;
        const size_t length = strcspn(segment, ".");
        if (length == 4 && memcmp(segment, "NAME", 4) == 0) continue;
        snprintf(names[count++], LG_KEY_SIZE, "%.*s", (int)length, segment);
    }
    return count;
}

lg_status lg_option_unknown(lg_context *ctx, const char *where, const char *key)
{
    if (strncmp(key, "ensemble.sweep.", 15) == 0 && lg_option_find(key + 15))
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s: %s cannot be swept: it shapes the batch that all fits of an ensemble share, or is no "
                       "number; run one fit "
                       "for each value (--set %s=...) and compare",
                       where, key + 15, key + 15);
    char names[LG_OPTION_MAX][LG_KEY_SIZE], parent[LG_KEY_SIZE] = "", word[LG_KEY_SIZE];
    const char *candidates[LG_OPTION_MAX];
    const size_t end = wrong_prefix(key);
    size_t begin = end;
    while (begin > 0 && key[begin - 1] != '.') begin--;
    if (begin) snprintf(parent, sizeof parent, "%.*s", (int)(begin - 1), key);
    snprintf(word, sizeof word, "%.*s", (int)(end - begin), key + begin);

    const size_t count = children(parent, names);
    for (size_t i = 0; i < count; i++) candidates[i] = names[i];
    const char *nearest = lg_nearest(word, candidates, count);
    if (nearest) {
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: unknown key '%s'; did you mean '%.*s%s%s'?", where, key, (int)begin,
                       key, nearest, key + end);
    }
    for (int i = 0; i < lg_option_row_count; i++) { /* a known name without its section: "lr" */
        const char *dot = strrchr(lg_option_rows[i].option.key, '.');
        if (dot && strcmp(dot + 1, key) == 0) {
            return lg_fail(ctx, LG_ERR_CONFIG, "%s: unknown key '%s'; did you mean '%s'?", where, key,
                           lg_option_rows[i].option.key);
        }
    }
    return lg_fail(ctx, LG_ERR_CONFIG, "%s: unknown key '%s'; `latgrad help config` lists all", where, key);
}
