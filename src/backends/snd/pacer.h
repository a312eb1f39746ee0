/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The clock of a stream whose sink has none of its own: it plays at the stream's rate, counted from
 * one moment on, so that late wake-ups do not add up to a drift.
 *
 * Positions are frames since the stream was prepared. The clock never runs past what is there to
 * be played; when it had to wait, it goes on from the moment at which there was more.
 */
#ifndef SND_PACER_H
#define SND_PACER_H

#include <stdbool.h>
#include <stdint.h>

struct pacer {
	unsigned int rate;
	bool running;
	uint64_t anchor; /* position ... */
	uint64_t anchor_ns; /* ... and when it was there */
	uint64_t end; /* where what is there to be played ends */
};

/* pacer_prepare() - at position @at, standing */
void pacer_prepare(struct pacer *pacer, unsigned int rate, uint64_t at);

void pacer_start(struct pacer *pacer, uint64_t now_ns);

/* pacer_stop() - stand still where it is now; Return: where that is */
uint64_t pacer_stop(struct pacer *pacer, uint64_t now_ns);

/* pacer_extend() - there is more to be played: now up to @end */
void pacer_extend(struct pacer *pacer, uint64_t end, uint64_t now_ns);

/* pacer_position() - what has been played by now */
uint64_t pacer_position(const struct pacer *pacer, uint64_t now_ns);

/* pacer_due() - when position @at, up to the end of what is there, is reached */
uint64_t pacer_due(const struct pacer *pacer, uint64_t at);

#endif
