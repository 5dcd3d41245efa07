/* The axes of an ensemble, and the start and optimiser of each of its fits. */
#include "fit/ensemble.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "config/options.h"
#include "fit/problem.h"

/* Swept keys, in the order of their axes, and where an optimiser keeps them. */
static const struct {
    const char *key;
    size_t offset;
} swept_keys[LG_MAX_SWEEPS] = {
    {"optimizer.lr", offsetof(lg_optimizer, lr)},           {"optimizer.momentum", offsetof(lg_optimizer, momentum)},
    {"optimizer.beta1", offsetof(lg_optimizer, beta1)},     {"optimizer.beta2", offsetof(lg_optimizer, beta2)},
    {"optimizer.epsilon", offsetof(lg_optimizer, epsilon)}, {"optimizer.decay", offsetof(lg_optimizer, decay)},
    {"optimizer.period", offsetof(lg_optimizer, period)},   {"optimizer.clip", offsetof(lg_optimizer, clip)},
};

lg_member lg_ensemble_member(const lg_ensemble *e, uint32_t g)
{
    lg_member m = {.sweep = g % e->swept};
    g /= e->swept;
    m.seed = g % e->seeds;
    g /= e->seeds;
    m.start = g % e->starts;
    m.resample = g / e->starts;
    return m;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int fitted_params(lg_context *ctx, const lg_config *c, const lg_model_desc *model, lg_status *status)
{
    int count = 0;
    for (int i = 0; i < model->params && !*status; i++) {
        lg_param_setting s;
        *status = lg_config_param(ctx, c, model->param[i].name, &s);
        count += !*status && (!s.given || s.fitted);
    }
    return count;
}

static lg_status too_many(lg_context *ctx, const lg_config *c)
{
    return lg_fail(ctx, LG_ERR_RANGE,
                   "%s: the ensemble has more than %d fits: fewer starts, seeds, swept values or resamples are needed",
                   lg_config_origin(c, "ensemble"), LG_MAX_FITS);
}

static lg_status read_list(lg_context *ctx, const lg_config *c, lg_ensemble *e, const char *text, int fitted)
{
    size_t rows, columns;
    if (!lg_value_vectors(text, &e->vector, &rows, &columns))
        return lg_fail(ctx, LG_ERR_INTERNAL, "ensemble.starts: '%.80s' is no list", text);
    if (columns != (size_t)fitted)
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s: ensemble.starts lists vectors of %zu numbers, and %d parameter%s fitted: give each of "
                       "them, in the model's order",
                       lg_config_origin(c, "ensemble.starts"), columns, fitted, fitted == 1 ? " is" : "s are");
    if (rows > LG_MAX_FITS) return too_many(ctx, c);
    e->kind = LG_START_LIST;
    e->starts = (uint32_t)rows;
    return LG_OK;
}

static lg_status read_starts(lg_context *ctx, const lg_config *c, const lg_model_desc *model, lg_ensemble *e)
{
    static const char *const names[] = {"fixed", "random", "lhs", "grid"};
    const char *text = NULL;
    int64_t size = 1;
    lg_status status = lg_config_text(ctx, c, "ensemble.starts", &text);
    const int fitted = fitted_params(ctx, c, model, &status);
    const bool sized = lg_config_is_set(c, "ensemble.size");
    if (!status && sized) status = lg_config_int(ctx, c, "ensemble.size", &size);
    if (status) return status;
    e->starts = 1;
    if (*text == '[') {
        status = read_list(ctx, c, e, text, fitted);
    } else {
        while (e->kind < LG_START_GRID && strcmp(text, names[e->kind]) != 0) e->kind++;
    }
    if (status) return status;
    const bool drawn = e->kind == LG_START_RANDOM || e->kind == LG_START_LHS || e->kind == LG_START_GRID;
    if (drawn && !sized)
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: ensemble.starts is %s: say how many with ensemble.size",
                       lg_config_origin(c, "ensemble.starts"), text);
    if (sized && !drawn)
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s: ensemble.size belongs to ensemble.starts random, lhs or grid; for repeats of the same "
                       "start use ensemble.seeds",
                       lg_config_origin(c, "ensemble.size"));
    if (!drawn) return LG_OK;
    double starts = (double)size;
    e->grid = (uint32_t)size;
    if (e->kind == LG_START_GRID) starts = pow((double)size, fitted);
    if (starts > LG_MAX_FITS) return too_many(ctx, c);
    e->starts = (uint32_t)starts;
    return LG_OK;
}

