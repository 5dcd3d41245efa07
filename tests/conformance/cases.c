#include "conformance/conformance.h"

#include "rules/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SI LG_MODEL_SI
#define PRW LG_MODEL_PRW
#define MK LG_MODEL_MK
#define T(name) LG_TASK_##name
#define L(name) LG_LOSS_##name
#define E(name) LG_ESTIMATOR_##name
/* Last columns. SHARED by all fits of the case, or OWN: data, optimiser, numbers in the noise. PATHWISE: estimator of draws among
 * several classes, draws of the noise, temperature at the end. */
#define SHARED                                         \
    false,                                             \
    {                                                  \
        LG_GRADIENT_pathwise, LG_ESTIMATOR_ste, 0, 0.0 \
    }
#define OWN                                            \
    true,                                              \
    {                                                  \
        LG_GRADIENT_pathwise, LG_ESTIMATOR_ste, 0, 0.0 \
    }
#define PATHWISE(own, categorical, draws, tau_end)           \
    own,                                                     \
    {                                                        \
        LG_GRADIENT_pathwise, E(categorical), draws, tau_end \
    }
#define SCORE(own)                                  \
    own,                                            \
    {                                               \
        LG_GRADIENT_score, LG_ESTIMATOR_ste, 0, 0.0 \
    }

/* Odd sizes, the smallest lattice, capacities up to 255, certain and impossible events, one walker, one step, lattices
 * that fit a block and lattices that do not, whole tapes and segments. */
