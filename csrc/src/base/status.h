/* How a failure is reported: a status, and where the caller gave one, a pynn_error. */
#ifndef PYNN_STATUS_H
#define PYNN_STATUS_H

#include "pynn.h"

/* Fills *error (which may be NULL) and returns `status`. `format` as printf; layer, row and column are set to -1. */
pynn_status fail(pynn_error *error, pynn_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
