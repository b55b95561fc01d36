/* Reinforcement learning on the device: a controller learns to balance a pole on a cart while it balances it.
 *
 * Nobody says which push was right: a try lasts as long as it lasts. The actor learns by policy gradient, with a loss
 * of our own; the critic learns how many pushes are still to come, the baseline. No heap: everything comes from
 * `memory`. A reading of the angle that is NaN never reaches a weight: the guard leaves that round out. */
#include <pynn.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIES = 8, LONGEST = 500, ROWS = TRIES * LONGEST, ROUNDS = 400 };
static _Alignas(64) unsigned char memory[4 << 20];
static float states[ROWS][4], targets[ROWS][2], gained[ROWS], expected[ROWS];
static uint32_t seed = 1;

static float uniform(void) { /* 0 ... 1 */
  seed = seed * 1664525u + 1013904223u;
  return (float)(seed >> 8) / (float)(1 << 24);
}

/* The cart 20 ms later, Barto, Sutton and Anderson 1983: place, speed, angle, speed of the angle. 0 when it is over. */
static int push(float s[4], int right) {
  const float force = right ? 10 : -10, c = cosf(s[2]), d = sinf(s[2]);
  const float pull = (force + 0.05f * s[3] * s[3] * d) / 1.1f;
  const float bend = (9.8f * d - c * pull) / (0.5f * (4 / 3.0f - 0.1f * c * c / 1.1f));
  const float rates[4] = {s[1], pull - 0.05f * bend * c / 1.1f, s[3], bend};
  for (int i = 0; i < 4; i++) s[i] += 0.02f * rates[i];
  return fabsf(s[0]) <= 2.4f && fabsf(s[2]) <= 0.2094f;
}

static double at(const void *array, pynn_dtype dtype, int64_t i) {
  return dtype == PYNN_FLOAT32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

/* -sum target * log softmax(logits), and softmax * sum target - target. */
static int policy_gradient(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits,
                           const void *wanted, const int64_t *labels, double *losses, void *gradient, int backward) {
  (void)user, (void)labels;
  for (int64_t i = 0; i < rows; i++, losses++) {
    double largest = -INFINITY, sum = 0, weight = 0;
    for (int64_t j = i * n; j < (i + 1) * n; j++) largest = fmax(largest, at(logits, dtype, j));
    for (int64_t j = i * n; j < (i + 1) * n; j++)
      sum += exp(at(logits, dtype, j) - largest), weight += at(wanted, dtype, j);
    *losses = 0;
    for (int64_t j = i * n; j < (i + 1) * n; j++) {
      const double log_p = at(logits, dtype, j) - largest - log(sum), t = at(wanted, dtype, j);
      *losses -= t * log_p;
      if (backward && dtype == PYNN_FLOAT32) ((float *)gradient)[j] = (float)(exp(log_p) * weight - t);
      if (backward && dtype == PYNN_FLOAT64) ((double *)gradient)[j] = exp(log_p) * weight - t;
    }
  }
  return 0;
}

struct network {
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
};

static pynn_status make(struct network *net, pynn_context *context, int outputs, const pynn_custom_loss *loss) {
  pynn_model_options shape;
  pynn_trainer_options how;
  pynn_layer layers[2];
  pynn_spec mse;
  pynn_model_options_init(&shape);
  shape.inputs = 4;
  shape.seed = seed;
  pynn_dense(&layers[0], 16, "tanh");
  pynn_dense(&layers[1], outputs, NULL);
  pynn_spec_named(&mse, PYNN_LOSS, "mse");
  pynn_status status = pynn_model_new(&net->model, context, &shape, layers, 2, NULL);
  if (!status) status = loss ? pynn_model_set_custom_loss(net->model, loss) : pynn_model_set_loss(net->model, &mse);
  if (!status) status = pynn_workspace_new(&net->workspace, net->model);
  if (status) return status;
  pynn_trainer_options_init(&how, net->model);
  pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, "adam");
  pynn_spec_set(&how.optimizer, "learning_rate", 0.01);
  how.batch_size = ROWS;
  how.guard.policy = PYNN_POLICY_SKIP;
  return pynn_trainer_new(&net->trainer, net->model, &how, NULL);
}

static void discard(struct network *net) {
  pynn_trainer_free(net->trainer), pynn_workspace_free(net->workspace), pynn_model_free(net->model);
}

