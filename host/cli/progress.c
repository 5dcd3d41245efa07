/* One line of progress, and stopping on signals. */
#include "cli/log.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signal_seen; /* the one thing a signal handler may touch */

static void note_signal(int number)
{
    signal_seen = number;
}

void lg_cli_catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

int lg_cli_signal(void)
{
    return signal_seen;
}

double lg_cli_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { LOGGED_FITS = 64 };

static void log_label(const lg_cli_progress *line, FILE *out)
{
    if (!line->label) return;
    fputs(", \"label\": ", out);
    lg_cli_json_text(out, line->label);
}

static void log_start(const lg_cli_progress *line, const lg_problem_info *info)
{
    FILE *out = lg_cli_log_event(line->cli, "start");
    char host[256] = "";
    if (!out) return;
    if (gethostname(host, sizeof host - 1)) host[0] = '\0';
    log_label(line, out);
    fprintf(out, ", \"version\": \"%s\", \"model\": \"%s\", \"task\": \"%s\", \"loss_name\": \"%s\", \"host\": ",
            lg_version(), info->model, info->task, info->loss);
    lg_cli_json_text(out, host);
    fputs(", \"device\": ", out);
    lg_cli_json_text(out, info->device);
    fprintf(out, ", \"seed\": %llu, \"fits\": %d, \"replicates\": %lld, \"steps\": %lld, \"iterations\": %lld}\n",
            (unsigned long long)info->seed, info->fits, (long long)info->replicates, (long long)info->steps,
            (long long)info->iterations);
    fflush(out);
}

void lg_cli_progress_begin(lg_cli_progress *line, const lg_cli *cli, const lg_problem *problem, const char *label)
{
    lg_problem_info info;
    lg_problem_describe(problem, &info);
    *line = (lg_cli_progress){.cli = cli,
                              .label = label,
                              .model = info.model_index,
                              .quiet = cli->quiet || (cli->log_json && !cli->log),
                              .terminal = isatty(STDERR_FILENO) != 0,
                              .started = lg_cli_clock(),
                              .first = -1};
    line->last = line->started;
    line->logged = cli->log_json ? 0.0 : line->started;
    log_start(line, &info);
}

static void print_line(const lg_cli_progress *line, const lg_progress *p, double rate, FILE *out)
{
    char left[32];
    lg_cli_format_seconds(left, sizeof left, p->seconds_left);
    fprintf(out, "%s%sstep %lld/%lld  loss %.6g ", line->label ? line->label : "", line->label ? ": " : "",
            (long long)p->iteration, (long long)p->iterations, p->loss[0]);
    for (int i = 0; i < p->params; i++) {
        const lg_param_info *info = lg_model_param(line->model, i);
        fprintf(out, " %s %.4f", info ? info->name : "?", p->values[i]);
    }
    if (p->fits > 1) fprintf(out, "  (fit 1 of %d, %d running)", p->fits, p->running);
    fprintf(out, "  %.0f steps/s  %s left", rate, left);
}

static void json_array(FILE *out, const double *value, int count, int stride)
{
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "[", out);
        lg_cli_json_number(out, value[i * stride]);
    }
    fputc(']', out);
}

/* Loss and parameters are arrays over the fits, of the first LOGGED_FITS at most. */
static void log_progress(const lg_cli_progress *line, const lg_progress *p)
{
    FILE *out = lg_cli_log_event(line->cli, "progress");
    if (!out) return;
    const int fits = p->fits < LOGGED_FITS ? p->fits : LOGGED_FITS;
    log_label(line, out);
    fprintf(out,
            ", \"iteration\": %lld, \"iterations\": %lld, \"seconds\": %.3f, \"seconds_left\": %.3f, \"fits\": %d, "
            "\"running\": %d, \"checkpoint\": ",
            (long long)p->iteration, (long long)p->iterations, p->seconds, p->seconds_left, p->fits, p->running);
    if (p->checkpoint < 0) fputs("null", out);
    else fprintf(out, "%lld", (long long)p->checkpoint);
    fputs(", \"loss\": ", out);
    json_array(out, p->loss, fits, 1);
    fputs(", \"params\": {", out);
    for (int i = 0; i < p->params; i++) {
        const lg_param_info *info = lg_model_param(line->model, i);
        if (i) fputs(", ", out);
        lg_cli_json_text(out, info ? info->name : "?");
        fputs(": ", out);
        json_array(out, p->values + i, fits, p->params);
    }
    fputs("}}\n", out);
    fflush(out);
}

static void log_line(const lg_cli_progress *line, const lg_progress *p, double rate)
{
    if (line->cli->log_json) {
        log_progress(line, p);
        return;
    }
    lg_cli_log_time(line->cli->log);
    fputc(' ', line->cli->log);
    print_line(line, p, rate, line->cli->log);
    fputc('\n', line->cli->log);
    fflush(line->cli->log);
}

int lg_cli_progress_show(const lg_progress *progress, void *user)
{
    lg_cli_progress *line = user;
    const double now = lg_cli_clock();
    if (line->first < 0) {
        line->first = progress->iteration;
        line->started = now;
    }
    const double seconds = now - line->started;
    const double rate = seconds > 0 ? (double)(progress->iteration - line->first) / seconds : 0.0;
    if (!line->quiet && now - line->last >= (line->terminal ? 0.2 : 10.0)) {
        line->last = now;
        line->shown = true;
        if (line->terminal) fputs("\r\033[K", stderr);
        print_line(line, progress, rate, stderr);
        if (!line->terminal) fputc('\n', stderr);
        fflush(stderr);
    }
    if ((line->cli->log || line->cli->log_json) && now - line->logged >= (line->cli->log_json ? 1.0 : 10.0)) {
        line->logged = now;
        log_line(line, progress, rate);
    }
    return signal_seen ? LG_CHECKPOINT_STOP : LG_GO_ON;
}

void lg_cli_progress_end(lg_cli_progress *line)
{
    if (line->shown && line->terminal) fputs("\r\033[K", stderr);
    fflush(stderr);
}
