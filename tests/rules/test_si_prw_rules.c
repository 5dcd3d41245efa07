/* SI and PRW draws against their probabilities, and the bit-sliced neighbour count. */
#include "rules/prw.h"
#include "rules/si.h"
#include "rules/statistics.h"

#include <criterion/criterion.h>
#include <math.h>

/* All 2^8 neighbourhoods, each in every bit position in turn. */
Test(si_rules, neighbour_count)
{
    for (uint32_t set = 0; set < 256; set++)
        for (uint32_t bit = 0; bit < 64; bit += 9) {
            uint64_t w[8];
            uint32_t expected = 0;
            for (uint32_t k = 0; k < 8; k++) {
                w[k] = (uint64_t)(set >> k & 1) << bit;
                expected += set >> k & 1;
            }
            const lg_si_sliced r = lg_si_count(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
            const uint64_t n =
                (r.n0 >> bit & 1) + 2 * (r.n1 >> bit & 1) + 4 * (r.n2 >> bit & 1) + 8 * (r.n3 >> bit & 1);
            cr_assert_eq(n, expected, "neighbourhood %02x", set);
            cr_assert_eq((r.n0 | r.n1 | r.n2 | r.n3) & ~(1ull << bit), 0);
        }
}

/* 64 different neighbourhoods at once. */
Test(si_rules, neighbour_count_in_parallel)
{
    for (uint32_t trial = 0; trial < 200; trial++) {
        uint64_t w[8];
        for (uint32_t k = 0; k < 8; k++) {
            const lg_block b = lg_philox(trial, k, 0, 0, (lg_key){{1, 2}});
            w[k] = (uint64_t)b.w[0] << 32 | b.w[1];
        }
        const lg_si_sliced r = lg_si_count(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
        for (uint32_t bit = 0; bit < 64; bit++) {
            uint64_t expected = 0;
            for (uint32_t k = 0; k < 8; k++) expected += w[k] >> bit & 1;
            cr_assert_eq((r.n0 >> bit & 1) + 2 * (r.n1 >> bit & 1) + 4 * (r.n2 >> bit & 1) + 8 * (r.n3 >> bit & 1),
                         expected);
        }
    }
}

/* p, dp/dbeta and dp/dN by their formulas; the threshold is p rounded to 2^-31. */
Test(si_rules, constants)
{
    static const double betas[] = {0.0, 1e-5, 0.05, 0.2, 0.5, 0.8, 0.999, 1.0};
    for (int b = 0; b < 8; b++) {
        const double q = 1.0 - betas[b];
        lg_si_fit fit;
        lg_si_prepare(betas[b], log(q), 1.0, &fit);
        for (int n = 0; n <= 8; n++) {
            const double p = 1.0 - pow(q, n), d = n == 0 ? 0.0 : n * pow(q, n - 1),
                         dn = q > 0.0 ? -pow(q, n) * log(q) : 0.0;
            cr_assert_float_eq((double)fit.p[n], p, 1e-7 * p + 1e-12);
            cr_assert_float_eq((double)fit.dp_dbeta[n], d, 1e-6 * d);
            cr_assert_float_eq((double)fit.dp_dn[n], dn, 1e-6 * fabs(dn));
            cr_assert_leq(fabs(fit.threshold[n] - p * 0x1p31), 0.51, "beta %g n %d", betas[b], n);
        }
    }
}

/* Sites of one row read different words: no two share one. */
Test(si_rules, every_site_has_its_own_words)
{
    enum { H = 5 };
    for (uint32_t W = 3; W < 12; W++) {
        uint8_t used[H * 16 * 4] = {0}, gumbel[H * 16 * 4] = {0};
        for (uint32_t i = 0; i < H; i++)
            for (uint32_t j = 0; j < W; j++) {
                const uint32_t word = 4 * lg_si_block(i, j, W) + j % 4, pair = 2 * lg_si_gumbel_block(i, j, W) + j % 2;
                cr_assert_not(used[word]);
                cr_assert_not(gumbel[pair]);
                used[word] = gumbel[pair] = 1;
            }
    }
}

/* Share of sites that turn aware for each number of neighbours: chi-square over the nine binomials, false alarm
 * 1e-6. */
Test(si_rules, infection_probability)
{
    enum { DRAWS = 100000 };
    lg_si_fit fit;
    const lg_key key = lg_iteration_key(3, 1);
    lg_si_prepare(0.2, log(0.8), 1.0, &fit);
    for (uint32_t n = 0; n <= 8; n++) {
        size_t count[2] = {0};
        int freedom;
        for (uint32_t i = 0; i < DRAWS / 4; i++) {
            const lg_block b = lg_draw(key, LG_STREAM_SI_SITE, 0, n, 0, i);
            for (int k = 0; k < 4; k++) count[lg_u31(b.w[k]) < fit.threshold[n]]++;
        }
        const double p[2] = {pow(0.8, n), 1.0 - pow(0.8, n)};
        const double x2 = chi_square(2, count, p, DRAWS, &freedom);
        cr_assert(freedom == 0 ? isfinite(x2) : x2 < chi_square_limit(freedom), "n %u chi-square %g", n, x2);
    }
}

/* Velocities and resampling, jointly over both axes of a step: false alarm 1e-6 per table. */
Test(prw_rules, classes)
{
    enum { DRAWS = 200000 };
    static const double law[4][2] = {{0.2, 0.1}, {0.26, 0.62}, {0.0, 0.5}, {1.0, 1.0}};
    for (int c = 0; c < 4; c++) {
        const double pc = law[c][0], pr = law[c][1], side = (1.0 - pc) / 2;
        size_t count[36] = {0}, start[3] = {0};
        double p[36], v[3] = {side, pc, side};
        lg_prw_fit fit;
        int freedom;
        lg_prw_prepare(pc, pr, LG_ESTIMATOR_gs, 1.0, &fit);
        for (uint32_t i = 0; i < DRAWS; i++) {
            const lg_block b = lg_draw(lg_iteration_key(4, 0), LG_STREAM_PRW_STEP, 0, i, 1, 0);
            const int x = lg_prw_resamples(&fit, b.w[0]) * 3 + lg_prw_velocity(&fit, b.w[1]) + 1;
            const int y = lg_prw_resamples(&fit, b.w[2]) * 3 + lg_prw_velocity(&fit, b.w[3]) + 1;
            count[6 * x + y]++;
            start[lg_prw_velocity(&fit, lg_draw(lg_iteration_key(4, 0), LG_STREAM_PRW_START, 0, i, 0, 0).w[0]) + 1]++;
        }
        for (int i = 0; i < 36; i++)
            p[i] = (i / 18 ? pr : 1.0 - pr) * v[i / 6 % 3] * (i % 6 / 3 ? pr : 1.0 - pr) * v[i % 3];
        const double x2 = chi_square(36, count, p, DRAWS, &freedom);
        cr_assert(freedom == 0 ? isfinite(x2) : x2 < chi_square_limit(freedom), "law %d chi-square %g", c, x2);
        const double y2 = chi_square(3, start, v, DRAWS, &freedom);
        cr_assert(freedom == 0 ? isfinite(y2) : y2 < chi_square_limit(freedom), "law %d start chi-square %g", c, y2);
    }
}
