/* PRW on the CPU: walkers in groups of 32 lanes, one Philox block per walker and step, in loops the compiler turns into
 * vector code. See rules/prw.h for the equations and the noise. Compiled once per instruction set. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/philox_lanes.h"

enum { GROUP = LG_PHILOX_LANES, AXES = 2 };

/* A group of walkers; lanes past the last walker move like the others and are left out of the sums. */
typedef struct group {
    uint32_t replicate[GROUP]; /* the walkers' indices: their noise does not depend on the grouping */
    int32_t active[GROUP];     /* -1 or 0 */
    int32_t x[AXES][GROUP], v[AXES][GROUP];
} group;

static void draw(lg_noise_id id, uint32_t stream, const group *g, uint32_t step, uint32_t block, lg_lane_blocks *out)
{
    uint32_t blocks[GROUP];
    for (int l = 0; l < GROUP; l++) blocks[l] = block;
    lg_draw_lanes(id.key, stream, id.fit, g->replicate, step, blocks, out);
}

static void group_begin(group *g, uint32_t first, uint32_t count)
{
    for (uint32_t l = 0; l < GROUP; l++) {
        g->replicate[l] = first + l;
        g->active[l] = l < count ? -1 : 0;
        g->x[0][l] = g->x[1][l] = g->v[0][l] = g->v[1][l] = 0;
    }
}

static void velocities(const lg_prw_fit *fit, const uint32_t *restrict word, int32_t *restrict v)
{
    for (int l = 0; l < GROUP; l++) v[l] = lg_prw_velocity(fit, word[l]);
}

static void start_velocities(const lg_prw_fit *fit, lg_noise_id id, group *g)
{
    lg_lane_blocks b;
    for (uint32_t axis = 0; axis < AXES; axis++) {
        draw(id, LG_STREAM_PRW_START, g, 0, axis, &b);
        velocities(fit, b.w[0], g->v[axis]);
    }
}

/* One axis of one step: keep or resample the velocity, then move. */
static void move(const lg_prw_fit *fit, const uint32_t *restrict keep, const uint32_t *restrict class,
                 int32_t *restrict v, int32_t *restrict x)
{
    const lg_prw_fit f = *fit;
    for (int l = 0; l < GROUP; l++) {
        const int32_t resampled = -lg_prw_resamples(&f, keep[l]), w = lg_prw_velocity(&f, class[l]);
        v[l] = (resampled & w) | (~resampled & v[l]);
        x[l] += v[l];
    }
}

static int64_t square_sum(const group *g)
{
    int64_t sum = 0;
    for (int l = 0; l < GROUP; l++) {
        const int32_t x = g->x[0][l] & g->active[l], y = g->x[1][l] & g->active[l];
        sum += (int64_t)x * x + (int64_t)y * y;
    }
    return sum;
}

static void forward(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, uint32_t step0,
                    uint32_t steps, int32_t *state, size_t stride, int64_t *msd)
{
    for (uint32_t done = 0; done < count; done += GROUP) {
        const uint32_t n = count - done < GROUP ? count - done : GROUP;
        int32_t *at = state + first + done;
        group g;
        group_begin(&g, first + done, n);
        for (uint32_t axis = 0; axis < AXES; axis++) {
            memcpy(g.x[axis], at + axis * stride, n * sizeof *at);
            memcpy(g.v[axis], at + (AXES + axis) * stride, n * sizeof *at);
        }
        if (step0 == 0) start_velocities(fit, id, &g);
        for (uint32_t t = 0; t < steps; t++) {
            lg_lane_blocks b;
            draw(id, LG_STREAM_PRW_STEP, &g, step0 + t + 1, 0, &b);
            for (int axis = 0; axis < AXES; axis++) move(fit, b.w[2 * axis], b.w[2 * axis + 1], g.v[axis], g.x[axis]);
            if (msd) msd[t] += square_sum(&g);
        }
        for (uint32_t axis = 0; axis < AXES; axis++) {
            memcpy(at + axis * stride, g.x[axis], n * sizeof *at);
            memcpy(at + (AXES + axis) * stride, g.v[axis], n * sizeof *at);
        }
    }
}

/* ---- jacobian --------------------------------------------------------------------------------------------------- */

/* dv/dlogit and dx/dlogit of an axis. */
typedef struct tangent {
    float v[LG_PRW_PARAMS][GROUP], x[LG_PRW_PARAMS][GROUP];
} tangent;

