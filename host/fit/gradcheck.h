/* Inside the gradient check: references, expectations and explanations. */
#ifndef LG_FIT_GRADCHECK_H
#define LG_FIT_GRADCHECK_H

#include "fit/problem.h"

/* What is stated of an estimator's mean. */
typedef enum lg_expectation {
    LG_EXPECT_biased,   /* nothing: its bias is reported */
    LG_EXPECT_unbiased, /* the gradient of the expected loss */
    LG_EXPECT_outcome,  /* the gradient of the loss of the expected outcome, L(E y) */
    LG_EXPECT_sign,     /* the sign of the gradient of the expected loss */
    LG_EXPECT_as_gs     /* the mean of gs */
} lg_expectation;

typedef struct lg_stated {
    const char *estimator;
    lg_expectation what;
    double slack; /* of the size of the reference: what is known to be off, beyond the error of the means */
} lg_stated;

/* A row of the table of stated expectations (gradcheck_stated.c). */
lg_stated lg_gradcheck_stated(const char *estimator, const lg_job *job, bool closed_form);
const char *lg_expectation_text(lg_expectation what);
/* Why a gradient is zero or not finite at these parameters, as far as the model tells. */
void lg_gradcheck_explain(const lg_job *job, const char *estimator, int param, const double *params, double mean,
                          char *text, size_t size);

/* The gradient of the expected loss and its standard error, and where it is known the gradient of L(E y), the loss of
 * the expected outcome. */
typedef struct lg_reference {
    bool closed_form, has_outcome;
    double gradient[LG_MAX_PARAMS], error[LG_MAX_PARAMS], outcome[LG_MAX_PARAMS];
    char how[160];
} lg_reference;

/* Closed forms: SI transitions, PRW. false: there is none for this job. Native coordinates, as lg_evaluate. */
bool lg_gradcheck_closed(lg_context *ctx, const lg_job *job, const double *params, lg_reference *out,
                         lg_status *status);

/* Gradients of `runs` runs with noise of their own at the start parameters: [runs][P]. Settings "key=value" lines. */
typedef struct lg_runs {
    int64_t runs;
    size_t params;
    double *gradient, *loss;
    double seconds; /* a gradient; processor time on the cpu */
} lg_runs;
lg_status lg_gradcheck_run(lg_context *ctx, const lg_config *config, const char *settings, int64_t first_run,
                           int64_t runs, lg_runs *out);
void lg_runs_free(lg_runs *runs);

/* By central differences with common random numbers at the steps h and 2 h. */
lg_status lg_gradcheck_differences(lg_context *ctx, const lg_config *config, int64_t first_run, int64_t runs,
                                   lg_reference *out);

#endif
