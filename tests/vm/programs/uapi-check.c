// SPDX-License-Identifier: BSD-3-Clause
/*
 * uapi-check [NAME…] [-NAME…] - the module's interface, called rightly and wrongly
 *
 * Prints "ok NAME" or "FAIL NAME: expected …, saw …" for each check; exits with 1 when one
 * failed. Needs root, /dev/virtio-loopback, and the virtio_rng driver.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "missing-page.h"
#include "raw-device.h"
#include "served-file.h"
#include "uapi-check.h"

static size_t page; /* the kernel's: more than 4 KiB on some */
static const char *check_name;
bool check_failed;

void fail(const char *format, ...)
{
	va_list args;

	check_failed = true;
	printf("FAIL %s: ", check_name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void expect(bool is, const char *what)
{
	if (!is)
		fail("expected %s, saw otherwise", what);
}

void expect_error(long result, int error, const char *what)
{
	int saw = result < 0 ? errno : 0;

	if (saw != error)
		fail("%s: expected %s, saw %s", what, error ? strerrorname_np(error) : "success",
		     saw ? strerrorname_np(saw) : "success");
}

void in_child(void (*run)(void), const char *what)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		run();
		fflush(stdout);
		_exit(check_failed);
	}
	waitpid(pid, &status, 0);
	if (status)
		fail("%s: status %#x", what, status);
}

/* ---- what needs no device ---- */

static void check_info(void)
{
	struct { struct virtio_loopback_info info; uint64_t more; } args = { 0 };
	int fd = raw_open();

	args.info.size = sizeof(args.info);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, &args), 0, "GET_INFO");
	EXPECT(args.info.abi == VIRTIO_LOOPBACK_ABI);
	EXPECT(args.info.transport_features & (1ULL << VIRTIO_F_VERSION_1));
	EXPECT(!(args.info.transport_features & (1ULL << VIRTIO_F_ACCESS_PLATFORM)));
	EXPECT(args.info.page_size == (uint32_t)getpagesize());
	args.info.size = sizeof(args.info) - 1;
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, &args), EINVAL, "too small");
	args.info.size = sizeof(args);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, &args), 0, "larger, the rest zero");
	args.info.size = sizeof(args);
	args.more = 1;
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, &args), E2BIG, "larger, the rest set");
	args.info.size = 1 << 20;
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, &args), E2BIG, "absurdly large");
	/* as a program has it that was built with a later header */
	args.info.size = sizeof(args);
	expect_error(ioctl(fd, _IOWR(VIRTIO_LOOPBACK_IOC, 0x00, typeof(args)), &args), E2BIG,
		     "the call with larger arguments, the rest set");
	args.more = 0;
	expect_error(ioctl(fd, _IOWR(VIRTIO_LOOPBACK_IOC, 0x00, typeof(args)), &args), 0,
		     "the call with larger arguments, the rest zero");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, NULL), EFAULT, "no address");
	close(fd);
}

static void check_no_device(void)
{
	struct virtio_loopback_queue_fds fds = { .size = sizeof(fds), .kick_fd = -1, .call_fd = -1 };
	struct virtio_loopback_takeover takeover = { .size = sizeof(takeover), .name = "nobody" };
	struct pollfd pfd = { .events = POLLIN };
	struct virtio_loopback_msg msg;
	int fd = raw_open();

	expect_error(ioctl(fd, VIRTIO_LOOPBACK_START), ENODEV, "START");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds), ENODEV, "SET_QUEUE_FDS");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_DESTROY), ENODEV, "DESTROY");
	expect_error(ioctl(fd, TIOCGWINSZ, &msg), ENOTTY, "a terminal's call");
	expect_error(read(fd, &msg, sizeof(msg)), ENODEV, "read");
	expect_error(write(fd, &msg, sizeof(struct virtio_loopback_reply)), ENODEV, "write");
	pfd.fd = fd;
	EXPECT(poll(&pfd, 1, 0) == 0);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_TAKEOVER, &takeover), ENOENT, "TAKEOVER of nobody");
	memset(takeover.name, 'x', sizeof(takeover.name));
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_TAKEOVER, &takeover), EINVAL, "TAKEOVER, no NUL");
	expect_error(mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, ENODEV,
		     "mmap");
	close(fd);
}

