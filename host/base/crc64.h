/* CRC-64 of the XZ format (ECMA-182, reflected): finds every change of up to 64 neighbouring bits, and any other one but
 * with probability 2^-64. */
#ifndef LG_BASE_CRC64_H
#define LG_BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Eight tables, so that eight bytes are taken at a time; filled by lg_crc64_begin(). */
typedef struct lg_crc64 {
    uint64_t table[8][256];
    uint64_t value;
} lg_crc64;

void lg_crc64_begin(lg_crc64 *crc);
void lg_crc64_add(lg_crc64 *crc, const void *data, size_t size);
/* The checksum of all that was added; more may be added after it. The one of "123456789" is 995dc9bbdf1939fa. */
uint64_t lg_crc64_value(const lg_crc64 *crc);

#endif
