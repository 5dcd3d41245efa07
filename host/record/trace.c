/* Traces as CSV: fit,step,loss,<parameters>,learning_rate,gradient_norm. Row `step` holds the parameters before that
 * update and the loss and gradient found there; numbers have nine digits (HDF5 results have all of them). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "fit/result.h"

static void put_number(FILE *out, double value)
{
    if (isfinite(value)) {
        fprintf(out, ",%.9g", value);
    } else {
        fputs(isnan(value) ? ",NaN" : value > 0 ? ",Inf" : ",-Inf", out);
    }
}

lg_status lg_result_write_trace(lg_context *ctx, const lg_result *result, const char *path, bool force)
{
    lg_atomic a;
    lg_status status = lg_atomic_open(ctx, path, force, &a);
    if (status != LG_OK) return status;
    fputs("fit,step,loss", a.file);
    for (int i = 0; i < result->model->params; i++) fprintf(a.file, ",%s", result->model->param[i].name);
    fputs(",learning_rate,gradient_norm\n", a.file);
    const size_t width = (size_t)result->model->params + 3;
    for (int f = 0; f < result->fits; f++) {
        const lg_fit_record *record = &result->fit[f];
        for (int64_t step = 0; step < record->iterations && !ferror(a.file); step++) {
            fprintf(a.file, "%d,%" PRId64, f, step);
            for (size_t i = 0; i < width; i++) put_number(a.file, record->trace[(size_t)step * width + i]);
            putc('\n', a.file);
        }
    }
    return lg_atomic_commit(ctx, &a);
}