static void try_create(struct virtio_loopback_create args, int error, const char *what)
{
	int fd = raw_open();

	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), error, what);
	close(fd);
	if (!error)
		expect(raw_wait_gone(args.name, 5000), "the device to go with its file");
}

#define WITH(field, value, error) do { \
	struct virtio_loopback_create args = raw_args(memfd, "u"); \
	args.field = value; \
	try_create(args, error, #field " = " #value); \
} while (0)

static void check_create_refuses(void)
{
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW);
	static const uint16_t odd[] = { 24 }, huge[] = { 32768 }, one[] = { 1 };
	static const uint16_t posted[] = { VIRTIO_LOOPBACK_QF_POSTED };
	static const uint16_t strict[] = { VIRTIO_LOOPBACK_QF_STRICT };
	static const uint16_t both[] = { VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT };
	static const uint16_t unknown[] = { 4 };
	const uint64_t packed = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_RING_PACKED;
	const uint64_t network = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << 17;

	WITH(size, 8, EINVAL);
	WITH(size, sizeof(struct virtio_loopback_create), 0);
	WITH(flags, 1, EINVAL);
	WITH(reserved[4], 1, EINVAL);
	WITH(reserved0, 1, EINVAL);
	WITH(name[0], '/', EINVAL);
	WITH(name[0], '.', EINVAL);
	WITH(name[0], 0, EINVAL);
	WITH(name[0], (char)0xe4, EINVAL);
	WITH(device_id, 0, EINVAL);
	WITH(device_id, 24, EOPNOTSUPP); /* memory */
	WITH(device_id, 27, EOPNOTSUPP); /* pmem */
	WITH(device_id, 23, EOPNOTSUPP); /* iommu */
	WITH(device_id, 5, EPERM); /* balloon */
	WITH(features, 0, EINVAL);
	WITH(features, packed, 0);
	WITH(features, packed; args.queue_sizes = (uintptr_t)odd, 0);
	WITH(features, packed; args.queue_flags = (uintptr_t)posted, EINVAL);
	WITH(features, packed; args.device_id = 16, EOPNOTSUPP);
	WITH(features, (1ULL << VIRTIO_F_VERSION_1) | (1ULL << VIRTIO_F_SR_IOV), EINVAL);
	WITH(features, (1ULL << VIRTIO_F_VERSION_1) | 1 | (1ULL << 50) | (1ULL << 63), 0);
	/* a network device with a control queue: which one that is */
	WITH(features, network; args.device_id = 1, EINVAL);
	WITH(features, network; args.device_id = 1; args.queue_flags = (uintptr_t)posted, EINVAL);
	WITH(features, network; args.device_id = 1; args.queue_flags = (uintptr_t)both, 0);
	WITH(features_high, 1, EINVAL);
	WITH(config_size, VIRTIO_LOOPBACK_CONFIG_MAX + 1, EINVAL);
	WITH(config_size, 16, EFAULT);
	WITH(num_queues, 0, EINVAL);
	WITH(num_queues, VIRTIO_LOOPBACK_QUEUES_MAX + 1, EINVAL);
	WITH(queue_sizes, 0, EFAULT);
	WITH(queue_sizes, (uintptr_t)odd, EINVAL);
	WITH(queue_sizes, (uintptr_t)huge, 0);
	WITH(queue_flags, 1, EFAULT);
	WITH(queue_flags, (uintptr_t)posted, 0);
	WITH(queue_flags, (uintptr_t)both, 0);
	WITH(queue_flags, (uintptr_t)strict, EINVAL);
	WITH(queue_flags, (uintptr_t)unknown, EINVAL);
	WITH(queue_flags, (uintptr_t)posted; args.queue_sizes = (uintptr_t)one, EINVAL);
	WITH(pool_base, 0, EINVAL);
	WITH(pool_base, 0x1234, EINVAL);
	WITH(pool_base, ~0ULL << 12, EINVAL);
	WITH(pool_fd, -1, EBADF);
	WITH(pool_fd, STDOUT_FILENO, EINVAL);
	WITH(message_timeout_ms, 120001, EINVAL);
	WITH(orphan_timeout_ms, 3600001, EINVAL);
	close(memfd);
}

