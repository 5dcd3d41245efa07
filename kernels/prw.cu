/* Persistent random walk: walk, statistics and Jacobian in one kernel; launchers. (rules/prw.h: the arithmetic of a
 * draw.)
 *
 * Per axis and step: v_t = k0 v_{t-1} + k1 w_t, x_t = x_{t-1} + v_t; MSD_t = mean over walkers of x^2 + y^2.
 * Gradient, forward mode, for the logits c (p_center) and r (p_resample):
 *   dv_t/dr = k0 dv_{t-1}/dr + (w_t - v_{t-1}) dk1/dr,    dv_t/dc = k0 dv_{t-1}/dc + k1 dw_t/dc,    dx += dv
 *   dMSD_t  = mean of 2 x dx + 2 y dy
 * For two parameters this costs what a reverse sweep costs, needs no tape, and gives the Jacobian of the whole curve,
 * so that the backward pass of a fit is a sum over t of dL/dMSD_t times it (fit.cu).
 *
 * Method score: once the means are known, prw_score walks again and sums what rules/score.h wants; estimator.cu makes the
 * gradient of it.
 *
 * Threads: a walker each, all steps in registers; PRW_THREADS walkers a block, a fit's walkers over several blocks. A step
 * with the Jacobian (tau = 1) has no branch that the lanes of a warp take differently: the Philox blocks of both axes are
 * drawn at once, and derivatives that a walker does not need are made and not taken. So one warp alone, as a single fit has
 * it on a scheduler, has something to do while it waits.
 * Sums over walkers: each walker leaves its terms of up to PRW_BATCH steps in shared memory; then PRW_LANES lanes share a
 * step: each adds the terms of every PRW_LANES-th pair of the block's walkers in order, and the lanes' sums are added in a tree of
 * shuffles. Sums of squares are integers of 64 bits, exact for any number of steps (|x| < 2^31); the terms of the Jacobian
 * are float and so are a lane's sums, which become double for the tree. Their order depends on nothing but a walker's number.
 * Memory: 16 bytes a walker, 24 bytes a block and step (score: 32 more a record); shared, 16 bytes a walker and step of a
 * batch, so that the registers and not it bound the blocks of a multiprocessor.
 * Randomness: streams PRW_START, PRW_STEP, PRW_GUMBEL, counters as in rules/prw.h. */
#define LG_PHILOX_WIDE /* rules/philox.h */
#include "device.cuh"

enum {
    PRW_THREADS = 128,
    PRW_WARPS = PRW_THREADS / 32,
    PRW_BATCH = 12,
    PRW_LANES = 8,
    PRW_RECORDS = 16 /* of prw_score's batch */
};

struct prw_axis {
    int32_t x, v;
    float dx[2], dv[2];
};

/* What a walk carries along: nothing; its derivatives, with one draw of the Gumbel noise or the mean over several (estimator
 * gr); its score, in the place of dv. */
enum prw_mode { PRW_PLAIN, PRW_JACOBIAN, PRW_AVERAGE, PRW_SCORE };

template <int MODE>
static __device__ void prw_start(const lg_view &v, const lg_prw_fit *fit, lg_key key, uint32_t fit_id, uint32_t walker,
                                 prw_axis *axis)
{
    LG_UNROLL
    for (uint32_t a = 0; a < 2u; a++) {
        const lg_block b = lg_draw(key, LG_STREAM_PRW_START, fit_id, walker, 0, a);
        axis[a].v = lg_prw_velocity(fit, b.w[0]);
        if (v.v0_const) continue;
        float *center = &axis[a].dv[LG_PRW_P_CENTER];
        if (MODE == PRW_SCORE) *center = lg_prw_velocity_score(fit, axis[a].v);
        if (MODE == PRW_JACOBIAN)
            *center = lg_prw_velocity_gradient(fit, axis[a].v, lg_exponential_fused(b.w[1]),
                                               lg_exponential_fused(b.w[2]), lg_exponential_fused(b.w[3]));
        for (uint32_t k = 0; MODE == PRW_AVERAGE && k < fit->velocity_draws; k++) {
            const lg_block e = lg_draw(v.redraw[k], LG_STREAM_PRW_START, fit_id, walker, 0, a);
            *center += lg_prw_velocity_gradient(fit, axis[a].v, lg_exponential_fused(e.w[1]),
                                                lg_exponential_fused(e.w[2]), lg_exponential_fused(e.w[3]));
        }
        if (MODE == PRW_AVERAGE) *center /= (float)fit->velocity_draws;
    }
}

