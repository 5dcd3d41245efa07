# shellcheck shell=sh
# Sourced by quickstart.sh and test.sh. need CHECK PACKAGES WHAT notes what is missing; install_missing installs it with
# apt-get where there is one, and says what to install elsewhere. Nothing is installed where nothing is missing.

root=${root:?set by the script that sources this}
missing_packages=
missing_things=
missing_checks=

# need 'command that succeeds where it is there' 'Debian packages' 'what it is'
need()
{
    if ! eval "$1" >/dev/null 2>&1; then
        missing_packages="$missing_packages $2"
        missing_things="$missing_things
  - $3"
        missing_checks="$missing_checks
$1 || still=\"\$still, $3\""
    fi
}

give_up()
{
    echo "latgrad: $1" >&2
    exit 2
}

install_missing()
{
    [ -n "$missing_packages" ] || return 0
    install="apt-get install --no-install-recommends$missing_packages"
    command -v apt-get >/dev/null 2>&1 ||
        give_up "please install the following, then run this again (the Debian packages are$missing_packages):$missing_things"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        give_up "some packages are missing; as root, run: apt-get update && $install"
    fi
    echo "== installing:$missing_packages"
    # shellcheck disable=SC2086
    {
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing_packages
    } >"$root/build-install.log" 2>&1 || {
        tail -n 20 "$root/build-install.log" >&2
        give_up "apt-get failed (all of it: build-install.log); by hand: apt-get update && $install"
    }
    still=
    eval "$missing_checks" >/dev/null 2>&1
    [ -z "$still" ] || give_up "installed what apt-get offers, but this is still missing:${still#,}"
}

cmake_is_new_enough()
{
    cmake --version 2>/dev/null |
        awk 'NR == 1 { split($3, v, "."); new = v[1] > 3 || (v[1] == 3 && v[2] >= 24) } END { exit !new }'
}

compiler_works()
{
    echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null
}

has_pc()
{
    pkg-config --exists "$1" || { [ $# -gt 1 ] && pkg-config --exists "$2"; }
}

# What the program needs to be built and to draw its pictures.
need_build()
{
    need compiler_works "gcc libc6-dev" "a C17 compiler (gcc 10 or clang 14, or newer) as cc"
    need cmake_is_new_enough "cmake" "CMake 3.24 or newer"
    need 'command -v ninja || command -v make' "ninja-build" "ninja or make"
    need 'command -v pkg-config' "pkg-config" "pkg-config"
    need 'has_pc yaml-0.1' "libyaml-dev" "libyaml with its headers"
    need 'has_pc hdf5 hdf5-serial' "libhdf5-dev" "the serial HDF5 C library with its headers"
    need 'has_pc nlopt' "libnlopt-dev" "NLopt with its headers"
    need 'has_pc libpng' "libpng-dev" "libpng with its headers"
    need 'command -v gnuplot' "gnuplot-nox fonts-dejavu-core" "gnuplot"
}

cores()
{
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}

# build_in FOLDER [CMake options]: configures where needed and builds $targets, by default everything, with all cores; the log is shown where
# it fails.
targets=
build_in()
{
    folder=$1
    shift
    if [ ! -f "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null 2>&1; then
        set -- -G Ninja "$@"
    fi
    mkdir -p "$folder"
    cmake -S "$root" -B "$folder" "$@" >"$folder/configure.log" 2>&1 || {
        cat "$folder/configure.log" >&2
        return 1
    }
    grep '^-- latgrad:' "$folder/configure.log" | sed 's/^-- latgrad:/  /'
    # shellcheck disable=SC2086
    cmake --build "$folder" -j "$(cores)" ${targets:+--target $targets} >"$folder/build.log" 2>&1 || {
        grep -E -A 12 'FAILED:|error:|Error |undefined reference' "$folder/build.log" | head -n 100 >&2
        echo "latgrad: the build failed; the whole log is $folder/build.log" >&2
        return 1
    }
}
