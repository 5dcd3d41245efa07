#!/bin/sh
# Every command of the pages, with its output; pages.py says how. The blocks that need more have tests of their own.
. "$(dirname "$0")/common.sh"
need_tool
case ${CFLAGS-} in
*sanitize* | *coverage*) skip "instrumented: the other builds run the same commands" ;;
esac
exec python3 "$here/pages.py" run
