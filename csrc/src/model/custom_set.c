/* Setting a custom activation: its functions are tried before they are taken over. */
#include "graph/custom.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

/* Where the functions are tried, on both sides of 0. */
static const double places[] = {0, 1e-3, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 15, 30};
enum { PLACES = 2 * sizeof places / sizeof *places, SIDES = 3 };

/* f and what the derivative makes of delta, in doubles, by way of the better dtype that the functions take. */
struct trial {
  const struct custom_activation *custom;
  const struct kernels *floats;
  pynn_dtype dtype;
  double z[SIDES][PLACES], y[SIDES][PLACES]; /* at the places, a step below them and a step above */
  double slope[PLACES];                      /* as claimed */
};

static void pack(const struct trial *t, int n, const double *x, void *out) {
  if (t->dtype == PYNN_FLOAT64) memcpy(out, x, (size_t)n * sizeof *x);
  else t->floats->from_double((size_t)n, x, out);
}

static void unpack(const struct trial *t, int n, const void *x, double *out) {
  if (t->dtype == PYNN_FLOAT64) memcpy(out, x, (size_t)n * sizeof *out);
  else t->floats->to_double((size_t)n, x, out);
}

static int try_value(const struct trial *t, int n, const double *z, double *y) {
  double z_packed[PLACES], y_packed[PLACES];
  pack(t, n, z, z_packed);
  memset(y_packed, 0xFF, sizeof y_packed); /* NaN, where the function writes nothing */
  const int failed = custom_call_value(t->custom, t->dtype, n, z_packed, y_packed);
  unpack(t, n, y_packed, y);
  return failed;
}

/* Deltas differ, so that a function which ignores them is seen. */
static int try_derivative(struct trial *t) {
  double z[PLACES], y[PLACES], packed[PLACES], delta[PLACES];
  for (int i = 0; i < PLACES; i++) delta[i] = i % 3 == 0 ? 0.5 : i % 3 == 1 ? -2 : 1;
  pack(t, PLACES, t->z[0], z);
  pack(t, PLACES, t->y[0], y);
  pack(t, PLACES, delta, packed);
  if (custom_call_derivative(t->custom, t->dtype, PLACES, z, y, packed)) return 1;
  unpack(t, PLACES, packed, t->slope);
  for (int i = 0; i < PLACES; i++) t->slope[i] /= delta[i];
  return 0;
}

/* At a kink the slopes to both sides differ; anything between them is right. */
static pynn_status compare(const struct trial *t, int i, pynn_error *error) {
  const double below = (t->y[0][i] - t->y[1][i]) / (t->z[0][i] - t->z[1][i]);
  const double above = (t->y[2][i] - t->y[0][i]) / (t->z[2][i] - t->z[0][i]);
  const double tolerance = t->dtype == PYNN_FLOAT64 ? 1e-3 : 2e-2;
  const double slack = tolerance * fmax(1, fmax(fabs(below), fabs(above)));
  if (!isfinite(below) || !isfinite(above) || !isfinite(t->slope[i])) return PYNN_OK; /* left to the guard */
  if (t->slope[i] >= fmin(below, above) - slack && t->slope[i] <= fmax(below, above) + slack) return PYNN_OK;
  return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
              "expected the derivative of the activation '%s' to be that of its function, about %.6g at z=%g; received "
              "%.6g",
              t->custom->name, (below + above) / 2, t->z[0][i], t->slope[i]);
}

/* Keeps a place where f' is not 1: there a delta of 1 shows whether the derivative wrote its results. */
static void keep_probe(const struct trial *t, struct custom_activation *custom) {
  for (int i = 0; i < PLACES && !custom->has_probe; i++) {
    if (!isfinite(t->y[0][i]) || !isfinite(t->slope[i]) || fabs(t->slope[i] - 1) < 0.01) continue;
    custom->has_probe = 1;
    custom->probe_z = t->z[0][i], custom->probe_y = t->y[0][i];
  }
}

/* Checks that the function wrote something: one that raised may return 0 all the same. */
static pynn_status check_written(const struct trial *t, pynn_error *error) {
  for (int i = 0; i < PLACES; i++)
    if (t->y[0][i] == t->y[0][i]) return PYNN_OK;
  return fail(
      error, PYNN_ERROR_INVALID_ARGUMENT,
      "expected the activation '%s' to write its results; received none, or NaN for z = 0, +-0.1, ... +-30: did "
      "it raise?",
      t->custom->name);
}

