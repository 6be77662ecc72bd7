/*
 * compact_links.h - whether the files of a checkpoint are known by other names
 *
 * A compaction puts other files in the place of those of a checkpoint.  Hard links keep
 * what they have.  A symbolic link would lead to the new ones, and who reads through it
 * looks for data by the name of the link, which for a while is not the right one.
 */
#pragma once

#include "core/bundle.h"

enum compact_links {
	COMPACT_FREE,
	COMPACT_LINK,   /* one of its files is a symbolic link */
	COMPACT_LINKED, /* one in its directory leads to one of its files */
	COMPACT_MISSING,
};

enum compact_links compact_is_linked(int dirfd, const struct bundle *b);
