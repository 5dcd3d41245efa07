/* Values: checking a text against its row of the table, and the one form in which values are kept and printed. */
#include "base/text.h"
#include "config/options.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICES = 16, CHOICE_SIZE = 24 };

/* Is value in an interval written as "[0, 1)"? "" and anything else that is no interval: yes. */
static bool in_interval(const char *range, long double value)
{
    if (*range != '[' && *range != '(') return true;
    char *end;
    const long double low = strtold(range + 1, &end);
    const long double high = strtold(end + strspn(end, ", "), &end);
    if (*range == '[' ? value < low : value <= low) return false;
    return *end == ']' ? value <= high : value < high;
}

bool lg_value_in_range(const char *range, double value)
{
    return in_interval(range, value);
}

void lg_value_expected(const lg_option_row *row, char *text, size_t size)
{
    static const char *const type[] = {"text", "a whole number", "a number", "true or false", ""};
    const lg_option *option = &row->option;
    const bool interval = *option->range == '[' || *option->range == '(';
    if (row->kind != LG_KIND_VALUE) {
        snprintf(text, size, row->kind == LG_KIND_PATH ? "a file name" : "the name of a start state or a file name");
    } else if (option->type == LG_OPT_STRING && *option->range) {
        snprintf(text, size, "%s", option->range);
    } else {
        snprintf(text, size, "%s%s%s%s%s%s", type[option->type], interval ? " in " : "", option->range,
                 *option->unit ? " (" : "", option->unit, *option->unit ? ")" : "");
    }
}

static lg_status refuse(lg_context *ctx, lg_status status, const char *where, const lg_option_row *row,
                        const char *text)
{
    char expected[160];
    lg_value_expected(row, expected, sizeof expected);
    return lg_fail(ctx, status, "%s: expected %s, got '%.80s'", where, expected, text);
}

void lg_value_format(double value, char *text, size_t size)
{
    char number[32];
    snprintf(number, sizeof number, "%.15g", value);
    if (strtod(number, NULL) != value) snprintf(number, sizeof number, "%.17g", value);
    char *e = strchr(number, 'e');
    if (e) { /* 1e-07 -> 1e-7, 1e+20 -> 1e20 */
        char *digits = e + 2, *to = e + (e[1] == '-' ? 2 : 1);
        while (*digits == '0' && digits[1]) digits++;
        memmove(to, digits, strlen(digits) + 1);
    }
    snprintf(text, size, "%s", number);
}

static lg_status check_int(lg_context *ctx, const char *where, const lg_option_row *row, const char *text, char *out,
                           size_t size)
{
    int64_t negative = 0;
    uint64_t number = 0;
    const bool minus = *text == '-';
    if (!(minus ? lg_parse_int(text, &negative) : lg_parse_uint(text + (*text == '+'), &number))) {
        /* all digits: a number, but too long for any type */
        const bool digits = text[minus] && text[strspn(text + minus, "0123456789") + minus] == '\0';
        return refuse(ctx, digits ? LG_ERR_RANGE : LG_ERR_CONFIG, where, row, text);
    }
    if (!in_interval(row->option.range, minus ? (long double)negative : (long double)number)) {
        return refuse(ctx, LG_ERR_RANGE, where, row, text);
    }
    if (minus) snprintf(out, size, "%" PRId64, negative);
    else snprintf(out, size, "%" PRIu64, number);
    return LG_OK;
}

static lg_status check_real(lg_context *ctx, const char *where, const lg_option_row *row, const char *text, char *out,
                            size_t size)
{
    double number;
    if (!lg_parse_double(text, &number)) return refuse(ctx, LG_ERR_CONFIG, where, row, text);
    if (!isfinite(number) || !in_interval(row->option.range, number)) {
        return refuse(ctx, LG_ERR_RANGE, where, row, text);
    }
    lg_value_format(number, out, size);
    return LG_OK;
}

static lg_status check_bool(lg_context *ctx, const char *where, const lg_option_row *row, const char *text, char *out,
                            size_t size)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, words[i]) == 0) {
            snprintf(out, size, "%s", words[i % 2]);
            return LG_OK;
        }
    }
    return refuse(ctx, LG_ERR_CONFIG, where, row, text);
}

