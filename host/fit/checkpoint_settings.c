/* What a checkpoint has to have in common with the run that continues it: settings and data. */
#include "fit/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc64.h"
#include "base/text.h"
#include "config/options.h"

/* ---- settings --------------------------------------------------------------------------------------------------- */

/* Keys and sections that leave every byte of the traces alone. */
static const char *const free_keys[] = {"threads",   "device",      "memory_limit",   "fits",
                                        "first_fit", "stop.time",   "ensemble.bound", "ensemble.distance",
                                        "output.",   "checkpoint.", "run.",           "cluster."};

static bool is_free(const char *key)
{
    for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++) {
        const size_t n = strlen(free_keys[i]);
        const bool section = free_keys[i][n - 1] == '.';
        if (section ? strncmp(key, free_keys[i], n) == 0 : strcmp(key, free_keys[i]) == 0) return true;
    }
    /* files count by what they hold (the hash of the data), not by where they lie */
    const lg_option_row *row = lg_option_find(key);
    return row && row->kind != LG_KIND_VALUE;
}

/* The length of a value of printed YAML: to the end of its quotes, or to the comment. */
static size_t value_length(const char *value, size_t line)
{
    size_t n = 0;
    if (*value == '"') {
        for (n = 1; n < line && value[n] != '"'; n++) n += value[n] == '\\';
        return n < line ? n + 1 : line;
    }
    while (n < line && strncmp(value + n, "  #", 3) != 0) n++;
    while (n > 0 && value[n - 1] == ' ') n--;
    return n;
}

/* Reads the block style that lg_config_print writes: "key: value  # help", sections indented by two spaces each. */
char *lg_checkpoint_settings(const char *yaml)
{
    lg_text out = {0};
    char key[LG_KEY_SIZE] = "";
    size_t ends[16] = {0}; /* ends[d]: the length of the section names above depth d, with their dots */
    lg_text_add(&out, "");
    for (const char *line = yaml; *line;) {
        const size_t length = strcspn(line, "\n"), indent = strspn(line, " "), depth = indent / 2;
        const char *name = line + indent;
        const size_t n = strcspn(name, ":\n");
        if (*name != '#' && name[n] == ':' && depth < 15 && ends[depth] + n + 2 < sizeof key) {
            memcpy(key + ends[depth], name, n);
            key[ends[depth] + n] = '\0';
            if (name[n + 1] == ' ') {
                const size_t value = value_length(name + n + 2, length - indent - n - 2);
                if (!is_free(key)) lg_text_printf(&out, "%s=%.*s\n", key, (int)value, name + n + 2);
            } else {
                key[ends[depth] + n] = '.';
                ends[depth + 1] = ends[depth] + n + 1;
            }
        }
        line += length + (line[length] == '\n');
    }
    return lg_text_take(&out);
}

static bool value_of(const char *settings, const char *key, size_t n, char *value, size_t size)
{
    *value = '\0';
    for (const char *line = settings; *line;) {
        const size_t length = strcspn(line, "\n");
        if (length > n && strncmp(line, key, n) == 0 && line[n] == '=') {
            snprintf(value, size, "%.*s", (int)(length - n - 1), line + n + 1);
            return true;
        }
        line += length + (line[length] == '\n');
    }
    return false;
}

/* The first key of `a` that `b` has not, or has with another value. */
static bool first_difference(const char *a, const char *b, char *key, size_t key_size, char *value_a, char *value_b,
                             size_t size)
{
    for (const char *line = a; *line;) {
        const size_t length = strcspn(line, "\n"), n = strcspn(line, "=\n");
        value_of(a, line, n, value_a, size);
        if (!value_of(b, line, n, value_b, size) || strcmp(value_a, value_b) != 0) {
            snprintf(key, key_size, "%.*s", (int)n, line);
            return true;
        }
        line += length + (line[length] == '\n');
    }
    return false;
}

bool lg_checkpoint_difference(const char *now, const char *then, char *key, size_t key_size, char *value_now,
                              char *value_then, size_t value_size)
{
    return first_difference(now, then, key, key_size, value_now, value_then, value_size) ||
           first_difference(then, now, key, key_size, value_then, value_now, value_size);
}

/* ---- hashes ----------------------------------------------------------------------------------------------------- */

uint64_t lg_checkpoint_hash_text(const char *text)
{
    lg_crc64 crc;
    lg_crc64_begin(&crc);
    lg_crc64_add(&crc, text, strlen(text));
    return lg_crc64_value(&crc);
}

static void add(lg_crc64 *crc, const void *data, size_t size)
{
    const uint64_t length = data ? size : 0;
    lg_crc64_add(crc, &length, sizeof length); /* so that nothing can move from one array into the next */
    if (data) lg_crc64_add(crc, data, size);
}

/* Of what all fits share: a bootstrap's data sets follow from these and from the settings, and a fit's start values stand
 * in its record. */
uint64_t lg_checkpoint_hash_data(const lg_problem *p)
{
    const lg_job *job = &p->job;
    const size_t states = job->pool * lg_job_state_bytes(job),
                 statistics = job->target_stat ? lg_job_statistics(job) * sizeof(double) : 0;
    const uint64_t sizes[] = {job->pool, job->steps, job->records, (uint64_t)p->iterations};
    lg_crc64 crc;
    lg_crc64_begin(&crc);
    add(&crc, sizes, sizeof sizes);
    add(&crc, job->start, states);
    add(&crc, job->target, job->task == LG_TASK_transition ? states : lg_job_state_bytes(job));
    add(&crc, job->record, job->records * sizeof *job->record);
    add(&crc, p->target_stat, statistics);
    add(&crc, p->weight_stat, statistics);
    if (job->own.function) add(&crc, job->own.record, job->own.records * sizeof *job->own.record);
    const uint64_t sample = lg_sample_hash(&p->sample);
    if (sample) add(&crc, &sample, sizeof sample);
    return lg_crc64_value(&crc);
}
