/* What needs nothing but a stage's own functions. */
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/stage.h"

#define CHUNK (UINT64_C(256) << 10)

int stage_clone(struct stage *s, struct stage **ret)
{
	CLEANUP(stage_unrefp) struct stage *copy = NULL;
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	int r = chunk ? stage_new(stage_shard(s), NULL, STAGE_UNKNOWN, &copy)
		      : -ENOMEM;

	for (uint64_t at = 0; r == 0; at += CHUNK) {
		ssize_t n = stage_read(s, chunk, CHUNK, at);

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		r = stage_write(copy, chunk, (size_t)n, at);
	}
	if (r == 0)
		*ret = STEAL(copy);
	return r;
}
