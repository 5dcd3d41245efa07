/* The fits of a job, spread over the ranks of a cluster: every rank runs its pieces one after the other, then rank 0 joins
 * all results. See slices.h for the pieces and cluster.h for the transport. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "cluster/cluster.h"
#include "cluster/config_lines.h"
#include "cluster/merge.h"
#include "cluster/pack.h"
#include "cluster/replicates.h"
#include "cluster/slices.h"
#include "config/config.h"

typedef struct spread {
    lg_context *ctx;
    lg_cluster *cluster;
    const lg_config *config; /* of the whole job */
    lg_fit_options options;
    char *checkpoint; /* the options' file, on ranks that were told of it */
    lg_progress_fn progress;
    void *user;

    lg_slice whole;
    lg_slice *stored, *piece; /* slices with checkpoints; all pieces, in order */
    int stored_count, pieces;
    bool replicates, must; /* replicates are shared out instead of the fits; because the user says so */
    lg_part *part;         /* the results: of this rank; on rank 0 in the end all */
    int parts;
    double began;
    int32_t alarm; /* what another rank asked for, an lg_action; 0: nothing */
} spread;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- pieces ----------------------------------------------------------------------------------------------------- */

/* Rank 0 looks for stored slices and tells the others: they must all cut alike. */
static lg_status find_stored(spread *s)
{
    const lg_cluster *c = s->cluster;
    lg_status status = LG_OK;
    int64_t count = 0;
    if (!s->options.resume || !s->options.checkpoint) return LG_OK;
    if (c->rank == 0) status = lg_slice_list(s->ctx, s->options.checkpoint, &s->stored, &s->stored_count);
    count = s->stored_count;
    status = lg_cluster_agree(s->ctx, s->cluster, status);
    if (!status) status = lg_transport_broadcast(s->ctx, c, 0, &count, sizeof count);
    if (!status && c->rank > 0) {
        s->stored = malloc(((size_t)count + 1) * sizeof *s->stored);
        s->stored_count = (int)count;
        if (!s->stored) status = lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory for %lld slices", (long long)count);
    }
    status = lg_cluster_agree(s->ctx, s->cluster, status);
    if (!status && count) status = lg_transport_broadcast(s->ctx, c, 0, s->stored, (size_t)count * sizeof *s->stored);
    return status;
}

static lg_status cut(spread *s)
{
    int64_t first = 0, fits = 0;
    lg_status status = lg_config_fits(s->ctx, s->config, &first, &fits);
    status = lg_cluster_agree(s->ctx, s->cluster, status);
    if (!status) status = find_stored(s);
    s->whole = (lg_slice){first, first + fits};
    /* slices that are stored are continued as slices */
    if (!status && s->cluster->size > 1 && s->stored_count == 0)
        status = lg_replicates_wanted(s->ctx, s->cluster, s->config, fits, &s->replicates, &s->must);
    if (!status)
        status = lg_slice_cut(s->ctx, s->whole, s->cluster->size, s->stored, s->stored_count, &s->piece, &s->pieces);
    if (!status) s->part = calloc((size_t)s->pieces + 1, sizeof *s->part);
    return !status && !s->part ? lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory for %d slices", s->pieces) : status;
}

static bool is_mine(const spread *s, lg_slice piece)
{
    const lg_slice mine = lg_slice_share(s->whole, s->cluster->rank, s->cluster->size);
    return piece.begin >= mine.begin && piece.begin < mine.end;
}

/* ---- where a rank runs ------------------------------------------------------------------------------------------ */

/* One GPU for each process of a node, where the user leaves the choice. */
static lg_status choose_device(spread *s, lg_config *config)
{
    const char *device = lg_config_get(config, "device");
    char name[128] = "";
    int gpus = 0;
    if (!device || (strcmp(device, "auto") != 0 && strcmp(device, "cuda") != 0)) return LG_OK;
    for (int pass = 0; pass < 2; pass++) { /* count them, then find the one of our number */
        const int wanted = gpus ? s->cluster->local_rank % gpus : -1;
        int seen = 0;
        for (int i = 1; i < lg_device_count(s->ctx); i++) {
            lg_device_info info;
            if (lg_device_describe(s->ctx, i, &info) || !info.usable) continue;
            if (seen++ == wanted) snprintf(name, sizeof name, "%s", info.name);
        }
        gpus = seen;
    }
    if (gpus > 1 && s->cluster->local_rank == 0 && s->cluster->local_size > gpus)
        lg_log(s->ctx, LG_LOG_WARNING, "%d processes share the %d GPUs of a node: one each is faster",
               s->cluster->local_size, gpus);
    return gpus > 1 ? lg_config_set(s->ctx, config, "device", name) : LG_OK;
}

static lg_status set_number(lg_context *ctx, lg_config *config, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return lg_config_set(ctx, config, key, text);
}

