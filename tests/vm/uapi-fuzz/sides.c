// SPDX-License-Identifier: BSD-3-Clause
/* What goes on beside the calls: messages, rings, mappings, and the users of the driver. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/virtio_loopback.h>
#include <linux/virtio_ring.h>

#include "calls-internal.h"
#include "sides.h"

/* ---- messages ---- */

static bool read_message(struct turn *turn, struct virtio_loopback_msg *msg, int ms)
{
	struct pollfd pfd = { .fd = turn->fd, .events = POLLIN };

	/* Two threads may read at once: one of them waits until it is interrupted. */
	if (poll(&pfd, 1, ms) <= 0 || !(pfd.revents & POLLIN) ||
	    read(turn->fd, msg, sizeof(*msg)) != sizeof(*msg))
		return false;
	atomic_store(&turn->file->seq, msg->seq);
	return true;
}

bool step_read(struct turn *turn)
{
	struct virtio_loopback_msg msg;

	if (turn->wild && !pick(turn, 4)) {
		fcntl(turn->fd, F_SETFL, O_NONBLOCK * pick(turn, 2));
		return read(turn->fd, (void *)(uintptr_t)vary_address(turn, &msg),
			    pick(turn, 4) ? pick(turn, sizeof(msg)) : sizeof(msg)) > 0;
	}
	return read_message(turn, &msg, bits(turn, 1, 1) * 100);
}

/* Waits until a message or an interruption comes. */
bool step_wait_read(struct turn *turn)
{
	struct virtio_loopback_msg msg;

	return read(turn->fd, &msg, sizeof(msg)) == sizeof(msg);
}

bool step_write(struct turn *turn)
{
	struct virtio_loopback_reply reply = {
		.seq = vary(turn, atomic_load(&turn->file->seq) + bits(turn, 1, 1)),
		.error = vary(turn, 0),
		.reserved = vary(turn, 0),
	};

	return write(turn->fd, (void *)(uintptr_t)vary_address(turn, &reply),
		     vary(turn, sizeof(reply)) % 65536) > 0;
}

bool step_poll(struct turn *turn)
{
	struct pollfd pfd = { .fd = turn->fd, .events = POLLIN | POLLOUT };

	return poll(&pfd, 1, pick(turn, 20)) > 0;
}

/* Reads and answers a few messages, as an adapter does. */
bool step_answer(struct turn *turn)
{
	unsigned int n = 1 + pick(turn, 16), answered = 0;
	bool refuses = turn->wild && !pick(turn, 6);
	struct virtio_loopback_msg msg;

	while (n-- && read_message(turn, &msg, answered ? 5 + pick(turn, 30) : 30)) {
		struct virtio_loopback_reply reply = {
			.seq = msg.seq, .error = refuses ? -(int)(1 + pick(turn, 130)) : 0,
		};

		if (!(msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY))
			continue;
		if (write(turn->fd, &reply, sizeof(reply)) != sizeof(reply))
			return false;
		answered++;
	}
	return answered > 0;
}

/* ---- rings ---- */

struct ring {
	unsigned int num;
	struct vring_avail *avail;
	struct vring_used *used;
};

/* False: not there, or not in the pool of this file (it was created with another). */
static bool find_ring(struct turn *turn, unsigned int index, struct ring *ring)
{
	struct virtio_loopback_queue args = { .size = sizeof(args), .index = index };
	uint64_t avail, used;

	if (ioctl(turn->fd, VIRTIO_LOOPBACK_GET_QUEUE, &args) ||
	    !(args.flags & VIRTIO_LOOPBACK_QUEUE_ENABLED))
		return false;
	avail = args.driver_addr - POOL_BASE;
	used = args.device_addr - POOL_BASE;
	if (!args.num || avail > POOL_SIZE - 6 - 2 * args.num ||
	    used > POOL_SIZE - 6 - sizeof(vring_used_elem_t) * args.num)
		return false;
	ring->num = args.num;
	ring->avail = (void *)(turn->file->pool + avail);
	ring->used = (void *)(turn->file->pool + used);
	return true;
}

bool step_serve(struct turn *turn)
{
	unsigned int index = bits(turn, 1, QUEUES - 1), tries = 64;
	uint16_t *seen = &turn->file->seen[index];
	const uint64_t one = 1;
	struct ring ring;

	if (!find_ring(turn, index, &ring))
		return false;
	if (*seen != ring.used->idx)
		*seen = ring.used->idx;
	for (; tries-- && *seen != __atomic_load_n(&ring.avail->idx, __ATOMIC_ACQUIRE); ++*seen) {
		vring_used_elem_t *elem = &ring.used->ring[*seen % ring.num];

		elem->id = vary(turn, ring.avail->ring[*seen % ring.num]);
		elem->len = vary(turn, pick(turn, 64));
		__atomic_store_n(&ring.used->idx, (uint16_t)vary(turn, *seen + 1),
				 __ATOMIC_RELEASE);
	}
	ring.used->flags = vary(turn, 0);
	return write(turn->file->call[index], &one, sizeof(one)) == sizeof(one);
}

