/* list.h - `weightfs --list PATH`: what checkpoints hold, without a mount */
#pragma once

#include "fs/options.h"

/*
 * One line a variable, or one a checkpoint where PATH is a directory.  An exit
 * code; a line in the log has said why if it is not EXIT_CODE_OK.
 */
enum exit_code list_run(const struct options *options);
