#!/bin/sh
# Installs what is missing, builds everything and runs all tests. Arguments go to ctest (for example: -R config).
# With CI=true also: formatting, clang-tidy, sanitizers, line coverage.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"
ci=${CI:-false}
jobs=$(cores)

need_build
need 'has_pc criterion' "libcriterion-dev" "Criterion 2.4"
need 'command -v c++' "g++" "a C++17 compiler as c++"
need 'command -v make || command -v ninja' "ninja-build" "ninja or make"
need '/usr/bin/python3 -c "import numpy, h5py"' "python3-minimal python3-numpy python3-h5py" "Python 3 with numpy and h5py"
if [ "$ci" = true ]; then
    need 'command -v clang-format' "clang-format" "clang-format 14"
    need 'command -v shellcheck' "shellcheck" "shellcheck"
    need 'command -v clang-tidy' "clang-tidy" "clang-tidy"
    need 'command -v clang && ls /usr/lib/llvm-*/lib/libarcher.so' "clang libomp-dev" "clang with its OpenMP library"
    need 'command -v gcovr' "gcovr" "gcovr"
    need 'command -v git' "git" "git"
    need '/usr/bin/python3 -c "import setuptools, pip, scipy, wheel"' \
        "python3-scipy python3-pip python3-setuptools python3-wheel" "Python's scipy, pip, setuptools and wheel"
    need 'command -v ffmpeg' "ffmpeg" "ffmpeg"
    need 'command -v mkdocs' "mkdocs" "mkdocs"
    need 'command -v mpicc && command -v mpirun' "libopenmpi-dev openmpi-bin" "Open MPI"
    need 'test -x /usr/sbin/slurmctld && test -x /usr/sbin/slurmd && test -x /usr/sbin/munged' "slurm-wlm munge" "Slurm and munge"
fi
install_missing
cd "$root"

# Criterion reads /proc. A bare chroot has none, so it gets one for as long as this script runs.
if [ ! -e /proc/self/exe ]; then
    mount -t proc proc /proc 2>/dev/null || give_up "the tests need /proc; as root: mount -t proc proc /proc"
    trap 'umount -l /proc' EXIT
    trap 'exit 130' INT TERM
fi

stage()
{
    stage=$1
    started=$(date +%s)
    echo "== $stage"
}

passed()
{
    echo "   $stage: passed, $(($(date +%s) - started)) s"
}

failed()
{
    echo "== FAILED: $stage" >&2
    exit 1
}

# count EXPRESSION over the attributes tests, failures, skipped and disabled of the last ctest run
count()
{
    (
        eval "$(sed -n 's/^[[:space:]]*\(tests\|failures\|skipped\|disabled\)="\([0-9]*\)"$/\1=\2/p' "$folder/tests.xml")"
        echo $(($*))
    )
}

# tests FOLDER [ctest options]: the last line is "N passed, N failed, N skipped".
tests()
{
    folder=$1
    shift
    status=0
    # shellcheck disable=SC2086
    ${fixed_addresses-} ctest --test-dir "$folder" --output-on-failure --no-tests=error --output-junit tests.xml -j "$jobs" "$@" || status=$?
    echo "$(count tests - failures - skipped - disabled) passed, $(count failures) failed, $(count skipped + disabled) skipped"
    return "$status"
}

# One GPU generation is enough to test with: the one of this machine, or a current one where there is none.
gpu=90
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then gpu=native; fi
options="-DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_ARCHITECTURES=$gpu"

if [ "$ci" != true ]; then
    stage "building in build-test/"
    # shellcheck disable=SC2086
    build_in build-test $options || failed
    stage "tests"
    tests build-test -LE '^ci$' "$@" || failed
    exit 0
fi

# ---- CI ------------------------------------------------------------------------------------------------------------

stage "formatting, shell scripts"
sh scripts/format-check || failed
shellcheck -s sh -S warning scripts/*.sh scripts/format scripts/format-check kernels/*.sh tests/*/*.sh packaging/*.sh || failed
passed

stage "build, warnings are errors"
# shellcheck disable=SC2086
build_in build-test $options -DLATGRAD_WERROR=ON -DLATGRAD_EXAMPLES=ON || failed
passed

if command -v nvcc >/dev/null 2>&1; then
    stage "registers of the kernels"
    sh kernels/check_ptxas.sh --check sm_90 || failed
    passed
fi

stage "clang-tidy"
# Without OpenMP: clang has its own omp.h, which need not be installed.
cmake -S . -B build-tidy -DLATGRAD_OPENMP=OFF -DLATGRAD_CUDA=OFF -DLATGRAD_TESTS=OFF >/dev/null || failed
find host -name '*.c' -print0 | xargs -0 -P "$jobs" -n 4 timeout 300 clang-tidy -p build-tidy --quiet >build-tidy/tidy.log 2>&1 || {
    grep -A 8 -E 'error:|warning:' build-tidy/tidy.log | head -n 100 >&2
    failed
}
passed

# The instrumented builds leave out the benchmarks and the tests labelled `slow`; coverage of host/ leaves out those of the kernels.
# -O1 -g1 is half the work of -O2 -g for the compiler, and reports still name the line.
instrumented()
{
    build_in "$@" -DCMAKE_BUILD_TYPE=Debug '-DCMAKE_C_FLAGS_DEBUG=-O1 -g1' '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1' -DLATGRAD_CUDA=OFF \
        -DLATGRAD_BENCH=OFF
}

stage "address and undefined-behaviour sanitizers"
instrumented build-asan -DLATGRAD_SANITIZE=address,undefined || failed
tests build-asan -LE slow "$@" || failed
passed

stage "thread sanitizer"
# Only what runs is built.
targets=$(find tests -name 'test_*thread*.c' -o -name 'test_*invariance*.c' | sed 's|.*/\(.*\)\.c$|\1|')
instrumented build-tsan -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DLATGRAD_SANITIZE=thread || failed
targets=
# clang 14's sanitizer does not start where the kernel randomises more address bits than it knows.
fixed_addresses=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_addresses="setarch $(uname -m) -R"; fi
tests build-tsan -R 'thread|invariance' -LE slow || failed
fixed_addresses=
passed

# Without threads, so without the test that starts some: exact counters without atomic updates, and a test of the build
# that has no OpenMP. A process killed by a test can leave a count gcovr does not read; that costs one file's branch, not the stage.
stage "line coverage of host/"
instrumented build-coverage -DLATGRAD_OPENMP=OFF -DLATGRAD_COVERAGE=ON || failed
find build-coverage -name '*.gcda' -exec rm {} +
tests build-coverage -LE conformance -E 'contexts_thread|reproduce|resume' >build-coverage/tests.log 2>&1 || {
    tail -n 50 build-coverage/tests.log >&2
    failed
}
gcovr --root . --filter host/ --exclude tests --object-directory build-coverage --fail-under-line 85 \
    --exclude-throw-branches --gcov-ignore-parse-errors -j "$jobs" || failed
passed

stage "tests"
tests build-test "$@" || failed
