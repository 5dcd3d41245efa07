#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

/* ---------------------------------------------------------------------------------------------- paths */

bool lg_file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

char *lg_path_join(const char *directory, const char *name)
{
    lg_text text = {0};
    if (*directory && *name != '/') {
        lg_text_add(&text, directory);
        if (directory[strlen(directory) - 1] != '/') lg_text_add(&text, "/");
    }
    lg_text_add(&text, name);
    return lg_text_take(&text);
}

const char *lg_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *lg_path_directory(const char *path)
{
    const char *name = lg_path_name(path);
    if (name == path) return strdup(".");
    size_t length = (size_t)(name - path);
    while (length > 1 && path[length - 1] == '/') length--;
    return strndup(path, length);
}

bool lg_path_has_extension(const char *path, const char *extension)
{
    size_t length = strlen(path), tail = strlen(extension);
    return length >= tail && strcasecmp(path + length - tail, extension) == 0;
}

/* Makes one directory; one that is there already is fine. */
static bool make_one(const char *path)
{
    if (mkdir(path, 0777) == 0) return true;
    struct stat status;
    int problem = errno;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return true;
    errno = problem;
    return false;
}

lg_status lg_make_directory(lg_context *ctx, const char *path)
{
    if (!*path) return lg_fail(ctx, LG_ERR_FILE, "cannot make a directory with an empty name");
    char *copy = strdup(path);
    if (!copy) return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory to make the directory '%s'", path);
    bool done = true;
    for (char *slash = strchr(copy + 1, '/'); done && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        done = make_one(copy);
        if (done) *slash = '/';
    }
    if (done) done = make_one(copy);
    lg_status result = LG_OK;
    if (!done && strcmp(copy, path) == 0) {
        result = lg_fail(ctx, LG_ERR_FILE, "cannot make the directory '%s': %s", path, strerror(errno));
    } else if (!done) {
        result = lg_fail(ctx, LG_ERR_FILE, "cannot make the directory '%s': '%s': %s", path, copy, strerror(errno));
    }
    free(copy);
    return result;
}

/* -------------------------------------------------------------------------------------------- reading */

lg_status lg_file_read(lg_context *ctx, const char *path, char **data, size_t *size)
{
    *data = NULL;
    FILE *file = fopen(path, "rb");
    if (!file) return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", path, strerror(errno));
    lg_text text = {0};
    char block[1 << 16];
    size_t got;
    errno = 0;
    while (!text.failed && (got = fread(block, 1, sizeof block, file)) > 0) lg_text_append(&text, block, got);
    int problem = ferror(file) ? (errno ? errno : EIO) : 0;
    fclose(file);
    if (problem) {
        lg_text_clear(&text);
        return lg_fail(ctx, LG_ERR_FILE, "cannot read '%s': %s", path, strerror(problem));
    }
    size_t length = text.size;
    *data = lg_text_take(&text);
    if (!*data) return lg_fail(ctx, LG_ERR_MEMORY, "cannot read '%s': not enough memory", path);
    if (size) *size = length;
    return LG_OK;
}

/* -------------------------------------------------------------------------------------------- writing */

static void release(lg_atomic *a)
{
    free(a->temporary);
    free(a->path);
    *a = (lg_atomic){0};
}

/* Where the target stands: a link is followed, so that --force replaces what it points to and not the link. */
static lg_status check_target(lg_context *ctx, const char *path, bool force, char **target)
{
    struct stat status;
    if (!*path) return lg_fail(ctx, LG_ERR_FILE, "cannot write a file with an empty name");
    if (lstat(path, &status) != 0) {
        if (errno != ENOENT) return lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", path, strerror(errno));
        *target = strdup(path);
        return *target ? LG_OK : lg_fail(ctx, LG_ERR_MEMORY, "cannot write '%s': not enough memory", path);
    }
    if (S_ISDIR(status.st_mode)) return lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': it is a directory", path);
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
        return lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': it is a device or pipe; give the name of a file", path);
    }
    if (!force) return lg_fail(ctx, LG_ERR_EXISTS, "'%s' exists already; choose another name or use --force", path);
    *target = realpath(path, NULL);
    if (!*target) return lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", path, strerror(errno));
    if (stat(*target, &status) != 0 || !S_ISREG(status.st_mode)) {
        free(*target);
        *target = NULL;
        return lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': it is a link to something that is not a file", path);
    }
    return LG_OK;
}

/* Makes an empty file DIRECTORY/.NAME.PID-TRY.EXTENSION, with the rights the user's umask gives, and returns its
 * descriptor; -1 and errno otherwise. */
static int make_temporary(const char *target, char **temporary)
{
    char *directory = lg_path_directory(target);
    const char *name = lg_path_name(target);
    const char *extension = strrchr(name, '.');
    if (!extension || extension == name) extension = "";
    /* Names are at most 255 bytes long: a very long one is cut to leave room for the rest. */
    int shown = strlen(name) > 200 ? 200 : (int)strlen(name);
    if (strlen(extension) > 20) extension = "";
    int descriptor = -1;
    errno = ENOMEM;
    for (unsigned attempt = 0; directory && attempt < 1000 && descriptor < 0; attempt++) {
        lg_text text = {0};
        lg_text_printf(&text, "%s/.%.*s.%ld-%u%s", strcmp(directory, "/") ? directory : "", shown, name, (long)getpid(),
                       attempt, extension);
        free(*temporary);
        *temporary = lg_text_take(&text);
        if (!*temporary) break;
        descriptor = open(*temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno != EEXIST) break;
    }
    int problem = errno;
    free(directory);
    errno = problem;
    return descriptor;
}

