/* Mean square displacements of tracks.
 *
 * Displacement i of track j over lag k has the square d_ji. With n_j squares of sum s_j in track j, n = sum n_j, and M
 * tracks that have any:
 *     msd = sum_j s_j / n
 *     sem = sqrt( M / (M - 1) * sum_j (s_j - n_j msd)^2 ) / n
 * This is the linearised standard error of a ratio of cluster totals (Cochran, Sampling Techniques, 1977), the same as
 * the cluster-robust standard error of a mean (Liang and Zeger, Biometrika 73, 1986) with the factor M / (M - 1):
 * overlapping displacements of one track may depend on each other in any way, different tracks are independent. */
#include <math.h>
#include <stdlib.h>

#include "data/tracks.h"

/* A pair is k intervals apart where its time difference is within 1 % of that, and never more than a quarter interval
 * off, so that rounded time stamps do not lose pairs at long lags. */
static const double TOLERANCE = 0.01, LARGEST_TOLERANCE = 0.25;

typedef struct sums {
    int64_t n;
    double s;
} sums;

static void add_pair(const lg_tracks *p, size_t i, size_t j, sums *to)
{
    double dx = p->x[j] - p->x[i], dy = p->y[j] - p->y[i], dz = p->z[j] - p->z[i];
    to->s += dx * dx + dy * dy + dz * dz;
    to->n++;
}

/* All pairs of one track that are `lag` intervals apart by time stamp. j only moves forward, as times are sorted. */
static void add_by_time(const lg_tracks *p, size_t begin, size_t end, int64_t lag, double interval, sums *to)
{
    double slack = fmin(TOLERANCE * (double)lag, LARGEST_TOLERANCE) * interval, apart = (double)lag * interval;
    size_t low = begin;
    for (size_t i = begin; i < end; i++) {
        while (low < end && p->t[low] - p->t[i] < apart - slack) low++;
        for (size_t j = low; j < end && p->t[j] - p->t[i] <= apart + slack; j++) add_pair(p, i, j, to);
    }
}

static sums track_sums(const lg_tracks *p, size_t track, lg_msd_variant variant, int64_t lag, double interval)
{
    sums result = {0};
    size_t begin = p->first[track], end = p->first[track + 1], step = (size_t)lag;
    switch (variant) {
    case LG_MSD_TIME: add_by_time(p, begin, end, lag, interval, &result); break;
    case LG_MSD_INDEX:
        for (size_t i = begin; step < end - i; i++) add_pair(p, i, i + step, &result);
        break;
    case LG_MSD_NONOVERLAP:
        for (size_t i = begin; step < end - i; i += step) add_pair(p, i, i + step, &result);
        break;
    case LG_MSD_START:
        if (step < end - begin) add_pair(p, begin, begin + step, &result);
        break;
    }
    return result;
}

static lg_msd_row make_row(const lg_tracks *p, lg_msd_variant variant, int64_t lag, double interval, sums *part)
{
    lg_msd_row row = {.lag = lag, .time_s = (double)lag * interval, .msd = NAN, .sem = NAN};
    double total = 0, squares = 0;
    int64_t clusters = 0;
    for (size_t k = 0; k < p->count; k++) {
        part[k] = track_sums(p, k, variant, lag, interval);
        total += part[k].s;
        row.n += part[k].n;
        clusters += part[k].n > 0;
    }
    if (row.n == 0) return row;
    row.msd = total / (double)row.n;
    for (size_t k = 0; k < p->count; k++) {
        double residual = part[k].s - (double)part[k].n * row.msd;
        squares += residual * residual;
    }
    if (clusters > 1) row.sem = sqrt((double)clusters / (double)(clusters - 1) * squares) / (double)row.n;
    return row;
}

void lg_tracks_parts(const lg_tracks *p, lg_msd_variant variant, double interval, size_t lags, double *sum,
                     double *count)
{
    for (size_t k = 0; k < p->count; k++) {
        for (size_t lag = 1; lag <= lags; lag++) {
            const sums part = track_sums(p, k, variant, (int64_t)lag, interval);
            sum[k * lags + lag - 1] = part.s;
            count[k * lags + lag - 1] = (double)part.n;
        }
    }
}

