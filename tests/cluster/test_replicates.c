/* Replicates that are shared out: here the processes are threads, and the messages memory. Whatever their number, each of
 * them gets the bytes of one process. (test_mpi_replicates.sh has the processes.) */
#include <pthread.h>
#include <stdio.h>

#include "fit/problem.h"
#include "fit/problems.h"
#include "fit/result.h"

enum { MOST = 7 };

typedef struct group {
    int size;
    pthread_barrier_t all_here;
    const double *mine[MOST];
    const void *word;
    lg_status status[MOST];
} group;

typedef struct member {
    group *group;
    int rank;
    const char *const *settings;
    lg_result *result;
    lg_status status;
    char message[400];
} member;

static void meet(group *g)
{
    pthread_barrier_wait(&g->all_here);
}

static lg_status gather(void *user, const double *mine, const size_t *count, double *all)
{
    const member *m = user;
    group *g = m->group;
    g->mine[m->rank] = mine;
    meet(g);
    for (int rank = 0; rank < g->size; all += count[rank++]) memcpy(all, g->mine[rank], count[rank] * sizeof *all);
    meet(g);
    return LG_OK;
}

static lg_status lead(void *user, void *word, size_t size)
{
    const member *m = user;
    if (m->rank == 0) m->group->word = word;
    meet(m->group);
    if (m->rank > 0) memcpy(word, m->group->word, size);
    meet(m->group);
    return LG_OK;
}

static lg_status agree(void *user, lg_status status)
{
    const member *m = user;
    m->group->status[m->rank] = status;
    meet(m->group);
    for (int rank = 0; rank < m->group->size; rank++)
        if (!status) status = m->group->status[rank];
    meet(m->group);
    return status;
}

static void *work(void *user)
{
    member *m = user;
    const lg_share share = {m->rank, m->group->size, gather, lead, agree, m};
    lg_context *ctx;
    lg_problem *p;
    lg_context_create(&ctx);
    m->status = try_problem(ctx, m->settings, &p);
    if (!m->status && !p->backend->share) m->status = LG_ERR_UNSUPPORTED;
    m->status = agree(m, m->status);
    if (!m->status) {
        p->job.share = &share;
        m->status = lg_fit(ctx, p, NULL, NULL, &m->result);
    }
    snprintf(m->message, sizeof m->message, "%s", lg_context_message(ctx));
    lg_problem_free(p);
    lg_context_free(ctx);
    return NULL;
}

static void expect_same(const lg_result *a, const lg_result *b, int rank, int size)
{
    const size_t width = (size_t)a->model->params + 3;
    for (int f = 0; f < a->fits; f++) {
        cr_assert_eq(a->fit[f].iterations, b->fit[f].iterations);
        cr_assert_eq(a->fit[f].status, b->fit[f].status);
        cr_assert_arr_eq(a->fit[f].trace, b->fit[f].trace, (size_t)a->fit[f].iterations * width * sizeof(double),
                         "fit %d on %d of %d", f, rank, size);
        cr_assert_arr_eq(a->fit[f].params, b->fit[f].params, (width - 3) * sizeof(double));
    }
    if (a->last_statistics)
        cr_assert_arr_eq(a->last_statistics, b->last_statistics, (size_t)(a->fits * a->statistics) * sizeof(double));
}

static void check(const char *const *settings)
{
    group g = {.size = 1};
    member one = {.group = &g, .settings = settings}, m[MOST];
    pthread_barrier_init(&g.all_here, NULL, 1);
    lg_context *ctx;
    lg_context_create(&ctx);
    lg_problem *p = make_problem(ctx, settings);
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &one.result), LG_OK, "%s", lg_context_message(ctx));
    lg_problem_free(p);
    lg_context_free(ctx);
    pthread_barrier_destroy(&g.all_here);
    for (int size = 1; size <= MOST; size += size < 4 ? 1 : 3) {
        pthread_t thread[MOST];
        g.size = size;
        pthread_barrier_init(&g.all_here, NULL, (unsigned)size);
        for (int rank = 0; rank < size; rank++) {
            m[rank] = (member){.group = &g, .rank = rank, .settings = settings};
            cr_assert_eq(pthread_create(&thread[rank], NULL, work, &m[rank]), 0);
        }
        for (int rank = 0; rank < size; rank++) pthread_join(thread[rank], NULL);
        for (int rank = 0; rank < size; rank++) {
            cr_assert_eq(m[rank].status, LG_OK, "%s", m[rank].message);
            expect_same(one.result, m[rank].result, rank, size);
            lg_result_free(m[rank].result);
        }
        pthread_barrier_destroy(&g.all_here);
    }
    lg_result_free(one.result);
}

#define NEWS                                                                                                          \
    "model=si", "data.generate.params.beta=0.3", "data.generate.runs=5", "data.generate.steps=6", "lattice.height=9", \
        "lattice.width=8", "params.beta.start=0.5", "optimizer.lr=1e-4", "replicates=6", "iterations=12",             \
        "device=cpu", "threads=1"
#define WALK                                                                                                          \
    "model=prw", "data.generate.params.p_center=0.3", "data.generate.params.p_resample=0.6", "data.generate.runs=60", \
        "params.p_center.start=0.5", "params.p_resample.start=0.5", "replicates=300", "steps=5", "iterations=12",     \
        "device=cpu", "threads=1"
#define PATTERN                                                                                                 \
    "model=mk", "lattice.height=8", "lattice.width=8", "steps=10", "data.generate.steps=20",                    \
        "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4", "data.generate.params.k1=0.98",         \
        "data.generate.params.k2=0.1", "data.generate.params.k3=0.2", "params.D_A.start=0.3", "params.D_B=0.4", \
        "params.k1.start=0.35", "params.k2.start=0.91", "params.k3.start=0.06", "replicates=5", "iterations=8", \
        "device=cpu", "threads=1"

Test(replicates, pairs)
{
    check(SETTINGS(NEWS, "fits=2"));
    check(SETTINGS(NEWS, "loss=count"));
    check(SETTINGS(NEWS, "loss=nll"));
}

Test(replicates, walks)
{
    check(SETTINGS(WALK, "fits=2"));
    check(SETTINGS(WALK, "ensemble.seeds=2", "ensemble.bootstrap=1"));
}

Test(replicates, patterns)
{
    check(SETTINGS(PATTERN));
    check(SETTINGS(PATTERN, "loss=sse", "memory_limit=1"));
}

Test(replicates, statistics)
{
    check(SETTINGS(NEWS, "task=trajectory", "estimator.method=pathwise", "steps=6", "data.record_every=2"));
    check(SETTINGS(PATTERN, "task=trajectory", "estimator.method=pathwise", "data.generate.steps=10",
                   "data.record_every=5"));
}

Test(replicates, scores)
{
    check(SETTINGS(NEWS, "estimator.method=score"));
    check(SETTINGS(WALK, "estimator.method=score"));
    check(SETTINGS(PATTERN, "estimator.method=score"));
}

/* One of two fits ends before the other. */
Test(replicates, a_fit_that_ends)
{
    check(SETTINGS(NEWS, "fits=3", "iterations=60", "stop.window=5", "stop.tolerance=0.2"));
}
