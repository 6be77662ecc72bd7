/* core/content: values in slices and in both byte orders, against plain ones. */
#include "core/content.h"
#include "core/elements.h"
#include "core/piece.h"
#include "core/writeout.h"
#include "tests/grid.h"

#define ROUNDS 150

static const int32_t dtypes[] = { DT_UINT8,     DT_HALF,   DT_FLOAT,
				  DT_COMPLEX64, DT_DOUBLE, DT_COMPLEX128 };

/* A checkpoint of one partitioned variable. */
struct case_of {
	struct place where;
	struct grid g;
	int32_t dtype;
	struct buf whole; /* what its file is to show */
	struct shard *shard;
	struct entry *e;
	struct entry *parts[GRID_PARTS];
};

static struct shard *open_shard(const struct case_of *c, bool big_endian)
{
	struct shard *s = NULL;

	assert_int_equal(shard_open(c->where.fd, "ckpt", 0, 1, &s), 0);
	if (big_endian)
		shard_set_big_endian(s);
	return s;
}

static void case_make(struct case_of *c, unsigned seed, int32_t dtype,
		      bool big_endian)
{
	size_t item = dtype_size(dtype);
	CLEANUP(buf_release) struct buf data = { 0 };
	uint64_t offsets[GRID_PARTS + 1] = { 0 };

	*c = (struct case_of){ .where = place_make(),
			       .g = grid_make(seed),
			       .dtype = dtype };
	grid_fill(&c->g, grid_elements(&c->g) * item, &c->whole);
	for (size_t i = 0; i < c->g.n; i++) {
		offsets[i] = data.len;
		grid_take(&c->g, i, c->whole.data, item, &data);
		if (big_endian)
			bytes_turn(dtype, data.data + offsets[i],
				   data.len - offsets[i]);
	}
	offsets[c->g.n] = data.len;
	put_file(c->where.fd, DATA_NAME, buf_span(&data));
	c->shard = open_shard(c, big_endian);
	c->e = grid_entry(&c->g, dtype);
	for (size_t i = 0; i < c->g.n; i++) {
		uint64_t n = offsets[i + 1] - offsets[i];

		c->parts[i] =
			grid_slice(&c->g, i, dtype, c->shard, offsets[i], n,
				   crc32c_extend(0, data.data + offsets[i], n));
	}
}

static void case_release(struct case_of *c)
{
	for (size_t i = 0; i < GRID_PARTS; i++)
		entry_unref(c->parts[i]);
	entry_unref(c->e);
	shard_unref(c->shard);
	buf_release(&c->whole);
	place_release(&c->where);
}

static struct content *case_open(struct case_of *c, bool verify)
{
	struct content *content = NULL;

	if (!entry_has_parts(c->e))
		assert_int_equal(entry_attach_parts(c->e, c->parts), 0);
	assert_int_equal(content_open(c->e, "v", verify, &content), 0);
	assert_int_equal(content_size(content), c->whole.len);
	return content;
}

/* Some bytes anywhere. */
static void assert_reads(struct case_of *c, struct content *content, int times)
{
	for (int i = 0; i < times; i++) {
		size_t at = grid_random(&c->g, (unsigned)c->whole.len);
		size_t n = 1 +
			   grid_random(&c->g, (unsigned)(c->whole.len - at));
		CLEANUP(free_ptr) uint8_t *got = malloc(n);

		assert_int_equal(content_read(content, got, n, at), 0);
		assert_memory_equal(got, c->whole.data + at, n);
	}
}

static void random_partitions_read_as_the_whole(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++)
		for (int big = 0; big < 2; big++) {
			CLEANUP(case_release) struct case_of c;
			CLEANUP(content_freep) struct content *content = NULL;

			case_make(&c, seed, dtypes[seed % ARRAY_SIZE(dtypes)],
				  big);
			content = case_open(&c, true);
			assert_reads(&c, content, 20);
		}
}

static bool touches(const struct case_of *c, size_t part, size_t at, size_t n)
{
	size_t item = dtype_size(c->dtype);

	for (size_t i = at / item; i <= (at + n - 1) / item; i++)
		if (grid_owns(&c->g, part, i))
			return true;
	return false;
}

/* Reads everywhere: -EIO where a byte of `part` is among them, and right elsewhere. */
static void assert_spoiled(struct case_of *c, struct content *content,
			   size_t part)
{
	for (int i = 0; i < 60; i++) {
		size_t at = grid_random(&c->g, (unsigned)c->whole.len);
		size_t left = c->whole.len - at;
		size_t n = 1 +
			   grid_random(&c->g, left < 40 ? (unsigned)left : 40);
		CLEANUP(free_ptr) uint8_t *got = malloc(n);
		int r = content_read(content, got, n, at);

		assert_int_equal(r, touches(c, part, at, n) ? -EIO : 0);
		if (r == 0)
			assert_memory_equal(got, c->whole.data + at, n);
	}
}

