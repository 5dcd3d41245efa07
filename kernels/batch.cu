/* The CUDA backend's batch: memory plan, allocation, parameters, start states. run.cu runs and reads it.
 *
 * The layout of a batch is a size for each of its buffers. A plan adds them up; creation allocates them. Where the
 * whole tape does not fit, the tape of a segment of steps is kept and states are stored every segment: the largest
 * segment that fits is taken, since one more forward pass is the price of any. */
#include "device.cuh"

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static const lg_cuda_model *model_of(const lg_job *job)
{
    switch (job->model->id) {
    case LG_MODEL_SI: return &lg_cuda_si;
    case LG_MODEL_PRW: return &lg_cuda_prw;
    default: return &lg_cuda_mk;
    }
}

static size_t pool_bytes(const lg_job *job, const lg_layout *l, bool target)
{
    if (!job->model->species || (target && !job->target)) return 0;
    return (target && job->task != LG_TASK_transition ? 1 : job->pool) * l->sample;
}

/* Trace rows that fit into 64 MiB, and their transition pairs into as much, at most 1024. */
size_t lg_cuda_rows(const lg_job *job)
{
    const size_t row = (size_t)job->fits * ((size_t)job->model->params + 3) * sizeof(double),
                 pairs = job->task == LG_TASK_transition ? job->replicates * sizeof(uint32_t) : 0,
                 fit = ((size_t)64 << 20) / (row > pairs ? row : pairs);
    const size_t least = LG_GRAPH_ITERATIONS;
    return fit > 1024 ? 1024 : (fit < least ? least : fit);
}

/* Is the Gumbel noise of some draw drawn several times? SI has no draws among several classes. */
static bool averages(const lg_job *job)
{
    return job->method == LG_GRADIENT_pathwise &&
           (job->binary == LG_ESTIMATOR_gr || (job->categorical == LG_ESTIMATOR_gr && job->model->id != LG_MODEL_SI));
}

static size_t make_layout(const lg_job *job, const lg_device *device, bool gradients, uint32_t segment, lg_layout *l)
{
    const size_t F = job->fits, P = (size_t)job->model->params, K = lg_job_statistics(job);
    memset(l, 0, sizeof *l);
    l->segment = segment;
    model_of(job)->layout(job, device, gradients, l);
    l->bytes[LG_BUF_CLOCK] = sizeof(lg_clock);
    l->bytes[LG_BUF_NOISE_FIT] = job->noise_fit ? F * sizeof(uint32_t) : 0;
    l->bytes[LG_BUF_RESAMPLE] = job->resample ? F * job->pool * sizeof(uint32_t) : 0;
    l->bytes[LG_BUF_POOL_ROW] = job->task == LG_TASK_transition
                                    ? ((gradients ? lg_cuda_rows(job) : 1) + 1) * job->replicates * sizeof(uint32_t)
                                    : 0;
    l->bytes[LG_BUF_OPTIMIZER] = (job->fit_optimizer ? F : 1) * sizeof(lg_optimizer);
    l->bytes[LG_BUF_FIT_STATE] = l->bytes[LG_BUF_RESTORED] = F * sizeof(lg_fit_state);
    l->bytes[LG_BUF_PARAMS] = l->bytes[LG_BUF_GRADIENT] = F * P * sizeof(double);
    l->bytes[LG_BUF_LOSS] = l->bytes[LG_BUF_SLOPE] = F * sizeof(double);
    l->bytes[LG_BUF_REDRAW] = gradients && averages(job) ? job->draws * sizeof(lg_key) : 0;
    l->bytes[LG_BUF_ROWS] = gradients ? lg_cuda_rows(job) * F * (P + 3) * sizeof(double) : 0;
    l->bytes[LG_BUF_START] = pool_bytes(job, l, false);
    l->bytes[LG_BUF_TARGET] = pool_bytes(job, l, true);
    l->bytes[LG_BUF_RECORD] = job->records * sizeof(uint32_t);
    l->bytes[LG_BUF_TARGET_STAT] = l->bytes[LG_BUF_WEIGHT_STAT] =
        job->target_stat ? (job->stat_per_fit ? F : 1) * K * sizeof(double) : 0;
    l->bytes[LG_BUF_STAT] = l->bytes[LG_BUF_STAT_ADJOINT] = F * K * sizeof(double);
    lg_cuda_newton_layout(job, gradients, l);
    size_t total = 0;
    for (int i = 0; i < LG_BUF_COUNT; i++) total += (l->bytes[i] + 255) / 256 * 256;
    return total;
}

