/* config -> problem: checks every setting against model, task and data, and fills the job. */
#include "fit/problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/hosted.h"
#include "base/text.h"

/* ---- names to numbers ------------------------------------------------------------------------------------------- */

#define LG_NAME_ROW(name, text) #name,
static const char *const loss_names[] = {LG_LOSS_LIST(LG_NAME_ROW)};
#undef LG_NAME_ROW

lg_status lg_problem_choose(lg_context *ctx, const lg_config *c, const char *key, const char *const *names,
                            size_t count, int *out)
{
    const char *text;
    const lg_status status = lg_config_text(ctx, c, key, &text);
    if (status) return status;
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (int)i;
            return LG_OK;
        }
    const char *near = text ? lg_nearest(text, names, count) : NULL;
    return lg_fail(ctx, LG_ERR_CONFIG, "%s: %s is \"%s\"%s%s%s", lg_config_origin(c, key), key, text ? text : "",
                   near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Integers of the job, with the range that fits its fields. */
lg_status lg_problem_whole(lg_context *ctx, const lg_config *c, const char *key, int64_t low, int64_t high,
                           int64_t *out)
{
    const lg_status status = lg_config_int(ctx, c, key, out);
    if (status) return status;
    if (*out >= low && *out <= high) return LG_OK;
    return lg_fail(ctx, LG_ERR_RANGE, "%s: %s is %lld: expected a number from %lld to %lld", lg_config_origin(c, key),
                   key, (long long)*out, (long long)low, (long long)high);
}

static lg_status whole32(lg_context *ctx, const lg_config *c, const char *key, int64_t low, int64_t high, uint32_t *out)
{
    int64_t value = 0;
    const lg_status status = lg_problem_whole(ctx, c, key, low, high, &value);
    *out = (uint32_t)value;
    return status;
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

static lg_status read_model(lg_context *ctx, const lg_config *c, lg_job *job)
{
    const char *name;
    lg_status status = lg_config_text(ctx, c, "model", &name);
    if (status) return status;
    if (!name) return lg_fail(ctx, LG_ERR_CONFIG, "the configuration names no model: set model to si, prw or mk");
    job->model = lg_model_find(name);
    if (!job->model)
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: there is no model \"%s\": expected si, prw or mk",
                       lg_config_origin(c, "model"), name);
    int task = 0;
    if ((status = lg_problem_choose(ctx, c, "task", lg_task_names, LG_TASK_COUNT, &task))) return status;
    job->task = (lg_task)task;
    if (job->task != LG_TASK_simulate && job->model->losses[task] == 0)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "%s: model %s has no task %s (%s): use %s", lg_config_origin(c, "task"),
                       name, lg_task_name(job->task),
                       job->model->species ? "no such data" : "it has no lattice state to compare",
                       lg_task_name(job->model->default_task));
    return LG_OK;
}

static lg_status read_loss(lg_context *ctx, const lg_config *c, lg_job *job)
{
    int loss = 0;
    if (job->task == LG_TASK_simulate) return lg_problem_read_estimator(ctx, c, job); /* of lg_problem_set_loss */
    lg_status status = lg_problem_choose(ctx, c, "loss", loss_names, sizeof loss_names / sizeof *loss_names, &loss);
    if (status) return status;
    job->loss = (lg_loss)loss;
    const unsigned allowed = job->model->losses[job->task];
    if (!(allowed & 1u << loss)) {
        lg_text list = {0};
        for (unsigned i = 0; i < sizeof loss_names / sizeof *loss_names; i++)
            if (allowed & 1u << i) lg_text_printf(&list, "%s%s", list.size ? ", " : "", loss_names[i]);
        status = lg_fail(ctx, LG_ERR_UNSUPPORTED, "%s: loss %s is not defined for model %s, task %s: expected %s",
                         lg_config_origin(c, "loss"), loss_names[loss], job->model->name, lg_task_name(job->task),
                         list.data ? list.data : "another");
        free(list.data);
        return status;
    }
    return lg_problem_read_estimator(ctx, c, job);
}