enum lie {
	MISSING,
	OTHER_DTYPE,
	OTHER_SHAPE,
	OTHER_SIZE,
	BEYOND_THE_SHARD,
	NO_SHARD,
	LIES
};

/* What the index says of one slice, where that is not so. */
static struct entry *lying(const struct case_of *c, size_t part, enum lie lie)
{
	const struct entry *was = c->parts[part];
	const int32_t twin[] = { [1] = DT_INT8,
				 [2] = DT_INT16,
				 [4] = DT_INT32,
				 [8] = DT_INT64,
				 [16] = DT_INVALID };
	struct grid other = c->g;
	struct proto p;
	struct entry *e;

	switch (lie) {
	case OTHER_DTYPE:
		if (twin[dtype_size(c->dtype)] == DT_INVALID)
			return NULL;
		return grid_slice(&c->g, part, twin[dtype_size(c->dtype)],
				  c->shard, entry_offset(was), entry_size(was),
				  entry_crc32c(was));
	case OTHER_SHAPE:
		/* As many elements, in one dimension of more. */
		for (size_t d = 1; d < other.rank; d++) {
			struct slice_extent *x = other.parts[part].extents;

			x[0].length *= x[d].length;
			x[d].length = 1;
		}
		if (other.parts[part].extents[0].length ==
		    c->g.parts[part].extents[0].length)
			return NULL;
		return grid_slice(&other, part, c->dtype, c->shard,
				  entry_offset(was), entry_size(was),
				  entry_crc32c(was));
	case OTHER_SIZE:
		return grid_slice(&c->g, part, c->dtype, c->shard,
				  entry_offset(was), entry_size(was) + 1,
				  entry_crc32c(was));
	case BEYOND_THE_SHARD:
		return grid_slice(&c->g, part, c->dtype, c->shard,
				  shard_end(c->shard) - entry_size(was) + 1,
				  entry_size(was), entry_crc32c(was));
	case NO_SHARD:
		proto_init(&p, c->dtype, entry_shape(was).rank,
			   entry_shape(was).dims);
		p.entry.size = (int64_t)entry_size(was);
		e = grid_parse(entry_key(was), &p);
		return e;
	case MISSING:
	case LIES:
		break;
	}
	return NULL;
}

static void slice_that_lies_spoils_its_own_bytes(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		CLEANUP(content_freep) struct content *content = NULL;
		struct entry *lie;
		size_t part;

		case_make(&c, seed, dtypes[seed % ARRAY_SIZE(dtypes)],
			  seed & 1);
		part = grid_random(&c.g, (unsigned)c.g.n);
		lie = lying(&c, part,
			    (enum lie)(seed / ARRAY_SIZE(dtypes) % LIES));
		entry_unref(c.parts[part]);
		c.parts[part] = lie;
		forget_lines();
		content = case_open(&c, true);
		assert_spoiled(&c, content, part);
		assert_true(logged()->lines <= 1);
	}
}

/* Read whole and then in parts: whoever completes the slice is told, and all after him. */
static void damaged_slice_spoils_its_own_bytes(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		CLEANUP(content_freep) struct content *content = NULL;
		CLEANUP(content_freep) struct content *trusting = NULL;
		CLEANUP(close_fd) int fd = -1;
		CLEANUP(free_ptr) uint8_t *all = NULL;
		const struct entry *part;
		size_t i;
		uint8_t byte;

		case_make(&c, seed, dtypes[seed % ARRAY_SIZE(dtypes)],
			  seed & 1);
		all = malloc(c.whole.len);
		i = grid_random(&c.g, (unsigned)c.g.n);
		part = c.parts[i];
		fd = openat(c.where.fd, DATA_NAME, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &byte, 1, (off_t)entry_offset(part)),
				 1);
		byte ^= 0x10;
		assert_int_equal(
			pwrite(fd, &byte, 1, (off_t)entry_offset(part)), 1);
		content = case_open(&c, true);
		forget_lines();
		assert_int_equal(content_read(content, all, c.whole.len, 0),
				 -EIO);
		assert_said("checksum mismatch");
		assert_spoiled(&c, content, i);
		trusting = case_open(&c, false);
		assert_int_equal(content_read(trusting, all, c.whole.len, 0),
				 0);
	}
}

