/* core/report: the texts about a mount, byte by byte. */
#include "core/dtype.h"
#include "core/report.h"
#include "core/shard.h"
#include "tests/support.h"

static const struct mount_facts facts = {
	.version = "0.1",
	.source = "/runs",
	.mode = "async",
	.grace = 60,
	.pid = 42,
	.uptime = 7,
};

#define FACTS                        \
	"{\n"                        \
	"  \"version\": \"0.1\",\n"  \
	"  \"source\": \"/runs\",\n" \
	"  \"mode\": \"async\",\n"   \
	"  \"grace\": 60,\n"         \
	"  \"pid\": 42,\n"           \
	"  \"uptime\": 7,\n"

static struct status *status_of(const struct mount_facts *f)
{
	struct status *s = NULL;

	assert_int_equal(status_new(f, &s), 0);
	return s;
}

static void assert_text(struct buf *text, const char *wanted)
{
	buf_put(text, "", 1);
	assert_int_equal(buf_error(text), 0);
	assert_string_equal((const char *)text->data, wanted);
}

static void assert_prints(const struct status *s, const char *wanted)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	assert_int_equal(status_print(s, &text), 0);
	assert_text(&text, wanted);
}

static void an_empty_mount_has_a_status(void **state)
{
	CLEANUP(status_freep) struct status *s = status_of(&facts);

	(void)state;
	assert_prints(s, FACTS "  \"checkpoints\": []\n}\n");
}

static void what_nobody_has_looked_at_is_named(void **state)
{
	CLEANUP(status_freep) struct status *s = status_of(&facts);

	(void)state;
	status_add_unread(s, "a/model.ckpt-1");
	assert_prints(s, FACTS "  \"checkpoints\": [\n"
			       "    {\n"
			       "      \"path\": \"a/model.ckpt-1\",\n"
			       "      \"read\": false\n"
			       "    }\n"
			       "  ]\n"
			       "}\n");
}

static void counts_and_what_waits_are_told(void **state)
{
	CLEANUP(status_freep) struct status *s = status_of(&facts);
	const struct checkpoint_status of = {
		.format = "V2",
		.variables = 3,
		.bytes = 1,
		.dead_bytes = 2,
		.open_writes = 4,
		.declarations = 5,
		.untyped = 6,
		.removals = 7,
		.uncommitted = 8,
		.last_commit = { 86400, 123999999 },
		.last_commit_bytes = UINT64_MAX,
		.last_failure = "No space left on device",
	};

	(void)state;
	status_add(s, "m", &of);
	status_add_pending(s, "untyped", span_of("dense/new"));
	status_add_pending(s, "untyped", span_of("x"));
	status_add_pending(s, "refused", span_of("y"));
	status_add_pending(s, "of no known kind", span_of("z"));
	assert_prints(s, FACTS
		      "  \"checkpoints\": [\n"
		      "    {\n"
		      "      \"path\": \"m\",\n"
		      "      \"read\": true,\n"
		      "      \"format\": \"V2\",\n"
		      "      \"variables\": 3,\n"
		      "      \"bytes\": 1,\n"
		      "      \"dead_bytes\": 2,\n"
		      "      \"open_writes\": 4,\n"
		      "      \"declarations\": 5,\n"
		      "      \"untyped\": 6,\n"
		      "      \"removals\": 7,\n"
		      "      \"uncommitted\": 8,\n"
		      "      \"last_commit\": \"1970-01-02T00:00:00.123Z\",\n"
		      "      \"last_commit_bytes\": 9223372036854775807,\n"
		      "      \"last_failure\": \"No space left on device\",\n"
		      "      \"pending\": {\n"
		      "        \"open\": [],\n"
		      "        \"declared\": [],\n"
		      "        \"untyped\": [\n"
		      "          \"dense/new\",\n"
		      "          \"x\"\n"
		      "        ],\n"
		      "        \"scratch\": [],\n"
		      "        \"removed\": [],\n"
		      "        \"refused\": [\n"
		      "          \"y\"\n"
		      "        ]\n"
		      "      }\n"
		      "    }\n"
		      "  ]\n"
		      "}\n");
}

