/* The fit loop's kernels, the same for every model: statistics over replicates, loss and adjoint seeds, gradient in a
 * fixed order, optimiser update, fit constants. With the models' forward, error and backward they are one optimiser
 * iteration; run.cu captures several iterations in one CUDA graph.
 *
 * Threads: one block per fit. fit_pass does as many of the phases as follow one another without a kernel between them: for PRW
 * and one-step SI pairs all of them, so that an iteration is two launches. Such an iteration is bound by latency: sums of different
 * things go to different threads or warps at a time, and what needs no gradient (rates of the optimiser, temperature) is made
 * meanwhile by warps that have no sum. The coordinates of the optimiser have a thread each.
 * Determinism: a fit's sums run through a fixed tree whose shape depends on the number of values alone, so a fit gives the same
 * bytes alone and among thousands, and whatever phases are done at once. A frozen fit keeps its loss and gradient. */
#include "fit_sums.cuh"

enum {
    FIT_WITHIN = 8192, /* more values of statistics than that get blocks of their own, a statistic each */
    FIT_COUNTS = 2 * (LG_SI_NEIGHBOURS + 1)
};

enum fit_phase { FIT_STATISTICS = 1, FIT_LOSS = 2, FIT_GRADIENT = 4, FIT_UPDATE = 8 };

/* Shared memory of a block. */
struct fit_memory {
    double scratch[FIT_BATCH * FIT_WARPS];
    double sum[FIT_COUNTS]; /* nll: sums of the counts, then the terms of loss and slope */
    double error, loss, slope, tau;
    bool moves;
    double *row; /* of the trace */
    double gradient[LG_OPT_MAX_PARAMS], p[LG_OPT_MAX_PARAMS], normal[LG_OPT_MAX_PARAMS * LG_OPT_MAX_PARAMS];
    lg_optimizer optimizer;
    lg_fit_state state;
    lg_update update;
};

/* ---- statistics ------------------------------------------------------------------------------------------------- */

/* Means over replicates, of statistics k .. k + some - 1. PRW: over the sums of the blocks that hold a fit's walkers. */
static __device__ void sum_statistics(const lg_view &v, uint32_t f, uint32_t k, uint32_t some, double *scratch)
{
    const uint32_t K = v.records * v.statistics, count = v.prw ? v.parts : v.R;
    const double *part = v.replicate_stat + (v.prw ? (size_t)f * v.parts * v.steps * 3u : (size_t)f * v.R * K);
    fixed_sums(
        some, count, 0, scratch,
        [&](uint32_t s, uint32_t i) {
            return v.prw ? part[((size_t)i * v.steps + v.record[k + s] - 1u) * 3u] : part[(size_t)i * K + k + s];
        },
        [&](uint32_t s, double sum) { v.stat[(size_t)f * K + k + s] = sum / (double)v.R; });
}

