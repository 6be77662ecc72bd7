#include "core/value.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/io.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/strings.h"
#include "core/verify.h"

/* Smaller reads fault too much around them when they come from a map. */
#define MAP_MIN (UINT64_C(64) << 10)

struct value {
	atomic_uint refs;
	struct entry *entry;
	char *name;
	struct strings *strings; /* of a string tensor */
	atomic_bool verified;
	atomic_bool damaged;   /* all was read, and its checksum is wrong */
	pthread_mutex_t lock;  /* for `verify` */
	struct verify *verify; /* NULL once verified, or if nobody asked */
};

struct value *value_ref(struct value *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void value_unref(struct value *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	strings_free(v->strings);
	verify_free(v->verify);
	(void)pthread_mutex_destroy(&v->lock);
	entry_unref(v->entry);
	free(v->name);
	free(v);
}

static int open_strings(struct value *v, bool verify)
{
	const struct strings_source source = {
		.fd = shard_fd(entry_shard(v->entry)),
		.offset = entry_offset(v->entry),
		.size = entry_size(v->entry),
		.elements = entry_elements(v->entry),
		.crc32c = entry_crc32c(v->entry),
		.scalar = entry_shape(v->entry).rank == 0,
		.verify = verify,
		.name = v->name,
	};

	atomic_store(&v->verified, true);
	return strings_open(&source, &v->strings);
}

static int open_bytes(struct value *v, bool verify)
{
	/* Nobody reads an empty value, so nothing would complete it. */
	if (!verify || entry_size(v->entry) == 0) {
		atomic_store(&v->verified, true);
		return 0;
	}
	return verify_new(entry_size(v->entry), entry_crc32c(v->entry),
			  &v->verify);
}

int value_new(struct entry *e, const char *name, bool verify,
	      struct value **ret)
{
	CLEANUP(value_unrefp) struct value *v = NULL;
	const char *reason;
	int r = entry_access(e, &reason);

	if (r < 0) {
		log_error("%s: cannot be read: %s", name, reason);
		return r;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	atomic_init(&v->refs, 1);
	(void)pthread_mutex_init(&v->lock, NULL);
	v->entry = entry_ref(e);
	v->name = strdup(name);
	if (!v->name)
		return -ENOMEM;

	r = entry_dtype(e) == DT_STRING ? open_strings(v, verify)
					: open_bytes(v, verify);
	if (r == 0)
		*ret = STEAL(v);
	return r;
}

uint64_t value_size(const struct value *v)
{
	return v->strings ? strings_size(v->strings) : entry_size(v->entry);
}

/* Notes what was read; the read that completes the value tells its fault. */
static int check(struct value *v, uint64_t offset, const void *data, size_t n)
{
	int r = 0;

	pthread_mutex_lock(&v->lock);
	if (v->verify)
		r = verify_add(v->verify, offset, data, n);
	if (r == 1) {
		verify_free(STEAL(v->verify));
		atomic_store(&v->verified, true);
	}
	pthread_mutex_unlock(&v->lock);
	if (r == -EIO && !atomic_exchange(&v->damaged, true))
		log_error("%s: checksum mismatch: its %llu bytes in %s at %llu "
			  "are damaged; take them from a backup, or mount with "
			  "-o noverify to read them as they are",
			  v->name, (unsigned long long)entry_size(v->entry),
			  shard_name(entry_shard(v->entry)),
			  (unsigned long long)entry_offset(v->entry));
	return r < 0 ? r : 0;
}

static int read_shard(struct value *v, uint64_t offset, struct reading *ret)
{
	struct shard *shard = entry_shard(v->entry);
	int r = io_read_at(shard_fd(shard), ret->memory, ret->n,
			   entry_offset(v->entry) + offset);

	if (r == -EIO)
		log_error("%s: cannot be read: %s ends before it, or its disk "
			  "has a fault",
			  v->name, shard_name(shard));
	if (r == 0 && !atomic_load(&v->verified))
		r = check(v, offset, ret->memory, ret->n);
	return r;
}

static int read_strings(struct value *v, uint64_t offset, struct reading *ret)
{
	ssize_t got = strings_read(v->strings, ret->memory, ret->n, offset);

	if (got < 0) {
		log_error("%s: cannot be read: %s", v->name,
			  strerror((int)-got));
		return (int)got;
	}
	ret->n = (size_t)got;
	return 0;
}

static int read_memory(struct value *v, uint64_t offset, struct reading *ret)
{
	int r;

	ret->memory = malloc(ret->n);
	if (!ret->memory)
		return -ENOMEM;
	ret->data = ret->memory;
	r = v->strings ? read_strings(v, offset, ret)
		       : read_shard(v, offset, ret);
	if (r < 0)
		free(STEAL(ret->memory));
	return r;
}

int value_read(struct value *v, size_t n, uint64_t offset, struct reading *ret)
{
	struct reading got = { 0 };
	int r = 0;

	if (atomic_load(&v->damaged))
		return -EIO;
	if (offset < value_size(v))
		got.n = value_size(v) - offset < n ? value_size(v) - offset : n;
	if (got.n >= MAP_MIN && !v->strings && atomic_load(&v->verified))
		got.data = shard_map(entry_shard(v->entry),
				     entry_offset(v->entry) + offset, got.n);
	if (got.n > 0 && !got.data)
		r = read_memory(v, offset, &got);
	if (r < 0)
		return r;
	got.value = value_ref(v);
	*ret = got;
	return 0;
}

void reading_release(struct reading *r)
{
	free(r->memory);
	value_unref(r->value);
	*r = (struct reading){ 0 };
}
