/* The files of a checkpoint: writing, keeping the previous one, falling back to it, cleaning up. */
#include "fit/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

static char *previous_name(const char *path)
{
    lg_text text = {0};
    lg_text_printf(&text, "%s.1", path);
    return lg_text_take(&text);
}

/* Is `entry` what lg_atomic_open calls a temporary file for `name`: .NAME.PID-TRY and an extension? */
static bool is_leftover(const char *entry, const char *name)
{
    const size_t n = strlen(name);
    if (entry[0] != '.' || strncmp(entry + 1, name, n) != 0 || entry[1 + n] != '.') return false;
    const char *pid = entry + 2 + n, *attempt = pid + strspn(pid, "0123456789") + 1;
    return attempt[-1] == '-' && attempt - 1 > pid && strspn(attempt, "0123456789") > 0;
}

/* Removes what a run that was killed while writing left behind: a checkpoint has one writer. */
static void remove_leftovers(const char *path)
{
    char *directory = lg_path_directory(path);
    DIR *folder = directory ? opendir(directory) : NULL;
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        if (!is_leftover(entry->d_name, lg_path_name(path))) continue;
        char *leftover = lg_path_join(directory, entry->d_name);
        if (leftover) unlink(leftover);
        free(leftover);
    }
    if (folder) closedir(folder);
    free(directory);
}

static lg_status check_writable(lg_context *ctx, const char *path)
{
    lg_atomic a;
    const lg_status status = lg_atomic_open(ctx, path, true, &a);
    if (status) return lg_fail_in(ctx, status, "no checkpoint can be kept");
    lg_atomic_abort(&a);
    return LG_OK;
}

lg_status lg_checkpoint_open(lg_context *ctx, const char *path, const lg_problem *p, lg_checkpoint_file *out)
{
    *out = (lg_checkpoint_file){.first_fit = p->job.first_fit,
                                .fits = p->job.fits,
                                .params = (uint32_t)p->job.model->params,
                                .statistics = p->job.target_stat ? lg_job_statistics(&p->job) : 0,
                                .iterations = p->iterations};
    const lg_status status = check_writable(ctx, path);
    if (status) return status;
    remove_leftovers(path);
    out->path = strdup(path);
    out->previous = previous_name(path);
    out->settings = lg_checkpoint_settings(p->config_yaml);
    if (!out->path || !out->previous || !out->settings) {
        lg_checkpoint_close(out);
        return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the checkpoint '%s'", path);
    }
    out->settings_hash = lg_checkpoint_hash_text(out->settings);
    out->data_hash = lg_checkpoint_hash_data(p);
    return LG_OK;
}

void lg_checkpoint_close(lg_checkpoint_file *file)
{
    free(file->path);
    free(file->previous);
    free(file->settings);
    *file = (lg_checkpoint_file){.path = NULL};
}

bool lg_checkpoint_exists(const lg_checkpoint_file *file)
{
    return lg_file_exists(file->path) || lg_file_exists(file->previous);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

lg_status lg_checkpoint_write(lg_context *ctx, lg_checkpoint_file *file, const lg_checkpoint *c)
{
    lg_atomic a;
    lg_status status = lg_atomic_open(ctx, file->path, true, &a);
    if (status) return status;
    status = lg_checkpoint_encode(ctx, &a, file, c);
    if (status) return status;
    /* all bytes are on the disk before the present checkpoint gives up its name */
    if (fflush(a.file) != 0 || (fsync(fileno(a.file)) != 0 && errno != EINVAL)) {
        status = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", file->path, strerror(errno));
        lg_atomic_abort(&a);
        return status;
    }
    if (file->newest_good && rename(a.path, file->previous) != 0 && errno != ENOENT) {
        status =
            lg_fail(ctx, LG_ERR_FILE, "cannot rename '%s' to '%s': %s", file->path, file->previous, strerror(errno));
        lg_atomic_abort(&a);
        return status;
    }
    file->newest_good = false;
    status = lg_atomic_commit(ctx, &a);
    file->newest_good = !status;
    return status;
}

lg_status lg_checkpoint_remove(lg_context *ctx, const char *path)
{
    char *previous = previous_name(path);
    lg_status status = previous ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    const char *const names[] = {path, previous};
    for (size_t i = 0; !status && i < 2; i++)
        if (unlink(names[i]) != 0 && errno != ENOENT)
            status = lg_fail(ctx, LG_ERR_FILE, "cannot remove the checkpoint '%s': %s", names[i], strerror(errno));
    remove_leftovers(path);
    free(previous);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* *whole false: missing or damaged, with the reason in the context. */
static lg_status read_one(lg_context *ctx, const char *path, const lg_checkpoint_file *file, lg_checkpoint *c,
                          bool *whole)
{
    char *data = NULL;
    size_t size = 0;
    *whole = lg_file_exists(path);
    if (!*whole) return lg_fail(ctx, LG_ERR_DATA, "there is no checkpoint '%s'", path);
    lg_status status = lg_file_read(ctx, path, &data, &size);
    if (!status) status = lg_checkpoint_decode(ctx, path, data, size, file, c, whole);
    free(data);
    return status;
}

lg_status lg_checkpoint_read(lg_context *ctx, lg_checkpoint_file *file, lg_checkpoint *c, bool *found)
{
    *found = lg_checkpoint_exists(file);
    if (!*found) return LG_OK;
    bool whole;
    lg_status status = read_one(ctx, file->path, file, c, &whole);
    file->newest_good = !status;
    if (!status || whole) return status;

    char why[LG_MESSAGE_SIZE];
    snprintf(why, sizeof why, "%s", lg_context_message(ctx));
    status = read_one(ctx, file->previous, file, c, &whole);
    if (!status) {
        lg_log(ctx, LG_LOG_WARNING, "%.400s; going on from the one before it, '%.400s', at iteration %lld", why,
               file->previous, (long long)c->done);
        return LG_OK;
    }
    if (whole) return status;
    return lg_fail(ctx, LG_ERR_DATA, "%.400s, and %.400s; to start again use --force instead of --resume", why,
                   lg_context_message(ctx));
}