static lg_status read_sizes(lg_context *ctx, const lg_config *c, lg_job *job)
{
    int64_t seed = 0, mib = 0;
    lg_status status = LG_OK;
    job->tau = 1.0;
    if (job->model->species) {
        status = whole32(ctx, c, "lattice.height", 3, 1 << 20, &job->height);
        if (!status) status = whole32(ctx, c, "lattice.width", 3, 1 << 20, &job->width);
    }
    job->capacity = 1;
    if (!status && job->model->has_capacity) {
        status = whole32(ctx, c, "lattice.capacity", 3, 255, &job->capacity);
        if (!status) status = lg_config_real(ctx, c, "lattice.gamma", &job->gamma);
    }
    if (!status) status = whole32(ctx, c, "steps", 1, INT32_MAX, &job->steps);
    if (!status) status = whole32(ctx, c, "replicates", 1, INT32_MAX, &job->replicates);
    if (!status) status = whole32(ctx, c, "fits", 1, LG_MAX_FITS, &job->fits);
    if (!status) status = whole32(ctx, c, "first_fit", 0, LG_MAX_FITS - (int64_t)job->fits, &job->first_fit);
    if (!status) status = lg_config_int(ctx, c, "seed", &seed);
    if (!status) status = lg_problem_whole(ctx, c, "memory_limit", 0, INT64_MAX >> 20, &mib);
    job->seed = (uint64_t)seed;
    job->memory_limit = (size_t)mib << 20;
    if (!status && job->task == LG_TASK_transition && job->steps != 1)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "%s: steps is %u: transition fits compare pairs one step apart, steps must be 1",
                       lg_config_origin(c, "steps"), job->steps);
    return status;
}

static lg_status read_param(lg_context *ctx, const lg_config *c, const lg_job *job, int i, bool any_given,
                            lg_optimizer *o, double *value)
{
    const lg_param_info *info = &job->model->param[i];
    char key[80];
    lg_param_setting s;
    const lg_status status = lg_config_param(ctx, c, info->name, &s);
    if (status) return status;
    snprintf(key, sizeof key, "params.%s", info->name);
    if (!s.given && any_given && job->task != LG_TASK_simulate)
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s is not set: give a number to hold it fixed, or start, bounds and transform to fit it", key);
    o->fitted[i] = s.given ? s.fitted : true;
    o->grad_of_logit[i] = info->grad_of_logit;
    *value = s.given ? s.start : info->start;
    if (!(*value >= info->lower && *value <= info->upper))
        return lg_fail(ctx, LG_ERR_RANGE, "%s: %s is %g: expected a number in [%g, %g]", lg_config_origin(c, key), key,
                       *value, info->lower, info->upper);
    o->transform[i] = info->grad_of_logit ? LG_TRANSFORM_logit : LG_TRANSFORM_none;
    if (s.transform) o->transform[i] = strcmp(s.transform, "logit") == 0 ? LG_TRANSFORM_logit : LG_TRANSFORM_none;
    o->lower[i] = s.has_bounds ? s.lower : job->model->fit_bounds[i][0];
    o->upper[i] = s.has_bounds ? s.upper : job->model->fit_bounds[i][1];
    if (o->transform[i] == LG_TRANSFORM_logit) { /* an infinite coordinate could never come back */
        o->lower[i] = fmax(o->lower[i], 1e-6);
        o->upper[i] = fmin(o->upper[i], 1.0 - 1e-6);
    }
    if (!o->fitted[i]) return LG_OK;
    if (!(o->lower[i] < o->upper[i]) || o->lower[i] < info->lower || o->upper[i] > info->upper)
        return lg_fail(ctx, LG_ERR_RANGE, "%s: bounds of %s are [%g, %g]: expected lower < upper inside [%g, %g]",
                       lg_config_origin(c, key), key, o->lower[i], o->upper[i], info->lower, info->upper);
    if (*value < o->lower[i] || *value > o->upper[i])
        return lg_fail(ctx, LG_ERR_RANGE, "%s: %s starts at %g, outside the bounds [%g, %g]", lg_config_origin(c, key),
                       key, *value, o->lower[i], o->upper[i]);
    return LG_OK;
}

