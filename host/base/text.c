#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `extra` more bytes and the NUL. */
static bool reserve(lg_text *text, size_t extra)
{
    if (text->failed) return false;
    if (extra >= SIZE_MAX / 2 - text->size) {
        text->failed = true;
        return false;
    }
    size_t needed = text->size + extra + 1;
    if (needed <= text->capacity) return true;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < needed) capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void lg_text_append(lg_text *text, const char *data, size_t size)
{
    if (!reserve(text, size)) return;
    if (size) memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void lg_text_add(lg_text *text, const char *string)
{
    lg_text_append(text, string, strlen(string));
}

void lg_text_printf(lg_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)length)) return;
    va_start(args, format);
    vsnprintf(text->data + text->size, (size_t)length + 1, format, args);
    va_end(args);
    text->size += (size_t)length;
}

void lg_text_clear(lg_text *text)
{
    free(text->data);
    *text = (lg_text){0};
}

char *lg_text_take(lg_text *text)
{
    lg_text_append(text, "", 0);
    char *data = text->data;
    if (text->failed) {
        free(data);
        data = NULL;
    }
    *text = (lg_text){0};
    return data;
}

enum { MAX_WORD = 64 };

static int lower(char c)
{
    return tolower((unsigned char)c);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance; both words at most MAX_WORD long. Three rows of the table are enough, as a swap
 * looks back two. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t length_a = strlen(a), length_b = strlen(b);
    size_t rows[3][MAX_WORD + 1];
    for (size_t j = 0; j <= length_b; j++) rows[0][j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
            bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
            if (swapped) row[j] = smaller(row[j], above2[j - 2] + 1);
        }
    }
    return rows[length_a % 3][length_b];
}

const char *lg_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word);
    if (length == 0 || length > MAX_WORD) return NULL;
    size_t limit = length < 6 ? 1 : length / 3;
    const char *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!candidates[i] || strlen(candidates[i]) > MAX_WORD) continue;
        size_t distance = edit_distance(word, candidates[i]);
        if (distance > limit || distance >= strlen(candidates[i])) continue;
        if (distance == 0) return candidates[i];
        best = candidates[i];
        limit = distance - 1; /* only a closer one replaces it */
    }
    return best;
}

bool lg_parse_double(const char *text, double *out)
{
    if (!*text || isspace((unsigned char)*text) || strpbrk(text, "xX(")) return false;
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (*end || end == text) return false;
    if (errno == ERANGE && fabs(value) > 1) return false;
    *out = value;
    return true;
}

/* strtoll and strtoull skip leading space and the latter takes a minus sign; neither is a number here. */
static bool starts_number(const char *text, bool sign)
{
    if (sign && (*text == '-' || *text == '+')) text++;
    return isdigit((unsigned char)*text);
}

bool lg_parse_int(const char *text, int64_t *out)
{
    if (!starts_number(text, true)) return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || errno) return false;
    *out = value;
    return true;
}

bool lg_parse_uint(const char *text, uint64_t *out)
{
    if (!starts_number(text, false)) return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || errno) return false;
    *out = value;
    return true;
}
