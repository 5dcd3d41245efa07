#!/bin/sh
# `latgrad submit` with a real Slurm: a fit on two tasks that is signalled, queued again and goes on, and an array that is
# joined. Both have to give what an uninterrupted run gives.
. "$(dirname "$0")/../cli/common.sh"
. "$source_dir/tests/cluster/cluster.sh"
. "$source_dir/tests/cluster/slurm.sh"
if ! command -v bash >/dev/null; then
    echo "there is no bash"
    exit 77
fi
mpi=no
if "$LATGRAD" info | grep '^build' | grep -q MPI; then mpi=yes; fi
export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" # Open MPI keeps memory at its end
export OMPI_MCA_btl_vader_single_copy_mechanism=none  # containers forbid it, and Open MPI warns
trap 'slurm_stop; cd /; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
slurm_start

job_is_over() {
    ! squeue -h -j "$1" -o %T 2>/dev/null | grep -q .
}

# submit ARGUMENTS...: leaves the job's number in $job.
submit() {
    run 0 submit "$@"
    job=$(sed -n 's/^submitted job \([0-9]*\).*/\1/p' out | tail -n 1)
    [ -n "$job" ] || fail "no job was submitted: $(cat out err)"
}

# ---- signalled, queued again, finished
tasks=2
checkpoint=r.h5.ckpt.fits2-4
if [ "$mpi" = no ]; then
    tasks=1
    checkpoint=r.h5.ckpt
fi
write_config fit.yaml 20000 5
printf 'threads: 1\ncheckpoint: {every: 200}\n' >>fit.yaml
run 0 fit fit.yaml --out whole.h5
for _ in 1 2 3 4 5; do # until the signal comes before the end of the fit
    rm -f r.h5 fit.sbatch
    submit fit.yaml --tasks-per-node "$tasks" --time 10 --out r.h5
    until_true 120 eval "test -f $checkpoint || test -f r.h5" ||
        slurm_give_up "the job writes no checkpoint: $(cat fit-*.log)"
    scancel --batch --signal=USR1 "$job" 2>/dev/null # what --signal=B:USR1 makes of the time limit
    until_true 240 test -f r.h5 || slurm_give_up "the job does not go on: $(cat fit-*.log; scontrol show job "$job")"
    until_true 120 job_is_over "$job" || fail "the job does not end"
    ! grep -q "queued again" "fit-$job.log" || break
done
says "fit-$job.log" "queued again"
says "fit-$job.log" "going on from the checkpoint"
[ "$tasks" -eq 1 ] || says "fit-$job.log" "spread over 2 processes"
same_results whole.h5 r.h5
for trouble in *.ckpt*; do
    [ ! -e "$trouble" ] || fail "$trouble is left behind"
done
rm fit.sbatch

# ---- an array, and its join
write_config many.yaml 300 7
run 0 fit many.yaml --out one.h5
submit many.yaml --array 3 --out all.h5
until_true 240 test -f all.h5 || slurm_give_up "the array is not joined: $(cat many-*.log; scontrol show job)"
until_true 120 job_is_over "$job" || fail "the joining job does not end"
same_results one.h5 all.h5

# ---- tasks that do not find each other say so
if [ "$mpi" = yes ]; then
    srun --ntasks=2 --mpi=none "$LATGRAD" fit many.yaml --dry-run >out 2>err || fail "srun without MPI fails: $(cat err)"
    says err "2 processes were started, but they do not find each other"
fi
finish
