/* Reading YAML: forms, messages with file and line, and files cut off or damaged anywhere. */
#include "helpers.h"

#include <sys/stat.h>

static const char mk[] = "# an MK fit\n"
                         "model: mk\n"
                         "lattice: {height: 32, width: 48, capacity: 40, gamma: 0.01}   # flow style\n"
                         "params:\n"
                         "  D_A: {start: 0.5, bounds: [0.001, 0.999]}\n"
                         "  D_B:\n"
                         "    start: 0.2\n"
                         "    bounds:\n"
                         "      - 0.001\n"
                         "      - 0.999\n"
                         "    transform: logit\n"
                         "  k1: 0.98\n"
                         "  k2: 0.1\n"
                         "  'k3': \"0.2\"\n"
                         "data: {reference: \"sub dir/r\\u00e9f.npy\", start: uniform}\n"
                         "optimizer: {name: adam, lr: 1.0e-2}\n"
                         "seed: 18446744073709551615\n"
                         "output: {file: /abs/e3.h5}\n";

Test(config_yaml, a_whole_file)
{
    NEEDS_YAML();
    fixture f = begin();
    load_ok(&f, mk);
    expect_value(&f, "lattice.width", "48");
    expect_value(&f, "optimizer.name", "adam");
    expect_value(&f, "optimizer.lr", "0.01");
    expect_value(&f, "task", "stability");
    int64_t seed;
    cr_assert_eq(lg_config_int(f.ctx, f.config, "seed", &seed), LG_OK);
    cr_assert_eq((uint64_t)seed, UINT64_MAX);

    lg_param_setting p;
    cr_assert_eq(lg_config_param(f.ctx, f.config, "D_B", &p), LG_OK);
    cr_assert(p.given && p.fitted && p.start == 0.2 && p.has_bounds && p.lower == 0.001 && p.upper == 0.999);
    cr_assert_str_eq(p.transform, "logit");
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k3", &p), LG_OK);
    cr_assert(p.given && !p.fitted && p.start == 0.2);

    char expected[128], *path = lg_config_path(f.config, "data.reference");
    snprintf(expected, sizeof expected,
             "%s/sub dir/r\xc3\xa9"
             "f.npy",
             f.folder);
    cr_assert_str_eq(path, expected);
    free(path);
    path = lg_config_path(f.config, "output.file");
    cr_assert_str_eq(path, "/abs/e3.h5");
    free(path);
    cr_assert_null(lg_config_path(f.config, "data.start"));
    end(&f);
}

Test(config_yaml, origins_and_overrides)
{
    NEEDS_YAML();
    fixture f = begin();
    load_ok(&f, mk);
    char expected[128];
    snprintf(expected, sizeof expected, "%s:3", f.path);
    cr_assert_str_eq(lg_config_origin(f.config, "lattice.width"), expected);
    snprintf(expected, sizeof expected, "%s:12", f.path);
    cr_assert_str_eq(lg_config_origin(f.config, "params.k1"), expected);
    cr_assert_str_eq(lg_config_origin(f.config, "steps"), "default");
    set_ok(&f, "lattice.width", "12"); /* --set over the file */
    expect_value(&f, "lattice.width", "12");
    cr_assert_str_eq(lg_config_origin(f.config, "lattice.width"), "--set");
    load_ok(&f, "lattice: {width: 20}\nparams: {D_A: 0.25, k1: {start: 0.5}}\n"); /* a second file on top */
    expect_value(&f, "lattice.width", "20");
    expect_value(&f, "lattice.height", "32");
    lg_param_setting p;
    cr_assert_eq(lg_config_param(f.ctx, f.config, "D_A", &p), LG_OK);
    cr_assert(!p.fitted && p.start == 0.25 && !p.has_bounds);
    cr_assert_eq(lg_config_param(f.ctx, f.config, "k1", &p), LG_OK);
    cr_assert(p.fitted && p.start == 0.5);
    end(&f);
}

Test(config_yaml, order_does_not_matter)
{
    NEEDS_YAML();
    fixture f = begin();
    load_ok(&f, "params: {beta: 0.3}\nmodel: si\n");
    cr_assert_eq(load(&f, "params: {bta: 0.3}\nmodel: si\n"), LG_ERR_CONFIG);
    expect_message(&f, "/fit.yaml:1: params.bta: model si has no parameter 'bta'; did you mean 'beta'? (it has beta)");
    end(&f);
}

Test(config_yaml, other_forms)
{
    NEEDS_YAML();
    fixture f = begin();
    load_ok(&f, "\xef\xbb\xbf---\r\nmodel: si\r\noptimizer.lr: 0.5\r\ndata:\r\n  generate: {}\r\nstop:\r\n...\r\n");
    expect_value(&f, "model", "si"); /* byte order mark, DOS lines, document marks, dotted key, empty sections */
    expect_value(&f, "optimizer.lr", "0.5");
    cr_assert(lg_config_is_set(f.config, "data.generate"));
    cr_assert(!lg_config_is_set(f.config, "data.generate.runs"));
    expect_value(&f, "data.generate.runs", "100");
    end(&f);

    f = begin();
    load_ok(&f, "model: mk\nparams: {D_A: {}, D_B: 0.1, k1: 1, k2: 0, k3: 1}\n"); /* {}: fitted from the default */
    lg_param_setting p;
    cr_assert_eq(lg_config_param(f.ctx, f.config, "D_A", &p), LG_OK);
    cr_assert(p.given && p.fitted && !p.has_bounds && p.start == lg_model_param(2, 0)->start);
    end(&f);
}

