/* Names: the tables as the public sees them, and specs chosen from them. */
#include "names/tables.h"

#include "kernels/kernels.h"
#include "layers/kinds.h"
#include "names/initializers.h"
#include "names/schedules.h"

#include <math.h>
#include <string.h>

/* Names and numbers are the same in every dtype and target: the baseline's tables serve. */
static const struct kernels *const kernels = &pynn_kernels_f32_baseline;

int32_t pynn_table_size(pynn_table table) {
  switch (table) {
    case PYNN_ACTIVATION: return kernels->n_activations;
    case PYNN_LOSS: return kernels->n_losses;
    case PYNN_OPTIMIZER: return kernels->n_optimizers;
    case PYNN_INITIALIZER: return pynn_n_initializers;
    case PYNN_LAYER: return n_layer_kinds;
    case PYNN_SCHEDULE: return pynn_n_schedules;
    case PYNN_REGULARIZER: return kernels->n_regularizers;
    case PYNN_CONSTRAINT: return kernels->n_constraints;
  }
  return 0;
}

const pynn_row *pynn_table_row(pynn_table table, int32_t index) {
  if (index < 0 || index >= pynn_table_size(table)) return NULL;
  switch (table) {
    case PYNN_ACTIVATION: return &kernels->activations[index].row;
    case PYNN_LOSS: return &kernels->losses[index].row;
    case PYNN_OPTIMIZER: return &kernels->optimizers[index].row;
    case PYNN_INITIALIZER: return &pynn_initializers[index].row;
    case PYNN_LAYER: return &layer_kinds[index]->row;
    case PYNN_SCHEDULE: return &pynn_schedules[index].row;
    case PYNN_REGULARIZER: return &kernels->regularizers[index].row;
    case PYNN_CONSTRAINT: return &kernels->constraints[index].row;
  }
  return NULL;
}

/* Whether `name` is one of the space-separated `words`. */
static int among(const char *words, const char *name) {
  size_t length = strlen(name);
  for (const char *word = words; word && *word && length;) {
    size_t n = strcspn(word, " ");
    if (n == length && !memcmp(word, name, n)) return 1;
    word += n + (word[n] == ' ');
  }
  return 0;
}

pynn_status pynn_spec_named(pynn_spec *out, pynn_table table, const char *name) {
  if (!out || !name) return PYNN_ERROR_INVALID_ARGUMENT;
  const pynn_row *row;
  for (int32_t i = 0; (row = pynn_table_row(table, i)); i++) {
    if (strcmp(row->name, name) && !among(row->aliases, name)) continue;
    *out = (pynn_spec){.table = (int32_t)table, .row = i};
    for (int32_t f = 0; f < row->n_fields; f++) out->values[f] = row->fields[f].value;
    return PYNN_OK;
  }
  return PYNN_ERROR_UNKNOWN_NAME;
}

static int field_accepts(const pynn_field *field, double value) {
  if (!isfinite(value) || value < field->minimum || value > field->maximum) return 0;
  if ((field->flags & PYNN_FIELD_OPEN_MINIMUM) && value == field->minimum) return 0;
  if ((field->flags & PYNN_FIELD_OPEN_MAXIMUM) && value == field->maximum) return 0;
  return !(field->flags & (PYNN_FIELD_INTEGER | PYNN_FIELD_BOOLEAN)) || value == floor(value);
}

static int32_t field_index(const pynn_row *row, const char *name) {
  for (int32_t f = 0; row && name && f < row->n_fields; f++)
    if (!strcmp(row->fields[f].name, name)) return f;
  return -1;
}

pynn_status pynn_spec_set(pynn_spec *spec, const char *field, double value) {
  const pynn_row *row = spec ? pynn_table_row((pynn_table)spec->table, spec->row) : NULL;
  int32_t f = field_index(row, field);
  if (f < 0) return PYNN_ERROR_UNKNOWN_NAME;
  if (!field_accepts(&row->fields[f], value)) return PYNN_ERROR_INVALID_ARGUMENT;
  spec->values[f] = value;
  return PYNN_OK;
}

double pynn_spec_get(const pynn_spec *spec, const char *field) {
  int32_t f = field_index(spec ? pynn_table_row((pynn_table)spec->table, spec->row) : NULL, field);
  return f < 0 ? (double)NAN : spec->values[f];
}

int spec_valid(const pynn_spec *spec, pynn_table table) {
  const pynn_row *row = spec->table == (int32_t)table ? pynn_table_row(table, spec->row) : NULL;
  if (!row) return 0;
  for (int32_t f = 0; f < row->n_fields; f++)
    if (!field_accepts(&row->fields[f], spec->values[f])) return 0;
  return 1;
}
