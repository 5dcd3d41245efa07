/* Files: reading whole files, and writing them so that no half-written or overwritten file is ever left behind. */
#ifndef LG_BASE_FILE_H
#define LG_BASE_FILE_H

#include <stdio.h>

#include "base/error.h"

/* Reads a whole file. *data is NUL-terminated (the NUL is not counted in *size; size may be NULL) and the caller's to
 * free(). */
lg_status lg_file_read(lg_context *ctx, const char *path, char **data, size_t *size);

/* A file being written under a temporary name next to its target. Life cycle:
 *   lg_atomic_open() or lg_atomic_name(), write, then exactly one of lg_atomic_commit() or lg_atomic_abort().
 * After a failed open or name, and after any commit, nothing is left to release; another abort is harmless. */
typedef struct lg_atomic {
    FILE *file;      /* open for writing (lg_atomic_open), or NULL (lg_atomic_name) */
    char *temporary; /* name to write to, in the target's directory and with its extension */
    char *path;      /* the target */
    bool force;      /* an existing target may be replaced */
} lg_atomic;

/* Starts writing `path`. Fails at once with LG_ERR_EXISTS where the target exists and force is false, and with
 * LG_ERR_FILE where the directory is missing or not writable or the target is not a regular file. */
lg_status lg_atomic_open(lg_context *ctx, const char *path, bool force, lg_atomic *a);
/* The same for libraries and programs that open files by name (HDF5, gnuplot): they write to a->temporary, which exists
 * already as an empty file, and close it before the commit. */
lg_status lg_atomic_name(lg_context *ctx, const char *path, bool force, lg_atomic *a);
/* Writes bytes to a->file. On failure the message gives the cause and all is given up as by lg_atomic_abort(). */
lg_status lg_atomic_write(lg_context *ctx, lg_atomic *a, const void *data, size_t size);
/* Flushes, checks for errors (a full disk too), syncs to disk and moves the file to its name. On failure the target is
 * as it was and the temporary file is removed, except where the target appeared meanwhile and force is false: then what
 * was written stays under the temporary name and the message says so. */
lg_status lg_atomic_commit(lg_context *ctx, lg_atomic *a);
/* Gives up: closes and removes the temporary file. */
void lg_atomic_abort(lg_atomic *a);

/* Writes `size` bytes as a whole file, through the functions above. */
lg_status lg_file_write(lg_context *ctx, const char *path, const char *data, size_t size, bool force);

bool lg_file_exists(const char *path);

/* "directory/name" (name alone where it is absolute or directory is empty); release with free(); NULL: no memory. */
char *lg_path_join(const char *directory, const char *name);
/* The directory part of a path, "." where there is none; release with free(); NULL: no memory. */
char *lg_path_directory(const char *path);
/* The part after the last slash; points into path. */
const char *lg_path_name(const char *path);
/* Does the path end in this extension (".npy"), in any case? */
bool lg_path_has_extension(const char *path, const char *extension);

/* Makes a directory and those above it; one that exists already is fine. */
lg_status lg_make_directory(lg_context *ctx, const char *path);

#endif
