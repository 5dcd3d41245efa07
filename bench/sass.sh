#!/bin/sh
# Machine instructions of a kernel's loop over steps, by class, and the rate that follows. Derived, not measured, without stalls.
#
#   bench/sass.sh FILE.cu KERNEL SITES [ARCH]       KERNEL: part of the mangled name
#   bench/sass.sh mk.cu mk_forwardILi4ELb0ELb0E 8    SITES: site steps of a thread and step (8: four pairs)
#
# Two counts. "all": every instruction between the loop's start and its end once, those of branches that are seldom taken
# too. "every step": without the instructions that come from lines guarded by LG_SELDOM (launch.cuh): the lines indented deeper
# than such a condition, whatever is inlined there included; the condition itself counts.
#
# Needs nvcc and nvdisasm (NVCC, NVDISASM). Lanes a clock and multiprocessor at compute capability 9.0, from the CUDA C++
# Programming Guide, "Arithmetic Instructions": 128 in all (four schedulers of 32), of them 64 integer and logical ones (IMAD
# included), 16 special functions and conversions, 64 in double precision; 32 loads and stores of shared and global memory of
# 32 bits each, so that one of 128 bits counts as four of them here.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 3 ] || { echo "usage: bench/sass.sh FILE.cu KERNEL SITES [ARCH]" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${NVCC:-nvcc}" -std=c++17 -D_GNU_SOURCE -fmad=false -lineinfo -arch="${4:-sm_90}" -Ikernels -Iinclude -Ihost -cubin "kernels/$1" -o "$work/cubin"
"${NVDISASM:-nvdisasm}" -gi -c "$work/cubin" >"$work/sass"
awk -v kernel="$2" -v sites="$3" '
FILENAME ~ /kernels\// { # which lines run seldom
    if (FNR == 1) { guard = -1; name = FILENAME; sub(".*/", "", name) }
    match($0, /^ */)
    if (guard >= 0 && RLENGTH <= guard && $0 != "") guard = -1
    if (guard >= 0) seldom[name, FNR] = 1
    else if ($0 ~ /LG_SELDOM\(/ && $0 !~ /^#/) guard = RLENGTH
    next
}
/^\.text\./ { inside = index($0, kernel) > 0 && !found; if (inside) found = 1; next }
!inside { next }
/\/\/## File / { # where the next instructions come from, inlined functions first
    if (!comment) rare = 0
    comment = 1
    name = $3; gsub(/[",]/, "", name); sub(".*/", "", name)
    line = $5; sub(",", "", line)
    if ((name, line + 0) in seldom) rare = 1
    next
}
{ comment = 0 }
/^\.L_x_/ { sub(":.*", ""); label[$0] = n + 1; next }
/^[ \t]*\/\*[0-9a-f]+\*\// {
    sub("^[ \t]*/[*][0-9a-f]+[*]/[ \t]*", "")
    sub("^@!?U?P[0-9T]+[ \t]+", "")
    op[++n] = $1
    often[n] = !rare
    if ($1 ~ /^BRA/ && match($0, /\.L_x_[0-9]+/)) to[n] = substr($0, RSTART, RLENGTH)
}
function class(o) {
    if (o ~ /^IMAD\.(WIDE|HI)/) return "IMAD.WIDE"
    if (o ~ /^(IMAD|IADD|ISETP|LEA|VIADD|IABS|SHF|PRMT|LOP3|PLOP3|SEL|VIMNMX|IDP|I2I|BMSK|SGXT|P2R|R2P|IMNMX|UISETP)/ && o !~ /^U/) return "integer and logic"
    if (o ~ /^(LDS|STS|ATOMS)/) return "shared memory"
    if (o ~ /^(LD|ST|LDG|STG|RED|ATOM)/ && o !~ /^LDC/) return "global memory"
    if (o ~ /^(MUFU|I2F|F2I|F2F|POPC|FLO)/) return "special"
    if (o ~ /^D(ADD|MUL|FMA|SETP)/) return "double"
    if (o ~ /^F/) return "single"
    if (o ~ /^(BAR|UCGABAR|MEMBAR|ERRBAR|CCTL)/) return "barrier"
    return "other"
}
function add(kind, o,    c) {
    c = class(o)
    classes[c] = 1
    count[kind, c]++
    total[kind]++
    if (c == "shared memory" || c == "global memory") words[kind] += o ~ /\.128/ ? 4 : (o ~ /\.64/ && o !~ /\.64\+/ ? 2 : 1)
}
function most(a, b) { return a > b ? a : b }
function clocks(kind) {
    return most(most(total[kind] / 128, (count[kind, "IMAD.WIDE"] + count[kind, "integer and logic"]) / 64),
                most(words[kind] / 32, most(count[kind, "special"] / 16, count[kind, "double"] / 64)))
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
    for (k = first; k <= last; k++) {
        add("all", op[k])
        if (often[k]) add("every step", op[k])
    }
    printf "%s: %d instructions a thread and step, %.1f a site step; every step: %d, %.1f a site step\n", kernel, total["all"],
        total["all"] / sites, total["every step"], total["every step"] / sites
    printf "  %-18s %12s %20s\n", "a site step", "all", "every step"
    for (c in classes) printf "  %-18s %12.2f %20.2f\n", c, count["all", c] / sites, count["every step", c] / sites | "sort"
    close("sort")
    printf "derived, not measured, on 132 multiprocessors at 1.755 GHz without stalls: about %.3g site steps/s, every step alone %.3g\n",
        sites / clocks("all") * 132 * 1.755e9, sites / clocks("every step") * 132 * 1.755e9
}' kernels/*.cu kernels/*.cuh "$work/sass"
