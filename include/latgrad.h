/* latgrad: batched stochastic lattice models and their approximate gradients.
 *
 * This header is the whole public interface; the command line tool uses nothing else.
 *
 * Conventions
 *   - Every function that can fail returns lg_status; LG_OK (0) is success.  The sentence that explains
 *     a failure (what, where, what was expected) is lg_context_message(ctx).  The library never prints
 *     and never exits.
 *   - Handles are opaque.  What NAME_create / NAME_read returns is the caller's and goes back through
 *     NAME_free (NULL is allowed there).  Pointers returned by accessors belong to the handle.
 *   - Strings and arrays returned through `char **` or `double **` are released with lg_free().
 *   - One context per thread: calls on different contexts may run at the same time.
 *   - Lattices are row-major [row][column] on a periodic torus.  Arrays over a batch are [fit][replicate]...
 *   - "Schering 2024" is Schering, Keemink, Textor: Fitting stochastic lattice models using approximate
 *     gradients (ECMS 2024).
 */
#ifndef LATGRAD_H
#define LATGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATGRAD_VERSION_MAJOR 0
#define LATGRAD_VERSION_MINOR 1
#define LATGRAD_VERSION_PATCH 0

#if defined(__GNUC__)
#define LG_API __attribute__((visibility("default")))
#else
#define LG_API
#endif

/* ================================================================================ status codes === */

/* X(name, exit status of the tool, text) */
#define LG_STATUS_LIST(X)                                 \
    X(LG_OK, 0, "success")                                \
    X(LG_ERR_USAGE, 2, "wrong usage")                     \
    X(LG_ERR_CONFIG, 2, "invalid configuration")          \
    X(LG_ERR_RANGE, 2, "value out of range")              \
    X(LG_ERR_DATA, 2, "invalid data")                     \
    X(LG_ERR_FILE, 2, "file cannot be read or written")   \
    X(LG_ERR_EXISTS, 2, "output exists already")          \
    X(LG_ERR_UNSUPPORTED, 2, "combination not supported") \
    X(LG_ERR_MEMORY, 3, "not enough memory")              \
    X(LG_ERR_DEVICE, 3, "device missing or failed")       \
    X(LG_ERR_LIBRARY, 3, "optional library missing")      \
    X(LG_ERR_NUMERIC, 1, "loss or gradient not finite")   \
    X(LG_ERR_CHECK, 1, "a check failed")                  \
    X(LG_ERR_STOPPED, 75, "stopped by request")           \
    X(LG_ERR_INTERNAL, 1, "internal error")

typedef enum lg_status {
#define LG_STATUS_ENUM(name, exit_status, text) name,
    LG_STATUS_LIST(LG_STATUS_ENUM)
#undef LG_STATUS_ENUM
} lg_status;

/* Name of a code ("LG_ERR_DATA"), its one-line text, and the exit status the tool uses for it. */
LG_API const char *lg_status_name(lg_status status);
LG_API const char *lg_status_text(lg_status status);
LG_API int lg_status_exit(lg_status status);

/* ============================================================================ version and context === */

/* Version of the library in use ("0.1.0"), and its build: compiler, options, git commit. */
LG_API const char *lg_version(void);
LG_API const char *lg_build_info(void);

typedef struct lg_context lg_context;

typedef enum lg_log_level { LG_LOG_INFO, LG_LOG_WARNING } lg_log_level;
typedef void (*lg_log_fn)(lg_log_level level, const char *line, void *user);

/* A context holds the last error message and the log handler; nothing is logged without a handler. */
LG_API lg_status lg_context_create(lg_context **out);
LG_API void lg_context_free(lg_context *ctx);
LG_API const char *lg_context_message(const lg_context *ctx);
LG_API void lg_context_set_log(lg_context *ctx, lg_log_fn log, void *user);

/* Releases memory the library returned through a `char **` or `double **`. */
LG_API void lg_free(void *memory);

/* ========================================================================================= models === */

/* One parameter of a model. lower and upper bound the values that make sense; start is the default. */
typedef struct lg_param_info {
    const char *name;
    double lower, upper, start;
    bool grad_of_logit; /* gradients are reported for logit(p) instead of p (PRW) */
    const char *unit, *help;
} lg_param_info;

