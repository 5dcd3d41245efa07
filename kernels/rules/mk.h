/* Malevanets-Kapral reaction-diffusion (Phys. Rev. E 55, 5657, 1997): the arithmetic of one site and one step, forward
 * and backward. Two species, n = count of A, m = count of B, 0 <= n, m <= N. A step is diffusion, then reaction.
 *
 * Noise of a step (streams.h). Rows 2r and 2r+1 share the block r W + j of LG_STREAM_MK_SITE: words 0, 1 belong to row
 * 2r, words 2, 3 to row 2r+1.
 *   first word   low half: excitation of A, high half: of B. u = (h + 1/2) 2^-16 with the 16-bit half h.
 *   second word  w: channel = floor(6 w / 2^32), threshold u = (floor(f / 2) + 1/2) 2^-31 with f = 6 w mod 2^32.
 * Excitation probabilities are thus rounded to multiples of 2^-16 (largest error 7.6e-6), reaction probabilities to
 * 2^-31. Estimator gs: the same block and words of LG_STREAM_MK_GUMBEL are the exponentials of not firing and of firing.
 * Directions: blocks 3 s + 0..2 of LG_STREAM_MK_DIRECTION for species s (class word, then nine exponentials). */
#ifndef LG_RULES_MK_H
#define LG_RULES_MK_H

#include "rules/estimator.h"

enum { LG_MK_CHANNELS = 6, LG_MK_DIRECTIONS = 9, LG_MK_STAY = 4, LG_MK_PARAMS = 5 };
enum lg_mk_param { LG_MK_D_A, LG_MK_D_B, LG_MK_K1, LG_MK_K2, LG_MK_K3 };

/* Tape byte of one site and step: what the backward pass needs to walk the state back. */
enum {
    LG_MK_TAPE_EA = 1,      /* one A was excited */
    LG_MK_TAPE_EB = 2,      /* one B was excited */
    LG_MK_TAPE_CHANNEL = 2, /* shift of the reaction channel, 3 bits */
    LG_MK_TAPE_FIRED = 32   /* the reaction fired */
};

/* ---- one fit's constants, from its parameters ------------------------------------------------------------------ */

/* Reaction g = 0, 1, 2 (rates k1, k2, k3) has p = rate[g] * I(n, m), I an integer (lg_mk_count). The comparison
 * u31 < p 2^31 is done in integers: p 2^31 = (I << shift) * factor / 2^32, factor = rate * 2^(63 - shift), with the shift
 * that normalises factor to 32 bits; from I >= certain on, p >= 1. */
typedef struct lg_mk_fit {
    uint32_t capacity;
    uint32_t factor[3], certain[3];
    uint32_t shift[3];
    double exact[3];                         /* the rates before rounding, for 1 - p next to p = 1 */
    float rate[3];                           /* gamma k1 / ((N-1)(N-2)), gamma k2 / N, gamma k3 / N */
    float unit_rate[3];                      /* d rate / d k */
    uint32_t direction[2][LG_MK_DIRECTIONS]; /* cumulative 31-bit thresholds, species A and B */
    float probability[2][LG_MK_DIRECTIONS];
    float inv_tau;
    uint32_t reaction_draws, direction_draws; /* of the Gumbel noise: estimator.h */
    uint32_t padding;                         /* 0: kernels copy the whole by 32-bit words */
} lg_mk_fit;

/* Probability of direction q at diffusion coefficient D: stay 1 - D, sides D f sqrt2 / 4, corners D f / 4, f = sqrt2 - 1. */
LG_RULE double lg_mk_direction_probability(double D, int q)
{
    const double sqrt2 = 1.4142135623730951, f = sqrt2 - 1.0;
    if (q == LG_MK_STAY) return 1.0 - D;
    return (q & 1) ? D * f * sqrt2 / 4.0 : D * f / 4.0;
}

