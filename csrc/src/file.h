/* What tests and fuzzers need to know about the bytes of a model file. */
#ifndef PYNN_FILE_H
#define PYNN_FILE_H

#include <stddef.h>

#define FILE_PREFIX 8 /* bytes of the header's length */
/* How the header of every model file begins; CHECKSUM_DIGITS digits of the checksum follow. */
#define FILE_START "{\"__metadata__\":{\"format\":\"pynn\",\"pynn.checksum\":\""
#define CHECKSUM_OFFSET (FILE_PREFIX + sizeof FILE_START - 1)
#define CHECKSUM_DIGITS 16

/* The checksum of a whole file, as lower-case hexadecimal digits without NUL. The place of the digits in the file
 * counts as '0'. size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS. */
void file_checksum(const void *bytes, size_t size, char digits[CHECKSUM_DIGITS]);

#endif
