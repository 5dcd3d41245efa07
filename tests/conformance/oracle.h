/* A third opinion on a job: the models in plain loops and double precision, straight from the formulas, with the
 * discrete draws of kernels/rules/. Slow, and the only place that knows the sum of the absolute contributions to a
 * gradient, which is the scale of the rounding error of single precision. */
#ifndef LG_TESTS_ORACLE_H
#define LG_TESTS_ORACLE_H

#include "backend/backend.h"

typedef struct lg_oracle {
    size_t state_bytes;
    uint8_t *states;             /* [F][R][state bytes] after job->steps steps */
    double *loss, *statistics;   /* [F], [F][records][statistics] */
    double *gradient, *absolute; /* [F][P] */
} lg_oracle;

/* Evaluates the job at params [F][P] with the noise of `iteration`; false: out of memory. */
bool lg_oracle_run(const lg_job *job, const double *params, uint64_t iteration, lg_oracle *out);
void lg_oracle_clear(lg_oracle *oracle);

/* What the model files share. One replicate's history: `states` (steps + 1) x sites x species, and the model's own
 * record of its draws. */
typedef struct lg_oracle_fit {
    const lg_job *job;
    const double *params;
    lg_key key;
    uint64_t iteration;
    uint32_t index; /* of the fit */
    double *loss, *statistics, *gradient, *absolute;
    uint8_t *states; /* [R][state bytes] */
} lg_oracle_fit;

uint32_t lg_oracle_pool(const lg_oracle_fit *fit, uint32_t replicate);
uint32_t lg_oracle_noise(const lg_oracle_fit *fit); /* the fit's number in the noise */
double lg_oracle_target(const lg_oracle_fit *fit, size_t k);
double lg_oracle_weight(const lg_oracle_fit *fit, size_t k);
bool lg_oracle_mk(const lg_oracle_fit *fit);
bool lg_oracle_si(const lg_oracle_fit *fit);
bool lg_oracle_prw(const lg_oracle_fit *fit);

/* The adjoint that the loss puts on the states of one replicate: adj [steps + 1][entries] is filled; history likewise.
 * Needs fit->statistics and the state sum S (state losses) or the count difference of this replicate. */
void lg_oracle_adjoint(const lg_oracle_fit *fit, uint32_t replicate, double S, double difference, const int *history,
                       double *adj);
/* Loss of the fit from S or from its statistics; count and nll are the model's own. */
void lg_oracle_loss(const lg_oracle_fit *fit, double S);
double lg_oracle_squares(const lg_oracle_fit *fit, uint32_t replicate, const int *last);
void lg_oracle_add_statistics(const lg_oracle_fit *fit, const int *history);
/* Task formation: adds one replicate's statistics; adds the adjoints of the loss to adj. */
void lg_oracle_formation_add(const lg_oracle_fit *fit, const int *history);
void lg_oracle_formation_adjoint(const lg_oracle_fit *fit, const int *history, double *adj);
void lg_oracle_add(const lg_oracle_fit *fit, int param, double term);
/* Temperature of the iteration; draws of the Gumbel noise that an estimator averages over, and the key of the k-th. */
double lg_oracle_tau(const lg_oracle_fit *fit);
uint32_t lg_oracle_draws(const lg_oracle_fit *fit, lg_estimator estimator);
lg_key lg_oracle_key(const lg_oracle_fit *fit, uint32_t k);
/* Method score: weight[moments] = the loss less that of the other replicates alone, scaled to all, term by term of what is
 * recorded. S: sum of squares of all replicates, own: of this one. False: out of memory. */
size_t lg_oracle_moments(const lg_job *job);
bool lg_oracle_score_weights(const lg_oracle_fit *fit, double S, double own, const int *history, double *weight);
/* Adds the score of a draw of step t (0, 1, ...) to the gradient, times the weights of the moments that it bears on. */
void lg_oracle_add_score(const lg_oracle_fit *fit, int param, uint32_t t, const double *weight, double score);
size_t lg_oracle_neighbour(const lg_job *job, size_t site, int row, int column);

#endif
