#!/bin/sh
# latgrad plot: every kind of picture of every kind of file, refusals, and the table where gnuplot is missing.
. "$(dirname "$0")/common.sh"

# is_picture FILE SIGNATURE LEAST: the file begins with these bytes and is not tiny.
is_picture() {
    head -c 8 "$1" | LC_ALL=C grep -aq "$2" || fail "$1 does not begin with $2"
    [ "$(wc -c <"$1")" -ge "$3" ] || fail "$1 has $(wc -c <"$1") bytes, fewer than $3"
}

run 0 simulate mk --set lattice.height=16 --set lattice.width=24 --set steps=40 --set replicates=2 --steps-out 10 --out mk.npy
run 0 simulate si --set lattice.height=16 --set lattice.width=16 --set steps=10 --set replicates=1 --steps-out 2 --out si.npy
run 0 simulate prw --set steps=10 --set replicates=5 --steps-out 1 --out prw.npy

# Without gnuplot: exit status 3, the remedy, and the data as a table. An image is one row for each site.
mkdir none
tool=$LATGRAD
PATH_KEPT=$PATH
PATH=$work/none "$tool" plot mk.npy --kind lattice --out bare.png >out 2>err
[ $? -eq 3 ] || fail "no gnuplot: exit status is not 3"
says err "apt-get install gnuplot-nox"
says err "'bare.png.csv'"
PATH=$PATH_KEPT
[ "$(head -n 1 bare.png.csv)" = "panel,series,x,y,error" ] || fail "header of bare.png.csv"
[ "$(wc -l <bare.png.csv)" -eq $((1 + 2 * 16 * 24)) ] || fail "bare.png.csv has $(wc -l <bare.png.csv) lines"
[ ! -e bare.png ] || fail "bare.png was left behind"

# The table does not take the place of a trace of the same name, not even with --force.
printf 'model: prw\ndata.generate.params: {p_center: 0.3, p_resample: 0.4}\noutput: {trace: walk.csv, picture: walk.png}\n' >walk.yaml
PATH=$work/none "$tool" fit walk.yaml --quiet --force --device cpu --set iterations=3 >out 2>err
[ $? -eq 3 ] || fail "a fit without gnuplot: $(cat err)"
case $(head -n 1 walk.csv) in fit,* | step,*) ;; *) fail "walk.csv is no trace: $(head -n 1 walk.csv)" ;; esac
[ "$(head -n 1 walk.png.csv)" = "panel,series,x,y,error" ] || fail "no table of the picture"

# Refusals come before gnuplot is asked.
fails_with 2 "did you mean 'montage'?" plot mk.npy --kind montag --out x.png
fails_with 2 "expected tracks" plot prw.npy --kind lattice --out x.png
fails_with 2 "ends in .gif or .mp4" plot mk.npy --kind animation --out x.avi
fails_with 2 "--kind animation" plot prw.npy --out x.gif
fails_with 2 "--kind animation" plot prw.npy --out x.mp4
fails_with 2 "missing.h5" plot missing.h5 --out x.png
touch taken.png
fails_with 2 "exists already" plot mk.npy --out taken.png
run 0 plot --list mk.npy
for kind in montage lattice structure animation; do says out "$kind"; done

if command -v gnuplot >/dev/null; then
    for model in mk si; do
        for kind in montage lattice structure; do
            run 0 plot $model.npy --kind $kind --out $model-$kind.png
            is_picture $model-$kind.png PNG 3000
        done
        run 0 plot $model.npy --kind animation --out $model.gif
        is_picture $model.gif GIF89a 3000
        # A video: refused with the remedy where there is no ffmpeg, and nothing is left behind.
        mkdir -p alone
        ln -sf "$(command -v gnuplot)" alone/gnuplot
        PATH=$work/alone "$tool" plot $model.npy --out bare.mp4 --force >out 2>err
        [ $? -eq 3 ] || fail "no ffmpeg: exit status is not 3"
        says err "apt-get install ffmpeg"
        [ ! -e bare.mp4 ] || fail "bare.mp4 was left behind"
        command -v ffmpeg >/dev/null || continue
        run 0 plot $model.npy --out $model.mp4
        is_picture $model.mp4 ftyp 3000
        fails_with 2 "exists already" plot $model.npy --out $model.mp4
        run 0 plot $model.npy --out $model.mp4 --force
        # As many frames as records.
        frames=$(ffprobe -loglevel error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 $model.mp4)
        case $model in
        mk) expected=5 ;;
        si) expected=6 ;;
        esac
        [ "$frames" = "$expected" ] || fail "$model.mp4 has $frames frames, expected $expected"
    done
    command -v ffmpeg >/dev/null || echo "ffmpeg is not here: no video was made"
    run 0 plot prw.npy --out prw.png
    is_picture prw.png PNG 3000
    run 0 plot mk.npy --out taken.png --force
    is_picture taken.png PNG 3000
    fails_with 2 "nowhere/x.png" plot mk.npy --out nowhere/x.png
    tiny="lattice.height=16 lattice.width=16"
    for model in si mk prw; do
        sets="--set iterations=5 --set replicates=4 --set ensemble.starts=lhs --set ensemble.size=3"
        case $model in
        prw) sets="$sets --set steps=5 --set params.p_center.start=0.5 --set params.p_resample.start=0.5 --set data.generate.runs=50 --set data.generate.params.p_center=0.2 --set data.generate.params.p_resample=0.1" ;;
        si) sets="$sets --set params.beta.start=0.3 --set data.generate.params.beta=0.4 --set data.generate.runs=2 --set data.generate.steps=5" ;;
        mk) sets="$sets --set params.D_A=0.1 --set params.D_B=0.4 --set params.k2=0.1 --set params.k3=0.2 --set params.k1.start=0.5 --set data.generate.params.D_A=0.1 --set data.generate.params.D_B=0.4 --set data.generate.params.k1=0.98 --set data.generate.params.k2=0.1 --set data.generate.params.k3=0.2 --set data.generate.runs=2 --set data.generate.steps=5" ;;
        esac
        if [ $model != prw ]; then for key in $tiny; do sets="$sets --set $key"; done; fi
        if [ $model = mk ]; then sets="$sets --set task=transition"; fi
        # shellcheck disable=SC2086
        run 0 fit $model $sets --out $model.h5
        "$LATGRAD" plot --list $model.h5 >kinds
        for kind in $(cut -d ' ' -f 1 kinds); do
            for type in png svg pdf; do
                run 0 plot $model.h5 --kind "$kind" --out "$model-$kind.$type"
            done
            is_picture "$model-$kind.png" PNG 3000
            is_picture "$model-$kind.svg" '<?xml' 1000
            is_picture "$model-$kind.pdf" '%PDF' 1000
        done
        for kind in overview traces loss ensemble; do grep -q "^$kind " kinds || fail "$model: no kind $kind"; done
    done
else
    echo "gnuplot is not here: pictures were not drawn"
fi
finish
