/* A step as the sum of shards.
 *
 *   batch of n rows, S shards:  shard k has rows/S rows, the first rows mod S of them one more; empty ones come last
 *   process p of N:             computes shards p S/N ... (p+1) S/N - 1
 *   sum over shards             ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)), without those that are empty
 *
 * The tree is the same whoever computes a shard, so the bits do not depend on N. Below the processes it is added here;
 * above them each process gets its part of everybody's gradient, adds the parts, and gives the sum to all. All else
 * that is summed (loss, penalty, largest values, proposed state, statistics) is one vector of doubles, a tally. */
#include "train/shards.h"

#include "graph/job.h"
#include "graph/layer.h"
#include "pass/loss.h"

#include <math.h>
#include <string.h>

/* ---- tallies: the head, largest values of each layer, changes of the state, what each layer was seen to do */

enum { ROWS, LOSS, PENALTY, STATUS, STOPS, LOOKED, TOLD, TRIVIAL, SAMPLED, CONSTANT, HEAD };
enum { OBSERVED = 7 }; /* numbers of a struct observed */

static int64_t changes_at(const pynn_trainer *t) { return HEAD + 2 * t->model->n_layers; }
static int64_t observed_at(const pynn_trainer *t) {
  return changes_at(t) + (t->model->updates_state ? t->model->n_state : 0);
}
static int64_t tally_size(const pynn_trainer *t) {
  return observed_at(t) + (t->w->observes ? OBSERVED * t->model->n_layers : 0);
}
static double *tally_of(const pynn_trainer *t, int64_t level) { return t->shards.tallies + level * t->shards.tally; }
static double *process_tally(const pynn_trainer *t, int64_t process) {
  return t->shards.tallies + SHARD_LEVELS * t->shards.tally + process * tally_size(t);
}

static void put_observed(double *out, const struct observed *o) {
  const double numbers[OBSERVED] = {o->largest,       o->mean,         o->spread,           (double)o->n,
                                    (double)o->zeros, (double)o->tiny, (double)o->saturated};
  memcpy(out, numbers, sizeof numbers);
}

static struct observed get_observed(const double *in) {
  return (struct observed){.largest = in[0],
                           .mean = in[1],
                           .spread = in[2],
                           .n = (int64_t)in[3],
                           .zeros = (int64_t)in[4],
                           .tiny = (int64_t)in[5],
                           .saturated = (int64_t)in[6]};
}

/* What a part has left in the workspace. The state's changes count by rows. */
static void take_tally(const pynn_trainer *t, const struct step *part, double *out) {
  const pynn_model *model = t->model;
  const double share = (double)part->rows / (double)part->whole;
  out[ROWS] = (double)part->rows, out[LOSS] = part->loss, out[PENALTY] = part->penalty;
  out[LOOKED] = part->looked.looked, out[TOLD] = part->looked.told;
  out[TRIVIAL] = part->looked.trivial, out[SAMPLED] = part->looked.sampled, out[CONSTANT] = part->looked.constant;
  for (int32_t i = 0; i < model->n_layers; i++) {
    out[HEAD + 2 * i] = t->w->sums[i].activation_max;
    out[HEAD + 2 * i + 1] = t->w->sums[i].delta_max;
    if (t->w->observes) put_observed(out + observed_at(t) + OBSERVED * i, &t->w->observed[i].activation);
  }
  for (int64_t i = 0; t->w->proposed && i < model->n_state; i++)
    out[changes_at(t) + i] = share * (t->w->proposed[i] - model->state[i]);
}

static void add_tally(const pynn_trainer *t, double *all, const double *more) {
  all[STATUS] = larger(all[STATUS], more[STATUS]);
  all[STOPS] = larger(all[STOPS], more[STOPS]);
  if (!(more[ROWS] > 0)) return;
  for (int64_t i = ROWS; i <= PENALTY; i++) all[i] += more[i];
  for (int64_t i = LOOKED; i < HEAD; i++) all[i] += more[i]; /* the first shard alone has them */
  for (int64_t i = HEAD; i < changes_at(t); i++) all[i] = larger(all[i], more[i]);
  for (int64_t i = changes_at(t); i < observed_at(t); i++) all[i] += more[i];
  for (int64_t i = observed_at(t); i < tally_size(t); i += OBSERVED) {
    struct observed sum = get_observed(all + i);
    const struct observed other = get_observed(more + i);
    observed_add(&sum, &other);
    put_observed(all + i, &sum);
  }
}

