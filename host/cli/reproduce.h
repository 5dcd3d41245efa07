/* latgrad reproduce: what the experiments share. One file per experiment: reproduce_si.c, _prw.c, _mk.c. */
#ifndef LG_CLI_REPRODUCE_H
#define LG_CLI_REPRODUCE_H

#include "cli/cli.h"
#include "cli/fit_picture.h"

enum { LG_REPRO_PATH = 1024 };

typedef struct lg_repro_row {
    char experiment[16], what[96], asked[64], found[96];
    char verdict[8]; /* "PASS", "FAIL", "" where nothing is asked */
} lg_repro_row;

typedef struct lg_repro {
    lg_cli *cli;
    bool quick, resume;
    double time_limit, began;                               /* seconds, 0: any; lg_cli_clock() when the command began */
    const char *experiment;                                 /* the one that runs, */
    int fits;                                               /* and how many fits it has begun */
    char dir[LG_REPRO_PATH - 64], data[LG_REPRO_PATH - 64]; /* output folder, folder of the MSD tables */
    int64_t seeds;                                          /* fits of mk from the published start */
    int64_t ensemble; /* starts of each experiment's ensemble, each with its own noise; 0: no ensembles */
    lg_repro_row *row;
    size_t rows, failed;
} lg_repro;

/* A line of the table that asks for something, and one that only reports. Both are printed as they come. */
void lg_repro_check(lg_repro *r, const char *experiment, const char *what, const char *asked, bool pass,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));
void lg_repro_note(lg_repro *r, const char *experiment, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A problem from `key=value` lines and the options of the command line (device, threads, seed, --set). */
lg_status lg_repro_problem(lg_repro *r, lg_problem **out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* LG_ERR_STOPPED where a signal came or the time is over. */
lg_status lg_repro_go_on(lg_repro *r);
/* Are there checkpoints of an experiment? Removes them. */
bool lg_repro_interrupted(const lg_repro *r, const char *experiment);
lg_status lg_repro_forget(lg_repro *r, const char *experiment);
/* Runs a fit with a line of progress, or continues it; a value that is not finite is an error here. */
lg_status lg_repro_fit(lg_repro *r, lg_problem *problem, const char *label, lg_result **out);
/* Runs an ensemble: single fits may fail. */
lg_status lg_repro_ensemble(lg_repro *r, lg_problem *problem, const char *experiment, lg_result **out);
bool lg_repro_failed(const lg_result *result, int fit);
/* The line that says how many fits of an ensemble pass. */
lg_status lg_repro_fraction(lg_repro *r, const char *experiment, const char *what, const lg_result *result,
                            const bool *pass);
/* The folder's file `name`. */
void lg_repro_path(const lg_repro *r, const char *name, char path[LG_REPRO_PATH]);
lg_status lg_repro_write_trace(lg_repro *r, const lg_result *result, const char *name);
lg_status lg_repro_render(lg_repro *r, figure *fig, const char *name);
/* First iteration from which the mean of every block of `block` iterations keeps within `tolerance` of `truth`; -1
 * if it never does. */
int64_t lg_repro_settled(const lg_result *result, int fit, int params, int param, int64_t block, double truth,
                         double tolerance);

lg_status lg_reproduce_si(lg_repro *r);
lg_status lg_reproduce_prw(lg_repro *r);
lg_status lg_reproduce_mk(lg_repro *r);

#endif
