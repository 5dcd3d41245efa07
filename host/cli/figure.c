/* Building figures: data go into inline blocks ($d1, $d2, ...), each panel collects its plot clauses. */
#include "cli/figure.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

enum { THIN_ABOVE = 4000, THIN_BUCKETS = 1000 };

void figure_init(figure *fig, int rows, int cols)
{
    *fig = (figure){.rows = rows, .cols = cols, .panel_width = 8.5, .panel_height = 6.2};
    size_t count = (size_t)rows * (size_t)cols;
    fig->panel = calloc(count, sizeof *fig->panel);
    fig->data = open_memstream(&fig->blocks, &fig->blocks_size);
    fig->table = open_memstream(&fig->rows_text, &fig->rows_size);
    fig->failed = !fig->panel || !fig->data || !fig->table;
    for (size_t i = 0; fig->panel && i < count; i++) {
        figure_panel *panel = &fig->panel[i];
        panel->plot = open_memstream(&panel->clauses, &panel->clauses_size);
        if (!panel->plot) fig->failed = true;
        panel->sample = calloc(FIGURE_SAMPLES, sizeof *panel->sample);
        if (!panel->sample) fig->failed = true;
        for (int end = 0; end < 2; end++) panel->x_data[end] = panel->y_data[end] = panel->level[end] = NAN;
    }
}

void figure_free(figure *fig)
{
    for (int i = 0; fig->panel && i < fig->rows * fig->cols; i++) {
        if (fig->panel[i].plot) fclose(fig->panel[i].plot);
        free(fig->panel[i].clauses);
        free(fig->panel[i].sample);
    }
    if (fig->data) fclose(fig->data);
    if (fig->table) fclose(fig->table);
    free(fig->rows_text);
    free(fig->blocks);
    free(fig->panel);
    *fig = (figure){0};
}

void figure_text(char text[FIGURE_TEXT], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, FIGURE_TEXT, format, args);
    va_end(args);
}

static void put_number(FILE *out, double value)
{
    if (isfinite(value)) {
        fprintf(out, " %.10g", value);
    } else {
        fputs(" NaN", out);
    }
}

static void widen(double range[2], double value)
{
    if (!isfinite(value)) return;
    if (!(value >= range[0])) range[0] = value;
    if (!(value <= range[1])) range[1] = value;
}

static double x_at(const figure_series *s, size_t i)
{
    return s->x ? s->x[i] : (double)i;
}

/* End of the error bar of point i, sign -1 or 1. On a logarithmic axis a bar that reaches zero has no lower half. */
static double bar_end(const figure_panel *panel, const figure_series *s, size_t i, int sign)
{
    double end = s->err && isfinite(s->err[i]) ? s->y[i] + sign * s->err[i] : s->y[i];
    return panel->log_y && end <= 0 ? s->y[i] : end;
}

/* What the series spans; on a logarithmic axis only what is positive counts. */
static void widen_ranges(figure_panel *panel, const figure_series *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!isfinite(s->y[i]) || (panel->log_x && x_at(s, i) <= 0) || (panel->log_y && s->y[i] <= 0)) continue;
        widen(panel->x_data, x_at(s, i));
        for (int sign = -1; sign <= 1; sign += 2) widen(panel->y_data, bar_end(panel, s, i, sign));
    }
}

static void keep_sample(figure_panel *panel, double x, double y)
{
    if (panel->samples == FIGURE_SAMPLES) return;
    panel->sample[panel->samples][0] = x;
    panel->sample[panel->samples++][1] = y;
}

/* Some 300 points of the curve: of a short one its points, their bars and points between them. */
static void keep_samples(figure_panel *panel, const figure_series *s)
{
    const size_t stride = (s->n + 299) / 300;
    const int between = s->n > 60 ? 1 : 5;
    for (size_t i = 0; i < s->n; i += stride) {
        for (int sign = -1; s->err && sign <= 1; sign += 2) keep_sample(panel, x_at(s, i), bar_end(panel, s, i, sign));
        size_t next = i + stride < s->n ? i + stride : i;
        for (int part = 0; part < between; part++) {
            double w = (double)part / between;
            keep_sample(panel, x_at(s, i) + w * (x_at(s, next) - x_at(s, i)), s->y[i] + w * (s->y[next] - s->y[i]));
        }
    }
}

/* x, y, and with errors the ends of the bar. */
static void put_point(FILE *out, const figure_panel *panel, const figure_series *s, size_t i)
{
    put_number(out, x_at(s, i));
    put_number(out, s->y[i]);
    for (int sign = -1; s->err && sign <= 1; sign += 2) put_number(out, bar_end(panel, s, i, sign));
    putc('\n', out);
}

/* Long lines keep the lowest and the highest point of each of a thousand stretches, which looks the same. */
static void put_thinned(FILE *out, const figure_panel *panel, const figure_series *s)
{
    for (size_t bucket = 0; bucket < THIN_BUCKETS; bucket++) {
        size_t first = s->n * bucket / THIN_BUCKETS, end = s->n * (bucket + 1) / THIN_BUCKETS;
        size_t low = first, high = first;
        for (size_t i = first; i < end; i++) {
            if (s->y[i] < s->y[low] || !isfinite(s->y[low])) low = i;
            if (s->y[i] > s->y[high] || !isfinite(s->y[high])) high = i;
        }
        put_point(out, panel, s, low < high ? low : high);
        if (low != high) put_point(out, panel, s, low < high ? high : low);
    }
}

