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
    SHOW(lg_recorded, walk);
    SHOW(lg_gradcheck_options, relative_error);
    SHOW(lg_gradcheck_row, note);
    SHOW(lg_gradcheck_info, left_out);
    return 0;
}
CODE
"${CC:-cc}" "-I$LATGRAD_SOURCE/include" "$work/layout.c" -o "$work/layout"
"$work/layout" >"$work/compiler"
"$python" -c '
import ctypes
from latgrad._library import GradcheckInfo, GradcheckOptions, GradcheckRow, ParamInfo, ProblemInfo, Progress, Recorded
for struct in (ProblemInfo, ParamInfo, Progress, Recorded, GradcheckOptions, GradcheckRow, GradcheckInfo):
    print(ctypes.sizeof(struct), getattr(struct, struct._fields_[-1][0]).offset)' >"$work/package"
cmp "$work/compiler" "$work/package" || { echo "FAIL: python/latgrad/_library.py and latgrad.h lay out a struct differently" >&2; exit 1; }

"$python" "$LATGRAD_SOURCE/tests/python/check_package.py"
for example in "$LATGRAD_SOURCE"/python/examples/*.py; do
    "$python" "$example" >"$work/said" || { echo "FAIL: $example" >&2; exit 1; }
    cat "$work/said"
done
if "$python" -c 'import scipy' 2>/dev/null; then
    "$python" "$LATGRAD_SOURCE/python/examples/scipy_objective.py" >"$work/said"
    [ "$(grep -c '= \[0.3 0.6\],' "$work/said")" = 2 ] || { echo "FAIL: scipy_objective.py does not find the truth" >&2; exit 1; }
else
    echo "SciPy is not here: its example did nothing (Debian: python3-scipy)"
fi

# Installed from the tree as a user would, from a copy because the build leaves files in it; offline, with Debian's setuptools.
if "$python" -c 'import setuptools, pip, wheel' 2>/dev/null; then
    cp -R "$LATGRAD_SOURCE/python" "$work/source"
    "$python" -m pip install --quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check \
        --root-user-action=ignore --target "$work/site" "$work/source" >"$work/pip" 2>&1 ||
        { cat "$work/pip" >&2; echo "FAIL: pip does not install the package" >&2; exit 1; }
    PYTHONPATH=$work/site "$python" -c '
import pathlib, sys, latgrad
folder = pathlib.Path(latgrad.__file__).resolve().parent
assert folder.parent == pathlib.Path(sys.argv[1]).resolve(), folder
assert (folder / "py.typed").exists()
assert latgrad.simulate({"model": "si", "lattice.height": 8, "lattice.width": 8}, steps=2).shape == (1, 1, 1, 8, 8)
' "$work/site" || { echo "FAIL: the installed package does not work" >&2; exit 1; }
else
    echo "pip, setuptools and wheel are not here: the package was not installed (Debian: python3-pip python3-setuptools python3-wheel)"
fi
if LATGRAD_LIBRARY=/nowhere.so "$python" -c 'import latgrad' 2>"$work/error"; then
    echo "FAIL: a missing library was not noticed" >&2
    exit 1
fi
grep -q 'set LATGRAD_LIBRARY' "$work/error" || { cat "$work/error" >&2; exit 1; }
