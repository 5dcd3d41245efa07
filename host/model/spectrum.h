/* The pattern statistics of the task `formation` on the host; the arithmetic and its equations are in rules/spectrum.h. */
#ifndef LG_MODEL_SPECTRUM_H
#define LG_MODEL_SPECTRUM_H

#include "rules/spectrum.h"

#include <stdbool.h>

/* mean_A, mean_B, log(1 + var_A), log(1 + var_B), then log(1 + S) of the 12 bins of A, then of B. */
enum { LG_FORMATION_STATISTICS = 4 + 2 * LG_SPECTRUM_BINS };

typedef struct lg_spectrum {
    lg_spectrum_shape shape;
    lg_complex *wave_h, *wave_w; /* [H], [W]: exp(-2 pi i t / side) */
    int8_t *bin;                 /* [vectors] */
    uint32_t count[LG_SPECTRUM_BINS];
} lg_spectrum;

/* false: out of memory. Closing a zeroed one does nothing. */
bool lg_spectrum_open(lg_spectrum *spectrum, uint32_t height, uint32_t width);
void lg_spectrum_close(lg_spectrum *spectrum);
/* Working memory of the two functions below, in lg_complex. */
size_t lg_spectrum_work(const lg_spectrum *spectrum);

/* Mean of S over each bin; 0 for a bin without wave vectors. */
void lg_spectrum_bins(const lg_spectrum *spectrum, const uint8_t *plane, lg_complex *work, double *bins);
/* All statistics of a state (two planes) into out[LG_FORMATION_STATISTICS]. */
void lg_formation_statistics(const lg_spectrum *spectrum, const uint8_t *state, lg_complex *work, double *out);
/* adjoint: dL/ds of all statistics. Adds dL/dn(x) of species s to field, H rows of `stride` floats. */
void lg_formation_adjoint(const lg_spectrum *spectrum, const uint8_t *state, int species, const double *adjoint,
                          lg_complex *work, float *field, size_t stride);

#endif
