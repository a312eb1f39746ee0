/* SPDX-License-Identifier: BSD-3-Clause */
/* A token bucket: so many bytes a second, and at most @burst at once. */
#ifndef RNG_BUCKET_H
#define RNG_BUCKET_H

#include <stddef.h>
#include <stdint.h>

struct bucket {
	uint64_t rate; /* bytes a second; 0: no limit */
	uint64_t burst; /* bytes */
	uint64_t tokens; /* bytes */
	uint64_t since_ns; /* when @tokens was right */
};

/* bucket_init() - full at first; @burst is cut to a second's worth */
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now_ns);

/**
 * bucket_take() - take up to @want bytes
 * @wait_ns:	when nothing can be had: how long until it is worth asking again
 *
 * Return: bytes, 0 when there are none yet.
 */
size_t bucket_take(struct bucket *bucket, uint64_t now_ns, size_t want, uint64_t *wait_ns);

/* bucket_return() - give back what was taken and not used */
void bucket_return(struct bucket *bucket, size_t unused);

#endif
