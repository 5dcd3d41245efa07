/* The table, JSON and CSV of a comparison. */
#include "cli/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double lg_compare_median(double *value, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(value[i])) value[i] = INFINITY;
    qsort(value, (size_t)n, sizeof *value, ascending);
    if (n == 0) return NAN;
    const double low = value[(n - 1) / 2], high = value[n / 2];
    return low == high ? low : 0.5 * (low + high);
}

/* ---- what is said of a method ------------------------------------------------------------------------------------ */

typedef struct numbers {
    int reached;
    /* medians over the seeds; infinite: half of them or more never got there */
    double reached_seconds, reached_evaluations, error, loss, seconds, evaluations;
    double mean[LG_COMPARE_PARAMS], sd[LG_COMPARE_PARAMS]; /* of the estimates over the seeds */
    bool posterior;
    double low[LG_COMPARE_PARAMS], high[LG_COMPARE_PARAMS]; /* medians of the ends of the 95 % intervals */
} numbers;

static const lg_compare_point *end_of(const lg_compare_run *run)
{
    return &run->point[run->points - 1];
}

/* The median over the seeds of a column, told by its place in lg_compare_run. */
static double median_of(const lg_compare *c, int method, size_t place, double *room)
{
    for (int s = 0; s < c->seeds; s++) {
        const char *run = (const char *)&c->run[method * c->seeds + s];
        memcpy(&room[s], run + place, sizeof *room);
    }
    return lg_compare_median(room, c->seeds);
}

static void scatter(const lg_compare *c, const lg_compare_run *run, int p, double *mean, double *sd)
{
    double sum = 0.0, square = 0.0;
    for (int s = 0; s < c->seeds; s++) sum += end_of(&run[s])->params[p];
    *mean = sum / c->seeds;
    for (int s = 0; s < c->seeds; s++) square += pow(end_of(&run[s])->params[p] - *mean, 2.0);
    *sd = c->seeds > 1 ? sqrt(square / (c->seeds - 1)) : NAN;
}

static void count(const lg_compare *c, int method, numbers *out)
{
    const lg_compare_run *run = &c->run[method * c->seeds];
    double room[LG_COMPARE_SEEDS];
    *out = (numbers){.posterior = run->posterior};
    for (int s = 0; s < c->seeds; s++) out->reached += isfinite(run[s].reached_seconds) != 0;
    out->reached_seconds = median_of(c, method, offsetof(lg_compare_run, reached_seconds), room);
    out->reached_evaluations = median_of(c, method, offsetof(lg_compare_run, reached_evaluations), room);
    out->loss = median_of(c, method, offsetof(lg_compare_run, loss), room);
    out->seconds = median_of(c, method, offsetof(lg_compare_run, seconds), room);
    out->evaluations = median_of(c, method, offsetof(lg_compare_run, evaluations), room);
    for (int s = 0; s < c->seeds; s++) room[s] = end_of(&run[s])->error;
    out->error = lg_compare_median(room, c->seeds);
    for (int k = 0; k < c->dims; k++) {
        const int p = c->fitted[k];
        const size_t at = (size_t)p * sizeof(double);
        scatter(c, run, p, &out->mean[p], &out->sd[p]);
        out->low[p] = median_of(c, method, offsetof(lg_compare_run, low) + at, room);
        out->high[p] = median_of(c, method, offsetof(lg_compare_run, high) + at, room);
    }
}

static const char *param_name(const lg_compare *c, int p)
{
    return lg_model_param(c->info.model_index, p)->name;
}

