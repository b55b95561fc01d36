/* Contexts: memory, the choice of kernels for this processor, BLAS and threads. */
#include "compute/context.h"
#include "compute/parallel.h"

#include <string.h>

/* Targets from best to plainest, with whether this processor has them. */
#if defined(PYNN_HAVE_X86_TARGETS)
static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
static int always(void) { return 1; }

static const struct target {
  const struct kernels *kernels[2];
  int (*has)(void);
} targets[] = {
#if defined(PYNN_HAVE_X86_TARGETS)
    {{&pynn_kernels_f32_avx512, &pynn_kernels_f64_avx512}, has_avx512},
    {{&pynn_kernels_f32_avx2, &pynn_kernels_f64_avx2}, has_avx2},
#endif
    {{&pynn_kernels_f32_baseline, &pynn_kernels_f64_baseline}, always},
};

static const struct target *choose(const char *cpu) {
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
    if ((!cpu || !strcmp(cpu, targets[i].kernels[0]->target)) && targets[i].has()) return &targets[i];
  return NULL;
}

void pynn_context_options_init(pynn_context_options *options) {
  if (options) *options = (pynn_context_options){.struct_size = sizeof *options};
}

static int blas_valid(const pynn_blas *blas) {
  return !blas || (blas->struct_size == sizeof *blas && blas->sgemm && blas->dgemm &&
                   (blas->integer_size == 4 || blas->integer_size == 8));
}

pynn_status pynn_context_new(pynn_context **out, const pynn_context_options *options) {
  pynn_context_options defaults;
  pynn_context_options_init(&defaults);
  if (!options) options = &defaults;
  if (!out || options->struct_size != sizeof *options || options->threads < 0) return PYNN_ERROR_INVALID_ARGUMENT;
  if (options->allocator.allocate && !options->allocator.release) return PYNN_ERROR_INVALID_ARGUMENT;
  if (!blas_valid(options->blas)) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct target *target = choose(options->cpu);
  if (!target) return PYNN_ERROR_UNSUPPORTED;

  pynn_context base = {.allocator = options->allocator};
  if (!base.allocator.allocate) base.allocator = memory_default;
  pynn_context *context = context_allocate(&base, 1, sizeof *context);
  if (!context) return PYNN_ERROR_OUT_OF_MEMORY;
  *context = base;
  memcpy(context->kernels, target->kernels, sizeof context->kernels);
  if (options->blas) context->blas = *options->blas;
  context->pool = pool_new(&context->allocator, options->threads);
  if (!context->pool) {
    pynn_context_free(context);
    return PYNN_ERROR_OUT_OF_MEMORY;
  }
  *out = context;
  return PYNN_OK;
}

void pynn_context_free(pynn_context *context) {
  if (!context) return;
  pool_free(&context->allocator, context->pool);
  context_release(context, context, 1, sizeof *context);
}

pynn_status pynn_context_set_threads(pynn_context *context, int32_t threads) {
  if (!context || threads < 0) return PYNN_ERROR_INVALID_ARGUMENT;
  pool_resize(context->pool, threads);
  return PYNN_OK;
}

pynn_status pynn_context_set_blas(pynn_context *context, const pynn_blas *blas) {
  if (!context || !blas_valid(blas)) return PYNN_ERROR_INVALID_ARGUMENT;
  context->blas = blas ? *blas : (pynn_blas){0};
  return PYNN_OK;
}

int32_t pynn_context_threads(const pynn_context *context) { return context ? pool_threads(context->pool) : 0; }
const char *pynn_context_cpu(const pynn_context *context) { return context ? context->kernels[0]->target : NULL; }
const char *pynn_context_blas(const pynn_context *context) {
  if (!context) return NULL;
  return !context->blas.sgemm ? "none" : context->blas.name ? context->blas.name : "unnamed";
}
