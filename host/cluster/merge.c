/* Joins the results of slices, as array tasks and ranks make them, into the result of the whole job. Every fit depends on
 * the configuration and its own number alone, so that joining is putting rows one below the other. */
#include "cluster/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cluster/config_lines.h"

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static int64_t end_of(const lg_part *part)
{
    return part->first + part->result->fits;
}

static int by_first(const void *a, const void *b)
{
    const lg_part *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static void add_range(lg_text *list, int64_t begin, int64_t end)
{
    if (begin >= end) return;
    lg_text_printf(list, "%s%lld", list->size ? ", " : "", (long long)begin);
    if (end - begin > 1) lg_text_printf(list, "-%lld", (long long)end - 1);
}

static lg_status check_overlap(lg_context *ctx, const lg_part *part, int count)
{
    for (int i = 1; i < count; i++) {
        const lg_part *a = &part[i - 1], *b = &part[i];
        lg_text list = {0};
        if (b->first >= end_of(a)) continue;
        add_range(&list, b->first, end_of(a) < end_of(b) ? end_of(a) : end_of(b));
        const lg_status status =
            lg_fail(ctx, LG_ERR_DATA, "'%.200s' and '%.200s' both hold fits %s: give each fit once", a->name, b->name,
                    list.data ? list.data : "");
        lg_text_clear(&list);
        return status;
    }
    return LG_OK;
}

/* All missing ranges at once, so that one look says what to run again. */
static lg_status check_complete(lg_context *ctx, const lg_part *part, int count, int64_t first_fit, int64_t fits)
{
    lg_text list = {0};
    lg_status status = LG_OK;
    const int64_t begin = fits > 0 ? first_fit : part[0].first;
    const int64_t end = fits > 0 ? first_fit + fits : end_of(&part[count - 1]);
    int64_t next = begin;
    for (int i = 0; i < count; i++) {
        add_range(&list, next, part[i].first < end ? part[i].first : end);
        next = end_of(&part[i]);
    }
    add_range(&list, next, end);
    if (list.size || list.failed) {
        status =
            lg_fail(ctx, LG_ERR_DATA, "fits %.800s are missing (numbered from first_fit on): run these slices first",
                    list.data ? list.data : "?");
    } else if (part[0].first < begin || end_of(&part[count - 1]) > end) {
        status = lg_fail(ctx, LG_ERR_DATA, "the parts hold fits %lld-%lld, but fits %lld-%lld were asked for",
                         (long long)part[0].first, (long long)end_of(&part[count - 1]) - 1, (long long)begin,
                         (long long)end - 1);
    }
    lg_text_clear(&list);
    return status;
}

static bool same_reals(const double *a, const double *b, int count)
{
    if (!a || !b) return a == b;
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

static lg_status check_same(lg_context *ctx, const lg_part *a, const lg_part *b)
{
    const lg_result *x = a->result, *y = b->result;
    const lg_status status = lg_config_same_job(ctx, x->config_yaml, a->name, y->config_yaml, b->name);
    if (status) return status;
    const bool same = x->model == y->model && strcmp(x->task, y->task) == 0 && strcmp(x->loss, y->loss) == 0 &&
                      x->seed == y->seed && memcmp(x->fitted, y->fitted, sizeof x->fitted) == 0;
    if (!same)
        return lg_fail(ctx, LG_ERR_DATA,
                       "these are not slices of one job: model, task, loss, seed or fitted parameters differ between "
                       "'%.200s' and '%.200s'",
                       a->name, b->name);
    if (x->statistics == y->statistics && same_reals(x->target, y->target, x->statistics) &&
        same_reals(x->weight, y->weight, x->statistics) && !x->last_statistics == !y->last_statistics)
        return LG_OK;
    return lg_fail(ctx, LG_ERR_DATA,
                   "'%.200s' and '%.200s' were fitted to different data: did a data file change meanwhile?", a->name,
                   b->name);
}

static lg_status check(lg_context *ctx, lg_part *part, int count, int64_t first_fit, int64_t fits)
{
    lg_status status = LG_OK;
    for (int i = 0; i < count; i++) part[i].first = lg_config_line_int(part[i].result->config_yaml, "first_fit", 0);
    for (int i = 1; !status && i < count; i++) status = check_same(ctx, &part[0], &part[i]);
    if (status) return status;
    qsort(part, (size_t)count, sizeof *part, by_first);
    status = check_overlap(ctx, part, count);
    return status ? status : check_complete(ctx, part, count, first_fit, fits);
}

/* ---- joining --------------------------------------------------------------------------------------------------- */

/* Adds a name to a list "a, b" unless it is in it; what does not fit is left out. */
static void add_name(char *list, size_t size, const char *name)
{
    const size_t length = strlen(list), n = strlen(name);
    for (const char *at = list; n && (at = strstr(at, name)); at++) {
        const bool begins = at == list || (at - list >= 2 && at[-2] == ',');
        if (begins && (at[n] == '\0' || at[n] == ',')) return;
    }
    if (n && length + n + 3 <= size) snprintf(list + length, size - length, "%s%s", length ? ", " : "", name);
}

/* Where and when: the earliest start, the latest end, the longest time, every host and device. */
static void join_metadata(lg_result *all, const lg_part *part, int count)
{
    for (int i = 0; i < count; i++) {
        const lg_result *r = part[i].result;
        add_name(all->host, sizeof all->host, r->host);
        add_name(all->device, sizeof all->device, r->device);
        if (i == 0 || strcmp(r->started, all->started) < 0) memcpy(all->started, r->started, sizeof all->started);
        if (i == 0 || strcmp(r->finished, all->finished) > 0) memcpy(all->finished, r->finished, sizeof all->finished);
        if (r->seconds > all->seconds) all->seconds = r->seconds;
    }
}

static lg_status join_config(lg_context *ctx, lg_result *all, int64_t first)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)first);
    lg_status status = lg_config_set_line(ctx, &all->config_yaml, all->model->name, "first_fit", number);
    snprintf(number, sizeof number, "%d", all->fits);
    if (!status) status = lg_config_set_line(ctx, &all->config_yaml, all->model->name, "fits", number);
    return status;
}

