/*
 * v1_file.h - one file of a V1 checkpoint, open
 *
 * A V1 checkpoint is one table file PREFIX, or PREFIX-NNNNN-of-MMMMM; values lie in
 * the table itself.  A file is opened when its list is read, and stays open as long as
 * an entry of it is held: what somebody renames over its path is another file.  It
 * never changes; its index block stays in memory.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "core/cleanup.h"

struct spools;
struct table;
struct v1_cache;
struct v1_file;

/*
 * Opens the file `name` of `dirfd`, which is borrowed and must outlive it.  -EINVAL
 * where it does not end as a table does, -EIO after a log line where it is damaged.
 */
int v1_file_open(int dirfd, const char *name, struct v1_file **ret);
/* PREFIX-NNNNN-of-MMMMM, or PREFIX where `n` is 0; to be freed; NULL without memory. */
char *v1_file_name_of(const char *prefix, unsigned i, unsigned n);
struct v1_file *v1_file_ref(struct v1_file *f);
void v1_file_unref(struct v1_file *f);
DEFINE_CLEANUP(struct v1_file, v1_file_unref)

const char *v1_file_name(const struct v1_file *f);
/* For reading; the file keeps it. */
int v1_file_fd(const struct v1_file *f);
const struct table *v1_file_table(const struct v1_file *f);
/* Of its values: those just decoded, and those that are read. */
struct v1_cache *v1_file_cache(const struct v1_file *f);
struct spools *v1_file_spools(const struct v1_file *f);
/* As it was when it was opened. */
const struct stat *v1_file_stat(const struct v1_file *f);

/* Whether its path still leads to this very file: 1, 0, or negative errno. */
int v1_file_current(struct v1_file *f);

/*
 * It has got another name, and is the same.  As with shard_move(), the old name is
 * still used by who just looks.
 */
int v1_file_move(struct v1_file *f, int dirfd, const char *name);

/*
 * A file without a name for `n` bytes: in memory if they are few or the disk cannot
 * be written to, else in the directory of the file.  A descriptor, to be closed.
 */
int v1_file_spool(const struct v1_file *f, uint64_t n);
