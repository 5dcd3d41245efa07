/* What every command does before and after its work: context, configuration, errors, the memory plan. */
#include "cli/arguments.h"
#include "cli/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

lg_status lg_cli_fail(lg_cli *cli, lg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cli->message, sizeof cli->message, format, arguments);
    va_end(arguments);
    return status;
}

/* Lines of the library: warnings always, the rest unless --quiet. */
static void log_line(lg_log_level level, const char *line, void *user)
{
    lg_cli_log_message(user, level == LG_LOG_WARNING ? "warning" : "info", line);
}

int lg_cli_begin(lg_cli *cli, const lg_cli_usage *usage, int argc, char **argv)
{
    *cli = (lg_cli){.usage = usage};
    bool done = false;
    const size_t room = (size_t)argc + 1;
    cli->argument = calloc(room, sizeof *cli->argument);
    cli->setting = calloc(room, sizeof *cli->setting);
    cli->text = calloc(room, sizeof *cli->text);
    lg_status status = lg_context_create(&cli->ctx);
    if (status || !cli->argument || !cli->setting || !cli->text) {
        status = lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the command line");
    } else {
        lg_context_set_log(cli->ctx, log_line, cli);
        status = lg_cli_parse(cli, argc, argv, &done);
        if (!status && !done) status = lg_cli_log_open(cli);
    }
    if (status || done) return lg_cli_end(cli, status);
    return -1;
}

int lg_cli_end(lg_cli *cli, lg_status status)
{
    if (status) {
        const char *message = *cli->message ? cli->message : (cli->ctx ? lg_context_message(cli->ctx) : "");
        fflush(stdout);
        lg_cli_log_message(cli, "error", *message ? message : lg_status_text(status));
    }
    FILE *end = lg_cli_log_event(cli, "end");
    if (end) fprintf(end, ", \"status\": \"%s\", \"exit\": %d}\n", lg_status_name(status), lg_status_exit(status));
    lg_cli_log_close(cli);
    for (size_t i = 0; i < cli->settings; i++) free(cli->text[i]);
    free(cli->text);
    free(cli->setting);
    free(cli->argument);
    lg_config_free(cli->config);
    lg_context_free(cli->ctx);
    return lg_status_exit(status);
}

/* ---- configuration -------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

lg_status lg_cli_apply_lines(lg_cli *cli, lg_config *config, const char *lines)
{
    while (*lines) {
        char key[128], value[1024];
        const size_t length = strcspn(lines, "\n"), k = strcspn(lines, "=\n");
        if (k < length && k < sizeof key && length - k <= sizeof value) {
            snprintf(key, sizeof key, "%.*s", (int)k, lines);
            snprintf(value, sizeof value, "%.*s", (int)(length - k - 1), lines + k + 1);
            const lg_status status = lg_config_set(cli->ctx, config, key, value);
            if (status) return status;
        } else if (length) {
            return lg_cli_fail(cli, LG_ERR_USAGE, "setting '%.*s' is too long", (int)(length < 200 ? length : 200),
                               lines);
        }
        lines += length + (lines[length] == '\n');
    }
    return LG_OK;
}

lg_status lg_cli_apply_settings(lg_cli *cli, lg_config *config)
{
    for (size_t i = 0; i < cli->settings; i++) {
        const lg_status status = lg_config_set(cli->ctx, config, cli->setting[i].key, cli->setting[i].value);
        if (status) return status;
    }
    return LG_OK;
}

static lg_status set_model(lg_cli *cli, const char *name)
{
    const char *names[16];
    const int count = lg_model_count() < 16 ? lg_model_count() : 16;
    for (int i = 0; i < count; i++) {
        names[i] = lg_model_name(i);
        if (strcmp(names[i], name) == 0) return lg_config_set(cli->ctx, cli->config, "model", name);
    }
    const char *nearest = lg_cli_nearest(name, names, (size_t)count);
    char list[128] = "";
    for (int i = 0; i < count; i++) {
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    return lg_cli_fail(cli, LG_ERR_USAGE,
                       "%s: unknown model '%s'%s%s%s; expected one of %s, or a file that ends in .yaml",
                       cli->usage->command, name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'?" : "", list);
}

lg_status lg_cli_configure(lg_cli *cli, const char *source, const char *preset)
{
    const bool file = source && (ends_with(source, ".yaml") || ends_with(source, ".yml"));
    if (file && cli->config_path) {
        return lg_cli_fail(cli, LG_ERR_USAGE, "%s: '%s' and --config %s are two configurations; give one",
                           cli->usage->command, source, cli->config_path);
    }
    if (file) cli->config_path = source;
    lg_status status = lg_config_create(cli->ctx, &cli->config);
    if (!status && source && !file) status = set_model(cli, source);
    if (!status && cli->config_path) status = lg_config_load(cli->ctx, cli->config, cli->config_path);
    if (!status && preset) status = lg_cli_apply_lines(cli, cli->config, preset);
    if (!status) status = lg_cli_apply_settings(cli, cli->config);
    return status;
}

bool lg_cli_given(const lg_cli *cli, const char *key)
{
    for (size_t i = 0; i < cli->settings; i++)
        if (strcmp(cli->setting[i].key, key) == 0) return true;
    return false;
}

char *lg_cli_input_path(const lg_cli *cli, const char *key)
{
    const char *value = lg_config_get(cli->config, key);
    if (!value || !*value) return NULL;
    const bool typed = *value == '/' || !cli->config_path || lg_cli_given(cli, key);
    const char *slash = typed ? NULL : strrchr(cli->config_path, '/');
    const size_t folder = slash ? (size_t)(slash - cli->config_path) + 1 : 0, size = folder + strlen(value) + 1;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%.*s%s", (int)folder, folder ? cli->config_path : "", value);
    return path;
}

/* ---- plan ----------------------------------------------------------------------------------------------------- */

static void print_plan(const lg_problem *problem)
{
    lg_problem_info i;
    char state[32], tape[32], total[32];
    lg_problem_describe(problem, &i);
    lg_cli_format_bytes(state, sizeof state, (double)i.state_bytes);
    lg_cli_format_bytes(tape, sizeof tape, (double)i.tape_bytes);
    lg_cli_format_bytes(total, sizeof total, (double)i.total_bytes);
    printf("model        %s\ntask         %s\nloss         %s\ndevice       %s\n", i.model, i.task,
           i.loss ? i.loss : "", i.device);
    printf("fits         %d\nreplicates   %lld\nsteps        %lld\niterations   %lld\n", i.fits,
           (long long)i.replicates, (long long)i.steps, (long long)i.iterations);
    if (i.kernels[0]) printf("kernels      %s\n", i.kernels);
    printf("data         %lld start state%s or pairs\n", (long long)i.pool, i.pool == 1 ? "" : "s");
    printf("memory       %s: states %s, tape %s\n", total, state, tape);
    if (i.checkpoint_interval > 0) {
        printf("tape         a state is kept every %lld steps, the tape between them is made twice\n",
               (long long)i.checkpoint_interval);
    } else {
        printf("tape         kept whole\n");
    }
}

lg_status lg_cli_plan(lg_cli *cli, const lg_problem *problem, bool *done)
{
    *done = false;
    if (cli->print_config) {
        char *yaml = NULL;
        const lg_status status = lg_config_print(cli->ctx, cli->config, &yaml);
        if (!status) fputs(yaml, stdout);
        lg_free(yaml);
        *done = true;
        return status;
    }
    if (cli->dry_run && problem) {
        print_plan(problem);
        *done = true;
    }
    return LG_OK;
}
