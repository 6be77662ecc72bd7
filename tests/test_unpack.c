/* core/unpack: snappy data from file to file. */
#include <snappy-c.h>

#include "core/io.h"
#include "core/unpack.h"
#include "tests/support.h"

static int unpack(struct span packed, uint64_t max, struct buf *out)
{
	CLEANUP(close_fd) int in = io_memory();
	CLEANUP(close_fd) int to = io_memory();
	struct stream s;
	uint64_t size = 0;
	int r;

	assert_int_equal(io_write_at(in, packed.data, packed.len, 0), 0);
	stream_init(&s, in, 0, packed.len);
	r = unpack_stream(&s, to, max, &size);
	if (r < 0)
		return r;
	buf_put_zeros(out, size);
	return io_read_at(to, out->data, out->len, 0);
}

static void assert_same(struct span raw)
{
	CLEANUP(buf_release) struct buf packed = { 0 };
	CLEANUP(buf_release) struct buf got = { 0 };
	size_t n = snappy_max_compressed_length(raw.len);

	buf_put_zeros(&packed, n);
	assert_int_equal(snappy_compress((const char *)raw.data, raw.len,
					 (char *)packed.data, &n),
			 SNAPPY_OK);
	packed.len = n;
	assert_int_equal(unpack(buf_span(&packed), raw.len, &got), 0);
	assert_true(span_equal(buf_span(&got), raw));
}

/* Bytes of a few kinds: any, few different ones, long runs, repeated stretches. */
static void fill(struct buf *raw, size_t n, unsigned kind)
{
	uint32_t seed = 12345 + kind;

	while (raw->len < n) {
		seed = seed * 1664525 + 1013904223;
		uint8_t byte = (uint8_t)(seed >> 24);
		size_t run = kind == 2 ? seed >> 16 : 1;

		if (kind == 1)
			byte &= 3;
		for (; run > 0 && raw->len < n; run--)
			buf_put(raw, &byte, 1);
		if (kind == 3 && raw->len > 1000 && byte < 8) {
			CLEANUP(buf_release) struct buf again = { 0 };

			buf_put(&again, raw->data + raw->len / 2, 400);
			buf_put(raw, again.data, again.len);
		}
	}
	raw->len = n;
}

static void it_unpacks_what_libsnappy_packs(void **state)
{
	static const size_t sizes[] = { 0,     1,      59,     60,    61,
					256,   257,    65535,  65536, 65537,
					99999, 262144, 1000003 };

	(void)state;
	for (unsigned kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			CLEANUP(buf_release) struct buf raw = { 0 };

			fill(&raw, sizes[i], kind);
			assert_same(buf_span(&raw));
		}
}

/* No compressor makes these today; the format has them. */
static void copies_may_reach_back_to_the_beginning(void **state)
{
	CLEANUP(buf_release) struct buf packed = { 0 };
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(buf_release) struct buf got = { 0 };
	const uint8_t copy[] = { 63 << 2 | 3 };
	const size_t n = 1000000;

	(void)state;
	fill(&raw, n, 0);
	buf_put_varint(&packed, n + 64);
	buf_put(&packed, "\xf8",
		1); /* a literal whose length has three bytes */
	buf_put_fixed32(&packed, n - 1);
	packed.len--;
	buf_put(&packed, raw.data, n);
	buf_put(&packed, copy, 1);
	buf_put_fixed32(&packed, (uint32_t)n - 5);
	assert_int_equal(unpack(buf_span(&packed), n + 64, &got), 0);
	assert_memory_equal(got.data, raw.data, n);
	assert_memory_equal(got.data + n, raw.data + 5, 64);
}

static void copies_may_overlap_themselves(void **state)
{
	CLEANUP(buf_release) struct buf got = { 0 };
	/* "ab", and eleven bytes from two before. */
	const struct span packed = span_of("\x0d\x04"
					   "ab\x1d\x02");

	(void)state;
	assert_int_equal(unpack(packed, 13, &got), 0);
	assert_memory_equal(got.data, "ababababababa", 13);
}

static void lies_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} lies[] = {
		{ "", 0 },                         /* no length */
		{ "\x80", 1 },                     /* half a length */
		{ "\x02\x00\x61", 3 },             /* fewer than it says */
		{ "\x01\x04\x61\x62", 4 },         /* more */
		{ "\x05\x00\x61\x0e\x00\x00", 6 }, /* a distance of 0 */
		{ "\x05\x00\x61\x0e\x02\x00",
		  6 },                         /* from before the beginning */
		{ "\x05\x10\x61", 3 },         /* a literal that is cut off */
		{ "\x05\xf0", 2 },             /* without its length */
		{ "\x05\x00\x61\x0e\x01", 5 }, /* half a distance */
		{ "\x05\x00\x61\x0f\x01\x00\x00", 7 },
		{ "\x05\xfc\xff\xff\xff\xff\x61", 7 }, /* a literal of 4 GiB */
		{ "\xff\xff\xff\xff\x0f\x00\x61", 7 }, /* 4 GiB in two bytes */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		CLEANUP(buf_release) struct buf got = { 0 };

		assert_int_equal(
			unpack((struct span){ (const uint8_t *)lies[i].bytes,
					      lies[i].n },
			       1000, &got),
			-EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_unpacks_what_libsnappy_packs),
		cmocka_unit_test(copies_may_reach_back_to_the_beginning),
		cmocka_unit_test(copies_may_overlap_themselves),
		cmocka_unit_test(lies_are_refused),
	};

	return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
