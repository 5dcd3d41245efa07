/* The noise of a run as arrays, from the generator's rules (kernels/rules). Discrete draws become the real numbers that
 * the integer comparisons stand for; Gumbel noise is what estimator.h draws given the class, in double precision:
 *     z_k = -log e_k (winner),  z_j = -log(e_j / p_j + e_k),  gumbel = z - log p,
 * so gumbel_k = -log(p_k e_k) and gumbel_j = -log(e_j + p_j e_k), which is finite for p_j = 0 too. */
#include "noise/noise.h"
#include "rules/mk.h"
#include "rules/permute.h"
#include "rules/prw.h"
#include "rules/si.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Standard exponential of a word, from the same uniform number as lg_exponential. */
static double exponential(uint32_t word)
{
    return -log((double)lg_uniformf(word));
}

static void conditional_gumbel(int classes, int winner, const double *p, const double *e, double *gumbel)
{
    for (int j = 0; j < classes; j++) gumbel[j] = j == winner ? -log(p[j] * e[j]) : -log(e[j] + p[j] * e[winner]);
}

/* Gumbel noise of all draws of a kind: the array itself, and for estimator gr an array of further draws behind it. */
typedef struct gumbel_noise {
    double *first, *more;
    size_t stride; /* numbers of a draw */
    uint32_t draws;
} gumbel_noise;

static lg_status add_gumbel(lg_context *ctx, const lg_job *job, lg_estimator estimator, const char *name,
                            const char *name_more, int ndim, const size_t *shape, lg_noise *noise, gumbel_noise *out)
{
    const uint32_t draws = lg_estimator_draws(estimator, job->draws);
    size_t deeper[LG_MAX_DIM];
    void *first, *more = NULL;
    lg_status status = lg_noise_add(ctx, noise, name, LG_F64, ndim, shape, &first);
    if (status) return status;
    *out = (gumbel_noise){.first = first, .stride = lg_array_size(lg_noise_find(noise, name)), .draws = 1};
    if (draws < 2) return LG_OK;
    deeper[0] = draws - 1;
    memcpy(deeper + 1, shape, (size_t)ndim * sizeof *shape);
    status = lg_noise_add(ctx, noise, name_more, LG_F64, ndim + 1, deeper, &more);
    out->more = more;
    out->draws = draws;
    return status;
}

/* Number `at` of draw k. */
static double *place(const gumbel_noise *g, uint32_t k, size_t at)
{
    return k ? g->more + (k - 1) * g->stride + at : g->first + at;
}

static lg_status add_scalar(lg_context *ctx, lg_noise *noise, const char *name, double value)
{
    void *data;
    const lg_status status = lg_noise_add(ctx, noise, name, LG_F64, 1, (const size_t[]){1}, &data);
    if (!status) *(double *)data = value;
    return status;
}

/* ---- what lattice models share: start states, targets, statistics ------------------------------------------------ */

static uint32_t pool_index(const lg_job *job, uint64_t iteration, uint32_t replicate)
{
    return lg_job_pool_row(job, iteration, 0, replicate);
}

/* [B,species,H,W] or, for one species, [B,H,W] as doubles; source gives replicate b's uint8 state. */
static lg_status add_states(lg_context *ctx, const lg_job *job, uint64_t iteration, const char *name,
                            const uint8_t *pool, bool shared, lg_noise *noise)
{
    const size_t bytes = lg_job_state_bytes(job), species = (size_t)job->model->species;
    const size_t mk[4] = {job->replicates, species, job->height, job->width};
    const size_t si[3] = {job->replicates, job->height, job->width};
    void *data;
    const lg_status status =
        lg_noise_add(ctx, noise, name, LG_F64, species == 1 ? 3 : 4, species == 1 ? si : mk, &data);
    if (status) return status;
    double *out = data;
    for (uint32_t b = 0; b < job->replicates; b++) {
        const uint8_t *state = pool + (shared ? 0 : pool_index(job, iteration, b) * bytes);
        for (size_t i = 0; i < bytes; i++) *out++ = state[i];
    }
    return LG_OK;
}

