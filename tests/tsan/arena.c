/* Linked into the tests of the thread sanitizer's build. Criterion passes its tests' data to their processes in a shared arena
 * that it maps at a random free address, and the sanitizer keeps most of the addresses it tries for itself. This moves the
 * search and the mapping into the part of the address space that both accept (x86-64: the sanitizer's high application
 * memory, as far as it lies below the end of Criterion's range). */
#include <stdint.h>
#include <sys/mman.h>

#define EXPORTED __attribute__((visibility("default")))

static void *moved(void *address)
{
    const uintptr_t first = 0x7e8000000000, end = 0x7f0000000000, wanted = (uintptr_t)address;
    return wanted && wanted < first ? (void *)(first + wanted % (end - first)) : address;
}

int __interceptor_mincore(void *address, size_t length, unsigned char *pages);
void *__interceptor_mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset);

EXPORTED int mincore(void *address, size_t length, unsigned char *pages)
{
    return __interceptor_mincore(moved(address), length, pages);
}

EXPORTED void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    return __interceptor_mmap64(flags & MAP_SHARED ? moved(address) : address, length, protection, flags, file, offset);
}
