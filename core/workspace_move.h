/*
 * workspace_move.h - what renaming by keys and renaming in an object graph share
 *
 * workspace_rename.c sorts out what is meant; where names are those of a graph,
 * workspace_move.c does it for variables, workspace_scope.c for scopes, links and two names.
 */
#pragma once

#include "core/bond.h"
#include "core/workspace_inside.h"

/* From where to where. */
struct renaming {
	struct workspace *ws;
	struct place from;
	struct place to;
	unsigned flags;
	struct buf name; /* of the bond at `from` */
};

/* Of a variable, a scope, a link; of two at once. */
int move_object(struct renaming *x);
int move_scope(struct renaming *x);
int move_link(struct renaming *x);
int move_exchange(struct renaming *x);
/* Whether it is a companion directory whose variable has gone there, and took it along. */
bool move_lingering(struct renaming *x);
/*
 * Whether it is a key that stands as it is, under a temporary name beside its own: such keys
 * do not move, but tools that copy bring them so.
 */
bool move_brings_literal(const struct renaming *x);

/* The components from the root to a scope; workspace_mirror.c. */
struct route {
	struct buf *names;
	size_t n;
};
int route_take(const struct node *n, struct route *ret);
void route_release(struct route *route);
/* What stands below `slots` under the route `from` stands under `to` now; or change places. */
int route_change(struct workspace *ws, const struct route *from,
		 const struct route *to, bool exchange);

/* In a graph: the bond of what is renamed, whose name lives as long as `x`. */
int renaming_bond_from(struct renaming *x, struct bond *ret);
/* That of its new place; what is on the way is made.  -EPERM where no object can be. */
int renaming_bond_to(const struct renaming *x, struct bond *ret);
/* The companion directory of a place, if it is there. */
struct node *renaming_companion_of(const struct renaming *x,
				   const struct place *p);
/* The variable that a place has now; NULL if it has none. */
struct variable *renaming_standing(const struct place *p);
/*
 * A new value takes the place of another, or of one that was there: it is to be of that
 * type.  -EINVAL if it does not fit a value that stands.
 */
int renaming_fit_in(const struct renaming *x, struct variable *v,
		    struct span key);
/* A variable that is like `v`, for the name that `v` leaves. */
int renaming_make_rest(const struct workspace *ws, struct variable *v,
		       struct variable **ret);
/* A sidecar that is there already, without a value, goes with the name it has. */
int renaming_put_at(struct renaming *x, struct variable *v, bool stored);
/* What has the name has to be an empty scope, and goes. */
int renaming_clear_way(const struct renaming *x);
bool renaming_is_below(const struct node *n, const struct node *scope);