Test(config_yaml, messages)
{
    NEEDS_YAML();
    static const struct {
        const char *yaml;
        lg_status status;
        const char *message;
    } cases[] = {
        {"model: mk\noptimiser: {lr: 1}\n", LG_ERR_CONFIG,
         "fit.yaml:2: optimiser: unknown key 'optimiser'; did you mean 'optimizer'?"},
        {"model: mk\n\nsede: 1\n", LG_ERR_CONFIG, "fit.yaml:3: sede: unknown key 'sede'; did you mean 'seed'?"},
        {"optimizer:\n  name: sgd\n  lrate: 1\n", LG_ERR_CONFIG, "fit.yaml:3: optimizer.lrate: unknown key"},
        {"params:\n  k1: {strat: 1}\n", LG_ERR_CONFIG,
         "fit.yaml:2: params.k1.strat: unknown key 'params.k1.strat'; did you mean 'params.k1.start'?"},
        {"params:\n  k1: [0.1, 0.2]\n", LG_ERR_CONFIG, "fit.yaml:2: params.k1: expected a number, got a list"},
        {"params:\n  k1: {start: {x: 1}}\n", LG_ERR_CONFIG, "params.k1.start: expected a number, got a mapping"},
        {"params:\n  k1: {bounds: [0.1, [0.2]]}\n", LG_ERR_CONFIG,
         "expected two increasing numbers, got something else"},
        {"params:\n  k1: {bounds: [0.1]}\n", LG_ERR_CONFIG, "expected two increasing numbers, got '[0.1]'"},
        {"params:\n  k1: {bounds: []}\n", LG_ERR_CONFIG, "expected two increasing numbers, got '[]'"},
        {"params:\n  k1: {bounds: [a, b]}\n", LG_ERR_CONFIG, "expected two increasing numbers, got '[a, b]'"},
        {"model: mk\nparams: 3\n", LG_ERR_CONFIG,
         "fit.yaml:2: params: expected a mapping (indented keys with values), got a single value"},
        {"data: [1, 2]\n", LG_ERR_CONFIG, "data: expected a mapping (indented keys with values), got a list"},
        {"seed: {a: 1}\n", LG_ERR_CONFIG, "seed: expected a whole number in [0, 18446744073709551615], got a mapping"},
        {"seed: [1]\n", LG_ERR_CONFIG, "got a list"},
        {"steps: many\n", LG_ERR_CONFIG,
         "fit.yaml:1: steps: expected a whole number in [1, 4294967295] (steps), got 'many'"},
        {"model: mk\nsteps: 0\n", LG_ERR_RANGE, "fit.yaml:2: steps: expected"},
        {"steps:\n", LG_ERR_CONFIG, "steps: no value given, expected a whole number"},
        {"steps: ~\n", LG_ERR_CONFIG, "no value given"},
        {"output: {file: null}\n", LG_ERR_CONFIG, "output.file: no value given, expected a file name"},
        {"output: {file: \"a\\0b\"}\n", LG_ERR_CONFIG,
         "output.file: expected a file name, got text with a NUL character"},
        {"model: mk\nparams: {k1: 2}\n", LG_ERR_RANGE, "fit.yaml:2: params.k1: expected k1 in [0, 1], got 2"},
        {"seed: 1\nmodel: si\nseed: 2\n", LG_ERR_CONFIG, "fit.yaml:3: seed: set twice in one file, first at "},
        {"data: {msd: a}\nseed: 1\ndata: {start: b}\n", LG_ERR_CONFIG, "fit.yaml:3: data: set twice in one file"},
        {"stop: {time: 1}\nstop.time: 2\n", LG_ERR_CONFIG, "fit.yaml:2: stop.time: set twice"},
        {"params: {k1: 1, k1: {start: 1}}\n", LG_ERR_CONFIG, "params.k1: set twice"},
        {"params: {k1: {start: 1}, k1: 1}\n", LG_ERR_CONFIG, "params.k1: set twice"},
        {"params: {k1: 1, k1.start: 1}\n", LG_ERR_CONFIG, "params.k1.start: set twice"},
        {"model: &m mk\n", LG_ERR_CONFIG, "fit.yaml:1: anchors (&name) are not supported"},
        {"lattice: &l {width: 4}\n", LG_ERR_CONFIG, "anchors"},
        {"params: {k1: {bounds: &b [0, 1]}}\n", LG_ERR_CONFIG, "anchors"},
        {"model: si\ndevice: *m\n", LG_ERR_CONFIG, "fit.yaml:2: aliases (*name) are not supported"},
        {"model: !!str mk\n", LG_ERR_CONFIG, "tags (!name) are not supported"},
        {"model: si\n---\nmodel: mk\n", LG_ERR_CONFIG, "fit.yaml:2: a second document begins"},
        {"", LG_ERR_CONFIG, "fit.yaml:1: the file is empty; expected keys like `model: mk`"},
        {"# nothing\n", LG_ERR_CONFIG, "the file is empty"},
        {"- model\n- mk\n", LG_ERR_CONFIG, "fit.yaml:1: expected keys like `model: mk`"},
        {"model\n", LG_ERR_CONFIG, "expected keys like"},
        {"? [a, b]\n: 1\n", LG_ERR_CONFIG, "fit.yaml:1: expected the name of a key"},
        {"\"a\\0b\": 1\n", LG_ERR_CONFIG, "expected the name of a key"},
        {"\"\": 1\n", LG_ERR_CONFIG, "unknown key ''"},
        {"model: mk\nlattice: {height: 3}}\nseed: 1\n", LG_ERR_CONFIG, "fit.yaml:2: not valid YAML: "},
        {"model: mk\nlattice: {height: 3\nseed: 1\n", LG_ERR_CONFIG, "fit.yaml:2: lattice.height: "},
        {"model: mk\n\tseed: 1\n", LG_ERR_CONFIG, "fit.yaml:2: not valid YAML: "},
        {"model: mk\noutput: {file: \"a\xff\"}\n", LG_ERR_CONFIG, "fit.yaml:2: not valid YAML: invalid"},
        {"model: \"mk\n", LG_ERR_CONFIG, "not valid YAML: "},
    };
    fixture f = begin();
    load_ok(&f, "seed: 5\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const lg_status status = load(&f, cases[i].yaml);
        cr_assert_eq(status, cases[i].status, "%s\n%s", lg_context_message(f.ctx), cases[i].yaml);
        expect_message(&f, cases[i].message);
        expect_value(&f, "seed", "5"); /* a failed file leaves nothing behind */
        expect_value(&f, "model", NULL);
    }
    end(&f);
}

