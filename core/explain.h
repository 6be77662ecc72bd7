/*
 * explain.h - files that people mistake for checkpoints
 *
 * A phrase for a message ("an HDF5 file, ...: what to do instead"), or NULL.
 */
#pragma once

/* By what is in it: a Git LFS pointer, HDF5, zip, gzip, safetensors, PyTorch, a graph. */
const char *explain_content(int dirfd, const char *name);
/* The same; else by how its name ends. */
const char *explain_file(int dirfd, const char *name);

/* A line in the log if it is a Git LFS pointer: the data itself may begin as it likes. */
void explain_pointer(int dirfd, const char *name);
