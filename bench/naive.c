#include "naive.h"

#include <stdlib.h>
#include <string.h>

static uint32_t before(uint32_t i, uint32_t size)
{
    return i ? i - 1 : size - 1;
}

static uint32_t after(uint32_t i, uint32_t size)
{
    return i + 1 < size ? i + 1 : 0;
}

/* ---- SI ---------------------------------------------------------------------------------------------------------- */

static uint32_t aware_neighbours(const uint8_t *up, const uint8_t *own, const uint8_t *down, uint32_t j, uint32_t W)
{
    const uint32_t l = before(j, W), r = after(j, W);
    return (uint32_t)(up[l] + up[j] + up[r] + own[l] + own[r] + down[l] + down[j] + down[r]);
}

uint64_t naive_si_step(const lg_si_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, const uint8_t *x,
                       uint8_t *y)
{
    uint64_t made = 0;
    for (uint32_t i = 0; i < H; i++) {
        const uint8_t *up = x + (size_t)before(i, H) * W, *own = x + (size_t)i * W, *down = x + (size_t)after(i, H) * W;
        uint8_t *out = y + (size_t)i * W;
        uint32_t drawn = UINT32_MAX; /* a block serves four sites */
        lg_block b = {{0}};
        for (uint32_t j = 0; j < W; j++) {
            out[j] = own[j];
            if (own[j]) continue;
            const uint32_t N = aware_neighbours(up, own, down, j, W);
            if (N == 0) continue;
            const uint32_t block = lg_si_block(i, j, W);
            if (block != drawn) b = lg_draw(id.key, LG_STREAM_SI_SITE, id.fit, id.replicate, step, drawn = block);
            if (lg_u31(b.w[j & 3]) >= fit->threshold[N]) continue;
            out[j] = 1;
            made++;
        }
    }
    return made;
}

static float si_weight(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t W,
                       uint32_t i, uint32_t j, uint32_t N, int fired)
{
    if (estimator == LG_ESTIMATOR_ste) return 1.0f;
    const lg_block b = lg_draw(id.key, LG_STREAM_SI_GUMBEL, id.fit, id.replicate, step, lg_si_gumbel_block(i, j, W));
    return lg_gs_weight(fit->p[N], fit->q[N], fired, lg_exponential(b.w[2 * (j & 1)]),
                        lg_exponential(b.w[2 * (j & 1) + 1]), fit->inv_tau);
}

void naive_si_pair_gradient(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                            uint32_t W, const uint8_t *x, const uint8_t *y, const uint8_t *observed, int kind,
                            double scale, double *out)
{
    for (uint32_t i = 0; i < H; i++) {
        const uint8_t *up = x + (size_t)before(i, H) * W, *own = x + (size_t)i * W, *down = x + (size_t)after(i, H) * W;
        for (uint32_t j = 0; j < W; j++) {
            const size_t site = (size_t)i * W + j;
            const double a = kind == 0 ? scale * 2.0 * (y[site] - observed[site]) : scale;
            if (own[j] || a == 0.0) continue;
            const uint32_t N = aware_neighbours(up, own, down, j, W);
            if (N == 0) continue;
            const double weight = (double)si_weight(fit, estimator, id, step, W, i, j, N, y[site]);
            const double g = a * weight * (double)fit->dp_dbeta[N];
            out[0] += g;
            out[1] += g < 0.0 ? -g : g;
        }
    }
}

