#include "core/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "core/dtype.h"
#include "core/moment.h"

/* --- the status ---------------------------------------------------------- */

/* What may wait: each is in the status, also where nothing does. */
static const char *const pending_kinds[] = {
	"open", "declared", "untyped", "scratch", "removed", "refused",
};

struct status {
	json_t *root;
	json_t *checkpoints; /* borrowed, as is what follows */
	json_t *pending; /* of the checkpoint that was added last, or NULL */
	bool failed;
};

/* A path is any bytes, but JSON is UTF-8. */
static json_t *json_of_path(struct span path)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	json_t *j = json_stringn((const char *)path.data, path.len);

	if (j)
		return j;
	for (size_t i = 0; i < path.len; i++) {
		if (path.data[i] < 0x80)
			buf_put(&text, &path.data[i], 1);
		else
			buf_printf(&text, "\\x%02x", (unsigned)path.data[i]);
	}
	return buf_error(&text)
		       ? NULL
		       : json_stringn((const char *)text.data, text.len);
}

/* JSON's integers end at 2^63 in the library, and elsewhere before that. */
static json_t *json_of_count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *json_of_moment(struct timespec t)
{
	char text[MOMENT_SIZE];

	if (t.tv_sec == 0)
		return json_null();
	moment_print(t, text);
	return json_string(text);
}

/* Takes `value` over; NULL, which is want of memory, is remembered. */
static void set(struct status *s, json_t *object, const char *name,
		json_t *value)
{
	s->failed |= json_object_set_new(object, name, value) < 0;
}

static void set_count(struct status *s, json_t *object, const char *name,
		      uint64_t n)
{
	set(s, object, name, json_of_count(n));
}

static void put_facts(struct status *s, const struct mount_facts *f)
{
	set(s, s->root, "version", json_string(f->version));
	set(s, s->root, "source", json_of_path(span_of(f->source)));
	set(s, s->root, "mode", json_string(f->mode));
	set_count(s, s->root, "grace", f->grace);
	set_count(s, s->root, "pid", (uint64_t)f->pid);
	set_count(s, s->root, "uptime", f->uptime);
}

int status_new(const struct mount_facts *facts, struct status **ret)
{
	CLEANUP(status_freep) struct status *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->root = json_object();
	put_facts(s, facts);
	s->checkpoints = json_array();
	set(s, s->root, "checkpoints", s->checkpoints);
	if (s->failed)
		return -ENOMEM;
	*ret = STEAL(s);
	return 0;
}

void status_free(struct status *s)
{
	if (s)
		json_decref(s->root);
	free(s);
}

/* A checkpoint's object, borrowed; NULL for want of memory. */
static json_t *add_checkpoint(struct status *s, const char *path, bool read)
{
	json_t *cp = json_object();

	set(s, cp, "path", json_of_path(span_of(path)));
	set(s, cp, "read", json_boolean(read));
	s->failed |= json_array_append_new(s->checkpoints, cp) < 0;
	s->pending = NULL;
	return s->failed ? NULL : cp;
}

void status_add_unread(struct status *s, const char *path)
{
	(void)add_checkpoint(s, path, false);
}

static void put_counts(struct status *s, json_t *cp,
		       const struct checkpoint_status *of)
{
	set(s, cp, "format", json_string(of->format));
	set_count(s, cp, "variables", of->variables);
	set_count(s, cp, "bytes", of->bytes);
	set_count(s, cp, "dead_bytes", of->dead_bytes);
	set_count(s, cp, "open_writes", of->open_writes);
	set_count(s, cp, "declarations", of->declarations);
	set_count(s, cp, "untyped", of->untyped);
	set_count(s, cp, "removals", of->removals);
	set_count(s, cp, "uncommitted", of->uncommitted);
	set(s, cp, "last_commit", json_of_moment(of->last_commit));
	set_count(s, cp, "last_commit_bytes", of->last_commit_bytes);
	set(s, cp, "last_failure",
	    of->last_failure ? json_string(of->last_failure) : json_null());
}

