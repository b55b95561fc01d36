/* Model files: round trips, every truncation and flipped bit, hostile headers, paths, what killed writers leave. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#  define _GNU_SOURCE
#endif
#define FAULTS_DISK
#include <locale.h>
#include <stdint.h>

#include "check.h"
#include "faults.h"
#include "file/model_file.h"
#include "base/json.h"

static char folder[] = "test_file_XXXXXX";

/* A path in the folder; good until 32 more are made. */
static const char *in_folder(const char *name) {
  static char paths[32][128];
  static int next;
  char *path = paths[next++ % 32];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* ---------------------------------------------------------------- models and bytes */

static pynn_spec named(pynn_table table, const char *name) {
  pynn_spec spec;
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, table, name));
  return spec;
}

static const pynn_metadata entries[] = {
    {"zebra", "last in the file"},
    {"classes", "[\"null\",\"eins\\n\"]\n\t\x01 \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
    {"a-b_c.D9", ""}};

/* 3 - dense 2 - dropout - dense 1 without bias, with a loss. */
static pynn_model *sample(const pynn_context *context, pynn_dtype dtype) {
  pynn_layer layers[3];
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[0], 2, "leaky_relu"));
  CHECK_STATUS(PYNN_OK, pynn_dropout(&layers[1], 0.1));
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[2], 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[2].kind, "use_bias", 0));
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = 3;
  options.dtype = dtype;
  options.seed = UINT64_MAX;
  pynn_model *model = NULL;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 3, NULL));
  pynn_spec loss = named(PYNN_LOSS, "huber");
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  return model;
}

static int same_spec(const pynn_spec *a, const pynn_spec *b) {
  return a->table == b->table && a->row == b->row && memcmp(a->values, b->values, sizeof a->values) == 0;
}

static int same_model(const pynn_model *a, const pynn_model *b) {
  if (pynn_model_inputs(a) != pynn_model_inputs(b) || pynn_model_dtype(a) != pynn_model_dtype(b) ||
      pynn_model_seed(a) != pynn_model_seed(b) || pynn_model_n_layers(a) != pynn_model_n_layers(b) ||
      pynn_model_n_parameters(a) != pynn_model_n_parameters(b))
    return 0;
  for (int32_t i = 0; i < pynn_model_n_layers(a); i++) {
    pynn_layer x, y;
    pynn_model_layer(a, i, &x), pynn_model_layer(b, i, &y);
    if (!same_spec(&x.kind, &y.kind) || x.n_choices != y.n_choices) return 0;
    for (int32_t c = 0; c < x.n_choices; c++)
      if (x.choices[c].slot != y.choices[c].slot || !same_spec(&x.choices[c].spec, &y.choices[c].spec)) return 0;
  }
  const pynn_spec *x = pynn_model_loss(a), *y = pynn_model_loss(b);
  if (!x != !y || (x && !same_spec(x, y))) return 0;
  return memcmp(pynn_model_parameters((pynn_model *)a), pynn_model_parameters((pynn_model *)b),
                (size_t)pynn_model_n_parameters(a) * pynn_dtype_size(pynn_model_dtype(a))) == 0;
}

static unsigned char *saved(const pynn_model *model, size_t *size) {
  const char *path = in_folder("sample");
  CHECK_STATUS(PYNN_OK, pynn_save(model, path, entries, 3, NULL));
  return contents(path, size);
}

/* ---------------------------------------------------------------- round trips */

static void check_round_trip(const pynn_model *model) {
  pynn_context *context = counted_context();
  const char *path = in_folder("round");
  CHECK_STATUS(PYNN_OK, pynn_save(model, path, entries, 3, NULL));
  pynn_model *loaded = NULL;
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, path, NULL));
  if (CHECK(loaded)) {
    CHECK(same_model(model, loaded));
    for (int i = 0; i < 3; i++) {
      const char *value = pynn_model_metadata(loaded, entries[i].key);
      CHECK(value && strcmp(value, entries[i].value) == 0);
    }
    CHECK(!pynn_model_metadata(loaded, "absent"));
    CHECK(!pynn_model_metadata(loaded, "last in the file"));
    size_t size, again_size;
    unsigned char *bytes = contents(path, &size);
    CHECK_STATUS(PYNN_OK, pynn_save(loaded, path, entries, 3, NULL));
    unsigned char *again = contents(path, &again_size);
    CHECK(size == again_size && memcmp(bytes, again, size) == 0);
    free(bytes);
    free(again);
  }
  pynn_model_free(loaded);
  pynn_context_free(context);
}

