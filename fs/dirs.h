/*
 * dirs.h - listings
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "fs/fs.h"

/* How the kernel is to treat the listing: fields of fuse_file_info. */
struct listing_cache {
	bool cache_readdir;
	bool keep_cache;
};

/* Looks whether somebody else replaced what is about to be listed. */
int dirs_open(struct fs *fs, fuse_ino_t node, struct listing_cache *ret);

/*
 * What fits into `size` bytes of the listing of `node` from `off` on, and how many they
 * are.  `plus` adds attributes, and each name then counts as a look-up.
 */
int64_t dirs_list(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		  bool plus, char **ret);
