/* The registry of random streams, and the one place where (seed, purpose, fit, replicate, step, site) becomes a Philox
 * counter and key. Noise is a pure function of these numbers: a replicate's trajectory is the same alone, in a batch of
 * ten thousand, on any number of threads, blocks, devices or ranks.
 *
 *   key     = first two words of philox(iteration, LG_STREAM_ITERATION; key = seed): one key per optimiser iteration
 *   counter = (block within the step, step, replicate, stream << 24 | fit)
 *
 * Capacity: 2^32 blocks a step, 2^32 steps, 2^32 replicates, 2^24 fits, 2^64 iterations and seeds. */
#ifndef LG_RULES_STREAMS_H
#define LG_RULES_STREAMS_H

#include "rules/philox.h"

#include <string.h>

enum lg_stream {
    LG_STREAM_ITERATION = 0,    /* derives the key of an iteration */
    LG_STREAM_PERMUTATION = 1,  /* order of transition pairs within an epoch */
    LG_STREAM_START = 2,        /* random start values of parameters */
    LG_STREAM_MK_SITE = 3,      /* excitation, channel and threshold of two sites: mk.h */
    LG_STREAM_MK_DIRECTION = 4, /* direction of a species' plane and its Gumbel noise */
    LG_STREAM_MK_GUMBEL = 5,    /* Gumbel noise of reactions (estimator gs) */
    LG_STREAM_SI_SITE = 6,      /* infection threshold, four sites a block: si.h */
    LG_STREAM_SI_GUMBEL = 7,    /* Gumbel noise of infections (estimator gs) */
    LG_STREAM_PRW_STEP = 8,     /* keep/resample and velocity class of both axes: prw.h */
    LG_STREAM_PRW_GUMBEL = 9,   /* their Gumbel noise */
    LG_STREAM_PRW_START = 10,   /* initial velocity: class and Gumbel noise of one axis */
    LG_STREAM_BOOTSTRAP = 11,   /* resampled data: block = draw / 4, replicate 0 picks clusters, 1 normal errors */
    LG_STREAM_REDRAW = 12,      /* derives the keys of further conditional draws of Gumbel noise (estimator gr) */
    LG_STREAM_PROPOSAL = 13,    /* candidates of searches without gradients: replicate = candidate, step = attempt */
    LG_STREAM_RESAMPLE = 14,    /* the particle such a proposal starts from */
    LG_STREAM_PILOT = 15, /* where the pilot runs of data.weights model stand: replicate = pair of runs, step = round */
    LG_STREAM_COUNT
};

enum { LG_MAX_FITS = 1 << 24 };

LG_RULE lg_key lg_seed_key(uint64_t seed)
{
    lg_key key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    return key;
}

LG_RULE lg_key lg_iteration_key(uint64_t seed, uint64_t iteration)
{
    const lg_block b = lg_philox((uint32_t)iteration, (uint32_t)(iteration >> 32), 0,
                                 (uint32_t)LG_STREAM_ITERATION << 24, lg_seed_key(seed));
    lg_key key = {{b.w[0], b.w[1]}};
    return key;
}

/* Estimator gr draws the Gumbel noise of a step k = 0, 1, ... times: draw 0 with the iteration's key, draw k > 0 from the
 * same streams and counters with a key of its own. */
LG_RULE lg_key lg_redraw_key(lg_key key, uint32_t k)
{
    if (k == 0) return key;
    const lg_block b = lg_philox(k, 0, 0, (uint32_t)LG_STREAM_REDRAW << 24, key);
    lg_key other = {{b.w[0], b.w[1]}};
    return other;
}

LG_RULE lg_block lg_draw(lg_key key, uint32_t stream, uint32_t fit, uint32_t replicate, uint32_t step, uint32_t block)
{
    return lg_philox(block, step, replicate, stream << 24 | fit, key);
}

/* ---- words to numbers ---------------------------------------------------------------------------------------- */

/* A binary event of probability p fires where u31(word) < threshold31(p). As a real number the draw is
 * (u31 + 1/2) 2^-31, strictly inside (0, 1); p is rounded to the nearest multiple of 2^-31; p = 0 never and p = 1
 * always fires. */
LG_RULE uint32_t lg_u31(uint32_t word)
{
    return word >> 1;
}

LG_RULE uint32_t lg_threshold31(double p)
{
    if (!(p > 0.0)) return 0; /* also NaN */
    if (p >= 1.0) return 0x80000000u;
    return (uint32_t)(p * 2147483648.0 + 0.5);
}

LG_RULE double lg_u31_real(uint32_t word)
{
    return ((double)(word >> 1) + 0.5) * (1.0 / 2147483648.0);
}

/* Uniform float strictly inside (0, 1) after rounding, (k + 1/2) 2^-23 with the 23 upper bits k of the word, since
 * ((word >> 8) + 0.5) 2^-24 rounds to 1. The bits of 1 + k 2^-23 need no conversion, and the difference is exact. */
LG_RULE float lg_uniformf(uint32_t word)
{
    const uint32_t bits = (word >> 9) + 0x3f800000u;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f - (1.0f - 1.0f / 16777216.0f);
}

#endif
