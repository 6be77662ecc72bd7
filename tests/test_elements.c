/* core/elements: strings and variants, both byte orders, and each lie they tell. */
#include "core/elements.h"
#include "core/io.h"
#include "core/strings.h"
#include "tests/grid.h"

static int read_span(void *arg, void *buf, size_t n, uint64_t at)
{
	const struct span *s = arg;

	if (at > s->len || n > s->len - at)
		return -EIO;
	memcpy(buf, s->data + at, n);
	return 0;
}

static struct elements_source source_of(struct span *bytes, uint64_t n,
					int32_t dtype, bool big_endian)
{
	return (struct elements_source){
		.read = read_span,
		.arg = bytes,
		.size = bytes->len,
		.elements = n,
		.dtype = dtype,
		.big_endian = big_endian,
		.verify = true,
		.exact = true,
	};
}

static int put(void *arg, const void *data, size_t n)
{
	buf_put(arg, data, n);
	return buf_error(arg);
}

/* Random elements, some empty, some longer than a window. */
static void make(struct grid *g, uint64_t n, struct buf *raw,
		 struct span *bytes, struct elements_source *source,
		 struct elements *ret)
{
	static const unsigned longest[] = { 1, 5, 300, 70000 };
	uint64_t at = 0;

	assert_int_equal(elements_alloc(ret, n), 0);
	*source = (struct elements_source){ .read = read_span, .arg = bytes };
	for (uint64_t i = 0; i < n; i++) {
		uint64_t len = grid_random(g, longest[grid_random(g, 4)]);

		grid_fill(g, len, raw);
		ret->at[i] = (struct element){ source, at, len };
		at += len;
	}
	*bytes = buf_span(raw);
}

static void assert_same(const struct elements *a, const struct elements *b)
{
	assert_int_equal(a->n, b->n);
	for (uint64_t i = 0; i < a->n; i++) {
		CLEANUP(free_ptr) uint8_t *x = malloc(a->at[i].length + 1);
		CLEANUP(free_ptr) uint8_t *y = malloc(a->at[i].length + 1);

		assert_int_equal(a->at[i].length, b->at[i].length);
		assert_int_equal(read_span(a->at[i].source->arg, x,
					   a->at[i].length, a->at[i].at),
				 0);
		assert_int_equal(read_span(b->at[i].source->arg, y,
					   a->at[i].length, b->at[i].at),
				 0);
		assert_memory_equal(x, y, a->at[i].length);
	}
}

static void round_trip(int32_t dtype, bool big_endian, unsigned seed)
{
	struct grid g = { .seed = seed };
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(elements_release) struct elements e = { 0 };
	CLEANUP(elements_release) struct elements back = { 0 };
	struct elements_source source, again;
	struct span bytes, encoded;
	uint32_t crc = 0, found = 0;

	make(&g, grid_random(&g, 40), &raw, &bytes, &source, &e);
	assert_int_equal(elements_write(&e, dtype, big_endian, put, &out, &crc),
			 0);
	assert_int_equal(out.len, elements_size(&e, dtype));
	encoded = buf_span(&out);
	again = source_of(&encoded, e.n, dtype, big_endian);
	assert_int_equal(elements_check(&again, &found), 0);
	assert_int_equal(found, crc);
	again.crc32c = crc;
	assert_int_equal(elements_scan(&again, &back), 0);
	assert_same(&e, &back);
}

static void elements_come_back_as_they_were_written(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed < 100; seed++) {
		round_trip(DT_STRING, false, seed);
		round_trip(DT_STRING, true, seed);
		round_trip(DT_VARIANT, false, seed);
		round_trip(DT_VARIANT, true, seed);
	}
}

/* `02 00 78270b34 6869` is what TensorFlow writes for ["hi", ""]. */
static void strings_are_those_of_tensorflow(void **state)
{
	struct span hi = span_of("hi");
	const struct elements_source source = { .read = read_span, .arg = &hi };
	struct element at[] = { { &source, 0, 2 }, { &source, 2, 0 } };
	const struct elements e = { at, 2 };
	CLEANUP(buf_release) struct buf out = { 0 };
	uint32_t crc;

	(void)state;
	assert_int_equal(elements_write(&e, DT_STRING, false, put, &out, &crc),
			 0);
	assert_int_equal(out.len, 8);
	assert_memory_equal(out.data, "\x02\x00\x78\x27\x0b\x34hi", 8);
	assert_int_equal(crc32c_mask(crc), 0xed489e9e);
}

/* Those of the fixture, which TensorFlow wrote. */
static void variants_are_those_of_tensorflow(void **state)
{
	CLEANUP(close_fd)
	int fd = open("tests/fixtures/v2_variant/ckpt.data-00000-of-00001",
		      O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_release) struct buf all = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(elements_release) struct elements e = { 0 };
	struct elements_source source = {
		.fd = fd, .elements = 1, .dtype = DT_VARIANT, .verify = true
	};
	uint32_t crc;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(io_read_file(fd, 1 << 20, &all), 0);
	source.size = all.len;
	/* The first of them is the first in the file. */
	assert_int_equal(elements_check(&source, &source.crc32c), 0);
	assert_int_equal(elements_scan(&source, &e), 0);
	assert_int_equal(elements_write(&e, DT_VARIANT, false, put, &out, &crc),
			 0);
	assert_memory_equal(out.data, all.data, out.len);
	assert_int_equal(crc, source.crc32c);
}

