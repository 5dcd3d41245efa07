/* Philox4x32-10, the counter-based generator behind all noise (Salmon, Moraes, Dror, Shaw: Parallel random numbers:
 * as easy as 1, 2, 3, SC 2011). One block turns a 128-bit counter and a 64-bit key into four 32-bit words.
 *
 * Compiled by gcc and nvcc alike; everything in rules/ is integer arithmetic or single float operations that round
 * the same way on both, so that cpu and cuda draw the same bits. */
#ifndef LG_RULES_PHILOX_H
#define LG_RULES_PHILOX_H

#include <stdint.h>

/* -DLG_CURAND_PHILOX: kernels take the block function of cuRAND, which has the same words; two kernels then spill registers (docs/cuda.md). */
#if defined(__CUDACC__) && defined(LG_CURAND_PHILOX)
#include <cuda_runtime.h>
#define QUALIFIERS static __host__ __device__ __forceinline__
#include <curand_philox4x32_x.h>
#define LG_PHILOX_BY_CURAND 1
#else
#define LG_PHILOX_BY_CURAND 0
#endif

/* LG_PHILOX_WIDE, defined by kernels that gain: the product as one instruction. Left to nvcc 13.0, ptxas adds the high half
 * of c2, which is 0, to it. mk_backward spills with it. */
#ifdef __CUDACC__
#define LG_RULE static __host__ __device__ __forceinline__
#else
#define LG_RULE static inline __attribute__((always_inline, unused))
#endif

typedef struct lg_block {
    uint32_t w[4];
} lg_block;

typedef struct lg_key {
    uint32_t k[2];
} lg_key;

enum { LG_PHILOX_ROUNDS = 10 };

#define LG_PHILOX_W0 0x9E3779B9u
#define LG_PHILOX_W1 0xBB67AE85u

/* The keys of round r: key + r (W0, W1). */
LG_RULE lg_key lg_philox_key(lg_key key, uint32_t round)
{
    lg_key k = {{key.k[0] + round * LG_PHILOX_W0, key.k[1] + round * LG_PHILOX_W1}};
    return k;
}

LG_RULE uint64_t lg_philox_product0(uint32_t c0)
{
    return (uint64_t)0xD2511F53u * c0;
}
LG_RULE uint64_t lg_philox_product1(uint32_t c2)
{
#if defined(__CUDA_ARCH__) && defined(LG_PHILOX_WIDE)
    uint64_t p;
    asm("mul.wide.u32 %0, %1, 0xCD9E8D57;" : "=l"(p) : "r"(c2));
    return p;
#else
    return (uint64_t)0xCD9E8D57u * c2;
#endif
}

LG_RULE lg_block lg_philox_round(lg_block c, lg_key k)
{
    const uint64_t p0 = lg_philox_product0(c.w[0]), p1 = lg_philox_product1(c.w[2]);
    lg_block b = {
        {(uint32_t)(p1 >> 32) ^ c.w[1] ^ k.k[0], (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c.w[3] ^ k.k[1], (uint32_t)p0}};
    return b;
}

LG_RULE lg_block lg_philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, lg_key key)
{
#if LG_PHILOX_BY_CURAND
    const uint4 words = curand_Philox4x32_10(make_uint4(c0, c1, c2, c3), make_uint2(key.k[0], key.k[1]));
    const lg_block b = {{words.x, words.y, words.z, words.w}};
#else
    uint32_t k0 = key.k[0], k1 = key.k[1];
#ifdef __CUDACC__
#pragma unroll
#else
#pragma GCC unroll 10
#endif
    for (int round = 0; round < LG_PHILOX_ROUNDS;
         round++) { /* lg_philox_round in scalars: nvcc needs fewer registers */
        const uint64_t p0 = lg_philox_product0(c0), p1 = lg_philox_product1(c2);
        const uint32_t hi0 = (uint32_t)(p0 >> 32), hi1 = (uint32_t)(p1 >> 32);
        c0 = hi1 ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = hi0 ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += LG_PHILOX_W0;
        k1 += LG_PHILOX_W1;
    }
    const lg_block b = {{c0, c1, c2, c3}};
#endif
    return b;
}

#endif
