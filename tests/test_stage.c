/* core/stage: whatever is written in whatever order, it is what a file would be. */
#include "core/bundle.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/stage.h"
#include "tests/support.h"

DEFINE_CLEANUP(struct entry, entry_unref)
DEFINE_CLEANUP(struct stage, stage_unref)

#define SMALL 1000    /* staged in memory */
#define LIMIT 65536   /* the most that is */
#define LARGE 600000  /* staged in the shard, in several chunks */
#define MODEL 1200000 /* how far tests write */

/* A bundle of one variable `v` of this many bytes, and one behind it. */
struct fixture {
	struct place where;
	struct bundle *bundle;
	struct entry *base;
	struct buf value;
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void put_random(struct buf *b, size_t n, uint32_t seed)
{
	size_t start = b->len;

	buf_put_zeros(b, n);
	for (size_t i = 0; i < n; i++)
		b->data[start + i] = (uint8_t)next_random(&seed);
}

static void fixture_init(struct fixture *f, size_t size)
{
	CLEANUP(maker_release) struct maker m;
	const struct stat like = { .st_mode = 0644 };
	const char *reason;

	*f = (struct fixture){ .where = place_make() };
	put_random(&f->value, size, (uint32_t)size);
	maker_init(&m, HEADER);
	maker_add(&m, "v", buf_span(&f->value));
	maker_add(&m, "w", span_of("next"));
	maker_write(&m, f->where.fd);
	assert_int_equal(bundle_open(f->where.fd, "ckpt", NULL, &f->bundle), 0);
	f->base = bundle_find(f->bundle, span_of("v"));
	assert_int_equal(shard_edit(entry_shard(f->base), &like, &reason), 0);
}

static void fixture_release(struct fixture *f)
{
	bundle_unref(f->bundle);
	buf_release(&f->value);
	place_release(&f->where);
}

static uint64_t shard_length(const struct fixture *f)
{
	uint64_t size = 0;

	assert_int_equal(io_size(shard_fd(entry_shard(f->base)), &size), 0);
	return size;
}

/* --- a stage beside a plain buffer ----------------------------------------- */

struct pair {
	struct stage *stage;
	uint8_t *bytes; /* MODEL of them */
	uint64_t size;
};

static void pair_init(struct pair *p, const struct fixture *f, bool truncated)
{
	assert_int_equal(stage_new(f->base, truncated, &p->stage), 0);
	p->bytes = calloc(1, MODEL);
	p->size = truncated ? 0 : f->value.len;
	memcpy(p->bytes, f->value.data, p->size);
}

static void pair_release(struct pair *p)
{
	stage_unref(p->stage);
	free(p->bytes);
}

static void pair_write(struct pair *p, uint64_t offset, size_t n, uint32_t seed)
{
	CLEANUP(buf_release) struct buf data = { 0 };

	put_random(&data, n, seed);
	assert_int_equal(stage_write(p->stage, data.data, n, offset), 0);
	if (n > 0)
		memcpy(p->bytes + offset, data.data, n);
	if (p->size < offset + n)
		p->size = offset + n;
}

static void pair_resize(struct pair *p, uint64_t size)
{
	assert_int_equal(stage_resize(p->stage, size), 0);
	if (size < p->size)
		memset(p->bytes + size, 0, p->size - size);
	p->size = size;
}

static void assert_same(const struct pair *p)
{
	CLEANUP(free_ptr) uint8_t *read = malloc(MODEL + 1);

	assert_int_equal(stage_size(p->stage), p->size);
	assert_int_equal(stage_read(p->stage, read, MODEL + 1, 0), p->size);
	assert_memory_equal(read, p->bytes, p->size);
	assert_int_equal(stage_read(p->stage, read, 1, p->size), 0);
}

/* The entry is the model's bytes, and lies where nothing was before. */
static void assert_finishes(const struct pair *p, const struct fixture *f,
			    uint64_t end_before)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(free_ptr) uint8_t *read = malloc(p->size + 1);

	assert_int_equal(stage_finish(p->stage, &e), 0);
	assert_int_equal(entry_size(e), f->value.len);
	assert_int_equal(entry_crc32c(e), crc32c_extend(0, p->bytes, p->size));
	assert_true(entry_offset(e) >= end_before);
	assert_int_equal(io_read_at(shard_fd(entry_shard(e)), read, p->size,
				    entry_offset(e)),
			 0);
	assert_memory_equal(read, p->bytes, p->size);
	assert_same(p);
}

static void assert_old_value_stands(const struct fixture *f)
{
	CLEANUP(free_ptr) uint8_t *read = malloc(f->value.len);

	assert_int_equal(io_read_at(shard_fd(entry_shard(f->base)), read,
				    f->value.len, entry_offset(f->base)),
			 0);
	assert_memory_equal(read, f->value.data, f->value.len);
}

