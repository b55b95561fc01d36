/* Steps as sums of shards: one process and several end with the same bits, and decide alike. The processes of this test
 * are threads, whose exchange is memory that they share. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, INPUTS = 5, OUTPUTS = 3, SHARDS = 8, MOST = 8, STEPS = 6 };
static float x[ROWS * INPUTS];
static int64_t labels[ROWS];

/* ---- processes that are threads */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
static int32_t waiting, turns;
static char *board[MOST];

static void meet(int32_t of) {
  pthread_mutex_lock(&lock);
  const int32_t turn = turns;
  if (++waiting == of) {
    waiting = 0, turns++;
    pthread_cond_broadcast(&all_here);
  }
  while (turn == turns) pthread_cond_wait(&all_here, &lock);
  pthread_mutex_unlock(&lock);
}

struct process {
  int32_t number, of;
  const char *optimizer;
  double mixup;
  int breaks; /* its exchanges fail */
  pynn_policy policy;
  pynn_context *context;
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_status status;
  pynn_step step;
  pynn_error error;
  int64_t n_events;
};

static size_t length_of(size_t part, size_t size, int32_t number) {
  const size_t begin = part * (size_t)number;
  return begin >= size ? 0 : size - begin < part ? size - begin : part;
}

static int gather(void *user, const void *own, size_t part, size_t size, void *all) {
  struct process *p = user;
  const size_t mine = length_of(part, size, p->number);
  char *copy = malloc(mine + 1);
  if (mine) memcpy(copy, own, mine);
  board[p->number] = copy;
  meet(p->of);
  for (int32_t i = 0; i < p->of; i++)
    if (length_of(part, size, i)) memcpy((char *)all + part * (size_t)i, board[i], length_of(part, size, i));
  meet(p->of);
  free(copy);
  return p->breaks;
}

static int exchange(void *user, const void *all, size_t part, size_t size, void *received) {
  struct process *p = user;
  const size_t mine = length_of(part, size, p->number);
  char *copy = malloc(size + 1);
  memcpy(copy, all, size);
  board[p->number] = copy;
  meet(p->of);
  for (int32_t i = 0; i < p->of && mine; i++)
    memcpy((char *)received + mine * (size_t)i, board[i] + part * (size_t)p->number, mine);
  meet(p->of);
  free(copy);
  return p->breaks;
}

/* ---- a model and a trainer, for a process */

static void start(struct process *p) {
  pynn_layer layers[5];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_shards shards;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&p->context, NULL));
  pynn_dense(&layers[0], 6, "tanh");
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[1], "batch_normalization"));
  pynn_dropout(&layers[2], 0.3);
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[3], "gaussian_noise"));
  pynn_dense(&layers[4], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.seed = 5;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&p->model, p->context, &options, layers, 5, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(p->model, &loss));
  pynn_trainer_options_init(&how, p->model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, p->optimizer));
  how.clip_norm = 0.5;
  how.guard.check_every = 2, how.guard.policy = p->policy;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&p->trainer, p->model, &how, NULL));
  if (p->mixup > 0) CHECK_STATUS(PYNN_OK, pynn_trainer_set_mixup(p->trainer, p->mixup, NULL));
  pynn_shards_init(&shards);
  shards.shards = SHARDS, shards.processes = p->of, shards.process = p->number;
  if (p->of > 1) shards.gather = gather, shards.exchange = exchange, shards.user = p;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_shards(p->trainer, &shards, NULL));
}

static void stop(struct process *p) {
  pynn_trainer_free(p->trainer);
  pynn_model_free(p->model);
  pynn_context_free(p->context);
}

static void *train(void *argument) {
  struct process *p = argument;
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS), pynn_matrix(labels, PYNN_INT64, ROWS, 1), {0}};
  p->status = PYNN_OK;
  for (int i = 0; i < STEPS && !p->status; i++) /* batches of 32 and of 5 rows: three shards of the last are empty */
    p->status = pynn_train_batches(p->trainer, &data, NULL, 0, ROWS, 32, 0, PYNN_FLOAT32, NULL, &p->step, &p->error);
  return NULL;
}

static void run(struct process *processes, int32_t of, struct process like) {
  pthread_t threads[MOST];
  for (int32_t i = 0; i < of; i++) {
    processes[i] = like;
    processes[i].number = i, processes[i].of = of;
    start(&processes[i]);
  }
  for (int32_t i = 0; i < of; i++) CHECK(!pthread_create(&threads[i], NULL, train, &processes[i]));
  for (int32_t i = 0; i < of; i++) pthread_join(threads[i], NULL);
}

static int same(const struct process *a, const struct process *b) {
  return !memcmp(pynn_model_parameters(a->model), pynn_model_parameters(b->model),
                 (size_t)pynn_model_n_parameters(a->model) * sizeof(float)) &&
         !memcmp(pynn_model_state(a->model), pynn_model_state(b->model),
                 (size_t)pynn_model_n_state(a->model) * sizeof(double));
}

static int same_statistics(const struct process *a, const struct process *b) {
  int alike = 1;
  for (int32_t i = 0; i < pynn_model_n_layers(a->model); i++) {
    pynn_statistics s, t;
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(a->trainer, i, &s));
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(b->trainer, i, &t));
    alike &= !memcmp(&s, &t, sizeof s);
  }
  return alike;
}