/* Every row of every table, with numbers other than the defaults where the row accepts them. */
static void test_rows(const pynn_context *context) {
  static const double numbers[] = {0.1, 1.0 / 3, 0.7, 2, 1};
  for (int table = PYNN_ACTIVATION; table <= PYNN_INITIALIZER; table++) {
    for (int32_t r = 0; table != PYNN_OPTIMIZER && r < pynn_table_size((pynn_table)table); r++) {
      const pynn_row *row = pynn_table_row((pynn_table)table, r);
      pynn_spec spec = named((pynn_table)table, row->name);
      for (int32_t f = 0; f < row->n_fields; f++)
        for (size_t i = 0; i < 5 && pynn_spec_set(&spec, row->fields[f].name, numbers[i]) != PYNN_OK; i++) continue;
      for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
        pynn_layer layers[2];
        pynn_dense(&layers[0], 5, "tanh");
        pynn_dense(&layers[1], 6, NULL);
        if (table == PYNN_ACTIVATION) pynn_layer_choose(&layers[0], "activation", &spec);
        if (table == PYNN_INITIALIZER) pynn_layer_choose(&layers[0], "kernel_initializer", &spec);
        if (table == PYNN_INITIALIZER) pynn_layer_choose(&layers[1], "bias_initializer", &spec);
        pynn_model_options options;
        pynn_model_options_init(&options);
        options.inputs = 5;
        options.dtype = (pynn_dtype)dtype;
        pynn_model *model = NULL;
        CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 2, NULL));
        if (table == PYNN_LOSS) CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &spec));
        check_round_trip(model);
        pynn_model_free(model);
      }
    }
  }
}

static void test_shapes(const pynn_context *context) {
  static const int64_t widths[] = {1, 7, 300};
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++) {
      for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
        pynn_layer layers[2];
        pynn_dropout(&layers[0], 0.5);
        pynn_dense(&layers[1], widths[j], NULL);
        pynn_model_options options;
        pynn_model_options_init(&options);
        options.inputs = widths[i];
        options.dtype = (pynn_dtype)dtype;
        for (int n = 1; n <= 2; n++) { /* dropout alone has no parameters */
          pynn_model *model = NULL;
          CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, n, NULL));
          check_round_trip(model);
          pynn_model_free(model);
        }
      }
    }
  }
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
    pynn_model *model = sample(context, (pynn_dtype)dtype);
    memset(pynn_model_parameters(model), 0xFF, 3 * pynn_dtype_size((pynn_dtype)dtype)); /* NaN is data, too */
    check_round_trip(model);
    pynn_model_free(model);
  }
}

/* Writing and reading numbers: the same double in whatever locale the program has. */
static void test_numbers(void) {
  static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
  static const double special[] = {0,     -0.0,  0.1, 1e-7, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
                                   -1e22, 123456};
  uint64_t state = 1;
  for (int l = 0; l < 4; l++) {
    if (!setlocale(LC_ALL, locales[l])) continue;
    for (int i = 0; i < 20000; i++) {
      double value = 0, read;
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      memcpy(&value, &state, sizeof value);
      if (i < 9) value = special[i];
      if (!isfinite(value)) continue;
      char text[64] = "";
      struct json_writer writer = {.out = text, .capacity = sizeof text};
      json_put_number(&writer, value);
      struct json json;
      json_init(&json, text, strlen(text));
      read = json_number(&json);
      json_finish(&json);
      CHECK(!json_failed(&json) && memcmp(&read, &value, sizeof value) == 0);
      CHECK(i != 2 || strcmp(text, "0.1") == 0);
    }
  }
  setlocale(LC_ALL, "C");
}

/* ---------------------------------------------------------------- damage */

