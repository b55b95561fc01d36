#!/usr/bin/env bash
# What this machine cannot run by itself: the C tests for 64-bit ARM under QEMU, and an exported network for
# microcontrollers. Also both compilers, and the library without threads and BLAS.
#
#   csrc/tests/cross.sh [BUILD-DIRECTORY]       parts whose tools are missing are skipped, and it says so
#
# Debian: apt install gcc-aarch64-linux-gnu qemu-user gcc-arm-none-eabi libnewlib-arm-none-eabi clang
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-build-cross}
failed=0
launcher=$(command -v ccache >/dev/null && echo -DCMAKE_C_COMPILER_LAUNCHER=ccache || true)

have() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool"; return 1; }
  done
}

part() { # part NAME CMAKE-ARGUMENTS...: configure, build, run the C tests
  local name=$1 log=$build/$1.log
  shift
  mkdir -p "$build"
  if { cmake -S "$here" -B "$build/$name" -DCMAKE_BUILD_TYPE=Release -DPYNN_BLAS=OFF $launcher "$@" &&
       cmake --build "$build/$name" --parallel 2 &&
       ctest --test-dir "$build/$name" --output-on-failure --no-tests=error --timeout 900; } >"$log" 2>&1; then
    echo "$name: ok, $(grep -oE '[0-9]+ tests failed out of [0-9]+' "$log")"
  else
    echo "$name: FAILED, see $log"
    failed=1
  fi
}

have gcc && part gcc -DCMAKE_C_COMPILER=gcc
have clang && part clang -DCMAKE_C_COMPILER=clang
have gcc && part no-threads -DCMAKE_C_COMPILER=gcc -DPYNN_THREADS=OFF
if have aarch64-linux-gnu-gcc qemu-aarch64; then
  part aarch64 -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc \
    "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu"
fi

# The header by itself, for each language and compiler.
for compiler in 'gcc -std=c11' 'clang -std=c11' 'g++ -std=c++17' 'clang++ -std=c++17'; do
  have "${compiler%% *}" || continue
  case $compiler in *++*) language=c++ ;; *) language=c ;; esac
  # shellcheck disable=SC2086
  if echo '#include <pynn.h>' | $compiler -Wall -Wextra -Wconversion -pedantic -Werror -I"$here/include" \
    -x $language -fsyntax-only -; then
    echo "pynn.h, $compiler: ok"
  else
    failed=1
  fi
done

# The part of the library that predicts, for microcontrollers: everything but training's clock, files and threads.
if have arm-none-eabi-gcc; then
  mkdir -p "$build/arm"
  for cpu in "cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16" "cortex-m33"; do
    compiled=0
    for source in "$here"/src/*.c "$here"/src/*/*.c; do
      case $source in *.template.c | */parallel.c | */trainer.c | */disk.c | */file.c | */checkpoint.c) continue ;; esac
      # shellcheck disable=SC2086
      if arm-none-eabi-gcc -mcpu=$cpu -mthumb -std=c11 -Os -ffp-contract=off -Wall -Wextra -Werror -I"$here/include" \
        -I"$here/src" -c "$source" -o "$build/arm/out.o" 2>"$build/arm.log"; then
        compiled=$((compiled + 1))
      else
        echo "arm-none-eabi: FAILED at $source, see $build/arm.log"
        failed=1
      fi
    done
    echo "arm-none-eabi ${cpu%% *}: $compiled files compiled"
  done
fi
exit $failed
