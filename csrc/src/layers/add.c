/* Add: Y = X + the input of the layer `layers` below. Ends a residual block y = x + f(x) of that many layers.
 * Backward keeps dL/dY: the pass adds it to dL/dX of the block's first layer. */
#include "graph/layer.h"

#include <string.h>

enum { LAYERS }; /* numbers */

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  const int64_t n = (int64_t)layer->spec.values[LAYERS], first = layout->index - n;
  if (first < 0)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected at most %d layers below layer %d; received layers=%lld",
                (int)layout->index, (int)layout->index, (long long)n);
  const pynn_shape given = layout->shapes[first];
  if (given.timesteps != layer->in.timesteps || given.features != layer->in.features)
    return fail(error, PYNN_ERROR_SHAPE,
                "expected a block that gives as many columns as it takes; received %lld in, %lld out at layer %d: "
                "put a dense layer of %lld units into the block or before it",
                (long long)shape_columns(given), (long long)layer->inputs, (int)layout->index,
                (long long)shape_columns(given));
  layer->source = (int32_t)first;
  return PYNN_OK;
}

static struct needs needs(const struct layer *layer, int64_t rows, int keeps) {
  (void)keeps;
  (void)rows;
  return (struct needs){.values = layer->units};
}

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct kernels *given = job->layer->source ? kernels : job->w->model->input_kernels; /* X may be doubles */
  const struct values *other = &job->w->inputs[job->layer->source];
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++) {
    const void *x = at(kernels, job->x, i * job->ldx), *source = at(given, other->at, i * other->ld);
    void *y = at(kernels, job_values(job), i * t.columns);
    if (given == kernels) kernels->add((size_t)t.columns, x, source, y);
    else kernels->add_double((size_t)t.columns, x, source, y);
  }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 2, forward_tile);
  job_valued(job);
}

static void backward(struct job *job) {
  memcpy(job->w->z[job->index], job->dY, (size_t)(job->rows * job->layer->units) * job_kernels(job)->size);
  job->dX = job->dY;
}

const struct layer_kind layer_add = {
    .row = {.name = "add",
            .aliases = "",
            .n_fields = 1,
            .fields = {[LAYERS] = {"layers", 1, 1, (double)MAX_LAYERS, PYNN_FIELD_INTEGER}},
            .flags = PYNN_LAYER_ADDS | PYNN_LAYER_TIMESTEPS},
    .shape = shape,
    .needs = needs,
    .forward = forward,
    .backward = backward,
};
