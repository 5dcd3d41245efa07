/* Runs gnuplot as a child process, and for a video ffmpeg behind it. The script and gnuplot's messages pass through unlinked temporary files rather than
 * pipes, so that neither side can block on the other however long they are. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

extern char **environ;

enum { SHOWN = 400 }; /* bytes of a program's messages that fit into ours */

static char gnuplot_name[] = "gnuplot", ffmpeg_name[] = "ffmpeg"; /* not constant: they become arguments */

/* output = 'NAME' and a terminal that fits the extension; the script may choose another one. A video is made of pictures. */
static void put_preamble(FILE *script, const char *name)
{
    const bool picture = lg_path_has_extension(name, ".png") || strcmp(name, "/dev/stdout") == 0;
    const char *terminal = picture                               ? "pngcairo size 1000,750 font 'DejaVu Sans,16'"
                           : lg_path_has_extension(name, ".gif") ? "gif animate size 1000,750 font 'DejaVu Sans,16'"
                           : lg_path_has_extension(name, ".svg") ? "svg size 500,375 font 'DejaVu Sans,10'"
                                                                 : "pdfcairo font 'DejaVu Sans,10'";
    fprintf(script, "set terminal %s background '#ffffff'\noutput = '", terminal);
    for (const char *c = name; *c; c++) fputs(*c == '\'' ? "''" : (char[]){*c, '\0'}, script);
    fputs("'\n", script);
}

/* The first lines of what a program said, on one line. */
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

/* gnuplot, or ffmpeg: what it said goes into `messages`. */
typedef struct program {
    char *name;
    const char *package; /* of Debian */
    FILE *messages;
    pid_t pid;
    int how; /* it ended: as waitpid tells it */
} program;

/* output -1: what it prints counts as messages. */
static lg_status start(lg_context *ctx, program *p, char *const *arguments, int input, int output, const char *path)
{
    posix_spawn_file_actions_t actions;
    int problem = posix_spawn_file_actions_init(&actions);
    if (!problem) {
        problem = posix_spawn_file_actions_adddup2(&actions, input, 0);
        if (!problem)
            problem = posix_spawn_file_actions_adddup2(&actions, output < 0 ? fileno(p->messages) : output, 1);
        if (!problem) problem = posix_spawn_file_actions_adddup2(&actions, fileno(p->messages), 2);
        if (!problem) problem = posix_spawnp(&p->pid, p->name, &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    if (problem == ENOENT || problem == EACCES) {
        return lg_fail(ctx, LG_ERR_LIBRARY,
                       "cannot draw '%s': %s is not installed or not on the PATH (Debian: apt-get install %s)", path,
                       p->name, p->package);
    }
    if (problem)
        return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': cannot start %s: %s", path, p->name, strerror(problem));
    return LG_OK;
}

/* "gnuplot -d /dev/stdin": read as a file, the script ends at its first error; -d leaves out the user's settings. Where that
 * name leads nowhere (a chroot without /proc) the script comes through "-": gnuplot then goes on after an error, and still
 * says so by its exit status. */
static lg_status start_gnuplot(lg_context *ctx, program *p, FILE *script, int output, const char *path)
{
    static char settings[] = "-d", file[] = "/dev/stdin", input[] = "-";
    char *arguments[] = {p->name, settings, access(file, F_OK) == 0 ? file : input, NULL};
    return start(ctx, p, arguments, fileno(script), output, path);
}

/* Reads PNG pictures one after the other, 12 hundredths of a second each as a .gif shows them. The sides of a video in the
 * colours that every player knows (yuv420p) are even numbers. */
static lg_status start_ffmpeg(lg_context *ctx, program *p, int input, char *temporary, const char *path)
{
    static char *options[] = {"-nostdin",   "-loglevel",
                              "error",      "-y",
                              "-f",         "image2pipe",
                              "-framerate", "25/3",
                              "-c:v",       "png",
                              "-i",         "pipe:0",
                              "-vf",        "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white",
                              "-pix_fmt",   "yuv420p",
                              "-movflags",  "+faststart",
                              "-f",         "mp4"};
    enum { OPTIONS = sizeof options / sizeof *options };
    char *arguments[OPTIONS + 3] = {p->name};
    memcpy(arguments + 1, options, sizeof options);
    arguments[OPTIONS + 1] = temporary;
    return start(ctx, p, arguments, input, -1, path);
}

static lg_status finish(lg_context *ctx, program *p, const char *path)
{
    pid_t ended;
    do {
        ended = waitpid(p->pid, &p->how, 0);
    } while (ended < 0 && errno == EINTR);
    if (ended < 0) return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': lost %s: %s", path, p->name, strerror(errno));
    if (WIFEXITED(p->how) && WEXITSTATUS(p->how) == 0) return LG_OK;
    char text[SHOWN];
    read_messages(p->messages, text);
    if (WIFSIGNALED(p->how)) {
        return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': %s was ended by signal %d: %s", path, p->name,
                       WTERMSIG(p->how), text);
    }
    return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': %s failed with exit status %d: %s", path, p->name,
                   WEXITSTATUS(p->how), text);
}

