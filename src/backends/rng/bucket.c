// SPDX-License-Identifier: BSD-3-Clause
#include "backends/rng/bucket.h"

#include "common/util.h"

#define NSEC_PER_SEC 1000000000ULL
/* Filling up in smaller steps than this would be many wake-ups for few bytes. */
#define STEP_NS (NSEC_PER_SEC / 50)

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
	*bucket = (struct bucket){
		.rate = rate,
		.burst = rate ? MIN(burst, rate) : burst,
		.since_ns = now_ns,
	};
	bucket->tokens = bucket->burst;
}

static void refill(struct bucket *bucket, uint64_t now_ns)
{
	uint64_t elapsed = now_ns > bucket->since_ns ? now_ns - bucket->since_ns : 0;
	uint64_t full_ns = (bucket->burst - bucket->tokens) * NSEC_PER_SEC / bucket->rate + 1;
	uint64_t fresh;

	if (elapsed >= full_ns) {
		bucket->tokens = bucket->burst;
		bucket->since_ns = now_ns;
		return;
	}
	/* The time that makes no whole byte yet is kept, or slow rates would never fill. */
	fresh = (uint64_t)((unsigned __int128)elapsed * bucket->rate / NSEC_PER_SEC);
	bucket->tokens += fresh;
	bucket->since_ns += (uint64_t)((unsigned __int128)fresh * NSEC_PER_SEC / bucket->rate);
}

size_t bucket_take(struct bucket *bucket, uint64_t now_ns, size_t want, uint64_t *wait_ns)
{
	uint64_t got;

	if (!bucket->rate)
		return want;
	refill(bucket, now_ns);
	got = MIN((uint64_t)want, bucket->tokens);
	if (!got)
		*wait_ns = MAX(NSEC_PER_SEC / bucket->rate + 1, STEP_NS);
	bucket->tokens -= got;
	return (size_t)got;
}

void bucket_return(struct bucket *bucket, size_t unused)
{
	if (bucket->rate)
		bucket->tokens = MIN(bucket->tokens + unused, bucket->burst);
}
