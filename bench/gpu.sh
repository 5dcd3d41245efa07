#!/bin/sh
# Everything a machine with an NVIDIA GPU has to say about latgrad, in under ten minutes: build for this GPU, conformance table,
# benchmarks next to the cpu backend and (where torch imports) PyTorch, compute-sanitizer on cases that run every kernel. Needs
# nvcc, CMake and a C compiler, no network; Criterion, HDF5 and gnuplot are not needed.
#
#   bench/gpu.sh [--quick]
#
# Environment: BUILD (build folder, default build-gpu), PREBUILT=1 (BUILD holds the programs already, from a machine with a compiler), OUT (result folder, default docs/benchmarks), PYTHON (default python3), ARCH
# (default native), SECONDS_LEFT (time for everything, default 570). A stage that runs out of its time or of the whole is reported as such, and the
# report is written whatever happens, also on an interrupt.
# Writes OUT/<gpu>.md and OUT/<gpu>.csv. Exit status: 0 all checks passed, 1 a check failed or ran out of time, 3 no GPU or no nvcc.
# shellcheck disable=SC2317 # functions that the traps call
set -u
cd "$(dirname "$0")/.." || exit 1
quick=
[ "${1:-}" = --quick ] && quick=--quick
build=${BUILD:-build-gpu}
out=${OUT:-docs/benchmarks}
python=${PYTHON:-python3}
end=$(($(date +%s) + ${SECONDS_LEFT:-570}))
export PATH="$PATH:/usr/local/cuda/bin"

fail() { echo "gpu.sh: $2" >&2; exit "$1"; }
needed="nvidia-smi timeout awk"
[ -n "${PREBUILT:-}" ] || needed="nvcc cmake $needed"
for tool in $needed; do
    command -v "$tool" >/dev/null || fail 3 "$tool was not found: needed are the CUDA toolkit and driver, CMake and coreutils, on PATH (PREBUILT=1: the driver and coreutils)"
done
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
[ -n "$gpu" ] || fail 3 "nvidia-smi lists no GPU"
name=$(echo "$gpu" | tr ' /' '--' | tr '[:upper:]' '[:lower:]')
mkdir -p "$out" "$build" || exit 1
csv=$out/$name.csv
report=$out/$name.md
log=$build/checks.log
: >"$log"
echo "device,model,work,fits,replicates,seconds,rate,unit" >"$csv"
checks=
child=
failed=0

# ---- report ---------------------------------------------------------------------------------------------------------

# Rows of the CSV side by side: this GPU, its ratio to the cpu backend and to PyTorch on the GPU, and the share of the rate that
# Philox blocks alone would allow forward (MK: two sites a block; SI at most: four).
ratios() {
    awk -F, 'NR > 1 && $2 == "roofline" && $3 == "philox blocks" { philox = $7 }
        NR > 1 && $2 != "roofline" {
            work = $3; sub(/ tau [0-9]+$/, "", work)
            key = $2 " | " work " | " $4 " | " $5
            if (!(key in seen)) { seen[key] = 1; order[++keys] = key; unit[key] = $8; model[key] = $2 }
            if ($1 == "cuda") gpu[key] = $7
            else if ($1 == "cpu") cpu[key] = $7
            else if ($1 == "torch-cuda") torch[key] = $7
        }
        function ratio(a, b) { return a > 0 && b > 0 ? sprintf("%.3g", a / b) : "" }
        END {
            print "| model | work | fits | replicates | GPU | unit | GPU / cpu | GPU / PyTorch | share of the Philox bound |"
            print "|---|---|---:|---:|---:|---|---:|---:|---:|"
            for (i = 1; i <= keys; i++) {
                k = order[i]
                if (!(k in gpu)) continue
                sites = unit[k] != "site steps/s" ? 0 : (model[k] == "mk" ? 2 : 4)
                printf "| %s | %.4g | %s | %s | %s | %s |\n", k, gpu[k], unit[k], ratio(gpu[k], cpu[k]), ratio(gpu[k], torch[k]),
                       ratio(gpu[k], sites * philox)
            }
        }' "$csv"
}

