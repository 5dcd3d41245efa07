/* Lists of numbers and of vectors: "[0.1, 0.2]" and "[[0.1, 0.2], [0.3, 0.4]]". */
#include "base/text.h"
#include "config/options.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SWEEP[] = "ensemble.sweep.";

/* ---- parsing -------------------------------------------------------------------------------------------------- */

typedef struct parser {
    const char *at;
    double *value;
    size_t count, capacity;
} parser;

static void skip_blanks(parser *p)
{
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool take(parser *p, char c)
{
    skip_blanks(p);
    if (*p->at != c) return false;
    p->at++;
    return true;
}

static bool take_number(parser *p)
{
    char text[64];
    skip_blanks(p);
    const size_t length = strcspn(p->at, ",[] \t\n");
    if (length == 0 || length >= sizeof text) return false;
    memcpy(text, p->at, length);
    text[length] = '\0';
    if (p->count == p->capacity) {
        const size_t capacity = p->capacity ? 2 * p->capacity : 16;
        double *grown = realloc(p->value, capacity * sizeof *grown);
        if (!grown) return false;
        p->value = grown;
        p->capacity = capacity;
    }
    if (!lg_parse_double(text, &p->value[p->count]) || !isfinite(p->value[p->count])) return false;
    p->at += length;
    p->count++;
    return true;
}

static bool take_numbers(parser *p)
{
    do {
        if (!take_number(p)) return false;
    } while (take(p, ','));
    return true;
}

/* [a, b], [c, d]: all of the same length */
static bool take_vectors(parser *p, size_t *rows, size_t *columns)
{
    *rows = 0;
    do {
        const size_t before = p->count;
        if (!take(p, '[') || !take_numbers(p) || !take(p, ']')) return false;
        if (*rows == 0) *columns = p->count;
        if (p->count - before != *columns) return false;
        ++*rows;
    } while (take(p, ','));
    return true;
}

bool lg_value_vectors(const char *text, double **values, size_t *rows, size_t *columns)
{
    parser p = {.at = text};
    const bool open = take(&p, '[');
    skip_blanks(&p);
    bool good;
    if (*p.at == '[') {
        good = take_vectors(&p, rows, columns);
    } else {
        good = take_numbers(&p);
        *rows = p.count;
        *columns = 1;
    }
    if (good && open) good = take(&p, ']');
    skip_blanks(&p);
    if (good && *p.at == '\0') {
        *values = p.value;
        return true;
    }
    free(p.value);
    *values = NULL;
    return false;
}

/* ---- checking ------------------------------------------------------------------------------------------------- */

bool lg_value_is_list(const lg_option_row *row)
{
    return row->option.type == LG_OPT_LIST && strcmp(row->option.range, "two increasing numbers") != 0;
}

/* The swept key's own row decides what its values may be. */
static lg_status check_swept(lg_context *ctx, const char *where, const char *key, const double *value, size_t count)
{
    if (strncmp(key, SWEEP, sizeof SWEEP - 1) != 0) return LG_OK;
    const lg_option_row *row = lg_option_find(key + sizeof SWEEP - 1);
    if (!row) return lg_fail(ctx, LG_ERR_INTERNAL, "%s: nothing to sweep", key);
    for (size_t i = 0; i < count; i++) {
        char text[32], expected[160];
        const bool whole = row->option.type != LG_OPT_INT || value[i] == floor(value[i]);
        if (whole && lg_value_in_range(row->option.range, value[i])) continue;
        lg_value_format(value[i], text, sizeof text);
        lg_value_expected(row, expected, sizeof expected);
        return lg_fail(ctx, LG_ERR_RANGE, "%s: expected each to be %s, got '%s'", where, expected, text);
    }
    return LG_OK;
}

static void print_vectors(lg_text *out, const double *value, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++) {
        lg_text_add(out, i ? ", " : "[");
        for (size_t j = 0; j < columns; j++) {
            char number[32];
            lg_value_format(value[i * columns + j], number, sizeof number);
            lg_text_printf(out, "%s%s", columns == 1 ? "" : (j ? ", " : "["), number);
        }
        if (columns > 1) lg_text_add(out, "]");
    }
    lg_text_add(out, "]");
}

/* The words that stand before the first comma of the range: "fixed|random|lhs|grid". */
static bool is_word(const char *range, const char *text)
{
    const size_t end = strcspn(range, ","), length = strlen(text);
    for (size_t at = 0; at < end && length; at += strcspn(range + at, "|,") + 1)
        if (strcspn(range + at, "|,") == length && memcmp(range + at, text, length) == 0) return true;
    return false;
}

lg_status lg_value_check_list(lg_context *ctx, const char *where, const lg_option_row *row, const char *text,
                              char **out)
{
    double *value = NULL;
    size_t rows = 0, columns = 0;
    *out = NULL;
    if (strchr(row->option.range, '|') && is_word(row->option.range, text)) {
        *out = strdup(text);
        return *out ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory for the configuration");
    }
    const bool swept = strncmp(row->option.key, SWEEP, sizeof SWEEP - 1) == 0;
    if (!lg_value_vectors(text, &value, &rows, &columns) || (swept && columns != 1)) {
        char expected[160];
        free(value);
        lg_value_expected(row, expected, sizeof expected);
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: expected %s, got '%.80s'", where, expected, text);
    }
    lg_text list = {0};
    lg_status status = check_swept(ctx, where, row->option.key, value, rows);
    if (!status) print_vectors(&list, value, rows, columns);
    free(value);
    *out = lg_text_take(&list);
    if (status) {
        free(*out);
        *out = NULL;
        return status;
    }
    return *out ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory for the configuration");
}
