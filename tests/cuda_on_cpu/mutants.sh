#!/bin/sh
# Breaks the kernels on purpose, one fault at a time, and demands that the conformance table notices.
#
#   mutants.sh SOURCE_DIR WORK_DIR OBJECTS...
#
# OBJECTS: what a mutated kernel is linked with, the sound kernels (<name>.cpp.o) first among them. CXX and CXXFLAGS come from
# the environment, JOBS is how many run at once. Each fault is a sed expression on one file; an expression that changes nothing is
# an error, so that the list cannot rot. A fault is caught where its case, which the sound kernels pass (the tests
# conformance.cuda_on_cpu_*, of the same objects), is reported as failed or a rule of the device as broken: a crash alone says
# nothing. A mutant ends at its first failure. Exit status 0: every fault is caught.
set -u
source=$1
work=$2
shift 2
objects="$*"
: "${CXX:=c++}" "${CXXFLAGS:=-std=c++17 -O1 -ffp-contract=off}" "${JOBS:=$(nproc)}"
mkdir -p "$work"
rm -rf "$work"/mutant-* "$work/free"
count=0

compile() { # compile FILE.cu OBJECT: headers beside the file go before those of the sources
    # shellcheck disable=SC2086
    $CXX $CXXFLAGS -x c++ -D_GNU_SOURCE -I"$source/include" -I"$source/host" -I"$source/kernels" -I"$source/tests" \
        -I"$source/tests/cuda_on_cpu" -c "$1" -o "$2"
}

link() { # link DIR NAME: all objects, but NAME.o of DIR in place of the sound one
    list=
    for object in $objects; do
        case $object in
        */"$2.cpp.o") list="$list $1/$2.o" ;;
        *) list="$list $object" ;;
        esac
    done
    # shellcheck disable=SC2086
    $CXX $CXXFLAGS $list -lm -o "$1/mutant"
}

# A line in the pipe for each job that may start.
mkfifo "$work/free"
exec 3<>"$work/free"
for job in $(seq "$JOBS"); do echo "$job" >&3; done

# mutant FILE[:UNIT] CASE WHAT SED_EXPRESSION; UNIT: which .cu file to compile against the broken header
mutant() {
    count=$((count + 1))
    read -r job <&3
    {
        try "$work/mutant-$count" "${1%:*}" "${1#*:}" "$2" "$3" "$4"
        echo "$job" >&3
    } &
}

