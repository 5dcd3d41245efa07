/* Schering et al. 2024, figure 3: random walk, (p_center, p_resample) from MSD curves; 1,500 walkers, 10 steps, Adam
 * with lr 0.01, gs.
 *   A        a curve of 15,000 simulated walkers
 *   B, C, D  T cells, B cells, neutrophils (Wortel et al. 2021); one lag = 24 s = 1 step, spacing^2 = 10 um^2 */
#include "cli/reproduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LAGS = 10, CELLS = 3 };

typedef struct prw_case {
    const char *name, *title, *file;
    double p_center, p_resample, rmse; /* least-squares optimum as published with the experiments */
} prw_case;

/* clang-format off */
static const prw_case cells[CELLS] = {
    {"B", "T cells", "msd_tcells.csv", 0.272, 0.616, 0.138},
    {"C", "B cells", "msd_bcells.csv", 0.833, 0.201, 0.106},
    {"D", "neutrophils", "msd_neutrophils.csv", 0.172, 0.291, 0.863},
};
/* clang-format on */

static const double true_center = 0.2, true_resample = 0.1;
static const double spacing2 = 10; /* um^2 */

static lg_status prw_problem(lg_repro *r, lg_problem **out, const char *data, double center, double resample,
                             int64_t iterations)
{
    return lg_repro_problem(
        r, out,
        "model=prw\ntask=trajectory\nsteps=%d\nreplicates=1500\nestimator.method=pathwise\nestimator.binary=gs\n"
        "optimizer.name=adam\noptimizer.lr=0.01\noptimizer.schedule=constant\n"
        "params.p_center.start=%g\nparams.p_center.transform=logit\nparams.p_resample.start=%g\n"
        "params.p_resample.transform=logit\niterations=%lld\n%s",
        LAGS, center, resample, (long long)iterations, data);
}

/* Least squares of the closed form: a grid over the unit square, refined around its best point. */
static double least_squares(const double *target, double *center, double *resample)
{
    enum { GRID = 60, ROUNDS = 12 };
    double low[2] = {1e-4, 1e-4}, high[2] = {1 - 1e-4, 1 - 1e-4}, best = INFINITY, at[2] = {0.5, 0.5};
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i <= GRID; i++) {
            for (int j = 0; j <= GRID; j++) {
                const double c = low[0] + (high[0] - low[0]) * i / GRID, p = low[1] + (high[1] - low[1]) * j / GRID;
                const double rmse = lg_msd_rmse(c, p, target, LAGS);
                if (!(rmse < best)) continue;
                best = rmse;
                at[0] = c;
                at[1] = p;
            }
        }
        for (int k = 0; k < 2; k++) { /* a fifth of the interval around the best point */
            const double half = 0.1 * (high[k] - low[k]);
            low[k] = fmax(1e-4, at[k] - half);
            high[k] = fmin(1 - 1e-4, at[k] + half);
        }
    }
    *center = at[0];
    *resample = at[1];
    return best;
}

/* Top: the curve and the closed form at `mean`; bottom: the traces, with the values they should reach. */
static lg_status add_panels(lg_repro *r, figure *fig, int column, const char *title, const lg_msd *data,
                            const lg_problem *problem, const lg_result *result, const double *mean, const double *truth)
{
    lg_msd_view view;
    const int columns = fig->cols;
    lg_status status = lg_msd_view_create(r->cli, problem, data, spacing2, mean[0], mean[1], &view);
    if (status) return status;
    figure_panel *top = &fig->panel[column], *bottom = &fig->panel[columns + column];
    figure_text(top->title, "%s", title);
    lg_figure_add_msd(fig, top, &view);
    lg_msd_view_clear(&view);
    figure_text(bottom->x_label, "iteration");
    figure_text(bottom->y_label, "parameter");
    bottom->legend = "above";
    bottom->y_range[1] = 1;
    static const char *const names[] = {"p_center", "p_resample"};
    for (int p = 0; p < 2 && !status; p++) {
        const figure_colour colour = p ? FIGURE_ORANGE : FIGURE_BLUE;
        status = lg_figure_add_trace(r->cli, fig, bottom, result, 2, 0, 1 + p, FIGURE_LINE, colour, names[p]);
        figure_add(fig, bottom, &(figure_series){.style = FIGURE_LEVEL, .colour = colour, .n = 1, .y = &truth[p]});
    }
    return status;
}