/* clang-format off */
const lg_case lg_cases[] = {
    /* name, model, task, loss, estimator, tau, H, W, N, gamma, params, F, R, T, pool, segmented, v0_const, own, gradient */
    {"mk-64", MK, T(stability), L(log_sse), E(ste), 1.0, 64, 64, 50, 0.5, {0.3, 0.4, 0.98, 0.1, 0.2}, 1, 2, 6, 1, false, false, SHARED},
    {"mk-smallest", MK, T(stability), L(mse), E(ste), 1.0, 3, 3, 4, 0.9, {0.5, 0.2, 0.9, 0.5, 0.5}, 3, 2, 9, 2, false, false, SHARED},
    {"mk-odd", MK, T(stability), L(sse), E(gs), 1.0, 7, 13, 20, 0.9, {0.2, 0.9, 0.7, 0.6, 0.8}, 2, 3, 40, 3, false, false, SHARED},
    {"mk-tau", MK, T(stability), L(mse), E(gs), 0.5, 9, 6, 255, 0.0035, {0.6, 0.4, 0.7, 0.9, 0.8}, 2, 2, 12, 1, false, false, SHARED},
    {"mk-log-gs", MK, T(stability), L(log_sse), E(gs), 1.0, 12, 33, 50, 0.018, {0.6, 0.4, 0.7, 0.9, 0.8}, 1, 2, 5, 1, false, false, SHARED},
    {"mk-sse", MK, T(stability), L(sse), E(ste), 1.0, 5, 40, 30, 0.5, {0.1, 0.4, 0.98, 0.1, 0.2}, 4, 1, 33, 1, false, false, SHARED},
    {"mk-ends", MK, T(stability), L(mse), E(ste), 1.0, 6, 5, 10, 3.0, {0.0, 1.0, 1.0, 1.0, 0.0}, 1, 3, 8, 1, false, false, SHARED},
    {"mk-segments", MK, T(stability), L(log_sse), E(ste), 1.0, 16, 16, 50, 0.8, {0.3, 0.4, 0.98, 0.1, 0.2}, 2, 2, 64, 1, true, false, SHARED},
    {"mk-pairs", MK, T(transition), L(sse), E(ste), 1.0, 10, 10, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 5, 1, 7, false, false, SHARED},
    {"mk-pairs-mse", MK, T(transition), L(mse), E(ste), 1.0, 8, 9, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 4, 1, 4, false, false, SHARED},
    {"mk-pairs-gs", MK, T(transition), L(sse), E(gs), 1.0, 8, 8, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 4, 1, 9, false, false, SHARED},
    {"mk-pairs-mse-gs", MK, T(transition), L(mse), E(gs), 2.0, 8, 8, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 4, 1, 9, false, false, SHARED},
    {"mk-curve", MK, T(trajectory), L(stat), E(ste), 1.0, 11, 8, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 3, 20, 2, false, false, SHARED},
    {"mk-curve-many", MK, T(trajectory), L(stat), E(ste), 1.0, 3, 3, 20, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 230, 9, 2, false, false, SHARED},
    {"mk-curve-gs", MK, T(trajectory), L(stat), E(gs), 1.0, 8, 11, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 64, 2, true, false, SHARED},
    {"mk-tall", MK, T(stability), L(log_sse), E(ste), 1.0, 130, 5, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 1, 4, 1, false, false, SHARED},
    {"mk-two-pairs", MK, T(stability), L(sse), E(ste), 1.0, 64, 30, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 4, 1, false, false, SHARED},
    {"mk-large", MK, T(stability), L(log_sse), E(ste), 1.0, 67, 131, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 1, 5, 1, false, false, SHARED},
    {"mk-large-gs", MK, T(trajectory), L(stat), E(gs), 1.0, 8, 514, 50, 0.018, {0.9, 0.4, 0.98, 0.3, 0.2}, 1, 1, 20, 1, true, false, SHARED},
    {"mk-cluster", MK, T(trajectory), L(stat), E(gs), 1.0, 33, 32, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 64, 1, true, false, SHARED},
    {"mk-many", MK, T(stability), L(log_sse), E(ste), 1.0, 16, 16, 50, 0.8, {0.3, 0.4, 0.98, 0.1, 0.2}, 1, 17, 6, 1, false, false, SHARED},
    {"mk-many-two", MK, T(stability), L(log_sse), E(ste), 1.0, 30, 40, 50, 0.8, {0.3, 0.4, 0.98, 0.1, 0.2}, 1, 17, 2, 1, false, false, SHARED},
    {"mk-many-four", MK, T(stability), L(log_sse), E(ste), 1.0, 48, 48, 50, 0.8, {0.3, 0.4, 0.98, 0.1, 0.2}, 1, 17, 2, 1, false, false, SHARED},
    {"mk-form", MK, T(formation), L(stat), E(ste), 1.0, 12, 14, 50, 0.8, {0.3, 0.4, 0.98, 0.1, 0.2}, 2, 2, 9, 2, false, false, SHARED},
    {"mk-form-gs", MK, T(formation), L(stat), E(gs), 1.0, 9, 14, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 3, 26, 1, true, false, SHARED},
    {"mk-form-wide", MK, T(formation), L(stat), E(ste), 1.0, 3, 514, 50, 0.8, {0.9, 0.8, 0.98, 0.3, 0.2}, 1, 1, 5, 1, false, false, SHARED},
    {"mk-wide", MK, T(stability), L(mse), E(ste), 1.0, 3, 520, 50, 0.8, {0.9, 0.8, 0.98, 0.3, 0.2}, 1, 1, 20, 1, true, false, SHARED},

    {"si-pairs", SI, T(transition), L(sse), E(ste), 1.0, 64, 64, 1, 0, {0.2}, 2, 4, 1, 9, false, false, SHARED},
    {"si-pairs-gs", SI, T(transition), L(sse), E(gs), 1.0, 9, 37, 1, 0, {0.4}, 2, 3, 1, 9, false, false, SHARED},
    {"si-pairs-mse", SI, T(transition), L(mse), E(ste), 1.0, 3, 3, 1, 0, {0.6}, 1, 5, 1, 5, false, false, SHARED},
    {"si-pairs-many", SI, T(transition), L(mse), E(ste), 1.0, 3, 3, 1, 0, {0.3}, 1, 300, 1, 11, false, false, SHARED},
    {"si-pairs-mse-gs", SI, T(transition), L(mse), E(gs), 0.5, 5, 6, 1, 0, {0.6}, 1, 5, 1, 5, false, false, SHARED},
    {"si-count", SI, T(transition), L(count), E(ste), 1.0, 12, 65, 1, 0, {0.3}, 2, 4, 1, 9, false, false, SHARED},
    {"si-count-gs", SI, T(transition), L(count), E(gs), 1.0, 12, 20, 1, 0, {0.3}, 1, 4, 1, 9, false, false, SHARED},
    {"si-nll", SI, T(transition), L(nll), E(ste), 1.0, 20, 33, 1, 0, {0.3}, 2, 4, 1, 9, false, false, SHARED},
    {"si-nll-gs", SI, T(transition), L(nll), E(gs), 1.0, 4, 4, 1, 0, {0.3}, 1, 4, 1, 9, false, false, SHARED},
    {"si-none", SI, T(transition), L(sse), E(ste), 1.0, 8, 8, 1, 0, {0.0}, 1, 2, 1, 3, false, false, SHARED},
    {"si-all", SI, T(transition), L(sse), E(ste), 1.0, 8, 8, 1, 0, {1.0}, 1, 2, 1, 3, false, false, SHARED},
    {"si-curve", SI, T(trajectory), L(stat), E(ste), 1.0, 21, 34, 1, 0, {0.1}, 2, 3, 7, 2, false, false, SHARED},
    {"si-curve-gs", SI, T(trajectory), L(stat), E(gs), 1.0, 6, 7, 1, 0, {0.004}, 1, 3, 230, 2, true, false, SHARED},
    {"si-state", SI, T(stability), L(sse), E(ste), 1.0, 32, 64, 1, 0, {0.05}, 2, 2, 6, 2, false, false, SHARED},
    {"si-state-gs", SI, T(stability), L(sse), E(gs), 1.0, 7, 70, 1, 0, {0.05}, 1, 2, 6, 1, false, false, SHARED},
    {"si-state-mse", SI, T(stability), L(mse), E(ste), 1.0, 5, 8, 1, 0, {0.003}, 1, 2, 230, 1, true, false, SHARED},
    {"si-state-mse-gs", SI, T(stability), L(mse), E(gs), 1.0, 15, 31, 1, 0, {0.05}, 1, 2, 4, 1, false, false, SHARED},
    {"si-state-log", SI, T(stability), L(log_sse), E(ste), 1.0, 32, 32, 1, 0, {0.07}, 1, 2, 4, 1, false, false, SHARED},
    {"si-state-log-gs", SI, T(stability), L(log_sse), E(gs), 1.0, 32, 32, 1, 0, {0.07}, 1, 2, 4, 1, false, false, SHARED},
    {"si-large", SI, T(stability), L(sse), E(ste), 1.0, 130, 161, 1, 0, {0.05}, 1, 1, 14, 1, true, false, SHARED},
    {"si-large-curve", SI, T(trajectory), L(stat), E(gs), 1.0, 129, 190, 1, 0, {0.05}, 2, 1, 3, 1, false, false, SHARED},
    {"si-tall", SI, T(trajectory), L(stat), E(ste), 1.0, 547, 30, 1, 0, {0.1}, 1, 1, 5, 1, false, false, SHARED},
    {"si-words", SI, T(stability), L(sse), E(gs), 1.0, 86, 192, 1, 0, {0.04}, 1, 1, 7, 1, true, false, SHARED},
    {"si-large-pairs", SI, T(transition), L(sse), E(ste), 1.0, 140, 160, 1, 0, {0.3}, 1, 2, 1, 2, false, false, SHARED},

    {"prw", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.2, 0.1}, 2, 300, 10, 1, false, false, SHARED},
    {"prw-many", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.6, 0.4}, 258, 3, 2, 1, false, false, SHARED},
    {"prw-one", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.7, 0.5}, 1, 1, 1, 1, false, false, SHARED},
    {"prw-long", PRW, T(trajectory), L(sse), E(gs), 0.7, 0, 0, 0, 0, {0.3, 0.9}, 3, 129, 37, 1, false, false, SHARED},
    {"prw-const", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.3, 0.6}, 1, 64, 20, 1, false, true, SHARED},

    {"own-mk-pairs", MK, T(transition), L(sse), E(ste), 1.0, 8, 9, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 3, 4, 1, 7, false, false, OWN},
    {"own-mk-curve", MK, T(trajectory), L(stat), E(gs), 1.0, 8, 8, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 3, 3, 64, 4, true, false, OWN},
    {"own-mk-form", MK, T(formation), L(stat), E(ste), 1.0, 8, 8, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 3, 2, 20, 4, false, false, OWN},
    {"own-mk-large", MK, T(stability), L(log_sse), E(ste), 1.0, 34, 122, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 3, 1, 4, 3, false, false, OWN},
    {"own-si-pairs", SI, T(transition), L(sse), E(gs), 1.0, 9, 37, 1, 0, {0.4}, 3, 3, 1, 9, false, false, OWN},
    {"own-si-nll", SI, T(transition), L(nll), E(ste), 1.0, 20, 33, 1, 0, {0.3}, 3, 4, 1, 9, false, false, OWN},
    {"own-si-curve", SI, T(trajectory), L(stat), E(ste), 1.0, 21, 34, 1, 0, {0.1}, 3, 3, 7, 4, false, false, OWN},
    {"own-si-large", SI, T(trajectory), L(stat), E(gs), 1.0, 129, 190, 1, 0, {0.05}, 3, 1, 3, 3, false, false, OWN},
    {"own-prw", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.3, 0.4}, 3, 150, 12, 1, false, false, OWN},

    /* several draws of the Gumbel noise, of reactions, of directions or of both */
    {"gr-mk", MK, T(stability), L(log_sse), E(gr), 1.0, 9, 8, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 2, 6, 1, false, false, PATHWISE(false, gr, 3, 0)},
    {"gr-mk-cluster", MK, T(stability), L(sse), E(gr), 0.7, 16, 16, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 4, 1, false, false, PATHWISE(false, gs, 3, 0)},
    {"gr-mk-directions", MK, T(stability), L(mse), E(ste), 1.0, 9, 8, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 11, 1, false, false, PATHWISE(false, gr, 4, 0)},
    {"gr-mk-mixed", MK, T(stability), L(mse), E(gs), 1.0, 5, 6, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 5, 1, false, false, PATHWISE(false, gr, 2, 0)},
    {"gr-mk-large", MK, T(stability), L(mse), E(gr), 1.0, 3, 514, 50, 0.018, {0.9, 0.4, 0.98, 0.3, 0.2}, 1, 1, 2, 1, false, false, PATHWISE(false, gr, 2, 0)},
    {"gr-mk-pairs", MK, T(transition), L(sse), E(gr), 1.0, 10, 13, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 6, 1, 7, false, false, PATHWISE(true, gr, 3, 0)},
    {"gr-mk-pairs-mse", MK, T(transition), L(mse), E(gr), 1.0, 10, 40, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 4, 1, 7, false, false, PATHWISE(false, gr, 64, 0)},
    {"gr-mk-curve", MK, T(trajectory), L(stat), E(gr), 1.0, 8, 8, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 64, 2, true, false, PATHWISE(false, gr, 3, 0)},
    {"gr-mk-form", MK, T(formation), L(stat), E(gr), 1.0, 8, 10, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 10, 1, false, false, PATHWISE(false, gr, 3, 0)},
    {"gr-si-pairs", SI, T(transition), L(sse), E(gr), 1.0, 9, 37, 1, 0, {0.4}, 2, 3, 1, 9, false, false, PATHWISE(false, ste, 3, 0)},
    {"gr-si-pairs-mse", SI, T(transition), L(mse), E(gr), 0.5, 12, 40, 1, 0, {0.4}, 1, 4, 1, 5, false, false, PATHWISE(false, ste, 2, 0)},
    {"gr-si-count", SI, T(transition), L(count), E(gr), 1.0, 12, 40, 1, 0, {0.4}, 2, 4, 1, 5, false, false, PATHWISE(true, ste, 3, 0)},
    {"gr-si-nll", SI, T(transition), L(nll), E(gr), 1.0, 12, 40, 1, 0, {0.4}, 1, 4, 1, 5, false, false, PATHWISE(false, ste, 3, 0)},
    {"gr-si-curve", SI, T(trajectory), L(stat), E(gr), 1.0, 11, 14, 1, 0, {0.1}, 2, 2, 5, 2, false, false, PATHWISE(false, ste, 3, 0)},
    {"gr-si-state", SI, T(stability), L(sse), E(gr), 1.0, 15, 31, 1, 0, {0.05}, 1, 2, 4, 1, false, false, PATHWISE(false, ste, 3, 0)},
    {"gr-si-state-mse", SI, T(stability), L(mse), E(gr), 1.0, 15, 31, 1, 0, {0.05}, 1, 2, 4, 1, false, false, PATHWISE(false, ste, 3, 0)},
    {"gr-si-state-log", SI, T(stability), L(log_sse), E(gr), 2.0, 15, 31, 1, 0, {0.05}, 1, 2, 4, 1, false, false, PATHWISE(false, ste, 3, 0)},
    {"gr-si-large", SI, T(stability), L(sse), E(gr), 1.0, 129, 130, 1, 0, {0.05}, 1, 1, 2, 1, false, false, PATHWISE(false, ste, 2, 0)},
    {"gr-prw", PRW, T(trajectory), L(sse), E(gr), 1.0, 0, 0, 0, 0, {0.3, 0.4}, 2, 150, 6, 1, false, false, PATHWISE(false, gr, 3, 0)},
    {"gr-prw-velocity", PRW, T(trajectory), L(sse), E(ste), 1.0, 0, 0, 0, 0, {0.3, 0.4}, 2, 150, 6, 1, false, false, PATHWISE(true, gr, 4, 0)},
    {"gr-prw-keep", PRW, T(trajectory), L(sse), E(gr), 0.7, 0, 0, 0, 0, {0.3, 0.4}, 1, 130, 12, 1, false, true, PATHWISE(false, gs, 3, 0)},

    /* a temperature of its own in each iteration */
    {"tau-mk", MK, T(stability), L(mse), E(gs), 2.0, 9, 20, 50, 0.018, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 2, 3, 1, false, false, PATHWISE(false, gs, 1, 0.3)},
    {"tau-si", SI, T(transition), L(sse), E(gs), 2.0, 12, 40, 1, 0, {0.4}, 2, 4, 1, 9, false, false, PATHWISE(false, ste, 1, 0.3)},
    {"tau-prw", PRW, T(trajectory), L(sse), E(gr), 2.0, 0, 0, 0, 0, {0.3, 0.4}, 2, 150, 6, 1, false, false, PATHWISE(false, gr, 2, 0.3)},

    {"score-mk", MK, T(stability), L(log_sse), E(ste), 1.0, 9, 8, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 3, 6, 1, false, false, SCORE(false)},
    {"score-mk-cluster", MK, T(stability), L(sse), E(ste), 1.0, 16, 16, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 4, 1, false, false, SCORE(false)},
    {"score-mk-two-pairs", MK, T(stability), L(mse), E(ste), 1.0, 36, 30, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 17, 1, 1, false, false, SCORE(false)},
    {"score-mk-large", MK, T(stability), L(mse), E(ste), 1.0, 3, 514, 50, 0.8, {0.9, 0.4, 0.98, 0.3, 0.2}, 1, 2, 3, 1, false, false, SCORE(false)},
    {"score-mk-pairs", MK, T(transition), L(sse), E(ste), 1.0, 14, 19, 50, 0.4, {0.3, 0.4, 0.98, 0.3, 0.2}, 2, 3, 1, 9, false, false, SCORE(true)},
    {"score-mk-pairs-mse", MK, T(transition), L(mse), E(ste), 1.0, 10, 40, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 4, 1, 7, false, false, SCORE(false)},
    {"score-mk-curve", MK, T(trajectory), L(stat), E(ste), 1.0, 8, 11, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 10, 2, false, false, SCORE(false)},
    {"score-mk-form", MK, T(formation), L(stat), E(ste), 1.0, 8, 10, 50, 0.8, {0.3, 0.4, 0.98, 0.3, 0.2}, 1, 2, 10, 1, false, false, SCORE(false)},
    {"score-si-pairs", SI, T(transition), L(sse), E(ste), 1.0, 9, 37, 1, 0, {0.4}, 2, 3, 1, 9, false, false, SCORE(false)},
    {"score-si-pairs-mse", SI, T(transition), L(mse), E(ste), 1.0, 12, 40, 1, 0, {0.4}, 1, 4, 1, 5, false, false, SCORE(false)},
    {"score-si-count", SI, T(transition), L(count), E(ste), 1.0, 12, 40, 1, 0, {0.4}, 2, 3, 1, 5, false, false, SCORE(true)},
    {"score-si-curve", SI, T(trajectory), L(stat), E(ste), 1.0, 11, 14, 1, 0, {0.1}, 1, 3, 11, 2, false, false, SCORE(false)},
    {"score-si-state", SI, T(stability), L(sse), E(ste), 1.0, 15, 31, 1, 0, {0.05}, 1, 3, 4, 1, false, false, SCORE(false)},
    {"score-si-state-mse", SI, T(stability), L(mse), E(ste), 1.0, 15, 31, 1, 0, {0.05}, 1, 3, 4, 1, false, false, SCORE(false)},
    {"score-si-state-log", SI, T(stability), L(log_sse), E(ste), 1.0, 15, 31, 1, 0, {0.05}, 1, 3, 4, 1, false, false, SCORE(false)},
    {"score-si-all", SI, T(stability), L(sse), E(ste), 1.0, 12, 40, 1, 0, {1.0}, 1, 2, 2, 1, false, false, SCORE(false)},
    {"score-si-large", SI, T(trajectory), L(stat), E(ste), 1.0, 129, 130, 1, 0, {0.05}, 1, 2, 10, 1, false, false, SCORE(false)},
    {"score-prw", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.3, 0.4}, 2, 150, 6, 1, false, false, SCORE(true)},
    {"score-prw-long", PRW, T(trajectory), L(sse), E(gs), 1.0, 0, 0, 0, 0, {0.3, 0.8}, 1, 41, 37, 1, false, true, SCORE(false)},
};
/* clang-format on */
const size_t lg_case_count = sizeof lg_cases / sizeof *lg_cases;

