/* The checksum of files. */
#include "file/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t step(uint64_t lane, uint64_t word) {
  uint64_t product = (lane ^ word) * 0x9E3779B97F4A7C15u;
  return product << 29 | product >> 35;
}

static void add_blocks(struct checksum *sum, const unsigned char *bytes, size_t blocks) {
  uint64_t a = sum->lanes[0], b = sum->lanes[1], c = sum->lanes[2], d = sum->lanes[3];
  for (const unsigned char *end = bytes + blocks * BLOCK; bytes < end; bytes += BLOCK) {
    a = step(a, load_u64(bytes));
    b = step(b, load_u64(bytes + 8));
    c = step(c, load_u64(bytes + 16));
    d = step(d, load_u64(bytes + 24));
  }
  sum->lanes[0] = a, sum->lanes[1] = b, sum->lanes[2] = c, sum->lanes[3] = d;
}

void checksum_add(struct checksum *sum, const void *data, size_t size) {
  const unsigned char *bytes = data;
  if (sum->n_rest > 0) {
    size_t n = size < BLOCK - sum->n_rest ? size : BLOCK - sum->n_rest;
    memcpy(sum->rest + sum->n_rest, bytes, n);
    sum->n_rest += n, bytes += n, size -= n;
    if (sum->n_rest < BLOCK) return;
    add_blocks(sum, sum->rest, 1);
    sum->n_rest = 0;
  }
  add_blocks(sum, bytes, size / BLOCK);
  sum->n_rest = size % BLOCK;
  memcpy(sum->rest, bytes + size / BLOCK * BLOCK, sum->n_rest);
}

/* A last block that is not full is padded with zeros. */
void checksum_digits(struct checksum *sum, char digits[CHECKSUM_DIGITS]) {
  char text[CHECKSUM_DIGITS + 1];
  uint64_t value = 0;
  if (sum->n_rest > 0) {
    memset(sum->rest + sum->n_rest, 0, BLOCK - sum->n_rest);
    add_blocks(sum, sum->rest, 1);
  }
  for (int i = 0; i < LANES; i++) value = step(value, sum->lanes[i]);
  snprintf(text, sizeof text, "%016" PRIx64, value);
  memcpy(digits, text, CHECKSUM_DIGITS);
}

void file_checksum(const void *bytes, size_t size, char digits[CHECKSUM_DIGITS]) {
  static const unsigned char zeros[CHECKSUM_DIGITS + 1] = "0000000000000000";
  const unsigned char *file = bytes;
  struct checksum sum = {{0}, {0}, 0};
  checksum_add(&sum, file, CHECKSUM_OFFSET);
  checksum_add(&sum, zeros, CHECKSUM_DIGITS);
  checksum_add(&sum, file + CHECKSUM_OFFSET + CHECKSUM_DIGITS, size - CHECKSUM_OFFSET - CHECKSUM_DIGITS);
  checksum_digits(&sum, digits);
}
