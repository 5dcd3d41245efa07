#include "cli/ranks.h"

#include <stdlib.h>
#include <string.h>

#include "cli/log.h"

lg_status lg_cli_join_ranks(lg_cli *cli, lg_cluster **cluster)
{
    const lg_status status = lg_cluster_open(cli->ctx, cluster);
    if (!status && lg_cluster_size(*cluster) > 1) lg_cli_catch_signals(); /* whoever stops has to tell the others */
    if (status || lg_cluster_rank(*cluster) == 0) return status;
    lg_cli_log_close(cli);
    cli->log_json = false;
    cli->quiet = true;
    return LG_OK;
}

lg_status lg_cli_agree(lg_cli *cli, lg_cluster *cluster, lg_status status)
{
    const lg_status all = lg_cluster_agree(cli->ctx, cluster, status);
    if (!status && all) snprintf(cli->message, sizeof cli->message, "%s", lg_context_message(cli->ctx));
    return status ? status : all;
}

static int listen(const lg_progress *progress, void *user)
{
    (void)progress, (void)user;
    return lg_cli_signal() ? LG_CHECKPOINT_STOP : LG_GO_ON;
}

lg_status lg_cli_work_as_rank(lg_cli *cli, lg_cluster *cluster, lg_status status)
{
    lg_result *none = NULL;
    if (cli->print_config || cli->dry_run) return LG_OK; /* rank 0 says it all */
    if (!status && cli->out) status = lg_config_set(cli->ctx, cli->config, "output.file", cli->out);
    status = lg_cli_agree(cli, cluster, status);
    return status ? status : lg_cluster_fit(cli->ctx, cluster, cli->config, NULL, listen, NULL, &none);
}

/* A launcher ends the job when a process ends with a status other than 0; being stopped is told by rank 0 alone, which goes
 * last, so that nobody is killed for it. */
int lg_cli_leave_ranks(lg_cli *cli, lg_cluster *cluster, lg_status status)
{
    const bool worker = cluster && lg_cluster_rank(cluster) > 0;
    const int exit_status = lg_cli_end(cli, worker ? LG_OK : status);
    const int own = worker ? (status == LG_ERR_STOPPED ? 0 : lg_status_exit(status)) : exit_status;
    lg_cluster_close(cluster, own);
    return own;
}