write_report() {
    {
        echo "# latgrad on $gpu"
        echo
        echo "Written by \`bench/gpu.sh${quick:+ $quick}\` on $(date -u +%Y-%m-%d), driver $driver, $("$build/latgrad" info | sed -n 's/^build *//p'),"
        echo "cpu: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores. Rates are medians; the same numbers are in $name.csv."
        echo
        echo "| check | result |"
        echo "|---|---|"
        printf '%s' "$checks"
        echo
        ratios
        echo
        echo "| device | model | work | fits | replicates | seconds | rate | unit |"
        echo "|---|---|---|---:|---:|---:|---:|---|"
        sed -e 1d -e 's/,/ | /g' -e 's/^/| /' -e 's/$/ |/' "$csv"
    } >"$report"
    echo "wrote $report and $csv"
}

note() { # note WHAT RESULT
    echo "   $2"
    checks="$checks| $1 | $2 |
"
}

interrupted() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    note "the script" "interrupted"
    exit 1
}
trap write_report EXIT
trap interrupted INT TERM HUP

# check LIMIT NAME COMMAND...: at most LIMIT seconds, and no longer than the whole has left
check() {
    limit=$1
    what=$2
    shift 2
    left=$((end - $(date +%s)))
    [ "$limit" -le "$left" ] || limit=$left
    echo "== $what" | tee -a "$log"
    if [ "$limit" -lt 5 ]; then
        failed=1
        note "$what" "not run: no time left"
        return 1
    fi
    timeout -k 5 "$limit" "$@" >>"$log" 2>&1 & # in the background, so that a signal is heard at once
    child=$!
    wait "$child"
    status=$?
    case $status in
    0) result=passed ;;
    77) result=skipped ;;
    124 | 137) result="stopped after $limit s"; failed=1 ;;
    *) result="FAILED (exit status $status)"; failed=1; tail -n 20 "$log" ;;
    esac
    note "$what" "$result"
    return "$status"
}

measured() { # measured LIMIT NAME COMMAND...: its output goes into the CSV, line by line as it comes
    limit=$1
    what=$2
    shift 2
    # shellcheck disable=SC2016 # the inner shell expands these
    check "$limit" "$what" sh -c 'csv=$1; shift; exec "$@" >>"$csv"' sh "$csv" "$@"
}

# ---- build ----------------------------------------------------------------------------------------------------------

if [ -z "${PREBUILT:-}" ]; then
    check 60 "configuration" cmake -S . -B "$build" -DLATGRAD_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="${ARCH:-native}" -DLATGRAD_TESTS=OFF \
        -DLATGRAD_BENCH=ON -DLATGRAD_PYTHON=OFF -DLATGRAD_MPI=OFF -DLATGRAD_NLOPT=OFF -DCMAKE_BUILD_TYPE=Release || exit 1
    check 300 "build" cmake --build "$build" -j "$(nproc)" --target latgrad_cli latgrad_conformance bench_throughput bench_roofline || exit 1
fi
conformance=$build/tests/conformance/latgrad_conformance

# ---- checks and benchmarks, what matters most first -----------------------------------------------------------------

check 120 "conformance table, cuda against the oracle and the cpu backend" "$conformance" --device cuda
measured 30 "cuRAND's Philox equals rules/philox.h; roofline" "$build/bench_roofline"
measured 120 "throughput, cuda" "$build/bench_throughput" cuda $quick
measured 60 "throughput, cpu" "$build/bench_throughput" cpu $quick --seconds 1
measured 90 "throughput, PyTorch" "$python" bench/peer_torch.py $quick

# Between them these run every kernel, blocks alone and in clusters.
cases="mk-64 mk-smallest mk-two-pairs mk-many mk-many-two mk-many-four mk-large mk-wide mk-form mk-form-wide si-pairs si-nll si-curve si-state-mse si-large si-large-curve prw-long"
sanitizer=$(command -v compute-sanitizer || true)
if [ -n "$sanitizer" ]; then
    for tool in memcheck racecheck synccheck initcheck; do
        # shellcheck disable=SC2086 # a list of names
        check 150 "compute-sanitizer $tool" "$sanitizer" --tool "$tool" --error-exitcode 9 "$conformance" --device cuda --brief $cases
    done
else
    note "compute-sanitizer" "not installed"
fi
check 60 "conformance table, cpu against the oracle" "$conformance" --device cpu --quiet
exit "$failed"
