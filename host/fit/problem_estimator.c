/* How a problem's gradient is made: estimator.* of the configuration. */
#include <stdio.h>
#include <string.h>

#include "fit/problem.h"

#define LG_NAME_ROW(name, text) #name,
static const char *const methods[] = {LG_GRADIENT_LIST(LG_NAME_ROW)};
static const char *const estimators[] = {LG_ESTIMATOR_LIST(LG_NAME_ROW)};
#undef LG_NAME_ROW

static lg_status check_method(lg_context *ctx, const lg_config *c, const lg_job *job)
{
    const char *origin = lg_config_origin(c, "estimator.method");
    const bool prw = job->model->id == LG_MODEL_PRW, nll = job->loss == LG_LOSS_nll;
    if (job->method == LG_GRADIENT_score && job->replicates < 2)
        return lg_fail(ctx, LG_ERR_RANGE,
                       "%s: estimator.method score takes its baseline from the other replicates, and replicates is %u: "
                       "set replicates to 2 or more",
                       origin, job->replicates);
    if (job->method == LG_GRADIENT_score && nll)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "%s: estimator.method score needs draws, and loss nll has none: use method exact", origin);
    if (job->method == LG_GRADIENT_exact && !prw && !nll)
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "%s: estimator.method exact is not known for model %s with this loss; it is for model si with loss "
            "nll, and for model prw: use method pathwise, score or fd",
            origin, job->model->name);
    if (job->method == LG_GRADIENT_exact && prw && job->v0_const)
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "%s: the closed form of estimator.method exact has a stationary start, whose velocities depend on "
            "p_center: estimator.v0 cannot be const",
            origin);
    return LG_OK;
}

lg_status lg_problem_read_estimator(lg_context *ctx, const lg_config *c, lg_job *job)
{
    int method = 0, binary = 0, categorical = 0;
    int64_t draws = 1;
    const char *v0 = NULL;
    lg_status status =
        lg_problem_choose(ctx, c, "estimator.method", methods, sizeof methods / sizeof *methods, &method);
    if (!status)
        status =
            lg_problem_choose(ctx, c, "estimator.binary", estimators, sizeof estimators / sizeof *estimators, &binary);
    if (!status)
        status = lg_problem_choose(ctx, c, "estimator.categorical", estimators, sizeof estimators / sizeof *estimators,
                                   &categorical);
    if (!status) status = lg_config_int(ctx, c, "estimator.draws", &draws);
    if (!status) status = lg_config_real(ctx, c, "estimator.tau", &job->tau);
    if (!status) status = lg_config_real(ctx, c, "estimator.tau_end", &job->tau_end);
    if (!status) status = lg_config_real(ctx, c, "estimator.fd_step", &job->fd_step);
    if (!status) status = lg_config_text(ctx, c, "estimator.v0", &v0);
    if (status) return status;
    job->method = (lg_gradient_method)method;
    job->binary = (lg_estimator)binary;
    job->categorical = (lg_estimator)categorical;
    job->draws = (uint32_t)draws;
    job->v0_const = v0 && strcmp(v0, "const") == 0;
    return job->task == LG_TASK_simulate ? LG_OK : check_method(ctx, c, job);
}
