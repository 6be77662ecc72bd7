/*
 * tree_inside.h - what the files that make up the tree know of it besides tree.h
 *
 *	tree.c		the table of names, and states that are put over each other
 *	tree_change.c	names that change through the mount
 *	node.c		one node: its names, its children, walks
 */
#pragma once

#include <stdatomic.h>

#include "core/name.h"
#include "core/tree.h"

struct node {
	atomic_uint refs;
	enum node_kind kind;
	bool dotted; /* a scope that shows as NAME.d */
	bool dead;
	bool kept;      /* not on disk: outlives a new state of that */
	bool ghost;     /* a variable had the name */
	uint8_t shows;  /* which files of a variable */
	uint8_t awaits; /* see node_awaits() */
	pid_t maker;
	uint64_t since;      /* see node_since() */
	unsigned generation; /* of the last put */
	uint64_t id;         /* scopes and links; a variable has its own */
	uint64_t place;      /* among its siblings */
	struct node *parent; /* not counted: children go before it */
	struct node *next;   /* in the same bucket */
	struct variable *variable;
	struct node *next_name; /* of that: all nodes that have it, ghosts too */
	struct node *prev_name;
	struct node *target;    /* of a link; counted */
	struct buf text;        /* of a link that was made: what it is to hold;
			      * of a scope that is dead: where it was */
	struct node **children; /* of a scope, by place; counted */
	size_t n_children;
	size_t n_ghosts; /* among them */
	size_t cap_children;
	struct span name; /* as it shows, without `.d` */
	struct span raw;  /* the component, of a cut name only */
	uint8_t *own; /* the bytes of both, where it was given another name */
	uint8_t bytes[]; /* of the first name and raw */
};

struct tree {
	struct node *root;
	unsigned generation;
	bool told; /* whether the observer is: not while a tree is first built */
	uint64_t next_place;
	struct node **buckets; /* by parent, class and name */
	uint64_t seed;    /* so that nobody makes names that share a bucket */
	size_t n_buckets; /* a power of two */
	size_t n_nodes;
	uint64_t (*next_id)(void *arg);
	tree_observer *observer;
	void *arg;
	struct cuts *cuts; /* borrowed, or NULL */
};

/* Where a component stands, or would: its name, settled against cut ones. */
struct put {
	struct buf name;
	struct span raw;   /* kept if the name is cut */
	struct node *node; /* what has the name, or NULL */
};

/* Among the children of a scope, in the order of their places. */
int node_add_child(struct node *parent, struct node *n);
void node_remove_child(struct node *parent, const struct node *n);
/* Bytes of its own, where it gets another name. */
int node_set_name(struct node *n, struct span name, struct span raw);

void node_set_ghost(struct node *n, bool ghost);

/* A file and a scope of one parent may have one name: they are told apart. */
enum tree_side {
	TREE_FILE, /* variables and links */
	TREE_SCOPE,
};
enum tree_side node_side(const struct node *n);

/* Where the node of this name is in the table, or would be. */
struct node **tree_slot(const struct tree *t, const struct node *parent,
			enum tree_side side, struct span name);
size_t tree_bucket(const struct tree *t, const struct node *parent,
		   enum tree_side side, struct span name);
/* What has the name of a component, settled against cut names. */
int tree_find_put(const struct tree *t, const struct node *parent,
		  enum tree_side side, struct span component, bool escape,
		  struct put *ret);
/* Enters a new node, which the tree then owns; takes one out. */
int tree_enter(struct tree *t, struct node *parent, struct node *n);
void tree_leave(struct tree *t, struct node *n);
/* Tells that what shows under the name of `n` is not what it was. */
void tree_tell(const struct tree *t, const struct node *n);
/* Makes `n`, a variable or a link, lead to `v` or `target`. */
void tree_lead_node(struct tree *t, struct node *n, struct variable *v,
		    struct node *target);
/* The node is one of the names of its variable, from now on, or not any more. */
void node_enlist(struct node *n);
void node_delist(struct node *n);
/* One of `v` and `target` is NULL. */
int tree_put_file(struct tree *t, struct node *parent, const struct put *put,
		  struct variable *v, struct node *target, struct node **ret);
/* From here on a scope of the name shows as NAME.d; and if it shares it. */
void tree_make_dotted(struct tree *t, struct node *scope);
void tree_settle_dot(struct tree *t, struct node *parent, struct span name);
