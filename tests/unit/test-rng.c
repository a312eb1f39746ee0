// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-rng from outside: the program, over its socket, with a ring of our own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/deadline.h"
#include "common/util.h"
#include "front-end.h"

static const char *program; /* argv[1] */

static void start(struct fe *fe, const char *const *extra)
{
	const char *argv[8] = { program };
	size_t n = 1, i;

	for (i = 0; extra && extra[i]; i++)
		argv[n++] = extra[i];
	assert_int_equal(fe_init(fe, 1 << 20, 1, 8, true), 0);
	assert_int_equal(fe_spawn(fe, argv), 0);
	assert_int_equal(fe_handshake(fe, ~0ULL), 0);
}

static void finish(struct fe *fe)
{
	int status;

	close(fe->sock);
	fe->sock = -1;
	status = fe_wait(fe);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fe_finish(fe);
}

/* Return: bytes given for a buffer of @len; -1 for none within @timeout_ms */
static int ask(struct fe *fe, uint8_t *data, uint32_t len, int timeout_ms)
{
	struct drv_buf buf = { data, len, true };
	uint32_t got;
	int head = drv_add(&fe->rings[0], &buf, 1, false);

	assert_true(head >= 0);
	drv_kick(&fe->rings[0]);
	if (drv_wait(&fe->rings[0], &got, timeout_ms) != head)
		return -1;
	return (int)got;
}

/* FIPS 140-2's monobit test on 20000 bits, which is what rngtest does first */
static void check_monobit(const uint8_t *data)
{
	unsigned int ones = 0, i;

	for (i = 0; i < 2500; i++)
		ones += (unsigned int)__builtin_popcount(data[i]);
	print_message("%u ones of 20000\n", ones);
	assert_in_range(ones, 9725, 10275);
}

static void test_bytes(void **state)
{
	uint8_t *data, *other;
	struct fe fe;

	(void)state;
	start(&fe, NULL);
	data = drv_alloc(&fe.mem, 4096, 64);
	other = drv_alloc(&fe.mem, 4096, 64);
	assert_int_equal(ask(&fe, data, 4000, FE_TIMEOUT_MS), 4000);
	assert_int_equal(ask(&fe, other, 4000, FE_TIMEOUT_MS), 4000);
	assert_memory_not_equal(data, other, 4000);
	check_monobit(data);
	check_monobit(other);
	assert_int_equal(ask(&fe, data, 1, FE_TIMEOUT_MS), 1);
	finish(&fe);
}

