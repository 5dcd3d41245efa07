#!/bin/sh
# Builds the Debian package of the CPU program: packaging/deb.sh FOLDER leaves latgrad_*.deb in FOLDER.
# With CUDA the package would depend on libraries that Debian does not have, so GPU machines build from source.
set -eu
folder=${1:?usage: packaging/deb.sh FOLDER}
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$folder"
cmake -S "$root" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DLATGRAD_CUDA=OFF \
    -DLATGRAD_MPI="${LATGRAD_MPI:-OFF}" -DLATGRAD_TESTS=OFF -DLATGRAD_BENCH=OFF -DLATGRAD_PYTHON=ON -DLATGRAD_YAML=ON \
    -DLATGRAD_HDF5=ON -DLATGRAD_PNG=ON -DLATGRAD_ZSH_DIR=share/zsh/vendor-completions
cmake --build "$folder/build" -j "$(nproc)"
(cd "$folder" && cpack --config build/CPackConfig.cmake -G DEB -B "$folder")
ls "$folder"/*.deb
