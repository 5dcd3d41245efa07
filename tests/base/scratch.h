/* A scratch directory for tests that write files, and what they do with it. */
#ifndef LG_TESTS_SCRATCH_H
#define LG_TESTS_SCRATCH_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "latgrad.h"

enum { PATH_LENGTH = 512 };

typedef struct scratch {
    char directory[64];
    char *path[8];
    int used;
    lg_context *ctx;
} scratch;

static inline void scratch_begin(scratch *s)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 8; i++) s->path[i] = malloc(PATH_LENGTH);
    strcpy(s->directory, "/tmp/latgrad-test-XXXXXX");
    cr_assert_not_null(mkdtemp(s->directory));
    cr_assert_eq(lg_context_create(&s->ctx), LG_OK);
}

/* The path of a file in the directory; eight results stay valid. */
static inline const char *scratch_path(scratch *s, const char *name)
{
    char *path = s->path[s->used++ % 8];
    int length = snprintf(path, PATH_LENGTH, "%s/%s", s->directory, name);
    cr_assert(length > 0 && length < PATH_LENGTH);
    return path;
}

static inline const char *scratch_bytes(scratch *s, const char *name, const void *data, size_t size)
{
    const char *path = scratch_path(s, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    return path;
}

static inline const char *scratch_file(scratch *s, const char *name, const char *text)
{
    return scratch_bytes(s, name, text, strlen(text));
}

/* Does the file hold exactly this text? */
static inline bool scratch_holds(const char *path, const char *text)
{
    char buffer[4096];
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t got = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    return got == strlen(text) && memcmp(buffer, text, got) == 0;
}

static inline int scratch_count(scratch *s)
{
    int count = 0;
    DIR *directory = opendir(s->directory);
    cr_assert_not_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(directory);
    return count;
}

/* Removes the files of the directory, and directories in it as far as they are empty. */
static inline void scratch_end(scratch *s)
{
    DIR *directory = opendir(s->directory);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            remove(scratch_path(s, entry->d_name));
        }
    }
    if (directory) closedir(directory);
    rmdir(s->directory);
    for (int i = 0; i < 8; i++) free(s->path[i]);
    lg_context_free(s->ctx);
}

/* The call failed with this code and its message has this part. */
static inline void expect_failure(const scratch *s, lg_status got, lg_status wanted, const char *part)
{
    cr_expect_eq(got, wanted, "%s instead of %s: %s", lg_status_name(got), lg_status_name(wanted),
                 lg_context_message(s->ctx));
    cr_expect_not_null(strstr(lg_context_message(s->ctx), part), "'%s' has no '%s'", lg_context_message(s->ctx), part);
}

static inline void expect_ok(const scratch *s, lg_status got)
{
    cr_assert_eq(got, LG_OK, "%s: %s", lg_status_name(got), lg_context_message(s->ctx));
}

#endif
