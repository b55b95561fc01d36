#!/bin/sh
# vectorised.sh BUILD: every hot kernel is made of packed arithmetic, in the objects for AVX2 and AVX-512 below BUILD.
# Exit status 77 (skipped) without objdump or such objects, 1 with the names of kernels that have none.
set -u
build=${1:?usage: vectorised.sh BUILD}
command -v objdump >/dev/null || exit 77

# Kernels that must be: every elementwise activation both ways, of losses the row, of optimizers the update; and what
# runs over vectors. Not here: focal (pow), kl_divergence (log), gaussian_nll's rows (short), dropout.
source=$(dirname "$0")/../src/kernels/activations.template.c
kernels=''
for name in $(sed -n 's/^ELEMENTWISE(\([a-z0-9_]*\),.*/\1/p' "$source"); do kernels="$kernels ${name}_forward ${name}_backward"; done
kernels="$kernels mean_squared_error mean_absolute_error huber log_cosh quantile poisson hinge squared_hinge
sigmoid_cross_entropy sgd_update rmsprop_update adagrad_update adam_update sum_squares column_sums add_bias largest"

found=0 failed=0
for target in avx2 avx512; do
  register=$([ $target = avx2 ] && echo ymm || echo zmm)
  for object in $(find "$build" -name 'kernels_f*.o' -path "*$target*"); do
    found=1
    objdump -d --no-show-raw-insn "$object" | awk -v register="$register" -v kernels="$kernels" -v object="$object" '
      /^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]/, "", name); sub(/\.(part|constprop|isra|cold).*/, "", name) }
      $2 ~ /^v(add|sub|mul|div|f[n]?m(add|sub)[0-9]*|max|min|and|andn|cmp|pand|pandn|pmaxs|pmins|blendv)[a-z0-9_]*$/ &&
        index($0, "%" register) { packed[name]++ }
      END {
        n = split(kernels, wanted, /[ \n]+/)
        for (i = 1; i <= n; i++)
          if (wanted[i] != "" && !packed[wanted[i]]) { print wanted[i] " has no packed arithmetic in " object; bad = 1 }
        exit bad
      }' || failed=1
  done
done
[ $found = 1 ] || exit 77
exit $failed
