/* What the estimators gr and score need besides the models' kernels.
 *
 * gr: the keys of an iteration's further draws of the Gumbel noise, the same for all fits and replicates.
 *
 * score (rules/score.h): dL/dtheta = sum over replicates r of (L - b_r) S_r. The forward kernels add up the scores of their
 * draws, in registers, and each block leaves the sum of its launch in its slot of v.part. Launches end at the moments at which
 * a score is wanted: at the records of statistics, else at the end of the run. There `score_moment` adds the slots, and for MK
 * the scores of the directions, which are drawn again: two Philox blocks a step and lattice are nothing beside its sites. With
 * the parts of the loss that each replicate has, `score_gradient` makes the gradient of it. No backward pass, no tape.
 * PRW: prw.cu has the sums over walks, `score_walks` makes the gradient of them.
 *
 * Threads: a block per replicate (moment) or fit (gradient). Determinism: strided sums in index order, then a fixed tree. */
#include "device.cuh"
extern "C" {
#include "rules/score.h"
}

enum { ESTIMATOR_THREADS = 256, MOST_PARAMS = LG_MK_PARAMS };

static __global__ void LG_THREADS(LG_MAX_REDRAWS) redraw_keys(lg_view v)
{
    if (threadIdx.x < v.draws) v.redraw[threadIdx.x] = lg_redraw_key(lg_view_key(v), threadIdx.x);
}

/* ---- score ------------------------------------------------------------------------------------------------------ */

/* Scores of the directions of steps first .. end - 1 of a lattice's species: this thread's part. */
static __device__ double direction_scores(const lg_view &v, uint32_t f, uint32_t replicate, int species, uint32_t first,
                                          uint32_t end)
{
    const lg_key key = lg_view_key(v);
    const uint32_t fit_id = lg_view_noise_fit(v, f);
    const double D = v.params[(size_t)f * v.P + LG_MK_D_A + species];
    double sum = 0.0;
    for (uint32_t step = first + threadIdx.x; step < end; step += ESTIMATOR_THREADS)
        sum += lg_mk_direction_score(D, lg_mk_draw_direction(v.mk + f, key, fit_id, replicate, step, species));
    return sum;
}

/* The score of the draws up to step `end`; that up to `first` is the moment's before. */
static __global__ void LG_THREADS(ESTIMATOR_THREADS)
    score_moment(lg_view v, uint32_t moments, uint32_t moment, uint32_t first, uint32_t end)
{
    LG_SHARED_MEMORY(memory);
    const uint32_t fr = blockIdx.x, f = fr / v.R;
    if (lg_view_skips(v, f)) return;
    double *score = v.score + ((size_t)fr * moments + moment) * v.P;
    for (uint32_t p = 0; p < v.P; p++) {
        const bool direction = v.mk && p <= LG_MK_D_B;
        const double *part = v.part + (size_t)fr * v.grad_parts * v.P + p;
        double sum = 0.0;
        if (direction) sum = direction_scores(v, f, fr % v.R, (int)p - LG_MK_D_A, first, end);
        else
            for (uint32_t i = threadIdx.x; i < v.grad_parts; i += ESTIMATOR_THREADS) sum += part[(size_t)i * v.P];
        sum = lg_block_sum(sum, (double *)memory, threadIdx.x, ESTIMATOR_THREADS);
        if (threadIdx.x == 0) score[p] = direction && first > 0 ? score[(int)p - (int)v.P] + sum : sum;
    }
}

/* What a replicate adds to a sum of squares, of sites or of differences in newly aware sites. */
static __device__ inline double squares_of(const lg_view &v, size_t fr)
{
    const double d = (double)(long long)v.error[fr];
    return v.loss == LG_LOSS_count ? d * d : d;
}

/* L - b_r at a moment. S: the sum of squares of all replicates. */
static __device__ double score_weight(const lg_view &v, uint32_t f, size_t fr, uint32_t moment, double S)
{
    const double R = v.R;
    if (!v.target_stat) {
        const double own = squares_of(v, fr), entries = R * v.species * (double)((size_t)v.H * v.W);
        return v.loss == LG_LOSS_count ? lg_score_count(S, own, R) : lg_score_state(v.loss, S, own, entries, R);
    }
    const size_t K = (size_t)v.records * v.statistics, at = (size_t)moment * v.statistics;
    double sum = 0.0;
    for (size_t k = at; k < at + v.statistics; k++)
        sum += lg_score_statistic(v.stat_adjoint[f * K + k], v.weight_stat[(size_t)f * v.stat_stride + k],
                                  v.stat[f * K + k], v.replicate_stat[fr * K + k], R);
    return sum;
}

