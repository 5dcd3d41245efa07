/* The fit loop's kernels, the same for every model: statistics over replicates, loss and adjoint seeds, gradient in a
 * fixed order, optimiser update, fit constants. With the models' forward, error and backward they are one optimiser
 * iteration; device.cu captures several iterations in one CUDA graph.
 *
 * Threads: one block per fit; a fit's sums over replicates run through a fixed tree whose shape depends on their number
 * alone, so a fit gives the same bytes alone and among thousands. A frozen fit keeps its loss and gradient. */
#include "device.cuh"

enum { FIT_THREADS = 256 };

/* Sum of count values value(i), in an order that depends on count alone. */
template <class V> static __device__ double fixed_sum(uint32_t count, V value, double *scratch)
{
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < count; i += FIT_THREADS) sum += value(i);
    return lg_block_sum(sum, scratch, threadIdx.x, FIT_THREADS);
}

/* ---- statistics ------------------------------------------------------------------------------------------------- */

/* Means over replicates; one block per fit and statistic. PRW: over the sums of the blocks that hold a fit's walkers.
 * */
static __global__ void LG_THREADS(FIT_THREADS) fit_statistics(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    const uint32_t K = v.records * v.statistics, f = blockIdx.x / K, k = blockIdx.x % K;
    if (lg_view_skips(v, f)) return;
    double sum;
    if (v.prw) {
        const double *part = v.replicate_stat + ((size_t)f * v.parts * v.steps + v.record[k] - 1u) * 3u;
        sum = fixed_sum(
            v.parts, [&](uint32_t i) { return part[(size_t)i * v.steps * 3u]; }, (double *)memory);
    } else {
        const double *part = v.replicate_stat + (size_t)f * v.R * K + k;
        sum = fixed_sum(
            v.R, [&](uint32_t i) { return part[(size_t)i * K]; }, (double *)memory);
    }
    if (threadIdx.x == 0) v.stat[(size_t)f * K + k] = sum / (double)v.R;
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

/* sum_k w_k (s_k - target_k)^2 and its derivatives. */
static __device__ double statistic_loss(const lg_view &v, uint32_t f, double *scratch)
{
    const uint32_t K = v.records * v.statistics;
    const double *s = v.stat + (size_t)f * K, *target = v.target_stat + (size_t)f * v.stat_stride,
                 *weight = v.weight_stat + (size_t)f * v.stat_stride;
    double *adjoint = v.stat_adjoint + (size_t)f * K;
    return fixed_sum(
        K,
        [&](uint32_t k) {
            const double d = s[k] - target[k];
            adjoint[k] = 2.0 * weight[k] * d;
            return weight[k] * d * d;
        },
        scratch);
}

/* Exact likelihood of SI transitions from the counts of unaware sites with n aware neighbours that stayed or turned
 * aware:
 *   L = - sum_n (turned_n log p_n + stayed_n n log q),   p_n = 1 - q^n, q = 1 - beta; the gradient goes to v.part. */
static __device__ double likelihood_loss(const lg_view &v, uint32_t f, double *scratch)
{
    const double beta = v.params[f], q = 1.0 - beta, log_q = log1p(-beta);
    double loss = 0.0, slope = 0.0;
    for (uint32_t n = 0; n <= LG_SI_NEIGHBOURS; n++) {
        const lg_u64 *count = v.error + (size_t)f * v.R * 18u + n;
        const double stayed = fixed_sum(
            v.R, [&](uint32_t r) { return (double)count[(size_t)r * 18u]; }, scratch);
        const double turned = fixed_sum(
            v.R, [&](uint32_t r) { return (double)count[(size_t)r * 18u + 9u]; }, scratch);
        const double p = -expm1(n * log_q);
        if (stayed > 0.0 && n > 0) {
            loss -= stayed * n * log_q;
            slope += stayed * n / q;
        }
        if (turned > 0.0) {
            loss -= turned * log(p); /* infinite where the model makes the observation impossible */
            slope -= turned * n * exp((n - 1.0) * log_q) / p;
        }
    }
    if (threadIdx.x == 0 && v.part) v.part[f] = slope;
    return loss;
}

static __global__ void LG_THREADS(FIT_THREADS) fit_loss(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    double *scratch = (double *)memory;
    const uint32_t f = blockIdx.x;
    if (lg_view_skips(v, f)) return;
    double loss;
    if (v.target_stat) {
        loss = statistic_loss(v, f, scratch);
    } else if (v.loss == LG_LOSS_nll) {
        loss = likelihood_loss(v, f, scratch);
    } else if (v.loss == LG_LOSS_count) {
        loss = fixed_sum(
                   v.R,
                   [&](uint32_t r) {
                       const double d = (double)(long long)v.error[(size_t)f * v.R + r];
                       return d * d;
                   },
                   scratch) /
               (double)v.R;
    } else {
        const double entries = (double)v.R * v.species * (double)((size_t)v.H * v.W);
        const double S = fixed_sum(
            v.R, [&](uint32_t r) { return (double)v.error[(size_t)f * v.R + r]; }, scratch);
        loss = lg_state_loss(v.loss, S, entries);
        if (threadIdx.x == 0) v.slope[f] = lg_state_loss_slope(v.loss, S, entries);
    }
    if (threadIdx.x == 0) v.loss_value[f] = loss;
}

/* ---- gradient and update ---------------------------------------------------------------------------------------- */

/* Constants of a fit for iteration `ahead` after the clock's. */
static __device__ void prepare_fit(const lg_view &v, uint32_t f, uint32_t ahead)
{
    const double *p = v.params + (size_t)f * v.P;
    const double tau = lg_temperature(v.tau, v.tau_end, v.last, v.clock->iteration + ahead);
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

static __global__ void LG_THREADS(FIT_THREADS) fit_prepare(lg_view v)
{
    const uint32_t f = blockIdx.x * FIT_THREADS + threadIdx.x;
    if (f < v.F) prepare_fit(v, f, v.offset);
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

/* dL/dD = -(dL/dlogit_stay) / (D (1 - D)); 0 at the ends, where a logit is not finite. */
static __device__ double scale_gradient(const lg_view &v, uint32_t f, uint32_t p, double sum)
{
    if (!v.mk || p > LG_MK_D_B) return sum;
    const double D = v.params[(size_t)f * v.P + p], slope = D * (1.0 - D);
    return slope > 0.0 ? -sum / slope : 0.0;
}

/* J^T W J of a fit from one triangle of gauss_newton.cu's product, as lg_optimizer_update takes it; NULL: not lm. */
static __device__ const double *take_normal(const lg_view &v, uint32_t f, double *normal)
{
    const uint32_t P = v.P;
    if (!v.normal) return NULL;
    const double *product = v.normal + (size_t)f * (P + 1u) * (P + 1u);
    for (uint32_t i = 0; i < P; i++)
        for (uint32_t j = 0; j <= i; j++) normal[i * P + j] = normal[j * P + i] = product[i * (P + 1u) + j];
    return normal;
}

static __global__ void LG_THREADS(FIT_THREADS) fit_finish(lg_view v, bool update)
{
    LG_SHARED_MEMORY(memory);
    double *scratch = (double *)memory;
    const uint32_t f = blockIdx.x, P = v.P;
    const bool frozen = lg_view_skips(v, f);
    for (uint32_t p = 0; p < P && !frozen && !v.scores; p++) {
        double sum;
        if (update && v.normal) { /* 2 J^T W r */
            sum = 2.0 * v.normal[(size_t)f * (P + 1u) * (P + 1u) + P * (P + 1u) + p];
        } else if (v.prw) { /* sum_t dL/dMSD_t dMSD_t/dlogit_p, the Jacobian in parts */
            const double *sums = v.replicate_stat + (size_t)f * v.parts * v.steps * 3u;
            const double *adjoint = v.stat_adjoint + (size_t)f * v.records;
            sum = fixed_sum(
                v.records,
                [&](uint32_t t) {
                    return adjoint[t] * lg_prw_slope_sum(sums, v.parts, v.steps, v.record[t], p) / (double)v.R;
                },
                scratch);
        } else if (v.loss == LG_LOSS_nll && !v.target_stat) {
            sum = v.part[f];
        } else {
            const uint32_t count = v.R * v.grad_parts;
            const double *part = v.part + (size_t)f * count * P + p;
            sum = fixed_sum(
                count, [&](uint32_t i) { return part[(size_t)i * P]; }, scratch);
        }
        if (threadIdx.x == 0) v.gradient[(size_t)f * P + p] = scale_gradient(v, f, p, sum);
    }
    if (!update || threadIdx.x != 0) return;
    double *row = v.rows + ((v.clock->row + v.offset) * v.F + f) * (P + 3u);
    double normal[LG_OPT_MAX_PARAMS * LG_OPT_MAX_PARAMS];
    lg_optimizer_update(lg_view_optimizer(v, f), v.fit_state + f, v.loss_value[f], v.gradient + (size_t)f * P,
                        take_normal(v, f, normal), v.params + (size_t)f * P, row);
    prepare_fit(v, f, v.offset + 1u);
}

static __global__ void fit_tick(lg_clock *clock, uint32_t iterations)
{
    clock->iteration += iterations;
    clock->row += iterations;
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

static const size_t scratch_bytes = FIT_THREADS * sizeof(double);

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
    if (blocks) LG_LAUNCH(fit_statistics, dim3(blocks), dim3(FIT_THREADS), scratch_bytes, b->stream, v);
}

void lg_cuda_loss(lg_dbatch *b, const lg_view &v)
{
    LG_LAUNCH(fit_loss, dim3(v.F), dim3(FIT_THREADS), scratch_bytes, b->stream, v);
}

void lg_cuda_finish(lg_dbatch *b, const lg_view &v, bool update)
{
    LG_LAUNCH(fit_finish, dim3(v.F), dim3(FIT_THREADS), scratch_bytes, b->stream, v, update);
}

void lg_cuda_tick(lg_dbatch *b, uint32_t iterations)
{
    LG_LAUNCH(fit_tick, dim3(1), dim3(1), 0, b->stream, (lg_clock *)b->memory[LG_BUF_CLOCK], iterations);
}
