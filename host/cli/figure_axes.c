/* Axes of a panel: ranges and tics from the data, and a place for the legend where no curve is. */
#include "cli/figure.h"

#include <math.h>

typedef struct axis {
    char name;
    bool logarithmic, given[2]; /* given: the panel sets that end */
    double range[2], step;
} axis;

/* The step of 1, 2 or 5 times a power of ten that divides a range into about five; gnuplot's own choice crowds small
 * panels. */
double figure_tic_step(double width)
{
    double step = pow(10, floor(log10(width / 4)));
    double parts = width / step;
    return parts > 30 ? 10 * step : parts > 15 ? 5 * step : parts > 6 ? 2 * step : step;
}

/* How many characters the labels of a logarithmic axis take: of every power of ten or of each `every`, with or without 2 and 5
 * times them. Written out where out is not NULL. */
static double log_tics(FILE *out, const double range[2], int every, bool digits)
{
    int first = (int)floor(log10(range[0])), last = (int)ceil(log10(range[1])), count = 0;
    double longest = 0, shown = 0;
    for (int power = first; power <= last; power += every) {
        for (int digit = 1; digit <= (digits ? 5 : 1); digit = digit == 1 ? 2 : digit + 3) {
            const double value = digit * pow(10, power);
            char label[32];
            longest = fmax(longest, snprintf(label, sizeof label, "%g", value));
            shown += value >= range[0] && value <= range[1];
            if (out) fprintf(out, "%s'%s' %.10g", count++ ? ", " : "", label, value);
        }
    }
    return (longest + 1.5) * shown;
}

/* Powers of ten, and 2 and 5 times them where the range is short; no more than fit side by side. */
static void put_log_tics(FILE *out, const double range[2], double room)
{
    const double decades = log10(range[1] / range[0]);
    int every = decades > 7 ? (int)(decades / 5 + 1) : 1;
    const bool digits = decades < 3 && log_tics(NULL, range, every, true) <= room;
    while (!digits && every < decades && log_tics(NULL, range, every, false) > room) every++;
    fputs(" (", out);
    log_tics(out, range, every, digits);
    putc(')', out);
}

/* A range from the data unless the panel sets it. */
static axis find_range(char name, bool logarithmic, const double wanted[2], const double data[2])
{
    axis a = {.name = name, .logarithmic = logarithmic};
    for (int end = 0; end < 2; end++) {
        a.given[end] = (wanted[0] != 0 || wanted[1] != 0) && isfinite(wanted[end]);
        a.range[end] = a.given[end] ? wanted[end] : data[end];
        if (!isfinite(a.range[end]) || (logarithmic && a.range[end] <= 0)) a.range[end] = logarithmic ? 1 : 0;
    }
    if (logarithmic) {
        if (!a.given[0]) a.range[0] /= 1.2;
        if (!a.given[1]) a.range[1] *= 1.2;
        if (a.range[1] <= a.range[0]) a.range[1] = 10 * a.range[0];
    } else if (a.range[1] <= a.range[0]) {
        double half = a.range[0] != 0 ? fabs(a.range[0]) / 2 : 0.5;
        if (!a.given[0]) a.range[0] -= half;
        if (!a.given[1] || a.range[1] <= a.range[0]) a.range[1] = a.range[0] + 2 * half;
    }
    return a;
}

/* The next longer step of 1, 2, 5, 10, ... */
static double longer_step(double step)
{
    double digit = round(step / pow(10, floor(log10(step) + 1e-9)));
    return digit == 2 ? 2.5 * step : 2 * step;
}

/* Widens a linear range to whole tics. room: how many characters of tic labels fit side by side. */
static void round_range(axis *a, double room)
{
    if (a->logarithmic) return;
    a->step = figure_tic_step(a->range[1] - a->range[0]);
    char label[32];
    int length = snprintf(label, sizeof label, "%g", a->step * ceil(a->range[1] / a->step));
    while ((length + 2) * ceil((a->range[1] - a->range[0]) / a->step) > room) a->step = longer_step(a->step);
    if (!a->given[0]) a->range[0] = a->step * floor(a->range[0] / a->step + 1e-9);
    if (!a->given[1]) a->range[1] = a->step * ceil(a->range[1] / a->step - 1e-9);
}

