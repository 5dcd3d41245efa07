#!/bin/sh
# Batch scripts of `latgrad submit`: their text, their quoting (a stand-in srun shows the words that arrive), what is refused.
. "$(dirname "$0")/../cli/common.sh"
. "$source_dir/tests/cluster/cluster.sh"

# sbatch, srun and scontrol that note their words, one per line. The tool itself needs no Slurm for what is tested here.
mkdir bin
for program in sbatch srun scontrol; do
    cat >"bin/$program" <<STANDIN
#!/bin/sh
{ echo "$program"; printf '[%s]\n' "\$@"; } >>"$work/called"
case $program in
sbatch) echo "41;cluster" ;;
srun) exit \$(cat "$work/srun-status") ;;
esac
STANDIN
    chmod +x "bin/$program"
done
echo 0 >srun-status
with_slurm=$work/bin:$PATH
mkdir none # a PATH without sbatch, wherever Slurm lies
for program in sh cat; do ln -s "$(command -v "$program")" "none/$program"; done

called() {
    tr '\n' ' ' <called
}

# ---- the whole text of a script
write_config fit.yaml 10 8
run 0 submit fit.yaml --gpus-per-node 1 --time 2:00:00 --partition gpu --account proj-1 --mem 8G --cpus-per-task 2 --dry-run
says out "sbatch fit.sbatch"
cat >expected <<GOLDEN
#!/bin/bash
#SBATCH --job-name=fit
#SBATCH --partition=gpu
#SBATCH --account=proj-1
#SBATCH --time=2:00:00
#SBATCH --mem=8G
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --gpus-per-node=1
#SBATCH --output=fit-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
# Written by latgrad submit.

cd -- DIRECTORY || exit 2

result=fit.h5
if [ -e "\$result" ]; then echo "\$result is there already"; exit 0; fi

# Two minutes before the time limit Slurm sends USR1 to this script, which passes it on. The fit then writes a
# checkpoint and ends with status 75; the job is queued again and goes on from there.
step= signalled=
stop() {
    signalled=yes
    if [ -n "\$step" ]; then kill -USR1 "\$step" 2>/dev/null; fi
}
trap stop USR1

srun --cpus-per-task=2 LATGRAD fit fit.yaml --resume \\
    --out "\$result" &
step=\$!
if [ -n "\$signalled" ]; then stop; fi
wait "\$step"
status=\$?
while [ -n "\$signalled" ] && [ "\$status" -gt 128 ]; do # the signal ended \`wait\`, not the fit
    signalled=
    wait "\$step"
    status=\$?
done
if [ "\$status" -eq 75 ]; then
    echo "stopped after a checkpoint: queued again"
    scontrol requeue "\$SLURM_JOB_ID"
fi
exit "\$status"
GOLDEN
program=$(readlink -f "$LATGRAD")
sed -e "s|^cd -- $(pwd -P) |cd -- DIRECTORY |" -e "s|$program fit |LATGRAD fit |" fit.sbatch >text
diff expected text >differences || fail "the script is not as expected: $(cat differences)"

# ---- an existing script and an existing result are kept
fails_with 2 "'fit.sbatch' exists already" submit fit.yaml --dry-run
run 0 submit fit.yaml --dry-run --force
says fit.sbatch "#SBATCH --nodes=1"
touch fit.h5
fails_with 2 "the result 'fit.h5' exists already" submit fit.yaml --dry-run --force
rm fit.h5 fit.sbatch

# ---- submission
PATH=$work/none run 3 submit fit.yaml
says err "no sbatch on PATH"
says out "wrote fit.sbatch"
[ -f fit.sbatch ] || fail "without sbatch no script is written"
PATH=$with_slurm run 0 submit fit.yaml --force
says out "submitted job 41"
[ "$(called)" = "sbatch [--parsable] [fit.sbatch] " ] || fail "sbatch got: $(called)"
printf '#!/bin/sh\necho "sbatch: error: no such partition" >&2\nexit 1\n' >bin/sbatch-fails
chmod +x bin/sbatch-fails
mkdir failing && cp bin/sbatch-fails failing/sbatch
PATH=$work/failing:$PATH run 1 submit fit.yaml --force
says err "did not take 'fit.sbatch'"
rm fit.sbatch called

