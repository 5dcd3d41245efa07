# How C sources are compiled: latgrad_flags (interface target) and latgrad_isa_kernels().
#
# -ffp-contract=off everywhere: a fused multiply-add rounds once where two operations round twice, and results would then
# depend on the machine.

set(LATGRAD_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread; empty for none")
option(LATGRAD_COVERAGE "Instrument for line coverage" OFF)

add_library(latgrad_flags INTERFACE)
target_include_directories(latgrad_flags INTERFACE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/host"
                                                   "${PROJECT_SOURCE_DIR}/kernels" "${PROJECT_BINARY_DIR}/generated")
target_compile_definitions(latgrad_flags INTERFACE _GNU_SOURCE)
target_compile_options(latgrad_flags INTERFACE -ffp-contract=off -fvisibility=hidden)

set(warnings -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wno-sign-conversion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND warnings -Wno-format-truncation) # messages are cut to their buffer on purpose
endif()
if(NOT LG_HAVE_OPENMP)
    list(APPEND warnings -Wno-unknown-pragmas)
endif()
if(LATGRAD_WERROR)
    list(APPEND warnings -Werror)
endif()
target_compile_options(latgrad_flags INTERFACE "$<$<COMPILE_LANGUAGE:C>:${warnings}>")

# Sanitizers and coverage hold for everything that is compiled and linked here, the tests included.
if(LATGRAD_SANITIZE)
    add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${LATGRAD_SANITIZE}>
                        $<$<COMPILE_LANGUAGE:C,CXX>:-fno-omit-frame-pointer>
                        $<$<COMPILE_LANGUAGE:C,CXX>:-fno-sanitize-recover=all>)
    add_link_options(-fsanitize=${LATGRAD_SANITIZE})
endif()
if(LATGRAD_COVERAGE)
    add_compile_options($<$<COMPILE_LANGUAGE:C>:--coverage>)
    add_link_options(--coverage)
endif()

if(BUILD_SHARED_LIBS OR LATGRAD_PYTHON)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
endif()

# The cpu backend's kernels are compiled once per instruction set, with LG_ISA as the suffix of their table's name.
set(LATGRAD_ISAS base)
set(isa_options_base "")
set(LG_HAVE_ISA_AVX2 0)
set(LG_HAVE_ISA_AVX512 0)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    list(APPEND LATGRAD_ISAS avx2 avx512)
    set(isa_options_base -march=x86-64-v2)
    set(isa_options_avx2 -march=x86-64-v3 -mprefer-vector-width=256)
    set(isa_options_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
    set(LG_HAVE_ISA_AVX2 1)
    set(LG_HAVE_ISA_AVX512 1)
endif()

function(latgrad_isa_kernels isa)
    set(target latgrad_kernels_${isa})
    add_library(${target} OBJECT ${ARGN})
    target_link_libraries(${target} PRIVATE latgrad_flags latgrad_optional)
    target_compile_definitions(${target} PRIVATE LG_ISA=${isa})
    target_compile_options(${target} PRIVATE ${isa_options_${isa}} -O3 -fno-math-errno -fno-trapping-math)
    add_dependencies(${target} latgrad_commit)
endfunction()
