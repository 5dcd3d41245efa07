#!/bin/sh
# Installs what is missing, builds latgrad, and fits the persistent random walk to the T-cell data in data/.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

need_build
install_missing
cd "$root"
echo "== building latgrad in build/"
build_in build -DCMAKE_BUILD_TYPE=Release -DLATGRAD_TESTS=OFF
echo "== build/latgrad fit examples/tcells.yaml --force"
exec build/latgrad fit examples/tcells.yaml --force
