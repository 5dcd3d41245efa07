/* Schering et al. 2024, figure 2: SI, beta from one-step transitions of generated runs.
 *
 * Squared error summed over sites and minibatch, minibatch 128, start 0.5. Per true beta: gradient descent with lr 1e-7
 * (ste), Adam (ste), gradient descent with gs for its bias, and the exact maximum of the likelihood to compare with. */
#include "cli/reproduce.h"

#include <math.h>
#include <stdlib.h>

#define SGD "optimizer.name=sgd\noptimizer.lr=1e-7\noptimizer.schedule=constant\n"

enum { CASES = 4, MINIBATCH = 128, ADAM_ITERATIONS = 300 };

typedef struct si_case {
    double beta;
    int runs, steps, epochs, quick_epochs;
} si_case;

/* The largest beta needs more than 150 epochs: few sites at an edge tell 0.7 from 0.8. Quick runs leave it to Adam. */
static const si_case cases[CASES] = {{0.05, 100, 50, 150, 40},
                                     {0.2, 100, 50, 150, 40},
                                     {0.4, 100, 50, 150, 40},
                                     {0.8, 200, 30, 400, 0}};

typedef struct si_run {
    lg_repro *r;
    const si_case *c;
    double bound;         /* relative */
    int64_t pairs, epoch; /* pairs in the data; iterations of an epoch */
    figure *fig;
    figure_colour colour;
    double ste; /* estimate of gradient descent with ste; of Adam where that was not run */
} si_run;

static lg_status si_problem(const si_run *s, lg_problem **out, const char *loss, int64_t replicates, double start,
                            const char *more)
{
    return lg_repro_problem(
        s->r, out,
        "model=si\ntask=transition\nestimator.method=pathwise\nlattice.height=64\nlattice.width=64\n"
        "data.generate.runs=%d\n"
        "data.generate.steps=%d\ndata.generate.params.beta=%.17g\nparams.beta.start=%.17g\nloss=%s\n"
        "replicates=%lld\n%s",
        s->c->runs, s->c->steps, s->c->beta, start, loss, (long long)replicates, more);
}

/* Fits, adds the trace (over epochs) to a panel, and gives the mean of the last tenth of the iterates. */
static lg_status si_fit(si_run *s, const char *label, const char *more, int panel, lg_result **result, double *estimate)
{
    char text[64];
    double sd;
    lg_problem *problem = NULL;
    lg_status status = si_problem(s, &problem, "sse", MINIBATCH, 0.5, more);
    snprintf(text, sizeof text, "si %g, %s", s->c->beta, label);
    if (!status) status = lg_repro_fit(s->r, problem, text, result);
    lg_problem_free(problem);
    if (status) return status;
    lg_result_tail(*result, 0, lg_result_iterations(*result, 0) / 10, estimate, &sd);
    figure_panel *p = &s->fig->panel[panel];
    snprintf(text, sizeof text, "%g", s->c->beta);
    p->x_range[1] = fmax(p->x_range[1], (double)lg_result_iterations(*result, 0));
    status = lg_figure_add_trace(s->r->cli, s->fig, p, *result, 1, 0, 1, FIGURE_LINE, s->colour, text);
    figure_add(s->fig, p, &(figure_series){.style = FIGURE_LEVEL, .colour = s->colour, .n = 1, .y = &s->c->beta});
    return status;
}

static void check_estimate(const si_run *s, const char *method, double estimate)
{
    char what[96], asked[64];
    snprintf(what, sizeof what, "beta %g, %s", s->c->beta, method);
    snprintf(asked, sizeof asked, "within %.3g %% of %g", 100 * s->bound, s->c->beta);
    lg_repro_check(s->r, "si", what, asked, fabs(estimate - s->c->beta) <= s->bound * s->c->beta, "%.5f (%+.2f %%)",
                   estimate, 100 * (estimate / s->c->beta - 1));
}

