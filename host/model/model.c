/* The table of models. */
#include "base/error.h"
#include "model/models.h"

#include <string.h>

static const lg_model_desc *const models[] = {&lg_model_si, &lg_model_prw, &lg_model_mk};

int lg_model_count(void)
{
    return (int)(sizeof models / sizeof *models);
}

const lg_model_desc *lg_model_at(int index)
{
    return index >= 0 && index < lg_model_count() ? models[index] : NULL;
}

const lg_model_desc *lg_model_find(const char *name)
{
    for (int i = 0; name && i < lg_model_count(); i++)
        if (strcmp(models[i]->name, name) == 0) return models[i];
    return NULL;
}

int lg_model_find_param(const lg_model_desc *model, const char *name)
{
    for (int i = 0; i < model->params; i++)
        if (strcmp(model->param[i].name, name) == 0) return i;
    return -1;
}

#define LG_TASK_ROW(name, text) #name,
const char *const lg_task_names[LG_TASK_COUNT] = {LG_TASK_LIST(LG_TASK_ROW)};
#undef LG_TASK_ROW

const char *lg_task_name(lg_task task)
{
    return lg_task_names[task];
}

lg_task lg_task_find(const char *name)
{
    int task = 0;
    while (task < LG_TASK_COUNT && strcmp(lg_task_names[task], name) != 0) task++;
    return (lg_task)task;
}

const char *lg_model_name(int model)
{
    const lg_model_desc *m = lg_model_at(model);
    return m ? m->name : NULL;
}

const char *lg_model_title(int model)
{
    const lg_model_desc *m = lg_model_at(model);
    return m ? m->title : NULL;
}

int lg_model_param_count(int model)
{
    const lg_model_desc *m = lg_model_at(model);
    return m ? m->params : 0;
}

const lg_param_info *lg_model_param(int model, int param)
{
    const lg_model_desc *m = lg_model_at(model);
    return m && param >= 0 && param < m->params ? &m->param[param] : NULL;
}

lg_status lg_model_start_state(lg_context *ctx, const lg_model_desc *model, const char *name, int height, int width,
                               int capacity, uint8_t *state)
{
    bool known = false;
    if (model->id == LG_MODEL_SI) known = lg_si_start_state(name, height, width, state);
    if (model->id == LG_MODEL_MK) known = lg_mk_start_state(name, height, width, capacity, state);
    if (known) return LG_OK;
    return lg_fail(ctx, LG_ERR_CONFIG, "\"%s\" is not a start state of model %s: expected %s%sor a .npy or .h5 file",
                   name, model->name, model->start_states, *model->start_states ? " " : "");
}

void lg_model_statistics(const lg_model_desc *model, const uint8_t *state, size_t sites, double *out)
{
    if (model->id == LG_MODEL_SI) lg_si_statistics(state, sites, out);
    if (model->id == LG_MODEL_MK) lg_mk_statistics(state, sites, out);
}

bool lg_model_check_params(const lg_model_desc *model, const double *params, double gamma, int capacity, char *text,
                           size_t size)
{
    return model->id != LG_MODEL_MK || lg_mk_check_params(params, gamma, capacity, text, size);
}
