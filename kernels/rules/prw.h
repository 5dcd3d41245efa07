/* Persistent random walk: per axis and step the velocity is kept with probability 1 - p_resample, else drawn from
 * {-1, 0, 1} with P(0) = p_center, P(-1) = P(+1) = (1 - p_center) / 2; then x += v. Both axes move in one Monte Carlo step.
 *     v_t = k0 v_{t-1} + k1 w_t,   w_t = -c0 + c2,   k = gs over (keep, resample),   c = gs over (-1, 0, +1)
 * The initial velocity is drawn from the velocity distribution (a stationary start, with gradient) or held constant.
 *
 * Noise of walker `replicate` (streams.h), step t = 1..T:
 *   LG_STREAM_PRW_STEP block 0     words: x keep, x class, y keep, y class
 *   LG_STREAM_PRW_GUMBEL block a   axis a: exponentials of keep, resample, class -1, class 0
 *                        block 2   word a: exponential of class +1
 *   LG_STREAM_PRW_START block a    (step 0) class word, then exponentials of the three classes
 *
 * Gradients are with respect to the logits. With a_t = dL/dMSD_t the sum over walkers of a_t 2 x_t dx_t/dlogit / n is
 * accumulated forward along the walk: for two parameters that costs what a reverse sweep costs, stores no tape, and gives
 * the Jacobian of the MSD curve as well. */
#ifndef LG_RULES_PRW_H
#define LG_RULES_PRW_H

#include "rules/estimator.h"

enum { LG_PRW_PARAMS = 2 };
enum lg_prw_param { LG_PRW_P_CENTER, LG_PRW_P_RESAMPLE };

typedef struct lg_prw_fit {
    uint32_t resample;    /* threshold of resampling */
    uint32_t minus, zero; /* cumulative thresholds of classes -1 and 0 */
    float p_resample, p_center;
    float p_keep, p_side;
    float inv_tau;
    uint32_t ste;                        /* all ones: keep/resample uses ste, dk1/dp_resample := 1 */
    uint32_t keep_draws, velocity_draws; /* of the Gumbel noise: estimator.h */
} lg_prw_fit;

LG_RULE void lg_prw_prepare(double p_center, double p_resample, lg_estimator binary, double tau, lg_prw_fit *fit)
{
    const double side = 0.5 * (1.0 - p_center);
    fit->resample = lg_threshold31(p_resample);
    fit->minus = lg_threshold31(side);
    fit->zero = lg_threshold31(side + p_center);
    fit->p_resample = (float)p_resample;
    fit->p_center = (float)p_center;
    fit->p_keep = (float)(1.0 - p_resample);
    fit->p_side = (float)side;
    fit->inv_tau = (float)(1.0 / tau);
    fit->ste = binary == LG_ESTIMATOR_ste ? 0xffffffffu : 0u;
    fit->keep_draws = fit->velocity_draws = 1;
}

/* The fit's numbers of draws of the Gumbel noise, after lg_prw_prepare. */
LG_RULE void lg_prw_estimators(lg_estimator binary, lg_estimator categorical, uint32_t K, lg_prw_fit *fit)
{
    fit->keep_draws = binary == LG_ESTIMATOR_gr ? K : 1u;
    fit->velocity_draws = categorical == LG_ESTIMATOR_gr ? K : 1u;
}

/* Scores: d log P / dlogit of a draw. keep/resample: k1 - p_resample. A velocity that was drawn: [w = 0] - p_center, as
 * d log p_center = 1 - p_center and d log((1 - p_center) / 2) = -p_center. A velocity that was not taken has no score: the
 * law of the walk does not contain it. */
LG_RULE float lg_prw_keep_score(const lg_prw_fit *fit, int32_t resampled)
{
    return (float)resampled - fit->p_resample;
}
LG_RULE float lg_prw_velocity_score(const lg_prw_fit *fit, int32_t v)
{
    return (float)(v == 0) - fit->p_center;
}

LG_RULE int32_t lg_prw_resamples(const lg_prw_fit *fit, uint32_t word)
{
    return lg_u31(word) < fit->resample;
}

