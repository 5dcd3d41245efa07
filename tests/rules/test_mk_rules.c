/* The integer arithmetic of MK against its real-number definition, exhaustively where that is possible. */
#include "rules/mk.h"
#include "rules/statistics.h"

#include <criterion/criterion.h>
#include <math.h>

/* p of a channel by its definition. */
static double propensity(uint32_t channel, double n, double m, double N, double gamma, const double *k)
{
    const double C = (N - 1) * (N - 2);
    const double p[6] = {k[0] * n * (n - 1) * (N - n) / C, k[0] * n * (N - n) * (N - 1 - n) / C, k[1] * (N - n) * m / N,
                         k[1] * n * (N - m) / N,           k[2] * (N - n) * (N - m) / N,         k[2] * n * m / N};
    return gamma * p[channel];
}

/* E = H(n - N u): over all 2^16 halves, exactly the share n / N to within half a step of 2^-16. */
Test(mk_rules, excitation_probability)
{
    static const uint32_t capacities[] = {3, 4, 50, 100, 127, 128, 254, 255};
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        const uint32_t N = capacities[c];
        for (uint32_t n = 0; n <= N; n++) {
            uint32_t count = 0;
            for (uint32_t half = 0; half < 65536; half++) count += lg_mk_excited(half, n, N);
            cr_assert_leq(fabs(count / 65536.0 - (double)n / N), 0x1p-17, "N %u n %u", N, n);
            if (n == 0) cr_assert_eq(count, 0);
            if (n == N) cr_assert_eq(count, 65536);
        }
        /* and half by half what the real comparison says */
        for (uint32_t half = 0; half < 65536; half += 3)
            for (uint32_t n = 0; n <= N; n += 7)
                cr_assert_eq(lg_mk_excited(half, n, N), n - N * (half + 0.5) / 65536.0 > 0.0);
    }
}

/* The smallest u31 that does not fire: firing is monotonic, so bisection finds it. */
static uint32_t firing_threshold(const lg_mk_fit *fit, uint32_t channel, uint32_t count)
{
    uint32_t low = 0, high = 0x80000000u;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (lg_mk_fires(fit, channel, mid, count)) low = mid + 1;
        else high = mid;
    }
    return low;
}

static void check_rates(uint32_t N, double gamma, const double *params, uint32_t stride)
{
    lg_mk_fit fit;
    lg_mk_prepare(params, gamma, (int)N, 1.0, &fit);
    for (uint32_t n = 0; n <= N; n += n < 3 || n + 3 > N ? 1 : stride)
        for (uint32_t m = 0; m <= N; m += m < 3 || m + 3 > N ? 1 : stride)
            for (uint32_t channel = 0; channel < LG_MK_CHANNELS; channel++) {
                const double p = propensity(channel, n, m, N, gamma, params + 2);
                const double expected = p < 1.0 ? p * 0x1p31 : 0x1p31;
                const uint32_t threshold = firing_threshold(&fit, channel, lg_mk_count(channel, n, m, N));
                cr_assert_leq(fabs(threshold - expected), 1.01, "N %u gamma %g channel %u n %u m %u: %u, exact %.3f", N,
                              gamma, channel, n, m, threshold, expected);
                if (p == 0.0) cr_assert_eq(threshold, 0);
                if (p >= 1.0 + 1e-12) cr_assert_eq(threshold, 0x80000000u);
            }
}

/* Reaction probabilities are rounded to within one unit of 2^-31 for every state; p >= 1 is certain and p = 0
 * impossible. */
Test(mk_rules, reaction_probability)
{
    static const double params[4][5] = {{0.1, 0.4, 0.98, 0.1, 0.2},
                                        {0, 1, 1, 1, 1},
                                        {0.5, 0.5, 0, 1e-9, 3e-5},
                                        {0, 0, 1, 0.5, 0.25}};
    static const double gammas[] = {1e-9, 0.005, 0.5, 1.0, 30.0};
    for (int g = 0; g < 5; g++)
        for (int p = 0; p < 4; p++) {
            check_rates(3, gammas[g], params[p], 1);
            check_rates(4, gammas[g], params[p], 1);
            check_rates(50, gammas[g], params[p], 1);
            check_rates(255, gammas[g], params[p], 11);
        }
}