static void try_pool(int memfd, int error, const char *what)
{
	try_create(raw_args(memfd, "p"), error, what);
	close(memfd);
}

static void check_pool_refuses(void)
{
	const unsigned int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
	char path[64];
	int memfd;

	try_pool(raw_memfd(1 << 20, 0), EINVAL, "no seals");
	try_pool(raw_memfd(1 << 20, F_SEAL_SHRINK), EINVAL, "may grow");
	try_pool(raw_memfd(1 << 20, F_SEAL_GROW), EINVAL, "may shrink");
	try_pool(raw_memfd(1 << 20, sealed | F_SEAL_WRITE), EINVAL, "not to be written");
	try_pool(raw_memfd(1 << 20, sealed | F_SEAL_FUTURE_WRITE), EINVAL, "not to be written later");
	try_pool(raw_memfd((1 << 20) + 512, sealed), EINVAL, "no whole pages");
	try_pool(raw_memfd(0, sealed), EINVAL, "empty");
	try_pool(raw_memfd(16384, sealed), ENOSPC, "no room for rings");
	snprintf(path, sizeof(path), "/tmp/uapi-check-XXXXXX");
	memfd = mkstemp(path);
	unlink(path);
	try_pool(memfd, EINVAL, "a file");

	memfd = raw_memfd(1 << 20, sealed);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	try_pool(open(path, O_RDONLY), EINVAL, "open for reading only");
	close(memfd);
}

/* As a user without CAP_IPC_LOCK, in a child. */
static void check_pool_memlock(void)
{
	struct rlimit limit = { 512 << 10, 512 << 10 };
	int status, fd = raw_open(), memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW);
	struct virtio_loopback_create args = raw_args(memfd, "memlock");
	pid_t child = fork();

	if (!child) {
		if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresuid(65534, 65534, 65534))
			_exit(100);
		_exit(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args) ? errno : 0);
	}
	waitpid(child, &status, 0);
	if (WEXITSTATUS(status) != EFBIG)
		fail("1 MiB with RLIMIT_MEMLOCK of 512 KiB: expected %d (EFBIG), saw %d", EFBIG,
		     WEXITSTATUS(status));
	close(memfd);
	close(fd);
}

/* ---- what needs one ---- */

static void check_names(void)
{
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW);
	struct virtio_loopback_create args = raw_args(memfd, "twin");
	int one = raw_open(), two = raw_open();

	expect_error(ioctl(one, VIRTIO_LOOPBACK_CREATE, &args), 0, "the first");
	expect_error(ioctl(one, VIRTIO_LOOPBACK_CREATE, &args), EBUSY, "the same file again");
	expect_error(ioctl(two, VIRTIO_LOOPBACK_CREATE, &args), EEXIST, "the same name");
	close(one);
	expect(raw_wait_gone("twin", 5000), "the first to go");
	expect_error(ioctl(two, VIRTIO_LOOPBACK_CREATE, &args), 0, "the name, free again");
	close(two);
	/* It is free from the moment on in which its device is not to be seen any more. */
	for (int i = 0; i < 20 && !check_failed; i++) {
		expect(raw_wait_gone("twin", 5000), "the last one to go");
		one = raw_open();
		expect_error(ioctl(one, VIRTIO_LOOPBACK_CREATE, &args), 0, "the name, at once");
		close(one);
	}
	close(memfd);
}

static void check_queue_fds(void)
{
	struct virtio_loopback_queue_fds fds;
	struct raw_device dev;

	raw_create(&dev, "fds", 1000, 0);
#define FDS(...) (fds = (struct virtio_loopback_queue_fds){ .size = sizeof(fds), __VA_ARGS__ }, \
		  ioctl(dev.fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds))
	expect_error(FDS(.index = 1), EINVAL, "a queue that is not there");
	expect_error(FDS(.index = UINT32_MAX), EINVAL, "the last imaginable queue");
	expect_error(FDS(.flags = 1), EINVAL, "flags");
	expect_error(FDS(.kick_fd = dev.memfd, .call_fd = -1), EINVAL, "kick: no eventfd");
	expect_error(FDS(.kick_fd = -1, .call_fd = dev.memfd), EINVAL, "call: no eventfd");
	expect_error(FDS(.kick_fd = -1, .call_fd = 999), EBADF, "call: nothing");
	expect_error(FDS(.kick_fd = -1, .call_fd = -1), 0, "none");
	expect_error(FDS(.kick_fd = dev.kick, .call_fd = dev.call), 0, "the same again");
	raw_close(&dev);
}

