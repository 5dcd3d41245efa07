/* latgrad submit: writes a batch script for Slurm and hands it to sbatch; with --array one per slice of the fits, and a
 * job that joins their results. */
#include "cli/submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_TASKS = 100000 };

typedef struct submit_run {
    lg_cli *cli;
    lg_submission job;
    const char *script; /* --script */
    char *name, *out, *script_path, *merge_path, *program, *directory;
} submit_run;

static lg_status no_memory(lg_cli *cli)
{
    return lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the batch script");
}

static char *format(const char *pattern, const char *text)
{
    char *out = NULL;
    return asprintf(&out, pattern, text) < 0 ? NULL : out;
}

/* ---- what is asked for ------------------------------------------------------------------------------------------ */

static bool is_plain(const char *word)
{
    for (const char *p = word; *p; p++) {
        const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!letter && !strchr("._-+:,@/[]=", *p)) return false;
    }
    return *word && *word != '-';
}

/* A #SBATCH line takes one word; anything else could become an option or a comment. */
static lg_status check_words(submit_run *r)
{
    const lg_submission *j = &r->job;
    const struct {
        const char *option, *value;
    } words[] =
        {{"--job-name", j->job_name}, {"--partition", j->partition}, {"--account", j->account}, {"--qos", j->qos},
         {"--time", j->time},         {"--mem", j->memory},          {"--mpi", j->mpi}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!words[i].value || is_plain(words[i].value)) continue;
        return lg_cli_fail(r->cli, LG_ERR_USAGE, "%s: expected one word of letters, digits and ._-+:,@/[]=, got '%s'",
                           words[i].option, words[i].value);
    }
    if (j->job_name && strchr(j->job_name, '/'))
        return lg_cli_fail(r->cli, LG_ERR_USAGE, "--job-name: expected a name without '/', got '%s'", j->job_name);
    return LG_OK;
}

static lg_status check_sizes(submit_run *r)
{
    lg_submission *j = &r->job;
    if (j->nodes < 1 || j->nodes > MAX_TASKS)
        return lg_cli_fail(r->cli, LG_ERR_USAGE, "--nodes: expected 1 to %d, got %lld", MAX_TASKS, (long long)j->nodes);
    if (j->gpus_per_node > 1024 || j->tasks_per_node > 1024 || j->cpus_per_task > 65536)
        return lg_cli_fail(
            r->cli, LG_ERR_USAGE,
            "--gpus-per-node %lld, --tasks-per-node %lld, --cpus-per-task %lld: expected at most 1024 GPUs "
            "and tasks and 65536 CPUs",
            (long long)j->gpus_per_node, (long long)j->tasks_per_node, (long long)j->cpus_per_task);
    if (j->tasks_per_node == 0) j->tasks_per_node = j->gpus_per_node > 0 ? j->gpus_per_node : 1;
    const int64_t tasks = j->nodes * j->tasks_per_node;
    if (tasks > 1 && !lg_cluster_supported())
        return lg_cli_fail(
            r->cli, LG_ERR_LIBRARY,
            "submit: %lld tasks need MPI, which this latgrad was built without: they would all run the same "
            "fits; use --array, or build with LATGRAD_MPI=ON (Debian: libopenmpi-dev)",
            (long long)tasks);
    if (tasks > 1 && !j->mpi) j->mpi = "pmix";
    return LG_OK;
}

static lg_status check_fits(submit_run *r)
{
    lg_submission *j = &r->job;
    const lg_status status = lg_config_fits(r->cli->ctx, r->cli->config, &j->first_fit, &j->fits);
    if (status) return status;
    const int64_t tasks = j->nodes * j->tasks_per_node, slices = j->array > 0 ? j->array : 1;
    if (j->array > j->fits)
        return lg_cli_fail(r->cli, LG_ERR_USAGE, "--array %lld: there are only %lld fit%s to split",
                           (long long)j->array, (long long)j->fits, j->fits == 1 ? "" : "s");
    if (tasks > 1 && j->fits / slices < tasks)
        fprintf(stderr, "latgrad: warning: %lld fit%s spread over %lld tasks: some tasks will have nothing to do\n",
                (long long)(j->fits / slices), j->fits / slices == 1 ? "" : "s", (long long)tasks);
    return LG_OK;
}