# ---- odd names: each has to arrive as it is
odd="it's a \"very\" \$HOME \`odd\` \\ dir;#&*"
mkdir "$odd" && cp fit.yaml "$odd/-my fit's \$(config).yaml"
cd "$odd" || exit 1
PATH=$with_slurm run 0 submit --job-name odd --script ./-s.sh --out "-re sult'\$x.h5" --set "data.generate.seed=4" -- "-my fit's \$(config).yaml"
[ "$(tail -n 1 "$work/called")" = "[./-s.sh]" ] || fail "sbatch got: $(cat "$work/called")"
rm "$work/called"
PATH=$with_slurm bash ./-s.sh >log 2>&1 || fail "the script fails: $(cat log)"
cat >want <<WORDS
srun
[$program]
[fit]
[./-my fit's \$(config).yaml]
[--resume]
[--set]
[data.generate.seed=4]
[--out]
[-re sult'\$x.h5]
WORDS
cmp -s want "$work/called" || fail "srun got: $(cat "$work/called")"
cd "$work" || exit 1
rm called

# ---- status 75 queues the job again, others do not; a finished job does nothing
run 0 submit fit.yaml --dry-run
for status in 75 1 0; do
    echo "$status" >srun-status
    rm -f called
    (
        export SLURM_JOB_ID=7 PATH="$with_slurm"
        exec bash fit.sbatch
    ) >log 2>&1
    [ $? -eq "$status" ] || fail "the script does not end with the status of the fit, $status"
    case $(called) in
    *"scontrol [requeue] [7]"*) [ "$status" -eq 75 ] || fail "status $status queues the job again" ;;
    *) [ "$status" -ne 75 ] || fail "status 75 does not queue the job again" ;;
    esac
done
rm called
touch fit.h5
PATH=$with_slurm bash fit.sbatch >log 2>&1 || fail "a job whose result is there fails"
[ ! -e called ] || fail "a job whose result is there runs again"
rm fit.h5 fit.sbatch

# ---- USR1 is passed on to srun, and the script waits for what the fit makes of it
cat >bin/srun <<STANDIN
#!/bin/bash
trap 'sleep 0.3; echo passed on >>"$work/called"; exit 75' USR1
touch "$work/running"
while :; do sleep 0.05; done
STANDIN
run 0 submit fit.yaml --dry-run
(
    export SLURM_JOB_ID=8 PATH="$with_slurm"
    exec bash fit.sbatch
) >log 2>&1 &
script=$!
until_true 20 test -f running || fail "srun does not start"
kill -USR1 "$script"
wait "$script"
status=$?
[ "$status" -eq 75 ] || fail "a stopped job ends with status $status"
[ "$(called)" = "passed on scontrol [requeue] [8] " ] || fail "after USR1: $(called)"
rm called fit.sbatch

# ---- an array: slices without gaps, outputs of their own, and the job that joins them
cat >bin/srun <<STANDIN
#!/bin/sh
shift
while [ \$# -gt 0 ]; do
    case \$1 in
    fit | --resume) ;;
    --set | --out) printf '%s ' "\$2" && shift ;;
    esac
    shift
done >>"$work/called"
STANDIN
PATH=$with_slurm run 0 submit fit.yaml --array 3 --out "all of it.h5" --set first_fit=2 --set output.trace=t.v1/all
says fit.sbatch "#SBATCH --array=0-2"
says out "submitted job 41, which joins the slices into all of it.h5"
[ "$(called)" = "sbatch [--parsable] [fit.sbatch] sbatch [--parsable] [--kill-on-invalid-dep=yes] [--dependency=afterok:41] [fit-merge.sbatch] " ] ||
    fail "sbatch got: $(called)"
