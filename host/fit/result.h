/* The result of a fit: written by fit/fit.c, read by record/. */
#ifndef LG_FIT_RESULT_H
#define LG_FIT_RESULT_H

#include "latgrad.h"
#include "fit/ensemble.h"
#include "model/model.h"

typedef struct lg_fit_record {
    lg_fit_status status;
    char reason[256];
    int64_t iterations; /* rows of the trace that are valid */
    double loss;        /* of the last iteration */
    double start[LG_MAX_PARAMS], params[LG_MAX_PARAMS];
    double error[LG_MAX_PARAMS], low[LG_MAX_PARAMS], high[LG_MAX_PARAMS]; /* lg_result_errors; NaN: none */
    double *trace;                         /* [iterations][params + 3], see lg_result_trace */
    double coordinate[LG_MAX_COORDINATES]; /* its place on the axes of the ensemble */
} lg_fit_record;

struct lg_result {
    const lg_model_desc *model;
    char task[32], loss[32], device[128];
    char *config_yaml; /* the complete effective configuration */
    uint64_t seed;
    int fits;
    bool fitted[LG_MAX_PARAMS];
    /* An ensemble: the names of its axes in use, and what the summary needs. */
    bool ensemble;
    int coordinates;
    char coordinate_name[LG_MAX_COORDINATES][32];
    double bound, distance;                            /* bound NaN: none */
    double lower[LG_MAX_PARAMS], upper[LG_MAX_PARAMS]; /* bounds of the fitted parameters */
    lg_fit_record *fit;                                /* [fits] */
    char started[32], finished[32];                    /* ISO 8601, UTC */
    char host[64];
    char errors[128];   /* lg_result_error_note */
    char resumed[1024]; /* "TIME HOST iteration N; ..." for each time it went on from a checkpoint; the latest ones */
    double seconds;
    /* Statistic losses: [statistics] target and weight, and the statistics of the last evaluated state per fit. */
    int statistics;
    double *target, *weight; /* NULL for state losses */
    double *last_statistics; /* [fits][statistics] or NULL */
    /* Searches without gradients, else NULL: see lg_posterior. */
    double *generation; /* [iterations of fit 0][LG_GENERATION_COLUMNS] */
    int samples;
    double *sample, *sample_weight, *sample_distance; /* [samples][params], [samples], [samples] */
};

#endif
