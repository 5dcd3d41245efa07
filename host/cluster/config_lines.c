/* Lines of a printed configuration. */
#include "cluster/config_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

bool lg_config_next_line(const char **cursor, lg_config_line *line)
{
    const char *text = *cursor;
    if (!*text) return false;
    line->text = text;
    line->length = strcspn(text, "\n");
    *cursor = text + line->length + (text[line->length] == '\n');

    /* Two spaces of indentation for each section: keep that many names of the line before. */
    const size_t depth = strspn(text, " ") / 2;
    size_t kept = 0;
    for (size_t d = 0; d < depth && line->key[kept]; d++) {
        kept += strcspn(line->key + kept, ".");
        if (!line->key[kept]) line->key[kept + 1] = '\0'; /* the section's own line: its name has no dot yet */
        line->key[kept++] = '.';
    }
    const char *name = text + 2 * depth;
    size_t length = strcspn(name, ":\n");
    if (kept + length > sizeof line->key - 3) length = sizeof line->key - 3 - kept; /* room for a dot to come */
    memcpy(line->key + kept, name, length);
    line->key[kept + length] = '\0';
    return true;
}

/* The text after "key: ". */
static const char *value_of(const lg_config_line *line)
{
    const char *value = memchr(line->text, ':', line->length);
    return value ? value + 1 + (value[1] == ' ') : line->text + line->length;
}

static bool find(const char *yaml, const char *key, lg_config_line *line)
{
    *line = (lg_config_line){0};
    while (lg_config_next_line(&yaml, line))
        if (strcmp(line->key, key) == 0) return true;
    return false;
}

int64_t lg_config_line_int(const char *yaml, const char *key, int64_t fallback)
{
    lg_config_line line;
    char text[32];
    int64_t value;
    if (!find(yaml, key, &line)) return fallback;
    const char *number = value_of(&line);
    const size_t digits = strspn(number, "0123456789");
    if (digits == 0 || digits >= sizeof text) return fallback;
    memcpy(text, number, digits);
    text[digits] = '\0';
    return lg_parse_int(text, &value) ? value : fallback;
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

/* A key, or all keys of a section, in which slices of one job may differ. */
static bool differs_by_slice(const char *key)
{
    static const char *const names[] = {"first_fit",    "fits",       "device", "threads",
                                        "memory_limit", "checkpoint", "output", "run"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i]);
        if (strncmp(key, names[i], n) == 0 && (key[n] == '\0' || key[n] == '.')) return true;
    }
    return false;
}

static bool next_compared(const char **cursor, lg_config_line *line)
{
    while (lg_config_next_line(cursor, line))
        if (!differs_by_slice(line->key)) return true;
    return false;
}

/* Length of a line without the comment at its end. */
static int shown(const lg_config_line *line)
{
    size_t length = line->length;
    for (size_t i = 2; i < line->length && length == line->length; i++)
        if (line->text[i] == '#' && line->text[i - 1] == ' ' && line->text[i - 2] == ' ') length = i;
    while (length && line->text[length - 1] == ' ') length--;
    return length < 200 ? (int)length : 200;
}

lg_status lg_config_same_job(lg_context *ctx, const char *a, const char *a_name, const char *b, const char *b_name)
{
    lg_config_line x = {0}, y = {0};
    for (;;) {
        const bool more_a = next_compared(&a, &x), more_b = next_compared(&b, &y);
        if (!more_a && !more_b) return LG_OK;
        if (more_a && more_b && x.length == y.length && memcmp(x.text, y.text, x.length) == 0) continue;
        return lg_fail(ctx, LG_ERR_DATA,
                       "these are not slices of one job: the configuration in '%.200s' says '%.*s' where '%.200s' says "
                       "'%.*s'",
                       a_name, more_a ? shown(&x) : 7, more_a ? x.text : "nothing", b_name, more_b ? shown(&y) : 7,
                       more_b ? y.text : "nothing");
    }
}

/* ---- changing ------------------------------------------------------------------------------------------------- */

/* The line of a key with a value as a configuration prints it: quoting and comments have one home. */
static lg_status printed_line(lg_context *ctx, const char *model, const char *key, const char *value, char **yaml,
                              lg_config_line *line)
{
    lg_config *config;
    lg_status status = lg_config_create(ctx, &config);
    if (status) return status;
    status = lg_config_set(ctx, config, "model", model);
    if (!status) status = lg_config_set(ctx, config, key, value);
    if (!status) status = lg_config_print(ctx, config, yaml);
    if (!status && !find(*yaml, key, line)) {
        lg_free(*yaml);
        status = lg_fail(ctx, LG_ERR_INTERNAL, "a printed configuration lacks the key %s", key);
    }
    lg_config_free(config);
    return status;
}

/* Puts other text in the place of a line of *yaml. */
static lg_status exchange(lg_context *ctx, char **yaml, const lg_config_line *old, const char *by, size_t length)
{
    lg_text text = {0};
    lg_text_append(&text, *yaml, (size_t)(old->text - *yaml));
    lg_text_append(&text, by, length);
    const char *rest = old->text + old->length;
    lg_text_add(&text, !length && *rest == '\n' ? rest + 1 : rest);
    char *changed = lg_text_take(&text);
    if (!changed) return lg_fail(ctx, LG_ERR_MEMORY, "no memory for a configuration");
    free(*yaml);
    *yaml = changed;
    return LG_OK;
}

lg_status lg_config_drop_line(lg_context *ctx, char **yaml, const char *key)
{
    lg_config_line line;
    return find(*yaml, key, &line) ? exchange(ctx, yaml, &line, "", 0) : LG_OK;
}

lg_status lg_config_set_line(lg_context *ctx, char **yaml, const char *model, const char *key, const char *value)
{
    lg_config_line old, line;
    char *printed;
    if (!find(*yaml, key, &old)) return LG_OK;
    const lg_status status = printed_line(ctx, model, key, value, &printed, &line);
    if (status) return status;
    const lg_status changed = exchange(ctx, yaml, &old, line.text, line.length);
    lg_free(printed);
    return changed;
}
