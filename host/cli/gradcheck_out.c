/* The table, JSON, CSV and picture of gradient checks. */
#include "cli/figure.h"
#include "cli/gradcheck.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void number(double value, const char *format, char text[16])
{
    if (isnan(value)) snprintf(text, 16, "-");
    else snprintf(text, 16, format, value);
}

static void print_row(const lg_gradcheck_row *r)
{
    char sd[16], reference[16], bias[16] = "-", sign[16] = "-", samples[16] = "-", cosine[16] = "-", mean[40];
    if (isfinite(r->relative_bias)) snprintf(bias, sizeof bias, "%+.3g %%", 100.0 * r->relative_bias);
    if (isfinite(r->sign)) snprintf(sign, sizeof sign, "%.2f", r->sign);
    if (isfinite(r->cosine)) snprintf(cosine, sizeof cosine, "%.2f", r->cosine);
    if (isinf(r->samples)) snprintf(samples, sizeof samples, "never");
    else if (isfinite(r->samples)) snprintf(samples, sizeof samples, "%.3g", r->samples);
    number(r->sd, "%.3g", sd);
    number(r->reference, "%.4g", reference);
    if (isfinite(r->mean)) snprintf(mean, sizeof mean, "%.4g +- %.2g", r->mean, r->error);
    else snprintf(mean, sizeof mean, "not finite");
    printf("%-6s %-11s %-22s %10s %10s %10s %5s %6s %8s %9.3g  %-20s %s\n", r->estimator, r->param, mean, sd, reference,
           bias, sign, cosine, samples, 1e3 * r->seconds, r->expectation, r->pass ? "PASS" : "FAIL");
    if (*r->note) printf("         %s\n", r->note);
}

