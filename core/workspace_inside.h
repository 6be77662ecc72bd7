/*
 * workspace_inside.h - what the files of a workspace share besides workspace.h
 */
#pragma once

#include "core/workspace.h"

#define WORKSPACE_DOOM_MS UINT64_C(1000) /* a variable that was removed */

uint64_t workspace_next_id(const struct workspace *ws);

struct tree *workspace_tree(const struct workspace *ws);

unsigned workspace_bit(enum facet facet);

bool workspace_is_sidecar(const struct place *p);

enum facet workspace_facet_of(const struct place *p);

struct object workspace_object_of(struct node *n, enum facet facet);

bool workspace_lingers(const struct node *n);

/*
 * A copy whose type came in extended attributes is a variable, with sidecars, before
 * those are copied: to who makes them they are not there yet, and everybody else
 * sees them.
 */
void workspace_await(struct node *n, pid_t maker, unsigned sidecars);
bool workspace_awaits(const struct node *n, enum facet facet, pid_t by);

/* As place_find(), for what is to be made there: -EINVAL also for what no key here can have. */
int workspace_find_place(const struct workspace *ws, struct node *parent,
			 struct span name, struct place *ret);

/* The same, after a log line. */
int workspace_new_place(const struct workspace *ws, struct node *parent,
			struct span name, struct place *ret);

#define WHY_SCOPE_ONLY "what ends in .d is the scope of a variable"
#define WHY_SIDECAR_ONLY                                                 \
	"what ends in .shape or .dtype is a sidecar (write %2E for the " \
	"dot of a key that ends so)"
#define WHY_OWN_COMPANION                                                \
	"a variable has no name below its own NAME.d: with the name of " \
	"that it would go out of reach"
/* -EINVAL after a log line. */
int workspace_refuse_name(const struct workspace *ws, struct span name,
			  const char *why);
/* -EPERM after a log line. */
int workspace_refuse_link(const struct workspace *ws, struct span name);

int workspace_check_graph(const struct workspace *ws, struct span name);

void workspace_forget_bound(struct workspace *ws);

/* The node of `v`, one of them; perhaps its ghost. */
struct node *workspace_find_node(const struct workspace *ws,
				 struct variable *v);

struct node *workspace_live_node(const struct workspace *ws,
				 struct variable *v);

/* What is on disk under the name of `v` was spared for it, and goes after all. */
void workspace_doom_again(struct workspace *ws, struct variable *v);