static void hole_spoils_its_own_bytes(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		CLEANUP(content_freep) struct content *content = NULL;
		struct grid full;

		case_make(&c, seed, dtypes[seed % ARRAY_SIZE(dtypes)], false);
		if (c.g.n < 2)
			continue;
		/* The last slice is not listed. */
		full = c.g;
		c.g.n--;
		entry_unref(c.e);
		c.e = grid_entry(&c.g, c.dtype);
		content = case_open(&c, true);
		forget_lines();
		c.g = full;
		assert_spoiled(&c, content, c.g.n - 1);
		assert_true(logged()->lines <= 1);
	}
}

/* --- strings --------------------------------------------------------------- */

static int put(void *arg, const void *data, size_t n)
{
	buf_put(arg, data, n);
	return buf_error(arg);
}

/* Element i of the whole is i % 5 times the letter of i. */
static void put_some(const struct grid *g, size_t part, int32_t dtype,
		     bool big_endian, struct buf *out, uint32_t *crc)
{
	static const struct {
		char text[5];
	} letters[26] = {
#define L(c)                          \
	{                             \
		{                     \
			c, c, c, c, c \
		}                     \
	}
		L('a'), L('b'), L('c'), L('d'), L('e'), L('f'), L('g'),
		L('h'), L('i'), L('j'), L('k'), L('l'), L('m'), L('n'),
		L('o'), L('p'), L('q'), L('r'), L('s'), L('t'), L('u'),
		L('v'), L('w'), L('x'), L('y'), L('z'),
	};
	struct span all = { (const uint8_t *)letters, sizeof(letters) };
	const struct elements_source source = { .read = writeout_read_span,
						.arg = &all };
	CLEANUP(elements_release) struct elements e = { 0 };
	uint64_t n = 0;

	assert_int_equal(elements_alloc(&e, grid_elements(g)), 0);
	for (uint64_t i = 0; i < grid_elements(g); i++)
		if (part == GRID_PARTS || grid_owns(g, part, i))
			e.at[n++] = (struct element){ &source, i % 26 * 5,
						      i % 5 };
	e.n = n;
	assert_int_equal(elements_write(&e, dtype, big_endian, put, out, crc),
			 0);
}

static void make_texts(struct case_of *c, unsigned seed, int32_t dtype,
		       bool big_endian)
{
	CLEANUP(buf_release) struct buf data = { 0 };
	uint64_t offsets[GRID_PARTS + 1] = { 0 };
	uint32_t crc[GRID_PARTS] = { 0 }, whole;

	*c = (struct case_of){ .where = place_make(),
			       .g = grid_make(seed),
			       .dtype = dtype };
	for (size_t i = 0; i < c->g.n; i++) {
		put_some(&c->g, i, dtype, big_endian, &data, &crc[i]);
		offsets[i + 1] = data.len;
	}
	put_some(&c->g, GRID_PARTS, dtype, false, &c->whole, &whole);
	put_file(c->where.fd, DATA_NAME, buf_span(&data));
	c->shard = open_shard(c, big_endian);
	c->e = grid_entry(&c->g, dtype);
	for (size_t i = 0; i < c->g.n; i++)
		c->parts[i] = grid_slice(&c->g, i, dtype, c->shard, offsets[i],
					 offsets[i + 1] - offsets[i], crc[i]);
}

static void strings_and_variants_are_put_together(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		CLEANUP(content_freep) struct content *content = NULL;
		uint64_t offset;
		uint32_t crc;
		int fd;

		make_texts(&c, seed, seed & 1 ? DT_STRING : DT_VARIANT,
			   seed & 2);
		content = case_open(&c, true);
		assert_true(content_made(content));
		assert_true(content_place(content, &fd, &offset));
		assert_true(content_crc32c(content, &crc));
		assert_reads(&c, content, 5);
	}
}

/* Where each element lies depends on all of them. */
static void strings_with_a_lie_cannot_be_read_at_all(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		struct content *content = NULL;
		size_t part;

		make_texts(&c, seed, seed & 1 ? DT_STRING : DT_VARIANT,
			   seed & 2);
		part = grid_random(&c.g, (unsigned)c.g.n);
		entry_unref(STEAL(c.parts[part]));
		assert_int_equal(entry_attach_parts(c.e, c.parts), 0);
		forget_lines();
		assert_int_equal(content_open(c.e, "v", true, &content), -EIO);
		assert_int_equal(logged()->lines, 1);
	}
}

/* --- writing --------------------------------------------------------------- */

static void allow_writing(struct shard *s)
{
	const char *reason;
	struct stat like;

	assert_int_equal(fstat(shard_fd(s), &like), 0);
	assert_int_equal(shard_edit(s, &like, &reason), 0);
}