static lg_status run_gnuplot(lg_context *ctx, program *gnuplot, FILE *script, const char *path)
{
    const lg_status status = start_gnuplot(ctx, gnuplot, script, -1, path);
    return status ? status : finish(ctx, gnuplot, path);
}

/* gnuplot | ffmpeg. Neither end of the pipe may stay open here or in the wrong program: the video would never end. */
static lg_status run_both(lg_context *ctx, program *gnuplot, program *ffmpeg, FILE *script, char *temporary,
                          const char *path)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lg_fail(ctx, LG_ERR_LIBRARY, "cannot draw '%s': no pipe to ffmpeg: %s", path, strerror(errno));
    lg_status status = start_ffmpeg(ctx, ffmpeg, ends[0], temporary, path);
    close(ends[0]);
    if (status) {
        close(ends[1]);
        return status;
    }
    status = start_gnuplot(ctx, gnuplot, script, ends[1], path);
    close(ends[1]);
    if (!status) status = finish(ctx, gnuplot, path);
    /* a script that fails leaves ffmpeg without pictures; gnuplot that is cut off has lost ffmpeg */
    const bool cut = status && WIFSIGNALED(gnuplot->how) && WTERMSIG(gnuplot->how) == SIGPIPE;
    if (!status || cut) return finish(ctx, ffmpeg, path);
    while (waitpid(ffmpeg->pid, &ffmpeg->how, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static lg_status draw(lg_context *ctx, const char *script, const char *path, char *temporary)
{
    const bool video = lg_path_has_extension(path, ".mp4");
    FILE *input = tmpfile();
    program gnuplot = {.name = gnuplot_name, .package = "gnuplot-nox", .messages = tmpfile()};
    program ffmpeg = {.name = ffmpeg_name, .package = "ffmpeg; a .gif needs none", .messages = tmpfile()};
    lg_status status = LG_OK;
    if (input && gnuplot.messages && ffmpeg.messages) {
        put_preamble(input, video ? "/dev/stdout" : temporary);
        fputs(script, input);
        putc('\n', input);
        if (fflush(input) != 0 || ferror(input)) status = LG_ERR_FILE;
        rewind(input);
    }
    if (!input || !gnuplot.messages || !ffmpeg.messages || status != LG_OK)
        status = lg_fail(ctx, LG_ERR_FILE, "cannot draw '%s': cannot write a temporary file for gnuplot: %s", path,
                         strerror(errno));
    else if (video) status = run_both(ctx, &gnuplot, &ffmpeg, input, temporary, path);
    else status = run_gnuplot(ctx, &gnuplot, input, path);
    if (input) fclose(input);
    if (gnuplot.messages) fclose(gnuplot.messages);
    if (ffmpeg.messages) fclose(ffmpeg.messages);
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
        !lg_path_has_extension(path, ".pdf") && !lg_path_has_extension(path, ".gif") &&
        !lg_path_has_extension(path, ".mp4")) {
        return lg_fail(ctx, LG_ERR_USAGE,
                       "cannot draw '%s': the name of a picture ends in .png, .svg, .pdf, or .gif or .mp4 for an "
                       "animation",
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