static void exponentials(const uint32_t *restrict word, float *restrict e)
{
    for (int l = 0; l < GROUP; l++) e[l] = lg_exponential(word[l]);
}

/* dw/dlogit p_center of velocities w drawn with noise of classes -1, 0, +1. */
static void velocity_gradients(const lg_prw_fit *fit, const int32_t *restrict w, const uint32_t *restrict minus,
                               const uint32_t *restrict zero, const uint32_t *restrict plus, float *restrict dw)
{
    float em[GROUP], ez[GROUP], ep[GROUP];
    exponentials(minus, em);
    exponentials(zero, ez);
    exponentials(plus, ep);
    lg_prw_fit f = *fit;
    if (f.inv_tau == 1.0f) {
        f.inv_tau = 1.0f; /* the common case, compiled without logarithms */
        for (int l = 0; l < GROUP; l++) dw[l] = lg_prw_velocity_gradient(&f, w[l], em[l], ez[l], ep[l]);
    } else {
        for (int l = 0; l < GROUP; l++) dw[l] = lg_prw_velocity_gradient(&f, w[l], em[l], ez[l], ep[l]);
    }
}

/* dk1/dlogit p_resample. */
static void keep_gradients(const lg_prw_fit *fit, const uint32_t *restrict word, const uint32_t *restrict keep,
                           const uint32_t *restrict resample, float *restrict dk)
{
    float ek[GROUP], er[GROUP];
    exponentials(keep, ek);
    exponentials(resample, er);
    lg_prw_fit f = *fit;
    if (f.inv_tau == 1.0f) {
        f.inv_tau = 1.0f;
        for (int l = 0; l < GROUP; l++) dk[l] = lg_prw_keep_gradient(&f, lg_prw_resamples(&f, word[l]), ek[l], er[l]);
    } else {
        for (int l = 0; l < GROUP; l++) dk[l] = lg_prw_keep_gradient(&f, lg_prw_resamples(&f, word[l]), ek[l], er[l]);
    }
}

/* v_t = k0 v + k1 w:  dv_t = k0 dv + (w - v) dk1 + k1 dw, hard k0, k1, v and w; then x_t = x + v_t. */
static void move_tangent(const lg_prw_fit *fit, const uint32_t *restrict keep, const int32_t *restrict w,
                         const float *restrict dk, const float *restrict dw, int32_t *restrict v, int32_t *restrict x,
                         tangent *restrict d)
{
    const lg_prw_fit f = *fit;
    for (int l = 0; l < GROUP; l++) {
        const uint32_t resampled = 0u - (uint32_t)lg_prw_resamples(&f, keep[l]);
        const float center = lg_pick(resampled, dw[l], d->v[LG_PRW_P_CENTER][l]);
        const float jump = (float)(w[l] - v[l]) * dk[l];
        const float resample = lg_pick(resampled, 0.0f, d->v[LG_PRW_P_RESAMPLE][l]) + jump;
        d->v[LG_PRW_P_CENTER][l] = center;
        d->v[LG_PRW_P_RESAMPLE][l] = resample;
        d->x[LG_PRW_P_CENTER][l] += center;
        d->x[LG_PRW_P_RESAMPLE][l] += resample;
        v[l] = (int32_t)lg_pick_bits(resampled, (uint32_t)w[l], (uint32_t)v[l]);
        x[l] += v[l];
    }
}

