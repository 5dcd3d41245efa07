/* The transport between the processes of a job: the only file that calls MPI, and the group of one where there is none.
 *
 * Errors come back as codes (MPI_ERRORS_RETURN) and become messages; what to do about them is the caller's decision. */
#include "cluster/cluster.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lg_build.h"

#if LG_HAVE_MPI

#include <mpi.h>
#include <sched.h>

enum { TAG_DATA = 1, TAG_ALARM = 2, PIECE = 1 << 30 }; /* MPI counts are ints: long messages go in pieces */

static lg_status check(lg_context *ctx, int code, const char *what)
{
    if (code == MPI_SUCCESS) return LG_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return lg_fail(ctx, LG_ERR_DEVICE, "MPI failed while %s: %s", what, text);
}

bool lg_transport_available(void)
{
    return true;
}

/* Variables that a launcher sets which this MPI can talk to. Starting MPI without one costs time, and Open MPI ends a
 * process that srun started by another protocol. */
bool lg_transport_launched(void)
{
#ifdef OMPI_MAJOR_VERSION
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK");
#else
    return getenv("PMI_RANK") || getenv("PMIX_RANK");
#endif
}

/* Every process counts the cores it may use. Where the launcher bound each to cores of its own, these are its threads; where
 * several see the same ones they are shared out: own * (union of all) / (sum over all). */
static int share_of_cores(MPI_Comm node)
{
    cpu_set_t own, all;
    int count, sum;
    CPU_ZERO(&own);
    if (sched_getaffinity(0, sizeof own, &own) != 0) return 1;
    count = CPU_COUNT(&own);
    if (MPI_Allreduce(&own, &all, (int)sizeof own, MPI_BYTE, MPI_BOR, node) != MPI_SUCCESS ||
        MPI_Allreduce(&count, &sum, 1, MPI_INT, MPI_SUM, node) != MPI_SUCCESS || sum < 1)
        return 1;
    const int threads = (int)((int64_t)count * CPU_COUNT(&all) / sum);
    return threads > 0 ? threads : 1;
}

/* Alarms are sent from a buffer, so that nobody waits for a rank that does not listen any more. */
static int attach_buffer(struct lg_cluster *c)
{
    const size_t size = (size_t)c->size * 2 * (MPI_BSEND_OVERHEAD + sizeof(int32_t));
    c->buffer = malloc(size);
    c->count = malloc((size_t)c->size * sizeof *c->count);
    c->place = malloc((size_t)c->size * sizeof *c->place);
    if (!c->count || !c->place) return MPI_ERR_NO_MEM;
    return c->buffer ? MPI_Buffer_attach(c->buffer, (int)size) : MPI_ERR_NO_MEM;
}

lg_status lg_transport_start(lg_context *ctx, struct lg_cluster *c)
{
    int given = 0, code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    if (code != MPI_SUCCESS)
        return lg_fail(
            ctx, LG_ERR_DEVICE,
            "MPI does not start (error %d): start latgrad with the mpirun or srun of the MPI it was built with", code);
    c->started = true;
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    code = MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    if (!code) code = MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    if (!code) code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &node);
    if (!code) code = MPI_Comm_rank(node, &c->local_rank);
    if (!code) code = MPI_Comm_size(node, &c->local_size);
    if (!code) c->threads = share_of_cores(node);
    if (!code) code = attach_buffer(c);
    if (node != MPI_COMM_NULL) MPI_Comm_free(&node);
    return check(ctx, code, "starting");
}

void lg_transport_stop(struct lg_cluster *c)
{
    int done = 0;
    if (!c->started || (MPI_Finalized(&done) == MPI_SUCCESS && done)) return;
    while (lg_transport_alarmed(c)) continue;
    void *buffer;
    int size;
    if (c->buffer) MPI_Buffer_detach(&buffer, &size);
    MPI_Finalize();
    free(c->buffer);
    free(c->count);
    free(c->place);
    c->buffer = NULL;
    c->started = false;
}

void lg_transport_abort(const struct lg_cluster *c, int exit_status)
{
    if (c->started) MPI_Abort(MPI_COMM_WORLD, exit_status);
    _exit(exit_status);
}

/* Waits for a request with pauses: MPI's own waiting keeps a core busy that other ranks may need. looks: how often it first
 * looks without resting, giving up the core each time; after that, and else from the beginning, its pauses grow. */
static int wait_for(MPI_Request *request, int looks)
{
    const long longest = looks > 0 ? 200000 : 20000000;
    struct timespec pause = {0, 100000};
    int done = 0, code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    for (; !code && !done && looks > 0; looks--) {
        sched_yield();
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    }
    while (!code && !done) {
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < longest) pause.tv_nsec *= 2;
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    }
    return code;
}

lg_status lg_transport_meet(lg_context *ctx, const struct lg_cluster *c)
{
    MPI_Request request;
    if (!c->started) return LG_OK;
    int code = MPI_Ibarrier(MPI_COMM_WORLD, &request);
    if (!code) code = wait_for(&request, 0);
    return check(ctx, code, "waiting for the other ranks");
}

lg_status lg_transport_share(lg_context *ctx, const struct lg_cluster *c, int64_t mine, int64_t *all)
{
    if (!c->started) {
        *all = mine;
        return LG_OK;
    }
    MPI_Request request;
    int code = MPI_Iallgather(&mine, 1, MPI_INT64_T, all, 1, MPI_INT64_T, MPI_COMM_WORLD, &request);
    if (!code) code = wait_for(&request, 0);
    return check(ctx, code, "sharing a number between the ranks");
}

