/* MK on the CPU: one step forward and backward over uint8 planes, in loops the compiler turns into vector code.
 *
 * The planes' excitations go through copies padded by one halo column on each side, so that a shift by one column is a
 * plain offset; rows wrap by index. See rules/mk.h for the equations and the noise. Compiled once per instruction set. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/philox_lanes.h"

#include <string.h>

enum { CHUNK = 256 }; /* columns worked on at a time, so that temporaries stay in the first-level cache */

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* Noise of `count` sites of a row pair from column j: words 0, 1 for the even row, 2, 3 for the odd one. */
static void draw_pair(lg_noise_id id, uint32_t step, uint32_t block, uint32_t count, uint32_t *const w[4])
{
    uint32_t replicate[LG_PHILOX_LANES], blocks[LG_PHILOX_LANES];
    lg_lane_blocks noise;
    for (uint32_t l = 0; l < LG_PHILOX_LANES; l++) replicate[l] = id.replicate;
    for (uint32_t i = 0; i < count; i += LG_PHILOX_LANES) {
        const uint32_t lanes = count - i < LG_PHILOX_LANES ? count - i : LG_PHILOX_LANES;
        for (uint32_t l = 0; l < LG_PHILOX_LANES; l++) blocks[l] = block + i + l;
        lg_draw_lanes(id.key, LG_STREAM_MK_SITE, id.fit, replicate, step, blocks, &noise);
        for (int k = 0; k < 4; k++) memcpy(w[k] + i, noise.w[k], lanes * sizeof(uint32_t));
    }
}

static void excite_row(uint32_t capacity, uint32_t count, const uint32_t *restrict w, const uint8_t *restrict n,
                       const uint8_t *restrict m, uint8_t *restrict ea, uint8_t *restrict eb)
{
    for (uint32_t i = 0; i < count; i++) {
        ea[i] = (uint8_t)lg_mk_excited(w[i] & 0xffffu, n[i], capacity);
        eb[i] = (uint8_t)lg_mk_excited(w[i] >> 16, m[i], capacity);
    }
}

static void fill_halo(uint8_t *row, uint32_t W)
{
    row[0] = row[W];
    row[W + 1] = row[1];
}

static void excite(const lg_mk_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, uint32_t r0,
                   uint32_t r1, const uint8_t *n, const uint8_t *m, uint8_t *ea, uint8_t *eb, uint32_t *words)
{
    const size_t stride = (size_t)W + 2;
    uint32_t w0[CHUNK], w2[CHUNK], unused[CHUNK];
    for (uint32_t row = r0; row < r1; row += 2) {
        const uint32_t pair = row >> 1;
        const uint32_t second = row + 1 < H;
        for (uint32_t j = 0; j < W; j += CHUNK) {
            const uint32_t count = W - j < CHUNK ? W - j : CHUNK;
            const size_t site = (size_t)row * W + j, pad = row * stride + 1 + j;
            uint32_t *const w[4] = {w0, words + site, w2, second ? words + site + W : unused};
            draw_pair(id, step, pair * W + j, count, w);
            excite_row(fit->capacity, count, w0, n + site, m + site, ea + pad, eb + pad);
            if (second)
                excite_row(fit->capacity, count, w2, n + site + W, m + site + W, ea + pad + stride, eb + pad + stride);
        }
        for (uint32_t r = row; r < row + 1 + second; r++) {
            fill_halo(ea + r * stride, W);
            fill_halo(eb + r * stride, W);
        }
    }
}

/* n <- n - E + T(E) of a row. */
static void move_row(uint32_t count, uint8_t *restrict n, const uint8_t *restrict e, const uint8_t *restrict shifted)
{
    for (uint32_t i = 0; i < count; i++) n[i] = (uint8_t)(n[i] - e[i] + shifted[i]);
}

/* One row's reactions; code gets channel << 2 | fired << 5. Per-reaction constants are chosen by arithmetic, not by
 * a table look-up, and bytes, 32-bit and 64-bit numbers meet in separate loops: otherwise nothing would vectorise. */
