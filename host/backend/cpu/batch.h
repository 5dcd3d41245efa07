/* The cpu backend's batch, shared by cpu.c and the three model runners run_*.c. */
#ifndef LG_BACKEND_CPU_BATCH_H
#define LG_BACKEND_CPU_BATCH_H

#include "backend/cpu/cpu.h"
#include "backend/own.h"
#include "model/spectrum.h"

struct lg_device {
    int threads;
    const lg_cpu_isa *isa;
};

/* A thread's own working memory; which members are used depends on the model. */
typedef struct lg_scratch {
    uint8_t *ea, *eb; /* MK: padded excitation planes */
    uint32_t *words;  /* MK: reaction words */
    uint8_t *planes;  /* MK: the state that the backward pass walks back */
    uint8_t *tape;    /* MK: tape of one segment when the whole tape is not kept */
    float *pad[6];    /* MK: adjoints, excitations, next adjoints; padded */
    double (*row_sums)[LG_MK_PARAMS];
    lg_complex *waves; /* MK, task formation */
    uint64_t *bits;    /* SI: next state, and the states of one segment */
    void *si;          /* SI: kernel scratch */
    float *adj, *work; /* SI: adjoint planes */
} lg_scratch;

struct lg_dbatch {
    const lg_job *job;
    const lg_device *device;
    const struct lg_cpu_model *run;
    lg_plan plan;
    bool gradients;
    uint64_t iteration;
    uint32_t step;
    lg_key key;
    double tau; /* of the iteration */

    uint32_t *pool_index; /* [R] rows of the start pool that this iteration uses; [F][R] where the job resamples it */
    double *params, *loss, *gradient; /* [F][P], [F], [F][P] */
    lg_fit_state *fit_state;          /* [F] */
    lg_spectrum spectrum;             /* MK, task formation */
    lg_mk_fit *mk;                    /* [F] constants of the model in use */
    lg_si_fit *si;
    lg_prw_fit *prw;

    uint8_t *state; /* MK [F][R][2][H][W] */
    uint64_t *bits; /* SI [F][R][H][words]; start and target pools packed the same way */
    uint64_t *start_bits, *target_bits;
    int32_t *walk;     /* PRW [F][4][R] */
    double *axis_mean; /* PRW, method score: [F][steps] mean of x^2 over walkers and axes */

    uint8_t *tape;       /* MK, whole tape: [F][R][steps][H][W] */
    uint8_t *checkpoint; /* MK, else: [F][R][segments][2][H][W] */
    uint64_t *states;    /* SI: states before steps 0, segment, 2 segment, ...: [F][R][segments][H][words] */

    double *partial;        /* [F][parts] losses, statistics, gradients, added up in index order */
    size_t partial_size;    /* doubles per part */
    double *outbox, *inbox; /* parts on their way between processes, */
    size_t *counts;         /* [processes] numbers in the inbox */
    lg_status status;       /* of that way */
    size_t score_offset;    /* method score: where a part's scores begin, see score.c */
    double *statistics;     /* [F][records][statistics], means over replicates */
    double *stat_adjoint;   /* the same shape: dL/ds */
    double *jacobian;       /* optimiser lm: [F][records x statistics][P] */
    double *slope;          /* [F] dL/dS of state losses */
    lg_scratch *scratch;    /* [threads] */
    lg_recording recording; /* a loss of the caller's own */
};

/* What differs between models. Frozen fits are skipped by forward, loss and backward. */
typedef struct lg_cpu_model {
    void (*plan)(const lg_job *job, int threads, bool gradients, size_t limit, lg_plan *plan);
    bool (*allocate)(lg_dbatch *batch); /* false: out of memory */
    void (*prepare)(lg_dbatch *batch);  /* fit constants from params */
    void (*reset)(lg_dbatch *batch);
    void (*forward)(lg_dbatch *batch, uint32_t steps, bool keep);
    void (*loss)(lg_dbatch *batch);
    void (*backward)(lg_dbatch *batch);
    void (*get_states)(lg_dbatch *batch, uint32_t fit, uint32_t first, uint32_t count, void *out);
    /* After backward: d statistics / d params of a fit, [records x statistics][P]. NULL: not known. */
    void (*jacobian)(const lg_dbatch *batch, uint32_t fit, double *out);
} lg_cpu_model;