lg_status lg_transport_broadcast(lg_context *ctx, const struct lg_cluster *c, int from, void *data, size_t size)
{
    if (!c->started) return LG_OK;
    MPI_Request request;
    int code = MPI_Ibcast(data, (int)size, MPI_BYTE, from, MPI_COMM_WORLD, &request);
    if (!code) code = wait_for(&request, 0);
    return check(ctx, code, "telling the other ranks");
}

/* Counts and places in bytes are ints in MPI, the doubles' are used. */
lg_status lg_transport_gather(lg_context *ctx, const struct lg_cluster *c, const double *mine, const size_t *count,
                              double *all)
{
    enum { LOOKS = 2000 };
    int at = 0;
    size_t total = 0;
    for (int rank = 0; rank < c->size; rank++) total += count[rank];
    if (!c->started) memcpy(all, mine, total * sizeof *all);
    if (!c->started) return LG_OK;
    if (total > INT_MAX)
        return lg_fail(ctx, LG_ERR_MEMORY, "%zu numbers are too many to share between the ranks in one go", total);
    for (int rank = 0; rank < c->size; rank++) {
        c->count[rank] = (int)count[rank];
        c->place[rank] = at;
        at += c->count[rank];
    }
    MPI_Request request;
    int code = MPI_Iallgatherv(mine, c->count[c->rank], MPI_DOUBLE, all, c->count, c->place, MPI_DOUBLE, MPI_COMM_WORLD,
                               &request);
    if (!code) code = wait_for(&request, LOOKS);
    return check(ctx, code, "adding up the replicates of all ranks");
}

lg_status lg_transport_send(lg_context *ctx, const struct lg_cluster *c, int to, const void *data, size_t size)
{
    int code = c->started ? MPI_SUCCESS : MPI_ERR_RANK;
    for (size_t at = 0; !code && at < size; at += PIECE) {
        MPI_Request request;
        const size_t left = size - at;
        code = MPI_Isend((const char *)data + at, (int)(left < PIECE ? left : PIECE), MPI_BYTE, to, TAG_DATA,
                         MPI_COMM_WORLD, &request);
        if (!code) code = wait_for(&request, 0);
    }
    return check(ctx, code, "sending a result");
}

lg_status lg_transport_receive(lg_context *ctx, const struct lg_cluster *c, int from, void *data, size_t size)
{
    int code = c->started ? MPI_SUCCESS : MPI_ERR_RANK;
    for (size_t at = 0; !code && at < size; at += PIECE) {
        MPI_Request request;
        const size_t left = size - at;
        code = MPI_Irecv((char *)data + at, (int)(left < PIECE ? left : PIECE), MPI_BYTE, from, TAG_DATA,
                         MPI_COMM_WORLD, &request);
        if (!code) code = wait_for(&request, 0);
    }
    return check(ctx, code, "receiving a result");
}

void lg_transport_alarm(const struct lg_cluster *c, int32_t number)
{
    for (int rank = 0; c->started && rank < c->size; rank++)
        if (rank != c->rank) MPI_Bsend(&number, 1, MPI_INT32_T, rank, TAG_ALARM, MPI_COMM_WORLD);
}

int32_t lg_transport_alarmed(const struct lg_cluster *c)
{
    int there = 0;
    int32_t number = 0;
    if (c->started) MPI_Iprobe(MPI_ANY_SOURCE, TAG_ALARM, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
    if (there) MPI_Recv(&number, 1, MPI_INT32_T, MPI_ANY_SOURCE, TAG_ALARM, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return number;
}

#else

bool lg_transport_available(void)
{
    return false;
}

bool lg_transport_launched(void)
{
    return false;
}

lg_status lg_transport_start(lg_context *ctx, struct lg_cluster *cluster)
{
    (void)ctx, (void)cluster;
    return LG_OK;
}

void lg_transport_stop(struct lg_cluster *cluster)
{
    (void)cluster;
}

void lg_transport_abort(const struct lg_cluster *cluster, int exit_status)
{
    (void)cluster;
    _exit(exit_status);
}

lg_status lg_transport_meet(lg_context *ctx, const struct lg_cluster *cluster)
{
    (void)ctx, (void)cluster;
    return LG_OK;
}

lg_status lg_transport_share(lg_context *ctx, const struct lg_cluster *cluster, int64_t mine, int64_t *all)
{
    (void)ctx, (void)cluster;
    *all = mine;
    return LG_OK;
}

lg_status lg_transport_broadcast(lg_context *ctx, const struct lg_cluster *cluster, int from, void *data, size_t size)
{
    (void)ctx, (void)cluster, (void)from, (void)data, (void)size;
    return LG_OK;
}

lg_status lg_transport_gather(lg_context *ctx, const struct lg_cluster *cluster, const double *mine,
                              const size_t *count, double *all)
{
    (void)ctx, (void)cluster;
    memcpy(all, mine, count[0] * sizeof *all);
    return LG_OK;
}

lg_status lg_transport_send(lg_context *ctx, const struct lg_cluster *cluster, int to, const void *data, size_t size)
{
    (void)cluster, (void)data, (void)size;
    return lg_fail(ctx, LG_ERR_INTERNAL, "there is no rank %d in a build without MPI", to);
}

lg_status lg_transport_receive(lg_context *ctx, const struct lg_cluster *cluster, int from, void *data, size_t size)
{
    (void)cluster, (void)data, (void)size;
    return lg_fail(ctx, LG_ERR_INTERNAL, "there is no rank %d in a build without MPI", from);
}

void lg_transport_alarm(const struct lg_cluster *cluster, int32_t number)
{
    (void)cluster, (void)number;
}

int32_t lg_transport_alarmed(const struct lg_cluster *cluster)
{
    (void)cluster;
    return 0;
}

#endif