void naive_si_backward(const lg_si_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                       uint32_t W, const uint8_t *x, double *adj, double *flow, double *grad)
{
    for (uint32_t i = 0; i < H; i++) {
        const uint8_t *up = x + (size_t)before(i, H) * W, *own = x + (size_t)i * W, *down = x + (size_t)after(i, H) * W;
        for (uint32_t j = 0; j < W; j++) {
            const size_t site = (size_t)i * W + j;
            const uint32_t N = aware_neighbours(up, own, down, j, W);
            const lg_block b = lg_draw(id.key, LG_STREAM_SI_SITE, id.fit, id.replicate, step, lg_si_block(i, j, W));
            const int fired = lg_u31(b.w[j & 3]) < fit->threshold[N];
            double g = 0.0;
            if (!own[j]) g = adj[site] * (double)si_weight(fit, estimator, id, step, W, i, j, N, fired);
            *grad += g * (double)fit->dp_dbeta[N];
            flow[site] = g * (double)fit->dp_dn[N];
            if (fired) adj[site] = 0.0;
        }
    }
    for (uint32_t i = 0; i < H; i++) {
        const double *up = flow + (size_t)before(i, H) * W, *own = flow + (size_t)i * W,
                     *down = flow + (size_t)after(i, H) * W;
        for (uint32_t j = 0; j < W; j++) {
            const uint32_t l = before(j, W), r = after(j, W);
            adj[(size_t)i * W + j] += up[l] + up[j] + up[r] + own[l] + own[r] + down[l] + down[j] + down[r];
        }
    }
}

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

typedef struct axis_state {
    int32_t x, v;
    float dx[LG_PRW_PARAMS], dv[LG_PRW_PARAMS];
} axis_state;

static void prw_start(const lg_prw_fit *fit, lg_noise_id id, uint32_t walker, uint32_t axis, bool tangent,
                      axis_state *s)
{
    const lg_block b = lg_draw(id.key, LG_STREAM_PRW_START, id.fit, walker, 0, axis);
    memset(s, 0, sizeof *s);
    s->v = lg_prw_velocity(fit, b.w[0]);
    if (tangent)
        s->dv[LG_PRW_P_CENTER] =
            lg_prw_velocity_gradient(fit, s->v, lg_exponential(b.w[1]), lg_exponential(b.w[2]), lg_exponential(b.w[3]));
}

/* hard: the step's block; soft: the axis's Gumbel block, plus: the word of class +1. */
static void prw_axis_tangent(const lg_prw_fit *fit, const uint32_t *hard, const uint32_t *soft, uint32_t plus,
                             axis_state *s)
{
    const int32_t resampled = lg_prw_resamples(fit, hard[0]), w = lg_prw_velocity(fit, hard[1]);
    const float dk = lg_prw_keep_gradient(fit, resampled, lg_exponential(soft[0]), lg_exponential(soft[1]));
    const float jump = (float)(w - s->v) * dk;
    if (resampled) {
        s->dv[LG_PRW_P_CENTER] =
            lg_prw_velocity_gradient(fit, w, lg_exponential(soft[2]), lg_exponential(soft[3]), lg_exponential(plus));
        s->dv[LG_PRW_P_RESAMPLE] = jump;
    } else {
        s->dv[LG_PRW_P_RESAMPLE] += jump;
    }
    for (int p = 0; p < LG_PRW_PARAMS; p++) s->dx[p] += s->dv[p];
}

static void prw_walk(const lg_prw_fit *fit, lg_noise_id id, uint32_t walker, uint32_t steps, bool v0_const,
                     int64_t *msd, double *jacobian)
{
    axis_state s[2];
    for (uint32_t a = 0; a < 2; a++) prw_start(fit, id, walker, a, jacobian && !v0_const, &s[a]);
    for (uint32_t t = 1; t <= steps; t++) {
        const lg_block b = lg_draw(id.key, LG_STREAM_PRW_STEP, id.fit, walker, t, 0);
        lg_block plus = {{0}};
        if (jacobian) plus = lg_draw(id.key, LG_STREAM_PRW_GUMBEL, id.fit, walker, t, 2);
        for (uint32_t a = 0; a < 2; a++) {
            if (jacobian) {
                const lg_block soft = lg_draw(id.key, LG_STREAM_PRW_GUMBEL, id.fit, walker, t, a);
                prw_axis_tangent(fit, b.w + 2 * a, soft.w, plus.w[a], &s[a]);
            }
            if (lg_prw_resamples(fit, b.w[2 * a])) s[a].v = lg_prw_velocity(fit, b.w[2 * a + 1]);
            s[a].x += s[a].v;
        }
        msd[t - 1] += (int64_t)s[0].x * s[0].x + (int64_t)s[1].x * s[1].x;
        for (int p = 0; jacobian && p < LG_PRW_PARAMS; p++)
            jacobian[LG_PRW_PARAMS * (t - 1) + p] +=
                (double)(2.0f * ((float)s[0].x * s[0].dx[p] + (float)s[1].x * s[1].dx[p]));
    }
}

