/* list.h - `weightfs --list PATH`: what checkpoints hold, without a mount */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/options.h"

struct entry;

/*
 * One line a variable, or one a checkpoint where PATH is a directory.  An exit
 * code; a line in the log has said why if it is not EXIT_CODE_OK.
 */
enum exit_code list_run(const struct options *options);

/* What the values of a variable take; false where that is not known. */
bool list_bytes(const struct entry *e, bool v1, uint64_t *ret);
