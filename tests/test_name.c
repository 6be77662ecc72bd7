/* core/name: which name a component gets, that no two share one, and the way back. */
#include <errno.h>
#include <string.h>

#include "core/name.h"
#include "tests/test.h"

/* A span over the bytes of a string literal, without its NUL. */
#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })
#define LONG    (NAME_MAX_LEN + 1)
#define CUT_LEN 18 /* the mark and the hash */

static struct buf encoded(struct span component, bool top, unsigned attempt)
{
	struct buf b = { 0 };

	name_encode(component, top, attempt, &b);
	assert_int_equal(buf_error(&b), 0);
	return b;
}

static bool decodes_to(struct span name, bool top, struct span want)
{
	struct buf b = { 0 };
	bool same = name_decode(name, top, &b) == 0 &&
		    span_equal(buf_span(&b), want);

	buf_release(&b);
	return same;
}

static int decode_error(const char *name, bool top)
{
	struct buf b = { 0 };
	int r = name_decode(span_of(name), top, &b);

	assert_int_equal(b.len, 0);
	buf_release(&b);
	return r;
}

static bool pairs(struct span component, bool top, const char *name)
{
	struct buf b = encoded(component, top, 0);
	bool same = span_equal(buf_span(&b), span_of(name)) &&
		    decodes_to(span_of(name), top, component);

	buf_release(&b);
	return same;
}

/* `len` bytes, all `c`. */
static struct span run(uint8_t *bytes, size_t len, uint8_t c)
{
	memset(bytes, c, len);
	return (struct span){ bytes, len };
}

static void ordinary_components_stand_as_they_are(void **state)
{
	(void)state;
	assert_true(pairs(SPAN("kernel"), true, "kernel"));
	assert_true(pairs(SPAN("a b\n~:0"), true, "a b\n~:0"));
	assert_true(pairs(SPAN("\xc3\xbc\xff\x80"), true, "\xc3\xbc\xff\x80"));
	assert_true(pairs(SPAN("..."), true, "..."));
	assert_true(pairs(SPAN(".hidden"), true, ".hidden"));
	assert_true(pairs(SPAN("a.shapes"), true, "a.shapes"));
	assert_true(pairs(SPAN("a.Shape"), true, "a.Shape"));
	assert_true(pairs(SPAN("shape"), true, "shape"));
}

static void percent_nul_and_slash_are_escaped(void **state)
{
	(void)state;
	assert_true(pairs(SPAN("50%"), true, "50%25"));
	assert_true(pairs(SPAN("%41"), true, "%2541"));
	assert_true(pairs(SPAN("%"), true, "%25"));
	assert_true(pairs(SPAN("a\0b"), true, "a%00b"));
	assert_true(pairs(SPAN("a/b"), false, "a%2Fb"));
}

static void empty_component_is_a_lone_percent(void **state)
{
	(void)state;
	assert_true(pairs(SPAN(""), true, "%"));
	assert_true(pairs(SPAN(""), false, "%"));
}

static void dot_and_dotdot_are_escaped(void **state)
{
	(void)state;
	assert_true(pairs(SPAN("."), true, "%2E"));
	assert_true(pairs(SPAN(".."), true, "%2E."));
}

static void reserved_suffixes_are_escaped(void **state)
{
	(void)state;
	assert_true(pairs(SPAN("a.shape"), true, "a%2Eshape"));
	assert_true(pairs(SPAN("a.dtype"), true, "a%2Edtype"));
	assert_true(pairs(SPAN("x.d"), true, "x%2Ed"));
	assert_true(pairs(SPAN(".shape"), true, "%2Eshape"));
	assert_true(pairs(SPAN(".d"), true, "%2Ed"));
	assert_true(pairs(SPAN("..d"), true, ".%2Ed"));
	assert_true(pairs(SPAN("a.d.shape"), true, "a.d%2Eshape"));
}

