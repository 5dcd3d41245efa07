/* ABC on problems whose posterior is known exactly (exact_posterior.h), by rejection and by sequential Monte Carlo: the weighted
 * samples have its distribution function, mean and variance, and the ranks of true parameters are uniform. */
#include "infer/exact_posterior.h"

#include "rules/philox.h"

static lg_context *ctx;

static void setup(void)
{
    lg_context_create(&ctx);
}

static void teardown(void)
{
    lg_context_free(ctx);
}

TestSuite(posterior, .init = setup, .fini = teardown);

#ifdef __SANITIZE_ADDRESS__ /* it looks at memory, which a few searches use as well as many do, many times slower */
enum { SEEDS = 1, DATA_SETS = 50 };
#else
enum { SEEDS = 8, DATA_SETS = 400 };
#endif

/* 10 runs of 8 sites; the count lies near 32. */
static const char *const si_settings[] = {"model=si",
                                          "task=trajectory",
                                          "lattice.height=3",
                                          "lattice.width=3",
                                          "steps=1",
                                          "replicates=10",
                                          "data.generate.runs=10",
                                          "data.generate.steps=1",
                                          "params.beta.start=0.5",
                                          "data.generate.params.beta=0.4",
                                          "device=cpu",
                                          "threads=1",
                                          NULL};
static const counting si = {si_settings, 80, false};

/* 2 runs: the count of 16. */
static const char *const few_settings[] = {"model=si",
                                           "task=trajectory",
                                           "lattice.height=3",
                                           "lattice.width=3",
                                           "steps=1",
                                           "replicates=2",
                                           "data.generate.runs=2",
                                           "data.generate.steps=1",
                                           "params.beta.start=0.5",
                                           "device=cpu",
                                           "threads=1",
                                           NULL};
static const counting si_small = {few_settings, 16, false};

/* 40 walkers of 2 axes. */
static const char *const prw_settings[] = {"model=prw",
                                           "steps=1",
                                           "replicates=40",
                                           "data.generate.runs=40",
                                           "data.generate.params.p_center=0.3",
                                           "data.generate.params.p_resample=0.4",
                                           "device=cpu",
                                           "threads=1",
                                           NULL};
static const counting prw = {prw_settings, 80, true};

/* Sums over the searches of what a share of the weight, the mean and the variance are off, and of the variances of that. For
 * self-normalised weights w the mean of f has the variance sum w^2 (f - E f)^2 (Geweke 1989); f is the share below a decile,
 * the parameter, or its squared deviation. */
enum { DECILES = 9, CHECKS = DECILES + 2 };
typedef struct deviations {
    double sum[CHECKS], variance[CHECKS];
} deviations;

static void add_deviations(deviations *d, const lg_posterior *p, int params, int which, const double *decile,
                           double mean, double variance, double sign)
{
    for (int c = 0; c < CHECKS; c++)
        for (int i = 0; i < p->samples; i++) {
            const double x = sign < 0 ? 1.0 - p->sample[i * params + which] : p->sample[i * params + which];
            const double f = c < DECILES    ? (x < decile[c]) - 0.1 * (c + 1)
                             : c == DECILES ? x - mean
                                            : (x - mean) * (x - mean) - variance;
            d->sum[c] += p->weight[i] * f;
            d->variance[c] += p->weight[i] * p->weight[i] * f * f;
        }
}

/* 5 errors: a false alarm has the probability 6e-7, for each of the 11. */
static void check_deviations(const deviations *d, const char *what)
{
    for (int c = 0; c < CHECKS; c++) {
        const double z = d->sum[c] / sqrt(d->variance[c]);
        cr_assert_leq(fabs(z), 5.0, "%s: check %d of %d is off by %.2f errors", what, c + 1, CHECKS, z);
    }
}

/* Searches with several seeds together. */
static void check_posterior(const counting *problem, const char *const *method, int seeds, int d, const char *what)
{
    const char *list[32];
    char distance[64], seed[32];
    const char *const extra[] = {seed, NULL};
    const double uniform[DECILES] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    deviations sum = {0}, unseen = {0};
    snprintf(seed, sizeof seed, "seed=1");
    const binomial_posterior exact =
        counted(ctx, problem, with_settings(list, method, extra), d, distance, sizeof distance);
    double decile[DECILES], mean, variance;
    for (int c = 0; c < DECILES; c++) decile[c] = posterior_quantile(&exact, uniform[c]);
    posterior_moments(&exact, &mean, &variance);
    for (int s = 1; s <= seeds && s <= SEEDS; s++) {
        snprintf(seed, sizeof seed, "seed=%d", s);
        lg_result *r = search_counts(ctx, problem, with_settings(list, method, extra), distance);
        lg_posterior p;
        cr_assert(lg_result_posterior(r, &p));
        cr_assert_geq(p.effective, 100.0, "%s, seed %d: %s", what, s, lg_result_reason(r, 0));
        for (int i = 0; i < p.samples; i++) {
            double limit;
            sscanf(distance, "method.distance=%lf", &limit);
            cr_assert_leq(p.distance[i], limit, "%s, seed %d: %s", what, s, lg_result_reason(r, 0));
        }
        const int params = problem->reversed ? 2 : 1;
        add_deviations(&sum, &p, params, 0, decile, mean, variance, problem->reversed ? -1.0 : 1.0);
        /* the parameter that the data say nothing about keeps its prior */
        if (problem->reversed) add_deviations(&unseen, &p, params, 1, uniform, 0.5, 1.0 / 12.0, 1.0);
        lg_result_free(r);
    }
    check_deviations(&sum, what);
    if (problem->reversed) check_deviations(&unseen, "p_resample");
}

