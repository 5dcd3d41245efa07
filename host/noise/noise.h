/* Noise folders: the inputs, noise and results of one evaluation as .npy files, so that any program can recompute it.
 *
 * Names, shapes and types are those of the golden vectors (float64 unless int32 is said). What runs need beyond them:
 *   all   tau [1]                        softmax temperature (absent: 1; MK: consts[2])
 *   SI    u [T,B,H,W], gumbel [T,B,H,W,2] where there is more than one step (one step: no T, as in the golden files),
 *         and states [T+1,B,H,W] int32
 *   MK    gumbel_reaction [T,B,H,W,2]    noise of the reactions for estimator gs: 0 = does not fire, 1 = fires
 *   SI MK record [K] int32, target_stat [K,S], weight_stat [K,S]   loss `stat`: statistics after steps record[k];
 *         S = 1 (aware fraction) or 4 (mean A, mean B, var A, var B)
 *   PRW   weight [T]                     weights of the MSD terms (absent: 1)
 * A scalar is stored as an array of one element. */
#ifndef LG_NOISE_NOISE_H
#define LG_NOISE_NOISE_H

#include "backend/backend.h"
#include "backend/reference/reference.h"

enum { LG_NOISE_ARRAYS = 24 };

typedef struct lg_noise_array {
    const char *name; /* without .npy */
    lg_array array;
} lg_noise_array;

/* Inputs and noise of one evaluation: named arrays. */
typedef struct lg_noise {
    lg_model_id model;
    int count;
    lg_noise_array item[LG_NOISE_ARRAYS];
} lg_noise;

/* Reads the folder's inputs and noise; checks types, shapes and values. */
lg_status lg_noise_read(lg_context *ctx, lg_model_id model, const char *directory, lg_noise *out);

/* The inputs and noise of fit 0 of a job at one iteration, from the generator's rules: feeding them to the reference
 * gives the states every backend computes. params [P]. SI carries u and conditional Gumbel noise, so that ste and gs
 * draw the same states; MK carries gumbel_reaction where the job's estimator is gs. */
lg_status lg_noise_generate(lg_context *ctx, const lg_job *job, uint64_t iteration, const double *params,
                            lg_noise *out);
void lg_noise_clear(lg_noise *noise);

/* With estimator gr, arrays of Gumbel noise X have further draws in X_more [draws - 1, ...]: for the reference alone, such noise
 * is not written to folders. */

/* NULL where there is no such array. */
const lg_array *lg_noise_find(const lg_noise *noise, const char *name);
const double *lg_noise_reals(const lg_noise *noise, const char *name);
const int32_t *lg_noise_ints(const lg_noise *noise, const char *name);
/* Appends a zeroed array. */
lg_status lg_noise_add(lg_context *ctx, lg_noise *noise, const char *name, lg_dtype dtype, int ndim,
                       const size_t *shape, void **data);

/* The reference implementation's inputs; they point into the noise. tau 0: the folder's own. */
void lg_noise_bind_si(const lg_noise *noise, lg_estimator binary, double tau, lg_ref_si *in);
void lg_noise_bind_prw(const lg_noise *noise, lg_estimator keep, bool v0_const, double tau, lg_ref_prw *in);
void lg_noise_bind_mk(const lg_noise *noise, lg_estimator binary, double tau, lg_ref_mk *in);

/* Loss and gradient by the reference implementation. `where` names the folder in messages. */
lg_status lg_noise_reference(lg_context *ctx, const lg_noise *noise, const char *where, lg_estimator binary,
                             lg_loss loss, bool v0_const, double tau, lg_noise_result *out);

/* Runs fit 0 of a job at `params` [P] on a device and writes inputs, noise, states, loss and gradient. All
 * replicates of the fit become the batch dimension. An existing file stops it before anything is written, unless
 * force. */
lg_status lg_noise_dump_job(lg_context *ctx, const lg_job *job, const lg_backend *backend, lg_device *device,
                            uint64_t iteration, const double *params, const char *directory, bool force);

#endif
