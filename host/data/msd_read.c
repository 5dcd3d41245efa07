/* MSD tables from CSV files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/csv.h"

typedef struct columns {
    int lag, time, msd, sem, n; /* -1: absent */
} columns;

/* The column called `name` or, failing that, the one whose name starts with it; -1 if none, -2 if several do. */
static int find_prefix(const lg_csv *csv, const char *name)
{
    int found = lg_csv_find(csv, name);
    if (found >= 0) return found;
    for (size_t c = 0; c < csv->columns; c++) {
        if (strncasecmp(csv->header[c], name, strlen(name)) != 0) continue;
        if (found >= 0) return -2;
        found = (int)c;
    }
    return found;
}

static lg_status find_columns(lg_context *ctx, const lg_csv *csv, columns *at)
{
    const struct {
        const char *name;
        int *column;
        bool needed;
    } wanted[] = {{"lag", &at->lag, false},
                  {"time", &at->time, false},
                  {"msd", &at->msd, true},
                  {"sem", &at->sem, false}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int found = find_prefix(csv, wanted[i].name);
        if (found == -2) {
            return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: several columns start with '%s'; call the right one just '%s'",
                           csv->path, csv->header_line, wanted[i].name, wanted[i].name);
        }
        if (found == -1 && wanted[i].needed) return lg_csv_column(ctx, csv, wanted[i].name, &found);
        *wanted[i].column = found;
    }
    at->n = lg_csv_find(csv, "n");
    if (at->n < 0) at->n = find_prefix(csv, "n_");
    if (at->lag >= 0 || at->time >= 0) return LG_OK;
    int none;
    lg_csv_column(ctx, csv, "lag", &none);
    return lg_fail_in(ctx, LG_ERR_DATA, "a column lag, or time_s, is needed");
}

static bool is_missing(const char *cell)
{
    return !*cell || strcasecmp(cell, "nan") == 0 || strcasecmp(cell, "na") == 0;
}

static lg_status read_row(lg_context *ctx, const lg_csv *csv, const columns *at, size_t i, double first_time,
                          lg_msd_row *row)
{
    lg_status result = LG_OK;
    int64_t expected = (int64_t)i + 1;
    *row = (lg_msd_row){.lag = expected, .time_s = NAN, .sem = NAN};
    if (at->lag >= 0) result = lg_csv_int(ctx, csv, i, at->lag, &row->lag);
    if (result == LG_OK && at->time >= 0) result = lg_csv_real(ctx, csv, i, at->time, &row->time_s);
    if (result == LG_OK) result = lg_csv_real(ctx, csv, i, at->msd, &row->msd);
    if (result == LG_OK && at->sem >= 0 && !is_missing(lg_csv_cell(csv, i, at->sem))) {
        result = lg_csv_real(ctx, csv, i, at->sem, &row->sem);
    }
    if (result == LG_OK && at->n >= 0) result = lg_csv_int(ctx, csv, i, at->n, &row->n);
    if (result != LG_OK) return result;

    const char *path = csv->path;
    size_t line = csv->line[i];
    if (row->lag != expected) {
        return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: lag %lld where %lld was expected; lags must count 1, 2, 3, ...", path,
                       line, (long long)row->lag, (long long)expected);
    }
    if (at->time >= 0) {
        double step = i == 0 ? row->time_s : first_time, time = (double)expected * step;
        if (!(row->time_s > 0) || fabs(row->time_s - time) > 0.01 * time) {
            return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: time %g; times must be positive and 1, 2, 3, ... times the first",
                           path, line, row->time_s);
        }
    }
    if (row->msd < 0) return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: the msd is negative (%g)", path, line, row->msd);
    if (row->sem < 0) return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: the sem is negative (%g)", path, line, row->sem);
    if (row->n < 0) {
        return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: n is negative (%lld)", path, line, (long long)row->n);
    }
    return LG_OK;
}

lg_status lg_msd_read(lg_context *ctx, const char *path, lg_msd *out)
{
    lg_csv csv;
    columns at = {-1, -1, -1, -1, -1};
    *out = (lg_msd){0};
    lg_status result = lg_csv_read(ctx, path, &csv);
    if (result != LG_OK) return result;
    result = find_columns(ctx, &csv, &at);
    if (result == LG_OK) {
        out->row = malloc(csv.rows * sizeof *out->row);
        if (!out->row) result = lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory", path);
    }
    for (size_t i = 0; i < csv.rows && result == LG_OK; i++) {
        result = read_row(ctx, &csv, &at, i, out->row[0].time_s, &out->row[i]);
        out->rows = i + 1;
    }
    lg_csv_clear(&csv);
    if (result != LG_OK) lg_msd_clear(out);
    return result;
}