static size_t memory_limit(const lg_job *job)
{
    if (job->memory_limit) return job->memory_limit;
    size_t available = 0, total = 0;
    cudaMemGetInfo(&available, &total);
    return available / 10 * 9;
}

static lg_status plan_layout(lg_context *ctx, const lg_device *device, const lg_job *job, bool gradients, lg_layout *l,
                             lg_plan *plan)
{
    const size_t limit = memory_limit(job);
    const uint32_t steps = job->steps > 0 ? job->steps : 1;
    size_t total = make_layout(job, device, gradients, steps, l), least = total;
    for (uint32_t parts = 2; total > limit && gradients && parts <= steps; parts++) {
        const uint32_t segment = (steps + parts - 1) / parts;
        if (segment == l->segment) continue;
        total = make_layout(job, device, gradients, segment, l);
        if (total > least && segment * (uint64_t)segment < steps) break; /* checkpoints outgrow the tape from here on */
        if (total < least) least = total;
    }
    plan->segment = l->segment;
    memcpy(plan->kernels, l->kernels, sizeof plan->kernels);
    plan->state_bytes = l->bytes[LG_BUF_STATE] + l->bytes[LG_BUF_OTHER] + l->bytes[LG_BUF_WORK];
    plan->tape_bytes = l->bytes[LG_BUF_TAPE] + l->bytes[LG_BUF_CHECKPOINT];
    plan->total_bytes = total;
    if (total <= limit) return LG_OK;
    return lg_fail(
        ctx, LG_ERR_MEMORY,
        "the batch needs %.1f MiB of GPU memory even with tape checkpoints, and the limit is %.1f MiB: use fewer "
        "replicates, fits or steps, or raise memory_limit",
        (double)least / 1048576.0, (double)limit / 1048576.0);
}

lg_status lg_cuda_plan(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_plan *plan)
{
    lg_layout l;
    cudaSetDevice(device->index);
    return plan_layout(ctx, device, job, gradients, &l, plan);
}

/* ---- creation --------------------------------------------------------------------------------------------------- */

void lg_cuda_destroy(lg_dbatch *b)
{
    if (!b) return;
    cudaSetDevice(b->device->index);
    if (b->stream) cudaStreamSynchronize(b->stream);
    if (b->graph) cudaGraphExecDestroy(b->graph);
    lg_cuda_newton_close(b);
    for (int i = 0; i < LG_BUF_COUNT; i++) cudaFree(b->memory[i]);
    if (b->stream) cudaStreamDestroy(b->stream);
    lg_cuda_own_close(b);
    free(b);
}

