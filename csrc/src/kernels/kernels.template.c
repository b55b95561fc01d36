/* One table of kernels: everything in kernels/, for one `real` and one processor target. */
#include "kernels/kernels.h"
#include "base/real.h"
#include "base/rng.h"

#if defined(__aarch64__)
#  include <arm_neon.h>
#elif VECTOR_BYTES > 16
#  include <immintrin.h>
#elif defined(__SSE2__)
#  include <emmintrin.h>
#endif

#include "base/numerics.h"

#include "kernels/activations.template.c"
#include "kernels/micro.template.c"
#include "kernels/gemm.template.c"
#include "kernels/layers.template.c"
#include "kernels/losses.template.c"
#include "kernels/optimizers.template.c"
#include "kernels/random.template.c"
#include "kernels/recurrent.template.c"
#include "kernels/sparse.template.c"
#include "kernels/vectors.template.c"

#include "kernels/training.template.c"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define COUNT(table) (int32_t)(sizeof(table) / sizeof(table)[0])

void PASTE(pynn_normals_, TARGET)(size_t n, uint64_t key, uint64_t first, double limit, double *out);

const struct kernels PASTE(TABLE_PREFIX, TARGET) = {
    .target = TEXT(TARGET),
    .size = sizeof(real),
    .maximum = (double)REAL_MAX,
    .fused = FMA_BUILTIN,
    .activations = activations,
    .n_activations = COUNT(activations),
    .losses = losses,
    .n_losses = COUNT(losses),
    .optimizers = optimizers,
    .n_optimizers = COUNT(optimizers),
    .regularizers = regularizers,
    .n_regularizers = COUNT(regularizers),
    .constraints = constraints,
    .n_constraints = COUNT(constraints),
    .cells = cells,
    .gemm = gemm,
    .gemm_transposed = gemm_transposed,
    .gemm_panels = gemm_panels,
    .pack_panels = pack_panels,
    .pack = pack,
    .gemm_packed = gemm_packed,
    .sparse_times = sparse_times,
    .sparse_outer = sparse_outer,
    .add_bias = add_bias,
    .largest = largest,
    .sum_squares = sum_squares,
    .observe = observe,
    .compare = compare,
    .column_sums = column_sums,
    .dropout = dropout,
    .affine = affine,
    .column_moments = column_moments,
    .batch_norm_gradient = batch_norm_gradient,
    .layer_norm = layer_norm,
    .layer_norm_gradient = layer_norm_gradient,
    .layer_norm_delta = layer_norm_delta,
    .normalize = normalize,
    .add = add,
    .add_double = add_double,
    .to_double = to_double,
    .from_array = from_array,
    .from_double = from_double,
    .scale = scale,
    .blend = blend,
    .mix = mix,
    .normals = PASTE(pynn_normals_, TARGET),
};