/* Loads bytes that must be refused, without taking more memory than they allow. */
static void check_refused(const pynn_context *context, const unsigned char *bytes, size_t size, const char *what) {
  pynn_error error = {.status = PYNN_OK};
  pynn_model *model = NULL;
  size_t before = peak = in_use;
  pynn_status status = pynn_load_memory(&model, context, bytes, size, &error);
  if (!CHECK(status == PYNN_ERROR_FILE_FORMAT || status == PYNN_ERROR_TOO_LARGE))
    fprintf(stderr, "  status %d: %s\n", (int)status, what);
  CHECK(!model);
  CHECK(in_use == before && peak - before < size + (1 << 20));
  if (!CHECK(error.status == status && strncmp(error.message, "expected ", 9) == 0))
    fprintf(stderr, "  %s: %s\n", what, error.message);
  pynn_model_free(model);
}

static int as_it_is(void *user, pynn_dtype dtype, int64_t n, const void *z, void *y) {
  (void)user;
  memmove(y, z, (size_t)n * pynn_dtype_size(dtype));
  return 0;
}

static int slope_one(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *y, void *delta) {
  (void)user, (void)dtype, (void)n, (void)z, (void)y, (void)delta;
  return 0;
}

/* As many layers as there may be, each with the shortest text and the longest name: memory stays within its bound. */
static void test_many_layers(const pynn_context *context) {
  enum { MANY = 1024 };
  pynn_layer *layers = malloc(MANY * sizeof *layers);
  pynn_model_options options;
  char name[PYNN_CUSTOM_NAME];
  const pynn_custom_activation custom = {.struct_size = sizeof custom,
                                         .name = name,
                                         .flags = PYNN_CUSTOM_FLOAT32,
                                         .value = as_it_is,
                                         .derivative = slope_one};
  memset(name, '{', sizeof name), name[PYNN_CUSTOM_NAME - 1] = '\0';
  for (int kinds = 0; kinds < 2; kinds++) {
    pynn_model *model = NULL, *loaded = NULL;
    for (int i = 0; i < MANY; i++)
      if (kinds) pynn_layer_named(&layers[i], "activation");
      else pynn_dropout(&layers[i], 0.5);
    pynn_dense(&layers[MANY - 1], 1, NULL);
    pynn_model_options_init(&options);
    options.inputs = 1;
    CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, MANY, NULL));
    for (int i = 0; kinds && i < MANY; i++)
      CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(model, i, &custom, NULL));
    size_t size;
    unsigned char *bytes = saved(model, &size);
    const size_t before = peak = in_use;
    CHECK_STATUS(PYNN_OK, pynn_load_memory(&loaded, context, bytes, size, NULL));
    CHECK(peak - before < size + (1 << 20));
    CHECK_EQUAL(pynn_model_n_layers(loaded), MANY);
    const char *kept = pynn_model_custom_activation_name(loaded, MANY / 2);
    CHECK(kinds ? kept && !strcmp(kept, name) : !kept);
    pynn_model_free(loaded);
    pynn_model_free(model);
    free(bytes);
  }
  free(layers);
}

static void test_damage(const pynn_context *context, pynn_dtype dtype) {
  pynn_model *model = sample(context, dtype);
  size_t size;
  unsigned char *bytes = saved(model, &size);
  for (size_t n = 0; n < size; n++) {
    unsigned char *cut = malloc(n ? n : 1); /* its own block, so that reading beyond it is found */
    memcpy(cut, bytes, n);
    check_refused(context, cut, n, "truncation");
    free(cut);
  }
  bytes[size] = 0;
  check_refused(context, bytes, size + 1, "a byte too many");
  for (size_t at = 0; at < size; at++) {
    for (int bit = 0; bit <= 8; bit++) {
      unsigned char flip = (unsigned char)(bit < 8 ? 1 << bit : 0xFF);
      bytes[at] ^= flip;
      check_refused(context, bytes, size, "flipped bits");
      bytes[at] ^= flip;
    }
  }
  free(bytes);
  pynn_model_free(model);
}

/* A file around a header of any kind, with a right checksum when there is room for one. */
static unsigned char *build(const char *header, size_t header_size, const unsigned char *data, size_t data_size,
                            size_t *size) {
  size_t padded = (FILE_PREFIX + header_size + 63) / 64 * 64 - FILE_PREFIX;
  *size = FILE_PREFIX + padded + data_size;
  unsigned char *bytes = malloc(*size);
  for (int i = 0; i < FILE_PREFIX; i++) bytes[i] = (unsigned char)((uint64_t)padded >> (8 * i));
  memset(bytes + FILE_PREFIX, ' ', padded);
  memcpy(bytes + FILE_PREFIX, header, header_size);
  memcpy(bytes + FILE_PREFIX + padded, data, data_size);
  if (*size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS && header_size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS - FILE_PREFIX)
    file_checksum(bytes, *size, (char *)bytes + CHECKSUM_OFFSET);
  return bytes;
}

