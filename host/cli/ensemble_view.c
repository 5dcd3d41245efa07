/* Tables of an ensemble. */
#include "cli/ensemble_view.h"

#include <math.h>

enum { OPTIMA_LISTED = 5 };

static const char *param_name(const lg_result_info *info, int p)
{
    return lg_model_param(info->model_index, p)->name;
}

/* "optimizer.lr" is shown as "lr". */
static const char *axis_name(const lg_result *result, int i)
{
    const char *name = lg_result_coordinate_name(result, i), *last = name;
    for (; *name; name++)
        if (*name == '.') last = name + 1;
    return last;
}

static void print_fits(const lg_result *result, const lg_result_info *info, int listed)
{
    const int axes = lg_result_coordinates(result);
    printf("\n%5s", "fit");
    for (int i = 0; i < axes; i++) printf(" %9s", axis_name(result, i));
    printf(" %-10s %7s", "status", "steps");
    for (int p = 0; p < info->params; p++) printf(" %11s", param_name(info, p));
    printf(" %12s\n", "loss");
    for (int f = 0; f < info->fits && f < listed; f++) {
        double end[LG_SUMMARY_PARAMS], loss;
        lg_result_end(result, f, end, &loss);
        printf("%5d", f + 1);
        for (int i = 0; i < axes; i++) printf(" %9.6g", lg_result_coordinate(result, f)[i]);
        printf(" %-10s %7lld", lg_fit_status_name(lg_result_status(result, f)),
               (long long)lg_result_iterations(result, f));
        for (int p = 0; p < info->params; p++) printf(" %11.5g", end[p]);
        printf(" %12.6g\n", loss);
    }
    if (info->fits > listed) printf("  ... %d more\n", info->fits - listed);
    printf("parameters, loss: means over the last tenth of the iterates\n");
}

static void print_params(const lg_result_info *info, const lg_summary *s)
{
    printf("\n%-12s %10s %10s %10s %10s\n", "parameter", "best", "median", "2.5 %", "97.5 %");
    for (int p = 0; p < info->params; p++) {
        printf("%-12s %10.5g ", param_name(info, p), s->best >= 0 ? s->best_params[p] : s->median[p]);
        if (info->fitted[p]) printf("%10.5g %10.5g %10.5g\n", s->median[p], s->low[p], s->high[p]);
        else printf("%10s\n", "fixed");
    }
    if (s->best >= 0) printf("best: fit %d, loss %.6g\n", s->best + 1, s->best_loss);
    if (s->bootstrap)
        printf("median, interval: bootstrap percentiles of %d resampled data sets, the best fit of each\n",
               s->interval_fits);
    else
        printf("median, interval: over %d fits; what starts and noise do, not the uncertainty of the data "
               "(ensemble.bootstrap)\n",
               s->interval_fits);
}

static void print_optima(const lg_result_info *info, const lg_summary *s)
{
    printf("%d distinct optim%s of %d fits%s\n", s->optima, s->optima == 1 ? "um" : "a", s->good,
           s->optima > 1 ? ":" : "");
    for (int o = 0; s->optima > 1 && o < s->optima && o < OPTIMA_LISTED; o++) {
        printf("  %4d fit%s loss %-12.6g", s->optimum[o].fits, s->optimum[o].fits == 1 ? " " : "s", s->optimum[o].loss);
        for (int p = 0; p < info->params; p++)
            if (info->fitted[p]) printf("  %s %.5g", param_name(info, p), s->optimum[o].params[p]);
        putchar('\n');
    }
    if (s->optima > OPTIMA_LISTED) printf("  ... %d more\n", s->optima - OPTIMA_LISTED);
}

lg_status lg_ensemble_print(lg_cli *cli, const lg_result *result, int listed)
{
    lg_result_info info;
    lg_summary s;
    lg_result_describe(result, &info);
    const lg_status status = lg_result_summary(cli->ctx, result, &s);
    if (status) return status;
    print_fits(result, &info, listed);
    print_params(&info, &s);
    print_optima(&info, &s);
    if (!isnan(s.bound))
        printf("%d of %d fits (%.0f %%) with a loss below %g\n", s.below, s.data_fits,
               s.data_fits ? 100.0 * s.below / s.data_fits : 0.0, s.bound);
    if (s.failed)
        printf("%d of %d fits failed (see the column status) and %s left out\n", s.failed, s.fits,
               s.failed == 1 ? "is" : "are");
    if (s.at_bound) printf("%d fit%s ended with a parameter at a bound\n", s.at_bound, s.at_bound == 1 ? "" : "s");
    printf("%.1f s\n", lg_result_seconds(result));
    return LG_OK;
}

int lg_ensemble_best(lg_cli *cli, const lg_result *result)
{
    lg_summary s;
    const lg_status status = lg_result_is_ensemble(result) ? lg_result_summary(cli->ctx, result, &s) : LG_ERR_USAGE;
    return !status && s.best >= 0 ? s.best : 0;
}
