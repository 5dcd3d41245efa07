/* The kernel tables of every instruction set this build has and this machine runs; 0 is the base one. */
#ifndef TESTS_CPU_ISA_TABLES_H
#define TESTS_CPU_ISA_TABLES_H

#include "backend/cpu/cpu.h"
#include "lg_build.h"

enum { TEST_ISAS = 3 };

extern const lg_mk_kernels lg_mk_table_base;
#if LG_HAVE_ISA_AVX2
extern const lg_mk_kernels lg_mk_table_avx2;
#endif
#if LG_HAVE_ISA_AVX512
extern const lg_mk_kernels lg_mk_table_avx512;
#endif

static inline const char *test_isa_name(int i)
{
    static const char *const names[TEST_ISAS] = {"base", "avx2", "avx512"};
    return names[i];
}

static inline int test_isa_runs(int i)
{
#if LG_HAVE_ISA_AVX2
    if (i == 1)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
#endif
#if LG_HAVE_ISA_AVX512
    if (i == 2)
        return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return i == 0;
}

static inline const lg_mk_kernels *test_isa_mk(int i)
{
#if LG_HAVE_ISA_AVX2
    if (i == 1) return &lg_mk_table_avx2;
#endif
#if LG_HAVE_ISA_AVX512
    if (i == 2) return &lg_mk_table_avx512;
#endif
    (void)i;
    return &lg_mk_table_base;
}

#endif
