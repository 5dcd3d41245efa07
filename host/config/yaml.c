/* Reading a configuration from YAML. Every scalar goes through the option table; line numbers are libyaml's marks. */
#include "base/file.h"
#include "config/store.h"
#include "lg_build.h"

#include <stdlib.h>
#include <string.h>

#if LG_HAVE_YAML

#include "base/text.h"

#include <stdio.h>
#include <yaml.h>

enum { MAX_FILE = 1 << 20 }; /* a configuration is a few hundred bytes */

typedef struct reader {
    lg_context *ctx;
    lg_config *config;
    lg_source source;
    const char *data; /* the whole file */
    size_t size;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
} reader;

static lg_status fail_at(reader *r, const char *text)
{
    return lg_fail(r->ctx, LG_ERR_CONFIG, "%.400s:%lu: %s", r->source.file, r->source.line, text);
}

static lg_status syntax_error(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return lg_fail(r->ctx, LG_ERR_MEMORY, "no memory to read %.400s", r->source.file);
    }
    r->source.line = p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) { /* bad bytes: no mark is given, only their place */
        r->source.line = 1;
        for (size_t i = 0; i < p->problem_offset && i < r->size; i++) r->source.line += r->data[i] == '\n';
    }
    char text[256];
    snprintf(text, sizeof text, "not valid YAML: %s%s%s", p->problem ? p->problem : "error", p->context ? " " : "",
             p->context ? p->context : "");
    return fail_at(r, text);
}

/* Moves to the next event; refuses what a configuration has no use for. */
static lg_status next(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) return syntax_error(r);
    r->has_event = true;
    r->source.line = r->event.start_mark.line + 1;

    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (r->event.type) {
    case YAML_ALIAS_EVENT: return fail_at(r, "aliases (*name) are not supported; write the value out");
    case YAML_SCALAR_EVENT:
        anchor = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor) return fail_at(r, "anchors (&name) are not supported; write the value out where it is needed");
    if (tag) return fail_at(r, "tags (!name) are not supported; write the plain value");
    return LG_OK;
}

/* The current scalar as text; NULL where it has a NUL byte in it. */
static const char *scalar(const reader *r)
{
    const char *text = (const char *)r->event.data.scalar.value;
    return strlen(text) == r->event.data.scalar.length ? text : NULL;
}

