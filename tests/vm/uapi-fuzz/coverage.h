/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * coverage - which places of the module the threads have come to, by KCOV (Linux,
 * Documentation/dev-tools/kcov.rst). Without it every question is answered by "nothing new".
 */
#ifndef COVERAGE_H
#define COVERAGE_H

#include <stdbool.h>
#include <stdio.h>

/* A thread's own; false: this kernel has none. */
bool coverage_open(unsigned int thread);

/* Before a program, by the thread itself. */
void coverage_begin(unsigned int thread);

/* After it, by one for all. Returns how many places were new. */
unsigned int coverage_collect(void);

/* All places so far */
unsigned int coverage_places(void);

/* As offsets from the start of the module's code */
void coverage_print(FILE *out);

#endif
