/* Malevanets-Kapral lattices of any size, many blocks per lattice: forward steps, losses, and the launchers that choose between
 * this file and mk.cu. The mathematics, streams and tape are those of mk.cu; mk_tile.cuh has the tiles, mk_large_back.cu their
 * backward pass.
 *
 * Forward: up to four steps a launch. In step s = 0, 1, ... of S a block excites what is within S - s of its tile and lets
 * react what is within S - s - 1. Tape and new counts are written for the tile alone, the counts to the other buffer: no block
 * reads what another one writes in the same launch. In random blocks, (16 + 2 ceil(S / 2)) (64 + 2 S) pairs and fewer in later
 * steps against 16 x 64: 16 % more than needed with S = 1, 18 % with S = 2, 28 % with S = 4, 53 % with S = 8. Four steps for
 * 12 % is a good trade: a launch of some microseconds lasts longer than a step of a lattice of 512 x 512, and counts are
 * read and written once in four steps. A launch ends where the state is wanted: at records and checkpoints.
 * Memory: two buffers of state, the tape (a byte a site and step), two float buffers of adjoints.
 * Determinism: sums of integers. */
#include "mk_tile.cuh"

static __device__ inline const uint8_t *mk_start_of(const lg_view &v, const mk_tile &t)
{
    return v.start + (size_t)lg_view_pool(v, t.f, t.replicate) * 2u * v.H * v.W;
}