static const size_t sizes[] = { 1, SMALL, LIMIT, LIMIT + 1, LARGE };

static void value_written_in_order_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		uint64_t end;

		fixture_init(&f, sizes[i]);
		end = shard_length(&f);
		pair_init(&p, &f, true);
		for (size_t at = 0; at < sizes[i]; at += 131072)
			pair_write(&p, at,
				   sizes[i] - at < 131072 ? sizes[i] - at
							  : 131072,
				   77);
		assert_same(&p);
		assert_finishes(&p, &f, end);
		assert_old_value_stands(&f);
	}
}

static void value_written_backwards_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		size_t step = sizes[i] / 7 + 1;
		size_t at = sizes[i];

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, true);
		while (at > 0) {
			size_t n = at < step ? at : step;

			at -= n;
			pair_write(&p, at, n, (uint32_t)at);
		}
		assert_finishes(&p, &f, 0);
	}
}

static void overwriting_keeps_the_rest(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, false);
		pair_write(&p, sizes[i] / 2, 1, 5);
		assert_same(&p);
		assert_finishes(&p, &f, 0);
		assert_old_value_stands(&f);
	}
}

static void gap_reads_as_zeros(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, true);
		pair_write(&p, 3, 4, 1);
		pair_resize(&p, sizes[i]);
		assert_same(&p);
		pair_write(&p, sizes[i] - 9, 5, 2);
		assert_finishes(&p, &f, 0);
	}
}

/* What was cut off does not come back. */
static void cut_bytes_are_gone(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, false);
		pair_resize(&p, sizes[i] / 3);
		pair_resize(&p, sizes[i]);
		assert_same(&p);
		assert_finishes(&p, &f, 0);
	}
}

/* Any writes and cuts within `most` bytes; then it is made the right size. */
static void edit_at_random(size_t size, uint64_t most, uint32_t seed)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	uint64_t end;

	fixture_init(&f, size);
	end = shard_length(&f);
	pair_init(&p, &f, seed % 2);
	for (int i = 0; i < 12; i++) {
		uint64_t offset = next_random(&seed) % most;
		size_t n = next_random(&seed) % (most - offset);

		if (next_random(&seed) % 4 == 0)
			pair_resize(&p, offset);
		else
			pair_write(&p, offset, n, seed);
		assert_same(&p);
	}
	pair_resize(&p, size);
	assert_finishes(&p, &f, end);
	assert_old_value_stands(&f);
}

static void random_edits_are_those_of_a_file(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++) {
		edit_at_random(SMALL, SMALL, seed);
		edit_at_random(LIMIT + 1, LIMIT + 1, seed);
	}
	for (uint32_t seed = 1; seed <= 12; seed++)
		edit_at_random(LARGE, LARGE, seed);
}

/* Longer than the value in between, as a file may be until it is closed. */
static void random_edits_beyond_the_size_are_too(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 40; seed++) {
		edit_at_random(SMALL, 3000, seed);
		edit_at_random(LIMIT + 1, 131072, seed);
	}
	for (uint32_t seed = 1; seed <= 8; seed++)
		edit_at_random(LARGE, MODEL, seed);
}

/* --- how it ends ---------------------------------------------------------- */

static void wrong_size_is_refused_until_it_is_right(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		struct entry *e = NULL;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, true);
		pair_write(&p, 0, sizes[i] - 1, 1);
		assert_int_equal(stage_finish(p.stage, &e), -EINVAL);
		pair_write(&p, sizes[i] - 1, 2, 1);
		assert_int_equal(stage_finish(p.stage, &e), -EINVAL);
		assert_null(e);
		pair_resize(&p, sizes[i]);
		assert_finishes(&p, &f, 0);
	}
}

static void nothing_written_is_nothing_to_judge(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	CLEANUP(stage_unrefp) struct stage *emptied = NULL;
	struct entry *e = NULL;

	(void)state;
	fixture_init(&f, SMALL);
	assert_int_equal(stage_new(f.base, false, &s), 0);
	assert_int_equal(stage_finish(s, &e), -EAGAIN);
	assert_int_equal(stage_new(f.base, true, &emptied), 0);
	assert_int_equal(stage_resize(emptied, 0), 0);
	assert_int_equal(stage_finish(emptied, &e), -EAGAIN);
	assert_null(e);
}

static void finished_stage_takes_nothing_more(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	struct entry *e = NULL;

	(void)state;
	fixture_init(&f, SMALL);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	assert_finishes(&p, &f, 0);
	assert_int_equal(stage_write(p.stage, "x", 1, 0), -EBUSY);
	assert_int_equal(stage_resize(p.stage, 0), -EBUSY);
	assert_int_equal(stage_finish(p.stage, &e), -EBUSY);
	assert_null(e);
}

