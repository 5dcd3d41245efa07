#!/bin/sh
# Fits whose replicates are shared out over processes: any number of them gives the bytes of one, stops and goes on.
. "$(dirname "$0")/../cli/common.sh"
. "$source_dir/tests/cluster/cluster.sh"
needs_mpi

cat >news.yaml <<'YAML'
model: si
lattice: {height: 16, width: 16}
data: {generate: {runs: 8, steps: 10, seed: 3, params: {beta: 0.2}}}
replicates: 17
iterations: 40
device: cpu
YAML
cat >runs.yaml <<'YAML'
model: si
task: trajectory
lattice: {height: 12, width: 20}
data: {record_every: 4, generate: {runs: 8, steps: 12, params: {beta: 0.3}}}
replicates: 6
steps: 12
iterations: 20
estimator: {method: pathwise}
optimizer: {lr: 1.0e-3}
device: cpu
YAML
cat >walk.yaml <<'YAML'
model: prw
data: {generate: {params: {p_center: 0.3, p_resample: 0.4}, runs: 300}}
params: {p_center: {start: 0.7}, p_resample: {start: 0.7}}
steps: 5
replicates: 300
optimizer: {name: adam, lr: 0.02, schedule: cosine}
iterations: 40
device: cpu
YAML
cat >pattern.yaml <<'YAML'
model: mk
lattice: {height: 16, width: 16}
data: {generate: {steps: 40, params: {D_A: 0.1, D_B: 0.4, k1: 0.98, k2: 0.1, k3: 0.2}}}
params: {D_A: {start: 0.2}, D_B: 0.4, k1: {start: 0.35}, k2: {start: 0.91}, k3: {start: 0.06}}
loss: log_sse
steps: 20
replicates: 5
iterations: 12
device: cpu
YAML

# alike NAME RANKS CONFIG ARGUMENTS...: one process, and several by replicates, whether or not there are fits for all.
alike() {
    name=$1
    numbers=$2
    shift 2
    run 0 fit "$@" --quiet --set output.trace="$name.csv"
    for n in $numbers; do
        ranks "$n" 0 fit "$@" --set output.trace="$name$n.csv" --set cluster.spread=replicates
        [ "$n" -eq 1 ] || says err "replicates of each fit are shared out over $n processes"
        same "$name.csv" "$name$n.csv"
    done
}
alike news "1 2 3 4" news.yaml --set fits=2
alike walk "1 2 3 4" walk.yaml --set fits=2
alike pattern "1 2 3 4" pattern.yaml
alike likelihood 3 news.yaml --set loss=nll
alike count 3 news.yaml --set loss=count
alike runs 3 runs.yaml
alike mean 4 pattern.yaml --set task=trajectory --set loss=stat --set estimator.method=pathwise --set data.record_every=5
alike plateau 3 news.yaml --set fits=3 --set iterations=200 --set stop.window=10 --set stop.tolerance=0.2
alike ensemble 3 walk.yaml --set ensemble.starts=random --set ensemble.size=2 --set ensemble.bootstrap=1
alike idle 4 news.yaml --set replicates=3 # one process has nothing to do

# ---- the whole file, and the choice that is left open
if "$LATGRAD" info | grep '^build' | grep -q HDF5; then
    run 0 fit news.yaml --out one.h5
    for n in 2 3 4; do ranks "$n" 0 fit news.yaml --out "ranks$n.h5"; done
    says err "17 replicates of each fit are shared out over 4 processes"
    same_results one.h5 ranks2.h5 ranks3.h5 ranks4.h5
fi
ranks 2 0 fit news.yaml --set fits=2
! grep -q "shared out" err || fail "replicates are shared out where there are fits for all"
ranks 2 0 fit news.yaml --set cluster.spread=fits
! grep -q "shared out" err || fail "cluster.spread=fits shares out replicates"
fails_with 2 "expected auto|fits|replicates" fit news.yaml --set cluster.spread=walkers

# ---- stopped by a signal to one rank, continued by three, stopped again by a time limit, finished by one
sed 's/^iterations:.*/iterations: 1500/' news.yaml >long.yaml
printf 'threads: 1\ncheckpoint: {every: 50, file: long.ckpt}\noutput: {trace: long.csv}\n' >>long.yaml
run 0 fit long.yaml --quiet
mv long.csv whole.csv
interrupt USR1 2 long.ckpt long.csv fit long.yaml
[ "$status" -eq 75 ] || fail "stopped ranks end with status $status: $(head -c 1500 err)"
says err "--resume"
[ ! -e long.csv ] || fail "a stopped fit wrote its trace"
ranks 2 2 fit long.yaml
says err "--resume goes on from it"
ranks 3 0 fit long.yaml --resume
says err "going on from the checkpoint"
same whole.csv long.csv
[ ! -e long.ckpt ] || fail "long.ckpt is left behind"
rm long.csv
ranks 3 75 fit long.yaml --set iterations=100000000 --time-limit 1
says err "the time limit was near"
rm long.ckpt*

# ---- a rank that dies ends the job; any number of processes continues, and so do slices of fits
interrupt KILL 3 long.ckpt.1 long.csv fit long.yaml --set fits=2
[ "$status" -ne 0 ] || fail "a dead rank goes unnoticed"
says err "rank"
[ ! -e long.csv ] || fail "a dead rank's job wrote its trace"
for file in long.ckpt long.ckpt.1; do
    [ ! -e "$file" ] || cp "$file" "kept.$file" # the newest may be missing: it died between two names
done
run 0 fit long.yaml --set fits=2 --resume
mv long.csv two.csv
run 0 fit long.yaml --set fits=2 --quiet
same two.csv long.csv
for n in 2 4; do
    rm -f long.csv long.ckpt*
    for file in kept.*; do cp "$file" "${file#kept.}"; done
    ranks "$n" 0 fit long.yaml --set fits=2 --resume # two by fits, four by replicates
    says err "going on from the checkpoint"
    same two.csv long.csv
done
for trouble in long.ckpt*; do
    [ ! -e "$trouble" ] || fail "$trouble is left behind"
done
finish
