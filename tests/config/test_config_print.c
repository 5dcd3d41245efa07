/* The effective configuration: complete, readable, and the same after reading it back. */
#include "helpers.h"

static char *print(const fixture *f)
{
    char *yaml = NULL;
    cr_assert_eq(lg_config_print(f->ctx, f->config, &yaml), LG_OK, "%s", lg_context_message(f->ctx));
    cr_assert_not_null(yaml);
    return yaml;
}

/* Prints, loads into an empty configuration, prints again; the text of the first print. */
static char *round_trip(fixture *f)
{
    char *first = print(f);
    fixture g = begin();
    load_ok(&g, first);
    char *second = print(&g);
    cr_assert_str_eq(second, first);
    lg_free(second);
    end(&g);
    return first;
}

static void expect_line(const char *yaml, const char *line)
{
    char with_newline[256];
    snprintf(with_newline, sizeof with_newline, "\n%s", line);
    cr_assert(strncmp(yaml, line, strlen(line)) == 0 || strstr(yaml, with_newline), "no line '%s' in\n%s", line, yaml);
}

Test(config_print, every_model_and_task)
{
    NEEDS_YAML();
    static const char *const models[] = {"si", "prw", "mk"};
    static const char *const tasks[] = {"simulate", "transition", "trajectory", "stability"};
    for (int m = 0; m < 3; m++) {
        for (int t = 0; t < 4; t++) {
            fixture f = begin();
            set_ok(&f, "model", models[m]);
            set_ok(&f, "task", tasks[t]);
            char *yaml = round_trip(&f);
            cr_assert_null(strstr(yaml, "generate"), "%s", yaml);
            cr_assert_eq(strstr(yaml, "  capacity: ") != NULL, m == 2);
            cr_assert_eq(strstr(yaml, "optimizer:") != NULL, t != 0);
            cr_assert_eq(strstr(yaml, "\nloss: ") != NULL, t != 0);
            for (int p = 0; p < lg_model_param_count(m); p++) {
                char line[64];
                snprintf(line, sizeof line, "  %s: {start: ", lg_model_param(m, p)->name);
                expect_line(yaml, line);
            }
            lg_free(yaml);
            end(&f);
        }
    }
}

Test(config_print, a_full_configuration)
{
    NEEDS_YAML();
    fixture f = begin();
    load_ok(&f, "model: prw\n"
                "params: {p_center: {start: 0.7, bounds: [0.001, 0.999], transform: logit},\n"
                "         p_resample: 0.30000000000000004}\n"
                "data: {msd: t.csv, spacing2: 10, generate: {params: {p_center: 0.2, p_resample: 0.1}}}\n"
                "steps: 20\n"
                "optimizer: {lr: 1.0e-9}\n"
                "seed: 18446744073709551615\n"
                "lattice: {width: 7}\n");
    char *yaml = round_trip(&f), line[128];
    expect_line(yaml, "model: prw  ");
    expect_line(yaml, "  p_center: {start: 0.7, bounds: [0.001, 0.999], transform: logit}  # ");
    expect_line(yaml, "  p_resample: 0.30000000000000004 ");
    snprintf(line, sizeof line, "  msd: %s/t.csv ", f.folder);
    expect_line(yaml, line);
    expect_line(yaml, "  spacing2: 10 ");
    expect_line(yaml, "  generate:\n    runs: 15000 ");
    expect_line(yaml, "    steps: 20 "); /* follows steps */
    expect_line(yaml, "    params:\n      p_center: 0.2 ");
    expect_line(yaml, "  lr: 1e-9 ");
    expect_line(yaml, "seed: 18446744073709551615 ");
    expect_line(yaml, "lattice:\n  width: 7 "); /* set, although prw has no lattice */
    cr_assert_null(strstr(yaml, "height"));
    cr_assert_null(strstr(yaml, "tracks:"));
    lg_free(yaml);
    end(&f);
}

