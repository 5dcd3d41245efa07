#!/bin/sh
# A folder that clang takes for a CUDA 12.4 toolkit, to build latgrad against CUDA 12 where only CUDA 13 is installed: headers,
# libraries and ptxas from NVIDIA's wheels on PyPI (which have no nvcc), and two small stand-ins.
#
#   scripts/cuda12-toolkit.sh DIR
#
# Needs pip, unzip, the fatbinary of an installed CUDA 13 on PATH or in /usr/local/cuda/bin, and clang 19 (Debian: clang-19). Then:
#
#   CUDAToolkit_ROOT=DIR cmake -S . -B build-cuda12 -DLATGRAD_CUDA=ON -DCMAKE_CUDA_COMPILER=clang++-19 \
#       -DCMAKE_CUDA_ARCHITECTURES="50;60;70;80;90" -DCMAKE_CUDA_FLAGS="-Wno-unknown-cuda-version -isystem DIR/include" \
#       -DCUDA_cudart_static_LIBRARY= -DCMAKE_CUDA_RUNTIME_LIBRARY=Shared
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
export PATH="$PATH:/usr/local/cuda/bin"
fatbinary=$(command -v fatbinary) || { echo "$0: fatbinary was not found: install a CUDA 13 toolkit or put it on PATH" >&2; exit 3; }
mkdir -p "$1/bin" "$1/include" "$1/lib64" "$1/nvvm" "$1/wheels"
root=$(cd "$1" && pwd)
python3 -m pip download --quiet --no-deps --dest "$root/wheels" nvidia-cuda-nvcc-cu12==12.4.131 nvidia-cuda-runtime-cu12==12.4.127 \
    nvidia-cuda-cccl-cu12==12.4.127 nvidia-curand-cu12==10.3.5.147 nvidia-cublas-cu12==12.4.5.8
for wheel in "$root"/wheels/*.whl; do unzip -qo "$wheel" 'nvidia/*' -d "$root/wheels"; done
for part in cuda_nvcc cuda_runtime cuda_cccl curand cublas; do
    cp -r "$root/wheels/nvidia/$part/include/." "$root/include/"
    for library in "$root/wheels/nvidia/$part/lib"/lib*.so.*; do
        [ -e "$library" ] || continue
        cp "$library" "$root/lib64/"
        ln -sf "$(basename "$library")" "$root/lib64/$(basename "${library%%.so.*}").so"
    done
done
cp "$root/wheels/nvidia/cuda_nvcc/bin/ptxas" "$root/bin/"
cp -r "$root/wheels/nvidia/cuda_nvcc/nvvm/libdevice" "$root/nvvm/"

# What CMake asks the nvcc beside clang.
cat >"$root/bin/nvcc" <<END
#!/bin/sh
echo '#\$ TOP=$root'
echo 'Cuda compilation tools, release 12.4, V12.4.131'
END

# clang 19 names images as CUDA 12 does, the fatbinary of CUDA 13 in its own way.
cat >"$root/bin/fatbinary" <<END
#!/bin/sh
for a; do
    shift
    a=\$(echo "\$a" | sed -e 's/^--image=profile=sm_\([0-9a-z]*\),/--image3=kind=elf,sm=\1,/' -e 's/^--image=profile=compute_\([0-9a-z]*\),/--image3=kind=ptx,sm=\1,/')
    set -- "\$@" "\$a"
done
exec '$fatbinary' "\$@"
END
chmod +x "$root/bin/ptxas" "$root/bin/nvcc" "$root/bin/fatbinary"
echo "toolkit folder: $root"
