/*
 * variable.h - a variable for as long as it is mounted
 *
 * A variable stands for one value through all commits of this mount: its present
 * entry changes, its key may, it does not.  It knows how the entry is read (a value)
 * and what is being written over it (a draft).  A new one has no entry before it was
 * given dtype, shape and bytes that agree.  When somebody else replaces the
 * checkpoint, it is dead: those who have it open go on with what it was, and a new
 * variable, with the same inode number, takes its names.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/attributes.h"
#include "core/cleanup.h"
#include "core/entry.h"
#include "core/type.h"
#include "core/value.h"

struct node;
struct variable;

/* Which of its files is meant; and what else a name may lead to. */
enum facet {
	FACET_SHAPE, /* the sidecars sort before the value: cp sorts by inode */
	FACET_DTYPE,
	FACET_VALUE,
	FACET_SCOPE,
	FACET_LINK,
};

/*
 * `label` is what messages call the checkpoint, borrowed; `verify` whether checksums
 * are checked.  `e` is NULL for a new one, which is called `key`.
 */
int variable_new(struct entry *e, struct span key, const char *label,
		 bool verify, uint64_t id, struct variable **ret);
struct variable *variable_ref(struct variable *v);
void variable_unref(struct variable *v);
DEFINE_CLEANUP(struct variable, variable_unref)

uint64_t variable_id(const struct variable *v);
uint64_t variable_ino(const struct variable *v);
/* It stands in for another one, and has the inode number of that; before anyone sees it. */
void variable_stand_in(struct variable *v, const struct variable *old);
/* The present entry, counted; NULL of a new one. */
struct entry *variable_entry(struct variable *v);

/*
 * Its value `was` is on disk as `e`, perhaps in another place; of no effect where it has
 * another value by now.
 */
void variable_follow(struct variable *v, const struct entry *was,
		     struct entry *e);

/*
 * `v` was made anew in the place of `former`, which comes back if `v` is refused: until
 * then it is held.  variable_former() is borrowed, NULL if there is none any more.
 */
void variable_succeed(struct variable *v, struct variable *former);
struct variable *variable_former(struct variable *v);

/* The key it is stored under, or was before it lost its name; appended. */
int variable_key(struct variable *v, struct buf *ret);
/* Gives it another key: the entry stays where its bytes are. */
int variable_rename(struct variable *v, struct span key);
/* Whether what is taken over belongs into the checkpoint: it has a name of its own. */
bool variable_stored(struct variable *v);
void variable_set_stored(struct variable *v, bool stored);

/* Whether it is not in the object graph, if there is one: new ones are not. */
bool variable_loose(struct variable *v);
void variable_set_loose(struct variable *v, bool loose);

/* Whether nothing was taken over yet. */
bool variable_is_new(struct variable *v);
/* Whether nobody said what it is: it is new, or was settled. */
bool variable_untyped(struct variable *v);
/* Whether it has bytes, be they few: a file, and not only sidecars. */
bool variable_has_value(struct variable *v);
void variable_make_value(struct variable *v);

/* dtype and shape that its next value has to fit; to be released. */
int variable_type(struct variable *v, struct type *ret);
/* What a new variable is to be, if its bytes fit it; copied. */
int variable_remember(struct variable *v, const struct type *t);

/* What was taken over of it did not come to the disk, and never will; told once. */
void variable_set_loss(struct variable *v, int why);
int variable_take_loss(struct variable *v);

bool variable_dead(struct variable *v);
void variable_kill(struct variable *v);
/*
 * The same, since somebody else replaced its checkpoint.  What was written to it, or is
 * yet, is judged all the same, to be kept: of one that belonged there, and nobody has removed.
 */
void variable_overtake(struct variable *v);
bool variable_overtaken(struct variable *v);
/* Whether bytes of it are yet to be judged, and no longer go where they were meant to. */
bool variable_needs_aside(struct variable *v);
void variable_turn_aside(struct variable *v, struct shard *aside);

/* The names it has in the tree: st_nlink. */
void variable_add_link(struct variable *v, int change);
unsigned variable_links(struct variable *v);

/* For the tree: the first of the nodes that have it.  The checkpoint's lock covers it. */
struct node **variable_names(struct variable *v);

/* Length, blocks and links, and what chmod and the like have set, into `st`. */
int variable_stat(struct variable *v, enum facet facet, struct stat *st);
/*
 * Mode and owner are those of all its files, times are each one's own: rsync takes a file
 * of the same size and time for equal.
 */