/* The sum of all shards back to where a step on the whole batch has its own. */
static void give_tally(pynn_trainer *t, struct step *s, const double *sum) {
  const pynn_model *model = t->model;
  s->loss = sum[LOSS], s->penalty = sum[PENALTY], s->stops = sum[STOPS] != 0;
  s->looked = (struct looked){sum[LOOKED] != 0, sum[TOLD] != 0, sum[TRIVIAL], sum[SAMPLED], sum[CONSTANT]};
  for (int32_t i = 0; i < model->n_layers; i++) {
    t->w->sums[i].activation_max = sum[HEAD + 2 * i];
    t->w->sums[i].delta_max = sum[HEAD + 2 * i + 1];
    if (t->w->observes) t->w->observed[i].activation = get_observed(sum + observed_at(t) + OBSERVED * i);
  }
  for (int64_t i = 0; t->w->proposed && i < model->n_state; i++)
    t->w->proposed[i] = model->state[i] + sum[changes_at(t) + i];
}

/* ---- the shards of this process */

struct step shards_part(const pynn_trainer *t, const struct step *s, int64_t k) {
  const int64_t each = s->rows / t->shards.options.shards, more = s->rows % t->shards.options.shards;
  const int64_t place = k * each + least(k, more);
  return (struct step){.data = s->data,
                       .order = s->order,
                       .first = s->first + place,
                       .rows = each + (k < more),
                       .place = place,
                       .whole = s->rows};
}

static int64_t own_count(const pynn_trainer *t) { return t->shards.options.shards / t->shards.options.processes; }
static int64_t own_first(const pynn_trainer *t) { return own_count(t) * t->shards.options.process; }

struct summing {
  pynn_trainer *t;
  const struct step *step;
  pynn_dtype dtype;
  void *predictions;
  pynn_error *error;
};

/* One shard into the gradient and tally of a level. */
static pynn_status compute_shard(struct summing *sum, int64_t k, int level) {
  pynn_trainer *t = sum->t;
  struct step part = shards_part(t, sum->step, k);
  const int64_t outputs = t->model->outputs;
  void *out =
      sum->predictions ? at(t->model->context->kernels[sum->dtype], sum->predictions, part.place * outputs) : NULL;
  pynn_status status = part_compute(t, &part, 0, t->shards.gradients[level], sum->dtype, out, sum->error);
  memset(tally_of(t, level), 0, (size_t)tally_size(t) * sizeof(double));
  if (!status && k == 0 && t->watch.options.policy != PYNN_POLICY_OFF && finite_step(t->w, part.loss))
    guard_look(t, &part.batch, &part.looked);
  take_tally(t, &part, tally_of(t, level));
  tally_of(t, level)[STATUS] = (double)status;
  return status;
}

struct addition {
  const struct kernels *kernels;
  void *all;
  const void *more;
  int64_t n;
};

static void add_chunk(void *argument, int64_t index) {
  const struct addition *a = argument;
  void *all = at(a->kernels, a->all, index * CHUNK);
  a->kernels->add((size_t)least(CHUNK, a->n - index * CHUNK), all, at(a->kernels, a->more, index * CHUNK), all);
}

static void add_gradient(const pynn_trainer *t, void *all, const void *more, int64_t n) {
  struct addition addition = {t->model->kernels, all, more, n};
  parallel_for(t->model->context, divide_up(n, CHUNK), (double)n, add_chunk, &addition);
}

/* The sum of shards k ... k+count-1 into the gradient and tally of a level. The first of them is not empty. */
static pynn_status sum_shards(struct summing *sum, int64_t k, int64_t count, int level) {
  const pynn_trainer *t = sum->t;
  if (count == 1) return compute_shard(sum, k, level);
  pynn_status status = sum_shards(sum, k, count / 2, level);
  if (status || shards_part(t, sum->step, k + count / 2).rows == 0) return status;
  status = sum_shards(sum, k + count / 2, count / 2, level + 1);
  add_tally(t, tally_of(t, level), tally_of(t, level + 1));
  if (!status) add_gradient(t, t->shards.gradients[level], t->shards.gradients[level + 1], t->model->n_parameters);
  return status;
}

/* ---- between processes */

static pynn_status gather(const pynn_trainer *t, const void *own, size_t part, size_t size, void *all) {
  const pynn_shards *o = &t->shards.options;
  return o->gather(o->user, own, part, size, all) ? PYNN_ERROR_CALLBACK : PYNN_OK;
}

static int64_t piece(const pynn_trainer *t) { /* of the gradient: whole cache lines */
  const int64_t line = 64 / (int64_t)t->model->kernels->size;
  return divide_up(divide_up(t->model->n_parameters, t->shards.options.processes), line) * line;
}

