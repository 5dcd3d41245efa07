/* A loss of one's own: fits the random walk to the mean distance from the start, instead of its mean square, after 2 and 10 steps.
 *
 *     cc own_loss.c $(pkg-config --static --cflags --libs latgrad) -lm -o own_loss && ./own_loss */
#include <latgrad.h>

#include <math.h>
#include <stdio.h>

enum { RECORDS = 2, PARAMS = 2 };
static const int64_t record[RECORDS] = {2, 10};

typedef struct distances {
    double seen[RECORDS], mean[RECORDS];
} distances;

/* L = sum over the recorded steps of (mean d / seen - 1)^2 with d = sqrt(x^2 + y^2). The adjoint of a walker's x is
 * dL/dmean x / (d walkers), and 0 where it is at its start. */
static int distance_loss(const lg_recorded *s, double *loss, float *adjoint, void *user)
{
    distances *d = user;
    *loss = 0;
    for (int k = 0; k < s->records; k++) {
        d->mean[k] = 0;
        for (int64_t r = 0; r < s->replicates; r++) {
            const int32_t *at = s->walk + (r * s->records + k) * 2;
            d->mean[k] += hypot(at[0], at[1]) / (double)s->replicates;
        }
        const double off = d->mean[k] / d->seen[k] - 1, slope = 2 * off / d->seen[k] / (double)s->replicates;
        *loss += off * off;
        for (int64_t i = 0; adjoint && i < s->replicates; i++) {
            const int64_t walker = (i * s->records + k) * 2;
            const double x = s->walk[walker], y = s->walk[walker + 1], length = hypot(x, y);
            adjoint[walker] = length > 0 ? (float)(slope * x / length) : 0;
            adjoint[walker + 1] = length > 0 ? (float)(slope * y / length) : 0;
        }
    }
    return 0;
}

static lg_status set_up(lg_context *ctx, lg_config *config)
{
    static const char *const settings[][2] = {
        {"model", "prw"},
        {"task", "simulate"}, /* the data are the caller's */
        {"device", "cpu"},
        {"steps", "10"},
        {"replicates", "2000"},
        {"params.p_center.start", "0.6"},
        {"params.p_resample.start", "0.6"},
        {"optimizer.name", "adam"},
        {"optimizer.lr", "0.05"},
        {"iterations", "400"},
    };
    lg_status status = LG_OK;
    for (size_t i = 0; !status && i < sizeof settings / sizeof *settings; i++)
        status = lg_config_set(ctx, config, settings[i][0], settings[i][1]);
    return status;
}

static lg_status run(lg_context *ctx, lg_problem *problem)
{
    distances d = {{1, 1}, {0, 0}};
    const double truth[PARAMS] = {0.3, 0.2}, start[PARAMS] = {0.6, 0.6};
    double loss, grad[PARAMS];
    lg_result *result = NULL;
    lg_status status = lg_problem_set_loss(ctx, problem, distance_loss, &d, record, RECORDS);
    if (!status) status = lg_evaluate(ctx, problem, 1000000, truth, &loss, NULL); /* other noise than the fit's */
    for (int k = 0; k < RECORDS; k++) d.seen[k] = d.mean[k];
    if (!status) printf("seen: %.2f and %.2f\n", d.seen[0], d.seen[1]);
    if (!status) status = lg_evaluate(ctx, problem, 0, start, &loss, grad);
    if (!status)
        printf("p_center 0.6, p_resample 0.6: loss %.3f, gradient of the logits %.3f and %.3f\n", loss, grad[0],
               grad[1]);
    if (!status) status = lg_fit(ctx, problem, NULL, NULL, &result);
    if (!status) {
        double mean[PARAMS], sd[PARAMS];
        lg_result_tail(result, 0, 200, mean, sd);
        printf("fitted: p_center %.2f, p_resample %.2f; the truth is %.2f and %.2f\n", mean[0], mean[1], truth[0],
               truth[1]);
    }
    lg_result_free(result);
    return status;
}

int main(void)
{
    lg_context *ctx = NULL;
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_status status = lg_context_create(&ctx);
    if (!status) status = lg_config_create(ctx, &config);
    if (!status) status = set_up(ctx, config);
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = run(ctx, problem);
    if (status) fprintf(stderr, "own_loss: %s\n", ctx ? lg_context_message(ctx) : lg_status_text(status));
    lg_problem_free(problem);
    lg_config_free(config);
    lg_context_free(ctx);
    return lg_status_exit(status);
}