/* One element of a list, without the blanks around it. */
static bool element(const char *text, size_t length, double *out)
{
    while (length && isspace((unsigned char)text[length - 1])) length--;
    while (length && isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    char number[64];
    snprintf(number, sizeof number, "%.*s", (int)length, text);
    return length < sizeof number && lg_parse_double(number, out) && isfinite(*out);
}

bool lg_value_pair(const char *text, double *first, double *second)
{
    const char *begin = text + strspn(text, " \t"), *end = text + strlen(text);
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (*begin == '[') {
        if (end[-1] != ']' || --end == begin) return false;
        begin++;
    }
    const char *comma = memchr(begin, ',', (size_t)(end - begin));
    return comma && element(begin, (size_t)(comma - begin), first) &&
           element(comma + 1, (size_t)(end - comma - 1), second);
}

static lg_status check_list(lg_context *ctx, const char *where, const lg_option_row *row, const char *text, char *out,
                            size_t size)
{
    double low, high;
    char a[32], b[32];
    if (!lg_value_pair(text, &low, &high)) return refuse(ctx, LG_ERR_CONFIG, where, row, text);
    if (!(low < high)) return refuse(ctx, LG_ERR_RANGE, where, row, text);
    lg_value_format(low, a, sizeof a);
    lg_value_format(high, b, sizeof b);
    snprintf(out, size, "[%s, %s]", a, b);
    return LG_OK;
}

/* Is text the choice, where "cuda:N" stands for any number N? */
static bool is_choice(const char *choice, const char *text)
{
    const size_t length = strlen(choice);
    if (length < 3 || strcmp(choice + length - 2, ":N") != 0) return strcmp(choice, text) == 0;
    if (strncmp(choice, text, length - 1) != 0) return false;
    text += length - 1;
    return *text && strlen(text) <= 4 && text[strspn(text, "0123456789")] == '\0';
}

static lg_status check_choice(lg_context *ctx, const char *where, const lg_option_row *row, const char *text)
{
    char names[CHOICES][CHOICE_SIZE];
    const char *candidates[CHOICES];
    size_t count = 0;
    for (const char *p = row->option.range; *p && count < CHOICES; count++) {
        const size_t length = strcspn(p, "|");
        snprintf(names[count], CHOICE_SIZE, "%.*s", (int)length, p);
        if (is_choice(names[count], text)) return LG_OK;
        candidates[count] = names[count];
        p += length + (p[length] == '|');
    }
    const char *nearest = lg_nearest(text, candidates, count);
    if (!nearest) return refuse(ctx, LG_ERR_CONFIG, where, row, text);
    return lg_fail(ctx, LG_ERR_CONFIG, "%s: expected %s, got '%.80s'; did you mean '%s'?", where, row->option.range,
                   text, nearest);
}

int32_t lg_utf8_next(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    static const int32_t first_bits[] = {0x7f, 0x1f, 0x0f, 0x07}, least[] = {0, 0x80, 0x800, 0x10000};
    if (*p >= 0xf8 || (*p & 0xc0) == 0x80) return -1;
    const int more = (*p >= 0xc0) + (*p >= 0xe0) + (*p >= 0xf0); /* bytes after the first */
    int32_t code = *p & first_bits[more];
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) return -1; /* the final NUL stops here too */
        code = code << 6 | (p[i] & 0x3f);
    }
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return -1;
    *text += more + 1;
    return code;
}

static lg_status check_text(lg_context *ctx, const char *where, const lg_option_row *row, const char *text)
{
    if (*row->option.range) return check_choice(ctx, where, row, text);
    for (const char *p = text; *p;) {
        if (lg_utf8_next(&p) < 0)
            return lg_fail(ctx, LG_ERR_CONFIG, "%s: the text is not valid UTF-8; save the file in that encoding",
                           where);
    }
    return LG_OK;
}

lg_status lg_value_check(lg_context *ctx, const char *where, const lg_option_row *row, const char *text, char **out)
{
    char number[96] = "";
    lg_status status = LG_ERR_INTERNAL;
    *out = NULL;
    if (!*text) {
        char expected[160];
        lg_value_expected(row, expected, sizeof expected);
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: no value given, expected %s", where, expected);
    }
    if (lg_value_is_list(row)) return lg_value_check_list(ctx, where, row, text, out);
    switch (row->option.type) {
    case LG_OPT_STRING: status = check_text(ctx, where, row, text); break;
    case LG_OPT_INT: status = check_int(ctx, where, row, text, number, sizeof number); break;
    case LG_OPT_REAL: status = check_real(ctx, where, row, text, number, sizeof number); break;
    case LG_OPT_BOOL: status = check_bool(ctx, where, row, text, number, sizeof number); break;
    case LG_OPT_LIST: status = check_list(ctx, where, row, text, number, sizeof number); break;
    }
    if (status) return status;
    *out = strdup(row->option.type == LG_OPT_STRING ? text : number);
    return *out ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory for the configuration");
}
