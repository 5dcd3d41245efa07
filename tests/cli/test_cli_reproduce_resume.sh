#!/bin/sh
# reproduce --resume: stopped by signals, killed and out of time, it ends with the tables and traces of an uninterrupted run.
# The fits are cut short with --set, so that lines of the table fail (exit status 1): what is compared is the text.
. "$(dirname "$0")/common.sh"

words="prw --quick --quiet --ensemble 2 --threads 1 --device cpu --set iterations=400 --data $source_dir/data"
# shellcheck disable=SC2086
reproduce() {
    expected=$1
    shift
    run "$expected" reproduce $words "$@"
}

# the table without times, and the traces
table() {
    grep -v 'wall-clock' "$1/prw.csv"
}
finished() {
    table whole >expected_table
    table "$1" >table
    diff expected_table table >differences || fail "$2: $(cat differences)"
    for trace in prw_A.csv prw_B.csv prw_C.csv prw_D.csv; do same "whole/$trace" "$1/$trace"; done
    for trouble in "$1"/*.ckpt* "$1"/.*ckpt*; do
        [ ! -e "$trouble" ] || fail "$2: $trouble is left behind"
    done
}

reproduce 1 --out whole
says out "prw D"
finished whole "uninterrupted"
fails_with 2 "holds an earlier run" reproduce prw --quick --quiet --data "$source_dir/data" --out whole
reproduce 0 --out whole --resume
says out "prw was finished before: whole/prw.md"

# Without gnuplot the figure is missing, and nothing else: its data do not take the place of the table.
mkdir none
tool=$LATGRAD
PATH_KEPT=$PATH
# shellcheck disable=SC2086
PATH=$work/none "$tool" reproduce $words --out bare >out 2>err
[ $? -eq 1 ] || fail "no gnuplot: $(cat err)"
PATH=$PATH_KEPT
table bare >table
diff expected_table table >differences || fail "no gnuplot: $(cat differences)"
[ "$(head -n 1 bare/prw.png.csv)" = "panel,series,x,y,error" ] || fail "no table of the figure"

# begin FOLDER ARGUMENTS...: until it has begun its second fit
begin() {
    folder=$1
    shift
    # shellcheck disable=SC2086
    "$LATGRAD" reproduce $words --out "$folder" "$@" >out 2>err &
    pid=$!
    tries=0
    while [ ! -e "$folder/prw-1.ckpt" ] && [ $tries -lt 3000 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
}

# a signal: exit status 75 and the command that goes on; without --resume the folder is refused
for _ in 1 2 3 4 5 6 7 8 9 10; do # the machine may be so busy that it ends before the signal
    begin stopped --force
    kill -TERM $pid 2>/dev/null
    wait $pid
    status=$?
    [ $status -ne 1 ] && break
done
[ "$status" -eq 75 ] || fail "exit status $status after SIGTERM, expected 75: $(cat err)"
says err "to go on: latgrad reproduce --resume prw --quick --quiet --ensemble 2"
reproduce 2 --out stopped
says err "--resume goes on from them, --force starts again"
reproduce 1 --out stopped --resume
says out "since it was resumed"
finished stopped "SIGTERM"

# killed again and again at moments that differ
begin killed
for pause in 0.05 0.2 0.13 0.4; do
    sleep $pause
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    begin killed --resume
done
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
reproduce 1 --out killed --resume --force
finished killed "SIGKILL"

# out of time; the log
# shellcheck disable=SC2086
run 75 reproduce $words --out late --time-limit 1 --set iterations=1000000 --log json --log-file late.json
says err "the time limit was near"
says late.json '"event": "end", "status": "LG_ERR_STOPPED", "exit": 75'
reproduce 2 --out late --resume
says err "iterations is 400 now and was 1000000 then"
reproduce 1 --out late --force
finished late "--force"
fails_with 2 "--time-limit: 'soon': expected seconds" reproduce prw --time-limit soon
finish