/* Word i of a stream that belongs to the tests alone. */
static uint32_t word(const lg_case *c, uint32_t purpose, uint32_t i)
{
    const lg_key key = {{0x5eed0000u + purpose, c->height * 65536u + c->width}};
    return lg_philox(i / 4, c->capacity, c->steps, 0x7e57u, key).w[i % 4];
}

/* SI: about an eighth aware. MK: a third of the sites empty or full, the rest anything. */
static void fill_states(const lg_case *c, uint32_t purpose, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t w = word(c, purpose, (uint32_t)i), kind = w >> 24;
        if (c->model == LG_MODEL_SI) out[i] = (w & 7u) == 0;
        else out[i] = (uint8_t)(kind < 43 ? 0 : (kind < 86 ? c->capacity : (w & 0xffffu) % (c->capacity + 1)));
    }
}

/* Second halves of the pairs: what was aware stays so, and of the others those next to it may follow. */
static void fill_followers(const lg_case *c, size_t count, const uint8_t *start, uint8_t *out)
{
    const size_t W = c->width, H = c->height;
    for (size_t i = 0; i < count; i++) {
        const size_t site = i % (H * W);
        const uint8_t *plane = start + (i - site);
        const bool near = plane[(site / W + 1) % H * W + site % W] || plane[(site / W + H - 1) % H * W + site % W];
        out[i] = start[i] || (near && (word(c, 3, (uint32_t)i) & 3u) == 0);
    }
}

