/* Choice of the instruction set at run time. */
#include "backend/cpu/kernel_si.h"
#include "lg_build.h"

#include <stdlib.h>
#include <string.h>

extern const lg_prw_kernels lg_prw_table_base, lg_prw_table_avx2, lg_prw_table_avx512;
extern const lg_si_kernels lg_si_table_base, lg_si_table_avx2, lg_si_table_avx512;
extern const lg_mk_kernels lg_mk_table_base, lg_mk_table_avx2, lg_mk_table_avx512;

static const lg_cpu_isa isas[] = {
    {"base", &lg_prw_table_base, &lg_si_table_base, &lg_mk_table_base},
#if LG_HAVE_ISA_AVX2
    {"avx2", &lg_prw_table_avx2, &lg_si_table_avx2, &lg_mk_table_avx2},
#endif
#if LG_HAVE_ISA_AVX512
    {"avx512", &lg_prw_table_avx512, &lg_si_table_avx512, &lg_mk_table_avx512},
#endif
};
enum { ISAS = sizeof isas / sizeof isas[0] };

/* Does this machine run the code compiled for x86-64-v3 and -v4? (Machines with these features have the rest of the
 * level.) */
static bool runs(const char *name)
{
    if (strcmp(name, "base") == 0) return true;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
    if (!v3 || strcmp(name, "avx2") == 0) return v3;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

const lg_cpu_isa *lg_cpu_select_isa(void)
{
    const char *limit = getenv("LATGRAD_ISA");
    int best = 0;
    for (int i = 0; i < ISAS && runs(isas[i].name); i++) {
        best = i;
        if (limit && strcmp(limit, isas[i].name) == 0) break;
    }
    return &isas[best];
}

size_t lg_si_scratch_bytes(uint32_t W)
{
    return lg_si_tile_words(W) * sizeof(uint64_t);
}
