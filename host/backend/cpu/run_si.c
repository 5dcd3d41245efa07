/* SI on the cpu: bit-packed lattices. One-step pairs have kernels of their own; fits over several steps walk back through
 * stored states (one bit a site and step), or through checkpoints every `segment` steps. */
#include "backend/cpu/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Parts of a replicate: squared error or count difference, gradient and its absolute sum, then statistics or the exact
 * likelihood's 18 counts (as doubles: exact below 2^53). */
enum { PART_LOSS, PART_GRADIENT, PART_ABSOLUTE, PART_STATISTICS, COUNTS = 18 };

/* About what a site takes, for lg_cpu_team: a step, or the gradient of a pair; a step back of longer runs; the loss. */
static const double STEP_NS = 0.15, BACK_NS = 2.0, LOSS_NS = 0.01;

static size_t words_of(const lg_job *job)
{
    return (size_t)job->height * lg_si_words(job->width);
}

/* Threads for a loop over the lattices of this process. */
static int team(const lg_dbatch *b, uint32_t steps, double ns)
{
    return lg_cpu_team(b, (double)lg_cpu_lattices(b->job) * (double)lg_job_sites(b->job) * steps * ns);
}

static bool is_pair(const lg_job *job)
{
    return job->task == LG_TASK_transition && job->steps == 1 && !job->own.function;
}

static size_t segments_of(const lg_job *job, uint32_t segment)
{
    return ((size_t)job->steps + segment - 1) / segment;
}

/* Stored states of all replicates every `segment` steps, plus one segment's states per thread. */
static size_t tape_bytes(const lg_job *job, int threads, uint32_t segment)
{
    const size_t bytes = words_of(job) * sizeof(uint64_t);
    return lg_cpu_lattices(job) * segments_of(job, segment) * bytes + (size_t)threads * segment * bytes;
}

static void plan(const lg_job *job, int threads, bool gradients, size_t limit, lg_plan *out)
{
    const size_t bytes = words_of(job) * sizeof(uint64_t);
    const size_t pools = job->pool * bytes * (job->target && is_pair(job) ? 2 : 1);
    gradients = gradients && job->method != LG_GRADIENT_score;
    out->state_bytes = lg_cpu_lattices(job) * bytes;
    out->segment = gradients ? 1 : job->steps;
    size_t fixed = out->state_bytes + pools + (size_t)threads * (bytes + lg_si_scratch_bytes(job->width));
    if (gradients && !is_pair(job)) {
        fixed += (size_t)threads * 2 * lg_job_sites(job) * sizeof(float);
        out->tape_bytes = tape_bytes(job, threads, 1);
        if (fixed + out->tape_bytes > limit && job->steps > 2) {
            const double best = sqrt((double)job->steps * (double)lg_cpu_lattices(job) / threads);
            out->segment = best < 2 ? 2 : (best > job->steps ? job->steps : (uint32_t)best);
            out->tape_bytes = tape_bytes(job, threads, out->segment);
        }
    }
    out->total_bytes = fixed + out->tape_bytes;
}

static uint64_t *pack_pool(const lg_dbatch *b, const uint8_t *states, size_t count)
{
    const lg_job *job = b->job;
    uint64_t *bits = calloc(count * words_of(job), sizeof *bits);
    for (size_t i = 0; bits && i < count; i++)
        b->device->isa->si->pack(states + i * lg_job_sites(job), job->height, job->width, bits + i * words_of(job));
    return bits;
}

