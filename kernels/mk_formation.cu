/* Pattern statistics of MK on the device: the task `formation`. Mathematics and order of sums: rules/spectrum.h.
 *
 * The steps between two records run as the other tasks' do (mk.cu, mk_large.cu). At a record the launchers keep the states
 * and call `record`, which writes mean, log(1 + var) and log(1 + S) of 12 bins of A and of B for each replicate; on the way
 * back `inject` adds their adjoints to v.adjoint, with the transforms made again from the states kept.
 *
 * Mapping: a block per replicate. A thread has one row and column frequency, then one wave vector, then one bin, with the
 * intermediate sums in global memory (v.spectrum; 64 x 64: 37 KB a replicate and species, and it stays in the cache).
 * Cost: about 4 x 10^5 multiplications in double precision a species and record; a step has 8,192 Philox multiplications
 * for each of 4,096 sites, so a record weighs as much as a few steps and records are hundreds of steps apart.
 * Determinism: every sum is added by one thread in the order of the host's code. */
#include "mk.cuh"

enum { SPECTRUM_THREADS = 256 };

static __device__ inline lg_complex *spectrum_of(const lg_view &v, uint32_t fr, uint32_t species)
{
    const lg_spectrum_shape s = lg_spectrum_of(v.H, v.W);
    return v.spectrum + ((size_t)fr * 2u + species) * ((size_t)s.H * s.nx + lg_spectrum_vectors(&s));
}

/* n_k of both species of a block's replicate into its part of v.spectrum. */
static __device__ void spectrum_transform(const lg_view &v, const lg_spectrum_shape &s, uint32_t fr,
                                          const uint8_t *state)
{
    const uint32_t rows = s.H * s.nx, vectors = lg_spectrum_vectors(&s);
    const size_t sites = (size_t)s.H * s.W;
    for (uint32_t i = threadIdx.x; i < 2u * rows; i += blockDim.x) {
        const uint32_t species = i / rows, at = i % rows;
        const uint8_t *row = state + species * sites + (size_t)(at / s.nx) * s.W;
        spectrum_of(v, fr, species)[at] = lg_spectrum_row(&s, v.wave_w, row, at % s.nx);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < 2u * vectors; i += blockDim.x) {
        const uint32_t species = i / vectors, k = i % vectors;
        lg_complex *work = spectrum_of(v, fr, species);
        if (v.wave_bin[k] >= 0) work[rows + k] = lg_spectrum_column(&s, v.wave_h, work, k);
    }
    __syncthreads();
}

/* Mean of S over a bin; *count: its wave vectors. */
static __device__ double spectrum_bin(const lg_view &v, const lg_spectrum_shape &s, uint32_t fr, uint32_t species,
                                      int bin, uint32_t *count)
{
    const lg_complex *vector = spectrum_of(v, fr, species) + (size_t)s.H * s.nx;
    const double sites = (double)s.H * s.W;
    double sum = 0.0;
    *count = 0;
    for (uint32_t k = 0; k < lg_spectrum_vectors(&s); k++) {
        if (v.wave_bin[k] != bin) continue;
        sum += (vector[k].re * vector[k].re + vector[k].im * vector[k].im) / sites;
        ++*count;
    }
    return *count ? sum / *count : 0.0;
}

/* Means and variances of the block's replicate in total[0..3] as in lg_mk_statistics; all threads wait. */
static __device__ void spectrum_moments(const lg_view &v, const uint8_t *state, lg_u64 *total, double *moments)
{
    const size_t sites = (size_t)v.H * v.W;
    lg_u64 sum[4] = {0, 0, 0, 0};
    if (threadIdx.x < 4u) total[threadIdx.x] = 0;
    __syncthreads();
    for (size_t i = threadIdx.x; i < sites; i += blockDim.x) {
        const lg_u64 n = state[i], m = state[sites + i];
        sum[0] += n;
        sum[1] += n * n;
        sum[2] += m;
        sum[3] += m * m;
    }
    for (int i = 0; i < 4; i++) atomicAdd(&total[i], sum[i]);
    __syncthreads();
    lg_mk_statistics(total, sites, moments);
}

static __global__ void LG_THREADS(SPECTRUM_THREADS) mk_formation_record(lg_view v, uint32_t record)
{
    LG_SHARED_MEMORY(memory);
    const uint32_t fr = blockIdx.x;
    if (lg_view_skips(v, fr / v.R)) return;
    const lg_spectrum_shape s = lg_spectrum_of(v.H, v.W);
    const uint8_t *state = v.snapshot + ((size_t)record * gridDim.x + fr) * 2u * v.H * v.W;
    double *out = v.replicate_stat + ((size_t)fr * v.records + record) * v.statistics, moments[4];
    spectrum_moments(v, state, (lg_u64 *)memory, moments);
    spectrum_transform(v, s, fr, state);
    if (threadIdx.x < 4u) out[threadIdx.x] = threadIdx.x < 2u ? moments[threadIdx.x] : log1p(moments[threadIdx.x]);
    if (threadIdx.x < 2u * LG_SPECTRUM_BINS) {
        uint32_t count;
        const uint32_t species = threadIdx.x / LG_SPECTRUM_BINS, bin = threadIdx.x % LG_SPECTRUM_BINS;
        out[4u + threadIdx.x] = log1p(spectrum_bin(v, s, fr, species, (int)bin, &count));
    }
}

