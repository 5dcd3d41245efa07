/* Pattern statistics of a lattice state and their adjoints, in the order of rules/spectrum.h. */
#include "model/spectrum.h"

#include "model/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static lg_complex *waves(uint32_t side)
{
    lg_complex *table = malloc(side * sizeof *table);
    for (uint32_t t = 0; table && t < side; t++) {
        const double angle = -2.0 * 3.14159265358979323846 * t / side;
        table[t] = (lg_complex){cos(angle), sin(angle)};
    }
    return table;
}

bool lg_spectrum_open(lg_spectrum *s, uint32_t height, uint32_t width)
{
    *s = (lg_spectrum){.shape = lg_spectrum_of(height, width)};
    const uint32_t vectors = lg_spectrum_vectors(&s->shape);
    s->wave_h = waves(height);
    s->wave_w = waves(width);
    s->bin = malloc(vectors);
    if (!s->wave_h || !s->wave_w || !s->bin) {
        lg_spectrum_close(s);
        return false;
    }
    for (uint32_t k = 0; k < vectors; k++) {
        s->bin[k] = (int8_t)lg_spectrum_bin(&s->shape, k);
        if (s->bin[k] >= 0) s->count[s->bin[k]]++;
    }
    return true;
}

void lg_spectrum_close(lg_spectrum *s)
{
    free(s->wave_h);
    free(s->wave_w);
    free(s->bin);
    *s = (lg_spectrum){0};
}

size_t lg_spectrum_work(const lg_spectrum *s)
{
    return (size_t)s->shape.H * s->shape.nx + lg_spectrum_vectors(&s->shape);
}

/* n_k of all wave vectors; work: rows [H][nx], then n_k. */
static lg_complex *transform(const lg_spectrum *s, const uint8_t *plane, lg_complex *work)
{
    const lg_spectrum_shape *h = &s->shape;
    lg_complex *vector = work + (size_t)h->H * h->nx;
    for (uint32_t i = 0; i < h->H; i++)
        for (uint32_t kx = 0; kx < h->nx; kx++)
            work[(size_t)i * h->nx + kx] = lg_spectrum_row(h, s->wave_w, plane + (size_t)i * h->W, kx);
    for (uint32_t k = 0; k < lg_spectrum_vectors(h); k++)
        if (s->bin[k] >= 0) vector[k] = lg_spectrum_column(h, s->wave_h, work, k);
    return vector;
}

static void average(const lg_spectrum *s, const lg_complex *vector, double *bins)
{
    const double sites = (double)s->shape.H * s->shape.W;
    for (int b = 0; b < LG_SPECTRUM_BINS; b++) bins[b] = 0.0;
    for (uint32_t k = 0; k < lg_spectrum_vectors(&s->shape); k++)
        if (s->bin[k] >= 0) bins[s->bin[k]] += (vector[k].re * vector[k].re + vector[k].im * vector[k].im) / sites;
    for (int b = 0; b < LG_SPECTRUM_BINS; b++)
        if (s->count[b]) bins[b] /= s->count[b];
}

void lg_spectrum_bins(const lg_spectrum *s, const uint8_t *plane, lg_complex *work, double *bins)
{
    average(s, transform(s, plane, work), bins);
}

void lg_formation_statistics(const lg_spectrum *s, const uint8_t *state, lg_complex *work, double *out)
{
    const size_t sites = (size_t)s->shape.H * s->shape.W;
    lg_mk_statistics(state, sites, out);
    out[2] = log1p(out[2]);
    out[3] = log1p(out[3]);
    for (int species = 0; species < 2; species++) {
        double *bins = out + 4 + species * LG_SPECTRUM_BINS;
        lg_spectrum_bins(s, state + (size_t)species * sites, work, bins);
        for (int b = 0; b < LG_SPECTRUM_BINS; b++) bins[b] = log1p(bins[b]);
    }
}

void lg_formation_adjoint(const lg_spectrum *s, const uint8_t *state, int species, const double *adjoint,
                          lg_complex *work, float *field, size_t stride)
{
    const lg_spectrum_shape *h = &s->shape;
    const size_t sites = (size_t)h->H * h->W;
    const uint8_t *plane = state + (size_t)species * sites;
    double moments[4], bins[LG_SPECTRUM_BINS], gain[LG_SPECTRUM_BINS];
    lg_mk_statistics(state, sites, moments);
    lg_complex *vector = transform(s, plane, work);
    average(s, vector, bins);
    for (int b = 0; b < LG_SPECTRUM_BINS; b++)
        gain[b] = s->count[b] ? 2.0 * adjoint[4 + species * LG_SPECTRUM_BINS + b] /
                                    ((1.0 + bins[b]) * s->count[b] * (double)sites)
                              : 0.0;
    for (uint32_t k = 0; k < lg_spectrum_vectors(h); k++) {
        const double g = s->bin[k] >= 0 ? gain[s->bin[k]] : 0.0;
        vector[k] = g != 0.0 ? (lg_complex){g * vector[k].re, g * vector[k].im} : (lg_complex){0.0, 0.0};
    }
    /* d mean = 1 / HW, d log(1 + var) = 2 (n - mean) / (HW (1 + var)) */
    const double slope = 2.0 * adjoint[2 + species] / ((1.0 + moments[2 + species]) * (double)sites);
    const double base = adjoint[species] / (double)sites - slope * moments[species];
    for (uint32_t i = 0; i < h->H; i++) {
        for (uint32_t kx = 0; kx < h->nx; kx++) work[kx] = lg_spectrum_column_back(h, s->wave_h, vector, i, kx);
        float *row = field + (size_t)i * stride;
        for (uint32_t j = 0; j < h->W; j++)
            row[j] += (float)(base + slope * plane[(size_t)i * h->W + j] + lg_spectrum_row_back(h, s->wave_w, work, j));
    }
}
