/* Command lines: one table of options, made of the common ones and the command's own, drives parsing and --help. */
#include "cli/arguments.h"
#include "cli/manual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 48 };
#define HIDDEN "--manual"

typedef struct common_option {
    unsigned use; /* 0: every command */
    lg_cli_option option;
} common_option;

typedef struct option_table {
    lg_cli_option row[MAX_OPTIONS];
    int count;
} option_table;

/* The command's own options first, then the common ones it uses. */
static void build_table(lg_cli *cli, bool *help, bool *version, const char **manual, option_table *table)
{
    static char device[] = "device", threads[] = "threads", seed[] = "seed";
    /* clang-format off */
    const common_option common[] = {
        {LG_USE_PLAN, {"--config", "FILE", "configuration file (YAML)", LG_ARG_TEXT, &cli->config_path, 'c'}},
        {LG_USE_RUN, {"--set", "KEY=VALUE", "set a configuration key; may be repeated", LG_ARG_SET, NULL, 's'}},
        {LG_USE_RUN, {"--device", "NAME", "auto, cpu, cuda or cuda:N (auto: a GPU if any)", LG_ARG_KEY, device, 0}},
        {LG_USE_RUN, {"--threads", "N", "CPU threads (0: all cores)", LG_ARG_KEY, threads, 0}},
        {LG_USE_RUN, {"--seed", "N", "seed of all noise", LG_ARG_KEY, seed, 0}},
        {LG_USE_PLAN, {"--print-config", NULL, "print the complete configuration as YAML and stop", LG_ARG_FLAG,
                       &cli->print_config, 0}},
        {LG_USE_PLAN, {"--dry-run", NULL, "check everything, print the memory plan and stop", LG_ARG_FLAG,
                       &cli->dry_run, 0}},
        {LG_USE_OUT, {"--out", "PATH", "where the output goes", LG_ARG_TEXT, &cli->out, 'o'}},
        {LG_USE_OUT, {"--force", NULL, "replace existing files", LG_ARG_FLAG, &cli->force, 'f'}},
        {LG_USE_JSON, {"--json", NULL, "print one JSON object instead of text", LG_ARG_FLAG, &cli->json, 0}},
        {LG_USE_LOG, {"--log", "FORMAT", "text, or json: one object a line for programs", LG_ARG_TEXT, &cli->log_format, 0}},
        {LG_USE_LOG, {"--log-file", "FILE", "add the log to this file", LG_ARG_TEXT, &cli->log_file, 0}},
        {0, {"--quiet", NULL, "no progress, results alone", LG_ARG_FLAG, &cli->quiet, 'q'}},
        {0, {"--help", NULL, "print this help", LG_ARG_FLAG, help, 'h'}},
        {0, {"--version", NULL, "print the version", LG_ARG_FLAG, version, 0}},
        {0, {HIDDEN, "FORMAT", "", LG_ARG_TEXT, manual, 0}}, /* how cli/manual.c gets at the table */
    };
    /* clang-format on */
    table->count = 0;
    for (int i = 0; i < cli->usage->count; i++) table->row[table->count++] = cli->usage->options[i];
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        bool own = false; /* a command may describe a common option in its own words */
        for (int k = 0; k < cli->usage->count; k++) {
            own = own || strcmp(cli->usage->options[k].name, common[i].option.name) == 0;
        }
        if (!own && (!common[i].use || (common[i].use & cli->usage->use)))
            table->row[table->count++] = common[i].option;
    }
}

/* ---- parsing -------------------------------------------------------------------------------------------------- */

static const lg_cli_option *find(const option_table *table, const char *name, size_t length)
{
    for (int i = 0; i < table->count; i++) {
        const char *own = table->row[i].name;
        if (strlen(own) == length && memcmp(own, name, length) == 0) return &table->row[i];
    }
    return NULL;
}

static const lg_cli_option *find_letter(const option_table *table, char letter)
{
    for (int i = 0; i < table->count; i++) {
        if (letter && table->row[i].letter == letter) return &table->row[i];
    }
    return NULL;
}

static lg_status unknown_option(lg_cli *cli, const option_table *table, const char *name, size_t length)
{
    const char *names[MAX_OPTIONS];
    char word[64];
    int count = 0;
    for (int i = 0; i < table->count; i++) {
        if (strcmp(table->row[i].name, HIDDEN) != 0) names[count++] = table->row[i].name;
    }
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    const char *nearest = lg_cli_nearest(word, names, (size_t)count);
    if (nearest) {
        return lg_cli_fail(cli, LG_ERR_USAGE, "%s: unknown option '%s'; did you mean '%s'?", cli->usage->command, word,
                           nearest);
    }
    return lg_cli_fail(cli, LG_ERR_USAGE, "%s: unknown option '%s'; `latgrad %s --help` lists them",
                       cli->usage->command, word, cli->usage->command);
}

