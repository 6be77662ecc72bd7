/* core/bundle: indexes by hand, TensorFlow's own, and each lie one can tell. */
#include <glob.h>

#include "core/block.h"
#include "core/bundle.h"
#include "core/extent.h"
#include "core/shard.h"
#include "core/slice.h"
#include "tests/support.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static struct bundle *opened(const struct place *where)
{
	struct bundle *b = NULL;

	assert_int_equal(bundle_open(where->fd, "ckpt", NULL, &b), 0);
	return b;
}

static bool writable(const struct bundle *b)
{
	const char *reason = NULL;
	int r = bundle_writable(b, &reason);

	assert_true(r == 0 || reason);
	return r == 0;
}

static struct entry *find(const struct bundle *b, const char *key)
{
	return bundle_find(b, span_of(key));
}

/* --- what is right --------------------------------------------------------- */

static void entries_read_back(void **state)
{
	static const char *const pairs[][2] = { { "a", "one" },
						{ "b/c", "" },
						{ "b/d", "three" } };
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	make_bundle(where.fd, 3, pairs);
	b = opened(&where);
	assert_int_equal(bundle_count(b), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_equal(bundle_entry(b, i), find(b, pairs[i][0]));
		assert_int_equal(entry_size(bundle_entry(b, i)),
				 strlen(pairs[i][1]));
	}
	assert_null(find(b, "b"));
	assert_true(writable(b));
	assert_int_equal(bundle_current(b), 1);
}

static void big_endian_is_shown_and_written(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	copy_fixture(&where, "v2_hand_big_endian");
	b = opened(&where);
	assert_true(bundle_count(b) > 0 && writable(b));
}

/* --- lies of the header ---------------------------------------------------- */

static void assert_header_refused(struct span header, const char *line)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(maker_release) struct maker m;
	struct bundle *b = NULL;

	forget_lines();
	maker_init(&m, header);
	maker_add(&m, "a", span_of("value"));
	maker_write(&m, where.fd);
	assert_int_equal(bundle_open(where.fd, "ckpt", NULL, &b), -EIO);
	assert_null(b);
	assert_said(line);
}

static void header_that_does_not_parse_is_refused(void **state)
{
	(void)state;
	assert_header_refused(SPAN("\x08"), "its header does not parse");
}