/* dk1/dlogit p_resample and, where w was taken, dw/dlogit p_center of an axis: means over the draws of the Gumbel noise. */
static __device__ void prw_mean_gradients(const lg_view &v, const lg_prw_fit *fit, uint32_t fit_id, uint32_t walker,
                                          uint32_t step, uint32_t a, int32_t resampled, int32_t w, float *keep,
                                          float *center)
{
    const uint32_t most = fit->keep_draws > fit->velocity_draws ? fit->keep_draws : fit->velocity_draws;
    *keep = *center = 0.0f;
    for (uint32_t k = 0; k < most; k++) {
        const lg_block e = lg_draw(v.redraw[k], LG_STREAM_PRW_GUMBEL, fit_id, walker, step, a);
        if (k < fit->keep_draws)
            *keep += lg_prw_keep_gradient(fit, resampled, lg_exponential_fused(e.w[0]), lg_exponential_fused(e.w[1]));
        if (!resampled || k >= fit->velocity_draws) continue;
        const lg_block last = lg_draw(v.redraw[k], LG_STREAM_PRW_GUMBEL, fit_id, walker, step, 2);
        *center += lg_prw_velocity_gradient(fit, w, lg_exponential_fused(e.w[2]), lg_exponential_fused(e.w[3]),
                                            lg_exponential_fused(a ? last.w[1] : last.w[0]));
    }
    *keep /= (float)fit->keep_draws;
    *center /= (float)fit->velocity_draws;
}

/* One axis of one step: keeps or takes w, then moves. dk, dw: dk1/dlogit p_resample and dw/dlogit p_center. */
static __device__ void prw_move(prw_axis *q, int32_t resampled, int32_t w, float dk, float dw)
{
    q->dv[LG_PRW_P_RESAMPLE] = fmaf((float)(w - q->v), dk, resampled ? 0.0f : q->dv[LG_PRW_P_RESAMPLE]);
    q->dv[LG_PRW_P_CENTER] = resampled ? dw : q->dv[LG_PRW_P_CENTER];
    q->dx[0] += q->dv[0];
    q->dx[1] += q->dv[1];
    q->v = resampled ? w : q->v;
    q->x += q->v;
}

/* dk and dw of both axes with one draw e of the Gumbel noise, last the word of class +1. */
static __device__ void prw_gradients(const lg_prw_fit *fit, const int32_t *resampled, const int32_t *w,
                                     const lg_block *e, const uint32_t *last, float *dk, float *dw)
{
    LG_UNROLL
    for (uint32_t a = 0; a < 2u; a++)
        dw[a] = lg_prw_velocity_gradient(fit, w[a], lg_exponential_fused(e[a].w[2]), lg_exponential_fused(e[a].w[3]),
                                         lg_exponential_fused(last[a]));
    dk[0] = dk[1] = lg_prw_keep_ste(fit);
    if (fit->ste) return;
    LG_UNROLL
    for (uint32_t a = 0; a < 2u; a++)
        dk[a] = lg_prw_keep_gs(fit, resampled[a], lg_exponential_fused(e[a].w[0]), lg_exponential_fused(e[a].w[1]));
}

