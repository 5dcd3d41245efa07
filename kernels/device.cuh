/* Inside the CUDA backend: the batch, what kernels see of it, and what each model supplies.
 *
 * One optimiser iteration is forward, error (loss parts of each replicate), loss, backward, finish, of which those are one launch
 * that nothing separates: two to five whatever the number of fits and replicates. Everything stays on the device; the host reads
 * trace rows. */
#ifndef LG_KERNELS_DEVICE_CUH
#define LG_KERNELS_DEVICE_CUH

#include "host.cuh"
#include "launch.cuh"

typedef unsigned long long lg_u64; /* the type CUDA's 64-bit atomics want */

/* Where the fit stands; on the device, so that a captured graph can be replayed. */
struct lg_clock {
    uint64_t iteration; /* of the first of the graph's iterations */
    uint64_t row;       /* trace row of that iteration */
};

/* What a kernel sees of a batch, passed by value. FR = fits x replicates, fr = fit * R + replicate. */
struct lg_view {
    uint32_t F, first_fit, R, P, steps, segment;
    uint32_t H, W, species, capacity, pool, records, statistics;
    bool transition, v0_const, fit_optimizer;
    lg_loss loss;
    lg_estimator estimator, categorical; /* of binary draws, of draws among several classes */
    uint32_t draws;
    bool
        average; /* estimator gr somewhere: kernels that average over the draws of v.redraw run in place of the others */
    bool
        pairs; /* SI, one-step pairs of a block each: the forward pass of a gradient has errors and gradient, si_pair.cu */
    bool scores; /* method score: the forward pass adds up scores, estimator.cu makes the gradient of them */
    uint64_t seed;
    double gamma, tau, tau_end;
    uint64_t last; /* iteration of tau_end */

    const lg_clock *clock;
    uint32_t offset;               /* iteration = clock->iteration + offset */
    const uint32_t *noise_fit;     /* [F] or NULL: see lg_job */
    const uint32_t *resample;      /* [F][pool] or NULL */
    const uint32_t *pool_row;      /* transitions: [rows][R] pairs of the iterations of the trace rows */
    const lg_optimizer *optimizer; /* one, or [F] with fit_optimizer */
    lg_fit_state *fit_state;       /* [F] */
    const lg_fit_state *restored;  /* [F] what set_fit_state was given */
    double *params;                /* [F][P] */
    double *loss_value;            /* [F] */
    double *slope;                 /* [F] dL/dS of a state loss */
    double *gradient;              /* [F][P] */
    double *rows;                  /* [..][F][P + 3] */
    lg_mk_fit *mk;                 /* [F]; of these three the model's own */
    lg_si_fit *si;
    lg_prw_fit *prw;

    const uint8_t *start, *target; /* MK: [pool][2][H][W]; SI: packed, [pool][H][words] of 32 bits */
    const uint32_t *record;
    const double *target_stat, *weight_stat; /* [records][statistics], */
    uint32_t stat_stride;                    /* and so far apart of one fit and the next; 0: one table for all */

    uint8_t *state; /* MK [FR][2][H][W]; SI uint32 [FR][H][words]; PRW int32 [F][4][R] */
    uint8_t *other; /* large lattices: the second buffer of a step */
    uint8_t *work;  /* large lattices: state that the backward pass walks back */
    uint8_t *tape;  /* MK uint16 [FR][segment][pair rows][W]; SI states before each step */
    uint8_t
        *checkpoint; /* [segments - 1][FR] states before steps segment, 2 segment, ...; NULL: the whole tape is kept */
    float *adjoint;  /* dL/dstate between segments, or of large lattices: [FR][species][H][W] */
    float *adjoint2; /* large lattices: the second buffer of a step */
    double *carry;   /* small MK lattices: sums of each thread between segments, [FR blocks][P][threads] */
    lg_u64 *sums;    /* [FR][species x 2] integer sums on the way to statistics (large lattices) */
    lg_u64 *error;   /* [FR] sum of (X - X_ref)^2; count: difference in newly aware sites; nll: [F][2][9] counts */
    double *replicate_stat; /* [FR][records][statistics]; PRW: [F][parts][steps][3] sums of MSD and Jacobian */
    double *stat;           /* [F][records][statistics] means over replicates */
    /* Task formation, and a loss of the caller's own (mk_formation.cu): its kernels record and inject, so the others see no
     * records, and take the adjoint of the last step from v.adjoint, where it was injected. */
    bool formation, own;
    const float *own_adjoint;          /* own: dL/dX, in the order of the snapshots */
    const lg_complex *wave_h, *wave_w; /* [H], [W]: exp(-2 pi i t / side) */
    const int8_t *wave_bin;            /* [vectors] */
    lg_complex *spectrum;              /* [FR][2]: rows [H][nx], then n_k */
    uint8_t *snapshot;                 /* [records][FR][2][H][W] states at the records */
    double *stat_adjoint;              /* the same shape: dL/ds */
    double *part;                      /* [FR][grad_parts][P] gradient contributions; method score: scores so far */
    lg_key *redraw;                    /* estimator gr: [draws] keys of this iteration, lg_redraw_key */
    double *score;                     /* [FR][moments][P] scores up to each record, or of the whole run;
                        PRW: [F][parts][records][4] sums over walks of d S and d^2 S */
    double *residual, *normal; /* optimiser lm (gauss_newton.cu): [F][records][P + 1], [F][P + 1][P + 1]; else NULL */
    uint32_t parts;            /* blocks a lattice is spread over; PRW: blocks a fit's walkers are spread over */
    uint32_t grad_parts;
};

