/* What a running fit is made of, and what the loop (fit.c) and its checkpoints (loop_checkpoint.c) share. */
#ifndef LG_FIT_LOOP_H
#define LG_FIT_LOOP_H

#include "fit/checkpoint.h"

typedef struct lg_loop {
    lg_problem *problem;
    lg_result *result;
    lg_dbatch *batch;
    lg_fit_state *state; /* [F] */
    double *rows;        /* [chunk][F][P + 3] */
    uint32_t chunk, chunk_limit;
    int64_t done;
    double began; /* of the computing: what earlier runs of a continued fit took is counted back */

    const lg_fit_options *options;
    lg_checkpoint_file file; /* path NULL: no checkpoints */
    int64_t first;           /* iterations made when this run began */
    int64_t checkpointed;    /* iteration of the newest checkpoint, -1: none */
    double session, saved;   /* when this run began, when the newest checkpoint was written */
    double saving, longest;  /* seconds that the last checkpoint and the longest chunk took */
} lg_loop;

/* A result before anything was done; NULL: out of memory. */
lg_result *lg_loop_result(const lg_problem *problem);
double lg_loop_clock(void);                 /* seconds, monotonic */
void lg_loop_stamp(char *out, size_t size); /* the time, ISO 8601, UTC */
int lg_loop_running(const lg_loop *l);      /* fits that have not ended */
/* Ends those. */
void lg_loop_end(lg_loop *l, lg_fit_status status, const char *reason);

/* Refuses what the options do not permit, and opens the checkpoint's place where they name one. */
lg_status lg_loop_open(lg_context *ctx, lg_loop *l);
/* Puts the device where the checkpoint was taken; params: room for [F][P]. */
lg_status lg_loop_restore(lg_context *ctx, lg_loop *l, double *params);
/* Between two chunks: writes a checkpoint where one is due or asked for by `action` (an lg_action); LG_ERR_STOPPED where the
 * run ends with it. */
lg_status lg_loop_between_chunks(lg_context *ctx, lg_loop *l, int action);
/* After the last chunk: the checkpoint of what is done, where the options ask for it. */
void lg_loop_keep(lg_context *ctx, lg_loop *l);
/* The statistics of the last evaluated states, into the result. */
lg_status lg_loop_statistics(lg_context *ctx, lg_loop *l);

#endif
