/* The picture of a fit. */
#ifndef LG_CLI_FIT_PICTURE_H
#define LG_CLI_FIT_PICTURE_H

#include "cli/figure.h"
#include "cli/msd_view.h"

/* Data, closed form and parameter traces for a random walk (view given); parameter traces and loss otherwise. */
lg_status lg_fit_picture(lg_cli *cli, const lg_problem *problem, const lg_result *result, const lg_msd_view *view,
                         const char *path);
/* One curve of column `column` of a fit's trace (0 loss, 1 + p parameter p), thinned to a few hundred points. */
lg_status lg_figure_add_trace(lg_cli *cli, figure *fig, figure_panel *panel, const lg_result *result, int params,
                              int fit, int column, figure_style style, figure_colour colour, const char *title);
/* Data with error bars and the closed form, against lag time where it is known. */
void lg_figure_add_msd(figure *fig, figure_panel *panel, const lg_msd_view *view);

#endif