template <int MODE>
static __device__ void prw_step(const lg_view &v, const lg_prw_fit *fit, lg_key key, uint32_t fit_id, uint32_t walker,
                                uint32_t step, prw_axis *axis)
{
    const lg_block b = lg_draw(key, LG_STREAM_PRW_STEP, fit_id, walker, step, 0);
    lg_block e[2], last = {{0, 0, 0, 0}};
    LG_UNROLL
    for (uint32_t a = 0; MODE == PRW_JACOBIAN && a < 2u; a++)
        e[a] = lg_draw(key, LG_STREAM_PRW_GUMBEL, fit_id, walker, step, a);
    if (MODE == PRW_JACOBIAN) last = lg_draw(key, LG_STREAM_PRW_GUMBEL, fit_id, walker, step, 2);
    const int32_t resampled[2] = {lg_prw_resamples(fit, b.w[0]), lg_prw_resamples(fit, b.w[2])};
    const int32_t w[2] = {lg_prw_velocity(fit, b.w[1]), lg_prw_velocity(fit, b.w[3])};
    float dk[2] = {0.0f, 0.0f}, dw[2] = {0.0f, 0.0f};
    if (MODE == PRW_JACOBIAN) {
        lg_prw_fit unit = *fit;
        unit.inv_tau = 1.0f; /* the usual case, compiled without the powers of the others */
        if (LG_SELDOM(fit->inv_tau != 1.0f)) {
            prw_gradients(fit, resampled, w, e, last.w, dk, dw);
        } else {
            prw_gradients(&unit, resampled, w, e, last.w, dk, dw);
        }
    }
    LG_UNROLL
    for (uint32_t a = 0; a < 2u; a++) {
        prw_axis *q = &axis[a];
        if (MODE == PRW_SCORE) {
            q->dv[LG_PRW_P_CENTER] += resampled[a] ? lg_prw_velocity_score(fit, w[a]) : 0.0f;
            q->dv[LG_PRW_P_RESAMPLE] += lg_prw_keep_score(fit, resampled[a]);
        }
        if (MODE == PRW_AVERAGE)
            prw_mean_gradients(v, fit, fit_id, walker, step, a, resampled[a], w[a], &dk[a], &dw[a]);
        if (MODE == PRW_JACOBIAN || MODE == PRW_AVERAGE) {
            prw_move(q, resampled[a], w[a], dk[a], dw[a]);
        } else {
            if (resampled[a]) q->v = w[a];
            q->x += q->v;
        }
    }
}

/* The terms of a batch in shared memory, [steps][walkers]: x^2 + y^2 and, for each parameter, x dx + y dy. */
struct prw_terms {
    long long *square;
    float2 *slope;
};

/* Steps that have a slot of their own there. */
static __host__ __device__ inline uint32_t prw_slots(uint32_t steps)
{
    return steps < (uint32_t)PRW_BATCH ? steps : (uint32_t)PRW_BATCH;
}

template <int MODE> static __device__ void prw_put(const prw_terms &terms, uint32_t at, const prw_axis *axis)
{
    terms.square[at] = (long long)axis[0].x * axis[0].x + (long long)axis[1].x * axis[1].x;
    if (MODE == PRW_PLAIN) return;
    const float x = (float)axis[0].x, y = (float)axis[1].x;
    terms.slope[at] = make_float2(fmaf(x, axis[0].dx[0], y * axis[1].dx[0]), fmaf(x, axis[0].dx[1], y * axis[1].dx[1]));
}

/* Sums of a batch of steps over the block's walkers. */
template <int MODE> static __device__ void prw_sum(const prw_terms &terms, uint32_t steps, double *out)
{
    const uint32_t step = threadIdx.x / PRW_LANES, lane = threadIdx.x % PRW_LANES;
    if (threadIdx.x / 32u * 32u >= steps * PRW_LANES)
        return; /* a warp without a step; the lanes of others stay for the shuffles */
    const uint32_t pair = (step < steps ? step : 0u) * (PRW_THREADS / 2) + lane;
    const longlong2 *square = (const longlong2 *)terms.square + pair;
    const float4 *slope = (const float4 *)terms.slope + pair;
    long long sum = 0;
    float center = 0.0f, resample = 0.0f;
    LG_UNROLL
    for (uint32_t i = 0; i < PRW_THREADS / 2; i += PRW_LANES) {
        sum += square[i].x + square[i].y;
        if (MODE == PRW_PLAIN) continue;
        center += slope[i].x + slope[i].z;
        resample += slope[i].y + slope[i].w;
    }
    double total[2] = {(double)center, (double)resample};
    LG_UNROLL
    for (uint32_t lanes = PRW_LANES / 2; lanes > 0; lanes /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
        if (MODE == PRW_PLAIN) continue;
        total[0] += __shfl_xor_sync(0xffffffffu, total[0], lanes);
        total[1] += __shfl_xor_sync(0xffffffffu, total[1], lanes);
    }
    if (lane > 0 || step >= steps) return;
    out[3u * step] = (double)sum;
    out[3u * step + 1u] = 2.0 * total[0];
    out[3u * step + 2u] = 2.0 * total[1];
}

