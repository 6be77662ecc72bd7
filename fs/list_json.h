/*
 * list_json.h - `weightfs --list --json`
 *
 *	{"checkpoints": [
 *	{"prefix": "model.ckpt-3", "format": "V2", "variables": [
 *	{"key": "dense/kernel", "dtype": "float32", "shape": [784, 10], "bytes": 31360},
 *	...
 *	]}
 *	]}
 *
 * also where PATH is one checkpoint.  A key that is not UTF-8 stands as "key_base64"
 * instead of "key", and so a prefix.  "bytes" is null where it is not known, "variables"
 * where the checkpoint cannot be read.  A partitioned variable has "slices": how many.
 */
#pragma once

#include "fs/named.h"

/* The first error there was, after lines in the log. */
int list_json(const struct named_list *t);
