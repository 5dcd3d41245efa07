/* Gradient checks: each estimator's mean and variance over runs against the gradient of the expected loss.
 *
 * The runs are fits of one batch that differ in their noise alone: the same start states and, for transitions, the same pairs.
 * So what is measured is the noise of the draws, not that of minibatches. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fit/gradcheck.h"

/* Estimators by name: the settings they stand for. SI has no draws among several classes. */
static const struct {
    const char *name, *settings, *more;
} estimators[] = {
    {"ste", "estimator.method=pathwise\nestimator.binary=ste", "\nestimator.categorical=gs"},
    {"gs", "estimator.method=pathwise\nestimator.binary=gs", "\nestimator.categorical=gs"},
    {"gr", "estimator.method=pathwise\nestimator.binary=gr", "\nestimator.categorical=gr"},
    {"score", "estimator.method=score", ""},
    {"fd", "estimator.method=fd", ""},
    {"exact", "estimator.method=exact", ""},
};
enum { ESTIMATORS = sizeof estimators / sizeof *estimators, PATHWISE = 3 };

struct lg_gradcheck {
    lg_problem *problem; /* of one fit: names, point, data */
    lg_reference reference;
    lg_gradcheck_options options;
    double point[LG_MAX_PARAMS];
    lg_text left_out;
    int rows;
    lg_gradcheck_row row[ESTIMATORS * LG_MAX_PARAMS];
};

/* ---- one row ----------------------------------------------------------------------------------------------------- */

static void measure(const lg_runs *runs, size_t p, double relative_error, lg_gradcheck_row *row)
{
    const double first = runs->gradient[p];
    double sum = 0.0, square = 0.0, right = 0.0; /* about the first: without noise the mean is exact, the variance 0 */
    for (int64_t r = 0; r < runs->runs; r++) {
        const double g = runs->gradient[(size_t)r * runs->params + p];
        sum += g - first;
        right += g * row->reference > 0.0;
    }
    const double n = (double)runs->runs, size = fabs(row->reference);
    row->mean = isfinite(first) ? first + sum / n : first;
    for (int64_t r = 0; r < runs->runs; r++) {
        const double d = runs->gradient[(size_t)r * runs->params + p] - row->mean;
        square += d * d;
    }
    row->sd = sqrt(square / (n - 1.0));
    row->error = row->sd / sqrt(n);
    row->bias = row->mean - row->reference;
    row->bias_error = hypot(row->error, row->reference_error);
    row->relative_bias = size > 0.0 ? row->bias / row->reference : NAN;
    const bool resolved = size > 3.0 * row->reference_error && size > 0.0;
    row->sign = resolved ? right / n : NAN;
    row->samples = NAN;
    if (!resolved || !isfinite(row->sd)) return;
    const bool biased = fabs(row->bias) > 5.0 * row->bias_error && fabs(row->bias) > relative_error * size;
    const double ratio = row->sd / (relative_error * size);
    row->samples = biased ? INFINITY : fmax(1.0, ceil(ratio * ratio));
}

/* Is the mean within five standard errors, and the slack, of what is stated? A false alarm of about 6e-7 for normal means. */
static bool within(const lg_gradcheck_row *row, double expected, double expected_error, double slack)
{
    return fabs(row->mean - expected) <= 5.0 * hypot(row->error, expected_error) + slack * fabs(expected);
}

static const lg_gradcheck_row *find(const lg_gradcheck *c, const char *estimator, const char *param)
{
    for (int i = 0; i < c->rows; i++)
        if (strcmp(c->row[i].estimator, estimator) == 0 && strcmp(c->row[i].param, param) == 0) return &c->row[i];
    return NULL;
}

