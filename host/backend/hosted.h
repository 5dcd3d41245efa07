/* What backends share whose optimiser runs on the host: fd and exact. An lg_dbatch of theirs begins with an lg_hosted. */
#ifndef LG_BACKEND_HOSTED_H
#define LG_BACKEND_HOSTED_H

#include "backend/backend.h"

typedef struct lg_hosted {
    const lg_job *job;
    double *params, *loss, *gradient;   /* [F][P], [F], [F][P] in the model's native coordinates */
    double *statistics;                 /* [F][records][statistics] */
    lg_fit_state *state;                /* [F] */
    double *residual, *combined, *rows; /* [K], [K], [K][P] of one fit */
} lg_hosted;

/* The device of such a backend: the one behind it. Only hosted.c, fd.c and exact.c know it by this name. */
typedef struct lg_behind {
    const lg_backend *backend;
    lg_device *device;
} lg_behind;

static inline const lg_behind *lg_behind_of(const lg_device *device)
{
    return (const lg_behind *)(const void *)device;
}

/* Places a gradient method that is not the device's own (fd, PRW exact) before the device: *backend and *device become the
 * method's, which close the device with theirs. Nothing for the other methods. */
lg_status lg_method_open(lg_context *ctx, const lg_job *job, const lg_backend **backend, lg_device **device);
extern const lg_backend lg_backend_fd, lg_backend_exact;
/* How far finite differences go from p in coordinate i of the optimiser, for estimator.fd_step `step`. */
double lg_fd_step(const lg_optimizer *o, int i, double step, double p);

lg_status lg_hosted_open(lg_context *ctx, const lg_job *job, lg_hosted *fits); /* parameters: job->params */
void lg_hosted_close(lg_hosted *fits);
void lg_hosted_take_params(lg_hosted *fits, const double *params);
/* Loss of statistics s[K] of a fit. */
double lg_hosted_stat_loss(lg_hosted *fits, uint32_t fit, const double *s);
/* One optimiser update of every fit from loss and gradient; rows [F][P + 3]. lm: from the Jacobian [F][K][P] and the residuals
 * of the statistics, else NULL. */
void lg_hosted_update(lg_hosted *fits, const double *jacobian, double *rows);
bool lg_hosted_any_frozen(const lg_hosted *fits);
/* Gradient of coordinate i in the model's native coordinate, from that in the optimiser's. */
double lg_hosted_native(const lg_optimizer *o, int i, double p, double gradient_x);

/* Entries of a backend's table. */
lg_status lg_hosted_open_device(lg_context *ctx, int index, int threads,
                                lg_device **out); /* lg_method_open is the way */
void lg_hosted_close_device(lg_device *device);
void lg_hosted_describe(const lg_device *device, char *text, size_t size);
bool lg_hosted_lm(const lg_job *job); /* these backends have the Jacobian of every loss of statistics */
lg_status lg_hosted_get_params(lg_context *ctx, lg_dbatch *batch, double *params);
lg_status lg_hosted_get_loss(lg_context *ctx, lg_dbatch *batch, double *loss);
lg_status lg_hosted_get_gradient(lg_context *ctx, lg_dbatch *batch, double *gradient);
lg_status lg_hosted_get_statistics(lg_context *ctx, lg_dbatch *batch, double *values);
lg_status lg_hosted_get_fit_state(lg_context *ctx, lg_dbatch *batch, lg_fit_state *state);

#endif