/* The sample's file with one text in the header replaced by another and the checksum made right. */
static unsigned char *rewritten(const unsigned char *bytes, size_t size, const char *old, const char *new,
                                size_t *new_size) {
  size_t header_size = bytes[0] + 256u * bytes[1];
  char *header = malloc(header_size + 1), *changed = malloc(header_size + strlen(new) + 1);
  memcpy(header, bytes + FILE_PREFIX, header_size);
  header[header_size] = '\0';
  while (header_size > 0 && header[header_size - 1] == ' ') header[--header_size] = '\0';
  char *place = strstr(header, old);
  if (!CHECK(place)) fprintf(stderr, "  %s\n  not in\n  %s\n", old, header);
  if (!place) exit(1);
  int n = snprintf(changed, header_size + strlen(new) + 1, "%.*s%s%s", (int)(place - header), header, new,
                   place + strlen(old));
  size_t start = FILE_PREFIX + bytes[0] + 256u * bytes[1];
  unsigned char *result = build(changed, (size_t)n, bytes + start, size - start, new_size);
  free(header);
  free(changed);
  return result;
}

#define E "\\\""
static const struct {
  const char *old, *new;
} hostile[] = {
    {"\"pynn.version\":\"1\"", "\"pynn.version\":\"2\""},
    {"\"pynn.version\":\"1\"", "\"pynn.version\":1"},
    {"\"pynn.version\":\"1\"", "\"pynn.version\":\"1\",\"pynn.version\":\"1\""},
    {"\"pynn.version\":\"1\",", ""},
    {"\"zebra\"", "\"classes\""}, /* duplicate */
    {"\"zebra\"", "\"Zebra\""},   /* out of order */
    {"\"zebra\"", "\"layers.x\""},
    {"\"zebra\"", "\"\""},
    {"\"zebra\":\"last", "\"zebra\":\"\x01last"},
    {"\"zebra\":\"last", "\"zebra\":\"\xC0\x80last"},
    {"\"zebra\":\"last", "\"zebra\":\"\xED\xA0\x80last"},
    {"\"zebra\":\"last", "\"zebra\":\"\xF4\x90\x80\x80last"},
    {"\"zebra\":\"last", "\"zebra\":\"\xE2\x82last"},
    {"\"zebra\":\"last", "\"zebra\":\"\\u0000last"},
    {"\"zebra\":\"last", "\"zebra\":\"\\ud800last"},
    {"\"zebra\":\"last", "\"zebra\":\"\\ud800\\u0041last"},
    {"\"zebra\":\"last", "\"zebra\":\"\\udc00last"},
    {"\"zebra\":\"last", "\"zebra\":\"\\u12g4last"},
    {"\"zebra\":\"last", "\"zebra\":\"\\xlast"},
    {"\"zebra\":\"last in the file\"", "\"zebra\":{}"},
    {"\"zebra\":\"last in the file\"", "\"zebra\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
    {"\"zebra\":\"last in the file\"", "\"zebra\":\"last in the file\","},
    {E "inputs" E ":3", E "inputs" E ":0"},
    {E "inputs" E ":3", E "inputs" E ":-3"},
    {E "inputs" E ":3", E "inputs" E ":03"},
    {E "inputs" E ":3", E "inputs" E ":3.0"},
    {E "inputs" E ":3", E "inputs" E ":3e0"},
    {E "inputs" E ":3", E "inputs" E ":4"},
    {E "inputs" E ":3", E "inputs" E ":1048577"},
    {E "inputs" E ":3", E "inputs" E ":18446744073709551619"}, /* 3 modulo 2^64 */
    {E "inputs" E ":3", E "inputs" E ":" E "3" E},
    {E "inputs" E ":3", E "inputs" E ":3," E "inputs" E ":3"},
    {E "seed" E ":18446744073709551615", E "seed" E ":18446744073709551616"},
    {E "float32" E, E "float16" E},
    {E "float32" E, E "float64" E},
    {E "huber" E, E "hubert" E},
    {E "delta" E ":1", E "delta" E ":-1"},
    {E "delta" E ":1", E "delta" E ":NaN"},
    {E "delta" E ":1", E "delta" E ":1e999"},
    {E "delta" E ":1", E "delta" E ":1," E "delta" E ":1"},
    {E "delta" E ":1", E "gamma" E ":1"},
    {E "units" E ":2", E "units" E ":0"},
    {E "units" E ":2", E "units" E ":2.5"},
    {E "units" E ":2", E "units" E ":-2"},
    {E "units" E ":2", E "units" E ":3"},
    {E "units" E ":2", E "units" E ":1048576"},
    {E "units" E ":2", E "units" E ":1e300"},
    {E "units" E ":2", E "units" E ":Infinity"},
    {E "units" E ":2", E "units" E ":.2e1"},
    {E "units" E ":2", E "units" E ":2."},
    {E "units" E ":2", E "units" E ":+2"},
    {E "units" E ":2", E "units" E ":2e"},
    {E "units" E ":2", E "units" E ":0000000000000000000000000000000000000000000000000000000000000000000002"},
    {E "use_bias" E ":true", E "use_bias" E ":false"},
    {E "use_bias" E ":true", E "use_bias" E ":1"},
    {E "use_bias" E ":false", E "use_bias" E ":true"},
    {E "leaky_relu" E, E "leaky" E},
    {E "dropout" E, E "dropin" E},
    {E "rate" E ":0.1", E "rate" E ":1"},
    {E "rate" E ":0.1", E "rate" E ":-0.1"},
    {"]}\"", ",]}\""},
    {"]}\"", "]}}\""},
    {"]}\"", "]\""},
    {"\"layers.0.kernel\":{", "\"layers.0.kernel\":{},\"layers.0.kernel\":{"},
    {"\"layers.0.kernel\"", "\"layers.0.bias\""},
    {"\"layers.0.kernel\"", "\"layers.00.kernel\""},
    {"\"F32\"", "\"F64\""},
    {"\"F32\"", "\"BF16\""},
    {"[3,2]", "[2,3]"},
    {"[3,2]", "[3,2,1]"},
    {"[3,2]", "[6]"},
    {"[3,2]", "[]"},
    {"[0,24]", "[0,25]"},
    {"[0,24]", "[8,32]"},
    {"[0,24]", "[0,18446744073709551640]"},
    {"[24,32]", "[16,24]"}, /* overlap */
    {"[24,32]", "[28,36]"}, /* hole */
    {"[32,40]", "[32,48]"},
    {",\"layers.2.kernel\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[32,40]}", ""},
    {"[32,40]}", "[32,40]},\"layers.3.kernel\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[40,40]}"},
    {"[32,40]}}", "[32,40]}}}"},
    {"[32,40]}}", "[32,40]}"},
};

static void test_hostile(const pynn_context *context) {
  pynn_model *model = sample(context, PYNN_FLOAT32), *loaded = NULL;
  size_t size, new_size;
  unsigned char *bytes = saved(model, &size), *changed;
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    changed = rewritten(bytes, size, hostile[i].old, hostile[i].new, &new_size);
    check_refused(context, changed, new_size, hostile[i].new);
    free(changed);
  }
  /* The same rewriting accepts what is only another spelling. */
  static const char *const harmless[][2] = {
      {"\"zebra\":\"last", " \"zebra\" :\t\"\\u006c\\u0061\\/\\ud83d\\uDE00"},
      {E "rate" E ":0.1", E "rate" E ":1.0E-1"},
      {"," E "rate" E ":0.1", "," E "rate" E ":0.2"},
      {E "dropout" E "," E "rate" E ":0.1", E "dropout" E}, /* the default */
      {"[3,2]", "[ 3 , 2 ]"},
  };
  for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
    changed = rewritten(bytes, size, harmless[i][0], harmless[i][1], &new_size);
    pynn_error error = {.status = PYNN_OK};
    if (!CHECK(pynn_load_memory(&loaded, context, changed, new_size, &error) == PYNN_OK))
      fprintf(stderr, "  %s: %s\n", harmless[i][1], error.message);
    if (i == 0) CHECK(strcmp(pynn_model_metadata(loaded, "zebra"), "la/\xF0\x9F\x98\x80 in the file") == 0);
    pynn_model_free(loaded);
    loaded = NULL;
    free(changed);
  }
  /* Shapes that no model has, though the parameters, none, are all there. */
  static const char *const empty[][2] = {
      {E "inputs" E ":1,", E "inputs" E ":0,"},
      {"{" E "kind" E ":" E "dropout" E "," E "rate" E ":0.5}", ""},
  };
  pynn_layer layer;
  pynn_model_options options;
  pynn_model *bare = NULL;
  CHECK_STATUS(PYNN_OK, pynn_dropout(&layer, 0.5));
  pynn_model_options_init(&options);
  options.inputs = 1;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&bare, context, &options, &layer, 1, NULL));
  unsigned char *bare_bytes = saved(bare, &new_size);
  for (int i = 0; i < 2; i++) {
    size_t changed_size;
    changed = rewritten(bare_bytes, new_size, empty[i][0], empty[i][1], &changed_size);
    check_refused(context, changed, changed_size, empty[i][1]);
    free(changed);
  }
  free(bare_bytes);
  pynn_model_free(bare);
  /* Too many layers; and layers of great width, whose parameters are not there. */
  static const char dropout[] = "{" E "kind" E ":" E "dropout" E "," E "rate" E ":0.5},";
  static const char wide[] = "{" E "kind" E ":" E "dense" E "," E "units" E ":1048576," E "use_bias" E ":true," E
                             "activation" E ":{" E "name" E ":" E "relu" E "}," E "kernel_initializer" E ":{" E "name" E
                             ":" E "zeros" E "}," E "bias_initializer" E ":{" E "name" E ":" E "zeros" E "}},";
  const char *many[] = {dropout, wide};
  for (int i = 0; i < 2; i++) {
    size_t one = strlen(many[i]), count = 1100;
    char *text = malloc(one * count + 20);
    strcpy(text, E "layers" E ":[");
    for (size_t j = 0, at = strlen(text); j < count; j++, at += one) strcpy(text + at, many[i]);
    changed = rewritten(bytes, size, E "layers" E ":[", text, &new_size);
    check_refused(context, changed, new_size, "1100 layers");
    free(changed);
    text[strlen(E "layers" E ":[") + one * 900] = '\0';
    changed = rewritten(bytes, size, E "layers" E ":[", text, &new_size);
    if (i == 1) check_refused(context, changed, new_size, "900 wide layers");
    free(changed);
    free(text);
  }
  /* Lengths and headers of every bad kind. */
  static const char *const headers[] = {"",
                                        "{}",
                                        "{",
                                        "[]",
                                        "null",
                                        "x",
                                        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                                        FILE_START,
                                        FILE_START "0000000000000000",
                                        FILE_START "0000000000000000\"",
                                        FILE_START "0000000000000000\"}}"};
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    changed = build(headers[i], strlen(headers[i]), (const unsigned char *)"data", 4, &new_size);
    check_refused(context, changed, new_size, headers[i]);
    free(changed);
  }
  static const uint64_t lengths[] = {0, 1, 63, (uint64_t)100 << 20, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    for (int b = 0; b < 8; b++) bytes[b] = (unsigned char)(lengths[i] >> (8 * b));
    check_refused(context, bytes, size, "another length");
  }
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_load_memory(&loaded, context, NULL, 8, NULL));
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_load_memory(&loaded, context, NULL, 0, NULL));
  free(bytes);
  pynn_model_free(model);
}

