/* PRW: descriptor and the closed-form MSD. Schering 2024, section on trajectory fitting. */
#include "model/models.h"

static const lg_param_info params[] = {
    {"p_center", 0.0, 1.0, 0.7, true, "probability", "probability that a newly drawn velocity is 0 (per axis)"},
    {"p_resample", 0.0, 1.0, 0.7, true, "per step", "probability that an axis draws a new velocity in a step"},
};

static const double fit_bounds[][2] = {{1e-6, 1.0 - 1e-6}, {1e-6, 1.0 - 1e-6}};

static const char *const statistics[] = {"msd"};

const lg_model_desc lg_model_prw = {
    .id = LG_MODEL_PRW,
    .name = "prw",
    .title = "PRW: persistent random walk on the square lattice, both axes independent",
    .params = 2,
    .param = params,
    .fit_bounds = fit_bounds,
    .state_words = 4,
    .statistics = 1,
    .statistic = statistics,
    .losses = {[LG_TASK_trajectory] = 1u << LG_LOSS_sse},
    .default_loss = {[LG_TASK_trajectory] = LG_LOSS_sse},
    .default_task = LG_TASK_trajectory,
    .default_binary = LG_ESTIMATOR_gs,
    .start_states = "",
};

/* MSD(n) = 2 s (n + 2 sum_{k=1}^{n-1} (n - k) r^k), s = 1 - p_center the variance of a velocity component and
 * r = 1 - p_resample its correlation from step to step; the factor 2 counts the axes. */
void lg_prw_msd(double p_center, double p_resample, int64_t n, double *msd)
{
    const double s = 1.0 - p_center, r = 1.0 - p_resample;
    /* MSD(n + 1) - MSD(n) = 2 s (1 + 2 sum_{k=1}^{n} r^k) */
    double value = 0.0, power = 1.0, sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        value += 2.0 * s * (1.0 + 2.0 * sum);
        msd[i] = value;
        power *= r;
        sum += power;
    }
}

/* With dp/dlogit = p (1 - p): dMSD/dlogit p_center = -p_center MSD, as MSD is proportional to 1 - p_center; and
 * dMSD/dlogit p_resample = -p_resample (1 - p_resample) 4 s sum_{k=1}^{n-1} (n - k) k r^(k-1). */
void lg_prw_msd_slopes(double p_center, double p_resample, int64_t n, double *slopes)
{
    const double s = 1.0 - p_center, r = 1.0 - p_resample;
    double value = 0.0, by_r = 0.0, power = 1.0, sum = 0.0,
           sum_by_r = 0.0; /* power = r^i before it is used as r^(k-1) */
    for (int64_t i = 0; i < n; i++) {
        value += 2.0 * s * (1.0 + 2.0 * sum);
        by_r += 4.0 * s * sum_by_r;
        slopes[2 * i] = -p_center * value;
        slopes[2 * i + 1] = -p_resample * r * by_r;
        sum_by_r += (double)(i + 1) * power;
        power *= r;
        sum += power;
    }
}
