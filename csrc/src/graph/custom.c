/* Custom activations: the calls of their functions. */
#include "graph/custom.h"

#include "graph/layout.h"
#include "kernels/tiles.h"

#include <fenv.h>
#include <string.h>

const struct activation custom_activation_row = {.row = {.name = "custom", .aliases = "", .flags = PYNN_ROW_ROWWISE}};

int custom_call_value(const struct custom_activation *c, pynn_dtype dtype, int64_t n, const void *z, void *y) {
  fenv_t ours;
  fegetenv(&ours);
  fesetenv(FE_DFL_ENV);
  const int failed = c->value(c->user, dtype, n, z, y);
  fesetenv(&ours);
  return failed;
}

int custom_call_derivative(const struct custom_activation *c, pynn_dtype dtype, int64_t n, const void *z, const void *y,
                           void *delta) {
  fenv_t ours;
  fegetenv(&ours);
  fesetenv(FE_DFL_ENV);
  const int failed = c->derivative(c->user, dtype, n, z, y, delta);
  fesetenv(&ours);
  return failed;
}

/* ---- results that a function did not write
 *
 * A function can fail and still return 0: numba and ctypes do so when Python code raises. Values are filled with NaN
 * before a call, so that what was not written is refused. The delta is an input too: two more numbers, before and
 * behind it, show whether the function came to both ends. */

/* All bits set: NaN in any dtype. */
static void unwrite(size_t size, int64_t n, void *x) { memset(x, 0xFF, (size_t)n * size); }

int custom_takes(const struct custom_activation *c, pynn_dtype dtype) {
  return (c->flags & (dtype == PYNN_FLOAT64 ? PYNN_CUSTOM_FLOAT64 : PYNN_CUSTOM_FLOAT32)) != 0;
}

/* n <= PART numbers of dtype `from` as numbers of dtype `to`. */
static void convert(const pynn_model *model, pynn_dtype from, pynn_dtype to, int64_t n, const void *x, void *out) {
  const struct kernels *floats = model->context->kernels[PYNN_FLOAT32];
  if (from == to) memcpy(out, x, (size_t)n * model->context->kernels[to]->size);
  else if (from == PYNN_FLOAT64) floats->from_double((size_t)n, x, out);
  else floats->to_double((size_t)n, x, out);
}

/* The dtype that the functions are called with. */
static pynn_dtype dtype_for(const pynn_model *model, const struct custom_activation *c) {
  if (custom_takes(c, model->dtype)) return model->dtype;
  return model->dtype == PYNN_FLOAT64 ? PYNN_FLOAT32 : PYNN_FLOAT64;
}

static int value_by_parts(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z,
                          void *y) {
  const pynn_dtype own = model->dtype, dtype = dtype_for(model, c);
  double z_part[PART], y_part[PART]; /* room for either dtype */
  int failed = 0;
  for (int64_t from = 0; from < n && !failed; from += PART) {
    const int64_t count = least(PART, n - from);
    convert(model, own, dtype, count, at(model->kernels, z, from), z_part);
    unwrite(sizeof *y_part, PART, y_part);
    failed = custom_call_value(c, dtype, count, z_part, y_part);
    convert(model, dtype, own, count, y_part, at(model->kernels, y, from));
  }
  return failed;
}

/* A part of n <= PART numbers between two that are known: where f' is not 1, so that a delta of 1 does not stay. */
struct part {
  double z[PART + 2], y[PART + 2], delta[PART + 2]; /* room for either dtype */
};

static void frame(const struct kernels *kernels, void *x, int64_t n, double value) {
  kernels->from_double(1, &value, x);
  kernels->from_double(1, &value, at(kernels, x, n + 1));
}

/* Whether both numbers around the delta were written. */
static int framed(const struct kernels *kernels, const struct custom_activation *c, const struct part *part,
                  int64_t n) {
  return !c->has_probe || (number(kernels, part->delta, 0) != 1 && number(kernels, part->delta, n + 1) != 1);
}

static int derivative_by_parts(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z,
                               const void *y, void *delta) {
  const pynn_dtype own = model->dtype, dtype = dtype_for(model, c);
  const struct kernels *kernels = model->context->kernels[dtype];
  struct part part;
  int failed = 0;
  for (int64_t from = 0; from < n && !failed; from += PART) {
    const int64_t count = least(PART, n - from);
    convert(model, own, dtype, count, at(model->kernels, z, from), at(kernels, part.z, 1));
    convert(model, own, dtype, count, at(model->kernels, y, from), at(kernels, part.y, 1));
    convert(model, own, dtype, count, at(model->kernels, delta, from), at(kernels, part.delta, 1));
    frame(kernels, part.z, count, c->probe_z), frame(kernels, part.y, count, c->probe_y);
    frame(kernels, part.delta, count, 1);
    failed = custom_call_derivative(c, dtype, count + 2, part.z, part.y, part.delta);
    if (!framed(kernels, c, &part, count)) unwrite(kernels->size, count, at(kernels, part.delta, 1));
    convert(model, dtype, own, count, at(kernels, part.delta, 1), at(model->kernels, delta, from));
  }
  return failed;
}

static int failing(const pynn_model *model, int64_t n, void *x, int failed) {
  if (failed) unwrite(model->kernels->size, n, x);
  return failed;
}

/* A function that must be called once for the batch reports its failures itself where z is y. */
int custom_value(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z, void *y) {
  const int serial = (c->flags & PYNN_CUSTOM_SERIAL) != 0;
  if (!custom_takes(c, model->dtype) || (z == y && !serial))
    return failing(model, n, y, value_by_parts(model, c, n, z, y));
  if (z != y) unwrite(model->kernels->size, n, y);
  return failing(model, n, y, custom_call_value(c, model->dtype, n, z, y));
}

int custom_derivative(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z,
                      const void *y, void *delta) {
  const int whole = custom_takes(c, model->dtype) && ((c->flags & PYNN_CUSTOM_SERIAL) || !c->has_probe);
  return failing(
      model, n, delta,
      whole ? custom_call_derivative(c, model->dtype, n, z, y, delta) : derivative_by_parts(model, c, n, z, y, delta));
}

/* ---- the choice between the layer's own and a custom one */

void custom_choose(pynn_model *model, int32_t index) {
  struct layer *layer = &model->layers[index];
  if (!layer->activation) return;
  const int32_t row = layer_choice(layer, PYNN_SLOT_ACTIVATION)->row, linear = 0;
  const int linked = model->link && index == model->n_layers - 1 && row == model->link_spec.row;
  layer->activation =
      layer->custom.value ? &custom_activation_row : &model->kernels->activations[linked ? linear : row];
}
