#include "core/block_scan.h"

#include <errno.h>
#include <string.h>

#include "core/block.h"
#include "core/crc32c.h"
#include "core/stream.h"

#define RESTART_SIZE sizeof(uint32_t)

/* What of a key is known while its bytes go by. */
struct match {
	struct span wanted;
	uint64_t len;    /* of the present key */
	uint64_t common; /* how many of its first bytes are those of `wanted` */
};

/* Says why, and answers what the caller does. */
static int fault(int r, const char *phrase, const char **ret_fault)
{
	*ret_fault = r == -EBADMSG || r == -EIO ? phrase : strerror(-r);
	return r == -EBADMSG ? -EIO : r;
}

int block_check(int fd, struct stretch at, uint8_t *ret_type,
		const char **ret_fault)
{
	struct stream s;
	uint32_t crc = 0, stored;
	uint8_t trailer[BLOCK_TRAILER_SIZE];
	struct span rest = { trailer + 1, sizeof(trailer) - 1 };
	int r = 0;

	stream_init(&s, fd, at.offset, at.size + BLOCK_TRAILER_SIZE);
	while (r == 0 && stream_left(&s) > BLOCK_TRAILER_SIZE) {
		struct span got;

		r = stream_take(&s, stream_left(&s) - BLOCK_TRAILER_SIZE, &got);
		if (r == 0)
			crc = crc32c_extend(crc, got.data, got.len);
	}
	if (r == 0)
		r = stream_read(&s, trailer, sizeof(trailer));
	if (r < 0)
		return fault(r, "block that cannot be read", ret_fault);
	(void)span_get_fixed32(&rest, &stored);
	if (crc32c_unmask(stored) != crc32c_extend(crc, trailer, 1))
		return fault(-EIO, "block with a wrong checksum", ret_fault);
	*ret_type = trailer[0];
	return 0;
}

/* The length of the entries; only the last four bytes of the block tell. */
static int entries_len(int fd, struct stretch at, uint64_t *ret)
{
	struct stream s;
	uint8_t bytes[RESTART_SIZE];
	struct span rest = { bytes, sizeof(bytes) };
	uint32_t restarts;
	int r;

	if (at.size < RESTART_SIZE)
		return -EBADMSG;
	stream_init(&s, fd, at.offset + at.size - RESTART_SIZE, RESTART_SIZE);
	r = stream_read(&s, bytes, sizeof(bytes));
	if (r < 0)
		return r;
	(void)span_get_fixed32(&rest, &restarts);
	if (restarts == 0 || restarts > (at.size - RESTART_SIZE) / RESTART_SIZE)
		return -EBADMSG;
	*ret = at.size - RESTART_SIZE - (uint64_t)restarts * RESTART_SIZE;
	return 0;
}

/* `n` more bytes of the key, at its end. */
static int match_more(struct match *m, struct stream *s, uint64_t n)
{
	while (n > 0) {
		struct span got;
		int r = stream_take(s, n, &got);

		if (r < 0)
			return r;
		if (m->common == m->len && m->len < m->wanted.len)
			m->common += block_common_prefix(
				(struct span){ m->wanted.data + m->len,
					       m->wanted.len - m->len },
				got);
		m->len += got.len;
		n -= got.len;
	}
	return 0;
}

static bool matches(const struct match *m)
{
	return m->len == m->wanted.len && m->common == m->len;
}

/* Reads one entry up to its value. */
static int next_key(struct stream *s, struct match *m, uint64_t *ret_value_len)
{
	uint64_t shared, unshared = 0;
	int r = stream_get_varint(s, &shared);

	if (r == 0)
		r = stream_get_varint(s, &unshared);
	if (r == 0)
		r = stream_get_varint(s, ret_value_len);
	if (r < 0)
		return r;
	if (shared > m->len || *ret_value_len > UINT32_MAX)
		return -EBADMSG;
	m->len = shared;
	if (m->common > shared)
		m->common = shared;
	r = match_more(m, s, unshared);
	return r == 0 && *ret_value_len > stream_left(s) ? -EBADMSG : r;
}

static int scan(int fd, struct stretch at, struct span key, struct stretch *ret)
{
	struct match m = { .wanted = key };
	struct stream s;
	uint64_t n;
	int r = entries_len(fd, at, &n);

	if (r < 0)
		return r;
	stream_init(&s, fd, at.offset, n);
	while (stream_left(&s) > 0) {
		r = next_key(&s, &m, &n);
		if (r < 0)
			return r;
		if (matches(&m)) {
			*ret = (struct stretch){ stream_offset(&s), n };
			return 1;
		}
		r = stream_skip(&s, n);
		if (r < 0)
			return r;
	}
	return 0;
}

int block_scan(int fd, struct stretch at, struct span key, struct stretch *ret,
	       const char **ret_fault)
{
	int r = scan(fd, at, key, ret);

	return r < 0 ? fault(r, "block with an entry that does not fit into it",
			     ret_fault)
		     : r;
}