static bool build_statistics(const lg_case *c, lg_case_job *out)
{
    lg_job *job = &out->job;
    const size_t K = lg_job_kinds(job);
    const size_t tables = c->own ? c->fits : 1;
    out->record = calloc(c->steps, sizeof *out->record);
    out->target_stat = calloc(tables * c->steps * K, sizeof(double));
    out->weight_stat = calloc(tables * c->steps * K, sizeof(double));
    if (!out->record || !out->target_stat || !out->weight_stat) return false;
    for (uint32_t t = 1; t <= c->steps;
         t++) /* every step of short runs, else steps 1, 4, 5, 8, 9, ... and not the last few */
        if (c->steps < 10 || (t % 4 < 2 && t + 2 < c->steps)) out->record[job->records++] = t;
    const size_t count = job->records * K;
    for (size_t i = 0; i < tables * count; i++) {
        const size_t k = i % count, f = i / count;
        out->target_stat[i] = (0.3 + 2.0 * (double)(k / K) + (double)(k % K)) * (1.0 + 0.2 * (double)f);
        out->weight_stat[i] = 1.0 / (1.0 + (double)(k + f));
    }
    job->stat_per_fit = c->own;
    job->record = out->record;
    job->target_stat = out->target_stat;
    job->weight_stat = out->weight_stat;
    return true;
}