static lg_status read_sweeps(lg_context *ctx, const lg_config *c, lg_ensemble *e)
{
    double product = 1.0;
    for (int i = 0; i < LG_MAX_SWEEPS; i++) {
        char key[LG_KEY_SIZE];
        snprintf(key, sizeof key, "ensemble.sweep.%s", swept_keys[i].key);
        if (!lg_config_is_set(c, key)) continue;
        size_t rows, columns;
        lg_sweep *s = &e->sweep[e->sweeps];
        if (!lg_value_vectors(lg_config_get(c, key), &s->value, &rows, &columns))
            return lg_fail(ctx, LG_ERR_INTERNAL, "%s is no list", key);
        e->sweeps++;
        s->key = swept_keys[i].key;
        product *= (double)rows;
        if (product > LG_MAX_FITS) return too_many(ctx, c);
        s->count = (uint32_t)rows;
    }
    e->swept = (uint32_t)product;
    return LG_OK;
}

static lg_status read_number(lg_context *ctx, const lg_config *c, const char *key, uint32_t *out)
{
    int64_t value = 0;
    const lg_status status = lg_config_int(ctx, c, key, &value);
    if (status) return status;
    if (value >= LG_MAX_FITS) return too_many(ctx, c);
    *out = (uint32_t)value;
    return LG_OK;
}

static lg_status read_ensemble(lg_context *ctx, const lg_config *c, const lg_model_desc *model, lg_ensemble *e)
{
    static const char *const axes[] = {"ensemble.starts", "ensemble.size", "ensemble.seeds", "ensemble.bootstrap",
                                       "ensemble.sweep"};
    *e = (lg_ensemble){.starts = 1, .seeds = 1, .resamples = 1, .swept = 1, .bound = NAN};
    e->given = lg_config_is_set(c, "ensemble");
    if (!e->given) return LG_OK;
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) e->axes |= lg_config_is_set(c, axes[i]);
    lg_status status = read_starts(ctx, c, model, e);
    if (!status) status = read_sweeps(ctx, c, e);
    if (!status) status = read_number(ctx, c, "ensemble.seeds", &e->seeds);
    if (!status) status = read_number(ctx, c, "ensemble.bootstrap", &e->resamples);
    if (!status) status = lg_config_real(ctx, c, "ensemble.distance", &e->distance);
    if (!status && lg_config_is_set(c, "ensemble.bound")) status = lg_config_real(ctx, c, "ensemble.bound", &e->bound);
    e->resamples++;
    if (!status && (double)e->starts * e->seeds * e->resamples * e->swept > LG_MAX_FITS) status = too_many(ctx, c);
    return status;
}

/* The fits that run: all from first_fit on, or as many as `fits` says. */
static lg_status choose_slice(lg_context *ctx, const lg_config *c, const lg_ensemble *e, int64_t *first, int64_t *fits)
{
    lg_status status = lg_config_int(ctx, c, "first_fit", first);
    if (!status) status = lg_config_int(ctx, c, "fits", fits);
    if (status || !e->axes) return status;
    const int64_t size = (int64_t)e->starts * e->seeds * e->resamples * e->swept;
    const bool sliced = lg_config_is_set(c, "fits");
    if (!sliced) *fits = size - *first;
    if (*first >= 0 && *first < size && *fits >= 1 && *fits <= size - *first) return LG_OK;
    char asked[80];
    if (sliced) snprintf(asked, sizeof asked, "first_fit %lld and fits %lld ask", (long long)*first, (long long)*fits);
    else snprintf(asked, sizeof asked, "first_fit %lld asks", (long long)*first);
    return lg_fail(ctx, LG_ERR_CONFIG,
                   "%s: %s for fits that are not there: the ensemble has %lld, numbered from 0 (%u starts x %u seeds x "
                   "%u data sets x %u swept values)",
                   lg_config_origin(c, sliced ? "fits" : "first_fit"), asked, (long long)size, e->starts, e->seeds,
                   e->resamples, e->swept);
}

