/* Inside the cpu backend: the batch, and the kernels that are compiled once per instruction set.
 *
 * Files kernel_*.c are compiled three times (baseline, AVX2, AVX-512) with LG_ISA defined to a suffix; each compile gives one
 * table of function pointers, chosen once at run time. All float sums use fixed lane counts and no contraction, so the tables
 * give the same bytes. */
#ifndef LG_BACKEND_CPU_CPU_H
#define LG_BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "rules/mk.h"
#include "rules/prw.h"
#include "rules/si.h"

enum { LG_LANES = 16 };

#define LG_PASTE2(a, b) a##_##b
#define LG_PASTE(a, b) LG_PASTE2(a, b)
/* A name that differs between the compiles of one kernel file: LG_ISA_NAME(lg_prw_kernels) -> lg_prw_kernels_avx2 */
#define LG_ISA_NAME(name) LG_PASTE(name, LG_ISA)

/* Who a replicate is, for the noise. */
typedef struct lg_noise_id {
    lg_key key; /* of the iteration */
    uint32_t fit, replicate;
} lg_noise_id;

/* ---- PRW: walkers first..first+count-1 of one fit; state int32 [4][stride] = x, y, vx, vy of all walkers of the fit ---- */
typedef struct lg_prw_kernels {
    /* Steps step0+1 .. step0+steps; draws the initial velocity where step0 = 0. msd: [steps] sums over these walkers of
     * x^2 + y^2 after each step are ADDED (exact integers), NULL if not wanted. */
    void (*forward)(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, uint32_t step0,
                    uint32_t steps, int32_t *state, size_t stride, int64_t *msd);
    /* From the start: jacobian [steps][2] of the sums over these walkers, d(sum x^2 + y^2)/d(logit p_center, logit p_resample),
     * ADDED in double. The caller passes chunks of at most 64 walkers and adds their jacobians in order. */
    void (*jacobian)(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, uint32_t steps,
                     bool v0_const, double *jacobian);
    /* From the start, with d = x^2 - mean[t] of one axis of a walker and its score S up to step t: adds the sums of d S to
     * score[t][0..1] and of d^2 S to score[t][2..3], for logit p_center and logit p_resample. Chunks as for jacobian. */
    void (*score)(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, uint32_t steps, bool v0_const,
                  const double *mean, double *score);
    /* From the start, with adjoints dL/d(x, y) of these walkers after steps record[k], [count][records][2]: adds
     * dL/d(logit p_center, logit p_resample) to gradient[2]. Chunks as for jacobian. */
    void (*pull)(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, bool v0_const,
                 const uint32_t *record, uint32_t records, const float *adjoint, double *gradient);
} lg_prw_kernels;

/* ---- SI: one lattice, packed: row i is words_per_row uint64 words, bit j % 64 of word j / 64; unused bits are 0 ---------- */
typedef struct lg_si_kernels {
    void (*pack)(const uint8_t *bytes, uint32_t H, uint32_t W, uint64_t *bits);
    void (*unpack)(const uint64_t *bits, uint32_t H, uint32_t W, uint8_t *bytes);
    /* One step, rows r0..r1-1, from x into y. scratch: lg_si_scratch_bytes(W) bytes. Returns the number of newly aware sites. */
    uint64_t (*step)(const lg_si_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, uint32_t r0,
                     uint32_t r1, const uint64_t *x, uint64_t *y, void *scratch);
    /* Gradient of a one-step loss for rows r0..r1-1 with adjoint a = dL/dX' given per site as
     * scale * (2 (y - observed)) (kind 0) or the constant `scale` (kind 1): adds sum a (1 - X) weight dp/dbeta and its sum of
     * absolute values to out[0], out[1]. */
    void (*pair_gradient)(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                          uint32_t W, uint32_t r0, uint32_t r1, const uint64_t *x, const uint64_t *y,
                          const uint64_t *observed, int kind, double scale, void *scratch, double *out);
    /* Exact negative log-likelihood of a pair (rows r0..r1-1) and its beta-derivative, from counts of (N, aware or not):
     * adds to counts[2][9] = unaware sites with N aware neighbours that stayed / turned aware. */
    void (*pair_counts)(uint32_t H, uint32_t W, uint32_t r0, uint32_t r1, const uint64_t *x, const uint64_t *observed,
                        uint64_t counts[2][9]);
    /* Squared difference count of two packed states: number of differing sites. */
    uint64_t (*differ)(const uint64_t *a, const uint64_t *b, size_t words);
    /* Backward of one step through the lattice (fits over more than one step), whole lattice: adj [H][W] float is dL/dX' on
     * entry and dL/dX on return; x is the state before the step; adds dL/dbeta to *grad. work: [H][W] floats. */
    void (*backward)(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                     uint32_t W, const uint64_t *x, float *adj, float *work, double *grad);
} lg_si_kernels;

