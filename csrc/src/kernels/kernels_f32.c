/* float kernels; compiled once for each processor target, with that target's flags. */
#define PYNN_REAL_BITS 32
#define TABLE_PREFIX pynn_kernels_f32_
#include "kernels/kernels.template.c"
