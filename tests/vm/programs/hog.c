// SPDX-License-Identifier: BSD-3-Clause
/*
 * hog MIB SECONDS - more memory than there is, and none of it may change
 *
 * Fills so many MiB, and then looks at pages at random, checks that each holds what was
 * written last, and writes something new. In a control group with less memory than that,
 * every page goes out to swap and comes back. SIGINT ends it early.
 *
 * Prints "filled" when it begins to look, and a summary; exits with 1 when a page was wrong.
 */
#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 4096

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void fill(uint64_t *page, uint64_t index, uint64_t version)
{
	for (unsigned int i = 0; i < PAGE / sizeof(*page); i++)
		page[i] = index << 32 ^ version << 16 ^ i;
}

static int holds(const uint64_t *page, uint64_t index, uint64_t version)
{
	for (unsigned int i = 0; i < PAGE / sizeof(*page); i++)
		if (page[i] != (index << 32 ^ version << 16 ^ i))
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned long pages, looks = 0;
	unsigned int seed = 1;
	uint32_t *versions;
	char *memory;
	time_t end;

	if (argc < 3)
		errx(2, "usage: hog MIB SECONDS");
	pages = strtoul(argv[1], NULL, 10) << 20 >> 12;
	memory = aligned_alloc(PAGE, pages * PAGE);
	versions = calloc(pages, sizeof(*versions));
	if (!memory || !versions)
		err(2, "no memory");
	sigaction(SIGINT, &action, NULL);
	for (unsigned long i = 0; i < pages; i++)
		fill((uint64_t *)(memory + i * PAGE), i, 0);
	printf("filled\n");
	fflush(stdout);
	end = time(NULL) + atoi(argv[2]);
	while (!stop && time(NULL) < end) {
		unsigned long i = (unsigned long)rand_r(&seed) % pages;
		uint64_t *page = (uint64_t *)(memory + i * PAGE);

		if (!holds(page, i, versions[i]))
			errx(1, "WRONG page %lu: not what was written as version %u", i,
			     versions[i]);
		fill(page, i, ++versions[i]);
		looks++;
	}
	for (unsigned long i = 0; i < pages; i++)
		if (!holds((uint64_t *)(memory + i * PAGE), i, versions[i]))
			errx(1, "WRONG page %lu in the end", i);
	printf("looks %lu failures 0\n", looks);
	return 0;
}
