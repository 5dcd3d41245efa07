/* A keyed permutation of 0..n-1 without tables: a Feistel network on the smallest even number of bits that holds n, walked
 * until it lands inside (Black and Rogaway 2002). Gives the order of transition pairs within an epoch, the same on every
 * device, for any minibatch size. */
#ifndef LG_RULES_PERMUTE_H
#define LG_RULES_PERMUTE_H

#include "rules/streams.h"

LG_RULE uint32_t lg_permute(lg_key key, uint64_t epoch, uint32_t n, uint32_t index)
{
    uint32_t half = 1;
    while (half < 16u && (1ull << (2u * half)) < n) half++;
    const uint32_t mask = (1u << half) - 1u;
    uint32_t x = index;
    do {
        uint32_t left = x >> half, right = x & mask;
        for (uint32_t round = 0; round < 6; round++) {
            const lg_block b = lg_philox(right | round << 16, (uint32_t)epoch, (uint32_t)(epoch >> 32),
                                         (uint32_t)LG_STREAM_PERMUTATION << 24, key);
            const uint32_t next = left ^ (b.w[0] & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= n);
    return x;
}

/* Pair used by replicate r of iteration `it` with minibatch size R over n pairs: the minibatches run through one endless
 * sequence of shuffled epochs, so each is full and every pair comes once an epoch. */
LG_RULE uint32_t lg_pair_index(uint64_t seed, uint64_t it, uint32_t R, uint32_t r, uint32_t n)
{
    const uint64_t position = it * R + r;
    return lg_permute(lg_seed_key(seed), position / n, n, (uint32_t)(position % n));
}

/* Row of a pool of n start states that replicate r of R uses in iteration `it`: transition pairs in their shuffled order,
 * other states in turn. resample: the rows of a fit's own data set, or NULL for the pool as it is. */
LG_RULE uint32_t lg_pool_row(int pairs, uint64_t seed, uint64_t it, uint32_t R, uint32_t r, uint32_t n,
                             const uint32_t *resample)
{
    const uint32_t row = pairs ? lg_pair_index(seed, it, R, r, n) : r % n;
    return resample ? resample[row] : row;
}

#endif