static pynn_status look(const pynn_model *model, struct custom_activation *custom, pynn_error *error) {
  struct trial t = {.custom = custom, .floats = model->context->kernels[PYNN_FLOAT32]};
  t.dtype = custom_takes(custom, PYNN_FLOAT64) ? PYNN_FLOAT64 : PYNN_FLOAT32;
  const double step = t.dtype == PYNN_FLOAT64 ? 0x1p-17 : 0x1p-8; /* exact beside the places in either */
  double alone;
  int failed = 0;
  for (int i = 0; i < PLACES; i++) {
    const double at = (i % 2 ? -1 : 1) * (double)(float)places[i / 2], far = step * fmax(1, fabs(at));
    t.z[0][i] = at;
    t.z[1][i] = t.dtype == PYNN_FLOAT64 ? at - far : (double)(float)(at - far);
    t.z[2][i] = t.dtype == PYNN_FLOAT64 ? at + far : (double)(float)(at + far);
  }
  for (int side = 0; side < SIDES && !failed; side++) failed = try_value(&t, PLACES, t.z[side], t.y[side]);
  for (int i = 0; i < PLACES && !failed; i += 5) {
    failed = try_value(&t, 1, &t.z[0][i], &alone);
    if (failed || !isfinite(alone) || fabs(alone - t.y[0][i]) <= 1e-4 * fmax(1, fabs(alone))) continue;
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected the activation '%s' to give y[i] from z[i] alone; received %.6g for z=%g among others, and "
                "%.6g for it alone",
                custom->name, t.y[0][i], t.z[0][i], alone);
  }
  const int unchecked = (custom->flags & PYNN_CUSTOM_UNCHECKED) != 0;
  const int tries = !unchecked || !(custom->flags & PYNN_CUSTOM_SERIAL); /* serial ones need no probe */
  const int derived = !failed && tries && !try_derivative(&t);
  if (failed || (!derived && !unchecked))
    return fail(error, PYNN_ERROR_CALLBACK, "%s", pynn_strerror(PYNN_ERROR_CALLBACK));
  pynn_status status = check_written(&t, error);
  for (int i = 0; i < PLACES && !status && !unchecked; i++) status = compare(&t, i, error);
  if (!status && derived) keep_probe(&t, custom);
  return status;
}

/* ---- what a layer has */

static int known(uint32_t flags) {
  const uint32_t dtypes = PYNN_CUSTOM_FLOAT32 | PYNN_CUSTOM_FLOAT64;
  return (flags & dtypes) && !(flags & ~(dtypes | PYNN_CUSTOM_SERIAL | PYNN_CUSTOM_UNCHECKED));
}

static pynn_status check_layer(const pynn_model *model, int32_t layer, pynn_error *error) {
  if (!model) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a model; received NULL");
  if (layer >= 0 && layer < model->n_layers && model->layers[layer].activation) return PYNN_OK;
  return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a layer that has an activation; received layer=%d",
              (int)layer);
}

static pynn_status name(struct custom_activation *out, const char *name, pynn_error *error) {
  const size_t length = name ? strlen(name) : 0;
  if (length < 1 || length >= sizeof out->name)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a name of 1 ... %d bytes; received %lld",
                PYNN_CUSTOM_NAME - 1, (long long)length);
  memcpy(out->name, name, length);
  return PYNN_OK;
}

static pynn_status copy(struct custom_activation *out, const pynn_custom_activation *given, pynn_error *error) {
  if (given->struct_size != sizeof *given || !given->value || !given->derivative || !known(given->flags))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a pynn_custom_activation with its size, both functions and the dtypes that they take");
  out->value = given->value;
  out->derivative = given->derivative;
  out->user = given->user;
  out->flags = given->flags;
  return name(out, given->name, error);
}

static void take(pynn_model *model, int32_t index, const struct custom_activation *custom) {
  model->layers[index].custom = *custom;
  custom_choose(model, index);
}

pynn_status model_name_custom_activation(pynn_model *model, int32_t index, const char *text, pynn_error *error) {
  struct custom_activation custom = {.value = NULL};
  pynn_status status = check_layer(model, index, error);
  if (!status) status = name(&custom, text, error);
  if (!status) take(model, index, &custom);
  return status;
}

pynn_status pynn_model_set_custom_activation(pynn_model *model, int32_t index, const pynn_custom_activation *given,
                                             pynn_error *error) {
  struct custom_activation custom = {.value = NULL};
  pynn_status status = check_layer(model, index, error);
  if (!status && given) status = copy(&custom, given, error);
  if (!status && given) status = look(model, &custom, error);
  if (!status) take(model, index, &custom);
  else if (error) error->layer = index;
  return status;
}

const char *pynn_model_custom_activation_name(const pynn_model *model, int32_t index) {
  const int has = model && index >= 0 && index < model->n_layers && model->layers[index].custom.name[0];
  return has ? model->layers[index].custom.name : NULL;
}