static void react_row(const lg_mk_fit *fit, uint32_t count, const uint32_t *restrict word, uint8_t *restrict n,
                      uint8_t *restrict m, uint8_t *restrict code)
{
    const uint32_t N = fit->capacity;
    const uint32_t f0 = fit->factor[0], f1 = fit->factor[1], f2 = fit->factor[2];
    const uint32_t s0 = 1u << fit->shift[0], s1 = 1u << fit->shift[1], s2 = 1u << fit->shift[2];
    const uint32_t c0 = fit->certain[0], c1 = fit->certain[1], c2 = fit->certain[2];
    uint32_t factor[CHUNK], scaled[CHUNK], certain[CHUNK], channels[CHUNK];
    for (uint32_t i = 0; i < count; i++) channels[i] = lg_mk_channel(word[i]);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t channel = channels[i];
        const uint32_t I = lg_mk_count(channel, n[i], m[i], N);
        const uint32_t first = 0u - (uint32_t)(channel < 2u), last = 0u - (uint32_t)(channel > 3u);
        factor[i] = lg_pick_bits(first, f0, lg_pick_bits(last, f2, f1));
        scaled[i] = I * lg_pick_bits(first, s0, lg_pick_bits(last, s2, s1));
        certain[i] = I >= lg_pick_bits(first, c0, lg_pick_bits(last, c2, c1));
    }
    for (uint32_t i = 0; i < count; i++) scaled[i] = (uint32_t)(((uint64_t)scaled[i] * factor[i] + 0x80000000u) >> 32);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t channel = channels[i], last = channel > 3u;
        const uint32_t fired = certain[i] | (uint32_t)(lg_mk_u31(word[i]) < scaled[i]);
        const uint32_t delta = (channel & 1u) ? 0u - fired : fired;
        n[i] = (uint8_t)(n[i] + (last ? 0u : delta));
        m[i] = (uint8_t)(m[i] + (last ? delta : 0u));
        code[i] = (uint8_t)(channel << LG_MK_TAPE_CHANNEL | fired << 5);
    }
}

static void write_tape(uint32_t count, const uint8_t *restrict ea, const uint8_t *restrict eb,
                       const uint8_t *restrict code, uint8_t *restrict tape)
{
    for (uint32_t i = 0; i < count; i++) tape[i] = (uint8_t)(code[i] | ea[i] | eb[i] << 1);
}

static uint32_t wrap(uint32_t row, int offset, uint32_t H)
{
    return offset < 0 ? (row == 0 ? H - 1 : row - 1) : (offset > 0 ? (row + 1 == H ? 0 : row + 1) : row);
}