/* One try; its states from `row` on, and its pushes in `targets`. Returns how long it lasted. */
static int play(const struct network *actor, int64_t row, int greedy) {
  float s[4], logits[2] = {0, 0};
  int n = 0, goes_on = 1;
  for (int i = 0; i < 4; i++) s[i] = 0.1f * uniform() - 0.05f;
  for (; goes_on && n < LONGEST; n++, row++) {
    const float seen[4] = {s[0] / 2.4f, s[1] / 2, s[2] / 0.2f, s[3] / 2};
    for (int i = 0; i < 4; i++) states[row][i] = seen[i];
    const pynn_array x = pynn_matrix(states[row], PYNN_FLOAT32, 1, 4);
    if (pynn_predict(actor->model, actor->workspace, &x, 1, PYNN_FLOAT32, logits, NULL)) exit(1);
    const float gap = logits[1] - logits[0];
    const int right = greedy ? gap > 0 : uniform() < 1 / (1 + expf(-gap));
    targets[row][right] = 1, targets[row][!right] = 0;
    goes_on = push(s, right);
  }
  return n;
}

/* Points to come of a try, discounted by 0.99, from the last push to the first. */
static void count(int64_t row, int n) {
  for (float later = 0; n-- > 0; gained[row + n] = later) later = 0.01f + 0.99f * later;
}

static int learn(struct network *actor, struct network *critic, int64_t rows) {
  const pynn_array x = pynn_matrix(states, PYNN_FLOAT32, rows, 4);
  const pynn_data points = {x, pynn_matrix(gained, PYNN_FLOAT32, rows, 1), {0}};
  const pynn_data pushes = {x, pynn_matrix(targets, PYNN_FLOAT32, rows, 2), {0}};
  double sum = 0, squares = 0;
  pynn_step done;
  pynn_error error;
  const pynn_status status = pynn_predict(critic->model, critic->workspace, &x, 0, PYNN_FLOAT32, expected, &error);
  for (int64_t i = 0; i < rows; i++) {
    const double advantage = isnan(expected[i]) ? 0 : (double)(gained[i] - expected[i]);
    expected[i] = (float)advantage, sum += advantage, squares += advantage * advantage;
  }
  const double mean = sum / (double)rows, spread = sqrt(fmax(squares / (double)rows - mean * mean, 1e-12));
  for (int64_t i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) targets[i][j] *= (float)((expected[i] - mean) / spread);
  return status || pynn_train_step(critic->trainer, &points, &done, &error) ||
         pynn_train_step(actor->trainer, &pushes, &done, &error);
}

int main(int argc, char **argv) {
  pynn_arena arena = pynn_arena_over(memory, sizeof memory);
  pynn_context_options where;
  pynn_context *context;
  struct network actor, critic;
  const pynn_custom_loss loss = {.struct_size = sizeof loss, .name = "policy_gradient", .function = policy_gradient};
  seed = argc > 1 ? (uint32_t)atoi(argv[1]) : 1;
  pynn_context_options_init(&where);
  where.allocator = pynn_arena_allocator(&arena);
  where.threads = 1;
  if (pynn_context_new(&context, &where)) return 1;
  if (make(&actor, context, 2, &loss) || make(&critic, context, 1, NULL)) return 1;
  const size_t taken = arena.used;

  int round = 0, good = 0;
  for (; round < ROUNDS && good < 3; round++) {
    int64_t rows = 0;
    for (int i = 0; i < TRIES; i++) {
      const int n = play(&actor, rows, 0);
      count(rows, n), rows += n;
    }
    if (round % 10 == 5) states[rows / 2][2] = NAN; /* a loose contact */
    if (learn(&actor, &critic, rows)) return 1;
    good = rows == ROWS ? good + 1 : 0;
  }
  double lasted = 0;
  for (int i = 0; i < 100; i++) lasted += play(&actor, 0, 1);
  pynn_event events[2 * ROUNDS];
  const int64_t refused = pynn_trainer_events(actor.trainer, events, 2 * ROUNDS, NULL);
  printf("balanced for %.1f of %d pushes over 100 tries, after %d rounds of %d tries\n", lasted / 100, LONGEST, round,
         TRIES);
  printf("rounds left out by the guard: %d\n", (int)refused);
  printf("%d bytes taken, %d more while learning\n", (int)taken, (int)(arena.used - taken));
  discard(&actor), discard(&critic), pynn_context_free(context);
  return arena.used != 0;
}
