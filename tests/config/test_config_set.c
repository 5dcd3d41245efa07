/* Settings one by one: defaults by model and task, checks, parameters, typed getters, origins. */
#include "helpers.h"

Test(config_set, defaults_by_model_and_task)
{
    static const struct {
        const char *model, *task, *key, *value;
    } cases[] = {
        {"si", NULL, "task", "transition"},
        {"prw", NULL, "task", "trajectory"},
        {"mk", NULL, "task", "stability"},
        {"si", "transition", "steps", "1"},
        {"si", "trajectory", "steps", "50"},
        {"prw", NULL, "steps", "10"},
        {"mk", "transition", "steps", "1"},
        {"mk", "trajectory", "steps", "500"},
        {"mk", NULL, "steps", "500"},
        {"si", NULL, "loss", "sse"},
        {"si", "trajectory", "loss", "stat"},
        {"si", "stability", "loss", "sse"},
        {"prw", NULL, "loss", "sse"},
        {"mk", NULL, "loss", "log_sse"},
        {"mk", "transition", "loss", "sse"},
        {"mk", "trajectory", "loss", "stat"},
        {"si", NULL, "optimizer.name", "adam"},
        {"si", NULL, "optimizer.lr", "0.05"},
        {"si", NULL, "optimizer.schedule", "cosine"},
        {"si", NULL, "estimator.method", "pathwise"},
        {"si", "trajectory", "estimator.method", "fd"},
        {"si", "trajectory", "optimizer.name", "lm"},
        {"si", "trajectory", "optimizer.lr", NULL},
        {"si", "stability", "optimizer.name", "adam"},
        {"prw", NULL, "optimizer.name", "lm"},
        {"prw", NULL, "estimator.method", "pathwise"},
        {"prw", NULL, "optimizer.lr", NULL},
        {"mk", NULL, "optimizer.name", "sgd"},
        {"mk", NULL, "optimizer.lr", "0.05"},
        {"mk", NULL, "optimizer.schedule", "constant"},
        {"mk", NULL, "estimator.method", "pathwise"},
        {"mk", "transition", "optimizer.name", "adam"},
        {"mk", "trajectory", "optimizer.name", "lm"},
        {"mk", "formation", "optimizer.name", "lm"},
        {"mk", "formation", "estimator.method", "fd"},
        {"si", NULL, "iterations", "400"},
        {"prw", NULL, "iterations", "200"},
        {"mk", NULL, "iterations", "4000"},
        {"si", NULL, "replicates", "128"},
        {"si", "trajectory", "replicates", "4"},
        {"prw", NULL, "replicates", "1500"},
        {"mk", NULL, "replicates", "1"},
        {"si", "trajectory", "data.start", "centre"},
        {"mk", "trajectory", "data.start", "uniform"},
        {"mk", NULL, "data.start", NULL},
        {"prw", NULL, "data.start", NULL},
        {"si", NULL, "data.generate.runs", "100"},
        {"si", NULL, "data.generate.steps", "50"},
        {"prw", NULL, "data.generate.runs", "15000"},
        {"prw", NULL, "data.generate.steps", "10"},
        {"mk", NULL, "data.generate.runs", "1"},
        {"mk", NULL, "data.generate.steps", "50000"},
        {"mk", NULL, "data.generate.start", "stripe"},
        {"mk", NULL, "lattice.capacity", "50"},
        {"mk", NULL, "lattice.gamma", "0.005"},
        {"mk", NULL, "device", "auto"},
        {"mk", NULL, "output.file", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = begin();
        set_ok(&f, "model", cases[i].model);
        if (cases[i].task) set_ok(&f, "task", cases[i].task);
        expect_value(&f, cases[i].key, cases[i].value);
        cr_assert(!lg_config_is_set(f.config, cases[i].key) || strcmp(cases[i].key, "task") == 0);
        end(&f);
    }
    fixture f = begin(); /* a default that follows another key */
    set_ok(&f, "model", "prw");
    set_ok(&f, "steps", "25");
    expect_value(&f, "data.generate.steps", "25");
    end(&f);
}

Test(config_set, messages)
{
    static const struct {
        const char *key, *value;
        lg_status status;
        const char *message;
    } cases[] = {
        {"optimizer.lrr", "1", LG_ERR_CONFIG,
         "--set optimizer.lrr: unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?"},
        {"optimiser.lr", "1", LG_ERR_CONFIG, "did you mean 'optimizer.lr'?"},
        {"lr", "1", LG_ERR_CONFIG, "unknown key 'lr'; did you mean 'optimizer.lr'?"},
        {"params.k1.strat", "1", LG_ERR_CONFIG, "did you mean 'params.k1.start'?"},
        {"parms.k1.start", "1", LG_ERR_CONFIG, "did you mean 'params.k1.start'?"},
        {"data.generate.step", "1", LG_ERR_CONFIG, "did you mean 'data.generate.steps'?"},
        {"seed.x", "1", LG_ERR_CONFIG, "unknown key 'seed.x'"},
        {"nothing_like_it", "1", LG_ERR_CONFIG, "unknown key 'nothing_like_it'"},
        {"", "1", LG_ERR_CONFIG, "unknown key ''"},
        {"data", "1", LG_ERR_CONFIG, "unknown key 'data'"},
        {"model", "mkk", LG_ERR_CONFIG, "--set model: expected si|prw|mk, got 'mkk'; did you mean 'mk'?"},
        {"model", "", LG_ERR_CONFIG, "--set model: no value given, expected si|prw|mk"},
        {"loss", "quadratic", LG_ERR_CONFIG, "expected sse|mse|log_sse|count|nll|stat, got 'quadratic'"},
        {"optimizer.lr", "fast", LG_ERR_CONFIG, "--set optimizer.lr: expected a number in (0, inf), got 'fast'"},
        {"optimizer.lr", "0", LG_ERR_RANGE, "in (0, inf), got '0'"},
        {"optimizer.lr", "inf", LG_ERR_RANGE, "got 'inf'"},
        {"optimizer.lr", "nan", LG_ERR_RANGE, "got 'nan'"},
        {"optimizer.momentum", "1", LG_ERR_RANGE, "in [0, 1), got '1'"},
        {"optimizer.decay", "1.5", LG_ERR_RANGE, "in (0, 1], got '1.5'"},
        {"lattice.height", "2", LG_ERR_RANGE, "expected a whole number in [3, 65536] (sites), got '2'"},
        {"lattice.height", "64.5", LG_ERR_CONFIG, "expected a whole number"},
        {"lattice.height", "-64", LG_ERR_RANGE, "got '-64'"},
        {"lattice.capacity", "256", LG_ERR_RANGE, "in [3, 255] (particles), got '256'"},
        {"seed", "-1", LG_ERR_RANGE, "got '-1'"},
        {"seed", "18446744073709551616", LG_ERR_RANGE, "got '18446744073709551616'"},
        {"seed", "1e3", LG_ERR_CONFIG, "got '1e3'"},
        {"seed", "-", LG_ERR_CONFIG, "got '-'"},
        {"steps", "99999999999", LG_ERR_RANGE, "in [1, 4294967295] (steps)"},
        {"params.k1.bounds", "[0.5, 0.1]", LG_ERR_RANGE, "expected two increasing numbers, got '[0.5, 0.1]'"},
        {"params.k1.bounds", "[0.5]", LG_ERR_CONFIG, "expected two increasing numbers, got '[0.5]'"},
        {"params.k1.bounds", "[0.1, 0.2, 0.3]", LG_ERR_CONFIG, "expected two increasing numbers"},
        {"params.k1.bounds", "[0.1, 0.2", LG_ERR_CONFIG, "expected two increasing numbers"},
        {"params.k1.bounds", "[", LG_ERR_CONFIG, "got '['"},
        {"params.k1.bounds", "[]", LG_ERR_CONFIG, "got '[]'"},
        {"params.k1.bounds", ",", LG_ERR_CONFIG, "got ','"},
        {"params.k1.bounds", "0.1", LG_ERR_CONFIG, "got '0.1'"},
        {"params.k1.bounds", "[0, inf]", LG_ERR_CONFIG, "got '[0, inf]'"},
        {"params.k1.transform", "log", LG_ERR_CONFIG, "expected none|logit, got 'log'"},
        {"device", "cuda:", LG_ERR_CONFIG, "expected auto|cpu|cuda|cuda:N, got 'cuda:'"},
        {"device", "cuda:1x", LG_ERR_CONFIG, "got 'cuda:1x'"},
        {"device", "gpu", LG_ERR_CONFIG, "got 'gpu'"},
        {"output.file", "", LG_ERR_CONFIG, "no value given, expected a file name"},
        {"output.file", "a\xff", LG_ERR_CONFIG, "not valid UTF-8"},
    };
    fixture f = begin();
    set_ok(&f, "model", "mk");
    set_ok(&f, "seed", "7");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const lg_status status = lg_config_set(f.ctx, f.config, cases[i].key, cases[i].value);
        cr_assert_eq(status, cases[i].status, "%s=%s: %s", cases[i].key, cases[i].value, lg_context_message(f.ctx));
        expect_message(&f, cases[i].message);
        expect_value(&f, "model", "mk"); /* nothing changed */
        expect_value(&f, "seed", "7");
    }
    char key[2000];
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = '\0';
    cr_assert_eq(lg_config_set(f.ctx, f.config, key, "1"), LG_ERR_CONFIG);
    memcpy(key, "params.", 7);
    cr_assert_eq(lg_config_set(f.ctx, f.config, key, "1"), LG_ERR_CONFIG);
    end(&f);
}

