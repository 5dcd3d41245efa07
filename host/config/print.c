/* The effective configuration as YAML that reads back the same. */
#include "base/file.h"
#include "base/text.h"
#include "config/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMENT_COLUMN = 40 };

typedef struct printer {
    lg_text text;
    char section[LG_KEY_SIZE]; /* the section of the last line, with a dot at its end */
} printer;

/* Text that YAML takes as it is: a word or path of plain characters that is no number, bool or null. */
static bool is_plain(const char *text)
{
    static const char *const reserved[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_";
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (strcasecmp(text, reserved[i]) == 0) return false;
    }
    if (!*text || !strchr(letters, *text)) return false;
    for (const char *p = text; *p; p++) {
        const bool colon = *p == ':' && p[1] && p[1] != ' ';
        if (!colon && !strchr(letters, *p) && !strchr("0123456789.-+", *p)) return false;
    }
    return true;
}

/* May this character stand in double quotes as it is? No control characters, line separators, byte order marks. */
static bool is_printable(int32_t c)
{
    if (c < 0xa0) return c >= 0x20 && c < 0x7f;
    return c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static void add_quoted(lg_text *out, const char *text)
{
    lg_text_add(out, "\"");
    while (*text) {
        const char *begin = text;
        const int32_t c = lg_utf8_next(&text);
        if (c < 0) break; /* settings are checked to be UTF-8 */
        if (c == '"' || c == '\\') lg_text_printf(out, "\\%c", (char)c);
        else if (c == '\n') lg_text_add(out, "\\n");
        else if (is_printable(c)) lg_text_append(out, begin, (size_t)(text - begin));
        else lg_text_printf(out, "\\u%04x", (unsigned)c);
    }
    lg_text_add(out, "\"");
}

/* One line "name: value  # help", after the headers of sections that begin here. The value is YAML already; a mark
 * "# ..." makes the line a comment. */
static void add_line(printer *p, const char *mark, const char *key, const char *value, const char *help,
                     const char *unit)
{
    int depth = 0;
    size_t begin = 0;
    for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.')) {
        const size_t end = (size_t)(dot - key) + 1;
        if (strncmp(p->section, key, end) != 0) {
            lg_text_printf(&p->text, "%*s%.*s:\n", 2 * depth, "", (int)(end - begin - 1), key + begin);
        }
        begin = end;
        depth++;
    }
    memcpy(p->section, key, begin);
    p->section[begin] = '\0';

    const size_t line = p->text.size;
    lg_text_printf(&p->text, "%*s%s%s: %s", 2 * depth, "", mark, key + begin, value);
    const size_t length = p->text.size - line;
    const int pad = length < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - length) : 0;
    lg_text_printf(&p->text, "%*s  # %s%s%s%s\n", pad, "", help, *unit ? " [" : "", unit, *unit ? "]" : "");
}

static lg_status add_param(lg_context *ctx, printer *p, const lg_config *config, const lg_param_info *info)
{
    lg_param_setting s;
    const lg_status status = lg_config_param(ctx, config, info->name, &s);
    if (status) return status;
    char key[LG_KEY_SIZE], a[32], b[32];
    lg_text value = {0};
    lg_value_format(s.start, a, sizeof a);
    lg_text_printf(&value, s.fitted ? "{start: %s" : "%s", a);
    if (s.has_bounds) {
        lg_value_format(s.lower, a, sizeof a);
        lg_value_format(s.upper, b, sizeof b);
        lg_text_printf(&value, ", bounds: [%s, %s]", a, b);
    }
    if (s.transform) lg_text_printf(&value, ", transform: %s", s.transform);
    if (s.fitted) lg_text_add(&value, "}");
    snprintf(key, sizeof key, "params.%s", info->name);
    if (value.failed) p->text.failed = true;
    else add_line(p, "", key, value.data, info->help, info->unit);
    lg_text_clear(&value);
    return LG_OK;
}

/* An absolute path, so that the printed configuration finds its files wherever it is put. */
static lg_status absolute(lg_context *ctx, char **path)
{
    if (**path == '/') return LG_OK;
    char *here = getcwd(NULL, 0);
    if (!here) return lg_fail(ctx, LG_ERR_FILE, "no working directory, so '%.300s' has no full path", *path);
    const char *rest = *path;
    while (strncmp(rest, "./", 2) == 0) rest += 2;
    char *full = lg_path_join(here, rest);
    free(here);
    free(*path);
    *path = full;
    return full ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory to print the configuration");
}

