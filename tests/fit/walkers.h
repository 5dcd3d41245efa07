/* Tracks of simulated walkers as a CSV file, for the tests of fit/. */
#ifndef TESTS_FIT_WALKERS_H
#define TESTS_FIT_WALKERS_H

#include <stdio.h>

#include "fit/problems.h"

/* `count` walkers with a stationary start at p_center 0.3 and p_resample 0.5, positions 0 ... steps. */
static inline void write_tracks(lg_context *ctx, const char *path, int count, int steps, int seed)
{
    char replicates[32], length[32], text[32];
    snprintf(replicates, sizeof replicates, "replicates=%d", count);
    snprintf(length, sizeof length, "steps=%d", steps);
    snprintf(text, sizeof text, "seed=%d", seed);
    lg_problem *p =
        make_problem(ctx, SETTINGS("model=prw", "task=simulate", "params.p_center=0.3", "params.p_resample=0.5", length,
                                   replicates, "device=cpu", "threads=1", text));
    int32_t(*at)[4] = malloc((size_t)(steps + 1) * (size_t)count * sizeof *at);
    lg_batch *b;
    cr_assert_not_null(at);
    cr_assert_eq(lg_batch_create(ctx, p, &b), LG_OK);
    for (int t = 0; t <= steps; t++) {
        if (t) cr_assert_eq(lg_batch_run(ctx, b, 1), LG_OK);
        cr_assert_eq(lg_batch_states(ctx, b, 0, 0, count, at + (size_t)t * (size_t)count), LG_OK);
    }
    lg_batch_free(b);
    lg_problem_free(p);
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    fputs("id,t,x,y\n", out);
    for (int i = 0; i < count; i++)
        for (int t = 0; t <= steps; t++) {
            const int32_t *xy = at[(size_t)t * (size_t)count + (size_t)i];
            fprintf(out, "%d,%d,%d,%d\n", i, t, xy[0], xy[1]);
        }
    fclose(out);
    free(at);
}

#endif
