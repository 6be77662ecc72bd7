/* check.h - `weightfs --check` */
#pragma once

#include "fs/options.h"

enum exit_code check_run(const struct options *options);
