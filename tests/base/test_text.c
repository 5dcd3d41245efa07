#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

Test(text, grows_and_is_handed_over)
{
    lg_text text = {0};
    for (int i = 0; i < 1000; i++) lg_text_printf(&text, "%d,", i);
    lg_text_add(&text, "end");
    cr_assert_not(text.failed);
    cr_assert_eq(text.size, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    cr_assert_eq(strlen(text.data), text.size);
    cr_assert_eq(strncmp(text.data, "0,1,2,", 6), 0);
    char *taken = lg_text_take(&text);
    cr_assert_str_eq(taken + strlen(taken) - 7, "999,end");
    cr_assert_null(text.data);
    free(taken);
}

Test(text, empty_is_an_empty_string)
{
    lg_text text = {0};
    char *taken = lg_text_take(&text);
    cr_assert_str_eq(taken, "");
    free(taken);
}

Test(text, failed_allocation_sticks)
{
    lg_text text = {0};
    lg_text_add(&text, "before");
    lg_text_append(&text, "", SIZE_MAX / 2);
    cr_assert(text.failed);
    lg_text_add(&text, "after");
    cr_assert_str_eq(text.data, "before");
    cr_assert_null(lg_text_take(&text));
    cr_assert_not(text.failed);
}

Test(text, nearest_name)
{
    static const char *const names[] = {"lattice", "optimizer", "replicates", "seed", "steps", "k1", NULL, "k2"};
    size_t n = sizeof names / sizeof *names;
    cr_expect_str_eq(lg_nearest("optimiser", names, n), "optimizer");
    cr_expect_str_eq(lg_nearest("replicas", names, n), "replicates");
    cr_expect_str_eq(lg_nearest("latitce", names, n), "lattice");
    cr_expect_str_eq(lg_nearest("sede", names, n), "seed");
    cr_expect_str_eq(lg_nearest("SEED", names, n), "seed");
    cr_expect_str_eq(lg_nearest("step", names, n), "steps");
    cr_expect_str_eq(lg_nearest("k", names, n), "k1");
    cr_expect_null(lg_nearest("temperature", names, n));
    cr_expect_null(lg_nearest("x", names, n));
    cr_expect_null(lg_nearest("", names, n));
    cr_expect_null(lg_nearest("seed", names, 0));
}

Test(text, nearest_survives_long_words)
{
    char word[500];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    const char *longest = word + sizeof word - 1 - 64, *names[] = {word, longest};
    cr_expect_null(lg_nearest(word, names, 2));
    cr_expect_eq(lg_nearest(longest + 1, names, 2), longest);
}

Test(text, doubles)
{
    double value = -7;
    static const char *const bad[] = {"",      " 1", "1 ",     "1,5", "0x10", "1e999", "-1e999",
                                      "1.2.3", "e5", "nan(1)", "one", "--1",  "1_000", "infinit"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not(lg_parse_double(bad[i], &value), "'%s' was taken for a number", bad[i]);
    }
    cr_expect_eq(value, -7);
    cr_expect(lg_parse_double("-1.5e3", &value) && value == -1500);
    cr_expect(lg_parse_double("+.5", &value) && value == 0.5);
    cr_expect(lg_parse_double("1e-400", &value) && value == 0);
    cr_expect(lg_parse_double("nan", &value) && isnan(value));
    cr_expect(lg_parse_double("-inf", &value) && value < 0 && isinf(value));
}

Test(text, integers)
{
    int64_t value = -7;
    uint64_t natural = 7;
    static const char *const bad[] = {"", " 1", "1 ", "1.0", "1e3", "0x10", "9223372036854775808", "-", "+-1", "ten"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not(lg_parse_int(bad[i], &value), "'%s' was taken for a number", bad[i]);
    }
    cr_expect_eq(value, -7);
    cr_expect(lg_parse_int("-9223372036854775808", &value) && value == INT64_MIN);
    cr_expect(lg_parse_int("+12", &value) && value == 12);
    cr_expect(lg_parse_uint("18446744073709551615", &natural) && natural == UINT64_MAX);
    cr_expect_not(lg_parse_uint("18446744073709551616", &natural));
    cr_expect_not(lg_parse_uint("-1", &natural));
    cr_expect_not(lg_parse_uint(" 1", &natural));
    cr_expect_eq(natural, UINT64_MAX);
}
