#!/usr/bin/env bash
# Lines and branches of csrc/src that the C tests reach, for each file and in all; exit status 1 below the limit.
#
#   csrc/tests/coverage.sh [BUILD-DIRECTORY] [LEAST-PERCENT]      needs gcc and gcovr
#
# Left out, because no test on one machine can reach it:
#   - kernels/*.template.c by other targets than this processor's: each target is counted, and the best one taken, since
#     gcovr adds the counts of a file's several compilations;
#   - branches of the micro-kernel's loops, over rows and columns of a tile and over the depth: there is a copy for each
#     height, with branches of its own, and those of the heights that only AVX-512 has run nowhere else;
#   - serial.c, which stands in for parallel.c: built and tested by cross.sh;
#   - branches that the compiler adds and nobody wrote (gcovr --exclude-unreachable-branches --exclude-throw-branches).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-build-coverage}
least=${2:-95}
launcher=$(command -v ccache >/dev/null && echo -DCMAKE_C_COMPILER_LAUNCHER=ccache || true)

cmake -S "$here" -B "$build" -DCMAKE_C_COMPILER=gcc -DPYNN_TESTS=ON -DPYNN_COVERAGE=ON -DPYNN_BLAS=OFF \
  -DCMAKE_BUILD_TYPE=None $launcher >/dev/null
cmake --build "$build" --parallel 2 >/dev/null
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" --output-on-failure --no-tests=error >"$build/tests.log" || { tail -n 20 "$build/tests.log"; echo 'tests failed; what they reached:'; }
for metric in line branch; do
  gcovr --root "$here" --filter "$here/src/" --exclude-unreachable-branches --exclude-throw-branches \
    --exclude-branches-by-pattern '.*for \(int [ij] = 0; [ij] < (rows|2); .*|.*for \(size_t step = 0; step < k; .*' \
    $([ $metric = branch ] && echo --branches) --object-directory "$build" "$build" 2>"$build/gcovr.log" \
    | tee "$build/coverage-$metric.txt"
done
awk -v least="$least" '/^TOTAL/ { share = $4 + 0; print FILENAME ": " share " %"; if (share < least) low = 1 } END { exit low }' \
  "$build"/coverage-line.txt "$build"/coverage-branch.txt