static void what_was_split_reads_back(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		CLEANUP(content_freep) struct content *content = NULL;
		CLEANUP(entry_unrefp) struct entry *written = NULL;
		struct span bytes;
		struct writeout w = { .read = writeout_read_span,
				      .arg = &bytes };

		case_make(&c, seed, dtypes[seed % ARRAY_SIZE(dtypes)],
			  seed & 1);
		assert_int_equal(entry_attach_parts(c.e, c.parts), 0);
		for (size_t i = 0; i < c.whole.len; i++)
			c.whole.data[i] ^= 0x5a;
		bytes = buf_span(&c.whole);
		w.size = bytes.len;
		w.dtype = c.dtype;
		w.shape = grid_shape(&c.g);
		allow_writing(c.shard);
		assert_true(writeout_splits(c.e));
		assert_int_equal(writeout_slices(&w, c.e, c.shard, &written),
				 0);
		assert_true(span_equal(entry_raw(written), entry_raw(c.e)));
		for (size_t i = 0; i < c.g.n; i++)
			assert_true(
				span_equal(entry_key(entry_part(written, i)),
					   entry_key(c.parts[i])));
		entry_unref(c.e);
		c.e = STEAL(written);
		content = case_open(&c, true);
		assert_reads(&c, content, 10);
	}
}

static void strings_that_were_split_read_back(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		CLEANUP(case_release) struct case_of c;
		CLEANUP(content_freep) struct content *content = NULL;
		CLEANUP(entry_unrefp) struct entry *written = NULL;
		struct span bytes;
		struct writeout w = { .read = writeout_read_span,
				      .arg = &bytes };

		make_texts(&c, seed, seed & 1 ? DT_STRING : DT_VARIANT, false);
		for (size_t i = 0; i < c.g.n; i++)
			entry_unref(STEAL(c.parts[i])); /* all are missing */
		bytes = buf_span(&c.whole);
		w.size = bytes.len;
		w.dtype = c.dtype;
		w.shape = grid_shape(&c.g);
		allow_writing(c.shard);
		assert_int_equal(writeout_slices(&w, c.e, c.shard, &written),
				 0);
		entry_unref(c.e);
		c.e = STEAL(written);
		content = case_open(&c, true);
		assert_reads(&c, content, 5);
	}
}

static void slices_with_a_hole_cannot_take_a_value(void **state)
{
	CLEANUP(case_release) struct case_of c;

	(void)state;
	for (unsigned seed = 1;; seed++) {
		case_make(&c, seed, DT_FLOAT, false);
		if (c.g.n > 1)
			break;
		case_release(&c);
	}
	c.g.n--;
	entry_unref(c.e);
	c.e = grid_entry(&c.g, c.dtype);
	assert_false(writeout_splits(c.e));
}

static void big_endian_shard_refuses_what_tensorflow_cannot_read(void **state)
{
	CLEANUP(case_release) struct case_of c;
	CLEANUP(shard_unrefp) struct shard *big = NULL;
	struct span bytes = span_of("x");
	struct writeout w = { .read = writeout_read_span,
			      .arg = &bytes,
			      .size = 1 };
	struct extent *x = NULL;
	uint32_t crc;

	(void)state;
	case_make(&c, 1, DT_FLOAT, false);
	big = open_shard(&c, true);
	allow_writing(big);
	for (int32_t dtype = DT_FLOAT8_E5M2; dtype <= DT_FLOAT4_E2M1FN;
	     dtype++) {
		w.dtype = dtype;
		assert_int_equal(writeout_whole(&w, big, &x, &crc),
				 -EOPNOTSUPP);
		assert_null(shard_refuses(c.shard, dtype));
	}
	w.dtype = DT_INT8;
	assert_int_equal(writeout_whole(&w, big, &x, &crc), 0);
	extent_unref(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_partitions_read_as_the_whole),
		cmocka_unit_test(slice_that_lies_spoils_its_own_bytes),
		cmocka_unit_test(damaged_slice_spoils_its_own_bytes),
		cmocka_unit_test(hole_spoils_its_own_bytes),
		cmocka_unit_test(strings_and_variants_are_put_together),
		cmocka_unit_test(strings_with_a_lie_cannot_be_read_at_all),
		cmocka_unit_test(what_was_split_reads_back),
		cmocka_unit_test(strings_that_were_split_read_back),
		cmocka_unit_test(slices_with_a_hole_cannot_take_a_value),
		cmocka_unit_test(
			big_endian_shard_refuses_what_tensorflow_cannot_read),
	};

	return cmocka_run_group_tests_name("content", tests, note_lines, NULL);
}
