/* Settings of model parameters: which ones a model has, their ranges, and how they go together. */
#include "base/text.h"
#include "config/store.h"

#include <stdio.h>
#include <string.h>

lg_status lg_config_model(lg_context *ctx, const lg_config *config, const lg_model_desc **out)
{
    const char *name = lg_config_get(config, "model");
    const char *range = lg_option_find("model")->option.range;
    if (!name) return lg_fail(ctx, LG_ERR_CONFIG, "model is not set; expected %s", range);
    *out = lg_model_find(name);
    return *out ? LG_OK : lg_fail(ctx, LG_ERR_INTERNAL, "model '%s' is missing in this build", name);
}

static lg_status unknown_param(lg_context *ctx, const lg_model_desc *model, const char *where, const char *name)
{
    const char *names[LG_MAX_PARAMS];
    lg_text list = {0};
    for (int i = 0; i < model->params; i++) {
        names[i] = model->param[i].name;
        lg_text_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = lg_nearest(name, names, (size_t)model->params);
    const lg_status status = lg_fail(ctx, LG_ERR_CONFIG, "%s: model %s has no parameter '%s'%s%s%s (it has %s)", where,
                                     model->name, name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                                     nearest ? "'?" : "", list.data ? list.data : "");
    lg_text_clear(&list);
    return status;
}

static lg_status outside(lg_context *ctx, const char *where, const lg_param_info *info, const char *value)
{
    char lower[32], upper[32];
    lg_value_format(info->lower, lower, sizeof lower);
    lg_value_format(info->upper, upper, sizeof upper);
    return lg_fail(ctx, LG_ERR_RANGE, "%s: expected %s in [%s, %s], got %s", where, info->name, lower, upper, value);
}

static lg_status check_setting(lg_context *ctx, const lg_model_desc *model, const lg_setting *s)
{
    const char *name_begin = strncmp(s->key, "params.", 7) == 0 ? s->key + 7 : NULL;
    if (strncmp(s->key, "data.generate.params.", 21) == 0) name_begin = s->key + 21;
    if (!name_begin) return LG_OK;

    char where[LG_MESSAGE_SIZE], name[LG_KEY_SIZE];
    snprintf(where, sizeof where, "%.600s%s %s", s->origin, s->load ? ":" : "", s->key);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(name_begin, "."), name_begin);
    const int p = lg_model_find_param(model, name);
    if (p < 0) return unknown_param(ctx, model, where, name);

    const lg_param_info *info = &model->param[p];
    const lg_option_row *row = lg_option_find(s->key);
    double low, high;
    if (!s->value || !row || row->option.type == LG_OPT_STRING) return LG_OK;
    if (!lg_value_pair(s->value, &low, &high)) {
        if (!lg_parse_double(s->value, &low)) return lg_fail(ctx, LG_ERR_INTERNAL, "%s: '%s'", where, s->value);
        high = low;
    }
    return low >= info->lower && high <= info->upper ? LG_OK : outside(ctx, where, info, s->value);
}

lg_status lg_config_check_params(lg_context *ctx, const lg_config *config)
{
    const char *name = lg_config_get(config, "model");
    const lg_model_desc *model = name ? lg_model_find(name) : NULL;
    for (size_t i = 0; model && i < config->count; i++) {
        const lg_status status = check_setting(ctx, model, &config->setting[i]);
        if (status) return status;
    }
    return LG_OK;
}

/* What must hold between start, bounds and transform. */
static lg_status check_fitted(lg_context *ctx, const lg_config *config, const char *name, const lg_param_setting *p)
{
    char key[LG_KEY_SIZE], start[32], lower[32], upper[32];
    snprintf(key, sizeof key, "params.%s", name);
    lg_value_format(p->start, start, sizeof start);
    if (p->start < p->lower || p->start > p->upper) {
        lg_value_format(p->lower, lower, sizeof lower);
        lg_value_format(p->upper, upper, sizeof upper);
        return lg_fail(ctx, LG_ERR_RANGE, "%s: %s: the start value %s is outside the bounds [%s, %s]",
                       lg_config_origin(config, key), key, start, lower, upper);
    }
    const bool logit = p->transform && strcmp(p->transform, "logit") == 0;
    if (logit && !(p->start > 0.0 && p->start < 1.0)) {
        return lg_fail(ctx, LG_ERR_RANGE, "%s: %s: transform logit needs a start value between 0 and 1, got %s",
                       lg_config_origin(config, key), key, start);
    }
    return LG_OK;
}

/* The setting params.NAME + suffix, or NULL. */
static const char *part(const lg_config *config, const char *name, const char *suffix)
{
    char key[LG_KEY_SIZE];
    snprintf(key, sizeof key, "params.%s%s", name, suffix);
    const lg_setting *s = lg_config_find(config, key);
    return s ? s->value : NULL;
}

lg_status lg_config_param(lg_context *ctx, const lg_config *config, const char *name, lg_param_setting *out)
{
    const lg_model_desc *model;
    lg_status status = lg_config_model(ctx, config, &model);
    if (!status) status = lg_config_check_params(ctx, config);
    if (status) return status;
    const int index = lg_model_find_param(model, name);
    if (index < 0) return unknown_param(ctx, model, "params", name);
    const lg_param_info *info = &model->param[index];
    *out = (lg_param_setting){.fitted = true, .start = info->start, .lower = info->lower, .upper = info->upper};

    char key[LG_KEY_SIZE];
    snprintf(key, sizeof key, "params.%s", name);
    out->given = lg_config_is_set(config, key);
    if (!out->given && lg_config_is_set(config, "params")) {
        for (int i = 0; i < model->params; i++) {
            snprintf(key, sizeof key, "params.%s", model->param[i].name);
            if (!lg_config_is_set(config, key)) continue;
            return lg_fail(ctx, LG_ERR_CONFIG,
                           "params.%s is missing (%s: params.%s is given): write a number to hold it fixed, or "
                           "{start: NUMBER} to fit it",
                           name, lg_config_origin(config, key), model->param[i].name);
        }
    }
    if (!out->given) return LG_OK;

    const char *fixed = part(config, name, ""), *start = part(config, name, ".start");
    const char *bounds = part(config, name, ".bounds");
    if (fixed || start) (void)lg_parse_double(fixed ? fixed : start, &out->start);
    out->fitted = !fixed;
    out->has_bounds = bounds && lg_value_pair(bounds, &out->lower, &out->upper);
    out->transform = part(config, name, ".transform");
    return fixed ? LG_OK : check_fitted(ctx, config, name, out);
}

lg_status lg_config_generate_param(lg_context *ctx, const lg_config *config, const char *name, bool *given, double *out)
{
    char key[LG_KEY_SIZE];
    snprintf(key, sizeof key, "data.generate.params.%s", name);
    const lg_setting *s = lg_config_find(config, key);
    *given = s != NULL;
    if (!s) return LG_OK;
    if (lg_parse_double(s->value, out)) return LG_OK;
    return lg_fail(ctx, LG_ERR_INTERNAL, "%s: '%s' is not a number", key, s->value);
}
