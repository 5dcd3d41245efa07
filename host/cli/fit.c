/* latgrad fit: loads a configuration, runs the fit with a line of progress, writes its outputs, prints a table. */
#include "cli/cli.h"
#include "cli/ensemble_view.h"
#include "cli/fit_picture.h"
#include "cli/msd_view.h"
#include "cli/ranks.h"
#include "cli/resume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARAMS = 16, FITS_LISTED = 20 };

typedef struct fit_run {
    lg_cli *cli;
    lg_problem *problem;
    lg_problem_info info;
    lg_result *result;
    const char *file, *trace, *picture;
    bool is_msd; /* random walk fitted to an MSD curve */
    lg_cli_resume resume;
} fit_run;

static const char *output_key(const lg_cli *cli, const char *key)
{
    const char *path = lg_config_get(cli->config, key);
    return path && *path ? path : NULL;
}

static lg_status check_outputs(fit_run *r)
{
    lg_cli *cli = r->cli;
    lg_status status = cli->out ? lg_config_set(cli->ctx, cli->config, "output.file", cli->out) : LG_OK;
    if (status) return status;
    r->file = output_key(cli, "output.file");
    r->trace = output_key(cli, "output.trace");
    r->picture = output_key(cli, "output.picture");
    if (cli->print_config || cli->dry_run) return LG_OK;
    status = lg_cli_check_free(cli, "output.file", r->file);
    if (!status) status = lg_cli_check_free(cli, "output.trace", r->trace);
    if (!status) status = lg_cli_check_free(cli, "output.picture", r->picture);
    return status;
}

static void print_head(const fit_run *r)
{
    const lg_problem_info *i = &r->info;
    char memory[32];
    if (r->cli->quiet || r->cli->json) return;
    lg_cli_format_bytes(memory, sizeof memory, (double)i->total_bytes);
    printf("%s, %s fit, loss %s, on %s\n", i->model, i->task, i->loss, i->device);
    printf("%d fit%s x %lld replicates x %lld steps, %lld iterations, seed %llu, %s\n", i->fits,
           i->fits == 1 ? "" : "s", (long long)i->replicates, (long long)i->steps, (long long)i->iterations,
           (unsigned long long)i->seed, memory);
    if (lg_cluster_size(r->resume.cluster) > 1)
        printf("spread over %d processes\n", lg_cluster_size(r->resume.cluster));
    fflush(stdout);
}

/* ---- the table at the end ------------------------------------------------------------------------------------- */

/* The last tenth of the iterates of a fit. */
static int64_t tail_length(const lg_result *result, int fit)
{
    const int64_t n = lg_result_iterations(result, fit) / 10;
    return n > 0 ? n : 1;
}

static void estimate(const fit_run *r, int fit, double *mean, double *sd)
{
    lg_posterior posterior; /* a search has no iterates to take the mean of, and of few the last one counts */
    const bool last = lg_result_posterior(r->result, &posterior) || tail_length(r->result, fit) == 1;
    lg_result_tail(r->result, fit, last ? 0 : tail_length(r->result, fit), mean, sd);
}

