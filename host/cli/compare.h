/* latgrad compare: the runs of one call (compare_run.c), and their table, JSON, CSV and picture (compare_out.c).
 *
 * Evaluations are counted: the simulation of all replicates of a candidate once is one, and so is a gradient, but for finite
 * differences, which take 1 + 2 P. An evaluation is `replicates` simulations of `steps`. */
#ifndef LG_CLI_COMPARE_H
#define LG_CLI_COMPARE_H

#include "cli/cli.h"

enum {
    LG_COMPARE_METHODS = 16,
    LG_COMPARE_SEEDS = 1000,
    LG_COMPARE_PARAMS = 8,
    LG_COMPARE_POINTS = 64,
    LG_COMPARE_SPEC = 64
};

/* The estimate that a run had after a number of evaluations. */
typedef struct lg_compare_point {
    double evaluations, seconds, error, params[LG_COMPARE_PARAMS];
} lg_compare_point;

typedef struct lg_compare_run {
    int method;
    uint64_t seed;
    lg_fit_status status;
    double seconds, evaluations; /* in all */
    double reached_seconds,
        reached_evaluations; /* from where on the error stays within the stated one; infinite: never */
    double loss;             /* expected loss at the end */
    int points;              /* the last one is the end */
    lg_compare_point point[LG_COMPARE_POINTS + 1];
    bool posterior;
    double low[LG_COMPARE_PARAMS], high[LG_COMPARE_PARAMS]; /* 95 % of the posterior */
} lg_compare_run;

typedef struct lg_compare {
    lg_cli *cli;
    const char *source;
    char method[LG_COMPARE_METHODS][LG_COMPARE_SPEC]; /* as they were given */
    int methods, seeds;
    uint64_t seed; /* the first one */
    int64_t evaluations, judge_runs;
    double wanted; /* error to be reached */
    bool by_params, processor_time;
    lg_problem *judge; /* tells the expected loss of any point; the texts in info are its own */
    lg_problem_info info;
    int fitted[LG_COMPARE_PARAMS], dims;
    double truth[LG_COMPARE_PARAMS], best_loss;
    lg_compare_run *run; /* [methods][seeds] */
} lg_compare;

/* The configuration as the command line has it, anew. */
lg_status lg_compare_configure(lg_compare *c);
/* Can every method be set up? Asked before the first one runs, since a failure later would lose what was found. */
lg_status lg_compare_check(lg_compare *c);
/* compare_run.c: `index` counts the runs, method by method. */
lg_status lg_compare_one(lg_compare *c, int index);
/* Mean loss at a point over judge_runs evaluations, with the same noise for every point. */
lg_status lg_compare_judge(lg_compare *c, const double *params, double *loss);
/* Once all runs are done: errors, and where the stated one was reached. */
lg_status lg_compare_errors(lg_compare *c);

/* compare_out.c */
/* Of n values, not finite ones included as infinite; sorts them. */
double lg_compare_median(double *value, int n);
void lg_compare_print(const lg_compare *c);
void lg_compare_json(const lg_compare *c);
lg_status lg_compare_csv(const lg_compare *c, const char *path);
lg_status lg_compare_picture(const lg_compare *c, const char *path); /* compare_picture.c */

#endif
