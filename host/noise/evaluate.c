/* Evaluates a noise folder with the reference implementation. */
#include "noise/noise.h"

#include <stdlib.h>
#include <string.h>

/* ---- from named arrays to the reference's inputs ----------------------------------------------------------------- */

static lg_ref_more more_of(const lg_noise *noise, const char *name)
{
    const lg_array *array = lg_noise_find(noise, name);
    const size_t count = array ? array->shape[0] : 0;
    return (lg_ref_more){count ? array->data : NULL, count, count ? lg_array_size(array) / count : 0};
}

static double temperature(const lg_noise *noise, double tau)
{
    const double *own = lg_noise_reals(noise, "tau"), *consts = lg_noise_reals(noise, "consts");
    return tau > 0.0 ? tau : (consts ? consts[2] : (own ? *own : 1.0));
}

void lg_noise_bind_si(const lg_noise *noise, lg_estimator binary, double tau, lg_ref_si *in)
{
    const lg_array *u = lg_noise_find(noise, "u");
    const size_t *shape = u->shape + u->ndim - 3;
    *in = (lg_ref_si){.steps = u->ndim == 4 ? u->shape[0] : 1,
                      .batch = shape[0],
                      .height = shape[1],
                      .width = shape[2],
                      .beta = *lg_noise_reals(noise, "beta"),
                      .tau = temperature(noise, tau),
                      .binary = binary,
                      .X = lg_noise_reals(noise, "X"),
                      .u = lg_noise_reals(noise, "u"),
                      .gumbel = lg_noise_reals(noise, "gumbel"),
                      .more = more_of(noise, "gumbel_more")};
}

void lg_noise_bind_prw(const lg_noise *noise, lg_estimator estimator, bool v0_const, double tau, lg_ref_prw *in)
{
    const lg_array *keep = lg_noise_find(noise, "gumbel_keep");
    const double *logits = lg_noise_reals(noise, "logits");
    *in = (lg_ref_prw){.steps = keep->shape[1],
                       .walkers = keep->shape[2],
                       .logit = {logits[0], logits[1]},
                       .tau = temperature(noise, tau),
                       .keep = estimator,
                       .v0 = lg_noise_reals(noise, "v0"),
                       .gumbel_keep = lg_noise_reals(noise, "gumbel_keep"),
                       .gumbel_vel = lg_noise_reals(noise, "gumbel_vel"),
                       .gumbel_v0 = v0_const ? NULL : lg_noise_reals(noise, "gumbel_v0"),
                       .more_keep = more_of(noise, "gumbel_keep_more"),
                       .more_vel = more_of(noise, "gumbel_vel_more"),
                       .more_v0 = more_of(noise, "gumbel_v0_more")};
}

void lg_noise_bind_mk(const lg_noise *noise, lg_estimator binary, double tau, lg_ref_mk *in)
{
    const lg_array *channel = lg_noise_find(noise, "channel");
    const double *consts = lg_noise_reals(noise, "consts");
    *in = (lg_ref_mk){.steps = channel->shape[0],
                      .batch = channel->shape[1],
                      .height = channel->shape[2],
                      .width = channel->shape[3],
                      .capacity = consts[0],
                      .gamma = consts[1],
                      .tau = temperature(noise, tau),
                      .binary = binary,
                      .X0 = lg_noise_reals(noise, "X0"),
                      .xi = lg_noise_reals(noise, "xi"),
                      .gumbel = lg_noise_reals(noise, "gumbel"),
                      .channel = lg_noise_ints(noise, "channel"),
                      .thresholds = lg_noise_reals(noise, "thresholds"),
                      .gumbel_reaction = lg_noise_reals(noise, "gumbel_reaction"),
                      .more = more_of(noise, "gumbel_more"),
                      .more_reaction = more_of(noise, "gumbel_reaction_more")};
    memcpy(in->params, lg_noise_reals(noise, "params"), sizeof in->params);
}

/* ---- the losses of a model --------------------------------------------------------------------------------------- */

static bool loss_fits(lg_model_id model, lg_loss loss)
{
    static const unsigned masks[LG_MODEL_COUNT] = {[LG_MODEL_SI] = 1u << LG_LOSS_mse | 1u << LG_LOSS_sse |
                                                                   1u << LG_LOSS_count | 1u << LG_LOSS_nll |
                                                                   1u << LG_LOSS_stat | 1u << LG_LOSS_log_sse,
                                                   [LG_MODEL_PRW] = 1u << LG_LOSS_sse | 1u << LG_LOSS_stat,
                                                   [LG_MODEL_MK] = 1u << LG_LOSS_mse | 1u << LG_LOSS_sse |
                                                                   1u << LG_LOSS_log_sse | 1u << LG_LOSS_stat};
    return masks[model] >> loss & 1u;
}

static lg_status need(lg_context *ctx, const lg_noise *noise, const char *where, const char *name, const char *what)
{
    if (lg_noise_find(noise, name)) return LG_OK;
    return lg_fail(ctx, LG_ERR_DATA, "%s/%s.npy: missing, %s needs it", where, name, what);
}

