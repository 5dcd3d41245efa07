/* What an ensemble says as a whole. Numbers are taken at the end of each fit, the mean of the last tenth of its iterates:
 * the last iterate alone carries the noise of its step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "fit/result.h"

void lg_result_end(const lg_result *r, int fit, double *params, double *loss)
{
    const lg_fit_record *record = &r->fit[fit];
    const size_t P = (size_t)r->model->params;
    const int64_t tail = record->iterations / 10 > 0 ? record->iterations / 10 : 1;
    double sd[LG_MAX_PARAMS], sum = 0.0;
    if (record->status == LG_FIT_NOT_FINITE || record->iterations == 0) {
        memcpy(params, record->params, P * sizeof *params);
        *loss = record->loss;
        return;
    }
    if (tail > 1) lg_result_tail(r, fit, tail, params, sd);
    else memcpy(params, record->params, P * sizeof *params); /* the last update counts where updates are few */
    for (int64_t k = record->iterations - tail; k < record->iterations; k++) sum += record->trace[(size_t)k * (P + 3)];
    *loss = sum / (double)tail;
}

int lg_result_coordinates(const lg_result *r)
{
    return r->coordinates;
}

const char *lg_result_coordinate_name(const lg_result *r, int coordinate)
{
    return coordinate >= 0 && coordinate < r->coordinates ? r->coordinate_name[coordinate] : NULL;
}

const double *lg_result_coordinate(const lg_result *r, int fit)
{
    return r->fit[fit].coordinate;
}

bool lg_result_is_ensemble(const lg_result *r)
{
    return r->ensemble;
}

/* ---- ends ------------------------------------------------------------------------------------------------------- */

typedef struct end {
    int fit;
    int64_t resample; /* 0: the data as they are */
    double loss, params[LG_MAX_PARAMS];
} end;

/* By data set, then loss, then number. */
static int compare_ends(const void *a, const void *b)
{
    const end *x = a, *y = b;
    if (x->resample != y->resample) return x->resample < y->resample ? -1 : 1;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return x->fit - y->fit;
}

static int64_t resample_of(const lg_result *r, int fit)
{
    for (int i = 0; i < r->coordinates; i++)
        if (strcmp(r->coordinate_name[i], "resample") == 0) return (int64_t)r->fit[fit].coordinate[i];
    return 0;
}

static bool failed(lg_fit_status status, double loss)
{
    return status == LG_FIT_NOT_FINITE || status == LG_FIT_STOPPED || status == LG_FIT_RUNNING || !isfinite(loss);
}

static bool at_bound(const lg_result *r, int fit)
{
    for (int i = 0; i < r->model->params; i++) {
        const double p = r->fit[fit].params[i];
        if (r->fitted[i] && (p <= r->lower[i] || p >= r->upper[i])) return true;
    }
    return false;
}

/* The good ends, sorted; their number. */
static int collect(const lg_result *r, end *ends, lg_summary *out)
{
    int count = 0;
    for (int f = 0; f < r->fits; f++) {
        end e = {.fit = f, .resample = resample_of(r, f)};
        lg_result_end(r, f, e.params, &e.loss);
        const bool bad = failed(r->fit[f].status, e.loss);
        if (e.resample == 0) {
            out->data_fits++;
            out->below += !bad && e.loss < r->bound;
        }
        if (bad) {
            out->failed++;
        } else {
            out->at_bound += at_bound(r, f);
            ends[count++] = e;
        }
    }
    qsort(ends, (size_t)count, sizeof *ends, compare_ends);
    return count;
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

static int compare_reals(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value at place (n + 1) q of n sorted ones, between neighbours by proportion, the ends beyond them (Weibull). */
static double quantile(const double *sorted, int n, double q)
{
    const double place = (n + 1) * q;
    if (place <= 1.0) return sorted[0];
    if (place >= n) return sorted[n - 1];
    const int low = (int)place;
    return sorted[low - 1] + (place - low) * (sorted[low] - sorted[low - 1]);
}

static void intervals(const lg_result *r, const end *ends, int count, double *values, lg_summary *out)
{
    for (int i = 0; i < r->model->params && count > 0; i++) {
        for (int k = 0; k < count; k++) values[k] = ends[k].params[i];
        qsort(values, (size_t)count, sizeof *values, compare_reals);
        out->median[i] = quantile(values, count, 0.5);
        out->low[i] = quantile(values, count, 0.025);
        out->high[i] = quantile(values, count, 0.975);
    }
    out->interval_fits = count;
}

/* Do two ends differ by less than the share `distance` of the bounds in every fitted parameter? */
static bool together(const lg_result *r, const end *a, const end *b)
{
    for (int i = 0; i < r->model->params; i++)
        if (r->fitted[i] && fabs(a->params[i] - b->params[i]) > r->distance * (r->upper[i] - r->lower[i])) return false;
    return true;
}

/* From the lowest loss on: an end joins the first optimum it is close to the best end of, or begins another one. */
static void find_optima(const lg_result *r, const end *ends, int count, int *leader, int *size, lg_summary *out)
{
    for (int k = 0; k < count; k++) {
        int o = 0;
        while (o < out->optima && !together(r, &ends[leader[o]], &ends[k])) o++;
        if (o == out->optima) {
            leader[o] = k;
            size[o] = 0;
            out->optima++;
        }
        size[o]++;
    }
    for (int o = 0; o < out->optima && o < LG_SUMMARY_OPTIMA; o++) {
        out->optimum[o].fit = ends[leader[o]].fit;
        out->optimum[o].fits = size[o];
        out->optimum[o].loss = ends[leader[o]].loss;
        memcpy(out->optimum[o].params, ends[leader[o]].params, sizeof ends->params);
    }
}

/* Keeps the best end of each resample at the front of the array; their number. */
static int best_of_each(end *ends, int count)
{
    int kept = 0;
    for (int k = 0; k < count; k++)
        if (kept == 0 || ends[k].resample != ends[kept - 1].resample) ends[kept++] = ends[k];
    return kept;
}

lg_status lg_result_summary(lg_context *ctx, const lg_result *r, lg_summary *out)
{
    const size_t F = (size_t)r->fits + 1;
    *out = (lg_summary){.fits = r->fits, .best = -1, .best_loss = NAN, .bound = r->ensemble ? r->bound : NAN};
    for (int i = 0; i < LG_SUMMARY_PARAMS; i++) out->best_params[i] = out->median[i] = out->low[i] = out->high[i] = NAN;
    end *ends = malloc(F * sizeof *ends);
    double *values = malloc(F * sizeof *values);
    int *leader = malloc(2 * F * sizeof *leader);
    if (ends && values && leader) {
        const int count = collect(r, ends, out);
        int plain = 0; /* the data as they are come first */
        while (plain < count && ends[plain].resample == 0) plain++;
        out->good = plain;
        if (plain > 0) {
            out->best = ends[0].fit;
            out->best_loss = ends[0].loss;
            memcpy(out->best_params, ends[0].params, sizeof ends->params);
        }
        find_optima(r, ends, plain, leader, leader + F, out);
        out->bootstrap = plain < count;
        if (out->bootstrap) intervals(r, ends + plain, best_of_each(ends + plain, count - plain), values, out);
        else intervals(r, ends, plain, values, out);
    }
    const bool good = ends && values && leader;
    free(ends);
    free(values);
    free(leader);
    return good ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the summary of %d fits", r->fits);
}
