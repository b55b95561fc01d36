/* How much memory objects take in an arena: they are made with a counting allocator and freed. */
#include "base/status.h"
#include "pynn.h"

#include <stdlib.h>

enum { LINE = 64 }; /* blocks of an arena take multiples of it */

static size_t rounded(size_t size) { return size <= SIZE_MAX - LINE ? (size + LINE - 1) / LINE * LINE : 0; }

struct counter {
  size_t used, peak;
};

static void *count_allocate(void *user, size_t size) {
  struct counter *counter = user;
  void *memory = rounded(size) ? aligned_alloc(LINE, rounded(size)) : NULL;
  if (!memory) return NULL;
  counter->used += rounded(size);
  if (counter->used > counter->peak) counter->peak = counter->used;
  return memory;
}

static void count_release(void *user, void *memory, size_t size) {
  struct counter *counter = user;
  counter->used -= rounded(size);
  free(memory);
}

/* The most bytes in use since the last call, above `before`; the next call counts from what is in use now. */
static size_t count_since(struct counter *counter, size_t before) {
  const size_t most = counter->peak - before;
  counter->peak = counter->used;
  return most;
}

struct made {
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
};

static pynn_status make(struct made *made, struct counter *counter, pynn_sizes *sizes,
                        const pynn_context_options *context, const pynn_model_options *model, const pynn_layer *layers,
                        int32_t n_layers, const pynn_spec *loss, const pynn_trainer_options *trainer,
                        pynn_error *error) {
  pynn_status status = pynn_context_new(&made->context, context);
  if (status) return fail(error, status, "expected a context as described; %s", pynn_strerror(status));
  sizes->context = count_since(counter, 0);
  size_t before = counter->used;
  status = pynn_model_new(&made->model, made->context, model, layers, n_layers, error);
  if (status) return status;
  sizes->model = count_since(counter, before);
  before = counter->used;
  status = pynn_workspace_new(&made->workspace, made->model);
  if (status) return fail(error, status, "expected memory for a workspace; received none");
  sizes->workspace = count_since(counter, before);
  if (!loss || !trainer) return PYNN_OK;
  before = counter->used;
  status = pynn_model_set_loss(made->model, loss);
  if (status) return fail(error, status, "expected a loss made by pynn_spec_named and _set");
  status = pynn_trainer_new(&made->trainer, made->model, trainer, error);
  sizes->trainer = status ? 0 : count_since(counter, before);
  return status;
}

pynn_status pynn_measure(pynn_sizes *out, const pynn_context_options *context, const pynn_model_options *model,
                         const pynn_layer *layers, int32_t n_layers, const pynn_spec *loss,
                         const pynn_trainer_options *trainer, pynn_error *error) {
  struct counter counter = {0, 0};
  struct made made = {NULL, NULL, NULL, NULL};
  pynn_sizes sizes = {0, 0, 0, 0};
  pynn_context_options options;
  pynn_context_options_init(&options);
  if (context) options = *context;
  options.allocator = (pynn_allocator){count_allocate, count_release, &counter};
  if (!out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out; received NULL");
  const pynn_status status = make(&made, &counter, &sizes, &options, model, layers, n_layers, loss, trainer, error);
  pynn_trainer_free(made.trainer);
  pynn_workspace_free(made.workspace);
  pynn_model_free(made.model);
  pynn_context_free(made.context);
  if (!status) *out = sizes;
  return status;
}
