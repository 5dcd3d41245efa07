/* What a result is about, for programs that show it. */
#include "fit/result.h"

void lg_result_describe(const lg_result *result, lg_result_info *info)
{
    *info = (lg_result_info){
        .model = result->model->name,
        .task = result->task,
        .loss = result->loss,
        .device = result->device,
        .config = result->config_yaml ? result->config_yaml : "",
        .model_index = (int)result->model->id,
        .params = result->model->params,
        .fits = result->fits,
        .seed = result->seed,
        .fitted = result->fitted,
        .statistics = result->statistics,
        .statistic_count = lg_task_statistics(result->model, lg_task_find(result->task)),
        .statistic_names = lg_task_statistic_names(result->model, lg_task_find(result->task)),
    };
}

const double *lg_result_target(const lg_result *result)
{
    return result->target;
}

const double *lg_result_weight(const lg_result *result)
{
    return result->weight;
}

const double *lg_result_statistics(const lg_result *result, int fit)
{
    return result->last_statistics ? result->last_statistics + (size_t)fit * (size_t)result->statistics : NULL;
}
