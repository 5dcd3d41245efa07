/* Malevanets-Kapral lattices of any size: many blocks per lattice, a launch for up to four steps forward and two launches
 * a step backward; and the launchers that choose between this file and mk.cu. The mathematics, streams and tape are those
 * of mk.cu.
 *
 * Forward: a block owns a tile of 32 x 64 sites (16 x 64 pairs). A step moves counts by one site at most and noise is a
 * function of the site, so a tile with S more sites all round can take S steps on its own: in step s = 0, 1, ... it
 * excites what is within S - s of the tile and lets react what is within S - s - 1. Tape and new counts are written for
 * the tile alone, the counts to the other buffer: no block reads what another one writes in the same launch. In random
 * blocks, (16 + 2 ceil(S / 2)) (64 + 2 S) pairs and fewer in later steps against 16 x 64: 16 % more than needed with
 * S = 1, 18 % with S = 2, 28 % with S = 4, 53 % with S = 8. Four steps for 12 % is a good trade: a launch of some
 * microseconds lasts longer than a step of a lattice of 512 x 512, and counts are read and written once in four steps.
 * A launch ends where the state is wanted: at records and checkpoints.
 * Rows go in pairs, which an odd height breaks where the torus closes: there the two pairs of rows around a tile may
 * hold three rows, enough for S = 2.
 * Backward: `unreact` is pointwise and in place; `unmove` reads the neighbours' excitations from the tape and the moved
 * adjoint from one buffer and writes the other.
 * Memory: two buffers of state, the tape (a byte a site and step), two float buffers of adjoints.
 * Determinism: a block adds its tile by a fixed tree into its own slot of v.part; finish adds the slots in order. */
#include "mk.cuh"

enum {
    TILE_COLUMNS = 64,
    TILE_ROWS = 32,
    TILE_THREAD_ROWS = 4,
    TILE_THREADS = TILE_COLUMNS * TILE_THREAD_ROWS,
    TILE_STEPS = 4, /* of a launch, at most */
    TILE_RING = 2,  /* pairs of rows above and below a tile */
    TILE_STRIDE = TILE_COLUMNS + 2 * TILE_STEPS,
    TILE_REGION = (TILE_ROWS / 2 + 2 * TILE_RING) * TILE_STRIDE, /* pairs of a tile and what surrounds it */
    TILE_PAIRS = (TILE_REGION + TILE_THREADS - 1) / TILE_THREADS,
    TILE_FAR = 255
};

/* Which tile of which lattice a block has, and which of its sites a thread has. */
struct mk_tile {
    uint32_t fr, f, replicate, fit_id;
    uint32_t i0, j0, rows, columns; /* first site; size, less at the lattice's end */
    uint32_t column, thread_row, thread;
};

static __device__ mk_tile mk_locate(const lg_view &v)
{
    mk_tile t;
    const uint32_t across = (v.W + TILE_COLUMNS - 1u) / TILE_COLUMNS, tile = blockIdx.x % v.parts;
    t.fr = blockIdx.x / v.parts;
    t.f = t.fr / v.R;
    t.replicate = t.fr % v.R;
    t.fit_id = lg_view_noise_fit(v, t.f);
    t.i0 = tile / across * TILE_ROWS;
    t.j0 = tile % across * TILE_COLUMNS;
    t.rows = v.H - t.i0 < TILE_ROWS ? v.H - t.i0 : (uint32_t)TILE_ROWS;
    t.columns = v.W - t.j0 < TILE_COLUMNS ? v.W - t.j0 : (uint32_t)TILE_COLUMNS;
    t.column = threadIdx.x % TILE_COLUMNS;
    t.thread_row = threadIdx.x / TILE_COLUMNS;
    t.thread = threadIdx.x;
    return t;
}

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

/* A pair of the region around a tile. */
struct mk_place {
    uint32_t site; /* its random block: pair W + j */
    uint32_t pair, j;
    uint32_t at;    /* its first row's place in the region's plane */
    uint32_t far_0; /* how far its two rows are from the tile; TILE_FAR: there is none */
    uint32_t far_1;
};

static __device__ inline uint32_t mk_far(uint32_t i, uint32_t first, uint32_t count)
{
    return i < first ? first - i : (i < first + count ? 0u : i - (first + count) + 1u);
}

/* Pair `item` of the region that reaches `steps` columns and TILE_RING pairs of rows beyond the tile. Pair X of the rows,
 * counted on round the torus, begins in row H (X / pair_rows) + 2 (X % pair_rows). */
