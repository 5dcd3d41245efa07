/* latgrad gradcheck: the checks of one call, and their pictures and tables (gradcheck_out.c). */
#ifndef LG_CLI_GRADCHECK_H
#define LG_CLI_GRADCHECK_H

#include "cli/cli.h"

enum { LG_CHECKS = 32 };

typedef struct lg_checks {
    int count, rows, failed;
    lg_gradcheck *check[LG_CHECKS];
} lg_checks;

void lg_checks_print(const lg_checks *checks);
void lg_checks_json(const lg_checks *checks);
/* FILE.csv: one line for each row, with the columns of lg_gradcheck_row; else a picture. */
lg_status lg_checks_write(lg_cli *cli, const lg_checks *checks, const char *path);

#endif
