/* What a backend is: the job it is given, and a small table of functions.
 *
 * Everything is batched over F fits x R replicates. A backend owns all device memory of a batch: start states and targets,
 * current states, tape, adjoints, statistics, parameters, gradients, optimiser state. The host never sees a site.
 *
 * One optimiser iteration is: reset, forward, loss, backward, update. advance() does many of them without the host. */
#ifndef LG_BACKEND_BACKEND_H
#define LG_BACKEND_BACKEND_H

#include "base/error.h"
#include "model/model.h"
#include "rules/optimizer.h"
#include "rules/permute.h"

/* One batch over several processes, each with a share of the replicates of every fit. What is summed over replicates is kept in
 * parts (one of a replicate, or of LG_PART_WALKERS walkers); gather() gives every process the parts of all, so that all add
 * them in the same order and go on with the same numbers, however many they are. Who has which replicates: lg_job_border. */
typedef struct lg_share {
    int rank, size;
    /* all: count[0] numbers of rank 0, count[1] of rank 1, ...; mine: the count[rank] numbers of this one. */
    lg_status (*gather)(void *user, const double *mine, const size_t *count, double *all);
    /* Rank 0's bytes for all; the worst status of all. For the loop above a backend. */
    lg_status (*lead)(void *user, void *word, size_t size);
    lg_status (*agree)(void *user, lg_status status);
    void *user;
} lg_share;

enum { LG_PART_WALKERS = 64 };

/* A loss of the caller's own, of states recorded after steps record[0] < record[1] < ...: backend/own.h. */
typedef struct lg_own_loss {
    lg_loss_fn function; /* NULL: there is none, and the job's task and loss hold */
    void *user;
    uint32_t records;
    const uint32_t *record;
    uint32_t
        points; /* fits of the batch for each fit of the problem: 1, or the displaced points of fd, or candidates */
} lg_own_loss;

/* A job: immutable, owned by the problem, read by backends at batch creation and kept alive by the problem. */
typedef struct lg_job {
    const lg_model_desc *model;
    lg_task task;
    lg_loss loss;
    uint32_t fits, first_fit; /* noise of fit f uses the id first_fit + f */
    uint32_t replicates;
    const lg_share *share; /* NULL: all replicates are run by this process */
    uint32_t steps;        /* simulation steps per gradient */
    uint32_t height, width, capacity;
    double gamma;
    lg_gradient_method method; /* of what follows, only pathwise gradients use estimators */
    lg_estimator binary, categorical;
    uint32_t draws;      /* estimator gr: draws of the Gumbel noise, 1 ... LG_MAX_REDRAWS */
    double tau, tau_end; /* softmax temperature at the first and the last iteration; tau_end 0: tau. See lg_job_tau */
    double fd_step;      /* finite differences: backend/fd.c */
    bool v0_const;       /* PRW: no gradient through the initial velocity */
    uint64_t seed;

    /* Start states, pool x species x H x W. Replicate r starts from state r % pool; for the transition task from pair
     * lg_pair_index(...) of its iteration, and target is the pool's second halves. */
    uint32_t pool;
    const uint8_t *start;
    /* Reference states: transition pool x ..., stability one state for all replicates; NULL for statistic losses. */
    const uint8_t *target;

    /* Statistic losses: values recorded after steps record[0] < record[1] < ..., lg_job_kinds() each.
     * target_stat and weight_stat are [records][statistics]. PRW: records = steps, statistic = MSD. */
    uint32_t records;
    const uint32_t *record;
    const double *target_stat, *weight_stat;
    /* [combinations][K], K = lg_job_statistics: residuals are combine (s - target), each with weight 1. NULL: residuals are
     * s - target with weights weight_stat. Backends whose optimiser runs on the host know it (backend/hosted.h), no others. */
    const double *combine;
    uint32_t combinations; /* at most K */

    /* Optimisation: start values [fits][params]; see rules/optimizer.h. */
    const double *params;
    lg_optimizer optimizer;

    /* What an ensemble gives each fit of its own. NULL or false: nothing, at no cost. All of them are indexed by the fit's
     * place in this batch, f = 0 ... fits - 1, and stay as they are while the batch lives.
     *   fit_optimizer  [fits]: used in place of `optimizer` for the fit's start, updates and restored state. Only lr, momentum,
     *                  beta1, beta2, epsilon, decay, period and clip may differ from `optimizer`.
     *   stat_per_fit   target_stat and weight_stat are [fits][records][statistics] instead of one table for all.
     *   resample       [fits][pool], each below pool: the fit's data set has row resample[f][i] of `start` (and for the
     *                  transition task of `target`) in the place of row i. See lg_job_pool_row.
     *   noise_fit      [fits]: the number of the fit whose noise this one uses, in place of first_fit + f. Fits with the same
     *                  number and parameters are the same run: common random numbers. See lg_job_noise_fit. */
    const lg_optimizer *fit_optimizer;
    bool stat_per_fit;
    const uint32_t *resample;
    const uint32_t *noise_fit;

    size_t memory_limit; /* bytes the batch may take on the device; 0 = the backend's own limit */

    lg_own_loss own; /* a job that has one has no target and no statistics */
} lg_job;