static lg_status add_statistics(lg_context *ctx, const lg_job *job, lg_noise *noise)
{
    const size_t shape[2] = {job->records, lg_job_kinds(job)};
    void *record, *target, *weight;
    lg_status status = lg_noise_add(ctx, noise, "record", LG_I32, 1, shape, &record);
    if (!status) status = lg_noise_add(ctx, noise, "target_stat", LG_F64, 2, shape, &target);
    if (!status) status = lg_noise_add(ctx, noise, "weight_stat", LG_F64, 2, shape, &weight);
    if (status) return status;
    for (uint32_t k = 0; k < job->records; k++) ((int32_t *)record)[k] = (int32_t)job->record[k];
    memcpy(target, job->target_stat, lg_job_statistics(job) * sizeof(double));
    memcpy(weight, job->weight_stat, lg_job_statistics(job) * sizeof(double));
    return LG_OK;
}

static lg_status add_lattice_inputs(lg_context *ctx, const lg_job *job, uint64_t iteration, const char *start,
                                    const char *target, lg_noise *noise)
{
    lg_status status = add_states(ctx, job, iteration, start, job->start, false, noise);
    if (!status && job->target)
        status = add_states(ctx, job, iteration, target, job->target, job->task != LG_TASK_transition, noise);
    if (!status && job->target_stat) status = add_statistics(ctx, job, noise);
    return status;
}

/* ---- SI ---------------------------------------------------------------------------------------------------------- */

/* Aware Moore neighbours of (i, j). */
static int si_neighbours(const uint8_t *x, size_t H, size_t W, size_t i, size_t j)
{
    int count = 0;
    for (size_t k = 0; k < 9; k++)
        if (k != 4) count += x[(i + H + k / 3 - 1) % H * W + (j + W + k % 3 - 1) % W];
    return count;
}

/* One lattice, one step: x is replaced by the next state (next is working memory). u and the Gumbel noise begin at site `at`
 * of their arrays. */
static void si_step(const lg_job *job, const lg_si_fit *fit, double beta, lg_key key, uint32_t replicate, uint32_t step,
                    uint8_t *x, uint8_t *next, double *u, const gumbel_noise *gumbel, size_t at)
{
    const uint32_t H = job->height, W = job->width;
    for (uint32_t i = 0; i < H; i++)
        for (uint32_t j = 0; j < W; j++) {
            const size_t s = (size_t)i * W + j;
            const lg_block b = lg_draw(key, LG_STREAM_SI_SITE, job->first_fit, replicate, step, lg_si_block(i, j, W));
            const uint32_t word = b.w[j % 4];
            const int N = si_neighbours(x, H, W, i, j), fired = lg_u31(word) < fit->threshold[N];
            const double stay = pow(1.0 - beta, N), p[2] = {stay, 1.0 - stay};
            u[at + s] = lg_u31_real(word);
            for (uint32_t k = 0; k < gumbel->draws; k++) {
                const lg_block g = lg_draw(lg_redraw_key(key, k), LG_STREAM_SI_GUMBEL, job->first_fit, replicate, step,
                                           lg_si_gumbel_block(i, j, W));
                const double e[2] = {exponential(g.w[2 * (j % 2)]), exponential(g.w[2 * (j % 2) + 1])};
                conditional_gumbel(2, fired, p, e, place(gumbel, k, 2 * (at + s)));
            }
            next[s] = (uint8_t)(x[s] | fired);
        }
    memcpy(x, next, (size_t)H * W);
}

