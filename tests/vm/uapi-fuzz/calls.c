// SPDX-License-Identifier: BSD-3-Clause
#include "calls.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_loopback.h>
#include <linux/virtio_ring.h>

#include "calls-internal.h"

#define NODE	"/dev/virtio-loopback"

struct file files[FILES];
bool calls_faults;

static void (*interrupt_thread)(unsigned int thread);

/* ---- values ---- */

uint64_t vary(struct turn *turn, uint64_t good)
{
	static const uint64_t strange[] = {
		0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 255, 256, 257, 4095, 4096, 4097,
		32767, 32768, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32,
		1ULL << 40, INT64_MAX, 1ULL << 63, UINT64_MAX - 4095, UINT64_MAX,
	};

	if (!turn->wild || pick(turn, 5))
		return good;
	switch (pick(turn, 4)) {
	case 0:
		return good + 1 - 2 * pick(turn, 2);
	case 1:
		return good ^ (1ULL << pick(turn, 64));
	default:
		return strange[pick(turn, sizeof(strange) / sizeof(strange[0]))];
	}
}

uint64_t vary_address(struct turn *turn, const void *good)
{
	static const uint64_t nowhere[] = { 0, 8, 1ULL << 46, 0xffff888000000000ULL, UINT64_MAX };

	if (!turn->wild || pick(turn, 5))
		return (uintptr_t)good;
	return nowhere[pick(turn, sizeof(nowhere) / sizeof(nowhere[0]))];
}

/* ---- the file ---- */

static bool step_open(struct turn *turn)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);
	int old = atomic_exchange(&turn->file->fd, fd);

	if (old >= 0)
		close(old);
	return fd >= 0;
}

static bool step_close(struct turn *turn)
{
	int fd = atomic_exchange(&turn->file->fd, -1);

	return fd >= 0 && close(fd) == 0;
}

static bool step_info(struct turn *turn)
{
	struct virtio_loopback_info args = { .size = vary(turn, sizeof(args)) };

	return ioctl(turn->fd, VIRTIO_LOOPBACK_GET_INFO, &args) == 0;
}

/* ---- creation ---- */

/*
 * Entropy, disk and console, whose drivers are at hand; a type that has none; vsock and a network,
 * whose drivers keep buffers out. Not input, whose events would be those of a keyboard of this
 * machine.
 */
static const struct type {
	uint32_t id;
	unsigned int queues;
	uint8_t config[64];
} types[] = {
	{ .id = 4, .queues = 1 },
	{ .id = 2, .queues = 1, .config = { 64 } },
	{ .id = 3, .queues = 2 },
	{ .id = 63, .queues = QUEUES },
	{ .id = 19, .queues = 3, .config = { 3 } },
	{ .id = 1, .queues = 2 },
};

static const struct type *choose_type(const struct turn *turn)
{
	return &types[bits(turn, 8, 1) ? 4 + bits(turn, 1, 1) : bits(turn, 1, 3)];
}

static void fill_name(char name[VIRTIO_LOOPBACK_NAME_MAX], struct turn *turn)
{
	unsigned int which = bits(turn, 5, 7) != 7 ? turn->file - files : pick(turn, FILES);

	memset(name, 0, VIRTIO_LOOPBACK_NAME_MAX);
	snprintf(name, VIRTIO_LOOPBACK_NAME_MAX, "fuzz%u", which);
	if (turn->wild && !pick(turn, 8))
		name[pick(turn, VIRTIO_LOOPBACK_NAME_MAX)] = dice_roll(&turn->dice);
}

/* Posted are those of a console, or of what has no driver: others do not bind then. */
static void fill_queues(struct turn *turn, const struct type *type, unsigned int num,
			uint16_t *sizes, uint16_t *flags)
{
	bool posted = bits(turn, 4, 1) && (type->id == 3 || type->id == 63);
	unsigned int i;

	for (i = 0; i < num; i++) {
		sizes[i] = vary(turn, 1U << (2 + pick(turn, 5)));
		flags[i] = posted && i % 2 ? vary(turn, VIRTIO_LOOPBACK_QF_POSTED |
						  pick(turn, 2) * VIRTIO_LOOPBACK_QF_STRICT) : 0;
	}
}