/* ---------------------------------------------------------------- arguments, memory, disk */

static void test_arguments(const pynn_model *model) {
  static const pynn_metadata bad[][2] = {
      {{"pynn.x", ""}, {"a", ""}}, {{"format", ""}, {"a", ""}}, {{"a b", ""}, {"a", ""}},   {{"", ""}, {"a", ""}},
      {{NULL, ""}, {"a", ""}},     {{"b", NULL}, {"a", ""}},    {{"b", "\xFF"}, {"a", ""}}, {{"a", "1"}, {"a", "2"}}};
  const char *path = in_folder("never");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    pynn_error error;
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_save(model, path, bad[i], 2, &error));
    CHECK(strncmp(error.message, "expected ", 9) == 0);
  }
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_save(model, path, bad[0], -1, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_save(model, path, NULL, 1, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_save(model, NULL, NULL, 0, NULL));
  size_t large = (size_t)101 << 20; /* more than a header may have */
  char *value = malloc(large + 1);
  memset(value, 'x', large);
  value[large] = '\0';
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, pynn_save(model, path, &(pynn_metadata){"a", value}, 1, NULL));
  free(value);
  CHECK(access(path, F_OK) != 0);
}

/* A failed call's message says what was attempted, and where. */
static void check_message(const pynn_error *error, const char *path) {
  CHECK(error->status == PYNN_ERROR_IO && strncmp(error->message, "expected to ", 12) == 0);
  if (!CHECK(strstr(error->message, path))) fprintf(stderr, "  %s\n", error->message);
}

