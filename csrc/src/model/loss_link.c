/* The loss of a model, and the link between its logits and its predictions. */
#include "graph/custom.h"
#include "model/model.h"
#include "names/tables.h"

#include <string.h>

/* Predictions pass through `link` from now on. It stands behind the logits: behind the last layer as written, or in
 * place of a last activation that is the link itself. */
static pynn_status set_link(pynn_model *model, const char *name) {
  pynn_spec link, linear;
  if (pynn_spec_named(&link, PYNN_ACTIVATION, name) || pynn_spec_named(&linear, PYNN_ACTIVATION, "linear"))
    return PYNN_ERROR_UNKNOWN_NAME;
  if (model->scales_targets && link.row != linear.row) return PYNN_ERROR_UNSUPPORTED;
  model->link_spec = link;
  model->link = link.row == linear.row ? NULL : &model->kernels->activations[link.row];
  custom_choose(model, model->n_layers - 1);
  return PYNN_OK;
}

pynn_status pynn_model_set_loss(pynn_model *model, const pynn_spec *spec) {
  if (!model || !spec || !spec_valid(spec, PYNN_LOSS)) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct loss *loss = &model->kernels->losses[spec->row];
  const int pairs = (loss->row.flags & PYNN_ROW_PAIRS) != 0;
  if (pairs && model->outputs % 2) return PYNN_ERROR_SHAPE;
  if (pairs && model->scales_targets) return PYNN_ERROR_UNSUPPORTED;
  pynn_status status = set_link(model, loss->row.link);
  if (status) return status;
  model->has_loss = 1;
  model->targets = pairs ? model->outputs / 2 : model->outputs;
  model->loss_spec = *spec;
  model->loss = loss;
  model->custom = (struct custom_loss){.function = NULL};
  return PYNN_OK;
}

pynn_status model_name_custom_loss(pynn_model *model, const char *name, const char *link) {
  const size_t length = name ? strlen(name) : 0;
  if (length < 1 || length >= PYNN_CUSTOM_NAME) return PYNN_ERROR_INVALID_ARGUMENT;
  pynn_status status = set_link(model, link ? link : "linear");
  if (status) return status;
  struct custom_loss custom = {.function = NULL};
  memcpy(custom.name, name, length);
  model->custom = custom;
  model->has_loss = 0;
  model->loss_spec = (pynn_spec){.table = PYNN_LOSS, .row = -1};
  return PYNN_OK;
}

pynn_status pynn_model_set_custom_loss(pynn_model *model, const pynn_custom_loss *loss) {
  if (!model || !loss || loss->struct_size != sizeof *loss || !loss->function) return PYNN_ERROR_INVALID_ARGUMENT;
  pynn_status status = model_name_custom_loss(model, loss->name, loss->link);
  if (status) return status;
  struct custom_loss *custom = &model->custom;
  custom->function = loss->function;
  custom->user = loss->user;
  custom->unchecked = (loss->flags & PYNN_CUSTOM_UNCHECKED) != 0;
  custom->row.row = (pynn_row){.name = custom->name, .aliases = "", .flags = loss->flags & PYNN_ROW_LABELS};
  custom->row.row.link = pynn_table_row(PYNN_ACTIVATION, model->link_spec.row)->name;
  model->loss = &custom->row;
  model->has_loss = 1;
  model->targets = model->outputs;
  return PYNN_OK;
}

const char *pynn_model_custom_loss_name(const pynn_model *model) {
  return model && model->custom.name[0] ? model->custom.name : NULL;
}

pynn_status model_copy_loss(pynn_model *to, const pynn_model *from) {
  const struct custom_loss *custom = &from->custom;
  if (!custom->name[0]) return pynn_model_set_loss(to, &from->loss_spec);
  const char *link = pynn_table_row(PYNN_ACTIVATION, from->link_spec.row)->name;
  if (!custom->function) return model_name_custom_loss(to, custom->name, link);
  const uint32_t flags = custom->row.row.flags | (custom->unchecked ? PYNN_CUSTOM_UNCHECKED : 0);
  const pynn_custom_loss loss = {sizeof loss, custom->name, link, flags, custom->function, custom->user};
  return pynn_model_set_custom_loss(to, &loss);
}

const pynn_spec *pynn_model_loss(const pynn_model *model) {
  return model && model->has_loss && !model->custom.name[0] ? &model->loss_spec : NULL;
}
