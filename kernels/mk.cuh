/* What mk.cu (a block per lattice) and mk_large.cu (many blocks per lattice) share: the arithmetic of a pair of sites,
 * one above the other. Its counts are one register: n, m of row 2p in bytes 0, 1, those of row 2p + 1 in bytes 2, 3. */
#ifndef LG_KERNELS_MK_CUH
#define LG_KERNELS_MK_CUH

#include "device.cuh"

/* A species' move in one step: direction and the weights of dL/dD. */
struct mk_move {
    int row, column; /* T(E)(i, j) = E(i + row, j + column) */
    float w[LG_MK_DIRECTIONS];
    lg_mk_direction_draw draw; /* kept here because it is indexed by the direction that was drawn */
};

/* The rows of a lattice that a block has, and where the blocks above and below keep the rows that border on them. A block
 * that has a whole lattice is its own neighbour: that is the torus. */
struct mk_band {
    uint32_t rank, first, end; /* place in the cluster; pair rows */
    uint32_t rows, above_rows; /* rows of sites: its own, and of the block above */
    unsigned char *memory, *above, *below;
};

/* Blocks a lattice is spread over in mk.cu; 0: it is too large for that. */
uint32_t lg_mk_blocks(const lg_job *job, const lg_device *device, bool backward);
size_t lg_mk_carry_bytes(const lg_job *job, const lg_device *device); /* v.carry */
void lg_mk_forward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *from,
                         uint8_t *to, uint16_t *tape, uint8_t *checkpoint);
void lg_mk_backward_block(lg_dbatch *b, const lg_view &v, uint32_t step0, uint32_t steps, const uint8_t *state,
                          const uint16_t *tape);

/* mk_formation.cu, at step boundaries: keeps the states after a record's step and computes their statistics; adds the record's
 * adjoints to v.adjoint. */
void lg_mk_formation_layout(const lg_job *job, lg_layout *l);
void lg_mk_formation_record(lg_dbatch *b, const lg_view &v, uint32_t record);
void lg_mk_formation_inject(lg_dbatch *b, const lg_view &v, uint32_t record);

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static __device__ inline void lg_mk_copy_fit(lg_mk_fit *to, const lg_mk_fit *from, uint32_t thread, uint32_t threads)
{
    static_assert(sizeof(lg_mk_fit) == 10 * sizeof(uint32_t) + 3 * sizeof(double) + 46 * sizeof(uint32_t),
                  "copied by 32-bit words, each of which has a name");
    lg_copy_words(to, from, thread, threads);
}

static __device__ inline uint32_t lg_mk_load(const uint8_t *state, uint32_t H, uint32_t W, uint32_t pair, uint32_t j)
{
    const uint8_t *n = state + (size_t)2u * pair * W + j, *m = n + (size_t)H * W;
    const uint32_t low = (uint32_t)n[0] | (uint32_t)m[0] << 8;
    return 2u * pair + 1u < H ? low | (uint32_t)n[W] << 16 | (uint32_t)m[W] << 24 : low;
}

static __device__ inline void lg_mk_store(uint8_t *state, uint32_t H, uint32_t W, uint32_t pair, uint32_t j,
                                          uint32_t counts)
{
    uint8_t *n = state + (size_t)2u * pair * W + j, *m = n + (size_t)H * W;
    n[0] = (uint8_t)counts;
    m[0] = (uint8_t)(counts >> 8);
    if (2u * pair + 1u < H) {
        n[W] = (uint8_t)(counts >> 16);
        m[W] = (uint8_t)(counts >> 24);
    }
}

/* lam: A and B of row 2p, then of row 2p + 1; planes [fr][2][H][W]. */
static __device__ inline void lg_mk_store_adjoint(float *planes, uint32_t fr, uint32_t H, uint32_t W, uint32_t pair,
                                                  uint32_t j, const float *lam)
{
    const size_t sites = (size_t)H * W;
    float *a = planes + (size_t)fr * 2u * sites + (size_t)2u * pair * W + j, *b = a + sites;
    a[0] = lam[0];
    b[0] = lam[1];
    if (2u * pair + 1u < H) {
        a[W] = lam[2];
        b[W] = lam[3];
    }
}

