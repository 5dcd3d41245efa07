/* Gradient checks: references against closed forms, rows of the table, and what is found where gradients vanish or overflow. */
#include "fit/gradcheck.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static lg_context *ctx;

static void setup(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(gradcheck, .init = setup, .fini = teardown);

static lg_config *configure(const char *settings)
{
    char text[2000], *rest = text, *one;
    lg_config *config;
    snprintf(text, sizeof text, "%s device=cpu threads=1", settings);
    cr_assert_eq(lg_config_create(ctx, &config), LG_OK);
    while ((one = strtok_r(rest, " ", &rest))) {
        char *value = strchr(one, '=');
        *value++ = '\0';
        cr_assert_eq(lg_config_set(ctx, config, one, value), LG_OK, "%s", lg_context_message(ctx));
    }
    return config;
}

static lg_gradcheck *check(const char *settings, const lg_gradcheck_options *options)
{
    lg_gradcheck *c;
    lg_config *config = configure(settings);
    cr_assert_eq(lg_gradcheck_create(ctx, config, options, &c), LG_OK, "%s: %s", settings, lg_context_message(ctx));
    lg_config_free(config);
    return c;
}

static const lg_gradcheck_row *find(const lg_gradcheck *c, const char *estimator, const char *param)
{
    for (int i = 0; lg_gradcheck_at(c, i); i++) {
        const lg_gradcheck_row *row = lg_gradcheck_at(c, i);
        if (strcmp(row->estimator, estimator) == 0 && strcmp(row->param, param) == 0) return row;
    }
    cr_assert_fail("no row %s %s", estimator, param);
    return NULL;
}

#define SI                                                                                                          \
    "model=si lattice.height=12 lattice.width=12 replicates=6 params.beta.start=0.3 data.generate.params.beta=0.2 " \
    "data.generate.runs=3 data.generate.steps=10 "
#define PRW                                                                           \
    "model=prw replicates=200 params.p_center.start=0.2 params.p_resample.start=0.1 " \
    "data.generate.params.p_center=0.5 "                                              \
    "data.generate.params.p_resample=0.3 data.generate.runs=500 "
#define MK                                                                                                      \
    "model=mk lattice.height=8 lattice.width=8 lattice.gamma=0.05 steps=5 replicates=2 data.generate.steps=20 " \
    "data.generate.params.D_A=0.1 data.generate.params.D_B=0.4 data.generate.params.k1=0.9 "                    \
    "data.generate.params.k2=0.1 data.generate.params.k3=0.2 params.D_B=0.4 params.k1=0.9 params.k2=0.1 "       \
    "params.k3=0.2 "

/* The reference by differences against the closed forms: within 5 of its own standard errors (false alarm 6e-7 each) and a
 * thousandth. */
static void check_reference(const char *settings)
{
    lg_reference closed, differences;
    lg_problem *problem;
    lg_status status;
    double point[LG_MAX_PARAMS];
    lg_config *config = configure(settings);
    cr_assert_eq(lg_problem_create(ctx, config, &problem), LG_OK, "%s: %s", settings, lg_context_message(ctx));
    lg_problem_start(problem, 0, point);
    cr_assert(lg_gradcheck_closed(ctx, &problem->job, point, &closed, &status) && status == LG_OK);
    cr_assert_eq(lg_gradcheck_differences(ctx, config, 77, 800, &differences), LG_OK, "%s", lg_context_message(ctx));
    for (int p = 0; p < problem->job.model->params; p++) {
        const double off = fabs(differences.gradient[p] - closed.gradient[p]);
        cr_assert(off <= 5.0 * differences.error[p] + 1e-3 * fabs(closed.gradient[p]), "%s: %g +- %g, closed form %g",
                  settings, differences.gradient[p], differences.error[p], closed.gradient[p]);
        cr_assert_lt(differences.error[p], 0.2 * fabs(closed.gradient[p]), "%s: +- %g of %g", settings,
                     differences.error[p], closed.gradient[p]);
    }
    lg_problem_free(problem);
    lg_config_free(config);
}

Test(gradcheck, differences_meet_closed_forms)
{
    check_reference(SI "loss=sse");
    check_reference(SI "loss=mse");
    check_reference(SI "loss=count");
    check_reference(SI "loss=nll");
    check_reference(PRW);
    check_reference(
        "model=prw replicates=5 steps=4 params.p_center.start=0.6 params.p_resample.start=0.5 " /* mostly noise */
        "data.generate.params.p_center=0.5 data.generate.params.p_resample=0.3 data.generate.runs=500");
}

/* One MK step without diffusion: each site draws one of six channels, which fires with a probability p that is k times a
 * function of the counts (n, m of N), so that with x the observation
 *     d E sum (X' - x)^2 / dk = sum over sites and channels of k: (p / k) / 6 ((n + s - x)^2 - (n - x)^2). */
static double reaction_slope(const lg_job *job, const double *params, int k)
{
    static const int rate[6] = {2, 2, 3, 3, 4, 4}, sign[6] = {1, -1, 1, -1, 1, -1};
    const size_t sites = lg_job_sites(job);
    const double N = job->capacity, gamma = job->gamma;
    double slope = 0.0;
    for (size_t r = 0; r < job->replicates; r++) {
        const uint8_t *from = job->start + lg_job_pool_row(job, 0, 0, (uint32_t)r) * 2 * sites;
        const uint8_t *to = job->target + lg_job_pool_row(job, 0, 0, (uint32_t)r) * 2 * sites;
        for (size_t i = 0; i < sites; i++) {
            const double n = from[i], m = from[sites + i], cubic = gamma * n * (N - n) / ((N - 1) * (N - 2));
            const double p[6] = {cubic * (n - 1),         cubic * (N - 1 - n),           gamma * (N - n) * m / N,
                                 gamma * n * (N - m) / N, gamma * (N - n) * (N - m) / N, gamma * n * m / N};
            for (int c = 0; c < 6; c++) {
                const double old = (c < 4 ? n - to[i] : m - to[sites + i]), new = old + sign[c];
                cr_assert_lt(p[c] * params[rate[c]], 1.0);
                if (rate[c] == k) slope += p[c] / 6.0 * (new *new - old *old);
            }
        }
    }
    return slope;
}

Test(gradcheck, differences_meet_the_closed_form_of_reactions)
{
    const char *settings =
        "model=mk task=transition lattice.height=8 lattice.width=8 lattice.gamma=0.02 replicates=4 "
        "data.generate.runs=2 "
        "data.generate.steps=10 data.generate.params.D_A=0.1 data.generate.params.D_B=0.4 data.generate.params.k1=0.9 "
        "data.generate.params.k2=0.1 data.generate.params.k3=0.2 params.D_A=0 params.D_B=0 params.k1.start=0.9 "
        "params.k2.start=0.4 params.k3.start=0.5";
    lg_reference differences;
    lg_problem *problem;
    double point[LG_MAX_PARAMS];
    lg_config *config = configure(settings);
    cr_assert_eq(lg_problem_create(ctx, config, &problem), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_start(problem, 0, point);
    cr_assert_eq(lg_gradcheck_differences(ctx, config, 5, 3000, &differences), LG_OK, "%s", lg_context_message(ctx));
    lg_gradcheck *c = check(settings, &(lg_gradcheck_options){.runs = 3000, .estimators = "score,fd"});
    for (int k = 2; k < 5; k++) {
        const double closed = reaction_slope(&problem->job, point, k);
        const lg_gradcheck_row *score = find(c, "score", problem->job.model->param[k].name);
        cr_assert(fabs(differences.gradient[k] - closed) <= 5.0 * differences.error[k], "k%d: %g +- %g, closed form %g",
                  k - 1, differences.gradient[k], differences.error[k], closed);
        cr_assert_lt(differences.error[k], 0.1 * fabs(closed), "k%d: +- %g of %g", k - 1, differences.error[k], closed);
        cr_assert(fabs(score->mean - closed) <= 5.0 * score->error, "k%d by score: %g +- %g, closed form %g", k - 1,
                  score->mean, score->error, closed);
    }
    lg_gradcheck_free(c);
    lg_problem_free(problem);
    lg_config_free(config);
}

Test(gradcheck, table_of_the_news)
{
    lg_gradcheck_info info;
    lg_gradcheck *c = check(SI "loss=count", NULL);
    lg_gradcheck_describe(c, &info);
    cr_assert_eq(info.rows, 5);
    cr_assert_eq(info.failed, 0);
    cr_assert_eq(info.runs, 200);
    cr_assert(strstr(info.reference, "closed form"));
    cr_assert(strstr(info.left_out, "exact: "));
    const lg_gradcheck_row *score = find(c, "score", "beta"), *gs = find(c, "gs", "beta");
    cr_assert_lt(fabs(score->bias), 5.0 * score->bias_error);
    cr_assert_lt(gs->relative_bias, -0.05);
    cr_assert(isinf(gs->samples) && isfinite(score->samples) && score->samples > 1.0);
    cr_assert(score->sign > 0.5 && score->sign <= 1.0 && score->seconds > 0.0);
    cr_assert_null(lg_gradcheck_at(c, 5));
    lg_gradcheck_free(c);
}

Test(gradcheck, table_of_the_walk)
{
    lg_gradcheck_info info;
    lg_gradcheck *c = check(PRW, &(lg_gradcheck_options){.runs = 100, .estimators = "gs,score,exact"});
    lg_gradcheck_describe(c, &info);
    cr_assert_eq(info.rows, 6);
    cr_assert_eq(info.failed, 0);
    cr_assert_float_eq(find(c, "exact", "p_center")->cosine, 1.0, 1e-4);
    cr_assert_gt(find(c, "gs", "p_resample")->relative_bias, 0.5);
    lg_gradcheck_free(c);
}

/* Estimators at the edge, and zero gradients with their reasons. */
Test(gradcheck, zeros_are_explained)
{
    const lg_gradcheck_options options = {.runs = 20, .reference_runs = 20, .estimators = "ste,score,fd"};
    lg_gradcheck *c = check(MK "params.D_A.start=0 params.D_A.bounds=[0,1]", &options);
    const lg_gradcheck_row *row = find(c, "ste", "D_A");
    cr_assert_eq(row->mean, 0.0);
    cr_assert(strstr(row->note, "at D = 0 every plane stays"), "%s", row->note);
    lg_gradcheck_free(c);
    c = check(SI "params.beta.start=0 params.beta.bounds=[0,1] loss=count", &options);
    row = find(c, "score", "beta");
    cr_assert(!row->pass && strstr(row->note, "never comes up"), "%s", row->note);
    lg_gradcheck_free(c);
}

static void explained(const char *settings, const char *estimator, const char *param, const char *why)
{
    char list[40];
    snprintf(list, sizeof list, "%s,fd", estimator); /* fd sees what the others do not */
    lg_gradcheck *c = check(settings, &(lg_gradcheck_options){.runs = 20, .reference_runs = 20, .estimators = list});
    const lg_gradcheck_row *row = find(c, estimator, param);
    cr_assert(strstr(row->note, why), "%s, %s: \"%s\", mean %g, sd %g", settings, estimator, row->note, row->mean,
              row->sd);
    if (strcmp(estimator, "score") != 0) /* which sees part of the events */
        cr_assert(!isfinite(row->mean) || row->mean == 0.0, "%s, %s: %g", settings, estimator, row->mean);
    lg_gradcheck_free(c);
}

/* At the ends of each parameter of each model: every gradient that vanishes or is not finite has its reason. */
Test(gradcheck, ends_are_explained)
{
    explained(MK "params.D_A.start=1 params.D_A.bounds=[0,1]", "gs", "D_A", "at D = 1 no plane stays");
    explained(MK "params.D_A.start=1 params.D_A.bounds=[0,1]", "score", "D_A", "at D = 1 no plane ever stays");
    explained(MK "params.D_A.start=0 params.D_A.bounds=[0,1]", "score", "D_A", "at D = 0 no plane ever moves");
    explained(MK "params.D_A.start=0.1 params.k2.start=0 params.k2.bounds=[0,1]", "gs", "k2",
              "at 0 the probability is clamped");
    explained(SI "params.beta.start=0 params.beta.bounds=[0,1]", "gs", "beta", "at 0 the probability is clamped");
    explained(SI "params.beta.start=1 params.beta.bounds=[0,1]", "gr", "beta", "at 1 the probability is clamped");
    explained(SI "loss=nll params.beta.start=0 params.beta.bounds=[0,1]", "exact", "beta", "a site turned aware");
    explained(SI "loss=nll params.beta.start=1 params.beta.bounds=[0,1]", "exact", "beta", "a site stayed unaware");
    explained(PRW "params.p_center.start=0 params.p_center.transform=none params.p_center.bounds=[0,1]", "exact",
              "p_center", "dp/dlogit = p (1 - p) is 0");
    explained(PRW "params.p_resample.start=1 params.p_resample.transform=none params.p_resample.bounds=[0,1]", "gs",
              "p_resample", "dp/dlogit = p (1 - p) is 0");
}

/* Adjoints that have grown, but are numbers still, are named too; a parameter that is held fixed has no row. */
Test(gradcheck, growing_adjoints_and_fixed_parameters)
{
    lg_gradcheck_info info;
    const lg_gradcheck_options options = {.runs = 10, .reference_runs = 20, .estimators = "ste"};
    lg_gradcheck *c =
        check("model=si task=trajectory lattice.height=48 lattice.width=48 steps=50 params.beta.start=0.3 "
              "data.generate.params.beta=0.2 data.generate.steps=50 data.generate.runs=4 replicates=4",
              &options);
    cr_assert(strstr(lg_gradcheck_at(c, 0)->note, "adjoints grow from step to step, over 50 steps"), "%s",
              lg_gradcheck_at(c, 0)->note);
    lg_gradcheck_free(c);
    c = check(PRW "params.p_center=0.4", &options);
    lg_gradcheck_describe(c, &info);
    cr_assert_eq(info.rows, 1);
    cr_assert_str_eq(lg_gradcheck_at(c, 0)->param, "p_resample");
    lg_gradcheck_free(c);
}

/* ste over many steps of a spreading front overflows: found, failed and explained. */
Test(gradcheck, overflow_fails)
{
    lg_gradcheck_info info;
    const lg_gradcheck_options options = {.runs = 10, .reference_runs = 10, .estimators = "ste"};
    lg_gradcheck *c =
        check("model=si task=stability lattice.height=3 lattice.width=400 steps=300 params.beta.start=0.05 "
              "data.generate.params.beta=0.05 data.generate.steps=150 data.generate.runs=1 replicates=1",
              &options);
    lg_gradcheck_describe(c, &info);
    cr_assert_eq(info.failed, 1, "mean %g", lg_gradcheck_at(c, 0)->mean);
    cr_assert(strstr(lg_gradcheck_at(c, 0)->note, "adjoints grew"), "%s", lg_gradcheck_at(c, 0)->note);
    lg_gradcheck_free(c);
}

static void refused(const char *settings, const lg_gradcheck_options *options, lg_status code, const char *part)
{
    lg_gradcheck *c;
    lg_config *config = configure(settings);
    const lg_status status = lg_gradcheck_create(ctx, config, options, &c);
    cr_assert_eq(status, code, "%s: %s", lg_status_name(status), lg_context_message(ctx));
    cr_assert(strstr(lg_context_message(ctx), part), "%s", lg_context_message(ctx));
    lg_config_free(config);
}

Test(gradcheck, refusals)
{
    refused(SI, &(lg_gradcheck_options){.estimators = "ste,skore"}, LG_ERR_USAGE, "did you mean score?");
    refused(SI, &(lg_gradcheck_options){.runs = 3}, LG_ERR_RANGE, "10 or more");
    refused(SI, &(lg_gradcheck_options){.estimators = "exact"}, LG_ERR_UNSUPPORTED, "model si with loss nll");
    refused(SI "task=simulate", NULL, LG_ERR_UNSUPPORTED, "simulate");
    refused(SI "ensemble.starts=random ensemble.size=2", NULL, LG_ERR_UNSUPPORTED, "leave ensemble.* out");
}
