/*
 * v1_cache.h - the latest decoded values of a V1 file
 *
 * Each has a file of its own, so few are kept, and none that is large: who goes on
 * reading a value holds it.  Any thread may call any function.
 */
#pragma once

#include "core/coding.h"

struct v1_cache;
struct v1_value;

int v1_cache_new(struct v1_cache **ret);
void v1_cache_free(struct v1_cache *c);

/* Counted; NULL if it is not there. */
struct v1_value *v1_cache_get(struct v1_cache *c, struct span key);
/* References the value, and lets go of others. */
void v1_cache_put(struct v1_cache *c, struct span key, struct v1_value *v);