static bool build_states(const lg_case *c, lg_case_job *out)
{
    lg_job *job = &out->job;
    const size_t state = (size_t)job->model->species * lg_job_sites(job), pool = c->pool * state;
    const bool pairs = c->task == LG_TASK_transition;
    out->start = calloc(pool, 1);
    if (!out->start) return false;
    fill_states(c, 1, pool, out->start);
    job->start = out->start;
    if (c->task == LG_TASK_trajectory || c->task == LG_TASK_formation) return true;
    out->target = calloc(pairs ? pool : state, 1);
    if (!out->target) return false;
    if (pairs && c->model == LG_MODEL_SI) fill_followers(c, pool, out->start, out->target);
    else fill_states(c, 2, pairs ? pool : state, out->target);
    job->target = out->target;
    return true;
}

static void build_optimizer(const lg_case *c, lg_optimizer *o)
{
    *o = (lg_optimizer){.kind = LG_OPTIMIZER_adam,
                        .lr = 0.01,
                        .beta1 = 0.9,
                        .beta2 = 0.999,
                        .epsilon = 1e-8,
                        .clip = 10.0,
                        .schedule = LG_SCHEDULE_cosine,
                        .decay = 1.0,
                        .period = 1.0,
                        .iterations = 100};
    const lg_model_desc *model = lg_model_at((int)c->model);
    o->params = model->params;
    for (int p = 0; p < model->params; p++) {
        o->fitted[p] = p != 3;
        o->grad_of_logit[p] = model->param[p].grad_of_logit;
        o->transform[p] = c->model == LG_MODEL_PRW ? LG_TRANSFORM_logit : LG_TRANSFORM_none;
        o->lower[p] = 0.0;
        o->upper[p] = 1.0;
    }
}

