/* convert.h - `weightfs --convert --to v1|v2 SRC DST` */
#pragma once

#include "fs/options.h"

enum exit_code convert_run(const struct options *options);
