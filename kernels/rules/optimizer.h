/* The optimisers: one fit's update from its gradient, in double precision, the same code on host and device.
 *
 * A fitted parameter p is moved through x = p (transform none) or x = logit p; the gradient is brought to x by the chain
 * rule, clipped by its norm over the fitted parameters, and applied; p is then clamped to its bounds. A fit whose loss or
 * gradient is not finite is frozen before anything is applied. */
#ifndef LG_RULES_OPTIMIZER_H
#define LG_RULES_OPTIMIZER_H

#include "rules/gauss_newton.h"
#include "rules/philox.h"

#include <math.h>
#include <stdbool.h>

/* X(name, text) */
#define LG_OPTIMIZER_LIST(X)                      \
    X(sgd, "gradient descent, optional momentum") \
    X(adam, "Adam (Kingma and Ba 2015)")          \
    X(lm, "damped Gauss-Newton steps, for losses of statistics")

#define LG_SCHEDULE_LIST(X)                 \
    X(constant, "lr")                       \
    X(step, "lr decay^floor(i / period)")   \
    X(exponential, "lr decay^(i / period)") \
    X(cosine, "half a cosine from lr to 0 over the iterations")

#define LG_TRANSFORM_LIST(X)        \
    X(none, "the parameter itself") \
    X(logit, "log(p / (1 - p))")

#define LG_ENUM_ROW_OPT(name, text) LG_OPTIMIZER_##name,
#define LG_ENUM_ROW_SCHED(name, text) LG_SCHEDULE_##name,
#define LG_ENUM_ROW_TRANS(name, text) LG_TRANSFORM_##name,
typedef enum lg_optimizer_kind { LG_OPTIMIZER_LIST(LG_ENUM_ROW_OPT) } lg_optimizer_kind;
typedef enum lg_schedule { LG_SCHEDULE_LIST(LG_ENUM_ROW_SCHED) } lg_schedule;
typedef enum lg_transform { LG_TRANSFORM_LIST(LG_ENUM_ROW_TRANS) } lg_transform;
#undef LG_ENUM_ROW_OPT
#undef LG_ENUM_ROW_SCHED
#undef LG_ENUM_ROW_TRANS

enum { LG_OPT_MAX_PARAMS = 8 };

typedef struct lg_optimizer {
    lg_optimizer_kind kind;
    double lr, momentum, beta1, beta2, epsilon;
    double damping; /* lm: Marquardt's lambda */
    lg_schedule schedule;
    double decay, period; /* schedules step and exponential */
    double clip;          /* largest gradient norm, 0 = no clipping */
    uint64_t iterations;  /* length of the cosine */
    int params;
    bool fitted[LG_OPT_MAX_PARAMS];
    bool grad_of_logit[LG_OPT_MAX_PARAMS]; /* the backend's gradient is already d/dlogit */
    lg_transform transform[LG_OPT_MAX_PARAMS];
    double lower[LG_OPT_MAX_PARAMS], upper[LG_OPT_MAX_PARAMS];
} lg_optimizer;

/* What a fit carries from iteration to iteration; lm has its last step in m and the count k of its gain in v[0]. x is the optimiser's own coordinate of each parameter: kept, not
 * recomputed from p, so that p near 0 or 1 loses nothing. */
typedef struct lg_fit_state {
    double x[LG_OPT_MAX_PARAMS], m[LG_OPT_MAX_PARAMS], v[LG_OPT_MAX_PARAMS];
    uint64_t updates;
    int32_t frozen;    /* 0 running; 1 stopped by the host; 2 not finite */
    int32_t bad_param; /* frozen 2: the parameter whose gradient was not finite, -1 = the loss */
} lg_fit_state;

LG_RULE double lg_sigmoid(double x)
{
    return x >= 0.0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x));
}

LG_RULE double lg_logit(double p)
{
    return log(p) - log1p(-p);
}

LG_RULE double lg_to_x(const lg_optimizer *o, int i, double p)
{
    return o->transform[i] == LG_TRANSFORM_logit ? lg_logit(p) : p;
}

LG_RULE double lg_from_x(const lg_optimizer *o, int i, double x)
{
    return o->transform[i] == LG_TRANSFORM_logit ? lg_sigmoid(x) : x;
}

LG_RULE double lg_scheduled_lr(const lg_optimizer *o, uint64_t i)
{
    if (o->schedule == LG_SCHEDULE_step) return o->lr * pow(o->decay, floor((double)i / o->period));
    if (o->schedule == LG_SCHEDULE_exponential) return o->lr * pow(o->decay, (double)i / o->period);
    if (o->schedule == LG_SCHEDULE_cosine && o->iterations > 0)
        return 0.5 * o->lr * (1.0 + cos(3.14159265358979323846 * (double)i / (double)o->iterations));
    return o->lr;
}