static __device__ mk_place mk_region(const lg_view &v, const mk_tile &t, uint32_t steps, uint32_t item)
{
    const uint32_t q = item / TILE_STRIDE, c = item % TILE_STRIDE, pair_rows = (v.H + 1u) >> 1;
    const uint32_t start = (t.i0 >> 1) + 2u * pair_rows - TILE_RING, X = start + q, own = start + TILE_RING;
    mk_place p = {0, 0, 0, 0, TILE_FAR, TILE_FAR};
    if (q >= ((t.rows + 1u) >> 1) + 2u * TILE_RING || c >= t.columns + 2u * steps) return p;
    const uint32_t zero = v.H * (start / pair_rows) + 2u * (start % pair_rows),
                   row = v.H * (X / pair_rows) + 2u * (X % pair_rows) - zero,
                   own_row = v.H * (own / pair_rows) + 2u * (own % pair_rows) - zero;
    const uint32_t across = mk_far(c, steps, t.columns), down = mk_far(row, own_row, t.rows),
                   below = mk_far(row + 1u, own_row, t.rows);
    p.pair = X % pair_rows;
    p.j = (t.j0 + c + v.W * (uint32_t)TILE_STEPS - steps) % v.W;
    p.site = p.pair * v.W + p.j;
    p.at = row * TILE_STRIDE + c;
    p.far_0 = across > down ? across : down;
    if (2u * p.pair + 1u < v.H) p.far_1 = across > below ? across : below;
    return p;
}

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
        uint8_t *e = planes + (s & 1u) * (2u * TILE_REGION);
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
    for (uint32_t lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (t.thread % 32u == 0) atomicAdd(&v.error[t.fr], sum);
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

static __global__ void LG_THREADS(TILE_THREADS) mk_tile_seed(lg_view v, const uint8_t *state, float *adjoint)
{
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    if (t.thread < LG_MK_PARAMS) v.part[((size_t)blockIdx.x) * LG_MK_PARAMS + t.thread] = 0.0;
    for (uint32_t r = 2u * t.thread_row; r < t.rows && t.column < t.columns; r += 2u * TILE_THREAD_ROWS) {
        const uint32_t pair = (t.i0 + r) >> 1, j = t.j0 + t.column;
        float lam[4];
        lg_mk_seed(v, t.f, t.replicate, pair, j, true,
                   lg_mk_load(state + t.fr * 2u * (size_t)v.H * v.W, v.H, v.W, pair, j), lam);
        lg_mk_store_adjoint(adjoint, t.fr, v.H, v.W, pair, j, lam);
    }
}

/* Reactions of one step, pointwise: state and adjoint in place. record: of the statistics injected first, or -1. */
template <bool AVERAGE>
static __global__ void LG_THREADS(TILE_THREADS, AVERAGE ? 1 : 0)
    mk_tile_unreact(lg_view v, uint32_t step, uint32_t tape_slot, int record, uint8_t *state, const uint16_t *tape,
                    float *adjoint)
{
    LG_SHARED_MEMORY(memory);
    double *scratch = (double *)memory;
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    const lg_mk_fit *fit = v.mk + t.f;
    const lg_key key = lg_view_key(v);
    const uint32_t pair_rows = (v.H + 1u) >> 1;
    uint8_t *planes = state + t.fr * 2u * (size_t)v.H * v.W;
    float k_sum[3] = {0.0f, 0.0f, 0.0f};
    for (uint32_t r = 2u * t.thread_row; r < t.rows && t.column < t.columns; r += 2u * TILE_THREAD_ROWS) {
        const uint32_t pair = (t.i0 + r) >> 1, j = t.j0 + t.column;
        const uint32_t codes = tape[(((size_t)t.fr * v.segment + tape_slot) * pair_rows + pair) * v.W + j];
        uint32_t counts = lg_mk_load(planes, v.H, v.W, pair, j);
        float lam[4];
        lg_mk_load_adjoint(adjoint, t.fr, v.H, v.W, pair, j, lam);
        if (record >= 0) lg_mk_inject(v, t.fr, t.f, (uint32_t)record, counts, lam);
        lg_block gumbel = {{0, 0, 0, 0}};
        float weight[2] = {1.0f, 1.0f};
        if (AVERAGE) lg_mk_mean_weights(v, fit, t.fit_id, t.replicate, step, pair * v.W + j, codes, counts, weight);
        else if (v.estimator == LG_ESTIMATOR_gs)
            gumbel = lg_draw(key, LG_STREAM_MK_GUMBEL, t.fit_id, t.replicate, step, pair * v.W + j);
        LG_UNROLL
        for (uint32_t row = 0; row < 2u; row++)
            if (r + row < t.rows)
                lg_mk_unreact(fit, v.estimator, gumbel.w[2u * row], gumbel.w[2u * row + 1u],
                              AVERAGE ? &weight[row] : NULL, codes >> 8u * row & 255u, 16u * row, &counts,
                              &lam[2u * row], k_sum);
        lg_mk_store(planes, v.H, v.W, pair, j, counts);
        lg_mk_store_adjoint(adjoint, t.fr, v.H, v.W, pair, j, lam);
    }
    for (int i = 0; i < 3; i++) {
        const double sum = lg_block_sum((double)k_sum[i], scratch, t.thread, TILE_THREADS);
        if (t.thread == 0) v.part[(size_t)blockIdx.x * LG_MK_PARAMS + LG_MK_K1 + i] += sum;
    }
}

/* One site of the move: dL/dD, the counts before, the adjoint before. row: 0 or 1 within its pair. */
static __device__ void mk_unmove_site(const lg_view &v, const mk_tile &t, uint32_t i, uint32_t j, const mk_move *move,
                                      const uint16_t *tape, const float *from, uint8_t *planes, float *to, float *d_sum)
{
    const uint32_t up = lg_wrap(i, -1, v.H), down = lg_wrap(i, 1, v.H), left = lg_wrap(j, -1, v.W),
                   right = lg_wrap(j, 1, v.W);
    const uint32_t rows[3] = {up, i, down}, columns[3] = {left, j, right};
    uint32_t patterns = 0; /* two bits a neighbour */
    float sum[2] = {0.0f, 0.0f};
    LG_UNROLL
    for (int q = 0; q < LG_MK_DIRECTIONS; q++) {
        const uint32_t r = rows[q / 3],
                       pattern = (uint32_t)tape[(size_t)(r >> 1) * v.W + columns[q % 3]] >> 8u * (r & 1u) & 3u;
        patterns |= pattern << 2 * q;
        sum[0] += (pattern & 1u) ? move[0].w[q] : 0.0f;
        sum[1] += (pattern & 2u) ? move[1].w[q] : 0.0f;
    }
    const size_t sites = (size_t)v.H * v.W, site = (size_t)i * v.W + j;
    for (uint32_t s = 0; s < 2u; s++) {
        const float *lam = from + ((size_t)t.fr * 2u + s) * sites;
        const uint32_t q = (uint32_t)(3 * (move[s].row + 1) + move[s].column + 1);
        const uint32_t count =
            planes[s * sites + site] + (patterns >> (2u * LG_MK_STAY + s) & 1u) - (patterns >> (2u * q + s) & 1u);
        const size_t source = (size_t)lg_wrap(i, -move[s].row, v.H) * v.W + lg_wrap(j, -move[s].column, v.W);
        d_sum[s] += lam[site] * sum[s];
        planes[s * sites + site] = (uint8_t)count;
        to[((size_t)t.fr * 2u + s) * sites + site] = lam[count > 0 && count < v.capacity ? source : site];
    }
}

template <bool AVERAGE>
static __global__ void LG_THREADS(TILE_THREADS, AVERAGE ? 1 : 0)
    mk_tile_unmove(lg_view v, uint32_t step, uint32_t tape_slot, uint8_t *state, const uint16_t *tape,
                   const float *from, float *to)
{
    LG_SHARED_MEMORY(memory);
    double *scratch = (double *)memory;
    mk_move *move = (mk_move *)(scratch + TILE_THREADS);
    const mk_tile t = mk_locate(v);
    if (lg_view_skips(v, t.f)) return;
    if (t.thread < 2u)
        lg_mk_weights<AVERAGE>(v.mk + t.f, lg_view_key(v), t.fit_id, t.replicate, step, (int)t.thread, &move[t.thread]);
    __syncthreads();
    const size_t pair_sites = (size_t)((v.H + 1u) >> 1) * v.W;
    float d_sum[2] = {0.0f, 0.0f};
    for (uint32_t r = t.thread_row; r < t.rows && t.column < t.columns; r += TILE_THREAD_ROWS)
        mk_unmove_site(v, t, t.i0 + r, t.j0 + t.column, move,
                       tape + ((size_t)t.fr * v.segment + tape_slot) * pair_sites, from,
                       state + t.fr * 2u * (size_t)v.H * v.W, to, d_sum);
    for (int s = 0; s < 2; s++) {
        const double sum = lg_block_sum((double)d_sum[s], scratch, t.thread, TILE_THREADS);
        if (t.thread == 0) v.part[(size_t)blockIdx.x * LG_MK_PARAMS + LG_MK_D_A + s] += sum;
    }
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

static dim3 tile_grid(const lg_view &v)
{
    return dim3(v.F * v.R * v.parts);
}

/* Steps of the launch that begins with `step`, of `left`: up to the next checkpoint or record. */
static uint32_t tile_steps(const lg_dbatch *b, const lg_view &v, uint32_t step, uint32_t left, uint32_t record,
                           bool checkpoint)
{
    uint32_t steps = v.H % 2u == 0 ? (uint32_t)TILE_STEPS : (uint32_t)TILE_RING;
    if (steps > left) steps = left;
    if (checkpoint && steps > v.segment - step % v.segment) steps = v.segment - step % v.segment;
    if (record < v.records && steps > b->job->record[record] - step) steps = b->job->record[record] - step;
    return steps;
}

/* Steps step0 .. step0 + steps - 1 from one buffer to the other so that the last launch ends in `end`. */
static void forward_tiles(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                          uint8_t *end, uint8_t *other, uint16_t *tape, uint8_t *checkpoint)
{
    const size_t shared = sizeof(mk_tile_head) + 2 * 2 * TILE_REGION, bytes = (size_t)v.F * v.R * b->layout.sample;
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
        LG_LAUNCH((v.scores ? mk_tile_steps<true> : mk_tile_steps<false>), tile_grid(v), dim3(TILE_THREADS), shared,
                  b->stream, v, step, some, step - step0, from, to, tape);
        from = to;
        step += some;
        if (checkpoint && step % v.segment == 0 && step < v.steps)
            cudaMemcpyAsync(checkpoint + (step / v.segment - 1) * bytes, to, bytes, cudaMemcpyDeviceToDevice,
                            b->stream);
        if (record < v.records && b->job->record[record] == step) {
            cudaMemsetAsync(v.sums, 0, (size_t)v.F * v.R * 4 * sizeof(lg_u64), b->stream);
            LG_LAUNCH(mk_tile_sums, tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v, to);
            LG_LAUNCH(mk_tile_statistics, dim3((v.F * v.R + 255) / 256), dim3(256), 0, b->stream, v, record);
            record++;
        }
    }
}

static void start(lg_dbatch *b, const lg_view &v)
{
    LG_LAUNCH(mk_tile_start, tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v, v.state);
}

/* What the kernels between two records of the task formation see. */
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
    while (record < b->job->records && b->job->record[record] <= step) record++;
    return record;
}

