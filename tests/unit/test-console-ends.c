// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-console from outside: ends that do not read, that are full, that go. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/deadline.h"
#include "common/util.h"
#include "console-tester.h"

/* ---- a terminal whose driver waits with its CPU ---- */

#define TERMINAL_TX 5

/* Return: the slave of the terminal, which is port 1; what is to be put out makes a pattern */
static int begin_terminal(struct tester *t)
{
	uint32_t i;
	int fd;

	start(t, two_ports, RINGS, ~0ULL);
	bring_up(t);
	for (i = 0; i < 1 << 20; i++)
		t->out[i] = (uint8_t)(i * 7 + (i >> 8) + (i >> 16));
	fd = open(console_pty, O_RDWR | O_NOCTTY | O_NONBLOCK);
	assert_true(fd >= 0);
	hear(t, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	return fd;
}

static uint64_t ms_since(uint64_t ns)
{
	return (now_ns() - ns) / 1000000;
}

/* Who is connected and does not read is waited for once, and not for long. */
static void test_terminal_not_read(void **state)
{
	static uint8_t got[1 << 20];
	struct tester t;
	size_t have = 0;
	uint64_t ns;
	ssize_t n;
	int fd, i;

	(void)state;
	fd = begin_terminal(&t);
	ns = now_ns();
	put_out(&t, TERMINAL_TX, 1 << 20);
	if (drv_wait(&t.fe.rings[TERMINAL_TX], NULL, 3000) < 0)
		fail_msg("a terminal's driver waits for ever for a client that does not read");
	print_message("waited for it for %lu ms\n", (unsigned long)ms_since(ns));
	assert_in_range(ms_since(ns), 90, 3000);
	ns = now_ns();
	for (i = 0; i < 20; i++) {
		put_out(&t, TERMINAL_TX, 1 << 20);
		assert_true(drv_wait(&t.fe.rings[TERMINAL_TX], NULL, FE_TIMEOUT_MS) >= 0);
	}
	print_message("and for 20 more for %lu ms\n", (unsigned long)ms_since(ns));
	assert_in_range(ms_since(ns), 0, 10 * 90);
	/* when it reads again it sees what there was room for, and then what is new */
	while ((n = read(fd, got + have, sizeof(got) - have)) > 0) {
		have += (size_t)n;
		poll(NULL, 0, 5);
	}
	assert_in_range(have, 1, sizeof(got) - 1);
	assert_memory_equal(got, t.out, have);
	memcpy(t.out, "again", 5);
	put_out(&t, TERMINAL_TX, 5);
	expect(fd, "again", 5);
	close(fd);
	finish(&t);
}

/*
 * Reads @size bytes, a little at a time.
 *
 * Return: the longest time between two reads, in ms
 */
static uint64_t read_slowly(int fd, uint8_t *got, size_t size, int pause_ms)
{
	uint64_t longest = 0, ns = now_ns();
	size_t have = 0;

	while (have < size && ms_since(ns) < FE_TIMEOUT_MS) {
		ssize_t n = read(fd, got + have, MIN(size - have, (size_t)2000));

		longest = MAX(longest, ms_since(ns));
		if (n > 0) {
			have += (size_t)n;
			ns = now_ns();
		}
		poll(NULL, 0, pause_ms);
	}
	return have == size ? longest : UINT64_MAX;
}

/* Who does read, if slowly, misses nothing, for as long as it takes. */
static void test_terminal_read_slowly(void **state)
{
	static uint8_t got[1 << 20];
	const uint32_t size = 100000;
	uint64_t longest = UINT64_MAX;
	struct tester t;
	int fd, tries;

	(void)state;
	for (tries = 0; tries < 5 && longest > 80; tries++) {
		fd = begin_terminal(&t);
		put_out(&t, TERMINAL_TX, size);
		longest = read_slowly(fd, got, size, 20);
		if (longest <= 80) { /* else it is this test that was too slow */
			assert_memory_equal(got, t.out, size);
			assert_true(drv_wait(&t.fe.rings[TERMINAL_TX], NULL, FE_TIMEOUT_MS) >= 0);
		}
		close(fd);
		finish(&t);
	}
	print_message("%d tries, at most %lu ms between two reads\n", tries,
		      (unsigned long)longest);
	if (longest > 80)
		skip();
}

/* A driver that goes on without waiting, and one of a plain port: their output is kept. */
static void test_kept_for_a_reader(void **state)
{
	static uint8_t got[1 << 20];
	const uint32_t size = 200000;
	struct drv_buf big, small;
	struct drv_ring *ring;
	struct tester t;
	int fd, plain;

	(void)state;
	fd = begin_terminal(&t);
	ring = &t.fe.rings[TERMINAL_TX];
	plain = client();
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	put_out(&t, 1, 1 << 20);
	big = (struct drv_buf){ t.out, size, false };
	small = (struct drv_buf){ t.out + size, 16, false };
	assert_true(drv_add(ring, &big, 1, false) >= 0);
	assert_true(drv_add(ring, &small, 1, false) >= 0);
	drv_kick(ring);
	assert_int_equal(drv_wait(ring, NULL, 350), -1);
	assert_int_equal(drv_get(&t.fe.rings[1], NULL), -1);
	assert_true(read_slowly(fd, got, size + 16, 0) != UINT64_MAX);
	assert_memory_equal(got, t.out, size + 16);
	assert_true(drv_wait(ring, NULL, FE_TIMEOUT_MS) >= 0);
	assert_true(drv_wait(ring, NULL, FE_TIMEOUT_MS) >= 0);
	/* by now the driver is known */
	put_out(&t, TERMINAL_TX, 1 << 20);
	assert_int_equal(drv_wait(ring, NULL, 350), -1);
	close(plain);
	close(fd);
	finish(&t);
}

/* ---- standard input and output ---- */

static const char *const stdio[] = { "--stdio", NULL };

static void start_stdio(struct tester *t, int in, int out)
{
	int saved[2] = { dup(STDIN_FILENO), dup(STDOUT_FILENO) };

	assert_true(saved[0] >= 0 && saved[1] >= 0);
	fflush(stdout);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	start(t, stdio, 2, ~BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT));
	dup2(saved[0], STDIN_FILENO);
	dup2(saved[1], STDOUT_FILENO);
	close(saved[0]);
	close(saved[1]);
}

