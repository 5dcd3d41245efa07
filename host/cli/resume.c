#include "cli/resume.h"

#include <math.h>
#include <string.h>

#include "cli/log.h"

/* Appends a word as a shell takes it back. */
static void add_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (*word && word[strspn(word, plain)] == '\0') {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++) {
        if (*word == '\'') fputs("'\\''", out);
        else fputc(*word, out);
    }
    fputc('\'', out);
}

void lg_cli_resume_command(char *const *words, int count, char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");
    *text = '\0';
    if (!out) return;
    fprintf(out, "latgrad %s --resume", words[0]);
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--resume") == 0 || strcmp(words[i], "-r") == 0) continue;
        fputc(' ', out);
        add_word(out, words[i]);
    }
    fclose(out);
    text[size - 1] = '\0';
}

/* Over several processes, now or in the run that is continued. */
static bool is_spread(const lg_cli_resume *r)
{
    return r->cluster && (lg_cluster_size(r->cluster) > 1 ||
                          (r->options.checkpoint && lg_cluster_has_checkpoints(r->options.checkpoint)));
}

lg_status lg_cli_resume_run(lg_cli_resume *r, lg_problem *problem, lg_cli_progress *line, lg_result **out)
{
    lg_problem_fit_options(problem, &r->options);
    r->options.resume = r->wanted;
    r->options.force = r->cli->force;
    /* the budget includes reading the data */
    if (r->options.time_limit > 0.0)
        r->options.time_limit = fmax(1e-3, r->options.time_limit - (lg_cli_clock() - r->began));
    const lg_status status =
        is_spread(r)
            ? lg_cluster_fit(r->cli->ctx, r->cluster, r->cli->config, &r->options, lg_cli_progress_show, line, out)
            : lg_fit_run(r->cli->ctx, problem, &r->options, lg_cli_progress_show, line, out);
    if (status != LG_ERR_STOPPED) return status;
    char command[600];
    lg_cli_resume_command(r->words, r->count, command, sizeof command);
    return lg_cli_fail(r->cli, status, "%s; to go on: %s", lg_context_message(r->cli->ctx), command);
}

void lg_cli_resume_done(const lg_cli_resume *r)
{
    if (!r->options.checkpoint || r->options.checkpoint_keep) return;
    if (lg_checkpoint_remove(r->cli->ctx, r->options.checkpoint) ||
        lg_cluster_remove_checkpoints(r->cli->ctx, r->options.checkpoint))
        lg_cli_log_message(r->cli, "warning", lg_context_message(r->cli->ctx));
}
