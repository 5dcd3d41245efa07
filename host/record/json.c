/* The one-line summary of a fit. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "fit/result.h"
#include "record/number.h"

void lg_number_text(char text[LG_NUMBER_SIZE], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, LG_NUMBER_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

void lg_json_number(lg_text *out, double value)
{
    char text[LG_NUMBER_SIZE] = "null";
    if (isfinite(value)) lg_number_text(text, value);
    lg_text_add(out, text);
}

void lg_json_string(lg_text *out, const char *string)
{
    lg_text_add(out, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\') {
            lg_text_printf(out, "\\%c", *c);
        } else if (*c == '\n') {
            lg_text_add(out, "\\n");
        } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            lg_text_printf(out, "\\u%04x", (unsigned)(unsigned char)*c);
        } else {
            lg_text_append(out, c, 1);
        }
    }
    lg_text_add(out, "\"");
}

static void put_text(lg_text *out, const char *name, const char *value)
{
    lg_text_printf(out, "\"%s\": ", name);
    lg_json_string(out, value);
    lg_text_add(out, ", ");
}

static void put_params(lg_text *out, const lg_result *result, const char *name, const double *value)
{
    lg_text_printf(out, "\"%s\": {", name);
    for (int i = 0; i < result->model->params; i++) {
        if (i) lg_text_add(out, ", ");
        lg_json_string(out, result->model->param[i].name);
        lg_text_add(out, ": ");
        lg_json_number(out, value[i]);
    }
    lg_text_add(out, "}");
}

/* Left out where no parameter has any. */
static void put_errors(lg_text *out, const lg_result *result, const lg_fit_record *record)
{
    const struct {
        const char *name;
        const double *value;
    } each[] = {{"standard_error", record->error}, {"interval_low", record->low}, {"interval_high", record->high}};
    bool any = false;
    for (int i = 0; i < result->model->params; i++) any = any || isfinite(record->error[i]);
    for (size_t i = 0; any && i < sizeof each / sizeof *each; i++) {
        lg_text_add(out, ", ");
        put_params(out, result, each[i].name, each[i].value);
    }
}

static void put_fit(lg_text *out, const lg_result *result, const lg_fit_record *record)
{
    lg_text_printf(out, "\"iterations\": %" PRId64 ", ", record->iterations);
    put_text(out, "status", lg_fit_status_name(record->status));
    put_text(out, "reason", record->reason);
    lg_text_add(out, "\"loss\": ");
    lg_json_number(out, record->loss);
    lg_text_add(out, ", ");
    put_params(out, result, "params", record->params);
    put_errors(out, result, record);
    if (result->coordinates == 0) return;
    lg_text_add(out, ", \"coordinates\": {");
    for (int i = 0; i < result->coordinates; i++) {
        if (i) lg_text_add(out, ", ");
        lg_json_string(out, result->coordinate_name[i]);
        lg_text_add(out, ": ");
        lg_json_number(out, record->coordinate[i]);
    }
    lg_text_add(out, "}");
}