LG_API int lg_model_count(void);
/* Name of model i (NULL past the end), and its description in one line. */
LG_API const char *lg_model_name(int model);
LG_API const char *lg_model_title(int model);
LG_API int lg_model_param_count(int model);
LG_API const lg_param_info *lg_model_param(int model, int param);

/* ========================================================================================= arrays === */

typedef enum lg_dtype { LG_U8, LG_I32, LG_I64, LG_F32, LG_F64 } lg_dtype;
enum { LG_MAX_DIM = 6 };

/* A dense row-major array. data is owned by the struct when filled by lg_array_read or lg_array_alloc
 * and released with lg_array_clear(). */
typedef struct lg_array {
    lg_dtype dtype;
    int ndim;
    size_t shape[LG_MAX_DIM];
    void *data;
} lg_array;

LG_API size_t lg_dtype_size(lg_dtype dtype);
LG_API size_t lg_array_size(const lg_array *array); /* number of elements */
LG_API lg_status lg_array_alloc(lg_context *ctx, lg_dtype dtype, int ndim, const size_t *shape, lg_array *out);
LG_API void lg_array_clear(lg_array *array);
/* Element i (flat index) as a double, whatever the type. */
LG_API double lg_array_get(const lg_array *array, size_t i);
/* Reads PATH.npy (version 1 or 2, little endian, C order), or "FILE.h5:/dataset".
 * bool and int8/uint8 become LG_U8, int32 stays LG_I32, other integer widths become LG_I64; errors name the file and the
 * field. */
LG_API lg_status lg_array_read(lg_context *ctx, const char *path, lg_array *out);
/* Writes a .npy file: temporary name, fsync, rename. Refuses to replace a file unless force. */
LG_API lg_status lg_array_write(lg_context *ctx, const char *path, const lg_array *array, bool force);

/* ================================================================================== configuration === */

typedef struct lg_config lg_config;

typedef enum lg_option_type { LG_OPT_STRING, LG_OPT_INT, LG_OPT_REAL, LG_OPT_BOOL, LG_OPT_LIST } lg_option_type;

/* One row of the table of keys that drives YAML, --set, --help, --print-config and the manual. */
typedef struct lg_option {
    const char *key; /* dotted path, "optimizer.lr" */
    lg_option_type type;
    const char *fallback; /* default as text; "" = depends on model and task (see help) */
    const char *unit;     /* "" where there is none */
    const char *range;    /* what is accepted: "a|b|c", "[0, 1]", ">= 1", "(0, inf)"; "" = anything */
    const char *help;     /* one line */
} lg_option;

LG_API int lg_option_count(void);
LG_API const lg_option *lg_option_at(int index); /* NULL past the end */

LG_API lg_status lg_config_create(lg_context *ctx, lg_config **out);
LG_API void lg_config_free(lg_config *config);
/* Reads a YAML file on top of what is set already. Errors name file, line, key and the nearest valid key. */
LG_API lg_status lg_config_load(lg_context *ctx, lg_config *config, const char *path);
/* Sets one key from text, as --set KEY=VALUE does. `params.NAME=0.3` fixes a parameter;
 * `params.NAME.start=0.3` makes it a fitted one. */
LG_API lg_status lg_config_set(lg_context *ctx, lg_config *config, const char *key, const char *value);
/* The value of a key as text, default included; NULL where the key has none. Valid until the next change. */
LG_API const char *lg_config_get(const lg_config *config, const char *key);
/* The complete effective configuration as YAML; release with lg_free. Loading it again gives the same. */
LG_API lg_status lg_config_print(lg_context *ctx, const lg_config *config, char **yaml);

/* The fits a configuration runs, numbered first_fit ... first_fit + fits - 1: `fits`, or where it has an ensemble and `fits`
 * is not set all of that from first_fit on. */
LG_API lg_status lg_config_fits(lg_context *ctx, const lg_config *config, int64_t *first_fit, int64_t *fits);

/* ======================================================================================== problem === */

/* A checked, loaded fitting or simulation problem: model, data, start, task, loss, estimator, optimiser,
 * and the device that runs it. */
typedef struct lg_problem lg_problem;

/* Checks the configuration, loads or generates its data, opens the device. The config may be freed after. */
LG_API lg_status lg_problem_create(lg_context *ctx, const lg_config *config, lg_problem **out);
LG_API void lg_problem_free(lg_problem *problem);

