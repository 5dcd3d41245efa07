#!/bin/sh
# Fits over several processes: any number of them gives the same result, stops and goes on, and says when it cannot work.
. "$(dirname "$0")/../cli/common.sh"
. "$source_dir/tests/cluster/cluster.sh"

needs_mpi

# ---- 1, 2, 3 and 4 ranks, more ranks than fits
write_config many.yaml 200 7
run 0 fit many.yaml --out one.h5 --set output.trace=one.csv
for n in 1 2 3 4; do
    ranks "$n" 0 fit many.yaml --out "ranks$n.h5" --set output.trace="ranks$n.csv"
    same one.csv "ranks$n.csv"
done
says out "spread over 4 processes"
[ "$(grep -c 'fit status' out)" -eq 1 ] || fail "not rank 0 alone prints the table"
write_config few.yaml 200 2
run 0 fit few.yaml --out two.h5
ranks 4 0 fit few.yaml --out idle.h5
same_results one.h5 ranks1.h5 ranks2.h5 ranks3.h5 ranks4.h5
same_results two.h5 idle.h5
for trouble in *.ckpt*; do
    [ ! -e "$trouble" ] || fail "$trouble is left behind"
done

# ---- an ensemble, whose fits are not counted by the key fits
cat many.yaml - >ensemble.yaml <<YAML
ensemble: {starts: [[0.1], [0.3], [0.5]], seeds: 2}
YAML
sed -i '/^fits:/d' ensemble.yaml
run 0 fit ensemble.yaml --out ensemble.h5
ranks 3 0 fit ensemble.yaml --out spread.h5
same_results ensemble.h5 spread.h5

# ---- stopped by a signal to one rank, continued by another number of ranks
write_config long.yaml 20000 5
echo "threads: 1" >>long.yaml
run 0 fit long.yaml --out whole.h5
both="stopped.h5.ckpt.fits2-4 -a -f stopped.h5.ckpt.fits0-1"
interrupt USR1 2 "$both" stopped.h5 fit long.yaml --out stopped.h5 --set checkpoint.every=200
[ "$status" -eq 75 ] || fail "stopped ranks end with status $status: $(head -c 1500 err)"
says err "--resume"
[ ! -e stopped.h5 ] || fail "a stopped fit wrote a result"
ranks 2 2 fit long.yaml --out stopped.h5
says err "checkpoints 'stopped.h5.ckpt.fits...'"
ranks 3 0 fit long.yaml --out stopped.h5 --resume
says err "going on from the checkpoint"
same_results whole.h5 stopped.h5

# ---- a rank that dies ends the job; its checkpoints are continued by one process
both="dead.h5.ckpt.fits2-4.1 -a -f dead.h5.ckpt.fits0-1"
interrupt KILL 2 "$both" dead.h5 fit long.yaml --out dead.h5 --set checkpoint.every=200
[ "$status" -ne 0 ] || fail "a dead rank goes unnoticed"
says err "rank"
run 0 fit long.yaml --out dead.h5 --resume
same_results whole.h5 dead.h5

# ---- one process, then four
for _ in 1 2 3 4 5; do # until the signal comes before the end
    rm -f alone.h5
    "$LATGRAD" fit long.yaml --out alone.h5 --set checkpoint.every=200 >out 2>err &
    alone=$!
    until_true 60 eval "test -f alone.h5.ckpt || test -f alone.h5" || fail "no checkpoint is written"
    kill -USR1 "$alone" 2>/dev/null
    wait "$alone"
    [ -f alone.h5 ] || break
done
ranks 4 0 fit long.yaml --out alone.h5 --resume
same_results whole.h5 alone.h5
for trouble in *.ckpt*; do
    [ ! -e "$trouble" ] || fail "$trouble is left behind"
done

# ---- messages: once, from rank 0
ranks 3 2 fit many.yaml --out one.h5
[ "$(grep -c "'one.h5' exists" err)" -eq 1 ] || fail "the message does not come once: $(head -c 500 err)"
ranks 2 2 fit many.yaml --set optimizer.lr=-1 --out bad.h5
[ "$(grep -c 'optimizer.lr' err)" -eq 1 ] || fail "the message does not come once: $(head -c 500 err)"
ranks 2 0 fit many.yaml --dry-run
[ "$(grep -c '^memory' out)" -eq 1 ] || fail "the plan does not come once"
SLURM_STEP_ID=0 SLURM_NTASKS=2 "$LATGRAD" fit few.yaml --out lone.h5 -q >out 2>err || fail "a lone process fails"
says err "2 processes were started"
finish
