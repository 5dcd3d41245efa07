/* A fit with checkpoints: --resume, --time-limit, and the words that continue it. */
#ifndef LG_CLI_RESUME_H
#define LG_CLI_RESUME_H

#include "cli/cli.h"

typedef struct lg_cli_resume {
    lg_cli *cli;
    char **words; /* the command line, words[0] the command */
    int count;
    double began; /* lg_cli_clock() when the command began */
    bool wanted;  /* --resume */
    lg_fit_options options;
    lg_cluster *cluster; /* NULL: this process alone */
} lg_cli_resume;

/* The words with --resume after the first: the command that goes on. */
void lg_cli_resume_command(char *const *words, int count, char *text, size_t size);
/* Runs or continues the fit. Where it stops with a checkpoint the message says which command goes on. */
lg_status lg_cli_resume_run(lg_cli_resume *r, lg_problem *problem, lg_cli_progress *line, lg_result **out);
/* The outputs are written: the checkpoint goes, unless checkpoint.keep. */
void lg_cli_resume_done(const lg_cli_resume *r);

#endif
