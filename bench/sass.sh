#!/bin/sh
# Machine instructions of a kernel's loop over steps, by class, and the rate that follows. Derived, not measured: it counts
# every instruction between the loop's start and its end once, those of branches that are seldom taken too, and no stalls.
#
#   bench/sass.sh FILE.cu KERNEL SITES [ARCH]       KERNEL: part of the mangled name
#   bench/sass.sh mk.cu mk_forwardILi4ELb0ELb0E 8    SITES: site steps of a thread and step (8: four pairs)
#
# Needs nvcc and nvdisasm (NVCC, NVDISASM). Lanes a clock and multiprocessor at compute capability 9.0, from the CUDA C++
# Programming Guide, "Arithmetic Instructions": 128 in all (four schedulers of 32), of them 64 integer and logical ones (IMAD
# included), 16 special functions and conversions, 64 in double precision; 32 loads and stores of shared and global memory.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 3 ] || { echo "usage: bench/sass.sh FILE.cu KERNEL SITES [ARCH]" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${NVCC:-nvcc}" -std=c++17 -D_GNU_SOURCE -fmad=false -arch="${4:-sm_90}" -Ikernels -Iinclude -Ihost -cubin "kernels/$1" -o "$work/cubin"
"${NVDISASM:-nvdisasm}" -c "$work/cubin" >"$work/sass"
awk -v kernel="$2" -v sites="$3" '
/^\.text\./ { inside = index($0, kernel) > 0 && !found; if (inside) found = 1; next }
!inside { next }
/^\.L_x_/ { sub(":.*", ""); label[$0] = n + 1; next }
/^[ \t]*\/\*[0-9a-f]+\*\// {
    sub("^[ \t]*/[*][0-9a-f]+[*]/[ \t]*", "")
    sub("^@!?U?P[0-9T]+[ \t]+", "")
    op[++n] = $1
    if ($1 ~ /^BRA/ && match($0, /\.L_x_[0-9]+/)) to[n] = substr($0, RSTART, RLENGTH)
}
function class(o) {
    if (o ~ /^IMAD\.(WIDE|HI)/) return "IMAD.WIDE"
    if (o ~ /^(IMAD|IADD|ISETP|LEA|VIADD|IABS|SHF|PRMT|LOP3|PLOP3|SEL|VIMNMX|I2I|BMSK|SGXT|P2R|R2P|IMNMX|UISETP)/ && o !~ /^U/) return "integer and logic"
    if (o ~ /^(LDS|STS|ATOMS)/) return "shared memory"
    if (o ~ /^(LD|ST|LDG|STG|RED|ATOM)/ && o !~ /^LDC/) return "global memory"
    if (o ~ /^(MUFU|I2F|F2I|F2F|POPC|FLO)/) return "special"
    if (o ~ /^D(ADD|MUL|FMA|SETP)/) return "double"
    if (o ~ /^F/) return "single"
    if (o ~ /^(BAR|UCGABAR|MEMBAR|ERRBAR|CCTL)/) return "barrier"
    return "other"
}
END {
    if (!n) { print "no kernel " kernel; exit 1 }
    for (i = 1; i <= n; i++)
        if ((i in to) && (to[i] in label) && label[to[i]] < i) {
            bars = 0
            for (k = label[to[i]]; k <= i; k++) bars += class(op[k]) == "barrier"
            if (bars && i - label[to[i]] > last - first) { first = label[to[i]]; last = i }
        }
    if (!last) { print "no loop with a barrier in " kernel; exit 1 }
    for (k = first; k <= last; k++) count[class(op[k])]++
    all = last - first + 1
    printf "%s: %d instructions a thread and step, %.1f a site step\n", kernel, all, all / sites
    for (c in count) printf "  %-18s %6d %8.2f\n", c, count[c], count[c] / sites | "sort"
    close("sort")
    clocks = all / 128
    x = (count["IMAD.WIDE"] + count["integer and logic"]) / 64; if (x > clocks) clocks = x
    x = (count["shared memory"] + count["global memory"]) / 32; if (x > clocks) clocks = x
    x = count["special"] / 16; if (x > clocks) clocks = x
    x = count["double"] / 64; if (x > clocks) clocks = x
    printf "derived, not measured: about %.3g site steps/s on 132 multiprocessors at 1.755 GHz without stalls\n", sites / clocks * 132 * 1.755e9
}' "$work/sass"
