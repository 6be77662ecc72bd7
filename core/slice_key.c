#include "core/slice_key.h"

#include <stddef.h>
#include <stdint.h>

/* How many bytes the SNUM takes that begins so: as many as its first bits are equal. */
static unsigned coded_len(uint8_t first, uint8_t second)
{
	unsigned top = (unsigned)first << 8 | second;
	unsigned bits = top & 0x8000 ? ~top & 0xffff : top;

	return bits ? (unsigned)__builtin_clz(bits) - 16 : 16;
}

static bool take_signed(struct span *s)
{
	struct span number;
	unsigned n;

	if (s->len == 0)
		return false;
	n = coded_len(s->data[0], s->len > 1 ? s->data[1] : 0);
	return n <= 10 && span_take(s, n, &number);
}

static bool take_string(struct span *s)
{
	struct span byte, next;

	while (span_take(s, 1, &byte)) {
		if (*byte.data != 0x00 && *byte.data != 0xff)
			continue;
		if (!span_take(s, 1, &next))
			return false;
		if (*byte.data == 0x00 && *next.data == 0x01)
			return true;
		if (*next.data + *byte.data != 0xff)
			return false;
	}
	return false;
}

bool slice_is_key(struct span key)
{
	struct span zero, len, number;
	uint64_t n = 0;

	if (!span_take(&key, 1, &zero) || *zero.data || !take_string(&key) ||
	    !span_take(&key, 1, &len) || *len.data > sizeof(n) ||
	    !span_take(&key, *len.data, &number))
		return false;
	for (size_t i = 0; i < number.len; i++)
		n = n << 8 | number.data[i];
	for (uint64_t i = 0; i < n; i++) {
		bool start = take_signed(&key);
		bool length = take_signed(&key);

		if (!start || !length)
			return false;
	}
	return key.len == 0;
}
