/* core/checksum, core/slice_key: known bytes, and every lie of their neighbours. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/checksum.h"
#include "core/cleanup.h"
#include "core/coding.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/slice.h"
#include "core/slice_key.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })
/* FORMAT 4.2: the strings "hi" and "", and the masked checksum of their entry. */
#define HI        SPAN("\x02\x00\x78\x27\x0b\x34hi")
#define HI_MASKED 0xed489e9eU

struct sum {
	uint32_t crc;
	uint64_t used;
	const char *reason;
};

/* Of these bytes, with others before and behind them. */
static int sum_of(struct span bytes, int32_t dtype, uint64_t elements, bool big,
		  struct sum *ret)
{
	CLEANUP(close_fd) int fd = memfd_create("value", MFD_CLOEXEC);
	const struct checksum_source source = {
		.fd = fd,
		.offset = 3,
		.size = bytes.len,
		.elements = elements,
		.dtype = dtype,
		.big_endian = big,
	};

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "***", 3), 3);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	assert_int_equal(write(fd, "***", 3), 3);
	*ret = (struct sum){ 0 };
	return checksum_value(&source, &ret->crc, &ret->used, &ret->reason);
}

static void put_big(struct buf *b, uint32_t n)
{
	const uint8_t bytes[] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16),
				  (uint8_t)(n >> 8), (uint8_t)n };

	buf_put(b, bytes, sizeof(bytes));
}

/* A variant tensor of these protos, and its checksum. */
static uint32_t make_variants(const char *const *protos, size_t n,
			      struct buf *out)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < n; i++) {
		CLEANUP(buf_release) struct buf part = { 0 };
		struct span proto = span_of(protos[i]);

		buf_put_fixed64(&part, proto.len);
		buf_put(&part, proto.data, proto.len);
		crc = crc32c_extend(crc, part.data, part.len);
		buf_put_varint(out, proto.len);
		buf_put(out, proto.data, proto.len);
		buf_put_fixed32(out, crc32c_mask(crc));
		crc = crc32c_extend(crc, out->data + out->len - 4, 4);
	}
	assert_int_equal(buf_error(out), 0);
	return crc;
}

static void numbers_are_summed_as_they_lie(void **state)
{
	struct sum s;

	(void)state;
	assert_int_equal(sum_of(SPAN("123456789"), DT_UINT8, 9, false, &s), 0);
	assert_int_equal(s.crc, 0xe3069283U);
	assert_int_equal(s.used, 9);
	assert_int_equal(sum_of(SPAN(""), DT_FLOAT, 0, false, &s), 0);
	assert_int_equal(s.crc, 0);
}

static void strings_are_summed_as_tensorflow_does(void **state)
{
	struct sum s;

	(void)state;
	assert_int_equal(sum_of(HI, DT_STRING, 2, false, &s), 0);
	assert_int_equal(crc32c_mask(s.crc), HI_MASKED);
	assert_int_equal(s.used, HI.len);
}

static void what_follows_strings_is_not_of_them(void **state)
{
	struct sum s;

	(void)state;
	assert_int_equal(sum_of(SPAN("\x02\x00\x78\x27\x0b\x34hi++"), DT_STRING,
				2, false, &s),
			 0);
	assert_int_equal(crc32c_mask(s.crc), HI_MASKED);
	assert_int_equal(s.used, HI.len);
}

static void big_endian_strings_have_their_integers_so(void **state)
{
	CLEANUP(buf_release) struct buf lengths = { 0 };
	CLEANUP(buf_release) struct buf value = { 0 };
	uint32_t crc;
	struct sum s;

	(void)state;
	put_big(&lengths, 2);
	put_big(&lengths, 0);
	crc = crc32c_extend(0, lengths.data, lengths.len);
	buf_put(&value, "\2\0", 2);
	put_big(&value, crc32c_mask(crc));
	buf_put(&value, "hi", 2);
	crc = crc32c_extend(crc, value.data + 2, value.len - 2);
	assert_int_equal(sum_of(buf_span(&value), DT_STRING, 2, true, &s), 0);
	assert_int_equal(s.crc, crc);
	assert_int_equal(sum_of(buf_span(&value), DT_STRING, 2, false, &s),
			 -EBADMSG);
}

