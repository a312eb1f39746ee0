// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/pacer.h"

#include "common/util.h"

#define NSEC_PER_SEC 1000000000U

void pacer_prepare(struct pacer *pacer, unsigned int rate, uint64_t at)
{
	*pacer = (struct pacer){ .rate = rate, .anchor = at, .end = at };
}

void pacer_start(struct pacer *pacer, uint64_t now_ns)
{
	pacer->anchor_ns = now_ns;
	pacer->running = true;
}

uint64_t pacer_position(const struct pacer *pacer, uint64_t now_ns)
{
	unsigned __int128 frames;

	if (!pacer->running || now_ns <= pacer->anchor_ns)
		return pacer->anchor;
	frames = (unsigned __int128)(now_ns - pacer->anchor_ns) * pacer->rate / NSEC_PER_SEC;
	if (frames >= pacer->end - pacer->anchor)
		return pacer->end;
	return pacer->anchor + (uint64_t)frames;
}

uint64_t pacer_due(const struct pacer *pacer, uint64_t at)
{
	uint64_t frames = at > pacer->anchor ? at - pacer->anchor : 0;

	/* rounded up: what is due has been reached */
	return pacer->anchor_ns +
	       (uint64_t)(((unsigned __int128)frames * NSEC_PER_SEC + pacer->rate - 1) /
			  pacer->rate);
}

uint64_t pacer_stop(struct pacer *pacer, uint64_t now_ns)
{
	pacer->anchor = pacer_position(pacer, now_ns);
	pacer->running = false;
	return pacer->anchor;
}

void pacer_extend(struct pacer *pacer, uint64_t end, uint64_t now_ns)
{
	if (pacer->running && pacer_due(pacer, pacer->end) < now_ns) {
		pacer->anchor = pacer->end;
		pacer->anchor_ns = now_ns;
	}
	pacer->end = MAX(end, pacer->end);
}
