/* The guard: when training diverges, what follows a refused step, and the ledger of both.
 *
 * Divergence that stays finite is judged against two losses that need no tuning: that of the first step, and that of
 * knowing nothing (all logits 0), measured on a sample of the batches, and on the batch itself before its loss is held
 * against the run: a batch of rare, huge targets has a high loss under any model. Noise does not reach the median of a
 * window, a passing spike does not last three of them, and data whose targets grow move the measure with them. A run
 * that blew up and came to rest as one that knows nothing, its units dead, has diverged too. */
#include "train/guard.h"

#include "pass/loss.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
  PATIENCE = 3,      /* windows, or steps far out, that decide */
  DOUBLINGS = 5,     /* windows over each of which the weights doubled */
  TRIVIAL_EVERY = 5, /* steps between two looks at the loss of knowing nothing, ... */
  TRIVIAL_ROWS = 8,  /* of this many rows */
  TOLD_ROWS = 32,    /* of which is looked, once in a window, whether they are told apart */
  NORMS_BEFORE_CLIP = 25
};
#define FAR_OUT 1e6 /* times the measure: no need to wait for windows */
#define NEARLY 0.05 /* as good as nothing: better by no more than this share */

const char *pynn_event_name(pynn_event_kind kind) {
  static const char *const names[] = {
#define EVENT_TEXT(name, text) text,
      PYNN_EVENT_LIST(EVENT_TEXT)
#undef EVENT_TEXT
  };
  return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

void pynn_guard_init(pynn_guard *guard) {
  if (!guard) return;
  *guard = (pynn_guard){.struct_size = sizeof *guard,
                        .policy = PYNN_POLICY_RAISE,
                        .streak = 3,
                        .max_rollbacks = 10,
                        .backoff = 0.3,
                        .snapshot_every = 100,
                        .divergence = 10,
                        .window = 50,
                        .clip_alpha = 0.97};
}

pynn_status guard_valid(const pynn_guard *g, pynn_error *error) {
  const char *rule = NULL;
#define EXPECT(condition, text) \
  if (!rule && !(condition)) rule = text
  EXPECT(g->struct_size == sizeof *g, "the struct_size that pynn_guard_init sets");
  EXPECT((int)g->policy >= PYNN_POLICY_RAISE && (int)g->policy <= PYNN_POLICY_OFF, "a policy");
  EXPECT(g->streak >= 1, "streak >= 1");
  EXPECT(g->max_rollbacks >= 0, "max_rollbacks >= 0");
  EXPECT(g->backoff > 0 && g->backoff < 1, "backoff in (0, 1)");
  EXPECT(g->snapshot_every >= 1, "snapshot_every >= 1");
  EXPECT(g->divergence == 0 || (g->divergence > 1 && g->divergence <= DBL_MAX), "divergence > 1, or 0");
  EXPECT(g->window >= 8 && g->window <= PYNN_GUARD_WINDOW, "window in 8 ... 256");
  EXPECT(g->clip_z >= 0 && g->clip_z <= DBL_MAX, "clip_z >= 0");
  EXPECT(g->clip_alpha > 0 && g->clip_alpha < 1, "clip_alpha in (0, 1)");
  EXPECT(g->check_every >= 0, "check_every >= 0");
#undef EXPECT
  return rule ? fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a guard with %s", rule) : PYNN_OK;
}

/* What is known of the losses is forgotten, but for how training began. */
static void forget_window(struct watch *v) {
  v->n_losses = 0;
  v->n_window_trivial = 0;
  v->window_trivial = v->weight_norm = 0;
  v->bad_steps = v->bad_windows = v->doublings = v->ran_away = 0;
}

void guard_restart(struct watch *v, const pynn_guard *options) {
  v->options = *options;
  for (int i = 0; i < SNAPSHOTS; i++) v->snapshots[i].good = 0;
  v->since = v->streak = v->rollbacks = v->futile = 0;
  v->first_loss = v->last_loss = v->best = v->recent = (double)INFINITY;
  v->worst = -(double)INFINITY;
  v->trivial = v->best_trivial = v->norm_mean = v->norm_variance = 0;
  v->sampled = v->constant = v->n_sampled = 0;
  v->n_trivial = v->n_norms = 0;
  forget_window(v);
}

/* ---- the ledger */

void guard_note(pynn_trainer *t, pynn_event_kind kind, const struct fault *fault, int64_t first, int64_t rows) {
  struct watch *v = &t->watch;
  if (v->n_events == PYNN_EVENTS) {
    v->first_event = (v->first_event + 1) % PYNN_EVENTS;
    v->n_events--;
    v->dropped++;
  }
  v->events[(v->first_event + v->n_events++) % PYNN_EVENTS] = (pynn_event){.kind = kind,
                                                                           .operation = fault->operation,
                                                                           .layer = fault->layer,
                                                                           .row = fault->row,
                                                                           .column = fault->column,
                                                                           .step = t->steps,
                                                                           .restored = -1,
                                                                           .first = first,
                                                                           .rows = rows,
                                                                           .value = fault->value,
                                                                           .learning_rate = t->learning_rate,
                                                                           .new_learning_rate = t->learning_rate};
}

static pynn_event *last_event(struct watch *v) { return &v->events[(v->first_event + v->n_events - 1) % PYNN_EVENTS]; }

int64_t pynn_trainer_events(pynn_trainer *t, pynn_event *out, int64_t capacity, int64_t *dropped) {
  if (!t) return 0;
  struct watch *v = &t->watch;
  int64_t count = 0;
  while (out && count < capacity && v->n_events) {
    out[count++] = v->events[v->first_event];
    v->first_event = (v->first_event + 1) % PYNN_EVENTS;
    v->n_events--;
  }
  if (dropped) {
    *dropped = v->dropped;
    v->dropped = 0;
  }
  return count;
}

/* ---- divergence */

static double median(struct watch *v) { /* in place: the window is over */
  double *x = v->losses;
  const int64_t n = v->n_losses;
  for (int64_t i = 1; i < n; i++) {
    const double kept = x[i];
    int64_t j = i;
    for (; j > 0 && x[j - 1] > kept; j--) x[j] = x[j - 1];
    x[j] = kept;
  }
  return n % 2 ? x[n / 2] : x[n / 2 - 1] / 2 + x[n / 2] / 2;
}

static double window_trivial(const struct watch *v) {
  return v->n_window_trivial ? v->window_trivial / (double)v->n_window_trivial : 0;
}

/* The mean loss of knowing nothing, over the run or over the window where that is more. */
static double trivial_loss(const struct watch *v) {
  return fmax(v->n_trivial ? v->trivial / (double)v->n_trivial : 0, window_trivial(v));
}

static double window_mean(const struct watch *v) {
  double sum = 0;
  for (int64_t i = 0; i < v->n_losses; i++) sum += v->losses[i] / (double)v->n_losses;
  return sum;
}

static int window_is_bad(pynn_trainer *t) {
  struct watch *v = &t->watch;
  const double factor = v->options.divergence, middle = median(v), trivial = trivial_loss(v);
  /* where few rows have large targets the median lies above the mean or far below: both must be bad */
  const int worse_than_nothing = fmin(middle, window_mean(v)) > trivial - NEARLY * fabs(trivial);
  double largest;
  const double squares = t->model->kernels->sum_squares((size_t)t->model->n_parameters, t->model->parameters, &largest);
  const double norm = sqrt(squares);
  v->doublings = v->weight_norm > 0 && norm > 2 * v->weight_norm && worse_than_nothing ? v->doublings + 1 : 0;
  v->weight_norm = norm;
  if (!worse_than_nothing) v->ran_away = 0;
  const double measure = fmax(v->first_loss, trivial); /* not above 0 for the logarithm of a density */
  if (window_trivial(v) > 2 * v->best_trivial) v->best = (double)INFINITY; /* other data: nothing to compare with */
  const int bad = (measure > 0 && middle > factor * measure) || v->ran_away ||
                  (v->best > 0 && middle > factor * v->best && worse_than_nothing);
  if (!bad && middle < v->best) v->best = middle, v->best_trivial = window_trivial(v);
  v->recent = middle;
  return bad;
}

void pynn_trainer_losses(const pynn_trainer *t, pynn_losses *out) {
  if (!t || !out) return;
  const struct watch *v = &t->watch;
  const double nan = (double)NAN;
  *out = (pynn_losses){.first = isfinite(v->first_loss) ? v->first_loss : nan,
                       .recent = isfinite(v->recent) ? v->recent
                                 : v->n_losses       ? window_mean(v)
                                                     : nan,
                       .best = isfinite(v->best) ? v->best : nan,
                       .worst = isfinite(v->worst) ? v->worst : nan,
                       .nothing = v->n_trivial ? trivial_loss(v) : nan,
                       .sampled = v->n_sampled > 0 ? v->sampled / v->n_sampled : nan,
                       .constant = v->n_sampled > 0 ? v->constant / v->n_sampled : nan};
}

/* What knowing nothing would cost on rows of this batch, and what telling no row from another. */
void guard_look(const pynn_trainer *t, const struct batch *batch, struct looked *looked) {
  const struct watch *v = &t->watch;
  int64_t rows = batch->rows < TRIVIAL_ROWS ? batch->rows : TRIVIAL_ROWS;
  *looked = (struct looked){0};
  if (v->n_losses % TRIVIAL_EVERY != 0) return;
  looked->trivial = pass_trivial_loss(t->w, batch, rows) / (double)rows;
  looked->looked = 1;
  if (v->n_losses > 0 || batch->rows < TRIVIAL_ROWS) return; /* fewer rows have no telling mean */
  rows = batch->rows < TOLD_ROWS ? batch->rows : TOLD_ROWS;
  const void *logits = t->w->inputs[t->model->n_layers].at;
  looked->sampled = pass_rows_loss(t->w, batch, rows, logits, t->model->outputs) / (double)rows;
  looked->constant = pass_constant_loss(t->w, batch, rows, logits) / (double)rows;
  looked->told = 1;
}

static void take_look(struct watch *v, const struct looked *looked) {
  if (looked->looked && isfinite(looked->trivial)) {
    v->trivial += looked->trivial, v->n_trivial++;
    v->window_trivial += looked->trivial, v->n_window_trivial++;
  }
  if (!looked->told || !isfinite(looked->sampled) || !isfinite(looked->constant)) return;
  v->sampled = v->sampled / 2 + looked->sampled;
  v->constant = v->constant / 2 + looked->constant;
  v->n_sampled = v->n_sampled / 2 + 1;
}

/* Whether the loss of a step lies far out, and so far that there is no need to wait for windows. */
static void judge_step(pynn_trainer *t, double loss, baseline *of, void *step) {
  struct watch *v = &t->watch;
  const double factor = v->options.divergence;
  double measure = fmax(v->first_loss, trivial_loss(v));
  if (measure > 0 && loss > fmin(factor, FAR_OUT) * measure) measure = fmax(measure, of(t, step));
  v->bad_steps = measure > 0 && loss > FAR_OUT * measure ? v->bad_steps + 1 : 0;
  if (measure > 0 && loss > factor * measure) v->ran_away = 1;
}

int guard_diverges(pynn_trainer *t, const struct looked *looked, double loss, baseline *of, void *step) {
  struct watch *v = &t->watch;
  const int judges = v->options.divergence > 0;
  take_look(v, looked);
  if (!(v->first_loss < (double)INFINITY)) v->first_loss = loss;
  v->last_loss = loss;
  v->worst = fmax(v->worst, loss);
  v->losses[v->n_losses++] = loss;
  if (judges) judge_step(t, loss, of, step);
  if (v->n_losses == v->options.window) {
    v->bad_windows = window_is_bad(t) && judges ? v->bad_windows + 1 : 0;
    v->n_losses = v->n_window_trivial = 0;
    v->window_trivial = 0;
  }
  if (!judges) return v->doublings = 0;
  if (v->bad_steps < PATIENCE && v->bad_windows < PATIENCE && v->doublings < DOUBLINGS) return 0;
  forget_window(v);
  return 1;
}

/* ---- clipping: norms far above their usual spread (ZClip, Kumar et al. 2025) */

double guard_clip(const struct watch *v, double norm) {
  const double spread = sqrt(v->norm_variance), limit = v->options.clip_z;
  if (!(limit > 0) || v->n_norms < NORMS_BEFORE_CLIP || !(spread > 0)) return 1;
  const double z = (norm - v->norm_mean) / spread;
  return z > limit ? (v->norm_mean + limit * limit / z * spread) / norm : 1;
}

void guard_applied(struct watch *v, double norm) {
  v->streak = 0;
  if (!(v->options.clip_z > 0)) return;
  /* the first norms count alike, later ones fade */
  const double alpha =
      v->n_norms < NORMS_BEFORE_CLIP ? (double)v->n_norms / (double)(v->n_norms + 1) : v->options.clip_alpha;
  const double away = norm - v->norm_mean;
  v->norm_mean += (1 - alpha) * away;
  v->norm_variance = alpha * (v->norm_variance + (1 - alpha) * away * away);
  v->n_norms++;
}

/* ---- good states */

static void copy_state(pynn_trainer *t, struct snapshot *snapshot, int restore) {
  const size_t bytes = (size_t)t->model->n_parameters * t->model->kernels->size;
  char *kept = snapshot->values;
  double *state = t->model->state;
  memcpy(restore ? state : snapshot->state, restore ? snapshot->state : state,
         (size_t)t->model->n_state * sizeof *state);
  for (int i = -1; i < t->optimizer->n_slots; i++, kept += bytes) {
    void *live = i < 0 ? t->model->parameters : t->slots[i];
    memcpy(restore ? live : kept, restore ? kept : live, bytes);
  }
  if (!snapshot->average) return;
  double *from = restore ? snapshot->average : t->average.values;
  memcpy(restore ? t->average.values : snapshot->average, from, (size_t)t->model->n_parameters * sizeof *from);
  if (restore) t->average.n = snapshot->n_averaged;
  else snapshot->n_averaged = t->average.n;
}

int guard_suspects(const struct watch *v) { return v->ran_away || v->bad_steps || v->bad_windows || v->doublings; }

void guard_keep(pynn_trainer *t) {
  struct watch *v = &t->watch;
  if (v->options.policy != PYNN_POLICY_ROLLBACK) return;
  const int any = v->snapshots[v->newest].good;
  if (any && v->since++ < v->options.snapshot_every) return;
  const double measure = fmax(v->first_loss, trivial_loss(v));
  const double usual = measure > 0 ? v->options.divergence * measure : (double)INFINITY;
  if (any && v->options.divergence > 0 && (v->ran_away || v->bad_windows || !(v->last_loss <= usual))) return;
  if (!any && !trainer_measure(t)) return; /* what the caller started from may be beyond help */
  v->newest = any ? (v->newest + 1) % SNAPSHOTS : v->newest;
  v->snapshots[v->newest].steps = t->steps;
  v->snapshots[v->newest].good = 1;
  copy_state(t, &v->snapshots[v->newest], 0);
  v->since = 1;
  v->futile = 0;
}

/* Restores the newest good state; an older one after a divergence, which is seen late, or when the newest did not help.
 */
static int roll_back(pynn_trainer *t, int diverged) {
  struct watch *v = &t->watch;
  const int older = (v->newest + 1) % SNAPSHOTS;
  const double less = pow(v->options.backoff, (double)(v->futile + 1));
  const double left = less * (t->scheduled ? t->rate_factor : t->learning_rate);
  if (v->rollbacks >= v->options.max_rollbacks || !v->snapshots[v->newest].good || !(left >= DBL_MIN)) return 0;
  if ((diverged || v->futile) && v->snapshots[older].good) {
    v->snapshots[v->newest].good = 0;
    v->newest = older;
  }
  copy_state(t, &v->snapshots[v->newest], 1);
  t->steps = v->snapshots[v->newest].steps;
  if (t->scheduled) t->rate_factor = left;
  t->learning_rate = t->scheduled ? trainer_rate(t) : left;
  trainer_measure(t);
  v->rollbacks++;
  v->futile++;
  v->since = 1;
  v->last_loss = v->first_loss;
  forget_window(v);
  return 1;
}

/* ---- policy */

static pynn_status end_call(const char *format, long long count, pynn_error *error) {
  if (error) {
    const size_t used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, format, count);
  }
  return PYNN_ERROR_NUMERIC;
}

