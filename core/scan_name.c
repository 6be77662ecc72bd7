#include "core/scan_name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/state.h"

#define INDEX  ".index"
#define DATA   ".data"
#define EVENTS "events.out.tfevents"

size_t scan_stem(const char *text)
{
	const char *at = text + strlen(text);
	const char *digits = at;

	while (at > text && isdigit((unsigned char)at[-1]))
		at--;
	if (digits - at < 5 || at - text < 4 || strncmp(at - 4, "-of-", 4) != 0)
		return 0;
	at -= 4;
	digits = at;
	while (at > text && isdigit((unsigned char)at[-1]))
		at--;
	if (digits - at < 5 || at - text < 2 || at[-1] != '-')
		return 0;
	return (size_t)(at - 1 - text);
}

size_t scan_shard_prefix(const char *text)
{
	size_t len = scan_stem(text);

	if (len <= strlen(DATA) ||
	    strncmp(text + len - strlen(DATA), DATA, strlen(DATA)) != 0)
		return 0;
	return len - strlen(DATA);
}

bool scan_may_be_v1(const char *text)
{
	static const char *const ends[] = { ".meta", ".pb", ".json", ".txt",
					    ".h5",   ".py", ".pbtxt" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (*text && span_ends_in(span_of(text), ends[i]))
			return false;
	return strcmp(text, STATE_FILE) != 0 &&
	       strncmp(text, EVENTS, strlen(EVENTS)) != 0;
}

/* NAME of `.NAME.XXXXXX`, as rsync calls what it is about to rename; else all. */
static struct span renamed_to(struct span name)
{
	const size_t random = strlen(".XXXXXX");
	struct span rest = name, cut;

	if (name.len > random + 1 && name.data[0] == '.' &&
	    name.data[name.len - random] == '.' && span_take(&rest, 1, &cut))
		rest.len -= random;
	return rest;
}

bool scan_beside_checkpoint(struct span name)
{
	static const char *const ends[] = { INDEX, ".meta", SAVED_MODEL_FILE,
					    ".pbtxt" };
	struct span to = renamed_to(name);
	CLEANUP(free_ptr)
	char *text = strndup((const char *)to.data, to.len);

	for (size_t i = 0; text && i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t len = strlen(text), n = strlen(ends[i]);

		if (len >= n && strcmp(text + len - n, ends[i]) == 0)
			return true;
	}
	return text && (strcmp(text, STATE_FILE) == 0 || scan_stem(text) ||
			strncmp(text, EVENTS, strlen(EVENTS)) == 0);
}