static lg_status piece_config(spread *s, lg_slice piece, lg_config **out)
{
    int64_t threads = 0;
    lg_config *config = lg_config_copy(s->config);
    *out = config;
    if (!config) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory for a configuration");
    /* fits first: any first_fit goes with the smaller number */
    lg_status status = set_number(s->ctx, config, "fits", piece.end - piece.begin);
    if (!status) status = set_number(s->ctx, config, "first_fit", piece.begin);
    if (!status) status = lg_config_int(s->ctx, config, "threads", &threads);
    if (!status && threads == 0 && s->cluster->threads > 0)
        status = set_number(s->ctx, config, "threads", s->cluster->threads);
    return status ? status : choose_device(s, config);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* Passes on what the caller wants, to this fit and to those of the other ranks. */
static int on_progress(const lg_progress *progress, void *user)
{
    spread *s = user;
    int action = s->progress ? s->progress(progress, s->user) : LG_GO_ON;
    if (action != LG_GO_ON && action != LG_CHECKPOINT && !s->alarm) {
        s->alarm = action;
        lg_transport_alarm(s->cluster, action);
    }
    if (!s->alarm) s->alarm = lg_transport_alarmed(s->cluster);
    return s->alarm ? s->alarm : action;
}

/* A piece continues its own checkpoint, or that of a larger slice it is part of. */
static lg_status prepare_checkpoint(spread *s, lg_slice piece, lg_fit_options *options, char **path)
{
    *path = NULL;
    if (!options->checkpoint) return LG_OK;
    *path = lg_slice_checkpoint(options->checkpoint, piece);
    if (!*path) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory");
    lg_status status = LG_OK;
    if (options->resume) {
        const int source = lg_slice_source(piece, s->stored, s->stored_count);
        const lg_slice *from = source < 0 ? NULL : &s->stored[source];
        if (!from || from->begin != piece.begin || from->end != piece.end)
            status = lg_slice_copy(s->ctx, options->checkpoint, from, piece);
    }
    options->checkpoint = *path;
    return status;
}

/* The time limit holds for all pieces of a rank together. */
static lg_status run_piece(spread *s, lg_slice piece)
{
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    char *path = NULL;
    lg_fit_options options = s->options;
    if (options.time_limit > 0.0) options.time_limit = fmax(options.time_limit - (now() - s->began), 1e-3);
    lg_status status = prepare_checkpoint(s, piece, &options, &path);
    if (!status) status = piece_config(s, piece, &config);
    if (!status) status = lg_problem_create(s->ctx, config, &problem);
    if (!status) status = lg_fit_run(s->ctx, problem, &options, on_progress, s, &s->part[s->parts].result);
    if (!status) s->part[s->parts++].name = "a rank's slice";
    lg_problem_free(problem);
    lg_config_free(config);
    free(path);
    return status;
}

static lg_status run_pieces(spread *s)
{
    lg_status status = LG_OK;
    for (int i = 0; i < s->pieces && !status; i++) {
        if (!is_mine(s, s->piece[i])) continue;
        if (!s->alarm) s->alarm = lg_transport_alarmed(s->cluster);
        if (s->alarm && s->parts > 0) /* without a result of this piece there is no whole */
            status =
                lg_fail(s->ctx, LG_ERR_STOPPED, "stopped before fits %lld-%lld; the checkpoints hold what was computed",
                        (long long)s->piece[i].begin, (long long)s->piece[i].end - 1);
        else status = run_piece(s, s->piece[i]);
    }
    if (status && !s->alarm) lg_transport_alarm(s->cluster, LG_CHECKPOINT_STOP);
    return status;
}

/* All fits on all ranks, as far as those have replicates of them. */
static lg_status run_replicates(spread *s)
{
    lg_config *config = NULL;
    lg_fit_options options = s->options;
    if (options.time_limit > 0.0) options.time_limit = fmax(options.time_limit - (now() - s->began), 1e-3);
    lg_status status = lg_cluster_agree(s->ctx, s->cluster, piece_config(s, s->whole, &config));
    if (!status)
        status = lg_replicates_fit(s->ctx, s->cluster, config, &options, s->must, on_progress, s, &s->part[0].result);
    lg_config_free(config);
    s->replicates = s->part[0].result != NULL;
    if (s->replicates) s->part[s->parts++].name = "all ranks";
    return status || s->replicates ? status : run_pieces(s);
}

/* ---- gathering -------------------------------------------------------------------------------------------------- */

static lg_status send_results(spread *s)
{
    lg_status status = LG_OK;
    for (int i = 0; i < s->parts && !status; i++) {
        char *data = NULL;
        size_t size = 0;
        status = lg_result_pack(s->ctx, s->part[i].result, &data, &size);
        const int64_t length = (int64_t)size;
        if (!status) status = lg_transport_send(s->ctx, s->cluster, 0, &length, sizeof length);
        if (!status) status = lg_transport_send(s->ctx, s->cluster, 0, data, size);
        free(data);
    }
    return status;
}

static lg_status receive_result(spread *s, int rank)
{
    int64_t size = 0;
    lg_status status = lg_transport_receive(s->ctx, s->cluster, rank, &size, sizeof size);
    if (status) return status;
    char *data = malloc((size_t)size + 1);
    if (!data) return lg_fail(s->ctx, LG_ERR_MEMORY, "no memory for the results of rank %d", rank);
    status = lg_transport_receive(s->ctx, s->cluster, rank, data, (size_t)size);
    if (!status) status = lg_result_unpack(s->ctx, data, (size_t)size, &s->part[s->parts].result);
    if (!status) s->part[s->parts++].name = "a rank's slice";
    free(data);
    return status;
}

/* Who ran what follows from the cut, so that no counts need to be sent. */
static lg_status gather(spread *s)
{
    lg_cluster *c = s->cluster;
    lg_status status = LG_OK;
    if (c->rank > 0) {
        status = send_results(s);
    } else {
        for (int rank = 1; rank < c->size && !status; rank++) {
            const lg_slice share = lg_slice_share(s->whole, rank, c->size);
            for (int i = 0; i < s->pieces && !status; i++)
                if (s->piece[i].begin >= share.begin && s->piece[i].begin < share.end) status = receive_result(s, rank);
        }
    }
    if (status) c->broken = true; /* the others wait in the middle of a message */
    return status;
}

/* The configuration is that of the whole job again; the ranks' own choices go into the device's text. */
static lg_status restore_config(spread *s, lg_result *all)
{
    static const char *const keys[] = {"device", "threads"};
    lg_status status = LG_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !status; i++) {
        const char *value = lg_config_get(s->config, keys[i]);
        if (value) status = lg_config_set_line(s->ctx, &all->config_yaml, all->model->name, keys[i], value);
    }
    const size_t n = strlen(all->device);
    if (s->cluster->size > 1) snprintf(all->device + n, sizeof all->device - n, ", %d ranks", s->cluster->size);
    return status;
}

