// SPDX-License-Identifier: BSD-3-Clause
#include "coverage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "steps.h"

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define KCOV_HANDLE	1 /* of ours: no other subsystem's, and not 0 */

struct remote {
	uint32_t mode;
	uint32_t area;
	uint32_t num_handles;
	uint64_t common_handle;
};

#define KCOV_REMOTE_ENABLE	_IOW('c', 102, struct remote)

/* Words that one program can leave; what is more is lost. */
#define AREA		(1UL << 16)
/* A power of two, several times what the module has. */
#define PLACES		(1U << 15)

static uint64_t *areas[THREADS];
static uint64_t places[PLACES];
static unsigned int count;

/*
 * The first thread's is that of the works that its devices' calls queue; the others' are their own.
 */
static int enable(int fd, unsigned int thread)
{
	const struct remote remote = {
		.mode = KCOV_TRACE_PC, .area = AREA, .common_handle = KCOV_HANDLE,
	};

	return thread ? ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC) :
			ioctl(fd, KCOV_REMOTE_ENABLE, &remote);
}

bool coverage_open(unsigned int thread)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	void *area;

	/* Left open: the thread's until the process ends. */
	if (fd < 0)
		return false;
	if (ioctl(fd, KCOV_INIT_TRACE, AREA))
		goto err_close;
	area = mmap(NULL, AREA * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		goto err_close;
	if (enable(fd, thread)) {
		munmap(area, AREA * sizeof(uint64_t));
		goto err_close;
	}
	areas[thread] = area;
	return true;

err_close:
	close(fd);
	return false;
}

void coverage_begin(unsigned int thread)
{
	if (areas[thread])
		__atomic_store_n(areas[thread], 0, __ATOMIC_RELAXED);
}

/* Whether it was not there. */
static bool add(uint64_t place)
{
	unsigned int i = (place * 0x9e3779b97f4a7c15ULL) >> 49;

	for (; places[i % PLACES]; i++)
		if (places[i % PLACES] == place)
			return false;
	if (count >= PLACES / 2)
		return false;
	places[i % PLACES] = place;
	count++;
	return true;
}

unsigned int coverage_collect(void)
{
	unsigned int thread, fresh = 0;
	uint64_t i, n;

	for (thread = 0; thread < THREADS; thread++) {
		if (!areas[thread])
			continue;
		n = __atomic_load_n(areas[thread], __ATOMIC_RELAXED);
		for (i = 1; i <= n && i < AREA; i++)
			fresh += add(areas[thread][i]);
	}
	return fresh;
}

unsigned int coverage_places(void)
{
	return count;
}

static uint64_t module_start(void)
{
	FILE *in = fopen("/sys/module/virtio_loopback/sections/.text", "re");
	uint64_t start = 0;

	if (!in)
		return 0;
	if (fscanf(in, "%" SCNx64, &start) != 1)
		start = 0;
	fclose(in);
	return start;
}

void coverage_print(FILE *out)
{
	uint64_t start = module_start();
	unsigned int i;

	for (i = 0; i < PLACES; i++)
		if (places[i])
			fprintf(out, "0x%" PRIx64 "\n", places[i] - start);
}
