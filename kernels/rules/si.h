/* SI: diffusive spread of a news item (Conlisk 1976). State X in {0, 1}; N = aware sites among the 8 Moore neighbours;
 * an unaware site turns aware with probability p = 1 - (1 - beta)^N, all sites at once; aware sites stay aware.
 *     X' = X + (1 - X) H(p - u)
 * Backward (ste: weight 1; gs: weight of estimator.h), a = dL/dX':
 *     dL/dbeta += sum a (1 - X) weight N (1 - beta)^(N-1)
 *     dL/dX     = a (1 - H(p - u)) + sum over the 8 neighbours j of a_j (1 - X_j) weight_j (-(1 - beta)^N_j log(1 - beta))
 *
 * Noise: the site (i, j) reads word j % 4 of block i ceil(W / 4) + j / 4 of LG_STREAM_SI_SITE, so that sites whose draw
 * cannot matter cost nothing. gs: words 2 (j % 2) and 2 (j % 2) + 1 of block i ceil(W / 2) + j / 2 of LG_STREAM_SI_GUMBEL
 * are the exponentials of staying and of turning aware. */
#ifndef LG_RULES_SI_H
#define LG_RULES_SI_H

#include "rules/estimator.h"

enum { LG_SI_NEIGHBOURS = 8, LG_SI_PARAMS = 1 };

typedef struct lg_si_fit {
    uint32_t threshold[LG_SI_NEIGHBOURS + 1];               /* 31-bit thresholds of p(N) */
    float p[LG_SI_NEIGHBOURS + 1], q[LG_SI_NEIGHBOURS + 1]; /* p(N) and 1 - p(N) */
    float dp_dbeta[LG_SI_NEIGHBOURS + 1];                   /* N (1 - beta)^(N-1), with 0^0 = 1 */
    float dp_dn[LG_SI_NEIGHBOURS + 1];                      /* -(1 - beta)^N log(1 - beta); 0 at beta = 1 */
    uint32_t padding;                                       /* 0: kernels copy the whole by 32-bit words */
    double log_q;                                           /* log(1 - beta), for the exact likelihood */
    float inv_tau;
    uint32_t draws; /* of the Gumbel noise: estimator.h */
} lg_si_fit;

LG_RULE void lg_si_prepare(double beta, double log_q, double tau, lg_si_fit *fit)
{
    const double q = 1.0 - beta;
    double power = 1.0, lower = 0.0; /* q^N and q^(N-1) */
    for (int n = 0; n <= LG_SI_NEIGHBOURS; n++) {
        fit->p[n] = (float)(1.0 - power);
        fit->q[n] = (float)power;
        fit->threshold[n] = lg_threshold31(1.0 - power);
        fit->dp_dbeta[n] = (float)(n * lower);
        fit->dp_dn[n] = q > 0.0 ? (float)(-power * log_q) : 0.0f;
        lower = power;
        power *= q;
    }
    fit->log_q = log_q; /* the caller's log(1 - beta): gcc and nvcc need not agree on log */
    fit->inv_tau = (float)(1.0 / tau);
    fit->draws = 1;
    fit->padding = 0;
}

/* Score d log P(X'|X)/dbeta of an unaware site with N > 0 aware neighbours: dp/p where it turned aware, else -dp/(1 - p),
 * dp = N (1 - beta)^(N-1). An outcome of probability 0 does not come up and gets 0. */
LG_RULE double lg_si_score(double beta, int N, int fired)
{
    const double q = 1.0 - beta;
    double lower = 1.0; /* q^(N-1) */
    for (int n = 1; n < N; n++) lower *= q;
    const double p = fired ? 1.0 - lower * q : lower * q;
    return p > 0.0 ? (fired ? N * lower / p : -N / q) : 0.0;
}

LG_RULE uint32_t lg_si_block(uint32_t i, uint32_t j, uint32_t W)
{
    return i * ((W + 3u) >> 2) + (j >> 2);
}

LG_RULE uint32_t lg_si_gumbel_block(uint32_t i, uint32_t j, uint32_t W)
{
    return i * ((W + 1u) >> 1) + (j >> 1);
}

/* One 64-site word of the rows above, at and below: bit-sliced neighbour count, n = n0 + 2 n1 + 4 n2 + 8 n3.
 * xl, xc, xr are the row's own word shifted so that bit j holds the left, own and right neighbour. */
typedef struct lg_si_sliced {
    uint64_t n0, n1, n2, n3;
} lg_si_sliced;

LG_RULE lg_si_sliced lg_si_count(uint64_t al, uint64_t ac, uint64_t ar, uint64_t xl, uint64_t xr, uint64_t bl,
                                 uint64_t bc, uint64_t br)
{
    /* two full adders of three, one half adder, then the carries */
    const uint64_t s1 = al ^ ac ^ ar, c1 = (al & ac) | (ar & (al ^ ac));
    const uint64_t s2 = bl ^ bc ^ br, c2 = (bl & bc) | (br & (bl ^ bc));
    const uint64_t s3 = xl ^ xr, c3 = xl & xr;
    const uint64_t n0 = s1 ^ s2 ^ s3, c4 = (s1 & s2) | (s3 & (s1 ^ s2));
    const uint64_t t = c1 ^ c2 ^ c3, d1 = (c1 & c2) | (c3 & (c1 ^ c2));
    const uint64_t n1 = t ^ c4, d2 = t & c4;
    lg_si_sliced r = {n0, n1, d1 ^ d2, d1 & d2};
    return r;
}

#endif
