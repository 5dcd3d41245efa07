/* Philox for many counters at once: 32 blocks whose first and third counter words differ.
 *
 * The state words are kept in 64-bit lanes of which only the low half counts, because that is what the widening
 * multiply of all x86 vector units reads and what leaves its high and low half in place. Compilers do not find that
 * form in a loop over lg_philox: it runs at a third to a half of this one's speed. Elsewhere the plain product
 * below is used. Same bits as lg_philox everywhere. */
#ifndef LG_BACKEND_CPU_PHILOX_LANES_H
#define LG_BACKEND_CPU_PHILOX_LANES_H

#include "rules/streams.h"

#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LG_WIDE = 8 };
#elif defined(__AVX2__)
enum { LG_WIDE = 4 };
#else
enum { LG_WIDE = 2 };
#endif
enum { LG_PHILOX_LANES = 32, LG_PHILOX_AHEAD = 4 /* vectors in flight: hides the multiply's latency */ };

typedef uint64_t lg_wide __attribute__((vector_size(8 * LG_WIDE)));
typedef uint32_t lg_narrow __attribute__((vector_size(4 * LG_WIDE)));

typedef struct lg_lane_blocks {
    uint32_t w[4][LG_PHILOX_LANES];
} lg_lane_blocks;

/* Full products of the low halves. */
LG_RULE lg_wide lg_wide_product(lg_wide a, lg_wide b)
{
#if defined(__AVX512F__)
    return (lg_wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (lg_wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (lg_wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

LG_RULE lg_wide lg_widen(const uint32_t *from)
{
    lg_narrow v;
    memcpy(&v, from, sizeof v);
    return __builtin_convertvector(v, lg_wide);
}

LG_RULE void lg_narrow_to(lg_wide v, uint32_t *to)
{
    const lg_narrow n = __builtin_convertvector(v & 0xffffffffu, lg_narrow);
    memcpy(to, &n, sizeof n);
}

/* LG_WIDE * LG_PHILOX_AHEAD lanes from lane `at`. */
LG_RULE void lg_philox_some(const uint32_t *c0, uint32_t c1, const uint32_t *c2, uint32_t c3, lg_key key, int at,
                            lg_lane_blocks *out)
{
    const lg_wide zero = {0}, m0 = zero + 0xD2511F53u, m1 = zero + 0xCD9E8D57u;
    lg_wide x0[LG_PHILOX_AHEAD], x1[LG_PHILOX_AHEAD], x2[LG_PHILOX_AHEAD], x3[LG_PHILOX_AHEAD];
    uint32_t k0 = key.k[0], k1 = key.k[1];
#pragma GCC unroll 4
    for (int v = 0; v < LG_PHILOX_AHEAD; v++) {
        x0[v] = lg_widen(c0 + at + v * LG_WIDE);
        x1[v] = zero + c1;
        x2[v] = lg_widen(c2 + at + v * LG_WIDE);
        x3[v] = zero + c3;
    }
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
#pragma GCC unroll 4
        for (int v = 0; v < LG_PHILOX_AHEAD; v++) {
            const lg_wide p0 = lg_wide_product(x0[v], m0), p1 = lg_wide_product(x2[v], m1);
            x0[v] = (p1 >> 32) ^ x1[v] ^ (zero + k0);
            x1[v] = p1;
            x2[v] = (p0 >> 32) ^ x3[v] ^ (zero + k1);
            x3[v] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
#pragma GCC unroll 4
    for (int v = 0; v < LG_PHILOX_AHEAD; v++) {
        lg_narrow_to(x0[v], out->w[0] + at + v * LG_WIDE);
        lg_narrow_to(x1[v], out->w[1] + at + v * LG_WIDE);
        lg_narrow_to(x2[v], out->w[2] + at + v * LG_WIDE);
        lg_narrow_to(x3[v], out->w[3] + at + v * LG_WIDE);
    }
}

/* lg_draw for 32 (block, replicate) pairs of one step and stream. */
static __attribute__((noinline, unused)) void lg_draw_lanes(lg_key key, uint32_t stream, uint32_t fit,
                                                            const uint32_t *replicate, uint32_t step,
                                                            const uint32_t *block, lg_lane_blocks *out)
{
    for (int at = 0; at < LG_PHILOX_LANES; at += LG_WIDE * LG_PHILOX_AHEAD)
        lg_philox_some(block, step, replicate, stream << 24 | fit, key, at, out);
}

#endif
