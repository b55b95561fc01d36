/* Checkpoints: a trainer's state as vectors, one row of a table for each, beside its model in a file.
 *
 * A row says where in the trainer its numbers are. Copying, writing, reading and checking all follow the table;
 * whatever a later step depends on and is not the model's needs a row here. Settings are what must be the same in the
 * trainer that goes on; they are kept as texts and compared as texts. */
#include "file/checkpoint.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "file/file.h"
#include "graph/layer.h"
#include "names/tables.h"
#include "train/trainer.h"

enum { SETTING = 5120 }; /* bytes of a setting's text, NUL included: a schedule with all its boundaries fits */

struct pynn_checkpoint {
  const pynn_context *context;
  pynn_model *model;           /* of a loaded one: with the file's texts */
  struct file_vectors vectors; /* of a copy: in the order of the table */
  char (*settings)[SETTING];   /* of a copy: in the order of theirs; NULL: loaded */
  int suspect;                 /* the guard had doubts */
};

/* ---------------------------------------------------------------- the table */

static int64_t one(const pynn_trainer *t) {
  (void)t;
  return 1;
}
static int64_t window(const pynn_trainer *t) {
  (void)t;
  return PYNN_GUARD_WINDOW;
}
static int64_t ring(const pynn_trainer *t) {
  (void)t;
  return PYNN_EVENTS;
}
static int64_t parameters(const pynn_trainer *t) { return t->model->n_parameters; }
static int64_t state(const pynn_trainer *t) { return t->model->n_parameters * (1 + t->optimizer->n_slots); }
static int64_t model_state(const pynn_trainer *t) { return t->model->n_state; }
static int64_t layers(const pynn_trainer *t) { return t->statistics ? t->model->n_layers : 0; }
static int64_t units(const pynn_trainer *t) {
  int64_t n = 0;
  for (int32_t i = 0; t->w->alive && i < t->model->n_layers; i++) n += t->model->layers[i].units;
  return n;
}

/* Where a row's memory begins; NULL: there is none. */
static void *itself(pynn_trainer *t, int index) {
  (void)index;
  return t;
}
static void *slot(pynn_trainer *t, int index) { return t->slots[index]; }
static void *snapshot(pynn_trainer *t, int index) { return t->watch.snapshots[index].values; }
static void *snapshot_average(pynn_trainer *t, int index) { return t->watch.snapshots[index].average; }
static void *average(pynn_trainer *t, int index) {
  (void)index;
  return t->average.values;
}
static void *snapshot_state(pynn_trainer *t, int index) { return t->watch.snapshots[index].state; }
static void *statistics(pynn_trainer *t, int index) {
  (void)index;
  return t->statistics;
}
static void *alive(pynn_trainer *t, int index) {
  (void)index;
  return t->w->alive;
}

struct row {
  const char *name;
  int dtype; /* a pynn_dtype, or REAL */
  void *(*base)(pynn_trainer *, int index);
  int index;
  int64_t (*count)(const pynn_trainer *);
  size_t offset, stride; /* bytes from the base to the first number, and from one to the next */
  double least, most;    /* whole numbers: what they may be */
};

#define REAL (-1) /* the model's dtype */
#define T ((struct pynn_trainer *)0)
#define S ((pynn_statistics *)0)
#define DTYPE(x) _Generic((x), double: PYNN_FLOAT64, int64_t: PYNN_INT64, int32_t: PYNN_INT32, uint32_t: PYNN_UINT32)
#define NUMBER(name, field, least, most) \
  {"pynn." name, DTYPE(T->field), itself, 0, one, offsetof(struct pynn_trainer, field), 0, least, most}
#define EVENT(name, field, least, most)                                       \
  {"pynn.events." name,                                                       \
   DTYPE(T->watch.events[0].field),                                           \
   itself,                                                                    \
   0,                                                                         \
   ring,                                                                      \
   offsetof(struct pynn_trainer, watch.events) + offsetof(pynn_event, field), \
   sizeof(pynn_event),                                                        \
   least,                                                                     \
   most}
