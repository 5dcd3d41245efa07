/* Groups of processes: joining them, agreeing on what happened, leaving. */
#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

bool lg_cluster_supported(void)
{
    return lg_transport_available();
}

static int64_t environment_number(const char *name)
{
    const char *text = getenv(name);
    int64_t value;
    return text && lg_parse_int(text, &value) ? value : 0;
}

/* How many processes the launcher says it started: mpirun of Open MPI and of MPICH, srun. In a batch script outside srun
 * SLURM_NTASKS is set as well, SLURM_STEP_NUM_TASKS is not. */
static int64_t processes_expected(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    int64_t most = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int64_t n = environment_number(names[i]);
        if (n > most) most = n;
    }
    const int64_t tasks = getenv("SLURM_STEP_ID") ? environment_number("SLURM_NTASKS") : 0;
    return tasks > most ? tasks : most;
}

static void warn_alone(lg_context *ctx, const lg_cluster *c)
{
    const int64_t expected = processes_expected();
    if (expected <= c->size) return;
    if (!lg_transport_available())
        lg_log(ctx, LG_LOG_WARNING,
               "%lld processes were started, but this build has no MPI: each of them runs the whole job; start one, or "
               "build "
               "with LATGRAD_MPI=ON",
               (long long)expected);
    else
        lg_log(ctx, LG_LOG_WARNING,
               "%lld processes were started, but they do not find each other: each of them runs the whole job; use "
               "mpirun of "
               "the MPI that latgrad was built with, or `srun --mpi=pmix` (`srun --mpi=list` shows what there is)",
               (long long)expected);
}

lg_status lg_cluster_open(lg_context *ctx, lg_cluster **out)
{
    *out = NULL;
    lg_cluster *c = calloc(1, sizeof *c);
    if (!c) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    c->size = c->local_size = 1;
    const lg_status status = lg_transport_launched() ? lg_transport_start(ctx, c) : LG_OK;
    if (status) {
        c->broken = c->started;
        lg_cluster_close(c, lg_status_exit(status));
        return status;
    }
    warn_alone(ctx, c);
    *out = c;
    return LG_OK;
}

void lg_cluster_close(lg_cluster *c, int exit_status)
{
    if (!c) return;
    if (c->broken && c->size != 1) lg_transport_abort(c, exit_status);
    lg_transport_stop(c);
    /* Launchers kill what is left when a process ends with a status other than 0: the others leave first. */
    const struct timespec moment = {0, 200000000};
    if (exit_status && c->size > 1) nanosleep(&moment, NULL);
    free(c);
}

int lg_cluster_rank(const lg_cluster *c)
{
    return c ? c->rank : 0;
}

int lg_cluster_size(const lg_cluster *c)
{
    return c ? c->size : 1;
}

/* The first rank that failed in earnest, else the first that was stopped, else -1. */
static int speaker(const int64_t *all, int size)
{
    int stopped = -1;
    for (int rank = 0; rank < size; rank++) {
        if (all[rank] != LG_OK && all[rank] != LG_ERR_STOPPED) return rank;
        if (all[rank] == LG_ERR_STOPPED && stopped < 0) stopped = rank;
    }
    return stopped;
}

lg_status lg_cluster_agree(lg_context *ctx, lg_cluster *c, lg_status mine)
{
    if (!c || c->size == 1) return mine;
    int64_t *all = calloc((size_t)c->size, sizeof *all);
    char message[LG_MESSAGE_SIZE] = "";
    lg_status status = all ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %d ranks", c->size);
    if (mine) snprintf(message, sizeof message, "%s", lg_context_message(ctx));
    if (!status) status = lg_transport_share(ctx, c, mine, all);
    const int rank = status ? -1 : speaker(all, c->size);
    if (rank >= 0) status = lg_transport_broadcast(ctx, c, rank, message, sizeof message);
    if (status) c->broken = true;
    else if (rank > 0) status = lg_fail(ctx, (lg_status)all[rank], "rank %d: %s", rank, message);
    else if (rank == 0) status = lg_fail(ctx, (lg_status)all[0], "%s", message);
    free(all);
    return status;
}
