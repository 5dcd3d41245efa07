/* docs/options.md: every key of the configuration and every option of every command. */
#include "cli/manual.h"

#include <string.h>

/* In a cell of a table: `|` would end it. */
static void cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|') fputs("\\|", stdout);
        else if (*text == '<') fputs("&lt;", stdout);
        else putchar(*text == '\n' ? ' ' : *text);
    }
}

static void code_cell(const char *text)
{
    if (!*text) return;
    putchar('`');
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
    putchar('`');
}

void lg_markdown_command(const lg_cli_table *table)
{
    const lg_cli_usage *u = table->usage;
    printf("\n## latgrad %s\n\n    latgrad %s%s%s [OPTIONS]\n\n%s\n\n| option | |\n|---|---|\n", u->command, u->command,
           *u->arguments ? " " : "", u->arguments, u->text);
    for (int i = 0; i < table->count; i++) {
        const lg_cli_option *o = &table->row[i];
        char name[80];
        snprintf(name, sizeof name, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("| ");
        code_cell(name);
        if (o->letter) printf(", `-%c`", o->letter);
        printf(" | ");
        cell(o->help);
        printf(" |\n");
    }
}

void lg_markdown_keys(void)
{
    puts("# Options\n\n"
         "Generated from the tables of the program: `latgrad help --markdown > docs/options.md`.\n\n"
         "## Configuration keys\n\n"
         "In a YAML file `optimizer.lr` is `lr` below `optimizer`; on the command line it is `--set "
         "optimizer.lr=0.01`.\n"
         "Where there is no default here, it depends on model and task; `--print-config` shows what holds.\n"
         "NAME is a parameter of the model.\n\n"
         "| key | default | accepted | unit | |\n|---|---|---|---|---|");
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        const char *const code[] = {o->key, o->fallback, o->range};
        for (size_t k = 0; k < sizeof code / sizeof *code; k++) {
            printf("| ");
            code_cell(code[k]);
            putchar(' ');
        }
        printf("| ");
        cell(o->unit);
        printf(" | ");
        cell(o->help);
        puts(" |");
    }
    puts("\n## Exit status\n\n| status | |\n|---|---|");
    for (const lg_exit_row *e = lg_exit_rows; e->meaning; e++) printf("| %d | %s |\n", e->status, e->meaning);
}
