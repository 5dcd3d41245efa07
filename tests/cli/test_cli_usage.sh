#!/bin/sh
# Help, versions, exit statuses and messages for wrong usage.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

run 0 --help
for command in simulate fit grad reproduce bench plot info; do
    says out "$command"
done
run 0 --version
says out "latgrad 0."
run 2
says err "Usage: latgrad COMMAND"

for command in simulate fit grad reproduce bench plot info; do
    run 0 "$command" --help
    says out "Usage: latgrad $command"
    says out "--quiet"
    [ ! -s err ] || fail "$command --help writes to stderr"
    run 0 help "$command"
    says out "Usage: latgrad $command"
    run 0 "$command" --version
    says out "latgrad 0."
    fails_with 2 "--quiet" "$command" --quitt
done
run 0 help config
says out "optimizer.lr"
says out "params.NAME.start"

fails_with 2 "did you mean 'simulate'?" simulat mk
fails_with 2 "unknown command 'xyzzy'" xyzzy
fails_with 2 "unknown option '--devise'; did you mean '--device'?" grad mk --devise cpu
fails_with 2 "unknown option '-x'" grad mk -x
fails_with 2 "unknown model 'sii'; did you mean 'si'?" simulate sii
fails_with 2 "expected MODEL|CONFIG.yaml" simulate
fails_with 2 "expected CONFIG.yaml" fit
fails_with 2 "unexpected argument 'b.yaml'" fit a.yaml b.yaml
fails_with 2 "missing.yaml" fit missing.yaml
fails_with 2 "two configurations" fit a.yaml --config b.yaml
fails_with 2 "expected KEY=VALUE" grad mk --set steps
fails_with 2 "expected KEY=VALUE after it" grad mk --set
fails_with 2 "--force takes no value" simulate mk --force=yes
fails_with 2 "--iteration: expected a whole number >= 0, got '-3'" grad mk --iteration=-3
fails_with 2 "did you mean 'optimizer.lr'" grad mk --set optimiser.lr=1
fails_with 2 "seed" simulate mk --seed twelve
fails_with 2 "steps" simulate mk --set steps=0
fails_with 2 "params.k9" simulate mk --set params.k9=1
fails_with 2 "device" simulate mk --device gpu
echo "model: prw" >bare.yaml
fails_with 2 "no data" grad bare.yaml
fails_with 2 "expected si, prw, mk or all" reproduce sy
fails_with 2 "there is no 'nowhere/msd_tcells.csv'" reproduce prw --data nowhere

run 0 info --json
says out '"models": [{"name": "si"'
if [ -n "$python" ]; then
    "$python" -c 'import json, sys; json.load(open("out"))' || fail "info --json is no JSON"
fi
run 0 info
says out "cpu"
finish
