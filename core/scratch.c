#include "core/scratch.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

bool scratch_name(struct span name)
{
	static const char *const patterns[] = { ".*.sw?", "*~",   ".#*",
						"#*#",    "4913", ".nfs*" };
	char text[256];

	if (name.len >= sizeof(text))
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = 0;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (fnmatch(patterns[i], text, 0) == 0)
			return true;
	return false;
}
