/* Checkpoints: copies of a trainer's state, and files of them beside the model. */
#include "file/checkpoint.h"

#include "graph/layer.h"
#include "model/model.h"
#include "train/guard.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- a copy */

static pynn_status make_vectors(pynn_checkpoint *c, const pynn_trainer *t) {
  struct file_vectors *v = &c->vectors;
  v->capacity = v->n = N_ROWS;
  for (int32_t i = 0; i < N_ROWS; i++)
    v->size += (size_t)row_count(&checkpoint_rows[i], t) * pynn_dtype_size(row_dtype(&checkpoint_rows[i], t->model));
  v->list = context_allocate(c->context, (size_t)v->capacity, sizeof *v->list);
  v->block = context_allocate(c->context, v->size, 1);
  c->settings = context_allocate(c->context, N_SETTINGS, sizeof *c->settings);
  if (!v->list || !v->block || !c->settings) return PYNN_ERROR_OUT_OF_MEMORY;
  char *data = v->block;
  for (int32_t i = 0; i < N_ROWS; i++) {
    const pynn_dtype dtype = row_dtype(&checkpoint_rows[i], t->model);
    v->list[i] = (pynn_vector){.name = checkpoint_rows[i].name, .dtype = dtype, .data = data};
    data += (size_t)row_count(&checkpoint_rows[i], t) * pynn_dtype_size(dtype);
  }
  return PYNN_OK;
}

pynn_status pynn_checkpoint_new(pynn_checkpoint **out, const pynn_trainer *t, pynn_error *error) {
  if (!out || !t) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out and a trainer; received NULL");
  const pynn_context *context = t->model->context;
  pynn_checkpoint *c = context_allocate(context, 1, sizeof *c);
  if (!c) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a checkpoint; received none");
  c->context = context;
  pynn_status status = model_like(&c->model, t->model, t->model->dtype, error);
  if (!status && make_vectors(c, t) != PYNN_OK)
    status = fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a copy of the state; received none");
  if (!status) status = pynn_checkpoint_take(c, t, error);
  if (status) {
    pynn_checkpoint_free(c);
    return status;
  }
  *out = c;
  return PYNN_OK;
}

void pynn_checkpoint_free(pynn_checkpoint *c) {
  if (!c) return;
  const pynn_context *context = c->context;
  context_release(context, c->settings, N_SETTINGS, sizeof *c->settings);
  file_release(context, &c->vectors);
  pynn_model_free(c->model);
  context_release(context, c, 1, sizeof *c);
}

/* Bytes from a row's place in the block to the next one's. */
static size_t row_room(const pynn_checkpoint *c, int32_t i) {
  const struct file_vectors *v = &c->vectors;
  const char *end = i + 1 < v->n ? v->list[i + 1].data : (const char *)v->block + v->size;
  return (size_t)(end - (const char *)v->list[i].data);
}

static int same_size(const pynn_checkpoint *c, const pynn_trainer *t) {
  if (!c->settings || c->model->n_parameters != t->model->n_parameters || c->model->n_state != t->model->n_state ||
      c->model->dtype != t->model->dtype || c->model->n_layers != t->model->n_layers)
    return 0;
  for (int32_t i = 0; i < N_ROWS; i++)
    if (row_room(c, i) !=
        (size_t)row_count(&checkpoint_rows[i], t) * pynn_dtype_size(row_dtype(&checkpoint_rows[i], t->model)))
      return 0;
  return 1;
}

pynn_status pynn_checkpoint_take(pynn_checkpoint *c, const pynn_trainer *t, pynn_error *error) {
  if (!c || !t) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a checkpoint and a trainer; received NULL");
  if (!same_size(c, t))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected the trainer that this checkpoint was made for, under its guard; received another");
  model_copy(c->model, t->model);
  for (int32_t i = 0; i < N_ROWS; i++) {
    pynn_vector *vector = &c->vectors.list[i];
    vector->count = row_wanted(&checkpoint_rows[i], t) ? row_count(&checkpoint_rows[i], t) : 0;
    char *packed = (char *)c->vectors.block + ((const char *)vector->data - (const char *)c->vectors.block);
    row_copy(&checkpoint_rows[i], (pynn_trainer *)t, packed, vector->count, 0);
  }
  for (int32_t i = 0; i < N_SETTINGS; i++) setting_write(i, t, c->settings[i]);
  c->suspect = guard_suspects(&t->watch);
  return PYNN_OK;
}

/* ---------------------------------------------------------------- writing */

static pynn_status check_sound(const pynn_checkpoint *c, pynn_error *error) {
  const struct kernels *kernels = c->model->kernels;
  int finite = kernels->largest((size_t)c->model->n_parameters, c->model->parameters) <= kernels->maximum;
  for (int32_t i = 0; i < c->vectors.n && finite; i++) {
    const pynn_vector *vector = &c->vectors.list[i];
    if (row_of_optimizer(&checkpoint_rows[i]))
      finite = kernels->largest((size_t)vector->count, vector->data) <= kernels->maximum;
  }
  if (finite && !c->suspect) return PYNN_OK;
  return fail(error, PYNN_ERROR_NUMERIC, "expected a good state to write; received %s; the old file was left alone",
              finite ? "one that the guard suspects" : "one with numbers that are not finite");
}

/* Everything that a file gets: the library's texts and vectors, then the caller's. */
struct all {
  pynn_metadata *entries;
  pynn_vector *vectors;
  size_t n_entries, n_vectors;
};