/* At a tolerance below one count, and at one that lets 7 counts through. */
#define ABC "method.name=abc", "method.population=1000"
#define SMC "method.name=abc_smc", "method.population=1000", "method.simulations=200000"

Test(posterior, abc_is_exact_for_si)
{
    check_posterior(&si, SETTINGS(ABC, "method.simulations=40000"), 4, 0, "abc, si, the count itself");
    check_posterior(&si, SETTINGS(ABC, "method.simulations=10000"), 4, 3, "abc, si, 7 counts");
}

Test(posterior, abc_is_exact_for_prw)
{
    check_posterior(&prw, SETTINGS(ABC, "method.simulations=40000"), 4, 0, "abc, prw, the count itself");
    check_posterior(&prw, SETTINGS(ABC, "method.simulations=10000"), 4, 3, "abc, prw, 7 counts");
}

Test(posterior, abc_smc_is_exact_for_si)
{
    check_posterior(&si, SETTINGS(SMC), 8, 0, "abc_smc, si, the count itself");
    check_posterior(&si, SETTINGS(SMC), 8, 3, "abc_smc, si, 7 counts");
}

/* The count is 0 or nearly so: the posterior ends at a bound of the prior, where proposals are cut and weights differ most. */
Test(posterior, abc_smc_is_exact_at_a_bound)
{
    static const char *const method[] = {SMC, "data.generate.params.beta=0.002", NULL};
    check_posterior(&si, method, 8, 0, "abc_smc, beta near 0, the count itself");
    check_posterior(&si, method, 8, 3, "abc_smc, beta near 0, up to 3 counts away");
}

Test(posterior, abc_smc_is_exact_for_prw)
{
    check_posterior(&prw, SETTINGS(SMC), 4, 0, "abc_smc, prw, the count itself");
    check_posterior(&prw, SETTINGS(SMC), 4, 3, "abc_smc, prw, 7 counts");
}

/* Simulation-based calibration (Cook, Gelman and Rubin 2006; Talts et al. 2018): where true parameters are drawn from the prior and
 * data from them, the true one's place among draws from its posterior is uniform. Chi-square of 9 degrees of freedom over 10
 * places: above 44.9 with probability 1e-6. Data and search have the same seed, as users leave it. */
enum { PLACES = 10 };

/* Uniform in (0, 1), from a key that no run has. */
static double drawn(int i)
{
    return (lg_philox((uint32_t)i, 0, 0, 0x7e57u, (lg_key){{0x5eedu, 0xca11u}}).w[0] + 0.5) / 4294967296.0;
}

typedef int (*place_fn)(const lg_posterior *p, double truth);

/* Samples of rejection are independent: the place among the first nine. */
static int place_among_nine(const lg_posterior *p, double truth)
{
    int place = 0;
    cr_assert_geq(p->samples, PLACES - 1);
    for (int i = 0; i < PLACES - 1; i++) place += p->sample[i] < truth;
    return place;
}

/* Weighted ones: the tenth of the distribution that the weight below the truth falls into. */
static int place_by_weight(const lg_posterior *p, double truth)
{
    double below = 0.0;
    for (int i = 0; i < p->samples; i++) below += truth > p->sample[i] ? p->weight[i] : 0.0;
    const int place = (int)(PLACES * below);
    return place < PLACES ? place : PLACES - 1;
}

static void check_calibration(const char *const *method, place_fn place_of, const char *what)
{
    int places[PLACES] = {0};
    double chi2 = 0.0;
    for (int i = 0; i < DATA_SETS; i++) {
        const char *list[32];
        char distance[64], seed[32], data_seed[48], truth[64];
        const char *const extra[] = {seed, data_seed, truth, NULL};
        const double beta = drawn(i);
        snprintf(seed, sizeof seed, "seed=%d", i);
        snprintf(data_seed, sizeof data_seed, "data.generate.seed=%d", i);
        snprintf(truth, sizeof truth, "data.generate.params.beta=%.17g", beta);
        with_settings(list, method, extra);
        counted(ctx, &si_small, list, 0, distance, sizeof distance);
        lg_result *r = search_counts(ctx, &si_small, list, distance);
        lg_posterior p;
        cr_assert(lg_result_posterior(r, &p));
        places[place_of(&p, beta)]++;
        lg_result_free(r);
    }
    const double expected = (double)DATA_SETS / PLACES;
    for (int k = 0; k < PLACES; k++) chi2 += (places[k] - expected) * (places[k] - expected) / expected;
    cr_assert_leq(chi2, 44.9, "%s: chi-square %.1f", what, chi2);
}

Test(posterior, abc_is_calibrated)
{
    check_calibration(SETTINGS("method.name=abc", "method.population=512", "method.simulations=1024"), place_among_nine,
                      "abc");
}

Test(posterior, abc_smc_is_calibrated)
{
    check_calibration(SETTINGS("method.name=abc_smc", "method.population=200", "method.simulations=40000"),
                      place_by_weight, "abc_smc");
}
