/* Slices of a job joined again: the bytes of the unsplit run, and messages that name what does not fit. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/config_lines.h"
#include "cluster/merge.h"
#include "cluster/pack.h"
#include "cluster/slices.h"

enum { FITS = 7 };

static lg_context *ctx;
static char folder[64];
static char names[32][128];
static int used;

static void begin(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    strcpy(folder, "/tmp/latgrad-merge-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    used = 0;
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
    lg_context_free(ctx);
}

TestSuite(merge, .init = begin, .fini = end);

static const char *path_of(const char *name)
{
    char *path = names[used++];
    snprintf(path, sizeof names[0], "%s/%s", folder, name);
    return path;
}

/* A small job with settings "key=value" on top. */
static lg_config *config_of(const char *model, const char *const *extra)
{
    static const char *const si[] = {"model=si",
                                     "lattice.height=8",
                                     "lattice.width=8",
                                     "data.generate.runs=4",
                                     "data.generate.steps=5",
                                     "data.generate.params.beta=0.2",
                                     "replicates=4",
                                     "iterations=12",
                                     NULL};
    static const char *const prw[] = {"model=prw",
                                      "data.generate.runs=50",
                                      "data.generate.params.p_center=0.4",
                                      "data.generate.params.p_resample=0.3",
                                      "replicates=20",
                                      "iterations=9",
                                      NULL};
    const char *const *const lists[] = {strcmp(model, "si") == 0 ? si : prw, extra};
    lg_config *config;
    cr_assert_eq(lg_config_create(ctx, &config), LG_OK);
    for (int l = 0; l < 2; l++) {
        for (const char *const *line = lists[l]; line && *line; line++) {
            char key[128];
            const size_t n = strcspn(*line, "=");
            snprintf(key, sizeof key, "%.*s", (int)n, *line);
            cr_assert_eq(lg_config_set(ctx, config, key, *line + n + 1), LG_OK, "%s", lg_context_message(ctx));
        }
    }
    cr_assert_eq(lg_config_set(ctx, config, "device", "cpu"), LG_OK);
    return config;
}

static lg_result *fit(const char *model, int first, int fits, const char *const *extra)
{
    char number[16];
    lg_config *config = config_of(model, extra);
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    snprintf(number, sizeof number, "%d", first);
    cr_assert_eq(lg_config_set(ctx, config, "first_fit", number), LG_OK);
    snprintf(number, sizeof number, "%d", fits);
    cr_assert_eq(lg_config_set(ctx, config, "fits", number), LG_OK);
    cr_assert_eq(lg_problem_create(ctx, config, &problem), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_fit(ctx, problem, NULL, NULL, &result), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_free(problem);
    lg_config_free(config);
    return result;
}

static const char *slice(const char *name, const char *model, int first, int fits, const char *const *extra)
{
    const char *path = path_of(name);
    lg_result *result = fit(model, first, fits, extra);
    cr_assert_eq(lg_result_write(ctx, result, path, true), LG_OK, "%s", lg_context_message(ctx));
    lg_result_free(result);
    return path;
}

/* The file of a result without what says where and when it was made. */
static char *bytes_of(lg_result *r, const char *name, size_t *size)
{
    char *data;
    const char *path = path_of(name);
    strcpy(r->host, "host");
    strcpy(r->started, "2024-01-01T00:00:00Z");
    strcpy(r->finished, "2024-01-01T00:00:00Z");
    r->seconds = 1.0;
    cr_assert_eq(lg_result_write(ctx, r, path, true), LG_OK, "%s", lg_context_message(ctx));
    cr_assert_eq(lg_file_read(ctx, path, &data, size), LG_OK);
    return data;
}

/* HDF5 notes the second in which a data set was made: both files have to be written in the same one. */
static void expect_same(lg_result *a, lg_result *b)
{
    size_t n, m;
    char *x = NULL, *y = NULL;
    time_t second;
    do {
        free(x);
        free(y);
        used = 20;
        second = time(NULL);
        x = bytes_of(a, "a.h5", &n);
        y = bytes_of(b, "b.h5", &m);
    } while (time(NULL) != second);
    cr_expect_str_eq(a->config_yaml, b->config_yaml);
    cr_expect_eq(n, m);
    cr_expect(n == m && memcmp(x, y, n) == 0, "the files differ");
    free(x);
    free(y);
}

static void split_and_join(const char *model, const char *const *extra)
{
    /* Cuts of 7 fits, each part before those that begin later, and in another order. */
    static const int cuts[][5] = {{0, 7}, {0, 1, 7}, {0, 3, 5, 7}, {0, 2, 3, 6, 7}};
    lg_result *whole = fit(model, 0, FITS, extra);
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        const char *part[4];
        int parts = 0;
        char name[32];
        used = 0;
        for (; cuts[c][parts] < FITS; parts++) {
            snprintf(name, sizeof name, "part%d.h5", parts);
            part[parts] = slice(name, model, cuts[c][parts], cuts[c][parts + 1] - cuts[c][parts], extra);
        }
        if (parts > 1) {
            const char *last = part[parts - 1];
            part[parts - 1] = part[0];
            part[0] = last;
        }
        lg_result *joined = NULL;
        cr_assert_eq(lg_result_merge(ctx, part, parts, 0, 0, NULL, &joined), LG_OK, "%s", lg_context_message(ctx));
        cr_expect_eq(joined->fits, FITS);
        expect_same(whole, joined);
        lg_result_free(joined);
    }
    lg_result_free(whole);
}

