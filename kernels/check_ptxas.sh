#!/bin/sh
# Registers, shared memory and stack of every kernel, as ptxas reports them, into docs/ptxas.txt. Fails where a kernel spills
# or keeps anything in local memory.
#
#   kernels/check_ptxas.sh [--check] [ARCH...]      default: sm_80 sm_90
#
# --check: compare with the limits only, leave docs/ptxas.txt alone.
# Exceptions, on purpose, are kernels that do not run at every step: fit_pass, whose optimiser lm solves its equations in one thread
# per fit and indexes them at run time, and mk_formation_*, which run once a record and call double-precision functions.
set -eu
cd "$(dirname "$0")/.."
nvcc=${NVCC:-nvcc}
target=docs/ptxas.txt
if [ "${1:-}" = --check ]; then
    target=/dev/null
    shift
fi
[ $# -gt 0 ] || set -- sm_80 sm_90
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    echo "Resource use of the kernels, by kernels/check_ptxas.sh, nvcc $($nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')."
    echo "stack, spills: bytes a thread; dynamic shared memory is not included."
    echo
    printf '%-6s %-28s %9s %6s %7s %7s\n' arch kernel registers stack stores loads
} >"$work/table"
for arch in "$@"; do
    # the device's half alone, all cores at it
    printf '%s\n' kernels/*.cu | xargs -P "$(nproc)" -I '{}' sh -c '
        log=$3/$(basename "$1" .cu).log
        "$4" -std=c++17 -D_GNU_SOURCE -fmad=false -arch="$2" -Xptxas -v -Ikernels -Iinclude -Ihost -cubin "$1" -o "$log.cubin" \
            >"$log" 2>&1 || { cat "$log" >&2; exit 1; }' compile '{}' "$arch" "$work" "$nvcc" || exit 1
    for log in "$work"/*.log; do
        # ptxas names a kernel, then its stack and spills, then its registers
        sed -n -e 's/.*Function properties for \(_Z[0-9A-Za-z_]*\).*/name \1/p' -e 's/.* \([0-9]*\) bytes stack frame, \([0-9]*\) bytes spill stores, \([0-9]*\) bytes spill loads.*/stack \1 \2 \3/p' \
            -e 's/.*\([0-9]*\) bytes stack frame, \([0-9]*\) bytes spill stores, \([0-9]*\) bytes spill loads.*/stack \1 \2 \3/p' \
            -e 's/.*Used \([0-9]*\) registers.*/registers \1/p' "$log" >"$work/facts"
        while read -r kind a b c; do
            case $kind in
            name) name=$(c++filt "$a" | sed -e 's/^void //' -e 's/(.*//' -e 's/, /,/g') ;;
            stack) stack=$a stores=$b loads=$c ;;
            registers) printf '%-6s %-28s %9s %6s %7s %7s\n' "$arch" "$name" "$a" "$stack" "$stores" "$loads" >>"$work/rows" ;;
            esac
        done <"$work/facts"
    done
done
sort -k1,1 -k2,2 "$work/rows" >>"$work/table"
cat "$work/table" >"$target"
bad=$(awk '$2 !~ /^(fit_pass|mk_formation_)/ && ($4 > 0 || $5 > 0 || $6 > 0)' "$work/rows")
if [ -n "$bad" ]; then
    echo "kernels that spill or use local memory:" >&2
    echo "$bad" >&2
    exit 1
fi
echo "$(wc -l <"$work/rows") kernels, none spills but for the exceptions"