static void header_with_negative_shards_is_refused(void **state)
{
	(void)state;
	assert_header_refused(
		SPAN("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"it has a negative number of shards");
}

static void min_consumer_two_is_refused(void **state)
{
	(void)state;
	assert_header_refused(SPAN("\x08\1\x1a\4\x08\1\x10\2"),
			      "it wants a newer reader");
}

static void bad_consumer_one_is_refused(void **state)
{
	(void)state;
	assert_header_refused(SPAN("\x08\1\x1a\5\x08\1\x1a\1\1"),
			      "it forbids this version of the format");
}

/* A table of one block, of any keys in any order. */
static void put_table(const struct place *where, size_t n,
		      const struct span (*entries)[2])
{
	CLEANUP(buf_release) struct buf file = { 0 };
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf handle = { 0 };
	struct block_handle data, index;
	size_t start;

	block_builder_start(&b, &file, 1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			block_builder_add(&b, entries[i][0], entries[i][1]), 0);
	assert_int_equal(block_builder_finish(&b, &data), 0);
	block_handle_put(&handle, data);
	block_builder_start(&b, &file, 1);
	if (n > 0)
		(void)block_builder_add(&b, SPAN("\xff"), buf_span(&handle));
	assert_int_equal(block_builder_finish(&b, &index), 0);

	start = file.len;
	block_handle_put(&file, (struct block_handle){ 0, 0 });
	block_handle_put(&file, index);
	buf_put_zeros(&file, TABLE_HANDLES_SIZE - (file.len - start));
	buf_put_fixed64(&file, TABLE_MAGIC);
	put_file(where->fd, INDEX_NAME, buf_span(&file));
	put_file(where->fd, DATA_NAME, SPAN("01234567"));
}

/* An int8 scalar at byte `at`, which is below 128. */
static struct span scalar_at(char at, char raw[8])
{
	const char bytes[] = { 8, 6, 0x12, 0, 0x20, at, 0x28, 1 };

	memcpy(raw, bytes, sizeof(bytes));
	return (struct span){ (const uint8_t *)raw, sizeof(bytes) };
}

static void index_without_a_header_is_refused(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	char raw[8];
	const struct span entries[][2] = { { SPAN("a"), scalar_at(1, raw) } };
	struct bundle *b = NULL;

	(void)state;
	forget_lines();
	put_table(&where, 1, entries);
	assert_int_equal(bundle_open(where.fd, "ckpt", NULL, &b), -EIO);
	assert_said("it does not begin with a header");
}

static void empty_table_is_refused_with_a_line(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	struct bundle *b = NULL;

	(void)state;
	forget_lines();
	put_table(&where, 0, NULL);
	assert_int_equal(bundle_open(where.fd, "ckpt", NULL, &b), -EIO);
	assert_null(b);
	assert_said("ckpt.index");
}

static void no_prefix_is_taken_for_an_index(void **state)
{
	static const char *const pairs[][2] = { { "a", "one" }, { "b", "x" } };
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf index = { 0 };

	(void)state;
	make_bundle(where.fd, 2, pairs);
	get_file(where.fd, INDEX_NAME, &index);
	for (size_t len = 0; len < index.len; len++) {
		struct bundle *b = NULL;

		forget_lines();
		put_file(where.fd, INDEX_NAME,
			 (struct span){ index.data, len });
		assert_int_equal(bundle_open(where.fd, "ckpt", NULL, &b),
				 -EBADMSG);
		assert_null(b);
		assert_int_equal(logged()->lines, 0);
	}
}

/* --- lies of entries ------------------------------------------------------- */

/* `ckpt` of a good `a`, `p` under `m`, and a good `z`. */
static struct bundle *bundle_around(const struct place *where,
				    const struct proto *p)
{
	CLEANUP(maker_release) struct maker m;

	forget_lines();
	maker_init(&m, HEADER);
	maker_add(&m, "a", span_of("one"));
	maker_put(&m, "m", p);
	maker_add(&m, "z", span_of("two"));
	maker_write(&m, where->fd);
	return opened(where);
}

static void assert_entry_left_out(const struct proto *p, const char *line)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = bundle_around(&where, p);

	assert_int_equal(bundle_count(b), 2);
	assert_true(find(b, "a") && find(b, "z"));
	assert_false(writable(b));
	assert_said(line);
}

static void unknown_dtype_is_left_out(void **state)
{
	struct proto p;

	(void)state;
	proto_init(&p, 99, 0, NULL);
	assert_entry_left_out(&p, "its dtype is unknown");
}

static void negative_shard_is_left_out(void **state)
{
	struct proto p;

	(void)state;
	proto_init(&p, 6, 0, NULL);
	p.entry.shard_id = -1;
	assert_entry_left_out(&p, "its place is negative");
}

static void too_many_dimensions_are_left_out(void **state)
{
	int64_t dims[255] = { 0 };
	struct proto p;

	(void)state;
	proto_init(&p, 6, 255, dims);
	assert_entry_left_out(&p, "it has more than 254 dimensions");
}

static void overflowing_dimensions_are_left_out(void **state)
{
	static const int64_t dims[] = { INT64_C(1) << 62, 2, 0 };
	struct proto p;

	(void)state;
	proto_init(&p, 6, 3, dims);
	assert_entry_left_out(&p, "too large dimension");
}

static void missing_shard_is_shown_and_the_rest_written(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const char *reason;
	struct proto p;

	(void)state;
	proto_init(&p, 6, 0, NULL);
	p.entry.shard_id = 7;
	p.entry.size = 1;
	b = bundle_around(&where, &p);
	assert_int_equal(bundle_count(b), 3);
	assert_true(shard_missing(entry_shard(find(b, "m"))));
	assert_int_equal(entry_access(find(b, "m"), &reason), -EIO);
	assert_int_equal(entry_access(find(b, "a"), &reason), 0);
	assert_true(writable(b));
	assert_int_equal(bundle_current(b), 1);
}

static void shard_that_comes_late_is_a_change(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct proto p;

	(void)state;
	proto_init(&p, 6, 0, NULL);
	p.entry.shard_id = 7;
	p.entry.size = 1;
	b = bundle_around(&where, &p);
	put_file(where.fd, "ckpt.data-00007-of-00001", SPAN("x"));
	assert_int_not_equal(bundle_current(b), 1);
}

static void assert_out_of_order(const char *second, const char *third)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	char raw[3][8];
	const struct span entries[][2] = {
		{ { NULL, 0 }, HEADER },
		{ SPAN("c"), scalar_at(1, raw[0]) },
		{ span_of(second), scalar_at(2, raw[1]) },
		{ span_of(third), scalar_at(3, raw[2]) },
	};

	forget_lines();
	put_table(&where, 4, entries);
	b = opened(&where);
	assert_int_equal(bundle_count(b), 2);
	assert_int_equal(entry_offset(find(b, "c")), 1);
	assert_int_equal(entry_offset(find(b, third)), 3);
	assert_false(writable(b));
	assert_said("its keys are not in order");
}