rm called
for slice in 0 1 2; do
    (
        export SLURM_JOB_ID=9 SLURM_ARRAY_TASK_ID=$slice PATH="$with_slurm"
        exec bash fit.sbatch
    ) >log 2>&1 || fail "slice $slice: $(cat log)"
    echo >>called
done
cat >want <<'WORDS'
first_fit=2 fits=2 all of it-slice0.h5 output.trace=t.v1/all-slice0 
first_fit=4 fits=3 all of it-slice1.h5 output.trace=t.v1/all-slice1 
first_fit=7 fits=3 all of it-slice2.h5 output.trace=t.v1/all-slice2 
WORDS
cmp -s want called || fail "the slices are: $(cat called)"
says fit-merge.sbatch "merge --first-fit 2 --fits 8 --out 'all of it.h5' --trace t.v1/all"
for slice in 0 1 2; do
    start=$((2 + 8 * slice / 3))
    run 0 fit fit.yaml --set first_fit=$start --set fits=$((2 + 8 * (slice + 1) / 3 - start)) --out "all of it-slice$slice.h5"
done
mkdir t.v1
bash fit-merge.sbatch >log 2>&1 || fail "the merge job fails: $(cat log)"
run 0 fit fit.yaml --set first_fit=2 --set fits=8 --out whole.h5 --set output.trace=whole.csv
same_results whole.h5 "all of it.h5"
same whole.csv t.v1/all
rm fit.sbatch fit-merge.sbatch "all of it.h5"

# ---- ensembles are split by their own number of fits
sed '/^fits:/d' fit.yaml >ensemble.yaml
echo 'ensemble: {starts: random, size: 6}' >>ensemble.yaml
run 0 submit ensemble.yaml --array 2 --dry-run
says ensemble.sbatch "fits=6 slices=2"

# ---- several tasks
if "$LATGRAD" info | grep '^build' | grep -q MPI; then
    run 0 submit fit.yaml --nodes 2 --gpus-per-node 4 --dry-run
    says fit.sbatch "#SBATCH --ntasks-per-node=4"
    says fit.sbatch "srun --kill-on-bad-exit=1 --mpi=pmix "
    run 0 submit fit.yaml --tasks-per-node 2 --mpi pmi2 --dry-run --force
    says fit.sbatch "--mpi=pmi2"
    rm fit.sbatch
else
    fails_with 3 "need MPI" submit fit.yaml --nodes 2 --dry-run
fi

# ---- what is refused
for option in --partition --account --time --qos --mem --job-name --mpi; do
    fails_with 2 "$option: expected one word" submit fit.yaml --dry-run "$option" "a
#SBATCH --b"
    fails_with 2 "$option: expected one word" submit fit.yaml --dry-run "$option" "a b"
done
fails_with 2 "without '/'" submit fit.yaml --dry-run --job-name a/b
fails_with 2 "--nodes: expected 1" submit fit.yaml --dry-run --nodes 0
fails_with 2 "there are only 8 fits to split" submit fit.yaml --dry-run --array 9
fails_with 2 "did you mean '--partition'" submit fit.yaml --partitoin gpu
fails_with 2 "missing.yaml" submit missing.yaml --dry-run
fails_with 2 "optimizer.lr" submit fit.yaml --set optimizer.lr=x --dry-run
[ ! -e fit.sbatch ] || fail "a refused submission wrote a script"

# ---- merge
fails_with 2 "expected --out" merge whole.h5
fails_with 2 "'whole.h5' exists already" merge "all of it-slice1.h5" --out whole.h5
fails_with 2 "fits 4-6 are missing" merge "all of it-slice0.h5" "all of it-slice2.h5" --out part.h5
fails_with 2 "fits 0-1 are missing" merge "all of it-slice0.h5" "all of it-slice1.h5" --fits 7 --out part.h5
fails_with 2 "fit.yaml" merge fit.yaml --out part.h5
[ ! -e part.h5 ] || fail "a refused merge wrote a file"
finish
