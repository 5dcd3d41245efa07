/* logf and expf from single additions and multiplications only, so that gcc and nvcc give the same bits (both are told
 * not to contract a*b+c) and the compiler can vectorise loops that use them. Polynomials: Cephes (Moshier) logf, expf;
 * relative error below 2e-7 on the ranges used here. */
#ifndef LG_RULES_MATHF_H
#define LG_RULES_MATHF_H

#include "rules/philox.h"

#include <math.h>
#include <string.h>

LG_RULE float lg_bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

LG_RULE uint32_t lg_float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* a where mask is all ones, b where it is 0: a choice the compiler cannot turn back into a branch, so loops vectorise. */
LG_RULE uint32_t lg_pick_bits(uint32_t mask, uint32_t a, uint32_t b)
{
    return (mask & a) | (~mask & b);
}
LG_RULE float lg_pick(uint32_t mask, float a, float b)
{
    return lg_bits_to_float(lg_pick_bits(mask, lg_float_to_bits(a), lg_float_to_bits(b)));
}

/* Natural logarithm of a positive, finite, normal x. */
LG_RULE float lg_logf(float x)
{
    /* x = 2^e m with m in [sqrt(1/2), sqrt(2)) */
    const uint32_t bits = lg_float_to_bits(x) - 0x3f3504f3u;
    const float e = (float)((int32_t)bits >> 23);
    const float m = lg_bits_to_float((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    const float z = m * m;
    float y = 7.0376836292e-2f;
    y = y * m - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = y * m * z;
    y = y + e * -2.12194440e-4f;
    y = y - 0.5f * z;
    return (m + y) + e * 0.693359375f;
}

/* Natural logarithm of a u in (0, 1), as close to the exact one as lg_logf (1e-7) on half its instructions where a processor
 * has a fused multiply-add: kernels take it for gradients, whose bits need not be the CPU's. Polynomial: of least relative
 * error for m in [0.63, 1.26), where the exponent is 0 for m < 1 alone; one term less would do for 2e-7, but what steps add
 * to a derivative may cancel, and of few walkers the difference would then be seen. */
LG_RULE float lg_logf_fused(float u)
{
    const uint32_t bits = lg_float_to_bits(u), exponent = (bits - 0x3f2147aeu) & 0xff800000u;
    const float m = lg_bits_to_float(bits - exponent) - 1.0f;
    float y = 2.445431e-1f;
    y = fmaf(y, m, -1.21372096e-1f);
    y = fmaf(y, m, 1.256432e-1f);
    y = fmaf(y, m, -1.6835807e-1f);
    y = fmaf(y, m, 2.007205e-1f);
    y = fmaf(y, m, -2.499214e-1f);
    y = fmaf(y, m, 3.3332434e-1f);
    y = fmaf(y, m, -5.000009e-1f);
    y = fmaf(y, m * m, m);
    return fmaf((float)(int32_t)exponent, 8.26295829e-8f, y); /* 2^-23 log 2 */
}

/* a b + c; on a GPU in one instruction, rounded once. For gradients alone. */
LG_RULE float lg_multiply_add(float a, float b, float c)
{
#ifdef __CUDA_ARCH__
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* 1 / x of a normal x whose reciprocal is normal. On a GPU the special function unit gives it within 1 unit of the last
 * place, which a Newton step halves: without it gradients of few walkers, where steps cancel, are off by 2e-5. */
LG_RULE float lg_reciprocal(float x)
{
#ifdef __CUDA_ARCH__
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return fmaf(r, fmaf(-x, r, 1.0f), r);
#else
    return 1.0f / x;
#endif
}

/* Exponential; arguments below -87 give 0 (never a subnormal), above 88 the value at 88. */
LG_RULE float lg_expf(float x)
{
    const uint32_t low = 0u - (uint32_t)(x < -87.0f), high = 0u - (uint32_t)(x > 88.0f);
    const float c = lg_pick(high, 88.0f, lg_pick(low, -87.0f, x));
    const float t = c * 1.44269504088896341f;
    const int32_t n = (int32_t)(t + lg_pick(0u - (uint32_t)(t < 0.0f), -0.5f, 0.5f));
    const float fn = (float)n;
    const float r = (c - fn * 0.693359375f) - fn * -2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    y = y * lg_bits_to_float((uint32_t)(n + 127) << 23);
    return lg_pick(low, 0.0f, y);
}

#endif