static void hidden_directory_is_reserved_at_the_top_only(void **state)
{
	(void)state;
	assert_true(pairs(SPAN(".weightfs"), true, "%2Eweightfs"));
	assert_true(pairs(SPAN(".weightfs"), false, ".weightfs"));
	assert_int_equal(decode_error(".weightfs", true), -EINVAL);
	assert_int_equal(decode_error("%2Eweightfs", false), -EINVAL);
}

static void stray_percent_is_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_error("a%", true), -EINVAL);
	assert_int_equal(decode_error("%2", true), -EINVAL);
	assert_int_equal(decode_error("%zz", true), -EINVAL);
	assert_int_equal(decode_error("%%", true), -EINVAL);
	assert_int_equal(decode_error("%~", true), -EINVAL);
}

static void second_spelling_is_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_error("%2e", true), -EINVAL);
	assert_int_equal(decode_error("a%2fb", true), -EINVAL);
	assert_int_equal(decode_error("%41", true), -EINVAL);
	assert_int_equal(decode_error("a%2Eb", true), -EINVAL);
	assert_int_equal(decode_error("%2E%2E", true), -EINVAL);
	assert_int_equal(decode_error("a%2Ed%2Eshape", true), -EINVAL);
}

static void name_that_no_directory_holds_is_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_error("", true), -EINVAL);
	assert_int_equal(decode_error(".", true), -EINVAL);
	assert_int_equal(decode_error("..", true), -EINVAL);
	assert_int_equal(decode_error("a/b", true), -EINVAL);
	assert_false(decodes_to(SPAN("a\0"), true, SPAN("a\0")));
}

static void name_with_a_reserved_suffix_is_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_error("a.shape", true), -EINVAL);
	assert_int_equal(decode_error("a.dtype", true), -EINVAL);
	assert_int_equal(decode_error("a.d", true), -EINVAL);
	assert_int_equal(decode_error(".d", true), -EINVAL);
}

static void longest_component_that_fits_is_not_cut(void **state)
{
	uint8_t bytes[LONG];
	struct buf fits = encoded(run(bytes, NAME_MAX_LEN, 'a'), true, 0);
	struct buf cut = encoded(run(bytes, LONG, 'a'), true, 0);

	(void)state;
	assert_int_equal(fits.len, NAME_MAX_LEN);
	assert_false(name_is_cut(buf_span(&fits)));
	assert_int_equal(cut.len, NAME_MAX_LEN);
	assert_true(name_is_cut(buf_span(&cut)));
	assert_memory_equal(fits.data, cut.data, NAME_MAX_LEN - CUT_LEN);
	buf_release(&fits);
	buf_release(&cut);
}

static void too_long_a_name_is_refused(void **state)
{
	uint8_t bytes[LONG];
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(name_decode(run(bytes, LONG, 'a'), true, &b), -EINVAL);
	buf_release(&b);
}

static void cut_name_cannot_be_undone(void **state)
{
	(void)state;
	assert_int_equal(decode_error("a%~0123456789ABCDEF", true), -ENOENT);
	assert_int_equal(decode_error("%~0123456789ABCDEF", true), -ENOENT);
	/* Nearly one: */
	assert_int_equal(decode_error("a%~0123456789abcdef", true), -EINVAL);
	assert_int_equal(decode_error("a%~0123456789ABCDE", true), -EINVAL);
	assert_int_equal(decode_error("a%~0123456789ABCDEF.shape", true),
			 -EINVAL);
	assert_false(name_is_cut(SPAN("~0123456789ABCDEF")));
	assert_false(name_is_cut(SPAN("")));
}

static void component_that_looks_cut_is_told_from_one_that_is(void **state)
{
	(void)state;
	assert_true(pairs(SPAN("a%~0123456789ABCDEF"), true,
			  "a%25~0123456789ABCDEF"));
	assert_false(name_is_cut(SPAN("a%25~0123456789ABCDEF")));
}

