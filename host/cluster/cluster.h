/* Processes that work on one job. The transport below is the only part that knows MPI; it is implemented without it, too,
 * for a group of one. */
#ifndef LG_CLUSTER_CLUSTER_H
#define LG_CLUSTER_CLUSTER_H

#include "base/error.h"

struct lg_cluster {
    int rank, size;             /* in the job */
    int local_rank, local_size; /* among the processes on this node */
    int threads;                /* cores for this process: the node's (as far as they are given to us) shared out */
    bool started;               /* MPI was started here, and has to be ended here */
    bool broken;                /* the ranks do not hear each other any more: ending means ending all */
    void *buffer;               /* of the transport, */
    int *count, *place;         /* [size] and its numbers of messages */
};

/* ---- transport: mpi.c -------------------------------------------------------------------------------------------- */

bool lg_transport_available(void);
/* Was this process started together with others in a way that the transport understands? */
bool lg_transport_launched(void);
/* Starts MPI and fills the struct. */
lg_status lg_transport_start(lg_context *ctx, struct lg_cluster *cluster);
/* Ends MPI where it was started. */
void lg_transport_stop(struct lg_cluster *cluster);
/* Ends all processes of the job at once with this exit status. */
void lg_transport_abort(const struct lg_cluster *cluster, int exit_status) __attribute__((noreturn));
/* Waits until all have come here, without keeping a core busy. */
lg_status lg_transport_meet(lg_context *ctx, const struct lg_cluster *cluster);
/* Every rank's number, in every rank: all[size]. */
lg_status lg_transport_share(lg_context *ctx, const struct lg_cluster *cluster, int64_t mine, int64_t *all);
/* Copies `size` bytes of rank `from` to all. */
lg_status lg_transport_broadcast(lg_context *ctx, const struct lg_cluster *cluster, int from, void *data, size_t size);
/* Joins what all ranks have, in every rank: count[0] numbers of rank 0, count[1] of rank 1, ...; mine: count[rank] of this one.
 * Made for every iteration of a fit: looks often before it rests. */
lg_status lg_transport_gather(lg_context *ctx, const struct lg_cluster *cluster, const double *mine,
                              const size_t *count, double *all);
lg_status lg_transport_send(lg_context *ctx, const struct lg_cluster *cluster, int to, const void *data, size_t size);
lg_status lg_transport_receive(lg_context *ctx, const struct lg_cluster *cluster, int from, void *data, size_t size);
/* Sends a number other than 0 to all other ranks, who find it when they look; does not wait. */
void lg_transport_alarm(const struct lg_cluster *cluster, int32_t number);
/* The number of an alarm that has come, or 0. */
int32_t lg_transport_alarmed(const struct lg_cluster *cluster);

#endif
