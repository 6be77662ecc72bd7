#include "core/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assembly.h"
#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/io.h"
#include "core/leaf.h"
#include "core/log.h"
#include "core/strings.h"

struct content {
	struct entry *entry;
	char *name;
	bool verify;
	/* Where the bytes are: in one of these. */
	struct leaf *leaf;
	struct assembly *assembly;
	int file; /* slices of strings or variants, put together; or -1 */
	uint64_t size;
	uint32_t file_crc32c;
};

void content_free(struct content *c)
{
	if (!c)
		return;
	leaf_unref(c->leaf);
	assembly_free(c->assembly);
	close_fd(&c->file);
	entry_unref(c->entry);
	free(c->name);
	free(c);
}

static int content_new(struct entry *e, const char *name, bool verify,
		       struct content **ret)
{
	CLEANUP(content_freep) struct content *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->entry = entry_ref(e);
	c->verify = verify;
	c->file = -1;
	c->name = strdup(name);
	*ret = c->name ? STEAL(c) : NULL;
	return *ret ? 0 : -ENOMEM;
}

static int open_leaf(struct content *c)
{
	int r = leaf_open(c->entry, c->name, c->verify, &c->leaf);

	if (r == 0)
		c->size = leaf_size(c->leaf);
	return r;
}

static int open_slices(struct content *c)
{
	CLEANUP(assembly_freep) struct assembly *a = NULL;
	const char *reason;
	int r = entry_access(c->entry, &reason);

	if (r < 0) {
		log_error("%s: cannot be read: %s", c->name, reason);
		return r;
	}
	r = assembly_new(c->entry, c->name, c->verify, &a);
	c->size = entry_bytes(c->entry);
	if (r == 0 && dtype_size(entry_dtype(c->entry)) == 0)
		return assembly_make(a, &c->file, &c->size, &c->file_crc32c);
	if (r == 0)
		c->assembly = STEAL(a);
	return r;
}

int content_open(struct entry *e, const char *name, bool verify,
		 struct content **ret)
{
	CLEANUP(content_freep) struct content *c = NULL;
	int r = content_new(e, name, verify, &c);

	if (r == 0)
		r = entry_slices(e) ? open_slices(c) : open_leaf(c);
	if (r < 0)
		return r;
	*ret = STEAL(c);
	return 0;
}

uint64_t content_size(const struct content *c)
{
	return c->size;
}

bool content_made(const struct content *c)
{
	return c->leaf ? leaf_made(c->leaf) : c->file >= 0;
}

int content_read(struct content *c, void *buf, size_t n, uint64_t offset)
{
	int r;

	if (c->leaf)
		return leaf_read(c->leaf, buf, n, offset);
	if (c->assembly)
		return assembly_read(c->assembly, buf, n, offset);
	r = io_read_at(c->file, buf, n, offset);
	if (r == -EIO)
		log_error("%s: cannot be read: its disk has a fault", c->name);
	return r;
}

bool content_place(const struct content *c, int *ret_fd, uint64_t *ret_offset)
{
	if (c->leaf)
		return leaf_place(c->leaf, ret_fd, ret_offset);
	if (c->file < 0)
		return false;
	*ret_fd = c->file;
	*ret_offset = 0;
	return true;
}

bool content_crc32c(const struct content *c, uint32_t *ret)
{
	if (c->leaf)
		return leaf_crc32c(c->leaf, ret);
	*ret = c->file_crc32c;
	return c->file >= 0;
}

const void *content_map(const struct content *c, size_t n, uint64_t offset)
{
	return c->leaf ? leaf_map(c->leaf, n, offset) : NULL;
}

/* --- strings and variants ------------------------------------------------- */

/* Of strings and variants: where they lie, in whatever byte order; borrowed. */
static struct elements_source elements_of(const struct content *c)
{
	return c->leaf ? leaf_elements(c->leaf)
		       : (struct elements_source){
				 .fd = c->file,
				 .size = c->size,
				 .elements = entry_elements(c->entry),
				 .dtype = entry_dtype(c->entry),
				 .verify = c->verify,
				 .crc32c = c->file_crc32c,
				 .name = c->name,
			 };
}

int content_strings(const struct content *c, struct strings **ret)
{
	const struct elements_source lies = elements_of(c);
	const struct strings_source source = {
		.fd = lies.fd,
		.offset = lies.offset,
		.size = lies.size,
		.elements = lies.elements,
		.crc32c = lies.crc32c,
		.scalar = entry_shape(c->entry).rank == 0,
		.verify = lies.verify,
		.name = lies.name,
	};

	return strings_open(&source, ret);
}

/* --- records of V1 --------------------------------------------------------- */

static int check_record(struct entry *e, const char *name)
{
	CLEANUP(content_freep) struct content *c = NULL;

	return entry_v1(e) ? content_open(e, name, true, &c) : 0;
}

int content_check_records(struct entry *e)
{
	CLEANUP(free_ptr) char *name = entry_describe(e, "");
	int r = name ? check_record(e, name + 1) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < entry_slices(e); i++)
		r = check_record(entry_part(e, i), name + 1);
	return r;
}
