/* Figures as gnuplot scripts: the terminal, then for each panel its axes and the clauses collected in figure.c. */
#include "cli/figure.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "record/colours.h" /* constants alone; nothing of the library is linked that is not public */

static const double PNG_DPI = 220;  /* a journal column is then 736 pixels wide */
static const double POINT = 72;     /* points an inch */
static const double CAIRO_DPI = 96; /* at which gnuplot's cairo terminals take the size of a font */

/* A gnuplot string. Single quotes: in double ones gnuplot would run what stands between back quotes. */
void figure_put_string(FILE *out, const char *text)
{
    putc('\'', out);
    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            fputs("'.\"\\n\".'", out);
        } else if (*c == '\'') {
            fputs("''", out);
        } else if ((unsigned char)*c >= ' ') {
            putc(*c, out);
        }
    }
    putc('\'', out);
}

static bool has_extension(const char *path, const char *extension)
{
    const char *dot = strrchr(path, '.');
    return dot && strcasecmp(dot, extension) == 0;
}

/* lg_gnuplot refuses other extensions than .png, .svg, .pdf, .gif and .mp4, which is made of .png. */
static void put_terminal(FILE *out, const figure *fig, const char *path)
{
    double width, height;
    figure_size(fig, &width, &height);
    if (has_extension(path, ".gif")) {
        fprintf(out, "set terminal gif %s noenhanced size %.0f,%.0f font 'DejaVu Sans,%.1f'\n",
                fig->animate ? "animate delay 12 loop 0" : "", width / 2.54 * CAIRO_DPI, height / 2.54 * CAIRO_DPI,
                FIGURE_FONT);
    } else if (has_extension(path, ".pdf")) {
        fprintf(out, "set terminal pdfcairo noenhanced size %.2fcm,%.2fcm font 'DejaVu Sans,%.1f' fontscale %.3f\n",
                width, height, FIGURE_FONT, POINT / CAIRO_DPI);
    } else if (has_extension(path, ".svg")) {
        fprintf(out, "set terminal svg noenhanced size %.0f,%.0f font 'DejaVu Sans,%.1f' background 'white'\n",
                width / 2.54 * POINT, height / 2.54 * POINT, FIGURE_FONT);
    } else {
        double scale = PNG_DPI / POINT;
        fprintf(
            out,
            "set terminal pngcairo noenhanced size %.0f,%.0f font 'DejaVu Sans,%.1f' linewidth %.3f pointscale %.3f "
            "background 'white'\n",
            width / 2.54 * PNG_DPI, height / 2.54 * PNG_DPI, FIGURE_FONT * PNG_DPI / CAIRO_DPI, scale, scale);
    }
}

static void put_palette(FILE *out, int maximum)
{
    const unsigned char(*stop)[3] = maximum == 1 ? lg_colour_binary : lg_colour_stop;
    int stops = maximum == 1 ? 2 : LG_COLOUR_STOPS;
    fputs("set palette defined (", out);
    for (int i = 0; i < stops; i++) {
        fprintf(out, "%s%d '#%02x%02x%02x'", i ? ", " : "", i, stop[i][0], stop[i][1], stop[i][2]);
    }
    fputs(")\n", out);
}

static void put_image_panel(FILE *out, const figure_panel *panel)
{
    fprintf(out, "set xrange [-0.5:%.1f]\nset yrange [%.1f:-0.5]\n", panel->image_width - 0.5,
            panel->image_height - 0.5);
    fprintf(out, "set cbrange [0:%d]\n", panel->image_maximum > 0 ? panel->image_maximum : 1);
    fputs("unset logscale\nunset key\nunset grid\nunset xtics\nunset ytics\nset border 15 lw 0.5\n", out);
    put_palette(out, panel->image_maximum);
    if (!figure_has_colour_bar(panel)) {
        fputs("unset colorbox\n", out);
        return;
    }
    fprintf(out, "set cbtics scale 0.5 %.10g\nset cblabel ", figure_tic_step(panel->image_maximum));
    figure_put_string(out, panel->colour_label);
    fputs(" offset 0.5,0\n", out);
}

static void put_panel(FILE *out, const figure *fig, int index)
{
    const figure_panel *panel = &fig->panel[index];
    if (!panel->series) return;
    figure_put_place(out, fig, index);
    fputs("set title ", out);
    figure_put_string(out, panel->title);
    fputs(" offset 0,-0.4\nset xlabel ", out);
    figure_put_string(out, panel->x_label);
    fputs(" offset 0,0.3\nset ylabel ", out);
    figure_put_string(out, panel->y_label);
    fputs(" offset 0.2,0\n", out);
    if (panel->image_height) {
        put_image_panel(out, panel);
    } else {
        fputs("set border 3 lw 0.7\nset grid lw 0.4 lc rgb "
              "'#D8D8D8'\nunset colorbox\n",
              out);
        figure_put_axes(out, fig, panel);
    }
    for (int i = 0; i < panel->marks; i++) {
        fprintf(out, "set arrow from first %.10g, graph 0 to first %.10g, graph 1 nohead dt (6,4) lw 1 lc rgb '%s'\n",
                panel->mark[i].x, panel->mark[i].x, panel->mark[i].colour);
    }
    fprintf(out, "%s\nunset arrow\nunset label\n", panel->clauses);
}

/* One page of panels, or one for every row of them. */
static void put_panels(FILE *out, const figure *fig)
{
    const int rows = fig->animate ? 1 : fig->rows;
    for (int first = 0; first < fig->rows; first += rows) {
        fputs("set multiplot\n", out);
        if (*fig->title) { /* a label: with a title of its own gnuplot would shrink the panels below it */
            fputs("set label ", out);
            figure_put_string(out, fig->title);
            fprintf(out, " at screen 0.5, screen %.6f center\n", figure_title_height(fig));
        }
        for (int i = 0; i < rows * fig->cols; i++) put_panel(out, fig, first * fig->cols + i);
        fputs("unset multiplot\n", out);
    }
}

lg_status figure_render(lg_context *ctx, figure *fig, const char *path, bool force)
{
    char *script = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&script, &size);
    bool failed = fig->failed || !out || fflush(fig->data) != 0 || ferror(fig->data);
    for (int i = 0; !failed && i < fig->rows * fig->cols; i++) {
        failed = fflush(fig->panel[i].plot) != 0 || ferror(fig->panel[i].plot);
    }
    if (!failed) {
        put_terminal(out, fig, path);
        fprintf(out, "set encoding utf8\nset output output\nset samples 2\n%s", fig->blocks);
        put_panels(out, fig);
        fputs("set output\n", out);
    }
    if (out && fclose(out) != 0) failed = true;
    const lg_status status =
        lg_gnuplot(ctx, failed ? NULL : script, path, force); /* NULL: it reports the lack of memory */
    if (status == LG_ERR_LIBRARY) figure_table_write(fig, path, force);
    free(script);
    return status;
}