static inline uint32_t lg_si_words(uint32_t W)
{
    return (W + 63u) / 64u;
}
size_t lg_si_scratch_bytes(uint32_t W);

/* ---- MK: one lattice, uint8 planes n, m ------------------------------------------------------------------------------- */
typedef struct lg_mk_kernels {
    /* Step `step` (0, 1, ...), phase 1: excitation of rows r0..r1-1 into padded planes ea, eb (stride W + 2, column 0 and
     * W + 1 are halos), and the reaction words of each site. */
    void (*excite)(const lg_mk_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, uint32_t r0,
                   uint32_t r1, const uint8_t *n, const uint8_t *m, uint8_t *ea, uint8_t *eb, uint32_t *words);
    /* Phase 2: move and react, in place; tape (uint8 [H][W]) may be NULL. qa, qb: the planes' directions. */
    void (*react)(const lg_mk_fit *fit, int qa, int qb, uint32_t H, uint32_t W, uint32_t r0, uint32_t r1, uint8_t *n,
                  uint8_t *m, const uint8_t *ea, const uint8_t *eb, const uint32_t *words, uint8_t *tape);
    /* Backward phase 1 (pointwise): undoes the reaction of rows r0..r1-1, adds to row_sums[r][0..2] (dL/dk), updates the
     * adjoints in the padded float planes la, lb (stride W + 2) and writes the excitation as floats into fa, fb (same). */
    void (*unreact)(const lg_mk_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W,
                    uint32_t r0, uint32_t r1, uint8_t *n, uint8_t *m, const uint8_t *tape, float *la, float *lb,
                    float *fa, float *fb, double (*row_sums)[LG_MK_PARAMS]);
    /* Backward phase 2: one species' direction gradient sum lam T_w(E) added to row_sums[r][species], state walked back,
     * adjoint transported from la into out (padded). w: weights of lg_mk_direction_weights. */
    void (*unmove)(int species, int q, const float *w, uint32_t capacity, uint32_t H, uint32_t W, uint32_t r0,
                   uint32_t r1, uint8_t *plane, const float *lam, const float *e, float *out,
                   double (*row_sums)[LG_MK_PARAMS]);
    /* Adds d log P / dk1..3 of one step's reactions to sums[LG_MK_K1..]: tape of the step, n and m after it. */
    void (*score)(const lg_mk_fit *fit, uint32_t H, uint32_t W, const uint8_t *n, const uint8_t *m, const uint8_t *tape,
                  double *sums);
} lg_mk_kernels;

typedef struct lg_cpu_isa {
    const char *name;
    const lg_prw_kernels *prw;
    const lg_si_kernels *si;
    const lg_mk_kernels *mk;
} lg_cpu_isa;

/* The widest table this machine runs; LATGRAD_ISA=base|avx2|avx512 in the environment chooses a narrower one (for tests). */
const lg_cpu_isa *lg_cpu_select_isa(void);

#endif
