/* cuRAND's Philox4x32-10 against rules/philox.h, bit for bit, without a GPU:
 *   - the block function that kernels would call: the device branch of its header, compiled for the CPU with __umulhi from here;
 *   - the words that its host API writes in the order CURAND_ORDERING_PSEUDO_LEGACY, which cuRAND keeps the same for all releases:
 *     block n of a generator with seed s is the block of counter (n / 65536, 0, n mod 65536, 0) and key s.
 * Exit status 77: built without cuRAND. */
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "rules/philox.h"

#ifdef LG_CURAND_HEADER
#include <vector_types.h>

static inline unsigned int __umulhi(unsigned int a, unsigned int b)
{
    return static_cast<unsigned int>(static_cast<uint64_t>(a) * b >> 32);
}

/* CUDA 13 selects the branch by this macro; CUDA 12 compiles its host branch here. */
#if __has_include(<nv/target>)
#include <nv/target>
#undef NV_IF_ELSE_TARGET
#define NV_IF_ELSE_TARGET(condition, host, device) device
#endif
#define QUALIFIERS static inline
#include <curand_philox4x32_x.h>

struct test_case {
    uint32_t counter[4], key[2];
};

static bool same(const test_case &t, const test_case &other)
{
    const lg_key key = {{other.key[0], other.key[1]}};
    const lg_block ours = lg_philox(other.counter[0], other.counter[1], other.counter[2], other.counter[3], key);
    const uint4 theirs =
        curand_Philox4x32_10(uint4{t.counter[0], t.counter[1], t.counter[2], t.counter[3]}, uint2{t.key[0], t.key[1]});
    return ours.w[0] == theirs.x && ours.w[1] == theirs.y && ours.w[2] == theirs.z && ours.w[3] == theirs.w;
}

/* Random123's known answers, then 100,000 counters and keys, each against its neighbour too: the comparison can fail. */
static int check_block(void)
{
    static const test_case known[] = {
        {{0u, 0u, 0u, 0u}, {0u, 0u}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}},
        {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}},
    };
    static const uint32_t answers[][4] = {{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u},
                                          {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu},
                                          {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}};
    int failures = 0, blind = 0;
    for (int i = 0; i < 3; i++) {
        const test_case &t = known[i];
        const uint4 w = curand_Philox4x32_10(uint4{t.counter[0], t.counter[1], t.counter[2], t.counter[3]},
                                             uint2{t.key[0], t.key[1]});
        const uint32_t words[4] = {w.x, w.y, w.z, w.w};
        if (memcmp(words, answers[i], sizeof words) != 0 || !same(t, t)) failures++;
    }
    uint64_t state = 0x9e3779b97f4a7c15u; /* xorshift: independent of what is tested */
    for (int i = 0; i < 100000; i++) {
        test_case t;
        uint32_t words[6];
        for (uint32_t &w : words) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            w = static_cast<uint32_t>(state >> 16);
        }
        memcpy(t.counter, words, sizeof t.counter);
        memcpy(t.key, words + 4, sizeof t.key);
        test_case neighbour = t;
        neighbour.key[i % 2] ^= 1u << i % 32;
        failures += !same(t, t);
        blind += same(t, neighbour);
    }
    printf("block function: %d of 100003 blocks differ, %d of 100000 neighbours are the same\n", failures, blind);
    return failures || blind ? 1 : 0;
}
#else
static int check_block(void)
{
    printf("skipped: built without the header of cuRAND\n");
    return 77;
}
#endif

#ifdef LG_CURAND_LIBRARY
#include <curand.h>
#include <vector>

/* A generator of the host: the words that one of the device writes. */
static int check_host_api(void)
{
    const size_t blocks = (1u << 17) + 3; /* every sub-sequence, then their second blocks */
    const uint64_t seed = 0x123456789abcdefull;
    std::vector<unsigned int> words(4 * blocks);
    curandGenerator_t generator;
    curandStatus_t status = curandCreateGeneratorHost(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10);
    if (!status) status = curandSetGeneratorOrdering(generator, CURAND_ORDERING_PSEUDO_LEGACY);
    if (!status) status = curandSetPseudoRandomGeneratorSeed(generator, seed);
    if (!status) status = curandGenerate(generator, words.data(), words.size());
    if (status) {
        printf("host API: cuRAND reports status %d\n", static_cast<int>(status));
        return 1;
    }
    curandDestroyGenerator(generator);
    size_t different = 0, blind = 0;
    for (size_t n = 0; n < blocks; n++) {
        const lg_key key = {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
        const uint32_t turn = static_cast<uint32_t>(n / 65536), sequence = static_cast<uint32_t>(n % 65536);
        const lg_block ours = lg_philox(turn, 0, sequence, 0, key), other = lg_philox(turn + 1, 0, sequence, 0, key);
        different += memcmp(ours.w, &words[4 * n], sizeof ours.w) != 0;
        blind += memcmp(other.w, &words[4 * n], sizeof other.w) == 0;
    }
    printf("host API: %zu of %zu blocks differ, %zu are also the block of the next turn\n", different, blocks, blind);
    return different || blind ? 1 : 0;
}
#else
static int check_host_api(void)
{
    printf("skipped: built without the library cuRAND\n");
    return 77;
}
#endif

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "host") == 0 ? check_host_api() : check_block();
}