static void fill_view(lg_dbatch *b)
{
    const lg_job *job = b->job;
    lg_view *v = &b->view;
    void **m = b->memory;
    v->F = job->fits;
    v->first_fit = job->first_fit;
    v->R = job->replicates;
    v->P = (uint32_t)job->model->params;
    v->steps = job->steps;
    v->segment = b->layout.segment;
    v->H = job->height;
    v->W = job->width;
    v->species = (uint32_t)job->model->species;
    v->capacity = job->capacity;
    v->pool = job->pool;
    v->records = lg_hooks(job);
    v->statistics = job->own.function ? 0 : lg_job_kinds(job);
    v->transition = job->task == LG_TASK_transition;
    v->v0_const = job->v0_const;
    v->loss = job->loss;
    v->estimator = job->binary;
    v->categorical = job->categorical;
    v->draws = job->draws;
    v->average = b->gradients && averages(job);
    v->scores = lg_cuda_scores(job, b->gradients);
    v->pairs = b->layout.pairs;
    v->seed = job->seed;
    v->gamma = job->gamma;
    v->tau = job->tau;
    v->tau_end = job->tau_end;
    v->last = lg_job_last(job);
    v->clock = (const lg_clock *)m[LG_BUF_CLOCK];
    v->noise_fit = (const uint32_t *)m[LG_BUF_NOISE_FIT];
    v->resample = (const uint32_t *)m[LG_BUF_RESAMPLE];
    v->pool_row = (const uint32_t *)m[LG_BUF_POOL_ROW];
    v->optimizer = (const lg_optimizer *)m[LG_BUF_OPTIMIZER];
    v->fit_optimizer = job->fit_optimizer != NULL;
    v->restored = (const lg_fit_state *)m[LG_BUF_RESTORED];
    v->fit_state = (lg_fit_state *)m[LG_BUF_FIT_STATE];
    v->params = (double *)m[LG_BUF_PARAMS];
    v->loss_value = (double *)m[LG_BUF_LOSS];
    v->slope = (double *)m[LG_BUF_SLOPE];
    v->gradient = (double *)m[LG_BUF_GRADIENT];
    v->rows = (double *)m[LG_BUF_ROWS];
    v->mk = job->model->id == LG_MODEL_MK ? (lg_mk_fit *)m[LG_BUF_CONSTANTS] : NULL;
    v->si = job->model->id == LG_MODEL_SI ? (lg_si_fit *)m[LG_BUF_CONSTANTS] : NULL;
    v->prw = job->model->id == LG_MODEL_PRW ? (lg_prw_fit *)m[LG_BUF_CONSTANTS] : NULL;
    v->start = (const uint8_t *)m[LG_BUF_START];
    v->target = (const uint8_t *)m[LG_BUF_TARGET];
    v->record = (const uint32_t *)m[LG_BUF_RECORD];
    v->target_stat = (const double *)m[LG_BUF_TARGET_STAT];
    v->weight_stat = (const double *)m[LG_BUF_WEIGHT_STAT];
    v->stat_stride = job->stat_per_fit ? lg_job_statistics(job) : 0;
    v->state = (uint8_t *)m[LG_BUF_STATE];
    v->other = (uint8_t *)m[LG_BUF_OTHER];
    v->work = (uint8_t *)m[LG_BUF_WORK];
    v->tape = (uint8_t *)m[LG_BUF_TAPE];
    v->checkpoint = (uint8_t *)m[LG_BUF_CHECKPOINT];
    v->adjoint = (float *)m[LG_BUF_ADJOINT];
    v->adjoint2 = (float *)m[LG_BUF_ADJOINT2];
    v->carry = (double *)m[LG_BUF_CARRY];
    v->sums = (lg_u64 *)m[LG_BUF_SUMS];
    v->error = (lg_u64 *)m[LG_BUF_ERROR];
    v->replicate_stat = (double *)m[LG_BUF_REPLICATE_STAT];
    v->stat = (double *)m[LG_BUF_STAT];
    v->stat_adjoint = (double *)m[LG_BUF_STAT_ADJOINT];
    v->part = (double *)m[LG_BUF_PART];
    v->redraw = (lg_key *)m[LG_BUF_REDRAW];
    v->score = (double *)m[LG_BUF_SCORE];
    v->own = job->own.function != NULL;
    v->own_adjoint = (const float *)m[LG_BUF_OWN_ADJOINT];
    v->formation = v->own || job->task == LG_TASK_formation;
    if (v->formation && !v->own) {
        v->wave_h = (const lg_complex *)m[LG_BUF_WAVES];
        v->wave_w = v->wave_h + job->height;
        v->wave_bin = (const int8_t *)(v->wave_w + job->width);
    }
    v->spectrum = (lg_complex *)m[LG_BUF_SPECTRUM];
    v->snapshot = (uint8_t *)m[LG_BUF_SNAPSHOT];
    v->residual = (double *)m[LG_BUF_RESIDUAL];
    v->normal = (double *)m[LG_BUF_NORMAL];
    v->parts = b->layout.parts;
    v->grad_parts = b->layout.grad_parts;
}

