/* core/keep: what is kept is a whole checkpoint of its own, with what is right. */
#include "core/keep.h"
#include "core/strings.h"
#include "tests/scene.h"

static int keep(const struct scene *s, struct edit *edit, char **ret)
{
	return keep_values(s->where.fd, "ckpt", edit, ret);
}

static struct bundle *kept(const struct scene *s, const char *prefix)
{
	struct bundle *b = NULL;
	const char *reason;

	assert_int_equal(bundle_open(s->where.fd, prefix, NULL, &b), 0);
	assert_int_equal(bundle_writable(b, &reason), 0);
	return b;
}

static void assert_same_value(const struct entry *a, const struct entry *b)
{
	uint8_t x[SIZE], y[SIZE];
	size_t n = entry_size(a);

	assert_int_equal(entry_size(b), n);
	assert_int_equal(entry_dtype(a), entry_dtype(b));
	assert_true(shape_equal(entry_shape(a), entry_shape(b)));
	assert_int_equal(entry_crc32c(a), entry_crc32c(b));
	assert_int_equal(
		io_read_at(shard_fd(entry_shard(a)), x, n, entry_offset(a)), 0);
	assert_int_equal(
		io_read_at(shard_fd(entry_shard(b)), y, n, entry_offset(b)), 0);
	assert_memory_equal(x, y, n);
}

static void put(struct edit *edit, struct entry *e)
{
	assert_int_equal(edit_put(edit, e, NULL), 0);
	entry_unref(e);
}

static void kept_values_are_a_checkpoint(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;
	char time[16], end;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, scene_write(&s, "a", 'x'));
	put(edit, scene_write(&s, "new", 'y'));
	assert_int_equal(edit_remove(edit, span_of("b")), 0);
	assert_int_equal(keep(&s, edit, &prefix), 0);
	assert_int_equal(sscanf(prefix, "ckpt.kept-%15[0-9T]%c", time, &end),
			 1);
	assert_int_equal(strlen(time), 15);

	b = kept(&s, prefix);
	assert_int_equal(bundle_count(b), 2);
	assert_int_equal(bundle_num_shards(b), 1);
	assert_same_value(bundle_find(b, span_of("a")),
			  edit_sorted(edit)[0].entry);
	assert_same_value(bundle_find(b, span_of("new")),
			  edit_sorted(edit)[2].entry);
	assert_int_equal(place_count(&s.where), 4);
	assert_letter(&s, "a", 'a');
}

/* Its old shard is no longer at its place, and still open. */
static void values_outlive_the_file_they_were_in(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, scene_write(&s, "a", 'x'));
	replace_file(s.where.fd, DATA_NAME, span_of("new"));
	assert_int_equal(unlinkat(s.where.fd, INDEX_NAME, 0), 0);
	assert_int_equal(keep(&s, edit, &prefix), 0);
	b = kept(&s, prefix);
	assert_same_value(bundle_find(b, span_of("a")),
			  edit_sorted(edit)[0].entry);
}