/* `key:`, `key: ~` and `key: null` */
static bool is_null(const reader *r)
{
    if (r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    const char *text = scalar(r);
    return text && (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* A value of the wrong shape for its key, or a key that does not exist. */
static lg_status wrong_shape(reader *r, const char *key, const char *got)
{
    char where[LG_MESSAGE_SIZE], expected[160];
    lg_source_where(&r->source, key, where, sizeof where);
    const lg_option_row *row = lg_option_find(key);
    if (!row && !lg_option_is_section(key)) return lg_option_unknown(r->ctx, where, key);
    if (row) lg_value_expected(row, expected, sizeof expected);
    else snprintf(expected, sizeof expected, "a mapping (indented keys with values)");
    return lg_fail(r->ctx, LG_ERR_CONFIG, "%s: expected %s, got %s", where, expected, got);
}

static lg_status read_scalar(reader *r, const char *key)
{
    const char *text = scalar(r);
    if (!lg_option_find(key)) {
        if (lg_option_is_section(key) && is_null(r)) return lg_config_open_section(r->ctx, r->config, &r->source, key);
        return wrong_shape(r, key, "a single value");
    }
    if (!text) return wrong_shape(r, key, "text with a NUL character");
    return lg_config_store(r->ctx, r->config, &r->source, key, is_null(r) ? "" : text);
}

/* The list the reader stands at as text; of a list of lists (start vectors) with those inside. */
static lg_status read_items(reader *r, const char *key, lg_text *list, bool nested)
{
    lg_text_add(list, "[");
    for (int i = 0;; i++) {
        lg_status status = next(r);
        if (status) return status;
        if (r->event.type == YAML_SEQUENCE_END_EVENT) break;
        if (i) lg_text_add(list, ", ");
        if (nested && r->event.type == YAML_SEQUENCE_START_EVENT) {
            if ((status = read_items(r, key, list, false))) return status;
            continue;
        }
        const char *text = r->event.type == YAML_SCALAR_EVENT ? scalar(r) : NULL;
        if (!text) return wrong_shape(r, key, "something else in the list");
        lg_text_printf(list, "%.64s", text);
    }
    lg_text_add(list, "]");
    return LG_OK;
}

/* [a, b] of a list key, brought together as text for the common check. */
static lg_status read_list(reader *r, const char *key)
{
    const lg_option_row *row = lg_option_find(key);
    if (!row || row->option.type != LG_OPT_LIST) return wrong_shape(r, key, "a list");
    lg_text list = {0};
    const lg_source source = r->source;
    lg_status status = read_items(r, key, &list, lg_value_is_list(row));
    char *text = lg_text_take(&list);
    if (!status && !text) status = lg_fail(r->ctx, LG_ERR_MEMORY, "no memory to read %.400s", source.file);
    if (!status) status = lg_config_store(r->ctx, r->config, &source, key, text);
    free(text);
    return status;
}

/* The mapping the reader stands at, whose keys go below `section` ("": top level). Each level matches one of the
 * table's, so the depth of the recursion is that of the table. */
static lg_status read_mapping(reader *r, const char *section)
{
    char key[LG_KEY_SIZE];
    for (;;) {
        lg_status status = next(r);
        if (status || r->event.type == YAML_MAPPING_END_EVENT) return status;
        const char *name = r->event.type == YAML_SCALAR_EVENT ? scalar(r) : NULL;
        if (!name) return fail_at(r, "expected the name of a key");
        const int length = snprintf(key, sizeof key, "%s%s%s", section, *section ? "." : "", name);
        if (length < 0 || (size_t)length >= sizeof key) {
            return lg_fail(r->ctx, LG_ERR_CONFIG, "%.400s:%lu: unknown key '%.60s...'", r->source.file, r->source.line,
                           key);
        }
        if ((status = next(r))) return status;
        switch (r->event.type) {
        case YAML_SCALAR_EVENT: status = read_scalar(r, key); break;
        case YAML_SEQUENCE_START_EVENT: status = read_list(r, key); break;
        default:
            if (!lg_option_is_section(key)) return wrong_shape(r, key, "a mapping");
            status = lg_config_open_section(r->ctx, r->config, &r->source, key);
            if (!status) status = read_mapping(r, key);
        }
        if (status) return status;
    }
}

static lg_status read_stream(reader *r)
{
    lg_status status = next(r); /* stream start */
    if (!status) status = next(r);
    if (status) return status;
    if (r->event.type == YAML_STREAM_END_EVENT) return fail_at(r, "the file is empty; expected keys like `model: mk`");
    if ((status = next(r))) return status;
    if (r->event.type != YAML_MAPPING_START_EVENT) return fail_at(r, "expected keys like `model: mk`");
    if ((status = read_mapping(r, ""))) return status;
    if ((status = next(r)) || (status = next(r))) return status; /* document end, and what follows */
    if (r->event.type != YAML_STREAM_END_EVENT) return fail_at(r, "a second document begins; expected one per file");
    return LG_OK;
}

lg_status lg_yaml_read(lg_context *ctx, lg_config *config, const char *path)
{
    char *data;
    size_t size;
    lg_status status = lg_file_read(ctx, path, &data, &size);
    if (status) return status;
    char *folder = lg_path_directory(path);
    if (folder && strcmp(folder, ".") == 0) *folder = '\0';
    reader r = {.ctx = ctx, .config = config, .source = {path, 1, folder, config->loads}, .data = data, .size = size};
    if (size > MAX_FILE) {
        status = lg_fail(ctx, LG_ERR_CONFIG, "%.400s: larger than 1 MiB, this is no configuration file", path);
    } else if (!folder || !yaml_parser_initialize(&r.parser)) {
        status = lg_fail(ctx, LG_ERR_MEMORY, "no memory to read %.400s", path);
    } else {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)data, size);
        status = read_stream(&r);
        if (r.has_event) yaml_event_delete(&r.event);
        yaml_parser_delete(&r.parser);
    }
    free(folder);
    free(data);
    return status;
}

#else

lg_status lg_yaml_read(lg_context *ctx, lg_config *config, const char *path)
{
    (void)config;
    return lg_fail(ctx, LG_ERR_LIBRARY,
                   "%.400s: this build of latgrad cannot read YAML (libyaml was missing); give the settings with "
                   "--set section.key=value, or install libyaml and build again",
                   path);
}

#endif
