#include "cli/bench.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

lg_status lg_bench_time(lg_bench *b, lg_bench_work work, void *state, double *seconds)
{
    const double wanted = b->quick ? 0.05 : 0.4; /* seconds a repeat takes at least */
    const int repeats = b->quick ? 3 : 7;
    double start = lg_cli_clock();
    lg_status status = work(state); /* also warms up */
    const double first = lg_cli_clock() - start;
    const int64_t calls = first < wanted ? (int64_t)ceil(wanted / fmax(first, 1e-7)) : 1;
    *seconds = first;
    for (int i = 0; i < repeats && !status; i++) {
        start = lg_cli_clock();
        for (int64_t k = 0; k < calls && !status; k++) status = work(state);
        *seconds = fmin(*seconds, (lg_cli_clock() - start) / (double)calls);
        if (!status && lg_cli_signal()) status = lg_cli_fail(b->cli, LG_ERR_CHECK, "stopped by a signal");
    }
    return status;
}

void lg_bench_add(lg_bench *b, const lg_bench_row *row)
{
    lg_bench_row *grown = realloc(b->row, (b->rows + 1) * sizeof *grown);
    if (grown) {
        b->row = grown;
        b->row[b->rows++] = *row;
    }
    char rate[32], speedup[32] = "";
    const bool time = strcmp(row->unit, "ms") == 0;
    snprintf(rate, sizeof rate, time ? "%.3f" : "%.1f", time ? row->rate : row->rate / 1e6);
    if (row->speedup > 0) snprintf(speedup, sizeof speedup, "%.1f x", row->speedup);
    printf("%-4s %-34s %-9s %7d %10s %-16s %8s\n", row->model, row->work, row->code, row->threads, rate,
           time ? "ms" : row->unit, speedup);
    fflush(stdout);
}

lg_status lg_bench_problem(lg_bench *b, lg_problem **out, int threads, const char *format, ...)
{
    char lines[4096], count[16];
    lg_config *config = NULL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lines, sizeof lines, format, arguments);
    va_end(arguments);
    snprintf(count, sizeof count, "%d", threads);
    lg_status status = lg_config_create(b->cli->ctx, &config);
    if (!status) status = lg_cli_apply_lines(b->cli, config, lines);
    if (!status) status = lg_cli_apply_settings(b->cli, config);
    if (!status) status = lg_config_set(b->cli->ctx, config, "threads", count);
    if (!status) status = lg_problem_create(b->cli->ctx, config, out);
    lg_config_free(config);
    return status;
}

/* ---- machine and output --------------------------------------------------------------------------------------- */

static void print_machine(const lg_bench *b)
{
    char line[256], model[200] = "unknown";
    FILE *in = fopen("/proc/cpuinfo", "r");
    while (in && fgets(line, sizeof line, in)) {
        if (sscanf(line, "model name : %199[^\n]", model) == 1) break;
    }
    if (in) fclose(in);
    printf("machine  %s, %d threads\nbuild    %s\n", model, b->threads, lg_build_info());
    printf("method   best of several repeats, after a comparison of the results with those of the naive loops\n");
    printf("naive    one thread, straight loops over sites, the same random numbers\n\n");
    printf("%-4s %-34s %-9s %7s %10s %-16s %8s\n", "", "work", "code", "threads", "rate", "", "speedup");
    fflush(stdout);
}

static lg_status write_csv(lg_bench *b, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return lg_cli_fail(b->cli, LG_ERR_MEMORY, "no memory for the table");
    fputs("model,work,code,threads,value,unit,speedup\n", out);
    for (size_t i = 0; i < b->rows; i++) {
        const lg_bench_row *row = &b->row[i];
        const bool time = strcmp(row->unit, "ms") == 0;
        fprintf(out, "%s,\"%s\",%s,%d,%.6g,%s,", row->model, row->work, row->code, row->threads, row->rate,
                time ? "ms" : row->unit + 2);
        if (row->speedup > 0) fprintf(out, "%.4g", row->speedup);
        fputc('\n', out);
    }
    const bool failed = fclose(out) != 0;
    const lg_status status = failed ? lg_cli_fail(b->cli, LG_ERR_MEMORY, "no memory for the table")
                                    : lg_cli_write_text(b->cli, path, text, size, b->cli->force);
    free(text);
    return status;
}

static lg_status make_folder(lg_bench *b)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base || strlen(base) > 40) base = "/tmp";
    snprintf(b->folder, sizeof b->folder, "%s/latgrad-XXXXXX", base);
    if (mkdtemp(b->folder)) return LG_OK;
    b->folder[0] = '\0';
    return lg_cli_fail(b->cli, LG_ERR_FILE,
                       "no temporary folder can be made in '%s': %s; set TMPDIR to a folder with space", base,
                       strerror(errno));
}

static void remove_folder(const lg_bench *b)
{
    static const char *const files[] = {"reference.npy", "frames.npy"};
    if (!b->folder[0]) return;
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", b->folder, files[i]);
        unlink(path);
    }
    rmdir(b->folder);
}

int lg_cmd_bench(int argc, char **argv)
{
    lg_cli cli;
    lg_bench b = {.cli = &cli};
    const char *csv = NULL;
    const lg_cli_option options[] = {
        {"--quick", NULL, "shorter and fewer repeats", LG_ARG_FLAG, &b.quick, 0},
        {"--csv", "FILE", "write the table as CSV: model,work,code,threads,value,unit,speedup", LG_ARG_TEXT, &csv, 0},
        {"--force", NULL, "replace an existing file", LG_ARG_FLAG, &cli.force, 'f'},
    };
    const lg_cli_usage usage = {"bench",
                                "",
                                "Throughput: site steps (SI, MK) and walker steps (PRW) a second, forward and with "
                                "gradients, on one thread and on all, next to naive loops.",
                                LG_USE_RUN,
                                options,
                                3,
                                0,
                                0,
                                false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    lg_status status = lg_cli_check_free(&cli, "--csv", csv);
    if (!status) status = make_folder(&b);
    if (!status) {
        const long processors = sysconf(_SC_NPROCESSORS_ONLN);
        b.threads = processors > 0 ? (int)processors : 1;
        lg_cli_catch_signals();
        print_machine(&b);
        status = lg_bench_cases(&b);
    }
    if (!status && csv) status = write_csv(&b, csv);
    remove_folder(&b);
    free(b.row);
    return lg_cli_end(&cli, status);
}
