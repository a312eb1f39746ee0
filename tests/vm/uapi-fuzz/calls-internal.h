/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CALLS_INTERNAL_H
#define CALLS_INTERNAL_H

#include "calls.h"

/**
 * struct turn - a step while it is carried out
 * @file: which file
 * @fd:   its descriptor as it was when the step began
 * @value: how it is to be done; what matters most has bits of its own, for people to write
 * @dice: what else its value means
 * @wild: whether to give it nonsense now and then
 */
struct turn {
	struct file *file;
	int fd;
	uint32_t value;
	struct dice dice;
	bool wild;
};

/* @good, or in a wild turn now and then something that nobody expects. */
uint64_t vary(struct turn *turn, uint64_t good);

/* The same for an address of user space: a wild one leads nowhere. */
uint64_t vary_address(struct turn *turn, const void *good);

static inline uint32_t pick(struct turn *turn, uint32_t sides)
{
	return dice_pick(&turn->dice, sides);
}

/* Some bits of the value; the lowest one says whether the turn is wild. */
static inline uint32_t bits(const struct turn *turn, unsigned int shift, uint32_t mask)
{
	return (turn->value >> shift) & mask;
}

/* Whether the step did what it is for. */
typedef bool (*step_function)(struct turn *turn);

/* The adapter's side of messages */
bool step_read(struct turn *turn);
bool step_wait_read(struct turn *turn);
bool step_write(struct turn *turn);
bool step_poll(struct turn *turn);
bool step_answer(struct turn *turn);

/* The back-end's side */
bool step_serve(struct turn *turn);
bool step_scribble(struct turn *turn);
bool step_punch(struct turn *turn);
bool step_signal_call(struct turn *turn);
bool step_view(struct turn *turn);
bool step_unview(struct turn *turn);

/* The driver's users, and the machine's */
bool step_use(struct turn *turn);
bool step_unbind(struct turn *turn);
bool step_bind(struct turn *turn);
bool step_sysfs(struct turn *turn);

#endif
