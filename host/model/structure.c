/* The structure factor of a plane for pictures: all rings, where the statistics of rules/spectrum.h take the first 12.
 *
 * n_k = sum_x n(x) exp(-i k.x) by rows, then columns, each by the mixed-radix fast Fourier transform (Cooley and Tukey,
 * Mathematics of Computation 19, 1965): for n = p m, X(k + q m) = sum_{r < p} w_n^(r (k + q m)) Y_r(k), where Y_r is the
 * transform of every p-th value from r on and w_n = exp(-2 pi i / n). Its cost is n times the sum of the prime factors. */
#include "base/error.h"
#include "rules/spectrum.h"

#include <math.h>
#include <stdlib.h>

/* A transform of length `side`: wave[t] = exp(-2 pi i t / side). */
typedef struct transform {
    size_t side;
    lg_complex *wave, *row, *term;
} transform;

static void fourier(const transform *f, const lg_complex *in, size_t stride, size_t n, lg_complex *out)
{
    if (n == 1) {
        *out = *in;
        return;
    }
    size_t p = 2;
    while (n % p != 0) p = p * p > n ? n : p + 1;
    const size_t m = n / p, turn = f->side / n; /* w_n is the wave at `turn` */
    for (size_t r = 0; r < p; r++) fourier(f, in + r * stride, stride * p, m, out + r * m);
    for (size_t k = 0; k < m; k++) {
        for (size_t r = 0; r < p; r++) f->term[r] = out[r * m + k];
        for (size_t to = k; to < n; to += m) {
            out[to] = (lg_complex){0, 0};
            for (size_t r = 0; r < p; r++) {
                const lg_complex w = f->wave[r * to % n * turn], y = f->term[r];
                out[to].re += w.re * y.re - w.im * y.im;
                out[to].im += w.re * y.im + w.im * y.re;
            }
        }
    }
}

/* Transforms `count` lines of `side` values that lie `stride` apart, `step` from line to line. */
static bool transform_lines(lg_complex *field, size_t side, size_t stride, size_t count, size_t step)
{
    lg_complex *room = calloc(3 * side, sizeof *room);
    if (!room) return false;
    const transform f = {side, room, room + side, room + 2 * side};
    for (size_t t = 0; t < side; t++) {
        const double angle = -2.0 * acos(-1.0) * (double)t / (double)side;
        f.wave[t] = (lg_complex){cos(angle), sin(angle)};
    }
    for (size_t line = 0; line < count; line++) {
        fourier(&f, field + line * step, stride, side, f.row);
        for (size_t t = 0; t < side; t++) field[line * step + t * stride] = f.row[t];
    }
    free(room);
    return true;
}

/* Means over rings of wave vectors; k = 0 and the Nyquist frequencies are left out, as in rules/spectrum.h. */
static void average(const lg_complex *field, int height, int width, int rings, double *out, double *count)
{
    const int shorter = height < width ? height : width;
    for (int ky = -(height - 1) / 2; ky <= (height - 1) / 2; ky++) {
        for (int kx = -(width - 1) / 2; kx <= (width - 1) / 2; kx++) {
            const int ring = (int)lround(hypot((double)ky / height, (double)kx / width) * shorter) - 1;
            if (ring < 0 || ring >= rings) continue;
            const size_t i = (size_t)((ky + height) % height), j = (size_t)((kx + width) % width);
            const lg_complex n = field[i * (size_t)width + j];
            out[ring] += (n.re * n.re + n.im * n.im) / ((double)height * width);
            count[ring]++;
        }
    }
    for (int r = 0; r < rings; r++) out[r] = count[r] > 0 ? out[r] / count[r] : NAN;
}

lg_status lg_structure_factor(lg_context *ctx, const uint8_t *plane, int height, int width, int rings, double *out)
{
    if (height < 1 || width < 1 || rings < 0)
        return lg_fail(ctx, LG_ERR_RANGE, "a structure factor of %d x %d sites in %d rings: expected 1 x 1 or more",
                       height, width, rings);
    const size_t H = (size_t)height, W = (size_t)width;
    lg_complex *field = calloc(H * W, sizeof *field);
    double *count = calloc((size_t)rings + 1, sizeof *count);
    for (size_t i = 0; field && i < H * W; i++) field[i].re = plane[i];
    const bool done = field && count && transform_lines(field, W, 1, H, W) && transform_lines(field, H, W, W, 1);
    for (int r = 0; r < rings; r++) out[r] = 0;
    if (done) average(field, height, width, rings, out, count);
    free(field);
    free(count);
    return done ? LG_OK
                : lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for the structure factor of %d x %d sites", height,
                          width);
}
