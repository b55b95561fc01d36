/* One timestep of recurrent cells, over rows of Z: everything but the products. A row of Z holds its gates side by
 * side, `units` numbers each. Forward leaves the gates' values there, backward the gradients of the pre-activations,
 * from those values alone. A row whose timestep is padding keeps its state, and passes the gradient of it on. */

/* delta <- delta * f'(z), from y = f(z). */
static void times_slope(const struct activation *f, const double *p, size_t n, const real *restrict y,
                        real *restrict delta) {
  if (f->forward == tanh_forward)
    for (size_t j = 0; j < n; j++) delta[j] *= fma_(-y[j], y[j], 1);
  else if (f->forward == sigmoid_forward)
    for (size_t j = 0; j < n; j++) delta[j] *= fma_(-y[j], y[j], y[j]);
  else f->backward(n, y, y, delta, p);
}

static inline real *row_of(void *matrix, size_t row, size_t columns) {
  return matrix ? (real *)matrix + row * columns : NULL;
}
static inline const real *row_in(const void *matrix, size_t row, size_t columns) {
  return matrix ? (const real *)matrix + row * columns : NULL;
}
static inline int skipped(const struct cell_step *s, size_t row) { return s->skips && s->skips[row * s->skip_stride]; }

static void add_row(size_t n, const real *restrict bias, real *restrict z) {
  for (size_t j = 0; bias && j < n; j++) z[j] += bias[j];
}

static void keep_state(const struct cell_step *s, size_t row) {
  memcpy(row_of(s->h, row, s->units), row_in(s->h_before, row, s->units), s->units * sizeof(real));
  if (s->c) memcpy(row_of(s->c, row, s->units), row_in(s->c_before, row, s->units), s->units * sizeof(real));
}

/* ---- h = f(z) */

static void simple_forward(const struct cell_step *s) {
  const size_t n = s->units;
  for (size_t i = 0; i < s->rows; i++) {
    real *z = row_of(s->z, i, n);
    if (skipped(s, i)) {
      keep_state(s, i);
      continue;
    }
    add_row(n, s->bias, z);
    s->f->forward(n, z, z, s->f_numbers);
    memcpy(row_of(s->h, i, n), z, n * sizeof(real));
  }
}

static void simple_backward(const struct cell_step *s) {
  const size_t n = s->units;
  real part[CELL_PART];
  for (size_t i = 0; i < s->rows; i++) {
    real *z = row_of(s->z, i, n), *dh = row_of(s->dh, i, n);
    if (skipped(s, i)) {
      memset(z, 0, n * sizeof(real));
      continue;
    }
    for (size_t from = 0, count; from < n; from += count, z += count, dh += count) {
      count = n - from < CELL_PART ? n - from : CELL_PART;
      memcpy(part, dh, count * sizeof(real));
      times_slope(s->f, s->f_numbers, count, z, part);
      memcpy(z, part, count * sizeof(real));
      memset(dh, 0, count * sizeof(real));
    }
  }
}

/* ---- LSTM (Hochreiter and Schmidhuber 1997, Gers et al. 2000): i, f, g, o
 *   c = f c_before + i g,  h = o f(c) */

static void lstm_forward(const struct cell_step *s) {
  const size_t n = s->units;
  for (size_t row = 0; row < s->rows; row++) {
    if (skipped(s, row)) {
      keep_state(s, row);
      continue;
    }
    real *restrict i = row_of(s->z, row, 4 * n), *restrict f = i + n, *restrict g = f + n, *restrict o = g + n;
    real *restrict c = row_of(s->c, row, n), *restrict h = row_of(s->h, row, n);
    const real *restrict before = row_in(s->c_before, row, n);
    add_row(4 * n, s->bias, i);
    s->gate->forward(2 * n, i, i, s->gate_numbers);
    s->f->forward(n, g, g, s->f_numbers);
    s->gate->forward(n, o, o, s->gate_numbers);
    for (size_t j = 0; j < n; j++) c[j] = fma_(f[j], before[j], i[j] * g[j]);
    s->f->forward(n, c, h, s->f_numbers);
    for (size_t j = 0; j < n; j++) h[j] *= o[j];
  }
}