static void react(const lg_mk_fit *fit, int qa, int qb, uint32_t H, uint32_t W, uint32_t r0, uint32_t r1, uint8_t *n,
                  uint8_t *m, const uint8_t *ea, const uint8_t *eb, const uint32_t *words, uint8_t *tape)
{
    const size_t stride = (size_t)W + 2;
    uint8_t code[CHUNK];
    for (uint32_t row = r0; row < r1; row++) {
        const uint8_t *own_a = ea + row * stride + 1, *own_b = eb + row * stride + 1;
        const uint8_t *from_a = ea + wrap(row, lg_mk_row_offset(qa), H) * stride + 1 + lg_mk_column_offset(qa);
        const uint8_t *from_b = eb + wrap(row, lg_mk_row_offset(qb), H) * stride + 1 + lg_mk_column_offset(qb);
        for (uint32_t j = 0; j < W; j += CHUNK) {
            const uint32_t count = W - j < CHUNK ? W - j : CHUNK;
            const size_t site = (size_t)row * W + j;
            move_row(count, n + site, own_a + j, from_a + j);
            move_row(count, m + site, own_b + j, from_b + j);
            react_row(fit, count, words + site, n + site, m + site, code);
            if (tape) write_tape(count, own_a + j, own_b + j, code, tape + site);
        }
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* Sum of the lanes in a fixed tree, in double. */
static double lane_sum(const float *acc)
{
    double s[LG_LANES];
    for (int l = 0; l < LG_LANES; l++) s[l] = acc[l];
    for (int half = LG_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

/* What a stretch of a row's reactions contributes to dL/dk1..3, site by site; entries past `count` are zero up to a
 * multiple of LG_LANES. */
typedef struct contributions {
    float k[3][CHUNK];
} contributions;

/* The state before the reactions of a stretch of a row. */
static void undo_row(uint32_t count, const uint8_t *restrict tape, uint8_t *restrict n, uint8_t *restrict m)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t channel = tape[i] >> LG_MK_TAPE_CHANNEL & 7, fired = tape[i] >> 5;
        const uint8_t delta = (uint8_t)((channel & 1) ? -fired : fired);
        n[i] = (uint8_t)(n[i] - (channel > 3 ? 0 : delta));
        m[i] = (uint8_t)(m[i] - (channel > 3 ? delta : 0));
    }
}

typedef struct wide {
    float n[CHUNK], m[CHUNK];
    uint32_t channel[CHUNK];
} wide;

/* Bytes and floats meet only here: a loop over both would not vectorise. */
static void widen_row(uint32_t count, const uint8_t *restrict n, const uint8_t *restrict m,
                      const uint8_t *restrict tape, wide *restrict x)
{
    for (uint32_t i = 0; i < count; i++) x->n[i] = (float)n[i];
    for (uint32_t i = 0; i < count; i++) x->m[i] = (float)m[i];
    for (uint32_t i = 0; i < count; i++) x->channel[i] = tape[i] >> LG_MK_TAPE_CHANNEL & 7u;
}

/* Gradient of a stretch of a row's reactions: its part of dL/dk, and dL/d(state before). weight: 1 (ste) or the gs weights. */
static void adjoint_row(const lg_mk_fit *fit, uint32_t count, const wide *restrict x, const float *restrict weight,
                        float *restrict la, float *restrict lb, contributions *restrict c)
{
    const float N = (float)fit->capacity;
    const float u0 = fit->unit_rate[0], u1 = fit->unit_rate[1], u2 = fit->unit_rate[2];
    const float r0 = fit->rate[0], r1 = fit->rate[1], r2 = fit->rate[2];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t channel = x->channel[i];
        const uint32_t odd = 0u - (channel & 1u), first = 0u - (uint32_t)(channel < 2u),
                       last = 0u - (uint32_t)(channel > 3u);
        float I, dn, dm;
        lg_mk_count_gradient(channel, x->n[i], x->m[i], N, &I, &dn, &dm);
        const float a = la[i], b = lb[i];
        const float g = lg_pick(odd, -1.0f, 1.0f) * lg_pick(last, b, a) * weight[i];
        const float gk = g * I, rate = lg_pick(first, r0, lg_pick(last, r2, r1));
        c->k[0][i] = lg_pick(first, gk * u0, 0.0f);
        c->k[1][i] = lg_pick(first | last, 0.0f, gk * u1);
        c->k[2][i] = lg_pick(last, gk * u2, 0.0f);
        la[i] = a + g * rate * dn;
        lb[i] = b + g * rate * dm;
    }
}

/* Excitations of a stretch of a row as floats. */
static void excitation_row(uint32_t count, const uint8_t *restrict tape, float *restrict fa, float *restrict fb)
{
    for (uint32_t i = 0; i < count; i++) {
        fa[i] = (float)(tape[i] & LG_MK_TAPE_EA);
        fb[i] = (float)(tape[i] >> 1 & 1);
    }
}

static void add_lanes(uint32_t count, const float *restrict x, float *restrict acc)
{
    for (uint32_t i = 0; i < count; i += LG_LANES)
        for (uint32_t l = 0; l < LG_LANES; l++) acc[l] += x[i + l];
}

/* gs weights of a stretch of a row's reactions, averaged over the draws of the noise (key[k]: of draw k); n, m are the
 * states after the reaction. */
static void gs_weights(const lg_mk_fit *fit, const lg_key *key, lg_noise_id id, uint32_t step, uint32_t block,
                       int odd_row, uint32_t count, const uint8_t *n, const uint8_t *m, const uint8_t *tape,
                       float *weight)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t channel = tape[i] >> LG_MK_TAPE_CHANNEL & 7u, fired = tape[i] >> 5;
        const int delta = lg_mk_sign(channel) * (int)fired;
        const uint32_t nn = (uint32_t)(n[i] - (channel < 4 ? delta : 0)),
                       mm = (uint32_t)(m[i] - (channel < 4 ? 0 : delta));
        const double p = fit->exact[channel >> 1] * lg_mk_count(channel, nn, mm, fit->capacity);
        float sum = 0.0f;
        for (uint32_t k = 0; k < fit->reaction_draws; k++) {
            const lg_block b = lg_draw(key[k], LG_STREAM_MK_GUMBEL, id.fit, id.replicate, step, block + i);
            sum += lg_gs_weight((float)p, (float)(1.0 - p), (int)fired, lg_exponential(b.w[odd_row ? 2 : 0]),
                                lg_exponential(b.w[odd_row ? 3 : 1]), fit->inv_tau);
        }
        weight[i] = sum / (float)fit->reaction_draws;
    }
}

