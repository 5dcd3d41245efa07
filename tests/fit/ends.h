/* Where a fit ended, with its standard errors and intervals; and the data of such fits of patterns. */
#ifndef TESTS_FIT_ENDS_H
#define TESTS_FIT_ENDS_H

#include <stdio.h>

#include "fit/problems.h"

/* Ten runs of a small pattern. */
#define PATTERN_DATA                                                                                                \
    "model=mk", "task=formation", "lattice.height=16", "lattice.width=16", "steps=200", "data.record_every=100",    \
        "data.generate.runs=10", "data.generate.params.D_A=0.1", "data.generate.params.D_B=0.4",                    \
        "data.generate.params.k1=0.98", "data.generate.params.k2=0.1", "data.generate.params.k3=0.2", "device=cpu", \
        "estimator.method=fd"

typedef struct ends {
    double estimate[8], error[8], low[8], high[8];
    bool any;
    char note[128];
} ends;

static inline ends fit_ends(lg_context *ctx, const char *const *settings)
{
    lg_problem *p = make_problem(ctx, settings);
    lg_result *r;
    ends e;
    double loss;
    cr_assert_eq(lg_fit(ctx, p, NULL, NULL, &r), LG_OK, "%s", lg_context_message(ctx));
    e.any = lg_result_errors(r, 0, e.error, e.low, e.high);
    lg_result_end(r, 0, e.estimate, &loss);
    snprintf(e.note, sizeof e.note, "%s", lg_result_error_note(r));
    lg_result_free(r);
    lg_problem_free(p);
    return e;
}

#endif
