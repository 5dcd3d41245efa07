#!/bin/sh
# docs/errors.md: its messages occur in the sources, it has every status code with its exit status, and what typical
# mistakes say is on it.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

[ -n "$python" ] || {
    echo "python3 is not here"
    exit 77
}

cat >page.py <<'EOF'
import glob, re, sys

source, what = sys.argv[1:3]
page = open(source + "/docs/errors.md", encoding="utf-8").read()
rows = [line for line in page.splitlines() if line.startswith("| `")]
# First cell: a code span of one or two back quotes; then the exit status.
cells = [re.match(r"\| (?:``(.+?)``|`(.+?)`) \| (\d+) \|", row) for row in rows]
bad = [row for row, cell in zip(rows, cells) if not cell]
entries = [((cell[1] or cell[2]), int(cell[3])) for cell in cells if cell]


def strings():
    """The texts of the sources: adjacent string constants joined, only \\" kept as it is written."""
    for folder in ("host/*/*", "host/*/*/*", "kernels/*"):
        for name in glob.glob(source + "/" + folder):
            if name.endswith((".c", ".cu", ".h", ".cuh")):
                yield re.sub(r'(?<!\\)"\s*"', "", open(name, encoding="utf-8").read())


if what == "sources":
    texts = list(strings())
    header = open(source + "/include/latgrad.h", encoding="utf-8").read()
    codes = dict(re.findall(r"^ +X\((LG_\w+), (\d+), ", header, re.M))
    listed = {name: str(status) for name, status in entries if name.startswith("LG_")}
    messages = [text for text, _ in entries if not text.startswith("LG_")]
    bad += ["not in the sources: " + m for m in messages if not any(m in text for text in texts)]
    bad += ["listed twice: " + m for m in set(messages) if messages.count(m) > 1]
    bad += [] if len(codes) > 10 and codes == listed else ["codes: %s, listed: %s" % (codes, listed)]
    bad += [] if len(messages) >= 80 else ["only %d messages" % len(messages)]
else:  # the sentence in err matches a message of the page with this exit status
    said = open("err", encoding="utf-8").read()
    patterns = []
    for text, status in entries:
        parts = re.split(r"%[-.0-9]*(?:ll|z)?[a-z]", text.replace('\\"', '"'))
        if status == int(what) and sum(map(len, parts)) > 12:
            patterns.append(".*?".join(map(re.escape, parts)))
    if not any(re.search("^latgrad: .*?" + pattern, said, re.M) for pattern in patterns):
        bad.append("not on the page with exit status %s: %s" % (what, said))

print("\n".join(bad))
sys.exit(bool(bad))
EOF

"$python" page.py "$source_dir" sources || fail "docs/errors.md and the sources differ"

# mistake STATUS ARGUMENTS...: exit status and a sentence that the page has.
mistakes=0
mistake() {
    mistakes=$((mistakes + 1))
    run "$@"
    "$python" page.py "$source_dir" "$1" || fail "latgrad $*: its message is not on the page"
}

mistake 2 fitt
mistake 2 grad mk --devise cpu
mistake 2 fit a.yaml b.yaml
mistake 2 grad mk --set steps
mistake 2 grad mk --iteration=-3
mistake 2 simulate mk --set optimiser.lr=1
mistake 2 simulate mk --set xyzzy.plugh=1
mistake 2 simulate mk --set optimizer.name=adm
mistake 2 simulate mk --set params.k9=1
mistake 2 simulate mk --set params.k1=7
mistake 2 simulate mk --device cuda:x
mistake 2 fit missing.yaml
mistake 2 fit prw --set data.msd=missing.csv --set params.p_center.start=0.5 --set params.p_resample.start=0.5
printf 'id,t,x\na,0,1\n' >tracks.csv
mistake 2 fit prw --set data.tracks=tracks.csv --set params.p_center.start=0.5 --set params.p_resample.start=0.5
mistake 2 grad prw --set optimizer.name=sgd
mistake 2 reproduce sy
run 0 simulate si --set lattice.height=8 --set lattice.width=8 --set steps=2 --set replicates=1 --out states.npy
mistake 2 simulate si --set lattice.height=8 --set lattice.width=8 --set steps=2 --set replicates=1 --out states.npy
mistake 2 simulate si --set steps=2 --out nowhere/states.npy
mistake 2 plot states.npy --out picture.bmp
mistake 3 grad mk --set memory_limit=1 --set replicates=10000
mkdir none
PATH_KEPT=$PATH
python=$(command -v "$python")
# shellcheck disable=SC2123
PATH=$work/none
"$LATGRAD" plot states.npy --out picture.png >out 2>err
status=$?
PATH=$PATH_KEPT
[ "$status" -eq 3 ] || fail "no gnuplot: exit status $status, expected 3"
"$python" page.py "$source_dir" 3 || fail "no gnuplot: its message is not on the page"
[ "$mistakes" -ge 12 ] || fail "only $mistakes mistakes were made"
finish