static void variants_are_summed_element_by_element(void **state)
{
	static const char *const protos[] = { "first", "", "third" };
	CLEANUP(buf_release) struct buf value = { 0 };
	uint32_t crc = make_variants(protos, 3, &value);
	struct sum s;

	(void)state;
	assert_int_equal(sum_of(buf_span(&value), DT_VARIANT, 3, false, &s), 0);
	assert_int_equal(s.crc, crc);
	assert_int_equal(s.used, value.len);
}

static void values_longer_than_a_piece_are_summed_whole(void **state)
{
	CLEANUP(buf_release) struct buf value = { 0 };
	uint64_t length = 2 * (uint64_t)CHECKSUM_CHUNK + 7;
	uint32_t crc, le = (uint32_t)length;
	struct sum s;

	(void)state;
	buf_put_varint(&value, length);
	crc = crc32c_extend(0, &le, 4);
	buf_put_fixed32(&value, crc32c_mask(crc));
	crc = crc32c_extend(crc, value.data + value.len - 4, 4);
	for (uint64_t i = 0; i < length; i++)
		buf_put(&value, &(uint8_t){ (uint8_t)(i * 7) }, 1);
	crc = crc32c_extend(crc, value.data + value.len - length, length);
	assert_int_equal(sum_of(buf_span(&value), DT_STRING, 1, false, &s), 0);
	assert_int_equal(s.crc, crc);
}

/* Never the same sum, and always a reason if there is none. */
static void assert_bytes_count(struct span value, int32_t dtype, uint64_t n)
{
	struct sum right, s;
	int r;

	assert_int_equal(sum_of(value, dtype, n, false, &right), 0);
	for (size_t i = 0; i < value.len; i++) {
		uint8_t other[256];

		memcpy(other, value.data, value.len);
		other[i] ^= 0x10;
		r = sum_of((struct span){ other, value.len }, dtype, n, false,
			   &s);
		assert_true(r == -EBADMSG || s.crc != right.crc);
		assert_true(r == 0 || s.reason);
		assert_int_equal(sum_of((struct span){ value.data, i }, dtype,
					n, false, &s),
				 -EBADMSG);
		assert_non_null(s.reason);
	}
}

static void every_byte_of_elements_counts(void **state)
{
	static const char *const protos[] = { "first", "", "third" };
	CLEANUP(buf_release) struct buf value = { 0 };

	(void)state;
	(void)make_variants(protos, 3, &value);
	assert_bytes_count(buf_span(&value), DT_VARIANT, 3);
	assert_bytes_count(HI, DT_STRING, 2);
}

static void more_elements_than_bytes_are_not_looked_for(void **state)
{
	struct sum s;

	(void)state;
	assert_int_equal(sum_of(HI, DT_STRING, UINT64_MAX, false, &s),
			 -EBADMSG);
	assert_int_equal(sum_of(HI, DT_VARIANT, UINT64_MAX, false, &s),
			 -EBADMSG);
}

static void keys_of_slices_are_told_from_names(void **state)
{
	static const struct slice_extent extents[][3] = {
		{ { 0, -1 }, { 3, 2 }, { 5, 1 } },
		{ { 8191, 8192 }, { 134217733, 64 }, { 1LL << 62, 1 } },
		{ { 63, 64 }, { 100, 1LL << 55 }, { 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < 12; i++) {
		CLEANUP(buf_release) struct buf key = { 0 };

		slice_put_key(i % 2 ? SPAN("a\0\xff/b") : SPAN(""),
			      extents[i / 4], i % 4, &key);
		assert_true(slice_is_key(buf_span(&key)));
		for (size_t n = 0; n < key.len; n++)
			assert_false(
				slice_is_key((struct span){ key.data, n }));
		buf_put(&key, "+", 1);
		assert_false(slice_is_key(buf_span(&key)));
	}
	assert_false(slice_is_key(span_of("dense/kernel")));
	assert_false(slice_is_key(SPAN("\0")));
	assert_false(slice_is_key(SPAN("\0\0\1")));
	assert_false(slice_is_key(SPAN("\0a\0\1\377")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_summed_as_they_lie),
		cmocka_unit_test(strings_are_summed_as_tensorflow_does),
		cmocka_unit_test(what_follows_strings_is_not_of_them),
		cmocka_unit_test(big_endian_strings_have_their_integers_so),
		cmocka_unit_test(variants_are_summed_element_by_element),
		cmocka_unit_test(values_longer_than_a_piece_are_summed_whole),
		cmocka_unit_test(every_byte_of_elements_counts),
		cmocka_unit_test(more_elements_than_bytes_are_not_looked_for),
		cmocka_unit_test(keys_of_slices_are_told_from_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
