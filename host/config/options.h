/* The one table of keys, seen from inside: the public row plus what a value is and where the key applies. */
#ifndef LG_CONFIG_OPTIONS_H
#define LG_CONFIG_OPTIONS_H

#include "base/error.h"
#include "model/model.h"

enum { LG_KEY_SIZE = 128 };

typedef enum lg_option_kind {
    LG_KIND_VALUE,
    LG_KIND_PATH, /* a file; relative to the config file that names it */
    LG_KIND_STATE /* a start state's name, or else a file */
} lg_option_kind;

/* A key such as "params.NAME.start" stands for one key per parameter of the model. */
typedef struct lg_option_row {
    lg_option option;
    lg_option_kind kind;
    unsigned models, tasks; /* bit masks over lg_model_id and lg_task: where the key means something */
} lg_option_row;

/* The row of a key ("params.D_A.start" finds "params.NAME.start"); NULL if there is none. */
const lg_option_row *lg_option_find(const char *key);
const lg_option_row *lg_option_row_at(int index);
/* Do other keys begin with "key."? */
bool lg_option_is_section(const char *key);
/* The default for a model and task ("" where not known): text, "=KEY" (the value of another key) or NULL (none). What depends
 * on other keys is looked up in the configuration; without one (NULL) it is passed over. */
const char *lg_option_default(const lg_option_row *row, const char *model, const char *task, const lg_config *config);
/* Does a key pattern of the table stand for this key; with prefix: for a key below it? */
bool lg_option_matches(const char *pattern, const char *key, bool prefix);
/* Fails with "unknown key" and the nearest valid key or section; `where` begins the message. */
lg_status lg_option_unknown(lg_context *ctx, const char *where, const char *key);

/* "a whole number in [1, 10] (steps)": what a row accepts, for messages. */
void lg_value_expected(const lg_option_row *row, char *text, size_t size);
/* Checks a value against its row and brings it to the form in which it is kept and printed: numbers as the shortest
 * text that reads back the same, lists as "[a, b]". Release *out with free(). */
lg_status lg_value_check(lg_context *ctx, const char *where, const lg_option_row *row, const char *text, char **out);
/* Shortest of %.15g and %.17g that reads back as the same number, exponent without padding: "1e-7". */
void lg_value_format(double value, char *text, size_t size);
/* Is the row a list of any length (not the two numbers of an interval)? Its values are checked by lg_value_check_list, and
 * read by lg_value_vectors: rows x columns numbers, release *values with free(); a flat list has one column. */
bool lg_value_is_list(const lg_option_row *row);
lg_status lg_value_check_list(lg_context *ctx, const char *where, const lg_option_row *row, const char *text,
                              char **out);
bool lg_value_vectors(const char *text, double **values, size_t *rows, size_t *columns);
/* Is value in a range such as "(0, 1]"? Ranges of another form hold everything. */
bool lg_value_in_range(const char *range, double value);
/* Parses the two numbers of a canonical list. */
bool lg_value_pair(const char *text, double *first, double *second);
/* Next code point of UTF-8 text, advancing *text; -1 where it is malformed. */
int32_t lg_utf8_next(const char **text);

#endif