struct lg_device {
    int index, sms;
    int shared_limit; /* bytes of shared memory a block may have */
    int major, minor;
    size_t memory;
    char name[256];
};

/* One piece of device memory each; sizes come from the layout, so that a plan and an allocation cannot differ. */
enum lg_buffer {
    LG_BUF_CLOCK,
    LG_BUF_NOISE_FIT,
    LG_BUF_RESAMPLE,
    LG_BUF_POOL_ROW,
    LG_BUF_OPTIMIZER,
    LG_BUF_FIT_STATE,
    LG_BUF_RESTORED,
    LG_BUF_PARAMS,
    LG_BUF_LOSS,
    LG_BUF_SLOPE,
    LG_BUF_GRADIENT,
    LG_BUF_ROWS,
    LG_BUF_CONSTANTS,
    LG_BUF_START,
    LG_BUF_TARGET,
    LG_BUF_RECORD,
    LG_BUF_TARGET_STAT,
    LG_BUF_WEIGHT_STAT,
    LG_BUF_STATE,
    LG_BUF_OTHER,
    LG_BUF_WORK,
    LG_BUF_TAPE,
    LG_BUF_CHECKPOINT,
    LG_BUF_ADJOINT,
    LG_BUF_ADJOINT2,
    LG_BUF_CARRY,
    LG_BUF_SUMS,
    LG_BUF_ERROR,
    LG_BUF_REPLICATE_STAT,
    LG_BUF_STAT,
    LG_BUF_STAT_ADJOINT,
    LG_BUF_PART,
    LG_BUF_REDRAW,
    LG_BUF_SCORE,
    LG_BUF_WAVES,
    LG_BUF_SPECTRUM,
    LG_BUF_SNAPSHOT,
    LG_BUF_OWN_ADJOINT,
    LG_BUF_RESIDUAL,
    LG_BUF_NORMAL,
    LG_BUF_BLAS,
    LG_BUF_COUNT
};

struct lg_layout {
    size_t bytes[LG_BUF_COUNT];
    uint32_t segment, parts, grad_parts;
    uint32_t launches; /* of one optimiser iteration, roughly */
    bool pairs;        /* lg_view.pairs */
    size_t sample;     /* bytes of one replicate's state on the device */
    char kernels[96];  /* of lg_plan */
};

/* What a model adds to the layout, and its launchers. All launch on batch->stream and return at once. */
struct lg_cuda_model {
    void (*layout)(const lg_job *job, const lg_device *device, bool gradients, lg_layout *layout);
    void (*start)(lg_dbatch *b, const lg_view &v); /* start states into v.state */
    void (*forward)(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep);
    void (*error)(lg_dbatch *b, const lg_view &v); /* state losses and nll: fills v.error */
    void (*backward)(lg_dbatch *b, const lg_view &v);
};
extern const lg_cuda_model lg_cuda_mk, lg_cuda_si, lg_cuda_prw;

/* Moments at which a run's score is wanted: the records of statistics, else its end. */
static inline uint32_t lg_cuda_moments(const lg_job *job)
{
    return job->target_stat ? job->records : 1u;
}
static inline bool lg_cuda_scores(const lg_job *job, bool gradients)
{
    return gradients && job->method == LG_GRADIENT_score;
}

enum { LG_GRAPH_ITERATIONS = 16, LG_GRAPH_LAUNCHES = 64 /* of an iteration worth capturing */ };