static void lstm_backward_part(const struct cell_step *s, size_t row, size_t from, size_t count) {
  real di[CELL_PART], df[CELL_PART], dg[CELL_PART], d_o[CELL_PART], of_c[CELL_PART], part[CELL_PART];
  const size_t n = s->units;
  real *restrict i = row_of(s->z, row, 4 * n) + from, *restrict f = i + n, *restrict g = f + n, *restrict o = g + n;
  real *restrict dh = row_of(s->dh, row, n) + from, *restrict dc = row_of(s->dc, row, n) + from;
  const real *restrict before = row_in(s->c_before, row, n) + from;
  s->f->forward(count, row_in(s->c, row, n) + from, of_c, s->f_numbers);
  for (size_t j = 0; j < count; j++) part[j] = dh[j] * o[j], d_o[j] = dh[j] * of_c[j], dh[j] = 0;
  times_slope(s->f, s->f_numbers, count, of_c, part);
  for (size_t j = 0; j < count; j++) {
    const real d = dc[j] + part[j];
    di[j] = d * g[j], df[j] = d * before[j], dg[j] = d * i[j], dc[j] = d * f[j];
  }
  times_slope(s->gate, s->gate_numbers, count, i, di);
  times_slope(s->gate, s->gate_numbers, count, f, df);
  times_slope(s->f, s->f_numbers, count, g, dg);
  times_slope(s->gate, s->gate_numbers, count, o, d_o);
  memcpy(i, di, count * sizeof(real)), memcpy(f, df, count * sizeof(real));
  memcpy(g, dg, count * sizeof(real)), memcpy(o, d_o, count * sizeof(real));
}

static void lstm_backward(const struct cell_step *s) {
  for (size_t row = 0; row < s->rows; row++) {
    if (skipped(s, row)) {
      memset(row_of(s->z, row, 4 * s->units), 0, 4 * s->units * sizeof(real));
      continue;
    }
    for (size_t from = 0; from < s->units; from += CELL_PART)
      lstm_backward_part(s, row, from, s->units - from < CELL_PART ? s->units - from : CELL_PART);
  }
}

/* ---- GRU (Cho et al. 2014): a row of Z is g, z, r and q
 *   h = z h_before + (1 - z) g
 *   reset after the product:   q = h_before U_g + b,  g = f(x W_g + b + r q)
 *   reset before the product:  q = r h_before,        g = f(x W_g + b + q U_g) */

/* Both update and reset gate. */
static void gru_gates(const struct cell_step *s, real *z) {
  const size_t n = s->units;
  add_row(2 * n, s->bias, z);
  add_row(2 * n, s->recurrent_bias, z);
  s->gate->forward(2 * n, z, z, s->gate_numbers);
}

static void gru_state(const struct cell_step *s, size_t row) {
  const size_t n = s->units;
  real *restrict g = row_of(s->z, row, 4 * n), *restrict z = g + n, *restrict h = row_of(s->h, row, n);
  const real *restrict before = row_in(s->h_before, row, n);
  s->f->forward(n, g, g, s->f_numbers);
  for (size_t j = 0; j < n; j++) h[j] = fma_(z[j], before[j] - g[j], g[j]);
}

static void gru_forward(const struct cell_step *s) {
  const size_t n = s->units;
  for (size_t row = 0; row < s->rows; row++) {
    if (skipped(s, row)) {
      keep_state(s, row);
      continue;
    }
    real *restrict g = row_of(s->z, row, 4 * n), *restrict r = g + 2 * n, *restrict q = r + n;
    gru_gates(s, g + n);
    if (s->bias) add_row(n, (const real *)s->bias + 2 * n, g);
    if (s->recurrent_bias) add_row(n, (const real *)s->recurrent_bias + 2 * n, q);
    for (size_t j = 0; j < n; j++) g[j] = fma_(r[j], q[j], g[j]);
    gru_state(s, row);
  }
}