/* One fit: its estimate with standard errors and intervals where there are some, else the scatter of the last iterates. */
static void print_one(const fit_run *r)
{
    double start[MAX_PARAMS], mean[MAX_PARAMS], sd[MAX_PARAMS], error[MAX_PARAMS], low[MAX_PARAMS], high[MAX_PARAMS];
    const bool errors = lg_result_errors(r->result, 0, error, low, high);
    lg_problem_start(r->problem, 0, start);
    estimate(r, 0, mean, sd);
    printf("\n%-12s %10s %10s %10s", "parameter", "start", "estimate", errors ? "s.e." : "sd");
    if (errors) printf(" %10s %10s", "2.5 %", "97.5 %");
    putchar('\n');
    for (int p = 0; p < r->info.params; p++) {
        printf("%-12s %10.5g ", lg_model_param(r->info.model_index, p)->name, start[p]);
        if (!lg_problem_is_fitted(r->problem, p)) printf("%10.5g %10s\n", start[p], "fixed");
        else if (!errors) printf("%10.5g %10.2g\n", mean[p], sd[p]);
        else if (isfinite(error[p])) printf("%10.5g %10.2g %10.5g %10.5g\n", mean[p], error[p], low[p], high[p]);
        else printf("%10.5g %10s\n", mean[p], "at bound");
    }
    const long long tail = tail_length(r->result, 0);
    if (errors) {
        if (tail > 1) printf("estimate: mean of the last %lld iterates; ", tail);
        printf("s.e. and 95 %% interval %s\n", lg_result_error_note(r->result));
    } else {
        if (tail > 1) printf("estimate, sd: mean and standard deviation of the last %lld iterates\n", tail);
        printf("standard errors: %s\n", lg_result_error_note(r->result));
    }
    printf("loss %.6g after %lld iterations in %.1f s (%s)\n", lg_result_loss(r->result, 0),
           (long long)lg_result_iterations(r->result, 0), lg_result_seconds(r->result), lg_result_reason(r->result, 0));
}

/* A search without gradients: its estimate, and of abc and abc_smc the posterior. */
static void print_search(const fit_run *r, const lg_posterior *posterior)
{
    const double *value = lg_result_params(r->result, 0), *last = posterior->generation;
    double start[MAX_PARAMS];
    lg_problem_start(r->problem, 0, start);
    printf("\n%-12s %10s %10s", "parameter", "start", "estimate");
    if (posterior->samples) printf(" %10s %10s %10s", "sd", "2.5 %", "97.5 %");
    putchar('\n');
    for (int p = 0; p < r->info.params; p++) {
        printf("%-12s %10.5g %10.5g", lg_model_param(r->info.model_index, p)->name, start[p], value[p]);
        if (!lg_problem_is_fitted(r->problem, p)) printf(" %10s", "fixed");
        else if (posterior->samples)
            printf(" %10.2g %10.5g %10.5g", posterior->sd[p], posterior->low[p], posterior->high[p]);
        putchar('\n');
    }
    if (posterior->samples)
        printf("weighted mean, sd and quantiles of %d samples (effective %.0f), prior uniform in the bounds\n",
               posterior->samples, posterior->effective);
    if (posterior->generations) last += 4 * (size_t)(posterior->generations - 1);
    printf("loss %.6g at the estimate after %.0f simulations in %.1f s (%s)\n", lg_result_loss(r->result, 0),
           posterior->generations ? last[1] : 0.0, lg_result_seconds(r->result), lg_result_reason(r->result, 0));
}

static void print_many(const fit_run *r)
{
    const int P = r->info.params, F = r->info.fits;
    double start[MAX_PARAMS], mean[MAX_PARAMS], sd[MAX_PARAMS], sum[MAX_PARAMS] = {0}, sum2[MAX_PARAMS] = {0};
    for (int f = 0; f < F; f++) {
        estimate(r, f, mean, sd);
        if (f == 0) {
            printf("\n%5s %-10s", "fit", "status");
            for (int p = 0; p < P; p++) printf(" %11s", lg_model_param(r->info.model_index, p)->name);
            printf(" %12s\n", "loss");
        }
        if (f < FITS_LISTED) printf("%5d %-10s", f + 1, lg_fit_status_name(lg_result_status(r->result, f)));
        for (int p = 0; p < P; p++) {
            if (f < FITS_LISTED) printf(" %11.5g", mean[p]);
            sum[p] += mean[p];
            sum2[p] += mean[p] * mean[p];
        }
        if (f < FITS_LISTED) printf(" %12.6g\n", lg_result_loss(r->result, f));
    }
    if (F > FITS_LISTED) printf("  ... %d more\n", F - FITS_LISTED);
    lg_problem_start(r->problem, 0, start);
    printf("\n%-12s %10s %10s %10s\n", "parameter", "start", "mean", "sd");
    for (int p = 0; p < P; p++) {
        const double m = sum[p] / F;
        printf("%-12s %10.5g ", lg_model_param(r->info.model_index, p)->name, start[p]);
        if (lg_problem_is_fitted(r->problem, p))
            printf("%10.5g %10.2g\n", m, sqrt(fmax(0, (sum2[p] - F * m * m) / (F - 1))));
        else printf("%10.5g %10s\n", start[p], "fixed");
    }
    printf("mean, sd: over the %d fits, of the means of their last tenths of iterates; %.1f s\n", F,
           lg_result_seconds(r->result));
}

