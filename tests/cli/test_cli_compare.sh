#!/bin/sh
# compare: methods side by side on small walks and spreads, and what it refuses.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

cat >walk.yaml <<'END'
model: prw
replicates: 300
params: {p_center: {start: 0.7}, p_resample: {start: 0.7}}
data: {generate: {runs: 20000, params: {p_center: 0.3, p_resample: 0.4}}}
estimator: {method: exact}
END
cat >spread.yaml <<'END'
model: si
loss: nll
lattice: {height: 32, width: 32}
replicates: 40
params: {beta: {start: 0.5}}
data: {generate: {runs: 4, steps: 10, params: {beta: 0.2}}}
END
common="--seeds 2 --threads 1 --device cpu --quiet"

# Without noise every search comes to the optimum, which is within a few per cent of the truth; 64 draws at random do not.
# Gauss-Newton steps are there within ten evaluations.
# shellcheck disable=SC2086
run 0 compare walk.yaml $common --methods gradient:lm,cma_es,random --simulations 180000 --error 0.1 --json --out runs.csv
cp out walk.json
says out '"measure": "params"'
says out '"time": "processor"'
says out '"truth": {"p_center": 0.3'
says out '{"method": "gradient:lm", "reached": 2'
says out '{"method": "cma_es", "reached": 2'
[ "$(wc -l <runs.csv)" -eq 7 ] || fail "a head and one line for each of 6 runs: $(cat runs.csv)"
says runs.csv 'method,seed,status,seconds_to_error,simulations_to_error,error,loss,seconds,simulations,p_center,p_center_low'
# column METHOD NUMBER: the largest of a column over the seeds, "" counts as infinite
column() {
    awk -F, -v m="$1" -v k="$2" '$1 == m { v = $k == "" ? 1e300 : $k; if (v + 0 > x + 0) x = v } END { printf "%.10g", x }' runs.csv
}
awk -v a="$(column gradient:lm 5)" -v b="$(column cma_es 5)" 'BEGIN { exit !(a > 0 && a <= 15 * 300 && b > a && b <= 180000) }' ||
    fail "simulations to the error: $(column gradient:lm 5) of lm, $(column cma_es 5) of cma_es"
awk -v a="$(column gradient:lm 6)" -v b="$(column cma_es 6)" 'BEGIN { d = a - b; exit !(a < 0.1 && d * d < 1e-4) }' ||
    fail "errors at the end: $(column gradient:lm 6) and $(column cma_es 6)"
awk -v a="$(column gradient:lm 9)" -v b="$(column cma_es 9)" -v c="$(column random 9)" \
    'BEGIN { exit !(a == 180000 && b <= 180000 && b > 0 && c <= 180000 && c > 160000) }' ||
    fail "simulations in all: $(column gradient:lm 9), $(column cma_es 9), $(column random 9)"

# The same but for the times when it is run again.
# shellcheck disable=SC2086
run 0 compare walk.yaml $common --methods gradient:lm,cma_es,random --simulations 180000 --error 0.1 --out again.csv
says out "reached"
for file in runs again; do cut -d, -f1-3,5-7,9- "$file.csv" >"$file.cut"; done
same runs.cut again.cut
# shellcheck disable=SC2086
fails_with 2 "again.csv" compare walk.yaml $common --methods random --simulations 20000 --out again.csv

# SI by its exact likelihood, with a posterior and against the best loss.
# shellcheck disable=SC2086
run 0 compare spread.yaml $common --methods cma_es,abc_smc --set method.population=40 --simulations 16000 --measure loss
says out "above the best one found"
says out "95 % of the posterior: beta 0."
# Finite differences: a gradient is three evaluations.
# shellcheck disable=SC2086
run 0 compare spread.yaml $common --set loss=count --methods gradient:fd:1e-6 --simulations 4000 --out fd.csv --seeds 1
awk -F, 'NR == 2 { exit !($9 == 99 * 40) }' fd.csv || fail "33 gradients of three evaluations: $(cat fd.csv)"

# The picture, or where gnuplot is missing its table.
# shellcheck disable=SC2086
"$LATGRAD" compare spread.yaml $common --methods random --simulations 8000 --picture p.png >out 2>err
[ -s p.png ] || [ -s p.png.csv ] || fail "no picture and no table: $(cat err)"

fails_with 2 "did you mean 'cma_es'" compare walk.yaml --methods cma_ed
fails_with 2 "'adma' in 'gradient:adma'" compare walk.yaml --methods gradient:adma
fails_with 2 "nothing behind the others" compare walk.yaml --methods random:3
fails_with 2 "--error" compare walk.yaml --error -1
fails_with 2 "--measure" compare walk.yaml --measure time
fails_with 2 "--seeds" compare walk.yaml --seeds 0
fails_with 2 "--simulations" compare walk.yaml --simulations 100
fails_with 2 "abc_smc" compare walk.yaml --quiet --methods abc_smc --simulations 3000
fails_with 2 "abc_smc" compare walk.yaml --methods gradient,abc_smc --simulations 3000
fails_with 2 "fits 1" compare walk.yaml --set fits=3
fails_with 2 "not synthetic" compare prw --set "data.msd=$source_dir/data/msd_tcells.csv" --measure params
fails_with 2 "nowhere.yaml" compare nowhere.yaml
finish
