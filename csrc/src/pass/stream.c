/* Streams: rows that come one timestep after the other. A stream is a model of one timestep, whose recurrent layers
 * take their states from one pass to the next. */
#include "compute/array.h"
#include "compute/scope.h"
#include "graph/layer.h"
#include "model/model.h"
#include "model/workspace.h"
#include "pass/finite.h"
#include "pass/targets.h"

#include <string.h>

struct pynn_stream {
  const pynn_context *context;
  pynn_model *model; /* of one timestep */
  pynn_workspace *w;
  int64_t rows, n_state; /* reals in all layers' states */
  void *state;
  void **states;
  int begun; /* kernels are packed */
};

static pynn_status check_layers(const pynn_model *model, pynn_error *error) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    if (!layer->kind->streams || layer->kind->streams(layer) >= 0) continue;
    fail(
        error, PYNN_ERROR_UNSUPPORTED,
        "expected layers that need no later timesteps; received layer %d, '%s', which reads a row from its end or as a "
        "whole: predict whole rows",
        (int)i, layer->kind->row.name);
    if (error) error->layer = i;
    return PYNN_ERROR_UNSUPPORTED;
  }
  return PYNN_OK;
}

static int64_t state_of(const pynn_stream *s, int32_t i) {
  const struct layer *layer = &s->model->layers[i];
  return layer->kind->streams ? layer->kind->streams(layer) * s->rows : 0;
}

static pynn_status take_memory(pynn_stream *s) {
  pynn_status status = workspace_new(&s->w, s->model, s->rows, 0);
  if (status) return status;
  for (int32_t i = 0; i < s->model->n_layers; i++) s->n_state += state_of(s, i);
  s->state = context_allocate(s->context, (size_t)s->n_state, s->model->kernels->size);
  s->states = context_allocate(s->context, (size_t)s->model->n_layers, sizeof *s->states);
  if (!s->state || !s->states) return PYNN_ERROR_OUT_OF_MEMORY;
  int64_t offset = 0;
  for (int32_t i = 0; i < s->model->n_layers; offset += state_of(s, i++))
    s->states[i] = at(s->model->kernels, s->state, offset);
  s->w->states = s->states;
  return PYNN_OK;
}

pynn_status pynn_stream_new(pynn_stream **out, const pynn_model *model, int64_t rows, pynn_error *error) {
  if (!out || !model || rows < 1)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a model and rows >= 1; received rows=%lld",
                (long long)rows);
  pynn_status status = check_layers(model, error);
  if (!status) status = model_ready(model, 0, error);
  if (status) return status;
  pynn_stream *s = context_allocate(model->context, 1, sizeof *s);
  if (!s) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a stream; received none");
  *s = (pynn_stream){.context = model->context, .rows = rows};
  status = model_like_for(&s->model, model, model->dtype, 1, error);
  if (!status) {
    model_copy(s->model, model);
    status = take_memory(s);
    if (status) fail(error, status, "expected memory for a stream of %lld rows; received none", (long long)rows);
  }
  if (status) {
    pynn_stream_free(s);
    return status;
  }
  pynn_stream_reset(s);
  *out = s;
  return PYNN_OK;
}

void pynn_stream_free(pynn_stream *s) {
  if (!s) return;
  const pynn_context *context = s->context;
  if (s->states) context_release(context, s->states, (size_t)s->model->n_layers, sizeof *s->states);
  if (s->state) context_release(context, s->state, (size_t)s->n_state, s->model->kernels->size);
  pynn_workspace_free(s->w);
  pynn_model_free(s->model);
  context_release(context, s, 1, sizeof *s);
}

void pynn_stream_reset(pynn_stream *s) {
  if (s) memset(s->state, 0, (size_t)s->n_state * s->model->kernels->size);
}

int64_t pynn_stream_n_state(const pynn_stream *s) { return s ? s->n_state : 0; }
void *pynn_stream_state(pynn_stream *s) { return s ? s->state : NULL; }

/* A number that is not finite would stay in the state. */
static pynn_status check_row(const pynn_stream *s, const pynn_array *x, pynn_error *error) {
  const struct kernels *doubles = s->context->kernels[PYNN_FLOAT64];
  for (int64_t i = 0; i < x->rows; i++)
    for (int64_t j = 0; j < x->columns; j++) {
      const double value = array_cell(doubles, x, i, j);
      if (value - value == 0 || model_accepts(s->model, j, value)) continue;
      fail(error, PYNN_ERROR_NUMERIC, "expected finite numbers; received %g as an input, row %lld, column %lld", value,
           (long long)i, (long long)j);
      if (error) error->row = i, error->column = j, error->value = value, error->operation = PYNN_OPERATION_INPUT;
      return PYNN_ERROR_NUMERIC;
    }
  return PYNN_OK;
}

pynn_status pynn_stream_step(pynn_stream *s, const pynn_array *x, int raw, pynn_dtype dtype, void *out,
                             pynn_error *error) {
  if (!s || !x || !out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a stream, x and out; received NULL");
  const pynn_model *model = s->model;
  pynn_status status = array_check_dense(x, "x", error);
  if (!status) status = array_check(x, "x", s->rows, model->inputs, error);
  if (!status) status = pass_check_output(model, raw, dtype, out, "out", error);
  if (!status) status = check_row(s, x, error);
  if (status) return status;
  const struct compute_scope scope = compute_begin(s->context, 0);
  struct batch batch = {.rows = s->rows, .ldx = model->inputs, .given = x};
  array_gather(model->input_kernels, x, NULL, 0, s->rows, s->w->input);
  batch.x = s->w->input;
  s->w->packed = s->begun;
  const void *logits = pass_forward(s->w, &batch, 0, 0, 0);
  s->begun = 1;
  pass_predictions(s->w, s->rows, logits, raw, dtype, out);
  const int finite = finite_forward(s->w, s->rows, dtype, out);
  compute_end(s->context, scope);
  if (finite) return PYNN_OK;
  return fail(error, PYNN_ERROR_NUMERIC,
              "expected finite values in all layers; received NaN or infinity: reset the stream");
}
