// SPDX-License-Identifier: BSD-3-Clause
#include "backends/blk/pace.h"

#include "common/util.h"

/* Fewer requests than one in this time are no load to speak of. */
#define BUSY_NS 400000ULL
/* Windows between trials: from the first to the most, doubling with each one that failed */
#define FIRST_PAUSE 4
#define MOST_PAUSE 16
/* SCHED_BATCH has to collect so many times more. */
#define WORTH 2

void pace_init(struct pace *pace, uint64_t now_ns)
{
	*pace = (struct pace){ .since_ns = now_ns, .next_pause = FIRST_PAUSE };
}

static void leave_batch(struct pace *pace)
{
	pace->batch = false;
	pace->pause = pace->next_pause;
	pace->next_pause = MIN(pace->next_pause * 2, (unsigned int)MOST_PAUSE);
}

bool pace_choose(struct pace *pace, uint64_t now_ns)
{
	uint64_t events = MAX(pace->answers, (uint64_t)pace->wakes);
	bool busy = now_ns - pace->since_ns < events * BUSY_NS;
	bool before = pace->batch;

	if (pace->batch) {
		if (!busy || pace->answers < WORTH * pace->normal_answers)
			leave_batch(pace);
		else
			pace->next_pause = FIRST_PAUSE; /* it was worth it */
	} else {
		pace->normal_answers = pace->answers;
		if (pace->pause)
			pace->pause--;
		else if (busy)
			pace->batch = true;
	}
	pace->wakes = 0;
	pace->answers = 0;
	pace->since_ns = now_ns;
	return pace->batch != before;
}