static void check_config(void)
{
	uint8_t bytes[16] = { 0 }, data[64] = { 0 };
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW), fd = raw_open();
	struct virtio_loopback_create args = raw_args(memfd, "config");
	struct virtio_loopback_config config;

	args.config = (uintptr_t)bytes;
	args.config_size = sizeof(bytes);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE");
#define CONFIG(...) (config = (struct virtio_loopback_config){ .size = sizeof(config), __VA_ARGS__ }, \
		     ioctl(fd, VIRTIO_LOOPBACK_SET_CONFIG, &config))
	expect_error(CONFIG(.data = (uintptr_t)data, .length = 16), 0, "all of it");
	expect_error(CONFIG(.data = (uintptr_t)data, .length = 17), EINVAL, "a byte too long");
	expect_error(CONFIG(.data = (uintptr_t)data, .offset = 16, .length = 1), EINVAL, "behind the end");
	expect_error(CONFIG(.data = (uintptr_t)data, .offset = UINT32_MAX, .length = 2), EINVAL, "wrapped around");
	expect_error(CONFIG(.data = (uintptr_t)data, .length = 4, .flags = 2), EINVAL, "flags");
	expect_error(CONFIG(.length = 4), EFAULT, "no address");
	expect_error(CONFIG(.data = (uintptr_t)data, .length = 4, .flags = VIRTIO_LOOPBACK_CONFIG_NOTIFY), 0, "notify");
	close(fd);
	close(memfd);
}

/* One change after the other: there has to be time to read in between. */
static void check_config_storm(void)
{
	uint8_t bytes[16] = { 0 };
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW), fd = raw_open();
	struct virtio_loopback_create args = raw_args(memfd, "storm");
	struct virtio_loopback_config config = {
		.size = sizeof(config), .data = (uintptr_t)bytes, .length = sizeof(bytes),
	};
	const long turns = 100;
	struct timespec from, to;
	long ms;

	args.config = (uintptr_t)bytes;
	args.config_size = sizeof(bytes);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE");
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < turns; i++)
		expect_error(ioctl(fd, VIRTIO_LOOPBACK_SET_CONFIG, &config), 0, "SET_CONFIG");
	clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
	if (ms < turns - 1)
		fail("%ld changes: expected %ld ms or more, saw %ld", turns, turns - 1, ms);
	close(fd);
	close(memfd);
}

struct slow_call {
	int fd;
	struct virtio_loopback_config args;
};

static void *call_slowly(void *arg)
{
	struct slow_call *call = arg;

	expect_error(ioctl(call->fd, VIRTIO_LOOPBACK_SET_CONFIG, &call->args), 0, "in the end");
	return NULL;
}

static void interrupt(int number)
{
	(void)number;
}

/* One who has a call wait for memory of his own keeps neither his device nor others waiting. */
static void check_slow_memory(void)
{
	struct sigaction in_time = { .sa_handler = interrupt };
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW), fd = raw_open(), uffd;
	struct virtio_loopback_takeover takeover = { .size = sizeof(takeover), .name = "slow" };
	struct virtio_loopback_state state = { .size = sizeof(state) };
	struct virtio_loopback_create args = raw_args(memfd, "slow");
	uint8_t bytes[16] = { 0 };
	struct slow_call call = { .fd = fd };
	struct pollfd asked = { .events = POLLIN };
	void *memory = missing_page(&uffd);
	int other = raw_open();
	pthread_t thread;

	args.config = (uintptr_t)bytes;
	args.config_size = sizeof(bytes);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE");
	expect_error(memory ? 0 : -1, 0, "userfaultfd");
	call.args = (struct virtio_loopback_config){ .size = sizeof(call.args), .length = 16,
						     .data = (uintptr_t)memory };
	asked.fd = uffd;
	if (!memory || pthread_create(&thread, NULL, call_slowly, &call))
		return;
	EXPECT(poll(&asked, 1, 10000) == 1);
	sigaction(SIGALRM, &in_time, NULL);
	alarm(10);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_GET_STATE, &state), 0, "GET_STATE meanwhile");
	expect_error(ioctl(other, VIRTIO_LOOPBACK_TAKEOVER, &takeover), EBUSY, "TAKEOVER meanwhile");
	alarm(0);
	EXPECT(!missing_page_comes(uffd, memory));
	pthread_join(thread, NULL);
	close(uffd);
	close(other);
	close(fd);
	close(memfd);
}