static inline size_t lg_job_sites(const lg_job *job)
{
    return (size_t)job->height * job->width;
}
static inline size_t lg_job_state_bytes(const lg_job *job)
{
    return job->model->species ? (size_t)job->model->species * lg_job_sites(job) : (size_t)job->model->state_words * 4;
}
static inline uint32_t lg_job_kinds(const lg_job *job)
{
    return (uint32_t)lg_task_statistics(job->model, job->task);
}
static inline uint32_t lg_job_statistics(const lg_job *job)
{
    return job->records * lg_job_kinds(job);
}

/* Replicates of one part of a sum, and their number. */
static inline uint32_t lg_job_part(const lg_job *job)
{
    return job->model->species ? 1 : LG_PART_WALKERS;
}
static inline uint32_t lg_job_parts(const lg_job *job)
{
    return (job->replicates - 1) / lg_job_part(job) + 1;
}
/* The first part of a process; that of rank `size` is the end. */
static inline uint32_t lg_job_border(const lg_job *job, int rank, int size)
{
    return (uint32_t)((uint64_t)lg_job_parts(job) * (uint32_t)rank / (uint32_t)size);
}
/* Parts first ... end - 1 are those of this process; on lattices parts are replicates. */
static inline uint32_t lg_job_first(const lg_job *job)
{
    return job->share ? lg_job_border(job, job->share->rank, job->share->size) : 0;
}
static inline uint32_t lg_job_end(const lg_job *job)
{
    return job->share ? lg_job_border(job, job->share->rank + 1, job->share->size) : lg_job_parts(job);
}

static inline const lg_optimizer *lg_job_optimizer(const lg_job *job, uint32_t fit)
{
    return job->fit_optimizer ? &job->fit_optimizer[fit] : &job->optimizer;
}
/* The number of a fit in the noise: argument `fit` of every stream. */
static inline uint32_t lg_job_noise_fit(const lg_job *job, uint32_t fit)
{
    return job->noise_fit ? job->noise_fit[fit] : job->first_fit + fit;
}
static inline uint64_t lg_job_last(const lg_job *job)
{
    return job->optimizer.iterations > 1 ? job->optimizer.iterations - 1 : 1;
}
/* Temperature of an iteration. */
static inline double lg_job_tau(const lg_job *job, uint64_t iteration)
{
    return lg_temperature(job->tau, job->tau_end, lg_job_last(job), iteration);
}
/* First element of a fit in target_stat and weight_stat. */
static inline size_t lg_job_statistic_offset(const lg_job *job, uint32_t fit)
{
    return job->stat_per_fit ? (size_t)fit * lg_job_statistics(job) : 0;
}
/* Row of the pool that replicate r of a fit starts from in an iteration, and for transitions is compared with. */
static inline uint32_t lg_job_pool_row(const lg_job *job, uint64_t iteration, uint32_t fit, uint32_t r)
{
    return lg_pool_row(job->task == LG_TASK_transition, job->seed, iteration, job->replicates, r, job->pool,
                       job->resample ? job->resample + (size_t)fit * job->pool : NULL);
}

/* Memory of a batch. segment = steps whose tape is kept at once; = steps where the whole tape fits, else states are
 * checkpointed every `segment` steps and the tape of a segment is made again in the backward pass. */
typedef struct lg_plan {
    size_t state_bytes, tape_bytes, total_bytes;
    uint32_t segment;
    char kernels[96]; /* which of several ways the backend takes, in words; "": it has one */
} lg_plan;

