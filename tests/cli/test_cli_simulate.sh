#!/bin/sh
# simulate: files, shapes, statistics, refusal to overwrite, independence of threads.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

run 0 simulate mk --set steps=40 --set replicates=3 --set lattice.height=12 --set lattice.width=10 --steps-out 20 \
    --out mk.npy --stats mk.csv --picture mk.png
[ "$(head -1 mk.csv)" = "step,mean_A,mean_B,var_A,var_B,c2_A" ] || fail "header of mk.csv: $(head -1 mk.csv)"
[ "$(wc -l <mk.csv)" -eq 4 ] || fail "mk.csv has $(wc -l <mk.csv) lines, expected 4"
[ "$(sed -n 2p mk.csv)" = "0,25,25,0,0,0" ] || fail "the uniform start: $(sed -n 2p mk.csv)"
[ "$(head -c 4 mk.png | tail -c 3)" = "PNG" ] || fail "mk.png is no PNG"

cp mk.npy before.npy
fails_with 2 "exists already" simulate mk --set steps=40 --out mk.npy
fails_with 2 "exists already" simulate mk --set steps=40 --stats mk.csv
fails_with 2 "expected a name that ends in .npy" simulate mk --set steps=40 --out mk.h5
same mk.npy before.npy
run 0 simulate mk --set steps=40 --set replicates=3 --set lattice.height=12 --set lattice.width=10 --steps-out 20 \
    --out mk.npy --force --threads 1
same mk.npy before.npy

run 0 simulate si --set params.beta=1 --set steps=3 --set lattice.height=16 --set lattice.width=16 --out si.npy \
    --steps-out 1
says out "3,0.19140625,0" # beta 1: a square of 7 x 7 sites
run 0 simulate prw --set params.p_center=0 --set params.p_resample=0 --set steps=5 --set replicates=4 --steps-out 1 \
    --out prw.npy
says out "5,50,0" # straight walks on both axes

run 0 simulate prw --set replicates=50 --json
says out '"statistics": {"msd":'
run 0 simulate mk --print-config
says out "model: mk"
run 0 simulate mk --dry-run
says out "memory"
fails_with 2 "fits" simulate mk --set fits=2

if [ -n "$python" ] && "$python" -c 'import numpy' 2>/dev/null; then
    "$python" - <<'PY' || fail "contents of the .npy files"
import numpy as np
mk, si, prw = (np.load(f + ".npy") for f in ("mk", "si", "prw"))
assert mk.shape == (3, 3, 2, 12, 10) and mk.dtype == np.uint8, (mk.shape, mk.dtype)
assert (mk[0] == 25).all() and (mk <= 50).all()
assert si.shape == (4, 1, 1, 16, 16) and si.reshape(4, -1).sum(1).tolist() == [1, 9, 25, 49]
assert prw.shape == (6, 4, 2) and prw.dtype == np.int32 and (abs(prw[5]) == 5).all()
PY
fi
finish