Test(merge, transitions)
{
    split_and_join("si", NULL);
}

Test(merge, statistics_and_fits_that_end_early)
{
    static const char *const plateau[] = {"stop.window=2", "stop.tolerance=0.5", NULL};
    split_and_join("prw", plateau);
}

Test(merge, ensemble)
{
    static const char *const ensemble[] = {"ensemble.starts=random", "ensemble.size=7", NULL};
    split_and_join("si", ensemble);
}

Test(merge, bootstrap)
{
    static const char *const ensemble[] = {"ensemble.bootstrap=6", NULL};
    split_and_join("prw", ensemble);
}

Test(merge, slice_that_begins_later)
{
    lg_result *whole = fit("si", 3, 4, NULL), *joined = NULL;
    const char *part[] = {slice("y.h5", "si", 5, 2, NULL), slice("x.h5", "si", 3, 2, NULL)};
    cr_assert_eq(lg_result_merge(ctx, part, 2, 3, 4, NULL, &joined), LG_OK, "%s", lg_context_message(ctx));
    expect_same(whole, joined);
    lg_result_free(whole);
    lg_result_free(joined);
}

Test(merge, output_is_recorded)
{
    static const char *const outputs[] = {"output.file=/data/part 1.h5", "output.trace=/data/part1.csv", NULL};
    const char *part[] = {slice("x.h5", "si", 0, 2, outputs)};
    lg_result *joined = NULL;
    cr_assert_eq(lg_result_merge(ctx, part, 1, 0, 0, "/data/it's \"all\".h5", &joined), LG_OK, "%s",
                 lg_context_message(ctx));
    cr_expect_not_null(strstr(joined->config_yaml, "  file: \"/data/it's \\\"all\\\".h5\""), "%s", joined->config_yaml);
    cr_expect_null(strstr(joined->config_yaml, "part1.csv"));
    cr_expect_null(strstr(joined->config_yaml, "part 1"));
    lg_result_free(joined);
}

static void expect_failure(const char *const *part, int parts, int64_t first, int64_t fits, lg_status status,
                           const char *text)
{
    lg_result *joined = (lg_result *)&used;
    cr_expect_eq(lg_result_merge(ctx, part, parts, first, fits, NULL, &joined), status, "expected: %s", text);
    cr_expect_null(joined);
    cr_expect_not_null(strstr(lg_context_message(ctx), text), "'%s' is not in: %s", text, lg_context_message(ctx));
}

