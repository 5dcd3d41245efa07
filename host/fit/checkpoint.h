/* Checkpoints: all that a fit carries from one iteration to the next, in a file that says itself whether it is whole.
 *
 * Noise is a pure function of seed, fit and iteration, so a fit goes on bit for bit from: the iterations made, the
 * parameters, the optimiser state, and the traces (the plateau rule looks back at them). Start states, targets and
 * device memory are made again from the configuration; a hash of them is in the file.
 *
 * The file, format 1. Numbers are little endian, texts are a uint32 length and the bytes:
 *
 *     8 bytes   "LGCKPT\r\n"
 *     uint32    format version            (the frame of magic, size and checksum is the same in every version)
 *     uint64    size of the whole file
 *     uint64    hash of the settings, of the data
 *     text      version of the library, settings (lines key=value), started, resumed
 *     uint32    first fit, fits, parameters P, statistics of a fit K
 *     int64     iterations made
 *     double    seconds computed
 *     per fit   int32 status, frozen, parameter that was not finite; uint64 updates; int64 rows of the trace;
 *               double loss, start[P], params[P], x[P], m[P], v[P], statistics[K]; text reason;
 *               double trace[rows][P + 3]
 *     uint64    CRC-64 of all before it
 *
 * Writing: a temporary file, fsync, NAME becomes NAME.1, the temporary file becomes NAME. One of the two is always whole.
 *
 * A checkpoint is continued by a run with the same settings and data, by the same version of the library. What does not
 * change a byte of the traces may differ: threads, device, memory, outputs, checkpoints, time limits (see free_keys in
 * checkpoint_settings.c) and which of the checkpoint's fits are continued: `first_fit` and `fits` may select a part. */
#ifndef LG_FIT_CHECKPOINT_H
#define LG_FIT_CHECKPOINT_H

#include "fit/problem.h"
#include "fit/result.h"

enum { LG_CHECKPOINT_FORMAT = 1 };

/* What is written, and filled on reading: the records and statistics of result, states, iterations, seconds. */
typedef struct lg_checkpoint {
    lg_result *result;   /* has problem's fits, each trace with room for all iterations */
    lg_fit_state *state; /* [fits] */
    int64_t done;
    double seconds;
} lg_checkpoint;

/* The place of a run's checkpoints. */
typedef struct lg_checkpoint_file {
    char *path, *previous; /* NAME, NAME.1 */
    char *settings;
    uint64_t settings_hash, data_hash;
    uint32_t first_fit, fits, params, statistics;
    int64_t iterations;
    bool newest_good; /* NAME is known to be whole: it becomes NAME.1 when the next one is written */
} lg_checkpoint_file;

/* Takes the hashes of the problem, checks that the directory can be written and removes what a killed run left half
 * written there. */
lg_status lg_checkpoint_open(lg_context *ctx, const char *path, const lg_problem *problem, lg_checkpoint_file *out);
void lg_checkpoint_close(lg_checkpoint_file *file);
lg_status lg_checkpoint_write(lg_context *ctx, lg_checkpoint_file *file, const lg_checkpoint *checkpoint);
/* Reads NAME, or NAME.1 where NAME is damaged or missing (the log says so). *found false: neither is there. Fails where
 * both are damaged, and where the checkpoint is of another version, configuration or other fits. */
lg_status lg_checkpoint_read(lg_context *ctx, lg_checkpoint_file *file, lg_checkpoint *checkpoint, bool *found);
/* Is there a checkpoint, NAME or NAME.1? */
bool lg_checkpoint_exists(const lg_checkpoint_file *file);

/* ---- parts, for checkpoint.c and tests ------------------------------------------------------------------------------ */

/* The settings of a printed configuration as lines key=value, without those that are free; release with free(). */
char *lg_checkpoint_settings(const char *yaml);
/* The first line that differs between two such texts: the key, and its values ("" where it is missing). */
bool lg_checkpoint_difference(const char *now, const char *then, char *key, size_t key_size, char *value_now,
                              char *value_then, size_t value_size);
uint64_t lg_checkpoint_hash_text(const char *text);
uint64_t lg_checkpoint_hash_data(const lg_problem *problem);

/* Writes a checkpoint to an open file (lg_atomic, base/file.h). */
struct lg_atomic;
lg_status lg_checkpoint_encode(lg_context *ctx, struct lg_atomic *out, const lg_checkpoint_file *file,
                               const lg_checkpoint *c);
/* Takes a checkpoint from the bytes of a file. *whole false: the bytes are no whole checkpoint, and the message says why. */
lg_status lg_checkpoint_decode(lg_context *ctx, const char *path, const char *data, size_t size,
                               const lg_checkpoint_file *file, lg_checkpoint *c, bool *whole);

#endif
