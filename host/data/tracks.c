#include "data/tracks.h"

#include <stdlib.h>
#include <string.h>

#include "data/csv.h"

/* One row of the file, for sorting: by id, then time, then line. */
typedef struct point {
    const char *id;
    double t, x, y, z;
    size_t line;
} point;

static int compare(const void *left, const void *right)
{
    const point *a = left, *b = right;
    int order = strcmp(a->id, b->id);
    if (order) return order;
    if (a->t != b->t) return a->t < b->t ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

static lg_status read_points(lg_context *ctx, const lg_csv *csv, point *points)
{
    static const char *const names[] = {"id", "t", "x", "y"};
    int column[5];
    lg_status result = LG_OK;
    for (int c = 0; c < 4; c++) {
        result = lg_csv_column(ctx, csv, names[c], &column[c]);
        if (result != LG_OK) return result;
    }
    column[4] = lg_csv_find(csv, "z");
    for (size_t i = 0; i < csv->rows; i++) {
        point *p = &points[i];
        p->id = lg_csv_cell(csv, i, column[0]);
        p->line = csv->line[i];
        p->z = 0;
        if (!*p->id) return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: the id is empty", csv->path, p->line);
        result = lg_csv_real(ctx, csv, i, column[1], &p->t);
        if (result == LG_OK) result = lg_csv_real(ctx, csv, i, column[2], &p->x);
        if (result == LG_OK) result = lg_csv_real(ctx, csv, i, column[3], &p->y);
        if (result == LG_OK && column[4] >= 0) result = lg_csv_real(ctx, csv, i, column[4], &p->z);
        if (result != LG_OK) return result;
    }
    qsort(points, csv->rows, sizeof *points, compare);
    for (size_t i = 1; i < csv->rows; i++) {
        const point *a = &points[i - 1], *b = &points[i];
        if (a->t != b->t || strcmp(a->id, b->id) != 0) continue;
        return lg_fail(ctx, LG_ERR_DATA, "%s:%zu: track '%.60s' has a position at t = %.10g already, on line %zu",
                       csv->path, b->line, b->id, b->t, a->line);
    }
    return LG_OK;
}

static lg_status store(lg_context *ctx, const char *path, const point *points, size_t n, lg_tracks **out)
{
    lg_tracks *tracks = calloc(1, sizeof *tracks);
    if (!tracks) return lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the tracks", path);
    tracks->path = strdup(path);
    tracks->first = malloc((n + 1) * sizeof *tracks->first);
    tracks->t = malloc(n * sizeof *tracks->t);
    tracks->x = malloc(n * sizeof *tracks->x);
    tracks->y = malloc(n * sizeof *tracks->y);
    tracks->z = malloc(n * sizeof *tracks->z);
    if (!tracks->path || !tracks->first || !tracks->t || !tracks->x || !tracks->y || !tracks->z) {
        lg_tracks_free(tracks);
        return lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the tracks", path);
    }
    tracks->points = n;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(points[i].id, points[i - 1].id) != 0) tracks->first[tracks->count++] = i;
        tracks->t[i] = points[i].t;
        tracks->x[i] = points[i].x;
        tracks->y[i] = points[i].y;
        tracks->z[i] = points[i].z;
    }
    tracks->first[tracks->count] = n;
    *out = tracks;
    return LG_OK;
}

lg_status lg_tracks_read(lg_context *ctx, const char *path, lg_tracks **out)
{
    lg_csv csv;
    *out = NULL;
    lg_status result = lg_csv_read(ctx, path, &csv);
    if (result != LG_OK) return result;
    point *points = malloc(csv.rows * sizeof *points);
    if (!points) {
        result = lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for %zu positions", path, csv.rows);
    } else {
        result = read_points(ctx, &csv, points);
        if (result == LG_OK) result = store(ctx, path, points, csv.rows, out);
    }
    free(points);
    lg_csv_clear(&csv);
    return result;
}

void lg_tracks_free(lg_tracks *tracks)
{
    if (!tracks) return;
    free(tracks->path);
    free(tracks->first);
    free(tracks->t);
    free(tracks->x);
    free(tracks->y);
    free(tracks->z);
    free(tracks);
}

size_t lg_tracks_count(const lg_tracks *tracks)
{
    return tracks->count;
}
