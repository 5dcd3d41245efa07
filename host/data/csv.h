/* CSV tables: a header row, comma separated, fields may be quoted; blank lines and lines starting with '#' are skipped,
 * a UTF-8 byte order mark and CRLF line ends are taken. Messages start with FILE:LINE. */
#ifndef LG_DATA_CSV_H
#define LG_DATA_CSV_H

#include "base/error.h"

typedef struct lg_csv {
    char *path, *text; /* the cells point into text */
    size_t columns, rows;
    const char **header; /* [columns] */
    const char **cell;   /* [rows][columns], without surrounding blanks */
    size_t *line;        /* [rows], counted from 1 */
    size_t header_line;
} lg_csv;

/* Reads and checks the shape: a header without repeated names (R leaves the first one empty), at least one row, no
 * ragged rows. */
lg_status lg_csv_read(lg_context *ctx, const char *path, lg_csv *out);
void lg_csv_clear(lg_csv *csv);

/* Index of a column (case ignored), -1 if there is none. */
int lg_csv_find(const lg_csv *csv, const char *name);
/* The same for a column that must be there; the message names the nearest column. */
lg_status lg_csv_column(lg_context *ctx, const lg_csv *csv, const char *name, int *column);

const char *lg_csv_cell(const lg_csv *csv, size_t row, int column);
/* A cell as a finite number, or as an integer ("3" or "3.0"). */
lg_status lg_csv_real(lg_context *ctx, const lg_csv *csv, size_t row, int column, double *out);
lg_status lg_csv_int(lg_context *ctx, const lg_csv *csv, size_t row, int column, int64_t *out);

#endif