static bool allocate(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const size_t words = words_of(job), K = lg_job_statistics(job);
    b->si = calloc(job->fits, sizeof *b->si);
    b->bits = calloc(2 * lg_cpu_lattices(job) * words, sizeof *b->bits); /* states, and the pairs' start states */
    b->start_bits = pack_pool(b, job->start, job->pool);
    b->score_offset = PART_STATISTICS + (K > COUNTS ? K : COUNTS);
    b->partial_size = b->score_offset + lg_cpu_score_size(job);
    b->partial = calloc((size_t)job->fits * job->replicates * b->partial_size, sizeof *b->partial);
    if (!b->si || !b->bits || !b->start_bits || !b->partial) return false;
    if (job->target && !(b->target_bits = pack_pool(b, job->target, job->task == LG_TASK_transition ? job->pool : 1)))
        return false;
    const bool back = b->gradients && !lg_cpu_scores(b);
    if (back && !is_pair(job)) {
        b->states = malloc(lg_cpu_lattices(job) * segments_of(job, b->plan.segment) * words * sizeof *b->states);
        if (!b->states) return false;
    }
    for (int t = 0; t < b->device->threads; t++) {
        lg_scratch *s = &b->scratch[t];
        s->bits = malloc((1 + (back ? (size_t)b->plan.segment : 0)) * words * sizeof *s->bits);
        s->si = malloc(lg_si_scratch_bytes(job->width));
        if (!s->bits || !s->si) return false;
        if (!back || is_pair(job)) continue;
        s->adj = malloc(lg_job_sites(job) * sizeof *s->adj);
        s->work = malloc(lg_job_sites(job) * sizeof *s->work);
        if (!s->adj || !s->work) return false;
    }
    return true;
}

static void prepare(lg_dbatch *b)
{
    for (uint32_t f = 0; f < b->job->fits; f++) {
        lg_si_prepare(b->params[f], log1p(-b->params[f]), b->tau, &b->si[f]);
        b->si[f].draws = lg_estimator_draws(b->job->binary, b->job->draws);
    }
}

static uint64_t *state_of(const lg_dbatch *b, size_t lattice)
{
    return b->bits + lattice * words_of(b->job);
}

static void reset(lg_dbatch *b)
{
    const size_t words = words_of(b->job);
    for (size_t i = 0; i < lg_cpu_lattices(b->job); i++)
        memcpy(state_of(b, i),
               b->start_bits + lg_cpu_pool_index(b, lg_cpu_fit(b->job, i), lg_cpu_replicate(b->job, i)) * words,
               words * sizeof(uint64_t));
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

static void step_lattice(const lg_dbatch *b, int thread, const lg_si_fit *fit, lg_noise_id id, uint32_t step,
                         const uint64_t *x, uint64_t *y, bool by_rows)
{
    const lg_si_kernels *k = b->device->isa->si;
    const uint32_t H = b->job->height, W = b->job->width;
    if (!by_rows) {
        k->step(fit, id, step, H, W, 0, H, x, y, b->scratch[thread].si);
        return;
    }
    const int bands = b->device->threads;
#pragma omp parallel for schedule(static) num_threads(bands)
    for (int t = 0; t < bands; t++)
        k->step(fit, id, step, H, W, (uint32_t)((uint64_t)H * (uint32_t)t / (uint32_t)bands),
                (uint32_t)((uint64_t)H * ((uint32_t)t + 1) / (uint32_t)bands), x, y, b->scratch[lg_cpu_thread()].si);
}

/* Adds d log P(y | x) / dbeta of a step from x to y. */
static void add_score(const lg_dbatch *b, uint32_t f, const uint64_t *x, const uint64_t *y, double *score)
{
    const uint32_t H = b->job->height;
    uint64_t counts[2][9] = {{0}};
    b->device->isa->si->pair_counts(H, b->job->width, 0, H, x, y, counts);
    for (int n = 1; n <= LG_SI_NEIGHBOURS; n++)
        for (int fired = 0; fired < 2; fired++)
            *score += (double)counts[fired][n] * lg_si_score(b->params[f], n, fired);
}

static double aware_fraction(const lg_job *job, const uint64_t *bits)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < words_of(job); i++) sum += (uint64_t)__builtin_popcountll(bits[i]);
    return (double)sum / (double)lg_job_sites(job);
}

