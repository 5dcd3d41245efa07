/* Inside of a problem's data: what problem_data.c and problem_walks.c share. */
#ifndef LG_FIT_PROBLEM_DATA_H
#define LG_FIT_PROBLEM_DATA_H

#include "data/frames.h"
#include "fit/problem.h"

/* A forward-only batch of the model at data.generate.params. */
typedef struct lg_generator {
    lg_job job;
    double params[LG_MAX_PARAMS];
    uint8_t *start;
    lg_dbatch *batch;
} lg_generator;

/* The parameters data.generate.params; *any false: none is given. */
lg_status lg_generate_params(lg_context *ctx, const lg_config *c, const lg_job *job, double *params, bool *any);
/* Opens the batch with g->params set; closed in any case. */
lg_status lg_generator_open(lg_context *ctx, const lg_config *c, lg_problem *p, uint32_t steps, lg_generator *g);
void lg_generator_close(const lg_problem *p, lg_generator *g);

lg_status lg_data_no_memory(lg_context *ctx);
/* Fails because none of the keys that name data is set. */
lg_status lg_data_require(lg_context *ctx, const lg_job *job, const char *keys);
/* Are the parts of the data kept? A bootstrap draws from them, and standard errors come from their scatter; without a bootstrap
 * only up to a size. */
bool lg_data_keeps(const lg_problem *p, size_t clusters, size_t values);
/* Room for the records, targets and weights (1); false: out of memory. */
bool lg_data_allocate_targets(lg_problem *p, uint32_t records);

/* Frames of data.frames, or generated ones: of the latter the start states and every stride-th state. */
lg_status lg_data_load_frames(lg_context *ctx, const lg_config *c, lg_problem *p, uint32_t stride, lg_frames *frames);
/* Statistics of recorded lattice runs: the tasks trajectory and formation. */
lg_status lg_data_load_runs(lg_context *ctx, const lg_config *c, lg_problem *p);

/* Statistics of the states of some runs at a record, into their places in values[runs][records x kinds]. */
lg_status lg_data_statistics(lg_context *ctx, const lg_job *job, const uint8_t *states, uint32_t runs, uint32_t record,
                             double *values);
/* Weights 1 / sem^2, sem^2 the variance over runs / runs; what is the same in all runs (bins that a small lattice does not have)
 * weighs nothing. problem_weights.c. */
void lg_data_weigh_sem(lg_context *ctx, lg_problem *p, const double *values, uint32_t runs);
/* U[K][K], lower triangle, with U Cov U^T = 1 for the covariance of N runs, correlations shrunk by *lambda. values[K][N] become
 * z-scores; sd[K] are the standard deviations, and statistics with sd 0 have rows of zeros. scratch [K][K]. false: singular. */
bool lg_data_whitener(double *values, size_t N, size_t K, double *sd, double *scratch, double *U, double *lambda);
/* The combinations of statistics that tell most about the fitted parameters, one for each, as p->combine, from runs of the
 * model around the start values. runs: those of the data. problem_pilot.c. */
lg_status lg_data_combine(lg_context *ctx, const lg_config *config, lg_problem *p, uint32_t runs);

/* The MSD curve of data.msd, data.tracks or data.generate. */
lg_status lg_data_load_walks(lg_context *ctx, const lg_config *c, lg_problem *p);

#endif
