/* The settings method.*, checked against the problem. */
#include "infer/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "fit/problem.h"

#define LG_SEARCH_NAME(name, population, text) #name,
static const char *const names[] = {"gradient", LG_SEARCH_LIST(LG_SEARCH_NAME)};
#undef LG_SEARCH_NAME
#define LG_SEARCH_SIZE(name, population, text) population,
static const uint32_t sizes[] = {0, LG_SEARCH_LIST(LG_SEARCH_SIZE)};
#undef LG_SEARCH_SIZE

static lg_status read_kind(lg_context *ctx, const lg_config *c, lg_search_plan *plan)
{
    const char *text = NULL;
    const lg_status status = lg_config_text(ctx, c, "method.name", &text);
    if (status) return status;
    for (int i = 0; i < LG_SEARCH_KINDS; i++)
        if (strcmp(text, names[i]) == 0) {
            plan->kind = (lg_search_kind)i;
            return LG_OK;
        }
    const char *near = lg_nearest(text, names, LG_SEARCH_KINDS);
    return lg_fail(ctx, LG_ERR_CONFIG, "%s: method.name is \"%s\": expected a method, such as %s",
                   lg_config_origin(c, "method.name"), text, near ? near : "abc_smc");
}

static int fitted_count(const lg_job *job)
{
    int count = 0;
    for (int i = 0; i < job->model->params; i++) count += job->optimizer.fitted[i];
    return count;
}

static lg_status read_population(lg_context *ctx, const lg_config *c, const lg_job *job, lg_search_plan *plan)
{
    int64_t population = 0;
    lg_status status = lg_config_int(ctx, c, "method.population", &population);
    if (!status) status = lg_config_int(ctx, c, "method.simulations", &plan->simulations);
    if (status) return status;
    const int dims = fitted_count(job);
    if (population == 0) population = sizes[plan->kind];
    /* three times what Hansen 2016, table 1, has for losses without noise: with that, noise ends it early and far away */
    if (population == 0) population = 3 * (4 + (int64_t)(3.0 * log(dims > 0 ? dims : 1)));
    if (plan->kind == LG_SEARCH_nlopt) population = 1;
    const int64_t least = plan->kind == LG_SEARCH_abc_smc ? 2 * dims + 2 : plan->kind == LG_SEARCH_cma_es ? 4 : 1;
    if (population < least || population > LG_MAX_FITS - (int64_t)job->first_fit)
        return lg_fail(ctx, LG_ERR_RANGE, "%s: method.population is %lld: expected a number from %lld to %lld for %s",
                       lg_config_origin(c, "method.population"), (long long)population, (long long)least,
                       (long long)LG_MAX_FITS - job->first_fit, names[plan->kind]);
    if (plan->simulations < population)
        return lg_fail(ctx, LG_ERR_RANGE,
                       "%s: method.simulations is %lld, less than one population of %lld: expected at least that",
                       lg_config_origin(c, "method.simulations"), (long long)plan->simulations, (long long)population);
    plan->population = (uint32_t)population;
    return LG_OK;
}

/* What these methods cannot be combined with. */
static lg_status check(lg_context *ctx, const lg_config *c, const lg_problem *p, const lg_search_plan *plan)
{
    const char *name = names[plan->kind];
    if (p->job.task == LG_TASK_simulate)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "%s: method %s needs a loss, and task simulate has none",
                       lg_config_origin(c, "method.name"), name);
    if (p->ensemble.given || p->job.fits != 1)
        return lg_fail(
            ctx, LG_ERR_UNSUPPORTED,
            "%s: method %s runs one search of its own population: expected no ensemble and fits 1 (it is %u); "
            "for repeats run it with other seeds",
            lg_config_origin(c, "method.name"), name, p->job.fits);
    return LG_OK;
}

lg_status lg_search_read(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    lg_search_plan *plan = &p->search;
    const char *algorithm = NULL;
    lg_status status = read_kind(ctx, c, plan);
    if (status || plan->kind == LG_SEARCH_gradient) return status;
    const struct {
        const char *key;
        double *to;
    } reals[] = {{"method.accept", &plan->accept},     {"method.quantile", &plan->quantile},
                 {"method.distance", &plan->distance}, {"method.least_acceptance", &plan->least_acceptance},
                 {"method.sigma", &plan->sigma},       {"method.tolerance", &plan->tolerance}};
    for (size_t i = 0; !status && i < sizeof reals / sizeof *reals; i++)
        status = lg_config_real(ctx, c, reals[i].key, reals[i].to);
    if (!status) status = lg_config_text(ctx, c, "method.algorithm", &algorithm);
    if (!status) status = check(ctx, c, p, plan);
    if (!status) status = read_population(ctx, c, &p->job, plan);
    if (status) return status;
    snprintf(plan->algorithm, sizeof plan->algorithm, "%s", algorithm);
    p->iterations = plan->simulations / plan->population;
    return LG_OK;
}

lg_job lg_search_job(const lg_problem *p, const double *params, bool *gradients)
{
    lg_job job = p->job;
    job.fits = p->search.population;
    job.params = params;
    job.own.points = job.fits;                                               /* all are candidates of the one fit */
    *gradients = job.method == LG_GRADIENT_exact || job.loss == LG_LOSS_nll; /* closed forms instead of runs */
    return job;
}