/* Largest integer below 2^31 that keeps rate * I below 1, plus one; capped where no count reaches it. */
LG_RULE uint32_t lg_mk_certain(double rate)
{
    const double limit = 1.0 / rate; /* rate > 0 */
    if (limit >= 1073741824.0) return 0x40000000u;
    const uint32_t i = (uint32_t)limit;
    return (double)i < limit ? i + 1u : i;
}

LG_RULE void lg_mk_rate(double unit, double k, lg_mk_fit *fit, int g)
{
    const double rate = unit * k;
    fit->exact[g] = rate;
    fit->rate[g] = (float)rate;
    fit->unit_rate[g] = (float)unit;
    fit->certain[g] = 0x40000000u;
    fit->shift[g] = 0;
    fit->factor[g] = 0;
    if (!(rate > 0.0)) return;
    fit->certain[g] = lg_mk_certain(rate);
    /* s = floor(-log2 rate): I < 1 / rate <= 2^(s+1), so I << (31 - s) fits 32 bits */
    uint32_t s = 0;
    double scaled = rate * 2.0;
    while (scaled <= 1.0 && s < 31u) {
        scaled *= 2.0;
        s++;
    }
    /* now rate * 2^s is in (1/2, 1] (unless s hit its end), factor = rate 2^(32+s) */
    double factor = scaled * 2147483648.0 + 0.5;
    if (factor > 4294967295.0) factor = 4294967295.0;
    fit->factor[g] = (uint32_t)factor;
    fit->shift[g] = 31u - s;
}

LG_RULE void lg_mk_prepare(const double *params, double gamma, int capacity, double tau, lg_mk_fit *fit)
{
    const double N = capacity, C = (N - 1.0) * (N - 2.0);
    fit->capacity = (uint32_t)capacity;
    lg_mk_rate(gamma / C, params[LG_MK_K1], fit, 0);
    lg_mk_rate(gamma / N, params[LG_MK_K2], fit, 1);
    lg_mk_rate(gamma / N, params[LG_MK_K3], fit, 2);
    for (int s = 0; s < 2; s++) {
        const double D = params[LG_MK_D_A + s];
        double sum = 0.0;
        for (int q = 0; q < LG_MK_DIRECTIONS; q++) {
            const double p = lg_mk_direction_probability(D, q);
            sum += p;
            fit->probability[s][q] = (float)p;
            fit->direction[s][q] = lg_threshold31(sum);
        }
        fit->direction[s][LG_MK_DIRECTIONS - 1] = 0x80000000u;
    }
    fit->inv_tau = (float)(1.0 / tau);
    fit->reaction_draws = fit->direction_draws = 1;
    fit->padding = 0;
}

/* The fit's numbers of draws of the Gumbel noise, after lg_mk_prepare; a direction is drawn with gs at least. */
LG_RULE void lg_mk_estimators(lg_estimator binary, lg_estimator categorical, uint32_t K, lg_mk_fit *fit)
{
    fit->reaction_draws = lg_estimator_draws(binary, K);
    fit->direction_draws = categorical == LG_ESTIMATOR_gr ? K : 1u;
}

/* ---- diffusion ------------------------------------------------------------------------------------------------ */

/* E = H(n - N u) with u = (h + 1/2) 2^-16: floor(N (2 h + 1) / 2^17) < n. 0 at n = 0 and 1 at n = N by itself, and no
 * tie is possible for N < 2^16. */
LG_RULE uint32_t lg_mk_excited(uint32_t half, uint32_t n, uint32_t capacity)
{
    return (capacity * (2u * half + 1u) >> 17) < n;
}

/* Direction q (0..8) from the class word. */
LG_RULE int lg_mk_direction(const uint32_t *cumulative, uint32_t word)
{
    const uint32_t u = lg_u31(word);
    int q = 0;
    while (q < LG_MK_DIRECTIONS - 1 && u >= cumulative[q]) q++;
    return q;
}

/* Where T(E)(i, j) = E(i + dr, j + dc) reads: dr = q / 3 - 1, dc = q % 3 - 1. */
LG_RULE int lg_mk_row_offset(int q)
{
    return q / 3 - 1;
}
LG_RULE int lg_mk_column_offset(int q)
{
    return q % 3 - 1;
}

