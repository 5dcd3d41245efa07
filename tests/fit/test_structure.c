/* The structure factor of pictures: the sums of its definition, and the bins of rules/spectrum.h. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "latgrad.h"
#include "model/spectrum.h"

enum { LARGEST = 64 * 64 };

static void fill(uint8_t *plane, int sites)
{
    uint32_t x = 12345;
    for (int i = 0; i < sites; i++) {
        x = x * 1664525u + 1013904223u;
        plane[i] = (uint8_t)(x >> 26);
    }
}

/* Sides that are powers of two, products of primes, and primes. */
static const int sides[][2] = {{64, 64}, {60, 45}, {32, 50}, {31, 37}, {7, 64}};
enum { SHAPES = sizeof sides / sizeof sides[0] };

Test(structure, first_rings_are_the_bins_of_the_statistics)
{
    uint8_t plane[LARGEST];
    for (int c = 0; c < SHAPES; c++) {
        const int H = sides[c][0], W = sides[c][1], most = ((H < W ? H : W) - 1) / 2;
        lg_spectrum s;
        double bins[LG_SPECTRUM_BINS], rings[LG_SPECTRUM_BINS];
        fill(plane, H * W);
        cr_assert(lg_spectrum_open(&s, (uint32_t)H, (uint32_t)W));
        lg_complex *work = calloc(lg_spectrum_work(&s), sizeof *work);
        lg_spectrum_bins(&s, plane, work, bins);
        cr_assert_eq(lg_structure_factor(NULL, plane, H, W, LG_SPECTRUM_BINS, rings), LG_OK);
        for (int b = 0; b < LG_SPECTRUM_BINS && b < most; b++)
            cr_assert_float_eq(rings[b], bins[b], 1e-9 * bins[b], "%d x %d, ring %d: %.17g and %.17g", H, W, b,
                               rings[b], bins[b]);
        free(work);
        lg_spectrum_close(&s);
    }
}

/* All rings against the double sum: 12 x 18 sites, 15 x 11 sites. */
Test(structure, rings_are_the_sums_of_the_definition)
{
    static const int small[][2] = {{12, 18}, {15, 11}};
    uint8_t plane[LARGEST];
    for (int c = 0; c < 2; c++) {
        const int H = small[c][0], W = small[c][1], L = H < W ? H : W, rings = (L - 1) / 2;
        double sum[8] = {0}, count[8] = {0}, found[8];
        fill(plane, H * W);
        for (int p = -(H - 1) / 2; p <= (H - 1) / 2; p++) {
            for (int q = -(W - 1) / 2; q <= (W - 1) / 2; q++) {
                const int ring = (int)lround(L * hypot((double)p / H, (double)q / W)) - 1;
                double re = 0, im = 0;
                for (int x = 0; x < H * W; x++) {
                    const double angle = 2 * acos(-1.0) * ((double)p * (x / W) / H + (double)q * (x % W) / W);
                    re += plane[x] * cos(angle);
                    im -= plane[x] * sin(angle);
                }
                if (ring < 0 || ring >= rings) continue;
                sum[ring] += (re * re + im * im) / (H * W);
                count[ring]++;
            }
        }
        cr_assert_eq(lg_structure_factor(NULL, plane, H, W, rings, found), LG_OK);
        for (int r = 0; r < rings; r++)
            cr_assert_float_eq(found[r], sum[r] / count[r], 1e-9 * found[r], "%d x %d, ring %d", H, W, r);
    }
}

/* cos(2 pi 5 j / 64) has its power in ring 5: S = sites a^2 / 4 at two wave vectors of that ring. */
Test(structure, a_wave_shows_in_its_ring_alone)
{
    uint8_t plane[LARGEST];
    double rings[31];
    for (int i = 0; i < LARGEST; i++) plane[i] = (uint8_t)lround(100 + 90 * cos(2 * acos(-1.0) * 5 * (i % 64) / 64));
    cr_assert_eq(lg_structure_factor(NULL, plane, 64, 64, 31, rings), LG_OK);
    for (int r = 0; r < 31; r++) cr_assert(r == 4 ? rings[r] > 1e5 : rings[r] < 1e2, "ring %d: %g", r, rings[r]);
}

Test(structure, refuses_and_marks_what_is_not_there)
{
    uint8_t plane[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    double rings[3];
    lg_context *ctx = NULL;
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    cr_assert_eq(lg_structure_factor(ctx, plane, 0, 3, 1, rings), LG_ERR_RANGE);
    cr_assert_neq(strstr(lg_context_message(ctx), "0 x 3"), NULL);
    cr_assert_eq(lg_structure_factor(ctx, plane, 3, 3, 3, rings), LG_OK);
    cr_assert(rings[0] > 0 && isnan(rings[1]) && isnan(rings[2]), "%g %g %g", rings[0], rings[1], rings[2]);
    lg_context_free(ctx);
}
