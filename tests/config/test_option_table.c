/* The table of keys: every row is well formed, every default passes the row's own check. */
#include "helpers.h"

#include "config/option_table.h"

static const char *const models[] = {"si", "prw", "mk", ""};
static const char *const tasks[] = {"simulate", "transition", "trajectory", "formation", "stability", ""};

Test(option_table, rows)
{
    cr_assert_gt(lg_option_count(), 40);
    cr_assert_null(lg_option_at(-1));
    cr_assert_null(lg_option_at(lg_option_count()));
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        cr_assert(*o->key && *o->help, "row %d", i);
        cr_assert_null(strchr(o->help, '\n'), "%s", o->key);
        cr_assert_lt(strlen(o->key), 64u);
        for (int j = 0; j < i; j++) cr_assert_str_neq(o->key, lg_option_at(j)->key);
        cr_assert_eq(lg_option_find(o->key), lg_option_row_at(i), "%s", o->key);
        cr_assert(!lg_option_is_section(o->key) || strcmp(o->key, "params.NAME") == 0, "%s", o->key);
    }
}

/* Keys of a section stand together, or print would write its header twice. */
Test(option_table, sections_are_contiguous)
{
    for (int i = 1; i < lg_option_count(); i++) {
        const char *key = lg_option_at(i)->key, *before = lg_option_at(i - 1)->key;
        for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.')) {
            const size_t length = (size_t)(dot - key) + 1;
            if (strncmp(before, key, length) == 0) continue;
            for (int j = 0; j < i; j++) cr_assert_neq(strncmp(lg_option_at(j)->key, key, length), 0, "%s", key);
        }
    }
}

Test(option_table, defaults_pass_their_own_checks_and_are_canonical)
{
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option_row *row = lg_option_row_at(i);
        for (int m = 0; m < 4; m++) {
            for (int t = 0; t <= LG_TASK_COUNT; t++) {
                const char *value = lg_option_default(row, models[m], tasks[t], NULL);
                if (!value || *value == '=') {
                    cr_assert(!value || lg_option_find(value + 1));
                    continue;
                }
                char *checked = NULL;
                cr_assert_eq(lg_value_check(NULL, "", row, value, &checked), LG_OK, "%s: %s", row->option.key, value);
                cr_assert_str_eq(checked, value, "%s", row->option.key);
                free(checked);
            }
        }
    }
}

/* The rows of defaults name keys that exist, in conditions too, and values that pass their key's check in canonical form. */
Test(option_table, rows_of_defaults)
{
    for (int i = 0; i < lg_option_default_count; i++) {
        const lg_option_default_row *d = &lg_option_defaults[i];
        const lg_option_row *row = lg_option_find(d->key);
        cr_assert_not_null(row, "%s", d->key);
        cr_assert(!*d->task || lg_task_find(d->task) < LG_TASK_COUNT, "%s: %s", d->key, d->task);
        for (const char *when = d->when; *when; when += strcspn(when, " "), when += *when == ' ') {
            char key[64];
            snprintf(key, sizeof key, "%.*s", (int)strcspn(when, "= "), when);
            cr_assert_not_null(lg_option_find(key), "%s: condition %s", d->key, when);
            cr_assert_str_neq(key, d->key);
        }
        if (!d->value || *d->value == '=') continue;
        char *checked = NULL;
        cr_assert_eq(lg_value_check(NULL, "", row, d->value, &checked), LG_OK, "%s: %s", d->key, d->value);
        cr_assert_str_eq(checked, d->value, "%s", d->key);
        free(checked);
    }
}

Test(option_table, models_and_tasks_agree_with_the_descriptors)
{
    char range[96] = "";
    for (int m = 0; m < lg_model_count(); m++) {
        const lg_model_desc *model = lg_model_at(m);
        snprintf(range + strlen(range), sizeof range - strlen(range), "%s%s", m ? "|" : "", model->name);
        const char *task = lg_option_default(lg_option_find("task"), model->name, "", NULL);
        cr_assert_str_eq(task, tasks[model->default_task]);
        const char *binary = lg_option_default(lg_option_find("estimator.binary"), model->name, task, NULL);
        cr_assert_str_eq(binary, model->default_binary == LG_ESTIMATOR_gs ? "gs" : "ste");
    }
    cr_assert_str_eq(lg_option_find("model")->option.range, range);

    range[0] = '\0';
    for (int t = 0; t < LG_TASK_COUNT; t++) {
        snprintf(range + strlen(range), sizeof range - strlen(range), "%s%s", t ? "|" : "", tasks[t]);
    }
    cr_assert_str_eq(lg_option_find("task")->option.range, range);
}

Test(option_table, default_losses_are_those_of_the_models)
{
    static const char *const losses[] = {
#define LOSS_NAME(name, text) #name,
        LG_LOSS_LIST(LOSS_NAME)
#undef LOSS_NAME
    };
    for (int m = 0; m < lg_model_count(); m++) {
        const lg_model_desc *model = lg_model_at(m);
        for (int t = 0; t < LG_TASK_COUNT; t++) {
            if (!model->losses[t]) continue;
            const char *loss = lg_option_default(lg_option_find("loss"), model->name, tasks[t], NULL);
            cr_assert_str_eq(loss, losses[model->default_loss[t]], "%s %s", model->name, tasks[t]);
        }
    }
}

Test(option_table, keys_with_a_parameter_name)
{
    cr_assert_str_eq(lg_option_find("params.D_A.start")->option.key, "params.NAME.start");
    cr_assert_str_eq(lg_option_find("params.k1")->option.key, "params.NAME");
    cr_assert_str_eq(lg_option_find("data.generate.params.beta")->option.key, "data.generate.params.NAME");
    cr_assert(lg_option_is_section("params.k1"));
    cr_assert(lg_option_is_section("data.generate"));
    cr_assert(!lg_option_is_section("data.generat"));
    cr_assert(!lg_option_is_section("seed"));
    cr_assert(!lg_option_is_section(""));
    cr_assert_null(lg_option_find("params."));
    cr_assert_null(lg_option_find("params..start"));
    cr_assert_null(lg_option_find("params.k1."));
    cr_assert_null(lg_option_find("params.k1.start.x"));
    cr_assert_null(lg_option_find(""));
}

Test(option_table, numbers_are_written_short_and_read_back)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{1e-7, "1e-7"}, {1e20, "1e20"}, {1e-10, "1e-10"}, {0.1, "0.1"},
                 {-2.5, "-2.5"}, {0, "0"},       {1e100, "1e100"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lg_value_format(cases[i].value, text, sizeof text);
        cr_assert_str_eq(text, cases[i].text);
    }
    double value = 4.9e-324;
    for (int i = 0; i < 2000; i++, value *= 2.0999999 + i * 1e-9) {
        lg_value_format(value, text, sizeof text);
        cr_assert(strtod(text, NULL) == value, "%s", text);
    }
}

Test(option_table, utf8)
{
    const char *good[] = {"A", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    const int32_t code[] = {'A', 0xe9, 0x20ac, 0x1f600};
    for (int i = 0; i < 4; i++) {
        const char *p = good[i];
        cr_assert_eq(lg_utf8_next(&p), code[i]);
        cr_assert_eq(*p, '\0');
    }
    const char *bad[] =
        {"\x80",     "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x80\x80\x80",
         "\xe2\x82", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *p = bad[i];
        cr_assert_eq(lg_utf8_next(&p), -1, "case %zu", i);
    }
}