/* One block per fit and statistic. */
static __global__ void LG_THREADS(FIT_THREADS) fit_statistics(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    const uint32_t K = v.records * v.statistics, f = blockIdx.x / K;
    if (!lg_view_skips(v, f)) sum_statistics(v, f, blockIdx.x % K, 1, (double *)memory);
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

/* sum_k w_k (s_k - target_k)^2 and its derivatives. */
static __device__ void statistic_loss(const lg_view &v, uint32_t f, fit_memory *m)
{
    const uint32_t K = v.records * v.statistics;
    const double *s = v.stat + (size_t)f * K, *target = v.target_stat + (size_t)f * v.stat_stride,
                 *weight = v.weight_stat + (size_t)f * v.stat_stride;
    double *adjoint = v.stat_adjoint + (size_t)f * K;
    fixed_sums(
        1, K, 0, m->scratch,
        [&](uint32_t, uint32_t k) {
            const double d = s[k] - target[k];
            adjoint[k] = 2.0 * weight[k] * d;
            return weight[k] * d * d;
        },
        [&](uint32_t, double sum) { m->loss = sum; });
    __syncthreads(); /* the gradient may read the adjoints */
}

/* Exact likelihood of SI transitions from the counts of unaware sites with n aware neighbours that stayed or turned
 * aware:
 *   L = - sum_n (turned_n log p_n + stayed_n n log q),   p_n = 1 - q^n, q = 1 - beta; a thread for each n. */
static __device__ void likelihood_loss(const lg_view &v, uint32_t f, fit_memory *m)
{
    const uint32_t n = threadIdx.x, N = FIT_COUNTS / 2;
    const lg_u64 *counts = v.error + (size_t)f * v.R * FIT_COUNTS;
    fixed_sums(
        FIT_COUNTS, v.R, 0, m->scratch,
        [&](uint32_t s, uint32_t r) { return (double)counts[(size_t)r * FIT_COUNTS + s]; },
        [&](uint32_t s, double sum) { m->sum[s] = sum; });
    __syncthreads();
    if (n < N) {
        const double beta = v.params[f], q = 1.0 - beta, log_q = log1p(-beta), p = -expm1(n * log_q);
        const double stayed = m->sum[n], turned = m->sum[N + n];
        double loss = 0.0, slope = 0.0;
        if (stayed > 0.0 && n > 0) {
            loss -= stayed * n * log_q;
            slope += stayed * n / q;
        }
        if (turned > 0.0) {
            loss -= turned * log(p); /* infinite where the model makes the observation impossible */
            slope -= turned * n * exp((n - 1.0) * log_q) / p;
        }
        m->sum[n] = loss;
        m->sum[N + n] = slope;
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    m->loss = m->slope = 0.0;
    for (uint32_t i = 0; i < N; i++) {
        m->loss += m->sum[i];
        m->slope += m->sum[N + i];
    }
}

/* Sum over replicates of what enters the loss. */
static __device__ void sum_errors(const lg_view &v, uint32_t f, fit_memory *m)
{
    const lg_u64 *error = v.error + (size_t)f * v.R;
    const bool count = v.loss == LG_LOSS_count;
    fixed_sums(
        1, v.R, 0, m->scratch,
        [&](uint32_t, uint32_t r) {
            const double d = (double)(long long)error[r];
            return count ? d * d : d;
        },
        [&](uint32_t, double sum) { m->error = sum; });
}

/* Thread 0, after the sums. */
static __device__ void finish_loss(const lg_view &v, uint32_t f, fit_memory *m)
{
    if (v.target_stat) {
    } else if (v.loss == LG_LOSS_nll) {
        if (v.part) v.part[f] = m->slope;
    } else if (v.loss == LG_LOSS_count) {
        m->loss = m->error / (double)v.R;
        m->slope = 1.0; /* each replicate has its own in its part of the gradient */
    } else {
        const double entries = (double)v.R * v.species * (double)((size_t)v.H * v.W);
        m->loss = lg_state_loss(v.loss, m->error, entries);
        m->slope = v.slope[f] = lg_state_loss_slope(v.loss, m->error, entries);
    }
    v.loss_value[f] = m->loss;
}

/* ---- gradient and update ---------------------------------------------------------------------------------------- */

/* Constants of a fit for the temperature tau, from parameters p. */
static __device__ void prepare_fit(const lg_view &v, uint32_t f, const double *p, double tau)
{
    if (v.mk) {
        lg_mk_prepare(p, v.gamma, (int)v.capacity, tau, v.mk + f);
        lg_mk_estimators(v.estimator, v.categorical, v.draws, v.mk + f);
    }
    if (v.si) {
        lg_si_prepare(p[0], log1p(-p[0]), tau, v.si + f);
        v.si[f].draws = lg_estimator_draws(v.estimator, v.draws);
    }
    if (v.prw) {
        lg_prw_prepare(p[0], p[1], v.estimator, tau, v.prw + f);
        lg_prw_estimators(v.estimator, v.categorical, v.draws, v.prw + f);
    }
}

/* Of iteration `ahead` after the clock's. */
static __device__ double temperature(const lg_view &v, uint32_t ahead)
{
    return lg_temperature(v.tau, v.tau_end, v.last, v.clock->iteration + ahead);
}

static __global__ void LG_THREADS(FIT_THREADS) fit_prepare(lg_view v)
{
    const uint32_t f = blockIdx.x * FIT_THREADS + threadIdx.x;
    if (f < v.F) prepare_fit(v, f, v.params + (size_t)f * v.P, temperature(v, v.offset));
}

static __global__ void LG_THREADS(FIT_THREADS) fit_restore(lg_view v)
{
    const uint32_t f = blockIdx.x * FIT_THREADS + threadIdx.x;
    if (f < v.F)
        lg_optimizer_restore(lg_view_optimizer(v, f), v.fit_state + f, v.restored + f, v.params + (size_t)f * v.P);
}

static __global__ void LG_THREADS(FIT_THREADS) fit_start(lg_view v)
{
    const uint32_t f = blockIdx.x * FIT_THREADS + threadIdx.x;
    if (f < v.F) lg_optimizer_start(lg_view_optimizer(v, f), v.params + (size_t)f * v.P, v.fit_state + f);
}

/* J^T W J of a fit from one triangle of gauss_newton.cu's product, as lg_optimizer_begin takes it. */
static __device__ void take_normal(const lg_view &v, uint32_t f, double *normal)
{
    const uint32_t P = v.P;
    const double *product = v.normal + (size_t)f * (P + 1u) * (P + 1u);
    for (uint32_t i = 0; i < P; i++)
        for (uint32_t j = 0; j <= i; j++) normal[i * P + j] = normal[j * P + i] = product[i * (P + 1u) + j];
}

/* Sums of the gradient, not yet scaled, into m->gradient. */
static __device__ void sum_gradient(const lg_view &v, uint32_t f, fit_memory *m)
{
    const uint32_t P = v.P, records = v.records;
    if (v.prw) { /* sum_t dL/dMSD_t dMSD_t/dlogit_p, the Jacobian in parts; a block of walkers after the other */
        const double *sums = v.replicate_stat + (size_t)f * v.parts * v.steps * 3u;
        const double *adjoint = v.stat_adjoint + (size_t)f * records;
        fixed_sums(
            P, records * v.parts, 0, m->scratch,
            [&](uint32_t p, uint32_t i) {
                const uint32_t part = i / records, t = i - part * records;
                return adjoint[t] * sums[((size_t)part * v.steps + v.record[t] - 1u) * 3u + 1u + p];
            },
            [&](uint32_t p, double sum) { m->gradient[p] = sum / (double)v.R; });
        return;
    }
    const uint32_t count = v.R * v.grad_parts;
    const double *part = v.part + (size_t)f * count * P;
    fixed_sums(
        P, count, 1, m->scratch, [&](uint32_t p, uint32_t i) { return part[(size_t)i * P + p]; },
        [&](uint32_t p, double sum) { m->gradient[p] = sum; });
}

/* Gradient of parameter p from the sums: dL/dD = -(dL/dlogit_stay) / (D (1 - D)), 0 at the ends, where a logit is not finite;
 * SI pairs were added up for a slope of 1. */
static __device__ double scale_gradient(const lg_view &v, uint32_t f, uint32_t p, fit_memory *m)
{
    const double sum = m->gradient[p];
    if (v.pairs) return v.loss == LG_LOSS_count ? sum : sum * m->slope;
    if (!v.mk || p > LG_MK_D_B) return sum;
    const double D = v.params[(size_t)f * v.P + p], slope = D * (1.0 - D);
    return slope > 0.0 ? -sum / slope : 0.0;
}

/* Gradient phase after its sums, and loss after its own: the first warp. */
static __device__ void finish_gradient(const lg_view &v, uint32_t f, uint32_t phases, fit_memory *m)
{
    const uint32_t p = threadIdx.x, P = v.P;
    if (p == 0 && (phases & FIT_LOSS)) finish_loss(v, f, m);
    if (p == 0 && !(phases & FIT_LOSS)) {
        m->loss = v.loss_value[f];
        m->slope = v.slope[f];
    }
    __syncwarp();
    if (!(phases & FIT_GRADIENT) || p >= P) return;
    double gradient;
    if ((phases & FIT_UPDATE) && v.normal) /* 2 J^T W r */
        gradient = 2.0 * v.normal[(size_t)f * (P + 1u) * (P + 1u) + P * (P + 1u) + p];
    else if (v.loss == LG_LOSS_nll && !v.target_stat) gradient = phases & FIT_LOSS ? m->slope : v.part[f];
    else gradient = scale_gradient(v, f, p, m);
    m->gradient[p] = v.gradient[(size_t)f * P + p] = gradient;
}

/* ---- update ----------------------------------------------------------------------------------------------------- */

/* What an update needs besides loss and gradient, while the first warps are busy with sums. */
static __device__ void begin_update(const lg_view &v, uint32_t f, fit_memory *m)
{
    const lg_optimizer *o = lg_view_optimizer(v, f);
    const uint32_t warp = threadIdx.x / 32u;
    lg_copy_words(&m->optimizer, o, threadIdx.x, FIT_THREADS);
    lg_copy_words(&m->state, v.fit_state + f, threadIdx.x, FIT_THREADS);
    if (threadIdx.x < v.P) m->p[threadIdx.x] = v.params[(size_t)f * v.P + threadIdx.x];
    if (threadIdx.x % 32u != 0) return;
    if (warp + 3u >= FIT_WARPS)
        m->update.rate[warp + 3u - FIT_WARPS] =
            lg_optimizer_rate(o, v.fit_state[f].updates, (int)(warp + 3u - FIT_WARPS));
    if (warp + 4u != FIT_WARPS) return;
    m->row = v.rows + ((v.clock->row + v.offset) * v.F + f) * (v.P + 3u);
    m->tau = temperature(v, v.offset + 1u);
}

/* The first warp: optimiser, trace row, next iteration's constants. */
static __device__ void update_fit(const lg_view &v, uint32_t f, bool frozen, fit_memory *m)
{
    const uint32_t thread = threadIdx.x, P = v.P;
    const double *normal = v.normal ? m->normal : NULL;
    if (thread < P && (frozen || v.scores)) m->gradient[thread] = v.gradient[(size_t)f * P + thread];
    if (thread == 0) {
        if (frozen) m->loss = v.loss_value[f];
        if (normal) take_normal(v, f, m->normal);
    }
    __syncwarp();
    if (thread == 0)
        m->moves = lg_optimizer_begin(&m->optimizer, &m->state, m->loss, m->gradient, normal, m->p, m->row, &m->update);
    __syncwarp();
    if (thread < P && m->moves)
        lg_optimizer_move(&m->optimizer, &m->state, &m->update, normal != NULL, (int)thread, m->p);
    __syncwarp();
    if (thread == 0) {
        m->state.updates += m->moves ? 1u : 0u;
        prepare_fit(v, f, m->p, m->tau);
    }
    __syncwarp();
    lg_copy_words(v.fit_state + f, &m->state, thread, 32);
    if (thread < P) v.params[(size_t)f * P + thread] = m->p[thread];
}

/* ---- the phases ------------------------------------------------------------------------------------------------- */

static __global__ void LG_THREADS(FIT_THREADS) fit_pass(lg_view v, uint32_t phases)
{
    LG_SHARED_MEMORY(memory);
    fit_memory *m = (fit_memory *)memory;
    const uint32_t f = blockIdx.x;
    const bool frozen = lg_view_skips(v, f), states = !v.target_stat && v.loss != LG_LOSS_nll;
    if (frozen && !(phases & FIT_UPDATE)) return;
    if (phases & FIT_UPDATE) begin_update(v, f, m);
    if (!frozen) {
        if (phases & FIT_STATISTICS) {
            sum_statistics(v, f, 0, v.records * v.statistics, m->scratch);
            __syncthreads();
        }
        if ((phases & FIT_LOSS) && v.target_stat) statistic_loss(v, f, m);
        if ((phases & FIT_LOSS) && states) sum_errors(v, f, m);
        if ((phases & FIT_LOSS) && !states && !v.target_stat) likelihood_loss(v, f, m);
        if ((phases & FIT_GRADIENT) && (states || v.target_stat) && !(v.normal && (phases & FIT_UPDATE)))
            sum_gradient(v, f, m);
    }
    __syncthreads();
    if (threadIdx.x >= 32u) return;
    if (!frozen) finish_gradient(v, f, phases, m);
    __syncwarp();
    if (phases & FIT_UPDATE) update_fit(v, f, frozen, m);
}

static __global__ void fit_tick(lg_clock *clock, uint32_t iterations)
{
    clock->iteration += iterations;
    clock->row += iterations;
}

/* Transition pairs of the replicates, for the iterations of the next trace rows. */
static __global__ void LG_THREADS(FIT_THREADS) fit_pairs(lg_view v, uint32_t *pool_row, uint32_t iterations)
{
    const uint32_t i = blockIdx.x * FIT_THREADS + threadIdx.x;
    if (i < iterations * v.R) pool_row[i] = lg_pair_index(v.seed, v.clock->iteration + i / v.R, v.R, i % v.R, v.pool);
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

void lg_cuda_prepare(lg_dbatch *b)
{
    LG_LAUNCH(fit_prepare, dim3((b->view.F + FIT_THREADS - 1) / FIT_THREADS), dim3(FIT_THREADS), 0, b->stream, b->view);
}

void lg_cuda_start_fits(lg_dbatch *b)
{
    LG_LAUNCH(fit_start, dim3((b->view.F + FIT_THREADS - 1) / FIT_THREADS), dim3(FIT_THREADS), 0, b->stream, b->view);
}

void lg_cuda_restore_fits(lg_dbatch *b)
{
    LG_LAUNCH(fit_restore, dim3((b->view.F + FIT_THREADS - 1) / FIT_THREADS), dim3(FIT_THREADS), 0, b->stream, b->view);
    cudaMemcpyAsync(b->view.fit_state, b->view.restored, b->layout.bytes[LG_BUF_FIT_STATE], cudaMemcpyDeviceToDevice,
                    b->stream);
}

void lg_cuda_statistics(lg_dbatch *b, const lg_view &v)
{
    const uint32_t blocks = v.F * v.records * v.statistics;
    if (blocks)
        LG_LAUNCH(fit_statistics, dim3(blocks), dim3(FIT_THREADS), FIT_BATCH * FIT_WARPS * sizeof(double), b->stream,
                  v);
}

static void pass(lg_dbatch *b, const lg_view &v, uint32_t phases)
{
    LG_LAUNCH(fit_pass, dim3(v.F), dim3(FIT_THREADS), sizeof(fit_memory), b->stream, v, phases);
}

/* The statistics of a loss: FIT_STATISTICS where its block makes them on the way. Depends on the size of one fit alone. */
static uint32_t statistics_first(lg_dbatch *b, const lg_view &v)
{
    if (!v.target_stat) return 0;
    if ((size_t)v.records * v.statistics * (v.prw ? v.parts : v.R) <= FIT_WITHIN) return FIT_STATISTICS;
    lg_cuda_statistics(b, v);
    return 0;
}

static uint32_t phases_of_finish(const lg_view &v, bool update)
{
    return (v.scores ? 0 : FIT_GRADIENT) | (update ? FIT_UPDATE : 0);
}

void lg_cuda_loss(lg_dbatch *b, const lg_view &v)
{
    pass(b, v, statistics_first(b, v) | FIT_LOSS);
}

void lg_cuda_finish(lg_dbatch *b, const lg_view &v, bool update)
{
    pass(b, v, phases_of_finish(v, update));
}

void lg_cuda_loss_and_update(lg_dbatch *b, const lg_view &v)
{
    pass(b, v, statistics_first(b, v) | FIT_LOSS | phases_of_finish(v, true));
}

void lg_cuda_tick(lg_dbatch *b, uint32_t iterations)
{
    LG_LAUNCH(fit_tick, dim3(1), dim3(1), 0, b->stream, (lg_clock *)b->memory[LG_BUF_CLOCK], iterations);
}

void lg_cuda_pairs(lg_dbatch *b, uint32_t iterations)
{
    const size_t blocks = ((size_t)iterations * b->view.R + FIT_THREADS - 1) / FIT_THREADS;
    if (b->view.pool_row)
        LG_LAUNCH(fit_pairs, dim3((uint32_t)blocks), dim3(FIT_THREADS), 0, b->stream, b->view,
                  (uint32_t *)b->memory[LG_BUF_POOL_ROW], iterations);
}
