/* A small figure builder: panels in rows and columns, each with curves or one image; drawn by gnuplot.
 *
 *     figure fig;
 *     figure_init(&fig, 1, 2);                            // 1 row, 2 columns of panels
 *     figure_panel *panel = &fig.panel[0];
 *     figure_text(panel->title, "T cells");               // texts are plain UTF-8, no markup; '\n' starts a new line
 *     figure_text(panel->x_label, "lag (s)");
 *     figure_text(panel->y_label, "MSD (µm²)");
 *     figure_add(&fig, panel, &(figure_series){.style = FIGURE_POINTS, .n = n, .x = x, .y = y, .err = sem});
 *     figure_add_image(&fig, &fig.panel[1], plane, height, width, maximum);
 *     status = figure_render(ctx, &fig, "fit.png", force); // .png, .svg, .pdf, .gif or .mp4
 *     figure_free(&fig);
 *
 * Arrays are copied when they are added, and long lines thinned to what can be seen. A failed allocation is remembered
 * and reported by figure_render, so it is enough to check its result. Panels without content leave their cell empty. */
#ifndef LG_CLI_FIGURE_H
#define LG_CLI_FIGURE_H

#include <stdio.h>

#include "latgrad.h"

typedef enum figure_style {
    FIGURE_LINE,        /* joined by a line */
    FIGURE_DASHED,      /* joined by a dashed line */
    FIGURE_FAINT,       /* a thin pale line: one of many */
    FIGURE_POINTS,      /* points, with error bars where err is given */
    FIGURE_LINE_POINTS, /* points joined by a line, with error bars where err is given */
    FIGURE_BAND,        /* a pale band from y - err to y + err */
    FIGURE_LEVEL,       /* a dashed horizontal line at y[0] over the whole panel, such as a true value */
    FIGURE_MARK         /* a dashed vertical line at x[0]; at most FIGURE_MARKS a panel */
} figure_style;

/* Colours that stay apart with every kind of colour blindness (Okabe and Ito). FIGURE_NEXT takes the next in turn. */
typedef enum figure_colour {
    FIGURE_NEXT,
    FIGURE_BLUE,
    FIGURE_ORANGE,
    FIGURE_GREEN,
    FIGURE_PINK,
    FIGURE_SKY,
    FIGURE_AMBER,
    FIGURE_BLACK,
    FIGURE_GREY
} figure_colour;

typedef struct figure_series {
    figure_style style;
    figure_colour colour;
    const char *title; /* in the legend; NULL: not there */
    size_t n;
    const double *x; /* NULL: 0, 1, 2, ... */
    const double *y; /* NaN: a gap */
    const double *err;
} figure_series;

#define FIGURE_FONT 8.5 /* points */

enum { FIGURE_TEXT = 160, FIGURE_MARKS = 8, FIGURE_SAMPLES = 8192, FIGURE_NAMES = 12 };

typedef struct figure_panel {
    char title[FIGURE_TEXT], x_label[FIGURE_TEXT], y_label[FIGURE_TEXT];
    const char *legend; /* its place in gnuplot's words, a string constant: "top left"; NULL: where no curve is */
    bool log_x, log_y;  /* to be set before curves are added */
    double x_range[2], y_range[2];    /* both 0: from the data; one of them NaN: that end from the data */
    const char *x_name[FIGURE_NAMES]; /* in the place of numbers, at x = 1, 2, ...; not copied */
    bool no_colour_bar;               /* image panels */
    char colour_label[FIGURE_TEXT];

    /* Used by figure.c alone. */
    FILE *plot;
    char *clauses;
    size_t clauses_size;
    double x_data[2], y_data[2];   /* what the data span, error bars included */
    double level[2];               /* the lowest and the highest FIGURE_LEVEL */
    double (*sample)[2];           /* points along the curves, to find a free place for the legend */
    int samples, entries, longest; /* entries of the legend, characters of the longest one */
    int series, colours, marks, image_height, image_width, image_maximum;
    struct {
        double x;
        const char *colour;
    } mark[FIGURE_MARKS];
} figure_panel;

typedef struct figure {
    int rows, cols;
    figure_panel *panel; /* [rows * cols], row by row */
    char title[FIGURE_TEXT];
    double panel_width, panel_height; /* centimetres, of an image at most; 8.5 (a journal column) x 6.2 */

    bool animate; /* .gif and .mp4: every row of panels is a frame of its own */

    FILE *table; /* the data as CSV rows, see figure_csv.c */
    char *rows_text;
    size_t rows_size;
    FILE *data;
    char *blocks;
    size_t blocks_size;
    int block_count;
    bool failed;
} figure;

void figure_init(figure *fig, int rows, int cols);
void figure_free(figure *fig);
/* printf into one of the texts of a figure or panel. */
void figure_text(char text[FIGURE_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));
void figure_add(figure *fig, figure_panel *panel, const figure_series *series);
/* A lattice plane, row 0 at the top, coloured from 0 to maximum; maximum 1: two colours and no colour bar. */
void figure_add_image(figure *fig, figure_panel *panel, const uint8_t *plane, int height, int width, int maximum);
/* Writes a text as a string of the script (figure_script.c). */
void figure_put_string(FILE *out, const char *text);
/* figure_axes.c: writes the ranges, the tics and the place of the legend; a step for about five tics. */
void figure_put_axes(FILE *out, const figure *fig, const figure_panel *panel);
double figure_tic_step(double width);
/* figure_layout.c: the size of a page in centimetres, where its title is; writes the place and the margins of a panel. */
bool figure_has_colour_bar(const figure_panel *panel);
void figure_size(const figure *fig, double *width, double *height);
double figure_title_height(const figure *fig);
void figure_put_place(FILE *out, const figure *fig, int index);
/* Writes the picture. Where gnuplot is missing or fails (LG_ERR_LIBRARY) the data go into a table beside it, picture.png.csv
 * (figure_table_name) with the columns panel,series,x,y,error; of an image: row i, column, value. An existing table is kept
 * unless force. */
lg_status figure_render(lg_context *ctx, figure *fig, const char *path, bool force);

/* figure_csv.c. The name belongs to the caller; NULL: out of memory. */
char *figure_table_name(const char *path);
bool figure_table_write(figure *fig, const char *path, bool force);
void figure_table_add(figure *fig, const figure_panel *panel, const figure_series *series);
void figure_table_add_image(figure *fig, const figure_panel *panel, const uint8_t *plane, int height, int width);

#endif
