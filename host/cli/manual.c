/* --help and `latgrad help`: what is printed about commands and keys, and in which format. */
#include "cli/manual.h"

#include <string.h>

enum { WIDTH = 100, OPTION_COLUMN = 30, KEY_COLUMN = 36 };

const lg_exit_row lg_exit_rows[] = {
    {0, "success"},
    {1, "a check or a fit failed"},
    {2, "wrong usage, configuration or input"},
    {3, "a device, a library or memory is missing"},
    {75, "stopped by a signal or a time limit after a checkpoint; --resume goes on"},
    {0, NULL},
};

void lg_cli_wrap(FILE *out, const char *text, int column, int indent, int width)
{
    for (bool first = true; *text; first = false) {
        if (*text == '\n') {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            text++;
            continue;
        }
        const int blank = *text == ' ', length = blank + (int)strcspn(text + blank, " \n");
        if (!first && column + length > width) {
            fprintf(out, "\n%*s%.*s", indent, "", length - blank, text + blank);
            column = indent + length - blank;
        } else {
            fprintf(out, "%.*s", length, text);
            column += length;
        }
        text += length;
    }
    fputc('\n', out);
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static void text_command(const lg_cli_table *table)
{
    const lg_cli_usage *u = table->usage;
    printf("Usage: latgrad %s%s%s [OPTIONS]\n", u->command, *u->arguments ? " " : "", u->arguments);
    lg_cli_wrap(stdout, u->text, 0, 0, WIDTH);
    puts("\nOptions:");
    for (int i = 0; i < table->count; i++) {
        const lg_cli_option *o = &table->row[i];
        char name[64], letter[8] = "    ";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(name, sizeof name, "  %s%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
        const int column = printf("%-*s ", OPTION_COLUMN - 1, name);
        lg_cli_wrap(stdout, o->help, column, OPTION_COLUMN, WIDTH);
    }
    if (u->keys) puts("\nConfiguration keys, for CONFIG.yaml and --set: `latgrad help config`.");
}

void lg_cli_key_facts(const lg_option *o, char *text, size_t size)
{
    const char *const fact[3][2] = {{"default ", o->fallback}, {"", o->range}, {"in ", o->unit}};
    size_t used = 0;
    *text = '\0';
    for (int i = 0; i < 3 && used < size; i++) {
        if (!*fact[i][1]) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", used ? "; " : "", fact[i][0], fact[i][1]);
    }
}

static void text_keys(void)
{
    puts("Configuration keys: in CONFIG.yaml, one level of indentation for each dot, or with --set KEY=VALUE.");
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        char facts[256];
        lg_cli_key_facts(o, facts, sizeof facts);
        const int column = printf("  %-*s ", KEY_COLUMN - 3, o->key);
        char line[1024];
        snprintf(line, sizeof line, *facts ? "%s [%s]" : "%s", o->help, facts);
        lg_cli_wrap(stdout, line, column, KEY_COLUMN, WIDTH);
    }
    printf("NAME is a parameter of the model:");
    for (int m = 0; m < lg_model_count(); m++) {
        printf("%s %s", m ? ";" : "", lg_model_name(m));
        for (int p = 0; p < lg_model_param_count(m); p++) printf("%s %s", p ? "," : ":", lg_model_param(m, p)->name);
    }
    putchar('\n');
}

void lg_cli_overview(FILE *out, const lg_command *commands, int count)
{
    fputs("Usage: latgrad COMMAND [ARGUMENTS] [OPTIONS]\n"
          "Simulates stochastic lattice models in batches and fits them with approximate gradients.\n\n"
          "Commands:\n",
          out);
    for (int i = 0; i < count; i++) fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].help);
    fputs("\nModels:\n", out);
    for (int i = 0; i < lg_model_count(); i++) fprintf(out, "  %-10s  %s\n", lg_model_name(i), lg_model_title(i));
    fputs("\n`latgrad COMMAND --help` lists the options of a command, `latgrad help config` the configuration keys.\n"
          "Exit status:\n",
          out);
    for (const lg_exit_row *e = lg_exit_rows; e->meaning; e++) fprintf(out, "  %2d  %s\n", e->status, e->meaning);
}