static lg_status generate_si(lg_context *ctx, const lg_job *job, uint64_t iteration, const double *params,
                             lg_noise *out)
{
    const size_t shape[5] = {job->steps, job->replicates, job->height, job->width, 2};
    const int skip = job->steps == 1; /* one step: no leading T, as in the golden vectors */
    const size_t sites = lg_job_sites(job);
    const lg_key key = lg_iteration_key(job->seed, iteration);
    lg_si_fit fit;
    gumbel_noise gumbel;
    void *u;
    lg_status status = add_lattice_inputs(ctx, job, iteration, "X", "Yobs", out);
    if (!status) status = add_scalar(ctx, out, "beta", params[0]);
    if (!status && job->tau != 1.0) status = add_scalar(ctx, out, "tau", job->tau);
    if (!status) status = lg_noise_add(ctx, out, "u", LG_F64, 4 - skip, shape + skip, &u);
    if (!status)
        status = add_gumbel(ctx, job, job->binary, "gumbel", "gumbel_more", 5 - skip, shape + skip, out, &gumbel);
    if (status) return status;
    uint8_t *x = malloc(2 * sites);
    if (!x) return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory to generate the noise of a run");
    lg_si_prepare(params[0], log(1.0 - params[0]), job->tau, &fit);
    for (uint32_t b = 0; b < job->replicates; b++) {
        memcpy(x, job->start + pool_index(job, iteration, b) * sites, sites);
        for (uint32_t t = 0; t < job->steps; t++) {
            const size_t at = ((size_t)t * job->replicates + b) * sites;
            si_step(job, &fit, params[0], key, b, t, x, x + sites, u, &gumbel, at);
        }
    }
    free(x);
    return LG_OK;
}

/* ---- PRW --------------------------------------------------------------------------------------------------------- */

typedef struct prw_arrays {
    double *v0;
    gumbel_noise keep, velocity, start;
} prw_arrays;

/* Draw k of the Gumbel noise of a step, at index e, given its outcomes. */
static void prw_gumbel(const lg_job *job, const double *p_keep, const double *p_vel, lg_key key, uint32_t walker,
                       uint32_t t, uint32_t axis, int resampled, int class, uint32_t k, size_t e, const prw_arrays *a)
{
    const lg_block g = lg_draw(key, LG_STREAM_PRW_GUMBEL, job->first_fit, walker, t, axis);
    const lg_block last = lg_draw(key, LG_STREAM_PRW_GUMBEL, job->first_fit, walker, t, 2);
    const double ek[2] = {exponential(g.w[0]), exponential(g.w[1])};
    const double ev[3] = {exponential(g.w[2]), exponential(g.w[3]), exponential(last.w[axis])};
    if (k < a->keep.draws) conditional_gumbel(2, resampled, p_keep, ek, place(&a->keep, k, 2 * e));
    if (k < a->velocity.draws) conditional_gumbel(3, class, p_vel, ev, place(&a->velocity, k, 3 * e));
}

static void prw_walker(const lg_job *job, const lg_prw_fit *fit, const double *params, lg_key key, uint32_t walker,
                       uint32_t axis, const prw_arrays *a)
{
    const size_t n = job->replicates, T = job->steps, start = axis * n + walker;
    const double side = 0.5 * (1.0 - params[0]), p_keep[2] = {1.0 - params[1], params[1]},
                 p_vel[3] = {side, params[0], side};
    const uint32_t draws = a->keep.draws > a->velocity.draws ? a->keep.draws : a->velocity.draws;
    const int v0 = lg_prw_velocity(fit, lg_draw(key, LG_STREAM_PRW_START, job->first_fit, walker, 0, axis).w[0]);
    a->v0[start] = v0;
    for (uint32_t k = 0; k < a->start.draws; k++) {
        const lg_block s = lg_draw(lg_redraw_key(key, k), LG_STREAM_PRW_START, job->first_fit, walker, 0, axis);
        const double e[3] = {exponential(s.w[1]), exponential(s.w[2]), exponential(s.w[3])};
        conditional_gumbel(3, v0 + 1, p_vel, e, place(&a->start, k, 3 * start));
    }
    for (uint32_t t = 1; t <= T; t++) {
        const lg_block step = lg_draw(key, LG_STREAM_PRW_STEP, job->first_fit, walker, t, 0);
        const int resampled = lg_prw_resamples(fit, step.w[2 * axis]),
                  class = lg_prw_velocity(fit, step.w[2 * axis + 1]) + 1;
        for (uint32_t k = 0; k < draws; k++)
            prw_gumbel(job, p_keep, p_vel, lg_redraw_key(key, k), walker, t, axis, resampled, class, k,
                       (axis * T + t - 1) * n + walker, a);
    }
}

