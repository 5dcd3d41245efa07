/* Runs gnuplot as a child process. The script and gnuplot's messages pass through unlinked temporary files rather than
 * pipes, so that neither side can block on the other however long they are. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

extern char **environ;

enum { SHOWN = 400 }; /* bytes of gnuplot's messages that fit into ours */

/* output = 'NAME' and a terminal that fits the extension; the script may choose another one. */
static void put_preamble(FILE *script, const char *name)
{
    const char *terminal = lg_path_has_extension(name, ".png")   ? "pngcairo size 1000,750 font 'DejaVu Sans,16'"
                           : lg_path_has_extension(name, ".gif") ? "gif animate size 1000,750 font 'DejaVu Sans,16'"
                           : lg_path_has_extension(name, ".svg") ? "svg size 500,375 font 'DejaVu Sans,10'"
                                                                 : "pdfcairo font 'DejaVu Sans,10'";
    fprintf(script, "set terminal %s background '#ffffff'\noutput = '", terminal);
    for (const char *c = name; *c; c++) fputs(*c == '\'' ? "''" : (char[]){*c, '\0'}, script);
    fputs("'\n", script);
}

/* The first lines of what gnuplot said, on one line. */
static void read_messages(FILE *messages, char text[SHOWN])
{
    rewind(messages);
    size_t size = fread(text, 1, SHOWN - 1, messages);
    text[size] = '\0';
    char *to = text;
    bool space = true; /* at the start and after a space */
    for (const char *from = text; *from; from++) {
        bool blank = (unsigned char)*from <= ' ';
        if (!blank || !space) *to++ = blank ? ' ' : *from;
        space = blank;
    }
    while (to > text && to[-1] == ' ') to--;
    *to = '\0';
}

/* Starts "gnuplot -d /dev/stdin": read as a file, the script ends at its first error; -d leaves out the user's
 * settings. Where that name leads nowhere (a chroot without /proc) the script comes through "-": gnuplot then goes on after
 * an error, and still says so by its exit status. */
static int start_gnuplot(FILE *script, FILE *messages, pid_t *child)
{
    static char name[] = "gnuplot", settings[] = "-d", file[] = "/dev/stdin", input[] = "-";
    char *arguments[] = {name, settings, access(file, F_OK) == 0 ? file : input, NULL};
    posix_spawn_file_actions_t actions;
    int problem = posix_spawn_file_actions_init(&actions);
    if (problem) return problem;
    problem = posix_spawn_file_actions_adddup2(&actions, fileno(script), 0);
    if (!problem) problem = posix_spawn_file_actions_adddup2(&actions, fileno(messages), 1);
    if (!problem) problem = posix_spawn_file_actions_adddup2(&actions, fileno(messages), 2);
    if (!problem) problem = posix_spawnp(child, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return problem;
}

static lg_status run_gnuplot(lg_context *ctx, FILE *script, FILE *messages, const char *path)
{
    pid_t child;
    int problem = start_gnuplot(script, messages, &child), how = 0;
    if (problem == ENOENT || problem == EACCES) {
        return lg_fail(ctx, LG_ERR_LIBRARY,
                       "cannot draw '%s': gnuplot is not installed or not on the PATH (Debian: "
                       "apt-get install gnuplot-nox)",
                       path);
    }
    if (problem)
        return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': cannot start gnuplot: %s", path, strerror(problem));
    pid_t ended;
    do {
        ended = waitpid(child, &how, 0);
    } while (ended < 0 && errno == EINTR);
    if (ended < 0) return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': lost gnuplot: %s", path, strerror(errno));
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return LG_OK;
    char text[SHOWN];
    read_messages(messages, text);
    if (WIFSIGNALED(how)) {
        return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': gnuplot was ended by signal %d: %s", path, WTERMSIG(how),
                       text);
    }
    return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': gnuplot failed with exit status %d: %s", path,
                   WEXITSTATUS(how), text);
}

static lg_status draw(lg_context *ctx, const char *script, const char *path, const char *temporary)
{
    FILE *input = tmpfile(), *messages = tmpfile();
    lg_status status = LG_OK;
    if (input && messages) {
        put_preamble(input, temporary);
        fputs(script, input);
        putc('\n', input);
        if (fflush(input) != 0 || ferror(input)) status = LG_ERR_FILE;
        rewind(input);
    }
    if (!input || !messages || status != LG_OK) {
        status = lg_fail(ctx, LG_ERR_FILE, "cannot draw '%s': cannot write a temporary file for gnuplot: %s", path,
                         strerror(errno));
    } else {
        status = run_gnuplot(ctx, input, messages, path);
    }
    if (input) fclose(input);
    if (messages) fclose(messages);
    struct stat made;
    if (status == LG_OK && (stat(temporary, &made) != 0 || made.st_size == 0)) {
        status = lg_fail(ctx, LG_ERR_USAGE,
                         "cannot draw '%s': the gnuplot script drew nothing; it must contain "
                         "'set output output' and a plot command",
                         path);
    }
    return status;
}

/* script NULL stands for a script that could not be put together for lack of memory. */
lg_status lg_gnuplot(lg_context *ctx, const char *script, const char *path, bool force)
{
    if (!script) return lg_fail(ctx, LG_ERR_MEMORY, "cannot draw '%s': not enough memory", path);
    if (!lg_path_has_extension(path, ".png") && !lg_path_has_extension(path, ".svg") &&
        !lg_path_has_extension(path, ".pdf") && !lg_path_has_extension(path, ".gif")) {
        return lg_fail(ctx, LG_ERR_USAGE,
                       "cannot draw '%s': the name of a picture ends in .png, .svg, .pdf, or .gif for an animation",
                       path);
    }
    lg_atomic a;
    lg_status status = lg_atomic_name(ctx, path, force, &a);
    if (status != LG_OK) return status;
    status = draw(ctx, script, path, a.temporary);
    if (status == LG_OK) return lg_atomic_commit(ctx, &a);
    lg_atomic_abort(&a);
    return status;
}
