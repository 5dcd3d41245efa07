#include "cli/bench_naive.h"

#include "bench/naive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 50, MAX_STEPS = 64 };

static lg_noise_id noise(uint64_t seed, uint32_t replicate)
{
    const lg_noise_id id = {lg_iteration_key(seed, 0), 0, replicate};
    return id;
}

bool lg_naive_mk_forward(const double *params, uint64_t seed, uint32_t replicate, uint32_t side, uint32_t steps,
                         uint8_t *state)
{
    const size_t sites = (size_t)side * side;
    uint8_t *excited = malloc(2 * sites);
    uint32_t *words = malloc(sites * sizeof *words);
    const bool ok = excited && words;
    lg_mk_fit fit;
    lg_mk_prepare(params, 0.005, CAPACITY, 1.0, &fit);
    for (uint32_t t = 0; t < steps && ok; t++) {
        naive_mk_step(&fit, noise(seed, replicate), t, side, side, state, state + sites, excited, excited + sites,
                      words, NULL);
    }
    free(excited);
    free(words);
    return ok;
}

bool lg_naive_mk_gradient(const double *params, uint64_t seed, uint32_t side, uint32_t steps, const uint8_t *start,
                          const uint8_t *reference, double *loss, double *grad)
{
    const size_t sites = (size_t)side * side;
    lg_mk_fit fit;
    lg_mk_prepare(params, 0.005, CAPACITY, 1.0, &fit);
    return naive_mk_gradient(&fit, params, LG_ESTIMATOR_ste, noise(seed, 0), side, side, steps, start, start + sites,
                             reference, reference + sites, LG_LOSS_log_sse, loss, grad);
}

bool lg_naive_si_forward(double beta, uint64_t seed, uint32_t replicate, uint32_t side, uint32_t steps, uint8_t *state)
{
    const size_t sites = (size_t)side * side;
    uint8_t *other = malloc(sites), *x = state, *y = other;
    lg_si_fit fit;
    lg_si_prepare(beta, log1p(-beta), 1.0, &fit);
    if (!other) return false;
    for (uint32_t t = 0; t < steps; t++) {
        naive_si_step(&fit, noise(seed, replicate), t, side, side, x, y);
        uint8_t *swap = x;
        x = y;
        y = swap;
    }
    if (x != state) memcpy(state, x, sites);
    free(other);
    return true;
}

bool lg_naive_si_gradient(double beta, uint64_t seed, uint32_t replicates, uint32_t pairs, uint32_t side,
                          const uint8_t *frames, double *loss, double *grad)
{
    const size_t sites = (size_t)side * side;
    uint8_t *y = malloc(sites);
    double out[2] = {0};
    lg_si_fit fit;
    lg_si_prepare(beta, log1p(-beta), 1.0, &fit);
    if (!y) return false;
    *loss = 0;
    for (uint32_t r = 0; r < replicates; r++) {
        const uint8_t *x = frames + lg_pair_index(seed, 0, replicates, r, pairs) * sites, *observed = x + sites;
        naive_si_step(&fit, noise(seed, r), 0, side, side, x, y);
        naive_si_pair_gradient(&fit, LG_ESTIMATOR_ste, noise(seed, r), 0, side, side, x, y, observed, 0, 1.0, out);
        for (size_t i = 0; i < sites; i++) *loss += y[i] != observed[i];
    }
    *grad = out[0];
    free(y);
    return true;
}

bool lg_naive_prw(double p_center, double p_resample, uint64_t seed, uint32_t walkers, uint32_t steps,
                  const double *target, int64_t *msd, double *loss, double *grad)
{
    int64_t sums[MAX_STEPS];
    double jacobian[MAX_STEPS * LG_PRW_PARAMS];
    lg_prw_fit fit;
    if (steps > MAX_STEPS) return false;
    lg_prw_prepare(p_center, p_resample, LG_ESTIMATOR_gs, 1.0, &fit);
    naive_prw_forward_gradient(&fit, noise(seed, 0), walkers, steps, false, sums, target ? jacobian : NULL);
    *msd = sums[steps - 1];
    if (!target) return true;
    *loss = grad[0] = grad[1] = 0;
    for (uint32_t t = 0; t < steps; t++) {
        const double e = (double)sums[t] / walkers - target[t];
        *loss += e * e;
        for (int p = 0; p < LG_PRW_PARAMS; p++) grad[p] += 2 * e * jacobian[t * LG_PRW_PARAMS + (uint32_t)p] / walkers;
    }
    return true;
}
