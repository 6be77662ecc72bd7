#include "core/crc32c.h"

#include <endian.h>
#include <isa-l/crc.h>
#include <limits.h>

/*
 * A CRC is the remainder of a polynomial over GF(2), and reflected: the highest
 * bit of the integer is the coefficient of x^0, the lowest that of x^31.
 */
#define POLYNOMIAL 0x82f63b78U
#define X_TO_0     (1U << 31)
#define X_TO_8     (1U << 23)

#define MASK_DELTA 0xa282ead8U

/* ISA-L reads the bytes only, but its declaration has no const. */
static unsigned char *without_const(const unsigned char *data)
{
	const union {
		const unsigned char *ours;
		unsigned char *theirs;
	} pointer = { .ours = data };

	return pointer.theirs;
}

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t n)
{
	unsigned char *rest = without_const(data);

	crc = ~crc; /* ISA-L inverts neither before nor after */
	while (n > 0) {
		int part = n < INT_MAX ? (int)n : INT_MAX;

		crc = crc32_iscsi(rest, part, crc);
		rest += part;
		n -= (size_t)part;
	}
	return ~crc;
}

uint32_t crc32c_extend_length(uint32_t crc, uint64_t length, bool wide,
			      bool big_endian)
{
	uint64_t l64 = big_endian ? htobe64(length) : htole64(length);
	uint32_t l32 = big_endian ? htobe32((uint32_t)length)
				  : htole32((uint32_t)length);

	return wide || length > UINT32_MAX
		       ? crc32c_extend(crc, &l64, sizeof(l64))
		       : crc32c_extend(crc, &l32, sizeof(l32));
}

/* The product modulo the polynomial. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t term = X_TO_0; term; term >>= 1) {
		if (a & term)
			product ^= b;
		b = b & 1 ? b >> 1 ^ POLYNOMIAL : b >> 1; /* times x */
	}
	return product;
}

uint32_t crc32c_shift(uint32_t crc, uint64_t n)
{
	/* x^8, x^16, x^32 ...: as many bytes as the bit of `n` is worth. */
	uint32_t power = X_TO_8;

	for (; n; n >>= 1) {
		if (n & 1)
			crc = multiply(crc, power);
		power = multiply(power, power);
	}
	return crc;
}

uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len)
{
	return crc32c_shift(a, b_len) ^ b;
}

uint32_t crc32c_patch(uint32_t crc, uint32_t old, uint32_t now, uint64_t tail)
{
	return crc ^ crc32c_shift(old ^ now, tail);
}

uint32_t crc32c_mask(uint32_t crc)
{
	return (crc >> 15 | crc << 17) + MASK_DELTA;
}

uint32_t crc32c_unmask(uint32_t masked)
{
	uint32_t rotated = masked - MASK_DELTA;

	return rotated >> 17 | rotated << 15;
}