static void nothing_waits_in_what_was_not_read(void **state)
{
	CLEANUP(status_freep) struct status *s = status_of(&facts);

	(void)state;
	status_add_pending(s, "open", span_of("too early"));
	status_add_unread(s, "m");
	status_add_pending(s, "open", span_of("of nothing"));
	assert_prints(s, FACTS "  \"checkpoints\": [\n"
			       "    {\n"
			       "      \"path\": \"m\",\n"
			       "      \"read\": false\n"
			       "    }\n"
			       "  ]\n"
			       "}\n");
}

static void paths_of_any_bytes_stay_json(void **state)
{
	CLEANUP(status_freep) struct status *s = status_of(&facts);

	(void)state;
	status_add_unread(s, "gr\xc3\xb6\xc3\x9f\x65 \"\\\n");
	status_add_unread(s, "\xff\xc3\xb6");
	assert_prints(s, FACTS "  \"checkpoints\": [\n"
			       "    {\n"
			       "      \"path\": \"gr\xc3\xb6\xc3\x9f\x65 "
			       "\\\"\\\\\\n\",\n"
			       "      \"read\": false\n"
			       "    },\n"
			       "    {\n"
			       "      \"path\": \"\\\\xff\\\\xc3\\\\xb6\",\n"
			       "      \"read\": false\n"
			       "    }\n"
			       "  ]\n"
			       "}\n");
}

/* --- the manifest -------------------------------------------------------- */

static struct entry *entry_of(struct span key, const struct proto *p)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	struct entry *e = NULL;
	const char *reason;

	proto_pack(p, &raw);
	assert_int_equal(
		entry_parse(key, buf_span(&raw), ENTRY_V2, &e, &reason), 0);
	return e;
}

static void assert_line(const struct entry *e, const char *wanted)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	manifest_add(e, &text);
	assert_text(&text, wanted);
}

static void a_tensor_is_a_line(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	static const int64_t dims[] = { 3, 4 };
	struct proto p;

	(void)state;
	proto_init(&p, DT_FLOAT, 2, dims);
	p.entry.shard_id = 2;
	p.entry.offset = 100;
	p.entry.size = 48;
	p.entry.crc32c = crc32c_mask(0xabcdef);
	e = entry_of(span_of("a/b"), &p);
	assert_int_equal(shard_open(AT_FDCWD, "nowhere/x", 2, 3, &shard), 0);
	entry_attach(e, shard);
	assert_line(e, "a/b\tfloat32\t[3, 4]\t48\t2\t100\t00abcdef\n");
}

static void a_value_in_no_one_place_has_dashes(void **state)
{
	CLEANUP(entry_unrefp) struct entry *numbers = NULL;
	CLEANUP(entry_unrefp) struct entry *texts = NULL;
	static const int64_t dims[] = { 3, 4 };
	struct proto p;

	(void)state;
	proto_init(&p, DT_DOUBLE, 2, dims);
	p.entry.size = 96;
	numbers = entry_of(span_of("a"), &p);
	assert_line(numbers, "a\tfloat64\t[3, 4]\t96\t-\t-\t-\n");

	proto_init(&p, DT_STRING, 0, NULL);
	p.entry.size = 7;
	texts = entry_of(span_of("b"), &p);
	assert_line(texts, "b\tstring\t[]\t-\t-\t-\t-\n");
}

static void a_key_breaks_neither_line_nor_column(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	static const uint8_t key[] = "a\tb\nc\\d\r\0\x7f\xc3\xb6";
	struct proto p;

	(void)state;
	proto_init(&p, DT_FLOAT, 0, NULL);
	p.entry.size = 4;
	e = entry_of((struct span){ key, sizeof(key) - 1 }, &p);
	assert_line(e, "a\\tb\\nc\\\\d\\x0d\\x00\\x7f\xc3\xb6\t"
		       "float32\t[]\t4\t-\t-\t-\n");
}

static void the_header_names_the_columns(void **state)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	manifest_begin(&text);
	assert_text(&text, "key\tdtype\tshape\tbytes\tshard\toffset\tcrc32c\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_mount_has_a_status),
		cmocka_unit_test(what_nobody_has_looked_at_is_named),
		cmocka_unit_test(counts_and_what_waits_are_told),
		cmocka_unit_test(nothing_waits_in_what_was_not_read),
		cmocka_unit_test(paths_of_any_bytes_stay_json),
		cmocka_unit_test(a_tensor_is_a_line),
		cmocka_unit_test(a_value_in_no_one_place_has_dashes),
		cmocka_unit_test(a_key_breaks_neither_line_nor_column),
		cmocka_unit_test(the_header_names_the_columns),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
