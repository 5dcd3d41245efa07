#include "data/csv.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/text.h"

/* Cells are collected in one growing list, row after row. */
typedef struct list {
    const char **cell;
    size_t count, capacity;
} list;

static bool push(list *cells, const char *cell)
{
    if (cells->count == cells->capacity) {
        size_t capacity = cells->capacity ? 2 * cells->capacity : 256;
        const char **grown = realloc(cells->cell, capacity * sizeof *grown);
        if (!grown) return false;
        cells->cell = grown;
        cells->capacity = capacity;
    }
    cells->cell[cells->count++] = cell;
    return true;
}

static char *skip_blanks(char *at)
{
    while (*at == ' ' || *at == '\t') at++;
    return at;
}

static void cut_blanks(char *begin, char *end)
{
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *end = '\0';
}

/* Takes the quotes off "a ""b""", in place: at is behind the opening quote. Returns the place behind the closing quote;
 * NULL where it is missing. */
static char *unquote(char *at)
{
    char *to = at;
    for (;; at++) {
        if (*at == '\0') return NULL;
        if (*at == '"' && *++at != '"') break;
        *to++ = *at;
    }
    char *behind = at;
    if (to != behind) *to = '\0';
    return behind;
}

/* Splits one line into cells. NULL, or what is wrong with it. */
static const char *split(char *at, list *cells)
{
    for (;;) {
        at = skip_blanks(at);
        char *begin = at, *end;
        if (*at == '"') {
            begin = at + 1;
            end = unquote(begin);
            if (!end) return "a quote is opened and not closed on the same line";
            end = skip_blanks(end);
            if (*end && *end != ',') return "text follows a closing quote; expected a comma";
        } else {
            end = at + strcspn(at, ",");
        }
        bool last = *end == '\0';
        if (*at != '"') cut_blanks(begin, end);
        if (!push(cells, begin)) return "not enough memory";
        if (last) return NULL;
        at = end + 1;
    }
}

static lg_status check_header(lg_context *ctx, const lg_csv *csv)
{
    const char *path = csv->path;
    if (csv->columns == 1 && strpbrk(csv->header[0], ";\t")) {
        return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: the header '%.80s' has %s and no commas; separate columns by commas",
                       path, csv->header_line, csv->header[0], strchr(csv->header[0], ';') ? "semicolons" : "tabs");
    }
    for (size_t c = 0; c < csv->columns; c++) {
        for (size_t d = 0; d < c; d++) {
            if (!*csv->header[c] || strcasecmp(csv->header[c], csv->header[d]) != 0) continue;
            return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: two columns are called '%.60s'", path, csv->header_line,
                           csv->header[c]);
        }
    }
    return LG_OK;
}

/* One line that is neither blank nor a comment: the header if it is the first, a row otherwise. */
static lg_status take_line(lg_context *ctx, lg_csv *csv, char *at, size_t number, list *cells, size_t *line_capacity)
{
    size_t before = cells->count;
    const char *wrong = split(at, cells);
    if (wrong) return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: %s", csv->path, number, wrong);
    size_t fields = cells->count - before;
    if (!csv->header) {
        csv->columns = fields;
        csv->header_line = number;
        csv->header = cells->cell;
        *cells = (list){0};
        return check_header(ctx, csv);
    }
    if (fields != csv->columns) {
        return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: %zu field%s where the header has %zu", csv->path, number, fields,
                       fields == 1 ? "" : "s", csv->columns);
    }
    if (csv->rows == *line_capacity) {
        *line_capacity = *line_capacity ? 2 * *line_capacity : 256;
        size_t *grown = realloc(csv->line, *line_capacity * sizeof *grown);
        if (!grown) return lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory", csv->path);
        csv->line = grown;
    }
    csv->line[csv->rows++] = number;
    return LG_OK;
}

