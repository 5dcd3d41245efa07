#include "cli/plot_result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/figure.h"

enum { FITS_SHOWN = 40 };

typedef struct result_plot {
    const lg_result *result;
    lg_result_info info;
    lg_config *config; /* as the result keeps it; NULL where it does not load here */
    figure fig;
    lg_summary summary; /* of an ensemble */
    int shown;          /* fits that are drawn */
    bool search;        /* without gradients: rows of the trace are generations */
} result_plot;

/* The configuration is kept as text; it is read the way every configuration is read, from a file. */
static lg_config *load_config(lg_context *ctx, const char *text)
{
    FILE *file = tmpfile();
    lg_config *config = NULL;
    if (file && fputs(text, file) >= 0 && fflush(file) == 0 && lg_config_create(ctx, &config) == LG_OK) {
        char name[32];
        snprintf(name, sizeof name, "/dev/fd/%d", fileno(file));
        if (lg_config_load(ctx, config, name) != LG_OK) {
            lg_config_free(config);
            config = NULL;
        }
    }
    if (file) fclose(file);
    return config;
}

/* A number of the configuration; NaN where it is not set. */
static double config_number(const result_plot *p, const char *key)
{
    const char *text = p->config ? lg_config_get(p->config, key) : NULL;
    return text && *text ? strtod(text, NULL) : NAN;
}

/* The f-th drawn fit: all of them, or some evenly spaced. */
static int shown_fit(const result_plot *p, int f)
{
    return (int)((int64_t)f * p->info.fits / p->shown);
}

static figure_style fit_style(const result_plot *p)
{
    return p->shown == 1 ? FIGURE_LINE : FIGURE_FAINT;
}

static const char *axis_name(const char *statistic)
{
    static const char *const names[][2] = {{"msd", "MSD (sites²)"},       {"aware_fraction", "aware fraction"},
                                           {"mean_A", "mean A per site"}, {"mean_B", "mean B per site"},
                                           {"var_A", "variance of A"},    {"var_B", "variance of B"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(statistic, names[i][0]) == 0) return names[i][1];
    }
    return statistic;
}

/* Room for one curve of a statistic: where it was recorded, its values and their errors. */
typedef struct statistic_curve {
    int records;
    double *x, *y, *sem;
} statistic_curve;

static void take_values(const result_plot *p, const statistic_curve *c, const double *values, int k)
{
    double every = config_number(p, "data.record_every");
    if (!(every >= 1) || strcmp(p->info.model, "prw") == 0) every = 1;
    for (int i = 0; i < c->records; i++) {
        c->x[i] = every * (i + 1);
        c->y[i] = values[i * p->info.statistic_count + k];
    }
}

/* Statistic k of the drawn fits and of the target, with error bars where the weights are 1/sem^2. */
static void draw_statistic(result_plot *p, figure_panel *panel, const statistic_curve *c, int k)
{
    figure_series fitted = {.style = fit_style(p),
                            .colour = FIGURE_BLUE,
                            .n = (size_t)c->records,
                            .x = c->x,
                            .y = c->y};
    for (int f = 0; f < p->shown; f++) {
        const double *values = lg_result_statistics(p->result, shown_fit(p, f));
        if (!values) continue;
        take_values(p, c, values, k);
        fitted.title = f ? NULL : p->search ? "fit, last generation" : "fit, last iteration";
        figure_add(&p->fig, panel, &fitted);
    }
    const double *weight = lg_result_weight(p->result);
    const char *weights = p->config ? lg_config_get(p->config, "data.weights") : NULL;
    const bool errors = weight && weights && strcmp(weights, "sem") == 0;
    take_values(p, c, lg_result_target(p->result), k);
    for (int i = 0; errors && i < c->records; i++) {
        const double w = weight[i * p->info.statistic_count + k];
        c->sem[i] = w > 0 ? 1 / sqrt(w) : NAN;
    }
    figure_series target = {.style = FIGURE_POINTS,
                            .colour = FIGURE_BLACK,
                            .n = (size_t)c->records,
                            .x = c->x,
                            .y = c->y};
    target.err = errors ? c->sem : NULL;
    target.title = errors ? "target ± s.e.m." : "target";
    figure_add(&p->fig, panel, &target);
}

