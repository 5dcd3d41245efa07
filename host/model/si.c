/* SI: descriptor and start state. Conlisk (1976); Schering 2024, section on transition fitting. */
#include "model/models.h"

#include <string.h>

static const lg_param_info params[] = {
    {"beta", 0.0, 1.0, 0.5, false, "per aware neighbour and step",
     "probability that one aware neighbour passes the news on in a step"},
};

static const double fit_bounds[][2] = {{1e-6, 1.0 - 1e-6}};

static const char *const statistics[] = {"aware_fraction"};

const lg_model_desc lg_model_si = {
    .id = LG_MODEL_SI,
    .name = "si",
    .title = "SI: diffusive spread of a news item or an infection between Moore neighbours",
    .params = 1,
    .param = params,
    .fit_bounds = fit_bounds,
    .species = 1,
    .statistics = 1,
    .statistic = statistics,
    .losses = {[LG_TASK_transition] = 1u << LG_LOSS_sse | 1u << LG_LOSS_mse | 1u << LG_LOSS_count | 1u << LG_LOSS_nll,
               [LG_TASK_trajectory] = 1u << LG_LOSS_stat,
               [LG_TASK_stability] = 1u << LG_LOSS_sse | 1u << LG_LOSS_mse | 1u << LG_LOSS_log_sse},
    .default_loss =
        {[LG_TASK_transition] = LG_LOSS_sse, [LG_TASK_trajectory] = LG_LOSS_stat, [LG_TASK_stability] = LG_LOSS_sse},
    .default_task = LG_TASK_transition,
    .default_binary = LG_ESTIMATOR_ste,
    .start_states = "centre",
};

bool lg_si_start_state(const char *name, int height, int width, uint8_t *state)
{
    if (strcmp(name, "centre") != 0) return false;
    memset(state, 0, (size_t)height * (size_t)width);
    state[(size_t)(height / 2) * (size_t)width + (size_t)(width / 2)] = 1;
    return true;
}

void lg_si_statistics(const uint8_t *state, size_t sites, double *out)
{
    size_t aware = 0;
    for (size_t i = 0; i < sites; i++) aware += state[i];
    out[0] = (double)aware / (double)sites;
}
