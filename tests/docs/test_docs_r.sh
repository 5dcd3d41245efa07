#!/bin/sh
# The snippets in R.
. "$(dirname "$0")/common.sh"
need_tool
Rscript -e 'library(hdf5r)' >/dev/null 2>&1 || skip "no R with hdf5r (Debian: r-cran-hdf5r)"
exec python3 "$here/pages.py" run --needs R
