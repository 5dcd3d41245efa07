#!/bin/sh
# How well are the parameters of a pattern recovered? For each of several synthetic data sets (ten runs of 64 x 64 sites from the
# uniform state, seen at 2,500, 5,000, 7,500 and 10,000 steps) all five parameters of mk are fitted in two stages:
#   1  weights 1/sem^2, from starts 18 to 50 % off
#   2  weights from the covariance of the model's runs, from where the first ended; standard errors at its end
# and the truth is looked for in the intervals. One line a data set and stage, then a table.
#
#   bench/recovery.sh [DATA SETS] [FOLDER]      LATGRAD: the tool (default build/latgrad). Some ten minutes of one core a data set.
#
# Data sets that are in FOLDER already are not fitted again.
set -eu
cd "$(dirname "$0")/.."
sets=${1:-10}
folder=${2:-build-recovery}
latgrad=${LATGRAD:-build/latgrad}
mkdir -p "$folder"

config() { # config D_A D_B k1 k2 k3
    echo "model: mk"
    echo "task: formation"
    echo "params:"
    for name in D_A D_B k1 k2 k3; do
        echo "  $name: {start: $1}"
        shift
    done
    echo "data: {generate: {runs: 10, params: {D_A: 0.1, D_B: 0.4, k1: 0.98, k2: 0.1, k3: 0.2}}}"
    echo "steps: 10000"
    echo "estimator: {method: fd, fd_step: 0.35}"
    echo "optimizer: {name: lm}"
    echo "device: ${DEVICE:-cpu}"
}

# Values of an object of the JSON line, in order: get NAME FILE
get() { ${PYTHON:-/usr/bin/python3} -c 'import json, sys; print(*json.load(open(sys.argv[2]))[sys.argv[1]].values())' "$1" "$2"; }

d=1
while [ "$d" -le "$sets" ]; do
    one=$folder/$d.1.json
    two=$folder/$d.2.json
    if [ ! -s "$one" ]; then
        config 0.15 0.3 0.8 0.15 0.3 >"$folder/$d.yaml"
        "$latgrad" fit "$folder/$d.yaml" --json --quiet --threads "${THREADS:-1}" --set data.generate.seed="$((100 + d))" --seed "$d" \
            --set replicates=12 --set iterations=6 --set errors.evaluations=4 --set output.trace="$folder/$d.1.csv" --force >"$one.tmp"
        mv "$one.tmp" "$one"
    fi
    if [ ! -s "$two" ]; then
        # shellcheck disable=SC2046
        config $(get params "$one") >"$folder/$d.yaml"
        "$latgrad" fit "$folder/$d.yaml" --json --quiet --threads "${THREADS:-1}" --set data.generate.seed="$((100 + d))" \
            --seed "$((1000 + d))" --set data.weights=model --set replicates=40 --set iterations=4 --set errors.evaluations=2 --set output.trace="$folder/$d.2.csv" --force >"$two.tmp"
        mv "$two.tmp" "$two"
    fi
    echo "data set $d: $(get params "$one") | $(get params "$two") +- $(get standard_error "$two")"
    d=$((d + 1))
done

${PYTHON:-/usr/bin/python3} - "$folder" "$sets" <<'EOF'
import json
import math
import sys

folder, sets = sys.argv[1], int(sys.argv[2])
truth = {"D_A": 0.1, "D_B": 0.4, "k1": 0.98, "k2": 0.1, "k3": 0.2}
print("| weights | parameter | mean | bias, % | rms error, % | mean s.e., % | intervals that cover | within 5 % |")
print("|---|---|---|---|---|---|---|---|")
for stage, weights in ((1, "1/sem²"), (2, "covariance")):
    results = [json.load(open(f"{folder}/{d}.{stage}.json")) for d in range(1, sets + 1)]
    for name, p in truth.items():
        ends = [r["params"][name] for r in results]
        off = [100 * (e - p) / p for e in ends]
        errors = [100 * r["standard_error"][name] / p for r in results if r["standard_error"][name] is not None]
        cover = sum(r["interval_low"][name] is not None and r["interval_low"][name] <= p <= r["interval_high"][name]
                    for r in results)
        print(f"| {weights} | {name} | {sum(ends) / sets:.4g} | {sum(off) / sets:+.1f} "
              f"| {math.sqrt(sum(o * o for o in off) / sets):.1f} | {sum(errors) / max(1, len(errors)):.1f} "
              f"| {cover} of {sets} | {sum(abs(o) < 5 for o in off)} of {sets} |")
print(f"{sum(json.load(open(f'{folder}/{d}.{s}.json'))['seconds'] for d in range(1, sets + 1) for s in (1, 2)):.0f} s in all")
EOF