static void no_elements_are_a_tensor(void **state)
{
	CLEANUP(elements_release) struct elements none = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf nothing = { 0 };
	uint32_t crc;

	(void)state;
	assert_int_equal(elements_alloc(&none, 0), 0);
	assert_int_equal(
		elements_write(&none, DT_STRING, false, put, &out, &crc), 0);
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.data, "\xd8\xea\x82\xa2", 4);
	assert_int_equal(elements_write(&none, DT_VARIANT, false, put, &nothing,
					&crc),
			 0);
	assert_int_equal(nothing.len, 0);
	assert_int_equal(crc, 0);
}

static void encode(int32_t dtype, bool big_endian, struct buf *out,
		   uint32_t *crc)
{
	struct span text = span_of("twothree");
	const struct elements_source source = { .read = read_span,
						.arg = &text };
	struct element at[] = { { &source, 0, 3 },
				{ &source, 0, 0 },
				{ &source, 3, 5 } };
	const struct elements e = { at, 3 };

	assert_int_equal(elements_write(&e, dtype, big_endian, put, out, crc),
			 0);
}

static void every_damaged_byte_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int32_t dtype = i & 1 ? DT_STRING : DT_VARIANT;
		CLEANUP(buf_release) struct buf out = { 0 };
		uint32_t crc, found;

		encode(dtype, i & 2, &out, &crc);
		for (size_t at = 0; at < out.len * 8; at++) {
			struct span bytes = buf_span(&out);
			struct elements_source s = source_of(&bytes, 3, dtype,
							     i & 2);
			CLEANUP(elements_release) struct elements e = { 0 };

			s.crc32c = crc;
			out.data[at / 8] ^= (uint8_t)(1U << at % 8);
			assert_int_equal(elements_scan(&s, &e), -EIO);
			/* Of variants even without the entry's checksum. */
			if (dtype == DT_VARIANT)
				assert_int_equal(elements_check(&s, &found),
						 -EIO);
			out.data[at / 8] ^= (uint8_t)(1U << at % 8);
		}
	}
}

static void every_prefix_and_more_is_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int32_t dtype = i & 1 ? DT_STRING : DT_VARIANT;
		CLEANUP(buf_release) struct buf out = { 0 };
		struct span bytes;
		struct elements_source s;
		uint32_t crc;

		encode(dtype, i & 2, &out, &crc);
		buf_put(&out, "x", 1);
		for (size_t n = 0; n <= out.len; n++) {
			bytes = (struct span){ out.data, n };
			s = source_of(&bytes, 3, dtype, i & 2);
			assert_int_equal(elements_check(&s, &crc),
					 n == out.len - 1 ? 0 : -EIO);
		}
		bytes.len--;
		for (uint64_t n = 0; n < 6; n++) {
			s = source_of(&bytes, n, dtype, i & 2);
			assert_int_equal(elements_check(&s, &crc),
					 n == 3 ? 0 : -EIO);
		}
		s = source_of(&bytes, UINT64_MAX, dtype, i & 2);
		assert_int_equal(elements_check(&s, &crc), -EIO);
	}
}

/* Nobody is to take memory, or time, for what is not there. */
static void lengths_beyond_the_size_are_refused(void **state)
{
	static const char *const lies[] = {
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lies); i++) {
		struct span bytes = span_of(lies[i / 2]);
		struct elements_source s = source_of(
			&bytes, 1, i & 1 ? DT_STRING : DT_VARIANT, false);
		uint32_t crc;

		assert_int_equal(elements_check(&s, &crc), -EIO);
		s.verify = false;
		assert_int_equal(elements_check(&s, &crc), -EIO);
	}
}

static void text_of_strings_is_the_same_tensor(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };
	uint32_t crc, other;

	(void)state;
	encode(DT_STRING, false, &out, &crc);
	assert_int_equal(strings_encode(span_of("two\n\nthree\n"), 3, false,
					&text, &other),
			 0);
	assert_true(span_equal(buf_span(&out), buf_span(&text)));
	assert_int_equal(crc, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_back_as_they_were_written),
		cmocka_unit_test(strings_are_those_of_tensorflow),
		cmocka_unit_test(variants_are_those_of_tensorflow),
		cmocka_unit_test(no_elements_are_a_tensor),
		cmocka_unit_test(every_damaged_byte_is_found),
		cmocka_unit_test(every_prefix_and_more_is_refused),
		cmocka_unit_test(lengths_beyond_the_size_are_refused),
		cmocka_unit_test(text_of_strings_is_the_same_tensor),
	};

	return cmocka_run_group_tests_name("elements", tests, NULL, NULL);
}