/* The sum of the processes' gradients, in the order of the tree. `rows` are those of each process. */
static pynn_status add_processes(pynn_trainer *t) {
  const pynn_shards *o = &t->shards.options;
  const struct kernels *kernels = t->model->kernels;
  const int64_t n = t->model->n_parameters, length = piece(t), begin = least(n, length * o->process);
  const int64_t own = least(length, n - begin);
  const size_t part = (size_t)length * kernels->size, size = (size_t)n * kernels->size;
  if (o->exchange(o->user, t->gradient, part, size, t->shards.received)) return PYNN_ERROR_CALLBACK;
  for (int32_t span = 1; span < o->processes; span *= 2)
    for (int32_t p = 0; p + span < o->processes; p += 2 * span)
      if (process_tally(t, p + span)[ROWS] > 0)
        add_gradient(t, at(kernels, t->shards.received, p * own), at(kernels, t->shards.received, (p + span) * own),
                     own);
  return gather(t, t->shards.received, part, size, t->gradient);
}

static void add_process_tallies(const pynn_trainer *t) {
  const int32_t processes = t->shards.options.processes;
  for (int32_t span = 1; span < processes; span *= 2)
    for (int32_t p = 0; p + span < processes; p += 2 * span)
      add_tally(t, process_tally(t, p), process_tally(t, p + span));
}

/* Units that some process saw alive. */
static pynn_status gather_alive(const pynn_trainer *t) {
  const size_t processes = (size_t)t->shards.options.processes;
  size_t units = 0;
  for (int32_t i = 0; i < t->model->n_layers; i++) units += (size_t)t->model->layers[i].units;
  pynn_status status = gather(t, t->w->alive, units, units * processes, t->shards.alive);
  for (size_t i = 0; !status && i < units * processes; i++) t->w->alive[i % units] |= t->shards.alive[i];
  return status;
}

/* What a process has to say about a step that failed. */
struct verdict {
  pynn_status status;
  struct fault fault;
  pynn_error error;
};

/* The verdict of the lowest process that has one, for all. */
static pynn_status agree(pynn_trainer *t, const struct verdict *own, struct verdict *agreed) {
  const pynn_shards *o = &t->shards.options;
  *agreed = *own;
  if (o->processes == 1) return PYNN_OK;
  const pynn_context *context = t->model->context;
  struct verdict *all = context_allocate(context, (size_t)o->processes, sizeof *all);
  if (!all) return PYNN_ERROR_OUT_OF_MEMORY;
  pynn_status status = gather(t, own, sizeof *own, sizeof *own * (size_t)o->processes, all);
  for (int32_t p = o->processes - 1; !status && p >= 0; p--)
    if (all[p].status) *agreed = all[p];
  context_release(context, all, (size_t)o->processes, sizeof *all);
  return status;
}

static pynn_status broken(pynn_status status, pynn_error *error) {
  return fail(error, status, "expected the other processes to exchange numbers; received a failure");
}

static pynn_status raise(pynn_trainer *t, pynn_status own, pynn_error *error) {
  struct verdict verdict = {.status = own}, agreed;
  if (own && error) verdict.error = *error;
  pynn_status status = agree(t, &verdict, &agreed);
  if (status) return broken(status, error);
  if (error) *error = agreed.error;
  return agreed.status;
}

static pynn_status reduce(pynn_trainer *t, struct step *s, pynn_status own, pynn_error *error) {
  double *mine = tally_of(t, 0), *sum = mine;
  const int alone = t->shards.options.processes == 1;
  if (!alone) {
    const size_t size = (size_t)tally_size(t) * sizeof *mine;
    mine[STOPS] = t->shards.options.process == 0 && s->stops;
    pynn_status status = gather(t, mine, size, size * (size_t)t->shards.options.processes, sum = process_tally(t, 0));
    if (status) return broken(status, error);
    int failed = 0;
    for (int32_t p = 0; p < t->shards.options.processes; p++) failed |= process_tally(t, p)[STATUS] != 0;
    if (failed) return raise(t, own, error);
    status = add_processes(t);
    if (!status && t->w->observes) status = gather_alive(t);
    if (status) return broken(status, error);
    add_process_tallies(t);
  }
  if (own) return own;
  memcpy(mine, sum, (size_t)tally_size(t) * sizeof *mine);
  give_tally(t, s, mine);
  return PYNN_OK;
}

/* ---- largest magnitudes and sums of squares of the sum of gradients: those of the tiles are a shard's alone */

