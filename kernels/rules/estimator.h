/* Gradient estimators of discrete draws (Schering 2024; Jang, Gu, Poole 2017 for gs; Paulus, Maddison, Krause 2021 for gr).
 *
 * ste: y = H(p - u), backward dy/dp := 1.
 * gs:  y = onehot(argmax_k(log p_k + g_k)), backward through s = softmax((log p + g) / tau).
 * gr:  y as gs; backward through the mean over K draws of g given y. Whatever else the gradient is made of depends on g
 *      through y alone, so gr has the expectation of gs and a smaller variance (Rao-Blackwell).
 *
 * For gs the class is drawn first, from one word against integer thresholds; the Gumbel noise is then drawn given the
 * class. With classes of probability p_j (sum 1), winner k and standard exponentials e_j = -log u_j,
 *     exp(-z_k) = e_k                 the largest z is Gumbel distributed,
 *     exp(-z_j) = e_j / p_j + e_k     the others are Gumbel distributed, truncated below it
 * has the joint law of (z, argmax z), z_j = log p_j + g_j (Maddison, Tarlow, Minka 2014). So s_j is proportional to
 * a_j^(-1/tau) with a_j = exp(-z_j): for tau = 1 no exponential is needed, and p_j = 0 gives s_j = 0. */
#ifndef LG_RULES_ESTIMATOR_H
#define LG_RULES_ESTIMATOR_H

#include "rules/mathf.h"
#include "rules/streams.h"

#include <math.h>

/* X(name, text) */
#define LG_ESTIMATOR_LIST(X)                                       \
    X(ste, "threshold with identity straight-through: dy/dp := 1") \
    X(gs, "Gumbel-softmax straight-through with temperature tau")  \
    X(gr, "Gumbel-Rao: gs averaged over K draws of the noise given the outcome")

typedef enum lg_estimator {
#define LG_ESTIMATOR_ENUM(name, text) LG_ESTIMATOR_##name,
    LG_ESTIMATOR_LIST(LG_ESTIMATOR_ENUM)
#undef LG_ESTIMATOR_ENUM
} lg_estimator;

/* What a gradient is made from. X(name, text) */
#define LG_GRADIENT_LIST(X)                                                                                   \
    X(pathwise, "through the draws, whose derivatives are replaced: estimator.binary, estimator.categorical") \
    X(score, "likelihood ratio, with a leave-one-out baseline over the replicates: score.h")                  \
    X(fd, "central finite differences with common random numbers")                                            \
    X(exact, "closed form, without noise: SI loss nll, PRW")

typedef enum lg_gradient_method {
#define LG_GRADIENT_ENUM(name, text) LG_GRADIENT_##name,
    LG_GRADIENT_LIST(LG_GRADIENT_ENUM)
#undef LG_GRADIENT_ENUM
} lg_gradient_method;

enum { LG_MAX_REDRAWS = 64 };

/* Draws of the Gumbel noise that an estimator averages over: none, one, or K. */
LG_RULE uint32_t lg_estimator_draws(lg_estimator estimator, uint32_t K)
{
    return estimator == LG_ESTIMATOR_ste ? 0u : (estimator == LG_ESTIMATOR_gr ? K : 1u);
}

/* Softmax temperature of an iteration: geometric from tau at the first to tau_end at iteration `last`; tau_end 0: tau. */
LG_RULE double lg_temperature(double tau, double tau_end, uint64_t last, uint64_t iteration)
{
    if (!(tau_end > 0.0) || tau_end == tau) return tau;
    if (iteration >= last) return tau_end;
    return tau * pow(tau_end / tau, (double)iteration / (double)last);
}

/* Standard exponential from a word; in (6e-8, 16.7), never 0 and never infinite. */
LG_RULE float lg_exponential(uint32_t word)
{
    return -lg_logf(lg_uniformf(word));
}
LG_RULE float lg_exponential_fused(uint32_t word)
{
    return -lg_logf_fused(lg_uniformf(word));
}

/* Soft weight of a class that lost, relative to the winner's, which is 1: (a_j / a_k)^(-1/tau), where a_j / a_k =
 * e_j / (p_j e_k) + 1. In [0, 1] for every tau (no overflow for a small one); exactly 0 for p_j = 0. The softmax
 * outputs are these weights over their sum. */
LG_RULE float lg_soft_loser(float e, float p, float e_winner, float inv_tau)
{
    const float a = e / (p * e_winner) + 1.0f;
    if (inv_tau == 1.0f) return 1.0f / a;
    return a < 1e38f ? lg_expf(-inv_tau * lg_logf(a)) : 0.0f;
}

/* Soft weight of the class that a binary draw did not take, given exponentials e0 (class 0, probability q = 1 - p,
 * from the caller, because 1 - p of a rounded p would lose its digits next to 1), e1 (class 1, probability p). The soft outputs are 1 / (1 + s) for the class taken and s / (1 + s) for the other. */
LG_RULE float lg_gs_other(float p, float q, int fired, float e0, float e1, float inv_tau)
{
    return lg_soft_loser(fired ? e0 : e1, fired ? q : p, fired ? e1 : e0, inv_tau);
}

/* Soft probability of class 1 of a binary draw that came out as `fired`. p strictly in (0, 1). */
LG_RULE float lg_gs_soft1(float p, float q, int fired, float e0, float e1, float inv_tau)
{
    const float s = lg_gs_other(p, q, fired, e0, e1, inv_tau);
    return (fired ? 1.0f : s) / (1.0f + s);
}

/* dy1/dp of a binary gs draw: y1 (1 - y1) / (tau p (1 - p)); 0 where p is clamped (p or q = 1 - p below 1e-12, or
 * p above 1). y1 (1 - y1) = s / (1 + s)^2 has no cancellation where y1 is next to 0 or 1. */
LG_RULE float lg_gs_weight(float p, float q, int fired, float e0, float e1, float inv_tau)
{
    if (!(p > 1e-12f) || !(q > 1e-12f)) return 0.0f;
    const float s = lg_gs_other(p, q, fired, e0, e1, inv_tau), sum = 1.0f + s;
    return inv_tau * s / (sum * sum * (p * q));
}

#endif