/* The job's name from that of the configuration, with '_' for what Slurm would not take. */
static char *default_name(const char *config)
{
    const char *slash = config ? strrchr(config, '/') : NULL, *base = slash ? slash + 1 : config ? config : "latgrad";
    char *name = strdup(base);
    if (!name) return NULL;
    char *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = '\0';
    for (char *p = name; *p; p++) {
        const char one[] = {*p, '\0'};
        if ((!is_plain(one) && *p != '-') || strchr("/[]=", *p) || (p == name && *p == '-')) *p = '_';
    }
    return name;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static const char *output_key(const lg_cli *cli, const char *key)
{
    const char *path = lg_config_get(cli->config, key);
    return path && *path ? path : NULL;
}

static char *own_program(void)
{
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return strdup("latgrad");
    path[n] = '\0';
    return strdup(path);
}

static lg_status name_files(submit_run *r)
{
    lg_cli *cli = r->cli;
    lg_submission *j = &r->job;
    const char *config_out = output_key(cli, "output.file");
    r->directory = getcwd(NULL, 0);
    if (!r->directory)
        return lg_cli_fail(cli, LG_ERR_FILE, "submit: there is no working directory: %s", strerror(errno));
    r->program = own_program();
    r->out = cli->out ? strdup(cli->out) : config_out ? strdup(config_out) : format("%s.h5", j->job_name);
    r->script_path = r->script ? strdup(r->script) : format("%s.sbatch", j->job_name);
    if (!r->program || !r->out || !r->script_path) return no_memory(cli);
    const char *dot = strrchr(r->script_path, '.'), *slash = strrchr(r->script_path, '/');
    const bool extension = dot && dot != r->script_path && (!slash || dot > slash + 1);
    const size_t stem = extension ? (size_t)(dot - r->script_path) : strlen(r->script_path),
                 size = strlen(r->script_path) + 8;
    r->merge_path = malloc(size);
    if (!r->merge_path) return no_memory(cli);
    snprintf(r->merge_path, size, "%.*s-merge%s", (int)stem, r->script_path, r->script_path + stem);
    j->directory = r->directory;
    j->program = r->program;
    j->config = cli->config_path;
    j->setting = cli->setting;
    j->settings = cli->settings;
    j->out = r->out;
    j->trace = output_key(cli, "output.trace");
    j->picture = j->array > 0 ? output_key(cli, "output.picture") : NULL;
    if (j->array == 0) j->trace = NULL; /* the fit finds it in its configuration */
    if (access(r->out, F_OK) == 0)
        return lg_cli_fail(cli, LG_ERR_EXISTS,
                           "submit: the result '%s' exists already and the job would not replace it: give "
                           "another --out, or move it away",
                           r->out);
    lg_status status = lg_cli_check_free(cli, "--script", r->script_path);
    if (!status && j->array > 0) status = lg_cli_check_free(cli, "--script", r->merge_path);
    return status;
}

static lg_status write_script(submit_run *r, const char *path, char *text)
{
    const lg_status status =
        text ? lg_cli_write_text(r->cli, path, text, strlen(text), r->cli->force) : no_memory(r->cli);
    free(text);
    if (!status && !r->cli->quiet) printf("wrote %s\n", path);
    return status;
}

/* ---- sbatch ----------------------------------------------------------------------------------------------------- */

static bool is_on_path(const char *program)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at; at += *at == ':') {
        const size_t n = strcspn(at, ":");
        char file[4096];
        snprintf(file, sizeof file, "%.*s/%s", (int)n, n ? at : ".", program);
        if (access(file, X_OK) == 0) return true;
        at += n;
    }
    return false;
}

static pid_t start(char *const *arguments, int output)
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid) return pid;
    if (dup2(output, STDOUT_FILENO) >= 0) execvp(arguments[0], arguments);
    _exit(127);
}

/* Runs sbatch --parsable and takes the job's number from its first line ("123" or "123;cluster"). */
static lg_status run_sbatch(submit_run *r, const char *dependency, const char *script, char *job, size_t size)
{
    char sbatch[] = "sbatch", parsable[] = "--parsable", invalid[] = "--kill-on-invalid-dep=yes";
    char *after = dependency ? format("--dependency=afterok:%s", dependency) : NULL;
    char *file = format(*script == '-' ? "./%s" : "%s", script);
    int end[2];
    if (!file || (dependency && !after) || pipe(end) != 0) {
        free(after);
        free(file);
        return no_memory(r->cli);
    }
    char *const alone[] = {sbatch, parsable, file, NULL}, *const waiting[] = {sbatch, parsable, invalid,
                                                                              after,  file,     NULL};
    const pid_t pid = start(dependency ? waiting : alone, end[1]);
    close(end[1]);
    FILE *answer = fdopen(end[0], "r");
    if (!answer || !fgets(job, (int)size, answer)) *job = '\0';
    if (answer) fclose(answer);
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    job[strcspn(job, ";\n")] = '\0';
    free(after);
    free(file);
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && *job) return LG_OK;
    return lg_cli_fail(r->cli, LG_ERR_CHECK,
                       "submit: sbatch did not take '%s' (its message is above); the script stays as it is", script);
}

static void print_by_hand(const submit_run *r, FILE *out)
{
    const bool array = r->job.array > 0;
    fputs(array ? "    job=$(sbatch --parsable " : "    sbatch ", out);
    lg_submit_quote(out, r->script_path);
    if (array) {
        fputs(") && sbatch --kill-on-invalid-dep=yes --dependency=afterok:\"$job\" ", out);
        lg_submit_quote(out, r->merge_path);
    }
    putc('\n', out);
}

