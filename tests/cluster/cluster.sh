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