static bool step_create(struct turn *turn)
{
	const struct type *type = choose_type(turn);
	/* Refused with queues that are posted, which is tried often enough by what varies. */
	bool packed = !bits(turn, 4, 1) && !pick(turn, 3);
	uint16_t sizes[VIRTIO_LOOPBACK_QUEUES_MAX] = { 0 };
	uint16_t flags[VIRTIO_LOOPBACK_QUEUES_MAX] = { 0 };
	struct virtio_loopback_create args = {
		.size = vary(turn, sizeof(args)),
		.flags = vary(turn, 0),
		.device_id = vary(turn, type->id),
		.vendor_id = dice_roll(&turn->dice),
		.features = vary(turn, 1ULL << VIRTIO_F_VERSION_1 |
				 (uint64_t)pick(turn, 4) << VIRTIO_RING_F_INDIRECT_DESC |
				 (uint64_t)packed << VIRTIO_F_RING_PACKED |
				 (uint64_t)!pick(turn, 4) << VIRTIO_F_IN_ORDER |
				 (uint64_t)!pick(turn, 4) << VIRTIO_F_RING_RESET),
		.config = vary_address(turn, type->config),
		.config_size = vary(turn, sizeof(type->config)),
		.num_queues = vary(turn, type->queues),
		.queue_sizes = vary_address(turn, sizes),
		.queue_flags = bits(turn, 4, 1) ? vary_address(turn, flags) : 0,
		.pool_base = vary(turn, POOL_BASE),
		.pool_fd = pick(turn, 12) ? (uint64_t)turn->file->memfd : vary(turn, turn->fd),
		.message_timeout_ms = vary(turn, 20 + pick(turn, 200)),
		.orphan_timeout_ms = vary(turn, bits(turn, 3, 1) * (20 + pick(turn, 900))),
	};

	/* A wait of minutes would be all that is tested. */
	if (args.message_timeout_ms > 1000 && args.message_timeout_ms <= 120000)
		args.message_timeout_ms = 1000;
	if (!args.message_timeout_ms)
		args.message_timeout_ms = 1;
	if (args.orphan_timeout_ms > 1000 && args.orphan_timeout_ms <= 3600000)
		args.orphan_timeout_ms = 1000;
	fill_name(args.name, turn);
	fill_queues(turn, type, QUEUES, sizes, flags);
	return ioctl(turn->fd, VIRTIO_LOOPBACK_CREATE, &args) == 0;
}

static bool step_takeover(struct turn *turn)
{
	struct virtio_loopback_takeover args = {
		.size = vary(turn, sizeof(args)), .flags = vary(turn, 0),
	};

	fill_name(args.name, turn);
	return ioctl(turn->fd, VIRTIO_LOOPBACK_TAKEOVER, &args) == 0;
}

static bool step_restrict(struct turn *turn)
{
	struct virtio_loopback_restrict args = {
		.size = vary(turn, sizeof(args)), .flags = vary(turn, 0),
	};

	fill_name(args.name, turn);
	return ioctl(turn->fd, VIRTIO_LOOPBACK_RESTRICT, &args) == 0;
}

/* ---- calls on a device ---- */

static bool step_queue_fds(struct turn *turn)
{
	unsigned int i = bits(turn, 1, QUEUES - 1);
	struct virtio_loopback_queue_fds args = {
		.size = vary(turn, sizeof(args)),
		.index = vary(turn, i),
		.kick_fd = pick(turn, 6) ? (uint64_t)turn->file->kick[i] : vary(turn, -1),
		.call_fd = pick(turn, 6) ? (uint64_t)turn->file->call[i] : vary(turn, -1),
		.flags = vary(turn, 0),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &args) == 0;
}

static bool step_start(struct turn *turn)
{
	return ioctl(turn->fd, VIRTIO_LOOPBACK_START) == 0;
}

static bool step_stop(struct turn *turn)
{
	return ioctl(turn->fd, VIRTIO_LOOPBACK_STOP) == 0;
}

static bool step_config(struct turn *turn)
{
	uint8_t data[VIRTIO_LOOPBACK_CONFIG_MAX] = { 64 };
	struct virtio_loopback_config args = {
		.size = vary(turn, sizeof(args)),
		.offset = vary(turn, 0),
		.length = vary(turn, 8),
		.flags = vary(turn, pick(turn, 2)),
		.data = vary_address(turn, data),
		.reserved = vary(turn, 0),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_SET_CONFIG, &args) == 0;
}

static bool step_queue(struct turn *turn)
{
	struct virtio_loopback_queue args = {
		.size = vary(turn, sizeof(args)), .index = vary(turn, pick(turn, 2)),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_GET_QUEUE, &args) == 0;
}

static bool step_state(struct turn *turn)
{
	struct virtio_loopback_state args = { .size = vary(turn, sizeof(args)) };

	return ioctl(turn->fd, VIRTIO_LOOPBACK_GET_STATE, &args) == 0;
}

static bool step_check_pool(struct turn *turn)
{
	return ioctl(turn->fd, VIRTIO_LOOPBACK_CHECK_POOL) == 0;
}

