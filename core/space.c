#include "core/space.h"

#include <stdlib.h>
#include <string.h>

struct waiting {
	struct room room;
	enum room_owner owner;
	int64_t since;
};

static uint64_t end_of(struct room r)
{
	return r.offset + r.size;
}

/* The first that does not end before `offset`; `r->n` if all do. */
static size_t find(const struct rooms *r, uint64_t offset)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (end_of(r->at[mid]) < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Puts `n` rooms in the place of those from `from` to before `to`. */
static void replace(struct rooms *r, size_t from, size_t to,
		    const struct room *with, size_t n)
{
	size_t after = r->n - to;

	if (r->n - (to - from) + n > r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 8;
		struct room *at = reallocarray(r->at, cap, sizeof(*at));

		if (!at) /* then what is there may be forgotten, not grow */
			n = 0;
		else {
			r->at = at;
			r->cap = cap;
		}
	}
	if (after > 0)
		memmove(r->at + from + n, r->at + to, after * sizeof(*r->at));
	for (size_t i = 0; i < n; i++)
		r->at[from + i] = with[i];
	r->n = from + n + after;
}

void rooms_add(struct rooms *r, struct room room)
{
	size_t from = find(r, room.offset), to = from;
	uint64_t end = end_of(room);

	if (room.size == 0)
		return;
	for (; to < r->n && r->at[to].offset <= end; to++) {
		if (r->at[to].offset < room.offset)
			room.offset = r->at[to].offset;
		if (end_of(r->at[to]) > end)
			end = end_of(r->at[to]);
	}
	room.size = end - room.offset;
	replace(r, from, to, &room, 1);
}

void rooms_cut(struct rooms *r, struct room room)
{
	size_t from = find(r, room.offset), to = from;
	struct room rest[2];
	size_t n = 0;

	if (room.size == 0)
		return;
	for (; to < r->n && r->at[to].offset < end_of(room); to++) {
		struct room at = r->at[to];

		if (at.offset < room.offset)
			rest[n++] = (struct room){ at.offset,
						   room.offset - at.offset };
		if (end_of(at) > end_of(room))
			rest[n++] = (struct room){ end_of(room),
						   end_of(at) - end_of(room) };
	}
	if (to > from)
		replace(r, from, to, rest, n);
}

bool rooms_take(struct rooms *r, uint64_t n, uint64_t *ret_offset)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->at[i].size < n)
			continue;
		*ret_offset = r->at[i].offset;
		rooms_cut(r, (struct room){ r->at[i].offset, n });
		return true;
	}
	return false;
}

void rooms_release(struct rooms *r)
{
	free(r->at);
	*r = (struct rooms){ 0 };
}

void space_forget(struct space *s)
{
	s->free.n = 0;
	s->n = 0;
}

void space_release(struct space *s)
{
	rooms_release(&s->free);
	free(s->waiting);
	*s = (struct space){ 0 };
}

void space_wait(struct space *s, struct room room, enum room_owner owner,
		int64_t now)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 8;
		struct waiting *w = reallocarray(s->waiting, cap, sizeof(*w));

		if (!w)
			return;
		s->waiting = w;
		s->cap = cap;
	}
	s->waiting[s->n++] = (struct waiting){ room, owner, now };
}

static bool is_due(const struct waiting *w, enum room_owner owner,
		   int64_t until)
{
	return w->owner == owner && w->since <= until;
}

bool space_due(const struct space *s, enum room_owner owner, int64_t until)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_due(&s->waiting[i], owner, until))
			return true;
	return false;
}

static int by_offset(const void *a, const void *b)
{
	const struct waiting *wa = a, *wb = b;

	return (wa->room.offset > wb->room.offset) -
	       (wa->room.offset < wb->room.offset);
}

void space_collect(struct space *s, enum room_owner owner, int64_t until,
		   struct rooms *ret)
{
	size_t kept = 0;

	/* In their order each goes to the end, which takes no time. */
	if (s->n > 0)
		qsort(s->waiting, s->n, sizeof(*s->waiting), by_offset);
	for (size_t i = 0; i < s->n; i++) {
		if (is_due(&s->waiting[i], owner, until))
			rooms_add(ret, s->waiting[i].room);
		else
			s->waiting[kept++] = s->waiting[i];
	}
	s->n = kept;
}
