/* Read access to a result. */
#include "fit/result.h"

#include <math.h>
#include <stdlib.h>

const char *lg_fit_status_name(lg_fit_status status)
{
    static const char *const names[] = {"running", "done", "plateau", "time", "stopped", "not_finite"};
    return status >= LG_FIT_RUNNING && status <= LG_FIT_NOT_FINITE ? names[status] : "unknown";
}

void lg_result_free(lg_result *r)
{
    if (!r) return;
    for (int f = 0; r->fit && f < r->fits; f++) free(r->fit[f].trace);
    free(r->fit);
    free(r->config_yaml);
    free(r->target);
    free(r->weight);
    free(r->last_statistics);
    free(r->generation);
    free(r->sample);
    free(r->sample_weight);
    free(r->sample_distance);
    free(r);
}

lg_fit_status lg_result_status(const lg_result *r, int fit)
{
    return r->fit[fit].status;
}

const char *lg_result_reason(const lg_result *r, int fit)
{
    return r->fit[fit].reason;
}

int64_t lg_result_iterations(const lg_result *r, int fit)
{
    return r->fit[fit].iterations;
}

double lg_result_seconds(const lg_result *r)
{
    return r->seconds;
}

const double *lg_result_params(const lg_result *r, int fit)
{
    return r->fit[fit].params;
}

double lg_result_loss(const lg_result *r, int fit)
{
    return r->fit[fit].loss;
}

bool lg_result_errors(const lg_result *r, int fit, double *error, double *low, double *high)
{
    const lg_fit_record *record = &r->fit[fit];
    bool any = false;
    for (int i = 0; i < r->model->params; i++) {
        any = any || isfinite(record->error[i]);
        error[i] = record->error[i];
        low[i] = record->low[i];
        high[i] = record->high[i];
    }
    return any;
}

const char *lg_result_error_note(const lg_result *r)
{
    return r->errors;
}

const double *lg_result_trace(const lg_result *r, int fit)
{
    return r->fit[fit].trace;
}

void lg_result_tail(const lg_result *r, int fit, int64_t count, double *mean, double *sd)
{
    const size_t P = (size_t)r->model->params;
    const lg_fit_record *record = &r->fit[fit];
    if (count > record->iterations) count = record->iterations;
    for (size_t i = 0; i < P; i++) {
        double sum = 0.0, square = 0.0;
        for (int64_t k = record->iterations - count; k < record->iterations; k++)
            sum += record->trace[(size_t)k * (P + 3) + 1 + i];
        mean[i] = count > 0 ? sum / (double)count : record->params[i];
        for (int64_t k = record->iterations - count; k < record->iterations; k++) {
            const double d = record->trace[(size_t)k * (P + 3) + 1 + i] - mean[i];
            square += d * d;
        }
        sd[i] = count > 1 ? sqrt(square / (double)(count - 1)) : 0.0;
    }
}