static __global__ void LG_THREADS(ESTIMATOR_THREADS) score_gradient(lg_view v, uint32_t moments)
{
    LG_SHARED_MEMORY(memory);
    double *scratch = (double *)memory, S = 0.0, sum[MOST_PARAMS] = {0.0, 0.0, 0.0, 0.0, 0.0};
    const uint32_t f = blockIdx.x;
    if (lg_view_skips(v, f)) return;
    for (uint32_t r = threadIdx.x; r < v.R && !v.target_stat; r += ESTIMATOR_THREADS)
        S += squares_of(v, (size_t)f * v.R + r);
    S = lg_block_sum(S, scratch, threadIdx.x, ESTIMATOR_THREADS);
    for (size_t i = threadIdx.x; i < (size_t)v.R * moments; i += ESTIMATOR_THREADS) {
        const size_t fr = (size_t)f * v.R + i / moments;
        const double weight = score_weight(v, f, fr, (uint32_t)(i % moments), S),
                     *score = v.score + ((size_t)f * v.R * moments + i) * v.P;
        LG_UNROLL
        for (uint32_t p = 0; p < MOST_PARAMS; p++)
            if (p < v.P) sum[p] += weight * score[p];
    }
    LG_UNROLL
    for (uint32_t p = 0; p < MOST_PARAMS; p++) {
        const double total = lg_block_sum(sum[p], scratch, threadIdx.x, ESTIMATOR_THREADS);
        if (p < v.P && threadIdx.x == 0) v.gradient[(size_t)f * v.P + p] = total;
    }
}

static __global__ void LG_THREADS(ESTIMATOR_THREADS) score_walks(lg_view v)
{
    LG_SHARED_MEMORY(memory);
    const uint32_t f = blockIdx.x;
    if (lg_view_skips(v, f)) return;
    const double *adjoint = v.stat_adjoint + (size_t)f * v.records, *weight = v.weight_stat + (size_t)f * v.stat_stride;
    for (uint32_t p = 0; p < LG_PRW_PARAMS; p++) {
        double sum = 0.0;
        for (uint32_t k = threadIdx.x; k < v.records; k += ESTIMATOR_THREADS) {
            double once = 0.0, twice = 0.0;
            for (uint32_t i = 0; i < v.parts; i++) {
                const double *part = v.score + (((size_t)f * v.parts + i) * v.records + k) * 4u;
                once += part[p];
                twice += part[2u + p];
            }
            sum += lg_score_walks(adjoint[k], weight[k], once, twice, (double)v.R);
        }
        sum = lg_block_sum(sum, (double *)memory, threadIdx.x, ESTIMATOR_THREADS);
        if (threadIdx.x == 0) v.gradient[(size_t)f * LG_PRW_PARAMS + p] = sum;
    }
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

static const size_t scratch_bytes = ESTIMATOR_THREADS * sizeof(double);

void lg_cuda_redraw(lg_dbatch *b, const lg_view &v)
{
    if (v.average) LG_LAUNCH(redraw_keys, dim3(1), dim3(LG_MAX_REDRAWS), 0, b->stream, v);
}

void lg_cuda_score_moment(lg_dbatch *b, const lg_view &v, uint32_t moment, uint32_t first, uint32_t end)
{
    LG_LAUNCH(score_moment, dim3(v.F * v.R), dim3(ESTIMATOR_THREADS), scratch_bytes, b->stream, v,
              lg_cuda_moments(b->job), moment, first, end);
}

void lg_cuda_score_gradient(lg_dbatch *b, const lg_view &v)
{
    if (v.prw) LG_LAUNCH(score_walks, dim3(v.F), dim3(ESTIMATOR_THREADS), scratch_bytes, b->stream, v);
    else
        LG_LAUNCH(score_gradient, dim3(v.F), dim3(ESTIMATOR_THREADS), scratch_bytes, b->stream, v,
                  lg_cuda_moments(b->job));
}