static lg_status join(spread *s, lg_result **out)
{
    if (s->cluster->rank > 0) return LG_OK;
    lg_status status = lg_results_join(s->ctx, s->part, s->parts, s->whole.begin, s->whole.end - s->whole.begin, out);
    if (!status) status = restore_config(s, *out);
    if (status) {
        lg_result_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Fresh runs meet no old checkpoint, unless they may replace it. */
static lg_status check_fresh(spread *s)
{
    const lg_fit_options *o = &s->options;
    if (s->cluster->rank > 0 || o->resume || !o->checkpoint || !lg_cluster_has_checkpoints(o->checkpoint)) return LG_OK;
    if (o->force) return lg_cluster_remove_checkpoints(s->ctx, o->checkpoint);
    return lg_fail(
        s->ctx, LG_ERR_EXISTS,
        "there are checkpoints '%s.fits...' of a fit that was interrupted: --resume goes on from them, --force "
        "starts again",
        o->checkpoint);
}

/* Rank 0's options for all ranks. */
static lg_status share_options(spread *s)
{
    const lg_cluster *c = s->cluster;
    const char *path = s->options.checkpoint;
    int64_t size = c->rank == 0 && path ? (int64_t)strlen(path) + 1 : 0;
    lg_status status = lg_transport_broadcast(s->ctx, c, 0, &s->options, sizeof s->options);
    if (!status) status = lg_transport_broadcast(s->ctx, c, 0, &size, sizeof size);
    if (status || c->size == 1) return status;
    s->checkpoint = c->rank == 0 && path ? strdup(path) : calloc(1, (size_t)size + 1);
    if (!s->checkpoint) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory");
    s->options.checkpoint = size ? s->checkpoint : NULL;
    return size ? lg_transport_broadcast(s->ctx, c, 0, s->checkpoint, (size_t)size) : LG_OK;
}

static lg_status run(spread *s, lg_result **out)
{
    lg_status status = share_options(s);
    status = lg_cluster_agree(s->ctx, s->cluster, status ? status : check_fresh(s));
    if (status) return status;
    status = cut(s);
    status = lg_cluster_agree(s->ctx, s->cluster, status);
    if (status) return status;
    status = s->replicates ? run_replicates(s) : run_pieces(s);
    if (s->cluster->broken) return status;
    const lg_status met = lg_transport_meet(s->ctx, s->cluster);
    if (met) {
        s->cluster->broken = true;
        return met;
    }
    status = lg_cluster_agree(s->ctx, s->cluster, status);
    if (!status && !s->replicates) status = gather(s);
    return status ? status : join(s, out);
}

lg_status lg_cluster_fit(lg_context *ctx, lg_cluster *cluster, const lg_config *config, const lg_fit_options *options,
                         lg_progress_fn progress, void *user, lg_result **out)
{
    spread s = {.ctx = ctx, .cluster = cluster, .config = config, .progress = progress, .user = user};
    if (options) s.options = *options;
    s.began = now();
    *out = NULL;
    const lg_status status = run(&s, out);
    for (int i = 0; i < s.parts; i++) lg_result_free(s.part[i].result);
    free(s.part);
    free(s.piece);
    free(s.stored);
    free(s.checkpoint);
    return status;
}
