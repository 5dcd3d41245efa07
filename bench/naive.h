/* The yardstick of `latgrad bench`: the three models as straight loops over sites and walkers, one thread, bytes
 * for sites, the same noise and the same arithmetic per site as the backends (rules/), no thought given to vector
 * units. They produce the same states, bit for bit. */
#ifndef LG_BENCH_NAIVE_H
#define LG_BENCH_NAIVE_H

#include "backend/cpu/cpu.h"
#include "rules/loss.h"

/* ---- SI: one byte a site ----------------------------------------------------------------------------------------- */

/* One step from x into y; returns the number of newly aware sites. */
uint64_t naive_si_step(const lg_si_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, const uint8_t *x,
                       uint8_t *y);

/* Arguments and result as pair_gradient of lg_si_kernels. */
void naive_si_pair_gradient(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                            uint32_t W, const uint8_t *x, const uint8_t *y, const uint8_t *observed, int kind,
                            double scale, double *out);

/* Adjoints of one step, as backward of lg_si_kernels; flow: [H][W] working memory. */
void naive_si_backward(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                       uint32_t W, const uint8_t *x, double *adj, double *flow, double *grad);

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

/* All walkers from the origin: msd[steps] sums of x^2 + y^2, jacobian[steps][2] their derivatives with respect to
 * the logits (NULL: forward only); both are overwritten. */
void naive_prw_forward_gradient(const lg_prw_fit *fit, lg_noise_id id, uint32_t walkers, uint32_t steps, bool v0_const,
                                int64_t *msd, double *jacobian);

/* ---- MK: one byte a site and species ----------------------------------------------------------------------------- */

/* One step of n and m in place. ea, eb: [H][W] bytes, words: [H][W] working memory; tape: [H][W] bytes or NULL. */
void naive_mk_step(const lg_mk_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, uint8_t *n, uint8_t *m,
                   uint8_t *ea, uint8_t *eb, uint32_t *words, uint8_t *tape);

/* One lattice: `steps` steps from n, m, loss against the planes ref_n, ref_m, gradient with respect to D_A, D_B,
 * k1, k2, k3. Returns false where memory is short. */
bool naive_mk_gradient(const lg_mk_fit *fit, const double *params, lg_estimator estimator, lg_noise_id id, uint32_t H,
                       uint32_t W, uint32_t steps, const uint8_t *n, const uint8_t *m, const uint8_t *ref_n,
                       const uint8_t *ref_m, lg_loss loss, double *value, double *grad);

#endif
