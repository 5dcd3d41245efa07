/* The optimiser of a problem: optimizer.* and what else ends a fit. */
#include <string.h>

#include "base/error.h"
#include "fit/problem.h"

#define LG_NAME_ROW(name, text) #name,
static const char *const loss_names[] = {LG_LOSS_LIST(LG_NAME_ROW)};
static const char *const optimizer_names[] = {LG_OPTIMIZER_LIST(LG_NAME_ROW)};
static const char *const schedule_names[] = {LG_SCHEDULE_LIST(LG_NAME_ROW)};
#undef LG_NAME_ROW

/* lm has no learning rate; adam has one for every task, sgd where one was published. */
static lg_status read_rate(lg_context *ctx, const lg_config *c, lg_problem *p, double *lr)
{
    *lr = 0.0;
    if (lg_config_get(c, "optimizer.lr")) return lg_config_real(ctx, c, "optimizer.lr", lr);
    if (p->job.optimizer.kind != LG_OPTIMIZER_sgd || lg_config_is_set(c, "ensemble.sweep.optimizer.lr")) return LG_OK;
    return lg_fail(
        ctx, LG_ERR_CONFIG,
        "%s: optimizer.name sgd needs optimizer.lr for model %s, task %s, loss %s: a rate of the size of 1 / "
        "curvature; or leave optimizer.name out, whose default needs none",
        lg_config_origin(c, "optimizer.name"), p->job.model->name, lg_task_name(p->job.task), loss_names[p->job.loss]);
}

lg_status lg_problem_read_optimizer(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    lg_optimizer *o = &p->job.optimizer;
    int kind = 0, schedule = 0;
    int64_t epochs = 0;
    lg_status status = lg_problem_choose(ctx, c, "optimizer.name", optimizer_names,
                                         sizeof optimizer_names / sizeof *optimizer_names, &kind);
    if (!status)
        status = lg_problem_choose(ctx, c, "optimizer.schedule", schedule_names,
                                   sizeof schedule_names / sizeof *schedule_names, &schedule);
    const struct {
        const char *key;
        double *to;
    } reals[] = {{"optimizer.momentum", &o->momentum},   {"optimizer.beta1", &o->beta1},
                 {"optimizer.beta2", &o->beta2},         {"optimizer.epsilon", &o->epsilon},
                 {"optimizer.decay", &o->decay},         {"optimizer.period", &o->period},
                 {"optimizer.damping", &o->damping},     {"optimizer.clip", &o->clip},
                 {"stop.tolerance", &p->stop_tolerance}, {"stop.time", &p->stop_seconds}};
    o->kind = (lg_optimizer_kind)kind;
    p->optimizer_given = lg_config_is_set(c, "optimizer.name");
    if (!status) status = read_rate(ctx, c, p, &o->lr);
    for (size_t i = 0; !status && i < sizeof reals / sizeof *reals; i++)
        status = lg_config_real(ctx, c, reals[i].key, reals[i].to);
    if (!status) status = lg_problem_whole(ctx, c, "iterations", 0, INT64_MAX, &p->iterations);
    if (!status) status = lg_problem_whole(ctx, c, "stop.window", 0, INT64_MAX / 2, &p->stop_window);
    if (!status) status = lg_problem_whole(ctx, c, "errors.evaluations", 0, INT32_MAX, &p->error_evaluations);
    if (!status) status = lg_problem_whole(ctx, c, "epochs", 0, INT32_MAX, &epochs);
    if (status) return status;
    if (epochs > 0 && p->job.task == LG_TASK_transition)
        p->iterations = (epochs * p->job.pool + p->job.replicates - 1) / p->job.replicates;
    o->schedule = (lg_schedule)schedule;
    o->iterations = (uint64_t)p->iterations;
    return LG_OK;
}

/* lm is for losses of statistics, on backends that give their Jacobian. */
lg_status lg_problem_check_optimizer(lg_context *ctx, const lg_config *c, const lg_problem *p)
{
    const lg_job *job = &p->job;
    const char *origin = lg_config_origin(c, "optimizer.name");
    if (job->optimizer.kind != LG_OPTIMIZER_lm || job->task == LG_TASK_simulate) return LG_OK;
    if (!job->target_stat)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "%s: optimizer.name lm takes the residuals of statistics, and task %s with loss %s compares "
                       "states: use adam or sgd",
                       origin, lg_task_name(job->task), loss_names[p->job.loss]);
    if (p->backend->lm && p->backend->lm(job)) return LG_OK;
    return lg_fail(
        ctx, LG_ERR_UNSUPPORTED,
        "%s: optimizer.name lm needs the Jacobian of the statistics, which %s does not give for model %s and "
        "this estimator: set estimator.method to fd (or for prw to pathwise or exact)",
        origin, p->backend->name, job->model->name);
}

/* lm runs where something gives the Jacobian: the methods that work on the host, or the device itself. */
static bool has_jacobian(const lg_problem *p)
{
    const lg_job *job = &p->job;
    if (!job->target_stat) return false;
    if (job->method == LG_GRADIENT_fd || job->method == LG_GRADIENT_exact) return true;
    return p->backend->lm && p->backend->lm(job);
}

lg_status lg_problem_settle_optimizer(lg_context *ctx, const lg_config *c, const lg_problem *p, lg_config **own)
{
    const char *name = lg_config_get(c, "optimizer.name");
    *own = NULL;
    if (lg_config_is_set(c, "optimizer.name") || p->job.task == LG_TASK_simulate) return LG_OK;
    if (!name || strcmp(name, "lm") != 0 || has_jacobian(p)) return LG_OK;
    *own = lg_config_copy(c);
    if (!*own) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    lg_log(ctx, LG_LOG_INFO, "%s has no Jacobian for lm with this estimator: optimizer.name is adam", p->backend->name);
    return lg_config_set(ctx, *own, "optimizer.name", "adam");
}