static void test_paths(const pynn_context *context, const pynn_model *model) {
  pynn_error error;
  pynn_model *loaded = NULL;
  struct stat status;
  int files = files_in(folder);
  const char *missing = in_folder("no/such"), *pipe = in_folder("pipe"), *link = in_folder("link");
  mkfifo(pipe, 0600);
  const char *const refused[] = {"", missing, folder, pipe};
  for (int i = 0; i < 4; i++) {
    CHECK_STATUS(PYNN_ERROR_IO, pynn_save(model, refused[i], NULL, 0, &error));
    check_message(&error, refused[i]);
    CHECK_STATUS(PYNN_ERROR_IO, pynn_load(&loaded, context, refused[i], &error));
    check_message(&error, refused[i]);
  }
  CHECK_STATUS(PYNN_ERROR_IO, pynn_save(model, "/dev/null", NULL, 0, &error));
  CHECK(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));

  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_load(&loaded, context, NULL, &error));
  const char *other = in_folder("sample"); /* a file of another kind: the message names it */
  FILE *file = fopen(other, "w");
  fputs("weights\n", file);
  fclose(file);
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_load(&loaded, context, other, &error));
  CHECK(strstr(error.message, other));

  /* Modes: the umask for a new file, the old one's for a replaced one. Links stay, their ends are replaced. */
  mode_t mask = umask(027);
  CHECK_STATUS(PYNN_OK, pynn_save(model, in_folder("new"), NULL, 0, NULL));
  CHECK(stat(in_folder("new"), &status) == 0 && (status.st_mode & 07777) == 0640);
  chmod(in_folder("new"), 0606);
  CHECK(symlink("new", link) == 0);
  for (int i = 0; i < 2; i++) { /* a link to a file, then to none */
    CHECK_STATUS(PYNN_OK, pynn_save(model, link, NULL, 0, NULL));
    CHECK(lstat(link, &status) == 0 && S_ISLNK(status.st_mode));
    CHECK(lstat(in_folder("new"), &status) == 0 && S_ISREG(status.st_mode));
    CHECK_EQUAL(status.st_mode & 07777, i == 0 ? 0606 : 0640);
    CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, link, NULL));
    pynn_model_free(loaded);
    loaded = NULL;
    unlink(in_folder("new"));
  }
  umask(mask);
  unlink(link);
  CHECK(symlink("link", link) == 0); /* to itself */
  CHECK_STATUS(PYNN_ERROR_IO, pynn_save(model, link, NULL, 0, &error));
  check_message(&error, link);
  unlink(link);
  const uid_t user = geteuid();
  chmod(folder, 0555); /* read-only; root gives its rights up for it */
  if (user != 0 || seteuid(65534) == 0) {
    CHECK_STATUS(PYNN_ERROR_IO, pynn_save(model, in_folder("new"), NULL, 0, &error));
    check_message(&error, in_folder("new"));
    CHECK(user == geteuid() || seteuid(user) == 0);
  }
  chmod(folder, 0700);
  char *long_path = malloc(70000);
  memset(long_path, 'x', 69999);
  for (int n = 300; n < 70000; n = n == 300 ? 5000 : n + 32000) { /* longer than a name, than a path */
    long_path[n] = '\0';
    CHECK_STATUS(PYNN_ERROR_IO, pynn_save(model, long_path, NULL, 0, &error));
    check_message(&error, "xxx");
    long_path[n] = 'x';
  }
  free(long_path);
  const char *unicode = in_folder("\xC3\xA9\xF0\x9F\x98\x80");
  CHECK_STATUS(PYNN_OK, pynn_save(model, unicode, NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, unicode, NULL));
  pynn_model_free(loaded);
  loaded = NULL;
  unlink(unicode);
  unlink(pipe);
  CHECK_EQUAL(files_in(folder), files);
}