static void forward(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, bool keep)
{
    const uint32_t end = step0 + steps;
    lg_view w = range_view(v);
    w.scores = keep && v.scores;
    while ((v.formation || w.scores) && step0 < end) {
        const uint32_t record = record_after(b, step0);
        if (record == v.records || b->job->record[record] > end) break;
        const uint32_t first = step0;
        step0 = b->job->record[record];
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
    LG_LAUNCH(mk_tile_error, tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v);
}

/* Walks `state` (after the last of the steps) and the adjoint in v.adjoint back; ends with the adjoint in v.adjoint. */
static void backward_tiles(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, uint8_t *state,
                           const uint16_t *tape)
{
    const size_t scratch = TILE_THREADS * sizeof(double);
    float *from = v.adjoint, *to = v.adjoint2;
    uint32_t record = v.records;
    while (record > 0 && b->job->record[record - 1] > step0 + steps) record--;
    for (uint32_t s = steps; s-- > 0;) {
        const bool injected = record > 0 && b->job->record[record - 1] == step0 + s + 1;
        if (injected) record--;
        LG_LAUNCH((v.average ? mk_tile_unreact<true> : mk_tile_unreact<false>), tile_grid(v), dim3(TILE_THREADS),
                  scratch, b->stream, v, step0 + s, s, injected ? (int)record : -1, state, tape, from);
        LG_LAUNCH((v.average ? mk_tile_unmove<true> : mk_tile_unmove<false>), tile_grid(v), dim3(TILE_THREADS),
                  scratch + 2 * sizeof(mk_move), b->stream, v, step0 + s, s, state, tape, from, to);
        float *swap = from;
        from = to;
        to = swap;
    }
    if (from != v.adjoint)
        cudaMemcpyAsync(v.adjoint, from, b->layout.bytes[LG_BUF_ADJOINT], cudaMemcpyDeviceToDevice, b->stream);
}

/* Task formation, the steps of one segment: from record to record. The tiles walk `state` back as they go, the blocks start
 * from the states kept at the records. */
static void backward_records(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, uint8_t *state,
                             const uint16_t *tape, bool block)
{
    const lg_view w = range_view(v);
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample;
    for (uint32_t end = step0 + steps; end > step0;) {
        const uint32_t below = record_after(b, end - 1); /* records before `end` */
        const bool recorded = below < v.records && b->job->record[below] == end;
        const uint32_t first = below > 0 && b->job->record[below - 1] > step0 ? b->job->record[below - 1] : step0;
        const uint16_t *part = tape + (first - step0) * tape_step(v);
        if (recorded) lg_mk_formation_inject(b, v, below);
        if (block) lg_mk_backward_block(b, w, first, end - first, recorded ? v.snapshot + below * bytes : state, part);
        else backward_tiles(b, w, first, end - first, state, part);
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
    }
    const bool block_forward = lg_mk_blocks(b->job, b->device, false) > 0;
    const bool block = lg_mk_blocks(b->job, b->device, true) > 0;
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample;
    uint16_t *tape = (uint16_t *)v.tape;
    for (uint32_t segment = (v.steps + v.segment - 1) / v.segment; segment-- > 0;) {
        const uint32_t step0 = segment * v.segment, steps = v.steps - step0 < v.segment ? v.steps - step0 : v.segment;
        uint8_t *state = v.work ? v.work : v.state;
        if (v.segment < v.steps) { /* makes the segment's tape again */
            const uint8_t *from = segment > 0 ? v.checkpoint + (segment - 1) * bytes : NULL;
            const lg_view w = range_view(v);
            if (block_forward) lg_mk_forward_block(b, w, step0, steps, from, state, tape, NULL);
            else forward_tiles(b, w, step0, steps, from, state, v.other, tape, NULL);
        } else if (!block) {
            cudaMemcpyAsync(state, v.state, bytes, cudaMemcpyDeviceToDevice, b->stream);
        }
        if (v.formation) {
            backward_records(b, v, step0, steps, state, tape, block);
        } else if (block) {
            lg_mk_backward_block(b, v, step0, steps, state, tape);
        } else {
            if (step0 + steps == v.steps)
                LG_LAUNCH(mk_tile_seed, tile_grid(v), dim3(TILE_THREADS), 0, b->stream, v, state, v.adjoint);
            backward_tiles(b, v, step0, steps, state, tape);
        }
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
    l->launches = 8 + 2 * segments + (block ? 0 : job->steps) + (block_back ? 0 : 2 * job->steps);
    l->parts = (uint32_t)(across * down);
    l->grad_parts = block_back ? 1 : l->parts;
    if (scores) {
        l->grad_parts = block ? forward_blocks : l->parts;
        l->launches = 8 + 2 * lg_cuda_moments(job) + (block ? 0 : job->steps);
    }
    l->bytes[LG_BUF_CONSTANTS] = job->fits * sizeof(lg_mk_fit);
    l->bytes[LG_BUF_STATE] = FR * l->sample;
    l->bytes[LG_BUF_OTHER] = block ? 0 : FR * l->sample;
    l->bytes[LG_BUF_SUMS] = block ? 0 : FR * 4 * sizeof(lg_u64);
    l->bytes[LG_BUF_ERROR] = FR * sizeof(lg_u64);
    l->bytes[LG_BUF_REPLICATE_STAT] = FR * lg_job_statistics(job) * sizeof(double);
    const bool formation = job->task == LG_TASK_formation;
    if (formation) lg_mk_formation_layout(job, l);
    if (formation) l->launches += 5 * job->records;
    if (!gradients) return;
    l->bytes[LG_BUF_PART] = FR * l->grad_parts * LG_MK_PARAMS * sizeof(double);
    if (scores) {
        l->bytes[LG_BUF_SCORE] = FR * lg_cuda_moments(job) * LG_MK_PARAMS * sizeof(double);
        return;
    }
    l->bytes[LG_BUF_TAPE] = FR * l->segment * ((job->height + 1) / 2) * job->width * sizeof(uint16_t);
    l->bytes[LG_BUF_CHECKPOINT] = FR * l->sample * (segments - 1);
    l->bytes[LG_BUF_WORK] = segments > 1 || !block_back ? FR * l->sample : 0;
    l->bytes[LG_BUF_ADJOINT] = segments > 1 || !block_back || formation ? FR * l->sample * sizeof(float) : 0;
    l->bytes[LG_BUF_ADJOINT2] = block_back ? 0 : FR * l->sample * sizeof(float);
}

const lg_cuda_model lg_cuda_mk = {layout, start, forward, error, backward};
