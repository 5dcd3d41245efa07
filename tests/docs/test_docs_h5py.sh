#!/bin/sh
# The snippets in Python that read and write HDF5 and NumPy files.
. "$(dirname "$0")/common.sh"
need_tool
python= # Debian's packages belong to its own interpreter
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import h5py, numpy' 2>/dev/null; then
        python=$(command -v "$candidate")
    fi
done
[ -n "$python" ] || skip "no python3 with h5py and numpy (Debian: python3-h5py)"
PATH=$(dirname "$python"):$PATH
export PATH
exec python3 "$here/pages.py" run --needs h5py