bool step_scribble(struct turn *turn)
{
	unsigned int n = 1 + pick(turn, 32);
	/* The rings lie at the beginning. */
	uint32_t most = pick(turn, 2) ? POOL_SIZE : 32768;

	while (n--)
		turn->file->pool[pick(turn, most)] = dice_roll(&turn->dice);
	return true;
}

bool step_punch(struct turn *turn)
{
	return fallocate(turn->file->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 pick(turn, POOL_SIZE), 1 + pick(turn, POOL_SIZE)) == 0;
}

bool step_signal_call(struct turn *turn)
{
	const uint64_t count = 1 + pick(turn, 4);
	int fd = turn->file->call[pick(turn, QUEUES)];

	return write(fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- mappings ---- */

static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t touching;

bool sides_escape(void)
{
	if (!touching)
		return false;
	touching = 0;
	siglongjmp(escape, 1);
}

/* What is not shown is a SIGBUS, and that is as it should be. */
static void touch(volatile uint8_t *byte, bool write)
{
	if (sigsetjmp(escape, 1))
		return;
	touching = 1;
	if (write)
		*byte = 1;
	else
		(void)*byte;
	touching = 0;
}

bool step_view(struct turn *turn)
{
	int fd = pick(turn, 8) ? atomic_load(&turn->file->window) : turn->fd;
	int sharing = pick(turn, 6) ? MAP_SHARED : MAP_PRIVATE;
	uint8_t *view = mmap(NULL, WINDOW_SIZE, PROT_READ | PROT_WRITE, sharing, fd,
			     vary(turn, 0) & ~4095ULL);
	uint8_t *old;

	lseek(fd, vary(turn, 0), pick(turn, 5));
	if (view == MAP_FAILED)
		return false;
	touch(view + pick(turn, WINDOW_SIZE), pick(turn, 2));
	old = atomic_exchange(&turn->file->view, view);
	if (old)
		munmap(old, WINDOW_SIZE);
	return true;
}

bool step_unview(struct turn *turn)
{
	uint8_t *view = atomic_exchange(&turn->file->view, NULL);

	return view && munmap(view, WINDOW_SIZE) == 0;
}

/* ---- the driver's users ---- */

static bool read_some(const char *path, int flags)
{
	static uint8_t data[THREADS * 4096] __attribute__((aligned(4096)));
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
	bool done = fd >= 0 && read(fd, data, 512) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* The guest has no virtio disks but ours. */
bool step_use(struct turn *turn)
{
	switch (pick(turn, 3)) {
	case 0:
		return read_some("/dev/hwrng", 0);
	case 1:
		return read_some("/dev/vda", O_DIRECT);
	default:
		return read_some("/dev/vdb", O_DIRECT);
	}
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* The name of the nth device in a folder of sysfs whose name begins so */
static bool nth_entry(const char *folder, const char *prefix, unsigned int n, char name[256])
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, prefix, strlen(prefix)) && !n--) {
			snprintf(name, 256, "%s", entry->d_name);
			found = true;
		}
	if (dir)
		closedir(dir);
	return found;
}

/* The nth of our own devices on the virtio bus; the guest's others are not to be touched. */
static bool nth_device(unsigned int n, char parent[256], char name[256])
{
	char folder[600];

	if (!nth_entry("/sys/devices/platform", "virtio-loopback.", n, parent))
		return false;
	snprintf(folder, sizeof(folder), "/sys/devices/platform/%s", parent);
	return nth_entry(folder, "virtio", 0, name);
}

bool step_unbind(struct turn *turn)
{
	char parent[256], name[256], path[600];

	if (!nth_device(bits(turn, 1, 1), parent, name))
		return false;
	snprintf(path, sizeof(path), "/sys/devices/platform/%s/%s/driver/unbind", parent, name);
	return write_text(path, name);
}

bool step_bind(struct turn *turn)
{
	static const char *const drivers[] = { "virtio_rng", "virtio_blk", "virtio_console" };
	char parent[256], name[256], path[600];

	if (!nth_device(bits(turn, 1, 1), parent, name))
		return false;
	snprintf(path, sizeof(path), "/sys/bus/virtio/drivers/%s/bind", drivers[pick(turn, 3)]);
	return write_text(path, name);
}

bool step_sysfs(struct turn *turn)
{
	char name[256], folder[600], attribute[256], path[900];

	if (!nth_entry("/sys/devices/platform", "virtio-loopback.", bits(turn, 1, 1), name))
		return false;
	snprintf(folder, sizeof(folder), "/sys/devices/platform/%s", name);
	if (!nth_entry(folder, "", 2 + pick(turn, 16), attribute))
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder, attribute);
	return read_some(path, 0);
}
