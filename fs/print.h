/*
 * print.h - what the offline commands print
 */
#pragma once

#include <stdio.h>

#include "core/coding.h"

/* Keys are anybody's bytes: they must not command the terminal. */
void print_escaped(FILE *out, struct span text);

/* "1 variable", "2 variables". */
void print_count(uint64_t n, const char *what);

/* Whether all that was printed has gone out; else says so. */
bool print_finish(void);