typedef struct lg_problem_info {
    const char *model, *task, *loss, *device; /* device: "cpu (avx512, 2 threads)" */
    int model_index, params, fits;
    int species, height, width, capacity; /* 0 for models without a lattice */
    int64_t replicates, steps, iterations;
    uint64_t seed;
    int64_t pool;   /* start states or transition pairs in the data; 1 if all replicates share one */
    int statistics; /* length of the statistics vector of a fit; 0 for state losses */
    size_t state_bytes, tape_bytes, total_bytes; /* memory the batch takes on the device */
    int64_t checkpoint_interval;                 /* steps between tape checkpoints; 0 = the whole tape is kept */
    const char *kernels;                         /* which of several ways the device takes, in words; or "" */
} lg_problem_info;

LG_API void lg_problem_describe(const lg_problem *problem, lg_problem_info *info);
/* Start values of all parameters of one fit: params[lg_problem_info.params]. */
LG_API void lg_problem_start(const lg_problem *problem, int fit, double *params);
LG_API bool lg_problem_is_fitted(const lg_problem *problem, int param);
/* Target statistics (MSD in lattice units, aware fraction, ...) and their weights; each [statistics] or NULL. */
LG_API const double *lg_problem_target(const lg_problem *problem);
LG_API const double *lg_problem_weight(const lg_problem *problem);

/* ===================================================================================== evaluation === */

/* Loss and gradient of every fit at given parameters with the noise of `iteration`.
 * params [fits][params], loss [fits], grad [fits][params] (NULL: forward and loss only).
 * Fixed parameters get a gradient too. */
LG_API lg_status lg_evaluate(lg_context *ctx, lg_problem *problem, uint64_t iteration, const double *params,
                             double *loss, double *grad);

/* What a loss function is given: the recorded states of all replicates of one fit. Valid during the call. */
typedef struct lg_recorded {
    int fit;            /* which fit of the problem */
    uint64_t iteration; /* of the optimiser: the noise that was used */
    int64_t replicates;
    int records;
    const int64_t *step;        /* [records] steps after which the states were recorded */
    int species, height, width; /* SI: 1 species, MK: 2; 0 without a lattice */
    const uint32_t *row;    /* [replicates] row of the data's pool (lg_problem_info) that a replicate started from */
    const uint8_t *lattice; /* [replicates][records][species][height][width]; NULL without a lattice */
    const int32_t *walk;    /* PRW: positions [replicates][records][2], x and y from the start; else NULL */
} lg_recorded;

/* A loss of one's own: the loss of one fit from its recorded states, and its adjoints dL/dX, an array of the shape of the
 * states that comes filled with zeros. adjoint NULL: the gradient is not wanted. Return 0, or another number to give up. */
typedef int (*lg_loss_fn)(const lg_recorded *states, double *loss, float *adjoint, void *user);

/* Puts a loss of one's own in the place of the problem's, for lg_evaluate, lg_fit, lg_fit_run and whatever else asks for a loss. The task
 * still says where runs start and how long they are; task simulate needs no data. It is called fit by fit on the thread that
 * called the library, never twice at a time, and must not use the problem.
 * record[records]: the steps to record, ascending, 1 ... lg_problem_info.steps; copied. NULL: the last one.
 * The gradient goes through the estimator of the configuration; estimator.method fd calls the function at displaced parameters.
 * Where optimizer.name is not set and would be lm, fits use adam with rate 0.05 and a cosine.
 * LG_ERR_UNSUPPORTED: methods score and exact, optimizer lm that was asked for, or a device that cannot. LG_ERR_MEMORY: the recorded states and
 * adjoints, fits x replicates x records of them, do not fit.
 * Later, where it is asked: LG_ERR_NUMERIC names an adjoint that is not finite; LG_ERR_CHECK: it gave up. A loss that is not
 * finite ends a fit as LG_FIT_NOT_FINITE. */
LG_API lg_status lg_problem_set_loss(lg_context *ctx, lg_problem *problem, lg_loss_fn loss, void *user,
                                     const int64_t *record, int records);

/* A batch of states on the device, stepped by hand.
 * State layout per replicate: SI uint8 [1][H][W]; MK uint8 [2][H][W] (A, B); PRW int32 [4] (x, y, vx, vy). */
typedef struct lg_batch lg_batch;

