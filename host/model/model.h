/* Model descriptors: everything the rest of the library knows about a model, in one table row per model. */
#ifndef LG_MODEL_MODEL_H
#define LG_MODEL_MODEL_H

#include "latgrad.h"
#include "rules/estimator.h"
#include "rules/loss.h"

enum { LG_MAX_PARAMS = 8 };

typedef enum lg_model_id { LG_MODEL_SI, LG_MODEL_PRW, LG_MODEL_MK, LG_MODEL_COUNT } lg_model_id;

/* X(name, text) */
#define LG_TASK_LIST(X)                                                    \
    X(simulate, "forward runs only")                                       \
    X(transition, "one-step pairs (X_t, X_t+1)")                           \
    X(trajectory, "summary statistics along a run")                        \
    X(formation, "statistics of the pattern that forms, at several times") \
    X(stability, "the state after `steps` steps against a reference state")

typedef enum lg_task {
#define LG_TASK_ENUM(name, text) LG_TASK_##name,
    LG_TASK_LIST(LG_TASK_ENUM)
#undef LG_TASK_ENUM
        LG_TASK_COUNT
} lg_task;

typedef struct lg_model_desc {
    lg_model_id id;
    const char *name, *title;
    int params;
    const lg_param_info *param;
    const double (*fit_bounds)[2]; /* default bounds of fitted parameters, inside [lower, upper] */
    int species;                   /* planes of a lattice state; 0: not a lattice model */
    int state_words;               /* int32 numbers per replicate of a non-lattice model */
    bool has_capacity;             /* counts 0..N; otherwise 0/1 */
    int statistics;                /* statistics per recorded step, and their names; use lg_task_statistics() */
    const char *const *statistic;
    int formation_statistics; /* of the task formation, where the model has it */
    const char *const *formation_statistic;
    unsigned losses[LG_TASK_COUNT]; /* bit mask over lg_loss; 0 = the model does not have this task */
    lg_loss default_loss[LG_TASK_COUNT];
    lg_task default_task;
    lg_estimator default_binary;
    const char *start_states; /* names data.start accepts, "centre|..." */
} lg_model_desc;

static inline int lg_task_statistics(const lg_model_desc *model, lg_task task)
{
    return task == LG_TASK_formation ? model->formation_statistics : model->statistics;
}
static inline const char *const *lg_task_statistic_names(const lg_model_desc *model, lg_task task)
{
    return task == LG_TASK_formation ? model->formation_statistic : model->statistic;
}

const lg_model_desc *lg_model_at(int index);
const lg_model_desc *lg_model_find(const char *name);
int lg_model_find_param(const lg_model_desc *model, const char *name); /* -1 if none */

/* Fills one start state (species x H x W) by name: "centre" (SI), "uniform", "stripe" (MK). */
lg_status lg_model_start_state(lg_context *ctx, const lg_model_desc *model, const char *name, int height, int width,
                               int capacity, uint8_t *state);

extern const char *const lg_task_names[LG_TASK_COUNT];
const char *lg_task_name(lg_task task);
lg_task lg_task_find(const char *name); /* LG_TASK_COUNT where there is none */

/* Trajectory statistics of one lattice state: SI aware fraction; MK mean A, mean B, var A, var B (population
 * variance over sites). out[model->statistics]. Those of the task formation: model/spectrum.h. */
void lg_model_statistics(const lg_model_desc *model, const uint8_t *state, size_t sites, double *out);

/* Checks that make a parameter set questionable but not wrong (MK: some p > 1); false and a sentence where it is. */
bool lg_model_check_params(const lg_model_desc *model, const double *params, double gamma, int capacity, char *text,
                           size_t size);

#endif
