#!/bin/sh
# Breaks the kernels on purpose, one fault at a time, and demands that the conformance table notices.
#
#   mutants.sh SOURCE_DIR WORK_DIR OBJECTS...
#
# OBJECTS: what the mutated kernels are linked with (library, table of cases, scheduler). CXX and CXXFLAGS come from the
# environment. Each fault is a sed expression on one file; an expression that changes nothing is an error, so that the list
# cannot rot. Exit status 0: the sound kernels pass and every fault is caught.
set -u
source=$1
work=$2
shift 2
objects="$*"
: "${CXX:=c++}" "${CXXFLAGS:=-std=c++17 -O1 -ffp-contract=off}"
mkdir -p "$work"
failures=0

compile() { # compile FILE.cu OBJECT
    $CXX $CXXFLAGS -x c++ -D_GNU_SOURCE -I"$source/include" -I"$source/host" -I"$source/kernels" -I"$source/tests" \
        -I"$source/tests/cuda_on_cpu" -c "$1" -o "$2" || exit 2
}

for file in "$source"/kernels/*.cu; do
    compile "$file" "$work/$(basename "$file" .cu).o" || exit 2
done

run() { # run OBJECT_DIR CASE: links all kernels, those in OBJECT_DIR first
    list=
    for file in "$source"/kernels/*.cu; do
        name=$(basename "$file" .cu)
        if [ -f "$1/$name.o" ]; then list="$list $1/$name.o"; else list="$list $work/$name.o"; fi
    done
    $CXX $CXXFLAGS $list $objects -lm -o "$1/mutant" || exit 2
    "$1/mutant" "$2" >"$1/log" 2>&1
}

# mutant FILE CASE WHAT SED_EXPRESSION
mutant() {
    rm -rf "$work/mutant"
    mkdir "$work/mutant"
    sed "$4" "$source/kernels/$1" >"$work/mutant/$1"
    if cmp -s "$source/kernels/$1" "$work/mutant/$1"; then
        echo "FAIL  $1: $3: the expression changes nothing: $4"
        failures=$((failures + 1))
        return
    fi
    case $1 in
    *.cuh) # a header: the files that include it are compiled against the broken copy
        for file in "$source"/kernels/*.cu; do
            cp "$file" "$work/mutant/"
            (CXXFLAGS="$CXXFLAGS -I$work/mutant" && compile "$work/mutant/$(basename "$file")" \
                "$work/mutant/$(basename "$file" .cu).o") || exit 2
        done ;;
    *) compile "$work/mutant/$1" "$work/mutant/${1%.cu}.o" ;;
    esac
    if run "$work/mutant" "$2"; then
        echo "FAIL  $1: $3: not noticed"
        failures=$((failures + 1))
    else
        echo "ok    $1: $3: $(grep -v -e '^ok' -e '^FAIL' "$work/mutant/log" | head -n 1 | cut -c 1-110)"
    fi
}

mkdir -p "$work/sound"
if ! run "$work/sound" mk-smallest; then
    echo "FAIL  the sound kernels do not pass:"
    cat "$work/sound/log"
    exit 1
fi

mutant mk.cu mk-smallest "index off by one in the tape" 's|row_codes\[(uint32_t)k \* TY \* W\]|row_codes[(uint32_t)k * TY * W + 1u]|'
mutant mk.cu mk-odd "missing barrier forward" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|else __syncthreads();||'
mutant mk.cu mk-cluster "barrier of a block in place of the cluster's forward" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|lg_blocks_sync();|__syncthreads();|'
mutant mk.cu mk-cluster "barrier of a block in place of the cluster's backward" '/lg_mk_put(band, move_b/,/__syncthreads/ s|lg_blocks_sync();|__syncthreads();|'
mutant mk.cu mk-cluster "blocks of a cluster do not wait for each other's start" 's|lg_blocks_sync(); /. all blocks have started|__syncthreads(); /* all blocks have started|'
mutant mk.cu mk-cluster "sums of a cluster without its last block" 's|CLUSTER \&\& r < blocks; r++|CLUSTER \&\& r + 1u < blocks; r++|'
mutant mk.cuh mk-cluster "rows go to the wrong block of a cluster" 's|lg_blocks_map(memory, up)|lg_blocks_map(memory, down)|'
mutant mk.cu mk-odd "missing barrier backward" '/lg_mk_put(band, move_b/,/__syncthreads/ s|else __syncthreads();||'
mutant mk.cu mk-odd "one buffer of planes in place of two backward" 's|s \& (buffers - 1u)|0u|g'
mutant mk.cu mk-odd "one excitation buffer in place of two" 's|(s \& 1u) \* plane|0u * plane|'
mutant mk.cu mk-curve "wrong direction of the adjoint" 's|moved_a\[(int)at - from_a\]|moved_a[(int)at + from_a]|'
mutant mk.cu mk-segments "segments do not hand the adjoint on" 's|last_segment ? sum : \*part + sum|sum|'
mutant mk.cuh mk-smallest "missing wrap at the torus edge" 's|if (across) p\[across\] = value;||'
mutant mk.cuh mk-smallest "missing wrap at the torus corner" 's|if (across) halo\[across\] = value;||'
mutant mk.cu mk-odd "wrong stream of the reactions' noise" 's|LG_STREAM_MK_GUMBEL, fit_id|LG_STREAM_MK_SITE, fit_id|'
mutant mk.cu mk-smallest "wrong stream of the sites" 's|LG_STREAM_MK_SITE, fit_id, replicate, step|LG_STREAM_MK_DIRECTION, fit_id, replicate, step|'
mutant mk.cu mk-smallest "replicates share their noise" 's/replicate = fr % v.R/replicate = 0u * (fr % v.R)/'
mutant mk_large.cu mk-large "too few rows around a tile" 's|TILE_RING = 2,|TILE_RING = 1,|'
mutant mk_large.cu mk-wide "reach of a tile shrinks too fast" 's|reach = steps - s;|reach = s > 0 ? 0u : steps;|'
mutant mk_large.cu mk-large "missing barrier in a tile" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|__syncthreads();||'
mutant mk_large.cu mk-large "blocks read what others write" 's|if (to == from) {|if (step > v.steps) {|'
mutant mk_large.cu mk-large-gs "checkpoint one segment late" 's|(step / v.segment - 1) \* bytes, to|(step / v.segment) * bytes, to|'
mutant si.cuh si-pairs-gs "missing wrap at the right edge" 's|(w < last ? row\[w + 1u\] : row\[0\]) \& 1u|(w < last ? row[w + 1u] : 0u) \& 1u|'
mutant si.cu si-curve "missing barrier forward" 's|if (recorded \&\& thread == 0) head->aware = 0;|if (recorded \&\& thread == 0) head->aware = 0; if (!recorded) continue;|'
mutant si.cu si-state "missing barrier backward" '/&head->fit, key, v.first_fit + f, replicate, step0 + s, g, a, adj, gain, &sum/,/__syncthreads/ s|__syncthreads();||'
mutant si.cuh si-pairs "wrong block of a group" 's|lg_si_block(g.i, g.j, W)|lg_si_block(g.i, g.j, W) + 1u|'
mutant si.cuh si-pairs-gs "wrong stream" 's|LG_STREAM_SI_GUMBEL, fit_id|LG_STREAM_SI_SITE, fit_id|'
mutant si_large.cu si-large "seeds miss the last site" 's|first + threadIdx.x, end < sites ? end : sites,|first + threadIdx.x, end < sites ? end : sites - 1u,|'
mutant prw.cu prw "last walker of a block left out" 's|const bool inside = walker < v.R;|const bool inside = walker + 1u < v.R;|'
mutant prw.cu prw "sums of the last warp left out" 's|w < PRW_WARPS; w++|w + 1u < PRW_WARPS; w++|'
mutant prw.cu prw-long "missing barrier before the sums are read" '/slot + 1u < PRW_BATCH/,/prw_write/ s|__syncthreads();||'
mutant prw.cu prw-long "missing barrier after the sums are read" '/prw_write(sums, slot/,/__syncthreads/ s|__syncthreads();||'
mutant prw.cu prw "axes share their noise" 's|LG_STREAM_PRW_GUMBEL, fit_id, walker, step, a)|LG_STREAM_PRW_GUMBEL, fit_id, walker, step, 0)|'
mutant device.cuh mk-odd "single precision sum in the order in which threads come" 's|if (thread + half < n) scratch\[thread\] += scratch\[thread + half\];|if (thread > 0 \&\& n == threads) scratch[0] = (float)scratch[0] + (float)scratch[thread];|'
mutant device.cuh prw "missing barrier in the sum" '/scratch\[thread\] = value;/,/__syncthreads/ s|__syncthreads();||'
mutant fit.cu mk-smallest "gradient of another fit" 's|v.loss_value\[f\], v.gradient + (size_t)f \* P,|v.loss_value[f], v.gradient,|'
mutant fit.cu mk-smallest "clock does not advance" 's|clock->iteration += iterations;||'
mutant run.cu mk-smallest "trace rows of the wrong iteration" 's|v.offset = offset;|v.offset = 0 * offset;|'
mutant batch.cu mk-smallest "memory not freed" 's|for (int i = 0; i < LG_BUF_COUNT; i++) cudaFree|for (int i = 1; i < LG_BUF_COUNT; i++) cudaFree|'

[ "$failures" -eq 0 ] || echo "$failures faults were not caught"
[ "$failures" -eq 0 ]