LG_API lg_status lg_batch_create(lg_context *ctx, lg_problem *problem, lg_batch **out);
LG_API void lg_batch_free(lg_batch *batch);
/* Parameters of all fits, [fits][params]; lg_batch_create takes the problem's start values. */
LG_API lg_status lg_batch_set_params(lg_context *ctx, lg_batch *batch, const double *params);
/* Puts every replicate back to its start state, at step 0, with the noise of `iteration`. */
LG_API lg_status lg_batch_reset(lg_context *ctx, lg_batch *batch, uint64_t iteration);
/* Runs `steps` further steps. */
LG_API lg_status lg_batch_run(lg_context *ctx, lg_batch *batch, int64_t steps);
/* Copies the states of `count` replicates of one fit, from `first`: count times the layout above. */
LG_API lg_status lg_batch_states(lg_context *ctx, lg_batch *batch, int fit, int64_t first, int64_t count, void *out);

/* ============================================================================================ fit === */

typedef enum lg_fit_status {
    LG_FIT_RUNNING,
    LG_FIT_DONE,      /* all iterations done */
    LG_FIT_PLATEAU,   /* the loss stopped improving */
    LG_FIT_TIME,      /* the time limit was reached */
    LG_FIT_STOPPED,   /* the callback asked to stop */
    LG_FIT_NOT_FINITE /* a loss or gradient was NaN or infinite; parameters keep their last good values */
} lg_fit_status;

LG_API const char *lg_fit_status_name(lg_fit_status status);

typedef struct lg_progress {
    int64_t iteration, iterations;
    double seconds, seconds_left;
    int fits, params, running;   /* running: fits not frozen */
    const double *loss, *values; /* [fits], [fits][params] */
    int64_t checkpoint;          /* iteration of the newest checkpoint; -1: there is none */
} lg_progress;

/* What a progress function may ask for. Without a checkpoint file LG_CHECKPOINT_STOP is LG_STOP and LG_CHECKPOINT nothing. */
typedef enum lg_action {
    LG_GO_ON = 0,
    LG_STOP = 1,            /* end now, with a result whose fits are LG_FIT_STOPPED */
    LG_CHECKPOINT_STOP = 2, /* write a checkpoint and return LG_ERR_STOPPED */
    LG_CHECKPOINT = 3       /* write a checkpoint and go on */
} lg_action;

/* Called every few iterations; returns an lg_action (any other number than these means LG_STOP). */
typedef int (*lg_progress_fn)(const lg_progress *progress, void *user);

typedef struct lg_result lg_result;

/* Runs the fit. A fit that ends on a non-finite value still returns LG_OK and a result that says so. */
LG_API lg_status lg_fit(lg_context *ctx, lg_problem *problem, lg_progress_fn progress, void *user, lg_result **out);

/* How a fit is kept safe and continued. All zero: no checkpoints and no limit, which is lg_fit(). */
typedef struct lg_fit_options {
    const char *checkpoint;    /* checkpoint file; NULL: none. The one before is kept as NAME.1 */
    int64_t checkpoint_every;  /* iterations from one to the next; 0: by time */
    double checkpoint_seconds; /* seconds from one to the next; more where writing one takes over 0.5 % of them */
    bool checkpoint_keep;      /* for the caller: do not remove it after the result was written */
    bool checkpoint_end;       /* write one at the end as well: a fit continued from that gives its result at once */
    double time_limit;         /* seconds this call may take before it writes a checkpoint and stops; 0: any */
    bool resume;               /* go on from the checkpoint; from the beginning where there is none */
    bool force;                /* without resume: an existing checkpoint may be replaced */
} lg_fit_options;

/* Seconds, HH:MM:SS or D-HH:MM:SS; false where it is neither. */
LG_API bool lg_parse_duration(const char *text, double *seconds);
/* What the configuration says (checkpoint.*, run.time_limit); the texts belong to the problem. */
LG_API void lg_problem_fit_options(const lg_problem *problem, lg_fit_options *options);
/* Runs or continues the fit. A continued fit gives the bytes of an uninterrupted one, with any number of threads.
 * LG_ERR_STOPPED: a checkpoint was written, on request or because of the time limit, and there is no result yet.
 * LG_ERR_CONFIG: the checkpoint is one of another configuration, of other data or another version. LG_ERR_DATA: it is damaged and
 * so is the one before it. LG_ERR_EXISTS: there is a checkpoint and neither resume nor force. */