static int compare_steps(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Time steps between consecutive positions, sorted; *n of them. */
static double *sorted_steps(const lg_tracks *p, size_t *n)
{
    double *step = malloc(p->points * sizeof *step);
    *n = 0;
    for (size_t k = 0; step && k < p->count; k++) {
        for (size_t i = p->first[k] + 1; i < p->first[k + 1]; i++) step[(*n)++] = p->t[i] - p->t[i - 1];
    }
    if (step) qsort(step, *n, sizeof *step, compare_steps);
    return step;
}

/* Tells of time steps that fit the interval badly: their pairs are left out by LG_MSD_TIME. */
static void warn_off_grid(lg_context *ctx, const lg_tracks *p, const double *step, size_t n, double interval,
                          bool found)
{
    size_t off = 0;
    for (size_t i = 0; i < n; i++) {
        double multiple = fmax(round(step[i] / interval), 1);
        double slack = fmin(TOLERANCE * multiple, LARGEST_TOLERANCE) * interval;
        if (fabs(step[i] - multiple * interval) > slack) off++;
    }
    if (off > 3 || off * 100 > n) {
        lg_log(
            ctx, LG_LOG_WARNING,
            "%s: %zu of %zu time steps are not within 1 %% of a multiple of the interval, %g; those pairs are left out",
            p->path, off, n, interval);
    }
    if (found && step[n / 2] > 1.9 * interval) {
        lg_log(ctx, LG_LOG_WARNING,
               "%s: the smallest time step, %g, is taken as the interval, but half of the steps are %g or more; "
               "give the interval if that is wrong",
               p->path, interval, step[n / 2]);
    }
}

static lg_status find_interval(lg_context *ctx, const lg_tracks *p, lg_msd_variant variant, double *interval)
{
    size_t n;
    bool found = *interval == 0;
    if (!isfinite(*interval) || *interval < 0) {
        return lg_fail(ctx, LG_ERR_RANGE, "the frame interval is %g; expected a positive number, or 0 to find it",
                       *interval);
    }
    double *step = sorted_steps(p, &n);
    lg_status result = LG_OK;
    if (!step) {
        result = lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the time steps", p->path);
    } else if (n == 0) {
        result = lg_fail(ctx, LG_ERR_DATA, "%s: no track has two positions, so there are no displacements", p->path);
    } else {
        if (found) *interval = step[0];
        if (variant == LG_MSD_TIME) warn_off_grid(ctx, p, step, n, *interval, found);
    }
    free(step);
    return result;
}

static lg_status fill(lg_context *ctx, const lg_tracks *p, lg_msd_variant variant, double interval, int64_t max_lag,
                      sums *part, lg_msd *out)
{
    size_t capacity = 0;
    for (int64_t lag = 1; max_lag == 0 || lag <= max_lag; lag++) {
        lg_msd_row row = make_row(p, variant, lag, interval, part);
        if (row.n == 0) break;
        if (out->rows == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            lg_msd_row *grown = realloc(out->row, capacity * sizeof *grown);
            if (!grown) return lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the MSD table", p->path);
            out->row = grown;
        }
        out->row[out->rows++] = row;
    }
    if (out->rows == 0) {
        return lg_fail(ctx, LG_ERR_DATA, "%s: no two positions of a track are one interval (%g) apart", p->path,
                       interval);
    }
    if (max_lag > 0 && (int64_t)out->rows < max_lag) {
        lg_log(ctx, LG_LOG_WARNING, "%s: no pairs of positions at lag %zu; the MSD ends at lag %zu", p->path,
               out->rows + 1, out->rows);
    }
    return LG_OK;
}

lg_status lg_tracks_msd(lg_context *ctx, const lg_tracks *tracks, lg_msd_variant variant, double interval,
                        int64_t max_lag, lg_msd *out)
{
    *out = (lg_msd){0};
    if (variant < LG_MSD_TIME || variant > LG_MSD_START) {
        return lg_fail(ctx, LG_ERR_USAGE, "unknown MSD variant %d", (int)variant);
    }
    if (max_lag < 0) {
        return lg_fail(ctx, LG_ERR_RANGE, "the largest lag is %lld; expected at least 1, or 0 for all",
                       (long long)max_lag);
    }
    lg_status result = find_interval(ctx, tracks, variant, &interval);
    if (result != LG_OK) return result;
    sums *part = malloc(tracks->count * sizeof *part);
    if (!part) return lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the MSD", tracks->path);
    result = fill(ctx, tracks, variant, interval, max_lag, part, out);
    free(part);
    if (result != LG_OK) lg_msd_clear(out);
    return result;
}

void lg_msd_clear(lg_msd *msd)
{
    if (!msd) return;
    free(msd->row);
    *msd = (lg_msd){0};
}
