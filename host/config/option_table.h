/* What the functions over the table of keys know of it: options.c, and the tests of its rows. */
#ifndef LG_CONFIG_OPTION_TABLE_H
#define LG_CONFIG_OPTION_TABLE_H

#include "config/options.h"

enum { LG_OPTION_MAX = 128 };                /* no fewer than there are rows */
extern const lg_option_row lg_option_rows[]; /* option_table.c */
extern const int lg_option_row_count;

/* Defaults that depend on model and task ("": any) and on other keys: the first row that fits counts.
 *   when   conditions that all hold, between blanks: "KEY=VALUE", the value in force, or "KEY", set by the user; "": always
 *   value  "=steps": the value of that key; NULL: none */
typedef struct lg_option_default_row {
    const char *key, *model, *task, *when, *value;
} lg_option_default_row;
extern const lg_option_default_row lg_option_defaults[]; /* option_defaults.c */
extern const int lg_option_default_count;

#endif