Test(merge, gaps_and_overlaps)
{
    const char *part[] = {slice("p4.h5", "si", 4, 1, NULL), slice("p0.h5", "si", 0, 2, NULL),
                          slice("p6.h5", "si", 6, 3, NULL)};
    expect_failure(part, 3, 0, 0, LG_ERR_DATA, "fits 2-3, 5 are missing");
    expect_failure(part, 3, 0, 12, LG_ERR_DATA, "fits 2-3, 5, 9-11 are missing");
    expect_failure(part, 1, 0, 6, LG_ERR_DATA, "fits 0-3, 5 are missing");
    expect_failure(part + 1, 1, 0, 1, LG_ERR_DATA, "hold fits 0-1, but fits 0-0 were asked for");
    const char *again[] = {part[1], slice("p1.h5", "si", 1, 3, NULL), part[2]};
    expect_failure(again, 3, 0, 0, LG_ERR_DATA, "both hold fits 1");
    expect_failure(again, 3, 0, 0, LG_ERR_DATA, "p0.h5");
    const char *twice[] = {part[1], part[1]};
    expect_failure(twice, 2, 0, 0, LG_ERR_DATA, "both hold fits 0-1");
}

Test(merge, other_jobs)
{
    static const char *const rate[] = {"optimizer.lr=2e-7", NULL}, *const where[] = {"threads=1", "memory_limit=64",
                                                                                     NULL};
    const char *part[] = {slice("a.h5", "si", 0, 2, NULL), slice("b.h5", "si", 2, 2, rate)};
    expect_failure(part, 2, 0, 0, LG_ERR_DATA, "lr: 2e-7");
    const char *models[] = {part[0], slice("c.h5", "prw", 2, 2, NULL)};
    expect_failure(models, 2, 0, 0, LG_ERR_DATA, "not slices of one job");
    const char *good[] = {part[0], slice("d.h5", "si", 2, 2, where)};
    lg_result *joined = NULL;
    cr_expect_eq(lg_result_merge(ctx, good, 2, 0, 4, NULL, &joined), LG_OK, "%s", lg_context_message(ctx));
    lg_result_free(joined);
}

Test(merge, what_cannot_be_joined)
{
    const char *missing[] = {path_of("nothing.h5")}, *damaged[] = {path_of("text.h5")};
    expect_failure(missing, 1, 0, 0, LG_ERR_FILE, "nothing.h5");
    cr_assert_eq(lg_file_write(ctx, damaged[0], "text", 4, false), LG_OK);
    expect_failure(damaged, 1, 0, 0, LG_ERR_DATA, "text.h5");
    expect_failure(NULL, 0, 0, 0, LG_ERR_USAGE, "no results");

    const char *stopped[] = {path_of("stopped.h5")};
    lg_result *result = fit("si", 2, 2, NULL);
    result->fit[1].status = LG_FIT_STOPPED;
    cr_assert_eq(lg_result_write(ctx, result, stopped[0], true), LG_OK);
    expect_failure(stopped, 1, 0, 0, LG_ERR_DATA, "fit 3 in ");
    lg_result_free(result);

    const char *part[] = {slice("s0.h5", "prw", 0, 2, NULL), path_of("s1.h5")};
    result = fit("prw", 2, 2, NULL);
    result->target[1] += 1e-9;
    cr_assert_eq(lg_result_write(ctx, result, part[1], true), LG_OK);
    expect_failure(part, 2, 0, 0, LG_ERR_DATA, "different data");
    lg_result_free(result);
}

Test(merge, hosts_and_times)
{
    lg_part part[] = {{.name = "a", .result = fit("si", 2, 2, NULL)},
                      {.name = "b", .result = fit("si", 0, 2, NULL)},
                      {.name = "c", .result = fit("si", 4, 1, NULL)}};
    static const char *const hosts[] = {"node2", "node21", "node2"}, *const starts[] = {"2024-01-02", "2024-01-01",
                                                                                        "2024-01-03"};
    for (int i = 0; i < 3; i++) {
        strcpy(part[i].result->host, hosts[i]);
        strcpy(part[i].result->started, starts[i]);
        strcpy(part[i].result->finished, starts[i]);
        part[i].result->seconds = 3.0 - i;
    }
    lg_result *joined = NULL;
    cr_assert_eq(lg_results_join(ctx, part, 3, 0, 5, &joined), LG_OK, "%s", lg_context_message(ctx));
    cr_expect_str_eq(joined->host, "node21, node2");
    cr_expect_str_eq(joined->started, "2024-01-01");
    cr_expect_str_eq(joined->finished, "2024-01-03");
    cr_expect_eq(joined->seconds, 3.0);
    lg_result_free(joined);
    for (int i = 0; i < 3; i++) lg_result_free(part[i].result);
}