/* d(x^2 + y^2)/dlogit summed over the group, in double and in a fixed order. */
static double tangent_sum(const group *g, const float *restrict dx, const float *restrict dy)
{
    float c[GROUP];
    double s[LG_LANES];
    for (int l = 0; l < GROUP; l++) {
        const float sum = 2.0f * ((float)g->x[0][l] * dx[l] + (float)g->x[1][l] * dy[l]);
        c[l] = lg_pick((uint32_t)g->active[l], sum, 0.0f);
    }
    for (int l = 0; l < LG_LANES; l++) s[l] = (double)c[l] + (double)c[l + LG_LANES];
    for (int half = LG_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

/* Adds one of `draws` draws of the noise to a mean that is built up draw by draw. */
static void add_draw(const float *restrict one, uint32_t k, uint32_t draws, float *restrict mean)
{
    if (k >= draws) return;
    const float share = k + 1 == draws ? 1.0f / (float)draws : 1.0f;
    for (int l = 0; l < GROUP; l++) mean[l] = (k ? mean[l] + one[l] : one[l]) * share;
}

static lg_noise_id redrawn(lg_noise_id id, uint32_t k)
{
    id.key = lg_redraw_key(id.key, k);
    return id;
}

static void start_tangent(const lg_prw_fit *fit, lg_noise_id id, bool v0_const, group *g, tangent *d)
{
    lg_lane_blocks b;
    float one[GROUP];
    start_velocities(fit, id, g);
    memset(d, 0, AXES * sizeof *d);
    for (uint32_t k = 0; k < fit->velocity_draws && !v0_const; k++)
        for (uint32_t axis = 0; axis < AXES; axis++) {
            draw(redrawn(id, k), LG_STREAM_PRW_START, g, 0, axis, &b);
            velocity_gradients(fit, g->v[axis], b.w[1], b.w[2], b.w[3], one);
            add_draw(one, k, fit->velocity_draws, d[axis].v[LG_PRW_P_CENTER]);
        }
}

/* dk and dw of both axes: means over the draws of the Gumbel noise. w: the velocities drawn. */
static void soft_gradients(const lg_prw_fit *fit, lg_noise_id id, uint32_t step, const group *g,
                           const lg_lane_blocks *hard, int32_t (*w)[GROUP], float (*dk)[GROUP], float (*dw)[GROUP])
{
    const uint32_t draws = fit->keep_draws > fit->velocity_draws ? fit->keep_draws : fit->velocity_draws;
    lg_lane_blocks soft, plus;
    float one[GROUP];
    for (uint32_t k = 0; k < draws; k++) {
        const lg_noise_id own = redrawn(id, k);
        draw(own, LG_STREAM_PRW_GUMBEL, g, step, 2, &plus);
        for (uint32_t axis = 0; axis < AXES; axis++) {
            draw(own, LG_STREAM_PRW_GUMBEL, g, step, axis, &soft);
            if (k < fit->keep_draws) {
                keep_gradients(fit, hard->w[2 * axis], soft.w[0], soft.w[1], one);
                add_draw(one, k, fit->keep_draws, dk[axis]);
            }
            if (k < fit->velocity_draws) {
                velocity_gradients(fit, w[axis], soft.w[2], soft.w[3], plus.w[axis], one);
                add_draw(one, k, fit->velocity_draws, dw[axis]);
            }
        }
    }
}

static void step_tangent(const lg_prw_fit *fit, lg_noise_id id, uint32_t step, group *g, tangent *d)
{
    lg_lane_blocks hard;
    float dk[AXES][GROUP], dw[AXES][GROUP];
    int32_t w[AXES][GROUP];
    draw(id, LG_STREAM_PRW_STEP, g, step, 0, &hard);
    for (uint32_t axis = 0; axis < AXES; axis++) velocities(fit, hard.w[2 * axis + 1], w[axis]);
    soft_gradients(fit, id, step, g, &hard, w, dk, dw);
    for (uint32_t axis = 0; axis < AXES; axis++)
        move_tangent(fit, hard.w[2 * axis], w[axis], dk[axis], dw[axis], g->v[axis], g->x[axis], &d[axis]);
}

static void jacobian(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, uint32_t steps,
                     bool v0_const, double *jacobian)
{
    for (uint32_t done = 0; done < count; done += GROUP) {
        group g;
        tangent d[AXES];
        group_begin(&g, first + done, count - done < GROUP ? count - done : GROUP);
        start_tangent(fit, id, v0_const, &g, d);
        for (uint32_t t = 0; t < steps; t++) {
            step_tangent(fit, id, t + 1, &g, d);
            for (int k = 0; k < LG_PRW_PARAMS; k++)
                jacobian[LG_PRW_PARAMS * t + k] += tangent_sum(&g, d[0].x[k], d[1].x[k]);
        }
    }
}

/* ---- adjoints of the caller's own ------------------------------------------------------------------------------- */

/* Sum over the group of a_x dx/dlogit + a_y dy/dlogit; adjoint: of its first walker, `stride` floats from one to the next. */
static double pulled_sum(const group *g, const float *adjoint, size_t stride, const float *restrict dx,
                         const float *restrict dy)
{
    double s[LG_LANES] = {0};
    for (int l = 0; l < GROUP; l++)
        if (g->active[l])
            s[l % LG_LANES] += (double)adjoint[(size_t)l * stride] * (double)dx[l] +
                               (double)adjoint[(size_t)l * stride + 1] * (double)dy[l];
    for (int half = LG_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

static void pull(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, bool v0_const,
                 const uint32_t *record, uint32_t records, const float *adjoint, double *gradient)
{
    const size_t stride = AXES * (size_t)records;
    for (uint32_t done = 0; done < count; done += GROUP, adjoint += GROUP * stride) {
        group g;
        tangent d[AXES];
        group_begin(&g, first + done, count - done < GROUP ? count - done : GROUP);
        start_tangent(fit, id, v0_const, &g, d);
        for (uint32_t t = 0, k = 0; k < records; t++) {
            step_tangent(fit, id, t + 1, &g, d);
            if (record[k] != t + 1) continue;
            for (int p = 0; p < LG_PRW_PARAMS; p++)
                gradient[p] += pulled_sum(&g, adjoint + AXES * (size_t)k, stride, d[0].x[p], d[1].x[p]);
            k++;
        }
    }
}

/* ---- score ------------------------------------------------------------------------------------------------------ */

/* One axis of one step: moves, and adds the scores of the draws that were taken. */
static void move_score(const lg_prw_fit *fit, const uint32_t *restrict keep, const uint32_t *restrict class,
                       int32_t *restrict v, int32_t *restrict x, float (*restrict s)[GROUP])
{
    const lg_prw_fit f = *fit;
    for (int l = 0; l < GROUP; l++) {
        const int32_t resampled = lg_prw_resamples(&f, keep[l]), w = lg_prw_velocity(&f, class[l]);
        const uint32_t mask = 0u - (uint32_t)resampled;
        s[LG_PRW_P_CENTER][l] += lg_pick(mask, lg_prw_velocity_score(&f, w), 0.0f);
        s[LG_PRW_P_RESAMPLE][l] += lg_prw_keep_score(&f, resampled);
        v[l] = (int32_t)lg_pick_bits(mask, (uint32_t)w, (uint32_t)v[l]);
        x[l] += v[l];
    }
}

/* Sum over the group of c S with c = d or d^2, in double and in a fixed order. */
static void score_sums(const group *g, int axis, double mean, float (*s)[GROUP], double *out)
{
    double acc[4][LG_LANES] = {{0}};
    for (int half = 0; half < GROUP; half += LG_LANES)
        for (int l = 0; l < LG_LANES; l++) {
            const int32_t x = g->x[axis][half + l];
            const double d = g->active[half + l] ? (double)((int64_t)x * x) - mean : 0.0;
            for (int p = 0; p < LG_PRW_PARAMS; p++) {
                acc[p][l] += d * (double)s[p][half + l];
                acc[2 + p][l] += d * d * (double)s[p][half + l];
            }
        }
    for (int i = 0; i < 4; i++) {
        for (int half = LG_LANES / 2; half > 0; half /= 2)
            for (int l = 0; l < half; l++) acc[i][l] += acc[i][l + half];
        out[i] += acc[i][0];
    }
}

static void score(const lg_prw_fit *fit, lg_noise_id id, uint32_t first, uint32_t count, uint32_t steps, bool v0_const,
                  const double *mean, double *score)
{
    for (uint32_t done = 0; done < count; done += GROUP) {
        group g;
        lg_lane_blocks b;
        float s[AXES][LG_PRW_PARAMS][GROUP] = {{{0}}};
        group_begin(&g, first + done, count - done < GROUP ? count - done : GROUP);
        start_velocities(fit, id, &g);
        for (int axis = 0; axis < AXES && !v0_const; axis++)
            for (int l = 0; l < GROUP; l++) s[axis][LG_PRW_P_CENTER][l] = lg_prw_velocity_score(fit, g.v[axis][l]);
        for (uint32_t t = 0; t < steps; t++) {
            draw(id, LG_STREAM_PRW_STEP, &g, t + 1, 0, &b);
            for (int axis = 0; axis < AXES; axis++) {
                move_score(fit, b.w[2 * axis], b.w[2 * axis + 1], g.v[axis], g.x[axis], s[axis]);
                score_sums(&g, axis, mean[t], s[axis], score + 4 * t);
            }
        }
    }
}

extern const lg_prw_kernels LG_ISA_NAME(lg_prw_table);
const lg_prw_kernels LG_ISA_NAME(lg_prw_table) = {.forward = forward,
                                                  .jacobian = jacobian,
                                                  .score = score,
                                                  .pull = pull};
