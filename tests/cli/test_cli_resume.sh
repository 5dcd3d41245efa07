#!/bin/sh
# fit --resume: killed, stopped by signals and by the time limit, out of disk, in a folder that cannot be written: after
# going on the bytes of an uninterrupted run, or a clear message.
. "$(dirname "$0")/common.sh"

cat >walk.yaml <<'YAML'
model: prw
data: {generate: {params: {p_center: 0.3, p_resample: 0.4}, runs: 300}}
params:
  p_center: {start: 0.7}
  p_resample: {start: 0.7}
steps: 5
replicates: 100
fits: 2
optimizer: {name: adam, lr: 0.02, schedule: cosine}
iterations: 8000
checkpoint: {every: 400}
threads: 1
output: {file: walk.h5, trace: walk.csv}
YAML
outputs='walk.csv walk.h5'
checkpoints='walk.h5.ckpt walk.h5.ckpt.1'
hdf5=yes
if ! "$LATGRAD" fit walk.yaml --quiet >out 2>err; then
    # a build without HDF5 writes the trace alone
    sed -i 's/output:.*/output: {trace: walk.csv}/; s/checkpoint:.*/checkpoint: {every: 400, file: walk.h5.ckpt}/' walk.yaml
    hdf5=no
    # shellcheck disable=SC2086
    rm -f $outputs $checkpoints
    run 0 fit walk.yaml --quiet
fi
mv walk.csv whole.csv
cp out whole.out
rm -f walk.h5

# no checkpoint is left when the outputs are written, and the outputs are those of the uninterrupted run
check_finished() {
    same walk.csv whole.csv
    for file in $checkpoints .walk.h5.ckpt.*; do
        [ ! -e "$file" ] || fail "$1: $file was left"
    done
    # shellcheck disable=SC2086
    rm -f $outputs
}

