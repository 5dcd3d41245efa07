/* latgrad grad: loss and gradient at one point: of a configured problem, of a folder of noise (reference
 * implementation), or replicate by replicate. --dump-noise writes such a folder. */
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct evaluation {
    lg_cli *cli;
    const char *noise, *dump, *estimator, *loss_name, *v0;
    bool per_replicate;
    int64_t iteration;
    const char *model;
    int model_index, params;
    double value[16]; /* parameters */
    bool has_values;
    double loss, grad[16];
    int64_t replicates;
    const char *device;
    uint64_t seed;
    bool has_seed;
    double *each_loss, *each_grad; /* --per-replicate: [replicates], [replicates][params] */
} evaluation;

/* ---- output --------------------------------------------------------------------------------------------------- */

static const char *param_name(const evaluation *e, int p)
{
    const lg_param_info *info = lg_model_param(e->model_index, p);
    return info ? info->name : "?";
}

static void json_object(const evaluation *e, const char *name, const double *value)
{
    printf("\"%s\": {", name);
    for (int p = 0; p < e->params; p++) {
        printf("%s\"%s\": ", p ? ", " : "", param_name(e, p));
        lg_cli_json_number(stdout, value[p]);
    }
    printf("}");
}

static void print_json(const evaluation *e)
{
    printf("{\"model\": \"%s\", ", e->model);
    if (e->has_values) json_object(e, "params", e->value);
    else printf("\"params\": null");
    if (e->has_seed) printf(", \"seed\": %llu", (unsigned long long)e->seed);
    else printf(", \"seed\": null");
    printf(", \"device\": ");
    lg_cli_json_text(stdout, e->device);
    if (e->replicates) printf(", \"replicates\": %lld", (long long)e->replicates);
    else printf(", \"replicates\": null");
    printf(", \"loss\": ");
    lg_cli_json_number(stdout, e->loss);
    printf(", ");
    json_object(e, "grad", e->grad);
    if (e->each_loss) {
        printf(", \"each\": [");
        for (int64_t r = 0; r < e->replicates; r++) {
            printf("%s{\"loss\": ", r ? ", " : "");
            lg_cli_json_number(stdout, e->each_loss[r]);
            printf(", ");
            json_object(e, "grad", e->each_grad + r * e->params);
            printf("}");
        }
        printf("]");
    }
    puts("}");
}

static double spread(const double *value, int64_t count, int stride, double mean)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (value[i * stride] - mean) * (value[i * stride] - mean);
    return count > 1 ? sqrt(sum / (double)(count - 1)) : NAN;
}

static void print_text(const evaluation *e)
{
    if (!e->cli->quiet) printf("%s on %s\n", e->model, e->device);
    if (e->each_loss) {
        printf("%lld replicates, each on its own: mean and standard deviation\n", (long long)e->replicates);
        printf("loss         %14.8g %14.4g\n", e->loss, spread(e->each_loss, e->replicates, 1, e->loss));
    } else {
        printf("loss         %14.8g\n", e->loss);
    }
    printf("%-12s %14s %14s%s\n", "parameter", "value", "gradient", e->each_loss ? "             sd" : "");
    for (int p = 0; p < e->params; p++) {
        printf("%-12s ", param_name(e, p));
        if (e->has_values) printf("%14.8g ", e->value[p]);
        else printf("%14s ", "-");
        printf("%14.8g", e->grad[p]);
        if (e->each_loss) printf(" %14.4g", spread(e->each_grad + p, e->replicates, e->params, e->grad[p]));
        const lg_param_info *info = lg_model_param(e->model_index, p);
        printf("%s\n", info && info->grad_of_logit ? "  (d loss / d logit)" : "");
    }
}

/* ---- a folder of noise ---------------------------------------------------------------------------------------- */

/* The parameters a folder was made with, where it says so: params.npy, beta.npy or logits.npy. */
static void read_values(evaluation *e)
{
    static const char *const files[] = {"params", "beta", "logits"};
    for (int i = 0; i < 3 && !e->has_values; i++) {
        char path[4096];
        lg_array array = {0};
        snprintf(path, sizeof path, "%s/%s.npy", e->noise, files[i]);
        if (lg_array_read(e->cli->ctx, path, &array)) continue;
        if (lg_array_size(&array) == (size_t)e->params) {
            for (int p = 0; p < e->params; p++) {
                const double x = lg_array_get(&array, (size_t)p);
                e->value[p] = i == 2 ? 1.0 / (1.0 + exp(-x)) : x;
            }
            e->has_values = true;
        }
        lg_array_clear(&array);
    }
}

