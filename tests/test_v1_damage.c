/* V1 files with damage in them: nothing crashes, whatever the checksums say. */
#include <snappy-c.h>

#include "core/io.h"
#include "core/v1_value.h"
#include "tests/v1_support.h"

static const struct dims pair = { 1, { 2 } };

static void get_value(const struct v1_value *v, struct buf *out)
{
	buf_put_zeros(out, v1_value_size(v));
	assert_int_equal(io_read_at(v1_value_fd(v), out->data, out->len,
				    v1_value_offset(v)),
			 0);
}

/* Reads all values of the file, which may be damaged in some way: how many can be. */
static size_t read_all(const struct place *where)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	size_t n = 0;

	if (v1_open(where->fd, "ckpt", &b) < 0)
		return 0;
	for (size_t i = 0; i < bundle_count(b); i++) {
		CLEANUP(v1_value_unrefp) struct v1_value *v = NULL;
		CLEANUP(buf_release) struct buf got = { 0 };
		struct v1_record *r = entry_v1(bundle_entry(b, i));

		if (r && v1_value_open(r, "x", &v) == 0) {
			get_value(v, &got);
			n++;
		}
	}
	return n;
}

/*
 * A wrong checksum stops most of it; so each byte of the blocks is damaged with the
 * checksum put right, too.
 */
static void every_damaged_byte_is_survived(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf bytes = { 0 };

	(void)state;
	copy_fixture(&where, "v1_hand_snappy");
	get_file(where.fd, "ckpt.v1", &bytes);
	assert_true(bytes.len > 100);
	for (size_t i = 0; i < bytes.len; i += 3) {
		bytes.data[i] ^= 0x81;
		put_file(where.fd, "ckpt", buf_span(&bytes));
		(void)read_all(&where);
		bytes.data[i] ^= 0x81;
	}
}

/* A file of one block whose contents are any bytes, and whose checksums are right. */
static void put_block(struct buf *out, struct span contents, uint8_t type)
{
	size_t start = out->len;

	buf_put(out, contents.data, contents.len);
	buf_put(out, &type, 1);
	buf_put_fixed32(out, crc32c_mask(crc32c_extend(0, out->data + start,
						       out->len - start)));
}

static void put_table(struct span contents, uint8_t type, struct buf *out)
{
	CLEANUP(buf_release) struct buf handle = { 0 };
	CLEANUP(buf_release) struct buf index = { 0 };
	uint64_t at;

	put_block(out, contents, type);
	buf_put_varint(&handle, 0);
	buf_put_varint(&handle, contents.len);
	at = out->len;
	buf_put_varint(&index, 0);
	buf_put_varint(&index, 1);
	buf_put_varint(&index, handle.len);
	buf_put(&index, "\x7f", 1);
	buf_put(&index, handle.data, handle.len);
	buf_put_fixed32(&index, 0);
	buf_put_fixed32(&index, 1);
	put_block(out, buf_span(&index), 0);
	handle.len = 0;
	buf_put_varint(&handle, 0);
	buf_put_varint(&handle, 0);
	buf_put_varint(&handle, at);
	buf_put_varint(&handle, index.len);
	buf_put_zeros(&handle, 40 - handle.len);
	buf_put(out, handle.data, handle.len);
	buf_put_fixed64(out, 0xdb4775248b80fb57U);
}

static size_t read_table(const struct place *where, struct span contents,
			 uint8_t type)
{
	CLEANUP(buf_release) struct buf file = { 0 };

	put_table(contents, type, &file);
	put_file(where->fd, "ckpt", buf_span(&file));
	return read_all(where);
}

/* The contents of the one data block of a small file. */
static void small_block(struct buf *out)
{
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(buf_release) struct buf ints = { 0 };
	CLEANUP(buf_release) struct buf floats = { 0 };
	CLEANUP(buf_release) struct buf strings = { 0 };
	CLEANUP(buf_release) struct buf file = { 0 };
	const int64_t values[2] = { 1, -2 };
	size_t end = 0;

	put_ints(&ints, 7, 2, values);
	put_bytes(&floats, 5, (struct span){ (const uint8_t *)values, 8 });
	put_bytes(&strings, 8, span_of("ab"));
	put_bytes(&strings, 8, span_of("c"));
	v1_tensor(&m, "f", DT_FLOAT, &pair, buf_span(&floats));
	v1_tensor(&m, "i", DT_INT32, &pair, buf_span(&ints));
	v1_tensor(&m, "s", DT_STRING, &pair, buf_span(&strings));
	v1_make(&m, &file);
	/* Up to its one restart, its count of them, and the trailer. */
	while (memcmp(file.data + end, "\0\0\0\0\1\0\0\0\0", 9) != 0)
		end++;
	buf_put(out, file.data, end + 8);
}

static void every_lie_under_a_right_checksum_is_survived(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf block = { 0 };
	static const uint8_t changes[] = { 0x01, 0x80, 0xff, 0x02, 0x08 };

	(void)state;
	small_block(&block);
	assert_int_equal(read_table(&where, buf_span(&block), 0), 3);
	for (size_t i = 0; i < block.len; i++)
		for (size_t j = 0; j < ARRAY_SIZE(changes); j++) {
			block.data[i] ^= changes[j];
			(void)read_table(&where, buf_span(&block), 0);
			block.data[i] ^= changes[j];
		}
}

static void every_lie_in_snappy_data_is_survived(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf block = { 0 };
	char packed[4096];
	size_t n = sizeof(packed);

	(void)state;
	small_block(&block);
	assert_int_equal(snappy_compress((char *)block.data, block.len, packed,
					 &n),
			 SNAPPY_OK);
	assert_int_equal(read_table(&where,
				    (struct span){ (uint8_t *)packed, n }, 1),
			 3);
	for (size_t i = 0; i < n; i++)
		for (int bit = 0; bit < 8; bit++) {
			packed[i] ^= (char)(1 << bit);
			(void)read_table(&where,
					 (struct span){ (uint8_t *)packed, n },
					 1);
			packed[i] ^= (char)(1 << bit);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_damaged_byte_is_survived),
		cmocka_unit_test(every_lie_under_a_right_checksum_is_survived),
		cmocka_unit_test(every_lie_in_snappy_data_is_survived),
	};

	return cmocka_run_group_tests_name("v1_damage", tests, note_lines,
					   NULL);
}
