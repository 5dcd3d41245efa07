/* Pictures of results. */
#ifndef LG_CLI_PLOT_RESULT_H
#define LG_CLI_PLOT_RESULT_H

#include "latgrad.h"

/* PLOT_FIT: the statistics against their target; PLOT_ENSEMBLE: where each fit started and ended. */
enum { PLOT_FIT = 1, PLOT_LOSS = 2, PLOT_PARAMS = 4, PLOT_ENSEMBLE = 8 };

/* The parts a result has. */
unsigned plot_result_parts(const lg_result *result);

/* The asked parts that the result has, at least one: the statistics against their target, the loss, every fitted parameter
 * with its true value where the data were generated and the interval of an ensemble. Of several fits at most 40 traces are
 * drawn, evenly spaced. */
lg_status plot_result(lg_context *ctx, const lg_result *result, unsigned parts, const char *path, bool force);

#endif
