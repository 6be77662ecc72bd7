#include "fs/list_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/coding.h"
#include "core/dtype.h"
#include "core/entry.h"
#include "core/shape.h"
#include "fs/list.h"

static void print_base64(struct span bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
		uint32_t word = 0;

		for (size_t j = 0; j < 3; j++)
			word = word << 8 | (j < n ? bytes.data[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			(void)putchar(j <= n ? digits[word >> (18 - 6 * j) & 63]
					     : '=');
	}
}

/* `"NAME": "text"`, or `"NAME_base64": ...` where the bytes are no text. */
static void print_text(const char *name, struct span bytes)
{
	json_t *text = json_stringn((const char *)bytes.data, bytes.len);
	char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;

	if (quoted) {
		(void)printf("\"%s\": %s", name, quoted);
	} else {
		(void)printf("\"%s_base64\": \"", name);
		print_base64(bytes);
		(void)putchar('"');
	}
	free(quoted);
	json_decref(text);
}

static void print_entry(const struct entry *e, bool v1)
{
	struct shape shape = entry_shape(e);
	uint64_t bytes;

	(void)putchar('{');
	print_text("key", entry_key(e));
	(void)printf(", \"dtype\": \"%s\", \"shape\": [",
		     dtype_name(entry_dtype(e)));
	for (size_t i = 0; i < shape.rank; i++)
		(void)printf("%s%" PRId64, i ? ", " : "", shape.dims[i]);
	(void)fputs("], \"bytes\": ", stdout);
	if (list_bytes(e, v1, &bytes))
		(void)printf("%" PRIu64, bytes);
	else
		(void)fputs("null", stdout);
	if (entry_slices(e))
		(void)printf(", \"slices\": %zu", entry_slices(e));
	(void)putchar('}');
}

static int print_checkpoint(const struct named *t)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = named_read(t, &b);

	(void)putchar('{');
	print_text("prefix", span_of(t->prefix));
	(void)printf(", \"format\": \"%s\", \"variables\": ",
		     t->v1 ? "V1" : "V2");
	if (r < 0) {
		(void)fputs("null}", stdout);
		return r;
	}
	(void)putchar('[');
	for (size_t i = 0; i < bundle_count(b); i++) {
		(void)fputs(i ? ",\n" : "\n", stdout);
		print_entry(bundle_entry(b, i), t->v1);
	}
	(void)fputs("\n]}", stdout);
	return named_whole(b) ? 0 : -EIO;
}

int list_json(const struct named_list *t)
{
	int first_error = 0;

	(void)fputs("{\"checkpoints\": [", stdout);
	for (size_t i = 0; i < t->n; i++) {
		int r;

		(void)fputs(i ? ",\n" : "\n", stdout);
		r = print_checkpoint(&t->all[i]);
		first_error = first_error ? first_error : r;
	}
	(void)fputs("\n]}\n", stdout);
	return first_error;
}