/* Defaults that give way to the data: the lattice's size to that of its files, the steps to the length of a trajectory.
 * They are printed as comments, so that reading them back does not insist on them. */
static bool data_decide(const lg_config *config, const char *key, const lg_model_desc *model, unsigned task)
{
    if (lg_config_is_set(config, key)) return false;
    if (strcmp(key, "steps") == 0) {
        const bool walks = lg_config_is_set(config, "data.msd") || lg_config_is_set(config, "data.tracks");
        return task & (1u << LG_TASK_trajectory | 1u << LG_TASK_formation) && (model->species || walks);
    }
    if (strcmp(key, "lattice.height") != 0 && strcmp(key, "lattice.width") != 0) return false;
    char *start = lg_config_path(config, "data.start"), *generate = lg_config_path(config, "data.generate.start");
    const bool files =
        start || generate || lg_config_is_set(config, "data.frames") || lg_config_is_set(config, "data.reference");
    free(start);
    free(generate);
    return files;
}

static lg_status add_key(lg_context *ctx, printer *p, const lg_config *config, const lg_option *option,
                         const char *mark)
{
    const char *value = lg_config_get(config, option->key);
    if (!value) return LG_OK;
    char *path = lg_config_path(config, option->key);
    lg_status status = path ? absolute(ctx, &path) : LG_OK;
    if (!status) {
        lg_text quoted = {0};
        const char *text = path ? path : value;
        if (option->type != LG_OPT_STRING || is_plain(text)) lg_text_add(&quoted, text);
        else add_quoted(&quoted, text);
        if (quoted.failed) p->text.failed = true;
        else add_line(p, mark, option->key, quoted.data, option->help, option->unit);
        lg_text_clear(&quoted);
    }
    free(path);
    return status;
}

/* The rows that stand for one key per parameter. */
static lg_status add_params(lg_context *ctx, printer *p, const lg_config *config, const lg_model_desc *model,
                            const char *row_key)
{
    lg_status status = LG_OK;
    for (int i = 0; !status && i < model->params; i++) {
        const lg_param_info *info = &model->param[i];
        char key[LG_KEY_SIZE];
        snprintf(key, sizeof key, "data.generate.params.%s", info->name);
        const lg_setting *s = lg_config_find(config, key);
        if (strcmp(row_key, "params.NAME") == 0) {
            status = add_param(ctx, p, config, info);
        } else if (s && strcmp(row_key, "data.generate.params.NAME") == 0) {
            add_line(p, "", key, s->value, info->help, info->unit);
        }
    }
    return status;
}

/* Does the key mean something here? Data are generated only where something is said about it. */
static bool applies(const lg_config *config, const lg_option_row *row, const lg_model_desc *model, unsigned task)
{
    const char *key = row->option.key;
    if (lg_config_is_set(config, key)) return true;
    if (strncmp(key, "data.generate.", 14) == 0 && !lg_config_is_set(config, "data.generate")) return false;
    if (strncmp(key, "ensemble.", 9) == 0 && !lg_config_is_set(config, "ensemble")) return false;
    /* an ensemble has as many fits as it has; a number of them selects a part */
    if (strcmp(key, "fits") == 0 && lg_config_is_set(config, "ensemble")) return false;
    return (row->models & 1u << model->id) && (row->tasks & task);
}

static unsigned task_bit(const char *name)
{
    const lg_task task = name ? lg_task_find(name) : LG_TASK_COUNT;
    return task < LG_TASK_COUNT ? 1u << task : 0;
}

lg_status lg_config_print(lg_context *ctx, const lg_config *config, char **yaml)
{
    *yaml = NULL;
    const lg_model_desc *model;
    lg_status status = lg_config_model(ctx, config, &model);
    const unsigned task = task_bit(lg_config_get(config, "task"));
    printer p = {0};
    for (int i = 0; !status && i < lg_option_count(); i++) {
        const lg_option_row *row = lg_option_row_at(i);
        const char *key = row->option.key;
        if (strstr(key, "NAME")) {
            status = add_params(ctx, &p, config, model, key);
        } else if (applies(config, row, model, task)) {
            const char *mark = data_decide(config, key, model, task) ? "# default unless the data say otherwise: " : "";
            status = add_key(ctx, &p, config, &row->option, mark);
        }
    }
    if (status) {
        lg_text_clear(&p.text);
        return status;
    }
    *yaml = lg_text_take(&p.text);
    return *yaml ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory to print the configuration");
}