/* Velocity -1, 0 or 1. */
LG_RULE int32_t lg_prw_velocity(const lg_prw_fit *fit, uint32_t word)
{
    const uint32_t u = lg_u31(word);
    return (int32_t)(u >= fit->zero) - (int32_t)(u < fit->minus);
}

/* dk1/dlogit(p_resample) with estimator ste: dp_resample/dlogit = pr (1 - pr). */
LG_RULE float lg_prw_keep_ste(const lg_prw_fit *fit)
{
    return fit->p_resample * fit->p_keep;
}

/* dk1/dlogit(p_resample) given the draw: s1 s0 / tau * (dlog p1 - dlog p0)/dlogit = s1 (1 - s1) / tau, since
 * d log pr / dlogit = 1 - pr and d log(1 - pr) / dlogit = -pr differ by 1. (dk0 = -dk1.) For tau = 1 the loser's weight is
 * n / x with n = p e_winner, x = e + n (lg_soft_loser), so that s1 (1 - s1) = n x / (n + x)^2. */
LG_RULE float lg_prw_keep_gs(const lg_prw_fit *fit, int32_t resampled, float e_keep, float e_resample)
{
    const float e = resampled ? e_keep : e_resample, p = resampled ? fit->p_keep : fit->p_resample,
                win = resampled ? e_resample : e_keep;
    if (fit->inv_tau == 1.0f) {
        const float n = p * win, x = e + n, r = lg_reciprocal(n + x);
        return (n * r) * (x * r);
    }
    const float s = lg_soft_loser(e, p, win, fit->inv_tau);
    return fit->inv_tau * s / ((1.0f + s) * (1.0f + s));
}
LG_RULE float lg_prw_keep_gradient(const lg_prw_fit *fit, int32_t resampled, float e_keep, float e_resample)
{
    return lg_pick(fit->ste, lg_prw_keep_ste(fit), lg_prw_keep_gs(fit, resampled, e_keep, e_resample));
}

/* dw/dlogit(p_center) of w = -c0 + c2 given its class: with dlog p0 = 1 - pc for the centre and -pc for the sides,
 * dw = (s_minus - s_plus) s_center / tau.
 *
 * tau = 1: the weights are s_j ~ p_j / x_j, x_j = e_j + p_j e_winner, where e_j stands for 0 in the winner's x. Over their
 * common denominator, with D = ps x_zero (x_minus + x_plus) + pc x_minus x_plus,
 *     dw = ps pc (e_plus - e_minus) x_minus x_zero x_plus / D^2.
 * A class that was drawn has p > 2^-33 and an exponential is above 5.9e-8, so D is above 1e-25 and its square would not
 * be a normal number. */
LG_RULE float lg_prw_velocity_gradient(const lg_prw_fit *fit, int32_t v, float e_minus, float e_zero, float e_plus)
{
    const float win = v < 0 ? e_minus : (v == 0 ? e_zero : e_plus);
    if (fit->inv_tau == 1.0f) {
        const float em = v < 0 ? 0.0f : e_minus, ez = v == 0 ? 0.0f : e_zero, ep = v > 0 ? 0.0f : e_plus;
        const float xm = lg_multiply_add(fit->p_side, win, em), xz = lg_multiply_add(fit->p_center, win, ez),
                    xp = lg_multiply_add(fit->p_side, win, ep), sides = xm * xp;
        const float r = lg_reciprocal(lg_multiply_add(fit->p_side * xz, xm + xp, fit->p_center * sides));
        return (fit->p_side * fit->p_center * (ep - em) * r) * (sides * xz * r);
    }
    const float sm = v < 0 ? 1.0f : lg_soft_loser(e_minus, fit->p_side, win, fit->inv_tau);
    const float sz = v == 0 ? 1.0f : lg_soft_loser(e_zero, fit->p_center, win, fit->inv_tau);
    const float sp = v > 0 ? 1.0f : lg_soft_loser(e_plus, fit->p_side, win, fit->inv_tau);
    const float sum = sm + sz + sp;
    return fit->inv_tau * (sm - sp) * sz / (sum * sum);
}

#endif
