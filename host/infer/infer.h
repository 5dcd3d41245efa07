/* Searches without gradients: the methods, and what they share.
 *
 * Candidates are the fits of one batch (set_params, reset, forward, loss), so that a population is one batch on any backend. They
 * live in the box of the bounds of the fitted parameters, params.NAME.bounds. Candidate c of batch b has the noise of fit
 * first_fit + c in iteration b: all are independent. The local search uses iteration 0 throughout, common random numbers. */
#ifndef LG_INFER_INFER_H
#define LG_INFER_INFER_H

#include "backend/backend.h"
#include "config/config.h"
#include "fit/result.h"
#include "rules/streams.h"

struct lg_problem;
struct lg_search;

/* The one table of methods: X(name, candidates in a batch where none are set (0: from the number of parameters), text) */
#define LG_SEARCH_LIST(X)                                                                                       \
    X(random, 64, "uniform in the bounds, the best is kept")                                                    \
    X(abc, 64, "approximate Bayesian computation by rejection: the closest part of draws from the prior")       \
    X(abc_smc, 200, "the same by sequential Monte Carlo: tolerances that shrink from population to population") \
    X(cma_es, 0, "evolution strategy with covariance matrix adaptation")                                        \
    X(nlopt, 1, "local search of NLopt, without derivatives, with common random numbers")

#define LG_SEARCH_ENUM(name, population, text) LG_SEARCH_##name,
typedef enum lg_search_kind { LG_SEARCH_gradient, LG_SEARCH_LIST(LG_SEARCH_ENUM) LG_SEARCH_KINDS } lg_search_kind;
#undef LG_SEARCH_ENUM

/* The settings method.*; see config/option_table.c for what they mean. */
typedef struct lg_search_plan {
    lg_search_kind kind;
    uint32_t population;
    int64_t simulations;
    double accept, quantile, distance, least_acceptance, sigma, tolerance;
    char algorithm[24];
} lg_search_plan;

/* Reads method.* and checks it against the problem; sets problem->iterations to the number of batches. */
lg_status lg_search_read(lg_context *ctx, const lg_config *config, struct lg_problem *problem);
/* The job of one batch of candidates; false in *gradients where the losses need no tape. params: the caller's, [population][P]. */
lg_job lg_search_job(const struct lg_problem *problem, const double *params, bool *gradients);
/* lg_fit_run for these methods. */
lg_status lg_search_run(lg_context *ctx, struct lg_problem *problem, const lg_fit_options *options,
                        lg_progress_fn progress, void *user, lg_result **out);

/* ---- for the methods ----------------------------------------------------------------------------------------------- */

enum {
    LG_GENERATION_COLUMNS = 4
}; /* tolerance or best loss, simulations so far, acceptance rate, effective sample size */

typedef struct lg_search {
    lg_context *ctx;
    struct lg_problem *problem;
    const lg_search_plan *plan;
    lg_result *result;
    lg_job job;
    lg_dbatch *batch;
    bool keep; /* the batch's losses come from its gradient path: backend->forward(keep) */
    int dims;  /* fitted parameters */
    int index[LG_MAX_PARAMS];
    double lower[LG_MAX_PARAMS], upper[LG_MAX_PARAMS]; /* [dims] of the box, in p */
    double *params, *loss;                             /* [population][P], [population]; not finite: infinity */
    uint64_t batches;
    double began;
    bool ended; /* by the caller or the clock: the record of the fit says so */
    lg_progress_fn progress;
    void *user;
} lg_search;

/* Is there room for another batch within method.simulations? */
bool lg_search_left(const lg_search *s);
/* The fitted parameters theta[dims] of a candidate. */
void lg_search_put(lg_search *s, uint32_t candidate, const double *theta);
void lg_search_get(const lg_search *s, uint32_t candidate, double *theta);
/* Losses of all candidates with the noise of an iteration. */
lg_status lg_search_evaluate(lg_search *s, uint64_t iteration);
/* Uniform number k in (0, 1) of a candidate; attempt: for proposals that are drawn again. Normal ones are made of two. */
double lg_search_uniform(const lg_search *s, uint32_t stream, uint64_t batch, uint32_t candidate, uint32_t attempt,
                         uint32_t k);
double lg_search_normal(const lg_search *s, uint32_t stream, uint64_t batch, uint32_t candidate, uint32_t attempt,
                        uint32_t k);
/* A candidate from the prior: uniform in the box. */
void lg_search_prior(lg_search *s, uint32_t candidate);
/* One generation is done: loss and estimate theta[dims] into the trace, the rest into the table of generations. */
void lg_search_record(lg_search *s, double loss, const double *theta, double acceptance, double effective);
/* Ends the fit with a reason. */
void lg_search_end(lg_search *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* n samples theta[n][dims] with weights that sum to 1 and distances: the posterior of the result. */
lg_status lg_search_samples(lg_search *s, size_t n, const double *theta, const double *weight, const double *distance);
/* The smallest of n losses (the first of equal ones). */
size_t lg_search_best(const double *loss, size_t n);

/* Lower triangle of the Cholesky factor of a symmetric matrix a[n][n], in place; false where it is not positive definite. */
bool lg_cholesky(double a[LG_MAX_PARAMS][LG_MAX_PARAMS], int n);
/* Eigenvalues (on the diagonal of a) and eigenvectors (columns of v) of a symmetric matrix, by Jacobi's rotations. */
void lg_eigen(double a[LG_MAX_PARAMS][LG_MAX_PARAMS], double v[LG_MAX_PARAMS][LG_MAX_PARAMS], int n);

lg_status lg_search_by_random(lg_search *s);
lg_status lg_search_by_abc(lg_search *s);
lg_status lg_search_by_abc_smc(lg_search *s);
lg_status lg_search_by_cma_es(lg_search *s);
lg_status lg_search_by_nlopt(lg_search *s);

#endif
