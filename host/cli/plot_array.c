/* Pictures of recorded states: planes, montages, animations, structure factors, tracks. */
#include "cli/plot_array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/figure.h"

enum { PLANES_SHOWN = 12, PLANE_COLUMNS = 4, FRAMES_SHOWN = 6, MOVIE_FRAMES = 200, CURVES = 4, TRACKS_SHOWN = 20 };

/* States over time of the first replicate. `latgrad simulate` keeps [recorded][replicate][species][row][column]; of other
 * arrays every plane counts as a frame. */
typedef struct film {
    const uint8_t *data;
    size_t frames, frame_size, species, sites;
    int height, width, maximum;
} film;

static film film_of(const lg_array *array)
{
    film f = {.data = array->data, .species = 1};
    f.height = (int)array->shape[array->ndim - 2];
    f.width = (int)array->shape[array->ndim - 1];
    f.sites = (size_t)f.height * (size_t)f.width;
    f.frames = lg_array_size(array) / f.sites;
    f.frame_size = f.sites;
    if (array->ndim == 5) {
        f.frames = array->shape[0];
        f.species = array->shape[2];
        f.frame_size = array->shape[1] * f.species * f.sites;
    }
    f.maximum = 1;
    for (size_t i = 0; i < lg_array_size(array); i++) f.maximum = f.data[i] > f.maximum ? f.data[i] : f.maximum;
    return f;
}

/* The i-th of `shown` frames, evenly spaced, first and last included. */
static size_t frame_at(const film *f, int i, int shown)
{
    return shown == 1 ? f->frames - 1 : (size_t)i * (f->frames - 1) / (size_t)(shown - 1);
}

static const char *species_name(const film *f, size_t species)
{
    static const char *const names[] = {"A", "B"};
    return f->species == 2 ? names[species] : "";
}

static void add_plane(figure *fig, int row, int column, const film *f, size_t frame, size_t species)
{
    figure_panel *panel = &fig->panel[row * fig->cols + column];
    const char *name = species_name(f, species);
    figure_text(panel->title, "%s%srecord %zu", name, *name ? ", " : "", frame);
    figure_text(panel->colour_label, "%s", f->maximum > 1 ? "particles per site" : "");
    figure_add_image(fig, panel, f->data + frame * f->frame_size + species * f->sites, f->height, f->width, f->maximum);
}

static lg_status finish(lg_context *ctx, figure *fig, const char *path, bool force)
{
    const lg_status status = figure_render(ctx, fig, path, force);
    figure_free(fig);
    return status;
}

static lg_status plot_lattice(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force)
{
    const film f = film_of(array);
    figure fig;
    figure_init(&fig, 1, (int)f.species);
    fig.panel_height = 7.5;
    figure_text(fig.title, "%s", name);
    for (size_t s = 0; s < f.species && !fig.failed; s++) {
        add_plane(&fig, 0, (int)s, &f, f.frames - 1, s);
        fig.panel[s].no_colour_bar = s + 1 < f.species;
    }
    return finish(ctx, &fig, path, force);
}

/* Species in rows, time to the right. */
static lg_status plot_montage(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force)
{
    if (array->ndim != 5) return plot_planes(ctx, array, name, path, force);
    const film f = film_of(array);
    const int shown = f.frames < FRAMES_SHOWN ? (int)f.frames : FRAMES_SHOWN;
    figure fig;
    figure_init(&fig, (int)f.species, shown);
    fig.panel_width = 4.6;
    fig.panel_height = 3.9;
    figure_text(fig.title, "%s", name);
    for (int i = 0; i < shown && !fig.failed; i++) {
        for (size_t s = 0; s < f.species; s++) {
            add_plane(&fig, (int)s, i, &f, frame_at(&f, i, shown), s);
            fig.panel[(int)s * shown + i].no_colour_bar = i + 1 < shown;
        }
    }
    return finish(ctx, &fig, path, force);
}

static lg_status plot_movie(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force)
{
    const film f = film_of(array);
    const int shown = f.frames < MOVIE_FRAMES ? (int)f.frames : MOVIE_FRAMES;
    figure fig;
    figure_init(&fig, shown, (int)f.species);
    fig.animate = true;
    fig.panel_height = 8;
    figure_text(fig.title, "%s", name);
    for (int i = 0; i < shown && !fig.failed; i++) {
        for (size_t s = 0; s < f.species; s++) {
            add_plane(&fig, i, (int)s, &f, frame_at(&f, i, shown), s);
            fig.panel[(size_t)i * f.species + s].no_colour_bar = s + 1 < f.species;
        }
    }
    return finish(ctx, &fig, path, force);
}

/* ---- structure factor ----------------------------------------------------------------------------------------- */

