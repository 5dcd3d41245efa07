#!/bin/sh
# grad: a folder of golden noise, a dumped folder, replicate by replicate.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

# value NAME: a number of the JSON in out
value() {
    sed -n "s/.*\"$1\": \([-+0-9.eE]*\).*/\1/p" out
}

point="--set lattice.height=8 --set lattice.width=8 --set steps=3 --set params.D_A=0.1 --set params.D_B=0.4
    --set params.k1=0.98
    --set params.k2=0.1 --set params.k3=0.2 --set data.generate.steps=50 --set data.generate.params.D_A=0.1
    --set data.generate.params.D_B=0.4 --set data.generate.params.k1=0.98 --set data.generate.params.k2=0.1
    --set data.generate.params.k3=0.2 --set lattice.gamma=0.5"
# shellcheck disable=SC2086
run 0 grad mk $point --set replicates=2 --dump-noise noise --json
cp out cpu.json
says out '"model": "mk"'
says out '"replicates": 2'
says out '"grad": {"D_A":'
loss=$(value loss)
# shellcheck disable=SC2086
fails_with 2 "noise" grad mk $point --set replicates=2 --dump-noise noise
run 0 grad mk --noise noise --loss log_sse --json
says out '"device": "reference"'
awk -v a="$loss" -v b="$(value loss)" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 <= (1e-9 * a) ^ 2) }' ||
    fail "loss $loss of the backend, $(value loss) of the reference"

# shellcheck disable=SC2086
run 0 grad mk $point --set replicates=3 --per-replicate --json
[ "$(grep -o '"loss"' out | wc -l)" -eq 4 ] || fail "one loss, and one for each of 3 replicates"
# shellcheck disable=SC2086
run 0 grad mk $point
says out "parameter"

run 0 grad prw --set params.p_center=0.4 --json
says out '"params": {"p_center": 0.4, "p_resample": 0.7}'

fails_with 2 "nowhere" grad mk --noise nowhere
fails_with 2 "--v0: expected gs or const" grad prw --noise noise --v0 maybe
fails_with 2 "steps" grad mk --noise noise --set steps=2

golden=
for place in "$source_dir/tests/data/golden" "${LATGRAD_SHARED:-$source_dir/../shared}/golden"; do
    [ -d "$place/mk" ] && [ -z "$golden" ] && golden=$place
done
if [ -z "$golden" ] || [ -z "$python" ] || ! "$python" -c 'import numpy' 2>/dev/null; then
    echo "golden vectors or numpy missing: that part is skipped"
    finish
fi

# golden MODEL FOLDER LOSS_FILE GRAD_FILE OPTIONS...: equal to 1e-9 relative
golden() {
    model=$1
    folder=$golden/$2
    loss_file=$folder/$3.npy
    grad_file=$folder/$4.npy
    shift 4
    [ -f "$loss_file" ] || return 0
    checked=$((checked + 1))
    run 0 grad "$model" --noise "$folder" --json "$@"
    "$python" - "$loss_file" "$grad_file" <<'PY' || fail "grad $model --noise $folder $*"
import json, sys
import numpy as np
found = json.load(open("out"))
loss, grad = np.load(sys.argv[1]), np.load(sys.argv[2]).ravel()
mine = np.array(list(found["grad"].values()))
assert abs(found["loss"] - loss) <= 1e-9 * abs(loss), (found["loss"], loss)
assert mine.shape == grad.shape and np.abs(mine - grad).max() <= 1e-9 * np.abs(grad).max(), (mine, grad)
PY
}

checked=0
for folder in "$golden"/mk/*; do
    for loss in mse log_sse; do
        golden mk "mk/$(basename "$folder")" "loss_$loss" "grad_params_$loss" --loss "$loss"
    done
done
for folder in "$golden"/si/*; do
    for estimator in ste gs; do
        golden si "si/$(basename "$folder")" "${estimator}_loss_mse" "${estimator}_grad_beta_mse" \
            --estimator "$estimator" --loss mse
        golden si "si/$(basename "$folder")" "${estimator}_loss_sumstat" "${estimator}_grad_beta_sumstat" \
            --estimator "$estimator" --loss count
    done
done
for folder in "$golden"/prw/*; do
    golden prw "prw/$(basename "$folder")" v0gs_loss v0gs_grad_logits
    golden prw "prw/$(basename "$folder")" v0const_loss v0const_grad_logits --v0 const
done
[ "$checked" -gt 0 ] || fail "no golden case was found in $golden"
echo "$checked golden cases"
finish