static lg_status gradient_descent(si_run *s, int epochs)
{
    char more[160], what[96], name[64];
    double estimate;
    lg_result *result = NULL;
    snprintf(more, sizeof more, SGD "estimator.binary=ste\nepochs=%d\n", epochs);
    lg_status status = si_fit(s, "sgd", more, 0, &result, &estimate);
    if (!status) {
        snprintf(what, sizeof what, "sgd, %d epochs", epochs);
        check_estimate(s, what, estimate);
        s->ste = estimate;
        const int64_t settled = lg_repro_settled(result, 0, 1, 0, s->epoch, s->c->beta, s->bound * s->c->beta);
        snprintf(what, sizeof what, "beta %g, sgd: epochs until it keeps within %.3g %%", s->c->beta, 100 * s->bound);
        if (settled < 0) lg_repro_note(s->r, "si", what, "not within %d", epochs);
        else lg_repro_note(s->r, "si", what, "%lld", (long long)(settled / s->epoch));
        snprintf(name, sizeof name, "si_beta%g_sgd.csv", s->c->beta);
        status = lg_repro_write_trace(s->r, result, name);
    }
    lg_result_free(result);
    return status;
}

static const char *const adam =
    "optimizer.name=adam\noptimizer.lr=0.05\noptimizer.schedule=cosine\nestimator.binary=ste\niterations=300\n";

static lg_status adam_fit(si_run *s)
{
    char what[96], name[64];
    double estimate;
    lg_result *result = NULL;
    lg_status status = si_fit(s, "adam", adam, 1, &result, &estimate);
    if (!status) {
        snprintf(what, sizeof what, "adam, %d iterations", ADAM_ITERATIONS);
        check_estimate(s, what, estimate);
        if (!(s->ste > 0)) s->ste = estimate;
        snprintf(name, sizeof name, "si_beta%g_adam.csv", s->c->beta);
        status = lg_repro_write_trace(s->r, result, name);
    }
    lg_result_free(result);
    return status;
}

/* gs has its zero of the expected gradient away from the truth: the bias is reported, not asked for. */
static lg_status gs_fit(si_run *s, int epochs)
{
    char more[160], what[96], name[64];
    double estimate;
    lg_result *result = NULL;
    snprintf(more, sizeof more, SGD "estimator.binary=gs\nepochs=%d\n", epochs);
    lg_status status = si_fit(s, "gs", more, 2, &result, &estimate);
    if (!status) {
        snprintf(what, sizeof what, "beta %g, sgd with gs, %d epochs: bias", s->c->beta, epochs);
        lg_repro_note(s->r, "si", what, "%.5f (%+.2f %%)", estimate, 100 * (estimate / s->c->beta - 1));
        snprintf(name, sizeof name, "si_beta%g_gs.csv", s->c->beta);
        status = lg_repro_write_trace(s->r, result, name);
    }
    lg_result_free(result);
    return status;
}

/* ---- the exact likelihood ------------------------------------------------------------------------------------- */

/* Root of the gradient of the negative log-likelihood over all pairs by the secant method, and the standard error
 * 1 / sqrt(observed Fisher information), the derivative of that gradient by a central difference. */
static lg_status maximum_likelihood(si_run *s, lg_problem *problem, double *beta, double *se)
{
    lg_context *ctx = s->r->cli->ctx;
    double loss, a = s->ste, b = s->ste < 0.5 ? s->ste * 1.01 : s->ste * 0.99, ga, gb, slope = 0;
    lg_status status = lg_evaluate(ctx, problem, 0, &a, &loss, &ga);
    if (!status) status = lg_evaluate(ctx, problem, 0, &b, &loss, &gb);
    for (int i = 0; i < 30 && !status && fabs(b - a) > 1e-9 && gb != ga; i++) {
        double next = b - gb * (b - a) / (gb - ga);
        next = fmin(fmax(next, 1e-4), 1 - 1e-4);
        a = b;
        ga = gb;
        b = next;
        status = lg_evaluate(ctx, problem, 0, &b, &loss, &gb);
    }
    const double h = 1e-3 * fmin(b, 1 - b), low = b - h, high = b + h;
    if (!status) status = lg_evaluate(ctx, problem, 0, &low, &loss, &ga);
    if (!status) status = lg_evaluate(ctx, problem, 0, &high, &loss, &gb);
    slope = (gb - ga) / (2 * h);
    *beta = b;
    *se = slope > 0 ? 1 / sqrt(slope) : NAN;
    return status;
}

