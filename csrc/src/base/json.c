/* A strict JSON cursor and a writer; see json.h. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER 63

void json_init(struct json *json, char *text, size_t size) {
  *json = (struct json){.at = text, .end = text + size, .token = text};
}

void json_fail(struct json *json, const char *what, const char *name) {
  if (!json_failed(json)) snprintf(json->expected, sizeof json->expected, "%s%s", what, name);
}

int json_failed(const struct json *json) { return json->expected[0] != '\0'; }

void json_excerpt(const struct json *json, char *out, size_t size) {
  size_t n = 0;
  for (const char *c = json->token; n + 1 < size && c < json->end && *c; c++)
    out[n++] = *c >= ' ' && *c <= '~' ? *c : '?';
  snprintf(out + n, size - n, "%s", n ? "" : "the end");
}

/* ---------------------------------------------------------------- reader */

/* The next character that is not white space, -1 at the end or after a failure. */
static int peek(struct json *json) {
  if (json_failed(json)) return -1;
  while (json->at < json->end && *json->at && strchr(" \t\n\r", *json->at)) json->at++;
  json->token = json->at;
  return json->at < json->end ? (unsigned char)*json->at : -1;
}

static int take(struct json *json, char c) {
  if (peek(json) != (unsigned char)c) return 0;
  json->at++;
  return 1;
}

static void expect(struct json *json, char c) {
  if (!take(json, c)) json_fail(json, "the character ", (const char[]){c, '\0'});
}

/* The comma before every member or element but the first. */
static void separate(struct json *json) {
  if (!json->first) expect(json, ',');
  json->first = 0;
}

void json_open(struct json *json, char bracket) {
  expect(json, bracket);
  json->first = 1;
}

void json_close(struct json *json, char bracket) {
  expect(json, bracket);
  json->first = 0;
}

void json_finish(struct json *json) {
  if (peek(json) != -1) json_fail(json, "the end of the text", "");
}

int json_more(struct json *json) {
  int next = peek(json);
  if (next == ']' || next == -1) return 0;
  separate(json);
  return !json_failed(json);
}

int json_has_key(struct json *json, const char *name) {
  struct json ahead = *json;
  size_t size = strlen(name);
  separate(&ahead);
  if (!take(&ahead, '"') || (size_t)(ahead.end - ahead.at) <= size || memcmp(ahead.at, name, size) != 0) return 0;
  ahead.at += size;
  if (*ahead.at++ != '"' || !take(&ahead, ':')) return 0;
  *json = ahead;
  return 1;
}

void json_key(struct json *json, const char *name) {
  if (!json_has_key(json, name)) json_fail(json, "the key ", name);
}

char *json_next_key(struct json *json) {
  int next = peek(json);
  if (next == '}' || next == -1) return NULL;
  separate(json);
  char *key = json_string(json);
  expect(json, ':');
  return json_failed(json) ? NULL : key;
}

/* Bytes of the UTF-8 sequence at u[0 ... size-1] (RFC 3629: shortest form, no surrogates), 0 when it is none. */
static size_t sequence(const unsigned char *u, size_t size) {
  static const struct {
    unsigned char first, last, second_first, second_last;
    size_t bytes;
  } forms[] = {
      {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
  };
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    size_t bytes = forms[f].bytes;
    if (u[0] < forms[f].first || u[0] > forms[f].last) continue;
    if (bytes > size || (bytes > 1 && (u[1] < forms[f].second_first || u[1] > forms[f].second_last))) return 0;
    for (size_t i = 2; i < bytes; i++)
      if ((u[i] & 0xC0) != 0x80) return 0;
    return bytes;
  }
  return 0;
}

size_t json_utf8(const char *text, size_t size) {
  size_t at = 0, bytes = 1;
  while (at < size && bytes > 0) at += bytes = sequence((const unsigned char *)text + at, size - at);
  return at;
}