struct measuring {
  const pynn_trainer *t;
  const struct layer *layer;
};

static void measure_chunk(void *argument, int64_t index) {
  const struct measuring *m = argument;
  const struct kernels *kernels = m->t->model->kernels;
  struct chunk_sums *out = &m->t->shards.chunks[index];
  const size_t n = (size_t)least(CHUNK, m->layer->n_parameters - index * CHUNK);
  const void *part = at(kernels, m->t->gradient, m->layer->parameters + index * CHUNK);
  out->squares = kernels->sum_squares(n, part, &out->largest);
  if (m->t->w->observes) kernels->observe(1, n, part, NULL, n, 0, NULL, &out->observed);
}

static void measure_gradient(pynn_trainer *t) {
  for (int32_t i = 0; i < t->model->n_layers; i++) {
    struct measuring m = {t, &t->model->layers[i]};
    const int64_t chunks = divide_up(m.layer->n_parameters, CHUNK);
    struct layer_sums *sums = &t->w->sums[i];
    struct observed observed = {0};
    parallel_for(t->model->context, chunks, 2.0 * (double)m.layer->n_parameters, measure_chunk, &m);
    sums->gradient_squares = sums->gradient_max = 0;
    for (int64_t j = 0; j < chunks; j++) {
      sums->gradient_squares += t->shards.chunks[j].squares;
      sums->gradient_max = larger(sums->gradient_max, t->shards.chunks[j].largest);
      if (t->w->observes && !m.layer->frozen) observed_add(&observed, &t->shards.chunks[j].observed);
    }
    if (t->w->observes) t->w->observed[i].gradient = observed;
  }
}

/* ---- a step */

pynn_status shards_compute(pynn_trainer *t, struct step *s, pynn_dtype dtype, void *predictions, pynn_error *error) {
  struct summing sum = {t, s, dtype, predictions, error};
  pynn_status status = PYNN_OK;
  part_begin(t); /* before any shard may fail: what is exchanged depends on it */
  if (shards_part(t, s, own_first(t)).rows > 0) {
    status = sum_shards(&sum, own_first(t), own_count(t), 0);
  } else {
    memset(tally_of(t, 0), 0, (size_t)tally_size(t) * sizeof(double));
    if (t->w->proposed) pass_propose(t->w);
  }
  status = reduce(t, s, status, error);
  if (!status) measure_gradient(t);
  return status;
}

static pynn_status blame_shard(pynn_trainer *t, const struct step *s, int64_t k, struct fault *fault,
                               pynn_error *error) {
  struct step part = shards_part(t, s, k);
  if (!part.rows) return PYNN_OK;
  pynn_status status = part_compute(t, &part, 0, t->gradient, PYNN_FLOAT32, NULL, error);
  if (!status)
    status =
        finite_check(t->w, &part.batch, part.loss + part.penalty, t->gradient, part.order, part.first, fault, error);
  return status == PYNN_ERROR_NUMERIC && t->mixup > 0 ? part_judge_unmixed(t, &part, fault, error) : status;
}

pynn_status shards_blame(pynn_trainer *t, struct step *s, struct fault *fault, pynn_error *error) {
  struct verdict sums = {0}, own = {0}, agreed;
  sums.status = finite_check_sum(t->w, t->gradient, &sums.fault, &sums.error);
  for (int64_t k = 0; k < own_count(t) && !own.status; k++)
    own.status = blame_shard(t, s, own_first(t) + k, &own.fault, &own.error);
  give_tally(t, s, tally_of(t, 0)); /* as the step saw it */
  pynn_status status = agree(t, &own, &agreed);
  if (status) return broken(status, error);
  if (!agreed.status) agreed = sums;
  *fault = agreed.fault;
  if (error) *error = agreed.error;
  return agreed.status;
}

static pynn_status sum_baseline(pynn_trainer *t, const struct step *s, int64_t k, int64_t count, double *sum) {
  struct step part = shards_part(t, s, k);
  *sum = 0;
  if (!part.rows) return PYNN_OK;
  if (count == 1) {
    pynn_status status = part_prepare(t, &part, 0, NULL);
    if (!status) *sum = pass_trivial_loss(t->w, &part.batch, part.rows);
    return status;
  }
  double right = 0;
  pynn_status status = sum_baseline(t, s, k, count / 2, sum);
  if (!status) status = sum_baseline(t, s, k + count / 2, count / 2, &right);
  if (right != 0) *sum += right;
  return status;
}