struct second_call {
	int fd;
	bool takeover;
	struct virtio_loopback_create args;
	volatile bool done;
	int error;
};

static void *call_second(void *arg)
{
	struct virtio_loopback_takeover takeover = { .size = sizeof(takeover), .name = "second" };
	struct second_call *call = arg;
	long ret = call->takeover ? ioctl(call->fd, VIRTIO_LOOPBACK_TAKEOVER, &takeover) :
		   ioctl(call->fd, VIRTIO_LOOPBACK_CREATE, &call->args);

	call->error = ret ? errno : 0;
	call->done = true;
	return NULL;
}

static void *create_slowly(void *arg)
{
	struct second_call *call = arg;

	expect_error(ioctl(call->fd, VIRTIO_LOOPBACK_CREATE, &call->args), 0, "CREATE in the end");
	return NULL;
}

/* One file, whose first call waits for memory of the caller's: the second one can be interrupted. */
static void check_slow_create(void)
{
	struct sigaction in_time = { .sa_handler = interrupt };
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW), uffd;
	struct second_call first = { .fd = raw_open(), .args = raw_args(memfd, "slow") };
	struct second_call second = { .fd = first.fd, .args = raw_args(memfd, "second") };
	struct pollfd asked = { .events = POLLIN };
	void *memory = missing_page(&uffd);
	pthread_t one, two;

	expect_error(memory ? 0 : -1, 0, "userfaultfd");
	first.args.config = (uintptr_t)memory;
	first.args.config_size = 16;
	asked.fd = uffd;
	if (!memory || pthread_create(&one, NULL, create_slowly, &first))
		return;
	EXPECT(poll(&asked, 1, 10000) == 1);
	sigaction(SIGALRM, &in_time, NULL);
	for (int i = 0; i < 2; i++) {
		second.takeover = i;
		second.done = false;
		if (pthread_create(&two, NULL, call_second, &second))
			return fail("no thread");
		for (int tries = 0; !second.done && tries < 200; tries++) {
			usleep(10000);
			pthread_kill(two, SIGALRM);
		}
		if (!second.done) {
			fail("%s: expected to be interrupted, saw that it waits",
			     i ? "TAKEOVER" : "CREATE");
			break;
		}
		pthread_join(two, NULL);
		if (second.error != EINTR)
			fail("%s: expected EINTR, saw %s", i ? "TAKEOVER" : "CREATE",
			     strerrorname_np(second.error));
	}
	EXPECT(!missing_page_comes(uffd, memory));
	pthread_join(one, NULL);
	if (!second.done)
		pthread_join(two, NULL);
	close(uffd);
	close(first.fd);
	close(memfd);
}

static void check_messages(void)
{
	struct virtio_loopback_reply reply = { .seq = 12345 };
	void *volatile nowhere = NULL;
	struct virtio_loopback_msg msg;
	struct raw_device dev;

	raw_create(&dev, "messages", 1000, 0);
	fcntl(dev.fd, F_SETFL, O_NONBLOCK);
	expect_error(read(dev.fd, &msg, sizeof(msg)), EAGAIN, "nothing to read");
	expect_error(read(dev.fd, &msg, sizeof(msg) - 1), EINVAL, "read of another size");
	expect_error(write(dev.fd, &reply, sizeof(reply)), ENOENT, "an answer to nothing");
	expect_error(write(dev.fd, &reply, 1), EINVAL, "write of another size");
	reply.reserved = 1;
	expect_error(write(dev.fd, &reply, sizeof(reply)), EINVAL, "reserved");
	reply = (struct virtio_loopback_reply){ .seq = 1, .error = 5 };
	expect_error(write(dev.fd, &reply, sizeof(reply)), EINVAL, "a positive error");
	expect_error(write(dev.fd, nowhere, sizeof(reply)), EFAULT, "no address");
	raw_close(&dev);
}