#define STATISTIC(name)                                                                  \
  {"pynn.statistics." #name,        DTYPE(S->name),          statistics, 0,      layers, \
   offsetof(pynn_statistics, name), sizeof(pynn_statistics), 0,          LARGEST}
#define VECTOR(name, dtype, base, index, count) {"pynn." name, dtype, base, index, count, 0, 0, 0, 1}
#define LARGEST 0x1p62

/* A number's row or a vector's; a trainer's new field is a row here. */
static const struct row rows[] = {
    NUMBER("steps", steps, 0, LARGEST),
    NUMBER("epoch.loss", epoch_loss, 0, 0),
    NUMBER("epoch.rows", epoch_rows, 0, LARGEST),
    NUMBER("learning_rate", learning_rate, 0, 0),
    NUMBER("rate_factor", rate_factor, 0, 0),
    NUMBER("average.n", average.n, 0, LARGEST),
    VECTOR("average", PYNN_FLOAT64, average, 0, parameters),
    VECTOR("slot.0", REAL, slot, 0, parameters),
    VECTOR("slot.1", REAL, slot, 1, parameters),
    VECTOR("slot.2", REAL, slot, 2, parameters),

    NUMBER("snapshot.0.good", watch.snapshots[0].good, 0, 1),
    NUMBER("snapshot.0.steps", watch.snapshots[0].steps, 0, LARGEST),
    VECTOR("snapshot.0.state", PYNN_FLOAT64, snapshot_state, 0, model_state),
    VECTOR("snapshot.0.values", REAL, snapshot, 0, state),
    NUMBER("snapshot.0.n_averaged", watch.snapshots[0].n_averaged, 0, LARGEST),
    VECTOR("snapshot.0.average", PYNN_FLOAT64, snapshot_average, 0, parameters),
    NUMBER("snapshot.1.good", watch.snapshots[1].good, 0, 1),
    NUMBER("snapshot.1.steps", watch.snapshots[1].steps, 0, LARGEST),
    VECTOR("snapshot.1.state", PYNN_FLOAT64, snapshot_state, 1, model_state),
    VECTOR("snapshot.1.values", REAL, snapshot, 1, state),
    NUMBER("snapshot.1.n_averaged", watch.snapshots[1].n_averaged, 0, LARGEST),
    VECTOR("snapshot.1.average", PYNN_FLOAT64, snapshot_average, 1, parameters),
    NUMBER("snapshot.newest", watch.newest, 0, SNAPSHOTS - 1),
    NUMBER("snapshot.since", watch.since, 0, LARGEST),

    NUMBER("guard.streak", watch.streak, 0, LARGEST),
    NUMBER("guard.rollbacks", watch.rollbacks, 0, LARGEST),
    NUMBER("guard.futile", watch.futile, 0, LARGEST),
    NUMBER("guard.first_loss", watch.first_loss, 0, 0),
    NUMBER("guard.last_loss", watch.last_loss, 0, 0),
    {"pynn.guard.losses", PYNN_FLOAT64, itself, 0, window, offsetof(struct pynn_trainer, watch.losses), 0, 0, 0},
    NUMBER("guard.n_losses", watch.n_losses, 0, PYNN_GUARD_WINDOW - 1),
    NUMBER("guard.best", watch.best, 0, 0),
    NUMBER("guard.recent", watch.recent, 0, 0),
    NUMBER("guard.trivial", watch.trivial, 0, 0),
    NUMBER("guard.n_trivial", watch.n_trivial, 0, LARGEST),
    NUMBER("guard.best_trivial", watch.best_trivial, 0, 0),
    NUMBER("guard.worst", watch.worst, 0, 0),
    NUMBER("guard.window_trivial", watch.window_trivial, 0, 0),
    NUMBER("guard.n_window_trivial", watch.n_window_trivial, 0, LARGEST),
    NUMBER("guard.sampled", watch.sampled, 0, 0),
    NUMBER("guard.constant", watch.constant, 0, 0),
    NUMBER("guard.n_sampled", watch.n_sampled, 0, 0),
    NUMBER("guard.weight_norm", watch.weight_norm, 0, 0),
    NUMBER("guard.ran_away", watch.ran_away, 0, 1),
    NUMBER("guard.bad_steps", watch.bad_steps, 0, INT32_MAX - 1),
    NUMBER("guard.bad_windows", watch.bad_windows, 0, INT32_MAX - 1),
    NUMBER("guard.doublings", watch.doublings, 0, INT32_MAX - 1),
    NUMBER("guard.norm_mean", watch.norm_mean, 0, 0),
    NUMBER("guard.norm_variance", watch.norm_variance, 0, 0),
    NUMBER("guard.n_norms", watch.n_norms, 0, LARGEST),

    NUMBER("events.oldest", watch.first_event, 0, PYNN_EVENTS - 1),
    NUMBER("events.held", watch.n_events, 0, PYNN_EVENTS),
    NUMBER("events.dropped", watch.dropped, 0, LARGEST),
    EVENT("kind", kind, 0, INT32_MAX),
    EVENT("operation", operation, 0, INT32_MAX),
    EVENT("layer", layer, -1, INT32_MAX),
    EVENT("row", row, -1, LARGEST),
    EVENT("column", column, -1, LARGEST),
    EVENT("step", step, 0, LARGEST),
    EVENT("restored", restored, -1, LARGEST),
    EVENT("first", first, 0, LARGEST),
    EVENT("rows", rows, 0, LARGEST),
    EVENT("value", value, 0, 0),
    EVENT("learning_rate", learning_rate, 0, 0),
    EVENT("new_learning_rate", new_learning_rate, 0, 0),

    STATISTIC(step),
    STATISTIC(largest),
    STATISTIC(mean),
    STATISTIC(std),
    STATISTIC(zeros),
    STATISTIC(saturated),
    STATISTIC(tiny),
    STATISTIC(dead),
    STATISTIC(gradient_rms),
    STATISTIC(gradient_zeros),
    STATISTIC(gradient_tiny),
    STATISTIC(weight_norm),
    STATISTIC(update_ratio),
    STATISTIC(updates_lost),
    VECTOR("alive", PYNN_UINT8, alive, 0, units),
};
#define N_ROWS ((int32_t)(sizeof rows / sizeof *rows))