LG_API lg_status lg_fit_run(lg_context *ctx, lg_problem *problem, const lg_fit_options *options,
                            lg_progress_fn progress, void *user, lg_result **out);
/* Removes a checkpoint and the one before it, for when the result is safe. */
LG_API lg_status lg_checkpoint_remove(lg_context *ctx, const char *path);

LG_API void lg_result_free(lg_result *result);

LG_API lg_fit_status lg_result_status(const lg_result *result, int fit);
/* Why the fit ended, in a sentence. */
LG_API const char *lg_result_reason(const lg_result *result, int fit);
LG_API int64_t lg_result_iterations(const lg_result *result, int fit);
LG_API double lg_result_seconds(const lg_result *result);
/* Final parameters [params] and the loss of the last iteration. */
LG_API const double *lg_result_params(const lg_result *result, int fit);
LG_API double lg_result_loss(const lg_result *result, int fit);
/* Mean and standard deviation of the last `count` iterates (fewer if fewer were made); each [params]. */
LG_API void lg_result_tail(const lg_result *result, int fit, int64_t count, double *mean, double *sd);
/* Standard errors of where a fit of statistics ended (lg_result_end), and 95 % intervals; each [params], NaN for a parameter that
 * was fixed or ended on a bound. They hold the scatter of the data, and how far the end is from the optimum; docs/errorbars.md has
 * the equations. false: there are none; the note says how they were made, or why there are none. */
LG_API bool lg_result_errors(const lg_result *result, int fit, double *error, double *low, double *high);
LG_API const char *lg_result_error_note(const lg_result *result);
/* Trace rows of a fit: [iterations][params + 3] = loss, parameters, learning rate, gradient norm.
 * Row i holds the parameters BEFORE update i, with the loss and gradient found there. */
LG_API const double *lg_result_trace(const lg_result *result, int fit);

/* HDF5 result (config, version, commit, seed, device, times, traces), CSV trace, one-line JSON.
 * Files are written under a temporary name and renamed; existing ones are kept unless force. */
LG_API lg_status lg_result_write(lg_context *ctx, const lg_result *result, const char *path, bool force);
LG_API lg_status lg_result_write_trace(lg_context *ctx, const lg_result *result, const char *path, bool force);
LG_API lg_status lg_result_json(lg_context *ctx, const lg_result *result, char **json);
/* Reads back what lg_result_write wrote. */
LG_API lg_status lg_result_read(lg_context *ctx, const char *path, lg_result **out);
/* Joins the results of slices of one job (the same configuration but for first_fit, fits, device, threads and outputs)
 * into the result of the whole, in the order of the fits. Gaps and overlaps are errors that name the fits.
 * fits > 0: exactly the fits first_fit ... first_fit + fits - 1 are expected; 0: from the lowest to the highest found.
 * output: the file the whole will be written to, for the configuration it records; NULL: leaves that alone. */
LG_API lg_status lg_result_merge(lg_context *ctx, const char *const *paths, int count, int64_t first_fit, int64_t fits,
                                 const char *output, lg_result **out);

typedef struct lg_result_info {
    const char *model, *task, *loss, *device;
    const char *config; /* the complete effective configuration, YAML */
    int model_index, params, fits;
    uint64_t seed;
    const bool *fitted; /* [params] */
    /* Statistic losses: `statistics` numbers a fit, statistic_count of them for each recorded step. */
    int statistics, statistic_count;
    const char *const *statistic_names; /* [statistic_count] */
} lg_result_info;

LG_API void lg_result_describe(const lg_result *result, lg_result_info *info);
/* Each [statistics], or NULL: target, its weight, and the statistics of the last evaluated state of a fit. */
LG_API const double *lg_result_target(const lg_result *result);
LG_API const double *lg_result_weight(const lg_result *result);
LG_API const double *lg_result_statistics(const lg_result *result, int fit);

/* What a search without gradients (method.name) leaves: its generations, and of abc and abc_smc weighted samples of the posterior
 * under a prior that is uniform between the bounds. The arrays belong to the result. */
enum { LG_POSTERIOR_PARAMS = 8 };

