#!/bin/sh
# fit: outputs, JSON, refusal to overwrite, the same bytes from the same configuration and on any threads, signals.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

cat >walk.yaml <<'YAML'
model: prw
task: trajectory
params:
  p_center: {start: 0.7, transform: logit}
  p_resample: {start: 0.7, transform: logit}
data: {msd: msd.csv, spacing2: 10}
steps: 5
replicates: 200
optimizer: {name: adam, lr: 0.02}
iterations: 60
output: {trace: walk.csv}
YAML
cat >msd.csv <<'CSV'
lag,time_s,msd_um2,sem_um2,n_subtracks
1,24,15,1,100
2,48,35,2,100
3,72,57,3,100
4,96,80,4,100
5,120,104,5,100
CSV
mkdir sub && cp walk.yaml msd.csv sub

run 0 fit walk.yaml
says out "p_center"
says out "RMSE"
says out "o data, . fit"
[ "$(head -1 walk.csv | cut -d, -f1-5)" = "fit,step,loss,p_center,p_resample" ] ||
    fail "header of the trace: $(head -1 walk.csv)"
[ "$(wc -l <walk.csv)" -eq 61 ] || fail "$(wc -l <walk.csv) lines in the trace, expected 61"
cp walk.csv first.csv

fails_with 2 "'walk.csv' exists already; --force" fit walk.yaml
same walk.csv first.csv
run 0 fit walk.yaml --force
same walk.csv first.csv
run 0 fit walk.yaml --force --threads 1
same walk.csv first.csv
run 0 fit walk.yaml --force --threads 2
same walk.csv first.csv
run 0 fit sub/walk.yaml --set output.trace=other.csv --seed 2
[ -f other.csv ] || fail "outputs do not go to the working directory"
cmp -s other.csv first.csv && fail "seed 2 gave the trace of seed 1"

run 0 fit walk.yaml --set output.trace=json.csv --json
[ "$(wc -l <out)" -eq 1 ] || fail "fit --json prints $(wc -l <out) lines"
says out '"params"'
says out '"status"'
if [ -n "$python" ]; then
    "$python" -c 'import json; json.load(open("out"))' || fail "fit --json is no JSON"
fi

# a printed configuration is the same fit
run 0 fit walk.yaml --print-config
cp out full.yaml
run 0 fit full.yaml --set output.trace=full.csv
same full.csv first.csv
run 0 fit walk.yaml --dry-run
says out "memory"

run 0 fit walk.yaml --set fits=3 --set output.trace=three.csv
[ "$(wc -l <three.csv)" -eq 181 ] || fail "$(wc -l <three.csv) lines in the trace of three fits, expected 181"
says out "over the 3 fits"

# lattice fits of both tasks, small
mk="--set model=mk --set lattice.height=8 --set lattice.width=8 --set steps=10 --set data.generate.steps=20
    --set iterations=15
    --set data.generate.params.D_A=0.1 --set data.generate.params.D_B=0.4 --set data.generate.params.k1=0.98
    --set data.generate.params.k2=0.1 --set data.generate.params.k3=0.2 --set params.D_A=0.1 --set params.D_B=0.4
    --set params.k1.start=0.35 --set params.k2.start=0.91 --set params.k3.start=0.06"
echo "seed: 3" >seed.yaml
for threads in 1 2; do
    # shellcheck disable=SC2086
    run 0 fit seed.yaml $mk --set output.trace=mk$threads.csv --threads $threads
    run 0 fit seed.yaml --set model=si --set lattice.height=16 --set lattice.width=16 --set data.generate.runs=4 \
        --set data.generate.steps=10 --set data.generate.params.beta=0.3 --set params.beta.start=0.5 \
        --set optimizer.lr=1e-4 --set replicates=8 --set epochs=4 --set output.trace=si$threads.csv --threads $threads
done
same mk1.csv mk2.csv
same si1.csv si2.csv
says out "beta"

sed 's/iterations: 60/iterashuns: 60/' walk.yaml >bad.yaml
fails_with 2 "bad.yaml:10: iterashuns: unknown key 'iterashuns'; did you mean 'iterations'?" fit bad.yaml
sed 's/msd: msd.csv/msd: nothing.csv/' walk.yaml >bad.yaml
fails_with 2 "nothing.csv" fit bad.yaml --set output.trace=none.csv
[ ! -e none.csv ] || fail "a fit that failed left a trace"

# a signal: what was found is kept, exit status 1
"$LATGRAD" fit walk.yaml --set iterations=2000000 --set replicates=20 --set output.trace=stopped.csv --quiet \
    >out 2>err &
pid=$!
sleep 1
kill -INT $pid 2>/dev/null
wait $pid
status=$?
if [ $status -eq 3 ]; then
    echo "no memory for the long trace: the part about signals is skipped"
else
    [ $status -eq 1 ] || fail "exit status $status after a signal, expected 1: $(cat err)"
    says err "stopped by a signal"
    [ -s stopped.csv ] || fail "no trace after a signal"
fi
finish