/* The pool's start states. */
static __global__ void LG_THREADS(TILE_THREADS) mk_tile_start(lg_view v, uint8_t *to)
{
    const mk_tile t = mk_locate(v);
    for (uint32_t r = 2u * t.thread_row; r < t.rows && t.column < t.columns; r += 2u * TILE_THREAD_ROWS) {
        const uint32_t pair = (t.i0 + r) >> 1, j = t.j0 + t.column;
        lg_mk_store(to + t.fr * 2u * (size_t)v.H * v.W, v.H, v.W, pair, j,
                    lg_mk_load(mk_start_of(v, t), v.H, v.W, pair, j));
    }
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

struct alignas(16) mk_tile_head {
    lg_mk_fit fit;
    int offset[TILE_STEPS][2]; /* where a move reads, by step and species */
};

/* Steps step .. step + steps - 1. from NULL: the pool's start states. SCORE: adds up the scores of the tile's reactions. */
template <bool SCORE>
static __global__ void LG_THREADS(TILE_THREADS)
    mk_tile_steps(lg_view v, uint32_t step, uint32_t steps, uint32_t tape_slot, const uint8_t *from, uint8_t *to,
                  uint16_t *tape)
{
    LG_SHARED_MEMORY(memory);
    mk_tile_head *head = (mk_tile_head *)memory;
    uint8_t *planes = memory + sizeof(mk_tile_head);
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_key key = lg_view_key(v);
    const size_t sites = (size_t)v.H * v.W;
    const uint8_t *source = from ? from + t.fr * 2u * sites : mk_start_of(v, t);
    const uint32_t pair_rows = (v.H + 1u) >> 1;
    lg_mk_copy_fit(&head->fit, v.mk + t.f, t.thread, TILE_THREADS);
    mk_place place[TILE_PAIRS];
    uint32_t counts[TILE_PAIRS], word0[TILE_PAIRS], word1[TILE_PAIRS];
    double score[3] = {0.0, 0.0, 0.0};
    LG_UNROLL
    for (int k = 0; k < TILE_PAIRS; k++) {
        place[k] = mk_region(v, t, steps, t.thread + (uint32_t)k * TILE_THREADS);
        counts[k] = place[k].far_0 == TILE_FAR ? 0u : lg_mk_load(source, v.H, v.W, place[k].pair, place[k].j);
    }
    __syncthreads();
    if (t.thread < 2u * steps) {
        const int q =
            lg_mk_draw_direction(&head->fit, key, t.fit_id, t.replicate, step + t.thread / 2u, (int)(t.thread % 2u));
        head->offset[t.thread / 2u][t.thread % 2u] = lg_mk_row_offset(q) * TILE_STRIDE + lg_mk_column_offset(q);
    }
    for (uint32_t s = 0; s < steps; s++) {
        uint8_t *e = planes + (s & 1u) * TILE_PLANE;
        const uint32_t reach = steps - s;
        LG_UNROLL
        for (int k = 0; k < TILE_PAIRS; k++) {
            const mk_place p = place[k];
            if (p.far_0 > reach && p.far_1 > reach) continue;
            const lg_block b = lg_draw(key, LG_STREAM_MK_SITE, t.fit_id, t.replicate, step + s, p.site);
            const uint32_t pattern = lg_mk_excite_pair(&head->fit, b, counts[k]);
            e[p.at] = (uint8_t)(pattern & 3u);
            if (p.far_1 != TILE_FAR) e[p.at + TILE_STRIDE] = (uint8_t)(pattern >> 2);
            word0[k] = b.w[1];
            word1[k] = b.w[3];
        }
        __syncthreads();
        const int to_a = head->offset[s][0], to_b = head->offset[s][1];
        float k_sum[3] = {0.0f, 0.0f, 0.0f};
        LG_UNROLL
        for (int k = 0; k < TILE_PAIRS; k++) {
            const mk_place p = place[k];
            uint32_t code0 = 0, code1 = 0;
            if (p.far_0 < reach) code0 = lg_mk_move_react(&head->fit, word0[k], e + p.at, to_a, to_b, 0u, &counts[k]);
            if (p.far_1 < reach)
                code1 = lg_mk_move_react(&head->fit, word1[k], e + p.at + TILE_STRIDE, to_a, to_b, 16u, &counts[k]);
            if (tape && p.far_0 == 0)
                tape[(((size_t)t.fr * v.segment + tape_slot + s) * pair_rows) * v.W + p.site] =
                    (uint16_t)(code0 | code1 << 8);
            if (SCORE && p.far_0 == 0) lg_mk_add_score(&head->fit, code0, 0u, counts[k], k_sum);
            if (SCORE && p.far_1 == 0) lg_mk_add_score(&head->fit, code1, 16u, counts[k], k_sum);
        }
        for (int i = 0; SCORE && i < 3; i++) score[i] += (double)k_sum[i];
    }
    LG_UNROLL
    for (int k = 0; k < TILE_PAIRS; k++)
        if (place[k].far_0 == 0) lg_mk_store(to + t.fr * 2u * sites, v.H, v.W, place[k].pair, place[k].j, counts[k]);
    if (SCORE) lg_mk_write_score(v, blockIdx.x, step == 0, score, (double *)planes, t.thread, TILE_THREADS);
}

/* Integer sums of a tile's counts, added to the lattice's; then, by one thread per lattice, the statistics. */
static __global__ void LG_THREADS(TILE_THREADS) mk_tile_sums(lg_view v, const uint8_t *state)
{
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    uint32_t sum[4] = {0, 0, 0, 0};
    for (uint32_t r = 2u * t.thread_row; r < t.rows; r += 2u * TILE_THREAD_ROWS)
        if (t.column < t.columns)
            lg_mk_add_counts(lg_mk_load(state + t.fr * 2u * (size_t)v.H * v.W, v.H, v.W, (t.i0 + r) >> 1,
                                        t.j0 + t.column),
                             sum);
    for (uint32_t lanes = 16; lanes > 0; lanes /= 2)
        for (int i = 0; i < 4; i++) sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], lanes);
    if (t.thread % 32u == 0)
        for (int i = 0; i < 4; i++) atomicAdd(&v.sums[(size_t)t.fr * 4u + i], (lg_u64)sum[i]);
}

static __global__ void LG_THREADS(256) mk_tile_statistics(lg_view v, uint32_t record)
{
    const uint32_t fr = blockIdx.x * 256u + threadIdx.x;
    if (fr >= v.F * v.R || lg_view_skips(v, fr / v.R)) return;
    lg_mk_statistics(v.sums + (size_t)fr * 4u, (size_t)v.H * v.W,
                     v.replicate_stat + ((size_t)fr * v.records + record) * 4u);
}

/* ---- loss ------------------------------------------------------------------------------------------------------- */

