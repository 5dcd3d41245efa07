/* Batch scripts for Slurm. */
#ifndef LG_CLI_SUBMIT_H
#define LG_CLI_SUBMIT_H

#include "cli/cli.h"

/* What is asked of Slurm, and the fit that is to run. Texts that stand in #SBATCH lines are plain words. */
typedef struct lg_submission {
    const char *job_name, *partition, *account, *qos, *time, *memory; /* NULL: Slurm's default */
    int64_t nodes, gpus_per_node, tasks_per_node, cpus_per_task;      /* the last two and GPUs may be 0: not given */
    int64_t array;                                                    /* slices; 0: one job */
    const char *mpi;                                                  /* srun --mpi=...; NULL: not given */

    const char *program, *directory; /* absolute paths */
    const char *config;              /* may be NULL: all by settings */
    const lg_cli_setting *setting;   /* keys of the command line, in order */
    size_t settings;
    const char *out, *trace, *picture; /* results; the last two may be NULL */
    int64_t first_fit, fits;           /* all fits */
} lg_submission;

/* The batch script of the fit; NULL: no memory. Release with free(). */
char *lg_submit_script(const lg_submission *s);
/* The script that joins the slices' results once they are all there. */
char *lg_submit_merge_script(const lg_submission *s);
/* A word as the shell takes it literally, appended to a stream. */
void lg_submit_quote(FILE *out, const char *word);

#endif