/* ---- parts of it ------------------------------------------------------------------------------------------------ */

Test(merge, packing)
{
    lg_result *sent = fit("prw", 1, 3, NULL), *received = NULL;
    char *data = NULL;
    size_t size = 0;
    cr_assert_eq(lg_result_pack(ctx, sent, &data, &size), LG_OK);
    for (size_t cut = 0; cut < size; cut += 1 + size / 50)
        cr_expect_neq(lg_result_unpack(ctx, data, cut, &received), LG_OK, "%zu of %zu bytes", cut, size);
    cr_assert_eq(lg_result_unpack(ctx, data, size, &received), LG_OK, "%s", lg_context_message(ctx));
    expect_same(sent, received);
    lg_result_free(received);
    data[2] ^= 1;
    cr_expect_eq(lg_result_unpack(ctx, data, size, &received), LG_ERR_DATA);
    cr_expect_not_null(strstr(lg_context_message(ctx), "not the same program"));
    free(data);
    lg_result_free(sent);
}

Test(merge, cuts)
{
    const lg_slice whole = {10, 20}, stored[] = {{10, 13}, {13, 20}, {15, 17}, {30, 40}};
    lg_slice *piece;
    int n;
    cr_assert_eq(lg_slice_cut(ctx, whole, 2, stored, 4, &piece, &n), LG_OK);
    static const lg_slice expected[] = {{10, 13}, {13, 15}, {15, 17}, {17, 20}};
    cr_assert_eq(n, 4);
    for (int i = 0; i < n; i++)
        cr_expect(piece[i].begin == expected[i].begin && piece[i].end == expected[i].end, "piece %d", i);
    cr_expect_eq(lg_slice_source(piece[0], stored, 4), 0);
    cr_expect_eq(lg_slice_source(piece[1], stored, 4), 1);
    cr_expect_eq(lg_slice_source(piece[2], stored, 4), 2);
    cr_expect_eq(lg_slice_source(whole, stored, 4), -1);
    free(piece);
    for (int size = 1; size < 15; size++) { /* with more ranks than fits, some have none */
        int64_t next = 10;
        for (int rank = 0; rank < size; rank++) {
            const lg_slice share = lg_slice_share(whole, rank, size);
            cr_expect_eq(share.begin, next);
            cr_expect(share.end - share.begin >= 10 / size && share.end - share.begin <= (10 + size - 1) / size);
            next = share.end;
        }
        cr_expect_eq(next, 20);
    }
}

Test(merge, checkpoints_of_slices)
{
    static const char *const files[] = {"c.fits0-2", "c.fits0-2.1",   "c.fits3-3.1", "c.fits5-4",
                                        "c.fitsx-1", "c.fits7-8.tmp", "d.fits0-9",   "c"};
    const char *checkpoint = path_of("c");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        used = 1;
        cr_assert_eq(lg_file_write(ctx, path_of(files[i]), files[i], strlen(files[i]), false), LG_OK);
    }
    lg_slice *stored;
    int n;
    cr_assert_eq(lg_slice_list(ctx, checkpoint, &stored, &n), LG_OK);
    cr_assert_eq(n, 2);
    cr_expect(stored[0].begin == 0 && stored[0].end == 3 && stored[1].begin == 3 && stored[1].end == 4);
    cr_assert_eq(lg_slice_copy(ctx, checkpoint, &stored[0], (lg_slice){1, 2}), LG_OK);
    char *data;
    cr_assert_eq(lg_file_read(ctx, path_of("c.fits1-1.1"), &data, NULL), LG_OK);
    cr_expect_str_eq(data, "c.fits0-2.1");
    free(data);
    free(stored);
    cr_expect(lg_cluster_has_checkpoints(checkpoint));
    cr_assert_eq(lg_cluster_remove_checkpoints(ctx, checkpoint), LG_OK);
    cr_expect_not(lg_cluster_has_checkpoints(checkpoint));
    cr_expect(lg_file_exists(path_of("d.fits0-9")));
    cr_expect(lg_file_exists(checkpoint));
}