static lg_status check_likelihood(si_run *s)
{
    char what[96];
    double beta = NAN, se = NAN;
    lg_problem *problem = NULL;
    lg_status status = si_problem(s, &problem, "nll", s->pairs, 0.5, "");
    if (!status) status = maximum_likelihood(s, problem, &beta, &se);
    lg_problem_free(problem);
    if (status) return status;
    snprintf(what, sizeof what, "beta %g, exact likelihood: estimate and standard error", s->c->beta);
    lg_repro_note(s->r, "si", what, "%.6f, %.6f", beta, se);
    snprintf(what, sizeof what, "beta %g, ste - likelihood, absolute", s->c->beta);
    lg_repro_check(s->r, "si", what, "<= 3 standard errors", fabs(s->ste - beta) <= 3 * se, "%.2f standard errors",
                   fabs(s->ste - beta) / se);
    return LG_OK;
}

/* ---- ensemble ------------------------------------------------------------------------------------------------- */

/* Adam from starts all over the interval. */
static lg_status ensemble(si_run *s)
{
    char what[96], more[256];
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    bool *pass = calloc((size_t)s->r->ensemble, sizeof *pass);
    if (!pass) return lg_cli_fail(s->r->cli, LG_ERR_MEMORY, "no memory for %lld fits", (long long)s->r->ensemble);
    snprintf(more, sizeof more, "%sensemble.starts=lhs\nensemble.size=%lld\n", adam, (long long)s->r->ensemble);
    lg_status status = si_problem(s, &problem, "sse", MINIBATCH, 0.5, more);
    if (!status) status = lg_repro_ensemble(s->r, problem, "si", &result);
    for (int f = 0; f < s->r->ensemble && !status; f++) {
        double mean, loss;
        lg_result_end(result, f, &mean, &loss);
        pass[f] = !lg_repro_failed(result, f) && fabs(mean - s->c->beta) <= s->bound * s->c->beta;
    }
    snprintf(what, sizeof what, "beta %g, adam, %lld starts: within %.3g %%", s->c->beta, (long long)s->r->ensemble,
             100 * s->bound);
    if (!status) status = lg_repro_fraction(s->r, "si", what, result, pass);
    lg_result_free(result);
    lg_problem_free(problem);
    free(pass);
    return status;
}

static lg_status run_case(si_run *s)
{
    const bool quick = s->r->quick;
    const int epochs = quick ? s->c->quick_epochs : s->c->epochs;
    s->pairs = (int64_t)s->c->runs * s->c->steps;
    s->epoch = (s->pairs + MINIBATCH - 1) / MINIBATCH;
    lg_status status = LG_OK;
    if (epochs) status = gradient_descent(s, epochs);
    if (!status) status = adam_fit(s);
    if (!status && epochs) status = gs_fit(s, epochs);
    if (!status && epochs) status = check_likelihood(s);
    if (!status && s->r->ensemble > 0) status = ensemble(s);
    return status;
}

lg_status lg_reproduce_si(lg_repro *r)
{
    static const char *const titles[] = {"gradient descent, ste", "Adam, ste", "gradient descent, gs"};
    static const figure_colour colours[CASES] = {FIGURE_BLUE, FIGURE_ORANGE, FIGURE_GREEN, FIGURE_PINK};
    figure fig;
    figure_init(&fig, 1, 3);
    figure_text(fig.title, "SI: fits of β; colours and dashed lines stand for the true values");
    for (int i = 0; i < 3; i++) {
        figure_text(fig.panel[i].title, "%s", titles[i]);
        figure_text(fig.panel[i].x_label, "iteration");
        figure_text(fig.panel[i].y_label, "β");
        fig.panel[i].legend = "above";
        fig.panel[i].y_range[1] = 1;
    }
    lg_status status = LG_OK;
    for (int i = 0; i < CASES && !status; i++) {
        si_run s = {.r = r, .c = &cases[i], .bound = r->quick ? 0.03 : 0.01, .fig = &fig, .colour = colours[i]};
        status = run_case(&s);
    }
    if (!status) status = lg_repro_render(r, &fig, "si.png");
    figure_free(&fig);
    return status;
}