void status_add(struct status *s, const char *path,
		const struct checkpoint_status *of)
{
	json_t *cp = add_checkpoint(s, path, true);
	json_t *pending;

	if (!cp)
		return;
	put_counts(s, cp, of);
	pending = json_object();
	for (size_t i = 0; i < sizeof(pending_kinds) / sizeof(*pending_kinds);
	     i++)
		set(s, pending, pending_kinds[i], json_array());
	set(s, cp, "pending", pending);
	s->pending = s->failed ? NULL : pending;
}

void status_add_pending(struct status *s, const char *kind, struct span path)
{
	json_t *list = json_object_get(s->pending, kind);

	if (list)
		s->failed |= json_array_append_new(list, json_of_path(path)) <
			     0;
}

static int put_text(const char *text, size_t n, void *arg)
{
	struct buf *out = arg;

	buf_put(out, text, n);
	return buf_error(out);
}

int status_print(const struct status *s, struct buf *out)
{
	if (s->failed ||
	    json_dump_callback(s->root, put_text, out, JSON_INDENT(2)) < 0)
		return -ENOMEM;
	buf_put(out, "\n", 1);
	return buf_error(out);
}

static int add_pending(void *arg, const char *kind, struct span path)
{
	status_add_pending(arg, kind, path);
	return 0;
}

int report_checkpoint(struct status *s, const char *path, struct checkpoint *cp)
{
	struct checkpoint_status of;

	/* One that went away meanwhile, or is just being replaced, says no more. */
	if (!checkpoint_loaded(cp) || checkpoint_status(cp, &of) < 0) {
		status_add_unread(s, path);
		return 0;
	}
	status_add(s, path, &of);
	(void)checkpoint_each_pending(cp, add_pending, s);
	return s->failed ? -ENOMEM : 0;
}

/* --- the manifest -------------------------------------------------------- */

static void put_key(struct span key, struct buf *out)
{
	for (size_t i = 0; i < key.len; i++) {
		uint8_t byte = key.data[i];

		if (byte == '\t')
			buf_put(out, "\\t", 2);
		else if (byte == '\n')
			buf_put(out, "\\n", 2);
		else if (byte == '\\')
			buf_put(out, "\\\\", 2);
		else if (byte < ' ' || byte == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned)byte);
		else
			buf_put(out, &byte, 1);
	}
}

static void put_shape(struct shape shape, struct buf *out)
{
	shape_print(shape, out);
	if (out->len)
		out->len--; /* its newline */
}

void manifest_begin(struct buf *out)
{
	buf_printf(out, "key\tdtype\tshape\tbytes\tshard\toffset\tcrc32c\n");
}

void manifest_add(const struct entry *e, struct buf *out)
{
	uint64_t bytes = entry_stored(e);

	put_key(entry_key(e), out);
	buf_printf(out, "\t%s\t", dtype_name(entry_dtype(e)));
	put_shape(entry_shape(e), out);
	if (entry_placed(e))
		buf_printf(out, "\t%" PRIu64 "\t%d\t%" PRIu64 "\t%08x\n",
			   entry_size(e), entry_shard_id(e), entry_offset(e),
			   entry_crc32c(e));
	else if (bytes != UINT64_MAX &&
		 (entry_slices(e) || dtype_size(entry_dtype(e))))
		buf_printf(out, "\t%" PRIu64 "\t-\t-\t-\n", bytes);
	else
		buf_printf(out, "\t-\t-\t-\t-\n");
}

static int add_entry(void *arg, const struct entry *e)
{
	manifest_add(e, arg);
	return buf_error(arg);
}

int report_manifest(struct checkpoint *cp, struct buf *out)
{
	int r = checkpoint_refresh(cp);

	if (r < 0)
		return r;
	manifest_begin(out);
	r = checkpoint_each_entry(cp, add_entry, out);
	return r < 0 ? r : buf_error(out);
}
