/* Standard errors of the ends of a fit: see errors.c. */
#ifndef LG_FIT_ERRORS_H
#define LG_FIT_ERRORS_H

#include "fit/problem.h"

/* Fills error, low and high of the result's fits, and result->errors with how they were made or why there are none. Failures are
 * those of the device and of memory; a fit without standard errors is none. */
lg_status lg_fit_errors(lg_context *ctx, lg_problem *problem, lg_result *result);

/* Covariance of the data's statistics projected on the rows of `direction` [K][P]: out[P][P] = D^T Cov(t) D. walkers: correlation
 * of the values [K][K], for data that are a table of values and standard errors; else NULL. scratch: [2 K]. */
void lg_sample_covariance(const lg_sample *sample, int K, int P, const double *direction, const double *correlation,
                          double *scratch, double *out);

/* Correlation of the squared displacements of the model's walkers from one lag to another, out[F][K][K], at the parameters
 * [F][P] (errors_walks.c). */
lg_status lg_walk_correlation(lg_context *ctx, const lg_problem *problem, const double *params, double *out);

/* Two-sided 95 % quantile of Student's t with n degrees of freedom; n 0: of the normal distribution. */
double lg_student_95(double n);

#endif