static void cut_never_splits_an_escape(void **state)
{
	uint8_t bytes[LONG];

	(void)state;
	for (size_t start = 0; start < 3; start++) {
		struct span c = run(bytes, LONG, '%');
		struct buf b;
		size_t kept;

		memset(bytes, 'a', start);
		b = encoded(c, true, 0);
		kept = b.len - CUT_LEN;
		assert_true(b.len <= NAME_MAX_LEN && b.len > NAME_MAX_LEN - 3);
		assert_int_equal((kept - start) % 3, 0);
		assert_memory_equal(b.data + kept - 3, "%25%~", 5);
		buf_release(&b);
	}
}

static void cut_never_splits_a_character(void **state)
{
	static const uint8_t euro[] = { 0xe2, 0x82, 0xac };
	uint8_t bytes[LONG + 3];

	(void)state;
	for (size_t start = 0; start < 3; start++) {
		struct buf b;

		(void)run(bytes, start, 'a');
		for (size_t i = start; i < LONG; i += 3)
			memcpy(bytes + i, euro, sizeof(euro));
		b = encoded((struct span){ bytes, LONG }, true, 0);
		assert_int_equal((b.len - CUT_LEN - start) % 3, 0);
		assert_true(b.len > NAME_MAX_LEN - 3);
		buf_release(&b);
	}
}

static void bytes_that_are_no_characters_are_cut_anywhere(void **state)
{
	uint8_t bytes[LONG];
	struct buf b = encoded(run(bytes, LONG, 0x80), true, 0);

	(void)state;
	assert_int_equal(b.len, NAME_MAX_LEN);
	buf_release(&b);
}

static void hash_covers_all_bytes_and_the_attempt(void **state)
{
	uint8_t bytes[2 * LONG];
	struct span c = run(bytes, sizeof(bytes), 'a');
	struct buf first = encoded(c, true, 0);
	struct buf second = encoded(c, true, 1);
	struct buf other;

	(void)state;
	bytes[sizeof(bytes) - 1] = 'b';
	other = encoded(c, true, 0);
	assert_false(span_equal(buf_span(&first), buf_span(&second)));
	assert_false(span_equal(buf_span(&first), buf_span(&other)));
	buf_release(&first);
	buf_release(&second);
	buf_release(&other);
}

static void attempt_changes_nothing_that_is_not_cut(void **state)
{
	struct buf b = encoded(SPAN("kernel"), true, 7);

	(void)state;
	assert_true(span_equal(buf_span(&b), SPAN("kernel")));
	buf_release(&b);
}

/* Such a hash stands in what people keep: backups, scripts, notes. */
static void hash_is_the_same_in_every_mount(void **state)
{
	uint8_t bytes[LONG];
	struct buf b = encoded(run(bytes, LONG, 'a'), true, 0);

	(void)state;
	assert_memory_equal(b.data + b.len - CUT_LEN, "%~56A590E8CE794AA3",
			    CUT_LEN);
	buf_release(&b);
}

