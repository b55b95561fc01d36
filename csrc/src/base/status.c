/* Texts of statuses, the version, and the report of a failure. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *pynn_version(void) { return PYNN_VERSION; }

const char *pynn_strerror(pynn_status status) {
  switch (status) {
#define STATUS_TEXT(name, value, text) \
  case name: return text;
    PYNN_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
  }
  return "unknown status";
}

pynn_status fail(pynn_error *error, pynn_status status, const char *format, ...) {
  if (!error) return status;
  *error = (pynn_error){.status = status, .layer = -1, .row = -1, .column = -1};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}
