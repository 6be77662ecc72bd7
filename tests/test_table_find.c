/* core/table: table_find() answers as an iterator does, and holds no block. */
#include "core/table.h"
#include "tests/support.h"
#include "tests/table_support.h"

static int no_spool(const void *arg, uint64_t n)
{
	(void)arg;
	(void)n;
	return -ENOSPC;
}

/* Every key of the file, and one that lies right behind it. */
static void assert_agrees(const char *path)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	struct span key, value;
	size_t n = 0;

	assert_int_equal(table_open(fd, path, &t), 0);
	assert_int_equal(table_iter_new(t, &it), 0);
	for (; table_iter_next(it, &key, &value) == 1 && n < 400; n++) {
		CLEANUP(buf_release) struct buf found = { 0 };
		CLEANUP(buf_release) struct buf behind = { 0 };
		CLEANUP(buf_release) struct buf none = { 0 };

		assert_int_equal(table_value(t, fd, key, &found), 0);
		assert_true(span_equal(buf_span(&found), value));
		buf_put(&behind, key.data, key.len);
		buf_put(&behind, "\0!", 2);
		assert_int_equal(table_value(t, fd, buf_span(&behind), &none),
				 -ENOENT);
	}
	assert_true(n > 1);
}

static void values_of_fixtures_are_found(void **state)
{
	static const char *const paths[] = {
		"tests/fixtures/v1_all_dtypes/ckpt.v1",
		"tests/fixtures/v1_big_blocks/ckpt.v1",
		"tests/fixtures/v1_hand_snappy/ckpt.v1",
		"tests/fixtures/v1_names/ckpt.v1",
		"tests/fixtures/v1_slices/ckpt.v1",
		"tests/fixtures/v2_names/ckpt.index",
		"tests/fixtures/v2_hand_snappy/ckpt.index",
		"tests/fixtures/v2_5000_variables/ckpt.index",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (access(paths[i], F_OK) == 0)
			assert_agrees(paths[i]);
	assert_int_equal(access(paths[0], F_OK), 0);
	assert_int_equal(access(paths[2], F_OK), 0);
}

/* Keys longer than any buffer, which share nearly all of it. */
static void long_keys_are_told_apart(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf none = { 0 };
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct table_writer *w = NULL;
	uint8_t *last;

	(void)state;
	assert_int_equal(table_writer_new(&bytes, &w), 0);
	buf_put_zeros(&key, 100000);
	last = &key.data[key.len - 1];
	for (*last = 1; *last < 40; *last += 2)
		table_writer_add(w, buf_span(&key), (struct span){ last, 1 });
	assert_int_equal(table_writer_finish(w, 0), 0);
	table_writer_free(w);
	put_file(where.fd, "t", buf_span(&bytes));
	fd = openat(where.fd, "t", O_RDONLY | O_CLOEXEC);
	assert_int_equal(table_open(fd, "t", &t), 0);
	for (*last = 1; *last < 40; ++*last) {
		CLEANUP(buf_release) struct buf found = { 0 };
		int r = table_value(t, fd, buf_span(&key), &found);

		assert_int_equal(r, *last % 2 ? 0 : -ENOENT);
		if (r == 0)
			assert_int_equal(found.data[0], *last);
	}
	key.len--;
	assert_int_equal(table_value(t, fd, buf_span(&key), &none), -ENOENT);
}

static void want_of_room_is_no_damage(void **state)
{
	const char *path = "tests/fixtures/v1_hand_snappy/ckpt.v1";
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(table_freep) struct table *t = NULL;
	struct stretch at;
	int unpacked = -1;

	(void)state;
	assert_int_equal(table_open(fd, path, &t), 0);
	forget_lines();
	assert_int_equal(table_find(t, (struct span){ 0 }, no_spool, NULL,
				    &unpacked, &at),
			 -ENOSPC);
	assert_int_equal(logged()->lines, 0);
	assert_int_equal(unpacked, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_fixtures_are_found),
		cmocka_unit_test(long_keys_are_told_apart),
		cmocka_unit_test(want_of_room_is_no_damage),
	};

	return cmocka_run_group_tests_name("table_find", tests, note_lines,
					   NULL);
}