void naive_prw_forward_gradient(const lg_prw_fit *fit, lg_noise_id id, uint32_t walkers, uint32_t steps, bool v0_const,
                                int64_t *msd, double *jacobian)
{
    memset(msd, 0, steps * sizeof *msd);
    if (jacobian) memset(jacobian, 0, LG_PRW_PARAMS * (size_t)steps * sizeof *jacobian);
    for (uint32_t i = 0; i < walkers; i++) prw_walk(fit, id, i, steps, v0_const, msd, jacobian);
}

/* ---- MK ---------------------------------------------------------------------------------------------------------- */

static void mk_excite(const lg_mk_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, const uint8_t *n,
                      const uint8_t *m, uint8_t *ea, uint8_t *eb, uint32_t *words)
{
    const uint32_t N = fit->capacity;
    for (uint32_t i = 0; i < H; i += 2)
        for (uint32_t j = 0; j < W; j++) {
            const lg_block b = lg_draw(id.key, LG_STREAM_MK_SITE, id.fit, id.replicate, step, (i >> 1) * W + j);
            for (uint32_t row = i; row < H && row < i + 2; row++) {
                const size_t site = (size_t)row * W + j;
                const uint32_t *w = b.w + 2 * (row - i);
                ea[site] = (uint8_t)lg_mk_excited(w[0] & 0xffffu, n[site], N);
                eb[site] = (uint8_t)lg_mk_excited(w[0] >> 16, m[site], N);
                words[site] = w[1];
            }
        }
}

static uint32_t moved(uint32_t i, int offset, uint32_t size)
{
    return offset < 0 ? before(i, size) : (offset > 0 ? after(i, size) : i);
}

void naive_mk_step(const lg_mk_fit *fit, lg_noise_id id, uint32_t step, uint32_t H, uint32_t W, uint8_t *n, uint8_t *m,
                   uint8_t *ea, uint8_t *eb, uint32_t *words, uint8_t *tape)
{
    const int qa = lg_mk_draw_direction(fit, id.key, id.fit, id.replicate, step, 0);
    const int qb = lg_mk_draw_direction(fit, id.key, id.fit, id.replicate, step, 1);
    mk_excite(fit, id, step, H, W, n, m, ea, eb, words);
    for (uint32_t i = 0; i < H; i++) {
        const uint8_t *from_a = ea + (size_t)moved(i, lg_mk_row_offset(qa), H) * W;
        const uint8_t *from_b = eb + (size_t)moved(i, lg_mk_row_offset(qb), H) * W;
        for (uint32_t j = 0; j < W; j++) {
            const size_t site = (size_t)i * W + j;
            int a = n[site] - ea[site] + from_a[moved(j, lg_mk_column_offset(qa), W)];
            int b = m[site] - eb[site] + from_b[moved(j, lg_mk_column_offset(qb), W)];
            const uint32_t channel = lg_mk_channel(words[site]);
            const uint32_t count = lg_mk_count(channel, (uint32_t)a, (uint32_t)b, fit->capacity);
            const uint32_t fired = lg_mk_fires(fit, channel, lg_mk_u31(words[site]), count);
            if (channel < 4) a += lg_mk_sign(channel) * (int)fired;
            else b += lg_mk_sign(channel) * (int)fired;
            n[site] = (uint8_t)a;
            m[site] = (uint8_t)b;
            if (tape) tape[site] = (uint8_t)(ea[site] | eb[site] << 1 | channel << LG_MK_TAPE_CHANNEL | fired << 5);
        }
    }
}