static bool simulates(const lg_config *c)
{
    const char *task = lg_config_get(c, "task");
    return task && strcmp(task, "simulate") == 0;
}

lg_status lg_config_fits(lg_context *ctx, const lg_config *config, int64_t *first_fit, int64_t *fits)
{
    lg_ensemble e = {.axes = false};
    const char *name = lg_config_get(config, "model");
    const lg_model_desc *model = name ? lg_model_find(name) : NULL;
    if (!model) return lg_fail(ctx, LG_ERR_CONFIG, "the configuration names no model: set model to si, prw or mk");
    lg_status status = simulates(config) ? LG_OK : read_ensemble(ctx, config, model, &e);
    if (!status) status = choose_slice(ctx, config, &e, first_fit, fits);
    lg_ensemble_close(&e);
    return status;
}

lg_status lg_ensemble_open(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    lg_ensemble *e = &p->ensemble;
    if (p->job.task == LG_TASK_simulate) return LG_OK;
    lg_status status = read_ensemble(ctx, c, p->job.model, e);
    if (status || !e->axes) return status;
    int64_t first = 0, fits = 0;
    status = choose_slice(ctx, c, e, &first, &fits);
    if (status) return status;
    p->job.first_fit = (uint32_t)first;
    p->job.fits = (uint32_t)fits;
    const int64_t size = (int64_t)e->starts * e->seeds * e->resamples * e->swept;
    if (fits < size)
        lg_log(ctx, LG_LOG_INFO, "fits %lld to %lld of an ensemble of %lld", (long long)first,
               (long long)(first + fits - 1), (long long)size);
    return LG_OK;
}

void lg_ensemble_close(lg_ensemble *e)
{
    for (int i = 0; i < e->sweeps; i++) free(e->sweep[i].value);
    free(e->vector);
    e->sweeps = 0;
    e->vector = NULL;
}

/* ---- starts ----------------------------------------------------------------------------------------------------- */

/* Uniform in (0, 1), 53 bits, for parameter i of start s: independent of how many starts there are. */
static double start_uniform(uint64_t seed, uint32_t s, uint32_t i)
{
    const lg_block b = lg_draw(lg_seed_key(seed), LG_STREAM_START, s, i, 0, 0);
    const uint64_t bits = (uint64_t)b.w[0] << 21 ^ b.w[1] >> 11;
    return ((double)bits + 0.5) * 0x1p-53;
}

/* Which of n equal parts of parameter i's interval start s lies in: a permutation of its own for each parameter. */
static uint32_t stratum(uint64_t seed, uint32_t s, uint32_t i, uint32_t n)
{
    const lg_block b = lg_draw(lg_seed_key(seed), LG_STREAM_START, 0, i, 1, 0);
    const lg_key key = {{b.w[0], b.w[1]}};
    return lg_permute(key, 0, n, s);
}

/* Place of start s between the bounds of parameter i, which is number k of K fitted ones; 0 to 1. Points of a grid are the
 * centres of its cells; the last parameter changes fastest. */
static double start_place(const lg_ensemble *e, uint64_t seed, uint32_t s, int i, int k, int K)
{
    const double u = start_uniform(seed, s, (uint32_t)i);
    if (e->kind == LG_START_RANDOM) return u;
    if (e->kind == LG_START_LHS) return (stratum(seed, s, (uint32_t)i, e->starts) + u) / e->starts;
    for (int j = K - 1; j > k; j--) s /= e->grid;
    return (s % e->grid + 0.5) / e->grid;
}

