/* A problem: the checked configuration turned into a job, with the data it points at and the device it runs on. */
#ifndef LG_FIT_PROBLEM_H
#define LG_FIT_PROBLEM_H

#include "backend/backend.h"
#include "config/config.h"
#include "fit/ensemble.h"
#include "infer/infer.h"

/* Noise beside that of the fits: iterations that no fit reaches, one for each purpose. */
#define LG_ITERATION_DATA UINT64_MAX        /* generated data */
#define LG_ITERATION_WALK (UINT64_MAX - 1)  /* walkers of errors_walks.c */
#define LG_ITERATION_PILOT (UINT64_MAX - 2) /* pilot runs of problem_pilot.c */
#define LG_ITERATION_FINAL (UINT64_MAX - 3) /* the loss at the estimate of a search: infer/search.c */

struct lg_problem {
    lg_job job; /* its pointers belong to the problem: the arrays below */
    uint8_t *start, *target;
    uint32_t *record;
    double *target_stat, *weight_stat, *combine, *params;
    uint32_t combinations; /* rows of combine */

    const lg_backend *backend;
    lg_device *device;
    char device_text[160];
    lg_plan plan;
    lg_dbatch *batch; /* of lg_evaluate, made at its first call */

    char *config_yaml;
    int64_t iterations;
    int64_t stop_window;
    double stop_tolerance, stop_seconds;
    bool optimizer_given;      /* optimizer.name was set */
    int64_t error_evaluations; /* of the standard errors: fit/errors.c */
    lg_search_plan search;     /* kind gradient: the fit loop */
    lg_ensemble ensemble;
    lg_sample sample;            /* what the data are made of */
    lg_optimizer *fit_optimizer; /* the job's per-fit arrays; target_stat and weight_stat above stay the data's own */
    double *fit_target, *fit_weight;
    uint32_t *resample;
    char *checkpoint;       /* file, or NULL */
    lg_fit_options options; /* as the configuration has them */
    uint32_t *own_record;   /* steps of lg_problem_set_loss */
};

/* Is there a loss to evaluate and to fit? */
static inline bool lg_problem_has_loss(const lg_problem *problem)
{
    return problem->job.task != LG_TASK_simulate || problem->job.own.function != NULL;
}
/* The memory plan of the job as it is now. */
lg_status lg_problem_plan(lg_context *ctx, lg_problem *problem);

/* Fills the job's start states, targets and records from files or by generation; the model, task, lattice and steps of the
 * job are set. Data may set lattice sizes and steps that the configuration leaves open. */
lg_status lg_problem_load_data(lg_context *ctx, const lg_config *config, lg_problem *problem);

/* Fills method, estimators and temperature of the job; checks them against model, loss and replicates. */
lg_status lg_problem_read_estimator(lg_context *ctx, const lg_config *config, lg_job *job);

/* Fills optimiser, iterations and stop.*; the data are loaded. check: lm is for losses of statistics, on backends that give
 * their Jacobian; the gradient method is placed before the device. settle: a default lm becomes adam on a device that has no
 * Jacobian for it, in *own, a copy of the configuration to go on with; NULL where the configuration may stay. */
lg_status lg_problem_read_optimizer(lg_context *ctx, const lg_config *config, lg_problem *problem);
lg_status lg_problem_check_optimizer(lg_context *ctx, const lg_config *config, const lg_problem *problem);
lg_status lg_problem_settle_optimizer(lg_context *ctx, const lg_config *config, const lg_problem *problem,
                                      lg_config **own);

/* The number of a key's name in a list; a whole number with the range that fits its field. */
lg_status lg_problem_choose(lg_context *ctx, const lg_config *config, const char *key, const char *const *names,
                            size_t count, int *out);
lg_status lg_problem_whole(lg_context *ctx, const lg_config *config, const char *key, int64_t low, int64_t high,
                           int64_t *out);

/* Fills the options: checkpoint.* and run.time_limit. */
lg_status lg_problem_read_options(lg_context *ctx, const lg_config *config, lg_problem *problem);

#endif
