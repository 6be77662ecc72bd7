#include "core/object.h"

void object_release(struct object *o)
{
	node_unref(o->node);
	variable_unref(o->variable);
	*o = (struct object){ 0 };
}
