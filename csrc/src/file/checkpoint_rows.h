/* The state of a trainer as vectors, one row of a table for each.
 *
 * A row says where in the trainer its numbers are. Copying, writing, reading and checking all follow the table:
 * whatever a later step depends on beside the model needs a row. Settings must be the same in the trainer that resumes;
 * they are kept as texts and compared as texts. */
#ifndef PYNN_CHECKPOINT_ROWS_H
#define PYNN_CHECKPOINT_ROWS_H

#include "base/json.h"
#include "train/state.h"

struct row {
  const char *name;
  int dtype; /* a pynn_dtype, or REAL */
  void *(*base)(pynn_trainer *, int index);
  int index;
  int64_t (*count)(const pynn_trainer *);
  size_t offset, stride; /* bytes from the base to the first number, and from one to the next */
  double least, most;    /* whole numbers: what they may be */
};

enum { N_ROWS = 80 };
extern const struct row checkpoint_rows[];

pynn_dtype row_dtype(const struct row *row, const pynn_model *model);
/* The count of numbers that the trainer holds under a row. */
int64_t row_count(const struct row *row, const pynn_trainer *trainer);
/* Whether a row's numbers are kept: those of a snapshot that is not good are not. */
int row_wanted(const struct row *row, const pynn_trainer *trainer);
/* Whether a row is a state vector of the optimizer. */
int row_of_optimizer(const struct row *row);
/* Copies a row's numbers out of the trainer, contiguous in `packed`, or back. */
void row_copy(const struct row *row, pynn_trainer *trainer, char *packed, int64_t count, int back);
/* Checks a row's vector (NULL: the file has none) against the trainer and the limits of the row. */
pynn_status row_check(const struct row *row, const pynn_vector *vector, const pynn_trainer *trainer, pynn_error *error);
/* Whether the byte at `offset` of a struct pynn_trainer is part of a number that checkpoints keep; for a test. */
int checkpoint_covers(size_t offset);

/* What must be the same in the trainer that resumes: its key in the file, its name in messages. */
struct setting {
  const char *key, *name;
  void (*put)(struct json_writer *, const pynn_trainer *);
};
enum { N_SETTINGS = 7, SETTING = 5120 }; /* bytes of a text, NUL included: a schedule with all its boundaries fits */
extern const struct setting checkpoint_settings[];
void setting_write(int32_t index, const pynn_trainer *trainer, char out[SETTING]);

#endif