/* Steps step0 + 1 .. step0 + steps of a block's walkers; starts them where step0 = 0. record: write the sums. */
template <int MODE>
static __global__ void LG_THREADS(PRW_THREADS) prw_walk(lg_view v, uint32_t step0, uint32_t steps, bool record)
{
    LG_SHARED_MEMORY(memory);
    const uint32_t slots = prw_slots(steps);
    const prw_terms terms = {(long long *)memory, (float2 *)(memory + slots * PRW_THREADS * sizeof(long long))};
    const uint32_t f = blockIdx.x / v.parts, part = blockIdx.x % v.parts, walker = part * PRW_THREADS + threadIdx.x;
    if (lg_view_skips(v, f)) return;
    const lg_prw_fit fit = v.prw[f];
    const lg_key key = lg_view_key(v);
    const uint32_t fit_id = lg_view_noise_fit(v, f);
    const bool inside = walker < v.R;
    int32_t *state = (int32_t *)v.state + (size_t)f * 4u * v.R + walker;
    double *out = v.replicate_stat + ((size_t)f * v.parts + part) * v.steps * 3u;
    prw_axis axis[2] = {{0, 0, {0.0f, 0.0f}, {0.0f, 0.0f}}, {0, 0, {0.0f, 0.0f}, {0.0f, 0.0f}}};
    if (inside && step0 == 0) {
        prw_start<MODE>(v, &fit, key, fit_id, walker, axis);
    } else if (inside) {
        axis[0].x = state[0];
        axis[1].x = state[v.R];
        axis[0].v = state[2u * v.R];
        axis[1].v = state[3u * v.R];
    }
    for (uint32_t s = 0; !inside && s < slots; s++)
        prw_put<MODE>(terms, s * PRW_THREADS + threadIdx.x, axis); /* zeros */
    for (uint32_t done = 0; done < steps; done += slots) {
        const uint32_t batch = steps - done < slots ? steps - done : slots;
        LG_ROLLED
        for (uint32_t s = 0; inside && s < batch; s++) {
            prw_step<MODE>(v, &fit, key, fit_id, walker, step0 + done + s + 1u, axis);
            prw_put<MODE>(terms, s * PRW_THREADS + threadIdx.x, axis);
        }
        if (LG_SELDOM(record)) { /* seldom: once a batch */
            __syncthreads();
            prw_sum<MODE>(terms, batch, out + (size_t)(step0 + done) * 3u);
            __syncthreads();
        }
    }
    if (!inside) return;
    state[0] = axis[0].x;
    state[v.R] = axis[1].x;
    state[2u * v.R] = axis[0].v;
    state[3u * v.R] = axis[1].v;
}

/* ---- score ------------------------------------------------------------------------------------------------------ */

/* Method score, once MSD_t = 2 mean(x_t^2) is known: walks again with the scores S of the draws so far, and at each record adds
 * d S and d^2 S of the block's walks, d = x^2 - mean, for both parameters. */
