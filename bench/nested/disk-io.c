// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-disk-io NODE - random reads of 4 KiB, so many at a time
 *
 * Each line "DEPTH COUNT" is answered by "done NS DISK TIMER": nanoseconds for all of them, and how
 * many interrupts of virtio disks and of timers there were since the machine came up. As the first
 * program of a guest it loads what lies in /modules, takes /dev/vda, and is told by the console; so
 * the same code makes the requests on both sides of a hypervisor. Linked statically: the guest has
 * nothing else.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>

#define BLOCK		4096
#define MOST_DEPTH	128
#define NODE_MS		60000

struct disk {
	int fd;
	uint64_t blocks;
	uint64_t seed;
	aio_context_t aio;
	struct iocb iocbs[MOST_DEPTH];
	char *buffers;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void submit(struct disk *disk, unsigned int slot)
{
	struct iocb *iocb = &disk->iocbs[slot];

	/* Knuth's MMIX generator; its upper bits are the random ones. */
	disk->seed = disk->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	*iocb = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = disk->fd,
		.aio_buf = (uintptr_t)(disk->buffers + (size_t)slot * BLOCK),
		.aio_nbytes = BLOCK,
		.aio_offset = (int64_t)((disk->seed >> 16) % disk->blocks * BLOCK),
	};
	if (syscall(SYS_io_submit, disk->aio, 1L, &iocb) != 1)
		err(2, "io_submit");
}

static void read_blocks(struct disk *disk, unsigned long depth, unsigned long count)
{
	struct io_event events[MOST_DEPTH];
	unsigned long begun = 0, done = 0;

	while (begun < depth && begun < count)
		submit(disk, begun++);
	while (done < count) {
		long got = syscall(SYS_io_getevents, disk->aio, 1L, (long)depth, events, NULL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 1)
			err(2, "io_getevents");
		for (long i = 0; i < got; i++) {
			if (events[i].res != BLOCK)
				errx(2, "a read of %d bytes gave %lld", BLOCK, (long long)events[i].res);
			done++;
			if (begun < count) {
				submit(disk, events[i].data);
				begun++;
			}
		}
	}
}

static void open_disk(struct disk *disk, const char *node)
{
	uint64_t bytes;

	disk->fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &bytes))
		err(2, "%s", node);
	disk->blocks = bytes / BLOCK;
	disk->buffers = aligned_alloc(BLOCK, (size_t)MOST_DEPTH * BLOCK);
	if (!disk->blocks || !disk->buffers)
		errx(2, "%s: an empty disk, or no memory", node);
	/* Pages that are there before they are needed. */
	memset(disk->buffers, 1, (size_t)MOST_DEPTH * BLOCK);
	if (syscall(SYS_io_setup, MOST_DEPTH, &disk->aio))
		err(2, "io_setup");
}

/* Of all lines of /proc/interrupts that have both words, all CPUs together. */
static unsigned long interrupts(const char *word, const char *other)
{
	FILE *f = fopen("/proc/interrupts", "re");
	unsigned long all = 0;
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		char *next = strchr(line, ':');

		if (!next || !strstr(line, word) || !strstr(line, other))
			continue;
		for (char *at = next + 1;; at = next) {
			unsigned long n = strtoul(at, &next, 10);

			if (next == at)
				break;
			all += n;
		}
	}
	if (f)
		fclose(f);
	return all;
}

static void load_modules(void)
{
	FILE *order = fopen("/modules/order", "re");
	char name[256], path[512];

	if (!order)
		err(2, "/modules/order");
	while (fscanf(order, "%255s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			err(2, "%s", path);
		close(fd);
	}
	fclose(order);
}

static const char *begin_guest(void)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	struct termios raw;

	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sys", "/sys", "sysfs", 0, NULL) ||
	    mount("dev", "/dev", "devtmpfs", 0, NULL))
		err(2, "mount");
	/* What the console is told is not to come back as an answer. */
	if (!tcgetattr(STDIN_FILENO, &raw)) {
		raw.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	load_modules();
	for (int ms = 0; access("/dev/vda", R_OK); ms++) {
		if (ms == NODE_MS)
			errx(2, "/dev/vda did not appear");
		nanosleep(&pause, NULL);
	}
	return "/dev/vda";
}

/* The first program of a guest cannot end but with the guest. */
static void end_guest(void)
{
	fflush(NULL);
	reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
	struct disk disk = { .seed = 1 };
	bool guest = getpid() == 1;
	char line[128];

	if (guest)
		atexit(end_guest);
	if (!guest && argc != 2)
		errx(2, "expected a disk");
	open_disk(&disk, guest ? begin_guest() : argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		char *end;
		unsigned long depth = strtoul(line, &end, 10);
		unsigned long count = strtoul(end, NULL, 10);
		uint64_t start;

		if (!depth || depth > MOST_DEPTH || !count)
			break;
		start = now_ns();
		read_blocks(&disk, depth, count);
		start = now_ns() - start;
		printf("done %llu %lu %lu\n", (unsigned long long)start,
		       interrupts("virtio", "-req."), interrupts("LOC:", "timer"));
	}
	return 0;
}
