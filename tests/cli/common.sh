# shellcheck shell=sh disable=SC2034
# Shared by the tests of the tool, which source it. LATGRAD is the tool; a test runs in a folder of its own, which goes
# at the end.
set -u
: "${LATGRAD:?set LATGRAD to the path of the tool}"
if [ ! -x "$LATGRAD" ]; then
    echo "the tool $LATGRAD was not built"
    exit 77
fi
source_dir=${LATGRAD_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
python= # with numpy where there is one
for candidate in python3 /usr/bin/python3; do
    if command -v "$candidate" >/dev/null && { [ -z "$python" ] || ! "$python" -c 'import numpy' 2>/dev/null; }; then
        python=$candidate
    fi
done
work=$(mktemp -d "${TMPDIR:-/tmp}/latgrad-cli-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# run STATUS ARGUMENTS...: runs the tool, keeps out and err, checks the exit status.
run() {
    expected=$1
    shift
    "$LATGRAD" "$@" >out 2>err
    status=$?
    [ "$status" -eq "$expected" ] || fail "latgrad $*: exit status $status, expected $expected: $(head -c 500 err)"
}

# says FILE TEXT: the file holds the text.
says() {
    grep -qF -- "$2" "$1" || fail "no '$2' in $1: $(head -c 500 "$1")"
}

# fails_with STATUS TEXT ARGUMENTS...: exit status, the text in the message, "latgrad: " before it, nothing on stdout.
fails_with() {
    code=$1
    text=$2
    shift 2
    run "$code" "$@"
    says err "$text"
    grep -q '^latgrad: ' err || fail "latgrad $*: the message does not begin with 'latgrad: '"
    [ ! -s out ] || fail "latgrad $*: output on stdout"
}

same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}

finish() {
    [ "$failures" -eq 0 ] || echo "$failures failed"
    exit $((failures > 0))
}