static bool lives(struct tester *t)
{
	uint64_t features;

	return fe_get_u64(&t->fe, VHOST_USER_GET_FEATURES, &features) == 0;
}

static void expect_end(struct tester *t, const char *why)
{
	int status = fe_wait(&t->fe);

	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("%s: expected its end with status 0, saw %#x", why, (unsigned int)status);
	fe_finish(&t->fe);
}

/* A terminal of another session: its end comes without a signal, here with nothing to be read. */
static void test_terminal_goes(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct tester t;
	char name[64];

	(void)state;
	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	start_stdio(&t, slave, slave);
	close(slave);
	assert_true(lives(&t));
	close(master);
	expect_end(&t, "its terminal has gone");
}

static bool set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return done;
}

/* Namespaces in which this process may mount something; no other sees it. */
static bool may_mount(void)
{
	char users[32], groups[32];

	if (!geteuid())
		return unshare(CLONE_NEWNS) == 0;
	snprintf(users, sizeof(users), "0 %u 1", (unsigned int)geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", (unsigned int)getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && set("/proc/self/setgroups", "deny") &&
	       set("/proc/self/uid_map", users) && set("/proc/self/gid_map", groups);
}

/* Who has a small file system, which goes with its last file. Return: its process, -1: none */
static pid_t small_disk(const char *options)
{
	char ready = 'n';
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (may_mount() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    mount("none", "/tmp", "tmpfs", 0, options) == 0)
			ready = 'y';
		if (write(ends[1], &ready, 1) == 1)
			pause();
		_exit(0);
	}
	close(ends[1]);
	if (pid > 0 && read(ends[0], &ready, 1) == 1 && ready != 'y') {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(ends[0]);
	return pid;
}

static int open_in(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/root/tmp/%s", (int)pid, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static unsigned int count_lines(int log, const char *text)
{
	unsigned int n = 0;
	char buf[4096];
	ssize_t len = pread(log, buf, sizeof(buf) - 1, 0);
	const char *at = buf;

	assert_true(len >= 0);
	buf[len] = '\0';
	while ((at = strstr(at, text)) != NULL) {
		at++;
		n++;
	}
	return n;
}

/* What goes to a file waits while its disk is full, which is told once; the port goes on. */
static void test_disk_full(void **state)
{
	const uint32_t size = 200000;
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	static uint8_t got[1 << 20];
	pid_t disk = small_disk("size=320k");
	int in[2], out, filler;
	struct tester t;

	(void)state;
	if (disk < 0)
		skip();
	out = open_in(disk, "out");
	filler = open_in(disk, "filler");
	kill(disk, SIGKILL);
	waitpid(disk, NULL, 0);
	assert_int_equal(posix_fallocate(filler, 0, 256 << 10), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	dup2(log, STDERR_FILENO);
	start_stdio(&t, in[0], out);
	dup2(saved, STDERR_FILENO);
	close(saved);
	memset(t.out, 0x5a, size);
	put_out(&t, 1, size);
	if (drv_wait(&t.fe.rings[1], NULL, 1200) >= 0)
		fail_msg("%u bytes, of which a full disk has no half, are said to be written", size);
	assert_int_equal(count_lines(log, "No space left on device"), 1);
	/* the other direction has nothing to do with it */
	add_buffer(&t.fe.rings[0], t.rx[0], BUFFER);
	assert_int_equal(write(in[1], "typed", 5), 5);
	assert_true(drv_wait(&t.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_memory_equal(t.rx[0], "typed", 5);
	assert_int_equal(ftruncate(filler, 0), 0);
	assert_true(drv_wait(&t.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(pread(out, got, sizeof(got), 0), size);
	assert_memory_equal(got, t.out, size);
	finish(&t);
	close(log);
	close(out);
	close(filler);
	close(in[0]);
	close(in[1]);
}

static void test_hangup(void **state)
{
	int in[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct tester t;

	(void)state;
	assert_true(null >= 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	start_stdio(&t, in[0], null);
	close(in[0]);
	/* the end of what it reads is none of the program */
	add_buffer(&t.fe.rings[0], t.rx[0], BUFFER);
	assert_int_equal(write(in[1], "last", 4), 4);
	close(in[1]);
	assert_true(drv_wait(&t.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	add_buffer(&t.fe.rings[0], t.rx[1], BUFFER);
	assert_int_equal(drv_wait(&t.fe.rings[0], NULL, 50), -1);
	assert_true(lives(&t));
	kill(t.fe.pid, SIGHUP);
	expect_end(&t, "SIGHUP");

	/* whoever has it ignored is no program of a terminal's */
	signal(SIGHUP, SIG_IGN);
	start_stdio(&t, null, null);
	signal(SIGHUP, SIG_DFL);
	kill(t.fe.pid, SIGHUP);
	poll(NULL, 0, 50);
	assert_true(lives(&t));
	finish(&t);
	/* nor is one whose ports are elsewhere */
	start(&t, two_ports, RINGS, ~0ULL);
	kill(t.fe.pid, SIGHUP);
	poll(NULL, 0, 50);
	assert_true(lives(&t));
	finish(&t);
	close(null);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal_not_read),
		cmocka_unit_test(test_terminal_read_slowly),
		cmocka_unit_test(test_kept_for_a_reader),
		cmocka_unit_test(test_terminal_goes),
		cmocka_unit_test(test_hangup),
		cmocka_unit_test(test_disk_full),
	};

	return console_main(tests, argc, argv);
}