#if defined(__linux__)
/* Reads and writes that do less than was asked for, and a file that shrinks while it is read. */
static void test_partial_transfers(const pynn_context *context, const pynn_model *model) {
  const char *path = in_folder("disk");
  pynn_model *loaded = NULL;
  pynn_error error;
  largest_transfer = 7;
  CHECK_STATUS(PYNN_OK, pynn_save(model, path, entries, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, path, NULL));
  CHECK(same_model(loaded, model));
  pynn_model_free(loaded);
  loaded = NULL;
  largest_transfer = 0;
  for (long n = 0; n < 1000; n += 37) { /* cut off by someone else after it was opened */
    end_of_reading = n;
    CHECK_STATUS(PYNN_ERROR_IO, pynn_load(&loaded, context, path, &error));
    CHECK(!loaded && strstr(error.message, path));
  }
  end_of_reading = -1;
}

static void save_round(const void *model) { pynn_save(model, in_folder("round"), NULL, 0, NULL); }

/* The name of a file in the folder that begins so, "" when there is none. */
static const char *temporary(char found[64]) {
  found[0] = '\0';
  DIR *directory = opendir(folder);
  for (struct dirent *entry; (entry = readdir(directory));)
    if (strncmp(entry->d_name, ".pynn-", 6) == 0) snprintf(found, 64, "%.60s", entry->d_name);
  closedir(directory);
  return found;
}