/* d/dx of the loss from the backend's gradient (d/dp or d/dlogit). */
LG_RULE double lg_gradient_x(const lg_optimizer *o, int i, double p, double g)
{
    const double slope = p * (1.0 - p);
    if (o->grad_of_logit[i]) return o->transform[i] == LG_TRANSFORM_logit ? g : (slope > 0.0 ? g / slope : 0.0);
    return o->transform[i] == LG_TRANSFORM_logit ? g * slope : g;
}

LG_RULE void lg_optimizer_start(const lg_optimizer *o, const double *p, lg_fit_state *s)
{
    for (int i = 0; i < LG_OPT_MAX_PARAMS; i++) {
        s->x[i] = i < o->params ? lg_to_x(o, i, p[i]) : 0.0;
        s->m[i] = s->v[i] = 0.0;
    }
    s->updates = 0;
    s->frozen = 0;
    s->bad_param = -1;
}

/* Takes over a state that was kept: p[params] are the parameters of `old`. Where nothing was updated and the coordinate is the same they stay
 * as they are: before the first update p is the configured number, and p(x(p)), which it is from then on, may be its neighbour. */
LG_RULE void lg_optimizer_restore(const lg_optimizer *o, const lg_fit_state *old, const lg_fit_state *s, double *p)
{
    for (int i = 0; i < o->params; i++)
        if (o->fitted[i] && (s->updates > 0 || s->x[i] != old->x[i])) p[i] = lg_from_x(o, i, s->x[i]);
}

/* One update on its way. rate: what follows from the number of updates alone, see lg_optimizer_rate. step: lm. */
typedef struct lg_update {
    double rate[3], g[LG_OPT_MAX_PARAMS], step[LG_OPT_MAX_PARAMS], scale;
} lg_update;

/* 0: the learning rate (lm has its gain instead); 1, 2: Adam's 1 - beta1^n and 1 - beta2^n at the n-th update. */
LG_RULE double lg_optimizer_rate(const lg_optimizer *o, uint64_t updates, int which)
{
    if (which == 0) return lg_scheduled_lr(o, updates);
    if (o->kind != LG_OPTIMIZER_adam) return 1.0;
    return 1.0 - pow(which == 1 ? o->beta1 : o->beta2, (double)(updates + 1));
}

/* One coordinate's step, added to x. */
LG_RULE double lg_optimizer_step(const lg_optimizer *o, lg_fit_state *s, int i, double g, const double *rate)
{
    if (o->kind == LG_OPTIMIZER_adam) {
        s->m[i] = o->beta1 * s->m[i] + (1.0 - o->beta1) * g;
        s->v[i] = o->beta2 * s->v[i] + (1.0 - o->beta2) * g * g;
        const double m = s->m[i] / rate[1], v = s->v[i] / rate[2];
        return -rate[0] * m / (sqrt(v) + o->epsilon);
    }
    s->m[i] = o->momentum * s->m[i] + g;
    return -rate[0] * s->m[i];
}

/* The gain of the next lm step, 1 / (1 + k); see rules/gauss_newton.h. */
LG_RULE double lg_lm_gain(const lg_fit_state *s)
{
    return 1.0 / (1.0 + s->v[0]);
}

/* d[n], the Gauss-Newton step of the coordinates axis[n], from the gradient g in x and normal = J^T W J in native coordinates. A
 * coordinate on a bound that the step would leave stays there, and the step of the others is made without it (projected
 * Newton: Bertsekas, SIAM J. Control Optim. 20, 1982). Returns how many axes are left, or -1: normal is not finite. */
LG_RULE int lg_lm_directions(const lg_optimizer *o, const lg_fit_state *s, const double *g, const double *normal,
                             const double *p, int *axis, double *d)
{
    double A[LG_OPT_MAX_PARAMS * LG_OPT_MAX_PARAMS], rhs[LG_OPT_MAX_PARAMS];
    int n = 0, before = -1;
    for (int i = 0; i < o->params; i++)
        if (o->fitted[i]) axis[n++] = i;
    while (n != before) {
        for (int a = 0; a < n; a++) {
            rhs[a] = 0.5 * g[axis[a]];
            for (int b = 0; b < n; b++) {
                const int i = axis[a], j = axis[b];
                A[a * n + b] = lg_gradient_x(o, i, p[i], lg_gradient_x(o, j, p[j], normal[i * o->params + j]));
                if (!isfinite(A[a * n + b])) return -1;
            }
        }
        lg_gauss_newton_step(n, A, rhs, o->damping, d);
        before = n;
        n = 0;
        for (int a = 0; a < before; a++) {
            const int i = axis[a];
            const bool leaves = d[a] < 0.0 ? s->x[i] <= lg_to_x(o, i, o->lower[i])
                                           : d[a] > 0.0 && s->x[i] >= lg_to_x(o, i, o->upper[i]);
            if (!leaves) axis[n++] = i;
        }
    }
    return n;
}