double shards_baseline(pynn_trainer *t, void *step) {
  struct step *s = step;
  const int32_t processes = t->shards.options.processes;
  double *all = process_tally(t, 0), own;
  s->status = sum_baseline(t, s, own_first(t), own_count(t), &own);
  if (processes == 1) return s->status ? (double)NAN : own / (double)s->rows;
  if (!s->status) s->status = gather(t, &own, sizeof own, sizeof own * (size_t)processes, all);
  if (s->status) return (double)NAN;
  for (int32_t span = 1; span < processes; span *= 2)
    for (int32_t p = 0; p + span < processes; p += 2 * span)
      if (all[p + span] != 0) all[p] += all[p + span];
  return all[0] / (double)s->rows;
}

/* ---- memory */

static size_t all_units(const pynn_model *model) {
  size_t units = 0;
  for (int32_t i = 0; i < model->n_layers; i++) units += (size_t)model->layers[i].units;
  return units;
}

static size_t tallies_of(const pynn_trainer *t, const pynn_shards *o) {
  return (size_t)t->shards.tally * (SHARD_LEVELS + (size_t)o->processes);
}

static size_t received_of(const pynn_trainer *t, const pynn_shards *o) {
  return o->processes > 1 ? (size_t)(piece(t) * o->processes) : 0;
}

void shards_free(pynn_trainer *t) {
  struct shards *s = &t->shards;
  const pynn_context *context = t->model->context;
  const size_t n = (size_t)t->model->n_parameters, size = t->model->kernels->size;
  if (!s->options.shards) return;
  for (int i = 1; i < SHARD_LEVELS; i++) context_release(context, s->gradients[i], n, size);
  context_release(context, s->tallies, tallies_of(t, &s->options), sizeof *s->tallies);
  context_release(context, s->received, received_of(t, &s->options), size);
  context_release(context, s->alive, all_units(t->model) * (size_t)s->options.processes, 1);
  context_release(context, s->chunks, (size_t)t->chunks, sizeof *s->chunks);
  *s = (struct shards){.options = {0}};
}

static int take_memory(pynn_trainer *t) {
  struct shards *s = &t->shards;
  const pynn_context *context = t->model->context;
  const size_t n = (size_t)t->model->n_parameters, size = t->model->kernels->size;
  const size_t received = received_of(t, &s->options), units = all_units(t->model) * (size_t)s->options.processes;
  s->tally = HEAD + (2 + OBSERVED) * (int64_t)t->model->n_layers + t->model->n_state;
  s->gradients[0] = t->gradient;
  int enough = 1, level = 1;
  for (int64_t count = own_count(t); count > 1 && enough; count /= 2, level++)
    enough = (s->gradients[level] = context_allocate(context, n, size)) != NULL;
  return enough && (s->tallies = context_allocate(context, tallies_of(t, &s->options), sizeof *s->tallies)) &&
         (!received || (s->received = context_allocate(context, received, size))) &&
         (!units || (s->alive = context_allocate(context, units, 1))) &&
         (s->chunks = context_allocate(context, (size_t)t->chunks, sizeof *s->chunks));
}

void pynn_shards_init(pynn_shards *shards) {
  if (shards) *shards = (pynn_shards){.struct_size = sizeof *shards, .processes = 1};
}

static int is_power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

pynn_status pynn_trainer_set_shards(pynn_trainer *t, const pynn_shards *shards, pynn_error *error) {
  if (!t) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer; received NULL");
  if (!shards) {
    shards_free(t);
    return PYNN_OK;
  }
  if (shards->struct_size != sizeof *shards || !is_power_of_two(shards->shards) || shards->shards > PYNN_MAX_SHARDS ||
      !is_power_of_two(shards->processes) || shards->processes > shards->shards || shards->process < 0 ||
      shards->process >= shards->processes ||
      (shards->processes > 1 && (shards->gather == NULL || shards->exchange == NULL)))
    return fail(
        error, PYNN_ERROR_INVALID_ARGUMENT,
        "expected shards from pynn_shards_init with powers of two, processes <= shards <= %d, and functions for "
        "several processes; received shards=%lld, processes=%d, process=%d",
        PYNN_MAX_SHARDS, (long long)shards->shards, (int)shards->processes, (int)shards->process);
  struct shards before = t->shards;
  t->shards = (struct shards){.options = *shards};
  if (!take_memory(t)) {
    shards_free(t);
    t->shards = before;
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for sums over %lld shards; received none",
                (long long)shards->shards);
  }
  struct shards now = t->shards;
  t->shards = before;
  shards_free(t);
  t->shards = now;
  return PYNN_OK;
}