static void suffix_is_split_from_its_stem(void **state)
{
	static const struct {
		const char *name, *stem;
		enum name_suffix suffix;
	} cases[] = {
		{ "kernel", "kernel", NAME_PLAIN },
		{ "kernel.shape", "kernel", NAME_SHAPE },
		{ "kernel.dtype", "kernel", NAME_DTYPE },
		{ "kernel.d", "kernel", NAME_SCOPE },
		{ "a.d.shape", "a.d", NAME_SHAPE },
		{ ".d", "", NAME_SCOPE },
		{ "d", "d", NAME_PLAIN },
		{ "", "", NAME_PLAIN },
		{ "a.shape ", "a.shape ", NAME_PLAIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span stem;

		assert_int_equal(name_split(span_of(cases[i].name), &stem),
				 cases[i].suffix);
		assert_true(span_equal(stem, span_of(cases[i].stem)));
	}
}

static void suffixes_have_their_text(void **state)
{
	(void)state;
	assert_string_equal(name_suffix_text(NAME_PLAIN), "");
	assert_string_equal(name_suffix_text(NAME_SHAPE), ".shape");
	assert_string_equal(name_suffix_text(NAME_DTYPE), ".dtype");
	assert_string_equal(name_suffix_text(NAME_SCOPE), ".d");
}

/* The `number`-th string over an alphabet of what has a meaning somewhere. */
static struct buf awkward(size_t number)
{
	static const char *const letters[] = {
		".", "%", "%2E", ".d", "/", "a", "~", ".shape", ".weightfs", "",
	};
	struct buf b = { 0 };

	for (; number > 0; number = (number - 1) / ARRAY_SIZE(letters)) {
		const char *letter =
			letters[(number - 1) % ARRAY_SIZE(letters)];

		/* The empty string stands for the NUL at its end. */
		buf_put(&b, letter, *letter ? strlen(letter) : 1);
	}
	assert_int_equal(buf_error(&b), 0);
	return b;
}

#define AWKWARD 111111 /* all of up to five letters */

/* What decodes back has a name of its own: two could not both do so. */
static void every_awkward_component_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < AWKWARD; i++) {
		struct buf component = awkward(i);
		struct buf name = encoded(buf_span(&component), i % 2, 0);
		struct span stem;

		assert_true(decodes_to(buf_span(&name), i % 2,
				       buf_span(&component)));
		assert_int_equal(name_split(buf_span(&name), &stem),
				 NAME_PLAIN);
		assert_null(memchr(name.data, '/', name.len));
		assert_null(memchr(name.data, '\0', name.len));
		assert_false(span_equal(buf_span(&name), SPAN(".")));
		assert_false(span_equal(buf_span(&name), SPAN("..")));
		buf_release(&component);
		buf_release(&name);
	}
}

static void every_awkward_name_is_canonical_or_refused(void **state)
{
	size_t accepted = 0;

	(void)state;
	for (size_t i = 0; i < AWKWARD; i++) {
		struct buf name = awkward(i), component = { 0 };

		if (name_decode(buf_span(&name), i % 2, &component) == 0) {
			struct buf again = encoded(buf_span(&component), i % 2,
						   0);

			assert_true(span_equal(buf_span(&again),
					       buf_span(&name)));
			buf_release(&again);
			accepted++;
		}
		buf_release(&name);
		buf_release(&component);
	}
	assert_true(accepted > 0 && accepted < AWKWARD / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_components_stand_as_they_are),
		cmocka_unit_test(percent_nul_and_slash_are_escaped),
		cmocka_unit_test(empty_component_is_a_lone_percent),
		cmocka_unit_test(dot_and_dotdot_are_escaped),
		cmocka_unit_test(reserved_suffixes_are_escaped),
		cmocka_unit_test(hidden_directory_is_reserved_at_the_top_only),
		cmocka_unit_test(stray_percent_is_refused),
		cmocka_unit_test(second_spelling_is_refused),
		cmocka_unit_test(name_that_no_directory_holds_is_refused),
		cmocka_unit_test(name_with_a_reserved_suffix_is_refused),
		cmocka_unit_test(longest_component_that_fits_is_not_cut),
		cmocka_unit_test(too_long_a_name_is_refused),
		cmocka_unit_test(cut_name_cannot_be_undone),
		cmocka_unit_test(
			component_that_looks_cut_is_told_from_one_that_is),
		cmocka_unit_test(cut_never_splits_an_escape),
		cmocka_unit_test(cut_never_splits_a_character),
		cmocka_unit_test(bytes_that_are_no_characters_are_cut_anywhere),
		cmocka_unit_test(hash_covers_all_bytes_and_the_attempt),
		cmocka_unit_test(attempt_changes_nothing_that_is_not_cut),
		cmocka_unit_test(hash_is_the_same_in_every_mount),
		cmocka_unit_test(suffix_is_split_from_its_stem),
		cmocka_unit_test(suffixes_have_their_text),
		cmocka_unit_test(every_awkward_component_has_a_name_of_its_own),
		cmocka_unit_test(every_awkward_name_is_canonical_or_refused),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
