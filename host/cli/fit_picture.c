#include "cli/fit_picture.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS = 500, TRACES_SHOWN = 12 };

lg_status lg_figure_add_trace(lg_cli *cli, figure *fig, figure_panel *panel, const lg_result *result, int params,
                              int fit, int column, figure_style style, figure_colour colour, const char *title)
{
    const int64_t rows = lg_result_iterations(result, fit);
    const double *trace = lg_result_trace(result, fit);
    const int64_t stride = (rows + POINTS - 1) / POINTS;
    if (rows < 1) return LG_OK;
    double *x = calloc(POINTS + 1, sizeof *x), *y = calloc(POINTS + 1, sizeof *y);
    lg_status status = LG_OK;
    if (x && y) {
        size_t n = 0;
        for (int64_t i = 0; i < rows; i += stride, n++) {
            x[n] = (double)i;
            y[n] = trace[i * (params + 3) + column];
        }
        figure_add(fig, panel,
                   &(figure_series){.style = style, .colour = colour, .title = title, .n = n, .x = x, .y = y});
    } else {
        status = lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the picture");
    }
    free(x);
    free(y);
    return status;
}

void lg_figure_add_msd(figure *fig, figure_panel *panel, const lg_msd_view *view)
{
    const bool timed = isfinite(view->seconds[0]);
    const size_t n = (size_t)view->lags;
    double *lag = calloc(n, sizeof *lag);
    if (!lag) {
        fig->failed = true;
        return;
    }
    for (size_t k = 0; k < n; k++) lag[k] = timed ? view->seconds[k] : (double)(k + 1);
    figure_text(panel->x_label, timed ? "lag (s)" : "lag (steps)");
    figure_text(panel->y_label, "MSD (sites²)");
    const double *err = isfinite(view->sem[0]) ? view->sem : NULL;
    figure_add(fig, panel,
               &(figure_series){.style = FIGURE_POINTS,
                                .colour = FIGURE_BLACK,
                                .title = "data",
                                .n = n,
                                .x = lag,
                                .y = view->target,
                                .err = err});
    figure_add(fig, panel,
               &(figure_series){.style = FIGURE_LINE,
                                .colour = FIGURE_BLUE,
                                .title = "fit (closed form)",
                                .n = n,
                                .x = lag,
                                .y = view->model});
    free(lag);
}

/* All fitted parameters in one panel: of one fit with a legend, of several as pale bundles. */
static lg_status add_parameters(lg_cli *cli, figure *fig, figure_panel *panel, const lg_problem *problem,
                                const lg_result *result)
{
    lg_problem_info info;
    lg_problem_describe(problem, &info);
    figure_text(panel->x_label, "iteration");
    figure_text(panel->y_label, "parameter");
    panel->legend = "above";
    const int shown = info.fits < TRACES_SHOWN ? info.fits : TRACES_SHOWN;
    int colour = FIGURE_BLUE;
    for (int p = 0; p < info.params; p++) {
        if (!lg_problem_is_fitted(problem, p)) continue;
        for (int f = 0; f < shown; f++) {
            const lg_status status =
                lg_figure_add_trace(cli, fig, panel, result, info.params, f, 1 + p, f ? FIGURE_FAINT : FIGURE_LINE,
                                    (figure_colour)colour, f ? NULL : lg_model_param(info.model_index, p)->name);
            if (status) return status;
        }
        colour = colour < FIGURE_BLACK ? colour + 1 : FIGURE_BLUE;
    }
    return LG_OK;
}

lg_status lg_fit_picture(lg_cli *cli, const lg_problem *problem, const lg_result *result, const lg_msd_view *view,
                         const char *path)
{
    lg_problem_info info;
    lg_problem_describe(problem, &info);
    figure fig;
    figure_init(&fig, 1, 2);
    lg_status status = LG_OK;
    if (view) {
        lg_figure_add_msd(&fig, &fig.panel[0], view);
    } else {
        figure_text(fig.panel[0].x_label, "iteration");
        figure_text(fig.panel[0].y_label, "loss (%s)", info.loss);
        for (int f = 0; f < info.fits && f < TRACES_SHOWN && !status; f++) {
            status = lg_figure_add_trace(cli, &fig, &fig.panel[0], result, info.params, f, 0,
                                         f ? FIGURE_FAINT : FIGURE_LINE, FIGURE_BLUE, NULL);
        }
    }
    if (!status) status = add_parameters(cli, &fig, &fig.panel[1], problem, result);
    if (!status) status = figure_render(cli->ctx, &fig, path, cli->force);
    figure_free(&fig);
    return status;
}
