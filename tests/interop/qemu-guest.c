// SPDX-License-Identifier: BSD-3-Clause
/*
 * The first and only program of a guest whose disk and entropy device QEMU has from our back-ends:
 * writes rounds of 2 MiB, reads them back, and reports on the console.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

#define ROUNDS 24
#define ROUND_SIZE (2U << 20)
#define PIECE (128U << 10)

static int wait_for(const char *path, int flags)
{
	int fd, tries;

	for (tries = 0; tries < 600; tries++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		usleep(50000);
	}
	printf("%s: %s\n", path, strerror(errno));
	return -1;
}

/*
 * The host makes the same bytes: each 8 are their own offset times an odd number, plus the round.
 */
static void fill(uint64_t *words, uint64_t offset, unsigned int round)
{
	size_t i;

	for (i = 0; i < PIECE / sizeof(*words); i++)
		words[i] = (offset + i * sizeof(*words)) * 0x9e3779b97f4a7c15ULL + round;
}

static int do_round(int fd, unsigned int round, void *buf, void *back)
{
	uint64_t start = (uint64_t)round * ROUND_SIZE, at;

	for (at = start; at < start + ROUND_SIZE; at += PIECE) {
		fill(buf, at, round);
		if (pwrite(fd, buf, PIECE, (off_t)at) != PIECE)
			return -errno;
	}
	if (round % 4 == 0 && fsync(fd) < 0)
		return -errno;
	for (at = start; at < start + ROUND_SIZE; at += PIECE) {
		fill(buf, at, round);
		if (pread(fd, back, PIECE, (off_t)at) != PIECE)
			return -errno;
		if (memcmp(buf, back, PIECE))
			return -EILSEQ;
	}
	return 0;
}

static void use_disk(void)
{
	int fd = wait_for("/dev/vda", O_RDWR | O_DIRECT);
	void *buf = aligned_alloc(4096, PIECE), *back = aligned_alloc(4096, PIECE);
	unsigned int round;

	for (round = 0; fd >= 0 && buf && back && round < ROUNDS; round++) {
		int ret = do_round(fd, round, buf, back);

		if (ret)
			printf("round %u: %s\n", round, strerror(-ret));
		else
			printf("round %u ok\n", round);
		fflush(stdout);
	}
}

static void use_rng(void)
{
	uint8_t bytes[256] = { 0 };
	int fd = wait_for("/dev/hwrng", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	unsigned int ones = 0;
	ssize_t i;

	for (i = 0; i < n; i++)
		ones += (unsigned int)__builtin_popcount(bytes[i]);
	printf("rng %zd bytes, %u ones\n", n, ones);
}

static void say(const char *path)
{
	char text[64] = "";
	FILE *f = fopen(path, "r");

	if (f && fgets(text, sizeof(text), f))
		printf("%s: %s", path, text);
	if (f)
		fclose(f);
}

int main(void)
{
	guest_begin();
	use_disk();
	use_rng();
	say("/sys/block/vda/size");
	say("/sys/block/vda/serial");
	return guest_end();
}