/* What all parts share is taken from the first one. */
static lg_status take_shared(lg_context *ctx, lg_result *all, lg_result *first, int64_t fits)
{
    *all = *first;
    first->config_yaml = NULL;
    first->target = first->weight = NULL;
    all->host[0] = all->device[0] = '\0';
    all->fits = (int)fits;
    all->fit = calloc((size_t)fits, sizeof *all->fit);
    all->last_statistics = NULL;
    if (first->last_statistics) {
        all->last_statistics = calloc((size_t)fits * (size_t)all->statistics + 1, sizeof(double));
        if (!all->last_statistics) return lg_fail(ctx, LG_ERR_MEMORY, "no memory to join %lld fits", (long long)fits);
    }
    return all->fit ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "no memory to join %lld fits", (long long)fits);
}

static void take_fits(lg_result *all, lg_result *part, size_t at)
{
    const size_t K = (size_t)all->statistics;
    memcpy(all->fit + at, part->fit, (size_t)part->fits * sizeof *part->fit);
    for (int f = 0; f < part->fits; f++) part->fit[f].trace = NULL; /* now of the whole */
    if (all->last_statistics)
        memcpy(all->last_statistics + at * K, part->last_statistics, (size_t)part->fits * K * sizeof(double));
}

lg_status lg_results_join(lg_context *ctx, lg_part *part, int count, int64_t first_fit, int64_t fits, lg_result **out)
{
    *out = NULL;
    if (count < 1) return lg_fail(ctx, LG_ERR_USAGE, "there are no results to join");
    lg_status status = check(ctx, part, count, first_fit, fits);
    if (status) return status;
    const int64_t first = part[0].first, total = end_of(&part[count - 1]) - first;
    lg_result *all = calloc(1, sizeof *all);
    if (!all) return lg_fail(ctx, LG_ERR_MEMORY, "no memory to join %lld fits", (long long)total);
    status = take_shared(ctx, all, part[0].result, total);
    if (!status) {
        join_metadata(all, part, count);
        for (int i = 0; i < count; i++) take_fits(all, part[i].result, (size_t)(part[i].first - first));
        status = join_config(ctx, all, first);
    }
    if (status) {
        lg_result_free(all);
        return status;
    }
    *out = all;
    return LG_OK;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static lg_status check_finished(lg_context *ctx, const lg_part *part)
{
    for (int f = 0; f < part->result->fits; f++) {
        const lg_fit_status s = part->result->fit[f].status;
        if (s == LG_FIT_RUNNING || s == LG_FIT_STOPPED)
            return lg_fail(ctx, LG_ERR_DATA, "fit %lld in '%.200s' was stopped before its end: resume that slice first",
                           (long long)(lg_config_line_int(part->result->config_yaml, "first_fit", 0) + f), part->name);
    }
    return LG_OK;
}

/* The outputs of the slices are not those of the whole. */
static lg_status name_output(lg_context *ctx, lg_result *all, const char *output)
{
    lg_status status = lg_config_drop_line(ctx, &all->config_yaml, "output.trace");
    if (!status) status = lg_config_drop_line(ctx, &all->config_yaml, "output.picture");
    if (!status) status = lg_config_set_line(ctx, &all->config_yaml, all->model->name, "output.file", output);
    return status;
}

lg_status lg_result_merge(lg_context *ctx, const char *const *paths, int count, int64_t first_fit, int64_t fits,
                          const char *output, lg_result **out)
{
    *out = NULL;
    lg_status status = LG_OK;
    lg_part *part = calloc((size_t)(count > 0 ? count : 1), sizeof *part);
    if (!part) return lg_fail(ctx, LG_ERR_MEMORY, "no memory for %d results", count);
    for (int i = 0; !status && i < count; i++) {
        part[i].name = paths[i];
        status = lg_result_read(ctx, paths[i], &part[i].result);
        if (!status) status = check_finished(ctx, &part[i]);
    }
    if (!status) status = lg_results_join(ctx, part, count, first_fit, fits, out);
    for (int i = 0; i < count; i++) lg_result_free(part[i].result);
    free(part);
    if (!status && output) status = name_output(ctx, *out, output);
    if (status) {
        lg_result_free(*out);
        *out = NULL;
    }
    return status;
}
