/* Manual pages, completion scripts, the option reference and --help, all written from the tables that parse the command
 * line and the configuration. */
#ifndef LG_CLI_MANUAL_H
#define LG_CLI_MANUAL_H

#include "cli/cli.h"

/* One command's table as it was built for parsing: its own options and the common ones. */
typedef struct lg_cli_table {
    const lg_cli_usage *usage;
    const lg_cli_option *row;
    int count;
} lg_cli_table;

typedef struct lg_exit_row {
    int status;
    const char *meaning;
} lg_exit_row;

/* What exit statuses mean; ends with a row without meaning. */
extern const lg_exit_row lg_exit_rows[];

/* Prints a table as `format`: text, man, markdown, bash or zsh. */
lg_status lg_cli_describe(lg_cli *cli, const lg_cli_table *table, const char *format);

/* `latgrad help ...`: a command's help, `help config`, and for the build of the package `help --man [PAGE]`,
 * `help --completion bash|zsh`, `help --markdown`. Returns the exit status. */
int lg_cli_help(const lg_command *commands, int count, int argc, char **argv);
/* Says that there is no such command, with the nearest one; the exit status. */
int lg_cli_unknown_command(const lg_command *commands, int count, const char *name);
/* What `latgrad --help` prints. */
void lg_cli_overview(FILE *out, const lg_command *commands, int count);

/* ---- the formats ------------------------------------------------------------------------------------------------ */

/* Text broken between words to end before column `width`, every further line after `indent` blanks; `column` is where the
 * first line stands already. */
void lg_cli_wrap(FILE *out, const char *text, int column, int indent, int width);
/* "the default is 0.1; [0, 1); steps", or "". */
void lg_cli_key_facts(const lg_option *option, char *text, size_t size);

/* Title and NAME of a page: "fit" gives latgrad-fit, "" latgrad itself. The rest of a command's page comes after it. */
void lg_man_begin(const char *name, int section, const char *what);
void lg_man_command(const lg_cli_table *table);
void lg_man_overview(const lg_command *commands, int count);
void lg_man_config(void);

void lg_markdown_command(const lg_cli_table *table);
void lg_markdown_keys(void);

void lg_bash_begin(void);
void lg_bash_command(const lg_cli_table *table);
void lg_bash_end(const lg_command *commands, int count);
void lg_zsh_begin(const lg_command *commands, int count);
void lg_zsh_command(const lg_cli_table *table);
void lg_zsh_end(void);

#endif
