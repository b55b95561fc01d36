/* Fuzzes the reader of model files: clang -fsanitize=fuzzer,address,undefined. An input is read as a file, and once
 * more as the header after its checksum, up to a NUL, followed by the parameters; lengths and checksums are made
 * right, since no mutation would. What loads must be usable. An empty corpus starts from a sample. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "pynn.h"

#define MAX_INPUT ((size_t)1 << 16)
#define Q "\\\""
#define NAMED(name) "{" Q "name" Q ":" Q name Q "}"

static const char sample[] =
    ",\"pynn.version\":\"1\",\"pynn.model\":\"{" Q "dtype" Q ":" Q "float32" Q "," Q "inputs" Q ":3," Q "seed" Q
    ":18446744073709551615," Q "loss" Q ":{" Q "name" Q ":" Q "huber" Q "," Q "delta" Q ":1.5}," Q "layers" Q ":[{" Q
    "kind" Q ":" Q "dense" Q "," Q "units" Q ":2," Q "use_bias" Q ":true," Q "activation" Q
    ":" NAMED("relu") "," Q "kernel_initializer" Q ":" NAMED("glorot_uniform") "," Q "bias_initializer" Q ":" NAMED(
        "zeros") "},{" Q "kind" Q ":" Q "dropout" Q "," Q "rate" Q
                 ":0.25}]}\",\"classes\":\"\\u00e9\\n\"},\"layers.0.kernel\":{\"dtype\":\"F32\","
                 "\"shape\":[3,2],\"data_offsets\":[0,24]},\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
                 "offsets\":"
                 "[24,32]}}\0"
                 "32 bytes of parameters, no less."; /* the literal's own NUL is not one of them */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  if ((size < 16 || seed % 64 == 0) && max_size >= sizeof sample - 1) memcpy(data, sample, size = sizeof sample - 1);
  return LLVMFuzzerMutate(data, size, max_size);
}

static void load(const pynn_context *context, const unsigned char *bytes, size_t size) {
  pynn_model *model = NULL;
  pynn_error error;
  if (pynn_load_memory(&model, context, bytes, size, &error) != PYNN_OK) {
    if (model || memchr(error.message, '\0', sizeof error.message) == NULL) abort();
    return;
  }
  const char *parameters = pynn_model_parameters(model);
  size_t n = (size_t)pynn_model_n_parameters(model) * pynn_dtype_size(pynn_model_dtype(model));
  if (n > size || memcmp(parameters, bytes + size - n, n) != 0) abort(); /* little-endian machines */
  pynn_model_metadata(model, "classes");
  pynn_workspace *workspace = NULL;
  if (pynn_model_inputs(model) < 64 && pynn_model_outputs(model) < 64 && n < 4096 &&
      pynn_workspace_new(&workspace, model) == PYNN_OK) {
    static const double zeros[64];
    double out[64];
    pynn_array x = pynn_matrix(zeros, PYNN_FLOAT64, 1, pynn_model_inputs(model));
    pynn_predict(model, workspace, &x, 0, out, &error);
    pynn_workspace_free(workspace);
  }
  pynn_model_free(model);
}

static void fix_checksum(unsigned char *bytes, size_t size) {
  if (size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS) file_checksum(bytes, size, (char *)bytes + CHECKSUM_OFFSET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static pynn_context *context;
  static const char start[] = FILE_START "0000000000000000\"";
  pynn_context_options options;
  pynn_context_options_init(&options);
  options.threads = 1;
  if ((!context && pynn_context_new(&context, &options) != PYNN_OK) || size > MAX_INPUT) return 0;

  unsigned char *bytes = malloc(size + sizeof start + 128);
  if (!bytes) return 0;
  memcpy(bytes, data, size);
  fix_checksum(bytes, size);
  load(context, bytes, size);

  const unsigned char *nul = memchr(data, 0, size);
  size_t text = nul ? (size_t)(nul - data) : size, tail = nul ? size - text - 1 : 0;
  size_t header = (FILE_PREFIX + sizeof start - 1 + text + 63) / 64 * 64 - FILE_PREFIX;
  for (int i = 0; i < FILE_PREFIX; i++) bytes[i] = (unsigned char)((uint64_t)header >> (8 * i));
  memset(bytes + FILE_PREFIX, ' ', header);
  memcpy(bytes + FILE_PREFIX, start, sizeof start - 1);
  memcpy(bytes + FILE_PREFIX + sizeof start - 1, data, text);
  memcpy(bytes + FILE_PREFIX + header, data + size - tail, tail);
  fix_checksum(bytes, FILE_PREFIX + header + tail);
  load(context, bytes, FILE_PREFIX + header + tail);
  free(bytes);
  return 0;
}