typedef struct lg_posterior {
    int generations, samples;
    const double *
        generation; /* [generations][4]: tolerance or lowest loss, candidates so far, acceptance rate, effective size */
    const double *sample, *weight, *distance; /* [samples][params], [samples], [samples]; NULL where samples is 0 */
    double mean[LG_POSTERIOR_PARAMS], sd[LG_POSTERIOR_PARAMS];  /* weighted; NaN where samples is 0 */
    double low[LG_POSTERIOR_PARAMS], high[LG_POSTERIOR_PARAMS]; /* 2.5 and 97.5 % quantiles */
    double effective;                                           /* 1 / sum of squared weights */
} lg_posterior;

/* false: the result is one of a gradient method, or without memory for the quantiles. */
LG_API bool lg_result_posterior(const lg_result *result, lg_posterior *out);

/* ============================================================================== several processes === */

/* The processes of one job, started together by mpirun or srun, share out its fits: every rank runs a slice, rank 0 gets
 * the results together, in the order of the fits and equal to those of one process. */
typedef struct lg_cluster lg_cluster;

/* Does this build have MPI? */
LG_API bool lg_cluster_supported(void);
/* Joins the processes that were started together with this one; only this call starts MPI, and only where a launcher
 * started this process. Otherwise the group is this process alone. Where the launcher says that there are more processes
 * than find each other, a warning is logged. */
LG_API lg_status lg_cluster_open(lg_context *ctx, lg_cluster **out);
/* Ends MPI where it was started. All ranks call it; exit_status: what this process is going to end with. After a failure
 * between the ranks it ends all of them at once. */
LG_API void lg_cluster_close(lg_cluster *cluster, int exit_status);
LG_API int lg_cluster_rank(const lg_cluster *cluster);
LG_API int lg_cluster_size(const lg_cluster *cluster);
/* All ranks call it with what they came to; all get the same answer: LG_OK if that is everybody's, else the failure of the
 * first rank that has one, with its message. */
LG_API lg_status lg_cluster_agree(lg_context *ctx, lg_cluster *cluster, lg_status mine);

/* Runs the fits of a configuration on all ranks. All ranks call it with the same configuration; the options of rank 0 hold
 * for all, the others may give NULL. Each takes a slice and, where device is auto or cuda, the GPU of its number on the node;
 * threads 0 means its share of the cores. Every slice keeps a checkpoint of its own, OPTIONS.CHECKPOINT.fitsA-B, on a file
 * system that the ranks share; with resume, the checkpoints of another number of ranks, one included, are continued as well.
 * When one rank fails or is stopped, all stop.
 * *out: the whole result on rank 0, NULL on the others. */
LG_API lg_status lg_cluster_fit(lg_context *ctx, lg_cluster *cluster, const lg_config *config,
                                const lg_fit_options *options, lg_progress_fn progress, void *user, lg_result **out);
/* Are there checkpoints of slices that belong to this one? */
LG_API bool lg_cluster_has_checkpoints(const char *checkpoint);
/* Removes them. */
LG_API lg_status lg_cluster_remove_checkpoints(lg_context *ctx, const char *checkpoint);

/* Ensembles. Where a fit ended: the mean of its last tenth of iterates and of their losses (of a fit of fewer than 20 iterations: the
 * parameters after the last one; of a fit that met a value that is not finite: its last good parameters and that loss). */
LG_API void lg_result_end(const lg_result *result, int fit, double *params, double *loss);
/* Does the configuration of the result have an ensemble? What distinguishes its fits: the number of axes, their names ("start",
 * "seed", "resample", swept keys; resample 0 is the data as they are), and a fit's places on them. */
LG_API bool lg_result_is_ensemble(const lg_result *result);
LG_API int lg_result_coordinates(const lg_result *result);
LG_API const char *lg_result_coordinate_name(const lg_result *result, int coordinate);
LG_API const double *lg_result_coordinate(const lg_result *result, int fit);

enum { LG_SUMMARY_PARAMS = 8, LG_SUMMARY_OPTIMA = 16 };

typedef struct lg_optimum {
    int fit, fits; /* the fit with the lowest loss there, and how many ended there */
    double loss, params[LG_SUMMARY_PARAMS];
} lg_optimum;

