// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-console from outside: the program, over its socket, with rings of our own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/deadline.h"
#include "common/util.h"
#include "console-tester.h"

static void test_ports(void **state)
{
	struct virtio_console_config config = { 0 };
	struct tester t;
	int fd;

	(void)state;
	start(&t, two_ports, RINGS, ~0ULL);
	assert_true(t.fe.features & BIT_ULL(VIRTIO_CONSOLE_F_SIZE));
	assert_true(t.fe.features & BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT));
	assert_true(t.fe.features & BIT_ULL(VIRTIO_CONSOLE_F_EMERG_WRITE));
	assert_int_equal(fe_get_config(&t.fe, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.max_nr_ports, 2);
	bring_up(&t);

	/* somebody comes; bytes pass both ways once the driver's side is open too */
	fd = client();
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	assert_int_equal(write(fd, "early", 5), 5);
	add_buffer(&t.fe.rings[0], t.rx[0], BUFFER);
	assert_int_equal(drv_wait(&t.fe.rings[0], NULL, 50), -1);
	say(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(drv_wait(&t.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_memory_equal(t.rx[0], "early", 5);
	memcpy(t.out, "hello", 5);
	put_out(&t, 1, 5);
	expect(fd, "hello", 5);
	assert_true(drv_wait(&t.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);

	/* the driver's side closes, the client sees it */
	say(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_int_equal(read(fd, t.out, 1), 0);
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
	close(fd);
	/* what a client left behind is still delivered, and then its end is told */
	fd = client();
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	assert_int_equal(write(fd, "left", 4), 4);
	close(fd);
	add_buffer(&t.fe.rings[0], t.rx[1], BUFFER);
	say(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(drv_wait(&t.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_memory_equal(t.rx[1], "left", 4);
	add_buffer(&t.fe.rings[0], t.rx[2], BUFFER); /* nothing will come in it */
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
	finish(&t);
}

/* Nothing is written twice or left out when the queue stops in the middle of a request. */
static void test_stop_in_the_middle(void **state)
{
	const uint32_t size = 2 << 20;
	static uint8_t got[2 << 20];
	struct tester t;
	uint32_t i, have = 0;
	uint32_t base;
	ssize_t n;
	int fd;

	(void)state;
	start(&t, two_ports, RINGS, ~0ULL);
	bring_up(&t);
	fd = client();
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	for (i = 0; i < size; i++)
		t.out[i] = (uint8_t)(i * 7 + (i >> 8) + (i >> 16));
	put_out(&t, 1, size);
	/* more than a socket takes: the request has to wait */
	assert_int_equal(drv_wait(&t.fe.rings[1], NULL, 50), -1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(fe_get_base(&t.fe, 1, &base), 0);
		assert_int_equal(base, drv_base_at(&t.fe.rings[1], 0));
		n = read(fd, got + have, 100000);
		assert_true(n > 0);
		have += (uint32_t)n;
		assert_int_equal(fe_start_ring(&t.fe, 1, base), 0);
	}
	while (have < size) {
		n = read(fd, got + have, size - have);
		assert_true(n > 0);
		have += (uint32_t)n;
	}
	assert_memory_equal(got, t.out, size);
	assert_true(drv_wait(&t.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);
	close(fd);
	finish(&t);
}

/* What a request still has to say is for the next client, and the one behind it keeps its turn. */
static void test_client_leaves_in_the_middle(void **state)
{
	const uint32_t size = 1 << 20;
	static uint8_t sent[(2 << 20) + 5], got[sizeof(sent)];
	struct drv_buf big, small;
	struct drv_ring *ring;
	int heads[3], fd, i, taken = 0;
	struct tester t;
	size_t have;

	(void)state;
	start(&t, two_ports, RINGS, ~0ULL);
	bring_up(&t);
	ring = &t.fe.rings[1];
	fd = client();
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	for (have = 0; have < size; have++)
		t.out[have] = (uint8_t)(have * 7 + (have >> 8) + (have >> 16));
	memcpy(t.out + size, "short", 5);
	memcpy(sent, t.out, size + 5);
	memcpy(sent + size + 5, t.out, size);
	big = (struct drv_buf){ t.out, size, false };
	small = (struct drv_buf){ t.out + size, 5, false };
	heads[0] = drv_add(ring, &big, 1, false);
	heads[1] = drv_add(ring, &small, 1, false);
	heads[2] = drv_add(ring, &big, 1, false);
	drv_kick(ring);
	assert_int_equal(drv_wait(ring, NULL, 100), -1);
	assert_int_equal(ioctl(fd, FIONREAD, &taken), 0);
	assert_in_range(taken, 1, size - 1);
	close(fd);
	hear(&t, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
	assert_int_equal(drv_wait(ring, NULL, 100), -1);
	fd = client();
	for (have = (size_t)taken; have < sizeof(sent);) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pfd, 1, FE_TIMEOUT_MS) != 1)
			break;
		n = read(fd, got + have, sizeof(sent) - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	print_message("%d bytes to the first client, %zu to both\n", taken, have);
	assert_int_equal(have, sizeof(sent));
	assert_memory_equal(got + taken, sent + taken, sizeof(sent) - (size_t)taken);
	for (i = 0; i < 3; i++)
		assert_int_equal(drv_wait(ring, NULL, FE_TIMEOUT_MS), heads[i]);
	close(fd);
	finish(&t);
}

static void test_emergency_write(void **state)
{
	struct virtio_console_config config = { .cols = 80, .max_nr_ports = 2 };
	struct tester t;
	uint32_t word = 'E';
	uint16_t half = 1;
	int fd;

	(void)state;
	start(&t, two_ports, RINGS, ~0ULL);
	/* nobody is there: it is lost, and no error */
	assert_int_equal(fe_set_config(&t.fe, 8, &word, sizeof(word)), 0);
	fd = client();
	/* the device was told nothing yet, and the character comes out all the same */
	word = 'F';
	do { /* until the client is accepted */
		assert_int_equal(fe_set_config(&t.fe, 8, &word, sizeof(word)), 0);
	} while (!poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 20));
	expect(fd, "F", 1);
	word = 'G' | 0x4100;
	assert_int_equal(fe_set_config(&t.fe, 8, &word, 1), 0);
	expect(fd, "G", 1);
	/* all of the space: the character alone counts, each time that it is there */
	config.emerg_wr = 'H';
	assert_int_equal(fe_set_config(&t.fe, 0, &config, sizeof(config)), 0);
	assert_int_equal(fe_set_config(&t.fe, 0, &config, sizeof(config)), 0);
	expect(fd, "HH", 2);
	config.emerg_wr = 0;
	assert_int_equal(fe_set_config(&t.fe, 0, &config, sizeof(config)), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 20), 0);
	/* nothing else can be written */
	assert_int_equal(fe_set_config(&t.fe, 0, &half, sizeof(half)), 1);
	assert_int_equal(fe_set_config(&t.fe, 9, &word, 1), 1);
	close(fd);
	finish(&t);
}

static void test_size(void **state)
{
	struct winsize size = { .ws_col = 101, .ws_row = 33 };
	struct virtio_console_config config = { 0 };
	const uint8_t *told;
	struct tester t;
	int fd;

	(void)state;
	start(&t, two_ports, RINGS, ~0ULL);
	bring_up(&t);
	fd = open(console_pty, O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	hear(&t, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
	close(fd);
	told = hear(&t, 1, VIRTIO_CONSOLE_RESIZE, 1, 4);
	assert_memory_equal(told, "\x65\x00\x21\x00", 4);
	hear(&t, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
	/* the configuration space is about port 0 */
	assert_int_equal(fe_get_config(&t.fe, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.cols, 0);
	finish(&t);
}

/* Without MULTIPORT there is one port, which is open, and no messages. */
static void test_one_port(void **state)
{
	struct tester t;
	int fd;

	(void)state;
	start(&t, pty_alone, 2, ~BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT));
	fd = open(console_pty, O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	add_buffer(&t.fe.rings[0], t.rx[0], BUFFER);
	assert_int_equal(write(fd, "typed", 5), 5);
	assert_true(drv_wait(&t.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_memory_equal(t.rx[0], "typed", 5);
	memcpy(t.out, "shown", 5);
	put_out(&t, 1, 5);
	expect(fd, "shown", 5);
	close(fd);
	finish(&t);
}

static volatile bool over;

static void *open_and_close(void *data)
{
	(void)data;
	while (!over) {
		int fd = open(console_pty, O_RDWR | O_NOCTTY | O_NONBLOCK);

		if (fd < 0 || write(fd, "x", 1) < 0)
			poll(NULL, 0, 1);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

/* No buffer is answered twice when somebody comes while another's leaving is being noticed. */
static void test_pty_opened_again_at_once(void **state)
{
	unsigned long answers = 0;
	struct drv_ring *ring;
	pthread_t thread;
	struct tester t;
	deadline_t end;
	int i, head = -1;

	(void)state;
	start(&t, pty_alone, 2, ~BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT));
	ring = &t.fe.rings[0];
	for (i = 0; i < NUM; i++)
		add_buffer(ring, t.rx[i], 16);
	over = false;
	assert_int_equal(pthread_create(&thread, NULL, open_and_close, NULL), 0);
	for (end = deadline_after_ms(3000); !deadline_passed(end);) {
		head = drv_wait(ring, NULL, FE_TIMEOUT_MS);
		if (head < 0)
			break;
		answers++;
		add_buffer(ring, t.rx[head % NUM], 16);
	}
	over = true;
	pthread_join(thread, NULL);
	print_message("%lu answers, the last %d\n", answers, head);
	assert_true(head >= 0);
	finish(&t);
}

/* Messages that are none, and buffers that are too small. */
static void test_hostile(void **state)
{
	struct drv_buf buf;
	struct tester t;
	unsigned int i;

	(void)state;
	start(&t, two_ports, RINGS, ~0ULL);
	for (i = 0; i < 40; i++)
		say(&t, i * 0x10001, (uint16_t)(i * 3), (uint16_t)i);
	buf = (struct drv_buf){ t.said, 3, false };
	assert_true(drv_add(&t.fe.rings[CONTROL_TX], &buf, 1, false) >= 0);
	drv_kick(&t.fe.rings[CONTROL_TX]);
	assert_true(drv_wait(&t.fe.rings[CONTROL_TX], NULL, FE_TIMEOUT_MS) >= 0);
	/* a buffer without room for a message: that queue is over, the others are not */
	say(&t, ~0U, VIRTIO_CONSOLE_DEVICE_READY, 1);
	add_buffer(&t.fe.rings[CONTROL_RX], t.messages[0], 4);
	assert_int_equal(drv_wait(&t.fe.rings[CONTROL_RX], NULL, 50), -1);
	say(&t, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_int_equal(fe_kill(&t.fe, SIGTERM), 0);
	fe_finish(&t.fe);
}

/* What the driver can say as often as it likes does not fill the journal. */
static void test_many_complaints(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	unsigned int i, lines = 0;
	struct tester t;
	FILE *f;

	(void)state;
	assert_true(log >= 0 && saved >= 0);
	dup2(log, STDERR_FILENO);
	start(&t, two_ports, RINGS, ~0ULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	for (i = 0; i < 200; i++) {
		say(&t, ~0U, VIRTIO_CONSOLE_DEVICE_READY, 0);
		say(&t, 0, VIRTIO_CONSOLE_PORT_READY, 0);
	}
	finish(&t);
	assert_int_equal(lseek(log, 0, SEEK_SET), 0);
	f = fdopen(log, "r");
	while ((i = (unsigned int)fgetc(f)) != (unsigned int)EOF)
		lines += i == '\n';
	fclose(f);
	print_message("%u lines about 400 messages\n", lines);
	assert_in_range(lines, 2, 200);
}

static off_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

/*
 * A file takes whatever is written, and a driver can name the same memory many times in a request:
 * others have their turn in the middle of it.
 */
static void test_endless_request(void **state)
{
	static const char *const extra[] = { "--stdio", NULL };
	int file = memfd_create("file", MFD_CLOEXEC), saved = dup(STDOUT_FILENO);
	const off_t all = (off_t)DRV_TABLE << 20;
	struct drv_buf bufs[DRV_TABLE];
	uint64_t one = 1;
	uint8_t end[4];
	struct tester t;
	unsigned int i;
	off_t size;

	(void)state;
	assert_true(file >= 0 && saved >= 0);
	dup2(file, STDOUT_FILENO);
	start(&t, extra, 2, ~BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT));
	dup2(saved, STDOUT_FILENO);
	close(saved);
	put_out(&t, 1, 1); /* the first request of a ring may be that of a new driver */
	assert_true(drv_wait(&t.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	memcpy(t.out + (1 << 20) - sizeof(end), "ends", sizeof(end));
	for (i = 0; i < DRV_TABLE; i++)
		bufs[i] = (struct drv_buf){ t.out, 1 << 20, false };
	assert_true(drv_add(&t.fe.rings[1], bufs, DRV_TABLE, true) >= 0);
	drv_kick(&t.fe.rings[1]);
	while (!size_of(file))
		poll(NULL, 0, 1);
	assert_int_equal(fe_get_config(&t.fe, 0, end, sizeof(end)), 0);
	size = size_of(file);
	print_message("a message was answered after %ld of %ld bytes\n", (long)size, (long)all);
	assert_true(size < all);
	/* it is written as a whole all the same, also when its queue is stopped in the middle */
	assert_int_equal(fe_set_memory(&t.fe), 0);
	assert_int_equal(write(t.fe.rings[1].kick_fd, &one, sizeof(one)), sizeof(one));
	assert_true(drv_wait(&t.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(size_of(file), all);
	for (i = 1; i <= DRV_TABLE; i++) {
		assert_int_equal(pread(file, end, 4, ((off_t)i << 20) - 4), 4);
		assert_memory_equal(end, "ends", 4);
	}
	finish(&t);
	close(file);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),		cmocka_unit_test(test_stop_in_the_middle),
		cmocka_unit_test(test_client_leaves_in_the_middle),
		cmocka_unit_test(test_emergency_write), cmocka_unit_test(test_size),
		cmocka_unit_test(test_one_port),	cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_pty_opened_again_at_once),
		cmocka_unit_test(test_many_complaints), cmocka_unit_test(test_endless_request),
	};

	return console_main(tests, argc, argv);
}