Test(config_set, accepted_forms)
{
    static const struct {
        const char *key, *value, *kept;
    } cases[] = {
        {"optimizer.lr", "1.0E-07", "1e-7"},
        {"optimizer.lr", ".5", "0.5"},
        {"seed", "+5", "5"},
        {"seed", "007", "7"},
        {"device", "cuda:3", "cuda:3"},
        {"lattice.height", "3", "3"},
        {"optimizer.decay", "1", "1"},
        {"optimizer.momentum", "0", "0"},
        {"lattice.capacity", "255", "255"},
        {"output.file", "a b.h5", "a b.h5"},
        {"params.k1.bounds", "0.1,0.9", "[0.1, 0.9]"},
        {"params.k1.bounds", " [ 0 , 1.0 ] ", "[0, 1]"},
        {"optimizer.lr", "0.30000000000000004", "0.30000000000000004"},
    };
    fixture f = begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_ok(&f, cases[i].key, cases[i].value);
        expect_value(&f, cases[i].key, cases[i].kept);
        cr_assert(lg_config_is_set(f.config, cases[i].key));
        cr_assert_str_eq(lg_config_origin(f.config, cases[i].key), "--set");
    }
    set_ok(&f, "seed", "1"); /* the last one wins */
    set_ok(&f, "seed", "2");
    expect_value(&f, "seed", "2");
    cr_assert_str_eq(lg_config_origin(f.config, "threads"), "default");
    end(&f);
}