/* The names alone; --json has the reasons. */
static void print_left_out(const char *lines)
{
    for (const char *at = lines; *at;) {
        printf("%s%.*s", at == lines ? "not for this loss: " : ", ", (int)strcspn(at, ":"), at);
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    if (*lines) puts("");
}

void lg_checks_print(const lg_checks *checks)
{
    for (int i = 0; i < checks->count; i++) {
        lg_gradcheck_info info;
        lg_gradcheck_describe(checks->check[i], &info);
        printf("%s%s, task %s, loss %s, %lld replicates, seed %llu, %s\n", i ? "\n" : "", info.model, info.task,
               info.loss, (long long)info.replicates, (unsigned long long)info.seed, info.device);
        printf("reference: %s; each estimator: %lld gradients\n", info.reference, (long long)info.runs);
        printf("%-6s %-11s %-22s %10s %10s %10s %5s %6s %8s %9s  %s\n", "", "", "mean", "sd", "reference", "bias",
               "sign", "cosine", "samples", "ms", "stated");
        for (int row = 0; row < info.rows; row++) print_row(lg_gradcheck_at(checks->check[i], row));
        print_left_out(info.left_out);
    }
    printf("\n%d of %d rows pass\n", checks->rows - checks->failed, checks->rows);
}

/* ---- JSON and CSV ------------------------------------------------------------------------------------------------ */

typedef struct column {
    const char *name;
    double value;
} column;

enum { COLUMNS = 12 };

static void columns_of(const lg_gradcheck_row *r, column out[COLUMNS])
{
    const column all[COLUMNS] = {{"mean", r->mean},
                                 {"error", r->error},
                                 {"sd", r->sd},
                                 {"reference", r->reference},
                                 {"reference_error", r->reference_error},
                                 {"bias", r->bias},
                                 {"bias_error", r->bias_error},
                                 {"relative_bias", r->relative_bias},
                                 {"sign", r->sign},
                                 {"samples", r->samples},
                                 {"cosine", r->cosine},
                                 {"seconds", r->seconds}};
    memcpy(out, all, sizeof all);
}

static void json_row(const lg_gradcheck_row *r)
{
    column c[COLUMNS];
    columns_of(r, c);
    printf("{\"estimator\": \"%s\", \"param\": \"%s\"", r->estimator, r->param);
    for (int k = 0; k < COLUMNS; k++) {
        printf(", \"%s\": ", c[k].name);
        lg_cli_json_number(stdout, c[k].value);
    }
    printf(", \"stated\": \"%s\", \"pass\": %s, \"note\": ", r->expectation, r->pass ? "true" : "false");
    lg_cli_json_text(stdout, r->note);
    printf("}");
}

static void json_check(const lg_gradcheck *check)
{
    lg_gradcheck_info info;
    lg_gradcheck_describe(check, &info);
    printf("{\"model\": \"%s\", \"task\": \"%s\", \"loss\": \"%s\", \"device\": ", info.model, info.task, info.loss);
    lg_cli_json_text(stdout, info.device);
    printf(", \"seed\": %llu, \"replicates\": %lld, \"runs\": %lld, \"reference\": ", (unsigned long long)info.seed,
           (long long)info.replicates, (long long)info.runs);
    lg_cli_json_text(stdout, info.reference);
    printf(", \"params\": {");
    for (int m = 0; m < lg_model_count(); m++)
        for (int p = 0; strcmp(lg_model_name(m), info.model) == 0 && p < info.params; p++) {
            printf("%s\"%s\": ", p ? ", " : "", lg_model_param(m, p)->name);
            lg_cli_json_number(stdout, info.point[p]);
        }
    printf("}, \"left_out\": ");
    lg_cli_json_text(stdout, info.left_out);
    printf(", \"rows\": [");
    for (int row = 0; row < info.rows; row++) {
        printf("%s", row ? ", " : "");
        json_row(lg_gradcheck_at(check, row));
    }
    printf("]}");
}

void lg_checks_json(const lg_checks *checks)
{
    printf("{\"checks\": [");
    for (int i = 0; i < checks->count; i++) {
        printf("%s", i ? ", " : "");
        json_check(checks->check[i]);
    }
    printf("], \"rows\": %d, \"failed\": %d}\n", checks->rows, checks->failed);
}

static void csv_row(FILE *out, const lg_gradcheck_info *info, const lg_gradcheck_row *r)
{
    column c[COLUMNS];
    columns_of(r, c);
    fprintf(out, "%s,%s,%s,%s,%s", info->model, info->task, info->loss, r->estimator, r->param);
    for (int k = 0; k < COLUMNS; k++) fprintf(out, ",%.17g", c[k].value);
    fprintf(out, ",%s,%d\n", r->expectation, r->pass);
}

static lg_status write_csv(lg_cli *cli, const lg_checks *checks, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the table");
    fprintf(out,
            "model,task,loss,estimator,param,mean,error,sd,reference,reference_error,bias,bias_error,relative_bias,"
            "sign,samples,cosine,seconds,stated,pass\n");
    for (int i = 0; i < checks->count; i++) {
        lg_gradcheck_info info;
        lg_gradcheck_describe(checks->check[i], &info);
        for (int row = 0; row < info.rows; row++) csv_row(out, &info, lg_gradcheck_at(checks->check[i], row));
    }
    const bool bad = fclose(out) != 0;
    const lg_status status = bad ? lg_cli_fail(cli, LG_ERR_MEMORY, "no memory for the table")
                                 : lg_cli_write_text(cli, path, text, size, cli->force);
    free(text);
    return status;
}

/* ---- picture ----------------------------------------------------------------------------------------------------- */

/* One panel for a parameter of a check: each estimator's mean with its standard deviation, the reference as a level. */
static void add_panel(figure *fig, figure_panel *panel, const lg_gradcheck *check, const lg_gradcheck_info *info,
                      const char *param)
{
    double reference = NAN;
    int place = 0;
    figure_text(panel->title, "%s %s %s: %s", info->model, info->task, info->loss, param);
    figure_text(panel->y_label, "gradient (mean ± s.d.)");
    figure_text(panel->x_label, "estimator");
    for (int row = 0; row < info->rows; row++) {
        const lg_gradcheck_row *r = lg_gradcheck_at(check, row);
        if (strcmp(r->param, param) != 0 || !isfinite(r->mean) || place == FIGURE_NAMES) continue;
        panel->x_name[place++] = r->estimator;
        const double x = place, y = r->mean, sd = r->sd;
        reference = r->reference;
        figure_add(fig, panel, &(figure_series){.style = FIGURE_POINTS, .n = 1, .x = &x, .y = &y, .err = &sd});
    }
    panel->x_range[0] = 0.5;
    panel->x_range[1] = place + 0.5;
    if (place == 0)
        figure_text(panel->title, "%s %s %s: %s: nothing finite", info->model, info->task, info->loss, param);
    const bool known = isfinite(reference);
    if (!known) reference = 0.0; /* a panel needs something to draw */
    figure_add(fig, panel,
               &(figure_series){.style = FIGURE_LEVEL,
                                .colour = FIGURE_BLACK,
                                .title = known ? "reference" : "0 (reference not finite)",
                                .n = 1,
                                .y = &reference});
}

static lg_status write_picture(lg_cli *cli, const lg_checks *checks, const char *path)
{
    figure fig;
    int columns = 0;
    for (int i = 0; i < checks->count; i++) {
        int own = 0;
        for (int row = 0; lg_gradcheck_at(checks->check[i], row); row++)
            own += strcmp(lg_gradcheck_at(checks->check[i], row)->estimator,
                          lg_gradcheck_at(checks->check[i], 0)->estimator) == 0;
        if (own > columns) columns = own;
    }
    figure_init(&fig, checks->count, columns);
    for (int i = 0; i < checks->count && !fig.failed; i++) {
        lg_gradcheck_info info;
        lg_gradcheck_describe(checks->check[i], &info);
        for (int row = 0; row < columns && row < info.rows; row++) {
            const lg_gradcheck_row *r = lg_gradcheck_at(checks->check[i], row);
            if (strcmp(r->estimator, lg_gradcheck_at(checks->check[i], 0)->estimator) != 0) break;
            add_panel(&fig, &fig.panel[i * columns + row], checks->check[i], &info, r->param);
        }
    }
    const lg_status status = figure_render(cli->ctx, &fig, path, cli->force);
    figure_free(&fig);
    return status;
}

lg_status lg_checks_write(lg_cli *cli, const lg_checks *checks, const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".csv") == 0 ? write_csv(cli, checks, path) : write_picture(cli, checks, path);
}
