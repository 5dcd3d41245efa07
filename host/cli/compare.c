/* latgrad compare: methods on the same data, seeds and budget; who is how far off after what time. */
#include "cli/compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define METHODS "gradient,cma_es,abc_smc,random,nlopt"
enum { SEEDS = 5, JUDGE_LEAST = 8, JUDGE_MOST = 256, JUDGE_SHARE = 24 };

typedef struct options {
    const char *methods, *measure, *error, *picture;
    int64_t seeds, simulations;
} options;

/* ---- options ----------------------------------------------------------------------------------------------------- */

static lg_status check_method(lg_cli *cli, const char *spec)
{
    const char *range = "", *names[16];
    char word[LG_COMPARE_SPEC], copy[256], *next = NULL;
    size_t count = 0;
    for (int i = 0; i < lg_option_count(); i++)
        if (strcmp(lg_option_at(i)->key, "method.name") == 0) range = lg_option_at(i)->range;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(spec, ":"), spec);
    snprintf(copy, sizeof copy, "%s", range);
    for (char *name = strtok_r(copy, "|", &next); name && count < 16; name = strtok_r(NULL, "|", &next)) {
        if (strcmp(name, word) == 0) return LG_OK;
        names[count++] = name;
    }
    const char *nearest = lg_cli_nearest(word, names, count);
    return lg_cli_fail(cli, LG_ERR_USAGE, "--methods: unknown method '%s'%s%s%s; expected some of %s, with commas",
                       word, nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "", range);
}

static lg_status read_methods(lg_compare *c, const char *list)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
        const size_t length = strcspn(at, ",");
        if (c->methods == LG_COMPARE_METHODS || length >= LG_COMPARE_SPEC)
            return lg_cli_fail(c->cli, LG_ERR_USAGE, "--methods: expected at most %d methods of at most %d characters",
                               LG_COMPARE_METHODS, LG_COMPARE_SPEC - 1);
        snprintf(c->method[c->methods], LG_COMPARE_SPEC, "%.*s", (int)length, at);
        const lg_status status = check_method(c->cli, c->method[c->methods++]);
        if (status) return status;
    }
    return LG_OK;
}

static lg_status read_options(lg_compare *c, const options *o)
{
    char *end = NULL;
    lg_status status = read_methods(c, o->methods ? o->methods : METHODS);
    if (status) return status;
    c->wanted = 0.05;
    errno = 0;
    if (o->error) c->wanted = strtod(o->error, &end);
    if (o->error && (end == o->error || *end || errno || !(c->wanted > 0.0) || !isfinite(c->wanted)))
        return lg_cli_fail(c->cli, LG_ERR_USAGE, "--error: expected a number above 0, such as 0.05, got '%s'",
                           o->error);
    if (o->measure && strcmp(o->measure, "params") != 0 && strcmp(o->measure, "loss") != 0)
        return lg_cli_fail(c->cli, LG_ERR_USAGE, "--measure: expected params or loss, got '%s'", o->measure);
    if (o->seeds < 1 || o->seeds > LG_COMPARE_SEEDS)
        return lg_cli_fail(c->cli, LG_ERR_USAGE, "--seeds: expected a number from 1 to %d, got %lld", LG_COMPARE_SEEDS,
                           (long long)o->seeds);
    c->seeds = (int)o->seeds;
    if (!status) status = lg_cli_check_free(c->cli, "--out", c->cli->out);
    return status ? status : lg_cli_check_free(c->cli, "--picture", o->picture);
}

/* ---- the common problem ------------------------------------------------------------------------------------------ */

/* True values, where the data were made with them. */
static bool read_truth(lg_compare *c)
{
    bool all = true;
    for (int k = 0; k < c->dims; k++) {
        char key[96];
        snprintf(key, sizeof key, "data.generate.params.%s", lg_model_param(c->info.model_index, c->fitted[k])->name);
        const char *text = lg_config_get(c->cli->config, key);
        c->truth[c->fitted[k]] = text ? strtod(text, NULL) : NAN;
        all = all && text;
    }
    return all;
}

static lg_status read_measure(lg_compare *c, const options *o)
{
    const bool known = read_truth(c);
    if (!known && o->measure && strcmp(o->measure, "params") == 0)
        return lg_cli_fail(c->cli, LG_ERR_UNSUPPORTED,
                           "--measure params: the data are not synthetic, so that the true parameters are not known: "
                           "expected loss");
    c->by_params = known && !(o->measure && strcmp(o->measure, "loss") == 0);
    return LG_OK;
}

/* As many evaluations as are asked for, or as the configuration's own fit makes; the same for all methods. */
static lg_status read_budget(lg_compare *c, int64_t simulations)
{
    const char *estimator = lg_config_get(c->cli->config, "estimator.method");
    const int64_t cost = estimator && strcmp(estimator, "fd") == 0 ? 1 + 2 * c->dims : 1;
    c->evaluations = simulations ? simulations / c->info.replicates : c->info.iterations * cost;
    if (c->evaluations < 2)
        return lg_cli_fail(c->cli, LG_ERR_RANGE,
                           "--simulations is %lld: expected at least twice the %lld replicates of an evaluation",
                           (long long)simulations, (long long)c->info.replicates);
    /* telling the losses of the estimates costs about as much as the fits */
    const int64_t runs = c->evaluations / JUDGE_SHARE;
    c->judge_runs = runs < JUDGE_LEAST ? JUDGE_LEAST : runs > JUDGE_MOST ? JUDGE_MOST : runs;
    return LG_OK;
}

