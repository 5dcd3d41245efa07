/* A loss of the caller's own on the device, for MK: the states that the forward pass kept at the recorded steps
 * (mk_formation.cu) go to the host, where the caller is asked, and the adjoints come back. A round trip an iteration, so that
 * optimiser iterations are neither chained nor captured in a graph. */
#include "device.cuh"

static size_t states_of(const lg_job *job)
{
    return (size_t)job->fits * job->replicates;
}

/* [records][FR][sample] on the device, [FR][records][sample] on the host. */
template <class T> static void turn(const lg_job *job, size_t sample, T *device, T *host, bool to_host)
{
    const size_t FR = states_of(job), K = job->own.records;
    for (size_t k = 0; k < K; k++)
        for (size_t fr = 0; fr < FR; fr++) {
            T *at = device + (k * FR + fr) * sample, *own = host + (fr * K + k) * sample;
            memcpy(to_host ? own : at, to_host ? at : own, sample * sizeof(T));
        }
}

bool lg_cuda_own_open(lg_dbatch *b)
{
    const lg_job *job = b->job;
    if (!job->own.function) return true;
    b->own_states = malloc(b->layout.bytes[LG_BUF_SNAPSHOT]);
    b->own_adjoint = malloc(b->layout.bytes[LG_BUF_OWN_ADJOINT] + 1);
    b->own_fits = (lg_fit_state *)malloc(job->fits * sizeof *b->own_fits);
    b->own_loss = (double *)calloc(job->fits, sizeof *b->own_loss);
    return b->own_states && b->own_adjoint && b->own_fits && b->own_loss &&
           lg_recording_open(job, b->gradients, &b->recording);
}

void lg_cuda_own_close(lg_dbatch *b)
{
    free(b->own_states);
    free(b->own_adjoint);
    free(b->own_fits);
    free(b->own_loss);
    lg_recording_close(&b->recording);
}

static cudaError_t fetch(lg_dbatch *b)
{
    const lg_job *job = b->job;
    cudaError_t error = cudaMemcpyAsync(b->own_states, b->view.snapshot, b->layout.bytes[LG_BUF_SNAPSHOT],
                                        cudaMemcpyDeviceToHost, b->stream);
    if (!error)
        error = cudaMemcpyAsync(b->own_fits, b->view.fit_state, job->fits * sizeof *b->own_fits, cudaMemcpyDeviceToHost,
                                b->stream);
    const cudaError_t done = cudaStreamSynchronize(b->stream);
    return error ? error : done;
}

lg_status lg_cuda_own_loss(lg_context *ctx, lg_dbatch *b, uint64_t iteration)
{
    const lg_job *job = b->job;
    const size_t sample = b->layout.sample;
    lg_status status = lg_cuda_status(ctx, fetch(b), "reading recorded states");
    if (status) return status;
    turn(job, sample, (uint8_t *)b->own_states, (uint8_t *)b->recording.states, true);
    status = lg_own_loss_run(ctx, job, iteration, &b->recording, b->own_fits, b->own_loss);
    if (status) return status;
    cudaError_t error = lg_cuda_put(b, LG_BUF_LOSS, b->own_loss);
    if (!error && b->gradients) {
        turn(job, sample, (float *)b->own_adjoint, b->recording.adjoint, false);
        error = lg_cuda_put(b, LG_BUF_OWN_ADJOINT, b->own_adjoint);
    }
    const cudaError_t done = cudaStreamSynchronize(b->stream);
    return lg_cuda_status(ctx, error ? error : done, "writing adjoints");
}

void lg_cuda_own_layout(const lg_job *job, bool gradients, lg_layout *l)
{
    l->bytes[LG_BUF_SNAPSHOT] = states_of(job) * job->own.records * l->sample;
    l->bytes[LG_BUF_OWN_ADJOINT] = gradients ? l->bytes[LG_BUF_SNAPSHOT] * sizeof(float) : 0;
}