static void check_store(void)
{
	struct virtio_loopback_store store;
	struct raw_device dev;
	int network = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int other = raw_open();

	EXPECT(network >= 0 && local >= 0);
	raw_create(&dev, "store", 1000, 0);
#define STORE(call, ...) (store = (struct virtio_loopback_store){ .size = sizeof(store), \
			  __VA_ARGS__ }, ioctl(dev.fd, call, &store))
	expect_error(STORE(VIRTIO_LOOPBACK_FETCH_FD, .slot = 1), ENOENT, "an empty slot");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 0, .fd = 1), EINVAL, "the pool's slot");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = VIRTIO_LOOPBACK_STORE_MAX, .fd = 1),
		     EINVAL, "no such slot");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 1, .fd = 999), EBADF, "no such file");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 1, .fd = dev.fd), EINVAL, "itself");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 1, .fd = other), EINVAL, "its like");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 1, .fd = network), EINVAL,
		     "a socket of a network");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 1, .fd = local), 0, "a local one");
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 7, .fd = dev.kick, .tag = 99), 0, "one");
	expect_error(STORE(VIRTIO_LOOPBACK_FETCH_FD, .slot = 7), 0, "fetched");
	EXPECT(store.tag == 99);
	EXPECT(fcntl(store.fd, F_GETFD) == FD_CLOEXEC);
	close(store.fd);
	expect_error(STORE(VIRTIO_LOOPBACK_STORE_FD, .slot = 7, .fd = -1), 0, "emptied");
	expect_error(STORE(VIRTIO_LOOPBACK_FETCH_FD, .slot = 7), ENOENT, "empty again");
	expect_error(STORE(VIRTIO_LOOPBACK_FETCH_FD, .slot = 0), 0, "the pool");
	EXPECT(lseek(store.fd, 0, SEEK_END) == (off_t)dev.size);
	close(store.fd);
	close(other);
	close(network);
	close(local);
	raw_close(&dev);
}

/* A close, a look, a line that is written: each would be for as long as its process likes. */
static void check_store_served(void)
{
	char path[] = "/tmp/served-XXXXXX";
	struct virtio_loopback_store store = { .size = sizeof(store), .slot = 1 };
	struct raw_device dev;
	int file = mkstemp(path), served = served_file(path);

	if (file < 0 || served < 0) {
		fail("a file on FUSE: %s", strerror(errno));
		return;
	}
	raw_create(&dev, "served", 1000, 0);
	store.fd = served;
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_STORE_FD, &store), EINVAL, "a file on FUSE");
	store.fd = file;
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_STORE_FD, &store), 0, "another file");
	raw_close(&dev);
	close(served);
	close(file);
	unlink(path);
}

/* The device's file in a socket's queue, and the socket in the device's store: nobody has it open. */
static void leave_cycle(void)
{
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW), fd = raw_open(), pair[2];
	struct virtio_loopback_create args = raw_args(memfd, "cycle");
	struct virtio_loopback_store store = { .size = sizeof(store), .slot = 1 };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};

	args.message_timeout_ms = 1000;
	control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	expect_error(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0, "socketpair");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE");
	store.fd = pair[0];
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_STORE_FD, &store), 0, "STORE_FD");
	expect(sendmsg(pair[1], &msg, 0) == 1, "sendmsg");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_START), 0, "START");
}

static void check_cycle(void)
{
	in_child(leave_cycle, "who leaves it");
	expect(!raw_wait_gone("cycle", 1000), "the device to stay");
	expect(!system("for d in /sys/devices/platform/virtio-loopback.*; do "
		       "grep -qx cycle $d/name && echo 1 >$d/fail; done"), "fail");
	expect(raw_wait_gone("cycle", 20000), "the device to go");
}

/*
 * The system goes to sleep while a driver's probe waits for an answer that does not come, and waits
 * for the probe: that has to have an end. By tests/vm-sleep, which says how far it goes.
 */
