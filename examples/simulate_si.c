/* Steps a batch of SI lattices by hand and prints how many sites are aware, for each of two values of beta.
 *
 *     cc simulate_si.c $(pkg-config --static --cflags --libs latgrad) -o simulate_si && ./simulate_si */
#include <latgrad.h>

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 32, REPLICATES = 20, SITES = SIDE * SIDE };

static lg_status set_up(lg_context *ctx, lg_config *config)
{
    static const char *const settings[][2] = {
        {"model", "si"},        {"task", "simulate"}, {"lattice.height", "32"}, {"lattice.width", "32"},
        {"replicates", "20"},   {"fits", "2"},        {"steps", "20"},          {"seed", "7"},
        {"params.beta", "0.2"}, {"device", "auto"},
    };
    lg_status status = LG_OK;
    for (size_t i = 0; !status && i < sizeof settings / sizeof *settings; i++)
        status = lg_config_set(ctx, config, settings[i][0], settings[i][1]);
    return status;
}

static lg_status run(lg_context *ctx, lg_batch *batch, uint8_t *states)
{
    const double beta[2] = {0.1, 0.4}; /* [fits][params] */
    lg_status status = lg_batch_set_params(ctx, batch, beta);
    if (!status) status = lg_batch_reset(ctx, batch, 0);
    for (int step = 0; !status && step <= 20; step += 5) {
        printf("step %2d:", step);
        for (int fit = 0; !status && fit < 2; fit++) {
            status = lg_batch_states(ctx, batch, fit, 0, REPLICATES, states);
            long aware = 0;
            for (int i = 0; !status && i < REPLICATES * SITES; i++) aware += states[i];
            printf("  beta %.1f %7.2f aware", beta[fit], (double)aware / REPLICATES);
        }
        putchar('\n');
        if (!status) status = lg_batch_run(ctx, batch, 5);
    }
    return status;
}

int main(void)
{
    lg_context *ctx = NULL;
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_batch *batch = NULL;
    uint8_t *states = malloc((size_t)REPLICATES * SITES);
    lg_status status = states ? lg_context_create(&ctx) : LG_ERR_MEMORY;
    if (!status) status = lg_config_create(ctx, &config);
    if (!status) status = set_up(ctx, config);
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = lg_batch_create(ctx, problem, &batch);
    if (!status) status = run(ctx, batch, states);
    if (status) fprintf(stderr, "simulate_si: %s\n", ctx ? lg_context_message(ctx) : lg_status_text(status));
    lg_batch_free(batch);
    lg_problem_free(problem);
    lg_config_free(config);
    lg_context_free(ctx);
    free(states);
    return lg_status_exit(status);
}