int checkpoint_covers(size_t offset) {
  for (int32_t i = 0; i < N_ROWS; i++) {
    const struct row *row = &rows[i];
    if (row->base != itself) continue;
    const size_t size = pynn_dtype_size((pynn_dtype)row->dtype), stride = row->stride ? row->stride : size;
    const size_t span = (size_t)row->count(NULL) * stride;
    if (offset >= row->offset && offset < row->offset + span && (offset - row->offset) % stride < size) return 1;
  }
  return 0;
}

static pynn_dtype row_dtype(const struct row *row, const pynn_model *model) {
  return row->dtype == REAL ? model->dtype : (pynn_dtype)row->dtype;
}

/* How many numbers the trainer has room for under a row. */
static int64_t row_count(const struct row *row, const pynn_trainer *t) {
  return row->base((pynn_trainer *)t, row->index) ? row->count(t) : 0;
}

static int of_snapshot(const struct row *row) {
  return row->base == snapshot || row->base == snapshot_average || row->base == snapshot_state;
}

/* Whether a row's numbers are kept: those of a snapshot that is not good mean nothing. */
static int row_wanted(const struct row *row, const pynn_trainer *t) {
  return !of_snapshot(row) || t->watch.snapshots[row->index].good;
}

/* Copies a row's numbers out of the trainer, one after the other into `packed`, or back. */
static void copy_row(const struct row *row, pynn_trainer *t, char *packed, int64_t count, int back) {
  const size_t size = pynn_dtype_size(row_dtype(row, t->model)), stride = row->stride ? row->stride : size;
  char *at = count > 0 ? (char *)row->base(t, row->index) + row->offset : NULL;
  const size_t run = stride == size ? (size_t)count * size : size;
  for (const char *end = packed + (size_t)count * size; packed < end; packed += run, at += stride)
    memcpy(back ? at : packed, back ? packed : at, run);
}

