/* A short run of fuzz_load.c, the same each time. */
#include "fuzz_load.c"
#include "fuzz_main.h"

int main(void) {
  LLVMFuzzerInitialize(NULL, NULL);
  return fuzz_run(LLVMFuzzerCustomMutator, LLVMFuzzerTestOneInput, 20000, 2048) ||
         fuzz_run(LLVMFuzzerCustomMutator, LLVMFuzzerTestOneInput, 1000, MOST);
}
