/*
 * v1_record.h - where a V1 file has the value of an entry
 *
 * The value of a whole tensor, or of one slice of it, is one record of the table, under
 * the key of slice.h.  A record never changes and is counted: entries that are renamed
 * or reshaped share it, since its bytes stay what they are.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/block_scan.h"
#include "core/coding.h"

struct v1_file;
struct v1_record;

/* References `file` and copies the key of the record in its table. */
int v1_record_new(struct v1_file *file, struct span key, int32_t dtype,
		  uint64_t elements, struct v1_record **ret);
struct v1_record *v1_record_ref(struct v1_record *r);
void v1_record_unref(struct v1_record *r);

struct v1_file *v1_record_file(const struct v1_record *r); /* borrowed */
struct span v1_record_key(const struct v1_record *r);
/* Of the values as the file has them: an entry may say something else by now. */
int32_t v1_record_dtype(const struct v1_record *r);
uint64_t v1_record_elements(const struct v1_record *r);

/*
 * For v1_value.c: where the file has the value just as it is, once that is known; under
 * the lock, which is held while a value is looked for.
 */
pthread_mutex_t *v1_record_lock(struct v1_record *r);
bool v1_record_place(const struct v1_record *r, struct stretch *ret);
void v1_record_set_place(struct v1_record *r, struct stretch at);