/* A fit that met a value that is not finite, or was stopped by the caller, is failed and left out. */
typedef struct lg_summary {
    int fits, failed;    /* all fits of the result */
    int at_bound;        /* of those that did not fail: with a last parameter at a bound */
    int data_fits, good; /* fits of the data as they are (not resampled), and those of them that did not fail */
    int best;            /* the good one with the lowest loss; -1: there is none */
    double best_loss, best_params[LG_SUMMARY_PARAMS];
    /* Median and 2.5 and 97.5 % quantiles: with a bootstrap, of the best fit to each resample (percentile intervals); else of
     * the good fits. interval_fits: of how many values. NaN where there are none. */
    bool bootstrap;
    int interval_fits;
    double median[LG_SUMMARY_PARAMS], low[LG_SUMMARY_PARAMS], high[LG_SUMMARY_PARAMS];
    /* Distinct optima among the good fits, by loss: an end belongs to the first one whose best end is within the share
     * ensemble.distance of the bounds in each fitted parameter. The first LG_SUMMARY_OPTIMA of them. */
    int optima;
    lg_optimum optimum[LG_SUMMARY_OPTIMA];
    /* Of data_fits, those with an end loss below ensemble.bound; bound NaN: none was stated. */
    double bound;
    int below;
} lg_summary;

LG_API lg_status lg_result_summary(lg_context *ctx, const lg_result *result, lg_summary *out);

/* =========================================================================================== data === */

/* A mean-square-displacement table. Units: time_s seconds, msd and sem in the data's length unit squared.
 * sem is NaN where it is not defined. */
typedef struct lg_msd_row {
    int64_t lag;
    double time_s, msd, sem;
    int64_t n;
} lg_msd_row;
typedef struct lg_msd {
    size_t rows;
    lg_msd_row *row;
} lg_msd;

LG_API lg_status lg_msd_read(lg_context *ctx, const char *path, lg_msd *out);
LG_API void lg_msd_clear(lg_msd *msd);

typedef struct lg_tracks lg_tracks;

/* Tracks CSV: header id,t,x,y[,z], any column order, one position a row. */
LG_API lg_status lg_tracks_read(lg_context *ctx, const char *path, lg_tracks **out);
LG_API void lg_tracks_free(lg_tracks *tracks);
LG_API size_t lg_tracks_count(const lg_tracks *tracks);

/* Which pairs of positions enter the MSD at lag k:
 *   TIME        all pairs k frame intervals apart by time stamp (missing frames handled)
 *   INDEX       all pairs k positions apart in a track, whatever their times (celltrackR)
 *   NONOVERLAP  consecutive non-overlapping stretches of k positions (celltrackR's overlap = 0)
 *   START       from each track's first position only */
typedef enum lg_msd_variant { LG_MSD_TIME, LG_MSD_INDEX, LG_MSD_NONOVERLAP, LG_MSD_START } lg_msd_variant;

/* interval: frame interval in the unit of t, 0 = the smallest time step found.  max_lag: 0 = as long as there
 * are pairs.  sem is clustered by track (displacements of one track are not independent). */
LG_API lg_status lg_tracks_msd(lg_context *ctx, const lg_tracks *tracks, lg_msd_variant variant, double interval,
                               int64_t max_lag, lg_msd *out);

/* ================================================================================= gradient checks === */

/* Bias and variance of gradient estimators at one point: the parameters' start values, with the data of a configuration. */
typedef struct lg_gradcheck lg_gradcheck;

typedef struct lg_gradcheck_options {
    const char *estimators;       /* "ste,gs,gr,score,fd,exact" or some of them; NULL: those the problem has */
    int64_t runs, reference_runs; /* independent gradients of an estimator, and of finite differences; 0: 200, 400 */
    double relative_error;        /* of a mean gradient, for `samples`; 0: 0.1 */
} lg_gradcheck_options;

/* One estimator and one fitted parameter. Numbers that do not exist are NaN. */
typedef struct lg_gradcheck_row {
    const char *estimator, *param;
    double mean, error, sd;                 /* over the runs; error: of the mean */
    double reference, reference_error;      /* derivative of the expected loss */
    double bias, bias_error, relative_bias; /* relative_bias = bias / reference: below -1 for a wrong sign */
    double sign;    /* share of runs with the reference's sign; NaN where that is not resolved */
    double samples; /* gradients whose mean has the stated relative error; infinite where the bias is larger */
    double cosine,
        seconds; /* of the estimator: between its mean and the reference; a gradient's processor time on the cpu,
                             * its time elsewhere */
    const char *expectation;
    bool pass;
    char note[200]; /* why it failed or is zero; "" */
} lg_gradcheck_row;