static pynn_status write_all(const pynn_checkpoint *c, const char *path, struct all *all, const pynn_metadata *entries,
                             const pynn_vector *vectors, pynn_error *error) {
  const size_t own = N_SETTINGS, rest = all->n_entries - own;
  for (size_t i = 0; i < own; i++) all->entries[i] = (pynn_metadata){checkpoint_settings[i].key, c->settings[i]};
  if (rest > 0) memcpy(all->entries + own, entries, rest * sizeof *entries);
  memcpy(all->vectors, c->vectors.list, N_ROWS * sizeof *vectors);
  if (all->n_vectors > N_ROWS) memcpy(all->vectors + N_ROWS, vectors, (all->n_vectors - N_ROWS) * sizeof *vectors);
  return file_save(c->model, path, all->entries, (int32_t)all->n_entries, all->vectors, (int32_t)all->n_vectors, error);
}

pynn_status pynn_checkpoint_write(const pynn_checkpoint *c, const char *path, const pynn_metadata *entries,
                                  int32_t n_entries, const pynn_vector *vectors, int32_t n_vectors, pynn_error *error) {
  if (!c || !c->settings || !path || n_entries < 0 || (n_entries > 0 && !entries) || n_vectors < 0 ||
      (n_vectors > 0 && !vectors))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a checkpoint made by _new, a path, entries and vectors; received NULL or another");
  if (n_entries > INT32_MAX - N_SETTINGS || n_vectors > FILE_VECTORS - N_ROWS)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected at most %" PRId32 " vectors; received %" PRId32,
                (int32_t)FILE_VECTORS - N_ROWS, n_vectors);
  pynn_status status = file_check_names(entries, n_entries, vectors, n_vectors, error);
  if (!status) status = check_sound(c, error);
  if (status) return status;
  struct all all = {.n_entries = (size_t)(n_entries + N_SETTINGS), .n_vectors = (size_t)(n_vectors + N_ROWS)};
  all.entries = context_allocate(c->context, all.n_entries, sizeof *all.entries);
  all.vectors = context_allocate(c->context, all.n_vectors, sizeof *all.vectors);
  if (all.entries && all.vectors) status = write_all(c, path, &all, entries, vectors, error);
  else status = fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a list of entries; received none");
  context_release(c->context, all.entries, all.n_entries, sizeof *all.entries);
  context_release(c->context, all.vectors, all.n_vectors, sizeof *all.vectors);
  return status;
}

pynn_status pynn_checkpoint_save(const pynn_trainer *t, const char *path, const pynn_metadata *entries,
                                 int32_t n_entries, const pynn_vector *vectors, int32_t n_vectors, pynn_error *error) {
  pynn_checkpoint *c = NULL;
  pynn_status status = pynn_checkpoint_new(&c, t, error);
  if (!status) status = pynn_checkpoint_write(c, path, entries, n_entries, vectors, n_vectors, error);
  pynn_checkpoint_free(c);
  return status;
}

/* ---------------------------------------------------------------- reading */

static pynn_status finish_load(pynn_checkpoint **out, pynn_checkpoint *c, pynn_status status, pynn_error *error) {
  for (int32_t i = 0; i < N_SETTINGS && !status; i++)
    if (!pynn_model_metadata(c->model, checkpoint_settings[i].key))
      status = fail(error, PYNN_ERROR_FILE_FORMAT,
                    "expected a checkpoint; received a file without its %s, as a model's", checkpoint_settings[i].name);
  if (status) pynn_checkpoint_free(c);
  else *out = c;
  return status;
}

static pynn_status begin_load(pynn_checkpoint **c, const pynn_context *context, pynn_error *error) {
  *c = context_allocate(context, 1, sizeof **c);
  if (!*c) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a checkpoint; received none");
  (*c)->context = context;
  return PYNN_OK;
}

pynn_status pynn_checkpoint_load(pynn_checkpoint **out, const pynn_context *context, const char *path,
                                 pynn_error *error) {
  if (!out || !context || !path)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a context and a path; received NULL");
  pynn_checkpoint *c;
  pynn_status status = begin_load(&c, context, error);
  if (status) return status;
  return finish_load(out, c, file_load(&c->model, &c->vectors, context, path, error), error);
}

pynn_status pynn_checkpoint_load_memory(pynn_checkpoint **out, const pynn_context *context, const void *bytes,
                                        size_t size, pynn_error *error) {
  if (!out || !context || (!bytes && size > 0))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a context and bytes; received NULL");
  pynn_checkpoint *c;
  pynn_status status = begin_load(&c, context, error);
  if (status) return status;
  return finish_load(out, c, file_load_memory(&c->model, &c->vectors, context, bytes, size, error), error);
}

const pynn_model *pynn_checkpoint_model(const pynn_checkpoint *c) { return c ? c->model : NULL; }

const char *pynn_checkpoint_entry(const pynn_checkpoint *c, const char *key) {
  return c ? pynn_model_metadata(c->model, key) : NULL;
}

int32_t pynn_checkpoint_n_vectors(const pynn_checkpoint *c) { return c ? c->vectors.n : 0; }

pynn_status pynn_checkpoint_vector_at(const pynn_checkpoint *c, int32_t index, pynn_vector *out) {
  if (!c || !out || index < 0 || index >= c->vectors.n) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = c->vectors.list[index];
  return PYNN_OK;
}

const pynn_vector *checkpoint_find(const pynn_checkpoint *c, const char *name) {
  for (int32_t i = 0; i < c->vectors.n; i++)
    if (strcmp(c->vectors.list[i].name, name) == 0) return &c->vectors.list[i];
  return NULL;
}

pynn_status pynn_checkpoint_vector(const pynn_checkpoint *c, const char *name, pynn_vector *out) {
  const pynn_vector *vector = c && name && out ? checkpoint_find(c, name) : NULL;
  if (!vector) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = *vector;
  return PYNN_OK;
}
