// SPDX-License-Identifier: BSD-3-Clause
/*
 * uapi-faults [NAME…] - the module's calls when memory runs out in the middle of them
 *
 * Each call is made again and again; in the Nth try the Nth allocation (or copy from or to user
 * space) of this task fails, until a try has no Nth one (fail-nth: Linux,
 * Documentation/fault-injection/fault-injection.rst). A call that fails must say ENOMEM or EFAULT
 * and leave the device as it was: the same call succeeds then, and the device ends with its file.
 *
 * Prints "ok NAME: N faults, M refusals" or "FAIL NAME: …" for each call; exits with 1 when one
 * failed. Needs root and a kernel with CONFIG_FAULT_INJECTION; which allocations may fail is set
 * in debugfs by the caller.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw-device.h"

/* More allocations than this has no call: it would be an endless loop of this program. */
#define FAULTS_MAX	400
#define WINDOW_BASE	(64ULL << 30)

static struct raw_device dev;
static int nth_fd;

/* ---- the calls; each returns -1 and errno when it fails ---- */

static int call_open(void)
{
	int fd = open("/dev/virtio-loopback", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return close(fd);
}

static int call_create(void)
{
	struct virtio_loopback_create args = raw_args(dev.memfd, "faults");

	args.message_timeout_ms = 5000;
	args.orphan_timeout_ms = 20000;
	return ioctl(dev.fd, VIRTIO_LOOPBACK_CREATE, &args);
}

static int call_queue_fds(void)
{
	struct virtio_loopback_queue_fds fds = {
		.size = sizeof(fds), .kick_fd = dev.kick, .call_fd = dev.call,
	};

	return ioctl(dev.fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds);
}

static int call_store(void)
{
	struct virtio_loopback_store args = { .size = sizeof(args), .slot = 3, .fd = dev.kick };

	return ioctl(dev.fd, VIRTIO_LOOPBACK_STORE_FD, &args);
}

static int call_fetch(void)
{
	struct virtio_loopback_store args = {
		.size = sizeof(args), .slot = VIRTIO_LOOPBACK_STORE_POOL,
	};

	if (ioctl(dev.fd, VIRTIO_LOOPBACK_FETCH_FD, &args))
		return -1;
	return close(args.fd);
}

static int call_window(void)
{
	struct virtio_loopback_window args = {
		.size = sizeof(args), .base = WINDOW_BASE, .length = 1 << 20,
	};

	if (ioctl(dev.fd, VIRTIO_LOOPBACK_WINDOW_FD, &args))
		return errno == EOPNOTSUPP ? 0 : -1;
	return close(args.fd);
}

static int call_backend(void)
{
	struct virtio_loopback_backend args = { .size = sizeof(args), .pid = getpid() };

	return ioctl(dev.fd, VIRTIO_LOOPBACK_SET_BACKEND, &args);
}

static int call_start(void)
{
	return ioctl(dev.fd, VIRTIO_LOOPBACK_START);
}

static int call_state(void)
{
	struct virtio_loopback_state args = { .size = sizeof(args) };

	return ioctl(dev.fd, VIRTIO_LOOPBACK_GET_STATE, &args);
}

static int call_check_pool(void)
{
	return ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL);
}

static int call_outstanding(void)
{
	uint16_t heads[RAW_QUEUE_SIZE];
	struct virtio_loopback_outstanding args = {
		.size = sizeof(args), .count = RAW_QUEUE_SIZE, .heads = (uintptr_t)heads,
	};

	return ioctl(dev.fd, VIRTIO_LOOPBACK_GET_OUTSTANDING, &args);
}

/* The device has lost its adapter, and the file is a new one. */
static int call_takeover(void)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = "faults" };

	return ioctl(dev.fd, VIRTIO_LOOPBACK_TAKEOVER, &args);
}

static int call_fail(void)
{
	struct virtio_loopback_fail args = { .size = sizeof(args) };

	return ioctl(dev.fd, VIRTIO_LOOPBACK_FAIL, &args);
}

/* ---- what a call finds ---- */

enum before { NOTHING, A_FILE, A_DEVICE, A_DRIVER, AN_ORPHAN };