/* dg and dz in place of g and z; dh <- dh z. */
static void gru_backward_state(const struct cell_step *s, size_t row, size_t from, size_t count) {
  real dg[CELL_PART], dz[CELL_PART];
  const size_t n = s->units;
  real *restrict g = row_of(s->z, row, 4 * n) + from, *restrict z = g + n, *restrict dh = row_of(s->dh, row, n) + from;
  const real *restrict before = row_in(s->h_before, row, n) + from;
  for (size_t j = 0; j < count; j++) dg[j] = dh[j] * (1 - z[j]), dz[j] = dh[j] * (before[j] - g[j]), dh[j] *= z[j];
  times_slope(s->f, s->f_numbers, count, g, dg);
  times_slope(s->gate, s->gate_numbers, count, z, dz);
  memcpy(g, dg, count * sizeof(real)), memcpy(z, dz, count * sizeof(real));
}

static void gru_backward(const struct cell_step *s) {
  const size_t n = s->units;
  real dr[CELL_PART];
  for (size_t row = 0; row < s->rows; row++) {
    real *dg = row_of(s->z, row, 4 * n), *r = dg + 2 * n, *q = r + n;
    if (skipped(s, row)) {
      memset(dg, 0, 4 * n * sizeof(real));
      continue;
    }
    for (size_t from = 0, count; from < n; from += count, dg += count, r += count, q += count) {
      count = n - from < CELL_PART ? n - from : CELL_PART;
      gru_backward_state(s, row, from, count);
      for (size_t j = 0; j < count; j++) dr[j] = dg[j] * q[j], q[j] = dg[j] * r[j];
      times_slope(s->gate, s->gate_numbers, count, r, dr);
      memcpy(r, dr, count * sizeof(real));
    }
  }
}

/* Reset before the product: the gates and q, then the state; backward in two parts as well. */
static void gru_reset(const struct cell_step *s) {
  const size_t n = s->units;
  for (size_t row = 0; row < s->rows; row++) {
    real *restrict z = row_of(s->z, row, 4 * n) + n, *restrict r = z + n, *restrict q = r + n;
    const real *restrict before = row_in(s->h_before, row, n);
    gru_gates(s, z);
    for (size_t j = 0; j < n; j++) q[j] = r[j] * before[j];
  }
}

static void gru_before_forward(const struct cell_step *s) {
  const size_t n = s->units;
  for (size_t row = 0; row < s->rows; row++) {
    if (skipped(s, row)) {
      keep_state(s, row);
      continue;
    }
    if (s->bias) add_row(n, (const real *)s->bias + 2 * n, row_of(s->z, row, 4 * n));
    gru_state(s, row);
  }
}

static void gru_before_backward(const struct cell_step *s) {
  for (size_t row = 0; row < s->rows; row++) {
    if (skipped(s, row)) {
      memset(row_of(s->z, row, 4 * s->units), 0, 4 * s->units * sizeof(real));
      continue;
    }
    for (size_t from = 0; from < s->units; from += CELL_PART)
      gru_backward_state(s, row, from, s->units - from < CELL_PART ? s->units - from : CELL_PART);
  }
}

/* From dq: dr in place of r; dh += dq r. */
static void gru_reset_backward(const struct cell_step *s) {
  const size_t n = s->units;
  real dr[CELL_PART];
  for (size_t row = 0; row < s->rows; row++) {
    real *r = row_of(s->z, row, 4 * n) + 2 * n, *dh = row_of(s->dh, row, n);
    const real *before = row_in(s->h_before, row, n), *dq = row_in(s->dq, row, n);
    for (size_t from = 0, count; from < n; from += count, r += count, dh += count, before += count, dq += count) {
      count = n - from < CELL_PART ? n - from : CELL_PART;
      for (size_t j = 0; j < count; j++) dr[j] = dq[j] * before[j], dh[j] = fma_(dq[j], r[j], dh[j]);
      times_slope(s->gate, s->gate_numbers, count, r, dr);
      memcpy(r, dr, count * sizeof(real));
    }
  }
}

static const struct cell cells[] = {
    [CELL_SIMPLE] = {simple_forward, simple_backward, NULL, NULL},
    [CELL_LSTM] = {lstm_forward, lstm_backward, NULL, NULL},
    [CELL_GRU] = {gru_forward, gru_backward, NULL, NULL},
    [CELL_GRU_BEFORE] = {gru_before_forward, gru_before_backward, gru_reset, gru_reset_backward},
};
