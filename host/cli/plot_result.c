#include "cli/plot_result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/figure.h"

enum { FITS_SHOWN = 40, PLANES_SHOWN = 12, PLANE_COLUMNS = 4 };

typedef struct result_plot {
    const lg_result *result;
    lg_result_info info;
    lg_config *config; /* as the result keeps it; NULL where it does not load here */
    figure fig;
    int shown; /* fits that are drawn */
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
        fitted.title = f ? NULL : "fit, last iteration";
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
    figure_text(panel->x_label, "iteration");
    for (int f = 0; f < p->shown; f++) {
        const int fit = shown_fit(p, f);
        const int64_t rows = lg_result_iterations(p->result, fit);
        const double *trace = lg_result_trace(p->result, fit);
        double *y = calloc((size_t)rows + 1, sizeof *y);
        if (!y) {
            p->fig.failed = true;
            return;
        }
        for (int64_t i = 0; i < rows; i++) y[i] = trace[i * width + column];
        figure_add(&p->fig, panel,
                   &(figure_series){.style = fit_style(p), .colour = colour, .n = (size_t)rows, .y = y});
        free(y);
    }
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

static void add_panels(result_plot *p, int kinds)
{
    int next = 0;
    for (int k = 0; k < kinds; k++) add_statistic(p, &p->fig.panel[next++], k);
    figure_panel *loss = &p->fig.panel[next++];
    figure_text(loss->y_label, "loss (%s)", p->info.loss);
    loss->log_y = loss_is_steep(p);
    add_traces(p, loss, 0, FIGURE_BLACK);
    for (int i = 0; i < p->info.params; i++) {
        if (!p->info.fitted[i]) continue;
        figure_panel *panel = &p->fig.panel[next++];
        const char *name = lg_model_param(p->info.model_index, i)->name;
        figure_text(panel->y_label, "%s", name);
        add_traces(p, panel, 1 + i, FIGURE_BLUE);
        char key[64];
        snprintf(key, sizeof key, "data.generate.params.%s", name);
        const double truth = config_number(p, key);
        if (!isfinite(truth)) continue;
        figure_add(&p->fig, panel,
                   &(figure_series){.style = FIGURE_LEVEL,
                                    .colour = FIGURE_ORANGE,
                                    .y = &truth,
                                    .title = "true value"});
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

lg_status plot_result(lg_context *ctx, const lg_result *result, const char *path, bool force)
{
    result_plot p = {.result = result};
    lg_result_describe(result, &p.info);
    p.config = load_config(ctx, p.info.config);
    p.shown = p.info.fits < FITS_SHOWN ? p.info.fits : FITS_SHOWN;
    const int kinds = lg_result_target(result) ? p.info.statistic_count : 0;
    int panels = kinds + 1;
    for (int i = 0; i < p.info.params; i++) panels += p.info.fitted[i];
    const int cols = panels <= 3 ? panels : panels == 4 ? 2 : panels <= 9 ? 3 : 4;
    figure_init(&p.fig, (panels + cols - 1) / cols, cols);
    if (!p.fig.failed) {
        add_title(&p);
        add_panels(&p, kinds);
    }
    const lg_status status = figure_render(ctx, &p.fig, path, force);
    figure_free(&p.fig);
    lg_config_free(p.config);
    return status;
}

/* "run 2, frame 10, species 1" would need to know the array; its indices say the same: "[10, 0, 1]". */
static void index_text(const lg_array *array, size_t plane, char text[FIGURE_TEXT])
{
    size_t index[LG_MAX_DIM] = {0};
    for (int d = array->ndim - 3; d >= 0; d--) {
        index[d] = plane % array->shape[d];
        plane /= array->shape[d];
    }
    int used = 0;
    *text = '\0';
    for (int d = 0; d + 2 < array->ndim; d++) {
        used += snprintf(text + used, (size_t)(FIGURE_TEXT - used), "%s%zu", d ? ", " : "[", index[d]);
    }
    if (used) snprintf(text + used, (size_t)(FIGURE_TEXT - used), "]");
}

lg_status plot_planes(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force)
{
    const size_t height = array->shape[array->ndim - 2], width = array->shape[array->ndim - 1];
    const size_t planes = lg_array_size(array) / (height * width);
    const uint8_t *data = array->data;
    const int shown = planes < PLANES_SHOWN ? (int)planes : PLANES_SHOWN;
    const int cols = shown < PLANE_COLUMNS ? shown : PLANE_COLUMNS;
    int maximum = 1;
    for (size_t i = 0; i < lg_array_size(array); i++) maximum = data[i] > maximum ? data[i] : maximum;
    figure fig;
    figure_init(&fig, (shown + cols - 1) / cols, cols);
    fig.panel_width = fig.panel_height = 6;
    figure_text(fig.title, "%s", name);
    for (int i = 0; !fig.failed && i < shown; i++) {
        const size_t plane = shown == 1 ? 0 : (size_t)i * (planes - 1) / (size_t)(shown - 1);
        figure_panel *panel = &fig.panel[i];
        index_text(array, plane, panel->title);
        panel->no_colour_bar = (i + 1) % cols != 0 && i + 1 != shown;
        figure_add_image(&fig, panel, data + plane * height * width, (int)height, (int)width, maximum);
    }
    const lg_status status = figure_render(ctx, &fig, path, force);
    figure_free(&fig);
    return status;
}
