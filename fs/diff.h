/* diff.h - `weightfs --diff A B` */
#pragma once

#include "fs/options.h"

enum exit_code diff_run(const struct options *options);
