/* One run of a comparison: its fit, what it knew when, and how far off that was. */
#include "cli/compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what was known when ----------------------------------------------------------------------------------------- */

enum { KNOTS = 2048, JUDGE_POINTS = 24 };

/* Seconds at some of the iterations. When the table is full every other knot goes. */
typedef struct stopwatch {
    lg_cli_progress line;
    bool processor_time;
    double began, iteration[KNOTS + 1], seconds[KNOTS + 1];
    int knots, stride, skipped;
} stopwatch;

static double now(bool processor_time)
{
    struct timespec t;
    if (!processor_time || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return lg_cli_clock();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void add_knot(stopwatch *w, double iteration, double seconds)
{
    if (w->knots == KNOTS) {
        for (int i = 0; i < KNOTS / 2; i++) {
            w->iteration[i] = w->iteration[2 * i];
            w->seconds[i] = w->seconds[2 * i];
        }
        w->knots = KNOTS / 2;
        w->stride *= 2;
    }
    w->iteration[w->knots] = iteration;
    w->seconds[w->knots++] = seconds;
}

static int look(const lg_progress *progress, void *user)
{
    stopwatch *w = user;
    if (++w->skipped >= w->stride) {
        add_knot(w, (double)progress->iteration, now(w->processor_time) - w->began);
        w->skipped = 0;
    }
    return lg_cli_progress_show(progress, &w->line);
}

/* Between two knots as if all iterations took the same time. */
static double seconds_at(const stopwatch *w, double iteration)
{
    double i0 = 0.0, t0 = 0.0;
    for (int k = 0; k < w->knots; k++) {
        const double i1 = w->iteration[k], t1 = w->seconds[k];
        if (i1 >= iteration) return i1 > i0 ? t0 + (t1 - t0) * (iteration - i0) / (i1 - i0) : t1;
        i0 = i1;
        t0 = t1;
    }
    return t0;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static bool in_range(const char *key, const char *word)
{
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        const size_t length = strlen(word);
        if (strcmp(o->key, key) != 0) continue;
        for (const char *at = o->range; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
            if (strcspn(at, "|") == length && memcmp(at, word, length) == 0) return true;
    }
    return false;
}

/* A word behind the colon: of gradient an optimiser, an estimator or a learning rate; of nlopt an algorithm. */
static lg_status set_word(lg_compare *c, const char *spec, const char *method, const char *word)
{
    static const struct {
        const char *method, *key;
    } table[] = {{"gradient", "optimizer.name"},
                 {"gradient", "estimator.method"},
                 {"gradient", "estimator.binary"},
                 {"nlopt", "method.algorithm"}};
    char *end;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].method, method) == 0 && in_range(table[i].key, word))
            return lg_config_set(c->cli->ctx, c->cli->config, table[i].key, word);
    errno = 0;
    const double lr = strtod(word, &end);
    if (strcmp(method, "gradient") == 0 && end != word && !*end && !errno && lr > 0.0)
        return lg_config_set(c->cli->ctx, c->cli->config, "optimizer.lr", word);
    return lg_cli_fail(c->cli, LG_ERR_USAGE,
                       "--methods: '%s' in '%s': expected behind gradient an optimiser (sgd, adam, lm), an estimator "
                       "(such as fd or exact) or a learning rate, behind nlopt an algorithm (such as bobyqa), and "
                       "nothing behind the others",
                       word, spec);
}

lg_status lg_compare_configure(lg_compare *c)
{
    lg_config_free(c->cli->config);
    c->cli->config = NULL;
    return lg_cli_configure(c->cli, c->cli->config_path ? NULL : c->source,
                            NULL); /* the path is kept from the first time */
}

static lg_status set_number(lg_compare *c, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return lg_config_set(c->cli->ctx, c->cli->config, key, text);
}