typedef struct lg_device lg_device; /* a backend's own struct behind it */
typedef struct lg_dbatch lg_dbatch;

typedef struct lg_backend {
    const char *name; /* "cpu", "cuda" */
    /* Opens device `index`; threads 0 = all cores (cpu). */
    lg_status (*open)(lg_context *ctx, int index, int threads, lg_device **out);
    void (*close)(lg_device *device);
    /* "cpu (avx512, 2 threads)" */
    void (*describe)(const lg_device *device, char *text, size_t size);
    lg_status (*plan)(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_plan *plan);

    /* gradients false: forward only, no tape or adjoints. Parameters are set to job->params. */
    lg_status (*create)(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_dbatch **out);
    void (*destroy)(lg_dbatch *batch);

    lg_status (*set_params)(lg_context *ctx, lg_dbatch *batch, const double *params); /* [F][P] */
    /* States to the start of iteration `iteration`, step counter to 0, statistics to 0. */
    lg_status (*reset)(lg_context *ctx, lg_dbatch *batch, uint64_t iteration);
    /* `steps` further steps; keep: write the tape (only directly after reset, with steps = job->steps). */
    lg_status (*forward)(lg_context *ctx, lg_dbatch *batch, uint32_t steps, bool keep);
    /* Loss of every fit, and the adjoint seeds, from the states and statistics after the forward pass. */
    lg_status (*loss)(lg_context *ctx, lg_dbatch *batch);
    /* Gradients [F][P] in the model's native coordinates (logits for PRW). */
    lg_status (*backward)(lg_context *ctx, lg_dbatch *batch);
    /* `count` optimiser iterations from `iteration`; rows [count][F][P + 3]: loss, parameters before the update, learning
     * rate, gradient norm. Frozen fits repeat their last row. states: see lg_fit_state. */
    lg_status (*advance)(lg_context *ctx, lg_dbatch *batch, uint64_t iteration, uint32_t count, double *rows);

    /* Reads; each waits for the device. */
    lg_status (*get_params)(lg_context *ctx, lg_dbatch *batch, double *params);     /* [F][P] */
    lg_status (*get_loss)(lg_context *ctx, lg_dbatch *batch, double *loss);         /* [F] */
    lg_status (*get_gradient)(lg_context *ctx, lg_dbatch *batch, double *gradient); /* [F][P] */
    lg_status (*get_statistics)(lg_context *ctx, lg_dbatch *batch, double *values); /* [F][records][statistics] */
    /* Jacobian of the statistics, d s_k / d p_i in the model's native coordinates, after backward:
     * [F][records x statistics][P]. NULL: the backend cannot. LG_ERR_UNSUPPORTED: not for this model and task. */
    lg_status (*get_jacobian)(lg_context *ctx, lg_dbatch *batch, double *jacobian);
    lg_status (*get_states)(lg_context *ctx, lg_dbatch *batch, uint32_t fit, uint32_t first, uint32_t count, void *out);
    /* Optimiser state of every fit (moments, step, frozen flag): for stopping rules and checkpoints. */
    lg_status (*get_fit_state)(lg_context *ctx, lg_dbatch *batch, lg_fit_state *state); /* [F] */
    lg_status (*set_fit_state)(lg_context *ctx, lg_dbatch *batch, const lg_fit_state *state);

    /* Can its advance() run the optimiser lm for this job? NULL: never. */
    bool (*lm)(const lg_job *job);
    /* Does it honour the job's share? */
    bool share;
    /* Does it honour the job's own loss? NULL: never. */
    bool (*own)(const lg_job *job);
} lg_backend;

/* On the host: one optimiser update of every fit of a job. jacobian as get_jacobian gives it, for lm; else NULL. */
void lg_update_fits(const lg_job *job, const double *loss, const double *gradient, const double *jacobian,
                    lg_fit_state *state, double *params, double *rows);
static inline bool lg_job_needs_jacobian(const lg_job *job)
{
    return job->optimizer.kind == LG_OPTIMIZER_lm;
}

extern const lg_backend lg_backend_cpu;

/* Finds the backend for "auto", "cpu", "cuda" or "cuda:1" and opens it. */
lg_status lg_backend_open(lg_context *ctx, const char *device, int threads, const lg_backend **backend,
                          lg_device **out);

#endif
