/* A short run of fuzz_specs.c, the same each time. */
#include "fuzz_specs.c"
#include "fuzz_main.h"

static size_t mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  (void)seed;
  if (size < 300) {
    for (size = 0; size < 300; size++) data[size] = (uint8_t)fuzz_random();
    return size;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

int main(void) { return fuzz_run(mutate, LLVMFuzzerTestOneInput, 5000, 600); }