/* ---------------------------------------------------------------- settings */

static void put_optimizer(struct json_writer *writer, const pynn_trainer *t) {
  json_put(writer, "{");
  file_put_spec(writer, "name", &t->spec, "learning_rate");
  json_put(writer, "}");
}

static void put_clip_norm(struct json_writer *writer, const pynn_trainer *t) { json_put_number(writer, t->clip_norm); }

static void put_mixup(struct json_writer *writer, const pynn_trainer *t) { json_put_number(writer, t->mixup); }

static void put_list(struct json_writer *writer, const double *numbers, int32_t n) {
  json_put(writer, "[");
  for (int32_t i = 0; i < n; i++) {
    if (i) json_put(writer, ",");
    json_put_number(writer, numbers[i]);
  }
  json_put(writer, "]");
}

static void put_average(struct json_writer *writer, const pynn_trainer *t) {
  const pynn_average *a = &t->average.options;
  const double numbers[] = {t->average.values != NULL, a->decay, (double)a->start, (double)a->every};
  put_list(writer, numbers, t->average.values ? 4 : 0);
}

static void put_key(struct json_writer *writer, const pynn_trainer *t) { json_put_unsigned(writer, t->dropout_key); }

static void put_numbers(struct json_writer *writer, const char *name, const double *numbers, int32_t n) {
  json_put(writer, ",");
  json_put_string(writer, name);
  json_put(writer, ":[");
  for (int32_t i = 0; i < n; i++) {
    if (i > 0) json_put(writer, ",");
    json_put_number(writer, numbers[i]);
  }
  json_put(writer, "]");
}

static void put_schedule(struct json_writer *writer, const pynn_trainer *t) {
  const pynn_schedule *s = &t->schedule;
  if (!t->scheduled) {
    json_put(writer, "null");
    return;
  }
  double boundaries[PYNN_MAX_BOUNDARIES];
  const double warmup[] = {(double)s->warmup_steps, s->warmup_start_factor};
  for (int32_t i = 0; i < s->n_boundaries; i++) boundaries[i] = (double)s->boundaries[i];
  json_put(writer, "{");
  file_put_spec(writer, "name", &s->spec, NULL);
  put_numbers(writer, "warmup", warmup, 2);
  put_numbers(writer, "boundaries", boundaries, s->n_boundaries);
  put_numbers(writer, "values", s->values, s->n_boundaries ? s->n_boundaries + 1 : 0);
  json_put(writer, "}");
}

static void put_guard(struct json_writer *writer, const pynn_trainer *t) {
  const pynn_guard *g = &t->watch.options;
  const struct {
    const char *name;
    double value;
  } fields[] = {
      {"policy", (double)g->policy},
      {"streak", (double)g->streak},
      {"max_rollbacks", (double)g->max_rollbacks},
      {"backoff", g->backoff},
      {"snapshot_every", (double)g->snapshot_every},
      {"divergence", g->divergence},
      {"window", (double)g->window},
      {"clip_z", g->clip_z},
      {"clip_alpha", g->clip_alpha},
      {"check_every", (double)g->check_every},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    json_put(writer, i == 0 ? "{" : ",");
    json_put_string(writer, fields[i].name);
    json_put(writer, ":");
    json_put_number(writer, fields[i].value);
  }
  json_put(writer, "}");
}

static const struct {
  const char *key, *name;
  void (*put)(struct json_writer *, const pynn_trainer *);
} settings[] = {
    {"pynn.average", "average of parameters", put_average},
    {"pynn.clip_norm", "clip_norm", put_clip_norm},
    {"pynn.guard", "guard", put_guard},
    {"pynn.key", "seed of dropout", put_key},
    {"pynn.mixup", "mixup", put_mixup},
    {"pynn.optimizer", "optimizer", put_optimizer},
    {"pynn.schedule", "schedule", put_schedule},
};
#define N_SETTINGS ((int32_t)(sizeof settings / sizeof *settings))

