/* Constraints on tensors, applied after an update. */
#include "train/constrain.h"

#include "graph/layout.h"

struct constraining {
  const pynn_model *model;
  const struct constraint *constraint;
  const double *p;
  char *w;
  int64_t rows, columns;
};

static void constrain_tile(void *argument, int64_t index) {
  const struct constraining *c = argument;
  const int64_t from = index * CONSTRAINED, left = c->columns - from;
  c->constraint->apply((size_t)c->rows, (size_t)(left < CONSTRAINED ? left : CONSTRAINED),
                       c->w + (size_t)from * c->model->kernels->size, (size_t)c->columns, c->p);
}

/* Kernels are constrained column by column, a bias as one column. */
void constrain(pynn_trainer *t) {
  const pynn_model *model = t->model;
  for (int32_t i = 0; i < model->n_tensors; i++) {
    const pynn_tensor *view = &model->tensors[i].view;
    const pynn_spec *spec = layer_constraint(model, &model->tensors[i]);
    if (!spec) continue;
    const int is_vector = model->tensors[i].slots.is_vector;
    struct constraining c = {.model = model,
                             .constraint = &model->kernels->constraints[spec->row],
                             .p = spec->values,
                             .w = (char *)model->parameters + (size_t)view->offset * model->kernels->size,
                             .rows = is_vector ? view->columns : view->rows,
                             .columns = is_vector ? view->rows : view->columns};
    parallel_for(model->context, (c.columns + CONSTRAINED - 1) / CONSTRAINED, 4.0 * (double)(c.rows * c.columns),
                 constrain_tile, &c);
    /* a bound: only the norms of the constraint can have made a number larger */
    t->largest.parameter_max = larger(t->largest.parameter_max, larger(1, larger(c.p[0], c.p[1])));
  }
}
