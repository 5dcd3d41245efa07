/* Pictures of recorded states and positions. */
#ifndef LG_CLI_PLOT_ARRAY_H
#define LG_CLI_PLOT_ARRAY_H

#include "latgrad.h"

typedef lg_status (*plot_array_fn)(lg_context *ctx, const lg_array *array, const char *name, const char *path,
                                   bool force);

/* The first kind that fits an array is its default. tracks: of positions, else of lattice states. */
typedef struct plot_array_kind {
    const char *name, *help;
    bool tracks;
    plot_array_fn draw;
} plot_array_kind;

extern const plot_array_kind plot_array_kinds[];
extern const int plot_array_kind_count;

/* [recorded][walker][2], integers or reals; uint8 [...][height][width]. */
bool plot_array_is_tracks(const lg_array *array);
bool plot_array_is_states(const lg_array *array);

/* Planes of a uint8 array [...][height][width] side by side; of more than 12 the picture shows 12 evenly spaced ones,
 * first and last included. name: where they come from, for the title. */
lg_status plot_planes(lg_context *ctx, const lg_array *array, const char *name, const char *path, bool force);

#endif
