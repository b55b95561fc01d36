/* A checkpoint goes on in the run that it was taken of, and in no other: one thing differs at a time, is named, and
 * nothing is changed. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 8, INPUTS = 5, OUTPUTS = 2 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];

/* What a run is made of; each variant changes one number of it. */
struct made {
  pynn_layer layers[3];
  int32_t n_layers;
  pynn_model_options options;
  const char *loss, *optimizer;
  double decay; /* < 0: no average */
  int64_t columns[2], sizes[2];
};

static void make(struct made *m) {
  memset(m, 0, sizeof *m);
  m->columns[0] = 1, m->columns[1] = 3, m->sizes[0] = 3, m->sizes[1] = 2;
  pynn_layer_named(&m->layers[0], "categorical");
  pynn_spec_set(&m->layers[0].kind, "dimension", 2);
  pynn_dense(&m->layers[1], 4, "tanh");
  pynn_dense(&m->layers[2], OUTPUTS, NULL);
  m->n_layers = 3, m->loss = "mse", m->optimizer = "sgd", m->decay = -1;
  pynn_model_options_init(&m->options);
  m->options.inputs = INPUTS, m->options.seed = 4;
}

static void choose(pynn_layer *layer, const char *choice, pynn_table table, const char *name) {
  pynn_spec spec;
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, table, name));
  CHECK_STATUS(PYNN_OK, pynn_layer_choose(layer, choice, &spec));
}

static void dtype(struct made *m) { m->options.dtype = PYNN_FLOAT64; }
static void inputs(struct made *m) { m->options.inputs = INPUTS - 1; }
static void seed(struct made *m) { m->options.seed = 5; }
static void layers(struct made *m) { m->n_layers = 2, pynn_dense(&m->layers[1], OUTPUTS, NULL); }
static void scaling(struct made *m) { m->options.target_scaling = 1; }
static void units(struct made *m) { pynn_dense(&m->layers[1], 5, "tanh"); }
static void activation(struct made *m) { choose(&m->layers[1], "activation", PYNN_ACTIVATION, "relu"); }
static void kernel(struct made *m) { choose(&m->layers[1], "kernel_initializer", PYNN_INITIALIZER, "zeros"); }
static void bias(struct made *m) { choose(&m->layers[2], "bias_initializer", PYNN_INITIALIZER, "ones"); }
static void columns(struct made *m) { m->columns[1] = 4; }
static void sizes(struct made *m) { m->sizes[0] = 2, m->sizes[1] = 3; }
static void loss(struct made *m) { m->loss = "huber"; }
static void optimizer(struct made *m) { m->optimizer = "adam"; }
static void averaged(struct made *m) { m->decay = 0.5; }

static const struct variant {
  void (*change)(struct made *);
  const char *named; /* in the message */
  int32_t layer;
} variants[] = {{dtype, "dtype", -1},         {inputs, "inputs", -1},   {seed, "seed", -1},
                {layers, "layers", -1},       {scaling, "scaling", -1}, {units, "layer 1", 1},
                {activation, "layer 1", 1},   {kernel, "layer 1", 1},   {bias, "layer 2", 2},
                {columns, "layer 0", 0},      {sizes, "layer 0", 0},    {loss, "loss", -1},
                {optimizer, "optimizer", -1}, {averaged, "average", -1}};

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
};

static struct run start(const pynn_context *context, struct made *m) {
  struct run run = {0};
  pynn_spec chosen;
  pynn_trainer_options how;
  pynn_error error;
  for (int i = 0; i < m->n_layers; i++)
    if (i == 0) m->layers[i].columns = m->columns, m->layers[i].sizes = m->sizes, m->layers[i].n_columns = 2;
  if (!CHECK(!pynn_model_new(&run.model, context, &m->options, m->layers, m->n_layers, &error)))
    fprintf(stderr, "  %s\n", error.message);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&chosen, PYNN_LOSS, m->loss));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &chosen));
  pynn_trainer_options_init(&how, run.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, m->optimizer));
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  pynn_average average;
  pynn_average_init(&average);
  average.decay = m->decay, average.start = 1, average.every = 2;
  if (m->decay >= 0) CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(run.trainer, &average, NULL));
  return run;
}

static void stop(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static void train(struct run *run, int steps) {
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  pynn_step step;
  for (int i = 0; i < steps; i++) CHECK_STATUS(PYNN_OK, pynn_train_step(run->trainer, &data, &step, NULL));
}

static void test_variants(const pynn_context *context) {
  struct made good, other;
  make(&good);
  struct run run = start(context, &good);
  train(&run, 3);
  pynn_checkpoint *kept = NULL;
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&kept, run.trainer, NULL));
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
    make(&other);
    variants[i].change(&other);
    struct run different = start(context, &other);
    pynn_error error = {.layer = -1};
    const size_t bytes =
        (size_t)pynn_model_n_parameters(different.model) * pynn_dtype_size(pynn_model_dtype(different.model));
    void *before = malloc(bytes);
    memcpy(before, pynn_model_parameters(different.model), bytes);
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(kept, different.trainer, &error));
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(kept, different.trainer, NULL));
    if (!CHECK(strstr(error.message, variants[i].named)))
      fprintf(stderr, "  %s: %s\n", variants[i].named, error.message);
    CHECK_EQUAL(error.layer, variants[i].layer);
    CHECK(!memcmp(before, pynn_model_parameters(different.model), bytes));
    CHECK_EQUAL(pynn_trainer_steps(different.trainer), 0);
    free(before);
    stop(&different);
  }
  pynn_checkpoint_free(kept);
  stop(&run);
}