/* What the chosen loss and estimator need from the folder. */
static lg_status check_needs(lg_context *ctx, const lg_noise *noise, const char *where, lg_estimator binary,
                             lg_loss loss, size_t steps)
{
    const bool si = noise->model == LG_MODEL_SI;
    lg_status status;
    if (loss == LG_LOSS_stat) status = need(ctx, noise, where, "record", "loss stat");
    else status = need(ctx, noise, where, si ? "Yobs" : "Xref", "a loss against a reference state");
    if (!status && binary != LG_ESTIMATOR_ste && loss != LG_LOSS_nll)
        status = need(ctx, noise, where, si ? "gumbel" : "gumbel_reaction", "estimator gs");
    if (!status && steps != 1 && (loss == LG_LOSS_count || loss == LG_LOSS_nll))
        status = lg_fail(ctx, LG_ERR_UNSUPPORTED, "%s: losses count and nll are of one step, the folder has %zu", where,
                         steps);
    return status;
}

/* Loss of the states [T+1,B,species,sites], its derivatives into adj (zeroed). */
static double lattice_loss(const lg_noise *noise, lg_loss loss, size_t steps, size_t batch, size_t species,
                           size_t sites, const int32_t *states, double *adj)
{
    const size_t slice = batch * species * sites;
    const double *target = lg_noise_reals(noise, species == 1 ? "Yobs" : "Xref");
    if (loss == LG_LOSS_stat) {
        const lg_ref_statistics stat = {species, lg_noise_find(noise, "record")->shape[0],
                                        lg_noise_ints(noise, "record"), lg_noise_reals(noise, "target_stat"),
                                        lg_noise_reals(noise, "weight_stat")};
        return lg_ref_statistics_loss(&stat, batch, sites, states, adj);
    }
    states += steps * slice;
    adj += steps * slice;
    if (loss == LG_LOSS_count) return lg_ref_count_loss(batch, sites, lg_noise_reals(noise, "X"), states, target, adj);
    return lg_ref_state_loss(loss, slice, states, target, adj);
}

static void keep_result(const lg_ref_gradient *g, int params, double loss, lg_noise_result *out)
{
    memset(out, 0, sizeof *out);
    out->params = params;
    out->loss = loss;
    for (int i = 0; i < params; i++) {
        out->grad[i] = g->grad[i];
        out->grad_abs[i] = g->abs[i];
    }
}

/* ---- one evaluation per model ------------------------------------------------------------------------------------ */

static lg_status reference_si(lg_context *ctx, const lg_noise *noise, const char *where, lg_estimator binary,
                              lg_loss loss, double tau, lg_noise_result *out)
{
    lg_ref_si in;
    lg_ref_si_run run = {0};
    lg_ref_gradient g;
    lg_noise_bind_si(noise, binary, tau, &in);
    const size_t sites = in.height * in.width;
    lg_status status = check_needs(ctx, noise, where, binary, loss, in.steps);
    if (status) return status;
    if (loss == LG_LOSS_nll) {
        const double value = lg_ref_si_nll(&in, lg_noise_reals(noise, "Yobs"), &g);
        keep_result(&g, 1, value, out);
        return LG_OK;
    }
    status = lg_ref_si_forward(ctx, &in, &run);
    if (status) return status;
    double *adj = calloc((in.steps + 1) * in.batch * sites, sizeof *adj);
    if (adj) {
        const double value = lattice_loss(noise, loss, in.steps, in.batch, 1, sites, run.states, adj);
        lg_ref_si_backward(&in, &run, adj, &g);
        keep_result(&g, 1, value, out);
    } else {
        status = lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the adjoints", where);
    }
    free(adj);
    lg_ref_si_free(&run);
    return status;
}

static lg_status reference_mk(lg_context *ctx, const lg_noise *noise, const char *where, lg_estimator binary,
                              lg_loss loss, double tau, lg_noise_result *out)
{
    lg_ref_mk in;
    lg_ref_mk_run run = {0};
    lg_ref_gradient g;
    lg_noise_bind_mk(noise, binary, tau, &in);
    const size_t slice = in.batch * 2 * in.height * in.width;
    lg_status status = check_needs(ctx, noise, where, binary, loss, in.steps);
    if (!status) status = lg_ref_mk_forward(ctx, &in, &run);
    if (status) return status;
    double *adj = calloc((2 * in.steps + 1) * slice, sizeof *adj);
    if (adj) {
        const double value = lattice_loss(noise, loss, in.steps, in.batch, 2, in.height * in.width, run.states, adj);
        lg_ref_mk_backward(&in, &run, adj, adj + (in.steps + 1) * slice, &g, NULL);
        keep_result(&g, 5, value, out);
    } else {
        status = lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the adjoints", where);
    }
    free(adj);
    lg_ref_mk_free(&run);
    return status;
}