/* What an ensemble gives its fits; the last two of three share their noise. */
static bool build_own(const lg_case *c, lg_case_job *out)
{
    lg_job *job = &out->job;
    out->fit_optimizer = calloc(c->fits, sizeof *out->fit_optimizer);
    out->noise_fit = calloc(c->fits, sizeof *out->noise_fit);
    out->resample = calloc(c->fits * c->pool, sizeof *out->resample);
    if (!out->fit_optimizer || !out->noise_fit || !out->resample) return false;
    for (uint32_t f = 0; f < c->fits; f++) {
        lg_optimizer *o = &out->fit_optimizer[f];
        *o = job->optimizer;
        o->lr *= 1.0 + f;
        o->beta1 -= 0.1 * f;
        o->clip *= 0.5;
        out->noise_fit[f] = 90u - 7u * ((f + 1) / 2);
    }
    for (uint32_t i = 0; i < c->fits * c->pool; i++) out->resample[i] = word(c, 4, i) % c->pool;
    job->fit_optimizer = out->fit_optimizer;
    job->noise_fit = out->noise_fit;
    if (job->model->species) job->resample = out->resample;
    return true;
}

/* Fit f of a job as a job of its own. */
lg_job lg_case_one(const lg_job *job, uint32_t f)
{
    lg_job one = *job;
    one.fits = 1;
    one.first_fit = job->first_fit + f;
    one.params = job->params + f * (size_t)job->model->params;
    one.memory_limit = 0;
    if (job->fit_optimizer) one.fit_optimizer += f;
    if (job->noise_fit) one.noise_fit += f;
    if (job->resample) one.resample += (size_t)f * job->pool;
    if (job->stat_per_fit) one.target_stat += lg_job_statistic_offset(job, f);
    if (job->stat_per_fit) one.weight_stat += lg_job_statistic_offset(job, f);
    return one;
}