/* SI states of one byte a site to one bit a site; row by row, 32 sites a word. */
static uint32_t *pack_states(const uint8_t *states, size_t count, uint32_t H, uint32_t W)
{
    const size_t words = (W + 31u) / 32u;
    uint32_t *bits = (uint32_t *)calloc(count * H * words, sizeof *bits);
    for (size_t row = 0; bits && row < count * H; row++)
        for (uint32_t j = 0; j < W; j++) bits[row * words + j / 32] |= (uint32_t)(states[row * W + j] != 0) << j % 32;
    return bits;
}

cudaError_t lg_cuda_put(lg_dbatch *b, lg_buffer buffer, const void *from)
{
    if (!b->layout.bytes[buffer] || !from) return cudaSuccess;
    return cudaMemcpyAsync(b->memory[buffer], from, b->layout.bytes[buffer], cudaMemcpyHostToDevice, b->stream);
}

static lg_status put_states(lg_context *ctx, lg_dbatch *b, lg_buffer buffer, const uint8_t *states)
{
    if (!b->layout.bytes[buffer]) return LG_OK;
    const void *from = states;
    uint32_t *bits = NULL;
    if (b->job->model->id == LG_MODEL_SI) {
        from = bits = pack_states(states, b->layout.bytes[buffer] / b->layout.sample, b->job->height, b->job->width);
        if (!bits) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory while packing start states");
    }
    cudaError_t error = lg_cuda_put(b, buffer, from);
    if (!error) error = cudaStreamSynchronize(b->stream);
    free(bits);
    return lg_cuda_status(ctx, error, "copying states to the GPU");
}

lg_status lg_cuda_wait(lg_context *ctx, lg_dbatch *b, const char *doing)
{
    cudaError_t error = cudaGetLastError();
    const cudaError_t done = cudaStreamSynchronize(b->stream);
    if (!error) error = done;
    return lg_cuda_status(ctx, error, doing);
}

lg_status lg_cuda_set_params(lg_context *ctx, lg_dbatch *b, const double *params)
{
    cudaSetDevice(b->device->index);
    const lg_status status =
        lg_cuda_status(ctx, lg_cuda_put(b, LG_BUF_PARAMS, params), "copying parameters to the GPU");
    if (status) return status;
    lg_cuda_start_fits(b);
    lg_cuda_prepare(b);
    return lg_cuda_wait(ctx, b, "setting parameters");
}

cudaError_t lg_cuda_set_clock(lg_dbatch *b, uint64_t iteration, uint32_t rows)
{
    const lg_clock clock = {iteration, 0};
    const cudaError_t error = lg_cuda_put(b, LG_BUF_CLOCK, &clock);
    if (!error) lg_cuda_pairs(b, rows + 1);                  /* the clock ends one iteration further */
    if (!error && b->view.tau_end > 0.0) lg_cuda_prepare(b); /* for the temperature of this iteration */
    return error ? error : cudaStreamSynchronize(b->stream);
}

lg_status lg_cuda_reset(lg_context *ctx, lg_dbatch *b, uint64_t iteration)
{
    cudaSetDevice(b->device->index);
    const lg_status status = lg_cuda_status(ctx, lg_cuda_set_clock(b, iteration, 1), "resetting a batch");
    if (status) return status;
    b->step = 0;
    b->kept = false;
    b->iteration = iteration;
    b->run->start(b, b->view);
    return lg_cuda_wait(ctx, b, "resetting a batch");
}