static void forward_lattice(lg_dbatch *b, int thread, size_t lattice, uint32_t steps, bool keep, bool by_rows)
{
    const lg_job *job = b->job;
    const size_t words = words_of(job);
    const uint32_t f = lg_cpu_fit(job, lattice), r = lg_cpu_replicate(job, lattice);
    const lg_noise_id id = lg_cpu_noise(b, f, r);
    uint64_t *x = state_of(b, lattice), *y = b->scratch[thread].bits;
    double *statistics = lg_cpu_part(b, f, r) + PART_STATISTICS, score = 0.0;
    double *scores = keep && lg_cpu_scores(b) ? lg_cpu_part(b, f, r) + b->score_offset : NULL;
    if (is_pair(job))
        memcpy(x + lg_cpu_lattices(job) * words, x, words * sizeof *x); /* backward wants the state before */
    for (uint32_t t = b->step; t < b->step + steps; t++) {
        if (keep && b->states && t % b->plan.segment == 0)
            memcpy(b->states + (lattice * segments_of(job, b->plan.segment) + t / b->plan.segment) * words, x,
                   words * sizeof *x);
        step_lattice(b, thread, &b->si[f], id, t, x, y, by_rows);
        if (scores) add_score(b, f, x, y, &score);
        memcpy(x, y, words * sizeof *x);
        const int k = job->records ? lg_cpu_record_index(job, t + 1) : -1;
        if (k >= 0) statistics[k] = aware_fraction(job, x);
        if (scores && (k >= 0 || !job->target_stat)) scores[k >= 0 ? k : 0] = score;
        const int own = lg_cpu_own_index(job, t + 1);
        if (own >= 0)
            b->device->isa->si->unpack(x, job->height, job->width,
                                       (uint8_t *)b->recording.states + lg_own_at(job, f, r, (uint32_t)own));
    }
}

