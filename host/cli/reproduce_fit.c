/* The problems, fits and files of an experiment. */
#include "cli/reproduce.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* ---- problems and fits ---------------------------------------------------------------------------------------- */

lg_status lg_repro_problem(lg_repro *r, lg_problem **out, const char *format, ...)
{
    char lines[4096];
    lg_config *config = NULL;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(lines, sizeof lines, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof lines) return lg_cli_fail(r->cli, LG_ERR_INTERNAL, "too many settings");
    lg_status status = lg_config_create(r->cli->ctx, &config);
    if (!status) status = lg_cli_apply_lines(r->cli, config, lines);
    if (!status) status = lg_cli_apply_settings(r->cli, config);
    if (!status) status = lg_problem_create(r->cli->ctx, config, out);
    lg_config_free(config);
    return status ? status : lg_repro_go_on(r);
}

/* NAME-1.ckpt, NAME-2.ckpt, ...: the fits of an experiment in their order. */
static void checkpoint_path(const lg_repro *r, const char *experiment, int fit, char path[LG_REPRO_PATH])
{
    char name[64];
    snprintf(name, sizeof name, "%s-%d.ckpt", experiment, fit);
    lg_repro_path(r, name, path);
}

/* The newest, or the one before it where the run was killed between the two names. */
static bool has_checkpoint(const lg_repro *r, const char *experiment, int fit)
{
    char path[LG_REPRO_PATH], previous[LG_REPRO_PATH + 2];
    checkpoint_path(r, experiment, fit, path);
    snprintf(previous, sizeof previous, "%s.1", path);
    return access(path, F_OK) == 0 || access(previous, F_OK) == 0;
}

bool lg_repro_interrupted(const lg_repro *r, const char *experiment)
{
    return has_checkpoint(r, experiment, 1);
}

/* Their number is not known where an interrupted run is replaced: one after the other, until there is none. */
lg_status lg_repro_forget(lg_repro *r, const char *experiment)
{
    char path[LG_REPRO_PATH];
    lg_status status = LG_OK;
    for (int fit = 1; !status && has_checkpoint(r, experiment, fit); fit++) {
        checkpoint_path(r, experiment, fit, path);
        status = lg_checkpoint_remove(r->cli->ctx, path);
    }
    return status;
}

static double time_left(const lg_repro *r)
{
    return r->time_limit - (lg_cli_clock() - r->began);
}

lg_status lg_repro_go_on(lg_repro *r)
{
    if (lg_cli_signal()) return lg_cli_fail(r->cli, LG_ERR_STOPPED, "stopped by a signal; the fits are kept");
    /* the runs between two looks take seconds at most */
    if (r->time_limit > 0 && time_left(r) <= fmin(5, 0.02 * r->time_limit))
        return lg_cli_fail(r->cli, LG_ERR_STOPPED, "the time limit was near; the fits are kept");
    return LG_OK;
}

/* Every fit leaves a checkpoint, also when it is done: a reproduction that goes on takes its result from there. */
static lg_status run_fit(lg_repro *r, lg_problem *problem, const char *label, bool some_may_fail, lg_result **out)
{
    char path[LG_REPRO_PATH];
    lg_cli_progress line;
    lg_fit_options options;
    lg_status status = lg_repro_go_on(r);
    if (status) return status;
    lg_problem_fit_options(problem, &options);
    checkpoint_path(r, r->experiment, ++r->fits, path);
    options.checkpoint = path;
    options.checkpoint_end = true;
    options.resume = r->resume && has_checkpoint(r, r->experiment, r->fits);
    options.force = true;
    if (r->time_limit > 0) options.time_limit = fmax(1e-3, time_left(r));
    lg_cli_progress_begin(&line, r->cli, problem, label);
    status = lg_fit_run(r->cli->ctx, problem, &options, lg_cli_progress_show, &line, out);
    lg_cli_progress_end(&line);
    if (status) return status;
    lg_problem_info info;
    lg_problem_describe(problem, &info);
    for (int f = 0; f < info.fits && !some_may_fail; f++)
        if (lg_result_status(*out, f) == LG_FIT_NOT_FINITE)
            return lg_cli_fail(r->cli, LG_ERR_NUMERIC, "%s: %s", label, lg_result_reason(*out, f));
    return LG_OK;
}

lg_status lg_repro_fit(lg_repro *r, lg_problem *problem, const char *label, lg_result **out)
{
    return run_fit(r, problem, label, false, out);
}

lg_status lg_repro_ensemble(lg_repro *r, lg_problem *problem, const char *experiment, lg_result **out)
{
    char label[48];
    snprintf(label, sizeof label, "%s, ensemble", experiment);
    return run_fit(r, problem, label, true, out);
}

bool lg_repro_failed(const lg_result *result, int fit)
{
    return lg_result_status(result, fit) == LG_FIT_NOT_FINITE;
}

lg_status lg_repro_fraction(lg_repro *r, const char *experiment, const char *what, const lg_result *result,
                            const bool *pass)
{
    lg_summary s;
    const lg_status status = lg_result_summary(r->cli->ctx, result, &s);
    int passed = 0;
    for (int f = 0; f < s.fits && !status; f++) passed += pass[f];
    if (status) return status;
    lg_repro_note(r, experiment, what, "%d of %d (%.0f %%) pass; %d optim%s, %d failed", passed, s.fits,
                  100.0 * passed / s.fits, s.optima, s.optima == 1 ? "um" : "a", s.failed);
    return LG_OK;
}

void lg_repro_path(const lg_repro *r, const char *name, char path[LG_REPRO_PATH])
{
    snprintf(path, LG_REPRO_PATH, "%s/%s", r->dir, name);
}

lg_status lg_repro_write_trace(lg_repro *r, const lg_result *result, const char *name)
{
    char path[LG_REPRO_PATH];
    lg_repro_path(r, name, path);
    return lg_result_write_trace(r->cli->ctx, result, path, r->cli->force);
}

/* A missing gnuplot costs the figure, not the experiment. */
lg_status lg_repro_render(lg_repro *r, figure *fig, const char *name)
{
    char path[LG_REPRO_PATH];
    lg_repro_path(r, name, path);
    const lg_status status = figure_render(r->cli->ctx, fig, path, r->cli->force);
    if (status != LG_ERR_LIBRARY) return status;
    fprintf(stderr, "latgrad: no figure: %s\n", lg_context_message(r->cli->ctx));
    return LG_OK;
}

int64_t lg_repro_settled(const lg_result *result, int fit, int params, int param, int64_t block, double truth,
                         double tolerance)
{
    const double *trace = lg_result_trace(result, fit);
    const int64_t blocks = lg_result_iterations(result, fit) / block;
    for (int64_t b = blocks; b-- > 0;) {
        double mean = 0;
        for (int64_t i = b * block; i < (b + 1) * block; i++)
            mean += trace[i * (params + 3) + 1 + param] / (double)block;
        if (!(fabs(mean - truth) <= tolerance)) return b + 1 < blocks ? (b + 1) * block : -1;
    }
    return 0;
}