static lg_status parse_int(lg_cli *cli, const char *name, const char *value, int64_t *out)
{
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (end == value || *end || errno || number < 0) {
        return lg_cli_fail(cli, LG_ERR_USAGE, "%s: expected a whole number >= 0, got '%s'", name, value);
    }
    *out = number;
    return LG_OK;
}

/* Keeps "key=value" as a setting; the text is copied, since the '=' is cut. */
static lg_status add_setting(lg_cli *cli, const char *name, const char *key, const char *value)
{
    char *copy = NULL;
    if (!key) {
        const char *equals = strchr(value, '=');
        if (!equals || equals == value) {
            return lg_cli_fail(cli, LG_ERR_USAGE, "%s: expected KEY=VALUE, for example optimizer.lr=0.01, got '%s'",
                               name, value);
        }
        copy = strdup(value);
        if (!copy) return lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the command line");
        copy[equals - value] = '\0';
        key = copy;
        value = copy + (equals - value) + 1;
    }
    cli->text[cli->settings] = copy;
    cli->setting[cli->settings++] = (lg_cli_setting){key, value};
    return LG_OK;
}

static lg_status store(lg_cli *cli, const lg_cli_option *o, const char *value)
{
    switch (o->kind) {
    case LG_ARG_FLAG: *(bool *)o->target = true; return LG_OK;
    case LG_ARG_TEXT:
        if (!*value) return lg_cli_fail(cli, LG_ERR_USAGE, "%s: expected %s, got an empty text", o->name, o->value);
        *(const char **)o->target = value;
        return LG_OK;
    case LG_ARG_INT: return parse_int(cli, o->name, value, o->target);
    case LG_ARG_KEY: return add_setting(cli, o->name, o->target, value);
    case LG_ARG_SET: return add_setting(cli, o->name, NULL, value);
    }
    return LG_OK;
}

/* One option at argv[*i], which may take the next word as its value. */
static lg_status parse_option(lg_cli *cli, const option_table *table, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *value = NULL;
    const size_t length = strcspn(word, "=");
    const lg_cli_option *o = word[1] == '-' ? find(table, word, length) : find_letter(table, word[2] ? '\0' : word[1]);
    if (!o) return unknown_option(cli, table, word, length);
    if (word[1] == '-' && word[length] == '=') value = word + length + 1;
    if (!o->value) {
        if (value) return lg_cli_fail(cli, LG_ERR_USAGE, "%s takes no value, got '%s'", o->name, value);
    } else if (!value) {
        if (*i + 1 >= argc) return lg_cli_fail(cli, LG_ERR_USAGE, "%s: expected %s after it", o->name, o->value);
        value = argv[++*i];
    }
    return store(cli, o, value);
}

static lg_status check_count(lg_cli *cli)
{
    const lg_cli_usage *u = cli->usage;
    if (cli->arguments > u->most) {
        return lg_cli_fail(cli, LG_ERR_USAGE, "%s: unexpected argument '%s'; usage: latgrad %s %s", u->command,
                           cli->argument[u->most], u->command, u->arguments);
    }
    if (cli->arguments + (cli->config_path ? 1 : 0) < u->least) {
        return lg_cli_fail(cli, LG_ERR_USAGE, "%s: expected %s; `latgrad %s --help` explains", u->command, u->arguments,
                           u->command);
    }
    return LG_OK;
}

lg_status lg_cli_parse(lg_cli *cli, int argc, char **argv, bool *done)
{
    bool help = false, version = false, options = true;
    const char *manual = NULL;
    option_table table;
    build_table(cli, &help, &version, &manual, &table);
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            const lg_status status = parse_option(cli, &table, argc, argv, &i);
            if (status) return status;
        } else {
            cli->argument[cli->arguments++] = argv[i];
        }
    }
    *done = help || version || manual;
    if (!*done) return check_count(cli);
    if (version) {
        printf("latgrad %s\n", lg_version());
        return LG_OK;
    }
    const lg_cli_table visible = {cli->usage, table.row,
                                  table.count - 1}; /* all but the hidden one, which is the last */
    return lg_cli_describe(cli, &visible, manual ? manual : "text");
}
