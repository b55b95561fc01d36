/* A checkpoint inside. */
#ifndef PYNN_CHECKPOINT_H
#define PYNN_CHECKPOINT_H

#include "file/checkpoint_rows.h"
#include "file/model_file.h"

struct pynn_checkpoint {
  const pynn_context *context;
  pynn_model *model;           /* of a loaded one: with the file's texts */
  struct file_vectors vectors; /* of a copy: in the order of the rows */
  char (*settings)[SETTING];   /* of a copy: in their order; NULL: loaded */
  int suspect;                 /* the guard suspected the state */
};

/* A vector by name, NULL when there is none. */
const pynn_vector *checkpoint_find(const pynn_checkpoint *checkpoint, const char *name);

#endif
