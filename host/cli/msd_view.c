#include "cli/msd_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAGS = 100000, PLOT_ROWS = 16, PLOT_COLUMNS = 60 };

double lg_msd_rmse(double p_center, double p_resample, const double *target, int lags)
{
    double *model = calloc((size_t)lags, sizeof *model), sum = 0;
    if (!model) return NAN;
    lg_prw_msd(p_center, p_resample, lags, model);
    for (int k = 0; k < lags; k++) sum += (model[k] - target[k]) * (model[k] - target[k]);
    free(model);
    return sqrt(sum / lags);
}

void lg_msd_view_clear(lg_msd_view *view)
{
    free(view->target);
    free(view->sem);
    free(view->model);
    free(view->seconds);
    *view = (lg_msd_view){0};
}

lg_status lg_msd_view_data(lg_cli *cli, lg_msd *msd, double *spacing2)
{
    const char *text = lg_config_get(cli->config, "data.spacing2");
    *spacing2 = text ? strtod(text, NULL) : 1.0;
    char *path = lg_cli_input_path(cli, "data.msd");
    if (path) {
        const lg_status status = lg_msd_read(cli->ctx, path, msd);
        free(path);
        return status;
    }
    path = lg_cli_input_path(cli, "data.tracks");
    if (!path) return LG_OK;
    static const char *const variants[] = {"time", "index", "nonoverlap", "start"};
    const char *variant = lg_config_get(cli->config, "data.variant"),
               *interval = lg_config_get(cli->config, "data.interval");
    lg_msd_variant kind = LG_MSD_TIME;
    for (int i = 0; i < 4; i++) {
        if (variant && strcmp(variant, variants[i]) == 0) kind = (lg_msd_variant)i;
    }
    lg_tracks *tracks = NULL;
    lg_status status = lg_tracks_read(cli->ctx, path, &tracks);
    if (!status) status = lg_tracks_msd(cli->ctx, tracks, kind, interval ? strtod(interval, NULL) : 0.0, 0, msd);
    lg_tracks_free(tracks);
    free(path);
    return status;
}

static void take_errors(const lg_msd *msd, double spacing2, lg_msd_view *view)
{
    for (size_t i = 0; i < msd->rows; i++) {
        const lg_msd_row *row = &msd->row[i];
        if (row->lag < 1 || row->lag > view->lags) continue;
        view->sem[row->lag - 1] = row->sem / spacing2;
        view->seconds[row->lag - 1] = row->time_s;
    }
}

lg_status lg_msd_view_create(lg_cli *cli, const lg_problem *problem, const lg_msd *data, double spacing2,
                             double p_center, double p_resample, lg_msd_view *view)
{
    lg_problem_info info;
    lg_problem_describe(problem, &info);
    const double *target = lg_problem_target(problem);
    *view = (lg_msd_view){.lags = info.statistics};
    if (!target || info.statistics < 1 || info.statistics > MAX_LAGS) {
        return lg_cli_fail(cli, LG_ERR_INTERNAL, "the problem has no MSD curve");
    }
    const size_t n = (size_t)info.statistics;
    view->target = calloc(n, sizeof(double));
    view->sem = calloc(n, sizeof(double));
    view->model = calloc(n, sizeof(double));
    view->seconds = calloc(n, sizeof(double));
    if (!view->target || !view->sem || !view->model || !view->seconds) {
        lg_msd_view_clear(view);
        return lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the MSD curve");
    }
    memcpy(view->target, target, n * sizeof *target);
    lg_prw_msd(p_center, p_resample, view->lags, view->model);
    for (size_t k = 0; k < n; k++) view->sem[k] = view->seconds[k] = NAN;
    view->rmse = lg_msd_rmse(p_center, p_resample, target, view->lags);
    if (data) take_errors(data, spacing2, view);
    return LG_OK;
}

/* ---- a plot in characters ------------------------------------------------------------------------------------- */

static int to_row(double value, double top)
{
    const int row = PLOT_ROWS - 1 - (int)lround(value / top * (PLOT_ROWS - 1));
    return row < 0 ? 0 : (row >= PLOT_ROWS ? PLOT_ROWS - 1 : row);
}

/* Lag 0 is the left edge, the last lag the right one; MSD(0) = 0. */
void lg_msd_view_print(const lg_msd_view *view, FILE *out)
{
    char canvas[PLOT_ROWS][PLOT_COLUMNS + 1];
    double top = 0;
    for (int k = 0; k < view->lags; k++) top = fmax(top, fmax(view->target[k], view->model[k]));
    if (!(top > 0) || !isfinite(top)) return;
    for (int i = 0; i < PLOT_ROWS; i++) {
        memset(canvas[i], ' ', PLOT_COLUMNS);
        canvas[i][PLOT_COLUMNS] = '\0';
    }
    for (int j = 0; j < PLOT_COLUMNS; j++) {
        const double lag = (double)j / (PLOT_COLUMNS - 1) * view->lags;
        const int k = (int)lag < view->lags ? (int)lag : view->lags - 1;
        const double low = k ? view->model[k - 1] : 0.0;
        canvas[to_row(low + (lag - k) * (view->model[k] - low), top)][j] = '.';
    }
    for (int k = 0; k < view->lags; k++) {
        const int j = (int)lround((double)(k + 1) / view->lags * (PLOT_COLUMNS - 1));
        canvas[to_row(view->target[k], top)][j] = 'o';
    }
    fprintf(out, "\n  MSD (sites^2): o data, . fit\n");
    for (int i = 0; i < PLOT_ROWS; i++) {
        if (i % 5 == 0) fprintf(out, "  %8.1f |%s\n", top * (PLOT_ROWS - 1 - i) / (PLOT_ROWS - 1), canvas[i]);
        else fprintf(out, "  %8s |%s\n", "", canvas[i]);
    }
    char axis[PLOT_COLUMNS + 1];
    memset(axis, '-', PLOT_COLUMNS);
    axis[PLOT_COLUMNS] = '\0';
    fprintf(out, "  %8s +%s\n  %8s  0%*d\n  %8s  %*s\n", "", axis, "", PLOT_COLUMNS - 1, view->lags, "",
            PLOT_COLUMNS / 2 + 5, "lag (steps)");
}
