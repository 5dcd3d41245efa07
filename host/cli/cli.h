/* The command line tool: its commands, the options they share, and the helpers they use. Of the library the tool uses
 * latgrad.h alone.
 *
 * A command is `int run(int argc, char **argv)` with argv[0] its name; it returns the exit status. Its shape:
 *
 *     lg_cli cli;
 *     int64_t every = 0;
 *     const lg_cli_option options[] = {{"--every", "N", "keep every N-th state", LG_ARG_INT, &every}};
 *     const lg_cli_usage usage = {"simulate", "MODEL|CONFIG.yaml", "Forward runs.", LG_USE_RUN, options, 1, 1, 1, 0};
 *     int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
 *     if (exit_status >= 0) return exit_status;
 *     ...
 *     return lg_cli_end(&cli, status);
 */
#ifndef LG_CLI_CLI_H
#define LG_CLI_CLI_H

#include "latgrad.h"

#include <stdio.h>

/* ---- commands ------------------------------------------------------------------------------------------------- */

typedef struct lg_command {
    const char *name, *help; /* help: one line */
    int (*run)(int argc, char **argv);
} lg_command;

int lg_cmd_simulate(int argc, char **argv);
int lg_cmd_fit(int argc, char **argv);
int lg_cmd_grad(int argc, char **argv);
int lg_cmd_gradcheck(int argc, char **argv);
int lg_cmd_compare(int argc, char **argv);
int lg_cmd_reproduce(int argc, char **argv);
int lg_cmd_bench(int argc, char **argv);
int lg_cmd_plot(int argc, char **argv);
int lg_cmd_info(int argc, char **argv);
int lg_cmd_merge(int argc, char **argv);
int lg_cmd_submit(int argc, char **argv);

/* ---- options -------------------------------------------------------------------------------------------------- */

typedef enum lg_arg_kind {
    LG_ARG_FLAG, /* target: bool */
    LG_ARG_TEXT, /* target: const char * */
    LG_ARG_INT,  /* target: int64_t, a number >= 0 */
    LG_ARG_KEY,  /* target: the configuration key it sets (a string) */
    LG_ARG_SET   /* KEY=VALUE */
} lg_arg_kind;

typedef struct lg_cli_option {
    const char *name, *value, *help; /* "--out", "FILE" (NULL: none), one line */
    lg_arg_kind kind;
    void *target;
    char letter; /* 'q' for -q; 0: none */
} lg_cli_option;

/* Groups of common options; --quiet, --help and --version belong to every command. */
enum {
    LG_USE_RUN = 1,  /* --device --threads --seed --set */
    LG_USE_PLAN = 2, /* --config --print-config --dry-run */
    LG_USE_OUT = 4,  /* --out --force */
    LG_USE_JSON = 8, /* --json */
    LG_USE_LOG = 16  /* --log --log-file */
};

typedef struct lg_cli_usage {
    const char *command, *arguments; /* "fit", "CONFIG.yaml" */
    const char *text;                /* what the command does */
    unsigned use;                    /* LG_USE_... */
    const lg_cli_option *options;    /* the command's own */
    int count;
    int least, most; /* number of arguments that are no options */
    bool keys;       /* --help lists the configuration keys as well */
} lg_cli_usage;

typedef struct lg_cli_setting {
    const char *key, *value;
} lg_cli_setting;

typedef struct lg_cli {
    const lg_cli_usage *usage;
    lg_context *ctx;
    lg_config *config; /* NULL before lg_cli_configure */
    bool quiet, json, force, print_config, dry_run;
    const char *out, *config_path;
    char **argument;
    int arguments;
    lg_cli_setting *setting; /* --set and the options that stand for keys, in their order */
    size_t settings;
    char **text;                       /* copies the settings point into */
    char message[1024];                /* an error of the tool itself */
    const char *log_format, *log_file; /* --log, --log-file; see cli/log.h */
    bool log_json;
    FILE *log; /* the open log file, or NULL */
} lg_cli;

/* Parses the command line and opens a context. -1: go on; otherwise the command is done with this exit status. */
int lg_cli_begin(lg_cli *cli, const lg_cli_usage *usage, int argc, char **argv);
/* Prints the error, if there is one, frees everything and returns the exit status. */
int lg_cli_end(lg_cli *cli, lg_status status);
/* An error of the tool itself; returns status. */
lg_status lg_cli_fail(lg_cli *cli, lg_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* cli->config from `source` (a model name, a file that ends in .yaml or .yml, or NULL), --config, the preset
 * `key=value` lines (NULL: none) and then the settings of the command line. */
lg_status lg_cli_configure(lg_cli *cli, const char *source, const char *preset);
/* The settings of the command line on top of a configuration. */
lg_status lg_cli_apply_settings(lg_cli *cli, lg_config *config);
/* Was the key set on the command line? */
bool lg_cli_given(const lg_cli *cli, const char *key);
/* `key=value` lines on top of a configuration. */
lg_status lg_cli_apply_lines(lg_cli *cli, lg_config *config, const char *lines);
/* --print-config and --dry-run. *done: nothing else is to be done. problem may be NULL before it exists. */
lg_status lg_cli_plan(lg_cli *cli, const lg_problem *problem, bool *done);
/* An input path of the configuration as the library resolves it: relative to the file that named it. NULL: not set;
 * release with free(). */
char *lg_cli_input_path(const lg_cli *cli, const char *key);

/* ---- text ----------------------------------------------------------------------------------------------------- */

/* The candidate nearest to a word by edit distance, or NULL if none is near. */
const char *lg_cli_nearest(const char *word, const char *const *candidates, size_t count);
/* Writes a text file under a temporary name and renames it; refuses an existing file unless force. */
lg_status lg_cli_write_text(lg_cli *cli, const char *path, const char *text, size_t size, bool force);
/* LG_ERR_EXISTS where path exists and --force was not given; NULL and "" pass. */
lg_status lg_cli_check_free(lg_cli *cli, const char *option, const char *path);
/* A number in JSON: finite ones with all digits, others null. */
void lg_cli_json_number(FILE *out, double value);
void lg_cli_json_text(FILE *out, const char *text);
/* "1.5 MiB", "2 min 10 s" */
void lg_cli_format_bytes(char *text, size_t size, double bytes);
void lg_cli_format_seconds(char *text, size_t size, double seconds);

/* ---- progress and signals ------------------------------------------------------------------------------------- */

/* Shows one line on a terminal, and a plain line every ten seconds elsewhere; nothing with --quiet. A log file gets a plain
 * line every ten seconds too, a JSON log an object every second. */
typedef struct lg_cli_progress {
    const lg_cli *cli;
    const char *label; /* before the line; may be NULL */
    int model;
    bool quiet, terminal, shown;
    double last, logged, started;
    int64_t first;
} lg_cli_progress;

void lg_cli_progress_begin(lg_cli_progress *line, const lg_cli *cli, const lg_problem *problem, const char *label);
/* An lg_progress_fn; user is the lg_cli_progress. After a signal it asks the fit to stop, with a checkpoint where it has
 * a file for it. */
int lg_cli_progress_show(const lg_progress *progress, void *user);
void lg_cli_progress_end(lg_cli_progress *line);
/* From here on SIGINT, SIGTERM and SIGUSR1 ask for a stop (the same one again kills). */
void lg_cli_catch_signals(void);
int lg_cli_signal(void);   /* the signal that came, 0 if none */
double lg_cli_clock(void); /* seconds, monotonic */

#endif
