/* The picture of a comparison: the error of each method over time and over simulations. */
#include "cli/compare.h"
#include "cli/figure.h"

#include <math.h>
#include <stdlib.h>

/* COLOURS: those that figure.h takes in turn. COMMON: methods that both panels name. */
enum { GRID = 120, COLOURS = FIGURE_BLACK, COMMON = 4 };
#define SMALLEST 1e-6 /* an error of 0, the best run's own, has no place on a logarithmic axis */

static double place(const lg_compare *c, const lg_compare_point *point, bool time)
{
    return time ? point->seconds : point->evaluations * (double)c->info.replicates;
}

/* The error of what a run had by then; infinite before its first estimate. After its end it keeps the last one. */
static double error_at(const lg_compare *c, const lg_compare_run *run, bool time, double x)
{
    double error = INFINITY;
    for (int k = 0; k < run->points && place(c, &run->point[k], time) <= x; k++) error = run->point[k].error;
    return error;
}

/* From the first estimate of a method to its last; false where there is none. */
static bool span(const lg_compare *c, int method, bool time, double *low, double *high)
{
    *low = INFINITY;
    *high = 0.0;
    for (int s = 0; s < c->seeds; s++) {
        const lg_compare_run *run = &c->run[method * c->seeds + s];
        *low = fmin(*low, place(c, &run->point[0], time));
        *high = fmax(*high, place(c, &run->point[run->points - 1], time));
    }
    return *low > 0.0 && *high >= *low;
}

/* Of many methods each panel names half: colours are the same in both, and a legend of eight would take half of a panel. */
static const char *title_in(const lg_compare *c, int method, bool left)
{
    const bool first_half = method < (c->methods + 1) / 2;
    return c->methods <= COMMON || first_half == left ? c->method[method] : NULL;
}

static void add_method(const lg_compare *c, figure *fig, figure_panel *panel, int method, bool time, double *room)
{
    double x[GRID], y[GRID], low, high;
    if (!span(c, method, time, &low, &high)) return;
    for (int g = 0; g < GRID; g++) {
        x[g] = low * pow(high / low, (double)g / (GRID - 1));
        if (g == GRID - 1) x[g] = high;
        for (int s = 0; s < c->seeds; s++) room[s] = error_at(c, &c->run[method * c->seeds + s], time, x[g]);
        const double median = lg_compare_median(room, c->seeds);
        y[g] = isfinite(median) ? fmax(median, SMALLEST) : NAN;
    }
    const figure_style style = high <= low ? FIGURE_POINTS : method < COLOURS ? FIGURE_LINE : FIGURE_DASHED;
    figure_add(fig, panel,
               &(figure_series){.style = style,
                                .colour = (figure_colour)(FIGURE_BLUE + method % COLOURS),
                                .title = title_in(c, method, time),
                                .n = high <= low ? 1 : GRID,
                                .x = x,
                                .y = y});
}

lg_status lg_compare_picture(const lg_compare *c, const char *path)
{
    figure fig;
    double *room = calloc((size_t)c->seeds, sizeof *room);
    if (!room) return lg_cli_fail(c->cli, LG_ERR_MEMORY, "no memory for the picture");
    figure_init(&fig, 1, 2);
    fig.panel_height = 8.0; /* room for a legend */
    figure_text(fig.title, "%s, task %s, loss %s: median of %d seeds", c->info.model, c->info.task, c->info.loss,
                c->seeds);
    for (int k = 0; k < 2; k++) {
        figure_panel *panel = &fig.panel[k];
        const bool time = k == 0;
        panel->log_x = panel->log_y = true;
        figure_text(panel->x_label, time ? (c->processor_time ? "processor time (s)" : "time (s)") : "simulations");
        figure_text(panel->y_label,
                    c->by_params ? "relative error of the parameters" : "loss above the best, relative");
        for (int m = 0; m < c->methods; m++) add_method(c, &fig, panel, m, time, room);
        figure_add(&fig, panel,
                   &(figure_series){.style = FIGURE_LEVEL, .colour = FIGURE_GREY, .n = 1, .y = &c->wanted});
    }
    const lg_status status = figure_render(c->cli->ctx, &fig, path, c->cli->force);
    figure_free(&fig);
    free(room);
    return status;
}
