/* One context per thread: four threads use the library at the same time and get what each gets alone. The thread sanitizer
 * runs this test as well. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "latgrad.h"

enum { THREADS = 4, ROUNDS = 3, STATE = 16 * 16, REPLICATES = 3 };

typedef struct work {
    int number;
    lg_status status;
    double loss, gradient[2];
    uint8_t states[REPLICATES * STATE];
    char message[256];
} work;

static lg_status set_all(lg_context *ctx, lg_config *config, const char *const (*rows)[2], size_t count)
{
    lg_status status = LG_OK;
    for (size_t i = 0; !status && i < count; i++) status = lg_config_set(ctx, config, rows[i][0], rows[i][1]);
    return status;
}

static lg_status states(lg_context *ctx, work *w)
{
    char seed[16];
    snprintf(seed, sizeof seed, "%d", w->number + 1);
    const char *const rows[][2] = {{"model", "si"},     {"task", "simulate"},    {"lattice.height", "16"},
                                   {"device", "cpu"},   {"lattice.width", "16"}, {"threads", "1"},
                                   {"replicates", "3"}, {"params.beta", "0.3"},  {"seed", seed}};
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_batch *batch = NULL;
    lg_status status = lg_config_create(ctx, &config);
    if (!status) status = set_all(ctx, config, rows, sizeof rows / sizeof *rows);
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = lg_batch_create(ctx, problem, &batch);
    if (!status) status = lg_batch_run(ctx, batch, 8);
    if (!status) status = lg_batch_states(ctx, batch, 0, 0, REPLICATES, w->states);
    lg_batch_free(batch);
    lg_problem_free(problem);
    lg_config_free(config);
    return status;
}

static lg_status gradient(lg_context *ctx, work *w)
{
    char seed[16];
    snprintf(seed, sizeof seed, "%d", w->number + 1);
    const char *const rows[][2] = {{"model", "prw"},
                                   {"device", "cpu"},
                                   {"threads", "1"},
                                   {"data.generate.runs", "100"},
                                   {"data.generate.params.p_center", "0.3"},
                                   {"data.generate.params.p_resample", "0.6"},
                                   {"replicates", "100"},
                                   {"seed", seed}};
    const double params[2] = {0.5, 0.5};
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_status status = lg_config_create(ctx, &config);
    if (!status) status = set_all(ctx, config, rows, sizeof rows / sizeof *rows);
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = lg_evaluate(ctx, problem, 0, params, &w->loss, w->gradient);
    lg_problem_free(problem);
    lg_config_free(config);
    return status;
}

static void *run(void *argument)
{
    work *w = argument;
    for (int round = 0; round < ROUNDS && !w->status; round++) {
        lg_context *ctx = NULL;
        w->status = lg_context_create(&ctx);
        if (!w->status) w->status = states(ctx, w);
        if (!w->status) w->status = gradient(ctx, w);
        /* Every thread's message is its own. */
        char key[32];
        lg_config *config = NULL;
        snprintf(key, sizeof key, "nothing%d", w->number);
        if (!w->status) w->status = lg_config_create(ctx, &config);
        if (!w->status && lg_config_set(ctx, config, key, "1") == LG_OK) w->status = LG_ERR_CHECK;
        snprintf(w->message, sizeof w->message, "%s", lg_context_message(ctx));
        lg_config_free(config);
        lg_context_free(ctx);
    }
    return NULL;
}

Test(contexts, four_threads_get_what_each_gets_alone)
{
    static work alone[THREADS], together[THREADS];
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        alone[i].number = together[i].number = i;
        run(&alone[i]);
        cr_assert_eq(alone[i].status, LG_OK, "%s", alone[i].message);
    }
    for (int i = 0; i < THREADS; i++) cr_assert_eq(pthread_create(&thread[i], NULL, run, &together[i]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(together[i].status, LG_OK, "%s", together[i].message);
        cr_assert_eq(memcmp(alone[i].states, together[i].states, sizeof alone[i].states), 0);
        cr_assert(alone[i].loss == together[i].loss && alone[i].gradient[0] == together[i].gradient[0]);
        cr_assert_str_eq(alone[i].message, together[i].message);
    }
    cr_assert(alone[0].loss != alone[1].loss);
    cr_assert_str_neq(alone[0].message, alone[1].message);
}
