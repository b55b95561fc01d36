/* Learning on the device: a small network in a static buffer follows a sensor whose characteristic drifts.
 *
 * No heap: everything comes from `memory`. No surprise: a reading that is NaN is left out by the guard, and a burst of
 * nonsense that would have ruined the weights is undone by it. */
#include <pynn.h>

#include <math.h>
#include <stdio.h>

static _Alignas(64) unsigned char memory[256 * 1024];

/* What the sensor reads for a temperature; its gain and offset drift with age, in 0 ... 1. */
static float reading(float temperature, float age) { return (1 + 0.3f * age) * tanhf(0.5f * temperature) + 0.2f * age; }

/* The newest readings, and the temperatures that a reference gave for them. */
enum { BATCH = 16 };
static float readings[BATCH], temperatures[BATCH];

static void measure(float age, uint32_t *seed) {
  for (int i = 0; i < BATCH; i++) {
    *seed = *seed * 1664525u + 1013904223u;
    temperatures[i] = (float)(*seed >> 8) / (float)(1 << 23) - 1; /* -1 ... 1 */
    readings[i] = reading(temperatures[i], age);
  }
}

static double error_at(const pynn_model *model, pynn_workspace *workspace, float age, uint32_t seed) {
  float out[BATCH];
  double squares = 0;
  measure(age, &seed);
  const pynn_array x = pynn_matrix(readings, PYNN_FLOAT32, BATCH, 1);
  if (pynn_predict(model, workspace, &x, 0, PYNN_FLOAT32, out, NULL)) return INFINITY;
  for (int i = 0; i < BATCH; i++) squares += pow((double)(out[i] - temperatures[i]), 2);
  return sqrt(squares / BATCH);
}

int main(void) {
  pynn_arena arena = pynn_arena_over(memory, sizeof memory);
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
  pynn_context_options where;
  pynn_model_options shape;
  pynn_trainer_options how;
  pynn_layer layers[2];
  pynn_spec loss;

  pynn_context_options_init(&where);
  where.allocator = pynn_arena_allocator(&arena);
  where.threads = 1;
  pynn_dense(&layers[0], 8, "tanh");
  pynn_dense(&layers[1], 1, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "mse");
  pynn_model_options_init(&shape);
  shape.inputs = 1;
  if (pynn_context_new(&context, &where) || pynn_model_new(&model, context, &shape, layers, 2, NULL)) return 1;
  if (pynn_model_set_loss(model, &loss) || pynn_workspace_new(&workspace, model)) return 1;
  pynn_trainer_options_init(&how, model);
  pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, "adam");
  pynn_spec_set(&how.optimizer, "learning_rate", 0.01);
  how.batch_size = BATCH;
  how.guard.policy = PYNN_POLICY_ROLLBACK;
  if (pynn_trainer_new(&trainer, model, &how, NULL)) return 1;
  const size_t taken = arena.used;

  const pynn_data data = {
      pynn_matrix(readings, PYNN_FLOAT32, BATCH, 1), pynn_matrix(temperatures, PYNN_FLOAT32, BATCH, 1), {0}};
  uint32_t seed = 1;
  double stale = 0;
  for (int step = 0; step < 4000; step++) {
    const float age = step < 1000 ? 0 : (float)(step - 1000) / 3000;
    pynn_step done;
    measure(age, &seed);
    if (step % 500 == 250) readings[3] = NAN;                              /* a loose contact */
    if (step % 1000 == 600) readings[5] = 3e38f, temperatures[5] = -3e38f; /* a short circuit */
    if (pynn_train_step(trainer, &data, &done, NULL)) return 1;
    if (step == 999) printf("new: error %.4f\n", error_at(model, workspace, 0, 7));
    if (step == 999) stale = error_at(model, workspace, 1, 7);
  }
  printf("old: error %.4f, it would be %.4f without learning\n", error_at(model, workspace, 1, 7), stale);

  pynn_event events[32];
  const int64_t n = pynn_trainer_events(trainer, events, 32, NULL);
  for (int64_t i = 0; i < n; i++)
    printf("step %d: %s at %s\n", (int)events[i].step, pynn_event_name(events[i].kind),
           pynn_operation_name(events[i].operation));
  printf("%d bytes taken, %d more while learning\n", (int)taken, (int)(arena.used - taken));
  pynn_trainer_free(trainer), pynn_workspace_free(workspace), pynn_model_free(model), pynn_context_free(context);
  return arena.used != 0;
}