pynn_status guard_refused(pynn_trainer *t, const struct fault *fault, int64_t first, int64_t rows, pynn_error *error) {
  struct watch *v = &t->watch;
  if (error) error->operation = (int32_t)fault->operation, error->value = fault->value;
  const int rolls = v->options.policy == PYNN_POLICY_ROLLBACK && !is_of_the_data(fault->operation);
  const double rate = t->learning_rate;
  if (fault->diverged) guard_note(t, PYNN_EVENT_DIVERGED, fault, first, rows);
  guard_note(t, PYNN_EVENT_REFUSED, fault, first, rows);
  pynn_event *event = last_event(v);
  if (rolls) {
    if (!roll_back(t, fault->diverged)) return end_call("; after %lld rollbacks", (long long)v->rollbacks, error);
    event->kind = PYNN_EVENT_ROLLED_BACK;
    event->restored = t->steps;
    event->learning_rate = rate;
    event->new_learning_rate = t->learning_rate;
    return PYNN_OK;
  }
  if (v->options.policy == PYNN_POLICY_RAISE || fault->diverged) return PYNN_ERROR_NUMERIC;
  if (++v->streak >= v->options.streak) {
    v->streak = 0;
    return end_call("; %lld batches in a row", (long long)v->options.streak, error);
  }
  event->kind = PYNN_EVENT_SKIPPED;
  return PYNN_OK;
}