# begin ARGUMENTS...: starts a fit, and waits until it has a checkpoint and the one before it.
begin() {
    "$LATGRAD" fit walk.yaml --quiet "$@" >out 2>err &
    pid=$!
    tries=0
    while [ ! -e walk.h5.ckpt.1 ] && [ $tries -lt 500 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
}

# interrupt SIGNAL ARGUMENTS...: begins a fit and sends it the signal; on a busy machine it may have ended before, then again.
interrupt() {
    signal=$1
    shift
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        # shellcheck disable=SC2086
        rm -f $outputs $checkpoints
        begin "$@"
        kill -"$signal" $pid 2>/dev/null
        wait $pid
        status=$?
        [ "$status" -eq 0 ] || return
    done
}

# killed eight times in a row, at moments of all kinds: before the first checkpoint, while one is written, near the end
random=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
for chain in 1 2 3; do
    pauses=$(awk -v seed="$random" -v chain=$chain \
        'BEGIN { srand(seed + chain); for (i = 0; i < 8; i++) printf "%.3f ", (0.02 + 0.1 * chain) * rand() ^ 2 }')
    for pause in $pauses; do
        "$LATGRAD" fit walk.yaml --quiet --resume --force >out 2>err &
        pid=$!
        sleep "$pause"
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    run 0 fit walk.yaml --resume --force --threads 2
    check_finished "killed after $pauses s"
done

# signals: exit status 75, no outputs, and the words that go on
for signal in TERM USR1 INT; do
    interrupt $signal --set 'run.time_limit=1-00:00:00'
    [ "$status" -eq 75 ] || fail "exit status $status after SIG$signal, expected 75: $(cat err)"
    says err "latgrad fit --resume walk.yaml --quiet --set run.time_limit=1-00:00:00"
    [ ! -e walk.csv ] || fail "SIG$signal left a trace of a fit that is not done"
    fails_with 2 "--resume goes on from it, --force starts again" fit walk.yaml --quiet
    run 0 fit walk.yaml --resume
    says err "going on from the checkpoint 'walk.h5.ckpt'"
    check_finished "SIG$signal"
done

# the time limit: each run goes some iterations further
for limit in 0.01 0.02 00:00:00; do
    "$LATGRAD" fit walk.yaml --resume --quiet --time-limit $limit >out 2>err
    status=$?
    [ $limit = 00:00:00 ] || [ "$status" -eq 75 ] || fail "exit status $status with --time-limit $limit: $(cat err)"
done
[ "$status" -eq 0 ] || fail "exit status $status without a limit: $(cat err)"
check_finished "--time-limit"
run 75 fit walk.yaml --time-limit 00:00:01 --set iterations=100000000 --set fits=1
says err "the time limit was near"
rm -f walk.h5.ckpt walk.h5.ckpt.1
grep -v '^output\|^checkpoint' walk.yaml >bare.yaml
fails_with 2 "set output.file or checkpoint.file" fit bare.yaml --time-limit 5
fails_with 2 "nothing to resume" fit bare.yaml --resume --quiet
fails_with 2 "expected seconds, HH:MM:SS" fit walk.yaml --time-limit soon

# without a checkpoint: from the beginning, and it says so
run 0 fit walk.yaml --resume
says err "starting from the beginning"
check_finished "no checkpoint"
run 0 fit walk.yaml --set checkpoint.keep=true
[ -e walk.h5.ckpt ] || fail "checkpoint.keep did not keep it"
rm -f walk.csv walk.h5 walk.h5.ckpt walk.h5.ckpt.1

# a damaged checkpoint: the one before it; both damaged, or another configuration: refused, and nothing is touched
interrupt USR1
cp walk.h5.ckpt good
printf 'x' | dd of=walk.h5.ckpt bs=1 seek=300 conv=notrunc 2>/dev/null
run 0 fit walk.yaml --resume
says err "the checkpoint 'walk.h5.ckpt' is damaged: its checksum does not match; going on from the one before it"
check_finished "damaged"
head -c 500 good >walk.h5.ckpt
cp walk.h5.ckpt walk.h5.ckpt.1
fails_with 2 "to start again use --force" fit walk.yaml --resume --quiet
[ "$(wc -c <walk.h5.ckpt)" -eq 500 ] || fail "a damaged checkpoint was changed"
cp good walk.h5.ckpt
fails_with 2 "optimizer.lr is 0.03 now and was 0.02 then" fit walk.yaml --resume --quiet --set optimizer.lr=0.03
same good walk.h5.ckpt
run 0 fit walk.yaml --force
check_finished "--force"

# logs
run 0 fit walk.yaml --log json --set iterations=400
[ "$hdf5" = no ] || [ -e walk.h5 ] || fail "no result"
if [ -n "$python" ]; then
    "$python" - <<'PY' || fail "--log json is not what it should be: $(head -c 500 err)"
import json
lines = [json.loads(line) for line in open("err")]
lines = [line for line in lines if line["event"] != "info"]  # a build with CUDA says where it runs
assert [lines[0]["event"], lines[-1]["event"]] == ["start", "end"], lines
assert lines[0]["fits"] == 2 and lines[-1]["exit"] == 0
steps = [line for line in lines if line["event"] == "progress"]
assert steps and len(steps[0]["loss"]) == 2 and len(steps[0]["params"]["p_center"]) == 2
PY
fi
fails_with 2 "' exists already; --force replaces it" fit walk.yaml --log json --log-file log.json
run 0 fit walk.yaml --force --log json --log-file log.json --set iterations=400
[ "$(grep -c '"event": "end"' log.json)" -eq 2 ] || fail "the second run did not add to the log file"
run 0 fit walk.yaml --force --log-file log.txt --resume --set iterations=400
says log.txt "info: there is no checkpoint"
fails_with 2 "--log: expected text or json, got 'xml'" fit walk.yaml --log xml
rm -f walk.csv walk.h5

# a full disk and a folder that cannot be written: small file systems of their own, where that is permitted
if unshare -rm sh -c 'mkdir -p disk && mount -t tmpfs -o size=64k tmpfs disk' 2>/dev/null; then
    cat >disk.sh <<'SH'
mkdir -p disk && mount -t tmpfs -o size=${1}k tmpfs disk || exit 99
shift
[ ! -f keep.ckpt ] || cp keep.ckpt disk/walk.ckpt
[ "$1" != full ] || { shift; head -c 100000000 /dev/zero >disk/filler 2>/dev/null; }
[ "$1" != read-only ] || { shift; mount -o remount,ro disk || exit 99; }
"$LATGRAD" "$@"
status=$?
if [ -f disk/walk.ckpt ]; then cp disk/walk.ckpt saved.ckpt; fi
[ ! -f disk/walk.ckpt.1 ] || cp disk/walk.ckpt.1 saved.ckpt.1
ls -a disk >left
exit $status
SH
    export LATGRAD
    # it fills up while the fit runs: the fit goes on, the last checkpoint that had room is whole
    unshare -rm sh disk.sh 256 fit walk.yaml --quiet --set checkpoint.file=disk/walk.ckpt --set checkpoint.keep=true >out 2>err
    status=$?
    [ "$status" -eq 0 ] || fail "exit status $status on a full disk: $(cat err)"
    says err "No space left on device"
    same walk.csv whole.csv
    [ "$(grep -c '^\.walk' left)" -eq 0 ] || fail "half a checkpoint was left on the full disk: $(cat left)"
    rm -f walk.csv walk.h5
    mv saved.ckpt walk.h5.ckpt
    run 0 fit walk.yaml --resume
    says err "going on from"
    check_finished "full disk"
    # full from the beginning: --resume computes on, nothing of the checkpoint is lost
    cp good keep.ckpt
    unshare -rm sh disk.sh 4096 full fit walk.yaml --resume --quiet --set checkpoint.file=disk/walk.ckpt --set checkpoint.keep=true >out 2>err
    status=$?
    [ "$status" -eq 0 ] || fail "exit status $status on a disk full from the beginning: $(cat err)"
    same walk.csv whole.csv
    same saved.ckpt good
    rm -f walk.csv walk.h5 saved.ckpt
    unshare -rm sh disk.sh 4096 read-only fit walk.yaml --resume --set checkpoint.file=disk/walk.ckpt >out 2>err
    status=$?
    [ $status -eq 2 ] || fail "exit status $status in a folder that cannot be written: $(cat err)"
    says err "no checkpoint can be kept: cannot write 'disk/walk.ckpt'"
    same saved.ckpt good
    [ ! -e walk.csv ] || fail "a fit that was refused left a trace"
else
    echo "mounting is not permitted: the parts about a full disk and a read-only folder are skipped"
    if [ "$(id -u)" -ne 0 ]; then
        mkdir locked && chmod 555 locked
        fails_with 2 "no checkpoint can be kept" fit walk.yaml --set checkpoint.file=locked/walk.ckpt
        chmod 755 locked
    fi
fi
finish