/* "ensemble": {...}, see lg_summary. */
static lg_status put_summary(lg_context *ctx, lg_text *out, const lg_result *result)
{
    lg_summary s;
    const lg_status status = lg_result_summary(ctx, result, &s);
    if (status) return status;
    lg_text_printf(out,
                   ", \"ensemble\": {\"fits\": %d, \"failed\": %d, \"at_bound\": %d, \"data_fits\": %d, \"good\": %d, ",
                   s.fits, s.failed, s.at_bound, s.data_fits, s.good);
    lg_text_printf(out, "\"best\": %d, \"best_loss\": ", s.best);
    lg_json_number(out, s.best_loss);
    const struct {
        const char *name;
        const double *value;
    } each[] = {{"best_params", s.best_params}, {"median", s.median}, {"low", s.low}, {"high", s.high}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        lg_text_add(out, ", ");
        put_params(out, result, each[i].name, each[i].value);
    }
    lg_text_printf(out, ", \"interval_of\": \"%s\", \"interval_fits\": %d, \"optima\": %d, \"optimum\": [",
                   s.bootstrap ? "resamples" : "fits", s.interval_fits, s.optima);
    for (int o = 0; o < s.optima && o < LG_SUMMARY_OPTIMA; o++) {
        lg_text_printf(out, "%s{\"fit\": %d, \"fits\": %d, \"loss\": ", o ? ", " : "", s.optimum[o].fit,
                       s.optimum[o].fits);
        lg_json_number(out, s.optimum[o].loss);
        lg_text_add(out, ", ");
        put_params(out, result, "params", s.optimum[o].params);
        lg_text_add(out, "}");
    }
    lg_text_add(out, "], \"bound\": ");
    lg_json_number(out, s.bound);
    lg_text_printf(out, ", \"below_bound\": %d}", s.below);
    return LG_OK;
}

/* "search": {...}, see lg_posterior; of the samples their weighted moments and 95 % intervals. */
static void put_search(lg_text *out, const lg_result *result)
{
    lg_posterior p;
    if (!lg_result_posterior(result, &p)) return;
    lg_text_printf(out, ", \"search\": {\"generations\": %d, \"simulations\": ", p.generations);
    lg_json_number(out, p.generations ? p.generation[(size_t)(p.generations - 1) * 4 + 1] : 0.0);
    lg_text_printf(out, ", \"samples\": %d", p.samples);
    const struct {
        const char *name;
        const double *value;
    } each[] = {{"mean", p.mean}, {"sd", p.sd}, {"low", p.low}, {"high", p.high}};
    for (size_t i = 0; p.samples && i < sizeof each / sizeof *each; i++) {
        lg_text_add(out, ", ");
        put_params(out, result, each[i].name, each[i].value);
    }
    if (p.samples) {
        lg_text_add(out, ", \"effective\": ");
        lg_json_number(out, p.effective);
    }
    lg_text_add(out, "}");
}

/* {"model": ..., "seconds": 1.5, "iterations": ..., "loss": ..., "params": {...}}; of several fits the part from
 * "iterations" on stands once per fit, in the array "results". loss_name says which loss it is, "loss" is its value. */
lg_status lg_result_json(lg_context *ctx, const lg_result *result, char **json)
{
    lg_text out = {0};
    lg_text_add(&out, "{");
    put_text(&out, "model", result->model->name);
    put_text(&out, "task", result->task);
    put_text(&out, "loss_name", result->loss);
    lg_text_printf(&out, "\"seed\": %" PRIu64 ", ", result->seed);
    put_text(&out, "device", result->device);
    put_text(&out, "host", result->host);
    put_text(&out, "version", lg_version());
    put_text(&out, "started", result->started);
    put_text(&out, "finished", result->finished);
    put_text(&out, "resumed", result->resumed);
    put_text(&out, "errors", result->errors);
    lg_text_printf(&out, "\"fits\": %d, \"seconds\": ", result->fits);
    lg_json_number(&out, result->seconds);
    if (result->fits == 1) {
        lg_text_add(&out, ", ");
        put_fit(&out, result, &result->fit[0]);
    } else {
        lg_text_add(&out, ", \"results\": [");
        for (int f = 0; f < result->fits; f++) {
            lg_text_printf(&out, "%s{\"fit\": %d, ", f ? ", " : "", f);
            put_fit(&out, result, &result->fit[f]);
            lg_text_add(&out, "}");
        }
        lg_text_add(&out, "]");
    }
    put_search(&out, result);
    if (result->ensemble) {
        const lg_status status = put_summary(ctx, &out, result);
        if (status) {
            lg_text_clear(&out);
            return status;
        }
    }
    lg_text_add(&out, "}");
    *json = lg_text_take(&out);
    return *json ? LG_OK
                 : lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for the JSON summary of %d fits", result->fits);
}