static lg_status read_params(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    lg_job *job = &p->job;
    const size_t P = LG_MAX_PARAMS < job->model->params ? LG_MAX_PARAMS : (size_t)job->model->params;
    bool any = false;
    for (size_t i = 0; i < P; i++) {
        lg_param_setting s;
        const lg_status status = lg_config_param(ctx, c, job->model->param[i].name, &s);
        if (status) return status;
        any |= s.given;
    }
    p->params = calloc(job->fits * P, sizeof *p->params);
    if (!p->params) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %u fits", job->fits);
    job->params = p->params;
    job->optimizer.params = (int)P;
    for (size_t i = 0; i < P; i++) {
        double value = 0.0;
        const lg_status status = read_param(ctx, c, job, (int)i, any, &job->optimizer, &value);
        if (status) return status;
        for (size_t f = 0; f < job->fits; f++) p->params[f * P + i] = value;
    }
    char text[256];
    if (!lg_model_check_params(job->model, p->params, job->gamma, (int)job->capacity, text, sizeof text))
        lg_log(ctx, LG_LOG_WARNING, "%s", text);
    return LG_OK;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

static lg_status open_device(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    const char *device;
    int64_t threads = 0;
    lg_status status = lg_config_text(ctx, c, "device", &device);
    if (!status) status = lg_problem_whole(ctx, c, "threads", 0, 4096, &threads);
    if (!status) status = lg_backend_open(ctx, device ? device : "auto", (int)threads, &p->backend, &p->device);
    if (!status) p->backend->describe(p->device, p->device_text, sizeof p->device_text);
    return status;
}

/* The configuration as it took effect: sizes that the data decided are written out. */
static lg_status print_effective(lg_context *ctx, const lg_config *config, lg_problem *p)
{
    const struct {
        const char *key;
        uint32_t value;
        bool applies;
    } decided[] = {{"lattice.height", p->job.height, p->job.model->species > 0},
                   {"lattice.width", p->job.width, p->job.model->species > 0},
                   {"steps", p->job.steps, true},
                   {"fits", p->job.fits, p->ensemble.axes}};
    lg_config *copy = lg_config_copy(config);
    lg_status status = copy ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; !status && i < sizeof decided / sizeof *decided; i++) {
        char text[24];
        snprintf(text, sizeof text, "%u", decided[i].value);
        if (decided[i].applies) status = lg_config_set(ctx, copy, decided[i].key, text);
    }
    if (!status) status = lg_config_print(ctx, copy, &p->config_yaml);
    lg_config_free(copy);
    return status;
}

lg_status lg_problem_plan(lg_context *ctx, lg_problem *p)
{
    bool gradients = lg_problem_has_loss(p);
    lg_job job = p->job;
    if (p->search.kind != LG_SEARCH_gradient) job = lg_search_job(p, p->params, &gradients);
    return p->backend->plan(ctx, p->device, &job, gradients, &p->plan);
}

static lg_status build_data(lg_context *ctx, const lg_config *config, lg_problem *p)
{
    lg_status status = read_model(ctx, config, &p->job);
    if (!status) status = read_sizes(ctx, config, &p->job);
    if (!status) status = lg_ensemble_open(ctx, config, p);
    if (!status) status = read_loss(ctx, config, &p->job);
    if (!status) status = read_params(ctx, config, p);
    if (!status) status = open_device(ctx, config, p);
    if (!status) status = lg_problem_load_data(ctx, config, p);
    return status ? status : lg_resample(ctx, config, p);
}