/* Defaults that hang on other keys: what the user sets decides the rest. */
Test(config_set, defaults_by_other_keys)
{
    static const struct {
        const char *model, *task, *set, *to, *key, *value;
    } cases[] = {
        {"si", "transition", "optimizer.name", "sgd", "optimizer.lr", "1e-7"},
        {"si", "transition", "optimizer.name", "sgd", "iterations", "6000"},
        {"si", "transition", "optimizer.name", "sgd", "optimizer.schedule", "constant"},
        {"si", "transition", "optimizer.lr", "0.01", "optimizer.schedule", "constant"},
        {"si", "transition", "loss", "nll", "optimizer.beta2", "0.9"},
        {"si", "transition", "loss", "sse", "optimizer.beta2", "0.999"},
        {"si", "trajectory", "optimizer.name", "adam", "optimizer.lr", "0.05"},
        {"si", "trajectory", "estimator.binary", "gs", "estimator.method", "pathwise"},
        {"si", "trajectory", "estimator.tau", "0.5", "optimizer.name", "adam"},
        {"prw", "trajectory", "optimizer.name", "adam", "optimizer.lr", "0.03"},
        {"prw", "trajectory", "optimizer.name", "sgd", "optimizer.lr", NULL},
        {"prw", "trajectory", "optimizer.lr", "0.01", "optimizer.name", "adam"},
        {"prw", "trajectory", "ensemble.sweep.optimizer.lr", "[0.01, 0.1]", "optimizer.name", "adam"},
        {"prw", "trajectory", "estimator.method", "score", "optimizer.name", "adam"},
        {"prw", "trajectory", "estimator.method", "exact", "optimizer.name", "lm"},
        {"mk", "stability", "loss", "sse", "optimizer.name", "adam"},
        {"mk", "stability", "loss", "mse", "optimizer.lr", "0.005"},
        {"mk", "stability", "optimizer.name", "adam", "optimizer.lr", "0.005"},
        {"mk", "formation", "optimizer.name", "adam", "optimizer.lr", "0.02"},
        {"mk", "formation", "estimator.method", "score", "optimizer.name", "adam"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = begin();
        set_ok(&f, "model", cases[i].model);
        set_ok(&f, "task", cases[i].task);
        set_ok(&f, cases[i].set, cases[i].to);
        expect_value(&f, cases[i].key, cases[i].value);
        end(&f);
    }
}

Test(config_set, typed_getters)
{
    fixture f = begin();
    int64_t whole = 0;
    double real = 0;
    bool yes = true;
    const char *text = "";
    cr_assert_eq(lg_config_int(f.ctx, f.config, "iterations", &whole), LG_ERR_CONFIG);
    expect_message(&f, "iterations has no value: its default depends on model");
    set_ok(&f, "model", "prw");
    cr_assert_eq(lg_config_int(f.ctx, f.config, "iterations", &whole), LG_OK);
    cr_assert_eq(whole, 200);
    cr_assert_eq(lg_config_real(f.ctx, f.config, "optimizer.lr", &real), LG_ERR_CONFIG);
    expect_message(&f, "optimizer.lr has no value: set it");
    set_ok(&f, "optimizer.name", "adam");
    cr_assert_eq(lg_config_real(f.ctx, f.config, "optimizer.lr", &real), LG_OK);
    cr_assert_eq(real, 0.03);
    cr_assert_eq(lg_config_real(f.ctx, f.config, "iterations", &real), LG_OK);
    cr_assert_eq(real, 4000.0);
    cr_assert_eq(lg_config_text(f.ctx, f.config, "loss", &text), LG_OK);
    cr_assert_str_eq(text, "sse");
    cr_assert_eq(lg_config_text(f.ctx, f.config, "data.msd", &text), LG_OK);
    cr_assert_null(text);
    cr_assert_eq(lg_config_text(f.ctx, f.config, "data.msdd", &text), LG_ERR_INTERNAL);
    cr_assert_eq(lg_config_int(f.ctx, f.config, "optimizer.lr", &whole), LG_ERR_INTERNAL);
    expect_message(&f, "'optimizer.lr'");
    cr_assert_eq(lg_config_bool(f.ctx, f.config, "seed", &yes), LG_ERR_INTERNAL);
    cr_assert_eq(lg_config_real(f.ctx, f.config, "params.p_center", &real), LG_ERR_CONFIG);
    expect_message(&f, "params.p_center has no value");

    set_ok(&f, "seed", "18446744073709551615");
    cr_assert_eq(lg_config_int(f.ctx, f.config, "seed", &whole), LG_OK);
    cr_assert_eq((uint64_t)whole, UINT64_MAX);
    set_ok(&f, "seed", "9223372036854775808");
    cr_assert_eq(lg_config_int(f.ctx, f.config, "seed", &whole), LG_OK);
    cr_assert_eq((uint64_t)whole, (uint64_t)1 << 63);
    expect_value(&f, "seed", "9223372036854775808");
    end(&f);
}

Test(config_set, parameters)
{
    fixture f = begin();
    lg_param_setting p;
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_ERR_CONFIG);
    expect_message(&f, "model is not set; expected si|prw|mk");
    set_ok(&f, "model", "mk");
    const lg_param_info *info = lg_model_param(2, 2);
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_OK); /* nothing said: fitted from the model's start */
    cr_assert(!p.given && p.fitted && !p.has_bounds && !p.transform && p.start == info->start);

    set_ok(&f, "params.k1", "0.3");
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_OK);
    cr_assert(p.given && !p.fitted && p.start == 0.3);
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k2", &p), LG_ERR_CONFIG); /* now the others must be given too */
    expect_message(&f, "params.k2 is missing (--set: params.k1 is given)");

    set_ok(&f, "params.k1.bounds", "[0.1, 0.5]"); /* a number that gets bounds becomes the start */
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_OK);
    cr_assert(p.given && p.fitted && p.start == 0.3 && p.has_bounds && p.lower == 0.1 && p.upper == 0.5);
    set_ok(&f, "params.k1.transform", "logit");
    set_ok(&f, "params.k1.start", "0.4");
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_OK);
    cr_assert_str_eq(p.transform, "logit");
    cr_assert_eq(p.start, 0.4);
    cr_assert_str_eq(lg_config_origin(f.config, "params.k1"), "--set");

    set_ok(&f, "params.k1.start", "0.6");
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_ERR_RANGE);
    expect_message(&f, "--set: params.k1: the start value 0.6 is outside the bounds [0.1, 0.5]");

    set_ok(&f, "params.k1", "0.6"); /* held fixed again: bounds and transform are gone */
    expect_value(&f, "params.k1.bounds", NULL);
    expect_value(&f, "params.k1.start", NULL);
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_OK);
    cr_assert(!p.fitted && !p.has_bounds && p.start == 0.6);

    set_ok(&f, "params.k2.transform", "logit");
    set_ok(&f, "params.k2.start", "0");
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k2", &p), LG_ERR_RANGE);
    expect_message(&f, "transform logit needs a start value between 0 and 1, got 0");
    cr_assert_eq(lg_config_param(f.ctx, f.config, "beta", &p), LG_ERR_CONFIG);
    expect_message(&f, "model mk has no parameter 'beta'");
    end(&f);
}

