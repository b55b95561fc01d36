/* The checksum of files, and where it stands in them. */
#ifndef PYNN_CHECKSUM_H
#define PYNN_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define FILE_PREFIX 8 /* bytes of the header's length */
/* The beginning of the header of every model file; CHECKSUM_DIGITS digits of the checksum follow. */
#define FILE_START "{\"__metadata__\":{\"format\":\"pynn\",\"pynn.checksum\":\""
#define CHECKSUM_OFFSET (FILE_PREFIX + sizeof FILE_START - 1)
#define CHECKSUM_DIGITS 16

/* Four lanes, each stepping over every fourth word. A step is a bijection of its word and of its lane, so a change
 * within one word always changes the result. */
#define LANES 4
#define BLOCK (8 * LANES)

struct checksum { /* starts as zeros */
  uint64_t lanes[LANES];
  unsigned char rest[BLOCK]; /* bytes that do not fill a block yet */
  size_t n_rest;
};
void checksum_add(struct checksum *sum, const void *data, size_t size);
/* Ends the sum: lower-case hexadecimal digits without NUL. */
void checksum_digits(struct checksum *sum, char digits[CHECKSUM_DIGITS]);

/* The checksum of a whole file; the place of the digits counts as '0'. size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS. */
void file_checksum(const void *bytes, size_t size, char digits[CHECKSUM_DIGITS]);

/* Little-endian integers. */
static inline uint64_t load_u64(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}
static inline void store_u64(unsigned char *bytes, uint64_t value) {
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> (8 * i));
}

#endif
