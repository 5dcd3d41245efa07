/* Small text helpers of the tool: nearest names, files, JSON, units. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Edits (insertion, deletion, substitution) that turn a into b; words of up to 63 characters. */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    const size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) return 99;
    int row[LONGEST + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            const int substitute = diagonal + (a[i - 1] != b[j - 1]);
            const int other = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = substitute < other ? substitute : other;
        }
    }
    return row[m];
}

const char *lg_cli_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    int best = (int)strlen(word) / 3 + 2; /* at most a third of the word, and one more, may differ */
    for (size_t i = 0; i < count; i++) {
        const int d = distance(word, candidates[i]);
        if (d < best && d < (int)strlen(candidates[i])) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

lg_status lg_cli_check_free(lg_cli *cli, const char *option, const char *path)
{
    if (!path || !*path || cli->force || access(path, F_OK) != 0) return LG_OK;
    return lg_cli_fail(cli, LG_ERR_EXISTS, "%s: '%s' exists already; --force replaces it", option, path);
}

static lg_status write_all(lg_cli *cli, const char *path, int file, const char *text, size_t size)
{
    while (size) {
        const ssize_t n = write(file, text, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return lg_cli_fail(cli, LG_ERR_FILE, "'%s': writing failed: %s", path, strerror(errno));
        text += n;
        size -= (size_t)n;
    }
    if (fsync(file) != 0) return lg_cli_fail(cli, LG_ERR_FILE, "'%s': writing failed: %s", path, strerror(errno));
    return LG_OK;
}

/* Puts the finished file in its place. link() fails where the name is taken, so nothing is replaced by accident. */
static lg_status put_in_place(lg_cli *cli, const char *temporary, const char *path, bool force)
{
    if ((force ? rename(temporary, path) : link(temporary, path)) == 0) return LG_OK;
    if (!force && errno == EEXIST) {
        return lg_cli_fail(cli, LG_ERR_EXISTS, "'%s' exists already; --force replaces it", path);
    }
    return lg_cli_fail(cli, LG_ERR_FILE, "'%s' cannot be written: %s", path, strerror(errno));
}

lg_status lg_cli_write_text(lg_cli *cli, const char *path, const char *text, size_t size, bool force)
{
    const size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    if (!temporary) return lg_cli_fail(cli, LG_ERR_MEMORY, "no memory to write '%s'", path);
    snprintf(temporary, room, "%s.%ld.tmp", path, (long)getpid());
    const int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    lg_status status = LG_OK;
    if (file < 0) {
        status = lg_cli_fail(cli, LG_ERR_FILE, "'%s' cannot be written: %s", path, strerror(errno));
    } else {
        status = write_all(cli, path, file, text, size);
        if (close(file) != 0 && !status) {
            status = lg_cli_fail(cli, LG_ERR_FILE, "'%s': writing failed: %s", path, strerror(errno));
        }
        if (!status) status = put_in_place(cli, temporary, path, force);
        unlink(temporary);
    }
    free(temporary);
    return status;
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

void lg_cli_json_number(FILE *out, double value)
{
    char text[32]; /* the short form where it reads back as the same number */
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    fputs(isfinite(value) ? text : "null", out);
}

void lg_cli_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') fprintf(out, "\\%c", c);
        else if (c < 0x20) fprintf(out, "\\u%04x", c);
        else fputc(c, out);
    }
    fputc('"', out);
}

void lg_cli_format_bytes(char *text, size_t size, double bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    while (bytes >= 1024 && u < 4) {
        bytes /= 1024;
        u++;
    }
    snprintf(text, size, u && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

void lg_cli_format_seconds(char *text, size_t size, double seconds)
{
    if (!(seconds < 3600.0 * 24 * 365)) snprintf(text, size, "long");
    else if (seconds < 60) snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 3600) snprintf(text, size, "%d min %d s", (int)seconds / 60, (int)seconds % 60);
    else snprintf(text, size, "%d h %d min", (int)(seconds / 3600), (int)fmod(seconds, 3600) / 60);
}
