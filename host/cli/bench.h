/* latgrad bench: the measuring and the table; bench_cases.c has what is measured. */
#ifndef LG_CLI_BENCH_H
#define LG_CLI_BENCH_H

#include "cli/cli.h"

typedef struct lg_bench_row {
    char model[8], work[48], code[64], unit[24];
    int threads;
    double rate;    /* units a second; for "ms" milliseconds a call */
    double speedup; /* against the naive loop; 0: it is the naive loop */
} lg_bench_row;

typedef struct lg_bench {
    lg_cli *cli;
    bool quick;
    int threads;     /* all of the machine's */
    char folder[64]; /* temporary: reference state and frames */
    lg_bench_row *row;
    size_t rows;
} lg_bench;

/* What is timed: one call of a fixed piece of work. */
typedef lg_status (*lg_bench_work)(void *state);

/* Best time of a call over several repeats, each of many calls. */
lg_status lg_bench_time(lg_bench *b, lg_bench_work work, void *state, double *seconds);
/* Adds a row and prints it. */
void lg_bench_add(lg_bench *b, const lg_bench_row *row);
/* A problem from `key=value` lines and the options of the command line. */
lg_status lg_bench_problem(lg_bench *b, lg_problem **out, int threads, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Validates each piece of work against the naive loops, then times it. */
lg_status lg_bench_cases(lg_bench *b);

#endif
