/* The reference implementation of the three models: plain double precision, the noise passed in as arrays, slow on
 * purpose. It reproduces the golden vectors and is the yardstick of the fast backends.
 *
 * Arrays are dense and row-major, in the layout of the golden vectors: T steps, B lattices, H x W sites, n walkers.
 * Inputs belong to the caller. A forward run allocates what it fills; lg_ref_*_free releases it.
 * Every gradient comes with the sum of the absolute values of the contributions it is made of: contributions cancel, so
 * this sum, not the gradient itself, is the scale of the rounding error of a backend that works in single precision. */
#ifndef LG_BACKEND_REFERENCE_REFERENCE_H
#define LG_BACKEND_REFERENCE_REFERENCE_H

#include "base/error.h"
#include "model/model.h"

typedef struct lg_ref_gradient {
    double grad[LG_MAX_PARAMS], abs[LG_MAX_PARAMS];
} lg_ref_gradient;

/* ---- discrete draws ---------------------------------------------------------------------------------------------- */

/* A binary event of probability p. ste: fires where p > u. gs: logits (log(1 - p), log p) + gumbel[2], the larger
 * one wins, p clamped to [1e-12, 1 - 1e-12] with gradient 0 where that changes it. weight is dy/dp, soft the gs
 * probability of firing. */
typedef struct lg_ref_event {
    int fired;
    double soft, weight;
} lg_ref_event;

lg_ref_event lg_ref_binary(lg_estimator estimator, double p, double u, const double *gumbel, double tau);

/* Estimator gr: further draws of a run's Gumbel noise given its outcomes. Each array of noise below may have `count` more like
 * it behind each other in `more`; derivatives are means over the 1 + count draws. count 0: there are none. */
typedef struct lg_ref_more {
    const double *noise;
    size_t count, stride; /* stride: numbers of one such array */
} lg_ref_more;

/* weight of an event of probability p with noise at index `at` of the arrays, averaged over all draws. */
double lg_ref_mean_weight(const lg_ref_event *event, double p, const lg_ref_more *more, size_t at, double tau);

/* y = softmax(z / tau); returns the (first) largest z. z may hold -inf. */
int lg_ref_softmax(int classes, const double *z, double tau, double *y);

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* sse, mse or log_sse of `count` numbers; adds dL/dx to adj. */
double lg_ref_state_loss(lg_loss loss, size_t count, const int32_t *x, const double *target, double *adj);

/* The SI count loss: mean over the batch of (S(x) - S(target))^2, S(z) = sum over sites unaware in `before` of z. */
double lg_ref_count_loss(size_t batch, size_t sites, const double *before, const int32_t *x, const double *target,
                         double *adj);

/* Weighted squared error of trajectory statistics, after steps record[k]: means over the batch of the mean of each
 * species (SI, MK), then of the population variance of each species (MK). target and weight are
 * [records][statistics]; states is [T + 1, B, species, sites], adj likewise and added to. */
typedef struct lg_ref_statistics {
    size_t species, records;
    const int32_t *record;
    const double *target, *weight;
} lg_ref_statistics;

double lg_ref_statistics_loss(const lg_ref_statistics *stat, size_t batch, size_t sites, const int32_t *states,
                              double *adj);

/* ---- SI ---------------------------------------------------------------------------------------------------------- */

typedef struct lg_ref_si {
    size_t steps, batch, height, width;
    double beta, tau;
    lg_estimator binary;
    const double *X;      /* [B,H,W] 0 or 1 */
    const double *u;      /* [T,B,H,W]; used by ste */
    const double *gumbel; /* [T,B,H,W,2]: stay, turn aware; used by gs */
    lg_ref_more more;     /* of gumbel */
} lg_ref_si;

typedef struct lg_ref_si_run {
    int32_t *states;           /* [T+1,B,H,W] */
    int32_t *neighbours;       /* [T,B,H,W] aware Moore neighbours */
    int32_t *fired;            /* [T,B,H,W] the draw, before masking by 1 - X */
    double *p, *soft, *weight; /* [T,B,H,W] */
} lg_ref_si_run;

lg_status lg_ref_si_forward(lg_context *ctx, const lg_ref_si *in, lg_ref_si_run *run);
/* adj [T+1,B,H,W]: on entry the loss's own dL/dX_t, on return the whole adjoint. gradient->grad[0] = dL/dbeta. */
void lg_ref_si_backward(const lg_ref_si *in, const lg_ref_si_run *run, double *adj, lg_ref_gradient *gradient);
void lg_ref_si_free(lg_ref_si_run *run);