/* The initial velocities on file must be what their Gumbel noise says at the folder's parameters. */
static lg_status check_v0(lg_context *ctx, const lg_ref_prw *in, const char *where)
{
    const double pc = 1.0 / (1.0 + exp(-in->logit[0])), side = 0.5 / (1.0 + exp(in->logit[0]));
    for (size_t i = 0; in->gumbel_v0 && i < 2 * in->walkers; i++) {
        const double *gumbel = in->gumbel_v0 + 3 * i;
        const double z[3] = {log(side) + gumbel[0], log(pc) + gumbel[1], log(side) + gumbel[2]};
        double y[3];
        const int v = lg_ref_softmax(3, z, 1.0, y) - 1;
        if (v != (int)in->v0[i])
            return lg_fail(
                ctx, LG_ERR_DATA,
                "%s/v0.npy: element %zu is %g, but gumbel_v0.npy draws %d (a constant initial velocity is an option)",
                where, i, in->v0[i], v);
    }
    return LG_OK;
}

static lg_status reference_prw(lg_context *ctx, const lg_noise *noise, const char *where, lg_estimator keep,
                               bool v0_const, double tau, lg_noise_result *out)
{
    lg_ref_prw in;
    lg_ref_prw_run run;
    lg_ref_gradient g;
    lg_noise_bind_prw(noise, keep, v0_const, tau, &in);
    lg_status status = v0_const ? LG_OK : need(ctx, noise, where, "gumbel_v0", "an initial velocity with gradient");
    if (!status) status = check_v0(ctx, &in, where);
    if (!status) status = lg_ref_prw_forward(ctx, &in, &run);
    if (status) return status;
    const double value =
        lg_ref_prw_loss(&in, &run, lg_noise_reals(noise, "target"), lg_noise_reals(noise, "weight"), &g);
    keep_result(&g, 2, value, out);
    lg_ref_prw_free(&run);
    return LG_OK;
}

lg_status lg_noise_reference(lg_context *ctx, const lg_noise *noise, const char *where, lg_estimator binary,
                             lg_loss loss, bool v0_const, double tau, lg_noise_result *out)
{
    switch (noise->model) {
    case LG_MODEL_SI: return reference_si(ctx, noise, where, binary, loss, tau, out);
    case LG_MODEL_MK: return reference_mk(ctx, noise, where, binary, loss, tau, out);
    default: return reference_prw(ctx, noise, where, binary, v0_const, tau, out);
    }
}

/* ---- the public function ----------------------------------------------------------------------------------------- */

static lg_status choose_loss(lg_context *ctx, lg_model_id model, const char *name, lg_loss *loss)
{
    static const char *const names[] = {
#define LG_LOSS_NAME(loss_name, text) #loss_name,
        LG_LOSS_LIST(LG_LOSS_NAME)
#undef LG_LOSS_NAME
    };
    static const char *const accepted[LG_MODEL_COUNT] = {[LG_MODEL_SI] = "mse, sse, log_sse, count, nll or stat",
                                                         [LG_MODEL_PRW] = "sse",
                                                         [LG_MODEL_MK] = "mse, sse, log_sse or stat"};
    if (!name) name = model == LG_MODEL_PRW ? "sse" : "mse";
    if (strcmp(name, "sumstat") == 0) name = "count";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0 && loss_fits(model, (lg_loss)i)) {
            *loss = (lg_loss)i;
            return LG_OK;
        }
    return lg_fail(ctx, LG_ERR_USAGE, "loss '%s' is not one of this model's: expected %s", name, accepted[model]);
}

static lg_status choose_model(lg_context *ctx, const char *name, lg_model_id *model)
{
    static const char *const names[LG_MODEL_COUNT] =
        {[LG_MODEL_SI] = "si", [LG_MODEL_PRW] = "prw", [LG_MODEL_MK] = "mk"};
    for (int i = 0; i < LG_MODEL_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *model = (lg_model_id)i;
            return LG_OK;
        }
    return lg_fail(ctx, LG_ERR_USAGE, "unknown model '%s': expected si, prw or mk", name);
}

lg_status lg_noise_evaluate(lg_context *ctx, const char *model, const char *directory, const lg_noise_options *options,
                            lg_noise_result *out)
{
    const lg_noise_options none = {0};
    const lg_noise_options *o = options ? options : &none;
    const char *estimator = o->estimator;
    lg_model_id id = LG_MODEL_SI;
    lg_loss loss = LG_LOSS_mse;
    lg_noise noise;
    lg_status status = choose_model(ctx, model, &id);
    if (!status) status = choose_loss(ctx, id, o->loss, &loss);
    if (status) return status;
    if (!estimator) estimator = id == LG_MODEL_PRW ? "gs" : "ste";
    if (strcmp(estimator, "ste") != 0 && strcmp(estimator, "gs") != 0)
        return lg_fail(ctx, LG_ERR_USAGE, "unknown estimator '%s': expected ste or gs", estimator);
    if (!(o->tau >= 0.0))
        return lg_fail(ctx, LG_ERR_RANGE, "softmax temperature tau = %g, expected a number above 0", o->tau);
    status = lg_noise_read(ctx, id, directory, &noise);
    if (status) return status;
    const lg_estimator binary = strcmp(estimator, "gs") == 0 ? LG_ESTIMATOR_gs : LG_ESTIMATOR_ste;
    status = lg_noise_reference(ctx, &noise, directory, binary, loss, o->v0_const, o->tau, out);
    lg_noise_clear(&noise);
    return status;
}
