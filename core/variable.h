/*
 * variable.h - a variable for as long as it is mounted
 *
 * A variable stands for one key through all commits of this mount: its present
 * entry changes, it does not.  It knows how the entry is read (a value) and what is
 * being written over it (a stage).  When somebody else replaces the checkpoint, it is
 * dead: those who have it open go on with what it was, and a new variable, with the
 * same inode number, takes its names.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/attributes.h"
#include "core/entry.h"
#include "core/value.h"

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
 * are checked.  `id` is its own; `ino` that, or the number of the one that it stands
 * in for.
 */
int variable_new(struct entry *e, const char *label, bool verify, uint64_t id,
		 uint64_t ino, struct variable **ret);
struct variable *variable_ref(struct variable *v);
void variable_unref(struct variable *v);

uint64_t variable_id(const struct variable *v);
uint64_t variable_ino(const struct variable *v);
/* The present entry, counted. */
struct entry *variable_entry(struct variable *v);

bool variable_dead(struct variable *v);
void variable_kill(struct variable *v);

/* The names it has in the tree: st_nlink. */
void variable_add_link(struct variable *v, int change);
unsigned variable_links(struct variable *v);

/* Length, blocks and links, and what chmod and the like have set, into `st`. */
int variable_stat(struct variable *v, enum facet facet, struct stat *st);
void variable_set_attributes(struct variable *v, const struct attributes *a);

/* -ESTALE if it is dead, or what value_new() says. */
int variable_open_reader(struct variable *v);
/* From the stage, if there is one, else from the present entry. */
int variable_read(struct variable *v, size_t n, uint64_t offset,
		  struct reading *ret);

/*
 * Before the first write; `truncate` empties the stage.  -ESTALE, -EACCES, -EROFS;
 * -EOPNOTSUPP after a log line for what cannot be written.
 */
int variable_open_writer(struct variable *v, bool truncate);
/* Whether somebody has it open for writing, or a stage stands beside it. */
bool variable_writing(struct variable *v);
/* As stage_write(), with a log line for what fails. */
int variable_write(struct variable *v, const void *data, size_t n,
		   uint64_t offset);
/* With a writer it resizes the stage; without one it is judged at once. */
int variable_resize(struct variable *v, uint64_t size);
/*
 * Judges the stage: 1 if it became the present entry; 0 if there is nothing to judge;
 * -EINVAL after a log line if it has another size than it should have.
 */
int variable_flush(struct variable *v);
/* The end of a writer; the last one drops a stage, and true says that it did. */
bool variable_close_writer(struct variable *v);

/* The text of a sidecar, appended. */
int variable_sidecar(struct variable *v, enum facet facet, struct buf *ret);
/*
 * 0 if `text` is what the sidecar says already; -EINVAL if it is no dtype or shape;
 * -EOPNOTSUPP after a log line if it is another one.
 */
int variable_set_sidecar(struct variable *v, enum facet facet,
			 struct span text);