static void name_that_is_taken_gets_a_number(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	char *names[3] = { NULL };

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, scene_write(&s, "a", 'x'));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(keep(&s, edit, &names[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(bundle_unrefp) struct bundle *b = kept(&s, names[i]);

		assert_int_equal(bundle_count(b), 1);
		assert_string_not_equal(names[i], names[(i + 1) % 3]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		free(names[i]);
}

static void partitioned_values_are_kept_in_one_piece(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;

	(void)state;
	scene_init_slices(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, scene_split(&s, 'x'));
	assert_int_equal(keep(&s, edit, &prefix), 0);
	b = kept(&s, prefix);
	assert_int_equal(bundle_count(b), 1);
	assert_int_equal(assert_grid(&s, prefix, 'x'), 0);
}

static void damage(const struct entry *e)
{
	const uint8_t byte = '!';

	assert_int_equal(
		shard_write(entry_shard(e), &byte, 1, entry_offset(e) + 5), 0);
}

static void damaged_value_is_left_out_with_a_line(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, scene_write(&s, "a", 'x'));
	put(edit, scene_write(&s, "b", 'y'));
	assert_int_equal(edit_sort(edit), 0);
	damage(edit_sorted(edit)[0].entry);
	forget_lines();
	assert_int_equal(keep(&s, edit, &prefix), 0);
	/* Which bytes they are, and what that means. */
	assert_int_equal(logged()->lines, 2);
	assert_non_null(strstr(logged()->last, "ckpt/a: not kept"));
	b = kept(&s, prefix);
	assert_int_equal(bundle_count(b), 1);
	assert_non_null(bundle_find(b, span_of("b")));
}

static void nothing_to_keep_leaves_nothing_behind(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	char *prefix = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	assert_int_equal(keep(&s, edit, &prefix), -ENODATA);
	assert_int_equal(edit_remove(edit, span_of("a")), 0);
	assert_int_equal(keep(&s, edit, &prefix), -ENODATA);
	put(edit, scene_write(&s, "a", 'x'));
	assert_int_equal(edit_sort(edit), 0);
	damage(edit_sorted(edit)[0].entry);
	assert_int_equal(keep(&s, edit, &prefix), -ENODATA);
	assert_null(prefix);
	assert_int_equal(place_count(&s.where), 2);
}

/* A string tensor of two elements, whose checksum is not that of its bytes. */
static struct entry *strings_entry(const struct scene *s)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	const int64_t two = 2;
	struct entry *e = NULL;
	uint32_t crc;

	assert_int_equal(strings_encode(span_of("one\ntwo\n"), 2, false, &bytes,
					&crc),
			 0);
	x = scene_reserve(s, NULL, bytes.len);
	assert_int_equal(shard_write(extent_shard(x), bytes.data, bytes.len,
				     extent_offset(x)),
			 0);
	assert_int_equal(entry_new(span_of("s"), 7, (struct shape){ 1, &two },
				   x, crc, &e),
			 0);
	return e;
}

static void strings_are_kept(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, strings_entry(&s));
	assert_int_equal(keep(&s, edit, &prefix), 0);
	b = kept(&s, prefix);
	assert_same_value(bundle_find(b, span_of("s")),
			  edit_sorted(edit)[0].entry);
}

static void damaged_strings_are_left_out(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	char *prefix = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	put(edit, strings_entry(&s));
	assert_int_equal(edit_sort(edit), 0);
	damage(edit_sorted(edit)[0].entry);
	assert_int_equal(keep(&s, edit, &prefix), -ENODATA);
}

static void empty_value_is_kept(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;
	const int64_t none = 0;
	struct entry *e = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(edit_new(&edit), 0);
	x = scene_reserve(&s, NULL, 0);
	assert_int_equal(entry_new(span_of("e"), INT8,
				   (struct shape){ 1, &none }, x, 0, &e),
			 0);
	put(edit, e);
	assert_int_equal(keep(&s, edit, &prefix), 0);
	b = kept(&s, prefix);
	assert_int_equal(entry_size(bundle_find(b, span_of("e"))), 0);
	assert_int_equal(place_count(&s.where), 4); /* the data file, too */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_values_are_a_checkpoint),
		cmocka_unit_test(values_outlive_the_file_they_were_in),
		cmocka_unit_test(name_that_is_taken_gets_a_number),
		cmocka_unit_test(partitioned_values_are_kept_in_one_piece),
		cmocka_unit_test(damaged_value_is_left_out_with_a_line),
		cmocka_unit_test(nothing_to_keep_leaves_nothing_behind),
		cmocka_unit_test(strings_are_kept),
		cmocka_unit_test(damaged_strings_are_left_out),
		cmocka_unit_test(empty_value_is_kept),
	};

	return cmocka_run_group_tests_name("keep", tests, note_lines, NULL);
}
