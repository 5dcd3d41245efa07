#!/bin/sh
# Everything a machine with an NVIDIA GPU has to say about latgrad, in under ten minutes: build for this GPU, conformance table,
# compute-sanitizer on small cases, benchmarks next to the cpu backend and (where torch imports) PyTorch. Needs nvcc, CMake and
# a C compiler, no network; Criterion, HDF5 and gnuplot are not needed.
#
#   bench/gpu.sh [--quick]
#
# Environment: BUILD (build folder, default build-gpu), OUT (result folder, default docs/benchmarks), PYTHON (default python3).
# Writes OUT/<gpu>.md and OUT/<gpu>.csv. Exit status: 0 all checks passed, 1 a check failed, 3 no GPU or no nvcc.
set -u
cd "$(dirname "$0")/.." || exit 1
quick=
[ "${1:-}" = --quick ] && quick=--quick
build=${BUILD:-build-gpu}
out=${OUT:-docs/benchmarks}
python=${PYTHON:-python3}
export PATH="$PATH:/usr/local/cuda/bin"

fail() { echo "gpu.sh: $2" >&2; exit "$1"; }
command -v nvcc >/dev/null || fail 3 "nvcc was not found: install the CUDA toolkit or put it on PATH"
command -v nvidia-smi >/dev/null || fail 3 "nvidia-smi was not found: is there an NVIDIA driver?"
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
[ -n "$gpu" ] || fail 3 "nvidia-smi lists no GPU"
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD 2>/dev/null || commit="$commit with changes"
name=$(echo "$gpu" | tr ' /' '--' | tr 'A-Z' 'a-z')
mkdir -p "$out" "$build"
csv=$out/$name.csv
report=$out/$name.md
log=$build/checks.log
: >"$log"
checks=
failed=0

check() { # check NAME COMMAND...
    what=$1
    shift
    echo "== $what" | tee -a "$log"
    "$@" >>"$log" 2>&1
    status=$?
    case $status in
    0) result=passed ;;
    77) result=skipped ;;
    *) result="FAILED (exit status $status)"; failed=1; tail -n 20 "$log" ;;
    esac
    echo "   $result"
    checks="$checks| $what | $result |
"
}

# ---- build ----------------------------------------------------------------------------------------------------------

cmake -S . -B "$build" -DLATGRAD_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native -DLATGRAD_TESTS=OFF -DLATGRAD_BENCH=OFF \
    -DCMAKE_BUILD_TYPE=Release >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; fail 1 "CMake failed"; }
cmake --build "$build" -j "$(nproc)" >"$build/build.log" 2>&1 || { tail -n 40 "$build/build.log"; fail 1 "the build failed"; }

# The plain executables, linked with what the library itself was linked with.
flags="-O2 -std=c17 -D_GNU_SOURCE -ffp-contract=off -Iinclude -Ihost -Ikernels -Itests -I$build/generated"
link_flags() {
    for package in hdf5-serial yaml-0.1 libpng; do pkg-config --libs "$package" 2>/dev/null; done | tr '\n' ' '
}
objects=
for source in tests/conformance/*.c bench/throughput.c; do
    object=$build/$(basename "$source" .c).o
    ${CC:-cc} $flags -c "$source" -o "$object" || fail 1 "$source did not compile"
    [ "$source" = bench/throughput.c ] || objects="$objects $object"
done
link() { # link OUTPUT OBJECTS...
    target=$1
    shift
    nvcc -o "$target" "$@" "$build/liblatgrad.a" -Xcompiler -fopenmp $(link_flags) -ldl -lpthread -lm ||
        fail 1 "$target did not link"
}
link "$build/conformance" $objects
link "$build/throughput" "$build/throughput.o"
nvcc -O3 -std=c++17 -arch=native -Ikernels bench/roofline.cu -o "$build/roofline" -lcurand || fail 1 "bench/roofline.cu did not build"

# ---- checks ---------------------------------------------------------------------------------------------------------

check "conformance table, cuda against the oracle and the cpu backend" "$build/conformance" --device cuda
check "conformance table, cpu against the oracle" "$build/conformance" --device cpu
sanitizer=$(command -v compute-sanitizer || true)
for tool in memcheck racecheck initcheck synccheck; do
    for case in mk-odd mk-cluster mk-wide si-curve si-large-curve prw-long; do
        if [ -n "$sanitizer" ]; then
            check "compute-sanitizer $tool, $case" timeout 60 "$sanitizer" --tool "$tool" --error-exitcode 9 "$build/conformance" \
                --device cuda --case "$case" --quiet
        fi
    done
done
[ -n "$sanitizer" ] || checks="$checks| compute-sanitizer | not installed |
"

# ---- benchmarks -----------------------------------------------------------------------------------------------------

echo "device,model,work,fits,replicates,seconds,rate,unit" >"$csv"
check "cuRAND's Philox equals rules/philox.h; roofline" sh -c "\"$build/roofline\" >>\"$csv\""
check "throughput, cuda" sh -c "\"$build/throughput\" cuda $quick >>\"$csv\""
check "throughput, cpu" sh -c "\"$build/throughput\" cpu --quick >>\"$csv\""
check "throughput, PyTorch" sh -c "timeout 150 \"$python\" bench/peer_torch.py $quick >>\"$csv\""

# ---- report ---------------------------------------------------------------------------------------------------------

{
    echo "# latgrad on $gpu"
    echo
    echo "Written by \`bench/gpu.sh $quick\` on $(date -u +%Y-%m-%d), commit $commit, driver $driver, $(nvcc --version | sed -n 's/.*\(release [0-9.]*\).*/CUDA \1/p'),"
    echo "cpu: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores. Rates are medians; the same numbers are in $name.csv."
    echo
    echo "| check | result |"
    echo "|---|---|"
    printf '%s' "$checks"
    echo
    echo "| device | model | work | fits | replicates | seconds | rate | unit |"
    echo "|---|---|---|---:|---:|---:|---:|---|"
    sed -e 1d -e 's/,/ | /g' -e 's/^/| /' -e 's/$/ |/' "$csv"
} >"$report"
echo "wrote $report and $csv"
exit "$failed"
