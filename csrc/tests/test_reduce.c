/* A step is judged and applied by what the processes of a run computed together: the hook between computing and judging
 * replaces loss, gradient and largest values, and everything after it goes by them. */
#include "check.h"

#include <string.h>

#include "train/step.h"

enum { ROWS = 16, INPUTS = 3, OUTPUTS = 2 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
};

static struct run start(const pynn_context *context, const char *optimizer, double rate, double clip_norm) {
  struct run run = {0};
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_dense(&layers[0], 4, "tanh");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = PYNN_FLOAT64, options.seed = 5;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&how, run.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, optimizer));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&how.optimizer, "learning_rate", rate));
  how.clip_norm = clip_norm;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  return run;
}

static void stop(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static pynn_status take(struct run *run, pynn_step *step, pynn_error *error) {
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  return pynn_train_step(run->trainer, &data, step, error);
}

/* As if `*user` processes had computed the same: sums of losses, means of gradients times a factor. */
static pynn_status scale(void *user, pynn_trainer *t, struct step *step) {
  const double factor = *(double *)user;
  double *gradient = t->gradient;
  for (int64_t i = 0; i < t->model->n_parameters; i++) gradient[i] *= factor;
  step->loss *= factor;
  return PYNN_OK;
}

static pynn_status interrupt(void *user, pynn_trainer *t, struct step *step) {
  (void)user, (void)t, (void)step;
  return PYNN_ERROR_THREAD;
}

static int same(const struct run *a, const struct run *b) {
  return !memcmp(pynn_model_parameters(a->model), pynn_model_parameters(b->model),
                 (size_t)pynn_model_n_parameters(a->model) * sizeof(double));
}

static void test_sums_decide(const pynn_context *context) {
  double one = 1, two = 2;
  struct run plain = start(context, "sgd", 0.5, 0), hooked = start(context, "sgd", 0.5, 0);
  struct run half = start(context, "sgd", 0.25, 0), doubled = start(context, "sgd", 0.25, 0);
  pynn_step a, b;
  hooked.trainer->reduction = (struct reduction){scale, &one};
  CHECK_STATUS(PYNN_OK, take(&plain, &a, NULL));
  CHECK_STATUS(PYNN_OK, take(&hooked, &b, NULL));
  CHECK(same(&plain, &hooked) && a.loss == b.loss);
  CHECK_CLOSE(a.gradient_norm, b.gradient_norm, 1e-14);
  doubled.trainer->reduction = (struct reduction){scale, &two}; /* half the rate, twice the gradient */
  CHECK_STATUS(PYNN_OK, take(&doubled, &b, NULL));
  CHECK(same(&plain, &doubled) && b.loss == 2 * a.loss);
  CHECK_CLOSE(b.gradient_norm, 2 * a.gradient_norm, 1e-14);
  stop(&plain), stop(&hooked), stop(&half), stop(&doubled);
}

/* Clipping takes the norm of the reduced gradient. */
static void test_norms_are_of_the_sum(const pynn_context *context) {
  double many = 1024;
  struct run plain = start(context, "sgd", 0.5, 1e-3), hooked = start(context, "sgd", 0.5, 1e-3);
  pynn_step a, b;
  hooked.trainer->reduction = (struct reduction){scale, &many};
  CHECK_STATUS(PYNN_OK, take(&plain, &a, NULL));
  CHECK_STATUS(PYNN_OK, take(&hooked, &b, NULL));
  const double *p = pynn_model_parameters(plain.model), *q = pynn_model_parameters(hooked.model);
  for (int64_t i = 0; i < pynn_model_n_parameters(plain.model); i++) CHECK_CLOSE(p[i], q[i], 1e-12);
  CHECK_CLOSE(b.gradient_norm, many * a.gradient_norm, 1e-12);
  stop(&plain), stop(&hooked);
}

/* A number that another process made NaN or infinite refuses the step here too, and so does a failure to reduce. */
static void test_faults_of_others(const pynn_context *context) {
  double bad[] = {(double)NAN, (double)INFINITY};
  for (int i = 0; i < 3; i++) {
    struct run run = start(context, "adam", 0.01, 0), fresh = start(context, "adam", 0.01, 0);
    pynn_error error;
    pynn_step step;
    run.trainer->reduction = i < 2 ? (struct reduction){scale, &bad[i]} : (struct reduction){interrupt, NULL};
    CHECK_STATUS(i < 2 ? PYNN_ERROR_NUMERIC : PYNN_ERROR_THREAD, take(&run, &step, &error));
    CHECK(same(&run, &fresh) && pynn_trainer_steps(run.trainer) == 0);
    run.trainer->reduction = (struct reduction){NULL, NULL};
    CHECK_STATUS(PYNN_OK, take(&run, &step, NULL));
    stop(&run), stop(&fresh);
  }
}

int main(void) {
  pynn_context *context = NULL;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(3.0 * i);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = cos(2.0 * i);
  test_sums_decide(context);
  test_norms_are_of_the_sum(context);
  test_faults_of_others(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
