/*
 * full_names.h - the variables of a checkpoint by the names that programs gave them
 *
 * In an object-based checkpoint each variable may have a full name, as TensorFlow 1 would
 * have called it; in a name-based one that is its key.  Laid out like keys: slashes make
 * scopes, components are encoded as name.h says, and a scope whose name is that of a
 * variable as well shows as NAME.d.  Variables without a name, or
 * with one longer than a path, are left out.  Of several
 * with one name, the first by its path in the tree has it; the others are `NAME%#2`,
 * `NAME%#3`, which no name encodes to.
 *
 * It is a picture of one moment, never changes, and is counted.
 */
#pragma once

#include <stdint.h>

#include "core/cleanup.h"
#include "core/coding.h"

struct checkpoint;
struct full_names;

/* As reading the checkpoint: -EIO and the like. */
int full_names_new(struct checkpoint *cp, struct full_names **ret);
struct full_names *full_names_ref(struct full_names *f);
void full_names_unref(struct full_names *f);
DEFINE_CLEANUP(struct full_names, full_names_unref)

enum full_name_kind {
	FULL_NAME_NONE,
	FULL_NAME_SCOPE,
	FULL_NAME_VARIABLE,
};

/*
 * What `path` is, from the top, "" for that itself; of a variable also its path in the
 * checkpoint's tree, which is borrowed.
 */
enum full_name_kind full_names_find(const struct full_names *f,
				    struct span path, struct span *ret_target);

/*
 * The next name in the scope `path` from `*cookie` on, 0 for the first, appended to
 * `name`; FULL_NAME_NONE at the end.
 */
enum full_name_kind full_names_list(const struct full_names *f,
				    struct span path, uint64_t *cookie,
				    struct buf *name);