try() { # try DIR FILE UNIT CASE WHAT SED_EXPRESSION
    dir=$1
    mkdir "$dir"
    cp "$source"/kernels/*.cuh "$source/kernels/$3" "$dir"
    sed "$6" "$source/kernels/$2" >"$dir/$2"
    verdict="FAIL  $2: $5:"
    if cmp -s "$source/kernels/$2" "$dir/$2"; then
        echo "$verdict the expression changes nothing: $6" >"$dir/verdict"
    elif ! { compile "$dir/$3" "$dir/${3%.cu}.o" && link "$dir" "${3%.cu}"; } >"$dir/log" 2>&1; then
        echo "$verdict does not compile: $(head -n 1 "$dir/log")" >"$dir/verdict"
    else
        "$dir/mutant" --first "$4" >"$dir/log" 2>&1
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

mutant mk.cu mk-smallest "index off by one in the tape" 's|tape\[(uint32_t)k \* W\] : 0u|tape[(uint32_t)k * W + 1u] : 0u|'
mutant mk.cu mk-odd "missing barrier forward" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|else __syncthreads();||'
mutant mk.cu mk-cluster "barrier of a block in place of the cluster's forward" '/word1\[k\] = b.w\[3\];/,/__syncthreads/ s|lg_blocks_sync();|__syncthreads();|'
mutant mk.cu mk-cluster "barrier of a block in place of the cluster's backward" '/mk_backward_put<PAIRS>(band, mine, planes/,/__syncthreads/ s|lg_blocks_sync();|__syncthreads();|'
mutant mk.cu mk-cluster "blocks of a cluster do not wait for each other's start" 's|lg_blocks_sync(); /. all blocks have started|__syncthreads(); /* all blocks have started|'
mutant mk.cu mk-cluster "sums of a cluster without its last block" 's|CLUSTER \&\& r < blocks; r++|CLUSTER \&\& r + 1u < blocks; r++|'
mutant mk.cuh:mk.cu mk-cluster "rows go to the wrong block of a cluster" 's|lg_blocks_map(memory, up)|lg_blocks_map(memory, down)|'
mutant mk.cu mk-odd "missing barrier backward" '/mk_backward_put<PAIRS>(band, mine, planes/,/__syncthreads/ s|else __syncthreads();||'
mutant mk.cu mk-odd "one buffer of planes in place of two backward" 's|s \& (planes.buffers - 1u)|0u|'
mutant mk.cu mk-odd "one excitation buffer in place of two" 's|(s \& 1u) \* plane|0u * plane|'
mutant mk.cu mk-curve "wrong direction of the adjoint" 's|planes.sites_pitch - a->jump.row|planes.sites_pitch + a->jump.row|'
mutant mk.cu mk-segments "segments do not hand their sums on" 's|if (!last_segment) mk_carry(v.carry, thread, threads, false, total);||'
mutant mk_pair.cuh:mk.cu mk-smallest "missing wrap at the torus edge" 's|j == 0 ? (int)W - 1 : -1,|-1,|'
mutant mk.cu mk-smallest "missing row above the torus edge" 's|if (mine.first == 0) ((uint32_t|if (false) ((uint32_t|'
mutant mk_pair.cuh:mk.cu mk-odd "half a pair at the end of an odd lattice taken for a whole one" 's|mine.odd >= 0|mine.odd > PAIRS|'
mutant mk.cu mk-odd "wrong stream of the reactions' noise" 's|LG_STREAM_MK_GUMBEL, fit_id|LG_STREAM_MK_SITE, fit_id|'
mutant mk_pair.cuh:mk.cu mk-smallest "wrong stream of the sites" 's|LG_STREAM_MK_SITE << 24|LG_STREAM_MK_DIRECTION << 24|'
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
mutant mk_large_back.cu mk-large-gs "order of sums depends on the steps a launch" 's|mk_region(v, t, TILE_STEPS, t.thread + (uint32_t)k \* TILE_THREADS)|mk_region(v, t, steps, t.thread * TILE_PAIRS + (uint32_t)k)|'
mutant si.cuh:si_pair.cu si-pairs-gs "missing wrap at the right edge" 's|after = w + 1u < words ? w + 1u : 0u|after = w + 1u < words ? w + 1u : w|'
mutant si.cu si-state "missing barrier forward" 's|if (recorded \&\& thread == 0) head->aware = 0;|if (recorded \&\& thread == 0) head->aware = 0; if (!recorded) continue;|'
mutant si.cu si-state "missing barrier backward" '/&head->fit, key, fit_id, replicate, step0 + s, g, a, adj + at, gain + at,/,/__syncthreads/ s|__syncthreads();||'
mutant si.cuh:si_pair.cu si-pairs "wrong block of a group" 's|lg_si_block(g.i, g.j, W)|lg_si_block(g.i, g.j, W) + 1u|'
mutant si.cuh:si_pair.cu si-pairs-gs "wrong stream" 's|LG_STREAM_SI_GUMBEL, fit_id|LG_STREAM_SI_SITE, fit_id|'
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
mutant si_large_back.cu si-words "missing barrier in a tile backward" '/total += lg_warp_sum(sum);/,/__syncthreads/ s|__syncthreads();||'
mutant si_large_back.cu si-words "wrong wrap of the adjoint" 's|while (j < 0) j += (int)W;|if (j < 0) j = 0;|'
mutant si_large_back.cu si-words "launches do not hand their sums on" 's|first ? 0.0 : \*part|0.0|'
mutant si_tile.cuh:si_large_back.cu si-large "order of sums depends on the steps a launch" 's|(threadIdx.x / 32u + far) % SI_TILE_WARPS)|threadIdx.x / 32u)|'
mutant si_pair.cu si-count "error of another replicate" 's|2.0 \* (double)error / |2.0 * (double)(long long)v.error[f * v.R] / |'
mutant si_pair.cu si-pairs "missing barrier before the fit's constants are read" '/int error = 0;/,/__syncthreads/ s|__syncthreads();||'
mutant si_pair.cu si-pairs "missing barrier in the sums of a pair" '/head->gradient\[threadIdx.x/,/__syncthreads/ s|__syncthreads();||'
mutant si_pair.cu si-pairs "last warp of a pair left out of its sums" 's|head, threads / 32u,|head, threads / 32u - 1u,|'
mutant si_pair.cu si-pairs "state of the start where the end belongs" 's|= own . bits;|= own;|'
mutant si_large.cu si-nll "counts of the first warp alone" 's|if (lane != 0) continue;|if (threadIdx.x != 0) continue;|'
mutant device.cuh:si_pair.cu si-pairs "pairs of the wrong iteration" 's|(v.clock->row + v.offset) \* v.R|v.offset * v.R|'
mutant prw.cu prw "last walker of a block left out" 's|const bool inside = walker < v.R;|const bool inside = walker + 1u < v.R;|'
mutant prw.cu prw "sums of the last walkers left out" 's|i < PRW_THREADS / 2; i += PRW_LANES|i + PRW_LANES < PRW_THREADS / 2; i += PRW_LANES|'
mutant prw.cu prw-long "missing barrier before the sums are read" '/if (LG_SELDOM(record)) {/,/prw_sum/ s|__syncthreads();||'
mutant prw.cu prw-long "missing barrier after the sums are read" '/prw_sum<MODE>(terms, batch/,/__syncthreads/ s|__syncthreads();||'
mutant prw.cu prw-long "steps of a batch share a slot" '/prw_step<MODE>(v, /,/}/ s|s \* PRW_THREADS + threadIdx.x|(s \& 7u) * PRW_THREADS + threadIdx.x|'
mutant prw.cu prw-long "sums of a batch where the first one's belong" 's|out + (size_t)(step0 + done) \* 3u|out + (size_t)step0 * 3u|'
mutant prw.cu prw-const "slots of walkers that are not there left as they are" 's|!inside \&\& s < slots|false \&\& s < slots|'
mutant prw.cu prw "a lane's sums left out of the tree" 's|lanes = PRW_LANES / 2; lanes > 0|lanes = PRW_LANES / 2; lanes > 1|'
mutant prw.cu prw "slopes overlap the squares" 's|memory + slots \* PRW_THREADS \* sizeof(long long)|memory + slots * PRW_THREADS|'
mutant prw.cu prw "a velocity's derivative taken though it was kept" 's|resampled ? dw : q->dv\[LG_PRW_P_CENTER\]|dw|'
mutant prw.cu prw "axes share their noise" 's|LG_STREAM_PRW_GUMBEL, fit_id, walker, step, a)|LG_STREAM_PRW_GUMBEL, fit_id, walker, step, 0)|'
mutant estimator.cu gr-mk "every draw of the noise has the same key" 's|lg_redraw_key(lg_view_key(v), threadIdx.x)|lg_redraw_key(lg_view_key(v), 0u * threadIdx.x)|'
mutant mk.cuh:mk.cu gr-mk-mixed "as many draws for reactions as for directions" 's|k < fit->reaction_draws|k < fit->direction_draws|'
mutant si.cuh:si.cu gr-si-state "one draw in place of their mean" 's|v.redraw\[k\], fit_id|v.redraw[0], fit_id|'
mutant prw.cu gr-prw-velocity "the start averages over another number of draws" 's|MODE == PRW_AVERAGE \&\& k < fit->velocity_draws|MODE == PRW_AVERAGE \&\& k < fit->keep_draws|'
mutant fit.cu tau-si "temperature of the iteration before" 's|temperature(v, v.offset + 1u)|temperature(v, v.offset)|'
mutant estimator.cu score-mk "no baseline" 's|lg_score_state(v.loss, S, own, entries, R)|lg_state_loss(v.loss, S, entries)|'
mutant estimator.cu score-si-count "the replicate is not left out of its baseline" 's|lg_score_count(S, own, R)|lg_score_count(S, 0.0 * own, R)|'
mutant mk_large.cu score-mk-curve "score taken before the steps that lead to the record" 's|forward_range(b, w, first, step0 - first, keep);|if (w.scores) lg_cuda_score_moment(b, v, record, first, step0); forward_range(b, w, first, step0 - first, keep);|; s|^        if (w.scores) lg_cuda_score_moment(b, v, record, first, step0);||'
mutant mk.cuh:mk.cu score-mk "score at the state after the reaction" '/lg_mk_add_score(/,/^}/ s|counts -= .*;|;|'
mutant mk.cu score-mk-cluster "blocks of a cluster share a slot of scores" 's|(size_t)fr \* v.grad_parts + band.rank|(size_t)fr * v.grad_parts|'
mutant mk_large.cu score-mk-large "scores of the sites around a tile" 's|SCORE \&\& p.far_1 == 0|SCORE \&\& p.far_1 < reach|'
mutant si_large.cu score-si-large "scores of the rows around a tile" 's|SCORE \&\& i >= 0 \&\& i < (int)t.rows|SCORE|'
mutant si_large.cu score-si-large "launches do not hand their scores on" 's|SCORE \&\& step > 0 ? \*part : 0.0|0.0|'
mutant si.cuh:si.cu score-si-state "scores of aware sites" 's|if (asked >> s \& 1u) \*score|if (g.n[0] >> (g.shift + s) \& 1u) *score|'
mutant prw.cu score-prw "scores of velocities that were not taken" 's|resampled\[a\] ? lg_prw_velocity_score(fit, w\[a\]) : 0.0f|lg_prw_velocity_score(fit, w[a])|'
mutant prw.cu score-prw-long "missing barrier before the scores are read" '/const double mean = 0.5/,/out\[(size_t)(record/ s|__syncthreads();||'
mutant device.cuh:mk.cu mk-odd "single precision sum in the order in which threads come" 's|if (thread + half < n) scratch\[thread\] += scratch\[thread + half\];|if (thread > 0 \&\& n == threads) scratch[0] = (float)scratch[0] + (float)scratch[thread];|'
mutant device.cuh:mk.cu mk-odd "missing barrier in the sum" '/scratch\[thread\] = value;/,/__syncthreads/ s|__syncthreads();||'
mutant fit.cu mk-smallest "gradient of another fit" 's|m->gradient\[p\] = v.gradient\[(size_t)f \* P + p\] = gradient;|v.gradient[(size_t)f * P + p] = gradient; m->gradient[p] = v.gradient[p];|'
mutant fit.cu mk-smallest "clock does not advance" 's|clock->iteration += iterations;||'
mutant fit.cu mk-curve-many "many statistics are not added up" 's|    lg_cuda_statistics(b, v);||'
mutant fit.cu prw "lm takes J^T W r for the gradient" 's|gradient = 2.0 \* v.normal|gradient = v.normal|'
mutant fit.cu prw "lm reads the residuals' row of the product" 's|product\[i \* (P + 1u) + j\]|product[(i + 1u) * (P + 1u) + j]|'
mutant fit.cu si-pairs-mse "gradient of a pair without its slope" 's|: sum \* m->slope;|: sum;|'
mutant fit_sums.cuh:fit.cu si-pairs-many "missing barrier in a sum of the block" '/scratch\[s \* FIT_WARPS + warp\] = sum;/,/__syncthreads/ s|__syncthreads();||'
mutant fit_sums.cuh:fit.cu si-pairs-many "missing barrier between sums of the block" 's|__syncthreads(); /. scratch is in.*||'
mutant fit_sums.cuh:fit.cu si-pairs-many "last warp left out of a sum" 's|w < FIT_WARPS; w++|w + 1u < FIT_WARPS; w++|'
mutant fit.cu prw "missing barrier between statistics and loss" '/sum_statistics(v, f, 0,/,/__syncthreads/ s|__syncthreads();||'
mutant fit.cu prw "missing barrier between loss and gradient" 's|__syncthreads(); /. the gradient may.*||'
mutant fit.cu mk-smallest "missing barrier before the update" '/sum_gradient(v, f, m);/,/__syncthreads/ s|__syncthreads();||'
mutant fit.cu mk-smallest "coordinates do not wait for the gradient's norm" '/lg_optimizer_begin(/,/__syncwarp/ s|__syncwarp();||'
mutant fit.cu si-nll "missing barrier between counts and likelihood" '/m->sum\[s\] = sum;/,/__syncthreads/ s|__syncthreads();||'
mutant gauss_newton.cu prw "statistics without their weights" 's|rows\[i\] = sqrt(weight\[k\]) \* value|rows[i] = value|'
mutant gauss_newton.cu prw "Jacobian of a step in place of the record's" 's|v.steps, v.record\[k\], p)|v.steps, k + 1u, p)|'
mutant gauss_newton.cu prw "one walker too many in the mean" 's|p) / (double)v.R|p) / (double)(v.R + 1u)|'
mutant gauss_newton.cu own-prw "as many matrices a call as there are fits" 's|width, square, NEWTON_FITS);|width, square, (int)v.F);|'
mutant gauss_newton.cu prw-many "only the first call of a batch" 's|first < v.F \&\& !n->status|first < 1 \&\& !n->status|'
mutant gauss_newton.cu prw "first call of cuBLAS in the capture" 's|if (!status) status = multiply(n, b->view, 0);||'
mutant gauss_newton.cu prw "workspace before the stream" '/status = n->blas.set_stream/{h;d;};/status = n->blas.set_workspace/{G;}'
mutant gauss_newton.cu prw "rows one too few in the buffer" 's|= matrices \* lg_job_statistics(job) \* width|= matrices * (lg_job_statistics(job) - 1) * width|'
mutant device.cuh:gauss_newton.cu prw "Jacobian without the last block" 's|i < parts; i++) j +=|i + 1u < parts; i++) j +=|'
mutant run.cu mk-smallest "trace rows of the wrong iteration" 's|v.offset = offset;|v.offset = 0 * offset;|'
mutant batch.cu mk-smallest "memory not freed" 's|for (int i = 0; i < LG_BUF_COUNT; i++) cudaFree|for (int i = 1; i < LG_BUF_COUNT; i++) cudaFree|'

wait
cat "$work"/mutant-*/verdict
missed=$(cat "$work"/mutant-*/verdict | grep -c '^FAIL')
verdicts=$(cat "$work"/mutant-*/verdict | wc -l)
echo "$verdicts faults, $missed of them not caught"
[ "$missed" -eq 0 ] && [ "$verdicts" -eq "$count" ]