static void add_statistic(result_plot *p, figure_panel *panel, int k)
{
    statistic_curve c = {.records = p->info.statistics / p->info.statistic_count};
    double *room = calloc(3 * (size_t)c.records, sizeof *room);
    if (!room) {
        p->fig.failed = true;
        return;
    }
    c.x = room;
    c.y = c.x + c.records;
    c.sem = c.y + c.records;
    figure_text(panel->x_label, strcmp(p->info.model, "prw") == 0 ? "lag (steps)" : "step");
    figure_text(panel->y_label, "%s", axis_name(p->info.statistic_names[k]));
    draw_statistic(p, panel, &c, k);
    free(room);
}

/* Column `column` of the traces: 0 the loss, 1 + i parameter i. */
static void add_traces(result_plot *p, figure_panel *panel, int column, figure_colour colour)
{
    const int width = p->info.params + 3;
    figure_text(panel->x_label, p->search ? "generation" : "iteration");
    panel->x_range[1] = p->search ? NAN : 1; /* the axis ends where the longest trace does */
    for (int f = 0; f < p->shown; f++) {
        const int fit = shown_fit(p, f);
        const int64_t rows = lg_result_iterations(p->result, fit);
        const double *trace = lg_result_trace(p->result, fit);
        double *y = calloc((size_t)rows + 1, sizeof *y);
        if (!y) {
            p->fig.failed = true;
            return;
        }
        if (!p->search) panel->x_range[1] = fmax(panel->x_range[1], (double)(rows - 1));
        for (int64_t i = 0; i < rows; i++) y[i] = trace[i * width + column];
        figure_add(&p->fig, panel,
                   &(figure_series){.style = fit_style(p), .colour = colour, .n = (size_t)rows, .y = y});
        free(y);
    }
}

/* The interval of parameter i: of the ensemble, or the standard errors' of a single fit. false: there is none. */
static bool interval_of(const result_plot *p, int i, double *low, double *high)
{
    double error[LG_SUMMARY_PARAMS], lows[LG_SUMMARY_PARAMS], highs[LG_SUMMARY_PARAMS];
    *low = p->summary.low[i];
    *high = p->summary.high[i];
    if (p->summary.interval_fits > 1) return isfinite(*low) && isfinite(*high);
    if (p->info.fits != 1 || !lg_result_errors(p->result, 0, error, lows, highs)) return false;
    *low = lows[i];
    *high = highs[i];
    return isfinite(error[i]);
}

/* The level a parameter should reach, where the data were generated, and its interval. */
static void add_levels(result_plot *p, figure_panel *panel, int i)
{
    char key[64];
    snprintf(key, sizeof key, "data.generate.params.%s", lg_model_param(p->info.model_index, i)->name);
    const double truth = config_number(p, key);
    double low, high;
    if (interval_of(p, i, &low, &high)) {
        const double middle = 0.5 * (low + high), half = 0.5 * (high - low);
        const double x[2] = {panel->x_data[0], panel->x_data[1]}, y[2] = {middle, middle}, err[2] = {half, half};
        figure_add(&p->fig, panel,
                   &(figure_series){.style = FIGURE_BAND,
                                    .colour = FIGURE_GREEN,
                                    .n = 2,
                                    .x = x,
                                    .y = y,
                                    .err = err,
                                    .title = "2.5 to 97.5 %"});
    }
    if (!isfinite(truth)) return;
    figure_add(&p->fig, panel,
               &(figure_series){.style = FIGURE_LEVEL, .colour = FIGURE_ORANGE, .y = &truth, .title = "true value"});
}

/* Start and end of parameter i in every fit. */
static void add_ensemble(result_plot *p, figure_panel *panel, int i)
{
    double *start = calloc(2 * (size_t)p->info.fits, sizeof *start), *end = start ? start + p->info.fits : NULL;
    if (!start) {
        p->fig.failed = true;
        return;
    }
    for (int f = 0; f < p->info.fits; f++) {
        double params[16], loss;
        lg_result_end(p->result, f, params, &loss);
        start[f] = lg_result_iterations(p->result, f) ? lg_result_trace(p->result, f)[1 + i] : NAN;
        end[f] = isfinite(start[f]) ? params[i] : NAN;
    }
    const char *name = lg_model_param(p->info.model_index, i)->name;
    figure_text(panel->x_label, "%s, start", name);
    figure_text(panel->y_label, "%s, end", name);
    figure_add(&p->fig, panel,
               &(figure_series){.style = FIGURE_POINTS,
                                .colour = FIGURE_BLUE,
                                .n = (size_t)p->info.fits,
                                .x = start,
                                .y = end,
                                .title = "fits"});
    add_levels(p, panel, i);
    free(start);
}