static lg_status open_common(lg_compare *c, const options *o)
{
    lg_cli *cli = c->cli;
    lg_status status = lg_compare_configure(c);
    if (!status) status = lg_config_set(cli->ctx, cli->config, "method.name", "gradient");
    if (!status) status = lg_problem_create(cli->ctx, cli->config, &c->judge);
    if (status) return status;
    lg_problem_describe(c->judge, &c->info);
    const char *threads = lg_config_get(cli->config, "threads");
    c->seed = c->info.seed;
    c->processor_time = strncmp(c->info.device, "cpu", 3) == 0 && threads && strcmp(threads, "1") == 0;
    for (int p = 0; p < c->info.params && p < LG_COMPARE_PARAMS; p++)
        if (lg_problem_is_fitted(c->judge, p)) c->fitted[c->dims++] = p;
    if (strcmp(c->info.task, "simulate") == 0 || c->dims == 0)
        return lg_cli_fail(
            cli, LG_ERR_UNSUPPORTED,
            "compare: expected a configuration with a task that has a loss, and with a fitted parameter");
    if (c->info.fits != 1)
        return lg_cli_fail(
            cli, LG_ERR_UNSUPPORTED,
            "compare: the configuration has %d fits: expected fits 1 and no ensemble, as --seeds repeats "
            "each method",
            c->info.fits);
    if (c->seed > INT64_MAX - LG_COMPARE_SEEDS)
        return lg_cli_fail(cli, LG_ERR_RANGE, "seed: expected at most %lld for a comparison",
                           (long long)(INT64_MAX - LG_COMPARE_SEEDS));
    status = read_measure(c, o);
    return status ? status : read_budget(c, o->simulations);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static lg_status run_all(lg_compare *c)
{
    const int runs = c->methods * c->seeds;
    c->run = calloc((size_t)runs, sizeof *c->run);
    if (!c->run) return lg_cli_fail(c->cli, LG_ERR_MEMORY, "no memory for %d runs", runs);
    lg_cli_catch_signals();
    for (int i = 0; i < runs; i++) {
        const lg_status status = lg_compare_one(c, i);
        if (status) return status;
    }
    return lg_compare_errors(c);
}

static lg_status compare(lg_compare *c, const options *o)
{
    lg_cli *cli = c->cli;
    lg_status status = read_options(c, o);
    if (!status) status = open_common(c, o);
    if (!status) status = lg_compare_check(c);
    if (!status) status = run_all(c);
    if (!status && cli->json) lg_compare_json(c);
    else if (!status) lg_compare_print(c);
    if (!status && cli->out) status = lg_compare_csv(c, cli->out);
    if (!status && o->picture) status = lg_compare_picture(c, o->picture);
    return status;
}

int lg_cmd_compare(int argc, char **argv)
{
    lg_cli cli;
    options o = {.seeds = SEEDS};
    const lg_cli_option own[] = {
        {"--methods", "LIST",
         "some of gradient, cma_es, abc_smc, abc, random, nlopt, with commas; default: all but abc. A gradient may "
         "carry "
         "an optimiser, an estimator and a learning rate, gradient:adam:0.01 or gradient:fd, and nlopt its algorithm, "
         "nlopt:bobyqa",
         LG_ARG_TEXT, &o.methods, 0},
        {"--seeds", "N", "runs of each method, with the seeds from `seed` on; default 5", LG_ARG_INT, &o.seeds, 0},
        {"--simulations", "N",
         "budget of a run: replicates simulated, in all; default: what the configuration's own fit simulates",
         LG_ARG_INT, &o.simulations, 0},
        {"--error", "X", "the error to be reached; default 0.05", LG_ARG_TEXT, &o.error, 0},
        {"--measure", "NAME",
         "params: relative error of the parameters; loss: by how much the expected loss is above the best found. "
         "Default: params where the data are synthetic",
         LG_ARG_TEXT, &o.measure, 0},
        {"--picture", "FILE", "picture of the errors over time and simulations", LG_ARG_TEXT, &o.picture, 0},
    };
    const lg_cli_usage usage = {"compare",
                                "CONFIG.yaml",
                                "Fits with several methods on the same data, seeds, device and budget of simulations, "
                                "and tells after what time\n"
                                "and how many simulations each reached a stated error for good, how far off it ended, "
                                "and how wide its estimates\n"
                                "scatter. A gradient counts as one simulation of its replicates, with finite "
                                "differences as 1 + 2 P. The time is\n"
                                "processor time on the cpu with --threads 1. --out FILE.csv has one line for each run.",
                                LG_USE_RUN | LG_USE_OUT | LG_USE_JSON,
                                own,
                                sizeof own / sizeof own[0],
                                1,
                                1,
                                false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    lg_compare c = {.cli = &cli, .source = cli.argument[0]};
    const lg_status status = compare(&c, &o);
    lg_problem_free(c.judge);
    free(c.run);
    return lg_cli_end(&cli, status);
}