bool lg_case_build(const lg_case *c, lg_case_job *out)
{
    memset(out, 0, sizeof *out);
    const lg_model_desc *model = lg_model_at((int)c->model);
    lg_job *job = &out->job;
    *job = (lg_job){.model = model,
                    .task = c->task,
                    .loss = c->loss,
                    .fits = c->fits,
                    .first_fit = 5,
                    .replicates = c->replicates,
                    .steps = c->steps,
                    .height = c->height,
                    .width = c->width,
                    .capacity = c->capacity,
                    .gamma = c->gamma,
                    .method = c->gradient.method,
                    .binary = c->binary,
                    .categorical = c->gradient.categorical,
                    .draws = c->gradient.draws,
                    .tau_end = c->gradient.tau_end,
                    .tau = c->tau,
                    .v0_const = c->v0_const,
                    .seed = 0x123456789abcull,
                    .pool = c->pool};
    build_optimizer(c, &job->optimizer);
    const size_t P = (size_t)model->params;
    out->params = calloc(c->fits * P, sizeof(double));
    if (!out->params) return false;
    for (size_t f = 0; f < c->fits; f++) /* later fits a little lower */
        for (size_t p = 0; p < P; p++) out->params[f * P + p] = c->params[p] * (1.0 - 0.05 * (double)(f % 8));
    job->params = out->params;
    if (model->species && !build_states(c, out)) return false;
    if (c->own && !build_own(c, out)) return false;
    return (c->task != LG_TASK_trajectory && c->task != LG_TASK_formation) || build_statistics(c, out);
}