static bool step_outstanding(struct turn *turn)
{
	uint16_t heads[64];
	struct virtio_loopback_outstanding args = {
		.size = vary(turn, sizeof(args)),
		.index = vary(turn, pick(turn, 2)),
		/* Never more than there is room for: the kernel writes where it is told to. */
		.count = pick(turn, 65),
		.flags = vary(turn, 0),
		.heads = vary_address(turn, heads),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_GET_OUTSTANDING, &args) == 0;
}

static bool step_store(struct turn *turn)
{
	struct file *other = &files[pick(turn, FILES)];
	const int fds[] = { other->kick[0], other->memfd, atomic_load(&other->window),
			    atomic_load(&other->fd), -1 };
	struct virtio_loopback_store args = {
		.size = vary(turn, sizeof(args)),
		.slot = vary(turn, 1 + bits(turn, 1, 1)),
		.fd = fds[bits(turn, 2, 7) % (sizeof(fds) / sizeof(fds[0]))],
		.flags = vary(turn, 0),
		.tag = dice_roll(&turn->dice),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_STORE_FD, &args) == 0;
}

static bool step_fetch(struct turn *turn)
{
	struct virtio_loopback_store args = {
		.size = vary(turn, sizeof(args)), .slot = vary(turn, bits(turn, 1, 3)),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_FETCH_FD, &args) == 0 && close(args.fd) == 0;
}

static bool step_fail(struct turn *turn)
{
	struct virtio_loopback_fail args = {
		.size = vary(turn, sizeof(args)), .flags = vary(turn, 0),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_FAIL, &args) == 0;
}

static bool step_destroy(struct turn *turn)
{
	return ioctl(turn->fd, VIRTIO_LOOPBACK_DESTROY) == 0;
}

static bool step_backend(struct turn *turn)
{
	struct virtio_loopback_backend args = {
		.size = vary(turn, sizeof(args)), .pid = vary(turn, pick(turn, 2) * getpid()),
	};

	return ioctl(turn->fd, VIRTIO_LOOPBACK_SET_BACKEND, &args) == 0;
}

static bool step_window(struct turn *turn)
{
	bool again = bits(turn, 1, 1);
	struct virtio_loopback_window args = {
		.size = vary(turn, sizeof(args)),
		.base = vary(turn, again ? 0 : WINDOW_BASE),
		.length = vary(turn, again ? 0 : WINDOW_SIZE),
	};
	int old;

	if (ioctl(turn->fd, VIRTIO_LOOPBACK_WINDOW_FD, &args))
		return false;
	old = atomic_exchange(&turn->file->window, args.fd);
	if (old >= 0)
		close(old);
	return true;
}

/* A number that is no call, or a call with another size of arguments. */
static bool step_unknown(struct turn *turn)
{
	uint8_t args[4096] = { 0 };
	uint32_t size = pick(turn, sizeof(args));
	unsigned int cmd = _IOC(pick(turn, 4), VIRTIO_LOOPBACK_IOC, pick(turn, 0x14), size);

	memcpy(args, &size, sizeof(size));
	/* STOP and the like have no size: with one they are no calls. */
	return ioctl(turn->fd, cmd, pick(turn, 8) ? args : NULL) < 0 && errno == ENOTTY;
}

/* ---- time ---- */

static bool step_rest(struct turn *turn)
{
	usleep(pick(turn, 8000));
	return true;
}

static bool step_interrupt(struct turn *turn)
{
	if (interrupt_thread)
		interrupt_thread(pick(turn, THREADS));
	return true;
}

void calls_set_interrupt(void (*interrupt)(unsigned int thread))
{
	interrupt_thread = interrupt;
}

static __thread int fault_fd = -1;

/* The Nth allocation of this thread from here on fails (CONFIG_FAULT_INJECTION). */
static bool set_fault(unsigned int nth)
{
	char text[16];

	if (fault_fd < 0)
		fault_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	snprintf(text, sizeof(text), "%u", nth);
	/* The copy of the text itself may be what fails; it does so once. */
	return pwrite(fault_fd, text, strlen(text), 0) > 0 ||
	       pwrite(fault_fd, text, strlen(text), 0) > 0;
}

static bool step_fault(struct turn *turn)
{
	return calls_faults && set_fault(1 + pick(turn, 40));
}

/* What is due may be that it is not taken back, or not read: until it reads as nothing. */
void calls_settle(void)
{
	const int before = errno;
	char text[4] = "0";
	unsigned int i;

	for (i = 0; fault_fd >= 0 && i < 4; i++) {
		if (pwrite(fault_fd, "0", 1, 0) > 0 &&
		    pread(fault_fd, text, sizeof(text), 0) > 0 && text[0] == '0')
			break;
	}
	errno = before;
}

/* ---- all of them ---- */

