#!/bin/sh
# Breaks the kernels on purpose, one fault at a time, and demands that the conformance table notices.
#
#   mutants.sh SOURCE_DIR WORK_DIR OBJECTS...
#
# OBJECTS: what the mutated kernels are linked with (library, table of cases, scheduler). CXX and CXXFLAGS come from the
# environment, JOBS is how many run at once. Each fault is a sed expression on one file; an expression that changes nothing is an
# error, so that the list cannot rot. A fault is caught where its case, which the sound kernels pass, is reported as failed
# or a rule of the device as broken: a crash alone says nothing. Exit status 0: every fault is caught.
set -u
source=$1
work=$2
shift 2
objects="$*"
: "${CXX:=c++}" "${CXXFLAGS:=-std=c++17 -O1 -ffp-contract=off}" "${JOBS:=$(nproc)}"
mkdir -p "$work"
count=0

compile() { # compile FILE.cu OBJECT: headers beside the file go before those of the sources
    $CXX $CXXFLAGS -x c++ -D_GNU_SOURCE -I"$source/include" -I"$source/host" -I"$source/kernels" -I"$source/tests" \
        -I"$source/tests/cuda_on_cpu" -c "$1" -o "$2"
}

link() { # link DIR: all kernels, those in DIR first
    list=
    for file in "$source"/kernels/*.cu; do
        name=$(basename "$file" .cu)
        if [ -f "$1/$name.o" ]; then list="$list $1/$name.o"; else list="$list $work/$name.o"; fi
    done
    $CXX $CXXFLAGS $list $objects -lm -o "$1/mutant"
}

wait_for_some() { # a batch of JOBS at a time
    count=$((count + 1))
    [ $((count % JOBS)) -ne 0 ] || wait
}

# mutant FILE[:UNIT] CASE WHAT SED_EXPRESSION; UNIT: which .cu file to compile against the broken header
mutant() {
    wait_for_some
    try "$work/mutant-$count" "${1%:*}" "${1#*:}" "$2" "$3" "$4" &
}

try() { # try DIR FILE UNIT CASE WHAT SED_EXPRESSION
    dir=$1
    rm -rf "$dir"
    mkdir "$dir"
    cp "$source"/kernels/*.cuh "$source/kernels/$3" "$dir"
    sed "$6" "$source/kernels/$2" >"$dir/$2"
    verdict="FAIL  $2: $5:"
    if cmp -s "$source/kernels/$2" "$dir/$2"; then
        echo "$verdict the expression changes nothing: $6" >"$dir/verdict"
    elif ! { compile "$dir/$3" "$dir/${3%.cu}.o" && link "$dir"; } >"$dir/log" 2>&1; then
        echo "$verdict does not compile: $(head -n 1 "$dir/log")" >"$dir/verdict"
    else
        "$dir/mutant" "$4" >"$dir/log" 2>&1
        status=$?
        if [ $status -eq 0 ]; then
            echo "$verdict not noticed" >"$dir/verdict"
        elif grep -q -e "^FAIL $4," -e '^cuda on cpu: kernel ' -e '^[0-9]* bytes of device memory were not freed' "$dir/log"; then
            echo "ok    $2: $5: $(grep -v -e '^ok' -e '^FAIL' "$dir/log" | head -n 1 | cut -c 1-110)" >"$dir/verdict"
        else
            echo "$verdict exit status $status of $4 and no failing case: $(head -n 1 "$dir/log")" >"$dir/verdict"
        fi
    fi
    rm -f "$dir/mutant" "$dir"/*.o "$dir"/*.cu "$dir"/*.cuh
}

rm -rf "$work"/mutant-* "$work/sound"
mkdir "$work/sound"
for file in "$source"/kernels/*.cu; do
    wait_for_some
    compile "$file" "$work/$(basename "$file" .cu).o" &
done
wait
cases=$(sed -n 's/^mutant [^ ]* \([a-z-]*\) .*/\1/p' "$0" | sort -u)
link "$work/sound" || exit 1
if ! "$work/sound/mutant" $cases >"$work/sound/log" 2>&1; then
    echo "FAIL  the sound kernels do not pass:"
    cat "$work/sound/log"
    exit 1
fi
count=0

mutant mk.cu mk-smallest "index off by one in the tape" 's|row_codes\[(uint32_t)k \* TY \* W\]|row_codes[(uint32_t)k * TY * W + 1u]|'
mutant mk.cu mk-odd "missing barrier forward" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|else __syncthreads();||'
mutant mk.cu mk-cluster "barrier of a block in place of the cluster's forward" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|lg_blocks_sync();|__syncthreads();|'
mutant mk.cu mk-cluster "barrier of a block in place of the cluster's backward" '/lg_mk_put(band, move_b/,/__syncthreads/ s|lg_blocks_sync();|__syncthreads();|'
mutant mk.cu mk-cluster "blocks of a cluster do not wait for each other's start" 's|lg_blocks_sync(); /. all blocks have started|__syncthreads(); /* all blocks have started|'
mutant mk.cu mk-cluster "sums of a cluster without its last block" 's|CLUSTER \&\& r < blocks; r++|CLUSTER \&\& r + 1u < blocks; r++|'
mutant mk.cuh:mk.cu mk-cluster "rows go to the wrong block of a cluster" 's|lg_blocks_map(memory, up)|lg_blocks_map(memory, down)|'
mutant mk.cu mk-odd "missing barrier backward" '/lg_mk_put(band, move_b/,/__syncthreads/ s|else __syncthreads();||'
mutant mk.cu mk-odd "one buffer of planes in place of two backward" 's|s \& (buffers - 1u)|0u|g'
mutant mk.cu mk-odd "one excitation buffer in place of two" 's|(s \& 1u) \* plane|0u * plane|'
mutant mk.cu mk-curve "wrong direction of the adjoint" 's|moved_a\[(int)at - from_a\]|moved_a[(int)at + from_a]|'
mutant mk.cu mk-segments "segments do not hand the adjoint on" 's|last_segment ? sum : \*part + sum|sum|'
mutant mk.cuh:mk.cu mk-smallest "missing wrap at the torus edge" 's|if (across) p\[across\] = value;||'
mutant mk.cuh:mk.cu mk-smallest "missing wrap at the torus corner" 's|if (across) halo\[across\] = value;||'
mutant mk.cu mk-odd "wrong stream of the reactions' noise" 's|LG_STREAM_MK_GUMBEL, fit_id|LG_STREAM_MK_SITE, fit_id|'
mutant mk.cu mk-smallest "wrong stream of the sites" 's|LG_STREAM_MK_SITE, fit_id, replicate, step|LG_STREAM_MK_DIRECTION, fit_id, replicate, step|'
mutant mk.cu mk-smallest "replicates share their noise" 's/replicate = fr % v.R/replicate = 0u * (fr % v.R)/'
mutant mk_tile.cuh:mk_large.cu own-mk-large "too few rows around a tile" 's|TILE_RING = 2,|TILE_RING = 1,|'
mutant mk_large.cu mk-wide "reach of a tile shrinks too fast" 's|reach = steps - s;|reach = s > 0 ? 0u : steps;|'
mutant mk_large.cu mk-large "missing barrier in a tile" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|__syncthreads();||'
mutant mk_large.cu mk-large "blocks read what others write" 's|if (to == from) {|if (step > v.steps) {|'
mutant mk_large.cu mk-large-gs "checkpoint one segment late" 's|(step / v.segment - 1) \* bytes, to|(step / v.segment) * bytes, to|'
mutant mk_large_back.cu mk-large "reactions around a tile counted too" 's|+= p.far_0 == 0 ? k_sum\[i\] : 0.0f|+= k_sum[i]|'
mutant mk_large_back.cu mk-large "moves around a tile counted too" 's|16u \* row, far == 0,|16u * row, true,|'
mutant mk_large_back.cu mk-large "missing ring around a tile backward" 's|p->far_0 > steps \&\& p->far_1 > steps|p->far_0 >= steps \&\& p->far_1 >= steps|'
mutant mk_tile.cuh:mk_large_back.cu mk-large "wrong wrap left of a tile" 's|- steps) % v.W;|- steps + (c < steps)) % v.W;|'
mutant mk_large_back.cu mk-large "directions of the launch's first step in all of them" 's|t.replicate, step + t.thread / 2u,|t.replicate, step,|'
mutant mk_large_back.cu mk-large "missing barrier in a tile backward" '/p.far_0 == 0 ? k_sum/,/__syncthreads/ s|__syncthreads();||'
mutant mk_large_back.cu mk-large "blocks read what others write backward" 's|\*state == v->work ? v->other : v->work|v->work|'
mutant mk_large_back.cu mk-large "launches do not hand their sums on" 's|last ? 0.0 : part\[i\]|0.0|'
mutant mk_large_back.cu mk-large-gs "order of sums depends on the steps a launch" 's|mk_region(v, t, TILE_STEPS,|mk_region(v, t, steps,|'
mutant si.cuh:si.cu si-pairs-gs "missing wrap at the right edge" 's|after = w + 1u < words ? w + 1u : 0u|after = w + 1u < words ? w + 1u : w|'
mutant si.cu si-state "missing barrier forward" 's|if (recorded \&\& thread == 0) head->aware = 0;|if (recorded \&\& thread == 0) head->aware = 0; if (!recorded) continue;|'
mutant si.cu si-state "missing barrier backward" '/&head->fit, key, fit_id, replicate, step0 + s, g, a, adj + at, gain + at,/,/__syncthreads/ s|__syncthreads();||'
mutant si.cuh:si.cu si-pairs "wrong block of a group" 's|lg_si_block(g.i, g.j, W)|lg_si_block(g.i, g.j, W) + 1u|'
mutant si.cuh:si_large.cu si-pairs-gs "wrong stream" 's|LG_STREAM_SI_GUMBEL, fit_id|LG_STREAM_SI_SITE, fit_id|'
mutant si_large.cu si-large "seeds miss the last site" 's|first + threadIdx.x, end < sites ? end : sites,|first + threadIdx.x, end < sites ? end : sites - 1u,|'
mutant si_large.cu si-words "missing row around a tile" 's|si_tile_load(t, head, steps,|si_tile_load(t, head, steps - 1u,|'
mutant si_tile.cuh:si_large.cu si-words "wrong rows above a tile" 's|+ thread) % v.H;|+ thread) % v.H * (thread >= SI_TILE_RING);|'
mutant si_tile.cuh:si_large.cu si-words "wrong words left of a tile" 's|head->word\[q\] = (base + q) % t.row_words;|head->word[q] = q < SI_TILE_HALO ? t.w0 : (base + q) % t.row_words;|'
mutant si_tile.cuh:si_large.cu si-large "one word beside a tile where it takes two" 's|ragged >= SI_TILE_RING ? 1u|ragged >= 1u ? 1u|'
mutant si_large.cu si-tall "aware sites around a tile counted too" 's|y\[at\] = after;|y[at] = after; aware += (uint32_t)__popc(after) * (i < 0);|'
mutant si_large.cu si-tall "sums of the wrong step" 's|v.record\[record\] == after)|v.record[record] == after \&\& threadIdx.x > 0)|'
mutant si_large.cu si-words "noise of the launch's first step in all of them" 's|t.replicate, step + s, v.W, g);|t.replicate, step, v.W, g);|'
mutant si_large.cu si-words "missing barrier in a tile" '/atomicAdd(&head->aware\[s\], aware)/,/__syncthreads/ s|__syncthreads();||'
mutant si_large_back.cu si-words "sites around a tile counted too" 's|sum += own ? part_sum : 0.0;|sum += part_sum;|'
mutant si_large_back.cu si-words "missing row around a tile backward" 's|si_tile_load(t, head, steps + 1u,|si_tile_load(t, head, steps,|'
mutant si_large_back.cu si-words "noise of the wrong step backward" 's|now = step + left - 1u|now = step + left|'
mutant si_large_back.cu si-words "missing barrier in a tile backward" '/total += sum;/,/__syncthreads/ s|__syncthreads();||'
mutant si_large_back.cu si-words "wrong wrap of the adjoint" 's|while (j < 0) j += (int)W;|if (j < 0) j = 0;|'
mutant si_large_back.cu si-words "launches do not hand their sums on" 's|first ? 0.0 : \*part|0.0|'
mutant si_tile.cuh:si_large_back.cu si-large "order of sums depends on the steps a launch" 's|(threadIdx.x / 32u + far) % SI_TILE_WARPS)|threadIdx.x / 32u)|'
mutant prw.cu prw "last walker of a block left out" 's|const bool inside = walker < v.R;|const bool inside = walker + 1u < v.R;|'
mutant prw.cu prw "sums of the last warp left out" 's|w < PRW_WARPS; w++|w + 1u < PRW_WARPS; w++|'
mutant prw.cu prw-long "missing barrier before the sums are read" '/slot + 1u < PRW_BATCH/,/prw_write/ s|__syncthreads();||'
mutant prw.cu prw-long "missing barrier after the sums are read" '/prw_write(sums, slot/,/__syncthreads/ s|__syncthreads();||'
mutant prw.cu prw "axes share their noise" 's|LG_STREAM_PRW_GUMBEL, fit_id, walker, step, a)|LG_STREAM_PRW_GUMBEL, fit_id, walker, step, 0)|'
mutant device.cuh:mk.cu mk-odd "single precision sum in the order in which threads come" 's|if (thread + half < n) scratch\[thread\] += scratch\[thread + half\];|if (thread > 0 \&\& n == threads) scratch[0] = (float)scratch[0] + (float)scratch[thread];|'
mutant device.cuh:mk.cu mk-odd "missing barrier in the sum" '/scratch\[thread\] = value;/,/__syncthreads/ s|__syncthreads();||'
mutant fit.cu mk-smallest "gradient of another fit" 's|v.loss_value\[f\], v.gradient + (size_t)f \* P,|v.loss_value[f], v.gradient,|'
mutant fit.cu mk-smallest "clock does not advance" 's|clock->iteration += iterations;||'
mutant run.cu mk-smallest "trace rows of the wrong iteration" 's|v.offset = offset;|v.offset = 0 * offset;|'
mutant batch.cu mk-smallest "memory not freed" 's|for (int i = 0; i < LG_BUF_COUNT; i++) cudaFree|for (int i = 1; i < LG_BUF_COUNT; i++) cudaFree|'

wait
cat "$work"/mutant-*/verdict
missed=$(cat "$work"/mutant-*/verdict | grep -c '^FAIL')
verdicts=$(cat "$work"/mutant-*/verdict | wc -l)
echo "$verdicts faults, $missed of them not caught"
[ "$missed" -eq 0 ] && [ "$verdicts" -eq "$count" ]