/* I, its float version, and its derivatives (I is quadratic or cubic, so differences of exact integers check them). */
Test(mk_rules, counts_and_derivatives)
{
    static const uint32_t capacities[] = {3, 50, 255};
    const double one[3] = {1, 1, 1};
    for (int c = 0; c < 3; c++) {
        const uint32_t N = capacities[c];
        const double unit[2] = {1.0 / ((N - 1.0) * (N - 2.0)), 1.0 / N};
        for (uint32_t n = 0; n <= N; n += N > 60 ? 5 : 1)
            for (uint32_t m = 0; m <= N; m += N > 60 ? 5 : 1)
                for (uint32_t channel = 0; channel < LG_MK_CHANNELS; channel++) {
                    const double u = unit[channel >= 2], h = 1e-3, x = n, y = m;
                    float count, dn, dm;
                    lg_mk_count_gradient(channel, (float)n, (float)m, (float)N, &count, &dn, &dm);
                    const double I = propensity(channel, x, y, N, 1.0, one) / u;
                    cr_assert_float_eq(lg_mk_count(channel, n, m, N), I, 1e-9 * (1 + I));
                    cr_assert_eq((double)count, (double)lg_mk_count(channel, n, m, N));
                    const double up = propensity(channel, x + h, y, N, 1.0, one),
                                 down = propensity(channel, x - h, y, N, 1.0, one);
                    /* the third derivative of I is at most 6, so the difference is off by at most h^2 */
                    cr_assert_float_eq((double)dn, (up - down) / (2 * h * u), 1e-4 + 1e-8 * I, "channel %u n %u m %u",
                                       channel, n, m);
                    const double above = propensity(channel, x, y + h, N, 1.0, one),
                                 below = propensity(channel, x, y - h, N, 1.0, one);
                    cr_assert_float_eq((double)dm, (above - below) / (2 * h * u), 1e-4 + 1e-8 * I,
                                       "channel %u n %u m %u", channel, n, m);
                }
    }
}

/* The second word splits into a channel and a threshold that are independent and uniform: a 6 x 16 table, false
 * alarm 1e-6. */
Test(mk_rules, channel_and_threshold_are_uniform)
{
    enum { DRAWS = 400000 };
    size_t count[96] = {0};
    double p[96];
    int freedom;
    const lg_key key = lg_iteration_key(1, 0);
    for (uint32_t i = 0; i < DRAWS / 2; i++) {
        const lg_block b = lg_draw(key, LG_STREAM_MK_SITE, 0, 0, 0, i);
        for (int k = 1; k < 4; k += 2) {
            const uint32_t channel = lg_mk_channel(b.w[k]), u = lg_mk_u31(b.w[k]);
            cr_assert_lt(channel, 6);
            cr_assert_lt(u, 0x80000000u);
            count[channel * 16 + (u >> 27)]++;
        }
    }
    for (int i = 0; i < 96; i++) p[i] = 1.0 / 96;
    const double x2 = chi_square(96, count, p, DRAWS, &freedom);
    cr_assert_lt(x2, chi_square_limit(freedom), "chi-square %g", x2);
    cr_assert_eq(lg_mk_channel(0), 0);
    cr_assert_eq(lg_mk_channel(0xffffffffu), 5);
}

/* The nine directions of both species, chi-square with false alarm 1e-6; D = 0 stays always, D = 1 never. */
Test(mk_rules, direction_classes)
{
    enum { DRAWS = 200000 };
    static const double D[] = {0.0, 0.001, 0.1, 0.5, 0.999, 1.0};
    for (int d = 0; d < 6; d++) {
        const double params[5] = {D[d], D[d], 1, 1, 1};
        lg_mk_fit fit;
        lg_mk_prepare(params, 0.005, 50, 1.0, &fit);
        for (int species = 0; species < 2; species++) {
            size_t count[9] = {0};
            double p[9], sum = 0.0;
            int freedom;
            for (uint32_t r = 0; r < DRAWS; r++)
                count[lg_mk_draw_direction(&fit, lg_iteration_key(2, 7), 3, r, 1, species)]++;
            for (int q = 0; q < 9; q++) sum += p[q] = lg_mk_direction_probability(D[d], q);
            cr_assert_float_eq(sum, 1.0, 1e-14);
            const double x2 = chi_square(9, count, p, DRAWS, &freedom);
            cr_assert(freedom == 0 || x2 < chi_square_limit(freedom), "D %g species %d chi-square %g", D[d], species,
                      x2);
            if (D[d] == 0.0) cr_assert_eq(count[LG_MK_STAY], DRAWS);
            if (D[d] == 1.0) cr_assert_eq(count[LG_MK_STAY], 0);
        }
    }
}

/* The direction that is drawn with its noise is the one that is drawn without. */
Test(mk_rules, soft_draw_has_the_same_direction)
{
    const double params[5] = {0.4, 0.9, 1, 1, 1};
    lg_mk_fit fit;
    lg_mk_prepare(params, 0.005, 50, 1.0, &fit);
    const lg_key key = lg_iteration_key(2, 0);
    for (uint32_t step = 0; step < 1000; step++)
        for (int s = 0; s < 2; s++)
            cr_assert_eq(lg_mk_draw_direction(&fit, key, 0, 1, step, s),
                         lg_mk_draw_direction_soft(&fit, key, 0, 1, step, s).q);
}