static lg_status hand_in(submit_run *r)
{
    lg_cli *cli = r->cli;
    char job[64], merge[64];
    if (cli->dry_run) {
        if (!cli->quiet) {
            printf("not submitted (--dry-run); to submit:\n");
            print_by_hand(r, stdout);
        }
        return LG_OK;
    }
    if (!is_on_path("sbatch"))
        return lg_cli_fail(
            cli, LG_ERR_LIBRARY,
            "submit: there is no sbatch on PATH, so nothing was submitted; the script is written: run `sbatch %s` "
            "where Slurm is",
            r->script_path);
    lg_status status = run_sbatch(r, NULL, r->script_path, job, sizeof job);
    if (status) return status;
    printf("submitted job %s\n", job);
    if (r->job.array == 0) return LG_OK;
    status = run_sbatch(r, job, r->merge_path, merge, sizeof merge);
    if (!status) printf("submitted job %s, which joins the slices into %s\n", merge, r->out);
    return status;
}

/* ---- command ---------------------------------------------------------------------------------------------------- */

static lg_status submit(submit_run *r)
{
    lg_cli *cli = r->cli;
    lg_submission *j = &r->job;
    bool done;
    lg_status status = lg_cli_configure(cli, cli->arguments ? cli->argument[0] : NULL, NULL);
    if (!status) status = lg_cli_plan(cli, NULL, &done);
    if (status || done) return status;
    if (!lg_config_get(cli->config, "model"))
        return lg_cli_fail(cli, LG_ERR_CONFIG, "submit: the configuration names no model");
    if (!j->job_name) j->job_name = r->name = default_name(cli->config_path);
    if (!j->job_name) return no_memory(cli);
    status = check_words(r);
    if (!status) status = check_sizes(r);
    if (!status) status = check_fits(r);
    if (!status) status = name_files(r);
    if (!status) status = write_script(r, r->script_path, lg_submit_script(j));
    if (!status && j->array > 0) status = write_script(r, r->merge_path, lg_submit_merge_script(j));
    return status ? status : hand_in(r);
}

int lg_cmd_submit(int argc, char **argv)
{
    lg_cli cli;
    submit_run r = {.cli = &cli, .job = {.nodes = 1}};
    lg_submission *j = &r.job;
    const lg_cli_option options[] = {
        {"--nodes", "N", "nodes (default 1)", LG_ARG_INT, &j->nodes, 'N'},
        {"--gpus-per-node", "N", "GPUs of each node, one task for each", LG_ARG_INT, &j->gpus_per_node, 0},
        {"--tasks-per-node", "N", "tasks on each node (default: its GPUs, or 1)", LG_ARG_INT, &j->tasks_per_node, 0},
        {"--cpus-per-task", "N", "CPU cores of each task", LG_ARG_INT, &j->cpus_per_task, 0},
        {"--time", "LIMIT", "time limit as Slurm takes it: 2:00:00, 1-12", LG_ARG_TEXT, &j->time, 't'},
        {"--mem", "SIZE", "memory of each node as Slurm takes it: 16G", LG_ARG_TEXT, &j->memory, 0},
        {"--partition", "NAME", "partition", LG_ARG_TEXT, &j->partition, 'p'},
        {"--account", "NAME", "account", LG_ARG_TEXT, &j->account, 'A'},
        {"--qos", "NAME", "quality of service", LG_ARG_TEXT, &j->qos, 0},
        {"--array", "N", "split the fits into N jobs, and join their results", LG_ARG_INT, &j->array, 'a'},
        {"--mpi", "TYPE", "how srun starts MPI tasks (default pmix)", LG_ARG_TEXT, &j->mpi, 0},
        {"--job-name", "NAME", "name of the job (default: the configuration's)", LG_ARG_TEXT, &j->job_name, 'J'},
        {"--script", "FILE", "where the script goes (default NAME.sbatch)", LG_ARG_TEXT, &r.script, 0},
        {"--out", "FILE.h5", "result file (default: output.file, or NAME.h5)", LG_ARG_TEXT, &cli.out, 'o'},
        {"--dry-run", NULL, "write the script, but do not submit it", LG_ARG_FLAG, &cli.dry_run, 0},
        {"--force", NULL, "replace an existing script", LG_ARG_FLAG, &cli.force, 'f'},
    };
    const lg_cli_usage usage = {.command = "submit",
                                .arguments = "CONFIG.yaml",
                                .text =
                                    "Writes a batch script that runs `latgrad fit CONFIG.yaml --resume` in the working "
                                    "directory, and submits it with sbatch.\nThe job saves a checkpoint before its "
                                    "time limit, is queued again and goes on.",
                                .use = LG_USE_RUN | LG_USE_PLAN | LG_USE_OUT,
                                .options = options,
                                .count = sizeof options / sizeof *options,
                                .least = 1,
                                .most = 1};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    const lg_status status = submit(&r);
    char *const owned[] = {r.name, r.out, r.script_path, r.merge_path, r.program, r.directory};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    return lg_cli_end(&cli, status);
}
