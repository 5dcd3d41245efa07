/* latgrad COMMAND ...: finds the command and runs it. */
#include "cli/manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
static const lg_command commands[] = {
    {"simulate", "forward runs: states, statistics, pictures", lg_cmd_simulate},
    {"fit", "fits a model to data: the main job", lg_cmd_fit},
    {"grad", "loss and gradient at one point", lg_cmd_grad},
    {"gradcheck", "bias and variance of the gradient estimators, as a PASS/FAIL table", lg_cmd_gradcheck},
    {"compare", "fitting methods side by side: time, simulations, error, scatter", lg_cmd_compare},
    {"reproduce", "the experiments of Schering et al. 2024, as a PASS/FAIL table", lg_cmd_reproduce},
    {"bench", "throughput of this machine, next to naive loops", lg_cmd_bench},
    {"submit", "a batch script for Slurm, and its submission", lg_cmd_submit},
    {"merge", "joins the results of slices into one file", lg_cmd_merge},
    {"plot", "pictures from a result file", lg_cmd_plot},
    {"info", "version, build, devices, memory, models", lg_cmd_info},
};
/* clang-format on */
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name) {
        lg_cli_overview(stderr, commands, COMMANDS);
        return lg_status_exit(LG_ERR_USAGE);
    }
    if (strcmp(name, "--version") == 0) {
        printf("latgrad %s\n", lg_version());
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return lg_cli_help(commands, COMMANDS, 0, NULL);
    if (strcmp(name, "help") == 0) return lg_cli_help(commands, COMMANDS, argc - 2, argv + 2);
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) return commands[i].run(argc - 1, argv + 1);
    }
    return lg_cli_unknown_command(commands, COMMANDS, name);
}

/* Threads that wait for others spin for a millisecond by default. Where more threads want to run than there are cores they spin
 * away the time that the one they wait for needs, and a minibatch takes fifty times as long. The OpenMP library reads its
 * environment before main(), so the tool begins again with another one, unless the user has chosen. */
static void wait_patiently(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0 && setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
        execv("/proc/self/exe", argv); /* where that fails things are as they were */
}

int main(int argc, char **argv)
{
    wait_patiently(argv);
    const int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "latgrad: writing to the standard output failed\n");
        return status ? status : lg_status_exit(LG_ERR_FILE);
    }
    return status;
}