/* ---- ensembles ------------------------------------------------------------------------------------------------ */

static bool near_truth(const double *mean, double scale)
{
    return fabs(mean[0] - true_center) <= 0.01 * scale && fabs(mean[1] - true_resample) <= 0.005 * scale;
}

/* Starts all over the unit square, otherwise as the single fit and judged as that: simulated walks pass where the truth is
 * found, measured ones where the closed form at the estimate is close enough to its optimum. */
static lg_status ensemble(lg_repro *r, const char *name, const char *data, int64_t iterations, int64_t tail,
                          bool measured)
{
    char more[LG_REPRO_PATH + 192], what[96];
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    double optimum[2], best = 0;
    const int64_t fits = r->ensemble;
    if (fits == 0) return LG_OK;
    bool *pass = calloc((size_t)fits, sizeof *pass);
    if (!pass) return lg_cli_fail(r->cli, LG_ERR_MEMORY, "no memory for %lld fits", (long long)fits);
    snprintf(more, sizeof more, "%sensemble.starts=lhs\nensemble.size=%lld\n", data, (long long)fits);
    lg_status status = prw_problem(r, &problem, more, 0.7, 0.7, iterations);
    if (!status) status = lg_repro_ensemble(r, problem, name, &result);
    if (!status && measured) best = least_squares(lg_problem_target(problem), &optimum[0], &optimum[1]);
    for (int f = 0; f < fits && !status; f++) {
        double mean[2], sd[2];
        lg_result_tail(result, f, tail, mean, sd);
        const bool good =
            measured ? lg_msd_rmse(mean[0], mean[1], lg_problem_target(problem), LAGS) <= (r->quick ? 3 : 2) * best
                     : near_truth(mean, r->quick ? 2 : 1);
        pass[f] = good && !lg_repro_failed(result, f);
    }
    snprintf(what, sizeof what, "ensemble of %lld starts: all of this", (long long)fits);
    if (!status) status = lg_repro_fraction(r, name, what, result, pass);
    lg_result_free(result);
    lg_problem_free(problem);
    free(pass);
    return status;
}

/* ---- A -------------------------------------------------------------------------------------------------------- */

static lg_status check_a(lg_repro *r, const lg_result *result, int64_t tail, double scale, double *mean)
{
    char asked[64];
    double sd[2];
    lg_result_tail(result, 0, tail, mean, sd);
    snprintf(asked, sizeof asked, "within %g of %g", 0.01 * scale, true_center);
    lg_repro_check(r, "prw A", "p_center, mean of the last steps", asked, fabs(mean[0] - true_center) <= 0.01 * scale,
                   "%.4f, sd of a step %.4f", mean[0], sd[0]);
    snprintf(asked, sizeof asked, "within %g of %g", 0.005 * scale, true_resample);
    lg_repro_check(r, "prw A", "p_resample, mean of the last steps", asked,
                   fabs(mean[1] - true_resample) <= 0.005 * scale, "%.4f, sd of a step %.4f", mean[1], sd[1]);
    const int64_t center = lg_repro_settled(result, 0, 2, 0, 100, true_center, 0.03);
    const int64_t resample = lg_repro_settled(result, 0, 2, 1, 100, true_resample, 0.015);
    lg_repro_note(r, "prw A", "steps until means of 100 keep within 0.03, 0.015", "%lld, %lld", (long long)center,
                  (long long)resample);
    return LG_OK;
}

static lg_status run_a(lg_repro *r, figure *fig)
{
    const double scale = r->quick ? 2 : 1, truth[2] = {true_center, true_resample};
    const int64_t iterations = r->quick ? 1500 : 5000, tail = r->quick ? 300 : 500;
    static const char data[] =
        "data.generate.runs=15000\ndata.generate.params.p_center=0.2\ndata.generate.params.p_resample=0.1\n";
    double mean[2];
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    lg_status status = prw_problem(r, &problem, data, 0.7, 0.7, iterations);
    if (!status) status = lg_repro_fit(r, problem, "prw A", &result);
    if (!status) status = check_a(r, result, tail, scale, mean);
    if (!status) status = add_panels(r, fig, 0, "A simulated", NULL, problem, result, mean, truth);
    if (!status) status = lg_repro_write_trace(r, result, "prw_A.csv");
    lg_result_free(result);
    lg_problem_free(problem);
    return status ? status : ensemble(r, "prw A", data, iterations, tail, false);
}

