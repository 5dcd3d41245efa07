/* The MSD curve of a random-walk problem beside a fit, in lattice units: for tables, pictures and text plots. */
#ifndef LG_CLI_MSD_VIEW_H
#define LG_CLI_MSD_VIEW_H

#include "cli/cli.h"

typedef struct lg_msd_view {
    int lags;
    double *target, *sem, *model; /* each [lags]; sem NaN where unknown */
    double *seconds;              /* [lags]; NaN where the data has no time */
    double rmse;                  /* of the closed form against the target */
} lg_msd_view;

/* Fills a view from the problem's target, error bars and times of `data` (NULL: none) divided by spacing2, and the
 * closed form at (p_center, p_resample). */
lg_status lg_msd_view_create(lg_cli *cli, const lg_problem *problem, const lg_msd *data, double spacing2,
                             double p_center, double p_resample, lg_msd_view *view);
/* The table cli->config fits, with its error bars, which the problem does not keep; no rows for generated data. */
lg_status lg_msd_view_data(lg_cli *cli, lg_msd *msd, double *spacing2);
void lg_msd_view_clear(lg_msd_view *view);
/* Root mean square of the closed form minus target. */
double lg_msd_rmse(double p_center, double p_resample, const double *target, int lags);
/* A plot in characters: data o, model . */
void lg_msd_view_print(const lg_msd_view *view, FILE *out);

#endif