/* The step of all coordinates, step[i] to be added to x[i]; step is 0 on entry. No coordinate moves by more than 1 (in logit) or a
 * quarter of its interval: far from the optimum the linear model is good for a direction and not for a length. False:
 * normal is not finite. */
LG_RULE bool lg_lm_step(const lg_optimizer *o, lg_fit_state *s, const double *g, const double *normal, const double *p,
                        double *step)
{
    double d[LG_OPT_MAX_PARAMS];
    int axis[LG_OPT_MAX_PARAMS];
    const int n = lg_lm_directions(o, s, g, normal, p, axis, d);
    if (n < 0) return false;
    double turn = 0.0, scale = 1.0;
    for (int a = 0; a < n; a++) {
        const int i = axis[a];
        const double most = o->transform[i] == LG_TRANSFORM_logit ? 1.0 : 0.25 * (o->upper[i] - o->lower[i]);
        d[a] /= most;
        turn += d[a] * s->m[i];
        if (fabs(d[a]) * scale > 1.0) scale = 1.0 / fabs(d[a]);
    }
    if (turn < 0.0) s->v[0] += 1.0;
    for (int i = 0; i < o->params; i++) s->m[i] = 0.0;
    for (int a = 0; a < n; a++) {
        const int i = axis[a];
        const double most = o->transform[i] == LG_TRANSFORM_logit ? 1.0 : 0.25 * (o->upper[i] - o->lower[i]);
        s->m[i] = d[a] * scale;
        step[i] = lg_lm_gain(s) * most * s->m[i];
    }
    return true;
}

/* An update has three parts, so that a GPU can give each coordinate a thread: the rates, what all coordinates need, and the
 * coordinates. This is the second: gradients in x, their norm, the trace row, and whether anything moves at all. */
LG_RULE bool lg_optimizer_begin(const lg_optimizer *o, lg_fit_state *s, double loss, const double *gradient,
                                const double *normal, const double *p, double *row, lg_update *u)
{
    double norm2 = 0.0;
    int bad = isfinite(loss) ? -2 : -1;
    for (int i = 0; i < o->params; i++) {
        const double g = o->fitted[i] ? lg_gradient_x(o, i, p[i], gradient[i]) : 0.0;
        u->g[i] = g;
        u->step[i] = 0.0;
        if (bad == -2 && !isfinite(g)) bad = i;
        norm2 += g * g;
        row[1 + i] = p[i];
    }
    const double norm = sqrt(norm2);
    row[0] = loss;
    row[o->params + 1] = normal ? lg_lm_gain(s) : u->rate[0];
    row[o->params + 2] = norm;
    u->scale = o->clip > 0.0 && norm > o->clip ? o->clip / norm : 1.0;
    if (s->frozen) return false;
    if (bad == -2 && normal && !lg_lm_step(o, s, u->g, normal, p, u->step)) bad = -1;
    if (bad == -2) return true;
    s->frozen = 2;
    s->bad_param = bad;
    return false;
}

/* The third part, for one coordinate. */
LG_RULE void lg_optimizer_move(const lg_optimizer *o, lg_fit_state *s, const lg_update *u, bool lm, int i, double *p)
{
    if (!o->fitted[i]) return;
    s->x[i] += lm ? u->step[i] : lg_optimizer_step(o, s, i, u->g[i] * u->scale, u->rate);
    double q = lg_from_x(o, i, s->x[i]);
    if (q < o->lower[i] || q > o->upper[i]) {
        s->x[i] = lg_to_x(o, i, q < o->lower[i] ? o->lower[i] : o->upper[i]);
        q = lg_from_x(o, i, s->x[i]); /* p is a function of x alone, so that a resumed fit has the same p */
    }
    p[i] = q;
}

/* Applies one update to parameters p[params] in place; row gets loss, parameters before, lr (lm: the gain), gradient norm.
 * normal: J^T W J in the gradient's coordinates, [params][params], for lm; NULL for the others. */
LG_RULE void lg_optimizer_update(const lg_optimizer *o, lg_fit_state *s, double loss, const double *gradient,
                                 const double *normal, double *p, double *row)
{
    lg_update u;
    for (int k = 0; k < 3; k++) u.rate[k] = lg_optimizer_rate(o, s->updates, k);
    if (!lg_optimizer_begin(o, s, loss, gradient, normal, p, row, &u)) return;
    for (int i = 0; i < o->params; i++) lg_optimizer_move(o, s, &u, normal != NULL, i, p);
    s->updates++;
}

#endif