/* ---- B, C, D -------------------------------------------------------------------------------------------------- */

static void check_optimum(lg_repro *r, const prw_case *c, double rmse, const double *at)
{
    char name[16], asked[64];
    snprintf(name, sizeof name, "prw %s", c->name);
    snprintf(asked, sizeof asked, "(%.3f, %.3f; %.3f)", c->p_center, c->p_resample, c->rmse);
    const bool same =
        fabs(at[0] - c->p_center) < 0.001 && fabs(at[1] - c->p_resample) < 0.001 && fabs(rmse - c->rmse) < 0.001;
    lg_repro_check(r, name, "least squares of the closed form", asked, same, "(%.4f, %.4f; %.4f)", at[0], at[1], rmse);
}

static lg_status check_cells(lg_repro *r, const prw_case *c, const lg_problem *problem, const lg_result *result,
                             int64_t tail, double *mean, double *optimum)
{
    char name[16], asked[64], what[96];
    double sd[2];
    const double factor = r->quick ? 3 : 2, *target = lg_problem_target(problem);
    const double best = least_squares(target, &optimum[0], &optimum[1]);
    check_optimum(r, c, best, optimum);
    lg_result_tail(result, 0, tail, mean, sd);
    const double rmse = lg_msd_rmse(mean[0], mean[1], target, LAGS);
    snprintf(name, sizeof name, "prw %s", c->name);
    snprintf(what, sizeof what, "%s, RMSE at the mean of the last steps", c->title);
    snprintf(asked, sizeof asked, "<= %g x %.4f", factor, best);
    lg_repro_check(r, name, what, asked, rmse <= factor * best, "%.4f at (%.4f, %.4f)", rmse, mean[0], mean[1]);
    lg_repro_note(r, name, "standard deviation of the last steps", "(%.4f, %.4f)", sd[0], sd[1]);
    if (target[0] > 2) {
        lg_repro_note(r, name, "MSD at lag 1 is out of this model's reach", "%.2f > 2 sites^2", target[0]);
    }
    return LG_OK;
}

static lg_status run_cells(lg_repro *r, const prw_case *c, figure *fig, int column)
{
    const int64_t iterations = r->quick ? 3000 : 10000, tail = r->quick ? 500 : 1000;
    char path[LG_REPRO_PATH], data[LG_REPRO_PATH + 64], name[64], title[64];
    double mean[2], optimum[2];
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    lg_msd msd = {0};
    snprintf(path, sizeof path, "%s/%s", r->data, c->file);
    snprintf(data, sizeof data, "data.msd=%s\ndata.spacing2=%g\n", path, spacing2);
    snprintf(name, sizeof name, "prw %s", c->name);
    lg_status status = prw_problem(r, &problem, data, 0.7, 0.7, iterations);
    if (!status) status = lg_repro_fit(r, problem, name, &result);
    if (!status) status = check_cells(r, c, problem, result, tail, mean, optimum);
    snprintf(title, sizeof title, "%s %s", c->name, c->title);
    if (!status) status = lg_msd_read(r->cli->ctx, path, &msd);
    if (!status) status = add_panels(r, fig, column, title, &msd, problem, result, mean, optimum);
    lg_msd_clear(&msd);
    snprintf(name, sizeof name, "prw_%s.csv", c->name);
    if (!status) status = lg_repro_write_trace(r, result, name);
    lg_result_free(result);
    lg_problem_free(problem);
    snprintf(name, sizeof name, "prw %s", c->name);
    return status ? status : ensemble(r, name, data, iterations, tail, true);
}

lg_status lg_reproduce_prw(lg_repro *r)
{
    figure fig;
    figure_init(&fig, 2, 1 + CELLS);
    lg_status status = run_a(r, &fig);
    for (int i = 0; i < CELLS && !status; i++) status = run_cells(r, &cells[i], &fig, 1 + i);
    if (!status) status = lg_repro_render(r, &fig, "prw.png");
    figure_free(&fig);
    return status;
}
