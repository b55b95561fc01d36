/* The rows of checkpoints. */
#include "file/checkpoint_rows.h"

#include "file/schema.h"

#include <inttypes.h>
#include <string.h>

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
const struct row checkpoint_rows[] = {
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
_Static_assert(sizeof checkpoint_rows / sizeof *checkpoint_rows == N_ROWS, "N_ROWS counts the rows");

int checkpoint_covers(size_t offset) {
  for (int32_t i = 0; i < N_ROWS; i++) {
    const struct row *row = &checkpoint_rows[i];
    if (row->base != itself) continue;
    const size_t size = pynn_dtype_size((pynn_dtype)row->dtype), stride = row->stride ? row->stride : size;
    const size_t span = (size_t)row->count(NULL) * stride;
    if (offset >= row->offset && offset < row->offset + span && (offset - row->offset) % stride < size) return 1;
  }
  return 0;
}

pynn_dtype row_dtype(const struct row *row, const pynn_model *model) {
  return row->dtype == REAL ? model->dtype : (pynn_dtype)row->dtype;
}

int64_t row_count(const struct row *row, const pynn_trainer *t) {
  return row->base((pynn_trainer *)t, row->index) ? row->count(t) : 0;
}

static int row_of_snapshot(const struct row *row) {
  return row->base == snapshot || row->base == snapshot_average || row->base == snapshot_state;
}

int row_of_optimizer(const struct row *row) { return row->base == slot; }

int row_wanted(const struct row *row, const pynn_trainer *t) {
  return !row_of_snapshot(row) || t->watch.snapshots[row->index].good;
}

void row_copy(const struct row *row, pynn_trainer *t, char *packed, int64_t count, int back) {
  const size_t size = pynn_dtype_size(row_dtype(row, t->model)), stride = row->stride ? row->stride : size;
  char *at = count > 0 ? (char *)row->base(t, row->index) + row->offset : NULL;
  const size_t run = stride == size ? (size_t)count * size : size;
  for (const char *end = packed + (size_t)count * size; packed < end; packed += run, at += stride)
    memcpy(back ? at : packed, back ? packed : at, run);
}

/* ---------------------------------------------------------------- settings */

static void put_optimizer(struct json_writer *writer, const pynn_trainer *t) {
  json_put(writer, "{");
  schema_put_spec(writer, "name", &t->spec, "learning_rate");
  json_put(writer, "}");
}

static void put_clip_norm(struct json_writer *writer, const pynn_trainer *t) { json_put_number(writer, t->clip_norm); }

static void put_mixup(struct json_writer *writer, const pynn_trainer *t) { json_put_number(writer, t->mixup); }

static void put_average(struct json_writer *writer, const pynn_trainer *t) {
  const pynn_average *a = &t->average.options;
  const double numbers[] = {t->average.values != NULL, a->decay, (double)a->start, (double)a->every};
  json_put_numbers(writer, numbers, t->average.values ? 4 : 0);
}

static void put_key(struct json_writer *writer, const pynn_trainer *t) { json_put_unsigned(writer, t->dropout_key); }

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
  schema_put_spec(writer, "name", &s->spec, NULL);
  json_put_key(writer, "warmup");
  json_put_numbers(writer, warmup, 2);
  json_put_key(writer, "boundaries");
  json_put_numbers(writer, boundaries, s->n_boundaries);
  json_put_key(writer, "values");
  json_put_numbers(writer, s->values, s->n_boundaries ? s->n_boundaries + 1 : 0);
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

const struct setting checkpoint_settings[] = {
    {"pynn.average", "average of parameters", put_average},
    {"pynn.clip_norm", "clip_norm", put_clip_norm},
    {"pynn.guard", "guard", put_guard},
    {"pynn.key", "seed of dropout", put_key},
    {"pynn.mixup", "mixup", put_mixup},
    {"pynn.optimizer", "optimizer", put_optimizer},
    {"pynn.schedule", "schedule", put_schedule},
};
_Static_assert(sizeof checkpoint_settings / sizeof *checkpoint_settings == N_SETTINGS,
               "N_SETTINGS counts the settings");

void setting_write(int32_t i, const pynn_trainer *t, char out[SETTING]) {
  struct json_writer writer = {.out = out, .capacity = SETTING - 1};
  checkpoint_settings[i].put(&writer, t);
  out[writer.size < SETTING ? writer.size : SETTING - 1] = '\0';
}

/* ---------------------------------------------------------------- checks */

/* A whole number at `at`, as a double; for a real number one that the row accepts. */
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

pynn_status row_check(const struct row *row, const pynn_vector *vector, const pynn_trainer *t, pynn_error *error) {
  const pynn_dtype dtype = row_dtype(row, t->model);
  const size_t size = pynn_dtype_size(dtype);
  const int64_t room = row_count(row, t);
  if (!vector)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a checkpoint of this version with a vector '%s'; received none", row->name);
  if (vector->dtype != dtype || (vector->count != room && (vector->count != 0 || !row_of_snapshot(row))))
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
