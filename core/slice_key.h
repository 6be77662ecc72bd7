/*
 * slice_key.h - tell the key of a slice (slice.h) from that of a variable
 *
 * A key that begins with a NUL byte may be either: names are any bytes.
 */
#pragma once

#include <stdbool.h>

#include "core/coding.h"

/* Whether these bytes are the key of a slice, of whatever variable. */
bool slice_is_key(struct span key);