static uint32_t take_hex4(struct json *json) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit = json->at < json->end && *json->at ? strchr(digits, *json->at) : NULL;
    if (!digit) {
      json_fail(json, "four hexadecimal digits after \\u", "");
      return 0;
    }
    value = value << 4 | ((uint32_t)(digit - digits) & 15);
    json->at++;
  }
  return value;
}

/* The code point of an escape, after its backslash; 0 after a failure. */
static uint32_t take_escape(struct json *json) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  char c = json->at < json->end ? *json->at++ : '\0';
  const char *name = c ? strchr(names, c) : NULL;
  if (name) return (unsigned char)values[name - names];
  if (c != 'u') {
    json_fail(json, "one of \"\\/bfnrtu after a backslash", "");
    return 0;
  }
  uint32_t code = take_hex4(json);
  if (code >= 0xD800 && code < 0xDC00 && json->end - json->at >= 2 && json->at[0] == '\\' && json->at[1] == 'u') {
    json->at += 2;
    uint32_t low = take_hex4(json);
    if (low >= 0xDC00 && low < 0xE000) return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    code = 0xD800;
  }
  if (code == 0 || (code >= 0xD800 && code < 0xE000)) {
    json_fail(json, "an escape of a character other than U+0000 and lone surrogates", "");
    return 0;
  }
  return code;
}

static char *put_utf8(char *out, uint32_t code) {
  int tail = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char leads[] = {0x00, 0xC0, 0xE0, 0xF0};
  *out++ = (char)(leads[tail] | code >> (6 * tail));
  while (tail-- > 0) *out++ = (char)(0x80 | (code >> (6 * tail) & 0x3F));
  return out;
}

/* An escape is never shorter than the UTF-8 that it stands for, so `out` stays at or behind the cursor. */
char *json_string(struct json *json) {
  if (!take(json, '"')) {
    json_fail(json, "a string", "");
    return json->end;
  }
  char *text = json->at, *out = text;
  while (json->at < json->end && *json->at != '"' && !json_failed(json)) {
    if (*json->at == '\\') {
      json->at++;
      uint32_t code = take_escape(json);
      if (!json_failed(json)) out = put_utf8(out, code);
      continue;
    }
    size_t bytes = sequence((unsigned char *)json->at, (size_t)(json->end - json->at));
    if (bytes == 0 || (unsigned char)*json->at < ' ')
      json_fail(json, "a string of UTF-8 without control characters", "");
    memmove(out, json->at, bytes);
    json->at += bytes;
    out += bytes;
  }
  if (json->at == json->end) json_fail(json, "a closing quote", "");
  if (json_failed(json)) return json->end;
  json->at++;
  *out = '\0';
  return text;
}

/* Takes a run of decimal digits and returns how many. */
static size_t take_digits(struct json *json) {
  char *start = json->at;
  while (json->at < json->end && *json->at >= '0' && *json->at <= '9') json->at++;
  return (size_t)(json->at - start);
}

static int take_any(struct json *json, const char *characters) {
  if (json->at == json->end || !*json->at || !strchr(characters, *json->at)) return 0;
  json->at++;
  return 1;
}

uint64_t json_unsigned(struct json *json, uint64_t maximum) {
  uint64_t value = 0;
  const char *digit = peek(json) == -1 ? json->end : json->at;
  size_t n = digit == json->end ? 0 : take_digits(json);
  int valid = n > 0 && (n == 1 || *digit != '0') && !take_any(json, ".eE");
  for (; valid && n > 0; n--, digit++) {
    uint64_t d = (uint64_t)(*digit - '0');
    valid = value <= (maximum - d) / 10 && d <= maximum;
    value = value * 10 + d;
  }
  if (valid) return value;
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)maximum);
  json_fail(json, "an integer in 0 ... ", text);
  return 0;
}