static void forward(lg_dbatch *b, uint32_t steps, bool keep)
{
    const long lattices = (long)lg_cpu_lattices(b->job);
    if (b->job->loss == LG_LOSS_nll && keep) return; /* the likelihood needs no simulation */
    if (lg_cpu_by_rows(b)) {
        for (long i = 0; i < lattices; i++)
            if (!lg_cpu_skips(b, lg_cpu_fit(b->job, (size_t)i))) forward_lattice(b, 0, (size_t)i, steps, keep, true);
        return;
    }
#pragma omp parallel for schedule(dynamic, 4) num_threads(team(b, steps, STEP_NS))
    for (long i = 0; i < lattices; i++)
        if (!lg_cpu_skips(b, lg_cpu_fit(b->job, (size_t)i)))
            forward_lattice(b, lg_cpu_thread(), (size_t)i, steps, keep, false);
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

static const uint64_t *target_of(const lg_dbatch *b, uint32_t fit, uint32_t replicate)
{
    const size_t row = b->job->task == LG_TASK_transition ? lg_cpu_pool_index(b, fit, replicate) : 0;
    return b->target_bits + row * words_of(b->job);
}

static int64_t aware_sites(const lg_job *job, const uint64_t *bits)
{
    int64_t sum = 0;
    for (size_t i = 0; i < words_of(job); i++) sum += __builtin_popcountll(bits[i]);
    return sum;
}

static void loss_lattice(lg_dbatch *b, size_t lattice)
{
    const lg_job *job = b->job;
    const uint32_t f = lg_cpu_fit(job, lattice), r = lg_cpu_replicate(job, lattice);
    const uint64_t *x = state_of(b, lattice), *observed = target_of(b, f, r);
    double *part = lg_cpu_part(b, f, r);
    if (job->loss == LG_LOSS_nll) {
        uint64_t counts[2][9] = {{0}};
        b->device->isa->si->pair_counts(job->height, job->width, 0, job->height, x, observed, counts);
        for (int k = 0; k < COUNTS; k++) part[PART_STATISTICS + k] = (double)counts[k / 9][k % 9];
    } else if (job->loss == LG_LOSS_count) {
        /* the aware sites of X are aware in both, so the difference in newly aware sites is the difference in all */
        part[PART_LOSS] = (double)(aware_sites(job, x) - aware_sites(job, observed));
    } else {
        part[PART_LOSS] = (double)b->device->isa->si->differ(x, observed, words_of(job));
    }
}

/* L = -sum over N of made_N log p_N + stayed_N log(1 - p_N), p_N = 1 - q^N; and dL/dbeta. */
static void likelihood(lg_dbatch *b, uint32_t f, const double *counts)
{
    const double beta = b->params[f], q = 1.0 - beta, log_q = log1p(-beta);
    double sum = 0.0, slope = 0.0;
    for (int n = 0; n <= LG_SI_NEIGHBOURS; n++) {
        const double stayed = counts[n], made = counts[9 + n], p = -expm1(n * log_q);
        if (stayed > 0.0 && n > 0) {
            sum -= stayed * n * log_q;
            slope += stayed * n / q;
        }
        if (made > 0.0) {
            sum -= made * log(p); /* infinite where the model makes the observation impossible */
            slope -= made * n * exp((n - 1) * log_q) / p;
        }
    }
    b->loss[f] = sum;
    b->gradient[f] = slope;
}

static void count_loss(lg_dbatch *b, uint32_t f)
{
    const uint32_t R = b->job->replicates;
    double sum = 0.0;
    for (uint32_t r = 0; r < R; r++) {
        const double d = lg_cpu_part(b, f, r)[PART_LOSS];
        sum += d * d;
    }
    b->loss[f] = sum / R;
}

static void loss(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const uint32_t R = job->replicates;
    const size_t K = lg_job_statistics(job);
    if (!lg_cpu_is_statistic(job)) {
        const long lattices = (long)lg_cpu_lattices(job);
#pragma omp parallel for schedule(static) num_threads(team(b, 1, LOSS_NS))
        for (long i = 0; i < lattices; i++) loss_lattice(b, (size_t)i);
    }
    if (lg_cpu_is_statistic(job)) lg_cpu_exchange(b, PART_STATISTICS, K);
    else if (job->loss == LG_LOSS_nll) lg_cpu_exchange(b, PART_STATISTICS, COUNTS);
    else lg_cpu_exchange(b, PART_LOSS, 1);
    for (uint32_t f = 0; f < job->fits; f++) {
        double value[COUNTS];
        if (lg_cpu_skips(b, f)) continue;
        if (lg_cpu_is_statistic(job)) {
            lg_cpu_reduce(b, f, R, PART_STATISTICS, K, 1.0 / R, b->statistics + f * K);
            lg_cpu_statistic_loss(b, f);
        } else if (job->loss == LG_LOSS_nll) {
            lg_cpu_reduce(b, f, R, PART_STATISTICS, COUNTS, 1.0, value);
            likelihood(b, f, value);
        } else if (job->loss == LG_LOSS_count) {
            count_loss(b, f);
        } else {
            lg_cpu_reduce(b, f, R, PART_LOSS, 1, 1.0, value);
            lg_cpu_state_loss(b, f, value[0]);
        }
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

static void backward_pair(lg_dbatch *b, int thread, size_t lattice)
{
    const lg_job *job = b->job;
    const uint32_t f = lg_cpu_fit(job, lattice), r = lg_cpu_replicate(job, lattice);
    double *part = lg_cpu_part(b, f, r), out[2] = {0.0, 0.0};
    const uint64_t *y = state_of(b, lattice), *x = y + lg_cpu_lattices(job) * words_of(job);
    const bool counting = job->loss == LG_LOSS_count;
    const double scale = counting ? 2.0 * part[PART_LOSS] / job->replicates : b->slope[f];
    b->device->isa->si->pair_gradient(&b->si[f], job->binary, lg_cpu_noise(b, f, r), 0, job->height, job->width, 0,
                                      job->height, x, y, target_of(b, f, r), counting, scale, b->scratch[thread].si,
                                      out);
    part[PART_GRADIENT] = out[0];
    part[PART_ABSOLUTE] = out[1];
}

static void seed_adjoint(const lg_dbatch *b, uint32_t f, uint32_t r, const uint64_t *x, float *adj)
{
    const lg_job *job = b->job;
    const uint32_t words = lg_si_words(job->width);
    const uint64_t *observed = job->target ? target_of(b, f, r) : NULL;
    const double slope = 2.0 * b->slope[f];
    for (uint32_t i = 0; i < job->height; i++)
        for (uint32_t j = 0; j < job->width; j++) {
            const size_t word = (size_t)i * words + j / 64;
            const int own = (int)(x[word] >> j % 64 & 1u),
                      other = observed ? (int)(observed[word] >> j % 64 & 1u) : own;
            adj[(size_t)i * job->width + j] = (float)(slope * (own - other));
        }
}

static void backward_lattice(lg_dbatch *b, int thread, size_t lattice)
{
    const lg_job *job = b->job;
    const uint32_t f = lg_cpu_fit(job, lattice), r = lg_cpu_replicate(job, lattice), segment = b->plan.segment;
    const size_t words = words_of(job);
    const lg_noise_id id = lg_cpu_noise(b, f, r);
    lg_scratch *s = &b->scratch[thread];
    double gradient = 0.0;
    seed_adjoint(b, f, r, state_of(b, lattice), s->adj);
    for (uint32_t end = job->steps; end > 0;) {
        const uint32_t first = (end - 1) / segment * segment;
        uint64_t *x = s->bits;
        memcpy(x, b->states + (lattice * segments_of(job, segment) + first / segment) * words, words * sizeof *x);
        for (uint32_t t = first; t + 1 < end; t++)
            step_lattice(b, thread, &b->si[f], id, t, x + (t - first) * words, x + (t + 1 - first) * words, false);
        for (uint32_t t = end; t-- > first;) {
            const int k = lg_cpu_is_statistic(job) ? lg_cpu_record_index(job, t + 1) : -1;
            if (k >= 0) {
                const double a = b->stat_adjoint[f * (size_t)lg_job_statistics(job) + (size_t)k];
                const float add = (float)(a / ((double)lg_job_sites(job) * job->replicates));
                for (size_t i = 0; i < lg_job_sites(job); i++) s->adj[i] += add;
            }
            const int own = lg_cpu_own_index(job, t + 1);
            if (own >= 0) {
                const float *adjoint = b->recording.adjoint + lg_own_at(job, f, r, (uint32_t)own);
                for (size_t i = 0; i < lg_job_sites(job); i++) s->adj[i] += adjoint[i];
            }
            b->device->isa->si->backward(&b->si[f], job->binary, id, t, job->height, job->width,
                                         x + (t - first) * words, s->adj, s->work, &gradient);
        }
        end = first;
    }
    lg_cpu_part(b, f, r)[PART_GRADIENT] = gradient;
}

static void backward(lg_dbatch *b)
{
    const lg_job *job = b->job;
    const uint32_t R = job->replicates;
    const long lattices = (long)lg_cpu_lattices(job);
    if (job->loss == LG_LOSS_nll) return; /* the loss pass has the gradient already */
    if (lg_cpu_scores(b)) {
        lg_cpu_exchange(b, b->score_offset, lg_cpu_score_size(job));
        for (uint32_t f = 0; f < job->fits; f++)
            if (!lg_cpu_skips(b, f)) lg_cpu_score_gradient(b, f, PART_LOSS, PART_STATISTICS);
        return;
    }
#pragma omp parallel for schedule(dynamic, 4) num_threads(team(b, job->steps, is_pair(job) ? STEP_NS : BACK_NS))
    for (long i = 0; i < lattices; i++) {
        if (lg_cpu_skips(b, lg_cpu_fit(job, (size_t)i))) continue;
        if (is_pair(job)) backward_pair(b, lg_cpu_thread(), (size_t)i);
        else backward_lattice(b, lg_cpu_thread(), (size_t)i);
    }
    lg_cpu_exchange(b, PART_GRADIENT, 1);
    for (uint32_t f = 0; f < job->fits; f++)
        if (!lg_cpu_skips(b, f)) lg_cpu_reduce(b, f, R, PART_GRADIENT, 1, 1.0, b->gradient + f);
}

static void get_states(lg_dbatch *b, uint32_t fit, uint32_t first, uint32_t count, void *out)
{
    uint8_t *to = out;
    for (uint32_t i = 0; i < count; i++)
        b->device->isa->si->unpack(state_of(b, (size_t)fit * b->job->replicates + first + i), b->job->height,
                                   b->job->width, to + i * lg_job_sites(b->job));
}

const lg_cpu_model lg_cpu_si = {plan, allocate, prepare, reset, forward, loss, backward, get_states, NULL};
