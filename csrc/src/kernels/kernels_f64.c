/* double kernels; compiled once for each processor target, with that target's flags. */
#define PYNN_REAL_BITS 64
#define TABLE_PREFIX pynn_kernels_f64_
#include "kernels/kernels.template.c"