Test(config_set, parameter_names_and_ranges)
{
    fixture f = begin();
    set_ok(&f, "params.D_C", "0.1"); /* the model may come later */
    cr_assert_eq(lg_config_set(f.ctx, f.config, "model", "mk"), LG_ERR_CONFIG);
    expect_message(&f, "--set params.D_C: model mk has no parameter 'D_C'; did you mean 'D_A'? (it has D_A, D_B, ");
    expect_value(&f, "model", NULL);
    end(&f);

    f = begin();
    set_ok(&f, "model", "mk");
    cr_assert_eq(lg_config_set(f.ctx, f.config, "params.beta", "0.1"), LG_ERR_CONFIG);
    expect_message(&f, "model mk has no parameter 'beta' (it has");
    cr_assert_eq(lg_config_set(f.ctx, f.config, "params.k1.transform", "logit"), LG_OK);
    cr_assert_eq(lg_config_set(f.ctx, f.config, "params.k1", "1.5"), LG_ERR_RANGE);
    expect_message(&f, "--set params.k1: expected k1 in [0, 1], got 1.5");
    cr_assert_eq(lg_config_set(f.ctx, f.config, "params.k1.bounds", "[0, 2]"), LG_ERR_RANGE);
    cr_assert_eq(lg_config_set(f.ctx, f.config, "data.generate.params.k9", "0.5"), LG_ERR_CONFIG);
    expect_message(&f, "--set data.generate.params.k9: model mk has no parameter 'k9'");
    set_ok(&f, "data.generate.params.k1", "0.98");
    bool given = false;
    double value = 0;
    cr_assert_eq(lg_config_generate_param(f.ctx, f.config, "k1", &given, &value), LG_OK);
    cr_assert(given && value == 0.98);
    cr_assert_eq(lg_config_generate_param(f.ctx, f.config, "k2", &given, &value), LG_OK);
    cr_assert(!given);
    cr_assert(lg_config_is_set(f.config, "data.generate"));
    cr_assert(!lg_config_is_set(f.config, "data.gen"));
    cr_assert_eq(lg_config_set(f.ctx, f.config, "model", "si"), LG_ERR_CONFIG); /* the parameters belong to mk */
    expect_value(&f, "model", "mk");
    end(&f);
}

