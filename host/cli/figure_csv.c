/* What a figure shows, as a table: kept for the case that gnuplot is missing. */
#include "cli/figure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_cell(FILE *out, double value)
{
    if (isfinite(value)) fprintf(out, ",%.10g", value);
    else putc(',', out);
}

/* Quotes are doubled, as RFC 4180 has it. */
static void put_text(FILE *out, const char *text)
{
    putc('"', out);
    for (const char *c = text ? text : ""; *c; c++) fputs(*c == '"' ? "\"\"" : (char[]){*c, '\0'}, out);
    putc('"', out);
}

void figure_table_add(figure *fig, const figure_panel *panel, const figure_series *s)
{
    const size_t rows = s->style == FIGURE_LEVEL || s->style == FIGURE_MARK ? 1 : s->n;
    for (size_t i = 0; i < rows; i++) {
        fprintf(fig->table, "%d,", (int)(panel - fig->panel) + 1);
        put_text(fig->table, s->title);
        put_cell(fig->table, s->style == FIGURE_LEVEL ? NAN : s->x ? s->x[i] : (double)i);
        put_cell(fig->table, s->style == FIGURE_MARK ? NAN : s->y[i]);
        put_cell(fig->table, s->err ? s->err[i] : NAN);
        putc('\n', fig->table);
    }
}

void figure_table_add_image(figure *fig, const figure_panel *panel, const uint8_t *plane, int height, int width)
{
    for (int i = 0; i < height; i++) {
        for (int j = 0; j < width; j++) {
            fprintf(fig->table, "%d,\"row %d\",%d,%d,\n", (int)(panel - fig->panel) + 1, i, j,
                    plane[(size_t)i * (size_t)width + (size_t)j]);
        }
    }
}

/* Behind the whole name of the picture: NAME.csv is taken by traces and tables. */
char *figure_table_name(const char *path)
{
    const size_t size = strlen(path) + sizeof ".csv";
    char *name = malloc(size);
    if (name) snprintf(name, size, "%s.csv", path);
    return name;
}

/* Under a temporary name, then linked or renamed, so that an existing file is kept unless force. */
bool figure_table_write(figure *fig, const char *path, bool force)
{
    if (fig->failed || fflush(fig->table) != 0 || ferror(fig->table)) return false;
    char *name = figure_table_name(path);
    char *temporary = name ? malloc(strlen(name) + 32) : NULL;
    bool done = false;
    if (temporary) {
        snprintf(temporary, strlen(name) + 32, "%s.%ld.tmp", name, (long)getpid());
        FILE *out = fopen(temporary, "wx");
        if (out) {
            fputs("panel,series,x,y,error\n", out);
            fwrite(fig->rows_text, 1, fig->rows_size, out);
            done = fflush(out) == 0 && !ferror(out) && fsync(fileno(out)) == 0;
            done = fclose(out) == 0 && done;
            done = done && (force ? rename(temporary, name) : link(temporary, name)) == 0;
            unlink(temporary);
        }
    }
    free(temporary);
    free(name);
    return done;
}
