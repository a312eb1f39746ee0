// SPDX-License-Identifier: BSD-3-Clause
#include "console-tester.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/deadline.h"
#include "common/unix-socket.h"

static const char *program; /* argv[1] */
static char first[64];
char console_unix[40], console_pty[40];
const char *const two_ports[] = { "--port", first, "--pty", console_pty, "--console", NULL };
const char *const pty_alone[] = { "--pty", console_pty, NULL };

void add_buffer(struct drv_ring *ring, uint8_t *p, uint32_t len)
{
	struct drv_buf buf = { p, len, true };

	assert_true(drv_add(ring, &buf, 1, false) >= 0);
	drv_kick(ring);
}

void start(struct tester *t, const char *const *extra, unsigned int rings, uint64_t features)
{
	const char *argv[16] = { program };
	size_t n = 1, i;

	for (i = 0; extra[i]; i++)
		argv[n++] = extra[i];
	assert_int_equal(fe_init(&t->fe, 4 << 20, rings, NUM, true), 0);
	assert_int_equal(fe_spawn(&t->fe, argv), 0);
	assert_int_equal(fe_handshake(&t->fe, features), 0);
	for (i = 0; i < NUM; i++) {
		t->rx[i] = drv_alloc(&t->fe.mem, BUFFER, 64);
		t->messages[i] = drv_alloc(&t->fe.mem, 128, 64);
	}
	t->out = drv_alloc(&t->fe.mem, 2 << 20, 64);
	t->said = drv_alloc(&t->fe.mem, sizeof(*t->said), 64);
}

void finish(struct tester *t)
{
	int status;

	close(t->fe.sock);
	t->fe.sock = -1;
	status = fe_wait(&t->fe);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fe_finish(&t->fe);
	/* nothing is left behind */
	assert_int_equal(access(console_unix, F_OK), -1);
	assert_int_equal(access(console_pty, F_OK), -1);
}

void say(struct tester *t, uint32_t id, uint16_t event, uint16_t value)
{
	struct drv_buf buf = { t->said, sizeof(*t->said), false };
	struct drv_ring *ring = &t->fe.rings[CONTROL_TX];

	*t->said = (struct virtio_console_control){ id, event, value };
	assert_true(drv_add(ring, &buf, 1, false) >= 0);
	drv_kick(ring);
	assert_true(drv_wait(ring, NULL, FE_TIMEOUT_MS) >= 0);
}

const uint8_t *hear(struct tester *t, uint32_t id, uint16_t event, uint16_t value,
			   uint32_t more)
{
	const struct virtio_console_control *msg;
	struct drv_ring *ring = &t->fe.rings[CONTROL_RX];
	uint32_t len;

	add_buffer(ring, t->messages[0], 128);
	assert_true(drv_wait(ring, &len, FE_TIMEOUT_MS) >= 0);
	msg = (const void *)t->messages[0];
	print_message("port %u event %u value %u, %u bytes\n", msg->id, msg->event, msg->value, len);
	assert_int_equal(msg->id, id);
	assert_int_equal(msg->event, event);
	assert_int_equal(msg->value, value);
	assert_int_equal(len, sizeof(*msg) + more);
	return t->messages[0] + sizeof(*msg);
}

void bring_up(struct tester *t)
{
	say(t, ~0U, VIRTIO_CONSOLE_DEVICE_READY, 1);
	hear(t, 0, VIRTIO_CONSOLE_PORT_ADD, 1, 0);
	hear(t, 1, VIRTIO_CONSOLE_PORT_ADD, 1, 0);
	say(t, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_memory_equal(hear(t, 0, VIRTIO_CONSOLE_PORT_NAME, 1, 5), "first", 5);
	hear(t, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
	say(t, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	hear(t, 1, VIRTIO_CONSOLE_CONSOLE_PORT, 1, 0);
	hear(t, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
}

int client(void)
{
	int fd = unix_connect(console_unix, deadline_after_ms(FE_TIMEOUT_MS));

	assert_true(fd >= 0);
	return fd;
}

void expect(int fd, const void *what, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t got[4096];
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		assert_int_equal(poll(&pfd, 1, FE_TIMEOUT_MS), 1);
		n = read(fd, got + have, len - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(got, what, len);
}

void put_out(struct tester *t, unsigned int ring, uint32_t len)
{
	struct drv_buf buf = { t->out, len, false };

	assert_true(drv_add(&t->fe.rings[ring], &buf, 1, false) >= 0);
	drv_kick(&t->fe.rings[ring]);
}

int console_arguments(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-vhost-user-console\n", argv[0]);
		return -1;
	}
	program = argv[1];
	snprintf(console_unix, sizeof(console_unix), "test-console-%d.sock", (int)getpid());
	snprintf(console_pty, sizeof(console_pty), "test-console-%d.pty", (int)getpid());
	snprintf(first, sizeof(first), "first=unix:%s", console_unix);
	return 0;
}