/* Sum of (X - X_ref)^2 of a tile, an integer, added to the replicate's. */
static __global__ void LG_THREADS(TILE_THREADS) mk_tile_error(lg_view v)
{
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    const size_t sites = (size_t)v.H * v.W;
    const uint8_t *wanted = v.target + (v.transition ? (size_t)lg_view_pool(v, t.f, t.replicate) * 2u * sites : 0u);
    lg_u64 sum = 0;
    for (uint32_t r = 2u * t.thread_row; r < t.rows && t.column < t.columns; r += 2u * TILE_THREAD_ROWS) {
        const uint32_t pair = (t.i0 + r) >> 1, j = t.j0 + t.column;
        const uint32_t x = lg_mk_load(v.state + t.fr * 2u * sites, v.H, v.W, pair, j),
                       y = lg_mk_load(wanted, v.H, v.W, pair, j);
        for (uint32_t shift = 0; shift < 32u; shift += 8u) {
            const int d = (int)(x >> shift & 255u) - (int)(y >> shift & 255u);
            sum += (lg_u64)(d * d);
        }
    }
    sum = lg_warp_sum(sum);
    if (t.thread % 32u == 0) atomicAdd(&v.error[t.fr], sum);
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

/* Steps of the launch that begins with `step`, of `left`: up to the next checkpoint or record. */
static uint32_t tile_steps(const lg_dbatch *b, const lg_view &v, uint32_t step, uint32_t left, uint32_t record,
                           bool checkpoint)
{
    uint32_t steps = mk_tile_most(v.H);
    if (steps > left) steps = left;
    if (checkpoint && steps > v.segment - step % v.segment) steps = v.segment - step % v.segment;
    if (record < v.records && steps > b->job->record[record] - step) steps = b->job->record[record] - step;
    return steps;
}

/* Steps step0 .. step0 + steps - 1 from one buffer to the other so that the last launch ends in `end`. */
static void forward_tiles(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                          uint8_t *end, uint8_t *other, uint16_t *tape, uint8_t *checkpoint)
{
    const size_t shared = sizeof(mk_tile_head) + 2 * TILE_PLANE, bytes = (size_t)v.F * v.R * b->layout.sample;
    const uint32_t last = step0 + steps;
    uint32_t first_record = 0, launches = 0;
    while (first_record < v.records && b->job->record[first_record] <= step0) first_record++;
    for (uint32_t step = step0, record = first_record; step < last; launches++) {
        step += tile_steps(b, v, step, last - step, record, checkpoint != NULL);
        if (record < v.records && b->job->record[record] == step) record++;
    }
    for (uint32_t step = step0, record = first_record; step < last; launches--) {
        const uint32_t some = tile_steps(b, v, step, last - step, record, checkpoint != NULL);
        uint8_t *to = launches % 2 == 1 ? end : other;
        if (to == from) { /* an odd number of launches from `end` itself */
            cudaMemcpyAsync(other, from, bytes, cudaMemcpyDeviceToDevice, b->stream);
            from = other;
        }
        LG_LAUNCH((v.scores ? mk_tile_steps<true> : mk_tile_steps<false>), mk_tile_grid(v), dim3(TILE_THREADS), shared,
                  b->stream, v, step, some, step - step0, from, to, tape);
        from = to;
        step += some;
        if (checkpoint && step % v.segment == 0 && step < v.steps)
            cudaMemcpyAsync(checkpoint + (step / v.segment - 1) * bytes, to, bytes, cudaMemcpyDeviceToDevice,
                            b->stream);
        if (record < v.records && b->job->record[record] == step) {
            cudaMemsetAsync(v.sums, 0, (size_t)v.F * v.R * 4 * sizeof(lg_u64), b->stream);
            LG_LAUNCH(mk_tile_sums, mk_tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v, to);
            LG_LAUNCH(mk_tile_statistics, dim3((v.F * v.R + 255) / 256), dim3(256), 0, b->stream, v, record);
            record++;
        }
    }
}

static void start(lg_dbatch *b, const lg_view &v)
{
    LG_LAUNCH(mk_tile_start, mk_tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v, v.state);
}

/* What the kernels between two records of the task formation, or of a loss of the caller's own, see. */
static lg_view range_view(const lg_view &v)
{
    lg_view w = v;
    if (v.formation) w.records = 0;
    return w;
}

static size_t tape_step(const lg_view &v)
{
    return (size_t)((v.H + 1u) >> 1) * v.W;
}

static void forward_range(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep)
{
    const uint8_t *from = step0 == 0 ? NULL : v.state;
    uint16_t *tape = keep && v.tape && v.segment == v.steps ? (uint16_t *)v.tape + step0 * tape_step(v) : NULL;
    uint8_t *checkpoint = keep && v.segment < v.steps ? v.checkpoint : NULL;
    if (lg_mk_blocks(b->job, b->device, false) > 0)
        lg_mk_forward_block(b, v, step0, steps, from, v.state, tape, checkpoint);
    else forward_tiles(b, v, step0, steps, from, v.state, v.other, tape, checkpoint);
}

/* Index of the first record after `step`. */
static uint32_t record_after(const lg_dbatch *b, uint32_t step)
{
    uint32_t record = 0;
    while (record < lg_hooks(b->job) && lg_hook_step(b->job, record) <= step) record++;
    return record;
}

static void forward(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep)
{
    const uint32_t end = step0 + steps;
    lg_view w = range_view(v);
    w.scores = keep && v.scores;
    while ((v.formation || w.scores) && step0 < end) {
        const uint32_t record = record_after(b, step0);
        if (record == v.records || lg_hook_step(b->job, record) > end) break;
        const uint32_t first = step0;
        step0 = lg_hook_step(b->job, record);
        forward_range(b, w, first, step0 - first, keep);
        if (v.formation) lg_mk_formation_record(b, v, record);
        if (w.scores) lg_cuda_score_moment(b, v, record, first, step0);
    }
    if (step0 < end) forward_range(b, w, step0, end - step0, keep);
    if (w.scores && !v.target_stat) lg_cuda_score_moment(b, v, 0, 0, end);
}

static void error(lg_dbatch *b, const lg_view &v)
{
    cudaMemsetAsync(v.error, 0, (size_t)v.F * v.R * sizeof(lg_u64), b->stream);
    LG_LAUNCH(mk_tile_error, mk_tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v);
}

/* Task formation and losses of the caller's own, the steps of one segment: from record to record. The tiles walk the state back as
 * they go, the blocks start from the states kept at the records. */
static void backward_records(lg_dbatch *b, lg_view *walk, uint32_t step0, uint32_t steps, const uint8_t *state,
                             const uint16_t *tape, bool block)
{
    const size_t bytes = (size_t)walk->F * walk->R * b->layout.sample;
    walk->records = 0;
    for (uint32_t end = step0 + steps; end > step0;) {
        const uint32_t below = record_after(b, end - 1), records = lg_hooks(b->job); /* records before `end` */
        const bool recorded = below < records && lg_hook_step(b->job, below) == end;
        const uint32_t before = below > 0 ? lg_hook_step(b->job, below - 1) : 0,
                       first = before > step0 ? before : step0;
        const uint16_t *part = tape + (first - step0) * tape_step(*walk);
        walk->records = records;
        if (recorded) lg_mk_formation_inject(b, *walk, below);
        walk->records = 0;
        if (block)
            lg_mk_backward_block(b, *walk, first, end - first, recorded ? walk->snapshot + below * bytes : state, part);
        else lg_mk_backward_tiles(b, walk, first, end - first, &state, part);
        end = first;
    }
}

static void backward(lg_dbatch *b, const lg_view &v)
{
    if (v.scores) {
        lg_cuda_score_gradient(b, v);
        return;
    }
    if (v.formation) {
        cudaMemsetAsync(v.adjoint, 0, b->layout.bytes[LG_BUF_ADJOINT], b->stream);
        cudaMemsetAsync(v.part, 0, b->layout.bytes[LG_BUF_PART], b->stream);
        if (v.carry) cudaMemsetAsync(v.carry, 0, b->layout.bytes[LG_BUF_CARRY], b->stream);
    }
    const bool block_forward = lg_mk_blocks(b->job, b->device, false) > 0;
    const bool block = lg_mk_blocks(b->job, b->device, true) > 0;
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample;
    uint16_t *tape = (uint16_t *)v.tape;
    lg_view walk = v;
    for (uint32_t segment = (v.steps + v.segment - 1) / v.segment; segment-- > 0;) {
        const uint32_t step0 = segment * v.segment, steps = v.steps - step0 < v.segment ? v.steps - step0 : v.segment;
        const uint8_t *state = v.state;
        if (v.segment < v.steps) { /* makes the segment's tape again */
            const uint8_t *from = segment > 0 ? v.checkpoint + (segment - 1) * bytes : NULL;
            const lg_view w = range_view(v);
            if (block_forward) lg_mk_forward_block(b, w, step0, steps, from, v.work, tape, NULL);
            else forward_tiles(b, w, step0, steps, from, v.work, v.other, tape, NULL);
            state = v.work;
        }
        if (v.formation) backward_records(b, &walk, step0, steps, state, tape, block);
        else if (block) lg_mk_backward_block(b, v, step0, steps, state, tape);
        else lg_mk_backward_tiles(b, &walk, step0, steps, &state, tape);
    }
}

static void layout(const lg_job *job, const lg_device *device, bool gradients, lg_layout *l)
{
    const size_t FR = (size_t)job->fits * job->replicates, sites = lg_job_sites(job);
    const size_t across = (job->width + TILE_COLUMNS - 1) / TILE_COLUMNS,
                 down = (job->height + TILE_ROWS - 1) / TILE_ROWS;
    const bool block = lg_mk_blocks(job, device, false) > 0, block_back = lg_mk_blocks(job, device, true) > 0;
    const uint32_t segments = (job->steps + l->segment - 1) / l->segment;
    const uint32_t forward_blocks = lg_mk_blocks(job, device, false), backward_blocks = lg_mk_blocks(job, device, true);
    const bool scores = lg_cuda_scores(job, gradients);
    const int some =
        snprintf(l->kernels, sizeof l->kernels, "forward: %u block%s a lattice%s; ",
                 block ? forward_blocks : (uint32_t)(across * down), block && forward_blocks == 1 ? "" : "s",
                 block ? (forward_blocks > 1 ? ", a cluster" : "") : ", tiles");
    if (scores) snprintf(l->kernels + some, sizeof l->kernels - (size_t)some, "no backward pass");
    else
        snprintf(l->kernels + some, sizeof l->kernels - (size_t)some, "backward: %u%s",
                 block_back ? backward_blocks : (uint32_t)(across * down),
                 block_back ? (backward_blocks > 1 ? ", a cluster" : "") : ", tiles");
    l->sample = 2 * sites;
    l->launches = 8 + 2 * segments + (block ? 0 : job->steps / mk_tile_most(job->height)) +
                  (block_back ? 0 : job->steps / mk_tile_most(job->height));
    l->parts = (uint32_t)(across * down);
    l->grad_parts = block_back ? 1 : l->parts * TILE_WARPS;
    if (scores) {
        l->grad_parts = block ? forward_blocks : l->parts;
        l->launches = 8 + 2 * lg_cuda_moments(job) + (block ? 0 : job->steps / mk_tile_most(job->height));
    }
    l->bytes[LG_BUF_CONSTANTS] = job->fits * sizeof(lg_mk_fit);
    l->bytes[LG_BUF_STATE] = FR * l->sample;
    l->bytes[LG_BUF_OTHER] = block ? 0 : FR * l->sample;
    l->bytes[LG_BUF_SUMS] = block ? 0 : FR * 4 * sizeof(lg_u64);
    l->bytes[LG_BUF_ERROR] = FR * sizeof(lg_u64);
    l->bytes[LG_BUF_REPLICATE_STAT] = FR * lg_job_statistics(job) * sizeof(double);
    const bool own = job->own.function != NULL, formation = own || job->task == LG_TASK_formation;
    if (own) lg_cuda_own_layout(job, gradients, l);
    else if (formation) lg_mk_formation_layout(job, l);
    if (formation) l->launches += 5 * lg_hooks(job);
    if (!gradients) return;
    l->bytes[LG_BUF_PART] = FR * l->grad_parts * LG_MK_PARAMS * sizeof(double);
    if (scores) {
        l->bytes[LG_BUF_SCORE] = FR * lg_cuda_moments(job) * LG_MK_PARAMS * sizeof(double);
        return;
    }
    if (!block_back) l->bytes[LG_BUF_OTHER] = FR * l->sample;
    l->bytes[LG_BUF_TAPE] = FR * l->segment * ((job->height + 1) / 2) * job->width * sizeof(uint16_t);
    l->bytes[LG_BUF_CHECKPOINT] = FR * l->sample * (segments - 1);
    l->bytes[LG_BUF_WORK] = segments > 1 || !block_back ? FR * l->sample : 0;
    l->bytes[LG_BUF_ADJOINT] = segments > 1 || !block_back || formation ? FR * l->sample * sizeof(float) : 0;
    l->bytes[LG_BUF_CARRY] = block_back && (segments > 1 || formation) ? lg_mk_carry_bytes(job, device) : 0;
    l->bytes[LG_BUF_ADJOINT2] = block_back ? 0 : FR * l->sample * sizeof(float);
}

#ifndef LG_DEVICE_PASS
const lg_cuda_model lg_cuda_mk = {layout, start, forward, error, backward};
#endif
