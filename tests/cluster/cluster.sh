# shellcheck shell=sh disable=SC2154
# Shared by the tests of this folder, which source it after ../cli/common.sh.
here=$source_dir/tests/cluster

has_h5py() {
    [ -n "$python" ] && "$python" -c 'import h5py' 2>/dev/null
}

# same_results FILE FILE...: equal but for what says where and when they were made. Without h5py the traces are compared.
same_results() {
    if has_h5py; then
        "$python" "$here/same_result.py" "$@" >differences || fail "$(cat differences)"
        return
    fi
    first=$1
    run 0 merge "$first" --out plain.h5 --trace first.csv --force
    shift
    for other in "$@"; do
        run 0 merge "$other" --out plain.h5 --trace other.csv --force
        same first.csv other.csv
    done
}

# write_config FILE ITERATIONS FITS: a fit of a few milliseconds per hundred iterations.
write_config() {
    cat >"$1" <<YAML
model: si
lattice: {height: 16, width: 16}
data:
  generate: {runs: 8, steps: 10, seed: 3, params: {beta: 0.2}}
replicates: 16
iterations: $2
fits: $3
device: cpu
YAML
}

# until_true SECONDS COMMAND...: tries until it succeeds.
until_true() {
    tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# Skips a test where several processes cannot be started.
needs_mpi() {
    if ! "$LATGRAD" info | grep '^build' | grep -q MPI; then
        echo "this build has no MPI"
        exit 77
    fi
    if ! mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
        echo "there is no mpirun of Open MPI"
        exit 77
    fi
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" # Open MPI keeps memory at its end
}

# ranks NUMBER STATUS ARGUMENTS...: runs them to their end.
ranks() {
    number=$1
    expected=$2
    shift 2
    mpirun --oversubscribe -np "$number" "$LATGRAD" "$@" >out 2>err
    status=$?
    [ "$status" -eq "$expected" ] ||
        fail "$number ranks, latgrad $*: exit status $status, expected $expected: $(head -c 1500 err)"
}

# interrupt SIGNAL NUMBER CHECKPOINT OUTPUT ARGUMENTS...: begins a fit, and signals one rank once there is a checkpoint. On a busy
# machine the fit may have ended before that: then again. Leaves the exit status of the launcher in $status.
interrupt() {
    signal=$1
    number=$2
    awaited=$3
    output=$4
    shift 4
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        mpirun --oversubscribe -np "$number" "$LATGRAD" "$@" >out 2>err &
        launcher=$!
        until_true 120 eval "test -f $awaited || test -f $output" || fail "no checkpoint is written: $(head -c 1500 err)"
        rank=$(pgrep -P "$launcher" | tail -n 1)
        [ -z "$rank" ] || kill -"$signal" "$rank" 2>/dev/null
        wait "$launcher"
        status=$?
        [ "$status" -eq 0 ] || return
        rm -f "$output"
    done
}
