#!/bin/sh
# Installs into a fresh prefix and builds a program of a stranger against it: with pkg-config, and with find_package.
set -eu

: "${LATGRAD_BUILD:?the build folder}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix="$work/a prefix"

fail()
{
    echo "FAIL: $*" >&2
    exit 1
}

cmake --install "$LATGRAD_BUILD" --prefix "$prefix" >"$work/install.log" || fail "$(cat "$work/install.log")"
[ -f "$prefix/include/latgrad.h" ] || fail "no header was installed"
[ -x "$prefix/bin/latgrad" ] || fail "no tool was installed"
"$prefix/bin/latgrad" --version >"$work/tool.txt" || fail "the installed tool does not run"

for file in share/man/man1/latgrad.1 share/man/man1/latgrad-fit.1 share/man/man5/latgrad-config.5 \
    share/bash-completion/completions/latgrad share/latgrad/data/msd_tcells.csv share/latgrad/examples/tcells.yaml; do
    [ -f "$prefix/$file" ] || [ -f "$prefix/$file.gz" ] || fail "no $file was installed"
done

# The header by itself, in every language it is meant for.
echo '#include <latgrad.h>' >"$work/header.c"
for language in "cc -std=c11" "cc -std=c17" "c++ -x c++ -std=c++17"; do
    $language -Wall -Wextra -Wconversion -Wpedantic -Werror "-I$prefix/include" -fsyntax-only "$work/header.c" ||
        fail "the header does not compile with $language"
done

# The shared library exports what the header declares, and nothing else.
library=$(find "$prefix" -name 'liblatgrad.so' | head -n 1)
if [ -n "$library" ]; then
    readelf -d "$library" | grep -q 'SONAME.*liblatgrad\.so\.[0-9]*\.[0-9]*\]' || fail "no soname with major and minor version"
    nm -D --defined-only "$library" | awk '{ print $3 }' >"$work/symbols"
    while read -r symbol; do
        grep -q "\b$symbol(" "$prefix/include/latgrad.h" || fail "the shared library exports $symbol, which is not in the header"
    done <"$work/symbols"
fi

# The installed tool finds the measured data from its own place.
(cd "$work" && env -u LATGRAD_DATA "$prefix/bin/latgrad" fit "$prefix/share/latgrad/examples/tcells.yaml" --dry-run \
    >"$work/dry.txt") || fail "the installed example does not find its data"

mkdir "$work/user"
cat >"$work/user/user.c" <<'END'
#include <latgrad.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    lg_context *ctx;
    if (lg_context_create(&ctx) != LG_OK) return 1;
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", LATGRAD_VERSION_MAJOR, LATGRAD_VERSION_MINOR, LATGRAD_VERSION_PATCH);
    const int same = strcmp(expected, lg_version()) == 0;
    printf("version %s, %d models\n", lg_version(), lg_model_count());
    lg_context_free(ctx);
    return same && lg_model_count() == 3 ? 0 : 1;
}
END
cat >"$work/user/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.24)
project(user LANGUAGES C)
find_package(latgrad 0.1 REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE latgrad::latgrad)
END

cmake -S "$work/user" -B "$work/user-build" "-DCMAKE_PREFIX_PATH=$prefix" >"$work/cmake.log" 2>&1 &&
    cmake --build "$work/user-build" >>"$work/cmake.log" 2>&1 || fail "find_package: $(cat "$work/cmake.log")"
"$work/user-build/user" || fail "the program built through find_package failed"

# pkg-config quotes paths for a shell, so its answer is read by one; a prefix with a space shows that this holds.
pc=$(find "$prefix" -name latgrad.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion latgrad)" = "$(sed -n 's/^version \([0-9.]*\),.*/\1/p' "$work/tool.txt" | head -1)" ] ||
    pkg-config --exists "latgrad >= 0.1" || fail "pkg-config does not know the version"
static=--static
case $(find "$prefix" -name 'liblatgrad.*') in
*.so*) static= ;;
esac
# shellcheck disable=SC2086
flags=$(pkg-config $static --cflags --libs latgrad)
eval "cc ${CFLAGS-} \"$work/user/user.c\" -o \"$work/user-pc\" $flags" || fail "pkg-config: $flags"
LD_LIBRARY_PATH="$(dirname "$(dirname "$pc")")" "$work/user-pc" || fail "the program built through pkg-config failed"

# The examples, built as their own project, give the answers that are kept beside them.
examples="$prefix/share/latgrad/examples"
cmake -S "$examples" -B "$work/examples" "-DCMAKE_PREFIX_PATH=$prefix" "-DCMAKE_C_FLAGS=${CFLAGS-} -Wall -Wextra -Werror" \
    >"$work/cmake.log" 2>&1 && cmake --build "$work/examples" >>"$work/cmake.log" 2>&1 ||
    fail "examples: $(cat "$work/cmake.log")"
for answer in "$examples"/answers/*.txt; do
    name=$(basename "$answer" .txt)
    set --
    [ "$name" != fit_tracks ] || set -- "$examples/tracks.csv" "$work/tracks.h5"
    "$work/examples/$name" "$@" >"$work/$name.txt" || fail "the example $name failed"
    cmp "$answer" "$work/$name.txt" || fail "the example $name prints something else than $answer"
done
[ -s "$work/tracks.h5" ] || fail "fit_tracks saved nothing"
echo "installed package: ok"