/* Buffers the host may read before a kernel has written them start as zeros; the others are written before they are
 * read. */
static bool starts_as_zeros(int buffer)
{
    return buffer == LG_BUF_LOSS || buffer == LG_BUF_SLOPE || buffer == LG_BUF_GRADIENT || buffer == LG_BUF_STAT ||
           buffer == LG_BUF_REPLICATE_STAT || buffer == LG_BUF_RESIDUAL;
}

static lg_status put_waves(lg_context *ctx, lg_dbatch *b)
{
    uint8_t *tables = (uint8_t *)malloc(b->layout.bytes[LG_BUF_WAVES]);
    if (!tables || !lg_mk_formation_tables(b->job, tables)) {
        free(tables);
        return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the tables of the structure factor");
    }
    cudaError_t error = lg_cuda_put(b, LG_BUF_WAVES, tables);
    if (!error) error = cudaStreamSynchronize(b->stream);
    free(tables);
    return lg_cuda_status(ctx, error, "copying tables to the GPU");
}

static lg_status fill(lg_context *ctx, lg_dbatch *b)
{
    const lg_job *job = b->job;
    const lg_clock first = {0, 0};
    cudaError_t error = cudaStreamCreate(&b->stream);
    for (int i = 0; i < LG_BUF_COUNT && !error; i++) {
        if (!b->layout.bytes[i]) continue;
        error = cudaMalloc(&b->memory[i], b->layout.bytes[i]);
        if (!error && starts_as_zeros(i)) error = cudaMemsetAsync(b->memory[i], 0, b->layout.bytes[i], b->stream);
    }
    fill_view(b);
    if (!error && !lg_cuda_own_open(b)) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for recorded states");
    if (!error) error = lg_cuda_put(b, LG_BUF_CLOCK, &first);
    if (!error) error = lg_cuda_put(b, LG_BUF_NOISE_FIT, job->noise_fit);
    if (!error) error = lg_cuda_put(b, LG_BUF_RESAMPLE, job->resample);
    if (!error) error = lg_cuda_put(b, LG_BUF_OPTIMIZER, job->fit_optimizer ? job->fit_optimizer : &job->optimizer);
    if (!error) error = lg_cuda_put(b, LG_BUF_RECORD, job->record);
    if (!error) error = lg_cuda_put(b, LG_BUF_TARGET_STAT, job->target_stat);
    if (!error) error = lg_cuda_put(b, LG_BUF_WEIGHT_STAT, job->weight_stat);
    lg_status status = lg_cuda_status(ctx, error, "allocating a batch on the GPU");
    if (!status) status = put_states(ctx, b, LG_BUF_START, job->start);
    if (!status) status = put_states(ctx, b, LG_BUF_TARGET, job->target);
    if (!status && b->layout.bytes[LG_BUF_WAVES]) status = put_waves(ctx, b);
    if (!status) status = lg_cuda_set_params(ctx, b, job->params);
    if (!status && b->view.normal) status = lg_cuda_newton_open(ctx, b);
    return status ? status : lg_cuda_reset(ctx, b, 0);
}

lg_status lg_cuda_create(lg_context *ctx, lg_device *device, const lg_job *job, bool gradients, lg_dbatch **out)
{
    lg_layout l;
    lg_plan plan;
    cudaSetDevice(device->index);
    lg_status status = plan_layout(ctx, device, job, gradients, &l, &plan);
    if (status) return status;
    lg_dbatch *b = (lg_dbatch *)calloc(1, sizeof *b);
    if (!b) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    b->job = job;
    b->device = device;
    b->run = model_of(job);
    b->layout = l;
    b->gradients = gradients;
    status = fill(ctx, b);
    if (status) lg_cuda_destroy(b);
    else *out = b;
    return status;
}
