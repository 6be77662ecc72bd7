/* version.h - whether a file of a format may be read, by what it says of its version */
#pragma once

#include "proto/tensor_bundle.pb-c.h"

/*
 * Why not, for a reader of version `consumer`; NULL if it may.  Files of early 2016 have
 * no VersionDef.  (Source: tensorflow/core/framework/versions.cc.)
 */
static inline const char *version_refuses(const Tensorflow__VersionDef *version,
					  int32_t consumer)
{
	if (!version)
		return NULL;
	if (version->min_consumer > consumer)
		return "it wants a newer reader";
	if (version->producer < 0)
		return "its version is negative";
	for (size_t i = 0; i < version->n_bad_consumers; i++)
		if (version->bad_consumers[i] == consumer)
			return "it forbids this version of the format";
	return NULL;
}
