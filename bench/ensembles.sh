#!/bin/sh
# What many fits, checkpoints and ranks cost, as ratios. Processor time (user and system) of single-threaded runs, the least of
# several, which says the same on a machine that others use; wall time only where two ranks are compared with one, next to the
# load average at that moment. Needs a build of the tool, and for the last part mpirun.
#
#   LATGRAD=build/latgrad bench/ensembles.sh [REPEATS]
set -u
: "${LATGRAD:?set LATGRAD to the path of the tool}"
case $LATGRAD in */*) LATGRAD=$(cd "$(dirname "$LATGRAD")" && pwd)/$(basename "$LATGRAD") ;; esac
repeats=${1:-5}
folder=$(mktemp -d "${TMPDIR:-/tmp}/latgrad-bench-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none

cat >si.yaml <<'YAML'
model: si
data: {generate: {runs: 20, params: {beta: 0.2}}}
iterations: 6400
YAML
cat >prw.yaml <<'YAML'
model: prw
data: {generate: {runs: 1500, params: {p_center: 0.3, p_resample: 0.4}}}
iterations: 4800
YAML
cat >mk.yaml <<'YAML'
model: mk
data: {generate: {steps: 2000, params: {D_A: 0.1, D_B: 0.4, k1: 0.98, k2: 0.1, k3: 0.2}}}
params: {D_A: 0.1, D_B: 0.4, k1: {start: 0.35}, k2: {start: 0.91}, k3: {start: 0.06}}
steps: 500
iterations: 320
YAML

fit() {
    "$LATGRAD" fit "$@" --threads 1 --device cpu --quiet --force >out 2>&1 || { cat out >&2; exit 1; }
}
# Seconds of processor time of a fit, the least of all repeats.
processor() {
    for _ in $(seq "$repeats"); do
        (fit "$@"; times) | tail -n 1
    done | awk '{ sum = 0
        for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); sum += 60 * part[1] + part[2] }
        if (NR == 1 || sum < least) least = sum } END { printf "%.3f", least }'
}
ratio() {
    awk "BEGIN { printf \"%.3f\", $1 }"
}

echo "tool      $("$LATGRAD" info | head -n 1)"
echo "machine   $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores"

echo
echo "an ensemble of F fits, against F times one fit (processor time, least of $repeats)"
for model in si prw mk; do
    none=$(processor $model.yaml --set iterations=1) # starting, reading, data
    one=$(processor $model.yaml)
    for fits in 8 32; do
        many=$(processor $model.yaml --set fits=$fits --set "iterations=$(($(sed -n 's/^iterations: //p' $model.yaml) / fits * 4))")
        # a quarter of F times the work of one, so that the longest runs take four times as long
        echo "  $model  F = $fits   $(ratio "($many - $none) / (4 * ($one - $none))")   (one fit: $one s)"
    done
done

echo
echo "checkpoints at the default interval of 60 s (32 fits of prw; fewer walkers, so that 50 checkpoints come soon)"
few="prw.yaml --set replicates=64 --set fits=32"
# shellcheck disable=SC2086
plain=$(processor $few)
# shellcheck disable=SC2086
kept=$(processor $few --set checkpoint.file=fit.ckpt --set checkpoint.keep=true --set checkpoint.every=100)
echo "  the largest has $(wc -c <fit.ckpt) bytes; one takes $(ratio "($kept - $plain) / 49 * 1000") ms of processor time," \
    "$(ratio "100 * ($kept - $plain) / 49 / 60") % of a minute"

command -v mpirun >/dev/null || exit 0
# Wall time of the fit, and processor time of all ranks together, on a line each.
ranks() {
    for _ in $(seq "$repeats"); do
        (mpirun --oversubscribe -np "$1" "$LATGRAD" fit "$2" --threads 1 --device cpu --set fits=32 --json --quiet >out 2>/dev/null
            sed 's/.*"seconds": \([0-9.e+-]*\).*/\1/' out; times) | awk 'NR == 1 { wall = $1 }
            END { for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); sum += 60 * part[1] + part[2] } print wall, sum }'
    done | awk 'NR == 1 || $1 < wall { wall = $1 } NR == 1 || $2 < sum { sum = $2 } END { print wall, sum }'
}
echo
echo "two ranks against one, 32 fits. Work: twice the processor time of one over that of both together, what an idle machine"
echo "comes near to. Wall: as it was, least of $repeats, load average $(cut -d' ' -f1 /proc/loadavg) (1.9 asks for two idle cores)"
for model in si prw mk; do
    sed -i 's/^iterations: .*/iterations: 400/' $model.yaml
    [ $model != mk ] || sed -i 's/^iterations: .*/iterations: 24/' mk.yaml
    one=$(ranks 1 $model.yaml)
    two=$(ranks 2 $model.yaml)
    echo "  $model  work $(ratio "2 * ${one#* } / ${two#* }") x   wall $(ratio "${one% *} / ${two% *}") x"
done
