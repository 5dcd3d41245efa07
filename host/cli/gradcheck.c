/* latgrad gradcheck: bias and variance of the gradient estimators against a reference, as a PASS/FAIL table. */
#include "cli/gradcheck.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    lg_cli *cli;
    const char *estimators, *task, *loss;
    int64_t runs, reference_runs;
} options;

/* Small problems away from their optimum, for a model's name alone. */
static const struct {
    const char *model, *preset;
} presets[] = {
    {"si", "lattice.height=16\nlattice.width=16\nreplicates=8\nparams.beta.start=0.3\ndata.generate.params.beta=0.2\n"
           "data.generate.runs=4\ndata.generate.steps=12\n"},
    {"prw",
     "replicates=500\nparams.p_center.start=0.2\nparams.p_resample.start=0.1\ndata.generate.params.p_center=0.5\n"
     "data.generate.params.p_resample=0.3\ndata.generate.runs=2000\n"},
    {"mk", "lattice.height=16\nlattice.width=16\nlattice.gamma=0.05\nreplicates=4\nparams.D_A.start=0.1\n"
           "params.D_B.start=0.4\nparams.k1.start=0.98\nparams.k2.start=0.1\nparams.k3.start=0.2\n"
           "data.generate.params.D_A=0.2\ndata.generate.params.D_B=0.6\ndata.generate.params.k1=0.9\n"
           "data.generate.params.k2=0.2\ndata.generate.params.k3=0.3\ndata.generate.runs=4\ndata.generate.steps=20\n"},
};

/* Steps of such a problem: transitions have one. */
static const char *preset_steps(const char *model, const char *task)
{
    if (strcmp(task, "transition") == 0 || strcmp(model, "prw") == 0) return "";
    if (strcmp(task, "formation") == 0) return "steps=20\ndata.record_every=10\n";
    return strcmp(model, "si") == 0 ? "steps=4\n" : "steps=20\n";
}

static const char *preset_of(const char *model)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i].model, model) == 0) return presets[i].preset;
    return NULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static lg_status check_one(const options *o, lg_checks *all)
{
    const lg_gradcheck_options wanted = {.estimators = o->estimators,
                                         .runs = o->runs,
                                         .reference_runs = o->reference_runs};
    lg_gradcheck_info info;
    const lg_status status = lg_gradcheck_create(o->cli->ctx, o->cli->config, &wanted, &all->check[all->count]);
    if (status) return status;
    lg_gradcheck_describe(all->check[all->count++], &info);
    all->rows += info.rows;
    all->failed += info.failed;
    return LG_OK;
}

static lg_status configure(const options *o, const char *source, const char *preset, const char *task, const char *loss)
{
    char lines[1600];
    snprintf(lines, sizeof lines, "%s%s%s%s%s%s%s%s", preset ? preset : "", preset ? preset_steps(source, task) : "",
             *task ? "task=" : "", task, *task ? "\n" : "", *loss ? "loss=" : "", loss, *loss ? "\n" : "");
    lg_config_free(o->cli->config);
    o->cli->config = NULL;
    return lg_cli_configure(o->cli, source, lines);
}

/* The n-th name of a range "a|b|c" of the option table; false past the end. */
static bool name_at(const char *key, int n, char *name, size_t size)
{
    for (int i = 0; i < lg_option_count(); i++) {
        const char *at = lg_option_at(i)->range;
        if (strcmp(lg_option_at(i)->key, key) != 0) continue;
        for (int k = 0; k < n && at; k++) at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
        if (!at) return false;
        snprintf(name, size, "%.*s", (int)strcspn(at, "|"), at);
        return true;
    }
    return false;
}

/* Every task and loss of a model, unless they are given. What the model does not have is passed over. */
static lg_status check_model(const options *o, const char *model, lg_checks *all)
{
    char task[32], loss[32];
    lg_status status = LG_OK;
    const bool one_task = o->task || lg_cli_given(o->cli, "task"), one_loss = o->loss || lg_cli_given(o->cli, "loss");
    for (int t = 0; name_at("task", t, task, sizeof task) && (t == 0 || !one_task); t++) {
        if (one_task) snprintf(task, sizeof task, "%s", o->task ? o->task : "");
        if (strcmp(task, "simulate") == 0) continue;
        for (int l = 0; name_at("loss", l, loss, sizeof loss) && (l == 0 || !one_loss); l++) {
            if (one_loss) snprintf(loss, sizeof loss, "%s", o->loss ? o->loss : "");
            status = configure(o, model, preset_of(model), task, loss);
            if (!status && all->count < LG_CHECKS) status = check_one(o, all);
            if (status == LG_ERR_UNSUPPORTED && !(one_task && one_loss)) continue;
            if (status) return status;
        }
    }
    return all->count ? LG_OK : status;
}

static lg_status run(const options *o, lg_checks *all)
{
    const char *source = o->cli->argument[0];
    const size_t length = strlen(source);
    const bool file = strchr(source, '/') || (length > 5 && strcmp(source + length - 5, ".yaml") == 0) ||
                      (length > 4 && strcmp(source + length - 4, ".yml") == 0);
    if (!file) return check_model(o, source, all);
    const lg_status status = configure(o, source, NULL, o->task ? o->task : "", o->loss ? o->loss : "");
    return status ? status : check_one(o, all);
}

int lg_cmd_gradcheck(int argc, char **argv)
{
    lg_cli cli;
    options o = {.cli = &cli};
    const lg_cli_option own[] = {
        {"--estimators", "LIST", "some of ste,gs,gr,score,fd,exact; default: those the problem has", LG_ARG_TEXT,
         &o.estimators, 0},
        {"--runs", "N", "independent gradients of each estimator; default 200", LG_ARG_INT, &o.runs, 0},
        {"--reference-runs", "N", "runs of the finite differences where there is no closed form; default 400",
         LG_ARG_INT, &o.reference_runs, 0},
        {"--task", "NAME", "as the key `task`; of a model's name alone: this one of its tasks", LG_ARG_TEXT, &o.task,
         0},
        {"--loss", "NAME", "as the key `loss`; of a model's name alone: this one of its losses", LG_ARG_TEXT, &o.loss,
         0},
    };
    const lg_cli_usage usage = {
        "gradcheck",
        "MODEL|CONFIG.yaml",
        "Bias and variance of the gradient estimators at the start values of a configuration, against the gradient of\n"
        "the expected loss: a closed form, or finite differences with common random numbers. A model's name alone\n"
        "checks small problems of all its tasks and losses. Exit status 1 where an estimator is not what is stated\n"
        "of it. --out FILE.csv writes the table, FILE.png, .svg or .pdf a picture.",
        LG_USE_RUN | LG_USE_OUT | LG_USE_JSON,
        own,
        sizeof own / sizeof own[0],
        1,
        1,
        false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    lg_checks all = {0};
    lg_status status = lg_cli_check_free(&cli, "--out", cli.out);
    if (!status) status = run(&o, &all);
    if (!status && cli.json) lg_checks_json(&all);
    else if (!status) lg_checks_print(&all);
    if (!status && cli.out) status = lg_checks_write(&cli, &all, cli.out);
    if (!status && all.failed)
        status = lg_cli_fail(&cli, LG_ERR_CHECK, "%d of %d rows are not what is stated of the estimator", all.failed,
                             all.rows);
    for (int i = 0; i < all.count; i++) lg_gradcheck_free(all.check[i]);
    return lg_cli_end(&cli, status);
}
