/* Ensembles: which start, noise, data and optimiser each fit of a problem has.
 *
 * The fits of an ensemble are all combinations of data sets, starts, seeds and swept values, numbered
 *
 *     g = ((resample * starts + start) * seeds + seed) * swept + sweep
 *
 * and a problem's fit f is number g = first_fit + f. Everything that tells a fit from others is a pure function of the
 * configuration and g, so that a slice (first_fit, fits) runs anywhere and gives the bytes it has in the whole. What g
 * means changes with the sizes of all axes but the slowest one in use: more resamples, or without them more random starts,
 * or with one start more seeds, are added behind the fits that are there and leave those as they are. Grids and Latin
 * hypercubes are arranged anew for each size. */
#ifndef LG_FIT_ENSEMBLE_H
#define LG_FIT_ENSEMBLE_H

#include "latgrad.h"
#include "model/model.h"
#include "rules/optimizer.h"

struct lg_problem;

typedef enum lg_start_kind {
    LG_START_FIXED,
    LG_START_RANDOM,
    LG_START_LHS,
    LG_START_GRID,
    LG_START_LIST
} lg_start_kind;

enum { LG_MAX_SWEEPS = 8, LG_MAX_COORDINATES = 3 + LG_MAX_SWEEPS };

typedef struct lg_sweep {
    const char *key; /* "optimizer.lr" */
    double *value;   /* [count] */
    uint32_t count;
} lg_sweep;

typedef struct lg_ensemble {
    bool given; /* the configuration has a block ensemble: */
    bool axes;  /* and it says which fits there are; otherwise fits are plain repeats */
    lg_start_kind kind;
    uint32_t starts, seeds, resamples, swept; /* resamples counts the data as they are: bootstrap + 1 */
    uint32_t grid;                            /* points per fitted parameter */
    double *vector;                           /* listed starts [starts][fitted parameters] */
    lg_sweep sweep[LG_MAX_SWEEPS];
    int sweeps;
    double bound, distance; /* of the summary; bound NaN: none */
} lg_ensemble;

/* Where a fit stands on the axes; resample 0 is the data as they are. */
typedef struct lg_member {
    uint32_t resample, start, seed, sweep;
} lg_member;

lg_member lg_ensemble_member(const lg_ensemble *e, uint32_t g);

/* Reads ensemble.* and sets the number of fits of problem->job. The model, seed and first_fit of the job are set. */
lg_status lg_ensemble_open(lg_context *ctx, const lg_config *config, struct lg_problem *problem);
/* Start values and optimisers of all fits, once those of the first one are known. */
lg_status lg_ensemble_apply(lg_context *ctx, const lg_config *config, struct lg_problem *problem);
void lg_ensemble_close(lg_ensemble *e);

/* What distinguishes fits: the names of the axes in use ("start", "seed", "resample", swept keys), and a fit's places on
 * them. Both return their number. */
int lg_ensemble_names(const lg_ensemble *e, char names[LG_MAX_COORDINATES][32]);
int lg_ensemble_coordinates(const lg_ensemble *e, uint32_t g, double *out);

/* ---- resampling ------------------------------------------------------------------------------------------------ */

/* What the data are made of, for the bootstrap and for standard errors: independent clusters (tracks, walkers, runs), each with its part of every
 * target value, target[k] = scale * (sum over clusters of sum[c][k]) / (sum over clusters of count[c][k]); or values with
 * standard errors. Kept where lg_data_keeps says so. */
typedef struct lg_sample {
    uint32_t clusters;   /* of transitions: runs, whose pairs follow one another in the pool; 0: no clusters */
    size_t values;       /* row length of sum and count */
    double *sum, *count; /* [clusters][values]; count NULL: all 1 */
    double *sem;         /* [values], where there are no clusters */
    double scale;
    bool by_sem; /* weights are 1 / sem^2, and are found again from each resample */
} lg_sample;

/* Room for the parts of clusters; all zero. */
lg_status lg_sample_open(lg_context *ctx, lg_sample *sample, size_t clusters, size_t values, bool counted);
void lg_sample_close(lg_sample *sample);
/* Fills the job's per-fit targets, weights and pool rows from the sample. Nothing without a bootstrap. */
lg_status lg_resample(lg_context *ctx, const lg_config *config, struct lg_problem *problem);
/* Checksum of what a bootstrap draws from, 0 without one. */
uint64_t lg_sample_hash(const lg_sample *sample);

#endif