typedef struct lg_mk_direction_draw {
    int q;
    float e[LG_MK_DIRECTIONS]; /* standard exponentials of the nine classes */
} lg_mk_direction_draw;

LG_RULE int lg_mk_draw_direction(const lg_mk_fit *fit, lg_key key, uint32_t f, uint32_t replicate, uint32_t step,
                                 int species)
{
    const lg_block b = lg_draw(key, LG_STREAM_MK_DIRECTION, f, replicate, step, 3u * (uint32_t)species);
    return lg_mk_direction(fit->direction[species], b.w[0]);
}

/* The same draw with its Gumbel noise, for the backward pass. */
LG_RULE lg_mk_direction_draw lg_mk_draw_direction_soft(const lg_mk_fit *fit, lg_key key, uint32_t f, uint32_t replicate,
                                                       uint32_t step, int species)
{
    lg_mk_direction_draw d;
    uint32_t w[12];
    for (uint32_t i = 0; i < 3; i++) {
        const lg_block b = lg_draw(key, LG_STREAM_MK_DIRECTION, f, replicate, step, 3u * (uint32_t)species + i);
        for (uint32_t k = 0; k < 4; k++) w[4 * i + k] = b.w[k];
    }
    d.q = lg_mk_direction(fit->direction[species], w[0]);
    for (int q = 0; q < LG_MK_DIRECTIONS; q++) d.e[q] = lg_exponential(w[1 + q]);
    return d;
}

/* Weights w_q of dL/dlogit_4 = sum_q w_q dL/dK_q, w_q = y_4 (delta_q4 - y_q) / tau, y the softmax of estimator.h.
 * Then dL/dD = -(dL/dlogit_4) / (D (1 - D)), because the nine dL/dlogit sum to zero. */
LG_RULE void lg_mk_direction_weights(const lg_mk_fit *fit, int species, const lg_mk_direction_draw *d, float *w)
{
    float others = 0.0f; /* sum over q != 4: 1 - y_4 is others / sum without cancellation, also for D next to 0 */
    for (int q = 0; q < LG_MK_DIRECTIONS; q++) {
        w[q] = q == d->q ? 1.0f : lg_soft_loser(d->e[q], fit->probability[species][q], d->e[d->q], fit->inv_tau);
        others += q == LG_MK_STAY ? 0.0f : w[q];
    }
    const float sum = others + w[LG_MK_STAY], scale = fit->inv_tau * (w[LG_MK_STAY] / sum) / sum;
    for (int q = 0; q < LG_MK_DIRECTIONS; q++) w[q] = scale * (q == LG_MK_STAY ? others : -w[q]);
}

/* The draw and its weights, averaged over the fit's number of draws of the noise. d: the direction, and the noise drawn last. */
LG_RULE void lg_mk_direction_mean(const lg_mk_fit *fit, lg_key key, uint32_t f, uint32_t replicate, uint32_t step,
                                  int species, lg_mk_direction_draw *d, float *w)
{
    int direction = 0;
    uint32_t k = 0;
    do {
        float more[LG_MK_DIRECTIONS];
        *d = lg_mk_draw_direction_soft(fit, lg_redraw_key(key, k), f, replicate, step, species);
        if (k == 0) direction = d->q;
        d->q = direction;
        lg_mk_direction_weights(fit, species, d, more);
        for (int q = 0; q < LG_MK_DIRECTIONS; q++) w[q] = k == 0 ? more[q] : w[q] + more[q];
    } while (++k < fit->direction_draws);
    for (int q = 0; q < LG_MK_DIRECTIONS && fit->direction_draws > 1; q++) w[q] /= (float)fit->direction_draws;
}

/* Score d log P / dD of a species' direction: -1 / (1 - D) for staying, 1 / D for each of the others. */
LG_RULE double lg_mk_direction_score(double D, int q)
{
    return q == LG_MK_STAY ? (D < 1.0 ? -1.0 / (1.0 - D) : 0.0) : (D > 0.0 ? 1.0 / D : 0.0);
}