static void test_file(void **state)
{
	const char *const extra[] = { "--source", "test-rng.bytes", NULL };
	uint8_t *data;
	struct fe fe;
	int fd;

	(void)state;
	fd = open("test-rng.bytes", O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	start(&fe, extra);
	data = drv_alloc(&fe.mem, 64, 64);
	assert_int_equal(ask(&fe, data, 6, FE_TIMEOUT_MS), 6);
	assert_memory_equal(data, "012345", 6);
	assert_int_equal(ask(&fe, data, 64, FE_TIMEOUT_MS), 4);
	assert_memory_equal(data, "6789", 4);
	/* at its end nothing comes, and nothing hangs; more comes when there is more */
	assert_int_equal(ask(&fe, data, 64, 100), -1);
	assert_int_equal(write(fd, "xyz", 3), 3);
	assert_true(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_memory_equal(data, "xyz", 3);
	assert_int_equal(ask(&fe, data, 64, 100), -1);
	finish(&fe);
	close(fd);
	unlink("test-rng.bytes");
}

/*
 * A generator at a serial port: what it sends is no text, whose line ends and control characters
 * mean something. When it is unplugged there will be nothing more from it, which is told.
 */
static void test_terminal(void **state)
{
	const char *extra[] = { "--source", NULL, NULL };
	uint8_t sent[256], *data;
	struct fe fe;
	int master, got, status;
	unsigned int i, n = 0;
	char name[64];

	(void)state;
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	extra[1] = name;
	start(&fe, extra);
	data = drv_alloc(&fe.mem, sizeof(sent), 64);
	for (i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)i;
	assert_int_equal(write(master, sent, sizeof(sent)), sizeof(sent));
	for (; n < sizeof(sent); n += (unsigned int)got) {
		got = ask(&fe, data, sizeof(sent), FE_TIMEOUT_MS);
		if (got <= 0)
			fail_msg("expected %zu bytes, saw %u", sizeof(sent), n);
		assert_memory_equal(data, sent + n, (size_t)got);
	}
	/* none of it was sent back */
	assert_int_equal(poll_fd(master, POLLIN, deadline_after_ms(50)), -ETIMEDOUT);
	assert_int_equal(ask(&fe, data, 64, 100), -1);
	close(master);
	status = fe_wait(&fe);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	fe_finish(&fe);
}

static void test_rate(void **state)
{
	const char *const extra[] = { "--rate", "4000", NULL };
	uint64_t before, ns, total = 0;
	uint8_t *data;
	struct fe fe;

	(void)state;
	start(&fe, extra);
	data = drv_alloc(&fe.mem, 4096, 64);
	before = now_ns();
	while (total < 8000) {
		int got = ask(&fe, data, 1000, FE_TIMEOUT_MS);

		assert_true(got > 0);
		total += (uint64_t)got;
	}
	ns = now_ns() - before;
	print_message("%lu bytes in %lu ms at 4000 a second, the first 4000 at once\n",
		      (unsigned long)total, (unsigned long)ns / 1000000);
	assert_true(ns >= 990000000ULL);
	finish(&fe);
}

/*
 * A request that waits for tokens does not hold up stopping. It is not answered with nothing,
 * for the driver would not ask again: it has its turn when the queue starts again.
 */
static void test_stop_while_waiting(void **state)
{
	const char *const extra[] = { "--rate", "1", NULL };
	uint8_t *data;
	uint32_t base, got;
	struct fe fe;

	(void)state;
	start(&fe, extra);
	data = drv_alloc(&fe.mem, 64, 64);
	assert_int_equal(ask(&fe, data, 64, FE_TIMEOUT_MS), 1);
	assert_int_equal(ask(&fe, data, 64, 1), -1);
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	assert_int_equal(base, drv_base_at(&fe.rings[0], 1));
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 1), -1);
	assert_int_equal(fe_start_ring(&fe, 0, base), 0);
	assert_true(drv_wait(&fe.rings[0], &got, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(got, 1);
	finish(&fe);
}

/* The same for one that waits while its queue breaks, without a record of it */
static void test_break_while_waiting(void **state)
{
	const char *const argv[] = { program, "--rate", "1", NULL };
	int ends[2];
	uint8_t *data;
	uint32_t got;
	struct fe fe;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fe_init(&fe, 1 << 20, 1, 8, true), 0);
	fe.no_record = true;
	assert_int_equal(fe_spawn(&fe, argv), 0);
	assert_int_equal(fe_handshake(&fe, ~0ULL), 0);
	data = drv_alloc(&fe.mem, 64, 64);
	assert_int_equal(ask(&fe, data, 64, FE_TIMEOUT_MS), 1);
	assert_int_equal(ask(&fe, data, 64, 1), -1);
	assert_int_equal(fe_set_vring_fd(&fe, VHOST_USER_SET_VRING_KICK, 0, ends[0]), 0);
	close(ends[0]);
	close(ends[1]); /* the end of a pipe cannot be waited at */
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 50), -1);
	assert_int_equal(
		fe_set_vring_fd(&fe, VHOST_USER_SET_VRING_KICK, 0, fe.rings[0].kick_fd), 0);
	assert_true(drv_wait(&fe.rings[0], &got, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(got, 1);
	finish(&fe);
}

/* The same for one that an instance before was killed with: it stays in the record. */
static void test_stop_while_an_old_one_waits(void **state)
{
	const char *const empty[] = { program, "--source", "/dev/null", NULL };
	const char *const full[] = { program, NULL };
	uint8_t *data;
	uint32_t got;
	struct fe fe;

	(void)state;
	start(&fe, empty + 1);
	data = drv_alloc(&fe.mem, 64, 64);
	assert_int_equal(ask(&fe, data, 64, 1), -1);
	/* until it has been taken */
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 100), -1);
	fe_kill(&fe, SIGKILL);
	assert_int_equal(fe_spawn(&fe, empty), 0);
	assert_int_equal(fe_handshake(&fe, ~0ULL), 0);
	assert_int_equal(fe_kill(&fe, SIGTERM), 0);
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 1), -1);
	assert_int_equal(fe_spawn(&fe, full), 0);
	assert_int_equal(fe_handshake(&fe, ~0ULL), 0);
	assert_true(drv_wait(&fe.rings[0], &got, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(got, 64);
	finish(&fe);
}

static void test_hostile(void **state)
{
	struct drv_buf buf = { .len = 64, .write = false };
	uint8_t *data;
	struct fe fe;

	(void)state;
	start(&fe, NULL);
	data = drv_alloc(&fe.mem, 64, 64);
	/* nothing to write into: answered with nothing */
	buf.p = data;
	assert_true(drv_add(&fe.rings[0], &buf, 1, false) >= 0);
	drv_kick(&fe.rings[0]);
	assert_true(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	drv_spoil(&fe.rings[0]);
	assert_int_equal(write(fe.rings[0].kick_fd, "\1\0\0\0\0\0\0\0", 8), 8);
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 100), -1);
	finish(&fe);
}

/* PR_SET_NO_NEW_PRIVS, the first thing that a program gives up, is refused from now on. */
static int refuse_confinement(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_NO_NEW_PRIVS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* A program that cannot be confined ends, and its socket is not left for others to find. */
static void test_not_confined(void **state)
{
	static const char path[] = "test-rng.sock";
	struct fe fe = { .sock = -1 };
	int status;

	(void)state;
	fe.pid = fork();
	if (fe.pid == 0) {
		if (refuse_confinement())
			_exit(77);
		execl(program, program, "--socket-path", path, (char *)NULL);
		_exit(127);
	}
	status = fe_wait(&fe);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(access(path, F_OK), -1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	cmocka_unit_test(test_file),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_rate),	cmocka_unit_test(test_stop_while_waiting),
		cmocka_unit_test(test_break_while_waiting),
		cmocka_unit_test(test_stop_while_an_old_one_waits),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_not_confined),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-vhost-user-rng\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
