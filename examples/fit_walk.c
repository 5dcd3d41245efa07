/* Fits the persistent random walk to data of its own making through the C interface, and prints truth and fit.
 *
 *     cc fit_walk.c $(pkg-config --static --cflags --libs latgrad) -o fit_walk && ./fit_walk */
#include <latgrad.h>

#include <stdio.h>

static int fail(lg_context *ctx, lg_status status)
{
    fprintf(stderr, "fit_walk: %s\n", lg_context_message(ctx));
    return lg_status_exit(status);
}

int main(void)
{
    static const char *const settings[][2] = {
        {"model", "prw"},
        {"task", "trajectory"},
        {"data.generate.params.p_center", "0.3"},
        {"data.generate.params.p_resample", "0.6"},
        {"params.p_center.start", "0.7"},
        {"params.p_resample.start", "0.7"},
        {"optimizer.lr", "0.05"},
        {"iterations", "1000"},
        {"replicates", "1500"},
    };
    lg_context *ctx = NULL;
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_result *result = NULL;

    lg_status status = lg_context_create(&ctx);
    if (!status) status = lg_config_create(ctx, &config);
    for (size_t i = 0; !status && i < sizeof settings / sizeof settings[0]; i++) {
        status = lg_config_set(ctx, config, settings[i][0], settings[i][1]);
    }
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = lg_fit(ctx, problem, NULL, NULL, &result);

    int exit_status = status ? fail(ctx, status) : 0;
    if (!status) {
        double mean[2], sd[2];
        lg_result_tail(result, 0, 200, mean, sd);
        printf("p_center   0.3, fitted %.3f +- %.3f\n", mean[0], sd[0]);
        printf("p_resample 0.6, fitted %.3f +- %.3f\n", mean[1], sd[1]);
    }
    lg_result_free(result);
    lg_problem_free(problem);
    lg_config_free(config);
    lg_context_free(ctx);
    return exit_status;
}