/* Where a value lies between the ends, 0..1; NaN stays. */
static double place(const axis *a, double value)
{
    if (!a->logarithmic) return (value - a->range[0]) / (a->range[1] - a->range[0]);
    return log(value / a->range[0]) / log(a->range[1] / a->range[0]);
}

/* A level at the very edge of the panel would hide behind the axis. */
static void show_levels(axis *y, const double level[2])
{
    if (y->logarithmic) return;
    if (!y->given[0] && place(y, level[0]) < 0.02) y->range[0] -= y->step / 2;
    if (!y->given[1] && place(y, level[1]) > 0.98) y->range[1] += y->step / 2;
}

/* Samples in a corner of the given size; a level or mark (NaN in x or y) lies on both sides. */
static int count_samples(const figure_panel *panel, const axis *x, const axis *y, bool right, bool top,
                         const double size[2])
{
    int count = 0;
    for (int i = 0; i < panel->samples; i++) {
        const double u = place(x, panel->sample[i][0]), v = place(y, panel->sample[i][1]);
        const bool beside = right ? u < 1 - size[0] : u > size[0], beyond = top ? v < 1 - size[1] : v > size[1];
        count += !beside && !beyond;
    }
    return count;
}

/* The first free corner; without one, the panel grows upwards until the top is free. */
static const char *place_legend(const figure *fig, const figure_panel *panel, const axis *x, axis *y)
{
    static const char *const corners[4] = {"top right", "top left", "bottom right", "bottom left"};
    if (panel->legend) return panel->legend;
    /* In points: what the axes leave of the panel, and the legend; a letter is 0.6 and a line 1.3 times the font. */
    const double width = fig->panel_width / 2.54 * 72 - 50, height = fig->panel_height / 2.54 * 72 - 55;
    const double size[2] = {fmin(1, (panel->longest * 0.6 * FIGURE_FONT + 40) / width),
                            fmin(0.7, (panel->entries * 1.3 * FIGURE_FONT + 5) / height)};
    int best = 0, fewest = -1;
    for (int c = 0; c < 4; c++) {
        const int count = count_samples(panel, x, y, c % 2 == 0, c < 2, size);
        if (fewest >= 0 && count >= fewest) continue;
        fewest = count;
        best = c;
    }
    if (fewest == 0 || y->given[1]) return corners[best];
    if (y->logarithmic) {
        y->range[1] = y->range[0] * pow(y->range[1] / y->range[0], 1 / (1 - size[1]));
    } else {
        y->range[1] = y->range[0] + (y->range[1] - y->range[0]) / (1 - size[1]);
        y->step = figure_tic_step(y->range[1] - y->range[0]);
    }
    return corners[0];
}

/* room: of its labels, in characters */
static void put_axis(FILE *out, const axis *a, double room)
{
    fprintf(out, "%s logscale %c\nset %ctics nomirror scale 0.5", a->logarithmic ? "set" : "unset", a->name, a->name);
    if (a->logarithmic) {
        put_log_tics(out, a->range, room);
    } else {
        fprintf(out, " %.10g", a->step);
    }
    fprintf(out, "\nset %crange [%.10g:%.10g]\n", a->name, a->range[0], a->range[1]);
}

static void put_names(FILE *out, const figure_panel *panel)
{
    for (int i = 0; i < FIGURE_NAMES && panel->x_name[i]; i++) {
        fputs(i ? ", " : "set xtics nomirror scale 0.5 (", out);
        figure_put_string(out, panel->x_name[i]);
        fprintf(out, " %d", i + 1);
    }
    if (panel->x_name[0]) fputs(")\n", out);
}

void figure_put_axes(FILE *out, const figure *fig, const figure_panel *panel)
{
    axis x = find_range('x', panel->log_x, panel->x_range, panel->x_data);
    axis y = find_range('y', panel->log_y, panel->y_range, panel->y_data);
    const double room = (fig->panel_width / 2.54 * 72 - 55) / (0.64 * FIGURE_FONT);
    round_range(&x, room);
    round_range(&y, INFINITY);
    show_levels(&y, panel->level);
    const char *legend = panel->entries ? place_legend(fig, panel, &x, &y) : "top right";
    put_axis(out, &x, room);
    put_names(out, panel);
    put_axis(out, &y, INFINITY);
    fprintf(out, "set key %s Left reverse samplen 1.5 spacing 1.1 noautotitle\n", legend);
}