static void test_any_number_of_processes(void) {
  const struct process cases[] = {{.optimizer = "sgd"}, {.optimizer = "adam"}, {.optimizer = "adam", .mixup = 0.3}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    struct process one, several[MOST];
    run(&one, 1, cases[c]);
    CHECK_STATUS(PYNN_OK, one.status);
    CHECK(pynn_trainer_steps(one.trainer) == 2 * STEPS);
    for (int32_t of = 2; of <= MOST; of *= 2) {
      run(several, of, cases[c]);
      for (int32_t i = 0; i < of; i++) {
        CHECK_STATUS(PYNN_OK, several[i].status);
        CHECK(same(&one, &several[i]) && same_statistics(&one, &several[i]));
        CHECK(several[i].step.loss == one.step.loss && several[i].step.gradient_norm == one.step.gradient_norm);
        CHECK(pynn_trainer_epoch_loss(several[i].trainer) == pynn_trainer_epoch_loss(one.trainer));
      }
      for (int32_t i = 0; i < of; i++) stop(&several[i]);
    }
    stop(&one);
  }
}

/* A cell that is not finite refuses the step everywhere, and is named alike, also by who does not read it. */
static void test_faults(void) {
  struct process like = {.optimizer = "sgd"}, one, several[MOST];
  const double mixups[] = {0, 0.3};
  x[17 * INPUTS + 2] = (float)NAN;
  for (int i = 0; i < 2; i++) {
    like.mixup = mixups[i];
    run(&one, 1, like);
    CHECK_STATUS(PYNN_ERROR_NUMERIC, one.status);
    CHECK(one.error.row == 17 && one.error.column == 2 && one.error.operation == PYNN_OPERATION_INPUT);
    run(several, 4, like);
    for (int32_t p = 0; p < 4; p++) {
      CHECK_STATUS(PYNN_ERROR_NUMERIC, several[p].status);
      CHECK(!memcmp(&several[p].error, &one.error, sizeof one.error) && same(&one, &several[p]));
      CHECK(pynn_trainer_steps(several[p].trainer) == 0);
      stop(&several[p]);
    }
    stop(&one);
  }
  x[17 * INPUTS + 2] = 0.25f;
  labels[36] = OUTPUTS; /* in the last shard that has rows: an error of one process is one of all */
  run(&one, 1, like);
  run(several, 2, like);
  CHECK_STATUS(PYNN_ERROR_LABEL, one.status);
  for (int32_t p = 0; p < 2; p++) {
    CHECK_STATUS(PYNN_ERROR_LABEL, several[p].status);
    CHECK(several[p].error.row == one.error.row && same(&one, &several[p]));
    stop(&several[p]);
  }
  stop(&one);
  labels[36] = 0;
}

/* Steps that are passed over, or rolled back over, are so in all processes. */
static void test_policies(void) {
  const pynn_policy policies[] = {PYNN_POLICY_SKIP, PYNN_POLICY_ROLLBACK, PYNN_POLICY_OFF};
  const float kept = x[33 * INPUTS];
  x[33 * INPUTS] = 3e38f;
  for (int i = 0; i < 3; i++) {
    struct process like = {.optimizer = "sgd", .policy = policies[i]}, one, several[MOST];
    run(&one, 1, like);
    run(several, 4, like);
    for (int32_t p = 0; p < 4; p++) {
      pynn_event a, b;
      CHECK_STATUS(one.status, several[p].status);
      CHECK(same(&one, &several[p]) && pynn_trainer_steps(one.trainer) == pynn_trainer_steps(several[p].trainer));
      CHECK(several[p].step.refused == one.step.refused);
      if (p == 0 && pynn_trainer_events(one.trainer, &a, 1, NULL)) {
        CHECK(pynn_trainer_events(several[p].trainer, &b, 1, NULL) == 1);
        CHECK(a.kind == b.kind && a.row == b.row && a.operation == b.operation && a.first == b.first);
      }
      stop(&several[p]);
    }
    stop(&one);
  }
  x[33 * INPUTS] = kept;
}

static void test_broken_exchanges(void) {
  struct process several[2];
  run(several, 2, (struct process){.optimizer = "sgd", .breaks = 1});
  for (int32_t p = 0; p < 2; p++) {
    CHECK_STATUS(PYNN_ERROR_CALLBACK, several[p].status);
    CHECK(pynn_trainer_steps(several[p].trainer) == 0);
    stop(&several[p]);
  }
}

static void test_arguments(void) {
  struct process p = {.optimizer = "sgd", .of = 1};
  pynn_shards good, bad;
  pynn_error error;
  start(&p);
  pynn_shards_init(NULL);
  pynn_shards_init(&good);
  good.shards = 4;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_shards(NULL, &good, NULL));
  for (int i = 0; i < 7; i++) {
    bad = good;
    if (i == 0) bad.shards = 3;
    if (i == 1) bad.shards = 0;
    if (i == 2) bad.shards = 2 * PYNN_MAX_SHARDS;
    if (i == 3) bad.processes = 8, bad.gather = gather, bad.exchange = exchange;
    if (i == 4) bad.processes = 2, bad.process = 2, bad.gather = gather, bad.exchange = exchange;
    if (i == 5) bad.processes = 2;
    if (i == 6) bad.struct_size = 1;
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_shards(p.trainer, &bad, &error));
  }
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_shards(p.trainer, &good, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_shards(p.trainer, NULL, NULL));
  stop(&p);
}

int main(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (float)sin(3.0 * i);
  for (int i = 0; i < ROWS; i++) labels[i] = i % OUTPUTS;
  test_any_number_of_processes();
  test_faults();
  test_policies();
  test_broken_exchanges();
  test_arguments();
  CHECK_REPORT();
}
