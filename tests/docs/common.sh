# shellcheck shell=sh disable=SC2034
# Shared by the tests of the pages, which source it.
set -eu
: "${LATGRAD:?set LATGRAD to the path of the tool}"
here=$(cd "$(dirname "$0")" && pwd)
skip() {
    echo "skipped: $*"
    exit 77
}
# Pages show results, configurations and pictures.
need_tool() {
    for part in HDF5 YAML PNG; do
        "$LATGRAD" info | grep -q "$part" || skip "this build has no $part, which the pages use"
    done
    command -v gnuplot >/dev/null || skip "no gnuplot, which draws the pictures of the pages"
    command -v python3 >/dev/null || skip "no python3"
}