Test(config_yaml, a_long_key)
{
    NEEDS_YAML();
    char yaml[600];
    memset(yaml, 'x', sizeof yaml);
    memcpy(yaml + 500, ": 1\n", 5);
    fixture f = begin();
    cr_assert_eq(load(&f, yaml), LG_ERR_CONFIG);
    expect_message(&f, "fit.yaml:1: unknown key 'xxx");
    end(&f);
}

Test(config_yaml, files_that_cannot_be_read)
{
    NEEDS_YAML();
    fixture f = begin();
    char path[128];
    snprintf(path, sizeof path, "%s/missing.yaml", f.folder);
    cr_assert_eq(lg_config_load(f.ctx, f.config, path), LG_ERR_FILE);
    expect_message(&f, "missing.yaml");
    cr_assert_eq(lg_config_load(f.ctx, f.config, f.folder), LG_ERR_FILE); /* a directory */
    char *large = malloc((1u << 20) + 2);
    cr_assert_not_null(large);
    memset(large, '#', (1u << 20) + 1);
    cr_assert_eq(load_bytes(&f, large, (1u << 20) + 1), LG_ERR_CONFIG);
    expect_message(&f, "larger than 1 MiB");
    free(large);
    end(&f);
}

Test(config_yaml, cut_off_anywhere)
{
    NEEDS_YAML();
    for (size_t size = 0; size <= sizeof mk - 1; size++) {
        fixture f = begin();
        if (load_bytes(&f, mk, size) != LG_OK) cr_assert_gt(strlen(lg_context_message(f.ctx)), 0u, "cut at %zu", size);
        end(&f);
    }
}

/* Every byte replaced by characters YAML reads in a special way: an answer each time, never a crash. */
Test(config_yaml, damaged_anywhere)
{
    NEEDS_YAML();
    static const char damage[] = "{}[]:,&*!|>'\"%@\t\n#?- \\\x01\xff";
    fixture f = begin();
    int good = 0, bad = 0;
    for (size_t i = 0; i < sizeof mk - 1; i += 3) {
        for (size_t d = 0; d < sizeof damage; d++) { /* the closing NUL too */
            char copy[sizeof mk];
            memcpy(copy, mk, sizeof mk);
            copy[i] = damage[d];
            lg_context_free(f.ctx);
            cr_assert_eq(lg_context_create(&f.ctx), LG_OK);
            lg_config_free(f.config);
            cr_assert_eq(lg_config_create(f.ctx, &f.config), LG_OK);
            const lg_status status = load_bytes(&f, copy, sizeof mk - 1);
            if (status == LG_OK) good++;
            else bad++;
            const char *message = lg_context_message(f.ctx);
            cr_assert(status == LG_OK || strstr(message, "fit.yaml"), "%s", message);
        }
    }
    cr_assert_gt(good, 0);
    cr_assert_gt(bad, good);
    end(&f);
}

Test(config_yaml, without_libyaml)
{
#if LG_HAVE_YAML
    cr_skip_test("built with libyaml");
#else
    fixture f = begin();
    cr_assert_eq(load(&f, "model: mk\n"), LG_ERR_LIBRARY);
    expect_message(&f, "--set section.key=value");
    end(&f);
#endif
}