Test(config_set, copies_are_independent)
{
    fixture f = begin();
    set_ok(&f, "model", "mk");
    set_ok(&f, "output.file", "a.h5");
    lg_config *copy = lg_config_copy(f.config);
    cr_assert_not_null(copy);
    set_ok(&f, "output.file", "b.h5");
    cr_assert_str_eq(lg_config_get(copy, "output.file"), "a.h5");
    cr_assert_str_eq(lg_config_get(copy, "model"), "mk");
    lg_config_free(copy);
    lg_config_free(NULL);
    end(&f);
}

Test(config_set, paths)
{
    fixture f = begin();
    set_ok(&f, "model", "mk");
    set_ok(&f, "data.reference", "ref.npy");
    char *path = lg_config_path(f.config, "data.reference"); /* --set: relative to the working directory */
    cr_assert_str_eq(path, "ref.npy");
    free(path);
    cr_assert_null(lg_config_path(f.config, "data.frames"));
    cr_assert_null(lg_config_path(f.config, "seed"));
    cr_assert_null(lg_config_path(f.config, "no.such.key"));
    set_ok(&f, "data.start", "stripe"); /* a name, not a file */
    cr_assert_null(lg_config_path(f.config, "data.start"));
    set_ok(&f, "data.start", "stripe.npy");
    path = lg_config_path(f.config, "data.start");
    cr_assert_str_eq(path, "stripe.npy");
    free(path);
    end(&f);
}