static void fill_halo_float(float *row, uint32_t W)
{
    row[0] = row[W];
    row[W + 1] = row[1];
}

static void unreact(const lg_mk_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W,
                    uint32_t r0, uint32_t r1, uint8_t *n, uint8_t *m, const uint8_t *tape, float *la, float *lb,
                    float *fa, float *fb, double (*row_sums)[LG_MK_PARAMS])
{
    const size_t stride = (size_t)W + 2;
    contributions c;
    wide x;
    float weight[CHUNK];
    (void)H;
    lg_key key[LG_MAX_REDRAWS];
    for (uint32_t k = 0; k < fit->reaction_draws; k++) key[k] = lg_redraw_key(id.key, k);
    for (int i = 0; i < CHUNK; i++) weight[i] = 1.0f;
    for (uint32_t row = r0; row < r1; row++) {
        float acc[3][LG_LANES] = {{0}};
        for (uint32_t j = 0; j < W; j += CHUNK) {
            const uint32_t count = W - j < CHUNK ? W - j : CHUNK;
            const size_t site = (size_t)row * W + j, pad = row * stride + 1 + j;
            if (estimator != LG_ESTIMATOR_ste)
                gs_weights(fit, key, id, step, (row >> 1) * W + j, (int)(row & 1), count, n + site, m + site,
                           tape + site, weight);
            undo_row(count, tape + site, n + site, m + site);
            widen_row(count, n + site, m + site, tape + site, &x);
            adjoint_row(fit, count, &x, weight, la + pad, lb + pad, &c);
            excitation_row(count, tape + site, fa + pad, fb + pad);
            for (int g = 0; g < 3; g++) {
                for (uint32_t i = count; i % LG_LANES; i++) c.k[g][i] = 0.0f;
                add_lanes(count, c.k[g], acc[g]);
            }
        }
        float *const padded[4] = {la, lb, fa, fb};
        for (int k = 0; k < 4; k++) fill_halo_float(padded[k] + row * stride, W);
        for (int g = 0; g < 3; g++) row_sums[row][LG_MK_K1 + g] += lane_sum(acc[g]);
    }
}

/* ---- score ------------------------------------------------------------------------------------------------------ */

/* d log P / dk of a stretch of a row's reactions; x is the state before them. */
static void score_row(const lg_mk_fit *fit, uint32_t count, const wide *restrict x, const uint8_t *restrict tape,
                      contributions *restrict c)
{
    const float N = (float)fit->capacity;
    const float u0 = fit->unit_rate[0], u1 = fit->unit_rate[1], u2 = fit->unit_rate[2];
    const float r0 = fit->rate[0], r1 = fit->rate[1], r2 = fit->rate[2];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t channel = x->channel[i];
        const uint32_t first = 0u - (uint32_t)(channel < 2u), last = 0u - (uint32_t)(channel > 3u);
        const float unit = lg_pick(first, u0, lg_pick(last, u2, u1)), rate = lg_pick(first, r0, lg_pick(last, r2, r1));
        float I, dn, dm;
        lg_mk_count_gradient(channel, x->n[i], x->m[i], N, &I, &dn, &dm);
        const float s = lg_mk_reaction_score(unit, rate, I, tape[i] >> 5);
        c->k[0][i] = lg_pick(first, s, 0.0f);
        c->k[1][i] = lg_pick(first | last, 0.0f, s);
        c->k[2][i] = lg_pick(last, s, 0.0f);
    }
}