/* ---- reaction --------------------------------------------------------------------------------------------------
 *   0  n+1  g k1 n(n-1)(N-n)/C     2  n+1  g k2 (N-n) m/N     4  m+1  g k3 (N-n)(N-m)/N        g = gamma
 *   1  n-1  g k1 n(N-n)(N-1-n)/C   3  n-1  g k2 n (N-m)/N     5  m-1  g k3 n m/N               C = (N-1)(N-2)      */

LG_RULE uint32_t lg_mk_channel(uint32_t word)
{
    return (uint32_t)((uint64_t)word * 6u >> 32);
}

LG_RULE uint32_t lg_mk_u31(uint32_t word)
{
    return word * 6u >> 1;
}

/* The integer I of p = rate * I: x y for channels 2..5, x y (y - 1) for 0 and 1. */
LG_RULE uint32_t lg_mk_count(uint32_t channel, uint32_t n, uint32_t m, uint32_t N)
{
    const uint32_t a = N - n, b = N - m;
    const uint32_t odd = 0u - (channel & 1u), cubic = 0u - (uint32_t)(channel < 2u);
    const uint32_t with_m = 0u - ((uint32_t)(channel == 2u) | (uint32_t)(channel == 5u));
    const uint32_t x = lg_pick_bits(odd, n, a);
    const uint32_t y = lg_pick_bits(cubic, lg_pick_bits(odd, a, n), lg_pick_bits(with_m, m, b));
    return x * y * lg_pick_bits(cubic, y - 1u, 1u);
}

LG_RULE uint32_t lg_mk_fires(const lg_mk_fit *fit, uint32_t channel, uint32_t u31, uint32_t count)
{
    const uint32_t g = channel >> 1;
    const uint32_t threshold = (uint32_t)(((uint64_t)(count << fit->shift[g]) * fit->factor[g] + 0x80000000u) >> 32);
    return (count >= fit->certain[g]) | (u31 < threshold);
}

/* +1 for even channels, -1 for odd ones; channels 0..3 act on A, 4 and 5 on B. */
LG_RULE int lg_mk_sign(uint32_t channel)
{
    return 1 - 2 * (int)(channel & 1u);
}

/* Score d log P / dk of a reaction of probability p = rate I = k unit I: 1 / k where it fired, -unit I / (1 - p) where it did
 * not. Where p is 1 or more the event is certain and its score 0. `fired` events have k > 0. */
LG_RULE float lg_mk_reaction_score(float unit, float rate, float count, int fired)
{
    const float p = rate * count;
    if (!(p < 1.0f)) return 0.0f;
    return fired ? unit / rate : -(unit * count) / (1.0f - p);
}

/* I, dI/dn and dI/dm as floats (all integers below 2^24 for N <= 255: exact). */
LG_RULE void lg_mk_count_gradient(uint32_t channel, float n, float m, float N, float *count, float *dn, float *dm)
{
    const float a = N - n, b = N - m;
    const uint32_t odd = 0u - (channel & 1u), cubic = 0u - (uint32_t)(channel < 2u);
    const uint32_t with_m = 0u - ((uint32_t)(channel == 2u) | (uint32_t)(channel == 5u));
    const float x = lg_pick(odd, n, a), sx = lg_pick(odd, 1.0f, -1.0f); /* first factor and its d/dn */
    const float z = lg_pick(with_m, m, b), sz = lg_pick(with_m, 1.0f, -1.0f);
    const float y = lg_pick(cubic, lg_pick(odd, a, n), z); /* second factor; d/dn of the cubic one is -sx */
    const float last = lg_pick(cubic, y - 1.0f, 1.0f);
    *count = x * y * last;
    *dn = sx * y * last - lg_pick(cubic, x * sx * (2.0f * y - 1.0f), 0.0f);
    *dm = lg_pick(cubic, 0.0f, x * sz);
}

#endif