/* target [T] and weight [T] from the recorded steps; a step that is not recorded has weight 0. */
static lg_status add_msd_target(lg_context *ctx, const lg_job *job, lg_noise *out)
{
    const size_t shape[1] = {job->steps};
    void *target, *weight;
    lg_status status = lg_noise_add(ctx, out, "target", LG_F64, 1, shape, &target);
    if (!status) status = lg_noise_add(ctx, out, "weight", LG_F64, 1, shape, &weight);
    for (uint32_t k = 0; !status && job->target_stat && k < job->records; k++) {
        ((double *)target)[job->record[k] - 1] = job->target_stat[k];
        ((double *)weight)[job->record[k] - 1] = job->weight_stat[k];
    }
    return status;
}

static lg_status generate_prw(lg_context *ctx, const lg_job *job, uint64_t iteration, const double *params,
                              lg_noise *out)
{
    const size_t n = job->replicates, T = job->steps;
    const lg_key key = lg_iteration_key(job->seed, iteration);
    lg_prw_fit fit;
    void *logits, *v0;
    prw_arrays a;
    lg_status status = lg_noise_add(ctx, out, "logits", LG_F64, 1, (const size_t[]){2}, &logits);
    if (!status) status = add_msd_target(ctx, job, out);
    if (!status && job->tau != 1.0) status = add_scalar(ctx, out, "tau", job->tau);
    if (!status) status = lg_noise_add(ctx, out, "v0", LG_F64, 2, (const size_t[]){2, n}, &v0);
    if (!status)
        status = add_gumbel(ctx, job, job->binary, "gumbel_keep", "gumbel_keep_more", 4, (const size_t[]){2, T, n, 2},
                            out, &a.keep);
    if (!status)
        status = add_gumbel(ctx, job, job->categorical, "gumbel_vel", "gumbel_vel_more", 4,
                            (const size_t[]){2, T, n, 3}, out, &a.velocity);
    if (!status)
        status = add_gumbel(ctx, job, job->categorical, "gumbel_v0", "gumbel_v0_more", 3, (const size_t[]){2, n, 3},
                            out, &a.start);
    if (status) return status;
    for (int i = 0; i < 2; i++) ((double *)logits)[i] = log(params[i]) - log1p(-params[i]);
    lg_prw_prepare(params[0], params[1], job->binary, job->tau, &fit);
    a.v0 = v0;
    for (uint32_t axis = 0; axis < 2; axis++)
        for (uint32_t walker = 0; walker < n; walker++) prw_walker(job, &fit, params, key, walker, axis, &a);
    return LG_OK;
}

/* ---- MK ---------------------------------------------------------------------------------------------------------- */

/* The arrays of one lattice and step; state holds n and m, moved is working memory of the same size. */
typedef struct mk_slice {
    double *xi, *thresholds;
    gumbel_noise gumbel, gumbel_reaction; /* of the run; this slice's begin at number `direction`, `reaction` */
    size_t direction, reaction;
    int32_t *channel;
    uint8_t *state, *moved;
} mk_slice;

static lg_block mk_block(const lg_job *job, lg_key key, uint32_t stream, uint32_t replicate, uint32_t step, size_t site)
{
    const uint32_t row = (uint32_t)(site / job->width), column = (uint32_t)(site % job->width);
    return lg_draw(key, stream, job->first_fit, replicate, step, (row >> 1) * job->width + column);
}

/* First of the two words of a site in the block it shares with its row's partner. */
static size_t mk_word(const lg_job *job, size_t site)
{
    return 2 * (site / job->width % 2);
}