void lg_case_clear(lg_case_job *job)
{
    free(job->start);
    free(job->target);
    free(job->record);
    free(job->target_stat);
    free(job->weight_stat);
    free(job->params);
    free(job->fit_optimizer);
    free(job->noise_fit);
    free(job->resample);
    memset(job, 0, sizeof *job);
}

/* Does a case have these? The score does not depend on the estimator. */
static bool covered(lg_model_id model, lg_task task, lg_loss loss, lg_gradient_method method, lg_estimator binary)
{
    for (size_t i = 0; i < lg_case_count; i++) {
        const lg_case *c = &lg_cases[i];
        if (c->model == model && c->task == task && c->loss == loss && c->gradient.method == method &&
            (c->binary == binary || method == LG_GRADIENT_score))
            return true;
    }
    return false;
}

int lg_case_uncovered(void)
{
    static const char *const tasks[] = {
#define TASK_NAME(name, text) #name,
        LG_TASK_LIST(TASK_NAME)};
    static const char *const losses[] = {
#define LOSS_NAME(name, text) #name,
        LG_LOSS_LIST(LOSS_NAME)};
    static const char *const estimators[] = {
#define ESTIMATOR_NAME(name, text) #name,
        LG_ESTIMATOR_LIST(ESTIMATOR_NAME) "score"};
    enum { WAYS = sizeof estimators / sizeof *estimators, OF_SCORE = WAYS - 1 };
    int missing = 0;
    for (int m = 0; lg_model_at(m); m++)
        for (size_t t = 0; t < LG_TASK_COUNT; t++)
            for (size_t l = 0; l < sizeof losses / sizeof *losses; l++)
                for (size_t e = 0; e < WAYS; e++) {
                    const lg_model_desc *d = lg_model_at(m);
                    const bool score = e == OF_SCORE, none = score && l == LG_LOSS_nll; /* it has no draws */
                    if (!(d->losses[t] >> l & 1u) || none ||
                        covered(d->id, (lg_task)t, (lg_loss)l, score ? LG_GRADIENT_score : LG_GRADIENT_pathwise,
                                (lg_estimator)e))
                        continue;
                    printf("no case: %s %s %s %s\n", d->name, tasks[t], losses[l], estimators[e]);
                    missing++;
                }
    return missing;
}
