/* Derivative-free local search by NLopt, from the parameters' start values. Every evaluation has the noise of iteration 0 (common
 * random numbers), so that the loss is one fixed function of the parameters; what it converges to is that function's minimum, and
 * other seeds show how far this moves. The coordinates are shares of the box, as for cma_es.
 *
 * That function is rough, since draws turn over one by one as the parameters move, and a local search ends in one of its many
 * small pits. So it begins again from the best point with its first step, to the other side each time, until two searches in a
 * row find nothing better or the budget is spent. */
#include "infer/infer.h"

#include "lg_build.h"

#if LG_HAVE_NLOPT

#include <math.h>
#include <nlopt.h>
#include <string.h>

#include "fit/problem.h"

typedef struct local {
    lg_search *s;
    nlopt_opt opt;
    lg_status status;
    double best, theta[LG_MAX_PARAMS]; /* of the lowest loss so far */
} local;

static double loss_at(unsigned n, const double *u, double *gradient, void *user)
{
    local *l = user;
    lg_search *s = l->s;
    double theta[LG_MAX_PARAMS];
    (void)gradient;
    for (unsigned i = 0; i < n; i++) theta[i] = s->lower[i] + u[i] * (s->upper[i] - s->lower[i]);
    lg_search_put(s, 0, theta);
    l->status = lg_search_left(s) ? lg_search_evaluate(s, 0) : LG_OK;
    if (!l->status && s->loss[0] < l->best) {
        l->best = s->loss[0];
        lg_search_get(s, 0, l->theta);
    }
    if (!l->status) lg_search_record(s, l->best, l->theta, NAN, NAN);
    if (l->status || s->ended || !lg_search_left(s)) nlopt_force_stop(l->opt);
    return isfinite(s->loss[0]) ? s->loss[0] : HUGE_VAL;
}

static lg_status choose(lg_search *s, nlopt_algorithm *out)
{
    static const struct {
        const char *name;
        nlopt_algorithm algorithm;
    } table[] = {{"sbplx", NLOPT_LN_SBPLX},
                 {"neldermead", NLOPT_LN_NELDERMEAD},
                 {"bobyqa", NLOPT_LN_BOBYQA},
                 {"cobyla", NLOPT_LN_COBYLA}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(s->plan->algorithm, table[i].name) != 0) continue;
        *out = table[i].algorithm;
        if (*out == NLOPT_LN_BOBYQA && s->dims < 2)
            return lg_fail(
                s->ctx, LG_ERR_UNSUPPORTED,
                "method.algorithm bobyqa needs two fitted parameters or more, and there is one: expected sbplx, "
                "neldermead or cobyla");
        return LG_OK;
    }
    return lg_fail(s->ctx, LG_ERR_CONFIG, "method.algorithm is \"%s\": expected sbplx, neldermead, bobyqa or cobyla",
                   s->plan->algorithm);
}

/* One local search from the best point so far; direction: of the first step along the axes. */
static lg_status descend(local *l, nlopt_algorithm algorithm, double direction, nlopt_result *result)
{
    lg_search *s = l->s;
    double u[LG_MAX_PARAMS], low[LG_MAX_PARAMS], high[LG_MAX_PARAMS], step[LG_MAX_PARAMS], value = 0.0;
    for (int i = 0; i < s->dims; i++) {
        u[i] = fmin(fmax((l->theta[i] - s->lower[i]) / (s->upper[i] - s->lower[i]), 0.0), 1.0);
        low[i] = 0.0;
        high[i] = 1.0;
        step[i] = direction * s->plan->sigma;
        if (u[i] + step[i] < 0.0 || u[i] + step[i] > 1.0) step[i] = -step[i];
    }
    l->opt = nlopt_create(algorithm, (unsigned)s->dims);
    if (!l->opt) return lg_fail(s->ctx, LG_ERR_MEMORY, "out of memory: NLopt's search");
    nlopt_set_min_objective(l->opt, loss_at, l);
    nlopt_set_lower_bounds(l->opt, low);
    nlopt_set_upper_bounds(l->opt, high);
    nlopt_set_initial_step(l->opt, step);
    nlopt_set_xtol_abs1(l->opt, s->plan->tolerance);
    *result = nlopt_optimize(l->opt, u, &value);
    nlopt_destroy(l->opt);
    if (l->status) return l->status;
    if (!isfinite(l->best)) return lg_fail(s->ctx, LG_ERR_NUMERIC, "nlopt: no point it tried has a finite loss");
    if (*result < 0 && *result != NLOPT_FORCED_STOP && *result != NLOPT_ROUNDOFF_LIMITED)
        return lg_fail(s->ctx, LG_ERR_NUMERIC, "NLopt's %s failed with code %d", s->plan->algorithm, (int)*result);
    return LG_OK;
}

lg_status lg_search_by_nlopt(lg_search *s)
{
    nlopt_algorithm algorithm = NLOPT_LN_SBPLX;
    lg_status status = choose(s, &algorithm);
    local l = {.s = s, .best = INFINITY};
    for (int i = 0; i < s->dims; i++) l.theta[i] = s->problem->params[s->index[i]];
    int idle = 0; /* searches in a row that found nothing better */
    for (int k = 0; !status && !s->ended && lg_search_left(s) && idle < 2; k++) {
        const double before = l.best;
        nlopt_result result = NLOPT_SUCCESS;
        status = descend(&l, algorithm, k % 2 ? -1.0 : 1.0, &result);
        idle = l.best < before ? 0 : idle + 1;
        if (result < 0) break; /* the budget is spent, or rounding ended it */
    }
    if (!status && !s->ended && idle == 2)
        lg_search_end(s, "NLopt's %s found nothing better, with steps down to method.tolerance = %g of the bounds",
                      s->plan->algorithm, s->plan->tolerance);
    return status;
}

#else

lg_status lg_search_by_nlopt(lg_search *s)
{
    return lg_fail(s->ctx, LG_ERR_LIBRARY,
                   "method nlopt: this build has no NLopt; use another method.name, or build with LATGRAD_NLOPT=ON "
                   "(Debian: libnlopt-dev)");
}

#endif
