/* Losses. Two families cover all of them:
 *   state losses      of S = sum over replicates, species, sites of (X - X_ref)^2; adjoint dL/dX = slope(S) 2 (X - X_ref)
 *   statistic losses  of a vector of statistics s (mean over replicates): L = sum_k w_k (s_k - target_k)^2,
 *                     adjoint dL/ds_k = 2 w_k (s_k - target_k)
 * and two special ones of SI transitions: count and nll (the exact likelihood: no noise, exact gradient). */
#ifndef LG_RULES_LOSS_H
#define LG_RULES_LOSS_H

#include "rules/philox.h"

#include <math.h>
#include <stdbool.h>

/* X(name, text) */
#define LG_LOSS_LIST(X)                                                                         \
    X(sse, "squared error summed over sites (or lags) and replicates")                          \
    X(mse, "squared error averaged over replicates, species and sites")                         \
    X(log_sse, "logarithm of the summed squared error")                                         \
    X(count, "mean over pairs of the squared difference in newly aware sites (SI transitions)") \
    X(nll, "exact negative log-likelihood of the transitions (SI), no sampling")                \
    X(stat, "weighted squared error of summary statistics")

typedef enum lg_loss {
#define LG_LOSS_ENUM(name, text) LG_LOSS_##name,
    LG_LOSS_LIST(LG_LOSS_ENUM)
#undef LG_LOSS_ENUM
} lg_loss;

/* Value and slope dL/dS of a state loss at S, over `entries` terms. */
LG_RULE double lg_state_loss(lg_loss loss, double S, double entries)
{
    return loss == LG_LOSS_mse ? S / entries : (loss == LG_LOSS_log_sse ? log(S) : S);
}

LG_RULE double lg_state_loss_slope(lg_loss loss, double S, double entries)
{
    return loss == LG_LOSS_mse ? 1.0 / entries : (loss == LG_LOSS_log_sse ? 1.0 / S : 1.0);
}

#endif
