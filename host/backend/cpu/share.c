/* Parts of sums over replicates, from the processes that have them to all. */
#include "backend/cpu/batch.h"

#include <string.h>

/* Moves columns of the parts first .. end-1 of all fits into a dense box, or out of it. The end of what was moved. */
static double *move(const lg_dbatch *b, uint32_t first, uint32_t end, size_t offset, size_t count, double *box,
                    bool out)
{
    for (uint32_t f = 0; f < b->job->fits; f++)
        for (uint32_t i = first; i < end; i++, box += count) {
            double *part = lg_cpu_part(b, f, i) + offset;
            memcpy(out ? part : box, out ? box : part, count * sizeof *box);
        }
    return box;
}

void lg_cpu_exchange(lg_dbatch *b, size_t offset, size_t count)
{
    const lg_job *job = b->job;
    const lg_share *share = job->share;
    if (!share || b->status) return;
    for (int rank = 0; rank < share->size; rank++)
        b->counts[rank] =
            job->fits * count * (lg_job_border(job, rank + 1, share->size) - lg_job_border(job, rank, share->size));
    move(b, lg_job_first(job), lg_job_end(job), offset, count, b->outbox, false);
    b->status = share->gather(share->user, b->outbox, b->counts, b->inbox);
    double *box = b->inbox;
    for (int rank = 0; rank < share->size && !b->status; rank++)
        box = move(b, lg_job_border(job, rank, share->size), lg_job_border(job, rank + 1, share->size), offset, count,
                   box, true);
}
