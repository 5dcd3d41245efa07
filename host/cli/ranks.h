/* A command that runs as several processes (mpirun, srun): rank 0 reads, prints and writes, the others only compute. */
#ifndef LG_CLI_RANKS_H
#define LG_CLI_RANKS_H

#include "cli/cli.h"

/* Finds the other processes; ranks above 0 are silent from here on. */
lg_status lg_cli_join_ranks(lg_cli *cli, lg_cluster **cluster);
/* What a rank above 0 does instead of the rest of `latgrad fit`; status: of its configuration. */
lg_status lg_cli_work_as_rank(lg_cli *cli, lg_cluster *cluster, lg_status status);
/* Does everybody go on? Keeps the messages of the tool itself. */
lg_status lg_cli_agree(lg_cli *cli, lg_cluster *cluster, lg_status status);
/* In place of lg_cli_end: rank 0 tells what happened, and all leave. */
int lg_cli_leave_ranks(lg_cli *cli, lg_cluster *cluster, lg_status status);

#endif