/* A logarithmic axis suits a loss that is positive everywhere and falls by more than a factor of ten. */
static bool loss_is_steep(const result_plot *p)
{
    double low = INFINITY, high = 0;
    for (int f = 0; f < p->shown; f++) {
        const int fit = shown_fit(p, f);
        const double *trace = lg_result_trace(p->result, fit);
        for (int64_t i = 0; i < lg_result_iterations(p->result, fit); i++) {
            const double loss = trace[i * (p->info.params + 3)];
            if (!isfinite(loss)) continue;
            low = fmin(low, loss);
            high = fmax(high, loss);
        }
    }
    return low > 0 && high > 10 * low;
}

static void add_parameter(result_plot *p, figure_panel *panel, int i)
{
    figure_text(panel->y_label, "%s", lg_model_param(p->info.model_index, i)->name);
    add_traces(p, panel, 1 + i, FIGURE_BLUE);
    add_levels(p, panel, i);
}

static void add_panels(result_plot *p, unsigned parts, int kinds)
{
    int next = 0;
    for (int k = 0; parts & PLOT_FIT && k < kinds; k++) add_statistic(p, &p->fig.panel[next++], k);
    if (parts & PLOT_LOSS) {
        figure_panel *loss = &p->fig.panel[next++];
        figure_text(loss->y_label, "loss (%s)", p->info.loss);
        loss->log_y = loss_is_steep(p);
        add_traces(p, loss, 0, FIGURE_BLACK);
    }
    for (int i = 0; i < p->info.params; i++) {
        if (parts & PLOT_PARAMS && p->info.fitted[i]) add_parameter(p, &p->fig.panel[next++], i);
        if (parts & PLOT_ENSEMBLE && p->info.fitted[i]) add_ensemble(p, &p->fig.panel[next++], i);
    }
}

static void add_title(result_plot *p)
{
    char fits[64] = "";
    if (p->info.fits > 1) snprintf(fits, sizeof fits, ", %d fits", p->info.fits);
    if (p->shown < p->info.fits) snprintf(fits, sizeof fits, ", %d of %d fits", p->shown, p->info.fits);
    figure_text(p->fig.title, "%s, %s fit, seed %llu%s", p->info.model, p->info.task, (unsigned long long)p->info.seed,
                fits);
}

unsigned plot_result_parts(const lg_result *result)
{
    lg_result_info info;
    lg_result_describe(result, &info);
    return PLOT_LOSS | PLOT_PARAMS | (lg_result_target(result) && info.statistic_count ? PLOT_FIT : 0) |
           (info.fits > 1 ? PLOT_ENSEMBLE : 0);
}

lg_status plot_result(lg_context *ctx, const lg_result *result, unsigned parts, const char *path, bool force)
{
    result_plot p = {.result = result};
    lg_result_describe(result, &p.info);
    p.config = load_config(ctx, p.info.config);
    p.search = lg_result_posterior(result, &(lg_posterior){.generations = 0});
    p.shown = p.info.fits < FITS_SHOWN ? p.info.fits : FITS_SHOWN;
    if (lg_result_is_ensemble(result) && lg_result_summary(ctx, result, &p.summary) != LG_OK)
        p.summary.interval_fits = 0;
    parts &= plot_result_parts(result);
    const int kinds = parts & PLOT_FIT ? p.info.statistic_count : 0;
    int panels = kinds + (parts & PLOT_LOSS ? 1 : 0);
    for (int i = 0; i < p.info.params; i++)
        panels += p.info.fitted[i] ? (parts & PLOT_PARAMS ? 1 : 0) + (parts & PLOT_ENSEMBLE ? 1 : 0) : 0;
    const int cols = panels <= 3 ? panels : panels == 4 ? 2 : panels <= 9 ? 3 : 4;
    figure_init(&p.fig, (panels + cols - 1) / cols, cols);
    if (!p.fig.failed) {
        add_title(&p);
        add_panels(&p, parts, kinds);
    }
    const lg_status status = figure_render(ctx, &p.fig, path, force);
    figure_free(&p.fig);
    lg_config_free(p.config);
    return status;
}
