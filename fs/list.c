#include "fs/list.h"

#include <dirent.h>
#include <errno.h>
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
#include "core/source.h"

#define INDEX_SUFFIX ".index"

/* One shape of many dimensions must not push all the others off the screen. */
#define SHAPE_COLUMN_MAX 32

struct columns {
	int dtype, shape, bytes;
};

struct names {
	struct dirent **list;
	int count;
};

static void names_release(struct names *n)
{
	for (int i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}

/* Hostile sizes stop at the largest number rather than begin at 0 again. */
static uint64_t multiply(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* A partitioned variable has no bytes of its own, but its slices have. */
static uint64_t value_size(const struct entry *e)
{
	return entry_slices(e)
		       ? multiply(entry_elements(e), dtype_size(entry_dtype(e)))
		       : entry_size(e);
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

static void measure_entry(const struct entry *e, struct columns *columns)
{
	CLEANUP(buf_release) struct buf shape = { 0 };

	widen(&columns->dtype, (int)strlen(dtype_name(entry_dtype(e))),
	      INT32_MAX);
	widen(&columns->shape, (int)shape_text(e, &shape).len,
	      SHAPE_COLUMN_MAX);
	widen(&columns->bytes, snprintf(NULL, 0, "%" PRIu64, value_size(e)),
	      INT32_MAX);
}

/* Keys are anybody's bytes: they must not command the terminal. */
static void print_escaped(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		int byte = text.data[i];

		if (byte == '\\')
			(void)fputs("\\\\", stdout);
		else if (byte < ' ' || byte == 0x7f)
			(void)printf("\\x%02x", (unsigned int)byte);
		else
			(void)putchar(byte);
	}
}

static void print_entry(const struct entry *e, const struct columns *columns)
{
	CLEANUP(buf_release) struct buf buf = { 0 };
	struct span shape = shape_text(e, &buf);

	(void)printf("%-*s  %-*.*s  %*" PRIu64 "  ", columns->dtype,
		     dtype_name(entry_dtype(e)), columns->shape, (int)shape.len,
		     (const char *)shape.data, columns->bytes, value_size(e));
	print_escaped(entry_key(e));
	(void)putchar('\n');
}

static void print_variables(const struct bundle *bundle)
{
	size_t count = bundle_count(bundle);
	struct columns columns = { 0 };

	for (size_t i = 0; i < count; i++)
		measure_entry(bundle_entry(bundle, i), &columns);
	for (size_t i = 0; i < count; i++)
		print_entry(bundle_entry(bundle, i), &columns);
}

static void print_total(const char *prefix, const struct bundle *bundle)
{
	size_t count = bundle_count(bundle);
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes = add(bytes, value_size(bundle_entry(bundle, i)));
	(void)printf("%zu variables  %" PRIu64 " bytes  ", count, bytes);
	print_escaped(span_of(prefix));
	(void)putchar('\n');
}

static int open_bundle(const struct source *source, const char *prefix,
		       struct bundle **ret)
{
	int r = bundle_open(source->dirfd, prefix, NULL, ret);

	if (r == -ENOENT)
		log_error("%s/%s is not a V2 checkpoint: it has no index",
			  source->path, prefix);
	if (r == -EBADMSG)
		log_error("%s/%s.index was cut short, or is another kind of "
			  "file",
			  source->path, prefix);
	return r;
}

static int list_one(const struct source *source, const char *prefix)
{
	CLEANUP(bundle_unrefp) struct bundle *bundle = NULL;
	int r = open_bundle(source, prefix, &bundle);

	if (!r)
		print_variables(bundle);
	return r;
}

static int is_index(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	size_t suffix = strlen(INDEX_SUFFIX);

	return len > suffix &&
	       strcmp(entry->d_name + len - suffix, INDEX_SUFFIX) == 0;
}

static int list_total(const struct source *source, char *index_name)
{
	CLEANUP(bundle_unrefp) struct bundle *bundle = NULL;
	int r;

	index_name[strlen(index_name) - strlen(INDEX_SUFFIX)] = '\0';
	r = open_bundle(source, index_name, &bundle);
	if (!r)
		print_total(index_name, bundle);
	return r;
}

/* A damaged checkpoint does not hide the others, but shows in the exit code. */
static int list_all(const struct source *source)
{
	CLEANUP(names_release) struct names names = { 0 };
	int first_error = 0;

	names.count = scandirat(source->dirfd, ".", &names.list, is_index,
				alphasort);
	if (names.count < 0) {
		log_error("cannot list %s: %s", source->path, strerror(errno));
		return -errno;
	}
	if (names.count == 0) {
		log_error("there is no V2 checkpoint (*" INDEX_SUFFIX ") in %s",
			  source->path);
		return -ENOENT;
	}
	for (int i = 0; i < names.count; i++) {
		int r = list_total(source, names.list[i]->d_name);

		if (r && !first_error)
			first_error = r;
	}
	return first_error;
}

enum exit_code list_run(const struct options *options)
{
	CLEANUP(source_release) struct source source = { 0 };

	if (source_open(options->source, &source))
		return EXIT_CODE_SOURCE;
	if (source.prefix ? list_one(&source, source.prefix)
			  : list_all(&source))
		return EXIT_CODE_SOURCE;
	if (fflush(stdout) || ferror(stdout)) {
		log_error("cannot write the list: %s", strerror(errno));
		return EXIT_CODE_FAILURE;
	}
	return EXIT_CODE_OK;
}