static lg_status print_results(const fit_run *r, const lg_msd_view *view)
{
    if (r->cli->json) {
        char *json = NULL;
        const lg_status status = lg_result_json(r->cli->ctx, r->result, &json);
        if (!status) printf("%s\n", json);
        lg_free(json);
        return status;
    }
    lg_status status = LG_OK;
    lg_posterior posterior;
    if (lg_result_posterior(r->result, &posterior)) print_search(r, &posterior);
    else if (lg_result_is_ensemble(r->result)) status = lg_ensemble_print(r->cli, r->result, FITS_LISTED);
    else if (r->info.fits == 1) print_one(r);
    else print_many(r);
    if (view) printf("RMSE %.4g of the closed-form MSD at the estimate against the data (lattice units)\n", view->rmse);
    if (view && !r->cli->quiet) lg_msd_view_print(view, stdout);
    const char *paths[] = {r->file, r->trace, r->picture};
    for (int i = 0; i < 3 && !r->cli->quiet; i++) {
        if (paths[i]) printf("\nwrote %s", paths[i]);
    }
    if (!r->cli->quiet && (r->file || r->trace || r->picture)) putchar('\n');
    return status;
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static lg_status write_outputs(const fit_run *r, const lg_msd_view *view)
{
    lg_cli *cli = r->cli;
    lg_status status = LG_OK;
    if (r->file) status = lg_result_write(cli->ctx, r->result, r->file, cli->force);
    if (!status && r->trace) status = lg_result_write_trace(cli->ctx, r->result, r->trace, cli->force);
    if (!status && r->picture) status = lg_fit_picture(cli, r->problem, r->result, view, r->picture);
    return status;
}

/* Some fits of an ensemble may fail: the summary says how many did. */
static bool others_succeeded(const fit_run *r)
{
    lg_summary s;
    return lg_result_is_ensemble(r->result) && lg_result_summary(r->cli->ctx, r->result, &s) == LG_OK &&
           s.failed < s.fits;
}

/* A fit that was stopped or met a number that is not finite is no success, though its results are kept. */
static lg_status verdict(const fit_run *r)
{
    const bool enough = others_succeeded(r);
    for (int f = 0; f < r->info.fits; f++) {
        const lg_fit_status s = lg_result_status(r->result, f);
        if (s == LG_FIT_STOPPED) {
            return lg_cli_fail(r->cli, LG_ERR_CHECK,
                               "stopped by a signal after %lld of %lld iterations; what was found is kept",
                               (long long)lg_result_iterations(r->result, f), (long long)r->info.iterations);
        }
        if (s == LG_FIT_NOT_FINITE && !enough) {
            return lg_cli_fail(r->cli, LG_ERR_NUMERIC, "fit %d: %s", f + 1, lg_result_reason(r->result, f));
        }
    }
    return LG_OK;
}

static lg_status finish(fit_run *r)
{
    lg_msd_view view = {0};
    lg_status status = LG_OK;
    if (r->is_msd) {
        double mean[MAX_PARAMS], sd[MAX_PARAMS], spacing2;
        lg_msd data = {0};
        estimate(r, lg_ensemble_best(r->cli, r->result), mean, sd);
        status = lg_msd_view_data(r->cli, &data, &spacing2);
        if (!status) status = lg_msd_view_create(r->cli, r->problem, &data, spacing2, mean[0], mean[1], &view);
        lg_msd_clear(&data);
    }
    const lg_msd_view *shown = r->is_msd && !status ? &view : NULL;
    const lg_status written = write_outputs(r, shown);
    if (!status) status = written;
    const lg_status printed = print_results(r, shown);
    if (!status) status = printed;
    if (!status) lg_cli_resume_done(&r->resume);
    if (!status) status = verdict(r);
    lg_msd_view_clear(&view);
    return status;
}

/* What comes before the fit itself. *done: nothing else is to be done. */
static lg_status prepare(fit_run *r, bool *done)
{
    lg_cli *cli = r->cli;
    lg_status status = check_outputs(r);
    *done = false;
    if (!status) status = lg_cli_plan(cli, NULL, done);
    if (status || *done) return status;
    status = lg_problem_create(cli->ctx, cli->config, &r->problem);
    if (!status) status = lg_cli_plan(cli, r->problem, done);
    if (status || *done) return status;
    lg_problem_describe(r->problem, &r->info);
    if (r->info.params > MAX_PARAMS)
        return lg_cli_fail(cli, LG_ERR_UNSUPPORTED, "fit: %d parameters are too many", r->info.params);
    r->is_msd = strcmp(r->info.model, "prw") == 0 && strcmp(r->info.task, "trajectory") == 0;
    return LG_OK;
}

static lg_status fit(fit_run *r)
{
    lg_cli *cli = r->cli;
    bool done = false;
    lg_status status = lg_cli_join_ranks(cli, &r->resume.cluster);
    if (!status) status = lg_cli_configure(cli, cli->arguments ? cli->argument[0] : NULL, NULL);
    if (lg_cluster_rank(r->resume.cluster) > 0) return lg_cli_work_as_rank(cli, r->resume.cluster, status);
    if (!status) status = prepare(r, &done);
    if (done || cli->print_config || cli->dry_run) return status; /* the other ranks are gone already */
    status = lg_cli_agree(cli, r->resume.cluster, status);
    if (status) return status;
    print_head(r);
    lg_cli_catch_signals();
    lg_cli_progress line;
    lg_cli_progress_begin(&line, cli, r->problem, NULL);
    status = lg_cli_resume_run(&r->resume, r->problem, &line, &r->result);
    lg_cli_progress_end(&line);
    return status ? status : finish(r);
}

int lg_cmd_fit(int argc, char **argv)
{
    lg_cli cli;
    fit_run r = {.cli = &cli, .resume = {.cli = &cli, .words = argv, .count = argc, .began = lg_cli_clock()}};
    static char time_limit[] = "run.time_limit";
    const lg_cli_option options[] = {
        {"--out", "FILE.h5", "result file, as the key output.file", LG_ARG_TEXT, &cli.out, 'o'},
        {"--resume", NULL, "go on from the checkpoint of an interrupted fit", LG_ARG_FLAG, &r.resume.wanted, 'r'},
        {"--time-limit", "TIME", "stop with a checkpoint before TIME is over (s or HH:MM:SS)", LG_ARG_KEY, time_limit,
         0},
    };
    const lg_cli_usage usage = {"fit",
                                "CONFIG.yaml",
                                "Fits a model to data. Data files are looked for beside the configuration, "
                                "outputs go to the working directory.",
                                LG_USE_RUN | LG_USE_PLAN | LG_USE_OUT | LG_USE_JSON | LG_USE_LOG,
                                options,
                                3,
                                1,
                                1,
                                true};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    const lg_status status = fit(&r);
    lg_result_free(r.result);
    lg_problem_free(r.problem);
    return lg_cli_leave_ranks(&cli, r.resume.cluster, status);
}