static void check_asleep(void)
{
	int memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW), fd = raw_open();
	int state = open("/sys/power/state", O_WRONLY | O_CLOEXEC);
	struct virtio_loopback_create args = raw_args(memfd, "asleep");

	args.device_id = VIRTIO_ID_BLOCK; /* has a driver wherever this is run */
	args.message_timeout_ms = 2000;
	EXPECT(state >= 0);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_START), 0, "START");
	if (write(state, "mem", 3) != 3)
		printf("the system did not go to sleep: %s\n", strerror(errno));
	close(state);
	close(fd);
	close(memfd);
	expect(raw_wait_gone("asleep", 20000), "the device to go");
}

static void check_pool_holes(void)
{
	struct raw_device dev;

	raw_create(&dev, "holes", 1000, 0);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL), 0, "whole");
	expect_error(fallocate(dev.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, page), 0,
		     "punch");
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL), ESTALE, "with a hole");
	dev.pool[65536] = 1;
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL), ESTALE, "with another page in it");
	raw_close(&dev);
}

/* ---- the window ---- */

#define WINDOW_BASE	(64ULL << 30)

static long window_call(int fd, struct virtio_loopback_window *args, uint64_t base, uint64_t length)
{
	*args = (struct virtio_loopback_window){ .size = sizeof(*args), .base = base, .length = length };
	return ioctl(fd, VIRTIO_LOOPBACK_WINDOW_FD, args);
}

static bool have_window(int fd)
{
	struct virtio_loopback_info info = { .size = sizeof(info) };

	return !ioctl(fd, VIRTIO_LOOPBACK_GET_INFO, &info) &&
	       (info.capabilities & VIRTIO_LOOPBACK_CAP_WINDOW);
}

/* In a child: what a touch ends in. */
static int touch_signal(volatile uint8_t *p, bool write)
{
	pid_t child = fork();
	int status = 0;

	if (!child) {
		if (write)
			*p = 1;
		_exit(*p);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void expect_map(size_t length, int prot, int flags, int fd, off_t offset, int error,
		       const char *what)
{
	void *map = mmap(NULL, length, prot, flags, fd, offset);

	expect_error(map == MAP_FAILED ? -1 : 0, error, what);
	if (map != MAP_FAILED)
		munmap(map, length);
}

static void check_window_refuses(void)
{
	struct { struct virtio_loopback_window args; uint64_t more; } larger = { 0 };
	struct virtio_loopback_window args;
	struct raw_device dev;

	raw_create(&dev, "window-refuses", 1000, 0);
	if (!have_window(dev.fd)) {
		expect_error(window_call(dev.fd, &args, WINDOW_BASE, 0), EOPNOTSUPP, "not to be had");
		return raw_close(&dev);
	}
	expect_error(window_call(dev.fd, &args, 0, 0), EINVAL, "no base");
	expect_error(window_call(dev.fd, &args, WINDOW_BASE + 512, 0), EINVAL, "base within a page");
	expect_error(window_call(dev.fd, &args, WINDOW_BASE, 4097), EINVAL, "no whole pages");
	expect_error(window_call(dev.fd, &args, WINDOW_BASE, 1ULL << 41), EINVAL, "too long");
	expect_error(window_call(dev.fd, &args, 1ULL << 63, 1 << 20), EINVAL, "wraps");
	expect_error(window_call(dev.fd, &args, RAW_POOL_BASE, 1 << 20), EINVAL, "on the pool");
	expect_error(window_call(dev.fd, &args, RAW_POOL_BASE - (1 << 20), (1 << 20) + page), EINVAL,
		     "over the pool's first page");
	args = (struct virtio_loopback_window){ .size = sizeof(args), .base = WINDOW_BASE, .flags = 1 };
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_WINDOW_FD, &args), EINVAL, "flags");
	args = (struct virtio_loopback_window){ .size = sizeof(args), .base = WINDOW_BASE };
	args.reserved[4] = 1;
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_WINDOW_FD, &args), EINVAL, "reserved");
	/* as a program has it that was built with a later header: the same call */
	larger.args = (struct virtio_loopback_window){ .size = sizeof(larger), .flags = 1 };
	expect_error(ioctl(dev.fd, _IOWR(VIRTIO_LOOPBACK_IOC, 0x10, typeof(larger)), &larger),
		     EINVAL, "larger arguments");
	raw_close(&dev);
}

