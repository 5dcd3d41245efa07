/* Radially averaged structure factor of a plane of counts, and its adjoint.
 *
 * With the transform n_k = sum_x n(x) exp(-i k.x), k = 2 pi (ky / H, kx / W), the structure factor is S(k) = |n_k|^2 / HW.
 * Bin b = 0 ... 11 is the mean of S over the wave vectors whose length, in units of 2 pi / min(H, W), rounds to b + 1:
 * 12 bins see patterns of up to 12 periods a side. n is real, S(-k) = S(k), so half a plane is enough: kx > 0, or kx = 0 and
 * ky > 0. Nyquist frequencies are left out.
 *
 * Statistics are taken as log(1 + v): bins span four decades, and a uniform plane has v = 0.
 *
 * Adjoint: dS(k)/dn(x) = (2 / HW) Re(n_k exp(i k.x)).
 *
 * Two separable passes of plain sums, rows and then columns: 2 x 13 (H W + 25 H) multiplications for 64 x 64, which is
 * less than one simulation step a record, needs no power of two, and adds in an order that does not depend on threads. */
#ifndef LG_RULES_SPECTRUM_H
#define LG_RULES_SPECTRUM_H

#include "rules/philox.h"

#include <stddef.h>

enum { LG_SPECTRUM_BINS = 12 };

/* Wave numbers of a lattice: columns kx = 0 ... nx - 1, rows ky = -my ... my (index ky + my). */
typedef struct lg_spectrum_shape {
    uint32_t H, W, nx, my;
} lg_spectrum_shape;

typedef struct lg_complex {
    double re, im;
} lg_complex;

LG_RULE uint32_t lg_spectrum_reach(uint32_t side, uint32_t shorter)
{
    const uint32_t reach = (2u * LG_SPECTRUM_BINS + 1u) * side / (2u * shorter), nyquist = (side - 1u) / 2u;
    return reach < nyquist ? reach : nyquist;
}

LG_RULE lg_spectrum_shape lg_spectrum_of(uint32_t H, uint32_t W)
{
    const uint32_t shorter = H < W ? H : W;
    const lg_spectrum_shape s = {H, W, lg_spectrum_reach(W, shorter) + 1u, lg_spectrum_reach(H, shorter)};
    return s;
}

/* Wave vectors kept, in rows of nx. */
LG_RULE uint32_t lg_spectrum_vectors(const lg_spectrum_shape *s)
{
    return s->nx * (2u * s->my + 1u);
}

/* Bin of the wave vector at an index, -1 where it has none. Exact: 4 r^2 against (2b + 1)^2 ... (2b + 3)^2 in integers. */
LG_RULE int lg_spectrum_bin(const lg_spectrum_shape *s, uint32_t index)
{
    const int64_t kx = index % s->nx, ky = (int64_t)(index / s->nx) - s->my;
    const int64_t L = s->H < s->W ? s->H : s->W, H = s->H, W = s->W;
    if (kx == 0 && ky <= 0) return -1;
    /* r^2 = L^2 (ky^2 / H^2 + kx^2 / W^2); one of H and W is L */
    const int64_t longer = H < W ? W : H, a = H < W ? ky : kx, c = H < W ? kx : ky;
    const int64_t r4 = 4 * (a * a * longer * longer + c * c * L * L); /* 4 r^2 longer^2 */
    for (int b = 0; b < LG_SPECTRUM_BINS; b++) {
        const int64_t low = (2 * b + 1) * longer, high = (2 * b + 3) * longer;
        if (r4 >= low * low && r4 < high * high) return b;
    }
    return -1;
}

/* exp(-2 pi i k x / side) from a table of side entries, exp(-2 pi i t / side). k may be negative, |k| < side. */
LG_RULE lg_complex lg_spectrum_wave(const lg_complex *table, uint32_t side, int64_t k, uint32_t x)
{
    const int64_t t = k * (int64_t)x % (int64_t)side;
    return table[t < 0 ? t + side : t];
}

/* Row i of a plane against column frequency kx. */
LG_RULE lg_complex lg_spectrum_row(const lg_spectrum_shape *s, const lg_complex *table_w, const uint8_t *row,
                                   uint32_t kx)
{
    lg_complex sum = {0.0, 0.0};
    uint32_t t = 0;
    for (uint32_t j = 0; j < s->W; j++) {
        sum.re += row[j] * table_w[t].re;
        sum.im += row[j] * table_w[t].im;
        t += kx;
        if (t >= s->W) t -= s->W;
    }
    return sum;
}

/* n_k of the wave vector at an index from the rows' sums, [H][nx]. */
LG_RULE lg_complex lg_spectrum_column(const lg_spectrum_shape *s, const lg_complex *table_h, const lg_complex *rows,
                                      uint32_t index)
{
    const uint32_t kx = index % s->nx;
    const int64_t ky = (int64_t)(index / s->nx) - s->my;
    lg_complex sum = {0.0, 0.0};
    for (uint32_t i = 0; i < s->H; i++) {
        const lg_complex a = rows[(size_t)i * s->nx + kx], w = lg_spectrum_wave(table_h, s->H, ky, i);
        sum.re += a.re * w.re - a.im * w.im;
        sum.im += a.re * w.im + a.im * w.re;
    }
    return sum;
}

/* Sum over ky of c_k exp(i 2 pi ky i / H) for row i and column frequency kx; c is [2 my + 1][nx]. */
LG_RULE lg_complex lg_spectrum_column_back(const lg_spectrum_shape *s, const lg_complex *table_h, const lg_complex *c,
                                           uint32_t i, uint32_t kx)
{
    lg_complex sum = {0.0, 0.0};
    for (uint32_t r = 0; r < 2u * s->my + 1u; r++) {
        const lg_complex a = c[(size_t)r * s->nx + kx],
                         w = lg_spectrum_wave(table_h, s->H, (int64_t)r - s->my, i); /* conjugated */
        sum.re += a.re * w.re + a.im * w.im;
        sum.im += a.im * w.re - a.re * w.im;
    }
    return sum;
}

/* Re of the sum over kx of rows[i][kx] exp(i 2 pi kx j / W): the adjoint field at column j. */
LG_RULE double lg_spectrum_row_back(const lg_spectrum_shape *s, const lg_complex *table_w, const lg_complex *row,
                                    uint32_t j)
{
    double sum = 0.0;
    uint32_t t = 0;
    for (uint32_t kx = 0; kx < s->nx; kx++) {
        sum += row[kx].re * table_w[t].re + row[kx].im * table_w[t].im;
        t += j;
        if (t >= s->W) t -= s->W;
    }
    return sum;
}

#endif
