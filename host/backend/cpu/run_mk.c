/* MK on the cpu: runs the kernels of kernel_mk.c over a batch, keeps the tape or checkpoints, and walks back. */
#include "backend/cpu/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* About what a site takes, for lg_cpu_team: a step, a step back, the loss. */
static const double STEP_NS = 1.3, BACK_NS = 2.0, LOSS_NS = 0.2;

/* Threads for a loop over the lattices of this process. */
static int team(const lg_dbatch *b, uint32_t steps, double ns)
{
    return lg_cpu_team(b, (double)lg_cpu_lattices(b->job) * (double)lg_job_sites(b->job) * steps * ns);
}

static size_t segments_of(const lg_job *job, uint32_t segment)
{
    return ((size_t)job->steps + segment - 1) / segment;
}

/* Tape bytes of a plan: the whole tape, or checkpoints of all replicates plus one segment's tape per thread. */
static size_t tape_bytes(const lg_job *job, int threads, uint32_t segment)
{
    const size_t lattices = lg_cpu_lattices(job), sites = lg_job_sites(job);
    if (segment == job->steps) return lattices * sites * job->steps;
    return lattices * segments_of(job, segment) * 2 * sites + (size_t)threads * segment * sites;
}

static void plan(const lg_job *job, int threads, bool gradients, size_t limit, lg_plan *out)
{
    const size_t lattices = lg_cpu_lattices(job), sites = lg_job_sites(job);
    const size_t padded = (size_t)job->height * (job->width + 2);
    out->state_bytes = lattices * 2 * sites;
    out->segment = job->steps;
    size_t fixed = out->state_bytes + (size_t)threads * (2 * padded + 4 * sites);
    if (gradients && job->method == LG_GRADIENT_score) { /* the tape of one step */
        fixed += (size_t)threads * sites;
        gradients = false;
    }
    if (gradients) fixed += (size_t)threads * (2 * sites + 24 * padded + job->height * sizeof(double[LG_MK_PARAMS]));
    if (gradients) {
        out->tape_bytes = tape_bytes(job, threads, out->segment);
        if (fixed + out->tape_bytes > limit && job->steps > 2) {
            /* lattices (T / s) 2 HW + threads s HW is smallest at s = sqrt(2 T lattices / threads) */
            double best = sqrt(2.0 * job->steps * (double)lattices / threads);
            if (best > job->steps - 1) best = job->steps - 1;
            out->segment = best < 2 ? 2 : (uint32_t)best;
            out->tape_bytes = tape_bytes(job, threads, out->segment);
        }
    }
    out->total_bytes = fixed + out->tape_bytes;
}

static bool allocate(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t lattices = lg_cpu_lattices(job), sites = lg_job_sites(job);
    const size_t padded = (size_t)job->height * (job->width + 2);
    const bool whole = b->plan.segment == job->steps;
    b->mk = calloc(job->fits, sizeof *b->mk);
    b->state = malloc(lattices * 2 * sites);
    b->score_offset = 1 + LG_MK_PARAMS + lg_job_statistics(job);
    b->partial_size = b->score_offset + lg_cpu_score_size(job);
    b->partial = calloc((size_t)job->fits * job->replicates * b->partial_size, sizeof *b->partial);
    if (!b->mk || !b->state || !b->partial) return false;
    const bool back = b->gradients && !lg_cpu_scores(b);
    if (back) {
        if (whole) b->tape = malloc(b->plan.tape_bytes);
        else b->checkpoint = malloc(lattices * segments_of(job, b->plan.segment) * 2 * sites);
        if (!b->tape && !b->checkpoint) return false;
    }
    const bool waves = job->task == LG_TASK_formation;
    if (waves && !lg_spectrum_open(&b->spectrum, job->height, job->width)) return false;
    for (int t = 0; t < b->device->threads; t++) {
        lg_scratch *s = &b->scratch[t];
        if (waves && !(s->waves = malloc(lg_spectrum_work(&b->spectrum) * sizeof *s->waves))) return false;
        s->ea = malloc(padded);
        s->eb = malloc(padded);
        s->words = malloc(sites * sizeof *s->words);
        if (!s->ea || !s->eb || !s->words) return false;
        if (lg_cpu_scores(b) && !(s->tape = malloc(sites))) return false;
        if (!back) continue;
        s->planes = malloc(2 * sites);
        s->row_sums = malloc(job->height * sizeof *s->row_sums);
        if (!whole) s->tape = malloc((size_t)b->plan.segment * sites);
        if (!s->planes || !s->row_sums || (!whole && !s->tape)) return false;
        for (int i = 0; i < 6; i++)
            if (!(s->pad[i] = malloc(padded * sizeof(float)))) return false;
    }
    return true;
}