/* An average is part of what goes on: file, restore, and the same bits as without a stop. */
static void test_average(const pynn_context *context) {
  struct made m, same;
  make(&m), averaged(&m);
  make(&same), averaged(&same);
  struct run whole = start(context, &m), resumed = start(context, &same);
  pynn_checkpoint *kept = NULL;
  train(&whole, 4);
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_save(whole.trainer, "restore.ckpt", NULL, 0, NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_load(&kept, context, "restore.ckpt", NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_restore(kept, resumed.trainer, NULL));
  remove("restore.ckpt");
  CHECK_EQUAL(pynn_trainer_n_averaged(resumed.trainer), 2); /* after steps 1 and 3 */
  train(&whole, 5);
  train(&resumed, 5);
  const size_t n = (size_t)pynn_model_n_parameters(whole.model);
  CHECK(!memcmp(pynn_trainer_average(whole.trainer), pynn_trainer_average(resumed.trainer), n * sizeof(double)));
  CHECK(!memcmp(pynn_model_parameters(whole.model), pynn_model_parameters(resumed.model), n * sizeof(float)));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_n_averaged(resumed.trainer, -1));
  CHECK_STATUS(PYNN_OK, pynn_trainer_use_average(resumed.trainer));
  CHECK((float)pynn_trainer_average(resumed.trainer)[3] == ((float *)pynn_model_parameters(resumed.model))[3]);

  /* by hand: the parameters after steps 1, 3, ..., halved into the mean of those before */
  make(&m), averaged(&m);
  struct run hand = start(context, &m);
  double expected = 0;
  for (int step = 1; step <= 7; step++) {
    train(&hand, 1);
    const double now = (double)((float *)pynn_model_parameters(hand.model))[7];
    if (step % 2) expected = step == 1 ? now : 0.5 * expected + 0.5 * now;
  }
  CHECK_CLOSE(pynn_trainer_average(hand.trainer)[7], expected, 1e-12);
  pynn_average bad;
  pynn_average_init(&bad);
  pynn_error error;
#define REFUSES(change)            \
  pynn_average_init(&bad), change; \
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_average(hand.trainer, &bad, &error))
  REFUSES(bad.struct_size = 1);
  REFUSES(bad.decay = -0.1);
  REFUSES(bad.decay = 1);
  REFUSES(bad.decay = (double)NAN);
  REFUSES(bad.start = -1);
  REFUSES(bad.every = 0);
#undef REFUSES
  CHECK_CLOSE(pynn_trainer_average(hand.trainer)[7], expected, 1e-12); /* as it was */
  pynn_checkpoint_free(kept);
  stop(&hand);
  stop(&whole);
  stop(&resumed);
}

static void test_arguments(const pynn_context *context) {
  struct made m;
  make(&m);
  struct run run = start(context, &m);
  pynn_checkpoint *kept = NULL, *loaded = NULL;
  pynn_error error;
  const char byte = 0;
#define REFUSED(call) CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, call)
  REFUSED(pynn_checkpoint_new(NULL, run.trainer, &error));
  REFUSED(pynn_checkpoint_new(&kept, NULL, &error));
  REFUSED(pynn_checkpoint_load(NULL, context, "x", &error));
  REFUSED(pynn_checkpoint_load(&loaded, NULL, "x", &error));
  REFUSED(pynn_checkpoint_load(&loaded, context, NULL, &error));
  REFUSED(pynn_checkpoint_load_memory(NULL, context, &byte, 1, &error));
  REFUSED(pynn_checkpoint_load_memory(&loaded, NULL, &byte, 1, &error));
  REFUSED(pynn_checkpoint_load_memory(&loaded, context, NULL, 1, &error));
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_checkpoint_load_memory(&loaded, context, NULL, 0, &error));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&kept, run.trainer, &error));
  REFUSED(pynn_checkpoint_take(NULL, run.trainer, &error));
  REFUSED(pynn_checkpoint_take(kept, NULL, &error));
  REFUSED(pynn_checkpoint_write(NULL, "x", NULL, 0, NULL, 0, &error));
  REFUSED(pynn_checkpoint_write(kept, NULL, NULL, 0, NULL, 0, &error));
  REFUSED(pynn_checkpoint_write(kept, "x", NULL, 1, NULL, 0, &error));
  REFUSED(pynn_checkpoint_write(kept, "x", NULL, -1, NULL, 0, &error));
  REFUSED(pynn_checkpoint_write(kept, "x", NULL, 0, NULL, 1, &error));
  REFUSED(pynn_checkpoint_write(kept, "x", NULL, 0, NULL, -1, &error));
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE,
               pynn_checkpoint_write(kept, "x", NULL, 0, &(pynn_vector){"a", PYNN_UINT8, 0, &byte}, INT32_MAX, &error));
  REFUSED(pynn_checkpoint_save(NULL, "x", NULL, 0, NULL, 0, &error));
#undef REFUSED
  CHECK(!loaded);
  pynn_checkpoint_free(kept);
  stop(&run);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(2.0 * i);
  for (int i = 0; i < ROWS; i++) x[i * INPUTS + 1] = i % 3, x[i * INPUTS + 3] = i % 2;
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = cos(1.0 * i);
  test_variants(context);
  test_average(context);
  test_arguments(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
