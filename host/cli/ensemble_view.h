/* The table and the summary of an ensemble, as `latgrad fit` prints them. */
#ifndef LG_CLI_ENSEMBLE_VIEW_H
#define LG_CLI_ENSEMBLE_VIEW_H

#include "cli/cli.h"

/* table: one line for each fit, up to `listed` of them. */
lg_status lg_ensemble_print(lg_cli *cli, const lg_result *result, int listed);
/* The best fit of the data as they are; the first one where all failed. */
int lg_ensemble_best(lg_cli *cli, const lg_result *result);

#endif