typedef struct lg_gradcheck_info {
    const char *model, *task, *loss, *device, *reference; /* reference: how it was made */
    int rows, failed, params;
    int64_t replicates, runs;
    uint64_t seed;
    const double *point;  /* [params] */
    const char *left_out; /* estimators the problem does not have, "name: reason" line by line; "" */
} lg_gradcheck_info;

LG_API lg_status lg_gradcheck_create(lg_context *ctx, const lg_config *config, const lg_gradcheck_options *options,
                                     lg_gradcheck **out);
LG_API void lg_gradcheck_free(lg_gradcheck *check);
LG_API void lg_gradcheck_describe(const lg_gradcheck *check, lg_gradcheck_info *info);
LG_API const lg_gradcheck_row *lg_gradcheck_at(const lg_gradcheck *check, int row); /* NULL past the end */

/* ======================================================================================= analysis === */

/* Closed-form MSD(1..n) of the PRW with a stationary start, lattice units. */
LG_API void lg_prw_msd(double p_center, double p_resample, int64_t n, double *msd);

/* Pattern statistics of one plane of counts: variance over sites, autocorrelation at distance 2 (mean of both
 * axes). A pattern is present where variance >= 50 and c2 >= 0.7 (at N = 50). */
LG_API void lg_pattern(const uint8_t *plane, int height, int width, double *variance, double *c2);

/* Structure factor S(k) = |sum_x n(x) exp(-i k.x)|^2 / sites, averaged over rings of wave vectors: ring r holds those whose
 * length rounds to r + 1 in units of 2 pi / min(height, width); Nyquist frequencies are left out. out[rings]; NaN for a ring
 * without wave vectors, which those from (min(height, width) - 1) / 2 on may be. */
LG_API lg_status lg_structure_factor(lg_context *ctx, const uint8_t *plane, int height, int width, int rings,
                                     double *out);

/* ========================================================================================== noise === */

/* Writes inputs, noise, states, loss and gradients of one evaluation (fit 0, `iteration`) as .npy files with the
 * names, shapes and types of the golden vectors, so that another program can recompute it. */
LG_API lg_status lg_noise_dump(lg_context *ctx, lg_problem *problem, uint64_t iteration, const char *directory,
                               bool force);

typedef struct lg_noise_options {
    const char *estimator; /* "ste" | "gs"; NULL = default of the model */
    const char *loss;      /* NULL = default: si, mk "mse"; prw "sse" */
    bool v0_const;         /* PRW: treat the initial velocity as a constant */
    double tau;            /* softmax temperature, 0 = 1 */
} lg_noise_options;

typedef struct lg_noise_result {
    int params;
    double loss, grad[8], grad_abs[8]; /* grad_abs: sum of absolute contributions */
} lg_noise_result;

/* Evaluates such a folder with the reference implementation (double precision). */
LG_API lg_status lg_noise_evaluate(lg_context *ctx, const char *model, const char *directory,
                                   const lg_noise_options *options, lg_noise_result *out);

/* ======================================================================================= pictures === */

/* A plane as a PNG with a colour-blind safe scale, each site `scale` pixels wide. */
LG_API lg_status lg_png_write(lg_context *ctx, const char *path, const uint8_t *plane, int height, int width,
                              int maximum, int scale, bool force);
/* Runs a gnuplot script (text) that writes `path`, a .png, .svg, .pdf or .gif, or an .mp4: the pictures that a PNG terminal
 * draws one after the other become the frames of a video by ffmpeg. LG_ERR_LIBRARY with the remedy where gnuplot or ffmpeg is
 * missing. The script sees the variable `output`, which it sets as its output: path gets its contents on success. */
LG_API lg_status lg_gnuplot(lg_context *ctx, const char *script, const char *path, bool force);

/* ======================================================================================== devices === */

typedef struct lg_device_info {
    char name[128];   /* "cpu", "cuda:0" */
    char detail[256]; /* model, instruction set or compute capability */
    uint64_t memory_bytes;
    bool usable;
    char problem[256]; /* why it is not usable and what to do */
} lg_device_info;

/* Devices of this machine; index 0 is the CPU. A build without CUDA lists "cuda" as not usable, with the reason. */
LG_API int lg_device_count(lg_context *ctx);
LG_API lg_status lg_device_describe(lg_context *ctx, int index, lg_device_info *info);

#ifdef __cplusplus
}
#endif
#endif