static void write_setting(int32_t i, const pynn_trainer *t, char out[SETTING]) {
  struct json_writer writer = {.out = out, .capacity = SETTING - 1};
  settings[i].put(&writer, t);
  out[writer.size < SETTING ? writer.size : SETTING - 1] = '\0';
}

/* ---------------------------------------------------------------- a copy */

static pynn_status make_vectors(pynn_checkpoint *c, const pynn_trainer *t) {
  struct file_vectors *v = &c->vectors;
  v->capacity = v->n = N_ROWS;
  for (int32_t i = 0; i < N_ROWS; i++)
    v->size += (size_t)row_count(&rows[i], t) * pynn_dtype_size(row_dtype(&rows[i], t->model));
  v->list = context_allocate(c->context, (size_t)v->capacity, sizeof *v->list);
  v->block = context_allocate(c->context, v->size, 1);
  c->settings = context_allocate(c->context, N_SETTINGS, sizeof *c->settings);
  if (!v->list || !v->block || !c->settings) return PYNN_ERROR_OUT_OF_MEMORY;
  char *data = v->block;
  for (int32_t i = 0; i < N_ROWS; i++) {
    const pynn_dtype dtype = row_dtype(&rows[i], t->model);
    v->list[i] = (pynn_vector){.name = rows[i].name, .dtype = dtype, .data = data};
    data += (size_t)row_count(&rows[i], t) * pynn_dtype_size(dtype);
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
    if (row_room(c, i) != (size_t)row_count(&rows[i], t) * pynn_dtype_size(row_dtype(&rows[i], t->model))) return 0;
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
    vector->count = row_wanted(&rows[i], t) ? row_count(&rows[i], t) : 0;
    char *packed = (char *)c->vectors.block + ((const char *)vector->data - (const char *)c->vectors.block);
    copy_row(&rows[i], (pynn_trainer *)t, packed, vector->count, 0);
  }
  for (int32_t i = 0; i < N_SETTINGS; i++) write_setting(i, t, c->settings[i]);
  c->suspect = guard_suspects(&t->watch);
  return PYNN_OK;
}

/* ---------------------------------------------------------------- writing */

