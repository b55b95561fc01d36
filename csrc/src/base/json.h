/* JSON as model files use it (RFC 8259, strict): a cursor that takes what the caller expects next, and a writer.
 * Nothing allocates or recurses. What the reader takes must come in the order asked for, which rules out duplicate
 * keys; the first thing that does not is remembered, and every later call takes nothing and returns zero or "", so
 * that a caller reads on and looks once. */
#ifndef PYNN_JSON_H
#define PYNN_JSON_H

#include <stddef.h>
#include <stdint.h>

struct json {
  char *at, *end;
  char *token;       /* where the last thing asked for began */
  int first;         /* nothing of the innermost object or array has been taken */
  char expected[96]; /* what was not there; "" as long as all is well */
};

/* A cursor on text[0 ... size-1]; text[size] must be NUL. Strings are decoded in place: the text is consumed. */
void json_init(struct json *json, char *text, size_t size);

/* Remembers that `what` was expected at the last token, unless something is remembered already. */
void json_fail(struct json *json, const char *what, const char *name);
int json_failed(const struct json *json);
/* The last token in a few printable characters, for messages. */
void json_excerpt(const struct json *json, char *out, size_t size);

void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
/* Nothing but white space is left. */
void json_finish(struct json *json);

/* In an array: takes the comma and returns 1 when another element follows. */
int json_more(struct json *json);
/* In an object: the key, spelled without escapes, must come next ... */
void json_key(struct json *json, const char *name);
/* ... or is taken if it does (1) and else left (0) ... */
int json_has_key(struct json *json, const char *name);
/* ... or may be any; NULL at the end of the object. */
char *json_next_key(struct json *json);

/* A string, NUL-terminated, valid UTF-8; U+0000 is refused. Lives in the text. */
char *json_string(struct json *json);
/* An integer in 0 ... maximum, exactly. */
uint64_t json_unsigned(struct json *json, uint64_t maximum);
/* The double nearest to a number of up to 63 characters, finite, in any locale. */
double json_number(struct json *json);
int json_boolean(struct json *json);
/* Takes null if it comes next (1). */
int json_null(struct json *json);

/* Bytes of well-formed UTF-8 at the start of text[0 ... size-1]. */
size_t json_utf8(const char *text, size_t size);

/* Writes into out[0 ... capacity-1] and counts what the text needs in `size`: run once with capacity 0 to know it. */
struct json_writer {
  char *out;
  size_t capacity, size;
  int nested; /* the text stands inside a string: quotes and backslashes are escaped once more */
};

/* JSON text as it is. */
void json_put(struct json_writer *writer, const char *text);
void json_put_string(struct json_writer *writer, const char *string);
void json_put_unsigned(struct json_writer *writer, uint64_t value);
/* A finite number in the fewest digits that read back as the same double. */
void json_put_number(struct json_writer *writer, double value);
/* Arrays of n numbers. */
void json_put_numbers(struct json_writer *writer, const double *values, int64_t n);
void json_put_unsigneds(struct json_writer *writer, const uint64_t *values, int64_t n);
/* A comma and "key": */
void json_put_key(struct json_writer *writer, const char *key);

#endif
