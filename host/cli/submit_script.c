/* The text of batch scripts: meant to be read, kept and changed by hand. */
#include "cli/submit.h"

#include <stdlib.h>
#include <string.h>

/* ---- words ----------------------------------------------------------------------------------------------------- */

static void quote(FILE *out, const char *word, size_t length)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-";
    size_t i = 0;
    while (i < length && strchr(plain, word[i])) i++;
    if (length && i == length) {
        fwrite(word, 1, length, out);
        return;
    }
    putc('\'', out); /* all is literal up to the next ', which is put in by '\'' */
    for (i = 0; i < length; i++) {
        if (word[i] == '\'') fputs("'\\''", out);
        else putc(word[i], out);
    }
    putc('\'', out);
}

void lg_submit_quote(FILE *out, const char *word)
{
    quote(out, word, strlen(word));
}

/* A file named on a command line; one that begins with '-' is no option. */
static void quote_file(FILE *out, const char *path)
{
    if (*path == '-') fputs("./", out);
    lg_submit_quote(out, path);
}

/* Where the number of a slice goes: before the extension of the name. */
static size_t stem_length(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return dot && dot != name ? (size_t)(dot - path) : strlen(path);
}

/* "results/fit.h5" -> results/fit-slice"$slice".h5, with `slice` either the shell's variable (-1) or a number. */
static void slice_file(FILE *out, const char *path, int64_t slice)
{
    const size_t stem = stem_length(path);
    quote(out, path, stem);
    if (slice < 0) fputs("-slice\"$slice\"", out);
    else fprintf(out, "-slice%lld", (long long)slice);
    if (path[stem]) lg_submit_quote(out, path + stem);
}

/* ---- parts of a script ------------------------------------------------------------------------------------------ */

static void sbatch_text(FILE *out, const char *option, const char *value)
{
    if (value && *value) fprintf(out, "#SBATCH --%s=%s\n", option, value);
}

static void sbatch_number(FILE *out, const char *option, int64_t value)
{
    if (value > 0) fprintf(out, "#SBATCH --%s=%lld\n", option, (long long)value);
}

static void put_head(FILE *out, const lg_submission *s)
{
    fputs("#!/bin/bash\n", out);
    sbatch_text(out, "job-name", s->job_name);
    sbatch_text(out, "partition", s->partition);
    sbatch_text(out, "account", s->account);
    sbatch_text(out, "qos", s->qos);
    sbatch_text(out, "time", s->time);
    sbatch_text(out, "mem", s->memory);
    sbatch_number(out, "nodes", s->nodes);
    sbatch_number(out, "ntasks-per-node", s->tasks_per_node);
    sbatch_number(out, "cpus-per-task", s->cpus_per_task);
    sbatch_number(out, "gpus-per-node", s->gpus_per_node);
    if (s->array > 0) fprintf(out, "#SBATCH --array=0-%lld\n", (long long)s->array - 1);
    fprintf(out, "#SBATCH --output=%s-%s.log\n", s->job_name, s->array > 0 ? "%A_%a" : "%j");
    fputs("#SBATCH --open-mode=append\n"
          "#SBATCH --signal=B:USR1@120\n"
          "#SBATCH --requeue\n",
          out);
}

static void put_place(FILE *out, const lg_submission *s)
{
    fputs("\ncd -- ", out);
    lg_submit_quote(out, s->directory);
    fputs(" || exit 2\n", out);
}

static void put_slice(FILE *out, const lg_submission *s)
{
    fprintf(out,
            "\n# This task's slice of the %lld fits.\n"
            "fits=%lld slices=%lld slice=$SLURM_ARRAY_TASK_ID\n"
            "begin=$((fits * slice / slices)) end=$((fits * (slice + 1) / slices))\n",
            (long long)s->fits, (long long)s->fits, (long long)s->array);
}

/* A job that is queued again after its end, or an array that is submitted again for some of its slices. */
static void put_result(FILE *out, const lg_submission *s)
{
    fputs("\nresult=", out);
    if (s->array > 0) slice_file(out, s->out, -1);
    else lg_submit_quote(out, s->out);
    fputs("\nif [ -e \"$result\" ]; then echo \"$result is there already\"; exit 0; fi\n", out);
}

static void put_output(FILE *out, const lg_submission *s, const char *option, const char *path)
{
    if (!path) return;
    fprintf(out, " \\\n    %s", option);
    if (s->array > 0) slice_file(out, path, -1);
    else lg_submit_quote(out, path);
}