static const struct {
	const char *name;
	enum before before;
	int (*call)(void);
	int error; /* that is allowed besides ENOMEM and EFAULT */
} calls[] = {
	{ "open", NOTHING, call_open, 0 },
	/* EINVAL is the driver core's word for a device name that it could not allocate. */
	{ "CREATE", A_FILE, call_create, EINVAL },
	{ "SET_QUEUE_FDS", A_DEVICE, call_queue_fds, 0 },
	{ "STORE_FD", A_DEVICE, call_store, 0 },
	{ "FETCH_FD", A_DEVICE, call_fetch, 0 },
	{ "WINDOW_FD", A_DEVICE, call_window, 0 },
	{ "SET_BACKEND", A_DEVICE, call_backend, 0 },
	{ "START", A_DEVICE, call_start, 0 },
	{ "GET_STATE", A_DRIVER, call_state, 0 },
	{ "CHECK_POOL", A_DRIVER, call_check_pool, 0 },
	{ "GET_OUTSTANDING", A_DRIVER, call_outstanding, 0 },
	{ "FAIL", A_DRIVER, call_fail, 0 },
	{ "TAKEOVER", AN_ORPHAN, call_takeover, 0 },
};

#define CALLS	(sizeof(calls) / sizeof(calls[0]))

static void must(int result, const char *what)
{
	if (result < 0)
		err(2, "%s", what);
}

static void set_up(enum before before)
{
	memset(&dev, 0, sizeof(dev));
	dev.size = 1 << 20;
	dev.answer = dev.serve = true;
	dev.fd = dev.kick = dev.call = -1;
	dev.memfd = raw_memfd(dev.size, F_SEAL_SHRINK | F_SEAL_GROW);
	dev.pool = mmap(NULL, dev.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev.memfd, 0);
	if (dev.pool == MAP_FAILED)
		err(2, "mmap");
	if (before == NOTHING)
		return;
	dev.fd = raw_open();
	if (before == A_FILE)
		return;
	must(call_create(), "CREATE");
	raw_queue_fds(&dev);
	if (before == A_DEVICE)
		return;
	raw_run(&dev);
	must(call_start(), "START");
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 20000))
		errx(2, "the driver was not bound");
	if (before != AN_ORPHAN)
		return;
	raw_halt(&dev);
	close(dev.fd);
	dev.fd = raw_open();
}

/* After START the driver has to be answered, so that the end is no time-out. */
static bool tear_down(void)
{
	if (!dev.running)
		raw_run(&dev);
	ioctl(dev.fd, VIRTIO_LOOPBACK_DESTROY);
	raw_close(&dev);
	return raw_wait_gone("faults", 30000);
}

static void arm(int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", n);

	/* The copy of this very text may be what fails; it does so once. */
	if (pwrite(nth_fd, text, length, 0) != length && pwrite(nth_fd, text, length, 0) != length)
		err(2, "/proc/thread-self/fail-nth");
}

/* Whether the fault that was armed has happened. */
static bool disarm(void)
{
	char text[16] = "";
	bool happened;

	/* If the copy of the text is what fails, nothing before it was. */
	happened = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && !atoi(text);
	arm(0);
	return happened;
}

/* One try. Returns whether there was an Nth allocation; *refused: whether the call failed. */
static bool one_try(size_t which, int n, bool *refused, const char **wrong)
{
	int result, error;
	bool injected;

	set_up(calls[which].before);
	arm(n);
	result = calls[which].call();
	error = errno;
	injected = disarm();
	*refused = result < 0;
	if (*refused && !injected)
		printf("%s: %s without a fault\n", calls[which].name, strerrorname_np(error));
	if (*refused && !injected)
		*wrong = "it fails without a fault";
	else if (*refused && error != ENOMEM && error != EFAULT && error != calls[which].error)
		*wrong = strerrorname_np(error);
	else if (*refused && calls[which].call() < 0)
		*wrong = "it cannot be repeated";
	if (!tear_down())
		*wrong = "the device does not go";
	return injected;
}

static bool run(size_t which)
{
	const char *wrong = NULL;
	int n = 1, refusals = 0;
	bool refused;

	for (; n <= FAULTS_MAX && one_try(which, n, &refused, &wrong) && !wrong; n++)
		refusals += refused;
	if (!wrong && n > FAULTS_MAX)
		wrong = "faults without an end";
	if (wrong)
		printf("FAIL %s: fault %d: expected ENOMEM or success, and a device that can go on; saw: %s\n",
		       calls[which].name, n, wrong);
	else
		printf("ok %s: %d faults, %d refusals\n", calls[which].name, n - 1, refusals);
	return !wrong;
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	int failed = 0, done = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		err(2, "/proc/thread-self/fail-nth");
	for (size_t i = 0; i < CALLS; i++) {
		if (!wanted(calls[i].name, argc, argv))
			continue;
		failed += !run(i);
		done++;
	}
	printf("%d calls, %d failed\n", done, failed);
	return !done || failed;
}
