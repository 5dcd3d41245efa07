/* Slices of the fits of a job and their checkpoints. */
#include "cluster/slices.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "latgrad.h"

/* ---- cutting ---------------------------------------------------------------------------------------------------- */

lg_slice lg_slice_share(lg_slice whole, int rank, int size)
{
    const int64_t fits = whole.end - whole.begin;
    return (lg_slice){whole.begin + fits * rank / size, whole.begin + fits * (rank + 1) / size};
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

lg_status lg_slice_cut(lg_context *ctx, lg_slice whole, int size, const lg_slice *stored, int count, lg_slice **pieces,
                       int *piece_count)
{
    const size_t most = (size_t)size + 1 + 2 * (size_t)count;
    int64_t *border = malloc(most * sizeof *border);
    *pieces = malloc(most * sizeof **pieces);
    *piece_count = 0;
    if (!border || !*pieces) {
        free(border);
        free(*pieces);
        return lg_fail(ctx, LG_ERR_MEMORY, "out of memory for %zu slices", most);
    }
    size_t n = 0;
    for (int rank = 0; rank < size; rank++) border[n++] = lg_slice_share(whole, rank, size).begin;
    border[n++] = whole.end;
    for (int i = 0; i < count; i++) {
        if (stored[i].begin > whole.begin && stored[i].begin < whole.end) border[n++] = stored[i].begin;
        if (stored[i].end > whole.begin && stored[i].end < whole.end) border[n++] = stored[i].end;
    }
    qsort(border, n, sizeof *border, by_value);
    for (size_t i = 0; i + 1 < n; i++)
        if (border[i] < border[i + 1]) (*pieces)[(*piece_count)++] = (lg_slice){border[i], border[i + 1]};
    free(border);
    return LG_OK;
}

int lg_slice_source(lg_slice piece, const lg_slice *stored, int count)
{
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (stored[i].begin > piece.begin || stored[i].end < piece.end) continue;
        if (best < 0 || stored[i].end - stored[i].begin < stored[best].end - stored[best].begin) best = i;
    }
    return best;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------ */

char *lg_slice_checkpoint(const char *checkpoint, lg_slice slice)
{
    lg_text text = {0};
    lg_text_printf(&text, "%s.fits%lld-%lld", checkpoint, (long long)slice.begin, (long long)slice.end - 1);
    return lg_text_take(&text);
}

/* "A-B" or "A-B.1" */
static bool parse_slice(const char *text, lg_slice *slice)
{
    long long first, last;
    int used = 0;
    if (*text < '0' || *text > '9' || sscanf(text, "%9lld-%9lld%n", &first, &last, &used) != 2) return false;
    if (first > last || (text[used] && strcmp(text + used, ".1") != 0)) return false;
    *slice = (lg_slice){first, (int64_t)last + 1};
    return true;
}

static int by_begin(const void *a, const void *b)
{
    const lg_slice *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static bool is_known(const lg_slice *stored, int count, lg_slice slice)
{
    for (int i = 0; i < count; i++)
        if (stored[i].begin == slice.begin && stored[i].end == slice.end) return true;
    return false;
}

lg_status lg_slice_list(lg_context *ctx, const char *checkpoint, lg_slice **stored, int *count)
{
    const char *name = lg_path_name(checkpoint);
    const size_t n = strlen(name);
    char *directory = lg_path_directory(checkpoint);
    DIR *folder = directory ? opendir(directory) : NULL;
    lg_status status = LG_OK;
    int room = 0;
    *stored = NULL;
    *count = 0;
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry && !status; entry = readdir(folder)) {
        lg_slice slice;
        if (strncmp(entry->d_name, name, n) != 0 || strncmp(entry->d_name + n, ".fits", 5) != 0) continue;
        if (!parse_slice(entry->d_name + n + 5, &slice) || is_known(*stored, *count, slice)) continue;
        if (*count == room) {
            room = 2 * room + 8;
            lg_slice *more = realloc(*stored, (size_t)room * sizeof *more);
            if (!more) {
                status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory for the checkpoints of '%s'", checkpoint);
                break;
            }
            *stored = more;
        }
        (*stored)[(*count)++] = slice;
    }
    if (folder) closedir(folder);
    free(directory);
    if (*count > 1) qsort(*stored, (size_t)*count, sizeof **stored, by_begin);
    return status;
}

static lg_status copy_file(lg_context *ctx, const char *from, const char *to)
{
    char *data;
    size_t size;
    if (!lg_file_exists(from)) return LG_OK;
    lg_status status = lg_file_read(ctx, from, &data, &size);
    if (status) return status;
    status = lg_file_write(ctx, to, data, size, true);
    free(data);
    return status;
}

/* Both generations, the newer last: were it cut short, the piece would go on from the older one, to the same end. */
lg_status lg_slice_copy(lg_context *ctx, const char *checkpoint, const lg_slice *source, lg_slice piece)
{
    char *from = source ? lg_slice_checkpoint(checkpoint, *source) : strdup(checkpoint),
         *to = lg_slice_checkpoint(checkpoint, piece);
    lg_text older_from = {0}, older_to = {0};
    lg_status status = LG_OK;
    if (from && to) {
        lg_text_printf(&older_from, "%s.1", from);
        lg_text_printf(&older_to, "%s.1", to);
    }
    if (!from || !to || older_from.failed || older_to.failed) status = lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
    if (!status) status = copy_file(ctx, older_from.data, older_to.data);
    if (!status) status = copy_file(ctx, from, to);
    lg_text_clear(&older_from);
    lg_text_clear(&older_to);
    free(from);
    free(to);
    return status;
}

bool lg_cluster_has_checkpoints(const char *checkpoint)
{
    lg_slice *stored = NULL;
    int count = 0;
    lg_slice_list(NULL, checkpoint, &stored, &count);
    free(stored);
    return count > 0;
}

lg_status lg_cluster_remove_checkpoints(lg_context *ctx, const char *checkpoint)
{
    lg_slice *stored;
    int count;
    lg_status status = lg_slice_list(ctx, checkpoint, &stored, &count);
    for (int i = 0; i < count && !status; i++) {
        char *path = lg_slice_checkpoint(checkpoint, stored[i]);
        status = path ? lg_checkpoint_remove(ctx, path) : lg_fail(ctx, LG_ERR_MEMORY, "out of memory");
        free(path);
    }
    free(stored);
    return status;
}
