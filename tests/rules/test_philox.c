/* The generator, its streams, and the keyed permutation. */
#include "rules/permute.h"
#include "rules/statistics.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void check_block(uint32_t c, uint32_t k, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3)
{
    const lg_block b = lg_philox(c, c, c, c, (lg_key){{k, k}});
    cr_assert_eq(b.w[0], w0);
    cr_assert_eq(b.w[1], w1);
    cr_assert_eq(b.w[2], w2);
    cr_assert_eq(b.w[3], w3);
}

/* Known answers of Random123's kat_vectors for philox4x32 with 10 rounds. */
Test(philox, known_answers)
{
    check_block(0u, 0u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u);
    check_block(0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu);
    const lg_block pi =
        lg_philox(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, (lg_key){{0xa4093822u, 0x299f31d0u}});
    cr_assert_eq(pi.w[0], 0xd16cfe09u);
    cr_assert_eq(pi.w[1], 0x94fdccebu);
    cr_assert_eq(pi.w[2], 0x5001e420u);
    cr_assert_eq(pi.w[3], 0x24126ea1u);
}

/* Every coordinate of a draw reaches the counter or the key: changing one changes the block. */
Test(philox, every_coordinate_matters)
{
    const uint64_t seed = 0x123456789abcdefu;
    const lg_key key = lg_iteration_key(seed, 5);
    const lg_block base = lg_draw(key, LG_STREAM_MK_SITE, 1, 2, 3, 4);
    const lg_block other[] = {lg_draw(key, LG_STREAM_MK_SITE, 1, 2, 3, 5),
                              lg_draw(key, LG_STREAM_MK_SITE, 1, 2, 4, 4),
                              lg_draw(key, LG_STREAM_MK_SITE, 1, 3, 3, 4),
                              lg_draw(key, LG_STREAM_MK_SITE, 2, 2, 3, 4),
                              lg_draw(key, LG_STREAM_MK_DIRECTION, 1, 2, 3, 4),
                              lg_draw(lg_iteration_key(seed, 6), LG_STREAM_MK_SITE, 1, 2, 3, 4),
                              lg_draw(lg_iteration_key(seed, 5 + (1ull << 32)), LG_STREAM_MK_SITE, 1, 2, 3, 4),
                              lg_draw(lg_iteration_key(seed + 1, 5), LG_STREAM_MK_SITE, 1, 2, 3, 4),
                              lg_draw(lg_iteration_key(seed + (1ull << 32), 5), LG_STREAM_MK_SITE, 1, 2, 3, 4)};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        cr_assert_neq(memcmp(&base, &other[i], sizeof base), 0, "variant %zu", i);
    const lg_block again = lg_draw(lg_iteration_key(seed, 5), LG_STREAM_MK_SITE, 1, 2, 3, 4);
    cr_assert_eq(memcmp(&base, &again, sizeof base), 0);
}

/* The stream id and the largest fit share a word without touching each other. */
Test(philox, streams_and_fits_do_not_overlap)
{
    cr_assert_leq(LG_STREAM_COUNT, 256);
    for (uint32_t stream = 0; stream + 1 < LG_STREAM_COUNT; stream++)
        cr_assert_lt(stream << 24 | (LG_MAX_FITS - 1), (stream + 1) << 24);
}

static void check_bijection(uint64_t seed, uint64_t epoch, uint32_t n)
{
    uint8_t *seen = calloc(n, 1);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t x = lg_permute(lg_seed_key(seed), epoch, n, i);
        cr_assert_lt(x, n, "n %u index %u", n, i);
        cr_assert_not(seen[x], "n %u: %u comes twice", n, x);
        seen[x] = 1;
    }
    free(seen);
}

Test(permute, is_a_bijection)
{
    for (uint32_t n = 1; n <= 300; n++) check_bijection(n, n / 7, n);
    static const uint32_t large[] = {1000, 4096, 65535, 65536, 65537, 100003};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) check_bijection(1, 12345678901u, large[i]);
}

/* Above 2^30 a table of what was seen would be large: distinct indices in a window must give distinct values below
 * n. */
Test(permute, very_large_ranges)
{
    static const uint32_t sizes[] = {(1u << 30) + 1, 0x80000001u, 0xffffffffu};
    for (size_t k = 0; k < 3; k++) {
        double seen[2000];
        for (uint32_t i = 0; i < 2000; i++) {
            const uint32_t x = lg_permute(lg_seed_key(3), 1, sizes[k], sizes[k] - 1 - i);
            cr_assert_lt(x, sizes[k]);
            seen[i] = x;
        }
        qsort(seen, 2000, sizeof *seen, compare_doubles);
        for (uint32_t i = 1; i < 2000; i++) cr_assert_neq(seen[i - 1], seen[i]);
    }
}

/* Minibatches of any size run through whole epochs: in every stretch of n positions each pair comes once. */
Test(permute, each_pair_once_an_epoch)
{
    enum { N = 23, R = 7 };
    int count[N] = {0};
    uint64_t position = 0;
    for (uint64_t it = 0; it < 3 * N; it++)
        for (uint32_t r = 0; r < R; r++) {
            count[lg_pair_index(11, it, R, r, N)]++;
            if (++position % N) continue;
            for (int i = 0; i < N; i++) cr_assert_eq(count[i], 1, "epoch %d pair %d", (int)(position / N), i);
            memset(count, 0, sizeof count);
        }
}

/* Where index 0 goes is uniform over epochs: chi-square over 10 classes, false alarm 1e-6. */
Test(permute, first_place_is_uniform)
{
    size_t count[10] = {0};
    double p[10];
    int freedom;
    for (uint64_t epoch = 0; epoch < 20000; epoch++) count[lg_permute(lg_seed_key(4), epoch, 10, 0)]++;
    for (int i = 0; i < 10; i++) p[i] = 0.1;
    const double x2 = chi_square(10, count, p, 20000, &freedom);
    cr_assert_lt(x2, chi_square_limit(freedom), "chi-square %g", x2);
}