/* ---- which format ----------------------------------------------------------------------------------------------- */

lg_status lg_cli_describe(lg_cli *cli, const lg_cli_table *table, const char *format)
{
    static const struct {
        const char *name;
        void (*print)(const lg_cli_table *table);
    } formats[] = {{"text", text_command},
                   {"man", lg_man_command},
                   {"markdown", lg_markdown_command},
                   {"bash", lg_bash_command},
                   {"zsh", lg_zsh_command}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(formats[i].name, format) != 0) continue;
        formats[i].print(table);
        return LG_OK;
    }
    return lg_cli_fail(cli, LG_ERR_USAGE, "--manual: expected text, man, markdown, bash or zsh, got '%s'", format);
}

/* A command knows its options only inside its own function, so it is called to print them. */
static int describe(const lg_command *command, const char *format)
{
    char name[32], option[] = "--manual", value[16];
    snprintf(name, sizeof name, "%s", command->name);
    snprintf(value, sizeof value, "%s", format);
    char *arguments[] = {name, option, value, NULL};
    return command->run(3, arguments);
}

static int describe_all(const lg_command *commands, int count, const char *format)
{
    int status = 0;
    for (int i = 0; i < count && !status; i++) status = describe(&commands[i], format);
    return status;
}

int lg_cli_unknown_command(const lg_command *commands, int count, const char *name)
{
    enum { MOST = 64 };
    const char *names[MOST];
    const int all = count < MOST ? count : MOST;
    for (int i = 0; i < all; i++) names[i] = commands[i].name;
    const char *nearest = lg_cli_nearest(name, names, (size_t)all);
    if (nearest) fprintf(stderr, "latgrad: unknown command '%s'; did you mean '%s'?\n", name, nearest);
    else fprintf(stderr, "latgrad: unknown command '%s'; `latgrad --help` lists them\n", name);
    return lg_status_exit(LG_ERR_USAGE);
}

static int topic(const lg_command *commands, int count, const char *name, const char *format)
{
    const bool man = strcmp(format, "man") == 0;
    if (strcmp(name, "config") == 0) {
        if (man) lg_man_config();
        else text_keys();
        return 0;
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(commands[i].name, name) != 0) continue;
        if (man) lg_man_begin(name, 1, commands[i].help);
        return describe(&commands[i], format);
    }
    return lg_cli_unknown_command(commands, count, name);
}

static int completion(const lg_command *commands, int count, const char *shell)
{
    const bool bash = strcmp(shell, "bash") == 0;
    if (!bash && strcmp(shell, "zsh") != 0) {
        fprintf(stderr, "latgrad: help --completion: expected bash or zsh, got '%s'\n", shell);
        return lg_status_exit(LG_ERR_USAGE);
    }
    if (bash) lg_bash_begin();
    else lg_zsh_begin(commands, count);
    const int status = describe_all(commands, count, shell);
    if (bash) lg_bash_end(commands, count);
    else lg_zsh_end();
    return status;
}

int lg_cli_help(const lg_command *commands, int count, int argc, char **argv)
{
    const char *first = argc > 0 ? argv[0] : "", *second = argc > 1 ? argv[1] : "";
    if (!*first) lg_cli_overview(stdout, commands, count);
    else if (strcmp(first, "--completion") == 0) return completion(commands, count, second);
    else if (strcmp(first, "--man") == 0 && !*second) lg_man_overview(commands, count);
    else if (strcmp(first, "--man") == 0) return topic(commands, count, second, "man");
    else if (strcmp(first, "--markdown") == 0) {
        lg_markdown_keys();
        return describe_all(commands, count, "markdown");
    } else if (strcmp(first, "--pages") == 0) { /* the manual pages there are, for the build */
        for (int i = 0; i < count; i++) puts(commands[i].name);
        puts("config");
    } else return topic(commands, count, first, "text");
    return 0;
}
