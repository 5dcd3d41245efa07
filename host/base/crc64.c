#include "base/crc64.h"

void lg_crc64_begin(lg_crc64 *crc)
{
    crc->value = ~UINT64_C(0);
    for (unsigned i = 0; i < 256; i++) {
        uint64_t rest = i;
        for (int bit = 0; bit < 8; bit++) rest = rest >> 1 ^ (rest & 1 ? UINT64_C(0xc96c5795d7870f42) : 0);
        crc->table[0][i] = rest;
    }
    /* table[k][i]: what byte i contributes with k bytes behind it */
    for (unsigned i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++) {
            const uint64_t before = crc->table[k - 1][i];
            crc->table[k][i] = before >> 8 ^ crc->table[0][before & 0xff];
        }
}

void lg_crc64_add(lg_crc64 *crc, const void *data, size_t size)
{
    const unsigned char *byte = data;
    uint64_t value = crc->value;
    for (; size >= 8; size -= 8, byte += 8) {
        uint64_t word = 0;
        for (int k = 7; k >= 0; k--) word = word << 8 | byte[k];
        word ^= value;
        value = 0;
        for (int k = 0; k < 8; k++) value ^= crc->table[7 - k][word >> (8 * k) & 0xff];
    }
    for (; size; size--) value = value >> 8 ^ crc->table[0][(value ^ *byte++) & 0xff];
    crc->value = value;
}

uint64_t lg_crc64_value(const lg_crc64 *crc)
{
    return ~crc->value;
}
