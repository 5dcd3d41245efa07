/* latgrad merge: joins the results of slices of one job, as array tasks write them, into one file. */
#include "cli/cli.h"

typedef struct merge_run {
    lg_cli *cli;
    int64_t first_fit, fits;
    const char *trace;
    lg_result *result;
} merge_run;

static lg_status print_summary(const merge_run *r)
{
    lg_cli *cli = r->cli;
    if (cli->json) {
        char *json = NULL;
        const lg_status status = lg_result_json(cli->ctx, r->result, &json);
        if (!status) printf("%s\n", json);
        lg_free(json);
        return status;
    }
    lg_result_info info;
    lg_result_describe(r->result, &info);
    if (!cli->quiet)
        printf("joined %d result%s: %d fit%s of %s\nwrote %s\n", cli->arguments, cli->arguments == 1 ? "" : "s",
               info.fits, info.fits == 1 ? "" : "s", info.model, cli->out);
    return LG_OK;
}

static lg_status merge(merge_run *r)
{
    lg_cli *cli = r->cli;
    if (!cli->out) return lg_cli_fail(cli, LG_ERR_USAGE, "merge: expected --out FILE.h5, where the joined result goes");
    lg_status status = lg_cli_check_free(cli, "--out", cli->out);
    if (!status) status = lg_cli_check_free(cli, "--trace", r->trace);
    if (!status)
        status = lg_result_merge(cli->ctx, (const char *const *)cli->argument, cli->arguments, r->first_fit, r->fits,
                                 cli->out, &r->result);
    if (!status) status = lg_result_write(cli->ctx, r->result, cli->out, cli->force);
    if (!status && r->trace) status = lg_result_write_trace(cli->ctx, r->result, r->trace, cli->force);
    return status ? status : print_summary(r);
}

int lg_cmd_merge(int argc, char **argv)
{
    lg_cli cli;
    merge_run r = {.cli = &cli};
    const lg_cli_option options[] = {
        {"--out", "FILE.h5", "where the joined result goes", LG_ARG_TEXT, &cli.out, 'o'},
        {"--trace", "FILE.csv", "the joined traces as CSV as well", LG_ARG_TEXT, &r.trace, 0},
        {"--fits", "N", "number of fits the parts must hold together", LG_ARG_INT, &r.fits, 0},
        {"--first-fit", "N", "with --fits: number of the first one (default 0)", LG_ARG_INT, &r.first_fit, 0},
    };
    const lg_cli_usage usage = {.command = "merge",
                                .arguments = "PART.h5...",
                                .text = "Joins the results of slices of one job (first_fit, fits) into one result, "
                                        "that of the job run in one piece.",
                                .use = LG_USE_OUT | LG_USE_JSON,
                                .options = options,
                                .count = 4,
                                .least = 1,
                                .most = 1 << 20};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    const lg_status status = merge(&r);
    lg_result_free(r.result);
    return lg_cli_end(&cli, status);
}