static void judge(const lg_gradcheck *c, size_t p, lg_gradcheck_row *row)
{
    const lg_job *job = &c->problem->job;
    const lg_stated s = lg_gradcheck_stated(row->estimator, job, c->reference.has_outcome);
    const lg_gradcheck_row *gs = find(c, "gs", row->param);
    row->expectation = lg_expectation_text(s.what);
    switch (s.what) {
    case LG_EXPECT_unbiased: row->pass = within(row, row->reference, row->reference_error, s.slack); break;
    case LG_EXPECT_outcome: row->pass = within(row, c->reference.outcome[p], 0.0, s.slack); break;
    case LG_EXPECT_as_gs: row->pass = !gs || within(row, gs->mean, gs->error, 0.0); break;
    case LG_EXPECT_sign:
        row->pass = !isfinite(row->sign) || row->mean * row->reference > 0.0 || fabs(row->mean) < 5.0 * row->error;
        break;
    case LG_EXPECT_biased: row->pass = true; break;
    }
    row->pass = row->pass && isfinite(row->mean);
    /* next to nothing counts as zero: a score by D (1 - D) is kept from dividing by 0 */
    const bool zero = fabs(row->mean) + row->sd <= 1e-9 * fabs(row->reference) || (row->mean == 0.0 && row->sd == 0.0);
    const bool edge = c->point[p] <= 0.0 || c->point[p] >= 1.0;
    const bool blind = edge && (!row->pass || strcmp(row->estimator, "score") == 0); /* where draws have no chance */
    if (zero || !isfinite(row->mean) || blind)
        lg_gradcheck_explain(job, row->estimator, (int)p, c->point, row->mean, row->note, sizeof row->note);
    else if (s.what == LG_EXPECT_biased && job->model->id == LG_MODEL_SI && row->sd > 1e3 * fabs(row->reference))
        snprintf(row->note, sizeof row->note,
                 "adjoints grow from step to step, over %u steps to %.1g times the gradient: fewer steps, fd or score",
                 job->steps, row->sd / fabs(row->reference));
    else if (!row->pass)
        snprintf(row->note, sizeof row->note, "expected: %s%s", row->expectation,
                 s.what == LG_EXPECT_sign ? "" : ", within 5 standard errors");
    else if (s.what == LG_EXPECT_unbiased && 5.0 * row->bias_error > fabs(row->reference))
        snprintf(row->note, sizeof row->note, "the error is too large to tell a bias of the gradient's size");
}

/* ---- the check --------------------------------------------------------------------------------------------------- */

static void add_rows(lg_gradcheck *c, const char *estimator, const lg_runs *runs)
{
    const lg_job *job = &c->problem->job;
    const int first = c->rows;
    double dot = 0.0, own = 0.0, reference = 0.0;
    for (size_t p = 0; p < runs->params; p++) {
        if (!job->optimizer.fitted[p]) continue;
        lg_gradcheck_row *row = &c->row[c->rows];
        *row = (lg_gradcheck_row){.estimator = estimator,
                                  .param = job->model->param[p].name,
                                  .reference = c->reference.gradient[p],
                                  .reference_error = c->reference.error[p],
                                  .seconds = runs->seconds};
        measure(runs, p, c->options.relative_error, row);
        judge(c, p, row);
        dot += row->mean * row->reference;
        own += row->mean * row->mean;
        reference += row->reference * row->reference;
        c->rows++;
    }
    for (int i = first; i < c->rows; i++) c->row[i].cosine = own * reference > 0.0 ? dot / sqrt(own * reference) : NAN;
}

static bool wanted(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    return !list;
}

static lg_status check_list(lg_context *ctx, const char *list)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const char *names[ESTIMATORS];
        char word[64];
        bool known = false;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        for (int i = 0; i < ESTIMATORS; i++) known |= strcmp(names[i] = estimators[i].name, word) == 0;
        const char *near = lg_nearest(word, names, ESTIMATORS);
        if (!known)
            return lg_fail(ctx, LG_ERR_USAGE,
                           "there is no estimator \"%s\": expected some of ste,gs,gr,score,fd,exact%s%s%s", word,
                           near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    }
    return LG_OK;
}

