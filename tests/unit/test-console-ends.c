// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-console from outside: ends that do not read, that are full, that go. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal_not_read),
		cmocka_unit_test(test_terminal_read_slowly),
		cmocka_unit_test(test_kept_for_a_reader),
	};

	return console_main(tests, argc, argv);
}