static lg_status parse(lg_context *ctx, lg_csv *csv, size_t size)
{
    if (memchr(csv->text, 0, size)) {
        return lg_fail(ctx, LG_ERR_DATA, "%s is not a text file in ASCII or UTF-8: it has zero bytes", csv->path);
    }
    list cells = {0};
    size_t line_capacity = 0, number = 0;
    lg_status result = LG_OK;
    char *at = csv->text;
    if (strncmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3;
    while (*at && result == LG_OK) {
        char *end = at + strcspn(at, "\n"), *next = *end ? end + 1 : end;
        number++;
        if (end > at && end[-1] == '\r') end--;
        *end = '\0';
        char *first = skip_blanks(at);
        if (*first && *first != '#') result = take_line(ctx, csv, at, number, &cells, &line_capacity);
        at = next;
    }
    csv->cell = cells.cell;
    if (result != LG_OK) return result;
    if (!csv->header) {
        return lg_fail(ctx, LG_ERR_DATA, "%s is empty; expected a header row with the column names", csv->path);
    }
    if (!csv->rows) return lg_fail(ctx, LG_ERR_DATA, "%s has a header and no rows", csv->path);
    return LG_OK;
}

lg_status lg_csv_read(lg_context *ctx, const char *path, lg_csv *out)
{
    size_t size;
    *out = (lg_csv){0};
    lg_status result = lg_file_read(ctx, path, &out->text, &size);
    if (result != LG_OK) return result;
    out->path = strdup(path);
    result = out->path ? parse(ctx, out, size) : lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory", path);
    if (result != LG_OK) lg_csv_clear(out);
    return result;
}

void lg_csv_clear(lg_csv *csv)
{
    free(csv->path);
    free(csv->text);
    free(csv->header);
    free(csv->cell);
    free(csv->line);
    *csv = (lg_csv){0};
}

int lg_csv_find(const lg_csv *csv, const char *name)
{
    for (size_t c = 0; c < csv->columns; c++) {
        if (strcasecmp(csv->header[c], name) == 0) return (int)c;
    }
    return -1;
}

lg_status lg_csv_column(lg_context *ctx, const lg_csv *csv, const char *name, int *column)
{
    *column = lg_csv_find(csv, name);
    if (*column >= 0) return LG_OK;
    const char *near = lg_nearest(name, csv->header, csv->columns);
    lg_text text = {0};
    for (size_t c = 0; c < csv->columns && c < 12; c++) lg_text_printf(&text, "%s%.40s", c ? "," : "", csv->header[c]);
    lg_status result =
        lg_fail(ctx, LG_ERR_DATA, "%s:%zu: no column '%s' in the header '%s'%s%s%s", csv->path, csv->header_line, name,
                text.failed ? "" : text.data, near ? "; is it '" : "", near ? near : "", near ? "'?" : "");
    lg_text_clear(&text);
    return result;
}

const char *lg_csv_cell(const lg_csv *csv, size_t row, int column)
{
    return csv->cell[row * csv->columns + (size_t)column];
}

lg_status lg_csv_real(lg_context *ctx, const lg_csv *csv, size_t row, int column, double *out)
{
    const char *cell = lg_csv_cell(csv, row, column), *wrong = NULL;
    if (!*cell) {
        wrong = "is empty; expected a number";
    } else if (!lg_parse_double(cell, out)) {
        wrong = "is not a number";
    } else if (!isfinite(*out)) {
        wrong = "is not finite";
    }
    if (!wrong) return LG_OK;
    return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: column %s: '%.60s' %s", csv->path, csv->line[row], csv->header[column],
                   cell, wrong);
}

lg_status lg_csv_int(lg_context *ctx, const lg_csv *csv, size_t row, int column, int64_t *out)
{
    double value;
    const char *cell = lg_csv_cell(csv, row, column);
    if (lg_parse_int(cell, out)) return LG_OK;
    if (lg_parse_double(cell, &value) && fabs(value) < 0x1p53 && value == floor(value)) {
        *out = (int64_t)value;
        return LG_OK;
    }
    return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: column %s: '%.60s' is not a whole number", csv->path, csv->line[row],
                   csv->header[column], cell);
}