static int put_block(figure *fig, const figure_panel *panel, const figure_series *s)
{
    bool line = s->style == FIGURE_LINE || s->style == FIGURE_DASHED || s->style == FIGURE_FAINT;
    fprintf(fig->data, "$d%d << END\n", ++fig->block_count);
    if (line && s->n > THIN_ABOVE) {
        put_thinned(fig->data, panel, s);
    } else {
        for (size_t i = 0; i < s->n; i++) put_point(fig->data, panel, s, i);
    }
    if (s->n == 0) fputs("NaN NaN NaN NaN\n", fig->data);
    fputs("END\n", fig->data);
    return fig->block_count;
}

static const char *colour_name(figure_panel *panel, figure_colour colour)
{
    static const char *const names[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                        "#56B4E9", "#E69F00", "#000000", "#707070"};
    if (colour == FIGURE_NEXT) colour = (figure_colour)(FIGURE_BLUE + panel->colours++ % 7);
    return names[colour - FIGURE_BLUE];
}

static void start_clause(figure_panel *panel)
{
    fputs(panel->series++ ? ", \\\n     " : "plot ", panel->plot);
}

static void end_clause(figure_panel *panel, const char *title)
{
    if (title && *title) {
        int length = 0;
        for (const char *c = title; *c; c++) length += (*c & 0xC0) != 0x80; /* characters, not bytes */
        if (length > panel->longest) panel->longest = length;
        panel->entries++;
        fputs(" title ", panel->plot);
        figure_put_string(panel->plot, title);
    } else {
        fputs(" notitle", panel->plot);
    }
}

/* Points with error bars. The bars are arrows with flat heads: gnuplot's own bars leave a blank around the point. */
static void add_points(figure *fig, figure_panel *panel, const figure_series *s, const char *colour)
{
    int block = put_block(fig, panel, s);
    if (s->err) {
        start_clause(panel);
        fprintf(panel->plot,
                "$d%d using 1:3:(0):($4-$3) with vectors heads size graph 0.008,90 lw 0.7 lc rgb '%s' notitle", block,
                colour);
    }
    start_clause(panel);
    const char *with = s->style == FIGURE_LINE_POINTS ? "linespoints lw 1" : "points";
    fprintf(panel->plot, "$d%d using 1:2 with %s pt 7 ps 0.45 lc rgb '%s'", block, with, colour);
    end_clause(panel, s->title);
}

/* An arrow, as it does not count for the ranges; the legend gets an empty curve that looks the same. */
static void add_mark(figure_panel *panel, const figure_series *s, const char *colour)
{
    if (panel->marks == FIGURE_MARKS) return;
    panel->mark[panel->marks].x = s->x[0];
    panel->mark[panel->marks++].colour = colour;
    keep_sample(panel, s->x[0], NAN);
    start_clause(panel);
    fprintf(panel->plot, "NaN with lines dt (6,4) lw 1 lc rgb '%s'", colour);
    end_clause(panel, s->title);
}

void figure_add(figure *fig, figure_panel *panel, const figure_series *s)
{
    if (fig->failed) return;
    figure_table_add(fig, panel, s);
    const char *colour = colour_name(panel, s->colour);
    if (s->style == FIGURE_LEVEL) {
        widen(panel->y_data, s->y[0]);
        widen(panel->level, s->y[0]);
        keep_sample(panel, NAN, s->y[0]);
    } else if (s->style != FIGURE_MARK) {
        widen_ranges(panel, s);
        keep_samples(panel, s);
    }
    if (s->style == FIGURE_POINTS || s->style == FIGURE_LINE_POINTS) {
        add_points(fig, panel, s, colour);
        return;
    }
    if (s->style == FIGURE_MARK) {
        add_mark(panel, s, colour);
        return;
    }
    int block = s->style == FIGURE_LEVEL ? 0 : put_block(fig, panel, s);
    start_clause(panel);
    switch (s->style) {
    case FIGURE_LINE: fprintf(panel->plot, "$d%d using 1:2 with lines lw 1.2 lc rgb '%s'", block, colour); break;
    case FIGURE_DASHED:
        fprintf(panel->plot, "$d%d using 1:2 with lines dt (6,4) lw 1.2 lc rgb '%s'", block, colour);
        break;
    case FIGURE_FAINT:
        fprintf(panel->plot, "$d%d using 1:2 with lines lw 0.5 lc rgb '#A0%s'", block, colour + 1);
        break;
    case FIGURE_BAND:
        fprintf(panel->plot, "$d%d using 1:3:4 with filledcurves fs noborder lc rgb '#B0%s'", block, colour + 1);
        break;
    case FIGURE_LEVEL: fprintf(panel->plot, "%.10g with lines dt (6,4) lw 1 lc rgb '%s'", s->y[0], colour); break;
    default: break;
    }
    end_clause(panel, s->title);
}

void figure_add_image(figure *fig, figure_panel *panel, const uint8_t *plane, int height, int width, int maximum)
{
    if (fig->failed) return;
    figure_table_add_image(fig, panel, plane, height, width);
    fprintf(fig->data, "$d%d << END\n", ++fig->block_count);
    for (int i = 0; i < height; i++) {
        for (int j = 0; j < width; j++)
            fprintf(fig->data, j ? " %d" : "%d", plane[(size_t)i * (size_t)width + (size_t)j]);
        putc('\n', fig->data);
    }
    fputs("END\n", fig->data);
    start_clause(panel);
    fprintf(panel->plot, "$d%d matrix with image notitle", fig->block_count);
    panel->image_height = height;
    panel->image_width = width;
    panel->image_maximum = maximum;
}