/* Memory of one gradient. */
typedef struct mk_work {
    uint8_t *e[2], *tape;
    uint32_t *words;
    float *lam[2], *next;
} mk_work;

static float mk_reaction_weight(const lg_mk_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t W,
                                uint32_t i, uint32_t j, double p, int fired)
{
    if (estimator == LG_ESTIMATOR_ste) return 1.0f;
    const lg_block b = lg_draw(id.key, LG_STREAM_MK_GUMBEL, id.fit, id.replicate, step, (i >> 1) * W + j);
    const uint32_t *w = b.w + 2 * (i & 1);
    return lg_gs_weight((float)p, (float)(1.0 - p), fired, lg_exponential(w[0]), lg_exponential(w[1]), fit->inv_tau);
}

/* Undoes the reactions of one step and carries the adjoints over them. */
static void mk_unreact(const lg_mk_fit *fit, lg_estimator estimator, lg_noise_id id, uint32_t step, uint32_t H,
                       uint32_t W, uint8_t *n, uint8_t *m, const uint8_t *tape, const mk_work *w, double *grad)
{
    const float N = (float)fit->capacity;
    for (uint32_t i = 0; i < H; i++)
        for (uint32_t j = 0; j < W; j++) {
            const size_t s = (size_t)i * W + j;
            const uint32_t channel = tape[s] >> LG_MK_TAPE_CHANNEL & 7u, g = channel >> 1;
            const int fired = (tape[s] & LG_MK_TAPE_FIRED) != 0, sign = lg_mk_sign(channel);
            uint8_t *plane = channel < 4 ? n : m;
            plane[s] = (uint8_t)(plane[s] - sign * fired);
            float count, dn, dm;
            lg_mk_count_gradient(channel, (float)n[s], (float)m[s], N, &count, &dn, &dm);
            const float weight =
                mk_reaction_weight(fit, estimator, id, step, W, i, j, fit->exact[g] * (double)count, fired);
            const float l = (float)sign * w->lam[channel < 4 ? 0 : 1][s] * weight;
            grad[LG_MK_K1 + g] += (double)(l * count * fit->unit_rate[g]);
            w->lam[0][s] += l * fit->rate[g] * dn;
            w->lam[1][s] += l * fit->rate[g] * dm;
            w->e[0][s] = tape[s] & LG_MK_TAPE_EA;
            w->e[1][s] = (tape[s] & LG_MK_TAPE_EB) != 0;
        }
}

/* Undoes the move of one species; returns dL/dlogit of staying. */
static double mk_unmove(const lg_mk_fit *fit, lg_noise_id id, uint32_t step, int species, uint32_t H, uint32_t W,
                        uint8_t *plane, mk_work *w)
{
    const lg_mk_direction_draw d = lg_mk_draw_direction_soft(fit, id.key, id.fit, id.replicate, step, species);
    const uint8_t *e = w->e[species];
    const int dr = lg_mk_row_offset(d.q), dc = lg_mk_column_offset(d.q);
    float k[LG_MK_DIRECTIONS], *lam = w->lam[species];
    double sum = 0.0;
    lg_mk_direction_weights(fit, species, &d, k);
    for (uint32_t i = 0; i < H; i++) {
        const uint8_t *up = e + (size_t)before(i, H) * W, *own = e + (size_t)i * W, *down = e + (size_t)after(i, H) * W;
        const uint8_t *from = e + (size_t)moved(i, dr, H) * W;
        const float *to = lam + (size_t)moved(i, -dr, H) * W; /* where the excited plane went */
        for (uint32_t j = 0; j < W; j++) {
            const size_t s = (size_t)i * W + j;
            const uint32_t l = before(j, W), r = after(j, W);
            const float t = k[0] * (float)up[l] + k[1] * (float)up[j] + k[2] * (float)up[r] + k[3] * (float)own[l] +
                            k[4] * (float)own[j] + k[5] * (float)own[r] + k[6] * (float)down[l] +
                            k[7] * (float)down[j] + k[8] * (float)down[r];
            sum += (double)(lam[s] * t);
            plane[s] = (uint8_t)(plane[s] + own[j] - from[moved(j, dc, W)]);
            w->next[s] = plane[s] > 0 && plane[s] < fit->capacity ? to[moved(j, -dc, W)] : lam[s];
        }
    }
    w->lam[species] = w->next;
    w->next = lam;
    return sum;
}

