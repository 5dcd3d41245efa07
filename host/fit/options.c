/* How a fit is kept safe: checkpoint.* and run.time_limit of the configuration. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fit/problem.h"

/* Two digits at *text after a mark (0: none); -1 where there is something else. */
static int two_digits(const char **text, char mark)
{
    const char *t = *text;
    if (mark && *t++ != mark) return -1;
    if (!isdigit((unsigned char)t[0]) || !isdigit((unsigned char)t[1])) return -1;
    *text = t + 2;
    return 10 * (t[0] - '0') + t[1] - '0';
}

/* As Slurm writes times. */
bool lg_parse_duration(const char *text, double *seconds)
{
    if (lg_parse_double(text, seconds)) return *seconds >= 0.0 && *seconds < 1e12;
    long days = 0;
    const char *dash = strchr(text, '-');
    if (dash) {
        char *end;
        if (!isdigit((unsigned char)*text)) return false;
        days = strtol(text, &end, 10);
        if (end != dash || days > 10000) return false;
        text = dash + 1;
    }
    const int hours = two_digits(&text, '\0'), minutes = two_digits(&text, ':'), rest = two_digits(&text, ':');
    if (hours < 0 || minutes < 0 || minutes > 59 || rest < 0 || rest > 59 || *text) return false;
    *seconds = (double)days * 86400.0 + hours * 3600.0 + minutes * 60.0 + rest;
    return true;
}

/* checkpoint.file, or output.file with .ckpt after it; like all outputs relative to the working directory. */
static lg_status checkpoint_name(lg_context *ctx, const lg_config *c, char **out)
{
    const char *file = NULL, *result = NULL;
    lg_text text = {0};
    lg_status status = lg_config_text(ctx, c, "checkpoint.file", &file);
    if (!status) status = lg_config_text(ctx, c, "output.file", &result);
    *out = NULL;
    if (status) return status;
    if (file && *file) lg_text_add(&text, file);
    else if (result && *result) lg_text_printf(&text, "%s.ckpt", result);
    else return LG_OK;
    *out = lg_text_take(&text);
    return *out ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
}

lg_status lg_problem_read_options(lg_context *ctx, const lg_config *c, lg_problem *p)
{
    lg_fit_options *o = &p->options;
    const char *limit = NULL;
    if (p->job.task == LG_TASK_simulate) return LG_OK;
    lg_status status = checkpoint_name(ctx, c, &p->checkpoint);
    if (!status) status = lg_config_int(ctx, c, "checkpoint.every", &o->checkpoint_every);
    if (!status) status = lg_config_real(ctx, c, "checkpoint.seconds", &o->checkpoint_seconds);
    if (!status) status = lg_config_bool(ctx, c, "checkpoint.keep", &o->checkpoint_keep);
    if (!status) status = lg_config_text(ctx, c, "run.time_limit", &limit);
    if (status) return status;
    o->checkpoint = p->checkpoint;
    if (limit && !lg_parse_duration(limit, &o->time_limit))
        return lg_fail(ctx, LG_ERR_CONFIG, "%s: run.time_limit is \"%s\": expected seconds, HH:MM:SS or D-HH:MM:SS",
                       lg_config_origin(c, "run.time_limit"), limit);
    if (o->time_limit > 0.0 && !o->checkpoint)
        return lg_fail(ctx, LG_ERR_CONFIG,
                       "%s: run.time_limit stops the fit with a checkpoint, and no file is named for it: set "
                       "output.file or checkpoint.file",
                       lg_config_origin(c, "run.time_limit"));
    return LG_OK;
}

void lg_problem_fit_options(const lg_problem *problem, lg_fit_options *options)
{
    *options = problem->options;
}