extern const lg_cpu_model lg_cpu_mk, lg_cpu_si, lg_cpu_prw;

/* ---- shared by the runners -------------------------------------------------------------------------------------- */

/* Index of the thread that asks, and whether a lattice's rows rather than its replicates should be spread over threads. */
int lg_cpu_thread(void);
bool lg_cpu_by_rows(const lg_dbatch *batch);

static inline lg_noise_id lg_cpu_noise(const lg_dbatch *b, uint32_t fit, uint32_t replicate)
{
    lg_noise_id id = {b->key, lg_job_noise_fit(b->job, fit), replicate};
    return id;
}

/* Lattices of this process (of walkers: parts), own of each fit, one after the other. */
static inline uint32_t lg_cpu_own(const lg_job *job)
{
    return lg_job_end(job) - lg_job_first(job);
}
static inline size_t lg_cpu_lattices(const lg_job *job)
{
    return (size_t)job->fits * lg_cpu_own(job);
}
static inline uint32_t lg_cpu_fit(const lg_job *job, size_t lattice)
{
    return (uint32_t)(lattice / lg_cpu_own(job));
}
static inline uint32_t lg_cpu_replicate(const lg_job *job, size_t lattice)
{
    return lg_job_first(job) + (uint32_t)(lattice % lg_cpu_own(job));
}
static inline double *lg_cpu_part(const lg_dbatch *b, uint32_t fit, uint32_t part)
{
    return b->partial + ((size_t)fit * lg_job_parts(b->job) + part) * b->partial_size;
}

/* Row of the start pool that a replicate uses in this iteration. */
static inline uint32_t lg_cpu_pool_index(const lg_dbatch *b, uint32_t fit, uint32_t replicate)
{
    return b->pool_index[(b->job->resample ? (size_t)fit * b->job->replicates : 0) + replicate];
}
/* Index of `step` in job->record, and in job->own.record; or -1. */
int lg_cpu_record_index(const lg_job *job, uint32_t step);
int lg_cpu_own_index(const lg_job *job, uint32_t step);
/* Adds partial[replicate][offset .. offset+count-1] of a fit in order, times scale, into out. */
void lg_cpu_reduce(const lg_dbatch *batch, uint32_t fit, size_t parts, size_t offset, size_t count, double scale,
                   double *out);
/* Numbers offset .. offset+count-1 of the parts of all processes, for all; b->status where that fails. Nothing without a share. */
void lg_cpu_exchange(lg_dbatch *batch, size_t offset, size_t count);
/* Threads for a loop over lattices or parts that takes about so many nanoseconds on one. */
int lg_cpu_team(const lg_dbatch *batch, double nanoseconds);
/* Method score (score.c): is it this batch's; numbers a lattice's part takes for it; the gradient of a fit from the parts of its
 * replicates, whose loss is at part[loss] and whose statistics begin at part[statistics]. */
bool lg_cpu_scores(const lg_dbatch *batch);
size_t lg_cpu_score_size(const lg_job *job);
void lg_cpu_score_gradient(lg_dbatch *batch, uint32_t fit, size_t loss, size_t statistics);
/* Statistic losses: loss and stat_adjoint of a fit from its statistics. */
void lg_cpu_statistic_loss(lg_dbatch *batch, uint32_t fit);
/* State losses: loss and slope of a fit from S. */
void lg_cpu_state_loss(lg_dbatch *batch, uint32_t fit, double S);
static inline bool lg_cpu_is_statistic(const lg_job *job)
{
    return job->target_stat != NULL;
}
static inline bool lg_cpu_skips(const lg_dbatch *b, uint32_t fit)
{
    return b->fit_state[fit].frozen != 0;
}

#endif