/* The nearest double to a JSON number. The decimal point moves into the exponent, since strtod takes the locale's. */
static double nearest_double(const char *text, size_t size) {
  char plain[MAX_NUMBER + 24];
  size_t n = 0, i = 0;
  long exponent = 0, point = 0;
  for (; i < size && text[i] != 'e' && text[i] != 'E'; i++) {
    if (text[i] == '.') {
      point = 1;
    } else {
      plain[n++] = text[i];
      exponent -= point;
    }
  }
  long given = i < size ? strtol(text + i + 1, NULL, 10) : 0;
  given = given > 9999 ? 9999 : given < -9999 ? -9999 : given; /* beyond every double with MAX_NUMBER digits */
  snprintf(plain + n, sizeof plain - n, "e%ld", exponent + given);
  return strtod(plain, NULL);
}

double json_number(struct json *json) {
  static const char rule[] = "a finite number";
  if (peek(json) == -1) {
    json_fail(json, rule, "");
    return 0;
  }
  char *start = json->at;
  take_any(json, "-");
  char *digits = json->at;
  size_t n = take_digits(json);
  int valid = n > 0 && (n == 1 || *digits != '0');
  if (take_any(json, ".")) valid &= take_digits(json) > 0;
  if (take_any(json, "eE")) {
    take_any(json, "+-");
    valid &= take_digits(json) > 0;
  }
  size_t size = (size_t)(json->at - start);
  double value = valid && size <= MAX_NUMBER ? nearest_double(start, size) : (double)NAN;
  if (isfinite(value)) return value;
  json_fail(json, rule, "");
  return 0;
}

static int take_word(struct json *json, const char *word) {
  size_t size = strlen(word);
  if (peek(json) == -1 || (size_t)(json->end - json->at) < size || memcmp(json->at, word, size) != 0) return 0;
  json->at += size;
  return 1;
}

int json_boolean(struct json *json) {
  if (take_word(json, "true")) return 1;
  if (!take_word(json, "false")) json_fail(json, "true or false", "");
  return 0;
}

int json_null(struct json *json) { return take_word(json, "null"); }

/* ---------------------------------------------------------------- writer */

static void push(struct json_writer *writer, char c) {
  if (writer->size < writer->capacity) writer->out[writer->size] = c;
  writer->size++;
}

void json_put(struct json_writer *writer, const char *text) {
  for (; *text; text++) {
    if (writer->nested && (*text == '"' || *text == '\\')) push(writer, '\\');
    push(writer, *text);
  }
}

void json_put_string(struct json_writer *writer, const char *string) {
  json_put(writer, "\"");
  for (; *string; string++) {
    char text[8] = {*string};
    if (*string == '"' || *string == '\\') {
      snprintf(text, sizeof text, "\\%c", *string);
    } else if ((unsigned char)*string < ' ') {
      snprintf(text, sizeof text, "\\u%04x", (unsigned)*string);
    }
    json_put(writer, text);
  }
  json_put(writer, "\"");
}

void json_put_unsigned(struct json_writer *writer, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  json_put(writer, text);
}

void json_put_number(struct json_writer *writer, double value) {
  char text[40] = "";
  for (int digits = 15; digits <= 17; digits++) {
    char local[40];
    size_t n = 0;
    snprintf(local, sizeof local, "%.*g", digits, value);
    for (const char *c = local; *c; c++) { /* whatever stands for the point in this locale becomes one '.' */
      if (strchr("+-0123456789e", *c)) text[n++] = *c;
      else if (text[n - 1] != '.') text[n++] = '.';
    }
    text[n] = '\0';
    if (nearest_double(text, n) == value) break; /* 17 digits always suffice */
  }
  json_put(writer, text);
}

void json_put_numbers(struct json_writer *writer, const double *values, int64_t n) {
  json_put(writer, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i > 0) json_put(writer, ",");
    json_put_number(writer, values[i]);
  }
  json_put(writer, "]");
}

void json_put_unsigneds(struct json_writer *writer, const uint64_t *values, int64_t n) {
  json_put(writer, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i > 0) json_put(writer, ",");
    json_put_unsigned(writer, values[i]);
  }
  json_put(writer, "]");
}

void json_put_key(struct json_writer *writer, const char *key) {
  json_put(writer, ",");
  json_put_string(writer, key);
  json_put(writer, ":");
}
