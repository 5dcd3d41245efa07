/* Eight fits of beta at once, from starts spread over its range, on a GPU where there is one; prints where they end.
 *
 *     cc ensemble.c $(pkg-config --static --cflags --libs latgrad) -o ensemble && ./ensemble */
#include <latgrad.h>

#include <stdio.h>

static int stop_after(const lg_progress *progress, void *user)
{
    return progress->iteration >= *(const int64_t *)user ? LG_STOP : LG_GO_ON;
}

int main(void)
{
    static const char *const settings[][2] = {
        {"model", "si"},
        {"task", "transition"},
        {"lattice.height", "32"},
        {"lattice.width", "32"},
        {"data.generate.params.beta", "0.2"},
        {"data.generate.runs", "10"},
        {"params.beta.start", "0.5"},
        {"params.beta.bounds", "[0.01, 0.99]"},
        {"loss", "mse"},
        {"optimizer.name", "adam"},
        {"optimizer.lr", "0.02"},
        {"iterations", "300"},
        {"replicates", "64"},
        {"ensemble.starts", "lhs"},
        {"ensemble.size", "8"},
        {"device", "auto"},
        {"seed", "3"},
    };
    int64_t limit = 1000000; /* the callback could stop the fit here */
    lg_context *ctx = NULL;
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    lg_status status = lg_context_create(&ctx);
    if (!status) status = lg_config_create(ctx, &config);
    for (size_t i = 0; !status && i < sizeof settings / sizeof *settings; i++)
        status = lg_config_set(ctx, config, settings[i][0], settings[i][1]);
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = lg_fit(ctx, problem, stop_after, &limit, &result);
    if (!status) {
        lg_problem_info info;
        lg_problem_describe(problem, &info);
        for (int fit = 0; fit < info.fits; fit++) {
            double start, mean, sd;
            lg_problem_start(problem, fit, &start);
            lg_result_tail(result, fit, 100, &mean, &sd);
            printf("from %.2f to %.2f, %s\n", start, mean, lg_fit_status_name(lg_result_status(result, fit)));
        }
    }
    if (status) fprintf(stderr, "ensemble: %s\n", ctx ? lg_context_message(ctx) : lg_status_text(status));
    lg_result_free(result);
    lg_problem_free(problem);
    lg_config_free(config);
    lg_context_free(ctx);
    return lg_status_exit(status);
}
