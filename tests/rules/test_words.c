/* From words to numbers: uniforms strictly inside (0, 1), finite exponentials, thresholds, and the accuracy of
 * lg_logf, lg_expf. */
#include "rules/estimator.h"

#include <criterion/criterion.h>
#include <math.h>

static const uint32_t extreme[] = {0u,          1u,          2u,          255u,        256u,
                                   511u,        512u,        0x7fffffffu, 0x80000000u, 0xfffffdffu,
                                   0xfffffe00u, 0xfffffeffu, 0xffffff00u, 0xfffffffeu, 0xffffffffu};
enum { EXTREMES = sizeof extreme / sizeof *extreme };

Test(words, uniforms_are_strictly_inside)
{
    for (int i = 0; i < EXTREMES; i++) {
        const float f = lg_uniformf(extreme[i]);
        const double d = lg_u31_real(extreme[i]);
        cr_assert(f > 0.0f && f < 1.0f, "word %08x gives %.9g", extreme[i], (double)f);
        cr_assert(d > 0.0 && d < 1.0, "word %08x gives %.17g", extreme[i], d);
    }
    cr_assert_eq(lg_uniformf(0), 0x1p-24f);
    cr_assert_eq(lg_uniformf(0xffffffffu), 1.0f - 0x1p-24f);
}

/* All 2^23 different values of the float uniform are strictly increasing, inside, and have a finite positive
 * exponential and a finite Gumbel number. */
Test(words, every_uniform)
{
    float last = 0.0f;
    for (uint32_t i = 0; i < 1u << 23; i++) {
        const float u = lg_uniformf(i << 9 | 0x1ff), e = lg_exponential(i << 9);
        cr_assert(u > last && u < 1.0f, "%u", i);
        cr_assert(e > 5.9e-8f && e < 16.7f, "word %08x: exponential %.9g", i << 9, (double)e);
        cr_assert(isfinite(lg_logf(e)));
        last = u;
    }
}

Test(words, threshold31)
{
    cr_assert_eq(lg_threshold31(0.0), 0u);
    cr_assert_eq(lg_threshold31(-1.0), 0u);
    cr_assert_eq(lg_threshold31(-INFINITY), 0u);
    cr_assert_eq(lg_threshold31((double)NAN), 0u);
    cr_assert_eq(lg_threshold31(1.0), 0x80000000u);
    cr_assert_eq(lg_threshold31(1.5), 0x80000000u);
    cr_assert_eq(lg_threshold31((double)INFINITY), 0x80000000u);
    cr_assert_eq(lg_threshold31(0.5), 0x40000000u);
    cr_assert_eq(lg_threshold31(0x1p-31), 1u);
    cr_assert_eq(lg_threshold31(0x1p-33), 0u);
    cr_assert_eq(lg_threshold31(1.0 - 0x1p-40), 0x80000000u);
    for (double p = 0.0001; p < 1.0; p += 0.00037) cr_assert_leq(fabs(lg_threshold31(p) - p * 0x1p31), 0.5);
    /* p = 0 never fires, p = 1 always */
    for (int i = 0; i < EXTREMES; i++) {
        cr_assert_not(lg_u31(extreme[i]) < lg_threshold31(0.0));
        cr_assert(lg_u31(extreme[i]) < lg_threshold31(1.0));
    }
}

/* The integer comparison is the comparison of the real numbers it stands for. */
Test(words, thresholds_agree_with_reals)
{
    for (uint32_t i = 0; i < 200000; i++) {
        const lg_block b = lg_philox(i, 0, 0, 0, (lg_key){{9, 9}});
        const double p = lg_u31_real(b.w[1]) * (i % 2 ? 1.0 : 1e-3);
        cr_assert_eq(lg_u31(b.w[0]) < lg_threshold31(p), p >= lg_u31_real(b.w[0]), "word %08x p %.17g", b.w[0], p);
    }
}

static void check_log(float x)
{
    const double exact = log((double)x), error = fabs((double)lg_logf(x) - exact);
    cr_assert(error <= 2e-7 * fabs(exact), "logf(%.9g) = %.9g, exact %.17g", (double)x, (double)lg_logf(x), exact);
}

Test(mathf, log_against_libm)
{
    for (float x = 6e-8f; x < 17.0f; x *= 1.00003f) check_log(x);
    for (float x = 1.2e-38f; x < 3e38f; x *= 1.0007f) check_log(x);
    for (uint32_t i = 1; i < 100000; i++) { /* both sides of 1 */
        check_log(lg_bits_to_float(0x3f800000u + i));
        check_log(lg_bits_to_float(0x3f800000u - i));
    }
    cr_assert_eq(lg_logf(1.0f), 0.0f);
}

/* Every uniform number there is. */
Test(mathf, fused_log_against_libm)
{
    for (uint32_t i = 0; i < 1u << 23; i++) {
        const float u = lg_uniformf(i << 9);
        const double exact = log((double)u), error = fabs((double)lg_logf_fused(u) - exact);
        cr_assert(error <= -1e-7 * exact, "word %u: %.9g, exact %.17g", i, (double)lg_logf_fused(u), exact);
    }
}

Test(mathf, exp_against_libm)
{
    for (float x = -87.0f; x <= 88.0f; x += 0.000719f) {
        const double exact = exp((double)x);
        cr_assert(fabs((double)lg_expf(x) - exact) <= 2e-7 * exact, "expf(%.9g) = %.9g, exact %.17g", (double)x,
                  (double)lg_expf(x), exact);
    }
    cr_assert_eq(lg_expf(0.0f), 1.0f);
    cr_assert_eq(lg_expf(-88.0f), 0.0f);
    cr_assert_eq(lg_expf(-1e30f), 0.0f);
    cr_assert_eq(lg_expf(-INFINITY), 0.0f);
    cr_assert_eq(lg_expf(1e30f), lg_expf(88.0f));
    cr_assert(isfinite(lg_expf(INFINITY)));
}