static lg_status evaluate_noise(evaluation *e)
{
    lg_cli *cli = e->cli;
    if (e->v0 && strcmp(e->v0, "gs") != 0 && strcmp(e->v0, "const") != 0) {
        return lg_cli_fail(cli, LG_ERR_USAGE, "--v0: expected gs or const, got '%s'", e->v0);
    }
    if (cli->settings) {
        return lg_cli_fail(
            cli, LG_ERR_USAGE,
            "%s: with --noise the folder says what is evaluated; --estimator, --loss and --v0 choose how",
            cli->setting[0].key);
    }
    lg_noise_result result = {0};
    const lg_noise_options options = {e->estimator, e->loss_name, e->v0 && strcmp(e->v0, "const") == 0, 0.0};
    e->model = cli->argument[0];
    for (int i = 0; i < lg_model_count(); i++) {
        if (strcmp(lg_model_name(i), e->model) == 0) e->model_index = i;
    }
    const lg_status status = lg_noise_evaluate(cli->ctx, e->model, e->noise, &options, &result);
    if (status) return status;
    e->params = result.params;
    e->loss = result.loss;
    memcpy(e->grad, result.grad, sizeof result.grad);
    e->device = "reference";
    read_values(e);
    return LG_OK;
}

/* ---- a configured problem ------------------------------------------------------------------------------------- */

static lg_status take_point(evaluation *e, lg_problem *problem, lg_problem_info *info)
{
    lg_problem_describe(problem, info);
    if (info->params > 16)
        return lg_cli_fail(e->cli, LG_ERR_UNSUPPORTED, "grad: %d parameters are too many", info->params);
    e->model = info->model;
    e->model_index = info->model_index;
    e->params = info->params;
    e->device = info->device;
    e->seed = info->seed;
    e->has_seed = true;
    e->replicates = info->replicates;
    lg_problem_start(problem, 0, e->value);
    e->has_values = true;
    return LG_OK;
}

/* All fits at the same point: the mean over them is reported, each of them kept where wanted. */
static lg_status evaluate_fits(evaluation *e, lg_problem *problem, int fits)
{
    const size_t F = (size_t)fits, P = (size_t)e->params;
    double *point = calloc(F * P, sizeof *point);
    e->each_loss = calloc(F, sizeof *e->each_loss);
    e->each_grad = calloc(F * P, sizeof *e->each_grad);
    lg_status status = LG_OK;
    if (!point || !e->each_loss || !e->each_grad) {
        status = lg_cli_fail(e->cli, LG_ERR_MEMORY, "no memory for %d fits", fits);
    } else {
        for (size_t f = 0; f < F; f++) memcpy(point + f * P, e->value, P * sizeof *point);
        status = lg_evaluate(e->cli->ctx, problem, (uint64_t)e->iteration, point, e->each_loss, e->each_grad);
    }
    free(point);
    for (size_t f = 0; f < F && !status; f++) {
        e->loss += e->each_loss[f] / (double)F;
        for (size_t p = 0; p < P; p++) e->grad[p] += e->each_grad[f * P + p] / (double)F;
    }
    return status;
}

static lg_status evaluate_configured(evaluation *e, lg_problem **problem, bool *done)
{
    lg_cli *cli = e->cli;
    lg_problem_info info = {0};
    lg_status status = lg_problem_create(cli->ctx, cli->config, problem);
    if (!status) status = lg_cli_plan(cli, *problem, done);
    if (status || *done) return status;
    status = take_point(e, *problem, &info);
    if (!status && e->dump) {
        status = lg_noise_dump(cli->ctx, *problem, (uint64_t)e->iteration, e->dump, cli->force);
        if (status) return status;
    }
    if (!status) status = evaluate_fits(e, *problem, info.fits);
    if (e->per_replicate) {
        e->replicates = info.fits;
    } else {
        free(e->each_loss);
        free(e->each_grad);
        e->each_loss = e->each_grad = NULL;
    }
    return status;
}

/* --per-replicate runs R replicates as R fits of one replicate each. */
static lg_status spread_replicates(lg_cli *cli)
{
    const char *text = lg_config_get(cli->config, "replicates");
    char count[32];
    snprintf(count, sizeof count, "%s", text ? text : "1");
    lg_status status = lg_config_set(cli->ctx, cli->config, "fits", count);
    if (!status) status = lg_config_set(cli->ctx, cli->config, "replicates", "1");
    return status;
}

static bool has_value(const lg_cli *cli, const char *format, const char *name)
{
    char key[128];
    snprintf(key, sizeof key, format, name);
    return lg_config_get(cli->config, key) != NULL;
}

static lg_status set_number(lg_cli *cli, const char *format, const char *name, double value)
{
    char key[128], text[32];
    snprintf(key, sizeof key, format, name);
    snprintf(text, sizeof text, "%.17g", value);
    return lg_config_set(cli->ctx, cli->config, key, text);
}

/* Where only a model is named, the model's own values stand in for what is not set: parameters, and data generated with
 * them where no data is given. */
