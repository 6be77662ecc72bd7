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
#include "core/list.h"
#include "core/table.h"
#include "core/v1.h"
#include "core/v1_file.h"
#include "core/v1_record.h"

#define CHUNK (UINT64_C(1) << 20)

/* A block that is damaged: one fault, or one of each variable in it. */
struct bad_block {
	const struct v1_file *file;
	struct stretch at;
	const char *fault;
	bool told;
};

struct blocks {
	struct check *check;
	const struct v1_file *file;
	uint64_t all;    /* bytes of all files */
	struct list bad; /* of struct bad_block, owned */
	int error;
};

static void blocks_release(struct blocks *b)
{
	for (size_t i = 0; i < b->bad.n; i++)
		free(b->bad.items[i]);
	free(b->bad.items);
}

static int add_bad(struct blocks *b, struct stretch at, const char *fault)
{
	CLEANUP(free_ptr) struct bad_block *bad = malloc(sizeof(*bad));
	int r = bad ? list_add(&b->bad, bad) : -ENOMEM;

	if (r == 0)
		*STEAL(bad) = (struct bad_block){ b->file, at, fault, false };
	return r;
}

static void note_block(void *arg, struct stretch at, const char *fault)
{
	struct blocks *b = arg;
	struct check *c = b->check;

	c->result->bytes += at.size;
	if (c->watch->passed)
		c->watch->passed(c->watch->arg, at.size, b->all);
	if (fault && b->error == 0)
		b->error = add_bad(b, at, fault);
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

static int check_blocks(struct blocks *blocks, const struct bundle *b)
{
	size_t n;
	struct v1_file *const *files = bundle_v1_files(b, &n);

	for (size_t i = 0; i < n; i++)
		blocks->all += (uint64_t)v1_file_stat(files[i])->st_size;
	for (size_t i = 0; i < n; i++)
		check_file(blocks, files[i]);
	return blocks->error;
}

/* The damaged block that `key` would be in, if it is one. */
static const struct bad_block *blame(struct blocks *b, const struct v1_file *f,
				     struct span key)
{
	struct stretch at;

	if (b->bad.n == 0 || table_place(v1_file_table(f), key, &at) < 0)
		return NULL;
	for (size_t i = 0; i < b->bad.n; i++) {
		struct bad_block *bad = b->bad.items[i];

		if (bad->file != f || bad->at.offset != at.offset)
			continue;
		bad->told = true;
		return bad;
	}
	return NULL;
}

/* Of blocks in which nothing is that was named. */
static void say_blocks(struct blocks *b)
{
	for (size_t i = 0; i < b->bad.n; i++) {
		const struct bad_block *bad = b->bad.items[i];

		if (!bad->told)
			check_say(b->check,
				  &(struct check_finding){
					  .fault = true,
					  .file = v1_file_name(bad->file),
					  .offset = bad->at.offset,
					  .size = bad->at.size,
					  .what = bad->fault });
	}
}

/* The list of variables is damaged: at least where. */
static int check_unlisted(struct check *c)
{
	CLEANUP(v1_file_unrefp) struct v1_file *f = NULL;
	CLEANUP(blocks_release) struct blocks blocks = { .check = c };
	struct check_finding finding = {
		.fault = true,
		.file = c->prefix,
		.what = "its list of variables cannot be read"
	};
	const struct bad_block *bad = NULL;

	if (v1_file_open(c->dirfd, c->prefix, &f) == 0) {
		blocks.all = (uint64_t)v1_file_stat(f)->st_size;
		check_file(&blocks, f);
		bad = blame(&blocks, f, (struct span){ 0 });
	}
	if (bad) {
		finding.offset = bad->at.offset;
		finding.size = bad->at.size;
	}
	check_say(c, &finding);
	say_blocks(&blocks);
	return blocks.error;
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

static void say_unreadable(struct blocks *b, const struct entry *e,
			   const struct entry *variable, size_t slice)
{
	const struct v1_record *record = entry_v1(e);
	const struct v1_file *f = record ? v1_record_file(record) : NULL;
	const struct bad_block *bad = f ? blame(b, f, v1_record_key(record))
					: NULL;

	check_say(b->check,
		  &(struct check_finding){ .fault = true,
					   .key = entry_key(variable),
					   .partitioned = e != variable,
					   .slice = slice,
					   .file = f ? v1_file_name(f) : NULL,
					   .offset = bad ? bad->at.offset : 0,
					   .size = bad ? bad->at.size : 0,
					   .what = bad ? bad->fault
						       : "it cannot be read" });
}

static int check_value(struct blocks *b, struct entry *e,
		       const struct entry *variable, size_t slice)
{
	int r = read_value(e, variable);

	if (r < 0 && r != -ENOMEM)
		say_unreadable(b, e, variable, slice);
	return r == -ENOMEM ? r : 0;
}

static int check_variable(struct blocks *b, struct entry *e)
{
	int r = 0;

	if (!entry_slices(e))
		return check_value(b, e, e, 0);
	for (size_t i = 0; r == 0 && i < entry_slices(e); i++)
		if (entry_part(e, i))
			r = check_value(b, entry_part(e, i), e, i);
	return r;
}

int check_v1(struct check *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(blocks_release) struct blocks blocks = { .check = c };
	const char *reason;
	int r = v1_open(c->dirfd, c->prefix, &b);

	if (r == -EIO || r == -EINVAL || r == -EBADMSG)
		return check_unlisted(c);
	if (r < 0)
		return r;
	c->result->variables = bundle_count(b);
	if (bundle_writable(b, &reason) == -EIO)
		check_say(c, &(struct check_finding){ .fault = true,
						      .file = c->prefix,
						      .what = reason });
	r = check_blocks(&blocks, b);
	for (size_t i = 0; r == 0 && i < bundle_count(b); i++)
		r = check_variable(&blocks, bundle_entry(b, i));
	say_blocks(&blocks);
	return r;
}
