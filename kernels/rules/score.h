/* Likelihood-ratio gradients (score function, REINFORCE: Williams 1992) with a leave-one-out baseline over the R replicates
 * of a fit (Kool, van Hoof, Welling 2019).
 *
 * With S_r = d log P(draws of replicate r)/d theta, E S_r = 0, and any b_r that does not depend on those draws,
 *     d E[L] / d theta = E[sum_r (L - b_r) S_r].
 * b_r is the loss of the other replicates alone, their sum scaled to R: so the estimate is unbiased for every loss, also for
 * one that is not linear in the sum, and L - b_r is about replicate r's own part.
 *
 * State losses: L(S), S = sum of s_r, b_r = L((S - s_r) R / (R - 1)).
 * Statistic losses: L = sum_k w_k (m_k - target_k)^2 of means m_k. Without replicate r a mean is m - delta with
 * delta = (s_r - m) / (R - 1), so term k of L - b_r is a delta - w delta^2, a = dL/dm_k = 2 w (m_k - target_k). What is recorded
 * after step t depends on the draws up to t alone: the term goes with the score up to there. */
#ifndef LG_RULES_SCORE_H
#define LG_RULES_SCORE_H

#include "rules/loss.h"

/* L - b_r of a state loss. Where all others are at the reference, log 0 is no baseline and 0 is taken. */
LG_RULE double lg_score_state(lg_loss loss, double S, double s, double entries, double R)
{
    const double others = (S - s) * (R / (R - 1.0));
    const bool none = loss == LG_LOSS_log_sse && !(others > 0.0);
    return lg_state_loss(loss, S, entries) - (none ? 0.0 : lg_state_loss(loss, others, entries));
}

/* One term of L - b_r of a statistic loss. */
LG_RULE double lg_score_statistic(double adjoint, double weight, double mean, double value, double R)
{
    const double delta = (value - mean) / (R - 1.0);
    return adjoint * delta - weight * delta * delta;
}

/* PRW. The axes of a walker are walks of their own: n = 2 R of them, MSD_t = 2 mean(x_t^2), and MSD_t without one of them is
 * less by delta = 2 d / (n - 1), d = x_t^2 - mean. What step t adds to a gradient, from the sums over walks of d S and d^2 S: */
LG_RULE double lg_score_walks(double adjoint, double weight, double d_score, double d2_score, double R)
{
    const double others = 2.0 * R - 1.0;
    return adjoint * 2.0 / others * d_score - weight * 4.0 / (others * others) * d2_score;
}

/* L - b_r of SI's count, a mean over pairs of the squares of differences; squares: their sum, one: that of the replicate. */
LG_RULE double lg_score_count(double squares, double one, double R)
{
    return lg_score_state(LG_LOSS_mse, squares, one, R, R);
}

#endif
