/* Whether a spec is a valid choice from a table. */
#ifndef PYNN_TABLES_H
#define PYNN_TABLES_H

#include "pynn.h"

int spec_valid(const pynn_spec *spec, pynn_table table);

#endif
