/*
 * catalog.h - the variables and names of a checkpoint's present state on disk
 *
 * A catalog goes from one bundle to the next.  What stayed the same keeps its
 * variable, and with it what the kernel has cached; what somebody else changed gets
 * a new one.  The checkpoint's lock covers it.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "core/bundle.h"
#include "core/edit.h"
#include "core/objects.h"
#include "core/tree.h"
#include "core/variable.h"

struct checkpoint_config;
struct catalog;

/* `label` is what messages call the checkpoint; borrowed.  `root_id` is for tree_new(). */
int catalog_new(const struct checkpoint_config *config, const char *label,
		uint64_t root_id, struct catalog **ret);
void catalog_free(struct catalog *c);
void catalog_set_label(struct catalog *c, const char *label);

/* NULL until catalog_adopt(); borrowed. */
struct bundle *catalog_bundle(const struct catalog *c);
struct tree *catalog_tree(const struct catalog *c);
/* Whether its names are those of an object graph. */
bool catalog_objects(const struct catalog *c);
/*
 * That graph as it is now, borrowed; NULL if there is none, or it cannot be changed.
 * catalog_set_graph() takes over another one; catalog_adopt() reads that of the disk.
 */
struct objects *catalog_graph(const struct catalog *c);
void catalog_set_graph(struct catalog *c, struct objects *graph);
/* How many objects it had when it came: later ones were made here. */
size_t catalog_given(const struct catalog *c);
/* How often there was another graph. */
uint64_t catalog_adoptions(const struct catalog *c);
/* Reads a graph from its entry; NULL after a log line if it is none. */
int catalog_read_graph(const struct catalog *c, struct entry *e,
		       struct objects **ret);
/* The index as it was when first seen: whose files these are, and how old. */
const struct stat *catalog_first(const struct catalog *c);

/*
 * Makes `next` the state that is shown.  Variables that `overwritten` says hold
 * something that is not on disk are replaced even where the disk did not change.  Who has
 * no name any more is dead, and where `next` is not the present state: overtaken.
 */
int catalog_adopt(struct catalog *c, struct bundle *next,
		  bool (*overwritten)(void *arg, struct variable *v),
		  void *arg);

/*
 * A commit of ours: `next` is the present state with the changes of `edit`, which is
 * sorted; names and variables show them already.
 */
int catalog_advance(struct catalog *c, struct bundle *next,
		    const struct edit *edit);

/* The same state, whose files have other names. */
void catalog_set_disk(struct catalog *c, struct bundle *next);

/* All names go, and all variables die: the index was deleted, by somebody else or by us. */
void catalog_clear(struct catalog *c, bool overtaken);