static lg_status fill_defaults(lg_cli *cli)
{
    static const char *const sources[] = {"data.reference", "data.frames", "data.tracks", "data.msd"};
    const char *model = lg_config_get(cli->config, "model");
    int m = 0;
    while (m < lg_model_count() && (!model || strcmp(lg_model_name(m), model) != 0)) m++;
    bool data = false;
    for (int i = 0; i < 4; i++) data = data || lg_config_get(cli->config, sources[i]);
    for (int p = 0; p < lg_model_param_count(m); p++) {
        data = data || has_value(cli, "data.generate.params.%s", lg_model_param(m, p)->name);
    }
    lg_status status = LG_OK;
    for (int p = 0; p < lg_model_param_count(m) && !status; p++) {
        const lg_param_info *info = lg_model_param(m, p);
        if (!has_value(cli, "params.%s", info->name) && !has_value(cli, "params.%s.start", info->name)) {
            status = set_number(cli, "params.%s.start", info->name, info->start);
        }
        if (!status && !data) status = set_number(cli, "data.generate.params.%s", info->name, info->start);
    }
    return status;
}

/* --estimator: a gradient method, or how pathwise gradients go through the draws (gr: through all of them). */
static lg_status set_estimator(lg_cli *cli, const char *name)
{
    static const char *const methods[] = {"pathwise", "score", "fd", "exact"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, methods[i]) == 0) return lg_config_set(cli->ctx, cli->config, "estimator.method", name);
    const char *model = lg_config_get(cli->config, "model"); /* valid until the next change */
    const bool choices = model && strcmp(model, "si") != 0;
    lg_status status = lg_config_set(cli->ctx, cli->config, "estimator.method", "pathwise");
    if (!status && strcmp(name, "gr") == 0 && choices)
        status = lg_config_set(cli->ctx, cli->config, "estimator.categorical", name);
    return status ? status : lg_config_set(cli->ctx, cli->config, "estimator.binary", name);
}

static lg_status grad(evaluation *e, lg_problem **problem, bool *done)
{
    lg_cli *cli = e->cli;
    if (e->noise) {
        if (!cli->arguments)
            return lg_cli_fail(cli, LG_ERR_USAGE, "grad: --noise needs the model: latgrad grad MODEL --noise DIR");
        return evaluate_noise(e);
    }
    lg_status status = lg_cli_configure(cli, cli->arguments ? cli->argument[0] : NULL, NULL);
    if (!status && e->dump && !cli->config_path && !lg_cli_given(cli, "estimator.method")) /* noise is that of draws */
        status = lg_config_set(cli->ctx, cli->config, "estimator.method", "pathwise");
    if (!status && !cli->config_path) status = fill_defaults(cli);
    if (!status && e->estimator) status = set_estimator(cli, e->estimator);
    if (!status && e->loss_name) status = lg_config_set(cli->ctx, cli->config, "loss", e->loss_name);
    if (!status && e->v0) status = lg_config_set(cli->ctx, cli->config, "estimator.v0", e->v0);
    if (!status && e->per_replicate) status = spread_replicates(cli);
    if (!status) status = lg_cli_plan(cli, NULL, done);
    if (status || *done) return status;
    return evaluate_configured(e, problem, done);
}

int lg_cmd_grad(int argc, char **argv)
{
    lg_cli cli;
    evaluation e = {.cli = &cli};
    const lg_cli_option options[] = {
        {"--per-replicate", NULL, "each replicate on its own, and their spread", LG_ARG_FLAG, &e.per_replicate, 0},
        {"--iteration", "N", "number of the iteration whose noise is used", LG_ARG_INT, &e.iteration, 0},
        {"--loss", "NAME", "loss, as the key `loss`", LG_ARG_TEXT, &e.loss_name, 0},
        {"--estimator", "NAME", "ste, gs, gr (with --noise: ste, gs), or the method score, fd, exact", LG_ARG_TEXT,
         &e.estimator, 0},
        {"--v0", "NAME", "prw: gs or const, as the key estimator.v0", LG_ARG_TEXT, &e.v0, 0},
        {"--noise", "DIR", "evaluate this folder of noise with the reference implementation", LG_ARG_TEXT, &e.noise, 0},
        {"--dump-noise", "DIR", "write inputs, noise, states and results of the evaluation as .npy files", LG_ARG_TEXT,
         &e.dump, 0},
        {"--force", NULL, "replace existing files of --dump-noise", LG_ARG_FLAG, &cli.force, 'f'},
    };
    const lg_cli_usage usage =
        {"grad",
         "MODEL|CONFIG.yaml",
         "Loss and gradient at one point: params.NAME=VALUE, or the start values of a configuration. With a model's "
         "name alone its default parameters are taken, and data generated with them.",
         LG_USE_RUN | LG_USE_PLAN | LG_USE_JSON,
         options,
         sizeof options / sizeof options[0],
         1,
         1,
         false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    bool done = false;
    lg_problem *problem = NULL;
    const lg_status status = grad(&e, &problem, &done);
    if (!status && !done && cli.json) print_json(&e);
    else if (!status && !done) print_text(&e);
    free(e.each_loss);
    free(e.each_grad);
    lg_problem_free(problem);
    return lg_cli_end(&cli, status);
}
