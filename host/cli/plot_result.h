/* Pictures of results and of lattice states. */
#ifndef LG_CLI_PLOT_RESULT_H
#define LG_CLI_PLOT_RESULT_H

#include "latgrad.h"

/* The statistics against their target (where the loss compares statistics), the loss, and every fitted parameter, with
 * its true value where the data were generated. Of several fits at most 40 are drawn, evenly spaced. */
lg_status plot_result(lg_context *ctx, const lg_result *result, const char *path, bool force);

/* Planes of a uint8 array [...][height][width] side by side; of more than 12 the picture shows 12 evenly spaced ones,
 * first and last included. name: where they come from, for the title. */
lg_status plot_planes(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force);

#endif