static void prepare(lg_dbatch *b)
{
    for (uint32_t f = 0; f < b->job->fits; f++) {
        lg_mk_prepare(b->params + (size_t)f * LG_MK_PARAMS, b->job->gamma, (int)b->job->capacity, b->tau, &b->mk[f]);
        lg_mk_estimators(b->job->binary, b->job->categorical, b->job->draws, &b->mk[f]);
    }
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

static uint8_t *state_of(const lg_dbatch *b, size_t lattice)
{
    return b->state + lattice * 2 * lg_job_sites(b->job);
}

static void reset(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t bytes = lg_job_state_bytes(job), lattices = lg_cpu_lattices(job);
    for (size_t i = 0; i < lattices; i++)
        memcpy(state_of(b, i), job->start + lg_cpu_pool_index(b, lg_cpu_fit(job, i), lg_cpu_replicate(job, i)) * bytes,
               bytes);
}

/* Bands of rows for a team: an even number of rows each, because rows 2r and 2r + 1 share their noise. */
static uint32_t band_start(uint32_t H, int band, int bands)
{
    const uint32_t pairs = (H + 1) / 2;
    const uint32_t row = 2 * (uint32_t)((uint64_t)pairs * (uint32_t)band / (uint32_t)bands);
    return row < H ? row : H;
}

/* One step of one lattice; bands > 1 spreads its rows over threads. */
static void step_lattice(const lg_dbatch *b, lg_scratch *s, const lg_mk_fit *fit, lg_noise_id id, uint32_t step,
                         uint8_t *n, uint8_t *tape, int bands)
{
    const lg_mk_kernels *k = b->device->isa->mk;
    const uint32_t H = b->job->height, W = b->job->width;
    uint8_t *m = n + lg_job_sites(b->job);
    const int qa = lg_mk_draw_direction(fit, id.key, id.fit, id.replicate, step, 0);
    const int qb = lg_mk_draw_direction(fit, id.key, id.fit, id.replicate, step, 1);
    if (bands == 1) {
        k->excite(fit, id, step, H, W, 0, H, n, m, s->ea, s->eb, s->words);
        k->react(fit, qa, qb, H, W, 0, H, n, m, s->ea, s->eb, s->words, tape);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(bands)
    for (int t = 0; t < bands; t++)
        k->excite(fit, id, step, H, W, band_start(H, t, bands), band_start(H, t + 1, bands), n, m, s->ea, s->eb,
                  s->words);
#pragma omp parallel for schedule(static) num_threads(bands)
    for (int t = 0; t < bands; t++)
        k->react(fit, qa, qb, H, W, band_start(H, t, bands), band_start(H, t + 1, bands), n, m, s->ea, s->eb, s->words,
                 tape);
}

/* The statistics of the task from one state. */
static void record(const lg_dbatch *b, const lg_scratch *s, const uint8_t *state, double *out)
{
    if (b->job->task == LG_TASK_formation) lg_formation_statistics(&b->spectrum, state, s->waves, out);
    else lg_model_statistics(b->job->model, state, lg_job_sites(b->job), out);
}

/* Adds d log P / d params of the draws of a step that led to the state n; s->tape is the step's tape. */
static void add_score(const lg_dbatch *b, const lg_scratch *s, uint32_t f, lg_noise_id id, uint32_t step,
                      const uint8_t *n, double *score)
{
    for (int i = 0; i < 2; i++) {
        const int q = lg_mk_draw_direction(&b->mk[f], id.key, id.fit, id.replicate, step, i);
        score[LG_MK_D_A + i] += lg_mk_direction_score(b->params[(size_t)f * LG_MK_PARAMS + (size_t)i], q);
    }
    b->device->isa->mk->score(&b->mk[f], b->job->height, b->job->width, n, n + lg_job_sites(b->job), s->tape, score);
}

static void forward_lattice(lg_dbatch *b, lg_scratch *s, size_t lattice, uint32_t steps, bool keep, int bands)
{
    const lg_job *job = b->job;
    const uint32_t f = lg_cpu_fit(job, lattice), r = lg_cpu_replicate(job, lattice);
    const size_t sites = lg_job_sites(job);
    const lg_noise_id id = lg_cpu_noise(b, f, r);
    uint8_t *n = state_of(b, lattice);
    double *statistics = lg_cpu_part(b, f, r) + 1 + LG_MK_PARAMS, score[LG_MK_PARAMS] = {0};
    double *scores = keep && lg_cpu_scores(b) ? lg_cpu_part(b, f, r) + b->score_offset : NULL;
    for (uint32_t t = b->step; t < b->step + steps; t++) {
        if (keep && b->checkpoint && t % b->plan.segment == 0)
            memcpy(b->checkpoint + (lattice * segments_of(job, b->plan.segment) + t / b->plan.segment) * 2 * sites, n,
                   2 * sites);
        uint8_t *tape = keep && b->tape ? b->tape + (lattice * job->steps + t) * sites : NULL;
        step_lattice(b, s, &b->mk[f], id, t, n, scores ? s->tape : tape, bands);
        if (scores) add_score(b, s, f, id, t, n, score);
        const int k = job->records ? lg_cpu_record_index(job, t + 1) : -1;
        if (k >= 0) record(b, s, n, statistics + (size_t)k * lg_job_kinds(job));
        if (scores && k >= 0) memcpy(scores + k * LG_MK_PARAMS, score, sizeof score);
        const int own = lg_cpu_own_index(job, t + 1);
        if (own >= 0) memcpy((uint8_t *)b->recording.states + lg_own_at(job, f, r, (uint32_t)own), n, 2 * sites);
    }
    if (scores && !job->target_stat) memcpy(scores, score, sizeof score);
}

static void forward(lg_dbatch *b, uint32_t steps, bool keep)
{
    const long lattices = (long)lg_cpu_lattices(b->job);
    if (lg_cpu_by_rows(b)) {
        for (long i = 0; i < lattices; i++)
            if (!lg_cpu_skips(b, lg_cpu_fit(b->job, (size_t)i)))
                forward_lattice(b, &b->scratch[0], (size_t)i, steps, keep, b->device->threads);
        return;
    }
#pragma omp parallel for schedule(dynamic) num_threads(team(b, steps, STEP_NS))
    for (long i = 0; i < lattices; i++)
        if (!lg_cpu_skips(b, lg_cpu_fit(b->job, (size_t)i)))
            forward_lattice(b, &b->scratch[lg_cpu_thread()], (size_t)i, steps, keep, 1);
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

static const uint8_t *target_of(const lg_dbatch *b, uint32_t fit, uint32_t replicate)
{
    const lg_job *job = b->job;
    return job->target +
           (job->task == LG_TASK_transition ? lg_cpu_pool_index(b, fit, replicate) * lg_job_state_bytes(job) : 0);
}

/* Sum of (x - ref)^2 over both species, exact. */
static double squared_error(const uint8_t *x, const uint8_t *ref, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count;) {
        uint32_t block = 0; /* 2^15 squares of at most 255 fit 32 bits */
        const size_t end = count - i < 32768 ? count : i + 32768;
        for (; i < end; i++) {
            const int32_t d = x[i] - ref[i];
            block += (uint32_t)(d * d);
        }
        sum += block;
    }
    return (double)sum;
}

static void loss(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const uint32_t R = job->replicates;
    const long lattices = (long)lg_cpu_lattices(job);
    if (!lg_cpu_is_statistic(job)) {
#pragma omp parallel for schedule(static) num_threads(team(b, 1, LOSS_NS))
        for (long i = 0; i < lattices; i++) {
            const uint32_t f = lg_cpu_fit(job, (size_t)i), r = lg_cpu_replicate(job, (size_t)i);
            *lg_cpu_part(b, f, r) = squared_error(state_of(b, (size_t)i), target_of(b, f, r), lg_job_state_bytes(job));
        }
    }
    const size_t K = lg_job_statistics(job);
    if (lg_cpu_is_statistic(job)) lg_cpu_exchange(b, 1 + LG_MK_PARAMS, K);
    else lg_cpu_exchange(b, 0, 1);
    for (uint32_t f = 0; f < job->fits; f++) {
        if (lg_cpu_skips(b, f)) continue;
        double S;
        if (lg_cpu_is_statistic(job)) {
            lg_cpu_reduce(b, f, R, 1 + LG_MK_PARAMS, K, 1.0 / R, b->statistics + f * K);
            lg_cpu_statistic_loss(b, f);
        } else {
            lg_cpu_reduce(b, f, R, 0, 1, 1.0, &S);
            lg_cpu_state_loss(b, f, S);
        }
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* Task formation: model/spectrum.h. */
static void inject_waves(const lg_dbatch *b, const lg_scratch *s, const double *adjoint, const uint8_t *state,
                         float *const *lam)
{
    double scaled[LG_FORMATION_STATISTICS];
    for (int k = 0; k < LG_FORMATION_STATISTICS; k++) scaled[k] = adjoint[k] / b->job->replicates;
    for (int i = 0; i < 2; i++)
        lg_formation_adjoint(&b->spectrum, state, i, scaled, s->waves, lam[i] + 1, b->job->width + 2);
}

/* Adds to the adjoints what recorded statistics ask for at this state: means 1 / HW, variances 2 (x - mean) / HW. */
static void inject(const lg_dbatch *b, const lg_scratch *scratch, uint32_t f, int index, const uint8_t *state,
                   float *const *lam)
{
    const lg_job *job = b->job;
    const uint32_t H = job->height, W = job->width;
    const double *adjoint = b->stat_adjoint + (f * (size_t)job->records + (size_t)index) * lg_job_kinds(job);
    if (job->task == LG_TASK_formation) {
        inject_waves(b, scratch, adjoint, state, lam);
        return;
    }
    const double scale = 1.0 / ((double)lg_job_sites(job) * job->replicates);
    double mean[4];
    record(b, scratch, state, mean);
    for (int s = 0; s < 2; s++) {
        const float base = (float)(scale * (adjoint[s] - 2.0 * adjoint[2 + s] * mean[s])),
                    slope = (float)(scale * 2.0 * adjoint[2 + s]);
        const uint8_t *x = state + (size_t)s * H * W;
        for (uint32_t i = 0; i < H; i++) {
            float *row = lam[s] + (size_t)i * (W + 2) + 1;
            for (uint32_t j = 0; j < W; j++) row[j] += base + slope * (float)x[(size_t)i * W + j];
        }
    }
}

/* The same for a loss of the caller's own: adds dL/dX of a recorded state. */
static void inject_own(const lg_job *job, const float *adjoint, float *const *lam)
{
    const uint32_t H = job->height, W = job->width;
    for (uint32_t s = 0; s < 2; s++)
        for (uint32_t i = 0; i < H; i++, adjoint += W) {
            float *row = lam[s] + (size_t)i * (W + 2) + 1;
            for (uint32_t j = 0; j < W; j++) row[j] += adjoint[j];
        }
}

static void seed_adjoints(const lg_dbatch *b, uint32_t f, uint32_t r, const uint8_t *state, float *const *lam)
{
    const lg_job *job = b->job;
    const uint32_t H = job->height, W = job->width;
    const uint8_t *ref = job->target ? target_of(b, f, r) : NULL;
    const double slope = 2.0 * b->slope[f];
    for (size_t s = 0; s < 2; s++)
        for (uint32_t i = 0; i < H; i++) {
            float *row = lam[s] + (size_t)i * (W + 2) + 1;
            const size_t site = s * lg_job_sites(job) + (size_t)i * W;
            for (uint32_t j = 0; j < W; j++)
                row[j] = ref ? (float)(slope * ((int)state[site + j] - (int)ref[site + j])) : 0.0f;
        }
}

/* One step back: reaction, then diffusion of both species; swaps the adjoint planes with the transported ones. */
static void step_back(const lg_dbatch *b, lg_scratch *s, const lg_mk_fit *fit, lg_noise_id id, uint32_t step,
                      const uint8_t *tape, float **lam, float **next, int bands)
{
    const lg_mk_kernels *k = b->device->isa->mk;
    const uint32_t H = b->job->height, W = b->job->width;
    uint8_t *plane[2] = {s->planes, s->planes + lg_job_sites(b->job)};
    float *e[2] = {s->pad[2], s->pad[3]};
    float w[2][LG_MK_DIRECTIONS];
    int q[2];
    for (int i = 0; i < 2; i++) {
        lg_mk_direction_draw draw;
        lg_mk_direction_mean(fit, id.key, id.fit, id.replicate, step, i, &draw, w[i]);
        q[i] = draw.q;
    }
    if (bands == 1) {
        k->unreact(fit, b->job->binary, id, step, H, W, 0, H, plane[0], plane[1], tape, lam[0], lam[1], e[0], e[1],
                   s->row_sums);
        for (int i = 0; i < 2; i++)
            k->unmove(i, q[i], w[i], fit->capacity, H, W, 0, H, plane[i], lam[i], e[i], next[i], s->row_sums);
    } else {
#pragma omp parallel for schedule(static) num_threads(bands)
        for (int t = 0; t < bands; t++)
            k->unreact(fit, b->job->binary, id, step, H, W, band_start(H, t, bands), band_start(H, t + 1, bands),
                       plane[0], plane[1], tape, lam[0], lam[1], e[0], e[1], s->row_sums);
#pragma omp parallel for schedule(static) num_threads(bands)
        for (int t = 0; t < bands; t++)
            for (int i = 0; i < 2; i++)
                k->unmove(i, q[i], w[i], fit->capacity, H, W, band_start(H, t, bands), band_start(H, t + 1, bands),
                          plane[i], lam[i], e[i], next[i], s->row_sums);
    }
    for (int i = 0; i < 2; i++) {
        float *swap = lam[i];
        lam[i] = next[i];
        next[i] = swap;
    }
}

/* Makes the tape of the steps from `first` again from its checkpoint. s->planes is used and left undefined. */
static void remake_segment(const lg_dbatch *b, lg_scratch *s, const lg_mk_fit *fit, lg_noise_id id, size_t lattice,
                           uint32_t first, uint32_t end, uint8_t *state, int bands)
{
    const size_t sites = lg_job_sites(b->job);
    const size_t index = lattice * segments_of(b->job, b->plan.segment) + first / b->plan.segment;
    memcpy(state, b->checkpoint + index * 2 * sites, 2 * sites);
    for (uint32_t t = first; t < end; t++) step_lattice(b, s, fit, id, t, state, s->tape + (t - first) * sites, bands);
}

/* dL/dD = -(sum over steps and sites of lam sum_q w_q E) / (D (1 - D)); 0 at D = 0 and 1, where no direction noise is left. */
static void finish(const lg_dbatch *b, const lg_scratch *s, uint32_t f, double *gradient)
{
    for (int p = 0; p < LG_MK_PARAMS; p++) {
        gradient[p] = 0.0;
        for (uint32_t i = 0; i < b->job->height; i++) gradient[p] += s->row_sums[i][p];
    }
    for (int p = LG_MK_D_A; p <= LG_MK_D_B; p++) {
        const double D = b->params[(size_t)f * LG_MK_PARAMS + (size_t)p], slope = D * (1.0 - D);
        gradient[p] = slope > 0.0 ? -gradient[p] / slope : 0.0;
    }
}

static void backward_lattice(lg_dbatch *b, lg_scratch *s, size_t lattice, int bands)
{
    const lg_job *job = b->job;
    const uint32_t f = lg_cpu_fit(job, lattice), r = lg_cpu_replicate(job, lattice);
    const size_t sites = lg_job_sites(job);
    const lg_noise_id id = lg_cpu_noise(b, f, r);
    const lg_mk_fit *fit = &b->mk[f];
    float *lam[2] = {s->pad[0], s->pad[1]}, *next[2] = {s->pad[4], s->pad[5]};
    memset(s->row_sums, 0, job->height * sizeof *s->row_sums);
    memcpy(s->planes, state_of(b, lattice), 2 * sites);
    seed_adjoints(b, f, r, s->planes, lam);
    for (uint32_t end = job->steps; end > 0;) {
        const uint32_t first = (end - 1) / b->plan.segment * b->plan.segment;
        const uint8_t *tape = b->tape ? b->tape + (lattice * job->steps + first) * sites : s->tape;
        /* the segment ends in the state s->planes holds already, so remaking it there leaves the same state */
        if (!b->tape) remake_segment(b, s, fit, id, lattice, first, end, s->planes, bands);
        for (uint32_t t = end; t-- > first;) {
            const int k = lg_cpu_is_statistic(job) ? lg_cpu_record_index(job, t + 1) : -1;
            if (k >= 0) inject(b, s, f, k, s->planes, lam);
            const int own = lg_cpu_own_index(job, t + 1);
            if (own >= 0) inject_own(job, b->recording.adjoint + lg_own_at(job, f, r, (uint32_t)own), lam);
            step_back(b, s, fit, id, t, tape + (t - first) * sites, lam, next, bands);
        }
        end = first;
    }
    finish(b, s, f, lg_cpu_part(b, f, r) + 1);
}

static void backward(lg_dbatch *b)
{
    const uint32_t R = b->job->replicates;
    const long lattices = (long)lg_cpu_lattices(b->job);
    if (lg_cpu_scores(b)) {
        lg_cpu_exchange(b, b->score_offset, lg_cpu_score_size(b->job));
        for (uint32_t f = 0; f < b->job->fits; f++)
            if (!lg_cpu_skips(b, f)) lg_cpu_score_gradient(b, f, 0, 1 + LG_MK_PARAMS);
        return;
    }
    if (lg_cpu_by_rows(b)) {
        for (long i = 0; i < lattices; i++)
            if (!lg_cpu_skips(b, lg_cpu_fit(b->job, (size_t)i)))
                backward_lattice(b, &b->scratch[0], (size_t)i, b->device->threads);
    } else {
#pragma omp parallel for schedule(dynamic) num_threads(team(b, b->job->steps, BACK_NS))
        for (long i = 0; i < lattices; i++)
            if (!lg_cpu_skips(b, lg_cpu_fit(b->job, (size_t)i)))
                backward_lattice(b, &b->scratch[lg_cpu_thread()], (size_t)i, 1);
    }
    lg_cpu_exchange(b, 1, LG_MK_PARAMS);
    for (uint32_t f = 0; f < b->job->fits; f++)
        if (!lg_cpu_skips(b, f)) lg_cpu_reduce(b, f, R, 1, LG_MK_PARAMS, 1.0, b->gradient + (size_t)f * LG_MK_PARAMS);
}

static void get_states(lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count, void *out)
{
    memcpy(out, state_of(b, (size_t)fit * b->job->replicates + first), count * lg_job_state_bytes(b->job));
}

const lg_cpu_model lg_cpu_mk = {plan, allocate, prepare, reset, forward, loss, backward, get_states, NULL};
