# latgrad gradcheck: the table, JSON, CSV and picture, exit statuses, and fits by every estimator from the command line.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAIL: $*"
    failed=$((failed + 1))
}

# Exit status and a part of what was printed.
expect() {
    status=$1 part=$2
    shift 2
    "$LATGRAD" "$@" >"$work/out" 2>&1
    got=$?
    [ $got -eq "$status" ] || fail "exit status $got, expected $status: latgrad $*"
    grep -q -- "$part" "$work/out" || { fail "no '$part': latgrad $*"; head -5 "$work/out"; }
}

quick="--runs 40 --reference-runs 40 --threads 1"
expect 0 '^37 of 37 rows pass$' gradcheck si $quick
expect 0 'closed form of the expected loss' gradcheck prw $quick --estimators gs,score,exact
# every task and loss of a model with every estimator it has: si 2 with 5 + 4 with 5 + nll with 2, prw 6, mk 7 with 5
expect 0 '^12 of 12 rows pass$' gradcheck prw $quick
expect 0 '^175 of 175 rows pass$' gradcheck mk --runs 20 --reference-runs 20 --threads 1
expect 0 '"rows": 25, "failed": 0}' gradcheck mk --task stability --loss sse $quick --json
expect 0 '5 of 5 rows pass' gradcheck si --task transition --loss sse $quick --out "$work/table.csv"
head -1 "$work/table.csv" | grep -q '^model,task,loss,estimator,param,mean,error,sd,reference,' || fail "columns of the CSV"
[ "$(wc -l <"$work/table.csv")" -eq 6 ] || fail "lines of the CSV"
expect 2 'table.csv' gradcheck si --task transition --loss sse $quick --out "$work/table.csv"
if command -v gnuplot >/dev/null 2>&1; then
    expect 0 'rows pass' gradcheck prw $quick --out "$work/picture.png"
    [ -s "$work/picture.png" ] || fail "no picture"
fi
# at the ends of a parameter: not finite, JSON and picture all the same
end="--task transition --loss nll --set params.beta.start=0 --set params.beta.bounds=[0,1]"
expect 1 'the likelihood is 0: a site turned aware' gradcheck si $end $quick
expect 1 '"mean": null' gradcheck si $end $quick --json
if command -v gnuplot >/dev/null 2>&1; then
    expect 1 '0 of 2 rows pass' gradcheck si $end $quick --out "$work/end.png"
    [ -s "$work/end.png" ] || fail "no picture of what is not finite"
fi
expect 2 'did you mean score' gradcheck si --estimators skore
expect 2 "did you mean 'si'" gradcheck sii
expect 2 '10 or more' gradcheck si --runs 3
expect 1 'adjoints grew' gradcheck si --task stability --loss sse --runs 10 --reference-runs 10 --estimators ste --threads 1 \
    --set lattice.height=3 --set lattice.width=400 --set steps=300 --set params.beta.start=0.05 \
    --set data.generate.params.beta=0.05 --set data.generate.steps=150 --set data.generate.runs=1 --set replicates=1

cat >"$work/fit.yaml" <<END
model: prw
params: {p_center: {start: 0.5}, p_resample: {start: 0.5}}
data: {generate: {params: {p_center: 0.2, p_resample: 0.3}}}
iterations: 5
END
expect 0 '12 of 12 rows pass' gradcheck "$work/fit.yaml" $quick
for method in pathwise score fd exact; do
    expect 0 '"status": "done"' fit "$work/fit.yaml" --set estimator.method=$method --json --threads 1
    expect 0 '"grad"' grad prw --estimator $method --json --threads 1
done
expect 0 '"grad"' grad mk --estimator gr --json --threads 1 --set steps=5 --set data.generate.steps=5 \
    --set lattice.height=8 --set lattice.width=8
expect 2 'replicates is 1' grad mk --estimator score
expect 2 'pathwise with estimators ste and gs' grad prw --estimator score --dump-noise "$work/noise"
[ $failed -eq 0 ]