static const struct call {
	const char *name;
	step_function run;
	unsigned int weight;
} calls[] = {
	{ "OPEN", step_open, 10 },
	{ "CLOSE", step_close, 5 },
	{ "GET_INFO", step_info, 1 },
	{ "CREATE", step_create, 12 },
	{ "SET_QUEUE_FDS", step_queue_fds, 8 },
	{ "START", step_start, 12 },
	{ "STOP", step_stop, 5 },
	{ "SET_CONFIG", step_config, 3 },
	{ "GET_QUEUE", step_queue, 3 },
	{ "GET_STATE", step_state, 3 },
	{ "CHECK_POOL", step_check_pool, 2 },
	{ "GET_OUTSTANDING", step_outstanding, 3 },
	{ "TAKEOVER", step_takeover, 4 },
	{ "RESTRICT", step_restrict, 1 },
	{ "STORE_FD", step_store, 4 },
	{ "FETCH_FD", step_fetch, 4 },
	{ "FAIL", step_fail, 2 },
	{ "DESTROY", step_destroy, 2 },
	{ "SET_BACKEND", step_backend, 2 },
	{ "WINDOW_FD", step_window, 4 },
	{ "UNKNOWN", step_unknown, 2 },
	{ "READ", step_read, 4 },
	{ "WAIT_READ", step_wait_read, 1 },
	{ "WRITE", step_write, 3 },
	{ "POLL", step_poll, 2 },
	{ "ANSWER", step_answer, 24 },
	{ "SERVE", step_serve, 10 },
	{ "SCRIBBLE", step_scribble, 3 },
	{ "PUNCH", step_punch, 1 },
	{ "SIGNAL_CALL", step_signal_call, 3 },
	{ "VIEW", step_view, 3 },
	{ "UNVIEW", step_unview, 1 },
	{ "USE", step_use, 4 },
	{ "UNBIND", step_unbind, 1 },
	{ "BIND", step_bind, 1 },
	{ "SYSFS", step_sysfs, 2 },
	{ "REST", step_rest, 3 },
	{ "INTERRUPT", step_interrupt, 1 },
	{ "FAULT", step_fault, 3 },
};

#define CALLS	(sizeof(calls) / sizeof(calls[0]))

static atomic_uint made[CALLS], done[CALLS];

int calls_choose(uint64_t number)
{
	unsigned int sum = 0, i;

	for (i = 0; i < CALLS; i++)
		sum += calls[i].weight;
	number %= sum;
	for (i = 0; number >= calls[i].weight; i++)
		number -= calls[i].weight;
	return i;
}

int calls_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < CALLS; i++)
		if (!strcmp(calls[i].name, name))
			return i;
	return -1;
}

const char *calls_name(unsigned int call)
{
	return calls[call].name;
}

void calls_run(const struct step *step)
{
	struct turn turn = {
		.file = &files[step->file],
		.fd = atomic_load(&files[step->file].fd),
		.value = step->value,
		.dice = { .state = step->value },
		/* Half of the turns go by the book: what lies behind them is to be reached. */
		.wild = step->value & 1,
	};

	made[step->call]++;
	if (calls[step->call].run(&turn))
		done[step->call]++;
}

void calls_report(FILE *out)
{
	unsigned int i;

	for (i = 0; i < CALLS; i++)
		fprintf(out, "call %s: %u made, %u done\n", calls[i].name, made[i], done[i]);
}

/* ---- around a program ---- */

static void begin_file(struct file *file)
{
	unsigned int i;

	file->memfd = memfd_create("pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file->memfd < 0 || ftruncate(file->memfd, POOL_SIZE) ||
	    fcntl(file->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		err(2, "memfd");
	file->pool = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file->memfd, 0);
	if (file->pool == MAP_FAILED)
		err(2, "mmap");
	for (i = 0; i < QUEUES; i++) {
		file->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		file->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (file->kick[i] < 0 || file->call[i] < 0)
			err(2, "eventfd");
		file->seen[i] = 0;
	}
	atomic_store(&file->fd, -1);
	atomic_store(&file->window, -1);
	atomic_store(&file->view, NULL);
	atomic_store(&file->seq, 0);
}

static void end_file(struct file *file)
{
	struct turn turn = { .file = file };
	unsigned int i;

	step_close(&turn);
	step_unview(&turn);
	if (atomic_load(&file->window) >= 0)
		close(atomic_load(&file->window));
	for (i = 0; i < QUEUES; i++) {
		close(file->kick[i]);
		close(file->call[i]);
	}
	munmap(file->pool, POOL_SIZE);
	close(file->memfd);
}

void calls_begin(void)
{
	unsigned int i;

	for (i = 0; i < FILES; i++)
		begin_file(&files[i]);
}

void calls_end(void)
{
	unsigned int i;

	for (i = 0; i < FILES; i++)
		end_file(&files[i]);
}
