/* A folder for the noise of a run, and the device that makes it: .init and .fini of the suites that dump. */
#ifndef TESTS_NOISE_DUMPS_H
#define TESTS_NOISE_DUMPS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/device.h"

static char scratch[64], folder[80];

static inline void clear_folder(void)
{
    char path[512];
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    if (dir) closedir(dir);
    rmdir(folder);
}

static inline void setup(void)
{
    strcpy(scratch, "/tmp/latgrad-dump-XXXXXX");
    cr_assert_not_null(mkdtemp(scratch));
    snprintf(folder, sizeof folder, "%s/run", scratch);
    open_device();
}

static inline void teardown(void)
{
    clear_folder();
    rmdir(scratch);
    close_device();
}

#endif
