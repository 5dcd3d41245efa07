#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/scratch.h"

/* From here on, writing beyond `bytes` in a file fails, as on a full disk. Each test runs in its own process. */
static void limit_file_size(size_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(file, reads_everything)
{
    scratch s;
    scratch_begin(&s);
    size_t size;
    char *data, *large = malloc(300000);
    for (size_t i = 0; i < 300000; i++) large[i] = (char)(i * 7 / 3);
    expect_ok(&s, lg_file_read(s.ctx, scratch_bytes(&s, "large", large, 300000), &data, &size));
    cr_expect_eq(size, 300000);
    cr_expect_eq(memcmp(data, large, size), 0);
    cr_expect_eq(data[size], '\0');
    free(data);
    free(large);
    expect_ok(&s, lg_file_read(s.ctx, scratch_file(&s, "empty", ""), &data, NULL));
    cr_expect_str_eq(data, "");
    free(data);
    scratch_end(&s);
}

Test(file, says_why_it_cannot_read)
{
    scratch s;
    scratch_begin(&s);
    char *data;
    expect_failure(&s, lg_file_read(s.ctx, scratch_path(&s, "nothing.csv"), &data, NULL), LG_ERR_FILE, "nothing.csv");
    expect_failure(&s, LG_ERR_FILE, LG_ERR_FILE, "No such file");
    cr_expect_null(data);
    expect_failure(&s, lg_file_read(s.ctx, s.directory, &data, NULL), LG_ERR_FILE, "directory");
    cr_expect_null(data);
    scratch_end(&s);
}

Test(file, writes_and_leaves_no_other_file)
{
    scratch s;
    scratch_begin(&s);
    lg_atomic a;
    const char *path = scratch_path(&s, "out.csv");
    expect_ok(&s, lg_atomic_open(s.ctx, path, false, &a));
    cr_expect(lg_path_has_extension(a.temporary, ".csv"), "%s", a.temporary);
    fprintf(a.file, "new");
    cr_expect_not(lg_file_exists(path), "the name is taken before the file is complete");
    expect_ok(&s, lg_atomic_commit(s.ctx, &a));
    cr_expect(scratch_holds(path, "new"));
    cr_expect_eq(scratch_count(&s), 1);
    lg_atomic_abort(&a);
    cr_expect(scratch_holds(path, "new"));
    scratch_end(&s);
}

Test(file, rights_follow_the_umask)
{
    scratch s;
    scratch_begin(&s);
    struct stat status;
    umask(027);
    expect_ok(&s, lg_file_write(s.ctx, scratch_path(&s, "out"), "x", 1, false));
    cr_assert_eq(stat(scratch_path(&s, "out"), &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0640);
    scratch_end(&s);
}

Test(file, refuses_to_overwrite)
{
    scratch s;
    scratch_begin(&s);
    const char *path = scratch_file(&s, "result.h5", "old");
    expect_failure(&s, lg_file_write(s.ctx, path, "new", 3, false), LG_ERR_EXISTS, "result.h5' exists already");
    cr_expect(scratch_holds(path, "old"));
    cr_expect_eq(scratch_count(&s), 1);
    expect_ok(&s, lg_file_write(s.ctx, path, "new", 3, true));
    cr_expect(scratch_holds(path, "new"));
    cr_expect_eq(scratch_count(&s), 1);
    scratch_end(&s);
}

Test(file, a_target_that_appears_meanwhile_is_left_alone)
{
    scratch s;
    scratch_begin(&s);
    lg_atomic a;
    char kept[256];
    expect_ok(&s, lg_atomic_open(s.ctx, scratch_path(&s, "out"), false, &a));
    snprintf(kept, sizeof kept, "%s", a.temporary);
    fprintf(a.file, "ours");
    const char *path = scratch_file(&s, "out", "theirs");
    expect_failure(&s, lg_atomic_commit(s.ctx, &a), LG_ERR_EXISTS, kept);
    cr_expect(scratch_holds(path, "theirs"));
    cr_expect(scratch_holds(kept, "ours"));
    scratch_end(&s);
}

Test(file, abort_removes_the_temporary_file)
{
    scratch s;
    scratch_begin(&s);
    lg_atomic a;
    const char *path = scratch_file(&s, "out", "old");
    expect_ok(&s, lg_atomic_open(s.ctx, path, true, &a));
    fprintf(a.file, "new");
    lg_atomic_abort(&a);
    lg_atomic_abort(&a);
    cr_expect(scratch_holds(path, "old"));
    cr_expect_eq(scratch_count(&s), 1);
    scratch_end(&s);
}

Test(file, writing_by_name)
{
    scratch s;
    scratch_begin(&s);
    lg_atomic a;
    const char *path = scratch_path(&s, "figure.png");
    expect_ok(&s, lg_atomic_name(s.ctx, path, false, &a));
    cr_expect_null(a.file);
    cr_expect(lg_file_exists(a.temporary));
    FILE *file = fopen(a.temporary, "w");
    fprintf(file, "picture");
    fclose(file);
    expect_ok(&s, lg_atomic_commit(s.ctx, &a));
    cr_expect(scratch_holds(path, "picture"));
    expect_ok(&s, lg_atomic_name(s.ctx, path, true, &a));
    cr_expect_eq(unlink(a.temporary), 0);
    expect_failure(&s, lg_atomic_commit(s.ctx, &a), LG_ERR_FILE, "No such file");
    cr_expect(scratch_holds(path, "picture"));
    cr_expect_eq(scratch_count(&s), 1);
    scratch_end(&s);
}

Test(file, a_full_disk_leaves_the_old_file)
{
    scratch s;
    scratch_begin(&s);
    const char *path = scratch_file(&s, "out", "old");
    char *large = calloc(1 << 16, 1);
    limit_file_size(10000);
    expect_failure(&s, lg_file_write(s.ctx, path, large, 1 << 16, true), LG_ERR_FILE, "File too large");
    cr_expect(scratch_holds(path, "old"));
    cr_expect_eq(scratch_count(&s), 1);
    free(large);
    scratch_end(&s);
}

Test(file, a_full_disk_is_seen_at_the_last_flush)
{
    scratch s;
    scratch_begin(&s);
    lg_atomic a;
    expect_ok(&s, lg_atomic_open(s.ctx, scratch_path(&s, "out"), false, &a));
    limit_file_size(10);
    fprintf(a.file, "short enough for the buffer, too long for the disk");
    expect_failure(&s, lg_atomic_commit(s.ctx, &a), LG_ERR_FILE, "cannot write");
    cr_expect_eq(scratch_count(&s), 0);
    scratch_end(&s);
}

Test(file, a_disk_that_was_full_for_a_while)
{
    scratch s;
    scratch_begin(&s);
    lg_atomic a;
    expect_ok(&s, lg_atomic_open(s.ctx, scratch_path(&s, "out"), false, &a));
    limit_file_size(10);
    fprintf(a.file, "these bytes are lost");
    cr_expect_neq(fflush(a.file), 0);
    limit_file_size(1000);
    fprintf(a.file, "and these would fit");
    expect_failure(&s, lg_atomic_commit(s.ctx, &a), LG_ERR_FILE, "cannot write");
    cr_expect_eq(scratch_count(&s), 0);
    scratch_end(&s);
}

Test(file, unwritable_places)
{
    scratch s;
    scratch_begin(&s);
    scratch_file(&s, "plain", "data");
    expect_failure(&s, lg_file_write(s.ctx, scratch_path(&s, "none/out"), "x", 1, false), LG_ERR_FILE,
                   "there is no directory");
    expect_failure(&s, lg_file_write(s.ctx, scratch_path(&s, "plain/out"), "x", 1, false), LG_ERR_FILE,
                   "Not a directory");
    expect_failure(&s, lg_file_write(s.ctx, s.directory, "x", 1, true), LG_ERR_FILE, "it is a directory");
    expect_failure(&s, lg_file_write(s.ctx, "/dev/full", "x", 1, true), LG_ERR_FILE, "it is a device or pipe");
    expect_failure(&s, lg_file_write(s.ctx, "", "x", 1, true), LG_ERR_FILE, "empty name");
    cr_expect(scratch_holds(scratch_path(&s, "plain"), "data"));
    cr_expect_eq(scratch_count(&s), 1);
    scratch_end(&s);
}

Test(file, a_directory_without_write_permission)
{
    if (geteuid() == 0) cr_skip_test("root may write anywhere");
    scratch s;
    scratch_begin(&s);
    cr_assert_eq(chmod(s.directory, 0500), 0);
    expect_failure(&s, lg_file_write(s.ctx, scratch_path(&s, "out"), "x", 1, false), LG_ERR_FILE, "Permission denied");
    cr_assert_eq(chmod(s.directory, 0700), 0);
    scratch_end(&s);
}

Test(file, links)
{
    scratch s;
    scratch_begin(&s);
    struct stat status;
    const char *path = scratch_file(&s, "real", "old"), *link_path = scratch_path(&s, "link");
    cr_assert_eq(symlink("real", link_path), 0);
    expect_failure(&s, lg_file_write(s.ctx, link_path, "new", 3, false), LG_ERR_EXISTS, "link");
    expect_ok(&s, lg_file_write(s.ctx, link_path, "new", 3, true));
    cr_expect(scratch_holds(path, "new"));
    cr_expect(lstat(link_path, &status) == 0 && S_ISLNK(status.st_mode), "the link itself was replaced");
    cr_assert_eq(symlink("/dev/null", scratch_path(&s, "null")), 0);
    expect_failure(&s, lg_file_write(s.ctx, scratch_path(&s, "null"), "new", 3, true), LG_ERR_FILE, "not a file");
    cr_assert_eq(symlink("nowhere", scratch_path(&s, "dangling")), 0);
    expect_failure(&s, lg_file_write(s.ctx, scratch_path(&s, "dangling"), "new", 3, true), LG_ERR_FILE, "No such file");
    scratch_end(&s);
}

Test(file, very_long_names)
{
    scratch s;
    scratch_begin(&s);
    char name[300] = {0};
    memset(name, 'n', 255);
    char *path = lg_path_join(s.directory, name);
    expect_ok(&s, lg_file_write(s.ctx, path, "x", 1, false));
    cr_expect(scratch_holds(path, "x"));
    unlink(path);
    free(path);
    name[255] = 'n';
    path = lg_path_join(s.directory, name);
    expect_failure(&s, lg_file_write(s.ctx, path, "x", 1, false), LG_ERR_FILE, "too long");
    free(path);
    scratch_end(&s);
}

static void expect_text(char *got, const char *wanted)
{
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(file, paths)
{
    expect_text(lg_path_join("a", "b"), "a/b");
    expect_text(lg_path_join("a/", "b"), "a/b");
    expect_text(lg_path_join("", "b"), "b");
    expect_text(lg_path_join("a", "/b"), "/b");
    expect_text(lg_path_directory("a/b/c"), "a/b");
    expect_text(lg_path_directory("c"), ".");
    expect_text(lg_path_directory("/c"), "/");
    expect_text(lg_path_directory("a//c"), "a");
    cr_expect_str_eq(lg_path_name("a/b.c"), "b.c");
    cr_expect_str_eq(lg_path_name("b.c"), "b.c");
    cr_expect(lg_path_has_extension("x.NPY", ".npy"));
    cr_expect_not(lg_path_has_extension("npy", ".npy"));
}

Test(file, directories)
{
    scratch s;
    scratch_begin(&s);
    struct stat status;
    scratch_file(&s, "plain", "data");
    expect_ok(&s, lg_make_directory(s.ctx, s.directory));
    expect_ok(&s, lg_make_directory(s.ctx, scratch_path(&s, "a//b/c/")));
    cr_expect(stat(scratch_path(&s, "a/b/c"), &status) == 0 && S_ISDIR(status.st_mode));
    expect_ok(&s, lg_make_directory(s.ctx, scratch_path(&s, "a/b")));
    expect_failure(&s, lg_make_directory(s.ctx, scratch_path(&s, "plain")), LG_ERR_FILE, "File exists");
    expect_failure(&s, lg_make_directory(s.ctx, scratch_path(&s, "plain/d")), LG_ERR_FILE, "plain'");
    expect_failure(&s, lg_make_directory(s.ctx, ""), LG_ERR_FILE, "empty name");
    rmdir(scratch_path(&s, "a/b/c"));
    rmdir(scratch_path(&s, "a/b"));
    scratch_end(&s);
}
