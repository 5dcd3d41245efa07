/* Parsing of a command line into an lg_cli. */
#ifndef LG_CLI_ARGUMENTS_H
#define LG_CLI_ARGUMENTS_H

#include "cli/cli.h"

/* Fills cli from argv; cli->argument, setting and text have room for argc entries. *done: --help or --version was
 * printed. */
lg_status lg_cli_parse(lg_cli *cli, int argc, char **argv, bool *done);

#endif
