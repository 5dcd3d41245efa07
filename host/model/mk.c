/* MK: descriptor, start states, statistics, pattern test. Malevanets and Kapral, Phys. Rev. E 55, 5657 (1997). */
#include "model/models.h"
#include "model/spectrum.h"

#include <stdio.h>
#include <string.h>

static const lg_param_info params[] = {
    {"D_A", 0.0, 1.0, 0.1, false, "per step", "probability that the excited particles of A move in a step"},
    {"D_B", 0.0, 1.0, 0.4, false, "per step", "probability that the excited particles of B move in a step"},
    {"k1", 0.0, 1.0, 0.98, false, "rate", "rate of the autocatalysis of A, both directions"},
    {"k2", 0.0, 1.0, 0.1, false, "rate", "rate of the exchange between A and B, both directions"},
    {"k3", 0.0, 1.0, 0.2, false, "rate", "rate of the production and loss of B, both directions"},
};

/* Rates may be 0 or 1; at D = 0 or 1 no direction noise is left and the gradient of D vanishes. */
static const double fit_bounds[][2] = {{0.001, 0.999}, {0.001, 0.999}, {0.0, 1.0}, {0.0, 1.0}, {0.0, 1.0}};

static const char *const statistics[] = {"mean_A", "mean_B", "var_A", "var_B"};
static const char *const formation[LG_FORMATION_STATISTICS] = {"mean_A",   "mean_B",    "log_var_A", "log_var_B",
                                                               "log_S1_A", "log_S2_A",  "log_S3_A",  "log_S4_A",
                                                               "log_S5_A", "log_S6_A",  "log_S7_A",  "log_S8_A",
                                                               "log_S9_A", "log_S10_A", "log_S11_A", "log_S12_A",
                                                               "log_S1_B", "log_S2_B",  "log_S3_B",  "log_S4_B",
                                                               "log_S5_B", "log_S6_B",  "log_S7_B",  "log_S8_B",
                                                               "log_S9_B", "log_S10_B", "log_S11_B", "log_S12_B"};

const lg_model_desc lg_model_mk = {
    .id = LG_MODEL_MK,
    .name = "mk",
    .title = "MK: Malevanets-Kapral reaction-diffusion automaton with Turing-like patterns",
    .params = 5,
    .param = params,
    .fit_bounds = fit_bounds,
    .species = 2,
    .has_capacity = true,
    .statistics = 4,
    .statistic = statistics,
    .formation_statistics = LG_FORMATION_STATISTICS,
    .formation_statistic = formation,
    .losses = {[LG_TASK_transition] = 1u << LG_LOSS_sse | 1u << LG_LOSS_mse,
               [LG_TASK_trajectory] = 1u << LG_LOSS_stat,
               [LG_TASK_formation] = 1u << LG_LOSS_stat,
               [LG_TASK_stability] = 1u << LG_LOSS_sse | 1u << LG_LOSS_mse | 1u << LG_LOSS_log_sse},
    .default_loss = {[LG_TASK_transition] = LG_LOSS_sse,
                     [LG_TASK_trajectory] = LG_LOSS_stat,
                     [LG_TASK_formation] = LG_LOSS_stat,
                     [LG_TASK_stability] = LG_LOSS_log_sse},
    .default_task = LG_TASK_stability,
    .default_binary = LG_ESTIMATOR_ste,
    .start_states = "uniform|stripe",
};

/* uniform: n = m = N / 2. stripe: the same with n = 4 N / 5 on six rows in the middle (40 of 50 on rows 29..34 of 64). */
bool lg_mk_start_state(const char *name, int height, int width, int capacity, uint8_t *state)
{
    const size_t sites = (size_t)height * (size_t)width;
    const bool stripe = strcmp(name, "stripe") == 0;
    if (!stripe && strcmp(name, "uniform") != 0) return false;
    memset(state, capacity / 2, 2 * sites);
    if (!stripe) return true;
    const int first = height / 2 - 3 < 0 ? 0 : height / 2 - 3, end = first + 6 < height ? first + 6 : height;
    for (int i = first; i < end; i++) memset(state + (size_t)i * (size_t)width, capacity * 4 / 5, (size_t)width);
    return true;
}

/* Means, then population variances over the sites, from exact integer sums. */
void lg_mk_statistics(const uint8_t *state, size_t sites, double *out)
{
    for (int s = 0; s < 2; s++) {
        uint64_t sum = 0, square = 0;
        const uint8_t *x = state + (size_t)s * sites;
        for (size_t i = 0; i < sites; i++) {
            sum += x[i];
            square += (uint64_t)x[i] * x[i];
        }
        const double mean = (double)sum / (double)sites;
        out[s] = mean;
        out[2 + s] = (double)square / (double)sites - mean * mean;
    }
}

/* Largest probability of each reaction over all counts, against 1. */
bool lg_mk_check_params(const double *p, double gamma, int capacity, char *text, size_t size)
{
    const double N = capacity;
    double cubic = 0.0;
    for (int n = 0; n <= capacity; n++) {
        const double v = (double)n * (n - 1) * (N - n);
        if (v > cubic) cubic = v;
    }
    const double largest[3] = {gamma * p[2] * cubic / ((N - 1) * (N - 2)), gamma * p[3] * N, gamma * p[4] * N};
    for (int g = 0; g < 3; g++)
        if (largest[g] > 1.0) {
            snprintf(text, size,
                     "with k%d = %g, gamma = %g and capacity %d a reaction probability reaches %.3g; above 1 it is "
                     "taken as certain",
                     g + 1, p[2 + g], gamma, capacity, largest[g]);
            return false;
        }
    return true;
}

static double covariance(const uint8_t *plane, int height, int width, double mean, int dr, int dc)
{
    double sum = 0.0;
    for (int i = 0; i < height; i++) {
        const uint8_t *row = plane + (size_t)i * (size_t)width,
                      *other = plane + (size_t)((i + dr) % height) * (size_t)width;
        for (int j = 0; j < width; j++) sum += (row[j] - mean) * (other[(j + dc) % width] - mean);
    }
    return sum / ((double)height * width);
}

void lg_pattern(const uint8_t *plane, int height, int width, double *variance, double *c2)
{
    double sum = 0.0;
    for (size_t i = 0; i < (size_t)height * (size_t)width; i++) sum += plane[i];
    const double mean = sum / ((double)height * width);
    *variance = covariance(plane, height, width, mean, 0, 0);
    const double c =
        0.5 * (covariance(plane, height, width, mean, 2, 0) + covariance(plane, height, width, mean, 0, 2));
    *c2 = *variance > 0.0 ? c / *variance : 0.0;
}
