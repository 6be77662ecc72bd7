#include "core/compact_grow.h"

#include <errno.h>
#include <fcntl.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/io.h"

int compact_grow(const struct bundle *b, uint64_t size, struct buf *ret)
{
	uint64_t old = bundle_id(b)->size;
	uint8_t footer[TABLE_FOOTER_SIZE];
	CLEANUP(free_ptr) char *name = bundle_index_name(bundle_prefix(b));
	CLEANUP(close_fd) int fd = -1;
	int r;

	if (size < old + sizeof(footer) || old < sizeof(footer))
		return 0;
	if (!name)
		return -ENOMEM;
	fd = io_open(bundle_dirfd(b), name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	r = io_read_file(fd, old, ret);
	if (r == -EFBIG || (r == 0 && ret->len != old))
		return -ESTALE;
	if (r == 0)
		r = io_read_at(fd, footer, sizeof(footer),
			       old - sizeof(footer));
	buf_put_zeros(ret, size - old - sizeof(footer));
	buf_put(ret, footer, sizeof(footer));
	return r < 0 ? r : buf_error(ret);
}