/* One line: S of a frame over k, where it is more than rounding. False: there is nothing, as of a uniform state. */
static lg_status structure_of(lg_context *ctx, const film *f, const uint8_t *plane, int rings, double *S, bool *any)
{
    double power = 0;
    const lg_status status = lg_structure_factor(ctx, plane, f->height, f->width, rings, S);
    for (int r = 0; r < rings && !status; r++) power = fmax(power, S[r]);
    for (int r = 0; r < rings && !status; r++) S[r] = S[r] > 1e-12 * power ? S[r] : NAN;
    *any = !status && power > 1e-12 * f->maximum * f->maximum;
    return status;
}

static lg_status plot_structure(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force)
{
    const film f = film_of(array);
    const int shorter = f.height < f.width ? f.height : f.width, rings = (shorter - 1) / 2;
    const int shown = f.frames < CURVES ? (int)f.frames : CURVES;
    double *k = calloc(2 * (size_t)rings + 1, sizeof *k), *S = k ? k + rings : NULL;
    lg_status status = LG_OK;
    figure fig;
    figure_init(&fig, 1, (int)f.species);
    fig.failed = fig.failed || !k;
    figure_text(fig.title, "%s", name);
    for (int r = 0; r < rings && k; r++) k[r] = 2 * acos(-1.0) * (r + 1) / shorter;
    for (size_t s = 0; s < f.species && !fig.failed; s++) {
        figure_panel *panel = &fig.panel[s];
        figure_text(panel->title, "%s", species_name(&f, s));
        figure_text(panel->x_label, "wave number k (1/site)");
        figure_text(panel->y_label, "structure factor S(k)");
        panel->log_y = true;
        panel->x_range[1] = acos(-1.0);
        for (int i = 0; i < shown && !fig.failed && !status; i++) {
            const size_t frame = frame_at(&f, i, shown);
            char title[48];
            bool any;
            snprintf(title, sizeof title, "record %zu", frame);
            status = structure_of(ctx, &f, f.data + frame * f.frame_size + s * f.sites, rings, S, &any);
            if (status || (!any && i + 1 < shown)) continue;
            figure_add(&fig, panel, &(figure_series){FIGURE_LINE, FIGURE_BLUE + i, title, (size_t)rings, k, S, NULL});
        }
    }
    free(k);
    if (!status) return finish(ctx, &fig, path, force);
    figure_free(&fig);
    return status;
}

/* ---- tracks --------------------------------------------------------------------------------------------------- */

/* Positions [recorded][replicate][2] of `latgrad simulate prw`. */
static lg_status plot_tracks(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force)
{
    const size_t records = array->shape[0], walkers = array->shape[1];
    const size_t shown = walkers < TRACKS_SHOWN ? walkers : TRACKS_SHOWN;
    double *x = calloc(2 * records, sizeof *x), *y = x ? x + records : NULL, reach = 1;
    figure fig;
    figure_init(&fig, 1, 1);
    fig.failed = fig.failed || !x;
    fig.panel_width = fig.panel_height = 8.5;
    figure_text(fig.title, "%s: %zu of %zu walkers", name, shown, walkers);
    figure_text(fig.panel[0].x_label, "x (sites)");
    figure_text(fig.panel[0].y_label, "y (sites)");
    for (size_t w = 0; w < shown && !fig.failed; w++) {
        for (size_t i = 0; i < records; i++) {
            x[i] = lg_array_get(array, (i * walkers + w) * 2);
            y[i] = lg_array_get(array, (i * walkers + w) * 2 + 1);
        }
        for (size_t i = 0; i < 2 * records; i++) reach = fmax(reach, fabs(x[i]));
        figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_LINE, .n = records, .x = x, .y = y});
    }
    for (int end = 0; end < 2 && !fig.failed; end++) /* equal scales, as far as walkers went */
        fig.panel[0].x_range[end] = fig.panel[0].y_range[end] = end ? reach : -reach;
    free(x);
    return finish(ctx, &fig, path, force);
}

/* ---- all planes ----------------------------------------------------------------------------------------------- */

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

bool plot_array_is_tracks(const lg_array *array)
{
    return array->dtype != LG_U8 && array->ndim == 3 && array->shape[2] == 2 && lg_array_size(array) > 0;
}

bool plot_array_is_states(const lg_array *array)
{
    return array->dtype == LG_U8 && array->ndim >= 2 && lg_array_size(array) > 0;
}

const plot_array_kind plot_array_kinds[] = {
    {"montage", "the planes over time, species in rows", false, plot_montage},
    {"lattice", "the last recorded state", false, plot_lattice},
    {"structure", "radially averaged structure factor, first to last record", false, plot_structure},
    {"animation", "all records as a .gif or .mp4", false, plot_movie},
    {"tracks", "positions of the first walkers", true, plot_tracks},
};
const int plot_array_kind_count = sizeof plot_array_kinds / sizeof plot_array_kinds[0];