/* Direction noise of one species; returns the direction. */
static int mk_direction_noise(const lg_job *job, const lg_mk_fit *fit, double D, lg_key key, uint32_t replicate,
                              uint32_t step, int species, const mk_slice *a)
{
    const int winner = lg_mk_draw_direction(fit, key, job->first_fit, replicate, step, species);
    for (uint32_t draw = 0; draw < a->gumbel.draws; draw++) {
        double p[LG_MK_DIRECTIONS], e[LG_MK_DIRECTIONS];
        for (uint32_t q = 0; q < LG_MK_DIRECTIONS; q++) {
            const lg_block b = lg_draw(lg_redraw_key(key, draw), LG_STREAM_MK_DIRECTION, job->first_fit, replicate,
                                       step, 3u * (uint32_t)species + (q + 1) / 4);
            p[q] = lg_mk_direction_probability(D, (int)q);
            e[q] = exponential(b.w[(q + 1) % 4]);
        }
        conditional_gumbel(LG_MK_DIRECTIONS, winner, p, e,
                           place(&a->gumbel, draw, a->direction + (size_t)species * LG_MK_DIRECTIONS));
    }
    return winner;
}

static void mk_diffuse(const lg_job *job, const lg_mk_fit *fit, const double *params, lg_key key, uint32_t replicate,
                       uint32_t step, const mk_slice *a)
{
    const size_t H = job->height, W = job->width, S = H * W;
    for (int species = 0; species < 2; species++) {
        const uint8_t *x = a->state + (size_t)species * S;
        uint8_t *to = a->moved + (size_t)species * S;
        const int q = mk_direction_noise(job, fit, params[species], key, replicate, step, species, a);
        memcpy(to, x, S);
        for (size_t s = 0; s < S; s++) {
            const lg_block b = mk_block(job, key, LG_STREAM_MK_SITE, replicate, step, s);
            const uint32_t half = b.w[mk_word(job, s)] >> 16 * species & 0xffffu;
            const size_t i = (s / W + H - (size_t)lg_mk_row_offset(q)) % H,
                         j = (s % W + W - (size_t)lg_mk_column_offset(q)) % W;
            const uint32_t excited = lg_mk_excited(half, x[s], job->capacity);
            a->xi[(size_t)species * S + s] = (half + 0.5) / 65536.0;
            to[s] =
                (uint8_t)(to[s] - excited); /* T(E)(i, j) = E(i + dr, j + dc): s is read by the site at s - (dr, dc) */
            to[i * W + j] = (uint8_t)(to[i * W + j] + excited);
        }
    }
}

static void mk_react(const lg_job *job, const lg_mk_fit *fit, const double *params, lg_key key, uint32_t replicate,
                     uint32_t step, const mk_slice *a)
{
    const double N = job->capacity, unit[3] = {job->gamma / ((N - 1.0) * (N - 2.0)), job->gamma / N, job->gamma / N};
    const size_t S = lg_job_sites(job);
    for (size_t s = 0; s < S; s++) {
        const lg_block b = mk_block(job, key, LG_STREAM_MK_SITE, replicate, step, s);
        const uint32_t word = b.w[mk_word(job, s) + 1], channel = lg_mk_channel(word), u31 = lg_mk_u31(word);
        uint8_t *n = a->moved + s, *m = n + S;
        const uint32_t count = lg_mk_count(channel, *n, *m, job->capacity);
        const int fired = (int)lg_mk_fires(fit, channel, u31, count), delta = fired * lg_mk_sign(channel);
        a->channel[s] = (int32_t)channel;
        for (size_t c = 0; c < LG_MK_CHANNELS; c++)
            a->thresholds[c * S + s] = c == channel ? (u31 + 0.5) / 2147483648.0 : 0.5;
        for (uint32_t k = 0; k < a->gumbel_reaction.draws; k++) {
            const lg_block g = mk_block(job, lg_redraw_key(key, k), LG_STREAM_MK_GUMBEL, replicate, step, s);
            const double rate = unit[channel / 2] * params[LG_MK_K1 + channel / 2] * count,
                         yes = rate < 1.0 ? rate : 1.0;
            const double p[2] = {1.0 - yes, yes};
            const double e[2] = {exponential(g.w[mk_word(job, s)]), exponential(g.w[mk_word(job, s) + 1])};
            conditional_gumbel(2, fired, p, e, place(&a->gumbel_reaction, k, a->reaction + 2 * s));
        }
        *(channel < 4 ? n : m) = (uint8_t)(*(channel < 4 ? n : m) + delta);
    }
    memcpy(a->state, a->moved, 2 * S);
}