static pynn_status check_sound(const pynn_checkpoint *c, pynn_error *error) {
  const struct kernels *kernels = c->model->kernels;
  int finite = kernels->largest((size_t)c->model->n_parameters, c->model->parameters) <= kernels->maximum;
  for (int32_t i = 0; i < c->vectors.n && finite; i++) {
    const pynn_vector *vector = &c->vectors.list[i];
    if (rows[i].base == slot) finite = kernels->largest((size_t)vector->count, vector->data) <= kernels->maximum;
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
  for (size_t i = 0; i < own; i++) all->entries[i] = (pynn_metadata){settings[i].key, c->settings[i]};
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
    if (!pynn_model_metadata(c->model, settings[i].key))
      status = fail(error, PYNN_ERROR_FILE_FORMAT,
                    "expected a checkpoint; received a file without its %s, as a model's", settings[i].name);
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

static const pynn_vector *find(const pynn_checkpoint *c, const char *name) {
  for (int32_t i = 0; i < c->vectors.n; i++)
    if (strcmp(c->vectors.list[i].name, name) == 0) return &c->vectors.list[i];
  return NULL;
}

pynn_status pynn_checkpoint_vector(const pynn_checkpoint *c, const char *name, pynn_vector *out) {
  const pynn_vector *vector = c && name && out ? find(c, name) : NULL;
  if (!vector) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = *vector;
  return PYNN_OK;
}

/* ---------------------------------------------------------------- going on */

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

static int same_layer(const struct layer *left, const struct layer *right) {
  const pynn_layer *a = &left->spec, *b = &right->spec;
  int same = same_spec(&a->kind, &b->kind) && !strcmp(left->custom.name, right->custom.name);
  for (int i = 0; i < N_LAYER_SPECS && same; i++)
    same = !(left->kind->specs >> i & 1) || same_spec(layer_spec(a, i), layer_spec(b, i));
  return same && a->n_columns == b->n_columns && same_list(a->columns, b->columns, a->n_columns) &&
         same_list(a->sizes, b->sizes, a->n_columns);
}

static pynn_status check_model(const pynn_model *kept, const pynn_model *model, pynn_error *error) {
  const struct {
    const char *what;
    uint64_t expected, received;
  } numbers[] = {{"dtype of bytes", pynn_dtype_size(model->dtype), pynn_dtype_size(kept->dtype)},
                 {"inputs", (uint64_t)model->inputs, (uint64_t)kept->inputs},
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
    write_setting(i, t, text);
    const char *kept = c->settings ? c->settings[i] : pynn_model_metadata(c->model, settings[i].key);
    if (strcmp(text, kept) != 0) return differs(error, settings[i].name, text, kept);
  }
  return PYNN_OK;
}

/* A whole number at `at`, as a double; what is no whole number passes as one that `row` accepts. */
static double whole(const struct row *row, const char *at) {
  int64_t wide;
  int32_t narrow;
  switch (row->dtype) {
    case PYNN_INT64: return memcpy(&wide, at, sizeof wide), (double)wide;
    case PYNN_INT32:
    case PYNN_UINT32: return memcpy(&narrow, at, sizeof narrow), (double)narrow;
    default: return row->least;
  }
}

static pynn_status check_row(const struct row *row, const pynn_vector *vector, const pynn_trainer *t,
                             pynn_error *error) {
  const pynn_dtype dtype = row_dtype(row, t->model);
  const size_t size = pynn_dtype_size(dtype);
  const int64_t room = row_count(row, t);
  if (!vector)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a checkpoint of this version with a vector '%s'; received none", row->name);
  if (vector->dtype != dtype || (vector->count != room && (vector->count != 0 || !of_snapshot(row))))
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected %" PRId64 " numbers as '%s'; received %" PRId64 "%s", room,
                row->name, vector->count, vector->dtype == dtype ? "" : " of another dtype");
  for (int64_t i = 0; i < vector->count; i++) {
    const double number = whole(row, (const char *)vector->data + (size_t)i * size);
    if (!(number >= row->least && number <= row->most) && row->dtype != PYNN_FLOAT64)
      return fail(error, PYNN_ERROR_FILE_FORMAT, "expected '%s' in %g ... %g; received %g", row->name, row->least,
                  row->most, number);
  }
  return PYNN_OK;
}

static double number_of(const pynn_checkpoint *c, const char *name) {
  const pynn_vector *vector = find(c, name);
  double real;
  int64_t wide;
  int32_t narrow;
  if (vector->dtype == PYNN_FLOAT64) return memcpy(&real, vector->data, sizeof real), real;
  if (vector->dtype == PYNN_INT64) return memcpy(&wide, vector->data, sizeof wide), (double)wide;
  return memcpy(&narrow, vector->data, sizeof narrow), (double)narrow;
}

/* What rows promise one another. */
static pynn_status check_together(const pynn_checkpoint *c, const pynn_trainer *t, pynn_error *error) {
  static const char *const names[][3] = {{"pynn.snapshot.0.good", "pynn.snapshot.0.values", "pynn.snapshot.0.state"},
                                         {"pynn.snapshot.1.good", "pynn.snapshot.1.values", "pynn.snapshot.1.state"}};
  const int64_t sizes[] = {0, state(t), model_state(t)};
  for (int i = 0; i < 2 * SNAPSHOTS; i++)
    if ((number_of(c, names[i / 2][0]) != 0) != (find(c, names[i / 2][1 + i % 2])->count > 0) && sizes[1 + i % 2] > 0)
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
  for (int32_t i = 0; i < N_ROWS && !status; i++) status = check_row(&rows[i], find(c, rows[i].name), t, error);
  if (!status) status = check_together(c, t, error);
  if (status) return status;
  model_copy(t->model, c->model);
  for (int32_t i = 0; i < N_ROWS; i++) {
    const pynn_vector *vector = find(c, rows[i].name);
    char *packed = (char *)c->vectors.block + ((const char *)vector->data - (const char *)c->vectors.block);
    copy_row(&rows[i], t, packed, vector->count, 1);
  }
  trainer_measure(t);
  return PYNN_OK;
}
