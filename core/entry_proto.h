/* entry_proto.h - BundleEntryProto, as the files that take it apart call it */
#pragma once

#include "proto/tensor_bundle.pb-c.h"

typedef Tensorflow__BundleEntryProto entry_proto;

static inline void entry_proto_freep(entry_proto **p)
{
	if (*p)
		tensorflow__bundle_entry_proto__free_unpacked(*p, NULL);
}
