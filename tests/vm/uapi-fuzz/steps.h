/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps - programs for the module's interface: made up, changed, written and read
 *
 * A program is a list of steps. Each is carried out by one of a few threads, in the order of
 * the list within a thread and in none between them. What a call is given follows from its value
 * alone, so that a program does the same whenever it is run, but for what the threads do to each
 * other.
 *
 * As text: a line "THREAD FILE CALL VALUE" for each step.
 */
#ifndef STEPS_H
#define STEPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define THREADS		3
#define FILES		4
#define STEPS_MAX	48

struct step {
	uint8_t thread; /* who does it */
	uint8_t file; /* with which of the files */
	uint8_t call; /* what, see calls.h */
	uint32_t value; /* how */
};

struct program {
	unsigned int n;
	struct step steps[STEPS_MAX];
};

/* A row of numbers that its seed decides. */
struct dice {
	uint64_t state;
};

uint64_t dice_roll(struct dice *dice);

/* 0 to @sides - 1 */
static inline uint32_t dice_pick(struct dice *dice, uint32_t sides)
{
	return dice_roll(dice) % sides;
}

void program_invent(struct program *program, struct dice *dice);

/* @other: gives parts of itself */
void program_mutate(struct program *program, const struct program *other, struct dice *dice);

bool program_read(struct program *program, const char *path);
void program_print(const struct program *program, FILE *out);

#endif
