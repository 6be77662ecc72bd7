#include "core/piece.h"

#include <byteswap.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/io.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/verify.h"

struct piece {
	struct entry *entry;
	char *name;
	size_t turned; /* numbers of so many bytes are to be turned around, or 0 */
	atomic_bool verified;
	atomic_bool damaged;  /* all was read, and its checksum is wrong */
	pthread_mutex_t lock; /* for `verify` */
	struct verify *verify; /* of numbers; NULL where there is nothing to do */
};

/* --- byte order ----------------------------------------------------------- */

size_t bytes_turned(int32_t dtype)
{
	size_t size = dtype_size(dtype);

	return dtype == DT_COMPLEX64 || dtype == DT_COMPLEX128 ? size / 2
							       : size;
}

/* The bytes need not be aligned. */
#define TURN(type, swap)                                               \
	for (size_t i = 0; i + sizeof(type) <= n; i += sizeof(type)) { \
		type number;                                           \
		memcpy(&number, at + i, sizeof(number));               \
		number = swap(number);                                 \
		memcpy(at + i, &number, sizeof(number));               \
	}

static void turn(size_t turned, void *data, size_t n)
{
	uint8_t *at = data;

	if (turned == 2)
		TURN(uint16_t, bswap_16)
	else if (turned == 4)
		TURN(uint32_t, bswap_32)
	else if (turned == 8)
		TURN(uint64_t, bswap_64)
}

void bytes_turn(int32_t dtype, void *data, size_t n)
{
	turn(bytes_turned(dtype), data, n);
}

/* --- life ----------------------------------------------------------------- */

void piece_free(struct piece *p)
{
	if (!p)
		return;
	verify_free(p->verify);
	(void)pthread_mutex_destroy(&p->lock);
	entry_unref(p->entry);
	free(p->name);
	free(p);
}

/* Nobody reads an empty value, so nothing would complete it; variants were looked at. */
static bool to_be_verified(const struct entry *e)
{
	return entry_size(e) != 0 && entry_dtype(e) != DT_VARIANT;
}

int piece_new(struct entry *e, const char *name, bool verify,
	      struct piece **ret)
{
	CLEANUP(piece_freep) struct piece *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return -ENOMEM;
	(void)pthread_mutex_init(&p->lock, NULL);
	p->entry = entry_ref(e);
	if (shard_big_endian(entry_shard(e)) &&
	    bytes_turned(entry_dtype(e)) > 1)
		p->turned = bytes_turned(entry_dtype(e));
	p->name = strdup(name);
	if (!p->name)
		return -ENOMEM;
	if (!verify || !to_be_verified(e))
		atomic_store(&p->verified, true);
	else if (entry_dtype(e) != DT_STRING)
		r = verify_new(entry_size(e), entry_crc32c(e), &p->verify);
	if (r == 0)
		*ret = STEAL(p);
	return r;
}

/* --- reading -------------------------------------------------------------- */

/* Of strings the checksum is over other bytes than these: 1 or negative errno. */
static int check_strings(const struct piece *p)
{
	const struct elements_source source = {
		.fd = shard_fd(entry_shard(p->entry)),
		.offset = entry_offset(p->entry),
		.size = entry_size(p->entry),
		.elements = entry_elements(p->entry),
		.dtype = entry_dtype(p->entry),
		.verify = true,
	};
	uint32_t crc = 0;
	int r = elements_check(&source, &crc);

	if (r < 0)
		return r;
	return crc == entry_crc32c(p->entry) ? 1 : -EIO;
}

/* Notes what was read: the read that completes a piece tells its fault, of strings the first. */
static int check(struct piece *p, uint64_t offset, const void *data, size_t n)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	if (p->verify)
		r = verify_add(p->verify, offset, data, n);
	else if (!atomic_load(&p->verified))
		r = check_strings(p);
	if (r == 1) {
		verify_free(STEAL(p->verify));
		atomic_store(&p->verified, true);
	}
	pthread_mutex_unlock(&p->lock);
	if (r == -EIO && !atomic_exchange(&p->damaged, true))
		log_error("%s: checksum mismatch: its %llu bytes in %s at %llu "
			  "are damaged; take them from a backup, or mount with "
			  "-o noverify to read them as they are",
			  p->name, (unsigned long long)entry_size(p->entry),
			  shard_name(entry_shard(p->entry)),
			  (unsigned long long)entry_offset(p->entry));
	return r < 0 ? r : 0;
}

/* As they are in the file. */
static int read_file(struct piece *p, void *buf, size_t n, uint64_t offset)
{
	struct shard *shard = entry_shard(p->entry);
	int r = io_read_at(shard_fd(shard), buf, n,
			   entry_offset(p->entry) + offset);

	if (r == -EIO)
		log_error("%s: cannot be read: %s ends before it, or its disk "
			  "has a fault",
			  p->name, shard_name(shard));
	if (r == 0 && !atomic_load(&p->verified))
		r = check(p, offset, buf, n);
	return r;
}

/* Whole numbers around the bytes that are wanted: these may begin within one. */
static int read_turned(struct piece *p, void *buf, size_t n, uint64_t offset)
{
	size_t before = offset % p->turned;
	size_t whole = (before + n + p->turned - 1) / p->turned * p->turned;
	CLEANUP(free_ptr) uint8_t *memory = NULL;
	uint8_t *numbers = buf;
	int r;

	if (whole != n) {
		memory = malloc(whole);
		numbers = memory;
	}
	if (!numbers)
		return -ENOMEM;
	r = read_file(p, numbers, whole, offset - before);
	if (r < 0)
		return r;
	turn(p->turned, numbers, whole);
	if (memory)
		memcpy(buf, memory + before, n);
	return 0;
}

int piece_read(struct piece *p, void *buf, size_t n, uint64_t offset)
{
	if (atomic_load(&p->damaged))
		return -EIO;
	return p->turned ? read_turned(p, buf, n, offset)
			 : read_file(p, buf, n, offset);
}

bool piece_plain(const struct piece *p)
{
	return !p->turned;
}

const void *piece_map(const struct piece *p, size_t n, uint64_t offset)
{
	if (p->turned || !atomic_load(&p->verified))
		return NULL;
	return shard_map(entry_shard(p->entry), entry_offset(p->entry) + offset,
			 n);
}