/* Score d log P(run) / dbeta of each lattice, [B]. */
void lg_ref_si_score(const lg_ref_si *in, const lg_ref_si_run *run, double *score);

/* Exact negative log-likelihood of observed next states [B,H,W], summed, and its derivative. */
double lg_ref_si_nll(const lg_ref_si *in, const double *observed, lg_ref_gradient *gradient);

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

typedef struct lg_ref_prw {
    size_t steps, walkers;
    double logit[2], tau;      /* of p_center, p_resample */
    lg_estimator keep;         /* of the binary draw keep/resample; the draw itself is the Gumbel one for both */
    const double *v0;          /* [2,n] */
    const double *gumbel_keep; /* [2,T,n,2]: keep, resample */
    const double *gumbel_vel;  /* [2,T,n,3]: -1, 0, +1 */
    const double *gumbel_v0;   /* [2,n,3]; NULL: v0 is a constant */
    lg_ref_more more_keep, more_vel, more_v0;
} lg_ref_prw;

typedef struct lg_ref_prw_run {
    double *positions, *velocities; /* [2,T+1,n] */
    int32_t *resampled, *category;  /* [2,T,n] */
    double *tangent;                /* [2,T,n,2]: dx_t / dlogit */
    double *msd;                    /* [T] */
    double *jacobian;               /* [T,2]: d msd_t / dlogit */
} lg_ref_prw_run;

lg_status lg_ref_prw_forward(lg_context *ctx, const lg_ref_prw *in, lg_ref_prw_run *run);
/* L = sum_t weight_t (msd_t - target_t)^2 (weight NULL: 1); gradient with respect to the logits. */
double lg_ref_prw_loss(const lg_ref_prw *in, const lg_ref_prw_run *run, const double *target, const double *weight,
                       lg_ref_gradient *gradient);
/* Scores of the walks up to each step, d log P / dlogit: [2,T,n,2]; without the start where v0 is a constant. */
void lg_ref_prw_score(const lg_ref_prw *in, const lg_ref_prw_run *run, double *score);
void lg_ref_prw_free(lg_ref_prw_run *run);

/* ---- MK ---------------------------------------------------------------------------------------------------------- */

enum { LG_REF_CHANNELS = 6, LG_REF_DIRECTIONS = 9 };

typedef struct lg_ref_mk {
    size_t steps, batch, height, width;
    double capacity, gamma, tau;
    double params[5]; /* D_A, D_B, k1, k2, k3 */
    lg_estimator binary;
    const double *X0;              /* [B,2,H,W] */
    const double *xi;              /* [T,B,2,H,W] excitation */
    const double *gumbel;          /* [T,B,2,9] directions */
    const int32_t *channel;        /* [T,B,H,W] */
    const double *thresholds;      /* [T,B,6,H,W]; used by ste */
    const double *gumbel_reaction; /* [T,B,H,W,2]: not, fires; used by gs */
    lg_ref_more more, more_reaction;
} lg_ref_mk;

typedef struct lg_ref_mk_run {
    int32_t *states;          /* [T+1,B,2,H,W] */
    int32_t *after_diffusion; /* [T,B,2,H,W] */
    int32_t *E;               /* [T,B,2,H,W] */
    int32_t *kernel_index;    /* [T,B,2] */
    double *ysoft;            /* [T,B,2,9] */
    int32_t *fired;           /* [T,B,H,W] */
    double *p_chosen;         /* [T,B,H,W] */
    double *weight;           /* [T,B,H,W] dy/dp of the reaction */
} lg_ref_mk_run;

lg_status lg_ref_mk_forward(lg_context *ctx, const lg_ref_mk *in, lg_ref_mk_run *run);
/* adj [T+1,B,2,H,W]: on entry the loss's own dL/dX_t, on return the whole adjoint; adj_after [T,B,2,H,W] gets the
 * adjoint between diffusion and reaction; rates[6] the derivatives with the six rate constants untied (NULL: not
 * wanted). At D = 0 and D = 1, where log D or log(1 - D) is not finite, dL/dD is set to 0. */
void lg_ref_mk_backward(const lg_ref_mk *in, const lg_ref_mk_run *run, double *adj, double *adj_after,
                        lg_ref_gradient *gradient, double *rates);
/* Score d log P(run) / d params of each lattice, [B,5]. */
void lg_ref_mk_score(const lg_ref_mk *in, const lg_ref_mk_run *run, double *score);
void lg_ref_mk_free(lg_ref_mk_run *run);

#endif