static lg_status start(lg_context *ctx, const char *path, bool force, lg_atomic *a, int *descriptor)
{
    *a = (lg_atomic){.force = force};
    lg_status result = check_target(ctx, path, force, &a->path);
    if (result != LG_OK) return result;
    *descriptor = make_temporary(a->path, &a->temporary);
    if (*descriptor >= 0) return LG_OK;
    int problem = errno;
    char *directory = lg_path_directory(path);
    if (problem == ENOENT || problem == ENOTDIR) {
        result = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': there is no directory '%s'", path,
                         directory ? directory : "");
    } else {
        result = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s' into the directory '%s': %s", path,
                         directory ? directory : "", strerror(problem));
    }
    free(directory);
    release(a);
    return result;
}

lg_status lg_atomic_open(lg_context *ctx, const char *path, bool force, lg_atomic *a)
{
    int descriptor;
    lg_status result = start(ctx, path, force, a, &descriptor);
    if (result != LG_OK) return result;
    a->file = fdopen(descriptor, "wb");
    if (a->file) return LG_OK;
    result = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", path, strerror(errno));
    close(descriptor);
    lg_atomic_abort(a);
    return result;
}

lg_status lg_atomic_name(lg_context *ctx, const char *path, bool force, lg_atomic *a)
{
    int descriptor;
    lg_status result = start(ctx, path, force, a, &descriptor);
    if (result == LG_OK) close(descriptor);
    return result;
}

void lg_atomic_abort(lg_atomic *a)
{
    if (a->file) fclose(a->file);
    if (a->temporary) unlink(a->temporary);
    release(a);
}

/* Brings everything written to disk; 0 or an errno value. Some file systems know no fsync (EINVAL). */
static int finish_writing(lg_atomic *a)
{
    int problem = 0;
    if (a->file) {
        bool failed = ferror(a->file) != 0;
        errno = 0;
        if (fflush(a->file) != 0 || failed) problem = errno ? errno : EIO;
        if (!problem && fsync(fileno(a->file)) != 0 && errno != EINVAL) problem = errno;
        errno = 0;
        if (fclose(a->file) != 0 && !problem) problem = errno ? errno : EIO;
        a->file = NULL;
        return problem;
    }
    int descriptor = open(a->temporary, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return errno;
    if (fsync(descriptor) != 0 && errno != EINVAL) problem = errno;
    close(descriptor);
    return problem;
}

/* Moves the temporary file to its name; 0 or an errno value, EEXIST where that would replace a file. */
static int move_into_place(const lg_atomic *a)
{
    if (a->force) return rename(a->temporary, a->path) == 0 ? 0 : errno;
#ifdef RENAME_NOREPLACE
    if (renameat2(AT_FDCWD, a->temporary, AT_FDCWD, a->path, RENAME_NOREPLACE) == 0) return 0;
    if (errno == EEXIST) return EEXIST;
#endif
    /* Systems without that call: a hard link never replaces anything either. */
    if (link(a->temporary, a->path) == 0) return unlink(a->temporary) == 0 ? 0 : errno;
    if (errno == EEXIST) return EEXIST;
    /* And without hard links: look, then rename. */
    struct stat status;
    if (lstat(a->path, &status) == 0) return EEXIST;
    return rename(a->temporary, a->path) == 0 ? 0 : errno;
}

/* The new name itself reaches the disk with its directory; a failure here loses nothing that can be helped. */
static void sync_directory(const char *path)
{
    char *directory = lg_path_directory(path);
    int descriptor = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(directory);
}

lg_status lg_atomic_commit(lg_context *ctx, lg_atomic *a)
{
    int problem = finish_writing(a);
    lg_status result = LG_OK;
    if (!problem) problem = move_into_place(a);
    if (!problem) {
        sync_directory(a->path);
        release(a);
        return LG_OK;
    }
    if (problem == EEXIST) {
        result = lg_fail(ctx, LG_ERR_EXISTS,
                         "'%s' appeared while it was being written and was left alone; the new data are in '%s'",
                         a->path, a->temporary);
        release(a);
        return result;
    }
    result = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", a->path, strerror(problem));
    lg_atomic_abort(a);
    return result;
}

lg_status lg_atomic_write(lg_context *ctx, lg_atomic *a, const void *data, size_t size)
{
    if (size == 0 || fwrite(data, 1, size, a->file) == size) return LG_OK;
    lg_status result = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", a->path, strerror(errno));
    lg_atomic_abort(a);
    return result;
}

lg_status lg_file_write(lg_context *ctx, const char *path, const char *data, size_t size, bool force)
{
    lg_atomic a;
    lg_status result = lg_atomic_open(ctx, path, force, &a);
    if (result == LG_OK) result = lg_atomic_write(ctx, &a, data, size);
    return result == LG_OK ? lg_atomic_commit(ctx, &a) : result;
}