struct lg_dbatch {
    const lg_job *job;
    const lg_device *device;
    const lg_cuda_model *run;
    lg_layout layout;
    bool gradients;
    uint32_t step;
    bool kept; /* the last forward pass wrote the tape */
    void *memory[LG_BUF_COUNT];
    lg_view view;
    cudaStream_t stream;
    cudaGraphExec_t graph;    /* LG_GRAPH_ITERATIONS optimiser iterations; NULL until first used */
    struct lg_newton *newton; /* optimiser lm; else NULL */
    /* A loss of the caller's own, on the host: own.cu. */
    uint64_t iteration; /* of the last reset */
    lg_recording recording;
    void *own_states, *own_adjoint; /* as the device has them */
    lg_fit_state *own_fits;
    double *own_loss;
};

/* The steps at which mk_formation.cu records. */
static inline uint32_t lg_hooks(const lg_job *job)
{
    return job->own.function ? job->own.records : job->records;
}
static inline uint32_t lg_hook_step(const lg_job *job, uint32_t record)
{
    return job->own.function ? job->own.record[record] : job->record[record];
}

/* own.cu; of batches without such a loss nothing happens. */
bool lg_cuda_own_open(lg_dbatch *b); /* false: out of memory */
void lg_cuda_own_close(lg_dbatch *b);
void lg_cuda_own_layout(const lg_job *job, bool gradients, lg_layout *l);
lg_status lg_cuda_own_loss(lg_context *ctx, lg_dbatch *b, uint64_t iteration);

/* Turns a CUDA error into a status and a sentence with the remedy; LG_OK for cudaSuccess. */
lg_status lg_cuda_status(lg_context *ctx, cudaError_t error, const char *doing);

lg_status lg_cuda_open(lg_context *ctx, int index, int threads, lg_device **out);
void lg_cuda_close(lg_device *device);
void lg_cuda_describe(const lg_device *device, char *text, size_t size);

