#!/bin/sh
# What is generated from the tables: --help on a screen, manual pages that pass the checkers, completion that completes,
# docs/options.md as committed.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/../cli/common.sh"

pages=$("$LATGRAD" help --pages)
for page in $pages; do
    [ "$page" = config ] && continue
    run 0 "$page" --help
    lines=$(wc -l <out)
    [ "$lines" -le 40 ] || fail "$page --help takes $lines lines"
    wide=$(awk 'length > 100' out)
    [ -z "$wide" ] || fail "$page --help has lines of more than 100 columns: $wide"
done
run 0 help config
says out "optimizer.lr"
says out "params.NAME.start"
[ -z "$(awk 'length > 100' out)" ] || fail "help config has lines of more than 100 columns"
fails_with 2 "did you mean 'simulate'" help simulat
fails_with 2 "expected bash or zsh" help --completion fish
fails_with 2 "expected text, man" fit --manual pdf

# Manual pages: one for the tool and one for each of its pages, without a warning.
export SOURCE_DATE_EPOCH=86400
for page in "" $pages; do
    # shellcheck disable=SC2086
    "$LATGRAD" help --man $page >page.1 || fail "no manual page '$page'"
    says page.1 '"1970-01-02"'
    for section in NAME DESCRIPTION "SEE ALSO"; do says page.1 ".SH $section"; done
    if [ "$page" != config ]; then
        says page.1 ".SH EXIT STATUS"
        says page.1 "stopped by a signal"
    fi
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning <page.1 >lint 2>&1
        [ ! -s lint ] || fail "mandoc on page '$page': $(cat lint)"
    fi
    if command -v groff >/dev/null; then
        groff -man -Tutf8 -ww page.1 2>lint >/dev/null
        [ ! -s lint ] || fail "groff on page '$page': $(cat lint)"
    fi
done
"$LATGRAD" help --man fit >page.1
says page.1 'time\-limit'
if grep -q 'manual\|\\-\\-manual' page.1; then fail "the hidden option shows in the manual"; fi

# bash completion, asked as bash asks it.
"$LATGRAD" help --completion bash >latgrad.bash
completed() {
    bash -c '
        source ./latgrad.bash
        compopt() { :; }
        COMP_WORDS=("$@")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _latgrad
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@" >out
}
if command -v bash >/dev/null; then
    completed latgrad sim
    says out "simulate"
    completed latgrad fit --res
    says out "--resume"
    completed latgrad fit --device c
    says out "cuda"
    completed latgrad simulate m
    says out "mk"
    completed latgrad fit --set optimizer.l
    says out "optimizer.lr="
    completed latgrad fit --set optimizer.name = a
    says out "adam"
    completed latgrad reproduce ""
    says out "prw"
    touch results.h5
    completed latgrad plot resu
    says out "results.h5"
    completed latgrad fit --out resu
    says out "results.h5"
fi
"$LATGRAD" help --completion zsh >_latgrad
if command -v zsh >/dev/null; then zsh -n _latgrad || fail "zsh does not read the completion"; fi
says _latgrad "#compdef latgrad"

# No colour codes, on a terminal or off it.
run 0 info
if grep -q "$(printf '\033')" out; then fail "info prints colour codes"; fi

"$LATGRAD" help --markdown >options.md
cmp -s options.md "$source_dir/docs/options.md" ||
    fail "docs/options.md is not what the tables say; run: latgrad help --markdown > docs/options.md"
finish