static lg_status build_fit(lg_context *ctx, const lg_config *config, lg_problem *p)
{
    lg_status status = lg_problem_read_optimizer(ctx, config, p);
    if (!status) status = lg_search_read(ctx, config, p);
    if (!status) status = lg_ensemble_apply(ctx, config, p);
    if (!status && p->job.task != LG_TASK_simulate) status = lg_method_open(ctx, &p->job, &p->backend, &p->device);
    if (!status) status = lg_problem_check_optimizer(ctx, config, p);
    if (!status) status = lg_problem_read_options(ctx, config, p);
    if (!status) status = lg_problem_plan(ctx, p);
    if (!status) status = print_effective(ctx, config, p);
    return status;
}

static lg_status build(lg_context *ctx, const lg_config *config, lg_problem *p)
{
    lg_config *own = NULL;
    lg_status status = build_data(ctx, config, p);
    if (!status) status = lg_problem_settle_optimizer(ctx, config, p, &own);
    if (!status) status = build_fit(ctx, own ? own : config, p);
    lg_config_free(own);
    return status;
}

lg_status lg_problem_create(lg_context *ctx, const lg_config *config, lg_problem **out)
{
    lg_problem *p = calloc(1, sizeof *p);
    if (!p) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    const lg_status status = build(ctx, config, p);
    if (status) {
        lg_problem_free(p);
        return status;
    }
    if (p->plan.segment > 1 && p->plan.segment < p->job.steps)
        lg_log(ctx, LG_LOG_INFO, "the tape of %u steps does not fit: checkpoints every %u steps, one more forward pass",
               p->job.steps, p->plan.segment);
    *out = p;
    return LG_OK;
}

void lg_problem_free(lg_problem *p)
{
    if (!p) return;
    if (p->batch) p->backend->destroy(p->batch);
    if (p->device) p->backend->close(p->device);
    void *const owned[] = {p->start,      p->target,     p->record,      p->target_stat, p->weight_stat,
                           p->combine,    p->params,     p->config_yaml, p->checkpoint,  p->fit_optimizer,
                           p->fit_target, p->fit_weight, p->resample,    p->own_record};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    lg_ensemble_close(&p->ensemble);
    lg_sample_close(&p->sample);
    free(p);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

void lg_problem_describe(const lg_problem *p, lg_problem_info *info)
{
    const lg_job *job = &p->job;
    *info = (lg_problem_info){
        .model = job->model->name,
        .task = lg_task_name(job->task),
        .loss = job->own.function               ? "own"
                : job->task == LG_TASK_simulate ? "none"
                                                : loss_names[job->loss],
        .device = p->device_text,
        .model_index = (int)job->model->id,
        .params = job->model->params,
        .fits = (int)job->fits,
        .species = job->model->species,
        .height = (int)job->height,
        .width = (int)job->width,
        .capacity = job->model->species ? (int)job->capacity : 0,
        .replicates = job->replicates,
        .steps = job->steps,
        .iterations = p->iterations,
        .seed = job->seed,
        .pool = job->pool,
        .statistics = job->target_stat ? (int)lg_job_statistics(job) : 0,
        .state_bytes = p->plan.state_bytes,
        .tape_bytes = p->plan.tape_bytes,
        .total_bytes = p->plan.total_bytes,
        .checkpoint_interval = p->plan.segment > 1 && p->plan.segment < job->steps ? p->plan.segment : 0,
        .kernels = p->plan.kernels,
    };
}

void lg_problem_start(const lg_problem *p, int fit, double *params)
{
    const size_t P = (size_t)p->job.model->params;
    memcpy(params, p->params + (size_t)fit * P, P * sizeof *params);
}

bool lg_problem_is_fitted(const lg_problem *p, int param)
{
    return param >= 0 && param < p->job.model->params && p->job.optimizer.fitted[param];
}

const double *lg_problem_target(const lg_problem *p)
{
    return p->target_stat;
}

const double *lg_problem_weight(const lg_problem *p)
{
    return p->weight_stat;
}