static void check_window(void)
{
	struct virtio_loopback_window args;
	struct raw_device dev;
	uint8_t *map;
	int fd;

	raw_create(&dev, "window", 1000, 0);
	if (!have_window(dev.fd))
		return raw_close(&dev);
	expect_error(window_call(dev.fd, &args, WINDOW_BASE, 1 << 20), 0, "WINDOW_FD");
	EXPECT(args.base == WINDOW_BASE && args.length == 1 << 20);
	fd = args.fd;
	EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	EXPECT(lseek(fd, 0, SEEK_END) == 1 << 20);
	expect_error(window_call(dev.fd, &args, 0, 1 << 21), EINVAL, "another length");
	expect_error(window_call(dev.fd, &args, 0, 0), 0, "once more");
	close(args.fd);
	expect_map(1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, 0, "all of it");
	expect_map(page, PROT_READ, MAP_SHARED, fd, (1 << 20) - page, 0, "its last page");
	expect_map((1 << 20) + page, PROT_READ, MAP_SHARED, fd, 0, EINVAL, "a page more");
	expect_map(page, PROT_READ, MAP_SHARED, fd, 1 << 20, EINVAL, "behind the end");
	expect_map(page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0, EINVAL, "private");
	expect_map(page, PROT_READ, MAP_PRIVATE, fd, 0, EINVAL, "private, to read");
	expect_map(page, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0, EPERM, "to execute");
	expect_error(ftruncate(fd, page), EINVAL, "ftruncate");
	expect_error(read(fd, &args, 1), EINVAL, "read");
	map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(touch_signal(map, false) == SIGBUS);
	EXPECT(touch_signal(map + page, true) == SIGBUS);
	raw_close(&dev);
	expect(raw_wait_gone("window", 5000), "the device to go while its window is mapped");
	EXPECT(touch_signal(map, false) == SIGBUS);
	munmap(map, 1 << 20);
	expect_map(page, PROT_READ, MAP_SHARED, fd, 0, 0, "after the device");
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{ "info", check_info },
	{ "no-device", check_no_device },
	{ "create-refuses", check_create_refuses },
	{ "pool-refuses", check_pool_refuses },
	{ "pool-memlock", check_pool_memlock },
	{ "names", check_names },
	{ "queue-fds", check_queue_fds },
	{ "config", check_config },
	{ "config-storm", check_config_storm },
	{ "slow-memory", check_slow_memory },
	{ "slow-create", check_slow_create },
	{ "messages", check_messages },
	{ "store", check_store },
	{ "store-served", check_store_served },
	{ "cycle", check_cycle },
	{ "asleep", check_asleep },
	{ "pool-holes", check_pool_holes },
	{ "window-refuses", check_window_refuses },
	{ "window", check_window },
	{ "serves", check_serves },
	{ "reserved-pool", check_reserved_pool },
	{ "huge-pool", check_huge_pool },
	{ "stop-and-start", check_stop_and_start },
	{ "silence", check_silence },
	{ "close-while-probing", check_close_while_probing },
	{ "fail-unblocks", check_fail_unblocks },
	{ "forged-used", check_forged_used },
	{ "endless-chain", check_endless_chain },
	{ "takeover", check_takeover },
	{ "owner", check_owner },
	{ "patience", check_patience },
	{ "patience-ends", check_patience_ends },
	{ "orphan-ends", check_orphan_ends },
};

/* NAME: only that; -NAME: all but that */
static bool wanted(const char *name, int argc, char **argv)
{
	bool only = false;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && !strcmp(argv[i] + 1, name))
			return false;
		if (!strcmp(argv[i], name))
			return true;
		only |= argv[i][0] != '-';
	}
	return !only;
}

int main(int argc, char **argv)
{
	int failures = 0, run = 0;

	page = sysconf(_SC_PAGESIZE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!wanted(checks[i].name, argc, argv))
			continue;
		check_name = checks[i].name;
		check_failed = false;
		checks[i].run();
		if (!check_failed)
			printf("ok %s\n", check_name);
		failures += check_failed;
		run++;
	}
	printf("%d checks, %d failed\n", run, failures);
	return !run || failures;
}
