/* Linked into the tests of the coverage build: a test that limits the size of files (to see what a full disk does) would
 * cut the counters off that are written when its process ends, so the limit is lifted just before. */
#include <sys/resource.h>

__attribute__((destructor)) static void lift_file_size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}
