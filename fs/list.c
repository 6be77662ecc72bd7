#include "fs/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/coding.h"
#include "core/dtype.h"
#include "core/entry.h"
#include "core/shape.h"
#include "fs/list_json.h"
#include "fs/named.h"
#include "fs/print.h"

/* One shape of many dimensions must not push all the others off the screen. */
#define SHAPE_COLUMN_MAX 32

struct columns {
	int dtype, shape, bytes;
};

/* Hostile sizes stop at the largest number rather than begin at 0 again. */
static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* In V1 nobody knows how long strings are who has not read them. */
bool list_bytes(const struct entry *e, bool v1, uint64_t *ret)
{
	if (v1 && !dtype_size(entry_dtype(e)))
		return false;
	*ret = entry_stored(e);
	return true;
}

/* As text: `-` where it is not known. */
static const char *bytes_text(const struct entry *e, bool v1, char out[32])
{
	uint64_t bytes;

	if (!list_bytes(e, v1, &bytes))
		return "-";
	(void)snprintf(out, 32, "%" PRIu64, bytes);
	return out;
}

/* The text of a shape without its newline, in `out`; empty for want of memory. */
static struct span shape_text(const struct entry *e, struct buf *out)
{
	struct span text;

	shape_print(entry_shape(e), out);
	text = buf_span(out);
	text.len -= buf_error(out) || !text.len ? text.len : 1;
	return text;
}

static void widen(int *column, int width, int max)
{
	if (width > *column && width <= max)
		*column = width;
}

static void measure_entry(const struct entry *e, bool v1,
			  struct columns *columns)
{
	CLEANUP(buf_release) struct buf shape = { 0 };
	char bytes[32];

	widen(&columns->dtype, (int)strlen(dtype_name(entry_dtype(e))),
	      INT32_MAX);
	widen(&columns->shape, (int)shape_text(e, &shape).len,
	      SHAPE_COLUMN_MAX);
	widen(&columns->bytes, (int)strlen(bytes_text(e, v1, bytes)),
	      INT32_MAX);
}

static void print_entry(const struct entry *e, bool v1,
			const struct columns *columns)
{
	CLEANUP(buf_release) struct buf buf = { 0 };
	struct span shape = shape_text(e, &buf);
	char bytes[32];

	(void)printf("%-*s  %-*.*s  %*s  ", columns->dtype,
		     dtype_name(entry_dtype(e)), columns->shape, (int)shape.len,
		     (const char *)shape.data, columns->bytes,
		     bytes_text(e, v1, bytes));
	print_escaped(stdout, entry_key(e));
	(void)putchar('\n');
}

static void print_variables(const struct bundle *bundle, bool v1)
{
	size_t count = bundle_count(bundle);
	struct columns columns = { 0 };

	for (size_t i = 0; i < count; i++)
		measure_entry(bundle_entry(bundle, i), v1, &columns);
	for (size_t i = 0; i < count; i++)
		print_entry(bundle_entry(bundle, i), v1, &columns);
}

static void print_total(const struct named *t, const struct bundle *bundle)
{
	size_t count = bundle_count(bundle);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t bytes;

		if (list_bytes(bundle_entry(bundle, i), t->v1, &bytes))
			sum = add(sum, bytes);
	}
	print_count(count, "variable");
	(void)printf("  %" PRIu64 " bytes  ", sum);
	print_escaped(stdout, span_of(t->prefix));
	(void)putchar('\n');
}

/* What is damaged does not hide the rest, but shows in the exit code. */
static int list_text(const struct named_list *t, bool totals)
{
	int first_error = 0;

	for (size_t i = 0; i < t->n; i++) {
		CLEANUP(bundle_unrefp) struct bundle *bundle = NULL;
		int r = named_read(&t->all[i], &bundle);

		if (r == 0 && totals)
			print_total(&t->all[i], bundle);
		else if (r == 0)
			print_variables(bundle, t->all[i].v1);
		if (r == 0 && !named_whole(bundle))
			r = -EIO;
		first_error = first_error ? first_error : r;
	}
	return first_error;
}

enum exit_code list_run(const struct options *options)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	int r;

	if (named_open(options->source, &t) < 0)
		return EXIT_CODE_SOURCE;
	r = options->json ? list_json(&t) : list_text(&t, !t.source.prefix);
	if (!print_finish())
		return EXIT_CODE_FAILURE;
	return r < 0 ? EXIT_CODE_SOURCE : EXIT_CODE_OK;
}