static double squared_error(size_t sites, const uint8_t *x, const uint8_t *ref)
{
    double sum = 0.0;
    for (size_t s = 0; s < sites; s++) sum += (double)((x[s] - ref[s]) * (x[s] - ref[s]));
    return sum;
}

static void mk_gradient(const lg_mk_fit *fit, const double *params, lg_estimator estimator, lg_noise_id id, uint32_t H,
                        uint32_t W, uint32_t steps, uint8_t *n, uint8_t *m, const uint8_t *ref_n, const uint8_t *ref_m,
                        lg_loss loss, mk_work *w, double *value, double *grad)
{
    const size_t sites = (size_t)H * W;
    for (uint32_t t = 0; t < steps; t++)
        naive_mk_step(fit, id, t, H, W, n, m, w->e[0], w->e[1], w->words, w->tape + t * sites);
    const double S = squared_error(sites, n, ref_n) + squared_error(sites, m, ref_m), entries = 2.0 * (double)sites;
    const double slope = 2.0 * lg_state_loss_slope(loss, S, entries);
    *value = lg_state_loss(loss, S, entries);
    for (size_t s = 0; s < sites; s++) {
        w->lam[0][s] = (float)(slope * (n[s] - ref_n[s]));
        w->lam[1][s] = (float)(slope * (m[s] - ref_m[s]));
    }
    memset(grad, 0, LG_MK_PARAMS * sizeof *grad);
    for (uint32_t t = steps; t-- > 0;) {
        mk_unreact(fit, estimator, id, t, H, W, n, m, w->tape + t * sites, w, grad);
        grad[LG_MK_D_A] += mk_unmove(fit, id, t, 0, H, W, n, w);
        grad[LG_MK_D_B] += mk_unmove(fit, id, t, 1, H, W, m, w);
    }
    for (int s = 0; s < 2; s++) {
        const double D = params[LG_MK_D_A + s];
        grad[s] = D > 0.0 && D < 1.0 ? -grad[s] / (D * (1.0 - D)) : 0.0;
    }
}

bool naive_mk_gradient(const lg_mk_fit *fit, const double *params, lg_estimator estimator, lg_noise_id id, uint32_t H,
                       uint32_t W, uint32_t steps, const uint8_t *n, const uint8_t *m, const uint8_t *ref_n,
                       const uint8_t *ref_m, lg_loss loss, double *value, double *grad)
{
    const size_t sites = (size_t)H * W;
    uint8_t *bytes = malloc((steps + 4) * sites);
    uint32_t *words = malloc(sites * sizeof *words);
    float *floats = malloc(3 * sites * sizeof *floats);
    const bool ok = bytes && words && floats;
    if (ok) {
        uint8_t *end_n = bytes + 2 * sites, *end_m = end_n + sites;
        mk_work w = {.e = {bytes, bytes + sites},
                     .tape = bytes + 4 * sites,
                     .words = words,
                     .lam = {floats, floats + sites},
                     .next = floats + 2 * sites};
        memcpy(end_n, n, sites);
        memcpy(end_m, m, sites);
        mk_gradient(fit, params, estimator, id, H, W, steps, end_n, end_m, ref_n, ref_m, loss, &w, value, grad);
    }
    free(bytes);
    free(words);
    free(floats);
    return ok;
}