static void score(const lg_mk_fit *fit, uint32_t H, uint32_t W, const uint8_t *n, const uint8_t *m, const uint8_t *tape,
                  double *sums)
{
    uint8_t before[2][CHUNK];
    contributions c;
    wide x;
    for (uint32_t row = 0; row < H; row++) {
        float acc[3][LG_LANES] = {{0}};
        for (uint32_t j = 0; j < W; j += CHUNK) {
            const uint32_t count = W - j < CHUNK ? W - j : CHUNK;
            const size_t site = (size_t)row * W + j;
            memcpy(before[0], n + site, count);
            memcpy(before[1], m + site, count);
            undo_row(count, tape + site, before[0], before[1]);
            widen_row(count, before[0], before[1], tape + site, &x);
            score_row(fit, count, &x, tape + site, &c);
            for (int g = 0; g < 3; g++) {
                for (uint32_t i = count; i % LG_LANES; i++) c.k[g][i] = 0.0f;
                add_lanes(count, c.k[g], acc[g]);
            }
        }
        for (int g = 0; g < 3; g++) sums[LG_MK_K1 + g] += lane_sum(acc[g]);
    }
}

/* ---- backward: diffusion ---------------------------------------------------------------------------------------- */

/* sum_j lam[j] sum_q w_q E(i + r - 1, j + c - 1) over a row; up, own, down point at the padded row's column 0. */
static double direction_row(uint32_t W, const float *restrict w, const float *restrict up, const float *restrict own,
                            const float *restrict down, const float *restrict lam)
{
    float acc[LG_LANES] = {0};
    uint32_t j = 0;
    for (; j + LG_LANES <= W; j += LG_LANES)
        for (uint32_t l = 0; l < LG_LANES; l++) {
            const float *u = up + j + l, *o = own + j + l, *d = down + j + l;
            const float top = w[0] * u[0] + w[1] * u[1] + w[2] * u[2];
            const float mid = w[3] * o[0] + w[4] * o[1] + w[5] * o[2];
            const float low = w[6] * d[0] + w[7] * d[1] + w[8] * d[2];
            acc[l] += lam[j + l] * (top + mid + low);
        }
    for (uint32_t l = 0; j + l < W; l++) {
        const float *u = up + j + l, *o = own + j + l, *d = down + j + l;
        const float top = w[0] * u[0] + w[1] * u[1] + w[2] * u[2];
        const float mid = w[3] * o[0] + w[4] * o[1] + w[5] * o[2];
        const float low = w[6] * d[0] + w[7] * d[1] + w[8] * d[2];
        acc[l] += lam[j + l] * (top + mid + low);
    }
    return lane_sum(acc);
}

/* Walks one row of a species' plane back over the move, n = nd + E - T(E), and carries its adjoint to where the excited
 * plane came from (sites with 0 < n < N), or leaves it. */
static void unmove_row(uint32_t W, uint32_t capacity, uint8_t *restrict plane, const float *restrict own,
                       const float *restrict from, const float *restrict stay, const float *restrict moved,
                       float *restrict out)
{
    const int32_t N = (int32_t)capacity;
    for (uint32_t j = 0; j < W; j++) {
        const int32_t v = plane[j] + (int32_t)(own[j] - from[j]);
        plane[j] = (uint8_t)v;
        out[j] = (v > 0) & (v < N) ? moved[j] : stay[j];
    }
}

static void unmove(int species, int q, const float *w, uint32_t capacity, uint32_t H, uint32_t W, uint32_t r0,
                   uint32_t r1, uint8_t *plane, const float *lam, const float *e, float *out,
                   double (*row_sums)[LG_MK_PARAMS])
{
    const size_t stride = (size_t)W + 2;
    const int dr = lg_mk_row_offset(q), dc = lg_mk_column_offset(q);
    for (uint32_t row = r0; row < r1; row++) {
        const float *own = e + row * stride, *up = e + wrap(row, -1, H) * stride, *down = e + wrap(row, 1, H) * stride;
        const float *stay = lam + row * stride + 1, *moved = lam + wrap(row, -dr, H) * stride + 1 - dc;
        const float *from = e + wrap(row, dr, H) * stride + 1 + dc;
        row_sums[row][LG_MK_D_A + species] += direction_row(W, w, up, own, down, stay);
        unmove_row(W, capacity, plane + (size_t)row * W, own + 1, from, stay, moved, out + row * stride + 1);
    }
}

const lg_mk_kernels LG_ISA_NAME(lg_mk_table);
const lg_mk_kernels LG_ISA_NAME(lg_mk_table) = {excite, react, unreact, unmove, score};
