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
/* Does the problem's ensemble resample its data? */
bool lg_data_bootstrap(const lg_problem *p);
/* Room for the records, targets and weights (1); false: out of memory. */
bool lg_data_allocate_targets(lg_problem *p, uint32_t records);

/* Frames of data.frames, or generated ones: of the latter the start states and every stride-th state. */
lg_status lg_data_load_frames(lg_context *ctx, const lg_config *c, lg_problem *p, uint32_t stride, lg_frames *frames);
/* Statistics of recorded lattice runs: the tasks trajectory and formation. */
lg_status lg_data_load_runs(lg_context *ctx, const lg_config *c, lg_problem *p);

/* The MSD curve of data.msd, data.tracks or data.generate. */
lg_status lg_data_load_walks(lg_context *ctx, const lg_config *c, lg_problem *p);

#endif
