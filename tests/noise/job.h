/* Small jobs for the tests, filled with reproducible start and reference states. */
#ifndef LG_TESTS_NOISE_JOB_H
#define LG_TESTS_NOISE_JOB_H

#include "backend/backend.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_job {
    lg_job job;
    double params[LG_MAX_PARAMS];
    uint8_t *start, *target;
    uint32_t record[3];
    double target_stat[64], weight_stat[64];
} test_job;

/* A fixed sequence of numbers below `below`; nothing here has to be very random. */
static inline uint32_t test_number(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % below);
}

static inline void test_states(uint64_t seed, size_t count, uint32_t top, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t kind = test_number(&seed, 8); /* a quarter of the sites empty or full */
        out[i] = (uint8_t)(kind == 0 ? 0 : (kind == 1 ? top : test_number(&seed, top + 1)));
    }
}

/* SI or MK over H x W; top = capacity (1 for SI). Task stability with loss sse; the tests change what they need. */
static inline void test_job_lattice(test_job *t, const lg_model_desc *model, uint32_t H, uint32_t W, uint32_t top,
                                    uint32_t replicates, uint32_t steps, uint32_t pool)
{
    memset(t, 0, sizeof *t);
    const size_t bytes = (size_t)model->species * H * W;
    t->start = malloc(bytes * pool);
    t->target = malloc(bytes * pool);
    cr_assert(t->start && t->target);
    test_states(17 * H + W, bytes * pool, top, t->start);
    test_states(31 * W + H, bytes * pool, top, t->target);
    t->job = (lg_job){.model = model,
                      .task = LG_TASK_stability,
                      .loss = LG_LOSS_sse,
                      .fits = 1,
                      .replicates = replicates,
                      .steps = steps,
                      .height = H,
                      .width = W,
                      .capacity = top,
                      .gamma = 0.005,
                      .tau = 1.0,
                      .seed = 1,
                      .pool = pool,
                      .start = t->start,
                      .target = t->target,
                      .params = t->params};
}

static inline void test_job_walk(test_job *t, const lg_model_desc *model, uint32_t walkers, uint32_t steps)
{
    memset(t, 0, sizeof *t);
    t->job = (lg_job){.model = model,
                      .task = LG_TASK_trajectory,
                      .loss = LG_LOSS_sse,
                      .fits = 1,
                      .replicates = walkers,
                      .steps = steps,
                      .tau = 1.0,
                      .seed = 1,
                      .pool = 1,
                      .params = t->params};
}

static inline void test_job_free(test_job *t)
{
    free(t->start);
    free(t->target);
}

#endif
