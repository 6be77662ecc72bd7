#include "core/slice.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

/* NUM */
static void put_number(uint64_t value, struct buf *out)
{
	uint8_t n = value ? (uint8_t)(8 - __builtin_clzll(value) / 8) : 0;
	uint64_t big = htobe64(value);

	buf_put(out, &n, 1);
	buf_put(out, (const uint8_t *)&big + sizeof(big) - n, n);
}

/* STR */
static void put_string(struct span s, struct buf *out)
{
	struct span byte;

	while (span_take(&s, 1, &byte)) {
		buf_put(out, byte.data, 1);
		if (*byte.data == 0x00)
			buf_put(out, "\xff", 1);
		else if (*byte.data == 0xff)
			buf_put(out, "\x00", 1);
	}
	buf_put(out, "\x00\x01", 2);
}

/* How many bytes SNUM takes: n of them hold 7n - 1 bits and the sign. */
static unsigned signed_len(int64_t value)
{
	uint64_t magnitude = (uint64_t)(value < 0 ? ~value : value);
	unsigned n = 1;

	while (7 * n - 1 < 64 && magnitude >> (7 * n - 1))
		n++;
	return n;
}

/*
 * SNUM: the two's complement of `value` in n bytes, its top n bits inverted.  They
 * were n copies of the sign; now they tell the length and still sort by the sign.
 */
static void put_signed(int64_t value, struct buf *out)
{
	uint8_t bytes[2 + sizeof(uint64_t)];
	uint64_t big = htobe64((uint64_t)value);
	unsigned n = signed_len(value);
	uint8_t *first = bytes + sizeof(bytes) - n;
	unsigned top = 0xffffU << (16 - n);

	memset(bytes, value < 0 ? 0xff : 0x00, 2);
	memcpy(bytes + 2, &big, sizeof(big));

	first[0] ^= (uint8_t)(top >> 8);
	if (n > 8)
		first[1] ^= (uint8_t)top;
	buf_put(out, first, n);
}

void slice_put_key(struct span name, const struct slice_extent *extents,
		   size_t n, struct buf *out)
{
	put_number(0, out);
	put_string(name, out);
	put_number(n, out);

	for (size_t i = 0; i < n; i++) {
		struct slice_extent e = extents[i];

		put_signed(e.length == -1 ? 0 : e.start, out);
		put_signed(e.length, out);
	}
}

void slice_print(const struct slice_extent *extents, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_put(out, ":", 1);
		if (extents[i].length < 0)
			buf_put(out, "-", 1);
		else
			buf_printf(out, "%" PRId64 ",%" PRId64,
				   extents[i].start, extents[i].length);
	}
}