/* Raises a kernel's limit of dynamic shared memory where needed; the launch reports what goes wrong. */
template <class K> void lg_cuda_shared(K *kernel, size_t bytes)
{
    if (bytes > 48u * 1024u) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

/* batch.cu: what the backend's table and run.cu use. */
lg_status lg_cuda_plan(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_plan *plan);
lg_status lg_cuda_create(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_dbatch **out);
void lg_cuda_destroy(lg_dbatch *b);
lg_status lg_cuda_set_params(lg_context *ctx, lg_dbatch *b, const double *params);
lg_status lg_cuda_reset(lg_context *ctx, lg_dbatch *b, uint64_t iteration);
size_t lg_cuda_rows(const lg_job *job); /* trace rows kept on the device */
cudaError_t lg_cuda_put(lg_dbatch *b, lg_buffer buffer, const void *from);
cudaError_t lg_cuda_set_clock(lg_dbatch *b, uint64_t iteration,
                              uint32_t rows); /* and the pairs of so many iterations */
lg_status lg_cuda_wait(lg_context *ctx, lg_dbatch *b, const char *doing);

/* mk_formation.cu: exp(i angle) tables and bins of a job, as LG_BUF_WAVES holds them; false: out of memory. */
bool lg_mk_formation_tables(const lg_job *job, uint8_t *tables);

/* gauss_newton.cu: the optimiser lm. */
bool lg_cuda_has_jacobian(const lg_job *job);
void lg_cuda_newton_layout(const lg_job *job, bool gradients, lg_layout *layout);
lg_status lg_cuda_newton_open(lg_context *ctx, lg_dbatch *b);
void lg_cuda_newton_close(lg_dbatch *b);
void lg_cuda_newton(lg_dbatch *b, const lg_view &v); /* v.normal of all fits, from their Jacobians and residuals */
lg_status lg_cuda_newton_status(lg_context *ctx, lg_dbatch *b); /* what went wrong in it since the last call */
lg_status lg_cuda_get_jacobian(lg_context *ctx, lg_dbatch *b, double *jacobian);

/* fit.cu: launchers that do not depend on the model. */
void lg_cuda_prepare(lg_dbatch *b);      /* fit constants from parameters */
void lg_cuda_start_fits(lg_dbatch *b);   /* optimiser state from parameters */
void lg_cuda_restore_fits(lg_dbatch *b); /* optimiser state and parameters from v.restored */
void lg_cuda_statistics(lg_dbatch *b, const lg_view &v);
void lg_cuda_loss(lg_dbatch *b, const lg_view &v); /* after its statistics, where it has some */
void lg_cuda_finish(lg_dbatch *b, const lg_view &v,
                    bool update);                             /* gradient; update: optimiser, trace row, constants */
void lg_cuda_loss_and_update(lg_dbatch *b, const lg_view &v); /* both, where no kernel comes between them */
void lg_cuda_tick(lg_dbatch *b, uint32_t iterations);
void lg_cuda_pairs(lg_dbatch *b, uint32_t iterations); /* v.pool_row from the clock's iteration on */

/* estimator.cu. gr: the iteration's keys, before a forward pass that keeps its tape. Score: the scores of the draws of steps
 * first .. end - 1, which end at moment `moment`; the gradient from the scores, in place of a backward pass. */
void lg_cuda_redraw(lg_dbatch *b, const lg_view &v);
void lg_cuda_score_moment(lg_dbatch *b, const lg_view &v, uint32_t moment, uint32_t first, uint32_t end);
void lg_cuda_score_gradient(lg_dbatch *b, const lg_view &v);

/* ---- device functions used by several kernels ------------------------------------------------------------------- */

static __device__ inline lg_key lg_view_key(const lg_view &v)
{
    return lg_iteration_key(v.seed, v.clock->iteration + v.offset);
}

/* The number of a fit in the noise. */
static __device__ inline uint32_t lg_view_noise_fit(const lg_view &v, uint32_t fit)
{
    return v.noise_fit ? v.noise_fit[fit] : v.first_fit + fit;
}

/* Row of the start pool of a replicate; of the target pool too for transitions, else the target is one state. The pairs of
 * transitions come from a table: a walk of some thousand cycles (rules/permute.h) would hold up every block of an iteration. */
static __device__ inline uint32_t lg_view_pool(const lg_view &v, uint32_t fit, uint32_t replicate)
{
    const uint32_t row = v.pool_row
                             ? v.pool_row[(v.clock->row + v.offset) * v.R + replicate]
                             : lg_pool_row(false, v.seed, v.clock->iteration + v.offset, v.R, replicate, v.pool, NULL);
    return v.resample ? v.resample[(size_t)fit * v.pool + row] : row;
}

static __device__ inline const lg_optimizer *lg_view_optimizer(const lg_view &v, uint32_t fit)
{
    return v.optimizer + (v.fit_optimizer ? fit : 0u);
}

static __device__ inline bool lg_view_skips(const lg_view &v, uint32_t fit)
{
    return v.fit_state[fit].frozen != 0;
}

/* PRW: sum over walkers of d (x_t^2 + y_t^2) / d logit_p, from a fit's sums [parts][steps][3], in the order of its blocks. */
static __host__ __device__ inline double lg_prw_slope_sum(const double *sums, uint32_t parts, uint32_t steps,
                                                          uint32_t t, uint32_t p)
{
    double j = 0.0;
    for (uint32_t i = 0; i < parts; i++) j += sums[((size_t)i * steps + t - 1u) * 3u + 1u + p];
    return j;
}

/* Index of the first record at or after `step`. */
static __device__ inline uint32_t lg_view_record(const lg_view &v, uint32_t step)
{
    uint32_t low = 0, high = v.records;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (v.record[mid] < step) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* A structure, word by word, by `threads` threads. */
template <class T> static __device__ inline void lg_copy_words(T *to, const T *from, uint32_t thread, uint32_t threads)
{
    static_assert(sizeof(T) % 4 == 0, "copied by 32-bit words");
    for (uint32_t i = thread; i < sizeof(T) / 4u; i += threads) ((uint32_t *)to)[i] = ((const uint32_t *)from)[i];
}

/* Sum over the lanes of a whole warp; every lane gets it. */
template <class T> static __device__ inline T lg_warp_sum(T value)
{
    LG_UNROLL
    for (uint32_t lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xffffffffu, value, lanes);
    return value;
}

/* Sum over the block's threads in an order that depends on their number alone; every thread gets it. scratch: one
 * double a thread. Starts and ends with a barrier, so that scratch can overlay memory in use before and after. */
static __device__ inline double lg_block_sum(double value, double *scratch, uint32_t thread, uint32_t threads)
{
    __syncthreads();
    scratch[thread] = value;
    __syncthreads();
    for (uint32_t n = threads; n > 1;) {
        const uint32_t half = (n + 1u) >> 1;
        if (thread + half < n) scratch[thread] += scratch[thread + half];
        __syncthreads();
        n = half;
    }
    const double sum = scratch[0];
    __syncthreads();
    return sum;
}

static __device__ inline uint32_t lg_wrap(uint32_t i, int offset, uint32_t n)
{
    return offset < 0 ? (i == 0 ? n - 1u : i - 1u) : (offset > 0 ? (i + 1u == n ? 0u : i + 1u) : i);
}

#endif
