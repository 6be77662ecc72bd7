#include "core/name.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/cleanup.h"

#define EMPTY_NAME "%"

/* A cut name ends in this mark and the hash. */
#define CUT_MARK    "%~"
#define HASH_DIGITS 16
#define CUT_LEN     (sizeof(CUT_MARK) - 1 + HASH_DIGITS)

static const char *const suffixes[] = {
	[NAME_PLAIN] = "",
	[NAME_SHAPE] = ".shape",
	[NAME_DTYPE] = ".dtype",
	[NAME_SCOPE] = ".d",
};

const char *name_suffix_text(enum name_suffix suffix)
{
	return suffixes[suffix];
}

static bool equals(struct span s, const char *text)
{
	return span_equal(s, span_of(text));
}

/* Cuts the last `n` bytes off `s`. */
static bool take_last(struct span *s, size_t n, struct span *ret)
{
	struct span rest = *s;

	if (n > s->len || !span_take(&rest, s->len - n, s))
		return false;
	*ret = rest;
	return true;
}

enum name_suffix name_split(struct span name, struct span *ret_stem)
{
	enum name_suffix suffix = NAME_SCOPE;

	for (; suffix != NAME_PLAIN; suffix--) {
		struct span stem = name, end;

		if (take_last(&stem, strlen(suffixes[suffix]), &end) &&
		    equals(end, suffixes[suffix])) {
			*ret_stem = stem;
			return suffix;
		}
	}
	*ret_stem = name;
	return NAME_PLAIN;
}

/* Where `c` has a dot that must not show as one; its length if nowhere. */
static size_t reserved_dot(struct span c, bool top)
{
	struct span stem;

	if (name_split(c, &stem) != NAME_PLAIN)
		return stem.len;
	if (equals(c, ".") || equals(c, "..") ||
	    (top && equals(c, NAME_HIDDEN_DIR)))
		return 0;
	return c.len;
}

static bool is_escaped(struct span c, size_t i, size_t dot)
{
	return i == dot || c.data[i] == '%' || c.data[i] == '/' ||
	       c.data[i] == '\0';
}

/* How many bytes of `c`, from the front, fit into `room` bytes of a name. */
static size_t count_fitting(struct span c, size_t dot, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < c.len; i++) {
		used += is_escaped(c, i, dot) ? 3 : 1;
		if (used > room)
			return i;
	}
	return c.len;
}

/*
 * Steps back to where a UTF-8 character starts, so that a cut name can be typed
 * and printed; none is longer than four bytes, other text is cut where it was.
 */
static size_t whole_characters(struct span c, size_t n)
{
	for (size_t back = 0; back <= 3 && back <= n; back++)
		if ((c.data[n - back] & 0xc0) != 0x80)
			return n - back;
	return n;
}

static void put_byte(uint8_t byte, bool escape, struct buf *out)
{
	if (escape)
		buf_printf(out, "%%%02X", byte);
	else
		buf_put(out, &byte, 1);
}

/*
 * FNV-1a.  Anyone can make names that collide under a hash without a secret; that
 * costs them another attempt, nothing else.  So it is one that is the same in
 * every mount.  The attempt goes in first: appended, it would keep a collision.
 */
static uint64_t hash(struct span s, unsigned attempt)
{
	const uint64_t prime = UINT64_C(0x100000001b3);
	uint64_t h = (UINT64_C(0xcbf29ce484222325) ^ attempt) * prime;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * prime;
	return h;
}

void name_encode(struct span component, bool top, unsigned attempt,
		 struct buf *out)
{
	size_t dot = reserved_dot(component, top);
	size_t n = count_fitting(component, dot, NAME_MAX_LEN);
	bool cut = n < component.len;

	if (cut)
		n = whole_characters(component,
				     count_fitting(component, dot,
						   NAME_MAX_LEN - CUT_LEN));

	for (size_t i = 0; i < n; i++)
		put_byte(component.data[i], is_escaped(component, i, dot), out);

	if (component.len == 0)
		buf_put(out, EMPTY_NAME, strlen(EMPTY_NAME));
	if (cut) {
		buf_put(out, CUT_MARK, strlen(CUT_MARK));
		buf_printf(out, "%016" PRIX64, hash(component, attempt));
	}
}

/* Capitals only, so that a byte has one spelling; -1 for what is no digit. */
static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool name_is_cut(struct span name)
{
	struct span digits, mark, byte;

	if (!take_last(&name, HASH_DIGITS, &digits) ||
	    !take_last(&name, strlen(CUT_MARK), &mark) ||
	    !equals(mark, CUT_MARK))
		return false;

	while (span_take(&digits, 1, &byte))
		if (hex_value(*byte.data) < 0)
			return false;
	return true;
}

static bool get_hex(struct span *s, uint8_t *ret)
{
	struct span xx;
	int high, low;

	if (!span_take(s, 2, &xx))
		return false;
	high = hex_value(xx.data[0]);
	low = hex_value(xx.data[1]);
	if (high < 0 || low < 0)
		return false;

	*ret = (uint8_t)(16 * high + low);
	return true;
}

/* Undoes every escape, also those that name_encode() would not have written. */
static bool unescape(struct span name, struct buf *out)
{
	struct span byte;

	while (span_take(&name, 1, &byte)) {
		uint8_t value = *byte.data;

		if (value == '%' && !get_hex(&name, &value))
			return false;
		buf_put(out, &value, 1);
	}
	return true;
}

void name_encode_escaped(struct span component, unsigned attempt,
			 struct buf *out)
{
	if (component.len == 0) {
		buf_printf(out, "%%%%");
		return;
	}
	buf_printf(out, "%%%02X", component.data[0]);
	component.data++;
	component.len--;
	if (component.len)
		name_encode(component, false, attempt, out);
}

int name_decode(struct span name, bool top, struct buf *out)
{
	CLEANUP(buf_release) struct buf component = { 0 };
	CLEANUP(buf_release) struct buf canonical = { 0 };

	if (name_is_cut(name))
		return -ENOENT;
	if (!equals(name, EMPTY_NAME) && !unescape(name, &component))
		return -EINVAL;

	/* One name for one component: whatever else decodes to it is refused. */
	name_encode(buf_span(&component), top, 0, &canonical);
	if (buf_error(&component) || buf_error(&canonical))
		return -ENOMEM;
	if (!span_equal(buf_span(&canonical), name))
		return -EINVAL;

	buf_put(out, component.data, component.len);
	return buf_error(out);
}