static lg_status run_estimator(lg_context *ctx, lg_gradcheck *c, const lg_config *config, int i)
{
    const lg_job *job = &c->problem->job;
    char settings[200];
    lg_runs runs;
    const bool no_draws = job->loss == LG_LOSS_nll && i < PATHWISE;
    const bool two_kinds = job->model->id != LG_MODEL_SI;
    snprintf(settings, sizeof settings, "%s%s", estimators[i].settings, two_kinds ? estimators[i].more : "");
    const lg_status status = no_draws ? lg_fail(ctx, LG_ERR_UNSUPPORTED, "loss nll has no draws to go through")
                                      : lg_gradcheck_run(ctx, config, settings, 0, c->options.runs, &runs);
    if (!status) {
        add_rows(c, estimators[i].name, &runs);
        lg_runs_free(&runs);
        return LG_OK;
    }
    /* a combination that does not exist is left out, unless it was asked for by name */
    if ((status != LG_ERR_UNSUPPORTED && status != LG_ERR_RANGE) || c->options.estimators) return status;
    lg_text_printf(&c->left_out, "%s%s: %s", c->left_out.size ? "\n" : "", estimators[i].name, lg_context_message(ctx));
    return LG_OK;
}

static lg_status make_reference(lg_context *ctx, lg_gradcheck *c, const lg_config *config)
{
    lg_status status;
    if (lg_gradcheck_closed(ctx, &c->problem->job, c->point, &c->reference, &status)) return status;
    return lg_gradcheck_differences(ctx, config, c->options.runs, c->options.reference_runs, &c->reference);
}

static lg_status prepare(lg_context *ctx, lg_gradcheck *c, const lg_config *config)
{
    lg_config *one = lg_config_copy(config);
    lg_status status = one ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    if (!status) status = lg_config_set(ctx, one, "estimator.method", "pathwise");
    if (!status) status = lg_problem_create(ctx, one, &c->problem);
    lg_config_free(one);
    if (status) return status;
    const lg_job *job = &c->problem->job;
    if (job->task == LG_TASK_simulate)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED, "task simulate has no loss: set task to one of the others");
    if (c->problem->ensemble.axes)
        return lg_fail(ctx, LG_ERR_UNSUPPORTED,
                       "a gradient check looks at one point with the data as they are: leave ensemble.* out");
    lg_problem_start(c->problem, 0, c->point);
    return LG_OK;
}

lg_status lg_gradcheck_create(lg_context *ctx, const lg_config *config, const lg_gradcheck_options *options,
                              lg_gradcheck **out)
{
    lg_gradcheck *c = calloc(1, sizeof *c);
    if (!c) return lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    if (options) c->options = *options;
    if (c->options.runs == 0) c->options.runs = 200;
    if (c->options.reference_runs == 0) c->options.reference_runs = 400;
    if (!(c->options.relative_error > 0.0)) c->options.relative_error = 0.1;
    lg_status status = LG_OK;
    if (c->options.runs < 10 || c->options.reference_runs < 10)
        status =
            lg_fail(ctx, LG_ERR_RANGE, "a gradient check of %lld runs and %lld of the reference: expected 10 or more",
                    (long long)c->options.runs, (long long)c->options.reference_runs);
    if (!status) status = check_list(ctx, c->options.estimators);
    if (!status) status = prepare(ctx, c, config);
    if (!status) status = make_reference(ctx, c, config);
    lg_text_add(&c->left_out, "");
    for (int i = 0; i < ESTIMATORS && !status; i++)
        if (wanted(c->options.estimators, estimators[i].name)) status = run_estimator(ctx, c, config, i);
    if (status) {
        lg_gradcheck_free(c);
        return status;
    }
    *out = c;
    return LG_OK;
}

void lg_gradcheck_free(lg_gradcheck *c)
{
    if (!c) return;
    lg_problem_free(c->problem);
    lg_text_clear(&c->left_out);
    free(c);
}

void lg_gradcheck_describe(const lg_gradcheck *c, lg_gradcheck_info *info)
{
    lg_problem_info p;
    lg_problem_describe(c->problem, &p);
    *info = (lg_gradcheck_info){.model = p.model,
                                .task = p.task,
                                .loss = p.loss,
                                .device = p.device,
                                .reference = c->reference.how,
                                .rows = c->rows,
                                .params = p.params,
                                .replicates = p.replicates,
                                .runs = c->options.runs,
                                .seed = p.seed,
                                .point = c->point,
                                .left_out = c->left_out.data ? c->left_out.data : ""};
    for (int i = 0; i < c->rows; i++) info->failed += !c->row[i].pass;
}

const lg_gradcheck_row *lg_gradcheck_at(const lg_gradcheck *c, int row)
{
    return row >= 0 && row < c->rows ? &c->row[row] : NULL;
}
