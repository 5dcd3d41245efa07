/* Tracks of positions in time, grouped and sorted. */
#ifndef LG_DATA_TRACKS_H
#define LG_DATA_TRACKS_H

#include "base/error.h"

/* Track k has the points first[k] .. first[k + 1] - 1, by increasing time; z is 0 for tracks in the plane. */
struct lg_tracks {
    size_t count, points;
    size_t *first; /* [count + 1] */
    double *t, *x, *y, *z;
    char *path; /* for messages */
};

/* Each track's part of the MSD at lags 1 ... lags: sums of squared displacements and their numbers, both [tracks][lags];
 * interval > 0. */
void lg_tracks_parts(const lg_tracks *tracks, lg_msd_variant variant, double interval, size_t lags, double *sum,
                     double *count);

#endif
