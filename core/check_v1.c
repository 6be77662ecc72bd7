/*
 * A V1 checkpoint has no checksums of values, only of blocks, and values are encoded: so
 * first every block is looked at, and then every value decoded.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/bundle.h"
#include "core/check_inside.h"
#include "core/cleanup.h"
#include "core/content.h"
#include "core/table.h"
#include "core/v1.h"
#include "core/v1_file.h"
#include "core/v1_record.h"

#define CHUNK (UINT64_C(1) << 20)

struct blocks {
	struct check *check;
	const struct v1_file *file;
	uint64_t all; /* bytes of all files */
};

static void note_block(void *arg, struct stretch at, const char *fault)
{
	struct blocks *b = arg;
	struct check *c = b->check;

	c->result->bytes += at.size;
	if (c->watch->passed)
		c->watch->passed(c->watch->arg, at.size, b->all);
	if (fault)
		check_say(c, &(struct check_finding){
				     .fault = true,
				     .file = v1_file_name(b->file),
				     .offset = at.offset,
				     .size = at.size,
				     .what = fault });
}

static void check_file(struct blocks *b, const struct v1_file *f)
{
	b->file = f;
	if (table_check(v1_file_table(f), note_block, b) < 0)
		check_say(b->check,
			  &(struct check_finding){ .fault = true,
						   .file = v1_file_name(f),
						   .what = "it is damaged" });
}

static void check_blocks(struct check *c, const struct bundle *b)
{
	struct blocks blocks = { .check = c };
	size_t n;
	struct v1_file *const *files = bundle_v1_files(b, &n);

	for (size_t i = 0; i < n; i++)
		blocks.all += (uint64_t)v1_file_stat(files[i])->st_size;
	for (size_t i = 0; i < n; i++)
		check_file(&blocks, files[i]);
}

/* The list of variables is damaged: at least where. */
static void check_unlisted(struct check *c)
{
	CLEANUP(v1_file_unrefp) struct v1_file *f = NULL;
	struct blocks blocks = { .check = c };

	check_say(c, &(struct check_finding){
			     .fault = true,
			     .file = c->prefix,
			     .what = "its list of variables cannot be read" });
	if (v1_file_open(c->dirfd, c->prefix, &f) < 0)
		return;
	blocks.all = (uint64_t)v1_file_stat(f)->st_size;
	check_file(&blocks, f);
}

/* Reads all of it; what is wrong is in the log. */
static int read_value(struct entry *e, const struct entry *variable)
{
	CLEANUP(content_freep) struct content *c = NULL;
	CLEANUP(free_ptr) char *name = entry_describe(variable, "");
	CLEANUP(free_ptr) void *chunk = malloc(CHUNK);
	int r = -ENOMEM;

	if (name && chunk)
		r = content_open(e, name + 1, true, &c);
	for (uint64_t at = 0; r == 0 && at < content_size(c); at += CHUNK) {
		uint64_t rest = content_size(c) - at;

		r = content_read(c, chunk, rest < CHUNK ? rest : CHUNK, at);
	}
	return r;
}

static int check_value(struct check *c, struct entry *e,
		       const struct entry *variable, size_t slice)
{
	struct v1_record *record = entry_v1(e);
	int r = read_value(e, variable);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		check_say(c,
			  &(struct check_finding){
				  .fault = true,
				  .key = entry_key(variable),
				  .partitioned = e != variable,
				  .slice = slice,
				  .file = record ? v1_file_name(v1_record_file(
							   record))
						 : NULL,
				  .what = "it cannot be read" });
	return 0;
}

static int check_variable(struct check *c, struct entry *e)
{
	int r = 0;

	if (!entry_slices(e))
		return check_value(c, e, e, 0);
	for (size_t i = 0; r == 0 && i < entry_slices(e); i++)
		if (entry_part(e, i))
			r = check_value(c, entry_part(e, i), e, i);
	return r;
}

int check_v1(struct check *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const char *reason;
	int r = v1_open(c->dirfd, c->prefix, &b);

	if (r == -EIO || r == -EINVAL || r == -EBADMSG) {
		check_unlisted(c);
		return 0;
	}
	if (r < 0)
		return r;
	c->result->variables = bundle_count(b);
	if (bundle_writable(b, &reason) == -EIO)
		check_say(c, &(struct check_finding){ .fault = true,
						      .file = c->prefix,
						      .what = reason });
	check_blocks(c, b);
	for (size_t i = 0; r == 0 && i < bundle_count(b); i++)
		r = check_variable(c, bundle_entry(b, i));
	return r;
}