static lg_status add_mk_inputs(lg_context *ctx, const lg_job *job, uint64_t iteration, const double *params,
                               lg_noise *out)
{
    void *p, *consts;
    lg_status status = add_lattice_inputs(ctx, job, iteration, "X0", "Xref", out);
    if (!status) status = lg_noise_add(ctx, out, "params", LG_F64, 1, (const size_t[]){LG_MK_PARAMS}, &p);
    if (!status) status = lg_noise_add(ctx, out, "consts", LG_F64, 1, (const size_t[]){3}, &consts);
    if (status) return status;
    memcpy(p, params, LG_MK_PARAMS * sizeof *params);
    memcpy(consts, (const double[]){job->capacity, job->gamma, job->tau}, 3 * sizeof(double));
    return LG_OK;
}

static lg_status generate_mk(lg_context *ctx, const lg_job *job, uint64_t iteration, const double *params,
                             lg_noise *out)
{
    const size_t T = job->steps, B = job->replicates, H = job->height, W = job->width, S = H * W;
    void *xi, *channel, *thresholds;
    gumbel_noise gumbel, reaction = {0};
    lg_status status = add_mk_inputs(ctx, job, iteration, params, out);
    if (!status) status = lg_noise_add(ctx, out, "xi", LG_F64, 5, (const size_t[]){T, B, 2, H, W}, &xi);
    if (!status)
        status = add_gumbel(ctx, job, job->categorical, "gumbel", "gumbel_more", 4,
                            (const size_t[]){T, B, 2, LG_MK_DIRECTIONS}, out, &gumbel);
    if (!status) status = lg_noise_add(ctx, out, "channel", LG_I32, 4, (const size_t[]){T, B, H, W}, &channel);
    if (!status) status = lg_noise_add(ctx, out, "thresholds", LG_F64, 5, (const size_t[]){T, B, 6, H, W}, &thresholds);
    if (!status && job->binary != LG_ESTIMATOR_ste)
        status = add_gumbel(ctx, job, job->binary, "gumbel_reaction", "gumbel_reaction_more", 5,
                            (const size_t[]){T, B, H, W, 2}, out, &reaction);
    if (status) return status;
    uint8_t *planes = malloc(4 * S);
    if (!planes) return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory to generate the noise of a run");
    const lg_key key = lg_iteration_key(job->seed, iteration);
    lg_mk_fit fit;
    lg_mk_prepare(params, job->gamma, (int)job->capacity, job->tau, &fit);
    for (size_t b = 0; b < B; b++) {
        memcpy(planes, job->start + pool_index(job, iteration, (uint32_t)b) * 2 * S, 2 * S);
        for (size_t t = 0; t < T; t++) {
            const size_t l = t * B + b;
            const mk_slice a = {.xi = (double *)xi + l * 2 * S,
                                .thresholds = (double *)thresholds + l * 6 * S,
                                .gumbel = gumbel,
                                .gumbel_reaction = reaction,
                                .direction = l * 2 * LG_MK_DIRECTIONS,
                                .reaction = l * 2 * S,
                                .channel = (int32_t *)channel + l * S,
                                .state = planes,
                                .moved = planes + 2 * S};
            mk_diffuse(job, &fit, params, key, (uint32_t)b, (uint32_t)t, &a);
            mk_react(job, &fit, params, key, (uint32_t)b, (uint32_t)t, &a);
        }
    }
    free(planes);
    return LG_OK;
}

lg_status lg_noise_generate(lg_context *ctx, const lg_job *job, uint64_t iteration, const double *params, lg_noise *out)
{
    memset(out, 0, sizeof *out);
    out->model = job->model->id;
    lg_status status;
    switch (job->model->id) {
    case LG_MODEL_SI: status = generate_si(ctx, job, iteration, params, out); break;
    case LG_MODEL_PRW: status = generate_prw(ctx, job, iteration, params, out); break;
    default: status = generate_mk(ctx, job, iteration, params, out);
    }
    if (status) lg_noise_clear(out);
    return status;
}