/* Keys that every slice sets for itself. */
static bool is_of_slice(const char *key)
{
    static const char *const names[] = {"fits", "first_fit", "output.trace", "output.picture"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(key, names[i]) == 0) return true;
    return false;
}

static void put_command(FILE *out, const lg_submission *s)
{
    const bool parallel = s->nodes * (s->tasks_per_node > 0 ? s->tasks_per_node : 1) > 1;
    fputs("srun", out);
    if (parallel) fputs(" --kill-on-bad-exit=1", out);
    if (parallel && s->mpi) fprintf(out, " --mpi=%s", s->mpi);
    if (s->cpus_per_task > 0) fprintf(out, " --cpus-per-task=%lld", (long long)s->cpus_per_task);
    putc(' ', out);
    lg_submit_quote(out, s->program);
    fputs(" fit", out);
    if (s->config) {
        putc(' ', out);
        quote_file(out, s->config);
    }
    fputs(" --resume", out);
    for (size_t i = 0; i < s->settings; i++) {
        if (s->array > 0 && is_of_slice(s->setting[i].key)) continue;
        fputs(" \\\n    --set ", out);
        quote(out, s->setting[i].key, strlen(s->setting[i].key));
        putc('=', out);
        if (*s->setting[i].value) lg_submit_quote(out, s->setting[i].value);
    }
    if (s->array > 0)
        fprintf(out, " \\\n    --set first_fit=$((%lld + begin)) --set fits=$((end - begin))", (long long)s->first_fit);
    fputs(" \\\n    --out \"$result\"", out);
    put_output(out, s, "--set output.trace=", s->trace);
    put_output(out, s, "--set output.picture=", s->picture);
    fputs(" &\n", out);
}

/* bash runs a trap only when the command it waits for is over, except in `wait`: hence the background and the loop. */
static const char before_command[] =
    "\n# Two minutes before the time limit Slurm sends USR1 to this script, which passes it on. The fit then writes a\n"
    "# checkpoint and ends with status 75; the job is queued again and goes on from there.\n"
    "step= signalled=\n"
    "stop() {\n"
    "    signalled=yes\n"
    "    if [ -n \"$step\" ]; then kill -USR1 \"$step\" 2>/dev/null; fi\n"
    "}\n"
    "trap stop USR1\n\n";

static const char after_command[] =
    "step=$!\n"
    "if [ -n \"$signalled\" ]; then stop; fi\n"
    "wait \"$step\"\n"
    "status=$?\n"
    "while [ -n \"$signalled\" ] && [ \"$status\" -gt 128 ]; do # the signal ended `wait`, not the fit\n"
    "    signalled=\n"
    "    wait \"$step\"\n"
    "    status=$?\n"
    "done\n"
    "if [ \"$status\" -eq 75 ]; then\n"
    "    echo \"stopped after a checkpoint: queued again\"\n"
    "    scontrol requeue \"$SLURM_JOB_ID\"\n"
    "fi\n"
    "exit \"$status\"\n";

char *lg_submit_script(const lg_submission *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    put_head(out, s);
    fputs("# Written by latgrad submit.\n", out);
    put_place(out, s);
    if (s->array > 0) put_slice(out, s);
    put_result(out, s);
    fputs(before_command, out);
    put_command(out, s);
    fputs(after_command, out);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

char *lg_submit_merge_script(const lg_submission *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fputs("#!/bin/bash\n", out);
    fprintf(out, "#SBATCH --job-name=%s-merge\n", s->job_name);
    sbatch_text(out, "partition", s->partition);
    sbatch_text(out, "account", s->account);
    sbatch_text(out, "qos", s->qos);
    fprintf(out, "#SBATCH --ntasks=1\n#SBATCH --output=%s-merge-%%j.log\n", s->job_name);
    fputs("# Written by latgrad submit: joins the slices of the fit once all of them are done.\n", out);
    put_place(out, s);
    putc('\n', out);
    lg_submit_quote(out, s->program);
    fprintf(out, " merge --first-fit %lld --fits %lld --out ", (long long)s->first_fit, (long long)s->fits);
    lg_submit_quote(out, s->out);
    if (s->trace) {
        fputs(" --trace ", out);
        lg_submit_quote(out, s->trace);
    }
    for (int64_t i = 0; i < s->array; i++) {
        fputs(" \\\n    ", out);
        if (*s->out == '-') fputs("./", out);
        slice_file(out, s->out, i);
    }
    putc('\n', out);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}
