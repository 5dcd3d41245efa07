#!/bin/sh
# The links of the pages resolve, the API reference is that of the header, and the site builds without a warning.
. "$(dirname "$0")/common.sh"
command -v python3 >/dev/null || skip "no python3"
root=$(cd "$here/../.." && pwd)
python3 "$here/pages.py" links
python3 "$root/scripts/api-reference" | cmp - "$root/docs/api.md" || {
    echo "FAIL: docs/api.md is not that of the header: scripts/api-reference > docs/api.md" >&2
    exit 1
}
command -v mkdocs >/dev/null || { echo "the site was not built: no mkdocs"; exit 0; }
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
mkdocs --quiet build --strict --config-file "$root/mkdocs.yml" --site-dir "$site/site"
[ -s "$site/site/start/index.html" ] || { echo "FAIL: the site has no page start" >&2; exit 1; }