static __device__ inline void lg_mk_load_adjoint(const float *planes, uint32_t fr, uint32_t H, uint32_t W,
                                                 uint32_t pair, uint32_t j, float *lam)
{
    const size_t sites = (size_t)H * W;
    const float *a = planes + (size_t)fr * 2u * sites + (size_t)2u * pair * W + j, *b = a + sites;
    lam[0] = a[0];
    lam[1] = b[0];
    lam[2] = 2u * pair + 1u < H ? a[W] : 0.0f;
    lam[3] = 2u * pair + 1u < H ? b[W] : 0.0f;
}

/* `blocks` blocks share the pair rows of a lattice as evenly as they can; memory: the block's shared memory. */
template <bool CLUSTER> static __device__ inline mk_band lg_mk_band(uint32_t H, uint32_t blocks, unsigned char *memory)
{
    const uint32_t pair_rows = (H + 1u) >> 1;
    if (!CLUSTER) return {0u, 0u, pair_rows, H, H, memory, memory, memory};
    const uint32_t rank = lg_blocks_rank(), up = rank == 0 ? blocks - 1u : rank - 1u,
                   down = rank + 1u == blocks ? 0u : rank + 1u;
    const uint32_t first = pair_rows * rank / blocks, end = pair_rows * (rank + 1u) / blocks,
                   up_first = pair_rows * up / blocks, up_end = pair_rows * (up + 1u) / blocks;
    return {rank,
            first,
            end,
            (2u * end < H ? 2u * end : H) - 2u * first,
            (2u * up_end < H ? 2u * up_end : H) - 2u * up_first,
            memory,
            lg_blocks_map(memory, up),
            lg_blocks_map(memory, down)};
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* Bits: E_A, E_B of row 2p, E_A, E_B of row 2p + 1. */
static __device__ inline uint32_t lg_mk_excite_pair(const lg_mk_fit *fit, lg_block b, uint32_t counts)
{
    const uint32_t N = fit->capacity;
    return lg_mk_excited(b.w[0] & 0xffffu, counts & 255u, N) | lg_mk_excited(b.w[0] >> 16, counts >> 8 & 255u, N) << 1 |
           lg_mk_excited(b.w[2] & 0xffffu, counts >> 16 & 255u, N) << 2 |
           lg_mk_excited(b.w[2] >> 16, counts >> 24, N) << 3;
}

/* Moves and reacts the site whose counts start at bit `shift`; returns its tape byte. e points at the site's own
 * excitation; the plane of A is read at offset to_a, that of B at to_b. */
static __device__ inline uint32_t lg_mk_move_react(const lg_mk_fit *fit, uint32_t word, const uint8_t *e, int to_a,
                                                   int to_b, uint32_t shift, uint32_t *counts)
{
    const uint32_t own = e[0];
    uint32_t n = (*counts >> shift & 255u) - (own & 1u) + (e[to_a] & 1u);
    uint32_t m = (*counts >> (shift + 8u) & 255u) - (own >> 1) + ((uint32_t)e[to_b] >> 1);
    const uint32_t channel = lg_mk_channel(word);
    const uint32_t fired = lg_mk_fires(fit, channel, lg_mk_u31(word), lg_mk_count(channel, n, m, fit->capacity));
    const uint32_t delta = (channel & 1u) ? 0u - fired : fired;
    if (channel < 4u) n += delta;
    else m += delta;
    *counts = (*counts & ~(0xffffu << shift)) | (n | m << 8) << shift;
    return own | channel << LG_MK_TAPE_CHANNEL | fired << 5;
}

static __device__ inline void lg_mk_add_counts(uint32_t counts, uint32_t *sum)
{
    for (uint32_t shift = 0; shift < 32u; shift += 16u) {
        const uint32_t n = counts >> shift & 255u, m = counts >> (shift + 8u) & 255u;
        sum[0] += n;
        sum[1] += n * n;
        sum[2] += m;
        sum[3] += m * m;
    }
}

/* Sums of n, n^2, m, m^2 to mean A, mean B, var A, var B (population variance: (sites sum n^2 - (sum n)^2) / sites^2,
 * with the numerator exact). */
static __device__ inline void lg_mk_statistics(const lg_u64 *sum, size_t sites, double *out)
{
    const double n = (double)sites, squared = n * n;
    const lg_u64 a = sum[0], a2 = sum[1], b = sum[2], b2 = sum[3];
    out[0] = (double)a / n;
    out[1] = (double)b / n;
    out[2] = (double)(sites * a2 - a * a) / squared;
    out[3] = (double)(sites * b2 - b * b) / squared;
}

/* Method score: adds d log P / dk of the reaction of the site whose counts after it start at bit `shift`. */
static __device__ inline void lg_mk_add_score(const lg_mk_fit *fit, uint32_t code, uint32_t shift, uint32_t counts,
                                              float *k_sum)
{
    const uint32_t channel = code >> LG_MK_TAPE_CHANNEL & 7u, fired = code >> 5, g = channel >> 1;
    counts -= ((channel & 1u) ? 0u - fired : fired) << (channel > 3u ? shift + 8u : shift);
    const uint32_t count = lg_mk_count(channel, counts >> shift & 255u, counts >> (shift + 8u) & 255u, fit->capacity);
    const float s = lg_mk_reaction_score(fit->unit_rate[g], fit->rate[g], (float)count, (int)fired);
    k_sum[0] += g == 0u ? s : 0.0f;
    k_sum[1] += g == 1u ? s : 0.0f;
    k_sum[2] += g == 2u ? s : 0.0f;
}

/* The sums of a launch's steps over the block's threads into the block's slot of v.part; the run's first launch begins it. */
static __device__ inline void lg_mk_write_score(const lg_view &v, size_t slot, bool first, const double *sum,
                                                double *scratch, uint32_t thread, uint32_t threads)
{
    double *part = v.part + slot * LG_MK_PARAMS + LG_MK_K1;
    for (int i = 0; i < 3; i++) {
        const double total = lg_block_sum(sum[i], scratch, thread, threads);
        if (thread == 0) part[i] = first ? total : part[i] + total;
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* AVERAGE: over the draws of the Gumbel noise (estimator gr). */
template <bool AVERAGE>
static __device__ inline void lg_mk_weights(const lg_mk_fit *fit, lg_key key, uint32_t fit_id, uint32_t replicate,
                                            uint32_t step, int species, mk_move *move)
{
    if (AVERAGE) {
        lg_mk_direction_mean(fit, key, fit_id, replicate, step, species, &move->draw, move->w);
    } else {
        move->draw = lg_mk_draw_direction_soft(fit, key, fit_id, replicate, step, species);
        lg_mk_direction_weights(fit, species, &move->draw, move->w);
    }
    move->row = lg_mk_row_offset(move->draw.q);
    move->column = lg_mk_column_offset(move->draw.q);
}

/* dy/dp of the reactions of a pair of sites, counts those after them: 1 for ste, else the mean over the draws of the noise. */
static __device__ inline void lg_mk_mean_weights(const lg_view &v, const lg_mk_fit *fit, uint32_t fit_id,
                                                 uint32_t replicate, uint32_t step, uint32_t site, uint32_t codes,
                                                 uint32_t counts, float *weight)
{
    if (fit->reaction_draws == 0) return;
    float p[2], q[2];
    LG_UNROLL
    for (uint32_t row = 0; row < 2u; row++) {
        const uint32_t code = codes >> 8u * row & 255u, shift = 16u * row, channel = code >> LG_MK_TAPE_CHANNEL & 7u,
                       fired = code >> 5, g = channel >> 1;
        counts -= ((channel & 1u) ? 0u - fired : fired) << (channel > 3u ? shift + 8u : shift);
        const float count =
            (float)lg_mk_count(channel, counts >> shift & 255u, counts >> (shift + 8u) & 255u, fit->capacity);
        p[row] = fit->rate[g] * count;
        q[row] = (float)(1.0 - fit->exact[g] * (double)count);
        weight[row] = 0.0f;
    }
    LG_ROLLED
    for (uint32_t k = 0; k < fit->reaction_draws; k++) {
        const lg_block b = lg_draw(v.redraw[k], LG_STREAM_MK_GUMBEL, fit_id, replicate, step, site);
        LG_UNROLL
        for (uint32_t row = 0; row < 2u; row++)
            weight[row] +=
                lg_gs_weight(p[row], q[row], (int)(codes >> (8u * row + 5u) & 1u), lg_exponential(b.w[2u * row]),
                             lg_exponential(b.w[2u * row + 1u]), fit->inv_tau);
    }
    for (uint32_t row = 0; row < 2u; row++) weight[row] /= (float)fit->reaction_draws;
}

/* The adjoint a segment starts from: of the loss after the last step, else what the later segment left. */
static __device__ inline void lg_mk_seed(const lg_view &v, uint32_t f, uint32_t replicate, uint32_t pair, uint32_t j,
                                         bool last, uint32_t counts, float *lam)
{
    if (!last) {
        lg_mk_load_adjoint(v.adjoint, f * v.R + replicate, v.H, v.W, pair, j, lam);
        return;
    }
    for (int i = 0; i < 4; i++) lam[i] = 0.0f;
    if (!v.target) return;
    /* the pair is walked to and not looked up: mk_backward is at its limit of registers, and spilled (nvcc 13.0, sm_80) */
    const size_t index = v.transition ? lg_pool_row(true, v.seed, v.clock->iteration + v.offset, v.R, replicate, v.pool,
                                                    v.resample ? v.resample + (size_t)f * v.pool : NULL)
                                      : 0u;
    const uint32_t wanted = lg_mk_load(v.target + index * 2u * v.H * v.W, v.H, v.W, pair, j);
    const double slope = 2.0 * v.slope[f];
    for (uint32_t i = 0; i < 4u; i++)
        lam[i] = (float)(slope * (double)((int)(counts >> 8u * i & 255u) - (int)(wanted >> 8u * i & 255u)));
}

/* Adds dL/dX of the statistics recorded after this step: dmean/dX = 1 / sites, dvar/dX = 2 (X - mean) / sites. */
static __device__ inline void lg_mk_inject(const lg_view &v, uint32_t fr, uint32_t f, uint32_t record, uint32_t counts,
                                           float *lam)
{
    const double *adjoint = v.stat_adjoint + ((size_t)f * v.records + record) * 4u;
    const double *stat = v.replicate_stat + ((size_t)fr * v.records + record) * 4u;
    const double scale = 1.0 / ((double)v.R * v.H * v.W);
    for (uint32_t i = 0; i < 4u; i++) {
        const uint32_t s = i & 1u;
        const double x = (double)(counts >> 8u * i & 255u);
        lam[i] += (float)(scale * (adjoint[s] + 2.0 * adjoint[2u + s] * (x - stat[s])));
    }
}

/* Undoes the reaction of the site whose counts start at bit `shift`, adds to dL/dk and carries its adjoint lam[2] (A,
 * B) to the state before. weight: dy/dp, or NULL; then g0, g1 are the Gumbel words of the site (estimator gs). */
static __device__ inline void lg_mk_unreact(const lg_mk_fit *fit, lg_estimator estimator, uint32_t g0, uint32_t g1,
                                            const float *weight, uint32_t code, uint32_t shift, uint32_t *counts,
                                            float *lam, float *k_sum)
{
    const uint32_t channel = code >> LG_MK_TAPE_CHANNEL & 7u, fired = code >> 5, g = channel >> 1;
    const uint32_t delta = (channel & 1u) ? 0u - fired : fired;
    const bool of_b = channel > 3u;
    *counts -= delta << (of_b ? shift + 8u : shift);
    float count, dn, dm;
    lg_mk_count_gradient(channel, (float)(*counts >> shift & 255u), (float)(*counts >> (shift + 8u) & 255u),
                         (float)fit->capacity, &count, &dn, &dm);
    float l = of_b ? lam[1] : lam[0];
    if (channel & 1u) l = -l;
    if (weight) l *= *weight;
    else if (estimator == LG_ESTIMATOR_gs)
        l *= lg_gs_weight(fit->rate[g] * count, (float)(1.0 - fit->exact[g] * (double)count), (int)fired,
                          lg_exponential(g0), lg_exponential(g1), fit->inv_tau);
    const float dk = l * count * fit->unit_rate[g];
    k_sum[0] += g == 0u ? dk : 0.0f;
    k_sum[1] += g == 1u ? dk : 0.0f;
    k_sum[2] += g == 2u ? dk : 0.0f;
    lam[0] += l * fit->rate[g] * dn;
    lam[1] += l * fit->rate[g] * dm;
}

#endif
