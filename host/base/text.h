/* Small text helpers: a growing buffer, the nearest of several names, strict number parsing. */
#ifndef LG_BASE_TEXT_H
#define LG_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing string; start with {0}. A failed allocation is remembered in `failed`, later calls then do nothing, so it
 * is enough to check once at the end. data is NUL-terminated, NULL as long as nothing was added. */
typedef struct lg_text {
    char *data;
    size_t size, capacity;
    bool failed;
} lg_text;

void lg_text_append(lg_text *text, const char *data, size_t size);
void lg_text_add(lg_text *text, const char *string);
void lg_text_printf(lg_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Releases the buffer; the struct is empty and usable again. */
void lg_text_clear(lg_text *text);
/* Hands the string to the caller (free() or lg_free()) and empties the struct; "" if nothing was added, NULL if an
 * allocation failed. */
char *lg_text_take(lg_text *text);

/* The candidate closest to word by edit distance (case ignored), or NULL where none is close enough to be a slip: at
 * most a third of the word's length, but at least one, edits (insert, delete, replace, swap of neighbours). */
const char *lg_nearest(const char *word, const char *const *candidates, size_t n);

/* Strict parsers: the whole string must be the number, without spaces; false leaves *out alone. lg_parse_double takes
 * "nan" and "inf" (check with isfinite where they make no sense) but no hexadecimal and nothing that overflows. */
bool lg_parse_double(const char *text, double *out);
bool lg_parse_int(const char *text, int64_t *out);
bool lg_parse_uint(const char *text, uint64_t *out);

#endif
