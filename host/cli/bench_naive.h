/* The naive loops of bench/ as whole jobs, with the seeds and noise of the library, so that results can be compared. */
#ifndef LG_CLI_BENCH_NAIVE_H
#define LG_CLI_BENCH_NAIVE_H

#include <stdbool.h>
#include <stdint.h>

/* Lattices are side x side. Iteration 0, fit 0; `replicate` names the noise. */
bool lg_naive_mk_forward(const double *params, uint64_t seed, uint32_t replicate, uint32_t side, uint32_t steps,
                         uint8_t *state);
/* One lattice from `start` against `reference` (both [2][side][side]), loss log_sse. */
bool lg_naive_mk_gradient(const double *params, uint64_t seed, uint32_t side, uint32_t steps, const uint8_t *start,
                          const uint8_t *reference, double *loss, double *grad);
bool lg_naive_si_forward(double beta, uint64_t seed, uint32_t replicate, uint32_t side, uint32_t steps, uint8_t *state);
/* Minibatch 0 of size `replicates` from pairs (frames[k], frames[k + 1]) of one run of `pairs` + 1 frames, loss sse. */
bool lg_naive_si_gradient(double beta, uint64_t seed, uint32_t replicates, uint32_t pairs, uint32_t side,
                          const uint8_t *frames, double *loss, double *grad);
/* msd: sum over walkers after the last step; loss and grad against target[steps], where target is not NULL. */
bool lg_naive_prw(double p_center, double p_resample, uint64_t seed, uint32_t walkers, uint32_t steps,
                  const double *target, int64_t *msd, double *loss, double *grad);

#endif
