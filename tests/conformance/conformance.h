/* One table of cases that every backend must pass: see cases.c for the table, checks.c for what is checked. */
#ifndef LG_TESTS_CONFORMANCE_H
#define LG_TESTS_CONFORMANCE_H

#include "backend/backend.h"

/* How a gradient is made, besides the estimator of binary draws. All zero: pathwise, one draw, one temperature. */
typedef struct lg_case_gradient {
    lg_gradient_method method;
    lg_estimator categorical;
    uint32_t draws;
    double tau_end;
} lg_case_gradient;

typedef struct lg_case {
    const char *name;
    lg_model_id model;
    lg_task task;
    lg_loss loss;
    lg_estimator binary;
    double tau;
    uint32_t height, width, capacity;
    double gamma, params[5];
    uint32_t fits, replicates, steps, pool;
    bool segmented; /* give the batch so little memory that it must keep the tape in segments */
    bool v0_const;
    bool own; /* each fit has data, an optimiser and a number in the noise of its own */
    lg_case_gradient gradient;
} lg_case;

extern const lg_case lg_cases[];
extern const size_t lg_case_count;

/* A case as a job, with start states, targets and records made from the case alone. */
typedef struct lg_case_job {
    lg_job job;
    uint8_t *start, *target;
    uint32_t *record;
    double *target_stat, *weight_stat, *params;
    lg_optimizer *fit_optimizer;
    uint32_t *noise_fit, *resample;
} lg_case_job;

bool lg_case_build(const lg_case *c, lg_case_job *out);
void lg_case_clear(lg_case_job *job);
lg_job lg_case_one(const lg_job *job, uint32_t fit);
/* Combinations of model, task, loss and estimator that a model descriptor allows and no case covers; prints them. */
int lg_case_uncovered(void);

/* Bytes that a run produced: to be compared between runs, orders of threads, devices. */
typedef struct lg_record {
    uint8_t *bytes;
    size_t size, room;
} lg_record;
void lg_record_add(lg_record *record, const void *bytes, size_t size);
void lg_record_clear(lg_record *record);

/* Evaluates the case and runs a short fit; every byte that comes out goes into the record. False: an error, printed. */
bool lg_conformance_record(const lg_backend *backend, lg_device *device, const lg_case *c, lg_record *record);
/* Called after a failure was printed; NULL: the checks go on. */
extern void (*lg_conformance_failed)(const char *name);
/* All checks of one case on a backend; prints what fails and returns the number of failures. oracle_only: a second
 * backend to compare with bit by bit, or NULL. */
int lg_conformance_check(const lg_backend *backend, lg_device *device, const lg_backend *other, lg_device *other_device,
                         const lg_case *c);
/* The optimiser lm on a case: see lm.c. Nothing where the loss is not one of statistics. */
int lg_conformance_lm(const lg_backend *backend, lg_device *device, const lg_backend *other, lg_device *other_device,
                      const lg_case *c);
/* A short fit by lm for the record, where the backend has a Jacobian of its own. */
bool lg_conformance_lm_record(const lg_backend *backend, lg_device *device, const lg_case_job *job, lg_record *record);

#endif