/* The size of the lattice and the length of a trajectory come from the data, unless they are set. */
Test(config_print, defaults_that_give_way_to_data_stay_defaults)
{
    NEEDS_YAML();
    fixture f = begin();
    set_ok(&f, "model", "si");
    set_ok(&f, "task", "trajectory");
    set_ok(&f, "data.frames", "frames.npy");
    set_ok(&f, "lattice.width", "32");
    char *yaml = round_trip(&f);
    expect_line(yaml, "  # default unless the data say otherwise: height: 64 ");
    expect_line(yaml, "  width: 32 ");
    expect_line(yaml, "# default unless the data say otherwise: steps: 50 ");
    fixture g = begin();
    load_ok(&g, yaml);
    cr_assert(!lg_config_is_set(g.config, "lattice.height"));
    cr_assert(lg_config_is_set(g.config, "lattice.width"));
    cr_assert(!lg_config_is_set(g.config, "steps"));
    lg_free(yaml);
    end(&g);
    set_ok(&f, "steps", "20");
    yaml = round_trip(&f);
    expect_line(yaml, "steps: 20 ");
    lg_free(yaml);
    end(&f);

    f = begin();
    set_ok(&f, "model", "si"); /* nothing but comments in a section */
    set_ok(&f, "data.frames", "frames.npy");
    yaml = round_trip(&f);
    expect_line(yaml, "steps: 1 "); /* a pair is one step */
    lg_free(yaml);
    end(&f);
}

Test(config_print, an_empty_generate_section_prints_its_defaults)
{
    NEEDS_YAML();
    fixture f = begin();
    load_ok(&f, "model: mk\ndata: {generate: {}}\n");
    char *yaml = round_trip(&f);
    expect_line(yaml, "  generate:\n    runs: 1 ");
    expect_line(yaml, "    start: stripe ");
    lg_free(yaml);
    end(&f);
}

Test(config_print, strings_with_special_characters)
{
    NEEDS_YAML();
    static const char *const names[] = {
        "a b.h5",
        "a: b",
        "a #b",
        "- x",
        "quo\"te",
        "back\\slash",
        "'single'",
        "tab\there",
        "line\nbreak",
        " lead",
        "trail ",
        "\x01\x7f",
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "\xc2\x85\xe2\x80\xa8\xef\xbb\xbf",
        "{a}",
        "[b]",
        "*c",
        "&d",
        "!e",
        "%f",
        "@g",
        "`h`",
        "?",
        ":",
        "a:",
        "a.h5:/group/set",
        "true",
        "null",
        "~",
        "1e5",
        "$HOME",
        ",",
        "cr\rlf",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fixture f = begin();
        set_ok(&f, "model", "mk");
        set_ok(&f, "output.file", names[i]);
        set_ok(&f, "data.start", names[i]);
        char *yaml = print(&f), *here = getcwd(NULL, 0), full[4096];
        fixture g = begin();
        load_ok(&g, yaml);
        snprintf(full, sizeof full, "%s/%s", here, names[i]);
        expect_value(&g, "output.file", full);
        expect_value(&g, "data.start", full);
        char *again = print(&g);
        cr_assert_str_eq(again, yaml);
        lg_free(again);
        lg_free(yaml);
        free(here);
        end(&g);
        end(&f);
    }
}

Test(config_print, paths_are_absolute)
{
    fixture f = begin();
    set_ok(&f, "model", "si");
    set_ok(&f, "data.frames", "./x/../frames.npy");
    set_ok(&f, "output.file", "/tmp/out.h5");
    char *yaml = print(&f), *here = getcwd(NULL, 0), line[4096];
    snprintf(line, sizeof line, "frames: %s/x/../frames.npy ", here);
    cr_assert_not_null(strstr(yaml, line), "%s", yaml);
    cr_assert_not_null(strstr(yaml, "file: /tmp/out.h5 "));
    lg_free(yaml);
    free(here);
    end(&f);
}

Test(config_print, errors)
{
    fixture f = begin();
    char *yaml = NULL;
    cr_assert_eq(lg_config_print(f.ctx, f.config, &yaml), LG_ERR_CONFIG);
    expect_message(&f, "model is not set; expected si|prw|mk");
    cr_assert_null(yaml);
    set_ok(&f, "model", "mk");
    set_ok(&f, "params.k1", "0.5");
    cr_assert_eq(lg_config_print(f.ctx, f.config, &yaml), LG_ERR_CONFIG);
    expect_message(&f, "params.D_A is missing");
    cr_assert_null(yaml);
    end(&f);
}