static void unsorted_keys_are_left_out(void **state)
{
	(void)state;
	assert_out_of_order("b", "d");
}

static void first_of_two_equal_keys_wins(void **state)
{
	(void)state;
	assert_out_of_order("c", "d");
}

static void second_header_is_left_out(void **state)
{
	(void)state;
	assert_out_of_order("", "d");
}

/* --- slices ---------------------------------------------------------------- */

static void put_slice_key(struct buf *key, const char *name, int64_t start)
{
	const struct slice_extent rows = { start, 1 };

	slice_put_key(span_of(name), &rows, 1, key);
}

/* `v` of two rows, which lists one of them; both have entries. */
static struct bundle *sliced(const struct place *where, int64_t listed)
{
	/* dtype int8, shape [2], one slice: start `listed`, length 1 */
	uint8_t raw[] = { 8,    6, 0x12, 4, 0x12, 2, 8,    2,
			  0x3a, 6, 0x0a, 4, 8,    0, 0x10, 1 };
	CLEANUP(maker_release) struct maker m;
	struct proto row;
	const int64_t one = 1;

	raw[13] = (uint8_t)listed;
	proto_init(&row, 6, 1, &one);
	row.entry.size = 1;
	maker_init(&m, HEADER);
	for (int64_t i = 0; i < 2; i++) {
		CLEANUP(buf_release) struct buf key = { 0 };
		CLEANUP(buf_release) struct buf packed = { 0 };

		put_slice_key(&key, "v", i);
		proto_pack(&row, &packed);
		table_writer_add(m.writer, buf_span(&key), buf_span(&packed));
	}
	table_writer_add(m.writer, SPAN("v"),
			 (struct span){ raw, sizeof(raw) });
	maker_write(&m, where->fd);
	return opened(where);
}

static void slices_are_hidden_and_orphans_shown(void **state)
{
	(void)state;
	for (int64_t listed = 0; listed < 2; listed++) {
		CLEANUP(place_release) struct place where = place_make();
		CLEANUP(bundle_unrefp)
		struct bundle *b = sliced(&where, listed);
		CLEANUP(buf_release) struct buf orphan = { 0 };

		put_slice_key(&orphan, "v", 1 - listed);
		assert_int_equal(bundle_count(b), 2);
		assert_true(span_equal(entry_key(bundle_entry(b, 0)),
				       buf_span(&orphan)));
		assert_int_equal(entry_slices(find(b, "v")), 1);
	}
}

