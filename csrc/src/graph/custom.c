/* Custom activations: the calls of their functions. */
#include "graph/custom.h"

#include "graph/layout.h"
#include "kernels/tiles.h"

#include <fenv.h>
#include <math.h>
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

/* ---- numbers of a dtype that the functions do not take, part by part */

int custom_takes(const struct custom_activation *c, pynn_dtype dtype) {
  return (c->flags & (dtype == PYNN_FLOAT64 ? PYNN_CUSTOM_FLOAT64 : PYNN_CUSTOM_FLOAT32)) != 0;
}

/* n <= PART numbers of dtype `from` as the other dtype. */
static void convert(const pynn_model *model, pynn_dtype from, size_t n, const void *x, void *out) {
  const struct kernels *floats = model->context->kernels[PYNN_FLOAT32];
  if (from == PYNN_FLOAT64) floats->from_double(n, x, out);
  else floats->to_double(n, x, out);
}

static int value_by_parts(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z,
                          void *y) {
  const pynn_dtype own = model->dtype, other = own == PYNN_FLOAT64 ? PYNN_FLOAT32 : PYNN_FLOAT64;
  double z_part[PART], y_part[PART]; /* room for either */
  int failed = 0;
  for (int64_t from = 0; from < n && !failed; from += PART) {
    const size_t count = (size_t)(n - from < PART ? n - from : PART);
    convert(model, own, count, at(model->kernels, z, from), z_part);
    failed = custom_call_value(c, other, (int64_t)count, z_part, y_part);
    convert(model, other, count, y_part, at(model->kernels, y, from));
  }
  return failed;
}

static int derivative_by_parts(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z,
                               const void *y, void *delta) {
  const pynn_dtype own = model->dtype, other = own == PYNN_FLOAT64 ? PYNN_FLOAT32 : PYNN_FLOAT64;
  double z_part[PART], y_part[PART], delta_part[PART];
  int failed = 0;
  for (int64_t from = 0; from < n && !failed; from += PART) {
    const size_t count = (size_t)(n - from < PART ? n - from : PART);
    convert(model, own, count, at(model->kernels, z, from), z_part);
    convert(model, own, count, at(model->kernels, y, from), y_part);
    convert(model, own, count, at(model->kernels, delta, from), delta_part);
    failed = custom_call_derivative(c, other, (int64_t)count, z_part, y_part, delta_part);
    convert(model, other, count, delta_part, at(model->kernels, delta, from));
  }
  return failed;
}

/* All bits set: NaN in any dtype. */
static int failing(const pynn_model *model, int64_t n, void *x, int failed) {
  if (failed) memset(x, 0xFF, (size_t)n * model->kernels->size);
  return failed;
}

int custom_value(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z, void *y) {
  return failing(
      model, n, y,
      custom_takes(c, model->dtype) ? custom_call_value(c, model->dtype, n, z, y) : value_by_parts(model, c, n, z, y));
}

int custom_derivative(const pynn_model *model, const struct custom_activation *c, int64_t n, const void *z,
                      const void *y, void *delta) {
  return failing(model, n, delta,
                 custom_takes(c, model->dtype) ? custom_call_derivative(c, model->dtype, n, z, y, delta)
                                               : derivative_by_parts(model, c, n, z, y, delta));
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
