#!/bin/sh
# The Python package and its examples, with Debian's python3 and numpy; skipped where there is none, or no shared library.
set -eu
: "${LATGRAD_BUILD:?the build folder}"
library=$LATGRAD_BUILD/liblatgrad.so
python=
for candidate in /usr/bin/python3 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import numpy' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "skipped: no python3 with numpy (Debian: python3-numpy)"
    exit 77
fi
if [ ! -e "$library" ]; then
    echo "skipped: this build has no shared library (-DLATGRAD_PYTHON=ON builds it)"
    exit 77
fi
case ${CFLAGS-} in
*sanitize*)
    echo "skipped: an instrumented library cannot be loaded into an uninstrumented Python"
    exit 77
    ;;
esac
PYTHONPATH=$LATGRAD_SOURCE/python
LATGRAD_LIBRARY=$library
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH LATGRAD_LIBRARY PYTHONDONTWRITEBYTECODE
cd "${TMPDIR:-/tmp}"

# The structs that the library fills, as the compiler and as the package lay them out.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/layout.c" <<'CODE'
#include <latgrad.h>
#include <stdio.h>
#define SHOW(type, last) printf("%zu %zu\n", sizeof(type), offsetof(type, last))
int main(void)
{
    SHOW(lg_problem_info, kernels);
    SHOW(lg_param_info, help);
    SHOW(lg_progress, checkpoint);
    return 0;
}
CODE
"${CC:-cc}" "-I$LATGRAD_SOURCE/include" "$work/layout.c" -o "$work/layout"
"$work/layout" >"$work/compiler"
"$python" -c '
import ctypes
from latgrad._library import ParamInfo, ProblemInfo, Progress
for struct in (ProblemInfo, ParamInfo, Progress):
    print(ctypes.sizeof(struct), getattr(struct, struct._fields_[-1][0]).offset)' >"$work/package"
cmp "$work/compiler" "$work/package" || { echo "FAIL: python/latgrad/_library.py and latgrad.h lay out a struct differently" >&2; exit 1; }

"$python" "$LATGRAD_SOURCE/tests/python/check_package.py"
for example in "$LATGRAD_SOURCE"/python/examples/*.py; do
    "$python" "$example" || { echo "FAIL: $example" >&2; exit 1; }
done
if LATGRAD_LIBRARY=/nowhere.so "$python" -c 'import latgrad' 2>"$work/error"; then
    echo "FAIL: a missing library was not noticed" >&2
    exit 1
fi
grep -q 'set LATGRAD_LIBRARY' "$work/error" || { cat "$work/error" >&2; exit 1; }