/* --- what is new on disk ---------------------------------------------------- */

static void replaced_files_are_told_apart(void **state)
{
	static const char *const pairs[][2] = { { "a", "one" } };
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	make_bundle(where.fd, 1, pairs);
	b = opened(&where);
	replace_file(where.fd, DATA_NAME, SPAN("two"));
	assert_int_equal(bundle_current(b), -ESTALE);
	assert_false(bundle_in_place(b));
	make_bundle(where.fd, 1, pairs);
	assert_int_equal(bundle_current(b), 0);
	assert_int_equal(unlinkat(where.fd, INDEX_NAME, 0), 0);
	assert_int_equal(bundle_current(b), -ENOENT);
}

static void shards_in_place_are_shared_with_the_old_state(void **state)
{
	static const char *const pairs[][2] = { { "a", "one" } };
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *first = NULL;
	CLEANUP(bundle_unrefp) struct bundle *second = NULL;
	CLEANUP(bundle_unrefp) struct bundle *third = NULL;

	(void)state;
	make_bundle(where.fd, 1, pairs);
	first = opened(&where);
	assert_int_equal(bundle_open(where.fd, "ckpt", first, &second), 0);
	assert_ptr_equal(entry_shard(find(second, "a")),
			 entry_shard(find(first, "a")));
	make_bundle(where.fd, 1, pairs);
	assert_int_equal(bundle_open(where.fd, "ckpt", second, &third), 0);
	assert_ptr_not_equal(entry_shard(find(third, "a")),
			     entry_shard(find(first, "a")));
}

/* --- encoding --------------------------------------------------------------- */

static void assert_encodes_as(const struct bundle *b, struct span want)
{
	CLEANUP(buf_release) struct buf index = { 0 };

	assert_int_equal(bundle_encode(b, want.len, &index), 0);
	assert_true(span_equal(buf_span(&index), want));
}

/* What TensorFlow wrote, unless it was compressed or made by hand. */
static void indexes_of_tensorflow_are_encoded_as_they_were(void **state)
{
	static const char *const names[] = {
		"v2_names_binary", "v2_all_dtypes",          "v2_slices_grid",
		"v2_merged_ops",   "v2_hand_unknown_fields",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(place_release) struct place where = place_make();
		CLEANUP(buf_release) struct buf index = { 0 };
		CLEANUP(bundle_unrefp) struct bundle *b = NULL;

		copy_fixture(&where, names[i]);
		b = opened(&where);
		get_file(where.fd, INDEX_NAME, &index);
		assert_encodes_as(b, buf_span(&index));
	}
}

static void index_is_padded_to_the_old_size_or_a_slack(void **state)
{
	static const char *const pairs[][2] = { { "a", "one" } };
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	uint64_t content;

	(void)state;
	make_bundle(where.fd, 1, pairs);
	b = opened(&where);
	content = bundle_id(b)->size;
	for (uint64_t old = 0; old < 3 * content + 65536; old += 41) {
		CLEANUP(buf_release) struct buf padded = { 0 };
		CLEANUP(bundle_unrefp) struct bundle *again = NULL;
		bool keep = old >= content && old <= 2 * content + 65536;

		assert_int_equal(bundle_encode(b, old, &padded), 0);
		assert_int_equal(padded.len, keep ? old : 4096);
		put_file(where.fd, INDEX_NAME, buf_span(&padded));
		again = opened(&where);
		assert_true(writable(again));
		assert_encodes_as(again, buf_span(&padded));
	}
}

