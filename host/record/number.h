/* Numbers as text that reads back as the same number. */
#ifndef LG_RECORD_NUMBER_H
#define LG_RECORD_NUMBER_H

#include "base/text.h"

enum { LG_NUMBER_SIZE = 32 };

/* The shortest of 15 to 17 digits that reads back as the same double; finite values alone. */
void lg_number_text(char text[LG_NUMBER_SIZE], double value);

/* JSON: finite numbers in full, others null; strings in quotes and escaped. */
void lg_json_number(lg_text *out, double value);
void lg_json_string(lg_text *out, const char *string);

#endif
