/* Floating-point state that everything computes in: subnormals are zero, rounding to nearest, no traps. */
#ifndef PYNN_FLOATING_POINT_H
#define PYNN_FLOATING_POINT_H

#include <stdint.h>

#if defined(__SSE2__)
#  include <immintrin.h>
#endif

static inline uint64_t floating_point_set(void) {
#if defined(__SSE2__)
  uint32_t saved = _mm_getcsr();
  _mm_setcsr(0x1f80u | 0x8000u | 0x0040u); /* default | flush to zero | denormals are zero */
  return saved;
#elif defined(__aarch64__)
  uint64_t saved;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)1 << 24));
  return saved;
#else
  return 0;
#endif
}

static inline void floating_point_restore(uint64_t saved) {
#if defined(__SSE2__)
  _mm_setcsr((uint32_t)saved);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(saved));
#else
  (void)saved;
#endif
}

#endif
