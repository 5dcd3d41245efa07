/* Version and build: everything is known when the library is compiled. */
#include "latgrad.h"

#include "lg_build.h"

const char *lg_version(void)
{
    return LG_BUILD_VERSION;
}

const char *lg_build_info(void)
{
    return "latgrad " LG_BUILD_VERSION ", commit " LG_BUILD_COMMIT ", " LG_BUILD_SYSTEM ", " LG_BUILD_COMPILER
           ", " LG_BUILD_TYPE " (" LG_BUILD_FLAGS "), with" LG_BUILD_PARTS;
}
