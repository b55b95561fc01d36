/* Restoring a trainer from a checkpoint: every number and setting is checked before anything changes. */
#include "file/checkpoint.h"

#include "graph/layer.h"
#include "model/model.h"
#include "names/tables.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static pynn_status differs(pynn_error *error, const char *what, const char *expected, const char *received) {
  return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a checkpoint of %s %.90s, as the trainer's; received %.90s",
              what, expected, received);
}

static pynn_status differs_by(pynn_error *error, const char *what, uint64_t expected, uint64_t received) {
  char texts[2][24];
  snprintf(texts[0], sizeof texts[0], "%" PRIu64, expected);
  snprintf(texts[1], sizeof texts[1], "%" PRIu64, received);
  return differs(error, what, texts[0], texts[1]);
}

static int same_spec(const pynn_spec *a, const pynn_spec *b) {
  return a->table == b->table && a->row == b->row && memcmp(a->values, b->values, sizeof a->values) == 0;
}

static int same_list(const int64_t *a, const int64_t *b, int64_t n) {
  return (a != NULL) == (b != NULL) && (!a || memcmp(a, b, (size_t)n * sizeof *a) == 0);
}

static int same_layer(const struct layer *a, const struct layer *b) {
  int same = same_spec(&a->spec, &b->spec) && !strcmp(a->custom.name, b->custom.name) && a->n_choices == b->n_choices;
  for (int32_t i = 0; i < a->n_choices && same; i++)
    same = a->choices[i].slot == b->choices[i].slot && same_spec(&a->choices[i].spec, &b->choices[i].spec);
  return same && a->n_columns == b->n_columns && same_list(a->columns, b->columns, a->n_columns) &&
         same_list(a->sizes, b->sizes, a->n_columns);
}

static pynn_status check_model(const pynn_model *kept, const pynn_model *model, pynn_error *error) {
  const struct {
    const char *what;
    uint64_t expected, received;
  } numbers[] = {{"dtype of bytes", pynn_dtype_size(model->dtype), pynn_dtype_size(kept->dtype)},
                 {"inputs", (uint64_t)model->inputs, (uint64_t)kept->inputs},
                 {"timesteps", (uint64_t)model->shape.timesteps, (uint64_t)kept->shape.timesteps},
                 {"seed", model->seed, kept->seed},
                 {"layers", (uint64_t)model->n_layers, (uint64_t)kept->n_layers},
                 {"target_scaling", (uint64_t)model->scales_targets, (uint64_t)kept->scales_targets}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (numbers[i].expected != numbers[i].received)
      return differs_by(error, numbers[i].what, numbers[i].expected, numbers[i].received);
  for (int32_t i = 0; i < model->n_layers; i++)
    if (!same_layer(&model->layers[i], &kept->layers[i])) {
      fail(error, PYNN_ERROR_INVALID_ARGUMENT,
           "expected a checkpoint of the trainer's layers; received another layer %d", (int)i);
      if (error) error->layer = i;
      return PYNN_ERROR_INVALID_ARGUMENT;
    }
  if (model->custom.name[0] || kept->custom.name[0])
    return strcmp(model->custom.name, kept->custom.name) == 0
               ? PYNN_OK
               : differs(error, "loss", model->loss->row.name,
                         kept->custom.name[0] ? kept->custom.name : kept->loss->row.name);
  if (!kept->has_loss || !same_spec(&model->loss_spec, &kept->loss_spec))
    return differs(error, "loss", model->loss->row.name, kept->has_loss ? kept->loss->row.name : "none");
  return PYNN_OK;
}

static pynn_status check_settings(const pynn_checkpoint *c, const pynn_trainer *t, pynn_error *error) {
  for (int32_t i = 0; i < N_SETTINGS; i++) {
    char text[SETTING];
    setting_write(i, t, text);
    const char *kept = c->settings ? c->settings[i] : pynn_model_metadata(c->model, checkpoint_settings[i].key);
    if (strcmp(text, kept) != 0) return differs(error, checkpoint_settings[i].name, text, kept);
  }
  return PYNN_OK;
}

static double number_of(const pynn_checkpoint *c, const char *name) {
  const pynn_vector *vector = checkpoint_find(c, name);
  double real;
  int64_t wide;
  int32_t narrow;
  if (vector->dtype == PYNN_FLOAT64) return memcpy(&real, vector->data, sizeof real), real;
  if (vector->dtype == PYNN_INT64) return memcpy(&wide, vector->data, sizeof wide), (double)wide;
  return memcpy(&narrow, vector->data, sizeof narrow), (double)narrow;
}

/* Checks rows that depend on one another. */
static pynn_status check_together(const pynn_checkpoint *c, const pynn_trainer *t, pynn_error *error) {
  static const char *const names[][3] = {{"pynn.snapshot.0.good", "pynn.snapshot.0.values", "pynn.snapshot.0.state"},
                                         {"pynn.snapshot.1.good", "pynn.snapshot.1.values", "pynn.snapshot.1.state"}};
  const int64_t sizes[] = {0, t->model->n_parameters * (1 + t->optimizer->n_slots), t->model->n_state};
  for (int i = 0; i < 2 * SNAPSHOTS; i++)
    if ((number_of(c, names[i / 2][0]) != 0) != (checkpoint_find(c, names[i / 2][1 + i % 2])->count > 0) &&
        sizes[1 + i % 2] > 0)
      return fail(error, PYNN_ERROR_FILE_FORMAT, "expected the numbers of a good snapshot; received '%s' without them",
                  names[i / 2][0]);
  if (number_of(c, "pynn.guard.n_losses") >= (double)t->watch.options.window)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected fewer losses than a window has; received %g",
                number_of(c, "pynn.guard.n_losses"));
  const double rate = number_of(c, "pynn.learning_rate"), factor = number_of(c, "pynn.rate_factor");
  pynn_spec spec = t->spec;
  if (!t->scheduled && pynn_spec_set(&spec, "learning_rate", rate) != PYNN_OK)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected a learning rate that the optimizer accepts; received %g",
                rate);
  if (!(factor > 0 && factor <= DBL_MAX))
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected a finite factor of the schedule above 0; received %g", factor);
  return PYNN_OK;
}

pynn_status pynn_checkpoint_restore(const pynn_checkpoint *c, pynn_trainer *t, pynn_error *error) {
  if (!c || !t) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a checkpoint and a trainer; received NULL");
  pynn_status status = check_model(c->model, t->model, error);
  if (!status) status = check_settings(c, t, error);
  for (int32_t i = 0; i < N_ROWS && !status; i++)
    status = row_check(&checkpoint_rows[i], checkpoint_find(c, checkpoint_rows[i].name), t, error);
  if (!status) status = check_together(c, t, error);
  if (status) return status;
  model_copy(t->model, c->model);
  for (int32_t i = 0; i < N_ROWS; i++) {
    const pynn_vector *vector = checkpoint_find(c, checkpoint_rows[i].name);
    char *packed = (char *)c->vectors.block + ((const char *)vector->data - (const char *)c->vectors.block);
    row_copy(&checkpoint_rows[i], t, packed, vector->count, 1);
  }
  trainer_measure(t);
  return PYNN_OK;
}
