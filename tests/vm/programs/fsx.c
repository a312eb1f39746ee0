// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsx FILE SECONDS [SEED] - work on a file in every way, and compare it with memory
 *
 * Random writes and reads, by system calls, past the page cache (O_DIRECT) and through a
 * mapping, changes of the size, holes, and word to write it out and to forget the cache. A
 * model of the file is kept in memory; whatever is read must be what the model says, and in
 * the end the whole file, read from the disk. SIGINT ends it early.
 *
 * Prints the number of operations; exits with 1 when something was wrong or failed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>

#define FILE_MAX (4U << 20)
#define CHUNK_MAX (128U << 10)
#define BLOCK 4096U

static uint8_t model[FILE_MAX];
static uint8_t *buffer; /* of FILE_MAX bytes, aligned for O_DIRECT */
static size_t size;
static int fd, direct;
static unsigned int seed;
static unsigned long ops;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static unsigned int below(unsigned int limit)
{
	return (unsigned int)rand_r(&seed) % limit;
}

static void compare(const uint8_t *seen, size_t offset, size_t length, const char *how)
{
	for (size_t i = 0; i < length; i++)
		if (seen[i] != model[offset + i])
			errx(1, "WRONG byte %zu of %zu after %lu operations, by %s of %zu bytes at %zu: "
				"expected %#x, saw %#x", offset + i, size, ops, how, length, offset,
			     model[offset + i], seen[i]);
}

/* A part of the file, or of what it may grow to. */
static size_t choose(size_t limit, size_t *offset)
{
	if (!limit)
		return 0;
	*offset = below(limit);
	size_t length = 1 + below(below(4) ? BLOCK * 2 : CHUNK_MAX);

	return length < limit - *offset ? length : limit - *offset;
}

static void grow_to(size_t end)
{
	if (end <= size)
		return;
	memset(model + size, 0, end - size); /* a hole reads as zeroes */
	size = end;
}

static void do_write(void)
{
	size_t offset, length = choose(FILE_MAX, &offset);

	grow_to(offset + length);
	for (size_t i = 0; i < length; i++)
		model[offset + i] = (uint8_t)(rand_r(&seed) >> 8);
	if (pwrite(fd, model + offset, length, offset) != (ssize_t)length)
		err(1, "ERROR write of %zu bytes at %zu", length, offset);
}

static void do_read(void)
{
	size_t offset, length = choose(size, &offset);

	if (length && pread(fd, buffer, length, offset) != (ssize_t)length)
		err(1, "ERROR read of %zu bytes at %zu", length, offset);
	if (length)
		compare(buffer, offset, length, "read");
}

static void do_direct_write(void)
{
	size_t offset = below(FILE_MAX / BLOCK) * BLOCK;
	size_t length = BLOCK * (1 + below(CHUNK_MAX / BLOCK));

	if (length > FILE_MAX - offset)
		length = FILE_MAX - offset;
	grow_to(offset + length);
	for (size_t i = 0; i < length; i++)
		model[offset + i] = buffer[i] = (uint8_t)(rand_r(&seed) >> 8);
	if (pwrite(direct, buffer, length, offset) != (ssize_t)length)
		err(1, "ERROR direct write of %zu bytes at %zu", length, offset);
}

static void do_direct_read(void)
{
	size_t offset, length = choose(size, &offset);

	offset &= ~(size_t)(BLOCK - 1);
	length = (length + BLOCK - 1) & ~(size_t)(BLOCK - 1);
	if (!length)
		return;
	ssize_t got = pread(direct, buffer, length, offset);
	size_t expected = length < size - offset ? length : size - offset;

	if (got != (ssize_t)expected)
		errx(1, "ERROR direct read of %zu bytes at %zu: %s", length, offset,
		     got < 0 ? strerror(errno) : "short");
	compare(buffer, offset, expected, "direct read");
}

static void do_map(bool write)
{
	size_t offset, length = choose(size, &offset), first;
	uint8_t *map;

	if (!length)
		return;
	first = offset & ~(size_t)(BLOCK - 1);
	map = mmap(NULL, offset - first + length, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED,
		   fd, first);
	if (map == MAP_FAILED)
		err(1, "ERROR mmap");
	compare(map + (offset - first), offset, length, "mapping");
	for (size_t i = 0; write && i < length; i++)
		map[offset - first + i] = model[offset + i] = (uint8_t)(rand_r(&seed) >> 8);
	munmap(map, offset - first + length);
}

static void do_truncate(void)
{
	size_t end = below(FILE_MAX);

	if (ftruncate(fd, end))
		err(1, "ERROR truncate to %zu", end);
	grow_to(end);
	size = end;
}

static void do_hole(void)
{
	size_t offset, length = choose(size, &offset);

	if (!length)
		return;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length))
		err(1, "ERROR hole of %zu bytes at %zu", length, offset);
	memset(model + offset, 0, length);
}

/* What is read next comes from the disk. */
static void do_forget(void)
{
	if (fsync(fd))
		err(1, "ERROR fsync");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void one(void)
{
	unsigned int dice = below(100);

	if (dice < 25)
		do_write();
	else if (dice < 45)
		do_read();
	else if (dice < 55)
		do_direct_write();
	else if (dice < 65)
		do_direct_read();
	else if (dice < 75)
		do_map(true);
	else if (dice < 82)
		do_map(false);
	else if (dice < 87)
		do_truncate();
	else if (dice < 91)
		do_hole();
	else
		do_forget();
	ops++;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	time_t end;

	if (argc < 3)
		errx(2, "usage: fsx FILE SECONDS [SEED]");
	seed = argc > 3 ? atoi(argv[3]) : 1;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	direct = open(argv[1], O_RDWR | O_DIRECT);
	buffer = aligned_alloc(BLOCK, FILE_MAX);
	if (fd < 0 || direct < 0 || !buffer)
		err(2, "%s", argv[1]);
	sigaction(SIGINT, &action, NULL);
	end = time(NULL) + atoi(argv[2]);
	while (!stop && time(NULL) < end)
		one();
	do_forget();
	if (pread(fd, buffer, FILE_MAX, 0) != (ssize_t)size)
		err(1, "ERROR the last read");
	compare(buffer, 0, size, "the last read");
	printf("operations %lu size %zu failures 0\n", ops, size);
	return 0;
}