static lg_status set_starts(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    const lg_ensemble *e = &p->ensemble;
    const lg_optimizer *o = &p->job.optimizer;
    const int P = p->job.model->params;
    int K = 0;
    for (int i = 0; i < P; i++) K += o->fitted[i];
    for (uint32_t f = 0; f < p->job.fits && e->kind != LG_START_FIXED; f++) {
        const uint32_t s = lg_ensemble_member(e, p->job.first_fit + f).start;
        double *value = p->params + (size_t)f * (size_t)P;
        for (int i = 0, k = 0; i < P; i++) {
            if (!o->fitted[i]) continue;
            if (e->kind == LG_START_LIST) {
                value[i] = e->vector[(size_t)s * (size_t)K + (size_t)k];
                if (!(value[i] >= o->lower[i] && value[i] <= o->upper[i]))
                    return lg_fail(ctx, LG_ERR_RANGE,
                                   "%s: ensemble.starts: start %u has %s %g, outside the bounds [%g, %g]",
                                   lg_config_origin(c, "ensemble.starts"), s, p->job.model->param[i].name, value[i],
                                   o->lower[i], o->upper[i]);
            } else {
                const double at = start_place(e, p->job.seed, s, i, k, K);
                value[i] = fmin(o->upper[i], o->lower[i] + at * (o->upper[i] - o->lower[i]));
            }
            k++;
        }
    }
    return LG_OK;
}

/* ---- optimisers ------------------------------------------------------------------------------------------------- */

static double swept_value(const lg_ensemble *e, uint32_t w, int sweep)
{
    for (int j = e->sweeps - 1; j > sweep; j--) w /= e->sweep[j].count;
    return e->sweep[sweep].value[w % e->sweep[sweep].count];
}

static lg_status set_optimizers(lg_context *ctx, lg_problem *p)
{
    const lg_ensemble *e = &p->ensemble;
    if (e->sweeps == 0) return LG_OK;
    p->fit_optimizer = calloc(p->job.fits, sizeof *p->fit_optimizer);
    if (!p->fit_optimizer)
        return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the optimisers of %u fits", p->job.fits);
    for (uint32_t f = 0; f < p->job.fits; f++) {
        const uint32_t w = lg_ensemble_member(e, p->job.first_fit + f).sweep;
        p->fit_optimizer[f] = p->job.optimizer;
        for (int i = 0, k = 0; i < LG_MAX_SWEEPS && k < e->sweeps; i++) {
            if (strcmp(swept_keys[i].key, e->sweep[k].key) != 0) continue;
            const double value = swept_value(e, w, k++);
            memcpy((char *)&p->fit_optimizer[f] + swept_keys[i].offset, &value, sizeof value);
        }
    }
    p->job.fit_optimizer = p->fit_optimizer;
    return LG_OK;
}

/* One warning about questionable starts (MK: some p > 1), with their number. */
static void warn_starts(lg_context *ctx, const lg_problem *p)
{
    const lg_job *job = &p->job;
    char text[256], first[256] = "";
    uint32_t count = 0;
    for (uint32_t f = 0; f < job->fits; f++) {
        if (lg_model_check_params(job->model, p->params + (size_t)f * (size_t)job->model->params, job->gamma,
                                  (int)job->capacity, text, sizeof text))
            continue;
        if (count++ == 0) memcpy(first, text, sizeof first);
    }
    if (count) lg_log(ctx, LG_LOG_WARNING, "%u of %u fits: %s", count, job->fits, first);
}

lg_status lg_ensemble_apply(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    if (!p->ensemble.axes) return LG_OK;
    lg_status status = set_starts(ctx, c, p);
    if (!status) status = set_optimizers(ctx, p);
    if (!status && p->ensemble.kind != LG_START_FIXED) warn_starts(ctx, p);
    return status;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

int lg_ensemble_names(const lg_ensemble *e, char names[LG_MAX_COORDINATES][32])
{
    int n = 0;
    if (e->starts > 1) snprintf(names[n++], 32, "start");
    if (e->seeds > 1) snprintf(names[n++], 32, "seed");
    if (e->resamples > 1) snprintf(names[n++], 32, "resample");
    for (int i = 0; i < e->sweeps; i++) snprintf(names[n++], 32, "%s", e->sweep[i].key);
    return n;
}

int lg_ensemble_coordinates(const lg_ensemble *e, uint32_t g, double *out)
{
    const lg_member m = lg_ensemble_member(e, g);
    int n = 0;
    if (e->starts > 1) out[n++] = m.start;
    if (e->seeds > 1) out[n++] = m.seed;
    if (e->resamples > 1) out[n++] = m.resample;
    for (int i = 0; i < e->sweeps; i++) out[n++] = swept_value(e, m.sweep, i);
    return n;
}