static void dropped_stage_gives_its_room_back(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	struct stat before, after;
	int fd;

	(void)state;
	fixture_init(&f, LARGE);
	fd = shard_fd(entry_shard(f.base));
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &before), 0);
	for (int i = 0; i < 10; i++) {
		CLEANUP(pair_release) struct pair p;

		pair_init(&p, &f, false);
		pair_write(&p, 7, 1000, 1);
		if (i % 2) /* by way of an unnamed file */
			pair_write(&p, LARGE, 1000, 1);
	}
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_in_range(after.st_blocks, before.st_blocks,
			before.st_blocks + 160);
	assert_old_value_stands(&f);
}

static void dropped_small_stage_leaves_the_shard_alone(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	uint64_t before;

	(void)state;
	fixture_init(&f, SMALL);
	before = shard_length(&f);
	{
		CLEANUP(pair_release) struct pair p;

		pair_init(&p, &f, false);
		pair_write(&p, 7, 10, 1);
	}
	assert_int_equal(shard_length(&f), before);
}

static void empty_value_can_be_written(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;

	(void)state;
	fixture_init(&f, 0);
	assert_int_equal(stage_new(f.base, true, &s), 0);
	assert_int_equal(stage_write(s, "", 0, 0), 0);
	assert_int_equal(stage_finish(s, &e), 0);
	assert_int_equal(entry_crc32c(e), 0);
}

static void told_once(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(stage_unrefp) struct stage *s = NULL;

	(void)state;
	fixture_init(&f, SMALL);
	assert_int_equal(stage_new(f.base, true, &s), 0);
	assert_ptr_equal(stage_base(s), f.base);
	assert_true(stage_tell(s));
	assert_false(stage_tell(s));
}

/* --- a checkpoint that is damaged ----------------------------------------- */

static void damage(struct fixture *f)
{
	CLEANUP(close_fd)
	int fd = openat(f->where.fd, DATA_NAME, O_WRONLY | O_CLOEXEC);

	f->value.data[5] ^= 1;
	assert_int_equal(pwrite(fd, f->value.data + 5, 1, 5), 1);
}

/* dd conv=notrunc of the whole value over one whose bytes had changed. */
static void writing_all_over_a_damaged_value_repairs_it(void **state)
{
	static const size_t both[] = { SMALL, LARGE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, both[i]);
		damage(&f);
		pair_init(&p, &f, false);
		pair_write(&p, 0, both[i], 3);
		assert_finishes(&p, &f, 0);
	}
}

/* The damage of what was not written over must not get a right checksum. */
static void writing_into_a_damaged_value_does_not_hide_it(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	int r;

	(void)state;
	fixture_init(&f, SMALL);
	damage(&f);
	pair_init(&p, &f, false);
	r = stage_write(p.stage, "x", 1, SMALL - 1);
	if (r == 0)
		r = stage_finish(p.stage, &e);
	p.bytes[SMALL - 1] = 'x';
	if (r == 0)
		assert_int_not_equal(entry_crc32c(e),
				     crc32c_extend(0, p.bytes, SMALL));
	else
		assert_int_equal(r, -EIO);
}

/*
 * The shard ends in the middle of `w`, as while somebody is still copying it: what
 * the index names there is not ours to write to.
 */
static void bytes_that_the_index_names_are_never_written_to(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	fixture_init(&f, SMALL);
	fd = openat(f.where.fd, DATA_NAME, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, SMALL + 1), 0);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	assert_true(stage_finish(p.stage, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_written_in_order_is_taken),
		cmocka_unit_test(value_written_backwards_is_taken),
		cmocka_unit_test(overwriting_keeps_the_rest),
		cmocka_unit_test(gap_reads_as_zeros),
		cmocka_unit_test(cut_bytes_are_gone),
		cmocka_unit_test(random_edits_are_those_of_a_file),
		cmocka_unit_test(random_edits_beyond_the_size_are_too),
		cmocka_unit_test(wrong_size_is_refused_until_it_is_right),
		cmocka_unit_test(nothing_written_is_nothing_to_judge),
		cmocka_unit_test(finished_stage_takes_nothing_more),
		cmocka_unit_test(dropped_stage_gives_its_room_back),
		cmocka_unit_test(dropped_small_stage_leaves_the_shard_alone),
		cmocka_unit_test(empty_value_can_be_written),
		cmocka_unit_test(told_once),
		cmocka_unit_test(writing_all_over_a_damaged_value_repairs_it),
		cmocka_unit_test(writing_into_a_damaged_value_does_not_hide_it),
		cmocka_unit_test(
			bytes_that_the_index_names_are_never_written_to),
	};

	return cmocka_run_group_tests_name("stage", tests, note_lines, NULL);
}