/* A save that is killed at any system call leaves a file that loads, old or new; what it leaves beside it is removed by
 * the next save of the same file, unless someone still writes it. */
static void test_killed(const pynn_context *context, const pynn_model *model) {
  const char *path = in_folder("round");
  pynn_model *other = sample(context, PYNN_FLOAT64), *loaded = NULL;
  CHECK_STATUS(PYNN_OK, pynn_save(other, path, NULL, 0, NULL));
  const int files = files_in(folder);
  int left = 0, old = 0, killed = 1;
  char name[64];
  for (long n = 0; killed && n < 100; n++) {
    killed = killed_at(n, save_round, model);
    CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, path, NULL));
    CHECK(same_model(loaded, other) || same_model(loaded, model));
    old += same_model(loaded, other);
    pynn_model_free(loaded);
    loaded = NULL;
    if (*temporary(name)) {
      left++;
      const char *leftover = in_folder(name);
      CHECK_STATUS(PYNN_OK, pynn_save(other, in_folder("other"), NULL, 0, NULL));
      CHECK(access(leftover, F_OK) == 0);
      const int writer = open(leftover, O_RDWR);
      CHECK(flock(writer, LOCK_EX) == 0);
      CHECK_STATUS(PYNN_OK, pynn_save(other, path, NULL, 0, NULL));
      CHECK(access(leftover, F_OK) == 0);
      close(writer);
      unlink(in_folder("other"));
    }
    CHECK_STATUS(PYNN_OK, pynn_save(other, path, NULL, 0, NULL));
    CHECK_EQUAL(files_in(folder), files);
  }
  CHECK(!killed && left >= 4 && old >= 6);
  pynn_model_free(other);
}
#endif

int main(void) {
  if (!mkdtemp(folder)) return 1;
#if defined(__linux__)
  real_fsync = 0;
#endif
  pynn_context *context = counted_context();
  size_t before = in_use;
  pynn_model *model = sample(context, PYNN_FLOAT32);
  test_numbers();
  test_shapes(context);
  test_rows(context);
  test_many_layers(context);
  test_damage(context, PYNN_FLOAT32);
  test_damage(context, PYNN_FLOAT64);
  test_hostile(context);
  test_arguments(model);
  test_paths(context, model);
#if defined(__linux__)
  test_partial_transfers(context, model);
  test_killed(context, model);
#endif
  pynn_model_free(model);
  CHECK_EQUAL(in_use, before);
  pynn_context_free(context);
  static const char *const left[] = {"sample", "round", "disk"};
  for (int i = 0; i < 3; i++) unlink(in_folder(left[i]));
  CHECK(rmdir(folder) == 0);
  CHECK_REPORT();
}