static __global__ void LG_THREADS(PRW_THREADS) prw_score(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    double *sums = (double *)memory; /* [records][warps][4] */
    const uint32_t f = blockIdx.x / v.parts, part = blockIdx.x % v.parts, walker = part * PRW_THREADS + threadIdx.x;
    if (lg_view_skips(v, f)) return;
    const lg_prw_fit fit = v.prw[f];
    const lg_key key = lg_view_key(v);
    const uint32_t fit_id = lg_view_noise_fit(v, f), warp = threadIdx.x / 32u;
    double *out = v.score + ((size_t)f * v.parts + part) * v.records * 4u;
    prw_axis axis[2] = {{0, 0, {0.0f, 0.0f}, {0.0f, 0.0f}}, {0, 0, {0.0f, 0.0f}, {0.0f, 0.0f}}};
    if (walker < v.R) prw_start<PRW_SCORE>(v, &fit, key, fit_id, walker, axis);
    for (uint32_t step = 1, record = 0; record < v.records; step++) {
        if (walker < v.R) prw_step<PRW_SCORE>(v, &fit, key, fit_id, walker, step, axis);
        if (v.record[record] != step) continue;
        const double mean = 0.5 * v.stat[(size_t)f * v.records + record];
        double own[4] = {0.0, 0.0, 0.0, 0.0};
        LG_UNROLL
        for (uint32_t a = 0; a < 2u; a++) {
            const double d = walker < v.R ? (double)((long long)axis[a].x * axis[a].x) - mean : 0.0;
            LG_UNROLL
            for (int p = 0; p < LG_PRW_PARAMS; p++) {
                own[p] += d * (double)axis[a].dv[p];
                own[2 + p] += d * d * (double)axis[a].dv[p];
            }
        }
        const uint32_t slot = record % PRW_RECORDS;
        LG_UNROLL
        for (uint32_t i = 0; i < 4u; i++) {
            own[i] = lg_warp_sum(own[i]);
            if (threadIdx.x % 32u == 0) sums[(slot * PRW_WARPS + warp) * 4u + i] = own[i];
        }
        record++;
        if (slot + 1u < PRW_RECORDS && record < v.records) continue;
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < 4u * (slot + 1u); i += PRW_THREADS) {
            double total = 0.0;
            for (uint32_t w = 0; w < PRW_WARPS; w++) total += sums[(i / 4u * PRW_WARPS + w) * 4u + i % 4u];
            out[(size_t)(record - slot - 1u) * 4u + i] = total;
        }
        __syncthreads();
    }
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

static void start(lg_dbatch *b, const lg_view &v)
{
    cudaMemsetAsync(v.state, 0, b->layout.bytes[LG_BUF_STATE], b->stream);
}

/* Beyond the steps of the job nothing is recorded. keep: with the Jacobian. */
static void forward(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep)
{
    const dim3 grid(v.F * v.parts), block(PRW_THREADS);
    const bool plain = !keep || v.scores;
    const size_t shared = (size_t)prw_slots(steps) * PRW_THREADS * (sizeof(long long) + (plain ? 0 : sizeof(float2)));
    const bool record = step0 + steps <= v.steps;
    if (plain) LG_LAUNCH(prw_walk<PRW_PLAIN>, grid, block, shared, b->stream, v, step0, steps, record);
    else if (v.average) LG_LAUNCH(prw_walk<PRW_AVERAGE>, grid, block, shared, b->stream, v, step0, steps, record);
    else LG_LAUNCH(prw_walk<PRW_JACOBIAN>, grid, block, shared, b->stream, v, step0, steps, record);
}

/* The statistics are the loss parts. */
static void error(lg_dbatch *, const lg_view &)
{
}

/* The forward pass has made the Jacobian; scores wait for the means. */
static void backward(lg_dbatch *b, const lg_view &v)
{
    if (!v.scores) return;
    LG_LAUNCH(prw_score, dim3(v.F * v.parts), dim3(PRW_THREADS), PRW_RECORDS * PRW_WARPS * 4 * sizeof(double),
              b->stream, v);
    lg_cuda_score_gradient(b, v);
}

static void layout(const lg_job *job, const lg_device *, bool gradients, lg_layout *l)
{
    l->segment = job->steps;
    l->launches = 4;
    l->sample = 4 * sizeof(int32_t);
    l->parts = l->grad_parts = (job->replicates + PRW_THREADS - 1) / PRW_THREADS;
    l->bytes[LG_BUF_CONSTANTS] = job->fits * sizeof(lg_prw_fit);
    l->bytes[LG_BUF_STATE] = (size_t)job->fits * job->replicates * l->sample;
    l->bytes[LG_BUF_REPLICATE_STAT] = (size_t)job->fits * l->parts * job->steps * 3 * sizeof(double);
    if (lg_cuda_scores(job, gradients))
        l->bytes[LG_BUF_SCORE] = (size_t)job->fits * l->parts * job->records * 4 * sizeof(double);
}

#ifndef LG_DEVICE_PASS
const lg_cuda_model lg_cuda_prw = {layout, start, forward, error, backward};
#endif