static void changed_entry_leaves_the_others_their_bytes(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *base = NULL;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	CLEANUP(entry_unrefp) struct entry *changed = NULL;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	struct change change;
	struct entry *old;

	(void)state;
	copy_fixture(&where, "v2_hand_unknown_fields");
	base = opened(&where);
	old = find(base, "plain");
	assert_int_equal(extent_new(entry_shard(old), 4096, entry_size(old),
				    false, &x),
			 0);
	assert_int_equal(entry_replace(old, x, 1, &changed), 0);
	change = (struct change){ entry_key(changed), changed };
	assert_int_equal(bundle_with(base, &change, 1, &next), 0);
	assert_int_equal(bundle_count(next), bundle_count(base));
	for (size_t i = 0; i < bundle_count(base); i++)
		assert_ptr_equal(bundle_entry(next, i),
				 bundle_entry(base, i) == old
					 ? changed
					 : bundle_entry(base, i));
	assert_non_null(memmem(entry_raw(changed).data, entry_raw(changed).len,
			       "unknown", 7));
	assert_true(writable(next));
}

/* --- fixtures --------------------------------------------------------------- */

/* Each value that is not a list of slices lies in a shard, with its checksum. */
static void read_fixture(const char *index)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(close_fd) int dirfd = open(".", O_RDONLY | O_CLOEXEC);
	CLEANUP(free_ptr)
	char *prefix = strndup(index, strlen(index) - strlen(".index"));

	assert_int_equal(bundle_open(dirfd, prefix, NULL, &b), 0);
	assert_true(bundle_count(b) > 0);
	assert_int_equal(bundle_current(b), 1);
	for (size_t i = 0; i < bundle_count(b); i++) {
		const struct entry *e = bundle_entry(b, i);

		if (i > 0)
			assert_true(
				span_compare(entry_key(bundle_entry(b, i - 1)),
					     entry_key(e)) < 0);
		assert_true(entry_slices(e) || entry_shard(e));
	}
}

static void fixtures_read_whole(void **state)
{
	glob_t found = { 0 };

	(void)state;
	forget_lines();
	assert_int_equal(glob("tests/fixtures/v2_*/*.index", 0, NULL, &found),
			 0);
	assert_int_equal(glob("tests/fixtures/savedmodel_*/variables/*.index",
			      GLOB_APPEND, NULL, &found),
			 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		read_fixture(found.gl_pathv[i]);
	assert_int_equal(logged()->lines, 0);
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_read_back),
		cmocka_unit_test(big_endian_is_shown_and_written),
		cmocka_unit_test(header_that_does_not_parse_is_refused),
		cmocka_unit_test(header_with_negative_shards_is_refused),
		cmocka_unit_test(min_consumer_two_is_refused),
		cmocka_unit_test(bad_consumer_one_is_refused),
		cmocka_unit_test(index_without_a_header_is_refused),
		cmocka_unit_test(empty_table_is_refused_with_a_line),
		cmocka_unit_test(no_prefix_is_taken_for_an_index),
		cmocka_unit_test(unknown_dtype_is_left_out),
		cmocka_unit_test(negative_shard_is_left_out),
		cmocka_unit_test(too_many_dimensions_are_left_out),
		cmocka_unit_test(overflowing_dimensions_are_left_out),
		cmocka_unit_test(missing_shard_is_shown_and_the_rest_written),
		cmocka_unit_test(shard_that_comes_late_is_a_change),
		cmocka_unit_test(unsorted_keys_are_left_out),
		cmocka_unit_test(first_of_two_equal_keys_wins),
		cmocka_unit_test(second_header_is_left_out),
		cmocka_unit_test(slices_are_hidden_and_orphans_shown),
		cmocka_unit_test(replaced_files_are_told_apart),
		cmocka_unit_test(shards_in_place_are_shared_with_the_old_state),
		cmocka_unit_test(indexes_of_tensorflow_are_encoded_as_they_were),
		cmocka_unit_test(index_is_padded_to_the_old_size_or_a_slack),
		cmocka_unit_test(changed_entry_leaves_the_others_their_bytes),
		cmocka_unit_test(fixtures_read_whole),
	};

	return cmocka_run_group_tests_name("bundle", tests, note_lines, NULL);
}