/* The configuration with the method, seed and budget of a run. *cost: evaluations of an iteration of a gradient method. */
static lg_status configure(lg_compare *c, const char *spec, uint64_t seed, int64_t *cost)
{
    lg_cli *cli = c->cli;
    char words[LG_COMPARE_SPEC], *next = NULL;
    snprintf(words, sizeof words, "%s", spec);
    const char *method = strtok_r(words, ":", &next);
    lg_status status = lg_compare_configure(c);
    if (!status) status = lg_config_set(cli->ctx, cli->config, "method.name", method ? method : spec);
    for (const char *word; !status && (word = strtok_r(NULL, ":", &next));) status = set_word(c, spec, method, word);
    if (!status) status = set_number(c, "seed", (int64_t)seed);
    if (status) return status;
    const char *epochs = lg_config_get(cli->config, "epochs"),
               *estimator = lg_config_get(cli->config, "estimator.method");
    *cost = estimator && strcmp(estimator, "fd") == 0 ? 1 + 2 * c->dims : 1;
    if (strcmp(method, "gradient") != 0) return set_number(c, "method.simulations", c->evaluations);
    if (epochs && strtoll(epochs, NULL, 10) > 0) status = set_number(c, "epochs", 0);
    if (!status && c->evaluations < *cost)
        return lg_cli_fail(cli, LG_ERR_RANGE,
                           "--simulations: %lld evaluations of %lld replicates are less than one "
                           "gradient, which takes %lld",
                           (long long)c->evaluations, (long long)c->info.replicates, (long long)*cost);
    return status ? status : set_number(c, "iterations", c->evaluations / *cost);
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

/* As lg_result_end has it at the end, and `latgrad fit` reports it: of a gradient method the mean of the last tenth of the
 * iterates; sums[k] is the sum of the first k rows of the trace. */
static void gradient_estimate(const double *sums, int64_t done, int params, double *out)
{
    const int64_t tail = done / 10 > 0 ? done / 10 : 1;
    for (int p = 0; p < params; p++)
        out[p] = (sums[done * params + p] - sums[(done - tail) * params + p]) / (double)tail;
}

/* Which rows become points: about as many in each factor of two. Row numbers begin at 1; returns how many. */
static int choose_rows(int64_t rows, int most, int64_t *out)
{
    int n = 0;
    for (int k = 0; k < most; k++) {
        const int64_t row = (int64_t)llround(pow((double)rows, (double)k / (most - 1)));
        if (n == 0 || row > out[n - 1]) out[n++] = row;
    }
    return n;
}

static lg_status take_points(lg_compare *c, lg_compare_run *run, const lg_result *result, const stopwatch *w,
                             int64_t cost)
{
    const int P = c->info.params;
    const int64_t rows = lg_result_iterations(result, 0);
    const double *trace = lg_result_trace(result, 0);
    int64_t chosen[LG_COMPARE_POINTS];
    lg_posterior posterior = {0};
    const bool search = lg_result_posterior(result, &posterior);
    const double population = search && rows ? posterior.generation[1] : 1.0;
    double loss, *sums = calloc((size_t)(rows + 1) * (size_t)P, sizeof *sums);
    if (!sums) return lg_cli_fail(c->cli, LG_ERR_MEMORY, "no memory for the iterates of a run");
    for (int64_t i = 0; i < rows; i++)
        for (int p = 0; p < P; p++) sums[(i + 1) * P + p] = sums[i * P + p] + trace[i * (P + 3) + 1 + p];
    run->points = rows ? choose_rows(rows, c->by_params ? LG_COMPARE_POINTS : JUDGE_POINTS, chosen) : 0;
    for (int k = 0; k < run->points; k++) {
        lg_compare_point *point = &run->point[k];
        const int64_t row = chosen[k];
        point->evaluations = search ? posterior.generation[4 * (row - 1) + 1] : (double)(row * cost);
        point->seconds = seconds_at(w, search ? point->evaluations / population : (double)row);
        if (search) memcpy(point->params, trace + (row - 1) * (P + 3) + 1, (size_t)P * sizeof *point->params);
        else gradient_estimate(sums, row, P, point->params);
    }
    free(sums);
    /* the end takes the place of the last one, or comes after it where more was done since */
    run->evaluations = run->points ? run->point[run->points - 1].evaluations : 0.0;
    lg_compare_point *last = &run->point[run->points ? run->points - 1 : run->points++];
    last->evaluations = run->evaluations;
    last->seconds = run->seconds;
    if (search) memcpy(last->params, lg_result_params(result, 0), (size_t)P * sizeof *last->params);
    else lg_result_end(result, 0, last->params, &loss);
    run->posterior = search && posterior.samples > 0;
    memcpy(run->low, posterior.low, sizeof run->low);
    memcpy(run->high, posterior.high, sizeof run->high);
    return LG_OK;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static lg_status fit(lg_compare *c, lg_compare_run *run, lg_problem *problem, int64_t cost)
{
    char label[LG_COMPARE_SPEC + 32];
    lg_result *result = NULL;
    stopwatch *w = calloc(1, sizeof *w);
    if (!w) return lg_cli_fail(c->cli, LG_ERR_MEMORY, "no memory for the times of a run");
    snprintf(label, sizeof label, "%s, seed %llu", c->method[run->method], (unsigned long long)run->seed);
    lg_cli_progress_begin(&w->line, c->cli, problem, label);
    w->stride = 1;
    w->processor_time = c->processor_time;
    w->began = now(w->processor_time);
    lg_status status = lg_fit(c->cli->ctx, problem, look, w, &result);
    run->seconds = now(w->processor_time) - w->began;
    lg_cli_progress_end(&w->line);
    if (!status && lg_cli_signal())
        status = lg_cli_fail(c->cli, LG_ERR_STOPPED, "stopped by signal %d", lg_cli_signal());
    if (!status) run->status = lg_result_status(result, 0);
    if (!status) status = take_points(c, run, result, w, cost);
    lg_result_free(result);
    free(w);
    return status;
}

/* A failure of the library, with what was tried. */
static lg_status explain(const lg_compare *c, int method, lg_status status)
{
    if (!status || status == LG_ERR_STOPPED || *c->cli->message) return status;
    return lg_cli_fail(c->cli, status, "compare, method %s with %lld evaluations of %lld replicates: %s",
                       c->method[method], (long long)c->evaluations, (long long)c->info.replicates,
                       lg_context_message(c->cli->ctx));
}

lg_status lg_compare_check(lg_compare *c)
{
    for (int m = 0; m < c->methods; m++) {
        lg_problem *problem = NULL;
        int64_t cost = 1;
        lg_status status = configure(c, c->method[m], c->seed, &cost);
        if (!status) status = lg_problem_create(c->cli->ctx, c->cli->config, &problem);
        lg_problem_free(problem);
        if (status) return explain(c, m, status);
    }
    return LG_OK;
}

lg_status lg_compare_one(lg_compare *c, int index)
{
    lg_compare_run *run = &c->run[index];
    lg_problem *problem = NULL;
    int64_t cost = 1;
    run->method = index / c->seeds;
    run->seed = c->seed + (uint64_t)(index % c->seeds);
    lg_status status = configure(c, c->method[run->method], run->seed, &cost);
    if (!status) status = lg_problem_create(c->cli->ctx, c->cli->config, &problem);
    if (!status) status = fit(c, run, problem, cost);
    if (!status) status = lg_compare_judge(c, run->point[run->points - 1].params, &run->loss);
    lg_problem_free(problem);
    return explain(c, run->method, status);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

lg_status lg_compare_judge(lg_compare *c, const double *params, double *loss)
{
    const uint64_t unseen = UINT64_C(1) << 40; /* iterations that no run gets to */
    double sum = 0.0, one = 0.0;
    for (int64_t i = 0; i < c->judge_runs; i++) {
        const lg_status status = lg_evaluate(c->cli->ctx, c->judge, unseen + (uint64_t)i, params, &one, NULL);
        if (status) return status;
        sum += one;
    }
    *loss = sum / (double)c->judge_runs;
    return LG_OK;
}

/* Root mean square of the relative errors of the fitted parameters. */
static double params_error(const lg_compare *c, const double *params)
{
    double sum = 0.0;
    for (int k = 0; k < c->dims; k++) {
        const int p = c->fitted[k];
        const double scale = c->truth[p] != 0.0 ? c->truth[p] : 1.0, d = (params[p] - c->truth[p]) / scale;
        sum += d * d;
    }
    return sqrt(sum / c->dims);
}

/* How much larger than the best one, as a share of it; of a log_sse, of its sum of squares. */
static double loss_error(const lg_compare *c, double loss)
{
    if (strcmp(c->info.loss, "log_sse") == 0) return exp(loss - c->best_loss) - 1.0;
    return (loss - c->best_loss) / fabs(c->best_loss);
}

static lg_status find_errors(lg_compare *c, lg_compare_run *run)
{
    for (int k = 0; k < run->points; k++) {
        lg_compare_point *point = &run->point[k];
        double loss = run->loss;
        const bool end = k == run->points - 1;
        const lg_status status = c->by_params || end ? LG_OK : lg_compare_judge(c, point->params, &loss);
        if (status) return status;
        point->error = c->by_params ? params_error(c, point->params) : loss_error(c, loss);
    }
    int first = run->points; /* from here on to the end */
    while (first > 0 && run->point[first - 1].error <= c->wanted) first--;
    run->reached_seconds = first < run->points ? run->point[first].seconds : INFINITY;
    run->reached_evaluations = first < run->points ? run->point[first].evaluations : INFINITY;
    return LG_OK;
}

lg_status lg_compare_errors(lg_compare *c)
{
    const int runs = c->methods * c->seeds;
    c->best_loss = INFINITY;
    for (int i = 0; i < runs; i++)
        if (c->run[i].loss < c->best_loss) c->best_loss = c->run[i].loss;
    for (int i = 0; i < runs; i++) {
        const lg_status status = find_errors(c, &c->run[i]);
        if (status) return status;
    }
    return LG_OK;
}
