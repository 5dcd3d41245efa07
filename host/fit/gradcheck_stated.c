/* What is stated of the estimators, and why gradients vanish. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fit/gradcheck.h"

enum { ANY = -1, PAIRS = LG_TASK_transition };

/* The first row that fits counts. A finite difference at one step h is off by some h^2. */
static const struct {
    const char *estimator;
    int model, task;
    lg_expectation what;
    double slack;
} stated[] = {
    {"exact", LG_MODEL_PRW, ANY, LG_EXPECT_outcome, 1e-6},
    {"exact", ANY, ANY, LG_EXPECT_unbiased, 1e-9},
    {"score", ANY, ANY, LG_EXPECT_unbiased, 0.0},
    {"fd", ANY, ANY, LG_EXPECT_unbiased, 0.02},
    {"ste", LG_MODEL_SI, PAIRS, LG_EXPECT_outcome, 1e-6},
    {"gr", ANY, ANY, LG_EXPECT_as_gs, 0.0},
    {"gs", LG_MODEL_PRW, ANY, LG_EXPECT_sign, 0.0},
    {"ste", ANY, ANY, LG_EXPECT_biased, 0.0},
    {"gs", ANY, ANY, LG_EXPECT_biased, 0.0},
};

lg_stated lg_gradcheck_stated(const char *estimator, const lg_job *job, bool closed_form)
{
    for (size_t i = 0; i < sizeof stated / sizeof *stated; i++) {
        if (strcmp(stated[i].estimator, estimator) != 0) continue;
        if (stated[i].model != ANY && stated[i].model != (int)job->model->id) continue;
        if (stated[i].task != ANY && stated[i].task != (int)job->task) continue;
        if (stated[i].what == LG_EXPECT_outcome && !closed_form) continue;
        return (lg_stated){estimator, stated[i].what, stated[i].slack};
    }
    return (lg_stated){estimator, LG_EXPECT_biased, 0.0};
}

const char *lg_expectation_text(lg_expectation what)
{
    static const char *const text[] = {[LG_EXPECT_biased] = "biased",
                                       [LG_EXPECT_unbiased] = "unbiased",
                                       [LG_EXPECT_outcome] = "gradient of L(E y)",
                                       [LG_EXPECT_sign] = "right sign",
                                       [LG_EXPECT_as_gs] = "mean of gs"};
    return text[what];
}

static const char *edge(const lg_job *job, const char *estimator, int i, double p)
{
    const bool score = strcmp(estimator, "score") == 0;
    const bool diffusion = job->model->id == LG_MODEL_MK && i < 2;
    if (p > 0.0 && p < 1.0) return NULL;
    if (job->loss == LG_LOSS_nll)
        return p > 0.0 ? "the likelihood is 0: a site stayed unaware beside an aware one, which cannot be at 1"
                       : "the likelihood is 0: a site turned aware, which cannot be at 0";
    if (job->model->id == LG_MODEL_PRW) return "the gradient is by logit p, and dp/dlogit = p (1 - p) is 0 here";
    if (diffusion && score)
        return p > 0.0 ? "at D = 1 no plane ever stays, and what never comes up has no score"
                       : "at D = 0 no plane ever moves, and what never comes up has no score";
    if (diffusion)
        return p > 0.0 ? "at D = 1 no plane stays: no direction noise depends on D"
                       : "at D = 0 every plane stays: no direction noise depends on D";
    if (p > 0.0)
        return score ? "at 1 an event of probability 1 has no score"
                     : "at 1 the probability is clamped: gs has no derivative there";
    if (score) return "at 0 the event never comes up, and what never comes up has no score";
    return "at 0 the probability is clamped: gs has no derivative there";
}

void lg_gradcheck_explain(const lg_job *job, const char *estimator, int param, const double *params, double mean,
                          char *text, size_t size)
{
    const char *why = edge(job, estimator, param, params[param]);
    const char *name = job->model->param[param].name;
    if (why) snprintf(text, size, "%s = %g: %s", name, params[param], why);
    else if (!isfinite(mean) && job->model->id == LG_MODEL_SI && job->steps > 1)
        snprintf(text, size, "adjoints grew past the largest number over %u steps: fewer steps, or score", job->steps);
    else if (!isfinite(mean) && job->loss == LG_LOSS_log_sse)
        snprintf(text, size, "log 0: a run ended in the reference state itself");
    else if (!isfinite(mean)) snprintf(text, size, "a loss or an adjoint was not finite in some run");
    else if (job->model->id == LG_MODEL_PRW && job->v0_const && params[1] < 1e-3)
        snprintf(text, size, "no velocity was drawn anew in any run");
    else snprintf(text, size, "no draw that depends on %s reached the loss in any run", name);
}