void variable_set_attributes(struct variable *v, enum facet facet,
			     const struct attributes *a);

/* -ESTALE if it is dead, or what value_new() says. */
int variable_open_reader(struct variable *v);
/* From the stage, if there is one, else from the present entry. */
int variable_read(struct variable *v, size_t n, uint64_t offset,
		  struct reading *ret);

/*
 * Before the first write: new bytes go to `shard`; `truncate` empties the stage.
 * -ESTALE; -EOPNOTSUPP, -EIO after a log line for what cannot be written.
 */
int variable_open_writer(struct variable *v, struct shard *shard,
			 bool truncate);
/* The same for a sidecar, which may ask for the bytes to be written anew. */
void variable_give_shard(struct variable *v, struct shard *shard);
unsigned variable_writers(struct variable *v);
/* Whether somebody is still writing: has it open, and has not closed it since. */
bool variable_unclosed(struct variable *v);
/* Whether something was made or written that is not in force. */
bool variable_unfinished(struct variable *v);
/* Whether somebody has it open for writing, or a stage stands beside it. */
bool variable_writing(struct variable *v);
/* As stage_write(), with a log line for what fails. */
int variable_write(struct variable *v, const void *data, size_t n,
		   uint64_t offset);
/* The size of the stage, by who writes nothing else: this is what is to be judged. */
int variable_set_size(struct variable *v, uint64_t size);
/* As fallocate(2) without flags. */
int variable_allocate(struct variable *v, uint64_t offset, uint64_t n);
/*
 * Copies between two values, from `from_offset` to `to_offset`: how many bytes;
 * -EOPNOTSUPP where they have to be read and written, as all but whole values, which
 * have a checksum to take along.  A value that is new is then of the type of the other
 * one all the same.
 */
int64_t variable_copy(struct variable *from, uint64_t from_offset,
		      struct variable *to, uint64_t to_offset, uint64_t n);
/*
 * Judges the stage, `last` when nobody writes any more: 1 if it became the present entry;
 * 0 if there is nothing to judge, or it waits for its type; -EINVAL after a log line if it
 * does not fit.  Of a dead one -ESTALE, unless it was overtaken and the stage is a value.
 */
int variable_flush(struct variable *v, bool last);
/*
 * For what waits for a type and gets none: makes it uint8 and as long as it is.  As
 * variable_flush().
 */
int variable_settle(struct variable *v);
/* What was settled is to have a type after all: 1 if it fits, 0 if not, or if it has one. */
int variable_refit(struct variable *v);
/* The end of a writer; the last one drops a stage, and true says that it did. */
bool variable_close_writer(struct variable *v);
/* `from` was to replace `v`, and does not fit: it is kept aside for a while. */
int variable_set_aside(struct variable *v, struct variable *from);

/* `v` gets what `from` has aside. */
int variable_take_aside(struct variable *v, struct variable *from);
/* The one line about it. */
void variable_tell_misfit(struct variable *from, struct variable *v);

/* The text of a sidecar, appended. */
int variable_sidecar(struct variable *v, enum facet facet, struct buf *ret);
/* Whether it says something that is not in force. */
bool variable_declared(struct variable *v, enum facet facet);
/*
 * Who copies a file may send its sidecars, and the same as attributes: these may be of an
 * earlier time, as when the copy on a disk was edited.  For ten seconds, of the next value,
 * what a sidecar said and what was written fits goes before them.  variable_pass_told() is
 * for who takes the place of `from`.
 */
void variable_set_told(struct variable *v);
void variable_pass_told(struct variable *from, struct variable *to);
bool variable_told(struct variable *v, enum facet facet);
/* Whether bytes are kept aside that did not fit. */
bool variable_refused(struct variable *v);
/* `to` is to declare what `from` does, and no more is known of its type; copied. */
int variable_copy_declared(struct variable *from, struct variable *to);
/* The same, and what `to` declares besides stays. */
int variable_add_declared(struct variable *from, struct variable *to);
/*
 * 1 if it took effect, and the present entry is another one; 0 if it says what is so
 * already, or is declared; -EINVAL after a log line if it is no dtype or shape.
 */
int variable_declare(struct variable *v, enum facet facet, struct span text);
/* Its sidecar was removed: what it declared is void. */
void variable_withdraw(struct variable *v, enum facet facet);

/* LABEL/KEY for a message; to be freed, NULL if there is no memory. */
char *variable_describe(struct variable *v);
