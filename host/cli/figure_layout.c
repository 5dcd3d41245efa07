/* Where the panels of a figure lie, in centimetres from its upper left corner. Columns and rows are as wide and high as
 * their widest and highest panel: one with curves takes panel_width x panel_height, one with an image what the image, its
 * title and its colour bar need. */
#include "cli/figure.h"

#include <math.h>
#include <string.h>

static const double HEAD = 0.8, SHORT = 0.45; /* the title of the figure; above panels that begin with a blank */
static const double TITLE = 0.7, EDGE = 0.25; /* above an image, and on its other sides */
static const double BAR = 1.3, LABEL = 0.6;   /* right of an image: the colour bar with its numbers, and its label */

bool figure_has_colour_bar(const figure_panel *panel)
{
    return panel->image_height && panel->image_maximum != 1 && !panel->no_colour_bar;
}

/* Width and height of the image alone. */
static void image_size(const figure *fig, const figure_panel *panel, double size[2])
{
    size[1] = fig->panel_height - TITLE - EDGE;
    size[0] = size[1] * panel->image_width / panel->image_height;
    const double scale = fmin(1, (fig->panel_width - 2 * EDGE) / size[0]);
    size[0] *= scale;
    size[1] *= scale;
}

static void cell_size(const figure *fig, const figure_panel *panel, double size[2])
{
    size[0] = panel->series ? fig->panel_width : 0;
    size[1] = panel->series ? fig->panel_height : 0;
    if (!panel->image_height) return;
    image_size(fig, panel, size);
    size[0] += EDGE + (figure_has_colour_bar(panel) ? BAR + (*panel->colour_label ? LABEL : 0) : EDGE);
    size[1] += TITLE + EDGE;
}

static double column_width(const figure *fig, int column)
{
    double widest = 0, size[2];
    for (int row = 0; row < fig->rows; row++) {
        cell_size(fig, &fig->panel[row * fig->cols + column], size);
        widest = fmax(widest, size[0]);
    }
    return widest;
}

static double row_height(const figure *fig, int row)
{
    double highest = 0, size[2];
    for (int column = 0; column < fig->cols; column++) {
        cell_size(fig, &fig->panel[row * fig->cols + column], size);
        highest = fmax(highest, size[1]);
    }
    return highest;
}

/* Above the title of a panel of curves gnuplot leaves a blank, unless the legend is there. */
static double head(const figure *fig)
{
    if (!*fig->title) return 0;
    for (int i = 0; i < fig->cols; i++) {
        const figure_panel *panel = &fig->panel[i];
        if (panel->image_height || !*panel->title || (panel->legend && strcmp(panel->legend, "above") == 0))
            return HEAD;
    }
    return SHORT;
}

void figure_size(const figure *fig, double *width, double *height)
{
    *width = 0;
    *height = head(fig);
    for (int column = 0; column < fig->cols; column++) *width += column_width(fig, column);
    for (int row = 0; row < (fig->animate ? 1 : fig->rows); row++) *height += row_height(fig, row);
}

double figure_title_height(const figure *fig)
{
    double width, height;
    figure_size(fig, &width, &height);
    return 1 - HEAD / 2 / height;
}

/* In parts of the page, from its lower left corner, as gnuplot counts. */
void figure_put_place(FILE *out, const figure *fig, int index)
{
    const figure_panel *panel = &fig->panel[index];
    const int row = index / fig->cols, column = index % fig->cols;
    double width, height, left = 0, top = head(fig), size[2];
    figure_size(fig, &width, &height);
    for (int c = 0; c < column; c++) left += column_width(fig, c);
    for (int r = 0; r < row && !fig->animate; r++) top += row_height(fig, r);
    cell_size(fig, panel, size);
    fprintf(out, "set origin %.6f,%.6f\nset size noratio %.6f,%.6f\n", left / width, 1 - (top + size[1]) / height,
            size[0] / width, size[1] / height);
    if (!panel->image_height) {
        fputs("set lmargin -1\nset rmargin -1\nset tmargin -1\nset bmargin -1\n", out);
        return;
    }
    image_size(fig, panel, size);
    left += EDGE;
    top += TITLE;
    fprintf(out, "set lmargin at screen %.6f\nset rmargin at screen %.6f\n", left / width, (left + size[0]) / width);
    fprintf(out, "set tmargin at screen %.6f\nset bmargin at screen %.6f\n", 1 - top / height,
            1 - (top + size[1]) / height);
    if (figure_has_colour_bar(panel))
        fprintf(out, "set colorbox user origin screen %.6f, screen %.6f size screen %.6f, screen %.6f\n",
                (left + size[0] + 0.15) / width, 1 - (top + size[1]) / height, 0.2 / width, size[1] / height);
}
