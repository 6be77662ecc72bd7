/* compact.h - `weightfs --compact` */
#pragma once

#include "fs/options.h"

enum exit_code compact_run(const struct options *options);