/* Adds dL/dX of the statistics of a record to v.adjoint. */
static __global__ void LG_THREADS(SPECTRUM_THREADS) mk_formation_inject(lg_view v, uint32_t record)
{
    LG_SHARED_MEMORY(memory);
    lg_u64 *total = (lg_u64 *)memory;
    double *gain = (double *)(total + 4); /* [2 x bins] */
    const uint32_t fr = blockIdx.x, f = fr / v.R;
    if (lg_view_skips(v, f)) return;
    const lg_spectrum_shape s = lg_spectrum_of(v.H, v.W);
    const uint32_t rows = s.H * s.nx, vectors = lg_spectrum_vectors(&s);
    const size_t sites = (size_t)s.H * s.W;
    const uint8_t *state = v.snapshot + ((size_t)record * gridDim.x + fr) * 2u * sites;
    const double *adjoint = v.stat_adjoint + ((size_t)f * v.records + record) * v.statistics;
    double moments[4];
    spectrum_moments(v, state, total, moments);
    spectrum_transform(v, s, fr, state);
    if (threadIdx.x < 2u * LG_SPECTRUM_BINS) {
        uint32_t count;
        const uint32_t species = threadIdx.x / LG_SPECTRUM_BINS, bin = threadIdx.x % LG_SPECTRUM_BINS;
        const double mean = spectrum_bin(v, s, fr, species, (int)bin, &count);
        gain[threadIdx.x] =
            count ? 2.0 * (adjoint[4u + threadIdx.x] / v.R) / ((1.0 + mean) * count * (double)sites) : 0.0;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < 2u * vectors; i += blockDim.x) {
        const uint32_t species = i / vectors, k = i % vectors;
        lg_complex *c = spectrum_of(v, fr, species) + rows + k;
        const int bin = v.wave_bin[k];
        const double g = bin >= 0 ? gain[species * LG_SPECTRUM_BINS + (uint32_t)bin] : 0.0;
        c->re = g != 0.0 ? g * c->re : 0.0;
        c->im = g != 0.0 ? g * c->im : 0.0;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < 2u * rows; i += blockDim.x) {
        lg_complex *work = spectrum_of(v, fr, i / rows);
        work[i % rows] = lg_spectrum_column_back(&s, v.wave_h, work + rows, i % rows / s.nx, i % s.nx);
    }
    __syncthreads();
    for (size_t i = threadIdx.x; i < 2u * sites; i += blockDim.x) {
        const uint32_t species = i >= sites, site = (uint32_t)(i - species * sites);
        const double slope = 2.0 * (adjoint[2u + species] / v.R) / ((1.0 + moments[2u + species]) * (double)sites),
                     base = adjoint[species] / v.R / (double)sites - slope * moments[species];
        const lg_complex *row = spectrum_of(v, fr, species) + (size_t)(site / s.W) * s.nx;
        v.adjoint[(size_t)fr * 2u * sites + i] +=
            (float)(base + slope * state[i] + lg_spectrum_row_back(&s, v.wave_w, row, site % s.W));
    }
}

/* The same for a loss of the caller's own, whose adjoints are there already. */
static __global__ void LG_THREADS(SPECTRUM_THREADS) mk_own_inject(lg_view v, uint32_t record)
{
    const uint32_t fr = blockIdx.x;
    if (lg_view_skips(v, fr / v.R)) return;
    const size_t values = (size_t)2u * v.H * v.W;
    const float *from = v.own_adjoint + ((size_t)record * gridDim.x + fr) * values;
    for (size_t i = threadIdx.x; i < values; i += blockDim.x) v.adjoint[fr * values + i] += from[i];
}

/* ---- launchers -------------------------------------------------------------------------------------------------- */

void lg_mk_formation_layout(const lg_job *job, lg_layout *l)
{
    const lg_spectrum_shape s = lg_spectrum_of(job->height, job->width);
    const size_t FR = (size_t)job->fits * job->replicates;
    l->bytes[LG_BUF_WAVES] = (job->height + job->width) * sizeof(lg_complex) + lg_spectrum_vectors(&s);
    l->bytes[LG_BUF_SPECTRUM] = FR * 2 * ((size_t)s.H * s.nx + lg_spectrum_vectors(&s)) * sizeof(lg_complex);
    l->bytes[LG_BUF_SNAPSHOT] = FR * job->records * l->sample;
}

/* The tables as one piece: exp of the rows' and of the columns' angles, then the bins. */
bool lg_mk_formation_tables(const lg_job *job, uint8_t *tables)
{
    lg_spectrum spectrum;
    if (!lg_spectrum_open(&spectrum, job->height, job->width)) return false;
    const size_t h = job->height * sizeof(lg_complex), w = job->width * sizeof(lg_complex);
    memcpy(tables, spectrum.wave_h, h);
    memcpy(tables + h, spectrum.wave_w, w);
    memcpy(tables + h + w, spectrum.bin, lg_spectrum_vectors(&spectrum.shape));
    lg_spectrum_close(&spectrum);
    return true;
}

void lg_mk_formation_record(lg_dbatch *b, const lg_view &v, uint32_t record)
{
    const size_t bytes = (size_t)v.F * v.R * b->layout.sample;
    cudaMemcpyAsync(v.snapshot + record * bytes, v.state, bytes, cudaMemcpyDeviceToDevice, b->stream);
    if (v.own) return;
    LG_LAUNCH(mk_formation_record, dim3(v.F * v.R), dim3(SPECTRUM_THREADS), 4 * sizeof(lg_u64), b->stream, v, record);
}

void lg_mk_formation_inject(lg_dbatch *b, const lg_view &v, uint32_t record)
{
    const size_t shared = 4 * sizeof(lg_u64) + 2 * LG_SPECTRUM_BINS * sizeof(double);
    if (v.own) {
        LG_LAUNCH(mk_own_inject, dim3(v.F * v.R), dim3(SPECTRUM_THREADS), 0, b->stream, v, record);
        return;
    }
    LG_LAUNCH(mk_formation_inject, dim3(v.F * v.R), dim3(SPECTRUM_THREADS), shared, b->stream, v, record);
}
