/*
 * name.h - from the components of a key to names in a directory, and back
 *
 * A key is cut at its slashes; each component becomes one name, one to one:
 *
 *	%XX	for `%` and NUL, wherever they stand
 *		for the first byte of a component that is `.` or `..`
 *		for the last dot of one that ends in `.shape`, `.dtype` or `.d`
 *		for the first byte of a top-level one that is `.weightfs`
 *		for `/`, which the name of an edge of an object graph may hold
 *	%	alone, for the empty component
 *	%~H	at the end of a name that would have been too long: H is 16 hex
 *		digits of a hash of the whole component
 *
 * All other bytes stand as they are, be they UTF-8 or not.  So a name that ends in
 * `.shape` or `.dtype` is always a sidecar, and one in `.d` always a directory.
 */
#pragma once

#include <stdbool.h>

#include "core/coding.h"

/* The longest name made here: our longest suffix, `.safetensors`, still fits. */
#define NAME_MAX_LEN (255 - 12)

#define NAME_HIDDEN_DIR ".weightfs"

enum name_suffix {
	NAME_PLAIN,
	NAME_SHAPE, /* NAME.shape */
	NAME_DTYPE, /* NAME.dtype */
	NAME_SCOPE, /* NAME.d */
};

/*
 * Appends the name of `component` to `out`.  `top` says that it stands at the top
 * of a mount.  `attempt` is 0, and 1, 2, ... where the cut name collides with that
 * of another component: the hash then covers the attempt as well.
 */
void name_encode(struct span component, bool top, unsigned attempt,
		 struct buf *out);

/*
 * Appends another name for `component`, for where the one above is taken: the first
 * byte is `%XX`, whatever it is, and the empty component is `%%`.
 */
void name_encode_escaped(struct span component, unsigned attempt,
			 struct buf *out);

/*
 * Appends the component that `name` stands for to `out`: 0; -EINVAL if none does
 * (a stray `%`, an escape that name_encode() would not write, a reserved suffix);
 * -ENOENT if the name is a cut one, which only a table of those can undo.
 */
int name_decode(struct span name, bool top, struct buf *out);

/* Whether name_encode() cut it: whether it ends in `%~` and 16 hex digits. */
bool name_is_cut(struct span name);

/* Splits a reserved suffix off `name`: which one, and what stands before it. */
enum name_suffix name_split(struct span name, struct span *ret_stem);

/* The suffix as text: "", ".shape", ".dtype" or ".d". */
const char *name_suffix_text(enum name_suffix suffix);
