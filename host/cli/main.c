/* latgrad COMMAND ...: finds the command and runs it. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const lg_command commands[] = {
    {"simulate", "forward runs: states, statistics, pictures", lg_cmd_simulate},
    {"fit", "fits a model to data: the main job", lg_cmd_fit},
    {"grad", "loss and gradient at one point", lg_cmd_grad},
    {"reproduce", "the experiments of Schering et al. 2024, as a PASS/FAIL table", lg_cmd_reproduce},
    {"bench", "throughput of this machine, next to naive loops", lg_cmd_bench},
    {"submit", "a batch script for Slurm, and its submission", lg_cmd_submit},
    {"merge", "joins the results of slices into one file", lg_cmd_merge},
    {"plot", "pictures from a result file", lg_cmd_plot},
    {"info", "version, build, devices, memory, models", lg_cmd_info},
};
/* clang-format on */
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fputs("Usage: latgrad COMMAND [ARGUMENTS] [OPTIONS]\n"
          "Simulates stochastic lattice models in batches and fits them with approximate gradients.\n\n"
          "Commands:\n",
          out);
    for (int i = 0; i < COMMANDS; i++) fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].help);
    fputs("\nModels:\n", out);
    for (int i = 0; i < lg_model_count(); i++) fprintf(out, "  %-10s  %s\n", lg_model_name(i), lg_model_title(i));
    fputs("\n`latgrad COMMAND --help` lists the options of a command, `latgrad fit --help` the configuration keys.\n"
          "Exit status: 0 success, 1 a failed check or fit, 2 wrong usage or input, 3 missing device or library,\n"
          "75 stopped by a signal after a checkpoint.\n",
          out);
}

static const lg_command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

static int unknown(const char *name)
{
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    const char *nearest = lg_cli_nearest(name, names, COMMANDS);
    if (nearest) fprintf(stderr, "latgrad: unknown command '%s'; did you mean '%s'?\n", name, nearest);
    else fprintf(stderr, "latgrad: unknown command '%s'; `latgrad --help` lists them\n", name);
    return lg_status_exit(LG_ERR_USAGE);
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name) {
        print_help(stderr);
        return lg_status_exit(LG_ERR_USAGE);
    }
    if (strcmp(name, "--version") == 0) {
        printf("latgrad %s\n", lg_version());
        return 0;
    }
    const bool word = strcmp(name, "help") == 0;
    if ((word && argc == 2) || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    const lg_command *command = find(word ? argv[2] : name);
    if (!command) return unknown(word ? argv[2] : name);
    if (word) {
        char help[] = "--help", *arguments[] = {argv[2], help, NULL};
        return command->run(2, arguments);
    }
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    const int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "latgrad: writing to the standard output failed\n");
        return status ? status : lg_status_exit(LG_ERR_FILE);
    }
    return status;
}