static const char *measure(const lg_compare *c)
{
    return c->by_params ? "params" : "loss";
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void print_head(const lg_compare *c)
{
    const double simulations = (double)c->evaluations * (double)c->info.replicates;
    printf("%s, task %s, loss %s, %lld replicates of %lld steps, %s, %s time\n", c->info.model, c->info.task,
           c->info.loss, (long long)c->info.replicates, (long long)c->info.steps, c->info.device,
           c->processor_time ? "processor" : "elapsed");
    printf("a run: up to %lld evaluations, %.4g simulations; seeds %llu to %llu\n", (long long)c->evaluations,
           simulations, (unsigned long long)c->seed, (unsigned long long)(c->seed + (uint64_t)c->seeds - 1));
    if (c->by_params) printf("error: root mean square of the relative errors of the parameters");
    else
        printf("error: by how much the expected loss is above the best one found, %.6g, as a share of it",
               c->best_loss);
    printf("; to be reached for good: %g\n\n", c->wanted);
    printf("%-22s %7s %9s %11s %9s %10s %9s %11s", "method", "reached", "s to it", "simulations", "error", "loss",
           "all s", "simulations");
    for (int k = 0; k < c->dims; k++) printf("  %-20s", param_name(c, c->fitted[k]));
    puts("");
}

static void print_finite(const char *format, int width, double value)
{
    if (isfinite(value)) printf(format, width, value);
    else printf(" %*s", width, "-");
}

void lg_compare_print(const lg_compare *c)
{
    const double runs = (double)c->info.replicates;
    print_head(c);
    for (int m = 0; m < c->methods; m++) {
        numbers n;
        char reached[32], value[48];
        count(c, m, &n);
        snprintf(reached, sizeof reached, "%d/%d", n.reached, c->seeds);
        printf("%-22s %7s", c->method[m], reached);
        print_finite(" %*.3g", 9, n.reached_seconds);
        print_finite(" %*.3g", 11, n.reached_evaluations * runs);
        print_finite(" %*.3g", 9, n.error);
        print_finite(" %*.5g", 10, n.loss);
        print_finite(" %*.3g", 9, n.seconds);
        print_finite(" %*.3g", 11, n.evaluations * runs);
        for (int k = 0; k < c->dims; k++) {
            const int p = c->fitted[k];
            if (c->seeds > 1) snprintf(value, sizeof value, "%.4g +- %.2g", n.mean[p], n.sd[p]);
            else snprintf(value, sizeof value, "%.4g", n.mean[p]);
            printf("  %-20s", value);
        }
        puts("");
        if (n.posterior) {
            printf("  95 %% of the posterior:");
            for (int k = 0; k < c->dims; k++)
                printf("%s %s %.4g to %.4g", k ? "," : "", param_name(c, c->fitted[k]), n.low[c->fitted[k]],
                       n.high[c->fitted[k]]);
            puts("");
        }
    }
    puts("\nmedians over the seeds; parameters: mean and standard deviation over the seeds");
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void put(const char *name, double value)
{
    printf(", \"%s\": ", name);
    lg_cli_json_number(stdout, value);
}

static void json_method(const lg_compare *c, int m)
{
    const double runs = (double)c->info.replicates;
    numbers n;
    count(c, m, &n);
    printf("{\"method\": \"%s\", \"reached\": %d", c->method[m], n.reached);
    put("seconds_to_error", n.reached_seconds);
    put("simulations_to_error", n.reached_evaluations * runs);
    put("error", n.error);
    put("loss", n.loss);
    put("seconds", n.seconds);
    put("simulations", n.evaluations * runs);
    printf(", \"params\": {");
    for (int k = 0; k < c->dims; k++) {
        const int p = c->fitted[k];
        printf("%s\"%s\": {\"mean\": ", k ? ", " : "", param_name(c, p));
        lg_cli_json_number(stdout, n.mean[p]);
        put("sd", n.sd[p]);
        put("low", n.posterior ? n.low[p] : NAN);
        put("high", n.posterior ? n.high[p] : NAN);
        printf("}");
    }
    printf("}}");
}

static void json_run(const lg_compare *c, const lg_compare_run *run)
{
    const double runs = (double)c->info.replicates;
    printf("{\"method\": \"%s\", \"seed\": %llu, \"status\": \"%s\"", c->method[run->method],
           (unsigned long long)run->seed, lg_fit_status_name(run->status));
    put("seconds_to_error", run->reached_seconds);
    put("simulations_to_error", run->reached_evaluations * runs);
    put("error", end_of(run)->error);
    put("loss", run->loss);
    printf(", \"params\": {");
    for (int k = 0; k < c->dims; k++) {
        printf("%s\"%s\": ", k ? ", " : "", param_name(c, c->fitted[k]));
        lg_cli_json_number(stdout, end_of(run)->params[c->fitted[k]]);
    }
    printf("}, \"curve\": [");
    for (int k = 0; k < run->points; k++) {
        printf("%s[", k ? ", " : "");
        lg_cli_json_number(stdout, run->point[k].evaluations * runs);
        printf(", ");
        lg_cli_json_number(stdout, run->point[k].seconds);
        printf(", ");
        lg_cli_json_number(stdout, run->point[k].error);
        printf("]");
    }
    printf("]}");
}

void lg_compare_json(const lg_compare *c)
{
    printf("{\"model\": \"%s\", \"task\": \"%s\", \"loss\": \"%s\", \"device\": ", c->info.model, c->info.task,
           c->info.loss);
    lg_cli_json_text(stdout, c->info.device);
    printf(
        ", \"time\": \"%s\", \"replicates\": %lld, \"steps\": %lld, \"budget\": %lld, \"seed\": %llu, \"seeds\": %d, "
        "\"measure\": \"%s\", \"judged_evaluations\": %lld",
        c->processor_time ? "processor" : "elapsed", (long long)c->info.replicates, (long long)c->info.steps,
        (long long)(c->evaluations * c->info.replicates), (unsigned long long)c->seed, c->seeds, measure(c),
        (long long)c->judge_runs);
    put("wanted_error", c->wanted);
    put("best_loss", c->best_loss);
    printf(", \"truth\": {");
    for (int k = 0; k < c->dims; k++) {
        printf("%s\"%s\": ", k ? ", " : "", param_name(c, c->fitted[k]));
        lg_cli_json_number(stdout, c->truth[c->fitted[k]]);
    }
    printf("}, \"methods\": [");
    for (int m = 0; m < c->methods; m++) {
        printf("%s", m ? ", " : "");
        json_method(c, m);
    }
    printf("], \"runs\": [");
    for (int i = 0; i < c->methods * c->seeds; i++) {
        printf("%s", i ? ", " : "");
        json_run(c, &c->run[i]);
    }
    printf("]}\n");
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

static void csv_number(FILE *out, double value)
{
    if (isfinite(value)) fprintf(out, ",%.10g", value);
    else fputc(',', out);
}

static void csv_run(FILE *out, const lg_compare *c, const lg_compare_run *run)
{
    const double runs = (double)c->info.replicates;
    fprintf(out, "%s,%llu,%s", c->method[run->method], (unsigned long long)run->seed, lg_fit_status_name(run->status));
    csv_number(out, run->reached_seconds);
    csv_number(out, run->reached_evaluations * runs);
    csv_number(out, end_of(run)->error);
    csv_number(out, run->loss);
    csv_number(out, run->seconds);
    csv_number(out, run->evaluations * runs);
    for (int k = 0; k < c->dims; k++) {
        const int p = c->fitted[k];
        csv_number(out, end_of(run)->params[p]);
        csv_number(out, run->posterior ? run->low[p] : NAN);
        csv_number(out, run->posterior ? run->high[p] : NAN);
    }
    fputc('\n', out);
}

lg_status lg_compare_csv(const lg_compare *c, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return lg_cli_fail(c->cli, LG_ERR_MEMORY, "no memory for the table");
    fprintf(out, "method,seed,status,seconds_to_error,simulations_to_error,error,loss,seconds,simulations");
    for (int k = 0; k < c->dims; k++) {
        const char *name = param_name(c, c->fitted[k]);
        fprintf(out, ",%s,%s_low,%s_high", name, name, name);
    }
    fputc('\n', out);
    for (int i = 0; i < c->methods * c->seeds; i++) csv_run(out, c, &c->run[i]);
    const bool bad = fclose(out) != 0;
    const lg_status status = bad ? lg_cli_fail(c->cli, LG_ERR_MEMORY, "no memory for the table")
                                 : lg_cli_write_text(c->cli, path, text, size, c->cli->force);
    free(text);
    return status;
}
